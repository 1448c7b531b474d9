"""Match every alt-text against the metadata of its language."""
import numpy as np

from mc2.execution.stage import Stage
from mc2.pairs.batch import Lists


class Annotator(Stage):
    """Add `matched_entry_ids` to every pair."""

    name = "match"
    requires = ("lang",)
    adds = ("matched_entry_ids",)

    def __init__(self, metadata):
        """metadata: mc2.metadata.matching.Metadata"""
        self.metadata = metadata
        self.options = {"engine": metadata.engine}
        self.lineage = {"metadata": metadata.fingerprint}
        self.paths = {"metadata": metadata.release.path}

    def __call__(self, batch):
        batch.reject(self._foreign(batch))
        texts, found = batch.texts, []
        lengths = np.zeros(len(batch), np.int64)
        for lang, indices in batch.by_lang().items():
            offsets, ids = self.metadata[lang].match([texts[index] for index in indices.tolist()])
            lengths[indices] = np.diff(offsets)
            found.append((indices, offsets, ids))
        offsets = np.zeros(len(batch) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        matched = np.empty(offsets[-1], np.uint32)
        for indices, its_offsets, ids in found:             # of a language, to where its pairs are in the batch
            matched[np.repeat(offsets[indices] - its_offsets[:-1], lengths[indices]) + np.arange(len(ids))] = ids
        batch.add("matched_entry_ids", Lists(offsets, matched))
        batch.tally["matched"] = int(np.count_nonzero(lengths))

    def _foreign(self, batch):
        """{index: (reason, hint)} of the pairs whose language or label the release does not have."""
        release, hint = self.metadata.release, " Was 'mc2 lid' run with another mapping?"
        langs, labels = set(release.langs), {"", *release.languages.lang_of}
        bad = {}
        for index, (lang, label) in enumerate(zip(batch.column("lang"), batch.column("lid", ""))):
            if lang not in langs:
                bad[index] = (f'"lang" is {lang!r}, which {release.path} does not have.', hint)
            elif label not in labels:
                bad[index] = (f'"lid" is {label!r}, no label of {release.path} '
                              f'({release.manifest["scheme"]}).', hint)
        return bad

    def summary(self, tally):
        return f"{tally['matched']:,} matched, {tally['out'] - tally['matched']:,} without a match"
