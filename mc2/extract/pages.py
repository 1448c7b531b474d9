"""The images of a page as the crawl fetched it: an HTTP response with HTML in it, read by lexbor as browsers do."""
import json
import zlib

import zstandard
from selectolax.lexbor import LexborHTMLParser, SelectolaxError

from mc2.extract import charsets, images, nesting, optout
from mc2.extract.pairs import OTHER_STATUS

NOT_HTML, UNREAD, TOO_DEEP, UNPARSED = ("pages that are no HTML", "pages in another content encoding",
                                        "pages nested too deeply", "pages that cannot be parsed")
BAD = "not an HTTP response"
ELEMENTS = "html, base, meta, img, amp-img"
POINT = ("0", "1", "0px", "1px")        # width and height of a tracking pixel
LEVELS = 4                              # that a <figure> is above its image at most
MOST_SOURCES = 100                      # of a <picture>
MOST_INFLATED = 16 << 20                # bytes of a page
ATTRIBUTES = ("alt", "title", "data-image-title")
SOURCES = (*ATTRIBUTES, "figcaption", "og:image", "json-ld")
BY_DEFAULT = ATTRIBUTES


class Response:
    """An HTTP response. status: str. headers: [(name in lower case, value)]. body: bytes, as it was sent"""

    def __init__(self, data):
        """Raises ValueError where it is none."""
        end = min((index for index in (data.find(b"\r\n\r\n"), data.find(b"\n\n")) if index >= 0), default=-1)
        head = data[:end]
        if end < 0 or not head.startswith(b"HTTP/"):
            raise ValueError
        first, *lines = head.decode("latin-1").splitlines()
        self.status = (first.split(None, 2) + ["", ""])[1]
        self.headers = [(name.strip().lower(), value.strip())
                        for name, colon, value in (line.partition(":") for line in lines) if colon]
        self.body = data[end + (4 if data.startswith(b"\r\n\r\n", end) else 2):]

    def all(self, name):
        return [value for its_name, value in self.headers if its_name == name]

    def one(self, name):
        return next(iter(self.all(name)), "")

    @property
    def is_html(self):
        kind = self.one("content-type").lower()
        beginning = self.body[:1024].lstrip().lower()
        return "html" in kind or not kind and (beginning.startswith(b"<!doctype html") or b"<html" in beginning)

    def content(self):
        """The body without its transfer and content encoding, which crawlers have undone or not. None where it is in an
        encoding that is not known."""
        body = self.body
        if "chunked" in self.one("transfer-encoding").lower():
            body = _joined_chunks(body)
        encoding = self.one("content-encoding").lower().strip()
        if encoding in ("", "identity", "none", "utf-8") or body[:64].lstrip().startswith(b"<"):
            return body
        try:
            if encoding in ("gzip", "x-gzip") and body.startswith(b"\x1f\x8b"):
                return zlib.decompressobj(31).decompress(body, MOST_INFLATED)
            if encoding == "deflate":
                return zlib.decompressobj(15 if body[:1] == b"\x78" else -15).decompress(body, MOST_INFLATED)
            if encoding == "zstd":
                return zstandard.ZstdDecompressor().stream_reader(body).read(MOST_INFLATED)
        except (zlib.error, zstandard.ZstdError):
            return None
        return body if encoding in ("gzip", "x-gzip") else None


def _joined_chunks(body):
    """The body without the sizes of its chunks; as it is where it has none."""
    parts, at = [], 0
    while True:
        end = body.find(b"\n", at, at + 1024)
        try:
            size = int(body[at:end].split(b";")[0].strip() or b"x", 16) if end >= 0 else -1
        except ValueError:
            size = -1
        if size < 0:
            return b"".join(parts) if parts else body       # cut off, or not chunked
        if size == 0:
            return b"".join(parts)
        parts.append(body[end + 1:end + 1 + size])
        at = end + 1 + size
        at += 2 if body.startswith(b"\r\n", at) else 1


def add_images(made, number, data, page_url, sources):
    """Add the images of a page. made: mc2.extract.pairs.Made. number: of the record. data: HTTP response. page_url:
    str. sources: the texts that are wanted. Returns False where it is no HTTP response."""
    try:
        response = Response(data)
    except ValueError:
        return False
    made.n_pages += 1
    if response.status != "200":
        made.drop(number, OTHER_STATUS, page_url)
    elif not response.is_html:
        made.drop(number, NOT_HTML, page_url)
    elif (content := response.content()) is None:
        made.drop(number, UNREAD, page_url)
    else:
        _add(made, number, response, charsets.text_of(content, response.one("content-type")), page_url, sources)
    return True


def _add(made, number, response, text, page_url, sources):
    if nesting.is_too_deep(text):
        made.drop(number, TOO_DEEP, page_url)
        return
    try:
        tree = LexborHTMLParser(text)
        elements = tree.css(ELEMENTS)
    except (SelectolaxError, RuntimeError, UnicodeError):
        made.drop(number, UNPARSED, page_url)
        return
    base = lang = None
    metas, shown = [], []
    for element in elements:
        tag = element.tag
        if tag in ("img", "amp-img"):
            shown.append(element)
        elif tag == "meta":
            metas.append(element.attributes)
        elif tag == "base":
            base = base or element.attributes.get("href")
        elif lang is None:
            lang = (element.attributes.get("lang") or "").strip()[:35]
    optouts = optout.found_in(
        [*_contents(metas, optout.is_for_robots), *response.all("x-robots-tag")],
        [*_contents(metas, optout.TDM.__eq__), *response.all(optout.TDM)], made.directives)
    page = made.page(number, page_url, base, optouts, lang)
    if "og:image" in sources:
        _add_og_image(page, metas)
    wanted, without_text = [name for name in sources if name in ATTRIBUTES], []
    captions, pictures = {}, {}
    for element in shown:
        attributes = element.attributes
        texts = [(name, attributes.get(name)) for name in wanted]
        if "figcaption" in sources:
            texts.append(("figcaption", _caption(element, captions)))
        if attributes.get("width") in POINT and attributes.get("height") in POINT:
            page.drop_pixel(attributes.get("src") or "", texts)
        elif any(text for _, text in texts):
            page.add(images.source_of(attributes, lambda: _sources_around(element, pictures)), texts)
        else:
            without_text.append(attributes.get("src") or "")
    page.drop_without_text(without_text)
    if "json-ld" in sources:
        _add_linked_data(page, tree)
    page.end()


def _contents(metas, is_wanted):
    """The contents of the <meta>s whose name is wanted."""
    return [meta.get("content") or "" for meta in metas if is_wanted((meta.get("name") or "").lower())]


def _sources_around(element, known):
    """The attributes of the <source>s of the <picture> around an image. known: {picture: these}, of those that were
    looked at: a hostile page has thousands of images in one"""
    parent = element.parent
    if parent is None or parent.tag != "picture":
        return []
    if parent.mem_id not in known:
        known[parent.mem_id] = [source.attributes for source in parent.css("source")[:MOST_SOURCES]]
    return known[parent.mem_id]


def _caption(element, known):
    """The text of the <figcaption> of the <figure> around an image; "" where there is none. known: {figure: its text}"""
    for _ in range(LEVELS):
        element = element.parent
        if element is None:
            return ""
        if element.tag == "figure":
            if element.mem_id not in known:
                caption = element.css_first("figcaption")
                known[element.mem_id] = caption.text(separator=" ") if caption else ""
            return known[element.mem_id]
    return ""


def _add_og_image(page, metas):
    """The picture by which others show a page (The Open Graph protocol)."""
    found = {}
    for meta in metas:
        found.setdefault((meta.get("property") or meta.get("name") or "").lower(), meta.get("content") or "")
    if url := found.get("og:image") or found.get("og:image:url"):
        page.add(url, [("og:image", found.get("og:image:alt") or found.get("og:title"))])


def _add_linked_data(page, tree):
    """The ImageObjects of schema.org in the scripts of a page."""
    for script in tree.css('script[type="application/ld+json"]'):
        try:
            waiting = [json.loads(script.text(), strict=False)]
        except (ValueError, RecursionError):
            continue
        while waiting:
            found = waiting.pop()
            if isinstance(found, list):
                waiting += reversed(found)
            elif isinstance(found, dict):
                kinds = found.get("@type")
                url = found.get("contentUrl") or found.get("url")
                if isinstance(url, str) and "ImageObject" in (kinds if isinstance(kinds, list) else [kinds]):
                    page.add(url, [("json-ld", text) for text in map(found.get, ("caption", "name", "description"))
                                   if isinstance(text, str)])
                waiting += reversed([value for value in found.values() if isinstance(value, (list, dict))])
