"""The 26 zero-shot tasks of SLIP, as Meta CLIP's clipeval runs them.

labels.json, templates.json and dataset_catalog.json are those of that repository. A label may be a list of synonyms.
Each data set has one number; the task's is their plain mean.
"""
import os

import numpy as np

from mc2 import parsing
from mc2.errors import BadData, BadUsage
from mc2.evaluation import readers, sources, zeroshot
from mc2.evaluation.tasks import listed

NAMES = ["Food101", "CIFAR10", "CIFAR100", "CUB200", "SUN397", "StanfordCars", "FGVCAircraft", "DescribableTextures",
         "OxfordPets", "Caltech101", "Flowers102", "MNIST", "FacialEmotionRecognition2013", "STL10", "EuroSAT",
         "RESISC45", "GTSRB", "KITTI", "Country211", "PatchCamelyon", "UCF101", "Kinetics700", "CLEVRCounts",
         "HatefulMemes", "SST2", "imagenet"]
METRICS = {"FGVCAircraft": "mean_per_class", "OxfordPets": "mean_per_class", "Caltech101": "mean_per_class",
           "Flowers102": "mean_per_class", "Kinetics700": "mean_top1_top5", "HatefulMemes": "roc_auc"}
IN_MEMORY = {"CIFAR10": {"train": False}, "CIFAR100": {"train": False}, "STL10": {"split": "test"},
             "MNIST": {"train": False}}         # read by torchvision's class of that name


def slip26(bench):
    """Yield the metric of each data set, then the mean over them."""
    labels, prompts, catalog = (readers.json_object(bench.path(name), "data set")
                                for name in ("labels.json", "templates.json", "dataset_catalog.json"))
    names = chosen(bench.protocol["datasets"], NAMES)
    for file, content in (("labels.json", labels), ("templates.json", prompts), ("dataset_catalog.json", catalog)):
        lacking = [name for name in names if name not in content]
        if lacking:
            raise BadData(f"{bench.path(file)}: has no {lacking[0]}. Take the file of Meta CLIP's clipeval.")
    present = [name for name in names if os.path.isdir(_root(bench, catalog[name]))]
    if not present or bench.protocol["datasets"] and len(present) < len(names):
        absent = next(name for name in names if name not in present)
        raise BadUsage(f"{_root(bench, catalog[absent])}: is missing ({absent}). slip26 reads {bench.task.files}. "
                       "--datasets chooses.")
    values, total = [], 0
    for name in present:
        source, targets = _dataset(bench, name, catalog[name], len(labels[name]))
        weights = zeroshot.classifier(bench, labels[name], prompts[name])
        features, kept = bench.images(source)
        metric = METRICS.get(name, "top1")
        values.append(measured(metric, features, targets[kept], weights))
        total += len(kept)
        yield bench.result(metric, values[-1], len(kept), lang="en", of=name)
    yield bench.result("mean", np.mean(values), total, lang="en", **share(present, NAMES))


def measured(metric, features, targets, weights):
    """The value of a data set's metric."""
    if metric == "roc_auc":
        scores = np.concatenate([part[:, 1] - part[:, 0] for _, part in zeroshot.scored(features, weights)])
        return zeroshot.roc_auc(scores, targets)
    found = zeroshot.ranks(features, weights, targets)
    if metric == "mean_per_class":
        return zeroshot.mean_per_class(found == 0, targets)
    if metric == "mean_top1_top5":
        return (zeroshot.top(found, 1) + zeroshot.top(found, 5)) / 2
    return zeroshot.top(found, 1)


def chosen(names, known):
    """The data sets of a comma-separated list, all where it is None. BadUsage for others."""
    if names is None:
        return list(known)
    found = listed(names)
    other = next((name for name in found if name not in known), None)
    if other or not found:
        raise BadUsage(f"--datasets {names}: {other or 'nothing'} is none of them. They are {', '.join(known)}.")
    return found


def share(present, known):
    """{key: value} that the record of a mean adds: how many data sets it is over, and which, unless it is over all."""
    return {"datasets": len(present)} if len(present) == len(known) else \
        {"datasets": len(present), "of_datasets": len(known), "present": list(present)}


def _root(bench, entry):
    """A catalogue's path as it is, or below --data: the whole of it, or what follows its first folder (data/)."""
    path = os.path.normpath(entry["path"])
    last = os.path.basename(path)
    tried = [os.path.join(bench.data, path), os.path.join(bench.data, last)] if not os.path.isabs(path) else \
        [path, os.path.join(bench.data, last)]
    if not os.path.isabs(path) and os.sep in path:
        tried.insert(1, os.path.join(bench.data, path.split(os.sep, 1)[1]))
    if entry["type"] == "imagefolder" and bench.root and "imagenet" in path:
        tried += [os.path.join(bench.data, "imagenet"), os.path.join(bench.root, "imagenet")]
    return next((folder for folder in tried if os.path.isdir(folder)), tried[0])


def _dataset(bench, name, entry, classes):
    """(source, int64 targets). classes: how many labels.json names."""
    root = _root(bench, entry)
    if entry["type"] == "special":
        return _in_memory(name, root)
    folder = os.path.join(root, entry["test"])
    if entry["type"] == "imagefolder":
        if not os.path.isdir(folder):
            raise BadUsage(f"{folder}: is missing ({name}, as in dataset_catalog.json).")
        folders, source, targets = sources.folder_per_class(folder)
        if not targets or len(folders) != classes:
            raise BadData(f"{folder}: has {len(folders)} folders of classes, but labels.json names {classes} for "
                          f"{name}.")
        return source, np.array(targets, np.int64)
    source, targets = _file_list(bench, name, folder)
    for label in (int(targets.min()), int(targets.max())):
        if not 0 <= label < classes:
            raise BadData(f"{folder}_labels.npy: has a label {label}, but labels.json names {classes} classes for "
                          f"{name}: 0 to {classes - 1}.")
    return source, targets


def _file_list(bench, name, stem):
    """STEM_images.npy: paths, absolute or below --data or the data set's folder; STEM_labels.npy: class numbers, of
    CLEVRCounts texts (count_3 ...), whose order is that of a folder per class."""
    try:
        paths, labels = (parsing.array(f"{stem}_{what}.npy") for what in ("images", "labels"))
    except OSError as error:
        raise BadUsage(f"{stem}_images.npy, {stem}_labels.npy: cannot be read ({error}).") from None
    except ValueError as error:
        raise BadData(f"{stem}_images.npy, {stem}_labels.npy: hold objects or nothing, not texts and "
                      f"numbers ({error}).") from None
    if paths.ndim != 1 or labels.ndim != 1 or paths.dtype.kind not in "US" or labels.dtype.kind not in "biuUS" \
            or not len(paths):
        raise BadData(f"{stem}_images.npy, {stem}_labels.npy: are not a list of paths and one of labels, or are empty "
                      f"({name}).")
    if len(paths) != len(labels):
        raise BadData(f"{stem}_images.npy: names {len(paths):,} images, {stem}_labels.npy {len(labels):,} labels.")
    folders = ["", bench.data, os.path.dirname(stem)]
    folder = next((parent for parent in folders if os.path.isfile(os.path.join(parent, str(paths[0])))), bench.data)
    if labels.dtype.kind in "US":
        order = sorted(f"count_{number}" for number in range(3, 11))
        if not set(labels.tolist()) <= set(order):
            raise BadData(f"{stem}_labels.npy: holds texts other than count_3 to count_10 ({name}).")
        labels = np.array([order.index(label) for label in labels.tolist()])
    return sources.Files(folder, [str(path) for path in paths]), labels.astype(np.int64)


def _in_memory(name, root):
    import torchvision
    try:
        held = getattr(torchvision.datasets, name)(root, download=False, **IN_MEMORY[name])
    except RuntimeError as error:
        raise BadUsage(f"{root}: {name} cannot be read from there ({error}).") from None
    images, targets = zip(*(held[number] for number in range(len(held))))
    return sources.Held([f"{name} {number}" for number in range(len(held))], images), np.array(targets, np.int64)
