"""Tell the words of a text apart: for all languages what a word is, and a splitter for those that write spaces.

A splitter cuts a text into tokens; in languages written with spaces these are the runs of characters between white
space, punctuation and symbols (all of Unicode's categories P and S). A word is a token that holds a letter or a digit
(categories L and N). Case is kept, numbers are words, and combining marks stay inside. Characters that are shown as
nothing, such as marks of direction, soft hyphens and variation selectors, are taken out of the text first, since one
word would be several else (see `words_of` and `visible`).

`mc2.metadata.segmenters` has the splitters for other languages, and `splitter_for`, which chooses. All splitters have
these three attributes, and can be sent to other processes:

    tokens(text)    the tokens of a text in order, with END between two that are not neighbours
    joint           the text between the two words of a bigram: a space, say
    description     name, version and dictionary, for the manifest: where it is the same, the tokens are the same
"""
import functools
import re
import unicodedata

from mc2.invisible import HIGH_IGNORED, IGNORED

END = "|"                               # where a bigram ends; a symbol, so never in a word
LINE_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"        # as str.splitlines has them
UNICODE = f"unicode-{unicodedata.unidata_version}"              # the version decides what each character is


def is_end(character):
    """Whether the character ends a word, and a bigram too."""
    return unicodedata.category(character)[0] in "PS" or character in LINE_BREAKS


def characters_that(are):
    """The characters below U+10000, where re looks them up in a table, for a set of a regular expression."""
    return "".join(f"\\u{code:04x}" for code in range(0x10000) if are(chr(code)))


END_CHARACTERS = characters_that(is_end)
ENDS = re.compile(f"[{END_CHARACTERS}]+")
HIGH = re.compile("[\U00010000-\U0010ffff]")        # emoji, historic scripts, rare Chinese characters


def replace_high_ends(text, replacement):
    """The text with its emoji and other ends of words beyond U+FFFF replaced."""
    return HIGH.sub(lambda match: replacement if is_end(match[0]) else match[0], text)


# ---------------------------------------------------------------- characters that are shown as nothing

ZERO_WIDTH_SPACE = "\u200b"

_JOINERS = re.compile("[\u200c\u200d]+")            # ZWNJ and ZWJ

# The scripts that need joiners, by the first word of their characters' names: those whose letters join (Unicode's
# ArabicShaping.txt), and those with a virama (combining class 9) that makes letters one. Thai, Lao and Tibetan have
# such a sign, but no joiners.
_JOINING = set("""
    ADLAM ARABIC HANIFI MANDAIC MONGOLIAN NKO PHAGS-PA SYRIAC
    AHOM BALINESE BATAK BENGALI BHAIKSUKI BRAHMI CHAKMA DEVANAGARI DIVES DOGRA GRANTHA GUJARATI GUNJALA GURMUKHI HANUNOO
    JAVANESE KAITHI KANNADA KAWI KHAROSHTHI KHMER KHOJKI KHUDAWADI MALAYALAM MASARAM MEETEI MODI MYANMAR NANDINAGARI
    NEWA ORIYA REJANG SAURASHTRA SHARADA SIDDHAM SINHALA SOYOMBO SUNDANESE SYLOTI TAGALOG TAI TAKRI TAMIL TELUGU
    TIFINAGH TIRHUTA ZANABAZAR""".split())


def visible(text):
    """The text without characters that are shown as nothing.

    Unicode tells programs to ignore them: soft hyphens, marks of direction, variation selectors, U+2060, U+FEFF ... The
    joiners U+200C and U+200D stay inside words of scripts that need them, where they change what is shown: beside a
    letter of Arabic script, say, but neither in Latin or emoji, nor at an end of a word. U+200B stays, as a space does.
    """
    if text.isascii():
        return text
    text = IGNORED.sub("", text)
    if HIGH.search(text):
        text = HIGH_IGNORED.sub("", text)
    if "\u200c" in text or "\u200d" in text:
        text = _JOINERS.sub(_joiners_to_keep, text)
    return text


def _joiners_to_keep(match):
    before, after = match.string[:match.start()][-1:], match.string[match.end():match.end() + 1]
    keep = before and after and _is_of_word(before) and _is_of_word(after) and (_joins(before) or _joins(after))
    return match[0] if keep else ""


def _is_of_word(character):
    return unicodedata.category(character)[0] in "LMN"


@functools.lru_cache(1 << 12)
def _joins(character):
    """Whether the character is of a script that needs joiners."""
    return unicodedata.name(character, "?").split()[0] in _JOINING


# ---------------------------------------------------------------- words

_IN_WORDS = re.compile(r"[^\W_]")        # a letter or a digit: categories L and N


def words_of(text, splitter):
    """The words of a text (list), with END between two words that are not neighbours: also where a token without a
    letter or a digit is between them, such as a lone combining mark."""
    tokens = splitter.tokens(visible(text))
    others = {token for token in set(tokens) if not is_word(token)} - {END}
    return [END if token in others else token for token in tokens] if others else tokens


def is_word(token):
    """Whether a token holds a letter or a digit."""
    return token[:1].isalnum() or bool(_IN_WORDS.search(token))


class Spaces:
    """Words have white space between them, or U+200B, which is shown as nothing.

    >>> Spaces().tokens("Well-known in 1990, e.g. Ubuntu")
    ['Well', '|', 'known', 'in', '1990', '|', 'e', '|', 'g', '|', 'Ubuntu']
    """

    joint = " "
    description = {"name": "spaces", "version": UNICODE, "dictionary": None}

    def tokens(self, text):
        """The tokens of a text (list), with END between two that have more than spaces between them."""
        text = text.replace(ZERO_WIDTH_SPACE, " ")
        return ENDS.sub(" | ", replace_high_ends(text, " | ")).split()
