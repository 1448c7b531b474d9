"""The pairs of pages: the texts of an image on adjacent lines, in the order of the page; and what was left out and why.

A line is {"id", "url", "text", "source", "page"}, with "optout" where the page has opt-outs that are kept, and
"page_lang" where it names its language.
"""
import re
from collections import Counter

import orjson

from mc2 import invisible
from mc2.extract import images, optout, urls
from mc2.pairs.columns import id_of_url

NO_TEXT, OPTED_OUT, REPEATED, LONG_TEXT, PIXEL = (
    "images without text", "opted out", "repeated on a page", "long texts", "tracking pixels")
NO_PAGE_URL = "pages without a URL"
OTHER_STATUS = "pages with another HTTP status than 200"
UNSEEN = " \u200b\u200c\u200d"
LONGEST_TEXT = 100_000          # characters
CONTROLS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1b\x7f\ud800-\udfff]")


class Made:
    """The lines of the pairs of some pages, and what was left out.

    n_pages, n_images: pages that were looked at, and images of them that gave a pair. dropped: Counter of images, texts
    and pages by reason. kept: [(number of the record, reason, line)] of these, where they are wanted.
    """

    def __init__(self, optouts="drop", directives=optout.DIRECTIVES, keeps_private=False, keeps_dropped=False):
        self.drops_optouts, self.directives = optouts == "drop", frozenset(directives)
        self.keeps_private, self.keeps_dropped = keeps_private, keeps_dropped
        self.lines, self.numbers = [], []
        self.n_pages, self.n_images = 0, 0
        self.dropped, self.kept = Counter(), []

    def drop(self, number, reason, page, url="", text=""):
        """Count an image, a text or a page that gives no pair."""
        self.dropped[reason] += 1
        if self.keeps_dropped:
            record = {"url": shown(url), "text": text, "page": page}
            self.kept.append((number, reason, orjson.dumps(_without_surrogates(record))))

    def page(self, number, url, base, optouts=(), lang=""):
        """A Page of which the pairs go here. number: of its record. base: URL of its <base>, or None"""
        return Page(self, number, url, base, optouts, lang)


class Page:
    """The images of one page, of which the pairs are made at its end."""

    def __init__(self, made, number, url, base, optouts, lang):
        self.made, self.number, self.url, self.base = made, number, url, urls.Base(url, base)
        self.is_dropped = bool(optouts) and made.drops_optouts
        self.optouts, self.lang = optouts, lang
        self._images = {}               # {id: (its URL, {text: source})}, in the order of the page

    def add(self, url, texts):
        """An image. url: as the page has it. texts: (source, text) pairs; a text may be "" or None"""
        texts, made = [(source, cleaned) for source, text in texts if text and (cleaned := clean(text))], self.made
        if not texts:
            self.drop_without_text([url])
            return
        try:
            if images.is_placeholder(url):
                raise urls.Refused(images.NONE)
            whole = urls.absolute(url, self.base, made.keeps_private)
            shown_url = urls.encoded(whole)
        except urls.Refused as refused:
            made.drop(self.number, refused.args[0], self.url, url, texts[0][1])
            return
        if self.is_dropped:
            made.drop(self.number, f"{OPTED_OUT} ({', '.join(self.optouts)})", self.url, shown_url, texts[0][1])
            return
        its_id = id_of_url(whole)
        found = self._images.get(its_id)
        if found is None:
            found = self._images[its_id] = shown_url, {}
        found = found[1]
        for source, text in texts:
            if text in found:
                made.drop(self.number, REPEATED, self.url, shown_url, text)
            elif len(text) > LONGEST_TEXT:
                made.drop(self.number, LONG_TEXT, self.url, shown_url, text)
            else:
                found[text] = source

    def drop_without_text(self, addresses):
        """Count images that have no text. addresses: list of URLs as the page has them"""
        if self.made.keeps_dropped:
            for address in addresses:
                self.made.drop(self.number, NO_TEXT, self.url, address)
        elif addresses:
            self.made.dropped[NO_TEXT] += len(addresses)

    def drop_pixel(self, url, texts):
        """Count an image of one pixel."""
        self.made.drop(self.number, PIXEL, self.url, url, next((clean(text) for _, text in texts if text), ""))

    def end(self):
        """Write the pairs."""
        rest = {"page": self.url}
        if self.optouts:
            rest["optout"] = self.optouts
        if self.lang:
            rest["page_lang"] = self.lang
        rest, lines = _without_surrogates(rest), self.made.lines
        before = len(lines)
        for its_id, (url, texts) in self._images.items():
            for text, source in texts.items():
                pair = {"id": its_id, "url": url, "text": text, "source": source, **rest}
                lines.append(orjson.dumps(pair, option=orjson.OPT_APPEND_NEWLINE))
            self.made.n_images += bool(texts)
        self.made.numbers += [self.number] * (len(lines) - before)


def clean(text):
    """A text with single spaces, and without control characters and halves of characters; "" where nothing of it can be
    seen."""
    text = " ".join(text.split())
    if text.isprintable():
        return text
    text = " ".join(CONTROLS.sub("", text).split())
    return text if invisible.IGNORED.sub("", text).strip(UNSEEN) else ""


def shown(url):
    return url[:urls.SHOWN] if url[:5].lower() == "data:" else url[:2 * urls.LONGEST]


def _without_surrogates(record):
    return {key: CONTROLS.sub("\ufffd", value) if isinstance(value, str) and not value.isprintable() else value
            for key, value in record.items()}
