"""Features of images and texts: every rank encodes its part and gets those of all. Image features are cached as .npy
files, so that a benchmark in 280 languages costs one pass over its images. Beside each is a note with its checksum,
against which it is checked when it is opened (half a second for a gigabyte).
"""
import hashlib
import json
import os
from collections import Counter

import numpy as np
import torch

from mc2 import documents, files, meter, parsing
from mc2.clip import distributed, images, loading
from mc2.clip.images import Corrupt
from mc2.errors import BadData, Mc2Error
from mc2.terminal import say

NAMED = 3               # a message names so many broken images
MOST_WORKERS = 4        # where nobody says how many
UNKNOWN = "for an unknown reason"


class Encoder:
    """Encodes images and texts with one model.

    tally: how many images were encoded, taken from the cache and skipped, and how many texts were encoded; skipped: how
    many images of the last source were skipped; skipped_for, all_skipped_for: how many of the last source, and of all,
    for which reason.
    """

    def __init__(self, model, *, cache=None, batch_size=64, workers=0, on_error="stop", quiet=False):
        """cache: a directory or None. workers: processes that decode images; None: as many as there are cores and
        space for. on_error: `stop` at an image that cannot be decoded, or `skip` it and count it."""
        self.model, self.cache, self.batch_size, self.workers = model, cache, batch_size, workers
        self.skips, self.quiet = on_error == "skip", quiet
        self.rank, self.world = distributed.rank_and_world()
        self.tally, self.skipped, self.stores = Counter(), 0, True
        self.skipped_for, self.all_skipped_for = Counter(), Counter()

    def images(self, source):
        """(features, kept) of a source. kept: int64 (n,), the indices of the images that could be decoded: all, unless
        broken ones are skipped. features: float32 (n, d), L2-normalised, a row for each of them. BadData names broken
        images."""
        if not len(source):
            raise BadData("there are no images to encode.")
        path = self._path_in_cache(source)
        features, faults = self._cached(path, len(source))
        if features is None:
            own, faults = self._encode_images(source)
            features, faults = distributed.rows_of_all(own), distributed.merged(faults)
            self.tally["images encoded"] += len(source)
            if path and self.rank == 0 and self.stores:
                self._store(path, features, {"model": self.model.description, "images": len(source),
                                             "broken": {str(index): fault for index, fault in faults.items()}})
        else:
            self.tally["images from the cache"] += len(source)
        broken = np.isnan(features[:, 0])
        self.skipped, self.skipped_for = int(broken.sum()), Counter()
        if not broken.any():
            return features, np.arange(len(source))
        self._refuse_or_count({source.names[index]: faults.get(index, [UNKNOWN, ""])
                               for index in np.flatnonzero(broken).tolist()}, len(source))
        kept = np.flatnonzero(~broken)
        if not len(kept):
            raise BadData(f"none of the {len(source):,} images can be decoded: there is nothing to score.")
        return np.asarray(features[kept]), kept

    def texts(self, texts):
        """float32 (n, d), L2-normalised, of a list of texts."""
        texts = list(texts)
        begin, end = distributed.own_share(len(texts))
        self.tally["texts encoded"] += len(texts)
        parts = [self.model.encode_texts(texts[start:min(start + self.batch_size, end)]).cpu().numpy()
                 for start in self._shown(range(begin, end, self.batch_size), "texts")]
        features = distributed.rows_of_all(np.concatenate(parts) if parts else None)
        if features is None:
            return np.zeros((0, self._width()), np.float32)
        self._refuse_non_finite(features, "text", texts)
        return features

    def _encode_images(self, source):
        begin, end = distributed.own_share(len(source))
        batches = -(-(end - begin) // self.batch_size)
        workers = self._workers_for(min(self.batch_size, end - begin) * 3 * self.model.image_size ** 2, batches)
        loader = loading.loader_of(
            _Decoded(source, self.model.transform), workers, batch_size=self.batch_size, sampler=range(begin, end),
            collate_fn=_together, pin_memory=self.model.device.type == "cuda")
        features, width, broken = [], None, {}
        for indices, pixels, faults in self._shown(loading.items_of(loader), "images", batches):
            sound = np.array([index not in faults for index in indices])
            rows = np.full((len(indices), width or self._width()), np.nan, np.float32)
            if sound.any():
                rows[sound] = self.model.encode_images(pixels).cpu().numpy()
            names = [source.names[index] for index in indices]
            self._refuse_non_finite(rows[sound], "image", [name for name, fine in zip(names, sound) if fine])
            if not self.skips and faults:
                self._refuse_or_count({source.names[index]: fault for index, fault in faults.items()}, len(source))
            width = rows.shape[1]
            features.append(rows)
            broken.update(faults)
        return np.concatenate(features) if features else None, broken

    def _workers_for(self, batch_bytes, batches):
        """How many processes decode so many batches. Raises NoSpace where /dev/shm has no space for those asked for."""
        workers = min(MOST_WORKERS, os.cpu_count() or 1) if self.workers is None else self.workers
        for number in range(min(workers, max(batches, 1)), 0, -1):
            try:
                loading.refuse_too_little_space(batch_bytes, number, batches=batches, advice=["a smaller --batch-size"])
                return number
            except loading.NoSpace:
                if self.workers is not None:
                    raise
        return 0

    def _width(self):
        return len(self.model.encode_texts([""])[0])

    def _refuse_non_finite(self, rows, what, names):
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():                    # no score is greater than NaN, so that such a row would count as right
            raise BadData(f"{self.model.name}: gives features that are no numbers, e.g. for the {what} "
                          f"{names[int(np.argmin(finite))]}.")

    def _refuse_or_count(self, faults, total):
        """faults: {name of an image: [reason, detail]}"""
        names, reasons = list(faults), Counter(reason for reason, _ in faults.values())
        shown = ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")
        why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common()) if len(names) > 1 \
            else str(Corrupt(*faults[names[0]])).rstrip(".")
        if not self.skips:
            raise BadData(f"{shown}: cannot be decoded as {'an image' if len(names) == 1 else 'images'}: {why}. A score "
                          "over fewer images would be another score: make or fetch them again, or give --on-error skip, "
                          "which the result records.")
        self.tally["images skipped"] += len(names)
        self.skipped_for = reasons
        self.all_skipped_for += reasons
        if self.rank == 0:
            say(f"eval: {len(names):,} of {total:,} images cannot be decoded and are left out ({why}): {shown}")

    def _path_in_cache(self, source):
        if self.cache is None:
            return None
        key = [images.VERSION, self.model.fingerprint, self.model.precision, str(self.model.transform), self.model.mean,
               self.model.std, source.fingerprint()]
        return os.path.join(self.cache, hashlib.sha256(json.dumps(key).encode()).hexdigest() + ".npy")

    def _store(self, path, features, description):
        """Write features to the cache. Where that fails, say it once and write no more: later runs encode again."""
        try:
            with files.open_write(path, is_own=True) as stream:
                np.save(stream, features)
            files.write_bytes(_note_of(path), documents.dumped({**description, **files.content_of(path)}), is_own=True)
        except (OSError, Mc2Error) as error:
            self.stores = False
            say(f"eval: image features are not kept, {self.cache} cannot be written ({error}). --cache names another "
                "folder.")

    def _cached(self, path, rows):
        """(features, {index of a broken image: [reason, detail]}) in that file of the cache; (None, {}) where a rank
        does not find it."""
        features = _opened(path, rows) if path else None
        if features is not None and not self.skips and np.isnan(features[:, 0]).any():
            features = None                     # of a run that skipped: encode again, to name the broken ones
        is_there = distributed.is_so_on_all(features is not None)
        return (features, _faults_of(path)) if is_there else (None, {})

    def _shown(self, batches, unit, number=None):
        return meter.shown(batches, "eval", f"batches of {self.batch_size} {unit}",
                           len(batches) if number is None else number, quiet=self.quiet or self.rank > 0)


class _Decoded(torch.utils.data.Dataset):
    """A data set of (index, uint8 (3, S, S), or the Corrupt of an image that cannot be decoded)."""

    def __init__(self, source, transform):
        self.source, self.transform = source, transform

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        try:
            return index, self.transform(self.source.read(index))
        except Corrupt as corrupt:
            return index, corrupt
        except OSError as error:
            return index, Corrupt("cannot be read", error.strerror or str(error))


def _together(batch):
    """(indices, uint8 (m, 3, S, S) of the images that could be decoded, {index: [reason, detail]} of the others)"""
    pixels = [found for _, found in batch if not isinstance(found, Corrupt)]
    faults = {index: [found.reason, found.detail] for index, found in batch if isinstance(found, Corrupt)}
    return [index for index, _ in batch], loading.shared(torch.from_numpy(np.stack(pixels))) if pixels else None, faults


def _note_of(path):
    """The file beside a file of features that says what they are of, and their checksum."""
    return path.removesuffix(".npy") + ".json"


def _opened(path, rows):
    """The features in a file of the cache, float32 with that many rows, mapped; None where it holds something else, is
    damaged, or its note is."""
    try:
        if documents.read(_note_of(path), "").get("crc32") != files.crc32_of(path):
            return None
        features = parsing.array(path, mapped=True)
    except (OSError, ValueError, BadData):
        return None
    return features if features.ndim == 2 and len(features) == rows and features.dtype == np.float32 else None


def _faults_of(path):
    """{index of a broken image: [reason, detail]} that the note of features in the cache has."""
    return {int(index): fault for index, fault in documents.read(_note_of(path), "").get("broken", {}).items()}
