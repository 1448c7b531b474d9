"""The teacher of a distillation before it is loaded: its architecture where files say it, and which images it sees.
Without torch."""
import importlib.util
import json
import os

from mc2 import parsing
from mc2.clip import architecture
from mc2.errors import Mc2Error

OPEN_CLIP = "open_clip:"
UNREADABLE = (Mc2Error, OSError, ValueError, LookupError, TypeError)        # files of another kind


def images_of(distill, image_size, student):
    """`crop` or `whole`: what a teacher of this image size sees. student: the first student's architecture."""
    is_same = image_size == student["vision_cfg"]["image_size"]
    return distill["teacher_images"] or ("crop" if is_same else "whole")


def architecture_of(name):
    """The architecture of a model by its name (mc2/clip/load.py), or None where only loading it tells."""
    path, _, student = (name, "", "") if os.path.exists(name) else name.partition("#")
    if name.startswith(OPEN_CLIP) or not os.path.exists(path):
        return _named(name.removeprefix(OPEN_CLIP).partition("@")[0])
    real = os.path.realpath(path)
    beside = f"{os.path.splitext(real)[0]}.json"
    if os.path.isfile(real) and os.path.isfile(beside):
        return _parsed(beside)
    if os.path.isfile(folder := os.path.join(real, "open_clip_config.json")):
        return _parsed(folder, "model_cfg")
    for run in (real, os.path.dirname(real), os.path.dirname(os.path.dirname(real))):       # or a checkpoint in it
        if found := _of_run(run, student):
            return found
    return None


def _named(name):
    """That of a model of this package, or of the installed open_clip."""
    if name in architecture.names():
        return architecture.load(name)
    open_clip = importlib.util.find_spec("open_clip")           # finds it, and does not import it
    folder = open_clip and open_clip.submodule_search_locations[0]
    path = folder and os.path.join(folder, "model_configs", f"{os.path.basename(name)}.json")
    return _parsed(path) if path and os.path.isfile(path) else None


def _parsed(path, key=None):
    """The architecture in a file; None where it is of another kind than those that this package computes."""
    try:
        content = _content(path)
        return architecture.parse(json.dumps(content[key] if key else content), path)
    except UNREADABLE:
        return None


def _of_run(run, student):
    """That of a run's student, of the first one where none is named; None where this is no run."""
    try:
        config = _content(os.path.join(run, "config.json"))
        return next((more["architecture"] for more in config["students"] if more["name"] == student),
                    config["architecture"])
    except UNREADABLE:
        return None


def _content(path):
    with open(path, encoding="utf-8") as stream:
        return parsing.json_value(stream.read())
