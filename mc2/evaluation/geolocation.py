"""Few-shot geo-localisation: from image features to country or region by least squares on a few images of each, as the
few-shot transfer of big_vision does it (evaluators/fewshot_lsr.py; Meta CLIP 2, few-shot geo-localisation).
"""
import os
from collections import Counter
from typing import NamedTuple

import numpy as np

from mc2.errors import BadData, BadUsage
from mc2.evaluation import readers, sources, tasks
from mc2.terminal import say

BIAS = 100.0                # a constant feature, so large that it is hardly regularised
LEAST_STD = 1e-5            # added to the shots' standard deviation


class Part(NamedTuple):
    """A data set. folder: of the task that reads it too; file: the path by which it is found; columns: of the labels;
    train: number of images from which shots are drawn, unless the release divides them itself."""

    folder: str
    file: tuple
    columns: dict
    train: int | None = None


PARTS = {
    "dollar-street": Part("dollar-street", ("dataset_dollarstreet", "images_v2_imagenet_train.csv"),
                          {"country": "country.id", "region": "region.id"}),
    "geode": Part("geode", ("geode", "index.csv"), {"country": "ip_country", "region": "region"}, 20_000),
    "xm3600": Part("xm3600", ("captions.jsonl",), {"country": "image/locale"}, 1_800),
}


def geo_localisation(bench):
    """Yield the accuracy for each number of shots, mean and standard deviation over the seeds, of each data set."""
    shots = _numbers(bench.protocol["shots"])
    if not bench.protocol["l2"] > 0:
        raise BadUsage(f"--l2 {bench.protocol['l2']}: give a number above 0.")
    found = {name: folder for name, part in PARTS.items() if (folder := _folder(bench, part))}
    for name in _chosen(bench, found):
        yield from _scores(bench, name, found[name], shots)


def _chosen(bench, found):
    choice = bench.protocol["datasets"]
    names = tasks.listed(choice) if choice else list(found)
    for name in names or PARTS:
        if name not in PARTS:
            raise BadUsage(f"--datasets {choice}: {name} is none of {', '.join(PARTS)}.")
        if name not in found:
            missing = os.path.join(bench.data, *PARTS[name].file)
            raise BadUsage(f"{missing}: is missing. {bench.name} reads {bench.task.files}; they come from where "
                           "`mc2 eval --list` says.")
    return names


def _scores(bench, name, folder, shots):
    column = PARTS[name].columns.get(bench.protocol["label"])
    if column is None:
        raise BadUsage(f"{name}: has no {bench.protocol['label']} labels. --datasets leaves it out.")
    read = {"dollar-street": _dollar_street, "geode": _geode, "xm3600": _xm3600}[name]
    source, labels, is_train = read(folder, column)
    features, kept = bench.images(source)
    labels, is_train = np.array(labels)[kept], None if is_train is None else is_train[kept]
    seeds = range(bench.whole_number("seeds", 1))
    number = bench.whole_number("train_images", 1) or PARTS[name].train
    splits = [_split(len(labels), number, seed, folder) if is_train is None
              else (np.flatnonzero(is_train), np.flatnonzero(~is_train)) for seed in seeds]
    short = _short(labels, splits, max(shots))
    if short and bench.encoder.rank == 0:
        say(f"eval: {name}: fewer than {max(shots)} images for shots: "
            + ", ".join(f"{label} ({number})" for label, number in short.items()))
    for k in shots:
        values = [accuracy(features, labels, few(labels, train, k, seed), test, bench.protocol["l2"])
                  for seed, (train, test) in zip(seeds, splits)]
        more = {"shots": k, "classes": len(np.unique(labels)), "train_images": len(splits[0][0]), "few_images": short}
        yield bench.result(f"accuracy_{k}shot", np.mean(values), len(splits[0][1]), of=name, **more)
        yield bench.result(f"accuracy_{k}shot_std", np.std(values), len(splits[0][1]), of=name, **more)


# ---------------------------------------------------------------- least squares

def few(labels, train, k, seed):
    """Indices of k images of each class among `train`, all of a class that has fewer. The shots of a greater k hold
    those of a smaller one."""
    rng, drawn = np.random.default_rng(seed), []
    for label in np.unique(labels):
        drawn.append(rng.permutation(train[labels[train] == label])[:k])
    return np.concatenate(drawn)


def accuracy(features, labels, shots, test, l2):
    """Share of the images `test` whose class has the greatest output of a regression on `shots`. Those of a class
    without any shot count as wrong."""
    classes, numbers = np.unique(labels[shots], return_inverse=True)
    mean, std, weights = fit(features[shots], numbers, len(classes), l2)
    correct = 0
    for part in np.array_split(test, max(1, len(test) // 8192)):
        inputs = with_bias((features[part].astype(np.float64) - mean) / std)
        correct += (classes[(inputs @ weights).argmax(axis=1)] == labels[part]).sum()
    return correct / len(test)


def fit(inputs, labels, classes, l2):
    """(mean (d,), std (d,), weights (d + 1, classes)) of ridge regression to targets of +1 and -1.

    inputs: (n, d) features of the shots, by whose mean and standard deviation all are standardised.
    """
    inputs = inputs.astype(np.float64)
    mean, std = inputs.mean(axis=0), inputs.std(axis=0) + LEAST_STD
    x = with_bias((inputs - mean) / std)
    y = 2.0 * np.eye(classes)[labels] - 1
    if len(x) < x.shape[1]:                                     # the smaller of the two systems
        return mean, std, x.T @ np.linalg.solve(x @ x.T + l2 * np.eye(len(x)), y)
    return mean, std, np.linalg.solve(x.T @ x + l2 * np.eye(x.shape[1]), x.T @ y)


def with_bias(inputs):
    return np.concatenate([inputs, np.full((len(inputs), 1), BIAS)], axis=1)


def _split(number, train, seed, folder):
    if train >= number:
        raise BadData(f"{folder}: holds {number:,} images; shots are drawn from {train:,}. --train-images takes fewer.")
    order = np.random.default_rng(seed).permutation(number)
    return np.sort(order[:train]), np.sort(order[train:])


def _short(labels, splits, most):
    """{class: number of its images for shots, the fewest of any seed}, for classes with fewer than `most`."""
    counts = [Counter(labels[train].tolist()) for train, _ in splits]
    least = {label: min(count[label] for count in counts) for label in sorted(set(labels.tolist()))}
    return {label: number for label, number in least.items() if number < most}


def _numbers(text):
    try:
        found = list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise BadUsage(f"--shots {text}: give whole numbers from 1, e.g. 1,5,10,25.")
    return found


# ---------------------------------------------------------------- data

def _folder(bench, part):
    """The folder that holds a data set: that of its own task, or --data itself."""
    for folder in filter(None, (bench.root and tasks.folder_of(part.folder, bench.root), bench.data)):
        for depth in range(len(part.file)):
            if os.path.isfile(os.path.join(folder, *part.file[depth:])):
                return os.path.join(folder, *part.file[depth:-1])
    return None


def _dollar_street(folder, column):
    """(source, labels, bool (n,): which images are of the release's train part)"""
    rows, sizes = [], []
    for split in ("train", "test"):
        found = readers.csv_rows(os.path.join(folder, f"images_v2_imagenet_{split}.csv"), ("imageRelPath", column))
        rows += found
        sizes.append(len(found))
    is_train = np.arange(len(rows)) < sizes[0]
    return sources.Files(folder, [row["imageRelPath"] for row in rows]), [row[column] for row in rows], is_train


def _geode(folder, column):
    """(source, labels, None)"""
    rows = readers.csv_rows(os.path.join(folder, "index.csv"), ("file_path", column))
    source = sources.Files(os.path.join(folder, "images"), [row["file_path"] for row in rows])
    return source, [row[column] for row in rows], None


def _xm3600(folder, column):
    """(source, labels, None)"""
    path = os.path.join(folder, "captions.jsonl")
    lines = list(readers.json_lines(path))
    lacking = next((number for number, line in lines if not isinstance(line.get(column), str)
                    or not isinstance(line.get("image/key"), str)), None)
    if lacking is not None:
        raise BadData(f'{path}:{lacking}: has no "{column}" or no "image/key".')
    source = sources.Files(os.path.join(folder, "images"), [f"{line['image/key']}.jpg" for _, line in lines])
    return source, [line[column] for _, line in lines], None
