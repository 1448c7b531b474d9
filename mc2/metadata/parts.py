"""Do a long count in parts, in parallel processes, and go on where an earlier run was stopped.

Every finished part leaves its files and `{part}.json` in a work directory beside the output. The name of a part
is a hash of everything that its result depends on, so that files made from other inputs or options are not used.
`{part}.json` has the checksums of the files, so that a later run does damaged parts again.
"""
import contextlib
import os
import time

from mc2 import __version__, documents, files, manifests, own, temporaries
from mc2.errors import BadData, BadUsage, Mc2Error
from mc2.execution.processes import map_in_order

BASE = 64 << 20                 # bytes that a worker process takes before it counts anything
LEAST = 32 << 20                # bytes for counting, below which spilling would be all that it does


class Work:
    """The work on one part. Subclasses hold options only, since they are sent to the worker processes."""

    options = {}                # what the result of every part depends on
    memory = None               # bytes that the worker may count in

    def describe(self, part):
        """A JSON value that identifies the part: its inputs (manifests.describe_file), and which part of them."""
        raise NotImplementedError

    def count(self, part, directory, name):
        """Do the part. Its files go to `directory` under names that begin with `name`. Returns a JSON value."""
        raise NotImplementedError


@contextlib.contextmanager
def work_directory(path):
    """A directory for intermediate files that belongs to this process alone while the block runs. It is deleted when
    the block ends well, and when it fails before any part was finished.

    After a good end it is first renamed to `path`.finished, so that a run that is killed while it deletes the files
    does not leave some of them as a work directory. The next run deletes the rest.
    """
    finished = f"{path}.finished"
    with temporaries.locked(path, busy := f"{path}: another run is at work here. Wait for it to end.", is_own=True):
        if not os.path.isdir(path):         # a run that ended meanwhile had it
            raise Mc2Error(busy)
        own.remove_directory(finished)
        try:
            yield path
        except BaseException:
            if not any(name.endswith(".json") for _, _, names in os.walk(path) for name in names):
                own.remove_directory(path)
            raise
        os.rename(path, finished)
        own.remove_directory(finished)


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
    own.make_directory(directory)
    names = [manifests.fingerprint([__version__, type(work).__name__, work.options, work.describe(part)])[:16]
             for part in parts]
    _delete_damaged(directory)
    _delete_others(directory, set(names))
    todo = [(part, name) for part, name in dict(zip(names, zip(parts, names))).values()
            if not os.path.exists(_result_path(directory, name))]
    for _ in progress(map_in_order(_Do(work, directory), todo, min(jobs, max(1, len(todo)))), len(todo)):
        pass
    results = []
    for name in names:
        results.append(documents.read(_result_path(directory, name), f"Delete {directory}, and run again.")["result"])
    return results, len(parts) - len(todo)


class _Do:
    def __init__(self, work, directory):
        self.work, self.directory = work, directory

    def __call__(self, item):
        part, name = item
        started = time.monotonic()
        result = self.work.count(part, self.directory, name)
        content = {"part": self.work.describe(part), "seconds": round(time.monotonic() - started, 3), "result": result,
                   "files": {each: files.content_of(os.path.join(self.directory, each))
                             for each in sorted(os.listdir(self.directory)) if each.startswith(f"{name}.")}}
        files.write_bytes(_result_path(self.directory, name), documents.dumped(content), is_own=True)


def _result_path(directory, name):
    return os.path.join(directory, f"{name}.json")


def _delete_damaged(directory):
    """Delete the results of parts that are damaged, or whose files are: the parts are done again. Each is read once."""
    for entry in list(os.scandir(directory)):
        if entry.name.endswith(".json") and not _is_whole(entry.path, directory):
            os.unlink(entry.path)


def _is_whole(path, directory):
    try:
        content = documents.read(path, "")
        return all(files.size(its := os.path.join(directory, name)) == expected["bytes"]
                   and files.crc32_of(its) == expected["crc32"] for name, expected in content["files"].items())
    except (BadData, OSError, KeyError, TypeError, AttributeError):
        return False


def _delete_others(directory, names):
    """Delete the files of other parts, and of parts that were not finished."""
    finished = {name for name in names if os.path.exists(_result_path(directory, name))}
    with own.opened_directory(directory) as descriptor:
        results_first = sorted(os.listdir(descriptor), key=lambda name: not name.endswith(".json"))
        for name in results_first:          # so that a run that is killed here leaves no result without its files
            if name.split(".")[0] not in finished:
                own.remove(name, descriptor)
