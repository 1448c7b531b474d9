"""Columns that the user names hold for every line of an input, whatever other keys a line has."""
import json

import pytest

from mc2.pairs import shards
from mc2.pairs.columns import Reading, id_of_url, reading_of

BOTH = b'{"uid":1,"TEXT":"cat"}\n{"id":"q","text":"dog"}\n'
GIVEN = ["--columns id=uid,text=TEXT", "--id uid --text TEXT"]


def pairs_of(path, data, reading=Reading()):
    """All pairs of a file with these bytes, as dicts."""
    path.write_bytes(data)
    return [json.loads(batch.line(index)) for block in shards.read_blocks([str(path)], reading=reading)
            for batch in [block.batch()] for index in range(len(batch))]


def as_array(data):
    return b"[" + b",".join(data.splitlines()) + b"]"


def written(sh, command, name, data):
    """What a command does with a file of this name. (CompletedProcess, [(id, text)])"""
    (sh.directory / name).write_bytes(data)
    run = sh(f"mc2 lid {name} {command} -o out.jsonl")
    out = sh.directory / "out.jsonl"
    pairs = map(json.loads, out.read_bytes().splitlines()) if out.exists() else ()
    return run, [(pair["id"], pair["text"]) for pair in pairs]


# ---------------------------------------------------------------- a line without the columns that were named

@pytest.mark.parametrize("name, data", [("u.jsonl", BOTH), ("u.json", as_array(BOTH))])
@pytest.mark.parametrize("options, column", [*((each, "uid") for each in GIVEN), ("--id auto --text TEXT", "TEXT")])
def test_other_names_do_not_stand_in_for_the_columns_that_were_named(sh, name, data, options, column):
    run, _ = written(sh, options, name, data)
    assert run.status == 3
    assert f'{name}:2: no "{column}" key.' in run.stderr and "The keys are id, text." in run.stderr


@pytest.mark.parametrize("name, data", [("u.jsonl", BOTH), ("u.json", as_array(BOTH))])
def test_such_a_line_is_skipped_counted_and_kept_as_it_came_in(sh, name, data):
    run, pairs = written(sh, f"{GIVEN[0]} --on-error skip --rejects bad.jsonl", name, data)
    assert run.status == 0, run.stderr
    assert pairs == [("1", "cat")]
    kept, = map(json.loads, (sh.directory / "bad.jsonl").read_bytes().splitlines())
    assert kept == {"id": "q", "text": "dog"}
    assert 'no "uid" key' in run.stderr


@pytest.mark.parametrize("name, data", [("u.jsonl", BOTH), ("u.json", as_array(BOTH))])
def test_such_a_line_is_bad_too_where_images_stay_whole(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    blocks = shards.read_blocks([str(tmp_path / name)], whole_images=lambda block: block.batch(skip_bad=True),
                                reading=reading_of([], "uid", "TEXT"))
    batches = [block.batch(skip_bad=True) for block in blocks]
    assert [(each["id"], each["text"]) for batch in batches for each in batch.records] == [("1", "cat")]
    assert [(each.number, each.reason, each.line) for batch in batches for each in batch.rejects] == [
        (2, 'no "uid" key. Every pair needs an image id. The keys are id, text.', b'{"id":"q","text":"dog"}')]


@pytest.mark.parametrize("options, line, column", [
    (GIVEN[0], b'{"uid":"3"}', "TEXT"),
    (GIVEN[0], b'{"TEXT":"3"}', "uid"),
    (GIVEN[0], b'{}', "uid"),
    ("--id auto --text TEXT", b'{"uid":"3"}', "TEXT"),
])
@pytest.mark.parametrize("make", [("u.jsonl", lambda data: data), ("u.json", as_array)])
def test_the_message_names_the_column_that_was_named_and_does_not_advise_to_type_it(sh, options, line, column, make):
    name, change = make
    run, _ = written(sh, options, name, change(b'{"uid":1,"TEXT":"cat"}\n' + line))
    assert run.status == 3
    assert f'{name}:2: no "{column}" key.' in run.stderr
    assert "Did you mean" not in run.stderr and "Say which" not in run.stderr


def test_a_line_that_is_no_object_or_no_json_is_bad_as_before(sh):
    run, pairs = written(sh, f"{GIVEN[0]} --on-error skip", "u.jsonl", BOTH + b'["uid"]\n"uid"\n{"uid"\n')
    assert run.status == 0 and pairs == [("1", "cat")]
    for reason in ("not a JSON object", "not JSON", 'no "uid" key'):
        assert reason in run.stderr


def test_a_line_nested_too_deeply_to_be_renamed_is_not_taken_by_other_names(sh):
    deep = b'{"uid":2,"TEXT":"x","id":"q","text":"dog","a":' + b"[" * 300 + b"]" * 300 + b"}\n"
    run, pairs = written(sh, f"{GIVEN[0]} --on-error skip", "u.jsonl", BOTH[:23] + deep)
    assert run.status == 0 and pairs == [("1", "cat")]
    assert "nested too deeply" in run.stderr


def test_bytes_that_look_like_the_mark_of_such_a_line_are_no_json(sh):
    data = BOTH[:23] + b'{"id":"q"}\0not taken: [1]\n{"id":"q"}\0not taken: nul\n'
    run, pairs = written(sh, f"{GIVEN[0]} --on-error skip", "u.jsonl", data)
    assert run.status == 0 and pairs == [("1", "cat")]
    assert "not JSON" in run.stderr


# ---------------------------------------------------------------- the first objects of an array

MIXED = b'{"text":"cat"}\n{"text":"dog","url":"http"}\n'


def test_an_array_takes_its_columns_from_the_first_objects_as_lines_do(tmp_path):
    reading = reading_of([], "auto")
    as_lines = pairs_of(tmp_path / "a.jsonl", MIXED + b'{"text":"cow","url":"u"}', reading)
    assert [pair["id"] for pair in as_lines] == [id_of_url("http"), id_of_url("u")]
    assert pairs_of(tmp_path / "a.json", as_array(MIXED + b'{"text":"cow","url":"u"}'), reading) == as_lines


def test_a_column_that_the_first_object_of_an_array_lacks_is_found_in_the_next(sh):
    data = b'[{"url":"u"},{"url":"v","caption":"cat"}]'
    run, _ = written(sh, "--id auto --text caption", "a.json", data)
    assert run.status == 3 and 'a.json:1: no "caption" key.' in run.stderr
    run, pairs = written(sh, "--id auto --text caption --on-error skip", "a.json", data)
    assert run.status == 0 and pairs == [(id_of_url("v"), "cat")]


def test_a_column_that_none_of_the_first_objects_has_stops_the_command(sh):
    run, _ = written(sh, "--id auto --text captoin", "a.json", b'[{"url":"u"},{"url":"v","caption":"cat"}]')
    assert run.status == 3 and "no column is called captoin. The columns are url, caption." in run.stderr


@pytest.mark.parametrize("name, content", [
    ("a.json", b'[{"uid":"1","caption":"a"},{"x":5},{"uid":5.0,"caption":"b"}]'),
    ("a.jsonl", b'{"uid":"1","caption":"a"}\n{"x":5}\n{"uid":5.0,"caption":"b"}\n')])
def test_bad_lines_are_kept_without_any_mark_also_where_an_id_is_a_number(sh, name, content):
    (sh / name).write_bytes(content)
    sh.ok(f"mc2 lid {name} --id uid --text caption --rejects rejects.jsonl -o o.jsonl -q")
    assert (sh / "rejects.jsonl").read_bytes() == b'{"x":5}\n'
    assert [(pair["id"], pair["text"]) for pair in sh.read("o.jsonl")] == [("1", "a"), ("5", "b")]
    sh.ok(f"mc2 lid {name} --id uid --text caption --on-error skip -O out -q")
    (kept,) = (sh / "out/quarantine").glob("a*")
    assert b'"text":"{\\"x\\":5}"' in kept.read_bytes()
