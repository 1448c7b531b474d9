"""ImageNet-1k validation, zero-shot: open_clip's class names and 80 templates, top-1 and top-5."""
from mc2.errors import BadData
from mc2.evaluation import sources, zeroshot
from mc2.evaluation.tasks import TASKS

CLASSES = 1000


def imagenet(bench):
    """Yield top-1 and top-5."""
    source, labels = validation(bench.path("val", optional=True) or bench.path())
    names = zeroshot.imagenet_names(bench.protocol["classnames"])
    weights = zeroshot.classifier(bench, names, zeroshot.templates(bench.protocol["templates"]))
    features, kept = bench.images(source)
    yield from zeroshot.accuracies(bench, features, labels[kept], weights, lang="en")


def validation(folder):
    """(source, int64 labels) of the validation images: 1,000 folders, which are the classes in order when sorted by
    WordNet id. BadData for other folders."""
    import numpy as np
    classes, source, labels = sources.folder_per_class(folder)
    if len(classes) != CLASSES or not all(name[:1] == "n" and name[1:].isdigit() for name in classes):
        raise BadData(f"{folder}: has {len(classes):,} folders"
                      + (f" ({classes[0]} ...)" if classes else "") + f", not ImageNet's {CLASSES:,} (n01440764 ...). "
                      f"It comes from {TASKS['imagenet'].source}.")
    if not labels:
        raise BadData(f"{folder}: the folders hold no images ({', '.join(classes[:2])} ...).")
    return source, np.array(labels, np.int64)
