"""A training run before it starts: its configuration, checked as far as that goes without torch, in run/config.json."""
import contextlib
import os
import shutil

from mc2 import __version__, documents, files, manifests, own, tar_names
from mc2.errors import BadData, BadUsage
from mc2.settings import REQUIRED
from mc2.training import plan, presets, sampled

KIND = "training run"

# Keys that may change when a run goes on; any other change would make it another run.
FREE = {"run": None, "compute": {"gpus", "workers", "prefetch", "grad_checkpointing", "torchcompile", "accum_freq",
                                "zero_stage"},
        "data": {"train_data", "pairs", "counts", "thresholds"},        # paths: what they hold is compared instead
        "model": {"tokenizer"}, "distill": {"teacher"}}
IDENTITY = {"tars": "the names of the tars", "pairs": "the files of pairs", "thresholds": "the content of data.thresholds",
            "tokenizers": "a tokenizer", "teacher": "the teacher"}


def configure(preset, growth=None, world=1):
    """The configuration of a run on `world` processes, as a dict of plain data. BadUsage or BadData where it cannot
    start."""
    values = preset.values
    if growth is not None:
        values = _grown(preset, growth)
    schedule = plan.schedule_of(preset, growth)
    _check_batch(schedule["global_batch"], world, values["compute"]["accum_freq"])
    data = values["data"]
    if data["train_data"] is None:
        raise BadUsage(f"{preset.source}: names no images. Give data.train_data, or --train-data 'tars/*.tar'.")
    if values["run"]["output"] is None:
        raise BadUsage(f"{preset.source}: names no output. Give run.output, or -o DIR.")
    tar_paths = _expanded(data["train_data"], tar_names.TARS)
    pairs = None if data["pairs"] is None else _expanded(data["pairs"], tar_names.PAIRS)
    if data["curation"] == "online":
        for key, maker in (("counts", "mc2 count"), ("thresholds", "mc2 thresholds")):
            if data[key] is None:
                raise BadUsage(f"{preset.source}: online curation needs data.{key} (--{key}), made by '{maker}'. Curated "
                               "pairs are trained on with data.curation = \"offline\".")
            if not os.path.exists(data[key]):
                raise BadUsage(f"{data[key]}: no such {key}. Make them with '{maker}'.")
        sampled.refuse(tar_paths if pairs is None else pairs)
    for tokenizer in (values["model"]["tokenizer"], *(more["tokenizer"] for more, _ in preset.students)):
        _refuse_missing_tokenizer(preset, tokenizer)
    students = [{**values, "architecture": architecture} for values, architecture in preset.students]
    if students and values["distill"]["teacher"] is None:
        raise BadUsage(f"{preset.source}: has [[students]] but no distill.teacher.")
    return {"mc2": __version__, "kind": KIND, "name": preset.name, "values": values, "schedule": schedule,
            "architecture": preset.architecture, "students": students, "inputs": {"tars": tar_paths, "pairs": pairs},
            "identity": {"tars": manifests.fingerprint([files.base_name(path) for path in tar_paths]),
                         "pairs": pairs and manifests.fingerprint([(files.base_name(path), size) for path, size in
                                                                   zip(pairs, files.map_paths(files.size, pairs))]),
                         "thresholds": manifests.sha256(data["thresholds"]) if data["curation"] == "online" else None,
                         "tokenizers": [_content_of(name) for name in
                                        (values["model"]["tokenizer"], *(more["tokenizer"] for more in students))],
                         "teacher": _content_of(values["distill"]["teacher"])}}


def _refuse_missing_tokenizer(preset, name):
    if name.endswith(".json") and not os.path.exists(name):
        raise BadUsage(f"{preset.source}: there is no tokenizer {name}. Make one with 'mc2 tokenizer PAIRS... -o {name}', "
                       "or name another with --set model.tokenizer=FILE.")


def _content_of(name):
    """SHA-256 of a file, or the name itself where it is not a file."""
    return manifests.sha256(name) if name and os.path.isfile(name) else name


def _grown(preset, growth):
    """The values with the batch and pairs of that growth, so that the run's configuration says what was done."""
    schedule = plan.schedule_of(preset, growth)
    return {**preset.values, "schedule": {**preset.values["schedule"], "growth": schedule["growth"],
                                          "global_batch": schedule["global_batch"],
                                          "train_num_samples": schedule["pairs_per_pass"]}}


def _check_batch(global_batch, world, accum_freq):
    batch = plan.batch_of(global_batch, world, accum_freq)
    if not batch["divides"]:
        nearest = " or ".join(f"{number:,}" for number in (batch["nearest_down"], batch["nearest_up"]) if number)
        raise BadUsage(f"the global batch of {global_batch:,} does not divide over {world:,} processes"
                       + (f" x {accum_freq} accumulated" if accum_freq > 1 else "")
                       + f"; the nearest that do: {nearest} (--set schedule.global_batch=N).")


def _expanded(patterns, suffixes):
    """[path] of all files that patterns and lists stand for, sorted, each once."""
    paths = sorted(tar_names.expand(patterns, suffixes))
    twice = next((path for path, other in zip(paths, paths[1:]) if path == other), None)
    if twice:
        raise BadUsage(f"{twice}: is named twice.")
    return paths


def path_of(run):
    return os.path.join(run, "config.json")


def read(run):
    """The configuration of a run directory. BadUsage where there is none."""
    try:
        config = documents.read(path_of(run), "Begin the run anew with -f, or copy the file back from elsewhere.")
    except FileNotFoundError:
        raise BadUsage(f"{run}: is not a run: it has no config.json.") from None
    if config.get("kind") != KIND:
        raise BadData(f"{path_of(run)}: is not the configuration of a training run.")
    return config


def differences(old, new):
    """["schedule.seed: 0, now 1", ...]: why `new` is another run than `old`."""
    found = []
    for section, content in new["values"].items():
        before = old["values"].get(section, {})
        for key in content.keys() | before.keys():
            free = FREE.get(section, set())
            if free is not None and key not in free and before.get(key, _default(section, key)) != content.get(key):
                found.append(f"{section}.{key}: {before.get(key)}, now {content.get(key)}")
    for what, name in IDENTITY.items():
        if old["identity"].get(what) != new["identity"].get(what):
            found.append(f"{name} changed")
    if old["architecture"] != new["architecture"]:
        found.append("the architecture changed")
    if [{**more, "tokenizer": None} for more in old["students"]] != [{**more, "tokenizer": None} for more in new["students"]]:
        found.append("the students changed")
    return sorted(found)


def _default(section, key):
    """What a run has that was made before there was this key."""
    rule = presets.KEYS.get(section, {}).get(key)
    return None if rule is None or rule.default is REQUIRED else rule.default


def has_begun(run):
    """Whether a step of the run is on disk, in its log or in a checkpoint."""
    with contextlib.suppress(FileNotFoundError):
        if os.path.getsize(os.path.join(run, "log.jsonl")):
            return True
    return any(name.startswith("step-") and name.endswith(".pt")
               for name in files.names_in(os.path.join(run, "checkpoints")))


def begin(config, force=False):
    """Make the run directory with config.json, or take up an earlier run of the same configuration. One that has not
    begun leaves its place to any other."""
    run = config["values"]["run"]["output"]
    manifests.refuse_foreign_directory(run, KIND)
    for name in ("checkpoints", "tensorboard", "wandb"):
        own.refuse_link(os.path.join(run, name))
    if force and os.path.isdir(run):
        for name in ("checkpoints", "tensorboard"):
            shutil.rmtree(os.path.join(run, name), ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(run, "log.jsonl"))
    elif os.path.exists(path_of(run)) and has_begun(run):
        if changed := differences(read(run), config):
            raise BadUsage(f"{run}: holds a run of another configuration ({'; '.join(changed[:4])}"
                           f"{' ...' if len(changed) > 4 else ''}). Name another output, or begin anew with -f.")
    os.makedirs(run, exist_ok=True)
    manifests.write(run, manifests.describe_run(
        KIND, [], {"preset": config["name"]}, paths={key: config["values"]["data"][key] for key in ("counts", "thresholds")
                                                     if config["values"]["data"][key]}))
    files.write_bytes(path_of(run), documents.dumped(config), is_own=True)
    return run
