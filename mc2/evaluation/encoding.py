"""Features of images and texts: every rank encodes its part, all ranks get all. Image features are cached as .npy
files, so that a benchmark in 280 languages costs one pass over its images.
"""
import hashlib
import json
import os
import sys
from collections import Counter

import numpy as np
import torch
import torch.distributed as dist

from mc2 import files
from mc2.errors import BadData, Mc2Error

NAMED = 3               # broken images that a message names


class Encoder:
    """Encodes with one model. tally: how many images were encoded, taken from the cache, skipped; texts encoded.
    skipped: how many of the last source."""

    def __init__(self, model, *, cache=None, batch_size=64, workers=0, on_error="stop", quiet=False):
        """cache: a directory or None. workers: processes that decode images. on_error: at an image that cannot be
        decoded `stop`, or `skip` it and count it."""
        self.model, self.cache, self.batch_size, self.workers = model, cache, batch_size, workers
        self.skips, self.quiet = on_error == "skip", quiet
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self.tally, self.skipped, self.stores = Counter(), 0, True

    def images(self, source):
        """(features, kept) of a source: float32 (n, d), L2-normalised, a row for each image of `kept`; kept: int64
        indices of the images that could be decoded: all, unless broken ones are skipped. BadData names them."""
        if not len(source):
            raise BadData("there are no images to encode.")
        path = self._place(source)
        features = self._cached(path, len(source))
        if features is None:
            features = self._gathered(self._encode_images(source))
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
        begin, end = self._share(len(texts))
        self.tally["texts encoded"] += len(texts)
        parts = [self.model.encode_texts(texts[start:min(start + self.batch_size, end)]).cpu().numpy()
                 for start in self._bar(range(begin, end, self.batch_size), "texts")]
        own = self._gathered(np.concatenate(parts) if parts else None)
        if own is None:
            return np.zeros((0, self._width()), np.float32)
        self._refuse_non_finite(own, "text", texts)
        return own

    def _encode_images(self, source):
        begin, end = self._share(len(source))
        loader = torch.utils.data.DataLoader(
            _Decoded(source, self.model.transform), batch_size=self.batch_size, sampler=range(begin, end),
            num_workers=min(self.workers, max(end - begin, 1)), collate_fn=_together,
            pin_memory=self.model.device.type == "cuda")
        features, width = [], None
        for indices, pixels, sound in self._bar(loader, "images"):
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
        if not finite.all():                    # they would compare as smaller than nothing, and so count as right
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
            print(f"eval: {len(names):,} of {total:,} images cannot be decoded and are left out: {shown}",
                  file=sys.stderr)

    def _share(self, total):
        return total * self.rank // self.world, total * (self.rank + 1) // self.world

    def _gathered(self, own):
        """The rows of all ranks one below the other, on every rank; None where there are none at all."""
        if self.world == 1:
            return own
        shapes = [None] * self.world
        dist.all_gather_object(shapes, None if own is None else own.shape)
        width = next((shape[1] for shape in shapes if shape), None)
        if width is None:
            return None
        most = max(shape[0] for shape in shapes if shape)
        padded = torch.zeros(most, width)
        if own is not None:
            padded[:len(own)] = torch.from_numpy(own)
        parts = [torch.empty(most, width) for _ in range(self.world)]
        dist.all_gather(parts, padded)
        return np.concatenate([part[:shape[0]].numpy() for part, shape in zip(parts, shapes) if shape])

    def _place(self, source):
        if self.cache is None:
            return None
        key = [self.model.fingerprint, self.model.precision, str(self.model.transform), self.model.mean, self.model.std,
               source.fingerprint()]
        return os.path.join(self.cache, hashlib.sha256(json.dumps(key).encode()).hexdigest() + ".npy")

    def _store(self, path, features, description):
        """Keep features for other runs; a cache that cannot be written is said once and costs nothing but time."""
        try:
            with files.open_write(path) as stream:
                np.save(stream, features)
            files.write_bytes(path.removesuffix(".npy") + ".json", json.dumps(description, indent=2).encode() + b"\n")
        except (OSError, Mc2Error) as error:
            self.stores = False
            print(f"eval: image features are not kept, {self.cache} cannot be written ({error}). --cache names another "
                  "folder.", file=sys.stderr)

    def _cached(self, path, rows):
        """The features of that file where every rank sees it, else None."""
        features = _opened(path, rows) if path else None
        if features is not None and not self.skips and np.isnan(features[:, 0]).any():
            features = None                     # of a run that skipped: encode again, to name the broken ones
        if self.world == 1:
            return features
        seen = [None] * self.world
        dist.all_gather_object(seen, features is not None)
        return features if all(seen) else None

    def _bar(self, iterable, unit):
        from tqdm import tqdm
        hidden = True if self.quiet or self.rank else None        # None: on a terminal only
        return tqdm(iterable, desc=f"{unit} in batches of {self.batch_size}", disable=hidden, leave=False)


class _Decoded(torch.utils.data.Dataset):
    """index -> (index, uint8 (3, S, S), or None where the image cannot be decoded)"""

    def __init__(self, source, transform):
        self.source, self.transform = source, transform

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        from mc2.clip.images import Corrupt
        try:
            return index, self.transform(self.source.read(index))
        except (Corrupt, OSError):
            return index, None


def _together(batch):
    """(indices, uint8 (m, 3, S, S) of the sound ones, bool (n,) which are sound)"""
    sound = np.array([pixels is not None for _, pixels in batch])
    pixels = [pixels for _, pixels in batch if pixels is not None]
    return [index for index, _ in batch], torch.from_numpy(np.stack(pixels)) if pixels else None, sound


def _opened(path, rows):
    try:
        features = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return features if features.ndim == 2 and len(features) == rows and features.dtype == np.float32 else None
