"""Sources of images: files, members of tars, images in memory; and how images are found by their names.

Each source has `names` (list of str, for messages), `len`, `read(i)` (bytes, or a PIL image) and `fingerprint()`, which
another content would change. It goes to the workers of a DataLoader, so it is picklable and opens its files in `read`.
"""
import hashlib
import os

from mc2 import files, keys, tar_names, tars
from mc2.errors import BadData, BadUsage
from mc2.terminal import say

EXTENSIONS = tuple(f".{extension}" for extension in (*tars.IMAGES, "ppm", "pgm", "pbm"))
NAMED = 3               # of what is left out


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
        folder = os.path.realpath(self.folder) if self.folder else ""
        return _digest([folder, *(f"{name}\0{_stamp(os.path.join(self.folder, name))}" for name in self.names)])


class TarMembers:
    """Images that are members of tars. members: (index of the tar, offset, size) of each."""

    def __init__(self, paths, names, members):
        self.paths, self.names, self.members = list(paths), list(names), list(members)

    def __len__(self):
        return len(self.members)

    def read(self, index):
        return bytes_of(self.paths, self.members[index])

    def fingerprint(self):
        stamps = (f"{os.path.realpath(path)}\0{_stamp(path)}" for path in self.paths)
        return _digest([*stamps, *(f"{name}\0{member}" for name, member in zip(self.names, self.members))])


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


def bytes_of(paths, member):
    """The bytes of a member of tars. member: (index of the tar, offset, size)."""
    number, offset, size = member
    with open(paths[number], "rb") as stream:
        stream.seek(offset)
        return stream.read(size)


def tars_among(paths):
    """The tars that these paths of images stand for (mc2/tar_names.py), or None where they are one folder of images."""
    if len(paths) == 1 and os.path.isdir(paths[0]) and not _holds_tars(paths[0]):
        return None
    found = tar_names.expand(paths)
    if remote := next(filter(files.is_remote, found), None):
        raise BadUsage(f"{remote}: images are scored from local files. Fetch it first.")
    return found


def _holds_tars(folder):
    """Whether a folder holds tars and no images beside them."""
    names = [name.lower() for name in os.listdir(folder) if not name.startswith(".")]
    return any(name.endswith(".tar") for name in names) and not any(name.endswith(EXTENSIONS) for name in names)


def tar_samples(paths):
    """[(key, {extension: (index of the tar, offset, size)})] of webdataset tars, in order. Members of a sample that are
    apart come together. BadData names a damaged tar."""
    found = []
    for number, path in enumerate(paths):
        of_key = {}
        for key, members in tars.samples(path):
            places = {extension: (number, *members.position(extension)) for extension in members}
            if key in of_key and of_key[key].keys().isdisjoint(places):
                of_key[key].update(places)
            else:
                found.append((key, places))
                of_key[key] = places
    return found


def images_below(folder, left_out=None):
    """Paths under a folder of all images in it, sorted. Each directory is entered once, whatever links lead to it.
    left_out: a list to which the paths of all else are added."""
    _refuse_no_folder(folder)
    left_out = [] if left_out is None else left_out
    found, seen = [], {os.path.realpath(folder)}
    for directory, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        inside = os.path.relpath(directory, folder)
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(directory, name))
            if real in seen:
                folders.remove(name)
                left_out.append(os.path.normpath(os.path.join(inside, name)) + "/")
            seen.add(real)
        folders.sort()
        for name in names:
            chosen = found if name.lower().endswith(EXTENSIONS) else left_out
            chosen.append(os.path.normpath(os.path.join(inside, name)))
    return sorted(found)


# ---------------------------------------------------------------- images by name

def in_folder(folder, names):
    """The Files of images below a folder by name: as a path, else as the end of a path (train/1.jpg is never
    val/1.jpg), with or without its suffix. BadData for a name of several files and for a file of several names."""
    found = [name if os.path.isfile(os.path.join(folder, name)) else None for name in names]
    if None in found:
        below = _by_ending(folder, {name.count("/") + 1 for name, path in zip(names, found) if path is None})
        twice = next((name for name, path in zip(names, found) if path is None and len(below.get(name, ())) > 1), None)
        if twice is not None:
            raise BadData(f"{folder}: holds several images called {twice}. Give their paths.")
        found = [path or below.get(name, [name])[0] for name, path in zip(names, found)]
    _refuse_shared(names, map(os.path.normpath, found))
    return Files(folder, found)


def from_folder(folder, names):
    """The names as paths from a folder. Where none is one, and they are paths of another place (of the machine that
    wrote the captions), they are taken from the folder that all of them have in common."""
    elsewhere = os.path.commonpath(map(os.path.dirname, names)) if len({*map(os.path.isabs, names)}) == 1 else ""
    if not elsewhere or any(os.path.isfile(os.path.join(folder, name)) for name in names):
        return list(names)
    return [os.path.relpath(name, elsewhere) for name in names]


def _by_ending(folder, depths):
    """{the last parts of a path: its images} for these numbers of parts, with and without a suffix."""
    below = {}
    for path in images_below(folder):
        parts = path.split("/")
        for ending in {"/".join(parts[-depth:]) for depth in depths if depth <= len(parts)}:
            for key in (ending, os.path.splitext(ending)[0]):
                below.setdefault(key, []).append(path)
    return below


def _refuse_shared(names, images):
    """BadData where two names are of one image."""
    name_of = {}
    for name, image in zip(names, images):
        other = name_of.setdefault(image, name)
        if other != name:
            raise BadData(f"{other} and {name} are one image. Give every image one name.")


def in_tars(paths, names):
    """The TarMembers of images by name (mc2/keys.py says what an image is called). BadData for a name of several
    samples or of none, and for an image of several names."""
    members, called = [], []                        # of every image: where it is, and its names
    for key, its_members in tar_samples(paths):
        if image := tars.image(its_members):
            members.append(its_members[image])
            called.append(keys.names(key, _record_of(paths, its_members)))
    owners = keys.owners(called, set(names))
    missing = [name for name in names if name not in owners]
    if missing:
        example = f" An image in {_tar_of(paths, members[0])} is called {' or '.join(called[0])}." if called else ""
        others = f", nor {len(missing) - 1:,} others" if len(missing) > 1 else ""
        raise BadData(f"{missing[0]}: no such image in the tars{others} of {len(names):,}.{example}")
    for name in names:
        if owners[name].other is not None:
            several = ", ".join(_tar_of(paths, members[number]) for number in owners[name][1:])
            raise BadData(f"{name}: is a key or an id of several samples ({several}). Name the images by ids that come "
                          "once.")
    found = [members[owners[name].image] for name in names]
    _refuse_shared(names, found)
    return TarMembers(paths, names, found)


def _tar_of(paths, member):
    return files.name_of(paths[member[0]])


def _record_of(paths, members):
    return tars.record({"json": bytes_of(paths, members["json"])}) if "json" in members else {}


# ---------------------------------------------------------------- images by class

def folder_per_class(folder):
    """(names of the classes, sorted; source; label of each image) of a folder with one folder of images per class.
    Hidden folders are no classes. stderr says which files are left out and which classes have no images."""
    _refuse_no_folder(folder)
    entries = sorted((entry for entry in os.scandir(folder)), key=lambda entry: entry.name)
    above = _with_parents(os.path.realpath(folder))
    left_out, classes, names, labels, empty = [], [], [], [], []
    for entry in entries:
        if not entry.is_dir() or entry.name.startswith(".") or os.path.realpath(entry.path) in above:
            left_out.append(entry.name + "/" * entry.is_dir())
            continue
        others = []
        inside = [os.path.join(entry.name, image) for image in images_below(entry.path, others)]
        left_out += [os.path.join(entry.name, other) for other in others]
        empty += [] if inside else [entry.name]
        names += inside
        labels += [len(classes)] * len(inside)
        classes.append(entry.name)
    source = Files(folder, names)
    tell(folder, len(left_out), "are no images and are left out", left_out)
    tell(folder, len(empty), f"of {len(classes):,} folders hold no images", empty)
    return classes, source, labels


def _refuse_no_folder(path):
    if os.path.exists(path) and not os.path.isdir(path):
        raise BadUsage(f"{files.name_of(path)}: is no folder of images.")


def _raise(error):
    raise error


def tell(folder, number, what, names):
    """Say on stderr, on the first rank, how many files of a folder were treated specially, and which ones."""
    if number and os.environ.get("RANK", "0") == "0":
        shown = ", ".join(map(files.printable, names[:NAMED])) + (" ..." if number > NAMED else "")
        say(f"eval: {files.name_of(folder)}: {number:,} {what}: {shown}")


def _with_parents(path):
    """A directory and those that it is in."""
    found = {path}
    while (parent := os.path.dirname(path)) != path:
        found.add(path := parent)
    return found


def _stamp(path):
    """A text that changes with a file's content: its size and times; st_ctime also where a copy keeps st_mtime."""
    entry = os.stat(path)
    return f"{entry.st_size} {entry.st_mtime_ns} {entry.st_ctime_ns}"


def _digest(parts):
    digest = hashlib.sha256()
    for part in parts:
        part = part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()
