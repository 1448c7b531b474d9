"""Compiled matchers: the entries of a language in the form that the native engine maps into memory.

A compiled matcher is a cache of the release: METADATA/{lang}.matcher, or a file in the user's cache directory where
METADATA cannot be written; where neither can be, every process makes it in memory. It holds a key: the SHA-256 of the
entries that it was made from, and how they are spaced. A matcher is made again when it is missing or damaged, when its
key is another, and when it was written in another version of the format. Under wide spacing, texts are set apart at
what this Python's version of Unicode calls punctuation; the key names the version, so that both engines always find the
same.
"""
import contextlib
import os
import tempfile
import unicodedata

from mc2 import engines, files, own, temporaries
from mc2.metadata.spacing import PUBLISHED, WORDS_END_AT, punctuation_bitmap, space_entry

SUFFIX = ".matcher"
MEMORY = "/dev/shm"             # a file system of Linux that is in memory


def open_matcher(release, lang):
    """The native Matcher of one language of a Release, compiled now if need be.

    Opening takes well under a millisecond, and reading the whole file once, to see that it is undamaged, 20 ms for 100
    MB. A damaged one, which could give wrong matches, is compiled again. Each process looks for itself: to note what
    was looked at would cost a file, which might be damaged too.
    """
    key = key_of(release, lang)
    paths, cache = [os.path.join(release.path, lang + SUFFIX)], files.user_cache("matchers")
    if cache is not None:
        paths.append(os.path.join(cache, key.hex() + SUFFIX))
    for path in paths:
        if os.path.dirname(path) == cache and not own.is_there(cache):
            break                           # never what others could put there
        if matcher := _open(path, key, release.spacing):
            if _newer(os.path.join(release.path, f"{lang}.tsv"), path):
                release.read(f"{lang}.tsv")     # copied after the matcher was made; or edited, which raises BadData
            return matcher
    entries = release.entries(lang)
    for path in paths:
        try:
            compile_matcher(entries, key, path, release.spacing)
        except OSError:                 # without permission, or a full disk: try the next path
            continue
        return engines.native().Matcher(path, punctuation_bitmap(release.spacing))
    return in_memory(entries, release.spacing, key)


def in_memory(entries, spacing=PUBLISHED, key=b""):
    """A native Matcher of these entries that no file keeps: it stays mapped when the name of its file is gone."""
    for place in None, MEMORY:                          # the directory for temporary files, if there is one
        try:
            with tempfile.TemporaryDirectory(prefix="mc2-", dir=place) as folder:
                path = os.path.join(folder, "entries" + SUFFIX)
                compile_matcher(entries, key, path, spacing)
                return engines.native().Matcher(path, punctuation_bitmap(spacing))
        except OSError:                                 # without permission, or a full disk
            if place == MEMORY:
                raise


def is_kept_nowhere(release):
    """Whether compiled matchers of a Release are missing that can be written neither beside it nor to the cache, so
    that every run makes them anew."""
    if all(os.path.exists(os.path.join(release.path, lang + SUFFIX)) for lang in release.langs):
        return False
    places = [release.path, *filter(None, [files.user_cache("matchers")])]
    return not any(map(_can_be_written, places))


def _can_be_written(directory):
    """Whether this user can write to a directory, or make it."""
    while not os.path.exists(directory) and os.path.dirname(directory) != directory:
        directory = os.path.dirname(directory)
    return os.access(directory, os.W_OK)


def compile_release(release, jobs=1, progress=iter):
    """Compile the languages of a release beside it, in `jobs` processes (0 = all cores). Returns how many had to be
    compiled: a matcher that is there and undamaged is left as it is. progress: function of an iterable, an item for
    each language, that gives its items and shows how far it is."""
    from mc2.execution.processes import map_in_order
    return sum(progress(map_in_order(_CompileWork(release), release.langs, jobs)))


class _CompileWork:
    """From a language of a release to whether its matcher had to be compiled."""

    def __init__(self, release):
        self.release = release

    def __call__(self, lang):
        key = key_of(self.release, lang)
        path = os.path.join(self.release.path, lang + SUFFIX)
        if _open(path, key, self.release.spacing):
            return False
        compile_matcher(self.release.entries(lang), key, path, self.release.spacing)
        return True


def key_of(release, lang):
    """The key (bytes) of the matcher of a language: the SHA-256 of its entries, and the name of their spacing, with
    the categories of its punctuation and the version of Unicode that decides which characters are in them.

    For the published spacing no name is added: matchers that were compiled before there was another stay valid.
    """
    key = bytes.fromhex(release.manifest["sha256"][f"{lang}.tsv"])
    if release.spacing == PUBLISHED:
        return key
    return key + f"{release.spacing} {WORDS_END_AT} {unicodedata.unidata_version}".encode()


def compile_matcher(entries, key, path, spacing=PUBLISHED):
    """Write the compiled matcher of these entries; the file appears whole. key: at most 64 bytes (see key_of)."""
    directory, name = os.path.split(path)
    if directory == files.user_cache("matchers"):
        own.make_directory(directory)
    else:
        os.makedirs(directory or ".", exist_ok=True)
    # Processes that need it at the same time each write their own; the bytes are the same.
    temporary = os.path.join(directory, f".{name}.{os.urandom(8).hex()}.tmp")
    with temporaries.discarded_on_error(temporary):
        os.close(own.open_file(temporary, os.O_WRONLY | os.O_CREAT))
        engines.native().build_matcher([space_entry(entry, spacing) for entry in entries], path=temporary, key=key,
                                       punctuation=punctuation_bitmap(spacing))
        os.replace(temporary, path)


def _newer(path, other):
    """Whether a file was changed after another; True where one of them is missing."""
    try:
        return os.stat(path).st_mtime_ns > os.stat(other).st_mtime_ns
    except FileNotFoundError:
        return True


def _open(path, key, spacing):
    """The native Matcher in this file, all of which is read; None where there is none, it is damaged, or has another
    key."""
    with contextlib.suppress(OSError, ValueError):
        matcher = engines.native().Matcher(path, punctuation_bitmap(spacing))
        if matcher.key == key:
            matcher.verify()
            return matcher
    return None
