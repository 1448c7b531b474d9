"""Training images that are copies of evaluation images: found by their bytes, or by signatures that differ in few bits.

    sign       a tar, a folder -> signatures         (mc2.dedup.signatures.Sign)
    compare    all of them -> removed.jsonl          (here, in one process)
    drop       a shard of pairs -> without theirs    (a ShardTask of the stage WithoutCopies)

OUT has specification.json, against/ (signatures of the evaluation images), removed.jsonl, and pairs/ where pairs are given.
"""
import contextlib
import hashlib
import os
import shutil
import time
from collections import Counter

import numpy as np
import orjson

from mc2 import files, keys, manifests, tar_names, temporaries
from mc2.dedup import hamming, signatures
from mc2.dedup.descriptors import open_descriptor
from mc2.dedup.signatures import SUFFIX, Sign
from mc2.errors import BadData, BadUsage
from mc2.evaluation.sources import images_below
from mc2.execution import receipt, rounds
from mc2.execution.progress import Progress
from mc2.execution.run import begin, mark_shards, refuse_foreign_shards
from mc2.execution.stage import Stage
from mc2.tables import align
from mc2.terminal import say

SAME, NEAR = "same bytes", "near"
AT_ONCE = 1 << 20               # training images that are compared at a time
RANDOM = 2000                   # images of either side of which all pairs are looked at
SHOWN_K = 12


class Evaluation:
    """The images of all evaluation sets. signatures, contents: uint64 (m,); names: [(set, name)]"""

    def __init__(self, sets):
        """sets: {name of the set: Signed}. broken: how many more images cannot be decoded"""
        self.signatures = np.concatenate([each.signatures for each in sets.values()])
        self.names = [(name, its[0]) for name, signed in sets.items() for its in signed.names]
        contents = np.concatenate([each.contents for each in sets.values()])
        self._order = np.argsort(contents, kind="stable")
        self._contents = contents[self._order]
        self.broken = sum(signed.broken for signed in sets.values())

    def __len__(self):
        return len(self.names)

    def same_bytes(self, contents):
        """int64 (n,): the first image of the same bytes, -1 where there is none."""
        at = np.minimum(np.searchsorted(self._contents, contents), len(self._contents) - 1)
        return np.where(self._contents[at] == contents, self._order[at], -1)

    def copies(self, signatures, contents, k):
        """[(row, why, distance, image)] of the images that are copies, by row."""
        same = self.same_bytes(contents)
        distances, rows = hamming.nearest(signatures, self.signatures, k)
        for row in np.flatnonzero((same >= 0) | (distances <= k)).tolist():
            if same[row] >= 0:
                yield row, SAME, 0, int(same[row])
            else:
                yield row, NEAR, int(distances[row]), int(rows[row])


class Job:
    """One de-duplication of training images against evaluation images, in a directory.

    tar_paths: of the training images. against: paths of tars, folders of images, and files of signatures
    """

    def __init__(self, tar_paths, against, out, *, model, options, k, seed, sample, specification=None, quiet=False):
        self.tars, self.out, self.model, self.options, self.k, self.quiet = tar_paths, out, model, options, k, quiet
        self.seed, self.sample = seed, sample
        refuse_foreign_shards(out)
        if files.is_remote(out):
            raise BadUsage(f"{out}: signatures are made on local disks. Name a directory.")
        self.work = os.path.join(out, ".work")
        self.signed = {path: os.path.join(self.work, "signatures", keys.shard(path) + SUFFIX) for path in tar_paths}
        _refuse_twice(tar_paths)
        self.ready = [path for path in against if path.endswith(SUFFIX)]
        self.against = {path: os.path.join(out, "against", _name_of_set(path) + SUFFIX)
                        for path in against if not path.endswith(SUFFIX)}
        self.specification_path = specification or os.path.join(out, "specification.json")
        self.given = specification is not None
        self.specification = None

    def sign(self, executor, progress):
        """Make the signatures that are missing. Returns the Evaluation."""
        descriptor = open_descriptor(self.model, **self.options)
        if self.given:
            self.specification = _given(self.specification_path, descriptor)
        else:
            self.specification = signatures.specification_of(self.specification_path, descriptor, self.tars, self.seed,
                                                             self.sample)
        del descriptor                                  # so that the memory of workers is not that of two models
        sets = {}
        for path in self.ready:
            sets[path] = signatures.read(path)
            signatures.refuse_others(path, sets[path], self.specification)
        items = [*self.against, *self.tars]
        task = Sign(self.specification, self.model, self.options, {**self.against, **self.signed},
                    os.path.join(self.work, "logs"))
        rounds.complete(task, items, executor, progress, total=len(items))
        sets.update({path: signatures.read(output) for path, output in self.against.items()})
        empty = next((path for path, signed in sets.items() if not signed.names), None)
        if empty is not None:
            raise BadData(f"{empty}: has no image that can be decoded, so nothing can be compared with it.")
        for path, signed in sets.items():
            if signed.broken:
                say(f"warning: {files.name_of(path)}: {signed.broken:,} evaluation images cannot be decoded. Copies of "
                    "them are not found.")
        return Evaluation(sets)

    def compare(self, evaluation, at_most):
        """Write the list of copies. Returns what there was, a Counter. Raises BadData where they are more than `at_most`
        (a share) of the training images; then the list is in the work directory only."""
        tally, candidates = Counter(), os.path.join(self.work, "candidates.jsonl")
        shutil.rmtree(os.path.join(self.work, "removed"), ignore_errors=True)
        with files.open_write(candidates, is_own=True) as stream:
            for path, signed, copies in self._copies(evaluation):
                tally["images"] += len(signed.names)
                tally["broken"] += signed.broken
                rows = []
                for row, why, distance, image in copies:
                    tally[why] += 1
                    rows.append(row)
                    its_set, name = evaluation.names[image]
                    stream.write(orjson.dumps({
                        "id": signed.names[row][0], "tar": files.name_of(path), "why": why, "distance": distance,
                        "against": its_set, "image": name}) + b"\n")
                if rows:
                    files.write_bytes(self._rows_of(path), orjson.dumps(rows), is_own=True)
        tally["copies"] = tally[SAME] + tally[NEAR]
        if not tally["images"]:
            raise BadData(f"no image of the {len(self.tars):,} tars can be decoded.")
        if tally["copies"] > at_most * tally["images"]:
            raise BadData(
                f"{tally['copies']:,} of {tally['images']:,} training images ({tally['copies'] / tally['images']:.2%}) "
                f"would go, more than --at-most {100 * at_most:.4g}%: nothing is removed. {candidates} lists them. Look at "
                "--calibrate; a smaller -k removes fewer, and --at-most allows more.")
        shutil.copyfile(candidates, candidates + ".copy")
        os.replace(candidates + ".copy", self.list_path)
        return tally

    @property
    def list_path(self):
        return os.path.join(self.out, "removed.jsonl")

    def _rows_of(self, path):
        return os.path.join(self.work, "removed", keys.shard(path) + ".json")

    def _copies(self, evaluation):
        """Yield (path of a tar, its Signed, [(row, why, distance, image)]), some tars at a time."""
        waiting, number = [], 0
        for path in self.tars:
            waiting.append((path, signatures.read(self.signed[path])))
            number += len(waiting[-1][1].names)
            if number > AT_ONCE or path == self.tars[-1]:
                yield from self._copies_of(waiting, evaluation)
                waiting, number = [], 0

    def _copies_of(self, group, evaluation):
        begins = np.cumsum([0, *(len(signed.names) for _, signed in group)]).tolist()
        found = list(evaluation.copies(np.concatenate([signed.signatures for _, signed in group]),
                                       np.concatenate([signed.contents for _, signed in group]), self.k))
        for (path, signed), begin, end in zip(group, begins, begins[1:]):
            yield path, signed, [(row - begin, *rest) for row, *rest in found if begin <= row < end]

    def refuse_strangers(self, shards):
        """Raise BadUsage for a shard of pairs without a tar of its name."""
        known = set(map(keys.shard, self.tars))
        stranger = next((shard for shard in shards if keys.shard(shard) not in known), None)
        if stranger is not None:
            raise BadUsage(f"{stranger}: no tar is called {keys.shard(stranger)}. 'mc2 join' makes a shard of pairs for "
                           "each tar.")

    def stage(self):
        """The stage that drops the pairs of the copies."""
        return WithoutCopies({keys.shard(path): (self.signed[path], self._rows_of(path)) for path in self.tars},
                             hashlib.sha256(files.read_bytes(self.list_path)).hexdigest(), self.k,
                             self.specification.fingerprint)

    def calibration(self, evaluation):
        """Lines for people: how far random pairs are apart, and what each k would cost."""
        distances, sample, number = Counter(), [], 0
        for path in self.tars:
            signed = signatures.read(self.signed[path])
            nearest, _ = hamming.nearest(signed.signatures, evaluation.signatures, SHOWN_K)
            distances.update(nearest.tolist())
            number += len(nearest)
            sample.append(signed.signatures[:max(1, RANDOM // len(self.tars))])
        if not number:
            raise BadData(f"no image of the {len(self.tars):,} tars can be decoded.")
        theirs = evaluation.signatures[::max(1, len(evaluation) // RANDOM)][:RANDOM]
        random = np.concatenate([hamming.ones(each ^ theirs) for each in np.concatenate(sample)[:RANDOM]])
        mean, variance = float(random.mean()), float(random.var())
        yield (f"{len(random):,} pairs of a training and an evaluation image: {mean:.1f} of {hamming.BITS} bits differ "
               f"(standard deviation {variance ** 0.5:.1f}, smallest {int(random.min())}; unrelated: 32.0 and 4.0)")
        rows = [("k", "such pairs", "would be lost by chance", "within k here")]
        for k in range(SHOWN_K + 1):
            lost = hamming.share_lost(hamming.chance_by(mean, variance, k), len(evaluation))
            here = sum(times for distance, times in distances.items() if distance <= k)
            rows.append((str(k), f"{(random <= k).mean():.2e}", f"{lost:.2e}", f"{here:,} ({here / number:.4%})"))
        yield from align(rows, right=(0, 1, 2, 3))


def _given(path, descriptor):
    content = signatures.read_specification(path)
    if content is None:
        raise BadUsage(f"{path}: no specification of signatures. 'mc2 dedup images' writes one as specification.json.")
    if content.get("descriptor") != descriptor.description:
        raise BadUsage(f"{path}: is of another model ({content.get('descriptor', {}).get('model')}).")
    return signatures.Specification(content)


def _refuse_twice(paths):
    twice = next((name for name, times in Counter(map(keys.shard, paths)).items() if times > 1), None)
    if twice is not None:
        raise BadUsage(f"two tars are called {twice}. Rename one.")


def _name_of_set(path):
    """A name for the signatures of a tar or a folder: its own, and a part of a hash of where it is."""
    place = files.identity(path)
    return f"{keys.shard(place.rstrip('/'))}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}"


def evaluation_paths(patterns):
    """The tars, folders of images and files of signatures that these names stand for."""
    found = []
    for pattern in patterns:
        if os.path.isdir(pattern) and not any(name.endswith(".tar") for name in os.listdir(pattern)):
            if not images_below(pattern):
                raise BadUsage(f"{pattern}: has no images and no tars.")
            found.append(pattern)
        else:
            found += tar_names.expand([pattern])
    missing = next((path for path in found if not files.exists(path)), None)
    if missing is not None:
        raise BadUsage(f"{missing}: no such file.")
    return list(dict.fromkeys(found))


class WithoutCopies(Stage):
    """Drops the pairs whose images are copies of evaluation images. shards: {name of a tar: (its signatures, the rows
    that are copies)}, paths"""

    name = "dedup images"

    def __init__(self, shards, removed, k, specification):
        """removed: SHA-256 of the list of copies. specification: fingerprint"""
        self.shards, self.options = shards, {"removed": removed, "k": k, "specification": specification}
        self._images, self._copies = [], set()

    def __getstate__(self):
        return {**self.__dict__, "_images": [], "_copies": set()}

    def begin(self, shard):
        signed, rows = self.shards[keys.shard(shard)]
        self._images, self._copies = [], set()
        with contextlib.suppress(FileNotFoundError):
            self._copies = set(orjson.loads(files.read_bytes(rows)))
            self._images = signatures.read(signed).names

    def __call__(self, batch):
        if not self._copies:
            return
        ids = batch.column("id")
        of_image = keys.ids_of_images(self._images, dict.fromkeys(ids))
        copies = {each for number, its in of_image.items() if number in self._copies for each in its}
        batch.drop({row: "copies of evaluation images" for row, each in enumerate(ids) if each in copies})


# ---------------------------------------------------------------- the command

def dedup(job, executor, at_most, calibrate):
    """Sign and compare; print the receipt. Returns the lines of the calibration where that is wanted, else None."""
    started = time.monotonic()
    begin([job.out], job.tars)
    work = mark_shards(job.out)
    with temporaries.locked(work, f"{job.out}: another run is writing this output. Wait for it to end.", is_own=True), \
            contextlib.closing(executor(work, "dedup")) as workers, \
            Progress("dedup images", work, job.quiet) as progress:
        evaluation = job.sign(workers, progress)
        if calibrate:
            return list(job.calibration(evaluation))
        tally = job.compare(evaluation, at_most)
        tally["broken evaluation images"] = evaluation.broken
        progress.end()
    manifests.write_for_file(job.list_path, manifests.describe_run(
        "removed images", job.tars if len(job.tars) <= 1000 else [],
        {"k": job.k, "specification": job.specification.content},
        {"in": tally["images"], "out": tally["images"] - tally["copies"]}, time.monotonic() - started))
    summary = (f"{len(job.tars):,} tars, {tally['images']:,} images, {tally['copies']:,} copies "
               f"({tally['copies'] / tally['images']:.4%}) of {len(evaluation):,} evaluation images: "
               f"{tally[SAME]:,} of the same bytes, {tally[NEAR]:,} within {job.k} bits")
    if tally["broken"]:
        summary += f"; {tally['broken']:,} images cannot be decoded"
    receipt.write("dedup images", summary, tally, job.list_path, time.monotonic() - started, job.quiet)
    return None


