"""Files of torch.save and of safetensors. A pickle that would run code when read is refused (weights_only=True), and so
is a small file that stands for much: torch.save compresses nothing."""
import os
import pickle
import warnings
import zipfile

import torch

from mc2 import files
from mc2.errors import BadData

SAFETENSORS = ".safetensors"


def save(content, stream):
    """Write to a stream as torch.save does, but raise what ended the writing (a signal, a full disk). torch's writer
    finishes its file even then, fails at that, and raises a RuntimeError instead."""
    try:
        torch.save(content, stream)
    except RuntimeError as error:
        raise error.__context__ or error from None


def save_safetensors(state, stream):
    """Write a state dict to a stream."""
    from safetensors.torch import save as bytes_of
    stream.write(bytes_of(state, metadata={"format": "pt"}))


def read(path):
    """The content of a file, on the CPU. BadData where it is damaged, or a pickle of more than plain values."""
    if files.has_suffix(path, SAFETENSORS):
        from safetensors import SafetensorError
        from safetensors.torch import load_file
        try:
            return load_file(path)
        except SafetensorError as error:
            raise BadData(f"{path}: is no whole safetensors file ({error}).") from None
    refuse_compressed(path)
    try:
        content = _load_pickle(path)
    except pickle.UnpicklingError as error:
        if "weights_only" not in str(error):
            raise BadData(f"{path}: is no file of torch.save ({_first_line(error)}).") from None
        raise BadData(_UNSAFE.format(path=path, what="pickled objects beside tensors and plain values")) from None
    except (MemoryError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:                  # damaged pickles raise anything: IndexError, OSError, ...
        if "TorchScript" in str(error):
            raise BadData(_UNSAFE.format(path=path, what="a TorchScript program")) from None
        raise BadData(f"{path}: is cut off or no file of torch.save ({_first_line(error)}).") from None


    _refuse_larger(path, content)
    return content


def refuse_compressed(path):
    """Raise BadData for an archive with compressed members: a kilobyte of them can hold a megabyte."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            is_script = any(member.filename.endswith("/constants.pkl") for member in members)
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return                                  # torch says what is wrong
    if is_script:                               # which is compressed, and is refused unread
        return
    if packed := next((member for member in members if member.compress_type != zipfile.ZIP_STORED), None):
        raise BadData(f"{path}: its member {packed.filename!r} is compressed, which torch.save never does. Write the "
                      f"file again with torch.save.")


def _refuse_larger(path, content):
    """Raise BadData for a tensor that is larger than its file, as it repeats the same numbers."""
    size, waiting, seen = os.path.getsize(path), [(None, content)], set()
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict) and id(value) not in seen:
            seen.add(id(value))                 # a dict may hold itself
            waiting += value.items()
        elif isinstance(value, torch.Tensor) and value.numel() * value.element_size() > size:
            raise BadData(f"{path}: the tensor {name!r} of shape {tuple(value.shape)} is larger than the file, as it "
                          f"repeats numbers. Save a copy of it: tensor.contiguous().")


_UNSAFE = ("{path}: holds {what}, which could run code when loaded; it is refused. Where you trust it, take its state "
           "dict out with torch, torch.save(model.state_dict(), 'weights.pt'), and import that.")


def _load_pickle(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")         # our errors say the same
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap can only be used" not in str(error):
                raise
            return torch.load(path, map_location="cpu", weights_only=True)      # torch's format before 1.6


def _first_line(error):
    return str(error).split("\n")[0][:200]
