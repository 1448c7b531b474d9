"""Models that turn images and texts into features: checkpoints of mc2 train, and whatever open_clip knows.

    run/checkpoints/latest, run                 a checkpoint, or the newest of a run; PATH#NAME for a further student
    mine.pt                                     weights of mc2 checkpoint export, with mine.json beside
    open_clip:NAME@FILE                         an architecture with weights from a local file, e.g. Meta's
    open_clip:NAME@TAG                          with published weights, which open_clip fetches
    open_clip:NAME, NAME                        with random weights

NAME is a model of open_clip or of this package (mc2/data/models).
"""
import contextlib
import hashlib
import json
import logging
import os
import re
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from mc2 import files, manifests
from mc2.clip import architecture, checkpoints, images, tokenizers
from mc2.clip import model as building
from mc2.clip import weights as weights_room
from mc2.errors import BadData, BadUsage, Mc2Error

OPEN_CLIP = "open_clip:"
PLAIN = {"size": 224, "mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711),
         "interpolation": "bicubic", "resize_mode": "shortest"}
PREPROCESS = ("mean", "std", "interpolation", "resize_mode")


class Transform:
    """From an encoded image (bytes) or a PIL image to uint8 (3, size, size), as open_clip does it for validation."""

    def __init__(self, size, interpolation="bicubic", resize_mode="shortest"):
        if resize_mode not in ("shortest", "squash"):
            raise BadUsage(f"images resized by their {resize_mode} side are not supported, only `shortest` and "
                           "`squash`.")
        if interpolation not in images.INTERPOLATION:
            raise BadUsage(f"images resized by {interpolation} interpolation are not supported, only "
                           f"{' and '.join(images.INTERPOLATION)}.")
        self.size, self.interpolation, self.resize_mode = size, interpolation, resize_mode

    def __call__(self, image):
        """Raises mc2.clip.images.Corrupt."""
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
                "precision": self.precision, "transform": str(self.transform), "mean": self.mean, "std": self.std}

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
        path, student = _path_and_student(spec)
        if os.path.exists(path):
            return (_load_export if _is_export(path) else _load_checkpoint)(path, student, spec, **options)
        if not _known(name):
            raise BadUsage(f"{spec}: neither a checkpoint nor a model. Name a run or a checkpoint of mc2 train, or "
                           f"{OPEN_CLIP}NAME@WEIGHTS with a NAME of open_clip, e.g. {OPEN_CLIP}ViT-B-32.")
    if not _known(name):
        raise BadUsage(f"{spec}: {name} is no model of open_clip{_close(name)}.")
    if at and not weights:
        raise BadUsage(f"{spec}: names no weights after the @: a file or a tag of open_clip.")
    return _load_open_clip(name, weights, spec, **options)


def _path_and_student(spec):
    """A `#` may also be part of a path."""
    if os.path.exists(spec) or "#" not in spec:
        return spec, ""
    path, _, student = spec.rpartition("#")
    return path, student


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
    kept = _kept_tokenizer(os.path.realpath(file), held, is_first=held is content["models"][0])
    found, notes = _tokenizer_of_checkpoint(tokenizer, held, kept, spec)
    return Model(_cast(network, precision).to(device), found, name=spec,
                 fingerprint=_digest(_file_hash(file, cache), held["name"], config), preprocess=preprocess,
                 device=device, precision=precision, notes=notes)


def _kept_tokenizer(path, held, is_first):
    """The definition that the run keeps, run/tokenizer.json or run/tokenizer-NAME.json, or one beside the checkpoint;
    None where there is none."""
    if held["tokenizer"] == tokenizers.CLIP_BPE:
        return tokenizers.CLIP_BPE
    folder = os.path.dirname(path)
    name = "tokenizer.json" if is_first else f"tokenizer-{held['name']}.json"
    run = [os.path.dirname(folder)] if os.path.basename(folder) == "checkpoints" else []
    return next((file for place in (*run, folder) if os.path.isfile(file := os.path.join(place, name))), None)


def _tokenizer_of_checkpoint(given, held, kept, spec):
    """(tokenizer, notes). BadData where it is not the one that the checkpoint was trained with."""
    place, text_cfg = held["tokenizer"], _text_cfg(held["architecture"], held["tokenizer"])
    if not (given or kept) and not os.path.isabs(place) and (os.path.exists(place) or not _is_on_hub(place)):
        raise BadUsage(f"{spec}: its tokenizer ({place}) is not kept beside it. Put the run's tokenizer.json there, or "
                       "give it with --tokenizer FILE.")
    name = given or kept or place
    tokenizer = tokenizers.load(name, text_cfg)
    if name == place == tokenizers.CLIP_BPE:
        return tokenizer, []
    trained = {held["tokenizer_fingerprint"]} if held.get("tokenizer_fingerprint") \
        else _fingerprints(tokenizers.load(kept, text_cfg)) if given and kept else None
    if trained and tokenizer.fingerprint not in trained and not _fingerprints(tokenizer) & trained:
        hint = "Leave --tokenizer out." if given and kept else "Give that one with --tokenizer FILE."
        raise BadData(f"{name}: is another tokenizer than {spec} was trained with ({place}): its ids would mean other "
                      f"words. {hint}")
    return tokenizer, [] if trained or not given else [_not_compared(given, place)]


# ---------------------------------------------------------------- exported weights

def _is_export(path):
    """Whether this is a file of weights that are no checkpoint, with their configuration beside."""
    if not os.path.isfile(path) or not os.path.isfile(_stem(path) + ".json"):
        return False
    said = _said_beside(path)
    if not said or said.file != os.path.basename(_stem(path) + ".json"):
        return False
    state = weights_room.read(path)
    return not (isinstance(state, dict) and state.get("kind") == checkpoints.KIND)


def _load_export(path, student, spec, device, precision, tokenizer, cache):
    if student:
        raise BadUsage(f"{spec}: {path} holds one model, and no student {student}.")
    said = _said_beside(path)
    config = architecture.parse(json.dumps(said.model), _stem(path) + ".json")
    own = config["text_cfg"].get("hf_tokenizer_name") or tokenizer or _clip_bpe_by_size(config)
    if own is None:
        raise BadUsage(f"{spec}: its configuration does not say which tokenizer it was trained with. Name it with "
                       "--tokenizer.")
    network = building.build(config)
    _read_weights(network, path)
    found, notes = _tokenizer(tokenizer or own, config, spec, own)
    preprocess = {**PLAIN, "size": _size(config["vision_cfg"]["image_size"]), **said.preprocess}
    return Model(_cast(network, precision).to(device), found, name=spec,
                 fingerprint=_digest(_file_hash(path, cache), config), preprocess=preprocess, device=device,
                 precision=precision, notes=notes)


class _Said(NamedTuple):
    """What a configuration beside weights says of them."""

    model: dict
    preprocess: dict        # mean, std, interpolation, resize_mode, as far as they are there
    file: str


def _said_beside(weights):
    """What STEM.json (as mc2 checkpoint export writes it) or open_clip_config.json says, or None. BadData."""
    for path in (_stem(weights) + ".json", os.path.join(os.path.dirname(weights), "open_clip_config.json")):
        if not os.path.isfile(path):
            continue
        with open(path, "rb") as stream:
            try:
                content = json.loads(stream.read().decode("utf-8-sig"))
            except ValueError:
                raise BadData(f"{path}: is not JSON, but it is where the configuration of {weights} is looked for.") \
                    from None
        content = content if isinstance(content, dict) else {}
        model = content.get("model_cfg", content)
        if isinstance(model, dict) and isinstance(model.get("vision_cfg"), dict) \
                and isinstance(model.get("text_cfg"), dict):
            return _Said(model, _valid_preprocess(content.get("preprocess_cfg") or {}, path), os.path.basename(path))
        if os.path.basename(path) == "open_clip_config.json":
            raise BadData(f"{path}: is no configuration of open_clip.")
    return None


def _valid_preprocess(config, path):
    found = {key: value for key, value in config.items() if key in PREPROCESS and value is not None} \
        if isinstance(config, dict) else None
    if found is None or not all(isinstance(found.get(key, ""), str) for key in ("interpolation", "resize_mode")) \
            or not all(_are_channels(found.get(key, [1, 1, 1])) for key in ("mean", "std")):
        raise BadData(f"{path}: preprocess_cfg is not open_clip's: mean and std of three numbers, interpolation, "
                      "resize_mode.")
    if found.get("interpolation") == "random":          # of training; open_clip evaluates these with bicubic
        found["interpolation"] = "bicubic"
    return found


def _are_channels(values):
    return isinstance(values, list) and len(values) == 3 \
        and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _stem(path):
    return os.path.splitext(path)[0]


# ---------------------------------------------------------------- open_clip

def _load_open_clip(name, weights, spec, device, precision, tokenizer, cache):
    import open_clip
    config = _config(name)
    tag = open_clip.pretrained.get_pretrained_cfg(name, weights) if weights else {}
    if weights and not tag and not os.path.isfile(weights):
        _refuse_tag(name, weights, spec)
    said = _said_beside(weights) if weights and not tag else None
    notes = _check_activation(name, config, weights, tag, said, spec)
    file = _fetched(tag, name, spec) if tag else weights
    network = _build(name, config)
    if file:
        _read_weights(network, file)
        identity = _file_hash(file, cache)
    else:
        notes.append(f"{spec}: the weights are random. Name some with {OPEN_CLIP}{name}@FILE or @TAG.")
        identity = _tensor_hash(network)
    preprocess, more = _preprocess(name, tag, said, weights, spec)
    found, doubts = _open_clip_tokenizer(name, config, tokenizer, spec)
    return Model(_cast(network, precision).to(device), found, name=spec, fingerprint=_digest(identity, name, config),
                 preprocess={**PLAIN, "size": _size(config["vision_cfg"]["image_size"]), **preprocess}, device=device,
                 precision=precision, notes=[*notes, *more, *doubts])


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
            with _quiet_root_logger():          # it warns of random weights, which are replaced or noted
                return open_clip.create_model(name, pretrained_text=False)
        except (RuntimeError, ImportError, OSError) as error:       # of another library that its towers need
            raise BadUsage(f"{OPEN_CLIP}{name}: cannot be built ({str(error).splitlines()[0][:200]}).") from None


@contextlib.contextmanager
def _quiet_root_logger():
    logger = logging.getLogger()
    before = logger.level
    silent = logging.NullHandler()
    logger.addHandler(silent)                   # without any handler logging.warning would set one up
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(silent)


def _refuse_tag(name, weights, spec):
    import open_clip
    others = sorted(open_clip.list_pretrained_models_by_tag(weights))
    tags = open_clip.list_pretrained_tags_by_model(name)
    hint = f"The tag belongs to {', '.join(others[:4])}." if others else \
        f"Its tags are {', '.join(tags)}." if tags else "open_clip has no published weights for it."
    raise BadUsage(f"{spec}: {weights} is neither a file nor a tag of {name}. {hint}")


def _check_activation(name, config, weights, tag, said, spec):
    """Weights trained with QuickGELU give wrong features with GELU, and the reverse, without any error: refuse them.
    Returns a note where nothing says what they were trained with."""
    if not weights:
        return []
    has = bool(config.get("quick_gelu", False))
    needs, why = _activation_of(weights, tag, said)
    if needs is None:
        return [f"{spec}: nothing says which activation these weights were trained with. {name} computes with "
                f"{_ACTIVATION[has]}; if they were trained with {_ACTIVATION[not has]}, every score is wrong. Their "
                f"configuration beside them, {os.path.basename(_stem(weights))}.json, would tell."]
    if needs == has:
        return []
    other = name + "-quickgelu" if needs else name.removesuffix("-quickgelu")
    raise BadData(f"{spec}: {name} computes with {_ACTIVATION[has]}, but these weights were trained with "
                  f"{_ACTIVATION[needs]} ({why}): their features would be wrong. "
                  + (f"Name {OPEN_CLIP}{other}@{weights}." if _known(other) else "Name an architecture that has it."))


_ACTIVATION = {True: "QuickGELU", False: "GELU"}


def _activation_of(weights, tag, said):
    """(whether weights were trained with QuickGELU or None where nothing says so, what says so)."""
    if tag:
        return bool(tag.get("quick_gelu", False)), "open_clip's entry of the tag"
    if said:
        return bool(said.model.get("quick_gelu", False)), f"{said.file} beside them"
    file_name = os.path.basename(weights)
    published = {bool(entry.get("quick_gelu", False)) for entry in _published(file_name)}
    if len(published) == 1:
        return published.pop(), f"{file_name} is the name of published weights"
    file_name = file_name.lower()
    if "quickgelu" in file_name or file_name.startswith("metaclip2_"):      # Meta names the activation in its files
        return "quickgelu" in file_name, "their file name"
    return None, ""


def _published(file_name):
    """open_clip's entries of the published weights of that file name: OpenAI's ViT-B-32.pt, Meta's b32_400m.pt ..."""
    import open_clip
    entries = (open_clip.pretrained.get_pretrained_cfg(*pair) for pair in open_clip.list_pretrained())
    return [entry for entry in entries if os.path.basename(entry.get("url") or "") == file_name]


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


def _preprocess(name, tag, said, weights, spec):
    """(how images are prepared, notes): as the tag or the configuration beside the weights says; for others as the tags
    of the architecture agree on."""
    import open_clip
    if said and said.preprocess:
        return said.preprocess, []
    entries = [tag] if tag else _published(os.path.basename(weights)) or [
        open_clip.pretrained.get_pretrained_cfg(name, other) for other in open_clip.list_pretrained_tags_by_model(name)]
    found = [{key: entry[key] for key in PREPROCESS if entry.get(key) is not None} for entry in entries]
    if all(entry == found[0] for entry in found):
        return found[0] if found else {}, []
    note = (f"{spec}: nothing says how images were prepared for these weights, and the published ones of {name} differ "
            f"in it. Taken are CLIP's own mean and std, shorter side, bicubic; preprocess_cfg in an "
            f"open_clip_config.json beside the weights would tell.")
    return {}, [note] if weights else []


def _size(size):
    if isinstance(size, int):
        return size
    if len(set(size)) != 1:
        raise BadUsage(f"images of {size[0]} x {size[1]} pixels are not supported, only square ones.")
    return size[0]


# ---------------------------------------------------------------- tokenizers

def _open_clip_tokenizer(name, config, given, spec):
    """(tokenizer, notes)"""
    text_cfg = config["text_cfg"]
    own = text_cfg.get("hf_tokenizer_name")
    if given is None and (text_cfg.get("tokenizer_kwargs") or text_cfg.get("hf_model_name")
                          or "siglip" in name.lower()):
        return _OpenClipTokenizer(name, own or name), []
    own = own or _clip_bpe_by_size(config) or given or tokenizers.CLIP_BPE
    return _tokenizer(given or own, config, spec, own)


def _clip_bpe_by_size(config):
    return tokenizers.CLIP_BPE if config["text_cfg"].get("vocab_size", tokenizers.VOCAB_SIZE) == tokenizers.VOCAB_SIZE else None


def _tokenizer(name, config, spec, own):
    """(the tokenizer of that name or file, notes). own: the model's. BadData where it cannot be the model's."""
    text_cfg = _text_cfg(config, own)
    tokenizer = tokenizers.load(name, text_cfg)
    if name == own:
        return tokenizer, []
    at_hand = own if own == tokenizers.CLIP_BPE else _from_hubs_cache(own)
    if at_hand is None:
        return tokenizer, [_not_compared(name, own)]
    if not _fingerprints(tokenizers.load(at_hand, text_cfg)) & _fingerprints(tokenizer):
        raise BadData(f"{name}: is another tokenizer than {spec} was trained with ({own}): its ids would mean other "
                      "words. Leave --tokenizer out.")
    return tokenizer, []


def _text_cfg(config, own):
    """A model's text_cfg, with the pad_id that open_clip leaves out where its causal mask hides it."""
    text_cfg = {"context_length": tokenizers.CONTEXT_LENGTH, "vocab_size": tokenizers.VOCAB_SIZE, **config["text_cfg"]}
    if "pad_id" not in text_cfg and own in tokenizers.KNOWN:
        text_cfg["pad_id"] = tokenizers.KNOWN[own][1].pad
    return text_cfg


def _is_on_hub(name):
    return not name.endswith(".json") and not name.startswith((".", "/")) and name.count("/") <= 1


def _from_hubs_cache(name):
    """The tokenizer.json that was fetched from the Hub before, or None."""
    try:
        import huggingface_hub
        found = huggingface_hub.try_to_load_from_cache(name, "tokenizer.json")
    except (ImportError, ValueError):           # ValueError: no name of the Hub
        return None
    return found if isinstance(found, str) else None


def _fingerprints(tokenizer):
    """Of a definition as it is and as the library writes it, which is how one from the Hub is kept."""
    if getattr(tokenizer, "definition", None) is None:
        return {tokenizer.fingerprint}
    import tokenizers
    written = tokenizers.Tokenizer.from_buffer(tokenizer.definition).to_str().encode()
    return {tokenizer.fingerprint, hashlib.sha256(written).hexdigest()}


def _not_compared(given, own):
    return (f"{given}: could not be compared with the tokenizer that the model was trained with ({own}), which is not "
            "at hand. With another one every score is wrong.")


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
    """SHA-256 of a file, remembered under its path, size, inode and times of change."""
    path = os.path.realpath(path)
    status = os.stat(path)
    if cache is None:
        return manifests.sha256(path)
    known_by = path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
    key = hashlib.sha256(repr(known_by).encode()).hexdigest()
    note = os.path.join(cache, f"{key}.sha256")
    if os.path.isfile(note):
        with open(note, "rb") as stream:
            known = stream.read().strip()
        if re.fullmatch(b"[0-9a-f]{64}", known):
            return known.decode()
    found = manifests.sha256(path)
    try:
        files.write_bytes(note, found.encode())
    except (OSError, Mc2Error):         # not ours to write: it is hashed again next time
        pass
    return found
