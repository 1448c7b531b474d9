"""Decompress gzip, Zstandard and xz a little at a time, whatever the compressed bytes are.

A block of 4 bytes in Zstandard stands for 128 KiB, 1 byte of gzip for 1,032, and 1 byte of xz for 7,000. Here what
comes out at a time is bounded, and a small file gets no large window.
"""
import zlib

import zstandard

COMPRESSED_CHUNK = 1 << 16      # bytes that are read at a time
AT_ONCE = 1 << 20               # bytes that are decompressed at a time, about
LARGEST_BLOCK = 1 << 17         # bytes that a block of Zstandard holds at most
LONGEST_WINDOW = 1 << 31        # bytes: what `zstd --long=31` needs
XZ_MEMORY = 1 << 28             # bytes that a stream of xz may take; `xz -9` needs 65 MB
XZ_TIMES = 7000                 # what a byte of xz stands for at most
TRUSTED_WINDOW = 1 << 27        # what any file may take, as with zstd
MOST_TIMES = 1000               # what a file with a longer window holds, in times of its size

_ZSTD, _SKIPPABLE = 0xFD2FB528, range(0x184D2A50, 0x184D2A60)       # the first 4 bytes of a frame, little-endian
_RLE = 1                                                            # type of a block that is one byte repeated


class BadXz(Exception):
    """What is no xz, or is damaged."""


class Bomb(Exception):
    """A small file that would take much memory; the message says why."""


def decompressed(raw, suffix):
    """Yield what the frames of a binary stream hold, in chunks that are not empty. suffix: .zst, .gz or .xz

    Raises zlib.error, zstandard.ZstdError, BadXz or Bomb; EOFError where the last frame does not end: the readers of
    zstandard take such a file for a complete one.
    """
    start = FRAMES[suffix]
    frame, started = None, False                # the frame under way
    while chunk := raw.read(COMPRESSED_CHUNK):
        while chunk:
            if frame is None and started and start in (_gzip, _Xz) and not (chunk := chunk.lstrip(b"\0")):
                break                           # zeros may follow a frame of gzip or xz
            frame, started = frame or start(), True
            if part := frame.decompress(chunk, AT_ONCE):
                yield part
            chunk, frame = (frame.unused_data, None) if frame.eof else (frame.unconsumed_tail, frame)
    if frame is not None or not started:
        raise EOFError


def _gzip():
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)        # with gzip's header and checksum


class _Zstd:
    """One frame of Zstandard, with the methods and attributes of zlib's objects, whose output can be bounded; that of
    zstandard's cannot. So these are given whole blocks, of as many bytes as are asked for (RFC 8878, section 3.1.1)."""

    def __init__(self):
        self.unused_data = self.unconsumed_tail = b""
        self._frame = zstandard.ZstdDecompressor(max_window_size=LONGEST_WINDOW).decompressobj(write_size=LARGEST_BLOCK)
        self._head, self._wanted = b"", 5       # of the frame or of a block, as far as it was read; bytes that it takes
        self._rest = 0                          # bytes up to the next head
        self._in_blocks, self._ends = False, False              # whether the frame ends after the rest
        self._window, self._checksum = 0, 0                     # bytes
        self._taken, self._given = 0, 0                         # bytes

    @property
    def eof(self):
        return self._frame.eof

    def decompress(self, data, most):
        """About `most` bytes; LARGEST_BLOCK more at most. The rest of the data is in unused_data or unconsumed_tail."""
        data = memoryview(data)
        cut = self._cut(data, most)
        part = self._frame.decompress(data[:cut])
        self.unused_data = self.unconsumed_tail = data[cut:]
        if self.eof != (self._ends and self._rest == 0):
            raise zstandard.ZstdError("a frame and its blocks end at different bytes")
        self._taken += cut
        self._given += len(part)
        if min(self._window, self._given) > TRUSTED_WINDOW and self._given > MOST_TIMES * self._taken:
            raise Bomb(f"{self._taken:,} bytes of it hold {self._given:,}, and to read it takes memory for "
                       f"{self._window:,}: too much for a file of its size")
        return part

    def _cut(self, data, most):
        """How many bytes of the data hold `most` bytes, about."""
        position = held = 0
        while position < len(data) and not (self._rest == 0 and (self._ends or held >= most)):
            if self._rest:
                step = min(self._rest, len(data) - position)
                self._rest -= step
            else:
                step = min(self._wanted - len(self._head), len(data) - position)
                self._head += data[position:position + step]
                if len(self._head) == self._wanted:
                    held += self._begin_block() if self._in_blocks else self._begin_frame()
            position += step
        return position

    def _begin_frame(self):
        """Read the head of the frame, or see how long it is. Returns the number of bytes that it holds: none."""
        head, magic = self._head, int.from_bytes(self._head[:4], "little")
        if magic in _SKIPPABLE and len(head) < 8:
            self._wanted = 8
        elif magic in _SKIPPABLE:
            self._rest, self._ends = int.from_bytes(head[4:], "little"), True
        elif magic != _ZSTD:
            self._rest = 1 << 62                # which the decompressor refuses
        elif len(head) < (size := zstandard.frame_header_size(head)):
            self._wanted = size
        else:
            found = zstandard.get_frame_parameters(head)
            self._window, self._checksum = found.window_size, 4 if found.has_checksum else 0
            self._head, self._wanted, self._in_blocks = b"", 3, True
        return 0

    def _begin_block(self):
        """Read the head of a block. Returns the number of bytes that it holds at most."""
        head = int.from_bytes(self._head, "little")
        self._head, self._ends = b"", head & 1 == 1
        kind, size = head >> 1 & 3, head >> 3
        self._rest = (1 if kind == _RLE else size) + (self._checksum if self._ends else 0)
        return LARGEST_BLOCK


class _Xz:
    """One stream of xz, with the methods and attributes of zlib's objects. What it is given at a time is so little that
    what comes out of it is bounded."""

    def __init__(self):
        import lzma
        self.unused_data = self.unconsumed_tail = b""
        self._stream, self._error = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY), lzma.LZMAError

    @property
    def eof(self):
        return self._stream.eof

    def decompress(self, data, most):
        """About `most` bytes, or less. What is left of the data is in unused_data or unconsumed_tail."""
        cut = max(1, most // XZ_TIMES)
        try:
            part = self._stream.decompress(data[:cut])
        except self._error as error:
            if "limit" in str(error):
                raise Bomb(f"to read it takes more than {XZ_MEMORY >> 20} MB of memory") from None
            raise BadXz(str(error)) from None
        self.unconsumed_tail = data[cut:]
        self.unused_data = self._stream.unused_data + data[cut:] if self.eof else b""
        return part


FRAMES = {".zst": _Zstd, ".gz": _gzip, ".xz": _Xz}          # formats of one frame after another
