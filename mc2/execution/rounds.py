"""Do what is missing, in rounds, until nothing is; collect what fails, and say so by the shard's name.

A task has `name`, `is_done(item)`, `name_of(item)`, `log_path(item)`, `discard(item)` (what a killed worker left), and
is called with an item; it returns a number of pairs (mc2.execution.shard.ShardTask is one). An executor has one method,
`run(task, items, report)`: it calls task(item) for every item somewhere, and report(item, error, pairs) here when that
has ended, error being None or an exception. What it reports is not believed: after each round the items whose outputs
are missing are listed anew.
"""
import errno
from collections import Counter

from mc2 import files
from mc2.errors import BadData, BadUsage, Mc2Error
from mc2.execution.processes import WorkerKilled

TRIES = 3                           # of an item whose worker is killed, or that fails for want of something
SHOWN = 10                          # failures named in the message
_NO_USE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}       # no other shard would fare better


def _told(error):
    """An error of the system as the command line tells it."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."


class JobFailed(Mc2Error):
    """Some items could not be done; all others are."""

    def __init__(self, phase, failures, others):
        """phase: of a job of several, else "". failures: {name of a shard: error}. others: whether there are shards
        that did not fail."""
        lines = [f"  {item}: {_told(error)}" for item, error in sorted(failures.items())[:SHOWN]]
        more = [f"  and {len(failures) - SHOWN:,} more"] if len(failures) > SHOWN else []
        what = "1 shard" if len(failures) == 1 else f"{len(failures):,} shards"
        done = "; all others are done, and stay so when this command runs again" if others else ""
        self.lines = [f"{phase and phase + ': '}{what} failed{done}.", *lines, *more]
        super().__init__("\n".join(self.lines))
        statuses = {getattr(error, "status", 1) for error in failures.values()}
        self.status = BadData.status if BadData.status in statuses else min(statuses) if len(statuses) == 1 else 1


def missing(task, items):
    """The items that are not done, in order."""
    paths = all(isinstance(item, str) for item in items)
    done = files.map_paths(task.is_done, items) if paths else list(map(task.is_done, items))
    return [item for item, is_done in zip(items, done) if not is_done]


def complete(task, items, executor, progress, total, phase=""):
    """Have the executor do all items of a task that are not done. Returns these. Raises JobFailed for those that cannot
    be, or the error itself where there is one item in all.

    total: of how many items of the task these are, for the progress. phase: how the task is called in messages, where a
    job has several.
    """
    waiting = missing(task, items)
    progress.begin(task.name, total, total - len(waiting))
    begun_with, tries, failures = waiting, Counter(), {}
    while waiting:
        errors = {}

        def report(item, error=None, pairs=0):
            if error is not None:
                errors[item] = error
                if getattr(error, "errno", None) in _NO_USE:
                    raise error
            progress.update(pairs, failed=error is not None)

        executor.run(task, waiting, report)
        begun, waiting = waiting, missing(task, waiting)
        tries.update(waiting)
        hopeless = len(begun) == len(waiting) > 2 and all(
            isinstance(errors.get(item), WorkerKilled) for item in waiting)
        for item in waiting:
            error = errors.get(item) or WorkerKilled("its output is not there, and no error was seen")
            if isinstance(error, (BadData, BadUsage)) or tries[item] >= TRIES or hopeless:
                failures[item] = _after_tries(error, tries[item])
                task.discard(item)
        waiting = [item for item in waiting if item not in failures]
        progress.again(len(waiting), failures)
    if failures and total == 1:
        raise next(iter(failures.values()))
    if failures:
        raise JobFailed(phase, {task.name_of(item): error for item, error in failures.items()},
                        others=len(failures) < total) from next(iter(failures.values()))
    return begun_with


def _after_tries(error, tries):
    if isinstance(error, WorkerKilled):
        often = f" {tries} times" if tries > 1 else ""
        return WorkerKilled(f"{error}{often}. Leave this shard out, or look into it.")
    return error
