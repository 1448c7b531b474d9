"""Read the samples of webdataset tars: members whose names differ only after the first dot, one after another.

    00000.jpg 00000.json 00000.txt 00001.jpg ...  ->  ("00000", {"jpg": ..., "json": ..., "txt": ...}), ...

ustar, GNU long names and pax headers. In a local file the body of a member is read when it is asked for, so that
passing over a sample costs a seek; URLs are read from start to end. Of a damaged tar all whole samples are given, which
no library does.

A tar ends with a block of zeros, and nothing but zeros may follow: where something else does, these zeros are a damaged
header, or the end of the first of several tars that were put into one file. Either way samples would be lost.

New tars are written with `member` and END.
"""
import io
import os
import re
import shlex
import tarfile
from collections.abc import Mapping

import orjson

from mc2 import files
from mc2.errors import BadData

MOST_DIGITS = 18                                            # of a number of bytes in a pax header
BLOCK = 512                                                 # bytes: the unit of the format
LARGEST_EXTRA = 1 << 20                                     # bytes of a long name or a pax header
IMAGES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif")
ABOUT_EXTENSIONS = (f"The extension of a member is all after the first dot of its name; those of images are "
                    f"{', '.join(IMAGES)}. 'mc2 images pack FOLDER' makes such tars.")
TEXTS = ("text", "caption")                                 # keys of a sample's json
KEY = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)", re.DOTALL)   # key and extension, as webdataset divides them

# first bytes of a compressed file: the tool that decompresses it
COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}

_REGULAR = b"0\0007"
_LONG_NAME, _LONG_LINK, _PAX, _PAX_OF_SOLARIS, _PAX_GLOBAL = b"L", b"K", b"x", b"X", b"g"
_EXTRA = (_LONG_NAME, _LONG_LINK, _PAX, _PAX_OF_SOLARIS, _PAX_GLOBAL)       # they describe the members after them
_NOT_READ = {b"S": "a sparse file, which is not read", b"M": "a file that another volume begins, which is not read"}
_SPARSE = b"GNU.sparse"                                     # beginning of the keys of a sparse file in a pax header
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


class Compressed(BadData):
    """A tar is compressed as a whole: its members cannot be found without reading all before them."""

    def __init__(self, path, tool):
        super().__init__(path, tool)

    def __str__(self):
        path, tool = self.args
        stem = re.sub(r"(\.tar)?\.\w+$", "", path)
        plain = f"{stem}-plain.tar" if path.endswith(".tar") else f"{stem}.tar"
        return (f"{files.name_of(path)}: is compressed ({tool}); images are read from within a plain tar. Decompress "
                f"it: {tool} -dc {shlex.quote(files.printable(path))} > {shlex.quote(files.printable(plain))}")


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
    without a dot are passed over. Raises Damaged after the last sample that is certainly whole; Compressed where the
    whole tar is; OSError where it cannot be read.
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
            raise Damaged(path, "cut off", f"at byte {tar.offset:,}, before its end mark")
        if members:
            yield key, members


class Apart:
    """Finds the samples of a tar whose members are apart, as plain `tar cf` puts them in the order of the file system.

    keys: how many there are. number: samples that bring more members of an earlier key. key: the first of them.
    """

    def __init__(self):
        self.number, self.key, self._extensions = 0, None, {}

    @property
    def keys(self):
        return len(self._extensions)

    def see(self, key, members):
        """Whether these members, the next sample, belong to a sample before."""
        now, before = frozenset(members), self._extensions.get(key)
        is_apart = before is not None and before.isdisjoint(now)
        if is_apart:
            self.number += 1
            self.key = self.key or key
        self._extensions[key] = now if before is None else before | now
        return is_apart

    def is_usual(self):
        """Whether this is how the tar is made, and no accident of a few samples."""
        return self.number > self.keys / 20

    def __str__(self):
        return (f"the members of {self.number:,} of its {self.keys:,} samples are apart, those of "
                f"{files.printable(self.key)} for one. Make the tar in the order of the names: tar --sort=name -cf NEW.tar "
                "FOLDER")


END = bytes(2 * BLOCK)                                      # of a tar


def member(name, body):
    """A file of a tar: its header and body, as bytes. Owner, times and rights are the same for all, so that the same files
    give the same tar."""
    info = tarfile.TarInfo(name)
    info.size = len(body)
    return info.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % BLOCK)


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


def text(members, found):
    """The text in a sample's json (`text` or `caption`) or in its txt, the first that is more than white space; None where
    there is none. found: as `record` gives it."""
    return next((each for each in _texts(members, found) if each and each.strip()), None)


def has_empty_text(members, found):
    """Whether a sample names a text, but none that is more than white space: img2dataset writes null and an empty txt."""
    return ("txt" in members or any(key in found for key in TEXTS)) and text(members, found) is None


def _texts(members, found):
    yield from (found[key] for key in TEXTS if isinstance(found.get(key), str))
    if "txt" in members:
        yield members["txt"].decode("utf-8-sig", "replace")


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
        always, pax, long_name, described = {}, {}, None, False     # described: by what came right before
        while (header := self._header()) is not None:
            kind, size = header[156:157], _number(header[124:136])
            if size is None:
                raise self._damaged("a member without a size")
            if kind in _EXTRA:
                if size > LARGEST_EXTRA:
                    raise self._damaged(f"a long name or a pax header of {size:,} bytes, of which "
                                        f"{LARGEST_EXTRA:,} are read at most")
                extra = self._body(size, read=True)
                if kind == _LONG_NAME:
                    long_name = extra.split(b"\0", 1)[0]
                elif kind == _PAX_GLOBAL:
                    always.update(self._pax(extra))
                elif kind != _LONG_LINK:
                    pax = self._pax(extra)
                described = kind != _PAX_GLOBAL
                continue
            known = {**always, **pax}
            name = known.get(b"path") or long_name or _name(header)
            pax, long_name, described = {}, None, False
            if why := _NOT_READ.get(b"S" if _SPARSE in known else kind):
                raise self._damaged(f"it holds {why}")
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
        if described and self.ended:
            raise self._damaged("zeros where the member of the long name or pax header before should come")

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
            raise self._compressed(header) or self._cut_off()
        if not header.strip(b"\0"):
            self._refuse_more(self.offset + BLOCK)
            self.ended = True
            return None
        if _number(header[148:156]) not in _checksums(header):
            raise self._compressed(header) or self._damaged("a header whose checksum is wrong")
        self.offset += BLOCK
        return header

    def _refuse_more(self, offset):
        """Raise Damaged where anything else than zeros follows the end mark, which ends at this offset."""
        while rest := self.stream.read(files.BLOCK):
            if rest.strip(b"\0"):
                offset += len(rest) - len(rest.lstrip(b"\0"))
                raise self._damaged(f"zeros, which end a tar, but more follows them at byte {offset:,}: a header was "
                                    f"overwritten, or several tars were put into one file")
            offset += len(rest)

    def _body(self, size, read):
        """The bytes of the body at self.offset, or its (offset, size). Moves self.offset to the next header."""
        offset, padding = self.offset, -size % BLOCK
        if self.size is not None and offset + size > self.size:
            raise self._cut_off()
        self.offset += size + padding
        if not read:
            return offset, size
        body = self._read_up_to(size)
        if len(body) < size or self.at_once and len(self.stream.read(padding)) < padding:
            raise self._cut_off()
        return body

    def _read_up_to(self, size):
        """Fewer bytes at the end of the file. No more memory is taken than there are bytes, whatever size is asked."""
        if size <= files.BLOCK:
            return self.stream.read(size)
        parts, left = [], size
        while left and (part := self.stream.read(min(files.BLOCK, left))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _pax(self, body):
        """{key: value} of those records `LENGTH KEY=VALUE\\n` that say where a member is and what it is called; _SPARSE
        stands for all that describe a sparse file."""
        found, start = {}, 0
        while start < len(body):
            space = body.find(b" ", start, start + MOST_DIGITS + 1)
            digits = body[start:space] if space >= 0 else b""
            stop = start + int(digits) if _is_number(digits) else 0
            if not space + 2 < stop <= len(body):
                raise self._damaged("a pax header that cannot be read")
            key, _, value = body[space + 1:stop - 1].partition(b"=")
            if key in (b"path", b"size"):
                found[key] = value
            elif key.startswith(_SPARSE):
                found[_SPARSE] = value
            start = stop
        return found

    def _compressed(self, start):
        """The error of a tar that begins like a compressed file, else None."""
        tool = next((tool for magic, tool in COMPRESSED.items() if start.startswith(magic)), None)
        return Compressed(self.path, tool) if tool and self.offset == 0 else None

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
    digits = field.lstrip(b" \0").split(b"\0", 1)[0].rstrip(b" ") or b"0"     # anything may follow a NUL
    return int(digits, 8) if re.fullmatch(b"[0-7]+", digits) else None


def _checksums(header):
    """The sums of the bytes with the checksum as blanks: of unsigned ones, and of signed ones as old tars have it."""
    rest = header[:148] + header[156:]
    unsigned = 8 * ord(" ") + sum(rest)
    return unsigned, unsigned - 256 * sum(byte > 127 for byte in rest)
