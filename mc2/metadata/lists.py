"""Lists of entries of one's own: product names, say, or Meta CLIP's released 500,000.

    .txt    one entry a line
    .tsv    entry <TAB> weight; the heaviest come first
    .json   an array of strings, or an object {entry: weight}

A list is taken in one of two ways. `finished` keeps every entry of a JSON array where it is, so that its id is its
index in the array. `tidied` leaves out what could never be found in a text. Both take off white space at the ends.
"""
import re
import unicodedata
from collections import Counter

import orjson

from mc2 import files
from mc2.errors import BadData, BadUsage
from mc2.metadata import sources
from mc2.metadata.spacing import PUBLISHED, can_match, normalize

FORMATS = (".txt", ".tsv", ".json")
NEVER = "with control characters"
LEFT_OUT = ("empty", "repeated", f"longer than {sources.MAX_LENGTH} characters", NEVER)
TRIMMED = "with white space at an end"

_COMPRESSED = re.compile(r"\.(?:gz|zst)$")
_BREAKS = re.compile("[\t\n\r]")


def format_of(path):
    """The format of a list, one of FORMATS, by its suffix. Raises BadUsage for another."""
    name = _COMPRESSED.sub("", path)
    found = next((suffix for suffix in FORMATS if name.endswith(suffix)), None)
    if found is None:
        raise BadUsage(f"{path}: not called NAME{', NAME'.join(FORMATS)}. A list has one entry a line (.txt), entry "
                       f"<TAB> weight a line (.tsv), or is a JSON array or object (.json). Rename it.")
    return found


def name_of(path):
    """How a list is called among the sources: the name of its file without the suffix, e.g. "products"."""
    stem = _COMPRESSED.sub("", files.base_name(path)).removesuffix(format_of(path))
    name = re.sub(r"[^\w-]+", "-", stem).strip("-")
    if not name:
        raise BadUsage(f"{path}: the list is called by its file, whose name has no letter or digit. Rename it.")
    return name


def read(path):
    """([(entry, weight)], whether it is a JSON array) of a list, as it is written, the heaviest first; equal ones in
    the order of the file. Raises BadData with the line, or the index, of a bad entry."""
    rows, is_array = _read_json(path) if format_of(path) == ".json" else (_read_lines(path), False)
    if not any(entry.strip() for entry, _ in rows):
        raise BadData(f"{path}: holds no entry.")
    return rows, is_array


def _read_lines(path):
    row_of, rows = _of_txt if format_of(path) == ".txt" else _of_tsv, []
    for number, line in files.read_lines(path):
        line = line.removeprefix("\ufeff") if number == 1 else line
        rows.append(row_of(path, number, line.removesuffix("\r")))
    return _heaviest_first(rows)


def _of_txt(path, number, line):
    if "\t" in line.strip():
        raise BadData(f"{path}:{number}: holds a TAB. A .txt has one entry a line; one with weights is called .tsv.")
    return line, 0


def _of_tsv(path, number, line):
    entry, *weights = line.split("\t")
    if not line.strip():
        return "", 0
    try:
        weight, = (sources.weight(text.strip()) for text in weights)
    except ValueError:
        raise BadData(f"{path}:{number}: not of the form entry <TAB> weight, the weight a number.") from None
    return entry, weight


def _read_json(path):
    try:
        with files.open_read(path) as stream:
            content = orjson.loads(stream.read().removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise BadData(f"{path}: not JSON ({error}).") from None
    if isinstance(content, dict):
        for entry, weight in content.items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)):
                raise BadData(f"{path}: the weight of {entry!r} is not a number.")
        return _heaviest_first(list(content.items())), False
    if not isinstance(content, list):
        raise BadData(f"{path}: neither a JSON array of strings nor an object of entries and weights.")
    for index, entry in enumerate(content):
        if not isinstance(entry, str):
            raise BadData(f"{path}: entry {index} is not a string.")
    return [(entry, 0) for entry in content], True


def _heaviest_first(rows):
    return sorted(rows, key=lambda row: -row[1])


def finished(path, rows):
    """(rows, Counter) of a JSON array whose entries keep their places: the entries without white space at their ends.

    rows: list of (entry, weight). The Counter has what was mended. Raises BadData with the index of an entry that
    cannot be one.
    """
    tally, kept = Counter({"in": len(rows)}), []
    for index, (entry, weight) in enumerate(rows):
        bare = entry.strip()
        tally[TRIMMED] += bare != entry
        if not bare or _BREAKS.search(bare):
            raise BadData(f"{path}: entry {index} is empty or holds a TAB or a line break. Entries keep their index as "
                          f"their id, so none can be left out: mend it, or add the list with --add, which does so.")
        kept.append((bare, weight))
    return kept, +tally


def tidied(rows):
    """(rows, Counter) of a list without the entries that no text can hold: white space at the ends is taken off, and
    runs of it become one space. rows: list of (entry, weight). The Counter has what was mended and left out."""
    tally, kept = Counter({"in": len(rows)}), {}
    for entry, weight in rows:
        bare = entry.strip()
        tally[TRIMMED] += bool(bare) and bare != entry
        tidy, reason = _tidy(bare, kept)
        if reason:
            tally[reason] += 1
        else:
            kept[tidy] = weight
    return list(kept.items()), +tally


def _tidy(entry, seen):
    """(the entry as it goes into a source, None), or (None, which of LEFT_OUT it is)."""
    tidy = sources.tidy_listed(entry)
    if not tidy:
        return None, LEFT_OUT[0]
    reasons = (tidy in seen, len(tidy) > sources.MAX_LENGTH, _has_control_characters(tidy))
    return tidy, next((reason for reason, applies in zip(LEFT_OUT[1:], reasons) if applies), None)


def _has_control_characters(entry):
    return not entry.isprintable() and any(unicodedata.category(each) == "Cc" for each in entry)


def doubtful(rows):
    """{what may keep entries from being found: [entries]}; some of it depends on how the sources are merged."""
    entries = [entry for entry, _ in rows]
    found = {f"{NEVER}, which texts do not have": [entry for entry in entries if _has_control_characters(entry)],
             "can match no text under --spacing published, but under --spacing wide":
             [entry for entry in entries if not can_match(entry, PUBLISHED)],
             "not in Unicode's NFC, so texts in NFC have them only after merge --nfc":
             [entry for entry in entries if normalize(entry) != entry]}
    return {what: those for what, those in found.items() if those}
