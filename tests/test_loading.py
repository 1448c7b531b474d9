"""Processes that load data: space in /dev/shm, processes that die or hand over nothing, a wait that is broken off."""
import os
import signal
import subprocess
import sys

import pytest
from training_tools import require_train

require_train()

import torch                                                        # noqa: E402

from mc2.errors import Mc2Error                                     # noqa: E402
from mc2.clip import loading                                    # noqa: E402

MIB = 1 << 20
LITTLE_ROOM = "unshare -m bash -c 'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec \"$0\" \"$@\"'"


@pytest.fixture
def started(monkeypatch):
    """loading.start of a loader of items, which ends with the test."""
    monkeypatch.setattr(loading, "LAST", 0.1)
    made = []

    def start(items, workers=1):
        made.append(loading.start(loading.loader_of(items, workers, batch_size=None)))
        return made[-1]

    yield start
    for iterator in made:
        loading.end(iterator)


# ---------------------------------------------------------------- space

@pytest.mark.parametrize("options, needs, ways", [
    ({}, r"4 processes that load data need 188\.7 MB, for 9 batches of 21\.0 MB",
     "--shm-size=256m, or --ipc=host), or give --workers 1 or --workers 0, which needs none of it"),
    ({"less": "--prefetch 1"}, "188.7 MB", "give --workers 1 or --workers 2 with --prefetch 1 or --workers 0"),
    ({"batches": 4, "advice": ["a smaller --batch-size"]}, "83.9 MB, for 4 batches",
     "--shm-size=128m, or --ipc=host), or give --workers 1 or a smaller --batch-size or --workers 0")])
def test_too_little_space_is_said_with_what_fits(monkeypatch, options, needs, ways):
    monkeypatch.setattr(loading, "_free", lambda: 64 * MIB)
    with pytest.raises(loading.NoSpace, match=f"/dev/shm is too small: 67.1 MB are free there, and .*{needs}") as found:
        loading.refuse_too_little_space(20 * MIB, 4, **options)
    assert ways in str(found.value)


def test_space_is_counted_for_all_ranks_of_a_machine_and_not_for_more_batches_than_there_are(monkeypatch):
    monkeypatch.setattr(loading, "_free", lambda: 64 * MIB)
    for workers, batches in ((1, None), (4, 3), (0, None)):
        loading.refuse_too_little_space(20 * MIB, workers, batches=batches)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(loading.NoSpace, match="3 batches of 21.0 MB of each of 2 ranks"):
        loading.refuse_too_little_space(20 * MIB, 1)
    monkeypatch.setattr(loading, "_free", lambda: None)             # no /dev/shm: nothing is known
    loading.refuse_too_little_space(20 * MIB, 1)


@pytest.fixture
def little_space():
    if subprocess.run(f"{LITTLE_ROOM} true", shell=True, capture_output=True).returncode:
        pytest.skip("this user may not mount a small /dev/shm")


FULL = """
import sys, torch
from mc2.clip import loading

class Batches(torch.utils.data.Dataset):
    def __len__(self):
        return 9

    def __getitem__(self, index):
        return loading.shared(torch.zeros(200_000 if index < 4 else 2_000_000, dtype=torch.uint8))

for strategy in sorted(torch.multiprocessing.get_all_sharing_strategies()):
    torch.multiprocessing.set_sharing_strategy(strategy)
    given = 0
    try:
        for batch in loading.items_of(loading.loader_of(Batches(), 2, batch_size=None)):
            given += 1
            batch = None
    except loading.NoSpace as error:
        print(strategy, given, str(error)[:18])
"""


def test_a_batch_that_finds_no_space_ends_the_run(little_space, tmp_path):
    (tmp_path / "full.py").write_text(FULL)
    done = subprocess.run(f"{LITTLE_ROOM} {sys.executable} {tmp_path / 'full.py'}", shell=True, capture_output=True,
                          text=True, timeout=100, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.stderr == "" and done.stdout.splitlines() == [
        f"{strategy} 4 /dev/shm is full: " for strategy in sorted(torch.multiprocessing.get_all_sharing_strategies())]


# ---------------------------------------------------------------- processes

class Waits(torch.utils.data.Dataset):
    """Its first item is there at once; the second comes when somebody writes into a pipe, which nobody does."""

    def __init__(self, pipe):
        self.pipe = pipe

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return index if index == 0 else open(self.pipe).read()


def test_a_wait_for_a_batch_is_broken_off_when_the_run_is_to_stop(started, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    iterator = started(Waits(tmp_path / "pipe"))
    assert loading.next_of(iterator) == 0
    with pytest.raises(loading.Asked):
        loading.next_of(iterator, lambda: True)


def test_a_process_that_a_bus_error_ends_means_that_shared_memory_is_full(started, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    iterator = started(Waits(tmp_path / "pipe"))
    assert loading.next_of(iterator) == 0
    os.kill(iterator._workers[0].pid, signal.SIGBUS)
    with pytest.raises(loading.NoSpace, match="/dev/shm is full"):
        loading.next_of(iterator)


def test_a_process_that_cannot_hand_over_a_batch_ends_the_run(started, capfd):
    iterator = started([1, lambda: "no process can be given a lambda"])
    assert loading.next_of(iterator) == 1
    with pytest.raises(Mc2Error, match="could not hand over a batch; its message is above. Run again, with fewer workers"):
        loading.next_of(iterator)
    assert "a process that loads data cannot hand over a batch: " in capfd.readouterr().err
