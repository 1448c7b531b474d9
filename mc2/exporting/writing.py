"""One file of a data set: rows of parts, with their images where these go along.

    parquet       data/train-00000-of-00002.parquet    a row per pair; `image` {bytes, path} as `datasets` has it
    hf            train/data-00000-of-00002.arrow      the same rows as `save_to_disk` writes them, mapped into memory
    webdataset    data/train-00000-of-00002.tar        a sample per image: 00000_000000.jpg, .json, .txt
"""
import contextlib
import io
import os
import re
import tarfile

import orjson

from mc2 import __version__, files, manifests, temporaries
from mc2.errors import BadData
from mc2.exporting.columns import IMAGE, shard_of
from mc2.exporting.parts import EXTENSION, OFFSET, PRIVATE, SIZE
from mc2.pairs import arrow, parquet

import pyarrow as pa
import pyarrow.parquet as pq

NAMES = {"parquet": "data/{split}-{number:05d}-of-{total:05d}.parquet",
         "webdataset": "data/{split}-{number:05d}-of-{total:05d}.tar",
         "hf": "{split}/data-{number:05d}-of-{total:05d}.arrow"}
IS_NAME = re.compile(r"[\w.]+-\d{5,}-of-\d{5,}\.(?:parquet|tar|arrow)")
USUAL = {"jpeg": "jpg", "tiff": "tif"}          # one extension for a kind of image
MORE = "more_pairs"                             # in the json of a sample: the pairs of its image after the first
ROWS, BYTES = 65_536, 64 << 20                  # of a table that is held at a time; of a row group of Parquet
ARROW_ROWS = 1000                               # of a record batch: what is read for one row


def name_of(format, split, number, total):
    """The path of a file within the data set."""
    return NAMES[format].format(split=split, number=number, total=total)


class WriteFiles:
    """The task that writes the files of a data set (see mc2.execution.rounds). An item is the number of a file.

    names: of the files, below `directory`. parts: paths in Parquet. tars: that of each part, or None. pieces: for each
    file as division.divide gives them. schema: of all files, as pyarrow has it
    """

    name = "write"

    def __init__(self, format, directory, names, parts, tars, pieces, schema):
        self.format, self.directory, self.names, self.parts, self.tars = format, directory, names, parts, tars
        self.pieces, self.schema = pieces, schema.serialize().to_pybytes()

    def output(self, number):
        return os.path.join(self.directory, self.names[number])

    def name_of(self, number):
        return self.names[number]

    def log_path(self, number):
        return None

    def discard(self, number):
        temporaries.discard_abandoned(self.output(number))

    def description(self, number):
        """All that a file depends on."""
        its_parts = sorted({part for part, _, _ in self.pieces[number]})
        inputs = [manifests.describe_file(self.parts[part]) for part in its_parts]
        inputs += [manifests.describe_file(self.tars[part]) for part in its_parts] if self.tars else []
        return {"mc2": __version__, "inputs": inputs, "pieces": [list(piece) for piece in self.pieces[number]],
                "schema": manifests.fingerprint(self.schema.hex()), "name": self.names[number]}

    def manifest(self, number):
        """That of a file that is written as described, else None."""
        return manifests.is_of(self.output(number), self.description(number))

    def is_done(self, number):
        return self.manifest(number) is not None

    def __call__(self, number):
        path, description = self.output(number), self.description(number)
        schema = pa.ipc.read_schema(pa.py_buffer(self.schema))
        with files.open_write(path, self.format == "parquet", is_own=True) as stream:
            writer = WRITERS[self.format](stream, schema, number)
            try:
                self._write(writer, number)
            except BaseException:
                with contextlib.suppress(Exception):        # it would close itself when the stream is gone
                    writer.out.close()
                raise
        if self.description(number) != description:
            raise BadData(f"{self.names[number]}: its tars or pairs changed while it was written. Run again when they "
                          "are complete.")
        manifests.write_for_file(path, {"mc2": __version__, "kind": "part of a data set", "description": description,
                                        "rows": writer.rows, "images": writer.images,
                                        "extensions": sorted(writer.extensions), "sha256": manifests.sha256(path)})
        return writer.rows

    def _write(self, writer, number):
        for part, first, last in self.pieces[number]:
            with Images(self.tars[part]) if self.tars else contextlib.nullcontext() as images:
                for table in rows_of(self.parts[part], first, last):
                    try:
                        writer.write(table, images)
                    except parquet.Misfit as misfit:
                        raise BadData(f'{shard_of(self.parts[part])}: the key "{misfit.name}" does not fit its column '
                                      f"({misfit.error}). Write it in the same way everywhere, or leave it out.") from None
        writer.close()


def rows_of(path, first, last):
    """Yield tables of at most ROWS rows: rows first .. last-1 of a part, without more columns than it has."""
    begin = 0
    with parquet.open_read(path) as file:
        for number in range(file.num_row_groups):
            end = begin + file.metadata.row_group(number).num_rows
            low, high = max(first, begin), min(last, end)
            if low < high:
                table = file.read_row_group(number, use_threads=False).slice(low - begin, high - low)
                for start in range(0, len(table), ROWS):
                    yield table.slice(start, ROWS)
            begin = end


class Images:
    """The images of one tar, by their place."""

    def __init__(self, path):
        self.path, self.stream, self._last = path, open(path, "rb"), (None, None)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stream.close()

    def read(self, offset, size):
        if self._last[0] != (offset, size):         # several pairs of one image are adjacent
            self.stream.seek(offset)
            body = self.stream.read(size)
            if len(body) < size:
                raise BadData(f"{files.name_of(self.path)}: became shorter while it was read. Run again when it is "
                              "complete.")
            self._last = (offset, size), body
        return self._last[1]


class _Writer:
    """Takes tables of rows, with the images of their tar or None. rows, images: how many were written."""

    def __init__(self, stream, schema, number):
        self.stream, self.schema, self.number = stream, schema, number
        self.rows = self.images = 0
        self.extensions = set()                     # of the images, in tars
        self.before = None                          # place of the last image

    def _count(self, image):
        """Whether this image is another than the one before."""
        is_new = image != self.before
        self.images += is_new
        self.before = image
        return is_new


class _Tables(_Writer):
    """Rows with their images as a column, held until there are enough of them."""

    def __init__(self, stream, schema, number):
        super().__init__(stream, schema, number)
        self.pending, self.bytes, self.pending_rows = [], 0, 0
        self.out = self.open()

    def write(self, table, images):
        if images is None:
            self._hold(parquet.conform(table, self.schema))
            return
        for start, stop in _by_size(table.column(SIZE).to_pylist()):
            self._hold(self._with_images(table.slice(start, stop - start), images))

    def _with_images(self, table, images):
        found = []
        for key, extension, offset, size in zip(*(table.column(name).to_pylist() for name in PRIVATE)):
            self._count((images.path, offset))
            found.append({"bytes": images.read(offset, size), "path": f"{key.rpartition('/')[2]}.{extension}"})
        return parquet.conform(table.append_column("image", pa.array(found, IMAGE)), self.schema)

    def _hold(self, table):
        self.pending.append(table)
        self.pending_rows += len(table)
        self.bytes += table.nbytes
        self.rows += len(table)
        if self.pending_rows >= ROWS or self.bytes >= BYTES:
            self.flush()

    def flush(self):
        if self.pending:
            self.write_table(pa.concat_tables(self.pending).combine_chunks())
        self.pending, self.bytes, self.pending_rows = [], 0, 0

    def close(self):
        self.flush()
        self.out.close()


def _by_size(sizes):
    """Yield (start, stop) of runs of rows whose images take about BYTES."""
    start, held = 0, 0
    for number, size in enumerate(sizes):
        held += size
        if held >= BYTES:
            yield start, number + 1
            start, held = number + 1, 0
    if start < len(sizes):
        yield start, len(sizes)


class ParquetFile(_Tables):
    def open(self):
        few = [name for name in self.schema.names if name in parquet.FEW_VALUES]
        try:
            return pq.ParquetWriter(self.stream, self.schema, compression="zstd", use_dictionary=few,
                                    write_page_checksum=True, write_page_index=True)
        except pa.ArrowNotImplementedError as error:
            raise BadData(f"Parquet has no form for these columns: {error}") from None

    def write_table(self, table):
        self.out.write_table(table, row_group_size=len(table))


class ArrowFile(_Tables):
    def open(self):
        return pa.ipc.new_stream(self.stream, self.schema)

    def write_table(self, table):
        self.out.write_table(table, max_chunksize=ARROW_ROWS)


class TarFile(_Writer):
    """A sample per image: the image, its first text, and its pair as JSON, with the other pairs under MORE."""

    def __init__(self, stream, schema, number):
        super().__init__(stream, schema, number)
        self.out = tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT)
        self.sample = None                          # (number, extension, image, text, pairs) under way

    def write(self, table, images):
        places = zip(*(table.column(name).to_pylist() for name in (EXTENSION, OFFSET, SIZE)))
        batch = arrow.Block(images.path, 1, arrow.Rows(table.drop_columns(list(PRIVATE)))).batch()
        texts = table.column("text").to_pylist()
        for row, (extension, offset, size) in enumerate(places):
            if self._count((images.path, offset)):
                self._flush()
                extension = USUAL.get(extension, extension)
                self.extensions.add(extension)
                self.sample = self.images - 1, extension, images.read(offset, size), texts[row], []
            self.sample[-1].append(batch.line(row))
            self.rows += 1

    def _flush(self):
        if self.sample is None:
            return
        number, extension, image, text, (record, *more) = self.sample
        if more:
            record = record[:-1] + b"," + orjson.dumps({MORE: list(map(orjson.Fragment, more))})[1:]
        key = f"{self.number:05d}_{number:06d}"
        for suffix, body in sorted([(extension, image), ("json", record), ("txt", text.encode())]):
            member = tarfile.TarInfo(f"{key}.{suffix}")
            member.size = len(body)
            self.out.addfile(member, io.BytesIO(body))
        self.sample = None

    def close(self):
        self._flush()
        self.out.close()


WRITERS = {"parquet": ParquetFile, "hf": ArrowFile, "webdataset": TarFile}
