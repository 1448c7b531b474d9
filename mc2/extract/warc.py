"""The records of a WARC file: plain, in gzip with a member for each record (or for all), or in zstd; a WAT is one too.

Nothing is lost without a word. A member that is damaged (its CRC-32 is checked), a file that is cut off, a record whose
length is another than it says, and bytes that are no record give a Damage each; reading goes on at the next member or
record. In a file without compression the WARC-Block-Digest of a record is checked, where there is one.
"""
import base64
import hashlib
import re
from typing import NamedTuple

from mc2.decompression import decompressed
from mc2.errors import BadData

try:
    from isal import isal_zlib as zlib          # the same, three times as fast
except ImportError:
    import zlib

CHUNK = 1 << 18                 # bytes that are read at a time
STEP = 1 << 14                  # bytes that are decompressed at a time: they hold 16 MB at most
KEPT = 8 << 20                  # bytes of a member that are kept, to look for the next one in them where it is damaged
LOOKED_AT = 1 << 12             # bytes by which a member is known
LONGEST_HEADER = 1 << 16
GZIP, ZSTD, WARC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"WARC/"
SKIPPABLE = b"\x2a\x4d\x18"     # of zstd, from the second byte
LINE_FEEDS = re.compile(rb"\n\r?\n")


class Record(NamedTuple):
    """A record. offset: where it, or its member, begins in the file. header, content: bytes; content is None where it
    is too long"""

    offset: int
    header: bytes
    content: bytes

    def field(self, name):
        """A field of the header, "" where it is not there."""
        return field(self.header, name)


class Damage(NamedTuple):
    """Something that is no record. offset: about where it is in the file. kind: by which it is counted. reason: for
    people"""

    offset: int
    kind: str
    reason: str


class Piece(NamedTuple):
    """What a member holds, or a part of that where it is long. begins, ends: whether its first and its last byte are
    those of the member"""

    offset: int
    data: bytes
    begins: bool
    ends: bool


def field(header, name):
    """A field of the header of a record, "" where it is not there. name: as it is mostly written"""
    name = f"\n{name}:".encode()
    at = header.find(name)
    if at < 0:
        at = header.lower().find(name.lower())
    return header[at + len(name):header.find(b"\n", at + 1)].decode("utf-8", "replace").strip() if at >= 0 else ""


def records(stream, source, longest, is_wanted):
    """Yield the Records of a file, and the Damage in it, in order.

    stream: binary, not decompressed. source: its name, for messages. longest: bytes of a content above which it is not
    kept. is_wanted: function from a header to whether the record is yielded. Raises BadData for what is no WARC file.
    """
    stream = _Stream(stream)
    beginning = stream.peek(len(WARC))
    if not beginning:
        return
    is_gzip = beginning.startswith(GZIP[:len(beginning)])
    if is_gzip:
        pieces = _members(stream, longest + LONGEST_HEADER)
    elif beginning == WARC:
        pieces = _plain(iter(stream.read, b""))
    elif beginning.startswith(ZSTD) or beginning[1:4] == SKIPPABLE:
        pieces = _plain(decompressed(stream, ".zst"))
    else:
        raise BadData(f"{source}: is no WARC file: it begins neither with WARC/ nor as gzip or zstd. Give files whose "
                      f"names end in .warc.gz or .warc.wat.gz.")
    parser = _Parser(longest, is_wanted, checks_digests=beginning == WARC)
    for piece in pieces:
        if (record := parser.only_record(piece)) is not None:
            if record:
                yield record
            continue
        for found in [piece] if isinstance(piece, Damage) else parser.feed(piece):
            if parser.is_foreign:
                raise BadData(f"{source}: is no WARC file: what it holds, decompressed, does not begin with WARC/.")
            yield found
        if isinstance(piece, Damage):
            parser.forget()
    yield from parser.end()


class _Stream:
    """A stream of which the first bytes can be looked at."""

    def __init__(self, stream):
        self._stream, self._held = stream, b""

    def peek(self, n):
        while len(self._held) < n and (data := self._stream.read(n - len(self._held))):
            self._held += data
        return self._held

    def read(self, size=CHUNK):
        """Some bytes, b"" at the end."""
        held, self._held = self._held, b""
        return held or self._stream.read(size)


def _plain(chunks):
    """Pieces of a file of which only the whole has a beginning and an end."""
    offset, before = 0, next(chunks, b"")
    begins = True
    for chunk in chunks:
        yield Piece(offset, before, begins, False)
        offset, before, begins = offset + len(before), chunk, False
    yield Piece(offset, before, begins, True)


# ---------------------------------------------------------------- members of gzip

class _Window:
    """Some bytes of a stream: `data`, of which the first one is at `begin` in the file, and the next one at `end`."""

    def __init__(self, stream):
        self.stream, self.begin, self.data = stream, 0, b""

    @property
    def end(self):
        return self.begin + len(self.data)

    def more(self, keep):
        """Forget what comes before `keep`, a place in the file, and read on. Returns whether there was more."""
        chunk = self.stream.read()
        self.data, self.begin = self.data[keep - self.begin:] + chunk, keep
        return bool(chunk)

    def startswith(self, data, at):
        return self.data.startswith(data, at - self.begin)


def _members(stream, longest):
    """Yield the Pieces of the members, each in one where it has no more than about `longest` bytes; Damage for those
    that cannot be decompressed."""
    window, at = _Window(stream), 0
    while at < window.end or window.more(at):
        start = at
        at, damage = yield from _member(window, start, longest)
        if damage:
            yield damage
            at = _next_member(window, max(start + 1, window.begin))


def _member(window, start, longest):
    """Yield the Pieces of the member that begins at `start`. Returns (where it ends, the Damage that ended it or
    None)."""
    while window.end - start < len(GZIP) and window.more(start):
        pass
    if not window.startswith(GZIP, start):
        if _are_zeros(window, start):               # which gzip passes over too
            return window.end, None
        if window.end - start < len(GZIP) and window.startswith(GZIP[:1], start):
            return start, _cut_off(start)
        return start, Damage(start, "bytes between gzip members", f"no gzip member begins at byte {start:,}.")
    inflater, parts, held, at, begins = zlib.decompressobj(31), [], 0, start, True
    while not inflater.eof:
        if at == window.end and not window.more(start if window.begin <= start and at - start <= KEPT else at):
            return at, _cut_off(start)
        index = at - window.begin
        data = memoryview(window.data)[index:index + STEP]
        try:
            parts.append(inflater.decompress(data))
        except zlib.error as error:
            why = str(error).rpartition(": ")[2]
            return at, Damage(start, "damaged gzip members",
                              f"the gzip member that begins at byte {start:,} is damaged ({why}).")
        at += len(data) - len(inflater.unused_data)
        held += len(parts[-1])
        if held > longest and not inflater.eof:
            yield Piece(start, b"".join(parts), begins, False)
            parts, held, begins = [], 0, False
    yield Piece(start, b"".join(parts), begins, True)
    return at, None


def _cut_off(start):
    return Damage(start, "cut off", f"the file is cut off in the gzip member that begins at byte {start:,}.")


def _are_zeros(window, start):
    """Whether nothing but zeros comes from here to the end of the file."""
    at = start
    while not window.data[at - window.begin:].strip(b"\0"):
        at = window.end
        if not window.more(at):
            return True
    return False


def _next_member(window, at):
    """Where the next member begins that holds the beginning of a record; the end of the file where there is none."""
    while True:
        index = window.data.find(GZIP + b"\x08", at - window.begin)
        if index < 0:
            at = max(at, window.end - len(GZIP))
            if not window.more(at):
                return window.end
            continue
        at = window.begin + index
        while window.end - at < LOOKED_AT and window.more(at):
            pass
        if _holds_record(window.data[at - window.begin:][:LOOKED_AT]):
            return at
        at += 1


def _holds_record(data):
    try:
        return zlib.decompressobj(31).decompress(data, 16).startswith(WARC)
    except zlib.error:
        return False


# ---------------------------------------------------------------- records

class _Parser:
    """Records from Pieces. One is given out when it is known that its length is right: when the next one begins, or
    its member ends."""

    def __init__(self, longest, is_wanted, checks_digests):
        self.longest, self.is_wanted, self.checks_digests = longest, is_wanted, checks_digests
        self.n_records = 0
        self.is_foreign = False         # whether what comes first is no record
        self.forget()

    def forget(self):
        """Begin anew, at the next member."""
        self._rest = b""                # bytes that are not parsed yet
        self._offset = 0                # of the record under way
        self._header = None             # of the record under way
        self._parts, self._wanting = [], 0
        self._whole = None              # a Record that waits for what follows it
        self._is_lost = False           # whether the beginning of a record is looked for, of which Damage was given

    def only_record(self, piece):
        """The Record of a Piece that is just one whole record, as nearly all are; False where it is not wanted, None
        where the Piece is something else. What `feed` gives, in half of the time."""
        if isinstance(piece, Damage) or not (piece.begins and piece.ends) or self._header or self._whole or self._rest:
            return None
        data, end = piece.data, _end_of_header(piece.data, 0)
        header = data[:end]
        length = field(header, "Content-Length")
        if not data.startswith(WARC) or not length.isdecimal() or end + int(length[:18]) + 4 != len(data) \
                or not data.endswith(b"\r\n\r\n") or self.checks_digests or not field(header, "WARC-Type"):
            return None
        self.n_records += 1
        self._is_lost = False
        if not self.is_wanted(header):
            return False
        return Record(piece.offset, header, data[end:-4] if len(data) - end - 4 <= self.longest else None)

    def feed(self, piece):
        """Yield what ends in a Piece."""
        data = self._rest + piece.data if self._rest else piece.data
        self._rest = b""
        if piece.begins and self._header is not None and data.startswith(WARC):
            yield self._short()
        at = 0
        while True:
            if self._header is None:
                at = _skipped(data, at)
                if at == len(data):
                    break
                if not data.startswith(WARC, at):
                    if len(data) - at < len(WARC) and not piece.ends and WARC.startswith(data[at:]):
                        self._rest = data[at:]
                        break
                    yield from self._junk(piece)
                    begins = data.find(b"\n" + WARC, at) + 1
                    if not begins:
                        self._rest = b"" if piece.ends else data[-len(WARC):]
                        break
                    at = begins
                if self._whole:
                    yield from self._given()
                end = _end_of_header(data, at)
                if not end:
                    if not piece.ends and len(data) - at < LONGEST_HEADER:
                        self._rest = data[at:]
                        break
                    yield self._damage(piece, "records without a header", "has a header without an end")
                    at += len(WARC)
                    continue
                header, at = data[at:end], end
                length = field(header, "Content-Length")
                if not (length.isascii() and length.isdigit() and len(length) < 19):
                    yield self._damage(piece, "records without a length", "does not say its length")
                    continue
                if not field(header, "WARC-Type"):
                    yield self._damage(piece, "records without a type", "does not say its type")
                    continue
                self._is_lost = False
                self._header, self._parts, self._wanting = header, [], int(length)
                self._offset = piece.offset
                self._keeps = self.is_wanted(header)
                self._is_long = self._wanting > self.longest
            part = data[at:at + self._wanting] if at or len(data) > self._wanting else data
            at += len(part)
            self._wanting -= len(part)
            if self._keeps and not self._is_long:
                self._parts.append(part)
            if self._wanting:
                break
            content = None if self._is_long else b"".join(self._parts)
            self._whole = Record(self._offset, self._header, content) if self._keeps else True
            self._header, self._parts = None, []
        if piece.ends and self._whole and not self._rest:
            yield from self._given()

    def _junk(self, piece):
        """The Damage of bytes where a record should begin, once for all of them."""
        if self._is_lost:
            return
        self.is_foreign = not self._whole and not self.n_records
        if self._whole:
            self._whole = None
            yield self._damage(piece, "records of another length", "is longer than it says")
        else:
            yield self._damage(piece, "bytes that are no record", "does not begin as one")

    def _damage(self, piece, kind, what):
        self._is_lost = True
        return Damage(piece.offset, kind, f"the record at byte {piece.offset:,} {what}.")

    def _short(self):
        damage = Damage(self._offset, "records of another length",
                        f"the record at byte {self._offset:,} is shorter than it says.")
        self._header, self._parts = None, []
        return damage

    def _given(self):
        whole, self._whole = self._whole, None
        self.n_records += 1
        if whole is True:
            return
        if self.checks_digests and whole.content is not None and not _fits_digest(whole):
            yield Damage(whole.offset, "damaged records",
                         f"the record at byte {whole.offset:,} is damaged: its WARC-Block-Digest is another.")
        else:
            yield whole

    def end(self):
        """Yield what is left at the end of the file."""
        if self._header is not None:
            yield self._short()._replace(kind="cut off", reason=f"the file is cut off in the record at byte "
                                                                f"{self._offset:,}.")
        elif self._whole:
            yield from self._given()


def _end_of_header(data, at):
    """The index behind the empty line that ends a header; 0 where there is none."""
    end = data.find(b"\r\n\r\n", at, at + LONGEST_HEADER)
    if end >= 0 and data.find(b"\n\n", at, end) < 0:
        return end + 4
    found = LINE_FEEDS.search(data, at, at + LONGEST_HEADER)
    return found.end() if found else 0


def _skipped(data, at):
    """The index of the first byte from `at` on that is not between records."""
    while data[at:at + 1] in (b"\r", b"\n"):
        at += 1
    return at


def _fits_digest(record):
    algorithm, _, expected = record.field("WARC-Block-Digest").partition(":")
    if algorithm.lower() != "sha1" or not expected:
        return True
    digest = hashlib.sha1(record.content, usedforsecurity=False).digest()
    return expected in (base64.b32encode(digest).decode(), digest.hex()) or len(expected) not in (32, 40)
