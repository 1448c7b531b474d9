"""Images from all over the world, zero-shot: Dollar Street, GeoDE and Google Landmarks v2, as Meta CLIP's clipeval runs
them."""
import os
from collections import Counter

import numpy as np

from mc2 import parsing
from mc2.errors import BadData
from mc2.evaluation import imagenet, readers, sources, zeroshot


def dollar_street(bench):
    """Yield top-1 and top-5 with ImageNet's class names; an image counts if any of its classes is found. With `hits`
    each, every class of an image that is found counts, so that top-5 may go beyond 1."""
    folder = os.path.dirname(_first(bench, "images_v2_imagenet_test.csv", "dataset_dollarstreet"))
    rows = [row for name in ("images_v2_imagenet_train.csv", "images_v2_imagenet_test.csv")
            for row in readers.csv_rows(os.path.join(folder, name), ("imageRelPath", "imagenet_sysnet_id"))]
    labels = [_classes(row["imagenet_sysnet_id"], row["imageRelPath"]) for row in rows]
    weights = _imagenet_weights(bench)
    features, kept = bench.images(sources.Files(folder, [row["imageRelPath"] for row in rows]))
    found = ranks_of_classes(features, weights, [labels[number] for number in kept])
    for k in (1, 5):
        hits = (found < k).sum(axis=1) if bench.protocol["hits"] == "each" else (found < k).any(axis=1)
        yield bench.result(f"top{k}", hits.mean(), len(found), lang="en")


def geode(bench):
    """Yield top-1; the classes are the objects of index.csv, in the order in which they first occur."""
    index = _first(bench, "index.csv", "geode")
    rows = readers.csv_rows(index, ("object", "file_path"))
    names = list(dict.fromkeys(row["object"] for row in rows))
    labels = np.array([names.index(row["object"]) for row in rows])
    weights = zeroshot.classifier(bench, names, zeroshot.templates(bench.protocol["templates"]))
    features, kept = bench.images(sources.Files(os.path.join(os.path.dirname(index), "images"),
                                                [row["file_path"] for row in rows]))
    yield bench.result("top1", zeroshot.top(zeroshot.ranks(features, weights, labels[kept]), 1), len(kept), lang="en",
                       classes=len(names))


def gldv2(bench):
    """Yield top-1 of the test images that show a landmark; the texts are the landmarks' bare names.

    The landmark of an image is the most frequent one among the index images that the solution gives for it (the first
    of those that are equally frequent); landmarks of one name count as the first of them.
    """
    solution = [row for row in readers.csv_rows(bench.path("retrieval_solution_v2.1.csv"), ("id", "images", "Usage"))
                if row["Usage"] in ("Private", "Public")]
    wanted = {image for row in solution for image in row["images"].split()}
    index = readers.csv_rows(bench.path("index_image_to_landmark.csv"), ("id", "landmark_id"))
    landmark = {row["id"]: row["landmark_id"] for row in index if row["id"] in wanted}
    used = set(landmark.values())
    categories = readers.csv_rows(bench.path("index_label_to_category.csv"), ("landmark_id", "category"))
    name = {row["landmark_id"]: landmark_name(row["category"]) for row in categories if row["landmark_id"] in used}
    names, number_of = list(name.values()), {}
    for number, text in enumerate(names):
        number_of.setdefault(text, number)
    labels = np.array([_landmark_of(row, landmark, name, number_of) for row in solution])
    texts = zeroshot.classifier(bench, names, ["{}"])
    source = sources.Files(bench.path("test"), [_test_image(bench, row["id"]) for row in solution])
    features, kept = bench.images(source)
    yield bench.result("top1", zeroshot.top(zeroshot.ranks(features, texts, labels[kept]), 1), len(kept), lang="en",
                       classes=len(names))


def landmark_name(category):
    """The name at the end of a page's URL on Wikimedia Commons: .../wiki/Category:Eiffel_Tower."""
    return category[category.rfind(":") + 1:].replace("_", " ").rstrip('"')


def ranks_of_classes(features, weights, labels):
    """int64 (n, m): for images with up to m right classes, the rank of each; see zeroshot.ranks. Of an image with fewer
    classes, and of a class named twice, the others are the number of classes, which is no rank."""
    distinct = [list(dict.fromkeys(classes)) for classes in labels]
    found = np.full((len(labels), max(map(len, distinct))), len(weights), np.int64)
    for number in range(found.shape[1]):
        rows = [row for row, classes in enumerate(distinct) if len(classes) > number]
        found[rows, number] = zeroshot.ranks(features[rows], weights, [distinct[row][number] for row in rows])
    return found


def _first(bench, name, folder):
    """The path of a file in the folder that the archive makes, or else in --data itself."""
    return bench.path(folder, name, optional=True) or bench.path(name)


def _classes(text, image):
    try:
        classes = parsing.literal(text)
    except ValueError:
        classes = None
    if not isinstance(classes, list) or not classes \
            or not all(isinstance(one, int) and 0 <= one < imagenet.CLASSES for one in classes):
        raise BadData(f"{image}: imagenet_sysnet_id is {text!r}, not a list of ImageNet's class numbers.")
    return classes


def _imagenet_weights(bench):
    prompts = zeroshot.templates(bench.protocol["templates"])
    return zeroshot.classifier(bench, zeroshot.imagenet_names("openai"), prompts)


def _landmark_of(row, landmark, name, number_of):
    """The number of the landmark's name, for an image of the solution."""
    votes = Counter(landmark[image] for image in row["images"].split() if image in landmark)
    if not votes:
        raise BadData(f"retrieval_solution_v2.1.csv: no index image of {row['id']} is in index_image_to_landmark.csv.")
    winner = votes.most_common(1)[0][0]
    if winner not in name:
        raise BadData(f"index_label_to_category.csv: has no landmark {winner}.")
    return number_of[name[winner]]


def _test_image(bench, image):
    """ID.jpg, or a/b/c/abc....jpg as the archives hold them."""
    nested = os.path.join(*image[:3], f"{image}.jpg")
    return nested if os.path.isfile(os.path.join(bench.data, "test", nested)) else f"{image}.jpg"
