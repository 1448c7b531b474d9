"""Read Wikimedia's hourly pageview files, such as pageviews-20250601-130000.gz.

A line is `domain_code page_title views bytes`. A Wikipedia's domain code is the name of its site, e.g. `en` or
`be-tarask`, with `.m` for the mobile and `.zero` for the zero-rated site; other projects have further suffixes, as in
`en.d` or `en.m.d`.
See https://wikitech.wikimedia.org/wiki/Data_Platform/Data_Lake/Traffic/Pageviews. How newer files use quotes is not
documented there (see `unquote`).
"""
import datetime
import os
import re
from typing import NamedTuple

from mc2 import files
from mc2.errors import BadData, BadUsage
from mc2.metadata import first_bytes

# Names that sites had before or may get: the language's present code, where the Wikipedia's code is an old one.
ALIASES = {"be_x_old": "be_tarask", "egl": "eml", "gsw": "als", "lzh": "zh_classical", "nan": "zh_min_nan", "nb": "no",
           "rup": "roa_rup", "sgs": "bat_smg", "vro": "fiu_vro", "yue": "zh_yue"}
SITES = ("", ".m", ".zero")
HOURS = [f"{hour:02}" for hour in range(24)]

_NAME = re.compile(r"pageviews-([0-9]{8})-([0-9]{2})0000(?![0-9])")
_MOST_DIGITS = 15               # of a number of views; sums stay far below 2 ** 63
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')


def file_name(day, hour):
    """The name of the file of an hour (datetime.date, "00" to "23")."""
    return f"pageviews-{day:%Y%m%d}-{hour}0000.gz"


def hour_of(path):
    """(date as YYYYMMDD, hour as HH) by the name of a file, or None where it has none."""
    if match := _NAME.search(os.path.basename(path)):
        try:
            datetime.datetime.strptime("".join(match.groups()), "%Y%m%d%H")
        except ValueError:
            return None
        return match.groups()
    return None


def refuse_repeated(paths):
    """Raise BadUsage where two files are of the same hour, or the same file: its views would count twice."""
    first = {}
    for path in paths:
        earlier = first.setdefault(hour_of(path) or os.path.realpath(path), path)
        if earlier is not path:
            raise BadUsage(f"{files.name_of(earlier)} and {files.name_of(path)} are of the same hour, so that its "
                           f"views would count twice. Name one of them.")


def coverage(paths):
    """The hours that the files cover, by their names: {"hours": number, "dates": {date: {"hours": number, "missing":
    [hours]}} for every date from the first to the last, "undated": [names without a date]}. Where most of these dates
    have no file, they were drawn at random: then only those with a file."""
    hours = {hour_of(path) for path in paths} - {None}
    dates = sorted({date for date, _ in hours})
    rows = {}
    between = _every_date(dates[0], dates[-1]) if dates else []
    for date in dates if len(between) > 2 * len(dates) else between:
        missing = [hour for hour in HOURS if (date, hour) not in hours]
        rows[date] = {"hours": len(HOURS) - len(missing), "missing": missing}
    return {"hours": len(hours), "dates": rows, "undated": [files.name_of(path) for path in paths if not hour_of(path)]}


def _every_date(first, last):
    first, last = (datetime.datetime.strptime(date, "%Y%m%d").date() for date in (first, last))
    return [f"{first + datetime.timedelta(n):%Y%m%d}" for n in range((last - first).days + 1)]


def wiki_of_domain(codes):
    """{domain code as in the files: Wikipedia code} for the given Wikipedia codes."""
    names = {code: code for code in codes}
    names.update({alias: code for alias, code in ALIASES.items() if code in names})
    return {f"{name.replace('_', '-')}{site}": code for name, code in names.items() for site in SITES}


# ---------------------------------------------------------------- lines

class Lines(NamedTuple):
    """Some lines of a file, as lists. Bytes that are not UTF-8 become lone surrogates (surrogateescape)."""

    domains: list               # str
    titles: list                # str, with a space for every `_`; raw_title(title) gives the bytes of the file
    views: list                 # int
    odd: list                   # bytes, empty where the title needs no care: see PLAIN
    malformed: int              # number of lines that are not of the form, and not in the lists


# ASCII characters that mean themselves wherever they are in a title, underscores, and all bytes of other characters
PLAIN = bytes({*range(0x21, 0x7f), *range(0x80, 0x100)} - set(b'"#%&/:<>[]{|}~'))

_SEPARATE = bytes.maketrans(b" _", b"\t ")


def read(path):
    """Yield the Lines of a file. Raises BadData for a damaged file, and for one without any line of the form."""
    first_bytes.refuse_other_file(path, first_bytes.PAGEVIEWS, "fetch a file pageviews-YYYYMMDD-HH0000.gz.")
    well_formed = malformed = 0
    for _, block in files.read_blocks(path):
        lines = _split(block) or _split_one_by_one(block)
        yield lines
        well_formed += len(lines.domains)
        malformed += lines.malformed
    if malformed and not well_formed:
        raise BadData(f"{files.name_of(path)}: no pageviews: no line is of the form `domain_code page_title views "
                      f"bytes`. Fetch a file pageviews-YYYYMMDD-HH0000.gz.")


def raw_title(title):
    """A title of Lines as it is in the file (bytes), without the quotes that only a space needs."""
    return title.replace(" ", "_").encode("utf-8", "surrogateescape")


def _split(block):
    """The Lines of a block where every line has four fields; None where one has not.

    All steps work on the block as a whole, which takes a fifth of the time of going line by line. The line breaks
    become fields of their own; where every fifth field is a line break, every line has four fields.
    """
    if not block.endswith(b"\n"):
        block += b"\n"
    n = block.count(b"\n")
    odd = block.translate(None, PLAIN + b" ").split(b"\n")
    block = block.translate(_SEPARATE).replace(b"\n", b"\t\n\t")
    fields = block.decode("utf-8", "surrogateescape").split("\t")
    if len(fields) != 5 * n + 1 or fields[4::5].count("\n") != n:
        return None
    try:
        views = list(map(_NUMBERS.__getitem__, fields[2::5]))
    except ValueError:
        return None
    return Lines(fields[0:-1:5], fields[1::5], views, odd[:-1], 0)


def _split_one_by_one(block):
    lines = Lines([], [], [], [], 0)
    malformed = 0
    for line in block.removesuffix(b"\n").split(b"\n"):
        try:
            domain, rest = line.split(b" ", 1)
            title, number, _ = rest.rsplit(b" ", 2)
            number = _NUMBERS[number.decode("ascii")]
            if b" " in title:
                title = _without_quotes(title)
        except ValueError:
            malformed += 1
        else:
            lines.domains.append(domain.decode("utf-8", "surrogateescape"))
            lines.titles.append(title.decode("utf-8", "surrogateescape"))
            lines.views.append(number)
            lines.odd.append(title)             # `titles.clean` looks at all of them
    return lines._replace(malformed=malformed)


class _Numbers(dict):
    """{digits: number}, filled as they come: looking a number up is faster than parsing it."""

    def __missing__(self, digits):
        if not (digits.isascii() and digits.isdigit()) or len(digits) > _MOST_DIGITS:
            raise ValueError
        number = int(digits)
        if len(digits) < 6:
            self[digits] = number
        return number


_NUMBERS = _Numbers()


def _without_quotes(title):
    if not _QUOTED.fullmatch(title):
        raise ValueError
    return re.sub(rb"\\(.)", rb"\1", title[1:-1])


def unquote(title):
    """A title (bytes) without the quotes and backslashes that newer files have around titles with a quote, and around
    an empty one. Older files have none, so other quotes belong to the title, as in `"Heroes"`."""
    if title == b'""' or title[:1] == b'"' and b'\\"' in title and _QUOTED.fullmatch(title):
        return _without_quotes(title)
    return title
