"""Alignment and uniformity of features on the unit sphere (Wang & Isola 2020, arXiv 2005.10242): how close the two
sides of a pair are, and how evenly images spread. Smaller is better for both."""
import numpy as np

from mc2.errors import BadData
from mc2.evaluation import readers, retrieval

DISTANCES = 1 << 24         # squared distances that are held at a time
T = 2                       # of exp(-t * squared distance)


def alignment(bench):
    """Yield the mean squared distance between the image and the text of a pair."""
    source, texts, owners = _pairs(bench)
    images, kept = bench.images(source)
    row_of = np.full(len(source), -1)
    row_of[kept] = np.arange(len(kept))
    owners = row_of[owners]
    features, rows = retrieval.encoded(bench, texts)
    owners, rows = owners[owners >= 0], rows[owners >= 0]
    yield bench.result("alignment", distance(images[owners], features[rows]), len(owners))


def uniformity(bench):
    """Yield the log of the mean potential of two distinct images of the pairs."""
    source, _, _ = _pairs(bench)
    images, _ = bench.images(source)
    if len(images) < 2:
        raise BadData(f"{bench.data}: uniformity is over pairs of images, and there are {len(images)}.")
    yield bench.result("uniformity", log_mean_potential(images), len(images))


def distance(x, y):
    """The mean over the rows of their squared distance. x, y: (n, d)"""
    parts = (slice(start, start + 8192) for start in range(0, len(x), 8192))
    total = sum(((x[part] - y[part]) ** 2).sum(dtype=np.float64) for part in parts)
    return float(total / len(x))


def log_mean_potential(x):
    """The log of the mean of exp(-2 ||x_i - x_j||^2) over all pairs i < j. x: (n, d), n at least 2.

    In parts of rows: memory grows with n, not with n * n.
    """
    x = np.asarray(x, np.float32)
    norms = (x ** 2).sum(axis=1)
    part, total = max(1, DISTANCES // len(x)), 0.0
    for start in range(0, len(x), part):
        rows = x[start:start + part]
        squared = norms[start:start + part, None] + norms[None, start:] - 2 * (rows @ x[start:].T)
        potential = np.exp(-T * np.maximum(squared, 0))
        total += np.triu(potential[:, :len(rows)], 1).sum(dtype=np.float64)
        total += potential[:, len(rows):].sum(dtype=np.float64)
    return float(np.log(total / (len(x) * (len(x) - 1) / 2)))


def _pairs(bench):
    """(source, texts, image of each text) of pairs.jsonl, in order."""
    path = bench.path("pairs.jsonl")
    source, captions = readers.pairs(path, [bench.path("images")], bench.whole_number("pairs", 0))
    texts = [text for texts, _ in captions.values() for text in texts]
    return source, texts, np.array([owner for _, owners in captions.values() for owner in owners], np.int64)
