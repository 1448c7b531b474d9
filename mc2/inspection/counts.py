"""Describe counts, thresholds and a curation."""
import math
import os

import numpy as np

from mc2 import manifests
from mc2.balancing import algorithm, counting, thresholds
from mc2.inspection.releases import LANGUAGES_SHOWN, named_release
from mc2.tables import align

TOP = 8                         # entries of a language that are shown


def describe(path, metadata):
    found = facts(path, metadata)
    rows_of, shown = found["languages"], list(found["languages"])[:LANGUAGES_SHOWN]
    yield (f"counts {found['fingerprint'][:12]} of metadata {found['metadata'][:12]}: {found['pairs']:,} pairs, "
           f"{found['matched']:,} matched, in {len(rows_of):,} of {found['languages_of_metadata']:,} languages")
    steps = [int(t) for t in next(iter(rows_of.values()))["tail"]] if rows_of else _steps(0)
    rows = [["language", "pairs", "matched", "matches", "matched entries", "largest count",
             *(f"tail at t={t:,}" for t in steps)]]
    for lang in shown:
        row = rows_of[lang]
        rows.append([lang, f"{row['pairs']:,}", f"{row['matched']:,}", f"{row['matches']:,}",
                     f"{row['matched_entries']:,} of {row['entries']:,}", f"{row['largest_count']:,}",
                     *("-" if share is None else f"{share:.3f}" for share in row["tail"].values())])
    yield from align(rows)
    if len(rows_of) > LANGUAGES_SHOWN:
        yield f"and {len(rows_of) - LANGUAGES_SHOWN:,} more languages with fewer pairs"
    yield ""
    yield "top entries" if found["words_of"] else "top entries, by id (name the metadata with -m to see words)"
    for lang in shown:
        top = ", ".join(f"{row.get('entry', row['id'])} {row['count']:,}" for row in rows_of[lang]["top"])
        yield f"  {lang}: {top or 'nothing matched'}"


def facts(path, metadata):
    """What is known of counts; dict. languages: those with pairs, most pairs first: pairs, matched (pairs), matches,
    matched_entries, entries, largest_count, tail {t: its tail share, None without a match}, top (entries of the largest
    counts). words_of: the release whose entries are named."""
    counts, fingerprint = counting.load(path, samples=False)
    opened = named_release(metadata, path, manifests.read(path), counts.metadata)
    langs = sorted((lang for lang in counts.pairs if counts.pairs[lang]), key=lambda lang: -counts.pairs[lang])
    steps = _steps(max((int(counts.entry_counts[lang].max(initial=0)) for lang in langs), default=0))
    return {"kind": "counts", "fingerprint": fingerprint, "metadata": counts.metadata,
            "words_of": opened.path if opened else None, "pairs": sum(counts.pairs.values()),
            "matched": sum(counts.matched.values()), "languages_of_metadata": len(counts.pairs),
            "languages": {lang: _row(counts, lang, steps, opened) for lang in langs}}


def _steps(largest):
    """The thresholds for which the tail share is shown. largest: count of an entry"""
    steps = [10 ** k for k in range(1, 7)]
    return [t for t in steps if t <= largest] or steps[:1]


def _row(counts, lang, steps, opened):
    entry_counts = counts.entry_counts[lang]
    matches = int(entry_counts.sum())
    top = [i for i in np.argsort(entry_counts, kind="stable")[::-1][:TOP].tolist() if entry_counts[i]]
    words = opened.entries(lang) if opened and top else None
    return {"pairs": counts.pairs[lang], "matched": counts.matched[lang], "matches": matches,
            "matched_entries": int(np.count_nonzero(entry_counts)), "entries": len(entry_counts),
            "largest_count": int(entry_counts.max(initial=0)),
            "tail": {str(t): float(algorithm.t_to_p(t, entry_counts)) if matches else None for t in steps},
            "top": [{"id": i, **({"entry": words[i]} if words else {}), "count": int(entry_counts[i])} for i in top]}


# ---------------------------------------------------------------- thresholds

def describe_thresholds(path):
    content = thresholds.load(path)
    how = f"t_en = {content['t_en']}, p = {content['p']:.6f}" if content["p"] is not None else "one t for all languages"
    yield f"thresholds for counts {content['counts'][:12]}: {how}; {thresholds.total_expected(content)} pairs expected"
    yield from thresholds.table(content)


def facts_of_thresholds(path):
    """The content of thresholds.json, with the pairs that are expected in all; dict."""
    content = thresholds.load(path)
    rows = content["languages"].values()
    return {"kind": "thresholds", "expected_pairs": sum(row["expected_pairs"] for row in rows),
            "expected_pairs_error": math.sqrt(sum(row["expected_pairs_error"] ** 2 for row in rows)), **content}


# ---------------------------------------------------------------- a curation

def describe_curation(path):
    """Yield lines on the output directory of `mc2 curate`."""
    found = facts_of_curation(path)
    languages = found["languages"]
    yield (f"curation of {found['shards']:,} shards: {found['pairs']:,} pairs, {found['matched']:,} matched, "
           f"{found['kept']:,} kept; metadata {found['metadata'][:12]}, made by --executor {found['executor']}")
    rows = [["language", "pairs", "matched", "t", "kept", "kept of matched"]]
    for lang, row in list(languages.items())[:LANGUAGES_SHOWN]:
        share = f"{row['kept'] / row['matched']:.1%}" if row["matched"] else "-"
        rows.append([lang, *(f"{row[key]:,}" for key in ("pairs", "matched", "t", "kept")), share])
    yield from align(rows)
    if len(languages) > LANGUAGES_SHOWN:
        yield f"and {len(languages) - LANGUAGES_SHOWN:,} more languages with fewer pairs"
    yield f"counts, thresholds and shards: mc2 inspect {os.path.join(path, 'counts')}, and so on"


def facts_of_curation(path):
    """What is known of the output directory of `mc2 curate`; dict. languages: those with pairs, most pairs first."""
    manifest = manifests.read(path)
    tally = manifest["counts"]
    rows = sorted(manifest["languages"].items(), key=lambda item: -item[1]["pairs"])
    return {"kind": "curation", "shards": len(manifest["inputs"]), "pairs": tally["in"], "matched": tally["matched"],
            "kept": tally["out"], "metadata": manifest["lineage"]["metadata"], "executor": manifest["executor"],
            "counts": tally,
            "languages": {lang: {"pairs": row["pairs"], "matched": row["matched_pairs"], "t": row["t"],
                                 "kept": row["kept"]} for lang, row in rows}}
