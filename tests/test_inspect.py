"""mc2 inspect: a few lines about anything."""
import json
import os
import shutil

import pytest

from conftest import Shell, pair
from mc2 import inspection
from mc2.errors import Mc2Error
from mc2.invisible import escaped
from mc2.tables import align
from mc2.terminal import show_json


@pytest.fixture(scope="module")
def work_template(toy_template, tmp_path_factory):
    toy = Shell(tmp_path_factory.mktemp("work"))
    shutil.copytree(toy_template, toy.directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".bin"))
    toy.write("pairs.jsonl", pair(1, "a red circle"), pair(2, "un chat noir"), pair(3, "nothing of note"))
    toy.write("lid.jsonl", pair(1, "a red circle", "en"), pair(2, "un chat noir", "fr"), pair(3, "nothing", "en"))
    toy.ok("mc2 match lid.jsonl -m toy -o matched.jsonl.zst -q && mc2 count matched.jsonl.zst -m toy -o counts -q")
    toy.ok("mc2 thresholds counts --t-en 2 -o thresholds.json -q")
    return toy.directory


@pytest.fixture
def work(sh, work_template):
    """toy with one of everything."""
    shutil.copytree(work_template, sh.directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".bin"))
    return sh


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


def test_a_release_is_found_from_another_directory_than_that_of_the_command(work):
    work.ok("mkdir here && mv toy lid.jsonl here && mc2 match here/lid.jsonl -m here/toy -o here/m.jsonl -q")
    work.ok("mc2 count here/m.jsonl -m here/toy -o here/counts -q")
    assert "  -> red, red circle, circle, a\n" in work.ok("cd here && mc2 inspect m.jsonl")
    assert "\ntop entries\n" in work.ok("cd here && mc2 inspect counts")
    work.ok("mv here moved")
    assert "name the metadata with -m" in work.ok("mc2 inspect moved/m.jsonl")


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


def test_columns_are_aligned_by_their_width_on_a_terminal():
    rows = [["word", "count"], ["猫", "7"], ["cafe\u0301", "10"]]
    assert align(rows) == ["word  count", "猫        7", "cafe\u0301     10"]
    assert align(rows, right=()) == ["word  count", "猫    7", "cafe\u0301  10"]


# ---------------------------------------------------------------- two releases

@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The releases `old`, and `new` of other sources, mapping, spacing and normal form."""
    sh = Shell(tmp_path_factory.mktemp("two"))
    sh.write("old.csv", "lid_label,lang,wiki_codes", "en,en,en", "ja,ja,ja", "fr,fr,fr", "de,de,de")
    sh.write("new.csv", "lid_label,lang,wiki_codes", "en,en,en simple", "ja,ja,ja", "fr,fr,fr", "de,fr,fr", "it,it,it")
    sh.write("s/en.wordnet.tsv", "cat\t0", "U.S.\t0", "St. Louis\t0", "dog\t0")
    sh.write("s/en.title.tsv", "Cat\t9", "Jose\u0301\t5")
    sh.write("s/ja.wordnet.tsv", "カメラ\t0", "猫\t0")
    sh.write("s/fr.wordnet.tsv", "chat\t0", "chien\t0")
    sh.ok("mc2 build-metadata merge s -o old --title-share 1 --languages old.csv -q")
    sh.write("s/en.wordnet.tsv", "cat\t0", "U.S.\t0", "St. Louis\t0", "Cat\t0", "fish\t0")
    sh.write("s/fr.wordnet.tsv", "chien\t0", "chat\t0")
    sh.ok("mc2 build-metadata merge s -o new --title-share 1 --languages new.csv --spacing wide --nfc -q")
    return sh


def test_how_two_releases_differ(two):
    lines = two.ok("mc2 inspect new --against old").splitlines()
    assert lines[0].endswith(", new") and lines[1].endswith(", old")
    assert lines[2:] == [
        "options, A | B: spacing wide | published, nfc True | False",
        "LID labels only in A, 1: it",
        "LID labels of another language, A | B, 1: de fr | de",
        "languages of other Wikipedias, A | B, 2: en (en simple) | (en), " + lines[5].split(", ", 3)[3],
        "languages only in A: it",
        "languages only in B: de",
        "entries of 4 languages in both: 1 only in A, 1 only in B, 1 from another source, 407 the same",
        "in another Unicode normal form: 1 of A, which B has too",
        "of those in both, texts can hold 2 only as A spaces them, 0 only as B does",
        "language  in A  in B  only in A  only in B  other source  can match only in A  can match only in B  other form",
        "en         106   106          1          1             1                    2                    0           1",
        "the same entries in another order or with other scores: fr",
        "",
        "en",
        "  only in A, wordnet 1: fish", "  only in B, wordnet 1: dog",
        "  another source, wordnet in A, title in B 1: Cat", "  can match only in A, wordnet 2: U.S., St. Louis",
        "  another normal form (A | B), title 1: José (004A 006F 0073 00E9 | 004A 006F 0073 0065 0301)"]
    assert two.ok("mc2 inspect old --against old").splitlines()[2:] == ["They are the same release."]


def test_what_two_releases_find_in_texts(two):
    two.write("lid.jsonl", pair(1, "新しいカメラです", "ja"), pair(2, "猫とカメラ", "ja"),
              pair(3, "made in the U.S., 2020", "en"), pair(4, "a cat", "en"), pair(5, "Jose\u0301", "en"),
              pair(6, "nothing", "en"), pair(7, "in St. Louis", "en"), pair(8, "?", "tlh"))
    text = two.ok("mc2 inspect new --against old --texts lid.jsonl")
    assert text.split("\n\n")[-1].splitlines() == [
        "texts of lid.jsonl: 8 read",
        "language  texts  match under both  only A  only B  neither  matches only under A  only under B",
        "en            5                 2       2       0        1                     3             1",
        "ja            2                 1       1       0        0                     2             0",
        "all 2         7                 3       3       0        1                     5             1",
        "texts left out, in languages that not both releases have: tlh 1",
        "  en, only under A: made in the U.S., 2020 -> U.S.",
        "  en, only under A: in St. Louis -> St. Louis",
        "  en, only under A: Jose\u0301 -> José",
        "  en, only under B: Jose\u0301 -> Jose\u0301",
        "  ja, only under A: 新しいカメラです -> カメラ",
        "  ja, only under A: 猫とカメラ -> カメラ"]
    compare = "mc2 inspect new --against old --texts"
    assert "texts of lid.jsonl: 1 (the first) read\n" in two.ok(f"{compare} lid.jsonl --lines 1")
    assert "texts of <stdin>: 0 read\n" in two.ok(f"{compare} - < /dev/null")


@pytest.mark.parametrize("other, status, message", [
    ("counts", 3, "counts: this is a counts directory, not metadata."),
    ("sources", 3, "sources: no readable manifest.json, so this is no metadata directory."),
    ("thresholds.json", 2, "thresholds.json: is no directory."),
    ("nowhere", 2, "nowhere: no such directory."),
])
def test_what_cannot_be_compared(work, other, status, message):
    for pair_of in (("toy", other), (other, "toy")):
        with pytest.raises(Mc2Error) as error:
            list(inspection.compare(*(str(work / name) for name in pair_of)))
        assert error.value.status == status and message in str(error.value)


def test_texts_to_compare_with_have_a_language_and_two_releases(two):
    two.write("pairs.jsonl", pair(1, "a cat"))
    done = two("mc2 inspect new --against old --texts pairs.jsonl")
    assert done.status == 3 and 'pairs.jsonl:1: no "lang" key. Run \'mc2 lid\' first.' in done.stderr
    assert two("mc2 inspect new --texts pairs.jsonl").status == 2
    assert two("mc2 inspect --against old < pairs.jsonl").status == 2


def test_an_empty_file_is_an_empty_stream_of_pairs(work):
    assert work.ok("mc2 inspect /dev/null") == "pairs: 0 read\n"


def test_what_is_nothing_of_mc2(work):
    (work / "empty").mkdir()
    assert work("mc2 inspect empty").status == 2
    assert work("mc2 inspect nowhere").status == 2
    work.write("x.json", {"a": 1})
    assert work("mc2 inspect x.json").stderr == "mc2 inspect: x.json: not a thresholds file. Make one with 'mc2 thresholds'.\n"


@pytest.mark.parametrize("path, message", [
    ("counts/manifest.json", "Name that instead: mc2 inspect counts\n"),
    ("matched.jsonl.zst.manifest.json", "Name that instead: mc2 inspect matched.jsonl.zst\n"),
    ("a.tar", "Name the file of its pairs, as 'mc2 images pack' and 'mc2 join' write one for each tar of images"),
    ("a.warc.gz", "'mc2 extract' makes pairs of it"),
    ("counts/en.npy", "pairs are not read in this format")])
def test_files_without_pairs_say_what_to_name_instead(work, path, message):
    (work / "a.tar").touch()
    (work / "a.warc.gz").touch()
    work.fails(f"mc2 inspect {path}", 2, message)


# ---------------------------------------------------------------- invisible characters

@pytest.mark.parametrize("text, shown", [
    ("a\u200eb", "a\\u200eb"), ("\u200f", "\\u200f"), ("❤\ufe0f", "❤\\ufe0f"), ("so\u00adft", "so\\u00adft"),
    ("\ufeffa", "\\ufeffa"),
    ("a\u2060b\u200d", "a\\u2060b\\u200d"), ("می\u200cخواهم", "می\\u200cخواهم"),
    ("a\u200b\u3164", "a\\u200b\\u3164"), ("a\u00a0b\u3000", "a\\u00a0b\\u3000"),
    ("a\tb\x1b[0m\x7f", "a\\u0009b\\u001b[0m\\u007f"), ("\u2028\ud800", "\\u2028\\ud800"),
    ("葛\U000e0100", "葛\\U000e0100"),
    ("\u034f", "\\u034f"), ("a b é e\u0301 猫 😀 \\n", "a b é e\u0301 猫 😀 \\n"), ("", ""),
])
def test_invisible_characters_are_escaped(text, shown):
    assert escaped(text) == shown
    assert escaped(shown) == shown


def test_invisible_characters_of_texts_and_entries_are_escaped_wherever_they_are_shown(sh):
    sh.write("he.json", '["a\u200eb", "x\ufe0f", "猫\u200d"]')
    sh.ok("mc2 build-metadata import he.json --lang en -o s -q && mc2 build-metadata merge s -o m -q")
    sh.write("other.json", '["a\u200fb"]')
    sh.ok("mc2 build-metadata import other.json --lang en -o t -q && mc2 build-metadata merge t -o n -q")
    sh.write("pairs.jsonl", pair(1, "a\u200eb so\u00adft", "en"))
    sh.ok("mc2 match pairs.jsonl -m m -o matched.jsonl -q && mc2 count matched.jsonl -m m -o counts -q")
    sh.ok("mc2 build-metadata pack m -o m.tar.zst -q")
    for command, expected in {
            "m": ["list: a\\u200eb, x\\ufe0f, 猫\\u200d", "longest, 3 characters: a\\u200eb"],
            "m.tar.zst": ["longest, 3 characters: a\\u200eb"], "s": ["a\\u200eb, x\\ufe0f, 猫\\u200d"],
            "s/en.list.tsv": ["a\\u200eb  0", "x\\ufe0f   0", "猫\\u200d  0"], "counts": ["en: a\\u200eb 1"],
            "pairs.jsonl": ["  a\\u200eb so\\u00adft\n"], "matched.jsonl": ["  -> a\\u200eb\n"],
            "m --against n --texts pairs.jsonl": ["only in A, list 3: a\\u200eb, x\\ufe0f, 猫\\u200d",
                                                  "only in B, list 1: a\\u200fb",
                                                  "en, only under A: a\\u200eb so\\u00adft -> a\\u200eb"]}.items():
        shown = sh.ok(f"mc2 inspect {command}")
        assert all(text in shown for text in expected), (command, shown)
        assert not set(shown) & set("\u200e\u200f\u00ad\ufe0f\u200d")


# ---------------------------------------------------------------- as JSON

def as_json(work, what):
    """What `inspect --json` says, without the fingerprints."""
    printed = work.ok(f"mc2 inspect {what} --json")
    assert printed.count("\n") == 1
    found = json.loads(printed)
    return {key: value for key, value in found.items() if key not in ("fingerprint", "a", "b")}


def test_pairs_as_json(work):
    assert as_json(work, "pairs.jsonl --lines 1") == {
        "kind": "pairs", "stage": None, "read": 1, "total": None, "is_first": True, "left_out": {}, "columns": {},
        "keys": {"id": 1, "text": 1}, "other_keys": 0, "languages": {}, "other_languages": 0, "matched": None,
        "metadata": None, "is_beside": False, "pairs": [{"id": "000000000000000000000001", "text": "a red circle"}]}
    found = as_json(work, "matched.jsonl.zst")
    assert (found["stage"], found["total"], found["matched"], found["metadata"]) == ("match", 3, 2, "toy")
    assert found["keys"] == {"id": 3, "text": 3, "lang": 3, "matched_entry_ids": 3}
    assert found["languages"] == {"en": 2, "fr": 1}
    assert found["pairs"][1] == {"id": "000000000000000000000002", "text": "un chat noir", "lang": "fr",
                                 "matched_entry_ids": [0, 1, 2], "entries": ["chat", "un", "chat noir"]}
    work.write("null.jsonl", {"uid": "1", "text": "a"}, {"uid": None, "text": "b"})
    found = as_json(work, "null.jsonl")
    assert (found["read"], found["left_out"]) == (1, {"dropped: without id": 1})
    assert found["columns"] == {"id": "uid", "text": "text", "form": "DataComp"}


def test_a_table_of_unknown_columns_as_json(work):
    (work / "a.csv").write_bytes(b"url,caption\nhttp://a.example/1,red\n")
    assert as_json(work, "a.csv") == {"kind": "table", "columns": {"url": "", "caption": ""},
                                      "hint": "Did you mean --id auto --text caption?"}
    assert as_json(work, "a.csv --id auto")["columns"] == {
        "id": "auto", "text": "caption", "url": "url", "ids_from": "url", "form": "a table of captions"}


def test_metadata_as_json_also_where_it_is_packed(work):
    found = as_json(work, "toy")
    assert {key: found[key] for key in ("kind", "is_packed", "entries", "scheme", "spacing", "nfc", "is_starter")} == {
        "kind": "metadata", "is_packed": False, "entries": 17409, "scheme": "lid176", "spacing": "published", "nfc": False,
        "is_starter": False}
    french = found["languages"].pop("fr")
    assert french.pop("quality")["cannot_match"]["entries"] == 0
    assert french == {"entries": 3, "wiki_codes": ["fr"], "sources": {"list": 3}, "cannot_match": 0, "bigram_counts": {},
                      "samples": {"list": ["chat", "un", "chat noir"]}}
    assert len(found["languages"]) == 175 and len(found["without_sources"]) == 174
    work.ok("mc2 build-metadata pack toy -o toy.tar.zst -q")
    packed = as_json(work, "toy.tar.zst")
    assert packed["is_packed"] and packed["languages"]["en"]["entries"] == 6


def test_counts_and_thresholds_as_json(work):
    found = as_json(work, "counts")
    assert (found["pairs"], found["matched"], found["words_of"], found["languages_of_metadata"]) == (3, 2, "toy", 176)
    assert found["languages"]["fr"] == {
        "pairs": 1, "matched": 1, "matches": 3, "matched_entries": 3, "entries": 3, "largest_count": 1, "tail": {"10": 1.0},
        "top": [{"id": 2, "entry": "chat noir", "count": 1}, {"id": 1, "entry": "un", "count": 1},
                {"id": 0, "entry": "chat", "count": 1}]}
    assert list(found["languages"]) == ["en", "fr"]
    found = as_json(work, "thresholds.json")
    assert (found["kind"], found["t_en"], found["p"], found["expected_pairs"]) == ("thresholds", 2, 1.0, 2.0)
    assert found["languages"]["fr"]["t"] == 1


def test_a_curation_as_json(work):
    work.ok("mc2 curate lid.jsonl -m toy --t-en 2 -o out -q")
    found = as_json(work, "out")
    del found["metadata"], found["counts"]
    assert found == {"kind": "curation", "shards": 1, "pairs": 3, "matched": 2, "kept": 2, "executor": "local", "languages": {
        "en": {"pairs": 2, "matched": 1, "t": 2, "kept": 1}, "fr": {"pairs": 1, "matched": 1, "t": 1, "kept": 1}}}


def test_sources_as_json(work):
    row = {"wikipedia": "fr", "source": "list", "rows": 3, "best": ["chat", "un", "chat noir"], "with_vowel_points": 0}
    found = as_json(work, "sources")
    assert (found["kind"], found["wikipedias"], found["files"]["fr.list.tsv"]) == ("sources", 2, row)
    assert as_json(work, "sources/fr.list.tsv") == {"kind": "source", "source": "list", "rows": 3, "with_vowel_points": 0,
                                                    "first": [["chat", 0], ["un", 0], ["chat noir", 0]]}


def test_two_releases_as_json(work):
    work.ok("mc2 build-metadata merge sources -o wide --spacing wide -q")
    found = as_json(work, "toy --against wide --texts lid.jsonl")
    assert found["options"] == {"spacing": ["published", "wide"]} and not found["is_same"]
    assert found["entries"] == {"only_a": 0, "only_b": 0, "moved": 0, "alive_a": 0, "alive_b": 1, "other_form": 0,
                                "same": 17409}
    assert found["languages"] == {"en": {
        "in_a": 6, "in_b": 6, "only_a": {}, "only_b": {}, "moved": {}, "alive_a": {},
        "alive_b": {"list": {"entries": 1, "examples": ["U.S."]}}, "other_form": {}, "same": 6}}
    assert found["texts"]["languages"]["fr"] == {
        "texts": 1, "match_under_both": 1, "only_a": 0, "only_b": 0, "neither": 0, "matches_only_under_a": 0,
        "matches_only_under_b": 0, "gained_a": [], "gained_b": []}
    assert as_json(work, "toy --against toy") == {"kind": "comparison", "is_same": True}


def test_a_mapping_as_json(work):
    found = as_json(work, "languages -m toy")
    assert found["languages"]["en"] == {"wikipedias": ["en", "simple"], "labels": ["en"]}
    assert (found["kind"], found["name"]) == ("mapping", "toy") and "zu" in found["wikipedias_of_other"]


def test_a_tsv_whose_columns_header_names_is_a_table_of_pairs(sh):
    sh.write("pairs.tsv", "1\ta cat")
    assert sh.ok("mc2 inspect pairs.tsv --header id,text").startswith("pairs: 1 read")


def test_a_tar_is_told_from_the_pairs_of_its_images(sh):
    sh.write("a.tar")
    sh.write("a.xlsx")
    for command in ("inspect", "lid"):
        sh.fails(f"mc2 {command} a.tar", 2, "a.tar: is a tar. Name the file of its pairs, as 'mc2 images pack'")
    sh.fails("mc2 inspect a.xlsx", 2, "a.xlsx: pairs are not read in this format")


def test_json_has_letters_of_all_scripts_as_they_are_in_utf8_whatever_the_locale(toy):
    toy.write("pairs.jsonl", pair(1, "一个红色的圆", "en", [0]))
    assert '"text":"一个红色的圆"' in toy.process("mc2 inspect pairs.jsonl -m toy --json", LC_ALL="C").stdout


def test_json_has_a_file_name_that_is_not_utf8_as_python_takes_it_back(toy):
    toy.write("pairs.jsonl", pair(1, "red", "en", [0]))
    printed = toy.process("cp -r toy $'\\xff' && mc2 inspect pairs.jsonl -m $'\\xff' --json").stdout
    assert '"metadata":"\\udcff"' in printed and os.fsencode(json.loads(printed)["metadata"]) == b"\xff"


@pytest.mark.parametrize("value, printed", [
    ({"bytes": 1 << 70, "share": float("nan")}, '{"bytes":1180591620717411303424,"share":null}'),
    ({"é": "\udcff", "most": float("inf")}, '{"é":"\\udcff","most":null}'), ({1: 0.5}, '{"1":0.5}')])
def test_json_is_json_also_where_it_holds_what_json_has_no_form_for(capsys, value, printed):
    show_json(value)
    assert capsys.readouterr().out == printed + "\n"
    show_json(value, pretty=True)
    assert json.loads(capsys.readouterr().out) == json.loads(printed)
