"""The tasks of DataComp (arXiv 2304.14108; tasklist.yml of its repository), each with its own main metric.

    wds_NAME_test/          test/0.tar ... (image, cls, and npy of metadata), nshards.txt, classnames.txt,
                            zeroshot_classification_templates.txt ({c} stands for the name)
    retrieval and WinoGAViL as published on the Hub: a CSV file and a folder of images; or wds_NAME_test with txt
                            members of a caption per line
"""
import io
import os
from typing import NamedTuple

import numpy as np

from mc2 import parsing
from mc2.errors import BadData, BadUsage
from mc2.evaluation import readers, retrieval, slip26, sources, zeroshot

IMAGES = ("webp", "png", "jpg", "jpeg")
MOST_DIGITS = 6         # of a class number, and of a number of tars


class Part(NamedTuple):
    """A data set: the folders that may hold it, its main metric, the column of its metadata that groups images."""

    folders: tuple
    metric: str = "acc1"
    group: int = 0


def _wds(name):
    return (f"wds_{name.replace('/', '-')}_test",)


PARTS = {name: Part(_wds(name)) for name in (
    "imagenet1k", "imagenet_sketch", "imagenetv2", "imagenet-a", "imagenet-o", "imagenet-r", "objectnet", "cifar10",
    "vtab/cifar100", "vtab/clevr_count_all", "vtab/clevr_closest_object_distance", "country211", "vtab/dtd",
    "vtab/eurosat", "food101", "gtsrb", "vtab/kitti_closest_vehicle_distance", "mnist", "voc2007", "vtab/pcam",
    "renderedsst2", "vtab/resisc45", "cars", "stl10", "sun397", "vtab/svhn")}
PARTS.update({name: Part(_wds(name), "mean_per_class_recall") for name in (
    "vtab/caltech101", "fgvc_aircraft", "vtab/flowers", "vtab/pets")})
PARTS.update({
    "wilds/iwildcam": Part(_wds("wilds/iwildcam"), "F1-macro_all"),
    "wilds/camelyon17": Part(_wds("wilds/camelyon17"), group=1),
    "wilds/fmow": Part(_wds("wilds/fmow"), "acc_worst_region"),
    "fairness/dollar_street": Part(_wds("dollar_street"), "acc_top5_wg"),
    "fairness/geode": Part(_wds("geode"), "acc_wg"),
    "retrieval/flickr_1k_test_image_text_retrieval": Part(
        ("flickr_1k_test_image_text_retrieval", "wds_flickr30k_test"), "mean_recall@1"),
    "retrieval/mscoco_2014_5k_test_image_text_retrieval": Part(
        ("mscoco_2014_5k_test_image_text_retrieval", "wds_mscoco_captions_test"), "mean_recall@1"),
    "misc/winogavil": Part(("winogavil",), "jaccard_score_10-12"),
})
# The paper says 37 tasks, not which of the 38 it leaves out. Assumed: WinoGAViL, without which the scores of XLM-CLIP
# that open_clip publishes (docs/openclip_results.csv) have the paper's mean, 65.5; with it 65.2. (Those of MetaCLIP
# have the paper's neither way.)
NOT_IN_THE_PAPER = "misc/winogavil"
OTHER_REGION = 5        # of FMoW's Asia, Europe, Africa, Americas, Oceania, Other


def datacomp(bench):
    """Yield all metrics of each data set, the main one first, then the mean of the main ones: over all, and over those
    of the paper."""
    names = slip26.chosen(bench.protocol["datasets"], PARTS)
    found = {name: folder for name in names if (folder := _folder(bench, PARTS[name]))}
    if not found or bench.protocol["datasets"] and len(found) < len(names):
        absent = next(name for name in names if name not in found)
        raise BadUsage(f"{os.path.join(bench.data, PARTS[absent].folders[0])}: is missing ({absent}). datacomp reads "
                       f"{bench.task.files}; it comes from {bench.task.source}. --datasets chooses.")
    values, sizes = {}, {}
    for name, folder in found.items():
        metric = _metric(bench, name)
        scores, sizes[name] = _scores(bench, name, folder)
        values[name] = scores[metric]
        for key in sorted(scores, key=lambda key: key != metric):          # the main one first
            yield bench.result(key, scores[key], sizes[name], lang="en", of=name, main_metric=key == metric)
    of_paper = [name for name in PARTS if name != NOT_IN_THE_PAPER]
    for metric, known in (("mean", list(PARTS)), ("mean_37", of_paper)):
        there = [name for name in known if name in values]
        if there:
            yield bench.result(metric, np.mean([values[name] for name in there]), sum(sizes[name] for name in there),
                               lang="en", **slip26.share(there, known))


def _folder(bench, part):
    return next((path for folder in part.folders if os.path.isdir(path := os.path.join(bench.data, folder))), None)


def _metric(bench, name):
    return bench.protocol["camelyon17"] if name == "wilds/camelyon17" else PARTS[name].metric


def _scores(bench, name, folder):
    """({metric: value}, number of images)"""
    if name == "misc/winogavil":
        return _winogavil(bench, folder)
    if name.startswith("retrieval/"):
        return _retrieval(bench, folder)
    return _classification(bench, name, folder)


# ---------------------------------------------------------------- classification

def _classification(bench, name, folder):
    names, prompts = classes_of(folder)
    source, labels, groups = labelled_images(folder, PARTS[name].group if _needs_groups(name) else None)
    if len(labels) and int(labels.max()) >= len(names):
        raise BadData(f"{folder}: has a label {int(labels.max())}, but classnames.txt names {len(names):,} classes.")
    weights = zeroshot.classifier(bench, names, prompts)
    features, kept = bench.images(source)
    labels, groups = labels[kept], None if groups is None else groups[kept]
    found = zeroshot.ranks(features, weights, labels)
    scores = {"acc1": zeroshot.top(found, 1)}
    if len(names) >= 5:
        scores["acc5"] = zeroshot.top(found, 5)
    scores["mean_per_class_recall"] = zeroshot.mean_per_class(found == 0, labels)
    if name == "wilds/iwildcam":
        scores["F1-macro_all"] = zeroshot.f1_macro(zeroshot.predictions(features, weights), labels)
    elif name == "wilds/fmow":
        skip = (OTHER_REGION,) if bench.protocol["fmow_skip_other"] else ()
        scores["acc_worst_region"] = zeroshot.worst_group(found == 0, groups, skip)[0]
    elif name == "fairness/dollar_street":
        scores["acc_top5_wg"] = zeroshot.worst_group(found < 5, groups)[0]
    elif groups is not None:
        scores["acc_wg"] = zeroshot.worst_group(found == 0, groups)[0]
    return scores, len(labels)


def _needs_groups(name):
    return name in ("wilds/camelyon17", "wilds/fmow", "fairness/dollar_street", "fairness/geode")


def classes_of(folder):
    """(names, templates with {}) of a webdataset directory."""
    names = readers.names(os.path.join(folder, "classnames.txt"))
    path = os.path.join(folder, "zeroshot_classification_templates.txt")
    prompts = [line.strip() for line in readers.lines(path)]
    wrong = next((line for line in prompts if "{c}" not in line and "{}" not in line), None)
    if wrong is not None:
        raise BadData(f"{path}: the template {wrong!r} has no {{c}} for the name.")
    return [name.strip() for name in names], [line.replace("{c}", "{}") for line in prompts]


def labelled_images(folder, group=None):
    """(source, int64 labels, groups or None) of a webdataset directory. group: the column of the metadata in npy."""
    tars = tars_of(folder)
    samples = sources.tar_samples(tars)
    names, images, labels, groups = [], [], [], []
    for key, members in samples:
        image = _image(members)
        if image is None or "cls" not in members or group is not None and "npy" not in members:
            raise BadData(f"{folder}: the sample {key} has no image, no cls or no npy; it has {', '.join(members)}.")
        names.append(key)
        images.append(image)
        labels.append(_number(tars, members["cls"], key))
        if group is not None:
            metadata = _array(tars, members["npy"], key)
            if len(metadata) <= group:
                raise BadData(f"{folder}: the metadata of {key} have {len(metadata)} columns; column {group} is "
                              "needed.")
            groups.append(metadata[group])
    if not names:
        raise BadData(f"{folder}: the tars hold no samples.")
    return sources.TarMembers(tars, names, images), np.array(labels, np.int64), np.array(groups) if groups else None


def tars_of(folder):
    """[path] of test/0.tar, test/1.tar ...: as many as test/nshards.txt says. BadData where one is missing."""
    number = readers.lines(os.path.join(folder, "test", "nshards.txt"), 1)[0].strip()
    if not (number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS):
        raise BadData(f"{os.path.join(folder, 'test', 'nshards.txt')}: is {number[:20]!r}, not a number of tars.")
    tars = [os.path.join(folder, "test", f"{index}.tar") for index in range(int(number))]
    missing = next((tar for tar in tars if not os.path.isfile(tar)), None)
    if missing:
        raise BadData(f"{missing}: is missing; nshards.txt says {number} tars.")
    return tars


def _image(members):
    """The member that is a sample's image, or None."""
    return next((members[extension] for extension in IMAGES if extension in members), None)


def _number(tars, member, key):
    text = sources.bytes_of(tars, member).decode("ascii", "replace").strip()
    if not text.isdigit() or len(text) > MOST_DIGITS:
        raise BadData(f"{tars[member[0]]}: the label of {key} is {text[:20]!r}, not a class number.")
    return int(text)


def _captions(tars, member, key):
    try:
        text = sources.bytes_of(tars, member).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadData(f"{tars[member[0]]}: the captions of {key} are not UTF-8 ({error}).") from None
    found = [line.strip() for line in text.split("\n") if line.strip()]
    if not found:
        raise BadData(f"{tars[member[0]]}: the captions of {key} are empty.")
    return found


def _array(tars, member, key):
    try:
        return parsing.array(io.BytesIO(sources.bytes_of(tars, member))).reshape(-1)
    except ValueError as error:
        raise BadData(f"{tars[member[0]]}: the metadata of {key} cannot be read ({error}).") from None


# ---------------------------------------------------------------- retrieval and WinoGAViL

def _retrieval(bench, folder):
    source, captions = _captioned_images(folder)
    features, kept = bench.images(source)
    owners = np.concatenate([np.full(len(captions[image]), number) for number, image in enumerate(kept)])
    texts, rows = retrieval.encoded(bench, [caption for image in kept for caption in captions[image]])
    found = retrieval.recall(features, texts, owners, rows=rows)
    scores = {"text_retrieval_recall@1": found["i2t_r1"], "image_retrieval_recall@1": found["t2i_r1"]}
    return {**scores, "mean_recall@1": sum(scores.values()) / 2}, len(kept)


def _captioned_images(folder):
    """(source, captions of each image)"""
    if os.path.isfile(os.path.join(folder, "test", "nshards.txt")):
        tars = tars_of(folder)
        samples = sources.tar_samples(tars)
        found = [_image(members) for _, members in samples]
        if not all(found) or not all("txt" in members for _, members in samples):
            raise BadData(f"{folder}: every sample needs an image and a txt with a caption per line.")
        captions = [_captions(tars, members["txt"], key) for key, members in samples]
        return sources.TarMembers(tars, [key for key, _ in samples], found), captions
    rows = readers.csv_rows(_only(folder, ".csv"), ("filename", "raw"))
    below = {os.path.basename(name): name for name in sources.images_below(folder)}
    names = [below.get(row["filename"], row["filename"]) for row in rows]
    return sources.Files(folder, names), [_list(row["raw"], folder) for row in rows]


def _winogavil(bench, folder):
    """({metric: mean Jaccard index}, number of games), by number of candidates. A game is a cue and 5 to 12 images, of
    which as many are chosen as are right."""
    rows = readers.csv_rows(_only(folder, ".csv"), ("cue", "candidates", "associations"))
    games = [(row["cue"], _list(row["candidates"], folder), set(_list(row["associations"], folder))) for row in rows]
    below = {os.path.splitext(os.path.basename(name))[0]: name for name in sources.images_below(folder)}
    pictures = sorted({picture for _, candidates, _ in games for picture in candidates})
    features, kept = bench.images(sources.Files(folder, [below.get(picture, f"{picture}.jpg") for picture in pictures]))
    row_of = {pictures[image]: number for number, image in enumerate(kept)}
    games = [game for game in games if all(picture in row_of for picture in game[1])]
    texts = bench.texts([cue_prompt(cue) for cue, _, _ in games])
    values = []
    for text, (_, candidates, right) in zip(texts, games):
        scores = features[[row_of[picture] for picture in candidates]] @ text
        chosen = np.argsort(-scores, kind="stable")[:len(right)]
        values.append(zeroshot.jaccard((candidates[number] for number in chosen), right))
    values, sizes = np.array(values), np.array([len(candidates) for _, candidates, _ in games])
    groups = {"jaccard_score_5-6": sizes <= 6, "jaccard_score_10-12": sizes >= 10}
    if not groups["jaccard_score_10-12"].any():
        raise BadData(f"{folder}: has no games of 10 to 12 images.")
    scores = {key: float(values[inside].mean()) for key, inside in groups.items() if inside.any()}
    return {**scores, "avg_jaccard_score": float(values.mean())}, len(games)


def cue_prompt(cue):
    cue = cue.lower()
    return f"{'An' if cue[:1] in 'aeiou' else 'A'} {cue}"


def _only(folder, suffix):
    found = sorted(name for name in os.listdir(folder) if name.endswith(suffix))
    if len(found) != 1:
        raise BadData(f"{folder}: holds {len(found)} {suffix} files, not one.")
    return os.path.join(folder, found[0])


def _list(text, folder):
    try:
        found = parsing.literal(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not found or not all(isinstance(item, str) for item in found):
        raise BadData(f"{folder}: {text[:60]!r} is not a list of texts.")
    return found
