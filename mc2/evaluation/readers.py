"""Readers of the files that benchmarks and people's own data come in: lines of text, JSON, CSV, captions, pairs.

BadUsage where a file is missing, BadData or BadLine where it is not of its form.
"""
import csv
import os
import re
from typing import NamedTuple

from mc2 import files, parsing
from mc2.errors import BadData, BadLine, BadUsage
from mc2.evaluation import sources

HEAD = re.compile(r"image\w*\s*,\s*\w+", re.IGNORECASE)    # image,caption

csv.field_size_limit(1 << 24)       # bytes: rows with five captions and their tokens


# ---------------------------------------------------------------- lines of text

def text_lines(path):
    """The lines of a UTF-8 text file, where blank ones count too."""
    found = [line.rstrip("\r") for _, line in files.read_lines(path)]
    if not found:
        raise BadData(f"{path}: is empty.")
    return [found[0].removeprefix("\ufeff"), *found[1:]]


def lines(path, number=None):
    """The lines of a text file, without blank ones; `number`: as many as there must be."""
    return [line for _, line in numbered_lines(path, number)]


def names(path, number=None):
    """The lines of a text file that stand for classes by their order, so that none before the last may be blank."""
    return [line for _, line in numbered_lines(path, number, blank=False)]


def numbered_lines(path, number=None, blank=True):
    """[(line number, line)] of a text file, without blank ones. blank: whether there may be any before the last line;
    number: as many as there must be."""
    try:
        with files.open_read(path) as stream:
            text = stream.read().decode("utf-8-sig")
    except FileNotFoundError:
        raise BadUsage(f"{path}: no such file.") from None
    except UnicodeDecodeError as error:
        raise BadData(f"{path}: is not UTF-8 ({error}).") from None
    every = [(count, line.rstrip("\r")) for count, line in enumerate(text.split("\n"), 1)]
    found = [(count, line) for count, line in every if line.strip()]
    if not blank and found and found[-1][0] > len(found):
        empty = next(count for count, line in every if not line.strip())
        raise BadData(f"{path}:{empty}: is empty, and the names below it would move to other classes.")
    if not found or number is not None and len(found) != number:
        raise BadData(f"{path}: holds {len(found):,} lines" + (f", not {number:,}." if number else "."))
    return found


# ---------------------------------------------------------------- JSON and CSV

def json_lines(path):
    """Yield (line number, object) of JSON Lines."""
    is_empty = True
    for number, line in files.read_lines(path):
        if not line.strip():
            continue
        try:
            found = parsing.json_value(line)
        except ValueError as error:
            raise BadLine(path, number, f"not JSON ({error}).") from None
        if not isinstance(found, dict):
            raise BadLine(path, number, "not a JSON object.")
        is_empty = False
        yield number, found
    if is_empty:
        raise BadData(f"{path}: holds no lines.")


def value_of(path, number, line, key, kind):
    """line[key] of the line of that number, which must be of that type."""
    if not isinstance(line.get(key), kind):
        raise BadLine(path, number, f'has no "{key}", or of another kind than it should be.')
    return line[key]


def json_object(path, what):
    """The object in a JSON file. what: its keys, for the message, e.g. `language`."""
    try:
        with open(path, encoding="utf-8") as stream:
            content = parsing.json_value(stream.read())
    except FileNotFoundError:
        raise BadUsage(f"{path}: no such file.") from None
    except ValueError as error:
        raise BadData(f"{path}: is not JSON ({error}).") from None
    if not isinstance(content, dict):
        raise BadData(f"{path}: is no JSON object with a key per {what}.")
    return content


def csv_rows(path, columns):
    """The rows of a CSV file with these columns, as dicts."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            lacking = [name for name in columns if name not in (reader.fieldnames or [])]
            if lacking:
                raise BadData(f"{path}: has no column {lacking[0]}. It has "
                              f"{', '.join(reader.fieldnames or []) or 'none'}.")
            rows = list(reader)
    except FileNotFoundError:
        raise BadUsage(f"{path}: no such file.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{path}: is no CSV file in UTF-8 ({error}).") from None
    short = next((number for number, row in enumerate(rows, 2) if any(row[name] is None for name in columns)), None)
    if short or not rows:
        raise BadData(f"{path}{f':{short}' if short else ''}: {'has too few fields' if short else 'has no rows'}.")
    return rows


# ---------------------------------------------------------------- captions and pairs

class Captions(NamedTuple):
    """Texts of one language, and the image of each, by its number."""

    texts: list
    owners: list


def are_texts(found):
    """Whether this is a list of texts, one at least."""
    return isinstance(found, list) and bool(found) and all(isinstance(text, str) for text in found)


def karpathy(path, split="test"):
    """[(name of the image, its captions)] of a JSON file: Karpathy's {"images": [{"filename", "filepath", "split",
    "sentences": [{"raw"}]}]}; or, of one split, a list of {"image", "caption": [...]}, or {"image_paths": [...],
    "annotations": [...]} as clip_benchmark writes it."""
    with files.open_read(path) as stream:
        try:
            content = parsing.json_value(stream.read())
        except ValueError as error:
            raise BadData(f"{path}: is not JSON ({error}).") from None
    try:
        if isinstance(content, list):
            found = [(entry["image"], [entry["caption"]] if isinstance(entry["caption"], str) else entry["caption"])
                     for entry in content]
        elif isinstance(content, dict) and "image_paths" in content:
            found = _by_image_path(path, content)
        else:
            found = [(os.path.join(entry.get("filepath", ""), entry["filename"]),
                      [sentence["raw"] for sentence in entry["sentences"]])
                     for entry in content["images"] if entry["split"] == split]
    except (KeyError, TypeError, AttributeError) as error:
        raise BadData(f"{path}: is no file of captions in Karpathy's form ({type(error).__name__}: {error}).") from None
    wrong = next((name for name, captions in found if not isinstance(name, str) or not are_texts(captions)), None)
    if wrong is not None or not found:
        raise BadData(f"{path}: has no " + (f"captions for {wrong}." if found else f"images of the split {split}."))
    return found


def _by_image_path(path, content):
    """[(path of the image, its captions)] of {"image_paths": [...], "annotations": [...]}: a caption for each path, or
    a list of them. A path that comes again has more captions. The paths are of the machine that wrote the file."""
    paths, annotations = content["image_paths"], content["annotations"]
    if not isinstance(paths, list) or not isinstance(annotations, list):
        raise TypeError("image_paths and annotations are no lists")
    if len(paths) != len(annotations):
        raise BadData(f"{path}: has {len(annotations):,} annotations for {len(paths):,} image_paths. Write it again.")
    found = {}
    for name, captions in zip(paths, annotations):
        captions = [captions] if isinstance(captions, str) else captions
        if not isinstance(captions, list):
            raise TypeError(f"the annotation of {name} is neither a text nor a list of texts")
        found.setdefault(name, []).extend(captions)
    return list(found.items())


def language_in(path):
    """The language in the name of a file of captions of clip_benchmark (xtd200-deu_Latn.json), else None."""
    found = re.search(r"-([a-z]{2,3}(?:_[A-Z][a-z]{3})?)\.json$", path)
    return found[1] if found else None


def densely_captioned(folder, splits, split):
    """[(name of the image, [its caption])] of DCI: a JSON file per image in a folder, {"image", "short_caption"}, and
    splits.json, {split: [names of these files]}."""
    names = json_object(splits, "split").get(split)
    if not are_texts(names):
        raise BadData(f"{splits}: has no list of files for the split {split}.")
    found = []
    for name in names:
        path = os.path.join(folder, name if name.endswith(".json") else f"{name}.json")
        content = json_object(path, "field")
        image, caption = content.get("image"), content.get("short_caption")
        if not isinstance(image, str) or not image or not isinstance(caption, str):
            raise BadData(f'{path}: has no "image" and "short_caption".')
        found.append((image, [caption]))
    return found


def captions_by_line(path):
    """[(name of the image, its captions)] of lines `NAME.jpg,caption`, perhaps below a line `image,caption`, or of
    lines `NAME#0<tab>caption`."""
    found, every = {}, text_lines(path)
    divider, head = "\t" if "\t" in every[0] else ".jpg,", 1 if HEAD.fullmatch(every[0].strip()) else 0
    for number, line in enumerate(every[head:], head + 1):
        name, divided, text = line.partition(divider)
        if not line.strip():
            continue
        if not divided or not text.strip():
            raise BadLine(path, number, "is neither `NAME.jpg,caption` nor `NAME#0<tab>caption`.")
        found.setdefault(f"{name.partition('#')[0].removesuffix('.jpg')}.jpg", []).append(text.strip())
    if not found:
        raise BadData(f"{path}: holds no captions.")
    return list(found.items())


def pairs(path, folders, limit=None):
    """(source, {lang: Captions}) of JSON Lines with `image` (a path) or `id`, `text`, and perhaps `lang` ("" without).

    folders: a folder of images, or tars. An id is a file's name without its suffix, or what an image in tars is called
    (mc2/keys.py). limit: pairs that are read. BadLine, BadData where an image is missing.
    """
    number_of, captions = {}, {}
    for count, (number, line) in enumerate(json_lines(path)):
        if limit and count >= limit:
            break
        key = line.get("id") if line.get("image") is None else line["image"]
        if not isinstance(key, str) or not key:
            raise BadLine(path, number, 'has no "image" (a path) and no "id".')
        lang = line.get("lang") or ""
        if not isinstance(lang, str):
            raise BadLine(path, number, '"lang" is not a text.')
        texts, owners = captions.setdefault(lang, Captions([], []))
        texts.append(value_of(path, number, line, "text", str))
        owners.append(number_of.setdefault(key, len(number_of)))
    if its_tars := sources.tars_among(folders):
        return sources.in_tars(its_tars, list(number_of)), captions
    return sources.in_folder(folders[0], list(number_of)), captions
