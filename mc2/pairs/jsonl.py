"""Pairs as JSON Lines: one JSON object per line, UTF-8, byte for byte.

A stage never rewrites a line: the output is the input's bytes up to the closing brace, then the
stage's keys, then `}`. Only a line that already has one of these keys is serialised anew: compact,
the stage's keys last, numbers in the form they were written.

JSON is as strict as orjson: no NaN, no lone surrogates, valid UTF-8, no byte order mark.

What all this means is defined by Batch, in Python. Where the native core is built, NativeBatch takes its place: the
same pairs, messages and bytes, faster.
"""
import bisect
import json
import re
from itertools import chain, compress, repeat
from typing import NamedTuple

import numpy as np
import orjson

from mc2 import engines, files
from mc2.pairs import advice
from mc2.pairs import batch as pairs
from mc2.pairs import native
from mc2.pairs.batch import KEYS, NO_ENTRY_IDS, WITHOUT, Labels, Lists, Strings
from mc2.pairs.columns import NOT_TAKEN, id_text

WHITE_SPACE = b" \t\r\n"            # of JSON
COMPRESSED = {b"\x28\xb5\x2f\xfd": "zstd", b"\x1f\x8b": "gzip", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}
PARQUET = b"PAR1"
NUMBER_FIRST = re.compile(rb'(\s*\{\s*"id"\s*:\s*)(-?[1-9][0-9]*|0)(?=\s*[,}])')        # an id at the beginning
KEPT = 1000                         # bytes that are kept of a line that is too long
NO_NUMBER = re.compile("-?(NaN|Infinity)")


class Block(NamedTuple):
    """Whole lines of one input, as bytes: what one worker takes at a time."""

    source: str         # the input's name, for messages
    number: int         # line number of its first line, from 1
    data: bytes
    columns: object = None      # mc2.pairs.columns.Columns, where the keys have other names than mc2's
    as_it_came: bytes = None    # the lines before they were written anew, for bad lines

    def before(self, number):
        """The lines before the one of this number, as a Block."""
        lines = self.data.split(b"\n", number - self.number)[:number - self.number]
        return Block(self.source, self.number, b"".join([line + b"\n" for line in lines]), self.columns)

    def batch(self, requires=(), skip_bad=False, keep_dropped=False, adds=(), reads=()):
        block = self
        if self.columns:
            block = Block(self.source, self.number, self.columns.lines(self.data, self.number), None, self.data)
        return (NativeBatch if engines.native() else Batch)(block, requires, skip_bad, keep_dropped, adds, reads)


class NumberAsId(Exception):
    """A line has a whole number as its id, and is to be written anew with its decimal form."""


class Batch(pairs.Batch):
    """The pairs of a Block, with the lines they came from.

    lines:    list of bytes, each from its first byte to its closing brace
    records:  list of dict, the same lines parsed
    """

    def _parse(self, block, requires, adds, reads):
        self.lines, self.records, numbers = [], [], []
        for number, line in enumerate(block.data.split(b"\n"), block.number):
            line = line.rstrip(WHITE_SPACE)
            if not line:
                continue
            self.tally["in"] += 1
            try:
                record = _record_of(self, number, line, requires)
            except NumberAsId:
                self._as_it_came = self._as_it_came or block
                line = _with_text_id(line)
                record = _record_of(self, number, line, requires)
            if record is not None:
                self.lines.append(line)
                self.records.append(record)
                numbers.append(number)
        self.numbers = np.array(numbers, np.int64)

    def _read(self, key, default=None):
        return [record.get(key, default) for record in self.records]

    def _select(self, keep):
        flags = keep.tolist()
        self.lines, self.records = list(compress(self.lines, flags)), list(compress(self.records, flags))

    def line(self, index):
        return self.lines[index]

    def lines_without(self, keys):
        having = [index for index, record in enumerate(self.records) if any(key in record for key in keys)]
        replaced = _replaced(self, having, keys)
        return [replaced.get(index, line) for index, line in enumerate(self.lines)] if replaced else self.lines


class NativeBatch(pairs.Batch):
    """The same as Batch, of which the native core reads and writes the lines. Keys that are not known to it beforehand
    are read by Python, when they are asked for."""

    def _parse(self, block, requires, adds, reads):
        def record_of(number, line):
            return _record_of(self, number, line, requires)

        self.tally["in"] = 0                    # before those of bad lines
        try:
            self._lines = native.Lines(block.data, block.number, requires, adds, reads, record_of)
        except NumberAsId:
            self.tally.clear()
            self.tally["in"], self.rejects, self.dropped = 0, [], []
            self._as_it_came = self._as_it_came or block
            data = b"\n".join(map(_with_text_id, block.data.split(b"\n")))
            self._lines = native.Lines(data, block.number, requires, adds, reads, record_of)
        self.tally["in"] = self._lines.n_lines
        if not self._lines.n_lines:
            del self.tally["in"]
        self.numbers, self._records, self._columns = self._lines.numbers, None, {}

    @property
    def records(self):
        if self._records is None:
            self._records = [_loads(self.line(index)) for index in range(len(self))]
        return self._records

    def _read(self, key, default=None):
        column = None if key in self._lines.optional else self._lines.column(key)
        if column is None or isinstance(column, Lists) and self._lines.malformed.any():
            return [record.get(key, default) for record in self.records]
        if key not in self._columns:
            self._columns[key] = column.tolist()
        return self._columns[key].copy()            # for callers that change it

    def _select(self, keep):
        self._lines.select(keep)
        self._columns = {}
        if self._records is not None:
            self._records = list(compress(self._records, keep.tolist()))

    def line(self, index):
        return self._lines.line(index)

    def lines_without(self, keys):
        replaced = self._replaced(keys)
        return [replaced[index] if index in replaced else self.line(index) for index in range(len(self))]

    def _replaced(self, keys):
        having = np.zeros(len(self), bool)
        for key in keys:
            having |= self._lines.have(key) if self._lines.knows(key) \
                else np.array([key in record for record in self.records], bool)
        return _replaced(self, np.flatnonzero(having).tolist(), keys)

    def encoded(self):
        """What `encode` gives. bytes"""
        replaced = self._replaced(tuple(self.added))            # before the values: it may reject pairs
        members = [native.members_of(key, values, lambda values: _members(key, values))
                   for key, values in self.added.items()]
        return self._lines.spliced(members, replaced)

    def labels(self, key, default=None):
        found = None if key in self._lines.optional and default != "" else self._scanned(key, Labels)
        return super().labels(key, default) if found is None else found

    def strings(self, key):
        found = self._scanned(key, Strings)
        return super().strings(key) if found is None else found

    def matched_ids(self):
        if self._scanned("matched_entry_ids", Lists) is None:
            return super().matched_ids()
        self.reject(dict.fromkeys(np.flatnonzero(self._lines.malformed).tolist(), NO_ENTRY_IDS))
        found = self._lines.column("matched_entry_ids")
        return found.offsets, found.values

    def _scanned(self, key, form):
        """The column of the input in this form; None where it was not read so, or another one was added."""
        column = None if key in self.added else self._lines.column(key)
        return column if isinstance(column, form) else None


def _loads(line):
    """The value of a line of JSON. Raises MemoryError, which orjson reports as an error in the line."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if error.msg.startswith("Not enough memory"):
            raise MemoryError from None
        raise


def _record_of(batch, number, line, requires):
    """The record of a line that is a pair with the required keys; None where it is none, and was rejected or dropped.
    Raises NumberAsId."""
    try:
        record = _loads(line)
        for key in requires:
            if type(record[key]) is not KEYS[key][0]:
                if record[key] is None and key in WITHOUT:
                    batch.drop_line(number, line, WITHOUT[key])
                    return None
                if key == "id" and type(_exact_id(line, record)) is str and "text" in record \
                        and _with_text_id(line) is not line:
                    raise NumberAsId
                raise TypeError
        return record
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError, RecursionError) as error:
        if (taken := _why_not_taken(line)) is not None:
            batch._reject(number, *taken)
            return None
        kept = line[:KEPT] if line.endswith(files.TOO_LONG) else line
        batch._reject(number, kept, *_what_is_wrong(batch.source, line, requires, error))
        return None


def _why_not_taken(line):
    """(line, reason, hint) for a line behind which stands why it was not written anew; None for any other."""
    line, mark, missing = line.rpartition(NOT_TAKEN)
    try:
        if mark and missing == b"null":
            return line, "nested too deeply to be written with other keys.", ""
        if mark:
            (key, column), record = json.loads(missing), _loads(line)
            names = advice.listed_columns(dict.fromkeys(record, ""))
            return line, f'no "{advice.shown(column)}" key.', f"{KEYS[key][2]} The keys are {names}."
    except (ValueError, TypeError, KeyError, AttributeError):       # the line came with such bytes
        pass
    return None


def _exact_id(line, record):
    """The id of a line as id_text gives it."""
    return id_text(record["id"], lambda: json.loads(line)["id"])


def _with_text_id(line):
    """A line in which an id that is a whole number is written as text; any other as it is, also one that is nested too
    deeply to be written."""
    try:
        if (found := NUMBER_FIRST.match(line)) and b'"id"' not in line[found.end():] and b'"text"' in line:
            return b'%b"%b"%b' % (found[1], found[2], line[found.end():])
        record = orjson.loads(line)
        as_text = _exact_id(line, record)
        if type(as_text) is str and type(record["id"]) is not str and "text" in record:
            record = json.loads(line, parse_int=orjson.Fragment, parse_float=orjson.Fragment)
            return orjson.dumps({**record, "id": as_text})
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError, RecursionError):
        pass
    return line


def first_records(data, n):
    """Yield the objects among the first n lines that are not blank."""
    for line in (line for line in data.split(b"\n", n)[:n] if line.strip(WHITE_SPACE)):
        try:
            record = _loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict):
            yield record


def _replaced(batch, indices, keys):
    """{index: its line without some keys} of pairs that have any. Those that cannot be written anew are rejected, and
    the indices are those after that."""
    replaced, bad = {}, {}
    for index in indices:
        try:
            replaced[index] = _without(batch.line(index), keys)
        except (TypeError, RecursionError):             # orjson writes 254 levels, and reads 1,024
            record = _loads(batch.line(index))
            present = next(key for key in keys if key in record)
            bad[index] = (f'nested too deeply to replace its "{present}".', " Remove that key first.")
    batch.reject(bad)
    before = sorted(bad)
    return {index - bisect.bisect(before, index): line for index, line in replaced.items()}


def encode(batch):
    """The pairs of a batch with the added keys, as JSON Lines. bytes"""
    if isinstance(batch, NativeBatch):
        return batch.encoded()
    lines = batch.lines_without(tuple(batch.added))         # before the values: it may reject pairs
    if not batch.added:
        return b"".join([line + b"\n" for line in lines])
    members = [_members(key, values) for key, values in batch.added.items()]
    return b"".join(chain.from_iterable(zip([line[:-1] for line in lines], *members, repeat(b"}\n"))))


def _members(key, values):
    """`,"key":value` in JSON for each value of an added column. list of bytes"""
    start = native.start_of(key)
    if isinstance(values, Labels):
        names = [start + orjson.dumps(name) for name in values.names]
        return [names[number] for number in values.numbers.tolist()]
    if isinstance(values, Lists):               # all of them in one piece: that is faster
        lists = orjson.dumps(values.tolist())[2:-2].split(b"],[") if len(values) else []
        return [b"%b[%b]" % (start, each) for each in lists]
    return [start + orjson.dumps(value) for value in (values if isinstance(values, list) else values.tolist())]


def kept_line(reject, key="dropped"):
    """A dropped pair as it is kept: its line as it came in, with the reason. bytes, with the newline"""
    try:
        record = _loads(reject.line)
        line = _without(reject.line, (key,)) if key in record else reject.line
    except (TypeError, RecursionError):                     # nested too deeply to be written again: two of one key
        line = reject.line
    return line[:-1] + b',"%b":' % key.encode() + orjson.dumps(reject.reason) + b"}\n"


def quarantined_line(reject):
    """A bad line as it is kept: where it was, what is wrong with it, and the line itself. bytes, with the newline"""
    text = reject.line.decode("utf-8", "backslashreplace")
    return orjson.dumps({"line": reject.number, "reason": reject.reason, "text": text}, option=orjson.OPT_APPEND_NEWLINE)


def _what_is_wrong(source, line, requires, error):
    """(reason, hint) for a line that is not a pair with the required keys."""
    if isinstance(error, orjson.JSONDecodeError):
        if line.startswith(b"\xef\xbb\xbf"):
            return "starts with a byte order mark.", " Remove it, e.g. sed '1s/^\\xEF\\xBB\\xBF//'."
        if line.startswith(PARQUET):
            return "not JSON but Parquet.", " Name a file that ends in .parquet; it cannot be read from a pipe."
        for magic, tool in COMPRESSED.items():
            if line.startswith(magic):
                return "not JSON but compressed data.", f" Name the file with its suffix, or pipe it through {tool} -dc."
        if line.endswith(files.TOO_LONG):
            return advice.for_too_long("line", len(line) - len(files.TOO_LONG), line.startswith(b"["))
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as utf8:
            return "not UTF-8.", f" The byte at column {utf8.start + 1} is wrong."
        if word := NO_NUMBER.search(line.decode("utf-8"), max(error.pos - 1, 0), error.pos + len("Infinity")):
            return "not JSON.", f" Column {word.start() + 1}:{advice.for_no_number(source, word[0])}"
        return "not JSON.", f" Column {error.colno}: {error.msg.split(': line 1')[0]}."
    record = _loads(line)
    if not isinstance(record, dict):
        return "not a JSON object.", ""
    for key in requires:
        kind, kind_name, hint = KEYS[key]
        always = key in advice.OTHER_NAMES
        if key not in record:
            return f'no "{key}" key.', hint + (advice.for_missing_key(source, key, record) if always else "")
        if type(record[key]) is not kind:
            return f'"{key}" is not {kind_name}.', advice.for_wrong_type(source, key, record) if always else ""
    raise error


def _without(line, keys):
    """The record serialised anew without some keys; numbers keep their written form, of any size."""
    record = json.loads(line, parse_int=orjson.Fragment, parse_float=orjson.Fragment)
    for key in keys:
        record.pop(key, None)
    return orjson.dumps(record)


# ---------------------------------------------------------------- whole images

def whole_images(blocks, pairs_in):
    """Blocks in which an image is never split: the lines of the last image of each block move to the next block.

    pairs_in: function from a Block to the Batch of its lines that are pairs; the others part no image.
    """
    source, number, held, held_id = None, 1, [], None       # held: what there is of the last image
    for source, _, data, *_ in blocks:
        cut, last_id = _last_image(data, pairs_in)
        goes_on = not cut and (held_id is None or last_id in (None, held_id))
        if not goes_on:
            whole = b"".join([*held, data[:cut]])
            yield Block(source, number, whole)
            number += files.lines_in(whole)
            held, data = [], data[cut:]
        held.append(data)
        held_id = held_id if last_id is None and goes_on else last_id
    if held:
        yield Block(source, number, b"".join(held))


def _last_image(data, pairs_in):
    """(offset at which the last image of whole lines begins, its id); see pairs.end_before_last_image."""
    begins = [len(data)]                                    # of the last lines, from the end

    def last(n_lines):
        while len(begins) <= n_lines:
            begins.append(data.rfind(b"\n", 0, begins[-1] - 1) + 1)
        return pairs_in(Block("", 1, data[begins[n_lines]:]))

    n_lines = files.lines_in(data) + (not data.endswith(b"\n"))
    end, last_id = pairs.end_before_last_image(n_lines, last)
    return begins[n_lines - end] if end else 0, last_id
