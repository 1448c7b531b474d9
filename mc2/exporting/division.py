"""Which rows go into which file of a data set: files of about one size, in the order of the rows."""
import numpy as np

from mc2.exporting.parts import OFFSET, SIZE
from mc2.pairs import parquet

MEMBERS = 4096          # bytes that a sample of a tar takes beside its image and texts: headers, padding


def weights_of(path, once, packed):
    """(bytes of each row: float64 (n,), whether it begins another image: bool (n,)) of a part.

    once: whether the image of several rows is written once. packed: whether files are compressed
    """
    with parquet.open_read(path) as file:
        rows, sizes = file.metadata.num_rows, []
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            columns = [group.column(column) for column in range(group.num_columns)]
            size = sum(column.total_compressed_size if packed else column.total_uncompressed_size for column in columns)
            sizes.append(np.full(group.num_rows, size / max(1, group.num_rows)))
        weights, begins = np.concatenate([np.zeros(0), *sizes]), np.ones(rows, bool)
        if OFFSET in file.schema_arrow.names and rows:
            table = file.read([OFFSET, SIZE], use_threads=False)
            image, offsets = table.column(SIZE).to_numpy(), table.column(OFFSET).to_numpy()
            begins[1:] = offsets[1:] != offsets[:-1]
            weights += np.where(begins, image + MEMBERS, 0) if once else image
    return weights, begins


def divide(parts, limit):
    """[[(number of a part, first row, row after the last)]] of each file. parts: (weights, begins) of each, as
    `weights_of` gives them, in order. limit: bytes of a file; the rows of an image are never in two."""
    found, current, size = [], [], 0.0
    for number, (weights, begins) in enumerate(parts):
        starts = np.flatnonzero(begins)
        if not len(starts):
            continue
        ends = np.append(starts[1:], len(weights))
        total = np.concatenate([[0.0], np.cumsum(np.add.reduceat(weights, starts))])     # of the samples before each
        sample = 0
        while sample < len(starts):
            stop = int(np.searchsorted(total, total[sample] + limit - size, side="right")) - 1
            if stop <= sample and current:              # not even one more: the next file
                found.append(current)
                current, size = [], 0.0
                continue
            stop = max(stop, sample + 1)
            current.append((number, int(starts[sample]), int(ends[stop - 1])))
            size += total[stop] - total[sample]
            sample = stop
    return [*found, current] if current else found
