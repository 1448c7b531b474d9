"""Open any input and write any output the same way.

Inputs: a path, a URL, `-` for stdin, `.gz` and `.zst` decompressed; one that was cut off is an error.
Outputs appear whole or not at all: they are written under a temporary name in the same directory
(see temporaries.py), synced, and renamed. URLs: remote.py.
"""
import contextlib
import errno
import gzip
import io
import os
import posixpath
import pwd
import re
import shutil
import stat
import sys
import tempfile
import zlib

import zstandard

from mc2 import temporaries
from mc2.errors import BadData, BadUsage

BLOCK = 1 << 20                 # bytes: the unit of reading
READ_AHEAD = 1 << 17            # bytes that are read at least
TOO_LONG = b"\0too long"         # stands for the rest of a line; with it, a line is no JSON whatever came before
STDIN = "<stdin>"
STDOUT = "<stdout>"
LONGEST_WINDOW = 1 << 31        # bytes: what `zstd --long=31` needs
# s3://bucket/key, and chains: zip://member::s3://bucket/key, simplecache::s3://bucket/key, simplecache::path
_URL = re.compile("[A-Za-z][A-Za-z0-9+._-]+(://|::.*://)|(simplecache|filecache|blockcache|cached)::")


def name_of(path):
    """How an input is called in messages and manifests: text in any case, whatever bytes the name has."""
    return STDIN if path == "-" else printable(os.fspath(path))


def printable(text):
    """Text with the bytes of file names that are not UTF-8 (in Python: lone surrogates) spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


# ---------------------------------------------------------------- paths and URLs

def is_remote(path):
    return _URL.match(os.fspath(path)) is not None


def _place(path):
    """A path, or a URL without its query; of a chain of URLs the one that names the file."""
    if not is_remote(path):
        return path
    links = [link.split("?")[0] for link in path.split("::")]
    return next((link for link in links if link.partition("://")[2]), links[-1])


def has_suffix(path, *suffixes):
    return _place(os.fspath(path)).endswith(suffixes)


def is_parquet(path):
    return has_suffix(path, ".parquet")


def base_name(path):
    """The last part of a path or URL: what its shard is called."""
    return os.path.basename(_place(path))


def common_folder(paths):
    """The deepest folder that holds all of these paths or URLs; None where there is none, as for a path and a URL."""
    shared = os.path.commonprefix([_steps(path)[:-1] for path in paths])
    return shared[0] + "/".join(shared[1:]) if shared else None


def name_below(path, folder):
    """What a path or URL is called from a folder that holds it, with `/` between its parts; None outside of it."""
    steps, above = _steps(path), _steps(folder)
    return "/".join(steps[len(above):]) if steps[:len(above)] == above and len(steps) > len(above) else None


def _steps(path):
    """The parts of a path or URL from its root, which is the first of them."""
    scheme, divider, rest = _place(path).partition("://") if is_remote(path) else ("", "", os.path.abspath(path))
    return [scheme + (divider or "/"), *(step for step in posixpath.normpath("/" + rest).split("/") if step)]


def identity(path):
    """One name for all names of a file: what two paths or URLs of one file have in common."""
    local = re.fullmatch("(?:file|local)://([^?]*)", path)
    return path if is_remote(path) and not local else os.path.realpath(local[1] if local else path)


def exists(path):
    if is_remote(path):
        from mc2 import remote
        return remote.info(path) is not None
    return os.path.exists(path)


def is_directory(path):
    if is_remote(path):
        from mc2 import remote
        return (remote.info(path) or {}).get("type") == "directory"
    return os.path.isdir(path)


def size(path):
    """Bytes of a file. Raises FileNotFoundError."""
    if is_remote(path):
        from mc2 import remote
        if (found := remote.info(path)) is None:
            raise FileNotFoundError(path)
        return found["size"]
    return os.stat(path).st_size


def is_kept(path):
    """Whether an output is a file, with a manifest beside it: not a pipe, a device or stdout."""
    return path != "-" and (is_remote(path) or os.path.isfile(path))


def names_in(directory):
    """The names in a directory; [] where there is none."""
    if is_remote(directory):
        from mc2 import remote
        return remote.names(directory)
    return os.listdir(directory) if os.path.isdir(directory) else []


def remove(path):
    """Remove a file, if it is there."""
    if is_remote(path):
        from mc2 import remote
        remote.remove(path)
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def make_directory(path):
    if not is_remote(path):             # a remote one comes with its first file
        os.makedirs(path, exist_ok=True)


def user_cache(name):
    """A directory of this user for what can be made again, by XDG_CACHE_HOME and HOME; None where no home is known."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.environ.get("HOME") or _home(), ".cache")
    return os.path.join(base, "mc2", name) if os.path.isabs(base) else None


def _home():
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:                    # a user without a name, as in a container
        return ""


def map_paths(function, paths):
    """[function(path)]; for URLs at the same time."""
    if any(map(is_remote, paths)):
        from mc2 import remote
        return remote.map_at_once(function, paths)
    return [function(path) for path in paths]


# ---------------------------------------------------------------- reading

def open_raw(path, at_random=False):
    """The bytes of a file as they are: a binary stream. at_random: read from here and there, in large parts."""
    if is_remote(path):
        from mc2 import remote
        return remote.open_read(path, at_random)
    return io.BufferedReader(_Input(path), READ_AHEAD)


@contextlib.contextmanager
def open_read(path, suffix=None):
    """Open an input (a path, or `-` for stdin) as a binary stream, decompressed by its suffix, or by the one given.

    Raises BadData when a compressed input is damaged or cut off.
    """
    suffix = suffix or path
    with _opened(path) as raw:
        if has_suffix(suffix, *FRAMES):
            yield io.BufferedReader(_FrameReader(_decompressed(raw, suffix)), BLOCK)
        elif has_suffix(suffix, ".bz2"):
            import bz2
            yield _nonempty(bz2.BZ2File(raw), raw)
        else:
            yield io.BufferedReader(raw, BLOCK) if is_remote(path) else raw


@contextlib.contextmanager
def _opened(path):
    """The bytes of an input as they are, with BadData for what is wrong with it when it is decompressed."""
    name = name_of(path)
    with contextlib.ExitStack() as stack:
        try:
            yield io.BufferedReader(_Input(sys.stdin.fileno(), STDIN), READ_AHEAD) if path == "-" \
                else stack.enter_context(open_raw(path))
        except EOFError:
            raise BadData(f"{name}: the compressed data is cut off. Make or fetch the file again.") from None
        except (zlib.error, zstandard.ZstdError, _BadCompression) as error:
            raise BadData(f"{name}: the compressed data is damaged ({error}). "
                          f"Make or fetch the file again.") from None


class _Input(io.FileIO):
    """A file opened for reading, without a buffer. An error while reading names it."""

    def __init__(self, file, path=None):
        """file: a path, or the descriptor of what is called `path`, which stays open."""
        super().__init__(file, "rb", closefd=path is None)
        self.path = file if path is None else path

    def readinto(self, buffer):
        with _named(self.path):
            return super().readinto(buffer)

    def read(self, size=-1):
        with _named(self.path):
            return super().read(size)

    def readall(self):
        with _named(self.path):
            return super().readall()

    def seek(self, offset, whence=io.SEEK_SET):
        with _named(self.path):
            return super().seek(offset, whence)


class _BadCompression(Exception):
    """Damage that the decompressor reports as a plain OSError."""


class _Checked(io.RawIOBase):
    """A decompressing reader that treats no bytes at all as a cut-off file, and tells damage from disk errors."""

    def __init__(self, stream):
        self.stream = stream

    def readable(self):
        return True

    def readinto(self, buffer):
        try:
            return self.stream.readinto(buffer)
        except gzip.BadGzipFile:
            raise
        except OSError as error:
            if error.errno is None:             # bz2: "Invalid data stream"
                raise _BadCompression(error) from None
            raise


def _nonempty(stream, raw):
    """A compressed file of zero bytes is a cut-off file, not an empty one."""
    if raw.seekable():
        here = raw.tell()
        if raw.seek(0, os.SEEK_END) == 0:
            raise EOFError
        raw.seek(here)
    return io.BufferedReader(_Checked(stream), BLOCK)


class _FrameReader(io.RawIOBase):
    """A stream of decompressed chunks."""

    def __init__(self, chunks):
        self.chunks = chunks
        self.pending = memoryview(b"")  # of a chunk, not yet handed out

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self.pending:
            self.pending = memoryview(next(self.chunks, b""))
        count = min(len(buffer), len(self.pending))
        buffer[:count] = self.pending[:count]
        self.pending = self.pending[count:]
        return count


def _zstd():
    return zstandard.ZstdDecompressor(max_window_size=LONGEST_WINDOW).decompressobj(write_size=BLOCK)


def _gzip():
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)        # with gzip's header and checksum


FRAMES = {".zst": _zstd, ".gz": _gzip}          # formats of one frame after another, each with a decompressor of its own
COMPRESSED_CHUNK = 1 << 16                      # bytes that are read at a time
# Bytes that are decompressed at a time. What comes out of them is in memory at once: 4 MB of gzip at most, and 40 MB of one
# line repeated without end in zstd.
COMPRESSED_PART = 1 << 12


def _decompressed(raw, suffix):
    """Yield what the frames of a stream hold, in chunks that are not empty. Raises EOFError where the last one does not
    end: the readers of zstandard take such a file for a complete one."""
    start = next(FRAMES[end] for end in FRAMES if has_suffix(suffix, end))
    frame, started = None, False                # the frame under way
    while chunk := raw.read(COMPRESSED_CHUNK):
        while chunk:
            if frame is None and started and start is _gzip and not (chunk := chunk.lstrip(b"\0")):
                break                           # zeros may follow a frame of gzip
            frame, started = frame or start(), True
            part, chunk = chunk[:COMPRESSED_PART], chunk[COMPRESSED_PART:]
            if decompressed := frame.decompress(part):
                yield decompressed
            if frame.eof:
                chunk, frame = frame.unused_data + chunk, None
    if frame is not None or not started:
        raise EOFError


def read_blocks(path, size=BLOCK, longest=None):
    """Yield (number of the first line, bytes) for runs of whole lines of about `size` bytes.

    longest: bytes of a line; of one that has more, so many come, and TOO_LONG. None = lines of any length, in memory.
    """
    number, held, n_held = 1, [], 0             # of a run: parts of chunks, their bytes
    with _chunks(path, size) as chunks:
        for chunk in chunks if longest is None else _cut_long_lines(chunks, longest):
            start = 0
            while start < len(chunk):
                full = max(start, start + size - n_held)
                cut = (chunk.rfind(b"\n", start, full) + 1 or chunk.find(b"\n", full) + 1) if full <= len(chunk) else 0
                part = memoryview(chunk)[start:cut or len(chunk)]
                held.append(part)
                n_held += len(part)
                if not cut:                     # less than a run, or one line longer than it
                    break
                block = b"".join(held)
                yield number, block
                number += lines_in(block)
                start, held, n_held = cut, [], 0
    if held:
        yield number, b"".join(held)


def _cut_long_lines(chunks, longest):
    """The chunks of a stream without what goes beyond `longest` bytes of a line, for which TOO_LONG comes."""
    length = 0                                  # bytes of the line under way that came before; None: it is cut off
    for chunk in chunks:
        start = 0
        while start < len(chunk):
            if length is None:                  # pass over the rest of the line
                start = chunk.find(b"\n", start)
                if start < 0:
                    break
                length = 0
            most = start + longest - length     # the line under way may go as far
            if most >= len(chunk):
                end = chunk.rfind(b"\n", start) + 1
                length = len(chunk) - end if end else length + len(chunk) - start
                yield chunk[start:]
                break
            end = chunk.rfind(b"\n", start, most + 1) + 1
            length = 0 if end else None
            yield chunk[start:end] if end else chunk[start:most] + TOO_LONG
            start = end or most


def lines_in(block):
    """The number of newlines in a block of bytes."""
    import numpy as np
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))       # bytes.count takes four times as long


@contextlib.contextmanager
def _chunks(path, size):
    """The bytes of an input, decompressed, as an iterator of chunks of any length: with as few copies as can be."""
    if has_suffix(path, *FRAMES):
        with _opened(path) as raw:
            yield _decompressed(raw, path)
    else:
        with open_read(path) as stream:
            yield iter(lambda: stream.read(size), b"")


def read_lines(path):
    """Yield (line number, line without its newline) of a text file, decoded from UTF-8."""
    for number, block in read_blocks(path):
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        for number, line in enumerate(lines, number):
            try:
                yield number, line.decode("utf-8")
            except UnicodeDecodeError:
                raise BadData(f"{name_of(path)}:{number}: not UTF-8.") from None


# ---------------------------------------------------------------- writing

@contextlib.contextmanager
def open_write(path, parquet=False, suffix=None):
    """Open an output (a path, a URL, or `-` for stdout) for writing bytes, compressed by its suffix, or by the one given.

    A regular file appears, whole, when the block ends without an exception; a manifest of the file that
    it replaces goes. Pipes and devices are written directly. Raises BadUsage for what cannot be written,
    also rather than send compressed bytes to a terminal. parquet: the bytes are Parquet.
    """
    path = os.fspath(path)
    refuse_unwritable(path, parquet)
    if is_remote(path):
        with _open_upload(path) as stream:
            yield stream
    elif path == "-":
        raw = _Output(STDOUT, sys.stdout.fileno(), closefd=False)
        with _compressed(raw, suffix or "") as stream:
            yield stream
    elif is_special(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
        with _Output(path, descriptor) as raw, _compressed(raw, suffix or path) as stream:
            yield stream
    else:
        path = os.path.realpath(path)           # a link stays a link; its target is replaced
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = temporaries.name_of(path)
        with temporaries.claimed(temporary, path, os.O_RDWR | os.O_CREAT) as descriptor, \
                io.BufferedWriter(_Output(path, descriptor, closefd=False), BLOCK) as raw:
            os.truncate(descriptor, 0)
            with _compressed(raw, path) as stream:
                yield stream
            raw.flush()
            with _named(path):
                os.fsync(descriptor)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(manifest_name(path))  # it must not speak for the new file
            os.replace(temporary, path)         # still locked: nobody else can take the name before


@contextlib.contextmanager
def _open_upload(url):
    """A stream to a local temporary file that goes to the URL when the block ends without an exception."""
    from mc2 import remote
    remote.refuse_unwritable(url)
    temporary = os.path.join(tempfile.gettempdir(), f".mc2-{os.getpid()}-{os.urandom(8).hex()}.tmp")
    with temporaries.discarded_on_error(temporary), \
            io.BufferedWriter(_Output(temporary, os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)), BLOCK) as raw:
        with _compressed(raw, url) as stream:
            yield stream
        raw.flush()
        remote.upload(temporary, url, manifest_name(url))
        os.unlink(temporary)


class _Output(io.FileIO):
    """A file opened for writing, without a buffer. An error while writing names it."""

    def __init__(self, path, descriptor, closefd=True):
        super().__init__(descriptor, "wb", closefd)
        self.path = path

    def write(self, data):
        rest = memoryview(data)
        with _named(self.path):
            while rest:
                rest = rest[super().write(rest):]
        return len(data)


@contextlib.contextmanager
def _named(path):
    """Give an OSError of the block that names no file this name."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = path
        raise


def refuse_unwritable(path, parquet):
    """Raise BadUsage for an output that cannot be written. parquet: whether it may be Parquet."""
    if os.path.isdir(path):
        raise BadUsage(f"{path}: is a directory. Name a file.")
    if is_remote(path) and not base_name(path):
        raise BadUsage(f"{path}: names no file.")
    if is_parquet(path) and not parquet:
        raise BadUsage(f"{path}: this output is not written as Parquet. Name it otherwise, e.g. .jsonl.")
    if has_suffix(path, ".bz2", ".xz"):
        raise BadUsage(f"{path}: this format is not written. Name a .jsonl, .jsonl.gz, .jsonl.zst or .parquet.")
    refuse_read_only(path)


def refuse_read_only(path):
    """Raise PermissionError for an output that is there, and that this user made read-only, or another user owns: it
    would be replaced all the same, where its directory can be written."""
    if not is_remote(path) and os.path.exists(path) and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "Permission denied. It is there and may not be written: remove it, or name "
                              "another output", path)


def manifest_name(path):
    """The path or URL of the manifest of the file `path`."""
    if is_remote(path) and "?" in path:
        return path.replace("?", ".manifest.json?", 1)
    return f"{path}.manifest.json"


def is_special(path):
    try:
        return path.startswith("/dev/fd/") or not stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


def _compressed(raw, path):
    if has_suffix(path, ".zst", ".gz") and raw.isatty():
        raise BadUsage(f"{raw.path}: refusing to write compressed data to a terminal.")
    if has_suffix(path, ".zst"):
        return zstandard.ZstdCompressor(level=1, write_checksum=True).stream_writer(raw, closefd=False)
    if has_suffix(path, ".gz"):
        return gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0, filename="")
    return contextlib.nullcontext(raw)


@contextlib.contextmanager
def open_directory(path):
    """Yield a temporary directory that takes the place of `path`, whole, when the block ends well."""
    if is_remote(path):
        raise BadUsage(f"{path}: this directory is made on local disks only. Make it there, then copy it.")
    path = os.path.realpath(path)
    refuse_read_only(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = temporaries.name_of(path)
    with temporaries.claimed(temporary, path, os.O_RDONLY, os.makedirs) as descriptor, _named(path):
        _empty(temporary)
        yield temporary
        for name in os.listdir(temporary):
            _sync(os.path.join(temporary, name))
        os.fsync(descriptor)
        _replace_directory(temporary, path)


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _empty(directory):
    for entry in os.scandir(directory):
        shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)


def _replace_directory(new, path):
    """Rename `new` to `path`; an old `path` is swapped out in one step where the system can, then deleted."""
    if not os.path.isdir(path):
        os.rename(new, path)
        return
    if not _exchange(new, path):
        os.rename(path, new + ".old")
        os.rename(new, path)
        new += ".old"
    shutil.rmtree(new)


def _exchange(a, b):
    """Swap two directory entries atomically (Linux renameat2). False where that is not to be had."""
    import ctypes
    at_fdcwd, rename_exchange = -100, 2
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    return renameat2(at_fdcwd, os.fsencode(a), at_fdcwd, os.fsencode(b), rename_exchange) == 0


def write_bytes(path, data):
    with open_write(path) as stream:
        stream.write(data)
