"""mc2 inspect: a few lines about anything."""
import pytest

from conftest import pair


@pytest.fixture
def work(toy):
    """toy with one of everything."""
    toy.write("pairs.jsonl", pair(1, "a red circle"), pair(2, "un chat noir"), pair(3, "nothing of note"))
    toy.write("lid.jsonl", pair(1, "a red circle", "en"), pair(2, "un chat noir", "fr"), pair(3, "nothing", "en"))
    toy.ok("mc2 match lid.jsonl -m toy -o matched.jsonl.zst -q && mc2 count matched.jsonl.zst -m toy -o counts -q")
    toy.ok("mc2 thresholds counts --t-en 2 -o thresholds.json -q")
    return toy


def test_metadata_by_language_and_source(work):
    text = work.ok("mc2 inspect toy")
    assert text.splitlines()[0].endswith("17,409 entries in 176 languages (lid176, spacing published)")
    assert "en              6       0        0        0       0      0     6             1" in text
    assert "  list: red, red circle, circle, cat, a, U.S." in text


def test_counts_with_their_top_entries(work):
    text = work.ok("mc2 inspect counts")
    assert "3 pairs, 2 matched, in 2 of 176 languages" in text
    assert "fr: chat noir 1, un 1, chat 1" in text


def test_thresholds_as_a_table(work):
    text = work.ok("mc2 inspect thresholds.json")
    assert "t_en = 2, p = 1.000000; 2 pairs expected" in text
    assert text.splitlines()[1].split("  ")[0] == "language"


def test_pairs_show_keys_and_texts(work):
    assert work.ok("mc2 inspect pairs.jsonl").splitlines()[:5] == [
        "pairs: 3 read", "keys: id, text", "", "000000000000000000000001", "  a red circle"]
    assert work.ok("mc2 inspect --lines 1 < pairs.jsonl").splitlines()[0] == "pairs: 1 (the first) read"


def test_matched_pairs_spell_out_their_words(work):
    text = work.ok("mc2 inspect matched.jsonl.zst")
    assert text.splitlines()[:4] == ["matched pairs, made by mc2 match: 3 read",
                                     "keys: id, text, lang, matched_entry_ids", "languages: en 2, fr 1", "matched: 2 of 3"]
    assert "  -> red, red circle, circle, a" in text and "  -> chat, un, chat noir" in text


def test_curated_pairs_spell_out_their_words_too(work):
    work.ok("mc2 sample matched.jsonl.zst -c counts -t thresholds.json -o curated.jsonl -q")
    assert "  -> chat, un, chat noir" in work.ok("mc2 inspect curated.jsonl")


def test_piped_pairs_need_the_metadata_to_be_named(work):
    kept = "mc2 sample matched.jsonl.zst -c counts -t thresholds.json -q"
    assert "name the metadata with -m" in work.ok(f"{kept} | mc2 inspect")
    assert "-> red, red circle" in work.ok(f"{kept} | mc2 inspect -m toy")


def test_piped_pairs_are_spelled_out_by_a_release_called_metadata_beside_them(work):
    text = work.ok("mv toy metadata; mc2 match lid.jsonl -m metadata -q > piped.jsonl; mc2 inspect piped.jsonl")
    assert "(words of metadata; name another release with -m)" in text and "  -> red, red circle, circle, a" in text


def test_sources_and_single_sources(work):
    assert "en.list.tsv     6  red, red circle, circle" in work.ok("mc2 inspect sources")
    assert work.ok("mc2 inspect sources/fr.list.tsv").splitlines() == [
        "list source, 3 rows; the first:", "chat       0", "un         0", "chat noir  0"]


def test_an_empty_file_is_an_empty_stream_of_pairs(work):
    assert work.ok("mc2 inspect /dev/null") == "pairs: 0 read\n"


def test_what_is_nothing_of_mc2(work):
    (work / "empty").mkdir()
    assert work("mc2 inspect empty").status == 2
    assert work("mc2 inspect nowhere").status == 2
    work.write("x.json", {"a": 1})
    assert work("mc2 inspect x.json").stderr == "mc2 inspect: x.json: not a thresholds file. Make one with 'mc2 thresholds'.\n"
