"""Stream the articles of a MediaWiki XML dump, such as enwiki-latest-pages-articles-multistream.xml.bz2.

A dump is one XML document: a <siteinfo> with the names of the wiki's namespaces, then one <page> after
another. Only a few elements of it matter here, so the parser skips the characters of all others, and memory
does not grow with the dump. Dumps of any version of the export schema are read: elements are known by their
local names, and where an old version has no <ns>, the namespace is taken from the title.

A large dump can be read in ranges of its bytes, by many processes. A page belongs to the range in which its <page>
begins; the XML before the first page is read for every range. Every range is read on until the next range's first
page begins, or to the end of the dump, which has to be there.
"""
from collections import Counter
from typing import NamedTuple
from xml.parsers import expat

from mc2 import files
from mc2.errors import BadData
from mc2.metadata import streams
from mc2.metadata.wikitext import HIDDEN_NAMESPACES, normal_namespace

PAGE = b"<page>"                            # in texts `<` is written &lt;, so this is always a tag
LONGEST_HEAD = 1 << 20                      # bytes of XML before the first page
HIDDEN_KEYS = {"-2", "6", "14"}             # media, files, categories
KINDS = ["pages", "redirects", "in other namespaces"]       # of a tally; the pages proper are articles
WANTED = {"namespace", "title", "ns", "text"}       # the elements whose characters are kept


class Page(NamedTuple):
    title: str
    text: str                               # wikitext
    hidden_namespaces: frozenset            # for wikitext.clean; the same set for every page of a dump


def ranges(path):
    """Ranges (start, stop) of a dump for read_pages; one, if it cannot be cut."""
    found = streams.ranges(path)
    return found if len(found) == 1 or _head(path) else [streams.WHOLE]


def read_pages(path, start=0, stop=None, tally=None):
    """Yield a Page for every article: the pages of namespace 0 that are no redirects.

    start, stop: one of the ranges of the dump; all of it by default.
    tally: a Counter of KINDS to add to.
    """
    reader = _Reader(files.name_of(path), Counter() if tally is None else tally)
    contents = streams.read(path, start, stop)
    if start:
        reader.begin_range(start, _head(path))
        contents = _from_first_page(contents)
    if (start, stop) != streams.WHOLE:
        reader.refuse_hidden_tags()
    is_empty = start > 0                # the last range may be, and then another reads to the end of the dump
    for chunk, beyond in contents:
        is_empty = False
        if beyond:
            reader.end_range()
        reader.parse(chunk)
        yield from reader.take()
        if reader.is_done:
            return
    if not is_empty:
        reader.parse(b"", True)
        yield from reader.take()


def _head(path):
    """The bytes before the first page of a dump; none if no <page> is near the beginning."""
    head = b""
    for chunk, _ in streams.read(path):
        head += chunk
        if (end := head.find(PAGE)) >= 0:
            return head[:end]
        if len(head) > LONGEST_HEAD:
            break
    return b""


def _from_first_page(contents):
    """The contents of a range from the first <page> on that begins in it; nothing if none does."""
    window, size = b"", None                # size: how much of the window is within the range, once it has ended
    for chunk, beyond in contents:
        if beyond and size is None:
            size = len(window)
        window += chunk
        found = window.find(PAGE)
        if found >= 0 and (size is None or found < size):
            yield window[found:size], False
            if size is not None:
                yield window[size:], True
            yield from contents
            return
        if size is None:
            window = window[1 - len(PAGE):]
        elif len(window) >= size + len(PAGE):
            return


class _Reader:
    """Collects the articles that the XML parser finds."""

    def __init__(self, name, tally):
        self.name = name
        self.tally = tally
        self.namespaces = set()             # names of all namespaces but 0
        self.hidden_namespaces = HIDDEN_NAMESPACES
        self.pages = []                     # complete, not yet taken
        self.origin = ""                    # where line 1 is, for messages
        self.first_line = 1                 # as the parser counts
        self.bytes = 0                      # parsed
        self.end = None                     # how many of them are within the range, once it has ended
        self.is_done = False
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.buffer_size = 1 << 16
        self.parser.StartElementHandler = self.start_root
        self.parser.EndElementHandler = self.end_element

    def parse(self, data, is_final=False):
        try:
            self.parser.Parse(data, is_final)
        except expat.ExpatError as error:
            line = error.lineno - self.first_line + 1
            raise BadData(f"{self.name}:{line}:{error.offset + 1}: {self.origin}damaged or cut-off XML "
                          f"({expat.ErrorString(error.code)}). Fetch the dump again.") from None
        except (LookupError, ValueError) as error:
            if "encoding" not in str(error):
                raise
            raise BadData(f"{self.name}: names another encoding than UTF-8, in which all dumps are ({error}). Fetch the "
                          f"dump again.") from None
        self.bytes += len(data)

    def begin_range(self, start, head):
        """Parse the bytes before the first page (head), and count lines from this byte on."""
        self.parse(head)
        self.first_line = head.count(b"\n") + 1
        self.origin = f"(lines counted from the first page after byte {start}) "

    def end_range(self):
        """Pages that begin in the data from now on belong to the next range."""
        if self.end is None:
            self.end = self.bytes

    def refuse_hidden_tags(self):
        """Refuse comments and CDATA sections: with a <page> in one, a dump could be cut at the wrong byte."""
        self.parser.CommentHandler = self.parser.StartCdataSectionHandler = self._refuse

    def _refuse(self, *_):
        raise BadData(f"{self.name}: has XML comments or CDATA sections, which MediaWiki does not write, and which are "
                      f"not looked into before the file is cut for parallel reading. Compress it with zstd or gzip: "
                      f"then it is read in one piece.")

    def take(self):
        pages, self.pages = self.pages, []
        return pages

    def start_root(self, tag, attributes):
        if tag.rpartition(":")[2] != "mediawiki":
            raise BadData(f"{self.name}: not a MediaWiki dump: it begins with <{tag}>. "
                          f"Fetch the file ...-pages-articles-multistream.xml.bz2 from dumps.wikimedia.org.")
        self.parser.StartElementHandler = self.start_element

    def start_element(self, tag, attributes):
        tag = tag.rpartition(":")[2]
        if tag in WANTED:
            self.characters = []
            self.parser.CharacterDataHandler = self.characters.append
            self.namespace_key = attributes.get("key")
        elif tag == "page":
            if self.end is not None and self.parser.CurrentByteIndex >= self.end:
                self.is_done = True
                self.parser.StartElementHandler = self.parser.EndElementHandler = None
            self.title = self.text = ""
            self.ns = None
            self.is_redirect = False
        elif tag == "redirect":
            self.is_redirect = True

    def end_element(self, tag):
        tag = tag.rpartition(":")[2]
        if tag in WANTED:
            self.parser.CharacterDataHandler = None
            value = "".join(self.characters)
            if tag == "namespace":
                self.add_namespace(value)
            else:
                setattr(self, tag, value)   # title, ns, text; of several revisions the last
        elif tag == "page":
            kind = self.kind_of_page()
            self.tally[kind] += 1
            if kind == "pages":
                self.pages.append(Page(self.title, self.text, self.hidden_namespaces))

    def add_namespace(self, name):
        if name:                            # namespace 0 has none
            self.namespaces.add(normal_namespace(name))
        if self.namespace_key in HIDDEN_KEYS:
            self.hidden_namespaces |= {normal_namespace(name)}

    def kind_of_page(self):
        """The key of the tally (one of KINDS) under which the page is counted."""
        if not self.is_in_namespace_0():
            return "in other namespaces"
        return "redirects" if self.is_redirect or self.text[:9].upper() == "#REDIRECT" else "pages"

    def is_in_namespace_0(self):
        if self.ns is not None:
            return self.ns == "0"
        prefix, colon, _ = self.title.partition(":")    # schema versions before 0.6 have no <ns>
        return not (colon and normal_namespace(prefix) in self.namespaces)
