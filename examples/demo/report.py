"""Print what balancing did to the demo: pairs, thresholds, head and tail, before and after.

    python report.py out
"""
import sys

import numpy as np

from mc2.balancing import algorithm, counting, thresholds
from mc2.metadata.release import Release
from mc2.tables import align


def main(out):
    before, _ = counting.load(f"{out}/counts", samples=False)
    after, _ = counting.load(f"{out}/counts-after", samples=False)
    rows_of = thresholds.load(f"{out}/thresholds.json")["languages"]
    metadata = Release(f"{out}/metadata")
    langs = [lang for lang in sorted(before.matched, key=lambda lang: -before.matched[lang]) if before.matched[lang]]

    print("What balancing did (head: entries that matched at least t texts; tail: all others that matched)\n")
    table = [["language", "pairs", "matched", "t", "kept", "head entries", "their matches", "tail entries",
              "their matches", "tail share"]]
    for lang in langs:
        t, old, new = rows_of[lang]["t"], before.entry_counts[lang], after.entry_counts[lang]
        head, tail = old >= max(t, 1), (old > 0) & (old < t)
        table.append([lang, f"{before.pairs[lang]:,}", f"{before.matched[lang]:,}", f"{t:,}", f"{after.matched[lang]:,}",
                      f"{head.sum():,}", f"{old[head].sum():,} -> {new[head].sum():,}",
                      f"{tail.sum():,}", f"{old[tail].sum():,} -> {new[tail].sum():,}",
                      f"{algorithm.t_to_p(t, old):.3f} -> {new[tail].sum() / max(new.sum(), 1):.3f}"])
    print(*align(table), sep="\n")

    print("\nThe most and the least common entries, texts before -> after")
    for lang in langs:
        entries, old, new = metadata.entries(lang), before.entry_counts[lang], after.entry_counts[lang]
        order = [i for i in np.argsort(-old.astype(np.int64), kind="stable").tolist() if old[i]]
        shown = [f"{entries[i]} {old[i]:,} -> {new[i]:,}" for i in order[:4] + order[max(len(order) - 2, 4):]]
        print(f"  {lang:6}{', '.join(shown)}")

    total, kept = sum(before.matched.values()), sum(after.matched.values())
    expected = sum(row["expected_pairs"] for row in rows_of.values())
    print(f"\n{sum(before.pairs.values()):,} texts, {total:,} matched, {kept:,} kept ({expected:,.0f} expected)")


if __name__ == "__main__":
    main(sys.argv[1])
