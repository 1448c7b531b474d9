"""Stage 2 of Algorithm 1 on a pool's counts: one threshold per language, and what it will keep.

thresholds.json holds `t_en`, `p` (both null with one t for all), `counts` (the fingerprint of the counts)
and `languages`: for each t, tail_share, entries, matched_entries, matches, pairs, expected_pairs and
expected_pairs_error, in full double precision. It is a document with a checksum (mc2/documents.py).
"""
import math

import numpy as np

from mc2 import documents
from mc2.balancing import algorithm
from mc2.errors import BadData

KEYS = ("t", "tail_share", "entries", "matched_entries", "matches", "pairs", "expected_pairs",
        "expected_pairs_error")
LANGUAGES_NAMED = 8             # of those without a match


def derive(counts, fingerprint, t_en=None, p=None, t_all=None, min_t=None):
    """The content of thresholds.json, from a Counts and one of t_en, p or t_all.

    Raises BadData when English is to lead and nothing matched in English.
    """
    if t_en is not None:
        refuse_without_english(counts, "--t-en")
    t, t_en, p = algorithm.t_per_language(counts.entry_counts, t_en=t_en, p=p, t_all=t_all, min_t=min_t)
    return {"t_en": t_en, "p": p, "counts": fingerprint,
            "languages": {lang: _row(counts, lang, t_lang) for lang, t_lang in t.items()}}


def refuse_without_english(counts, option):
    """Raise BadData where nothing matched in English, from which the thresholds of all languages are to follow."""
    english = counts.entry_counts.get("en")
    if english is None or not english.any():
        raise BadData(f"no English pair matched anything, so {option} gives no tail share for the other languages. "
                      "Give the tail share itself with --p (the paper's is about 0.06), or one threshold for every "
                      "language with --t-all.")


def _row(counts, lang, t_lang):
    entry_counts = counts.entry_counts[lang]
    matches = int(entry_counts.sum())
    expected, error = expected_pairs(counts, lang, t_lang)
    return {"t": t_lang, "tail_share": algorithm.t_to_p(t_lang, entry_counts) if matches else 1.0,
            "entries": len(entry_counts), "matched_entries": int(np.count_nonzero(entry_counts)),
            "matches": matches, "pairs": counts.pairs[lang],
            "expected_pairs": expected, "expected_pairs_error": error}


def expected_pairs(counts, lang, t_lang):
    """(expected number of kept pairs, its standard error): matched pairs times the mean q of the sample.

    The error is that of the mean, and 0 when all matched pairs are in the sample.
    """
    sample = counts.samples[lang]
    return expected_of_sample(sample, counts.entry_counts[lang][sample.ids], counts.matched[lang], t_lang)


def expected_of_sample(sample, matched_counts, matched, t_lang):
    """The same. matched_counts: uint64 (offsets[n],), those of the entries that the n texts of the sample matched.
    matched: number of matched pairs"""
    if not len(sample):
        return 0.0, 0.0
    q = algorithm.keep_probs(sample.offsets, algorithm.entry_probs(matched_counts, t_lang))
    if len(sample) == matched:
        return float(q.sum()), 0.0
    return float(matched * q.mean()), float(matched * q.std(ddof=1) / math.sqrt(len(sample)))


def warnings(content, counts, min_t=None):
    """Warnings to look at before sampling: list of str, one for each kind of trouble."""
    p, found = content["p"], []
    rows = {lang: row for lang, row in content["languages"].items() if counts.matched[lang]}
    if p is not None and not 0 < p < 1:
        english = counts.entry_counts.get("en", np.zeros(0, np.uint64))
        positive = english[english > 0]
        spread = f"English counts go from {positive.min():,} to {positive.max():,}" if positive.size \
            else "nothing matched in English"
        found.append(f"p is {p:g}, so every language is all {'head' if p == 0 else 'tail'}: {spread}.")
    if p is not None:
        far = {lang: row for lang, row in rows.items() if abs(row["tail_share"] - p) > 0.05}
        raised = [lang for lang in far if min_t and far[lang]["t"] == min_t]
        coarse = [lang for lang in far if lang not in raised]
        for langs, why in ((coarse, "counts too coarse for a closer t"), (raised, "t raised by --min-t")):
            if langs:
                shares = ", ".join(f"{lang} {far[lang]['tail_share']:.3f} at t = {far[lang]['t']:,}" for lang in langs)
                found.append(f"tail share further than 0.05 from p = {p:.3f}, {why}: {shares}.")
    thin = [lang for lang, row in rows.items() if row["expected_pairs"] < 0.1 * counts.matched[lang]]
    if thin:
        kept = ", ".join(f"{lang} {rows[lang]['expected_pairs']:,.0f} of {counts.matched[lang]:,}" for lang in thin)
        found.append(f"keeps under 10 % of the matched pairs: {kept}.")
    return found


def table(content):
    """The thresholds as lines of text, languages with matches first to last by their number of pairs."""
    from mc2.tables import align
    rows, without_match = [["language", "pairs", "matches", "matched entries", "t", "tail share", "expected pairs"]], {}
    for lang, row in sorted(content["languages"].items(), key=lambda item: -item[1]["pairs"]):
        if row["matches"]:
            rows.append([lang, f"{row['pairs']:,}", f"{row['matches']:,}",
                         f"{row['matched_entries']:,} of {row['entries']:,}", f"{row['t']:,}",
                         f"{row['tail_share']:.4f}", with_error(row["expected_pairs"], row["expected_pairs_error"])])
        elif row["pairs"]:
            without_match[lang] = row["pairs"]
    return [*align(rows), *without_a_match(without_match)]


def without_a_match(pairs, what="text matched"):
    """A line on the languages of which no text matched, or none. pairs: {lang: number of pairs}, largest number first"""
    if pairs:
        shown = ", ".join(f"{lang} {number:,}" for lang, number in list(pairs.items())[:LANGUAGES_NAMED])
        more = f" and {len(pairs) - LANGUAGES_NAMED:,} more" if len(pairs) > LANGUAGES_NAMED else ""
        yield f"no {what} in {len(pairs):,} other languages, {sum(pairs.values()):,} pairs: {shown}{more}"


def total_expected(content):
    """Expected number of pairs over all languages, with its standard error, as text."""
    rows = content["languages"].values()
    return with_error(sum(row["expected_pairs"] for row in rows),
                       math.sqrt(sum(row["expected_pairs_error"] ** 2 for row in rows)))


def with_error(value, error):
    """A number with its standard error, where it has one, as text."""
    return f"{value:,.0f} ± {error:,.0f}" if error else f"{value:,.0f}"


def load(path, counts_path=None, fingerprint=None):
    """The content of thresholds.json. Raises BadData when it is damaged, or of other counts than `fingerprint`."""
    content = documents.read(path, "Make thresholds with 'mc2 thresholds'.")
    try:
        for row in content["languages"].values():
            if not all(isinstance(row[key], (int, float)) for key in KEYS):
                raise TypeError
        theirs = content["counts"]
        if not {"t_en", "p"} <= content.keys() or not isinstance(theirs, str):
            raise TypeError
    except (KeyError, TypeError, AttributeError):
        raise BadData(f"{path}: not a thresholds file. Make one with 'mc2 thresholds'.") from None
    if fingerprint is not None and theirs != fingerprint:
        raise BadData(f"{path}: belongs to counts {str(theirs)[:12]}, but {counts_path} is counts {fingerprint[:12]}. "
                      f"Run 'mc2 thresholds {counts_path}' again.")
    return content
