"""Cut a file into ranges of bytes that processes can begin with, and read one.

A plain file can be cut anywhere. A .bz2 can be cut where one of its streams begins: Wikimedia's dumps called
...-multistream.xml.bz2 have a stream for every 100 pages, and pbzip2 writes one for every 900 kB. Files that cannot be
cut are one range: .gz, .zst, a .bz2 of a single stream, a pipe.

A page or line at the edge of two ranges belongs to the range in which it begins, so a reader has to go on a little
after the end of its range. Therefore `read` yields chunks together with whether they lie beyond the range.
"""
import bz2
import os
import re
import stat

from mc2 import files
from mc2.errors import BadData

LARGEST = 64 << 20                      # bytes of a range: about a minute of counting, if it is compressed
SMALLEST = 1 << 20
PER_FILE = 64                           # ranges of files that are neither small nor large

CHUNK = 1 << 18                         # bytes read, or decompressed, at a time
WHOLE = (0, None)
STREAM_START = re.compile(rb"BZh[1-9]1AY&SY")       # the start of a bz2 stream and of its first block
_LONGEST_BLOCK = 900_000                # bytes, as bz2 has them


def ranges(path):
    """Ranges (start, stop) that cover a file, stop None at its end. They depend on the file alone."""
    name = files.name_of(path)
    if name.endswith((".gz", ".zst")) or not stat.S_ISREG(os.stat(path).st_mode):
        return [WHOLE]
    size = os.path.getsize(path)
    step = min(LARGEST, max(SMALLEST, size // PER_FILE))
    starts = range(step, size, step) if not name.endswith(".bz2") else _stream_starts(path, step)
    bounds = [0, *starts, None]
    return list(zip(bounds, bounds[1:]))


def read(path, start=0, stop=None):
    """Yield (bytes, whether they are beyond the range) of the content from the start of a range to the end of the
    file, decompressed. Raises BadData where it is damaged or cut off."""
    if (start, stop) == WHOLE:
        with files.open_read(path) as stream:
            while chunk := stream.read(CHUNK):
                yield chunk, False
    elif files.name_of(path).endswith(".bz2"):
        yield from _read_bz2(path, start, stop)
    else:
        yield from _read_plain(path, start, stop)


def _read_plain(path, start, stop):
    with open(path, "rb") as stream:
        stream.seek(start)
        while stop is not None and start < stop and (chunk := stream.read(min(CHUNK, stop - start))):
            start += len(chunk)
            yield chunk, False
        while chunk := stream.read(CHUNK):
            yield chunk, stop is not None


# ---------------------------------------------------------------- bz2

def _stream_starts(path, step):
    """Where streams begin, one in every `step` bytes or fewer, without the first."""
    starts = []
    with open(path, "rb") as stream:
        while (start := _next_start(stream, (starts[-1] if starts else 0) + step)) is not None:
            starts.append(start)
    return starts


def _next_start(stream, offset):
    """Where the first stream begins at or after the offset; None if there is none."""
    stream.seek(offset)
    overlap = b""
    while chunk := stream.read(files.BLOCK):
        window = overlap + chunk
        base = stream.tell() - len(window)
        for found in STREAM_START.finditer(window):
            if _is_start(stream, base + found.start()):
                return base + found.start()
        stream.seek(base + len(window))
        overlap = window[-9:]           # one byte less than a start is long
    return None


def _is_start(stream, offset):
    """Whether a bz2 block can be decompressed from this offset, its checksum being right."""
    decompressor, produced = bz2.BZ2Decompressor(), 0
    stream.seek(offset)
    try:
        while produced <= _LONGEST_BLOCK and not decompressor.eof:
            chunk = stream.read(CHUNK) if decompressor.needs_input else b""
            if not chunk and decompressor.needs_input:
                return True             # the file is cut off here: reading it raises BadData
            produced += len(decompressor.decompress(chunk, CHUNK))
    except OSError:
        return False
    return True


def _read_bz2(path, start, stop):
    name = files.name_of(path)
    with open(path, "rb") as stream:
        stream.seek(start)
        offset, rest, beyond = start, b"", False
        while rest or (rest := stream.read(CHUNK)):
            if stop is not None and not beyond and offset >= stop:
                if offset > stop:
                    raise BadData(f"{name}: damaged: the bz2 stream that ends at byte {offset} holds what looks like "
                                  f"another at {stop}. Fetch the file again.")
                beyond = True
            decompressor = bz2.BZ2Decompressor()
            for chunk in _decompressed(decompressor, rest, stream, name):
                yield chunk, beyond
            rest = decompressor.unused_data
            offset = stream.tell() - len(rest)


def _decompressed(decompressor, data, stream, name):
    """Yield the content of one bz2 stream, which begins with data and goes on in the file."""
    while True:
        try:
            chunk = decompressor.decompress(data, CHUNK)
        except OSError as error:
            raise BadData(f"{name}: the compressed data is damaged ({error}) before byte {stream.tell()}. Make or "
                          f"fetch the file again.") from None
        if chunk:
            yield chunk
        if decompressor.eof:
            return
        data = stream.read(CHUNK) if decompressor.needs_input else b""
        if not data and decompressor.needs_input:
            raise BadData(f"{name}: the compressed data is cut off. Make or fetch the file again.")
