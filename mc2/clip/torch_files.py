"""Files of torch.save and of safetensors. A pickle that would run code when read is refused (weights_only=True), and so are a
file that does not fit its checksums, and a small one that stands for much: torch.save compresses nothing."""
import concurrent.futures
import mmap
import os
import struct
import warnings
import zipfile
import zlib

import torch

from mc2 import documents, files
from mc2.clip import fingerprints
from mc2.errors import BadData

SAFETENSORS = ".safetensors"
THREADS = 4                     # that compute checksums


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
    stream.write(bytes_of(state, metadata={"format": "pt", documents.CHECKSUM: fingerprints.of_state(state)}))


def read(path):
    """The content of a file, on the CPU. BadData where it is damaged, or a pickle of more than plain values."""
    if files.has_suffix(path, SAFETENSORS):
        return _read_safetensors(path)
    refuse_damaged(path)
    try:
        content = _load_pickle(path)
    except (MemoryError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:                  # damaged pickles raise anything: IndexError, OSError, ...
        if what := more_than_tensors(error):
            raise BadData(_UNSAFE.format(path=path, what=what)) from None
        raise BadData(f"{path}: is cut off or no file of torch.save{reason(error)}.") from None
    _refuse_larger(path, content)
    return content


def more_than_tensors(error):
    """What a file holds beside tensors and plain values, where torch would not load it for that; else None. torch's own
    message advises to load it all the same, which would run the code in it, so it is never shown."""
    if "TorchScript" in str(error):
        return "a TorchScript program"
    return "pickled objects beside tensors and plain values" if any(word in str(error) for word in ADVICE) else None


def reason(error):
    """The beginning of what torch says is wrong with a file, in brackets; nothing where that is none of our words."""
    text = str(error).split("\n")[0][:200]
    return f" ({text})" if text and not any(word in text for word in ADVICE) else ""


ADVICE = ("weights_only", "Weights only", "safe_globals", "trust")     # words of torch's messages on that


def _refuse_larger(path, content):
    """Raise BadData for a tensor that is larger than its file, as it repeats the same numbers."""
    size, waiting, seen = os.path.getsize(path), [(None, content)], set()
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict) and id(value) not in seen:
            seen.add(id(value))                 # a dict may hold itself
            waiting += value.items()
        elif isinstance(value, torch.Tensor) and value.numel() * value.element_size() > size:
            raise BadData(f"{path}: the tensor {name!r} of shape {tuple(value.shape)} is larger than the file, as it repeats "
                          f"numbers. Save a copy of it: tensor.contiguous().")


def _read_safetensors(path):
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file
    try:
        state = load_file(path)
        with safe_open(path, "pt") as opened:
            checksum = (opened.metadata() or {}).get(documents.CHECKSUM)
    except SafetensorError as error:
        raise BadData(f"{path}: is no whole safetensors file ({error}).") from None
    if checksum is not None and checksum != fingerprints.of_state(state):       # mc2 writes one, others do not
        raise BadData(f"{path}: is damaged: its weights do not fit its checksum. Copy or export it again.")
    return state


def refuse_damaged(path):
    """Raise BadData where a file of torch.save does not fit its own CRC-32s, which PyTorch itself does not look at.

    All of the file is read, some GB/s in several threads. Files of PyTorch before 1.6 have no checksums, nor have those
    that were written after torch.serialization.set_crc32_options(False): these pass.
    """
    if not zipfile.is_zipfile(path) or not os.path.getsize(path):
        return                              # cut off, or of another form: reading it tells
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data, \
            concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        try:
            members = zipfile.ZipFile(stream).infolist()
            _refuse_compressed(path, members)
            has_checksums = any(member.CRC for member in members)
            damaged = [member.filename for member, is_whole in
                       zip(members, pool.map(lambda member: _is_whole(data, member, has_checksums), members)) if not is_whole]
        except BadData:
            raise
        except Exception:                   # a damaged directory of the file raises anything
            damaged = ["its list of contents"]
    if damaged:
        raise BadData(f"{path}: is damaged: {damaged[0]} does not fit its checksum. Copy or fetch the file again; where it is "
                      f"a checkpoint of a run, remove it, and the one before it is used.")


def _refuse_compressed(path, members):
    """Raise BadData for an archive with compressed members: a kilobyte of them can hold a megabyte. The code of TorchScript
    is compressed, and is refused unread."""
    if any(member.filename.endswith("/constants.pkl") for member in members):
        return
    if packed := next((member for member in members if member.compress_type != zipfile.ZIP_STORED), None):
        raise BadData(f"{path}: its member {packed.filename!r} is compressed, which torch.save never does. Write the file "
                      f"again with torch.save.")


def _is_whole(data, member, has_checksums):
    """Whether a member of the zip file in `data` is named the same at both places, stored, and of its CRC-32. The code of
    TorchScript is compressed, and no business of this: such a file is refused anyway."""
    if "/code/" in member.filename:
        return True
    name_length, extra_length = struct.unpack_from("<HH", data, member.header_offset + 26)
    name = member.header_offset + 30
    start = name + name_length + extra_length
    with memoryview(data) as view:
        return data[member.header_offset:name - 26] == b"PK\3\4" and member.compress_type == zipfile.ZIP_STORED \
            and data[name:name + name_length] == member.orig_filename.encode() \
            and start + member.file_size <= len(data) \
            and (not has_checksums or zlib.crc32(view[start:start + member.file_size]) == member.CRC)


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
