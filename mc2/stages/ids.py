"""A list of image ids, to which a run can be restricted: those whose images were downloaded, for example."""
import numpy as np

from mc2 import files, manifests
from mc2.errors import BadData
from mc2.execution.stage import Stage
from mc2.pairs.shards import LONGEST_LINE

USUAL = 64                      # bytes of an id: more than any hash or UUID has


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
        self._ids, self._long = None, frozenset()       # those of at most USUAL bytes, sorted: (n,); the others

    def __call__(self, batch):
        listed = self.listed(batch.column("id"))
        batch.drop(dict.fromkeys(np.flatnonzero(~listed).tolist(), "not listed"))

    def listed(self, ids):
        """bool (len(ids),): which of these are in the list."""
        if self._ids is None:
            self._ids, self._long = _read(self.path)
        longest = self._ids.dtype.itemsize
        wanted = [id.encode() for id in ids]            # one that is longer than all in the list, or ends in NUL, is not in it
        wanted = np.array([id if len(id) <= longest and not id.endswith(b"\0") else b"" for id in wanted], f"S{longest}")
        of_long = np.array([id in self._long for id in ids], bool) if self._long else np.zeros(len(ids), bool)
        if not len(self._ids) or not len(wanted):
            return of_long
        found = np.minimum(np.searchsorted(self._ids, wanted), len(self._ids) - 1)
        return (self._ids[found] == wanted) | of_long

    def __getstate__(self):
        return {**self.__dict__, "_ids": None, "_long": frozenset()}


def _read(path):
    """(the ids of a file of at most USUAL bytes, sorted: bytes (n,); the longer ones: set of str)."""
    parts, long_ids = [], set()
    for number, block in files.read_blocks(path, longest=LONGEST_LINE):
        lines = [line.rstrip(b"\r") for line in block.split(b"\n")]
        if too_long := next((n for n, line in enumerate(lines, number) if line.endswith(files.TOO_LONG)), None):
            raise BadData(f"{files.name_of(path)}:{too_long}: longer than {LONGEST_LINE:,} bytes, so it is no "
                          f"id. Give one id per line.")
        if any(line.startswith(b"{") for line in lines):
            raise BadData(f"{files.name_of(path)}:{number}: holds JSON, not ids. Give one id per line, e.g. from "
                          f"jq -r .id.")
        parts.append(np.array([line for line in lines if 0 < len(line) <= USUAL], dtype=np.bytes_))
        long_ids.update(line.decode("utf-8", "surrogateescape") for line in lines if len(line) > USUAL)
    parts = [part for part in parts if len(part)]
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, "S1"), long_ids
