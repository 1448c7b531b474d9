"""The numbers of the paper: all cells of its Tables 1 to 4 are in the package, presets quote them, suites print them;
and what reproduces them (--protocol published) is told apart from what the paper's text says (--protocol text)."""
import csv
import json
import re

import pytest

from conftest import DATA
from training_tools import require_train

require_train()

from mc2.cli import run                                                 # noqa: E402
from mc2.evaluation import places, suites, zeroshot                     # noqa: E402
from mc2.training import presets                                        # noqa: E402
from miniatures import captioned, imagenet, models, world                         # noqa: E402
from miniatures.running import Scores                                   # noqa: E402

# As the paper prints them, row by row; the columns are those of mc2/evaluation/suites.py, `-` is an empty cell.
TABLES = {
    "table1": """
xlm-clip-h14     77.0 69.4 65.5 34.0 50.4 60.5 56.1 48.2 43.2 46.2 87.1 88.4 42.5 45.2
msiglip-b16      75.1 63.8 60.8 40.2 44.5 56.6 51.8 45.7 34.0 36.0 80.8 84.0 37.8 40.6
msiglip-so400m   80.6 69.1 65.5 46.4 50.0 62.8 56.8 49.8 39.9 42.0 85.6 88.8 42.5 45.2
siglip2-so400m   83.2 73.7 69.4 40.8 48.2 59.7 58.5 49.0 36.6 40.3 86.1 87.6 40.3 44.5
metaclip-l14     79.2 69.8 65.6    -    -    -    -    -    -    -    -    -    -    -
metaclip-h14     80.5 72.4 66.5    -    -    -    -    -    -    -    -    -    -    -
l14-english      79.5 69.5 66.0    -    -    -    -    -    -    -    -    -    -    -
l14-worldwide    78.8 67.2 63.5 44.2 45.3 58.2 59.2 55.1 41.9 45.8 82.8 85.0 41.9 44.8
h14-english      80.4 72.6 68.7    -    -    -    -    -    -    -    -    -    -    -
h14-non-english  71.4 63.1 61.7 49.9 46.9 59.9 59.8 56.8 47.5 50.5 83.2 85.7 46.6 49.2
h14-worldwide-1x 79.5 71.1 67.2 47.1 49.6 62.6 59.9 56.0 49.1 52.1 85.2 87.1 47.0 49.7
h14-worldwide    81.3 74.5 69.6 50.2 51.5 64.3 61.5 57.4 50.9 53.2 86.1 87.5 48.9 51.0
""",
    "table2": """
b32-ablation-1 67.5    -    -    -    -    -
b32-ablation-2 66.9    -    -    -    -    -
b32-ablation-3 62.1 31.2 37.8 49.7 49.8 45.8
b32-ablation-4 61.1 31.5 37.9 49.4 49.0 46.5
b32-ablation-5 64.7 31.5 38.1 50.0 50.3 46.6
""",
    "table3": """
b32-mt5   64.7 31.5 38.1 50.0 50.3 46.6
b32-gemma 63.7 26.1 36.1 47.8 48.3 44.0
b32-xlmr  64.0 31.1 38.0 49.8 49.8 46.1
b32-xlmv  64.7 32.7 40.0 51.4 50.4 47.4
""",
    "table4": """
msiglip-so400m   36.0 62.5 94.5 45.3
siglip2-so400m   36.7 61.9 95.2 48.5
h14-english      37.2 63.3 93.4 52.8
h14-non-english  35.7 61.3 91.7 68.6
h14-worldwide-1x 37.2 63.7 94.3 65.8
h14-worldwide    37.9 64.0 93.4 69.0
"""}
VOCABULARIES = {"b32-mt5": 250, "b32-gemma": 256, "b32-xlmr": 250, "b32-xlmv": 900}         # of Table 3, thousands


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return models.write_run(tmp_path_factory.mktemp("model"))


@pytest.fixture
def score(model, capsys):
    return Scores(model, capsys)


@pytest.fixture
def suite(model, capsys):
    """suite(NAME, arguments...) -> lines of stdout"""
    def evaluate(name, *arguments):
        given = ["eval", "--suite", name, "--model", str(model), "--no-cache", "--workers", "0"]
        assert run([*given, *map(str, arguments)]) == 0
        return capsys.readouterr().out.splitlines()
    return evaluate


# ---------------------------------------------------------------- the numbers

@pytest.mark.parametrize("table", TABLES)
def test_every_cell_of_a_table_is_known(table):
    expected = {}
    for line in TABLES[table].strip().splitlines():
        model, *cells = line.split()
        keys = [column.key for column in suites.TABLES[table]]
        expected[model] = {key: float(cell) for key, cell in zip(keys, cells, strict=True) if cell != "-"}
        if table == "table3":
            expected[model]["tokenizer", "vocabulary", None] = VOCABULARIES[model]
    assert suites.rows_of(table) == expected


@pytest.mark.skipif(not (DATA / "paper").is_dir(), reason="needs the list of the paper's numbers")
def test_the_numbers_are_those_of_the_list_of_the_paper():
    with open(DATA / "paper/published.csv", encoding="utf-8", newline="") as stream:
        listed = [(row["table"].replace("Table ", "table"), float(row["value"])) for row in csv.DictReader(stream)
                  if re.fullmatch("Table [1-4]", row["table"])]
    assert listed == [(score.table, score.value) for score in suites.published()] and len(listed) == 196


def test_every_number_says_where_it_is_from():
    assert {(score.table, score.source) for score in suites.published()} == {
        (f"table{number}", f"Meta CLIP 2 (arXiv 2507.22062), Table {number}") for number in (1, 2, 3, 4)}
    assert all(score.row for score in suites.published())


@pytest.mark.skipif(not (DATA / "paper").is_dir(), reason="needs the list of the paper's numbers")
def test_the_numbers_of_other_pages_are_those_of_the_list_of_the_paper():
    with open(DATA / "paper/published.csv", encoding="utf-8", newline="") as stream:
        listed = [(row["benchmark"], row["value"]) for row in csv.DictReader(stream)
                  if not re.fullmatch("Table [1-4]", row["table"])]
    ours = [(number.what, number.value) for number in suites.other_pages()]
    assert len(ours) == 67 and ours == [(what, value if value == "QuickGELU" else float(value)) for what, value in listed]


def printed(page, what, unit, model="MetaCLIP 2"):
    """The value of a number of another page."""
    value, = {number.value for number in suites.other_pages() if (number.page, number.what, number.unit) == (page, what, unit)
              and (number.model or "").startswith(model)}
    return value


def test_what_other_pages_print_agrees_with_the_tables_and_the_presets():
    ours, rows = suites.rows_of("table1")["h14-worldwide"], suites.rows_of("table1")
    assert printed("abstract", "CVQA", "accuracy (LOCAL in Table 1)") == ours["cvqa", "accuracy", "local"]
    assert printed("abstract", "Babel-ImageNet", "top-1") == ours["babel-imagenet", "top1", None]
    assert printed("abstract", "XM3600", "I->T R@1") == ours["xm3600", "i2t_r1", None]
    assert printed("abstract", "ImageNet val", "gain over mSigLIP") == pytest.approx(
        ours["imagenet", "top1", "en"] - rows["msiglip-so400m"]["imagenet", "top1", "en"])
    plan, english = presets.load("h14-worldwide").values, presets.load("h14-english").values
    assert plan["optimizer"]["lr"] == printed("Table 6", "learning rate", "H/14")
    assert plan["schedule"]["warmup"] == printed("Table 6", "warm-up", "steps")
    assert plan["schedule"]["growth"] == printed("section 3.4", "batch scaling", "x", "")
    assert english["schedule"]["global_batch"] == printed("Table 6", "batch size", None, "OpenAI")
    assert english["schedule"]["train_num_samples"] * english["schedule"]["epochs"] \
        == printed("section 4.2.1", "1.0x", "pairs", "") == printed("Table 6", "seen pairs", None, "OpenAI")


def test_a_task_says_what_is_quoted_for_it(model, tmp_path, capsys):
    captioned.write_karpathy(tmp_path / "dataset_flickr30k.json", [["a red car"], ["a cat"]])
    assert run(["eval", "retrieval", "--preset", "flickr30k", "--data", str(tmp_path), "--model", str(model), "--no-cache",
                "--workers", "0"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "quoted" in line]
    assert said == [f"eval: retrieval/flickr30k {metric}: {value} is quoted for Meta CLIP 2; which of its models, and by which "
                    "protocol, is not said" for metric, value in (("t2i_r1", "77.00"), ("i2t_r1", "91.90"))]


def test_gains_that_the_text_prints_follow_from_table1():
    ours, rows = suites.rows_of("table1")["h14-worldwide"], suites.rows_of("table1")
    for other, key, gain in (("metaclip-h14", ("imagenet", "top1", "en"), 0.8),
                             ("msiglip-so400m", ("imagenet", "top1", "en"), 0.7),
                             ("msiglip-so400m", ("babel-imagenet", "top1", None), 3.8),
                             ("msiglip-so400m", ("xm3600", "i2t_r1", None), 1.5),
                             ("siglip2-so400m", ("cvqa", "accuracy", "en"), 3.0),
                             ("xlm-clip-h14", ("flickr30k-200", "t2i", None), 7.7),
                             ("xlm-clip-h14", ("xtd-200", "i2t", None), 5.8)):
        assert ours[key] - rows[other][key] == pytest.approx(gain)


@pytest.mark.parametrize("name", sorted(suites.rows_of("all").keys() & set(presets.names())))
def test_a_preset_quotes_all_of_its_rows(name):
    quoted = re.search(r"# Expect: (.*?)\n# [A-Z]", presets.load(name).text, re.DOTALL)[1]
    values = [value for key, value in suites.rows_of("all")[name].items() if key[0] != "tokenizer"]
    assert sorted(map(float, re.findall(r"\b\d\d\.\d\b", quoted))) == sorted(values)


@pytest.mark.parametrize("name", sorted(set(presets.names()) & suites.rows_of("all").keys()))
def test_a_preset_draws_from_matched_pairs_and_says_what_is_assumed(name):
    text = presets.load(name).text
    data = re.search(r"# Data: (.*?)\n# Pairs: those that matched, not the curated ones", text, re.DOTALL)[1]
    assert "/matched" in data or "-o matched.jsonl.zst" in data
    assert "mc2 join" in data and "-O pairs" in data and "--pairs 'pairs/*.jsonl.zst'" in text
    assumed = re.search(r"# Assumed: (.*?)\n(?:\n|# [A-Z])", text, re.DOTALL)[1].replace("\n#", "")
    assumed = " ".join(assumed.split())
    optimizer = presets.load(name).values["optimizer"]
    assert "the loss in fp32 (the published code multiplies in bf16)" in assumed
    assert ("CLIP's own BPE" in assumed) == (presets.load(name).values["model"]["tokenizer"] == "openai")
    is_of_h14 = (optimizer["beta2"], optimizer["wd"]) == (0.95, 0.1)
    assert ("betas 0.9 and 0.95 and weight decay 0.1" in assumed) == is_of_h14


# ---------------------------------------------------------------- what suites print

@pytest.mark.parametrize("table", ["table2", "table3", "table4"])
def test_a_suite_prints_the_papers_rows_and_ours(table, tmp_path, suite):
    captioned.write_xm3600(tmp_path / "xm3600")
    world.write_geode(tmp_path / "geode")
    lines = suite(table, "--data", tmp_path)
    head = next(number for number, line in enumerate(lines) if line.startswith(f"{table} "))
    printed = {model: cells for model, *cells in map(str.split, lines[head + 1:lines.index("", head)])}
    expected = {model: cells for model, *cells in map(str.split, TABLES[table].strip().splitlines())}
    assert {model: printed[model] for model in expected} == expected and [*printed][-1] == "ours"


def test_complete_caption_files_get_differences(tmp_path, suite):
    texts = ["a cat", "two dogs", "the sea"]
    langs = ["de", "en", "es", "fr", "it", "jp", "ko", "pl", "ru", "tr", "zh"]
    captioned.write_one_caption(tmp_path / "xtd-10", "test_image_names.txt",
                                {f"test_1kcaptions_{lang}.txt": texts for lang in langs})
    codes = [f"{first}{second}a_Latn" for first in "abcdefghijklmno" for second in "abcdefghijklmno"][:201]
    captioned.write_one_caption(tmp_path / "xtd-200", "test_image_names.txt", {f"{code}.txt": texts for code in codes})
    lines = suite("table1", "--data", tmp_path)
    differences = [line.split()[4:] for line in lines if line.startswith("XTD-") and "(R@5)" in line]
    assert differences == [["100.00", "+13.90"], ["100.00", "+12.50"],          # of 3 images, 5 are always found
                           ["100.00", "+51.10"], ["100.00", "+49.00"]]
    records = map(json.loads, suite("table1", "--data", tmp_path, "--protocol", "text", "--json"))
    text = next(line for line in records if line.get("column") == "XTD-10 T->I")
    assert (text["metric"], text["follows"], text["part"]) == ("t2i_r1", "text", None)
    assert text["difference"] == pytest.approx(text["value"] - 0.861)


# ---------------------------------------------------------------- the two protocols

def test_xtd_has_11_languages_as_published_and_7_by_the_text(tmp_path, score):
    captioned.write_one_caption(tmp_path, "test_image_names.txt", {
        f"test_1kcaptions_{lang}.txt": ["a", "b"] for lang in "de,en,es,fr,it,jp,ko,pl,ru,tr,zh".split(",")})
    for protocol, number in (("text", 7), ("published", 11)):
        mean = score("xtd-10", "--data", tmp_path, "--protocol", protocol)["xtd-10", None, "i2t_r10"]["protocol"]
        assert (mean["languages"], mean["follows"]) == (number, protocol)


def test_babel_imagenet_as_published_has_the_languages_with_prompts_and_english(tmp_path, score, monkeypatch):
    monkeypatch.setattr(zeroshot, "templates", lambda choice: ["{}."])              # 1,000 x 80 take half a minute
    pictures = imagenet.write(tmp_path / "imagenet")
    labels = {**world.write_babel(tmp_path), "EN": [[0], ["Tinca tinca"]]}
    (tmp_path / "babel_imagenet-298.json").write_text(json.dumps(labels), "utf-8")
    prompts = json.loads((tmp_path / "nllb_dist13b_prompts.json").read_text("utf-8"))
    (tmp_path / "nllb_dist13b_prompts.json").write_text(json.dumps({**prompts, "EN": ["a bad photo of a  {} ."]}))
    found = score("babel-imagenet", "--data", tmp_path, "--imagenet", pictures, "--protocol", "published")
    assert {lang: record["protocol"].get("prompt") for (_, lang, _), record in found.items()} == {
        "EN": "openai", "DE": "translated", None: None}
    plain = score("imagenet", "--data", pictures)["imagenet", "en", "top1"]        # open_clip's names
    assert found["babel-imagenet", "EN", "top1"]["value"] == plain["value"]
    text = score("babel-imagenet", "--data", tmp_path, "--imagenet", pictures)
    assert {lang for _, lang, _ in text} == {"DE", "SW", "XX", None}


def test_babel_imagenet_as_published_needs_the_prompts(tmp_path, score):
    world.write_babel(tmp_path)
    (tmp_path / "nllb_dist13b_prompts.json").unlink()
    said = score("babel-imagenet", "--data", tmp_path, "--protocol", "published", status=2)
    assert "nllb_dist13b_prompts.json: is missing" in said and "--protocol text takes the bare names" in said
    said = score("babel-imagenet", "--data", tmp_path, "--langs", "prompted", status=2)
    assert "--langs prompted: is those of --prompts" in said


def test_an_image_of_two_classes_counts_once_or_as_published_for_each():
    import numpy as np
    features, weights = np.eye(3, dtype=np.float32)[:2], np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    ranks = places.ranks_of_classes(features, weights, [[0, 1, 1], [3]])        # classes 0 and 1 tie, 0 comes first
    assert ranks.tolist() == [[0, 1], [3, 4]]


def test_dollar_street_top5_as_published_counts_each_class(tmp_path, score):
    world.write_dollar_street(tmp_path)
    once = score("dollar-street", "--data", tmp_path, "--templates", "none")
    each = score("dollar-street", "--data", tmp_path, "--templates", "none", "--protocol", "published")
    assert once["dollar-street", "en", "top1"]["value"] == each["dollar-street", "en", "top1"]["value"]
    assert once["dollar-street", "en", "top5"]["value"] <= each["dollar-street", "en", "top5"]["value"]
    assert [found["dollar-street", "en", "top5"]["protocol"]["hits"] for found in (once, each)] == ["once", "each"]
