"""The receipt of a command: its last line on stderr, for people."""
import sys

MOST_REASONS = 1000             # that are counted one by one
OTHERS = "other reasons"
SHOWN = 20                      # reasons on the last line of a command, the most frequent ones


def duration(seconds):
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


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


def write(name, summary, tally, output, seconds):
    """The last line of a command: what went in and out, what was left out and why, where it is, how long."""
    where = "" if output in (None, "-") else f" -> {output}"
    print(f"{name}: {summary}{what_was_left_out(tally)}{where} ({duration(seconds)})", file=sys.stderr)
