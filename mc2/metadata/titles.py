"""Article titles with their pageviews, from Wikimedia's hourly pageview files.

A line is `domain_code page_title views bytes`. A Wikipedia's domain code is its language, with `.m` for the
mobile and `.zero` for the zero-rated site; codes are written with `-` there and with `_` here. Titles
are percent-decoded, and `_` is a space. Titles with a colon (other namespaces, mostly) are left out.
"""
from collections import Counter, defaultdict
from urllib.parse import unquote_to_bytes

from mc2 import files

# Domain codes that are not the Wikipedia's code with `-` for `_`.
_ALIASES = {"be_x_old": "be_tarask", "gsw": "als", "lzh": "zh_classical", "nan": "zh_min_nan", "nb": "no",
            "rup": "roa_rup", "sgs": "bat_smg", "vro": "fiu_vro", "yue": "zh_yue"}


def count_views(paths, codes):
    """({code: Counter of views per title}, tally) of pageview files, for the given Wikipedia codes.

    tally: `in` lines, and what was left out for which reason.
    """
    wiki_of = _domain_codes(codes)
    views = defaultdict(Counter)
    tally = Counter()
    for path in paths:
        with files.open_read(path) as stream:
            for line in stream:
                tally["in"] += 1
                fields = line.split()
                if len(fields) != 4 or not fields[2].isdigit():
                    tally["malformed"] += 1
                    continue
                code = wiki_of.get(fields[0])
                if code is None:
                    tally["other projects"] += 1
                    continue
                title = _title(fields[1])
                if title is None:
                    tally["not UTF-8"] += 1
                elif ":" in title:
                    tally["with a colon"] += 1
                else:
                    views[code][title] += int(fields[2])
    return dict(views), tally


def rows(views):
    """(title, views), most viewed first, then by code points."""
    return sorted(views.items(), key=lambda item: (-item[1], item[0]))


def _domain_codes(codes):
    """{domain code as in the files: Wikipedia code}"""
    names = {code: code for code in codes}
    names.update({alias: code for alias, code in _ALIASES.items() if code in names})
    return {f"{spelling}{site}".encode(): code for name, code in names.items()
            for spelling in {name, name.replace("_", "-")} for site in ("", ".m", ".zero")}


def _title(raw):
    try:
        return " ".join(unquote_to_bytes(raw).decode("utf-8").replace("_", " ").split())
    except UnicodeDecodeError:
        return None
