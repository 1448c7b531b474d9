"""The executor for a Ray cluster: Ray core, one task per shard.

Every node must see the same paths (a shared file system), and have the same mc2 installed. A node that dies takes
its tasks with it; Ray runs them elsewhere, and what is missing after that comes again in the next round.
"""
import hashlib
import os
import pickle
import signal
import socket

from mc2 import __version__, extras, signals
from mc2.errors import BadUsage
from mc2.execution import worker
from mc2.execution.processes import WorkerKilled

AHEAD = 4                       # tasks per core that wait in the cluster
RETRIES = 4
WAIT = 0.25                     # seconds between two looks whether a signal came


class Ray:
    """Tasks on a Ray cluster. address: of its head, "auto" for the one that this machine is part of, or None to
    start one on this machine alone."""

    name = "ray"

    def __init__(self, address=None):
        try:
            import ray
        except ImportError:
            raise BadUsage(f"--executor ray: Ray is not installed. Run {extras.how_to_install('ray')}.") from None
        self.ray = ray
        try:
            _knock(address)
            with signals.noted():               # Ray loses them
                try:
                    ray.init(address=address or "local", logging_level="ERROR", log_to_driver=False,
                             configure_logging=False)
                    signals.take_back()         # Ray took SIGTERM for itself
                except SystemExit:              # so it came between the two
                    signals.raise_taken(signal.SIGTERM)
        except (ConnectionError, OSError) as error:
            raise BadUsage(f"--address {address}: no Ray cluster answers there ({error}). Start one with 'ray start "
                           f"--head'.") from None

    def run(self, task, items, report):
        with signals.noted():
            self._run(task, items, report)

    def _run(self, task, items, report):
        ray = self.ray
        data = pickle.dumps(task)
        remote = ray.remote(max_retries=RETRIES, num_cpus=1)(_do)
        task_ref, key = ray.put(data), hashlib.sha256(data).hexdigest()
        here = os.getcwd()
        waiting, under_way = list(reversed(items)), {}
        try:
            while waiting or under_way:
                more = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1))) - len(under_way)
                for _ in range(min(more, len(waiting))):
                    item = waiting.pop()
                    under_way[remote.remote(__version__, here, key, task_ref, item)] = item
                done, _ = ray.wait(list(under_way), num_returns=1, timeout=WAIT)
                signals.check()
                for ref in done:
                    item = under_way.pop(ref)
                    try:
                        pairs, error = ray.get(ref)
                    except ray.exceptions.RayError as lost:
                        pairs, error = 0, WorkerKilled(f"its Ray task was lost ({_first_line(lost)})")
                    report(item, error, pairs)
        except BaseException:
            self._abandon()
            raise

    def _abandon(self):
        """End the tasks that are under way, by leaving the cluster: ray.cancel() can crash this process where a task is
        done at that moment. Ray's words on stderr about tasks that end in this way are left out."""
        stderr = os.dup(2)
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        try:
            self.close()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)

    def close(self):
        with signals.noted():
            self.ray.shutdown()


def _first_line(error):
    """The cause of a RayError: the last line that says something."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1].strip()[:200]}" if lines else type(error).__name__


def _knock(address):
    """Raise OSError when nobody listens at HOST:PORT. Ray itself would try for two minutes."""
    host, colon, port = (address or "").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.rpartition("/")[2], int(port)), timeout=5).close()


_tasks = {}                    # in a worker process: what it opened for earlier tasks (matchers, models) stays open


def _do(version, directory, key, data, item):
    if version != __version__:
        return 0, BadUsage(f"this node has mc2 {__version__}, and the driver {version}. Install the same on both.")
    os.chdir(directory)         # paths may be relative to where the command was given
    if key not in _tasks:
        _tasks.clear()
        _tasks[key] = pickle.loads(data)
    return worker.do(_tasks[key], item)
