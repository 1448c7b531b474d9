"""Checkpoints of mc2 train: the form of the file, and the newest one of a run (run/checkpoints/step-00000100.pt).

A checkpoint is what torch.save makes of plain values and tensors, so it is read with weights_only=True:
    kind, mc2 (version), step, seen_pairs, config (the run's values, by section and key)
    models      one per student: name, architecture, tokenizer, state (open_clip's key names), optimizer
    data        where each rank's data goes on
    tallies     what happened to pairs and images so far
    logged      the last step with a line in log.jsonl
"""
import os
import pickle
import re

import torch

from mc2 import __version__, files
from mc2.clip import torch_files
from mc2.errors import BadData, BadUsage
from mc2.tables import align

KIND = "mc2 checkpoint"
NAME = re.compile(r"step-(\d+)\.pt")
PREPROCESS = ("mean", "std", "interpolation", "resize_mode")        # as open_clip calls them


def write(content, path, is_own=False):
    """Write a checkpoint to any path. is_own: see files.open_write"""
    with files.open_write(path, is_own=is_own) as stream:
        torch_files.save({"kind": KIND, "mc2": __version__, **content}, stream)


def is_checkpoint(content):
    """Whether the content of a file is that of a checkpoint."""
    return isinstance(content, dict) and content.get("kind") == KIND


def load(path):
    """The content of a checkpoint, or of a run's newest, on the CPU, its tensors mapped from the file."""
    if os.path.isdir(path):
        found = find(path) or find(os.path.dirname(os.path.abspath(path)))
        if found is None:
            raise BadUsage(f"{path}: holds no checkpoints (checkpoints/step-*.pt).")
        path = found
    if not os.path.exists(path):
        raise BadUsage(f"{path}: no such checkpoint.")
    torch_files.refuse_damaged(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, OSError) as error:
        if what := torch_files.more_than_tensors(error):
            raise BadData(f"{path}: holds {what}, which a checkpoint of mc2 train never does, and which could run code. "
                          "It was not loaded. Take another checkpoint of the run.") from None
        raise BadData(f"{path}: cannot be read as a checkpoint{torch_files.reason(error)}. Where it was cut off, remove "
                      "it: the one before it is used then.") from None
    if not is_checkpoint(content):
        raise BadData(f"{path}: is no checkpoint of mc2 train. 'mc2 checkpoint import' makes one of weights from "
                      "elsewhere.")
    return content


def student_of(content, source, student=None):
    """The model of that name in a checkpoint, or its first. BadUsage. source: the checkpoint's name in messages."""
    models = {held["name"]: held for held in content["models"]}
    if student and student not in models:
        raise BadUsage(f"{source}: has no student {student}. It has {', '.join(models)}.")
    return models[student] if student else content["models"][0]


def preprocess_of(content):
    """How images are prepared for the models of a checkpoint: mean, std, interpolation, resize_mode and rgb, as far as it
    says so. A run says all but resize_mode, which imported weights may bring. rgb (mc2/clip/images.py) is no key of
    open_clip's."""
    data = content["config"].get("data", {})
    return {key: data[f"image_{key}"] for key in (*PREPROCESS, "rgb") if f"image_{key}" in data}


# ---------------------------------------------------------------- those of a run

def directory_of(run):
    """The directory of a run's checkpoints."""
    return os.path.join(run, "checkpoints")


def path_of(run, step):
    """The path of a run's checkpoint of that step."""
    return os.path.join(directory_of(run), f"step-{step:08d}.pt")


def steps_in(run):
    """The steps of which the run has checkpoints, ascending."""
    names = os.listdir(directory_of(run)) if os.path.isdir(directory_of(run)) else []
    return sorted(int(found[1]) for name in names if (found := NAME.fullmatch(name)))


def find(run):
    """The path of a run's newest checkpoint, or None. A kill between a checkpoint and its link does not hide it."""
    steps = steps_in(run)
    return path_of(run, steps[-1]) if steps else None


# ---------------------------------------------------------------- for people

def describe(content):
    """A dict that JSON can hold: a checkpoint without its tensors."""
    return {"step": content["step"], "seen_pairs": content["seen_pairs"], "mc2": content["mc2"],
            "models": [_describe_model(held) for held in content["models"]],
            "ranks": len(content["data"]), "tallies": dict(content["tallies"])}


def _describe_model(held):
    state = held["state"]
    return {"name": held["name"], "tokenizer": held["tokenizer"],
            "parameters": sum(weight.numel() for weight in state.values()),
            "dtypes": sorted({str(weight.dtype).removeprefix("torch.") for weight in state.values()}),
            "logit_scale": float(state["logit_scale"].float().exp()),
            "image_size": held["architecture"]["vision_cfg"]["image_size"],
            "vocab_size": held["architecture"]["text_cfg"]["vocab_size"],
            "optimizer": held["optimizer"] is not None}


def lines(description):
    """A description for people, one line each."""
    rows = [("step", f"{description['step']:,}"), ("seen pairs", f"{description['seen_pairs']:,}"),
            ("written by", f"mc2 {description['mc2']}, {description['ranks']:,} ranks")]
    for held in description["models"]:
        rows += [("model", f"{held['name']}, {held['parameters']:,} parameters ({', '.join(held['dtypes'])})"
                           + ("" if held["optimizer"] else ", no optimizer state")),
                 ("tokenizer", f"{held['tokenizer']}, {held['vocab_size']:,} embeddings"),
                 ("image size", str(held["image_size"])),
                 ("logit scale", f"{held['logit_scale']:.2f}")]
    tallies = description["tallies"]
    rows += [("images", f"{name}: {count:,}") for name, count in sorted(tallies.get("images", {}).items())]
    return [*(f"{label:<14} {text}" for label, text in rows), *_by_language(tallies)]


def _by_language(tallies):
    """A table of the pairs of each language, where any were counted: those trained on (seen), and of online curation the
    draws, the pairs that they kept, and those that Algorithm 1 expects of them."""
    counted = sorted(what for what in tallies if what != "images" and tallies[what])
    languages = sorted({lang for what in counted for lang in tallies[what]})
    table = [["language", *counted]] + [[lang, *(f"{round(tallies[what].get(lang, 0)):,}" for what in counted)]
                                        for lang in languages]
    return ["", *align(table)] if counted else []
