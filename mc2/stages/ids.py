"""A list of image ids, to which a run can be restricted: those whose images were downloaded, for example."""
from typing import NamedTuple

import numpy as np

from mc2 import engines, files, manifests
from mc2.errors import BadData
from mc2.execution.stage import Stage
from mc2.pairs.batch import Labels, offsets_of
from mc2.pairs.shards import LONGEST_LINE

LONGEST = 256                   # bytes of an id in the array of ids
REASONS = ["", "not listed"]    # the first one: the pair stays
NUL, RETURN = b"\0\r"


class IdList(Stage):
    """Keep the pairs whose id is listed in a text file, one per line (also .gz, .zst).

    Memory: the length of the longest id of at most USUAL bytes, per id; 24 bytes for those of mc2. Longer ids take
    their length and some 100 bytes each. A list is opened when it is first used, and goes to worker processes as its
    path.
    """

    name = "ids"

    def __init__(self, path):
        self.path = path
        self.options = {**manifests.describe_file(path), "name": files.printable(files.base_name(path))}
        self._ids = None

    def __call__(self, batch):
        batch.drop(Labels((~self.listed(batch.strings("id"))).astype(np.int64), REASONS))

    def listed(self, ids):
        """bool (len(ids),): which of these are in the list. ids: Strings"""
        if self._ids is None:
            self._ids = _read(self.path)
        found = _in_order(self._ids.ordered, ids)
        if self._ids.others:
            for index in np.flatnonzero(~_fit(ids.data, ids.offsets[:-1], ids.offsets[1:])).tolist():
                found[index] = ids.one(index) in self._ids.others
        return found

    def __getstate__(self):
        return {**self.__dict__, "_ids": None}


class _Ids(NamedTuple):
    ordered: np.ndarray         # bytes (n,), each id once
    others: set                 # of bytes: the ids that do not fit into such an array


def _fit(data, starts, stops):
    """bool (n,): which strings data[start:stop] fit into an array of bytes: those that are not very long, and do not
    end in NUL, which it leaves out."""
    last = np.append(data, np.uint8(1))[np.maximum(stops, starts + 1) - 1]
    return (stops - starts <= LONGEST) & ((last != NUL) | (stops == starts))


def _in_order(ordered, ids):
    """bool (n,): which ids are in an ordered array. ordered: bytes (m,). ids: Strings of n"""
    longest = ordered.dtype.itemsize
    if native := engines.native():
        return native.in_ordered_rows(ordered.view(np.uint8).reshape(-1, longest), ids.data, ids.offsets)
    if not len(ordered) or not len(ids):
        return np.zeros(len(ids), bool)
    wanted = [ids.one(index) for index in range(len(ids))]
    wanted = np.array([id if len(id) <= longest and not id.endswith(b"\0") else b"" for id in wanted], f"S{longest}")
    found = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return ordered[found] == wanted


def _read(path):
    """The _Ids of a file."""
    if path != "-" and not files.is_remote(path):
        manifests.verify(path)
    parts, others = [np.empty(0, "S1")], set()
    for number, block in files.read_blocks(path, longest=LONGEST_LINE):
        if files.TOO_LONG in block:
            line = number + block[:block.index(files.TOO_LONG)].count(b"\n")
            raise BadData(f"{files.name_of(path)}:{line}: longer than {LONGEST_LINE:,} bytes, so it is no id. Give one id "
                          f"per line.")
        if block.startswith(b"{") or b"\n{" in block:
            raise BadData(f"{files.name_of(path)}:{number}: holds JSON, not ids. Give one id per line, e.g. from "
                          f"jq -r .id.")
        data = np.frombuffer(block, np.uint8)
        starts, stops = _lines_of(block, data)
        fit = _fit(data, starts, stops)
        others.update(block[start:stop] for start, stop in zip(starts[~fit].tolist(), stops[~fit].tolist()))
        parts.append(_array_of(data, starts[fit], stops[fit]))
    ordered = np.concatenate(parts)
    ordered.sort(kind="stable")                     # which is fast where the list is in order, or parts of it are
    return _Ids(ordered[np.append(ordered[:1] == ordered[:1], ordered[1:] != ordered[:-1])], others)


def _lines_of(block, data):
    """(starts, stops), int64: where the lines of a block lie that are not empty, without the carriage returns at their
    ends.

    data: the same bytes as an array
    """
    ends = np.append(np.flatnonzero(data == ord("\n")), len(data))
    starts = np.append(0, ends[:-1] + 1)
    starts, stops = starts[starts < ends], ends[starts < ends]
    for index in np.flatnonzero(data[stops - 1] == RETURN).tolist():
        stops[index] = starts[index] + len(block[starts[index]:stops[index]].rstrip(b"\r"))
    return starts[starts < stops], stops[starts < stops]


def _array_of(data, starts, stops):
    """The strings data[start:stop] as an array of bytes. data: uint8"""
    lengths = stops - starts
    width = max(1, int(lengths.max(initial=0)))
    rows, offsets = np.zeros((len(starts), width), np.uint8), offsets_of(lengths)
    rows[np.arange(width) < lengths[:, None]] = data[np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])]
    return rows.reshape(-1).view(f"S{width}")
