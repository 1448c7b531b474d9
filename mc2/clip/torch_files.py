"""Files of torch.save and of safetensors. A pickle that would run code when read is refused (weights_only=True), and so
is a file that does not fit its checksums."""
import concurrent.futures
import mmap
import os
import pickle
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
        return _load_pickle(path)
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
            has_checksums = any(member.CRC for member in members)
            whole = pool.map(lambda member: _is_whole(data, member, has_checksums), members)
            damaged = [member.filename for member, is_whole in zip(members, whole) if not is_whole]
        except Exception:                   # a damaged directory of the file raises anything
            damaged = ["its list of contents"]
    if damaged:
        raise BadData(f"{path}: is damaged: {damaged[0]} does not fit its checksum. Copy or fetch the file again; where "
                      f"it is a checkpoint of a run, remove it, and the one before it is used.")


def _is_whole(data, member, has_checksums):
    """Whether a member of the zip file in `data` is named the same at both places, stored, and of its CRC-32. The code
    of TorchScript is compressed, and passes: such a file is refused anyway."""
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


def _first_line(error):
    return str(error).split("\n")[0][:200]
