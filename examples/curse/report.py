"""Print the paper's Figure 1 and the last two rows of its Table 2, in small.

    python report.py out/small/english/0.json out/small/english/1.json ...

Every file holds the scores of one run (examples/demo/zeroshot.py -o); its path ends in SIZE/DATA/SEED.json.
"""
import os
import sys

import numpy as np
import orjson

from mc2.tables import align

DATA = {"english": "English only", "worldwide": "worldwide, 1.0x", "one-t": "worldwide, 1.0x, one t",
        "scaled": "worldwide, scaled"}
FIGURE_1 = ("english", "worldwide", "scaled")
TABLE_2 = ("one-t", "worldwide")


def read(paths):
    """{(size, data): [scores of a seed]}"""
    found = {}
    for path in paths:
        *_, size, data, _ = os.path.splitext(path)[0].split(os.sep)
        with open(path, "rb") as file:
            found.setdefault((size, data), []).append(orjson.loads(file.read()))
    return found


def accuracies(scores):
    """(English, mean over the other languages): accuracies on pictures of held-out classes, each float (seeds,)."""
    return (np.array([run["en"]["held_out"] for run in scores]),
            np.array([np.mean([row["held_out"] for lang, row in run.items() if lang != "en"]) for run in scores]))


def shown(values):
    """Mean and standard deviation over the seeds."""
    return f"{values.mean():.1%} +- {values.std(ddof=1):.1%}" if len(values) > 1 else f"{values.mean():.1%}"


def table(found, size, kinds):
    yield [size, "seeds", "English", "other languages"]
    for data in kinds:
        if (size, data) in found:
            english, others = accuracies(found[size, data])
            yield [DATA[data], str(len(english)), shown(english), shown(others)]


def order(found, size, kinds, which):
    """`a > b ~ c` of means, best first; `~` where two means are closer than the spread of either. which: 0 English, 1
    others."""
    values = {data: accuracies(found[size, data])[which] for data in kinds if (size, data) in found}
    ranked = sorted(values, key=lambda data: -values[data].mean())
    text = DATA[ranked[0]]
    for better, worse in zip(ranked, ranked[1:]):
        spread = max(values[data].std(ddof=1) if len(values[data]) > 1 else 0 for data in (better, worse))
        text += f" {'>' if values[better].mean() - values[worse].mean() > spread else '~'} {DATA[worse]}"
    return text


def report(found):
    yield "Figure 1 in small: accuracy on pictures of held-out classes, mean and standard deviation over seeds"
    yield from part(found, FIGURE_1)
    yield ""
    yield "The paper's order in English: with small models English only > worldwide, the curse of multilinguality; with"
    yield "its largest one and scaled seen pairs, worldwide > English only. Here:"
    yield from orders(found, FIGURE_1)
    if any(data == "one-t" for _, data in found):
        yield ""
        yield "Table 2 in small: one t for all languages, or t_lang"
        yield from part(found, TABLE_2)
        yield ""
        yield "The paper's order, in English and in others: t_lang > one t. Here:"
        yield from orders(found, TABLE_2)


def part(found, kinds):
    for size in sizes(found, kinds):
        yield ""
        yield from align(list(table(found, size, kinds)))


def orders(found, kinds):
    for size in sizes(found, kinds):
        yield f"  {size}, in English: {order(found, size, kinds, 0)}"
        yield f"  {size}, in others:  {order(found, size, kinds, 1)}"


def sizes(found, kinds):
    return list(dict.fromkeys(size for size, data in found if data in kinds))


if __name__ == "__main__":
    print(*report(read(sys.argv[1:])), sep="\n")
