"""A list of image ids, to which a run can be restricted: those whose images were downloaded, for example."""
import numpy as np

from mc2 import files, manifests
from mc2.errors import BadData
from mc2.execution.stage import Stage


class IdList(Stage):
    """Keep the pairs whose id is listed in a text file, one per line (also .gz, .zst).

    Memory: the length of the longest id, per id; 24 bytes for those of mc2. A list is opened when it is first used,
    and goes to worker processes as its path.
    """

    name = "ids"

    def __init__(self, path):
        self.path = path
        self.options = {**manifests.describe_file(path), "name": files.printable(files.base_name(path))}
        self._ids = None

    def __call__(self, batch):
        listed = self.listed(batch.column("id"))
        batch.drop(dict.fromkeys(np.flatnonzero(~listed).tolist(), "not listed"))

    def listed(self, ids):
        """bool (len(ids),): which of these are in the list."""
        if self._ids is None:
            self._ids = _read(self.path)
        longest = self._ids.dtype.itemsize
        wanted = [id.encode() for id in ids]            # one that is longer than all in the list, or ends in NUL, is not in it
        wanted = np.array([id if len(id) <= longest and not id.endswith(b"\0") else b"" for id in wanted], f"S{longest}")
        if not len(self._ids) or not len(wanted):
            return np.zeros(len(ids), bool)
        found = np.minimum(np.searchsorted(self._ids, wanted), len(self._ids) - 1)
        return self._ids[found] == wanted

    def __getstate__(self):
        return {**self.__dict__, "_ids": None}


def _read(path):
    """The ids of a file, sorted: bytes (n,)."""
    if path != "-" and not files.is_remote(path):
        manifests.verify(path)
    parts = []
    for number, block in files.read_blocks(path):
        lines = [line.rstrip(b"\r") for line in block.split(b"\n")]
        if any(line.startswith(b"{") for line in lines):
            raise BadData(f"{files.name_of(path)}:{number}: holds JSON, not ids. Give one id per line, e.g. from "
                          f"jq -r .id.")
        parts.append(np.array([line for line in lines if line], dtype=np.bytes_))
    parts = [part for part in parts if len(part)]
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, "S1")
