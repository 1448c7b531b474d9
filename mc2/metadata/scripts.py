"""Scripts: in which languages a text can be, by its letters alone.

mc2/data/scripts.csv lists the scripts of Unicode 15.0 (Scripts.txt; names and codes of ISO 15924), the letters of each
(general category L), and the languages that are written in it today: those of Unicode's CLDR (languageData) and of the
Wikipedias in that script, by their Wikipedia codes, which the labels of lid.176 are as well.

Every language is also written in Latin letters (names, brands, transliterations), so these decide nothing. Digits,
punctuation and marks belong to no script here.
"""
import bisect
import csv
import functools
import re

from mc2 import package_data

LATIN = "Latn"
NONE = frozenset()

# What the script of a label such as zho_Hans stands for, where that is no script of a letter: ISO 15924 has codes for
# variants, and for several scripts that a language is written in together.
_IN_LABELS = {"Hans": ("Hani",), "Hant": ("Hani",), "Jpan": ("Hani", "Hira", "Kana"), "Kore": ("Hang", "Hani"),
              "Hrkt": ("Hira", "Kana"), "Hanb": ("Bopo", "Hani"), "Aran": ("Arab",)}
_SCRIPT_OF_LABEL = re.compile("[a-z]{2,3}_([A-Z][a-z]{3})")
_ASCII_LETTER = re.compile("[A-Za-z]")


@functools.cache
def _rows():
    return list(csv.DictReader(package_data.text("scripts.csv").splitlines()))


@functools.cache
def names():
    """The codes of all scripts of the table."""
    return [row["script"] for row in _rows()]


@functools.cache
def ranges():
    """[(first, last, script)] of the code points of letters, ascending."""
    found = []
    for row in _rows():
        for part in row["letters"].split():
            first, _, last = part.partition("-")
            found.append((int(first, 16), int(last or first, 16), row["script"]))
    return sorted(found)


@functools.cache
def _firsts():
    return [first for first, _, _ in ranges()]


@functools.lru_cache(1 << 16)
def of_letter(character):
    """The script of a letter, e.g. "Hani"; None for all else."""
    first, last, script = ranges()[bisect.bisect(_firsts(), ord(character)) - 1]
    return script if first <= ord(character) <= last else None


def of_text(text):
    """The scripts of all letters of a text, a frozenset; empty where there is no letter, or a Latin one."""
    if text.isascii() or _ASCII_LETTER.search(text):
        return NONE
    found = frozenset(map(of_letter, set(text))) - {None}
    return NONE if LATIN in found else found


@functools.cache
def _of_languages():
    found = {}
    for row in _rows():
        for language in row["languages"].split():
            found.setdefault(language, set()).add(row["script"])
    return found


def of_label(label):
    """The scripts that the language of a LID label is written in, a frozenset; empty where that is not known.

    A label that ends in a script, such as fra_Latn, says it itself.
    """
    if own := _SCRIPT_OF_LABEL.fullmatch(label):
        return frozenset(_IN_LABELS.get(own[1], {own[1]}))
    return frozenset(_of_languages().get(label, ()))
