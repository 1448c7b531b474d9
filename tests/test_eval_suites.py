"""mc2 eval --suite end to end on miniatures; refusals before the work; failures in the middle of it."""
import json

import numpy as np
import pytest

from training_tools import require_train

require_train()

from mc2.cli import run                                                 # noqa: E402
from mc2.evaluation import retrieval, suites, zeroshot                  # noqa: E402
from miniatures import captioned, geography, images, models, slip, world    # noqa: E402
from miniatures.running import Scores                                   # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return models.write_run(tmp_path_factory.mktemp("model"))


@pytest.fixture
def score(model, capsys):
    return Scores(model, capsys)


@pytest.fixture
def suite(model, capsys):
    """suite(NAME, arguments...) -> (status, lines of stdout, stderr)"""
    def evaluate(name, *arguments):
        given = ["eval", "--suite", name, "--model", str(model), "--no-cache", "--workers", "0"]
        status = run([*given, *map(str, arguments)])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err
    return evaluate


def row(lines, column):
    """The cells of a column's line in the table beside the paper's."""
    return next(line for line in lines if line.startswith(column))[len(column):].split(maxsplit=2)


# ---------------------------------------------------------------- the tables

def test_table3_marks_what_is_over_a_part(tmp_path, suite):
    captioned.write_xm3600(tmp_path / "xm3600")
    status, lines, err = suite("table3", "--data", tmp_path)
    assert status == 0 and "no folder for imagenet, babel-imagenet, cvqa: not run" in err
    ours = next(line for line in lines if line.startswith("xm3600") and " i2t_r1 " in line and " en " not in line
                and " sw " not in line).split()[2]
    assert row(lines, "XM3600 I->T") == ["51.40", ours, "2 of 36 languages"]
    assert row(lines, "XM3600 T->I")[0] == "40.00"


def test_table4_as_json_holds_the_columns(tmp_path, suite):
    world.write_geode(tmp_path / "geode")
    status, lines, _ = suite("table4", "--data", tmp_path, "--json")
    records = [json.loads(line) for line in lines]
    geode = next(line for line in records if line.get("column") == "GeoDE")
    assert status == 0 and [line["column"] for line in records if "suite" in line] == [
        "Dollar Street top-1", "Dollar Street top-5", "GeoDE", "GLDv2"]
    assert geode["value"] == pytest.approx(next(line["value"] for line in records if line["task"] == "geode"))
    assert (geode["published"], geode["beside"], geode["part"]) == (pytest.approx(0.934), "h14-worldwide", None)
    assert geode["difference"] == pytest.approx(geode["value"] - 0.934)


def test_all_runs_what_stands_in_other_folders_too(tmp_path, suite, monkeypatch):
    monkeypatch.setattr(zeroshot, "templates", lambda choice: ["{}"])       # 1,000 classes x 80 take half a minute
    geography.write_dollar_street(tmp_path / "dollar-street/dataset_dollarstreet")
    models.write_records(tmp_path / "pairs.jsonl", [{"id": key, "text": f"picture {key}"} for key in "abc"])
    for number, key in enumerate("abc"):
        images.write(tmp_path / f"images/{key}.jpg", number)
    status, lines, err = suite("all", "--data", tmp_path, "-o", tmp_path / "scores.jsonl")
    tasks = [json.loads(line)["task"] for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert {task.partition("/")[0] for task in tasks} == {"dollar-street", "geo-localisation", "alignment",
                                                          "uniformity"}
    assert status == 0 and row(lines, "ImageNet")[0] == "81.30"


def test_beside_names_the_row(tmp_path, suite):
    world.write_geode(tmp_path / "geode")
    _, lines, _ = suite("all", "--data", tmp_path, "--beside", "b32-xlmv")
    assert row(lines, "column")[0] == "b32-xlmv" and row(lines, "Babel-ImageNet")[0] == "32.70"
    assert "--beside nobody: no such published row" in suite("table3", "--data", tmp_path, "--beside", "nobody")[2]


@pytest.mark.parametrize("task, n, protocol, part", [
    ("xm3600", 7200, {"languages": 36}, ""), ("xm3600", 400, {"languages": 2}, "2 of 36 languages"),
    ("slip26", 90, {"datasets": 5, "of_datasets": 26}, "5 of 26 datasets"), ("imagenet", 50_000, {}, ""),
    ("imagenet", 40, {}, "40 of 50,000 images"), ("geode", 6, {"images_skipped": 1}, "1 images skipped"),
    ("babel-imagenet", 9, {"languages": 90, "follows": "published"}, ""),
    ("babel-imagenet", 9, {"languages": 297, "follows": "text"}, ""),
    ("babel-imagenet", 9, {"languages": 297, "follows": "published"}, "297 of 90 languages"),
    ("flickr30k-200", 9, {"languages": 201, "follows": "published"}, ""), ("xtd-200", 9, {"languages": 200}, ""),
    ("xtd-10", 9, {"languages": 11, "follows": "published"}, ""), ("xtd-10", 9, {"languages": 7, "follows": "text"}, ""),
    ("xtd-10", 9, {"languages": 7, "follows": "published"}, "7 of 11 languages")])
def test_a_part_is_said_and_gets_no_difference(task, n, protocol, part):
    assert suites.partial({"task": task, "n": n, "protocol": protocol}) == part
    assert (suites.difference(50.0, 40.0, part) is None) == bool(part)


# ---------------------------------------------------------------- failures

def test_a_task_that_breaks_down_stops_no_other(tmp_path, suite, monkeypatch):
    captioned.write_xm3600(tmp_path / "xm3600")
    world.write_geode(tmp_path / "geode")
    monkeypatch.setattr(retrieval, "recall", lambda *arguments: {}["nothing"])
    status, lines, err = suite("all", "--data", tmp_path, "-o", tmp_path / "scores.jsonl")
    assert status == 1 and "eval: xm3600: unexpected KeyError: 'nothing'" in err
    assert "tasks failed: xm3600" in err and any(line.startswith("geode ") for line in lines)


def test_scores_are_written_after_each_task(tmp_path, suite, monkeypatch):
    captioned.write_xm3600(tmp_path / "xm3600")
    world.write_geode(tmp_path / "geode")

    def interrupted(*arguments):
        assert '"geode"' in (tmp_path / "scores.jsonl").read_text()
        raise KeyboardInterrupt
    monkeypatch.setattr(retrieval, "recall", interrupted)
    assert suite("all", "--data", tmp_path, "-o", tmp_path / "scores.jsonl")[0] == 130
    assert '"geode"' in (tmp_path / "scores.jsonl").read_text()


def test_outputs_are_looked_at_before_the_model(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    for flag, path, said in (("--plot", "x.xyz", "cannot be drawn"), ("--plot", ".", "is a directory"),
                             ("-o", str(tmp_path), "is a directory"), ("-o", __file__ + "/x", "is no directory"),
                             ("--plot", __file__ + "/x.png", "is no directory")):
        for name in (["geode"], ["--suite", "all"]):
            assert run(["eval", *name, "--model", "nowhere", "--data", str(tmp_path), flag, path]) == 2
            assert said in capsys.readouterr().err


@pytest.mark.parametrize("arguments, message", [
    (["--model", "m", "--data", "."], "names no task. Put options after one"),
    (["--model", "m", "geode", "--data", "."], "--model stands before the task"),
    (["-q", "geode"], "--quiet stands before the task")])
def test_options_before_the_task_are_not_dropped(arguments, message, capsys):
    assert run(["eval", *arguments]) == 2
    assert message in capsys.readouterr().err


# ---------------------------------------------------------------- SLIP 26 and Babel-ImageNet: what is read

@pytest.mark.parametrize("labels, message", [
    ([0, 1, -1, 2, 3], "has a label -1, but labels.json names 8 classes"), ([], "or are empty"),
    ([0, 1, 8, 2, 3], "has a label 8"), (None, "hold objects or nothing")])
def test_labels_that_are_no_classes_are_refused(labels, message, tmp_path, score):
    slip.write(tmp_path)
    for name in ("val_labels.npy", "val_images.npy") if not labels else ("val_labels.npy",):
        path = tmp_path / "data/clevr_counts" / name
        np.save(path, np.array(labels or [], int if labels else "U5"))
        if labels is None:
            path.write_bytes(b"")
    assert message in score("slip26", "--data", tmp_path, "--datasets", "CLEVRCounts,CLEVRCounts", status=3)


def test_a_data_set_named_twice_counts_once(tmp_path, score):
    slip.write(tmp_path)
    found = score("slip26", "--data", tmp_path, "--datasets", "OxfordPets,OxfordPets")
    assert found["slip26", "en", "mean"]["protocol"]["datasets"] == 1


@pytest.mark.parametrize("content, message", [
    ('{"DE": [[0], [5]]}', "DE is not [[class indices], [names]]"), ('{"DE": [[0], [null]]}', "DE is not [[class"),
    ('{"DE": [0, 1]}', "DE is not [[class"), ('{"DE": [[], []]}', "names no class in DE")])
def test_names_of_classes_are_looked_at_when_read(content, message, tmp_path, score):
    (tmp_path / "babel_imagenet-298.json").write_text(content)
    assert message in score("babel-imagenet", "--data", tmp_path, "--langs", "DE,de", status=3)
