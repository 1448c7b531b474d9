"""The options of a release that change matching, wide spacing and normalisation: both engines, and plain definitions."""
import functools
import itertools
import re
import unicodedata
from collections import Counter

import numpy as np
import orjson
import pytest
from conftest import pair
from hypothesis import given
from hypothesis import strategies as st

from mc2 import engines
from mc2.errors import BadData
from mc2.metadata import compiled, release
from mc2.metadata.matching import Matcher, Metadata, Normalizing, matcher_of
from mc2.metadata.release import Release
from mc2.metadata.spacing import (SPACINGS, can_match, normalize, punctuation_bitmap, space_entry, space_text,
                                  why_never)
from mc2.metadata.words import Spaces

ENGINES = ["pyahocorasick", "native"] if engines.native() else ["pyahocorasick"]
needs_native = pytest.mark.skipif(engines.native() is None, reason="the native core is not built")


@pytest.fixture(scope="module", params=ENGINES)
def engine(request, tmp_path_factory):
    """A function (entries, texts, spacing, nfc) -> the ids in each text, by one of the engines."""
    path = str(tmp_path_factory.mktemp("spacing") / "a.matcher")

    def match(entries, texts, spacing="wide", nfc=False):
        if request.param == "native":
            compiled.compile_matcher(entries, b"", path, spacing)
            matcher = engines.native().Matcher(path, punctuation_bitmap(spacing))
        else:
            matcher = Matcher(entries, spacing)
        offsets, ids = (Normalizing(matcher) if nfc else matcher).match(texts)
        return [ids[start:stop].tolist() for start, stop in zip(offsets, offsets[1:])]

    return match


# ---------------------------------------------------------------- wide: what it finds

@pytest.mark.parametrize("entry, spaced", [
    ("cat", " cat "), ("St. Louis", " St .  Louis "), ("U.S.", " U . S . "), ("cat!", " cat ! "), (".com", " . com "),
    ("...", " .  .  . "), (". .", " .   . "), ("?", " ? "), (": )", " :   ) "), ("a , b", " a  ,  b "),
    ("it's", " it ' s "), ("l’ami", " l ’ ami "), ("«a»", " « a » "), ("ሰው፡ነጻ።", " ሰው ፡ ነጻ ። "), ("C++", " C +  + "),
    ("a\tb", " a b "), ("\ta", "  a "), (" a", "  a "), ("猫", "猫"), ("猫.", "猫 . "), ("猫。", "猫 。 "), ("カメラ", "カメラ"),
    ("赤いカメラ", "赤いカメラ"), ("カ・メ", "カ ・ メ"), ("カメラ.jp", "カメラ . jp "), ("人々", "人々 "), ("고양이", " 고양이 "),
    ("ཞི་མི", "ཞི ་ མི"),
    ("😀", " 😀 "), ("❤\ufe0f", " ❤ \ufe0f "), ("𐄀", " 𐄀 "), ("¨", " ¨ "), ("ʼn", " ʼn "), ("\u00a0a", " \u00a0a "),
])
def test_wide_spaces_an_entry_like_a_text(entry, spaced):
    assert space_entry(entry, "wide") == spaced


@pytest.mark.parametrize("entry, found, missed", [
    ("St. Louis", ["St. Louis", "in St. Louis, MO", "St.\tLouis", "St. Louis."],
     ["St.Louis", "St . Louis", "St Louis", "St.  Louis", "East. Louis", "St. Louise"]),
    ("U.S.", ["U.S.", "the U.S.", "the U.S., too", "U.S.A.", "U.S.?!", "(a) U.S."],
     ["U.S", "U. S.", "U.S .", "US.", "EU.S."]),
    ("...", ["...", "wait...", "....", "?...!", "a...b"], ["..", ". . .", ".. .", ". .."]),
    ("?!", ["why?!", "?!?", "`?!`"], ["!?", "? !", "?", "?`!"]),
    ("?", ["?", "why?", "a?b", "??"], ["", "!", "？"]),
    (".", [".", "a.b", "..."], ["", " ", "a"]),
    (". .", [". .", "a. ."], ["..", ".", ".  ."]),
    (": )", [": )", "a: )b"], [":)", ":  )"]),
    ("Yahoo!", ["Yahoo!", "Yahoo! Mail", "Yahoo!,", "Yahoo!!"], ["Yahoo", "Yahoo !", "MyYahoo!"]),
    (".com", ["amazon.com", ".com"], ["amazon.community", ". com", "amazon com"]),
    ("a.b", ["a.b", "a.b.", "x,a.b"], ["aa.b", "a.bb", "a. b"]),
    ("cat", ["cat.jpg", "a,cat"], ["cats.jpg"]),
    ("ami", ["l’ami", "l'ami", "«ami»", "ami’s", "—ami—", "ami/e", "$ami", "ami™", "(ami)", "ami😀", "¿ami?"],
     ["amie", "amiʼs", "ami\u0301", "ami\u00adi"]),
    ("l’ami", ["(l’ami)", "l’ami’s"], ["l'ami", "l’ amie", "l ’ ami"]),
    ("ነጻ", ["ሰው፡ነጻ፡ሆኖ", "ነጻ።", "ነጻ፤ሆኖ"], ["ነጻሆኖ"]),
    ("Rock 'n' Roll", ["Rock 'n' Roll", "“Rock 'n' Roll”"], ["Rock ’n’ Roll", "Rock 'n'Roll"]),
    ("C++", ["C++", "C++11", "C+++", "in C++."], ["C +", "C+", "C+ +"]),
    ("“", ["“", "a“b", "““"], ["\"", "”", ""]),
    ("❤\ufe0f", ["I ❤\ufe0f NY"], ["I❤ \ufe0f", "❤\ufe0fx"]),
    ("😀😀", ["😀😀", "a😀😀b", "😀😀😀"], ["😀", "😀 😀"]),
    ("カメラ", ["新しいカメラです", "カメラ", "ミニカメラ"], ["カメレオン"]),
    ("ラーメン", ["ラーメン屋", "醤油ラーメン"], ["ラメン"]),
    ("ひらがな", ["これはひらがなです"], ["ひら がな"]),
    ("ｶﾒﾗ", ["小型ｶﾒﾗ店"], ["カメラ"]),
    ("赤いカメラ", ["この赤いカメラは"], ["赤い カメラ"]),
    ("U.S. カメラ", ["a U.S. カメラ屋"], ["U.S.カメラ"]),
])
def test_wide_finds_what_stands_in_the_text(engine, entry, found, missed):
    assert engine([entry], found + missed) == [[0]] * len(found) + [[]] * len(missed)


@pytest.mark.parametrize("entry", ["St. Louis", "U.S.", "...", "?!", "Yahoo!", ".com", "カメラ"])
def test_published_finds_none_of_these_inside_running_text(engine, entry):
    assert engine([entry], [entry + "です", f"in {entry}, too"], "published") == [[], [0] if entry == "カメラ" else []]


def test_entries_of_one_spaced_form_all_match(engine):
    assert engine(["U.S.", "a\tb", "U.S.", "a b"], ["U.S.", "a b", "a\tb"]) == [[0, 2], [1, 3], [1, 3]]


def test_entries_that_share_their_beginnings_and_ends_are_told_apart(engine):
    entries = ["U", "U.", "U.S", "U.S.", "U. S.", ".S.", ".", "..", "S.", ". S", "U.S.A", "!"]
    assert [[entries[i] for i in ids] for ids in engine(entries, ["U.S.", "U. S", "U..", "S.!"])] == [
        ["U", "U.", "U.S", "U.S.", ".S.", ".", "S."], ["U", "U.", ".", ". S"], ["U", "U.", ".", ".."], [".", "S.", "!"]]


def test_empty_texts_and_entries_of_spaces(engine):
    assert engine([" ", "  ", ".", "a"], ["", " ", "\t", "a   b", "a    b", ". ."]) == \
        [[], [], [], [0, 3], [0, 1, 3], [0, 2]]


# ---------------------------------------------------------------- beside plain definitions

PUBLISHED = ("4E00-9FFF 3400-4DBF 20000-2A6DF 2A700-2CEAF 2CEB0-2EBEF F900-FAFF 2E80-2FDF 2FF0-2FFF 0E00-0E7F "
             "0E80-0EFF 1000-109F 1780-17FF 0F00-0FFF")
KANA = "3040-309F 30A0-30FF 31F0-31FF FF65-FF9F 1B000-1B16F"
ANY_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~" + "，。、；：？！“”‘’（）【】《》〈〉「」『』～—"
PUNCTUATION = ",.;:?!`"


def may_stand_inside(char, spacing):
    ranges = PUBLISHED + " " + KANA if spacing == "wide" else PUBLISHED
    if spacing == "wide" and unicodedata.category(char)[0] in "PS":
        return True
    return char in ANY_PUNCTUATION or any(int(low, 16) <= ord(char) <= int(high, 16)
                                          for low, high in (pair.split("-") for pair in ranges.split()))


def stands_in(entry, text):
    """The wide rule in terms of the text itself: no spaced forms."""
    def with_plain_spaces(string):
        return "".join(" " if char in "\t\n\r" else char for char in string)

    def ends_words(character):
        return character == " " or unicodedata.category(character)[0] in "PS"

    text, plain = f" {with_plain_spaces(text.strip())} ", with_plain_spaces(entry)
    opens, closes = may_stand_inside(entry[0], "wide"), may_stand_inside(entry[-1], "wide")
    for start in range(len(text) - len(plain) + 1):
        stop = start + len(plain)
        if text[start:stop] == plain and (opens or start > 0 and ends_words(text[start - 1])) and \
                (closes or stop < len(text) and ends_words(text[stop])):
            return True
    return False


def published_form_is_in(entry, text):
    text = f" {text.strip()} "
    for character in PUNCTUATION:
        text = (" " + character + " ").join(text.split(character))
    before, after = ("" if may_stand_inside(char, "published") else " " for char in (entry[0], entry[-1]))
    return before + entry + after in "".join(" " if char in "\t\n\r" else char for char in text)


RULES = {"wide": stands_in, "published": published_form_is_in}

letters = st.sampled_from(list("ab....,,;:?!`    '($+\t\n\r\xa0\u3000\u2028\x85\x00猫々カーァかゝｶ\u3099แกཀက😀—「é\u0301\ud800"
                               "’«×ª؟ش፡ሰ་・。㐀€￼𐄀𐄃𐀀\ufe0f\u200d\U000e0020\U0010ffff"))
pieces = st.sampled_from(["a", "b", ".", ",", "?!", "...", " ", " ", "St.", "Louis", "U.S.", "カメラ", "ラ", "猫",
                          "abcdefghi", "l’", "’", "«", "« ", "»", "ሰው፡", "ነጻ", "።", "𐄀", "😀", "猫。", "x—y"])
strings = st.text(letters, max_size=8) | st.lists(pieces, max_size=6).map("".join) | st.text(max_size=4)
several = st.lists(strings.filter(bool), min_size=1, max_size=12)


@pytest.mark.parametrize("spacing", SPACINGS)
@given(data=st.data())
def test_each_engine_finds_what_the_rule_says(engine, spacing, data):
    entries = data.draw(several)
    around_entries = st.lists(pieces | st.sampled_from(entries), max_size=4).map("".join)
    texts = data.draw(st.lists(strings | around_entries, max_size=5))
    expected = [[i for i, entry in enumerate(entries) if RULES[spacing](entry, text)] for text in texts]
    assert engine(entries, texts, spacing) == expected


@functools.cache
def short_entries_and_texts():
    """All entries of up to 3 characters, texts of up to 4, and what is in each."""
    strings = ["".join(chars) for size in range(1, 5) for chars in itertools.product("a. 猫", repeat=size)]
    entries, texts = [string for string in strings if len(string) < 4], strings + [string + "?" for string in strings]
    return entries, texts, [[i for i, entry in enumerate(entries) if stands_in(entry, text)] for text in texts]


@pytest.mark.parametrize("more", ["words", "猫犬鳥"])
def test_every_short_entry_of_punctuation_and_spaces_in_every_short_text(engine, more):
    """Where most entries are words, the native engine finds those by hashing, else all with its automaton."""
    entries, texts, expected = short_entries_and_texts()
    assert engine(entries + [more * n for n in range(2, 120)], texts) == expected


@given(st.characters(exclude_characters=PUNCTUATION + "\t\n\r"), st.sampled_from(SPACINGS))
def test_every_character_is_open_as_listed(char, spacing):
    is_set_apart = spacing == "wide" and unicodedata.category(char)[0] in "PS"
    space = "" if may_stand_inside(char, spacing) and not is_set_apart else " "
    assert space_entry(char, spacing) == space + char + space


@pytest.mark.parametrize("first, last", [pair.split("-") for pair in KANA.split()])
def test_kana_are_open_from_the_first_to_the_last_of_their_ranges(first, last):
    first, last = int(first, 16), int(last, 16)
    assert all(space_entry(f"ア{chr(number)}ア", "wide") == (
        f"ア{chr(number)}ア" if unicodedata.category(chr(number))[0] not in "PS" else f"ア {chr(number)} ア")
        for number in range(first, last + 1))
    assert all(may_stand_inside(chr(number), "wide") for number in range(first, last + 1))
    assert all(space_entry(chr(number), "published") == f" {chr(number)} " for number in range(first, last + 1))
    assert unicodedata.name("ー") == "KATAKANA-HIRAGANA PROLONGED SOUND MARK" and space_entry("ー", "wide") == "ー"


# ---------------------------------------------------------------- wide: all punctuation and symbols of Unicode

def test_wide_sets_every_punctuation_character_and_symbol_apart_and_nothing_else():
    """Every code point, as this Python knows it; the native matcher is given the same ones."""
    bitmap = np.frombuffer(punctuation_bitmap("wide"), np.uint8)
    in_bitmap = np.flatnonzero(np.unpackbits(bitmap, bitorder="little")).tolist()
    expected = [code for code in range(0x110000) if unicodedata.category(chr(code))[0] in "PS"]
    assert in_bitmap == expected and len(bitmap) == 0x110000 / 8
    spaced = (space_text(f"a{chr(code)}b", "wide") for code in range(0x110000))
    assert [code for code, text in enumerate(spaced) if text == f" a {chr(code)} b "] == expected
    assert punctuation_bitmap("published") is None


def test_every_character_parts_words_in_both_engines_or_in_none(engine):
    for plane in (0, 1, 14):                        # the others have ideographs, private and unassigned code points
        characters = [chr(code) for code in range(plane << 16, (plane + 1) << 16)]
        found = engine(["cat", "猫猫"], [f"a{character}cat{character}猫猫" for character in characters])
        parts = [character in " \t\n\r" or unicodedata.category(character)[0] in "PS" for character in characters]
        assert found == [[0, 1] if part else [1] for part in parts]


@given(strings)
def test_every_word_of_a_text_is_found_in_it(engine, text):
    """Words of texts end at the same characters, and at all white space: here at spaces, tabs and line breaks alone."""
    text = re.sub("[^\\S \t\n\r]|\u200b", "", text.strip())
    words = sorted(set(Spaces().tokens(text)) - {"|"})
    assert engine(words or ["x"], [text]) == [list(range(len(words)))]


@given(texts=st.lists(st.text(max_size=100) | strings, max_size=20))
def test_texts_beside_each_other_do_not_meet(engine, texts):
    entries = ["a", "’", "።", "猫", "😀", "é"]
    assert engine(entries, texts) == [[i for i, entry in enumerate(entries) if stands_in(entry, text)]
                                      for text in texts]


# ---------------------------------------------------------------- which entries can never match

@pytest.mark.parametrize("entry, reason", [
    ("U.S.", "mark within a word (U.S.)"), ("St. Louis", "mark at the end of a word (St. Louis)"),
    ("Yahoo!", "mark at the end of a word (St. Louis)"), (".com", "mark at the beginning of a word (.com)"),
    ("?!", "marks side by side (?!)"), (", ,", "marks side by side (?!)"), ("...", "marks side by side (?!)"),
    ("a\tb", "line break or tab"), ("猫.", "mark at the end of a word (St. Louis)"),
    ("cat", None), (".", None), ("! a", None), ("a , b", None), ("it's", None), ("カメラ", None),
])
def test_why_no_text_holds_an_entry(entry, reason):
    assert why_never(entry) == reason
    assert can_match(entry) == (reason is None)
    assert why_never(entry, "wide") is None and can_match(entry, "wide")


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("letters", ["a. ", "猫?\t", "a,!", "カ'`", "a’"])
def test_can_match_is_exact(letters, spacing):
    """Every entry of up to 3 characters, in every text of up to 6, and in one with the widest gap that any needs."""
    texts = ["".join(chars) for size in range(7) for chars in itertools.product({*letters, " "}, repeat=size)]
    texts = "\n".join(space_text(text, spacing) for text in [*texts, "x     x"])
    for entry in ("".join(chars) for size in (1, 2, 3) for chars in itertools.product(letters, repeat=size)):
        assert can_match(entry, spacing) == (space_entry(entry, spacing) in texts), entry


def a_text_around(form):
    """The text that would hold a form, if any does: without the spaces that spacing puts around punctuation."""
    text = f" {form} " if form[0] in PUNCTUATION or form[-1] in PUNCTUATION else form
    for character in PUNCTUATION:
        text = text.replace(f" {character} ", character)
    return f"x{text}x"


@given(strings.filter(bool), st.sampled_from(SPACINGS))
def test_an_entry_can_match_exactly_if_there_is_a_text_that_holds_it(entry, spacing):
    form = space_entry(entry, spacing)
    assert can_match(entry, spacing) == (why_never(entry, spacing) is None)
    if spacing == "wide":
        assert can_match(entry, spacing) and form in space_text(f"x {entry} x", spacing)
    else:
        assert can_match(entry, spacing) == (form in space_text(a_text_around(form)))


@given(st.lists(strings.filter(bool), max_size=30))
def test_the_reasons_add_up(entries):
    reasons = Counter(why_never(entry) for entry in entries)
    assert sum(reasons.values()) - reasons[None] == sum(not can_match(entry) for entry in entries)


# ---------------------------------------------------------------- releases

def change_options(path, **options):
    """Give a release other options, as if it had been merged with them. None: as in releases before there was one."""
    manifest = orjson.loads((path / "manifest.json").read_bytes())
    manifest.pop("checksum", None)
    if "spacing" in options:
        options = {"words_end_at": "P S" if options["spacing"] == "wide" else None, **options}
    manifest["options"].update(options)
    manifest["options"] = {key: value for key, value in manifest["options"].items() if value is not None}
    manifest["fingerprint"] = release.fingerprint(manifest)
    (path / "manifest.json").write_bytes(orjson.dumps(manifest))


def ids(toy, text, lang="en", engine=None):
    return Metadata(toy / "toy", engine)[lang].match([text])[1].tolist()


def test_a_release_says_how_it_is_matched(toy):
    opened = Release(toy / "toy")
    assert (opened.spacing, opened.nfc) == ("published", False)
    change_options(toy / "toy", spacing=None, nfc=None)
    opened = Release(toy / "toy")
    assert (opened.spacing, opened.nfc) == ("published", False)
    change_options(toy / "toy", spacing="wide", nfc=True)
    opened = Release(toy / "toy")
    assert (opened.spacing, opened.nfc) == ("wide", True)


@pytest.mark.parametrize("options", [
    {"spacing": "wider"}, {"spacing": 1}, {"nfc": "yes"}, {"spacing": ["wide"]},
    {"spacing": "wide", "words_end_at": "P S Z"}, {"spacing": "published", "words_end_at": "P S"}])
def test_options_of_another_version_are_refused(toy, options):
    change_options(toy / "toy", **options)
    with pytest.raises(BadData, match="which this version of mc2 does not know"):
        Release(toy / "toy")
    assert toy("mc2 match -m toy", b"").status == 3


def test_a_wide_release_of_an_earlier_version_is_refused_since_other_entries_would_match(toy):
    change_options(toy / "toy", spacing="wide", words_end_at=None)
    for command in ("match in.jsonl -m toy", "inspect toy", "build-metadata compile toy"):
        toy.write("in.jsonl", pair(1, "a cat", "en"))
        toy.fails(f"mc2 {command}", 3, "toy: was merged with --spacing wide by an earlier version of mc2, which set "
                  "texts apart at seven punctuation characters only", "Run 'mc2 build-metadata merge' again")


@pytest.mark.parametrize("name", ENGINES)
def test_matchers_take_spacing_and_normalisation_from_the_release(toy, name):
    toy.write("sources/ja.list.tsv", "ｶﾒﾗ\t0", "が\t0", "カメラ\t0")
    toy.ok("mc2 build-metadata merge sources -o toy -q")
    texts = {"a U.S. cat": ("en", [3, 4], [3, 4, 5]), "赤いカメラが": ("ja", [], [1, 2]), "か\u3099": ("ja", [], [1])}
    for options, expected in [({}, 1), ({"spacing": "wide", "nfc": True}, 2)]:
        change_options(toy / "toy", **options)
        for text, row in texts.items():
            assert ids(toy, text, row[0], name) == row[expected]
            assert matcher_of(Release(toy / "toy"), row[0], name).match([text])[1].tolist() == row[expected]


@needs_native
def test_a_compiled_matcher_of_another_spacing_is_made_again(toy):
    sound = (toy / "toy/en.matcher").read_bytes()
    assert ids(toy, "a U.S. cat", engine="native") == [3, 4]
    change_options(toy / "toy", spacing="wide")
    assert ids(toy, "a U.S. cat", engine="native") == [3, 4, 5]
    assert (toy / "toy/en.matcher").read_bytes() != sound
    assert compiled.compile_release(Release(toy / "toy")) == 175               # all but English, which is there again
    assert compiled.compile_release(Release(toy / "toy")) == 0
    change_options(toy / "toy", spacing="published")
    assert ids(toy, "a U.S. cat", engine="native") == [3, 4]
    assert (toy / "toy/en.matcher").read_bytes() == sound


@needs_native
def test_compiled_matchers_of_the_published_spacing_keep_their_key(toy):
    opened = Release(toy / "toy")
    assert compiled.key_of(opened, "en").hex() == opened.manifest["sha256"]["en.tsv"]
    opened.spacing = "wide"
    assert compiled.key_of(opened, "en").hex().startswith(opened.manifest["sha256"]["en.tsv"])
    assert compiled.key_of(opened, "en") != bytes.fromhex(opened.manifest["sha256"]["en.tsv"])


@needs_native
def test_a_matcher_of_another_version_of_unicode_is_made_again(toy, monkeypatch):
    change_options(toy / "toy", spacing="wide")
    opened = Release(toy / "toy")
    compiled.compile_release(opened)
    key = compiled.key_of(opened, "en")
    assert key.endswith(f"wide P S {unicodedata.unidata_version}".encode())
    monkeypatch.setattr(compiled.unicodedata, "unidata_version", "99.0.0")
    assert compiled.key_of(opened, "en") != key
    assert compiled.compile_release(opened) == 176


@needs_native
def test_engines_write_the_same_bytes_for_a_wide_and_normalised_release(toy):
    change_options(toy / "toy", spacing="wide", nfc=True)
    texts = ["U.S., a cat", "U.S.A.", "e\u0301", "a red circle...", "U\uff0eS.", "\u212b", "", "chat\u037e", "ｶﾒﾗ"]
    toy.write("in.jsonl", *(pair(n, text, lang) for lang in ("en", "fr", "ja") for n, text in enumerate(texts)))
    matched = toy.ok("mc2 match in.jsonl -m toy --engine native")
    assert matched == toy.ok("mc2 match in.jsonl -m toy --engine pyahocorasick")
    assert matched.count('"matched_entry_ids":[3,4,5]') == 1 and matched.count('"matched_entry_ids":[5]') == 1


# ---------------------------------------------------------------- normalisation

@pytest.mark.parametrize("text, normal", [
    ("e\u0301", "é"), ("\u212b", "Å"), ("A\u030a", "Å"), ("か\u3099", "が"), ("ハ\u309a", "パ"),
    ("\u1112\u1161\u11ab", "한"), ("\u1112\u1161", "하"), ("a\u0323\u0307", "ạ\u0307"), ("a\u0307\u0323", "ạ\u0307"),
    ("\u037e", ";"), ("\u1fef", "`"), ("\u2000", "\u2002"), ("\uf900", "\u8c48"), ("ﬁ", "ﬁ"), ("ｶﾞ", "ｶﾞ"),
    ("\ud800e\u0301", "\ud800é"),
    ("", ""), ("cat", "cat"), ("क\u093c", "क\u093c"), ("\u0958", "क\u093c"),
])
def test_texts_are_normalised_to_nfc(text, normal):
    assert normalize(text) == normal


@pytest.mark.parametrize("entry, text", [
    ("chat", "chat e\u0301"), ("é", "e\u0301"), ("Ångström", "A\u030angstro\u0308m"), ("Ångström", "\u212bngström"),
    ("が", "か\u3099"), ("한국", unicodedata.normalize("NFD", "한국")), ("a;b", "a\u037eb"), ("a ` b", "a \u1fef b"),
])
def test_what_is_canonically_the_same_matches(engine, entry, text):
    assert engine([entry], [text, entry], nfc=True) == [[0], [0]]
    assert engine([entry], [text, entry]) == [[0] if entry == "chat" else [], [0]]


def test_a_character_is_not_taken_for_its_base_character(engine):
    assert engine(["か", "ハ"], ["か\u3099", "ハ\u309a"]) == [[0], [1]]
    assert engine(["か", "ハ"], ["か\u3099", "ハ\u309a"], nfc=True) == [[], []]


@given(entries=several, texts=st.lists(strings, max_size=5))
def test_with_nfc_the_rule_holds_for_the_normal_forms(engine, entries, texts):
    entries = list(map(normalize, entries))
    assert engine(entries, texts, nfc=True) == \
        [[i for i, entry in enumerate(entries) if stands_in(entry, normalize(text))] for text in texts]


@given(strings, st.sampled_from(SPACINGS))
def test_spacing_a_normal_text_leaves_it_normal(text, spacing):
    """So an entry in NFC, set between spaces, stands in its text whatever NFC does to that."""
    spaced = space_text(normalize(text), spacing)
    assert normalize(spaced) == spaced
