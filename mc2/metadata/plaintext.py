"""Read plain texts (UTF-8) in blocks of whole lines, and large ones in ranges of their bytes.

A line belongs to the range in which it begins. A line has to fit into memory.
"""
from mc2 import files
from mc2.errors import BadData
from mc2.metadata import first_bytes, streams

BOM = b"\xef\xbb\xbf"                   # removed where a file begins with it


def refuse_wrong(path):
    """Raise BadData for a file that is, by its first bytes, a dump or an archive. Pipes are passed."""
    first_bytes.refuse_other_file(path, first_bytes.TEXT, "leave out --text for a dump.")


def ranges(path):
    """Ranges (start, stop) of a text for read_texts; one, if it is compressed."""
    return [streams.WHOLE] if files.name_of(path).endswith(".bz2") else streams.ranges(path)


def read_texts(path, start=0, stop=None, tally=None):
    """Yield the lines that begin in a range, many at a time. tally: a Counter to add `lines` to."""
    with files.open_read(path) as stream:
        if start:
            stream.seek(start - 1)
            stream.readline()
            start = stream.tell()
        while block := stream.read(files.BLOCK if stop is None else max(0, min(files.BLOCK, stop - start))):
            if not block.endswith(b"\n"):
                block += stream.readline()
            if tally is not None:
                tally["lines"] += block.count(b"\n") + (not block.endswith(b"\n"))
            yield _decoded(block.removeprefix(b"" if start else BOM), path, start)
            start += len(block)


def _decoded(block, path, offset):
    try:
        return block.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadData(f"{files.name_of(path)}: byte {offset + error.start} of the text is not UTF-8. Convert it, "
                      f"e.g. with iconv.") from None
