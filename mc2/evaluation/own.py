"""Zero-shot classification of anybody's images."""
import os

import numpy as np

from mc2.errors import BadData
from mc2.evaluation import sources, zeroshot


def zeroshot_own(bench):
    """A folder of images per class; classes: a file with a name per line, in the order of the sorted folders, or
    FOLDER<tab>NAME in any order; several names of a class are divided by `|`. Without one the folders are the names."""
    folder, classes = bench.arguments["images"], bench.arguments["classes"]
    folders, source, labels = sources.folder_per_class(folder)
    if not labels:
        raise BadData(f"{folder}: holds no folders of images, one for each class.")
    names = _names(folders, classes, folder) if classes else folders
    weights = zeroshot.classifier(bench, names, zeroshot.templates(bench.protocol["templates"]))
    features, kept = bench.images(source)
    labels = np.array(labels)[kept]
    found = zeroshot.ranks(features, weights, labels)
    lang = bench.protocol["lang"]
    yield from zeroshot.accuracies(bench, features, labels, weights, lang=lang)
    yield bench.result("mean_per_class", zeroshot.mean_per_class(found == 0, labels), len(labels), lang=lang)


def _names(folders, path, images):
    lines = zeroshot.lines(path)
    if all("\t" in line for line in lines):
        named = dict(line.split("\t", 1) for line in lines)
        lacking = next((folder for folder in folders if folder not in named), None)
        if lacking is not None:
            raise BadData(f"{path}: names no class for the folder {os.path.join(images, lacking)}.")
        lines = [named[folder] for folder in folders]
    elif len(lines) != len(folders):
        raise BadData(f"{path}: names {len(lines):,} classes, but {images} has {len(folders):,} folders.")
    return [[name.strip() for name in line.split("|") if name.strip()] for line in lines]
