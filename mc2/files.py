"""Open any input and write any output the same way.

Inputs: a path, a URL, `-` for stdin, `.gz`, `.zst`, `.bz2` and `.xz` decompressed; one that was cut off is an error.
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

from mc2 import engines, own, temporaries
from mc2.decompression import FRAMES, BadXz, Bomb, decompressed
from mc2.errors import BadData, BadUsage

BLOCK = 1 << 20                 # bytes: the unit of reading
COMPRESSED = (".zst", ".gz", ".bz2", ".xz")            # suffixes of what is decompressed when it is read
READ_AHEAD = 1 << 17            # bytes that are read at least
TOO_LONG = b"\0too long"         # stands for the rest of a line; with it, a line is no JSON whatever came before
STDIN = "<stdin>"
STDOUT = "<stdout>"
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
    """Whether an output is a file, with a manifest beside it: not a pipe, a device, stdout or an open descriptor."""
    return path != "-" and (is_remote(path) or os.path.isfile(path) and descriptor_of(path) is None)


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
    with open_as_it_is(path) as raw:
        if has_suffix(suffix, *FRAMES):
            yield io.BufferedReader(_FrameReader(_frames(raw, suffix)), BLOCK)
        elif has_suffix(suffix, ".bz2"):
            import bz2
            yield _nonempty(bz2.BZ2File(raw), raw)
        else:
            yield io.BufferedReader(raw, BLOCK) if is_remote(path) else raw


@contextlib.contextmanager
def open_as_it_is(path):
    """The bytes of an input (a path, or `-` for stdin) as they are, with BadData for what is wrong with it when it is
    decompressed."""
    name = name_of(path)
    with contextlib.ExitStack() as stack:
        try:
            yield io.BufferedReader(_Input(sys.stdin.fileno(), STDIN), READ_AHEAD) if path == "-" \
                else stack.enter_context(open_raw(path))
        except EOFError:
            raise BadData(f"{name}: the compressed data is cut off. Make or fetch the file again.") from None
        except (zlib.error, zstandard.ZstdError, BadXz, _BadCompression) as error:
            raise BadData(f"{name}: the compressed data is damaged ({error}). "
                          f"Make or fetch the file again.") from None
        except Bomb as error:
            raise BadData(f"{name}: {error}. If it is yours, decompress it: {_tool_for(name)} {name}") from None


def _tool_for(name):
    return "xz -d" if has_suffix(name, ".xz") else "zstd -d --long=31"


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


def _frames(raw, name):
    """What the frames of a stream hold, in chunks, by the suffix of its name."""
    return decompressed(raw, next(suffix for suffix in FRAMES if has_suffix(name, suffix)))


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


def read_blocks(path, size=BLOCK, longest=None):
    """Yield (number of the first line, bytes) for runs of whole lines of about `size` bytes.

    longest: bytes of a line; of one that has more, so many come, and TOO_LONG. None = lines of any length, in memory.
    """
    with open_chunks(path, size) as chunks:
        yield from blocks_of(chunks, size, longest)


def blocks_of(chunks, size=BLOCK, longest=None):
    """What read_blocks gives, of an iterable of bytes."""
    number, held, n_held = 1, [], 0             # of a run: parts of chunks, their bytes
    for chunk in chunks if longest is None else _cut_long_lines(chunks, longest):
        start = 0
        while start < len(chunk):
            full = max(start, start + size - n_held)
            cut = (chunk.rfind(b"\n", start, full) + 1 or chunk.find(b"\n", full) + 1) if full <= len(chunk) else 0
            part = memoryview(chunk)[start:cut or len(chunk)]
            held.append(part)
            n_held += len(part)
            if not cut:                         # less than a run, or one line longer than it
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
    if native := engines.native():
        return native.count_newlines(block)
    import numpy as np
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))   # bytes.count takes four times as long


@contextlib.contextmanager
def open_chunks(path, size=BLOCK):
    """The bytes of an input, decompressed, as an iterator of chunks of any length: with as few copies as can be."""
    if has_suffix(path, *FRAMES):
        with open_as_it_is(path) as raw:
            yield _frames(raw, path)
    else:
        with open_read(path) as stream:
            yield iter(lambda: stream.read(size), b"")


def read_lines(path):
    """Yield (line number, line without its newline) of a text file, decoded from UTF-8."""
    for first, block in read_blocks(path):
        try:
            lines = block.decode("utf-8").split("\n")
        except UnicodeDecodeError as error:
            lines = block[:block.rfind(b"\n", 0, error.start) + 1].decode("utf-8").split("\n")     # those before it
            yield from enumerate(lines[:-1], first)
            raise BadData(f"{name_of(path)}:{first + len(lines) - 1}: not UTF-8.") from None
        if not lines[-1]:
            lines.pop()
        yield from enumerate(lines, first)


# ---------------------------------------------------------------- writing

@contextlib.contextmanager
def open_write(path, parquet=False, suffix=None, is_own=False):
    """Open an output (a path, a URL, or `-` for stdout) for writing bytes, compressed by its suffix, or by the one
    given.

    A regular file appears, whole, when the block ends without an exception; a manifest of the file that
    it replaces goes. Pipes and devices are written directly. Raises BadUsage for what cannot be written,
    also rather than send compressed bytes to a terminal. parquet: the bytes are Parquet.

    is_own: the name is not the user's, but one that mc2 gives (a shard in an output directory, a manifest, an
    intermediate file, a cache): a link or a pipe that is there is replaced; otherwise a link stays a link, and its
    target is replaced
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
    elif not is_own and is_special(path):
        with _named(path):
            descriptor = _open_special(path)
        with _Output(path, descriptor) as raw, _compressed(raw, suffix or path) as stream:
            yield stream
    else:
        path = _without_link(path) if is_own else _target(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = temporaries.name_of(path)
        with temporaries.claimed(temporary, path) as descriptor, \
                _Output(path, descriptor, closefd=False) as output, io.BufferedWriter(output, BLOCK) as raw:
            os.truncate(descriptor, 0)
            with _compressed(raw, path) as stream:
                yield stream
            raw.flush()
            with _named(path):
                os.fsync(descriptor)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(manifest_name(path))  # it must not speak for the new file
            os.replace(temporary, path)         # still locked: nobody else can take the name before
            _remember(path, _identity_of(os.fstat(descriptor)), output.crc32)


def _open_special(path):
    """A descriptor of a pipe or a device; one that is open already, as /dev/stderr, goes on where it is."""
    if (descriptor := descriptor_of(path)) is not None:
        return os.dup(descriptor)
    own.refuse_link_of_others(path)
    return os.open(path, os.O_WRONLY | os.O_TRUNC)


def _target(path):
    """Where an output goes that the user named: a link stays a link, and its target is replaced."""
    own.refuse_link_of_others(path)
    return os.path.realpath(path)


def _without_link(path):
    """The path with the links of its directory resolved, but not its last part."""
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)


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
        self.crc32 = 0                  # of what was written; None where it was not written from start to end

    def seek(self, offset, whence=io.SEEK_SET):
        self.crc32 = None
        return super().seek(offset, whence)

    def truncate(self, size=None):
        self.crc32 = None
        return super().truncate(size)

    def write(self, data):
        rest = memoryview(data)
        if self.crc32 is not None:
            self.crc32 = zlib.crc32(rest, self.crc32)
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
    refuse_empty(path)
    if os.path.isdir(path):
        raise BadUsage(f"{path}: is a directory. Name a file.")
    if is_remote(path) and not base_name(path):
        raise BadUsage(f"{path}: names no file.")
    if is_parquet(path) and not parquet:
        raise BadUsage(f"{path}: this output is not written as Parquet. Name it otherwise, e.g. .jsonl.")
    if has_suffix(path, ".bz2", ".xz"):
        raise BadUsage(f"{path}: this format is not written. Name a .jsonl, .jsonl.gz, .jsonl.zst or .parquet.")
    refuse_read_only(path)


def refuse_empty(path):
    """Raise BadUsage for an output without a name, as a variable of the shell that is not set gives it."""
    if not os.fspath(path):
        raise BadUsage("the name of an output is empty. Name a file or directory.")


def refuse_read_only(path):
    """Raise PermissionError for an output that is there, and that this user made read-only, or another user owns: it
    would be replaced all the same, where its directory can be written."""
    if not is_remote(path) and os.path.exists(path) and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "Permission denied. It is there and may not be written: remove it, or name "
                              "another output", path)


MOST_WRITTEN = 1000             # files whose CRC-32 is remembered: it is asked for soon, or never
_written = {}                   # {path: (its identity, its CRC-32)} of the last files that this process wrote


def _remember(path, identity, crc32):
    if len(_written) >= MOST_WRITTEN:
        del _written[next(iter(_written))]
    _written[path] = identity, crc32


def content_of(path):
    """{"bytes", "crc32"} of a file, by which damage is noticed; of a URL and of Parquet, which has checksums of its
    own, {"bytes"}. A file that this process wrote is not read again. Raises FileNotFoundError."""
    content = {"bytes": size(path)}
    if not is_remote(path) and not is_parquet(path):
        identity, crc32 = _written.pop(os.path.realpath(path), (None, None))
        content["crc32"] = crc32_of(path) if crc32 is None or identity != _identity_of(os.stat(path)) else crc32
    return content


def _identity_of(status):
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def read_bytes(path):
    """All bytes of a file as they are."""
    with open_raw(path) as stream:
        return stream.read()


def crc32_of(path):
    """The CRC-32 of a local file."""
    crc32 = 0
    with open_raw(path) as stream:
        while chunk := stream.read(BLOCK):
            crc32 = zlib.crc32(chunk, crc32)
    return crc32


def manifest_name(path):
    """The path or URL of the manifest of the file `path`."""
    if is_remote(path) and "?" in path:
        return path.replace("?", ".manifest.json?", 1)
    return f"{path}.manifest.json"


def is_special(path):
    """Whether a path is that of a pipe, a device or an open descriptor, which is written to directly."""
    if is_remote(path):
        return False
    try:
        return descriptor_of(path) is not None or not stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


_DESCRIPTOR = re.compile("/(?:dev|proc/self)/fd/([0-9]{1,9})")
_STREAMS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


def descriptor_of(path):
    """The descriptor of this process that a path stands for, as /dev/stderr does; None for any other path. Opened anew,
    a file to which it leads would be replaced, or written over from its start."""
    found = _DESCRIPTOR.fullmatch(os.path.normpath(path))
    return int(found[1]) if found else _STREAMS.get(os.path.normpath(path))


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
    refuse_empty(path)
    if is_remote(path):
        raise BadUsage(f"{path}: this directory is made on local disks only. Make it there, then copy it.")
    path = _target(path)
    refuse_read_only(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = temporaries.name_of(path)
    with temporaries.claimed(temporary, path, is_directory=True) as descriptor, _named(path):
        own.empty(descriptor)
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


def write_bytes(path, data, is_own=False):
    """Write a file, whole. is_own: see open_write"""
    with open_write(path, is_own=is_own) as stream:
        stream.write(data)
