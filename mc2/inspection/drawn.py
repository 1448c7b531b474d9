"""Curated pairs with what is known of how they were drawn: what `mc2 compare` compares."""
import contextlib
import math
import os
from functools import cached_property

import numpy as np

from mc2 import files, manifests
from mc2.balancing import algorithm, counting, thresholds
from mc2.curate import job
from mc2.curate.phases import Layout, names_in
from mc2.errors import BadData, BadUsage, Mc2Error
from mc2.metadata import release

NO_EFFECT = ("engine",)         # options on which the pairs do not depend


class Drawn:
    """Curated pairs: the output of `mc2 curate`, a directory of shards of `mc2 sample -O`, or one file.

    shards: paths. inputs: those of the manifest of a curation, else None. options: {name: value}, all that the pairs
    depend on beside the pool, as far as it is known. metadata, counts, thresholds: fingerprints, or None
    """

    def __init__(self, path, releases=(), also="metadata"):
        """releases: directories in which the metadata may be, beside that which the manifest names. also: what else the
        command takes, for the message where these are no curated pairs."""
        self.path, self.releases = path, releases
        if os.path.isdir(path):
            self.shards, self.manifest = _of_directory(path, also)
        else:
            self.shards, self.manifest = [path], (manifests.read(path) if path != "-" else None) or {}
        try:
            self._open()
        except (KeyError, TypeError, AttributeError) as error:
            raise BadData(f"{path}: its manifest is damaged or incomplete ({type(error).__name__}: {error}). Make it "
                          f"again.") from None

    def _open(self):
        manifest = self.manifest
        options, lineage = (manifest.get(key) or {} for key in ("options", "lineage"))
        self.metadata = lineage.get("metadata")
        self.inputs = None
        if manifest.get("kind") == job.KIND:
            self.inputs = manifest["inputs"]
            self.counts, self.thresholds = lineage["counts"], lineage["thresholds"]
            self._paths = [[os.path.join(self.path, name)] for name in ("counts", "thresholds.json")]
        else:
            own = options.get("sample", options)
            self.counts, self.thresholds = own.get("counts"), own.get("thresholds")
            self._paths = [list(self._named(what)) for what in ("counts", "thresholds")]
        self.seed = options.get("sample", options).get("seed")
        self.one_per_image = bool(options.get("sample", options).get("one_per_image"))
        self.options = {name: value for name, value in _flat(options) if name.split(".")[-1] not in NO_EFFECT
                        and name not in ("counts", "thresholds", "sample.counts", "sample.thresholds")}

    @cached_property
    def content(self):
        """That of thresholds.json, or None where it is not there any more."""
        return self._first(self._paths[1], thresholds.load,
                           lambda content: manifests.fingerprint(content) == self.thresholds)

    @cached_property
    def counted(self):
        """The Counts, with samples, or None where they are not there any more."""
        found = self._first(self._paths[0], counting.load, lambda found: found[1] == self.counts)
        return found and found[0]

    @cached_property
    def release(self):
        """The metadata release, or None where it is not found."""
        return self._first([*self.releases, *self._named("metadata")], release.Release,
                           lambda found: found.fingerprint == self.metadata)

    def _named(self, what):
        """The paths at which the artefact may be that the manifest names."""
        return manifests.paths_of(self.manifest, what, self.shards[0] if self.shards else self.path)

    @staticmethod
    def _first(paths, load, fits):
        """What is loaded from the first of these paths at which it is there and fits, or None."""
        for path in paths:
            with contextlib.suppress(Mc2Error, OSError):
                found = load(path)
                if fits(found):
                    return found
        return None

    @property
    def is_expected(self):
        """Whether it is known how many pairs were to be expected, and by which probabilities."""
        return self.content is not None and self.counted is not None and not self.one_per_image

    def q_of_sample(self, lang):
        """The probabilities of the pairs of a language that the sample of the counts holds: float64 (n,)"""
        sample, t = self.counted.samples[lang], self.content["languages"][lang]["t"]
        return algorithm.keep_probs(sample.offsets,
                                    algorithm.entry_probs(self.counted.entry_counts[lang][sample.ids], t))

    def expected(self, lang):
        """(expected number of kept pairs, standard deviation of the number that is drawn); (None, None) where it is not
        known. The deviation has two parts: that of the draws, and the error of the expectation."""
        if not self.is_expected or lang not in self.content["languages"]:
            return None, None
        row, q = self.content["languages"][lang], self.q_of_sample(lang)
        of_draws = self.counted.matched[lang] * float((q * (1 - q)).mean()) if len(q) else 0.0
        return row["expected_pairs"], math.sqrt(row["expected_pairs_error"] ** 2 + of_draws)

    def t(self, lang):
        return self.content["languages"].get(lang, {}).get("t") if self.content else None

    def name(self, shard):
        """How a shard is called in its directory."""
        return os.path.relpath(shard, self.path)


def _of_directory(path, also):
    """(shards, manifest) of a directory of curated pairs. also: what else may be named, for the message."""
    manifest = manifests.read(path)
    if manifest and manifest.get("kind") == job.KIND:
        names = [row["name"] for row in manifest["inputs"]]
        layout = Layout(path, names_in(path, names))
        return [layout.curated.output(name) for name in names], manifest
    if os.path.exists(os.path.join(path, ".work", job.MARK)):
        raise BadData(f"{path}: this curation is not finished. Run its 'mc2 curate' again, which goes on where it was.")
    shards = sorted(os.path.join(folder, name.removesuffix(".manifest.json"))
                    for folder, _, names in os.walk(path) for name in names if name.endswith(".manifest.json"))
    shards = [shard for shard in shards if not os.path.relpath(shard, path).startswith(".")]
    shards = [shard for shard in shards if (manifests.read(shard) or {}).get("kind") == "pairs"]
    if not shards or manifest:
        raise BadUsage(f"{path}: is neither a curation nor a directory of curated shards. Name the output of "
                       f"'mc2 curate' or 'mc2 sample', or {also}.")
    return shards, manifests.read(shards[0]) or {}


def _flat(options, before=""):
    """Yield (name, value) of options within options: lid.min_prob, say."""
    for name, value in options.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def same_pool(a, b):
    """Whether the curated shards of the same names were drawn from the same input, so that they can be compared one by
    one."""
    def described(drawn):
        return {files.base_name(row["name"]): {**row, "name": ""} for row in drawn.inputs}
    return (a.inputs is not None and b.inputs is not None and len(described(a)) == len(a.inputs)
            and described(a) == described(b) and all("bytes" in row for row in a.inputs)
            and set(map(a.name, a.shards)) == set(map(b.name, b.shards)))


def expected_in_both(a, b, lang):
    """(expected number of pairs of a language that are in both, standard deviation of the number that is drawn), or
    (None, None) where the pairs were not drawn from the same counts.

    With the same seed a pair has the same draw in both, so it is in both with the smaller of its two probabilities;
    with another one, with their product.
    """
    if not (a.is_expected and b.is_expected and a.counts == b.counts and lang in a.counted.samples):
        return None, None
    q_a, q_b, matched = a.q_of_sample(lang), b.q_of_sample(lang), a.counted.matched[lang]
    if not len(q_a):
        return 0.0, 0.0
    q = np.minimum(q_a, q_b) if str(a.seed) == str(b.seed) else q_a * q_b
    error = 0.0 if len(q) == matched else matched * q.std(ddof=1) / math.sqrt(len(q))
    return float(matched * q.mean()), math.sqrt(error ** 2 + matched * float((q * (1 - q)).mean()))
