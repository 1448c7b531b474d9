"""The receipt of a command: its last line on stderr, for people."""

from mc2.terminal import say


def duration(seconds):
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


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
    say(f"{name}: {summary}{what_was_left_out(tally)}{where} ({duration(seconds)})")
