"""The executor for SLURM: its scripts, run as its tasks would run them, and a real SLURM of two nodes."""
import os
import shutil
import signal
import subprocess
import threading

import pytest
from conftest import ROOT, pair, until
from test_curate import CURATE, assert_undisturbed, count_in, large, large_template, start           # noqa: F401
from test_filter import SHORT
from trouble import OnSlurm, Square, complete, squares

from mc2.errors import BadUsage
from mc2.execution import rounds, slurm

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
    executor = OnSlurm(tmp_path / "slurm", ["--partition=cpu", "--time=1:00:00"], groups=3, print_only=True)
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
    executor = OnSlurm(tmp_path / "slurm", groups=1, print_only=True)
    script = executor.write(task, [18, 19, 20])
    for _ in range(2):
        done = subprocess.run(["bash", script], env={**os.environ, "SLURM_ARRAY_TASK_ID": "0"})
        assert done.returncode == 1
    assert set(squares(tmp_path)) == {18, 20} and task.begun() == ["18", "19", "20", "19"]
    assert "19.jsonl:812: not JSON." in str(slurm._read_error(slurm._error_path(executor.directory, task, 19)))


def test_without_sbatch_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadUsage, match="there is no sbatch here.*--print"):
        OnSlurm(tmp_path)


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
            if command[0] == "munged":
                until((directory / "munge.socket").exists, lambda: daemons[0].poll() is None)
        until(lambda: _nodes(environment) == ["n1", "idle", "n2", "idle"])
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


def _nodes(environment):
    sinfo = subprocess.run(["sinfo", "-h", "-N", "-o", "%N %t"], env=environment, capture_output=True, text=True)
    return sinfo.stdout.split()


def test_arrays_do_all_items_and_name_what_fails(cluster, tmp_path):
    task = Square(tmp_path)
    with pytest.raises(rounds.JobFailed) as failed:
        complete(task, [*range(8), 13, 19], OnSlurm(tmp_path / "slurm", groups=4))
    assert squares(tmp_path) == {n: n * n for n in range(8)}
    assert "19.jsonl: 19.jsonl:812: not JSON." in str(failed.value)
    assert "13.jsonl: its task left neither output nor error 3 times" in str(failed.value)


def kill_a_task(directory):
    """Kill one of the processes that do groups of a plan in this directory."""
    found = subprocess.run(["pgrep", "-f", "--", f"-m (mc2.execution.slurm|trouble) {directory}"], capture_output=True, text=True)
    os.kill(int(found.stdout.split()[0]), signal.SIGKILL)


def test_a_task_that_is_killed_costs_nothing(cluster, tmp_path):
    task = Square(tmp_path)

    def kill_when_under_way():
        try:
            until(lambda: {"1000", "1001"} <= set(task.begun()))
            kill_a_task(tmp_path)
        finally:
            task.go()

    threading.Thread(target=kill_when_under_way, daemon=True).start()
    items = [*range(30, 40), *range(1000, 1006)]
    complete(task, items, OnSlurm(tmp_path / "slurm", groups=2))
    assert squares(tmp_path) == {n: n * n for n in items}
    assert len(task.begun()) > len(items)                       # what the task had begun came again


@pytest.fixture
def on_slurm(cluster):
    """The options of a command that is to run on the cluster."""
    return "--executor slurm --slurm-groups 2"


def test_match_on_slurm_is_resumed_and_quarantines_bad_lines_as_on_one_machine(on_slurm, toy):
    toy.write("a.jsonl", pair(1, "a red circle", "en"), "{")
    toy.write("b.jsonl", pair(2, "un chat noir", "fr"))
    command = "mc2 match a.jsonl b.jsonl -m toy --on-error skip"
    toy.ok(f"{command} -O expected -q")
    done = toy(f"{command} -O out {on_slurm}")
    assert "match: 2 shards, 3 pairs in, 2 matched, 0 without a match, 1 bad lines skipped (not JSON)" in done.stderr
    for name in "a.jsonl", "b.jsonl", "quarantine/a.jsonl.jsonl":
        assert (toy / "out" / name).read_bytes() == (toy / "expected" / name).read_bytes()
    before = toy.files()
    done = toy(f"{command} -O out {on_slurm}")
    assert "match: 0 shards, 0 pairs in" in done.stderr and "; 2 shards were finished" in done.stderr
    assert {name for name, its in toy.files().items() if its != before.get(name)} == {"out/.work/progress.json"}


def test_tasks_of_slurm_find_a_filter_of_ones_own(on_slurm, sh):
    (sh / "my_filters.py").write_text(SHORT)
    sh.write("a.jsonl", pair(1, "cat"), pair(2, "a red circle"))
    sh.ok(f"mc2 filter pairs a.jsonl --with my_filters:Short --set least=4 -O out {on_slurm} -q")
    assert sh.read("out/a.jsonl") == [pair(2, "a red circle")]


def test_curate_on_slurm_gives_the_same_bytes_also_when_a_task_is_killed(on_slurm, large):          # noqa: F811
    driver = start(large, f"{CURATE} {on_slurm}")
    until(lambda: count_in(large / "out/matched") >= 4, lambda: driver.poll() is None)
    kill_a_task(large / "out")
    _, stderr = driver.communicate(timeout=120)
    assert driver.returncode == 0, stderr
    assert_undisturbed(large)


def test_what_sbatch_refuses_is_shown(cluster, tmp_path):
    with pytest.raises(Exception, match="invalid partition specified: nosuch"):
        complete(Square(tmp_path), [1], OnSlurm(tmp_path / "slurm", ["--partition=nosuch"]))
