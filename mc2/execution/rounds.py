"""Do what is missing, in rounds, until nothing is; collect what fails, and say so by the shard's name.

An engine has one method, `run(phase, items, report)`: it calls phase(item) for every item somewhere, and
report(item, error) here when that has ended, error being None or an exception. What it reports is not
believed: after each round the items whose outputs are missing are listed anew.
"""
import errno
from collections import Counter

from mc2.errors import BadData, Mc2Error

TRIES = 3                           # of an item whose worker is killed, or that fails for want of something
SHOWN = 10                          # failures named in the message
_NO_USE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}       # no other shard would fare better


class WorkerKilled(Mc2Error):
    """A process ended while it did an item: killed, out of memory, or crashed."""


class JobFailed(Mc2Error):
    """Some items could not be done; all others are."""

    def __init__(self, phase, failures, others):
        """failures: {name of a shard: error}. others: whether there are shards that did not fail."""
        lines = [f"  {item}: {error}" for item, error in sorted(failures.items())[:SHOWN]]
        more = [f"  and {len(failures) - SHOWN:,} more"] if len(failures) > SHOWN else []
        what = "1 shard" if len(failures) == 1 else f"{len(failures):,} shards"
        done = "; all others are done, and stay so when this command runs again" if others else ""
        super().__init__("\n".join([f"{phase}: {what} failed{done}.", *lines, *more]))
        self.status = BadData.status if any(isinstance(error, BadData) for error in failures.values()) else 1


def complete(phase, items, engine, progress, total):
    """Have the engine do all items of a phase that are not done. Raises JobFailed for those that cannot be.

    total: of how many shards in the phase these are, for the progress.
    """
    missing = [item for item in items if not phase.is_done(item)]
    if missing:
        progress.begin(phase.name, total, total - len(missing))
    tries, failures = Counter(), {}
    while missing:
        errors = {}

        def report(item, error=None, pairs=0):
            if error is not None:
                errors[item] = error
                if getattr(error, "errno", None) in _NO_USE:
                    raise error
            progress.update(pairs, failed=error is not None)

        engine.run(phase, missing, report)
        begun, missing = missing, [item for item in missing if not phase.is_done(item)]
        tries.update(missing)
        hopeless = len(begun) == len(missing) > 2 and all(isinstance(errors.get(item), WorkerKilled) for item in missing)
        for item in missing:
            error = errors.get(item) or WorkerKilled("its output is not there, and no error was seen")
            if isinstance(error, BadData) or tries[item] >= TRIES or hopeless:
                failures[item] = _after_tries(error, tries[item])
        missing = [item for item in missing if item not in failures]
        progress.again(len(missing), failures)
    if failures:
        raise JobFailed(phase.name, {phase.name_of(item): error for item, error in failures.items()},
                        others=len(failures) < total)


def _after_tries(error, tries):
    if isinstance(error, WorkerKilled):
        return WorkerKilled(f"{error} {tries} times. Take this shard out of the pool, or look into it.")
    return error
