"""Match every alt-text against the metadata of its language."""
from mc2.execution.stage import Stage


class Annotator(Stage):
    """Add `matched_entry_ids` to every pair."""

    name = "match"
    requires = ("lang",)

    def __init__(self, metadata, ids=None):
        """ids: ids.IdList of the images to which the run is restricted; None = all."""
        self.metadata = metadata
        self.ids = ids
        self.options = {"engine": metadata.engine, **({"ids": ids.options} if ids else {})}
        self.lineage = {"metadata": metadata.fingerprint}
        self.paths = {"metadata": metadata.release.path}

    def __call__(self, batch):
        if self.ids:
            self.ids.select(batch)
        batch.reject(self._foreign(batch))
        matched = [None] * len(batch)
        texts = batch.texts
        for lang, indices in batch.by_lang().items():
            offsets, ids = self.metadata[lang].match([texts[index] for index in indices])
            ids, offsets = ids.tolist(), offsets.tolist()
            for index, start, stop in zip(indices, offsets, offsets[1:]):
                matched[index] = ids[start:stop]
        batch.add("matched_entry_ids", matched)
        batch.tally["matched"] += sum(map(bool, matched))

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
        text = f"{tally['matched']:,} matched, {tally['out'] - tally['matched']:,} without a match"
        return text + (f", {tally['not listed']:,} not listed" if self.ids else "")
