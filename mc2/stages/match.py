"""Match every alt-text against the metadata of its language."""
import numpy as np

from mc2.execution.stage import Stage
from mc2.pairs.batch import Lists


class Annotator(Stage):
    """Add `matched_entry_ids` to every pair."""

    name = "match"
    requires = ("lang",)
    adds = ("matched_entry_ids",)
    reads = ("lid",)

    def __init__(self, metadata):
        """metadata: mc2.metadata.matching.Metadata"""
        self.metadata = metadata
        self.options = {"engine": metadata.engine}
        self.lineage = {"metadata": metadata.fingerprint}
        self.paths = {"metadata": metadata.release.path}

    def __call__(self, batch):
        batch.reject(self._foreign(batch))
        offsets, ids = self.metadata.match(batch.labels("lang"), batch.strings("text"))
        batch.add("matched_entry_ids", Lists(offsets, ids))
        batch.tally["matched"] = int(np.count_nonzero(np.diff(offsets)))

    def _foreign(self, batch):
        """{index: (reason, hint, kind)} of the pairs whose language or label the release does not have."""
        release, hint = self.metadata.release, " Was 'mc2 lid' run with another mapping?"
        langs, labels = batch.labels("lang"), batch.labels("lid", "")
        bad = dict.fromkeys(_others(labels, {"", *release.languages.lang_of}), "lid")
        bad.update(dict.fromkeys(_others(langs, set(release.langs)), "lang"))
        for index, key in bad.items():
            if key == "lang":
                bad[index] = (f'"lang" is {langs.one(index)!r}, which {release.path} does not have.', hint,
                              f'"lang" is none of {release.path}.')
            else:
                bad[index] = (f'"lid" is {labels.one(index)!r}, no label of {release.path} '
                              f'({release.manifest["scheme"]}).', hint, f'"lid" is no label of {release.path}.')
        return bad

    def summary(self, tally):
        return f"{tally['matched']:,} matched, {tally['out'] - tally['matched']:,} without a match"


def _others(labels, allowed):
    """Indices of the pairs whose label is not among the allowed ones."""
    is_other = np.array([name not in allowed for name in labels.names], bool)
    return np.flatnonzero(is_other[labels.numbers]).tolist() if is_other.any() else []
