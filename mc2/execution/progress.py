"""How far a job is: one line on the terminal, and a small file for `mc2 status`."""
import contextlib
import fcntl
import os
import socket
import sys
import time

import orjson

from mc2.errors import BadUsage
from mc2.execution.receipt import duration

EVERY = 0.5                     # seconds between two updates of the file


class Progress:
    """Keeps `progress.json` in the work directory of a job, and a line on stderr where that is a terminal."""

    def __init__(self, work, quiet=False):
        self.path = os.path.join(work, "progress.json")
        self.shown = not quiet and sys.stderr.isatty()
        self.bar = None
        self.state = {"pid": os.getpid(), "host": socket.gethostname(), "begun": time.time(), "phase": "begins",
                      "shards": 0, "done": 0, "pairs": 0, "failed": {}}
        self._written = 0

    def begin(self, phase, shards, finished):
        """A phase begins, of so many shards, some of which were finished by an earlier run."""
        self._close()
        self.state.update(phase=phase, shards=shards, finished=finished, done=finished, pairs=0,
                          phase_begun=time.time(), failing=0, failed={})
        if self.shown:
            from tqdm import tqdm
            self.bar = tqdm(total=shards, initial=finished, desc=f"curate: {phase}", unit=" shards", leave=False)
        self._write(now=True)

    def update(self, pairs=0, failed=False):
        """A shard has ended."""
        self.state["pairs"] += pairs
        if failed:
            self.state["failing"] += 1
        else:
            self.state["done"] += 1
        if self.bar is not None:
            self.bar.set_postfix_str(_rates(self.state), refresh=False)
            self.bar.update(0 if failed else 1)
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
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _write(self, now=False):
        if not now and time.monotonic() - self._written < EVERY:
            return
        self._written = time.monotonic()
        temporary = f"{self.path}.tmp"
        with contextlib.suppress(OSError):          # a full disk is found, and told, by the work itself
            with open(temporary, "wb") as stream:
                stream.write(orjson.dumps({**self.state, "updated": time.time()}))
            os.replace(temporary, self.path)


def _rates(state, now=None):
    """pairs per second, and failures, as text"""
    seconds = max((now or time.time()) - state["phase_begun"], 1e-9)
    text = f"{state['pairs'] / seconds:,.0f} pairs/s"
    failing = state["failing"] + len(state["failed"])
    return text + (f", {failing:,} failed" if failing else "")


def describe(out):
    """Yield lines on the state of the job in the directory `out`. Raises BadUsage where there is none."""
    try:
        with open(os.path.join(out, ".work", "progress.json"), "rb") as stream:
            state = orjson.loads(stream.read())
    except (OSError, orjson.JSONDecodeError):
        raise BadUsage(f"{out}: no job of mc2 curate was begun here.") from None
    if "ended" in state:
        yield f"{state['phase']}, {duration(time.time() - state['ended'])} ago"
    elif _is_running(out):
        yield _under_way(state) + f"; process {state['pid']} on {state['host']}"
    else:
        yield f"stopped while in: {_under_way(state)}. The same 'mc2 curate' command goes on from here."
    for item, error in sorted(state["failed"].items()):
        yield f"failed: {item}: {error}"
    if state["failed"]:
        yield f"logs of the shards: {os.path.join(out, 'logs')}"


def _under_way(state):
    if "phase_begun" not in state:
        return "looking for what is done"
    done_now = state["done"] - state["finished"]
    seconds = state["updated"] - state["phase_begun"]
    text = f"{state['phase']}: {state['done']:,} of {state['shards']:,} shards, {_rates(state, state['updated'])}"
    if done_now > 0:
        text += f", about {duration(seconds / done_now * (state['shards'] - state['done']))} to go in this phase"
    return text


def _is_running(out):
    """Whether a driver holds the lock of the job."""
    descriptor = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:                     # a file system without locks: whether it runs is not known
        return True
    finally:
        os.close(descriptor)
    return False
