"""Describe counts, thresholds and a curation."""
import os

import numpy as np

from mc2 import manifests
from mc2.balancing import algorithm, counting, thresholds
from mc2.inspection.releases import LANGUAGES_SHOWN, named_release
from mc2.tables import align


def describe(path, metadata):
    counts, fingerprint = counting.load(path, samples=False)
    opened = named_release(metadata, manifests.read(path), counts.metadata)
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
                     *(f"{algorithm.t_to_p(t, entry_counts):.3f}" if matches else "-" for t in steps)])
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


def describe_thresholds(path):
    content = thresholds.load(path)
    how = f"t_en = {content['t_en']}, p = {content['p']:.6f}" if content["p"] is not None else "one t for all languages"
    yield f"thresholds for counts {content['counts'][:12]}: {how}; {thresholds.total_expected(content)} pairs expected"
    yield from thresholds.table(content)


def describe_curation(path):
    """Yield lines on the output directory of `mc2 curate`."""
    manifest = manifests.read(path)
    tally, languages = manifest["counts"], manifest["languages"]
    yield (f"curation of {len(manifest['inputs']):,} shards: {tally['in']:,} pairs, {tally['matched']:,} matched, "
           f"{tally['out']:,} kept; metadata {manifest['lineage']['metadata'][:12]}, "
           f"made by --executor {manifest['executor']}")
    rows = [["language", "pairs", "matched", "t", "kept", "kept of matched"]]
    for lang, row in sorted(languages.items(), key=lambda item: -item[1]["pairs"])[:LANGUAGES_SHOWN]:
        share = f"{row['kept'] / row['matched_pairs']:.1%}" if row["matched_pairs"] else "-"
        numbers = [f"{row[key]:,}" for key in ("pairs", "matched_pairs", "t", "kept")]
        rows.append([lang, *numbers, share])
    yield from align(rows)
    if len(languages) > LANGUAGES_SHOWN:
        yield f"and {len(languages) - LANGUAGES_SHOWN:,} more languages with fewer pairs"
    yield f"counts, thresholds and shards: mc2 inspect {os.path.join(path, 'counts')}, and so on"
