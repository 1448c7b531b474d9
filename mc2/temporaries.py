"""Temporary files and directories: an output is written under a temporary name beside it (`.NAME.tmp`), then renamed.

They are locked while they are written, so what a killed run left behind is told apart from what another run is writing,
and reused. What this process is writing is known here before it is made, so that whatever ends it leaves nothing. What
somebody else put under such a name is refused (see own.py).
"""
import contextlib
import fcntl
import os
import stat
import time

from mc2 import own
from mc2.errors import BadData, Mc2Error

# In place of a descriptor: the temporary is a link that this process makes; it is not one of mc2, and stays as it is
LINK, FOREIGN = "link", "foreign"
_unfinished = {}                # path that this process is writing -> its descriptor, one of these or None


def name_of(path):
    """The path of the temporary file or directory of an output."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.tmp")


@contextlib.contextmanager
def discarded_on_error(temporary, descriptor=None):
    """Delete a temporary file or directory when the block ends with an error. It is entered before the file is made,
    so that a signal in between leaves nothing; what a second signal leaves, discard_unfinished() finds.

    descriptor: of the file, where this process holds its lock already; LINK: it is a symbolic link
    """
    _unfinished[temporary] = descriptor
    try:
        yield
    except BaseException:
        _discard(temporary)
        raise
    _unfinished.pop(temporary, None)


def _discard(temporary):
    """Delete a temporary file or directory, unless another process is writing it, or it is not one of mc2."""
    descriptor = _unfinished.get(temporary)
    with contextlib.suppress(OSError, BadData):
        if descriptor == LINK:
            os.unlink(temporary)
        elif descriptor == FOREIGN:
            pass
        elif descriptor is not None:
            _delete(temporary, descriptor)
        else:
            descriptor = _opened(temporary)
            try:
                _delete(temporary, descriptor)
            finally:
                os.close(descriptor)
    _unfinished.pop(temporary, None)


def _delete(temporary, descriptor):
    """Delete what is open, where it is still there under this name, and no other process holds its lock."""
    if _is_free(descriptor) and _is_at(descriptor, temporary):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            own.empty(descriptor)
            os.rmdir(temporary)
        else:
            os.unlink(temporary)


def _is_free(descriptor):
    """Whether no other process holds the lock of what is open; it is this one's now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:                             # a file system without locks
        pass
    return True


def _opened(temporary):
    """The descriptor of a temporary file or directory that is there. Raises OSError, BadData."""
    if stat.S_ISDIR(os.lstat(temporary).st_mode):
        return own.open_directory(temporary)
    return own.open_file(temporary, os.O_RDONLY)


def _is_at(descriptor, path):
    """Whether what is open is what is there under this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def discard_abandoned(path):
    """Delete the temporary file of an output that a killed process was writing, unless another process is writing
    it."""
    if os.path.isfile(temporary := name_of(os.path.realpath(path))):
        _discard(temporary)


def discard_unfinished():
    """Delete the temporary outputs of this process: for one that ends without unwinding its stack."""
    for temporary in list(_unfinished):
        _discard(temporary)


@contextlib.contextmanager
def claimed(temporary, path, is_directory=False):
    """Make, open and lock a temporary file or directory, which is deleted when the block ends with an error; yields its
    descriptor. It is locked until it is renamed or deleted; the lock of a killed process goes with it. Raises BadData,
    and leaves it as it is, where something else is there."""
    descriptor = None
    try:
        with discarded_on_error(temporary):
            with _called(path, temporary):
                try:
                    descriptor = _claim(temporary, path, is_directory)
                except BadData:
                    _unfinished[temporary] = FOREIGN
                    raise
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


def _claim(temporary, path, is_directory):
    while True:
        if is_directory:
            descriptor = own.open_directory(temporary, own.make_directory(temporary))
        else:
            descriptor = own.open_file(temporary, os.O_RDWR | os.O_CREAT)
        _unfinished[temporary] = descriptor
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _unfinished[temporary] = None
            os.close(descriptor)
            raise Mc2Error(f"{path}: another run is writing this output. Wait for it to end.") from None
        except OSError:
            return descriptor                   # a file system without locks
        if _is_at(descriptor, temporary):
            return descriptor
        _unfinished[temporary] = None           # its owner renamed it meanwhile: this is no longer a temporary
        os.close(descriptor)


@contextlib.contextmanager
def locked(directory, busy, is_own=False):
    """Hold the lock of a directory, which is made if need be; yields its descriptor. The lock is on the directory
    itself, so no lock file remains, and that of a killed process goes with it. Raises Mc2Error with the message `busy`
    when it is held.

    is_own: the name is not the user's, but one of mc2; BadData is raised where something else is there
    """
    descriptor = _locked(directory, busy, is_own)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(directory, busy, is_own):
    """The descriptor of a directory that is locked."""
    while True:
        if is_own:
            descriptor = own.open_directory(directory, own.make_directory(directory))
        else:
            os.makedirs(directory, exist_ok=True)
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
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
