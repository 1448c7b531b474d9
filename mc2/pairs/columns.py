"""Which columns (or keys) of an input are mc2's `id`, `text`, `url` and `lang`, where they have other names.

A file that has `id` and `text` is taken as it is. Else the columns are those that the user names (`--columns`, `--id`,
`--text`), and the rest those of a known form (FORMS), where exactly one reading is possible. What is taken gets mc2's
name; all other columns are carried along as they are. A column that has one of these names but is not the one that was
taken is carried along as `input_id`, `input_text` ...

`--id auto` makes ids. Where a file has URLs: 24 hex digits of SHA-224 of the URL without spaces and tabs. Else
FILE:LINE: the name of the file as its output is called, and the number of the line where the pair begins, from 1 (in
Parquet of the row, in a JSON document of the object). It is the place that messages name too, and depends neither on
the division into shards and blocks nor on what is skipped.
"""
import hashlib
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import product

import orjson

from mc2 import files
from mc2.errors import BadData, BadUsage
from mc2.pairs import advice

KEYS = ("id", "text", "url", "lang")
AUTO = "auto"
LOOKED_AT = 100                 # lines, or objects of an array, from which the keys of JSON are taken
MOST_LAYOUTS = 1000             # of lines with different keys, that are remembered
# Stands behind a line that lacks a column which the user named, before [key, column] in JSON; or that cannot be written
# anew, before null. With it, a line is no JSON.
NOT_TAKEN = b"\0not taken: "
EXACT = 1 << 53                 # below it a double holds a whole number as it is
PLAIN = {str, int, bool, type(None)}
DIGITS = set(map(bytes, zip(b"0123456789.eE")))
SEPARATOR = re.compile(rf",(?=(?:{'|'.join(KEYS)})=)")


@dataclass(frozen=True)
class Form:
    """A kind of table that people have: lower-case names of the columns that may be `id` and `text`, and of others that
    must be there."""

    name: str
    ids: tuple
    texts: tuple
    needs: tuple = ()


FORMS = [
    Form("DataComp", ("uid",), ("text",)),
    Form("LAION", ("hash", "sample_id"), ("text",), ("url",)),
    Form("cc2dataset", ("uid",), ("alt",)),
    Form("img2dataset", ("key", "uid"), ("caption",), ("url",)),
    Form("img2dataset", ("id",), ("caption",), ("url", "key", "status")),       # with --save_additional_columns
    Form("a Hugging Face imagefolder", ("file_name",), ("text", "caption")),
]
CAPTIONS = "a table of captions"
# Columns that are taken where no form fits and one alone is called so, in capitals or not; the best first.
ALONE = {"id": ("id",), "text": ("text", "caption")}
COCO = Form("COCO captions", ("image_id",), ("caption",))       # annotations, whose own `id` is that of a caption
FORMS.append(COCO)


class NoPairs(BadData):
    """A table in which it is not known which columns are `id` and `text`. columns: {name: kind}. hint: what to do"""

    def __init__(self, message, columns, hint):
        super().__init__(message, columns, hint)
        self.columns, self.hint = columns, hint

    def __str__(self):
        return f"{self.args[0]} The columns are {advice.listed_columns(self.columns)}. {self.hint}".rstrip()


class NoColumns(NoPairs):
    """A table in which there are none."""


@dataclass(frozen=True)
class Reading:
    """How the inputs of a command are read: what the user said about them.

    given:  ((key of mc2, name of a column), ...); the name of an id may be AUTO
    format: of mc2.pairs.formats, for inputs whose names do not tell theirs
    header: names of the columns of tables in text whose first line is a row, not the names
    name:   function from a path to what the file is called in ids that are made from file and line
    """

    given: tuple = ()
    format: str = None
    name: object = files.base_name
    header: tuple = ()

    @property
    def makes_ids(self):
        return ("id", AUTO) in self.given

    @property
    def options(self):
        """What of it the result depends on, for manifests and descriptions; {} for the usual reading."""
        options = {"columns": dict(self.given), "format": self.format, "header": list(self.header)}
        return {name: value for name, value in options.items() if value}

    def columns_of(self, path, kinds, form=None):
        """The Columns of an input, or None where it is to be taken as it is.

        kinds: {name: kind}, in order; a kind is "string" for what serves as it is, else the name of the type, or ""
        where columns have no types. form: the Form that the input is known to have. Raises NoPairs where columns are
        missing, or several may be meant.
        """
        return _Search(files.name_of(path), dict(self.given), kinds, form).found(
            "stdin" if path == "-" else files.printable(self.name(path)))


def reading_of(columns=(), id=None, text=None, format=None, header=None):
    """The Reading that options ask for. columns: list of "key=name,..." header: "name,..." Raises BadUsage for what
    cannot be meant."""
    given, names = {}, tuple(header.split(",")) if header is not None else ()
    if names and (not all(names) or len(set(names)) < len(names)):
        raise BadUsage(f"--header {header}: give the name of every column, each once, e.g. --header text,url.")
    pairs = [part.partition("=") for each in columns for part in SEPARATOR.split(each)]
    pairs += [(key, "=", name) for key, name in (("id", id), ("text", text)) if name is not None]
    for key, equals, name in pairs:
        if key not in KEYS or not name:
            raise BadUsage(f"--columns {key}{equals}{name}: give KEY=COLUMN with a key of {', '.join(KEYS)}, e.g. "
                           f"--columns id=uid,text=TEXT.")
        if key in given:
            raise BadUsage(f"two columns are named for {key}: {given[key]} and {name}. Name one.")
        if name == AUTO and key != "id":
            raise BadUsage(f"--columns {key}={AUTO}: only ids can be made. Name a column.")
        given[key] = name
    return Reading(tuple(sorted(given.items())), format, header=names)


# ---------------------------------------------------------------- which columns

class _Search:
    """The search for the columns of one input."""

    def __init__(self, source, given, kinds, form):
        self.source, self.given, self.kinds, self.form = source, given, kinds, form
        self.by_lower = defaultdict(list)
        for name in kinds:
            self.by_lower[name.lower()].append(name)

    def found(self, row_name):
        self._refuse_missing([name for name in self.given.values() if name != AUTO and name not in self.kinds])
        taken = dict(self.given)
        for key in ("id", "text"):
            if key in self.kinds and not (self.form and key == "id"):
                taken.setdefault(key, key)
        if len(taken.keys() & {"id", "text"}) == 2 and all(key == name for key, name in taken.items()):
            return None
        fits = [(form, reading) for form, reading in self._readings()
                if all(taken.get(key, name) in (name, AUTO) for key, name in reading.items())]
        missing = [key for key in ("id", "text") if key not in taken]
        choices = {}
        for form, reading in fits:
            choices.setdefault(tuple(reading[key] for key in missing), form.name)
        choices = choices or {(): None}
        if len(choices) > 1:
            raise NoPairs(f"{self.source}: {' and '.join(missing)} may be several columns.", self.kinds,
                          f"Say which are meant: {self._spelled(missing, choices)}.")
        (names, form), = choices.items()
        if missing and not names:
            names, form = self._alone(missing), CAPTIONS
        taken.update(zip(missing, names))
        form, urls = form if missing else None, self.by_lower["url"]
        if (form or taken["id"] == AUTO) and len(urls) == 1:
            taken.setdefault("url", urls[0])
        for key in KEYS[2:]:
            if key in self.kinds:
                taken.setdefault(key, key)
        is_said = not self.given.keys().isdisjoint({"id", "text"})
        return Columns(taken, self._ids(taken), row_name, form, is_said)

    def _readings(self):
        """(form, {"id": name, "text": name}) of all forms that the columns fit."""
        for form in [self.form] if self.form else FORMS:
            if all(name in self.by_lower for name in form.needs):
                names = ([name for lower in lowers for name in self.by_lower.get(lower, ())]
                         for lowers in (form.ids, form.texts))
                for id, text in product(*names):
                    yield form, {"id": id, "text": text}

    def _alone(self, missing):
        """The columns for the keys that are missing, where one alone may be meant for each. Raises NoColumns for any
        other table."""
        found = [[name for lower in ALONE[key] for name in self.by_lower.get(lower, ())] for key in missing]
        if any(len(names) != 1 for names in found) or self.form:
            self._refuse(missing)
        return [name for name, in found]

    def _ids(self, taken):
        """The column of URLs that ids are made from, "" where they are made from file and line, None where they are not
        made."""
        if taken["id"] != AUTO:
            return None
        urls = [taken["url"]] if "url" in taken else self.by_lower["url"]
        if len(urls) > 1:
            raise NoPairs(f"{self.source}: ids may be made from several columns.", self.kinds,
                          f"Say which one has the URLs, e.g. {advice.options_for([('url', urls[0])])}.")
        return urls[0] if urls else ""

    def _spelled(self, keys, choices):
        return ", or ".join(advice.options_for(zip(keys, names)) for names in choices)

    def _refuse_missing(self, names):
        if names:
            close = advice.nearest(names[0], self.kinds)
            keys = [key for key, name in self.given.items() if name == names[0]]
            hint = f"Did you mean {advice.options_for([(keys[0], close)])}?" if close else ""
            raise NoPairs(f"{self.source}: no column is called {advice.shown(names[0])}.", self.kinds, hint)

    def _refuse(self, missing):
        what = " and ".join(f'no column "{key}"' for key in missing)
        hint = advice.for_missing_columns(self.source, missing, self.kinds)
        raise NoColumns(f"{self.source}: {what}.", self.kinds, hint)


# ---------------------------------------------------------------- what is made of them

@dataclass
class Columns:
    """The columns of one input as mc2's keys.

    taken:    {key: column}, or AUTO for an id that is made
    urls:     the column of URLs from which ids are made, "" where they are made from file and line, None where not made
    row_name: what the file is called in such ids
    form:     name of the Form that was recognised, or None
    is_said:  whether the user said where `id` or `text` is, so that a line of JSON without these columns is a bad line,
              also where it has other keys that are called `id` and `text`
    """

    taken: dict
    urls: str
    row_name: str
    form: str = None
    is_said: bool = False
    _layouts: dict = field(default_factory=dict, repr=False, compare=False)

    def layout(self, names):
        """[(key, column)] in the order of what is written, `id` and `text` first. names: of all columns; an id that is
        made has AUTO, and stands first."""
        names = tuple(names)
        if names not in self._layouts:
            if len(self._layouts) == MOST_LAYOUTS:
                self._layouts.clear()
            taken = set(self.taken.values())
            found = [(key, self.taken[key]) for key in ("id", "text")]
            for name in names:
                found += [(key, name) for key in KEYS[2:] if self.taken.get(key) == name]
                if name not in taken:
                    found.append((self._free(name, names), name))
            self._layouts[names] = found
        return self._layouts[names]

    def _free(self, name, names):
        """The name under which a column is carried along that is not taken."""
        while name in self.taken:
            name = f"input_{name}"
            while name in names:
                name = f"input_{name}"
        return name

    def needed(self, keys):
        """Names of the columns that these keys come from."""
        return {self.taken.get(key, key) for key in keys} | ({self.urls} if self.urls and "id" in keys else set())

    def made_id(self, number, url=None):
        """The id that is made for the pair of this line or row. url: where there are URLs; None gives None"""
        if self.urls:
            return id_of_url(url) if isinstance(url, str) else None
        return f"{self.row_name}:{number}"

    def _missing(self, record):
        """[key, column] for the first of `id` and `text` whose column a record lacks; None where it has both."""
        return next(([key, self.taken[key]] for key in ("id", "text")
                     if self.taken[key] not in record and self.taken[key] != AUTO), None)

    def record(self, record, number):
        """The record with mc2's keys, `id` and `text` first; None where it lacks a column for them."""
        if self._missing(record):
            return None
        made = self.made_id(number, record.get(self.urls)) if self.urls is not None else None
        return {key: made if name == AUTO and key == "id" else record[name] for key, name in self.layout(record)}

    def why_not_taken(self, record):
        """What is to be written behind the line of a record that lacks a column. record: dict. bytes"""
        return NOT_TAKEN + json.dumps(self._missing(record)).encode() if self.is_said else b""

    def lines(self, data, first):
        """Lines of JSON written anew with mc2's keys; those that are no such records stay as they are, with what
        why_not_taken gives behind them. data: bytes. first: number of the first line"""
        return b"\n".join([self._line(line, number) for number, line in enumerate(data.split(b"\n"), first)])

    def _line(self, line, number):
        try:
            record = orjson.loads(line)
            found = self.record(record, number)
        except (orjson.JSONDecodeError, TypeError, AttributeError, RecursionError):
            return line
        if found is None:
            return line + self.why_not_taken(record) if isinstance(record, dict) else line
        its_id = found["id"]
        try:
            if type(its_id) is not str:
                its_id = id_text(its_id, lambda: json.loads(line)[self.taken["id"]])
            if not keeps_form(found.values(), line):
                found = self.record(json.loads(line, parse_int=orjson.Fragment, parse_float=orjson.Fragment), number)
            found["id"] = its_id
            return orjson.dumps(found)
        except (TypeError, RecursionError):     # nested too deeply to be written
            return line + (NOT_TAKEN + b"null" if self.is_said else b"")

    def description(self):
        """What was taken for what, for manifests."""
        return {**self.taken, **({"ids_from": self.urls or "file and line"} if self.urls is not None else {}),
                **({"form": self.form} if self.form else {})}


def said(description):
    """What a person should know of a description, in some words; None where the user said all of it, or nothing was to
    be said."""
    form, made = description.get("form"), description.get("ids_from")
    names = ", ".join(f"{key}={advice.shown(name)}" for key, name in description.items() if key in KEYS and key != name)
    parts = [f"taken for {form}: {names}"] if form else []
    return "; ".join([*parts, *([f"ids are made from {advice.shown(made)}"] if made else [])]) or None


def id_of_url(url):
    """The id of the image at a URL: 24 hex digits of SHA-224 of it without spaces and tabs."""
    return hashlib.sha224(url.replace(" ", "").replace("\t", "").encode("utf-8", "surrogatepass")).hexdigest()[:24]


def keeps_form(values, line):
    """Whether orjson writes values that it read from a line of JSON in the form in which they are there."""
    for value in values:
        if type(value) is float:
            form = orjson.dumps(value)
            end = line.find(form) + len(form)
            if end < len(form) or line[end:end + 1] in DIGITS:
                return False
        elif type(value) not in PLAIN:
            return False
    return True


def id_text(value, exact=None):
    """An id as text: a whole number becomes its decimal form; anything else stays. exact: function that gives the
    number where `value` may be a rounded form of it"""
    if type(value) is float and exact and not abs(value) < EXACT:
        value = exact()
    if type(value) is int or type(value) is float and value.is_integer() and abs(value) < EXACT:
        return str(int(value))
    return value
