"""mc2 curate gives the bytes of the single commands, whatever happens on the way."""
import contextlib
import fcntl
import gzip
import hashlib
import os
import pty
import random
import re
import signal
import struct
import subprocess
import termios
from pathlib import Path

import numpy as np
import orjson
import pytest
import zstandard
from conftest import Shell, filled, pair, until

from mc2 import files
from mc2.balancing import shard_counts

TEXTS = ["red circle", "a red cat", "circle", "nothing here to find", "le chat noir", "un chat", "a cat and a red circle"]


def make_pool(sh, shards=6, lines=60):
    """Shards of JSON Lines, plain and compressed in turn."""
    chance = random.Random(7)
    number = 0
    for shard in range(shards):
        data = b""
        for _ in range(lines):
            number += chance.randrange(2)
            data += orjson.dumps(pair(number, f"{chance.choice(TEXTS)} {chance.randrange(99)}", url=f"u{number}")) + b"\n"
        suffix = ["", ".zst", ".gz"][shard % 3]
        write_shard(sh, f"pool/s{shard:02}.jsonl{suffix}", data)


def write_shard(sh, name, data):
    path = sh / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zstandard.compress(data) if name.endswith(".zst") else gzip.compress(data) if name.endswith(".gz")
                     else data)


LID, MATCHED = "lid/*.jsonl lid/*.zst lid/*.gz", "matched/*.jsonl matched/*.zst matched/*.gz"
CURATE = "mc2 curate pool/* -m toy --t-en 20 --seed 3 -o out"
ALONE, TWO = f"{CURATE} -j 1", f"{CURATE} -j 2"           # in one process; with two workers


@pytest.fixture(scope="module")
def pool_template(toy_template, tmp_path_factory):
    sh = filled(Shell(tmp_path_factory.mktemp("pool")), toy_template)
    make_pool(sh)
    sh.ok(f"mc2 lid pool/* -O lid -q && mc2 match {LID} -m toy -O matched -q && mc2 count {MATCHED} -m toy -o counts -q")
    sh.ok("mc2 thresholds counts --t-en 20 -o thresholds.json -q")
    sh.ok(f"mc2 sample {MATCHED} -c counts -t thresholds.json --seed 3 -O expected -q")
    return sh.directory


@pytest.fixture
def pool(sh, pool_template):
    """The toy release, a pool of six shards, and what the single commands make of it in expected/."""
    return filled(sh, pool_template)


@pytest.fixture(scope="module")
def curated_template(pool_template, tmp_path_factory):
    sh = filled(Shell(tmp_path_factory.mktemp("curated")), pool_template)
    sh.ok(f"{ALONE} -q")
    return sh.directory


@pytest.fixture
def curated(sh, curated_template):
    """The same, with what curate made of it in out/."""
    return filled(sh, curated_template)


def shards_in(directory):
    """{name: SHA-256} of the shards in a directory, without manifests and temporary files."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()
            if not path.name.endswith(".manifest.json") and not path.name.startswith(".")}


def times(directory, pattern="*"):
    """{name: when it was written}"""
    return {path.name: path.stat().st_mtime_ns for path in directory.glob(pattern)}


def assert_as_expected(sh, out="out"):
    assert shards_in(sh / out / "curated") == shards_in(sh / "expected")
    assert shards_in(sh / out / "matched") == shards_in(sh / "matched")
    assert (sh / out / "thresholds.json").read_bytes() == (sh / "thresholds.json").read_bytes()
    counts = [{path.name: path.read_bytes() for path in (sh / directory).iterdir() if path.name != "manifest.json"}
              for directory in ("counts", f"{out}/counts")]
    assert counts[0] == counts[1]
    assert not list((sh / out).rglob(".*.tmp"))


@pytest.mark.parametrize("jobs", [1, 3])
def test_one_job_gives_the_bytes_of_the_five_commands(pool, jobs):
    done = pool(f"{CURATE} -j {jobs}")
    assert done.status == 0, done.stderr
    assert_as_expected(pool)
    receipt = done.stderr.splitlines()[-1]
    kept = sum(len(pool.read(path)) if path.suffix == ".jsonl" else 0 for path in (pool / "out/curated").glob("*.jsonl"))
    assert receipt.startswith("curate: 6 shards, 360 pairs in, ") and " -> out (" in receipt and kept
    manifest = orjson.loads((pool / "out/manifest.json").read_bytes())
    assert manifest["kind"] == "curation" and manifest["counts"]["in"] == 360
    assert manifest["counts"]["out"] == sum(row["kept"] for row in manifest["languages"].values())
    assert "curation of 6 shards: 360 pairs" in pool.ok("mc2 inspect out")
    assert "match: done: 60 pairs" in (pool / "out/logs/s00.jsonl.log").read_text()


def test_a_finished_job_does_nothing_again(curated):
    before = curated.files()
    curated.ok(ALONE)
    assert {name for name, its in curated.files().items() if its != before.get(name)} == \
        {"out/manifest.json", "out/.work/progress.json"}


def test_another_seed_draws_again_and_matches_nothing_again(curated):
    matched = times(curated / "out/matched")
    curated.ok(ALONE.replace("--seed 3", "--seed 4"))
    assert times(curated / "out/matched") == matched
    assert shards_in(curated / "out/curated") != shards_in(curated / "expected")
    curated.ok(ALONE)
    assert_as_expected(curated)


def test_one_per_image_is_that_of_sample(pool):
    pool.ok(f"mc2 sample {MATCHED} -c counts -t thresholds.json --seed 3 --one-per-image -O one -q")
    pool.ok(f"{ALONE} --one-per-image")
    assert shards_in(pool / "out/curated") == shards_in(pool / "one")


def test_matched_pairs_need_not_be_kept(pool):
    pool.ok(f"{ALONE} --no-keep-matched")
    assert not (pool / "out/matched").exists() and shards_in(pool / "out/curated") == shards_in(pool / "expected")
    before = times(pool / "out/curated")
    pool.ok(f"{ALONE} --no-keep-matched")
    assert times(pool / "out/curated") == before
    pool.ok(f"{ALONE.replace('--seed 3', '--seed 4')} --no-keep-matched")
    pool.ok(ALONE)
    assert_as_expected(pool)


def test_ids_restrict_the_run(pool):
    listed = [f"{number:024x}" for number in range(0, 400, 3)]
    (pool / "ids.txt").write_text("\n".join(listed) + "\n")
    done = pool(f"{ALONE} --ids ids.txt")
    assert done.status == 0 and " not listed" in done.stderr
    for shard in sorted((pool / "pool").iterdir()):
        chosen = [line for line in read_shard(shard).splitlines(keepends=True) if orjson.loads(line)["id"] in listed]
        write_shard(pool, f"some/{shard.name}", b"".join(chosen))
    pool.ok(ALONE.replace("pool/*", "some/*").replace("-o out", "-o some-out"))
    for what in ("matched", "curated", "counts"):
        assert {name: data for name, data in contents(pool, f"out/{what}").items() if name != "manifest.json"} == \
            {name: data for name, data in contents(pool, f"some-out/{what}").items() if name != "manifest.json"}


def test_ids_restrict_match_too(toy):
    toy.write("lid.jsonl", pair(1, "red", "en"), pair(2, "cat", "en"), pair(3, "cat", "en"))
    (toy / "ids.txt").write_text(f"{3:024x}\n{1:024x}\nsome other\n")
    done = toy("mc2 match lid.jsonl -m toy --ids ids.txt -o out.jsonl")
    assert [record["id"] for record in toy.read("out.jsonl")] == [f"{1:024x}", f"{3:024x}"]
    assert "3 pairs in, 2 matched, 0 without a match, 1 not listed" in done.stderr
    (toy / "ids.jsonl").write_text('{"id":"x"}\n')
    done = toy("mc2 match lid.jsonl -m toy --ids ids.jsonl -o out.jsonl")
    assert done.status == 3 and "ids.jsonl:1: holds JSON, not ids. Give one id per line" in done.stderr
    (toy / "none.txt").write_text("")
    assert toy.ok("mc2 match lid.jsonl -m toy --ids none.txt") == ""


def test_the_ids_that_are_kept_make_a_subset_of_datacomp(toy):
    records = [{"id": f"{number * 7919:032x}", "text": f"red circle {number}"} for number in range(40)]
    toy.write("pool/a.jsonl", *records[:20])
    toy.write("pool/b.jsonl", *records[20:])
    toy.ok("mc2 curate pool/* -m toy --t-all 5 -o out --uids subset.npy -j 1")
    kept = [record["id"] for name in "ab" for record in toy.read(f"out/curated/{name}.jsonl")]
    subset = np.load(toy / "subset.npy")
    assert 0 < len(kept) < 40
    assert [f"{high:016x}{low:016x}" for high, low in subset.tolist()] == sorted(kept)
    assert toy("mc2 curate pool/* -m toy --t-all 5 -o out --uids subset.txt").status == 2


def contents(sh, directory):
    """{name: lines} of a directory, decompressed."""
    return {name: read_shard(sh / directory / name) for name in shards_in(sh / directory)}


def read_shard(path):
    with files.open_read(path) as stream:
        return stream.read()


# ---------------------------------------------------------------- faults

def start(sh, command):
    return subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=sh.directory, env=sh.environment,
                            stderr=subprocess.PIPE, text=True, start_new_session=True)


def workers_of(driver):
    children = Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def when(condition, driver):
    """Wait for a condition while the driver runs."""
    until(condition, lambda: driver.poll() is None)


def count_in(directory, pattern="[!.]*"):
    return sum(1 for path in directory.glob(pattern) if not path.name.endswith(".manifest.json"))


@pytest.fixture(scope="module")
def large_template(toy_template, tmp_path_factory):
    sh = filled(Shell(tmp_path_factory.mktemp("large")), toy_template)
    make_pool(sh, shards=24, lines=400)
    sh.ok(f"{ALONE.replace('-o out', '-o undisturbed')} -q")
    return sh.directory


@pytest.fixture
def large(sh, large_template):
    """A pool large enough to be interrupted, and the result of an undisturbed run."""
    return filled(sh, large_template)


def assert_undisturbed(sh):
    for what in ("curated", "matched", "counts"):
        assert {name: sha for name, sha in shards_in(sh / "out" / what).items() if name != "manifest.json"} == \
            {name: sha for name, sha in shards_in(sh / "undisturbed" / what).items() if name != "manifest.json"}
    assert not list((sh / "out").rglob(".*.tmp"))


def test_a_terminal_shows_how_far_it_is_in_one_line(large):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
    always = {**large.environment, "TQDM_MININTERVAL": "0"}         # it may be done within a tenth of a second
    driver = subprocess.Popen(["bash", "-c", ALONE], cwd=large.directory, env=always, stderr=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):          # the end of a terminal
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)
    assert driver.wait() == 0
    last = shown.decode().rstrip().split("\n")[-1]
    assert re.search(r"\rcurate: match: +\d+%.*/24 .*pairs/s", shown.decode()) and last.startswith("curate: 24 shards, 9,600")


@pytest.mark.parametrize("directory", ["matched", "curated"])
def test_a_driver_that_is_killed_goes_on_where_it_was(large, directory):
    driver = start(large, TWO)
    when(lambda: count_in(large / "out" / directory) >= 4, driver)
    workers = workers_of(driver)
    driver.kill()
    driver.wait()
    assert "stopped while in: " in large.ok("mc2 status out")
    finished = {path: path.stat().st_mtime_ns for path in (large / "out/matched").glob("s*.manifest.json")}
    until(lambda: not any(os.path.exists(f"/proc/{worker}") for worker in workers))         # they end by themselves
    large.ok(ALONE)
    assert_undisturbed(large)
    assert finished and all(path.stat().st_mtime_ns == mtime for path, mtime in finished.items())
    assert large.ok("mc2 status out").startswith("finished, ")


def test_a_worker_that_is_killed_costs_nothing(large):
    driver = start(large, TWO)
    when(lambda: count_in(large / "out/matched") >= 4, driver)
    os.kill(workers_of(driver)[0], signal.SIGKILL)
    assert driver.wait(120) == 0, driver.stderr.read()
    assert_undisturbed(large)


def test_ctrl_c_leaves_what_is_done_and_nothing_half_done(large):
    driver = start(large, TWO)
    when(lambda: count_in(large / "out/matched") >= 4, driver)
    os.killpg(driver.pid, signal.SIGINT)
    assert driver.wait(30) == 130
    assert driver.stderr.read() == "mc2 curate: interrupted.\n"
    assert not list((large / "out").rglob(".*.tmp"))
    large.ok(ALONE)
    assert_undisturbed(large)


def test_a_full_disk_stops_the_job_and_loses_nothing(large):
    largest = max(path.stat().st_size for path in (large / "undisturbed/matched").iterdir())
    stopped = large(f"ulimit -f {largest // 1024 // 2}; {TWO}")
    assert stopped.status == 1 and "File too large" in stopped.stderr.splitlines()[-1]
    assert not list((large / "out").rglob(".*.tmp"))
    large.ok(ALONE)
    assert_undisturbed(large)


def test_a_second_driver_is_refused_and_no_lock_remains(large):
    driver = start(large, TWO)
    when(lambda: count_in(large / "out/matched") >= 1, driver)
    assert "; process" in large.ok("mc2 status out")
    driver.send_signal(signal.SIGSTOP)
    second = large(ALONE)
    driver.send_signal(signal.SIGCONT)
    assert second.status == 1 and "another 'mc2 curate' is at work on this output" in second.stderr
    assert driver.wait(120) == 0, driver.stderr.read()
    assert not [path for path in (large / "out").rglob("*") if "lock" in path.name]
    assert_undisturbed(large)


def test_a_cut_off_shard_is_named_and_the_others_are_done(pool):
    whole = (pool / "pool/s01.jsonl.zst").read_bytes()
    (pool / "pool/s01.jsonl.zst").write_bytes(whole[:-7])
    done = pool(ALONE)
    assert done.status == 3
    assert "s01.jsonl.zst: pool/s01.jsonl.zst: the compressed data is cut off." in done.stderr
    assert "1 shard failed; all others are done" in done.stderr
    assert count_in(pool / "out/matched") == 5 and not (pool / "out/curated").exists()
    assert "s01.jsonl.zst: the compressed data is cut off" in pool.ok("mc2 status out")
    (pool / "pool/s01.jsonl.zst").write_bytes(whole)
    pool.ok(ALONE)
    assert_as_expected(pool)


def test_a_bad_line_fails_its_shard_or_goes_to_quarantine(pool):
    good = (pool / "pool/s00.jsonl").read_bytes()
    (pool / "pool/s00.jsonl").write_bytes(b"not JSON\n" + good + b'{"id":"x"}\n')
    done = pool(ALONE)
    assert done.status == 3 and "pool/s00.jsonl:1: not JSON." in done.stderr
    done = pool(f"{ALONE} --on-error skip")
    assert done.status == 0 and "1 bad lines in quarantine (not JSON)" in done.stderr
    assert shards_in(pool / "out/curated") == shards_in(pool / "expected")
    quarantined = pool.read("out/quarantine/s00.jsonl.jsonl")
    assert quarantined == [{"line": 1, "reason": "not JSON. Column 1: invalid literal, expected 'null'.", "text": "not JSON"},
                           {"line": 62, "reason": 'no "text" key. Every pair needs its alt-text.', "text": '{"id":"x"}'}]
    assert os.listdir(pool / "out/quarantine") == ["s00.jsonl.jsonl"]


def test_shards_without_bad_lines_are_not_done_again_for_skip(pool):
    with open(pool / "pool/s00.jsonl", "ab") as stream:
        stream.write(b"not JSON\n")
    assert pool(ALONE).status == 3
    before = {path: path.stat().st_mtime_ns for path in (pool / "out/matched").iterdir()}
    pool.ok(f"{ALONE} --on-error skip")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert pool(ALONE).status == 3


def test_shards_without_pairs_are_shards_too(toy):
    make_pool(toy, shards=1)
    (toy / "pool/empty.jsonl").write_bytes(b"")
    (toy / "pool/blank.jsonl").write_bytes(b"\n\n")
    (toy / "pool/bad.jsonl").write_bytes(b"{\n")
    done = toy(f"{ALONE} --on-error skip")
    assert done.status == 0 and "4 shards, 61 pairs in" in done.stderr
    assert [(toy / f"out/curated/{name}.jsonl").read_bytes() for name in ("empty", "blank", "bad")] == [b"", b"", b""]
    (toy / "none.txt").write_text("")
    toy.ok(f"{ALONE.replace('--t-en 20', '--t-all 5').replace('-o out', '-o none')} --on-error skip --ids none.txt")
    assert "curation of 4 shards: 61 pairs, 0 matched, 0 kept" in toy.ok("mc2 inspect none")


def test_the_pool_may_be_named_from_another_directory(curated):
    before = times(curated / "out/curated")
    (curated / "elsewhere").mkdir()
    Shell(curated / "elsewhere").ok(ALONE.replace("pool/", "../pool/").replace("toy", "../toy").replace("out", "../out"))
    assert times(curated / "out/curated") == before


def test_inputs_in_the_output_are_refused(curated):
    for inside in ("out/matched/*.jsonl", "out/curated/*.zst"):
        done = curated(ALONE.replace("pool/*", inside) + " -f")
        assert done.status == 2 and "lies in the output directory out, where the job would replace it" in done.stderr
    assert_as_expected(curated)


def test_odd_names_of_shards_do_no_harm(pool):
    odd = [b"a b.jsonl", b"x\ntouch INJECTED #.jsonl", b"\xff.jsonl", "pärchen%a.jsonl".encode()]
    for name in odd:
        with open(os.path.join(os.fsencode(pool / "pool"), name), "wb") as stream:
            stream.write((pool / "pool/s00.jsonl").read_bytes())
    out = "'o u%t'"
    script = pool.ok(f"{CURATE.replace('-o out', f'-o {out}')} --executor slurm --slurm-groups 1 --print")
    pool.ok("bash", stdin=script.encode(), SLURM_ARRAY_TASK_ID="0")
    pool.ok(ALONE.replace("-o out", f"-o {out}"))
    assert set(odd) <= set(os.listdir(os.fsencode(pool / "o u%t/curated"))) and not (pool / "INJECTED").exists()
    assert "#SBATCH --output=\"" in script and "o u%%t" in script


def test_a_shard_that_changes_while_the_job_runs_is_noticed(large):
    driver = start(large, TWO)
    when(lambda: (large / "out/thresholds.json").exists(), driver)
    os.utime(large / "pool/s23.jsonl.gz", ns=(1, 1))
    assert driver.wait(120) == 3
    assert "changed while the job ran, after it was counted. Run again" in driver.stderr.read()
    assert not (large / "out/manifest.json").exists()
    large.ok(ALONE)
    assert_undisturbed(large)


def test_a_shard_that_changed_since_is_done_again(curated):
    others = times(curated / "out/matched", "s0[1-5]*")
    data = (curated / "pool/s00.jsonl").read_bytes()
    (curated / "pool/s00.jsonl").write_bytes(data + orjson.dumps(pair(999, "red circle")) + b"\n")
    done = curated(ALONE)
    assert "changed since an earlier run, or of other options, so done again: pool/s00.jsonl\n" in done.stderr
    assert "361 pairs in" in done.stderr
    assert times(curated / "out/matched", "s0[1-5]*") == others
    (curated / "pool/s00.jsonl").write_bytes(data)
    curated.ok(ALONE)
    assert_as_expected(curated)


def test_a_shard_that_left_the_pool_leaves_the_result(curated):
    for name in "s04.jsonl.zst", "s05.jsonl.gz":
        (curated / "pool" / name).unlink()
    assert "outputs of 2 shards removed that are no longer in the pool" in curated(ALONE).stderr
    curated.ok(ALONE.replace("-o out", "-o anew"))
    for what in "matched", "curated":
        assert shards_in(curated / "out" / what) == shards_in(curated / "anew" / what)


def test_damaged_counts_of_a_shard_are_made_again(curated):
    path = curated / "out/.work/counts/s02.jsonl.gz.counts"
    path.write_bytes(path.read_bytes()[:-9])
    (curated / "out/counts/en.npy").unlink()
    curated.ok(ALONE)
    assert_as_expected(curated)
    assert shard_counts.ShardCounts(path).tally["in"] == 60


def test_parquet_shards_give_the_same_pairs(pool):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow
    (pool / "tables").mkdir()
    for name, data in contents(pool, "pool").items():
        records = [orjson.loads(line) for line in data.splitlines()]
        parquet.write_table(pyarrow.Table.from_pylist(records), pool / "tables" / f"{name.split('.')[0]}.parquet")
    pool.ok(ALONE.replace("pool/*", "tables/*"))
    for name, data in contents(pool, "expected").items():
        table = parquet.read_table(pool / "out/curated" / f"{name.split('.')[0]}.parquet")
        assert table.to_pylist() == [orjson.loads(line) for line in data.splitlines()]
    assert shards_in(pool / "out/counts")["en.npy"] == shards_in(pool / "counts")["en.npy"]


def test_so_many_pairs_are_those_of_the_t_that_keeps_as_many(pool):
    pool.ok("mc2 thresholds counts --pairs 200 -o chosen.json -q")
    chosen = orjson.loads((pool / "chosen.json").read_bytes())
    done = pool("mc2 curate pool/* -m toy --pairs 200 --seed 3 -j 1 -o out")
    assert f"--pairs 200: t_en = {chosen['t_en']} keeps " in done.stderr.splitlines()[0]
    content = orjson.loads((pool / "out/thresholds.json").read_bytes())
    assert (content["t_en"], content["languages"]) == (chosen["t_en"], chosen["languages"])
    pool.ok(f"mc2 curate pool/* -m toy --t-en {chosen['t_en']} --seed 3 -j 1 -o by-t -q")
    assert contents(pool, "out/curated") == contents(pool, "by-t/curated")
    assert "counted" not in pool.ok("mc2 curate pool/* -m toy --pairs 200 --seed 3 -o out -n")
    assert "drawn" not in pool.ok("mc2 curate pool/* -m toy --pairs 300 --seed 3 -o out -n")
    done = pool("mc2 curate pool/* -m toy --pairs 1M -j 1 -o more -q")
    assert done.status == 3 and "and no t keeps more than all of them" in done.stderr


def test_other_options_that_give_the_same_thresholds_draw_nothing_anew_and_dry_run_says_so(pool):
    curate = "mc2 curate pool/* -m toy --seed 3 -o out"
    pool.ok(f"{curate} --pairs 200 -j 1 -q")
    t_en = orjson.loads((pool / "out/thresholds.json").read_bytes())["t_en"]
    drawn = {path: path.stat().st_mtime_ns for path in (pool / "out/curated").iterdir()}
    pool.ok(f"{curate} --t-en {t_en} -j 1 -q")
    assert drawn == {path: path.stat().st_mtime_ns for path in (pool / "out/curated").iterdir()}
    assert "counted" not in pool.ok(f"{curate} --t-en {t_en} -n")


def test_fewer_pairs_of_one_text_per_image_than_were_asked_for_are_said_to_be_so(pool):
    assert "as --one-per-image draws for one of them, fewer are kept" in \
        pool("mc2 curate pool/* -m toy --pairs 200 --one-per-image -j 1 -o out").stderr
    assert "--one-per-image" not in pool("mc2 curate pool/* -m toy --t-en 20 --one-per-image -j 1 -o by-t").stderr


# ---------------------------------------------------------------- the command line

@pytest.mark.parametrize("command, message", [
    ("mc2 curate -m toy --t-en 20 -o out", "name the shards of the pool"),
    ("cat pool/s00.jsonl | mc2 curate - -m toy --t-en 20 -o out", "cannot be read from stdin"),
    ("mc2 curate pool/s00.jsonl ./pool/s00.jsonl -m toy --t-en 20 -o out", "two inputs are called s00"),
    ("mc2 curate pool/* -m toy -o out", "give one of --t-en, --p, --t-all and --pairs"),
    ("mc2 curate pool/* -m toy --t-en 20 --pairs 30 -o out", "give one of --t-en, --p, --t-all and --pairs"),
    ("mc2 curate pool/* -m toy --t-en 20 -o out --address x:1", "--address is for --executor ray"),
    ("mc2 curate pool/* -m toy --t-en 20 -o out --print", "--print is for --executor slurm"),
    ("mc2 curate pool/* -m toy --t-en 20 -o toy", "holds no curation"),
    ("mc2 curate pool/* -m toy --t-en 20 -o out --single en --min-prob 0.5", "--single identifies nothing"),
    ("mc2 curate pool/* -m toy --t-en 20 -o out --executor slurm --print -f", "--print is to change nothing"),
    ("mkdir -p proj/.work proj/matched; mc2 curate pool/* -m toy --t-en 20 -o proj", "holds no curation"),
    ("touch a.xlsx; mc2 curate a.xlsx -m toy --t-en 20 -o out", "a.xlsx"),
    ("mc2 status pool", "no work of mc2 was begun here"),
])
def test_what_cannot_be_is_refused(toy, command, message):
    make_pool(toy, shards=1)
    done = toy(command)
    assert done.status == 2 and message in done.stderr, done.stderr


def test_a_dry_run_tells_how_far_each_shard_is(curated):
    anew = curated.ok(f"{ALONE} -n".replace("-o out", "-o anew"))
    assert anew.splitlines() == [f"to do\tpool/{name}" for name in sorted(os.listdir(curated / "pool"))]
    assert not (curated / "anew").exists()
    (curated / "out/curated/s00.jsonl").unlink()
    assert curated.ok(f"{ALONE} -n").splitlines()[:2] == ["counted\tpool/s00.jsonl", "drawn\tpool/s01.jsonl.zst"]


def test_a_dry_run_tells_that_with_other_thresholds_or_shards_all_is_drawn_anew(curated):
    def states(command):
        return [line.split("\t")[0] for line in curated.ok(f"{command} -n").splitlines()]

    shards = len(os.listdir(curated / "pool"))
    assert states(ALONE) == ["drawn"] * shards
    assert states(f"{ALONE} --min-t 5") == ["counted"] * shards
    (curated / "pool/s00.jsonl").unlink()
    assert states(ALONE) == ["counted"] * (shards - 1)


def test_force_does_everything_anew(curated):
    before = curated.files()
    curated.ok(f"{ALONE} -f")
    after = curated.files()
    assert all(after[name] != before[name] for name in before if name.startswith("out/matched/"))
    assert_as_expected(curated)


def test_slurm_scripts_are_printed_phase_by_phase(pool):
    """Each printed script is run as its task, until nothing is left to print."""
    phases = []
    while script := pool.ok(f"{CURATE} --executor slurm --slurm-groups 1 --print"):
        phases.append(script.split("--job-name=")[1].split("\n")[0])
        assert len(phases) <= 2
        pool.ok("bash", stdin=script.encode(), SLURM_ARRAY_TASK_ID="0")
    assert phases == ["mc2-match", "mc2-sample"]
    assert_as_expected(pool)


# ---------------------------------------------------------------- tables

def test_a_misspelled_column_leaves_a_finished_curation_as_it_is(pool):
    pool.write("table.jsonl", *({"uid": str(number), "caption": "red"} for number in range(5)))
    pool.ok("mc2 curate table.jsonl --columns id=uid,text=caption -m toy --t-all 1 -o tables -q")
    before = (pool / "tables/manifest.json").read_bytes()
    assert pool("mc2 curate table.jsonl --id uid --text captionn -m toy --t-all 1 -o tables -q").status == 3
    assert (pool / "tables/manifest.json").read_bytes() == before


def test_ids_from_files_have_the_names_of_the_outputs(pool):
    """Also where an earlier run gave the outputs names in folders, which they keep."""
    for name in ("a/x", "b/x", "c/z"):
        pool.write(f"P/{name}.jsonl", {"caption": "red"})
    options = "--id auto --text caption -m toy --t-all 1 -o tables -q"
    pool.ok(f"mc2 curate P/a/x.jsonl P/b/x.jsonl {options}")
    for more in ("", "-f"):
        pool.ok(f"mc2 curate P/a/x.jsonl P/c/z.jsonl {options} {more}")
        assert pool.read("tables/curated/c/z.jsonl")[0]["id"] == "c/z.jsonl:1", more
