"""Lines of pairs, divided by a hash of their ids: what one shard of a pool gives to the de-duplication of all of it.

A file of buckets is a row of zstd frames, each with lines of one bucket, then a frame with the index (JSON), then
TRAILER. Bucket b of 2^bits has the ids whose hash begins with the `bits` bits of b, so that one bucket after another
is in the order of the hashes, however many there are.
"""
import contextlib
import struct

import numpy as np
import orjson
import zstandard

from mc2 import files
from mc2.errors import BadData
from mc2.hashing import keyed_hashes

MAGIC = b"mc2bkt01"
TRAILER = struct.Struct("<Q8s")         # offset of the index, MAGIC
FLUSHED = 32 << 20                      # bytes of lines that wait to be written


def hashes_of_ids(ids):
    """uint64 (n,). ids: mc2.pairs.batch.Strings"""
    return keyed_hashes(["dedup"], [ids])


class Writer:
    """Writes a file of buckets to a stream. close() ends it."""

    def __init__(self, stream, bits):
        self.stream, self.bits = stream, bits
        self.compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
        self.waiting, self.bytes, self.offset, self.index = [], 0, 0, []

    def write(self, encoded):
        hashes, data = encoded
        self.waiting.append((hashes, data))
        self.bytes += len(data)
        if self.bytes > FLUSHED:
            self._flush()

    def close(self):
        self._flush()
        begin = self.offset
        self._frame(orjson.dumps(self.index))
        self.stream.write(TRAILER.pack(begin, MAGIC))

    def _flush(self):
        """Write the lines that wait, as a frame for each bucket."""
        if not self.waiting:
            return
        lines = b"".join([data for _, data in self.waiting]).split(b"\n")[:-1]
        buckets = bucket_of(np.concatenate([hashes for hashes, _ in self.waiting]), self.bits)
        self.waiting, self.bytes = [], 0
        order = np.argsort(buckets, kind="stable")
        starts = np.flatnonzero(np.append(True, np.diff(buckets[order]) > 0)) if len(order) else []
        for rows in np.split(order, starts[1:]) if len(order) else []:
            data = b"\n".join([lines[row] for row in rows.tolist()]) + b"\n"
            begin = self.offset
            self._frame(data)
            self.index.append([int(buckets[rows[0]]), begin, self.offset - begin, len(data)])

    def _frame(self, data):
        frame = self.compressor.compress(data)
        self.stream.write(frame)
        self.offset += len(frame)


def bucket_of(hashes, bits):
    """int64 (n,): the first bits of hashes, uint64 (n,)."""
    return (hashes >> np.uint64(64 - bits)).astype(np.int64) if bits else np.zeros(len(hashes), np.int64)


class Buckets:
    """A file of buckets. Raises BadData where it is damaged.

    sizes: {bucket: bytes of its lines}
    """

    def __init__(self, path):
        self.path = path
        with self._opened() as stream:
            end = files.size(path) - TRAILER.size
            stream.seek(max(0, end))
            offset, magic = TRAILER.unpack(stream.read(TRAILER.size))
            if magic != MAGIC:
                raise ValueError
            stream.seek(offset)
            index = orjson.loads(_decompressed(stream.read(end - offset)))
        self.frames, self.sizes = {}, {}
        for bucket, begin, length, size in index:
            self.frames.setdefault(bucket, []).append((begin, length))
            self.sizes[bucket] = self.sizes.get(bucket, 0) + size

    def read(self, bucket):
        """Yield the lines of a bucket, as bytes of whole lines."""
        if bucket not in self.frames:
            return
        with self._opened() as stream:
            for begin, length in self.frames[bucket]:
                stream.seek(begin)
                yield _decompressed(stream.read(length))

    @contextlib.contextmanager
    def _opened(self):
        try:
            with files.open_raw(self.path, at_random=True) as stream:
                yield stream
        except (ValueError, TypeError, struct.error, zstandard.ZstdError):
            raise BadData(f"{self.path}: this intermediate file is damaged. Delete it, and run again.") from None


def _decompressed(frame):
    """The bytes of one whole frame."""
    reader = zstandard.ZstdDecompressor().decompressobj()
    data = reader.decompress(frame)
    if not reader.eof:
        raise ValueError("a frame that is cut off")
    return data
