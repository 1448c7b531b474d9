"""Say what any artefact of mc2 is, in a few lines that a person likes to read."""
import itertools
import os
from collections import Counter

import numpy as np
import orjson

from mc2 import counting, curation, files, manifests, records, thresholds
from mc2.errors import BadData, BadUsage, Mc2Error
from mc2.metadata import release, sources
from mc2.tables import align

LANGUAGES_SHOWN = 20


def describe(path, metadata=None, lines=10_000):
    """Yield lines of text about a release, counts, sources, thresholds or pairs.

    metadata: directory of a release, to spell out entries; by default the one that the manifest names.
    lines: how many pairs to read; 0 = all.
    """
    if path != "-" and os.path.isdir(path):
        kind = (manifests.read(path) or {}).get("kind")
        if kind == release.KIND:
            return _metadata(release.Release(path))
        if kind == counting.KIND:
            return _counts(path, metadata)
        try:
            return _sources(sources.find(path))
        except BadUsage:
            raise BadUsage(f"{path}: neither metadata, counts nor sources. For shards of pairs, name one of them.") from None
    if path.endswith(".json"):
        return _thresholds(path)
    if path.endswith(".tsv"):
        return _source(path)
    return _pairs(path, metadata, lines)


# ---------------------------------------------------------------- metadata

def _metadata(opened):
    languages = opened.manifest["languages"]
    total = sum(row["entries"] for row in languages.values())
    options = opened.manifest["options"]
    yield (f"metadata {opened.fingerprint[:12]}: {total:,} entries in {len(languages):,} languages "
           f"({options['scheme']}, spacing {options['spacing']})")
    sourced = {lang: row for lang, row in languages.items() if set(row["sources"]) - {"number"}}
    largest = sorted(sourced, key=lambda lang: -sourced[lang]["entries"])
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
    if bare := [lang for lang in languages if lang not in sourced]:
        yield f"numbers only, for want of sources: {' '.join(bare)}"
    for lang in largest[:LANGUAGES_SHOWN]:
        yield ""
        yield f"{lang} ({' '.join(languages[lang]['wiki_codes'])})"
        yield from _samples(opened.rows(lang))


def _samples(rows, each=6):
    """Some entries of each source, evenly spread over its rows."""
    for kind, group in itertools.groupby(rows, key=lambda row: row[1]):
        group = list(group)
        chosen = [group[len(group) * k // each][0] for k in range(each)] if len(group) > each \
            else [row[0] for row in group]
        yield f"  {kind}: {', '.join(dict.fromkeys(chosen))}"


# ---------------------------------------------------------------- sources

def _sources(found):
    yield f"sources of {len({code for code, _ in found}):,} Wikipedias"
    rows = [["file", "rows", "best"]]
    for (code, kind), path in found.items():
        content = sources.read(path, kind)
        rows.append([os.path.basename(path), f"{len(content):,}", ", ".join(row[0] for row in content[:3])])
    yield from align(rows)


def _source(path):
    kind = path.split(".")[-2] if path.count(".") >= 2 else ""
    if kind not in sources.KINDS:
        raise BadData(f"{path}: not a source; they are called CODE.KIND.tsv, KIND one of {', '.join(sources.KINDS)}.")
    content = sources.read(path, kind)
    yield f"{kind} source, {len(content):,} rows; the first:"
    yield from align([list(map(str, row)) for row in content[:20]] or [["(none)"]])


# ---------------------------------------------------------------- counts, thresholds

def _counts(path, metadata):
    counts, fingerprint = counting.load(path, samples=False)
    opened = _release(metadata, manifests.read(path), counts.metadata)
    langs = sorted((lang for lang in counts.pairs if counts.pairs[lang]), key=lambda lang: -counts.pairs[lang])
    yield (f"counts {fingerprint[:12]} of metadata {counts.metadata[:12]}: {sum(counts.pairs.values()):,} pairs, "
           f"{sum(counts.matched.values()):,} matched, in {len(langs):,} of {len(counts.pairs):,} languages")
    steps = [10 ** k for k in range(1, 7)]
    largest = max((int(counts.entry_counts[lang].max(initial=0)) for lang in langs), default=0)
    steps = [t for t in steps if t <= largest] or steps[:1]
    rows = [["language", "pairs", "matched", "matches", "matched entries", "largest count",
             *(f"tail at t={t:,}" for t in steps)]]
    for lang in langs[:LANGUAGES_SHOWN]:
        entry_counts = counts.entry_counts[lang]
        matches = int(entry_counts.sum())
        rows.append([lang, f"{counts.pairs[lang]:,}", f"{counts.matched[lang]:,}", f"{matches:,}",
                     f"{np.count_nonzero(entry_counts):,} of {len(entry_counts):,}",
                     f"{entry_counts.max(initial=0):,}",
                     *(f"{curation.t_to_p(t, entry_counts):.3f}" if matches else "-" for t in steps)])
    yield from align(rows)
    if len(langs) > LANGUAGES_SHOWN:
        yield f"and {len(langs) - LANGUAGES_SHOWN:,} more languages with fewer pairs"
    yield ""
    yield "top entries" if opened else "top entries, by id (name the metadata with -m to see words)"
    for lang in langs[:LANGUAGES_SHOWN]:
        top = np.argsort(counts.entry_counts[lang], kind="stable")[::-1][:8].tolist()
        words = opened.entries(lang) if opened else None
        shown = ", ".join(f"{words[i] if words else i} {counts.entry_counts[lang][i]:,}"
                          for i in top if counts.entry_counts[lang][i])
        yield f"  {lang}: {shown or 'nothing matched'}"


def _thresholds(path):
    content = thresholds.load(path)
    how = f"t_en = {content['t_en']}, p = {content['p']:.6f}" if content["p"] is not None else "one t for all languages"
    yield f"thresholds for counts {content['counts'][:12]}: {how}; {thresholds.total_expected(content)} pairs expected"
    yield from thresholds.table(content)


# ---------------------------------------------------------------- pairs

def _pairs(path, metadata, lines):
    manifest = (manifests.read(path) if path != "-" else None) or {}
    read, keys, langs, matches, shown = 0, Counter(), Counter(), 0, []
    for number, data in files.read_blocks(path):
        batch = records.Batch(records.Block(files.name_of(path), number, data))
        for record in batch.records[:lines - read if lines else None]:
            read += 1
            keys.update(record.keys())
            langs[record.get("lang")] += 1
            matches += bool(record.get("matched_entry_ids"))
            if len(shown) < 5 and (record.get("matched_entry_ids") or "matched_entry_ids" not in record):
                shown.append(record)
        if lines and read >= lines:
            break
    total = manifest.get("counts", {}).get("out")
    of = f" of {total:,}" if total is not None and total > read else " (the first)" if lines and read >= lines else ""
    made = f", made by mc2 {manifest['stage']}" if "stage" in manifest else ""
    yield f"{'matched ' if keys['matched_entry_ids'] else ''}pairs{made}: {read:,}{of} read"
    if not read:
        return
    yield f"keys: {', '.join(key if count == read else f'{key} (in {count:,})' for key, count in keys.items())}"
    if keys["lang"]:
        most = ", ".join(f"{lang} {count:,}" for lang, count in langs.most_common(LANGUAGES_SHOWN))
        yield f"languages: {most}{', ...' if len(langs) > LANGUAGES_SHOWN else ''}"
    if keys["matched_entry_ids"]:
        yield f"matched: {matches:,} of {read:,}"
    opened = None
    if keys["matched_entry_ids"]:
        opened = _release(metadata, manifest, manifest.get("lineage", {}).get("metadata"))
        if not opened and not manifest and (opened := _release_beside(path)):
            yield f"(words of {opened.path}; name another release with -m)"
        if not opened:
            yield "(name the metadata with -m to see the matched words)"
    for record in shown:
        yield ""
        yield from _record(record, opened)


def _record(record, opened):
    yield f"{record['id']}  {record.get('lang', '')}".rstrip()
    yield f"  {' '.join(record['text'].split())[:200]}"
    ids = record.get("matched_entry_ids")
    if not ids:
        return
    if opened and record.get("lang") in opened.n_entries:
        entries = opened.entries(record["lang"])
        yield "  -> " + ", ".join(entries[i] if type(i) is int and i < len(entries) else f"{i}?" for i in ids)
    else:
        yield "  -> " + ", ".join(map(str, ids))


def _release(metadata, manifest, fingerprint):
    """The release that is named, or that the manifest names if it is still the same; else None."""
    if metadata:
        opened = release.Release(metadata)
        if fingerprint is not None and opened.fingerprint != fingerprint:
            raise BadData(f"{metadata}: is metadata {opened.fingerprint[:12]}, but this belongs to metadata "
                          f"{fingerprint[:12]}. Name that with -m.")
        return opened
    path = ((manifest or {}).get("paths") or {}).get("metadata")
    try:
        opened = release.Release(path) if path else None
    except (Mc2Error, orjson.JSONDecodeError):
        return None
    return opened if opened and opened.fingerprint == fingerprint else None


def _release_beside(path):
    """For pairs without a manifest, as from a pipe: the release called `metadata` in the same directory, or None."""
    beside = os.path.join(os.path.dirname(path) if path != "-" else "", "metadata")
    try:
        return release.Release(beside) if os.path.isdir(beside) else None
    except Mc2Error:
        return None
