"""Describe a metadata release, and what is odd about its entries."""
import contextlib
import itertools
from collections import Counter

import orjson

from mc2 import manifests
from mc2.errors import BadData, Mc2Error
from mc2.metadata import release, sources
from mc2.tables import align

LANGUAGES_SHOWN = 20
WORST_SHOWN = 8
_OF_WIKIPEDIAS = {"unigram": "words of Wikipedia", "bigram": "pairs of words", "title": "titles"}


def describe(opened):
    """Yield lines about a release.Release."""
    shown = yield from _overview(opened.manifest)
    for lang in shown:
        yield ""
        yield f"{lang} ({' '.join(opened.manifest['languages'][lang]['wiki_codes'])})"
        yield from _samples(opened.rows(lang))
        yield from _oddities(opened.manifest.get("quality", {}).get(lang))


def describe_packed(manifest):
    """Yield lines about a packed release, from its manifest."""
    shown = yield from _overview(manifest)
    for lang in shown:
        if lang in manifest.get("quality", {}):
            yield ""
            yield f"{lang} ({' '.join(manifest['languages'][lang]['wiki_codes'])})"
            yield from _oddities(manifest["quality"][lang])
    yield ""
    yield "Packed: for samples of the entries, unpack it with 'mc2 build-metadata unpack'."


def facts(opened):
    """What is known of a release.Release: as facts_of_packed, and `samples`, {source: some entries}, of the languages
    with most entries; dict."""
    found = facts_of_packed(opened.manifest)
    for lang in _largest(opened.manifest)[:LANGUAGES_SHOWN]:
        found["languages"][lang]["samples"] = {
            kind: list(dict.fromkeys(entries)) for kind, entries in _chosen(opened.rows(lang))}
    return {**found, "is_packed": False}


def facts_of_packed(manifest):
    """What is known of a packed release, from its manifest; dict. languages: wiki_codes, entries, sources {source:
    entries}, cannot_match (entries), bigram_counts, and `quality`, the report on odd entries."""
    options, quality = manifest["options"], manifest.get("quality", {})
    languages = {lang: {**row, **({"quality": quality[lang]} if lang in quality else {})}
                 for lang, row in manifest["languages"].items()}
    origins, sourced = manifest.get("origins", []), set(_largest(manifest))
    return {"kind": "metadata", "fingerprint": manifest["fingerprint"], "is_packed": True,
            "entries": sum(row["entries"] for row in languages.values()), "scheme": options["scheme"],
            "spacing": options["spacing"], "nfc": bool(options.get("nfc")), "languages": languages,
            "without_sources": [lang for lang in languages if lang not in sourced], "origins": origins,
            "is_starter": any(origin.get("starter") for origin in origins)}


def _largest(manifest):
    """The languages that have sources, most entries first."""
    sourced = {lang: row for lang, row in manifest["languages"].items() if set(row["sources"]) - {"number"}}
    return sorted(sourced, key=lambda lang: -sourced[lang]["entries"])


def _overview(manifest):
    """Yield lines about all languages. Returns the largest ones, to be shown one by one."""
    languages, options = manifest["languages"], manifest["options"]
    total = sum(row["entries"] for row in languages.values())
    nfc = ", nfc" if options.get("nfc") else ""
    yield (f"metadata {manifest['fingerprint'][:12]}: {total:,} entries in {len(languages):,} languages "
           f"({options['scheme']}, spacing {options['spacing']}{nfc})")
    largest = _largest(manifest)
    kinds = ["number", *sources.KINDS]
    rows = [["language", "entries", *kinds, "cannot match"]]
    for lang in largest[:LANGUAGES_SHOWN]:
        row = languages[lang]
        rows.append([lang, f"{row['entries']:,}", *(f"{row['sources'].get(kind, 0):,}" for kind in kinds),
                     f"{row['cannot_match']:,}"])
    yield from align(rows)
    if more := largest[LANGUAGES_SHOWN:]:
        yield f"and {len(more):,} more: {' '.join(more)}"
    histogram = Counter()
    for row in languages.values():
        histogram.update({int(start): count for start, count in row["bigram_counts"].items()})
    if histogram:
        shown = ", ".join(f"{count:,} at least {start:,}" for start, count in sorted(histogram.items()))
        yield f"bigrams by how often they were seen: {shown}"
    if bare := [lang for lang in languages if lang not in largest]:
        yield f"numbers only, as there are no sources: {' '.join(bare)}"
    yield from _origins(manifest)
    if report := manifest.get("quality"):
        yield ""
        yield from _quality(report, languages, largest)
    return largest[:LANGUAGES_SHOWN]


def _origins(manifest):
    """Yield lines: where entries come from and under which licences, where the sources say so."""
    origins = manifest.get("origins", [])
    for origin in origins:
        yield (f"from {origin['name']}, licence {origin['licence']} ({origin['url']}), in {len(origin['languages']):,} "
               f"languages{_listed_if_few(origin['languages'])}")
    if any(origin.get("starter") for origin in origins):
        found = {kind for row in manifest["languages"].values() for kind in row["sources"]}
        missing = [f"no {name}" for kind, name in _OF_WIKIPEDIAS.items() if kind not in found]
        yield (f"A START, not the metadata of the paper{': ' * bool(missing)}{', '.join(missing)}. Add what it lacks "
               f"to the same sources with 'mc2 build-metadata ngrams|titles|wordnet|import --add', then merge them "
               f"again.")


def _listed_if_few(langs):
    return f": {' '.join(langs)}" if len(langs) <= LANGUAGES_SHOWN else ""


def _samples(rows):
    """Yield lines: some entries of each source."""
    for kind, entries in _chosen(rows):
        yield f"  {kind}: {', '.join(dict.fromkeys(entries))}"


def _chosen(rows, each=6):
    """Yield (source, some of its entries), evenly spread over its rows."""
    for kind, group in itertools.groupby(rows, key=lambda row: row[1]):
        group = list(group)
        yield kind, [group[len(group) * k // each][0] for k in range(each)] if len(group) > each \
            else [row[0] for row in group]


# ---------------------------------------------------------------- quality

def _quality(report, languages, largest):
    """The quality report (see metadata/quality.py) as a table, all languages as its last line."""
    rows = [["quality", "entries", "cannot match", "share", "repeats left out", "pure numbers", "foreign letters",
             "scripts"]]
    for lang in [*largest[:LANGUAGES_SHOWN], None]:
        langs = [lang] if lang else list(report)
        numbers = [sum(count(report[name]) for name in langs) for count in (
            lambda row: row["cannot_match"]["entries"], _repeats, lambda row: row["pure_numbers"]["entries"],
            lambda row: sum(found["entries"] for found in row["foreign_scripts"].values()))]
        entries = sum(languages[name]["entries"] for name in langs)
        rows.append([lang or f"all {len(report):,}", f"{entries:,}", f"{numbers[0]:,}", _percent(numbers[0] / entries),
                     *(f"{number:,}" for number in numbers[1:]), _scripts(report[lang]["scripts"]) if lang else ""])
    yield from align(rows)
    worst = sorted(report, key=lambda lang: (-report[lang]["cannot_match"]["share"], lang))[:WORST_SHOWN]
    worst = [f"{lang} {_percent(report[lang]['cannot_match']['share'])}" for lang in worst
             if report[lang]["cannot_match"]["entries"]]
    if worst:
        yield f"most that cannot match: {', '.join(worst)}"
    pointed = {lang: row["vowel_points"]["entries"] for lang, row in report.items() if "vowel_points" in row}
    if pointed:
        shown = ", ".join(f"{lang} {count:,} of {languages[lang]['sources']['wordnet']:,}"
                          for lang, count in sorted(pointed.items(), key=lambda item: (-item[1], item[0])))
        yield (f"CAN HARDLY MATCH: lemmas with vowel points, which running text hardly ever has: {shown}. Take the "
               f"points out with 'mc2 build-metadata wordnet --points remove'.")


def _repeats(row):
    return sum(sum(earlier.values()) for earlier in row["repeats"].values())


def _scripts(own):
    """The most frequent scripts of a language."""
    return " ".join(list(own)[:3]).lower() + (" ..." if len(own) > 3 else "")


def _oddities(row):
    """Yield lines about odd entries of one language, with examples."""
    if not row:
        return
    cannot = row["cannot_match"]
    if cannot["entries"]:
        by_source = ", ".join(f"{count:,} of {source}" for source, count in cannot["sources"].items())
        yield (f"  cannot match, {cannot['entries']:,} ({_percent(cannot['share'])}; {by_source}): "
               f"{_listed(cannot['reasons'])}")
    for source, earlier in row["repeats"].items():
        counts = ", ".join(f"{count:,} in {name}" for name, count in earlier.items())
        yield f"  {source} had entries that were there already: {counts}"
    if "vowel_points" in row:
        yield f"  {_listed({'lemmas with vowel points, which can hardly match': row['vowel_points']})}"
    if row["pure_numbers"]["entries"]:
        yield f"  {_listed({'pure numbers': row['pure_numbers']})}"
    if row["foreign_scripts"]:
        yield f"  letters of other scripts than {_scripts(row['scripts'])}: {_listed(row['foreign_scripts'], shown=5)}"
    if row["longest"]:
        yield f"  longest, {row['longest'][0]['characters']:,} characters: {row['longest'][0]['entry']}"


def _listed(found, shown=None):
    """{what: {"entries", "examples"}} as one line of text."""
    texts = [f"{what} {row['entries']:,} ({', '.join(row['examples'])})" for what, row in found.items()]
    return "; ".join(texts[:shown]) + (f"; and {len(texts) - shown:,} more" if shown and len(texts) > shown else "")


def _percent(share):
    return f"{100 * share:.2f} %"


# ---------------------------------------------------------------- the release that something belongs to

def named_release(metadata, path, manifest, fingerprint):
    """The release that is named, or that the manifest of `path` names if it is still the same; else None."""
    if metadata:
        opened = release.Release(metadata)
        if fingerprint is not None and opened.fingerprint != fingerprint:
            raise BadData(f"{metadata}: is metadata {opened.fingerprint[:12]}, but this belongs to metadata "
                          f"{fingerprint[:12]}. Name that with -m.")
        return opened
    for candidate in manifests.paths_of(manifest, "metadata", path):
        with contextlib.suppress(Mc2Error, OSError, orjson.JSONDecodeError):
            opened = release.Release(candidate)
            if opened.fingerprint == fingerprint:
                return opened
    return None
