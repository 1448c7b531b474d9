"""Processes that load data, in training and in evaluation, and the shared memory that they hand batches over in.

torch puts every tensor that such a process hands over into a file of /dev/shm (also with its sharing strategy
"file_system"), which is small in containers: 64 MB, where Docker is not told otherwise. Left to torch, a batch for
which there is no space is lost in a thread of that process, and the one that waits for it waits for ever. Therefore

- before the processes start, the free space is compared with that of all batches that may wait there;
- a process puts its tensors there itself (`shared`), where a lack of space raises an error;
- a process that cannot hand over a batch for another reason ends;
- the one that waits for a batch looks every second whether all processes are there, and whether the run is to stop.
"""
import contextlib
import errno
import multiprocessing.queues
import multiprocessing.util
import os
import signal
import threading
import time
import warnings
import weakref

import torch
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter as _Iterator

from mc2 import signals
from mc2.errors import Mc2Error
from mc2.terminal import say

AHEAD = 2                       # batches that a process makes in advance
PATIENCE = 1                    # seconds after which a wait looks around
LAST = 5                        # seconds for a process to end in that was asked to
SHARED = "/dev/shm"
ENLARGE = "Start the container with a larger one (docker run --shm-size={}, or --ipc=host)"
TIMED_OUT, ENDED, FULL_TABLE = "DataLoader timed out", "DataLoader worker (pid", "Too many open files"  # torch's words


class NoSpace(Mc2Error):
    """/dev/shm is too small, or takes no batch for another reason."""


class Asked(Mc2Error):
    """The run is to stop, and no longer to wait for a batch."""


# ---------------------------------------------------------------- space

def refuse_too_little_space(batch_bytes, workers, ahead=AHEAD, batches=None, *, less=None, advice=()):
    """Raise NoSpace where /dev/shm has no space for all batches that may wait there at a time: those made in advance, and
    the one that is worked on, in every rank of this machine.

    batches: how many there are. less: the option by which one batch is made in advance. advice: other options that take less.
    """
    free = _free()
    if not workers or free is None:
        return
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE") or 1)

    def number(workers, ahead):
        return workers * ahead + 1 if batches is None else min(workers * ahead + 1, batches)

    def most_workers(ahead):
        return next((fewer for fewer in range(workers, 0, -1) if ranks * batch_bytes * number(fewer, ahead) <= free), 0)

    if most_workers(ahead) == workers:
        return
    needs = ranks * batch_bytes * number(workers, ahead)
    ways = [f"--workers {most_workers(ahead)}"] if most_workers(ahead) else []
    if less and most_workers(1) > most_workers(ahead):
        ways.append(f"--workers {most_workers(1)} with {less}")
    of_all = f" of each of {ranks:,} ranks" if ranks > 1 else ""
    raise NoSpace(f"{SHARED} is too small: {_size(free)} are free there, and {workers:,} processes that load data need "
                 f"{_size(needs)}, for {number(workers, ahead):,} batches of {_size(batch_bytes)}{of_all}. "
                 f"{ENLARGE.format(_docker_size(needs))}, or give {' or '.join([*ways, *advice, '--workers 0'])}, which needs "
                 f"none of it.")


def _free():
    """Bytes that are free in /dev/shm, or None where that is not known."""
    try:
        found = os.statvfs(SHARED)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _full():
    """The NoSpace of a /dev/shm that became full while batches were made."""
    return NoSpace(f"{SHARED} is full: a process that loads data has no space for a batch. "
                  f"{ENLARGE.format('8g')}, remove what else is there, give fewer --workers, or --workers 0, "
                  "which needs none of it.")


def shared(tensor):
    """The tensor, in shared memory where this process has to hand it over. Raises NoSpace."""
    if torch.utils.data.get_worker_info() is None:
        return tensor
    try:
        return tensor.share_memory_()
    except (RuntimeError, OSError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error):
            raise _full() from None
        raise NoSpace(f"{SHARED}: a process that loads data cannot put a batch there ({_line(error)}). With --workers 0 "
                       "that is not needed.") from None


# ---------------------------------------------------------------- processes

def loader_of(dataset, workers, ahead=AHEAD, **options):
    """A torch DataLoader whose `workers` processes (0: this one loads) leave signals to this one and end with it."""
    with _without_advice():
        return torch.utils.data.DataLoader(dataset, num_workers=workers, **options, **(
            {"worker_init_fn": _begin, "prefetch_factor": ahead, "multiprocessing_context": "fork",
             "timeout": PATIENCE}
            if workers else {}))


def start(loader):
    """The iterator of a DataLoader, with its processes started. Raises NoSpace, Mc2Error."""
    iterator = None
    try:
        with signals.held():            # else processes that were started would be left without their iterator
            iterator = _started(loader)
        return iterator
    except BaseException:               # of a signal that came meanwhile: killed, they would leave their temporary files
        if iterator is not None:
            end(iterator)
        raise


def _started(loader):
    _Iterator._shutdown = True          # of one whose making fails halfway, which torch forgets to say
    on_end = signal.getsignal(signal.SIGCHLD)
    _starting.append(True)
    try:
        if loader.num_workers:          # one that its processes share, and this one removes: they may end at any moment
            multiprocessing.util.get_temp_dir()
        with _without_advice():
            iterator = iter(loader)
    except OSError as error:            # of a queue, whose locks are in /dev/shm too
        if error.errno == errno.ENOSPC:
            raise _full() from None
        raise Mc2Error(f"processes that load data cannot be started ({_line(error)}). --workers 0 needs none.") \
            from error
    finally:
        _starting.clear()
        if signal.getsignal(signal.SIGCHLD) is not on_end:          # it would raise wherever the program is
            with contextlib.suppress(ValueError):                   # not in the main thread
                signal.signal(signal.SIGCHLD, on_end or signal.SIG_DFL)
    if loader.num_workers:              # those that do not end when they are asked to, and all when Python exits
        weakref.finalize(iterator, _kill, iterator._workers)
    return iterator


def next_of(iterator, is_asked=lambda: False):
    """The next item of such an iterator. Raises Mc2Error where a process died, Asked where `is_asked()` while it
    waits."""
    while True:
        try:
            return next(iterator)
        except NoSpace as error:         # torch puts the trace of the process before its message
            raise NoSpace(str(error).strip().splitlines()[-1].partition("NoSpace: ")[2] or str(error)) from None
        except (RuntimeError, EOFError, OSError) as error:      # the last two: it ended while it handed over a batch
            if type(error) is RuntimeError and str(error).startswith(TIMED_OUT):
                if is_asked():
                    raise Asked("the run is to stop.") from None
                _refuse_dead_thread(iterator)
                continue
            if type(error) is RuntimeError and FULL_TABLE in str(error):
                raise Mc2Error("too many open files: raise the limit (ulimit -n), or give fewer --workers.") from error
            if type(error) is RuntimeError and ENDED not in str(error):
                raise
            raise _death_of(iterator, error) from error


def items_of(loader):
    """Yield the items of a DataLoader."""
    iterator = start(loader)
    try:
        with contextlib.suppress(StopIteration):
            while True:
                yield next_of(iterator)
    finally:
        end(iterator)


def end(iterator):
    """End the processes of an iterator: by asking them, and those that do not hear it by force."""
    if not hasattr(iterator, "_workers"):
        return
    force = threading.Timer(LAST, _kill, [iterator._workers])
    force.start()
    try:
        iterator._shutdown_workers()
    finally:
        force.cancel()


def _refuse_dead_thread(iterator):
    thread = getattr(iterator, "_pin_memory_thread", None)
    if thread is not None and not thread.is_alive():
        raise Mc2Error("the thread that copies batches for the GPU has ended. Run again.")


def _death_of(iterator, error):
    """The error of a process that ended, by how it did."""
    statuses = [process.exitcode for process in getattr(iterator, "_workers", ())]
    if -signal.SIGBUS in statuses:
        return _full()
    if HANDED_NOTHING in statuses:
        return Mc2Error("a process that loads data ended, as it could not hand over a batch; its message is above. Run "
                        "again, with fewer workers, or with --workers 0.")
    return Mc2Error(f"a process that loads data was killed (out of memory?): {_line(error)}. Run again, with fewer "
                    "workers.")


HANDED_NOTHING = 71             # exit status of a process that could not hand over a batch
_starting = []                  # not empty while loading processes are started


def _block_in_loading_process():
    """Right after the fork: until a loading process ignores these signals (_begin), one would end it."""
    if _starting:
        signal.pthread_sigmask(signal.SIG_BLOCK, signals.STOPPING)


os.register_at_fork(after_in_child=_block_in_loading_process)


def _begin(number):
    """In a new process: leave signals to the one that started it, end with it, and take one core."""
    for each in signals.STOPPING:
        signal.signal(each, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.STOPPING)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(_end_without_handing_over)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_without_handing_over(error, item):
    """In the thread that hands over: the item would be waited for for ever."""
    say(f"mc2: a process that loads data cannot hand over a batch: {_line(error)}")
    os._exit(HANDED_NOTHING)


def _end_with(parent):
    while os.getppid() == parent:
        time.sleep(0.1)             # what it inherited, the lock of the run among it, must go soon
    os._exit(1)


def _kill(processes):
    for process in processes:
        process.kill()


@contextlib.contextmanager
def _without_advice():
    """Without torch's warning that these are more processes than cores: their number was chosen."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")
        yield


# ---------------------------------------------------------------- words

def _size(number):
    return f"{number / 1e6:,.1f} MB" if number < 1e9 else f"{number / 1e9:,.1f} GB"


def _docker_size(needs):
    """The next power of two that leaves some space, as Docker takes it."""
    megabytes = 1 << max(0, (needs * 5 // 4 >> 20)).bit_length()
    return f"{megabytes}m" if megabytes < 1024 else f"{megabytes >> 10}g"


def _line(error):
    return " ".join(repr(error).split())
