"""A metadata release as one file: a tar archive compressed with Zstandard.

The archive has one directory, called mc2-metadata- and the beginning of the fingerprint. In it are manifest.json,
then the other files in the order of their names; compiled matchers are a cache and stay out. The manifest.json of
the archive says what the release is, but not how one run made it: command, seconds and paths are left out, and of
each input there are name and size only.
So sources that are merged twice, anywhere, pack to the same bytes with the same versions of mc2 and of the zstandard
library, and so does what was unpacked. `tar --zstd -xf` unpacks it, too.

Both ways the archive is a stream. Reading is strict, since an archive can come from anywhere: it holds regular
files, the manifest first, then exactly those that the manifest names, each with the SHA-256 that it gives.
"""
import hashlib
import io
import os
import re
import tarfile

import zstandard

from mc2 import documents, files, manifests
from mc2.errors import BadData, BadUsage
from mc2.metadata import release

SUFFIX = ".tar.zst"
OF_THE_RUN = ("command", "seconds", "paths")
LARGEST_MANIFEST = 1 << 23              # bytes; as JSON they can take 30 times the memory

_CHUNK = files.BLOCK
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def packed_manifest(manifest):
    """The manifest (dict) as it goes into the archive."""
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
    directory = _directory(manifest)
    archive = tarfile.TarFile(mode="w", fileobj=stream, format=tarfile.USTAR_FORMAT)
    total = _add(archive, f"{directory}/manifest.json",
                 documents.dumped(manifest))
    for name in _members(manifest):
        total += _add(archive, f"{directory}/{name}", opened.read(name))
    stream.write(bytes(2 * tarfile.BLOCKSIZE))      # the end; archive.close() would fill it up to 10,240 bytes
    return total


def _add(archive, name, content):
    """Add a file to the archive; nothing of this machine, user or time is in it. Returns its size in bytes."""
    member = tarfile.TarInfo(name)                  # of nobody and of 1970
    member.size, member.mode = len(content), 0o644
    archive.addfile(member, io.BytesIO(content))
    return member.size


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
            manifest = documents.parsed(self.content, "manifest.json", "")
            expected = {"languages.csv", *(f"{lang}.tsv" for lang in manifest["languages"])}
            if manifest["kind"] != release.KIND or set(manifest["sha256"]) != expected \
                    or release.fingerprint(manifest) != manifest["fingerprint"]:
                raise ValueError
            directory_expected = _directory(manifest)
        except (BadData, ValueError, KeyError, TypeError):
            raise self._bad("its manifest.json is not that of a release") from None
        if directory != directory_expected:
            raise self._bad(f"its directory is called {directory!r}, not {directory_expected!r}")
        for name in expected:
            if not _FILE_NAME.fullmatch(name):
                raise self._bad(f"{name!r} is no name for a file of a release")
        return manifest

    def extract(self, target):
        """Write all files to the directory `target`, verifying each. Reads the archive to its end."""
        with open(os.path.join(target, "manifest.json"), "xb") as stream:
            stream.write(self.content)
        for name in _members(self.manifest):
            expected = f"{self.directory}/{name}"
            member, size = self._next()
            if member != expected:
                raise self._bad(f"{expected} should come next, but {repr(member) if member else 'the end'} does")
            digest = hashlib.sha256()
            with open(os.path.join(target, name), "xb") as stream:
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
