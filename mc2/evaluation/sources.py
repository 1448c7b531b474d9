"""Where the images of a benchmark are.

Each source has `names` (list of str, for messages), `len`, `read(i)` (bytes, or a PIL image) and `fingerprint()`, which
another content would change. It goes to the workers of a DataLoader, so it is picklable and opens its files in `read`.
"""
import hashlib
import os
import tarfile

from mc2 import files
from mc2.errors import BadData
from mc2.training.tars import IMAGES

EXTENSIONS = tuple(f".{extension}" for extension in IMAGES)


class Files:
    """Image files. names: their paths under `folder`, or whole paths."""

    def __init__(self, folder, names):
        """BadData where one is missing."""
        self.folder, self.names = folder, list(names)
        missing = [name for name in self.names if not os.path.isfile(os.path.join(folder, name))]
        if missing:
            raise BadData(f"{os.path.join(folder, missing[0])}: no such image"
                          + (f", nor {len(missing) - 1:,} others" if len(missing) > 1 else "")
                          + f" of {len(self.names):,}. A score over fewer images would be another score.")

    def __len__(self):
        return len(self.names)

    def read(self, index):
        with open(os.path.join(self.folder, self.names[index]), "rb") as stream:
            return stream.read()

    def fingerprint(self):
        status = (os.stat(os.path.join(self.folder, name)) for name in self.names)
        return _digest(f"{name}\0{entry.st_size}\0{entry.st_mtime_ns}" for name, entry in zip(self.names, status))


class TarMembers:
    """Images that are members of tars: places are (index of the tar, offset, size)."""

    def __init__(self, tars, names, places):
        self.tars, self.names, self.places = list(tars), list(names), list(places)

    def __len__(self):
        return len(self.places)

    def read(self, index):
        tar, offset, size = self.places[index]
        with open(self.tars[tar], "rb") as stream:
            stream.seek(offset)
            return stream.read(size)

    def fingerprint(self):
        status = [(os.path.basename(tar), os.stat(tar)) for tar in self.tars]
        sizes = (f"{name}\0{entry.st_size}\0{entry.st_mtime_ns}" for name, entry in status)
        return _digest([*sizes, *(f"{name}\0{place}" for name, place in zip(self.names, self.places))])


class Held:
    """Encoded images (bytes) or PIL images that are in memory already, e.g. from Parquet."""

    def __init__(self, names, contents):
        self.names, self.contents = list(names), list(contents)

    def __len__(self):
        return len(self.contents)

    def read(self, index):
        return self.contents[index]

    def fingerprint(self):
        return _digest(content if isinstance(content, bytes)
                       else f"{content.mode}{content.size}".encode() + content.tobytes() for content in self.contents)


def tar_samples(tars):
    """[(key, {extension: (tar, offset, size)})] of webdataset tars, in order. BadData names a damaged tar."""
    found = []
    for number, path in enumerate(tars):
        last = None
        try:
            with tarfile.open(path) as tar:
                for member in tar:
                    folder, name = os.path.split(member.name)
                    key, dot, extension = name.partition(".")
                    if not member.isreg() or not key or not dot:
                        continue
                    key = os.path.join(folder, key)
                    if key != last:
                        found.append((key, {}))
                        last = key
                    found[-1][1][extension.lower()] = (number, member.offset_data, member.size)
        except (tarfile.TarError, EOFError) as error:
            raise BadData(f"{files.name_of(path)}: this tar is damaged or cut off ({error}). Fetch it again.") from None
    return found


def images_below(folder):
    """Paths under a folder of all images in it, sorted."""
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        found += [os.path.relpath(os.path.join(place, name), folder) for name in names
                  if name.lower().endswith(EXTENSIONS)]
    return sorted(found)


def folder_per_class(folder):
    """(names of the classes, sorted; source; label of each image) of a folder with one folder of images per class."""
    classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    names, labels = [], []
    for label, name in enumerate(classes):
        inside = [os.path.join(name, image) for image in images_below(os.path.join(folder, name))]
        names += inside
        labels += [label] * len(inside)
    return classes, Files(folder, names), labels


def _digest(parts):
    digest = hashlib.sha256()
    for part in parts:
        part = part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()
