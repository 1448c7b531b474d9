"""Lines that are no pairs: which of several is named, and that what they do to others does not depend on the blocks
that lines are read in."""
import json

import pytest
from conftest import pair

from mc2.pairs import shards

BAD = {"not JSON": "{", "no text": '{"id":"b","lang":"en","matched_entry_ids":[0]}',
       "a list as id": '{"id":[7],"text":"","lang":"en","matched_entry_ids":[0]}',
       "an entry that the metadata does not have": pair(3, "red", "en", [77]),
       "a language that the metadata does not have": pair(3, "red", "xx", [0]),
       "no list of entries": pair(3, "red", "en", [2, 1])}


def one_per_image(sh, name):
    done = sh(f"mc2 sample {name} -c counts -t all.json --one-per-image --on-error skip --seed 1")
    assert done.status == 0, done.stderr
    return [(json.loads(line)["id"][-1], json.loads(line)["text"]) for line in done.stdout.splitlines()]


@pytest.fixture
def kept_all(artefacts):
    """Artefacts whose thresholds keep every pair that matches anything."""
    artefacts.ok("mc2 thresholds counts --t-all 1000000 -o all.json -q")
    return artefacts


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_skipped_line_parts_no_image_wherever_blocks_end(kept_all, monkeypatch, bad):
    lines = [pair(1, "one", "en", [0]), bad, pair(1, "two", "en", [0]), bad, bad, pair(1, "three", "en", [0]),
             pair(2, "four", "en", [0]), bad]
    kept_all.write("in.jsonl", *lines)
    found = one_per_image(kept_all, "in.jsonl")
    assert [image for image, _ in found] == ["1", "2"]
    for size in (1, 100, 150, 200, 250, 300, 350, 400):
        monkeypatch.setattr(shards, "BLOCK", size)
        assert one_per_image(kept_all, "in.jsonl") == found


def test_a_long_image_full_of_skipped_lines_is_one_image(kept_all, monkeypatch):
    bad = BAD["an entry that the metadata does not have"]
    kept_all.write("in.jsonl", *([pair(1, "one", "en", [0])] + 40 * [bad]) * 5, pair(2, "two", "en", [0]))
    monkeypatch.setattr(shards, "BLOCK", 500)
    assert one_per_image(kept_all, "in.jsonl") == [("1", "one"), ("2", "two")]


@pytest.mark.parametrize("group", [1, 2, 3, 7])
def test_a_skipped_row_parts_no_image_wherever_row_groups_end(kept_all, group):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [pair(1, "one", "en", [0]), pair(3, "red", "en", [77]), pair(1, "two", "en", [0]),
            pair(3, None, "en", [0]), pair(1, "three", "en", [0]), pair(2, "four", "en", [0])]
    pq.write_table(pa.Table.from_pylist(rows), kept_all / "in.parquet", row_group_size=group)
    assert [image for image, _ in one_per_image(kept_all, "in.parquet")] == ["1", "2"]


@pytest.mark.parametrize("first", ["a language that the metadata does not have", "not JSON", "no text"])
@pytest.mark.parametrize("second", ["a language that the metadata does not have", "not JSON", "no text"])
def test_the_first_of_the_bad_lines_is_named(artefacts, first, second):
    artefacts.write("in.jsonl", pair(1, "red", "en"), BAD[first], pair(2, "red", "en"), BAD[second])
    for output in "-o out.jsonl", "-O out", "-o out.jsonl -j 2":
        done = artefacts(f"mc2 match in.jsonl -m toy {output}")
        assert done.status == 3 and "in.jsonl:2: " in done.stderr, done.stderr


def test_the_first_bad_line_is_named_whichever_stage_rejects_it(artefacts):
    lines = {2: BAD["an entry that the metadata does not have"], 5: BAD["no list of entries"], 8: "{"}
    for gone in ((), (2,), (2, 5)):
        left = {number: line for number, line in lines.items() if number not in gone}
        artefacts.write("in.jsonl", *(left.get(number, pair(number, "red", "en", [0])) for number in range(1, 10)))
        for command in "count in.jsonl -m toy -o new", "sample in.jsonl -c counts -t t.json -O out":
            done = artefacts(f"mc2 {command}")
            assert done.status == 3 and f"in.jsonl:{min(left)}: " in done.stderr, done.stderr


def test_the_first_bad_row_is_named(artefacts):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [pair(1, "red", "en"), pair(2, "red", "xx"), pair(3, None, "en")]
    pq.write_table(pa.Table.from_pylist(rows), artefacts / "in.parquet")
    artefacts.fails("mc2 match in.parquet -m toy -o out.jsonl", 3, "in.parquet:2: ", "'xx'")
