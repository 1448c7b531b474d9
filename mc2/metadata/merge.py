"""Merge sources into a metadata release: which entries each language has, and in which order.

Per Wikipedia code: the numbers, its wordnet, then unigrams, bigrams and titles up to their caps, each filled with
entries that are not there yet. A language is the codes of its group, in mapping order, first occurrence first. A
finished list is taken as it is, and replaces the sources of its language's own code. Lists that were added to a
language come last, so that they change no id of an entry of another source: first that of `starter`, then the others in
the order of their names.
"""
import math
import os
from collections import Counter
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import NamedTuple

import orjson

from mc2 import engines, files, manifests
from mc2.errors import BadData
from mc2.execution.processes import map_in_order
from mc2.metadata import compiled, languages, quality, release, sources
from mc2.metadata.points import REMOVE
from mc2.metadata.spacing import WIDE, WORDS_END_AT, normalize


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
    list_max: int = None            # of each list that was added to a language; None is all
    min_pmi: float = None           # least PMI of a bigram; the published code asks for 30, which no dump reaches

    def of(self, kind, rows):
        """The largest number of rows to keep of a source of this kind. rows: how many it has; for bigrams, how many
        unigrams were kept."""
        return min(getattr(self, f"{kind}_max"), math.floor(getattr(self, f"{kind}_share") * rows))


def merge(directory, output, mapping, caps, spacing="published", nfc=False, jobs=1, mapping_file=None,
          only_with_sources=False, progress=iter, seconds=lambda: None):
    """Write the release `output` from a sources directory. Returns its manifest.

    mapping: languages.Languages; mapping_file: its path, if it is none of mc2's own.
    only_with_sources: the labels of languages without sources go to `other`.
    progress: function of an iterable that gives its items, and shows how far it is.
    Raises BadData for sources that no group of the mapping takes, and for those that are not what their manifests say.
    """
    found = sources.find(directory)
    _refuse_unknown(found, mapping, mapping_file)
    sources.verify(found)
    manifests.refuse_foreign_directory(output, release.KIND)
    if only_with_sources:
        mapping = languages.with_languages(mapping, [lang for lang, codes in mapping.groups.items()
                                                     if _codes_with_sources(found, lang, codes)])
    options = {"scheme": mapping.scheme, "spacing": spacing,
               **({"words_end_at": WORDS_END_AT} if spacing == WIDE else {}), "nfc": nfc,
               **{name: f"{value.normalize():f}" if isinstance(value, Decimal) else value
                  for name, value in asdict(caps).items() if not (name == "list_max" and value is None)},
               **({"only_with_sources": True} if only_with_sources else {})}
    with files.open_directory(output) as target:
        work = LanguageWork(found, caps, spacing, nfc, target)
        largest_first = sorted(mapping.groups.items(), key=lambda group: -work.bytes_of(*group))
        made = dict(progress(map_in_order(work, largest_first, jobs)))
        made = {lang: made[lang] for lang in mapping.groups}
        files.write_bytes(os.path.join(target, "languages.csv"), mapping.to_csv())
        inputs = [*found.values(), *([mapping_file] if mapping_file else [])]
        counts = {"out": sum(language.summary["entries"] for language in made.values())}
        manifest = {
            **manifests.describe_run(release.KIND, inputs, options, counts, seconds()),
            "scheme": mapping.scheme, "languages": {lang: language.summary for lang, language in made.items()},
            "replaced_by_lists": sorted(os.path.basename(path) for language in made.values()
                                        for path in language.replaced),
            **_origins(found, mapping),
            "quality": {lang: language.quality for lang, language in made.items() if language.quality},
            "sha256": {name: manifests.sha256(os.path.join(target, name)) for name in sorted(os.listdir(target))}}
        manifest["fingerprint"] = release.fingerprint(manifest)
        manifests.write(target, manifest)
        if engines.native():
            compiled.compile_release(release.Release(target), jobs)
    return manifest


def without_sources(manifest):
    """The languages of a release that hold the numbers only."""
    return [lang for lang, row in manifest["languages"].items() if set(row["sources"]) <= {"number"}]


def has_sources(lang, manifest, found):
    """Whether there is any source of a language. found: sources.find"""
    return bool(_codes_with_sources(found, lang, manifest["languages"][lang]["wiki_codes"]))


def _codes_with_sources(found, lang, codes):
    """Those of a language's codes that have any source, its own code included, which lists have."""
    return {code for code, _ in found} & {lang, *codes}


def _origins(found, mapping):
    """{"origins": [...]} of the sources whose manifests name where their entries come from, and under which licence; {}
    where none does. Each origin has the languages that have entries of it."""
    lang_of = {code: lang for lang, codes in mapping.groups.items() for code in codes}
    origins = {}
    for (code, kind), path in found.items():
        if origin := (manifests.read(path) or {}).get("origin"):
            lang = code if sources.is_list(kind) else lang_of[code]
            origins.setdefault(orjson.dumps(origin), (origin, set()))[1].add(lang)
    rows = [{**origin, "languages": sorted(langs)} for _, (origin, langs) in sorted(origins.items())]
    return {"origins": rows} if rows else {}


def _segmenters(codes, found):
    """{Wikipedia code: its segmenter}, of those written without spaces, from the manifests of sources."""
    described = {}
    for code in codes:
        segmenter = _option((code, "unigram"), "segmenter", found)
        if segmenter and segmenter["name"] != "spaces":
            described[code] = segmenter
    return described


def _option(source, name, found):
    """The option of this name with which a source was made; None where there is no such source, or its manifest does
    not say. source: (code, kind)"""
    manifest = manifests.read(found[source]) if source in found else None
    return ((manifest or {}).get("options") or {}).get(name)


def _refuse_unknown(found, mapping, mapping_file):
    for (code, kind), path in found.items():
        known = mapping.langs if sources.is_list(kind) else mapping.wiki_codes
        if code not in known:
            what = "metadata language" if sources.is_list(kind) else "Wikipedia"
            raise BadData(f"{path}: {code!r} is no {what} of the mapping {mapping_file or mapping.scheme}. "
                          f"Rename or remove the file.")


class Made(NamedTuple):
    """The outcome of one language."""

    summary: dict           # its row of manifest["languages"]
    quality: dict           # its row of manifest["quality"]; empty where there are the numbers only
    replaced: list          # paths of the sources that its list replaces


class LanguageWork:
    """From (lang, its Wikipedia codes) to (lang, Made); the .tsv is written on the way."""

    def __init__(self, found, caps, spacing, nfc, target):
        self.found, self.caps, self.spacing, self.target = found, caps, spacing, target
        self.normalize = normalize if nfc else None

    def bytes_of(self, lang, codes):
        """The size of a language's sources."""
        return sum(os.path.getsize(path) for (code, _), path in self.found.items() if code == lang or code in codes)

    def __call__(self, group):
        lang, codes = group
        rows, repeats = self.rows(lang, codes)
        _write_tsv(os.path.join(self.target, f"{lang}.tsv"), rows)
        by_source = Counter(row.source for row in rows)
        never = quality.never(rows, self.spacing)
        summary = {"entries": len(rows), "wiki_codes": codes, "sources": dict(by_source),
                   "cannot_match": quality.total(never),
                   "bigram_counts": _histogram([row.count for row in rows if row.count is not None])}
        if segmenters := _segmenters(codes, self.found):
            summary["segmenters"] = segmenters
        if without_points := [code for code in codes if _option((code, "wordnet"), "points", self.found) == REMOVE]:
            summary["without_points"] = without_points
        report = quality.report(lang, rows, never, repeats) if set(by_source) - {"number"} else {}
        replaced = [path for (code, kind), path in self.found.items() if code == lang and not sources.is_list(kind)]
        return lang, Made(summary, report, replaced if (lang, "list") in self.found else [])

    def rows(self, lang, codes):
        """(rows of a language, Counter of entries that were there already by (source, earlier source))"""
        repeats = Counter()
        added = [kind for code, kind in self.found if code == lang and sources.is_added_list(kind)]
        added.sort(key=lambda kind: (kind != sources.STARTER, kind))
        if (lang, "list") in self.found:
            rows = [Row(entry, "list") for entry, _ in self._source(lang, "list").rows()]
            source_of = {row.entry: f"{lang}.list" for row in rows}
            # A list may name an entry twice; each keeps its id.
            repeats[f"{lang}.list", f"{lang}.list"] += len(rows) - len(source_of)
            codes, numbers = [code for code in codes if code != lang], []
        elif codes:
            rows, source_of, numbers = [], {}, NUMBERS
        else:
            rows, numbers = list(NUMBERS), []
            source_of = {row.entry: "number" for row in rows}
        for code in codes:
            for row in self._code(code, numbers, repeats):
                source = _name(code, row.source)
                if row.entry not in source_of:
                    source_of[row.entry] = source
                    rows.append(row)
                elif source != "number":
                    repeats[source, source_of[row.entry]] += 1
        for kind in added:
            self._add_list(lang, kind, rows, source_of, repeats)
        return rows, +repeats

    def _add_list(self, lang, kind, rows, source_of, repeats):
        """Add the entries of a list to the rows of its language, up to the cap."""
        name, taken = _name(lang, kind), 0
        for entry, weight in self._source(lang, kind).rows():
            if taken == self.caps.list_max:
                break
            if entry in source_of:
                repeats[name, source_of[entry]] += 1
            else:
                source_of[entry] = name
                rows.append(Row(entry, "list", str(weight)))
                taken += 1

    def _code(self, code, numbers, repeats):
        """The rows of one Wikipedia code."""
        rows, kind_of = list(numbers), {row.entry: "number" for row in numbers}

        def fill(kind, candidates, cap=math.inf):
            taken = 0
            for row in candidates:
                if taken >= cap:
                    break
                if row.entry not in kind_of:
                    kind_of[row.entry] = kind
                    rows.append(row)
                    taken += 1
                else:
                    repeats[_name(code, kind), _name(code, kind_of[row.entry])] += 1
            return taken

        if source := self._source(code, "wordnet"):
            fill("wordnet", (Row(entry, "wordnet") for entry, _ in source.once()))
        words = 0
        if source := self._source(code, "unigram"):
            cap = self.caps.of("unigram", source.distinct)
            words = fill("unigram", (Row(word, "unigram", str(count))
                                     for word, count in source.best_first(cap + len(rows))), cap)
        if source := self._source(code, "bigram"):
            cap, least = self.caps.of("bigram", words), -math.inf if self.caps.min_pmi is None else self.caps.min_pmi
            fill("bigram", (Row(pair, "bigram", f"{pmi:.6f}", count)
                            for pair, pmi, count in source.best_first(cap + len(rows)) if pmi >= least), cap)
        if source := self._source(code, "title"):
            cap = self.caps.of("title", source.distinct)
            fill("title", (Row(title, "title", str(views))
                           for title, views in source.best_first(cap + len(rows))), cap)
        return rows

    def _source(self, code, kind):
        path = self.found.get((code, kind))
        return path and sources.Source(path, kind, self.normalize)


def _name(code, kind):
    """How a source is called in the quality report."""
    return kind if kind == "number" else f"{code}.{kind}"


def _histogram(counts):
    """{least count of the bin: bigrams in it}, empty bins left out."""
    bins = Counter(max(start for start in BIGRAM_COUNTS if start <= count) for count in counts)
    return {str(start): bins[start] for start in BIGRAM_COUNTS if bins[start]}


def _write_tsv(path, rows):
    with open(path, "xb") as stream:
        stream.write("".join([f"{entry}\t{source}\t{score}\n" for entry, source, score, _ in rows]).encode())
