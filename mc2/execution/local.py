"""The engine for one machine: worker processes of concurrent.futures.

A pool of theirs breaks when one worker is killed, and does not tell which item killed it. So a pool never holds
more items than workers, and those that were under way when it broke are done again alone, each in a process of
its own, which then names the one. Workers return next to nothing: an answer that fits into a pipe in one piece
cannot be cut in two by a kill, which would leave the pool waiting for the rest of it.
"""
import collections
import concurrent.futures
import multiprocessing
import multiprocessing.resource_tracker
import os
import pickle
import queue
import signal
import threading
from concurrent.futures.process import BrokenProcessPool

from mc2.execution import worker
from mc2.execution.processes import end_with_the_driver, end_worker, interrupts_blocked
from mc2.execution.rounds import WorkerKilled


class Local:
    """Worker processes on this machine. jobs: how many; 0 = all cores."""

    name = "local"

    def __init__(self, jobs=0):
        self.jobs = jobs or len(os.sched_getaffinity(0))
        self.suspects = set()               # items that were under way when a worker was killed

    def run(self, phase, items, report):
        together = [item for item in items if (phase.name, item) not in self.suspects]
        alone = [item for item in items if (phase.name, item) in self.suspects]
        while together:
            together, under_way = self._in_a_pool(phase, together, report)
            self.suspects.update((phase.name, item) for item in under_way)
            alone += under_way
        for item in alone:
            if phase.is_done(item):
                report(item)
            elif self._in_a_pool(phase, [item], report)[1]:
                report(item, WorkerKilled("its worker process was killed (out of memory?)"))

    def _in_a_pool(self, phase, items, report):
        """Returns the items that were not begun, and those that were under way, when a worker was killed."""
        waiting, under_way, ended = collections.deque(items), {}, queue.SimpleQueue()
        multiprocessing.resource_tracker.ensure_running()       # its start would unblock SIGINT
        pool = concurrent.futures.ProcessPoolExecutor(
            min(self.jobs, len(items)), multiprocessing.get_context("spawn"), _begin, (pickle.dumps(phase),))
        try:
            while waiting or under_way:
                while waiting and len(under_way) < self.jobs:
                    with interrupts_blocked():         # a worker inherits it: Ctrl-C is for the driver alone
                        future = pool.submit(_do, waiting[0])
                        under_way[future] = waiting.popleft()
                        future.add_done_callback(ended.put)
                future = ended.get()                            # holds no lock that Ctrl-C could leave locked
                with interrupts_blocked():
                    pairs, error = future.result()
                report(under_way.pop(future), error, pairs)
        except BrokenProcessPool:
            return list(waiting), list(under_way.values())
        except BaseException:                   # Ctrl-C, a full disk: what is under way is left half done
            with interrupts_blocked():
                for process in multiprocessing.active_children():
                    process.terminate()
            raise
        finally:
            with interrupts_blocked():                 # a second Ctrl-C
                pool.shutdown(wait=True, cancel_futures=True)
        return [], []


_phase = None


def _begin(data):
    """In a worker: take the phase, and see to it that the worker ends when it should."""
    global _phase
    signal.signal(signal.SIGTERM, end_worker)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)        # the driver sees to it
    threading.Thread(target=end_with_the_driver, daemon=True).start()
    _phase = pickle.loads(data)


def _do(item):
    return worker.do(_phase, item)
