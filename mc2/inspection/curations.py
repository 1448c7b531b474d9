"""Compare two curations: which pairs they share, and what moved, by language and by entry."""
import math
import os
from collections import Counter

import numpy as np

from mc2 import files, hashing
from mc2.balancing.counting import COLUMNS
from mc2.inspection.drawn import expected_in_both, same_pool
from mc2.inspection.releases import LANGUAGES_SHOWN
from mc2.pairs.shards import read_blocks
from mc2.tables import align

FAR = 4                 # standard deviations from what is expected, from which on that is said
MOVES_SHOWN = 10        # changes of language


# ---------------------------------------------------------------- what is in both

class _Pairs:
    """The curated pairs of some shards: a hash and the number of the language of each."""

    def __init__(self, shards, langs, entries, meter):
        """langs: {lang: its number}, to which new ones are added. entries: {lang: how often each entry is matched}, to
        which these pairs are added."""
        hashes, numbers = [np.empty(0, np.uint64)], [np.empty(0, np.int32)]
        for block in read_blocks(shards, columns=COLUMNS, longest=None):
            batch = block.batch(("lang", "matched_entry_ids"))
            offsets, ids = batch.matched_ids()
            labels = batch.labels("lang")
            hashes.append(hashing.keyed_hashes(["compare"], [batch.strings("id"), batch.strings("text")]))
            number_of = np.array([langs.setdefault(lang, len(langs)) for lang in labels.names], np.int32)
            numbers.append(number_of[labels.numbers] if len(labels) else np.empty(0, np.int32))
            of_match = np.repeat(labels.numbers, np.diff(offsets))
            for number in np.unique(of_match).tolist():
                lang = labels.names[number]
                entries[lang] = _added(entries.get(lang), ids[of_match == number])
            meter.update(len(batch))
        self.hashes, self.langs = np.concatenate(hashes), np.concatenate(numbers)


def _added(times, ids):
    """How often each entry occurs, with these. times: int64 (n,) or None"""
    times = np.zeros(0, np.int64) if times is None else times
    found = np.bincount(ids, minlength=len(times))
    found[:len(times)] += times
    return found


class _Overlap:
    """Counts pairs of A and B: of each language in A, in B, in both, and those that have another language in B.

    The lines of one pair (same id and text) that is there several times are kept or dropped together; they count as
    often as in that of the two which has fewer.
    """

    def __init__(self):
        self.langs, self.entries_a, self.entries_b = {}, {}, {}
        self.a, self.b, self.both_a, self.both_b, self.moved = Counter(), Counter(), Counter(), Counter(), Counter()

    def add(self, shards_a, shards_b, meter):
        a, b = (_Pairs(shards, self.langs, entries, meter)
                for shards, entries in ((shards_a, self.entries_a), (shards_b, self.entries_b)))
        _count(self.a, a.langs, 1)
        _count(self.b, b.langs, 1)
        (keys_a, first_a, times_a), (keys_b, first_b, times_b) = (
            np.unique(its.hashes, return_index=True, return_counts=True) for its in (a, b))
        _, in_a, in_b = np.intersect1d(keys_a, keys_b, assume_unique=True, return_indices=True)
        times = np.minimum(times_a[in_a], times_b[in_b])
        lang_a, lang_b = a.langs[first_a[in_a]], b.langs[first_b[in_b]]
        _count(self.both_a, lang_a, times)
        _count(self.both_b, lang_b, times)
        other = np.flatnonzero(lang_a != lang_b)
        for one, two, number in zip(lang_a[other].tolist(), lang_b[other].tolist(), times[other].tolist()):
            self.moved[one, two] += number


def _count(counter, langs, times):
    for number, total in enumerate(np.bincount(langs, np.broadcast_to(times, len(langs))).astype(np.int64).tolist()):
        if total:
            counter[number] += total


# ---------------------------------------------------------------- facts

def facts(a, b, meter, most_entries=20):
    """How two curations differ, as a dict of JSON values. a, b: mc2.inspection.drawn.Drawn. most_entries: how many
    entries are named, those of which the number of kept texts differs most; 0 = all"""
    overlap = _Overlap()
    if same_pool(a, b):
        of_name = {b.name(shard): shard for shard in b.shards}
        for shard in sorted(a.shards):
            overlap.add([shard], [of_name[a.name(shard)]], meter)
    else:
        overlap.add(a.shards, b.shards, meter)
    names = list(overlap.langs)
    languages = {}
    for number, lang in enumerate(names):
        kept_a, kept_b = overlap.a[number], overlap.b[number]
        both, sd = expected_in_both(a, b, lang)
        languages[lang] = {"a": _side(a, lang, kept_a), "b": _side(b, lang, kept_b), "both": overlap.both_a[number],
                           "expected_both": both, "expected_both_sd": sd, "only_a": kept_a - overlap.both_a[number],
                           "only_b": kept_b - overlap.both_b[number]}
    order = sorted(languages, key=lambda lang: (-languages[lang]["only_a"] - languages[lang]["only_b"], lang))
    return {"kind": "comparison of curations", "a": _told(a, overlap.a), "b": _told(b, overlap.b),
            "options": {name: [a.options.get(name), b.options.get(name)] for name in {**a.options, **b.options}
                        if a.options.get(name) != b.options.get(name)},
            "pool": _pool(a, b), "pairs": _pairs(overlap, languages),
            "languages": {lang: languages[lang] for lang in order},
            "other_language": [{"a": names[one], "b": names[two], "pairs": number}
                               for (one, two), number in overlap.moved.most_common()],
            "entries": _entries(a, b, overlap, most_entries)}


def _side(drawn, lang, kept):
    expected, sd = drawn.expected(lang)
    return {"kept": kept, "t": drawn.t(lang), "expected": expected, "expected_sd": sd}


def _told(drawn, kept):
    content = drawn.content or {}
    return {"path": files.printable(drawn.path), "pairs": sum(kept.values()), "seed": drawn.seed,
            "t_en": content.get("t_en"), "p": content.get("p"), "one_per_image": drawn.one_per_image,
            "metadata": drawn.metadata, "counts": drawn.counts, "thresholds": drawn.thresholds}


def _pool(a, b):
    """Shards of the pool that only one has, and that changed; None where they are not known."""
    if a.inputs is None or b.inputs is None:
        return None
    of_a, of_b = ({os.path.basename(row["name"]): row.get("bytes") for row in drawn.inputs} for drawn in (a, b))
    return {"only_a": sorted(of_a.keys() - of_b.keys()), "only_b": sorted(of_b.keys() - of_a.keys()),
            "of_another_size": sorted(name for name in of_a.keys() & of_b.keys() if of_a[name] != of_b[name])}


def _pairs(overlap, languages):
    kept_a, kept_b, both = (sum(counter.values()) for counter in (overlap.a, overlap.b, overlap.both_a))
    found = {"a": kept_a, "b": kept_b, "both": both, "only_a": kept_a - both, "only_b": kept_b - both}
    rows = languages.values()
    if any(row["expected_both"] is None for row in rows):
        return {**found, "expected_both": None, "expected_both_sd": None}
    return {**found, "expected_both": math.fsum(row["expected_both"] for row in rows),
            "expected_both_sd": math.sqrt(sum(row["expected_both_sd"] ** 2 for row in rows))}


def _entries(a, b, overlap, most):
    """Entries of which the number of kept texts differs most: a list; None where the releases differ and are not both
    found, so that it is not known which entries are the same."""
    if a.metadata != b.metadata and not (a.release and b.release):
        return None
    rows = []
    for lang in sorted(overlap.entries_a.keys() | overlap.entries_b.keys()):
        rows += _of_lang(a, b, lang, *(entries.get(lang, np.zeros(0, np.int64))
                                       for entries in (overlap.entries_a, overlap.entries_b)), most)
    rows.sort(key=lambda row: (-abs(row["kept_b"] - row["kept_a"]), row["lang"], str(row["entry"])))
    return rows[:most or None]


def _of_lang(a, b, lang, kept_a, kept_b, most):
    """The rows of the entries of a language whose numbers differ, those that differ most."""
    if a.metadata == b.metadata:
        size = max(len(kept_a), len(kept_b))
        kept_a, kept_b = (np.pad(kept, (0, size - len(kept))) for kept in (kept_a, kept_b))
        moved = np.argsort(-np.abs(kept_b - kept_a), kind="stable")[:most or None].tolist()
        pairs = [(number, number) for number in moved if kept_a[number] != kept_b[number]]
        opened = a.release or b.release
        names = opened.entries(lang) if opened and pairs and lang in opened.n_entries else None
        names_a = names_b = names
    else:
        names_a, names_b = (drawn.release.entries(lang) if lang in drawn.release.n_entries else [] for drawn in (a, b))
        pairs = _same_entries(names_a, names_b, kept_a, kept_b)[:most or None]
    return [{"lang": lang, "entry": _name(names_a, one) if one is not None else _name(names_b, two), "id_a": one,
             "id_b": two, "kept_a": _at(kept_a, one), "kept_b": _at(kept_b, two), **_of_counts(a, lang, one, "a"),
             **_of_counts(b, lang, two, "b")} for one, two in pairs]


def _same_entries(names_a, names_b, kept_a, kept_b):
    """[(id in A or None, id in B or None)] of the entries that are the same text in both and whose numbers differ,
    those that differ most first. Of an entry that a list names twice, the first counts."""
    ids_a, ids_b = ({name: number for number, name in reversed(list(enumerate(names)))} for names in (names_a, names_b))
    wanted = {names_a[number] for number in np.flatnonzero(kept_a).tolist()} | \
        {names_b[number] for number in np.flatnonzero(kept_b).tolist()}
    found = [(ids_a.get(name), ids_b.get(name)) for name in sorted(wanted)]
    moves = [abs(_at(kept_b, two) - _at(kept_a, one)) for one, two in found]
    return [found[row] for row in sorted(range(len(found)), key=lambda row: -moves[row]) if moves[row]]


def _name(names, number):
    return names[number] if names is not None and number < len(names) else None


def _at(kept, number):
    return int(kept[number]) if number is not None and number < len(kept) else 0


def _of_counts(drawn, lang, number, side):
    """The count of an entry in the pool and its probability, where they are known."""
    t, counts = drawn.t(lang), drawn.counted.entry_counts.get(lang) if drawn.counted else None
    if number is None or t is None or counts is None:
        return {f"count_{side}": None, f"prob_{side}": None}
    count = int(counts[number])
    return {f"count_{side}": count, f"prob_{side}": t / max(count, t) if t else 1.0}


# ---------------------------------------------------------------- lines

def describe(found):
    """Yield lines about what `facts` found."""
    for name in "a", "b":
        yield _side_line(name.upper(), found[name])
    if found["options"]:
        yield "options, A | B: " + ", ".join(f"{name} {_value(one)} | {_value(two)}"
                                             for name, (one, two) in found["options"].items())
    if found["pool"] and any(found["pool"].values()):
        only_a, only_b, other = map(len, found["pool"].values())
        yield f"shards of the pool: {only_a:,} only in A, {only_b:,} only in B, {other:,} of another size"
    pairs = found["pairs"]
    share_a, share_b = (pairs["both"] / pairs[name] if pairs[name] else 0.0 for name in "ab")
    expected = f"; expected in both {_plus_minus(pairs['expected_both'], pairs['expected_both_sd'])}" \
        if pairs["expected_both"] is not None else ""
    yield (f"pairs: {pairs['both']:,} in both ({share_a:.1%} of A, {share_b:.1%} of B), {pairs['only_a']:,} only in A, "
           f"{pairs['only_b']:,} only in B{expected}")
    yield from _language_lines(found["languages"])
    if found["other_language"]:
        moves = [f"{row['a']} to {row['b']} {row['pairs']:,}" for row in found["other_language"]]
        more = f" and {len(moves) - MOVES_SHOWN:,} more" if len(moves) > MOVES_SHOWN else ""
        yield f"in both, of another language in B: {', '.join(moves[:MOVES_SHOWN])}{more}"
    yield from _far(found["languages"])
    yield ""
    yield from _entry_lines(found["entries"])


def _side_line(name, told):
    known = {"t_en": told["t_en"], "p": told["p"] and round(told["p"], 4), "seed": told["seed"]}
    text = ", ".join(f"{what} {value}" for what, value in known.items() if value is not None)
    of = f", metadata {told['metadata'][:12]}" if told["metadata"] else ""
    return (f"{name}: {told['path']}, {told['pairs']:,} pairs{', ' if text else ''}{text}"
            f"{', one text per image' if told['one_per_image'] else ''}{of}")


def _value(value):
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _plus_minus(value, sd):
    return "-" if value is None else f"{value:,.0f} ± {sd:,.0f}" if sd else f"{value:,.0f}"


def _language_lines(languages):
    rows = [["language", "t in A", "in B", "A", "expected", "B", "expected", "in both", "expected", "only A", "only B"]]
    for lang, row in list(languages.items())[:LANGUAGES_SHOWN]:
        sides = row["a"], row["b"]
        rows.append([lang, *("-" if side["t"] is None else f"{side['t']:,}" for side in sides),
                     *(cell for side in sides
                       for cell in (f"{side['kept']:,}", _plus_minus(side["expected"], side["expected_sd"]))),
                     f"{row['both']:,}", _plus_minus(row["expected_both"], row["expected_both_sd"]),
                     f"{row['only_a']:,}", f"{row['only_b']:,}"])
    yield from align(rows)
    if len(languages) > LANGUAGES_SHOWN:
        yield f"and {len(languages) - LANGUAGES_SHOWN:,} more languages in which less moved"


def _far(languages):
    """Yield lines about languages of which another number was drawn than is to be expected."""
    for name in "a", "b":
        far = [f"{lang} {row[name]['kept']:,}, expected {_plus_minus(row[name]['expected'], row[name]['expected_sd'])}"
               for lang, row in languages.items() if row[name]["expected"] is not None
               and abs(row[name]["kept"] - row[name]["expected"]) > max(FAR * row[name]["expected_sd"], 1)]
        if far:
            yield f"drawn in {name.upper()} otherwise than expected: {'; '.join(far)}"


def _entry_lines(entries):
    if entries is None:
        yield "entries are not compared: the releases differ, and are not both found. Name them with -m."
        return
    if not entries:
        yield "every entry has as many texts in both"
        return
    yield "entries that moved most, by the number of texts that are kept"
    rows = [["entry", "language", "kept in A", "in B", "of the pool of A", "of B", "probability in A", "in B"]]
    for row in entries:
        one = row["id_a"] if row["id_a"] is not None else row["id_b"]
        counts = ["-" if row[key] is None else f"{row[key]:,}" for key in ("count_a", "count_b")]
        probs = ["-" if row[key] is None else f"{row[key]:.4g}" for key in ("prob_a", "prob_b")]
        rows.append([row["entry"] if row["entry"] is not None else f"(entry {one})", row["lang"], f"{row['kept_a']:,}",
                     f"{row['kept_b']:,}", *counts, *probs])
    yield from align(rows, right=range(2, 8))
    if any(row["entry"] is None for row in entries):
        yield "(name the metadata with -m to see the entries)"
