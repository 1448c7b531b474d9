"""Print what the five ablations kept, one column each.

    python report.py out
"""
import glob
import sys
from collections import Counter

import orjson

from mc2 import files
from mc2.balancing import counting
from mc2.tables import align

ROWS = {"a": ("English", "English", "t_en"),                # metadata, texts, threshold
        "b": ("English", "one set", "t_en"),
        "c": ("one set", "one set", "t_en"),
        "d": ("by language", "by language", "t_en"),
        "e": ("by language", "by language", "t_lang")}
SMALL = 0.01                    # languages with a smaller share of the matched texts are one line together


def main(out):
    identified = {(pair["id"], pair["text"]): pair["lang"] for pair in pairs(f"{out}/e/matched")}
    pool = Counter(pair["lang"] for pair in pairs(f"{out}/e/matched") if pair["matched_entry_ids"])
    group_of = {lang: lang if pool[lang] >= SMALL * pool.total() else "the rest"
                for lang in identified.values()}
    counts = {row: counting.load(f"{out}/{row}/counts", samples=False)[0] for row in ROWS}
    kept = {row: Counter(group_of[identified[pair["id"], pair["text"]]]
                         for pair in pairs(f"{out}/{row}/curated")) for row in ROWS}
    table = [["", *(f"({row})" for row in ROWS)],
             *([what, *cells] for what, cells in zip(("metadata", "texts", "threshold"), zip(*ROWS.values()))),
             ["texts in", *(f"{sum(counts[row].pairs.values()):,}" for row in ROWS)],
             ["matched", *(f"{sum(counts[row].matched.values()):,}" for row in ROWS)],
             ["kept", *(f"{kept[row].total():,}" for row in ROWS)]]
    for group in sorted(set(group_of.values()), key=lambda group: (group == "the rest", -pool[group], group)):
        table.append([f"of them {group}", *(f"{kept[row][group] / max(kept[row].total(), 1):.1%}" for row in ROWS)])
    print("What each part of the recipe does. The languages are those that mc2 lid finds, also where a row ignores "
          "them.\n")
    print(*align(table), sep="\n")


def pairs(folder):
    return (orjson.loads(line) for path in sorted(glob.glob(f"{folder}/*.jsonl.zst"))
            for _, line in files.read_lines(path))


if __name__ == "__main__":
    main(sys.argv[1])
