"""The native core reads and writes lines of pairs as the definition in Python does: the same pairs, messages, bytes."""
import os
import random
import subprocess
import sys
import threading

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mc2 import engines
from mc2.errors import BadLine
from mc2.pairs import jsonl
from mc2.pairs.batch import Labels, Lists

pytestmark = pytest.mark.skipif(engines.native() is None, reason="the native core is not built")

LANG, MATCHED = ("lang",), ("lang", "matched_entry_ids")
LID = ("lid", "lid_prob", "lang")
# Keys that are required, added, and read where they are there.
ASKED = [((), (), ()), ((), LID, ("url",)), ((), (*LID, "matched_entry_ids"), ()),
         (LANG, ("matched_entry_ids",), ("lid",)), (MATCHED, (), ("lid", "n", "lang")), (MATCHED, ("lang", "url"), ())]


def block_of(*lines):
    return jsonl.Block("pairs.jsonl", 5, b"\n".join(lines))


def native_of(*lines, requires=(), adds=(), skip_bad=False):
    return jsonl.NativeBatch(block_of(*lines), requires, skip_bad, False, adds)


# ---------------------------------------------------------------- the same as the definition

def told(batch_of, block, requires, adds, reads, skip_bad):
    """All that a Batch tells of a block, and of what becomes of it in stages."""
    try:
        batch = batch_of(block, requires, skip_bad, True, adds, reads)
        seen = [_seen(batch, requires)]
        if "matched_entry_ids" in requires:
            seen += [[array.tolist() for array in batch.matched_ids()], _seen(batch, requires)]
        seen.append(jsonl.encode(batch))
        if len(batch) > 2:
            batch.drop({1: "the second"})
        _add(batch, adds)
        seen += [jsonl.encode(batch), _seen(batch, requires)]
        batch.select([number % 3 > 0 for number in range(len(batch))])
        seen += [jsonl.encode(batch), _seen(batch, requires)]
        return seen
    except BadLine as error:
        return str(error)


def _seen(batch, requires):
    keys = ["id", "text", "lang", "url", "lid", "matched_entry_ids", "\u00e9", "n"]
    langs = batch.labels("lang").tolist() if "lang" in requires else None
    return [len(batch), batch.numbers.tolist(), list(batch.tally.items()), batch.rejects, batch.dropped, batch.texts,
            [repr(batch.column(key, "none")) for key in keys], repr(batch.records), batch.strings("id").tolist(),
            batch.strings("text").tolist(), langs, repr([batch.labels(key, "").tolist() for key in ("lid", "url", "n")]),
            repr(batch.labels("lid").tolist()), [batch.line(index) for index in range(len(batch))]]


def _add(batch, adds):
    """Add columns of all forms."""
    n = len(batch)
    values = {"lid": Labels(np.arange(n) % 2, ["é", 'q"']), "lid_prob": Labels(np.arange(n) % 3, [0.5, 1, 0.0001]),
              "lang": Labels(np.zeros(n, np.int32), ["fr", "unused"]), "url": [[number, None] for number in range(n)],
              "matched_entry_ids": Lists(np.arange(n + 1) * 2, np.array(
                  [0, 9, 10, 99, 100, 999, 1000, 9999, 10_000, 99_999_999, 100_000_000, 1234567890, 4294967295] * n,
                  np.uint32)[:2 * n])}
    for key in adds:
        batch.add(key, values[key])
    if n % 2:
        batch.add("n", np.arange(n) / 4)                # a key that was not asked for


def assert_same(*lines, end=b""):
    block = block_of(*lines)
    block = block._replace(data=block.data + end)
    for requires, adds, reads in ASKED:
        for skip_bad in (True, False):
            theirs, ours = (told(batch_of, block, requires, adds, reads, skip_bad)
                            for batch_of in (jsonl.Batch, jsonl.NativeBatch))
            assert ours == theirs, block.data


GOOD = [
    b'{"id":"a","text":"t"}',
    b'{"id": "4ac8", "url": "https://example.com/a.jpg?b=1", "text": "A red house, seen from the sea.", "source": "alt"}',
    '{"text":"naïve 漢字 🎈","id":"é","n":[1,-2.50,{"a":null,"b":[true,false]}],"lang":"fr"}'.encode(),
    b' {"id":"\\u00e9\\ud83c\\udf88","text":"\\"\\\\\\/\\b\\f\\n\\r\\t","lid":"fr","lid_prob":0.5,"lang":"fr"} \t\r',
    b'{"id":"b","text":"","lang":"en","matched_entry_ids":[0,7,123,4567,89012,345678,9012345,12345678]}',
    b'{"id":"b","text":"x","lang":"en","matched_entry_ids" : [ 3 , 40 ,\t500 ] , "meta":{"lang":5,"id":[]}}',
    b'{"id":"c","text":"y","lang":"zh","matched_entry_ids":[],"n":-0.0,"e":[1e5,1E+05,-2.5e-99,0e0]}',
    b'{"id":"c","text":"y","lang":"z\\u0068","matched_entry_ids":[4294967295],"big":123456789012345678901234567890}',
]
ODD = [
    b"", b" \t\r", b"null", b"[]", b"{}", b'"id"', b"nonsense", b"\x28\xb5\x2f\xfd\x04", b'\xef\xbb\xbf{"id":"a","text":"t"}',
    b'{"id":"a","text":"t"', b'{"id":"a","text":"t"}}', b'{"id":"a","text":"t"}{}', b'{"id":"a","text":"t",}', b'{"id":"a" "text":"t"}',
    b'{"id":7,"text":"t"}', b'{"id":"a","text":null}', b'{"id":"a"}', b'{"id":"a","id":"b","text":"t"}',
    b'{"\\u0069d":"a","text":"t"}', b'{"id":"a","text":"t","\\u0069d":"z"}', b'{"id":"a","text":"\xff"}',
    b'{"id":"a","text":"\xed\xa0\x80"}', b'{"id":"a","text":"\\ud800"}', b'{"id":"a","text":"\\udc00\\ud800"}', b'{"id":"a","text":"\\u12g4"}',
    b'{"id":"a","text":"\\x"}', b'{"id":"a","text":"a\x00b"}', b'{"id":"a","text":"t","n":NaN}', b'{"id":"a","text":"t","n":1e100}',
    b'{"id":"a","text":"t","n":1e999}', b'{"id":"a","text":"t","n":01}', b'{"id":"a","text":"t","n":1.}', b'{"id":"a","text":"t","n":-}',
    b'{"id":"a","text":"t","n":1e}', b'{"id":"a","text":"t","n":1e+}', b'{"id":"a","text":"t","n":1e5.0}', b'{"id":"a","text":"t","n":1ee5}',
    b'{"id":"a","text":"t","n":1e-999}', b'{"id":"a","text":"t","n":1e0099}', b'{"id":"a","text":"t","n":' + b"9" * 190 + b"e99}",
    b'{"id":"a","text":"t","n":' + b"9" * 250 + b"e99}",
    b'{"id":"a","text":"t","n":tru}', b'{"id":"a","text":"t","n":' + b"7" * 400 + b"}", b'{"id":"a","text":"t","n":[1,]}',
    b'{"id":"a","text":"t","n":' + b"[" * 70 + b"]" * 70 + b"}", b'{"id":"a","text":"t","lang":"x","n":' + b"[" * 300 + b"]" * 300 + b"}",
    b'{"id":"a","text":"t","n":' + b"[" * 1500 + b"]" * 1500 + b"}", b'{"id":"a","text":"t"}\x0b', b'{"id":"a","text":"t"}\x00',
    *(b'{"id":"a","text":"t","lang":"fr","matched_entry_ids":%b}' % ids for ids in (
        b"[2,1]", b"[1,1]", b"[-1]", b"[-0]", b"[1.0]", b"[1e0]", b"[true]", b'["1"]', b"[[1]]", b"[4294967296]", b"[123456789,1234567890]",
        b"[18446744073709551615]", b"[99999999999999999999]", b"[null]", b"[00]", b"[1 2]", b"[,1]", b"[1,]", b"[", b'{"a":1}', b"3", b"[100000000]")),
    *(b'{"id":"a","text":"t","lang":"en","lid":%b}' % lid for lid in (b"5", b"null", b"[]", b'{"a":"b"}', b'""', b'"\\u00e9"', b'"\\q"')),
    b'{"id":"a","text":"t","lid":"fr","lid":"de"}', b'{"id":"a","text":"t","n":"e","lang":"fr","matched_entry_ids":[1,1]}',
    b'{"id":"a","text":"t","lang":5,"matched_entry_ids":[5]}', b'{"id":"a","text":"t","lang":"en","lang":"fr","matched_entry_ids":[5],"url":"u"}',
]


@pytest.mark.parametrize("line", [*GOOD, *ODD])
def test_a_line_alone_and_among_others_is_what_the_definition_says(line):
    assert_same(line)
    assert_same(line, end=b"\n")
    assert_same(*GOOD, line, GOOD[1], line, *GOOD[::-1], end=b"\n")


def test_good_lines_are_read_without_python():
    def refuse(*odd):
        raise AssertionError(odd)

    keys = [("id", "strings"), ("text", "strings"), *((key, "present") for key in (*LID, "matched_entry_ids"))]
    keys.append(("url", "optional labels"))
    for line in (*GOOD, b" "):
        assert engines.native().scan_lines(line, 1, keys, refuse)[0] == (line != b" ")


def test_the_end_of_a_block_may_be_anywhere():
    for line in GOOD:
        for length in range(len(line) + 1):
            assert_same(GOOD[1], line[:length])


PIECES = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b"1.", b"e5", b"\\u", b"d800", b"\\ud83d\\ude00", b"\xff",
          b"\xc3", b"\xed\xa0\x80", b"\x00", b"\x1f", b" ", b"\t", b"\r", b"\n", b"\n\n", b"null", b"true", b"NaN", b'"id":"x",', b'"text":"y",',
          b'"lang":"fr",', b'"lid":"",', b'"matched_entry_ids":[1,22],', b'"matched_entry_ids":[],', b'"\\u0069d":"z",', b'[[1,2],{"a":[]}]',
          b"\x0b", b'"n":-0.5,', b'"n":01,', b'"n":1e999,', b"e-5", b"e+12", b"E9", b'"n":12345678901234567890123,', b"\xef\xbb\xbf", "é漢🎈".encode(), b"\xf0\x9f",
          b"4294967296", b"12345678", b"123456789"]


def mutated(random_, line):
    line = bytearray(line)
    for _ in range(random_.randint(0, 3)):
        start = random_.randrange(len(line) + 1)
        line[start:start + random_.choice((0, 0, 1, 2))] = random_.choice(PIECES)
    return bytes(line)


def test_mutated_lines_are_what_the_definition_says():
    """MC2_TEST_LINES: how many."""
    random_, lines = random.Random(int(os.environ.get("MC2_TEST_SEED", 1))), int(os.environ.get("MC2_TEST_LINES", 3000))
    good = [*GOOD, *(b'{"x":%b,%b' % (orjson.dumps("x" * length), line.lstrip()[1:]) for length in range(3, 70, 9) for line in GOOD)]
    for _ in range(lines // 10):
        assert_same(*(mutated(random_, random_.choice(good)) for _ in range(10)), end=random_.choice((b"", b"\n")))


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
                      lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=6)
ids = st.lists(st.integers(0, (1 << 32) - 1), unique=True, max_size=6).map(sorted)


@st.composite
def lines_of_pairs(draw):
    import json
    record = {"id": draw(text), "text": draw(text), **draw(st.dictionaries(text, values, max_size=2))}
    for key, of_key in {"lang": text | values, "matched_entry_ids": ids | values, "lid": text, "url": values}.items():
        if draw(st.booleans()):
            record[key] = draw(of_key)
    order = draw(st.permutations(list(record)))
    record = {key: record[key] for key in order}
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :\r")]))
    return json.dumps(record, ensure_ascii=draw(st.booleans()), separators=separators).encode("utf-8", "surrogatepass")


@given(st.lists(lines_of_pairs(), max_size=4))
def test_any_pairs_are_what_the_definition_says(lines):
    assert_same(*lines)


def test_without_simd_it_is_the_same():
    """MC2_SIMD is read when a process starts."""
    if os.environ.get("MC2_SIMD") == "scalar":
        pytest.skip("already so")
    subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "mutated or utf8 or alone"],
                   env={**os.environ, "MC2_SIMD": "scalar", "MC2_TEST_LINES": "1000"}, check=True, stdout=subprocess.DEVNULL)


# ---------------------------------------------------------------- its parts

def test_utf8_is_what_python_decodes():
    def is_utf8(encoded):
        try:
            encoded.decode()
            return True
        except UnicodeDecodeError:
            return False

    edges = [*range(0x7E, 0x82), *range(0x8E, 0x92), *range(0x9E, 0xA2), 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0,
             0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFF]
    few = [0x41, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2, 0xE0, 0xED, 0xF0, 0xF4]
    pieces = [bytes([a, b]) for a in range(256) for b in range(256)]
    pieces += [bytes([a, b, c]) for a in edges for b in edges for c in few]
    pieces += [bytes([a, b, c, d]) for a in (0xED, 0xF0, 0xF1, 0xF4, 0xF5) for b in edges for c in few for d in few]
    for number, piece in enumerate(pieces):
        padded = b"x" * (number % 67) + piece + b"y" * (number % 3)
        assert engines.native().is_utf8(padded) == is_utf8(padded), padded


@given(st.binary(max_size=100), st.integers(0, 5000))
def test_newlines_are_counted(some, times):
    assert engines.native().count_newlines(some * times) == some.count(b"\n") * times


def test_a_bad_line_that_python_refuses_ends_the_reading():
    with pytest.raises(BadLine, match="^pairs.jsonl:6: not JSON"):
        native_of(GOOD[0], b"{", b"[]")


def test_columns_need_no_objects_of_python():
    batch = native_of(*GOOD, requires=MATCHED, skip_bad=True)
    assert isinstance(batch.strings("text").data, np.ndarray)
    assert batch.labels("lang").names == ["en", "zh"]
    assert batch.matched_ids()[1].dtype == np.uint32
    assert batch._records is None


def test_wrong_arguments_are_refused():
    native, one = engines.native(), np.array([0])
    line, ends, none = b'{"id":"a","text":"t"}', np.array([21]), np.empty(0, np.int64)
    assert native.splice_lines(line, one, ends, [], none, b"", one) == line + b"\n"
    for arguments in [(line, one, ends + 1, [], none, b"", one), (line, one, one, [], none, b"", one),
                      (line, one, ends, [], one, b"", one), (line, one, ends, [], one + 1, b"x", np.array([0, 1])),
                      (line, one, ends, [("labels", b"abc", np.array([0, 3]), one + 1)], none, b"", one),
                      (line, one, ends, [("labels", b"abc", np.array([0, 4]), one)], none, b"", one),
                      (line, one, ends, [("members", b"abc", np.array([0, 1, 3]))], none, b"", one),
                      (line, one, ends, [("lists", b"[", np.array([0, 2]), np.array([1], np.uint32))], none, b"", one)]:
        with pytest.raises(ValueError):
            native.splice_lines(*arguments)
    with pytest.raises(ValueError):
        native.scan_lines(line, 1, [("id", "strange")], print)
    with pytest.raises(ValueError):
        native.scan_lines(line, 1, [(str(number), "present") for number in range(33)], print)


def test_threads_read_at_the_same_time():
    lines = [*GOOD, *ODD] * 20
    expected, found = told(jsonl.Batch, block_of(*lines), MATCHED, (), ("lid",), True), []

    def read():
        found.append(told(jsonl.NativeBatch, block_of(*lines), MATCHED, (), ("lid",), True))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
