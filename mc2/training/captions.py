"""Captions of images, from the files that people keep them in: beside each image, in one table, or as COCO's JSON.

    cats/1.txt, cats/1.caption      the caption of cats/1.jpg: the whole text
    cats/1.json                     {"text": ...} or {"caption": ...}, a text or a list; other keys go with the pair
    metadata.jsonl, .csv, .tsv      a table with a column of paths and one of captions, as Hugging Face's imagefolder
                                    has it
    captions.json                   COCO's {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]},
                                    a list of objects as the lines of a table, or {path: caption or list}
"""
import os
from typing import NamedTuple

from mc2 import files, parsing
from mc2.errors import BadData, BadLine
from mc2.pairs import delimited

IMAGE_COLUMNS = ("file_name", "filename", "image_path", "image", "path", "filepath", "file", "img")
TEXT_COLUMNS = ("text", "caption", "captions", "texts", "alt_text", "alt", "sentence", "description")
TABLES = (".jsonl", ".csv", ".tsv")
METADATA = tuple(f"metadata{suffix}" for suffix in TABLES)      # of Hugging Face's imagefolder, in any folder
PACKED = ("", ".gz", ".zst")
TEXT = (".txt", ".caption")     # beside an image


class Caption(NamedTuple):
    """The captions of an image in one place. where: for messages; path: of the image, relative to the place's folder;
    texts: without blank ones; more: other keys of its pairs."""

    where: str
    path: str
    texts: list
    more: dict


def is_table(path):
    """Whether a file of captions can be read by its name."""
    return files.has_suffix(path, *(suffix + packed for suffix in (*TABLES, ".json") for packed in PACKED))


def of_file(path, image_column=None, text_column=None):
    """Yield the Captions in a file. BadData or BadLine where it is not of its form."""
    found = _coco_or_objects(path) if files.has_suffix(path, *(f".json{packed}" for packed in PACKED)) else rows(path)
    columns = None
    for number, row in found:
        where = f"{files.name_of(path)}:{number}"
        if columns is None:
            columns = _columns(path, row, image_column, text_column)
        image, text = columns
        if image not in row or text not in row:
            raise BadLine(files.name_of(path), number, f'has no "{image if image not in row else text}".')
        if not isinstance(row[image], str) or not row[image]:
            raise BadLine(files.name_of(path), number, f'"{image}" is not the path of an image.')
        more = {key: value for key, value in row.items() if key not in columns and isinstance(key, str)}
        yield Caption(where, row[image], texts_in(row[text], where), more)


def beside(path):
    """The Caption in a file of TEXT or .json beside its image."""
    with open(path, "rb") as stream:
        data = stream.read()
    where = files.name_of(path)
    if path.lower().endswith(TEXT):
        try:
            return Caption(where, None, texts_in(data.decode("utf-8-sig"), where), {})
        except UnicodeDecodeError as error:
            raise BadData(f"{where}: is not UTF-8 ({error}).") from None
    record = _json(where, data)
    if not isinstance(record, dict):
        raise BadData(f"{where}: is not a JSON object with the caption of an image.")
    texts = [text for key in TEXT_COLUMNS if key in record for text in texts_in(record[key], where)]
    return Caption(where, None, list(dict.fromkeys(texts)),
                   {key: value for key, value in record.items() if key not in TEXT_COLUMNS})


def texts_in(value, where):
    """[text] of a caption or of a list of captions, without blank ones."""
    values = value if isinstance(value, list) else [value]
    wrong = next((each for each in values if each is not None and not isinstance(each, str)), None)
    if wrong is not None:
        raise BadData(f"{where}: {str(wrong)[:40]} is not a caption: a text, or a list of texts.")
    return [text.strip() for text in values if text and text.strip()]


# ---------------------------------------------------------------- tables

def rows(path):
    """Yield (line number, {column: value}) of JSON Lines, CSV or TSV."""
    if files.has_suffix(path, *(f".jsonl{packed}" for packed in PACKED)):
        yield from _json_rows(path)
    else:
        is_tsv = files.has_suffix(path, *(f".tsv{packed}" for packed in PACKED))
        yield from delimited.rows_of(path, "tsv" if is_tsv else "csv")


def _json_rows(path):
    for number, line in files.read_lines(path):
        if not line.strip():
            continue
        try:
            row = parsing.json_value(line)
        except ValueError as error:
            raise BadLine(files.name_of(path), number, f"not JSON ({error}).") from None
        if not isinstance(row, dict):
            raise BadLine(files.name_of(path), number, "not a JSON object.")
        yield number, row


def _columns(path, row, image_column, text_column):
    """(column of the paths, column of the captions) of a table, by its first row."""
    found = []
    for what, option, given, usual in (("paths of images", "--image", image_column, IMAGE_COLUMNS),
                                       ("captions", "--text", text_column, TEXT_COLUMNS)):
        by_name = {str(key).lower(): key for key in reversed(row)}
        column = given if given in row else None if given else next(
            (by_name[name] for name in usual if name in by_name), None)
        if column is None:
            raise BadData(f"{files.name_of(path)}: has no column {given or f'with the {what}'}. It has "
                          f"{', '.join(map(str, row)) or 'none'}; name the one with the {what}: {option} COLUMN.")
        found.append(column)
    return tuple(found)


# ---------------------------------------------------------------- JSON

def _json(where, data):
    try:
        return parsing.json_value(data)
    except ValueError as error:
        raise BadData(f"{where}: is not JSON ({error}).") from None


def _coco_or_objects(path):
    """Yield (number, {"file_name", "text"} or an object of a list) of a JSON file."""
    where = files.name_of(path)
    with files.open_read(path) as stream:
        content = _json(where, stream.read())
    if isinstance(content, list):
        wrong = next((number for number, row in enumerate(content, 1) if not isinstance(row, dict)), None)
        if wrong:
            raise BadData(f"{where}: item {wrong:,} of its list is not an object with a path and a caption.")
        yield from enumerate(content, 1)
    elif isinstance(content, dict) and "annotations" in content and "images" in content:
        yield from _coco_rows(where, content)
    elif isinstance(content, dict):
        yield from enumerate(({"file_name": name, "text": text} for name, text in content.items()), 1)
    else:
        raise BadData(f"{where}: holds no captions: neither a list of objects nor COCO's form.")


def _coco_rows(where, content):
    try:
        name_of = {image["id"]: image["file_name"] for image in content["images"]}
        texts = {image_id: [] for image_id in name_of}
        for annotation in content["annotations"]:
            texts[annotation["image_id"]].append(annotation["caption"])
    except (KeyError, TypeError) as error:
        raise BadData(f"{where}: is no file of captions in COCO's form ({type(error).__name__}: {error}). It needs "
                      "images with `id` and `file_name`, annotations with `image_id` and `caption`.") from None
    yield from enumerate(({"file_name": name, "text": texts[image_id]} for image_id, name in name_of.items()), 1)


def folder_of(path):
    return os.path.dirname(path) or "."
