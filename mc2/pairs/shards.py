"""Read and write files of pairs by their suffix: the only module that knows all formats."""
import contextlib
import zlib
from itertools import chain

from mc2 import files, manifests
from mc2.pairs import delimited, formats, json_arrays, jsonl
from mc2.pairs.columns import LOOKED_AT, NoColumns, Reading

AS_THEY_ARE = Reading()
BLOCK = 2 << 20         # bytes of lines: the unit of work. With 1 MB matching is a tenth slower: fewer pairs per language
LONGEST_LINE = 16 << 20     # bytes of a line, by default: to identify its language takes fifteen times as much memory


def encoder_of(path):
    """The function from a Batch to the bytes that `open_write(path)` takes."""
    if files.is_parquet(path):
        from mc2.pairs import arrow
        return arrow.encode
    return delimited.ENCODERS.get(formats.by_name(path), jsonl.encode)


@contextlib.contextmanager
def open_write(path, is_own=False):
    """Open an output for pairs, as files.open_write does; it takes what the encoder of this path gives."""
    if files.is_parquet(path):
        from mc2.pairs import parquet
        with parquet.open_write(path, is_own) as writer:
            yield writer
        return
    with files.open_write(path, is_own=is_own) as stream:
        if (format := formats.by_name(path)) in delimited.ENCODERS:
            writer = delimited.Writer(path, format, stream)
            yield writer
            writer.close()
        else:
            yield stream


def read_blocks(paths, whole_images=None, columns=None, longest=LONGEST_LINE, reading=AS_THEY_ARE, found=None):
    """Yield the Blocks of all inputs, in order.

    whole_images: function from a Block to the Batch of its pairs, where the adjacent ones of one id are never to be
    split; None = they may be. columns: those of Parquet that are read, by mc2's names; None = all. longest: bytes of a
    line, or of a text in Parquet, above which it is no pair; None = no limit. reading: mc2.pairs.columns.Reading.
    found: called with (path, Columns) for inputs whose columns are not called as mc2's are.
    """
    for path in paths:
        def tell(its_columns, path=path):
            if found:
                found(path, its_columns)

        if formats.by_name(path, reading.format) == "parquet":
            from mc2.pairs import parquet
            yield from parquet.read_blocks(path, columns, whole_images, longest, reading, tell)
        else:
            yield from _text_blocks(path, whole_images, longest, reading, tell)


def is_plain(path):
    """Whether a file of pairs has no checksums inside, so that only its manifest tells damage from other pairs."""
    return path != "-" and not files.is_remote(path) and not files.has_suffix(path, *files.COMPRESSED, ".parquet")


def _text_blocks(path, whole_images, longest, reading, tell):
    """The Blocks of an input that is text."""
    format = formats.by_name(path, reading.format)
    with files.open_chunks(path, BLOCK) as chunks:
        if format in (None, "json"):
            beginning = _beginning(chunks)
            chunks, format = chain([beginning], chunks), formats.by_beginning(beginning, path, reading)
        if format == "json":
            yield from json_arrays.read_blocks(path, chunks, reading, BLOCK, whole_images, tell)
            return
        blocks = _checked(path, files.blocks_of(chunks, BLOCK, longest))
        if format in delimited.DELIMITERS:
            yield from delimited.read_blocks(path, blocks, format, reading, BLOCK, whole_images, tell, longest)
        else:
            yield from _line_blocks(path, blocks, whole_images, reading, tell)


def _beginning(chunks):
    """The first bytes of a stream, as many as are looked at to see what it is."""
    parts, length = [], 0
    while length < formats.PEEK and (chunk := next(chunks, b"")):
        parts.append(chunk)
        length += len(chunk)
    return b"".join(parts)


def _checked(path, blocks):
    """The same blocks (number of the first line, bytes). What is without compression has no checksum but that in the
    manifest beside it; where there is one, BadData comes after the last block of a damaged file."""
    expected, crc32 = manifests.crc32_of(path) if is_plain(path) else None, 0
    for number, block in blocks:
        if expected is not None:
            crc32 = zlib.crc32(block, crc32)
        yield number, block
    if expected is not None and crc32 != expected:
        raise manifests.changed(path)


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
        yield from jsonl.whole_images((jsonl.Block(source, *block) for block in whole), whole_images)
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
    if reading.given or reading.format or reading.header:
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
        formats.refuse_unreadable(path, reading.format, reading.header)
    for path in outputs:
        formats.refuse_unwritable(path)
    for url in filter(files.is_remote, outputs):
        from mc2 import remote
        remote.refuse_unwritable(url)


def columns_of(path, reading=AS_THEY_ARE):
    """The Columns of an input, of which the first block is read; None where it is to be taken as it is."""
    told = []
    is_text_table = formats.by_name(path, reading.format) in delimited.DELIMITERS
    longest = LONGEST_LINE if is_text_table else None       # so that a quote that is not closed takes not all in memory
    next(iter(read_blocks([path], None, ("id", "text"), longest, reading, lambda _, its: told.append(its))), None)
    return told[0] if told else None
