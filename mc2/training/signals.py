"""Signals that ask a run to stop. They raise nothing, wherever the run is: they are noted, and the run looks at them
where it can stop. An exception in the middle of an import, a finaliser or the start of a process would be lost, or
leave half of it.
"""
import contextlib
import os
import signal
import threading

from mc2.errors import Mc2Error
from mc2.signals import STOPPING


class Stopped(Mc2Error):
    """A signal ended the run."""

    def __init__(self, number, when):
        super().__init__(f"stopped by {signal.Signals(number).name} {when}.")
        self.status = 128 + number


class Noted:
    """A context in which signals are noted: `received` has their numbers, in order; `first` is the first one, or 0.

    announce: say on stderr that the run will stop. ends_at_second: whether a second Ctrl-C raises KeyboardInterrupt.
    """

    def __init__(self, announce=False, ends_at_second=False):
        self.received, self.announce, self.ends_at_second = [], announce, ends_at_second

    @property
    def first(self):
        return self.received[0] if self.received else 0

    def stop_before_training(self):
        """Raise Stopped where a signal came, before the first step."""
        if self.first:
            raise Stopped(self.first, "before its first step, and the same command goes on")

    @property
    def is_urgent(self):
        """Whether Ctrl-C came twice."""
        return self.received.count(signal.SIGINT) > 1

    def __enter__(self):
        self.before = {}
        if threading.current_thread() is threading.main_thread():           # no other one can, or is interrupted
            for number in STOPPING:
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:       # nohup
                    self.before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number, frame):
        self.received.append(int(number))
        if self.ends_at_second and self.is_urgent:
            raise KeyboardInterrupt
        if self.announce and len(self.received) == 1:
            again = " (Ctrl-C again: at once)" if number == signal.SIGINT else ""
            with contextlib.suppress(OSError):          # not print: this may come while something is printed
                os.write(2, f"train: {signal.Signals(number).name}: stopping, with a checkpoint{again}\n"
                         .encode())

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)
