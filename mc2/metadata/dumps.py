"""Stream the articles of a MediaWiki XML dump, such as enwiki-latest-pages-articles.xml.bz2.

A dump is one XML document: a <siteinfo> with the names of the wiki's namespaces, then one <page> after
another. Only a few elements of it matter here, so the parser is told to pass over the characters of all
others, and memory does not grow with the dump. What version of the export schema a dump has does not
matter: elements go by their local names, and what old versions lack is made up for.
"""
from typing import NamedTuple
from xml.parsers import expat

from mc2 import files
from mc2.errors import BadData
from mc2.metadata.wikitext import HIDDEN_NAMESPACES, normal_namespace

CHUNK = 1 << 18                             # bytes of XML parsed at a time
HIDDEN_KEYS = {"-2", "6", "14"}             # media, files, categories
WANTED = {"namespace", "title", "ns", "text"}       # the elements whose characters are kept


class Page(NamedTuple):
    title: str
    text: str                               # wikitext
    hidden_namespaces: frozenset            # for wikitext.clean; the same set for every page of a dump


def read_pages(path):
    """Yield a Page for every article: the pages of namespace 0 that are no redirects."""
    name = files.name_of(path)
    reader = _Reader(name)
    with files.open_read(path) as stream:
        try:
            while chunk := stream.read(CHUNK):
                reader.parser.Parse(chunk)
                yield from reader.take()
            reader.parser.Parse(b"", True)
            yield from reader.take()
        except expat.ExpatError as error:
            raise BadData(f"{name}:{error.lineno}:{error.offset + 1}: damaged or cut-off XML "
                          f"({expat.ErrorString(error.code)}). Fetch the dump again.") from None


class _Reader:
    """Collects the articles from what the XML parser comes across."""

    def __init__(self, name):
        self.name = name
        self.namespaces = set()             # names of all namespaces but 0
        self.hidden_namespaces = HIDDEN_NAMESPACES
        self.pages = []                     # complete, not yet taken
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.buffer_size = 1 << 16
        self.parser.StartElementHandler = self.start_root
        self.parser.EndElementHandler = self.end

    def take(self):
        pages, self.pages = self.pages, []
        return pages

    def start_root(self, tag, attributes):
        if tag.rpartition(":")[2] != "mediawiki":
            raise BadData(f"{self.name}: not a MediaWiki dump: it begins with <{tag}>. "
                          f"Fetch the file ...-pages-articles.xml.bz2 from dumps.wikimedia.org.")
        self.parser.StartElementHandler = self.start

    def start(self, tag, attributes):
        tag = tag.rpartition(":")[2]
        if tag in WANTED:
            self.characters = []
            self.parser.CharacterDataHandler = self.characters.append
            self.namespace_key = attributes.get("key")
        elif tag == "page":
            self.title = self.text = ""
            self.ns = None
            self.is_redirect = False
        elif tag == "redirect":
            self.is_redirect = True

    def end(self, tag):
        tag = tag.rpartition(":")[2]
        if tag in WANTED:
            self.parser.CharacterDataHandler = None
            value = "".join(self.characters)
            if tag == "namespace":
                self.add_namespace(value)
            else:
                setattr(self, tag, value)   # title, ns, text; of several revisions the last
        elif tag == "page" and self.is_article():
            self.pages.append(Page(self.title, self.text, self.hidden_namespaces))

    def add_namespace(self, name):
        if name:                            # namespace 0 has none
            self.namespaces.add(normal_namespace(name))
        if self.namespace_key in HIDDEN_KEYS:
            self.hidden_namespaces |= {normal_namespace(name)}

    def is_article(self):
        if self.is_redirect or self.text[:9].upper() == "#REDIRECT":
            return False
        if self.ns is not None:
            return self.ns == "0"
        prefix, colon, _ = self.title.partition(":")    # schema versions before 0.6 have no <ns>
        return not (colon and normal_namespace(prefix) in self.namespaces)
