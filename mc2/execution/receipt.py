"""The receipt of a command: its last line on stderr, for people, and a file of JSON for programs."""
import orjson

from mc2 import __version__, files
from mc2.errors import BadUsage
from mc2.tables import duration
from mc2.terminal import say

_kept_in = None                 # the file that --receipt names


def keep_in(path):
    """Also write the receipt of this process to a file, as JSON; None = to none. Raises BadUsage where the file holds
    something else, or could not be written."""
    global _kept_in
    _kept_in = path
    if path is None:
        return
    files.refuse_unwritable(path, parquet=False)
    if files.exists(path) and not files.is_special(path) and not _is_receipt(path):
        raise BadUsage(f"--receipt {path}: there is a file of that name, which is no receipt. Name another one.")


def _is_receipt(path):
    try:
        with files.open_read(path) as stream:
            return orjson.loads(stream.read()).get("kind") == "receipt"
    except (OSError, ValueError, AttributeError):
        return False


def what_was_left_out(tally, fate="skipped"):
    """Text on dropped pairs and bad lines, by reason: ", 3 not listed, 1 bad lines skipped (not JSON)" or ""."""
    text = ""
    for reason, count in sorted(tally.items()):
        kind, colon, reason = reason.partition(": ") if isinstance(reason, str) else ("", "", "")
        if kind == "dropped":
            text += f", {count:,} {reason}"
        elif kind == "bad":
            text += f", {count:,} bad lines {fate} ({reason.rstrip('.')})"
    return text


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
