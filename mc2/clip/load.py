"""Load a model by its name: a checkpoint of mc2 train, weights exported from one, or a model of open_clip.

    run/checkpoints/latest, run                 a checkpoint, or the newest of a run; PATH#NAME for a further student
    mine.pt                                     weights of mc2 checkpoint export, with mine.json beside
    hf                                          a folder that transformers or open_clip saved, or mc2 checkpoint export
    open_clip:NAME@FILE                         an architecture with weights from a local file, e.g. Meta's
    open_clip:NAME@TAG                          with published weights, which open_clip fetches
    open_clip:NAME, NAME                        with random weights

NAME is a model of open_clip or of this package (mc2/data/models).
"""
import json
import os

from mc2 import manifests
from mc2.clip import architecture, checkpoints, fingerprints, folders, from_open_clip, trained_tokenizer
from mc2.clip.encoder import Model
from mc2.clip.from_open_clip import OPEN_CLIP
from mc2.clip.model import build
from mc2.clip.torch_files import read
from mc2.clip.weights import differences, expected_shapes, fill, read_into, without_buffers
from mc2.errors import BadData, BadUsage


def load_model(name, device="cpu", precision="fp32", tokenizer=None, cache=None):
    """The mc2.clip.encoder.Model of that name (see above). BadUsage, BadData.

    tokenizer: a tokenizer.json or a name, in place of the model's own. cache: a directory where the hashes of large
    files are kept.
    """
    options = {"device": device, "precision": precision}
    if not name.startswith(OPEN_CLIP):
        path, student = _path_and_student(name)
        if os.path.exists(path):
            load = _load_folder if folders.is_folder(path) else _load_export if _is_export(path) else _load_checkpoint
            return load(path, student, name, tokenizer, cache, options)
        if not from_open_clip.is_known(name.partition("@")[0]):
            raise BadUsage(f"{name}: neither a checkpoint nor a model. Name a run or a checkpoint of mc2 train, or "
                           f"{OPEN_CLIP}NAME@WEIGHTS with a NAME of open_clip, e.g. {OPEN_CLIP}ViT-B-32.")
    return from_open_clip.load(name, tokenizer, cache, options)


def _path_and_student(name):
    """A `#` may also be part of a path."""
    if os.path.exists(name) or "#" not in name:
        return name, ""
    path, _, student = name.rpartition("#")
    return path, student


def _load_checkpoint(path, student, name, tokenizer, cache, options):
    content = checkpoints.load(path)
    held = checkpoints.student_of(content, path, student)
    config = held["architecture"]
    network = build(config)
    fill(network, held["state"], path)
    file = checkpoints.find(path) or path if os.path.isdir(path) else path
    found, notes = trained_tokenizer.of_checkpoint(tokenizer, held, os.path.realpath(file),
                                                   held is content["models"][0], name)
    return Model(network, found, name=name, notes=notes, **options, image_size=config["vision_cfg"]["image_size"],
                 fingerprint=fingerprints.of_values(fingerprints.of_file(file, cache), held["name"], config),
                 preprocess=checkpoints.preprocess_of(content))


def _load_folder(path, student, name, tokenizer, cache, options):
    if student:
        raise BadUsage(f"{name}: {path} holds one model, and no student {student}.")
    folder = folders.read(path, tokenizer)
    state, _ = without_buffers(folder.state())
    if problems := differences(state, expected_shapes(folder.architecture)):     # before memory for all of it is taken
        raise BadData(f"{path}: its weights are not those of its configuration: {problems}. Fetch or export it again.")
    network = build(folder.architecture)
    fill(network, state, path)
    found, notes = folders.tokenizer_of(folder, tokenizer)
    weights = [fingerprints.of_file(file, cache) for file in folder.files]
    return Model(network, found, name=name, notes=[*folder.notes, *notes], **options,
                 image_size=from_open_clip.image_size(folder.architecture), preprocess=folder.preprocess,
                 fingerprint=fingerprints.of_values(weights, folder.architecture))


def _is_export(path):
    """Whether this is a file of weights that is no checkpoint, with a configuration of its name beside."""
    if not os.path.isfile(path) or not os.path.isfile(from_open_clip.configuration_path(path)):
        return False
    beside = from_open_clip.configuration_beside(path)
    if not beside or beside.file != os.path.basename(from_open_clip.configuration_path(path)):
        return False
    return not checkpoints.is_checkpoint(read(path))


def _load_export(path, student, name, tokenizer, cache, options):
    if student:
        raise BadUsage(f"{name}: {path} holds one model, and no student {student}.")
    beside = from_open_clip.configuration_beside(path)
    config_path = from_open_clip.configuration_path(path)
    config = architecture.parse(json.dumps(beside.model), config_path)
    exported = manifests.read_of_input(path) or {}
    if exported.get("architecture", config) != config:
        raise BadData(f"{config_path}: is not the configuration that was exported with {path}: it is damaged, or was "
                      f"changed. Export both again. Where it was changed on purpose, delete {manifests.beside(path)}.")
    own = config["text_cfg"].get("hf_tokenizer_name") or tokenizer or trained_tokenizer.by_vocabulary(config)
    if own is None:
        raise BadUsage(f"{name}: its configuration does not say which tokenizer it was trained with. Name it with "
                       "--tokenizer.")
    network = build(config)
    read_into(network, path)
    found, notes = trained_tokenizer.of_configuration(tokenizer or own, own, config, name)
    return Model(network, found, name=name, notes=notes, **options,
                 image_size=from_open_clip.image_size(config), preprocess=beside.preprocess,
                 fingerprint=fingerprints.of_values(fingerprints.of_file(path, cache), config))
