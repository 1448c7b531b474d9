"""The images of a page as its WAT record has them: the `src` of every <img>, with `alt` and `title`, and no more.

The programs that make WAT decode entities (`&amp;`) since August 2019; before that they left them as they were. So texts
and URLs are decoded here only where the producer is older: by the date in its version, else by the date of the record.
"""
import html
import json
import re

import orjson

from mc2.extract import optout
from mc2.extract.pairs import OTHER_STATUS

DECODED_SINCE = "201908"        # year and month
VERSION = re.compile(r"Software-Info:[^\r\n]*?-(20\d{6})\d*\b", re.IGNORECASE)
DATE = re.compile(r"(20\d\d)-(\d\d)-\d\dT")
IMAGE = "IMG@/src"
BAD = "not a WAT record"


def has_entities(date, warcinfo=""):
    """Whether entities are as they were in the pages. date: WARC-Date of a record. warcinfo: content of that record"""
    if version := VERSION.search(warcinfo):
        return version[1] < DECODED_SINCE
    found = DATE.match(date)
    return bool(found) and found[1] + found[2] < DECODED_SINCE


def add_images(made, number, data, is_encoded, sources):
    """Add the images of a WAT record. made: mc2.extract.pairs.Made. number: of the record. data: its content. is_encoded:
    whether entities are as they were in the page. sources: the texts that are wanted. Returns False where it is no WAT
    record."""
    if b'"HTML-Metadata"' not in data:
        return b'"Envelope"' in data
    try:
        record = orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            record = json.loads(data, strict=False)         # halves of characters, line breaks in strings
        except (ValueError, RecursionError):
            return False
    try:
        _add(made, number, record["Envelope"], is_encoded, sources)
    except (KeyError, TypeError, AttributeError):
        return False
    return True


def _add(made, number, envelope, is_encoded, sources):
    response = envelope["Payload-Metadata"]["HTTP-Response-Metadata"]
    page_url = envelope["WARC-Header-Metadata"]["WARC-Target-URI"].strip("<>")
    found, headers = response["HTML-Metadata"], response.get("Headers") or {}
    made.n_pages += 1
    status = str((response.get("Response-Message") or {}).get("Status") or "200")
    if status != "200":
        made.drop(number, OTHER_STATUS, page_url)
        return
    head = found.get("Head") or {}
    metas = [meta for meta in head.get("Metas") or () if isinstance(meta, dict)]
    text = html.unescape if is_encoded else _same
    optouts = optout.found_in([*_contents(metas, optout.is_for_robots), *_header(headers, "x-robots-tag")],
                              [*_contents(metas, optout.TDM.__eq__), *_header(headers, optout.TDM)], made.directives)
    base = head.get("Base")
    page = made.page(number, page_url, text(base) if isinstance(base, str) else None, optouts)
    wants_alt, wants_title = "alt" in sources, "title" in sources
    if "og:image" in sources:
        _add_og_image(page, metas, text)
    for link in found.get("Links") or ():
        if link.get("path") != IMAGE:
            continue
        alt, title = wants_alt and link.get("alt"), wants_title and link.get("title")
        texts = [(source, text(value)) for source, value in (("alt", alt), ("title", title)) if isinstance(value, str)]
        page.add(text(link.get("url") or ""), texts)
    page.end()


def _same(text):
    return text


def _contents(metas, is_wanted):
    """The contents of the <meta>s whose name is wanted."""
    return [str(meta.get("content") or "") for meta in metas if is_wanted(str(meta.get("name") or "").lower())]


def _header(headers, name):
    """The values of an HTTP header: one, or a list of them where it came several times."""
    values = [value for key, value in headers.items() if key.lower() == name]
    return [str(each) for value in values for each in (value if isinstance(value, list) else [value])]


def _add_og_image(page, metas, text):
    found = {}
    for meta in metas:
        name = meta.get("property") or meta.get("name")
        if isinstance(name, str) and isinstance(meta.get("content"), str):
            found.setdefault(name.lower(), text(meta["content"]))
    if url := found.get("og:image") or found.get("og:image:url"):
        page.add(url, [("og:image", found.get("og:image:alt") or found.get("og:title"))])
