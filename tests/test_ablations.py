"""The five ablations of examples/ablations, on a small pool: the relations between them that must hold."""
import re

import orjson
import pytest

from mc2 import files

ROWS = "abcde"


@pytest.fixture(scope="module")
def ablations(examples):
    """A Shell in a copy of the examples, after the ablations of a fifth of the demo's pictures."""
    examples.output = examples.ok("make -j2 -C examples/ablations T_EN=5")
    return examples


def pairs(sh, row, name="curated"):
    """The texts of a row: {(id, text): record}."""
    lines = files.read_lines(str(sh / f"examples/ablations/out/{row}/{name}.jsonl.zst"))
    return {(record["id"], record["text"]): record for record in (orjson.loads(line) for _, line in lines)}


def test_without_the_demo_it_says_what_to_do(ablations):
    done = ablations("make -C examples/ablations DEMO=../none OUT=none")
    assert done.status == 2 and "Run 'make demo-curation' in the root of the checkout first." in done.stderr


def test_english_alone_is_the_english_of_the_curation_by_language(ablations):
    english = {key for key, record in pairs(ablations, "e").items() if record["lang"] == "en"}
    assert english == set(pairs(ablations, "a")) != set()


def test_one_set_has_one_language(ablations):
    for row in "bc":
        assert {record["lang"] for record in pairs(ablations, row, "matched").values()} == {"en"}
    assert len(pairs(ablations, "b", "matched")) == len(pairs(ablations, "c", "matched")) \
        == len(pairs(ablations, "e", "matched"))


def test_english_metadata_keep_few_texts_of_other_languages_and_those_of_all_many(ablations):
    lang_of = {key: record["lang"] for key, record in pairs(ablations, "e", "matched").items()}
    foreign = {row: sum(lang_of[key] != "en" for key in pairs(ablations, row)) for row in ROWS}
    assert foreign["a"] == 0 and 0 < 10 * foreign["b"] < foreign["c"]
    assert min(foreign["d"], foreign["e"]) > 10 * foreign["b"]


def test_all_metadata_match_at_least_what_each_language_matches(ablations):
    matched = {row: {key for key, record in pairs(ablations, row, "matched").items() if record["matched_entry_ids"]}
               for row in ROWS}
    assert matched["a"] < matched["b"] < matched["c"]
    assert matched["a"] < matched["e"] == matched["d"] <= matched["c"]


def test_one_threshold_or_one_tail_share_is_the_same_for_english_only(ablations):
    out = ablations / "examples/ablations/out"
    thresholds = {row: orjson.loads((out / row / "thresholds.json").read_bytes())["languages"] for row in "de"}
    matched = [lang for lang, row in thresholds["e"].items() if row["matches"]]
    assert {thresholds["d"][lang]["t"] for lang in matched} == {5} == {thresholds["e"]["en"]["t"]}
    assert len({thresholds["e"][lang]["t"] for lang in matched}) > 1
    kept = {row: {lang: {key for key, record in pairs(ablations, row).items() if record["lang"] == lang}
                  for lang in matched} for row in "de"}
    assert kept["d"]["en"] == kept["e"]["en"] and kept["d"] != kept["e"]
    for lang in matched:                        # the same draws: a smaller threshold keeps a subset
        small, large = sorted("de", key=lambda row: thresholds[row][lang]["t"])
        assert kept[small][lang] <= kept[large][lang]


def test_the_table_says_what_was_kept(ablations):
    lines = dict(re.match(r"(\S.*?)  +(.*)", line).groups() for line in ablations.output.splitlines()
                 if re.match(r"\S.*?  +\S", line))
    assert lines["kept"].split() == [f"{len(pairs(ablations, row)):,}" for row in ROWS]
    assert lines["of them en"].split()[0] == "100.0%"
    shares = [[float(cell.rstrip("%")) for cell in cells.split()] for name, cells in lines.items()
              if name.startswith("of them")]
    assert all(abs(sum(column) - 100) < 1 for column in zip(*shares))


def test_the_ablations_are_not_made_twice(ablations):
    assert "mc2" not in ablations.ok("make -C examples/ablations T_EN=5").replace("that mc2 lid finds", "")
