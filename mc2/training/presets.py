"""Presets: one complete TOML file per training run. Those of the paper are mc2/data/presets/*.toml.

Keys with a default may be left out; a section of such keys too. Paths are relative to the file
(lines of an @list.txt to the working directory, as everywhere).
"""
import copy
import os

from mc2 import package_data, parsing, settings
from mc2.clip import architecture
from mc2.errors import BadData, BadUsage
from mc2.settings import PATHS, REQUIRED, Key

COUNT = (1, None)
KEYS = {        # names follow open_clip's options where they mean the same
    "model": {
        "name": Key(str),                           # of mc2/data/models, or a .json file beside the preset or here
        "tokenizer": Key(str),                      # `openai` (CLIP's own BPE), a name on the Hub or a tokenizer.json
        "init_logit_scale": Key(float, (0, 4.6052)),
    },
    "data": {
        "languages": Key(str, ("worldwide", "english", "non-english")),
        "english_share": Key(float, (0, 1), default=None),              # of the curated pairs; absent: not known
        "curation": Key(str, ("online", "offline")),
        "aug_scale": Key((float, 2), (0, 1)),
        "image_interpolation": Key(str, ("bicubic", "bilinear")),
        "image_rgb": Key(str, ("before-resize", "after-resize"), default="before-resize"),      # see mc2/clip/images.py
        "image_mean": Key((float, 3), (0, 1)),
        "image_std": Key((float, 3), (1e-6, None)),
        "train_data": Key(PATHS, default=None),     # tars; `*` as in a shell, @list.txt for a list
        "pairs": Key(PATHS, default=None),          # their pairs, a file per tar; absent: the tars hold the texts
        "counts": Key(str, default=None),           # for online curation
        "thresholds": Key(str, default=None),
        "open_tars": Key(int, COUNT, default=4),    # tars that a worker reads in rotation
        "jpeg_scaling": Key(bool, default=False),   # decode large JPEGs at a reduced scale: faster, other pixels
        "shuffle_texts": Key(bool, default=False),  # a control: every image gets the text of another one
    },
    "optimizer": {
        "opt": Key(str, ("adamw",)),
        "lr": Key(float, (0, 1)),
        "beta1": Key(float, (0, 0.999999)),
        "beta2": Key(float, (0, 0.999999)),
        "eps": Key(float, (0, 1)),
        "wd": Key(float, (0, None)),
        "grad_clip_norm": Key(float, (1e-9, None), default=None),
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
        "workers": Key(int, (0, None), default=4),  # processes per GPU that decode images; 0: the one that trains
        "prefetch": Key(int, COUNT, default=2),     # batches that each of them makes in advance
        "torchcompile": Key(bool, default=False),
        "zero_stage": Key(int, (0, 1), default=0),  # 1: each GPU keeps a part of the optimizer's state (ZeRO)
    },
    "run": {
        "output": Key(str, default=None),           # directory of the run
        "save_steps": Key(int, COUNT, default=1000),
        "keep_checkpoints": Key(int, COUNT, default=3),
        "log_steps": Key(int, COUNT, default=10),
        "log_ids": Key(bool, default=False),        # the ids of every pair in log.jsonl
        "wandb": Key(str, default=None),            # a project of Weights & Biases
    },
    "distill": {
        "teacher": Key(str, default=None),          # as for `mc2 eval --model`
        "teacher_logit_scale": Key(float, (1e-3, None), default=200.0),
        "weight": Key(float, (0, None), default=1.0),
        # crop: what the students see, at the teacher's size; whole: as the teacher's own preprocessing makes images.
        # Absent: crop for a teacher of the first student's image size, whole for any other
        "teacher_images": Key(str, ("crop", "whole"), default=None),
    },
}
LOCATED = {"data": ("train_data", "pairs", "counts", "thresholds"), "run": ("output",)}
STUDENT = {         # [[students]]: further students of the same teacher, each with a model and an optimizer of its own
    "name": Key(str),
    "model": Key(str),
    "tokenizer": Key(str),
    "lr": Key(float, (0, 1), default=None),         # absent: as in [optimizer]
    "wd": Key(float, (0, None), default=None),
}


class Preset:
    """A run as in its file. `name`: of the preset or the file; `text`: of the file; `title`: its first comment line;
    `values[section][key]`; `architecture`: the model's configuration; `students`: [(values, architecture)] of further
    students."""

    def __init__(self, name, source, text, folder=None, changes=()):
        """folder: of a file, for the paths in it. changes: [(section, key, value)] that replace the text's; paths
        among them are taken as they are."""
        self.name, self.source, self.text, self.changes = name, source, text, list(changes)
        self.title = title(text)
        parsed = _located(_parse(text, source), folder)
        for section, key, value in changes:
            parsed.setdefault(section, {})[key] = value
        students = parsed.pop("students", [])
        self.values = _check(parsed, source)
        beside = [folder] if folder else []
        is_changed = any((section, key) == ("model", "name") for section, key, _ in changes)
        self.architecture = _architecture(self.values["model"]["name"], source,
                                          [".", *beside] if is_changed else [*beside, "."])
        self.students = _check_students(students, source, folder)


def names():
    """[name] of the package's presets, sorted."""
    return package_data.names("presets", ".toml")


def load(name_or_path, changes=()):
    """The preset of that name, or of that TOML file, with changes [(section, key, value)]. BadUsage where there is
    none, BadData where it is wrong."""
    if name_or_path in names():
        return Preset(name_or_path, f"{name_or_path}.toml", _text(name_or_path), changes=changes)
    if not os.path.isfile(name_or_path):
        raise BadUsage(f"{name_or_path}: neither a preset nor a file. Presets: {', '.join(names())}.")
    try:
        with open(name_or_path, encoding="utf-8") as stream:
            text = stream.read()
    except UnicodeDecodeError as error:
        raise BadData(f"{name_or_path}: is not UTF-8 ({error}).") from None
    name = os.path.splitext(os.path.basename(name_or_path))[0]
    return Preset(name, name_or_path, text, os.path.dirname(name_or_path) or ".", changes)


def change(assignment):
    """(section, key, value) of `section.key=value`, the value as in TOML (a bare word is a text). BadUsage."""
    name, equals, value = assignment.partition("=")
    section, dot, key = name.strip().partition(".")
    if not equals or not dot or key not in KEYS.get(section, {}):
        allowed = ", ".join(f"{section}.{key}" for key in KEYS[section]) if section in KEYS \
            else ", ".join(f"{name}.KEY" for name in KEYS)
        raise BadUsage(f"{assignment}: is not SECTION.KEY=VALUE. Allowed: {allowed}.")
    try:
        return section, key, _parse(f"value = {value}", assignment)["value"]
    except BadData:
        return section, key, value.strip()


def titles():
    """[(name, title)] of the package's presets, without checking them."""
    return [(name, title(_text(name))) for name in names()]


def title(text):
    """The first line of a preset where it is a comment, else nothing."""
    line = text.split("\n", 1)[0].strip()
    return line.lstrip("# ") if line.startswith("#") else ""


def _text(name):
    return package_data.text("presets", f"{name}.toml")


def _parse(text, source):
    try:
        return parsing.toml_table(text)
    except ValueError as error:
        raise BadData(f"{source}: is not TOML: {error}.") from None


def _located(values, folder):
    """The values with paths that are relative to the folder of their file."""
    values = copy.deepcopy(values)
    for section, keys in LOCATED.items():
        content = values.get(section)
        for key in keys if isinstance(content, dict) and folder else ():
            if isinstance(content.get(key), str):
                content[key] = _beside(folder, content[key])
            elif isinstance(content.get(key), list):
                content[key] = [_beside(folder, item) if isinstance(item, str) else item for item in content[key]]
    tokenizer = (values.get("model") or {}).get("tokenizer") if isinstance(values.get("model"), dict) else None
    if folder and isinstance(tokenizer, str) and tokenizer.endswith(".json"):
        values["model"]["tokenizer"] = _beside(folder, tokenizer)
    teacher = values["distill"].get("teacher") if isinstance(values.get("distill"), dict) else None
    if folder and isinstance(teacher, str) and os.path.exists(_beside(folder, teacher)):       # else a model's name
        values["distill"]["teacher"] = _beside(folder, teacher)
    return values


def _beside(folder, path):
    if "://" in path:
        return path
    if path.startswith("@"):
        return "@" + _beside(folder, path[1:])
    if "::" in path:
        return "::".join(_beside(folder, part) for part in path.split("::"))
    return os.path.normpath(os.path.join(folder, path))


def _check_students(students, source, folder):
    if not isinstance(students, list) or not all(isinstance(student, dict) for student in students):
        raise BadData(f"{source}: students are tables. Write [[students]] before each.")
    checked = [_check_section(student, STUDENT, source, "students") for student in students]
    seen = {"student"}
    for student in checked:
        if student["name"] in seen or not student["name"].isidentifier():
            raise BadData(f"{source}: students.name is \"{student['name']}\"; it must be one word that no other student has (the model "
                          "of [model] is \"student\").")
        seen.add(student["name"])
        if folder and student["tokenizer"].endswith(".json"):
            student["tokenizer"] = _beside(folder, student["tokenizer"])
    folders = [folder, "."] if folder else ["."]
    return [(student, _architecture(student["model"], source, folders)) for student in checked]


def _check(values, source):
    """The values with defaults filled in; BadData names the file, the key and what is allowed."""
    for section, content in values.items():
        if section not in KEYS:
            kind = f"section [{section}]" if isinstance(content, dict) else f"key {section} outside of a section"
            raise BadData(f"{source}: unknown {kind}. Sections: {', '.join(f'[{name}]' for name in KEYS)}.")
        if not isinstance(content, dict):
            raise BadData(f"{source}: {section} is {settings.shown(content)}, not a section. Write [{section}].")
    for section, keys in KEYS.items():
        if section not in values and any(rule.default is REQUIRED for rule in keys.values()):
            raise BadData(f"{source}: no section [{section}]. It holds {', '.join(keys)}.")
    return {section: _check_section(values.get(section, {}), keys, source, section) for section, keys in KEYS.items()}


def _check_section(content, keys, source, section):
    return settings.check(content, keys, source, f"{section}.", f"Allowed in [{section}]: {', '.join(keys)}.")


def _architecture(name, source, folders):
    """The model's configuration of that name, or in the .json file of that name in the first of these folders that has
    it."""
    if name.endswith(".json"):
        paths = list(dict.fromkeys(os.path.normpath(os.path.join(folder, name)) for folder in folders))
        path = next(filter(os.path.isfile, paths), None)
        if path is None:
            raise BadData(f"{source}: model.name is \"{name}\", but there is no {' and no '.join(paths)}.")
        try:
            with open(path, encoding="utf-8") as stream:
                return architecture.parse(stream.read(), path)
        except UnicodeDecodeError as error:
            raise BadData(f"{path}: is not UTF-8 ({error}).") from None
    try:
        return architecture.load(name)
    except KeyError:
        raise BadData(f"{source}: model.name is \"{name}\", which is not a model. Allowed: a .json file in the "
                      f"current directory or beside the preset, or {', '.join(architecture.names())}.") from None
