"""The native matcher: the same answers as pyahocorasick on every input, and none at all from a damaged file."""
import gzip
import os
import random
import threading
import unicodedata

import numpy as np
import pytest
from conftest import DATA
from hypothesis import given
from hypothesis import strategies as st

from mc2 import engines
from mc2.metadata import matching, normal_form
from mc2.metadata.spacing import SPACINGS, punctuation_bitmap, space_entry, space_text
from mc2.pairs.batch import Strings
from shell import run_python

native = pytest.importorskip("mc2._native")


def compiled(path, entries, key=b"", spacing="published"):
    punctuation = punctuation_bitmap(spacing)
    native.build_matcher([space_entry(entry, spacing) for entry in entries], str(path), key, punctuation=punctuation)
    return native.Matcher(str(path), punctuation)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.matcher"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """One file for all the examples that hypothesis makes."""
    return tmp_path_factory.mktemp("native") / "a.matcher"


def in_utf8(texts):
    """The texts in one buffer, and their offsets."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return b"".join(encoded), np.cumsum([0, *map(len, encoded)]).astype(np.int64)


def assert_same(path, entries, texts, spacings=SPACINGS):
    """match, match_buffer and the counts agree with pyahocorasick, whatever the spacing."""
    for spacing in spacings:
        matcher = compiled(path, entries, spacing=spacing)
        offsets, ids = matching.Matcher(entries, spacing).match(texts)
        counts = np.zeros(len(entries), np.uint64)
        for found in (matcher.match(texts), matcher.match(texts, counts), matcher.match_buffer(*in_utf8(texts))):
            assert (found[0].dtype, found[1].dtype) == (np.int64, np.uint32)
            assert found[0].tolist() == offsets.tolist()
            assert found[1].tolist() == ids.tolist()
        assert counts.tolist() == np.bincount(ids, minlength=len(entries)).tolist()


# ---------------------------------------------------------------- the same answers

def test_the_ids_of_each_text_ascend_and_are_unique(path):
    matcher = compiled(path, ["b", "a b", "a", "猫", "b"])
    offsets, ids = matcher.match(["a b a b", "", "黑猫", "b"])
    assert (offsets.tolist(), ids.tolist()) == ([0, 4, 4, 5, 7], [0, 1, 2, 4, 3, 0, 4])


alphabet = st.sampled_from(list("ab ,.;:?!`'\t\n\r\xa0\u3000\u2028\x85\x00猫カแཀကក😀(—」é\u0301\ud800\udfff"
                                "'$’«×ª؟ش።。㐀€𐄀𐀀\ufe0f"))
words = st.sampled_from(["a", "b", ",", ".", "", "ab", "abcdefg", "abcdefgh", "abcdefghi", "abcdefghijklmnopqrs", "猫"])
texts = st.text(alphabet, max_size=12) | st.lists(words, max_size=12).map(" ".join)
entries = (st.text(alphabet, min_size=1, max_size=4) |
           st.lists(words, min_size=1, max_size=4).map(" ".join)).filter(bool)


@given(st.lists(entries, max_size=30), st.lists(texts, max_size=6))
def test_random_dictionaries_find_what_pyahocorasick_finds(scratch, entries, texts):
    assert_same(scratch, entries, texts)


def test_many_random_texts_at_once(path):
    """More texts and entries than a group, so that groups follow each other."""
    rng = random.Random(1)
    vocabulary = ["a", "bb", "the", "abcdefgh", "abcdefghi", "circles", "(x)", "it's", "黑猫", "แมว", "カメラ", ",", "."]
    for size in (10, 300, 3000):
        entries = [" ".join(rng.choices(vocabulary, k=rng.randint(1, 4))) for _ in range(size)]
        texts = ["".join(rng.choices(vocabulary + [" "] * 9, k=rng.choice([0, 3, 20, 200]))) for _ in range(500)]
        assert_same(path, entries, texts)


@pytest.mark.parametrize("entry, text", [
    ("cat", "a cat!"), ("黑猫", "一只黑猫睡"), ("แมว", "ภาพแมวดำ"), ("ແມວ", "ຮູບແມວດຳ"), ("ကြောင်", "နက်ကြောင်များ"),
    ("ឆ្មា", "រូបឆ្មាខ្មៅ"), ("ཞི་མི", "ཨཞི་མིཨ"), ("カメラ", "新しい カメラ です"), ("赤いカメラ", "この赤いカメラ は"),
    ("고양이", "검은 고양이"), ("(cat)", "x(cat)y"), ("𠀀", "a𠀀b"), ("豈", "a豈b"), ("⺀", "a⺀b"), ("a\0b", "x a\0b"),
    ("\ud800", "a \ud800"), ("\0", "\0"), ("a\0", "a\0"), ("«chat", "un «chat noir"), ("x" * 5000, "x" * 5000),
])
def test_all_scripts_and_odd_characters(path, entry, text):
    assert compiled(path, [entry]).match([text])[1].tolist() == [0]
    assert_same(path, [entry, entry[:1], entry * 2], [text, text * 2, f"a {text}.", text[1:], text[:-1]])


def test_short_words_are_told_from_those_filled_up_with_nul(path):
    assert_same(path, ["a", "a\0", "a\0\0", "\0\0\0\0\0\0\0\0", "\0"], ["a", "a\0", "a\0\0", "\0" * 8, "\0" * 7])


def test_entries_that_differ_only_late(path):
    entries = ["longer than eight" + "x" * n + tail for n in range(20) for tail in ("a", "b", "")]
    assert_same(path, entries, entries + [entry + "c" for entry in entries])


def test_entries_of_spaces_and_punctuation(path):
    entries = [" ", "  ", ",", ", ,", "  ,", " . ", "'", "''", "—", "a ", " a", "!  !", "a  b", ".  "]
    assert_same(path, entries, ["", " ", ",", ",,", "a , b", "it's", "''", "! !", "!!", "a  b", "a   b", "a.", ". b"])


def test_tabs_and_line_breaks_in_entries_never_match(path):
    assert_same(path, ["a\tb", "a\nb", "a\rb", "U.S.", "a b"], ["a\tb", "a\nb", "a\rb", "U.S.", "a b"])


def test_entries_that_begin_or_end_inside_a_word_wherever_they_stand(path):
    entries = ["(b", "b)", "a (b", "b) a", "'", "l'", "-a", "a'-", "(b)", "x, (b", "猫 a"] + ["word", "two words"] * 9
    contexts = ["{}", "a {}", "{} a", "aa{}bb", ", {} .", ",{}.", "\t{}\n", "longer text {} and so on", "{0}{0}"]
    assert_same(path, entries, [context.format(entry) for context in contexts for entry in entries])


def test_entries_of_one_form_all_match(path):
    assert_same(path, ["cat", "猫", "cat", "a cat", "猫", "cat", "a cat"], ["a cat", "黑猫", "cat 猫"])


def test_no_entries_and_no_texts(path):
    assert_same(path, [], ["a cat", ""])
    assert_same(path, ["cat"], [])
    assert_same(path, ["U.S."], ["U.S."])


forms = st.text(st.sampled_from("aé  ?.’。𐄀猫"), min_size=1, max_size=6)
fillings = st.sampled_from([[], [f" word{n} " for n in range(30)], [f"鳥{n}" for n in range(30)]])


@given(st.lists(forms, max_size=20), fillings,
       st.lists(st.text(st.sampled_from("abé ?.’。𐄀猫\t"), max_size=8), max_size=8), st.sampled_from(SPACINGS))
def test_forms_of_any_kind_are_found_as_substrings(scratch, forms, filling, texts, spacing):
    """Also forms that no entry has, through the hash tables (many words) and the automaton (many others)."""
    forms = [*forms, *filling, " ", "  ", "?", "? ", " ? ", "  ? ", ". .", ".  .", "  .  .  ", "’", "’ ", " ’ ", "。  。"]
    native.build_matcher(forms, str(scratch), punctuation=punctuation_bitmap(spacing))
    texts = [*texts, "", "?", "a ?", "a. .", "..", "’", "。。", "é’a"]
    offsets, ids = native.Matcher(scratch, punctuation_bitmap(spacing)).match(texts)
    for n, text in enumerate(texts):
        assert ids[offsets[n]:offsets[n + 1]].tolist() == \
            [i for i, form in enumerate(forms) if form in space_text(text, spacing)]


@pytest.mark.parametrize("character", ["’", "«", "𐄀", "。", "é", "猫"])
def test_characters_that_lie_across_the_blocks_in_which_texts_are_read(path, character):
    entries = ["x" * n for n in range(1, 70)] + ["y", character, f"y{character}", "猫", "犬"]
    assert_same(path, entries, ["x" * n + character + "y" for n in range(130)] + [character * n for n in range(70)])


def test_very_long_texts_with_very_many_matches(path):
    rng = random.Random(2)
    words = ["".join(rng.choices("abcdefghij", k=rng.randint(1, 12))) for _ in range(3000)]
    entries = words + [" ".join(pair) for pair in zip(words, words[1:])] + ["a" * n + "猫" for n in range(1, 200)]
    texts = [" ".join(words), ", ".join(rng.choices(words, k=100_000)), "a" * 100_000 + "猫", "猫" * 50_000, ",." * 50_000,
             "x" * 1_000_000]
    assert_same(path, entries, texts)


@pytest.mark.parametrize("plane", range(17))
def test_texts_are_stripped_as_str_strip_does(path, plane):
    """Every code point of Unicode at both ends: only what strip() takes away lets the word match."""
    matcher = compiled(path, ["cat"])
    characters = list(map(chr, range(plane << 16, (plane + 1) << 16)))
    for ends in ("{0}cat{0}", "{0}{0} cat", "cat\xa0{0}", "\u3000{0}\x1fcat\u2028{0}\x85"):
        texts = [ends.format(character) for character in characters]
        found = np.diff(matcher.match(texts)[0]).tolist()
        assert found == [int(" cat " in space_text(text)) for text in texts]


def test_ids_may_be_given(path):
    native.build_matcher([" cat ", b" dog ", " cat "], str(path), b"", [7, 3, 5])
    matcher = native.Matcher(path)
    assert matcher.n_entries == 8
    assert matcher.match(["cat dog"])[1].tolist() == [3, 5, 7]


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
def test_real_wordnets_over_declarations_of_human_rights(path):
    lemmas = {}
    for file in sorted((DATA / "wordnet").glob("wn-data-*.tab.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            rows = [line.rstrip("\n").split("\t") for line in lines if not line.startswith("#")]
        lemmas[file.name] = [row[2] for row in rows if len(row) == 3 and row[2]][:20_000]
    articles = []
    for file in sorted((DATA / "udhr").glob("*.txt"))[::4]:
        articles += file.read_text(encoding="utf-8").splitlines()[:60]
    assert_same(path, [entry for some in lemmas.values() for entry in some[:3000]], articles, ["wide"])
    assert_same(path, lemmas["wn-data-cmn.tab.gz"], articles[::3], ["wide"])
    assert_same(path, lemmas["wn-data-cmn.tab.gz"], articles, ["published"])


# ---------------------------------------------------------------- how it is used

def test_match_buffer_needs_nothing_around_its_texts(path):
    matcher = compiled(path, ["cat"])
    data = b"xxa cat" + b"cat" + b"dog"
    assert matcher.match_buffer(data, np.array([2, 7, 10, 13]))[0].tolist() == [0, 1, 2, 2]
    assert matcher.match_buffer(memoryview(bytearray(data)), np.array([7, 10]))[1].tolist() == [0]
    assert matcher.match_buffer(b"", np.array([0, 0, 0]))[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("offsets", [[0, 5, 3], [-1, 2], [0, 14], [], [[0, 1]], [0.0, 1.0]])
def test_offsets_outside_the_data_are_refused(path, offsets):
    with pytest.raises(ValueError, match="offsets"):
        compiled(path, ["cat"]).match_buffer(b"xxa catcatdog", np.array(offsets, float if offsets == [0.0, 1.0] else int))


def test_bytes_that_are_no_utf8_do_no_harm(path):
    rng = random.Random(3)
    pieces = ["’".encode(), "𐄀".encode(), "«".encode(), "。".encode(),
    b"\xe2", b"\x80", b"\xf0\x90", b"\xc2", b"a", b" ", b"."]
    for spacing in SPACINGS:
        matcher = compiled(path, ["cat", "a b", "猫", "é", "\u3000x", "’", "a’"], spacing=spacing)
        for n in range(600):
            data = rng.randbytes(rng.randint(0, 300)) if n % 2 else b"".join(rng.choices(pieces, k=rng.randint(0, 100)))
            cuts = sorted(rng.randint(0, len(data)) for _ in range(10))
            matcher.match_buffer(data, np.array([0, *cuts, len(data)]))


@pytest.mark.parametrize("punctuation", [b"", b"x" * 100, "’", bytearray(0x110000 // 8), 7])
def test_punctuation_of_another_form_is_refused(path, punctuation):
    with pytest.raises(ValueError, match="one bit per code point: 139264"):
        native.build_matcher([" cat "], str(path), punctuation=punctuation)
    compiled(path, ["cat"])
    with pytest.raises(ValueError, match="one bit per code point: 139264"):
        native.Matcher(path, punctuation)


def test_a_matcher_keeps_its_punctuation_in_memory(path):
    matcher = compiled(path, ["cat", "l’ami"], spacing="wide")
    punctuation_bitmap.cache_clear()
    assert matcher.match(["«cat» l’ami"])[1].tolist() == [0, 1]


@pytest.mark.parametrize("counts", [
    np.zeros(1, np.uint64), np.zeros(3, np.uint64), np.zeros(2, np.int64), np.zeros(2), np.zeros((2, 1), np.uint64),
    np.zeros(4, np.uint64)[::2], np.zeros(2, ">u8"), np.zeros(17, np.uint8)[1:].view(np.uint64),
])
def test_counts_of_another_shape_or_type_are_refused(path, counts):
    with pytest.raises(ValueError, match="uint64 array of 2"):
        compiled(path, ["cat", "dog"]).match(["cat"], counts)


def test_read_only_counts_are_refused(path):
    counts = np.zeros(1, np.uint64)
    counts.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        compiled(path, ["cat"]).match(["cat"], counts)


@pytest.mark.parametrize("text", [b"cat", None, 1])
def test_only_str_is_matched(path, text):
    with pytest.raises(TypeError, match="expected str, not"):
        compiled(path, ["cat"]).match(["cat", text])


def test_threads_share_a_matcher(path):
    rng = random.Random(4)
    words = ["".join(rng.choices("abcde", k=rng.randint(1, 10))) for _ in range(2000)] + ["黑猫", "猫", "(a)"]
    matcher = compiled(path, words)
    texts = [" ".join(rng.choices(words, k=12)) for _ in range(5000)]
    expected = [array.tolist() for array in matcher.match(texts)]
    answers = [None] * 4

    def work(number):
        counts = np.zeros(len(words), np.uint64)
        answers[number] = [[array.tolist() for array in matcher.match(texts, counts)] for _ in range(5)], int(counts.sum())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [([expected] * 5, 5 * len(expected[1]))] * 4


def test_the_scalar_path_gives_the_same(tmp_path):
    script = """
        import random, sys
        from mc2 import _native
        from mc2.metadata.spacing import SPACINGS, punctuation_bitmap, space_entry
        rng = random.Random(5)
        letters = "ab ,.;:?!`'\\t\\n\\r\\xa0\\u3000\\x00猫カแ(—é😀’«。\\ud800"
        make = lambda size: "".join(rng.choices(letters, k=size))
        entries = [make(rng.randint(1, 4)) for _ in range(500)]
        texts = [make(rng.choice([0, 5, 63, 64, 65, 500])) for _ in range(2000)]
        for spacing in SPACINGS:
            punctuation = punctuation_bitmap(spacing)
            forms = [space_entry(entry, spacing) for entry in entries]
            _native.build_matcher(forms, sys.argv[1], punctuation=punctuation)
            print([array.tolist() for array in _native.Matcher(sys.argv[1], punctuation).match(texts)])
    """
    assert run_python(script, tmp_path / "a", MC2_SIMD="scalar") == run_python(script, tmp_path / "b", MC2_SIMD="")


# ---------------------------------------------------------------- texts of several languages

@pytest.fixture(scope="module")
def languages(tmp_path_factory):
    """Matchers of three languages; the fourth one is not there."""
    directory = tmp_path_factory.mktemp("languages")
    return [compiled(directory / "en", ["cat", "a cat", "a"]), compiled(directory / "zh", ["猫", "黑猫", "a"]),
            compiled(directory / "xx", []), None]


short_texts = st.text(st.sampled_from(list("cat a猫黑.")), max_size=8) | st.just("a cat") | st.just("x" * 1000 + " cat")


@given(st.lists(st.tuples(st.integers(0, 2), short_texts), max_size=300))
def test_each_text_is_matched_in_its_language(languages, texts):
    which = np.array([language for language, _ in texts], np.int64)
    offsets, ids = native.match_languages(languages, which, *in_array([text for _, text in texts]))
    assert (offsets.dtype, ids.dtype) == (np.int64, np.uint32)
    assert [ids[start:stop].tolist() for start, stop in zip(offsets, offsets[1:])] == \
        [languages[language].match([text])[1].tolist() for language, text in texts]


def in_array(texts):
    data, offsets = in_utf8(texts)
    return np.frombuffer(data, np.uint8), offsets


def test_a_language_without_a_matcher_is_refused(languages):
    texts = in_array(["a cat", "cat"])
    assert native.match_languages(languages, np.array([0, 0]), *texts)[1].tolist() == [0, 1, 2, 0]
    for other in (3, 4, -1):
        with pytest.raises(IndexError, match="no such matcher"):
            native.match_languages(languages, np.array([0, other]), *texts)
    with pytest.raises(ValueError, match="for each text"):
        native.match_languages(languages, np.array([0]), *texts)
    for bad in ([0, 9, 9], [0, 5, 4], [-1, 0, 1], []):
        with pytest.raises(ValueError, match="offsets"):
            native.match_languages(languages, np.array([0, 0]), texts[0], np.array(bad, np.int64))


# ---------------------------------------------------------------- the normal form of texts

@pytest.mark.parametrize("text, form", [
    ("café", "café"), ("cafe\u0301", "café"), ("e\u0323\u0301", "ẹ\u0301"), ("e\u0301\u0323", "ẹ\u0301"), ("é\u0323", "ẹ\u0301"),
    ("\u1112\u1161\u11ab", "한"), ("한", "한"), ("ﬁ", "ﬁ"), ("Å", "Å"), ("क़", "क\u093c"), ("हिन्दी", "हिन्दी"),
    ("ก็น้ำ", "ก็น้ำ"), ("\U0002f800", "丽"), ("\U000e0100", "\U000e0100"), ("\U0010ffff", "\U0010ffff"), ("", ""), ("a\0", "a\0"),
])
def test_texts_in_other_forms_become_nfc(monkeypatch, text, form):
    column = Strings.of(["before", text, "a", text, "behind"])
    column = Strings(column.data, column.offsets[1:-1])
    assert normal_form.normalized(column).tolist() == [form, "a", form]
    monkeypatch.setattr(engines, "native", lambda: None)
    assert normal_form.normalized(column).tolist() == [form, "a", form]


marks = st.sampled_from(list("aeAEo하가ᄀᄒ一あかषน ") + [chr(c) for c in (
    0x301, 0x323, 0x308, 0x31b, 0x327, 0x338, 0x345, 0x1161, 0x11a8, 0x11c2, 0x3099, 0x309a, 0x93c, 0x94d, 0xe38, 0xe48, 0x5b0,
    0x5bc, 0x64b, 0x651, 0x653, 0x1ea4, 0xc5, 0x212b, 0x2126, 0xf900, 0xfb1d, 0x110ba, 0x1d165, 0x2f800, 0xe0100)])


@given(st.lists(st.text(marks, max_size=6) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=8))
def test_any_text_becomes_what_unicodedata_says(texts):
    assert normal_form.normalized(Strings.of(texts)).tolist() == [unicodedata.normalize("NFC", text) for text in texts]


def test_what_passes_the_quick_check_is_nfc_and_nearly_everything_does():
    """Every character alone, and after letters that many marks join."""
    characters = [chr(c) for c in range(0x110000) if not 0xd800 <= c < 0xe000]
    for before in ("", "a", "가", "\u0323"):
        texts = [before + character for character in characters]
        data, offsets = in_array(texts)
        passed = ~native.may_not_be_nfc(data, offsets, normal_form.classes())
        assert all(unicodedata.is_normalized("NFC", text) for text, good in zip(texts, passed.tolist()) if good)
        assert np.count_nonzero(passed[:0x30000 - 0x800]) > 0.98 * 0x30000 or before == "\u0323"


def test_bytes_that_are_no_utf8_do_no_harm_to_the_quick_check():
    rng = random.Random(7)
    for _ in range(300):
        data = np.frombuffer(rng.randbytes(rng.randint(0, 40)), np.uint8)
        cuts = sorted(rng.randint(0, len(data)) for _ in range(5))
        native.may_not_be_nfc(data, np.array([0, *cuts, len(data)]), normal_form.classes())


# ---------------------------------------------------------------- the file

def test_the_file_keeps_the_callers_key(path):
    assert compiled(path, ["cat"], b"\0" * 32).key == b"\0" * 32
    with pytest.raises(ValueError, match="64 bytes"):
        compiled(path, ["cat"], b"x" * 65)


def test_a_file_that_is_missing_or_cannot_be_written_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        native.Matcher(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        compiled(tmp_path / "nowhere" / "a.matcher", ["cat"])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_an_error():
    with pytest.raises(OSError, match="No space left"):
        native.build_matcher([" cat "], "/dev/full")


def test_the_same_entries_give_the_same_file(tmp_path):
    for name in ("a", "b"):
        compiled(tmp_path / name, ["cat", "a cat", "猫", "abcdefghi"] * 9)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_files_of_other_kinds_and_versions_are_refused(path):
    compiled(path, ["cat"])
    data = path.read_bytes()
    for changed, message in [(b"", "too short"), (b"x" * 5000, "not a compiled"), (data[:-1], "cut off"),
                             (data + b"x", "cut off"), (data[:8] + b"\2" + data[9:], "format 2"),
                             (data[:12] + b"\7" + data[13:], "header is damaged")]:
        path.with_name("b").write_bytes(changed)
        with pytest.raises(ValueError, match=message):
            native.Matcher(path.with_name("b"))


def test_verify_finds_every_changed_byte_of_a_section(path):
    matcher = compiled(path, ["cat", "a cat", "猫", "abcdefghi"])
    matcher.verify()
    rng = random.Random(6)
    data = path.read_bytes()
    used = [position for position in range(len(data)) if data[position]]      # not the gaps between sections
    for position in rng.sample(used, 100):
        damaged = bytearray(data)
        damaged[position] ^= 1 << rng.randrange(8)
        path.with_name("b").write_bytes(damaged)
        with pytest.raises(ValueError):
            native.Matcher(path.with_name("b")).verify()


def test_damaged_files_never_crash_or_hang(tmp_path):
    """Random bytes overwritten and ends cut off, in another process: it must come back."""
    script = """
        import random, sys
        from mc2 import _native
        from mc2.metadata.spacing import space_entry
        rng = random.Random(7)
        words = ["".join(rng.choices("abc", k=rng.randint(1, 9))) for _ in range(60)]
        latin = words + [" ".join(rng.choices(words, k=3)) for _ in range(100)] + ["(a)", "b'", "a 猫"] + words[:5]
        chinese = ["".join(rng.choices("一只黑猫睡", k=rng.randint(1, 5))) for _ in range(100)] + words[:20]
        texts = [" ".join(rng.choices(words + ["(a)", "b'", ","], k=30)) for _ in range(50)]
        texts += ["".join(rng.choices("一只黑猫睡", k=60)) for _ in range(50)]
        outcomes = {"refused": 0, "matched": 0}
        for entries in (latin, chinese):
            _native.build_matcher([space_entry(entry) for entry in entries], sys.argv[1])
            whole = open(sys.argv[1], "rb").read()
            header = whole[:512]
            for n in range(600):
                data = bytearray(whole)
                for _ in range(rng.choice([1, 1, 10, 1000])):
                    data[rng.randrange(0 if n % 10 == 0 else 512, len(data))] = rng.choice([0, 1, 127, 255, rng.randrange(256)])
                if n % 7 == 0:
                    del data[rng.randrange(len(data)):]
                open(sys.argv[1] + ".damaged", "wb").write(data)
                try:
                    _native.Matcher(sys.argv[1] + ".damaged").match(texts)
                    outcomes["matched"] += 1
                except ValueError:
                    outcomes["refused"] += 1
        print(*outcomes.values())
    """
    refused, matched = map(int, run_python(script, tmp_path / "a").split())
    assert refused + matched == 1200 and refused > 100 and matched > 100
