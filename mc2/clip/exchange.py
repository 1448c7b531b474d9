"""Weights of a checkpoint for open_clip, and a checkpoint of weights from elsewhere.

The architecture is open_clip's own and its names of weights are kept, so nothing is converted: what is exported loads
with open_clip, and what open_clip or Meta CLIP published becomes a checkpoint.
"""
import json
import os

from mc2 import files, manifests
from mc2.clip import architecture, checkpoints, torch_files, trained_tokenizer
from mc2.clip.tokenizers import CLIP_BPE
from mc2.clip.weights import NO_WEIGHTS, differences, expected_shapes, stripped
from mc2.errors import BadData, BadUsage


# ---------------------------------------------------------------- out

def export(content, source, path, student=None):
    """Write the weights of a checkpoint's model to `path`, a state dict (or safetensors by its suffix), and open_clip's
    configuration of it beside, with the suffix .json. Returns (path of the configuration, notes for people).

    content: as checkpoints.load gives it; source: its name in messages; student: by name; None: the only or first one.
    """
    held = checkpoints.student_of(content, source, student)
    config = os.path.splitext(path)[0] + ".json"
    text = json.dumps(held["architecture"], indent=2) + "\n"
    _refuse_other_file(config, text)
    state = {name: weight.contiguous() for name, weight in held["state"].items()}
    save = torch_files.save_safetensors if files.has_suffix(path, torch_files.SAFETENSORS) else torch_files.save
    with files.open_write(path) as stream:
        save(state, stream)
    files.write_bytes(config, text.encode(), is_own=True)
    if files.is_kept(path):
        manifests.write_for_file(path, manifests.describe_run(
            "weights", [], {"student": held["name"]}, step=content["step"], seen_pairs=content["seen_pairs"],
            architecture=held["architecture"]))
    return config, list(_export_notes(content, held, student))


def _export_notes(content, held, student):
    if student is None and len(content["models"]) > 1:
        others = ", ".join(other["name"] for other in content["models"][1:])
        yield f"this is {held['name']}; there are also {others} (--student)"
    if held["tokenizer"] != CLIP_BPE and "hf_tokenizer_name" not in held["architecture"]["text_cfg"]:
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
    state = stripped(torch_files.read(path), path)
    dropped = sorted(NO_WEIGHTS & state.keys())
    expected = expected_shapes(config)
    state = {key: value for key, value in state.items() if key not in NO_WEIGHTS}
    if "logit_scale" in state and state["logit_scale"].numel() == 1:
        state["logit_scale"] = state["logit_scale"].reshape(())     # (1,) in some versions
    if problems := differences(state, expected):
        raise BadData(f"{path}: its weights are not those of {model}: {problems}. Name the architecture they were "
                      "trained with (--model).")
    state = {key: state[key].float() for key in expected}           # in the order of the architecture
    content = {"step": 0, "seen_pairs": 0, "config": {}, "models": [
        {"name": name, "architecture": config, "tokenizer": tokenizer, "state": state, "optimizer": None}],
        "data": [], "tallies": {}}
    return content, [f"left out {', '.join(dropped)}: no weights of this architecture"] if dropped else []


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
    found = config["text_cfg"].get("hf_tokenizer_name") or trained_tokenizer.by_vocabulary(config)
    if found is None:
        raise BadUsage(f"{model}: does not say which tokenizer it is trained with. Name it with --tokenizer.")
    return found
