"""Check the file of a fastText model before the module `fasttext` reads it, which trusts its numbers, and with a
damaged file crashes or never ends.

The layout, all numbers little-endian: a header with the training options; the dictionary; for a pruned model the
buckets that were kept; the input matrix; the output matrix. Either matrix may be quantised. Sizes, counts and indices
are checked, and that the numbers of the matrices are finite. That one of these numbers is another than it was, only a
checksum could tell, and the format has none.
"""
import hashlib
import mmap
import os
import re
import struct

import numpy as np

from mc2.errors import BadData

MAGIC, VERSIONS = 793712314, (11, 12)
HIERARCHICAL_SOFTMAX, LOSSES = 1, range(1, 5)
SUPERVISED, WORD_VECTORS = 3, (1, 2)
LONGEST_NGRAM = 64                          # far beyond any real model
MOST_BUCKETS = 1 << 27                      # of a pruned model
NOT_BUILT = 10**15                          # as count of a label; fastText has no larger ones either
# SHA-256 of lid.176.ftz, by its size
PUBLISHED = {938_013: "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"}

_HEADER = struct.Struct("<12id")            # from the dimension on
_DICTIONARY = struct.Struct("<3i2q")
_ENTRY = re.compile(rb"[^\0]*\0(.{8})([\0\1])", re.DOTALL)      # a word, its count, whether it is a label


def check(path):
    """Raise BadData where a file is no fastText model for classification, or a damaged one; OSError where it cannot be
    read."""
    with open(path, "rb") as stream:
        if os.fstat(stream.fileno()).st_size < 4 or stream.read(4) != MAGIC.to_bytes(4, "little"):
            raise BadData(f"{path}: not a fastText model.")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            reader = _Reader(path, data)
            try:
                _check(reader)
            finally:
                reader.close()


def note(path):
    """A line about a file that has the size of a published model, but not its content; else None."""
    expected = PUBLISHED.get(os.path.getsize(path))
    if expected is None:
        return None
    with open(path, "rb") as stream:
        content = stream.read()
    if hashlib.sha256(content).hexdigest() == expected:
        return None
    return (f"{path}: has the size of lid.176.ftz as fastText published it, but not its content. It is another model, or "
            f"a damaged copy.")


class _Reader:
    """Reads one value after the other, and never past the end of the file."""

    def __init__(self, path, data):
        self.path, self.data = path, data
        self.view, self.position = memoryview(data), 4

    def close(self):
        self.view.release()

    def refuse(self, reason):
        raise BadData(f"{self.path}: {reason}")

    def require(self, condition, reason):
        if not condition:
            self.refuse(f"damaged fastText model ({reason}). Fetch or make it again.")

    def left(self):
        return len(self.data) - self.position

    def skip(self, size):
        """The offset of the next `size` bytes."""
        self.require(0 <= size <= self.left(), "a negative count" if size < 0 else "the file is cut off")
        self.position += size
        return self.position - size

    def values(self, layout):
        return layout.unpack_from(self.data, self.skip(layout.size))

    def number(self, form):
        return self.values(struct.Struct("<" + form))[0]

    def flag(self):
        value = self.number("B")
        self.require(value <= 1, "a flag that is neither yes nor no")
        return value == 1

    def array(self, dtype, count):
        """The next numbers, copied."""
        offset = self.skip(count * np.dtype(dtype).itemsize)
        return np.frombuffer(self.view[offset:self.position], dtype).copy()

    def floats(self, count):
        """Pass over floats, which must be finite."""
        while count > 0:
            part = min(count, 1 << 20)
            self.require(np.isfinite(self.array("<f4", part)).all(), "numbers that are infinite or none")
            count -= part


def _check(reader):
    dim, loss, buckets, has_ngrams = _check_header(reader)
    words, labels, kept_buckets = _check_dictionary(reader, loss)
    rows = _check_buckets(reader, words, buckets, kept_buckets, has_ngrams)
    quantized = reader.flag()
    reader.require(quantized or kept_buckets < 0, "pruned but not quantised")
    found = _check_matrix(reader, dim, quantized)
    reader.require(found >= rows, "fewer rows in the input matrix than words and n-grams")
    output_quantized = reader.flag() and quantized
    found = _check_matrix(reader, dim, output_quantized)
    reader.require(found == labels, "not one row of the output matrix per label")
    reader.require(not reader.left(), "bytes after its end")


def _check_header(reader):
    """(dimension, loss, number of buckets, whether there are n-grams of characters or words)"""
    version = reader.number("i")
    if version not in VERSIONS:
        reader.refuse(f"fastText format {version} is not known here.")
    dim, _, _, _, _, word_ngrams, loss, kind, buckets, shortest, longest, _, _ = reader.values(_HEADER)
    if kind in WORD_VECTORS:
        reader.refuse("a model of word vectors, without labels. Use a supervised model.")
    reader.require(kind == SUPERVISED, "an unknown kind of model")
    reader.require(loss in LOSSES, "an unknown loss")
    reader.require(dim > 0, "no dimensions")
    reader.require(buckets >= 0, "a negative number of buckets")
    reader.require(0 <= word_ngrams <= LONGEST_NGRAM, "word n-grams of that length")
    reader.require(shortest >= 0 and 0 <= longest <= LONGEST_NGRAM, "character n-grams of that length")
    has_ngrams = word_ngrams > 1 or longest > 0 and version > VERSIONS[0]      # older ones have none of characters
    return dim, loss, buckets, has_ngrams


def _check_dictionary(reader, loss):
    """(number of words, of labels, of buckets that were kept: negative where all were)"""
    size, words, labels, _, kept_buckets = reader.values(_DICTIONARY)
    reader.require(words >= 0 and labels >= 0 and words + labels == size, "words and labels do not add up")
    if not labels:
        reader.refuse("a fastText model without labels.")
    reader.require(size <= reader.left() // 10, "the file is cut off")
    counts = []
    for number in range(size):
        entry = _ENTRY.match(reader.data, reader.position)
        reader.require(entry, "a word without end, or a flag that is neither yes nor no")
        reader.position = entry.end()
        reader.require((entry[2] == b"\1") == (number >= words), "a word among the labels, or a label among the words")
        if number >= words:
            counts.append(int.from_bytes(entry[1], "little", signed=True))
    if loss == HIERARCHICAL_SOFTMAX:
        _check_tree(reader, counts)
    return words, labels, kept_buckets


def _check_tree(reader, counts):
    """Build the tree as fastText does: of the two rarest nodes without a parent, again and again, which are at the end
    of the labels or at the front of the nodes built so far."""
    n_labels, leaf, inner = len(counts), len(counts) - 1, len(counts)
    reader.require(all(0 <= count < NOT_BUILT for count in counts), "an impossible label count")
    counts = counts + [NOT_BUILT] * (n_labels - 1)
    for node in range(n_labels, 2 * n_labels - 1):
        total = 0
        for _ in range(2):
            if leaf >= 0 and counts[leaf] < counts[inner]:
                child, leaf = leaf, leaf - 1
            else:
                child, inner = inner, inner + 1
            reader.require(child < node, "label counts that make no tree")
            total += counts[child]
        reader.require(total < 1 << 63, "impossible label counts")
        counts[node] = total


def _check_buckets(reader, words, buckets, kept_buckets, has_ngrams):
    """The number of rows that the input matrix must have at least."""
    reader.require(buckets > 0 or not has_ngrams, "no buckets for n-grams")
    if kept_buckets < 0:
        reader.require(words + buckets < 1 << 31 or not has_ngrams, "more rows than numbers for them")
        return words + buckets if has_ngrams else words
    reader.require(kept_buckets <= reader.left() // 8, "the file is cut off")
    pairs = reader.array("<i4", 2 * kept_buckets).reshape(-1, 2).astype(np.int64)
    if not kept_buckets:
        return words
    reader.require(0 < buckets <= MOST_BUCKETS, "that number of buckets")
    kept, rows = pairs.T
    reader.require(kept.min() >= 0 and kept.max() < buckets, "a kept bucket outside the buckets")
    reader.require(rows.min() >= 0 and words + rows.max() < (1 << 31) - 1, "a kept bucket without a row")
    reader.require(len(np.unique(kept)) == len(kept), "a bucket kept twice")
    return words + int(rows.max()) + 1


def _check_matrix(reader, dim, quantized):
    """The number of rows of a matrix, which is passed over."""
    has_norms = quantized and reader.flag()
    rows, columns = reader.values(struct.Struct("<2q"))
    reader.require(columns == dim, "a matrix of another dimension")
    if not quantized:
        reader.require(0 <= rows <= reader.left() // (4 * dim), "the file is cut off")
        reader.floats(rows * dim)
        return rows
    code_bytes = reader.number("i")
    reader.skip(code_bytes)
    pieces = _check_quantizer(reader, dim)
    reader.require(rows >= 0 and rows * pieces == code_bytes, "a matrix whose codes do not add up")
    if has_norms:
        reader.skip(rows)
        _check_quantizer(reader, 1)
    return rows


def _check_quantizer(reader, dim):
    """The number of pieces that a vector is cut into."""
    its_dim, pieces, width, last_width = reader.values(struct.Struct("<4i"))
    reader.require(its_dim == dim, "a quantiser of another dimension")
    reader.require(pieces > 0 and 0 < last_width <= width and (pieces - 1) * width + last_width == dim,
                   "a quantiser whose pieces do not add up")
    reader.require(dim <= reader.left() // 1024, "the file is cut off")
    reader.floats(256 * dim)
    return pieces
