"""Print a table of the paper beside the scores of our runs, or draw a figure of them.

    python report.py table2 out/scores
    python report.py figure1 out/scores --plot out/figure1.png
"""
import argparse
import glob
import os
import sys

import orjson

import paper
from mc2.evaluation import suites
from mc2.tables import align

SMALL = """Runs in small: drawn pictures, models of at most 1.3 million parameters, one seed. The numbers are not those of the paper
and stand beside none; differences of a few points between two runs are chance (examples/curse repeats runs over seeds)."""
SHAPES = "zeroshot"         # in small, in place of ImageNet


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("target", choices=list(paper.TARGETS))
    parser.add_argument("scores", metavar="SCORES", help="folder with RUN*.jsonl, as `mc2 eval -o` writes them")
    parser.add_argument("--small", action="store_true", help="scores of the drawn pictures of the demo")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the figure")
    options = parser.parse_args()
    target = paper.TARGETS[options.target]
    records = {run: its for run in target.runs if (its := read(options.scores, run))}
    if not records:
        sys.exit(f"{options.scores}: holds no scores of {', '.join(target.runs)}. The Makefile makes them.")
    print(f"\n{target.title}\n")
    if options.target in suites.TABLES:
        rows = table(options.target, records, options.small)
    else:
        rows = FIGURES[options.target](records, options.small)
    print(*align(list(rows)), sep="\n")
    print(f"\nThe paper: {target.shows}")
    if options.small:
        print(SMALL)
    if options.plot:
        draw(options.target, records, options.small, options.plot)
        print(f"Drawn: {options.plot}")


def read(folder, run):
    """The records of all files of scores of a run: RUN.jsonl, RUN.english.jsonl ..."""
    records = []
    for path in sorted(glob.glob(os.path.join(folder, f"{run}.jsonl")) + glob.glob(os.path.join(folder, f"{run}.*.jsonl"))):
        with open(path, "rb") as lines:
            records += [orjson.loads(line) for line in lines]
    return records


# ---------------------------------------------------------------- tables

def table(name, records, small):
    """Yield the rows of a table: for each run the paper's numbers and ours; in small, ours alone."""
    columns = [column for column in suites.columns_of(name) if not small or score(records, column, small)]
    known = suites.rows_of(name)
    follows = "text" if small else "published"
    yield "", *(title(column, follows, small) for column in columns)
    for run, its in records.items():
        if not small:
            yield f"{run}, paper", *(percent(known[run].get(column.key)) for column in columns)
        yield run if small else "  ours", *(percent(ours(its, column, small)) for column in columns)


def title(column, follows, small):
    return "shapes in English" if small and column.task == "imagenet" else column.title(follows)


def score(records, column, small):
    """Whether some run has a score of this column."""
    return any(ours(its, column, small) is not None for its in records.values())


def ours(records, column, small):
    """Our number in a column in percent, or None."""
    task = SHAPES if small and column.task == "imagenet" else column.task
    follows = "text" if small else "published"
    return next((100 * record["value"] for record in records if record["task"] == task
                 and record["metric"] == column.measured(follows) and record["lang"] == column.lang), None)


def percent(value):
    return "-" if value is None else f"{value:.1f}"


# ---------------------------------------------------------------- figures

ENGLISH, *_ = suites.TABLES["table1"]
OTHERS = next(column for column in suites.TABLES["table1"] if column.task == "xm3600" and column.metric == "i2t_r1")


def curse(records, small):
    """Yield the rows of Figure 1: English, and the mean of the languages of XM3600."""
    known = suites.rows_of("table1")
    heads = [title(column, "published", small) for column in (ENGLISH, OTHERS)]
    yield "", *heads, *(() if small else (f"{head}, paper" for head in heads))
    for run, its in records.items():
        yield run, *(percent(ours(its, column, small)) for column in (ENGLISH, OTHERS)), \
            *(() if small else (percent(known[run].get(column.key)) for column in (ENGLISH, OTHERS)))


def localisation(records, small):
    """Yield the rows of Figure 3: accuracy by data set and number of images of each country."""
    points = {run: shots(its) for run, its in records.items()}
    known = sorted({key for its in points.values() for key in its})
    yield "", *(f"{data}, {number} of each" for data, number in known)
    for run, its in points.items():
        yield run, *(percent(its.get(key)) for key in known)


def shots(records):
    """{(data set, images of each country): accuracy in percent}"""
    return {(record["task"].partition("/")[2] or record["task"], record["protocol"]["shots"]): 100 * record["value"]
            for record in records if record["task"].startswith("geo-localisation") and "shots" in record["protocol"]}


def geometry(records, small):
    """Yield the rows of Figure 4."""
    yield "", "alignment", "uniformity"
    for run, its in records.items():
        yield run, *(f"{value:.3f}" for value in both(its))


def both(records):
    """(alignment, uniformity)"""
    values = {record["task"]: record["value"] for record in records}
    return values["alignment"], values["uniformity"]


FIGURES = {"figure1": curse, "figure3": localisation, "figure4": geometry}


def draw(name, records, small, path):
    """Draw a figure as PNG. Needs matplotlib."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    columns = {"figure1": 2}.get(name, 1)
    figure, axes = pyplot.subplots(1, columns, figsize=(4.5 * columns, 3.6), squeeze=False)
    if name == "figure1":
        draw_curse(axes[0], records, small)
    elif name == "figure3":
        draw_localisation(axes[0][0], records)
    else:
        draw_geometry(axes[0][0], records)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def draw_curse(axes, records, small):
    """English on the left, other languages on the right; a line for each kind of pairs, over the two models."""
    kinds = {"English": ("l14-english", "h14-english"), "whole world, 1.0x": ("h14-worldwide-1x",),
             "whole world, 2.3x": ("l14-worldwide", "h14-worldwide"), "not English, 1.3x": ("h14-non-english",)}
    for axis, column in zip(axes, (ENGLISH, OTHERS)):
        for kind, runs in kinds.items():
            runs = [run for run in runs if run in records]
            axis.plot([run[:3] for run in runs], [ours(records[run], column, small) for run in runs], "o-", label=kind)
        axis.set_ylabel(f"{title(column, 'published', small)}, %")
        axis.set_xlabel("model")
        axis.set_xlim(-0.5, 1.5)
    axes[0].legend(fontsize=8)


def draw_localisation(axis, records):
    for run, its in records.items():
        points = shots(its)
        for data in sorted({data for data, _ in points}):
            numbers = sorted(number for its_data, number in points if its_data == data)
            axis.plot(numbers, [points[data, number] for number in numbers], "o-", label=f"{run}, {data}")
    axis.set_xlabel("images of each country")
    axis.set_ylabel("accuracy, %")
    axis.legend(fontsize=7)


def draw_geometry(axis, records):
    for run, its in records.items():
        alignment, uniformity = both(its)
        axis.plot([uniformity], [alignment], "o")
        axis.annotate(run, (uniformity, alignment), textcoords="offset points", xytext=(5, 4), fontsize=8)
    axis.set_xlabel("uniformity (lower is better)")
    axis.set_ylabel("alignment (lower is better)")
    axis.margins(0.3)


if __name__ == "__main__":
    main()
