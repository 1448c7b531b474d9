"""Choose t of English: how many pairs are kept at each, from the sample of matched pairs that counts/ holds.

From t of English follow the tail share p and t of every other language (mc2/balancing/algorithm.py). With a larger t no
pair is less probable, so the t that keeps a given number of pairs is found by bisection.
"""
import math
from typing import NamedTuple

import numpy as np

from mc2.balancing import algorithm, thresholds
from mc2.errors import BadData
from mc2.tables import align

FEW = 100               # matched pairs of a language: with fewer, it is not named among those that lose most
LOSERS = 4              # languages that a line of the table names
POINTS = 10             # of a sweep


class Row(NamedTuple):
    """A language at some t of English."""

    t: float                # a whole number, unless the counts are of a part of the pool
    matched: float          # pairs
    expected: float         # number of pairs that are kept
    error: float            # its standard error

    @property
    def kept(self):
        return self.expected / self.matched


class Point(NamedTuple):
    """All languages at some t of English."""

    t_en: int
    p: float
    languages: dict         # {lang: Row}, of those with a matched pair

    @property
    def pairs(self):
        """Expected number of pairs that are kept."""
        return math.fsum(row.expected for row in self.languages.values())

    @property
    def error(self):
        """Its standard error."""
        return math.sqrt(sum(row.error ** 2 for row in self.languages.values()))

    @property
    def matched(self):
        return sum(row.matched for row in self.languages.values())

    def losers(self):
        """[(lang, Row)] of all languages, those first that keep the smallest part of their matched pairs; those with
        very few pairs come last."""
        return sorted(self.languages.items(), key=lambda item: (item[1].matched < FEW, item[1].kept, item[0]))


class Curve:
    """How many pairs are kept at each t of English: curve.at(t_en) is a Point.

    counts: mc2.balancing.counting.Counts with samples. min_t: as in thresholds.derive. pool: the number of pairs of the
    pool, where the counts are those of a part of it that was taken at random. All numbers are then those of the pool: t
    in the pool is as many times as large as in the part, as counts are. Raises BadData without English matches.
    """

    def __init__(self, counts, min_t=None, pool=None):
        thresholds.refuse_without_english(counts, "t of English")
        pairs = sum(counts.pairs.values())
        if pool is not None and pool < pairs:
            raise BadData(f"--pool {pool:,}: is smaller than the {pairs:,} pairs that were counted. Leave it out, or "
                          f"name the number of pairs that these are a part of.")
        self.scale = 1 if pool is None else pool / pairs
        self.counts, self.min_t = counts, min_t and min_t / self.scale
        self.largest = math.ceil(int(counts.entry_counts["en"].max()) * self.scale) + 1     # it keeps every pair
        self.langs = [lang for lang, matched in counts.matched.items() if matched]
        self._entry_counts = {lang: counts.entry_counts[lang] for lang in self.langs}
        self._shares = {lang: thinned(*algorithm.cumulative_shares(its)) for lang, its in self._entry_counts.items()}
        self._matched_counts = {lang: counts.entry_counts[lang][counts.samples[lang].ids] for lang in self.langs}
        self._points = {}

    def at(self, t_en):
        """The Point of a t of English, a whole number."""
        if t_en not in self._points:
            self._points[t_en] = self._point(t_en)
        return self._points[t_en]

    def _point(self, t_en):
        t, _, p = algorithm.t_per_language(self._entry_counts, t_en / self.scale, min_t=self.min_t, shares=self._shares)
        rows = {}
        for lang in self.langs:
            matched = self.counts.matched[lang]
            found = thresholds.expected_of_sample(self.counts.samples[lang], self._matched_counts[lang], matched,
                                                  t[lang])
            rows[lang] = Row(_whole(t[lang] * self.scale), _whole(matched * self.scale),
                             *(value * self.scale for value in found))
        return Point(t_en, p, rows)

    def tail_share(self, point):
        """The share of all matches, of all languages, that falls on entries of the tail at this Point."""
        tail = sum(int(counts[counts < point.languages[lang].t / self.scale].sum())
                   for lang, counts in self._entry_counts.items())
        return tail / sum(int(counts.sum()) for counts in self._entry_counts.values())

    def find(self, pairs):
        """The Point whose expected number of pairs is closest to this one. Raises BadData where fewer pairs match."""
        most = self.at(self.largest)
        if pairs > most.pairs:
            raise BadData(f"--pairs {pairs:,}: only {most.pairs:,.0f} pairs match anything, and no t keeps more than "
                          f"all of them. Name fewer, or take a larger pool.")
        high = self._first_with(pairs)
        return min((self.at(t) for t in (max(high - 1, 1), high)), key=lambda point: abs(point.pairs - pairs))

    def range_of(self, point):
        """(the smallest, the largest) t of English whose expected number of pairs is that of the Point, within its
        standard error."""
        lowest, highest = point.pairs - point.error, point.pairs + point.error
        smallest = self._first_with(lowest) if self.at(1).pairs < lowest else 1
        largest = self._first_with(np.nextafter(highest, math.inf)) - 1 if highest < self.at(self.largest).pairs \
            else self.largest - 1
        return min(smallest, point.t_en), max(largest, point.t_en)

    def _first_with(self, pairs):
        """The smallest t of English that keeps so many pairs at least, which the largest does."""
        low, high = 1, self.largest
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.at(middle).pairs >= pairs else (middle + 1, high)
        return low


def _whole(value):
    return int(value) if value == int(value) else value


def thinned(counts, shares):
    """Cumulative shares without those that p_to_t never needs: of entries of one count, the first and the last are
    enough."""
    if not len(counts):
        return counts, shares
    begins = np.append(True, counts[1:] != counts[:-1])
    keep = begins | np.append(begins[1:], True)
    return counts[keep], shares[keep]


def spread(first, last, points=POINTS):
    """Whole numbers from the first to the last, at equal ratios as far as that goes, each once. list of int"""
    return sorted({first, last, *(round(t) for t in np.geomspace(first, last, points).tolist())})


def table(curve, points):
    """The Points of a sweep as lines of text."""
    rows = [["t_en", "p", "expected pairs", "of matched", "tail share", "languages losing most (kept)"]]
    for point in points:
        losers = ", ".join(f"{lang} {row.kept:.0%}" for lang, row in point.losers()[:LOSERS])
        rows.append([f"{point.t_en:,}", f"{point.p:.4f}", with_error(point), f"{point.pairs / point.matched:.1%}",
                     f"{curve.tail_share(point):.4f}", losers])
    return align(rows, right=range(5))


def with_error(point):
    return thresholds.with_error(point.pairs, point.error)


def warning(curve, point, pairs):
    """A sentence where the Point that was found keeps another number of pairs than was asked for, else None."""
    if abs(point.pairs - pairs) <= max(2 * point.error, 0.01 * pairs):
        return None
    if point.t_en == 1 and point.pairs > pairs:
        return (f"even t = 1 of English keeps {point.pairs:,.0f} pairs, so no t of English keeps {pairs:,}. Ask for "
                f"more, or try --t-all, one t for all languages.")
    return (f"no t comes closer to {pairs:,} pairs, as counts are coarse: the next one changes t of many languages at "
            f"once.")


def said(curve, point):
    """The Point that was looked for, in a sentence: with the t of English that could be meant as well, by its error."""
    first, last = curve.range_of(point)
    between = f" ({first:,} to {last:,} within its error)" if point.error else ""
    return f"t_en = {point.t_en:,}{between} keeps {with_error(point)} of {point.matched:,.0f} matched pairs"


def report(curve, point, pairs):
    """What was found where so many pairs were asked for, as lines."""
    doubt = warning(curve, point, pairs)
    return [f"--pairs {pairs:,}: {said(curve, point)}", *([f"warning: {doubt}"] if doubt else [])]


def as_json(curve, point):
    """A Point as a JSON value."""
    languages = {lang: {"t": row.t, "matched_pairs": row.matched, "expected_pairs": row.expected,
                        "expected_pairs_error": row.error, "kept": row.kept} for lang, row in point.losers()}
    return {"t_en": point.t_en, "p": point.p, "expected_pairs": point.pairs, "expected_pairs_error": point.error,
            "matched_pairs": point.matched, "tail_share": curve.tail_share(point), "languages": languages}
