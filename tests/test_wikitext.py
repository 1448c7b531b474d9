import bz2
import pathlib
import time

import pytest
from hypothesis import given, strategies

from mc2.errors import BadData
from mc2.metadata import dumps
from mc2.metadata.wikitext import HIDDEN_NAMESPACES, clean

SAMPLES = pathlib.Path(__file__).parents[2] / "shared" / "data" / "wikipedia"
ENGLISH = SAMPLES / "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
BULGARIAN = SAMPLES / "bgwiki-latest-pages-articles-shortened.xml.bz2"
TABLES = SAMPLES / "enwiki-table-markup.xml.bz2"

needs_samples = pytest.mark.skipif(not ENGLISH.exists(), reason="the sample dumps are not here")


# ---------------------------------------------------------------- wikitext

@pytest.mark.parametrize("wikitext, text", [
    # comments, nowiki
    ("a <!-- b --> c", "a c"),
    ("a <!-- b", "a"),
    ("a <nowiki>[[b]] {{c}} ''d''</nowiki> e", "a [[b]] {{c}} ''d'' e"),
    ("a<nowiki/>b", "ab"),
    # elements that are no text
    ("a<ref>b {{c</ref> d<ref name=e/> f", "a d f"),
    ("a <REF name='b'>c</Ref> d", "a d"),
    ("a <ref>b", "a b"),
    ("a <math>b < c</math> d", "a … d"),
    ("a <gallery>\nFile:b.jpg|c\n</gallery> d", "a d"),
    ("a\n<references>\n<ref name=b>c</ref>\n</references>", "a"),
    # templates, parameters
    ("a {{b|c={{d|e}}|f}} g", "a g"),
    ("a {{{b|c}}} d {{e|{{{f|{{{g}}}}}}}} h", "a d h"),
    ("a {{b {{c}} d", "a b d"),
    ("a }} b", "a b"),
    # tables
    ("a\n{| class=b\n|-\n! c\n| d || e\nf\n|}\ng", "a\ng"),
    ("a\n{|\n| b\n{|\n| c\n|}\n|}\nd", "a\nd"),
    ("a\n{| class=b\n| c\nd", "a\nd"),
    ("a {{b\n|c=d\n|}} e", "a e"),
    ("a <table><tr><td>b</table> c <ul><li>d<ul><li>e</ul></ul> f", "a c f"),
    # links
    ("[[a]] [[b|c]] [[d]]s [[e (f)|]] [[g|h|i]]", "a c ds e h|i"),
    ("[[:Category:a]] [[Star Trek: Voyager]] [[:fr:b|c]]", "Category:a Star Trek: Voyager c"),
    ("a [[Category:b]] [[category: c|d]] [[fr:e]] [[zh-min-nan:f]] g", "a g"),
    ("a [[File:b.jpg|thumb|c [[d]] [http://e f] [1] [[g|h]]]] i", "a i"),
    ("a [[Bild:b.JPG|thumb|c]] d", "a d"),
    ("a [[b", "a b"),
    ("a ]] b", "a b"),
    ("[http://a.org b c] [http://a.org] [//a.org d] [mailto:a@b e]", "b c d e"),
    ("[http://a.org [[b|c]]]", "c"),
    ("a http://b.org/c?d=e f", "a … f"),
    # language variants, magic words
    ("a-{zh-hans:b;zh-hant:c}-d -{e}- -{A|zh-cn:f; zh-tw:g}- -{H|zh-cn:h}-", "abd e f"),
    ("__NOTOC__ a __БЕЗСЪДЪРЖАНИЕ__", "a"),
    # lines
    ("a\n* b\n# c\n; d : e\n:* f\ng", "a\ng"),
    (": a\n:: b", "a\nb"),
    ("a\n----\nb", "a\nb"),
    ("== a ==\nb\n== c ==\n* d\n== e ==\n=== f ===\ng\n== h ==", "a\nb\ne\nf\ng"),
    ("'''a''' ''b'' '''''c'''''", "a b c"),
    ("l'''Aube'' et '''b''', l''''c'''", "l'Aube et b, l'c"),
    # tags, entities, spaces
    ("a<br>b<br/>c <small>d</small> <span style='e'>f</span>g", "a\nb\nc d fg"),
    ("H<sub>2</sub>O if a < b and c > d", "H2O if a < b and c > d"),
    ("a&nbsp;b &amp;ndash; &#233; &lt;c&gt; AT&T &foo;", "a b – é <c> AT&T &foo;"),
    ("a   b\n\n\n( )\n  c", "a b\nc"),
    ("", ""),
])
def test_wikitext_becomes_text(wikitext, text):
    assert clean(wikitext) == text


def test_names_of_namespaces_come_from_the_dump():
    namespaces = HIDDEN_NAMESPACES | {"категория", "user talk"}
    assert clean("a [[Категория:b]] [[User_talk:c]] [[Category:d]] [[Портал:e|f]]", namespaces) == "a f"


@given(strategies.text(alphabet="ab|=:*#;'\n {}[]<>-_&/!", max_size=200))
def test_clean_takes_any_text(wikitext):
    clean(wikitext)


MARKUP = ("[[ ]] {{ }} {{{ }}} {| |} <ref> </ref> <math> </math> <nowiki> </nowiki> <!-- --> <table> </table> "
          "<ul> </ul> -{ }- [http://a == ''' '' File: | : ; a b . \n").split(" ")


@given(strategies.lists(strategies.sampled_from(MARKUP), max_size=60).map("".join))
def test_clean_takes_any_markup(wikitext):
    clean(wikitext)


@pytest.mark.parametrize("unit", [
    "{{", "}}", "{{{", "[[", "]]", "<ref", "<ref>", "<ref name=", "<math>", "<!--", "<nowiki>", "\n{|",
    "<table>", "<", "<a ", "[http://a", "[[File:", "[[a|", "-{", "-{a|", "'", "a'''", "''a'''", "=", "\n=a",
    ":", "\n:", "-", "&", "&#", "__a", "_", " ", "\n", "\t\n", "(", "http://"])
def test_a_megabyte_of_open_markup_takes_no_time(unit):
    start = time.process_time()
    clean(unit * (1_000_000 // len(unit)))
    clean(unit + "x" * 1_000_000)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("opening, closing", [("{{", "}}"), ("[[", "]]"), ("[[a|", "]]"), ("\n{|", "\n|}"),
                                              ("<ul>", "</ul>"), ("-{", "}-"), ("{{{a|", "}}}")])
def test_deep_nesting_takes_no_time(opening, closing):
    start = time.process_time()
    clean(opening * 100_000 + "x" + closing * 100_000)
    assert time.process_time() - start < 5


# ---------------------------------------------------------------- dumps

def dump(*pages, siteinfo="", version="0.11"):
    return (f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-{version}/" version="{version}">'
            f"<siteinfo>{siteinfo}</siteinfo>\n" + "\n".join(pages) + "</mediawiki>\n").encode()


def page(title, text, ns=0, redirect=""):
    return (f"<page><title>{title}</title><ns>{ns}</ns><id>1</id>{redirect}<revision><id>2</id>"
            f"<contributor><username>title</username></contributor><comment>text</comment>"
            f'<text xml:space="preserve">{text}</text></revision></page>')


def read(path, content):
    path.write_bytes(content)
    return [(page.title, page.text) for page in dumps.read_pages(str(path))]


def test_articles_are_the_pages_of_namespace_0_that_are_no_redirects(tmp_path):
    assert read(tmp_path / "dump.xml", dump(
        page("A &amp; B", "&lt;b&gt;a\nb"),
        page("Talk:A", "c", ns=1),
        page("D", "e", redirect='<redirect title="A" />'),
        page("F", "#redirect [[A]]"),
        page("Star Trek: Voyager", ""),
    )) == [("A & B", "<b>a\nb"), ("Star Trek: Voyager", "")]


def test_a_dump_of_an_old_version_has_no_ns_elements(tmp_path):
    siteinfo = '<namespaces><namespace key="0" /><namespace key="3">Diskussion</namespace></namespaces>'
    pages = [page(title, "a").replace("<ns>0</ns>", "") for title in ("A", "Diskussion:A", "Alien: B")]
    assert read(tmp_path / "dump.xml", dump(*pages, siteinfo=siteinfo, version="0.3")) == [
        ("A", "a"), ("Alien: B", "a")]


def test_pages_carry_the_namespaces_whose_links_are_hidden(tmp_path):
    siteinfo = ('<namespaces><namespace key="-2">Медия</namespace><namespace key="0" />'
                '<namespace key="4">Уикипедия</namespace><namespace key="6">Файл</namespace>'
                '<namespace key="14">Категория</namespace></namespaces>')
    (tmp_path / "dump.xml").write_bytes(dump(page("A", "a [[Файл:b]] [[Категория:c]] [[Category:d]]"),
                                             siteinfo=siteinfo))
    [article] = dumps.read_pages(tmp_path / "dump.xml")
    assert article.hidden_namespaces == HIDDEN_NAMESPACES | {"медия", "файл", "категория"}
    assert clean(article.text, article.hidden_namespaces) == "a"


def test_a_multistream_dump_is_read_to_its_end(tmp_path):
    content = dump(page("A", "a"), page("B", "b" * 100_000))
    streams = [bz2.compress(content[start:start + 50_000]) for start in range(0, len(content), 50_000)]
    assert len(streams) == 3
    assert read(tmp_path / "dump.xml.bz2", b"".join(streams)) == [("A", "a"), ("B", "b" * 100_000)]


def test_pages_arrive_before_the_dump_ends(tmp_path):
    (tmp_path / "dump.xml").write_bytes(dump(page("A", "a"), page("B", "b" * 1_000_000))[:-100_000])
    pages = dumps.read_pages(tmp_path / "dump.xml")
    assert next(pages).title == "A"
    with pytest.raises(BadData):
        next(pages)


def test_a_cut_off_bz2_is_an_error(tmp_path):
    with pytest.raises(BadData, match="dump.xml.bz2: the compressed data is cut off"):
        read(tmp_path / "dump.xml.bz2", bz2.compress(dump(page("A", "a")))[:-10])


def test_a_cut_off_xml_is_an_error_with_its_line(tmp_path):
    with pytest.raises(BadData, match=r"dump.xml:2:\d+: damaged or cut-off XML .*Fetch the dump"):
        read(tmp_path / "dump.xml", dump(page("A", "a"))[:-40])
    with pytest.raises(BadData, match=r"dump.xml:1:1: "):
        read(tmp_path / "dump.xml", b"")


def test_damaged_xml_is_an_error_with_line_and_column(tmp_path):
    with pytest.raises(BadData, match=r"dump.xml:3:\d+: damaged or cut-off XML .mismatched tag"):
        read(tmp_path / "dump.xml", dump(page("A", "a"), "<page></text>"))


def test_other_xml_is_an_error_that_names_the_right_file(tmp_path):
    with pytest.raises(BadData, match="begins with <html>.*pages-articles.xml.bz2"):
        read(tmp_path / "dump.xml", b"<html><title>Not found</title></html>")


# ---------------------------------------------------------------- real dumps

@needs_samples
@pytest.mark.parametrize("path, articles", [(ENGLISH, 106), (BULGARIAN, 1), (TABLES, 5)],
                         ids=["en", "bg", "tables"])
def test_no_markup_is_left_in_real_articles(path, articles):
    pages = list(dumps.read_pages(path))
    assert len(pages) == articles
    for article in pages:
        text = clean(article.text, article.hidden_namespaces)
        left = [mark for mark in ("[[", "{{", "|}", "<ref", "'''", "__", "&nbsp;") if mark in text]
        assert not left, article.title


@needs_samples
def test_a_real_article_begins_with_its_definition():
    article = next(dumps.read_pages(ENGLISH))
    assert article.title == "Anarchism"
    lines = clean(article.text, article.hidden_namespaces).split("\n")
    assert lines[0].startswith("Anarchism is a political philosophy that advocates self-governed societies "
                               "based on voluntary institutions. These are often described as stateless")
    assert lines[2] == "Etymology and terminology"
