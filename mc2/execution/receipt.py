"""The receipt of a command: its last line on stderr, for people."""
import sys

from mc2.tables import duration


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


def write(name, summary, tally, output, seconds):
    """The last line of a command: what went in and out, what was left out and why, where it is, how long."""
    where = "" if output in (None, "-") else f" -> {output}"
    print(f"{name}: {summary}{what_was_left_out(tally)}{where} ({duration(seconds)})", file=sys.stderr)
