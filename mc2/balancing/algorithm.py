"""Algorithm 1 of Meta CLIP 2 (arXiv:2507.22062): balance alt-texts over metadata, language by language.

    stage 1   entry_counts[lang][entry_id]: number of alt-texts that matched the entry   (mc2 count)
    stage 2   p = t_to_p(t_en, entry_counts["en"]), then per language t_lang = p_to_t(p, entry_counts[lang])
    stage 3   a pair is kept when a draw falls on any of its matched entries, each with its entry_prob

All arithmetic is float64.
"""
import numpy as np

from mc2.hashing import keyed_hash, keyed_hashes


def t_to_p(t, entry_counts):
    """Tail proportion p: the share of all matches that fall on entries with count < t."""
    return int(entry_counts[entry_counts < t].sum()) / int(entry_counts.sum())


def p_to_t(p, entry_counts, shares=None):
    """Threshold t: the count at which the cumulative share of matches is closest to p; ties go to the smaller.

    Only positive counts are candidates: as published, t can become 0 for a sparse language, which then
    vanishes as a whole. A language without any match has t = 0: it has no head.
    shares: cumulative_shares(entry_counts), where these are known.
    """
    counts, shares = shares or cumulative_shares(entry_counts)
    return int(counts[np.abs(shares - p).argmin()]) if counts.size else 0


def cumulative_shares(entry_counts):
    """(the positive counts, ascending; the share of all matches that falls on each and those before it)"""
    counts = np.sort(entry_counts[entry_counts > 0])
    return counts, counts.cumsum() / counts.sum()


def t_per_language(entry_counts, t_en=None, p=None, t_all=None, min_t=None, shares=None):
    """({lang: t_lang}, t_en, p) from one of t_en, p or t_all; min_t raises every t to at least that.

    t_en stays as given for English (section 3.3 of the paper; its printed pseudo-code replaces it too).
    shares: {lang: cumulative_shares}, where these are known.
    """
    shares = shares or dict.fromkeys(entry_counts)
    if t_all is not None:
        t = dict.fromkeys(entry_counts, t_all)
    else:
        if p is None:
            p = t_to_p(t_en, entry_counts["en"])
        else:
            t_en = p_to_t(p, entry_counts["en"], shares["en"]) if "en" in entry_counts else None
        t = {lang: t_en if lang == "en" else p_to_t(p, counts, shares[lang]) for lang, counts in entry_counts.items()}
    return {lang: max(t_lang, min_t or 0) for lang, t_lang in t.items()}, t_en, p


def entry_probs(entry_counts, t_lang):
    """1 for tail entries (count < t), t / count for head entries. Shape and order of entry_counts."""
    if t_lang == 0:
        return np.ones(len(entry_counts))
    return t_lang / np.maximum(entry_counts.astype(np.float64), float(t_lang))


def keep_probs(offsets, matched_probs):
    """q = 1 - prod(1 - p_e) over each pair's matched entries, which is what independent draws amount to.

    offsets: int64 (n+1,). matched_probs: float64 (offsets[n],), the entry_probs of the matched entries, pair
    by pair in ascending order of ids. -> float64 (n,), 0 for a pair without a match.
    """
    q = np.zeros(len(offsets) - 1)
    matched = np.diff(offsets) > 0
    if matched.any():
        q[matched] = 1.0 - np.multiply.reduceat(1.0 - matched_probs, offsets[:-1][matched])
    return q


def draw(seed, pair_id, text):
    """Uniform in [0, 1), fixed by (seed, id, text): the same in any shard, order, engine or number of jobs."""
    return (keyed_hash("draw", str(seed), pair_id, text) >> 11) * 2.0**-53


def draws(seed, ids, texts, rows):
    """draw(seed, id, text) of some pairs. float64 (len(rows),). ids, texts: Strings. rows: int, numbers of pairs"""
    return (keyed_hashes(["draw", str(seed)], [ids, texts], rows) >> np.uint64(11)) * 2.0**-53
