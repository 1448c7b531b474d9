"""Signatures that differ in few bits: found by the native core and by NumPy alike, as often as the theory says."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mc2 import engines
from mc2.dedup import hamming


def by_all_pairs(queries, searched, k):
    """What nearest gives, by its definition."""
    found = []
    for query in queries:
        distances = [bin(query ^ each).count("1") for each in searched]
        least = min(distances, default=hamming.NONE)
        found.append((least, distances.index(least)) if least <= k else (hamming.NONE, 0))
    return found


@st.composite
def near_signatures(draw):
    """(queries, searched), of which many are a few bits apart."""
    roots = draw(st.lists(st.integers(0, 2 ** 64 - 1), min_size=1, max_size=4))
    flips = st.lists(st.integers(0, 63), max_size=17)
    near = st.tuples(st.sampled_from(roots), flips).map(lambda its: its[0] ^ sum({1 << bit for bit in its[1]}))
    return draw(st.lists(near, max_size=20)), draw(st.lists(near, max_size=20))


@given(near_signatures(), st.integers(0, hamming.MOST_K))
def test_the_nearest_signature_is_that_of_all_pairs_in_both_engines(both, k):
    queries, searched = (np.array(each, np.uint64) for each in both)
    expected = by_all_pairs(*both, k)
    assert list(zip(*map(np.ndarray.tolist, hamming.nearest(queries, searched, k)))) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "native", lambda: None)
        assert list(zip(*map(np.ndarray.tolist, hamming.nearest(queries, searched, k)))) == expected


def test_parts_of_the_searched_signatures_give_the_same(monkeypatch):
    queries, searched = (np.random.default_rng(seed).integers(0, 2 ** 64, 800, np.uint64) for seed in (0, 1))
    expected = hamming.nearest(queries, searched, 15)
    monkeypatch.setattr(engines, "native", lambda: None)
    monkeypatch.setattr(hamming, "ENTRIES", 200_000)
    monkeypatch.setattr(hamming, "CANDIDATES", 99)
    found = hamming.nearest(queries[:50], searched, 15)
    assert [each.tolist() for each in found] == [each[:50].tolist() for each in expected]


def test_the_native_search_takes_what_fits_only():
    native = pytest.importorskip("mc2._native")
    some = np.zeros(2, np.uint64)
    for arguments in ((some, some, 16), (some.reshape(1, 2), some, 1)):
        with pytest.raises(ValueError):
            native.nearest_signatures(*arguments)


@pytest.mark.parametrize("k, expected", [(0, 2.71e-15), (8, 1.39e-5), (10, 5.0e-4), (12, 1.13e-2)])
def test_the_share_of_a_training_set_that_50_000_images_cost_by_chance(k, expected):
    assert hamming.share_lost(hamming.chance(k), 50_000) == pytest.approx(expected, rel=0.02)


def test_chance_grows_where_some_pictures_are_more_alike_than_others():
    assert hamming.chance_by(32, 16, 8) == pytest.approx(hamming.chance(8))
    assert hamming.chance_by(32, 25, 8) > 5 * hamming.chance(8)
    assert hamming.chance_by(32, 25, 64) == pytest.approx(1)
