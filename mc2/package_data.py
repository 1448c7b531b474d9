"""The data of the package (mc2/data): presets, models, mappings of languages, published scores. Each file is compared with
the checksum that it was packaged with, in mc2/data/checksums.json, since a wrong number there would say nothing.

After a change of mc2/data, `python -m mc2.package_data` writes the checksums anew.
"""
import functools
import hashlib
import os
from importlib import resources

from mc2 import documents
from mc2.errors import BadData

CHECKSUMS = "checksums.json"
REMEDY = "Install mc2 again."


def text(*names):
    """The text of a file, from its path below mc2/data, e.g. text("presets", "tiny.toml"). Raises BadData where it is not
    as it was packaged."""
    name = "/".join(names)
    data = _folder().joinpath(*names).read_bytes()
    if hashlib.sha256(data).hexdigest() != _checksums().get(name):
        raise BadData(f"{_folder().joinpath(*names)}: is damaged, or was changed after it was packaged. {REMEDY} After a "
                      f"change on purpose, in a checkout, run 'python -m mc2.package_data'.")
    return data.decode("utf-8")


def names(folder, suffix):
    """[name without its suffix] of the files in a folder of mc2/data, sorted."""
    return sorted(entry.name[:-len(suffix)] for entry in _folder().joinpath(folder).iterdir()
                  if entry.name.endswith(suffix))


def checksums_of(folder):
    """{path below the folder: SHA-256} of all files in it but the checksums themselves."""
    found = {}
    for directory, _, files in os.walk(folder):
        for path in (os.path.join(directory, file) for file in files if file != CHECKSUMS):
            with open(path, "rb") as stream:
                found[os.path.relpath(path, folder).replace(os.sep, "/")] = hashlib.sha256(stream.read()).hexdigest()
    return dict(sorted(found.items()))


def _folder():
    return resources.files("mc2") / "data"


@functools.cache
def _checksums():
    path = _folder() / CHECKSUMS
    try:
        return documents.parsed(path.read_bytes(), path, REMEDY)
    except OSError:
        raise BadData(f"{path}: missing. {REMEDY}") from None


def main():
    with open(os.path.join(_folder(), CHECKSUMS), "wb") as stream:
        stream.write(documents.dumped(checksums_of(_folder())))


if __name__ == "__main__":
    main()
