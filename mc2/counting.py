"""Stage 1 of Algorithm 1: how many texts of the pool matched each entry.

    counts/en.npy ...      uint64, shape (entries,): number of texts that matched the entry
    counts/sample.jsonl    lang, hash, ids: per language, the matched ids of the texts with the smallest hashes
    counts/manifest.json   pairs and matched pairs per language, fingerprint

The sample is what expected numbers of pairs are computed from before anything is drawn. It is chosen by a
hash of (id, text), so it does not depend on the order of the pairs, and samples of parts merge into the
sample of the whole.
"""
import collections
import heapq
import os
from typing import NamedTuple

import numpy as np
import orjson

from mc2 import files, manifests, pipeline
from mc2.curation import keyed_hash
from mc2.errors import BadData, BadUsage

KIND = "counts"
SAMPLE_SIZE = 4096          # texts per language


class Sampled(NamedTuple):
    """One text of the sample."""

    hash: int
    ids: tuple              # its matched entry ids


class Partial(NamedTuple):
    """What one batch adds to the counts of one language."""

    pairs: int
    matched: int
    ids: np.ndarray         # entries that occurred, unique
    times: np.ndarray       # in how many texts each
    sample: list            # of Sampled, at most SAMPLE_SIZE


class Counts:
    """The counts of a pool, language by language.

    entry_counts:  {lang: uint64 (entries,)}
    pairs:         {lang: number of pairs, matched or not}
    matched:       {lang: number of pairs with at least one match}
    samples:       {lang: list of Sampled, ascending}
    """

    def __init__(self, n_entries, metadata):
        """n_entries: {lang: number of entries}. metadata: fingerprint of the release."""
        self.metadata = metadata
        self.entry_counts = {lang: np.zeros(n, np.uint64) for lang, n in n_entries.items()}
        self.pairs = dict.fromkeys(n_entries, 0)
        self.matched = dict.fromkeys(n_entries, 0)
        self.samples = {lang: [] for lang in n_entries}

    def add(self, lang, partial):
        """Add a Partial."""
        self.entry_counts[lang][partial.ids] += partial.times
        self.pairs[lang] += partial.pairs
        self.matched[lang] += partial.matched
        sample = self.samples[lang]
        if len(sample) == SAMPLE_SIZE:
            self.samples[lang] = _smallest(sample + [item for item in partial.sample if item < sample[-1]])
        else:
            self.samples[lang] = _smallest(sample + partial.sample)

    def merge(self, other, path):
        """Add the counts of another part of the pool. Raises BadData, naming `path`, for another release."""
        if other.metadata != self.metadata:
            raise BadData(f"{path}: counts of metadata {other.metadata[:12]}, but this is metadata "
                          f"{self.metadata[:12]}. Count again with one release.")
        for lang, counts in other.entry_counts.items():
            everything = np.arange(len(counts))
            self.add(lang, Partial(other.pairs[lang], other.matched[lang], everything, counts, other.samples[lang]))

    def save(self, path, **run):
        """Write the directory, whole. run: what describe_run wants to know."""
        manifests.refuse_foreign_directory(path, KIND)
        with files.open_directory(path) as directory:
            for lang, counts in self.entry_counts.items():
                np.save(os.path.join(directory, f"{lang}.npy"), counts)
            with open(os.path.join(directory, "sample.jsonl"), "wb") as stream:
                for lang, sample in self.samples.items():
                    for item in sample:
                        stream.write(orjson.dumps({"lang": lang, "hash": item.hash, "ids": item.ids},
                                                  option=orjson.OPT_APPEND_NEWLINE))
            content = {
                "metadata": self.metadata,
                "languages": {lang: {"pairs": self.pairs[lang], "matched_pairs": self.matched[lang],
                                     "entries": len(counts)} for lang, counts in self.entry_counts.items()},
                "sha256": {name: manifests.sha256(os.path.join(directory, name))
                           for name in sorted(os.listdir(directory))}}
            manifests.write(directory, {**manifests.describe_run(KIND, **run), **content,
                                        "fingerprint": manifests.fingerprint(content)})


def load(path, samples=True, check=True):
    """(Counts, fingerprint) of a counts directory, arrays memory-mapped. Raises BadData where it is damaged.

    samples=False leaves the samples empty; check=False takes the bytes of the files on trust.
    """
    manifest = manifests.read_kind(path, KIND, "count")
    try:
        languages, metadata, fingerprint = manifest["languages"], manifest["metadata"], manifest["fingerprint"]
        content = {key: manifest[key] for key in ("metadata", "languages", "sha256")}
        counts = Counts({}, metadata)
        for lang, row in languages.items():
            counts.entry_counts[lang] = _load_array(os.path.join(path, f"{lang}.npy"), row["entries"])
            counts.pairs[lang], counts.matched[lang] = row["pairs"], row["matched_pairs"]
            counts.samples[lang] = []
        for name, sha256 in content["sha256"].items():
            if check and manifests.sha256(os.path.join(path, name)) != sha256:
                raise BadData(f"{path}/{name}: was changed since it was counted. Run 'mc2 count' again.")
    except (KeyError, TypeError, AttributeError):
        raise BadData(f"{path}/manifest.json: incomplete. Run 'mc2 count' again.") from None
    except FileNotFoundError as error:
        raise BadData(f"{error.filename}: missing. Run 'mc2 count' again.") from None
    if manifests.fingerprint(content) != fingerprint:
        raise BadData(f"{path}/manifest.json: does not fit its own fingerprint. Run 'mc2 count' again.")
    if samples:
        with files.open_read(os.path.join(path, "sample.jsonl")) as stream:
            for item in map(orjson.loads, stream):
                counts.samples[item["lang"]].append(Sampled(item["hash"], tuple(item["ids"])))
    return counts, fingerprint


def _load_array(path, entries):
    try:
        counts = np.load(path, mmap_mode="r" if entries else None, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise BadData(f"{path}: not a NumPy file of counts ({error}). Run 'mc2 count' again.") from None
    if counts.dtype != np.uint64 or counts.shape != (entries,):
        raise BadData(f"{path}: holds {counts.shape} {counts.dtype}, but the metadata has {entries} entries (uint64). "
                      f"Run 'mc2 count' again.")
    return counts


def _smallest(sample):
    return sorted(sample) if len(sample) <= SAMPLE_SIZE else heapq.nsmallest(SAMPLE_SIZE, sample)


class Counter(pipeline.Stage):
    """Count the matches of every batch; the products are ({lang: Partial}, the batch's ends)."""

    name = "count"
    requires = ("lang", "matched_entry_ids")
    passes_on = False

    def __init__(self, release):
        self.n_entries = release.n_entries
        self.path = release.path
        self.lineage = {"metadata": release.fingerprint}

    def product(self, batch):
        offsets, ids = matched_ids(batch, self.n_entries, self.path)
        keys = [(batch.source, *key) for key in zip(batch.column("id"), batch.texts)]
        partials = {lang: self._partial(keys, indices, offsets, ids) for lang, indices in batch.by_lang().items()}
        batch.tally["matched"] += sum(partial.matched for partial in partials.values())
        batch.tally["adjacent duplicates"] += sum(one == other for one, other in zip(keys, keys[1:]))
        return partials, (keys[:1], keys[-1:])

    def _partial(self, keys, indices, offsets, ids):
        matched = [index for index in indices if offsets[index] < offsets[index + 1]]
        lists = {index: ids[offsets[index]:offsets[index + 1]] for index in matched}
        occurred, times = np.unique(np.concatenate([*lists.values(), np.empty(0, np.uint32)]), return_counts=True)
        sample = [Sampled(keyed_hash("sample", *keys[index][1:]), tuple(matched_ids.tolist()))
                  for index, matched_ids in lists.items()]
        return Partial(len(indices), len(matched), occurred, times.astype(np.uint64), _smallest(sample))

    def summary(self, tally):
        text = f"{tally['matched']:,} matched, {tally['out'] - tally['matched']:,} without a match"
        if tally["adjacent duplicates"]:
            text += f", {tally['adjacent duplicates']:,} the same as the line before"
        return text


def matched_ids(batch, n_entries, path):
    """(offsets int64 (n+1,), ids uint32) of a batch, whose languages and ids must be those of a release.

    n_entries: {lang: number of entries}; path: what they are of, for messages. Others are rejected.
    """
    offsets, ids = batch.matched_ids()
    largest = np.full(len(batch), -1)
    matched = np.diff(offsets) > 0
    largest[matched] = ids[offsets[1:][matched] - 1]            # ids ascend: the last is the largest
    bad = {}
    for index, (lang, entry) in enumerate(zip(batch.column("lang"), largest.tolist())):
        if lang not in n_entries:
            bad[index] = (f'"lang" is {lang!r}, which {path} does not have.', " Was it made with another release?")
        elif entry >= n_entries[lang]:
            bad[index] = (f"entry {entry} of {lang!r} is outside {path} ({n_entries[lang]:,} entries).",
                          " Was it matched with another release?")
    if bad:
        batch.reject(bad)
        offsets, ids = batch.matched_ids()
    return offsets, ids


def count(run, release):
    """(Counts, tally) of the inputs of a pipeline.Run: pairs, directories of counts, or both."""
    stage = Counter(release)
    counts = Counts(release.n_entries, release.fingerprint)
    directories = [path for path in run.inputs if os.path.isdir(path)]
    if len(set(map(os.path.realpath, directories))) < len(directories):
        raise BadUsage("a directory of counts is named twice, and would be added twice. Name it once.")
    for path in directories:
        part, _ = load(path)
        counts.merge(part, path)
    run.inputs = [path for path in run.inputs if path not in directories]
    files.map_places(stage.check_input, run.inputs)
    tally = collections.Counter()
    last = []
    for partials, (first, its_last) in run.products(stage, tally):
        tally["adjacent duplicates"] += bool(first) and first == last
        last = its_last or last
        for lang, partial in partials.items():
            counts.add(lang, partial)
    return counts, tally
