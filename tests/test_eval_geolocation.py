"""Few-shot geo-localisation on miniatures, against numpy.linalg.lstsq on an augmented system."""
import numpy as np
import pytest

from training_tools import require_train

require_train()

from mc2.evaluation import geolocation                                  # noqa: E402
from miniatures import geography, models                                # noqa: E402
from miniatures.running import Scores, values                           # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return models.write_run(tmp_path_factory.mktemp("model"))


@pytest.fixture
def score(model, capsys):
    return Scores(model, capsys)


def by_lstsq(shots, labels, test, classes, l2=1024.0):
    """Outputs (n, classes) for `test`: ridge regression as plain least squares with sqrt(l2) * I below the inputs."""
    mean, std = shots.mean(axis=0, dtype=np.float64), shots.std(axis=0, dtype=np.float64) + 1e-5
    x, there = (np.hstack([(part - mean) / std, np.full((len(part), 1), 100.0)]) for part in (shots, test))
    y = np.where(np.arange(classes) == labels[:, None], 1.0, -1.0)
    x, y = np.vstack([x, np.sqrt(l2) * np.eye(x.shape[1])]), np.vstack([y, np.zeros((x.shape[1], classes))])
    return there @ np.linalg.lstsq(x, y, rcond=None)[0]


@pytest.mark.parametrize("shots, width", [(5, 16), (40, 16)])           # fewer and more shots than features
def test_the_closed_form_is_least_squares(shots, width):
    draw = np.random.default_rng(0)
    x, test = draw.normal(size=(shots, width)).astype(np.float32), draw.normal(size=(30, width)).astype(np.float32)
    labels = np.arange(shots) % 3
    mean, std, weights = geolocation.fit(x, labels, 3, 1024.0)
    outputs = geolocation.with_bias((test - mean) / std) @ weights
    np.testing.assert_allclose(outputs, by_lstsq(x, labels, test, 3), atol=1e-9)


def test_shots_are_nested_and_their_own_class():
    labels, train = np.array(["a", "b"] * 30 + ["c"]), np.arange(0, 61)
    few, more = (geolocation.few(labels, train, k, seed=1) for k in (5, 10))
    assert set(few) < set(more) and len(set(more)) == 21
    assert {label: int((labels[more] == label).sum()) for label in "abc"} == {"a": 10, "b": 10, "c": 1}
    assert set(geolocation.few(labels, train, 5, seed=2)) != set(few)


def test_an_image_of_a_class_without_shots_is_wrong():
    features, labels = np.eye(4, dtype=np.float32)[[0, 1, 0, 1, 2]], np.array(["a", "b", "a", "b", "c"])
    assert geolocation.accuracy(features, labels, np.array([0, 1]), np.array([2, 3, 4]), 1024.0) == pytest.approx(2 / 3)


def test_dollar_street_draws_from_its_own_training_images(tmp_path, score):
    found = geography.write_dollar_street(tmp_path / "dollar-street/dataset_dollarstreet")
    (train, train_labels), (test, test_labels) = found["train"], found["test"]
    names = sorted(set(train_labels))
    shots, there = models.plain_images(train), models.plain_images(test)
    numbers, right = (np.array([names.index(label) for label in labels]) for labels in (train_labels, test_labels))
    expected = (by_lstsq(shots, numbers, there, 4).argmax(axis=1) == right).mean()
    scores = score("geo-localisation", "--data", tmp_path, "--shots", "1,4,4",
                   "--datasets", "dollar-street,dollar-street")
    task = "geo-localisation/dollar-street"
    assert values(scores)[task, None, "accuracy_4shot"] == pytest.approx(expected)          # on all 16 images
    assert values(scores)[task, None, "accuracy_4shot_std"] == 0
    assert scores[task, None, "accuracy_1shot"]["n"] == 8


def test_mean_and_deviation_are_over_the_seeds(tmp_path, score):
    paths, countries = geography.write_geode(tmp_path / "geode")
    arguments = ("geo-localisation", "--data", tmp_path, "--datasets", "geode", "--train-images", 30, "--shots", "1,5")
    found = score(*arguments)
    features, labels = models.plain_images(paths), np.array(countries)
    accuracies = []
    for seed in range(3):
        train, test = geolocation._split(42, 30, seed, "")
        shots = geolocation.few(labels, train, 5, seed)
        names, numbers = np.unique(labels[shots], return_inverse=True)
        outputs = by_lstsq(features[shots], numbers, features[test], len(names))
        accuracies.append(np.mean(names[outputs.argmax(axis=1)] == labels[test]))
    record = found["geo-localisation/geode", None, "accuracy_5shot"]
    assert record["value"] == pytest.approx(np.mean(accuracies)) and record["n"] == 12
    assert values(found)["geo-localisation/geode", None, "accuracy_5shot_std"] == pytest.approx(np.std(accuracies))
    assert record["protocol"]["classes"] == 5 and "td" in record["protocol"]["few_images"]


def test_a_class_with_few_images_is_named(tmp_path, score):
    geography.write_geode(tmp_path)
    score("geo-localisation", "--data", tmp_path, "--train-images", 38)
    assert "geode: fewer than 25 images for shots: br (" in score.err and "td (" in score.err


def test_regions_and_what_has_none(tmp_path, score):
    geography.write_xm3600(tmp_path / "xm3600")
    geography.write_dollar_street(tmp_path / "dollar-street")
    given = ("geo-localisation", "--data", tmp_path, "--datasets")
    found = score(*given, "dollar-street", "--label", "region", "--shots", 1)
    assert found["geo-localisation/dollar-street", None, "accuracy_1shot"]["protocol"]["label"] == "region"
    assert "xm3600: has no region labels" in score(*given, "xm3600", "--label", "region", status=2)
    assert "--train-images" in score(*given, "xm3600", status=3)
    assert "index.csv: is missing" in score(*given, "geode", status=2)
    assert "give 1 or more" in score(*given, "dollar-street", "--seeds", 0, status=2)
    assert "above 0" in score(*given, "dollar-street", "--l2", 0, status=2)
    assert "whole numbers from 1" in score(*given, "dollar-street", "--shots", "5,x", status=2)
    both = score(*given[:-1], "--train-images", 12, "--shots", 1, "--seeds", 1)
    assert {task for task, _, _ in both} == {"geo-localisation/xm3600", "geo-localisation/dollar-street"}
