"""Which URL an <img> shows once the page is loaded: its `src`, or what a script or a <source> puts in its place."""
import re

from mc2.extract.urls import is_template

# What scripts that load images when they come into view take the URL from.
LAZY = ("data-src", "data-lazy-src", "data-original", "data-lazy", "data-orig-src", "data-original-src",
        "data-actualsrc", "data-echo", "data-srcset", "data-lazy-srcset", "srcset")
# Pictures that stand in until then, by their names: blank.gif, spacer.png, 1x1.gif, placeholder-300x200.png
PLACEHOLDER = re.compile(r"(?:blank|spacer|pixel|transparent|placeholder|lazy(?:load)?|loading|loader|empty|clear|"
                         r"grey|gray|1x1|1px|trans)(?:[-_.]?(?:\d+x\d+|\d+px|\d+|gif|img|image|pixel|bg|placeholder))?"
                         r"\.(?:gif|png|svg|jpe?g|webp)(?:[?#]|$)", re.IGNORECASE)
FIRST = set("bspltcg1eBSPLTCGE")            # characters with which their names begin
SPACE = " \t\n\f\r"
DESCRIPTOR = re.compile(r"(\d+)(w|h)|(-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)x")
NONE = "placeholders"           # the reason for an image of which only a placeholder is known


def is_placeholder(url):
    if "?" in url:
        url = url.partition("?")[0]
    name = url.rfind("/") + 1
    return url[name:name + 1] in FIRST and PLACEHOLDER.match(url, name) is not None


def source_of(attributes, sources=()):
    """The URL of an image, as the page has it; "" where it has none.

    attributes: {name: value}. sources: function that gives the attributes of the <source>s around it.
    """
    src = attributes.get("src") or ""
    if is_picture(src):
        return src
    for found in (attributes, *(sources() if sources else ())):
        for name in LAZY:
            if value := found.get(name):
                for url in _candidates(name, value):
                    if is_picture(url):
                        return url
    return src


def is_picture(url):
    """Whether a URL may be that of the picture itself."""
    return bool(url) and url.lstrip()[:5].lower() not in ("data:", "about") and not is_placeholder(url) \
        and not is_template(url)


def _candidates(name, value):
    return largest_first(value) if name.endswith("srcset") else [value.strip(SPACE)]


def largest_first(srcset):
    """The URLs of a `srcset`, the largest one first (WHATWG, HTML Standard, "parse a srcset attribute")."""
    found, at = [], 0
    while at < len(srcset):
        if srcset[at] in SPACE or srcset[at] == ",":
            at += 1
            continue
        start = at
        while at < len(srcset) and srcset[at] not in SPACE:
            at += 1
        url = srcset[start:at]
        if url.endswith(","):
            found.append((1.0, url.rstrip(",")))
            continue
        start, depth = at, 0
        while at < len(srcset) and (depth or srcset[at] != ","):
            depth += {"(": 1, ")": -1}.get(srcset[at], 0) if depth or srcset[at] == "(" else 0
            at += 1
        size = _size(srcset[start:at].split())
        if size is not None:
            found.append((size, url))
    return [url for _, url in sorted(found, key=lambda each: -each[0])]


def _size(descriptors):
    """How large a candidate is; None where its descriptors are none."""
    size = 1.0
    for each in descriptors:
        found = DESCRIPTOR.fullmatch(each)
        if not found:
            return None
        if found[2] != "h":
            size = float(found[1] or found[3])
    return size
