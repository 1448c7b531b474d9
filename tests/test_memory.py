"""Peak memory does not grow with the pool: it is the same, up to a margin, for ten times as many pairs.

The margins are small beside what the larger pool has more: 450,000 pairs. Every object of Python that is held for each
pair would take 20 MB or more.
"""
import gzip
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from conftest import ROOT, Shell, filled

from mc2 import files

PAIRS = 50_000
MB = 1 << 20
TEXTS = ["a red circle", "un chat noir sur la table", "a cat", "el perro corre en el parque", "ein kleiner Hund"]

ODD = """\
from mc2.execution.stage import Stage

class Odd(Stage):
    name = "filter"

    def __call__(self, batch):
        batch.drop({index: "odd" for index in range(1, len(batch), 2)})
"""

pytestmark = [pytest.mark.heavy,
              pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="VmHWM is Linux's")]


def peak(sh, command):
    """Bytes of memory that the process had at most, or the largest of its workers."""
    environment = {**sh.environment, "PYTHONPATH": f"{ROOT}{os.pathsep}{sh.directory}", "OMP_NUM_THREADS": "1"}
    program = f'exec "{sys.executable}" "{Path(__file__).with_name("memory.py")}" report {command}'
    done = subprocess.run(["bash", "-c", program], cwd=sh.directory, env=environment, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    return max(map(int, (sh / "report").read_text().split()))


def assert_flat(sh, command, margin=10 * MB):
    """The command, with `1` and `10` in place of SIZE, takes as much memory for ten times as much."""
    small, large = (peak(sh, command.replace("SIZE", size)) for size in ("1", "10"))
    assert large - small < margin, f"{small / MB:.1f} MB, and for ten times as much {large / MB:.1f} MB"


@pytest.fixture(scope="module")
def pools(toy_template, tmp_path_factory):
    """Two pools after each stage, in1.jsonl and in10.jsonl and so on, their shards, their counts, tars of images."""
    sh = filled(Shell(tmp_path_factory.mktemp("pools")), toy_template)
    for size in (1, 10):
        with open(sh / f"in{size}.jsonl", "w") as stream:
            for number in range(size * PAIRS):
                stream.write(f'{{"id":"{number // 2:024x}","text":"{TEXTS[number % 5]} {number}"}}\n')
        for command in ("lid in{}.jsonl -o lid{}.jsonl", "match lid{}.jsonl -m toy -o m{}.jsonl",
                        "count m{}.jsonl -m toy -o counts{}", "thresholds counts{} --t-en 20 -o t{}.json"):
            sh.ok(f"mc2 {command.format(size, size)} -q")
        divide(sh, f"lid{size}.jsonl", f"shards{size}", 10_000)
    (sh / "one_reason.py").write_text(ODD)
    with tarfile.open(sh / "i.tar", "w") as tar:
        for number in range(1000):
            tar.addfile(tarfile.TarInfo(f"{number:024x}.jpg"))
    return sh


def divide(sh, name, directory, n):
    """Shards of n lines each."""
    (sh / directory).mkdir()
    lines = (sh / name).read_bytes().splitlines(keepends=True)
    for first in range(0, len(lines), n):
        (sh / directory / f"{first // n:04}.jsonl").write_bytes(b"".join(lines[first:first + n]))


@pytest.mark.parametrize("command", [
    "lid inSIZE.jsonl -o out.jsonl", "match lidSIZE.jsonl -m toy -o out.jsonl",
    "match lidSIZE.jsonl -m toy -o out.jsonl.gz --engine pyahocorasick",
    "match shardsSIZE/*.jsonl -m toy -O outSIZE -j 2",
    "count mSIZE.jsonl -m toy -o new", "thresholds countsSIZE --p 0.5 -o new.json",
    "sample mSIZE.jsonl -c countsSIZE -t tSIZE.json -o out.jsonl", "sample mSIZE.jsonl -c countsSIZE -t tSIZE.json -n",
    "sample mSIZE.jsonl -c countsSIZE -t tSIZE.json --one-per-image -o out.jsonl --dropped dropped.jsonl",
    "filter pairs inSIZE.jsonl --with one_reason:Odd -o out.jsonl", "inspect mSIZE.jsonl --lines 0", "inspect countsSIZE",
    "join inSIZE.jsonl --tars i.tar -O joinedSIZE", "curate shardsSIZE/*.jsonl -m toy --t-en 20 -o curatedSIZE -j 1",
    "curate shardsSIZE/*.jsonl -m toy --t-en 20 -o workersSIZE -j 2"])
def test_memory_is_flat_in_the_number_of_pairs(pools, command):
    assert_flat(pools, command)


@pytest.mark.parametrize("command", [
    "match lidSIZE.jsonl -m toy -o out.parquet", "count mSIZE.parquet -m toy -o new",
    "sample mSIZE.parquet -c countsSIZE -t tSIZE.json --one-per-image -o out.parquet",
    "inspect mSIZE.parquet --lines 0"])
def test_memory_is_flat_in_the_number_of_rows(pools, command):
    """pyarrow keeps memory that it has freed; and a row group, of 65,536 rows, is written at once."""
    pytest.importorskip("pyarrow")
    for size in (1, 10):
        if not (pools / f"m{size}.parquet").exists():
            pools.ok(f"mc2 match lid{size}.jsonl -m toy -o m{size}.parquet -q")
    assert_flat(pools, command, 60 * MB)


def test_what_workers_give_back_before_its_turn_is_bounded(pools):
    """At most 8 blocks of 2 MB for each worker wait; the small pool has two blocks."""
    assert_flat(pools, "lid inSIZE.jsonl -o out.jsonl.zst -j 2", 60 * MB)


def test_memory_is_flat_in_the_number_of_bad_lines(pools):
    for size in (1, 10):
        with open(pools / f"bad{size}.jsonl", "w") as stream:
            stream.writelines(f'{{"id":"a","text":"","lang":"l{number}","matched_entry_ids":[1]}}\n'
                              for number in range(size * PAIRS))
    assert_flat(pools, "count badSIZE.jsonl -m toy -o new --rejects rejects.jsonl", 25 * MB)
    assert_flat(pools, "match badSIZE.jsonl -m toy -O outSIZEbad --on-error skip", 25 * MB)


def test_a_shard_is_streamed_however_repetitive_it_is(pools):
    """60 MB and 600 MB of one line: some KB of zstd, of which up to 40 MB are decompressed at once."""
    line = b'{"id":"a","text":"' + b"a red cat " * 100 + b'"}\n'
    for size in (1, 10):
        with files.open_write(str(pools / f"same{size}.jsonl.zst")) as stream:
            for _ in range(size * 30):
                stream.write(line * 2_000)
    assert_flat(pools, "filter pairs sameSIZE.jsonl.zst --with one_reason:Odd -o out.jsonl.zst", 80 * MB)


def test_deduplication_holds_a_part_of_the_pairs_at_a_time(pools):
    """The small pool does not fill the buffer of 1 MB, and has less than that in each of its 256 buckets."""
    assert_flat(pools, "dedup urls inSIZE.jsonl -o out.jsonl", 30 * MB)


def test_joining_takes_some_bytes_for_each_image(pools):
    """The table of ids: 12 bytes for an image, and twice as much while it is sorted."""
    for size in (1, 10):
        with tarfile.open(pools / f"table{size}.tar", "w") as tar:
            for number in range(size * 10_000):
                tar.addfile(tarfile.TarInfo(f"{number:024x}.jpg"))
    assert_flat(pools, "join in1.jsonl --tars tableSIZE.tar -O tableSIZE -j 1", 90_000 * 400)


# ---------------------------------------------------------------- metadata

def test_merging_is_flat_in_the_number_of_languages(pools):
    for size, langs in (1, ["de"]), (10, ["de", "fr", "es", "it", "pt", "pl", "nl", "sv", "cs", "fi"]):
        (pools / f"sources{size}").mkdir()
        (pools / "list.json").write_text("[" + ",".join(f'"word {n}"' for n in range(20_000)) + "]")
        for lang in langs:
            pools.ok(f"mc2 build-metadata import list.json --lang {lang} -o sources{size} -q")
    assert_flat(pools, "build-metadata merge sourcesSIZE -o releaseSIZE")


def test_counting_words_is_flat_in_the_amount_of_text(pools):
    for size in (1, 10):
        with open(pools / f"text{size}.txt", "w") as stream:
            stream.writelines(f"word{n} and{n % 997} other{n * 7 % 10_007} words{n * 13 % 100_003}\n"
                              for n in range(size * 40_000))
    assert_flat(pools, "build-metadata ngrams --wiki en --text textSIZE.txt -o wordsSIZE --memory 100M -j 1", 30 * MB)


def test_counting_views_takes_the_memory_that_it_may(pools):
    with gzip.open(pools / "views.gz", "wt", 1) as stream:
        stream.writelines(f"en Title_{n:07} 5 0\n" for n in range(600_000))
    assert peak(pools, "build-metadata titles views.gz -o titles --memory 100M -j 1") < 110 * MB
