"""Tell the words of a text apart, in languages that write spaces between words.

A word is a run of characters between white space, punctuation and symbols (all of Unicode's categories P and
S). Nothing else is done to it: case is kept, numbers are words, and combining marks, joiners and invisible
characters stay inside, since matching does not take them out of texts either.

`mc2.metadata.segmenters` has the other languages, and `splitter_for`, which chooses. All splitters have these three
attributes, and can be sent to other processes:

    tokens(text)    the words of a text in order, with END between two words that are not neighbours
    joint           the text between the two words of a bigram: a space, say
    description     name, version and dictionary, for the manifest: where it is the same, the words are the same
"""
import re
import unicodedata

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


class Spaces:
    """Words have white space between them.

    >>> Spaces().tokens("Well-known in 1990, e.g. Ubuntu")
    ['Well', '|', 'known', 'in', '1990', '|', 'e', '|', 'g', '|', 'Ubuntu']
    """

    joint = " "
    description = {"name": "spaces", "version": UNICODE, "dictionary": None}

    def tokens(self, text):
        """The words of a text (list), with END between two words that have more than spaces between them."""
        return ENDS.sub(" | ", replace_high_ends(text, " | ")).split()
