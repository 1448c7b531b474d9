"""Counting and sampling in the native core: the same numbers as in Python, to the last bit."""
import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mc2 import engines, hashing
from mc2.balancing import algorithm, counting, sampling
from mc2.hashing import keyed_hash, keyed_hashes
from mc2.pairs import batch
from mc2.pairs.batch import Labels, Strings
from shell import run_python

native = pytest.importorskip("mc2._native")


def in_python(monkeypatch):
    """What mc2 does where the native core is not built."""
    monkeypatch.setattr(engines, "native", lambda: None)


def without_native(function, *arguments):
    with pytest.MonkeyPatch.context() as patch:
        in_python(patch)
        return function(*arguments)


# ---------------------------------------------------------------- hashes

def column(*strings):
    """Strings that lie within a larger array, as those of a block do."""
    found = Strings.of(["before", *strings, "behind"])
    return Strings(found.data, found.offsets[1:-1])


def test_a_hash_is_that_of_the_fields_after_their_lengths():
    message = b"\4\0\0\0\0\0\0\0draw" b"\1\0\0\0\0\0\0\0" b"7" b"\2\0\0\0\0\0\0\0ab" b"\3\0\0\0\0\0\0\0\xe7\x8c\xab"
    expected = int.from_bytes(hashlib.blake2b(message, digest_size=8).digest(), "big")
    assert keyed_hashes(["draw", "7"], [column("ab"), column("猫")]).tolist() == [expected]
    assert without_native(keyed_hashes, ["draw", "7"], [column("ab"), column("猫")]).tolist() == [expected]


def test_texts_of_every_length_have_the_hash_of_hashlib():
    """Also where a message ends at the end of a block (128 bytes), and where lanes differ in length."""
    texts = ["x" * length for length in range(400)] + ["y" * 100_000, "", "z" * 127] + ["é" * n for n in range(200)]
    ids = [str(number) for number in range(len(texts))]
    expected = [keyed_hash("sample", *key) for key in zip(ids, texts)]
    assert keyed_hashes(["sample"], [column(*ids), column(*texts)]).tolist() == expected


def test_one_message_at_a_time_has_the_hashes_of_four_side_by_side():
    """MC2_SIMD is read when a process starts."""
    code = """
        from mc2.hashing import keyed_hashes
        from mc2.pairs.batch import Strings
        print(keyed_hashes(["draw", "7"], [Strings.of(["x" * length for length in range(1000)])]).tolist())
    """
    best = keyed_hashes(["draw", "7"], [Strings.of(["x" * length for length in range(1000)])]).tolist()
    assert run_python(code, MC2_SIMD="scalar") == f"{best}\n".encode()


@given(st.lists(st.tuples(st.text(max_size=150), st.text(max_size=300))), st.lists(st.text(max_size=140), max_size=3),
       st.randoms())
def test_hashes_of_any_rows_in_any_order(rows, leading, chance):
    columns = [column(*strings) for strings in zip(*rows)] or [column(), column()]
    wanted = chance.choices(range(len(rows)), k=7) if rows else []
    expected = [keyed_hash(*leading, *rows[row]) for row in wanted]
    for hashes in (keyed_hashes, lambda *arguments: without_native(hashing.keyed_hashes, *arguments)):
        assert hashes(leading, columns, np.array(wanted, np.int64)).tolist() == expected
        assert hashes(leading, columns).tolist() == [keyed_hash(*leading, *row) for row in rows]


def test_columns_that_cannot_be_are_refused():
    data, offsets = np.frombuffer(b"abc", np.uint8), np.array([0, 2, 3])
    assert native.hashes([], [(data, offsets)]).tolist() == [keyed_hash("ab"), keyed_hash("c")]
    for bad in ([], [0, 4], [2, 1], [-1, 2], [[0, 1]]):
        with pytest.raises(ValueError):
            native.hashes([], [(data, np.array(bad, np.int64))])
    with pytest.raises(ValueError, match="differ in length"):
        native.hashes([], [(data, offsets), (data, offsets[1:])])
    with pytest.raises(ValueError, match="no column"):
        native.hashes(["draw"], [])
    for row in (-1, 2):
        with pytest.raises(IndexError):
            native.hashes([], [(data, offsets)], np.array([row]))


def test_rows_that_are_the_same_as_the_one_before():
    ids, texts = column("a", "a", "a", "b", "b", ""), column("x", "x", "", "", "x", "x")
    for same_as_before in (batch.same_as_before, lambda columns: without_native(batch.same_as_before, columns)):
        assert same_as_before([ids, texts]).tolist() == [False, True, False, False, False, False]
        assert same_as_before([ids]).tolist() == [False, True, True, False, True, False]
        assert same_as_before([column()]).tolist() == []


# ---------------------------------------------------------------- counts

N_ENTRIES = {"en": 5, "fr": 3, "zh": 1, "xx": 0}


@st.composite
def matches(draw):
    """counting.Matches of some pairs, whose hashes are few: texts of one hash go by their ids."""
    names = ["unknown", "fr", "zh", "en", "xx"]
    langs = draw(st.lists(st.integers(1, 4), max_size=20))
    lists = [sorted(draw(st.sets(st.integers(0, N_ENTRIES[names[lang]] - 1)))) if N_ENTRIES[names[lang]] else []
             for lang in langs]
    offsets = np.cumsum([0, *map(len, lists)])
    hashes = [draw(st.integers(0, 9) | st.integers(2**64 - 3, 2**64 - 1)) for ids in lists if ids]
    return counting.Matches(Labels(np.array(langs, np.int64), names), offsets,
                            np.array([i for ids in lists for i in ids], np.uint32), np.array(hashes, np.uint64),
                            None, None)


def as_lists(partials):
    return {lang: (partial.pairs, partial.matched, partial.ids.tolist(), partial.times.tolist(), partial.sample.lists())
            for lang, partial in partials}


@given(st.lists(matches(), max_size=6), st.integers(1, 12))
def test_sums_are_those_in_python(batches, sample_size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "SAMPLE_SIZE", sample_size)
        patch.setattr(counting.Sums, "HELD", 2)
        found = []
        for kind in (counting.Sums, counting.NativeSums):
            sums = kind(N_ENTRIES)
            for one in batches:
                sums.add(one)
            found.append(as_lists(sums.partials()))
            assert as_lists(sums.partials()) == found[-1], "asked twice"
        assert found[0] == found[1]
        dtypes = {(array.dtype.str, array.ndim) for _, partial in sums.partials() for array in partial[2:4]}
        assert dtypes <= {("<u4", 1), ("<u8", 1)}


@pytest.mark.parametrize("most_in_narrow", [0, 1, 3, 4, 5, 2**32 - 1, 2**64 - 1])
def test_counts_beyond_32_bits_go_on_in_64(most_in_narrow):
    """A language's first texts are counted in a list, the next ones in 32 bits, all further ones in 64."""
    counts = native.Counts([4], 10, most_in_narrow)
    for _ in range(10):
        counts.add(np.array([0]), np.array([0, 2]), np.array([1, 3], np.uint32), np.array([5], np.uint64))
    pairs, matched, ids, times, *_ = counts.partial(0)
    assert (pairs, matched, ids.tolist(), times.tolist()) == (10, 10, [1, 3], [10, 10])


def test_what_cannot_be_counted_is_refused_and_nothing_of_it_is_added():
    counts = native.Counts([4, 2], 10)
    offsets, ids, hashes = np.array([0, 1, 2]), np.array([1, 2], np.uint32), np.array([5, 6], np.uint64)
    for which in ([0, 1], [0, 2], [0, -1]):
        with pytest.raises(IndexError):
            counts.add(np.array(which), offsets, ids, hashes)
    with pytest.raises(ValueError, match="one hash for every pair"):
        counts.add(np.array([0, 0]), offsets, ids, hashes[:1])
    for bad in ([0, 1], [0, 1, 3], [1, 0, 2]):
        with pytest.raises(ValueError):
            counts.add(np.array([0, 0]), np.array(bad), ids, hashes)
    assert counts.partial(0) is None and counts.partial(1) is None
    with pytest.raises(IndexError):
        counts.partial(2)


# ---------------------------------------------------------------- probabilities

class Sampler(sampling.Sampler):
    """The probabilities of these counts and thresholds, without files."""

    def __init__(self, entry_counts, t):
        self.entry_counts = {lang: np.array(counts, np.uint64) for lang, counts in entry_counts.items()}
        self.t = t


large = st.integers(0, 30) | st.integers(0, 2**64 - 1)


@given(st.lists(large, min_size=1, max_size=40), st.integers(0, 40) | st.integers(0, 2**70) | st.floats(0, 1e6),
       st.lists(st.sets(st.integers(0, 39)), max_size=8))
def test_probabilities_are_those_in_python_to_the_last_bit(counts, t, lists):
    sampler = Sampler({"en": counts, "fr": counts[::-1]}, {"en": t, "fr": 3})
    lists = [sorted(i for i in ids if i < len(counts)) for ids in lists]
    langs = Labels(np.arange(len(lists)) % 2 + 1, ["unknown", "fr", "en"])
    arguments = langs, np.cumsum([0, *map(len, lists)]), np.array([i for ids in lists for i in ids], np.uint32)
    q, never_counted = sampler.pair_probs(*arguments)
    expected_q, expected_never = without_native(sampler.pair_probs, *arguments)
    assert q.tobytes() == expected_q.tobytes()
    assert never_counted.tolist() == expected_never.tolist()


@pytest.mark.parametrize("n", [1, 7, 8, 9, 127, 128, 129, 1000, 10_000, 100_000])
def test_long_lists_are_multiplied_in_ascending_order_of_ids(n):
    counts = np.random.default_rng(n).integers(10**9, 10**10, n).tolist()
    sampler = Sampler({"en": counts}, {"en": 10**4})
    langs, offsets, ids = Labels(np.zeros(1, np.int64), ["en"]), np.array([0, n]), np.arange(n, dtype=np.uint32)
    missed = 1.0
    for count in counts:
        missed *= 1.0 - 10**4 / count
    assert sampler.pair_probs(langs, offsets, ids)[0].tolist() == [1.0 - missed]
    assert without_native(sampler.pair_probs, langs, offsets, ids)[0].tolist() == [1.0 - missed]


def test_what_has_no_count_is_refused():
    offsets, ids = np.array([0, 1]), np.array([2], np.uint32)
    counts = [np.array([1, 2, 3], np.uint64), np.array([1, 2], np.uint64), None]
    assert native.keep_probs(counts, [1.0] * 3, np.array([0]), offsets, ids)[0].tolist() == [1 - (1 - 1 / 3)]
    for which in (1, 2, 3, -1):
        with pytest.raises(IndexError):
            native.keep_probs(counts, [1.0] * 3, np.array([which]), offsets, ids)
    with pytest.raises(TypeError):
        native.keep_probs([np.array([1, 2, 3])], [1.0], np.array([0]), offsets, ids)
    with pytest.raises(ValueError):
        native.keep_probs(counts, [1.0] * 3, np.array([0]), np.array([0, 2]), ids)


def test_draws_are_those_of_each_pair():
    ids, texts = column("a", "a", "b"), column("x", "y", "x")
    rows = np.array([2, 0])
    expected = [algorithm.draw(-1, "b", "x"), algorithm.draw(-1, "a", "x")]
    assert algorithm.draws(-1, ids, texts, rows).tolist() == expected


# ---------------------------------------------------------------- samples in counts/

SAMPLES = st.lists(st.tuples(st.integers(0, 2**64 - 1), st.sets(st.integers(0, 2**32 - 1), max_size=4).map(sorted)),
                   min_size=1, max_size=9).map(
    lambda texts: counting.Sample(np.array([hash for hash, _ in texts], np.uint64),
                                  batch.offsets_of([len(ids) for _, ids in texts]),
                                  np.array([each for _, ids in texts for each in ids], np.uint32)))


def test_the_lines_of_a_sample():
    texts = counting.Sample(np.array([7, 2**64 - 1], np.uint64), np.array([0, 2, 3]), np.array([1, 30, 0], np.uint32))
    assert counting.lines_of("en", texts) == (b'{"lang":"en","hash":7,"ids":[1,30]}\n'
                                              b'{"lang":"en","hash":18446744073709551615,"ids":[0]}\n')


@given(st.dictionaries(st.sampled_from(["en", "zh", 'a"hash":5', "日本", ""]), SAMPLES))
def test_samples_are_written_and_read_as_in_python(samples):
    lines = b"".join(counting.lines_of(lang, sample) for lang, sample in samples.items())
    assert lines == b"".join(without_native(counting.lines_of, lang, sample) for lang, sample in samples.items())
    for read in (counting._samples_in, lambda lines: without_native(lambda: list(counting._samples_in(lines)))):
        assert [(lang, sample.lists()) for lang, sample in read(lines)] == \
            [(lang, sample.lists()) for lang, sample in samples.items()]


def test_a_sample_longer_than_a_block_is_read_whole(tmp_path):
    many = counting.Sample(np.arange(40_000, dtype=np.uint64), np.arange(40_001), np.full(40_000, 123_456, np.uint32))
    (tmp_path / "sample.jsonl").write_bytes(counting.lines_of("en", many) + counting.lines_of("fr", many))
    found = {}
    counting._read_samples(tmp_path / "sample.jsonl", found)
    assert list(found) == ["en", "fr"] and found["en"].lists() == many.lists() == found["fr"].lists()
