"""Pairs as JSON Lines: one JSON object per line, UTF-8, byte for byte.

A stage never rewrites a line: the output is the input's bytes up to the closing brace, then the
stage's keys, then `}`. Only a line that already has one of these keys is serialised anew: compact,
the stage's keys last, numbers in the form they were written.

JSON is as strict as orjson: no NaN, no lone surrogates, valid UTF-8, no byte order mark.
"""
import json
import re
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
import orjson

from mc2.pairs import advice
from mc2.pairs import batch as pairs
from mc2.pairs.batch import KEYS, Labels, Lists

WHITE_SPACE = b" \t\r\n"            # of JSON
COMPRESSED = {b"\x28\xb5\x2f\xfd": "zstd", b"\x1f\x8b": "gzip"}
PARQUET = b"PAR1"
NO_NUMBER = re.compile("-?(NaN|Infinity)")


class Block(NamedTuple):
    """Whole lines of one input, as bytes: what one worker takes at a time."""

    source: str         # the input's name, for messages
    number: int         # line number of its first line, from 1
    data: bytes

    def batch(self, requires=(), skip_bad=False, keep_dropped=False):
        return Batch(self, requires, skip_bad, keep_dropped)


class Batch(pairs.Batch):
    """The pairs of a Block, with the lines they came from.

    lines:    list of bytes, each from its first byte to its closing brace
    records:  list of dict, the same lines parsed
    """

    def _parse(self, block, requires):
        self.lines, self.records = [], []
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
                self._reject(number, line, *_what_is_wrong(self.source, line, requires, error))
                continue
            self.lines.append(line)
            self.records.append(record)
            self.numbers.append(number)

    def _read(self, key, default=None):
        return [record.get(key, default) for record in self.records]

    def _select(self, keep):
        kept = np.flatnonzero(keep).tolist()
        self.lines = [self.lines[index] for index in kept]
        self.records = [self.records[index] for index in kept]

    def line(self, index):
        return self.lines[index]

    def lines_without(self, keys):
        bad = {}
        for index, record in enumerate(self.records):
            if any(key in record for key in keys):
                try:
                    self.lines[index] = _without(self.lines[index], keys)
                except (TypeError, RecursionError):         # orjson writes 254 levels, and reads 1,024
                    present = next(key for key in keys if key in record)
                    bad[index] = (f'nested too deeply to replace its "{present}".', " Remove that key first.")
        self.reject(bad)
        return self.lines


def encode(batch):
    """The pairs of a batch with the added keys, as JSON Lines. bytes"""
    lines = batch.lines_without(tuple(batch.added))         # before the values: it may reject pairs
    if not batch.added:
        return b"".join([line + b"\n" for line in lines])
    members = [_members(key, values) for key, values in batch.added.items()]
    return b"".join(chain.from_iterable(zip([line[:-1] for line in lines], *members, repeat(b"}\n"))))


def _members(key, values):
    """`,"key":value` in JSON for each value of an added column. list of bytes"""
    start = b",%b:" % orjson.dumps(key)
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
        record = orjson.loads(reject.line)
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
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as utf8:
            return "not UTF-8.", f" The byte at column {utf8.start + 1} is wrong."
        if word := NO_NUMBER.search(line.decode("utf-8"), max(error.pos - 1, 0), error.pos + len("Infinity")):
            return "not JSON.", f" Column {word.start() + 1}:{advice.for_no_number(source, word[0])}"
        return "not JSON.", f" Column {error.colno}: {error.msg.split(': line 1')[0]}."
    record = orjson.loads(line)
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

def whole_images(blocks):
    """Blocks in which an image is never split: the lines of the last image of each block move to the next block."""
    source, number, held, held_id = None, 1, [], None       # held: what there is of the last image
    for source, _, data in blocks:
        cut, last_id = _last_image(data)
        goes_on = not cut and (held_id is None or last_id in (None, held_id))
        if not goes_on:
            whole = b"".join([*held, data[:cut]])
            yield Block(source, number, whole)
            number += whole.count(b"\n")
            held, data = [], data[cut:]
        held.append(data)
        held_id = last_id or (held_id if goes_on else None)
    if held:
        yield Block(source, number, b"".join(held))


def _last_image(data):
    """(offset of the first of the trailing lines that share an id, this id); lines that are no pairs go with the
    next. (0, None) where no line is a pair."""
    start, last_id = len(data), None
    while start:
        line_start = data.rfind(b"\n", 0, start - 1) + 1
        pair_id = _id_of(data[line_start:start])
        if pair_id is not None and last_id is not None and pair_id != last_id:
            return start, last_id
        last_id = last_id if pair_id is None else pair_id
        start = line_start
    return 0, last_id


def _id_of(line):
    try:
        return orjson.loads(line)["id"]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return None
