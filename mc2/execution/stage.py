"""A stage: one step that every pair goes through."""
from mc2 import manifests
from mc2.errors import BadData


class Stage:
    """One step that every pair goes through. Stages are pickled to worker processes, so they hold
    paths and options, and open what is large when the first batch comes."""

    name = ""               # of the command
    requires = ()           # keys beside id and text
    whole_images = False    # whether the lines of one image must come in one batch
    passes_on = True        # whether the products hold the pairs; if not, other columns of Parquet are not read
    options = {}            # what else the output depends on: part of "finished", kept in the manifest
    lineage = {}            # fingerprints that the manifest carries on, e.g. {"metadata": ...}
    paths = {}              # where these artefacts were, for `mc2 inspect`

    def __call__(self, batch):
        raise NotImplementedError

    def product(self, batch):
        """What the stage makes of a batch, sent back from the worker. bytes, unless the stage reduces."""
        self(batch)
        return batch.encoded()

    @property
    def columns(self):
        """The columns of Parquet that are read; None = all."""
        return None if self.passes_on else ("id", "text", *self.requires)

    def summary(self, tally):
        """The middle of the receipt, e.g. "90 matched, 10 without a match"."""
        return f"{tally['out']:,} out"

    def check_input(self, path):
        """Refuse a file whose manifest says that it belongs to other metadata."""
        theirs = (manifests.read(path) or {}).get("lineage", {}) if path != "-" else {}
        for what, fingerprint in self.lineage.items():
            if theirs.get(what, fingerprint) != fingerprint:
                raise BadData(f"{path}: was made with {what} {theirs[what][:12]}, but this is {what} "
                              f"{fingerprint[:12]}. Use the {what} it was made with, or make it again.")


def manifest_of(stage, inputs, tally, seconds):
    """The manifest of pairs that a stage made."""
    return manifests.describe_run("pairs", inputs, stage.options, tally, seconds,
                                  stage=stage.name, lineage=stage.lineage, paths=stage.paths)
