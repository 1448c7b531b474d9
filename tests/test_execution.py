"""A shard goes through stages in one way, whichever command asks and whatever executes it."""
import json
import os
import shutil

import pytest
from conftest import pair
from trouble import NoProgress

from mc2.errors import BadData
from mc2.execution import rounds
from mc2.execution.local import Local
from mc2.execution.shard import ShardPaths, ShardTask
from mc2.execution.stage import Stage


class Upper(Stage):
    """Adds `upper`, the text in capitals; drops what is empty."""

    name = "upper"
    adds = ("upper",)

    def __call__(self, batch):
        batch.drop({index: "empty" for index, text in enumerate(batch.texts) if not text})
        batch.add("upper", [text.upper() for text in batch.texts])


class Renamed(Upper):
    name = "renamed"
    options = {"name": "of another stage"}


class Touched(Upper):
    """A file that is replaced while it is read."""

    path = None

    def __call__(self, batch):
        super().__call__(batch)
        os.utime(self.path, ns=(1, 1))


def task_of(sh, *stages, **more):
    return ShardTask(stages or [Upper()], ShardPaths(str(sh / "out"), str(sh / "out/quarantine"), str(sh / "out/.work")), **more)


def complete(task, shards, jobs=1):
    rounds.complete(task, shards, Local(jobs), NoProgress(), len(shards))


@pytest.fixture
def shards(sh):
    """The paths of two shards, one of which has an empty text."""
    return [str(sh.write("a.jsonl", pair(1, "cat"), pair(2, ""))), str(sh.write("b.jsonl", pair(3, "dog")))]


# ---------------------------------------------------------------- the task

@pytest.mark.parametrize("jobs", [1, 2])
def test_a_task_reads_goes_through_the_stages_and_writes(sh, shards, jobs):
    complete(task_of(sh), shards, jobs)
    assert sh.read("out/a.jsonl") == [{**pair(1, "cat"), "upper": "CAT"}]
    assert sh.read("out/b.jsonl") == [{**pair(3, "dog"), "upper": "DOG"}]
    assert json.loads((sh / "out/a.jsonl.manifest.json").read_bytes())["counts"] == {"in": 2, "out": 1, "dropped: empty": 1}


def test_a_task_is_done_exactly_for_what_it_describes(sh, shards):
    task = task_of(sh)
    complete(task, shards)
    assert rounds.missing(task, shards) == []
    assert rounds.missing(task_of(sh, Renamed()), shards) == shards             # other options
    os.utime(shards[0], ns=(7, 7))
    assert rounds.missing(task, shards) == shards[:1]                           # another input
    os.unlink(sh / "out/b.jsonl")
    assert rounds.missing(task, shards) == shards                               # no output


def test_a_shard_that_is_replaced_while_it_is_read_is_refused(sh, shards):
    stage = Touched()
    stage.path = shards[1]
    with pytest.raises(BadData, match="b.jsonl: changed while it was read. Run again when it is complete."):
        complete(task_of(sh, stage), shards[1:])
    assert not (sh / "out/b.jsonl").exists() and not list((sh / "out").glob(".*.tmp"))
    complete(task_of(sh), shards[1:])                                           # once it is
    assert sh.read("out/b.jsonl") == [{**pair(3, "dog"), "upper": "DOG"}]


def test_dropped_pairs_are_kept_where_they_are_wanted(sh, shards):
    complete(task_of(sh), shards)
    wanted = task_of(sh, keep=["dropped"])
    assert rounds.missing(wanted, shards) == shards[:1]                         # only this one dropped any
    complete(wanted, shards)
    assert sh.read("out/.work/dropped/a.jsonl.jsonl") == [{**pair(2, ""), "dropped": "empty"}]


# ---------------------------------------------------------------- every command with -O

def test_dropped_pairs_of_shards_and_of_a_stream_are_the_same_file(toy):
    toy.write("a.jsonl", pair(1, "red", "en"), pair(2, "cat", "en"))
    toy.write("b.jsonl", pair(3, "un chat", "fr"))
    (toy / "ids.txt").write_text(f"{2:024x}\n")
    options = "a.jsonl b.jsonl -m toy --ids ids.txt"
    receipt = toy(f"mc2 match {options} --dropped stream.jsonl -o m.jsonl").stderr
    assert "3 pairs in, 1 matched, 0 without a match, 2 not listed" in receipt
    assert toy.read("stream.jsonl") == [{**pair(1, "red", "en"), "dropped": "not listed"},
                                        {**pair(3, "un chat", "fr"), "dropped": "not listed"}]
    for jobs in 1, 2:
        toy.ok(f"mc2 match {options} --dropped shards-{jobs}.jsonl -O out-{jobs} -j {jobs} -q")
        assert toy.read(f"shards-{jobs}.jsonl") == toy.read("stream.jsonl")
    toy.ok(f"mc2 match {options} --dropped again.jsonl -O out-1 -q")            # all of it was finished
    assert toy.read("again.jsonl") == toy.read("stream.jsonl")


def test_sample_says_why_pairs_are_not_kept(artefacts):
    artefacts.write("m.jsonl", pair(1, "a red circle", "en", [0]), pair(2, "nothing", "en", []))
    artefacts.ok("mc2 sample m.jsonl -c counts -t t.json --dropped d.jsonl -o kept.jsonl -q")
    assert artefacts.read("d.jsonl") == [{**pair(2, "nothing", "en", []), "dropped": "without a match"}]
    assert json.loads((artefacts / "kept.jsonl.manifest.json").read_bytes())["counts"]["dropped: without a match"] == 1


def test_curate_keeps_what_both_of_its_passes_drop(toy):
    toy.write("a.jsonl", pair(1, "red"), pair(2, "nothing of it"), pair(3, "a red circle"))
    (toy / "ids.txt").write_text("".join(f"{number:024x}\n" for number in (2, 3)))
    toy.ok("mc2 curate a.jsonl -m toy --t-all 1 --single en --ids ids.txt -o out -j 1 --dropped d.jsonl -q")
    assert [(record["id"][-1], record["dropped"]) for record in toy.read("d.jsonl")] == \
        [("1", "not listed"), ("2", "without a match")]


def test_bad_lines_of_shards_are_in_quarantine_and_as_rejects(sh):
    sh.write("a.jsonl", pair(1, "cat"), "{")
    sh.write("b.jsonl", pair(2, "dog"))
    done = sh("mc2 lid a.jsonl b.jsonl -O out -j 2 --rejects rejects.jsonl")
    assert done.status == 0 and "1 bad lines skipped (not JSON)" in done.stderr
    assert (sh / "rejects.jsonl").read_text() == "{\n"
    assert sh.read("out/quarantine/a.jsonl.jsonl") == [{"line": 2, "reason": "not JSON. Column 2: unexpected end of data.",
                                                       "text": "{"}]
    assert not (sh / "out/quarantine/b.jsonl.jsonl").exists()


def test_all_other_shards_are_done_when_one_is_bad(sh):
    for name in "abd":
        sh.write(f"{name}.jsonl", pair(1, name))
    sh.write("c.jsonl", "{")
    for jobs in 1, 2:
        done = sh(f"mc2 lid a.jsonl b.jsonl c.jsonl d.jsonl -O out-{jobs} -j {jobs}")
        assert done.status == 3 and "lid: 1 shard failed; all others are done" in done.stderr
        assert "  c.jsonl: c.jsonl:1: not JSON." in done.stderr
        assert sorted(path.name for path in (sh / f"out-{jobs}").glob("*.jsonl")) == ["a.jsonl", "b.jsonl", "d.jsonl"]


def test_shards_have_logs_and_a_status(sh):
    sh.write("a.jsonl", pair(1, "cat"))
    sh.ok("mc2 lid a.jsonl -O out -q")
    assert "lid: done: 1 pairs" in (sh / "out/.work/logs/a.jsonl.log").read_text()
    assert sh.ok("mc2 status out").startswith("finished, 0.")
    sh.write("b.jsonl", "{")
    assert sh("mc2 lid a.jsonl b.jsonl -O out -q").status == 3
    lines = sh.ok("mc2 status out").splitlines()
    assert lines[0].startswith("stopped while in: lid: 1 of 2 shards") and "'mc2 lid' command goes on" in lines[0]
    assert lines[1].startswith("failed: ") and lines[2] == "logs of the shards: out/.work/logs"


def test_each_part_of_a_job_array_has_a_status_of_its_own(sh):
    for name in "abc":
        sh.write(f"{name}.jsonl", pair(1, name))
    for part in 0, 1:
        sh.ok(f"mc2 lid a.jsonl b.jsonl c.jsonl -O out -q --shard {part}/2")
    assert [line.split(":")[0] for line in sh.ok("mc2 status out").splitlines()] == ["part 0/2", "part 1/2"]


def test_a_run_that_was_killed_before_its_first_shard_was_done_goes_on(sh):
    sh.write("a.jsonl", pair(1, "cat"))
    sh.ok("mc2 lid a.jsonl -O out -q")
    before = (sh / "out/a.jsonl").read_bytes()
    (sh / "out/a.jsonl.manifest.json").unlink()             # as a kill between the two leaves it
    sh.ok("mc2 lid a.jsonl -O out -q")
    assert (sh / "out/a.jsonl").read_bytes() == before and (sh / "out/a.jsonl.manifest.json").exists()
    shutil.rmtree(sh / "out/.work")
    (sh / "out/a.jsonl.manifest.json").unlink()
    sh.fails("mc2 lid a.jsonl -O out", 2, "not empty and holds no shards of mc2")


def test_a_damaged_manifest_of_pairs_is_said(toy):
    toy.write("a.jsonl", pair(1, "red"))
    toy.ok("mc2 lid a.jsonl -o l.jsonl -q")
    (toy / "l.jsonl.manifest.json").write_text('{"mc2": "0.1')
    toy.fails("mc2 match l.jsonl -m toy -o m.jsonl", 3, "l.jsonl.manifest.json: is damaged", "Make it again")


def test_options_of_executors_go_with_shards_and_with_their_executor(sh):
    sh.write("a.jsonl", pair(1, "red"))
    sh.fails("mc2 lid a.jsonl -o l.jsonl --executor ray", 2, "--executor goes with -O")
    sh.fails("mc2 lid a.jsonl -O out --address x:1", 2, "--address is for --executor ray")


def test_slurm_scripts_of_any_command_can_be_printed(sh):
    sh.write("a.jsonl", pair(1, "red"))
    script = sh.ok("mc2 lid a.jsonl -O out --executor slurm --print")
    assert "#SBATCH --job-name=mc2-lid" in script and '# mc2 lid, task "lid": 1 shards in 1 groups.' in script
    (sh / "job.sh").write_text(script)
    sh.process("SLURM_ARRAY_TASK_ID=0 bash job.sh")
    assert sh.ok("mc2 lid a.jsonl -O out -n").startswith("finished")


def test_the_old_name_of_executor_is_understood(toy):
    toy.write("a.jsonl", pair(1, "red"))
    done = toy("mc2 curate a.jsonl -m toy --t-all 1 -o out -j 1 --engine local")
    assert done.status == 0 and "--engine is now called --executor" in done.stderr


def test_a_part_of_a_pool_leaves_the_outputs_of_other_parts_alone(toy):
    for name in "ab":
        toy.write(f"{name}.jsonl", pair(1, "red"))
    for part in 0, 1:
        toy.ok(f"mc2 curate a.jsonl b.jsonl -m toy --t-all 1 -o out -j 1 -q --shard {part}/2")
    assert sorted(path.name for path in (toy / "out/curated").glob("*.jsonl")) == ["a.jsonl", "b.jsonl"]
    toy.ok("mc2 curate b.jsonl -m toy --t-all 1 -o out -j 1 -q")
    assert sorted(path.name for path in (toy / "out/curated").glob("*.jsonl")) == ["b.jsonl"]
