"""The images of a page as its WAT record has them: the `src` of every <img>, with `alt` and `title`, and no more.

The programs that make WAT decode entities (`&amp;`) since August 2019; before that they left them as they were. So
texts and URLs are decoded here only where the producer is older: by the date in its version, else by the date of the record.
"""
import html
import json
import re
from typing import NamedTuple

import orjson

from mc2.extract import optout
from mc2.extract.pairs import NO_PAGE_URL, OTHER_STATUS

DECODED_SINCE = "201908"        # year and month
VERSION = re.compile(r"Software-Info:[^\r\n]*?-(20\d{6})\d*\b", re.IGNORECASE)
DATE = re.compile(r"(20\d\d)-(\d\d)-\d\dT")
IMAGE = "IMG@/src"
BAD = "not a WAT record"


def has_entities(date):
    """Whether entities are as they were in the pages, by the WARC-Date of a record."""
    found = DATE.match(date)
    return bool(found) and found[1] + found[2] < DECODED_SINCE


def producer_has_entities(warcinfo):
    """The same by the version of the program; None where it is not known. warcinfo: content of that record, str"""
    version = VERSION.search(warcinfo)
    return version and version[1] < DECODED_SINCE


def is_of_no_page(data):
    """Whether a WAT record is one of a request, of a picture or the like."""
    return b'"HTML-Metadata"' not in data and b'"Envelope"' in data


def add_images(made, number, data, is_encoded, sources):
    """Add the images of a WAT record. made: mc2.extract.pairs.Made. number: of the record. data: its content.
    is_encoded: whether entities are as they were in the page. sources: the texts that are wanted. Returns False where it is no WAT
    record."""
    try:
        found = _page(data, made, sources)
        if found is None:
            return False
        (found.decoded() if is_encoded else found).add(made, number, sources)
    except (KeyError, TypeError, AttributeError):
        return False
    return True


class _WatPage(NamedTuple):
    """The part of a WAT record that pairs are made of. links: objects with "path", "url" and maybe "alt" and "title",
    of images and others. shown: "url" and "text" of its og:image, or {}"""

    url: str
    links: list
    status: str = "200"
    base: str = None
    optouts: list = ()
    shown: dict = {}

    def add(self, made, number, sources):
        """Add its images to what is made."""
        made.n_pages += 1
        if not self.url.startswith(("http://", "https://")):
            made.drop(number, NO_PAGE_URL, self.url)
            return
        if self.status != "200":
            made.drop(number, OTHER_STATUS, self.url)
            return
        page = made.page(number, self.url, self.base if isinstance(self.base, str) else None, self.optouts)
        wanted = [source for source in sources if source in ("alt", "title")]
        if self.shown:
            page.add(self.shown["url"], [("og:image", self.shown["text"])])
        shown = [link for link in self.links if link.get("path") == IMAGE]
        without_text = []
        for link in shown:
            texts = [(source, text) for source in wanted if (text := link.get(source))]
            if texts:
                page.add(link.get("url") or "", texts)
            else:
                without_text.append(link.get("url") or "")
        page.drop_without_text(without_text)
        page.end()

    def decoded(self):
        """The same with the entities of its texts and URLs decoded."""
        def text(values):
            return {key: html.unescape(value) if isinstance(value, str) else value for key, value in values.items()}
        base = html.unescape(self.base) if isinstance(self.base, str) else None
        return self._replace(links=list(map(text, self.links)), base=base, shown=text(self.shown))


def _page(data, made, sources):
    """The _WatPage of a record; None where it is no JSON. Raises KeyError, TypeError or AttributeError where it is no
    WAT record."""
    try:
        record = orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            record = json.loads(data, strict=False)         # halves of characters, line breaks in strings
        except (ValueError, RecursionError):
            return None
    response = record["Envelope"]["Payload-Metadata"]["HTTP-Response-Metadata"]
    url = record["Envelope"]["WARC-Header-Metadata"]["WARC-Target-URI"].strip("<>")
    found, headers = response["HTML-Metadata"], response.get("Headers") or {}
    status = str((response.get("Response-Message") or {}).get("Status") or "200")
    head = found.get("Head") or {}
    metas = [meta for meta in head.get("Metas") or () if isinstance(meta, dict)]
    optouts = optout.found_in([*_contents(metas, optout.is_for_robots), *_header(headers, "x-robots-tag")],
                              [*_contents(metas, optout.TDM.__eq__), *_header(headers, optout.TDM)], made.directives)
    shown = _og_image(metas) if "og:image" in sources else {}
    return _WatPage(url, found.get("Links") or (), status, head.get("Base"), optouts, shown)


def _contents(metas, is_wanted):
    """The contents of the <meta>s whose name is wanted."""
    return [str(meta.get("content") or "") for meta in metas if is_wanted(str(meta.get("name") or "").lower())]


def _header(headers, name):
    """The values of an HTTP header: one, or a list of them where it came several times."""
    values = [value for key, value in headers.items() if key.lower() == name]
    return [str(each) for value in values for each in (value if isinstance(value, list) else [value])]


def _og_image(metas):
    """The picture by which others show a page (The Open Graph protocol): "url" and "text", or {}."""
    found = {}
    for meta in metas:
        name = meta.get("property") or meta.get("name")
        if isinstance(name, str) and isinstance(meta.get("content"), str):
            found.setdefault(name.lower(), meta["content"])
    url = found.get("og:image") or found.get("og:image:url")
    return {"url": url, "text": found.get("og:image:alt") or found.get("og:title") or ""} if url else {}
