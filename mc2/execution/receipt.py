"""The receipt of a command: its last line on stderr, for people, and a file of JSON for programs."""
import orjson

from mc2 import __version__, files
from mc2.errors import BadUsage
from mc2.tables import duration
from mc2.terminal import say

_kept_in = None                 # the file that --receipt names

MOST_REASONS = 1000             # that are counted one by one
OTHERS = "other reasons"
SHOWN = 20                      # reasons on the last line of a command, the most frequent ones


def keep_in(path):
    """Also write the receipt of this process to a file, as JSON; None = to none. The receipt of an earlier run is removed,
    as it must not be taken for that of this one. Raises BadUsage where the file holds something else, or could not be
    written."""
    global _kept_in
    _kept_in = path
    if path is None:
        return
    files.refuse_unwritable(path, parquet=False)
    if files.exists(path) and not files.is_special(path) and not _is_receipt(path):
        raise BadUsage(f"--receipt {path}: there is a file of that name, which is no receipt. Name another one.")
    if not files.is_special(path):
        files.remove(path)


def paths():
    """[the file that --receipt names], or [] without it: an output of the command."""
    return [] if _kept_in is None else [_kept_in]


def _is_receipt(path):
    try:
        with files.open_read(path) as stream:
            return orjson.loads(stream.read()).get("kind") == "receipt"
    except (OSError, ValueError, AttributeError):
        return False


def add_up(tally, counts):
    """Add counts to a tally, a Counter. At most MOST_REASONS are told apart: a class of the user's may have a reason
    for each pair."""
    for what, count in counts.items():
        if what not in tally and len(tally) >= MOST_REASONS and what.startswith(("dropped: ", "bad: ")):
            what = f"{what.partition(': ')[0]}: {OTHERS}"
        tally[what] += count


def what_was_left_out(tally, fate="skipped"):
    """Text on dropped pairs and bad lines, by reason: ", 3 not listed, 1 bad lines skipped (not JSON)" or ""."""
    found = []
    for reason, count in sorted(tally.items()):
        kind, colon, reason = reason.partition(": ") if isinstance(reason, str) else ("", "", "")
        if kind == "dropped":
            found.append((count, f"{count:,} {reason}"))
        elif kind == "bad":
            found.append((count, f"{count:,} bad lines {fate} ({reason.rstrip('.')})"))
    most = set(sorted(found, key=lambda each: -each[0])[:SHOWN])
    shown = [text for count, text in found if (count, text) in most]
    if more := found[len(shown):]:
        total = sum(count for count, _ in found)
        shown.append(f"and {len(more):,} more reasons: {total:,} in all")
    return "".join(f", {text}" for text in shown)


def write(name, summary, tally, output, seconds, quiet=False):
    """What a command did: what went in and out, what was left out and why, where it is, how long it took. A line on
    stderr, unless quiet, and the file that --receipt names. tally: {what: number}"""
    where = "" if output in (None, "-") else f" -> {output}"
    said = f"{summary}{what_was_left_out(tally)}"
    if not quiet:
        say(f"{name}: {said}{where} ({duration(seconds)})")
    keep(name, said, output, seconds, {str(what): int(number) for what, number in sorted(tally.items())})


def keep(name, summary, output, seconds, counts=None, **more):
    """Write the file that --receipt names, where it names one."""
    if _kept_in is not None:
        content = {"kind": "receipt", "command": name, "mc2": __version__, "summary": summary, "output": output,
                   "seconds": round(seconds, 3), "counts": counts or {}, **more}
        files.write_bytes(_kept_in, orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
