"""Compiled matchers: the entries of a language in the form that the native engine maps into memory.

A compiled matcher is a cache. It lies beside the metadata as {lang}.matcher, or in the user's cache
directory where the metadata cannot be written, and holds the SHA-256 of the entries that it was made from
and their spacing. One that is missing, damaged, of other entries, otherwise spaced or of another version of
mc2 is made again.
"""
import contextlib
import os

from mc2 import engines, files
from mc2.metadata.spacing import space_entry

SUFFIX = ".matcher"


def open_matcher(release, lang, verify=False):
    """The native matcher of one language of a release, compiled now if need be.

    Opening takes well under a millisecond; verify reads the whole file too, some milliseconds, so that damage
    inside is noticed and mended rather than matched with.
    """
    key = key_of(release, lang)
    places = [os.path.join(release.path, lang + SUFFIX), os.path.join(cache_directory(), key.hex() + SUFFIX)]
    for path in places:
        if matcher := _open(path, key, verify):
            if _newer(os.path.join(release.path, f"{lang}.tsv"), path):
                release.read(f"{lang}.tsv")     # copied later; or edited, which raises
            return matcher
    entries = release.entries(lang)
    for path in places:
        try:
            compile_matcher(entries, key, path, release.spacing)
        except OSError:                 # not ours to write, or full
            if path == places[-1]:
                raise
        else:
            return engines.native().Matcher(path)


def compile_release(release, jobs=1):
    """Compile the languages of a release beside it, in `jobs` processes (0 = all cores). Returns the number of those
    that were not there, whole and sound."""
    from mc2.execution.processes import map_in_order
    return sum(map_in_order(_CompileWork(release), release.langs, jobs))


class _CompileWork:
    """From a language of a release to whether its matcher had to be compiled."""

    def __init__(self, release):
        self.release = release

    def __call__(self, lang):
        key = key_of(self.release, lang)
        path = os.path.join(self.release.path, lang + SUFFIX)
        if _open(path, key, verify=True):
            return False
        compile_matcher(self.release.entries(lang), key, path, self.release.spacing)
        return True


def key_of(release, lang):
    """Bytes that tell what the matcher of a language is made from: SHA-256 of its entries, and their spacing.

    The published spacing adds nothing, as before there was another, so that older compiled matchers stay good.
    """
    key = bytes.fromhex(release.manifest["sha256"][f"{lang}.tsv"])
    return key if release.spacing == "published" else key + release.spacing.encode()


def compile_matcher(entries, key, path, spacing="published"):
    """Write the compiled matcher of these entries, whole. key: at most 64 bytes that tell what it was made from."""
    directory, name = os.path.split(path)
    os.makedirs(directory, exist_ok=True)
    # Processes that need it at the same time each write their own; the bytes are the same.
    temporary = os.path.join(directory, f".{name}.{os.getpid()}.tmp")
    with files.discarded_on_error(temporary):
        engines.native().build_matcher([space_entry(entry, spacing) for entry in entries], path=temporary, key=key)
        os.replace(temporary, path)


def _newer(path, other):
    try:
        return os.stat(path).st_mtime_ns > os.stat(other).st_mtime_ns
    except FileNotFoundError:
        return True


def cache_directory():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "mc2", "matchers")


def _open(path, key, verify=False):
    """The compiled matcher at this path, or None unless it is one of these entries. verify: read all of it."""
    with contextlib.suppress(OSError, ValueError):
        matcher = engines.native().Matcher(path)
        if matcher.key == key:
            if verify:
                matcher.verify()
            return matcher
    return None
