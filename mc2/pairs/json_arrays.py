"""Pairs in a JSON document: an array of objects, or COCO captions, an object whose `annotations` are such an array.

It is read object by object, with one of them in memory at a time: what is around them (the `images` of COCO, say) is
passed over. The pairs go on as JSON Lines; messages give the number of an object in its array, from 1.
"""
import codecs
import json
import re
from itertools import chain

import orjson

from mc2 import files
from mc2.errors import BadData
from mc2.pairs import advice, jsonl
from mc2.pairs.columns import COCO, LOOKED_AT, NoColumns

LONGEST = 64 << 20              # characters of one object
SPACE = " \t\r\n"
WHOLE = re.compile("-?[0-9]+")
ANNOTATIONS = "annotations"


def read_blocks(path, chunks, reading, size, whole_images=None, found=None):
    """Yield the Blocks of a document, in order. chunks: iterable of bytes. whole_images: as in
    mc2.pairs.shards.read_blocks. found: called with the Columns"""
    blocks = _blocks(path, chunks, reading, size, found)
    yield from jsonl.whole_images(blocks, whole_images) if whole_images else blocks


def _blocks(path, chunks, reading, size, found):
    source = files.name_of(path)
    columns, is_known = None, False
    lines, held, first = [], 0, 1
    text = _Text(source, chunks)
    objects = _objects(text)
    looked_at = _first(objects, text, LOOKED_AT, size) if reading.given else []
    keys = dict.fromkeys(chain.from_iterable(record for _, record in looked_at if isinstance(record, dict)), "")
    for number, (form, record) in enumerate(chain(looked_at, objects), 1):
        why_not_taken = b""
        if not is_known and isinstance(record, dict):
            columns, is_known = _columns_of(path, keys or dict.fromkeys(record, ""), reading, form), True
            if found and columns:
                found(columns)
        if columns and isinstance(record, dict):
            its_columns = columns.record(record, number)
            if its_columns is None:
                why_not_taken = columns.why_not_taken(record)
            else:
                record = its_columns
        if isinstance(record, dict) and type(record.get("id")) is _Number and WHOLE.fullmatch(record["id"]):
            record["id"] = str(record["id"])
        lines.append(_line(record) + why_not_taken + b"\n")
        held += len(lines[-1])
        if held >= size:
            yield jsonl.Block(source, first, b"".join(lines))
            lines, held, first = [], 0, number + 1
    if lines:
        yield jsonl.Block(source, first, b"".join(lines))


def _first(objects, text, most, size):
    """The first elements of an array, in order: `most`, or fewer where they have `size` characters. list"""
    found = []
    for each in objects:
        found.append(each)
        if len(found) == most or text.n_read >= size:
            break
    return found


def _columns_of(path, keys, reading, form):
    """The Columns by the keys of the first objects, None where they are to be taken as they are. keys: {key: ""}"""
    try:
        return reading.columns_of(path, keys, form)
    except NoColumns:
        if reading.given or form:
            raise
        return None                             # the message about the first object says what to do


def _line(record):
    try:
        return orjson.dumps(record, default=lambda value: orjson.Fragment(str(value)),
                            option=orjson.OPT_PASSTHROUGH_SUBCLASS)
    except TypeError:                       # half of a surrogate pair, or many levels: a matter for who reads the line
        return _dumped(record).encode()


class _Number(str):
    """A number in its written form."""


def _dumped(value):
    """A value as JSON, of any depth, with its numbers in their written form. str"""
    parts, waiting = [], [value]            # values, and what stands between them as _Number: it is written as it is
    while waiting:
        each = waiting.pop()
        if isinstance(each, _Number):
            parts.append(each)
        elif isinstance(each, dict):
            waiting.append(_Number("}"))
            for number, (key, member) in reversed(list(enumerate(each.items()))):
                waiting += (member, _Number(("," if number else "") + json.dumps(key) + ":"))
            waiting.append(_Number("{"))
        elif isinstance(each, list):
            waiting.append(_Number("]"))
            for number, member in reversed(list(enumerate(each))):
                waiting += (member, _Number("," if number else ""))
            waiting.append(_Number("["))
        else:
            parts.append(json.dumps(each))
    return "".join(parts)


def _number(text):
    return _Number(text)


def _refuse_constant(word):
    raise ValueError(f"{word} is no number of JSON")


_DECODER = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=_refuse_constant)


def _objects(text):
    """Yield (form, element) for the elements of the array."""
    start = text.next("a JSON array or object")
    if start == "[":
        for element in text.elements():
            yield None, element
    elif start == "{":
        keys = []
        for key in text.keys():
            keys.append(key)
            if key == ANNOTATIONS and text.peek() == "[":
                text.next()
                for element in text.elements():
                    yield COCO, element
            elif text.peek() == "[":
                text.next()
                for _ in text.elements():
                    pass
            else:
                text.value()
        if ANNOTATIONS not in keys:
            names = ", ".join(advice.shown(key) for key in keys[:advice.MOST])
            raise BadData(f"{text.source}: an object with the keys {names}: neither an array of objects nor COCO "
                          f"captions. Write its pairs as JSON Lines, one object in a line, e.g. with jq -c.")
    else:
        raise text.error("an array or an object is expected")
    if text.peek():
        raise text.error("something follows the end of the document")


class _Text:
    """The text of a document, of which no more is held than what is looked at."""

    def __init__(self, source, chunks):
        self.source, self._chunks, self._decode = source, iter(chunks), codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at, self._before, self._ended = "", 0, 0, False

    @property
    def n_read(self):
        """How many characters were read and looked at."""
        return self._before + self._at

    def error(self, what):
        return BadData(f"{self.source}: not JSON at character {self.n_read + 1:,}: {what}.")

    def _more(self):
        """Read on, at least as much as is held. False at the end."""
        if self._ended:
            return False
        parts, wanted = [self._text[self._at:]], max(1, len(self._text) - self._at)
        while wanted > 0 and not self._ended:
            chunk = next(self._chunks, b"")
            self._ended = not chunk
            try:
                parts.append(self._decode.decode(chunk, final=self._ended))
            except UnicodeDecodeError as error:
                raise BadData(f"{self.source}: not UTF-8 ({error.reason}).") from None
            wanted -= len(parts[-1])
        self._before += self._at
        self._text, self._at = "".join(parts), 0
        return len(self._text) > 0

    def peek(self):
        """The next character that is no white space; "" at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def next(self, expected=None):
        found = self.peek()
        if not found:
            raise self.error(f"it ends where {expected or 'more'} is expected; it is cut off")
        self._at += 1
        return found

    def value(self):
        """The next value, whole."""
        if not self.peek():
            self.next("a value")
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
                if end < len(self._text) or self._text[end - 1] in '"}]' \
                        or not self._more_behind():                         # a number may go on
                    self._at = end
                    return value
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > LONGEST:
                    raise self.error(f"a value that does not end within {LONGEST >> 20} million characters") from None
                if not self._more_behind():
                    self._at = error.pos
                    raise self.error(error.msg[:1].lower() + error.msg[1:]) from None
            except RecursionError:
                raise self.error("nested too deeply") from None
            except ValueError as error:
                raise self.error(str(error)) from None

    def _more_behind(self):
        """Read on behind what is held. False where there is no more."""
        before = len(self._text) - self._at
        self._more()
        return len(self._text) > before

    def elements(self):
        """Yield the elements of an array of which the bracket was read, and read the closing one."""
        if self.peek() == "]":
            self.next()
            return
        while True:
            yield self.value()
            divider = self.next('"," or "]"')
            if divider == "]":
                return
            if divider != ",":
                self._at -= 1
                raise self.error('"," or "]" is expected')

    def keys(self):
        """Yield the keys of an object of which the brace was read; the value of each must be read before the next."""
        if self.peek() == "}":
            self.next()
            return
        while True:
            key = self.value()
            if type(key) is not str or self.next('":"') != ":":
                raise self.error('a key and ":" are expected')
            yield key
            divider = self.next('"," or "}"')
            if divider == "}":
                return
            if divider != ",":
                self._at -= 1
                raise self.error('"," or "}" is expected')
