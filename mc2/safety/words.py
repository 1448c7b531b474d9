"""Which word lists have an entry in a text: found as `mc2 match` finds metadata entries (mc2/metadata/spacing.py).

Unlike there, upper and lower case and the forms of Unicode are one by default (folded): a list is short, and a text
should not escape it by its capitals, by full-width letters or by characters that nobody sees.
"""
import re
import unicodedata
from typing import NamedTuple

import numpy as np

from mc2 import engines, files
from mc2.errors import BadData, BadUsage
from mc2.invisible import HIGH_IGNORED, IGNORED
from mc2.metadata import compiled, languages, matching
from mc2.metadata.spacing import PUBLISHED, WIDE, can_match
from mc2.pairs.batch import Strings
from mc2.safety.lists import ListFile

KEY = "text_flags"
WHITE = " \t\n\v\f\r"
SPACES = re.compile(f"[{WHITE}]+")
LOWER = bytes(range(256)).lower().translate(bytes.maketrans(WHITE.encode(), b" " * len(WHITE)))
# What Unicode calls Default_Ignorable_Code_Point, as it is shown as nothing
UNSEEN = re.compile(f"{IGNORED.pattern[:-1]}{HIGH_IGNORED.pattern[1:-1]}\u180b-\u180f\u200b-\u200d]")


class WordList(NamedTuple):
    """name: what text_flags has. lang: the metadata language of the texts that it is for, or None for all"""

    name: str
    lang: str
    file: ListFile


def folded(text):
    """A text in one form for all cases and compatible characters: NFKC, casefold, without characters that are not seen
    (soft hyphens, spaces of no width, marks of direction), and with one space for each run of white space."""
    if text.isascii():
        text = text.lower()
    else:
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", UNSEEN.sub("", text)).casefold())
    has_runs = "  " in text or any(each in text for each in WHITE[1:])
    return SPACES.sub(" ", text) if has_runs else text


def all_folded(texts):
    """Strings of texts in the form of `folded`. texts: Strings"""
    if not len(texts):
        return texts
    first, last = int(texts.offsets[0]), int(texts.offsets[-1])
    data = texts.data[first:last].tobytes()
    if data.isascii():
        return _with_single_spaces(data.translate(LOWER), texts.offsets - first)
    return Strings.of(list(map(folded, texts.tolist())))


def _with_single_spaces(data, offsets):
    """Strings with one space for each run of spaces. data: bytes, ASCII. offsets: [texts + 1]"""
    array = np.frombuffer(data, np.uint8)
    if b"  " not in data:
        return Strings(array, offsets)
    is_space = array == ord(" ")
    goes = np.flatnonzero(is_space[1:] & is_space[:-1]) + 1
    goes = goes[~np.isin(goes, offsets)]                # a run ends with its text
    return Strings(np.delete(array, goes), offsets - np.searchsorted(goes, offsets).astype(offsets.dtype))


class WordLists:
    """The names of the lists that have an entry in a text, sorted: [] for most."""

    keys = (KEY,)

    def __init__(self, lists, spacing=WIDE, exact_case=False):
        """lists: [WordList]. exact_case: compare texts and entries as they are written"""
        self.lists, self.spacing, self.exact_case = lists, spacing, exact_case
        self.reads_langs = any(each.lang for each in lists)
        self.description = {"spacing": spacing, "exact_case": exact_case,
                            "lists": [[each.name, each.lang, each.file.sha256] for each in lists]}
        self._matcher = self._owners = None
        for each in lists:
            for entry, number in each.file.entries().items():
                if not self._form(entry).strip():
                    raise BadData(f"{files.printable(each.file.path)}:{number}: holds no character that can be seen.")

    def __getstate__(self):
        return {**self.__dict__, "_matcher": None, "_owners": None}

    def never_found(self):
        """{name of a list: [its entries that no text can hold]}, of those that have any."""
        found = {each.name: [entry for entry in each.file.entries() if not can_match(self._form(entry), self.spacing)]
                 for each in self.lists} if self.spacing == PUBLISHED else {}
        return {name: entries for name, entries in found.items() if entries}

    def __call__(self, texts, langs=None):
        """list of n lists of names. texts: Strings. langs: list of the texts' languages, where a list has one"""
        if self._matcher is None:
            self._open()
        offsets, ids = self._match(texts if self.exact_case else all_folded(texts))
        found = [[]] * len(texts)
        for row in np.flatnonzero(np.diff(offsets)).tolist():
            owners = set().union(*(self._owners[number] for number in ids[offsets[row]:offsets[row + 1]].tolist()))
            found[row] = sorted({name for name, lang in owners if lang is None or lang == langs[row]})
        return found

    def _form(self, entry):
        return entry if self.exact_case else folded(entry)

    def _open(self):
        owners = {}                                     # {entry: {(name, language)}}
        for each in self.lists:
            for entry in each.file.entries():
                owners.setdefault(self._form(entry), set()).add((each.name, each.lang))
        self._owners = list(owners.values())
        make = compiled.in_memory if engines.native() else matching.Matcher
        self._matcher = make(list(owners), self.spacing)

    def _match(self, texts):
        if engines.native():
            return self._matcher.match_buffer(texts.data, texts.offsets)
        return self._matcher.match(texts.tolist())


def list_of(spec, spelled="--words"):
    """The WordList of NAME=FILE or NAME:LANG=FILE. Raises BadUsage."""
    name, equals, path = spec.partition("=")
    name, colon, lang = name.partition(":")
    if not equals or not path or not name or colon and not lang or name != name.strip():
        raise BadUsage(f"{spelled} {files.printable(spec)}: is not NAME=FILE or NAME:LANG=FILE, e.g. slurs=slurs.txt "
                       "or slurs:fr=slurs-fr.txt.")
    if lang and lang not in (*languages.wikipedias(), languages.OTHER):
        raise BadUsage(f"{spelled} {files.printable(spec)}: {files.printable(lang)} is no metadata language, as "
                       f"'mc2 lid' gives to pairs.{languages.suggestion(lang)}")
    return WordList(name, lang or None, ListFile(path))
