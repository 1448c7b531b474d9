"""The spaced forms of texts and entries: an entry is in a text when its spaced form is a substring of the text's.

    text    "a red car, a cat"      spaced  " a red car ,  a cat "
    entry   "car"                   spaced  " car "                 is in it
    entry   "ca"                    spaced  " ca "                  is not

So only whole words match in scripts that write spaces, while entries in Chinese, Thai and the like match inside
running text. A release is matched with the spacing, and with or without the normalisation to NFC, that it was merged
with:

    published   as Meta CLIP published it
    wide        entries in kana match inside running text, too, and entries are spaced like texts (see space_entry)
"""
import re
import string
import unicodedata

SPACINGS = PUBLISHED, WIDE = "published", "wide"
PUNCTUATION = ",.;:?!`"         # gets a space on both sides in texts

# An entry that begins or ends with one of these characters may do so inside running text: characters of scripts
# without spaces (as published: without kana), and punctuation.
_CJK = ("\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002ceb0-\U0002ebef"
        "\uf900-\ufaff\u2e80-\u2fdf\u2ff0-\u2fff")
_THAI, _LAO, _BURMESE, _KHMER, _TIBETAN = \
    "\u0e00-\u0e7f", "\u0e80-\u0eff", "\u1000-\u109f", "\u1780-\u17ff", "\u0f00-\u0fff"
_ANY_PUNCTUATION = re.escape(string.punctuation + "，。、；：？！“”‘’（）【】《》〈〉「」『』～—")
_OPEN = _CJK + _THAI + _LAO + _BURMESE + _KHMER + _TIBETAN + _ANY_PUNCTUATION
# Hiragana, katakana with its phonetic extensions, half-width katakana, and the kana beyond the basic plane.
_KANA = "\u3040-\u309f\u30a0-\u30ff\u31f0-\u31ff\uff65-\uff9f\U0001b000-\U0001b16f"
_WITHOUT_SPACES = {PUBLISHED: re.compile(f"[{_OPEN}]"), WIDE: re.compile(f"[{_OPEN}{_KANA}]")}

# Why no text can hold the published form of an entry: the first reason that applies. The manifests of releases have
# these words.
_NEVER = [(reason, re.compile(pattern)) for reason, pattern in [
    ("line break or tab", "[\t\n\r]"),
    ("marks side by side (?!)", f"[{PUNCTUATION}] ?[{PUNCTUATION}]"),
    ("mark within a word (U.S.)", f"[^ ][{PUNCTUATION}][^ ]"),
    ("mark at the end of a word (St. Louis)", f"[^ ][{PUNCTUATION}]"),
    ("mark at the beginning of a word (.com)", f"[{PUNCTUATION}][^ ]"),
]]
_NEVER_IN_A_TEXT = re.compile("|".join(pattern.pattern for _, pattern in _NEVER))     # any of these


def normalize(text):
    """A text in Unicode's normal form NFC, as all texts and entries of a release with --nfc are."""
    return unicodedata.normalize("NFC", text)       # which looks first whether there is anything to do


def space_text(text):
    """The form of a text in which entries are looked up."""
    return _set_apart(f" {text.strip()} ")


def space_entry(entry, spacing=PUBLISHED):
    """The form of an entry that must occur in a spaced text.

    A space is put before it and after it, except where it begins or ends with a character that may do so inside
    running text. Under "published" that is all. Under "wide", the characters inside are spaced as in texts: each
    character of PUNCTUATION gets a space on both sides, and tab, LF and CR become a space.

        entry        published       wide                in the text, under wide          not in
        St. Louis    " St. Louis "   " St .  Louis "     "in St. Louis, MO"               "St.Louis", "St . Louis"
        U.S.         " U.S."         " U . S . "         "the U.S., too", "U.S.A."        "U.S", "U. S."
        ...          "..."           " .  .  . "         "wait...", "?...!"               "..", ". . ."
        カメラ       " カメラ "      "カメラ"            "新しいカメラです"

    So under "wide" an entry is in a text exactly if the text has the same characters in a row (spaces included; tabs
    and line breaks count as spaces), and if each end of the entry either is a character that may be inside running
    text, or has a space, PUNCTUATION or the end of the text beside it there. The reason: between two characters other
    than spaces, both forms have as many spaces as the original, and one more for each of the two that is PUNCTUATION.
    PUNCTUATION ends a word, as under "published": U.S. is in "U.S.A." as cat is in "cat.jpg".
    """
    may_stand_inside = _WITHOUT_SPACES[spacing].match
    before = "" if may_stand_inside(entry[0]) else " "
    after = "" if may_stand_inside(entry[-1]) else " "
    return before + (_set_apart(entry) if spacing == WIDE else entry) + after


def _set_apart(text):
    """The text with a space on both sides of each character of PUNCTUATION, and for each tab and line break."""
    for character in PUNCTUATION:
        if character in text:
            text = text.replace(character, f" {character} ")
    return text.replace("\t", " ").replace("\n", " ").replace("\r", " ")


def can_match(entry, spacing=PUBLISHED):
    """Whether there is any text that the entry is in. Under "wide" there always is; under "published" there is none for
    `U.S.`, since in the spaced form of every text a full stop has a space on both sides."""
    return spacing == WIDE or not _NEVER_IN_A_TEXT.search(space_entry(entry, spacing))


def why_never(entry, spacing=PUBLISHED):
    """The reason (str, with an example) why the entry is in no text; None where can_match()."""
    if can_match(entry, spacing):
        return None
    spaced = space_entry(entry, spacing)
    return next(reason for reason, pattern in _NEVER if pattern.search(spaced))
