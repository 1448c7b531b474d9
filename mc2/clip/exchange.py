"""Weights of a checkpoint for other tools, and a checkpoint of weights from elsewhere.

The architecture is open_clip's own and its names of weights are kept: what is exported loads with open_clip, and what
open_clip or Meta CLIP published becomes a checkpoint. transformers' form is converted (metaclip2.py). What the weights
do not say themselves goes along both ways: activation, tokenizer, and how images are prepared.
"""
import json
import os
from typing import NamedTuple

from mc2 import files, manifests
from mc2.clip import (architecture, checkpoints, folders, model_card, to_transformers, tokenizer_files, tokenizers,
                      torch_files, trained_tokenizer)
from mc2.clip.encoder import PREPROCESS, Transform, described
from mc2.clip.from_open_clip import OPEN_CLIP_CONFIG, Named, check_activation, configuration_beside, preprocess_of
from mc2.clip.images import AFTER_RESIZE
from mc2.clip.load import load_model
from mc2.clip.tokenizers import CLIP_BPE
from mc2.clip.weights import differences, expected_shapes, stripped, without_buffers
from mc2.errors import BadData, BadUsage

FOLDER_OF_OPEN_CLIP = "open_clip model"         # a kind of directory, in its manifest


# ---------------------------------------------------------------- out

def export(content, source, path, student=None):
    """Write the weights of a checkpoint's model to `path`, a state dict (or safetensors by its suffix), and open_clip's
    configuration of it beside, with the suffix .json. Returns (path of the configuration, notes for people).

    content: as checkpoints.load gives it; source: its name in messages; student: by name; None: the only or first one.
    """
    held = checkpoints.student_of(content, source, student)
    config = os.path.splitext(path)[0] + ".json"
    text = json.dumps(held["architecture"], indent=2) + "\n"
    _refuse_other_file(config, text.encode(), "the model's configuration")
    state = {name: weight.contiguous() for name, weight in held["state"].items()}
    save = torch_files.save_safetensors if files.has_suffix(path, torch_files.SAFETENSORS) else torch_files.save
    with files.open_write(path) as stream:
        save(state, stream)
    files.write_bytes(config, text.encode(), is_own=True)
    if files.is_kept(path):
        manifests.write_for_file(path, _manifest("weights", content, held))
    return config, [*_which_student(content, held, student), *_export_notes(content, held)]


def export_folder(content, source, path, form, student=None, tokenizer=None, licence=None):
    """Write a checkpoint's model as a folder with all that open_clip (as local-dir:PATH) or transformers needs. Returns
    notes for people.

    form: open_clip or transformers; tokenizer: a file, in place of the one that is kept beside the checkpoint; licence:
    of the model; the others: see export.
    """
    held = checkpoints.student_of(content, source, student)
    kind = FOLDER_OF_OPEN_CLIP if form == "open_clip" else to_transformers.KIND
    manifests.refuse_foreign_directory(path, kind)
    model = load_model(f"{source}#{held['name']}", tokenizer=tokenizer)
    notes = [*_which_student(content, held, student), *model.notes]
    if form == "open_clip":
        _write_for_open_clip(content, held, path, model.tokenizer)
        return notes
    name = os.path.basename(os.path.abspath(path))
    card = model_card.Card(name, content, held, described(model.tokenizer), str(model.transform), licence,
                           model_card.origins_of(content))
    difference = to_transformers.export(model, held, content, path, card)
    if model.transform.rgb == AFTER_RESIZE:
        notes.append("transformers makes images RGB before it resizes them, this model after that: pixels of images "
                     "with a palette or transparency differ there")
    notes.append(f"transformers gives the features of mc2, but for {difference:.0e}")
    if licence is None:
        notes.append(f"{os.path.join(path, model_card.NAME)} names no licence of the model (--licence)")
    return notes


def _write_for_open_clip(content, held, path, tokenizer):
    config = json.loads(json.dumps(held["architecture"]))
    if tokenizer.definition is not None:            # with a name here, open_clip takes the folder's own tokenizer.json
        config["text_cfg"].setdefault("hf_tokenizer_name", tokenizer_files.DEFINITION)
    preprocess = {"size": config["vision_cfg"]["image_size"], "mode": "RGB", **_for_open_clip(PREPROCESS),
                  **_for_open_clip(checkpoints.preprocess_of(content))}
    with files.open_directory(path) as folder:
        with open(os.path.join(folder, folders.WEIGHTS["open_clip"][0]), "wb") as stream:
            torch_files.save_safetensors({name: weight.contiguous() for name, weight in held["state"].items()}, stream)
        with open(os.path.join(folder, OPEN_CLIP_CONFIG), "w", encoding="utf-8") as stream:
            stream.write(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}, indent=2) + "\n")
        if tokenizer.definition is not None:
            tokenizer_files.write(tokenizer, folder)
        manifests.write(folder, _manifest(FOLDER_OF_OPEN_CLIP, content, held))


def _for_open_clip(preprocess):
    """What open_clip knows of how images are prepared."""
    return {key: preprocess[key] for key in checkpoints.PREPROCESS if key in preprocess}


def _manifest(kind, content, held):
    return manifests.describe_run(
        kind, [], {"student": held["name"]}, step=content["step"], seen_pairs=content["seen_pairs"],
        architecture=held["architecture"], preprocess=checkpoints.preprocess_of(content))


def _which_student(content, held, student):
    if student is None and len(content["models"]) > 1:
        others = ", ".join(other["name"] for other in content["models"][1:])
        yield f"this is {held['name']}; there are also {others} (--student)"


def _export_notes(content, held):
    """Yield what open_clip cannot know from a file of weights and its configuration."""
    if held["tokenizer"] != CLIP_BPE and "hf_tokenizer_name" not in held["architecture"]["text_cfg"]:
        yield (f"open_clip.get_tokenizer would give CLIP's own tokenizer; this model was trained with "
               f"{held['tokenizer']}")
    found = _for_open_clip(checkpoints.preprocess_of(content)).items()
    if other := [f"{key} {json.dumps(value)}" for key, value in found if list(value) != list(PREPROCESS[key])]:
        yield (f"open_clip would prepare images in CLIP's own way; this model has {', '.join(other)}. "
               "'--format open_clip' writes a folder that says so")


def _refuse_other_file(path, data, what):
    if not os.path.exists(path):
        return
    with open(path, "rb") as stream:
        if stream.read() != data:
            raise BadUsage(f"{path}: holds something else, and {what} would go there. Name another output, or remove "
                           "it.")


# ---------------------------------------------------------------- in

class Imported(NamedTuple):
    """A checkpoint of step 0. content: as checkpoints.write takes it; notes: for people; tokenizer: the bytes of its
    tokenizer.json, which belongs beside it, or None."""

    content: dict
    notes: list
    tokenizer: bytes | None = None


def import_(path, model=None, tokenizer=None):
    """The Imported checkpoint of step 0 with the weights of a file, or of a folder of transformers or open_clip.

    path: a folder; or a state dict of open_clip's layout, alone or as `state_dict` or `model` of a training checkpoint,
        with or without the prefixes of DDP and torch.compile, of any precision; pickled or .safetensors.
    model: name of a configuration in mc2/data/models, or a .json file of that form; None: that of the folder, or beside
        the file.
    tokenizer: name or path; None: the one of the folder, or that the configuration names, or CLIP's own for its
        vocabulary.
    BadData where the weights are not, name by name and shape by shape, those of the architecture, or were trained with
    another activation.
    """
    if os.path.isdir(path):
        return _import_folder(path, model, tokenizer)
    beside = configuration_beside(path)
    if model is None and beside is None:
        raise BadUsage(f"{path}: nothing beside it says which architecture it is of. Name it with --model.")
    config, name = _architecture(model) if model else _architecture_beside(path, beside)
    named = Named(path, model or name, path, {}, beside)
    notes = check_activation(named, config, _advice, lambda other: other in architecture.names())
    preprocess, more = preprocess_of(named)
    state = stripped(torch_files.read(path), path)
    own = config["text_cfg"].get("hf_tokenizer_name") or trained_tokenizer.by_vocabulary(config)
    if tokenizer and own and os.path.exists(tokenizer):             # one that cannot be the model's is refused
        more = [*more, *trained_tokenizer.of_configuration(tokenizer, own, config, path)[1]]
    tokenizer = tokenizer or _tokenizer_of(config, model or path)
    expected = _Expected(model or name, "Name the architecture they were trained with (--model).")
    return _imported(state, path, name, config, preprocess, tokenizer, [*notes, *more], expected)


def _import_folder(path, model, tokenizer):
    if not folders.is_folder(path):
        raise BadUsage(f"{path}: is no folder of transformers (config.json with a model_type) or of open_clip "
                       f"({OPEN_CLIP_CONFIG}). Name the file of weights in it, and --model.")
    if model:
        raise BadUsage(f"{path}: says itself what model it is; leave out --model {model}.")
    folder = folders.read(path, tokenizer)
    found, notes = folders.tokenizer_of(folder, tokenizer)
    name = os.path.basename(os.path.abspath(path))
    state = folder.state()
    expected = _Expected("the configuration beside them", "Fetch or export the folder again.")
    return _imported(state, path, name, folder.architecture, folder.preprocess, found.name, [*folder.notes, *notes],
                     expected)


class _Expected(NamedTuple):
    """Of which architecture weights have to be, and what to do where they are not, for messages."""

    name: str
    advice: str


def _imported(state, path, name, config, preprocess, tokenizer, notes, of):
    """The Imported checkpoint of a state dict. BadData where that or its tokenizer is of another architecture."""
    Transform(config["vision_cfg"]["image_size"], **{key: preprocess[key] for key in ("interpolation", "resize_mode")
                                                     if key in preprocess})     # refuses what mc2 cannot do
    expected = expected_shapes(config)
    state, dropped = without_buffers(state)
    if problems := differences(state, expected):
        raise BadData(f"{path}: its weights are not those of {of.name}: {problems}. {of.advice}")
    state = {key: state[key].float() for key in expected}           # in the order of the architecture
    held = {"name": name, "architecture": config, "tokenizer": tokenizer, "state": state, "optimizer": None}
    definition = None
    if os.path.exists(tokenizer):
        found = tokenizers.load(tokenizer, config["text_cfg"])
        definition = found.definition
        held |= {"tokenizer": tokenizer_files.DEFINITION, "tokenizer_fingerprint": found.fingerprint}
    content = {"step": 0, "seen_pairs": 0, "models": [held], "data": [], "tallies": {},
               "config": {"data": {f"image_{key}": value for key, value in preprocess.items()}} if preprocess else {}}
    if dropped:
        notes = [*notes, f"left out {', '.join(dropped)}: no weights of this architecture"]
    return Imported(content, notes, definition)


def write(imported, path):
    """Write an Imported checkpoint, and its tokenizer beside, where a model is loaded with it. BadUsage where another
    one is there."""
    beside = os.path.join(os.path.dirname(path), tokenizer_files.DEFINITION)
    if imported.tokenizer is not None:
        _refuse_other_file(beside, imported.tokenizer, "the model's tokenizer")
    checkpoints.write(imported.content, path)
    if imported.tokenizer is not None and files.is_kept(path):
        files.write_bytes(beside, imported.tokenizer, is_own=True)


def _advice(other):
    return f"Name --model {other}."


def _architecture_beside(path, beside):
    """(configuration, name) of the configuration beside a file of weights."""
    return architecture.parse(json.dumps(beside.model), os.path.join(os.path.dirname(path), beside.file)), \
        os.path.splitext(os.path.basename(path))[0]


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
