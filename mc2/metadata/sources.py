"""The files in sources/: one per Wikipedia code and kind, `{code}.{kind}.tsv`, best rows first.

    fr.wordnet.tsv   lemma <TAB> 0              fr.unigram.tsv   word <TAB> count
    fr.title.tsv     title <TAB> pageviews      fr.bigram.tsv    two words <TAB> PMI <TAB> count
    en.list.tsv      a finished list of a metadata language: entry <TAB> 0; it is taken as it is
"""
import math
import os
import re
import unicodedata

import orjson

from mc2 import files, manifests
from mc2.errors import BadData, BadUsage

KINDS = ("wordnet", "unigram", "bigram", "title", "list")
MAX_LENGTH = 256                # characters of an entry

_NAME = re.compile(rf"(?P<code>[a-z0-9_]+)\.(?P<kind>{'|'.join(KINDS)})\.tsv")


def tidy(entry):
    """The entry stripped, with runs of white space as one space; None when it cannot be an entry."""
    entry = " ".join(entry.split())
    if not entry or len(entry) > MAX_LENGTH or all(unicodedata.category(char)[0] in "PS" for char in entry):
        return None
    return entry


def find(directory):
    """{(code, kind): path} of a sources directory. Raises BadUsage when there is nothing in it."""
    if not os.path.isdir(directory):
        raise BadUsage(f"{directory}: no such directory. Fill one with 'mc2 build-metadata wordnet|ngrams|titles|import'.")
    found = {}
    for name in sorted(os.listdir(directory)):
        if match := _NAME.fullmatch(name):
            found[match["code"], match["kind"]] = os.path.join(directory, name)
    if not found:
        raise BadUsage(f"{directory}: holds no sources. Fill it with 'mc2 build-metadata wordnet|ngrams|titles|import'.")
    return found


def others(directory):
    """Visible files of a sources directory that are neither sources nor manifests: misspelt ones, perhaps."""
    return sorted(name for name in os.listdir(directory)
                  if not (_NAME.fullmatch(name) or name.startswith(".") or name.endswith(".manifest.json")))


def name_of(code, kind):
    return f"{code}.{kind}.tsv"


def refuse_foreign_directory(directory):
    """Raise BadUsage when the output directory holds something else than sources."""
    if os.path.exists(directory) and not os.path.isdir(directory):
        raise BadUsage(f"{directory}: is a file, and sources are a directory. Name another output.")
    if os.path.isdir(directory) and os.listdir(directory) and not any(map(_NAME.fullmatch, os.listdir(directory))):
        raise BadUsage(f"{directory}: this directory is not empty and holds no sources. Name another output.")


def write(directory, code, kind, rows, inputs, options, counts=None, seconds=None):
    """Write one source and its manifest. rows: iterable of tuples, the entry first. Returns the number of rows."""
    path = os.path.join(directory, name_of(code, kind))
    n = 0
    with files.open_write(path) as stream:
        for n, row in enumerate(rows, 1):
            stream.write("\t".join(map(str, row)).encode() + b"\n")
    manifests.write_for_file(path, manifests.describe_run("source", inputs, options, {**(counts or {}), "out": n},
                                                          seconds, source=kind, code=code))
    return n


def read(path, kind):
    """The rows of a source: list of (entry, *scores), tidied and without repetitions, in file order.

    Raises BadData naming the line that is not of the kind's form.
    """
    scores = {"bigram": (_pmi, int)}.get(kind, (int,))
    seen, rows = set(), []
    for number, line in files.read_lines(path):
        entry, *values = line.split("\t")
        try:
            if len(values) != len(scores):
                raise ValueError
            values = [score(value) for score, value in zip(scores, values)]
        except ValueError:
            form = " <TAB> ".join(["entry", *("score" if kind != "bigram" else "PMI <TAB> count",)])
            raise BadData(f"{path}:{number}: not of the form {form}.") from None
        entry = entry if kind == "list" else None if kind == "title" and ":" in entry else tidy(entry)
        if kind == "list" or (entry is not None and entry not in seen):
            seen.add(entry)
            rows.append((entry, *values))
    return rows


def _pmi(text):
    pmi = float(text)
    if not math.isfinite(pmi):
        raise ValueError
    return round(pmi, 6)


def read_json_list(path):
    """The entries of a finished list, a JSON array of strings. Raises BadData with the index of a bad one."""
    try:
        with files.open_read(path) as stream:
            entries = orjson.loads(stream.read())
    except orjson.JSONDecodeError as error:
        raise BadData(f"{path}: not JSON ({error}).") from None
    if not isinstance(entries, list):
        raise BadData(f"{path}: not a JSON array of strings.")
    for index, entry in enumerate(entries):
        if not isinstance(entry, str):
            raise BadData(f"{path}: entry {index} is not a string.")
        if not entry or re.search("[\t\n\r]", entry):
            raise BadData(f"{path}: entry {index} is empty or holds a TAB or a line break. Entries keep their index as "
                          f"their id, so none can be left out: mend it.")
    return entries
