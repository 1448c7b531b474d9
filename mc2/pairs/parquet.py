"""Pairs in Parquet: columns are named like the keys of a pair (see mc2.pairs.batch), and a null is a key that is not there.

Blocks and products are Arrow IPC streams: batches of rows that go between processes without being taken apart.
A stage sees the same `Batch` as for JSON Lines. From Parquet to Parquet a column that no stage asks for stays as it
is; what is known about the file as a whole (key-value metadata) is not passed on.

    in JSON Lines                   in Parquet
    string, true/false              string, bool
    integer, other number           int64, double (both in one key: double, where that is exact)
    array, object                   list, struct (one type per element or key)
    null, or no such key            null
    lid, lang; lid_prob             string; double
    matched_entry_ids               list<uint32>

From Parquet to JSON Lines also: times and decimals become strings as Arrow writes them, bytes become base64, numbers
that are not finite become null, and rows of a map become arrays of [key, value].
"""
import base64
import contextlib
import os
import shutil
import tempfile
from itertools import chain
from typing import NamedTuple

import numpy as np
import orjson

from mc2 import files
from mc2.errors import BadData, BadLine, BadUsage
from mc2.pairs import batch as records

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ImportError as error:
    raise BadUsage(f"Parquet needs pyarrow ({error}). Install it: pip install 'mc2[parquet]'") from None

ROWS_PER_BLOCK = 8192           # at most; fewer where rows are long
GROUP_ROWS = 65_536             # of a row group that is written
GROUP_BYTES = 64 << 20          # of Arrow data, from which a row group is written with fewer rows
REMOTE_READ = 8 << 20           # bytes of a column that one request asks for
FEW_VALUES = ("lang", "lid", "source")      # columns worth a dictionary; those of id, url and text overflow

KEY_TYPES = {"id": pa.string(), "text": pa.string(), "lid": pa.string(), "lid_prob": pa.float64(),
             "lang": pa.string(), "matched_entry_ids": pa.list_(pa.uint32())}
EMPTY = pa.schema([("id", pa.string()), ("text", pa.string())])
ONE_TYPE = " A Parquet column has one type: write .jsonl.zst instead, or make the key the same everywhere."
CONVERSION = (pa.ArrowException, OverflowError, TypeError, ValueError)


def encode(table):
    """An Arrow table as an IPC stream. bytes"""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return sink.getvalue().to_pybytes()


def decode(data):
    return pa.ipc.open_stream(data).read_all()


# ---------------------------------------------------------------- reading

class Block(NamedTuple):
    """Rows of one input: what one worker takes at a time."""

    source: str         # the input's name, for messages
    number: int         # number of its first row, from 1
    data: bytes         # Arrow IPC

    def batch(self, requires=(), skip_bad=False, as_table=False):
        return Batch(self, requires, skip_bad, as_table)


@contextlib.contextmanager
def open_read(path):
    """Open an input as a pyarrow ParquetFile. Raises BadData where it is damaged, also later while it is read."""
    name = files.name_of(path)
    if not files.is_remote(path) and files.is_special(path):
        raise BadUsage(f"{name}: Parquet cannot be read from a pipe. Name a file.")
    try:
        with files.open_raw(path, at_random=True) as stream:
            # no pre_buffer: it reads a row group ahead, whatever its size, in threads that may outlive an error
            yield pq.ParquetFile(stream, pre_buffer=False, page_checksum_verification=True,
                                 buffer_size=REMOTE_READ if files.is_remote(path) else files.BLOCK)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if getattr(error, "errno", None) is not None or isinstance(error, MemoryError):
            raise
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise BadData(f"{name}: not Parquet, or damaged or cut off ({reason}). Make or fetch the file again.") from None


def read_blocks(path, columns=None, whole_images=False):
    """Yield the Blocks of a file, in order.

    columns: those that are read, as far as they are there; None = all. whole_images: never split the adjacent
    rows of one id.
    """
    source, number = files.name_of(path), 1
    tables = _read_tables(path, columns)
    for table in _whole_images(tables) if whole_images else tables:
        yield Block(source, number, encode(table))
        number += len(table)


def _read_tables(path, columns):
    """Tables of at most ROWS_PER_BLOCK rows and about files.BLOCK bytes."""
    with open_read(path) as file:
        names = file.schema_arrow.names
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise BadData(f"{files.name_of(path)}: two columns are called {twice!r}. Rename one.")
        if columns is not None:
            columns = [name for name in names if name in columns] or None
        if not file.metadata.num_rows:
            yield _without_dictionaries(file.schema_arrow.empty_table())        # the columns go on
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            if group.num_rows:
                rows = max(1, min(ROWS_PER_BLOCK, files.BLOCK * group.num_rows // max(1, group.total_byte_size)))
                for batch in file.iter_batches(rows, row_groups=[number], columns=columns, use_threads=False):
                    yield _without_dictionaries(pa.Table.from_batches([batch]))


def _without_dictionaries(table):
    """Categories as their values: so that the columns of all inputs have one type."""
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(field.type.value_type))
    return table.replace_schema_metadata()


def _whole_images(tables):
    """Move the rows of the last image of each table to the next one, so that an image is never split."""
    held, held_id = [], None                # what there is of the last image
    for table in tables:
        cut, last_id = _last_image(table)
        goes_on = not cut and (held_id is None or last_id in (None, held_id))
        if not goes_on:
            if whole := [part for part in [*held, table.slice(0, cut)] if len(part)]:
                yield pa.concat_tables(whole).combine_chunks()
            held, table = [], table.slice(cut)
        held.append(table)
        held_id = last_id or (held_id if goes_on else None)
    if held:
        yield pa.concat_tables(held).combine_chunks()


def _last_image(table):
    """(first of the trailing rows that share an id, this id); rows without an id go with the next. (0, None) where
    no row has one."""
    last_id = None
    if "id" not in table.column_names:
        return 0, None
    ids = table.column("id")
    for index in range(len(ids) - 1, -1, -1):
        pair_id = ids[index].as_buffer() if _is_string(ids.type) else None      # bytes: perhaps not UTF-8
        pair_id = None if pair_id is None else pair_id.to_pybytes()
        if pair_id is not None and last_id is not None and pair_id != last_id:
            return index + 1, last_id
        last_id = last_id if pair_id is None else pair_id
    return 0, last_id


def _is_string(type):
    return type in (pa.string(), pa.large_string(), getattr(pa, "string_view", pa.string)())


# ---------------------------------------------------------------- a batch of rows

class Batch(records.Batch):
    """The pairs of a block of rows: what mc2.pairs.batch.Batch is for lines.

    table:   pyarrow Table, one row per pair
    numbers: list of int, their row numbers
    """

    def _parse(self, block, requires):
        self.table = decode(block.data)
        self.numbers = list(range(block.number, block.number + len(self.table)))
        self.tally["in"] += len(self.table)
        self._forget()
        bad = {}
        for key in requires:
            for index, why in self._without(key):
                bad.setdefault(index, why)
        self.reject(bad)

    def _forget(self):
        """Drop the Python values of the rows."""
        self._columns, self._records, self._lines = {}, None, None

    def _without(self, key):
        """[(index, (reason, hint))] of the rows that do not have a mandatory key of the right type."""
        kind, kind_name, hint = records.KEYS[key]
        if key not in self.table.column_names:
            return [(index, (f'no "{key}" key.', hint)) for index in range(len(self))]
        column = self.table.column(key)
        bad = [(index, (f'no "{key}" key.', hint)) for index in np.flatnonzero(column.is_null()).tolist()]
        if not (_is_string(column.type) if kind is str else _is_list(column.type)):
            present = np.flatnonzero(column.is_valid()).tolist()
            bad += [(index, (f'"{key}" is not {kind_name}.', "")) for index in present]
        elif kind is str:
            bad += [(index, (f'"{key}" is not UTF-8.', "")) for index in _undecodable(column)]
        return bad

    @property
    def records(self):
        """list of dict: all columns of the rows, without nulls"""
        if self._records is None:
            self._records = [orjson.loads(line) for line in self.lines]
        return self._records

    @property
    def lines(self):
        """list of bytes: the rows as JSON, without the added keys"""
        if self._lines is None:
            self._lines = _json_lines(self.table, lossy=True)
        return self._lines

    def line(self, index):
        return self.lines[index]

    def column(self, key, default=None):
        if key in self.added:
            return self.added[key]
        if key not in self._columns:
            self._columns[key] = self.table.column(key).to_pylist() if key in self.table.column_names \
                else [None] * len(self)
        values = self._columns[key]
        return values if default is None else [default if value is None else value for value in values]

    def select(self, keep):
        keep = np.fromiter(keep, bool, len(self))
        self.table = self.table.filter(pa.array(keep))
        flags = keep.tolist()
        self.numbers = [number for number, kept in zip(self.numbers, flags) if kept]
        self.added = {key: [value for value, kept in zip(values, flags) if kept]
                      for key, values in self.added.items()}
        self._forget()

    def matched_ids(self):
        if "matched_entry_ids" not in self.added and len(self):
            lists = self.table.column("matched_entry_ids").combine_chunks()
            ids = lists.flatten()
            if pa.types.is_integer(ids.type) and not ids.null_count:
                ids = ids.to_numpy(zero_copy_only=False)
                offsets = np.zeros(len(lists) + 1, np.int64)
                np.cumsum(pc.list_value_length(lists).to_numpy(zero_copy_only=False), out=offsets[1:])
                if not ids.size or ids.min() >= 0 and ids.max() < 1 << 32 \
                        and records.ascending(offsets, ids.astype(np.int64)):
                    return offsets, ids.astype(np.uint32)
        return super().matched_ids()

    def _kept_columns(self):
        """The table without the columns that the added keys replace."""
        return self.table.drop_columns([key for key in self.added if key in self.table.column_names])

    def to_bytes(self):
        self._refuse_undecodable()
        if not self.added:
            lines = _json_lines(self.table)
        else:
            table = self._kept_columns()
            added = [orjson.dumps(dict(zip(self.added, values))) for values in zip(*self.added.values())]
            lines = [line[:-1] + b"," + more[1:] for line, more in zip(_json_lines(table), added)]
        return b"".join([line + b"\n" for line in lines])

    def _refuse_undecodable(self):
        """Reject the rows with strings that JSON cannot hold."""
        bad = {}
        for name, column in zip(self.table.column_names, self.table.columns):
            if name not in self.added:
                for index in _undecodable(column):
                    bad.setdefault(index, (f'"{name}" is not UTF-8.', ""))
        self.reject(bad)

    def to_table(self):
        table = self._kept_columns()
        for key, values in self.added.items():
            table = table.append_column(key, _array(self.source, self.numbers, key, values))
        return _described(self.source, table, [self.numbers[0]] * table.num_columns if len(self) else None)


def _is_list(type):
    return pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type)


def _undecodable(column):
    """Indices of the rows that hold a string which is not UTF-8."""
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


# ---------------------------------------------------------------- lines as rows

def table_of(batch):
    """The pairs of a batch of JSON Lines with their added keys, as an Arrow IPC stream for the Writer."""
    names = [name for name in dict.fromkeys(chain.from_iterable(batch.records)) if name not in batch.added]
    arrays, fields, lines = [], [], []
    for name in [*names, *batch.added] if len(batch) else ():
        values = batch.column(name)
        array = _array(batch.source, batch.numbers, name, values)
        if array.null_count < len(array):
            arrays.append(array)
            fields.append(name)
            lines.append(next(number for number, value in zip(batch.numbers, values) if value is not None))
    return _described(batch.source, pa.table(arrays, names=fields), lines)


def _array(source, numbers, key, values):
    """An Arrow array. Raises BadLine at the first value that is of another type than those before it."""
    try:
        return pa.array(values, KEY_TYPES.get(key))
    except CONVERSION:
        good, bad = 0, len(values)          # so many from the start have one type, and so many do not
        while bad - good > 1:
            middle = (good + bad) // 2
            try:
                pa.array(values[:middle], KEY_TYPES.get(key))
                good = middle
            except CONVERSION as error:
                bad, why = middle, error
        try:
            pa.array(values[:bad], KEY_TYPES.get(key))
        except CONVERSION as error:
            why = error
        raise BadLine(source, numbers[good], f'"{key}" does not fit its column ({why}).', ONE_TYPE) from None


def _described(source, table, lines):
    """The table as an IPC stream that says where its columns come from, for messages.

    lines: per column, the first line that has a value.
    """
    fields = [field.with_metadata({"line": str(line)}) for field, line in zip(table.schema, lines)] if lines \
        else [field.remove_metadata() for field in table.schema]
    return encode(pa.table(table.columns, pa.schema(fields, {"source": source})))


# ---------------------------------------------------------------- writing

@contextlib.contextmanager
def open_write(path):
    """Yield a Writer. The file appears, whole, when the block ends without an exception."""
    with files.open_write(path, parquet=True) as stream:
        writer = Writer(path, stream)
        try:
            yield writer
            writer.close()
        except BaseException:
            writer.abandon()
            raise


class Writer:
    """Write tables as Parquet: row groups of GROUP_ROWS rows, whatever tables they come in.

    The columns are those of the tables so far. Where a new one comes after row groups were written, or a wider
    type (double after int64), these are written again.
    """

    def __init__(self, path, stream):
        self.path, self.stream = path, stream
        self.schema = pa.schema([])
        self.parquet = None             # pq.ParquetWriter, once there is a row group
        self.pending, self.rows, self.bytes = [], 0, 0

    def write(self, data):
        """data: an Arrow IPC stream, as Batch.to_table gives it."""
        table = decode(data)
        schema = _widened(self.schema, table.schema)
        if self.parquet and schema != self.schema:
            self._start_again(schema)
        self.schema = schema
        if len(table):
            self._append(table)
        while self.rows >= GROUP_ROWS:
            self._write_group(GROUP_ROWS)
        if self.bytes >= GROUP_BYTES:
            self._write_group(self.rows)

    def close(self):
        if self.rows:
            self._write_group(self.rows)
        if self.parquet is None:
            self.parquet = self._parquet_writer(self.schema if len(self.schema) else EMPTY)
        self.parquet.close()

    def abandon(self):
        """Let go of the stream, on which writing may fail again."""
        if self.parquet:
            with contextlib.suppress(Exception):
                self.parquet.close()

    def _append(self, table):
        self.pending.append(table)
        self.rows += len(table)
        self.bytes += table.nbytes

    def _write_group(self, rows):
        table = pa.concat_tables([_conform(table, self.schema) for table in self.pending])
        if self.parquet is None:
            self.parquet = self._parquet_writer(self.schema)
        # of one chunk each, so that the bytes do not depend on the blocks that the rows came in
        self.parquet.write_table(table.slice(0, rows).combine_chunks(), row_group_size=rows)
        self.pending, self.rows, self.bytes = [], 0, 0
        if rows < len(table):
            self._append(table.slice(rows))

    def _parquet_writer(self, schema):
        few = [name for name in schema.names if name in FEW_VALUES]
        try:
            return pq.ParquetWriter(self.stream, schema, compression="zstd", use_dictionary=few,
                                    write_page_checksum=True)
        except pa.ArrowNotImplementedError as error:            # an object without keys, among others
            raise BadData(f"{self.path}: Parquet has no form for these columns: {error} "
                          f"Write .jsonl.zst instead.") from None

    def _start_again(self, schema):
        """Write the row groups so far with another schema."""
        if not self.stream.seekable():
            raise BadData(f"{self.path}: a pipe cannot take the new columns that came after the first "
                          f"{GROUP_ROWS:,} pairs. Write a file.")
        self.parquet.close()
        self.stream.flush()
        directory = None if files.is_remote(self.path) else os.path.dirname(os.path.realpath(self.path))
        with tempfile.TemporaryFile(dir=directory) as before, \
                open(self.stream.fileno(), "rb", closefd=False) as written:
            written.seek(0)
            shutil.copyfileobj(written, before, files.BLOCK)
            self.stream.seek(0)
            self.stream.truncate()
            self.parquet = self._parquet_writer(schema)
            groups = pq.ParquetFile(before)
            for number in range(groups.num_row_groups):
                table = groups.read_row_group(number).replace_schema_metadata({"source": self.path})
                self.parquet.write_table(_conform(table, schema), row_group_size=len(table))


def _conform(table, schema):
    """The table with the columns of the schema; nulls where it has none."""
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(len(table), field.type))
            continue
        column = table.column(field.name)
        try:
            columns.append(_cast(column, field.type))
        except pa.ArrowException as error:          # an integer that no double equals
            source, line = _place(table.schema, table.schema.field(field.name))
            raise BadLine(source, line, f'"{field.name}" does not fit its column ({error}).', ONE_TYPE) from None
    return pa.table(columns, schema)


def _cast(column, type):
    if column.type == type:
        return column
    # Arrow 26 makes invalid arrays of lists of nothing but nulls, and Arrow 16 adds no keys to structs
    if any(kind in str(column.type) for kind in ("null", "struct")):
        return pa.chunked_array([pa.array(column.to_pylist(), type)])
    return column.cast(type)


def _place(schema, field):
    """(input, line number) of the first value of a column, as _described noted them."""
    return (schema.metadata or {}).get(b"source", b"").decode(), int((field.metadata or {}).get(b"line", 0))


def _widened(schema, more):
    """The schema with the columns of another, each of a type that takes both. Raises BadLine where none does."""
    fields = {field.name: field for field in schema}
    for field in more:
        place = _place(more, field)
        field = pa.field(field.name, _canonical(field.type))
        before = fields.get(field.name, field)
        if before.type != field.type:
            try:
                field = pa.unify_schemas([pa.schema([before]), pa.schema([field])],
                                         promote_options="permissive").field(0)
            except pa.ArrowException:
                raise BadLine(*place, f'"{field.name}" is {field.type}, but {before.type} before.',
                              ONE_TYPE) from None
        fields[field.name] = field
    return pa.schema(list(fields.values()))


def _canonical(type):
    """The type with the elements of lists called as the format wants it, wherever it comes from."""
    if pa.types.is_list(type):
        return pa.list_(pa.field("element", _canonical(type.value_type)))
    if pa.types.is_struct(type):
        return pa.struct([pa.field(field.name, _canonical(field.type)) for field in type])
    return type
