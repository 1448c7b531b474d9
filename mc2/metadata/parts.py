"""Do a long count in parts, in parallel processes, and go on where an earlier run was stopped.

Every finished part leaves its files and `{part}.json` in a work directory beside the output. The name of a part
is a hash of everything that its result depends on, so what a changed input or option left behind is not used.
"""
import contextlib
import os
import shutil
import time

import orjson

from mc2 import __version__, files, manifests
from mc2.errors import BadUsage
from mc2.execution.processes import map_in_order

BASE = 64 << 20                 # bytes that a worker process takes before it counts anything
LEAST = 32 << 20                # bytes for counting, below which spilling would be all that it does


class Work:
    """What a worker does for one part. Subclasses hold options only, and are pickled to the workers."""

    options = {}                # what the result of every part depends on
    memory = None               # bytes that the worker may count in

    def describe(self, part):
        """What this part is, as JSON: its inputs (manifests.describe_file), and which part of them."""
        raise NotImplementedError

    def count(self, part, directory, name):
        """Do the part. Its files go to `directory` under names that begin with `name`. Returns a JSON value."""
        raise NotImplementedError


@contextlib.contextmanager
def work_directory(path):
    """A directory for intermediate files that is this process's alone while the block runs; it is deleted when it ends
    well, and when it fails before any part was finished."""
    with files.locked(path, f"{path}: another run is at work here. Wait for it to end."):
        try:
            yield path
        except BaseException:
            if not any(name.endswith(".json") for _, _, names in os.walk(path) for name in names):
                shutil.rmtree(path)
            raise
        shutil.rmtree(path)


def memory_per_worker(memory, jobs):
    """Bytes that each of so many workers may count in. Raises BadUsage where that is too little."""
    share = memory // jobs - BASE
    if share < LEAST:
        raise BadUsage(f"--memory {memory >> 20}M is too little for {jobs} processes: each needs at least "
                       f"{(BASE + LEAST) >> 20}M. Give more, or run fewer --jobs.")
    return share


def do_parts(work, parts, directory, jobs, progress=lambda results, total: results):
    """The results of all parts, in order; those that an earlier run finished are read from the directory.

    Returns (results, number of parts that were finished before).
    """
    names = [manifests.fingerprint([__version__, type(work).__name__, work.options, work.describe(part)])[:16]
             for part in parts]
    _delete_others(directory, set(names))
    todo = [(part, name) for part, name in dict(zip(names, zip(parts, names))).values()
            if not os.path.exists(_result_path(directory, name))]
    for _ in progress(map_in_order(_Do(work, directory), todo, min(jobs, max(1, len(todo)))), len(todo)):
        pass
    results = []
    for name in names:
        with open(_result_path(directory, name), "rb") as stream:
            results.append(orjson.loads(stream.read())["result"])
    return results, len(parts) - len(todo)


class _Do:
    def __init__(self, work, directory):
        self.work, self.directory = work, directory

    def __call__(self, item):
        part, name = item
        started = time.monotonic()
        result = self.work.count(part, self.directory, name)
        content = {"part": self.work.describe(part), "seconds": round(time.monotonic() - started, 3), "result": result}
        files.write_bytes(_result_path(self.directory, name), orjson.dumps(content))


def _result_path(directory, name):
    return os.path.join(directory, f"{name}.json")


def _delete_others(directory, names):
    """Delete what is of other parts, and of parts that were not finished."""
    finished = {name for name in names if os.path.exists(_result_path(directory, name))}
    for entry in os.scandir(directory):
        if entry.name.split(".")[0] not in finished:
            shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
