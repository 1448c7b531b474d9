"""Webdataset directories as clip_benchmark writes and reads them (datasets/builder.py, build_wds_dataset) and DataComp
publishes them: test/0.tar ... with KEY.jpg, KEY.cls, KEY.npy; test/nshards.txt, classnames.txt,
zeroshot_classification_templates.txt; dataset_type.txt "retrieval" and KEY.txt for captions."""
import io
import tarfile

import numpy as np

from miniatures import images


TEMPLATES = "a photo of a {c}.", "{c}, seen from above"


def write(folder, labels, names, templates=TEMPLATES, metadata=None, captions=None, tars=2):
    """Returns the images as PIL images, as a reader gets them. labels, metadata (a row each) and captions (a list each)
    are those of the images."""
    from PIL import Image
    number = len(labels if labels is not None else captions)
    (folder / "test").mkdir(parents=True)
    (folder / "test/nshards.txt").write_text(f"{tars}\n")
    if names:
        (folder / "classnames.txt").write_text("\n".join(names) + "\n", "utf-8")
        (folder / "zeroshot_classification_templates.txt").write_text("\n".join(templates) + "\n", "utf-8")
    else:
        (folder / "dataset_type.txt").write_text("retrieval\n")
    encoded = [images.encoded(2000 + index, "JPEG" if index % 2 else "PNG") for index in range(number)]
    for shard, part in enumerate(np.array_split(np.arange(number), tars)):
        with tarfile.open(folder / f"test/{shard}.tar", "w") as tar:
            for index in part:
                _add(tar, f"s{index:07d}.{'jpg' if index % 2 else 'png'}", encoded[index])
                if labels is not None:
                    _add(tar, f"s{index:07d}.cls", str(labels[index]).encode())
                if metadata is not None:
                    stream = io.BytesIO()
                    np.save(stream, np.array(metadata[index]))
                    _add(tar, f"s{index:07d}.npy", stream.getvalue())
                if captions is not None:
                    _add(tar, f"s{index:07d}.txt", "\n".join(captions[index]).encode())
    return [Image.open(io.BytesIO(data)).convert("RGB") for data in encoded]


def _add(tar, name, data):
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
