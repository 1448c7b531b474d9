"""Read and write files of pairs by their suffix: the only module that knows all formats."""
import contextlib
from itertools import chain

from mc2 import files
from mc2.pairs import delimited, documents, formats, jsonl
from mc2.pairs.columns import NoColumns, Reading

AS_THEY_ARE = Reading()
BLOCK = 2 << 20         # bytes of lines: the unit of work. With 1 MB matching is a tenth slower: fewer pairs per language


LOOKED_AT = 100         # lines from which the keys of JSON Lines are taken


def encoder_of(path):
    """The function from a Batch to the bytes that `open_write(path)` takes."""
    if files.is_parquet(path):
        from mc2.pairs import arrow
        return arrow.encode
    return delimited.ENCODERS.get(formats.by_name(path), jsonl.encode)


@contextlib.contextmanager
def open_write(path):
    """Open an output for pairs, as files.open_write does; it takes what the encoder of this path gives."""
    if files.is_parquet(path):
        from mc2.pairs import parquet
        with parquet.open_write(path) as writer:
            yield writer
        return
    with files.open_write(path) as stream:
        if (format := formats.by_name(path)) in delimited.ENCODERS:
            writer = delimited.Writer(path, format, stream)
            yield writer
            writer.close()
        else:
            yield stream


def read_blocks(paths, whole_images=False, columns=None, reading=AS_THEY_ARE, found=None):
    """Yield the Blocks of all inputs, in order.

    whole_images: never split the adjacent lines of one id. columns: those of Parquet that are read, by mc2's names;
    None = all. reading: mc2.pairs.columns.Reading. found: called with (path, Columns) for inputs whose columns are not
    called as mc2's are.
    """
    for path in paths:
        def tell(its_columns, path=path):
            if found:
                found(path, its_columns)

        if formats.by_name(path, reading.format) == "parquet":
            from mc2.pairs import parquet
            yield from parquet.read_blocks(path, columns, whole_images, reading, tell)
        else:
            yield from _text_blocks(path, whole_images, reading, tell)


def _text_blocks(path, whole_images, reading, tell):
    """The Blocks of an input that is text."""
    format, at_hand = formats.by_name(path, reading.format), path != "-" and not files.is_special(path)
    if format == "json" and at_hand:
        with files.open_read(path) as stream:
            beginning = stream.read(formats.PEEK)
            if formats.by_beginning(beginning, path, reading) == "json":
                chunks = chain([beginning], iter(lambda: stream.read(files.BLOCK), b""))
                yield from documents.read_blocks(path, chunks, reading, BLOCK, whole_images, tell)
                return
        format = "jsonl"
    blocks = files.read_blocks(path, BLOCK)
    if format in (None, "json"):
        first = next(blocks, (1, b""))
        blocks, format = chain([first], blocks), formats.by_beginning(first[1], path, reading)
    if format == "json":
        yield from documents.read_blocks(path, (data for _, data in blocks), reading, BLOCK, whole_images, tell)
    elif format in delimited.DELIMITERS:
        yield from delimited.read_blocks(path, blocks, format, reading, BLOCK, whole_images, tell)
    else:
        yield from _line_blocks(path, blocks, whole_images, reading, tell)


def _line_blocks(path, blocks, whole_images, reading, tell):
    """The Blocks of JSON Lines."""
    source, first = files.name_of(path), next(blocks, None)
    if first is None:
        return
    blocks, columns = chain([first], blocks), _columns_of_lines(path, first[1], reading)
    if columns:
        tell(columns)
    if whole_images:
        whole = ((number, columns.lines(data, number) if columns else data) for number, data in blocks)
        yield from jsonl.whole_images(jsonl.Block(source, *block) for block in whole)
    else:
        yield from (jsonl.Block(source, number, data, columns) for number, data in blocks)


def _columns_of_lines(path, data, reading):
    """The Columns of JSON Lines, by the keys of the first lines; None where they are to be taken as they are."""
    keys = {}
    for record in jsonl.first_records(data, LOOKED_AT):
        keys.update(dict.fromkeys(record, ""))
        if not reading.given:
            break
    try:
        return reading.columns_of(path, keys) if keys else None
    except NoColumns:
        if reading.given:
            raise
        return None                             # the message about a line says what to do


def is_table(path, reading=AS_THEY_ARE):
    """Whether a .json or .tsv, which artefacts of mc2 are called too, is an input of pairs: as the user says, or by its
    beginning."""
    if reading.given or reading.format:
        return True
    with files.open_read(path) as stream:
        beginning = stream.read(formats.PEEK)
    return formats.begins_a_table(beginning, path, reading)


def refuse_unopenable(inputs, outputs, reading=AS_THEY_ARE):
    """Raise BadUsage at once where a library that these formats and URLs need is missing, a URL is read-only, or
    pairs are not read or written in the format of an input or output."""
    outputs = list(outputs)
    if "parquet" in [formats.by_name(path, reading.format) for path in inputs] or any(map(files.is_parquet, outputs)):
        from mc2.pairs import parquet                               # noqa: F401
    for path in inputs:
        formats.refuse_unreadable(path, reading.format)
    for path in outputs:
        formats.refuse_unwritable(path)
    for url in filter(files.is_remote, outputs):
        from mc2 import remote
        remote.refuse_unwritable(url)


def columns_of(path, reading=AS_THEY_ARE):
    """The Columns of an input, of which the first block is read; None where it is to be taken as it is."""
    told = []
    next(iter(read_blocks([path], False, ("id", "text"), reading, lambda _, columns: told.append(columns))), None)
    return told[0] if told else None
