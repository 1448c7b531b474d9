"""Inputs that mc2 once got wrong, after public reports, with what is right."""
import json

import pytest
from advised import follow


# ---------------------------------------------------------------- pairs

def write_parquet(path, **columns):
    """Write columns (lists, or arrays of Arrow) as a file of Parquet."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table(columns), path)


def test_columns_of_laion_are_known(sh):
    write_parquet(sh / "laion.parquet", SAMPLE_ID=[1, 2], URL=["http://a.example/1", "http://a.example/2"],
                  TEXT=["a red cat", "un chat noir"])
    done = sh("mc2 lid laion.parquet")
    assert done.stderr.startswith("laion.parquet: taken for LAION: id=SAMPLE_ID, text=TEXT, url=URL\nlid: 2 pairs in, 2 out")
    assert [(pair["id"], pair["text"], pair["url"], pair["lang"]) for pair in map(json.loads, done.stdout.splitlines())] == [
        ("1", "a red cat", "http://a.example/1", "en"), ("2", "un chat noir", "http://a.example/2", "fr")]


def test_columns_of_cc2dataset_are_known(sh):
    write_parquet(sh / "cc.parquet", uid=[f"{1:032}", f"{2:032}"], url=["http://a.example/1"] * 2,
                  alt=["a red cat", "un chat noir"])
    assert [(pair["id"], pair["text"]) for pair in map(json.loads, sh.ok("mc2 lid cc.parquet -q").splitlines())] == [
        (f"{1:032}", "a red cat"), (f"{2:032}", "un chat noir")]


def test_texts_that_are_bytes_of_utf_8_are_texts(sh):
    write_parquet(sh / "binary.parquet", id=["1", "2"], text=[b"a red cat", b"un chat noir"])
    assert sh.ok("mc2 lid binary.parquet -q") == (
        '{"id":"1","text":"a red cat","lid":"en","lid_prob":0.3847,"lang":"en"}\n'
        '{"id":"2","text":"un chat noir","lid":"fr","lid_prob":0.6255,"lang":"fr"}\n')


def test_nan_is_named_with_a_way_out(sh):
    sh.write("nan.jsonl", '{"id":"a","text":"a red cat","similarity":NaN}')
    done = sh.fails(
        "mc2 lid nan.jsonl", 3, "nan.jsonl:1: not JSON. Column 43: NaN is no number of JSON; Python's json writes it "
                                "unless allow_nan=False is given. Write null in its place, e.g. ")
    follow(sh, done.stderr)
    assert sh.read("new.jsonl") == [{"id": "a", "text": "a red cat", "similarity": None}]
    sh.ok("mc2 lid new.jsonl -q")


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


# ---------------------------------------------------------------- matching

AMHARIC = "ሰው፡ሁሉ፡ነጻ፡ሆኖ፡ተወለደ።"             # words with Ethiopic word spaces between them, and a full stop


def test_amharic_words_are_found_under_wide_spacing(sh):
    sh.write("amharic.txt", *[AMHARIC] * 10)
    sh.write("amharic.jsonl", {"id": "1", "text": AMHARIC, "lang": "am"})
    sh.ok("mc2 build-metadata ngrams --text --wiki am amharic.txt -o s -q")
    for spacing, found in ("published", []), ("wide", [100, 101, 102, 103, 104]):
        sh.ok(f"mc2 build-metadata merge s -o m --unigram-share 1 --spacing {spacing} -q")
        sh.ok("mc2 match amharic.jsonl -m m -o matched.jsonl -q")
        assert sh.read("matched.jsonl")[0]["matched_entry_ids"] == found
        sh.ok("mc2 match amharic.jsonl -m m -o matched.jsonl -q --engine pyahocorasick")
        assert sh.read("matched.jsonl")[0]["matched_entry_ids"] == found


# ---------------------------------------------------------------- wordnets

WN_HEB = """# Test wordnet\theb\thttp://x.example\tCC BY
00000001-n\theb:lemma\tכֶּלֶב
00000002-n\theb:lemma\t!חָתוּל
00000003-n\theb:lemma\tGAP!
00000004-n\theb:lemma\tPSEUDOGAP!
"""
HEB = {"id": "1", "text": "כלב וחתול , כלב", "lang": "he"}


def test_markers_of_a_hebrew_wordnet_are_no_entries_and_pointed_lemmas_are_said_to_hardly_match(sh):
    sh.write("wn-heb.tab", WN_HEB.rstrip("\n"))
    sh.write("heb.jsonl", HEB)
    assert "CAN HARDLY MATCH: 2 of 2 lemmas of he" in sh("mc2 build-metadata wordnet wn-heb.tab -o s").stderr
    assert "CAN HARDLY MATCH" in sh("mc2 build-metadata merge s -o m").stderr
    assert (sh / "m/he.tsv").read_text("utf-8").splitlines()[100:] == ["כֶּלֶב\twordnet\t0", "חָתוּל\twordnet\t0"]
    assert '"matched_entry_ids":[]' in sh.ok("mc2 match heb.jsonl -m m")
    assert "CAN HARDLY MATCH: lemmas with vowel points, which running text hardly ever has: he 2 of 2" in \
        sh.ok("mc2 inspect m")


def test_a_hebrew_wordnet_without_its_vowel_points_matches(sh):
    sh.write("wn-heb.tab", WN_HEB.rstrip("\n"))
    sh.write("heb.jsonl", HEB)
    sh.ok("mc2 build-metadata wordnet wn-heb.tab -o s --points remove")
    sh.ok("mc2 build-metadata merge s -o m")
    assert (sh / "m/he.tsv").read_text("utf-8").splitlines()[100:] == ["כלב\twordnet\t0", "חתול\twordnet\t0"]
    assert '"matched_entry_ids":[100]' in sh.ok("mc2 match heb.jsonl -m m")


# ---------------------------------------------------------------- invisible characters

def source_rows(sh, name):
    return [line.split("\t") for line in (sh / name).read_text("utf-8").splitlines()]


def test_invisible_characters_are_no_words(sh):
    sh.write("invisible-words.txt", "I ❤\ufe0f NY and 👨\u200d👩\u200d👧 ok.", "Press ™\ufe0f here (a)\u200e b \xad c.")
    sh.ok("mc2 build-metadata ngrams --text --wiki en invisible-words.txt -o s --min-count 1 -q")
    assert source_rows(sh, "s/en.unigram.tsv") == [[word, "1"] for word in "I NY Press a and b c here ok".split()]
    assert [row[0] for row in source_rows(sh, "s/en.bigram.tsv")] == ["NY and", "b c"]


DIRECTION_MARKS = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="he">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>hewiki</dbname>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="10" case="first-letter">תבנית</namespace>
    </namespaces>
  </siteinfo>
  <page>
    <title>שפה</title>
    <ns>0</ns>
    <id>1</id>
    <revision>
      <id>100</id>
      <timestamp>2024-01-01T00:00:00Z</timestamp>
      <model>wikitext</model>
      <format>text/x-wiki</format>
      <text bytes="105" xml:space="preserve">{text}</text>
      <sha1>x</sha1>
    </revision>
  </page>
</mediawiki>"""


def test_a_word_is_the_same_with_and_without_marks_of_direction(sh):
    text = "C++\u200e היא שפה (עיר)\u200f גדולה. \u200fעיר היא עיר\u200e ועיר\u200f. F#\u200e היא שפה."
    sh.write("direction-marks.xml", DIRECTION_MARKS.replace("{text}", text))
    sh.ok("mc2 build-metadata ngrams --wiki he direction-marks.xml -o s --min-count 1 -q")
    assert source_rows(sh, "s/he.unigram.tsv") == [["היא", "3"], ["עיר", "3"], ["שפה", "2"], ["C", "1"], ["F", "1"], ["גדולה", "1"],
                                            ["ועיר", "1"]]
    assert sorted(row[0] for row in source_rows(sh, "s/he.bigram.tsv")) == ["היא עיר", "היא שפה", "עיר היא", "עיר ועיר"]


# ---------------------------------------------------------------- language identification

CAPITALS = [("HOLZTISCH MIT VIER STÜHLEN FÜR DEN GARTEN", "de"), ("КРАСИВЫЙ ДЕРЕВЯННЫЙ СТОЛ ДЛЯ САДА", "ru"),
            ("TABLE EN BOIS AVEC QUATRE CHAISES POUR LE JARDIN", "fr"), ("PIĘKNY DREWNIANY STÓŁ DO OGRODU", "pl"),
            ("MESA DE MADERA CON CUATRO SILLAS PARA EL JARDÍN", "es"), ("ГАРНИЙ ДЕРЕВ'ЯНИЙ СТІЛ ДЛЯ САДУ", "uk")]


def test_a_size_or_a_brand_behind_capitals_does_not_change_the_language(sh):
    for tail in "", " 80x120 cm", " - iPhone", " | shop":
        sh.write("capitals.jsonl", *({"id": lang, "text": text + tail} for text, lang in CAPITALS))
        assert [(record["id"], record["lang"]) for record in map(json.loads, sh.ok("mc2 lid capitals.jsonl -q").splitlines())] \
            == [(lang, lang) for _, lang in CAPITALS]


def test_a_text_of_one_han_character_is_in_a_language_of_han(sh):
    sh.write("han.jsonl", *({"id": character, "text": character} for character in "猫水山人大小上下"))
    assert {json.loads(line)["lang"] for line in sh.ok("mc2 lid han.jsonl -q").splitlines()} <= {"zh", "ja", "ko", "zh_yue", "wuu"}
