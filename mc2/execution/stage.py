"""A stage: one step that every pair goes through."""
import math

from mc2 import manifests
from mc2.errors import BadData, BadLine
from mc2.pairs import shards


class Stage:
    """Gets a batch at a time and changes it: adds keys, drops pairs with a reason, counts in `batch.tally`.

    Reading, bad lines, drops, processes, clusters, finished shards, progress, manifests and the receipt are the same
    for all stages, and are not here. A stage is pickled to worker processes, so it holds paths and options, and opens
    what is large when the first batch comes.
    """

    name = ""               # of the command
    requires = ()           # keys beside id and text
    adds = ()               # keys that it gives to every pair
    reads = ()              # other keys, of strings, whose labels it asks for: they need not be there
    observes = False        # whether it changes nothing, and so sees the pairs last, as they are written
    whole_images = False    # whether the lines of one image must come in one batch; see `check`
    takes = "pairs"         # what it is given, as the receipt calls it
    read_blocks = None      # where a first stage reads no pairs: function from paths to Blocks
    options = {}            # what else the output depends on: part of "finished", kept in the manifest
    lineage = {}            # fingerprints that the manifest carries on, e.g. {"metadata": ...}
    paths = {}              # where these artefacts were, for `mc2 inspect`
    sampled = None          # how it samples pairs, where it does: {"seed": ...}, which manifests of the pairs carry on

    def __call__(self, batch):
        raise NotImplementedError

    def check(self, batch):
        """Reject the lines that are no pairs for this stage. Of a stage with `whole_images` this is asked before a
        batch comes: which lines are adjacent depends on it."""

    def begin(self, shard):
        """A shard begins; what was kept of an earlier one, finished or not, is forgotten."""

    def finish(self, shard, description, tally):
        """A shard is read to its end: write what belongs to it beside the pairs. Returns what its manifest is to hold.

        description: what the result depends on. tally: Counter of what happened in the shard, to which may be added.
        """
        return {}

    def is_done(self, shard, description):
        """Whether what `finish` wrote for this description is there."""
        return True

    def summary(self, tally):
        """The middle of the receipt, e.g. "90 matched, 10 without a match"."""
        return f"{tally['out']:,} out"

    def also_reads(self, shard):
        """Paths of the files beside a shard that its result depends on: the tar of its images, say."""
        return ()

    def also_writes(self, shard):
        """Paths of the files that `finish` writes for a shard."""
        return ()

    def check_input(self, path):
        """Refuse a file whose manifest is damaged, or says that the file belongs to other metadata or had another
        size."""
        theirs = (manifests.read_of_input(path) or {}).get("lineage", {}) if path != "-" else {}
        for what, fingerprint in self.lineage.items():
            if theirs.get(what, fingerprint) != fingerprint:
                raise BadData(f"{path}: was made with {what} {theirs[what][:12]}, but this is {what} "
                              f"{fingerprint[:12]}. Use the {what} it was made with, or make it again.")


def first_error_of(block, do, below=math.inf):
    """do(block). Where several lines of it are bad, the error is that of the first one, whichever stage rejects it.

    below: line number that an error must be below to be looked into.
    """
    try:
        return do(block)
    except BadLine as error:
        if block.number < error.number < below:         # stages that had not come to the lines before it do so now
            first_error_of(block.before(error.number), do, error.number)
        raise


class Stages:
    """Several stages, one after another, as one."""

    def __init__(self, stages):
        self.stages = list(stages)

    def __iter__(self):
        return iter(self.stages)

    def blocks(self, paths, **reading):
        """The Blocks of these inputs, in order. reading: options of mc2.pairs.shards.read_blocks, for inputs of pairs"""
        for stage in self.stages[:1]:
            if stage.read_blocks:
                return stage.read_blocks(paths)
        return shards.read_blocks(paths, **reading)

    @property
    def takes(self):
        """What the inputs hold, as people call it."""
        return self.stages[0].takes if self.stages else Stage.takes

    def product(self, batch, make):
        """make(batch) after the batch went through the stages: the bytes of an encoder, say."""
        for stage in self.stages:
            if not stage.observes:
                stage(batch)
        made = make(batch)                      # which may reject pairs
        for stage in self.stages:
            if stage.observes:
                stage(batch)
        batch.tally["out"] = len(batch)
        return made

    @property
    def requires(self):
        """Keys that the input must have beside id and text."""
        added, required = set(), {}
        for stage in self.stages:
            required.update(dict.fromkeys(key for key in stage.requires if key not in added))
            added.update(stage.adds)
        return tuple(required)

    @property
    def adds(self):
        """Keys that they give to every pair."""
        return tuple(dict.fromkeys(key for stage in self.stages for key in stage.adds))

    @property
    def reads(self):
        """Other keys of the input whose labels they ask for."""
        added, read = set(), {}
        for stage in self.stages:
            read.update(dict.fromkeys(key for key in stage.reads if key not in added))
            added.update(stage.adds)
        return tuple(read)

    @property
    def whole_images(self):
        """What read_blocks takes: a function from a block to the batch of its pairs, or None."""
        return self._pairs_in if any(stage.whole_images for stage in self.stages) else None

    def _pairs_in(self, block):
        batch = block.batch(self.requires, skip_bad=True)
        for stage in self.stages:
            if stage.whole_images:
                stage.check(batch)
        return batch

    @property
    def options(self):
        """{name of a stage: its options}, of those that change pairs; a list of options where a name is there twice"""
        options = {}
        for stage in self.stages:
            if not stage.observes:
                options.setdefault(stage.name, []).append(stage.options)
        return {name: its[0] if len(its) == 1 else its for name, its in options.items()}

    @property
    def lineage(self):
        return {what: fingerprint for stage in self.stages for what, fingerprint in stage.lineage.items()}

    @property
    def paths(self):
        return {what: path for stage in self.stages for what, path in stage.paths.items()}

    def also_reads(self, shard):
        return [path for stage in self.stages for path in stage.also_reads(shard)]

    def also_writes(self, shard):
        return [path for stage in self.stages for path in stage.also_writes(shard)]

    @property
    def last(self):
        """The stage that the output is called by: the last one that changes pairs."""
        return next((stage for stage in reversed(self.stages) if not stage.observes), self.stages[-1])

    def check_input(self, path):
        for stage in self.stages:
            stage.check_input(path)

    def manifest(self, inputs, tally, seconds, **more):
        """The manifest of pairs that these stages made."""
        options = self.stages[0].options if len(self.stages) == 1 else self.options
        sampled = next((stage.sampled for stage in self.stages if stage.sampled), None) or manifests.sampled(inputs)
        more.update({"sampled": sampled} if sampled else {})
        return manifests.describe_run("pairs", inputs, options, tally, seconds, self.paths,
                                      stage=self.last.name, lineage=self.lineage, **more)
