"""Every engine does every item once it can be done, whatever is killed, and names what cannot be done."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import ROOT
from mc2 import files
from mc2.errors import BadData
from mc2.execution import local, rounds


class Square:
    """Writes the square of a number to a file. Some numbers are trouble:

    13   kills its worker every time
    17   kills its worker the first two times
    19   is bad data
    23   finds the disk full
    """

    name = "square"

    def __init__(self, directory):
        self.directory = str(directory)

    def path(self, item):
        return os.path.join(self.directory, f"{item}.txt")

    def name_of(self, item):
        return f"{item}.jsonl"

    def log_path(self, item):
        return os.path.join(self.directory, "logs", f"{item}.log")

    def is_done(self, item):
        return os.path.exists(self.path(item))

    def discard(self, item):
        files.discard_abandoned(self.path(item))

    def __call__(self, item):
        with open(os.path.join(self.directory, "begun"), "a") as stream:
            stream.write(f"{item}\n")
        if item == 13 or item == 17 and self.begun().count("17") < 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 19:
            raise BadData("19.jsonl:812: not JSON.")
        if item == 23:
            raise OSError(28, "No space left on device", self.path(item))
        time.sleep(0.01)
        files.write_bytes(self.path(item), str(item ** 2).encode())
        return item

    def begun(self):
        return Path(self.directory, "begun").read_text().split()


class NoProgress:
    def begin(self, *_):
        pass

    def update(self, *_, **__):
        pass

    def again(self, *_):
        pass


def squares(directory):
    return {int(path.stem): int(path.read_text()) for path in Path(directory).glob("*.txt")}


def complete(phase, items, engine):
    rounds.complete(phase, items, engine, NoProgress(), len(items))


@pytest.mark.parametrize("jobs", [1, 3])
def test_all_items_are_done_once(tmp_path, jobs):
    phase = Square(tmp_path)
    complete(phase, range(10), local.Local(jobs))
    assert squares(tmp_path) == {n: n * n for n in range(10)}
    assert sorted(phase.begun()) == sorted(map(str, range(10)))
    complete(phase, range(12), local.Local(jobs))
    assert len(phase.begun()) == 12


def test_a_killed_worker_costs_nothing(tmp_path):
    complete(Square(tmp_path), range(14, 19), local.Local(2))
    assert squares(tmp_path) == {n: n * n for n in range(14, 19)}


def test_a_poison_item_is_named_after_three_tries_and_the_rest_is_done(tmp_path):
    phase = Square(tmp_path)
    with pytest.raises(rounds.JobFailed) as failed:
        complete(phase, range(10, 17), local.Local(2))
    assert "13.jsonl: its worker process was killed (out of memory?) 3 times. Leave this shard out" in str(failed.value)
    assert "1 shard failed" in str(failed.value) and failed.value.status == 1
    assert squares(tmp_path) == {n: n * n for n in (10, 11, 12, 14, 15, 16)}
    assert "square: begins" in (tmp_path / "logs/13.log").read_text()


def test_bad_data_is_not_tried_again_and_the_rest_is_done(tmp_path):
    phase = Square(tmp_path)
    with pytest.raises(rounds.JobFailed) as failed:
        complete(phase, range(18, 22), local.Local(2))
    assert "19.jsonl: 19.jsonl:812: not JSON." in str(failed.value) and failed.value.status == 3
    assert set(squares(tmp_path)) == {18, 20, 21} and phase.begun().count("19") == 1
    log = (tmp_path / "logs/19.log").read_text()
    assert "square: fails after" in log and "Traceback" in log


def test_a_full_disk_stops_the_job_at_once(tmp_path):
    with pytest.raises(OSError, match="No space left"):
        complete(Square(tmp_path), [23, *range(100, 400)], local.Local(1))
    assert len(squares(tmp_path)) == 0


def test_workers_end_when_their_driver_is_killed(tmp_path):
    code = (f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); from test_curate_engines import *\n"
            f"if __name__ == '__main__': complete(Square({str(tmp_path)!r}), range(100000, 200000), local.Local(2))")
    driver = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)})
    while len(list(tmp_path.glob("*.txt"))) < 20:
        assert driver.poll() is None
        time.sleep(0.02)
    workers = children_of(driver.pid)
    assert len(workers) >= 2
    driver.kill()
    driver.wait()
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{worker}") for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(os.path.exists(f"/proc/{worker}") for worker in workers)
    assert not list(tmp_path.glob(".*.tmp"))


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
