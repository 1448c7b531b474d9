"""What `mc2 filter apply` would leave out, and what other limits would: tables for people, nothing is written."""
from collections import Counter

import numpy as np

from mc2 import manifests
from mc2.execution.receipt import add_up
from mc2.execution.stage import Stages
from mc2.safety import rules as rule_kinds
from mc2.safety.words import KEY as TEXT_FLAGS
from mc2.tables import align

LIMITS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)       # of scores from 0 to 1
SHARES = (0, 0.5, 0.9, 0.99, 0.999)         # of all others: the limits are values that these shares do not exceed
USUAL = ("nsfw", "faces")                   # numbers that are looked at where pairs have them
GIVEN = " (given)"


class Scores:
    """How often each value of some keys occurs. Values are told apart to four digits, and exactly at the given
    limits."""

    def __init__(self, thresholds, keys=USUAL):
        self.thresholds = list({each.name: each for each in thresholds}.values())
        self.keys = list(dict.fromkeys([*keys, *(each.key for each in thresholds)]))
        self.pairs, self.values = 0, {key: Counter() for key in self.keys}
        self.at_given, self.flags = Counter(), Counter()

    def add(self, batch):
        self.pairs += len(batch)
        for key in self.keys:
            values = [value for value in batch.column(key) if rule_kinds.is_number(value)]
            found, times = np.unique(np.array(values, np.float64), return_counts=True)
            for value, count in zip(found.tolist(), times.tolist()):
                self.values[key][float(f"{value:.4g}")] += count
            for each in self.thresholds:
                if each.key == key:
                    self.at_given[each.name] += sum(map(each.goes, values))
        for names in batch.column(TEXT_FLAGS):
            if rule_kinds.are_names(names):
                self.flags.update(["scored", *(["any list"] if names else []), *(("list", name) for name in names)])

    def tables(self):
        """Yield (header, rows) for each key that pairs have."""
        for key in self.keys:
            if self.values[key] or any(each.key == key for each in self.thresholds):
                yield (key, "pairs that go", "share"), list(self._rows(key))
        if self.flags:
            names = sorted(name for name in self.flags if isinstance(name, tuple))
            rows = [("any list", self.flags["any list"]), *((name[1], self.flags[name]) for name in names),
                    ("not scored", self.pairs - self.flags["scored"])]
            yield (TEXT_FLAGS, "pairs that go", "share"), [self._row(*row) for row in rows]

    def _rows(self, key):
        values = np.array(sorted(self.values[key]))
        times = np.array([self.values[key][value] for value in values.tolist()], np.int64)
        its = [each for each in self.thresholds if each.key == key]
        is_above = {each.above for each in its} or {True}
        for above in sorted(is_above, reverse=True):
            word = "above" if above else "below"
            given = {each.limit: each for each in its if each.above == above}
            for limit in sorted({*given, *_limits(values, times)}):
                if limit in given:
                    yield self._row(given[limit].name.removeprefix(f"{key} ") + GIVEN, self.at_given[given[limit].name])
                else:
                    yield self._row(f"{word} {limit:g}",
                                    int(times[values > limit if above else values < limit].sum()))
        yield self._row("not scored", self.pairs - int(times.sum()))

    def _row(self, name, count):
        return name, f"{count:,}", f"{count / max(1, self.pairs):.2%}"


def _limits(values, times):
    if not len(values):
        return ()
    if 0 <= values[0] and values[-1] <= 1 and not np.array_equal(values, np.round(values)):
        return LIMITS
    upto = np.cumsum(times) / times.sum()
    return {float(values[min(np.searchsorted(upto, share), len(values) - 1)]) for share in SHARES} - {float(values[-1])}


def scored_keys(inputs):
    """The keys that the manifests of these inputs say they were given by `mc2 filter score`."""
    found = dict.fromkeys(USUAL)
    for path in inputs[:1]:
        options = ((manifests.read_if_whole(path) if path != "-" else None) or {}).get("options", {})
        for scores in options.get("scores", ()) if isinstance(options, dict) else ():
            found.update(dict.fromkeys(key for key in scores.get("keys", ()) if key not in (TEXT_FLAGS, "face_bboxes")))
    return list(found)


def lines(run, stage):
    """Yield the lines that say what would go. run: the Run. stage: an Apply that drops pairs without a score"""
    thresholds = [rule for rule in stage.rules if isinstance(rule, rule_kinds.Threshold)]
    scores, tally, stages = Scores(thresholds, scored_keys(run.inputs)), Counter(), Stages([stage])
    for path in run.inputs:
        if stage.tars_of:
            stage.begin(path)
        for block in stages.blocks([path], longest=run.longest, reading=run.reading):
            batch = block.batch((), run.skip_bad, False, (), stage.reads)
            scores.add(batch)
            stage(batch)
            batch.tally["out"] = len(batch)
            add_up(tally, batch.tally)
        if stage.tars_of:
            stage.refuse_strangers()
    for header, rows in scores.tables():
        yield from [*align([header, *rows]), ""]
    if stage.rules:
        dropped = {what.removeprefix("dropped: "): count for what, count in tally.items()
                   if what.startswith("dropped: ")}
        rows = [scores._row(*each) for each in sorted(dropped.items(), key=lambda each: -each[1])]
        yield from align([("by these rules, the first that applies", "pairs that go", "share"), *rows,
                          scores._row("together", sum(dropped.values()))])
    yield f"{scores.pairs:,} pairs were looked at; nothing was written."
