"""Read and write pairs by the suffix of a file: the only module that knows all formats."""
import contextlib

from mc2 import files
from mc2.pairs.batch import Block


@contextlib.contextmanager
def open_write(path):
    """Open an output for pairs, as files.open_write does; what is written to .parquet are tables."""
    if files.is_parquet(path):
        from mc2.pairs import parquet
        with parquet.open_write(path) as writer:
            yield writer
    else:
        with files.open_write(path) as stream:
            yield stream


def read_blocks(paths, whole_images=False, columns=None):
    """Yield the Blocks of all inputs, in order. whole_images: never split the adjacent lines of one id.
    columns: those of Parquet that are read; None = all."""
    for path in paths:
        if files.is_parquet(path):
            from mc2.pairs import parquet
            yield from parquet.read_blocks(path, columns, whole_images)
            continue
        blocks = (Block(files.name_of(path), number, data) for number, data in files.read_blocks(path))
        yield from _whole_images(blocks) if whole_images else blocks


def _whole_images(blocks):
    """Move the lines of the last image of each block to the next block, so that an image is never split."""
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
    import orjson
    try:
        return orjson.loads(line)["id"]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return None
