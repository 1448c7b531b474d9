"""Print the paper's Figure 1 and the last two rows of its Table 2, in small, and draw the figure.

    python report.py out/small-overlap-0

reads OUT/runs/SIZE/DATA/SEED.jsonl, the scores of each run, and writes OUT/figure-1.png where matplotlib is installed.
"""
import glob
import os
import sys

import orjson

from mc2.clip import architecture
from mc2.evaluation import results
from mc2.tables import align
from statistics_of_seeds import difference, estimate

NAMES = {"english": "English, 1.0x", "worldwide": "worldwide, 1.0x", "scaled": "worldwide, scaled",
         "english-scaled": "English, scaled", "non-english": "non-English", "one-t": "worldwide, 1.0x, one t",
         "b": "English metadata, all texts", "c": "one set of metadata and texts"}
SIZES = ("small", "medium", "large")
MEASURES = ("English", "other languages")

# (first, second, what it asks); the paper's order is first > second, for its largest model
FIGURE_1 = [("english", "worldwide", "the curse: do other languages cost English, at the same number of pairs?"),
            ("scaled", "worldwide", "does scaling the pairs help?"),
            ("scaled", "english", "is the curse gone: are as many English pairs and others better than English alone?"),
            ("scaled", "english-scaled", "the same at the same number of pairs"),
            ("scaled", "non-english", "does English help the others?")]
TABLE_2 = [("worldwide", "one-t", "t_lang against one t for all languages")]


def read(out):
    """{(size, data): {seed: (accuracy in English, mean of the other languages)}}"""
    found = {}
    for path in sorted(glob.glob(os.path.join(out, "runs", "*", "*", "*.jsonl"))):
        *_, size, data, name = path.split(os.sep)
        found.setdefault((size, data), {})[int(name.removesuffix(".jsonl"))] = accuracies(results.read(path))
    return found


def refuse_mixed(out):
    """Exit where two scored runs of a size were trained with other settings: their difference would be of these, too."""
    first = {}
    for path in sorted(glob.glob(os.path.join(out, "runs", "*", "*", "*", "config.json"))):
        run = os.path.dirname(path)
        if not os.path.exists(f"{run}.jsonl"):
            continue
        with open(path, "rb") as file:
            its = settings(orjson.loads(file.read()))
        other, expected = first.setdefault(path.split(os.sep)[-4], (run, its))
        if changed := [name for name in its if its[name] != expected[name]]:
            sys.exit(f"{run}: was trained with another {changed[0]} than {other}, so they stand in no table together. "
                     f"Remove the runs of one kind, each with its scores ({run}, {run}.jsonl), and give the command again.")


def settings(config):
    """What all runs of a size must share, by name, of a run's configuration."""
    values = config["values"]
    return {"architecture": config["architecture"], "init_logit_scale": values["model"]["init_logit_scale"],
            **values["optimizer"], **{key: values["data"][key] for key in ("aug_scale", "image_interpolation")},
            **{key: values["schedule"][key] for key in ("warmup", "lr_scheduler", "epochs")},
            "precision": values["compute"]["precision"]}


def accuracies(records):
    """(English, mean of the other languages): top-1 over the test pictures."""
    of_lang = {record["lang"]: record["value"] for record in records if record["metric"] == "top1" and record["lang"]}
    others = [value for lang, value in of_lang.items() if lang != "en"]
    return of_lang["en"], sum(others) / len(others)


def values_of(found, size, data, measure):
    """{seed: accuracy}; empty where there are no such runs."""
    return {seed: value[measure] for seed, value in found.get((size, data), {}).items()}


def growths(out):
    """[growth of each seed], as its runs on all languages measured it in what they drew."""
    found = {}
    for path in sorted(glob.glob(os.path.join(out, "runs", "*", "worldwide", "*", "log.jsonl"))):
        with open(path, "rb") as file:
            last = orjson.loads(file.read().splitlines()[-1])
        if "growth" in last:
            found[path.split(os.sep)[-2]] = last["growth"]
    return list(found.values())


# ---------------------------------------------------------------- tables

def interval(found):
    return f"{found.mean:.1%}" + (f" +- {found.half:.1%}" if found.n > 1 else " (one seed)")


def table(found, size, kinds):
    yield [size, "seeds", *MEASURES]
    for data in kinds:
        values = [values_of(found, size, data, measure) for measure in (0, 1)]
        if values[0]:
            yield [NAMES[data], str(len(values[0])), *(interval(estimate(list(each.values()))) for each in values)]


def comparisons(found, asked):
    """Rows: what is compared, in which measure and size, the paired difference, and the sign."""
    for first, second, question in asked:
        rows = []
        for measure, name in enumerate(MEASURES):
            for size in sizes(found):
                paired = difference(*(values_of(found, size, data, measure) for data in (first, second)))
                if paired:
                    rows.append(["", name, size, f"{paired.mean:+.1%}", f"{paired.half:.1%}" if paired.n > 1 else "?",
                                 str(paired.n), paired.sign])
        if rows:
            yield question, NAMES[first], NAMES[second], rows


def sizes(found):
    there = {size for size, _ in found}
    return [size for size in SIZES if size in there]


def report(found, growth=()):
    kinds = [data for data in NAMES if any(data == each for _, each in found)]
    yield "Top-1 over 64 classes, chance 1.6 %; mean over the seeds and its 95 % interval (Student's t)."
    if growth:
        yield f"Growth, measured in what the runs drew: {min(growth):.3f} to {max(growth):.3f}, " \
            f"{len(growth)} seed{'s' * (len(growth) != 1)}."
    for size in sizes(found):
        yield ""
        yield from align(list(table(found, size, kinds)))
    yield ""
    yield "Paired differences over the seeds, points of accuracy, each with its 95 % interval (paired t): `>` and `<`"
    yield "only where it leaves out zero. Of twenty such signs, one is expected to be wrong."
    for question, first, second, rows in comparisons(found, FIGURE_1 + TABLE_2):
        yield ""
        yield f"{first} - {second}: {question}"
        yield from align([["", "accuracy in", "size", "difference", "+-", "seeds", ""], *rows])


# ---------------------------------------------------------------- the figure

STYLE = {"english": ("tab:blue", "o", "-"), "english-scaled": ("tab:blue", "s", ":"),
         "worldwide": ("tab:orange", "o", "--"), "scaled": ("tab:red", "s", "-"),
         "non-english": ("tab:green", "^", "-"),
         "one-t": ("tab:grey", "v", ":")}


def parameters(out, size):
    return architecture.parameters(architecture.parse(open(f"{out}/{size}.json").read(), size))["total"]


def draw(found, out, path):
    """Both panels of Figure 1: accuracy in English, and the mean of the other languages, against the model's size."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    x = {size: parameters(out, size) / 1e6 for size in sizes(found)}
    for measure, (panel, name) in enumerate(zip(axes, MEASURES)):
        top = max(value[measure] for values in found.values() for value in values.values())
        for number, (data, (colour, marker, line)) in enumerate(STYLE.items()):
            points = [(size, estimate(list(values.values()))) for size in x
                      if (values := values_of(found, size, data, measure))]
            if points:
                panel.errorbar([x[size] * 1.015 ** (number - 2) for size, _ in points],
                               [100 * point.mean for _, point in points],
                               [100 * point.half if point.n > 1 else 0 for _, point in points], label=NAMES[data],
                               color=colour, marker=marker, linestyle=line, capsize=3)
        panel.set(title=f"Accuracy in {name}" if measure == 0 else f"Accuracy in {name}, mean", xscale="log",
                  xlabel="million parameters", ylabel="top-1, %", ylim=(0, 125 * top))
        panel.set_xticks(list(x.values()), [f"{value:.2g}" for value in x.values()], minor=False)
        panel.minorticks_off()
    axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=120)


def main(out):
    found = read(out)
    if not found:
        sys.exit(f"{out}: holds no scores yet.")
    refuse_mixed(out)
    print(*report(found, growths(out)), sep="\n")
    try:
        draw(found, out, f"{out}/figure-1.png")
        print(f"\nFigure 1 in small: {out}/figure-1.png")
    except ImportError:
        print("\nNo figure: matplotlib is not installed (extra [plot]).")


if __name__ == "__main__":
    main(sys.argv[1])
