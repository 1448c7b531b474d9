"""What the outputs of shards are called.

An output has the base name of its shard, with another suffix where pairs are not written in its format (captions.json
becomes captions.jsonl). Where two shards share one (part=0/0.parquet, part=3/0.parquet), all are
called by their paths below the folder that they have in common. This looks at the shards of all parts (`--shard`), so
that every part gives the same names, on whatever machine.

A shard must keep its name when other shards join or leave, else its pairs would lie in two outputs. So an output
directory of `-O` or of `curate` says in a file which folder its names begin below; later runs take names from there,
also where they have no two shards of one name. What would get another name than it has is refused by `-O`. `curate`,
which knows its whole pool and removes the outputs that are no longer of it, gives all shards new names.
"""
import collections
import os
import uuid

from mc2 import documents, files, own, temporaries
from mc2.errors import BadData, BadUsage
from mc2.pairs import formats

RECORD = os.path.join(".work", "names.json")    # in an output directory: {"folder": ...}
RESERVED = (".work", "quarantine")              # folders in an output directory that are not for pairs


class Names:
    """The name of each shard's outputs: the path below a folder, or the base name where there is no folder."""

    def __init__(self, folder=None):
        self.folder = folder

    def __call__(self, shard):
        name = self.of_input(shard)
        return None if name is None else formats.written_name(name)

    def of_input(self, shard):
        """What the shard itself is called, from the same folder; None outside of it."""
        return files.base_name(shard) if self.folder is None else files.name_below(shard, self.folder)


def of(shards):
    """The Names of all shards of a run. Raises BadUsage where some have none of their own."""
    twice = _first_twice(map(Names(), shards))
    return Names() if twice is None else _below_common_folder(shards, twice)


def _below_common_folder(shards, twice):
    names = Names(files.common_folder(shards))
    if names.folder is None or _first_twice(map(names, shards)) is not None:
        raise BadUsage(f"two inputs are called {files.printable(twice)}, and no folders tell them apart. Rename one, "
                       f"or leave it out.")
    return names


def _first_twice(names):
    return next((name for name, times in collections.Counter(names).items() if times > 1), None)


# ---------------------------------------------------------------- in an output directory

def in_directory(directory, shards):
    """The Names of all shards of a run that writes to an output directory, as earlier runs gave them. Raises BadUsage
    where the shards there are named in another way."""
    folder = recorded(directory)
    names = of(shards) if folder is None else _as_before(directory, folder, shards)
    if names.folder is not None:
        if folder is None and any(name.endswith(".manifest.json") for name in files.names_in(directory)):
            raise BadUsage(f"{directory}: holds shards that are named without their folders, and two of these inputs "
                           f"have one name. Name another output.")
        for shard in shards:
            if (first := names(shard).split("/")[0]) in RESERVED:
                raise BadUsage(f"{shard}: {first} is the name of a folder that mc2 makes in {directory}. Rename it.")
    return names


def in_curation(directory, shards, is_known):
    """The Names of all shards of a pool that is curated in a directory: as earlier runs gave them, as far as that goes.

    is_known: function from a name to whether a shard of this name was curated there
    """
    folder = recorded(directory)
    return folder is not None and _below(folder, shards, is_known) or of(shards)


def _below(folder, shards, is_known):
    """The Names below the folder that earlier runs noted, or below another one where the pool was moved; None where it
    is neither."""
    names = Names(folder)
    if all(names(shard) is not None for shard in shards):
        return names
    moved = Names(files.common_folder(shards))
    is_moved = moved.folder is not None and not files.is_directory(folder) \
        and any(files.map_paths(lambda shard: is_known(moved(shard)), shards))
    return moved if is_moved else None


def _as_before(directory, folder, shards):
    names = _below(folder, shards, lambda name: files.exists(files.manifest_name(os.path.join(directory, name))))
    if names is None:
        outside = next(shard for shard in shards if Names(folder)(shard) is None)
        raise BadUsage(f"{directory}: its shards are named by their paths below {folder}, and "
                       f"{files.name_of(outside)} is not below it. Name another output.")
    return names


def recorded(directory):
    """The folder below which the names in an output directory begin, or None where they are base names."""
    path = os.path.join(directory, RECORD)
    remedy = "So it is not known how the shards here are named. Name another output."
    try:
        folder = documents.parsed(files.read_bytes(path), path, remedy).get("folder")
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not isinstance(folder, str):
        raise BadData(f"{path}: is damaged (it names no folder). {remedy}")
    return folder


def record(directory, names):
    """Note in an output directory how its shards are named. Parts of a run may do so at the same time."""
    if recorded(directory) == names.folder:
        return
    if names.folder is None:
        files.remove(os.path.join(directory, RECORD))
        return
    path, data = os.path.join(directory, RECORD), documents.dumped({"folder": names.folder})
    if files.is_remote(path):
        files.write_bytes(path, data)
        return
    own.make_directory(os.path.dirname(path))
    temporary = os.path.join(os.path.dirname(path), f".names.{uuid.uuid4().hex}.tmp")
    with temporaries.discarded_on_error(temporary):
        with open(temporary, "xb") as stream:
            stream.write(data)
        os.replace(temporary, path)
