"""The executor for one machine: this process, or worker processes."""
import collections
import functools

from mc2 import signals
from mc2.execution import worker
from mc2.execution.processes import Workers, cores


class Local:
    """Worker processes on this machine. jobs: how many; 0 = all cores, 1 = none, the work is done in this process."""

    name = "local"

    def __init__(self, jobs=0):
        self.jobs = cores(jobs)

    def run(self, task, items, report):
        if self.jobs == 1:
            for item in items:
                pairs, error = worker.do(task, item)
                report(item, error, pairs)
            return
        waiting = collections.deque(items)
        with Workers(functools.partial(worker.do, task), min(self.jobs, len(items))) as workers, signals.noted():
            workers.start(workers.jobs)
            while waiting or len(workers):
                while waiting and workers.has_idle:
                    item = waiting.popleft()
                    workers.give(item, item)
                item, answer, error, _ = workers.take()
                pairs, error = (0, error) if answer is None else answer
                report(item, error, pairs)

    def close(self):
        """Nothing stays behind."""
