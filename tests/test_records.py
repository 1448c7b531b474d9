"""The record format: what is a pair, what is not, and what happens to its bytes."""
import gzip
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import orjson
import pytest
import zstandard
from advised import follow
from hypothesis import given
from hypothesis import strategies as st

from mc2.errors import BadLine
from mc2.pairs import jsonl
from mc2.pairs.batch import Labels


def batch_of(*lines, requires=(), skip_bad=False):
    return jsonl.Batch(jsonl.Block("pairs.jsonl", 1, b"\n".join(lines)), requires, skip_bad)


def with_lang(line):
    batch = batch_of(line)
    batch.add("lang", ["fr"])
    return jsonl.encode(batch)


def test_a_new_key_goes_before_the_closing_brace_and_nothing_else_changes():
    line = b'{ "n": 1.50e3,\t"id":"a" , "text":"\\u00e9"  '
    assert with_lang(line + b"}") == line + b',"lang":"fr"}\n'


def test_white_space_after_the_brace_is_dropped():
    assert with_lang(b'{"id":"a","text":"t"} \t\r') == b'{"id":"a","text":"t","lang":"fr"}\n'


def test_a_line_that_has_the_key_is_written_anew_with_its_numbers_as_they_were():
    line = b'{"lang": "en", "id": "a", "text": "\\u00e9", "big": 123456789012345678901234567890, "f": 1.50}'
    assert with_lang(line) == \
        '{"id":"a","text":"é","big":123456789012345678901234567890,"f":1.50,"lang":"fr"}\n'.encode()


@pytest.mark.parametrize("depth", [300, 1000])
def test_a_deep_line_that_has_the_key_is_a_bad_line(depth):
    deep = b'{"id":"a","text":"t","lang":"x","deep":' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises(BadLine, match='1: nested too deeply to replace its "lang"'):
        with_lang(deep)
    batch = batch_of(deep, b'{"id":"b","text":"t"}', skip_bad=True)
    batch.add("lang", ["fr", "de"])
    assert jsonl.encode(batch) == b'{"id":"b","text":"t","lang":"de"}\n'
    assert with_lang(deep.replace(b'"lang":"x",', b"")).endswith(b']],"lang":"fr"}\n')


def test_a_key_of_a_nested_object_is_another_key():
    line = b'{"id":"a","text":"t","meta":{"lang":"x"}}'
    assert with_lang(line) == line[:-1] + b',"lang":"fr"}\n'


def test_blank_lines_are_skipped_and_counted_in_line_numbers():
    with pytest.raises(BadLine, match='^pairs.jsonl:4: no "text" key'):
        batch_of(b'{"id":"a","text":""}', b"", b" \t", b'{"id":"b"}')


@pytest.mark.parametrize("line, message", [
    (b"nonsense", "pairs.jsonl:1: not JSON"),
    (b'{"id":"a","text":"t"', "not JSON"),
    (b'["id","text"]', "not a JSON object"),
    (b'"id"', "not a JSON object"),
    (b"null", "not a JSON object"),
    (b'{"text":"t"}', 'no "id" key'),
    (b'{"id":"a"}', 'no "text" key'),
    (b'{"id":7.5,"text":"t"}', '"id" is not a string'),
    (b'{"id":"a","text":7}', '"text" is not a string'),
    (b'{"id":"a","text":"\xff"}', "not UTF-8. The byte at column 19 is wrong"),
    (b'{"id":"a","text":"\\ud800"}', "not JSON. Column"),
    (b'{"id":"a","text":"\xed\xa0\x80"}', "not UTF-8"),
    (b'{"id":"a","text":"t","n":NaN}', "not JSON"),
    (b'{"id":"a","text":"t"}{}', "not JSON"),
    (b"\x28\xb5\x2f\xfd\x04", "not JSON but compressed data. Name the file with its suffix, or pipe it through zstd -dc"),
    (b'\xef\xbb\xbf{"id":"a","text":"t"}', "starts with a byte order mark"),
])
def test_what_is_no_pair_is_named(line, message):
    with pytest.raises(BadLine) as error:
        batch_of(line)
    assert message in str(error.value)


@pytest.mark.parametrize("record, message, expected", [
    ({"id": 7.5, "text": "t"}, '"id" is not a string. It is a number. Write it anew, e.g. ', [("7.5", "t")]),
    ({"id": "a", "n": 1, "Captions": ["t", "u"]}, 'no "text" key. Every pair needs its alt-text. The keys are id, n, ',
     [("a", "t"), ("a", "u")]),
    ({"id": "a", "text": ["t", "u"]}, '"text" is not a string. It is a list. ', [("a", "t"), ("a", "u")]),
    ({"id": True, "text": "t"}, '"id" is not a string. It is true or false. ', [("True", "t")]),
])
def test_keys_that_do_not_fit_are_named_with_a_command_that_mends_them(sh, record, message, expected):
    data = json.dumps(record).encode() + b"\n"
    (sh / "it's.jsonl").write_bytes(data)
    (sh / "a.jsonl.zst").write_bytes(zstandard.compress(data))
    (sh / "a.jsonl.gz").write_bytes(gzip.compress(data))
    for name in "it's.jsonl", "a.jsonl.gz", "a.jsonl.zst":
        if shutil.which("zstd") is None and name.endswith(".zst"):
            continue
        done = sh.fails(f'mc2 lid "{name}"', 3, f"{name}:1: {message}")
        follow(sh, done.stderr)
        assert [(pair["id"], pair["text"]) for pair in sh.read("new.jsonl")] == expected
    assert " e.g. ... | python -c " in sh("mc2 lid", data).stderr


@pytest.mark.parametrize("record, message", [
    ({"id": "a", "caption": "t"}, 'no "text" key. Every pair needs its alt-text. The keys are id, caption. Did you mean '
                                  '--text caption?'),
    ({"sha256": "a", "md5": "b", "caption": "t", "title": "u"},
     'no "id" key. Every pair needs an image id. The keys are sha256, md5, caption, title. Did you mean --id sha256 or '
     '--id md5 and --text caption or --text title?'),
    ({"url": "http://a.example/1", "caption": "t"}, 'no "id" key. Every pair needs an image id. The keys are url, caption. '
                                                    'Did you mean --id auto --text caption?'),
    ({"id": "a", "text": {"en": "t", "fr": "u"}}, '"text" is not a string. It is an object with the keys en, fr. Take'),
    ({"id": "a", "score\n": 1}, 'no "text" key. Every pair needs its alt-text. The keys are id, score\\n. Say which one it is: --text COLUMN.'),
    ({}, 'no "id" key. Every pair needs an image id.'),
])
def test_keys_that_do_not_fit_are_named(record, message):
    with pytest.raises(BadLine) as error:
        batch_of(json.dumps(record).encode())
    assert str(error.value).startswith(f"pairs.jsonl:1: {message}")


@pytest.mark.parametrize("line, word, column", [
    (b'{"id":"a","text":"t","n":NaN}', "NaN", 26), (b'{"id":"NaN","n":[1, -Infinity ]}', "-Infinity", 21),
    ('{"id":"é","n":Infinity}'.encode(), "Infinity", 15)])
def test_what_python_writes_for_no_number_is_named(line, word, column):
    with pytest.raises(BadLine, match=f"not JSON. Column {column}: {word} is no number of JSON; Python's json writes"):
        batch_of(line)


def test_a_missing_stage_is_named():
    with pytest.raises(BadLine, match="Run 'mc2 lid' first"):
        batch_of(b'{"id":"a","text":"t"}', requires=("lang",))
    with pytest.raises(BadLine, match="Run 'mc2 match' first"):
        batch_of(b'{"id":"a","text":"t"}', requires=("matched_entry_ids",))


def test_skipped_lines_are_counted_by_reason_and_kept():
    batch = batch_of(b"{", b'{"id":"a","text":"t"}', b'{"id":"b"}', skip_bad=True)
    assert batch.texts == ["t"]
    assert batch.tally == {"in": 3, "bad: not JSON.": 1, 'bad: no "text" key.': 1}
    assert [(reject.number, reject.line) for reject in batch.rejects] == [(1, b"{"), (3, b'{"id":"b"}')]


@pytest.mark.parametrize("ids", ["[2,1]", "[1,1]", "[-1]", "[1.0]", "[true]", '["1"]', "[[1]]", "[4294967296]",
                                 "[18446744073709551615]", "[99999999999999999999]", "[null]", '{"a":1}', "3"])
def test_matched_entry_ids_must_be_ascending_entry_ids(ids):
    line = f'{{"id":"a","text":"t","matched_entry_ids":{ids}}}'.encode()
    with pytest.raises(BadLine, match="matched_entry_ids"):
        batch_of(line, requires=("matched_entry_ids",)).matched_ids()
    batch = batch_of(line, line.replace(ids.encode(), b"[5]"), requires=("matched_entry_ids",), skip_bad=True)
    assert [array.tolist() for array in batch.matched_ids()] == [[0, 1], [5]]


def test_matched_ids_are_rows_of_unequal_length():
    lines = [f'{{"id":"a","text":"t","matched_entry_ids":{ids}}}'.encode() for ids in ([], [3, 9], [], [0], [])]
    offsets, ids = batch_of(*lines, requires=("matched_entry_ids",)).matched_ids()
    assert (offsets.tolist(), ids.tolist()) == ([0, 0, 2, 2, 3, 3], [3, 9, 0])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), json_values, max_size=4),
       st.booleans())
def test_unknown_keys_pass_unchanged(extra, has_lang):
    import json
    record = {**extra, "id": "a", "text": "t", **({"lang": "old"} if has_lang else {})}
    line = json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return                                  # a lone surrogate
    record.pop("lang", None)
    assert json.loads(with_lang(line)) == {**record, "lang": "fr"}


def test_labels_are_those_of_the_pairs_that_are_left_and_of_what_was_added_last():
    lines = [f'{{"id":"a","text":"t","lang":"{lang}"}}'.encode() for lang in ("fr", "de", "fr")]
    batch = batch_of(*lines, requires=("lang",))
    assert batch.labels("lang").tolist() == ["fr", "de", "fr"]
    batch.drop({0: "first"})
    assert batch.labels("lang").tolist() == ["de", "fr"] and list(batch.by_lang()) == ["de", "fr"]
    batch.add("lang", ["en", "en"])
    assert batch.labels("lang").tolist() == ["en", "en"]


# ---------------------------------------------------------------- a shortage of memory

WITH_LITTLE_MEMORY = """
import resource, sys
from mc2 import cli, engines
from mc2.commands import lid
from mc2.pairs import jsonl
if sys.argv.pop(1) == "portable":
    engines.native = lambda: None
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (250 << 20),) * 2)
sys.exit(cli.main())
"""


@pytest.mark.skipif(sys.platform != "linux" or "libasan" in os.environ.get("LD_PRELOAD", ""), reason="needs RLIMIT_AS")
@pytest.mark.parametrize("engine", ["native", "portable"])
@pytest.mark.parametrize("policy", ["", "--on-error skip"])
def test_a_shortage_of_memory_is_no_bad_line(tmp_path, engine, policy):
    (tmp_path / "pairs.jsonl").write_bytes(
        b'{"id":"a","text":"t","f":1e100,"list":[' + b"1," * 12_000_000 + b'1]}\n{"id":"b","text":"t"}\n')
    done = subprocess.run([sys.executable, "-c", WITH_LITTLE_MEMORY, engine, 
                           *f"lid pairs.jsonl --single en -o out.jsonl -q --longest-line 100M {policy}".split()],
                          cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "mc2 lid: out of memory.\n")
    assert not (tmp_path / "out.jsonl").exists()


def test_a_column_of_the_wrong_length_loses_no_pair():
    for values in (["fr"], ["fr"] * 3, Labels(np.zeros(3, int), ["fr"]), np.zeros(1)):
        with pytest.raises(ValueError, match="for 2 pairs"):
            jsonl.Block("pairs.jsonl", 1, b'{"id":"a","text":"t"}\n{"id":"b","text":"t"}').batch().add("lang", values)


def test_reasons_of_drops_are_given_for_some_pairs_or_as_labels_of_all():
    lines = [f'{{"id":"{n}","text":"t"}}'.encode() for n in range(4)]
    for reasons in ({3: "late", 1: "", 2: "late"}, Labels(np.array([0, 2, 1, 1]), ["", "late", "", "unused"])):
        batch = jsonl.Batch(jsonl.Block("pairs.jsonl", 1, b"\n".join(lines)), keep_dropped=True)
        batch.drop(reasons)
        assert batch.column("id") == ["0"] and batch.numbers == [1]
        assert batch.tally == {"in": 4, "dropped: late": 2, "dropped: ": 1}
        assert [(reject.number, reject.reason, reject.line) for reject in batch.dropped] == \
            [(2, "", lines[1]), (3, "late", lines[2]), (4, "late", lines[3])]
    for none in ({}, Labels(np.zeros(1, np.int64), [None, "late"])):
        batch.drop(none)
    assert len(batch) == 1 and batch.tally["dropped: late"] == 2


def test_labels_are_counted():
    assert Labels(np.array([2, 0, 2, 3]), ["fr", "de", "en", "fr"]).times() == {"fr": 2, "en": 2}
