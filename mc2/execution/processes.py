"""Worker processes, each with a pipe of its own."""
import collections
import contextlib
import itertools
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import os
import pickle
import signal
import threading
import traceback

from mc2 import files
from mc2.errors import Mc2Error

AHEAD = 8               # results per worker that may wait for an earlier one


def map_in_order(work, items, jobs):
    """Yield work(item) for every item, in order; in `jobs` processes when that is not 1 (0 = all cores)."""
    jobs = jobs or len(os.sched_getaffinity(0))
    if jobs == 1:
        yield from map(work, items)
        return
    workers = []
    try:
        yield from _share_out(work, items, jobs, workers)
    finally:
        for worker in workers:          # also after an error or Ctrl-C: no worker goes on
            worker.process.terminate()
        for worker in workers:
            worker.process.join(5)
            worker.process.kill()


def _share_out(work, items, jobs, workers):
    """Start workers, give every item to one that is free, and yield the results in the order of the items."""
    items = enumerate(items)
    first = list(itertools.islice(items, jobs))
    _start_workers(work, len(first), workers)
    items, results, idle = itertools.chain(first, items), {}, collections.deque(workers)
    given, yielded, more = 0, 0, bool(first)
    while more or yielded < given:
        while more and idle and given - yielded < AHEAD * jobs:
            item = next(items, None)
            if item is None:
                more = False
            else:
                idle.popleft().give(item)
                given += 1
        if yielded in results:
            result, error, trace = results.pop(yielded)
            if error:
                raise error from _InWorker(trace)
            yield result
            yielded += 1
        elif yielded < given:
            for worker in multiprocessing.connection.wait([worker for worker in workers if worker not in idle]):
                number, *results[number] = worker.take()
                idle.append(worker)


class _Worker:
    """A process and the only pipe to it. concurrent.futures has queues that all workers share: when one is
    killed while it sends a result, the driver can wait for the rest of it for ever."""

    def __init__(self):
        self.connection, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=_work_on, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()                  # so that the pipe ends with the process

    def fileno(self):
        return self.connection.fileno()

    def give(self, message):
        with self._alive():
            self.connection.send(message)

    def take(self):
        with self._alive():
            message = self.connection.recv_bytes()
        return pickle.loads(message)

    @contextlib.contextmanager
    def _alive(self):
        try:
            yield
        except (EOFError, OSError):
            raise Mc2Error("a worker process was killed (out of memory?). Run again, with fewer --jobs.") from None


class _InWorker(Exception):
    """The traceback of an error in a worker process, for -v."""

    def __str__(self):
        return f"\n{self.args[0]}"


def _start_workers(work, number, workers):
    multiprocessing.resource_tracker.ensure_running()       # its start would unblock SIGINT
    for _ in range(number):
        with interrupts_blocked():                         # a worker inherits it: Ctrl-C is for the driver alone
            workers.append(_Worker())
    for worker in workers:
        worker.give(work)


def _work_on(connection):
    """In a worker process: take the work, then items, and give (number, result, error, its traceback) for each."""
    signal.signal(signal.SIGTERM, end_worker)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)        # the driver sees to it
    threading.Thread(target=end_with_the_driver, daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):     # the driver is gone
        message = connection.recv_bytes()
        work = None
        while True:
            number, item = connection.recv()
            try:
                work = work or pickle.loads(message)        # opens what is large
                answer = number, work(item), None, None
            except Exception as error:
                answer = number, None, *_portable(error)
            connection.send(answer)


def _portable(error):
    """(the error as it can go to another process, its traceback as text)"""
    trace = "".join(traceback.format_exception(error))
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return error, trace


def end_with_the_driver():
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    end_worker()


def end_worker(*_):
    files.discard_unfinished()
    os._exit(1)


@contextlib.contextmanager
def interrupts_blocked():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
