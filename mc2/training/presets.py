"""Presets: one TOML file per training run, complete in itself. Those of the paper are mc2/data/presets/*.toml."""
import math
import os
from importlib import resources

from mc2.errors import BadData, BadUsage
from mc2.training import architecture

REQUIRED = object()


class Key:
    """What a key of a preset may hold.

    kind:     int, float, bool, str, or a tuple (float, n): a list of n numbers
    allowed:  values, or a pair (least, most) of numbers; None: any
    default:  where the key may be missing
    """

    def __init__(self, kind, allowed=None, default=REQUIRED):
        self.kind, self.allowed, self.default = kind, allowed, default

    def __str__(self):
        if isinstance(self.kind, tuple):
            return f"a list of {self.kind[1]} numbers{self._span()}"
        name = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[self.kind]
        return " or ".join(f'"{value}"' for value in self.allowed) if self.kind is str and self.allowed \
            else name + self._span()

    def _span(self):
        if not self.allowed or self.kind is str:
            return ""
        least, most = self.allowed
        return f" from {least:g}" if most is None else f" from {least:g} to {most:g}"

    def fits(self, value):
        if isinstance(self.kind, tuple):
            number = Key(self.kind[0], self.allowed)
            return isinstance(value, list) and len(value) == self.kind[1] and all(map(number.fits, value))
        if isinstance(value, bool) != (self.kind is bool):
            return False
        if not isinstance(value, (int, float) if self.kind is float else self.kind):
            return False
        if self.kind is float and not math.isfinite(value):
            return False
        if self.allowed is None:
            return True
        if self.kind is str:
            return value in self.allowed
        least, most = self.allowed
        return value >= least and (most is None or value <= most)


COUNT = (1, None)
KEYS = {        # names follow open_clip's options where they mean the same
    "model": {
        "name": Key(str),                           # of mc2/data/models, or a .json file beside the preset
        "tokenizer": Key(str),                      # `openai` (CLIP's own BPE), a name on the Hub or a tokenizer.json
        "init_logit_scale": Key(float, (0, 4.6052)),
    },
    "data": {
        "languages": Key(str, ("worldwide", "english", "non-english")),
        "english_share": Key(float, (0, 1), default=None),              # of the curated pairs; absent: not known
        "curation": Key(str, ("online", "offline")),
        "aug_scale": Key((float, 2), (0, 1)),
        "image_interpolation": Key(str, ("bicubic", "bilinear")),
        "image_mean": Key((float, 3), (0, 1)),
        "image_std": Key((float, 3), (1e-6, None)),
    },
    "optimizer": {
        "opt": Key(str, ("adamw",)),
        "lr": Key(float, (0, 1)),
        "beta1": Key(float, (0, 1)),
        "beta2": Key(float, (0, 1)),
        "eps": Key(float, (0, 1)),
        "wd": Key(float, (0, None)),
    },
    "schedule": {
        "epochs": Key(int, COUNT),
        "train_num_samples": Key(int, COUNT),       # pairs of one pass
        "global_batch": Key(int, COUNT),            # over all GPUs; open_clip's --batch-size is that of one
        "growth": Key(float, (1e-3, None)),         # batch and seen pairs over those of the English-only run
        "lr_scheduler": Key(str, ("cosine",)),
        "warmup": Key(int, (0, None)),              # steps
        "seed": Key(int, (0, None)),
    },
    "compute": {
        "gpus": Key(int, COUNT),
        "precision": Key(str, architecture.PRECISIONS),
        "grad_checkpointing": Key(bool),
        "accum_freq": Key(int, COUNT),
    },
}


class Preset:
    """A run as its file says. `name`: of the preset or the file; `title`: the file's first comment line;
    `values[section][key]`; `architecture`: the model's configuration."""

    def __init__(self, name, source, text, model_folder=None):
        self.name, self.source = name, source
        self.title = title(text)
        self.values = _check(_parse(text, source), source)
        self.architecture = _architecture(self.values["model"]["name"], source, model_folder)


def names():
    """Names of the package's presets, sorted."""
    return sorted(entry.name[:-len(".toml")] for entry in _folder().iterdir() if entry.name.endswith(".toml"))


def load(name_or_path):
    """The preset of that name, or of that TOML file. BadUsage where there is none, BadData where it is wrong."""
    if name_or_path in names():
        entry = _folder() / f"{name_or_path}.toml"
        return Preset(name_or_path, entry.name, entry.read_text("utf-8"))
    if not os.path.isfile(name_or_path):
        raise BadUsage(f"{name_or_path}: neither a preset nor a file. Presets: {', '.join(names())}.")
    try:
        with open(name_or_path, encoding="utf-8") as stream:
            text = stream.read()
    except UnicodeDecodeError as error:
        raise BadData(f"{name_or_path}: is not UTF-8 ({error}).") from None
    name = os.path.splitext(os.path.basename(name_or_path))[0]
    return Preset(name, name_or_path, text, os.path.dirname(name_or_path) or ".")


def titles():
    """[(name, title)] of the package's presets, without checking them."""
    return [(name, title((_folder() / f"{name}.toml").read_text("utf-8"))) for name in names()]


def title(text):
    """The first line of a preset where it is a comment, else nothing."""
    line = text.split("\n", 1)[0].strip()
    return line.lstrip("# ") if line.startswith("#") else ""


def _folder():
    return resources.files("mc2") / "data" / "presets"


def _parse(text, source):
    try:
        import tomllib
    except ImportError:                             # Python 3.10
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadData(f"{source}: is not TOML: {error}.") from None


def _check(values, source):
    """The values with defaults filled in; BadData names the file, the key and what is allowed."""
    for section, content in values.items():
        if section not in KEYS:
            kind = f"section [{section}]" if isinstance(content, dict) else f"key {section} outside of a section"
            raise BadData(f"{source}: unknown {kind}. Sections: {', '.join(f'[{name}]' for name in KEYS)}.")
        if not isinstance(content, dict):
            raise BadData(f"{source}: {section} is {content!r}, not a section. Write [{section}].")
    return {section: _check_section(values.get(section), keys, source, section) for section, keys in KEYS.items()}


def _check_section(content, keys, source, section):
    if content is None:
        raise BadData(f"{source}: no section [{section}]. It holds {', '.join(keys)}.")
    for key in content:
        if key not in keys:
            raise BadData(f"{source}: unknown key {section}.{key}. Allowed in [{section}]: {', '.join(keys)}.")
    checked = {}
    for key, rule in keys.items():
        if key not in content and rule.default is REQUIRED:
            raise BadData(f"{source}: no {section}.{key}: {rule}.")
        value = content.get(key, rule.default)
        if key in content and not rule.fits(value):
            raise BadData(f"{source}: {section}.{key} is {_shown(value)}, not {rule}.")
        checked[key] = value
    return checked


def _shown(value):
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def _architecture(name, source, model_folder):
    if name.endswith(".json") and model_folder is not None:
        path = os.path.join(model_folder, name)
        if not os.path.isfile(path):
            raise BadData(f"{source}: model.name is \"{name}\", but there is no {path}.")
        try:
            with open(path, encoding="utf-8") as stream:
                return architecture.parse(stream.read(), path)
        except UnicodeDecodeError as error:
            raise BadData(f"{path}: is not UTF-8 ({error}).") from None
    try:
        return architecture.load(name)
    except KeyError:
        raise BadData(f"{source}: model.name is \"{name}\", which is no model. Allowed: a .json file beside the "
                      f"preset, or {', '.join(architecture.names())}.") from None
