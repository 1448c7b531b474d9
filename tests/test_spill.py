"""Counting in bounded memory: whatever is spilled, the counts are those of a Counter."""
import gzip
import os
import pickle
import signal
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, strategies

from conftest import ROOT
from mc2 import cli, documents
from mc2.errors import BadData, BadUsage, Mc2Error
from mc2.metadata import parts, spill

KEYS = strategies.text(strategies.characters(exclude_characters="\n"), max_size=6)


def runs_of(directory, *counters):
    paths = []
    for number, counter in enumerate(counters):
        paths.append(f"{directory}/{number}.run")
        spill.write_run(paths[-1], sorted(counter.items()))
    return [spill.Run(path) for path in paths]


def test_runs_merge_into_one_sorted_count(tmp_path):
    runs = runs_of(tmp_path, {"b": 2, "a": 1}, {"b": 40, "c": 3}, {})
    assert list(spill.merge(runs)) == [("a", 1), ("b", 42), ("c", 3)]
    assert list(spill.merge(runs, "b", "c")) == [("b", 42)]
    assert list(spill.merge([])) == []


@given(strategies.lists(strategies.dictionaries(KEYS, strategies.integers(1, 2 ** 62)), max_size=5),
       strategies.integers(1, 5))
def test_any_runs_in_any_ranges_merge_to_the_sum(tmp_path_factory, counters, n):
    before, spill.BLOCK_ROWS = spill.BLOCK_ROWS, 3
    try:
        runs = runs_of(tmp_path_factory.mktemp("runs"), *counters)
    finally:
        spill.BLOCK_ROWS = before
    total = {}
    for counter in counters:
        for key, count in counter.items():
            total[key] = total.get(key, 0) + count
    merged = [row for start, stop in spill.ranges(runs, n) for row in spill.merge(runs, start, stop)]
    assert merged == sorted(total.items())


def test_a_tally_spills_and_loses_nothing(tmp_path):
    tally = spill.Tally(tmp_path, "words", memory=100_000)
    for number in range(200):
        tally.counts.update(f"w{number * k % 5003}" for k in range(100))
        tally.spill_if_large()
    paths = tally.finish()
    assert len(paths) > 3 and sorted(os.listdir(tmp_path)) == [f"words.{k:04}.run" for k in range(len(paths))]
    expected = Counter(f"w{number * k % 5003}" for number in range(200) for k in range(100))
    assert list(spill.merge(map(spill.Run, paths))) == sorted(expected.items())


def test_many_runs_are_reduced_to_few(tmp_path, monkeypatch):
    monkeypatch.setattr(spill, "FAN_IN", 3)
    paths = [run.path for run in runs_of(tmp_path, *({f"k{n % 4}": n} for n in range(1, 12)))]
    remaining = spill.reduce_runs(paths, tmp_path, "merged")
    assert len(remaining) <= 3 and set(paths) < set(map(str, tmp_path.iterdir()))
    assert dict(spill.merge(map(spill.Run, remaining))) == {"k0": 12, "k1": 15, "k2": 18, "k3": 21}


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:4] + b"x" + data[5:]])
def test_a_damaged_run_is_noticed(tmp_path, damage):
    run, = runs_of(tmp_path, {"a": 1, "b": 2})
    with open(run.path, "rb+") as stream:
        data = damage(stream.read())
        stream.seek(0)
        stream.truncate()
        stream.write(data)
    with pytest.raises(BadData, match="damaged. Delete"):
        list(spill.merge([spill.Run(run.path)]))


def test_rows_of_any_number_are_sorted_in_chunks(tmp_path):
    rows = [(f"w{n}", n * 7919 % 100) for n in range(1000)]
    paths = spill.sort_in_chunks(rows, _by_count, 64, tmp_path, "chunk")
    assert len(paths) == 16
    assert list(spill.merge_sorted(paths, _by_count)) == sorted(rows, key=_by_count)


def test_many_sorted_files_are_reduced_to_few(tmp_path):
    rows = [(f"w{n}", n * 7919 % 100) for n in range(1000)]
    paths = spill.sort_in_chunks(rows, _by_count, 64, tmp_path, "chunk")
    remaining = spill.reduce_sorted(paths, _by_count, tmp_path, "merged", fan_in=3)
    assert len(remaining) <= 3 and list(spill.merge_sorted(remaining, _by_count)) == sorted(rows, key=_by_count)


def test_a_cut_off_file_of_sorted_rows_is_noticed(tmp_path):
    path, = spill.sort_in_chunks([("a", 1)], _by_count, 64, tmp_path, "chunk")
    whole = open(path, "rb").read()
    for end in 0, 5, whole.index(b"\n") + 1, len(whole) - 2:
        with open(path, "wb") as stream:
            stream.write(whole[:end])
        with pytest.raises(BadData, match="damaged. Delete"):
            list(spill.merge_sorted([path], _by_count))


@pytest.mark.parametrize("planted", [pickle.dumps([("a", 1)]), b'{"a": 1}\n[]\n', b"[1]\n[]\n", b'[["a"]]\n[]\n'])
def test_what_is_no_file_of_sorted_rows_is_refused(tmp_path, monkeypatch, planted):
    path, = spill.sort_in_chunks([("a", 1)], _by_count, 64, tmp_path, "chunk")
    with open(path, "wb") as stream:
        stream.write(planted)
    monkeypatch.setattr(pickle, "load", lambda stream: pytest.fail("a pickle runs code when it is read"))
    with pytest.raises(BadData, match="damaged. Delete"):
        list(spill.merge_sorted([path], _by_count))


def _by_count(row):
    return -row[1], row[0]


# ---------------------------------------------------------------- parts

class Words(parts.Work):
    """Counts the words of strings; a part called "deadly" kills the process where there is a file `kill`."""

    options = {"version": 1}

    def describe(self, part):
        return part

    def count(self, part, directory, name):
        if part.startswith("deadly"):
            open(os.path.join(directory, f"{name}.begun"), "w").close()
            if os.path.exists(f"{directory}/../kill"):
                os.kill(os.getpid(), signal.SIGKILL)
        if part.startswith("new"):
            open(f"{directory}/../{part}", "x").close()     # fails when it is done twice
        return dict(Counter(part.split()))


def test_parts_that_are_finished_are_not_done_again(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    (work / "0123456789abcdef.0000.run").write_text("of an earlier run, not finished")
    assert parts.do_parts(Words(), ["new a", "b b"], work, 1) == ([{"new": 1, "a": 1}, {"b": 2}], 0)
    assert parts.do_parts(Words(), ["b b", "new a", "c"], work, 2) == ([{"b": 2}, {"new": 1, "a": 1}, {"c": 1}], 2)
    assert len(os.listdir(work)) == 3
    parts.do_parts(Words(), ["c"], work, 1)
    assert len(os.listdir(work)) == 1


def test_a_killed_run_goes_on_where_it_stopped(tmp_path):
    (tmp_path / "kill").touch()
    work = tmp_path / "work"
    work.mkdir()
    code = (f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); from test_spill import Words, parts\n"
            f"parts.do_parts(Words(), ['new a', 'deadly b'], {str(work)!r}, 1)")
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == -signal.SIGKILL
    assert any(name.endswith(".begun") for name in os.listdir(work))
    (tmp_path / "kill").unlink()
    assert parts.do_parts(Words(), ["new a", "deadly b"], work, 1) == ([{"new": 1, "a": 1}, {"deadly": 1, "b": 1}], 1)


def test_a_work_directory_has_one_owner_and_goes_when_all_is_well(tmp_path):
    path = tmp_path / "work"
    with parts.work_directory(path):
        (path / "x").touch()
        with pytest.raises(Mc2Error, match="another run is at work"):
            with parts.work_directory(path):
                pass
    assert not path.exists()
    with pytest.raises(KeyError):
        with parts.work_directory(path):
            raise KeyError
    assert not path.exists()                # nothing was finished
    with pytest.raises(KeyError):
        with parts.work_directory(path):
            (path / "part.json").touch()
            raise KeyError
    assert path.exists()


def test_a_kill_among_deletions_leaves_no_part_that_passes_for_finished(tmp_path, monkeypatch):
    work = tmp_path / "work"
    work.mkdir()
    for name in "0123456789abcdef.0000.run", "0123456789abcdef.json", "0123456789abcdef.0001.run":
        (work / name).touch()
    (work / "0123456789abcdef.json").write_bytes(documents.dumped({"files": {}}))
    deleted = []
    monkeypatch.setattr(parts.os, "unlink", lambda path, dir_fd=None: deleted.append(os.path.basename(path)))
    parts.do_parts(Words(), [], work, 1)
    assert deleted[0] == "0123456789abcdef.json" and len(deleted) == 3


# ---------------------------------------------------------------- the two commands that count in parts

KILLED = """
import os, sys
from mc2 import cli, own

def end_before_the_renaming(*paths):
    os._exit(9)

def end_among_the_deletions(directory):
    if not os.path.isdir(directory):        # what an earlier run may have left
        return
    for folder, _, names in os.walk(directory):
        for name in names:
            if not name.endswith(".json"):
                os.unlink(os.path.join(folder, name))
    os._exit(9)

{}
cli.run(sys.argv[1:])
"""


@pytest.mark.parametrize("command, outputs", [
    ("ngrams --text --wiki en text.txt --min-count 1", {"en.unigram.tsv": "red\t3\ncircle\t2\n",
                                                        "en.bigram.tsv": "red circle\t0.736966\t2\n"}),
    ("titles pageviews-20260101-000000.gz", {"en.title.tsv": "Red circle\t41\n"}),
])
@pytest.mark.parametrize("kill", ["os.rename = end_before_the_renaming", "own.remove_directory = end_among_the_deletions"])
def test_a_command_killed_while_it_cleans_up_can_be_run_again(tmp_path, monkeypatch, kill, command, outputs):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("red circle\nred\nred circle\n")
    (tmp_path / "pageviews-20260101-000000.gz").write_bytes(gzip.compress(b"en Red_circle 40 0\nen.m Red_circle 1 0\n"))
    arguments = ["build-metadata", *command.split(), "-o", "sources", "-q"]
    killed = subprocess.run([sys.executable, "-c", KILLED.format(kill), *arguments],
                            env={**os.environ, "PYTHONPATH": str(ROOT)})
    left = [path.name for path in (tmp_path / "sources").glob(".*")]
    assert killed.returncode == 9 and len(left) == 1
    for _ in range(2):
        assert cli.run(arguments) == 0
        assert {path.name: path.read_text() for path in (tmp_path / "sources").glob("*.tsv")} == outputs
        assert not list((tmp_path / "sources").glob(".*"))


def test_too_little_memory_is_refused():
    assert parts.memory_per_worker(1 << 30, 2) == 448 << 20
    with pytest.raises(BadUsage, match="--memory 100M is too little for 4 processes: each needs at least 96M"):
        parts.memory_per_worker(100 << 20, 4)
