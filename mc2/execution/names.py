"""What the outputs of shards are called.

An output has the base name of its shard, with another suffix where pairs are not written in its format (captions.json
becomes captions.jsonl). Where two shards share one (part=0/0.parquet, part=3/0.parquet), all are
called by their paths below the folder that they have in common. This looks at the shards of all parts (`--shard`), so
that every part gives the same names, on whatever machine.

A shard must keep its name when other shards join or leave, else its pairs would lie in two outputs. So an output
directory of `-O` says in a file which folder its names begin below; later runs take names from there, also where they
have no two shards of one name, and what would get another name than it has is refused. `curate` knows its whole pool,
and removes outputs that are no longer of it; it needs no such file.
"""
import collections
import json
import os
import uuid

from mc2 import files, parsing, temporaries
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


def _as_before(directory, folder, shards):
    """The Names below the folder that earlier runs noted, or below another one where the pool was moved."""
    names = Names(folder)
    outside = next((shard for shard in shards if names(shard) is None), None)
    if outside is None:
        return names
    moved = Names(files.common_folder(shards))
    if moved.folder is None or files.is_directory(folder) or not any(files.map_paths(
            lambda shard: files.exists(files.manifest_name(os.path.join(directory, moved(shard)))), shards)):
        raise BadUsage(f"{directory}: its shards are named by their paths below {folder}, and "
                       f"{files.name_of(outside)} is not below it. Name another output.")
    return moved


def recorded(directory):
    """The folder below which the names in an output directory begin, or None where they are base names."""
    path = os.path.join(directory, RECORD)
    try:
        with files.open_raw(path) as stream:
            folder = parsing.json_value(stream.read())["folder"]
        if not isinstance(folder, str):
            raise TypeError
        return folder
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError):
        raise BadData(f"{path}: is damaged, so it is not known how the shards here are named. Name another "
                      f"output.") from None


def record(directory, names):
    """Note in an output directory how its shards are named. Parts of a run may do so at the same time."""
    if names.folder is None or recorded(directory) == names.folder:
        return
    path, data = os.path.join(directory, RECORD), json.dumps({"folder": names.folder}).encode()
    if files.is_remote(path):
        files.write_bytes(path, data)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = os.path.join(os.path.dirname(path), f".names.{uuid.uuid4().hex}.tmp")
    with temporaries.discarded_on_error(temporary):
        with open(temporary, "xb") as stream:
            stream.write(data)
        os.replace(temporary, path)
