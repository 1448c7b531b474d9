"""Features of people's own images and texts, as files."""
import json
import os
import time

import numpy as np

from mc2 import files, manifests, tars
from mc2.errors import BadData, BadLine
from mc2.evaluation import readers, sources

KEPT = ("id", "lang", "text")       # keys of a text that are written beside its features


def write(encoder, path, images, texts, started):
    """Write the directory `path`, on the first rank. images: a folder or tars; texts: a file, or None; started: by
    time.monotonic. Returns {what: how many}."""
    parts = {}
    if images:
        source = of_images(images)
        features, kept = encoder.images(source)
        parts["images"] = features, [{"image": files.printable(source.names[number])} for number in kept]
    if texts:
        lines = of_texts(texts)
        parts["texts"] = encoder.texts([line["text"] for line in lines]), lines
    inputs = [*images, *([texts] if texts else [])]
    counts = {what: len(lines) for what, (_, lines) in parts.items()}
    if encoder.rank == 0:
        dropped = {"images skipped": encoder.tally["images skipped"]} if encoder.tally["images skipped"] else {}
        dropped |= {f"images skipped: {reason}": count for reason, count in sorted(encoder.all_skipped_for.items())}
        with files.open_directory(path) as folder:
            for what, (features, lines) in parts.items():
                np.save(os.path.join(folder, f"{what}.npy"), features)
                files.write_bytes(os.path.join(folder, f"{what}.jsonl"), b"".join(map(_line, lines)))
            seconds = time.monotonic() - started
            manifests.write(folder, manifests.describe_run(
                "features", inputs, {}, {**counts, **dropped}, seconds, model=encoder.model.description,
                sha256={name: manifests.sha256(os.path.join(folder, name)) for name in sorted(os.listdir(folder))}))
    return counts


def of_images(paths):
    """The source of the images of one folder, or of tars."""
    if its_tars := sources.tars_among(paths):
        found = [(key, members[image]) for key, members in sources.tar_samples(its_tars)
                 if (image := tars.image(members))]
        source = sources.TarMembers(its_tars, [key for key, _ in found], [member for _, member in found])
    else:
        others = []
        source = sources.Files(paths[0], sources.images_below(paths[0], others))
        sources.tell(paths[0], len(others), "are no images and are left out", others)
    if not len(source):
        raise BadData(f"{paths[0]}: holds no images.")
    return source


def of_texts(path):
    """[{"text": ..., perhaps "id", "lang"}] of a file with a text per line, or with an object per line."""
    if path.endswith(".txt"):
        return [{"text": line} for line in readers.text_lines(path)]
    found = []
    for number, line in readers.json_lines(path):
        if not isinstance(line.get("text"), str):
            raise BadLine(path, number, 'has no "text".')
        found.append({key: line[key] for key in KEPT if key in line})
        try:
            _line(found[-1])
        except UnicodeEncodeError:
            raise BadLine(path, number, "holds half a surrogate pair, which is no character.") from None
    return found


def _line(record):
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"
