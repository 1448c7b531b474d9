"""Pairs as rows of Arrow tables: columns are named like the keys of a pair, and a null is a key that is not there.

Blocks and what `encode` gives are Rows: Arrow's own tables, which go to another process as IPC streams. From rows to
rows a column that no stage asks for stays as it is.

    in JSON Lines                   in a table
    string, true/false              string, bool
    integer, other number           int64, double (both in one key: double, where that is exact)
    array, object                   list, struct (one type per element or key)
    null, or no such key            null
    lid, lang; lid_prob             string; double
    matched_entry_ids               list<uint32>

From rows to JSON Lines also: times and decimals become strings as Arrow writes them, bytes become base64, numbers
that are not finite become null, and rows of a map become arrays of [key, value].
"""
import base64
import contextlib
from itertools import chain
from typing import NamedTuple

import numpy as np
import orjson

from mc2 import engines, extras, parsing
from mc2.errors import BadData, BadLine, BadUsage
from mc2.pairs import advice
from mc2.pairs import batch as pairs
from mc2.pairs.batch import KEYS, WITHOUT, Labels, Lists, Strings, ascending, offsets_of

try:
    import pyarrow as pa
    import pyarrow.compute as pc
except ImportError as error:
    raise BadUsage(f"Parquet needs pyarrow ({error}). Install it: {extras.how_to_install('parquet')}.") from None

LIST = pa.list_(pa.uint32())
STRINGS = ("id", "text")                # columns that are strings in every batch
OFFSETS = {pa.string(): np.int32, pa.large_string(): np.int64}     # of the types whose bytes lie in one buffer
KEY_TYPES = {"id": pa.string(), "text": pa.string(), "lid": pa.string(), "lid_prob": pa.float64(),
             "lang": pa.string(), "matched_entry_ids": LIST}
# of keys that stages add, whose values may all be empty or null in one shard: a column has one type in all of them
ADDED_TYPES = {"nsfw": pa.float64(), "faces": pa.int64(), "face_bboxes": pa.list_(pa.list_(pa.float64())),
               "text_flags": pa.list_(pa.string())}
ONE_TYPE = " A Parquet column has one type: make the key the same everywhere, leave it out, or write .jsonl.zst, where " \
           "the output can be that."
NOT_READ = b"not read"      # in the metadata of a table: {name: type} of the columns of the file that it lacks, as JSON
DEEPEST = 49                # levels of lists and objects: pyarrow writes more into Parquet, but cannot read them
CONVERSION = (pa.ArrowException, OverflowError, TypeError, ValueError)


def to_ipc(table):
    """An Arrow table as an IPC stream. bytes"""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return sink.getvalue().to_pybytes()


def from_ipc(data):
    """The Arrow table of an IPC stream."""
    return pa.ipc.open_stream(data).read_all()


class Rows:
    """An Arrow table that goes to another process as an IPC stream, with no more than its own rows of what it
    shares."""

    def __init__(self, table):
        self.table = table

    def __reduce__(self):
        return _rows_of_ipc, (to_ipc(self.table),)


def _rows_of_ipc(data):
    return Rows(from_ipc(data))


# ---------------------------------------------------------------- rows as a batch

class Block(NamedTuple):
    """Rows of one input: what one worker takes at a time."""

    source: str         # the input's name, for messages
    number: int         # number of its first row, from 1
    rows: Rows
    longest: int = None # bytes of a string, above which its row is no pair; None = no limit

    def before(self, number):
        """The rows before the one of this number, as a Block."""
        return self._replace(rows=Rows(self.rows.table.slice(0, number - self.number)))

    def batch(self, requires=(), skip_bad=False, keep_dropped=False, adds=(), reads=()):
        return Batch(self, requires, skip_bad, keep_dropped, adds, reads)


def is_string(type):
    return type in (pa.string(), pa.large_string(), getattr(pa, "string_view", pa.string)())


class Batch(pairs.Batch):
    """The pairs of a Block of rows.

    table:   pyarrow Table, one row per pair
    numbers: int64, their row numbers
    """

    def _parse(self, block, requires, adds, reads):
        self.table = block.rows.table
        self.numbers = np.arange(block.number, block.number + len(self.table))
        self.tally["in"] += len(self.table)
        self._forget()
        self._drop_nulls()
        bad = {}
        if block.longest is not None and self.table.nbytes > block.longest:
            for name, column in zip(self.table.column_names, self.table.columns):
                bad.update((index, _too_long(name, block.longest)) for index in _longer(column, block.longest))
        for key in requires:
            for index, why in self._without(key):
                bad.setdefault(index, why)
        for key in reads:
            if key in self.table.column_names and is_string(self.table.schema.field(key).type):
                for index in _undecodable(self.table.column(key)):
                    bad.setdefault(index, (f'"{key}" is not UTF-8.', advice.UNDECODABLE))
        self.reject(bad)

    def _drop_nulls(self):
        """Drop the rows in which id or text is null."""
        for key in WITHOUT:
            if key in self.table.column_names and (column := self.table.column(key)).null_count:
                self.drop(dict.fromkeys(np.flatnonzero(column.is_null()).tolist(), WITHOUT[key]))

    def _forget(self):
        """Drop the Python values of the rows."""
        self._columns, self._lines = {}, None

    def _without(self, key):
        """[(index, (reason, hint))] of the rows that do not have a mandatory key of the right type."""
        kind, kind_name, hint = KEYS[key]
        always = key in advice.OTHER_NAMES          # then the columns of the file need other names or types
        if key not in self.table.column_names:
            why = f'no "{key}" key.', hint + (self._about_columns() if always else "")
            return [(index, why) for index in range(len(self))]
        column = self.table.column(key)
        why = f'no "{key}" key.', hint
        bad = [(index, why) for index in np.flatnonzero(column.is_null()).tolist()] if column.null_count else []
        if not (is_string(column.type) if kind is str else _is_list(column.type)):
            why = f'"{key}" is not {kind_name}.', self._about_columns() if always else f" It is {column.type}."
            bad += [(index, why) for index in np.flatnonzero(column.is_valid()).tolist()]
        elif kind is str:
            bad += [(index, (f'"{key}" is not UTF-8.', advice.UNDECODABLE)) for index in _undecodable(column)]
        return bad

    def _about_columns(self):
        """The end of a message about columns of the file, also those that were not read."""
        columns = {field.name: "string" if is_string(field.type) else str(field.type) for field in self.table.schema}
        columns.update(orjson.loads((self.table.schema.metadata or {}).get(NOT_READ, b"{}")))
        return advice.for_columns(self.source, columns)

    def _read(self, key, default=None):
        if key not in self._columns:
            self._columns[key] = self.table.column(key).to_pylist() if key in self.table.column_names \
                else [None] * len(self)
        values = self._columns[key]
        return values.copy() if default is None else [default if value is None else value for value in values]

    def _select(self, keep):
        self.table = self.table.filter(pa.array(keep))
        self._forget()

    @property
    def records(self):
        """list of dict: all columns of the rows, without nulls"""
        return [orjson.loads(self.line(index)) for index in range(len(self))]

    def line(self, index):
        if self._lines is None:
            self._lines = _json_lines(self.table, lossy=True)
        return self._lines[index]

    def lines_without(self, keys):
        bad = {}
        for name, column in zip(self.table.column_names, self.table.columns):
            if name not in keys:
                for index in _undecodable(column):
                    bad.setdefault(index, (f'"{name}" is not UTF-8.', advice.UNDECODABLE))
        self.reject(bad)
        return _json_lines(self._table_without(keys))

    def _table_without(self, keys):
        return self.table.drop_columns([key for key in keys if key in self.table.column_names])

    def _strings_of(self, key):
        """A column of the input as an Arrow array of string or large_string; None where it is no such column, or has
        nulls."""
        if key in self.added or key not in self.table.column_names:
            return None
        column = self.table.column(key)
        if not is_string(column.type) or column.null_count:
            return None
        try:
            return _one(column if column.type in OFFSETS else column.cast(pa.large_string()))
        except pa.ArrowNotImplementedError:             # of string_view, in early versions
            return None

    def strings(self, key):
        array = self._strings_of(key)
        return super().strings(key) if array is None else _strings(array)

    def labels(self, key, default=None):
        if (array := self._strings_of(key)) is None:
            return super().labels(key, default)
        if key not in self._labels:
            encoded = array.dictionary_encode()         # numbered in order of occurrence
            self._labels[key] = Labels(encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist())
        return self._labels[key]

    def matched_ids(self):
        if "matched_entry_ids" not in self.added and len(self):
            lists = _one(self.table.column("matched_entry_ids"))
            ids = lists.flatten()
            if pa.types.is_integer(ids.type) and not ids.null_count:
                ids = ids.to_numpy(zero_copy_only=False)
                offsets = offsets_of(pc.list_value_length(lists).to_numpy(zero_copy_only=False))
                if _are_entry_ids(offsets, ids):
                    return offsets, ids.astype(np.uint32, copy=False)
        return super().matched_ids()


def _are_entry_ids(offsets, ids):
    """Whether the numbers of each list are entry ids that ascend. offsets: int64 (n+1,). ids: int (offsets[n],)"""
    if ids.dtype == np.uint32 and (native := engines.native()):
        return native.are_entry_ids(offsets, ids)
    return not ids.size or ids.min() >= 0 and ids.max() < 1 << 32 and ascending(offsets, ids)


def _one(column):
    """A column as one array: without a copy where it is one already."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _strings(array):
    """The Strings of an Arrow array of string or large_string without nulls: the same bytes in memory."""
    if not len(array):
        return Strings(np.empty(0, np.uint8), np.zeros(1, np.int64))
    _, offsets, data = array.buffers()
    offsets = np.frombuffer(offsets, OFFSETS[array.type])[array.offset:array.offset + len(array) + 1]
    return Strings(np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8), offsets.astype(np.int64, copy=False))


def _is_list(type):
    return pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type)


def _too_long(name, longest):
    reason, hint = advice.for_too_long("row", longest)
    return f'"{name}" is {reason}', hint


def _longer(column, longest):
    """Indices of the strings, or bytes, of more than `longest` bytes in a column; none in one of another type."""
    if not (is_string(column.type) or pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return []
    return np.flatnonzero(pc.greater(pc.binary_length(column), longest).fill_null(False)).tolist()


def _undecodable(column):
    """Indices of the rows that hold a string which is not UTF-8."""
    if (native := engines.native()) and column.type in OFFSETS and not column.null_count:
        strings = map(_strings, column.chunks)
        if all(native.are_utf8(its.data, its.offsets) for its in strings):
            return []
    try:
        column.validate(full=True)
        return []
    except pa.ArrowInvalid:
        return [index for index, value in enumerate(column) if not _is_decodable(value)]


def _is_decodable(value):
    try:
        value.as_py()
        return True
    except UnicodeDecodeError:
        return False


# ---------------------------------------------------------------- rows as JSON

def _json_lines(table, lossy=False):
    """The rows as compact JSON objects without nulls, in the order of the columns. lossy: bytes that are not UTF-8
    are spelled out. list of bytes"""
    names = table.column_names
    columns = [_json_values(name, column, lossy) for name, column in zip(names, table.columns)]
    return [orjson.dumps({name: value for name, value in zip(names, row) if value is not None}, default=_base64)
            for row in zip(*columns)]


def _json_values(name, column, lossy):
    """The values of a column as Python objects that orjson takes, with _base64."""
    form = _json_type(column.type)
    try:
        if form != column.type:
            column = column.cast(form)
        if pa.types.is_floating(form):
            column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, form))
        return column.to_pylist()
    except UnicodeDecodeError:
        if not lossy:
            raise
        return [_spelled_out(value) for value in column]
    except MemoryError:                     # which is an ArrowException too
        raise
    except pa.ArrowException as error:
        raise BadData(f'the column "{name}" ({column.type}) has no form in JSON ({error}). Write .parquet.') from None


def _spelled_out(value):
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return value.as_buffer().to_pybytes().decode("utf-8", "backslashreplace") \
            if hasattr(value, "as_buffer") else str(value.type)


def _json_type(type):
    """The Arrow type of which the Python values have a form in JSON."""
    if isinstance(type, pa.BaseExtensionType):
        return _json_type(type.storage_type)
    if pa.types.is_temporal(type) or pa.types.is_decimal(type):
        return pa.string()
    if pa.types.is_float16(type):
        return pa.float32()
    if pa.types.is_struct(type):
        return pa.struct([field.with_type(_json_type(field.type)) for field in type])
    if pa.types.is_list(type):
        return pa.list_(type.value_field.with_type(_json_type(type.value_type)))
    return type


def _base64(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError


# ---------------------------------------------------------------- a batch as a table

def encode(batch):
    """The pairs of a batch with the added keys, for the Writer of parquet.py. Rows"""
    return _encode_rows(batch) if isinstance(batch, Batch) else _encode_lines(batch)


def _encode_rows(batch):
    table = batch._table_without(batch.added)
    for key, values in batch.added.items():
        table = table.append_column(key, _added(batch, key, values))
    return _described(batch.source, table, [batch.numbers[0]] * table.num_columns if len(batch) else None)


def _encode_lines(batch):
    names = [name for name in dict.fromkeys(chain.from_iterable(batch.records)) if name not in batch.added]
    arrays, fields, lines = [], [], []
    for name in [*names, *batch.added] if len(batch) else ():
        values = batch.added.get(name)
        if values is None:
            values = batch.strings(name) if name in STRINGS else batch.column(name)
        array = _added(batch, name, values) if name in batch.added else _array(batch.source, batch.numbers, name, values)
        if array.null_count < len(array):
            arrays.append(array)
            fields.append(name)
            lines.append(batch.numbers[int(np.argmax(array.is_valid()))])
    return _described(batch.source, pa.table(arrays, names=fields), lines)


def _added(batch, key, values):
    """The Arrow array of a key that a stage added."""
    if key in ADDED_TYPES:
        with contextlib.suppress(*CONVERSION):          # of another stage's key of that name
            return pa.array(values if isinstance(values, (list, np.ndarray)) else values.tolist(), ADDED_TYPES[key])
    return _array(batch.source, batch.numbers, key, values)


def _array(source, numbers, key, values):
    """An Arrow array. Raises BadLine at the first value that is of another type than those before it."""
    if isinstance(values, Labels) and (key in KEY_TYPES or set(map(type, values.names)) <= {str}):
        with contextlib.suppress(*CONVERSION):          # the first value that is wrong is looked for below
            return _array_of_names(key, values.names).take(pa.array(values.numbers))
    if isinstance(values, Lists) and KEY_TYPES.get(key, LIST) == LIST:
        return pa.ListArray.from_arrays(pa.array(values.offsets, pa.int32()), pa.array(values.values, pa.uint32()))
    if isinstance(values, Strings):
        offsets, data = (pa.py_buffer(np.ascontiguousarray(part)) for part in (values.offsets, values.data))
        return pa.LargeStringArray.from_buffers(len(values), offsets, data).cast(pa.string())
    if not isinstance(values, (list, np.ndarray)):
        values = values.tolist()
    try:
        return _refusing_deep(pa.array(values, KEY_TYPES.get(key)), source, numbers, key, values)
    except MemoryError:
        raise
    except CONVERSION:
        good, bad = 0, len(values)          # so many from the start have one type, and so many do not
        while bad - good > 1:
            middle = (good + bad) // 2
            try:
                pa.array(values[:middle], KEY_TYPES.get(key))
                good = middle
            except MemoryError:
                raise
            except CONVERSION as error:
                bad, why = middle, error
        try:
            pa.array(values[:bad], KEY_TYPES.get(key))
        except CONVERSION as error:
            why = error
        raise BadLine(source, int(numbers[good]), f'"{key}" does not fit its column ({why}).', ONE_TYPE) from None


_names = {}         # {key: (names, their array)}: names are the same in all batches of a stage


def _array_of_names(key, names):
    known = _names.get(key)
    if known is None or known[0] is not names:
        known = _names[key] = names, pa.array(names, KEY_TYPES.get(key, pa.string()))
    return known[1]


def _refusing_deep(array, source, numbers, key, values):
    """The array. Raises BadLine at the first value with more levels than a file can have."""
    if depth(array.type) > DEEPEST:
        first = next(index for index, value in enumerate(values) if parsing.nesting(value) > DEEPEST)
        raise BadLine(source, int(numbers[first]), f'"{key}" is nested more than {DEEPEST} levels deep.',
                      " Parquet takes no more: write .jsonl.zst instead, or leave the key out.")
    return array


def depth(type):
    """Levels of lists, structs and maps of an Arrow type."""
    levels, types = -1, [type]
    while types:
        levels, types = levels + 1, [type.field(index).type for type in types for index in range(type.num_fields)]
    return levels


def _described(source, table, lines):
    """The Rows of a table that says where its columns come from, for messages.

    lines: per column, the first line that has a value.
    """
    fields = [field.with_metadata({"line": str(line)}) for field, line in zip(table.schema, lines)] if lines \
        else [field.remove_metadata() for field in table.schema]
    return Rows(pa.table(table.columns, pa.schema(fields, {"source": source})))
