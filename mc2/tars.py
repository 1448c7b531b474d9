"""Read the samples of webdataset tars: members whose names differ only after the first dot, one after another.

    00000.jpg 00000.json 00000.txt 00001.jpg ...  ->  ("00000", {"jpg": ..., "json": ..., "txt": ...}), ...

ustar, GNU long names and pax headers. In a local file the body of a member is read when it is asked for, so that
passing over a sample costs a seek; URLs are read from start to end. Of a damaged tar all whole samples are given, which
no library does.
"""
import glob
import io
import os
import re
from collections.abc import Mapping

import orjson

from mc2 import files
from mc2.errors import BadData, BadUsage

MOST_DIGITS = 18                                            # of a number of bytes in a pax header
DEEPEST = 10                                                # lists within lists
BLOCK = 512                                                 # bytes: the unit of the format
IMAGES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif")
KEY = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)", re.DOTALL)   # key and extension, as webdataset divides them

_REGULAR = b"0\0007"
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL, _SPARSE = b"L", b"K", b"x", b"g", b"S"
_WITHOUT_BODY = b"123456"                                   # links, devices, directories, pipes


class Damaged(BadData):
    """A tar ends too early or holds a block of another format; its whole samples came before."""

    def __init__(self, path, what, why):
        """what: "cut off" or "damaged"."""
        super().__init__(f"{files.name_of(path)}: this tar is {what} ({why}). Make or fetch it again.")
        self.args = (path, what, why)                       # so that it survives pickling between processes
        self.what = what

    def __str__(self):
        path, what, why = self.args
        return f"{files.name_of(path)}: this tar is {what} ({why}). Make or fetch it again."


class Members(Mapping):
    """{extension in lower case: bytes} of one sample; the bytes can be read while its tar is open."""

    def __init__(self, read):
        self._read, self._bodies = read, {}

    def add(self, extension, body):
        """body: (offset, size), or the bytes themselves."""
        self._bodies[extension] = body

    def position(self, extension):
        """(offset, size) in a local tar."""
        return self._bodies[extension]

    def __getitem__(self, extension):
        body = self._bodies[extension]
        return body if isinstance(body, bytes) else self._read(*body)

    def __iter__(self):
        return iter(self._bodies)

    def __len__(self):
        return len(self._bodies)


def samples(path):
    """Yield (key, Members) for the samples of a tar, in order.

    A key that comes again later, or an extension that comes twice, begins another sample. Directories, links and names
    without a dot are passed over. Raises Damaged after the last sample that is certainly whole; OSError where the tar
    cannot be read.
    """
    key, members = None, None
    with files.open_raw(path) as raw:
        tar = _Tar(path, raw)
        for name, body in tar.members():
            found = KEY.fullmatch(name)
            if not found:
                continue
            next_key, extension = found[1], found[2].lower()
            if next_key != key or extension in members:
                if members:
                    yield key, members
                key, members = next_key, Members(tar.read)
            if body is not None:
                members.add(extension, body)
        if not tar.ended:
            raise Damaged(path, "cut off", "it has no end mark")
        if members:
            yield key, members


def image(members):
    """The extension of a sample's image, or None."""
    return next((extension for extension in IMAGES if extension in members), None)


def record(members):
    """The object in a sample's json; {} where there is none that can be read."""
    if "json" not in members:
        return {}
    try:
        found = orjson.loads(members["json"])
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def image_id(key, found):
    """The id of an image: `id` of its record, else `uid`, else the key. found: as `record` gives it."""
    for name in ("id", "uid"):
        value = found.get(name)
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            return str(value)
    return key


def stem(path):
    """The base name without its suffix, which a tar and its pairs have in common."""
    name = files.base_name(path)
    return re.sub(r"\.(tar|parquet|(jsonl|csv|tsv)(\.(zst|gz|bz2|xz))?)$", "", name)


def expand(patterns, within=()):
    """[path or URL] of the tars that paths, patterns (`*` as in a shell, also in URLs) and lists (@list.txt) stand for.

    within: the lists that these patterns are in. Raises BadUsage where there is none.
    """
    found = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if pattern.startswith("@"):
            found += expand(_listed(pattern[1:], within), (*within, files.identity(pattern[1:])))
            continue
        paths = [pattern]
        if files.is_remote(pattern) and "*" in pattern:
            from mc2 import remote
            paths = sorted(remote.expand(pattern))
        elif not files.is_remote(pattern) and not os.path.exists(pattern):
            paths = sorted(glob.glob(pattern, recursive=True))
        if not paths:
            raise BadUsage(f"{pattern}: no such files.")
        if folder := next((path for path in paths if not files.is_remote(path) and os.path.isdir(path)), None):
            raise BadUsage(f"{folder}: is a directory. Name the tars in it, e.g. {os.path.join(folder, '*.tar')}.")
        found += paths
    return found


def _listed(path, within):
    try:
        if files.identity(path) in within:
            through = " by way of others" if len(within) > 1 else ""
            raise BadUsage(f"{path}: this list names itself{through}. Take that line out.")
        if len(within) >= DEEPEST:
            raise BadUsage(f"{path}: more than {DEEPEST} lists are nested. Name the tars in one.")
        with open(path, encoding="utf-8") as stream:
            return [line for line in stream.read().split("\n") if line.strip()]
    except (OSError, ValueError) as error:              # ValueError: not UTF-8, or a NUL in the name
        raise BadUsage(f"{files.printable(path)}: cannot read the list ({error}).") from None


class _Tar:
    """The members of a tar that is open."""

    def __init__(self, path, raw):
        self.path = path
        self.at_once = files.is_remote(path) or not raw.seekable()      # a seek would cost a request
        self.size = None
        if raw.seekable():
            self.size = raw.seek(0, os.SEEK_END)
            raw.seek(0)
        self.stream = io.BufferedReader(raw, files.BLOCK) if self.at_once else raw
        self.offset = 0                 # of the next header
        self.ended = False              # whether the end mark came

    def members(self):
        """Yield (name, body) of the regular files; body: bytes or (offset, size), None for one that is cut off."""
        always, pax, long_name = {}, {}, None
        while (header := self._header()) is not None:
            kind, size = header[156:157], _number(header[124:136])
            if size is None:
                raise self._damaged("a member without a size")
            if kind in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
                extra = self._body(size, read=True)
                if kind == _LONG_NAME:
                    long_name = extra.split(b"\0", 1)[0]
                elif kind == _PAX:
                    pax = self._pax(extra)
                elif kind == _PAX_GLOBAL:
                    always.update(self._pax(extra))
                continue
            known = {**always, **pax}
            name = known.get(b"path") or long_name or _name(header)
            pax, long_name = {}, None
            if kind == _SPARSE or any(key.startswith(b"GNU.sparse") for key in known):
                raise self._damaged("it holds a sparse file, which is not read")
            if kind in _WITHOUT_BODY:
                continue
            if b"size" in known:
                if not _is_number(known[b"size"]):
                    raise self._damaged("a member without a size")
                size = int(known[b"size"])
            name = name.decode("utf-8", "backslashreplace")         # a key becomes an id, and an id is text
            try:
                body = self._body(size, read=self.at_once)
            except Damaged:
                yield name, None            # so that the sample before is known to be whole
                raise
            if kind in _REGULAR and not name.endswith("/"):
                yield name, body

    def read(self, offset, size):
        self.stream.seek(offset)
        body = self.stream.read(size)
        if len(body) < size:
            raise Damaged(self.path, "cut off", "it became shorter while it was read")
        return body

    def _header(self):
        """The next header, or None at the end."""
        if not self.at_once:
            self.stream.seek(self.offset)
        header = self.stream.read(BLOCK)
        if not header and self.offset:
            return None
        if len(header) < BLOCK:
            raise self._cut_off()
        if not header.strip(b"\0"):
            self.ended = True
            return None
        if _number(header[148:156]) not in _checksums(header):
            raise self._damaged("a header whose checksum is wrong")
        self.offset += BLOCK
        return header

    def _body(self, size, read):
        """The bytes of the body at self.offset, or its (offset, size). Moves self.offset to the next header."""
        offset, padding = self.offset, -size % BLOCK
        if self.size is not None and offset + size > self.size:
            raise self._cut_off()
        self.offset += size + padding
        if not read:
            return offset, size
        body = self.stream.read(size)
        if len(body) < size or self.at_once and len(self.stream.read(padding)) < padding:
            raise self._cut_off()
        return body

    def _pax(self, body):
        """{key: value} of the records `LENGTH KEY=VALUE\\n`."""
        found = {}
        while body:
            length, space, _ = body.partition(b" ")
            if not space or not _is_number(length) or not len(length) + 2 < int(length) <= len(body):
                raise self._damaged("a pax header that cannot be read")
            key, _, value = body[len(length) + 1:int(length) - 1].partition(b"=")
            found[key] = value
            body = body[int(length):]
        return found

    def _cut_off(self):
        return Damaged(self.path, "cut off", f"in the middle of what begins at byte {self.offset:,}")

    def _damaged(self, why):
        return Damaged(self.path, "damaged", f"byte {self.offset:,}: {why}")


def _name(header):
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _is_number(digits):
    return digits.isdigit() and len(digits) <= MOST_DIGITS


def _number(field):
    """An octal number, or the binary one of GNU tar; None where it is neither."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0") or b"0"
    return int(digits, 8) if re.fullmatch(b"[0-7]+", digits) else None


def _checksums(header):
    """The sums of the bytes with the checksum as blanks: of unsigned ones, and of signed ones as old tars have it."""
    rest = header[:148] + header[156:]
    unsigned = 8 * ord(" ") + sum(rest)
    return unsigned, unsigned - 256 * sum(byte > 127 for byte in rest)
