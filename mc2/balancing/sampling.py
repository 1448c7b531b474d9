"""Stage 3 of Algorithm 1: keep each pair with its probability, by a draw that depends on the pair alone."""
import collections
import contextlib
import math
import re
import time
from fractions import Fraction

import numpy as np

from mc2 import __version__, engines, files, hashing, manifests
from mc2.balancing import algorithm, counting, thresholds
from mc2.errors import BadData, BadUsage
from mc2.execution import receipt
from mc2.execution.stage import Stage, Stages
from mc2.pairs.batch import Labels, same_as_before
from mc2.pairs.shards import encoder_of, open_write

UID, UID_DIGITS = re.compile("[0-9a-fA-F]{32}"), 32
DIGITS = np.full(256, 16, np.uint8)         # the value of each byte as a hex digit; 16: it is none
for _digit in "0123456789abcdefABCDEF":
    DIGITS[ord(_digit)] = int(_digit, 16)
UIDS = np.dtype("u8,u8")                    # DataComp's subset form: the first 16 digits of a uid, and the last
# Why pairs are dropped.
NO_MATCH, NOT_CHOSEN, NOT_DRAWN = "without a match", "not the chosen text of their image", "not drawn"
REASONS = ["", NO_MATCH, NOT_CHOSEN, NOT_DRAWN]


class Sampler(Stage):
    """Keep the balanced subset of matched pairs."""

    name = "sample"
    requires = ("lang", "matched_entry_ids")

    def __init__(self, counts_path, thresholds_path, seed=0, one_per_image=False):
        """one_per_image: of the adjacent lines of one id, only one that matched is drawn for."""
        counts, fingerprint = counting.load(counts_path, samples=False)
        content = thresholds.load(thresholds_path, counts_path, fingerprint)
        missing = counts.entry_counts.keys() - content["languages"].keys()
        if missing:
            raise BadData(f"{thresholds_path}: has no threshold for {sorted(missing)[0]}. Run 'mc2 thresholds' again.")
        self.counts_path = counts_path
        self.entry_counts = counts.entry_counts         # memory-mapped
        self.n_entries = {lang: len(entry_counts) for lang, entry_counts in self.entry_counts.items()}
        self.t = {lang: row["t"] for lang, row in content["languages"].items()}
        self.seed, self.kept = seed, collections.Counter()
        self.whole_images = self.one_per_image = one_per_image
        self.lineage = {"metadata": counts.metadata}
        self.paths = {**(manifests.read(counts_path).get("paths") or {}), "counts": counts_path,
                      "thresholds": thresholds_path}
        self.options = {"seed": str(seed), "one_per_image": one_per_image, "counts": fingerprint,
                        "thresholds": manifests.fingerprint(content)}
        self.sampled = {"seed": str(seed), "one_per_image": one_per_image, "t_en": content["t_en"], "p": content["p"],
                        "t_all": max(self.t.values()) if content["t_en"] is content["p"] is None else None,
                        "counts": fingerprint, "thresholds": self.options["thresholds"]}

    def check(self, batch):
        counting.matched_ids(batch, self.n_entries, self.counts_path)

    def begin(self, shard):
        self.kept = collections.Counter()

    def __call__(self, batch):
        batch.drop(self.decide(batch))
        self.kept.update(batch.labels("lang").times())

    def decide(self, batch):
        """Labels, of REASONS: why each pair of a batch is dropped; the first one, "", is that of those kept."""
        q, matched = self._probs(batch, self.seed)
        batch.tally["matched"] += int(np.count_nonzero(q))
        open_rows = np.flatnonzero((q > 0) & (q < 1))               # a draw decides
        draws = self.draws(batch, open_rows)
        reasons = np.zeros(len(batch), np.int64)
        reasons[q <= 0] = np.where(matched[q <= 0], REASONS.index(NOT_CHOSEN), REASONS.index(NO_MATCH))
        reasons[open_rows[draws >= q[open_rows]]] = REASONS.index(NOT_DRAWN)
        return Labels(reasons, REASONS)

    def draws(self, batch, rows):
        """The draws of some pairs of a batch: float64 (len(rows),). rows: int (n,)"""
        return algorithm.draws(self.seed, batch.strings("id"), batch.strings("text"), rows)

    def choices(self, batch, rows):
        """The hashes that choose among the texts of an image: uint64 (len(rows),). rows: int (n,)"""
        return choices_of([batch.strings("id"), batch.strings("text")], self.seed, rows)

    def finish(self, shard, description, tally):
        return {"kept": self.kept}

    def keep_probs(self, batch, seed):
        """float64 (len(batch),): the probability q of every pair; 0 also for those that are no candidates under this
        seed (with one_per_image)."""
        return self._probs(batch, seed)[0]

    def _probs(self, batch, seed):
        """(q of every pair, bool (len(batch),): whether it matched anything)"""
        offsets, ids = counting.matched_ids(batch, self.n_entries, self.counts_path)
        q, never_counted = self.pair_probs(batch.labels("lang"), offsets, ids)
        batch.tally["never counted"] += int(np.count_nonzero(never_counted))
        if self.one_per_image:
            q[~_candidates(batch, np.diff(offsets) > 0, seed)] = 0
        return q, np.diff(offsets) > 0

    def pair_probs(self, langs, offsets, ids):
        """(q float64 (n,), bool (n,): whether the pair matches an entry that was never counted) of n pairs.

        langs: Labels of n pairs. offsets: int64 (n+1,). ids: uint32 (offsets[n],), the matched entries, pair by pair.
        """
        if native := engines.native():
            counts = [self.entry_counts.get(lang) for lang in langs.names]
            t = [float(self.t.get(lang, 0)) for lang in langs.names]
            return native.keep_probs(counts, t, langs.numbers, offsets, ids)
        matched_probs = np.empty(len(ids))
        never_counted = np.zeros(len(langs), bool)
        of_pair = np.repeat(np.arange(len(langs)), np.diff(offsets))
        lang_of_match = langs.numbers[of_pair]
        for number in np.unique(lang_of_match).tolist():
            is_lang, lang = lang_of_match == number, langs.names[number]
            matched_counts = self.entry_counts[lang][ids[is_lang]]
            matched_probs[is_lang] = algorithm.entry_probs(matched_counts, self.t[lang])
            never_counted[of_pair[is_lang][matched_counts == 0]] = True
        return algorithm.keep_probs(offsets, matched_probs), never_counted

    def __getstate__(self):             # to a worker go the paths; it maps the arrays itself
        return {**self.__dict__, "entry_counts": None}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.entry_counts = counting.load(self.counts_path, samples=False, check=False)[0].entry_counts

    def summary(self, tally):
        text = f"{tally['out']:,} kept, of {tally['matched']:,} {'candidates' if self.one_per_image else 'matched'}"
        if tally["never counted"]:
            text += (f"; {tally['never counted']:,} pairs match entries that were never counted: "
                     f"these are not the counts of this pool")
        return text


def _candidates(batch, matched, seed):
    """bool (len(batch),): of each image's adjacent lines that matched, the one with the smallest hash."""
    columns = [batch.strings("id"), batch.strings("text")]
    images = np.cumsum(~same_as_before(columns[:1]))                # the image of each line, as a number
    candidates = matched & (np.bincount(images, matched, len(batch) + 1) == 1)[images]
    lines = np.flatnonzero(matched & ~candidates)                   # of images of which several lines matched
    choices = choices_of(columns, seed, lines)
    order = np.lexsort((choices, images[lines]))
    lines, choices, images = lines[order], choices[order], images[lines[order]]
    is_first = np.diff(images, prepend=-1) != 0
    candidates[lines[is_first]] = True
    starts = np.flatnonzero(is_first | (np.diff(choices, prepend=np.uint64(0)) != 0))       # of lines of one hash
    stops = np.append(starts[1:], len(lines))
    ties = is_first[starts] & (stops - starts > 1)                  # the same texts as a rule, in lines that may differ
    for start, stop in zip(starts[ties].tolist(), stops[ties].tolist()):
        candidates[lines[start]] = False
        candidates[min(lines[start:stop].tolist(), key=batch.line)] = True
    return candidates


def choices_of(columns, seed, rows):
    """The hashes by which the candidate of an image is chosen, the smallest one: uint64 (len(rows),).

    columns: [ids, texts], Strings. rows: int (n,), those that are wanted
    """
    return hashing.keyed_hashes(["choice", str(seed)], columns, rows)


class Uids(Stage):
    """Keep the uids of a shard's pairs in a file of its own."""

    name = "uids"
    observes = True

    def __init__(self, path_of):
        """path_of: function from a shard to the file of its uids."""
        self.path_of, self.found = path_of, []

    def begin(self, shard):
        self.found = [np.empty(0, UIDS)]

    def __call__(self, batch):
        self.found.append(uids(batch))

    def finish(self, shard, description, tally):
        path = self.path_of(shard)
        write_uids(path, np.concatenate(self.found), is_own=True)
        manifests.write_for_file(path, {"mc2": __version__, "description": description})
        return {}

    def is_done(self, shard, description):
        return manifests.is_of(self.path_of(shard), description) is not None


class WithUids:
    """From a batch to (its pairs, their uids), both bytes. encode: an encoder, or None where pairs are not wanted"""

    def __init__(self, encode):
        self.encode = encode

    def __call__(self, batch):
        return self.encode(batch) if self.encode else b"", uids(batch).tobytes()


def uids(batch):
    """The ids of a batch as UIDS. Raises BadUsage, naming the first one that is not 32 hex digits."""
    ids = batch.strings("id")
    if (np.diff(ids.offsets) == UID_DIGITS).all():
        digits = DIGITS[ids.data[ids.offsets[0]:ids.offsets[-1]].reshape(-1, UID_DIGITS)]
        if (digits < 16).all():
            return (digits[:, ::2] << 4 | digits[:, 1::2]).view(">u8").astype(np.uint64).view(UIDS).reshape(-1)
    number, pair_id = next(row for row in zip(batch.numbers, ids.tolist()) if not UID.fullmatch(row[1]))
    raise BadUsage(f"{batch.source}:{number}: the id {pair_id!r} is no DataComp uid (32 hex digits). --uids works for "
                   f"DataComp ids only: leave it out.")


def write_uids(path, found, is_own=False):
    """Write UIDS in DataComp's subset form: sorted, each once (texts of one image share theirs). Returns them so.
    is_own: see files.open_write"""
    found = np.unique(found)
    with files.open_write(path, is_own=is_own) as stream:
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(found))
        stream.write(found.tobytes())
    return found


def write_subset(run, stage, path, with_pairs):
    """Sample the inputs of a Run; write the uids of what is kept, and its pairs where they are wanted too."""
    run.refuse_twice([path, *([run.output] if with_pairs else [])], also=stage.paths.values())
    files.map_paths(stage.check_input, run.inputs)
    receipt.begin()
    started, tally, parts = time.monotonic(), collections.Counter(), []
    make = WithUids(encoder_of(run.output) if with_pairs else None)
    with open_write(run.output) if with_pairs else contextlib.nullcontext() as out:
        for pairs, part in run.products([stage], tally, make, columns=None if with_pairs else counting.COLUMNS):
            parts.append(part)
            if with_pairs:
                out.write(pairs)
    found = write_uids(path, np.frombuffer(b"".join(parts), UIDS))
    seconds = time.monotonic() - started
    tally["uids"] = len(found)
    manifest = Stages([stage]).manifest(run.inputs, tally, seconds)
    if with_pairs and files.is_kept(run.output):
        manifests.write_for_file(run.output, manifest)
    if files.is_kept(path):
        manifests.write_for_file(path, {**manifest, "kind": "uids"})
    outputs = f"{run.output}, {path}" if with_pairs and run.output != "-" else path
    run.receipt("sample", f"{tally['in']:,} pairs in, {stage.summary(tally)}, {len(found):,} uids", tally, outputs,
                seconds)


class Expectation:
    """From a batch to what sampling would keep: {lang: (pairs, candidates, expected pairs)}."""

    def __init__(self, sampler):
        self.sampler = sampler

    def __call__(self, batch):
        q = self.sampler.keep_probs(batch, self.sampler.seed)
        batch.tally["matched"] += int(np.count_nonzero(q))
        return {lang: (len(indices), int(np.count_nonzero(q[indices])), math.fsum(q[indices].tolist()))
                for lang, indices in batch.by_lang().items()}


def expectations(run, sampler):
    """({lang: (pairs, candidates, expected pairs)}, tally) of all inputs of a Run, exact."""
    files.map_paths(sampler.check_input, run.inputs)
    found, tally = {}, collections.Counter()
    for product in run.products([], tally, Expectation(sampler), sampler, counting.COLUMNS):
        for lang, (pairs, matched, expected) in product.items():
            before = found.get(lang, (0, 0, 0))
            found[lang] = before[0] + pairs, before[1] + matched, before[2] + Fraction(expected)
    return {lang: (pairs, matched, float(expected)) for lang, (pairs, matched, expected) in found.items()}, tally
