"""How far a command is, on stderr: a bar on a terminal, else a line now and then, so that a log file shows it."""
import sys
import time

from mc2.tables import duration
from mc2.terminal import say

EVERY = 60.0                    # seconds between two lines
_every = EVERY


def print_every(seconds):
    """Print lines so often from now on, in this process; 0 = never. Commands do so by --log-every."""
    global _every
    _every = seconds


def interval():
    """Seconds between two lines."""
    return _every


class Meter:
    """Shows how much of a work is done. Closed by `close` or at the end of a `with` block."""

    def __init__(self, label, unit, total=None, done=0, quiet=False, scaled=False):
        """label: what is done, e.g. "lid". unit: what is counted, e.g. "pairs". total: how many there are, where that
        is known. done: how many are done before. scaled: large numbers, which a bar shows as 1.2M."""
        self.label, self.unit, self.total, self.note = label, unit, total, ""
        self.done = self._before = done
        self._began = self._printed = time.monotonic()
        self._prints, self._bar = not quiet and not sys.stderr.isatty() and _every > 0, None
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm
            self._bar = tqdm(total=total, initial=done, desc=label, unit=f" {unit}", unit_scale=scaled, leave=False)

    def update(self, n=1, note=None):
        """So many more are done. note: what else to show, e.g. the loss."""
        self.done += n
        self.note = self.note if note is None else note
        if self._bar is not None:
            if note is not None:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(n)
        elif self._prints and time.monotonic() - self._printed >= _every:
            self._printed = time.monotonic()
            say(self.line(self._printed - self._began))

    def line(self, seconds):
        """What is done after so many seconds, as text."""
        rate = (self.done - self._before) / max(seconds, 1e-9)
        text = f"{self.label}: {self.done:,}" + (f" of {self.total:,}" if self.total else "") + f" {self.unit}, "
        text += f"{rate:,.0f} {self.unit}/s" if rate >= 10 else f"{rate:.2g} {self.unit}/s"
        if rate and self.done < (self.total or 0):
            text += f", about {duration((self.total - self.done) / rate)} to go"
        return text + (f", {self.note}" if self.note else "")

    def close(self):
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._prints = False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def shown(items, label, unit, total=None, quiet=False, scaled=False):
    """Yield the items, and show how many of them were taken."""
    with Meter(label, unit, total, quiet=quiet, scaled=scaled) as meter:
        for item in items:
            yield item
            meter.update()
