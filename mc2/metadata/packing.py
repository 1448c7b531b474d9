"""A metadata release as one file: a tar archive compressed with Zstandard.

In the archive is one directory, called mc2-metadata- and the beginning of the fingerprint. It holds manifest.json,
then the other files in the order of their names; compiled matchers are a cache and stay out. Of manifest.json goes
in what says what the release is. How one run made it stays out: command, seconds, paths, and of the inputs all but
name and size.
So sources that are merged twice, anywhere, pack to the same bytes with the same versions of mc2 and of the zstandard
library, and so does what was unpacked. `tar --zstd -xf` takes it apart as well.

Both ways the files pass as streams. Reading is strict, since an archive can come from anywhere: it holds regular
files, the manifest first, then exactly those that the manifest names, each with the SHA-256 that it gives.
"""
import hashlib
import os
import re
import tarfile

import orjson
import zstandard

from mc2 import files, manifests
from mc2.errors import BadData, BadUsage
from mc2.metadata import release

SUFFIX = ".tar.zst"
OF_THE_RUN = ("command", "seconds", "paths")
LARGEST_MANIFEST = 1 << 26              # bytes

_CHUNK = files.BLOCK
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def packed_manifest(manifest):
    """What of a release's manifest goes into the archive."""
    kept = {key: value for key, value in manifest.items() if key not in OF_THE_RUN}
    inputs = [{"name": os.path.basename(source["name"]), "bytes": source.get("bytes")} for source in manifest["inputs"]]
    return {**kept, "inputs": inputs}


def _directory(manifest):
    return f"mc2-metadata-{manifest['fingerprint'][:12]}"


def _members(manifest):
    """The names of the files beside the manifest, in the order of the archive."""
    return sorted(manifest["sha256"])


# ---------------------------------------------------------------- packing

def pack(opened, path):
    """Write a release.Release to the archive `path` (`-`: stdout). Returns the number of bytes before compression.

    Raises BadData where a file is not what the manifest says.
    """
    if not path.endswith(SUFFIX) and path != "-" and not files.is_special(path):
        raise BadUsage(f"{path}: a packed release is called NAME{SUFFIX}. Name it so.")
    with files.open_write(path, suffix=SUFFIX) as stream:
        return _write(opened, stream)


def _write(opened, stream):
    manifest = packed_manifest(opened.manifest)
    content = orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    directory = _directory(manifest)
    stream.write(_header(f"{directory}/manifest.json", len(content)))
    stream.write(content + _padding(len(content)))
    total = len(content)
    for name in _members(manifest):
        path = os.path.join(opened.path, name)
        total += _add(stream, path, f"{directory}/{name}", manifest["sha256"][name])
    stream.write(bytes(2 * tarfile.BLOCKSIZE))
    return total


def _add(stream, path, name, sha256):
    """Add a file to the archive; returns its size in bytes."""
    digest, passed = hashlib.sha256(), 0
    with open(path, "rb") as source:
        size = os.fstat(source.fileno()).st_size
        stream.write(_header(name, size))
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            passed += len(chunk)
            stream.write(chunk)
    if passed != size or digest.hexdigest() != sha256:
        raise BadData(f"{path}: was changed since the release was made. Run 'mc2 {release.MADE_BY}' again.")
    stream.write(_padding(size))
    return size


def _header(name, size):
    """The header of a file in the archive: nothing of this machine, user or time is in it."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.USTAR_FORMAT)


def _padding(size):
    return bytes(-size % tarfile.BLOCKSIZE)


# ---------------------------------------------------------------- unpacking

def read_manifest(path):
    """The manifest of a packed release. Raises BadData."""
    with files.open_read(path, suffix=SUFFIX) as stream:
        return _Archive(stream, files.name_of(path)).manifest


def unpack(path, output, finish=lambda opened: None):
    """Write the release in the archive `path` (`-`: stdin) to the directory `output`. Returns its manifest.

    It appears once every checksum has been verified, and after finish(release.Release).
    Raises BadData for an archive that is damaged, cut off, or holds anything else than a release.
    """
    manifests.refuse_foreign_directory(output, release.KIND)
    with files.open_read(path, suffix=SUFFIX) as stream, files.open_directory(output) as target:
        archive = _Archive(stream, files.name_of(path))
        archive.extract(target)
        finish(release.Release(target))
    return archive.manifest


class _Archive:
    """A packed release, read from its beginning: first the manifest, then the files."""

    def __init__(self, stream, name):
        self.stream, self.name = stream, name
        self.offset = 0                 # bytes of the tar archive read so far
        member, size = self._next()
        directory, _, file_name = (member or "").partition("/")
        if file_name != "manifest.json":
            raise self._bad(f"is no packed release: it begins with {member!r}, not with manifest.json"
                            if member else "is no packed release: there is nothing in it")
        if size > LARGEST_MANIFEST:
            raise self._bad("the manifest is too large")
        self.content = b"".join(self._chunks(member, size))
        self.manifest = self._checked(directory)
        self.directory = directory

    def _checked(self, directory):
        """The manifest, once it is one of a release whose files can be unpacked."""
        try:
            manifest = orjson.loads(self.content)
            expected = {"languages.csv", *(f"{lang}.tsv" for lang in manifest["languages"])}
            if manifest["kind"] != release.KIND or set(manifest["sha256"]) != expected \
                    or release.fingerprint(manifest) != manifest["fingerprint"]:
                raise ValueError
            directory_expected = _directory(manifest)
        except (ValueError, KeyError, TypeError):
            raise self._bad("its manifest.json is not that of a release") from None
        if directory != directory_expected:
            raise self._bad(f"its directory is called {directory!r}, not {directory_expected!r}")
        for name in expected:
            if not _FILE_NAME.fullmatch(name):
                raise self._bad(f"{name!r} is no name for a file of a release")
        return manifest

    def extract(self, target):
        """Write all files to the directory `target`, verifying each. Reads the archive to its end."""
        with open(os.path.join(target, "manifest.json"), "wb") as stream:
            stream.write(self.content)
        for name in _members(self.manifest):
            expected = f"{self.directory}/{name}"
            member, size = self._next()
            if member != expected:
                raise self._bad(f"{expected} should come next, but {repr(member) if member else 'the end'} does")
            digest = hashlib.sha256()
            with open(os.path.join(target, name), "wb") as stream:
                for chunk in self._chunks(member, size):
                    digest.update(chunk)
                    stream.write(chunk)
            if digest.hexdigest() != self.manifest["sha256"][name]:
                raise self._bad(f"{member} is not what its checksum says")
        if member := self._next()[0]:
            raise self._bad(f"{member!r} comes after the last file of the release")
        while rest := self._read_up_to(_CHUNK, "the end"):      # also to see that nothing is cut off
            if rest.strip(b"\0"):
                raise self._bad("something comes after the end")

    def _next(self):
        """(name, size in bytes) of the next file; (None, 0) at the end of the archive."""
        block = self._read(tarfile.BLOCKSIZE, "a header")
        if not block.strip(b"\0"):
            return None, 0
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise self._bad(f"no header of a tar archive ({error})") from None
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.size < 0:
            raise self._bad(f"{member.name!r} is not a regular file")
        return member.name, member.size

    def _chunks(self, member, size):
        """Yield the bytes of a file, and pass over what fills its last block."""
        for start in range(0, size, _CHUNK):
            yield self._read(min(_CHUNK, size - start), member)
        self._read(-size % tarfile.BLOCKSIZE, member)

    def _read(self, size, what):
        data = self._read_up_to(size, what)
        if len(data) < size:
            raise self._bad(f"cut off within {what}")
        self.offset += size
        return data

    def _read_up_to(self, size, what):
        try:
            return self.stream.read(size)
        except EOFError:
            raise self._bad(f"the compressed data is cut off within {what}") from None
        except zstandard.ZstdError as error:
            raise self._bad(f"the compressed data is damaged within {what} ({error})") from None

    def _bad(self, what):
        return BadData(f"{self.name}: {what} (at byte {self.offset:,} of the tar archive). Fetch it again, or make it "
                       f"with 'mc2 build-metadata pack'.")
