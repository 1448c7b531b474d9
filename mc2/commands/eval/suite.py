"""mc2 eval --suite: the tasks of a table that a directory holds, one model."""
import sys
import time

import click

from mc2.errors import BadUsage, Mc2Error


def run(suite, evaluation, beside):
    """Run the tasks of a suite that --data holds, then print their scores, and the paper's row beside ours."""
    from mc2.evaluation import suites, tasks
    if evaluation.model is None or evaluation.data is None:
        raise click.UsageError("--suite needs --model and --data.")
    suites.refuse_unknown(suite, beside)
    names = suites.tasks_of(suite, tasks.TASKS)
    present = [name for name in names if tasks.folder_of(name, evaluation.data)]
    if not present:
        raise BadUsage(f"{evaluation.data}: holds none of {', '.join(names)}. A suite reads a folder of that name for "
                       "each.")
    records, failed = [], {}
    with evaluation.encoder() as encoder:
        for name in present:
            started, before = time.monotonic(), len(records)
            bench = tasks.Bench(name, encoder, tasks.folder_of(name, evaluation.data), root=evaluation.data)
            try:
                records += bench.results()
            except Mc2Error as error:
                if encoder.world > 1:           # the other ranks may be waiting for this one
                    raise
                failed[name] = error
                print(f"eval: {name}: {error}", file=sys.stderr)
            else:
                if encoder.rank == 0:
                    evaluation.receipt(name, len(records) - before, encoder, started, written=False)
            encoder.tally.clear()
        if encoder.rank == 0:
            _show(suite, evaluation, beside, records)
            missing = [name for name in names if name not in present]
            if missing and not evaluation.quiet:
                print(f"eval: {evaluation.data} has no folder for {', '.join(missing)}: not run", file=sys.stderr)
    if failed:
        raise type(next(iter(failed.values())))(f"{len(failed)} of {len(present)} tasks failed: {', '.join(failed)}.")


def _show(suite, evaluation, beside, records):
    from mc2.evaluation import results, suites
    beside = beside or next(iter(suites.rows_of(suite)), None)
    rows = suites.compared(suite, records, beside)
    if records:
        evaluation.show(records, lambda path: results.plot_beside(rows, path, suite, beside))
    if not evaluation.as_json:
        print(f"\n{suite}, %", *results.aligned(list(suites.shown(rows, beside)), right=(1, 2, 3)), sep="\n")
