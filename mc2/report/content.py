"""What a page is made of: a dict of JSON values, which mc2/data/report/page.js shows.

    {"kind": str, "title": str, "lead": str, "tiles": [[value, what]], "sections": [...]}

A section has `kind`, `title`, perhaps `note`, and by its kind:

    bars        rows: [[label, number]], with true at the end of one that stands out; total: what they are shares of
    languages   columns, rows, sort (the key of a column), details: {code: what is known of one language}
    table       columns, rows
    plots       plots: [{title, x, y, log, series: [{name, points: [[x, y]]}], rule}], of which title, y and rule may
                be null; rule is a line at a height, {name, at}; log: whether both scales are logarithmic
    facts       rows: [[what, value]]; a value is a text or a list of texts
    fields      rows: [[what, value or null, the question that it answers]]
    list        items: [text]

A row of a table is a dict of values by the keys of its columns. A column: column(...) below.
"""
from mc2 import files, parsing
from mc2.errors import BadData
from mc2.invisible import escaped
from mc2.metadata.language_names import language_of

# What only people can say: key -> (heading, the question that it answers).
FIELDS = {
    "licence": ("Licence", "Under which licence is it published? Pictures and texts have licences of their own."),
    "contact": ("Contact", "Whom does one write to, with questions or to have a pair removed?"),
    "origin": ("Where the pool comes from", "Which crawl, of which months? How were the pairs taken from it?"),
    "use": ("Intended use", "What were the pairs made for? What should they not be used for?"),
    "personal": ("Personal information", "What was done about names, faces, addresses and telephone numbers?"),
    "safety": ("Unsafe content", "What was done about violence, sexual content and hate? What was not?"),
    "biases": ("Known biases", "Which languages, places and people are there too little, too much, or shown wrongly?"),
    "citation": ("Citation", "How is the data set to be cited?"),
}
# Shown as they are: joiners, which are part of the spelling of many languages, the selectors of emoji, and all spaces.
_KEPT = frozenset("\u200c\u200d\ufe0e\ufe0f\u00a0\u1680\u202f\u205f\u3000") | set(map(chr, range(0x2000, 0x200b)))


def shown(text):
    """A text as the page shows it: characters that would hide, move or break others are spelled out."""
    return text if text.isascii() and text.isprintable() else \
        "".join(character if character in _KEPT else escaped(character) for character in text)


def column(key, title, form="number", wide=False, about=None):
    """A column of a table. form: text, number, share (0 to 1, drawn as a bar), percent (the same as
    a number alone), prob, score, language ([name, code]) or entry ([text, BCP 47 tag]). wide: left out on a telephone.
    about: what is in it, in a sentence"""
    return {"key": key, "title": title, "form": form, "wide": wide, "about": about}


def language_cell(lang):
    return [language_of(lang).name, lang]


def entry_cell(text, lang):
    return [shown(text), language_of(lang).tag]


def option(name, value):
    """An option and its value as a line of text."""
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return shown(f"{name} = {str(value).lower() if isinstance(value, bool) else value}")


def fields_section(path=None, keys=tuple(FIELDS)):
    """The section of what only people can say. path: a TOML file with texts under the keys of FIELDS, or None. keys:
    those that are asked for; others are shown where they are given"""
    given = _fields(path) if path else {}
    keys = [key for key in FIELDS if key in keys or key in given]
    note = None if len(given) == len(keys) else \
        f"Texts come from a file: mc2 report --fields card.toml, with lines such as licence = \"CC-BY-4.0\". " \
        f"Keys: {', '.join(keys)}."
    return {"kind": "fields", "title": "Licence, use and people", "note": note,
            "rows": [[FIELDS[key][0], shown(given[key]) if key in given else None, FIELDS[key][1]] for key in keys]}


def _fields(path):
    try:
        given = parsing.toml_table(files.read_bytes(path).decode())
    except ValueError as error:
        raise BadData(f"{path}: is no TOML ({error}). Lines are such as licence = \"CC-BY-4.0\".") from None
    for key, value in given.items():
        if key not in FIELDS:
            raise BadData(f"{path}: there is no field {key}. Fields are {', '.join(FIELDS)}.")
        if not isinstance(value, str):
            raise BadData(f"{path}: {key} is no text. Put it in quotes: {key} = \"...\"")
    return {key: value for key, value in given.items() if value.strip()}
