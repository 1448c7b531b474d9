"""examples/paper: what it says of the tables and figures, its miniatures of benchmarks, its tables, and a run to the end."""
import importlib
import re
import shlex
import sys

import orjson
import pytest

from conftest import ROOT, for_examples
from mc2 import files
from training_tools import require_train

require_train()

PAPER = ROOT / "examples" / "paper"


@pytest.fixture(scope="module")
def scripts():
    """{name: module} of the example's scripts."""
    sys.path.insert(0, str(PAPER))
    try:
        yield {name: importlib.import_module(name) for name in ("paper", "about", "report", "shapes")}
    finally:
        sys.path.remove(str(PAPER))
        for name in ("paper", "about", "report", "shapes"):
            sys.modules.pop(name, None)


@pytest.fixture
def make(tmp_path):
    """Runs make in the example itself, so what it makes must go elsewhere."""
    sh = for_examples(tmp_path)
    return lambda *arguments: sh.process(shlex.join(["make", "-C", str(PAPER), *arguments]))


def test_the_makefile_has_the_targets_and_runs_of_the_scripts(scripts, make):
    printed = make("-pn", "about").stdout
    for name, target in scripts["paper"].TARGETS.items():
        runs, = re.findall(rf"^RUNS\.{name} := (.*)$", printed, re.MULTILINE)
        runs = runs.replace("$(HUGE)", " ".join(scripts["paper"].HUGE)) \
            .replace("$(RUNS.table1)", " ".join(scripts["paper"].TARGETS["table1"].runs))
        assert runs.split() == list(target.runs)


def test_about_says_what_a_table_needs_costs_and_shows(scripts, capsys):
    scripts["about"].show("table2")
    lines = capsys.readouterr().out.splitlines()
    assert "costs   1,779 GPU hours" in "\n".join(lines) and "imagenet/   val/WNID/*.JPEG" in "\n".join(lines)
    assert lines[-1].split() == ["b32-ablation-5", "64.7", "31.5", "38.1", "50.0", "50.3", "46.6"]


def test_what_is_missing_is_named_before_anything_is_done(make, tmp_path):
    done = make("table2", f"OUT={tmp_path}/out", f"POOL={tmp_path}/*.zst", f"TARS={tmp_path}", f"SOURCES={tmp_path}",
                f"METADATA={tmp_path}", f"BENCHMARKS={tmp_path}")
    assert done.status == 2 and "give SMALL=1" in done.stderr
    assert re.findall(r"^([A-Z]+)=", done.stderr, re.MULTILINE) == ["POOL"] and not (tmp_path / "out").exists()


def test_results_of_other_settings_are_not_taken_for_those_that_are_asked_for(make, tmp_path):
    files.write_bytes(str(tmp_path / "demo/done/matched"), b"")
    run = "SMALL=1", f"OUT={tmp_path}/out", f"DEMO={tmp_path}/demo"
    assert make(*run, "needed").status == make(*run, "needed").status == 0
    done = make(*run, "PAIRS=400", "table2")
    assert done.status == 2 and "SIZE.h14=tiny. Name another OUT=, or remove it." in done.stderr
    assert " PAIRS=19200 SIZE=small.json " in done.stderr and "python" not in done.stdout


def record(task, metric, value, lang=None, **protocol):
    return {"task": task, "metric": metric, "value": value, "lang": lang, "protocol": protocol}


def test_a_table_has_the_numbers_of_the_paper_and_ours_below(scripts):
    ours = {"b32-xlmr": [record("imagenet", "top1", 0.5, "en"), record("xm3600", "t2i_r1", 0.25)]}
    heads, paper, mine = scripts["report"].table("table3", ours, small=False)
    assert heads == ("", "ImageNet", "Babel-ImageNet", "XM3600 T->I", "XM3600 I->T", "CVQA en", "CVQA local")
    assert paper == ("b32-xlmr, paper", "64.0", "31.1", "38.0", "49.8", "49.8", "46.1")
    assert mine == ("  ours", "50.0", "-", "25.0", "-", "-", "-")


def test_a_table_in_small_stands_beside_no_number(scripts):
    ours = {"b32-xlmr": [record("zeroshot", "top1", 0.125, "en"), record("xm3600", "t2i_r1", 0.25)]}
    assert list(scripts["report"].table("table3", ours, small=True)) == [
        ("", "shapes in English", "XM3600 T->I"), ("b32-xlmr", "12.5", "25.0")]


@pytest.mark.heavy
def test_in_small_it_goes_from_the_pool_to_tables_and_figures(examples):
    pytest.importorskip("matplotlib")
    examples.ok("make -C examples/demo out/matched")
    run = "make -C examples/paper SMALL=1 PAIRS=4096 SIZE=small.json HUGE=h14-non-english"
    examples.ok(f"{run} out/small/runs/h14-non-english/trained")
    lines = examples.ok(f"{run} table4").splitlines()
    examples.ok(f"{run} figure3")
    examples.ok(f"{run} figure4")
    out = examples / "examples/paper/out/small"
    assert re.fullmatch(r"h14-non-english +\d+\.\d +\d+\.\d", lines[lines.index(
        next(line for line in lines if "GeoDE  GLDv2" in line)) + 1])
    assert all((out / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in ("figure3", "figure4"))
    assert languages(out / "data/non-english/pairs") == languages(out / "data/worldwide/matched") - {"en"}
    assert len(languages(out / "data/non-english/pairs")) == 17
    assert "mc2 " not in examples.ok(f"{run} table4")


def languages(folder):
    return {orjson.loads(line)["lang"] for shard in folder.glob("*.zst") for _, line in files.read_lines(str(shard))}
