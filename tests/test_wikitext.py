import bz2
import gzip
import pathlib
import re
import time
from collections import Counter

import numpy as np
import pytest
import zstandard
from hypothesis import given, strategies

from mc2.errors import BadData
from mc2.metadata import dumps, languages, mediawiki, streams, templates, urls
from mc2.metadata.ngrams import count_ngrams
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
    ("a <gallery>\nFile:b.jpg|c\n</gallery> d", "a … d"),
    ("a\n<references>\n<ref name=b>c</ref>\n</references>", "a"),
    # templates, parameters
    ("a {{b|c={{d|e}}|f}} g", "a … g"),
    ("a {{{b|c}}} d {{e|{{{f|{{{g}}}}}}}} h", "a … d … h"),
    ("a {{b {{c}} d", "a b … d"),
    ("a }} b", "a b"),
    ("{{a}} b {{c}}{{d}} {{e}}", "b"),
    # tables
    ("a\n{| class=b\n|-\n! c\n| d || e\nf\n|}\ng", "a\ng"),
    ("a\n{|\n| b\n{|\n| c\n|}\n|}\nd", "a\nd"),
    ("a\n{| class=b\n| c\nd", "a\nd"),
    ("a {{b\n|c=d\n|}} e", "a … e"),
    ("a <table><tr><td>b</table> c <ul><li>d<ul><li>e</ul></ul> f", "a\nc\nf"),
    ("a\n{|\n| b\n|} c", "a\nc"),
    # tables that templates open or close
    ("a\n{{b top}}\n!c\n! d=e|f!!g\n|-\n | h\n!i\n{{j}} || k\n{{b end}}\nl", "a\nl"),
    ("{{(!}} class=a\n{{!-}}\n{{!}} b\n{{!)}}\nc", "c"),
    ("{|\n| a\n{{end}}\nb\n{{top}}\n| c\n|}\nd", "b\nd"),
    ("{|\n| a\n{{closed by another template}}\n== b ==\nc\n{{top}}\n| d\n|}\ne", "b\nc\ne"),
    ("a\n!Kung is a language!\n!c || d", "a\n!Kung is a language!"),
    # links
    ("[[a]] [[b|c]] [[d]]s [[e (f)|]] [[g|h|i]]", "a c ds e h|i"),
    ("[[:Category:a]] [[Star Trek: Voyager]] [[:fr:b|c]]", "Category:a Star Trek: Voyager c"),
    ("a [[Category:b]] [[category: c|d]] [[fr:e]] [[zh-min-nan:f]] g", "a g"),
    ("a [[File:b.jpg|thumb|c [[d]] [http://e f] [1] [[g|h]]]] i", "a … i"),
    ("a [[Bild:b.JPG|thumb|c]] d", "a … d"),
    ("a [[分類:b]] [[К:c]] [[Kategorija:d]] e[[Imagem:f|g]]", "a e"),
    ("a [[\u200fКатегория:b]] [[ CATEGORY : c ]] d", "a d"),
    ("a [[EN:b]] [[ fr : c]] [[Zh-Yue:d]] f", "a f"),
    ("[[mw:a|b]] [[doi:10.1/c]] [[rfc:1|d]] [[Q: e]] [[:fr:f]]", "b doi:10.1/c d Q: e fr:f"),
    ("a [[b", "a b"),
    ("a ]] b", "a b"),
    ("[http://a.org b c] [http://a.org] [//a.org d] [mailto:a@b e]", "b c … d e"),
    ("a[ftp://a.org]b [https://a.org ] [urn:isbn:1 c] [tel:1]", "a…b … c"),
    ("[http://a.org [[b|c]]]", "c"),
    ("a http://b.org/c?d=e f", "a … f"),
    # language variants, magic words
    ("a-{zh-hans:b;zh-hant:c}-d -{e}- -{A|zh-cn:f; zh-tw:g}- -{H|zh-cn:h}-", "abd e f"),
    ("-{zh-cn:b=c;d:e;zh-tw:f;}- -{ zh:g ; zh-hk: h }- -{sr-ec:i;top:1px; sr-el:j}- -{k;l}-",
     "b=c;d:e g i;top:1px k;l"),
    ("[[a|-{zh-hans:b;zh-hant:c}-]] -{zh-hans:[[d|e;f]];zh-hant:g}-", "b e;f"),
    ("__NOTOC__ a __БЕЗСЪДЪРЖАНИЕ__ __notoc__ b __KEIN_INHALTSVERZEICHNIS__", "a … b"),
    ("def __init__ is __main__, <nowiki>__TOC__</nowiki>", "def __init__ is __main__, __TOC__"),
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


@pytest.mark.parametrize("wikitext, text", [
    ("1914{{snd}}1918, 1914{{ndash}}1918, a{{mdash}}b, c{{spaced ndash}}d", "1914 – 1918, 1914–1918, a—b, c – d"),
    ("5{{nbsp}}km, a{{Spaces|3}}b, the ''Eagle''{{'s}} crew, rock {{'}}n{{'}} roll",
     "5 km, a b, the Eagle's crew, rock 'n' roll"),
    ("{{formatnum:2500}} {{formatnum: 3003 |R}} {{форматировать_число:1}} {{lc:ABC}} {{ucfirst:abc}}",
     "2500 3003 1 abc Abc"),
    ("the word {{lang|grc|''[[a|ἀναρχία]]''}} ({{lang-fr|Paris}}, {{Transl|ar|ALA|Allāh}})",
     "the word ἀναρχία (: Paris, Allāh)"),
    ("{{nowrap|a {{small|b {{lang|fr|c|italic=no}}}}}} {{IPA|/d/}} {{Script/Arabic|e}}", "a b c /d/ e"),
    ("{{nowrap|1=a=b}} {{nowrap|[http://c.org d]|e}} {{abbr|f|g}} {{lang|en|text=h}}", "a=b d f h"),
    ("{{nowrap|a [[File:b.jpg|thumb|c]] [[d=e|f]]}} g", "a … f g"),
    ("{{lien|langue=en|trad=a|fr=b|texte=c}} {{ill|d|de|e}} {{ill|de|f|g}} {{Unité|5|km}} {{date|5|mai|2010}}",
     "c d g 5 km 5 mai 2010"),
    ("a {{quote|b c.|d}} e", "a\nb c.\ne"),
    ("a {{nowrap}} b {{lang|fr}} c {{nowrap|{{unknown}}}} d {{template:nowrap|e}}", "a … b … c … d e"),
    ("[[a{{!}}b]] c{{=}}d {{((}}e{{))}}", "b c=d {{e}}"),
    ("{{a|{{nowrap|b}}}} {{#if:{{{c|}}}|{{snd}}}} d", "d"),
])
def test_templates_that_show_text_leave_it(wikitext, text):
    assert clean(wikitext) == text


SHOWN = ["{{b}}", "{{convert|300|m|ft}}", "{{sfn|b|1990}}", "{{{1}}}", "{{{b|c}}}", "{{#if:b|c}}", "{{#tag:ref|b}}",
         "{{PAGENAME}}", "{{b|{{c|{{d}}}}}}", "{{b\n|c=d\n}}", "{{:b}}", "[http://b.org]", "[//b.org]",
         "[mailto:b@c.org ]", "http://b.org/c ", "<math>b</math>", "<chem>b</chem>", "<ce>b</ce>",
         "<hiero>b</hiero>", "<score>b</score>", "<timeline>b</timeline>", "<gallery>\nb.jpg\n</gallery>",
         "<syntaxhighlight lang='c'>b</syntaxhighlight>", "<source>b</source>", "<code>b</code>", "<pre>b</pre>",
         "<imagemap>b</imagemap>", "<graph>b</graph>", "<mapframe/>", "<references/>", "<inputbox>b</inputbox>",
         "</ref>", "</math>", "<ul>", "[[File:b.jpg]]", "[[Image:b.jpg|thumb|c [[d]]]]", "[[Datei:b]]",
         "<table><tr><td>b</table>", "<ul><li>b</ul>", "\n{|\n|b\n|}\n", "\n{{b}}\n|c\n!d\n", "__TOC__", "<br>",
         "<hr/>"]


@pytest.mark.parametrize("removed", SHOWN)
def test_no_word_is_joined_and_no_bigram_goes_across_what_shows_on_the_page(removed):
    for text in f"one{removed}two", f"one {removed} two", f"one{removed} two", f"''one'' {removed} '''two'''":
        assert count_ngrams([clean(text)]) == ({"one": 1, "two": 1}, {}), text


@pytest.mark.parametrize("removed", [
    "<!-- b -->", "[[Category:b]]", "[[分类:b|c]]", "[[fr:b]]", "<templatestyles src='b'/>", "<nowiki/>",
    "<includeonly>b</includeonly>", "<section begin=b/>", "-{H|zh-cn:b}-", "{{shy}}"])
def test_what_shows_nothing_on_the_page_leaves_nothing(removed):
    assert clean(f"one{removed}two {removed} three") == "onetwo three"


@pytest.mark.parametrize("reference", ["<ref>b</ref>", "<ref name=b />", "<ref name='b'>{{c}}</ref>"])
def test_the_number_of_a_reference_parts_words_and_not_the_sentence(reference):
    assert clean(f"one{reference}two{reference} three{reference}.") == "one two three."


def test_every_template_of_the_table_is_there_once_in_lower_case():
    names = [name for names in templates.TABLE.values() for name in names.split(" | ")]
    assert sorted(names) == sorted({name.lower().strip() for name in names})


def test_names_of_namespaces_come_from_the_dump():
    namespaces = mediawiki.hidden_namespaces("en") | {"категория", "user talk"}
    assert clean("a [[Категория:b]] [[User_talk:c]] [[Category:d]] [[Портал:e|f]]", namespaces) == "a f"


@given(strategies.text(alphabet="ab|=:*#;'\n {}[]<>-_&/!", max_size=200))
def test_clean_takes_any_text(wikitext):
    clean(wikitext)


MARKUP = ("[[ ]] {{ }} {{{ }}} {| |} <ref> </ref> <math> </math> <nowiki> </nowiki> <!-- --> <table> </table> "
          "{{snd}} {{nowrap| {{lang|fr| {{lc: | ! = __TOC__ "
          "<ul> </ul> -{ }- [http://a == ''' '' File: | : ; a b . \n").split(" ")


@given(strategies.lists(strategies.sampled_from(MARKUP), max_size=60).map("".join))
def test_clean_takes_any_markup(wikitext):
    clean(wikitext)


@pytest.mark.parametrize("unit", [
    "{{", "}}", "{{{", "{{snd}}", "{{nowrap|a=b}}", "{{nowrap|", "{{nowrap|a", "{{b}}", "{{b}} ", "-{zh:a;",
    "__a__", "\n!",
    "[[", "]]", "<ref", "<ref>", "<ref name=", "<math>", "<!--", "<nowiki>", "\n{|",
    "<table>", "<", "<a ", "[http://a", "[[File:", "[[a|", "-{", "-{a|", "'", "a'''", "''a'''", "=", "\n=a",
    ":", "\n:", "-", "&", "&#", "__a", "_", " ", "\n", "\t\n", "(", "http://"])
def test_a_megabyte_of_open_markup_takes_no_time(unit):
    start = time.process_time()
    clean(unit * (1_000_000 // len(unit)))
    clean(unit + "x" * 1_000_000)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("opening, closing", [("{{", "}}"), ("[[", "]]"), ("[[a|", "]]"), ("\n{|", "\n|}"),
                                              ("<ul>", "</ul>"), ("-{", "}-"), ("{{{a|", "}}}"), ("{{nowrap|", "}}"),
                                              ("{{nowrap|[[a|", "]]}}"), ("{{lc:", "}}")])
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


@pytest.mark.parametrize("database, wiki", [
    ("dewiki", "de"), ("zh_yuewiki", "zh_yue"), ("be_x_oldwiki", "be_tarask"), ("nowiki", "no"), ("alswiki", "als"),
    ("simplewiki", "simple"), ("zh_min_nanwiki", "zh_min_nan"), ("roa_rupwiki", "roa_rup"), ("zh-yuewiki", "zh_yue"),
    ("enwiktionary", None), ("wikidatawiki", None), ("commonswiki", None), ("de", None), ("wikidb", None)])
def test_the_wikipedia_of_a_dump_is_known_by_the_name_of_its_database(tmp_path, database, wiki):
    assert urls.code_of(database) == wiki
    path = tmp_path / "dump.xml"
    path.write_bytes(dump(page("A", "a"), siteinfo=f"<dbname>{database}</dbname>"))
    for asked in {wiki, "en", "fr", None}:
        if asked in (wiki, None):
            dumps.refuse_wrong(str(path), asked)
            assert len(list(dumps.read_pages(path, wiki=asked))) == 1
            continue
        message = f"is a dump of {database}, and the Wikipedia {asked} is asked for"
        with pytest.raises(BadData, match=message):
            dumps.refuse_wrong(str(path), asked)
        with pytest.raises(BadData, match=message):
            list(dumps.read_pages(path, wiki=asked))


@pytest.mark.parametrize("site, wiki", [
    ("https://de.wikipedia.org/wiki/A", "de"), ("https://zh-yue.wikipedia.org/wiki/A", "zh_yue"),
    ("https://en.wiktionary.org/wiki/A", None), ("https://example.org/wiki/A", "fr")])
def test_the_wikipedia_of_an_old_dump_is_known_by_its_site(tmp_path, site, wiki):
    path = tmp_path / "dump.xml"
    path.write_bytes(dump(page("A", "a"), siteinfo=f"<base>{site}</base>", version="0.6"))
    if wiki:
        assert len(list(dumps.read_pages(path, wiki=wiki))) == 1
    if wiki != "fr":
        with pytest.raises(BadData, match="is a dump of"):
            list(dumps.read_pages(path, wiki="fr"))


def test_every_database_has_its_wikipedia():
    assert all(urls.code_of(urls.database_of(code)) == code for code in languages.wikipedias())


@pytest.mark.parametrize("content, what", [
    (b"7z\xbc\xaf\x27\x1c....", "is a 7-Zip archive, which is not read. Unpack it"),
    (b"PK\x03\x04....", "is a ZIP archive"),
    (b"\xfd7zXZ\x00....", "is an .xz file"),
    (bz2.compress(b"<mediawiki>"), "compressed more than once, or its name does not say how"),
    (b"616:10:AccessibleComputing\n616:12:Anarchism\n", "it is the index of a multistream dump"),
    (b"-- MySQL dump 10.19\n", "it is an SQL dump"),
    (b"<feed>\n<doc>\n", "it is a dump of abstracts"),
    (b"<!DOCTYPE html>\n<html><br>", "it is a web page"),
    (b"\xef\xbb\xbf\n<HTML><title>404 Not found", "it is a web page"),
    (b"en Main_Page 4 0\nen Paris 1 0\n", "it is a file of pageviews"),
    (b"page_title\n!\n", "it is a list of titles"),
    (b'{"index":{"_id":"1"}}\n', "it is JSON"),
    (b"a word\n", "it is no XML"),
    (b"<mediawiki><logitem><id>1</id></logitem></mediawiki>", "is a dump of logs"),
    (bytes(257) + b"ustar", "it is a tar archive"),
])
@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
def test_another_file_is_refused_at_its_beginning(tmp_path, content, what, suffix):
    path = tmp_path / f"dump.xml{suffix}"
    path.write_bytes({"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}[suffix](content))
    for check in dumps.refuse_wrong, lambda path, wiki: list(dumps.read_pages(path, wiki=wiki)):
        with pytest.raises(BadData, match=what) as error:
            check(str(path), "en")
        assert "enwiki-latest-pages-articles-multistream" in str(error.value) or "compressed" in what


@pytest.mark.parametrize("content, what", [
    (b"<!doctype html>", "not a MediaWiki dump: it is a web page"), (b"<mediawiki>", "is not compressed, although"),
    (b"7z\xbc\xaf\x27\x1c....", "is a 7-Zip archive")])
def test_a_file_that_is_not_compressed_as_its_name_says_is_refused(tmp_path, content, what):
    for name in "dump.xml.bz2", "dump.xml.gz", "dump.xml.zst":
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadData, match=f"{name}: {what}"):
            dumps.refuse_wrong(str(tmp_path / name), "en")


STUB = '<text bytes="345" sha1="x" location="tt:1" id="1" />'


def with_text(page, element):
    """The page with this element in place of its text."""
    return re.sub("<text.*</text>", element, page, flags=re.DOTALL)


@pytest.mark.parametrize("text", [STUB, '<text id="1" bytes="345" />', '<text id="1" />',
                                  '<text bytes="9" xml:space="preserve" />'])
def test_a_dump_without_texts_is_an_error_before_its_end(tmp_path, text):
    pages = [with_text(page(f"P{number}", ""), text) for number in range(200)]
    for content in dump(*pages)[:-1000], dump(*pages[:1]):
        (tmp_path / "dump.xml").write_bytes(content)
        with pytest.raises(BadData, match="it is a stub dump"):
            list(dumps.read_pages(tmp_path / "dump.xml"))


def test_pages_whose_text_is_missing_among_others_are_left_out_and_counted(tmp_path):
    empty, deleted = '<text bytes="0" xml:space="preserve" />', '<text bytes="9" deleted="deleted" />'
    pages = [with_text(page(title, ""), text) for title, text in [("A", STUB), ("B", empty), ("C", deleted)]]
    (tmp_path / "dump.xml").write_bytes(dump(*pages, page("D", "d")))
    tally = Counter()
    assert [found.title for found in dumps.read_pages(tmp_path / "dump.xml", tally=tally)] == ["B", "C", "D"]
    assert tally == {"pages": 3, "without text": 1}


def test_pages_that_are_no_wikitext_are_left_out_and_counted(tmp_path):
    pages = [page(model, "a").replace("<text", f"<model>{model}</model><text")
             for model in ("wikitext", "json", "css", "Scribunto")]
    (tmp_path / "dump.xml").write_bytes(dump(*pages))
    tally = Counter()
    assert [found.title for found in dumps.read_pages(tmp_path / "dump.xml", tally=tally)] == ["wikitext"]
    assert tally == {"pages": 1, "not wikitext": 3}


def test_of_several_slots_the_main_one_is_read(tmp_path):
    slot = '<content><role>{}</role><origin>2</origin><model>{}</model><text bytes="1">{}</text></content>'
    other, main = slot.format("mediainfo", "json", "no text"), slot.format("main", "wikitext", "b")
    assert read(tmp_path / "dump.xml", dump(
        page("A", "a").replace("</text>", "</text>" + other),
        with_text(page("B", ""), other + main + other),
        page("C", "c").replace("<text", "<model>wikitext</model><text").replace("</text>", "</text>" + other * 2),
    )) == [("A", "a"), ("B", "b"), ("C", "c")]


def test_other_xml_is_an_error_that_names_the_right_file(tmp_path):
    with pytest.raises(BadData, match="begins with <html>.*pages-articles-multistream.xml.bz2"):
        read(tmp_path / "dump.xml", b"<html><title>Not found</title></html>")


def test_what_is_left_out_is_counted(tmp_path):
    (tmp_path / "dump.xml").write_bytes(dump(
        page("A", "a"), page("B", "b"), page("Talk:A", "c", ns=1), page("Talk:B", "#REDIRECT [[d]]", ns=1),
        page("D", "e", redirect='<redirect title="A" />'), page("F", "#redirect [[A]]")))
    tally = Counter()
    assert len(list(dumps.read_pages(tmp_path / "dump.xml", tally=tally))) == 2
    assert tally == {"pages": 2, "in other namespaces": 2, "redirects": 2}


# ---------------------------------------------------------------- ranges of dumps

SITEINFO = '<namespaces><namespace key="3">Diskussion</namespace><namespace key="6">Datei</namespace></namespaces>'


def pages_of_ranges(path, bounds):
    """The titles and namespaces of every range's pages, one list after the other, and the tally."""
    tally = Counter()
    found = [(page.title, page.hidden_namespaces) for start, stop in zip(bounds, [*bounds[1:], None])
             for page in dumps.read_pages(path, start, stop, tally)]
    return found, tally


@given(pages=strategies.lists(strategies.sampled_from(["a", "&lt;page>", "b\n" * 30]), min_size=1, max_size=8),
       cuts=strategies.sets(strategies.integers(1, 3000), max_size=8),
       chunk=strategies.sampled_from([1, 7, 100, 1 << 18]))
def test_any_ranges_of_a_plain_dump_give_every_page_once(tmp_path_factory, pages, cuts, chunk):
    path = tmp_path_factory.mktemp("dump") / "dump.xml"
    path.write_bytes(dump(*(page(f"P{n}", text, ns=n % 5 // 4) for n, text in enumerate(pages)), siteinfo=SITEINFO))
    whole = pages_of_ranges(path, [0])
    assert len(whole[0]) == sum(n % 5 < 4 for n in range(len(pages)))
    bounds = [0, *sorted(cut for cut in cuts if cut < path.stat().st_size)]
    before, streams.CHUNK = streams.CHUNK, chunk
    try:
        assert pages_of_ranges(path, bounds) == whole
    finally:
        streams.CHUNK = before


@given(sizes=strategies.lists(strategies.integers(1, 700), min_size=1, max_size=8), choose=strategies.randoms())
def test_any_ranges_of_a_bz2_of_many_streams_give_every_page_once(tmp_path_factory, sizes, choose):
    path = tmp_path_factory.mktemp("dump") / "dump.xml.bz2"
    rest, parts = dump(*(page(f"P{n}", "text " * n) for n in range(9)), siteinfo=SITEINFO), []
    for size in sizes:
        parts.append(rest[:size])
        rest = rest[size:]
    streams_of_dump = [bz2.compress(part) for part in [*parts, rest]]       # cut anywhere, also within tags
    path.write_bytes(b"".join(streams_of_dump))
    starts = [sum(map(len, streams_of_dump[:n])) for n in range(1, len(streams_of_dump))]
    bounds = [0, *(start for start in starts if choose.random() < 0.6)]
    assert pages_of_ranges(path, bounds) == pages_of_ranges(path, [0])
    assert len(pages_of_ranges(path, bounds)[0]) == 9


def random_text(size, seed=0):
    """Text that does not compress well."""
    return np.random.default_rng(seed).integers(0, 256, size // 2, np.uint8).tobytes().hex()


def multistream(*groups):
    """A dump as Wikimedia writes it: a stream with the siteinfo, one for every group of pages, one with the end."""
    head, tail = dump("@", siteinfo=SITEINFO).split(b"@")
    return [bz2.compress(part) for part in [head, *("\n".join(group).encode() for group in groups), tail]]


@pytest.fixture
def small_ranges(monkeypatch):
    """Files are cut every 100 kB."""
    monkeypatch.setattr(streams, "SMALLEST", 100_000)


def test_a_multistream_dump_is_cut_where_streams_begin(tmp_path, small_ranges):
    path = tmp_path / "dump.xml.bz2"
    parts = multistream(*([page(f"P{n}", random_text(30_000, n))] for n in range(30)))
    path.write_bytes(b"".join(parts))
    ranges = dumps.ranges(path)
    starts = {sum(map(len, parts[:n])) for n in range(len(parts))}
    assert len(ranges) >= 4 and {start for start, _ in ranges} <= starts
    assert max(stop - start for start, stop in ranges[:-1]) < streams.SMALLEST + 30_000
    found, _ = pages_of_ranges(path, [start for start, _ in ranges])
    assert [title for title, _ in found] == [f"P{n}" for n in range(30)]


def test_what_only_looks_like_a_stream_is_no_place_to_cut(tmp_path, small_ranges):
    path = tmp_path / "dump.xml.bz2"
    path.write_bytes(bz2.compress(random_text(300_000).encode()))
    with open(path, "rb+") as stream:               # a lie in the middle of the only stream
        stream.seek(120_000)
        stream.write(b"BZh91AY&SY" + bytes(100))
    assert streams.ranges(path) == [streams.WHOLE]


@pytest.mark.parametrize("name, write", [("d.xml.gz", gzip.compress), ("d.xml.zst", zstandard.compress),
                                         ("d.xml.bz2", bz2.compress),
                                         ("d.xml", lambda data: data.replace(b"page>", b"a:page>"))])
def test_what_cannot_be_cut_is_one_range(tmp_path, small_ranges, name, write):
    (tmp_path / name).write_bytes(write(dump(page("A", random_text(250_000)))))
    assert dumps.ranges(tmp_path / name) == [(0, None)]


@pytest.mark.parametrize("suffix", ["", ".bz2"])
def test_a_cut_off_dump_is_an_error_in_the_range_that_meets_its_end(tmp_path, suffix):
    parts = multistream(*([page(f"P{n}", "text")] for n in range(6)))
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + len(part))
    if not suffix:
        content = b"".join(map(bz2.decompress, parts))
        starts = [0, *(found.start() for found in re.finditer(b"<page>", content)), len(content)]
        parts = [content]
    path = tmp_path / f"dump.xml{suffix}"
    whole = b"".join(parts)
    for end in {*starts[1:-1], *(start + 7 for start in starts[1:-1]), len(whole) - 3, len(whole) - 15}:
        path.write_bytes(whole[:end])
        for bounds in ([0], [start for start in starts if start < end], [0, *starts[3:5]]):
            bounds = [bound for bound in bounds if bound < end]
            with pytest.raises(BadData, match="cut off|cut-off|damaged"):
                pages_of_ranges(path, bounds)


def test_a_damaged_stream_is_an_error(tmp_path):
    path = tmp_path / "dump.xml.bz2"
    parts = multistream(*([page(f"P{n}", random_text(5000, n))] for n in range(3)))
    parts[2] = parts[2][:1000] + b"?" + parts[2][1001:]
    path.write_bytes(b"".join(parts))
    bounds = [0, len(parts[0]) + len(parts[1])]
    with pytest.raises(BadData, match="dump.xml.bz2: the compressed data is damaged"):
        pages_of_ranges(path, bounds)
    with pytest.raises(BadData, match="holds what looks like another at 100"):
        list(dumps.read_pages(path, 0, 100))


def test_errors_in_a_range_say_where_it_is(tmp_path):
    content = dump(page("A", "a"), page("B", "b"), "<page></text>", siteinfo=SITEINFO)
    (tmp_path / "dump.xml").write_bytes(content)
    start = content.index(b"<page><title>B")
    with pytest.raises(BadData, match=rf"dump.xml:2:\d+: .lines counted from the first page after byte {start}. dam"):
        list(dumps.read_pages(tmp_path / "dump.xml", start, None))


def test_comments_could_hide_pages_from_the_cutting(tmp_path):
    (tmp_path / "dump.xml").write_bytes(dump(page("A", "a"), "<!-- <page> -->"))
    assert len(list(dumps.read_pages(tmp_path / "dump.xml"))) == 1
    with pytest.raises(BadData, match="Compress it with zstd or gzip"):
        list(dumps.read_pages(tmp_path / "dump.xml", 0, 10 ** 6))


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


MARK = "\ue000"
OVER_SPACES = {"15 September", "24 August", "7 September", "5 million", "3 million", "6 million",      # {{nbsp}}
               "to AA"}                                                         # {{nowrap begin}}


def with_marks(wikitext):
    """The wikitext with a private character in place of every template, picture, bare link and formula, which are found
    in another way than wikitext.clean finds them."""
    wikitext = re.sub("<!--.*?-->|<ref[^<>]*/>|<ref[^<>]*>.*?</ref>", "", wikitext, flags=re.DOTALL)
    parts, depth = [], 0
    for piece in re.split(r"(\{\{|\}\})", wikitext):
        if piece == "}}" and depth:
            depth -= 1
            parts.append("" if depth else MARK)
        else:
            depth += piece == "{{"
            parts.append("" if depth else piece)
    wikitext = re.sub(r"\[\[(?:File|Image):(?:[^\[\]]|\[\[[^\[\]]*\]\]|\[[^\[\]]*\])*\]\]", MARK, "".join(parts))
    return re.sub(r"\[https?://[^\s\[\]]*\]|<(math|chem|code|score|hiero)>.*?</\1>", MARK, wikitext, flags=re.DOTALL)


@needs_samples
@pytest.mark.parametrize("path, least", [(ENGLISH, 400), (TABLES, 1)], ids=["en", "tables"])
def test_real_articles_have_no_words_or_bigrams_over_what_was_removed(path, least):
    glued, false, looked_at = set(), set(), 0
    for article in dumps.read_pages(path):
        words, bigrams = count_ngrams([clean(article.text, article.hidden_namespaces)])
        marked = clean(with_marks(article.text), article.hidden_namespaces)
        right_words, right_bigrams = count_ngrams([marked.replace(MARK, " | ")])
        for first, spaces, second in re.findall(rf"([^\W_]+)(?=([{MARK} ]*{MARK}[{MARK} ]*)([^\W_]+))", marked):
            looked_at += 1
            if " " not in spaces and words[first + second] > right_words[first + second]:
                glued.add(first + second)
            if bigrams[f"{first} {second}"] > right_bigrams[f"{first} {second}"]:
                false.add(f"{first} {second}")
    assert (glued, false - OVER_SPACES) == (set(), set()) and looked_at >= least


@needs_samples
def test_a_real_article_begins_with_its_definition():
    article = next(dumps.read_pages(ENGLISH))
    assert article.title == "Anarchism"
    lines = clean(article.text, article.hidden_namespaces).split("\n")
    assert lines[0].startswith("Anarchism is a political philosophy that advocates self-governed societies "
                               "based on voluntary institutions. These are often described as stateless")
    assert lines[2] == "Etymology and terminology"
