"""Checkpoints: run/checkpoints/step-00000100.pt, each whole, and the link `latest` to the newest.

A checkpoint is what torch.save makes of plain values and tensors, so it is read with weights_only=True:
    kind, mc2 (version), step, seen_pairs, config (the run's values, by section and key)
    models      one per student: name, architecture, tokenizer, state (open_clip's key names), optimizer
    data        where each rank's data goes on
    tallies     what happened to pairs and images so far
"""
import contextlib
import os
import pickle
import re

import torch

from mc2 import __version__, files
from mc2.errors import BadData, BadUsage

KIND = "mc2 checkpoint"
NAME = re.compile(r"step-(\d+)\.pt")


def save(run, content, keep):
    """Write the checkpoint of content["step"], point `latest` to it, and remove all but the newest `keep`."""
    directory = os.path.join(run, "checkpoints")
    name = f"step-{content['step']:08d}.pt"
    path = os.path.join(directory, name)
    with files.open_write(path) as stream:
        torch.save({"kind": KIND, "mc2": __version__, **content}, stream)
    link = os.path.join(directory, ".latest.tmp")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(link)
    with files.discarded_on_error(link):
        os.symlink(name, link)
        os.replace(link, os.path.join(directory, "latest"))
    for old in [step for step in steps_in(run) if step < content["step"]][:1 - keep or None]:
        os.unlink(os.path.join(directory, f"step-{old:08d}.pt"))
    for other in os.listdir(directory):                 # what a killed run was writing
        if other.startswith(".step-") and other.endswith(".pt.tmp"):
            os.unlink(os.path.join(directory, other))
    return path


def remove_after(run, step):
    """Remove the checkpoints of later steps than this one: [steps]. The run goes another way from here."""
    later = [found for found in steps_in(run) if found > step]
    for found in later:
        os.unlink(os.path.join(run, "checkpoints", f"step-{found:08d}.pt"))
    return later


def is_of(path, run):
    """Whether a checkpoint is one of this run's own."""
    return os.path.dirname(os.path.realpath(path)) == os.path.realpath(os.path.join(run, "checkpoints"))


def steps_in(run):
    """The steps of which the run has checkpoints, ascending."""
    directory = os.path.join(run, "checkpoints")
    names = os.listdir(directory) if os.path.isdir(directory) else []
    return sorted(int(found[1]) for name in names if (found := NAME.fullmatch(name)))


def find(run):
    """The newest checkpoint of a run, or None. A kill between a checkpoint and its link does not hide it."""
    steps = steps_in(run)
    return os.path.join(run, "checkpoints", f"step-{steps[-1]:08d}.pt") if steps else None


def load(path):
    """The content of a checkpoint, or of a run's newest, on the CPU, its tensors mapped from the file."""
    if os.path.isdir(path):
        found = find(path) or find(os.path.dirname(os.path.abspath(path)))
        if found is None:
            raise BadUsage(f"{path}: holds no checkpoints (checkpoints/step-*.pt).")
        path = found
    if not os.path.exists(path):
        raise BadUsage(f"{path}: no such checkpoint.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, OSError) as error:
        reason = str(error).split("\n")[0][:200]
        raise BadData(f"{path}: cannot be read as a checkpoint ({reason}). Where it was cut off, remove it: the one before "
                      "it is used then.") from None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise BadData(f"{path}: is no checkpoint of mc2 train. 'mc2 checkpoint import' makes one of weights from "
                      "elsewhere.")
    return content
