"""mc2 explain: what it says of a pair is what the other commands did with it."""
import re
import unicodedata

import orjson
import pytest
from conftest import Shell, filled, pair
from hypothesis import given, settings
from hypothesis import strategies as st

from mc2.explanation.positions import Text, marked, rows_of_marks
from mc2.metadata.normal_form import normalized_with_origins
from mc2.metadata.spacing import SPACINGS, normalize, space_entry, space_text, space_text_with_origins

RELEASE = "-m toy -c counts -t t.json"
LISTS = {"en": ["red", "red circle", "circle", "cat", "a", "house"], "fr": ["chat", "un", "chat noir"],
         "ja": ["カメラ", "黒猫", "猫"], "ar": ["قطة", "سوداء"], "other": ["ᏣᎳᎩ"]}
PIECES = ["a red circle", "a cat in the house", "un chat noir", "黒猫とカメラです", "قطة سوداء", "ᏣᎳᎩ", "12345", "SALE NOW",
          "https://example.org/cat.jpg", "re\u0301sume\u0301", "\u200f", "the cat sat on a mat", "猫"]


@pytest.fixture(scope="module")
def release_template(tmp_path_factory):
    sh = Shell(tmp_path_factory.mktemp("release"))
    for lang, entries in LISTS.items():
        sh.write(f"{lang}.json", entries)
        sh.ok(f"mc2 build-metadata import {lang}.json --lang {lang} -o sources -q")
    sh.ok("mc2 build-metadata merge sources -o toy --spacing wide --nfc -q")
    sh.write("pool.jsonl", *[pair(i // 2, f"{PIECES[i % len(PIECES)]} {i % 7}") for i in range(120)])
    sh.ok("mc2 curate pool.jsonl -m toy --p 0.3 --one-per-image --seed 5 -o out -j 1 -q")
    sh.ok("mc2 count out/matched/pool.jsonl -m toy -o counts -q && mc2 thresholds counts --p 0.3 -o t.json -q")
    return sh.directory


@pytest.fixture
def made(sh, release_template):
    """The wide release `toy`, a pool of 120 texts of 60 images, its curation `out`, the same `counts` and t.json."""
    return filled(sh, release_template)


def explained(sh, command, **more):
    return [orjson.loads(line) for line in sh.ok(f"mc2 explain {command} --json -q", **more).splitlines()]


# ---------------------------------------------------------------- the same answers

texts = st.one_of(st.none(), st.lists(st.sampled_from(PIECES), max_size=3).map(" ".join))
pools = st.lists(st.tuples(st.integers(0, 5), texts), min_size=1, max_size=30)
options = st.tuples(st.sampled_from(["", "--one-per-image"]), st.sampled_from(["", "--no-by-script"]),
                    st.sampled_from(["", "--min-prob 0.5"]), st.sampled_from(["", "--no-evidence other"]),
                    st.sampled_from(["", "--no-clean-capitals --no-clean-urls"]),
                    st.sampled_from(["", "--ids ids.txt"]), st.integers(0, 3).map("--seed {}".format)).map(" ".join)


def test_what_is_explained_is_what_curate_kept(release_template, tmp_path_factory):
    sh = filled(Shell(tmp_path_factory.mktemp("pools")), release_template)

    @settings(max_examples=10)
    @given(pools, options, st.sampled_from(["--p 0.5", "--t-all 2"]))
    def holds(pool, options, t):
        sh.write("pool.jsonl", pair(9, "a cat"), *[pair(number, text) for number, text in pool])
        sh.write("ids.txt", *[f"{number:024x}" for number in (0, 1, 3, 5, 9)])
        sh.ok(f"mc2 curate pool.jsonl -m toy {t} {options} -o new -j 1 -q -f")
        kept = [(its["id"], its["text"]) for its in sh.read("new/curated/pool.jsonl")]
        wanted = " ".join(f"--id {number:024x}" for number in {9, *(number for number, _ in pool)})
        ids = "--ids ids.txt" if "--ids" in options else ""
        by_id = explained(sh, f"new {wanted} {ids}")
        all_pairs = explained(sh, f"pool.jsonl -m toy -c new/counts -t new/thresholds.json {options}")
        assert sorted(by_id, key=lambda its: its["line"]) == all_pairs and len(all_pairs) == 1 + len(pool)
        assert [(its["id"], its["text"]) for its in all_pairs if its["verdict"] == "kept"] == kept
        assert all((its["verdict"] == "kept") != ("reason" in its) for its in all_pairs)

    holds()


def test_matched_pairs_are_explained_as_sample_takes_them(made):
    """They need not be what identification and matching would say now."""
    made.write("m.jsonl", pair(1, "a red circle", "fr", [0]), pair(2, "a cat", "en", [3]))
    made.ok("mc2 sample m.jsonl -c counts -t t.json --seed 1 -o kept.jsonl -q")
    found = explained(made, f"m.jsonl {RELEASE} --seed 1")
    assert [its["id"] for its in found if its["verdict"] == "kept"] == [its["id"] for its in made.read("kept.jsonl")]
    assert [its["language"]["lang"] for its in found] == ["fr", "en"]
    assert found[0]["language"]["identified"]["lang"] == "en"
    assert [entry["entry"] for entry in found[0]["entries"]] == ["chat"] and found[0]["entries"][0]["at"] == []


def test_both_engines_explain_alike(made):
    fast, portable = (explained(made, f"pool.jsonl {RELEASE} --match-engine {match} --lid-engine {lid}")
                      for match, lid in (("native", "native"), ("pyahocorasick", "fasttext")))
    for its in [*fast, *portable]:          # the last digits of a probability may differ
        its["language"]["identified"]["model_prob"] = round(its["language"]["identified"]["model_prob"], 6)
    assert fast == portable


# ---------------------------------------------------------------- what it says

def test_a_text_of_the_command_line(made):
    shown = made.ok(f"mc2 explain --text 'a red circle, a cat' --id 7 {RELEASE} --seed 5")
    assert "[a] [red circle], [a] [cat]" in shown and "a [red] [circle], a cat" in shown
    assert re.search(r"red circle +list +1 +\d+ +\d+ +(head|tail) +[\d.]+ +2-12$", shown, re.MULTILINE)
    assert re.search(r"^verdict +(KEPT|DROPPED)", shown, re.MULTILINE)
    its, = explained(made, f"--text 'a red circle, a cat' --id 7 {RELEASE} --seed 5")
    probability_of_none = 1.0
    for entry in its["entries"]:
        assert entry["prob"] == (1 if entry["tail"] else entry["t"] / max(entry["count"], entry["t"]))
        probability_of_none *= 1 - entry["prob"]
    assert its["q"] == 1 - probability_of_none and (its["verdict"] == "kept") == (its["draw"] < its["q"])
    entry = its["entries"][1]
    assert (entry["entry"], entry["source"], entry["at"]) == ("red circle", "list", [[2, 12]])


def test_without_an_id_the_draw_is_not_known(made):
    made.ok("mc2 thresholds counts --t-all 1 -o one.json -q")
    its, = explained(made, "--text 'the cat' -m toy -c counts -t one.json")
    assert (its["verdict"], its["draw"]) == (None, None) and 0 < its["q"] < 1
    assert "kept with probability" in made.ok("mc2 explain --text 'the cat' -m toy -c counts -t one.json")


def test_lines_of_stdin_are_texts(made):
    shown = explained(made, f"--text - {RELEASE}", stdin="a cat\n\nun chat noir\r\n".encode())
    assert [(its["line"], its["text"], its["language"]["lang"]) for its in shown] == [(1, "a cat", "en"),
                                                                                     (3, "un chat noir", "fr")]
    made.fails("mc2 explain --text -", 3, "<stdin>:2: is not UTF-8", stdin=b"\n\xff\n")


def test_pairs_of_stdin_as_far_as_the_artefacts_go(made):
    pairs = b'{"id":"1","text":"un chat noir"}\n'
    assert "label fr" in made.ok("mc2 explain", stdin=pairs)
    assert "un [chat noir]" in made.ok("mc2 explain -m toy", stdin=pairs).replace("[un]", "un")
    assert "name the counts with -c" in made.ok("mc2 explain -m toy", stdin=pairs)


def test_the_script_and_the_cleaning_are_told(made):
    cherokee, = explained(made, f"--text ᏣᎳᎩ {RELEASE} --id 1")
    assert cherokee["language"]["identified"]["by_script"] == "other" and cherokee["language"]["lang"] == "other"
    assert cherokee["entries"][0]["entry"] == "ᏣᎳᎩ"
    assert "no language of the model is written in it" in made.ok(f"mc2 explain --text ᏣᎳᎩ {RELEASE}")
    name, = explained(made, "--text 'BIG CAT https://example.org/a.jpg'")
    assert name["language"]["identified"]["seen"] == "big cat"
    doubtful = made.ok("mc2 explain --text 12345 --min-prob 0.9")
    assert "less probable than --min-prob 0.9" in doubtful and "knows no n-gram" in doubtful


def test_texts_of_one_image_are_rivals(made):
    found = explained(made, f"--text 'a cat in the house' --text 'un chat noir' --id 5 {RELEASE} --one-per-image")
    texts = found[0]["image"]
    assert texts == found[1]["image"] and [its["text"] for its in texts] == ["a cat in the house", "un chat noir"]
    chosen, other = sorted(texts, key=lambda its: its["choice"])
    assert other["reason"] == "not the chosen text of their image" != chosen["reason"]


def test_right_to_left_and_invisible_characters_are_marked_in_place(made):
    text = "\u200fقطة\u00a0سوداء re\u0301d, red"
    its, = explained(made, f"--text '{text}' {RELEASE} --single ar")
    assert [text[start:stop] for entry in its["entries"] for start, stop in entry["at"]] == []
    its, = explained(made, f"--text 'قطة سوداء «red»' {RELEASE} --single ar")
    assert [(entry["entry"], entry["at"]) for entry in its["entries"]] == [("قطة", [[0, 3]]), ("سوداء", [[4, 9]])]
    assert "\\u200f" in made.ok(f"mc2 explain --text '{text}' {RELEASE} --single ar")


# ---------------------------------------------------------------- finding pairs

def test_all_lines_of_an_id_are_found_in_a_curation(made):
    found = explained(made, f"out --id {3:024x}")
    assert [its["line"] for its in found] == [7, 8] and all(len(its["image"]) == 2 for its in found)


def test_a_curation_whose_pool_is_gone_is_looked_up_in_what_it_matched(made):
    before = explained(made, f"out --id {3:024x}")
    made.ok("mv pool.jsonl moved.jsonl")
    after = explained(made, f"out --id {3:024x}")
    assert [{**its, "source": ""} for its in before] == [{**its, "source": ""} for its in after]
    assert "not there" in made(f"mc2 explain out --id {3:024x}").stderr
    made.ok("rm -r out/matched")
    made.fails(f"mc2 explain out --id {3:024x}", 2, "pool.jsonl", "in the directory in which it ran")


def test_lines_that_are_no_pairs_are_explained(made):
    made.write("p.jsonl", {"id": "n1", "text": None}, '{"id": "n2", "text": 5}', pair(1, "a cat"))
    found = explained(made, f"p.jsonl --id n1 --id n2 {RELEASE}")
    assert [(its["id"], its["stage"], its["verdict"]) for its in found] == [("n1", "read", "dropped"),
                                                                          ("n2", "read", "dropped")]
    assert found[0]["reason"] == "without text" and '"text" is not a string' in found[1]["reason"]


def test_ids_are_found_however_they_are_written(made):
    made.write("p.jsonl", '{"id":"caf\\u00e9","text":"a"}', '{"id":"\\u0061bc","text":"b"}', '{"id":17,"text":"c"}',
               '{"id":"x/y","text":"d"}', '{"id":"x\\/y","text":"e"}')
    for pair_id, texts in ("café", "a"), ("abc", "b"), ("17", "c"), ("x/y", "de"):
        assert [its["text"] for its in explained(made, f"p.jsonl --id {pair_id}")] == list(texts)


def test_first_stops_where_all_were_found(made):
    made.write("a.jsonl", pair(1, "a cat"))
    made.write("b.jsonl", pair(1, "a red cat"))
    assert len(explained(made, f"a.jsonl b.jsonl --id {1:024x}")) == 2
    assert len(explained(made, f"a.jsonl b.jsonl --first --id {1:024x}")) == 1


def test_several_processes_find_the_same(made):
    lines = (made / "pool.jsonl").read_bytes().splitlines()
    for number in range(4):
        made.write(f"part{number}.jsonl", *lines[30 * number:30 * number + 30])
    ids = f"--id {3:024x} --id {50:024x}"
    assert explained(made, f"part*.jsonl {ids} {RELEASE} -j 2") == explained(made, f"part*.jsonl {ids} {RELEASE}")
    assert len(explained(made, f"part*.jsonl --id {3:024x} -j 2 --first")) == 2
    made.fails("mc2 explain part*.jsonl --id nobody -j 2 -q", 3, "among the 120 pairs of part0.jsonl and 3 more inputs")


def test_tables_are_read_by_their_columns(made):
    made.write("p.csv", "uid,caption", "u7,un chat noir")
    its, = explained(made, "p.csv --columns id=uid,text=caption --id u7 -m toy")
    assert its["language"]["lang"] == "fr" and len(its["entries"]) == 3
    made.write("p.json", '[{"uid": 7, "text": "un chat noir"}, {"uid": 8, "text": null}]')
    found = explained(made, "p.json --id 7 --id 8 -m toy")
    assert [(its["id"], its.get("reason")) for its in found] == [("7", None), ("8", "without text")]


def test_parquet_is_looked_up_too(made):
    pytest.importorskip("pyarrow")
    made.ok("mc2 lid pool.jsonl -o lid.parquet -q")
    for its, line in zip(*(explained(made, f"{path} --id {3:024x} {RELEASE} --one-per-image")
                           for path in ("lid.parquet", "pool.jsonl")), strict=True):
        assert its["language"].pop("given") and not line["language"].pop("given")
        assert {**its, "source": ""} == {**line, "source": ""}


@pytest.mark.parametrize("command, status, message", [
    ("pool.jsonl --id nobody", 3, "no pair with the id nobody among the 120 pairs of pool.jsonl"),
    ("pool.jsonl --text x", 2, "Leave one of the two out"),
    ("out", 2, "an --id to look up in it"),
    ("out --id 1 --seed 3", 2, "--seed: a curation has its own"),
    ("pool.jsonl -c counts", 2, "-c and -t go together"),
    ("--text x -c counts -t t.json", 2, "name the metadata"),
])
def test_what_cannot_be_explained_is_refused(made, command, status, message):
    made.fails(f"mc2 explain {command} -q", status, message)


def test_the_environment_does_not_name_the_metadata_of_a_curation(made):
    assert explained(made, f"out --id {3:024x}", MC2_METADATA="sources") == explained(made, f"out --id {3:024x}")


def test_an_unfinished_curation_is_refused(made):
    made.ok("rm out/manifest.json")
    made.fails("mc2 explain out --id 1", 3, "not finished")


# ---------------------------------------------------------------- positions

characters = st.sampled_from("a ,.!?\t\n\u00a0\u3000e\u0301\u0327\u200e가ᄀ\u1161\u11a8カ\u3099猫«»’\U0001f600\u0344\u2126")


@given(st.text(characters, max_size=12))
def test_origins_are_those_of_the_spaced_and_normal_forms(text):
    for spacing in SPACINGS:
        spaced, origins = space_text_with_origins(text, spacing)
        assert spaced == space_text(text, spacing) and len(origins) == len(spaced)
        assert all(origin < 0 or text[origin] == spaced[i] or spaced[i] == " " for i, origin in enumerate(origins))
    form, parts = normalized_with_origins(text)
    assert form == normalize(text) and len(parts) == len(form)
    assert "".join(text[start:stop] for start, stop in dict.fromkeys(parts)) == text


@given(st.text(characters, max_size=12), st.text(characters, min_size=1, max_size=3), st.sampled_from(SPACINGS),
       st.booleans())
def test_an_entry_has_positions_exactly_where_it_matches(text, entry, spacing, nfc):
    entry = normalize(entry.strip(" \t\n") or "a") if nfc else entry.strip(" \t\n") or "a"
    found = Text(text, spacing, nfc).positions(entry)
    matches = space_entry(entry, spacing) in space_text(normalize(text) if nfc else text, spacing)
    assert bool(found) == matches
    for start, stop in found:
        part = text[start:stop]
        assert (unicodedata.normalize("NFC", part) if nfc else part).replace("\t", " ").replace("\n", " ").find(
            entry.replace("\t", " ").replace("\n", " ").strip()) >= 0


def test_marks_do_not_overlap_in_a_row():
    rows = rows_of_marks([(0, 3), (0, 10), (4, 10), (8, 14)])
    assert rows == [[(0, 10)], [(0, 3), (4, 10)], [(8, 14)]]
    assert marked("red circle", [(0, 3)]) == "[red] circle"
