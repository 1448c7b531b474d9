"""Say what a table or figure needs, what it costs and which numbers to expect; or whether all that is needed is there.

    python about.py table2
    python about.py --needed --pool 'pool/*.zst' --metadata metadata --sources sources --tars 'tars/*.tar' --benchmarks DIR
"""
import argparse
import glob
import sys

import paper
from mc2.evaluation import suites
from mc2.evaluation.tasks import TASKS
from mc2.tables import align
from mc2.training import plan, presets

NEEDED = {
    "pool": "the alt-texts, shards of JSON Lines with id and text. The paper's are 29 billion; `mc2 extract` makes some of a "
            "crawl (examples/worldwide)",
    "metadata": "a release of all languages; examples/worldwide builds it",
    "sources": "the sources of that release, for row 3 of Table 2, which merges them into one set",
    "tars": "the images of the pool, as img2dataset writes them (`mc2 images plan`)",
    "benchmarks": "a folder that holds a folder for each of the benchmarks"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("target", nargs="?", choices=list(paper.TARGETS))
    parser.add_argument("--needed", action="store_true", help="exit 1 where one of the following is missing")
    for name in NEEDED:
        parser.add_argument(f"--{name}", default="")
    options = parser.parse_args()
    if options.needed:
        sys.exit(missing({name: getattr(options, name) for name in NEEDED}))
    if options.target is None:
        parser.error("name a table or figure, or --needed")
    show(options.target)


def missing(given):
    """The exit status: 1 after a line on each of these paths or patterns that names nothing."""
    absent = {name: pattern for name, pattern in given.items() if not glob.glob(pattern)}
    for name, pattern in absent.items():
        print(f"{name.upper()}={pattern!r}: is missing. {name.upper()} names {NEEDED[name]}.", file=sys.stderr)
    if absent:
        print("For the small version on the demo, give SMALL=1.", file=sys.stderr)
    return 1 if absent else 0


def show(name):
    target = paper.TARGETS[name]
    print(target.title)
    print(f"  shows   {target.shows}")
    print(f"  needs   {', '.join(part.upper() for part in NEEDED)}, and in BENCHMARKS:")
    for task in target.tasks:
        print(f"            {task}/   {TASKS[task].files}\n            {' ' * len(task)}    from {TASKS[task].source}")
    costs = {run: plan.make(presets.load(run))["cost"]["gpu_hours"] for run in target.runs}
    print(f"  costs   {sum(costs.values()):,.0f} GPU hours of H100 at {plan.MFU:.0%} of their peak, computed, for "
          f"{len(costs)} runs: {', '.join(f'{run} {hours:,.0f}' for run, hours in costs.items())}")
    rows = list(expected(name, target))
    print("  expect  " + ("the paper's numbers, in percent:" if rows else "no number"))
    print(*("            " + line for line in align(rows)), sep="\n")


def expected(name, target):
    """Yield the rows of the published numbers of a target, the first with the heads."""
    columns = [column for column in suites.columns_of(name if name in suites.TABLES else "table1")
               if column.task in target.tasks]
    values = suites.rows_of(name if name in suites.TABLES else "table1")
    if columns:
        yield "run", *(column.title("published") for column in columns)
        for run in target.runs:
            yield run, *(f"{values[run][column.key]:.1f}" if column.key in values[run] else "-" for column in columns)


if __name__ == "__main__":
    main()
