"""The pair: one JSON object per line (UTF-8). This is the record format of all of mc2.

    key                 type          added by   meaning
    id                  string        the user   id of the image; lines that share one are adjacent
    text                string        the user   the alt-text; may be empty
    lid                 string        lid        the LID model's own label, e.g. "fr" or "fra_Latn"
    lid_prob            number        lid        its probability, at most 1, 4 decimals
    lang                string        lid        the metadata language that the label maps to, or "other"
    matched_entry_ids   list of int   match      ascending, unique; [] when nothing matched

`id` and `text` are mandatory. Keys that mc2 does not know (url, source, ...) are passed on.

A stage never rewrites a line: the output is the input's bytes up to the closing brace, then the
stage's keys, then `}`. Only a line that already has one of these keys is serialised anew: compact,
the stage's keys last, numbers in the form they were written.

JSON is as strict as orjson: no NaN, no lone surrogates, valid UTF-8, no byte order mark.

Rows of Parquet whose columns have these names are pairs as well: mc2/pairs/parquet.py.
"""
import json
from collections import Counter
from itertools import chain
from typing import NamedTuple

import numpy as np
import orjson

from mc2.errors import BadLine

WHITE_SPACE = b" \t\r\n"            # of JSON
COMPRESSED = {b"\x28\xb5\x2f\xfd": "zstd", b"\x1f\x8b": "gzip"}
PARQUET = b"PAR1"

# key -> (type, name of the type, what to do when the key is missing)
KEYS = {
    "id": (str, "a string", " Every pair needs an image id."),
    "text": (str, "a string", " Every pair needs its alt-text."),
    "lang": (str, "a string", " Run 'mc2 lid' first."),
    "matched_entry_ids": (list, "a list of integers", " Run 'mc2 match' first."),
}


class Block(NamedTuple):
    """Whole lines of one input, as bytes: what one worker takes at a time."""

    source: str         # the input's name, for messages
    number: int         # line number of its first line, from 1
    data: bytes

    def batch(self, requires=(), skip_bad=False, as_table=False):
        return Batch(self, requires, skip_bad, as_table)


class Reject(NamedTuple):
    """A line that is not a pair, or not one that the stage can take."""

    number: int
    reason: str
    line: bytes


class Batch:
    """The pairs of a block, with the lines they came from.

    lines:    list of bytes, each from its first byte to its closing brace
    records:  list of dict, the same lines parsed
    numbers:  list of int, their line numbers
    tally:    Counter of what happened to the pairs; `in` is the number of non-blank lines
    rejects:  list of Reject, the bad lines (only with skip_bad)
    """

    def __init__(self, block, requires=(), skip_bad=False, as_table=False):
        """requires: keys that every pair must have beside id and text. as_table: whether the output is Parquet."""
        self.source = block.source
        self.skip_bad = skip_bad
        self.as_table = as_table
        self.tally = Counter()
        self.rejects = []
        self.added = {}
        self._parse(block, ("id", "text", *requires))

    def __len__(self):
        return len(self.numbers)

    def column(self, key, default=None):
        """The values of a key, added ones too; `default` where a pair does not have it. list of len(self) values"""
        if key in self.added:
            return self.added[key]
        return [record.get(key, default) for record in self.records]

    @property
    def texts(self):
        return self.column("text")

    def by_lang(self):
        """{lang: indices of its pairs, ascending}"""
        groups = {}
        for index, lang in enumerate(self.column("lang")):
            groups.setdefault(lang, []).append(index)
        return groups

    def line(self, index):
        """The bytes of one pair as it came in."""
        return self.lines[index]

    def _parse(self, block, requires):
        self.lines, self.records, self.numbers = [], [], []
        checks = [(key, KEYS[key][0]) for key in requires]
        for number, line in enumerate(block.data.split(b"\n"), block.number):
            line = line.rstrip(WHITE_SPACE)
            if not line:
                continue
            self.tally["in"] += 1
            try:
                record = orjson.loads(line)
                for key, kind in checks:
                    if type(record[key]) is not kind:
                        raise TypeError
            except (orjson.JSONDecodeError, KeyError, TypeError, IndexError) as error:
                self._reject(number, line, *_what_is_wrong(line, requires, error))
                continue
            self.lines.append(line)
            self.records.append(record)
            self.numbers.append(number)

    def _reject(self, number, line, reason, hint=""):
        if not self.skip_bad:
            raise BadLine(self.source, number, reason, hint)
        self.tally[f"bad: {reason}"] += 1
        self.rejects.append(Reject(number, reason + hint, line))

    def reject(self, bad):
        """Drop the pairs with the given indices: {index: (reason, hint)}. Raises BadLine unless skip_bad."""
        for index in sorted(bad):
            self._reject(self.numbers[index], self.line(index) if self.skip_bad else b"", *bad[index])
        if bad:
            self.select([index not in bad for index in range(len(self))])

    def select(self, keep):
        """Keep the pairs whose flag is true. keep: sequence of len(self) truth values."""
        for name in ("lines", "records", "numbers"):
            setattr(self, name, [item for item, kept in zip(getattr(self, name), keep) if kept])
        self.added = {key: [value for value, kept in zip(values, keep) if kept]
                      for key, values in self.added.items()}

    def add(self, key, values):
        """Give every pair a new key. values: list of len(self) JSON values."""
        self.added[key] = values

    def matched_ids(self):
        """(offsets int64 (n+1,), ids uint32): matched_entry_ids of all pairs. Malformed ones are rejected."""
        lists = self.column("matched_entry_ids")
        if set(map(type, chain.from_iterable(lists))) <= {int}:
            try:
                offsets, ids = _csr(lists)
            except OverflowError:
                offsets, ids = None, None
            if ids is not None and ascending(offsets, ids) and (not ids.size or ids.max() < 1 << 32):
                return offsets, ids.astype(np.uint32)
        self.reject({index: ('"matched_entry_ids" is not an ascending list of entry ids.', "")
                     for index, ids in enumerate(lists) if not _are_entry_ids(ids)})
        offsets, ids = _csr(self.column("matched_entry_ids"))
        return offsets, ids.astype(np.uint32)

    def encoded(self):
        """The pairs with the added keys, as the output takes them: JSON Lines, or a table for Parquet. bytes"""
        return self.to_table() if self.as_table else self.to_bytes()

    def to_table(self):
        """The pairs with the added keys, as what mc2.pairs.parquet writes."""
        from mc2.pairs import parquet
        return parquet.table_of(self)

    def to_bytes(self):
        """The pairs as JSON Lines, with the added keys."""
        if not self.added:
            return b"".join([line + b"\n" for line in self.lines])
        keys = tuple(self.added)
        self._drop_from_lines(keys)
        out = []
        for line, *values in zip(self.lines, *self.added.values()):
            out.append(line[:-1] + b"," + orjson.dumps(dict(zip(keys, values)))[1:] + b"\n")
        return b"".join(out)

    def _drop_from_lines(self, keys):
        """Serialise the lines that have one of these keys anew, without them."""
        bad = {}
        for index, record in enumerate(self.records):
            if any(key in record for key in keys):
                try:
                    self.lines[index] = _without(self.lines[index], keys)
                except (TypeError, RecursionError):         # orjson writes 254 levels, and reads 1,024
                    present = next(key for key in keys if key in record)
                    bad[index] = (f'nested too deeply to replace its "{present}".', " Remove that key first.")
        self.reject(bad)


def _what_is_wrong(line, requires, error):
    """(reason, hint) for a line that is not a pair with the required keys."""
    if isinstance(error, orjson.JSONDecodeError):
        if line.startswith(b"\xef\xbb\xbf"):
            return "starts with a byte order mark.", " Remove it, e.g. sed '1s/^\\xEF\\xBB\\xBF//'."
        if line.startswith(PARQUET):
            return "not JSON but Parquet.", " Name a file that ends in .parquet; it cannot be read from a pipe."
        for magic, tool in COMPRESSED.items():
            if line.startswith(magic):
                return "not JSON but compressed data.", f" Name the file with its suffix, or pipe it through {tool} -dc."
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as utf8:
            return "not UTF-8.", f" The byte at column {utf8.start + 1} is wrong."
        return "not JSON.", f" Column {error.colno}: {error.msg.split(': line 1')[0]}."
    record = orjson.loads(line)
    if not isinstance(record, dict):
        return "not a JSON object.", ""
    for key in requires:
        kind, kind_name, hint = KEYS[key]
        if key not in record:
            return f'no "{key}" key.', hint
        if type(record[key]) is not kind:
            return f'"{key}" is not {kind_name}.', ""
    raise error


def _csr(lists):
    offsets = np.zeros(len(lists) + 1, np.int64)
    np.cumsum([len(ids) for ids in lists], out=offsets[1:])
    return offsets, np.fromiter(chain.from_iterable(lists), np.int64, offsets[-1])


def ascending(offsets, ids):
    """Whether ids are non-negative and strictly ascending within each pair."""
    if not ids.size:
        return True
    rising = np.diff(ids) > 0
    starts = offsets[1:-1]
    rising[starts[(starts > 0) & (starts < ids.size)] - 1] = True       # from one pair to the next all goes
    return bool(rising.all() and ids.min() >= 0)


def _are_entry_ids(ids):
    return (all(type(i) is int and 0 <= i < 1 << 32 for i in ids)
            and all(a < b for a, b in zip(ids, ids[1:])))


def _without(line, keys):
    """The record serialised anew without some keys; numbers keep their written form, of any size."""
    record = json.loads(line, parse_int=orjson.Fragment, parse_float=orjson.Fragment)
    for key in keys:
        record.pop(key, None)
    return orjson.dumps(record)
