"""A checkpoint's model as a folder that transformers' AutoModel and AutoProcessor read, compared with the model itself.

    config.json, model.safetensors              MetaClip2Model (see metaclip2.py)
    tokenizer.json, tokenizer_config.json       see tokenizer_files.py
    preprocessor_config.json                    how images are prepared
    README.md                                   a model card (see model_card.py)
    manifest.json                               mc2's own

Before the folder appears, transformers reads it, and features of images and texts must be those of mc2.
"""
import json
import os
import re

import numpy as np
import torch

from mc2 import documents, manifests
from mc2.clip import checkpoints, fingerprints, folders, metaclip2, model_card, tokenizer_files
from mc2.errors import BadData, BadUsage, Mc2Error
from mc2.files import open_directory
from mc2.extras import how_to_install

KIND = "transformers model"             # of the directory, in its manifest
MOST_DIFFERENCE = 1e-4                  # of an L2-normalised feature
LEAST_VERSION = "4.57"                  # of transformers, the first with MetaClip2
TEXTS = ("a red circle", "ein blauer Kreis & mehr", "赤い円", "красная звезда", "x " * 100, "", "ÀÉÎ ½")
PIL_NUMBERS = {name: number for number, name in folders.INTERPOLATION.items()}


def export(model, held, content, path, card):
    """Write the folder `path`. Returns the largest difference of a feature. BadData where transformers does not give
    those of the model; nothing is left then.

    model: the mc2.clip.encoder.Model; held, content: its entry of the checkpoint, and the checkpoint; card: a
    model_card.Card.
    """
    if held["architecture"]["text_cfg"].get("tokenizer_kwargs"):
        raise BadUsage(f"{path}: this model was trained on canonicalised texts (lower case, no punctuation), which no "
                       "tokenizer of transformers makes of them. Export it with --format open_clip, which does.")
    manifests.refuse_foreign_directory(path, KIND)
    library = _transformers()
    config = metaclip2.config_to(held["architecture"], model.tokenizer.special)
    with open_directory(path) as folder:
        _write_json(folder, folders.CONFIG, config)
        _save(metaclip2.weights_to(held["state"], held["architecture"]), folder)
        tokenizer_files.write(model.tokenizer, folder)
        _write_json(folder, folders.PREPROCESSOR, _preprocessor(model))
        with open(os.path.join(folder, model_card.NAME), "w", encoding="utf-8") as stream:
            stream.write(model_card.text(card))
        difference = _difference(library, folder, model)
        if not difference <= MOST_DIFFERENCE:               # also where it is no number
            raise BadData(f"{path}: transformers {library.__version__} gives other features than mc2, by up to "
                          f"{difference:.1g}; {MOST_DIFFERENCE:g} is the most that is taken for the same. Nothing was "
                          "written. Try another version of transformers.")
        manifests.write(folder, manifests.describe_run(
            KIND, [], {"student": held["name"]}, step=content["step"], seen_pairs=content["seen_pairs"],
            architecture=held["architecture"], preprocess=checkpoints.preprocess_of(content),
            transformers=library.__version__, largest_difference=difference))
    return difference


def _transformers():
    """The library, silent. BadUsage where it is too old."""
    import transformers
    if not hasattr(transformers, metaclip2.CLASS):
        raise BadUsage(f"transformers {transformers.__version__} has no {metaclip2.CLASS}; it needs {LEAST_VERSION} or "
                       f"later: {how_to_install('transformers')}.")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def _save(state, folder):
    from safetensors import SafetensorError
    from safetensors.torch import save_file
    path = os.path.join(folder, folders.WEIGHTS["transformers"][0])
    try:
        save_file(state, path, metadata={"format": "pt", documents.CHECKSUM: fingerprints.of_state(state)})
    except SafetensorError as error:                # a full disk has no other class there
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from None
    os.chmod(path, os.stat(os.path.join(folder, folders.CONFIG)).st_mode & 0o777)       # safetensors has 600


def _write_json(folder, name, content):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
        stream.write(json.dumps(content, indent=2) + "\n")


def _preprocessor(model):
    """The content of preprocessor_config.json."""
    size, squashes = model.image_size, model.transform.resize_mode == "squash"
    square = {"height": size, "width": size}
    return {"image_processor_type": "CLIPImageProcessor", "processor_class": "CLIPProcessor", "do_convert_rgb": True,
            "do_resize": True, "size": square if squashes else {"shortest_edge": size},
            "resample": PIL_NUMBERS[model.transform.interpolation],
            "do_center_crop": not squashes, "crop_size": square,
            "do_rescale": True, "rescale_factor": 1 / 255,
            "do_normalize": True, "image_mean": model.mean, "image_std": model.std}


# ---------------------------------------------------------------- are the features the same?

def _difference(library, folder, model):
    """The largest difference of a feature of images and texts, L2-normalised, or of the logit scale, relatively."""
    try:
        theirs, loading = library.AutoModel.from_pretrained(folder, output_loading_info=True, local_files_only=True)
        texts = library.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        images = _image_processor(library, folder)
        wrong = [name for key in ("missing_keys", "unexpected_keys", "mismatched_keys") for name in loading[key]]
        if type(theirs).__name__ != metaclip2.CLASS or wrong:
            raise ValueError(f"{type(theirs).__name__} without {wrong[:1]}")
        theirs = theirs.float().eval()
        ids = texts(list(TEXTS), padding=True, truncation=True, return_tensors="pt")
        pictures = _pictures(model.image_size)
        pixels = images(images=pictures, return_tensors="pt")
        with torch.inference_mode():
            features = theirs(**ids, pixel_values=pixels["pixel_values"])
    except Exception as error:                  # of a library that raises anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise Mc2Error(f"transformers {library.__version__} cannot use what was to be exported ({reason}). Nothing was "
                       "written. Try another version of transformers.") from error
    ours = torch.from_numpy(np.stack([model.transform(picture) for picture in pictures]))
    pairs = ((features.text_embeds, model.encode_texts(list(TEXTS))),
             (features.image_embeds, model.encode_images(ours)))
    scale = abs(float(theirs.logit_scale.detach().exp()) / model.logit_scale - 1)
    return max(scale, *(float((one.cpu() - other.cpu()).abs().max()) for one, other in pairs))


def _image_processor(library, folder):
    """transformers' image processor that resizes with Pillow, as mc2 does; the other one rounds differently."""
    has_backends = int(library.__version__.split(".")[0]) >= 5
    choice = {"backend": "pil"} if has_backends else {"use_fast": False}
    return library.AutoImageProcessor.from_pretrained(folder, local_files_only=True, **choice)


def _pictures(size):
    """Three PIL images: one of the model's size, a wide one, and a tall one. Their excess is even: where half of it is
    rounded, mc2 and open_clip cut off one pixel more on another side than transformers."""
    from PIL import Image
    draw = np.random.default_rng(0)
    return [Image.fromarray(draw.integers(0, 256, (height, width, 3), np.uint8))
            for height, width in ((size, size), (2 * size, 6 * size), (6 * size, 2 * size))]
