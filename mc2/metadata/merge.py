"""Merge sources into a metadata release: which entries each language has, and in which order.

Per Wikipedia code: the numbers, its wordnet, then unigrams, bigrams and titles up to their caps, each filled
with entries that are not there yet. A language is the codes of its group, in mapping order, first occurrence
first. An imported list is taken as it is, in place of the sources of its language's own code.
"""
import math
import os
from collections import Counter
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import NamedTuple

from mc2 import compiled, engines, files, manifests
from mc2.errors import BadData
from mc2.matching import can_match
from mc2.metadata import release, sources


class Row(NamedTuple):
    """One entry of a language."""

    entry: str
    source: str
    score: str = "0"
    count: int = None               # of a bigram


NUMBERS = [Row(str(number), "number") for number in range(100)]
BIGRAM_COUNTS = (1, 5, 10, 100, 1000, 10_000)       # where the bins of the histogram begin


@dataclass
class Caps:
    """How much of each source is kept: a share of its distinct rows (of the kept unigrams for bigrams), and at most
    so many. Defaults as in the paper's released metadata."""

    unigram_share: Decimal = Decimal("0.10")
    unigram_max: int = 251_465
    bigram_share: Decimal = Decimal("0.40")
    bigram_max: int = 100_646
    title_share: Decimal = Decimal("0.76")
    title_max: int = 61_235
    min_pmi: float = None           # least PMI of a bigram; the published code asks for 30, which no dump reaches

    def of(self, kind, rows):
        """The cap of a source of this kind, of which (or of whose unigrams) there are so many rows."""
        return min(getattr(self, f"{kind}_max"), math.floor(getattr(self, f"{kind}_share") * rows))


def merge(directory, output, mapping, scheme, caps, seconds=lambda: None):
    """Write the release `output` from a sources directory. Returns its manifest.

    mapping: languages.Languages. Raises BadData for sources that no group of the mapping takes.
    """
    found = sources.find(directory)
    _refuse_unknown(found, mapping, scheme)
    manifests.refuse_foreign_directory(output, release.KIND)
    options = {"scheme": scheme, "spacing": "published", "nfc": False,
               **{name: f"{value.normalize():f}" if isinstance(value, Decimal) else value
                  for name, value in asdict(caps).items()}}
    rows_of = {}
    replaced = []
    with files.open_directory(output) as target:
        for lang, codes in mapping.groups.items():
            rows = _language(lang, codes, found, caps, replaced)
            _write_tsv(os.path.join(target, f"{lang}.tsv"), rows)
            rows_of[lang] = {"entries": len(rows), "wiki_codes": codes, "sources": Counter(row.source for row in rows),
                             "cannot_match": sum(not can_match(row.entry) for row in rows),
                             "bigram_counts": _histogram([row.count for row in rows if row.count is not None])}
        files.write_bytes(os.path.join(target, "languages.csv"), mapping.to_csv())
        manifest = {
            **manifests.describe_run(release.KIND, found.values(), options,
                                     {"out": sum(row["entries"] for row in rows_of.values())}, seconds()),
            "scheme": scheme, "languages": rows_of,
            "replaced_by_lists": sorted(os.path.basename(path) for path in replaced),
            "sha256": {name: manifests.sha256(os.path.join(target, name)) for name in sorted(os.listdir(target))}}
        manifest["fingerprint"] = release.fingerprint(manifest)
        manifests.write(target, manifest)
        if engines.native():
            compiled.compile_release(release.Release(target))
    return manifest


def without_sources(manifest):
    """The languages of a release that hold the numbers only."""
    return [lang for lang, row in manifest["languages"].items() if set(row["sources"]) <= {"number"}]


def _refuse_unknown(found, mapping, scheme):
    for (code, kind), path in found.items():
        known = mapping.langs if kind == "list" else mapping.wiki_codes
        if code not in known:
            what = "metadata language" if kind == "list" else "Wikipedia"
            raise BadData(f"{path}: {code!r} is no {what} of the mapping {scheme}. Rename or remove the file.")


def _language(lang, codes, found, caps, replaced):
    """The rows of a language."""
    if (lang, "list") not in found:
        return _first_occurrences([row for code in codes for row in _code(code, found, caps, NUMBERS)] or NUMBERS)
    rows = [Row(entry, "list") for entry, *_ in sources.read(found[lang, "list"], "list")]
    replaced += [path for (code, kind), path in found.items() if code == lang and kind != "list"]
    others = [row for code in codes if code != lang for row in _code(code, found, caps, [])]
    listed = {row.entry for row in rows}            # a list may name an entry twice; each keeps its id
    return rows + [row for row in _first_occurrences(others) if row.entry not in listed]


def _code(code, found, caps, numbers):
    """The rows of one Wikipedia code."""
    rows, present = list(numbers), {row.entry for row in numbers}

    def fill(candidates, cap=math.inf):
        before = len(rows)
        for row in candidates:
            if len(rows) - before >= cap:
                break
            if row.entry not in present:
                present.add(row.entry)
                rows.append(row)
        return len(rows) - before

    def read(kind):
        return sources.read(found[code, kind], kind) if (code, kind) in found else []

    fill(Row(entry, "wordnet") for entry, _ in read("wordnet"))
    unigrams = sorted(read("unigram"), key=_by_score)
    kept = fill((Row(word, "unigram", str(count)) for word, count in unigrams), caps.of("unigram", len(unigrams)))
    bigrams = [row for row in read("bigram") if caps.min_pmi is None or row[1] >= caps.min_pmi]
    bigrams.sort(key=lambda row: (-row[1], -row[2], row[0]))
    fill((Row(words, "bigram", f"{pmi:.6f}", count) for words, pmi, count in bigrams), caps.of("bigram", kept))
    titles = sorted(read("title"), key=_by_score)
    fill((Row(title, "title", str(views)) for title, views in titles), caps.of("title", len(titles)))
    return rows


def _by_score(row):
    return -row[1], row[0]


def _first_occurrences(rows):
    first = {}
    for row in rows:
        first.setdefault(row.entry, row)
    return list(first.values())


def _histogram(counts):
    """{least count of the bin: bigrams in it}, empty bins left out."""
    bins = Counter(max(start for start in BIGRAM_COUNTS if start <= count) for count in counts)
    return {str(start): bins[start] for start in BIGRAM_COUNTS if bins[start]}


def _write_tsv(path, rows):
    with open(path, "wb") as stream:
        stream.writelines(f"{row.entry}\t{row.source}\t{row.score}\n".encode() for row in rows)
