"""Inputs that mc2 once got wrong, after public reports, with what is right."""


# ---------------------------------------------------------------- dumps of Wikipedias

def article(wikitext, database="enwiki", title="A"):
    """A dump (bytes) of one article, as Wikimedia writes it."""
    text = wikitext.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"""<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>{database}</dbname>
    <namespaces>
      <namespace key="-2" case="first-letter">Media</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="6" case="first-letter">File</namespace>
      <namespace key="14" case="first-letter">Category</namespace>
    </namespaces>
  </siteinfo>
  <page>
    <title>{title}</title>
    <ns>0</ns>
    <id>1</id>
    <revision>
      <id>100</id>
      <timestamp>2024-01-01T00:00:00Z</timestamp>
      <model>wikitext</model>
      <format>text/x-wiki</format>
      <text bytes="{len(wikitext.encode())}" xml:space="preserve">{text}</text>
      <sha1>x</sha1>
    </revision>
  </page>
</mediawiki>
""".encode()


def ngrams(sh, wiki, dump):
    """({word}, {bigram}) of a dump"""
    (sh / "dump.xml").write_bytes(dump)
    sh.ok(f"mc2 build-metadata ngrams --wiki {wiki} dump.xml -o sources --min-count 1")
    return [{line.split("\t")[0] for line in (sh / f"sources/{wiki}.{kind}.tsv").read_text("utf-8").splitlines()}
            for kind in ("unigram", "bigram")]


def test_templates_neither_glue_words_nor_make_neighbours(sh):
    words, bigrams = ngrams(sh, "en", article(
        "It ran 1914{{snd}}1918 and cost 5{{nbsp}}km of road{{mdash}}nobody knew. At {{convert|300|m|ft}} the hut "
        "stands."))
    assert words == set("It ran 1914 1918 and cost 5 km of road nobody knew At the hut stands".split())
    assert bigrams == {"It ran", "ran 1914", "1918 and", "and cost", "cost 5", "5 km", "km of", "of road",
                       "nobody knew", "the hut", "hut stands"}


def test_a_table_whose_lines_stand_between_templates_is_no_text(sh):
    words, _ = ngrams(sh, "simple", article(
        "'''Player''' is a person.\n== Results ==\n{{results top}}\n!colspan=\"4\"|Japan!!colspan=\"2\"|Total\n"
        "|-\n|2003||9\n!rowspan=\"3\"|Sum\n{{results end}}\n", "simplewiki"))
    assert words == {"Player", "is", "a", "person"}


def test_a_category_by_an_alias_that_the_dump_does_not_list_is_no_text(sh):
    words, _ = ngrams(sh, "ru", article("'''История''' это наука.\n[[К:Наука]]\n[[Категория:Время]]\n", "ruwiki"))
    assert words == {"История", "это", "наука"}


def test_chinese_categories_are_no_text():
    from mc2.metadata import mediawiki, wikitext
    text = "'''台灣歷史'''是一門學問。\n[[分類:台灣歷史]]\n[[分类:历史]]\n"
    assert wikitext.clean(text, mediawiki.hidden_namespaces("zh")) == "台灣歷史是一門學問。"


def test_a_language_variant_ends_where_the_next_begins_and_not_at_a_semicolon():
    from mc2.metadata import wikitext
    assert wikitext.clean('甲是-{zh-hans:<span style="color:red;">红色</span>;zh-hant:紅色}-的。'
                          '乙是-{zh-cn:A&nbsp;B;zh-tw:C}-。') == "甲是红色的。乙是A B。"


def test_a_dump_of_another_wikipedia_is_refused(sh):
    (sh / "dump.xml").write_bytes(article("Der Hund ist ein Haustier.", "dewiki"))
    sh.fails("mc2 build-metadata ngrams --wiki en dump.xml -o sources", 3, "dump.xml: is a dump of dewiki",
             "Say --wiki de, or fetch https://dumps.wikimedia.org/enwiki/")


def test_a_stub_dump_is_refused(sh):
    stub = article("", "dewiki").replace(b'<text bytes="0" xml:space="preserve"></text>',
                                         b'<text id="123" bytes="345" />')
    (sh / "dump.xml").write_bytes(stub)
    for wiki in "de", "en":
        sh.fails(f"mc2 build-metadata ngrams --wiki {wiki} dump.xml -o sources", 3, "stub dump",
                 "its pages have no texts", f"fetch https://dumps.wikimedia.org/{wiki}wiki/", leaves=["sources"])


def test_a_7z_dump_is_refused(sh):
    (sh / "dump.xml.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(64))
    sh.fails("mc2 build-metadata ngrams --wiki en dump.xml.7z -o sources", 3, "dump.xml.7z: is a 7-Zip archive",
             "Unpack it (7z x), or fetch https://dumps.wikimedia.org/enwiki/")
