"""Zero-shot tasks of mc2 eval on miniatures, against plain computations, torchvision, scikit-learn-free oracles and
open_clip's own evaluation."""
import json

import numpy as np
import pytest

from training_tools import require_train

require_train()

from mc2.cli import run                                                         # noqa: E402
from mc2.errors import BadData                                                  # noqa: E402
from mc2.evaluation import datacomp, tasks, zeroshot                            # noqa: E402
from miniatures import imagenet, images, models, slip, webdatasets, world       # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return models.write_run(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def imagenet_data(tmp_path_factory):
    return imagenet.write(tmp_path_factory.mktemp("imagenet"))


@pytest.fixture
def scores(model, capsys):
    """Runs `mc2 eval` in this process; gives {(task, lang, metric): record}."""
    def score(*arguments, status=0):
        options = ["--model", str(model), "--no-cache", "--workers", "0", "--json"]
        assert run(["eval", *map(str, arguments), *options]) == status
        out, err = capsys.readouterr()
        if status:
            return err
        records = map(json.loads, out.splitlines())
        return {(record["task"], record["lang"], record["metric"]): record for record in records}
    return score


def values(records):
    return {key: record["value"] for key, record in records.items()}


def top(features, weights, labels, k=1):
    order = np.argsort(-(features @ weights.T), axis=1, kind="stable")[:, :k]
    return np.mean([label in row for label, row in zip(labels, order)])


# ---------------------------------------------------------------- the core

class Plain:
    """A Bench that encodes plainly."""

    def texts(self, texts):
        return models.plain_texts(texts)


def test_a_classifier_is_open_clips():
    import open_clip
    names, templates = ["tench", "great white shark"], ["a photo of a {}.", "{}", "art of the {}."]
    expected = open_clip.build_zero_shot_classifier(models.network(), models.PlainTokenizer(), names, templates)
    np.testing.assert_allclose(zeroshot.classifier(Plain(), names, templates), expected.numpy().T, atol=1e-6)


def test_synonyms_are_averaged_with_the_templates():
    found = zeroshot.classifier(Plain(), ["cat", ["dog", "hound"]], ["a {}", "the {}"])
    np.testing.assert_allclose(found, models.plain_classes([["cat"], ["dog", "hound"]], ["a {}", "the {}"]), atol=1e-6)


def test_ties_go_to_the_first_class():
    features, weights = np.array([[1, 0], [1, 0]], np.float32), np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert zeroshot.ranks(features, weights, [0, 1]).tolist() == [0, 1]
    assert zeroshot.predictions(features, weights).tolist() == [0, 0]


def test_classes_of_one_name_tie():
    weights = zeroshot.classifier(Plain(), ["missile", "tench", "missile"], ["a {}"])
    assert (weights[0] == weights[2]).all() and (weights[0] != weights[1]).any()
    draw = np.random.default_rng(2)
    features = draw.normal(size=(300, 1024)).astype(np.float32)
    weights = draw.normal(size=(97, 1024)).astype(np.float32)[[*range(97), *range(97)]]
    assert zeroshot.predictions(features, weights).max() < 97
    first, second = (zeroshot.ranks(features, weights, np.full(300, label)) for label in (3, 100))
    assert (first + 1 == second).all()


def test_classes_in_parts_are_those_in_one_go(monkeypatch):
    features, weights = np.random.default_rng(0).normal(size=(2, 50, 8)).astype(np.float32)
    whole = zeroshot.ranks(features, weights, range(50)), zeroshot.best(features, weights, 3)
    monkeypatch.setattr(zeroshot, "SCORES", 7)
    assert (zeroshot.ranks(features, weights, range(50)) == whole[0]).all()
    assert (zeroshot.best(features, weights, 3) == whole[1]).all()


def test_metrics_of_a_few_images():
    assert zeroshot.mean_per_class([1, 1, 0, 1], [0, 0, 0, 4]) == pytest.approx((2 / 3 + 1) / 2)
    assert zeroshot.f1_macro([0, 0, 1, 2], [0, 1, 1, 1]) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert zeroshot.roc_auc([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1]) == pytest.approx(3.5 / 4)
    assert zeroshot.worst_group([1, 0, 1, 1], [5, 5, 2, 2]) == (0.5, 5)
    assert zeroshot.worst_group([1, 0, 1, 1], [5, 5, 2, 2], skip=(5,)) == (1.0, 2)
    assert zeroshot.jaccard(["a", "b"], ["b", "c"]) == pytest.approx(1 / 3)


def test_metrics_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    draw = np.random.default_rng(3)
    labels, predicted, scores = draw.integers(0, 6, 200), draw.integers(0, 8, 200), draw.integers(0, 20, 200) / 20
    assert zeroshot.f1_macro(predicted, labels) == pytest.approx(
        metrics.f1_score(labels, predicted, average="macro", labels=np.unique(labels)))
    assert zeroshot.mean_per_class(predicted == labels, labels) == pytest.approx(
        metrics.recall_score(labels, predicted, average="macro", labels=np.unique(labels)))
    assert zeroshot.roc_auc(scores, labels > 2) == pytest.approx(metrics.roc_auc_score(labels > 2, scores))


def test_braces_of_names_and_prompts_are_kept():
    assert zeroshot.filled("a {} of 5% {x}", "{}braced") == "a {}braced of 5% {x}"


# ---------------------------------------------------------------- tasks

def test_imagenet_agrees_with_open_clips_own_evaluation(scores, imagenet_data, tmp_path, monkeypatch):
    import argparse

    import open_clip
    import torchvision
    from torch.utils.data import DataLoader
    trained = pytest.importorskip("open_clip_train.zero_shot")
    monkeypatch.setattr(trained, "float", lambda array: array.item(), raising=False)    # float(array): not in NumPy 2.4
    transform = open_clip.image_transform(32, is_train=False)
    data = torchvision.datasets.ImageFolder(imagenet_data / "val", transform, allow_empty=True)
    weights = open_clip.build_zero_shot_classifier(
        models.network(), models.PlainTokenizer(), open_clip.IMAGENET_CLASSNAMES, ["a {}.", "{}, seen from above"],
        num_classes_per_batch=100)
    args = argparse.Namespace(device="cpu", precision="fp32", batch_size=16)
    expected = trained.run(models.network(), weights, DataLoader(data, 16), args)
    (tmp_path / "templates.txt").write_text("a {}.\n{}, seen from above\n")
    found = scores("imagenet", "--data", imagenet_data, "--templates", tmp_path / "templates.txt")
    assert (found["imagenet", "en", "top1"]["value"], found["imagenet", "en", "top5"]["value"]) == \
        pytest.approx(expected, abs=1e-6)
    record = found["imagenet", "en", "top1"]
    assert record["n"] == len(data) and record["protocol"]["classnames"] == "openai"
    assert record["model"]["tokenizer"].startswith("tokenizer.json (") and record["model"]["precision"] == "fp32"


def test_slip_scores_each_data_set_by_its_metric(scores, tmp_path, monkeypatch):
    held = slip.write(tmp_path)
    held["CIFAR10"] = slip.write_cifar10(tmp_path, monkeypatch)
    found = values(scores("slip26", "--data", tmp_path))
    expected = {}
    for name, (pictures, labels) in held.items():
        classes = [[label] if isinstance(label, str) else label for label in slip.LABELS[name]]
        features, weights = models.plain_images(pictures), models.plain_classes(classes, slip.TEMPLATES[name])
        labels = np.array(labels)
        if name == "OxfordPets":
            right = (features @ weights.T).argmax(axis=1) == labels
            recalls = [right[labels == one].mean() for one in (0, 1)]
            expected[f"slip26/{name}", "en", "mean_per_class"] = np.mean(recalls)
        elif name == "Kinetics700":
            both = [top(features, weights, labels, k) for k in (1, 5)]
            expected[f"slip26/{name}", "en", "mean_top1_top5"] = np.mean(both)
        elif name == "HatefulMemes":
            margin = features @ (weights[1] - weights[0])
            pairs = [(margin[i] > margin[j]) for i in np.flatnonzero(labels == 1) for j in np.flatnonzero(labels == 0)]
            expected[f"slip26/{name}", "en", "roc_auc"] = np.mean(pairs)
        else:
            expected[f"slip26/{name}", "en", "top1"] = top(features, weights, labels)
    mean = found.pop(("slip26", "en", "mean"))
    assert found == pytest.approx(expected) and mean == pytest.approx(np.mean(list(expected.values())))


def test_datacomp_scores_each_data_set_by_its_main_metric(scores, tmp_path):
    draw, names = np.random.default_rng(1), [f"class {number}" for number in range(6)]
    labels = draw.integers(0, 6, 24)
    groups = draw.integers(0, 3, (24, 2)) + [[5, 0]] * 24       # region 5 is FMoW's `Other`
    held = {}
    for folder in ("wds_vtab-caltech101_test", "wds_cifar10_test", "wds_wilds-iwildcam_test", "wds_wilds-fmow_test",
                   "wds_wilds-camelyon17_test", "wds_dollar_street_test", "wds_geode_test"):
        held[folder] = webdatasets.write(tmp_path / folder, labels, names, metadata=groups)
    captions = [[f"picture {number}", f"a second text of {number}"] for number in range(5)]
    flickr = webdatasets.write(tmp_path / "wds_flickr30k_test", None, None, captions=captions)
    found = values(scores("datacomp", "--data", tmp_path, "--camelyon17", "acc_wg"))
    features = models.plain_images(held["wds_cifar10_test"])
    weights = models.plain_classes([[name] for name in names], ["a photo of a {}.", "{}, seen from above"])
    right = (features @ weights.T).argmax(axis=1) == labels
    five = np.array([label in row for label, row in zip(labels, np.argsort(-(features @ weights.T), axis=1)[:, :5])])
    per_class = np.mean([right[labels == label].mean() for label in np.unique(labels)])
    owners = np.repeat(np.arange(5), 2)
    similar = models.plain_images(flickr) @ models.plain_texts(sum(captions, [])).T
    recall = np.mean([(owners[similar.argmax(axis=1)] == np.arange(5)).mean(),
                      (similar.argmax(axis=0) == owners).mean()])
    main = {"vtab/caltech101": ("mean_per_class_recall", per_class), "cifar10": ("acc1", right.mean()),
            "wilds/camelyon17": ("acc_wg", min(right[groups[:, 1] == group].mean() for group in range(3))),
            "wilds/fmow": ("acc_worst_region", min(right[groups[:, 0] == group].mean() for group in (5, 6, 7))),
            "fairness/dollar_street": ("acc_top5_wg", min(five[groups[:, 0] == group].mean() for group in (5, 6, 7))),
            "fairness/geode": ("acc_wg", min(right[groups[:, 0] == group].mean() for group in (5, 6, 7))),
            "retrieval/flickr_1k_test_image_text_retrieval": ("mean_recall@1", recall)}
    for name, (metric, value) in main.items():
        assert found[f"datacomp/{name}", "en", metric] == pytest.approx(value), name
    main["wilds/iwildcam"] = ("F1-macro_all", found["datacomp/wilds/iwildcam", "en", "F1-macro_all"])
    assert found["datacomp/cifar10", "en", "acc5"] == pytest.approx(five.mean())
    assert found["datacomp", "en", "mean"] == pytest.approx(np.mean([value for _, value in main.values()]))
    other = values(scores("datacomp", "--data", tmp_path, "--datasets", "wilds/fmow", "--fmow-skip-other"))
    assert other["datacomp/wilds/fmow", "en", "acc_worst_region"] == pytest.approx(
        min(right[groups[:, 0] == group].mean() for group in (6, 7)))


def test_winogavil_takes_as_many_images_as_are_right(scores, tmp_path):
    pictures = [f"p{number}" for number in range(14)]
    paths = {name: images.write(tmp_path / f"winogavil/winogavil_images/{name}.jpg", 50 + number)
             for number, name in enumerate(pictures)}
    games = [("owl", pictures[:5], pictures[1:3]), ("Bread", pictures[2:12], pictures[4:8]),
             ("ice", pictures[2:14], pictures[5:7])]
    (tmp_path / "winogavil/winogavil_dataset.csv").write_text("ID,cue,candidates,associations\n" + "".join(
        f'{number},{cue},"{candidates}","{right}"\n' for number, (cue, candidates, right) in enumerate(games)))
    webdatasets.write(tmp_path / "wds_cifar10_test", [0, 1], ["cat", "dog"])
    found = values(scores("datacomp", "--data", tmp_path))
    expected = []
    for prompt, (_, candidates, right) in zip(("An owl", "A bread", "An ice"), games):
        similar = models.plain_images([paths[name] for name in candidates]) @ models.plain_texts([prompt])[0]
        order = np.argsort(-similar)
        chosen = {candidates[number] for number in order[:len(right)]}
        expected.append(len(chosen & set(right)) / len(chosen | set(right)))
    name = "datacomp/misc/winogavil"
    assert found[name, "en", "jaccard_score_10-12"] == pytest.approx(np.mean(expected[1:]))
    assert found[name, "en", "jaccard_score_5-6"] == pytest.approx(expected[0])
    cifar10 = found["datacomp/cifar10", "en", "acc1"]           # the paper's 37 tasks are taken to be those without WinoGAViL
    assert found["datacomp", "en", "mean_37"] == pytest.approx(cifar10)
    assert found["datacomp", "en", "mean"] == pytest.approx((np.mean(expected[1:]) + cifar10) / 2)


def test_babel_imagenet_scores_each_language_on_its_own_classes(scores, imagenet_data, tmp_path):
    labels = world.write_babel(tmp_path)
    found = scores("babel-imagenet", "--data", tmp_path, "--imagenet", imagenet_data)
    expected = {}
    for lang, (classes, names) in labels.items():
        folders = sorted((imagenet_data / "val").iterdir())
        paths = [(path, number) for number, index in enumerate(classes) for path in sorted(folders[index].iterdir())]
        weights = models.plain_classes([[name] for name in names], ["{}"])
        expected[lang] = top(models.plain_images([path for path, _ in paths]), weights, [number for _, number in paths])
        assert found["babel-imagenet", lang, "top1"]["n"] == len(paths)
    found_values = {lang: found["babel-imagenet", lang, "top1"]["value"] for lang in expected}
    assert found_values == pytest.approx(expected)
    mean = found["babel-imagenet", None, "top1"]
    assert mean["value"] == pytest.approx(np.mean(list(expected.values()))) and mean["protocol"]["languages"] == 3


def test_babel_imagenet_takes_translated_prompts_and_chosen_languages(scores, imagenet_data, tmp_path):
    labels = world.write_babel(tmp_path)
    found = scores("babel-imagenet", "--data", tmp_path, "--imagenet", imagenet_data / "val", "--langs", "de,SW",
                   "--prompts", tmp_path / "nllb_dist13b_prompts.json")
    folders = sorted((imagenet_data / "val").iterdir())
    paths = [(path, number) for number, index in enumerate(labels["DE"][0]) for path in folders[index].iterdir()]
    weights = models.plain_classes([[name] for name in labels["DE"][1]], ["ein Foto von {}.", "{} im Bild"])
    assert found["babel-imagenet", "DE", "top1"]["value"] == pytest.approx(
        top(models.plain_images([path for path, _ in paths]), weights, [number for _, number in paths]))
    assert found["babel-imagenet", "DE", "top1"]["protocol"]["prompt"] == "translated"
    assert found["babel-imagenet", "SW", "top1"]["protocol"]["prompt"] == "label"
    few = scores("babel-imagenet", "--data", tmp_path, "--imagenet", imagenet_data, "--min-classes", "3")
    assert [lang for _, lang, _ in few] == ["DE", None]


def test_images_of_the_world(scores, tmp_path):
    import open_clip
    paths, labels = world.write_dollar_street(tmp_path / "dollar-street")
    found = values(scores("dollar-street", "--data", tmp_path, "--templates", "none"))
    weights = models.plain_classes([[name] for name in open_clip.IMAGENET_CLASSNAMES], ["{}"])
    order = np.argsort(-(models.plain_images(paths) @ weights.T), axis=1)
    assert found == pytest.approx({("dollar-street", "en", f"top{k}"): np.mean(
        [bool(set(row[:k]) & set(label)) for row, label in zip(order, labels)]) for k in (1, 5)})

    paths, names, labels = world.write_geode(tmp_path / "geode")
    found = values(scores("geode", "--data", tmp_path, "--templates", "none"))
    assert found == pytest.approx({("geode", "en", "top1"): top(
        models.plain_images(paths), models.plain_classes([[name] for name in names], ["{}"]), labels)})

    paths, names, labels = world.write_gldv2(tmp_path / "gldv2")
    found = values(scores("gldv2", "--data", tmp_path))
    assert found == pytest.approx({("gldv2", "en", "top1"): top(
        models.plain_images(paths), models.plain_texts(names), labels)})


def test_own_images_with_names_in_any_language(scores, tmp_path):
    paths = [images.write(tmp_path / f"own/{folder}/{number}.jpg", number) for number, folder in enumerate("babc")]
    (tmp_path / "classes.txt").write_text("b\tchien|chiot\nc\toiseau\na\tchat\n", "utf-8")
    (tmp_path / "prompts.txt").write_text("une photo de {}.\n{} !\n", "utf-8")
    found = values(scores("zeroshot", "--images", tmp_path / "own", "--classes", tmp_path / "classes.txt",
                          "--templates", tmp_path / "prompts.txt", "--lang", "fr"))
    weights = models.plain_classes([["chat"], ["chien", "chiot"], ["oiseau"]], ["une photo de {}.", "{} !"])
    assert found["zeroshot", "fr", "top1"] == pytest.approx(top(models.plain_images(paths), weights, [1, 0, 1, 2]))


def test_own_images_with_names_in_several_languages_and_the_mean_of_these(scores, tmp_path):
    paths = [images.write(tmp_path / f"own/{folder}/{number}.jpg", number) for number, folder in enumerate("babc")]
    (tmp_path / "fr.txt").write_text("chat\nchien\noiseau\n")
    (tmp_path / "names.de.txt").write_text("Katze\nHund\nVogel\n")
    found = values(scores("zeroshot", "--images", tmp_path / "own", "--templates", "none",
                          "--classes", tmp_path / "fr.txt", "--classes", tmp_path / "names.de.txt"))
    features = models.plain_images(paths)
    french, german = (top(features, models.plain_classes(names, ["{}"]), [1, 0, 1, 2])
                      for names in ([["chat"], ["chien"], ["oiseau"]], [["Katze"], ["Hund"], ["Vogel"]]))
    assert found["zeroshot", "fr", "top1"] == pytest.approx(french)
    assert found["zeroshot", "de", "top1"] == pytest.approx(german)
    assert found["zeroshot", None, "top1"] == pytest.approx((french + german) / 2)


@pytest.mark.parametrize("files, more, message", [
    (("fr.txt", "animals.txt"), (), '"animals" is no language that mc2 has a name for'),
    (("fr.txt", "names.fr.txt"), (), "is of the language fr, and so is "),
    (("fr.txt", "de.txt"), ("--lang", "fr"), "--lang fr: several files of --classes have the languages in their names")])
def test_several_files_of_names_say_their_languages(scores, tmp_path, files, more, message):
    images.write(tmp_path / "own/a/1.jpg", 1)
    for name in files:
        (tmp_path / name).write_text("chat\n")
    given = [argument for name in files for argument in ("--classes", tmp_path / name)]
    assert message in scores("zeroshot", "--images", tmp_path / "own", *given, *more, status=2)


# ---------------------------------------------------------------- what is missing or wrong is said

@pytest.mark.parametrize("content, message", [
    ("a\tchat\nb\tchien\noiseau\n", ":3: has no tab, but other lines are FOLDER<tab>NAME"),
    ("a\tchat\nb\tchien\na\toiseau\n", ":3: the folder a is there twice"),
    ("a\tchat\nb\tchien\nd\toiseau\n", ":3: the folder d is not in "),
    ("a\tchat\nb\tchien\n", "names no class for the folder "),
    ("chat\n | \noiseau\n", ":2: names no class"), ("a\tchat\nb\t\nc\toiseau", ":2: names no class"),
    ("chat\n\nchien\noiseau\n", ":2: is empty"), ("chat\nchien\n", "names 2 classes, but ")])
def test_names_that_are_not_those_of_the_folders_are_refused(scores, tmp_path, content, message):
    for name in "abc":
        images.write(tmp_path / f"own/{name}/1.jpg", 1)
    (tmp_path / "classes.txt").write_text(content)
    found = scores("zeroshot", "--images", tmp_path / "own", "--classes", tmp_path / "classes.txt", status=3)
    assert f"classes.txt{message}" in found.replace("classes.txt: ", "classes.txt")


def test_an_empty_folder_of_imagenet_names_where_it_comes_from(scores, tmp_path):
    assert tasks.TASKS["imagenet"].source in scores("imagenet", "--data", tmp_path, status=3)


def test_captions_that_are_not_utf_8_are_refused(tmp_path):
    webdatasets.write(tmp_path, None, None, captions=[["a"], ["b"]], tars=1)
    tar = tmp_path / "test/0.tar"
    tar.write_bytes(tar.read_bytes().replace(b"b" + bytes(511), b"\xff" + bytes(511)))
    with pytest.raises(BadData, match="the captions of s0000001 are not UTF-8"):
        datacomp._captioned_images(str(tmp_path))


def test_missing_files_are_named_with_their_source(scores, tmp_path):
    for name, task in tasks.TASKS.items():
        if name in ("imagenet", "slip26", "datacomp", "babel-imagenet", "dollar-street", "geode", "gldv2"):
            (tmp_path / name).mkdir()
            status = 3 if name == "imagenet" else 2
            message = scores(name, "--data", tmp_path, status=status)
            assert str(tmp_path / name) in message and message.count("\n") == 1, message


@pytest.mark.parametrize("content, message", [
    ('{"DE": [[0], ["a", "b"]]}', "DE is not [[class indices], [names]] of one length"),
    ('{"DE": [[0, 0], ["a", "b"]]}', "DE names a class twice"),
    ('{"DE": [[1000], ["a"]]}', "indices below 1,000"),
    ("[]", "is no JSON object"), ("{", "is not JSON")])
def test_wrong_labels_are_refused(scores, tmp_path, content, message):
    (tmp_path / "babel_imagenet-298.json").write_text(content)
    assert message in scores("babel-imagenet", "--data", tmp_path, status=3)


def test_folders_that_are_not_the_classes_are_refused(scores, tmp_path):
    held = slip.write(tmp_path)
    for path in held["OxfordPets"][0][:2]:
        path.unlink()
    path.parent.rmdir()                 # class0: without it, class1 would be taken for it
    message = scores("slip26", "--data", tmp_path, "--datasets", "OxfordPets", status=3)
    assert "has 1 folders of classes, but labels.json names 2 for OxfordPets" in message


def test_a_missing_tar_and_a_label_without_a_class_are_refused(scores, tmp_path):
    webdatasets.write(tmp_path / "wds_cifar10_test", [0, 7], ["a", "b"])
    assert "has a label 7, but classnames.txt names 2 classes" in scores("datacomp", "--data", tmp_path, status=3)
    (tmp_path / "wds_cifar10_test/test/1.tar").unlink()
    assert "1.tar: is missing; nshards.txt says 2 tars" in scores("datacomp", "--data", tmp_path, status=3)
