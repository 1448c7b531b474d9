"""Print what is left after each step from the crawl to the scores, and why the rest went.

    python report.py out [--tars out/tars]

All numbers are those of the manifests that mc2 writes beside its outputs, of the rows of img2dataset and of the scores.
Steps that were not done yet are left out.
"""
import argparse
import glob
import os
from collections import Counter

import orjson

from mc2 import manifests
from mc2.download.check import Check
from mc2.tables import align

MOST_REASONS = 12


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", metavar="OUT", help="directory of the crawl")
    parser.add_argument("--tars", metavar="DIR", help="where the images are. Default: OUT/tars")
    options = parser.parse_args()
    out = options.out.rstrip("/")
    print("What is left after each step, and why the rest went\n")
    table = [["step", "left", "", "went", "why"]]
    for step, left, what, reasons in steps(out, options.tars or f"{out}/tars"):
        rows = [[f"{count:,}", reason] for reason, count in reasons.most_common(MOST_REASONS)] or [["", ""]]
        if len(reasons) > MOST_REASONS:
            rows.append(["...", f"{len(reasons) - MOST_REASONS} more reasons"])
        table.append([step, f"{left:,}", what, *rows[0]])
        table += [["", "", "", *row] for row in rows[1:]]
    print(*align(table, right=(1, 3)), sep="\n")
    if scores := sorted(glob.glob(f"{glob.escape(out)}/scores/*.jsonl")):
        print("\nScores\n")
        print(*align(score_table(scores), right=(2, 3, 4)), sep="\n")


def steps(out, tars):
    """Yield (step, how many are left, of what, Counter of how many went by reason) in the order of the steps."""
    if found := counts_of(f"{out}/pairs"):
        yield "extract", found["in"], "pages", reasons_of(found, only="pages")
        yield "", found["images"], "images", reasons_of(found, but="pages")
        yield "", found["out"], "pairs", Counter()
    if found := counts_of(f"{out}/unique"):
        yield "dedup urls", found["out"], "pairs", reasons_of(found)
        yield "", found["images"], "images", Counter()
    if found := counts_of(f"{out}/matched", of=f"{out}/lists/matched.txt"):
        went = Counter({"without a match": found["in"] - found["matched"]})
        yield "lid, match", found["matched"], "pairs with an entry", went
    if found := counts_of(f"{out}/curated", of=f"{out}/lists/curated.txt"):
        reasons = reasons_of(found)
        del reasons["without a match"]              # they are above
        yield "sample", found["out"], "pairs, one of each image", reasons
    if found := counts_of(f"{out}/plan", ".parquet"):
        yield "images plan", found["out"], "images to download", reasons_of(found)
    if glob.glob(f"{glob.escape(tars)}/*_stats.json"):
        found = Check(tars)
        yield "download", found.images, "images", found.failures
    if found := counts_of(f"{out}/joined", of=f"{out}/lists/joined.txt"):
        yield "join", found["out"], "pairs with an image", Counter()
    if found := counts_of(f"{out}/safe", of=f"{out}/lists/safe.txt"):
        yield "filter", found["out"], "pairs", reasons_of(found)
    if found := counts_of(f"{out}/clean/pairs", of=f"{out}/lists/clean.txt"):
        yield "dedup images", found["out"], "pairs", reasons_of(found)


def counts_of(folder, suffix=".jsonl.zst", of=None):
    """The counts of the manifests of the shards of a folder, added up: all, or those of the list `of`. Counter"""
    paths = sorted(glob.glob(f"{glob.escape(folder)}/*{suffix}"))
    if of and os.path.exists(of):
        with open(of) as names:
            listed = set(map(os.path.basename, names.read().split()))
        paths = [path for path in paths if os.path.basename(path) in listed]
    total = Counter()
    for path in paths:
        total.update((manifests.read(path) or {"counts": {}})["counts"])
    return total


def reasons_of(counts, only="", but=None):
    """Counter of what was dropped, and of lines that were bad, by reason.

    only, but: a word that a reason must, must not begin with
    """
    found = Counter()
    for key, count in counts.items():
        kind, colon, reason = key.partition(": ")
        if colon and kind in ("dropped", "bad") and reason.startswith(only) and not (but and reason.startswith(but)):
            found[reason] += count
    return found


def score_table(paths):
    """Rows of scores: of classification beside what guessing scores, which is one over the number of classes."""
    rows = [["evaluation", "language", "top-1", "guessing", "images"]]
    for path in paths:
        with open(path, "rb") as lines:
            for score in map(orjson.loads, lines):
                if score["metric"] == "top1":
                    classes = score.get("protocol", {}).get("classes")
                    rows.append([score["task"], score["lang"], f"{score['value']:.1%}",
                                 f"{1 / classes:.1%}" if classes else "", f"{score['n']:,}"])
    return rows if len(rows) > 1 else [["evaluation"], *[[os.path.basename(path)] for path in paths]]


if __name__ == "__main__":
    main()
