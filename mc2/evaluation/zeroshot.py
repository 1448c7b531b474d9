"""Zero-shot classification: classes become texts, an image gets the class of the nearest text. All in fp32; ties go to
the first class.
"""
import numpy as np

from mc2.errors import BadData
from mc2.evaluation import readers

SCORES = 1 << 25        # scores that are held at a time: images are compared with all classes in parts
TEXTS = 16384           # texts whose embeddings are held at a time


def classifier(bench, classes, templates):
    """float32 (number of classes, d): one L2-normalised embedding per class.

    classes: a name, or a list of synonyms, for each; templates: texts with {} for the name. An embedding is the mean of
    the normalised ones of all synonyms x templates, normalised: for one name open_clip.build_zero_shot_classifier.
    """
    classes = [[names] if isinstance(names, str) else list(names) for names in classes]
    empty = next((number for number, names in enumerate(classes) if not names), None)
    if empty is not None:
        raise BadData(f"class {empty} has no name.")
    distinct = {}           # ImageNet's two missiles have one name, so one embedding and equal scores
    rows = [distinct.setdefault(tuple(names), len(distinct)) for names in classes]
    means = []
    for group in _groups(distinct, len(templates)):
        texts = [filled(template, name) for names in group for name in names for template in templates]
        embeddings = bench.texts(texts)
        ends = np.cumsum([len(names) * len(templates) for names in group])[:-1]
        means += [part.mean(axis=0) for part in np.split(embeddings, ends)]
    return normalized(np.stack(means))[rows]


def filled(template, name):
    """A template with the name in its {}. No other braces and no % have a meaning: names and prompts may hold them."""
    return template.replace("{}", name)


def normalized(rows):
    """float32 (n, d): rows of length 1."""
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def ranks(features, weights, labels):
    """int64 (n,): how many classes come before the right one: those that score higher, and those before it that score
    the same. labels: class of each image."""
    labels = np.asarray(labels, np.int64)
    found = np.empty(len(features), np.int64)
    for start, scores in scored(features, weights):
        part = labels[start:start + len(scores)]
        right = scores[np.arange(len(scores)), part][:, None]
        before = np.arange(scores.shape[1])[None, :] < part[:, None]
        found[start:start + len(scores)] = ((scores > right) | ((scores == right) & before)).sum(axis=1)
    return found


def predictions(features, weights):
    """int64 (n,): the class of each image."""
    return np.concatenate([scores.argmax(axis=1) for _, scores in scored(features, weights)] or [np.zeros(0, np.int64)])


def best(features, weights, k):
    """int64 (n, k): the k first classes of each image, best first."""
    return np.concatenate([np.argsort(-scores, axis=1, kind="stable")[:, :k]
                           for _, scores in scored(features, weights)])


def scored(features, weights):
    """Yield (index of the first image, float32 scores (m, number of classes)) in parts. Equal classes score the same,
    though the columns of a matrix product may differ in the last bit."""
    distinct = {}
    first = [distinct.setdefault(row.tobytes(), number) for number, row in enumerate(weights)]
    part = max(1, SCORES // max(1, len(weights)))
    for start in range(0, len(features), part):
        scores = np.asarray(features[start:start + part], np.float32) @ weights.T
        yield start, scores if len(distinct) == len(weights) else scores[:, first]


def _groups(classes, templates):
    """Yield classes in groups whose texts fit into memory together."""
    group, size = [], 0
    for names in classes:
        if group and size + len(names) * templates > TEXTS:
            yield group
            group, size = [], 0
        group.append(names)
        size += len(names) * templates
    yield group


# ---------------------------------------------------------------- metrics

def top(found, k):
    """The share of images whose class is among the first k. found: as `ranks` gives it."""
    return float((np.asarray(found) < k).mean())


def mean_per_class(correct, labels):
    """The mean over the classes that occur of the share of their images that is correct."""
    correct, labels = np.asarray(correct, np.float64), np.asarray(labels)
    counts = np.bincount(labels)
    right = np.bincount(labels, weights=correct)
    return float((right[counts > 0] / counts[counts > 0]).mean())


def f1_macro(predicted, labels):
    """The mean F1 over the classes that occur among the labels (scikit-learn's f1_score with labels=unique(labels), as
    WILDS calls it)."""
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    classes = np.unique(labels)
    hits = np.array([((predicted == one) & (labels == one)).sum() for one in classes])
    sizes = np.array([(predicted == one).sum() + (labels == one).sum() for one in classes])
    return float((2 * hits / sizes).mean())


def roc_auc(scores, labels):
    """The area under the ROC curve: the chance that a positive (label 1) scores above a negative; ties count half."""
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    _, rows, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2           # mean rank, from 1, of equal scores
    positive, negative = int((labels == 1).sum()), int((labels == 0).sum())
    if not positive or not negative:
        raise BadData("ROC-AUC needs images of both classes.")
    return float((middle[rows][labels == 1].sum() - positive * (positive + 1) / 2) / (positive * negative))


def worst_group(correct, groups, skip=()):
    """(share correct, group) of the group with the smallest share."""
    correct, groups = np.asarray(correct, np.float64), np.asarray(groups)
    shares = {group: correct[groups == group].mean() for group in np.unique(groups).tolist() if group not in skip}
    if not shares:
        raise BadData("no group has images.")
    worst = min(shares, key=shares.get)
    return float(shares[worst]), worst


def jaccard(predicted, right):
    """The size of the intersection of two sets over that of their union; 1 where both are empty."""
    predicted, right = set(predicted), set(right)
    return len(predicted & right) / len(predicted | right) if predicted | right else 1.0


# ---------------------------------------------------------------- prompts and names

def templates(choice):
    """A list of templates, by a protocol's choice: `openai`, `simple`, `none`, or a file with one per line. BadUsage,
    BadData."""
    if choice in ("openai", "simple"):
        import open_clip
        made = open_clip.OPENAI_IMAGENET_TEMPLATES if choice == "openai" else open_clip.SIMPLE_IMAGENET_TEMPLATES
        return [template("{}") for template in made]
    if choice == "none":
        return ["{}"]
    found = readers.lines(choice)
    wrong = next((line for line in found if "{}" not in line), None)
    if wrong is not None:
        raise BadData(f"{choice}: the template {wrong!r} has no {{}} for the name.")
    return found


def imagenet_names(choice):
    """The 1,000 names of ImageNet's classes, in the order of their WordNet ids."""
    if choice == "openai":
        import open_clip
        return list(open_clip.IMAGENET_CLASSNAMES)
    return readers.names(choice, 1000)


def accuracies(bench, features, labels, weights, **more):
    """Yield the results top1 and, where there are more than five classes, top5."""
    found = ranks(features, weights, labels)
    for k in (1, 5) if len(weights) > 5 else (1,):
        yield bench.result(f"top{k}", top(found, k), len(found), **{"classes": len(weights), **more})
