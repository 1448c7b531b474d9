"""Parquet beside JSON Lines: the same decisions, the same counts, the same pairs, whichever the files are."""
import base64
import io
import json
import os
import random
import subprocess
import sys
import tempfile

import numpy as np
import orjson
import pytest
from advised import follow
from conftest import ROOT, Shell, filled, line_of, pair
from hypothesis import given
from hypothesis import strategies as st

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    if os.environ.get("MC2_REQUIRE_PARQUET") == "1":
        raise
    pytest.skip("pyarrow is not installed", allow_module_level=True)

from mc2.pairs import parquet

from mc2.errors import BadData, BadLine
from mc2.pairs import arrow, jsonl
from mc2.pairs.batch import Labels, Lists, Strings

TEXTS = ["a red circle", "red", "a cat", "un chat noir", "chat", "", "nothing known", "a red cat, a circle"]
LIST = pa.list_(pa.uint32())


def pool(n):
    return [pair(i // 2, f"{TEXTS[i % 8]} {'' if i % 3 else i}", "fr" if "chat" in TEXTS[i % 8] else "en",
                 url=f"https://example.org/{i}") for i in range(n)]


def write_rows(path, rows, group=None, **types):
    """Write dicts as Parquet, `group` rows to a row group."""
    table = pa.Table.from_pylist(rows)
    for name, type in types.items():
        index = table.column_names.index(name)
        table = table.set_column(index, name, pa.array([row.get(name) for row in rows], type))
    pq.write_table(table, path, row_group_size=group)


def rows_of(path):
    return pq.read_table(path).to_pylist()


@pytest.fixture(scope="module")
def template(toy_template, tmp_path_factory):
    sh = filled(Shell(tmp_path_factory.mktemp("parquet")), toy_template)
    sh.write("pool.jsonl", *pool(400))
    write_rows(sh / "pool.parquet", pool(400), group=70)
    sh.ok("mc2 match pool.jsonl -m toy -o m.jsonl -q && mc2 match pool.parquet -m toy -o m.parquet -q &&"
          "mc2 count m.jsonl -m toy -o counts -q && mc2 thresholds counts --t-all 20 -o t.json -q")
    return sh.directory


@pytest.fixture
def matched(sh, template):
    """A pool as pool.jsonl and pool.parquet (row groups of 70); m.jsonl and m.parquet, with counts and thresholds."""
    return filled(sh, template)


# ---------------------------------------------------------------- the same as JSON Lines

def test_every_stage_gives_the_same_from_and_to_both_formats(matched):
    matched.ok("mc2 lid pool.jsonl -o l.jsonl -q && mc2 sample m.jsonl -c counts -t t.json -o s.jsonl -q")
    for command, source, expected in [("lid", "pool", "l"), ("match -m toy", "pool", "m"),
                                      ("sample -c counts -t t.json", "m", "s")]:
        lines = matched.read(f"{expected}.jsonl")
        assert 50 < len(lines) <= 400
        matched.ok(f"mc2 {command} {source}.jsonl -o a.parquet -q && mc2 {command} {source}.parquet -o b.parquet -q")
        assert matched.ok(f"mc2 {command} {source}.parquet -q").encode() == (matched / f"{expected}.jsonl").read_bytes()
        assert rows_of(matched / "a.parquet") == rows_of(matched / "b.parquet") == lines
        assert (matched / "a.parquet").read_bytes() == (matched / "b.parquet").read_bytes()


def test_counts_have_one_fingerprint_and_one_sample(matched):
    matched.ok("mc2 count m.parquet -m toy -o again -q && cmp counts/sample.jsonl again/sample.jsonl")
    one, other = (json.loads((matched / name / "manifest.json").read_bytes()) for name in ("counts", "again"))
    assert (one["fingerprint"], one["counts"]) == (other["fingerprint"], other["counts"])
    assert matched.ok("mc2 sample m.parquet -c counts -t t.json -n -q") == \
        matched.ok("mc2 sample m.jsonl -c counts -t t.json -n -q")


def test_jobs_do_not_change_a_byte(matched):
    rows = [row | {"note": "x" * 3000} for row in rows_of(matched / "m.parquet")]
    write_rows(matched / "big.parquet", rows * 4, group=900)            # several blocks
    matched.write("big.jsonl", *rows * 4)
    for command in "match big.jsonl -m toy", "sample big.parquet -c counts -t t.json --one-per-image":
        for jobs in 1, 2:
            matched.ok(f"mc2 {command} -j {jobs} -o {jobs}.parquet -q")
        assert (matched / "1.parquet").read_bytes() == (matched / "2.parquet").read_bytes()


def test_formats_mix_in_one_stream(matched):
    matched.ok("mc2 lid pool.parquet pool.jsonl -o both.parquet -q")
    lines = matched.ok("mc2 lid pool.parquet - -q", (matched / "pool.jsonl").read_bytes()).splitlines()
    assert rows_of(matched / "both.parquet") == [json.loads(line) for line in lines]
    assert len(lines) == 800


@pytest.mark.parametrize("group", [1, 2, 3, 7])
def test_an_image_is_not_split_between_row_groups(matched, monkeypatch, group):
    rng = random.Random(group)
    rows = [pair(image, f"red {rng.random()}", "en", [0]) for image in range(30) for _ in range(rng.randrange(1, 5))]
    matched.write("images.jsonl", *rows)
    write_rows(matched / "images.parquet", rows, group=group, matched_entry_ids=LIST)
    command = "mc2 sample -c counts -t t.json --one-per-image -q"
    assert matched.ok(f"{command} images.parquet") == matched.ok(f"{command} images.jsonl")
    assert {row["id"] for row in rows} >= {json.loads(line)["id"]
                                           for line in matched.ok(f"{command} images.parquet").splitlines()}


@pytest.mark.parametrize("groups, whole", [
    (["ab", "bc"], ["a", "bb", "c"]),
    (["aa", "aa", "ab", "b"], ["aaaaa", "bb"]),
    (["a", "b", "c"], ["a", "b", "c"]),
    (["!a", "!", "a!", "!b"], ["!a!a!", "!b"]),
    (["!!", "!!"], ["!!!!"]),
    ([], []),
])
def test_rows_of_one_image_stay_in_one_block(groups, whole):
    tables = [pa.table({"id": pa.array([None if i == "!" else i for i in group], pa.string()),
                        "text": pa.array([""] * len(group), pa.string())}) for group in groups]
    found = parquet._whole_images(tables, lambda block: block.batch(skip_bad=True))
    assert ["".join(i or "!" for i in table["id"].to_pylist()) for table in found] == whole


# ---------------------------------------------------------------- shards

def test_shards_keep_their_suffix_and_are_finished_like_any_other(matched):
    matched.write("list.txt", *(f"in/{name}" for name in ("a.parquet", "b.parquet", "c.jsonl")))
    matched.ok("mkdir in; cp pool.parquet in/a.parquet; cp pool.parquet in/b.parquet; cp pool.jsonl in/c.jsonl;"
               "mc2 match @list.txt -m toy -O out -j 2 -q")
    assert sorted(path.name for path in (matched / "out").glob("[!.]*"))[::2] == ["a.parquet", "b.parquet", "c.jsonl"]
    assert rows_of(matched / "out/a.parquet") == rows_of(matched / "out/b.parquet") == matched.read("out/c.jsonl")
    assert matched.ok("mc2 match in/* -m toy -O out -n").count("finished\t") == 3
    os.utime(matched / "in/b.parquet", (1, 1))
    assert matched.ok("mc2 match in/* -m toy -O out -n --shard 1/3") == "to do\tin/b.parquet\tout/b.parquet\n"
    (matched / "out/a.parquet").write_bytes((matched / "out/a.parquet").read_bytes()[:-9])
    assert "finished" not in matched.ok("mc2 match in/a.parquet -m toy -O out -n")


def test_the_manifest_of_a_parquet_output_is_that_of_any_output(matched):
    matched.ok("mc2 match pool.parquet -m toy -o out.parquet -q")
    found = json.loads((matched / "out.parquet.manifest.json").read_bytes())
    assert found["counts"]["out"] == 400 and found["stage"] == "match"
    assert found["inputs"][0]["bytes"] == (matched / "pool.parquet").stat().st_size


def test_nothing_is_a_valid_stream_too(toy):
    toy.ok("mc2 lid -o no.parquet -q && mc2 match no.parquet -m toy -o none.parquet -q && mc2 lid no.parquet -q")
    assert pq.read_table(toy / "no.parquet").to_pydict() == {"id": [], "text": []}
    assert pq.read_table(toy / "none.parquet").to_pydict() == {"id": [], "text": [], "matched_entry_ids": []}
    toy.ok("mc2 count none.parquet -m toy -o counts -q")
    write_rows(toy / "one.parquet", [pair(1, "nothing", "en", [])], matched_entry_ids=LIST)
    toy.ok("mc2 thresholds counts --t-all 1 -o t.json -q && mc2 sample one.parquet -c counts -t t.json -o s.parquet -q")
    assert pq.read_schema(toy / "s.parquet").names == ["id", "text", "lang", "matched_entry_ids"]


# ---------------------------------------------------------------- what is written

def table_of(*lines, add=None):
    """Lines of JSON, as the table that is written."""
    batch = jsonl.Block("p.jsonl", 1, b"\n".join(map(line_of, lines))).batch()
    for key, values in (add or {}).items():
        batch.add(key, values)
    return arrow.encode(batch)


def written(*tables):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "x.parquet")
        with parquet.open_write(path) as writer:
            for table in tables:
                writer.write(table)
        with open(path, "rb") as stream:
            return pq.ParquetFile(io.BytesIO(stream.read()))


def test_the_keys_of_the_stages_have_fixed_types_and_come_last():
    add = {"lid": ["fr"], "lid_prob": [1.0], "lang": ["fr"], "matched_entry_ids": [[]]}
    table = written(table_of({"lang": 7, "id": "a", "n": 1, "text": "t"}, add=add)).read()
    assert {field.name: str(field.type) for field in table.schema} == {
        "id": "string", "n": "int64", "text": "string", "lid": "string", "lid_prob": "double", "lang": "string",
        "matched_entry_ids": "list<element: uint32>"}
    assert table.to_pylist() == [{"id": "a", "n": 1, "text": "t", "lid": "fr", "lid_prob": 1.0, "lang": "fr",
                                  "matched_entry_ids": []}]


def test_columns_are_compressed_and_only_those_of_few_values_have_a_dictionary():
    file = written(table_of(*(pair(i, f"text {i}", "en", [i], source="alt") for i in range(100))))
    columns = [file.metadata.row_group(0).column(i) for i in range(5)]
    assert {column.compression for column in columns} == {"ZSTD"}
    assert {column.path_in_schema for column in columns if column.has_dictionary_page} == {"source", "lang"}


def test_row_groups_do_not_depend_on_the_blocks(monkeypatch):
    monkeypatch.setattr(parquet, "GROUP_ROWS", 10)
    lines = [pair(i, "t") for i in range(33)]
    one = written(table_of(*lines))
    other = written(*(table_of(*lines[i:i + 4]) for i in range(0, 33, 4)))
    assert [one.metadata.row_group(i).num_rows for i in range(one.num_row_groups)] == [10, 10, 10, 3]
    assert one.read() == other.read() and str(one.metadata.to_dict()) == str(other.metadata.to_dict())


def test_a_key_that_comes_late_is_a_column_like_any_other(monkeypatch):
    monkeypatch.setattr(parquet, "GROUP_ROWS", 2)
    lines = [pair(i, "t") for i in range(9)]
    lines[6] |= {"robots": {"noindex": True}}
    lines[8] |= {"robots": {"why": "x"}, "n": 1}
    file = written(*map(table_of, lines))
    nothing = {"robots": None, "n": None}
    assert file.read().to_pylist() == [nothing | line for line in lines[:6]] + [
        nothing | lines[6] | {"robots": {"noindex": True, "why": None}}, nothing | lines[7],
        lines[8] | {"robots": {"noindex": None, "why": "x"}}]
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [2, 2, 2, 2, 1]


def test_integers_become_doubles_where_that_is_exact(monkeypatch):
    monkeypatch.setattr(parquet, "GROUP_ROWS", 1)
    file = written(table_of(pair(1, "t", n=1)), table_of(pair(2, "t", n=2.5)), table_of(pair(3, "t", n=3)))
    assert file.read()["n"].to_pylist() == [1.0, 2.5, 3.0]
    for numbers in (2**53 + 1, 0.5), (0.5, 2**53 + 1):
        with pytest.raises(BadLine, match='^p.jsonl:[12]: "n" does not fit its column .*A Parquet column has one type'):
            written(table_of(*(pair(1, "t", n=n) for n in numbers)))
        with pytest.raises(BadData, match='"n" does not fit its column'):
            written(*(table_of(pair(1, "t", n=n)) for n in numbers))


def test_a_key_of_two_types_is_an_error_that_names_the_line():
    for first, second in (1, "x"), ("x", 1), (True, 1), ([1], ["x"]), ([1], 1), ({"a": 1}, {"a": "x"}), ({}, []):
        lines = [pair(1, "t", n=first), pair(2, "t"), pair(3, "t", n=None), pair(4, "t", n=second)]
        with pytest.raises(BadLine, match='^p.jsonl:4: "n" does not fit its column'):
            table_of(*lines)
        later = arrow.encode(jsonl.Block("p.jsonl", 3, b"\n".join(map(line_of, lines[2:]))).batch())
        with pytest.raises(BadLine, match='^p.jsonl:4: "n" is .*, but .* before. A Parquet column has one type'):
            written(table_of(*lines[:2]), later)


def test_an_integer_beyond_64_bits_is_an_error_that_names_the_line():
    with pytest.raises(BadLine, match='^p.jsonl:2: "n" does not fit'):
        table_of(pair(1, "t", n=1), pair(2, "t", n=2**63))


def test_an_object_without_keys_has_no_form_in_parquet(sh):
    sh.write("a.jsonl", pair(1, "t", meta={}))
    done = sh("mc2 lid a.jsonl -o out.parquet")
    assert (done.status, "out.parquet: Parquet has no form for these columns" in done.stderr) == (3, True)
    assert not list(sh.directory.glob("*out.parquet*"))
    sh.write("a.jsonl", pair(1, "t", meta={}), pair(2, "t", meta={"x": 1}))
    sh.ok("mc2 lid a.jsonl -o out.parquet -q")


def test_a_type_conflict_is_no_bad_line_that_could_be_skipped(sh):
    sh.write("a.jsonl", pair(1, "t", n=1), pair(2, "t", n="x"))
    done = sh("mc2 lid a.jsonl -o out.parquet --on-error skip")
    assert (done.status, done.stderr.startswith('mc2 lid: a.jsonl:2: "n" does not fit its column')) == (3, True)


plain = st.booleans() | st.integers(-2**63, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) \
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
values = st.recursive(st.none() | plain, lambda inner: st.lists(inner, max_size=3)
                      | st.dictionaries(st.sampled_from("xyz"), inner, min_size=1, max_size=2), max_leaves=6)


def without_nulls(value):
    """Nulls are keys that are not there, at any depth but in lists."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


@given(st.lists(st.dictionaries(st.sampled_from("abc"), values, max_size=2), min_size=1, max_size=5))
def test_what_json_holds_comes_back_from_parquet_or_is_refused(more):
    lines = [pair(number, "t") | extra for number, extra in enumerate(more)]
    try:
        file = written(*(table_of(line) for line in lines))
    except BadData:
        return                                  # two types in one key, or an object without keys
    block = arrow.Block("x.parquet", 1, arrow.to_ipc(file.read()))
    found = [orjson.loads(line) for line in jsonl.encode(block.batch()).splitlines()]
    assert [without_nulls(record) for record in found] == [without_nulls(line) for line in lines]
    assert [list(record)[:2] for record in found] == [["id", "text"]] * len(lines)


# ---------------------------------------------------------------- what is read

def batch_of(columns, requires=(), skip_bad=False):
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    return arrow.Block("p.parquet", 11, arrow.to_ipc(table)).batch(requires, skip_bad)


def json_of(type, *values):
    """The values of a column `x`, as JSON Lines have them."""
    n = len(values)
    lines = jsonl.encode(batch_of({"id": ["a"] * n, "text": ["t"] * n, "x": pa.array(values, type)})).splitlines()
    return [orjson.loads(line).get("x") for line in lines]


def test_types_that_json_does_not_have_become_those_it_has():
    from datetime import date, datetime
    from decimal import Decimal
    assert json_of(pa.timestamp("ns", "UTC"), datetime(2020, 1, 2, 3, 4, 5)) == ["2020-01-02 03:04:05.000000000Z"]
    assert json_of(pa.struct([("d", pa.date32())]), {"d": date(2020, 1, 2)}) == [{"d": "2020-01-02"}]
    assert json_of(pa.decimal128(5, 2), Decimal("1.50"), None) == ["1.50", None]
    assert json_of(pa.binary(), b"\x00\xff") == [base64.b64encode(b"\x00\xff").decode()]
    assert json_of(pa.float64(), 0.5, float("nan"), float("inf")) == [0.5, None, None]
    assert json_of(pa.float16(), np.float16(0.5)) == [0.5]
    assert json_of(pa.uint64(), 2**64 - 1) == [2**64 - 1]
    assert json_of(pa.map_(pa.string(), pa.int8()), [("k", 1)]) == [[["k", 1]]]
    assert json_of(pa.large_string(), "é") == ["é"]
    assert json_of(pa.list_(pa.list_(pa.string())), [["a"], []]) == [[["a"], []]]
    assert json_of(pa.null(), None) == [None]
    with pytest.raises(BadData, match='the column "x" .*has no form in JSON'):
        json_of(pa.month_day_nano_interval(), (1, 2, 3))


def test_columns_that_no_stage_knows_pass_from_parquet_to_parquet_as_they_are(matched):
    table = pq.read_table(matched / "pool.parquet")
    n = len(table)
    more = {"image": pa.array([b"\xff\x00"] * n), "when": pa.array([7] * n, pa.timestamp("ns", "UTC")),
            "score": pa.array([float("nan")] * n, pa.float32()), "half": pa.array([None] * n, pa.null()),
            "deep": pa.array([{"a": [1], "b": None}] * n, pa.struct([("a", pa.list_(pa.int8())), ("b", pa.string())]))}
    for name, column in more.items():
        table = table.append_column(name, column)
    pq.write_table(table, matched / "rich.parquet", row_group_size=150)
    matched.ok("mc2 match rich.parquet -m toy -o out.parquet -q")
    assert pq.read_table(matched / "out.parquet", columns=list(more)).drop_columns("score") \
        .equals(table.select(list(more)).drop_columns("score"))
    assert pq.read_schema(matched / "out.parquet").names == [*table.column_names, "matched_entry_ids"]


STRINGS = pa.array(["a", "b"]), pa.array(["a red circle", "un été noir"])


@pytest.mark.parametrize("type", [
    pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()),
    pa.dictionary(pa.int8(), pa.large_string()), pa.binary(), pa.large_binary(), pa.binary_view(),
    pa.dictionary(pa.int32(), pa.binary())], ids=str)
def test_strings_of_every_kind_are_one_type_in_one_output(sh, type):
    ids, texts = ((column.cast(pa.binary()) if "binary" in str(type) else column).cast(type) for column in STRINGS)
    pq.write_table(pa.table({"id": ids, "text": texts, "url": texts}), sh / "a.parquet")
    pq.write_table(pa.table({"id": STRINGS[0], "text": STRINGS[1], "url": STRINGS[1]}), sh / "b.parquet")
    for inputs in "a.parquet b.parquet", "b.parquet a.parquet":
        sh.ok(f"mc2 lid {inputs} -o both.parquet -q && mc2 lid {inputs} -o both.jsonl -q")
        assert rows_of(sh / "both.parquet") == sh.read("both.jsonl")
        assert sh.read("both.jsonl")[:2] == sh.read("both.jsonl")[2:]


@pytest.mark.parametrize("made", [
    lambda: pa.array([["a"], [], None], pa.list_(pa.string_view())),
    lambda: pa.array([["a"], [], None], pa.large_list(pa.dictionary(pa.int8(), pa.string()))),
    lambda: pa.array([["a"], ["b", "c"], None], pa.list_view(pa.string())),
    lambda: pa.array([{"x": "a"}, {"x": None}, None], pa.struct([("x", pa.string_view())])),
    lambda: pa.array([[("k", "v")], [], None], pa.map_(pa.string(), pa.string_view())),
])
def test_strings_within_lists_and_objects_are_plain_too(made):
    column = made()
    table = parquet._plain(pa.table({"x": column}))
    table.validate(full=True)
    assert table["x"].to_pylist() == column.to_pylist()
    assert not any(kind in str(table["x"].type) for kind in ("view", "dictionary"))


def test_bytes_that_are_no_text_are_bad_rows(sh):
    write_rows(sh / "a.parquet", [{"id": b"a", "text": b"t\xe9"}, {"id": b"b", "text": "t\xe9".encode()}])
    sh.fails("mc2 lid a.parquet", 3, 'a.parquet:1: "text" is not UTF-8. --on-error skip leaves such rows out.')
    assert json.loads(sh.ok("mc2 lid a.parquet --on-error skip -q"))["text"] == "t\xe9"


@pytest.mark.parametrize("columns, message, texts", [
    ({"id": [1, 2]}, '"id" is not a string. The columns are id (int64), text (string). Convert them', None),
    ({"id": [1.0, 2.0]}, '"id" is not a string. The columns are id (double), text (string).', None),
    ({"id": pa.array([b"0" * 16, b"1" * 16], pa.uuid())}, "are id (extension<arrow.uuid>), text (string).", None),
    ({"text": [["t", "u"], ["v"]]}, '"text" is not a string. The columns are id (string), text (list<element: string>)',
     ["t", "u", "v"]),
    ({"text": [{"en": "t"}, {"en": "u"}]}, "The columns are id (string), text (struct<en: string>).", None),
    ({"text": None, "CAPTION": ["t", "u"]}, 'no "text" key. Every pair needs its alt-text. The columns are id '
                                            "(string), CAPTION (string). Give them these names", None),
    ({"id": None, "text": None, "SAMPLE_ID": [1e11, 2e11], "it's": [1, 2], "TEXT": ["t", "u"]},
     "The columns are SAMPLE_ID (double), it's (int64), TEXT (string).", None),
])
def test_columns_that_do_not_fit_are_named_with_a_command_that_mends_them(sh, columns, message, texts):
    columns = {"id": ["a", "b"], "text": ["t", "u"]} | columns
    table = pa.table({name: column for name, column in columns.items() if column is not None})
    pq.write_table(table, sh / "it's.parquet")
    done = sh.fails('mc2 lid "it\'s.parquet" -o out.jsonl', 3, "it's.parquet:1: ", message)
    follow(sh, done.stderr)
    sh.ok("mc2 lid new.parquet -o out.jsonl -q")
    assert [row["text"] for row in sh.read("out.jsonl")] == (texts or ["t", "u"])
    if "SAMPLE_ID" in columns:
        assert [row["id"] for row in sh.read("out.jsonl")] == ["100000000000", "200000000000"]


def test_columns_that_are_not_read_are_named_too(matched):
    pq.write_table(pq.read_table(matched / "m.parquet").rename_columns(
        ["uid", *pq.read_schema(matched / "m.parquet").names[1:]]), matched / "u.parquet")
    matched.fails("mc2 count u.parquet -m toy -o new", 3, 'no "id" key.', "url (string)", "uid (string)")


def test_names_of_columns_are_shown_in_one_line(sh):
    write_rows(sh / "a.parquet", [{"a\nb\x1b[2J": "x", **{f"column {i}": "x" for i in range(60)}}])
    sh.fails("mc2 lid a.parquet", 3, "The columns are a\\nb\\x1b[2J (string), column 0 (string)", " and 41 more.")


def test_a_directory_of_parquet_is_refused_with_the_files_in_it(sh):
    for name in "a/0.parquet", "b/part=0/0.parquet", "b/part=1/0.parquet", "c.parquet/0.parquet", "d/x.txt":
        (sh / name).parent.mkdir(parents=True, exist_ok=True)
        write_rows(sh / name, [{"id": "a", "text": "t"}])
    for directory, files in ("a", "a/*.parquet"), ("b", "b/*/*.parquet"), ("c.parquet", "c.parquet/*.parquet"):
        sh.fails(f"mc2 lid {directory}", 2, f"{directory}: is a directory. Name the files in it, e.g. {files}.")
        sh.ok(f"mc2 lid {files} -O out-{directory} -q")


def test_categories_and_other_strings_are_strings(toy):
    rows = pool(20)
    write_rows(toy / "a.parquet", rows, lang=pa.dictionary(pa.int8(), pa.string()), text=pa.large_string())
    toy.write("a.jsonl", *rows)
    assert toy.ok("mc2 match a.parquet -m toy -q").splitlines() == \
        [json.dumps({key: row[key] for key in row}, separators=(",", ":"), ensure_ascii=False)
         for row in map(json.loads, toy.ok("mc2 match a.jsonl -m toy -q").splitlines())]
    toy.ok("mc2 match a.jsonl a.parquet -m toy -o both.parquet -q")


@pytest.mark.parametrize("column, message", [
    (None, 'no "lang" key. Run .mc2 lid. first'),
    (pa.array(["en", None]), '12: no "lang" key. Run .mc2 lid. first'),
    (pa.array([1, 2]), '11: "lang" is not a string'),
    (pa.array([b"en", b"fr"]), '11: "lang" is not a string'),
    (pa.Array.from_buffers(pa.string(), 2, pa.array([b"en", b"\xff"]).buffers()), '12: "lang" is not UTF-8'),
])
def test_a_row_that_is_no_pair_is_named_by_its_number(column, message):
    columns = {"id": ["a", "b"], "text": ["t", "u"]} | ({} if column is None else {"lang": column})
    with pytest.raises(BadLine, match=f"p.parquet:.*{message}"):
        batch_of(columns, ["id", "text", "lang"][2:])
    batch = batch_of(columns, ["lang"], skip_bad=True)
    assert len(batch) + sum(n for why, n in batch.tally.items() if why.startswith("bad: ")) == batch.tally["in"] == 2


def test_bad_rows_are_skipped_counted_and_kept_as_lines(toy):
    rows = [pair(1, "red", "en"), pair(2, None, "en"), pair(3, "cat", "xx"), {"text": "t"}, pair(4, "chat", "fr")]
    write_rows(toy / "a.parquet", rows, group=2)
    for jobs in 1, 2:
        done = toy(f"mc2 match a.parquet -m toy --rejects bad.jsonl -j {jobs} -o out.parquet")
        assert (done.status, [row["text"] for row in rows_of(toy / "out.parquet")]) == (0, ["red", "chat"])
        assert sorted(map(str, toy.read("bad.jsonl"))) == sorted(map(str, [
            {"id": rows[1]["id"], "lang": "en"}, {"text": "t"}, rows[2]]))
        assert 'match: 5 pairs in, 2 matched, 0 without a match, 1 bad lines skipped ("lang" is none of toy)' in done.stderr
    done = toy("mc2 match a.parquet -m toy")
    assert (done.status, done.stderr) == (3, 'mc2 match: a.parquet:2: no "text" key. Every pair needs its alt-text. It '
                                             'is null; --on-error skip leaves such rows out.\n')


@pytest.mark.parametrize("column", [
    pa.array([[2, 1]]), pa.array([[1, 1]]), pa.array([[-1]]), pa.array([[1.0]]), pa.array([["1"]]),
    pa.array([[2**32]]), pa.array([[None]], pa.list_(pa.int64())), pa.array([3]), pa.array([[True]])])
def test_matched_entry_ids_must_be_ascending_entry_ids(column):
    columns = {"id": ["a"], "text": ["t"], "matched_entry_ids": column}
    with pytest.raises(BadLine, match="^p.parquet:11: .*matched_entry_ids"):
        batch_of(columns, ["matched_entry_ids"]).matched_ids()


@pytest.mark.parametrize("type", [LIST, pa.large_list(pa.int64()), pa.list_(pa.int16())])
def test_matched_ids_are_rows_of_unequal_length(type):
    lists = [[], [3, 9], [], [0], []]
    columns = {"id": list("abcde"), "text": list("abcde"), "matched_entry_ids": pa.array(lists, type)}
    offsets, ids = batch_of(columns, ["matched_entry_ids"]).matched_ids()
    assert (offsets.tolist(), ids.tolist(), ids.dtype) == ([0, 0, 2, 2, 3, 3], [3, 9, 0], np.uint32)
    batch = batch_of(pa.table(columns).slice(1, 3), ["matched_entry_ids"])
    batch.select([True, False, True])
    assert [array.tolist() for array in batch.matched_ids()] == [[0, 2, 3], [3, 9, 0]]


@pytest.mark.parametrize("type", [pa.string(), pa.large_string(), *([pa.string_view()] if hasattr(pa, "string_view") else [])])
def test_texts_and_languages_are_arrays_whatever_type_of_string_they_are(type):
    texts, langs = ["", "naïve", "漢字, and longer than twelve bytes", "", "x" * 40], ["fr", "en", "fr", "zh_yue", "en"]
    columns = {"id": list("abcde"), "text": pa.array(texts, type), "lang": pa.array(langs, type)}
    for table, rows in (pa.table(columns), slice(0, 5)), (pa.table(columns).slice(1, 3), slice(1, 4)), \
                       (pa.table(columns).slice(0, 0), slice(0, 0)):
        batch = batch_of(table, ["lang"])
        assert batch.strings("text").tolist() == texts[rows] == batch.texts
        assert batch.labels("lang").tolist() == langs[rows] and batch.labels("lang").names == list(dict.fromkeys(langs[rows]))
        if type in (pa.string(), pa.large_string()):        # Arrow selects no views; files are read without them
            batch.select([number != 1 for number in range(len(batch))])
        assert batch.strings("text").tolist() == batch.texts and batch.labels("lang").tolist() == batch.column("lang")


def test_columns_of_all_forms_become_the_same_columns_of_a_table():
    n, forms = 3, {"lid": (Labels(np.array([0, 1, 0]), ["fr", "unused?"]), ["fr", "unused?", "fr"]),
                   "lid_prob": (Labels(np.array([2, 0, 2]), [0.5, 0.25, 1]), [1.0, 0.5, 1.0]),
                   "matched_entry_ids": (Lists(np.array([0, 2, 2, 3]), np.array([1, 2, 4294967295], np.uint32)), [[1, 2], [], [4294967295]]),
                   "kind": (Labels(np.array([0, 0, 0]), [1, "unused"]), [1, 1, 1]), "note": (Strings.of(["é", "", "b"]), ["é", "", "b"]),
                   "score": (np.array([0.5, 1, 2]), [0.5, 1, 2])}
    tables = []
    for values in ({key: forms[key][0] for key in forms}, {key: forms[key][1] for key in forms}):
        for block in arrow.Block("p", 1, arrow.to_ipc(pa.table({"id": list("abc"), "text": list("tuv")}))), \
                     jsonl.Block("p", 1, b"\n".join(b'{"id":"%c","text":"%c"}' % pair for pair in zip(b"abc", b"tuv"))):
            batch = block.batch()
            for key in values:
                batch.add(key, values[key])
            assert len(batch) == n
            tables.append(arrow.from_ipc(arrow.encode(batch)))
    assert all(table.equals(tables[0]) for table in tables), tables
    assert tables[0].schema.field("kind").type == pa.int64()


def test_an_added_key_is_seen_by_the_next_stage_of_the_batch():
    for batch in batch_of({"id": ["a", "b"], "text": ["t", "u"]}), \
            jsonl.Block("p", 1, b'{"id":"a","text":"t"}\n{"id":"b","text":"u"}').batch():
        batch.add("lang", ["en", "fr"])
        batch.add("matched_entry_ids", [[1], [2, 3]])
        batch.select([False, True])
        assert (batch.by_lang(), batch.matched_ids()[1].tolist()) == ({"fr": [0]}, [2, 3])
        assert orjson.loads(jsonl.encode(batch)) == {"id": "b", "text": "u", "lang": "fr", "matched_entry_ids": [2, 3]}


# ---------------------------------------------------------------- only what is needed

def test_counting_reads_only_the_columns_that_it_counts(matched):
    """Overwritten with zeros, the column `url` fails those that read it, and only those."""
    column = next(column for column in map(pq.ParquetFile(matched / "m.parquet").metadata.row_group(0).column, range(4))
                  if column.path_in_schema == "url")
    data = bytearray((matched / "m.parquet").read_bytes())
    data[column.data_page_offset:column.data_page_offset + column.total_compressed_size] = \
        bytes(column.total_compressed_size)
    (matched / "holed.parquet").write_bytes(data)
    assert "400 pairs in" in matched("mc2 count holed.parquet -m toy -o again").stderr
    assert matched("mc2 sample holed.parquet -c counts -t t.json -n").status == 0
    done = matched("mc2 sample holed.parquet -c counts -t t.json")
    assert (done.status, "holed.parquet: not Parquet, or damaged" in done.stderr) == (3, True)


def test_long_row_groups_are_read_in_small_blocks(sh):
    write_rows(sh / "a.parquet", [pair(i, random.Random(i).randbytes(300).hex()) for i in range(20_000)])
    blocks = list(parquet.read_blocks(str(sh / "a.parquet")))
    assert [block.number for block in blocks] == list(np.cumsum([1, *(len(block.batch()) for block in blocks[:-1])]))
    assert len(blocks) > 3 and sum(len(block.batch()) for block in blocks) == 20_000
    assert max(len(block.batch()) for block in blocks) <= parquet.ROWS_PER_BLOCK


# ---------------------------------------------------------------- DataComp's subset form

def test_uids_are_a_sorted_subset_file_of_datacomp(matched):
    uids = [f"{random.Random(i).getrandbits(128):032x}" for i in range(60)]
    rows = [{"id": uid, "text": f"red {i}", "lang": "en", "matched_entry_ids": [0]} for uid in uids for i in range(2)]
    write_rows(matched / "dc.parquet", rows, matched_entry_ids=LIST)
    matched.ok("mc2 count dc.parquet -m toy -o c -q && mc2 thresholds c --t-all 50 -o t.json -q")
    command = "mc2 sample dc.parquet -c c -t t.json"
    stdout = matched.ok(f"{command} --uids u.npy -j 2")
    kept = {json.loads(line)["id"] for line in matched.ok(f"{command} -q").splitlines()}
    found = np.load(matched / "u.npy")
    assert (stdout, found.dtype, len(found)) == ("", np.dtype("u8,u8"), len(kept))
    assert 20 < len(kept) < 60
    assert [f"{high:016x}{low:016x}" for high, low in found.tolist()] == sorted(kept)
    manifest = json.loads((matched / "u.npy.manifest.json").read_bytes())
    assert (manifest["kind"], manifest["counts"]["uids"]) == ("uids", len(kept))
    done = matched(f"{command} --uids again.npy -o s.parquet")
    assert f"{len(kept)} uids, 72 not drawn -> s.parquet, again.npy" in done.stderr
    assert (matched / "again.npy").read_bytes() == (matched / "u.npy").read_bytes()
    assert {row["id"] for row in rows_of(matched / "s.parquet")} == kept


def test_ids_that_are_no_uids_and_other_misuse_end_with_2(matched):
    command = "mc2 sample m.jsonl -c counts -t t.json"
    for more, message in [("--uids u.npy", "--uids works for DataComp ids only"), ("--uids u.txt", ".npy"),
                          ("--uids u.npy -O out", "exclude each other"), ("--uids m.jsonl", ".npy")]:
        done = matched(f"{command} {more}")
        assert (done.status, message in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.stderr
    for bad in "0" * 31, "0x" + "0" * 30, "é" * 32, "0" * 31 + "\n":
        matched.write("one.jsonl", pair(1, "zzz", "en", [5]) | {"id": bad})
        assert "one.jsonl:1: the id " in matched("mc2 sample one.jsonl -c counts -t t.json --uids u.npy").stderr
    assert not (matched / "u.npy").exists()


# ---------------------------------------------------------------- faults

def test_a_cut_off_or_damaged_file_is_an_error_that_names_it(matched):
    data = (matched / "pool.parquet").read_bytes()
    damaged = bytearray((matched / "m.parquet").read_bytes())       # mc2 wrote it, with checksums
    damaged[len(damaged) // 3] ^= 1
    for bad in (data[:0], data[:3], data[:len(data) // 2], data[:-1], data[len(data) // 3:], bytes(damaged),
                b"PAR1" * 9, b'{"id":"a","text":"t"}\n'):
        (matched / "bad.parquet").write_bytes(bad)
        done = matched("mc2 lid bad.parquet -o out.jsonl")
        assert (done.status, done.stderr.count("\n")) == (3, 1), done.stderr
        assert done.stderr.startswith("mc2 lid: bad.parquet: not Parquet, or damaged or cut off (")
        assert not (matched / "out.jsonl").exists()


def test_parquet_is_not_read_from_pipes(matched):
    done = matched("mc2 lid", (matched / "pool.parquet").read_bytes())
    assert done.status == 3
    assert "<stdin>:1: not JSON but Parquet. Name a file that ends in .parquet" in done.stderr
    done = matched("mkfifo x.parquet; cat pool.parquet > x.parquet & "
                   "mc2 lid x.parquet; status=$?; kill %1; exit $status")
    assert (done.status, "x.parquet: Parquet cannot be read from a pipe. Name a file." in done.stderr) == (2, True)
    for command in "lid pool.jsonl --rejects r.parquet", "thresholds counts --p 0.5 -o t.parquet":
        done = matched(f"mc2 {command}")
        assert (done.status, "is not written as Parquet" in done.stderr) == (2, True), done.stderr


def test_a_full_disk_keeps_the_previous_output(matched):
    matched.ok("mc2 lid pool.parquet -o out.parquet -q")
    before = (matched / "out.parquet").read_bytes(), (matched / "out.parquet.manifest.json").read_bytes()
    write_rows(matched / "big.parquet", [pair(i, os.urandom(300).hex()) for i in range(3000)])
    done = matched("trap '' XFSZ; ulimit -f 400; mc2 lid big.parquet -o out.parquet")
    assert (done.status, done.stderr) == (1, f"mc2 lid: {matched / 'out.parquet'}: File too large.\n")
    assert ((matched / "out.parquet").read_bytes(), (matched / "out.parquet.manifest.json").read_bytes()) == before
    assert not list(matched.directory.glob(".*.tmp"))


def test_two_columns_of_one_name_are_refused(sh):
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 3, ["id", "text", "text"]), sh / "a.parquet")
    done = sh("mc2 lid a.parquet")
    assert (done.status, "a.parquet: two columns are called 'text'" in done.stderr) == (3, True)


def test_pyarrow_is_asked_for_only_where_a_name_ends_in_parquet(matched):
    commands = ["lid pool.jsonl -o l.jsonl -q", "match l.jsonl -m toy -O out -q", "count out/l.jsonl -m toy -o c -q",
                "lid pool.parquet", "lid pool.jsonl -o out.parquet", "lid pool.parquet -O o -n",
                "count pool.parquet -m toy -o new"]
    code = """if True:
        import sys
        sys.modules.update(pyarrow=None, fsspec=None)
        from mc2.cli import run
        print([run(command.split()) for command in sys.argv[1:]])
    """
    done = subprocess.run([sys.executable, "-c", code, *commands], cwd=matched.directory, capture_output=True, text=True,
                          env={**matched.environment, "PYTHONPATH": str(ROOT)})
    assert done.stdout == "[0, 0, 0, 2, 2, 2, 2]\n", done.stderr
    assert all("pip install 'mc2[parquet]'" in line for line in done.stderr.splitlines())


def test_a_lid_that_is_not_utf_8_is_a_bad_row(toy):
    pq.write_table(pa.table({"id": ["a", "b"], "text": ["a red circle"] * 2, "lang": ["en"] * 2,
                             "lid": pa.array([b"en", b"\xff"])}), toy / "l.parquet")
    toy.fails("mc2 match l.parquet -m toy -o o.jsonl", 3, 'l.parquet:2: "lid" is not UTF-8.')
    toy.ok("mc2 match l.parquet -m toy -o o.jsonl --on-error skip -q")
    assert [record["id"] for record in toy.read("o.jsonl")] == ["a"]


def test_a_uid_is_split_where_datacomp_splits_it():
    from mc2.balance import sampling
    batch = batch_of({"id": ["00000000000000010000000000000002"], "text": [""]})
    assert sampling.uids(batch).tolist() == [(1, 2)]
    batch = batch_of({"id": ["abcdefABCDEF0123" * 2, "0123456789abcdef" * 2], "text": ["", ""]})
    assert sampling.uids(batch).tolist() == [(0xabcdefabcdef0123,) * 2, (0x0123456789abcdef,) * 2]
    assert sampling.uids(batch_of({"id": [], "text": []})).tolist() == []


@pytest.mark.skipif(sys.platform != "linux" or "libasan" in os.environ.get("LD_PRELOAD", ""), reason="needs RLIMIT_AS")
def test_a_shortage_of_memory_is_no_wrong_type():
    code = """
import resource
from mc2.pairs import arrow
text, used = "x" * (1 << 20), int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20),) * 2)
try:
    arrow._array("pairs.jsonl", [*range(300)], "text", [text] * 300)
except MemoryError:
    print("out of memory")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("out of memory\n", "")


@pytest.mark.parametrize("bad", ["", "0" * 31, "0" * 33, "g" + "0" * 31, "0x" + "0" * 30, " " * 32, "\uff10" + "0" * 29,
                                 "0" * 31 + "\n"])
def test_an_id_that_is_no_uid_is_named(bad):
    from mc2.balance import sampling
    from mc2.errors import BadUsage
    with pytest.raises(BadUsage, match=":13: the id .* is no DataComp uid") as raised:
        sampling.uids(batch_of({"id": ["0" * 32, "0" * 32, bad, "x"], "text": [""] * 4}))
    assert repr(bad) in str(raised.value)
