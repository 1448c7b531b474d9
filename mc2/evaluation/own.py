"""Zero-shot classification of people's own images."""
import os

import numpy as np

from mc2.errors import BadData, BadUsage
from mc2.evaluation import languages, readers, sources, zeroshot


def zeroshot_own(bench):
    """Yield top-1, top-5 and the mean per class; with several files of names of each language, and the means over them.

    images: a folder with a folder of images per class; classes: files with a name per line, in the order of the sorted
    folders, or FOLDER<tab>NAME in any order; several names of a class are divided by `|`. Without one the folders
    are the names. Several files are of the languages that their names end in: fr.txt, names.fr.txt.
    """
    folder, paths = bench.arguments["images"], bench.arguments["classes"]
    langs = _langs(paths, bench.protocol["lang"])
    folders, source, labels = sources.folder_per_class(folder)
    if not labels:
        raise BadData(f"{folder}: holds no folders of images, one for each class.")
    names = [_names(folders, path, folder) for path in paths] or [folders]
    prompts = zeroshot.templates(bench.protocol["templates"])
    features, kept = bench.images(source)
    labels, values = np.array(labels)[kept], {}
    for lang, its_names in zip(langs, names):
        for result in _scores(bench, features, labels, zeroshot.classifier(bench, its_names, prompts), lang):
            values.setdefault(result["metric"], []).append(result["value"])
            yield result
    if len(langs) > 1:
        for metric, found in values.items():
            yield bench.result(metric, np.mean(found), len(labels) * len(langs), classes=len(folders),
                               languages=len(langs))


def _scores(bench, features, labels, weights, lang):
    found = zeroshot.ranks(features, weights, labels)
    yield from zeroshot.accuracies(bench, features, labels, weights, lang=lang)
    yield bench.result("mean_per_class", zeroshot.mean_per_class(found == 0, labels), len(labels), lang=lang)


def _langs(paths, lang):
    """The language of each file of names. BadUsage where names of several files do not tell it."""
    if len(paths) < 2:
        return [lang]
    if lang is not None:
        raise BadUsage(f"--lang {lang}: several files of --classes have the languages in their names. Leave it out.")
    found = {}
    for path in paths:
        its_lang = os.path.splitext(os.path.basename(path))[0].rpartition(".")[2]
        if not languages.name_of(its_lang):
            raise BadUsage(f"{path}: several files of --classes have names that end in their languages, such as fr.txt "
                           f"or names.fr.txt; \"{its_lang}\" is no language that mc2 has a name for.")
        if its_lang in found:
            raise BadUsage(f"{path}: is of the language {its_lang}, and so is {found[its_lang]}.")
        found[its_lang] = path
    return list(found)


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
