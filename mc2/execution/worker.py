"""One item of a task, with a log of its own: the work of a worker, whichever executor started it."""
import errno
import os
import pickle
import socket
import time
import traceback

from mc2 import own
from mc2.errors import BadData, Mc2Error
from mc2.invisible import escaped, escaped_lines

LONGEST_TRACE = 3000                # characters of an error that goes to another process


def do(task, item):
    """Do one item. Returns (pairs, error); the error is one that can be pickled, or None."""
    started = time.monotonic()
    log = _Log(task.log_path(item), task.name)
    log.write("begins")
    try:
        pairs = task(item)
    except Exception as error:
        trace = traceback.format_exc()
        log.write(escaped(f"fails after {time.monotonic() - started:.1f} s: {error}") + "\n" + escaped_lines(trace))
        error = portable(error)
        error.trace = trace[-LONGEST_TRACE:]            # for -v
        return 0, error
    log.write(f"done: {pairs:,} pairs, {time.monotonic() - started:.1f} s")
    return pairs, None


class _Log:
    """Appends lines to the log of a shard: when, where, which task. path: None = no log"""

    def __init__(self, path, task):
        self.path, self.task = path, task

    def write(self, text):
        if self.path is None:
            return
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {socket.gethostname()} {os.getpid()} {self.task}: {text}\n"
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            descriptor = own.open_file(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            with open(descriptor, "a", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(line)
        except OSError as error:            # the work itself tells when the disk is full
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise


def portable(error):
    """The error in a form that can go to another process, and is small."""
    if isinstance(error, (Mc2Error, OSError)):
        try:
            data = pickle.dumps(error)
            if len(data) <= LONGEST_TRACE and str(pickle.loads(data)) == str(error):
                return error
        except Exception:
            pass
    text = f"{error}" if isinstance(error, Mc2Error) else f"{type(error).__name__}: {error}"
    short = (BadData if isinstance(error, BadData) else Mc2Error)(
        text.encode("utf-8", "backslashreplace")[:LONGEST_TRACE // 2].decode("utf-8", "ignore"))
    short.status = getattr(error, "status", 1)
    return short
