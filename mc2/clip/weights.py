"""Weights of a checkpoint in open_clip's layout, and a checkpoint of weights in that layout.

The architecture is open_clip's own and its names of weights are kept, so nothing is converted: what is exported loads
with open_clip, and what open_clip or Meta CLIP published becomes a checkpoint. Files are read with weights_only=True:
a pickle that would run code is refused.
"""
import json
import os
import pickle
import warnings

import torch

from mc2 import __version__, files
from mc2.clip import architecture, checkpoints
from mc2.clip import model as building
from mc2.errors import BadData, BadUsage

SAFETENSORS = ".safetensors"
OPENAI = "openai"               # CLIP's own tokenizer
OPENAI_VOCABULARY = 49408
PREFIXES = ("module.", "_orig_mod.")            # of DistributedDataParallel and torch.compile
# What is in some files and no weight of a CLIP: the causal mask and sizes, which follow from the architecture, and
# the bias of a sigmoid loss, which moves all logits alike and so no softmax.
NO_WEIGHTS = {"attn_mask", "input_resolution", "context_length", "vocab_size", "logit_bias"}


# ---------------------------------------------------------------- out

def export(content, source, path, student=None):
    """Write the weights of a checkpoint's model to `path`, a state dict (or safetensors by its suffix), and open_clip's
    configuration of it beside, with the suffix .json. Returns (path of the configuration, notes for people).

    content: as checkpoints.load gives it; source: its name in messages; student: by name; None: the only or first one.
    """
    held = student_of(content, source, student)
    config = os.path.splitext(path)[0] + ".json"
    text = json.dumps(held["architecture"], indent=2) + "\n"
    _refuse_other_file(config, text)
    state = {name: weight.contiguous() for name, weight in held["state"].items()}
    with files.open_write(path) as stream:
        if files.has_suffix(path, SAFETENSORS):
            from safetensors.torch import save
            stream.write(save(state, metadata={"format": "pt"}))
        else:
            torch.save(state, stream)
    files.write_bytes(config, text.encode())
    return config, list(_export_notes(content, held, student))


def student_of(content, source, student=None):
    """The model of that name in a checkpoint, or its first."""
    models = content["models"]
    if student is None:
        return models[0]
    for held in models:
        if held["name"] == student:
            return held
    raise BadUsage(f"{source}: has no student {student}. It has {', '.join(held['name'] for held in models)}.")


def _export_notes(content, held, student):
    if student is None and len(content["models"]) > 1:
        others = ", ".join(other["name"] for other in content["models"][1:])
        yield f"this is {held['name']}; there are also {others} (--student)"
    if held["tokenizer"] != OPENAI and "hf_tokenizer_name" not in held["architecture"]["text_cfg"]:
        yield (f"open_clip.get_tokenizer would give CLIP's own tokenizer; this model was trained with "
               f"{held['tokenizer']}")


def _refuse_other_file(path, text):
    if not os.path.exists(path):
        return
    with open(path, "rb") as stream:
        if stream.read() != text.encode():
            raise BadUsage(f"{path}: holds something else, and the model's configuration would go there. Name another "
                           "output, or remove it.")


# ---------------------------------------------------------------- in

def import_(path, model, tokenizer=None):
    """(content of a checkpoint of step 0 with the weights of a file, notes for people).

    path: a state dict of open_clip's layout, alone or as `state_dict` or `model` of a training checkpoint, with or
        without the prefixes of DDP and torch.compile, of any precision; pickled or .safetensors.
    model: name of a configuration in mc2/data/models, or a .json file of that form.
    tokenizer: name or path; None: the one that the configuration names, or CLIP's own for its vocabulary.
    BadData where the weights are not, name by name and shape by shape, those of the architecture.
    """
    config, name = _architecture(model)
    tokenizer = tokenizer or _tokenizer_of(config, model)
    state = stripped(read(path), path)
    dropped = sorted(NO_WEIGHTS & state.keys())
    expected = expected_shapes(config)
    state = {key: value for key, value in state.items() if key not in NO_WEIGHTS}
    if "logit_scale" in state and state["logit_scale"].numel() == 1:
        state["logit_scale"] = state["logit_scale"].reshape(())     # (1,) in some versions
    _compare({key: tuple(value.shape) for key, value in state.items()}, expected, path, model)
    state = {key: state[key].float() for key in expected}           # in the order of the architecture
    content = {"kind": checkpoints.KIND, "mc2": __version__, "step": 0, "seen_pairs": 0, "config": {},
               "models": [{"name": name, "architecture": config, "tokenizer": tokenizer, "state": state,
                           "optimizer": None}],
               "data": [], "tallies": {}}
    return content, [f"left out {', '.join(dropped)}: no weights of this architecture"] if dropped else []


def write(content, path):
    """Write a checkpoint to any path. (Those of a run: checkpoints.save.)"""
    with files.open_write(path) as stream:
        torch.save(content, stream)


def read(path):
    """What a file of weights holds, on the CPU. BadData for what is damaged, or a pickle of more than plain values."""
    if files.has_suffix(path, SAFETENSORS):
        from safetensors import SafetensorError
        from safetensors.torch import load_file
        try:
            return load_file(path)
        except SafetensorError as error:
            raise BadData(f"{path}: is no whole safetensors file ({error}).") from None
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


_UNSAFE = ("{path}: holds {what}, which could run code when loaded; it is refused. Where you trust it, take its state "
           "dict out with torch, torch.save(model.state_dict(), 'weights.pt'), and import that.")


def _load_pickle(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")         # what they say is in our errors
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap can only be used" not in str(error):
                raise
            return torch.load(path, map_location="cpu", weights_only=True)      # torch's format before 1.6


def stripped(state, source):
    """{name: tensor}: the state dict in what a file holds, its names without prefixes."""
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if isinstance(state, dict) and state.get("kind") == checkpoints.KIND:
        raise BadUsage(f"{source}: is a checkpoint of mc2 train already.")
    if not isinstance(state, dict) or not any(map(torch.is_tensor, state.values())):
        raise BadData(f"{source}: holds no state dict, neither at the top nor under `state_dict` or `model`.")
    found = {_plain(name): value for name, value in state.items() if torch.is_tensor(value)}
    if "text.token_embedding.weight" in found:              # open_clip's CustomTextCLIP has a text tower of its own
        found = {name.removeprefix("text."): value for name, value in found.items()}
    return found


def _plain(name):
    while name.startswith(PREFIXES):
        name = name.split(".", 1)[1]
    return name


def expected_shapes(config):
    """{name of a weight: shape} of an architecture, in open_clip's order; no weight is made."""
    with torch.device("meta"):
        state = building.build(config, device="meta").state_dict()
    return {name: tuple(weight.shape) for name, weight in state.items()}


def _compare(found, expected, path, model):
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    misshapen = [f"{name} is {_size(found[name])}, not {_size(shape)}" for name, shape in expected.items()
                 if name in found and found[name] != shape]
    problems = [f"{len(names):,} {what} ({'; '.join(names[:3])}{'; ...' if len(names) > 3 else ''})"
                for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
                if names]
    if problems:
        raise BadData(f"{path}: its weights are not those of {model}: {', '.join(problems)}. Name the architecture "
                      "they were trained with (--model).")


def _size(shape):
    return " x ".join(map(str, shape)) or "a scalar"


def _architecture(model):
    """(configuration, name) of a name in mc2/data/models or a .json file."""
    if model.endswith(".json"):
        try:
            with open(model, encoding="utf-8") as stream:
                return architecture.parse(stream.read(), model), os.path.basename(model)[:-len(".json")]
        except (FileNotFoundError, IsADirectoryError):
            raise BadUsage(f"{model}: no such file.") from None
        except UnicodeDecodeError:
            raise BadData(f"{model}: not UTF-8.") from None
    try:
        return architecture.load(model), model
    except KeyError:
        raise BadUsage(f"{model}: no such model. There are {', '.join(architecture.names())}; or name a .json "
                       "file of open_clip's form.") from None


def _tokenizer_of(config, model):
    text_cfg = config["text_cfg"]
    if "hf_tokenizer_name" in text_cfg:
        return text_cfg["hf_tokenizer_name"]
    if text_cfg["vocab_size"] == OPENAI_VOCABULARY:
        return OPENAI
    raise BadUsage(f"{model}: does not say which tokenizer it is trained with. Name it with --tokenizer.")


def _first_line(error):
    return str(error).split("\n")[0][:200]


# ---------------------------------------------------------------- what a checkpoint is

def describe(content):
    """What a checkpoint holds, without its tensors, as a dict that JSON can hold."""
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
    for what, row in sorted(description["tallies"].items()):
        rows += [(what, f"{name}: {count:,.10g}") for name, count in sorted(row.items())]
    return [f"{label:<14} {text}" for label, text in rows]
