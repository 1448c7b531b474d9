"""The spaced forms of texts and entries: an entry is in a text when its spaced form is a substring of the text's.

    text    "a red car, a cat"      spaced  " a red car ,  a cat "
    entry   "car"                   spaced  " car "                 is in it
    entry   "ca"                    spaced  " ca "                  is not

So only whole words match in scripts that write spaces, while entries in Chinese, Thai and the like match inside
running text. A release is matched with the spacing, and with or without the normalisation to NFC, that it was merged
with:

    published   as Meta CLIP published it: texts are set apart at seven punctuation characters
    wide        texts and entries are set apart at all punctuation and symbols of Unicode, and entries in kana match
                inside running text, too (see space_entry)

Words of a Wikipedia end at all punctuation and symbols (words.py). So under "published", a word is not found in a text
that has it in «guillemets», beside an apostrophe, or before an Ethiopic full stop; under "wide" it is.
"""
import functools
import re
import string
import unicodedata

SPACINGS = PUBLISHED, WIDE = "published", "wide"
PUNCTUATION = ",.;:?!`"         # as published: gets a space on both sides in texts
WORDS_END_AT = "P S"            # under "wide": Unicode's categories of what does, as manifests of releases have them

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
_SPACES = "\t\n\r"             # become a space
_LAST = 0x1ffff                 # no code point beyond is punctuation or a symbol, in any version of Unicode

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


def space_text(text, spacing=PUBLISHED):
    """The form of a text in which entries are looked up."""
    return _set_apart(f" {text.strip()} ", spacing)


def space_text_with_origins(text, spacing=PUBLISHED):
    """(space_text(text, spacing), origins): for each of its characters the index of the character of the text that it
    comes from, -1 for a space that was put in. list of int"""
    stripped, before = text.strip(), len(text) - len(text.lstrip())
    pieces, origins = [" "], [-1]
    for index, character in enumerate(stripped, before):
        piece = _set_apart(character, spacing)          # one character becomes one, or three with spaces around it
        pieces.append(piece)
        origins += [index] if len(piece) == 1 else [-1, index, -1]
    return "".join([*pieces, " "]), [*origins, -1]


def space_entry(entry, spacing=PUBLISHED):
    """The form of an entry that must occur in a spaced text.

    A space is put before it and after it, except where it begins or ends with a character that may do so inside
    running text: one of a script without spaces, or punctuation. Under "published" that is all. Under "wide", all
    characters of Unicode's categories P (punctuation) and S (symbols) count as punctuation, and the characters inside
    are spaced as in texts: each punctuation character gets a space on both sides, and tab, LF and CR become a space.

        entry        published       wide                in the text, under wide          not in
        chat         " chat "        " chat "            "l’ami «chat»", "cat/chat"       "chats"
        St. Louis    " St. Louis "   " St .  Louis "     "in St. Louis, MO"               "St.Louis", "St . Louis"
        U.S.         " U.S."         " U . S . "         "the U.S., too", "U.S.A."        "U.S", "U. S."
        l’ami        " l’ami "       " l ’ ami "         "(l’ami)", "l’ami’s"             "l'ami", "l’ amie"
        ...          "..."           " .  .  . "         "wait...", "?...!"               "..", ". . ."
        カメラ       " カメラ "      "カメラ"            "新しいカメラです"

    So under "wide" an entry is in a text exactly if the text has the same characters in a row (spaces included; tab, LF
    and CR count as spaces, other white space inside a text is no space), and if each end of the entry either is a
    character that may be inside running text, or has a space, punctuation or the end of the text beside it there. The
    reason: between two characters other than spaces, both forms have as many spaces as the original, and one more for
    each of the two that is punctuation. Punctuation ends a word, as under "published": U.S. is in "U.S.A." as cat is in
    "cat.jpg".
    """
    if entry.isascii() and entry.isalnum():
        return f" {entry} "             # without punctuation
    before, after = ("" if _may_stand_inside(character, spacing) else " " for character in (entry[0], entry[-1]))
    return before + (_set_apart(entry, WIDE) if spacing == WIDE and not entry.isalnum() else entry) + after


@functools.lru_cache(1 << 16)
def _may_stand_inside(character, spacing):
    return bool(_WITHOUT_SPACES[spacing].match(character)) or spacing == WIDE and character in _wide_punctuation()


def _set_apart(text, spacing):
    """The text with a space on both sides of each punctuation character, and for each tab and line break."""
    if spacing == WIDE:
        return text.translate(_wide_table())
    for character in PUNCTUATION:
        if character in text:
            text = text.replace(character, f" {character} ")
    return text.replace("\t", " ").replace("\n", " ").replace("\r", " ")


@functools.cache
def _wide_punctuation():
    """The characters (frozenset) of Unicode's categories P and S, as this version of Python knows them."""
    return frozenset(character for character in map(chr, range(_LAST + 1))
                     if unicodedata.category(character)[0] in WORDS_END_AT.split())


@functools.cache
def _wide_table():
    """{code point: what becomes of it in a text under "wide"}, of all for which that is something else."""
    return {**{ord(character): f" {character} " for character in _wide_punctuation()},
            **{ord(character): " " for character in _SPACES}}


@functools.cache
def punctuation_bitmap(spacing):
    """The characters that texts are set apart at, for the native matcher: bytes of one bit per code point, the lowest
    bit of the first byte being U+0000. None as published."""
    if spacing == PUBLISHED:
        return None
    bitmap = bytearray(0x110000 // 8)
    for code in map(ord, _wide_punctuation()):
        bitmap[code // 8] |= 1 << code % 8
    return bytes(bitmap)


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
