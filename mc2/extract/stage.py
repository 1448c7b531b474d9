"""The first step of a curation: from crawled pages to pairs, as a Stage whose inputs are WARC and WAT files."""
from collections import Counter
from typing import NamedTuple

import numpy as np
import orjson

from mc2 import extras, files
from mc2.execution.stage import Stage
from mc2.extract import optout, warc, wat
from mc2.extract.pairs import NO_PAGE_URL, Made
from mc2.pairs import jsonl
from mc2.pairs.batch import Reject

BLOCK = 2 << 20                 # bytes of records: the unit of work
LONGEST = 16 << 20              # bytes of a record
TOO_LONG = "long pages"
OTHER_TYPE, NO_HTTP = "records of an unknown type", "responses that are not HTTP"
WITHOUT_PAGE = ("request", "resource", "revisit", "conversion", "continuation")     # types of records
HTML, WAT, DAMAGE, LONG, OTHER = "html", "wat", "damage", "long", "other"       # kinds of Items
SEE = " --on-error skip counts it and reads on."


class Item(NamedTuple):
    """A record that may have pairs, or what stands in its place. number: of the record in its file, from 1. url: of the
    page, for damage the kind of it, for OTHER why it is left out. data: content, or for damage the reason. is_encoded:
    of a WAT record, whether its entities are as they were in the page"""

    kind: str
    number: int
    url: str
    data: bytes
    is_encoded: bool = False


class Extract(Stage):
    """Make the pairs of crawled pages."""

    name = "extract"
    takes = "pages"

    def __init__(self, sources, optouts="drop", directives=optout.DIRECTIVES, keeps_private=False, longest=LONGEST):
        """sources: of mc2.extract.pages.SOURCES, in the order in which the texts of an image come. optouts: "drop" or
        "keep" the images of pages that have one of these directives, or reserve text and data mining. keeps_private:
        whether images at localhost and in private networks are taken. longest: bytes of a record above which it is
        passed over."""
        extras.need("extract", "selectolax", "chardet")
        self.sources, self.optouts, self.directives = tuple(sources), optouts, tuple(directives)
        self.keeps_private, self.longest = keeps_private, longest
        self.options = {"sources": list(self.sources), "optouts": optouts, "directives": sorted(self.directives),
                        "private": keeps_private, "longest_page": longest}

    def __call__(self, batch):
        """All is done when a Block becomes a batch."""

    def check_input(self, path):
        """Anything may lie beside a file of a crawl."""

    def read_blocks(self, paths):
        """Yield the Blocks of the pages of all inputs, in order."""
        for path in paths:
            yield from self._blocks(path)

    def _blocks(self, path):
        source, items, held = files.name_of(path), [], 0
        for item in self._items(path, source):
            items.append(item)
            held += len(item.data)
            if held >= BLOCK:
                yield Block(source, items[0].number, items, self)
                items, held = [], 0
        if items:
            yield Block(source, items[0].number, items, self)

    def _items(self, path, source):
        """Yield the Items of a file."""
        producer, number = None, 0          # whether its entities are encoded, where its version is known

        def is_wanted(header):
            nonlocal number
            number += 1
            kind = warc.field(header, "WARC-Type").lower()
            if kind in ("metadata", "response"):
                content_type = warc.field(header, "Content-Type").lower()
                return kind == "response" or "json" in content_type or not content_type
            return kind not in WITHOUT_PAGE

        with files.open_as_it_is(path) as stream:
            for found in warc.records(stream, source, self.longest, is_wanted):
                if isinstance(found, warc.Damage):
                    yield Item(DAMAGE, number, found.kind, found.reason)
                    continue
                kind = found.field("WARC-Type").lower()
                if kind == "warcinfo":
                    producer = wat.producer_has_entities((found.content or b"").decode("utf-8", "replace"))
                    continue
                if kind not in ("metadata", "response"):
                    yield Item(OTHER, number, OTHER_TYPE, b"")
                    continue
                if kind == "response" and "http" not in (found.field("Content-Type").lower() or "http"):
                    yield Item(OTHER, number, NO_HTTP, b"")
                    continue
                if kind == "metadata" and found.content is not None and wat.is_of_no_page(found.content):
                    continue
                url = found.field("WARC-Target-URI").strip("<>")
                if found.content is None:
                    yield Item(LONG, number, url, b"")
                elif kind == "metadata":
                    is_encoded = wat.has_entities(found.field("WARC-Date")) if producer is None else producer
                    yield Item(WAT, number, url, found.content, is_encoded)
                else:
                    yield Item(HTML, number, url, found.content)

    def summary(self, tally):
        return f"{tally['images']:,} images, {tally['out']:,} pairs"


class Block(NamedTuple):
    """Some pages, as one worker takes them. number: of the first record"""

    source: str
    number: int
    items: list
    stage: Extract

    def before(self, number):
        """The Block of the pages before a record."""
        return self._replace(items=[item for item in self.items if item.number < number])

    def batch(self, requires=(), skip_bad=False, keep_dropped=False, adds=(), reads=()):
        """The Batch of the pairs of these pages. Raises BadLine for what is no record, unless skip_bad."""
        stage = self.stage
        made = Made(stage.optouts, stage.directives, stage.keeps_private, keep_dropped)
        bad = [(item, found) for item in self.items if (found := _add(made, item, stage.sources))]
        batch = jsonl.Block(self.source, self.number, b"".join(made.lines)).batch((), False, False, adds, reads)
        batch.numbers = np.array(made.numbers, np.int64)
        batch.skip_bad, batch.keep_dropped = skip_bad, keep_dropped
        batch.tally = Counter({"in": made.n_pages, "images": made.n_images,
                               **{f"dropped: {reason}": count for reason, count in made.dropped.items()}})
        batch.dropped = [Reject(number, reason, line) for number, reason, line in made.kept]
        for item, (reason, kind) in bad:
            batch._reject(item.number, _described(self.source, item, reason), reason, SEE, kind)
        return batch


def _add(made, item, sources):
    """Add the images of an Item to what is made. Returns None, or (reason, kind) where it is no record that can be
    read."""
    if item.kind == DAMAGE:
        return item.data, item.url
    if item.kind == OTHER:
        made.drop(item.number, item.url, "")
        return None
    if item.kind == LONG or not item.url.startswith(("http://", "https://")):
        if item.kind != WAT:
            made.n_pages += 1
            made.drop(item.number, TOO_LONG if item.kind == LONG else NO_PAGE_URL, item.url)
            return None
    if item.kind == WAT:
        is_read, what = wat.add_images(made, item.number, item.data, item.is_encoded, sources), wat.BAD
    else:
        from mc2.extract import pages                   # which imports lexbor
        is_read, what = pages.add_images(made, item.number, item.data, item.url, sources), pages.BAD
    return None if is_read else (f"the record of {item.url[:200]} is {what}.", f"records that are {what}")


def _described(source, item, reason):
    """A line of JSON that says which record could not be read. bytes"""
    return orjson.dumps({"file": source, "record": item.number, "reason": reason,
                         "page": item.url if item.kind != DAMAGE else None})
