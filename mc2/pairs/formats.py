"""In which format the pairs of a file are: by its name, or by its first bytes where the name does not tell.

    .parquet                      Parquet
    .csv .tsv                     tables as text (delimited.py)
    .json                         a JSON document: an array of objects, or COCO captions (json_arrays.py); or JSON Lines
    .jsonl, any other name, `-`   JSON Lines

All but Parquet are read with .gz, .zst, .bz2 or .xz behind the suffix, and written with .gz or .zst. Where the name
ends in none of these (stdin, say), an input that begins with the header of a table, or with an array, is read as such.
"""
import os
import re
from itertools import chain

import orjson

from mc2 import files
from mc2.errors import BadUsage
from mc2.pairs import delimited
from mc2.pairs.columns import NoPairs

FORMATS = ("jsonl", "json", "csv", "tsv", "parquet")
LINES = (".jsonl", ".ndjson", ".jsonlines")
# Formats of others, in which pairs are neither read nor written.
FOREIGN = (".arrow", ".feather", ".orc", ".avro", ".xls", ".xlsx", ".ods", ".pkl", ".pickle", ".npy", ".npz", ".tar",
           ".zip", ".7z", ".lz4", ".lzma", ".br", ".sz", ".sqlite", ".db", ".html", ".xml", ".yaml", ".h5")
CRAWL = (".warc", ".wat")       # files of which `mc2 extract` makes pairs
PEEK = 1 << 16                  # bytes that are looked at
_COCO = re.compile(r'\s*\{\s*"(info|images|annotations|licenses|type|categories)"\s*:\s*[\[{"]')


def suffixes(path):
    """(suffix of the format in lower case, suffix of the compression) of a path or URL, "" for none."""
    stem, end = os.path.splitext(files.base_name(path))
    compression = end if end in files.COMPRESSED else ""
    return (os.path.splitext(stem)[1] if compression else end).lower(), compression


def by_name(path, given=None):
    """The format of a path, one of FORMATS; None where its name does not tell. given: the one that the user names"""
    if given:
        return given
    end, _ = suffixes(path)
    if files.is_parquet(path):
        return "parquet"
    return {".csv": "csv", ".tsv": "tsv", ".json": "json", **dict.fromkeys(LINES, "jsonl")}.get(end)


def by_beginning(data, path, reading):
    """The format of an input of which the name does not tell, or says no more than .json. data: its first bytes"""
    text = data[:PEEK].decode("utf-8-sig", "ignore").lstrip(" \t\r\n")
    if reading.header:
        return "tsv" if "\t" in text.split("\n", 1)[0] else "csv"
    if text.startswith("["):
        return "json"
    named = by_name(path, reading.format)
    if text.startswith("{"):
        return "json" if named != "jsonl" and _is_document(data.decode("utf-8-sig", "ignore")) else "jsonl"
    if named is None:
        known = (format for format in ("csv", "tsv") if _has_header_of_pairs(data, path, reading, format))
        tables = (format for format in ("tsv", "csv") if delimited.looks_like_table(data[:PEEK], format))
        others = ["csv"] if delimited.looks_otherwise_delimited(data[:PEEK]) else []
        return next(chain(known, tables, others), "jsonl")
    return "jsonl"


def begins_a_table(data, path, reading):
    """Whether a .json begins as a document or lines of pairs, or a .tsv with a header of pairs. data: its first
    bytes"""
    if by_name(path) == "tsv":
        return _has_header_of_pairs(data, path, reading, "tsv")
    text = data.decode("utf-8-sig", "ignore").lstrip(" \t\r\n")
    if text.startswith("[") or _COCO.match(text):
        return True
    try:
        record = orjson.loads(text.split("\n", 1)[0])
        reading.columns_of(path, dict.fromkeys(record, ""))
        return True
    except (orjson.JSONDecodeError, TypeError, NoPairs):
        return False


def _has_header_of_pairs(data, path, reading, format):
    try:
        header = delimited.header_of(data[:PEEK], format)
        if len(header) < 2:
            return False
        reading.columns_of(path, dict.fromkeys(header, ""))
        return True
    except NoPairs:
        return False


def _is_document(text):
    """Whether a text that begins with an object is one document, rather than a line for each object."""
    line, newline, _ = text.lstrip().partition("\n")
    try:
        return isinstance(orjson.loads(line).get("annotations"), list)
    except (orjson.JSONDecodeError, AttributeError):
        return bool(_COCO.match(text)) or line.strip() == "{" and bool(newline)


def written_name(name):
    """What the output for an input of this name is called: the same, but JSON documents and files of a crawl become
    JSON Lines, and compression that is only read becomes .zst."""
    end, compression = suffixes(name)
    if end in CRAWL:
        return name[:len(name) - len(compression)] + ".jsonl.zst"
    stem = name[:len(name) - len(compression)]
    if end == ".json":
        stem = stem[:-len(end)] + ".jsonl"
    return stem + (".zst" if compression in (".bz2", ".xz") else compression)


def refuse_unwritable(path):
    """Raise BadUsage where the name of an output is that of a format in which pairs are not written."""
    end, compression = suffixes(path)
    if end == ".json" or end in FOREIGN or end == ".parquet" and compression or compression in (".bz2", ".xz"):
        raise BadUsage(f"{path}: this format is not written. Name a .jsonl, .csv or .tsv (also .gz, .zst), or a "
                       f".parquet.")


def refuse_unreadable(path, given=None, header=()):
    """Raise BadUsage where the name of an input is that of a format in which pairs are not read, or that has no header
    and is given one."""
    end, compression = suffixes(path)
    if header and by_name(path, given) not in (None, "csv", "tsv"):
        raise BadUsage(f"{files.name_of(path)}: --header is for CSV and TSV, whose first line may be a row.")
    if given is None and end in CRAWL:
        raise BadUsage(f"{files.name_of(path)}: is a file of a crawl. 'mc2 extract' makes pairs of it.")
    if given is None and end == ".tar":
        raise BadUsage(f"{files.name_of(path)}: is a tar. Name the file of its pairs, as 'mc2 images pack' and 'mc2 join' "
                       "write one for each tar of images.")
    if given is None and (end in FOREIGN or end == ".parquet" and compression):
        raise BadUsage(f"{files.name_of(path)}: pairs are not read in this format. Save it as .csv, .jsonl or "
                       f".parquet; or say which of these it is with --format.")
