"""Stream the articles of a MediaWiki XML dump, such as enwiki-latest-pages-articles-multistream.xml.bz2.

A dump is one XML document: a <siteinfo> with the names of the wiki's namespaces, then one <page> after
another. Only a few elements of it matter here, so the parser skips the characters of all others, and memory
does not grow with the dump. Dumps of any version of the export schema are read: elements are known by their
local names, and where an old version has no <ns>, the namespace is taken from the title.

Left out, and counted: redirects, pages of other namespaces, pages whose content is no wikitext (JSON, say), and pages
whose text is missing in the dump. Of several slots of a page, the main one is read.

A large dump can be read in ranges of its bytes, by many processes. A page belongs to the range in which its <page>
begins; the XML before the first page is read for every range. Every range is read on until the next range's first
page begins, or to the end of the dump, which has to be there.
"""
from collections import Counter
from typing import NamedTuple
from xml.parsers import expat

from mc2 import files
from mc2.errors import BadData
from mc2.metadata import first_bytes, mediawiki, streams, urls
from mc2.metadata.wikitext import normal_namespace

PAGE = b"<page>"                            # in texts `<` is written &lt;, so this is always a tag
LONGEST_HEAD = 1 << 20                      # bytes of XML before the first page
DEEPEST = 100                               # levels of elements
LONGEST_TAG = 1 << 24                       # bytes
LONGEST_TEXT = 1 << 26                      # characters of a page; MediaWiki allows 2 MB
HIDDEN_KEYS = {"-2", "6", "14"}             # media, files, categories
KINDS = ["pages", "redirects", "in other namespaces"]       # of a tally; the pages proper are articles
RARE_KINDS = ["not wikitext", "without text"]       # in a tally only where there are some
WANTED = {"dbname", "base", "namespace", "title", "ns", "role", "model", "text"}    # elements whose characters are kept
IN_SLOTS = {"role", "model", "text"}        # those of them that each slot of a page has
STUBS = 100                                 # pages without a text, and none with one, after which a dump is refused


class Page(NamedTuple):
    title: str
    text: str                               # wikitext
    hidden_namespaces: frozenset            # for wikitext.clean; the same set for every page of a dump


def ranges(path):
    """Ranges (start, stop) of a dump for read_pages; one, if it cannot be cut."""
    found = streams.ranges(path)
    return found if len(found) == 1 or _head(path) else [streams.WHOLE]


def refuse_wrong(path, wiki):
    """Raise BadData where the beginning of a file shows that it is no dump of this Wikipedia. Pipes are passed."""
    first_bytes.refuse_other_file(path, first_bytes.DUMP, _way_out(wiki))
    if not first_bytes.can_be_read_twice(path):
        return
    reader = _Reader(files.name_of(path), Counter(), wiki)
    for chunk, _ in streams.read(path):
        reader.parse(chunk)
        if reader.is_in_pages or reader.bytes > LONGEST_HEAD:
            return


def _way_out(wiki):
    """What to do instead, the end of a sentence."""
    return f"fetch {urls.dump(wiki)}." if wiki else \
        "fetch the file ...-pages-articles-multistream.xml.bz2 from dumps.wikimedia.org."


def read_pages(path, start=0, stop=None, tally=None, wiki=None):
    """Yield a Page for every article: the pages of namespace 0 that are no redirects.

    start, stop: one of the ranges of the dump; all of it by default.
    tally: a Counter of KINDS and RARE_KINDS to add to.
    wiki: the Wikipedia code that the dump must be of, if it says of which it is; by default any wiki.
    """
    reader = _Reader(files.name_of(path), Counter() if tally is None else tally, wiki)
    contents = streams.read(path, start, stop)
    if start:
        reader.begin_range(start, _head(path))
        contents = _from_first_page(contents)
    if (start, stop) != streams.WHOLE:
        reader.refuse_hidden_tags()
    is_first = start == 0
    is_empty = start > 0                # the last range may be, and then another reads to the end of the dump
    for chunk, beyond in contents:
        is_empty = False
        if is_first:
            first_bytes.refuse_other(chunk[:first_bytes.LENGTH], path, first_bytes.DUMP, _way_out(wiki))
            is_first = False
        if beyond:
            reader.end_range()
        reader.parse(chunk)
        yield from reader.take()
        if reader.is_done:
            reader.refuse_stubs()
            return
    if not is_empty:
        reader.parse(b"", True)
        yield from reader.take()
        reader.refuse_stubs()


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

    def __init__(self, name, tally, wiki=None):
        self.name = name
        self.tally = tally
        self.wiki = wiki
        self.dbname = self.base = ""
        self.namespaces = set()             # names of all namespaces but 0
        self.hidden_namespaces = mediawiki.hidden_namespaces(wiki)
        self.is_in_pages = False            # whether a page has begun
        self.has_texts = False              # whether a page had a text
        self.wrong_wiki = ""                # a message
        self.is_main_slot = True
        self.title = self.text = self.model = self.role = ""
        self.pages = []                     # complete, not yet taken
        self.origin = ""                    # where line 1 is, for messages
        self.first_line = 1                 # as the parser counts
        self.bytes = 0                      # parsed
        self.depth = 0                      # levels of elements within the root
        self.end = None                     # how many of them are within the range, once it has ended
        self.is_done = False
        self.is_text_missing = False
        self.missing = 0                    # pages whose text is missing
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.buffer_size = 1 << 16
        self.parser.StartElementHandler = self.start_root
        self.parser.EndElementHandler = self.end_element
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype

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
        if self.bytes - self.parser.CurrentByteIndex > LONGEST_TAG:
            self._refuse_size(f"a tag of more than {LONGEST_TAG:,} bytes")

    def add_characters(self, characters):
        self.characters.append(characters)
        self.n_characters += len(characters)
        if self.n_characters > LONGEST_TEXT:
            self._refuse_size(f"a text of more than {LONGEST_TEXT:,} characters")

    def _refuse_size(self, what):
        line = self.parser.CurrentLineNumber - self.first_line + 1
        raise BadData(f"{self.name}:{line}: {self.origin}{what}, which no dump of MediaWiki has. Fetch the dump again.")

    def _refuse_doctype(self, *_):
        """Its entities could stand for gigabytes."""
        raise BadData(f"{self.name}: has a document type declaration (<!DOCTYPE>), which MediaWiki does not write. Fetch the "
                      f"dump again, or take it out.")

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
            raise BadData(f"{self.name}: not a MediaWiki dump: it begins with <{tag}>. For a dump, "
                          f"{_way_out(self.wiki)}")
        self.parser.StartElementHandler = self.start_element

    def start_element(self, tag, attributes):
        self.depth += 1
        if self.depth > DEEPEST:
            self._refuse_size(f"elements nested more than {DEEPEST} levels deep")
        tag = tag.rpartition(":")[2]
        if tag in WANTED:
            self.characters, self.n_characters = [], 0
            self.parser.CharacterDataHandler = self.add_characters
            self.attributes = attributes
        elif tag == "page":
            self.is_in_pages = True
            if self.end is not None and self.parser.CurrentByteIndex >= self.end:
                self.is_done = True
                self.parser.StartElementHandler = self.parser.EndElementHandler = None
            self.title = self.text = self.model = ""
            self.ns = None
            self.is_redirect = self.is_text_missing = False
        elif tag == "redirect":
            self.is_redirect = True
        elif tag == "content":              # another slot, as a rule
            self.is_main_slot, self.role = False, ""
        elif tag == "logitem":
            raise BadData(f"{self.name}: is a dump of logs, without pages. For the pages, {_way_out(self.wiki)}")

    def end_element(self, tag):
        self.depth -= 1
        tag = tag.rpartition(":")[2]
        if tag in WANTED:
            self.parser.CharacterDataHandler = None
            value = "".join(self.characters)
            if tag == "namespace":
                self.add_namespace(value)
            elif tag == "role":
                self.is_main_slot = value == "main"
            elif self.is_main_slot or tag not in IN_SLOTS:
                setattr(self, tag, value)   # of several revisions the last
                if tag == "text":
                    self.is_text_missing = not value and _has_length(self.attributes)
        elif tag == "content":
            self.is_main_slot = True
        elif tag == "siteinfo":
            self.check_wiki()
        elif tag == "mediawiki":
            self.refuse_wrong_wiki()
        elif tag == "page":
            kind = self.kind_of_page()
            self.has_texts = self.has_texts or self.text != ""
            self.missing += self.is_text_missing
            self.refuse_wrong_wiki()
            if self.missing >= STUBS:
                self.refuse_stubs()
            self.tally[kind] += 1
            if kind == "pages":
                self.pages.append(Page(self.title, self.text, self.hidden_namespaces))

    def add_namespace(self, name):
        if name:                            # namespace 0 has none
            self.namespaces.add(normal_namespace(name))
        if self.attributes.get("key") in HIDDEN_KEYS:
            self.hidden_namespaces |= {normal_namespace(name)}

    def check_wiki(self):
        """Note in wrong_wiki where the dump says that it is of another wiki."""
        database = self.dbname.strip() or urls.database_of_site(self.base)
        code = database and urls.code_of(database)
        if not database or self.wiki in (None, code):
            return
        self.wrong_wiki = f"{self.name}: is a dump of {database}, and the Wikipedia {self.wiki} is asked for. "
        self.wrong_wiki += f"Say --wiki {code}, or {_way_out(self.wiki)}" if code else \
            (f"It is of no Wikipedia: {_way_out(self.wiki)} In a copy of your own, write "
             f"{urls.database_of(self.wiki)} as <dbname>.")

    def refuse_wrong_wiki(self):
        """Raise BadData for a dump of another wiki, once its first page is read: it may be a stub as well."""
        if self.wrong_wiki:
            raise BadData(self.wrong_wiki + self.missing * " It is a stub dump, too: its pages have no texts.")

    def refuse_stubs(self):
        """Raise BadData where texts are missing, and no page has one."""
        if self.missing and not self.has_texts:
            raise BadData(f"{self.name}: its pages have no texts: it is a stub dump, which only describes them. For "
                          f"the texts, {_way_out(self.wiki)}")

    def kind_of_page(self):
        """The key of the tally (of KINDS or RARE_KINDS) under which the page is counted."""
        if not self.is_in_namespace_0():
            return "in other namespaces"
        if self.is_redirect or self.text[:9].upper() == "#REDIRECT":
            return "redirects"
        if self.model.strip() not in ("", "wikitext"):
            return "not wikitext"
        return "without text" if self.is_text_missing else "pages"

    def is_in_namespace_0(self):
        if self.ns is not None:
            return self.ns == "0"
        prefix, colon, _ = self.title.partition(":")    # schema versions before 0.6 have no <ns>
        return not (colon and normal_namespace(prefix) in self.namespaces)


def _has_length(attributes):
    """Whether a text without characters should have some, by the attributes of its element: bytes, or in older dumps
    the id of a text that is elsewhere. A deleted text has none."""
    if "deleted" in attributes:
        return False
    return attributes["bytes"] != "0" if "bytes" in attributes else "id" in attributes
