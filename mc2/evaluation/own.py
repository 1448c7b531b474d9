"""Zero-shot classification of people's own images."""
import os

import numpy as np

from mc2.errors import BadData
from mc2.evaluation import readers, sources, zeroshot


def zeroshot_own(bench):
    """Yield top-1, top-5 and the mean per class.

    images: a folder with a folder of images per class; classes: a file with a name per line, in the order of the sorted
    folders, or FOLDER<tab>NAME in any order; several names of a class are divided by `|`. Without it the folders
    are the names.
    """
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
    """[names of the class] for each folder."""
    lines = readers.numbered_lines(path, blank=False)
    tabbed = [(number, line) for number, line in lines if "\t" in line]
    if not tabbed:
        if len(lines) != len(folders):
            raise BadData(f"{path}: names {len(lines):,} classes, but {images} has {len(folders):,} folders.")
        return [_synonyms(path, number, line) for number, line in lines]
    if len(tabbed) < len(lines):
        number = next(number for number, line in lines if "\t" not in line)
        raise BadData(f"{path}:{number}: has no tab, but other lines are FOLDER<tab>NAME. Write all in one form.")
    named = {}
    for number, line in lines:
        folder, _, name = line.partition("\t")
        if folder in named or folder not in folders:
            raise BadData(f"{path}:{number}: the folder {folder} " + (
                "is there twice. Divide synonyms by |." if folder in named else f"is not in {images}."))
        named[folder] = _synonyms(path, number, name)
    lacking = next((folder for folder in folders if folder not in named), None)
    if lacking is not None:
        raise BadData(f"{path}: names no class for the folder {os.path.join(images, lacking)}.")
    return [named[folder] for folder in folders]


def _synonyms(path, number, text):
    found = [name.strip() for name in text.split("|") if name.strip()]
    if not found:
        raise BadData(f"{path}:{number}: names no class.")
    return found
