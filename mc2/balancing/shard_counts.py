"""The counts of one shard, or of several, in one file: sparse, language by language.

Counts of a worldwide release are hundreds of millions of numbers, of which a shard has a few. The file holds, for
each language that occurs, the entries that occurred and how often, and the sample (see mc2.balancing.counting). Files
are merged one language at a time, so memory is that of the largest language.

    blocks    per language: ids uint32, times uint64; of the sample hashes uint64, offsets int64, ids uint32
    index     JSON: `metadata` (fingerprint), `shards` (what was counted), `tally`, `languages`
    end       offset of the index as 8 bytes little-endian, its CRC-32, magic
"""
import os
import struct
import zlib
from collections import Counter

import numpy as np
import orjson

from mc2 import files, manifests, mapped_files
from mc2.balancing import counting
from mc2.errors import BadData

_END = struct.Struct("<QI8s")
_MAGIC = b"mc2cnt02"
_DTYPES = [np.dtype(kind) for kind in ("<u4", "<u8", "<u8", "<i8", "<u4")]     # as the blocks are listed above


class ShardCounts:
    """A file of counts opened for reading.

    metadata:  fingerprint of the release
    shards:    {name of a shard: what it was counted from and how}
    tally:     Counter of what happened to the pairs
    langs:     the languages that occur

    Raises BadData where the file is damaged.
    """

    def __init__(self, path):
        self.path = os.fspath(path)
        try:
            self._data = mapped_files.bytes_of(path)
            end = len(self._data) - _END.size
            offset, crc32, magic = _END.unpack(self._data[max(0, end):])
            data = self._data[offset:max(0, end)].tobytes()
            if magic != _MAGIC or offset > end or zlib.crc32(data) != crc32:
                raise ValueError
            index = orjson.loads(data)
            self.metadata, self.shards, self.tally = index["metadata"], index["shards"], Counter(index["tally"])
            self._rows = index["languages"]
        except (ValueError, KeyError, TypeError, struct.error, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise self._damaged() from None

    @property
    def langs(self):
        return list(self._rows)

    def __getitem__(self, lang):
        """The counting.Partial of a language."""
        row = self._rows[lang]
        data = self._data[row["offset"]:row["offset"] + row["bytes"]]
        if len(data) != row["bytes"] or zlib.crc32(data) != row["crc32"]:
            raise self._damaged()
        arrays, position = [], 0
        for dtype, length in zip(_DTYPES, row["lengths"]):
            arrays.append(np.frombuffer(data, dtype, length, position))
            position += length * dtype.itemsize
        return counting.Partial(row["pairs"], row["matched"], *arrays[:2], counting.Sample(*arrays[2:]))

    def _damaged(self):
        return BadData(f"{self.path}: these counts are damaged. Delete the file and run again.")


def write(path, metadata, shards, tally, partials):
    """Write a file of counts, whole. partials: iterable of (lang, counting.Partial), each language once."""
    rows, offset = {}, 0
    with files.open_write(path, is_own=True) as stream:
        for lang, partial in partials:
            arrays = [partial.ids, partial.times, *partial.sample]
            data = b"".join(array.astype(dtype, copy=False).tobytes() for array, dtype in zip(arrays, _DTYPES))
            rows[lang] = {"pairs": partial.pairs, "matched": partial.matched, "offset": offset, "bytes": len(data),
                          "crc32": zlib.crc32(data), "lengths": [len(array) for array in arrays]}
            stream.write(data)
            offset += len(data)
        index = orjson.dumps({"metadata": metadata, "shards": shards, "tally": tally, "languages": rows})
        stream.write(index)
        stream.write(_END.pack(offset, zlib.crc32(index), _MAGIC))


def merge(paths, output):
    """Merge files of counts of different shards into one."""
    parts = [ShardCounts(path) for path in paths]
    shards = {}
    for part in parts:
        if part.metadata != parts[0].metadata:
            raise BadData(f"{part.path}: counts of metadata {part.metadata[:12]}, but {parts[0].path} is of metadata "
                          f"{parts[0].metadata[:12]}. Delete both and run again.")
        if twice := shards.keys() & part.shards.keys():
            raise BadData(f"{part.path}: counts {min(twice)} a second time. Delete the file and run again.")
        shards.update(part.shards)
    write(output, parts[0].metadata, shards, sum((part.tally for part in parts), Counter()), merged(parts))


def merged(parts):
    """Yield (lang, counting.Partial) of several ShardCounts together, sorted by language."""
    for lang in sorted({lang for part in parts for lang in part.langs}):
        yield lang, counting.merge_partials(part[lang] for part in parts if lang in part.langs)


def to_counts(parts, n_entries, metadata, path, **run):
    """Write a directory of counts, as `mc2 count` does, from ShardCounts; returns its manifest.

    n_entries: {lang: number of entries}, of the release with this fingerprint.
    """
    occurring = dict.fromkeys(lang for part in parts for lang in part.langs)

    def languages():
        for lang, n in n_entries.items():
            entry_counts = np.zeros(n, np.uint64)
            if lang not in occurring:
                yield lang, entry_counts, 0, 0, counting.EMPTY
                continue
            partial = counting.merge_partials(part[lang] for part in parts if lang in part.langs)
            entry_counts[partial.ids] = partial.times
            yield lang, entry_counts, partial.pairs, partial.matched, partial.sample

    return counting.write(path, metadata, languages(), **run)


class ShardCounter(counting.Counter):
    """Count the matches of the pairs of a shard, and keep them in a file of its own."""

    def __init__(self, release, path_of):
        """path_of: function from a shard to the file of its counts."""
        super().__init__(release)
        self.path_of, self.sums = path_of, None

    def begin(self, shard):
        self.sums = counting.Accumulator(self.n_entries)

    def __call__(self, batch):
        self.sums.add(self.product(batch))

    def finish(self, shard, description, tally):
        tally["adjacent duplicates"] += self.sums.duplicates
        write(self.path_of(shard), self.lineage["metadata"],
              {description["input"]["name"]: manifests.fingerprint(description)}, tally, self.sums.partials())
        return {}

    def is_done(self, shard, description):
        """Whether the counts of the shard are there, made as described."""
        return self.shards_of(shard) == {description["input"]["name"]: manifests.fingerprint(description)}

    def shards_of(self, shard):
        """{name: fingerprint of the description} of what was counted for a shard; {} where there is nothing."""
        try:
            return ShardCounts(self.path_of(shard)).shards
        except (FileNotFoundError, BadData):
            return {}

    def __getstate__(self):
        return {**self.__dict__, "sums": None}
