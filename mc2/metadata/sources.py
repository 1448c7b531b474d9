"""The files in sources/: one per Wikipedia code and kind, `{code}.{kind}.tsv`, best rows first.

    fr.wordnet.tsv   lemma <TAB> 0              fr.unigram.tsv   word <TAB> count
    fr.title.tsv     title <TAB> pageviews      fr.bigram.tsv    two words <TAB> PMI <TAB> count
    en.list.tsv      a finished list of a metadata language: entry <TAB> 0; it is taken as it is
    en.NAME.list.tsv a list that is added to all else that the language has: entry <TAB> weight; there may be several
"""
import array
import functools
import heapq
import math
import os
import re
from typing import NamedTuple

import numpy as np

from mc2 import files, manifests
from mc2.errors import BadData, BadUsage
from mc2.metadata.words import IGNORED, ZERO_WIDTH_SPACE, is_word, visible

LIST, STARTER = "list", "starter.list"          # a finished list; that of `mc2 build-metadata starter`
KINDS = ("wordnet", "unigram", "bigram", "title", LIST)
MAX_LENGTH = 256                # characters of an entry

_NAME = re.compile(rf"(?P<code>[a-z0-9_]+)\.(?P<kind>{'|'.join(KINDS)}|[\w-]+\.{LIST})\.tsv")


def tidy(entry):
    """The entry stripped, with runs of white space as one space and without characters that are shown as nothing (see
    words.visible); None when it cannot be an entry, as it is too long or holds neither a letter nor a digit."""
    if entry.isalnum() and len(entry) <= MAX_LENGTH and (entry.isascii() or not IGNORED.search(entry)):
        return entry                    # most are
    entry = " ".join(visible(entry).replace(ZERO_WIDTH_SPACE, "").split())
    return entry if len(entry) <= MAX_LENGTH and is_word(entry) else None


def tidy_listed(entry):
    """The entry of an added list, tidied as others are; but signs without a letter or digit, such as emoji, are entries
    too. Empty where nothing is left."""
    if entry.isalnum() and (entry.isascii() or not IGNORED.search(entry)):
        return entry
    return " ".join(visible(entry).replace(ZERO_WIDTH_SPACE, "").split())


def added_list(name):
    """The kind of a list of this name that is added to a language, e.g. "products.list"."""
    return f"{name}.{LIST}"


def is_list(kind):
    """Whether a kind is that of a list, finished or added; `code` is then a metadata language, not a Wikipedia."""
    return kind == LIST or is_added_list(kind)


def is_added_list(kind):
    return kind.endswith(f".{LIST}")


def kind_of(path):
    """The kind of the source in this file, by its name; None where that is no name of a source."""
    match = _NAME.fullmatch(os.path.basename(path))
    return match and match["kind"]


def find(directory):
    """{(code, kind): path} of a sources directory. Raises BadUsage when there is nothing in it."""
    if not os.path.isdir(directory):
        raise BadUsage(f"{directory}: no such directory. Fill one with 'mc2 build-metadata "
                       f"wordnet|ngrams|titles|import', or begin with 'mc2 build-metadata starter'.")
    found = {}
    for name in sorted(os.listdir(directory)):
        if match := _NAME.fullmatch(name):
            found[match["code"], match["kind"]] = os.path.join(directory, name)
    if not found:
        raise BadUsage(f"{directory}: holds no sources. Fill it with 'mc2 build-metadata "
                       f"wordnet|ngrams|titles|import', or begin with 'mc2 build-metadata starter'.")
    return found


def of_language(directory, lang):
    """{kind: path} of the sources of a language's own code, and of the lists that were added to it."""
    names = os.listdir(directory) if os.path.isdir(directory) else []
    matches = filter(None, map(_NAME.fullmatch, sorted(names)))
    return {match["kind"]: os.path.join(directory, match[0]) for match in matches if match["code"] == lang}


def rows_in(path):
    """The number of rows of a source: as its manifest says, or counted."""
    counts = (manifests.read(path) or {}).get("counts") or {}
    return counts["out"] if isinstance(counts.get("out"), int) else sum(1 for _ in files.read_lines(path))


def verify(found):
    """Raise BadData where a source is not what its manifest says; one without a manifest is a person's own. Reads each
    once. found: as `find` gives it"""
    for path in found.values():
        manifests.verify(path)


def others(directory):
    """Visible files of a sources directory that are neither sources nor manifests: misspelt ones, perhaps."""
    return sorted(name for name in os.listdir(directory)
                  if not (_NAME.fullmatch(name) or name.startswith(".") or name.endswith(".manifest.json")))


def unfinished(directory):
    """Work directories of runs that were stopped."""
    return sorted(name for name in os.listdir(directory) if name.startswith(".") and name.endswith(".work"))


def name_of(code, kind):
    return f"{code}.{kind}.tsv"


def refuse_foreign_directory(directory):
    """Raise BadUsage when the output directory holds something else than sources."""
    if os.path.exists(directory) and not os.path.isdir(directory):
        raise BadUsage(f"{directory}: is a file, and sources are a directory. Name another output.")
    visible = [name for name in os.listdir(directory) if not name.startswith(".")] if os.path.isdir(directory) else []
    if visible and not any(map(_NAME.fullmatch, visible)):
        raise BadUsage(f"{directory}: this directory is not empty and holds no sources. Name another output.")


def write(directory, code, kind, rows, inputs, options, counts=None, seconds=None, **more):
    """Write one source and its manifest (more: further keys of it). rows: iterable of tuples, the entry first.
    Returns the number of rows."""
    path = os.path.join(directory, name_of(code, kind))
    n = 0
    with files.open_write(path, is_own=True) as stream:
        for n, row in enumerate(rows, 1):
            stream.write("\t".join(map(str, row)).encode() + b"\n")
    manifests.write_for_file(path, manifests.describe_run("source", inputs, options, {**(counts or {}), "out": n},
                                                          seconds, source=kind, code=code, **more))
    return n


def remove(directory, code, kind):
    """Delete a source that an earlier run of mc2 wrote. Returns whether there was one; a file without its manifest is
    somebody else's, and stays."""
    path = os.path.join(directory, name_of(code, kind))
    if (manifests.read_if_whole(path) or {}).get("kind") != "source":
        return False
    for each in path, manifests.beside(path):
        os.unlink(each)
    return True


class _Survey(NamedTuple):
    distinct: int           # entries
    is_sorted: bool         # whether the best rows come first
    repeated: set           # the hashes of all repeated entries, and perhaps of others


class Source:
    """A source file. It is read as a stream, as often as need be; 8 bytes per row stay in memory, and the
    rows that are asked for.

    normalize: function of an entry that is called first, e.g. to NFC; None takes the entries as they are.
    """

    def __init__(self, path, kind, normalize=None):
        self.path, self.kind, self.normalize = path, kind, normalize

    def rows(self):
        """Yield (entry, *scores), tidied (those of a finished list as they are), in file order, repetitions included.

        Raises BadData naming the line that is not of the kind's form.
        """
        scores_of, tidied = self._scores_of, self._tidied
        for number, line in files.read_lines(self.path):
            if number == 1 and line.startswith("\ufeff"):
                raise BadData(f"{self.path}:1: starts with a byte order mark. Remove it.")
            entry, _, scores = line.partition("\t")
            try:
                scores = scores_of(scores)
            except ValueError:
                form = "entry <TAB> PMI <TAB> count" if self.kind == "bigram" else "entry <TAB> score"
                raise BadData(f"{self.path}:{number}: not of the form {form}.") from None
            if self.normalize and not entry.isascii():
                entry = self.normalize(entry)
            if tidied and (entry := tidied(entry)) is None:
                continue
            yield (entry, *scores)

    @property
    def _scores_of(self):
        """The function from what follows an entry in its line to the scores of a row."""
        if self.kind == "bigram":
            return _pmi_and_count
        return _weight if is_added_list(self.kind) else _score

    @property
    def _tidied(self):
        """The function that tidies an entry, with None for what is none; None where entries are taken as they are."""
        if is_added_list(self.kind):
            return lambda entry: tidy_listed(entry) or None
        return {LIST: None, "title": _tidy_title}.get(self.kind, tidy)

    @property
    def distinct(self):
        """The number of different entries, of which `merge` takes shares."""
        return self._survey.distinct

    def once(self):
        """The rows in file order, each entry once: its first row is the one that counts. Keeps the entries."""
        return self._first_occurrences()

    def best_first(self, limit):
        """The rows with the best score first, equal ones in the order of code points, each entry once; at least the
        `limit` best ones where there are so many. A file in this order, as mc2 writes them, is passed through."""
        rows = self._first_occurrences(self._survey.repeated)
        return rows if self._survey.is_sorted else iter(heapq.nsmallest(limit, rows, key=self._order))

    @property
    def _order(self):
        """The sorting key of a row."""
        return _by_pmi if self.kind == "bigram" else _by_score

    @functools.cached_property
    def _survey(self):
        """A _Survey of the file, by one pass over it, which checks the form of every line too."""
        hashes, is_sorted, last, order = array.array("q"), True, None, self._order
        for row in self.rows():
            hashes.append(hash(row[0]))
            key = order(row)
            is_sorted = is_sorted and (last is None or last <= key)
            last = key
        repeated = _repeated(np.asarray(hashes))
        # Two entries can have one hash, so the entries themselves are counted wherever a hash comes again.
        distinct = sum(1 for _ in self._first_occurrences(repeated)) if repeated else len(hashes)
        return _Survey(distinct, is_sorted, repeated)

    def _first_occurrences(self, repeated=None):
        """The rows without those whose entry was there before. repeated: hashes of at least the repeated entries,
        where they are known; then only these entries are kept in memory."""
        seen = set()
        for row in self.rows():
            if repeated is None or hash(row[0]) in repeated:
                if row[0] in seen:
                    continue
                seen.add(row[0])
            yield row


def _tidy_title(title):
    return None if ":" in title else tidy(title)


def _by_score(row):
    return -row[1], row[0]


def _by_pmi(row):
    return -row[1], -row[2], row[0]


def _repeated(hashes):
    """The set of values that occur more than once. hashes: int64 (rows,), sorted in place."""
    hashes.sort()
    return set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())


# ---------------------------------------------------------------- scores, from what follows an entry in its line

_INTEGER = re.compile("-?[0-9]+", re.ASCII)


def _score(text):
    return int(text) if text.isascii() and text.isdigit() else _integer(text),


def _integer(text):
    if not _INTEGER.fullmatch(text):
        raise ValueError
    return int(text)


def _weight(text):
    return int(text) if text.isascii() and text.isdigit() else weight(text),


def weight(text):
    """The weight of an entry of a list, from its text: an int, or else a finite float. Raises ValueError."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if not math.isfinite(value := float(text)):
        raise ValueError
    return value


def _pmi_and_count(text):
    pmi, count = text.split("\t")
    pmi, count = float(pmi), _integer(count)
    if not math.isfinite(pmi) or count < 1:
        raise ValueError
    return round(pmi, 6), count
