import math
import pathlib
import unicodedata
from collections import Counter

import pytest
from hypothesis import given, strategies

from mc2.metadata import dumps, wikitext
from mc2.metadata.ngrams import bigram_rows, count_ngrams, unigram_rows
from mc2.metadata.words import END, Spaces

ENGLISH = (pathlib.Path(__file__).parents[2] / "shared" / "data" / "wikipedia"
           / "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2")


@pytest.mark.parametrize("line, expected", [
    ("Well-known in 1990, e.g. Ubuntu", ["Well", "known", "in", "1990", "e", "g", "Ubuntu"]),
    ("don't l’Aube «né» ¿qué? 3.5 €", ["don", "t", "l", "Aube", "né", "qué", "3", "5"]),
    ("अन्तर्राष्ट्रीय हिन्दी। क्\u200dष", ["अन्तर्राष्ट्रीय", "हिन्दी", "क्\u200dष"]),      # marks, a ZWJ
    ("می\u200cخواهم", ["می\u200cخواهم"]),      # a ZWNJ
    ("so\u00adft \u200eright b\u200d", ["so\u00adft", "\u200eright", "b\u200d"]),         # as texts have them
    ("a\u00a0b\u3000c\u2028d\x85e\x1cf\x1fg\th\ri", list("abcdefghi")),
    ("x 👩🏽 y🚀z", ["x", "y", "z"]),
    ("𐌲𐌿𐍄 𐎀𐎟𐎁", ["𐌲𐌿𐍄", "𐎀", "𐎁"]),                                        # Gothic; Ugaritic has punctuation
    ("", []),
])
def test_words_stand_between_spaces_punctuation_and_symbols(line, expected):
    assert [token for token in Spaces().tokens(line) if token != END] == expected


def test_a_bigram_has_nothing_but_spaces_between_its_words():
    unigrams, bigrams = count_ngrams(["New York, New York is\u00a0well-known\nin $ the US", "US"])
    assert unigrams == {"New": 2, "York": 2, "is": 1, "well": 1, "known": 1, "in": 1, "the": 1, "US": 2}
    assert bigrams == {"New York": 2, "York is": 1, "is well": 1, "the US": 1}


def test_no_texts_have_no_words():
    unigrams, bigrams = count_ngrams([])
    assert (unigram_rows(unigrams), bigram_rows(unigrams, bigrams)) == ([], [])


def test_unigrams_go_by_count_then_code_points():
    assert unigram_rows(Counter({"b": 2, "é": 2, "B": 2, "a": 1, "c": 3, "x" * 257: 9})) == [
        ("c", 3), ("B", 2), ("b", 2), ("é", 2), ("a", 1)]


def test_pmi_by_hand():
    # N = 16 words. "New York": 2 of 16 words begin it; log2(2 * 16 / (4 * 2)) = 2
    unigrams = Counter({"New": 4, "York": 2, "the": 10})
    bigrams = Counter({"New York": 2, "the New": 3, "York the": 1})
    assert bigram_rows(unigrams, bigrams, min_count=2) == [
        ("New York", "2.000000", 2),
        ("the New", "0.263034", 3),         # log2(3 * 16 / (10 * 4)) = log2(1.2)
    ]


def test_bigrams_go_by_rounded_pmi_then_count_then_code_points():
    unigrams = Counter({"a": 8, "b": 8, "c": 16, "d": 16})
    bigrams = Counter({"b a": 5, "a b": 5, "c d": 20, "a c": 9, "x" * 200 + " " + "y" * 56: 5, "a d": 4})
    assert bigram_rows(unigrams, bigrams) == [
        ("c d", "1.906891", 20), ("a b", "1.906891", 5), ("b a", "1.906891", 5), ("a c", "1.754888", 9)]


def test_a_pmi_of_nothing_is_written_without_a_sign():
    unigrams = Counter({"a": 10**8, "b": 10**8})
    [row] = bigram_rows(unigrams, Counter({"a b": 5 * 10**7 - 1}))      # PMI = -0.00000003
    assert row == ("a b", "0.000000", 5 * 10**7 - 1)


def naive_counts(text):
    """Character by character, without regular expressions."""
    unigrams, bigrams = Counter(), Counter()
    for line in text.splitlines():
        previous, word = None, ""
        for character in line + " .":
            is_end = unicodedata.category(character)[0] in "PS"
            if not (is_end or character.isspace()):
                word += character
                continue
            if word:
                unigrams[word] += 1
                if previous:
                    bigrams[previous + " " + word] += 1
                previous, word = word, ""
            if is_end:
                previous = None
    return unigrams, bigrams


@given(strategies.lists(strategies.text(
    strategies.one_of(strategies.sampled_from("aab  .|-\n\x1f\u2028"),
                      strategies.characters(exclude_categories=["Cs"])))))
def test_counts_equal_those_of_a_naive_count(texts):
    unigrams, bigrams = Counter(), Counter()
    for text in texts:
        unigrams += naive_counts(text)[0]
        bigrams += naive_counts(text)[1]
    assert count_ngrams(texts) == (unigrams, bigrams)


@given(strategies.text())
def test_a_word_is_clean_whatever_the_text(text):
    for word in set(Spaces().tokens(text)) - {END}:
        assert word.split() == [word]
        assert not {unicodedata.category(character)[0] for character in word} & set("PSZ")


@pytest.mark.skipif(not ENGLISH.exists(), reason="the sample dumps are not here")
def test_real_articles_give_known_bigrams():
    pages = dumps.read_pages(ENGLISH)
    unigrams, bigrams = count_ngrams(wikitext.clean(page.text, page.hidden_namespaces) for page in pages)
    assert [word for word, _ in unigram_rows(unigrams)[:5]] == ["the", "of", "and", "in", "to"]
    rows = {bigram: float(pmi) for bigram, pmi, _ in bigram_rows(unigrams, bigrams)}
    assert {"Hong Kong", "Sri Lanka", "United States"} <= rows.keys()
    assert rows["Hong Kong"] > rows["United States"] > rows["of the"]
    expected = bigrams["United States"] * sum(unigrams.values()) / unigrams["United"] / unigrams["States"]
    assert rows["United States"] == pytest.approx(math.log2(expected), abs=1e-6)
