"""`mc2 train --init`: a complete run from a preset, in a directory: run.toml, and for a preset without a tokenizer of
its own also tokenizer.json and model.json.

Where the tars are at hand, the tokenizer is trained on their texts, and the schedule of a preset for more pairs than
there are is cut down to them: a batch of no more than all of them, as many steps as the preset has.
"""
import copy
import glob
import itertools
import json
import os
import re

from mc2 import files, manifests, tar_names
from mc2.errors import BadData, BadUsage
from mc2.training import job, plan, sampled, texts

MOST_TEXTS = 1_000_000          # that a tokenizer is trained on
CONTEXTS = (16, 32, 64, 77)     # tokens of a text that the model sees: the least of these that suits nearly all texts
NEARLY_ALL = 0.95
MOST_PASSES = 400               # over fewer pairs than the preset is for
CONTEXT_OF_BYTES = 64           # where there are no texts to make a tokenizer of
USUAL = "tars"                  # the directory of tars where none is named
FILES = ("run.toml", "model.json", "tokenizer.json")
LINE = re.compile(r"(?P<key>\w+)\s*=\s*(?P<value>\"[^\"]*\"|\[[^\]]*\]|[^#]*?)(?P<comment>\s*#.*)?")
COMMENTS = {
    ("model", "name"): "one that mc2 has, or a .json file beside this one",
    ("model", "tokenizer"): "a tokenizer.json, a name on the Hub, or openai (CLIP's own)",
    ("data", "train_data"): "tars: a pattern, a directory, @list.txt or a list of these",
    ("data", "pairs"): "a file of pairs per tar, of its name; absent: the tars hold the texts",
    ("data", "curation"): "offline: all pairs as they are; online: draws by counts and thresholds",
    ("data", "counts"): "of mc2 count, for online curation",
    ("data", "thresholds"): "of mc2 thresholds, for online curation",
    ("optimizer", "lr"): "the highest learning rate, after the warm-up",
    ("optimizer", "wd"): "weight decay",
    ("schedule", "epochs"): "passes",
    ("schedule", "train_num_samples"): "pairs of one pass",
    ("schedule", "global_batch"): "pairs of a step, on all GPUs together",
    ("compute", "gpus"): "for mc2 plan",
    ("compute", "precision"): "fp32, or on GPUs amp_bf16 or bf16",
    ("compute", "grad_checkpointing"): "true: less memory, more time",
    ("compute", "accum_freq"): "parts in which a batch goes through the model",
    ("compute", "workers"): "processes per GPU that decode images",
    ("compute", "zero_stage"): "1: ZeRO, the optimizer's state is divided over the GPUs; 0: whole on each",
    ("run", "output"): "config.json, log.jsonl and checkpoints/ go here",
    ("run", "save_steps"): "steps between checkpoints",
    ("run", "log_steps"): "steps between lines of log.jsonl",
    ("run", "keep_checkpoints"): "the newest, so many",
}
COLUMN = 36                     # where comments begin, as in the presets


def write(preset, directory, force=False):
    """Write the run of a Preset with its changes. ([what was done, for people], the tars that it names or None)"""
    _refuse_what_is_there(directory, force)
    said, changes = [], {(section, key): value for section, key, value in preset.changes}
    data = preset.values["data"]
    if data["train_data"] is None and glob.glob(os.path.join(USUAL, "*.tar")):
        changes["data", "train_data"] = USUAL
    is_online = data["counts"] is not None and data["thresholds"] is not None
    changes.setdefault(("data", "curation"), "online" if is_online else "offline")
    if data["curation"] == "online" and not is_online:
        changes["data", "curation"] = "offline"
        said.append("curation is offline: all pairs as they are (online with -c COUNTS and -t THRESHOLDS)")
    sources, own = _sources(changes, said), {}
    if changes["data", "curation"] == "online":
        sampled.refuse(sources)
    if preset.values["model"]["tokenizer"].endswith(".json"):
        own, n_pairs = _tokenizer_and_model(preset, changes, sources, said)
    else:
        n_pairs = _count(itertools.islice(texts.of_files(sources), MOST_TEXTS))
    if 0 < n_pairs < MOST_TEXTS:
        _cut_down(preset, n_pairs, changes)
        said.append(f"{n_pairs:,} pairs: batches of {changes['schedule', 'global_batch']:,}, "
                    f"{changes['schedule', 'epochs']:,} passes")
    changes.setdefault(("run", "output"), directory)
    for key in ("save_steps", "log_steps", "keep_checkpoints"):
        changes.setdefault(("run", key), preset.values["run"][key])
    located = {where: _from(directory, where, value) for where, value in changes.items()}
    text = _header(preset, directory, changes) + with_values(_without_header(preset.text), located, COMMENTS)
    os.makedirs(directory, exist_ok=True)
    manifests.write(directory, manifests.describe_run(job.KIND, [], {"preset": preset.name}))
    for name, content in {**own, "run.toml": text.encode()}.items():
        files.write_bytes(os.path.join(directory, name), content, is_own=True)
    return said, changes.get(("data", "train_data"))


def _refuse_what_is_there(directory, force):
    manifests.refuse_foreign_directory(directory, job.KIND)
    if job.has_begun(directory):
        raise BadUsage(f"{directory}: a run has begun here. Name another directory.")
    there = next((name for name in FILES if os.path.exists(os.path.join(directory, name))), None)
    if there and not force:
        raise BadUsage(f"{os.path.join(directory, there)}: is there already. Name another directory, or replace it with "
                       "-f.")


def _sources(changes, said):
    """The local files that the texts are in: the pairs, else the tars; [] where none are named, or they are not there
    yet."""
    try:
        if pairs := changes.get(("data", "pairs")):
            found = tar_names.expand(pairs, tar_names.PAIRS)
        else:
            found = tar_names.expand(changes.get(("data", "train_data"), []))
    except BadUsage as error:
        said.append(f"note: {error} The run is written as if they were there.")
        return []
    return [] if any(map(files.is_remote, found)) else found


def _count(items):
    return sum(1 for _ in items)


def _tokenizer_and_model(preset, changes, sources, said):
    """({name: bytes} of the tokenizer and the model's configuration, number of pairs). Says what was done."""
    from mc2 import extras
    extras.need("train", "tokenizers")
    from tokenizers import Tokenizer
    from mc2.clip import tokenizer_training
    architecture = copy.deepcopy(preset.architecture)
    found = list(itertools.islice(texts.of_files(sources), MOST_TEXTS))
    given = changes.get(("model", "tokenizer"))
    own = {}
    if given is not None and os.path.isfile(given):
        with open(given, "rb") as stream:
            made = Tokenizer.from_buffer(stream.read())
    elif sources and not found:
        raise BadData(f"{files.name_of(sources[0])}: holds no texts, nor do the other {len(sources) - 1:,}. Name the files "
                      "with the pairs of the tars: --pairs 'pairs/*.jsonl.zst'.")
    else:
        made = tokenizer_training.trained(
            found, architecture["text_cfg"]["vocab_size"] if found else tokenizer_training.LEAST)
        own["tokenizer.json"] = made.to_str().encode()
        changes["model", "tokenizer"] = None
        said.append(f"a tokenizer of {made.get_vocab_size():,} tokens, trained on {len(found):,} texts" if found else
                    "a tokenizer of bytes, as there are no texts yet; 'mc2 tokenizer' trains a better one")
    architecture["text_cfg"]["vocab_size"] = made.get_vocab_size()
    architecture["text_cfg"]["context_length"] = _context(made, found, architecture["text_cfg"]["context_length"])
    if architecture != preset.architecture:
        own["model.json"] = json.dumps(architecture, indent=2).encode() + b"\n"
        changes["model", "name"] = None
    return own, len(found)


def _context(tokenizer, found, least):
    """The tokens of a text that the model is to see, with those before and after it."""
    if not found:
        return max(least, CONTEXT_OF_BYTES)
    lengths = sorted(len(encoding.ids) for encoding in tokenizer.encode_batch(found[:10_000]))
    wanted = lengths[int(NEARLY_ALL * (len(lengths) - 1))]
    return max(least, next((context for context in CONTEXTS if context >= wanted), CONTEXTS[-1]))


def _cut_down(preset, n_pairs, changes):
    """Make the schedule one for so few pairs, where it is for more; what the user chose stays."""
    schedule, compute = preset.values["schedule"], preset.values["compute"]
    batch = schedule["global_batch"]
    while batch > n_pairs:
        batch //= 2
    samples = min(n_pairs, schedule["train_num_samples"])
    steps = plan.schedule_of(preset)["steps"]
    passes = max(schedule["epochs"], min(MOST_PASSES, -(-steps // (samples // batch))))
    for key, value in (("train_num_samples", samples), ("global_batch", batch), ("epochs", passes)):
        changes.setdefault(("schedule", key), value)
    changes.setdefault(("compute", "workers"), max(1, min(compute["workers"], n_pairs // (2 * batch))))
    samples, batch, passes = (changes["schedule", key] for key in ("train_num_samples", "global_batch", "epochs"))
    changes.setdefault(("schedule", "warmup"), min(schedule["warmup"], passes * max(1, samples // batch) // 10))


# ---------------------------------------------------------------- run.toml

def _from(directory, where, value):
    """A value as run.toml has it: paths from its directory, where those of the command line are from here."""
    if where == ("model", "tokenizer") and value is None:
        return "tokenizer.json"
    if where == ("model", "name") and value is None:
        return "model.json"
    is_path = where in {("data", "train_data"), ("data", "pairs"), ("data", "counts"), ("data", "thresholds"),
                        ("run", "output")} or where[0] == "model" and str(value).endswith(".json")
    if not is_path:
        return value
    return [_path_from(directory, each) for each in value] if isinstance(value, list) else _path_from(directory, value)


def _path_from(directory, path):
    if path.startswith("@"):
        return "@" + _path_from(directory, path[1:])
    if "::" in path and not files.is_remote(path):
        return "::".join(_path_from(directory, part) for part in path.split("::"))
    return path if files.is_remote(path) or os.path.isabs(path) else os.path.relpath(path, directory)


def with_values(text, values, comments=None):
    """A TOML text with other values of its keys: {(section, key): value}. Comments stay, and lines without one get that
    of `comments`; a key that is not there comes at the end of its section, a section at the end."""
    left, comments = dict(values), comments or {}
    lines, section = [], None
    for line in [*text.rstrip("\n").split("\n"), "[]"]:
        head = re.fullmatch(r"\[(\w*)\]\s*(#.*)?", line)
        if head:
            _insert(lines, section, left, comments)
            section = head[1]
        elif found := LINE.fullmatch(line):
            where = section, found["key"]
            known = [(found["comment"] or "").strip(), comments.get(where)]
            if where in left:                           # what a preset says of its value may not hold of another one
                line = _assignment(found["key"], _toml(left.pop(where)), known[1] or known[0])
            else:
                line = _assignment(found["key"], found["value"].strip(), known[0] or known[1])
        lines.append(line)
    lines.pop()
    for section in dict.fromkeys(section for section, _ in left):
        lines += ["", f"[{section}]"]
        _insert(lines, section, left, comments)
    return "\n".join(lines).rstrip("\n") + "\n"


def _insert(lines, section, left, comments):
    """Add the keys of a section that are left, before the blank lines at its end."""
    blank = 0
    while lines and not lines[-1].strip():
        lines.pop()
        blank += 1
    for where in [where for where in left if where[0] == section]:
        lines.append(_assignment(where[1], _toml(left.pop(where)), comments.get(where)))
    lines += [""] * blank


def _assignment(key, value, comment=None):
    line = f"{key} = {value}"
    return f"{line:<{COLUMN - 1}} # {comment.removeprefix('#').strip()}" if comment else line


def _toml(value):
    return json.dumps(value, ensure_ascii=False)        # texts, numbers, true, false and lists are the same in both


def _without_header(text):
    lines = text.split("\n")
    return "\n".join(itertools.dropwhile(lambda line: not line.startswith("["), lines))


def _header(preset, directory, changes):
    """The first comment of run.toml: what this is, and what to do with it."""
    header = list(itertools.takewhile(lambda line: line.startswith("#"), preset.text.split("\n")))
    config = os.path.join(directory, "run.toml")
    named = ("data", "train_data") in changes
    lines = [f"# A run of mc2 train, made by `mc2 train --init {preset.name}`. Paths are from the directory of this file.",
             "#",
             f"# Train: mc2 train {config}" + ("" if named else " --train-data 'tars/*.tar'"),
             "#     (with files of pairs beside the tars: --pairs 'pairs/*.jsonl.zst'; after a stop the same command goes on)",
             f"# Score: mc2 eval zeroshot --images FOLDER --classes classes.txt --model {directory}",
             "# Any key can be changed here, or for one run with --set section.key=value.",
             "#",
             "# What the preset says:"]
    return "\n".join([*lines, *header]) + "\n\n"
