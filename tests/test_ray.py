"""The executor for Ray, on a real cluster of two nodes on this machine."""
import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import ROOT, pair, until
from test_curate import CURATE, assert_undisturbed, count_in, large, large_template, start           # noqa: F401
from test_filter import SHORT
from test_signals import INJECT, STATUS
from trouble import Square, complete, squares

from mc2.errors import BadUsage
from mc2.execution import rounds

try:
    import ray
except ImportError:
    if os.environ.get("MC2_REQUIRE_RAY"):
        raise
    pytest.skip("Ray is not installed", allow_module_level=True)

HEAD, NODE, PORT = "127.0.0.2", "127.0.0.3", 26379
OPTIONS = "--num-cpus=1 --disable-usage-stats --object-store-memory=100000000".split()
AUTHENTICATION = {"RAY_AUTH_MODE": "disabled"}      # on loopback; whatever token the user has for other clusters
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "RAY_health_check_initial_delay_ms": "1000",
               "RAY_health_check_period_ms": "1000", "RAY_health_check_timeout_ms": "1000",
               "RAY_health_check_failure_threshold": "3", **AUTHENTICATION}


def ray_command(*arguments):
    subprocess.run([os.path.join(os.path.dirname(sys.executable), "ray"), *arguments], env=ENVIRONMENT, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def start_node():
    ray_command("start", f"--address={HEAD}:{PORT}", f"--node-ip-address={NODE}", "--min-worker-port=22000",
                "--max-worker-port=22999", *OPTIONS)


def kill_node():
    """As when a machine goes dark: its raylet, and with it the workers, get no chance to say anything."""
    kill("raylet", f"--node_ip_address={NODE}")


def stop_cluster():
    """Only this one: `ray stop` would end all that run on the machine."""
    for address in (NODE, HEAD, f"gcs_server_port={PORT}"):
        kill("ray", address)


def kill(*words):
    """Kill the processes that have all of these words in their command line."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().decode(errors="replace")
            if all(word in command for word in words) and int(process.name) != os.getpid():
                os.kill(int(process.name), signal.SIGKILL)


@pytest.fixture(scope="module")
def cluster():
    before, os.environ["RAY_AUTH_MODE"] = os.environ.get("RAY_AUTH_MODE"), AUTHENTICATION["RAY_AUTH_MODE"]
    ray_command("start", "--head", f"--node-ip-address={HEAD}", f"--port={PORT}", "--include-dashboard=false",
                "--min-worker-port=21000", "--max-worker-port=21999", *OPTIONS)
    start_node()
    yield f"{HEAD}:{PORT}"
    stop_cluster()
    os.environ.pop("RAY_AUTH_MODE") if before is None else os.environ.update(RAY_AUTH_MODE=before)


@pytest.fixture
def executor(cluster):
    from mc2.execution.ray import Ray
    executor = Ray(cluster)
    yield executor
    executor.close()


def test_two_nodes_do_all_items(executor, tmp_path):
    assert executor.ray.cluster_resources()["CPU"] == 2
    complete(Square(tmp_path), range(10), executor)
    assert squares(tmp_path) == {n: n * n for n in range(10)}


def test_bad_data_and_a_poison_item_are_named_and_the_rest_is_done(executor, tmp_path, monkeypatch):
    monkeypatch.setattr("mc2.execution.ray.RETRIES", 1)         # of Ray itself, in each of our three rounds
    with pytest.raises(rounds.JobFailed) as failed:
        complete(Square(tmp_path), range(12, 21), executor)
    assert "19.jsonl: 19.jsonl:812: not JSON." in str(failed.value)
    assert "13.jsonl: its Ray task was lost" in str(failed.value) and "3 times" in str(failed.value)
    assert set(squares(tmp_path)) == {12, 14, 15, 16, 17, 18, 20}


def test_a_node_that_is_killed_costs_nothing(executor, tmp_path):
    task = Square(tmp_path)

    def kill_when_under_way():
        try:
            until(lambda: {"1000", "1001"} <= set(task.begun()))
            kill_node()
        finally:
            task.go()

    threading.Thread(target=kill_when_under_way, daemon=True).start()
    items = [*range(30, 40), *range(1000, 1006)]
    complete(task, items, executor)
    assert squares(tmp_path) == {n: n * n for n in items}
    assert len(task.begun()) > len(items)                       # what the node had begun came again
    start_node()


def test_match_on_ray_is_resumed_and_quarantines_bad_lines_as_on_one_machine(cluster, toy):
    toy.write("a.jsonl", pair(1, "a red circle", "en"), "{")
    toy.write("b.jsonl", pair(2, "un chat noir", "fr"))
    command = "mc2 match a.jsonl b.jsonl -m toy --on-error skip"
    toy.ok(f"{command} -O expected -q")
    done = toy(f"{command} -O out --executor ray --address {cluster}")
    assert "match: 2 shards, 3 pairs in, 2 matched, 0 without a match, 1 bad lines skipped (not JSON)" in done.stderr
    for name in "a.jsonl", "b.jsonl", "quarantine/a.jsonl.jsonl":
        assert (toy / "out" / name).read_bytes() == (toy / "expected" / name).read_bytes()
    before = toy.files()
    done = toy(f"{command} -O out --executor ray --address {cluster}")
    assert "match: 0 shards, 0 pairs in" in done.stderr and "; 2 shards were finished" in done.stderr
    assert {name for name, its in toy.files().items() if its != before.get(name)} == {"out/.work/progress.json"}


def test_workers_on_ray_find_a_filter_of_ones_own(cluster, sh):
    (sh / "my_filters.py").write_text(SHORT)
    sh.write("a.jsonl", pair(1, "cat"), pair(2, "a red circle"))
    sh.ok(f"mc2 filter pairs a.jsonl --with my_filters:Short --set least=4 -O out --executor ray --address {cluster} -q")
    assert sh.read("out/a.jsonl") == [pair(2, "a red circle")]


def test_curate_on_ray_gives_the_same_bytes_also_when_a_node_is_killed(cluster, large):             # noqa: F811
    driver = start(large, f"{CURATE} --executor ray --address {cluster}")
    until(lambda: count_in(large / "out/matched") >= 4, lambda: driver.poll() is None)
    kill_node()
    _, stderr = driver.communicate(timeout=120)
    assert driver.returncode == 0, stderr
    assert stderr.splitlines()[-1].startswith("curate: 24 shards, ")
    assert_undisturbed(large)
    start_node()


@pytest.mark.parametrize("send", [os.killpg, os.kill])
def test_ctrl_c_leaves_what_is_done_and_nothing_half_done(cluster, large, send):                     # noqa: F811
    driver = start(large, f"{CURATE} --executor ray --address {cluster}")
    until(lambda: count_in(large / "out/matched") >= 4, lambda: driver.poll() is None)
    send(driver.pid, signal.SIGINT)
    _, stderr = driver.communicate(timeout=60)
    assert (driver.returncode, stderr) == (130, "mc2 curate: interrupted.\n")
    assert not [*(large / "out").glob(".*.tmp"), *(large / "out/.work").glob(".*.tmp")]     # where the driver writes
    large.ok(f"{CURATE} -j 1")
    assert_undisturbed(large)


@pytest.mark.parametrize("line, number", [
    ("ray.init(address=", signal.SIGINT), ("signals.take_back()", signal.SIGTERM), ("signals.take_back()", signal.SIGHUP),
    ("self.ray.shutdown()", signal.SIGINT)])
def test_a_signal_while_ray_begins_or_ends_is_not_lost(cluster, toy, line, number):
    toy.write("a.jsonl", pair(1, "red", "en"))
    (toy / "inject.py").write_text(INJECT)
    done = subprocess.run([sys.executable, "inject.py", str(ROOT / "mc2/execution/ray.py"), line, "1", str(int(number)),
                           *f"match a.jsonl -m toy -O out --executor ray --address {cluster} -q".split()],
                          cwd=toy.directory, env={**toy.environment, "PYTHONPATH": str(ROOT)}, text=True, timeout=60,
                          stderr=subprocess.PIPE)
    said = "interrupted" if number == signal.SIGINT else "terminated"
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (STATUS[number], [f"mc2 match: {said}."]), done.stderr


def test_a_cluster_that_is_not_there_is_a_usage_error():
    from mc2.execution.ray import Ray
    with pytest.raises(BadUsage, match="no Ray cluster answers there"):
        Ray("127.0.0.9:1")
