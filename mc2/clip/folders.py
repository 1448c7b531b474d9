"""Folders with a model that other tools saved: of transformers (config.json with "model_type": "metaclip_2") and of
open_clip (open_clip_config.json). Everything that a model needs is in them: weights, configuration, tokenizer, and how
images are prepared. Neither tool is needed to read them.
"""
import json
import os
import shlex
from typing import NamedTuple

from mc2 import manifests, parsing
from mc2.clip import architecture, metaclip2, tokenizer_files, tokenizers, torch_files, trained_tokenizer
from mc2.clip.encoder import PREPROCESS
from mc2.clip.from_open_clip import OPEN_CLIP_CONFIG, valid_preprocess, valid_rgb
from mc2.clip.tokenizer_files import DEFINITION
from mc2.clip.weights import stripped
from mc2.errors import BadData, BadUsage

CONFIG = "config.json"
PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
INTERPOLATION = {2: "bilinear", 3: "bicubic"}           # Pillow's numbers
INDEX = ".index.json"           # beside weights in several files: which one each weight is in
WEIGHTS = {"transformers": ("model.safetensors", "pytorch_model.bin"),
           "open_clip": ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors",
                         "open_clip_pytorch_model.bin", "open_clip_pytorch_model.pth")}
MAKES_ONE = "from transformers import AutoTokenizer; AutoTokenizer.from_pretrained({0!r}).save_pretrained({0!r})"


class Folder(NamedTuple):
    """A model in a folder, but for its weights.

    form: transformers or open_clip; architecture: of open_clip's form; preprocess: mean, std, interpolation,
    resize_mode, rgb, as far as it says so; tokenizer: a file, a name, or None where it says nothing; files: of weights;
    notes: what a person should know.
    """

    path: str
    form: str
    architecture: dict
    preprocess: dict
    tokenizer: str | None
    files: list
    notes: list

    def state(self):
        """{open_clip's name: tensor} of the weights. BadData"""
        found = {}
        for file in self.files:
            content = torch_files.read(file)
            if not isinstance(content, dict):
                raise BadData(f"{file}: holds no state dict.")
            found.update(content)
        layers = sum(self.architecture[tower]["layers"] for tower in ("vision_cfg", "text_cfg"))
        if layers > len(found):                 # before as many names are made up
            raise BadData(f"{self.path}: its configuration has {layers:,} layers, and there are {len(found):,} "
                          "weights. Fetch or export it again.")
        if self.form == "transformers":
            return metaclip2.weights_from(found, self.architecture, self.path)
        return stripped(found, self.path)


def is_folder(path):
    """Whether this is a folder that transformers or open_clip saved. A run of mc2 train has a config.json, too."""
    return _form(path) is not None


def read(path, tokenizer=None):
    """The Folder at `path`. tokenizer: a name or file in place of its own, or None. BadData, BadUsage"""
    form = _form(path)
    read_form = _read_transformers if form == "transformers" else _read_open_clip
    config, preprocess, own, notes = read_form(path)
    preprocess |= valid_rgb((manifests.read_if_whole(path) or {}).get("preprocess"))    # other tools have no key for it
    special = tokenizers.special_of(tokenizer or own or "")
    if special is not None and special.pad is not None:
        config["text_cfg"]["pad_id"] = special.pad      # what follows the end of a text changes no features
    source = os.path.join(path, CONFIG if form == "transformers" else OPEN_CLIP_CONFIG)
    config = architecture.parse(json.dumps(config), source)
    return Folder(path, form, config, preprocess, own, _weights(path, form), notes)


def tokenizer_of(folder, given):
    """(Tokenizer, notes) of a Folder. given: in place of its own, or None. BadData where that cannot be its own."""
    own = folder.tokenizer or given
    if own is None:
        raise BadUsage(f"{folder.path}: has no {DEFINITION}, and nothing says which tokenizer it was trained with. "
                       "Name it with --tokenizer; or where transformers can read it, python -c "
                       f"{shlex.quote(MAKES_ONE.format(folder.path))} makes one.")
    return trained_tokenizer.of_configuration(given or own, own, folder.architecture, folder.path)


def _form(path):
    if not os.path.isdir(path):
        return None
    content = _json(path, CONFIG) if os.path.isfile(os.path.join(path, CONFIG)) else {}
    if isinstance(content.get("model_type"), str):
        return "transformers"
    return "open_clip" if os.path.isfile(os.path.join(path, OPEN_CLIP_CONFIG)) else None


def _json(path, name):
    """The object in a JSON file of a folder. BadData"""
    file = os.path.join(path, name)
    with open(file, "rb") as stream:
        try:
            content = parsing.json_value(stream.read().decode("utf-8-sig"))
        except ValueError as error:
            raise BadData(f"{file}: is not JSON ({error}).") from None
    if not isinstance(content, dict):
        raise BadData(f"{file}: is no JSON object.")
    return content


def _weights(path, form):
    """[file] of the weights. BadUsage where there are none."""
    for name in WEIGHTS[form]:
        file = os.path.join(path, name)
        if os.path.isfile(file):
            return [file]
        if os.path.isfile(file + INDEX):
            named = _json(path, name + INDEX).get("weight_map")
            names = sorted(set(named.values())) if isinstance(named, dict) and named else None
            if names is None or not all(isinstance(each, str) and os.path.basename(each) == each for each in names):
                raise BadData(f"{file + INDEX}: does not say which files of the folder hold the weights (weight_map).")
            missing = next((each for each in names if not os.path.isfile(os.path.join(path, each))), None)
            if missing:
                raise BadData(f"{path}: {missing} is missing, which {name + INDEX} names. Fetch the folder again.")
            return [os.path.join(path, each) for each in names]
    raise BadUsage(f"{path}: holds no weights ({' or '.join(WEIGHTS[form])}).")


def _own_tokenizer(path, config):
    """The tokenizer.json of a folder, or CLIP's own BPE where mc2 wrote that, or the model has its vocabulary; or None.
    """
    file, clip = os.path.join(path, DEFINITION), trained_tokenizer.by_vocabulary(config)
    if not os.path.isfile(file):
        return clip
    with open(file, "rb") as stream:
        return clip if clip and stream.read() == tokenizer_files.clip_definition() else file


# ---------------------------------------------------------------- open_clip

def _read_open_clip(path):
    """(configuration, preprocess, tokenizer, notes) of a folder that open_clip saved."""
    content, source = _json(path, OPEN_CLIP_CONFIG), os.path.join(path, OPEN_CLIP_CONFIG)
    config = content.get("model_cfg")
    if not isinstance(config, dict) or not all(isinstance(config.get(key), dict) for key in ("vision_cfg", "text_cfg")):
        raise BadData(f"{source}: is no configuration of open_clip: it has no model_cfg.")
    defaults = {"context_length": tokenizers.CONTEXT_LENGTH, "vocab_size": tokenizers.VOCAB_SIZE}
    config = {**config, "text_cfg": {**defaults, **config["text_cfg"]}}
    name, preprocess = config["text_cfg"].get("hf_tokenizer_name"), content.get("preprocess_cfg") or {}
    own = _own_tokenizer(path, config)
    if name == DEFINITION:                          # mc2's own exports: the tokenizer has no name elsewhere
        del config["text_cfg"]["hf_tokenizer_name"]
    if not name:                                    # open_clip takes CLIP's own, whatever else is in the folder
        own = trained_tokenizer.by_vocabulary(config) or own
    return config, valid_preprocess(preprocess, source), own or name, []


# ---------------------------------------------------------------- transformers

def _read_transformers(path):
    """(configuration, preprocess, tokenizer, notes) of a folder that transformers saved."""
    content, source = _json(path, CONFIG), os.path.join(path, CONFIG)
    if content["model_type"] != metaclip2.MODEL_TYPE:
        raise BadData(f"{source}: is of the type {content['model_type']}; of transformers' folders, mc2 reads those of "
                      f"the type {metaclip2.MODEL_TYPE}. Weights in open_clip's form are imported with --model.")
    config = metaclip2.config_from(content, source)
    preprocess, notes = _preprocess(path, config["vision_cfg"]["image_size"])
    return config, preprocess, _own_tokenizer(path, config), notes


def _preprocess(path, image_size):
    """(how images are prepared, notes) of preprocessor_config.json, or of the image_processor in processor_config.json.

    What is not said there has the default of transformers' CLIPImageProcessor. BadData where mc2 cannot do it.
    """
    file = next((name for name in (PREPROCESSOR, PROCESSOR) if os.path.isfile(os.path.join(path, name))), None)
    said = _json(path, file) if file else {}
    said = said.get("image_processor") if file == PROCESSOR else said
    if not said:
        return {}, [f"{path}: nothing says how images were prepared for these weights ({PREPROCESSOR}). Taken are "
                    "CLIP's own mean and std, shorter side, bicubic."]
    source = os.path.join(path, file)
    if not isinstance(said, dict):
        raise BadData(f"{source}: image_processor is no object.")
    for key in ("do_resize", "do_rescale", "do_normalize"):
        if said.get(key, True) is not True:
            raise BadData(f"{source}: {key} is {said[key]!r}; mc2 does it always.")
    factor = said.get("rescale_factor", 1 / 255)
    if not isinstance(factor, float) or abs(factor * 255 - 1) > 1e-6:
        raise BadData(f"{source}: rescale_factor is {factor!r}, not 1/255.")
    if said.get("resample", 3) not in (*INTERPOLATION,):
        raise BadData(f"{source}: resample is {said['resample']!r}; mc2 has 2 (bilinear) and 3 (bicubic).")
    preprocess = {**{key: said.get(f"image_{key}", list(PREPROCESS[key])) for key in ("mean", "std")},
                  "interpolation": INTERPOLATION[said.get("resample", 3)],
                  "resize_mode": _resize_mode(said, image_size, source)}
    try:
        return valid_preprocess(preprocess, source), []
    except BadData:
        raise BadData(f"{source}: image_mean and image_std are three numbers each, those of image_std above "
                      "0.") from None


def _resize_mode(said, image_size, source):
    """shortest or squash, open_clip's words for how an image becomes a square. BadData where it is another one than the
    model's."""
    size, crop = said.get("size", image_size), said.get("crop_size", image_size)
    height, width = _sides(size)
    crops = said.get("do_center_crop", True)
    if crops and _sides(crop) != (image_size, image_size) or height != image_size or width not in (None, image_size) \
            or not crops and width is None:
        cropped = f"cropped to {json.dumps(crop)}" if crops else "not cropped"
        raise BadData(f"{source}: images are resized to {json.dumps(size)} and {cropped}; mc2 makes squares of "
                      f"{image_size} pixels, the model's image_size, of the centre or of the whole image.")
    return "shortest" if width is None else "squash"


def _sides(size):
    """(height, width) of a size of transformers; (pixels, None) where it is that of the shorter side."""
    if isinstance(size, dict):
        return (size["shortest_edge"], None) if "shortest_edge" in size else (size.get("height"), size.get("width"))
    return size, None
