"""The executor for Ray, on a real cluster of two nodes on this machine."""
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from conftest import ROOT
from mc2.errors import BadUsage
from mc2.execution import rounds
from test_curate import CURATE, assert_undisturbed, count_in, make_pool, start, wait_for
from trouble import Square, complete, squares

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


def test_bad_data_and_a_poison_item_are_named_and_the_rest_is_done(executor, tmp_path):
    with pytest.raises(rounds.JobFailed) as failed:
        complete(Square(tmp_path), range(12, 21), executor)
    assert "19.jsonl: 19.jsonl:812: not JSON." in str(failed.value)
    assert "13.jsonl: its Ray task was lost" in str(failed.value) and "3 times" in str(failed.value)
    assert set(squares(tmp_path)) == {12, 14, 15, 16, 17, 18, 20}


def test_a_node_that_is_killed_costs_nothing(executor, tmp_path):
    def kill_when_under_way():
        while len(list(tmp_path.glob("*.txt"))) < 20:
            time.sleep(0.02)
        kill_node()

    killer = threading.Thread(target=kill_when_under_way, daemon=True)
    killer.start()
    items = range(1000, 1300)
    complete(Square(tmp_path), items, executor)
    killer.join()
    assert squares(tmp_path) == {n: n * n for n in items}
    start_node()


def test_curate_on_ray_gives_the_same_bytes_also_when_a_node_is_killed(cluster, toy):
    make_pool(toy, shards=24, lines=400)
    toy.ok(f"{CURATE.replace('-o out', '-o undisturbed')} -q")
    driver = start(toy, f"{CURATE.replace('-j 2', '')} --executor ray --address {cluster}")
    wait_for(lambda: count_in(toy / "out/matched") >= 4, driver)
    kill_node()
    assert driver.wait(120) == 0, driver.stderr.read()
    assert driver.stderr.read().splitlines()[-1].startswith("curate: 24 shards, 9,600 pairs in, ")
    assert_undisturbed(toy)
    start_node()


def test_a_cluster_that_is_not_there_is_a_usage_error():
    from mc2.execution.ray import Ray
    with pytest.raises(BadUsage, match="no Ray cluster answers there"):
        Ray("127.0.0.9:1")
