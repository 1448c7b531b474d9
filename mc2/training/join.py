"""Pairs that come in other shards than the tars become a file of pairs for every tar: the lines of its images, as they
came, those of an image together, in the order of the tar. This is what `mc2 train` reads beside the tars.

The ids of all tars are read first: 30 bytes of memory per image, as hashes. The pairs are then sorted into at most
PARTS files by the tars that have their images, and each of these is put in order in memory. An image that is in two
tars belongs to the first.
"""
import contextlib
import os
import shutil
import struct
import sys
import tempfile
import time
from collections import Counter, defaultdict

import numpy as np
import orjson
import zstandard

from mc2 import __version__, files, manifests, tars, temporaries
from mc2.errors import BadUsage
from mc2.execution.processes import map_in_order
from mc2.execution.run import mark_shards, refuse_foreign_shards
from mc2.execution.stage import Stage, Stages
from mc2.hashing import keyed_hash
from mc2.pairs import jsonl
from mc2.pairs.shards import refuse_unopenable

PARTS = 1024
BUFFER = 256 << 20              # bytes of memory of lines that wait to be written, over all parts
WAITING = 150                   # of them, for each line beside its own
SUFFIX = ".jsonl.zst"
SCRATCH = ".join"               # in the output directory, while it is at work
_LINE = struct.Struct("<II")    # number of the tar, bytes of the line


class Join(Stage):
    """The options and fingerprints that the files of pairs depend on, and the receipt."""

    name = "join"

    def __init__(self, inputs, tar_paths, skip_bad):
        described = [manifests.describe_file(path) for path in inputs]
        self.known = all("bytes" in description for description in described)       # no pipe among them
        self.options = {"pairs": manifests.fingerprint(described), "skip_bad": skip_bad, "tars": manifests.fingerprint(
            files.map_paths(manifests.describe_file, tar_paths))}
        self.lineage = _common_lineage(inputs)

    def summary(self, tally):
        text = f"{tally['out']:,} out for {tally['images with pairs']:,} images"
        for what in ("images without pairs", "images twice", "pairs without image"):
            text += f", {tally[what]:,} {what}" if tally[what] else ""
        return text


def by_image(batch):
    """(hashes of the ids, lines) of a batch."""
    data = jsonl.encode(batch)
    return hashes_of(batch.column("id")), data


def hashes_of(ids):
    """uint64 (len(ids),)"""
    return np.fromiter((keyed_hash("image", each) for each in ids), np.uint64, len(ids))


def join(run, tar_paths, output_dir, force=False):
    """Write the pairs of a Run to OUTPUT_DIR/<stem of the tar>.jsonl.zst, and print the receipt."""
    started, tally = time.monotonic(), Counter()
    outputs = _outputs(run, tar_paths, output_dir)
    stage = Join(run.inputs, tar_paths, run.skip_bad)
    todo = np.array([force or not _is_finished(stage, *each) for each in zip(tar_paths, outputs)])
    if todo.any():
        mark_shards(output_dir)
        with _scratch(output_dir) as scratch:
            _write(run, stage, tar_paths, outputs, todo, scratch, tally)
    summary = f"{np.count_nonzero(todo):,} tars, {tally['in']:,} pairs in, {stage.summary(tally)}"
    if not todo.all():
        summary += f"; {np.count_nonzero(~todo):,} tars were finished"
    run.receipt(stage.name, summary, tally, output_dir, time.monotonic() - started)


def _outputs(run, tar_paths, output_dir):
    names = [tars.stem(path) for path in tar_paths]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise BadUsage(f"two tars are called {twice[0]}, and both would have {twice[0]}{SUFFIX}. Rename one.")
    refuse_foreign_shards(output_dir)
    outputs = [os.path.join(output_dir, name + SUFFIX) for name in names]
    refuse_unopenable(run.inputs, outputs)
    run.refuse_twice(outputs, also=tar_paths)
    return outputs


def _common_lineage(inputs):
    """The fingerprints that the manifests of all inputs agree on, so that later commands can compare them."""
    found = [(manifests.read(path) or {}).get("lineage", {}) if path != "-" else {} for path in inputs]
    return {what: fingerprint for what, fingerprint in found[0].items()
            if all(each.get(what) == fingerprint for each in found)}


def _is_finished(stage, path, output):
    return stage.known and manifests.is_of(output, _description(stage, path)) is not None


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
    with temporaries.locked(directory, f"{output_dir}: another run is writing this output. Wait for it to end.") as lock:
        for name in os.listdir(directory):              # of a run that was killed
            os.unlink(os.path.join(directory, name))
        with temporaries.discarded_on_error(directory, lock):
            yield directory
        shutil.rmtree(directory)


def _write(run, stage, tar_paths, outputs, todo, scratch, tally):
    ids = _Ids(run, tar_paths, scratch)
    parts = _Parts(ids, todo, scratch)
    for hashes, data in run.products([], tally, by_image):
        parts.add(hashes, data.split(b"\n")[:-1])
    tally["out"] = 0                            # of the stage, which drops nothing
    tally.update(parts.tally)
    for number, lines_of in parts.read():
        started = time.monotonic()
        its_tally = _write_one(outputs[number], ids.of(number), lines_of)
        manifests.write_for_file(outputs[number], Stages([stage]).manifest(
            [tar_paths[number]], its_tally, time.monotonic() - started, description=_description(stage, tar_paths[number])))
        tally.update({what: times for what, times in its_tally.items() if what != "in"})


def _write_one(output, ids, lines_of):
    """Write the lines of a tar's images; {id: [lines]} is used up. What happened, as a Counter."""
    tally, done = Counter(images=len(ids)), set()
    with files.open_write(output) as stream:
        for image_id in ids:
            lines = lines_of.pop(image_id, [])
            if image_id in done:
                tally["images twice"] += 1
            else:
                tally["images with pairs" if lines else "images without pairs"] += 1
            done.add(image_id)
            stream.write(b"".join([line + b"\n" for line in lines]))
            tally["in"] += len(lines)
    tally["out"] = tally["in"]
    if lines_of:                                # their hashes are those of images, but not their ids
        tally["pairs without image"] = sum(map(len, lines_of.values()))
    return tally


class _Ids:
    """The ids of the images of all tars: on disk, and as hashes in memory."""

    def __init__(self, run, tar_paths, scratch):
        self.path, self.offsets, hashes = os.path.join(scratch, "ids"), [], []
        with open(self.path, "wb") as stream:
            for path, (ids, damage) in zip(tar_paths, map_in_order(_ids_of, tar_paths, run.jobs)):
                if damage and not run.quiet:
                    print(f"warning: {damage}", file=sys.stderr)
                self.offsets.append(stream.tell())
                stream.write(zstandard.compress(orjson.dumps(ids), 1))
                hashes.append(hashes_of(ids))
            self.offsets.append(stream.tell())
        owners = np.repeat(np.arange(len(hashes), dtype=np.uint32), list(map(len, hashes)))
        self.hashes, first = np.unique(np.concatenate(hashes), return_index=True)
        self._owners = owners[first]

    def owners(self, hashes):
        """int64 (n,): the number of the first tar that has each image; -1 where none has."""
        if not len(self.hashes):
            return np.full(len(hashes), -1)
        found = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[found] == hashes, self._owners[found].astype(np.int64), -1)

    def of(self, number):
        """The ids of a tar's images, in order."""
        with open(self.path, "rb") as stream:
            stream.seek(self.offsets[number])
            return orjson.loads(zstandard.decompress(stream.read(self.offsets[number + 1] - self.offsets[number])))


def _ids_of(path):
    """(ids of the images of a tar in order, what is wrong with it or None)."""
    ids = []
    try:
        for key, members in tars.samples(path):
            if tars.image(members):
                ids.append(tars.image_id(key, tars.record(members)))
    except tars.Damaged as damage:
        return ids, f"{damage} Its pairs are those of the {len(ids):,} images before."
    return ids, None


class _Parts:
    """Lines, sorted by tars into files, each of a run of tars."""

    def __init__(self, ids, todo, scratch):
        """todo: bool (tars,), whose lines are wanted."""
        self.ids, self.todo, self.scratch = ids, todo, scratch
        self.tally = Counter()
        self.part_of = np.arange(len(todo)) * min(PARTS, len(todo)) // len(todo)
        self.waiting, self.bytes = defaultdict(list), 0

    def add(self, hashes, lines):
        """hashes: uint64 (len(lines),) of the lines' ids."""
        for number, line in zip(self.ids.owners(hashes).tolist(), lines):
            if number < 0:
                self.tally["pairs without image"] += 1
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
