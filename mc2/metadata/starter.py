"""The first metadata: the most frequent words of 45 languages, from the lists that the Python package wordfreq carries.

The lists are made of lower-case words, and entries match case-sensitively, so each word is also taken capitalised. They
went through Unicode's case folding, which loses two letters for good; here they come back:

    Greek     τησ         της             a sigma at the end of a word
    German    strasse     strasse straße  which of the two is right the list does not know, so both are taken

Runs of digits stand for all numbers of that length (`0000` for every year) and are left out. The list `sh` is of
Serbian, Croatian and Bosnian texts together, brought to Latin letters; it serves all of them, also in Cyrillic where
the language is written so (scripts.py). The list of Chinese has simplified characters, that of Korean the parts of
words (stems, endings).

This is a start and not the metadata of the paper: no pairs of words, no titles, and 45 languages instead of 300.
"""
import itertools
import os
import re
from collections import Counter

from mc2.metadata import scripts, sources, wordnet
from mc2.metadata.sources import tidy
from mc2.metadata.spacing import normalize

WORDNET = "/usr/share/wordnet"  # of Debian's package wordnet-base

_OTHER_CODES = {"nb": ["no"], "fil": ["tl"], "sh": ["bs", "hr", "sh", "sr"]}
_DIGITS = re.compile("[0-9][0-9.,]*[0-9]")
_LAST_SIGMA = re.compile(r"(?<=\w)σ$")


def available():
    """{metadata language: path of its list}. Needs wordfreq."""
    import wordfreq
    paths = wordfreq.available_languages("best")
    return dict(sorted((lang, path) for code, path in paths.items() for lang in _OTHER_CODES.get(code, [code])))


def origin(version):
    """Where the lists come from, and under which licence, for manifests. version: that of wordfreq"""
    return {"name": f"wordfreq {version} by Robyn Speer", "url": "https://github.com/rspeer/wordfreq",
            "licence": "CC-BY-SA-4.0", "licence_url": "https://creativecommons.org/licenses/by-sa/4.0/",
            "made_from": "Wikipedia, OPUS OpenSubtitles 2018, SUBTLEX (Marc Brysbaert et al.), Google Books Ngrams, "
                         "the Leeds Internet Corpus, ParaCrawl, Twitter and others, of which each language has some",
            "changes": "the most frequent words only, each also capitalised; Greek final sigma and German ß restored; "
                       "Serbo-Croatian also in Cyrillic", "starter": True}


class Work:
    """From (language, path of its list) to how many entries its source has. The source is written on the way."""

    def __init__(self, directory, top, version):
        self.directory, self.top, self.version = directory, top, version

    def __call__(self, listed):
        lang, path = listed
        tally = Counter()
        words = rows(read_buckets(path), lang, self.top, tally)
        return sources.write(self.directory, lang, sources.STARTER, words, [path],
                             {"top": self.top, "wordfreq": self.version}, tally, origin=origin(self.version))


def write_wordnet(directory, path):
    """Write the lemmas of a WordNet dict directory as the source of English. Returns how many; 0 where there is no such
    directory, or sources of a wordnet are there already."""
    target = os.path.join(directory, sources.name_of("en", "wordnet"))
    if not os.path.isdir(path) or os.path.exists(target):
        return 0
    tally = Counter()
    code, words = wordnet.read(path, tally=tally)
    return sources.write(directory, code, "wordnet", ((word, 0) for word in words), [path], {"lemmas": "first"}, tally,
                         origin=wordnet.origin(path))


def read_buckets(path):
    """Words (list of lists) by their frequency, which is 10 ** (-index / 100)."""
    import wordfreq
    return wordfreq.read_cBpack(path)


def rows(buckets, lang, top, tally):
    """Yield (entry, how often it occurs in a billion words) of the `top` most frequent words in all their forms, the
    most frequent first.

    tally: a Counter to add to: words `in`, and of these `kept`, the `numbers` and those `without a letter`.
    """
    seen = set()
    for index, bucket in enumerate(buckets):
        score = round(10 ** (9 - index / 100))
        for word in bucket:
            if tally["kept"] >= top:
                return
            tally["in"] += 1
            is_number = _DIGITS.search(word)
            word = None if is_number else tidy(normalize(word))
            tally["numbers" if is_number else "without a letter" if word is None else "kept"] += 1
            for form in () if word is None else forms(word, lang):
                if form not in seen:
                    seen.add(form)
                    yield form, score


def forms(word, lang):
    """The forms in which a word of the lists is written, capitalised ones too.

    >>> forms("strasse", "de")
    ['strasse', 'Strasse', 'straße', 'Straße']
    """
    return list(dict.fromkeys(form for spelling in _spellings(word, lang)
                              for form in (spelling, capitalised(spelling, lang))))


def _spellings(word, lang):
    if lang == "el":
        return [_LAST_SIGMA.sub("ς", word)]
    if lang == "de" and "ss" in word:
        first, *parts = word.split("ss")
        return [first + "".join(map("".join, zip(between, parts)))
                for between in itertools.product(("ss", "ß"), repeat=len(parts))]
    if lang in _OTHER_CODES["sh"] and "Cyrl" in scripts.of_label(lang) and (cyrillic := to_cyrillic(word)):
        return [word, cyrillic]
    return [word]


def capitalised(word, lang):
    """The word as at the beginning of a sentence."""
    if lang == "tr" and word.startswith("i"):
        return "İ" + word[1:]
    if lang == "nl" and word.startswith("ij"):
        return "IJ" + word[2:]
    return normalize(word[:1].title() + word[1:])


# ---------------------------------------------------------------- Serbo-Croatian in Cyrillic

_PAIRS = {"lj": "љ", "nj": "њ", "dž": "џ"}
_CYRILLIC = {**dict(zip("abvgdđežzijklmnoprstćufhcčš", "абвгдђежзијклмнопрстћуфхцчш")), **_PAIRS}
_LETTER = re.compile("|".join([*_PAIRS, "."]))
# Beginnings of words in which these letters are two sounds, the first of which ends a part of the word.
_APART = re.compile("^(in(?=jek)|kon(?=ju[gn][aeiokt])|tan(?=jug)|van(?=jezi)|an(?=jon)|nad(?=ži[vl]|žnj)|pod(?=žanr))")


def to_cyrillic(word):
    """A lower-case word of Latin letters in Cyrillic ones; None where it has letters that Serbo-Croatian has not.

    >>> to_cyrillic("ljubav"), to_cyrillic("injekcija"), to_cyrillic("new")
    ('љубав', 'инјекција', None)
    """
    parts = _APART.sub(r"\1 ", word).split(" ")
    letters = [letter for part in parts for letter in _LETTER.findall(part)]
    if any(letter.isalpha() and letter not in _CYRILLIC for letter in letters):
        return None
    cyrillic = "".join(_CYRILLIC.get(letter, letter) for letter in letters)
    return cyrillic if cyrillic != word else None
