"""mc2 train interrupted at chosen moments: the right status, no temporary, no process left, and the same run in the
end."""
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT
from training_tools import require_train

require_train()

from test_train import log_of, template, train_here                                     # noqa: E402, F401

TWO_WORKERS = ("compute", "workers", 2)
INTERRUPTS = {"Ctrl-C": (signal.SIGINT, True), "SIGINT": (signal.SIGINT, False), "SIGTERM": (signal.SIGTERM, False),
              "SIGHUP": (signal.SIGHUP, True)}              # (signal, whether it goes to the whole process group)
MOMENTS = {             # (module:function, number of the call, whether after it)
    "before the run has a directory": ("mc2.training.job:begin", 1, False),
    "while config.json is written": ("os:replace", 2, False),
    "before the model is built": ("mc2.clip.model:build", 1, False),
    "after the checkpoint was looked for": ("mc2.clip.checkpoints:find", 1, True),
    "before a loading process starts": ("multiprocessing.process:BaseProcess.start", 1, False),
    "between the loading processes": ("multiprocessing.process:BaseProcess.start", 1, True),
    "after the loading processes": ("multiprocessing.process:BaseProcess.start", 2, True),
    "in a step": ("mc2.training.step:forward_backward", 6, False),
    "while a checkpoint is written": ("torch:save", 2, False),
    "before it is linked": ("os:symlink", 2, False),
    "after it is linked": ("os:symlink", 2, True),
    "while the last checkpoint is written": ("torch:save", 3, False),
    "when the loading processes end": ("mc2.training.samples:Loader.close", 1, False),
    "after they have ended": ("mc2.training.samples:Loader.close", 1, True)}


class Forks:
    """Runs mc2 in forks of one process (interrupted.py)."""

    def __init__(self, directory):
        self.directory, self.temporary = directory, directory / "temporary"
        self.temporary.mkdir()
        self.numbers = itertools.count()
        self.server = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("interrupted.py")], cwd=directory, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(self.temporary),
                                         "PYTHONPATH": str(ROOT)})

    def start(self, arguments, at=None, call=1, after=False, signals=(), to_group=False, command="train run.toml"):
        """Start mc2; sends it signals at a moment. Returns (name of its output, process id)."""
        name = f"interrupted-{next(self.numbers)}"
        when = {"at": at, "call": call, "after": after, "signals": signals, "to_group": to_group} if at else {}
        print(json.dumps({"arguments": f"{command} --device cpu -o {name} {arguments}".split(),
                          "stderr": f"{name}.stderr", **when}), file=self.server.stdin, flush=True)
        return name, int(self.server.stdout.readline())

    def end(self, name, pid):
        """(status, messages) when it has ended, after a look at what it left: no temporary, no process."""
        status = int(self.server.stdout.readline())
        messages = (self.directory / f"{name}.stderr").read_text()
        wait_until(lambda: not processes_of(pid), lambda: f"{messages}\n{processes_of(pid)}")
        assert [path for path in (self.directory / name).rglob("*") if path.name.startswith(".")] == []
        assert [path for path in self.temporary.iterdir() if not path.name.startswith("torchinductor")] == []   # cache
        return status, messages


def processes_of(pid):
    """The processes of a run: those of its session, and those that have its name in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            is_ours = int(fields[3]) == pid or f"MC2_TEST_RUN={pid}\0" in (entry / "environ").read_text()
            if fields[0] != "Z" and is_ours:
                found.append((entry.name, (entry / "cmdline").read_text().replace("\0", " ")))
        except (OSError, IndexError):
            continue
    return found


def wait_until(condition, explain, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, explain()
        time.sleep(0.01)


@pytest.fixture(scope="module")
def forks(template):                                                                    # noqa: F811
    forks = Forks(template.directory)
    yield forks
    forks.server.stdin.close()
    assert forks.server.wait(60) == 0


@pytest.fixture(scope="module")
def undisturbed(template):                                                              # noqa: F811
    train_here(template, "undisturbed", TWO_WORKERS)
    return log_of(template / "undisturbed")


@pytest.mark.parametrize("moment, interrupt", [*zip(MOMENTS, itertools.cycle(INTERRUPTS)),
                                               *(("in a step", interrupt) for interrupt in INTERRUPTS)])
def test_an_interrupted_run_ends_cleanly_and_goes_on_undisturbed(template, forks, undisturbed,      # noqa: F811
                                                                 moment, interrupt):
    at, call, after = MOMENTS[moment]
    number, to_group = INTERRUPTS[interrupt]
    name, pid = forks.start("--workers 2", at, call, after, [number], to_group)
    status, messages = forks.end(name, pid)
    assert status == 128 + number, messages
    train_here(template, name, TWO_WORKERS)
    assert log_of(template / name) == undisturbed


@pytest.mark.parametrize("moment", ["between the loading processes", "in a step", "while a checkpoint is written",
                                    "before it is linked", "after it is linked", "when the loading processes end"])
def test_a_second_ctrl_c_ends_a_run_at_once(template, forks, undisturbed, moment):      # noqa: F811
    name, pid = forks.start("--workers 2", *MOMENTS[moment], [signal.SIGINT] * 2, True)
    status, messages = forks.end(name, pid)
    assert status == 130 and messages.endswith("mc2 train: interrupted.\n"), messages
    train_here(template, name, TWO_WORKERS)
    assert log_of(template / name) == undisturbed


def test_an_interrupted_conflict_leaves_nothing(template, forks, undisturbed):           # noqa: F811
    name, pid = forks.start("--workers 2 --batches 2", *MOMENTS["between the loading processes"], [signal.SIGINT], True,
                            command="conflict run.toml undisturbed")
    status, messages = forks.end(name, pid)
    assert status == 130 and messages == "mc2 conflict: interrupted.\n"
    assert not (template / name).exists()


def test_ctrl_c_while_torch_is_imported_is_not_lost(template):                          # noqa: F811
    script = """
import os, signal, sys
class Sender:
    def find_spec(self, name, path, target=None):
        if name == "torch._C":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Sender())
from mc2 import cli
cli.main("train run.toml --device cpu -o importing".split())
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=template.directory, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 130, done.stderr
    assert "before its first step, and the same command goes on" in done.stderr


@pytest.mark.parametrize("after, interrupt", [(False, "SIGTERM"), (True, "Ctrl-C"), (True, "SIGHUP")])
def test_a_launch_of_two_processes_that_is_interrupted_leaves_nothing(forks, after, interrupt):
    number, to_group = INTERRUPTS[interrupt]
    name, pid = forks.start("--nproc 2", "subprocess:Popen", 1, after, [number], to_group)
    status, messages = forks.end(name, pid)
    assert status == 128 + number and "before training began" in messages, messages


@pytest.mark.parametrize("interrupts, status", [(["SIGHUP"], 129), (["Ctrl-C", "Ctrl-C"], 130)])
def test_two_processes_that_train_end_with_the_signal_too(template, forks, interrupts, status):     # noqa: F811
    name, pid = forks.start("--nproc 2 --set schedule.epochs=500")
    log = template / name / "log.jsonl"
    wait_until(lambda: log.exists() and log.read_bytes().count(b"\n") > 2, (template / f"{name}.stderr").read_text)
    for number, to_group in map(INTERRUPTS.get, interrupts):
        os.killpg(pid, number) if to_group else os.kill(pid, number)
    ended, messages = forks.end(name, pid)
    assert ended == status, messages
    assert len(interrupts) > 1 or "the checkpoint is written, and the same command goes on" in messages
