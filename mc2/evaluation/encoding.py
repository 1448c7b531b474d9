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
from mc2.clip import distributed
from mc2.clip.images import Corrupt
from mc2.errors import BadData, Mc2Error
from mc2.terminal import say

NAMED = 3               # a message names so many broken images


class Encoder:
    """Encodes images and texts with one model.

    tally: how many images were encoded, taken from the cache and skipped, and how many texts were encoded; skipped: how
    many images of the last source were skipped.
    """

    def __init__(self, model, *, cache=None, batch_size=64, workers=0, on_error="stop", quiet=False):
        """cache: a directory or None. workers: processes that decode images. on_error: `stop` at an image that cannot
        be decoded, or `skip` it and count it."""
        self.model, self.cache, self.batch_size, self.workers = model, cache, batch_size, workers
        self.skips, self.quiet = on_error == "skip", quiet
        self.rank, self.world = distributed.rank_and_world()
        self.tally, self.skipped, self.stores = Counter(), 0, True

    def images(self, source):
        """(features, kept) of a source. kept: int64 (n,), the indices of the images that could be decoded: all, unless
        broken ones are skipped. features: float32 (n, d), L2-normalised, a row for each of them. BadData names broken
        images."""
        if not len(source):
            raise BadData("there are no images to encode.")
        path = self._path_in_cache(source)
        features = self._cached(path, len(source))
        if features is None:
            features = distributed.rows_of_all(self._encode_images(source))
            self.tally["images encoded"] += len(source)
            if path and self.rank == 0 and self.stores:
                self._store(path, features, {"model": self.model.description, "images": len(source)})
        else:
            self.tally["images from the cache"] += len(source)
        broken = np.isnan(features[:, 0])
        self.skipped = int(broken.sum())
        if not broken.any():
            return features, np.arange(len(source))
        self._refuse_or_count([source.names[index] for index in np.flatnonzero(broken)], len(source))
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
        loader = torch.utils.data.DataLoader(
            _Decoded(source, self.model.transform), batch_size=self.batch_size, sampler=range(begin, end),
            num_workers=min(self.workers, max(end - begin, 1)), collate_fn=_together,
            pin_memory=self.model.device.type == "cuda")
        features, width = [], None
        for indices, pixels, sound in self._shown(loader, "images"):
            rows = np.full((len(indices), width or self._width()), np.nan, np.float32)
            if sound.any():
                rows[sound] = self.model.encode_images(pixels).cpu().numpy()
            names = [source.names[index] for index in indices]
            self._refuse_non_finite(rows[sound], "image", [name for name, fine in zip(names, sound) if fine])
            if not self.skips and not sound.all():
                self._refuse_or_count([name for name, fine in zip(names, sound) if not fine], len(source))
            width = rows.shape[1]
            features.append(rows)
        return np.concatenate(features) if features else None

    def _width(self):
        return len(self.model.encode_texts([""])[0])

    def _refuse_non_finite(self, rows, what, names):
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():                    # no score is greater than NaN, so that such a row would count as right
            raise BadData(f"{self.model.name}: gives features that are no numbers, e.g. for the {what} "
                          f"{names[int(np.argmin(finite))]}.")

    def _refuse_or_count(self, names, total):
        shown = ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")
        if not self.skips:
            raise BadData(f"{shown}: cannot be decoded as {'an image' if len(names) == 1 else 'images'}. A score over "
                          "fewer images would be another score: fetch them again, or give --on-error skip, which the "
                          "result records.")
        self.tally["images skipped"] += len(names)
        if self.rank == 0:
            say(f"eval: {len(names):,} of {total:,} images cannot be decoded and are left out: {shown}")

    def _path_in_cache(self, source):
        if self.cache is None:
            return None
        key = [self.model.fingerprint, self.model.precision, str(self.model.transform), self.model.mean, self.model.std,
               source.fingerprint()]
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
        """The features in that file of the cache, or None where a rank does not find it."""
        features = _opened(path, rows) if path else None
        if features is not None and not self.skips and np.isnan(features[:, 0]).any():
            features = None                     # of a run that skipped: encode again, to name the broken ones
        return features if distributed.is_so_on_all(features is not None) else None

    def _shown(self, batches, unit):
        return meter.shown(batches, "eval", f"batches of {self.batch_size} {unit}", len(batches),
                           quiet=self.quiet or self.rank > 0)


class _Decoded(torch.utils.data.Dataset):
    """A data set of (index, uint8 (3, S, S), or None where the image cannot be decoded)."""

    def __init__(self, source, transform):
        self.source, self.transform = source, transform

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        try:
            return index, self.transform(self.source.read(index))
        except (Corrupt, OSError):
            return index, None


def _together(batch):
    """(indices, uint8 (m, 3, S, S) of the images that could be decoded, bool (n,): which ones these are)"""
    sound = np.array([pixels is not None for _, pixels in batch])
    pixels = [pixels for _, pixels in batch if pixels is not None]
    return [index for index, _ in batch], torch.from_numpy(np.stack(pixels)) if pixels else None, sound


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
