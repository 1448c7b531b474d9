"""mc2 build-metadata: from files in their real formats to a release."""
import bz2
import json
import math
import shutil
import tempfile
import unicodedata
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import DATA
from mc2 import engines, manifests
from mc2.metadata import points, sources, wordnet
from mc2.metadata import merge as merging
from mc2.metadata.release import Release


def tsv(sh, name):
    return [line.split("\t") for line in (sh / name).read_text("utf-8").split("\n")[:-1]]


def entries(sh, lang, release="metadata"):
    return [row[0] for row in tsv(sh, f"{release}/{lang}.tsv")]


# ---------------------------------------------------------------- wordnets

TAB = """# WOLF (Wordnet Libre du Français)\tfra\thttp://example.org/\tCeCILL-C
00001740-n\tfra:lemma\tentité
00001740-n\tfra:def\t0\tce qui est
00001740-n\tfra:exe\t0\tun exemple
00002137-n\tfra:lemma\tpot_de_fleurs
00002137-n\tfra:lemma\tentité
00002138-a\tfra:lemma:root\tracine
00002139-a\tfra:lemma\tbleu+e
"""


@pytest.mark.parametrize("label", ["fra:lemma", "lemma"])
def test_lemmas_of_both_label_forms_in_file_order(tmp_path, label):
    path = tmp_path / "wn-data-fra.tab"
    path.write_text(TAB.replace("fra:lemma\t", f"{label}\t"), "utf-8")
    assert wordnet.read(str(path)) == ("fr", ["entité", "pot de fleurs", "bleue"])


def test_the_code_is_that_of_the_wikipedia():
    assert [wordnet.WIKI_OF_OMW[code] for code in ("als", "cmn", "nno", "nob", "zsm", "arb")] == \
        ["sq", "zh", "nn", "no", "ms", "ar"]
    assert len(wordnet.WIKI_OF_OMW) == 32          # English, and 31 others


@pytest.mark.parametrize("code, lemma, expected", [
    ("heb", "!חָתוּל", "חָתוּל"), ("heb", "! חתול", "חתול"), ("heb", "GAP!", None), ("ita", "PSEUDOGAP!", None),
    ("heb", "!GAP!", None),
    ("ita", "gap", "gap"), ("ita", "GAP", "GAP"), ("slv", "!?miren", "miren"), ("slv", "?sosednji", "sosednji"),
    ("slv", "???", None),
    ("nld", "[[een]]_[[wind]]", "een wind"), ("nld", "([[arme]]) [[luis]]", "(arme) luis"),
    ("nld", "[[a|b c]] d", "b c d"),
    ("nld", "het [[Oosten]]", "het Oosten"), ("nld", "[[slechte", "slechte"), ("fra", "décevant]]", "décevant"),
    ("fra", "cour|cours", "cour"), ("fra", "béluga (animal)|fr: béluga", "béluga (animal)"), ("fra", "|", None),
    ("fra", "c&amp;#339;lacanthe", "cœlacanthe"), ("fra", "vitamine b&lt;sub&gt;9&lt;/sub&gt;", "vitamine b9"),
    ("fra", "Milan &lt;!--gender?--&gt;", "Milan"), ("fra", "oie blanche ''(canada)''", "oie blanche (canada)"),
    ("fra", "R&B", "R&B"), ("fra", "AT&T; co", "AT&T; co"), ("por", "capital{{m}}", "capital"),
    ("por", "<HTML>", "<HTML>"),
    ("ell", "μνήμης*", "μνήμης"), ("hrv", "*account", "account"), ("dan", "gå ''til", "gå til"),
    ("dan", "m/k'er", "m/k'er"),
    ("dan", "klør 'fem", "klør fem"), ("nld", "'s lands wijs", "'s lands wijs"),
    ("nob", "gjenstand~sområde", "gjenstandsområde"),
    ("slk", "výborne!", "výborne!"), ("nld", "hoe gaat het?", "hoe gaat het?"),
    ("fra", "Willem [de] Kooning", "Willem [de] Kooning"),
    ("cmn", "尘[粉]状+的", "尘[粉]状的"), ("fra", "=", None), ("fra", "\u200e", None), ("fra", "so\u00adft\u200e", "soft"),
    ("fas", "قیمت\u200cها", "قیمت\u200cها"), ("fra", "x" * 257, None),
])
def test_markers_of_wordnets_go(tmp_path, code, lemma, expected):
    path, tally = tmp_path / "wn.tab", Counter()
    path.write_text(f"# Name\t{code}\thttp://example.org/\tCC BY\n00000001-n\t{code}:lemma\t{lemma}\n", "utf-8")
    assert wordnet.read(str(path), tally=tally)[1] == ([] if expected is None else [expected])
    assert tally == {"in": 1, "without a word": int(expected is None)}


@pytest.mark.parametrize("text, plain", [
    ("כֶּלֶב", "כלב"), ("שָׁלוֹם", "שלום"), ("\ufb2a\ufb4b", "שו"), ("בֵּי״ת", "בי״ת"), ("אֲבִיב־תֵּל", "אביב־תל"),
    ("בְּרֵאשִׁ֖ית", "בראשית"),
    ("كِتاب", "كتاب"), ("شدّة", "شدة"), ("هُجُوماً", "هجوما"), ("هٰذا", "هذا"), ("كـــتاب", "كتاب"), ("آن", "آن"),
    ("أإؤئ", "أإؤئ"),
    ("ا\u0653ن ا\u0654", "ا\u0653ن ا\u0654"), ("ܫܠܳܡܳܐ", "ܫܠܡܐ"), ("ދިވެހި", "ދިވެހި"), ("हिन्दी", "हिन्दी"),
    ("ภาษา", "ภาษา"), ("é", "é"),
])
def test_vowel_points_of_hebrew_arabic_and_syriac(text, plain):
    assert points.without_points(text) == plain
    assert points.has_points(text) == (plain != text) and not points.has_points(plain)


HEBREW = "# Hebrew\theb\thttp://example.org/\tCC BY\n" + "".join(
    f"0000000{n}-n\theb:lemma\t{lemma}\n" for n, lemma in enumerate(["כֶּלֶב", "!כלב", "GAP!", "חתול"]))


def test_vowel_points_are_kept_and_it_is_said_that_these_lemmas_can_hardly_match(sh):
    (sh / "wn-data-heb.tab").write_text(HEBREW, "utf-8")
    done = sh("mc2 build-metadata wordnet wn-data-heb.tab -o sources")
    note, receipt = done.stderr.splitlines()
    assert note == ("CAN HARDLY MATCH: 1 of 3 lemmas of he have vowel points, which running text hardly ever has. "
                    "Take the points out with --points remove.")
    assert "3 lemmas (he); 1 without a word left out; 1 with vowel points, which can hardly match -> " in receipt
    assert tsv(sh, "sources/he.wordnet.tsv") == [["כֶּלֶב", "0"], ["כלב", "0"], ["חתול", "0"]]
    manifest = manifests.read(str(sh / "sources/he.wordnet.tsv"))
    assert manifest["options"] == {"lemmas": "first", "points": "keep"}
    assert manifest["counts"] == {"in": 4, "without a word": 1, "with vowel points": 1, "out": 3}
    for path in "sources", "sources/he.wordnet.tsv":
        assert "CAN HARDLY MATCH: 1 lemmas of he.wordnet.tsv have vowel points" in sh.ok(f"mc2 inspect {path}")
    note = "CAN HARDLY MATCH: lemmas with vowel points, which running text hardly ever has: he 1"
    assert note in sh("mc2 build-metadata merge sources -o metadata").stderr
    shown = sh.ok("mc2 inspect metadata")
    assert f"{note} of 3. Take the points out with" in shown
    assert "  lemmas with vowel points, which can hardly match 1 (כֶּלֶב)\n" in shown


def test_vowel_points_are_removed_where_that_is_asked_for(sh):
    (sh / "wn-data-heb.tab").write_text(HEBREW, "utf-8")
    done = sh("mc2 build-metadata wordnet wn-data-heb.tab -o sources --points remove")
    assert done.stderr.startswith("wordnet: 1 wordnets, 2 lemmas (he); 1 without a word left out -> ")
    assert tsv(sh, "sources/he.wordnet.tsv") == [["כלב", "0"], ["חתול", "0"]]
    assert manifests.read(str(sh / "sources/he.wordnet.tsv"))["options"]["points"] == "remove"
    merge(sh)
    manifest = Release(sh / "metadata").manifest
    assert manifest["languages"]["he"]["without_points"] == ["he"] and "vowel_points" not in manifest["quality"]["he"]
    assert "without_points" not in manifest["languages"]["en"]
    assert "HARDLY" not in sh.ok("mc2 inspect metadata") + sh.ok("mc2 inspect sources")


def test_a_wordnet_of_an_unknown_language_is_passed_over_and_named(sh):
    for code, name in ("fra", "wn-data-fra.tab"), ("qcn", "wn-data-qcn.tab"), ("tlh", "wn-data-tlh.tab"):
        (sh / name).write_text(TAB.replace("\tfra\t", f"\t{code}\t"), "utf-8")
    done = sh("mc2 build-metadata wordnet wn-data-*.tab -o sources")
    note, receipt = done.stderr.splitlines()
    assert note == ("PASSED OVER, 2 of 3 files, as no Wikipedia is known for their language codes: "
                    "wn-data-qcn.tab (qcn), wn-data-tlh.tab (tlh)")
    assert done.status == 0 and "1 wordnets, 3 lemmas (fr); 2 wordnets passed over -> " in receipt
    assert [path.name for path in (sh / "sources").glob("*.tsv")] == ["fr.wordnet.tsv"]


def test_wordnets_of_unknown_languages_alone_are_an_error(sh):
    for code in "qcn", "tlh":
        (sh / f"wn-data-{code}.tab").write_text(TAB.replace("\tfra\t", f"\t{code}\t"), "utf-8")
    sh.fails("mc2 build-metadata wordnet wn-data-*.tab -o sources", 3,
             "wn-data-qcn.tab:1: no Wikipedia is known for the language code 'qcn'")


def test_another_fault_in_one_of_many_wordnets_still_stops(sh):
    (sh / "wn-data-fra.tab").write_text(TAB, "utf-8")
    (sh / "wn-data-ita.tab").write_text("no header\n", "utf-8")
    sh.fails("mc2 build-metadata wordnet wn-data-*.tab -o sources", 3, "wn-data-ita.tab:1: not an OMW tab file")


LICENCE = "  1 This software and database is being provided to you, the LICENSEE  \n"
DICT = {
    "data.noun": LICENCE + "00001740 03 n 01 entity 0 003 ~ 00001930 n 0000 | that which is\n"
                 "02084071 05 n 03 Dog 0 domestic_dog 0 Canis_familiaris 0 001 @ 02083346 n 0000 | a member\n",
    "data.verb": LICENCE + "00001740 29 v 02 breathe 0 respire 1 000 00 | draw air\n",
    "data.adj": LICENCE + "00014490 00 s 01 galore(ip) 0 000 | in great numbers\n"
                "00014858 00 a 02 ample(a) 0 More_than(p) 0 000 | enough\n",
    "data.adv": LICENCE + "00001740 02 r 01 a_cappella 0 000 | without accompaniment\n",
}


def test_wordnets_synset_names(tmp_path):
    for name, text in DICT.items():
        (tmp_path / name).write_text(text)
    assert wordnet.read(str(tmp_path)) == ("en", ["entity", "dog", "breathe", "galore", "ample", "a cappella"])
    assert wordnet.read(str(tmp_path), lemmas="all")[1] == [
        "entity", "dog", "domestic dog", "canis familiaris", "breathe", "respire", "galore", "ample", "more than",
        "a cappella"]


@pytest.mark.parametrize("text, message", [
    ("00001740-n\tfra:lemma\tx\n", "wn.tab:1: not an OMW tab file"),
    ("# Klingon\ttlh\thttp://x\ty\n", "wn.tab:1: no Wikipedia is known for the language code 'tlh'"),
    ("", "wn.tab:1: not an OMW tab file"),
    (TAB + "00002140-n\tfra:lem", "wn.tab:9: not a row of synset, label and lemma. Is the file cut off?"),
])
def test_files_that_are_no_wordnets(sh, text, message):
    (sh / "wn.tab").write_text(text, "utf-8")
    done = sh("mc2 build-metadata wordnet wn.tab -o sources")
    assert done.status == 3 and done.stderr.startswith(f"mc2 build-metadata wordnet: {message}")
    assert not (sh / "sources").exists()


def test_a_cut_off_dict_is_noticed(sh):
    for name, text in DICT.items():
        (sh / name).write_text(text)
    (sh / "data.verb").write_text(DICT["data.verb"][:-40])
    done = sh("mc2 build-metadata wordnet . -o sources")
    assert done.status == 3 and "data.verb:2: not a synset of WordNet. Is the file cut off?" in done.stderr


@pytest.mark.skipif(not DATA.exists(), reason="no shared data")
def test_all_real_wordnets_are_read(sh):
    sh.ok(f"mc2 build-metadata wordnet {DATA}/wordnet/*.tab.gz -o sources")
    codes = {path.name.split(".")[0] for path in (sh / "sources").glob("*.wordnet.tsv")}
    assert codes == set("sq ar bg ca zh da el eu fa fr gl he hr id is it lt nl nn no pl pt sk sl sv ms".split())
    french = [row[0] for row in tsv(sh, "sources/fr.wordnet.tsv")]
    assert french[:3] == ["comptable", "entité", "inspirer"]
    assert len(french) > 50_000 and not any("_" in lemma for lemma in french)
    assert not any("+" in row[0] for row in tsv(sh, "sources/zh.wordnet.tsv"))
    lemmas = [row[0] for path in (sh / "sources").glob("*.wordnet.tsv") for row in tsv(sh, path)]
    assert not [lemma for lemma in lemmas if lemma.startswith(("!",
    "?")) or "GAP!" in lemma or "[[" in lemma or "|" in lemma]


# ---------------------------------------------------------------- n-grams

def dump(*texts):
    pages = "".join(f"<page><title>T{n}</title><ns>0</ns><id>{n}</id><revision><id>1</id><text>{text}</text></revision>"
                    f"</page>" for n, text in enumerate(texts))
    return f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/">{pages}</mediawiki>'


def test_ngrams_of_a_dump(sh):
    (sh / "wiki.xml.bz2").write_bytes(bz2.compress(dump("red circle, '''red circle''' [[blue|Blue]] " * 5).encode()))
    sh.ok("mc2 build-metadata ngrams --wiki en wiki.xml.bz2 -o sources -q")
    assert tsv(sh, "sources/en.unigram.tsv") == [["circle", "10"], ["red", "10"], ["Blue", "5"]]
    # PMI = log2(n(xy) N / (n(x) n(y))), e.g. log2(10 * 25 / (10 * 10))
    assert tsv(sh, "sources/en.bigram.tsv") == [["circle Blue", "1.321928", "5"], ["red circle", "1.321928", "10"]][::-1]
    sh.ok("mc2 build-metadata ngrams --wiki en wiki.xml.bz2 -o sources -q --min-count 6")
    assert [row[0] for row in tsv(sh, "sources/en.bigram.tsv")] == ["red circle"]


def test_a_misspelt_wikipedia_is_refused(sh):
    (sh / "wiki.xml").write_text(dump("cat"))
    done = sh("mc2 build-metadata ngrams --wiki be-tarask wiki.xml -o sources")
    assert done.status == 2 and "did you mean be_tarask" in done.stderr.lower() and not (sh / "sources").exists()


@pytest.mark.skipif(not DATA.exists(), reason="no shared data")
def test_a_real_dump(sh):
    sh.ok(f"mc2 build-metadata ngrams --wiki en {DATA}/wikipedia/enwiki-latest*.bz2 -o sources")
    unigrams, bigrams = tsv(sh, "sources/en.unigram.tsv"), tsv(sh, "sources/en.bigram.tsv")
    assert [row[0] for row in unigrams[:3]] == ["the", "of", "and"]
    assert len(unigrams) > 30_000 and len(bigrams) > 8_000
    assert min(int(row[2]) for row in bigrams) == 5
    assert [float(row[1]) for row in bigrams] == sorted((float(row[1]) for row in bigrams), reverse=True)
    assert manifests.read(str(sh / "sources/en.unigram.tsv"))["counts"]["pages"] == 106


# ---------------------------------------------------------------- sources and merging

@pytest.mark.parametrize("entry, tidied", [
    (" a \t b ", "a b"), ("a\u3000b", "a b"), ("", None), ("—!", None), ("$5", "$5"), ("x" * 256, "x" * 256),
    ("x" * 257, None), ("☃", None), ("猫", "猫"), ("\u200eא\u200f", "א"), ("\u200e", None), ("so\u00adft", "soft"),
    ("❤\ufe0f", None),
    ("👨\u200d👩", None), ("\u0301", None), ("½", "½"), ("می\u200cخواهم", "می\u200cخواهم"), ("خواهم\u200c", "خواهم"),
    ("a\u200bb", "ab"), ("x" * 256 + "\u200e", "x" * 256), ("\u3164", None), ("\x01", None),
])
def test_what_can_be_an_entry(entry, tidied):
    assert sources.tidy(entry) == tidied


def write(sh, name, *rows):
    (sh / "sources").mkdir(exist_ok=True)
    (sh / "sources" / name).write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), "utf-8")


def merge(sh, options=""):
    return sh.ok(f"mc2 build-metadata merge sources -o metadata -q {options}")


def test_sources_merge_in_order_up_to_their_caps(sh):
    write(sh, "fr.wordnet.tsv", ("chat noir", 0), ("chien", 0))
    write(sh, "fr.unigram.tsv", *((f"mot{n:02}", 100 - n) for n in range(28)), ("chien", 500), ("7", 400))
    write(sh, "fr.bigram.tsv", ("un mot", 2.5, 9), ("chat noir", 9.25, 5), ("le mot", 2.5, 9), ("mot rare", 3, 7))
    write(sh, "fr.title.tsv", ("Paris", 10), ("Lyon", 30), ("mot00", 50), ("Nice", 10))
    merge(sh)
    assert tsv(sh, "metadata/fr.tsv")[100:] == [
        ["chat noir", "wordnet", "0"], ["chien", "wordnet", "0"],
        # 10 % of 30 words: 3, filled past `chien` and `7`, which are there already
        ["mot00", "unigram", "100"], ["mot01", "unigram", "99"], ["mot02", "unigram", "98"],
        # 40 % of 3 unigrams: 1; `chat noir` is there already
        ["mot rare", "bigram", "3.000000"],
        # 76 % of 4 titles: 3
        ["Lyon", "title", "30"], ["Nice", "title", "10"], ["Paris", "title", "10"]]
    assert tsv(sh, "metadata/fr.tsv")[:100] == [[str(n), "number", "0"] for n in range(100)]


def test_shares_are_exact_decimals(sh):
    write(sh, "fr.title.tsv", *((f"t{n:03}", 1) for n in range(100)))
    merge(sh, "--title-share 0.29")                 # 0.29 * 100 is 28.999999999999996 in binary
    assert len(entries(sh, "fr")) == 100 + 29
    merge(sh, "--title-share 0.29 --title-max 12")
    assert len(entries(sh, "fr")) == 100 + 12


def test_bigrams_sort_by_pmi_then_count_then_code_points(sh):
    write(sh, "fr.unigram.tsv", *((f"m{n:03}", 1) for n in range(100)))
    write(sh, "fr.bigram.tsv", ("b b", 1, 5), ("a a", 1, 5), ("c c", 1, 6), ("d d", 2, 5), ("e e", 0.5, 99))
    merge(sh)
    assert entries(sh, "fr")[-4:] == ["d d", "c c", "a a", "b b"]
    merge(sh, "--min-pmi 1.5")
    assert entries(sh, "fr")[-1:] == ["d d"]


def test_a_group_is_its_codes_in_mapping_order_first_occurrence_first(sh):
    write(sh, "zh.wordnet.tsv", ("猫", 0), ("狗", 0))
    write(sh, "zh_classical.title.tsv", ("狗", 9), ("馬", 5))
    write(sh, "gan.wordnet.tsv", ("馬", 0), ("牛", 0))
    merge(sh, "--title-share 1")
    assert tsv(sh, "metadata/zh.tsv")[99:] == [["99", "number", "0"], ["猫", "wordnet", "0"], ["狗", "wordnet", "0"],
                                               ["馬", "title", "5"], ["牛", "wordnet", "0"]]


def test_wikipedias_without_a_label_make_up_other(sh):
    write(sh, "zu.wordnet.tsv", ("ikati", 0))
    write(sh, "chr.title.tsv", ("ᏪᏌ", 2), ("ᎩᏟ", 1))
    merge(sh, "--title-share 1")
    assert entries(sh, "other")[100:] == ["ᏪᏌ", "ᎩᏟ", "ikati"]


def test_an_imported_list_keeps_its_ids_and_replaces_its_own_code(sh):
    listed = ["b", "a", "b", "spaced", "!", "x" * 300, "nel\x85line", "7"]
    (sh / "en.json").write_text(json.dumps(["  spaced " if entry == "spaced" else entry for entry in listed]), "utf-8")
    sh.ok("mc2 build-metadata import en.json --lang en -o sources -q")
    write(sh, "en.unigram.tsv", ("never", 9))
    write(sh, "simple.wordnet.tsv", ("a", 0), ("plain", 0))
    done = sh("mc2 build-metadata merge sources -o metadata")
    assert "taken from a list, so not used: en.unigram.tsv" in done.stderr
    assert tsv(sh, "metadata/en.tsv") == [[entry, "list", "0"] for entry in listed] + [["plain", "wordnet", "0"]]
    assert Release(sh / "metadata").entries("en") == [*listed, "plain"]


@pytest.mark.parametrize("content, message", [
    ('["a","",\n"b"]', "entry 1 is empty or holds a TAB"), ('["a\\tb"]', "entry 0 is empty or holds a TAB"),
    ('["a",7]', "entry 1 is not a string"), ('7', "neither a JSON array"),
    ('{"a":"b"}', "the weight of 'a' is not a number"), ('["a"', "not JSON"), ('["\\ud800"]', "not JSON"),
])
def test_lists_that_cannot_keep_their_ids_are_refused(sh, content, message):
    (sh / "list.json").write_text(content)
    done = sh("mc2 build-metadata import list.json --lang en -o sources")
    assert done.status == 3 and message in done.stderr and not (sh / "sources").exists()
    assert sh("mc2 build-metadata import list.json --lang klingon -o sources").status == 2


def test_a_release_holds_every_language_and_names_those_without_sources(sh):
    write(sh, "en.wordnet.tsv", ("cat", 0))
    done = sh("mc2 build-metadata merge sources -o metadata")
    assert "numbers only, as there are no sources: af als" in done.stderr
    assert "numbers only, as there are no sources: af als" in sh.ok("mc2 inspect metadata")
    release = Release(sh / "metadata")
    assert len(release.langs) == 176 and release.langs[-1] == "other"
    assert release.manifest["languages"]["en"] == {"entries": 101, "wiki_codes": ["en", "simple"],
                                                   "sources": {"number": 100, "wordnet": 1}, "cannot_match": 0,
                                                   "bigram_counts": {}}


def test_the_same_sources_give_the_same_bytes_wherever_they_are(sh):
    write(sh, "en.wordnet.tsv", ("cat", 0))
    sh.ok("mc2 build-metadata merge sources -o one -q; mv sources elsewhere; mc2 build-metadata merge elsewhere -o two -q")
    assert Release(sh / "one").fingerprint == Release(sh / "two").fingerprint
    for path in (sh / "one").glob("[!m]*"):
        assert path.read_bytes() == (sh / "two" / path.name).read_bytes()
    sh.ok("mc2 build-metadata merge elsewhere -o three -q --title-max 5")
    assert Release(sh / "three").fingerprint != Release(sh / "one").fingerprint


def test_lists_and_sources_in_nfc(sh):
    decomposed = "Jose\u0301"
    (sh / "en.json").write_text(json.dumps(["José", decomposed, "cat"]), "utf-8")
    sh.ok("mc2 build-metadata import en.json --lang en -o sources -q")
    write(sh, "es.title.tsv", (decomposed, 9), ("José", 8), ("e\u0301", 7), ("\u00e0", 7))
    merge(sh, "--title-share 1")
    assert entries(sh, "en") == ["José", decomposed, "cat"]
    assert entries(sh, "es")[100:] == [decomposed, "José", "e\u0301", "à"]
    merge(sh, "--title-share 1 --nfc")
    assert entries(sh, "en") == ["José", "José", "cat"]                     # each keeps its id
    assert tsv(sh, "metadata/es.tsv")[100:] == [["José", "title", "9"], ["à", "title", "7"], ["é", "title", "7"]]
    assert Release(sh / "metadata").manifest["options"]["nfc"] is True
    assert Release(sh / "metadata").manifest["quality"]["en"]["repeats"] == {"en.list": {"en.list": 1}}


def test_the_spacing_is_recorded_and_decides_what_can_match(sh):
    write(sh, "en.wordnet.tsv", ("cat", 0), ("U.S.", 0), ("St. Louis", 0))
    manifests_of = {}
    for spacing in "published", "wide":
        merge(sh, f"--spacing {spacing}")
        manifests_of[spacing] = Release(sh / "metadata").manifest
        assert manifests_of[spacing]["options"]["spacing"] == spacing
        assert manifests_of[spacing]["options"].get("words_end_at") == {"published": None, "wide": "P S"}[spacing]
    assert [row["languages"]["en"]["cannot_match"] for row in manifests_of.values()] == [2, 0]
    assert manifests_of["published"]["sha256"] == manifests_of["wide"]["sha256"]
    assert manifests_of["published"]["fingerprint"] != manifests_of["wide"]["fingerprint"]


MAPPING = """lid_label,lang,wiki_codes
swiss,als,als de
german,als,als de
en,simple,simple en
"""


def test_a_mapping_of_ones_own_groups_the_wikipedias(sh):
    (sh / "mine.csv").write_text(MAPPING)
    write(sh, "als.wordnet.tsv", ("Chatz", 0))
    write(sh, "de.wordnet.tsv", ("Katze", 0), ("Chatz", 0))
    write(sh, "fr.wordnet.tsv", ("chat", 0))
    (sh / "cat.json").write_text('["cat"]')
    assert sh("mc2 build-metadata import cat.json --lang simple -o sources").status == 2
    sh.ok("mc2 build-metadata import cat.json --lang simple --languages mine.csv -o sources -q")
    done = sh("mc2 build-metadata merge sources -o metadata --languages mine.csv")
    assert done.status == 0 and "Wikipedias that mine.csv does not name, now in `other`: ab ace " in done.stderr
    release = Release(sh / "metadata")
    assert release.langs == ["als", "simple", "other"]
    assert release.manifest["scheme"] == release.manifest["options"]["scheme"] == "custom"
    assert {"name": "mine.csv", "bytes": len(MAPPING)}.items() <= release.manifest["inputs"][-1].items()
    assert release.languages.lang_of == {"swiss": "als", "german": "als", "en": "simple"}
    assert entries(sh, "als")[100:] == ["Chatz", "Katze"] and entries(sh, "simple") == ["cat"]
    assert entries(sh, "other")[100:] == ["chat"]
    assert sh("mc2 build-metadata merge sources -o metadata --languages mine.csv --scheme nllb").status == 2


def test_any_number_of_jobs_gives_the_same_bytes(sh):
    write(sh, "en.wordnet.tsv", ("cat", 0), ("U.S.", 0))
    write(sh, "zh.title.tsv", ("猫", 4), ("犬", 9))
    for jobs in 1, 3:
        sh.ok(f"mc2 build-metadata merge sources -o jobs{jobs} -j {jobs} -q")
    one, three = (Release(sh / f"jobs{jobs}").manifest for jobs in (1, 3))
    assert {**one, "command": 0, "seconds": 0} == {**three, "command": 0, "seconds": 0}
    assert list(one["languages"]) == list(three["languages"])
    for path in (sh / "jobs1").glob("[!m]*"):
        assert path.read_bytes() == (sh / "jobs3" / path.name).read_bytes()
    shutil.copytree(sh / "jobs1", sh / "bare", ignore=shutil.ignore_patterns("*.matcher"))
    if engines.native():
        assert "176 of 176 languages compiled" in sh("mc2 build-metadata compile bare -j 2").stderr
        assert (sh / "bare/en.matcher").read_bytes() == (sh / "jobs1/en.matcher").read_bytes()


# What `merge` does, without any thought of memory: every source as a list.

def naive_read(path, kind, nfc):
    seen, rows = set(), []
    for line in path.read_text("utf-8").split("\n")[:-1]:
        entry, *values = line.split("\t")
        values = [int(values[0])] if kind != "bigram" else [round(float(values[0]), 6), int(values[1])]
        entry = unicodedata.normalize("NFC", entry) if nfc else entry
        entry = entry if kind == "list" else None if kind == "title" and ":" in entry else sources.tidy(entry)
        if kind == "list" or (entry is not None and entry not in seen):
            seen.add(entry)
            rows.append((entry, *values))
    return rows


def naive_code(code, found, caps, nfc, numbers):
    rows, present = list(numbers), {row.entry for row in numbers}

    def read(kind):
        return naive_read(found[code, kind], kind, nfc) if (code, kind) in found else []

    def fill(candidates, cap):
        before = len(rows)
        for row in candidates:
            if len(rows) - before >= cap:
                break
            if row.entry not in present:
                present.add(row.entry)
                rows.append(row)
        return len(rows) - before

    fill([merging.Row(entry, "wordnet") for entry, _ in read("wordnet")], math.inf)
    words = sorted(read("unigram"), key=lambda row: (-row[1], row[0]))
    kept = fill([merging.Row(word, "unigram", str(count)) for word, count in words], caps.of("unigram", len(words)))
    pairs = sorted((row for row in read("bigram") if caps.min_pmi is None or row[1] >= caps.min_pmi),
                   key=lambda row: (-row[1], -row[2], row[0]))
    fill([merging.Row(pair, "bigram", f"{pmi:.6f}", count) for pair, pmi, count in pairs], caps.of("bigram", kept))
    by_views = sorted(read("title"), key=lambda row: (-row[1], row[0]))
    fill([merging.Row(title, "title", str(views)) for title, views in by_views], caps.of("title", len(by_views)))
    return rows


def naive_language(lang, codes, found, caps, nfc):
    if (lang, "list") in found:
        rows = [merging.Row(entry, "list") for entry, _ in naive_read(found[lang, "list"], "list", nfc)]
        others = [row for code in codes if code != lang for row in naive_code(code, found, caps, nfc, [])]
    else:
        rows, others = [], [row for code in codes for row in naive_code(code, found, caps, nfc, merging.NUMBERS)]
    first = {}
    for row in others:
        first.setdefault(row.entry, row)
    listed = {row.entry for row in rows}
    return rows + [row for row in first.values() if row.entry not in listed]


ENTRIES = st.one_of(st.sampled_from(["a", "b", "e\u0301", "é", "7", "a b"]),
                    st.text(st.sampled_from(["a", "7", " ", "\u3000", "e", "\u0301", "猫", ":", "."]), max_size=3))
SCORED = st.lists(st.tuples(ENTRIES, st.integers(0, 4)), max_size=10)
PAIRS = st.lists(st.tuples(ENTRIES, st.sampled_from([0.5, 1.25, 1.2500004, -2.0]), st.integers(1, 3)), max_size=12)
SOURCES = st.fixed_dictionaries({}, optional={
    **{(code, kind): SCORED for code in ("zh", "gan") for kind in ("wordnet", "unigram", "title")},
    **{(code, "bigram"): PAIRS for code in ("zh", "gan")}, ("zh", "list"): SCORED})
SHARES = st.sampled_from(["1", "0.5", "0.29", "0"]).map(Decimal)
LARGEST = st.sampled_from([99, 2, 0])
CAPS = st.builds(merging.Caps, SHARES, LARGEST, SHARES, LARGEST, SHARES, LARGEST, st.sampled_from([None, 1.0]))


@settings(max_examples=400)
@given(SOURCES, CAPS, st.booleans(), st.booleans(), st.booleans())
def test_reading_sources_as_streams_changes_nothing(content, caps, nfc, is_sorted, collide):
    """A sorted file is read up to its cap, any other in bounded memory; also where two entries have one hash."""
    found = {}
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        if collide:
            patch.setattr(sources, "hash", len, raising=False)
        for (code, kind), rows in content.items():
            if is_sorted and kind not in ("wordnet", "list"):
                rows = sorted(rows, key=lambda row: (*(-score for score in row[1:]), row[0]))
            found[code, kind] = Path(directory) / sources.name_of(code, kind)
            found[code, kind].write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), "utf-8")
        work = merging.LanguageWork(found, caps, "published", nfc, None)
        assert work.rows("zh", ["zh", "gan"])[0] == naive_language("zh", ["zh", "gan"], found, caps, nfc)


def test_a_sorted_source_is_not_read_beyond_its_cap(sh):
    write(sh, "fr.title.tsv", *((f"t{n:04}", 9999 - n) for n in range(1000)))
    source = sources.Source(sh / "sources/fr.title.tsv", "title")
    assert source.distinct == 1000
    candidates = source.best_first(limit=3)
    assert [next(candidates) for _ in range(3)] == [("t0000", 9999), ("t0001", 9998), ("t0002", 9997)]
    write(sh, "fr.title.tsv", *((f"t{n:04}", n) for n in range(1000)))
    assert list(sources.Source(sh / "sources/fr.title.tsv", "title").best_first(limit=2)) == \
        [("t0999", 999), ("t0998", 998)]


def test_a_source_that_no_group_takes_is_refused(sh):
    write(sh, "tlh.wordnet.tsv", ("qaStaH", 0))
    done = sh("mc2 build-metadata merge sources -o metadata")
    assert done.status == 3 and "'tlh' is no Wikipedia of the mapping lid176" in done.stderr


def test_a_source_of_the_wrong_form_is_refused(sh):
    write(sh, "fr.bigram.tsv", ("un mot", 2.5, 9), ("le mot", 2.5))
    done = sh("mc2 build-metadata merge sources -o metadata")
    assert (done.status, done.stderr) == (3, "mc2 build-metadata merge: sources/fr.bigram.tsv:2: not of the form "
                                             "entry <TAB> PMI <TAB> count.\n")
    assert not (sh / "metadata").exists()


def test_what_is_no_source_is_named(sh):
    write(sh, "en.wordnet.tsv", ("cat", 0))
    write(sh, "zh-yue.title.tsv", ("猫", 1))
    write(sh, "en.titles.tsv", ("Cat", 1))
    done = sh("mc2 build-metadata merge sources -o metadata")
    assert "not a source, so not used: en.titles.tsv zh-yue.title.tsv" in done.stderr


def test_a_source_that_is_replaced_is_named(sh):
    (sh / "wn.tab").write_text(TAB, "utf-8")
    assert "replaced" not in sh("mc2 build-metadata wordnet wn.tab -o sources").stderr
    assert "replaced: fr.wordnet.tsv\n" in sh("mc2 build-metadata wordnet wn.tab -o sources").stderr


@pytest.mark.parametrize("pmi", ["nan", "inf", "x"])
def test_a_pmi_is_a_finite_number(sh, pmi):
    write(sh, "en.bigram.tsv", ("a b", pmi, 5))
    assert sh("mc2 build-metadata merge sources -o metadata").status == 3


@pytest.mark.parametrize("share", ["nan", "-0.1", "1.1", "x"])
def test_a_share_is_between_0_and_1(sh, share):
    write(sh, "en.wordnet.tsv", ("cat", 0))
    assert sh(f"mc2 build-metadata merge sources -o metadata --unigram-share={share}").status == 2


def test_files_are_added_to_sources_but_not_to_a_foreign_directory(sh):
    (sh / "wn.tab").write_text(TAB, "utf-8")
    write(sh, "en.wordnet.tsv", ("cat", 0))
    sh.ok("mc2 build-metadata wordnet wn.tab -o sources -q")
    assert {path.name for path in (sh / "sources").glob("*.tsv")} == {"en.wordnet.tsv", "fr.wordnet.tsv"}
    assert sh("mc2 build-metadata wordnet wn.tab -o .").status == 2
    assert sh("mc2 build-metadata merge sources -o sources").status == 2


# ---------------------------------------------------------------- what merge says of sources

def test_merge_names_runs_that_were_stopped_and_sources_that_are_too_small(sh):
    (sh / "few.txt").write_text("a b a b\n")
    sh.ok("mc2 build-metadata ngrams --text --wiki fr few.txt -o sources -q && mkdir sources/.de.ngrams.work")
    said = sh("mc2 build-metadata merge sources -o metadata").stderr
    assert "of runs that were stopped, so their sources are missing or old: .de.ngrams.work. Run them again" in said
    assert "their sources being too small for the shares: fr\n" in said
    assert " fr " not in said.split("as there are no sources: ")[1].split("\n")[0]


@pytest.mark.parametrize("name, content, message", [
    ("fr.bigram.tsv", "a b\t3.0\t0\n", "fr.bigram.tsv:1: not of the form entry <TAB> PMI <TAB> count"),
    ("fr.unigram.tsv", "a\t 1_0\n", "fr.unigram.tsv:1: not of the form entry <TAB> score"),
    ("fr.unigram.tsv", "\ufeffa\t1\n", "fr.unigram.tsv:1: starts with a byte order mark"),
])
def test_a_source_of_another_form_is_refused(sh, name, content, message):
    (sh / "sources").mkdir()
    (sh / "sources" / name).write_text(content)
    done = sh("mc2 build-metadata merge sources -o metadata")
    assert done.status == 3 and message in done.stderr


def test_a_least_pmi_is_a_number(sh):
    (sh / "few.txt").write_text("a b\n")
    sh.ok("mc2 build-metadata ngrams --text --wiki fr few.txt -o sources -q")
    assert sh("mc2 build-metadata merge sources -o metadata --min-pmi nan").status == 2


def test_a_release_names_the_segmenters_of_its_sources(sh):
    (sh / "bo.txt").write_text("བོད་ཡིག བོད་\n" * 20)
    sh.ok("mc2 build-metadata ngrams --text --wiki bo bo.txt -o sources -q")
    sh.ok("mc2 build-metadata merge sources -o metadata --unigram-share 1 -q")
    assert manifests.read(sh / "metadata")["languages"]["bo"]["segmenters"]["bo"]["name"] == "tsheg"


def test_what_cannot_be_counted_leaves_nothing_behind(sh):
    (sh / "a.txt").write_text("a b\n")
    (sh / "b.txt").write_bytes(b"\xff\n")
    for command, status, message in (
            ("a.txt --memory 10M", 2, "--memory 10M is too little"), ("a.txt a.txt", 2, "a.txt: is named twice"),
            ("b.txt", 3, "b.txt")):
        done = sh(f"mc2 build-metadata ngrams --text --wiki fr {command} -o sources")
        assert done.status == status and message in done.stderr
        assert not list(sh.directory.rglob("*.work"))
