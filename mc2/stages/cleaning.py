"""Texts as a language identification model is to see them.

Alt-texts are not the prose that such models were trained on, so they are cleaned first, in the order of STEPS, each of
which can be switched off. `clean` is the definition; the native core does the same, faster.
"""
import re

from mc2 import engines
from mc2.pairs.batch import Strings

STEPS = ("urls", "capitals", "han", "space")

# ASCII only: in Chinese or Japanese a URL is followed by text without a space between.
_URL = re.compile(r"(?:https?://|ftp://|www\.)[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", re.IGNORECASE)
# Looked for at the start of a run of these characters only: from every character it would take quadratic time.
_FILE_NAME = re.compile(r"(?<![\w\-.%()])[\w\-.%()]*\.(?:jpe?g|png|gif|webp|svg|bmp|tiff?|ico|avif|heic|pdf|html?|php"
                        r"|aspx?|mp4|mov|webm)\b", re.IGNORECASE | re.ASCII)
_HAN = re.compile("([\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\U00020000-\U0002ebef\U0002f800-\U0002fa1f"
                  "\U00030000-\U000323af])")
_CHEROKEE = re.compile("[\u13a0-\u13f5]")      # capitals to Unicode, but all that the language is written in
_WORD = re.compile(r"\S+")
_LINE_BREAK = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")


def clean(text, steps=STEPS):
    """The text as the model sees it: one line. steps: which of STEPS to take, always in that order."""
    if "urls" in steps and "." in text:             # every URL and every file name has a dot or ://
        text = _FILE_NAME.sub(" ", _URL.sub(" ", text))
    elif "urls" in steps and "://" in text:
        text = _URL.sub(" ", text)
    if "capitals" in steps and any(map(str.isupper, words := text.split())) and _most_in_capitals(words):
        text = _WORD.sub(lambda word: word[0].lower() if _in_capitals(word[0]) else word[0], text)
    if "han" in steps and not text.isascii():
        text = " ".join(_HAN.split(text))           # as _HAN.sub(r" \1 ", text), in half the time
    if "space" in steps:
        return " ".join(text.split())
    return _LINE_BREAK.sub(" ", text)


def clean_all(texts, steps=STEPS):
    """Strings as the model sees them, by the native core where it can. texts: Strings"""
    if tuple(steps) == STEPS:
        data, offsets, _ = engines.native().clean(texts.data, texts.offsets, clean)
        return Strings(data, offsets)
    return Strings.of([clean(text, steps) for text in texts.tolist()])


def _most_in_capitals(words):
    """Whether more than half of the words of two or more letters are in capitals."""
    return 2 * sum(map(_in_capitals, words)) > sum(map(_has_two_letters, words))


def _in_capitals(word):
    return word.isupper() and _has_two_letters(word) and not _CHEROKEE.search(word)


def _has_two_letters(word):
    return sum(map(str.isalpha, word)) >= 2
