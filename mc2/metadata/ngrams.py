"""Count words and pairs of words, for languages that write spaces between words.

A word is what stands between white space, punctuation and symbols (Unicode categories P and S, all of
them). Nothing else is done to it: case is kept, numbers are words, marks, joiners and characters that nobody
sees stay inside, since matching does not take them out of texts either.

A bigram is two words with nothing but spaces between them: punctuation, a symbol or a line break ends it.
"""
import math
import re
import unicodedata
from collections import Counter

LONGEST_ENTRY = 256                     # characters
END = "|"                               # where a bigram ends; a symbol, so never in a word
LINE_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"        # as str.splitlines has them


def _is_end(character):
    return unicodedata.category(character)[0] in "PS" or character in LINE_BREAKS


# Below U+10000 only, where re looks characters up in a table.
ENDS = re.compile("[%s]+" % "".join(f"\\u{code:04x}" for code in range(0x10000) if _is_end(chr(code))))
HIGH = re.compile("[\U00010000-\U0010ffff]")        # emoji, historic scripts


def words(line):
    """The words of a text, in order.

    >>> words("Well-known in 1990, e.g. Ubuntu")
    ['Well', 'known', 'in', '1990', 'e', 'g', 'Ubuntu']
    """
    return [word for word in _words_and_ends(line) if word != END]


def _words_and_ends(text):
    """The words of a text, and END where there is more between two of them than spaces."""
    text = HIGH.sub(lambda match: " | " if _is_end(match[0]) else match[0], text)
    return ENDS.sub(" | ", text).split()


def count_ngrams(texts):
    """Count the words and bigrams of plain texts: (Counter of words, Counter of "first second")."""
    unigrams, bigrams = Counter(), Counter()
    for text in texts:
        tokens = _words_and_ends(text)
        unigrams.update(tokens)
        pairs = map(" ".join, zip(tokens, tokens[1:]))
        bigrams.update([pair for pair in pairs if END not in pair])
    del unigrams[END]
    return unigrams, bigrams


def unigram_rows(unigrams):
    """Rows (word, count), the most frequent first, words of equal count in the order of code points."""
    rows = [(word, count) for word, count in unigrams.items() if len(word) <= LONGEST_ENTRY]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def bigram_rows(unigrams, bigrams, min_count=5):
    """Rows (bigram, PMI with 6 decimals as text, count) of the bigrams seen at least min_count times.

    The highest PMI comes first as it is written, then the highest count, then the order of code points.
    PMI = log2(n(xy) N / (n(x) n(y))), N the number of words of the texts.
    """
    total = unigrams.total()
    rows = []
    for bigram, count in bigrams.items():
        if count >= min_count and len(bigram) <= LONGEST_ENTRY:
            first, second = bigram.split(" ")
            pmi = math.log2(count * total / (unigrams[first] * unigrams[second]))
            rows.append((bigram, f"{round(pmi, 6) + 0.0:.6f}", count))      # + 0.0: never -0.000000
    return sorted(rows, key=lambda row: (-float(row[1]), -row[2], row[0]))
