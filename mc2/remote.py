"""Inputs and outputs that are URLs (s3://, gs://, hf://, https:// ...), through fsspec.

Credentials and settings are those of fsspec and of the package behind each scheme. An output is written to a local
temporary file first, and uploaded once it is whole: in one step where the store shows only whole objects, else under
a temporary name, which is then changed.
"""
import concurrent.futures
import contextlib
import errno
import io
import os
import posixpath
import tarfile
import zipfile
import zlib

from mc2 import extras
from mc2.errors import BadData, BadUsage, Mc2Error

try:
    import fsspec
except ImportError as error:
    raise BadUsage(f"URLs need fsspec ({error}). Install it: {extras.how_to_install('remote')}.") from None

AT_ONCE = 16                # requests
# Those without a place of their own wrap another file system: they are of use in chains, and chains are read only.
READ_ONLY = {"http", "https", "github", "gist", "git", "data", "reference", "zip", "tar", "libarchive", "dir",
             "generic", "simplecache", "filecache", "blockcache", "cached", "asyncwrapper", "async_wrapper"}
WITH_HOST = {"ftp", "sftp", "ssh", "smb", "webhdfs", "http", "https"}
OF_THE_NAME = {errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error)     # of an archive that a member is read from
# An upload to these shows nothing until it is whole. Elsewhere a file grows under its name.
WHOLE_UPLOADS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "hf", "memory"}
# What tells versions of a file apart, by the names that the file systems give it.
VERSIONS = ("ETag", "etag", "Content-MD5", "md5Hash", "content_md5", "generation", "version_id", "VersionId", "blob_id",
            "LastModified", "Last-Modified", "last_modified", "mtime", "modified", "updated", "created")


def _locate(url):
    """(file system, path within it) of a URL. BadUsage where a package is missing, or fsspec does not know it."""
    scheme, _, rest = url.partition("://")
    if scheme in WITH_HOST and rest[:1] in ("", "/"):
        raise BadUsage(f"{url}: names no host.")
    with _named(url):
        try:
            return fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise BadUsage(f"{url}: {_reason(error)}: pip install that package.") from None
        except (LookupError, NotImplementedError) as error:
            raise _unknown(url, error) from None


@contextlib.contextmanager
def _named(url):
    """Give the errors of a file system, of whatever kind, the name of the URL."""
    try:
        yield
    except Mc2Error:
        raise
    except FileNotFoundError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):     # fsspec's HTTP, offline
            raise _failed(url, cause) from error
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url) from None
    except NotImplementedError:
        raise BadUsage(f"{url}: cannot be written. Name another output.") from None
    except Exception as error:
        if isinstance(error, (ValueError, TypeError, AttributeError)) or getattr(error, "errno", None) in OF_THE_NAME:
            raise _unknown(url, error) from error           # no error of a network or a store
        if isinstance(error, DAMAGE) or isinstance(error, EOFError) and "::" in url:        # else the server went away
            raise BadData(f"{url}: damaged or cut off ({_reason(error)}). Make or fetch it again.") from error
        raise _failed(url, error) from error


def _failed(url, error):
    return Mc2Error(f"{url}: {type(error).__name__}: {_reason(error)}. Try again.")


def _unknown(url, error):
    return BadUsage(f"{url}: {_reason(error)}. Name a file, or a URL that fsspec knows.")


def _reason(error):
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


class _Reader(io.RawIOBase):
    """A remote file, of which errors name the URL."""

    def __init__(self, url, at_random):
        self.url, self.file = url, None
        with _named(url):
            self.system, path = _locate(url)            # kept: an archive closes its members when it goes
            self.file = self.system.open(path, "rb", **({"cache_type": "none"} if at_random else {}))

    def readable(self):
        return True

    def seekable(self):
        return self.file.seekable()

    def readinto(self, buffer):
        with _named(self.url):
            data = self.file.read(len(buffer))
        buffer[:len(data)] = data
        return len(data)

    def seek(self, offset, whence=io.SEEK_SET):
        with _named(self.url):
            return self.file.seek(offset, whence)

    def tell(self):
        return self.file.tell()

    def close(self):
        try:
            if self.file is not None and not self.closed:
                with _named(self.url):
                    self.file.close()
        finally:
            super().close()


def open_read(url, at_random=False):
    """A binary stream; at_random: without reading ahead. Raises FileNotFoundError."""
    return _Reader(url, at_random)


def info(url):
    """The description of a URL by its file system (a dict with `type` and `size`), or None where there is nothing."""
    with contextlib.suppress(FileNotFoundError), _named(url):
        system, path = _locate(url)
        system.invalidate_cache(system._parent(path))
        return system.info(path)
    return None


def describe(url):
    """Name, size and version, by which a change is noticed; the name alone where there is no such thing."""
    found = info(url) or {}
    version = next((str(found[key]) for key in VERSIONS if found.get(key)), None)
    if found.get("size") is None or version is None:
        return {"name": url}
    return {"name": url, "bytes": found["size"], "version": version}


def names(url):
    """The names of what is in a remote directory; [] where it is not there."""
    with _named(url):
        system, path = _locate(url)
        system.invalidate_cache(path)
        try:
            return sorted(posixpath.basename(name.rstrip("/")) for name in system.ls(path, detail=False))
        except FileNotFoundError:
            return []


def expand(url):
    """The URLs that a pattern with `*` stands for, sorted."""
    with _named(url):
        system, path = _locate(url)
        return [system.unstrip_protocol(found) for found in sorted(system.glob(path))]


def refuse_unwritable(url):
    """Raise BadUsage for a URL that cannot be written, before any work is done."""
    if url.split(":")[0] in READ_ONLY or "::" in url:
        raise BadUsage(f"{url}: cannot be written. Name another output.")
    _locate(url)


def upload(local, url, manifest):
    """Put a local file where the URL says, whole; the manifest of what was there goes before."""
    with _named(url):
        system, path = _locate(url)
        remove(manifest)
        if url.split(":")[0] in WHOLE_UPLOADS:
            system.put_file(local, path)
            return
        directory, name = posixpath.split(path)
        # a name that nobody can know before, and put a link there
        temporary = posixpath.join(directory, f".{name}.{os.urandom(8).hex()}.tmp")
        system.makedirs(directory, exist_ok=True)
        try:
            system.put_file(local, temporary)
            if url.split(":")[0] not in ("file", "local"):      # others may refuse to rename over a file
                remove(url)
            system.mv(temporary, path)
        except BaseException:
            with contextlib.suppress(Exception):
                system.rm_file(temporary)
            raise


def remove(url):
    """Remove a file, if it is there."""
    with _named(url):
        system, path = _locate(url)
        with contextlib.suppress(FileNotFoundError):
            system.rm_file(path)


def map_at_once(function, urls):
    """[function(url)], some at the same time, since each waits for an answer."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(function, urls))
