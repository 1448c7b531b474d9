"""Fingerprints of models: hashes of their weights and of what else their features depend on."""
import contextlib
import hashlib
import json
import os

import torch

from mc2 import documents, files, manifests
from mc2.errors import BadData, Mc2Error


def of_values(*values):
    """The SHA-256, in hexadecimal, of values that JSON can hold."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def of_network(network):
    """The SHA-256, in hexadecimal, of all weights of a network with their names, shapes and types."""
    return of_state(network.state_dict())


def of_state(state):
    """The same of {name: tensor}."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def of_file(path, cache=None):
    """The SHA-256, in hexadecimal, of a file; kept in the directory `cache` under the file's path, size, inode and
    times of change."""
    path = os.path.realpath(path)
    status = os.stat(path)
    if cache is None:
        return manifests.sha256(path)
    key = repr((path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
    note = os.path.join(cache, f"{hashlib.sha256(key.encode()).hexdigest()}.sha256")
    with contextlib.suppress(OSError, BadData, KeyError):
        return documents.read(note, "")["sha256"]
    found = manifests.sha256(path)
    try:
        files.write_bytes(note, documents.dumped({"sha256": found}), is_own=True)
    except (OSError, Mc2Error):         # a cache that cannot be written: the file is hashed again next time
        pass
    return found
