"""Data sets of SLIP as Meta CLIP's clipeval/datasets.py reads them (get_downstream_dataset): image folders, and
NAME_images.npy (paths) with NAME_labels.npy; torchvision's own form of CIFAR10; dataset_catalog.json, labels.json and
templates.json beside them."""
import json
import pickle

import numpy as np

from miniatures import images

LABELS = {"Food101": ["apple pie", ["beignets", "doughnuts"], "ceviche"], "OxfordPets": ["cat", "dog"],
          "Kinetics700": [f"action {number}" for number in range(7)], "HatefulMemes": ["meme", "hateful meme"],
          "CLEVRCounts": ["10", "3", "4", "5", "6", "7", "8", "9"],
          "CIFAR10": [f"thing {number}" for number in range(10)]}
TEMPLATES = {"Food101": ["a photo of {}, a type of food.", "{} on a plate"], "OxfordPets": ["a photo of a {}."],
             "Kinetics700": ["a video of {}."], "HatefulMemes": ["a {}."], "CLEVRCounts": ["a photo of {} objects."],
             "CIFAR10": ["a photo of a {}."]}
FOLDERS = {"Food101": ("data/food101", "test", [3, 2, 4]), "OxfordPets": ("data/pets", "test", [2, 5]),
           "Kinetics700": ("data/k700", "val_images", [1, 2, 1, 2, 1, 2, 1]),
           "HatefulMemes": ("data/hateful_memes", "dev", [4, 5])}
COUNTS = ["count_3", "count_10", "count_4", "count_3", "count_9"]


def write(folder):
    """Returns {data set: (paths or PIL images, labels)}."""
    from mc2.evaluation.slip26 import NAMES
    catalog = {name: {"path": f"data/{name.lower()}", "type": "imagefolder", "train": "train", "test": "test"}
               for name in NAMES}
    held, number = {}, 0
    for name, (path, test, sizes) in FOLDERS.items():
        catalog[name] = {"path": path, "type": "imagefolder", "train": "train", "test": test}
        held[name] = ([], [])
        for label, size in enumerate(sizes):
            for _ in range(size):
                number += 1
                held[name][0].append(images.write(folder / path / test / f"class{label}" / f"{number}.jpg", number))
                held[name][1].append(label)
    catalog["CLEVRCounts"] = {"path": "data/clevr_counts", "type": "filelist", "train": "train", "test": "val"}
    paths = [images.write(folder / f"data/clevr_counts/images/{count}.png", 900 + count)
             for count in range(len(COUNTS))]
    np.save(folder / "data/clevr_counts/val_images.npy", np.array([str(path.relative_to(folder)) for path in paths]))
    np.save(folder / "data/clevr_counts/val_labels.npy", np.array(COUNTS))
    held["CLEVRCounts"] = (paths, [[10, 3, 4, 5, 6, 7, 8, 9].index(int(count[6:])) for count in COUNTS])
    catalog["CIFAR10"] = {"path": "./data/cifar10", "type": "special"}
    labels = {name: LABELS.get(name, ["a", "b"]) for name in NAMES}
    templates = {name: TEMPLATES.get(name, ["{}"]) for name in NAMES}
    for name, content in (("dataset_catalog", catalog), ("labels", labels), ("templates", templates)):
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return held


def write_cifar10(folder, monkeypatch):
    """data/cifar10/cifar-10-batches-py: pickles of (n, 3072) uint8, whose checksums torchvision would compare."""
    import torchvision
    from PIL import Image
    batches = folder / "data/cifar10/cifar-10-batches-py"
    batches.mkdir(parents=True)
    pixels = np.random.default_rng(5).integers(0, 256, (6, 3072), np.uint8)
    labels = [3, 0, 9, 3, 1, 7]
    (batches / "test_batch").write_bytes(pickle.dumps({"data": pixels, "labels": labels}))
    (batches / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"thing {number}" for number in range(10)]}))
    reader = torchvision.datasets.CIFAR10
    monkeypatch.setattr(reader, "_check_integrity", lambda self: True)
    monkeypatch.setattr(reader, "test_list", [["test_batch", None]])
    monkeypatch.setattr(reader, "meta", {"filename": "batches.meta", "key": "label_names", "md5": None})
    return [Image.fromarray(row.reshape(3, 32, 32).transpose(1, 2, 0)) for row in pixels], labels
