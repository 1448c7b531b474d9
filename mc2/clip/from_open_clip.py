"""Models of open_clip by name, with its published weights or with weights from a file.

Weights do not say which activation they were trained with, how images were prepared, or which tokenizer made the ids;
with another one features are wrong without any error. So each is looked up: in the configuration beside the weights, in
open_clip's list of published weights, in the name of the file. What contradicts is refused, what is unknown is noted.
"""
import contextlib
import hashlib
import logging
import math
import os
from typing import NamedTuple

import torch

from mc2 import manifests, parsing
from mc2.clip import architecture, fingerprints, trained_tokenizer
from mc2.clip.checkpoints import PREPROCESS
from mc2.clip.encoder import RESIZE_MODES, Model
from mc2.clip.images import AFTER_RESIZE, BEFORE_RESIZE, INTERPOLATION
from mc2.clip.model import build
from mc2.clip.released import RELEASED
from mc2.clip.tokenizers import CLIP_BPE
from mc2.clip.weights import read_into
from mc2.errors import BadData, BadUsage, Mc2Error

OPEN_CLIP = "open_clip:"
OPEN_CLIP_CONFIG = "open_clip_config.json"      # in a folder that open_clip saved
ACTIVATION = {True: "QuickGELU", False: "GELU"}


class Named(NamedTuple):
    """A model as it was named, and what is known of its weights."""

    spec: str               # the whole: open_clip:NAME@WEIGHTS
    name: str
    weights: str = ""       # a file or a tag; empty: random weights
    tag: dict = {}          # open_clip's entry of the tag, if it is one
    beside: object = None   # the Configuration beside a file, or None


def load(spec, tokenizer, cache, options):
    """The Model that `spec` names: NAME, NAME@FILE or NAME@TAG, perhaps with open_clip: before. BadUsage, BadData.

    tokenizer: a name or file in place of the model's own, or None; cache: see fingerprints.of_file; options: device and
    precision.
    """
    named = _looked_up(spec)
    config = _config(named.name)
    notes = check_activation(named, config, lambda other: f"Name {OPEN_CLIP}{other}@{named.weights}.")
    file = _fetched(named) if named.tag else named.weights
    network = _built(named.name, config)
    if file:
        read_into(network, file)
        identity = fingerprints.of_file(file, cache)
    else:
        notes.append(f"{spec}: the weights are random. Name some with {OPEN_CLIP}{named.name}@FILE or @TAG.")
        identity = fingerprints.of_network(network)
    preprocess, more = preprocess_of(named)
    found, doubts = _tokenizer(named, config, tokenizer)
    return Model(network, found, name=spec, notes=[*notes, *more, *doubts], image_size=image_size(config),
                 preprocess=preprocess, fingerprint=fingerprints.of_values(identity, named.name, config), **options)


# ---------------------------------------------------------------- names

def is_known(name):
    """Whether this is a model of open_clip or of this package."""
    import open_clip
    return name in architecture.names() or name in open_clip.list_models()


def _looked_up(spec):
    import open_clip
    name, at, weights = spec.removeprefix(OPEN_CLIP).partition("@")
    if not is_known(name):
        raise BadUsage(f"{spec}: {name} is no model of open_clip{_close(name)}.")
    if at and not weights:
        raise BadUsage(f"{spec}: names no weights after the @: a file or a tag of open_clip.")
    tag = open_clip.pretrained.get_pretrained_cfg(name, weights) if weights else {}
    if weights and not tag and not os.path.isfile(weights):
        raise BadUsage(f"{spec}: {weights} is neither a file nor a tag of {name}. {_hint_of_tags(name, weights)}")
    return Named(spec, name, weights, tag, configuration_beside(weights) if weights and not tag else None)


def _close(name):
    import difflib

    import open_clip
    near = difflib.get_close_matches(name, [*open_clip.list_models(), *architecture.names()], 3)
    return f". Did you mean {' or '.join(near)}?" if near else \
        " (python -c 'import open_clip; print(open_clip.list_models())')"


def _hint_of_tags(name, weights):
    import open_clip
    others = sorted(open_clip.list_pretrained_models_by_tag(weights))
    tags = open_clip.list_pretrained_tags_by_model(name)
    return f"The tag belongs to {', '.join(others[:4])}." if others else \
        f"Its tags are {', '.join(tags)}." if tags else "open_clip has no published weights for it."


def _config(name):
    import open_clip
    return open_clip.get_model_config(name) or architecture.load(name)


def image_size(config):
    """Pixels of a side. BadUsage where images are not square."""
    size = config["vision_cfg"]["image_size"]
    if isinstance(size, int):
        return size
    if len(set(size)) != 1:
        raise BadUsage(f"images of {size[0]} x {size[1]} pixels are not supported, only square ones.")
    return size[0]


# ---------------------------------------------------------------- the network and its weights

def _built(name, config):
    """The network with random weights, always the same ones."""
    import open_clip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name not in open_clip.list_models():
            return build(config)
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


def _fetched(named):
    """The path of a tag's weights, from the Hub or from open_clip's cache of it."""
    import open_clip
    try:
        return open_clip.pretrained.download_pretrained(named.tag)
    except Exception as error:                  # of the library, the network or the Hub: it has no narrower class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise Mc2Error(f"{named.spec}: the weights could not be fetched ({reason}). Download them by hand and give "
                       f"{OPEN_CLIP}{named.name}@FILE.") from None


def _published(file_name):
    """open_clip's entries of the published weights of that file name: OpenAI's ViT-B-32.pt, Meta's b32_400m.pt ..."""
    import open_clip
    entries = (open_clip.pretrained.get_pretrained_cfg(*pair) for pair in open_clip.list_pretrained())
    return [entry for entry in entries if os.path.basename(entry.get("url") or "") == file_name]


# ---------------------------------------------------------------- the configuration beside weights

class Configuration(NamedTuple):
    """The content of a configuration beside weights."""

    model: dict
    preprocess: dict        # mean, std, interpolation, resize_mode, as far as they are there
    file: str


def configuration_path(weights):
    """STEM.json, where mc2 checkpoint export writes the configuration of STEM.pt."""
    return os.path.splitext(weights)[0] + ".json"


def configuration_beside(weights):
    """The Configuration of STEM.json or else of open_clip_config.json, or None. BadData."""
    paths = configuration_path(weights), os.path.join(os.path.dirname(weights), OPEN_CLIP_CONFIG)
    for path in paths:
        if not os.path.isfile(path):
            continue
        with open(path, "rb") as stream:
            try:
                content = parsing.json_value(stream.read().decode("utf-8-sig"))
            except ValueError as error:
                raise BadData(f"{path}: is not JSON ({error}), but it is where the configuration of {weights} is "
                              "looked for.") from None
        content = content if isinstance(content, dict) else {}
        model = content.get("model_cfg", content)
        if isinstance(model, dict) and isinstance(model.get("vision_cfg"), dict) \
                and isinstance(model.get("text_cfg"), dict):
            preprocess = content.get("preprocess_cfg") or (_exported_preprocess(weights) if path == paths[0] else {})
            return Configuration(model, valid_preprocess(preprocess, path), os.path.basename(path))
        if os.path.basename(path) == OPEN_CLIP_CONFIG:
            raise BadData(f"{path}: is no configuration of open_clip.")
    return None


def _exported_preprocess(weights):
    """preprocess_cfg in the manifest of weights that mc2 exported: their configuration beside, in the form that open_clip
    takes, has no place for it."""
    return (manifests.read_if_whole(weights) or {}).get("preprocess") or {}


def valid_preprocess(config, path):
    """Those keys of open_clip's preprocess_cfg that say how images are prepared, and rgb, which manifests of mc2 have.
    BadData names the file that it is in."""
    found = {key: value for key, value in config.items() if key in PREPROCESS and value is not None} \
        if isinstance(config, dict) else None
    if found is None or not all(isinstance(found.get(key, ""), str) for key in ("interpolation", "resize_mode")) \
            or not all(_are_channels(found.get(key, [1, 1, 1])) for key in ("mean", "std")) \
            or min(found.get("std", [1])) <= 0:
        raise BadData(f"{path}: preprocess_cfg is not open_clip's: mean and std of three numbers (std above 0), "
                      "interpolation, resize_mode.")
    if found.get("interpolation") == "random":          # of training; open_clip evaluates these with bicubic
        found["interpolation"] = "bicubic"
    for key, known in ("resize_mode", RESIZE_MODES), ("interpolation", INTERPOLATION):
        if found.get(key) not in (None, *known):
            raise BadData(f"{path}: its preprocess_cfg has {key} {found[key]!r}; mc2 prepares images by "
                          f"{' and '.join(known)} only.")
    return {**found, **valid_rgb(config)}


def valid_rgb(preprocess):
    """{"rgb": when images become RGB} of what a manifest of mc2 says of a model's images, or {}."""
    found = preprocess.get("rgb") if isinstance(preprocess, dict) else None
    return {"rgb": found} if found in (BEFORE_RESIZE, AFTER_RESIZE) else {}


def _are_channels(values):
    return isinstance(values, list) and len(values) == 3 \
        and all(isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
                for value in values)


# ---------------------------------------------------------------- activation, images, tokenizer

def check_activation(named, config, advice, is_model=is_known):
    """Notes: one where nothing says which activation the weights were trained with. BadData where it is another one.

    advice: a function that gives a sentence, which names the architecture that has it; is_model: whether a name is that
    of an architecture.
    """
    spec, name, weights = named[:3]
    if not weights:
        return []
    has = bool(config.get("quick_gelu", False))
    needs, why = _activation_of(named)
    if needs is None:
        return [f"{spec}: nothing says which activation these weights were trained with. {name} computes with "
                f"{ACTIVATION[has]}; if they were trained with {ACTIVATION[not has]}, every score is wrong. Their "
                f"configuration beside them, {os.path.basename(configuration_path(weights))}, would tell."]
    if needs == has:
        return []
    other = name + "-quickgelu" if needs else name.removesuffix("-quickgelu")
    if not is_model(other) and os.path.basename(weights) in RELEASED:
        other = RELEASED[os.path.basename(weights)].model
    raise BadData(f"{spec}: {name} computes with {ACTIVATION[has]}, but these weights were trained with "
                  f"{ACTIVATION[needs]} ({why}): their features would be wrong. "
                  + (advice(other) if is_model(other) else "Name an architecture that has it."))


def _activation_of(named):
    """(whether weights were trained with QuickGELU or None where nothing says so, what says so)."""
    if named.tag:
        return bool(named.tag.get("quick_gelu", False)), "open_clip's entry of the tag"
    if named.beside:
        return bool(named.beside.model.get("quick_gelu", False)), f"{named.beside.file} beside them"
    file_name = os.path.basename(named.weights)
    published = {bool(entry.get("quick_gelu", False)) for entry in _published(file_name)}
    if len(published) == 1:
        return published.pop(), f"{file_name} is the name of published weights"
    file_name = file_name.lower()
    if "quickgelu" in file_name or file_name.startswith("metaclip2_"):      # Meta names the activation in its files
        return "quickgelu" in file_name, "their file name"
    return None, ""


def preprocess_of(named):
    """(how images are prepared, notes): as the tag or the configuration beside the weights says; for others as the tags
    of the architecture agree on."""
    import open_clip
    if named.beside and named.beside.preprocess:
        return named.beside.preprocess, []
    name, file_name = named.name, os.path.basename(named.weights)
    if file_name in RELEASED and not named.beside:
        return {"resize_mode": RELEASED[file_name].resize_mode}, []
    entries = [named.tag] if named.tag else _published(file_name) or [
        open_clip.pretrained.get_pretrained_cfg(name, other) for other in open_clip.list_pretrained_tags_by_model(name)]
    found = [{key: entry[key] for key in PREPROCESS if entry.get(key) is not None} for entry in entries]
    if all(entry == found[0] for entry in found):
        return found[0] if found else {}, []
    note = (f"{named.spec}: nothing says how images were prepared for these weights, and the published ones of {name} "
            f"differ in it. Taken are CLIP's own mean and std, shorter side, bicubic; preprocess_cfg in an "
            f"open_clip_config.json beside the weights would tell.")
    return {}, [note] if named.weights else []


def _tokenizer(named, config, given):
    """(tokenizer, notes)"""
    text_cfg = config["text_cfg"]
    own = text_cfg.get("hf_tokenizer_name")
    if given is None and named.name not in architecture.names() and (
            text_cfg.get("tokenizer_kwargs") or text_cfg.get("hf_model_name") or "siglip" in named.name.lower()):
        return _OpenClipTokenizer(named.name, own or named.name), []
    own = own or trained_tokenizer.by_vocabulary(config) or given or CLIP_BPE
    return trained_tokenizer.of_configuration(given or own, own, config, named.spec)


class _OpenClipTokenizer:
    """A tokenizer that only open_clip has, in the form of mc2's."""

    def __init__(self, model, name):
        import open_clip
        self._tokenizer, self.name = open_clip.get_tokenizer(model), name
        self.context_length = self._tokenizer.context_length
        self.fingerprint = hashlib.sha256(f"open_clip {open_clip.__version__} {model}".encode()).hexdigest()

    def __call__(self, texts):
        return self._tokenizer(texts).numpy()
