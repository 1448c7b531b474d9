"""How far a command is: one line on the terminal, and a small file for `mc2 status`."""
import contextlib
import fcntl
import glob
import os
import socket
import time

from mc2 import documents, own, temporaries
from mc2.errors import BadData, BadUsage
from mc2.meter import Meter
from mc2.tables import duration

EVERY = 0.5                     # seconds between two updates of the file
REMEDY = "So it is not known how far this is. The next run writes it anew."


class Progress:
    """Keeps a file `progress*.json` in the work directory of a command, and shows on stderr how far it is.

    command: the subcommand of mc2. work: a local directory, or None = no file. part: (I, N) where this is one of N
    parts of the work. While this is open, the file beside it is locked: `mc2 status` tells by that whether it runs.
    """

    def __init__(self, command, work, quiet=False, part=None):
        self.command, self.quiet, self.meter = command, quiet, None
        self.path = work and os.path.join(work, "progress.json" if part is None else f"progress.{part[0]}-{part[1]}.json")
        self.state = {"command": command, "pid": os.getpid(), "host": socket.gethostname(), "begun": time.time(),
                      "phase": "begins", "shards": 0, "done": 0, "pairs": 0, "failed": {}}
        self._written, self._lock = 0, None

    def __enter__(self):
        if self.path:
            with contextlib.suppress(OSError):          # a file system without locks, a full disk
                self._lock = own.open_file(f"{self.path}.lock", os.O_RDWR | os.O_CREAT)
                fcntl.flock(self._lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        self._write(now=True)
        return self

    def __exit__(self, *error):
        self._close()
        if self._lock is not None:
            with contextlib.suppress(OSError):          # another process has it too
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(f"{self.path}.lock")
            os.close(self._lock)

    def begin(self, phase, shards, finished):
        """A phase begins, of so many shards, some of which were finished by an earlier run."""
        self._close()
        self.state.update(phase=phase, shards=shards, finished=finished, done=finished, pairs=0,
                          phase_begun=time.time(), failing=0, failed={})
        if finished < shards:
            self.meter = Meter(f"{self.command}: {phase}", "shards", shards, finished, self.quiet)
        self._write(now=True)

    def update(self, pairs=0, failed=False):
        """A shard has ended."""
        self.state["pairs"] += pairs
        if failed:
            self.state["failing"] += 1
        else:
            self.state["done"] += 1
        if self.meter is not None:
            self.meter.update(0 if failed else 1, _rates(self.state))
        self._write()

    def again(self, missing, failures):
        """A round is over; so many shards come again, and these are given up: {item: error}."""
        self.state.update(done=self.state["shards"] - missing - len(failures), failing=0,
                          failed={str(item): str(error) for item, error in failures.items()})
        self._write(now=True)

    def end(self, phase="finished"):
        self._close()
        self.state.update(phase=phase, ended=time.time())
        self._write(now=True)

    def _close(self):
        if self.meter is not None:
            self.meter.close()
            self.meter = None

    def _write(self, now=False):
        if self.path is None or not now and time.monotonic() - self._written < EVERY:
            return
        self._written = time.monotonic()
        temporary = temporaries.name_of(self.path)
        # an error of the disk is found, and told, by the work itself
        with contextlib.suppress(OSError), temporaries.discarded_on_error(temporary):
            with open(own.open_file(temporary, os.O_WRONLY | os.O_CREAT), "wb") as stream:
                stream.truncate(0)              # of what a killed run left
                stream.write(documents.dumped({**self.state, "updated": time.time()}))
            os.replace(temporary, self.path)


def _rates(state, now=None):
    """pairs per second, and failures, as text"""
    seconds = max((now or time.time()) - state["phase_begun"], 1e-9)
    text = f"{state['pairs'] / seconds:,.0f} pairs/s"
    failing = state["failing"] + len(state["failed"])
    return text + (f", {failing:,} failed" if failing else "")


def _states(out):
    """[(path, state, part such as "0/2" or "")] of the work in the directory `out`. Raises BadUsage where there is
    none."""
    paths = sorted(glob.glob(os.path.join(glob.escape(out), ".work", "progress*.json")))
    states = [(path, documents.read(path, REMEDY), _part(path)) for path in filter(os.path.isfile, paths)]
    if not states:
        raise BadUsage(f"{out}: no work of mc2 was begun here. Name the output directory of mc2 curate, or of a command "
                       f"with -O.")
    return states


def _part(path):
    return os.path.basename(path).removeprefix("progress").removesuffix(".json").removeprefix(".").replace("-", "/")


def as_json(out):
    """Yield the states of the work in the directory `out` as JSON values: `state` is running, stopped or finished. Raises
    BadUsage where there is none."""
    for path, state, part in _states(out):
        now = "finished" if "ended" in state else "running" if _is_running(path) else "stopped"
        yield {"part": part or None, "state": now, **state}


def describe(out):
    """Yield lines on the state of the work in the directory `out`. Raises BadUsage where there is none."""
    failed = False
    for path, state, part in _states(out):
        try:
            line, failures = _state(path, state), sorted(state["failed"].items())
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BadData(f"{path}: is damaged. {REMEDY}") from None
        yield (f"part {part}: " if part else "") + line
        for item, error in failures:
            failed = True
            yield f"failed: {item}: {error}"
    if failed:
        logs = [os.path.join(out, *names) for names in (("logs",), (".work", "logs"))]
        yield f"logs of the shards: {next(filter(os.path.isdir, logs), logs[0])}"


def _state(path, state):
    if "ended" in state:
        return f"{state['phase']}, {duration(time.time() - state['ended'])} ago"
    if _is_running(path):
        return f"{_under_way(state)}; process {state['pid']} on {state['host']}"
    return f"stopped while in: {_under_way(state)}. The same 'mc2 {state['command']}' command goes on from here."


def _under_way(state):
    if "phase_begun" not in state:
        return "looking for what is done"
    done_now = state["done"] - state["finished"]
    seconds = state["updated"] - state["phase_begun"]
    text = f"{state['phase']}: {state['done']:,} of {state['shards']:,} shards, {_rates(state, state['updated'])}"
    if done_now > 0:
        text += f", about {duration(seconds / done_now * (state['shards'] - state['done']))} to go in this phase"
    return text


def _is_running(path):
    """Whether the process that keeps this file is alive."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDONLY | own.CAREFULLY)       # of another user's work, perhaps
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:                     # a file system without locks: whether it runs is not known
        return True
    finally:
        os.close(descriptor)
    return False
