"""Stage 1 of Algorithm 1: how many texts of the pool matched each entry.

    counts/en.npy ...      uint64, shape (entries,): number of texts that matched the entry
    counts/sample.jsonl    lang, hash, ids: per language, the matched ids of the texts with the smallest hashes
    counts/manifest.json   pairs and matched pairs per language, fingerprint

The sample is what expected numbers of pairs are computed from before anything is drawn. It is chosen by a
hash of (id, text), so it does not depend on the order of the pairs, and samples of parts merge into the
sample of the whole.
"""
import collections
import io
import itertools
import os
import re
from typing import NamedTuple

import numpy as np
import orjson

from mc2 import engines, files, manifests, mapped_files, parsing
from mc2.errors import BadData, BadUsage
from mc2.execution.stage import Stage
from mc2.hashing import keyed_hashes
from mc2.pairs.batch import Labels, offsets_of, same_as_before

KIND = "counts"
SAMPLE_SIZE = 4096          # texts per language
HASH = re.compile(b'"hash":([0-9]+)')               # in a line of sample.jsonl
COLUMNS = ("id", "text", "lang", "matched_entry_ids")       # of Parquet: what counting and sampling look at


class Sample(NamedTuple):
    """The matched ids of some texts: of those with the smallest hashes, at most SAMPLE_SIZE, in order of hashes."""

    hashes: np.ndarray          # uint64 (n,)
    offsets: np.ndarray         # int64 (n+1,)
    ids: np.ndarray             # uint32 (offsets[n],)

    def __len__(self):
        return len(self.hashes)

    def lists(self):
        """[(hash, its ids as a list)]"""
        ids = self.ids.tolist()
        return [(hash, ids[start:stop]) for hash, start, stop in
                zip(self.hashes.tolist(), self.offsets.tolist(), self.offsets[1:].tolist())]


EMPTY = Sample(np.empty(0, np.uint64), np.zeros(1, np.int64), np.empty(0, np.uint32))


def sample_of(hashes, offsets, ids):
    """The Sample of texts in any order: those with the smallest hashes, texts of one hash in order of their ids.

    hashes: uint64 (n,). offsets: int64 (n+1,). ids: uint32 (offsets[n],).
    """
    order = np.argsort(hashes, kind="stable")
    order = _ties_by_ids(order, hashes, offsets, ids)[:SAMPLE_SIZE]
    lengths = np.diff(offsets)[order]
    packed = offsets_of(lengths)
    kept = np.repeat(offsets[:-1][order] - packed[:-1], lengths) + np.arange(packed[-1])
    return Sample(hashes[order], packed, ids[kept])


def _ties_by_ids(order, hashes, offsets, ids):
    """Put texts of one hash, which are the same text as a rule, in order of their ids."""
    if not (hashes[order[1:]] == hashes[order[:-1]]).any():
        return order
    return np.array(sorted(order.tolist(), key=lambda k: (int(hashes[k]), ids[offsets[k]:offsets[k + 1]].tolist())))


def merge_samples(samples):
    """The Sample of all texts of these together."""
    samples = [sample for sample in samples if len(sample)]
    if len(samples) < 2:
        return samples[0] if samples else EMPTY
    return sample_of(*_joined(samples))


def _joined(samples):
    """(hashes, offsets, ids) of Samples one after the other."""
    starts = np.cumsum([0, *(len(sample.ids) for sample in samples)])
    offsets = np.concatenate([[0], *(sample.offsets[1:] + start for sample, start in zip(samples, starts))])
    return np.concatenate([sample.hashes for sample in samples]), offsets, \
        np.concatenate([sample.ids for sample in samples])


class Partial(NamedTuple):
    """The counts of one language in a batch, or in a part of the pool."""

    pairs: int
    matched: int
    ids: np.ndarray             # uint32 (m,): entries that occurred, ascending
    times: np.ndarray           # uint64 (m,): in how many texts each
    sample: Sample


def merge_partials(partials):
    """The sum of Partials of one language."""
    partials = list(partials)
    if len(partials) == 1:
        return partials[0]
    ids = np.concatenate([partial.ids for partial in partials])
    times = np.concatenate([partial.times for partial in partials])
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    starts = np.flatnonzero(np.concatenate([ids[:1] == ids[:1], ids[1:] != ids[:-1]]))
    times = np.add.reduceat(times[order], starts) if len(starts) else times
    return Partial(sum(partial.pairs for partial in partials), sum(partial.matched for partial in partials),
                   ids[starts], times, merge_samples(partial.sample for partial in partials))


class Counts:
    """The counts of a pool, language by language.

    entry_counts:  {lang: uint64 (entries,)}
    pairs:         {lang: number of pairs, matched or not}
    matched:       {lang: number of pairs with at least one match}
    samples:       {lang: Sample}
    """

    def __init__(self, n_entries, metadata):
        """n_entries: {lang: number of entries}. metadata: fingerprint of the release."""
        self.metadata = metadata
        self.entry_counts = {lang: np.zeros(n, np.uint64) for lang, n in n_entries.items()}
        self.pairs = dict.fromkeys(n_entries, 0)
        self.matched = dict.fromkeys(n_entries, 0)
        self.samples = dict.fromkeys(n_entries, EMPTY)

    def add(self, lang, partial):
        """Add a Partial."""
        self.entry_counts[lang][partial.ids] += partial.times
        self.pairs[lang] += partial.pairs
        self.matched[lang] += partial.matched
        self.samples[lang] = merge_samples([self.samples[lang], partial.sample])

    def merge(self, other, path):
        """Add the counts of another part of the pool. Raises BadData, naming `path`, for another release."""
        if other.metadata != self.metadata:
            raise BadData(f"{path}: counts of metadata {other.metadata[:12]}, but this is metadata "
                          f"{self.metadata[:12]}. Count again with one release.")
        for lang, counts in other.entry_counts.items():
            everything = np.arange(len(counts), dtype=np.uint32)
            self.add(lang, Partial(other.pairs[lang], other.matched[lang], everything, counts, other.samples[lang]))

    def save(self, path, **run):
        """Write the directory, whole. run: what describe_run wants to know."""
        write(path, self.metadata, ((lang, counts, self.pairs[lang], self.matched[lang], self.samples[lang])
                                    for lang, counts in self.entry_counts.items()), **run)


def write(path, metadata, languages, **run):
    """Write a directory of counts, whole, and return its manifest.

    languages: iterable of (lang, uint64 (entries,), pairs, matched pairs, Sample), which need not be in memory
    together. run: what describe_run wants to know.
    """
    manifests.refuse_foreign_directory(path, KIND)
    with files.open_directory(path) as directory:
        rows = {}
        with open(os.path.join(directory, "sample.jsonl"), "xb") as stream:
            for lang, entry_counts, pairs, matched, sample in languages:
                with open(os.path.join(directory, f"{lang}.npy"), "xb") as array:
                    np.save(array, entry_counts)
                rows[lang] = {"pairs": pairs, "matched_pairs": matched, "entries": len(entry_counts)}
                stream.write(lines_of(lang, sample))
        content = {"metadata": metadata, "languages": rows,
                   "sha256": {name: manifests.sha256(os.path.join(directory, name))
                              for name in sorted(os.listdir(directory))}}
        manifest = {**manifests.describe_run(KIND, **run), **content, "fingerprint": manifests.fingerprint(content)}
        manifests.write(directory, manifest)
        return manifest


def lines_of(lang, sample):
    """The lines of sample.jsonl of a language. bytes"""
    if (native := engines.native()) is None or not len(sample):
        return b"".join(orjson.dumps({"lang": lang, "hash": hash, "ids": ids}, option=orjson.OPT_APPEND_NEWLINE)
                        for hash, ids in sample.lists())
    start = b'{"lang":%b,"hash":' % orjson.dumps(lang)
    lines = [b"%b%d}" % (start, hash) for hash in sample.hashes.tolist()]
    places = offsets_of(list(map(len, lines)))
    return native.splice_lines(b"".join(lines), places[:-1], places[1:],
                               [("lists", b',"ids":[', sample.offsets, sample.ids)], places[:0], b"", places[:1])


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
            counts.samples[lang] = EMPTY
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
        _read_samples(os.path.join(path, "sample.jsonl"), counts.samples)
    return counts, fingerprint


def _load_array(path, entries):
    """uint64 (entries,), mapped. Raises BadData where the file holds something else."""
    head = _head_of(entries)
    if entries and (data := mapped_files.bytes_of(path))[:len(head)].tobytes() == head \
            and len(data) == len(head) + 8 * entries:
        return data[len(head):].view(np.uint64)             # what np.load gives, in a tenth of its time
    try:
        counts = parsing.array(path, mapped=entries > 0)
    except ValueError as error:
        raise BadData(f"{path}: not a NumPy file of counts ({error}). Run 'mc2 count' again.") from None
    if counts.dtype != np.uint64 or counts.shape != (entries,):
        raise BadData(f"{path}: holds {counts.shape} {counts.dtype}, but the metadata has {entries} entries (uint64). "
                      f"Run 'mc2 count' again.")
    return counts


def _head_of(entries):
    """What a file of np.save begins with that holds so many counts. bytes"""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<u8", "fortran_order": False, "shape": (entries,)})
    return head.getvalue()


def _read_samples(path, samples):
    """Fill in {lang: Sample}; the lines of a language are adjacent, and in order."""
    parts = collections.defaultdict(list)
    for _, block in files.read_blocks(path):
        for lang, part in _samples_in(block):
            parts[lang].append(part)
    for lang, its_parts in parts.items():
        samples[lang] = its_parts[0] if len(its_parts) == 1 else Sample(*_joined(its_parts))


def _samples_in(block):
    """Yield (lang, Sample) of adjacent lines of sample.jsonl. block: bytes"""
    if native := engines.native():
        odd = []
        n, *_, columns = native.scan_lines(block, 1, [("lang", "labels"), ("ids", "lists")], lambda *line: odd.append(line))
        hashes = orjson.loads(b"[%b]" % b",".join(HASH.findall(block)))
        if not odd and len(hashes) == n:
            yield from _runs(*columns, np.array(hashes, np.uint64))
            return
    for lang, items in itertools.groupby(map(orjson.loads, block.splitlines()), key=lambda item: item["lang"]):
        items = list(items)
        offsets = offsets_of([len(item["ids"]) for item in items])
        ids = np.fromiter(itertools.chain.from_iterable(item["ids"] for item in items), np.uint32, offsets[-1])
        yield lang, Sample(np.array([item["hash"] for item in items], np.uint64), offsets, ids)


def _runs(labels, lists, hashes):
    """Yield (lang, Sample) of adjacent texts of one language. labels: (numbers, names). lists: (offsets, ids)"""
    (numbers, names), (offsets, ids) = labels, lists
    starts = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    for start, stop in zip(starts, [*starts[1:], len(numbers)]):
        first, last = offsets[start], offsets[stop]
        yield names[numbers[start]], Sample(hashes[start:stop], offsets[start:stop + 1] - first, ids[first:last])


class Counter(Stage):
    """Count the matches of the pairs of every batch. It adds nothing to them."""

    name = "count"
    requires = ("lang", "matched_entry_ids")
    observes = True

    def __init__(self, release):
        self.n_entries = release.n_entries
        self.lineage = {"metadata": release.fingerprint}
        self.paths = {"metadata": release.path}

    def product(self, batch):
        """The Matches of a batch, for an Accumulator."""
        offsets, ids = matched_ids(batch, self.n_entries, self.paths["metadata"])
        keys = [batch.strings("id"), batch.strings("text")]
        matched = np.flatnonzero(offsets[:-1] < offsets[1:])
        batch.tally["matched"] = len(matched)
        batch.tally["adjacent duplicates"] += int(np.count_nonzero(same_as_before(keys)))
        ends = (0, len(batch) - 1) if len(batch) else ()
        first, last = [(batch.source, *(key.one(row) for key in keys)) for row in ends] or (None, None)
        return Matches(batch.labels("lang"), offsets, ids, keyed_hashes(["sample"], keys, matched), first, last)

    def summary(self, tally):
        text = f"{tally['matched']:,} matched, {tally['out'] - tally['matched']:,} without a match"
        if tally["adjacent duplicates"]:
            text += f", {tally['adjacent duplicates']:,} the same as the line before"
        return text


class Matches(NamedTuple):
    """What is counted of a batch: small enough to go from a worker process to the driver."""

    langs: Labels
    offsets: np.ndarray         # int64 (n+1,)
    ids: np.ndarray             # uint32 (offsets[n],): the matched entries, pair by pair
    hashes: np.ndarray          # uint64: those of the pairs that matched anything
    first: tuple                # (source, id, text) of the first pair; None where there is none
    last: tuple

    def partials(self):
        """{lang: Partial} of the languages that occur."""
        numbers = self.langs.numbers
        return {self.langs.names[number]: self._partial(numbers == number) for number in np.unique(numbers).tolist()}

    def _partial(self, in_lang):
        lengths = np.diff(self.offsets)
        matched = in_lang & (lengths > 0)
        ids = self.ids[np.repeat(matched, lengths)]
        occurred, times = np.unique(ids, return_counts=True)
        sample = sample_of(self.hashes[matched[lengths > 0]], np.cumsum([0, *lengths[matched]]), ids)
        pairs, matched = int(np.count_nonzero(in_lang)), int(np.count_nonzero(matched))
        return Partial(pairs, matched, occurred, times.astype(np.uint64), sample)


class Accumulator:
    """Adds up the Matches of the batches of an input, in order.

    duplicates: lines that are the same as the last one of the batch before
    """

    def __init__(self, n_entries):
        """n_entries: {lang: number of entries}"""
        self.duplicates = 0
        self._last = None
        self._sums = (NativeSums if engines.native() else Sums)(n_entries)

    def add(self, matches):
        self.duplicates += matches.first is not None and matches.first == self._last
        self._last = matches.last or self._last
        self._sums.add(matches)

    def partials(self):
        """Yield (lang, Partial), sorted."""
        return self._sums.partials()


class Sums:
    """The sum of Matches, as Partials that are merged now and then."""

    HELD = 64                   # Partials of a language that wait to be merged

    def __init__(self, n_entries):
        self._held = {}

    def add(self, matches):
        for lang, partial in matches.partials().items():
            held = self._held.setdefault(lang, [])
            held.append(partial)
            if len(held) == self.HELD:
                held[:] = [merge_partials(held)]

    def partials(self):
        """Yield (lang, Partial), sorted."""
        for lang, held in sorted(self._held.items()):
            yield lang, merge_partials(held)


class NativeSums:
    """The same by the native core (mc2/native/balance/counts.hpp)."""

    def __init__(self, n_entries):
        self._number = {lang: number for number, lang in enumerate(n_entries)}
        self._counts = engines.native().Counts(list(n_entries.values()), SAMPLE_SIZE)

    def add(self, matches):
        numbers = np.array([self._number.get(lang, -1) for lang in matches.langs.names], np.int64)
        self._counts.add(numbers[matches.langs.numbers], matches.offsets, matches.ids, matches.hashes)

    def partials(self):
        """Yield (lang, Partial), sorted."""
        for lang, number in sorted(self._number.items()):
            if partial := self._counts.partial(number):
                pairs, matched, ids, times, *sample = partial
                yield lang, Partial(pairs, matched, ids, times, Sample(*sample))


def matched_ids(batch, n_entries, path):
    """(offsets int64 (n+1,), ids uint32) of a batch, whose languages and ids must be those of a release.

    n_entries: {lang: number of entries}; path: what they are of, for messages. Others are rejected.
    """
    offsets, ids = batch.matched_ids()
    largest = np.full(len(batch), -1)
    matched = np.diff(offsets) > 0
    largest[matched] = ids[offsets[1:][matched] - 1]            # ids ascend: the last is the largest
    langs, bad = batch.labels("lang"), {}
    entries = np.array([n_entries.get(lang, -1) for lang in langs.names], np.int64)[langs.numbers]
    for index in np.flatnonzero(largest >= entries).tolist():
        lang = langs.names[langs.numbers[index]]
        bad[index] = (f'"lang" is {lang!r}, which {path} does not have.', " Was it made with another release?",
                      f'"lang" is none of {path}.') \
            if lang not in n_entries else \
            (f"entry {largest[index]} of {lang!r} is outside {path} ({n_entries[lang]:,} entries).",
             " Was it matched with another release?", f"an entry is outside {path}.")
    if bad:
        batch.reject(bad)
        offsets, ids = batch.matched_ids()
    return offsets, ids


def count(run, release):
    """(Counts, tally) of the inputs of a Run: pairs, directories of counts, or both."""
    stage = Counter(release)
    counts = Counts(release.n_entries, release.fingerprint)
    directories = [path for path in run.inputs if os.path.isdir(path)]
    if len(set(map(os.path.realpath, directories))) < len(directories):
        raise BadUsage("a directory of counts is named twice, and would be added twice. Name it once.")
    for path in directories:
        part, _ = load(path)
        counts.merge(part, path)
    run.inputs = [path for path in run.inputs if path not in directories]
    files.map_paths(stage.check_input, run.inputs)
    tally, sums = collections.Counter(), Accumulator(release.n_entries)
    for product in run.products([], tally, stage.product, stage, COLUMNS):
        sums.add(product)
    tally["adjacent duplicates"] += sums.duplicates
    for lang, partial in sums.partials():
        counts.add(lang, partial)
    return counts, tally
