"""The executor for SLURM: its scripts, run as its tasks everywhere, and on a real SLURM of two nodes where it is installed."""
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from conftest import ROOT
from mc2.errors import BadUsage
from mc2.execution import rounds, slurm
from test_curate import CURATE, assert_undisturbed, count_in, make_pool, start, wait_for
from trouble import Square, complete, squares

CONF = """\
ClusterName=mc2test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=26817
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket
SlurmUser=root
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool-%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd-%n.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/slurmd-%n.log
SelectType=select/cons_tres
SchedulerParameters=sched_interval=1,sched_min_interval=100000,batch_sched_delay=0
KillWait=2
SlurmdTimeout=10
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port=26818 CPUs=1 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port=26819 CPUs=1 State=UNKNOWN
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""
DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch")


@pytest.fixture(autouse=True)
def python_path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))       # where Square is


def test_the_script_is_bash_and_its_tasks_do_all_items(tmp_path):
    task = Square(tmp_path)
    executor = slurm.Slurm(tmp_path / "slurm", ["--partition=cpu", "--time=1:00:00"], groups=3, print_only=True)
    with pytest.raises(slurm.Printed) as printed:
        complete(task, range(8), executor)
    script = printed.value.args[0]
    subprocess.run(["bash", "-n", script], check=True)
    text = open(script).read()
    assert "#SBATCH --array=0-2\n#SBATCH --requeue\n" in text and "#SBATCH --partition=cpu\n#SBATCH --time=1:00:00\n" in text
    for index in range(3):
        subprocess.run(["bash", script], env={**os.environ, "SLURM_ARRAY_TASK_ID": str(index)}, check=True)
    assert squares(tmp_path) == {n: n * n for n in range(8)}
    assert sorted(task.begun()) == sorted(map(str, range(8)))


def test_a_task_goes_on_after_a_bad_shard_and_passes_over_what_is_done(tmp_path):
    task = Square(tmp_path)
    executor = slurm.Slurm(tmp_path / "slurm", groups=1, print_only=True)
    script = executor.write(task, [18, 19, 20])
    for _ in range(2):
        done = subprocess.run(["bash", script], env={**os.environ, "SLURM_ARRAY_TASK_ID": "0"})
        assert done.returncode == 1
    assert set(squares(tmp_path)) == {18, 20} and task.begun() == ["18", "19", "20", "19"]
    assert "19.jsonl:812: not JSON." in str(slurm._read_error(slurm._error_path(executor.directory, task, 19)))


def test_without_sbatch_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadUsage, match="there is no sbatch here.*--print"):
        slurm.Slurm(tmp_path)


# ---------------------------------------------------------------- the real thing

@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """munge, slurmctld and two slurmd, as processes of this test."""
    missing = [name for name in DAEMONS if not shutil.which(name)]
    if missing or os.geteuid():
        if os.environ.get("MC2_REQUIRE_SLURM"):
            pytest.fail(f"SLURM cannot be started here: {missing or 'not root'}")
        pytest.skip(f"needs root and {', '.join(missing)} (Debian: slurm-wlm)")
    directory = tmp_path_factory.mktemp("slurm")
    (directory / "state").mkdir()
    (directory / "munge.key").write_bytes(os.urandom(128))
    (directory / "munge.key").chmod(0o600)
    directory.chmod(0o755)
    for parent in list(directory.parents)[:2]:
        parent.chmod(0o755)                 # munged wants to be sure of its socket
    host = os.uname().nodename.split(".")[0]
    (directory / "slurm.conf").write_text(CONF.format(directory=directory, host=host))
    environment = {**os.environ, "SLURM_CONF": str(directory / "slurm.conf")}
    commands = [["munged", "--foreground", "--force", f"--socket={directory}/munge.socket",
                 f"--key-file={directory}/munge.key", f"--pid-file={directory}/munged.pid",
                 f"--log-file={directory}/munged.log", f"--seed-file={directory}/munged.seed"],
                ["slurmctld", "-D"], ["slurmd", "-D", "-N", "n1"], ["slurmd", "-D", "-N", "n2"]]
    daemons = []
    try:
        for command in commands:
            daemons.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL,
                                            stderr=(directory / f"{command[0]}{len(daemons)}.err").open("w")))
            time.sleep(1)
        _wait_for_nodes(environment)
        os.environ["SLURM_CONF"] = environment["SLURM_CONF"]
        yield directory
    finally:
        os.environ.pop("SLURM_CONF", None)
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in reversed(daemons):
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()


def _wait_for_nodes(environment):
    deadline = time.monotonic() + 60
    while True:
        nodes = subprocess.run(["sinfo", "-h", "-N", "-o", "%N %t"], env=environment, capture_output=True, text=True)
        if nodes.stdout.split() == ["n1", "idle", "n2", "idle"]:
            return
        assert time.monotonic() < deadline, nodes
        time.sleep(0.5)


def test_arrays_do_all_items_and_name_what_fails(cluster, tmp_path):
    task = Square(tmp_path)
    with pytest.raises(rounds.JobFailed) as failed:
        complete(task, [*range(8), 13, 19], slurm.Slurm(tmp_path / "slurm", groups=4))
    assert squares(tmp_path) == {n: n * n for n in range(8)}
    assert "19.jsonl: 19.jsonl:812: not JSON." in str(failed.value)
    assert "13.jsonl: its task left neither output nor error 3 times" in str(failed.value)


def test_a_task_that_is_killed_costs_nothing(cluster, tmp_path):
    task = Square(tmp_path)

    def kill_a_task():
        while len(squares(tmp_path)) < 20:
            time.sleep(0.05)
        found = subprocess.run(["pgrep", "-f", f"mc2.execution.slurm {tmp_path}"], capture_output=True, text=True)
        os.kill(int(found.stdout.split()[0]), signal.SIGKILL)

    killer = threading.Thread(target=kill_a_task, daemon=True)
    killer.start()
    complete(task, range(100, 400), slurm.Slurm(tmp_path / "slurm", groups=2))
    killer.join()
    assert squares(tmp_path) == {n: n * n for n in range(100, 400)}


def test_curate_on_slurm_gives_the_same_bytes_also_when_a_task_is_killed(cluster, toy):
    make_pool(toy, shards=24, lines=400)
    toy.ok(f"{CURATE.replace('-o out', '-o undisturbed')} -q")
    toy.environment["SLURM_CONF"] = str(cluster / "slurm.conf")
    driver = start(toy, f"{CURATE.replace('-j 2', '')} --executor slurm --slurm-groups 2")
    wait_for(lambda: count_in(toy / "out/matched") >= 4, driver)
    found = subprocess.run(["pgrep", "-f", f"mc2.execution.slurm {toy / 'out'}"], capture_output=True, text=True)
    os.kill(int(found.stdout.split()[0]), signal.SIGKILL)
    assert driver.wait(120) == 0, driver.stderr.read()
    assert_undisturbed(toy)


def test_what_sbatch_refuses_is_shown(cluster, tmp_path):
    with pytest.raises(Exception, match="invalid partition specified: nosuch"):
        complete(Square(tmp_path), [1], slurm.Slurm(tmp_path / "slurm", ["--partition=nosuch"]))
