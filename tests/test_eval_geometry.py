"""Alignment and uniformity on pairs, against the formulas over all pairs of rows."""
import numpy as np
import pytest

from training_tools import require_train

require_train()

from mc2.evaluation import geometry                                     # noqa: E402
from miniatures import images, models                                   # noqa: E402
from miniatures.running import Scores, values                           # noqa: E402


def plain_uniformity(x):
    x = np.asarray(x, np.float64)
    return np.log(np.mean([np.exp(-2 * ((x[i] - x[j]) ** 2).sum()) for i in range(len(x)) for j in range(i)]))


@pytest.mark.parametrize("held", [1 << 24, 1, 100])
def test_uniformity_in_parts_is_the_formula(held, monkeypatch):
    monkeypatch.setattr(geometry, "DISTANCES", held)
    x = np.random.default_rng(0).normal(size=(37, 8)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert geometry.log_mean_potential(x) == pytest.approx(plain_uniformity(x), abs=1e-5)
    one_point, opposite = np.ones((5, 4)) / 2, np.array([[1, 0], [-1, 0]])
    assert geometry.log_mean_potential(one_point) == pytest.approx(0, abs=1e-6)
    assert geometry.log_mean_potential(opposite) == pytest.approx(-8)


def test_alignment_of_a_known_case():
    x, y = np.array([[1, 0], [0, 1], [1, 0]], np.float32), np.array([[1, 0], [1, 0], [-1, 0]], np.float32)
    assert geometry.distance(x, y) == pytest.approx((0 + 2 + 4) / 3)


def test_pairs_end_to_end(tmp_path, capsys):
    pairs = [("a", "a cat"), ("b", "two dogs"), ("c", "the sea"), ("a", "paka")]
    models.write_records(tmp_path / "pairs.jsonl", [{"id": key, "text": text} for key, text in pairs])
    paths = {key: images.write(tmp_path / f"images/{key}.jpg", 60 + number) for number, key in enumerate("abc")}
    score = Scores(models.write_run(tmp_path), capsys)
    pictures = models.plain_images([paths[key] for key, _ in pairs])
    squared = ((pictures - models.plain_texts([text for _, text in pairs])) ** 2).sum(axis=1)
    found = score("alignment", "--data", tmp_path)
    assert values(found)["alignment", None, "alignment"] == pytest.approx(squared.mean(), abs=1e-5)
    assert found["alignment", None, "alignment"]["n"] == 4
    assert values(score("alignment", "--data", tmp_path, "--pairs", 2))["alignment", None, "alignment"] \
        == pytest.approx(squared[:2].mean(), abs=1e-5)
    found = score("uniformity", "--data", tmp_path)
    assert values(found)["uniformity", None, "uniformity"] == pytest.approx(plain_uniformity(pictures[:3]), abs=1e-5)
    assert "there are 1" in score("uniformity", "--data", tmp_path, "--pairs", 1, status=3)
