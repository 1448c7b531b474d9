"""Dropped pairs and bad lines that are kept are those of this run, and never replace what is read or made."""
import signal
import sys

import pytest
from conftest import ROOT, pair

CURATE = "mc2 curate a.jsonl b.jsonl -m toy --single en --t-all 1 -o out -j 1 -q"


@pytest.fixture
def pool(toy):
    """A Shell with two shards and a list of ids that leaves one pair of each out."""
    toy.write("a.jsonl", pair(1, "red"), pair(2, "a cat"))
    toy.write("b.jsonl", pair(3, "circle"), pair(4, "a cat"))
    (toy / "ids.txt").write_text("".join(f"{number:024x}\n" for number in (2, 4)))
    return toy


@pytest.mark.parametrize("more", ["--dropped a.jsonl", "--ids ids.txt --dropped ids.txt", "--dropped out/thresholds.json",
                                  "--dropped out/curated/d.jsonl", "--dropped x.npy --uids x.npy"])
def test_curate_drops_into_no_file_that_it_reads_or_makes(pool, more):
    pool.fails(f"{CURATE} {more}", 2, "Name another output.")


def test_dropped_pairs_of_a_finished_pool_can_be_had_later(pool):
    pool.ok(f"{CURATE} --ids ids.txt --dropped at-once.jsonl".replace("-o out", "-o other"))
    pool.ok(f"{CURATE} --ids ids.txt")
    pool.ok(f"{CURATE} --ids ids.txt --dropped later.jsonl")
    assert [record["dropped"] for record in pool.read("later.jsonl")] == ["not listed", "not listed"]
    assert pool.read("later.jsonl") == pool.read("at-once.jsonl")


def test_dropped_pairs_are_never_those_of_other_options(artefacts):
    artefacts.write("m.jsonl", pair(1, "red", "en", [0]), pair(2, "none", "en", []))
    artefacts.write("ids.txt", f"{1:024x}")
    match = "mc2 match m.jsonl -m toy -O out -q"
    artefacts.ok(f"{match} --ids ids.txt --dropped first.jsonl")
    artefacts.ok(match)                                         # drops nothing
    artefacts.ok(f"{match} --dropped second.jsonl")
    assert len(artefacts.read("first.jsonl")) == 1 and artefacts.read("second.jsonl") == []


def test_a_mended_shard_is_in_quarantine_no_more(sh):
    sh.write("a.jsonl", "{")
    sh.ok("mc2 lid a.jsonl -O out --on-error skip -q")
    assert (sh / "out/quarantine/a.jsonl.jsonl").exists()
    sh.write("a.jsonl", pair(1, "red"))
    sh.ok("mc2 lid a.jsonl -O out -q")
    assert not (sh / "out/quarantine/a.jsonl.jsonl").exists()


def test_sample_tells_pairs_without_a_match_from_texts_that_were_not_chosen(artefacts):
    artefacts.write("m.jsonl", pair(1, "red", "en", [0]), pair(1, "a circle", "en", [2]), pair(1, "none", "en", []))
    artefacts.ok("mc2 sample m.jsonl -c counts -t t.json --one-per-image --dropped d.jsonl -o k.jsonl -q")
    assert sorted(record["dropped"] for record in artefacts.read("d.jsonl")) == \
        ["not the chosen text of their image", "without a match"]


def test_count_tells_bad_lines_from_pairs(artefacts):
    artefacts.write("m.jsonl", pair(1, "red", "en", [0]), "{")
    assert "count: 2 pairs in, 1 matched, 0 without a match, 1 bad lines skipped (not JSON) -> new" in \
        artefacts("mc2 count m.jsonl -m toy -o new --on-error skip").stderr


def test_bad_usage_within_shards_is_bad_usage(pool):
    done = pool(f"{CURATE} --uids u.npy")
    assert done.status == 2 and done.stderr.count("is no DataComp uid") == 2


def test_an_interrupt_while_mc2_is_imported_ends_it_like_any_other(sh):
    (sh / "start.py").write_text(f"""\
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "uuid":              # which orjson imports, and does not expect to fail
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
from mc2.__main__ import main
main()
""")
    done = sh.process(f"{sys.executable} start.py lid -o out.jsonl")
    assert done.status == 128 + signal.SIGINT and "Traceback" not in done.stderr
