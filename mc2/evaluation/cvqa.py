"""CVQA: questions about images of many cultures, with four options each, in the local language and in English."""
import glob
import os
import re

import numpy as np

from mc2 import parsing
from mc2.errors import BadData, BadUsage
from mc2.evaluation import retrieval, sources

COLUMNS = ("image", "ID", "Subset", "Question", "Options", "Translated Question", "Translated Options", "Label")
OPTIONS = 4
SHARD = re.compile(r"(?P<stem>.*)-(?P<number>\d+)-of-(?P<total>\d+)\.parquet")


class ParquetImages:
    """Images in the column `image` of Parquet files, a struct with `bytes`. cells: (file, row group, row) of each."""

    def __init__(self, paths, names, cells):
        self.paths, self.names, self.cells = list(paths), list(names), list(cells)
        self._group, self._images = None, None

    def __len__(self):
        return len(self.cells)

    def read(self, index):
        file, group, row = self.cells[index]
        if self._group != (file, group):
            from mc2.pairs import parquet
            with parquet.open_read(self.paths[file]) as opened:
                self._images = opened.read_row_group(group, columns=["image"], use_threads=False).column("image")
            self._group = (file, group)
        return (self._images[row].as_py() or {}).get("bytes") or b""

    def fingerprint(self):
        return sources.Files("", self.paths).fingerprint()

    def __getstate__(self):
        return {**self.__dict__, "_group": None, "_images": None}


def cvqa(bench):
    """Yield the accuracy in English and in the local language, of all and of each subset.

    The text of an option is the question, a space, the option; the answer is the option with the greatest cosine.
    """
    paths = sorted(glob.glob(os.path.join(glob.escape(bench.data), "**", "*.parquet"), recursive=True))
    if not paths:
        raise BadUsage(f"{bench.data}: holds no Parquet files. cvqa reads {bench.task.files}; it comes from "
                       f"{bench.task.source}.")
    _refuse_incomplete(paths)
    rows, source = read(paths)
    features, kept = bench.images(source)
    rows = [rows[number] for number in kept]
    labels = np.array([row["Label"] for row in rows])
    subsets = np.array([subset_name(row["Subset"]) for row in rows])
    for lang, prefix in (("en", "Translated "), ("local", "")):
        correct = answers(bench, features, rows, prefix) == labels
        yield bench.result("accuracy", correct.mean(), len(correct), lang=lang, subsets=len(set(subsets)))
        for subset in sorted(set(subsets)):
            of_subset = correct[subsets == subset]
            yield bench.result("accuracy", of_subset.mean(), len(of_subset), lang=lang, of=subset)


def _refuse_incomplete(paths):
    """Raise BadUsage where a file of NAME-00000-of-00002.parquet, NAME-00001-of-00002.parquet is missing."""
    there = {}
    for path in paths:
        if match := SHARD.fullmatch(path):
            there.setdefault((match["stem"], match["total"]), set()).add(int(match["number"]))
    for (stem, total), numbers in there.items():
        absent = next((number for number in range(int(total)) if number not in numbers), None)
        if absent is not None:
            raise BadUsage(f"{stem}-{absent:0{len(total)}d}-of-{total}.parquet: is missing. A score over fewer "
                           "questions would be another score: fetch it too.")


def answers(bench, features, rows, prefix):
    """int64 (n,): the option chosen for each row; the first of equal ones."""
    texts = [f"{row[f'{prefix}Question']} {option}" for row in rows for option in row[f"{prefix}Options"]]
    encoded, text_rows = retrieval.encoded(bench, texts)
    text_rows = text_rows.reshape(len(rows), OPTIONS)
    scores = np.stack([(features * encoded[text_rows[:, number]]).sum(axis=1) for number in range(OPTIONS)], axis=1)
    return scores.argmax(axis=1)


def subset_name(text):
    """`Japanese, Japan` of the text "('Japanese', 'Japan')"."""
    try:
        found = parsing.literal(text)
    except ValueError:
        return text
    return ", ".join(map(str, found)) if isinstance(found, tuple) else text


def read(paths):
    """(rows without their images, source of the images). BadData says which row of which file is wrong."""
    from mc2.pairs import parquet
    rows, cells = [], []
    for file, path in enumerate(paths):
        with parquet.open_read(path) as opened:
            lacking = [name for name in COLUMNS if name not in opened.schema_arrow.names]
            if lacking:
                raise BadData(f"{path}: has no column {lacking[0]!r}. It has {', '.join(opened.schema_arrow.names)}.")
            number = 0
            for group in range(opened.num_row_groups):
                found = opened.read_row_group(group, columns=list(COLUMNS[1:]), use_threads=False).to_pylist()
                for row, values in enumerate(found):
                    number += 1
                    _check(path, number, values)
                    rows.append(values)
                    cells.append((file, group, row))
    if not rows:
        raise BadData(f"{paths[0]}: has no rows.")
    return rows, ParquetImages(paths, [str(row["ID"]) for row in rows], cells)


def _check(path, number, row):
    if not isinstance(row["Label"], int) or not 0 <= row["Label"] < OPTIONS:
        raise BadData(f"{path}: row {number}: the label is {row['Label']}, not one of 0 to 3. Releases of CVQA "
                      "that keep the answers back have -1: fetch the one with answers.")
    for prefix in ("", "Translated "):
        options = row[f"{prefix}Options"]
        if not isinstance(row[f"{prefix}Question"], str) or not isinstance(options, list) or len(options) != OPTIONS \
                or not all(isinstance(option, str) for option in options):
            raise BadData(f"{path}: row {number}: {prefix}Question and {prefix}Options are not a text and four texts.")
