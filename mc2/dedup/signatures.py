"""Signatures of the images of a tar or a folder, kept in a file.

A Specification says what a signature is: 64 signs of the features of a model, less their mean, times a random matrix that a
seed stands for; or a perceptual hash. Signatures can be compared where their specifications are the same one.

Without the mean, the features of unrelated pictures point in one direction, and their signs agree far too often. It is
that of a sample of the training images, and is kept with the specification.

    val-1a2b3c4d.sig.zst    a line of JSON (specification, names), then n signatures and n contents, uint64: the first
                            64 bits of the SHA-256 of each encoded image
"""
import hashlib
import math
import os
import time
from typing import NamedTuple

import numpy as np
import orjson

from mc2 import __version__, documents, files, keys, manifests, tars, temporaries
from mc2.dedup.descriptors import open_descriptor, packed
from mc2.errors import BadData, BadUsage
from mc2.evaluation.sources import Files, images_below
from mc2.terminal import say

SUFFIX = ".sig.zst"
KIND = "signatures"
BATCH = 64                      # images that a model gets at a time
OVER = 32                       # tars of which the sample is taken


class Specification:
    """What a signature is. content: {"descriptor": its description, "seed": of the projection, "mean": list of float, "of":
    how many images the mean is of}; of a perceptual hash, the descriptor alone"""

    def __init__(self, content):
        self.content = content
        self.fingerprint = manifests.fingerprint(content)

    def signatures(self, descriptor, pictures):
        """uint64 (n,) of pictures as the descriptor prepared them."""
        if "mean" not in self.content:
            return descriptor.signatures(pictures)
        features = descriptor.features(pictures) - np.array(self.content["mean"])
        return packed(features @ projection(self.content["seed"], features.shape[1]) > 0)


def projection(seed, dimensions):
    """float64 (dimensions, 64), normally distributed: the same for a seed everywhere. NumPy promises the numbers of Philox
    to stay the same, but not those of its normal distribution, so they are made here (Box and Muller)."""
    raw = np.random.Philox(key=seed).random_raw(2 * 64 * dimensions).reshape(2, dimensions, 64)
    first, second = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0 ** -53
    return np.sqrt(-2 * np.log(first)) * np.cos(2 * math.pi * second)


# ---------------------------------------------------------------- images

def images_of(path, tell=say):
    """Yield (names, bytes) of the images of a tar, or of the folder `path`. names: as mc2.keys gives them."""
    if os.path.isdir(path):
        found = images_below(path)
        for name in found:
            yield [name], files.read_bytes(os.path.join(path, name))
        return
    try:
        for key, members in tars.samples(path):
            if extension := tars.image(members):
                yield list(keys.names(key, tars.record(members))), members[extension]
    except tars.Damaged as damage:
        tell(f"warning: {damage} The images before are compared.")


def pictures(path, descriptor, tell=say):
    """Yield (names, the first 64 bits of the SHA-256, the prepared picture or None where it cannot be decoded)."""
    from mc2.clip import images
    for names, data in images_of(path, tell):
        content = int.from_bytes(hashlib.sha256(data).digest()[:8], "big")
        try:
            yield names, content, descriptor.prepare(images.decode(data))
        except images.Corrupt:
            yield names, content, None


def mean_of_sample(descriptor, paths, n):
    """(mean of the features, how many images they are of): the first images of tars that are spread over all."""
    paths = sorted(paths)
    chosen = paths[::max(1, len(paths) // OVER)][:OVER]
    each, total, number = math.ceil(n / len(chosen)), 0.0, 0
    for path in chosen:
        batch = []
        for _, _, picture in pictures(path, descriptor, lambda message: None):
            if picture is not None:
                batch.append(picture)
            if len(batch) == each:
                break
        for first in range(0, len(batch), BATCH):
            features = descriptor.features(batch[first:first + BATCH])
            total, number = total + features.sum(0), number + len(features)
    if not number:
        raise BadData("none of the images of the sample can be decoded, so there is no mean of their features.")
    return total / number, number


# ---------------------------------------------------------------- files

class Signed(NamedTuple):
    """The signatures of some images. names: [names] of each; signatures, contents: uint64 (n,); broken: how many images
    could not be decoded, and are not there."""

    specification: dict
    names: list
    signatures: object
    contents: object
    broken: int = 0


def write(path, signed):
    header = {"specification": signed.specification, "names": signed.names, "broken": signed.broken}
    with files.open_write(path, is_own=True) as stream:
        stream.write(orjson.dumps(header) + b"\n")
        for values in (signed.signatures, signed.contents):
            stream.write(values.astype("<u8").tobytes())


def read(path):
    """The Signed of a file. Raises BadData where it is no such file."""
    try:
        with files.open_read(path) as stream:
            header, _, data = stream.read().partition(b"\n")
        header = orjson.loads(header)
        values = np.frombuffer(data, "<u8").astype(np.uint64).reshape(2, len(header["names"]))
        return Signed(header["specification"], header["names"], *values, header["broken"])
    except (ValueError, KeyError, TypeError):
        raise BadData(f"{files.name_of(path)}: holds no signatures of 'mc2 dedup images', or is damaged.") from None


class Sign:
    """The task that signs images. Items are paths of tars, or of folders of images.

    model: name of a descriptor; options: arguments of open_descriptor. outputs: {item: path of its signatures}
    """

    name = "sign"

    def __init__(self, specification, model, options, outputs, logs=None):
        self.specification, self.model, self.options, self.outputs, self.logs = specification, model, options, outputs, logs
        self._descriptor = None

    def __getstate__(self):
        return {**self.__dict__, "_descriptor": None}

    def output(self, item):
        return self.outputs[item]

    def name_of(self, item):
        return files.printable(files.base_name(item.rstrip("/")))

    def log_path(self, item):
        return self.logs and os.path.join(self.logs, files.base_name(self.output(item)) + ".log")

    def discard(self, item):
        temporaries.discard_abandoned(self.output(item))

    def description(self, item):
        """All that the signatures depend on."""
        described = {"name": item, "images": Files(item, images_below(item)).fingerprint()} if os.path.isdir(item) \
            else manifests.describe_file(item)
        return {"mc2": __version__, "input": described, "specification": self.specification.fingerprint}

    def is_done(self, item):
        return manifests.is_of(self.output(item), self.description(item)) is not None

    def __call__(self, item):
        started, description = time.monotonic(), self.description(item)
        if self._descriptor is None:
            self._descriptor = open_descriptor(self.model, **self.options)
            _refuse_another(self._descriptor, self.specification)
        names, contents, parts, batch, broken = [], [], [], [], 0
        for its_names, content, picture in pictures(item, self._descriptor):
            if picture is None:
                broken += 1
                continue
            names.append(its_names)
            contents.append(content)
            batch.append(picture)
            if len(batch) == BATCH:
                parts.append(self.specification.signatures(self._descriptor, batch))
                batch = []
        if batch:
            parts.append(self.specification.signatures(self._descriptor, batch))
        if self.description(item) != description:
            raise BadData(f"{item}: changed while it was read. Run again when it is complete.")
        signatures = np.concatenate(parts) if parts else np.zeros(0, np.uint64)
        contents = np.array(contents, np.uint64)
        write(self.output(item), Signed(self.specification.content, names, signatures, contents, broken))
        manifests.write_for_file(self.output(item), manifests.describe_run(
            KIND, [item], {}, {"in": len(names) + broken, "out": len(names)}, time.monotonic() - started,
            description=description))
        return len(names)


def _refuse_another(descriptor, specification):
    if descriptor.description != specification.content["descriptor"]:
        raise BadData(f"{descriptor.description.get('model')}: changed while the signatures were made. Run again.")


def specification_of(path, descriptor, tars_of, seed, sample):
    """The Specification in a file, where it is of this descriptor, seed and size of the sample; else one that is made and
    written there."""
    if not hasattr(descriptor, "features"):
        content = {"descriptor": descriptor.description}
    else:
        found = read_specification(path)
        wanted = {"descriptor": descriptor.description, "seed": seed, "sample": sample}
        if found is not None and {key: found.get(key) for key in wanted} == wanted:
            return Specification(found)
        mean, number = mean_of_sample(descriptor, tars_of, sample)
        content = {**wanted, "of": number, "mean": [float(f"{value:.9g}") for value in mean]}
    files.write_bytes(path, documents.dumped(content), is_own=True)
    return Specification(content)


def read_specification(path):
    """The content of a specification, None where there is none."""
    try:
        return documents.parsed(files.read_bytes(path), path, "")
    except (OSError, BadData):
        return None


def refuse_others(path, signed, specification):
    """Raise BadUsage where signatures of a file are of another specification."""
    if Specification(signed.specification).fingerprint != specification.fingerprint:
        theirs, ours = (each.get("descriptor", {}).get("model", each.get("descriptor", {}).get("method"))
                        for each in (signed.specification, specification.content))
        raise BadUsage(f"{path}: its signatures are of another specification ({theirs}, these are of {ours}; or of "
                       "another mean or seed), so they cannot be compared. Name the images themselves, or give "
                       "--specification with the one that they were made with.")
