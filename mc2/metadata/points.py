"""Vowel points: signs above and below Hebrew, Arabic and Syriac letters, which dictionaries write and running text does
not. An entry that has them is found in a text only if the text has the same ones, so hardly ever.

With them go signs of recitation, and the tatweel (U+0640), which only lengthens a word to fill a line. Hamza and madda
above and below letters (U+0653 to U+0655, U+065F) stay, since they make another letter, and so do the vowel signs of
Indic, Thai and other scripts, which all text is written with.
"""
import re
import unicodedata

KEEP, REMOVE = CHOICES = "keep", "remove"

_HEBREW = "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\ufb1e"
_ARABIC = ("\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065e\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"
           "\u0898-\u089f\u08ca-\u08e1\u08e3-\u08ff\ufc5e-\ufc63\ufcf2-\ufcf4\ufe70-\ufe7f")
_SYRIAC = "\u0730-\u074a"
_POINTS = re.compile(f"[{_HEBREW}{_ARABIC}{_SYRIAC}]")
_POINTED_LETTERS = re.compile("[\ufb1d\ufb1f\ufb2a-\ufb4e]")       # of Hebrew: letter and point as one character


def without_points(text):
    """The text without vowel points."""
    text = _POINTED_LETTERS.sub(lambda match: unicodedata.normalize("NFD", match[0]), text)
    return _POINTS.sub("", text)


def has_points(text):
    """Whether there are vowel points in a text."""
    return bool(_POINTS.search(text) or _POINTED_LETTERS.search(text))
