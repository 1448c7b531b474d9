"""Stage 3 of Algorithm 1: keep each pair with its probability, by a draw that depends on the pair alone."""
import itertools
import math

import numpy as np

from mc2 import counting, curation, manifests, pipeline, thresholds
from mc2.errors import BadData


class Sampler(pipeline.Stage):
    """Keep the balanced subset of matched pairs."""

    name = "sample"
    requires = ("lang", "matched_entry_ids")

    def __init__(self, counts_path, thresholds_path, seed=0, one_per_image=False):
        """one_per_image: of the adjacent lines of one id, only one that matched is drawn for."""
        counts, fingerprint = counting.load(counts_path, samples=False)
        content = thresholds.load(thresholds_path, counts_path, fingerprint)
        missing = counts.entry_counts.keys() - content["languages"].keys()
        if missing:
            raise BadData(f"{thresholds_path}: has no threshold for {sorted(missing)[0]}. Run 'mc2 thresholds' again.")
        self.counts_path = counts_path
        self.entry_counts = counts.entry_counts         # memory-mapped
        self.n_entries = {lang: len(entry_counts) for lang, entry_counts in self.entry_counts.items()}
        self.t = {lang: row["t"] for lang, row in content["languages"].items()}
        self.probs = {}                                 # of the languages that came
        self.seed = seed
        self.whole_images = self.one_per_image = one_per_image
        self.lineage = {"metadata": counts.metadata}
        self.paths = {**(manifests.read(counts_path).get("paths") or {}), "counts": counts_path,
                      "thresholds": thresholds_path}
        self.options = {"seed": str(seed), "one_per_image": one_per_image, "counts": fingerprint,
                        "thresholds": manifests.fingerprint(content)}

    def __call__(self, batch):
        q = self.keep_probs(batch)
        batch.tally["matched"] += int(np.count_nonzero(q))
        batch.select([prob > 0 and (prob >= 1 or curation.draw(self.seed, record["id"], record["text"]) < prob)
                      for prob, record in zip(q.tolist(), batch.records)])

    def keep_probs(self, batch):
        """float64 (len(batch),): the probability q of every pair; 0 also for those that are no candidates."""
        offsets, ids = counting.matched_ids(batch, self.n_entries, self.counts_path)
        matched_probs = np.empty(len(ids))
        never_counted = np.zeros(len(ids), bool)
        of_pair = np.repeat(np.arange(len(batch)), np.diff(offsets))
        langs = np.array(batch.column("lang"))
        for lang in set(batch.column("lang")):
            here = (langs == lang)[of_pair]
            matched_probs[here] = self._probs(lang)[ids[here]]
            never_counted[here] = self.entry_counts[lang][ids[here]] == 0
        batch.tally["never counted"] += len(np.unique(of_pair[never_counted]))
        q = curation.keep_probs(offsets, matched_probs)
        if self.one_per_image:
            q[~self._candidates(batch, np.diff(offsets) > 0)] = 0
        return q

    def _probs(self, lang):
        if lang not in self.probs:
            self.probs[lang] = curation.entry_probs(self.entry_counts[lang], self.t[lang])
        return self.probs[lang]

    def _candidates(self, batch, matched):
        """bool (len(batch),): of each image's adjacent lines that matched, the one with the smallest hash."""
        candidates = np.zeros(len(batch), bool)
        for pair_id, lines in itertools.groupby(range(len(batch)), lambda index: batch.records[index]["id"]):
            lines = [index for index in lines if matched[index]]
            if lines:
                candidates[min(lines, key=lambda index: self._choice(batch, index))] = True
        return candidates

    def _choice(self, batch, index):
        record = batch.records[index]
        return curation.keyed_hash("choice", str(self.seed), record["id"], record["text"]), batch.lines[index]

    def __getstate__(self):             # to a worker go the paths; it maps the arrays itself
        return {**self.__dict__, "entry_counts": None, "probs": {}}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.entry_counts = counting.load(self.counts_path, samples=False, check=False)[0].entry_counts

    def summary(self, tally):
        text = f"{tally['out']:,} kept, of {tally['matched']:,} {'candidates' if self.one_per_image else 'matched'}"
        if tally["never counted"]:
            text += (f"; {tally['never counted']:,} pairs match entries that were never counted: "
                     f"these are not the counts of this pool")
        return text


class Expectation(Sampler):
    """What sampling would keep: the products are {lang: (pairs, candidates, expected pairs)}."""

    def product(self, batch):
        q = self.keep_probs(batch)
        found = {}
        for lang, indices in batch.by_lang().items():
            here = q[indices]
            found[lang] = len(indices), int(np.count_nonzero(here)), math.fsum(here)
        batch.tally["matched"] += int(np.count_nonzero(q))
        return found


def expectations(run, stage):
    """({lang: (pairs, candidates, expected pairs)}, tally) of all inputs of a pipeline.Run, exact."""
    import collections
    for path in run.inputs:
        stage.check_input(path)
    parts, tally = {}, collections.Counter()
    for product in run.products(stage, tally):
        for lang, row in product.items():
            parts.setdefault(lang, []).append(row)
    return {lang: (sum(row[0] for row in rows), sum(row[1] for row in rows), math.fsum(row[2] for row in rows))
            for lang, rows in parts.items()}, tally
