"""The receipt of a command: its last line on stderr, for people, and a file of JSON for programs."""
import os

import orjson

from mc2 import __version__, files, own
from mc2.errors import BadData, BadUsage, Mc2Error
from mc2.tables import duration
from mc2.terminal import say

_kept_in = None                 # the file that --receipt names
_has_begun = False              # whether the work has begun, so that there will be a receipt

MOST_REASONS = 1000             # that are counted one by one
OTHERS = "other reasons"
SHOWN = 20                      # reasons on the last line of a command, the most frequent ones
LONGEST = 16 << 20              # bytes: no receipt is longer


def keep_in(path):
    """Also write the receipt of this process to a file, as JSON; None = to none. The file stays as it is until the work
    begins. Raises BadUsage where it holds something else, or could not be written."""
    global _kept_in, _has_begun
    _kept_in, _has_begun = path, False
    if path in (None, "-"):
        return
    files.refuse_unwritable(path, parquet=False)
    if files.has_suffix(path, ".manifest.json") or files.base_name(path) == "manifest.json":
        raise BadUsage(f"--receipt {path}: is the name of a manifest, which mc2 writes beside its outputs. Name it "
                       f"otherwise, e.g. receipt.json.")
    if not files.is_special(path):
        if not files.is_remote(path):
            own.refuse_link_of_others(path)
        if _holds_something_else(path, or_nothing=True):
            raise BadUsage(f"--receipt {path}: there is a file of that name, which is no receipt. Name another one.")


def paths():
    """[the file that --receipt names], or [] without it: an output of the command."""
    return [] if _kept_in is None else [_kept_in]


def begin():
    """The work begins, after all that could be refused at once. A receipt of an earlier run is removed, as it must not
    be taken for that of this one. Without this, as in a dry run, no receipt is written to the file."""
    global _has_begun
    _has_begun = True
    if _kept_in not in (None, "-") and not files.is_special(_kept_in):
        files.remove(_kept_in if files.is_remote(_kept_in) else os.path.realpath(_kept_in))     # a link stays


def _holds_something_else(path, or_nothing=False):
    """Whether there is a file that is no receipt. or_nothing: one without any bytes, as `mktemp` makes it, may be
    replaced too"""
    if not files.exists(path):
        return False
    try:
        if files.size(path) > LONGEST:
            return True
        if or_nothing and files.size(path) == 0:
            return False
        with files.open_read(path) as stream:
            return orjson.loads(stream.read(LONGEST)).get("kind") != "receipt"
    except (OSError, ValueError, AttributeError, Mc2Error):
        return True


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
    """Write the file that --receipt names, where it names one and the work has begun. Raises BadData where this run
    wrote something else under that name."""
    if _kept_in is None or not _has_begun:
        return
    content = {"kind": "receipt", "command": name, "mc2": __version__, "summary": summary, "output": output,
               "seconds": round(seconds, 3), "counts": counts or {}, **more}
    data = orjson.dumps(_printable(content), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if _kept_in != "-" and not files.is_special(_kept_in) and _holds_something_else(_kept_in):
        raise BadData(f"--receipt {_kept_in}: another file of that name was made while the command ran, so the receipt "
                      f"was not written. Name another one.")
    files.write_bytes(_kept_in, data)


def _printable(value):
    """A value with the bytes of file names that are not UTF-8 spelled out, in all of its strings."""
    if isinstance(value, str):
        return files.printable(value)
    if isinstance(value, dict):
        return {files.printable(str(key)): _printable(each) for key, each in value.items()}
    return list(map(_printable, value)) if isinstance(value, (list, tuple)) else value
