"""SIGINT, SIGTERM and SIGHUP end a command once, with the right status, whenever they come.

The first of them raises KeyboardInterrupt or SystemExit(128 + number) where the program is, so that it unwinds and
removes what it had begun; later ones are ignored for two seconds. An exception may come at a bad moment, however: while
a process is started or joined, or in a finaliser, where Python drops it. Therefore

- within `noted()` signals raise nothing. Who waits there for other processes waits for `fileno()` too, and calls
  `check()`, which raises in one place. What came otherwise is raised when the block ends. (Blocking signals is no way:
  threads that do not block them, such as OpenBLAS's, take them, and Python raises in the main thread anyway.)
- what is dropped in a finaliser is sent again, and `raise_lost()` at the end of a command raises what was lost
  elsewhere.
"""
import contextlib
import os
import signal
import sys
import threading
import time

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)       # that ask a training run to stop
AGAIN = 0.01                    # seconds after which a signal that was lost in a finaliser is sent again
SWALLOWED = 2                   # seconds after which a further signal raises again: something swallowed the first one

_first = None                   # the number of the first signal that came
_raised = None                  # when it was raised, or None
_depth = 0                      # of noted() blocks
_wakeup = None                  # (read end, write end) of the pipe that a signal makes readable
_before = None                  # handlers, wakeup descriptor and hook of before


def install():
    """Handle signals as described above; those that the caller ignores (nohup) stay ignored. In the main thread only.
    Returns whether they were not handled before."""
    global _first, _raised, _wakeup, _before
    if _wakeup is not None or threading.current_thread() is not threading.main_thread():
        return False
    _first, _raised = None, None
    _wakeup = os.pipe()
    for end in _wakeup:
        os.set_blocking(end, False)
    handlers = {number: handler for number in ENDING
                if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)}
    _before = handlers, signal.set_wakeup_fd(_wakeup[1], warn_on_full_buffer=False), sys.unraisablehook
    sys.unraisablehook = _send_again
    for number in handlers:
        signal.signal(number, _handle)
    return True


def uninstall():
    """Handle signals as before install()."""
    global _first, _raised, _wakeup
    handlers, wakeup, sys.unraisablehook = _before
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.set_wakeup_fd(wakeup)
    for end in _wakeup:
        os.close(end)
    _first, _raised, _wakeup = None, None, None


def take_back():
    """Handle signals as before, after a library has set handlers of its own."""
    if _wakeup is not None:
        for number in ENDING:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _handle)


@contextlib.contextmanager
def handled():
    """Handle signals as described above within the block."""
    installed = install()
    try:
        yield
    finally:
        if installed:
            uninstall()


def ignore():
    """Ignore signals from here on: the work is done, and the status is known."""
    if _wakeup is not None:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)


def came():
    """Whether a signal that ends the command came: otherwise a SystemExit is that of code which called sys.exit()."""
    return _first is not None


def raise_taken(number):
    """Note a signal that a library took for itself, and raise it."""
    global _first
    if _first is None:
        _first = number
    _raise()


def raise_lost():
    """Raise what came and was raised once, but did not get here: something on the way swallowed it."""
    if _first is not None:
        _raise()


@contextlib.contextmanager
def noted():
    """Raise nothing within the block, except in check(); a signal that came is raised when the block ends."""
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
    if not _depth:
        check()


def check():
    """Raise what came and was not raised yet."""
    if _wakeup is not None:
        with contextlib.suppress(BlockingIOError):
            while os.read(_wakeup[0], 64):
                pass
    if _first is not None and not _raised:
        _raise()


def fileno():
    """A descriptor that a signal makes readable until the next check(); None where signals are not handled."""
    return None if _wakeup is None else _wakeup[0]


def _handle(number, frame):
    global _first
    if _first is None:
        _first = number
        if not _depth:
            _raise()
    elif _raised and time.monotonic() - _raised > SWALLOWED and not _depth:
        _raise()


def _raise():
    global _raised
    _raised = time.monotonic()
    raise KeyboardInterrupt if _first == signal.SIGINT else SystemExit(128 + _first)


def _send_again(unraisable):
    """Python dropped an exception in a finaliser: if it is that of a signal, raise it a moment later."""
    global _first, _raised
    if _first is None or not issubclass(unraisable.exc_type, (KeyboardInterrupt, SystemExit)):
        sys.__unraisablehook__(unraisable)
        return
    number, _first, _raised = _first, None, None
    timer = threading.Timer(AGAIN, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


@contextlib.contextmanager
def held():
    """A block in which none of STOPPING raises anything, whoever handles them; those that came are raised after it."""
    came, before = [], {}
    if threading.current_thread() is threading.main_thread():           # no other one can, or is interrupted
        for number in STOPPING:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):          # nohup; a handler that is not Python's
                before[number] = signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)
