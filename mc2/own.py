"""Files and directories that mc2 makes under names of its own: temporaries, work directories, locks, logs, caches.

Where others can write, somebody may have put a link, a pipe or a directory of theirs under such a name, by which mc2
would write to, empty or delete something else. So what is there already is used only where it is of the expected type,
belongs to this user and has no other name; it is refused otherwise, and nothing is touched. What is opened is looked at
by its descriptor, so that nothing can be put in its place after that.
"""
import contextlib
import errno
import os
import stat

from mc2.errors import BadData

# no link is followed, a pipe does not wait, a terminal does not become that of this process
CAREFULLY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
NOT_WHAT_WAS_EXPECTED = (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO)
MOST_LINKS = 40                         # that lead to a file, one to the next; Linux follows no more
TYPES = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a directory", stat.S_IFREG: "a file", stat.S_IFIFO: "a named pipe",
         stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def open_file(path, flags):
    """The descriptor of a file of one's own. flags: of os.open; with O_CREAT it is made where there is none.

    Raises BadData where something else is there, OSError as os.open does.
    """
    while True:
        if flags & os.O_CREAT:
            with contextlib.suppress(FileExistsError):
                return os.open(path, flags | os.O_EXCL | CAREFULLY, 0o666)
        try:
            return _opened(path, flags & ~os.O_CREAT, stat.S_ISREG)
        except FileNotFoundError:               # it was there a moment ago
            if not flags & os.O_CREAT:
                raise


def write_mark(path, text):
    """Write a file that says whose the directory is, unless it is there already."""
    with contextlib.suppress(OSError):
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode) and found.st_size:
            return
    with open(open_file(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a", encoding="utf-8") as stream:
        if not stream.tell():
            stream.write(text)


def open_directory(path, is_new=False):
    """The descriptor of a directory of one's own. Raises BadData where something else is there.

    is_new: this process has just made it; there are file systems on which all belongs to another user
    """
    return _opened(path, os.O_RDONLY | os.O_DIRECTORY, stat.S_ISDIR, any_owner=is_new)


@contextlib.contextmanager
def opened_directory(path):
    """As open_directory; the descriptor is closed when the block ends."""
    descriptor = open_directory(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def make_directory(path):
    """Make a directory of one's own, and those above it, as far as they are not there. Returns whether it had to be
    made. Raises BadData where something else is there."""
    path = os.path.normpath(path)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)
        return True
    os.close(open_directory(path))
    return False


def is_there(path):
    """Whether this is a directory of one's own; False where there is none that this user can open. Raises BadData where
    something else is there."""
    try:
        os.close(open_directory(path))
    except OSError:
        return False
    return True


def refuse_link(path):
    """Raise BadData for a directory within an output that is a link: what mc2 removes in it would be removed
    elsewhere."""
    if os.path.islink(path):
        raise BadData(f"{path}: is a link, and what mc2 writes and removes there would be written and removed "
                      f"elsewhere. Nothing was touched. Put a directory there, or name another output.")


def refuse_link_of_others(path):
    """Raise BadData where an output that the user named is a link that another user made, and so leads where that user
    wants it to. Links of this user, and those of the system, are followed."""
    for _ in range(MOST_LINKS):
        try:
            found = os.lstat(path)
        except OSError:
            return
        if not stat.S_ISLNK(found.st_mode):
            return
        if found.st_uid not in (os.geteuid(), 0):
            raise BadData(f"{path}: is a link that another user made, to {os.path.realpath(path)}. Nothing was "
                          f"touched. Name the file or directory itself.")
        path = os.path.join(os.path.dirname(path), os.readlink(path))


def empty(descriptor):
    """Delete all that is in a directory."""
    for name in os.listdir(descriptor):
        remove(name, descriptor)


def remove_directory(path):
    """Delete a directory of one's own with all that is in it, if it is there. Raises BadData where something else
    is."""
    with contextlib.suppress(FileNotFoundError), opened_directory(path) as descriptor:
        empty(descriptor)
        os.rmdir(path)


def remove(name, directory):
    """Delete what has this name in a directory, which another run may be emptying at the same time. directory: a
    descriptor"""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=directory)
            return
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | CAREFULLY, dir_fd=directory)
        try:
            empty(inner)
            os.rmdir(name, dir_fd=directory)
        finally:
            os.close(inner)


def _opened(path, flags, is_expected, any_owner=False):
    _check(path, os.lstat(path), is_expected, any_owner)       # before: to open a device can do something
    try:
        descriptor = os.open(path, flags | CAREFULLY)
    except OSError as error:
        if error.errno not in NOT_WHAT_WAS_EXPECTED:
            raise
        raise _planted(path, "is something else than a moment ago") from None
    try:
        _check(path, os.fstat(descriptor), is_expected, any_owner)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(path, found, is_expected, any_owner):
    """Raise BadData where an entry is not what mc2 makes. found: its os.stat_result"""
    if not is_expected(found.st_mode):
        raise _planted(path, f"is {TYPES.get(stat.S_IFMT(found.st_mode), 'something else')}")
    if not any_owner and found.st_uid != os.geteuid() and not _is_of_the_directory(path, found):
        raise BadData(f"{os.fspath(path)}: belongs to another user, who could have put anything there. Nothing was touched. "
                      f"Name another output, or have this one given to you (chown -R).")
    if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
        raise _planted(path, "is the same file as another one (a hard link)")


def _is_of_the_directory(path, found):
    """Whether an entry belongs to the owner of its directory, in which not everybody can write: then it is as that
    owner has it, whom a person who names a path there trusts. So it is for root, and where all files have one owner."""
    directory = os.stat(os.path.dirname(os.path.abspath(path)))
    return directory.st_uid == found.st_uid and not directory.st_mode & stat.S_IWOTH


def _planted(path, what):
    return BadData(f"{os.fspath(path)}: {what}, and mc2 makes what has this name itself, so somebody else may have put "
                   f"it there. Nothing was touched. See what it is, and remove it.")
