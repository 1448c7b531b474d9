"""Means and differences over seeds, with 95 % intervals of Student's t. No SciPy is needed.

A difference is paired: that of the two runs of each seed, which share the seed's draws of pairs. It is called greater
only where its interval leaves out zero.
"""
import math
from typing import NamedTuple

import numpy as np

LEVEL = 0.95


class Estimate(NamedTuple):
    """A mean over n seeds, and the half of its interval; half is infinite of a single seed."""

    mean: float
    half: float
    n: int

    @property
    def sign(self):
        """`>`, `<`, or `~` where the interval holds zero."""
        return ">" if self.mean > self.half else "<" if self.mean < -self.half else "~"


def estimate(values):
    """The Estimate of numbers, one for each seed."""
    values = np.asarray(values, float)
    n = len(values)
    half = t_quantile(n - 1) * values.std(ddof=1) / math.sqrt(n) if n > 1 else math.inf
    return Estimate(float(values.mean()), float(half), n)


def difference(first, second):
    """The Estimate of first - second over the seeds that both have, or None where they share none. first, second:
    {seed: number}"""
    shared = sorted(first.keys() & second.keys())
    return estimate([first[seed] - second[seed] for seed in shared]) if shared else None


def t_quantile(freedom, level=LEVEL):
    """The t that |T| does not exceed with the probability `level`, T of Student's distribution."""
    low, high = 0.0, 1.0
    while share_within(high, freedom) < level:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if share_within(middle, freedom) < level else (low, middle)
    return high


def share_within(t, freedom):
    """The probability that |T| <= t. With t = sqrt(freedom) tan(angle) the density is a power of the cosine, whose
    integral is a finite sum (Abramowitz and Stegun 26.7.3, 26.7.4)."""
    angle = math.atan2(t, math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    term = total = cosine if freedom % 2 else 1.0
    for k in range(3 if freedom % 2 else 2, freedom, 2):
        term *= cosine ** 2 * (k - 1) / k
        total += term
    if freedom % 2 == 0:
        return sine * total
    return 2 / math.pi * (angle + (sine * total if freedom > 1 else 0))
