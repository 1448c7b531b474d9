"""What curate does per shard: pure functions from files to files, each with the question whether it is done.

    Annotate   a shard of the pool -> matched/ and its counts, in one pass: lid, match, count
    Reduce     counts of up to 16 shards, or of such groups -> one file of counts
    Sample     a matched shard -> curated/

A phase is pickled to workers. It holds options and paths, and opens models, matchers and arrays when the first
item comes.
"""
import collections
import contextlib
import io
import os
import time

import numpy as np
import orjson

from mc2 import __version__, files, manifests
from mc2.balance import counting, sampling, shard_counts
from mc2.errors import BadData
from mc2.pairs.shards import open_write, read_blocks

GROUP = 16                      # files of counts merged into one by a task


class Layout:
    """Where everything is in the output directory of a job."""

    def __init__(self, out):
        self.out = os.path.realpath(out)
        self.counts = self._path("counts")
        self.thresholds = self._path("thresholds.json")
        self.work = self._path(".work")

    def _path(self, *names):
        return os.path.join(self.out, *names)

    def matched(self, shard):
        return self._path("matched", files.base_name(shard))

    def curated(self, shard):
        return self._path("curated", files.base_name(shard))

    def quarantine(self, shard):
        return self._path("quarantine", files.base_name(shard) + ".jsonl")

    def log(self, shard):
        return self._path("logs", files.base_name(shard) + ".log")

    def shard_counts(self, shard):
        return self._path(".work", "counts", files.base_name(shard) + ".counts")

    def uids(self, shard):
        return self._path(".work", "uids", files.base_name(shard) + ".npy")

    def reduced(self, name):
        return self._path(".work", "reduced", name + ".counts")


class Phase:
    """One step of the job for every item: is it done, and do it."""

    name = ""

    def name_of(self, item):
        """How the item is called in messages."""
        return files.printable(files.base_name(item))

    def log_path(self, item):
        raise NotImplementedError

    def is_done(self, item):
        raise NotImplementedError

    def __call__(self, item):
        """Do the item. Returns the number of pairs."""
        raise NotImplementedError


class Annotate(Phase):
    """lid, match and count a shard of the pool. Items are paths of the pool."""

    name = "match"

    def __init__(self, layout, stages, counter, ids=None, skip_bad=False):
        """stages: the Stages that annotate. counter: counting.Counter. ids: mc2.stages.ids.IdList, or None for all."""
        self.layout, self.stages, self.counter, self.ids, self.skip_bad = layout, stages, counter, ids, skip_bad

    def description(self, shard):
        """What the result for this shard depends on. Shards go by their names: where they lie does not matter."""
        return {"mc2": __version__, "input": {**manifests.describe_file(shard), "name": self.name_of(shard)},
                "ids": self.ids and self.ids.options, "lineage": self.counter.lineage,
                "options": {stage.name: stage.options for stage in self.stages}}

    def is_counted(self, shard):
        """Whether the counts of the shard are there."""
        try:
            counted = shard_counts.ShardCounts(self.layout.shard_counts(shard))
        except (FileNotFoundError, BadData):
            return False
        return (counted.shards == {self.name_of(shard): manifests.fingerprint(self.description(shard))}
                and self._may_have(counted.tally))

    def _may_have(self, tally):
        """Whether a result that came about so may stand: without --on-error skip, none with bad lines."""
        return self.skip_bad or not any(reason.startswith("bad: ") for reason in tally)

    def was_counted(self, shard):
        """Whether counts of this shard are there that no longer fit."""
        with contextlib.suppress(FileNotFoundError, BadData):
            return self.name_of(shard) in shard_counts.ShardCounts(self.layout.shard_counts(shard)).shards
        return False

    def is_matched(self, shard):
        """Whether the matched pairs of the shard are there."""
        manifest = manifests.read(self.layout.matched(shard))
        return (manifest is not None and manifest.get("description") == self.description(shard)
                and self._may_have(manifest["counts"]))

    def is_done(self, shard):
        return self.is_counted(shard) and self.is_matched(shard)

    def log_path(self, shard):
        return self.layout.log(shard)

    def __call__(self, shard):
        started, description = time.monotonic(), self.description(shard)
        tally, counts = collections.Counter(), counting.Accumulator()
        output = self.layout.matched(shard)
        with open_write(output) as out, self._open_quarantine(shard) as quarantine:
            for block in read_blocks([shard]):
                batch = block.batch(skip_bad=self.skip_bad, as_table=files.is_parquet(output))
                if self.ids:
                    self.ids.select(batch)
                for stage in self.stages:
                    stage(batch)
                batch.tally.pop("matched", None)            # counted again, by the counter
                counts.add(self.counter.product(batch))
                batch.tally["out"] = len(batch)
                tally.update(batch.tally)
                for reject in batch.rejects:
                    quarantine.write(_quarantined(reject))
                out.write(batch.encoded())
            if self.description(shard) != description:
                raise BadData(f"{shard}: changed while it was read. Run again when it is complete.")
            tally["adjacent duplicates"] += counts.duplicates
            shard_counts.write(self.layout.shard_counts(shard), self.counter.lineage["metadata"],
                               {self.name_of(shard): manifests.fingerprint(description)}, tally, counts.partials())
        if self.skip_bad and not os.path.getsize(self.layout.quarantine(shard)):
            os.unlink(self.layout.quarantine(shard))
        manifests.write_for_file(output, manifests.describe_run(
            "pairs", [shard], description["options"], tally, time.monotonic() - started, self.counter.paths,
            stage="match", lineage=self.counter.lineage, description=description))
        return tally["in"]


    def _open_quarantine(self, shard):
        """Where the bad lines of a shard go, with --on-error skip."""
        return files.open_write(self.layout.quarantine(shard)) if self.skip_bad else contextlib.nullcontext(io.BytesIO())


def _quarantined(reject):
    """A line of quarantine/: where the bad line was, what is wrong with it, and the line itself."""
    text = reject.line.decode("utf-8", "backslashreplace")
    return orjson.dumps({"line": reject.number, "reason": reject.reason, "text": text}, option=orjson.OPT_APPEND_NEWLINE)


class Reduce(Phase):
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

    def __call__(self, item):
        shard_counts.merge(item, self.output(item))
        return 0


class Sample(Phase):
    """Draw from a matched shard. Items are paths of the pool."""

    name = "sample"

    def __init__(self, layout, sampler, annotate, uids=False):
        """uids: whether the uids of what is kept are wanted too, shard by shard."""
        self.layout, self.sampler, self.annotate, self.uids = layout, sampler, annotate, uids

    def description(self, shard):
        return {"matched": self.annotate.description(shard), "options": self.sampler.options}

    def is_done(self, shard):
        manifest = manifests.read(self.layout.curated(shard))
        return (manifest is not None and manifest.get("description") == self.description(shard)
                and (not self.uids or self._has_uids(shard)))

    def _has_uids(self, shard):
        manifest = manifests.read(self.layout.uids(shard))
        return manifest is not None and manifest.get("description") == self.description(shard)

    def log_path(self, shard):
        return self.layout.log(shard)

    def _refuse_changed(self, shard):
        if not self.annotate.is_matched(shard):
            raise BadData(f"{shard}: changed while the job ran, after it was counted. Run again when it is complete.")

    def __call__(self, shard):
        started, description = time.monotonic(), self.description(shard)
        matched, output = self.layout.matched(shard), self.layout.curated(shard)
        self._refuse_changed(shard)
        tally, kept, uids = collections.Counter(), collections.Counter(), []
        with open_write(output) as out:
            for block in read_blocks([matched], self.sampler.whole_images):
                batch = block.batch(self.sampler.requires, as_table=files.is_parquet(output))
                out.write(self.sampler.product(batch))
                batch.tally["out"] = len(batch)
                tally.update(batch.tally)
                kept.update(batch.column("lang"))
                if self.uids:
                    uids.append(sampling.uids(batch))
            self._refuse_changed(shard)
        if self.uids:
            sampling.write_uids(self.layout.uids(shard), np.concatenate([np.empty(0, sampling.UIDS), *uids]))
            manifests.write_for_file(self.layout.uids(shard), {"mc2": __version__, "description": description})
        manifests.write_for_file(output, manifests.describe_run(
            "pairs", [shard], self.sampler.options, tally, time.monotonic() - started, self.sampler.paths,
            stage="sample", lineage=self.sampler.lineage, description=description, kept=kept))
        return tally["in"]
