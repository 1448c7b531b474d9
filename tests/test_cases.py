"""Small inputs that were once got wrong, with their right values."""


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
