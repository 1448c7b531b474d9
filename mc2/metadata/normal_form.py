"""Texts in Unicode's normal form NFC, for releases with --nfc: whole columns of them in UTF-8.

Nearly all texts are in NFC, which the quick check of Unicode Standard Annex 15 tells without a Python string for each
text. It needs two facts of every character: its canonical combining class, and whether it may occur in NFC
whatever precedes it. Python's unicodedata has both, so the check and normalize() are of one version of Unicode.
"""
import functools
import unicodedata

import numpy as np

from mc2 import engines
from mc2.metadata.spacing import normalize
from mc2.pairs.batch import Strings, offsets_of

NOT_ALLOWED = 255               # no combining class is as large
SIZE = 0x30000                  # characters beyond are rare, and left to unicodedata
HANGUL = [*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)]      # vowels and final consonants that join a syllable


@functools.cache
def classes():
    """Of every character below SIZE: its combining class, or NOT_ALLOWED where it is not in NFC, or not after every
    other character. uint8 (SIZE,)"""
    characters = list(map(chr, range(SIZE)))
    found = np.fromiter(map(unicodedata.combining, characters), np.uint8, SIZE)
    for character, decomposed in zip(characters, map(unicodedata.decomposition, characters)):
        if decomposed and not decomposed.startswith("<"):
            *_, last = decomposed.split()
            if not unicodedata.is_normalized("NFC", character):
                found[ord(character)] = NOT_ALLOWED
            elif " " in decomposed and int(last, 16) < SIZE:
                found[int(last, 16)] = NOT_ALLOWED                     # joins what precedes it
    found[HANGUL] = NOT_ALLOWED
    return found


def normalized(texts):
    """A column of texts in NFC. texts, result: Strings"""
    if native := engines.native():
        rows = np.flatnonzero(native.may_not_be_nfc(texts.data, texts.offsets, classes())).tolist()
    else:
        rows = range(len(texts))
    changed = {}
    for row in rows:
        text = texts.one(row)
        form = normalize(text.decode()).encode()
        if form != text:
            changed[row] = form
    return _with_changed(texts, changed) if changed else texts


def normalized_with_origins(text):
    """(normalize(text), origins): for each of its characters (start, stop), the part of the text that it comes from."""
    starts = [index for index, character in enumerate(text) if index == 0 or _begins_anew(character)]
    forms, origins = [], []
    for start, stop in zip(starts, [*starts[1:], len(text)]):
        part = text[start:stop]
        form = normalize(part)
        forms.append(form)
        origins += [(index, index + 1) for index in range(start, stop)] if form == part else [(start, stop)] * len(form)
    return "".join(forms), origins


def _begins_anew(character):
    """Whether the normal form of what comes before the character does not depend on it, nor its own on that."""
    code = ord(character)
    return classes()[code] == 0 if code < SIZE else \
        not unicodedata.combining(character) and unicodedata.is_normalized("NFC", character)


def _with_changed(texts, changed):
    """The column with other texts in some rows. changed: {row: bytes}, rows ascending"""
    lengths, pieces, start = np.diff(texts.offsets), [], texts.offsets[0]
    for row, form in changed.items():
        pieces += [texts.data[start:texts.offsets[row]].tobytes(), form]
        start = texts.offsets[row + 1]
        lengths[row] = len(form)
    pieces.append(texts.data[start:texts.offsets[-1]].tobytes())
    return Strings(np.frombuffer(b"".join(pieces), np.uint8), offsets_of(lengths))
