"""Pairs that come in other shards than the tars become a file of pairs for every tar: the lines of its images, as they
came, those of an image together, in the order of the tar. This is what `mc2 train` reads beside the tars.

The names of the images of all tars (mc2/keys.py) are read first: 30 bytes of memory per image and name, as hashes; an
image has one name where its key has no folder and its json no id. The pairs are then sorted into at most PARTS files by
the tars that have their images, and each of these is put in order in memory. An image that is in two tars belongs to
the first. Where almost no pair finds an image, nothing is written.
"""
import contextlib
import os
import struct
import tempfile
import time
from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np
import orjson
import zstandard

from mc2 import __version__, files, keys, manifests, own, tars, temporaries
from mc2.errors import BadData, BadUsage
from mc2.execution.processes import map_in_order
from mc2.execution.run import begin, mark_shards, refuse_foreign_shards
from mc2.execution.stage import Stage, Stages
from mc2.hashing import keyed_hash
from mc2.pairs import jsonl
from mc2.pairs.shards import refuse_unopenable
from mc2.terminal import say

PARTS = 1024
BUFFER = 256 << 20              # bytes of memory of lines that wait to be written, over all parts
WAITING = 150                   # of them, for each line beside its own
SUFFIX = ".jsonl.zst"
SCRATCH = ".join"               # in the output directory, while it is at work
_LINE = struct.Struct("<II")    # number of the tar, bytes of the line


class Join(Stage):
    """The options and fingerprints that the files of pairs depend on, and the receipt."""

    name = "join"

    def __init__(self, inputs, tar_paths, skip_bad, reading):
        described = [manifests.describe_file(path) for path in inputs]
        self.known = all("bytes" in description for description in described)       # no pipe among them
        self.options = {"pairs": manifests.fingerprint(described), "skip_bad": skip_bad, "tars": manifests.fingerprint(
            files.map_paths(manifests.describe_file, tar_paths)), **reading.options}
        self.lineage = manifests.common_lineage(inputs)
        self.sampled = manifests.sampled(inputs)

    def summary(self, tally):
        text = f"{tally['out']:,} out for {tally['images with pairs']:,} images"
        for what in ("images without pairs", "images twice", "pairs without image", "damaged tars"):
            text += f", {tally[what]:,} {what}" if tally[what] else ""
        return text


def by_image(batch):
    """(hashes of the ids, hashes of the ids in their plain form, lines) of a batch."""
    data, ids = jsonl.encode(batch), batch.column("id")
    hashes = hashes_of(ids)
    plain = hashes
    if changed := {row: form for row, each in enumerate(ids) if (form := keys.plain(each)) != each}:
        plain = hashes.copy()
        plain[list(changed)] = hashes_of(changed.values())
    return hashes, plain, data


def hashes_of(ids):
    """uint64 (len(ids),)"""
    return np.array([keyed_hash("image", each) for each in ids], np.uint64)


def join(run, tar_paths, output_dir, force=False):
    """Write the pairs of a Run to OUTPUT_DIR/<stem of the tar>.jsonl.zst, and print the receipt."""
    started, tally = time.monotonic(), Counter()
    outputs = _outputs(run, tar_paths, output_dir)
    begin([output_dir])
    stage = Join(run.inputs, tar_paths, run.skip_bad, run.reading)
    finished = [None if force else _finished(stage, *each) for each in zip(tar_paths, outputs)]
    todo = np.array([manifest is None for manifest in finished])
    if todo.any():
        mark_shards(output_dir)
        with _scratch(output_dir) as scratch:
            _write(run, stage, tar_paths, outputs, todo, scratch, tally)
    else:
        for manifest in finished:
            _warn(manifest.get("damaged"))
    summary = f"{np.count_nonzero(todo):,} tars, {tally['in']:,} pairs in, {stage.summary(tally)}"
    if not todo.all():
        summary += f"; {np.count_nonzero(~todo):,} tars were finished"
    run.receipt(stage.name, summary, tally, output_dir, time.monotonic() - started)


def _outputs(run, tar_paths, output_dir):
    names = [keys.shard(path) for path in tar_paths]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise BadUsage(f"two tars are called {twice[0]}, and both would have {twice[0]}{SUFFIX}. Rename one.")
    refuse_foreign_shards(output_dir)
    outputs = [os.path.join(output_dir, name + SUFFIX) for name in names]
    refuse_unopenable(run.inputs, outputs, run.reading)
    run.refuse_twice(outputs, also=tar_paths)
    return outputs


def _finished(stage, path, output):
    """The manifest of the pairs of a tar, where they are there; else None."""
    return manifests.is_of(output, _description(stage, path)) if stage.known else None


def _description(stage, path):
    """All that the pairs of a tar depend on."""
    return {"mc2": __version__, "input": manifests.describe_file(path), "options": stage.options, "lineage": stage.lineage}


@contextlib.contextmanager
def _scratch(output_dir):
    """A directory for what is under way; of local disks, in the output directory."""
    if files.is_remote(output_dir):
        with tempfile.TemporaryDirectory() as directory:
            yield directory
        return
    directory = os.path.join(output_dir, SCRATCH)
    with temporaries.locked(directory, f"{output_dir}: another run is writing this output. Wait for it to end.",
                            is_own=True) as lock:
        own.empty(lock)                                 # of a run that was killed
        with temporaries.discarded_on_error(directory, lock):
            yield directory
        own.remove_directory(directory)


def _write(run, stage, tar_paths, outputs, todo, scratch, tally):
    images = _Images(run, tar_paths, scratch)
    parts = _Parts(images, todo, scratch)
    for hashes, plain, data in run.products([], tally, by_image):
        parts.add(hashes, plain, data.split(b"\n")[:-1])
    _refuse_strangers(parts, images, tally["in"], tar_paths)
    tally["out"] = 0                            # of the stage, which drops nothing
    tally.update(parts.tally)
    for number, lines_of in parts.read():
        started, damage = time.monotonic(), images.damaged.get(number)
        its_tally = _write_one(outputs[number], images.of(number), lines_of)
        more = {"damaged": damage} if damage else {}
        its_tally.update({"damaged tars": 1} if damage else {})
        manifests.write_for_file(outputs[number], Stages([stage]).manifest(
            [tar_paths[number]], its_tally, time.monotonic() - started,
            description=_description(stage, tar_paths[number]), **more))
        tally.update({what: times for what, times in its_tally.items() if what != "in"})


def _warn(damage):
    """Say what is wrong with a tar, also with --quiet: its images after that place have no pairs."""
    if damage:
        say(f"warning: {damage}")


def _refuse_strangers(parts, images, pairs, tar_paths):
    """Raise BadData where almost no pair has an image."""
    met = pairs - parts.tally["pairs without image"]
    if pairs and not images.number and images.no_image:
        path, extensions = images.no_image
        raise BadData(f"no sample of these {len(tar_paths):,} tars has an image: one in {files.name_of(path)} has "
                      f"{', '.join(extensions)}. {tars.ABOUT_EXTENSIONS}")
    if not keys.almost_nothing(met, pairs, images.number):
        return
    path, names = images.example
    raise BadData(
        f"{met:,} of {pairs:,} pairs have an image in these {len(tar_paths):,} tars. The id of a pair is "
        f"{files.printable(parts.stranger)}; an image in {files.name_of(path)} is called {' or '.join(names)}. Give the "
        "pairs the ids of the images: an `id` in the image's json, else its name in the tar without the suffix."
        + "".join(f" {each}" for each in images.apart[:1]))


def _write_one(output, images, lines_of):
    """Write the lines of a tar's images. images: [names]; lines_of: {id: [lines]}. What happened, as a Counter."""
    tally, done = Counter(images=len(images)), set()
    ids_of = keys.ids_of_images(images, lines_of)
    with files.open_write(output, is_own=True) as stream:
        for number, (name, *_) in enumerate(images):
            lines = [line for each in ids_of.get(number, ()) for line in lines_of.pop(each)]
            if name in done:
                tally["images twice"] += 1
            else:
                tally["images with pairs" if lines else "images without pairs"] += 1
            done.add(name)
            stream.write(b"".join([line + b"\n" for line in lines]))
            tally["in"] += len(lines)
    tally["out"] = tally["in"]
    if lines_of:                                # their hashes are those of images, but not their ids
        tally["pairs without image"] = sum(map(len, lines_of.values()))
    return tally


class _Images:
    """The names of the images of all tars: on disk, and as hashes in memory."""

    def __init__(self, run, tar_paths, scratch):
        self.path, self.offsets, self.number, self.apart = os.path.join(scratch, "names"), [], 0, []
        self.example = self.no_image = None     # (tar, names) of the first image; (tar, its first sample without one)
        self.damaged = {}                       # number of a tar -> what is wrong with it
        hashes = []                             # of every tar
        with open(self.path, "xb") as stream:
            for number, (path, found) in enumerate(zip(tar_paths, map_in_order(_images_of, tar_paths, run.jobs))):
                if found.damage:
                    _warn(found.damage)
                    self.damaged[number] = found.damage
                self.offsets.append(stream.tell())
                stream.write(zstandard.compress(orjson.dumps(found.images), 1))
                hashes.append(_hashes_of_names(found.images))
                self._note(path, found, run.quiet)
            self.offsets.append(stream.tell())
        positions = range(max(map(len, hashes), default=0))
        self._owners = [_Owners({number: its[position] for number, its in enumerate(hashes) if len(its) > position},
                                any_image=position == 0) for position in positions]

    def _note(self, path, found, quiet):
        self.number += len(found.images)
        if found.images and self.example is None:
            self.example = path, found.images[0]
        if found.no_image and self.no_image is None:
            self.no_image = path, found.no_image
        if found.apart:
            self.apart.append(f"{files.name_of(path)}: {found.apart}.")
            if not quiet:
                say(f"warning: {self.apart[-1]}")

    def owners(self, hashes, plain):
        """int64 (n,): the number of the first tar that has each image; -1 where none has."""
        found = np.full(len(hashes), -1)
        for owners in self._owners:
            for form in (hashes, plain):
                left = np.flatnonzero(found < 0)
                found[left] = owners(form[left])
        return found

    def of(self, number):
        """The names of a tar's images, in order."""
        with open(self.path, "rb") as stream:
            stream.seek(self.offsets[number])
            return orjson.loads(zstandard.decompress(stream.read(self.offsets[number + 1] - self.offsets[number])))


class _Owners:
    """The first tar of each name, by its hash."""

    def __init__(self, hashes, any_image):
        """hashes: {number of a tar: (of names, of the first names of the same images)}. any_image: whether the first
        image has a name that several have; else none of them has it."""
        tar = np.repeat(np.array([*hashes], np.uint32), [len(names) for names, _ in hashes.values()])
        names, firsts = map(np.concatenate, zip(*hashes.values()))
        order = np.argsort(names, kind="stable")
        names, firsts, tar = names[order], firsts[order], tar[order]
        begins = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
        self.hashes, self._tars = names[begins], tar[begins]
        if not any_image:
            differs = np.append(False, (names[1:] == names[:-1]) & (firsts[1:] != firsts[:-1]))
            several = np.add.reduceat(differs, begins, dtype=np.int64) > 0
            self.hashes, self._tars = self.hashes[~several], self._tars[~several]

    def __call__(self, hashes):
        """int64 (n,): the tar of each name, -1 where there is none."""
        if not len(self.hashes):
            return np.full(len(hashes), -1)
        found = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[found] == hashes, self._tars[found].astype(np.int64), -1)


def _hashes_of_names(images):
    """[(hashes of the first names, the same), (hashes of the second names, those of the first names of the same
    images), ...] of a tar's images."""
    first = hashes_of(names[0] for names in images) if images else np.zeros(0, np.uint64)
    found = [(first, first)] if images else []
    for position in range(1, max(map(len, images), default=0)):
        rows = [row for row, names in enumerate(images) if len(names) > position]
        found.append((hashes_of(images[row][position] for row in rows), first[rows]))
    return found


class _Found(NamedTuple):
    """What a tar holds. images: [names] of each image in order; damage: what is wrong with the tar; apart: its members
    that are apart; no_image: the extensions of a sample without an image. All but the first may be None."""

    images: list
    damage: str = None
    apart: str = None
    no_image: list = None


def _images_of(path):
    """The _Found of a tar."""
    images, apart, no_image = [], tars.Apart(), None
    try:
        for key, members in tars.samples(path):
            apart.see(key, members)
            if tars.image(members):
                images.append(keys.names(key, tars.record(members)))
            elif no_image is None:
                no_image = sorted(members)
    except tars.Damaged as damage:
        return _Found(images, f"{damage} Its pairs are those of the {len(images):,} images before.")
    return _Found(images, None, str(apart) if apart.number else None, no_image)


class _Parts:
    """Lines, sorted by tars into files, each of a run of tars."""

    def __init__(self, images, todo, scratch):
        """todo: bool (tars,), whose lines are wanted."""
        self.images, self.todo, self.scratch = images, todo, scratch
        self.stranger = None                    # the id of the first pair without an image
        self.tally = Counter()
        self.part_of = np.arange(len(todo)) * min(PARTS, len(todo)) // len(todo)
        self.waiting, self.bytes = defaultdict(list), 0

    def add(self, hashes, plain, lines):
        """hashes, plain: uint64 (len(lines),) of the lines' ids, as they are and in their plain form."""
        for number, line in zip(self.images.owners(hashes, plain).tolist(), lines):
            if number < 0:
                self.tally["pairs without image"] += 1
                self.stranger = self.stranger or orjson.loads(line)["id"]
            elif self.todo[number]:
                self.waiting[int(self.part_of[number])] += [_LINE.pack(number, len(line)), line]
                self.bytes += len(line) + WAITING
        if self.bytes > BUFFER:
            self._flush()

    def read(self):
        """Yield (number of a tar, {id: [lines]}) for every tar that is to do, in order."""
        self._flush()
        for part in range(self.part_of[-1] + 1):
            lines_of = self._sorted(part)
            for number in np.flatnonzero((self.part_of == part) & self.todo).tolist():
                yield number, lines_of.pop(number, {})

    def _flush(self):
        for part, pieces in self.waiting.items():
            with open(self._path(part), "ab") as stream:
                stream.write(zstandard.compress(b"".join(pieces), 1))
        self.waiting.clear()
        self.bytes = 0

    def _sorted(self, part):
        """{number of a tar: {id: [lines]}} of a file."""
        found = {}
        if not os.path.exists(self._path(part)):
            return found
        with files.open_read(self._path(part)) as stream:
            while head := stream.read(_LINE.size):
                number, length = _LINE.unpack(head)
                line = stream.read(length)
                found.setdefault(number, {}).setdefault(orjson.loads(line)["id"], []).append(line)
        os.unlink(self._path(part))
        return found

    def _path(self, part):
        return os.path.join(self.scratch, f"{part}.zst")
