"""The five ablations of examples/ablations, on a small pool: the relations between them that must hold."""
import re

import orjson
import pytest

from conftest import CURSE_SETTINGS, copy_of_examples
from mc2 import files

ROWS = "abcde"
OUT = "examples/curse/out/small-overlap-0/ablations"
MAKE = f"make -C examples/ablations SETTINGS='{CURSE_SETTINGS}'"


@pytest.fixture(scope="module")
def ablations(curse_template, tmp_path_factory):
    """A Shell in a copy of the examples, after the ablations of half of the pool."""
    sh = copy_of_examples(curse_template, tmp_path_factory)
    sh.output = sh.ok(f"{MAKE} -j2")
    return sh


def pairs(sh, row, name="curated"):
    """The texts of a row: {(id, text): record}."""
    records = (orjson.loads(line) for path in sorted((sh / f"{OUT}/{row}/{name}").glob("*.jsonl.zst"))
               for _, line in files.read_lines(str(path)))
    return {(record["id"], record["text"]): record for record in records}


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


def thresholds(sh, row):
    return orjson.loads((sh / f"{OUT}/{row}/thresholds.json").read_bytes())


def test_the_tail_of_english_is_6_percent_and_one_t_makes_it_most_of_the_smaller_languages(ablations):
    by_lang, one_t = thresholds(ablations, "e")["languages"], thresholds(ablations, "d")["languages"]
    assert 0.03 < thresholds(ablations, "e")["p"] < 0.09
    assert by_lang["en"]["tail_share"] == one_t["en"]["tail_share"] < 0.09
    others = [lang for lang, row in by_lang.items() if row["matches"] and lang != "en"]
    assert all(by_lang[lang]["tail_share"] < 0.12 for lang in others)
    assert all(one_t[lang]["tail_share"] > by_lang[lang]["tail_share"] for lang in others)


def test_one_t_crowds_out_english(ablations):
    share = {row: sum(record["lang"] == "en" for record in pairs(ablations, row).values()) / len(pairs(ablations, row))
             for row in "de"}
    assert share["e"] > 1.2 * share["d"]


def test_one_threshold_or_one_tail_share_is_the_same_for_english_only(ablations):
    t = {row: {lang: its["t"] for lang, its in thresholds(ablations, row)["languages"].items() if its["matches"]}
         for row in "de"}
    assert set(t["d"].values()) == {t["e"]["en"]} and len(set(t["e"].values())) > 1
    kept = {row: {lang: {key for key, record in pairs(ablations, row).items() if record["lang"] == lang}
                  for lang in t["e"]} for row in "de"}
    assert kept["d"]["en"] == kept["e"]["en"] and kept["d"] != kept["e"]
    for lang in t["e"]:                         # the same draws: a smaller threshold keeps a subset
        assert t["e"][lang] <= t["d"][lang] and kept["e"][lang] <= kept["d"][lang]


def test_the_table_says_what_was_kept(ablations):
    lines = dict(re.match(r"(\S.*?)  +(.*)", line).groups() for line in ablations.output.splitlines()
                 if re.match(r"\S.*?  +\S", line))
    assert lines["kept"].split() == [f"{len(pairs(ablations, row)):,}" for row in ROWS]
    assert lines["of them en"].split()[0] == "100.0%"
    shares = [[float(cell.rstrip("%")) for cell in cells.split()] for name, cells in lines.items()
              if name.startswith("of them")]
    assert all(abs(sum(column) - 100) < 1 for column in zip(*shares))


def test_the_ablations_are_not_made_twice(ablations):
    assert "mc2" not in ablations.ok(MAKE).replace("that mc2 lid finds", "")


def test_a_row_that_was_killed_is_made_to_its_end(ablations):
    kept = pairs(ablations, "d")
    (ablations / f"{OUT}/done/d").unlink()
    next((ablations / f"{OUT}/d/curated").glob("*.jsonl.zst")).unlink()
    printed = ablations.ok(MAKE)
    assert printed.count("mc2 curate") == 1 and pairs(ablations, "d") == kept


def test_rows_of_another_seed_are_not_taken_for_those_that_are_asked_for(ablations):
    done = ablations(f"{MAKE} SEED=1")
    assert done.status == 2 and "small-overlap-0/ablations: is of SEED=0. Remove it, or give that." in done.stderr


def test_models_learn_from_each_curation_by_the_runs_of_examples_curse(ablations):
    printed = ablations.ok(f"{MAKE} trained --dry-run SEEDS=3").replace("\\\n", " ")
    (command,) = re.findall(r"python runs\.py (.*)", printed)
    assert "--size medium --seed 3 --data english,b,c,one-t,worldwide " in command


def test_sources_of_wikipedias_become_one_set_by_a_mapping(examples):
    examples.ok("cd examples && python ablations/one_set.py demo/out/metadata/languages.csv > one-set.csv")
    examples.ok("cd examples && mc2 build-metadata merge demo/out/sources --languages one-set.csv -o one-set -q")
    found = orjson.loads(examples.ok("cd examples && mc2 inspect one-set --json"))
    assert set(found["languages"]) == {"en", "other"} and found["languages"]["other"]["sources"] == {"number": 100}
