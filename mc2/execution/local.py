"""The executor for one machine: this process, or worker processes."""
import collections
import functools

from mc2 import signals
from mc2.execution import worker
from mc2.execution.processes import Workers, cores


class Local:
    """Worker processes on this machine, which stay for the next task until close(). jobs: how many; 0 = all cores, 1 =
    none, the work is done in this process."""

    name = "local"

    def __init__(self, jobs=0):
        self.jobs = cores(jobs)
        self._workers = None

    def run(self, task, items, report):
        if self.jobs == 1:
            for item in items:
                pairs, error = worker.do(task, item)
                report(item, error, pairs)
            return
        with signals.handled():
            try:
                with signals.noted():
                    self._run(self._workers_for(task), items, report)
            except BaseException:
                self.close()
                raise

    def _workers_for(self, task):
        work = functools.partial(worker.do, task)
        if self._workers is None:
            self._workers = Workers(work, self.jobs)
        else:
            self._workers.turn_to(work)
        return self._workers

    def _run(self, workers, items, report):
        waiting = collections.deque(items)
        workers.start(min(self.jobs, len(items)))
        while waiting or len(workers):
            while waiting and workers.has_idle:
                item = waiting.popleft()
                workers.give(item, item)
            item, answer, error, _ = workers.take()
            pairs, error = (0, error) if answer is None else answer
            report(item, error, pairs)

    def close(self):
        """End the worker processes."""
        if self._workers is not None:
            self._workers.end()
            self._workers = None
