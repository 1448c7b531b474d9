"""Temporary files and directories: an output is written under a temporary name beside it (`.NAME.tmp`), then renamed.

They are locked while they are written, so what a killed run left behind is told apart from what another run is writing,
and reused. What this process is writing is known here before it is made, so that whatever ends it leaves nothing.
"""
import contextlib
import fcntl
import os
import shutil
import time

from mc2.errors import Mc2Error

_unfinished = {}                # path that this process is writing -> its descriptor, or None


def name_of(path):
    """The path of the temporary file or directory of an output."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.tmp")


@contextlib.contextmanager
def discarded_on_error(temporary, descriptor=None):
    """Delete a temporary file or directory when the block ends with an error. It is entered before the file is made,
    so that a signal in between leaves nothing; what a second signal leaves, discard_unfinished() finds.

    descriptor: of the file, where this process holds its lock already
    """
    _unfinished[temporary] = descriptor
    try:
        yield
    except BaseException:
        _discard(temporary)
        raise
    _unfinished.pop(temporary, None)


def _discard(temporary):
    """Delete a temporary file or directory, unless another process is writing it."""
    descriptor = _unfinished.get(temporary)
    with contextlib.suppress(OSError):
        own = os.open(temporary, os.O_RDONLY) if descriptor is None else descriptor
        try:
            fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.path.samestat(os.fstat(own), os.stat(temporary))
        except BlockingIOError:
            is_ours = False
        except OSError:                         # a file system without locks
            is_ours = os.path.exists(temporary)
        finally:
            if descriptor is None:
                os.close(own)
        if is_ours:
            shutil.rmtree(temporary, ignore_errors=True) if os.path.isdir(temporary) else os.unlink(temporary)
    _unfinished.pop(temporary, None)


def discard_abandoned(path):
    """Delete the temporary file of an output that a killed process was writing, unless another process is writing it."""
    if os.path.exists(temporary := name_of(os.path.realpath(path))):
        _discard(temporary)


def discard_unfinished():
    """Delete the temporary outputs of this process: for one that ends without unwinding its stack."""
    for temporary in list(_unfinished):
        _discard(temporary)


@contextlib.contextmanager
def claimed(temporary, path, flags, make=None):
    """Make, open and lock a temporary file or directory, which is deleted when the block ends with an error; yields its
    descriptor. It is locked until it is renamed or deleted; the lock of a killed process goes with it."""
    descriptor = None
    try:
        with discarded_on_error(temporary):
            with _called(path, temporary):
                if make:
                    make(temporary, exist_ok=True)
                descriptor = _claim(temporary, path, flags)
            yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextlib.contextmanager
def _called(path, temporary):
    """Give an OSError that names the temporary file the name of the output."""
    try:
        yield
    except OSError as error:
        if error.filename == temporary:
            error.filename = path
        raise


def _claim(temporary, path, flags):
    while True:
        descriptor = _unfinished[temporary] = os.open(temporary, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _unfinished[temporary] = None
            os.close(descriptor)
            raise Mc2Error(f"{path}: another run is writing this output. Wait for it to end.") from None
        except OSError:
            return descriptor                   # a file system without locks
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(temporary)):
                return descriptor
        _unfinished[temporary] = None           # its owner renamed it meanwhile: this is no longer a temporary
        os.close(descriptor)


@contextlib.contextmanager
def locked(directory, busy):
    """Hold the lock of a directory, which is made if need be; yields its descriptor. The lock is on the directory itself,
    so no lock file remains, and that of a killed process goes with it. Raises Mc2Error with the message `busy` when it
    is held."""
    descriptor = _locked(directory, busy)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(directory, busy):
    """The descriptor of a directory that is locked."""
    while True:
        os.makedirs(directory, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY)
        for patience in (0.05, 0.1, 0.2, None):         # seconds: the one that holds it may be about to end
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if patience is None:
                    os.close(descriptor)
                    raise Mc2Error(busy) from None
                time.sleep(patience)
            except OSError:
                return descriptor                       # a file system without locks
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(directory)):
                return descriptor
        os.close(descriptor)                            # it was renamed or deleted meanwhile
