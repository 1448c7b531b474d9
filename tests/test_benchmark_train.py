"""benchmarks/train.py: all that it does on a GPU, with a tiny model on the CPU, so that it is ready where a GPU is at hand."""
import importlib.util
import json
import sys

import pytest
from conftest import ROOT
from training_tools import require_train

require_train()
pytestmark = pytest.mark.heavy


@pytest.fixture
def train(monkeypatch):
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("benchmark_train", ROOT / "benchmarks/train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(train, monkeypatch, capsys):
    """run("--dry-run") gives (lines of the output, the last of them as JSON)."""
    def run(arguments):
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments.split()])
        train.main()
        lines = capsys.readouterr().out.splitlines()
        return lines, json.loads(lines[-1])
    yield run
    train.logging.disable(train.logging.NOTSET)


def test_a_dry_run_measures_both_steps_the_peak_the_plan_and_the_loss(run, tmp_path):
    lines, found = run(f"--dry-run --seconds 0.2 --json {tmp_path}/kept.json")
    assert lines[0] == "A dry run: the figures mean nothing."
    assert found["written_down"] == [] and all(peak > 0 for peak in found["matmul_tflops"])
    for one, name in zip(found["models"], ["ViT-B-32", "ViT-H-14"], strict=True):
        assert one["model"] == name and one["planned_bytes"] > 1e6 and one["compared"]["cosine"] > 0.99
        for step in ("mc2", "open_clip"):
            assert one["steps"][step]["images_per_second"] > 0 and len(one["steps"][step]["seconds_of_a_step"]) >= 8
    assert {(row["pairs"], row["loss"]) for row in found["losses"]} == {
        (pairs, loss) for pairs in (64, 256) for loss in ("full matrix", "full matrix, autocast", "mc2")}
    assert json.loads((tmp_path / "kept.json").read_text()) == found


def test_a_model_that_does_not_fit_is_left_out_and_said(run):
    lines, found = run("--dry-run --seconds 0.1 --models ViT-H-14 --memory 3")
    assert found["models"] == [{"model": "ViT-H-14", "skipped": "8 images of a step and the states of two optimizers do not "
                                                                "fit the memory that is free, 3 GB"}]
    assert any(line.startswith("  ViT-H-14 was skipped: 8 images") for line in lines)


def test_a_ratio_is_claimed_only_where_chance_would_not_give_it(train):
    faster = train.ratio([1.0] * 8, [1.1] * 8)
    assert faster == {"ratio": 1.1, "quartiles": [1.1, 1.1], "p": 2 / 256} and train.said(faster) == "1.100 (1.100 to 1.100)"
    mixed = train.ratio([1.0] * 8, [1.1] * 7 + [0.9])
    assert mixed["p"] > 0.05 and train.said(mixed).startswith("noise")
