"""Describe a checkpoint of `mc2 train`, or the newest one of a run, as `mc2 checkpoint show` does."""
import os

from mc2 import extras


def is_one(path):
    """Whether a path is called like a checkpoint, or is the directory of a run."""
    return path.endswith(".pt") or os.path.isdir(os.path.join(path, "checkpoints"))


def describe(path):
    """Yield lines about a checkpoint."""
    yield from _module().lines(_description(path))


def facts(path):
    """What is known of a checkpoint: what `mc2 checkpoint show --json` prints; dict."""
    return {"kind": "checkpoint", **_description(path)}


def _description(path):
    return _module().describe(_module().load(path))


def _module():
    extras.need("train", "torch", "open_clip")
    from mc2.clip import checkpoints            # slow to import
    return checkpoints
