"""Worker processes, each with a pipe of its own, so that the item of one that dies is known.

concurrent.futures has queues that all workers share: when one is killed while it sends a result, the driver can wait
for the rest of it for ever, and which item killed it is not known.
"""
import itertools
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import os
import pickle
import signal
import threading
import time
import traceback
from typing import NamedTuple

from mc2 import signals, temporaries
from mc2.errors import Mc2Error

AHEAD = 8               # results per worker that may wait for an earlier one
PATIENCE = 5            # seconds for a worker to end when it is asked to


class WorkerKilled(Mc2Error):
    """A process ended while it did an item: killed, out of memory, or crashed."""


def cores(jobs):
    """The number of processes that --jobs stands for: 0 = one per core."""
    return jobs or len(os.sched_getaffinity(0))


def map_in_order(work, items, jobs):
    """Yield work(item) for every item, in order; in `jobs` processes when that is not 1 (0 = all cores)."""
    jobs = cores(jobs)
    if jobs == 1:
        yield from map(work, items)
        return
    items, results, given, yielded, more = iter(items), {}, 0, 0, True
    with Workers(work, jobs) as workers:
        first = list(itertools.islice(items, jobs))
        workers.start(len(first))
        items = itertools.chain(first, items)
        while more or yielded < given:
            while more and workers.has_idle and given - yielded < AHEAD * jobs:
                try:
                    item = next(items)
                except StopIteration:
                    more = False
                else:
                    workers.give(given, item)
                    given += 1
            if yielded in results:
                result, error, trace = results.pop(yielded)
                if isinstance(error, WorkerKilled):
                    raise Mc2Error("a worker process was killed (out of memory?). Run again, with fewer --jobs.")
                if error:
                    raise error from _InWorker(trace)
                yield result
                yielded += 1
            elif yielded < given:
                key, *outcome = workers.take()
                results[key] = outcome


class Workers:
    """Processes that carry out work(item): give() one an item, take() what comes back first.

    They are started as they are needed, and end with the block. Signals are noted while one is started, waited for
    or ended (see mc2.signals), so that none of this is left half done.
    """

    def __init__(self, work, jobs):
        self.jobs = jobs
        self.turn_to(work)
        self._idle, self._busy = [], {}             # {worker: key of its item}
        self._handled = signals.handled()

    def __enter__(self):
        self._handled.__enter__()
        return self

    def __exit__(self, *error):
        try:
            self.end()
        finally:
            self._handled.__exit__(*error)

    def turn_to(self, work):
        """Items that are given from now on are for other work. The processes go on, as to start one takes time."""
        self._work = pickle.dumps(_Work(pickle.dumps(work)))

    @property
    def has_idle(self):
        return bool(self._idle) or len(self._busy) < self.jobs

    def __len__(self):
        """Items that are under way."""
        return len(self._busy)

    def start(self, number):
        """Start workers at once, rather than each when it is needed, so that there are so many."""
        with signals.noted():
            self._end_dead()
            while len(self._idle) + len(self._busy) < number:
                self._idle.append(_Worker())

    def give(self, key, item):
        """Let an idle worker do an item; take() gives the key back."""
        with signals.noted():
            self._end_dead()
            worker = self._idle.pop(0) if self._idle else _Worker()
            self._busy[worker] = key
            worker.send(self._work, item)

    def _end_dead(self):
        """Have no idle worker that was killed meanwhile, as the item that it is given would be lost."""
        for worker in [each for each in self._idle if not each.process.is_alive()]:
            self._idle.remove(worker)
            worker.end(time.monotonic())

    def take(self):
        """(key, result, error, its traceback) of an item that has ended; error: WorkerKilled where its process did."""
        with signals.noted():
            while True:
                wakeup = [] if signals.fileno() is None else [signals.fileno()]
                ready = multiprocessing.connection.wait([*self._busy, *wakeup])
                signals.check()
                for worker in ready:
                    if worker not in wakeup:
                        key = self._busy.pop(worker)
                        answer = worker.receive()
                        if answer is None:
                            worker.end(time.monotonic() + PATIENCE)
                            return key, None, WorkerKilled("its worker process was killed (out of memory?)"), ""
                        self._idle.append(worker)
                        return key, *answer

    def end(self):
        """End all of them, also after an error or Ctrl-C: no worker goes on."""
        with signals.noted():
            for worker in (workers := [*self._idle, *self._busy]):
                worker.process.terminate()
            deadline = time.monotonic() + PATIENCE
            for worker in workers:
                worker.end(deadline)
            self._idle, self._busy = [], {}


class _Work(NamedTuple):
    """What is to be done with the items that follow, pickled."""

    data: bytes


class _Worker:
    """A process and the only pipe to it."""

    def __init__(self):
        self._work = None               # what it was sent, pickled
        multiprocessing.resource_tracker.ensure_running()           # which unblocks SIGINT
        self.connection, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(target=_work_on, args=(theirs,), daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})      # inherited: Ctrl-C is for the driver
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()                  # so that the pipe ends with the process

    def fileno(self):
        return self.connection.fileno()

    def send(self, work, item):
        """Give it an item, and before it the work, a pickled _Work, unless it has that already."""
        if work is not self._work:
            self._work = work
            self.send_bytes(work)
        self.send_bytes(pickle.dumps(item))

    def send_bytes(self, data):
        try:
            self.connection.send_bytes(data)
        except OSError:                 # it is dead: receive() tells
            pass

    def receive(self):
        """(result, error, its traceback), or None where the process has ended."""
        try:
            return pickle.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            return None

    def end(self, deadline):
        """Wait for the process until then, and kill it after that."""
        self.process.join(max(0, deadline - time.monotonic()))
        self.process.kill()
        self.process.join()
        self.connection.close()


class _InWorker(Exception):
    """The traceback of an error in a worker process, for -v."""

    def __str__(self):
        return f"\n{self.args[0]}"


# ---------------------------------------------------------------- in a worker

def _work_on(connection):
    """Take the work, then items, and give (result, error, its traceback) for each. Later it may be other work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # the driver sees to these two
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end_worker)
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    try:
        data = work = None
        while True:
            item = connection.recv()
            if isinstance(item, _Work):
                data, work = item.data, None            # what was open for the work before is closed
                continue
            try:
                work = work or pickle.loads(data)       # opens what is large
                answer = work(item), None, ""
            except Exception as error:
                answer = None, *_portable(error)
            connection.send(answer)
    except (EOFError, BrokenPipeError, ConnectionResetError):       # the driver is gone
        pass


def _portable(error):
    """(the error as it can go to another process, its traceback as text)"""
    trace = "".join(traceback.format_exception(error))
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return error, trace


def _end_with_the_driver():
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    # in the main thread, so that it begins no further file
    signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)


def end_worker(*_):
    """The handler of SIGTERM in a worker: end at once, and leave no temporary file."""
    temporaries.discard_unfinished()
    os._exit(1)
