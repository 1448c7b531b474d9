"""Parquet files of pairs: reading in blocks of rows, writing in row groups. The rows are those of arrow.py.

What is known about a file as a whole (key-value metadata) is not passed on.

What is written here has a checksum in every page. They do not cover the end of the file, where its columns and the
numbers of its rows are, so a digest of these goes there too. Both are verified; files of others may have neither.
"""
import contextlib
import hashlib
import io
import os
import shutil
import tempfile

from mc2 import files
from mc2.errors import BadData, BadLine, BadUsage
from mc2.pairs.arrow import KEY_TYPES, NOT_READ, ONE_TYPE, Block, Rows, depth, from_ipc, is_string, to_ipc
from mc2.pairs.arrow_columns import RowsAsPairs, kind_of
from mc2.pairs.batch import end_before_last_image
from mc2.pairs.columns import Reading

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS_PER_BLOCK = 8192           # at most; fewer where rows are long
GROUP_ROWS = 65_536             # of a row group that is written
GROUP_BYTES = 64 << 20          # of Arrow data, from which a row group is written with fewer rows
MOST_LEVELS = 63                # of lists and structs that pyarrow sends to another process
REMOTE_READ = 8 << 20           # bytes of a column that one request asks for
FEW_VALUES = ("lang", "lid", "source")      # columns worth a dictionary; those of id, url and text overflow
# Columns that hold text, whether or not the writer of the file said so of their bytes.
TEXTS = {key for key, type in KEY_TYPES.items() if is_string(type)} | {"url", "source"}

DIGEST = b"mc2.digest"          # key of the digest of columns and row groups, in the key-value metadata

EMPTY = pa.schema([("id", pa.string()), ("text", pa.string())])


# ---------------------------------------------------------------- reading

@contextlib.contextmanager
def open_read(path):
    """Open an input as a pyarrow ParquetFile. Raises BadData where it is damaged, also later while it is read."""
    name = files.name_of(path)
    if path == "-" or not files.is_remote(path) and files.is_special(path):
        raise BadUsage(f"{name}: Parquet cannot be read from a pipe. Name a file.")
    try:
        with files.open_raw(path, at_random=True) as stream:
            # no pre_buffer: it reads a row group ahead, whatever its size, in threads that may outlive an error
            file = pq.ParquetFile(stream, pre_buffer=False, page_checksum_verification=True,
                                  buffer_size=REMOTE_READ if files.is_remote(path) else files.BLOCK)
            _verify_end(file.metadata)
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if getattr(error, "errno", None) is not None or isinstance(error, MemoryError):
            raise
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise BadData(f"{name}: not Parquet, or damaged or cut off ({reason}). Make or fetch the file again.") from None


def _verify_end(metadata):
    """Raise ArrowInvalid where the end of a file is damaged. metadata: pq.FileMetaData"""
    rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if sum(rows) != metadata.num_rows:
        raise pa.ArrowInvalid(f"{metadata.num_rows:,} rows, but {sum(rows):,} in its row groups")
    digest = (metadata.metadata or {}).get(DIGEST)
    if digest is not None and digest != _digest(metadata.schema, rows):
        raise pa.ArrowInvalid("columns or numbers of rows that are not those that were written")


def _digest(schema, rows):
    """A digest (bytes, hexadecimal) of the columns of a Parquet file and the numbers of rows of its row groups.

    schema: pq.ParquetSchema. What is taken of it is in the file itself, the same for every version of Arrow."""
    columns = [[column.path, column.physical_type, column.converted_type, column.max_definition_level,
                column.max_repetition_level] for column in map(schema.column, range(len(schema)))]
    shapes = [[field.name, _shape(field.type)] for field in schema.to_arrow_schema()]
    return hashlib.sha256(orjson.dumps([columns, shapes, rows])).hexdigest().encode()


def _shape(type):
    """How a type is made of lists, maps and structs, as lists of texts; [] for one that is not."""
    if pa.types.is_map(type):
        return ["map", _shape(type.key_type), _shape(type.item_type)]
    if pa.types.is_struct(type):
        return ["struct", *([field.name, _shape(field.type)] for field in type)]
    if pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type):
        return ["list", _shape(type.value_type)]
    return []


def read_blocks(path, columns=None, whole_images=None, longest=None, reading=Reading(), found=None):
    """Yield the Blocks of a file, in order.

    columns: those that are read, by mc2's names, as far as they are there; None = all. whole_images: function from a
    Block to the Batch of its pairs, where the adjacent ones of one id are never to be split; None = they may be.
    longest: bytes of a string, above which its row is no pair; None = no limit. reading: which columns are id and text.
    found: called with the Columns, where there are any.
    """
    source, number = files.name_of(path), 1
    tables = _read_tables(path, columns, reading, found)
    for table in _whole_images(tables, whole_images, longest) if whole_images else tables:
        yield Block(source, number, Rows(table), longest)
        number += len(table)


def _read_tables(path, columns, reading, found):
    """Tables of at most ROWS_PER_BLOCK rows and about files.BLOCK bytes."""
    with open_read(path) as file:
        names = file.schema_arrow.names
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise BadData(f"{files.name_of(path)}: two columns are called {twice!r}. Rename one.")
        if deep := next((field.name for field in file.schema_arrow if depth(field.type) > MOST_LEVELS), None):
            raise BadData(f"{files.name_of(path)}: the column {deep!r} is nested more than {MOST_LEVELS} levels deep, "
                          f"which is not read. Leave it out.")
        kinds = {field.name: kind_of(field.type) for field in file.schema_arrow}
        if its_columns := reading.columns_of(path, kinds):
            columns = columns and its_columns.needed(columns)
            if found:
                found(its_columns)
        rows = RowsAsPairs(its_columns)
        metadata = None
        if columns is not None and (columns := [name for name in names if name in columns] or None):
            metadata = {NOT_READ: orjson.dumps({field.name: str(field.type) for field in file.schema_arrow
                                                if field.name not in columns})}
        if not file.metadata.num_rows:
            yield rows(file.schema_arrow.empty_table(), _plain)        # the columns go on
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            if group.num_rows:
                n_rows = max(1, min(ROWS_PER_BLOCK, files.BLOCK * group.num_rows // max(1, group.total_byte_size)))
                left = group.num_rows
                for batch in file.iter_batches(n_rows, row_groups=[number], columns=columns, use_threads=False):
                    left -= len(batch)
                    yield rows(pa.Table.from_batches([batch]), _plain).replace_schema_metadata(metadata)
                if left:
                    raise pa.ArrowInvalid(f"row group {number + 1} holds another number of rows than it says")


def _plain(table):
    """The table with the plain type of each column: so that the columns of all inputs have one type. The bytes of a
    column that holds text are taken as a string, UTF-8 or not."""
    for index, field in enumerate(table.schema):
        column, type = table.column(index), _plain_type(field.type)
        if type != field.type:
            column = _converted(column, type)
        if field.name in TEXTS and _is_binary(type):
            column = column.cast(pa.large_binary() if pa.types.is_large_binary(type) else pa.binary())
            column = pc.cast(column, options=pc.CastOptions(
                pa.large_string() if pa.types.is_large_binary(type) else pa.string(), allow_invalid_utf8=True))
        if column.type != field.type:
            table = table.set_column(index, field.name, column)
    return table.replace_schema_metadata()


def _is_binary(type):
    return pa.types.is_binary(type) or pa.types.is_large_binary(type) or pa.types.is_fixed_size_binary(type)


def _plain_type(type):
    """The type of the same values without dictionaries and views."""
    if pa.types.is_dictionary(type) or _is_kind(type, "run_end_encoded"):
        return _plain_type(type.value_type)
    for kind, plain in (("string_view", pa.string()), ("binary_view", pa.binary())):
        if _is_kind(type, kind):
            return plain
    if pa.types.is_struct(type):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in type])
    if pa.types.is_map(type):
        return pa.map_(type.key_field.with_type(_plain_type(type.key_type)),
                       type.item_field.with_type(_plain_type(type.item_type)), type.keys_sorted)
    if pa.types.is_fixed_size_list(type):
        return pa.list_(type.value_field.with_type(_plain_type(type.value_type)), type.list_size)
    if pa.types.is_large_list(type) or _is_kind(type, "large_list_view"):
        return pa.large_list(type.value_field.with_type(_plain_type(type.value_type)))
    if pa.types.is_list(type) or _is_kind(type, "list_view"):
        return pa.list_(type.value_field.with_type(_plain_type(type.value_type)))
    return type


def _is_kind(type, kind):
    """Whether a type is of a kind that older versions of Arrow do not know."""
    return getattr(pa.types, f"is_{kind}", lambda _: False)(type)


def _converted(column, type):
    try:
        converted = column.cast(type)
        converted.validate()                    # Arrow 26 makes invalid lists of list views
        return converted
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return pa.chunked_array([pa.array(column.to_pylist(), type)])


def _whole_images(tables, pairs_in, longest=None):
    """Move the rows of the last image of each table to the next one, so that an image is never split.

    pairs_in: function from a Block to the Batch of its rows that are pairs; the others part no image. longest: as in
    read_blocks
    """
    held, held_id = [], None                # what there is of the last image
    for table in tables:
        def last(n_rows):
            return pairs_in(Block("", 1, Rows(table.slice(len(table) - n_rows)), longest))

        cut, last_id = end_before_last_image(len(table), last)
        goes_on = not cut and (held_id is None or last_id in (None, held_id))
        if not goes_on:
            if whole := [part for part in [*held, table.slice(0, cut)] if len(part)]:
                yield pa.concat_tables(whole).combine_chunks()
            held, table = [], table.slice(cut)
        held.append(table)
        held_id = held_id if last_id is None and goes_on else last_id
    if held:
        yield pa.concat_tables(held).combine_chunks()


# ---------------------------------------------------------------- writing

@contextlib.contextmanager
def open_write(path, is_own=False):
    """Yield a Writer. The file appears, whole, when the block ends without an exception. is_own: see
    files.open_write"""
    with files.open_write(path, parquet=True, is_own=is_own) as stream:
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
        self.groups = []                # numbers of rows of the row groups so far
        self.pending, self.rows, self.bytes = [], 0, 0

    def write(self, rows):
        """rows: Rows, as mc2.pairs.arrow.encode gives them."""
        table = rows.table
        schema = _widened(self.schema, table.schema)
        if self.parquet and schema != self.schema:
            self._start_again(schema)
        self.schema = schema
        if len(table):
            self._append(table)
        while self.rows >= GROUP_ROWS:
            self._write_group(GROUP_ROWS)
        if self.bytes >= GROUP_BYTES:
            self.bytes = sum(map(_bytes_of, self.pending))
            if self.bytes >= GROUP_BYTES:
                self._write_group(self.rows)

    def close(self):
        if self.rows:
            self._write_group(self.rows)
        if self.parquet is None:
            self.parquet = self._parquet_writer(self.schema if len(self.schema) else EMPTY)
        with io.BytesIO() as nothing:
            pq.ParquetWriter(nothing, self.parquet.schema).close()
            schema = pq.read_metadata(nothing).schema
        self.parquet.add_key_value_metadata({DIGEST: _digest(schema, self.groups)})
        self.parquet.close()

    def abandon(self):
        """Let go of the stream, on which writing may fail again."""
        if self.parquet:
            with contextlib.suppress(Exception):
                self.parquet.close()

    def _append(self, table):
        self.pending.append(table)
        self.rows += len(table)
        self.bytes += table.nbytes      # at least as many as _bytes_of gives, in less time

    def _write_group(self, rows):
        table = pa.concat_tables([_conform(table, self.schema) for table in self.pending])
        if self.parquet is None:
            self.parquet = self._parquet_writer(self.schema)
        # of one chunk each, so that the bytes do not depend on the blocks that the rows came in
        self.parquet.write_table(table.slice(0, rows).combine_chunks(), row_group_size=rows)
        self.groups.append(rows)
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
                          f"Leave these keys out, or write .jsonl.zst, where the output can be that.") from None

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


def _bytes_of(table):
    """Bytes of Arrow data, whatever memory the table shares: those of an IPC stream, as another process has it."""
    return from_ipc(to_ipc(table)).nbytes


class Misfit(Exception):
    """A value of the column `name` is none of the type that the column has elsewhere: an integer that no double equals."""

    def __init__(self, name, error):
        super().__init__(name, error)
        self.name, self.error = name, error


def conform(table, schema):
    """The table with the columns of the schema; nulls where it has none. Raises Misfit"""
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(len(table), field.type))
            continue
        try:
            columns.append(_cast(table.column(field.name), field.type))
        except MemoryError:                         # which is an ArrowException too
            raise
        except pa.ArrowException as error:
            raise Misfit(field.name, error) from None
    return pa.table(columns, schema)


def _conform(table, schema):
    """The same with tables of a Writer, which know where their columns come from. Raises BadLine"""
    try:
        return conform(table, schema)
    except Misfit as misfit:
        source, line = _origin(table.schema, table.schema.field(misfit.name))
        raise BadLine(source, line, f'"{misfit.name}" does not fit its column ({misfit.error}).', ONE_TYPE) from None


def _cast(column, type):
    if column.type == type:
        return column
    # Arrow 26 makes invalid arrays of lists of nothing but nulls, and Arrow 16 adds no keys to structs
    if any(kind in str(column.type) for kind in ("null", "struct", "map")):
        return pa.chunked_array([pa.array(column.to_pylist(), type)])
    return column.cast(type)


def _origin(schema, field):
    """(input, line number) of the first value of a column, as _described noted them."""
    return (schema.metadata or {}).get(b"source", b"").decode(), int((field.metadata or {}).get(b"line", 0))


def _widened(schema, more):
    """The schema with the columns of another, each of a type that takes both. Raises BadLine where none does."""
    fields = {field.name: field for field in schema}
    for field in more:
        origin = _origin(more, field)
        field = pa.field(field.name, _canonical(field.type))
        before = fields.get(field.name, field)
        if before.type != field.type:
            try:
                field = pa.unify_schemas([pa.schema([before]), pa.schema([field])],
                                         promote_options="permissive").field(0)
            except MemoryError:
                raise
            except pa.ArrowException:
                raise BadLine(*origin, f'"{field.name}" is {field.type}, but {before.type} before.',
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
