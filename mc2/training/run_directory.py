"""The checkpoints of a run, run/checkpoints/step-00000100.pt, each whole, and the link `latest` to the newest.

Their form, and how the newest is found, is in mc2/clip/checkpoints.py.
"""
import os

from mc2 import temporaries
from mc2.clip import checkpoints


def save(run, content, keep):
    """Write the checkpoint of content["step"], point `latest` to it, and remove all but the newest `keep`. Returns its
    path."""
    directory, path = checkpoints.directory_of(run), checkpoints.path_of(run, content["step"])
    checkpoints.write(content, path, is_own=True)
    link = os.path.join(directory, ".latest.tmp")
    if os.path.islink(link):                            # which a killed run left
        os.unlink(link)
    with temporaries.discarded_on_error(link, temporaries.LINK):
        os.symlink(os.path.basename(path), link)
        os.replace(link, os.path.join(directory, "latest"))
    for old in [step for step in checkpoints.steps_in(run) if step < content["step"]][:1 - keep or None]:
        os.unlink(checkpoints.path_of(run, old))
    for other in os.listdir(directory):                 # what a killed run was writing
        if other.startswith(".step-") and other.endswith(".pt.tmp"):
            os.unlink(os.path.join(directory, other))
    return path


def remove_after(run, step):
    """Remove the checkpoints of later steps than this one: [steps]. The run goes another way from this step."""
    later = [found for found in checkpoints.steps_in(run) if found > step]
    for found in later:
        os.unlink(checkpoints.path_of(run, found))
    return later


def holds(run, path):
    """Whether a checkpoint is one of this run's own."""
    return os.path.dirname(os.path.realpath(path)) == os.path.realpath(checkpoints.directory_of(run))
