"""Babel-ImageNet: ImageNet's validation images, its classes named in 298 languages (arXiv 2306.08658).

Per language only images of the classes that have a name there. Images are encoded once for all languages.
"""
import os

import numpy as np

from mc2.errors import BadData, BadUsage
from mc2.evaluation import imagenet, readers, zeroshot
from mc2.evaluation.tasks import listed

FILE = "babel_imagenet-298.json"
ENGLISH = "EN"
PROMPTED = "prompted"        # --langs: all that have prompts


def babel_imagenet(bench):
    """Yield the top-1 of each language, then the mean over the languages."""
    labels = _labels(bench)
    prompts = _prompts(bench)
    langs = _langs(bench, labels, prompts)
    source, targets = imagenet.validation(_images(bench))
    features, kept = bench.images(source)
    targets = targets[kept]
    values, total = [], 0
    for lang in langs:
        classes, names = labels[lang]
        weights = zeroshot.classifier(bench, names, _templates(prompts, lang))
        named = np.full(imagenet.CLASSES, -1)               # the number of a class among those that have a name
        named[classes] = np.arange(len(classes))
        mine = np.flatnonzero(named[targets] >= 0)
        if not len(mine):
            raise BadData(f"{_images(bench)}: holds no image of the classes of {lang}.")
        values.append(zeroshot.top(zeroshot.ranks(features[mine], weights, named[targets[mine]]), 1))
        total += len(mine)
        yield bench.result("top1", values[-1], len(mine), lang=lang, classes=len(classes),
                           prompt=_kind(prompts, lang))
    yield bench.result("top1", np.mean(values), total, languages=len(langs))


def _images(bench):
    """The folder with ImageNet's validation images: --imagenet, or beside the labels."""
    given = bench.protocol["imagenet"]
    beside = [os.path.join(folder, "imagenet") for folder in (bench.data, bench.root)]
    tried = [given] if given else [bench.data, *beside]
    for parent in tried:
        for folder in (os.path.join(parent, "val"), parent):
            if os.path.isdir(folder) and any(entry.is_dir() and entry.name.startswith("n") and entry.name[1:].isdigit()
                                             for entry in os.scandir(folder)):
                return folder
    raise BadUsage(f"{tried[-1]}: holds no images of ImageNet's validation (val/n01440764/*.JPEG ...). Name their "
                   "folder with --imagenet; they come from https://image-net.org.")


def _labels(bench):
    """{language: (class indices, names)}, with English from open_clip's names: those of the file are WordNet's."""
    import open_clip
    path = bench.path(FILE)
    labels = {ENGLISH: (list(range(imagenet.CLASSES)), list(open_clip.IMAGENET_CLASSNAMES))}
    for lang, content in readers.json_object(path, "language").items():
        if not _are_labels(content):
            raise BadData(f"{path}: {lang} is not [[class indices], [names]] of one length with indices below "
                          f"{imagenet.CLASSES:,}.")
        if len(set(content[0])) < len(content[0]):
            raise BadData(f"{path}: {lang} names a class twice.")
        if lang != ENGLISH:
            labels[lang] = content
    return labels


def _are_labels(content):
    """Whether this is [[class indices], [names]]."""
    return isinstance(content, list) and len(content) == 2 and all(isinstance(part, list) for part in content) \
        and len(content[0]) == len(content[1]) and all(isinstance(name, str) for name in content[1]) \
        and all(type(number) is int and 0 <= number < imagenet.CLASSES for number in content[0])


def _prompts(bench):
    """{language: templates}, or None: the bare names. English has open_clip's, whatever the file has."""
    given = bench.protocol["prompts"]
    if given is None:
        return None
    path = given if os.path.isfile(given) else bench.path(given, optional=True)
    if path is None:
        raise BadUsage(f"{os.path.join(bench.data, given)}: is missing: prompts by language, from {bench.task.source}. "
                       "--prompts names another file; --protocol text takes the bare names.")
    prompts = readers.json_object(path, "language")
    wrong = next((lang for lang, templates in prompts.items()
                  if not isinstance(templates, list) or not templates
                  or not all(isinstance(template, str) and "{}" in template for template in templates)), None)
    if wrong is not None:
        raise BadData(f"{path}: the prompts of {wrong} are no list of texts with {{}} for the name.")
    return {**prompts, ENGLISH: zeroshot.templates("openai")}


def _templates(prompts, lang):
    return (prompts or {}).get(lang, ["{}"])


def _kind(prompts, lang):
    """For the record of a language: the bare names, open_clip's templates, or translated ones."""
    if lang not in (prompts or {}):
        return "label"
    return "openai" if lang == ENGLISH else "translated"


def _langs(bench, labels, prompts):
    """[language]: those of --langs; all that have prompts; or all of the file but English. With enough classes."""
    if bench.protocol["langs"] in (None, PROMPTED):
        if bench.protocol["langs"] == PROMPTED and prompts is None:
            raise BadUsage(f"--langs {PROMPTED}: is those of --prompts. Give --prompts FILE.")
        least = max(1, bench.protocol["min_classes"])
        wanted = labels.keys() - {ENGLISH} if bench.protocol["langs"] is None else prompts
        found = [lang for lang in labels if lang in wanted and len(labels[lang][0]) >= least]
        if not found:
            raise BadUsage(f"--min-classes {least}: no language has as many.")
        return found
    found = listed(bench.protocol["langs"].upper())
    known = {lang.upper(): lang for lang in labels}
    other = next((lang for lang in found if lang not in known), None)
    if other or not found:
        raise BadUsage(f"--langs {bench.protocol['langs']}: {other or 'none'} is not in {FILE}. It has "
                       f"{', '.join(list(labels)[:20])} ...")
    unnamed = next((lang for lang in found if not labels[known[lang]][0]), None)
    if unnamed is not None:
        raise BadData(f"{bench.path(FILE)}: names no class in {unnamed}.")
    return [known[lang] for lang in found]
