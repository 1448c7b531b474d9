"""How long a parser of HTML would take: mostly a time that grows with their length, but for some pages with its square.

A parser looks through all open elements at many tags, repeats all open elements that format text (<b>, <font>) in each
paragraph, and compares each attribute of a tag with all others. So 200,000 nested <div> take lexbor ten minutes. What
is counted here from the tags alone is about what lexbor would have to do.
"""
import re
from collections import Counter, defaultdict

import numpy as np

FEW = 5000                      # "<" in a page that may be nested as they like: below a second
MOST_STEPS = 300_000_000        # of looking at open elements, up to 10 ns each
MOST_REPEATED = 2_000_000       # elements that are made again, about 700 ns each
MOST_ATTRIBUTES = 5000          # of a tag: more than 12 million comparisons
LONG_TAG = 2 * MOST_ATTRIBUTES  # bytes that so many attributes take at least
REPEATED_ALIKE = 3              # elements with the same attributes that are repeated (WHATWG: Noah's Ark clause)

TAG = re.compile(rb"""<(?:!--.*?(?:-->|\Z)|(script|style|textarea|title|xmp|noembed|noframes)\b.*?(?:</\1|\Z)|"""
                 rb"""(/?)([a-zA-Z][^\s/>]*)((?:[^>"']|"[^"]*(?:"|\Z)|'[^']*(?:'|\Z))*)(?:>|\Z))""",
                 re.DOTALL | re.IGNORECASE)
LONG = re.compile(rb"<[a-zA-Z][^<>]{%d}" % LONG_TAG)
QUOTED = re.compile(rb""""[^"]*"|'[^']*'""")
VOID = {b"area", b"base", b"br", b"col", b"embed", b"hr", b"img", b"input", b"link", b"meta", b"param", b"source",
        b"track", b"wbr", b"image", b"frame", b"html", b"head", b"body"}
ENDS_ITSELF = {b"p", b"li", b"dd", b"dt", b"option", b"optgroup", b"tr", b"td", b"th", b"tbody", b"thead", b"tfoot",
               b"colgroup", b"caption", b"rp", b"rt", b"rb", b"rtc"}
FORMATS = {b"a", b"b", b"big", b"code", b"em", b"font", b"i", b"nobr", b"s", b"small", b"strike", b"strong", b"tt",
           b"u"}
# Of these, `/>` ends no element; it does in SVG and MathML.
OF_HTML = FORMATS | {b"div", b"span", b"section", b"article", b"ul", b"ol", b"dl", b"table", b"center", b"h1", b"h2",
                     b"h3", b"h4", b"h5", b"h6", b"button", b"form", b"label", b"nav", b"aside", b"main", b"header",
                     b"footer", b"figure", b"blockquote", b"pre", b"iframe", b"object", b"select", b"details", b"sup",
                     b"sub", b"ins", b"del", b"template", b"address", b"fieldset", b"marquee", b"ruby", b"picture"}


def is_too_deep(page):
    """Whether a parser would take longer than some seconds. page: bytes, or str"""
    data = page.encode("utf-8", "replace") if isinstance(page, str) else page
    begins = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("<"))
    return (len(begins) > FEW or _has_long_tag(data, begins)) and _takes_long(data)


def _has_long_tag(data, begins):
    """Whether what follows a "<", up to the next one, may be a tag of very many attributes. begins: of each "<" """
    long = np.flatnonzero(np.diff(begins, append=len(data)) > LONG_TAG)
    return any(LONG.match(data, begin) for begin in begins[long].tolist())


def _takes_long(data):
    open_names, depth, steps = Counter(), 0, 0              # elements that were begun and not ended
    formats, alike, n_formats, repeated = defaultdict(list), Counter(), 0, 0
    for tag in TAG.finditer(data):
        _, ends, name, attributes = tag.groups()
        if name is None:                                    # a comment or a script
            continue
        name = name.lower()
        steps += depth
        if name not in FORMATS:
            repeated += n_formats
        if ends:
            if open_names[name]:
                open_names[name] -= 1
                depth -= 1
                if name in FORMATS:
                    key = formats[name].pop()
                    alike[key] -= 1
                    n_formats -= alike[key] < REPEATED_ALIKE
            continue
        if len(attributes) > LONG_TAG and len(QUOTED.sub(b"", attributes).split()) > MOST_ATTRIBUTES:
            return True
        if name in VOID or name in ENDS_ITSELF or attributes.endswith(b"/") and name not in OF_HTML:
            continue
        open_names[name] += 1
        depth += 1
        if name in FORMATS:
            key = name, attributes
            formats[name].append(key)
            n_formats += alike[key] < REPEATED_ALIKE
            alike[key] += 1
        if steps > MOST_STEPS or repeated > MOST_REPEATED:
            return True
    return steps > MOST_STEPS or repeated > MOST_REPEATED
