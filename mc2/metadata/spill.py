"""Count strings exactly in bounded memory, as for the words of a whole Wikipedia.

A Tally counts in a dict. When that is as large as it may be, its rows go to disk, sorted: a *run*. Runs merge
into one sorted stream, by ranges of keys if need be, so that processes can share the work:

    tally = Tally("work", "words", memory=1 << 30)
    tally.counts.update(words)
    tally.spill_if_large()                  # now and then
    runs = [Run(path) for path in tally.finish()]
    for start, stop in ranges(runs, 16):
        for key, count in merge(runs, start, stop): ...

A run is a file of blocks, each a zstd frame of at most BLOCK_ROWS rows, and an index of the blocks' first keys.
Keys are any strings without a line break, in the order of code points.
"""
import bisect
import itertools
import operator
import os
import struct
import sys
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import orjson
import zstandard

from mc2 import files
from mc2.errors import BadData

BLOCK_ROWS = 4096
SORTED_ROWS = 512                   # of a block of sorted rows
FAN_IN = 128                        # runs merged at a time: 0.5 MB of memory each
_MAGIC = b"mc2run01"
_END = struct.Struct("<Q8s")        # offset of the index, magic
_COUNTS = np.dtype("<i8")


class Tally:
    """A counter that keeps within about `memory` bytes by spilling runs `{name}.{number}.run` to a directory.

    counts: the Counter of what is not spilled yet; add to it, and call spill_if_large now and then.
    """

    def __init__(self, directory, name, memory):
        self.directory, self.name, self.memory = directory, name, memory
        self.counts = Counter()
        self.paths = []
        self._next_look = 0         # rows

    def spill_if_large(self):
        """Spill, if the counter has become too large. Cheap when it has not grown by much since the last call."""
        if len(self.counts) >= self._next_look:
            if bytes_of(self.counts) > self.memory:
                self._spill()
            self._next_look = len(self.counts) * 1.1 + 1000

    def finish(self):
        """Spill the rest. Returns the paths of the runs."""
        if self.counts:
            self._spill()
        return self.paths

    def _spill(self):
        path = os.path.join(self.directory, f"{self.name}.{len(self.paths):04}.run")
        counts = self.counts
        write_run(path, ((key, counts[key]) for key in sorted(counts)))
        counts.clear()
        self.paths.append(path)


def bytes_of(counts):
    """The bytes that a dict of strings to counts takes, or is about to take: while its table grows there are two of
    them, and spilling needs a list of the keys."""
    n = len(counts)
    sample = [sys.getsizeof(key) for key in itertools.islice(counts, 0, None, n // 2000 + 1)]
    return 1.5 * sys.getsizeof(counts) + n * (sum(sample) / max(1, len(sample)) + 24)


# ---------------------------------------------------------------- runs

def write_run(path, rows):
    """Write sorted rows (key, count) as a run, whole."""
    compressor = zstandard.ZstdCompressor(level=1)
    rows = iter(rows)
    index, offset = [], 0
    with files.open_write(path, is_own=True) as stream:
        while block := list(itertools.islice(rows, BLOCK_ROWS)):
            keys = "\n".join([key for key, _ in block]).encode("utf-8", "surrogatepass")
            counts = np.array([count for _, count in block], _COUNTS).tobytes()
            frame = compressor.compress(struct.pack("<I", len(block)) + counts + keys)
            index.append([block[0][0].encode("utf-8", "surrogatepass").hex(), offset])
            stream.write(frame)
            offset += len(frame)
        stream.write(compressor.compress(orjson.dumps(index)))
        stream.write(_END.pack(offset, _MAGIC))


class Run:
    """A run on disk. Raises BadData where it is damaged."""

    def __init__(self, path):
        self.path = path
        try:
            with open(path, "rb") as stream:
                stream.seek(-_END.size, os.SEEK_END)
                end = stream.tell()
                offset, magic = _END.unpack(stream.read())
                if magic != _MAGIC:
                    raise ValueError
                stream.seek(offset)
                index = orjson.loads(zstandard.ZstdDecompressor().decompress(stream.read(end - offset)))
        except (OSError, ValueError, zstandard.ZstdError) as error:
            raise _damaged(self.path) from error
        self.first_keys = [bytes.fromhex(key).decode("utf-8", "surrogatepass") for key, _ in index]
        self.offsets = [offset for _, offset in index] + [offset]

    def blocks(self, start=None, stop=None):
        """Yield (keys, counts), lists, of the rows with start <= key < stop."""
        first = max(0, bisect.bisect_right(self.first_keys, start) - 1) if start is not None else 0
        last = bisect.bisect_left(self.first_keys, stop) if stop is not None else len(self.first_keys)
        decompressor = zstandard.ZstdDecompressor()
        with open(self.path, "rb") as stream:
            for block in range(first, last):
                stream.seek(self.offsets[block])
                frame = stream.read(self.offsets[block + 1] - self.offsets[block])
                try:
                    keys, counts = _unpack(decompressor.decompress(frame))
                except (zstandard.ZstdError, ValueError, struct.error) as error:
                    raise _damaged(self.path) from error
                low = bisect.bisect_left(keys, start) if start is not None else 0
                high = bisect.bisect_left(keys, stop) if stop is not None else len(keys)
                if low < high:
                    yield keys[low:high], counts[low:high]


def _damaged(path):
    return BadData(f"{path}: this intermediate file is damaged. Delete {os.path.dirname(path)} and run again.")


def _unpack(data):
    n, = struct.unpack_from("<I", data)
    counts = np.frombuffer(data, _COUNTS, n, 4).tolist()
    keys = data[4 + 8 * n:].decode("utf-8", "surrogatepass").split("\n")
    if len(keys) != n:
        raise ValueError("a block that does not fit its length")
    return keys, counts


# ---------------------------------------------------------------- merging

@dataclass
class _Head:
    """How far a merge has come in one of its inputs."""

    blocks: object                      # iterator of (sorted keys, their values), lists
    keys: list = field(default_factory=list)
    values: list = field(default_factory=list)
    position: int = 0                   # in the block: of the next row to be taken

    def fill(self):
        """Take the next block when this one is used up. False at the end of the input."""
        if self.position == len(self.keys):
            self.keys, self.values = next(self.blocks, ([], []))
            self.position = 0
        return bool(self.keys)

    def take(self, bound):
        """(key, value) with key <= bound."""
        first, self.position = self.position, bisect.bisect_right(self.keys, bound, self.position)
        return zip(self.keys[first:self.position], self.values[first:self.position])


def merge(runs, start=None, stop=None):
    """Yield (key, count) of all runs together, in order of keys, each key once, start <= key < stop.

    Block by block: up to the smallest of the last keys of the blocks at hand, all rows are there. Memory: a block
    per run.
    """
    heads = [_Head(run.blocks(start, stop)) for run in runs]
    while heads := [head for head in heads if head.fill()]:
        bound = min(head.keys[-1] for head in heads)
        total = dict(heads[0].take(bound))
        for head in heads[1:]:
            for key, count in head.take(bound):
                total[key] = total.get(key, 0) + count
        yield from sorted(total.items())


def reduce_runs(paths, directory, name):
    """Merge runs until there are at most FAN_IN. Returns their paths. The runs that were merged stay."""
    return _reduce(paths, directory, f"{name}.{{:04}}.run", FAN_IN,
                   lambda path, group: write_run(path, merge([Run(path) for path in group])))


def _reduce(paths, directory, name, fan_in, write):
    paths, number = list(paths), 0
    while len(paths) > fan_in:
        group, paths = paths[:fan_in], paths[fan_in:]
        paths.append(os.path.join(directory, name.format(number)))
        write(paths[-1], group)
        number += 1
    return paths


def ranges(runs, n):
    """Up to n ranges (start, stop) of keys that have about as many rows each and cover all; None is open."""
    keys = sorted(key for run in runs for key in run.first_keys)
    bounds = sorted({keys[len(keys) * k // n] for k in range(1, n)}) if keys else []
    return list(zip([None, *bounds], [*bounds, None]))


# ---------------------------------------------------------------- sorting

def sort_in_chunks(rows, key, chunk_rows, directory, name):
    """Sort rows (tuples) of any number: writes sorted files of at most chunk_rows rows, and returns their paths."""
    rows, paths = iter(rows), []
    while chunk := sorted(itertools.islice(rows, chunk_rows), key=key):
        path = os.path.join(directory, f"{name}.{len(paths):04}.rows")
        _write_rows(path, chunk)
        paths.append(path)
    return paths


def merge_sorted(paths, key):
    """Yield the rows of files of sort_in_chunks, sorted by the same key. Memory: SORTED_ROWS per file."""
    heads = [_Head(_read_chunk(path, key)) for path in paths]
    while heads := [head for head in heads if head.fill()]:
        bound = min(head.keys[-1] for head in heads)
        rows = [row for head in heads for row in head.take(bound)]
        rows.sort(key=operator.itemgetter(0))
        for _, row in rows:
            yield row


def reduce_sorted(paths, key, directory, name, fan_in=FAN_IN):
    """Merge files of sort_in_chunks until there are at most fan_in. Returns the paths of these."""
    return _reduce(paths, directory, f"{name}.{{:04}}.rows", fan_in,
                   lambda path, group: _write_rows(path, merge_sorted(group, key)))


def _write_rows(path, rows):
    """Write rows as lines of JSON, each a list of at most SORTED_ROWS rows; the last line is an empty list, by which a
    cut-off file is noticed."""
    rows = iter(rows)
    with files.open_write(path, is_own=True) as stream:
        while block := list(itertools.islice(rows, SORTED_ROWS)):
            stream.write(orjson.dumps(block, option=orjson.OPT_APPEND_NEWLINE))
        stream.write(b"[]\n")


def _read_chunk(path, key):
    """Yield (keys, rows) of every block."""
    with open(path, "rb") as stream:
        for line in stream:
            try:
                rows = [tuple(row) for row in orjson.loads(line)]
                keys = list(map(key, rows))
            except (ValueError, TypeError, LookupError) as error:
                raise _damaged(path) from error
            if not rows:
                return
            yield keys, rows
    raise _damaged(path)
