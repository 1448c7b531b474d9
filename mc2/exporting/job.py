"""The job of `mc2 export`.

    1. join     with images: the pairs of each tar               -> DIR/.work/joined/   (mc2.training.join)
    2. parts    pairs -> Parquet, shard by shard                 -> DIR/.work/parts/
    3. write    files of about one size                          -> DIR/.work/set/
    4.          into their places; manifest.json, README.md, croissant.json; DIR/.work goes

Run again, it does what is missing. A set that is finished stays as it is; a README.md that somebody has changed is
never replaced without -f.
"""
import contextlib
import hashlib
import os
import shutil
import time
from collections import Counter
from typing import NamedTuple

import orjson

from mc2 import __version__, files, keys, manifests, own, temporaries, terminal
from mc2.errors import BadData, BadUsage
from mc2.execution import names, receipt
from mc2.execution.local import Local
from mc2.execution.progress import Progress
from mc2.execution.rounds import complete
from mc2.execution.run import Run, begin
from mc2.execution.shard import ShardTask
from mc2.exporting import card, croissant, division, source, writing
from mc2.exporting.parts import Export, Locate, Parts
from mc2.training.join import join

KIND = manifests.DATA_SET
WORK, MARK = ".work", "data-set-of-mc2"
SPLIT = "train"
CARD, CROISSANT = "README.md", "croissant.json"
VERSIONS = 8                        # of a card whose checksums are kept
OF_ARROW = ("state.json", "dataset_info.json")      # in the folder of a split


class Settings(NamedTuple):
    """format: parquet, webdataset or hf. tars: paths of tars of images, or []. file_size: bytes of a file. title,
    licence: for the card; None: to be filled in"""

    format: str
    tars: list = ()
    file_size: int = 500 << 20
    split: str = SPLIT
    title: str = None
    licence: str = None


def export(curated, directory, settings, jobs=1, force=False, quiet=False):
    """Write the data set of a mc2.exporting.source.Source to a directory, and print the receipt."""
    started = time.monotonic()
    _refuse(directory, curated, settings)
    wanted = _description(curated, settings)
    manifest = manifests.read_if_whole(directory) or {}
    is_finished = not force and manifest.get("description") == wanted and _is_whole(directory, manifest)
    if not (force or is_finished):
        _refuse_changed_card(directory, manifest)
    begin([directory], [*curated.shards, *settings.tars])
    with _alone(directory) as work:
        facts = manifest["facts"] if is_finished else _write(curated, directory, work, settings, jobs, force, quiet)
        facts["title"] = " ".join((settings.title or os.path.basename(os.path.realpath(directory))).split())
        facts["licence"] = settings.licence
        cards = {CARD: card.made(facts, source.provenance(curated)).encode(), CROISSANT: croissant.made(facts)}
        known = {name: [*_known(manifest, name), hashlib.sha256(made).hexdigest()][-VERSIONS:]
                 for name, made in cards.items()}
        manifests.write(directory, manifests.describe_run(
            KIND, curated.shards, {"format": settings.format, "file_size": settings.file_size}, facts["counts"],
            time.monotonic() - started, description=wanted, facts=facts, cards=known,
            **({"sampled": sampled} if (sampled := manifests.sampled(curated.shards)) else {})))
        changed = _write_cards(directory, cards, known, force)
        own.remove_directory(work)
    if not quiet:
        terminal.say(*(f"note: {files.name_of(path)} was changed by hand and stays as it is; -f makes the whole set anew"
                       for path in changed))
    _say(facts, directory, is_finished, time.monotonic() - started, quiet)


def _refuse(directory, curated, settings):
    """Raise BadUsage for an output that is something else, and for images that are needed or not to be had."""
    begun = os.path.exists(os.path.join(directory, WORK, MARK)) \
        or os.path.isdir(directory) and os.listdir(directory) == [WORK]             # killed as it began
    if not begun:
        manifests.refuse_foreign_directory(directory, KIND)
    if settings.format == "webdataset" and not settings.tars:
        raise BadUsage("--format webdataset is tars of images with their texts, and pairs hold no images. Name the "
                       "tars of the images: --images 'tars/*.tar' (img2dataset and 'mc2 images pack' make them). "
                       "Without images: --format parquet.")
    if remote := next(filter(files.is_remote, settings.tars), None):
        raise BadUsage(f"{remote}: images are taken from local tars. Fetch it first.")
    inside = os.path.realpath(directory) + os.sep
    for path in (*curated.shards, *settings.tars):
        if not files.is_remote(path) and os.path.realpath(path).startswith(inside):
            raise BadUsage(f"{path}: is in the output {directory}. Name another output.")


@contextlib.contextmanager
def _alone(directory):
    """The work directory, which no other run has."""
    work = os.path.join(directory, WORK)
    os.makedirs(directory, exist_ok=True)
    with temporaries.locked(work, f"{directory}: another run is writing this output. Wait for it to end.", is_own=True):
        own.write_mark(os.path.join(work, MARK), "Unfinished work of mc2 export.\n")
        yield work


def _description(curated, settings):
    """All that the files of pairs depend on."""
    described = files.map_paths(manifests.describe_file, [*curated.shards, *settings.tars])
    return {"mc2": __version__, "inputs": manifests.fingerprint(described), "format": settings.format,
            "file_size": settings.file_size, "split": settings.split}


def _is_whole(directory, manifest):
    """Whether all files of a finished set are there, with their sizes."""
    try:
        return all(os.path.getsize(os.path.join(directory, each["name"])) == each["bytes"]
                   for each in manifest["facts"]["files"])
    except OSError:
        return False


def _refuse_changed_card(directory, manifest):
    path = os.path.join(directory, CARD)
    if os.path.exists(path) and manifests.sha256(path) not in _known(manifest, CARD):
        raise BadUsage(f"{path}: was changed by hand, and the data set is to be made anew. Keep a copy of it, then "
                       "give -f to replace it.")


def _known(manifest, name):
    """[SHA-256] of the versions of a card that mc2 wrote: one with another was changed by hand."""
    return manifest.get("cards", {}).get(name, [])


# ---------------------------------------------------------------- data

def _write(curated, directory, work, settings, jobs, force, quiet):
    """Write the files of the set into their places. Returns what the cards say of them: plain data."""
    if force:
        for name in ("joined", "parts", "set"):
            shutil.rmtree(os.path.join(work, name), ignore_errors=True)
    with contextlib.closing(Local(jobs)) as executor, Progress("export", work, quiet) as progress:
        parts, tars, counts = _parts(curated, work, settings, executor, progress)
        schema, languages = _columns(parts, settings)
        once, packed = settings.format == "webdataset", settings.format != "hf"
        pieces = division.divide((division.weights_of(path, once, packed) for path in parts), settings.file_size)
        its_names = [writing.name_of(settings.format, settings.split, number, len(pieces))
                     for number in range(len(pieces))]
        task = writing.WriteFiles(settings.format, os.path.join(work, "set"), its_names, parts, tars, pieces, schema)
        complete(task, list(range(len(pieces))), executor, progress, total=len(pieces), phase="write")
        written = [task.manifest(number) for number in range(len(pieces))]
        progress.end()
    _put_into_place(directory, work, its_names)
    facts = _facts(curated, settings, schema, languages, its_names, written, counts)
    for name, content in _extra_files(facts):
        files.write_bytes(os.path.join(directory, name), content, is_own=True)
    return facts


def _parts(curated, work, settings, executor, progress):
    """([part in Parquet], [its tar] or None, Counter of what happened to the pairs)."""
    tar_of = _joined(curated, work, settings.tars, executor.jobs) if settings.tars else None
    shards = list(tar_of or curated.shards)
    paths = Parts(os.path.join(work, "parts"), names.of(shards))
    task = ShardTask([Locate(tar_of) if tar_of else Export()], paths, name="read", longest=None)
    complete(task, shards, executor, progress, total=len(shards), phase="read")
    counts = Counter()
    for shard in shards:
        receipt.add_up(counts, manifests.read(task.output(shard))["counts"])
    if not counts["out"]:
        others = " and others" if len(curated.shards) > 1 else ""
        raise BadData(f"{files.name_of(curated.shards[0])}{others}: there are no pairs in it, so there is no data set.")
    return list(map(task.output, shards)), [tar_of[shard] for shard in shards] if tar_of else None, counts


def _joined(curated, work, tar_paths, jobs):
    """{file of pairs: its tar}, of the pairs whose images are there."""
    output_dir = os.path.join(work, "joined")
    join(Run(curated.shards, jobs=jobs, quiet=True, command="export", longest=None), tar_paths, output_dir)
    return {os.path.join(output_dir, f"{keys.shard(path)}.jsonl.zst"): path for path in tar_paths}


def _columns(paths, settings):
    """(schema of the files, {language: pairs}) of these parts."""
    from mc2.exporting import columns
    schema = columns.unified(paths)
    if settings.format == "webdataset" and writing.MORE in schema.names:
        raise BadData(f'the pairs have a key "{writing.MORE}" already, and further pairs of an image would go there. '
                      "Rename the key, or leave it out.")
    languages = columns.languages(paths)
    if settings.tars and settings.format != "webdataset":
        schema = columns.with_image(schema)
    return schema, languages


def _put_into_place(directory, work, its_names):
    """Move the files to where they belong, in place of those of an earlier run."""
    for folder in [name for name in files.names_in(directory) if os.path.isdir(os.path.join(directory, name))]:
        its_files = list(filter(writing.IS_NAME.fullmatch, files.names_in(os.path.join(directory, folder))))
        for name in [*its_files, *(OF_ARROW if its_files and folder != "data" else ())]:
            files.remove(os.path.join(directory, folder, name))
        if its_files:
            with contextlib.suppress(OSError):              # of somebody else's files in it
                os.rmdir(os.path.join(directory, folder))
    files.remove(os.path.join(directory, "dataset_dict.json"))
    for name in its_names:
        os.makedirs(os.path.dirname(os.path.join(directory, name)), exist_ok=True)
        os.replace(os.path.join(work, "set", name), os.path.join(directory, name))


def _facts(curated, settings, schema, languages, its_names, written, counts):
    from mc2.exporting import columns
    all_files = [{"name": name, "bytes": manifest["output"]["bytes"], "sha256": manifest["sha256"],
                  "rows": manifest["rows"]} for name, manifest in zip(its_names, written)]
    pairs = sum(manifest["rows"] for manifest in written)
    if settings.tars:                                   # only those with an image came to the parts
        counts = source.pairs_in(curated)
    dropped = {what: number for what, number in counts.items() if what.startswith("dropped: ")}
    if missing := counts["in"] - sum(dropped.values()) - pairs:
        dropped["dropped: without an image in the tars"] = missing
    return {"format": settings.format, "split": settings.split, "pairs": pairs,
            "images": sum(manifest["images"] for manifest in written) if settings.tars else None,
            "extensions": sorted({each for manifest in written for each in manifest["extensions"]}),
            "languages": languages, "columns": columns.described(schema), "files": all_files,
            "counts": {"in": counts["in"], "out": pairs, **dropped}}


# ---------------------------------------------------------------- cards

def _write_cards(directory, cards, known, force):
    """Write README.md and croissant.json. One that was changed by hand stays, unless it is forced. Returns the paths of
    those that stay.

    cards: {name: bytes}. known: {name: [SHA-256 of the versions that mc2 wrote]}"""
    changed = []
    for name, made in cards.items():
        path = os.path.join(directory, name)
        if force or not os.path.exists(path) or manifests.sha256(path) in known[name]:
            files.write_bytes(path, made, is_own=True)
        else:
            changed.append(path)
    return changed


def _extra_files(facts):
    """Yield (name, content) of what `datasets.load_from_disk` reads beside the Arrow files."""
    if facts["format"] == "hf":
        split = facts["split"]
        fingerprint = manifests.fingerprint([each["sha256"] for each in facts["files"]])[:16]
        state = {"_data_files": [{"filename": os.path.basename(each["name"])} for each in facts["files"]],
                 "_fingerprint": fingerprint, "_format_columns": None, "_format_kwargs": {}, "_format_type": None,
                 "_output_all_columns": False, "_split": split}
        for name, content in (("dataset_dict.json", {"splits": [split]}), (f"{split}/state.json", state),
                              (f"{split}/dataset_info.json", {})):
            yield name, orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _say(facts, directory, was_finished, seconds, quiet):
    counts = Counter(facts["counts"])
    summary = f"{facts['pairs']:,} pairs in {len([lang for lang in facts['languages'] if lang]):,} languages"
    summary += f" with {facts['images']:,} images" if facts["images"] is not None else ""
    summary += f", {len(facts['files']):,} files of {facts['format']}"
    summary += ", which were finished" if was_finished else ""
    receipt.write("export", summary, counts, directory, seconds, quiet)
