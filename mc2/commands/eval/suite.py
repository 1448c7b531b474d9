"""mc2 eval --suite: the tasks of a table that a directory holds, one model."""
import time
import traceback

import click

from mc2.errors import BadUsage, Mc2Error
from mc2.terminal import say, say_trace, show, show_json


def run(suite, evaluation, beside, follows):
    """Run the tasks of a suite that --data holds, then print their scores, and the paper's rows beside ours. A task
    that fails stops no other; scores are written after each. Mc2Error at the end names those that failed. follows:
    the protocol."""
    from mc2.evaluation import suites, tasks
    if evaluation.model is None or evaluation.data is None:
        raise click.UsageError("--suite needs --model and --data.")
    if evaluation.control:
        raise click.UsageError("--control is for the plot of one task; the plot of a suite has the published scores.")
    suites.refuse_unknown(suite, beside)
    evaluation.refuse_outputs()
    names = suites.tasks_of(suite, tasks.TASKS)
    present = {name: folder for name in names if (folder := tasks.folder_or_root(name, evaluation.data))}
    if not present:
        raise BadUsage(f"{evaluation.data}: holds none of {', '.join(names)}. A suite reads a folder of that name for "
                       "each.")
    records, failed = [], {}
    with evaluation.encoder() as encoder:
        for name, folder in present.items():
            error = _scored(name, folder, evaluation, encoder, records, follows)
            if error:
                failed[name] = error
        if encoder.rank == 0:
            _show(suite, evaluation, beside, records, follows)
            missing = [name for name in names if name not in present]
            if missing and not evaluation.quiet:
                say(f"eval: {evaluation.data} has no folder for {', '.join(missing)}: not run")
    if failed:
        error = Mc2Error(f"{len(failed)} of {len(present)} tasks failed: {', '.join(failed)}.")
        error.status = getattr(next(iter(failed.values())), "status", 1)
        raise error


def _scored(name, folder, evaluation, encoder, records, follows):
    """Append the scores of a task to `records` and write these; returns the error that ended it, or None."""
    from mc2.evaluation import tasks
    started, before, failure = time.monotonic(), len(records), None
    try:
        bench = tasks.Bench(name, encoder, folder, {"follows": follows}, root=evaluation.data)
        for record in bench.results():
            records.append(record)
    except Exception as error:
        failure = error
        if click.get_current_context().meta.get("mc2.verbose"):
            say_trace(traceback.format_exc())
        message = error if isinstance(error, Mc2Error) else \
            f"unexpected {type(error).__name__}: {error} (-v shows where)"
        say(f"eval: {name}: {message}")
    if encoder.rank == 0:
        evaluation.write(records)
        if not failure:
            evaluation.receipt(name, len(records) - before, encoder, started, written=False)
    encoder.tally.clear()
    if failure and encoder.world > 1:           # the other ranks may be waiting for this one
        raise failure
    return failure


def _show(suite, evaluation, beside, records, follows):
    from mc2.evaluation import plots, suites
    from mc2.tables import align
    beside = beside or suites.BESIDE[suite]
    rows = suites.compared(suite, records, beside, follows)
    if records:
        evaluation.print(records)
    if evaluation.as_json:
        for line in suites.lines(suite, records, beside, follows):
            show_json(line)
    else:
        show("", f"{suite}, %, protocol: {follows} (*: over a part of the benchmark)",
             *align(list(suites.as_printed(suite, records, follows))),
             "", *align(list(suites.shown(rows, beside)), right=(1, 2, 3)))
    if records and evaluation.plot:
        evaluation.say_missing(plots.draw_beside(rows, evaluation.plot, suite, beside))
