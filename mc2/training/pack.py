"""Tars of images with their pairs beside, from a folder of images with captions: what `mc2 train` reads.

    tars/00000.tar                  000000000.jpg 000000000.json 000000000.txt 000000001.png ...
    tars/00000.jsonl.zst            {"id": "cats/1", "text": "a cat", "file_name": "cats/1.jpg"}, a line per caption

Images are numbered in the order of a hash of their ids, so that classes are mixed, which batches need; the members of
a tar are in the order of their names. The id of an image is its path without the suffix (with it, where two images
would have the same one), or the `id` or `uid` of its record. Bytes of images go in as they are. The same files and
options give the same bytes; a run that was stopped goes on.
"""
import os
import re
import time
from collections import Counter
from typing import NamedTuple

import orjson

from mc2 import __version__, files, keys, manifests, tars
from mc2.errors import BadData, BadUsage
from mc2.evaluation.sources import images_below
from mc2.execution import receipt
from mc2.execution.progress import Progress
from mc2.execution.run import MARK, WORK, begin, mark_shards, refuse_foreign_shards
from mc2.hashing import keyed_hash
from mc2.terminal import say
from mc2.training import captions

KIND = "images"
SUFFIXES = tuple(f".{extension}" for extension in tars.IMAGES)
PAIRS = ".jsonl.zst"
NAMED = 3                       # of what is left out, in a message
LEFT_OUT = "left-out.jsonl"     # in the work directory: all of it
TAR = re.compile(r"\d{5,}\.tar")


class Image(NamedTuple):
    """An image to pack. path: of the file; name: from the folder of the images; stamp: (bytes, mtime_ns); pairs: the
    objects of its pairs."""

    path: str
    name: str
    id: str
    stamp: tuple
    pairs: list


class Found:
    """The images of a folder and their captions; what is left out, by reason."""

    def __init__(self):
        self.images = []
        self.sampled = None     # how the captions were sampled, where they are pairs that mc2 sampled
        self.left_out = {what: [] for what in (
            "images without a caption", "captions without an image", "empty files", "other files")}

    @property
    def texts(self):
        return sum(len(image.pairs) for image in self.images)


def find(source, folder=None, image_column=None, text_column=None):
    """The Found of a folder of images, or of a file of captions whose images are below `folder` (default: its own)."""
    found = Found()
    if os.path.isdir(source):
        if folder is not None:
            raise BadUsage("--images goes with a file of captions. A folder has its captions beside the images.")
        texts = _captions_below(source, found)
        folder = source
    else:
        if not captions.is_table(source):
            raise BadUsage(f"{source}: neither a folder of images nor a file of captions. Those end in .jsonl, .csv, "
                           ".tsv or .json (.gz, .zst).")
        folder = folder or captions.folder_of(source)
        texts = _add_table({}, source, folder, folder, image_column, text_column)
        found.sampled = manifests.sampled([source])
        for name in [name for name in texts if not os.path.isfile(os.path.join(folder, name))]:
            found.left_out["captions without an image"].append(name)
            del texts[name]
        _leave_out_other_kinds(texts, found)
    _collect(texts, folder, found)
    if not found.images:
        _refuse_nothing(source, texts, found)
    return found


def _captions_below(folder, found):
    """{name of an image: [Caption]} of a folder; images without any have []."""
    others = []
    texts = {}
    for name in images_below(folder, others):
        if _is_hidden(name) or not name.lower().endswith(SUFFIXES):
            others.append(name)
        else:
            texts[name] = []
    beside = {}                                         # {name without the suffix: [images]}, and by the whole name
    for name in texts:
        for stem in (os.path.splitext(name)[0], name):
            beside.setdefault(stem, []).append(name)
    for other in sorted(others):
        stem, suffix = os.path.splitext(other)
        if os.path.basename(other) in captions.METADATA:
            its_folder = os.path.join(folder, os.path.dirname(other))
            texts = _add_table(texts, os.path.join(folder, other), its_folder, folder, None, None)
            found.sampled = found.sampled or manifests.sampled([os.path.join(folder, other)])
        elif suffix.lower() in (*captions.TEXT, ".json") and stem in beside and not _is_hidden(other):
            for name in beside[stem]:
                texts[name].append(captions.beside(os.path.join(folder, other)))
        else:
            is_caption = suffix.lower() in captions.TEXT and not _is_hidden(other)
            found.left_out["captions without an image" if is_caption else "other files"].append(other)
    for name in [name for name in texts if not os.path.isfile(os.path.join(folder, name))]:
        found.left_out["captions without an image"].append(name)
        del texts[name]
    _leave_out_other_kinds(texts, found)
    return texts


def _is_hidden(name):
    return any(part.startswith(".") for part in name.split("/"))


def _add_table(texts, path, its_folder, folder, image_column, text_column):
    """Add the captions of a table: {name of an image from `folder`: [Caption]}."""
    for caption in captions.of_file(path, image_column, text_column):
        name = os.path.normpath(os.path.relpath(os.path.join(its_folder, caption.path), folder))
        texts.setdefault(name, []).append(caption)
    return texts


def _leave_out_other_kinds(texts, found):
    """Tables may name files that are no images of a kind that is trained on."""
    for name in [name for name in texts if not name.lower().endswith(SUFFIXES)]:
        found.left_out["other files"].append(name)
        del texts[name]


def _collect(texts, folder, found):
    """Add the Images to `found`, with ids that each has alone."""
    stems = Counter(os.path.splitext(name)[0] for name in texts)
    owner = {}
    for name, its_captions in sorted(texts.items()):
        more_of = {}                                    # of each text
        for caption in its_captions:
            for text in caption.texts:
                more_of.setdefault(text, caption.more)
        path = os.path.join(folder, name)
        status = os.stat(path)
        if not more_of or not status.st_size:
            found.left_out["empty files" if more_of else "images without a caption"].append(name)
            continue
        stem = os.path.splitext(name)[0]
        image_id = _own_id(name, its_captions) or files.printable(stem if stems[stem] == 1 else name)
        if image_id in owner:
            raise BadData(f"{files.printable(owner[image_id])} and {files.printable(name)} have one id, {image_id}. "
                          "Give every image an `id` of its own, or none.")
        owner[image_id] = name
        pairs = [_pair(image_id, text, name, more) for text, more in more_of.items()]
        found.images.append(Image(path, name, image_id, (status.st_size, status.st_mtime_ns), pairs))
    for names in found.left_out.values():
        names.sort()


def _own_id(name, its_captions):
    """The id that the records of an image give it, or None."""
    ids = dict.fromkeys(keys.names("", caption.more)[0] for caption in its_captions)
    own = [each for each in ids if each]
    if len(own) > 1:
        raise BadData(f"{its_captions[-1].where}: {files.printable(name)} has several ids, {own[0]} and {own[1]}: `id` "
                      "and `uid` are those of images. Call the column otherwise.")
    return own[0] if own else None


def _pair(image_id, text, name, more):
    others = {key: value for key, value in more.items() if key not in ("id", "text", "file_name")}
    return {"id": image_id, "text": text, "file_name": files.printable(name), **others}


def _refuse_nothing(source, texts, found):
    without, strangers = (found.left_out[what] for what in ("images without a caption", "captions without an image"))
    if without or not texts and not strangers:
        what = f"{len(without):,} images and no caption for any of them" if without else "no images"
        raise BadData(f"{source}: holds {what}. A caption is in a file beside its image (a.txt or a.json for a.jpg), in a "
                      "metadata.jsonl or metadata.csv with file_name and text, or in a file of captions: mc2 images pack "
                      "captions.csv --images FOLDER.")
    raise BadData(f"{source}: none of its {len(strangers):,} captions has an image: there is no "
                  f"{files.printable(strangers[0])} there. Name the folder that the paths begin in: --images FOLDER.")


# ---------------------------------------------------------------- tars

def pack(source, found, output_dir, images_per_tar, bytes_per_tar=None, force=False, quiet=False):
    """Write the tars of the images that were found, and their pairs; print the receipt."""
    started = time.monotonic()
    parts = list(_parts(found.images, images_per_tar, bytes_per_tar))
    source = files.identity(source)
    stale = _refuse_others_tars(output_dir, source, len(parts), force)
    begin([output_dir], [source])
    work = mark_shards(output_dir)
    tally = Counter({"in": found.texts, "out": found.texts, "images": len(found.images)})
    tally.update({f"dropped: {what}": len(names) for what, names in found.left_out.items() if names})
    with Progress("images pack", work, quiet) as progress:
        todo = [number for number, part in enumerate(parts)
                if force or not _is_finished(output_dir, number, part, source)]
        progress.begin("tars", len(parts), len(parts) - len(todo))
        for number in todo:
            _write(output_dir, number, parts[number], source, found.sampled)
            progress.update(sum(len(image.pairs) for _, image in parts[number]))
        progress.end()
    for name in stale:
        for path in (name, f"{keys.shard(name)}{PAIRS}"):
            for each in (files.manifest_name(path), path):
                files.remove(os.path.join(output_dir, each))
    _note_what_is_left_out(found, work, quiet)
    summary = f"{len(found.images):,} images, {found.texts:,} pairs out in {len(parts):,} tars"
    summary += f"; {len(parts) - len(todo):,} tars were finished" if len(todo) < len(parts) else ""
    summary += f"; {len(stale):,} tars of an earlier run were removed" if stale else ""
    receipt.write("images pack", summary, tally, output_dir, time.monotonic() - started, quiet)


def _parts(images, images_per_tar, bytes_per_tar):
    """Yield [(key, Image)] for each tar."""
    part, size = [], 0
    order = sorted(images, key=lambda image: (keyed_hash("pack", image.id), image.id))
    for number, image in enumerate(order):
        if part and (len(part) == images_per_tar or bytes_per_tar and size + image.stamp[0] > bytes_per_tar):
            yield part
            part, size = [], 0
        part.append((f"{number:09d}", image))
        size += image.stamp[0]
    if part:
        yield part


def _tar_name(number):
    return f"{number:05d}.tar"


def _refuse_others_tars(output_dir, source, n_parts, force):
    """Raise BadUsage where the directory holds tars of something else. The names of tars of an earlier run of this one
    that are not made again."""
    refuse_foreign_shards(output_dir)
    begun = files.is_remote(output_dir) or os.path.exists(os.path.join(output_dir, WORK, MARK))
    present = sorted(name for name in files.names_in(output_dir) if TAR.fullmatch(name))
    for name in present:
        manifest = manifests.read(os.path.join(output_dir, name))
        if manifest is None and begun:              # a run that was killed between the tar and its manifest
            continue
        path = os.path.join(output_dir, name)
        if manifest is None or manifest.get("kind") != KIND:
            raise BadUsage(f"{path}: was not made by 'mc2 images pack'. Name another output directory.")
        if manifest["options"].get("source") != source and not force:
            raise BadUsage(f"{path}: holds images of {manifest['options'].get('source')}. Name another output directory, "
                           "or give -f to replace them.")
    made = {_tar_name(number) for number in range(n_parts)}
    return [name for name in present if name not in made]


def _description(part, source):
    """All that a tar and its pairs depend on."""
    images = [[key, os.fsencode(image.name).hex(), image.id, image.stamp, image.pairs] for key, image in part]
    return {"mc2": __version__, "source": source, "images": manifests.fingerprint(images)}


def _is_finished(output_dir, number, part, source):
    description = _description(part, source)
    path = os.path.join(output_dir, _tar_name(number))
    return all(manifests.is_of(each, description) is not None for each in (path, path.removesuffix(".tar") + PAIRS))


def _write(output_dir, number, part, source, sampled):
    started, path = time.monotonic(), os.path.join(output_dir, _tar_name(number))
    pairs_path, description = path.removesuffix(".tar") + PAIRS, _description(part, source)
    with files.open_write(path, is_own=True) as stream:
        for key, image in part:
            for name, body in sorted(_members(key, image)):
                stream.write(tars.member(name, body))
        stream.write(tars.END)
    with files.open_write(pairs_path, is_own=True) as stream:
        for _, image in part:
            stream.write(b"".join(orjson.dumps(pair) + b"\n" for pair in image.pairs))
    n_pairs = sum(len(image.pairs) for _, image in part)
    more = {"sampled": sampled} if sampled else {}
    for kind, output in ((KIND, path), ("pairs", pairs_path)):
        counts = {"in": n_pairs, "out": n_pairs, "images": len(part)}
        manifests.write_for_file(output, manifests.describe_run(
            kind, [], {"source": source}, counts, time.monotonic() - started, stage="images pack", lineage={},
            description=description, **more))


def _members(key, image):
    """(name, bytes) of the members of a sample."""
    with open(image.path, "rb") as stream:
        body = stream.read()
    if (len(body), os.stat(image.path).st_mtime_ns) != image.stamp:
        raise BadData(f"{files.name_of(image.path)}: changed while it was packed. Run the command again.")
    yield f"{key}{os.path.splitext(image.name)[1].lower()}", body
    yield f"{key}.json", orjson.dumps(image.pairs[0])
    yield f"{key}.txt", image.pairs[0]["text"].encode()


def _note_what_is_left_out(found, work, quiet):
    """Write all that is left out to a file in the work directory, and say the first of each reason."""
    if work:
        files.write_bytes(os.path.join(work, LEFT_OUT), b"".join(
            orjson.dumps({"reason": what, "name": files.printable(name)}) + b"\n"
            for what, names in found.left_out.items() for name in names), is_own=True)
    for what, names in found.left_out.items():
        if names and not quiet:
            shown = ", ".join(map(files.printable, names[:NAMED]))
            more = f" ... (all: {os.path.join(work, LEFT_OUT)})" if work and len(names) > NAMED else ""
            say(f"images pack: {len(names):,} {what} left out: {shown}{more}")
