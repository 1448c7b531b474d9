"""Tell by its first bytes that an input is something else than what was asked for, before hours of reading.

Wikimedia publishes many files beside the dumps of articles, and a fetch that failed leaves a page of HTML.
"""
import os
import re
import stat

from mc2 import files
from mc2.errors import BadData

LENGTH = 1024                           # bytes that are looked at

DUMP, PAGEVIEWS, TEXT = "a MediaWiki dump", "a file of pageviews", "plain text"
_NOT = {DUMP: "not a MediaWiki dump", TEXT: "no plain text",
        PAGEVIEWS: "no pageviews: no line is of the form `domain_code page_title views bytes`"}
COMPRESSED, TAR, NO_XML = "compressed data", "a tar archive", "no XML"

_MAGIC = {".gz": b"\x1f\x8b", ".bz2": b"BZh", ".zst": b"\x28\xb5\x2f\xfd"}
_READ = {magic: suffix for suffix, magic in _MAGIC.items()}
_ARCHIVES = {b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", "7z x"), b"PK\x03\x04": ("a ZIP archive", "unzip"),
             b"\xfd7zXZ\x00": ("an .xz file", "xz -d"), b"Rar!\x1a\x07": ("a RAR archive", "unrar x"),
             b"LZIP": ("an .lz file", "lzip -d")}
_NAMES_OF_ARCHIVES = [name for name, _ in _ARCHIVES.values()]
_BYTE_ORDER_MARKS = b"\xef\xbb\xbf\xff\xfe\x00"
_KINDS = [
    (DUMP, re.compile(rb"(?:<\?xml[^>]*>\s*)?<(?:\w+:)?mediawiki\b")),
    ("a web page, as it begins with <html>", re.compile(rb"(?:<\?xml[^>]*>\s*)?<html\b", re.IGNORECASE)),
    ("a web page, as it begins with <!DOCTYPE html>", re.compile(rb"(?:<\?xml[^>]*>\s*)?<!doctype\s+html\b",
                                                                 re.IGNORECASE)),
    ("a dump of abstracts", re.compile(rb"(?:<\?xml[^>]*>\s*)?<feed\b")),
    ("an SQL dump", re.compile(rb"-- (?:MySQL|MariaDB|phpMyAdmin)|/\*!|(?:INSERT|CREATE|DROP) ", re.IGNORECASE)),
    ("the index of a multistream dump", re.compile(rb"\d+:\d+:[^\n]*(?:\n|$)")),
    (PAGEVIEWS, re.compile(rb"\S+ \S+ \d+ \d+(?:\n|$)")),
    ("a list of titles", re.compile(rb"page_(?:namespace\t)?title\r?\n")),
    ("JSON", re.compile(rb"[{\[]\s*[\"{\[]")),
]


def kind_of(start):
    """What begins with these bytes: DUMP, PAGEVIEWS, something else (str), or None if it can be anything."""
    start = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if any(map(start.startswith, _READ)):
        return COMPRESSED
    for magic, (kind, _) in _ARCHIVES.items():
        if start.startswith(magic):
            return kind
    if start[257:262] == b"ustar":
        return TAR
    return next((kind for kind, pattern in _KINDS if pattern.match(start)), None)


def refuse_other(start, path, wanted, way_out):
    """Raise BadData where bytes that a file begins with, decompressed if need be, are of something that is not wanted.

    wanted: DUMP, PAGEVIEWS or TEXT; way_out: what to do, the end of a sentence.
    """
    kind = kind_of(start)
    if kind is None and wanted == DUMP and start and not start.lstrip(_BYTE_ORDER_MARKS).lstrip().startswith(b"<"):
        kind = NO_XML
    if kind in (None, wanted) or wanted == TEXT and kind not in (DUMP, COMPRESSED, TAR, *_NAMES_OF_ARCHIVES):
        return
    name = files.name_of(path)
    if kind == COMPRESSED:
        suffix = next(suffix for magic, suffix in _READ.items() if start.startswith(magic))
        raise BadData(f"{name}: is compressed more than once, or its name does not say how. Decompress it, or give "
                      f"its name the ending {suffix}.")
    for magic, (archive, program) in _ARCHIVES.items():
        if start.startswith(magic):
            raise BadData(f"{name}: is {archive}, which is not read. Unpack it ({program}), or {way_out}")
    raise BadData(f"{name}: {_NOT[wanted]}: it is {kind}. {way_out[:1].upper()}{way_out[1:]}")


def refuse_other_file(path, wanted, way_out):
    """The same for a file, before it is read; pipes are passed."""
    if not can_be_read_twice(path):
        return
    with open(path, "rb") as stream:
        start = stream.read(LENGTH)
    suffix = next((suffix for suffix in _MAGIC if files.has_suffix(path, suffix)), "")
    magic = _MAGIC.get(suffix, b"")
    if not start.startswith(magic):
        if kind_of(start) == wanted:
            raise BadData(f"{files.name_of(path)}: is not compressed, although its name says so. Name it without "
                          f"{suffix}.")
        if kind_of(start) is None:          # damaged, which is said when it is read
            return
    elif magic:
        with files.open_read(path) as stream:
            start = stream.read(LENGTH)
    refuse_other(start, path, wanted, way_out)


def can_be_read_twice(path):
    """Whether this is a regular file."""
    return path != "-" and stat.S_ISREG(os.stat(path).st_mode)
