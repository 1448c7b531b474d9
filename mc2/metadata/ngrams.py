"""Count words and pairs of words.

A bigram is two words with nothing but spaces between them: punctuation, a symbol or a line break ends it.
"""
import math
from collections import Counter

from mc2.metadata.words import END, Spaces

LONGEST_ENTRY = 256                     # characters
SPACES = Spaces()


def count_ngrams(texts):
    """Count the words and bigrams of plain texts: (Counter of words, Counter of "first second")."""
    unigrams, bigrams = Counter(), Counter()
    for text in texts:
        tokens = SPACES.tokens(text)
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
