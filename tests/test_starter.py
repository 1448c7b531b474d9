"""A first release from lists of frequent words, and lists of one's own beside other sources."""
import importlib.metadata
import json
from collections import Counter

import pytest

from mc2.metadata import starter
from mc2.metadata.release import Release

DICT_LINE = "00001740 03 n 01 {} 0 000 | that which is\n"


def entries(sh, lang, release="metadata"):
    return Release(sh / release).entries(lang)


# ---------------------------------------------------------------- words of the lists

@pytest.mark.parametrize("lang, word, forms", [
    ("en", "cat", ["cat", "Cat"]), ("fr", "l'", ["l'", "L'"]), ("zh", "猫", ["猫"]),
    ("hi", "बिल्ली", ["बिल्ली"]),
    ("el", "της", ["της", "Της"]), ("el", "τησ", ["της", "Της"]), ("el", "σε", ["σε", "Σε"]), ("el", "σ", ["σ", "Σ"]),
    ("de", "strasse", ["strasse", "Strasse", "straße", "Straße"]), ("de", "katze", ["katze", "Katze"]),
    ("de", "grossstadt", ["grossstadt", "Grossstadt", "großstadt", "Großstadt"]),
    ("tr", "istanbul", ["istanbul", "İstanbul"]), ("tr", "ırmak", ["ırmak", "Irmak"]),
    ("nl", "ijs", ["ijs", "IJs"]), ("nl", "in", ["in", "In"]),
    ("hr", "ljubav", ["ljubav", "Ljubav"]), ("sr", "ljubav", ["ljubav", "Ljubav", "љубав", "Љубав"]),
    ("sr", "web", ["web", "Web"]),
])
def test_words_are_taken_as_they_are_written_and_capitalised(lang, word, forms):
    assert starter.forms(word, lang) == forms


@pytest.mark.parametrize("latin, cyrillic", [
    ("čovjek", "човјек"), ("njiva", "њива"), ("džep", "џеп"), ("đak", "ђак"), ("ćup", "ћуп"),
    ("žaba-šuma", "жаба-шума"),
    ("injekcija", "инјекција"), ("konjunktura", "конјунктура"), ("konj", "коњ"), ("nadživeti", "надживети"),
    ("odžak", "оџак"),
    ("new", None), ("xyz", None), ("5", None),
])
def test_serbo_croatian_in_cyrillic(latin, cyrillic):
    assert starter.to_cyrillic(latin) == cyrillic


def test_numbers_and_signs_are_left_out_and_the_most_frequent_words_come_first():
    tally = Counter()
    buckets = [[], ["the"], ["0000", "a", "💡"], [], ["0,0", "1", "covid-00", "of"], ["never"]]
    rows = list(starter.rows(buckets, "en", 4, tally))
    assert rows == [("the", 977237221), ("The", 977237221), ("a", 954992586), ("A", 954992586), ("1", 912010839),
                    ("of", 912010839), ("Of", 912010839)]
    assert tally == {"in": 8, "kept": 4, "numbers": 3, "without a letter": 1}


# ---------------------------------------------------------------- the command

def test_a_first_release(sh):
    pytest.importorskip("wordfreq")
    version = importlib.metadata.version("wordfreq")
    (sh / "dict").mkdir()
    for part in "noun", "verb", "adj", "adv":
        synset = DICT_LINE.format(f"{part}_phrase")
        (sh / "dict" / f"data.{part}").write_text(f"  14 WordNet 3.0 Copyright 2006  \n{synset}")
    done = sh("mc2 build-metadata starter --lang en --lang sr --lang zh --top 20 --wordnet dict -o metadata -j 1")
    assert done.status == 0 and "a start, not the metadata of the paper" in done.stderr
    assert "the 20 most frequent words of 3 languages and 4 lemmas of WordNet" in done.stderr
    english = entries(sh, "en")
    assert english[100:104] == ["noun phrase", "verb phrase", "adj phrase", "adv phrase"]
    assert {"the", "The"} < set(english)
    assert {"je", "Je", "је", "Је"} < set(entries(sh, "sr")) and "的" in entries(sh, "zh")
    opened = Release(sh / "metadata")
    assert (opened.spacing, opened.nfc) == ("wide", True)
    assert [(origin["name"], origin["licence"], origin["languages"]) for origin in opened.manifest["origins"]] == [
        ("WordNet 3.0 of Princeton University", "WordNet-3.0", ["en"]),
        (f"wordfreq {version} by Robyn Speer", "CC-BY-SA-4.0", ["en", "sr", "zh"])]
    shown = sh.ok("mc2 inspect metadata")
    assert "licence CC-BY-SA-4.0 (https://github.com/rspeer/wordfreq), in 3 languages: en sr zh\n" in shown
    assert "A START, not the metadata of the paper: no words of Wikipedia, no pairs of words, no titles." in shown


def test_more_is_added_to_the_same_sources(sh):
    pytest.importorskip("wordfreq")
    sh.ok("mc2 build-metadata starter --lang fr --top 5 -o metadata -q")
    before = entries(sh, "fr")
    (sh / "sources/fr.title.tsv").write_text("Notre-Dame de Paris\t7\nLouvre\t6\n")
    sh.write("a.txt", "Zorblax")
    sh.ok("mc2 build-metadata import a.txt --lang fr --add -o sources -q")
    sh.ok("mc2 build-metadata merge sources -o metadata --title-share 1 -q")
    assert entries(sh, "fr") == [*before[:100], "Notre-Dame de Paris", "Louvre", *before[100:], "Zorblax"]


def test_a_language_without_a_list_is_refused(sh):
    pytest.importorskip("wordfreq")
    sh.fails("mc2 build-metadata starter --lang eo -o metadata", 2,
             "--lang eo: no list of this language. There are ar bg")


@pytest.mark.parametrize("command", ["mc2 curate p.jsonl --t-en 5 -o out", "mc2 match p.jsonl",
                                     "mc2 match p.jsonl -m nothing"])
def test_whoever_has_no_metadata_is_told_how_to_make_some(sh, command):
    sh.write("p.jsonl", {"id": "1", "text": "a"})
    sh.fails(command, 2, "mc2 build-metadata starter")


# ---------------------------------------------------------------- lists of one's own

def wordnet(sh, *words):
    (sh / "sources").mkdir(exist_ok=True)
    (sh / "sources/en.wordnet.tsv").write_text("".join(f"{word}\t0\n" for word in words))


def rows_of(sh, path):
    return [tuple(line.split("\t")) for line in (sh / path).read_text("utf-8").splitlines()]


def test_an_added_list_comes_after_all_else_and_changes_no_id(sh):
    wordnet(sh, "cat", "dog")
    sh.ok("mc2 build-metadata merge sources -o before -q")
    (sh / "products.txt").write_text("Zorblax 3000\ndog\nÅngström™\n", "utf-8")
    sh.write("brands.json", '{"Acme": 2, "Zorblax 3000": 1, "Umbrella": 7.5}')
    done = sh("mc2 build-metadata import products.txt --lang en --add -o sources")
    assert "3 entries of en, added: en.products.list.tsv -> sources" in done.stderr
    sh.ok("mc2 build-metadata import brands.json --lang en --add -o sources -q")
    sh.ok("mc2 build-metadata merge sources -o metadata -q")
    assert entries(sh, "en") == [*entries(sh, "en", "before"), "Umbrella", "Acme", "Zorblax 3000", "Ångström™"]
    assert rows_of(sh, "metadata/en.tsv")[102:] == [("Umbrella", "list", "7.5"), ("Acme", "list", "2"),
                                                    ("Zorblax 3000", "list", "1"), ("Ångström™", "list", "0")]
    repeats = Release(sh / "metadata").manifest["quality"]["en"]["repeats"]
    assert repeats == {"en.products.list": {"en.brands.list": 1, "en.wordnet": 1}}


def test_each_added_list_has_its_own_cap(sh):
    sh.write("a.tsv", "x\t1\ny\t3\nz\t2")
    sh.write("b.txt", "v\nw\nu")
    for name in "a.tsv", "b.txt":
        sh.ok(f"mc2 build-metadata import {name} --lang fr --add -o sources -q")
    sh.ok("mc2 build-metadata merge sources -o metadata --list-max 2 -q")
    assert entries(sh, "fr")[100:] == ["y", "z", "v", "w"]


@pytest.mark.parametrize("name, content", [
    ("p.txt", "\ufeff  Zorblax  3000 \r\n\r\nZorblax 3000\r\nbad\x01\r\n" + "x" * 300 + "\r\nU.S.\r\ncafe\u0301\r\n"),
    ("p.tsv", "  Zorblax  3000 \t9\n\nZorblax 3000\t8\nbad\x01\t7\n" + "x" * 300 + "\t6\nU.S.\t5\ncafe\u0301\t4\n"),
    ("p.json", json.dumps(["  Zorblax  3000 ", "", "Zorblax 3000", "bad\x01", "x" * 300, "U.S.", "cafe\u0301"])),
])
def test_what_could_never_match_is_mended_or_left_out_and_said(sh, name, content):
    (sh / name).write_bytes(content.encode())
    done = sh(f"mc2 build-metadata import {name} --lang en --add -o sources")
    assert [row[0] for row in rows_of(sh, "sources/en.p.list.tsv")] == ["Zorblax 3000", "U.S.", "cafe\u0301"]
    assert "white space taken off 1 entries\n" in done.stderr
    assert "left out: 1 empty, 1 repeated, 1 longer than 256 characters, 1 with control characters\n" in done.stderr
    assert "can match no text under --spacing published, but under --spacing wide: 1 entries (U.S.)" in done.stderr
    assert "not in Unicode's NFC, so texts in NFC have them only after merge --nfc: 1 entries (cafe" in done.stderr
    counts = json.loads((sh / "sources/en.p.list.tsv.manifest.json").read_text())["counts"]
    assert (counts["in"], counts["out"], counts["empty"], counts["with white space at an end"]) == (7, 3, 1, 1)


def test_the_white_space_of_a_finished_list_is_taken_off_and_its_ids_stay(sh):
    sh.write("en.json", '["b", " trailing  ", "b", "bad\\u0001"]')
    done = sh("mc2 build-metadata import en.json --lang en -o sources")
    assert "white space taken off 1 entries" in done.stderr
    assert "with control characters, which texts do not have: 1" in done.stderr
    assert [row[0] for row in rows_of(sh, "sources/en.list.tsv")] == ["b", "trailing", "b", "bad\x01"]


def test_a_list_never_replaces_the_sources_of_a_language_unasked(sh):
    wordnet(sh, "cat", "dog")
    sh.write("p.txt", "Zorblax")
    sh.fails("mc2 build-metadata import p.txt --lang en -o sources", 2, "has sources of en already: en.wordnet.tsv 2.",
             "--add", "--replace")
    sh.fails("mc2 build-metadata import p.txt --lang en --add --replace -o sources", 2, "exclude each other")
    sh.ok("mc2 build-metadata import p.txt --lang fr -o sources -q")         # which has none


def test_what_a_list_replaces_is_said_with_its_entries(sh):
    wordnet(sh, "cat", "dog")
    sh.write("p.txt", "Zorblax")
    sh.write("all.json", '["one", "two", "three"]')
    sh.ok("mc2 build-metadata import p.txt --lang en --add -o sources -q")
    said = sh("mc2 build-metadata import all.json --lang en --replace -o sources").stderr
    assert "no longer used by merge: en.wordnet.tsv 2; now en.list.tsv 3. The files stay" in said
    assert "replaced: en.p.list.tsv 1; now en.list.tsv 3\n" in said
    assert sorted(path.name for path in (sh / "sources").glob("*.tsv")) == ["en.list.tsv", "en.wordnet.tsv"]
    sh.ok("mc2 build-metadata import p.txt --lang en --add -o sources -q")
    sh.ok("mc2 build-metadata merge sources -o metadata -q")
    assert entries(sh, "en") == ["one", "two", "three", "Zorblax"]
    sh.write("p.txt", "Zorblax", "Umbrella")
    said = sh("mc2 build-metadata import p.txt --lang en --add -o sources").stderr
    assert "replaced: en.p.list.tsv 1; now en.p.list.tsv 2\n" in said and "no longer used" not in said


@pytest.mark.parametrize("name, content, status, message", [
    ("p.txt", "cat\t5\n", 3, "p.txt:1: holds a TAB"),
    ("p.tsv", "cat\t5\ndog\n", 3, "p.tsv:2: not of the form entry <TAB> weight"),
    ("p.tsv", "cat\tnan\n", 3, "p.tsv:1: not of the form"), ("p.txt", "\n \n", 3, "p.txt: holds no entry"),
    ("p.json", "[]", 3, "holds no entry"), ("p.json", '{"a": true}', 3, "the weight of 'a' is not a number"),
    ("p.csv", "cat\n", 2, "not called NAME.txt, NAME.tsv, NAME.json"), ("!.txt", "cat\n", 2, "has no letter or digit"),
])
def test_what_is_no_list_is_refused(sh, name, content, status, message):
    (sh / name).write_text(content)
    sh.fails(f"mc2 build-metadata import '{name}' --lang en --add -o sources", status, message)


def test_a_release_of_one_language_alone(sh):
    sh.write("en.json", '["cat"]')
    sh.ok("mc2 build-metadata import en.json --lang en -o sources -q")
    said = sh("mc2 build-metadata merge sources -o all").stderr
    assert "(--only-with-sources leaves them out)" in said
    sh.ok("mc2 build-metadata merge sources -o metadata --only-with-sources -q")
    release = Release(sh / "metadata")
    assert release.langs == ["en", "other"] and release.languages.lang_of["fr"] == "other"
    assert len(release.languages.wiki_codes) == 330
    sh.write("p.jsonl", {"id": "1", "text": "a cat"}, {"id": "2", "text": "Le chat est sur la table de la cuisine."})
    lines = sh.ok("mc2 lid p.jsonl -m metadata --single en -q | mc2 match -m metadata -q").splitlines()
    assert [json.loads(line)["matched_entry_ids"] for line in lines] == [[0], []]
    lines = sh.ok("mc2 lid p.jsonl -m metadata -q | mc2 match -m metadata -q").splitlines()
    assert [json.loads(line)["lang"] for line in lines][1] == "other"
