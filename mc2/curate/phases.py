"""The tasks of curate: the paths in its output directory, and the merging of counts.

    match     a shard of the pool -> matched/ and its counts, in one pass: lid, match, count      (a ShardTask)
    reduce    counts of up to 16 shards, or of such groups -> one file of counts                  (Reduce)
    sample    a matched shard -> curated/                                                         (a ShardTask)
"""
import os

from mc2 import files, temporaries
from mc2.balancing import shard_counts
from mc2.execution import names
from mc2.execution.shard import ShardPaths

GROUP = 16                      # files of counts merged into one by an item of Reduce


class Layout:
    """The paths in the output directory of a job. name: function from a shard to what its outputs are called"""

    def __init__(self, out, name=files.base_name):
        self.out, self.name = os.path.realpath(out), name
        self.counts = self._path("counts")
        self.thresholds = self._path("thresholds.json")
        self.work = self._path(".work")
        self.matched = self._shards("matched")
        self.curated = self._shards("curated")

    def _path(self, *names):
        return os.path.join(self.out, *names)

    def _shards(self, name):
        return ShardPaths(self._path(name), self._path("quarantine"), self._path(".work", "parts", name),
                          self._path("logs"), self.name)

    def shard_counts(self, shard):
        return self._path(".work", "counts", self.name(shard) + ".counts")

    def uids(self, shard):
        return self._path(".work", "uids", self.name(shard) + ".npy")

    def reduced(self, name):
        return self._path(".work", "reduced", name + ".counts")


def names_in(out, pool):
    """The Names of all shards of a pool in the output directory of a job."""
    layout = Layout(out, name=lambda name: name)
    return names.in_curation(layout.out, pool, lambda name: os.path.exists(layout.shard_counts(name)))


class Reduce:
    """Merge files of counts. Items are tuples of paths."""

    name = "reduce"

    def __init__(self, layout, names):
        """names: {item: name of its output, which tells what it was made from}"""
        self.layout, self.names = layout, names

    def output(self, item):
        return self.layout.reduced(self.names[item])

    def name_of(self, item):
        return f"counts {self.names[item]}"

    def is_done(self, item):
        return os.path.exists(self.output(item))

    def log_path(self, item):
        return os.path.join(self.layout.out, "logs", "reduce.log")

    def discard(self, item):
        temporaries.discard_abandoned(self.output(item))

    def __call__(self, item):
        shard_counts.merge(item, self.output(item))
        return 0
