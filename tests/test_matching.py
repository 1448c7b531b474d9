"""Matching, section by section of its rules, and against a plain search for substrings."""
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mc2.metadata.matching import Matcher, Metadata, matcher_of
from mc2.metadata.release import Release
from mc2.metadata.spacing import can_match, space_entry, space_text
from mc2.pairs.batch import Labels, Strings


def matches(entries, text):
    offsets, ids = Matcher(entries).match([text])
    assert offsets.tolist() == [0, len(ids)]
    return [entries[i] for i in ids.tolist()]


def test_texts_are_stripped_and_set_in_spaces():
    assert space_text("a cat") == " a cat "
    assert space_text("\u3000\xa0a\u2028\x85\x1f") == " a "
    assert space_text("") == "  "


def test_each_punctuation_character_gets_a_space_on_both_sides():
    assert space_text("a,b.") == " a , b .  "
    assert space_text("`why?!`") == "  ` why ?  !  `  "
    assert space_text("it's 1-2 (ok)") == " it's 1-2 (ok) "


def test_tabs_and_line_breaks_become_spaces():
    assert space_text("a\tb\nc\rd") == " a b c d "


@pytest.mark.parametrize("entry, spaced", [
    ("cat", " cat "), ("猫", "猫"), ("猫 cat", "猫 cat "), ("แมว", "แมว"), ("ແມວ", "ແມວ"), ("ကြောင်", "ကြောင်"),
    ("ឆ្មា", "ឆ្មា"), ("ཞི་མི", "ཞི་མི"), ("カメラ", " カメラ "), ("赤いカメラ", "赤いカメラ "), ("고양이", " 고양이 "),
    ("(cat)", "(cat)"), ("cat!", " cat!"), ("「猫」", "「猫」"), ("〇", " 〇 "), ("々", " 々 "), ("𠀀", "𠀀"), ("⺀", "⺀"),
    ("—a", "—a "), ("¿que", " ¿que "),
])
def test_an_entry_gets_a_space_where_words_have_spaces(entry, spaced):
    assert space_entry(entry) == spaced


def test_words_match_whole_and_case_sensitive():
    assert matches(["cat", "Cat", "cats"], "my cat, not cats") == ["cat", "cats"]
    assert matches(["cat"], "concatenate") == []


def test_overlapping_and_nested_entries_all_match():
    assert matches(["red", "red circle", "circle on", "circle", "on red"], "red circle on red") == \
        ["red", "red circle", "circle on", "circle", "on red"]


def test_chinese_and_thai_match_inside_running_text():
    assert matches(["黑猫", "猫", "沙发"], "一只黑猫睡在沙发上") == ["黑猫", "猫", "沙发"]
    assert matches(["แมว"], "ภาพแมวดำ") == ["แมว"]


def test_kana_match_only_between_spaces():
    assert matches(["カメラ"], "新しいカメラです") == []
    assert matches(["カメラ"], "新しい カメラ です") == ["カメラ"]


def test_entries_with_punctuation_inside_never_match():
    assert matches(["St. Louis", "U.S."], "St. Louis, U.S.") == []
    assert [can_match(entry) for entry in ("St. Louis", "U.S.", "cat", "! a", "a , b", ".", ", ,", "it's")] == \
        [False, False, True, True, True, True, False, True]


def test_every_entry_counts_once_per_text_and_ids_ascend():
    offsets, ids = Matcher(["b", "a"]).match(["a b a b", "", "b"])
    assert (offsets.tolist(), ids.tolist()) == ([0, 2, 2, 3], [0, 1, 0])
    assert (offsets.dtype, ids.dtype) == ("int64", "uint32")


def test_an_entry_that_is_listed_twice_matches_twice():
    assert Matcher(["cat", "dog", "cat"]).match(["a cat"])[1].tolist() == [0, 2]


def test_no_entries_and_no_texts():
    assert matches([], "a cat") == []
    offsets, ids = Matcher(["cat"]).match([])
    assert (offsets.tolist(), ids.tolist()) == ([0], [])


def test_lone_surrogates_and_nul_are_characters_like_others():
    assert matches(["\ud800", "a\0b"], "x \ud800 a\0b") == ["\ud800", "a\0b"]


alphabet = st.sampled_from(list("ab ,.;:?!`'\t\n\r\xa0\u3000\u2028\x85\x00猫カแกཀកကກ😀(—」é\u0301"))
texts = st.text(alphabet, max_size=12)
entries = st.lists(st.text(alphabet, min_size=1, max_size=4), max_size=12)


def naive_space_text(text):
    out = " " + text.strip() + " "
    for character in ",.;:?!`":
        out = (" " + character + " ").join(out.split(character))
    return "".join(" " if char in "\t\n\r" else char for char in out)


RANGES = ("4E00-9FFF 3400-4DBF 20000-2A6DF 2A700-2CEAF 2CEB0-2EBEF F900-FAFF 2E80-2FDF 2FF0-2FFF 0E00-0E7F 0E80-0EFF "
          "1000-109F 1780-17FF 0F00-0FFF")
PUNCTUATION = string.punctuation + "，。、；：？！“”‘’（）【】《》〈〉「」『』～—"


def naive_space_entry(entry):
    def is_free(char):
        return char in PUNCTUATION or any(int(low, 16) <= ord(char) <= int(high, 16)
                                          for low, high in (pair.split("-") for pair in RANGES.split()))
    return ("" if is_free(entry[0]) else " ") + entry + ("" if is_free(entry[-1]) else " ")


@given(entries, st.lists(texts, max_size=4))
def test_the_result_is_that_of_a_search_for_every_entry(entries, texts):
    offsets, ids = Matcher(entries).match(texts)
    for n, text in enumerate(texts):
        expected = [i for i, entry in enumerate(entries) if naive_space_entry(entry) in naive_space_text(text)]
        assert ids[offsets[n]:offsets[n + 1]].tolist() == expected


@given(st.text(alphabet, min_size=1, max_size=5), st.lists(texts, max_size=3), texts, texts)
def test_what_cannot_match_is_in_no_text(entry, others, before, after):
    if not can_match(entry):
        for text in [*others, before + entry + after, before + space_entry(entry) + after]:
            assert naive_space_entry(entry) not in naive_space_text(text)


@given(st.characters())
def test_every_character_is_spaced_as_listed(char):
    assert space_entry(char) == naive_space_entry(char)


# ---------------------------------------------------------------- mc2 match

def test_match_adds_the_ids_of_the_pairs_language(toy):
    toy.write("in.jsonl", {"id": "1", "text": "a red circle", "lang": "en"}, {"id": "2", "text": "un chat", "lang": "fr"},
              {"id": "3", "text": "chat", "lang": "en"}, {"id": "4", "text": "7 chats", "lang": "de"})
    toy.ok("mc2 match in.jsonl -m toy -o out.jsonl")
    assert [record["matched_entry_ids"] for record in toy.read("out.jsonl")] == [[0, 1, 2, 4], [0, 1], [], [7]]


def test_a_language_outside_the_release_stops_and_is_named(toy):
    toy.write("in.jsonl", {"id": "1", "text": "a", "lang": "en"}, {"id": "2", "text": "a", "lang": "tlh"})
    done = toy("mc2 match in.jsonl -m toy")
    assert done.status == 3
    assert done.stderr == "mc2 match: in.jsonl:2: \"lang\" is 'tlh', which toy does not have. " \
                          "Was 'mc2 lid' run with another mapping?\n"


def test_labels_of_another_scheme_are_refused(toy):
    toy.write("in.jsonl", {"id": "1", "text": "a", "lid": "eng_Latn", "lang": "en"})
    done = toy("mc2 match in.jsonl -m toy")
    assert done.status == 3 and "\"lid\" is 'eng_Latn', no label of toy (lid176)" in done.stderr


@pytest.mark.parametrize("lid, named", [("5", "5"), ("null", "None"), ("[]", "'[]'"), ('{"a":1}', '"{\'a\': 1}"')])
def test_labels_that_are_no_strings_are_refused(toy, lid, named):
    toy.write("in.jsonl", '{"id":"1","text":"a","lang":"en"}', f'{{"id":"2","text":"a","lang":"en","lid":{lid}}}')
    done = toy("mc2 match in.jsonl -m toy")
    assert done.status == 3 and f'in.jsonl:2: "lid" is {named}, no label of toy (lid176)' in done.stderr


@pytest.mark.parametrize("engine", ["native", "pyahocorasick"])
def test_texts_of_many_languages_in_any_order_get_the_ids_of_theirs(toy, engine):
    if engine == "native":
        pytest.importorskip("mc2._native")
    langs = Labels(np.array([2, 0, 2, 1, 0]), ["fr", "en", "de", "tlh"])
    offsets, ids = Metadata(toy / "toy", engine).match(langs, Strings.of(["7", "un chat", "x", "a red circle", "chat noir"]))
    assert [found.tolist() for found in np.split(ids, offsets[1:-1])] == [[7], [0, 1], [], [0, 1, 2, 4], [0, 2]]
    assert (offsets.dtype, ids.dtype) == (np.int64, np.uint32)
    offsets, ids = Metadata(toy / "toy", engine).match(Labels(np.empty(0, np.int64), []), Strings.of([]))
    assert (offsets.tolist(), ids.tolist()) == ([0], [])


def test_metadata_opens_languages_when_they_come(toy):
    metadata = Metadata(toy / "toy")
    assert metadata.matchers == {}
    assert metadata["fr"].match(["chat noir"])[1].tolist() == [0, 2]
    assert list(metadata.matchers) == ["fr"]


def test_a_matcher_loads_one_language(toy):
    assert matcher_of(Release(toy / "toy"), "fr").match(["un chat"])[1].tolist() == [0, 1]
