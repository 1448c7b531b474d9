"""Look up the counts of a vocabulary that need not fit into memory.

A vocabulary is a list of pieces, each of two files: the words, sorted, one after another (`.words`), and the offset
and count of each (`.numbers`). The most frequent words are held in a dict, the others are found in the mapped files by
binary search.
"""
import bisect

import numpy as np

from mc2 import files, mapped_files

WORD_BYTES = 200                # memory that a word takes in a dict of words to counts
_NUMBERS = np.dtype([("offset", "<i8"), ("count", "<i8")])


def write(path, rows):
    """Write a piece, from sorted rows (word, count)."""
    offset = 0
    with files.open_write(f"{path}.words", is_own=True) as words, \
            files.open_write(f"{path}.numbers", is_own=True) as numbers:
        for word, count in rows:
            numbers.write(offset.to_bytes(8, "little") + count.to_bytes(8, "little"))
            offset += words.write(word.encode())


class Vocabulary:
    """counts[word] of the pieces together, which come in order."""

    def __init__(self, paths, memory):
        """memory: bytes that the dict of frequent words may take."""
        pieces = [_Piece(path) for path in paths]
        self.pieces = [piece for piece in pieces if len(piece)]
        self.first_words = [piece[0] for piece in self.pieces]
        least = 1
        while sum(int((piece.numbers["count"] >= least).sum()) for piece in self.pieces) > memory // WORD_BYTES:
            least *= 2
        self.frequent = {word: count for piece in self.pieces for word, count in piece.rows(least)}

    def __getitem__(self, word):
        count = self.frequent.get(word)
        return self.search(word) if count is None else count

    def search(self, word):
        word = word.encode()
        number = bisect.bisect_right(self.first_words, word) - 1
        if number >= 0:
            piece = self.pieces[number]
            index = bisect.bisect_left(piece, word)
            if index < len(piece) and piece[index] == word:
                return int(piece.numbers["count"][index])
        raise KeyError(word.decode())


class _Piece:
    """A sorted sequence of words as UTF-8, whose order is that of the code points."""

    def __init__(self, path):
        self.numbers = mapped_files.bytes_of(f"{path}.numbers").view(_NUMBERS)
        self.offsets = self.numbers["offset"]
        self.words = memoryview(mapped_files.bytes_of(f"{path}.words"))

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        end = self.offsets[index + 1] if index + 1 < len(self.offsets) else len(self.words)
        return bytes(self.words[self.offsets[index]:end])

    def rows(self, least):
        """Yield (word, count) of the words with at least this count."""
        counts = self.numbers["count"]
        for index in np.flatnonzero(counts >= least).tolist():
            yield self[index].decode(), int(counts[index])
