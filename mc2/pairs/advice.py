"""What to do about an input whose columns or keys are not those of a pair: the ends of error messages.

Each gives the names that were found, and a command that makes the input fit.
"""
import difflib
import json
import shlex

UNDECODABLE = " --on-error skip leaves such rows out."
NEW = "new.parquet"
MOST = 20                       # names that a message lists
COMPARED = 1000                 # names that are compared with one that is not there
# What others call the two keys that every pair has, in lower case, the best first.
OTHER_NAMES = {
    "id": ("id", "uid", "sample_id", "image_id", "key", "__key__", "sha256", "md5", "hash", "url"),
    "text": ("text", "caption", "alt", "alt_text", "alttext", "alt-text", "captions", "txt", "title"),
}
# What a name may hold that is none of these, but probably means the same.
PARTS = {"id": ("uid", "uuid", "guid", "_id"),
         "text": ("caption", "text", "title", "description", "prompt", "label", "sentence")}
NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float", "double")


def shown(name):
    """A name from a file, as it goes into a message of one line."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in name)


def listed_columns(kinds):
    """{name: kind} of columns, as a message lists them; a kind that is "" is left out."""
    return _listed([f"{name} ({kind})" if kind else name for name, kind in kinds.items()])


def _listed(names):
    names = [shown(name) for name in names]
    more = f" and {len(names) - MOST:,} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more


def _found_for(key, names):
    """The name that probably holds what should be called `key`, or None."""
    if key in names:
        return key
    by_lower = {name.lower(): name for name in reversed(list(names))}
    return next((by_lower[name] for name in OTHER_NAMES[key] if name in by_lower), None)


def nearest(name, names):
    """The one of some names that is most like a name, or None."""
    by_lower = {each.lower(): each for each in reversed(list(names)[:COMPARED])}
    close = difflib.get_close_matches(name.lower(), by_lower, 1)
    return by_lower[close[0]] if close else None


def _candidates(key, names):
    """The names that probably hold what should be called `key`, the best first; "auto" for ids that can be made."""
    by_lower = {name.lower(): name for name in reversed(list(names))}
    found = [by_lower[name] for name in OTHER_NAMES[key] if name in by_lower and name != "url"]
    found = found or [name for name in names if any(part in name.lower() for part in PARTS[key])]
    return found or (["auto"] if key == "id" else [])


def options_for(choices):
    """The options that name these columns, as they are typed. choices: iterable of (key, name)"""
    return " ".join(f"--{key} {shlex.quote(shown(name))}" if key in OTHER_NAMES else
                    f"--columns {shlex.quote(f'{key}={shown(name)}')}" for key, name in choices)


def _did_you_mean(missing, names, strings=()):
    """The end of a message: the options that probably name the missing keys. strings: names of columns of text; where
    there is one, it is the text"""
    found = {key: _candidates(key, names) for key in missing}
    if found.get("text") == [] and len(strings) == 1:
        found["text"] = list(strings)
    if not all(found.values()):
        return " Say which they are: --id COLUMN (or --id auto) --text COLUMN." if len(missing) > 1 else \
            f" Say which one it is: --{missing[0]} COLUMN."
    if all(len(each) == 1 for each in found.values()):
        return f" Did you mean {options_for((key, each[0]) for key, each in found.items())}?"
    choices = " and ".join(" or ".join(options_for([(key, name)]) for name in each[:4]) for key, each in found.items())
    return f" Did you mean {choices}?"


def for_no_header(row):
    """The end of a message about a table whose first line is a row, and not the names of the columns."""
    is_pair = len(row) == 2
    names = ",".join("url" if cell and "://" in cell else "text" if is_pair else f"column{number}"
                     for number, cell in enumerate(row, 1))
    return (f"Where the first line is a pair already, name the columns: --header {names} --id auto"
            f"{'' if is_pair else ' --text COLUMN'}.")


def for_missing_columns(source, missing, kinds):
    """The end of a message about a table that has no columns called like these keys. kinds: {name: kind}"""
    usable = {name: kind for name, kind in kinds.items() if kind in ("", "string", *NUMBERS)}
    strings = [name for name, kind in kinds.items() if kind == "string"]
    unusable = [key for key in missing if _found_for(key, kinds) not in (None, *usable)]
    return (_convert(source, kinds) if unusable else _did_you_mean(missing, usable, strings)).strip()


def _program(statements):
    return f"python -c {shlex.quote(shown('; '.join(statements)))}"


# ---------------------------------------------------------------- columns of Parquet

def for_columns(source, columns):
    """The end of a message about a file of Parquet whose columns `id` and `text` are missing or of another type.

    source: name of the file. columns: {name: kind}; kind is "string" for a column that serves as it is, else the name
    of its Arrow type.
    """
    return f" The columns are {listed_columns(columns)}.{_convert(source, columns)}"


def _convert(source, columns):
    """The end of a message: a program that gives a file of Parquet columns `id` and `text` of strings."""
    statements = [statement for key in OTHER_NAMES if columns.get(key) != "string"
                  for statement in _statements(key, _found_for(key, columns), columns)]
    compute = "pyarrow.compute as pc, " if any("pc." in statement for statement in statements) else ""
    program = _program([f"import {compute}pyarrow.parquet as pq", f"t = pq.read_table({json.dumps(source)})",
                        *statements, f"pq.write_table(t, {json.dumps(NEW)})"])
    todo = "Convert them" if all(key in columns for key in OTHER_NAMES) else "Give them these names"
    return f" {todo}, e.g. {program}"


def _statements(key, name, columns):
    """Python statements that put a column `key` of strings into the table t."""
    kind, name = columns.get(name, "string"), json.dumps(name or "NAME OF THE COLUMN", ensure_ascii=False)
    column = f"t[{name}]"
    if kind.startswith(("list", "large_list", "fixed_size_list")):      # a row for each of its texts
        yield f"c = {column}.combine_chunks()"
        yield "t = t.take(pc.list_parent_indices(c))"
        column = "pc.list_flatten(c)"
    elif kind.startswith("struct"):
        field = kind.removeprefix("struct<").partition(":")[0]
        column = f"pc.struct_field({column}, {json.dumps(field, ensure_ascii=False)})"
    elif kind.startswith("extension"):
        column = f"pc.cast([value and str(value) for value in {column}.to_pylist()], 'string')"
    elif kind != "string":
        column += '.cast("string")'
    if key in columns:
        yield f't = t.set_column(t.column_names.index("{key}"), "{key}", {column})'
    else:
        yield f't = t.append_column("{key}", {column})'


# ---------------------------------------------------------------- keys of JSON Lines

def for_missing_key(source, key, record):
    """The end of a message about a line of JSON that lacks a key every pair has. record: dict"""
    if not record.keys() - OTHER_NAMES.keys():
        return ""
    end, other = f" The keys are {_listed(record)}.", _found_for(key, record)
    if other and not isinstance(record[other], (str, int)):
        return f"{end} Take {shown(other)} as {key}, e.g. {_command(source, record)}"
    missing = [each for each in OTHER_NAMES if each not in record]
    return end + _did_you_mean(missing, [name for name, value in record.items() if isinstance(value, (str, int))])


def for_wrong_type(source, key, record):
    """The end of a message about a line of JSON in which `id` or `text` is no string. record: dict"""
    value = record[key]
    kind = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}[type(value)]
    if isinstance(value, dict):
        return f" It is {kind} with the keys {_listed(value)}. Take one of them as {key}."
    return f" It is {kind}. Write it anew, e.g. {_command(source, record)}"


def _command(source, record):
    """A command that writes the lines anew with `id` and `text` as strings, as far as they are to be found."""
    members, loops = [], "for r in map(json.loads, sys.stdin)"
    for key in OTHER_NAMES:
        name = _found_for(key, record)
        if name is None or name == key and isinstance(record[key], str):
            continue
        value = f"r[{json.dumps(name, ensure_ascii=False)}]"
        if isinstance(record[name], list):                  # a line for each of its texts
            loops += f" for each in {value}"
            value = "each"
        members.append(f'"{key}": ' + (value if isinstance(record[name], (str, list)) else f"str({value})"))
    program = _program(["import json, sys", f"[print(json.dumps({{**r, {', '.join(members)}}})) {loops}]"])
    return _through(source, program)


def _through(source, program, new="new.jsonl"):
    """The command line that sends an input through a program."""
    if source == "<stdin>":
        return f"... | {program} | mc2 ..."
    for suffix, tool in ((".zst", "zstd"), (".gz", "gzip"), (".xz", "xz"), (".bz2", "bzip2")):
        if source.endswith(suffix):
            return f"{tool} -dc {shlex.quote(source)} | {program} > {new}"
    return f"{program} < {shlex.quote(source)} > {new}"


def through(source, program):
    """The end of a message that advises to send an input through a program."""
    return f"e.g. {_through(source, program, 'new')}"


def for_delimiter(source, delimiter):
    """The end of a message about a table whose cells are separated by something else."""
    program = _program(["import csv, sys",
                        f"csv.writer(sys.stdout).writerows(csv.reader(sys.stdin, delimiter={json.dumps(delimiter)}))"])
    return f"Write it anew, e.g. {_through(source, program, 'new.csv')}"


def for_too_long(what, longest, is_array=False):
    """(reason, hint) for a line, or a text of a row, of too many bytes. is_array: whether it begins as a list"""
    if is_array:
        return f"longer than {longest:,} bytes.", " It is a list; jq -c '.[]' writes its elements one to a line."
    return f"longer than {longest:,} bytes.", (f" Give a larger --longest-line, or leave such {what}s out with "
                                               f"--on-error skip.")


def for_no_number(source, word):
    """The end of a message about NaN, Infinity or -Infinity in a line of JSON."""
    program = _program(["import json, sys",
                        "[print(json.dumps(json.loads(line, parse_constant=lambda _: None))) for line in sys.stdin]"])
    return (f" {word} is no number of JSON; Python's json writes it unless allow_nan=False is given. "
            f"Write null in its place, e.g. {_through(source, program)}")
