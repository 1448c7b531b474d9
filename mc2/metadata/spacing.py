"""The spaced forms of texts and entries: an entry is in a text where its spaced form is a substring of the text's.

Spacing makes words of space-separated scripts match whole, and lets entries in Chinese, Thai and their like match
inside running text. A release is matched with the spacing, and with or without the normalisation, that it was
merged with:

    published   as Meta CLIP published it
    wide        kana may stand inside running text too, and entries are spaced like texts (see space_entry)
"""
import re
import string
import unicodedata

SPACINGS = PUBLISHED, WIDE = "published", "wide"
MARKS = ",.;:?!`"               # set apart by spaces in texts

# At these characters an entry may begin or end within running text: scripts written without
# spaces (as published; kana are not among them), and punctuation.
_CJK = ("\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002ceb0-\U0002ebef"
        "\uf900-\ufaff\u2e80-\u2fdf\u2ff0-\u2fff")
_THAI, _LAO, _BURMESE, _KHMER, _TIBETAN = \
    "\u0e00-\u0e7f", "\u0e80-\u0eff", "\u1000-\u109f", "\u1780-\u17ff", "\u0f00-\u0fff"
_PUNCTUATION = re.escape(string.punctuation + "，。、；：？！“”‘’（）【】《》〈〉「」『』～—")
_OPEN = _CJK + _THAI + _LAO + _BURMESE + _KHMER + _TIBETAN + _PUNCTUATION
# Hiragana, katakana with its phonetic extensions, half-width katakana, and the kana beyond the basic plane.
_KANA = "\u3040-\u309f\u30a0-\u30ff\u31f0-\u31ff\uff65-\uff9f\U0001b000-\U0001b16f"
_WITHOUT_SPACES = {PUBLISHED: re.compile(f"[{_OPEN}]"), WIDE: re.compile(f"[{_OPEN}{_KANA}]")}

# What keeps the published form of an entry out of every text: an entry's reason is the first that applies.
_NEVER = [(reason, re.compile(pattern)) for reason, pattern in [
    ("line break or tab", "[\t\n\r]"),
    ("marks side by side (?!)", f"[{MARKS}] ?[{MARKS}]"),
    ("mark within a word (U.S.)", f"[^ ][{MARKS}][^ ]"),
    ("mark at the end of a word (St. Louis)", f"[^ ][{MARKS}]"),
    ("mark at the beginning of a word (.com)", f"[{MARKS}][^ ]"),
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

    A space is put before it and after it, except where it begins or ends with a character that may stand inside
    running text. Under "published" that is all. Under "wide", what is inside is spaced as in texts: each mark gets
    a space on both sides, and tab, LF and CR become a space.

        entry        published       wide                in the text, under wide          not in
        St. Louis    " St. Louis "   " St .  Louis "     "in St. Louis, MO"               "St.Louis", "St . Louis"
        U.S.         " U.S."         " U . S . "         "the U.S., too", "U.S.A."        "U.S", "U. S."
        ...          "..."           " .  .  . "         "wait...", "?...!"               "..", ". . ."
        カメラ       " カメラ "      "カメラ"            "新しいカメラです"

    So under wide an entry is in a text exactly if its characters follow each other there, one for one (spaces
    included; tabs and line breaks being spaces), and each end of it is a mark, another such character, or next to
    a space, a mark or the text's end: between two characters other than spaces, the number of spaces in either
    form is that in the original plus one for each of the two that is a mark. Marks end words as they always did:
    U.S. is in "U.S.A." as cat is in "cat.jpg".
    """
    may_stand_inside = _WITHOUT_SPACES[spacing].match
    before = "" if may_stand_inside(entry[0]) else " "
    after = "" if may_stand_inside(entry[-1]) else " "
    return before + (_set_apart(entry) if spacing == WIDE else entry) + after


def _set_apart(text):
    """A space around each mark, and for each tab and line break."""
    for mark in MARKS:
        if mark in text:
            text = text.replace(mark, f" {mark} ")
    return text.replace("\t", " ").replace("\n", " ").replace("\r", " ")


def can_match(entry, spacing=PUBLISHED):
    """Whether any text at all can hold the entry: `U.S.` as published cannot, since texts have spaces around marks.

    Under "wide" every entry can.
    """
    return spacing == WIDE or not _NEVER_IN_A_TEXT.search(space_entry(entry, spacing))


def why_never(entry, spacing=PUBLISHED):
    """Why no text can hold the entry: one of few reasons, an example in each; None where can_match()."""
    if can_match(entry, spacing):
        return None
    spaced = space_entry(entry, spacing)
    return next(reason for reason, pattern in _NEVER if pattern.search(spaced))
