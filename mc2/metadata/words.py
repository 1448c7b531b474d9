"""Tell the words of a text apart, in languages that write spaces between words.

A word is what stands between white space, punctuation and symbols (Unicode categories P and S, all of
them). Nothing else is done to it: case is kept, numbers are words, marks, joiners and characters that nobody
sees stay inside, since matching does not take them out of texts either.

`mc2.metadata.segmenters` has the other languages. All splitters have the same three things:

    tokens(text)    the words of a text in order, and END where there is more between two of them than what joins words
    joint           what stands between the two words of a bigram
    description     name, version and dictionary, for the manifest
"""
import re
import unicodedata

END = "|"                               # where a bigram ends; a symbol, so never in a word
LINE_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"        # as str.splitlines has them


def is_end(character):
    """Whether the character ends a word, and a bigram too."""
    return unicodedata.category(character)[0] in "PS" or character in LINE_BREAKS


# Below U+10000 only, where re looks characters up in a table.
ENDS = re.compile("[%s]+" % "".join(f"\\u{code:04x}" for code in range(0x10000) if is_end(chr(code))))
HIGH = re.compile("[\U00010000-\U0010ffff]")        # emoji, historic scripts


class Spaces:
    """Words are set apart by white space.

    >>> Spaces().tokens("Well-known in 1990, e.g. Ubuntu")
    ['Well', '|', 'known', 'in', '1990', '|', 'e', '|', 'g', '|', 'Ubuntu']
    """

    joint = " "
    description = {"name": "spaces", "version": f"unicode-{unicodedata.unidata_version}", "dictionary": None}

    def tokens(self, text):
        """The words of a text, and END where there is more between two of them than spaces."""
        text = HIGH.sub(lambda match: " | " if is_end(match[0]) else match[0], text)
        return ENDS.sub(" | ", text).split()
