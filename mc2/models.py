"""Models that turn images and texts into features: checkpoints of mc2 train, and whatever open_clip knows.

    run/checkpoints/latest, run                 a checkpoint, or the newest of a run; PATH#NAME for a further student
    open_clip:NAME@FILE                         an architecture with weights from a local file, e.g. Meta's
    open_clip:NAME@TAG                          with published weights, which open_clip fetches
    open_clip:NAME, NAME                        with random weights

NAME is a model of open_clip or of this package (mc2/data/models).
"""
import hashlib
import json
import os

import numpy as np
import torch
from torch.nn import functional

from mc2 import files, manifests
from mc2.errors import BadData, BadUsage, Mc2Error
from mc2.training import architecture, checkpoints, images, tokens
from mc2.training import model as building
from mc2.training import weights as weights_room

OPEN_CLIP = "open_clip:"
PLAIN = {"size": 224, "mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711),
         "interpolation": "bicubic", "resize_mode": "shortest"}


class Transform:
    """From an encoded image (bytes) or a PIL image to uint8 (3, size, size), as open_clip does it for validation."""

    def __init__(self, size, interpolation="bicubic", resize_mode="shortest"):
        if resize_mode not in ("shortest", "squash"):
            raise BadUsage(f"images resized by their {resize_mode} side are not supported, only `shortest` and "
                           "`squash`.")
        self.size, self.interpolation, self.resize_mode = size, interpolation, resize_mode

    def __call__(self, image):
        """Raises mc2.training.images.Corrupt."""
        if isinstance(image, (bytes, bytearray, memoryview)):
            image = images.decode(bytes(image))
        if self.resize_mode == "squash":
            return images.resized_crop(image.convert("RGB"), (0, 0, *image.size), self.size, self.interpolation)
        return images.validation(image, self.size, self.interpolation)

    def __str__(self):
        return f"{self.resize_mode} {self.size} {self.interpolation}"


class Model:
    """A model with its tokenizer, ready to encode.

    name, fingerprint (of the weights and the architecture), image_size, transform, tokenizer, logit_scale
    (exponentiated), embed_dim, device, precision; `notes`: what a person should know, one line each.
    """

    def __init__(self, network, tokenizer, *, name, fingerprint, preprocess, device, precision, notes=()):
        self.network, self.tokenizer, self.name, self.fingerprint = network.eval(), tokenizer, name, fingerprint
        self.device, self.precision, self.notes = torch.device(device), precision, list(notes)
        self.image_size = preprocess["size"]
        self.transform = Transform(self.image_size, preprocess["interpolation"], preprocess["resize_mode"])
        self.mean, self.std = list(preprocess["mean"]), list(preprocess["std"])
        self._normalize = building.Normalizer(self.mean, self.std, self.device,
                                              torch.bfloat16 if precision == "bf16" else torch.float32)
        self._autocast = building.autocast(precision, self.device)

    @property
    def logit_scale(self):
        return float(self.network.logit_scale.detach().float().exp().reshape(()))

    @property
    def description(self):
        """What of a model changes scores, for result records."""
        return {"name": self.name, "fingerprint": self.fingerprint[:16], "tokenizer": tokenizer_name(self.tokenizer),
                "precision": self.precision, "transform": str(self.transform)}

    def encode_images(self, batch):
        """uint8 (n, 3, S, S) -> float32 (n, d), L2-normalised, on the model's device."""
        return self._encode(self.network.encode_image, self._normalize(batch))

    def encode_texts(self, texts):
        """A list of texts -> float32 (n, d), L2-normalised, on the model's device."""
        ids = torch.as_tensor(np.asarray(self.tokenizer(list(texts))))
        return self._encode(self.network.encode_text, ids.to(self.device))

    def _encode(self, encode, batch):
        exact = torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False)
        with torch.inference_mode(), exact, self._autocast():
            features = encode(batch)
        return functional.normalize(features.float(), dim=-1)


def load(spec, device="cpu", precision="fp32", tokenizer=None, cache=None):
    """The model that `spec` names (see above). tokenizer: a tokenizer.json or a name, in place of the model's own.
    cache: a directory where the hashes of large files are kept. BadUsage, BadData."""
    name, at, weights = spec.removeprefix(OPEN_CLIP).partition("@")
    options = {"device": device, "precision": precision, "tokenizer": tokenizer, "cache": cache}
    if not spec.startswith(OPEN_CLIP):
        path, _, student = spec.partition("#")
        if os.path.exists(path):
            return _load_checkpoint(path, student, spec, **options)
        if not _known(name):
            raise BadUsage(f"{spec}: neither a checkpoint nor a model. Name a run or a checkpoint of mc2 train, or "
                           f"{OPEN_CLIP}NAME@WEIGHTS with a NAME of open_clip, e.g. {OPEN_CLIP}ViT-B-32.")
    if not _known(name):
        raise BadUsage(f"{spec}: {name} is no model of open_clip{_close(name)}.")
    if at and not weights:
        raise BadUsage(f"{spec}: names no weights after the @: a file or a tag of open_clip.")
    return _load_open_clip(name, weights, spec, **options)


def tokenizer_name(tokenizer):
    """A tokenizer's name, with the start of its fingerprint."""
    name = os.path.basename(tokenizer.name) if os.path.exists(tokenizer.name) else tokenizer.name
    return f"{name} ({tokenizer.fingerprint[:8]})"


# ---------------------------------------------------------------- checkpoints of mc2 train

def _load_checkpoint(path, student, spec, device, precision, tokenizer, cache):
    content = checkpoints.load(path)
    found = {model["name"]: model for model in content["models"]}
    held = found.get(student) if student else content["models"][0]
    if held is None:
        raise BadUsage(f"{path}: has no student {student}. It has {', '.join(found)}.")
    config = held["architecture"]
    data = content["config"].get("data", {})
    preprocess = {**PLAIN, "size": config["vision_cfg"]["image_size"],
                  **{key: data[name] for key, name in (("mean", "image_mean"), ("std", "image_std"),
                                                       ("interpolation", "image_interpolation")) if name in data}}
    network = building.build(config)
    _fill(network, held["state"], path)
    file = checkpoints.find(path) or path if os.path.isdir(path) else path
    own = _tokenizer_beside(os.path.realpath(file), held, is_first=held is content["models"][0])
    return Model(_cast(network, precision).to(device), _tokenizer(tokenizer or own, config, spec, own),
                 name=spec, fingerprint=_digest(_file_hash(file, cache), held["name"], config), preprocess=preprocess,
                 device=device, precision=precision)


def _tokenizer_beside(path, held, is_first):
    """The definition that the run keeps, run/tokenizer.json or run/tokenizer-NAME.json; else the tokenizer's name."""
    if held["tokenizer"] == "openai":
        return "openai"
    run = os.path.dirname(os.path.dirname(path))
    for folder in (run, os.path.dirname(path)):
        copy_of_it = os.path.join(folder, "tokenizer.json" if is_first else f"tokenizer-{held['name']}.json")
        if os.path.isfile(copy_of_it):
            return copy_of_it
    return held["tokenizer"]


# ---------------------------------------------------------------- open_clip

def _load_open_clip(name, weights, spec, device, precision, tokenizer, cache):
    import open_clip
    config = _config(name)
    tag = open_clip.pretrained.get_pretrained_cfg(name, weights) if weights else {}
    notes = []
    if weights and not tag and not os.path.isfile(weights):
        _refuse_tag(name, weights, spec)
    _check_activation(name, config, weights, tag, spec)
    file = _fetched(tag, name, spec) if tag else weights
    network = _build(name, config)
    if file:
        _read_weights(network, file)
        identity = _file_hash(file, cache)
    else:
        notes.append(f"{spec}: the weights are random. Name some with {OPEN_CLIP}{name}@FILE or @TAG.")
        identity = _tensor_hash(network)
    preprocess = {**PLAIN, "size": _size(config["vision_cfg"]["image_size"]), **_preprocess(name, tag)}
    return Model(_cast(network, precision).to(device), _open_clip_tokenizer(name, config, tokenizer, spec), name=spec,
                 fingerprint=_digest(identity, name, config), preprocess=preprocess, device=device, precision=precision,
                 notes=notes)


def _known(name):
    import open_clip
    return name in architecture.names() or name in open_clip.list_models()


def _close(name):
    import difflib

    import open_clip
    near = difflib.get_close_matches(name, [*open_clip.list_models(), *architecture.names()], 3)
    return f". Did you mean {' or '.join(near)}?" if near else \
        " (python -c 'import open_clip; print(open_clip.list_models())')"


def _config(name):
    import open_clip
    return open_clip.get_model_config(name) or architecture.load(name)


def _fetched(tag, name, spec):
    """The file of a tag's weights, from the Hub or from open_clip's cache of it."""
    import open_clip
    try:
        return open_clip.pretrained.download_pretrained(tag)
    except Exception as error:                  # of the library, the network or the Hub: it has no narrower class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise Mc2Error(f"{spec}: the weights were not to be had ({reason}). Download them by hand and give "
                       f"{OPEN_CLIP}{name}@FILE.") from None


def _build(name, config):
    """The network with random weights, always the same ones."""
    import open_clip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name not in open_clip.list_models():
            return building.build(config)
        try:
            return open_clip.create_model(name, pretrained_text=False)
        except (RuntimeError, ImportError, OSError) as error:       # of another library that its towers need
            raise BadUsage(f"{OPEN_CLIP}{name}: cannot be built ({str(error).splitlines()[0][:200]}).") from None


def _refuse_tag(name, weights, spec):
    import open_clip
    others = sorted(open_clip.list_pretrained_models_by_tag(weights))
    tags = open_clip.list_pretrained_tags_by_model(name)
    hint = f"The tag belongs to {', '.join(others[:4])}." if others else \
        f"Its tags are {', '.join(tags)}." if tags else "open_clip has no published weights for it."
    raise BadUsage(f"{spec}: {weights} is neither a file nor a tag of {name}. {hint}")


def _check_activation(name, config, weights, tag, spec):
    """Weights trained with QuickGELU give wrong features with GELU, and the reverse, without any error: refuse them."""
    if not weights:
        return
    has = bool(config.get("quick_gelu", False))
    needs, why = _activation_of(weights, tag)
    if needs is None or needs == has:
        return
    other = name + "-quickgelu" if needs else name.removesuffix("-quickgelu")
    raise BadData(f"{spec}: {name} computes with {_ACTIVATION[has]}, but these weights were trained with "
                  f"{_ACTIVATION[needs]} ({why}): their features would be wrong. "
                  + (f"Name {OPEN_CLIP}{other}@{weights}." if _known(other) else "Name an architecture that has it."))


_ACTIVATION = {True: "QuickGELU", False: "GELU"}


def _activation_of(weights, tag):
    """(whether weights were trained with QuickGELU or None where nothing says so, what says so)."""
    if tag:
        return bool(tag.get("quick_gelu", False)), "open_clip's entry of the tag"
    beside = os.path.join(os.path.dirname(os.path.abspath(weights)), "open_clip_config.json")
    if os.path.isfile(beside):
        with open(beside, "rb") as stream:
            try:
                config = json.load(stream)["model_cfg"]
                return bool(config.get("quick_gelu", False)), "open_clip_config.json beside them"
            except (ValueError, KeyError, AttributeError):
                raise BadData(f"{beside}: is no configuration of open_clip.") from None
    file_name = os.path.basename(weights).lower()
    if "quickgelu" in file_name or file_name.startswith("metaclip2_"):      # Meta names the activation in its files
        return "quickgelu" in file_name, "their file name"
    return None, ""


def _read_weights(network, path):
    """Load weights from elsewhere: open_clip's or Meta's."""
    import open_clip
    state = weights_room.read(path)
    if isinstance(state, dict) and state.get("kind") == checkpoints.KIND:
        raise BadUsage(f"{path}: is a checkpoint of mc2 train, which says itself what model it is: --model {path}.")
    state = open_clip.factory.convert_state_dict(network, weights_room.stripped(state, path))
    if "positional_embedding" in state and not hasattr(network, "positional_embedding"):
        state = open_clip.convert_to_custom_text_state_dict(state)
    own = network.state_dict()
    state = {name: value for name, value in state.items() if name in own or name not in weights_room.NO_WEIGHTS}
    if "logit_scale" in state and state["logit_scale"].numel() == 1:
        state["logit_scale"] = state["logit_scale"].reshape(network.logit_scale.shape)
    _fill(network, state, path)


def _fill(network, state, path):
    """Load weights, all of them and no others. BadData says which do not fit."""
    own = network.state_dict()
    missing, foreign = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    shapes = [f"{name} is {tuple(state[name].shape)}, not {tuple(tensor.shape)}" for name, tensor in own.items()
              if name in state and tuple(state[name].shape) != tuple(tensor.shape)]
    problems = [f"{what}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}" for what, names in
                (("other shapes", shapes), ("missing", missing), ("unknown", foreign)) if names]
    if problems:
        raise BadData(f"{path}: these weights are of another architecture ({'; '.join(problems)}).")
    network.load_state_dict(state)


def _cast(network, precision):
    if precision == "bf16":
        building.to_bfloat16(network)
    return network


def _preprocess(name, tag):
    """How images are prepared: as the tag says; for weights from elsewhere as the tags of the architecture agree on."""
    import open_clip
    tags = [tag] if tag else [open_clip.pretrained.get_pretrained_cfg(name, other)
                              for other in open_clip.list_pretrained_tags_by_model(name)]
    keys = ("mean", "std", "interpolation", "resize_mode")
    found = [{key: entry[key] for key in keys if entry.get(key) is not None} for entry in tags]
    return found[0] if found and all(entry == found[0] for entry in found) else {}


def _size(size):
    if isinstance(size, int):
        return size
    if len(set(size)) != 1:
        raise BadUsage(f"images of {size[0]} x {size[1]} pixels are not supported, only square ones.")
    return size[0]


# ---------------------------------------------------------------- tokenizers

def _open_clip_tokenizer(name, config, given, spec):
    text_cfg = config["text_cfg"]
    own = text_cfg.get("hf_tokenizer_name")
    if given is None and (text_cfg.get("tokenizer_kwargs") or text_cfg.get("hf_model_name")
                          or "siglip" in name.lower()):
        return _OpenClipTokenizer(name, own or name)
    return _tokenizer(given or own or tokens.CLIP_BPE, config, spec, own or tokens.CLIP_BPE)


def _tokenizer(name, config, spec, own):
    """The tokenizer of that name or file. own: the model's. BadData where it cannot be the model's."""
    text_cfg = {"context_length": 77, "vocab_size": 49408, **config["text_cfg"]}
    if "pad_id" not in text_cfg and own in tokens.KNOWN:        # open_clip leaves out what its causal mask hides
        text_cfg["pad_id"] = tokens.KNOWN[own][1].pad
    tokenizer = tokens.load(name, text_cfg)
    if name != own and (os.path.isfile(own) or own == tokens.CLIP_BPE) \
            and tokens.load(own, text_cfg).fingerprint != tokenizer.fingerprint:
        raise BadData(f"{name}: is another tokenizer than {spec} was trained with ({own}): its ids would mean other "
                      "words. Leave --tokenizer out.")
    return tokenizer


class _OpenClipTokenizer:
    """A tokenizer that only open_clip has, in the form of mc2's."""

    def __init__(self, model, name):
        import open_clip
        self._tokenizer, self.name = open_clip.get_tokenizer(model), name
        self.context_length = self._tokenizer.context_length
        self.fingerprint = hashlib.sha256(f"open_clip {open_clip.__version__} {model}".encode()).hexdigest()

    def __call__(self, texts):
        return self._tokenizer(texts).numpy()


# ---------------------------------------------------------------- fingerprints

def _digest(*parts):
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _tensor_hash(network):
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _file_hash(path, cache):
    """SHA-256 of a file, remembered under its path, size and time of change."""
    path = os.path.realpath(path)
    status = os.stat(path)
    if cache is None:
        return manifests.sha256(path)
    key = hashlib.sha256(f"{path} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()
    note = os.path.join(cache, f"{key}.sha256")
    if os.path.isfile(note):
        with open(note, encoding="ascii") as stream:
            known = stream.read().strip()
        if len(known) == 64:
            return known
    found = manifests.sha256(path)
    try:
        files.write_bytes(note, found.encode())
    except OSError:                     # not ours to write: it is hashed again next time
        pass
    return found
