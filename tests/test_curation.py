"""Algorithm 1, against the paper's pseudo-code."""
import hashlib
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mc2.balancing.algorithm import draw, entry_probs, keep_probs, keyed_hash, p_to_t, t_per_language, t_to_p


def counts(*values):
    return np.array(values, np.uint64)


def test_p_is_the_share_of_matches_on_entries_below_t():
    assert t_to_p(10, counts(1, 4, 10, 15)) == 5 / 30


def test_t_is_the_count_whose_cumulative_share_is_closest_to_p():
    assert p_to_t(0.06, counts(1, 2, 3, 4, 90)) == 3         # shares .01 .03 .06 .10 1
    assert p_to_t(0.09, counts(90, 4, 3, 2, 1)) == 4


def test_ties_go_to_the_smaller_count():
    assert p_to_t(0.5, counts(1, 2, 1)) == 1                 # shares .25 .5 1, exact at the second 1
    assert p_to_t(0.375, counts(2, 2, 4)) == 2               # .25 and .5 are equally far
    assert p_to_t(0.625, counts(2, 6)) == 2                  # .25 and 1 are equally far


def test_a_sparse_language_keeps_a_positive_t():
    assert p_to_t(0.06, counts(0, 0, 0, 5)) == 5             # as published, t would be 0


def test_a_language_without_any_match_has_no_head():
    assert p_to_t(0.06, counts(0, 0)) == 0
    assert entry_probs(counts(0, 0), 0).tolist() == [1.0, 1.0]


def test_tail_entries_are_always_kept():
    assert entry_probs(counts(0, 5, 10, 20), t_lang=10).tolist() == [1.0, 1.0, 1.0, 0.5]


def test_a_pair_is_kept_with_the_chance_that_any_of_its_entries_draws_it():
    probs = np.array([0.5, 0.25, 1.0])
    offsets, ids = np.array([0, 2, 2, 3]), np.array([0, 1, 2])
    assert keep_probs(offsets, probs[ids]).tolist() == [0.625, 0.0, 1.0]


def test_t_en_stays_as_given_and_the_others_follow_its_tail_share():
    t, t_en, p = t_per_language({"en": counts(1, 4, 10, 15), "fr": counts(1, 1, 8), "other": counts(0)}, t_en=10)
    assert (t, t_en, p) == ({"en": 10, "fr": 1, "other": 0}, 10, 5 / 30)


def test_t_en_follows_from_p():
    assert t_per_language({"en": counts(1, 2, 3, 4, 90)}, p=0.06) == ({"en": 3}, 3, 0.06)


def test_one_t_for_all_needs_no_english():
    assert t_per_language({"fr": counts(1), "de": counts(7)}, t_all=5) == ({"fr": 5, "de": 5}, None, None)


def test_min_t_raises_every_small_t():
    t, _, _ = t_per_language({"en": counts(1, 4, 10, 15), "fr": counts(1, 1, 8)}, t_en=10, min_t=4)
    assert t == {"en": 10, "fr": 4}


def test_the_draw_is_the_top_53_bits_of_blake2b_over_length_prefixed_fields():
    message = b"".join(len(f).to_bytes(8, "little") + f for f in (b"draw", b"7", b"img", "été".encode()))
    number = int.from_bytes(hashlib.blake2b(message, digest_size=8).digest(), "big")
    assert draw(7, "img", "été") == (number >> 11) / 2**53


def test_fields_do_not_run_into_each_other():
    assert keyed_hash("draw", "1", "ab", "c") != keyed_hash("draw", "1", "a", "bc")


def published(p, entry_counts):
    """The paper's p_to_t, word for word."""
    ordered = sorted(entry_counts)
    total = sum(ordered)
    shares, running = [], 0
    for count in ordered:
        running += count
        shares.append(running / total)
    distances = [abs(share - p) for share in shares]
    return ordered[distances.index(min(distances))]


entry_counts = st.lists(st.integers(0, 50), min_size=1, max_size=40).filter(any)


@given(entry_counts, st.floats(0, 1))
def test_where_the_published_rule_gives_a_positive_t_it_is_ours(values, p):
    t = p_to_t(p, counts(*values))
    assert t > 0
    if published(p, values) > 0:
        assert t == published(p, values)


@given(entry_counts, st.integers(1, 60), st.lists(st.lists(st.integers(0, 39), unique=True), max_size=8))
def test_probabilities_agree_with_a_plain_loop_to_the_last_bit(values, t, matches):
    matches = [sorted(i for i in ids if i < len(values)) for ids in matches]
    expected = []
    for ids in matches:
        missed = math.prod([1.0 - t / max(values[i], t) for i in ids])
        expected.append(1.0 - missed)
    offsets = np.cumsum([0, *map(len, matches)])
    ids = np.array([i for ids in matches for i in ids], int)
    assert keep_probs(offsets, entry_probs(counts(*values), t)[ids]).tolist() == expected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_the_product_is_taken_in_ascending_order_of_ids(probs):
    missed = 1.0
    for prob in probs:
        missed *= 1.0 - prob
    assert keep_probs(np.array([0, len(probs)]), np.array(probs))[0] == 1.0 - missed
