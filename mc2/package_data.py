"""The data of the package (mc2/data): presets, models, mappings of languages, published scores. Each file is compared with
the SHA-256 that it was packaged with, in mc2/data/checksums (in the form of sha256sum), since a wrong number would not be
noticed.

After a change of mc2/data, `python -m mc2.package_data` writes the checksums anew.
"""
import functools
import hashlib
import os
from importlib import resources

from mc2.errors import BadData

CHECKSUMS = "checksums"


def text(*names):
    """The text of a file, from its path below mc2/data, e.g. text("presets", "tiny.toml"). Raises BadData where it is not
    as it was packaged."""
    name = "/".join(names)
    data = _folder().joinpath(*names).read_bytes()
    if hashlib.sha256(data).hexdigest() != _checksums().get(name):
        raise BadData(f"{_folder().joinpath(*names)}: is damaged, or was changed after it was packaged. Install mc2 again. After a "
                      f"change on purpose, in a checkout, run 'python -m mc2.package_data'.")
    return data.decode("utf-8")


def names(folder, suffix):
    """[name without its suffix] of the files in a folder of mc2/data, sorted."""
    return sorted(entry.name[:-len(suffix)] for entry in _folder().joinpath(folder).iterdir()
                  if entry.name.endswith(suffix))


def checksums_of(folder):
    """Lines for the files below a folder, but for the checksums themselves. bytes"""
    lines = []
    for directory, _, files in os.walk(folder):
        for path in (os.path.join(directory, file) for file in files if file != CHECKSUMS):
            with open(path, "rb") as stream:
                name = os.path.relpath(path, folder).replace(os.sep, "/")
                lines.append((name, f"{hashlib.sha256(stream.read()).hexdigest()}  {name}\n"))
    return "".join(line for _, line in sorted(lines)).encode()


def _folder():
    return resources.files("mc2") / "data"


@functools.cache
def _checksums():
    """{path below mc2/data: SHA-256}"""
    lines = _folder().joinpath(CHECKSUMS).read_bytes().decode("utf-8", "replace").split("\n")
    return {name: checksum for checksum, _, name in (line.partition("  ") for line in lines)}


def main():
    with open(os.path.join(_folder(), CHECKSUMS), "wb") as stream:
        stream.write(checksums_of(_folder()))


if __name__ == "__main__":
    main()
