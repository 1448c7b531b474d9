"""What the outputs of shards are called: by their base names, or by their paths below a common folder."""
import os
import pickle
import sys

import pytest
from conftest import ROOT, pair

from mc2 import files
from mc2.errors import BadUsage
from mc2.execution import names


@pytest.mark.parametrize("shards, expected", [
    (["a/x.jsonl", "b/y.jsonl"], ["x.jsonl", "y.jsonl"]),                       # no two of one name: as they are called
    (["p/part=0/0.jsonl", "p/part=3/0.jsonl"], ["part=0/0.jsonl", "part=3/0.jsonl"]),
    (["p/0.jsonl", "p/part=3/0.jsonl", "p/part=3/1.jsonl"], ["0.jsonl", "part=3/0.jsonl", "part=3/1.jsonl"]),
    (["p/a/x/0.jsonl", "p/b/x/0.jsonl"], ["a/x/0.jsonl", "b/x/0.jsonl"]),
    (["/p/0.jsonl", "/q/../q/./0.jsonl"], ["p/0.jsonl", "q/0.jsonl"]),
    (["s3://b/part=0/0.jsonl", "s3://b/part=3/0.jsonl?at=1"], ["part=0/0.jsonl", "part=3/0.jsonl"]),
    (["s3://b/0.jsonl", "s3://c/0.jsonl"], ["b/0.jsonl", "c/0.jsonl"]),
    (["s3://b/x/../p/0.jsonl", "s3://b/q/0.jsonl"], ["p/0.jsonl", "q/0.jsonl"]),
    ([], []),
])
def test_shards_are_called_by_base_name_or_by_path_below_their_common_folder(shards, expected):
    name = pickle.loads(pickle.dumps(names.of(shards)))
    assert [name(shard) for shard in shards] == expected


@pytest.mark.parametrize("shards", [
    ["a/0.jsonl", "a/0.jsonl"], ["a/0.jsonl", "./a/0.jsonl"], ["a/0.jsonl", "s3://b/0.jsonl"],
    ["s3://b/0.jsonl", "gs://b/0.jsonl"], ["https://h/0.jsonl?id=1", "https://h/0.jsonl?id=2"]])
def test_shards_that_no_folder_tells_apart_are_refused(shards):
    with pytest.raises(BadUsage, match="^two inputs are called 0.jsonl, and no folders tell them apart"):
        names.of(shards)


@pytest.mark.parametrize("path, folder, expected", [
    ("/a/b/c", "/a", "b/c"), ("/a/b", "/", "a/b"), ("/ab/c", "/a", None), ("/a", "/a", None), ("/a/b", "s3://", None),
    ("s3://a/b", "s3://", "a/b"), ("s3://a/b", "s3://a", "b"), ("s3://a/b", "/", None)])
def test_a_path_is_called_from_a_folder_above_it(path, folder, expected):
    assert files.name_below(path, folder) == expected


# ---------------------------------------------------------------- in an output directory

@pytest.fixture
def pool(sh):
    """Three partitions with shards of the same names."""
    for part in 0, 3, 4:
        for shard in 0, 1:
            sh.write(f"pool/part={part}/{shard}.jsonl", pair(10 * part + shard, f"a red circle {part}"))
    return sh


def outputs(sh, directory="out"):
    return sorted(name for name in sh.files() if name.startswith(f"{directory}/") and name.endswith(".jsonl"))


FOUR = ["out/part=0/0.jsonl", "out/part=0/1.jsonl", "out/part=3/0.jsonl", "out/part=3/1.jsonl"]


def test_partitions_keep_their_folders_and_are_finished_like_any_other(pool):
    pool.ok("mc2 lid pool/part=[03]/*.jsonl -O out -j 2 -q")
    assert outputs(pool) == FOUR
    assert pool.ok("mc2 lid pool/part=[03]/*.jsonl -O out -n").count("finished\t") == 4
    assert [record["id"] for record in pool.read("out/part=3/1.jsonl")] == [f"{31:024x}"]
    assert pool.ok("mc2 status out").startswith("finished")


def test_every_part_gives_the_names_that_the_whole_gives(pool):
    """Part 1 of 2 has pool/part=0/1 and pool/part=3/1; part 0 of 4 has one shard alone."""
    for part in "1/2", "0/2":
        pool.ok(f"mc2 lid pool/part=[03]/*.jsonl -O out --shard {part} -q")
    assert outputs(pool) == FOUR
    for part in range(4):
        pool.ok(f"mc2 lid pool/part=[03]/*.jsonl -O four --shard {part}/4 -q")
    assert [name.replace("four", "out") for name in outputs(pool, "four")] == FOUR


def test_a_shard_keeps_its_name_when_others_join_and_leave(pool):
    pool.ok("mc2 lid pool/part=[03]/*.jsonl -O out -q && mc2 lid pool/part=4/*.jsonl -O out -q")
    assert outputs(pool) == [*FOUR, "out/part=4/0.jsonl", "out/part=4/1.jsonl"]
    assert pool.ok("mc2 lid pool/part=*/*.jsonl -O out -n").count("finished\t") == 6
    assert pool.ok("mc2 lid pool/part=3/0.jsonl -O out -n") == "finished\tpool/part=3/0.jsonl\tout/part=3/0.jsonl\n"


def test_a_shard_outside_the_folder_of_the_names_is_refused(pool):
    pool.ok("mc2 lid pool/part=[03]/*.jsonl -O out -q && cp -r pool/part=4 other")
    pool.fails("mc2 lid pool/part=*/*.jsonl other/0.jsonl -O out", 2,
               f"out: its shards are named by their paths below {pool / 'pool'}, and other/0.jsonl is not below it. "
               "Name another output.")


def test_a_pool_that_moved_is_finished(pool):
    pool.ok("mc2 lid pool/part=*/*.jsonl -O out -q && mv pool elsewhere")
    assert pool.ok("mc2 lid elsewhere/part=*/*.jsonl -O out -n").count("finished\t") == 6
    pool.fails("mc2 lid elsewhere/part=3/*.jsonl -O out", 2, "is not below it. Name another output.")
    assert "6 shards were finished" in pool("mc2 lid elsewhere/part=*/*.jsonl -O out").stderr
    assert pool.ok("mc2 lid elsewhere/part=3/*.jsonl -O out -n").count("finished\t") == 2      # below elsewhere/ now


def test_shards_named_without_folders_do_not_get_other_names(pool):
    pool.ok("mc2 lid pool/part=0/*.jsonl -O out -q")
    assert outputs(pool) == ["out/0.jsonl", "out/1.jsonl"]
    pool.fails("mc2 lid pool/part=*/*.jsonl -O out", 2, "out: holds shards that are named without their folders, and "
                                                        "two of these inputs have one name. Name another output.")


def test_an_output_does_not_take_the_place_of_another_shards(pool):
    pool.ok("mc2 lid pool/part=0/*.jsonl -O out -q")
    for more in "", " -n":
        pool.fails(f"mc2 lid pool/part=3/*.jsonl -O out{more}", 2,
                   "out/0.jsonl: holds the pairs of pool/part=0/0.jsonl, and those of pool/part=3/0.jsonl would "
                   "replace them. Name another output, or give -f to make it anew.")
    pool.ok("mc2 lid pool/part=3/*.jsonl -O out -f -q")                                 # unless that is wanted
    pool.ok("mv pool/part=3 pool/new && touch pool/new/0.jsonl")                        # moved and changed
    pool.ok("mc2 lid pool/new/*.jsonl -O out -q")
    os.utime(pool / "pool/new/1.jsonl", (1, 1))
    assert pool.ok("mc2 lid pool/new/*.jsonl -O out -n").count("to do\t") == 1


def test_bad_lines_and_dropped_pairs_lie_in_folders_too(pool):
    pool.write("pool/part=3/0.jsonl", "{", pair(1, "un chat"))
    pool.ok("mc2 lid pool/part=[03]/*.jsonl -O out --rejects r.jsonl -q")
    assert (pool / "r.jsonl").read_text() == "{\n"
    assert (pool / "out/quarantine/part=3/0.jsonl.jsonl").exists()
    assert (pool / "out/.work/logs/part=3/0.jsonl.log").exists()
    done = pool("mc2 lid pool/part=*/*.jsonl -O out")
    assert done.status == 3 and "pool/part=3/0.jsonl:1: not JSON." in done.stderr
    assert "failed: pool/part=3/0.jsonl: " in pool.ok("mc2 status out")


def test_tasks_of_slurm_write_into_the_folders(pool):
    pool.write("pool/part=3/0.jsonl", "{")
    pool.ok("mc2 lid pool/part=[03]/*.jsonl -O out --executor slurm --slurm-groups 1 --print")
    done = pool(f"cd . && {sys.executable} -m mc2.execution.slurm out/.work/slurm/lid.plan 0", PYTHONPATH=str(ROOT))
    assert done.status == 1 and outputs(pool) == [FOUR[0], FOUR[1], FOUR[3]]
    assert "not JSON." in (pool / "out/.work/slurm/errors/lid.part=3/0.jsonl.json").read_text()


@pytest.mark.parametrize("folder", ["quarantine", ".work"])
def test_a_folder_of_mc2_is_no_folder_of_shards(sh, folder):
    sh.write(f"pool/{folder}/0.jsonl", pair(1, "a"))
    sh.write("pool/b/0.jsonl", pair(2, "b"))
    sh.fails(f"mc2 lid pool/{folder}/0.jsonl pool/b/0.jsonl -O out", 2,
             f"{folder} is the name of a folder that mc2 makes in out. Rename it.")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"folder":7}', b"[" * 100_000, b"\xff"])
def test_a_damaged_note_of_the_names_is_an_error(pool, content):
    pool.ok("mc2 lid pool/part=[03]/*.jsonl -O out -q")
    (pool / "out/.work/names.json").write_bytes(content)
    pool.fails("mc2 lid pool/part=[03]/*.jsonl -O out", 3, "out/.work/names.json: is damaged")


def test_partitions_of_a_remote_directory(pool):
    pytest.importorskip("fsspec")
    here = f"file://{pool.directory}"
    command = f"mc2 lid '{here}/pool/part=[03]/*.jsonl' -O {here}/out"
    pool.ok(f"{command} -q")
    assert outputs(pool) == FOUR and pool.ok(f"{command} -n").count("finished\t") == 4
    pool.ok(f"mc2 lid '{here}/pool/part=4/*.jsonl' -O {here}/out -q")
    assert outputs(pool)[4:] == ["out/part=4/0.jsonl", "out/part=4/1.jsonl"]


# ---------------------------------------------------------------- curate

CURATE = "mc2 curate pool/part={parts}/*.jsonl -m toy --t-en 20 --seed 3 -o out --dropped dropped.jsonl -q"


@pytest.fixture
def curated(toy):
    for part in 0, 3:
        for shard in 0, 1:
            toy.write(f"pool/part={part}/{shard}.jsonl", *(
                pair(100 * part + 10 * shard + number, "a red circle") for number in range(9)))
    toy.ok(CURATE.format(parts="[03]"))
    return toy


def kept(sh):
    return {name: (sh / name).read_bytes() for name in outputs(sh) if name.startswith(("out/curated", "out/matched"))}


def test_curate_takes_partitions_and_goes_on_with_them(curated):
    assert [name for name in kept(curated) if "curated" in name] == [f"out/curated/{name[4:]}" for name in FOUR]
    before = kept(curated)
    os.unlink(curated / "out/curated/part=3/0.jsonl")
    os.unlink(curated / "out/matched/part=0/1.jsonl")
    curated.ok(CURATE.format(parts="[03]"))
    assert kept(curated) == before
    assert curated.ok(CURATE.format(parts="[03]") + " -n").count("drawn\t") == 4


def test_curate_removes_the_shards_that_left_with_their_folders(curated):
    before = kept(curated)
    curated.ok(CURATE.format(parts="3"))                # base names would do now
    assert kept(curated).keys() == {name for name in before if "part=3" in name}
    assert not (curated / "out/curated/part=0").exists() and not (curated / "out/.work/counts/part=0").exists()
    curated.ok(CURATE.format(parts="[03]"))
    assert kept(curated) == before


def test_curate_does_nothing_anew_when_its_pool_needs_no_folders_any_more(curated):
    before = curated.files()
    curated.ok(CURATE.format(parts="3"))
    assert before.keys() - curated.files().keys() >= {"out/matched/part=0/0.jsonl", "out/curated/part=0/1.jsonl"}
    for shard in "out/matched/part=3/0.jsonl", "out/.work/counts/part=3/1.jsonl.counts":
        assert curated.files()[shard] == before[shard]


def test_curate_keeps_its_names_where_a_pool_that_needs_no_folders_any_more_was_moved(curated):
    curated.ok(CURATE.format(parts="[03]"))
    os.unlink(curated / "pool/part=0/0.jsonl")
    os.unlink(curated / "pool/part=3/1.jsonl")
    curated.ok(CURATE.format(parts="[03]"))
    before = kept(curated)
    assert sorted(before) == [f"out/{kind}/part={name}.jsonl" for kind in ("curated", "matched")
                              for name in ("0/1", "3/0")]
    os.rename(curated / "pool", curated / "moved")
    curated.ok(CURATE.format(parts="[03]").replace("pool/", "moved/"))
    assert kept(curated) == before


def test_curate_names_all_shards_anew_where_one_lies_elsewhere(curated):
    curated.write("other/1.jsonl", pair(900, "a red circle"))
    curated.ok(CURATE.format(parts="3").replace("-m", "other/1.jsonl -m"))
    assert [name for name in kept(curated) if "curated" in name] == [
        "out/curated/other/1.jsonl", "out/curated/pool/part=3/0.jsonl", "out/curated/pool/part=3/1.jsonl"]
    curated.ok("mc2 curate other/1.jsonl pool/part=3/0.jsonl -m toy --t-en 20 --seed 3 -o out -q")
    assert "out/curated/pool/part=3/0.jsonl" in kept(curated)


def test_parts_of_curate_name_their_shards_as_the_whole_does(curated):
    before = kept(curated)
    for part in 0, 1:
        curated.ok(CURATE.format(parts="[03]") + f" --shard {part}/2")
    assert kept(curated).keys() == before.keys()
