"""Every executor does every item once it can be done, whatever is killed, and names what cannot be done."""
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, until
from trouble import Square, complete, squares

from mc2.execution import local, rounds


@pytest.mark.parametrize("jobs", [1, 3])
def test_all_items_are_done_once(tmp_path, jobs):
    task = Square(tmp_path)
    complete(task, range(10), local.Local(jobs))
    assert squares(tmp_path) == {n: n * n for n in range(10)}
    assert sorted(task.begun()) == sorted(map(str, range(10)))
    complete(task, range(12), local.Local(jobs))
    assert len(task.begun()) == 12


def test_a_killed_worker_costs_nothing(tmp_path):
    complete(Square(tmp_path), range(14, 19), local.Local(2))
    assert squares(tmp_path) == {n: n * n for n in range(14, 19)}


def test_worker_processes_stay_for_the_next_task_and_end_with_the_executor(tmp_path):
    with contextlib.closing(local.Local(2)) as executor:
        complete(Square(tmp_path), range(4), executor)
        workers = set(children_of(os.getpid()))
        (tmp_path / "next").mkdir()
        complete(Square(tmp_path / "next"), range(30, 34), executor)
        assert set(children_of(os.getpid())) == workers
    assert squares(tmp_path / "next") == {n: n * n for n in range(30, 34)}
    assert len(workers - set(children_of(os.getpid()))) >= 2


def test_workers_that_are_killed_between_two_tasks_cost_no_item(tmp_path):
    """More than two items whose workers are all killed would be taken for hopeless."""
    with contextlib.closing(local.Local(3)) as executor:
        complete(Square(tmp_path), range(3), executor)
        for worker in executor._workers._idle:
            worker.process.kill()
            worker.process.join()
        (tmp_path / "next").mkdir()
        complete(task := Square(tmp_path / "next"), range(30, 33), executor)
    assert sorted(task.begun()) == ["30", "31", "32"]


def test_a_poison_item_is_named_after_three_tries_and_the_rest_is_done(tmp_path):
    task = Square(tmp_path)
    with pytest.raises(rounds.JobFailed) as failed:
        complete(task, range(10, 17), local.Local(2))
    assert "13.jsonl: its worker process was killed (out of memory?) 3 times. Leave this shard out" in str(failed.value)
    assert "1 shard failed" in str(failed.value) and failed.value.status == 1
    assert squares(tmp_path) == {n: n * n for n in (10, 11, 12, 14, 15, 16)}
    assert "square: begins" in (tmp_path / "logs/13.log").read_text()


def test_bad_data_is_not_tried_again_and_the_rest_is_done(tmp_path):
    task = Square(tmp_path)
    with pytest.raises(rounds.JobFailed) as failed:
        complete(task, range(18, 22), local.Local(2))
    assert "19.jsonl: 19.jsonl:812: not JSON." in str(failed.value) and failed.value.status == 3
    assert set(squares(tmp_path)) == {18, 20, 21} and task.begun().count("19") == 1
    log = (tmp_path / "logs/19.log").read_text()
    assert "square: fails after" in log and "Traceback" in log


def test_a_full_disk_stops_the_job_at_once(tmp_path):
    with pytest.raises(OSError, match="No space left"):
        complete(Square(tmp_path), [23, *range(100, 200)], local.Local(1))
    assert len(squares(tmp_path)) == 0


def test_workers_end_when_their_driver_is_killed(tmp_path):
    code = (f"from mc2.execution.local import Local; from trouble import Square, complete\n"
            f"if __name__ == '__main__': complete(Square({str(tmp_path)!r}), range(998, 1002), Local(2))")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    driver = subprocess.Popen([sys.executable, "-c", code], env=environment)
    until(lambda: {"1000", "1001"} <= set(Square(tmp_path).begun()), lambda: driver.poll() is None)
    workers = children_of(driver.pid)
    assert len(workers) >= 2
    driver.kill()
    driver.wait()
    until(lambda: not any(os.path.exists(f"/proc/{worker}") for worker in workers))
    assert squares(tmp_path) == {998: 998 ** 2, 999: 999 ** 2} and not list(tmp_path.glob(".*.tmp"))


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
