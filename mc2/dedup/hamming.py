"""Signatures of 64 bits that differ in few bits, and how often they do by chance.

Two signatures that differ in at most k bits differ in at most k // 4 of the 16 bits of one of their four bands. So the
searched ones are put into the buckets of all values that their band can have with so many differences, and each of the
others looks into one bucket of each band. The native core does the same (mc2/native/dedup/nearest.hpp).
"""
import math

import numpy as np

from mc2 import engines

BITS, BAND = 64, 16
MOST_K = 15
NONE = 255                      # the distance where nothing is near enough
ENTRIES = 8 << 20               # of all buckets of a band, at a time
CANDIDATES = 4 << 20            # pairs that are compared at a time

_ONES = np.array([bin(number).count("1") for number in range(1 << BAND)], np.uint8)


def ones(values):
    """uint8: how many bits of each are set. values: uint64"""
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(values)
    return sum(_ONES[(values >> np.uint64(shift)) & np.uint64(0xFFFF)] for shift in range(0, BITS, BAND)).astype(np.uint8)


def nearest(queries, searched, k):
    """(distances uint8 (n,), rows int64 (n,)) of the searched signature that is nearest to each query, the first of
    several; NONE and 0 where all differ in more than k bits. queries, searched: uint64 (n,), (m,). k: at most MOST_K"""
    if native := engines.native():
        distances, rows = native.nearest_signatures(queries, searched, k)
        return distances, rows.astype(np.int64)
    best = np.full(len(queries), (NONE << 32), np.int64)            # distance, then row: the smallest is wanted
    changes = np.flatnonzero(_ONES <= k // 4).astype(np.uint64)
    at_once = max(1, ENTRIES // len(changes))
    for first in range(0, len(searched), at_once):
        for shift in range(0, BITS, BAND):
            _look_up(queries, searched[first:first + at_once], first, shift, changes, k, best)
    return (best >> 32).astype(np.uint8), best & 0xFFFFFFFF


def _look_up(queries, searched, first, shift, changes, k, best):
    """Improve `best` by one band."""
    values = (_band(searched, shift)[:, None] ^ changes).ravel().astype(np.uint16)      # sorted by their digits: fast
    order = np.argsort(values, kind="stable")
    rows, begins = order // len(changes), np.concatenate([[0], np.cumsum(np.bincount(values, minlength=1 << BAND))])
    mine = _band(queries, shift).astype(np.int64)
    lengths = begins[mine + 1] - begins[mine]
    ends = np.cumsum(lengths)
    start = 0
    while start < len(queries):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + CANDIDATES, "right")))
        its = lengths[start:stop]
        query = np.repeat(np.arange(start, stop), its)
        entry = np.arange(len(query)) - np.repeat(np.cumsum(its) - its, its) + np.repeat(begins[mine[start:stop]], its)
        row = rows[entry]
        distances = ones(queries[query] ^ searched[row])
        near = distances <= k
        np.minimum.at(best, query[near], (distances[near].astype(np.int64) << 32) + row[near] + first)
        start = stop


def _band(signatures, shift):
    return (signatures >> np.uint64(shift)) & np.uint64(0xFFFF)


# ---------------------------------------------------------------- by chance

def chance(k, p=0.5, bits=BITS):
    """The probability that two signatures differ in at most k bits, where each bit differs with probability p."""
    return math.fsum(math.comb(bits, d) * p ** d * (1 - p) ** (bits - d) for d in range(k + 1))


def chance_by(mean, variance, k, bits=BITS):
    """The same for pairs of which each has a p of its own, as pictures have that are more or less alike: distances of
    this mean and variance, p being distributed as a beta distribution. The binomial where they vary no more than by it."""
    p = min(max(mean / bits, 1e-9), 1 - 1e-9)
    overdispersion = (variance / (bits * p * (1 - p)) - 1) / (bits - 1)
    if overdispersion <= 1e-6:
        return chance(k, p, bits)
    total = 1 / overdispersion - 1
    if total <= 0:
        return 1.0
    a, b = p * total, (1 - p) * total
    beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.fsum(math.comb(bits, d) * math.exp(
        math.lgamma(d + a) + math.lgamma(bits - d + b) - math.lgamma(bits + a + b) - beta) for d in range(k + 1))


def share_lost(probability, n):
    """The share of unrelated images that is near one of n others, by chance. probability: for two of them"""
    return -math.expm1(n * math.log1p(-min(probability, 1 - 1e-12)))
