import bz2
import gzip
import math
import os
import signal
import subprocess
import sys
import time
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, strategies

from conftest import DATA, ROOT
from mc2 import files, manifests
from mc2.errors import BadData
from mc2.metadata import dumps, ngrams, parts, plaintext, spill, streams, vocabulary, wikitext
from mc2.metadata.ngrams import LONGEST_ENTRY, by_pmi, count_ngrams, pmi_of, unigram_rows
from mc2.invisible import is_ignored
from mc2.metadata.words import END, Spaces, visible, words_of

ENGLISH = DATA / "wikipedia" / "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"


def bigram_rows(unigrams, bigrams, min_count=5, joint=" "):
    """The rows of bigrams, all in memory: the oracle of what is counted in parts."""
    total = unigrams.total()
    rows = []
    for bigram, count in bigrams.items():
        first, second = bigram.split(" ")
        if count >= min_count and len(first + joint + second) <= LONGEST_ENTRY:
            pmi = pmi_of(count, total, unigrams[first], unigrams[second])
            rows.append((first + joint + second, pmi, count))
    return sorted(rows, key=by_pmi)


@pytest.mark.parametrize("line, expected", [
    ("Well-known in 1990, e.g. Ubuntu", ["Well", "known", "in", "1990", "e", "g", "Ubuntu"]),
    ("don't l’Aube «né» ¿qué? 3.5 €", ["don", "t", "l", "Aube", "né", "qué", "3", "5"]),
    ("अन्तर्राष्ट्रीय हिन्दी। क्\u200dष", ["अन्तर्राष्ट्रीय", "हिन्दी", "क्\u200dष"]),      # combining marks, a ZWJ
    ("می\u200cخواهم", ["می\u200cخواهم"]),      # a ZWNJ
    ("so\u00adft \u200eright\u200f b\u200d", ["soft", "right", "b"]),           # shown as nothing
    ("\u200e \ufe0f a \u00ad \u0301 b\u200bc", ["a", "b", "c"]),              # no letter, no digit
    ("a\u00a0b\u3000c\u2028d\x85e\x1cf\x1fg\th\ri", list("abcdefghi")),
    ("x 👩🏽 y🚀z", ["x", "y", "z"]),
    ("𐌲𐌿𐍄 𐎀𐎟𐎁", ["𐌲𐌿𐍄", "𐎀", "𐎁"]),                                        # Gothic; Ugaritic has punctuation
    ("", []),
])
def test_words_stand_between_spaces_punctuation_and_symbols(line, expected):
    assert [word for word in words_of(line, Spaces()) if word != END] == expected


def test_a_bigram_has_nothing_but_spaces_between_its_words():
    unigrams, bigrams = count_ngrams(["New York, New York is\u00a0well-known\nin $ the US", "US"])
    assert unigrams == {"New": 2, "York": 2, "is": 1, "well": 1, "known": 1, "in": 1, "the": 1, "US": 2}
    assert bigrams == {"New York": 2, "York is": 1, "is well": 1, "the US": 1}


def test_no_texts_have_no_words():
    unigrams, bigrams = count_ngrams([])
    assert (unigram_rows(unigrams), bigram_rows(unigrams, bigrams)) == ([], [])


def test_unigrams_go_by_count_then_code_points():
    assert unigram_rows(Counter({"b": 2, "é": 2, "B": 2, "a": 1, "c": 3, "x" * 257: 9})) == [
        ("c", 3), ("B", 2), ("b", 2), ("é", 2), ("a", 1)]


def test_pmi_by_hand():
    # N = 16 words. "New York": 2 of 16 words begin it; log2(2 * 16 / (4 * 2)) = 2
    unigrams = Counter({"New": 4, "York": 2, "the": 10})
    bigrams = Counter({"New York": 2, "the New": 3, "York the": 1})
    assert bigram_rows(unigrams, bigrams, min_count=2) == [
        ("New York", "2.000000", 2),
        ("the New", "0.263034", 3),         # log2(3 * 16 / (10 * 4)) = log2(1.2)
    ]


def test_bigrams_go_by_rounded_pmi_then_count_then_code_points():
    unigrams = Counter({"a": 8, "b": 8, "c": 16, "d": 16})
    bigrams = Counter({"b a": 5, "a b": 5, "c d": 20, "a c": 9, "x" * 200 + " " + "y" * 56: 5, "a d": 4})
    assert bigram_rows(unigrams, bigrams) == [
        ("c d", "1.906891", 20), ("a b", "1.906891", 5), ("b a", "1.906891", 5), ("a c", "1.754888", 9)]


def test_a_pmi_of_nothing_is_written_without_a_sign():
    unigrams = Counter({"a": 10**8, "b": 10**8})
    [row] = bigram_rows(unigrams, Counter({"a b": 5 * 10**7 - 1}))      # PMI = -0.00000003
    assert row == ("a b", "0.000000", 5 * 10**7 - 1)


def naive_counts(text):
    """Character by character, without regular expressions."""
    unigrams, bigrams = Counter(), Counter()
    for line in visible(text).replace("\u200b", " ").splitlines():
        previous, word = None, ""
        for character in line + " .":
            is_end = unicodedata.category(character)[0] in "PS"
            if not (is_end or character.isspace()):
                word += character
                continue
            if any(unicodedata.category(each)[0] in "LN" for each in word):
                unigrams[word] += 1
                if previous:
                    bigrams[previous + " " + word] += 1
                previous = word
            elif word:
                previous = None
            word = ""
            if is_end:
                previous = None
    return unigrams, bigrams


@given(strategies.lists(strategies.text(
    strategies.one_of(strategies.sampled_from("aab  .|-\n\x1f\u2028"),
                      strategies.characters(exclude_categories=["Cs"])))))
def test_counts_equal_those_of_a_naive_count(texts):
    unigrams, bigrams = Counter(), Counter()
    for text in texts:
        unigrams += naive_counts(text)[0]
        bigrams += naive_counts(text)[1]
    assert count_ngrams(texts) == (unigrams, bigrams)


@given(strategies.text())
def test_a_word_is_clean_whatever_the_text(text):
    for word in set(words_of(text, Spaces())) - {END}:
        assert word.split() == [word] and visible(word) == word
        assert not {unicodedata.category(character)[0] for character in word} & set("PSZ")
        assert {unicodedata.category(character)[0] for character in word} & set("LN")


# ---------------------------------------------------------------- characters that are shown as nothing

@pytest.mark.parametrize("code", [
    0xad, 0x34f, 0x61c, 0x200e, 0x200f, *range(0x202a, 0x202f), 0x2060, 0x2061, *range(0x2066, 0x206a),
    0x3164, 0xfe00, 0xfe0e,
    0xfe0f, 0xfeff, 0x1d173, 0xe0001, 0xe0067, 0xe0100, 0xe01ef])
def test_characters_that_are_shown_as_nothing_go_wherever_they_are(code):
    assert visible(f"{chr(code)}a{chr(code)}b c{chr(code)} {chr(code)}") == "ab c "
    assert words_of(f"a {chr(code)} b{chr(code)}{chr(code)}", Spaces()) == ["a", "b"]


@pytest.mark.parametrize("text, shown", [
    ("می\u200cخواهم", "می\u200cخواهم"), ("کتاب\u200cها\u200c", "کتاب\u200cها"), ("\u200cکتاب", "کتاب"),
    ("می\u200c، ها", "می، ها"),
    ("DVD\u200cها", "DVD\u200cها"), ("می \u200c خواهم", "می  خواهم"), ("ܐ\u200dܒ", "ܐ\u200dܒ"),
    ("क्\u200dष", "क्\u200dष"), ("क्\u200cष", "क्\u200cष"), ("श्री\u200d", "श्री"), ("ශ්\u200dරී", "ශ්\u200dරී"),
    ("র\u200d্য", "র\u200d্য"),
    ("ന്\u200dമ", "ന്\u200dമ"), ("ខ្\u200dម", "ខ្\u200dម"), ("ᠠ\u180b\u180eᠠ", "ᠠ\u180b\u180eᠠ"),
    ("می\u200c\u200eخواهم", "می\u200cخواهم"), ("می\u200c\u00ad", "می"),
    ("Auf\u200clage", "Auflage"), ("a\u200db", "ab"), ("של\u200dום", "שלום"), ("ภา\u200cษา", "ภาษา"),
    ("猫\u200d犬", "猫犬"),
    ("👨\u200d👩\u200d👧", "👨👩👧"), ("❤\ufe0f", "❤"), ("\u200d", ""), ("a\u200bb", "a\u200bb"), ("abc", "abc"), ("", ""),
])
def test_joiners_stay_inside_words_of_scripts_that_need_them(text, shown):
    assert visible(text) == shown


@given(strategies.text(strategies.sampled_from("abیمकष्👨\u200c\u200d\u200e\u00ad\ufe0f \u200b،")
                       | strategies.characters()))
def test_what_is_visible_stays(text):
    shown = visible(text)
    assert visible(shown) == shown and not any(map(is_ignored, shown))
    without = [character for character in text if not is_ignored(character) and character not in "\u200c\u200d"]
    assert [character for character in shown if character not in "\u200c\u200d"] == without
    assert not shown.startswith(("\u200c", "\u200d")) and not shown.endswith(("\u200c", "\u200d"))


@pytest.mark.skipif(not ENGLISH.exists(), reason="the sample dumps are not here")
def test_real_articles_give_known_bigrams():
    pages = dumps.read_pages(ENGLISH)
    unigrams, bigrams = count_ngrams(wikitext.clean(page.text, page.hidden_namespaces) for page in pages)
    assert [word for word, _ in unigram_rows(unigrams)[:5]] == ["the", "of", "and", "in", "to"]
    rows = {bigram: float(pmi) for bigram, pmi, _ in bigram_rows(unigrams, bigrams)}
    assert {"Hong Kong", "Sri Lanka", "United States"} <= rows.keys()
    assert rows["Hong Kong"] > rows["United States"] > rows["of the"]
    expected = bigrams["United States"] * sum(unigrams.values()) / unigrams["United"] / unigrams["States"]
    assert rows["United States"] == pytest.approx(math.log2(expected), abs=1e-6)


# ---------------------------------------------------------------- in parts, with little memory

@pytest.fixture
def tiny(monkeypatch):
    """Everything is so small that a short text needs many runs, blocks, ranges and searches."""
    for module, name, value in [(parts, "BASE", 0), (parts, "LEAST", 0), (streams, "SMALLEST", 20_000),
                                (spill, "BLOCK_ROWS", 16), (spill, "SORTED_ROWS", 4), (ngrams, "BLOCKS_PER_RANGE", 20),
                                (ngrams, "OPEN_FILES", 8), (files, "BLOCK", 200)]:
        monkeypatch.setattr(module, name, value)


def lines_of_words(n_lines, n_words, seed=0):
    numbers = np.random.default_rng(seed).zipf(1.3, (n_lines, 9)) % n_words
    return "".join(" ".join(f"w{number}" for number in line) + ".\n" for line in numbers)


@pytest.mark.parametrize("memory", [2000, 300_000, 50_000_000])
def test_whatever_the_memory_the_rows_are_those_of_a_count_in_memory(tmp_path, tiny, memory):
    text = lines_of_words(5000, 500)
    (tmp_path / "text.txt").write_text(text)
    inputs = ngrams.parts_of([str(tmp_path / "text.txt")], is_text=True)
    assert len(inputs) == 9
    found = ngrams.count(inputs, "en", None, str(tmp_path), is_text=True, min_count=3, memory=memory)
    unigrams, bigrams = count_ngrams([text])
    assert list(found.unigrams) == unigram_rows(unigrams)
    assert list(found.bigrams) == bigram_rows(unigrams, bigrams, min_count=3)
    assert found.read == {"lines": 5000, "words": 45000}
    assert found.bigrams_left_out == {"below --min-count": sum(count < 3 for count in bigrams.values())}
    runs = [name for name in os.listdir(tmp_path / "counting") if name.endswith(".run")]
    assert (len(runs) > 2 * len(inputs)) == (memory < 10 ** 6) and os.path.exists(tmp_path / "reducing-bigrams+")


def test_distinct_words_are_spilled_like_bigrams(tmp_path, tiny):
    text = "".join(f"w{number}\n" for number in range(30_000))
    (tmp_path / "text.txt").write_text(text)
    found = ngrams.count(ngrams.parts_of([str(tmp_path / "text.txt")], is_text=True), "en", None, str(tmp_path),
                       is_text=True, memory=300_000)
    assert list(found.unigrams) == [(word, 1) for word in sorted(text.split())]
    assert any(".words.0001." in name for name in os.listdir(tmp_path / "counting"))


def test_a_merge_that_failed_goes_on_where_it_was(tmp_path, tiny, monkeypatch):
    text = lines_of_words(5000, 500)
    (tmp_path / "text.txt").write_text(text)
    inputs = ngrams.parts_of([str(tmp_path / "text.txt")], is_text=True)
    calls = iter(range(10 ** 9))
    monkeypatch.setattr(ngrams, "pmi_of", lambda *args: pmi_of(*args) if next(calls) < 900 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ngrams.count(inputs, "en", None, str(tmp_path), is_text=True)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.json")}
    assert {path.parent.name for path in before} >= {"counting", "unigrams", "bigrams"}
    monkeypatch.setattr(ngrams, "pmi_of", pmi_of)
    found = ngrams.count(inputs, "en", None, str(tmp_path), is_text=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before and found.finished == found.parts
    assert list(found.bigrams) == bigram_rows(*count_ngrams([text]))


@pytest.mark.parametrize("name, content", [("empty.txt", b""), ("nothing.xml", b"<mediawiki></mediawiki>")])
def test_inputs_without_a_word_give_empty_sources(sh, name, content):
    (sh / name).write_bytes(content)
    sh.ok(f"mc2 build-metadata ngrams --wiki en {name} -o sources {'--text' if name == 'empty.txt' else ''}")
    assert (sh / "sources/en.unigram.tsv").read_bytes() == (sh / "sources/en.bigram.tsv").read_bytes() == b""


def test_words_that_are_too_long_are_counted_as_left_out(tmp_path):
    (tmp_path / "text.txt").write_text(f"{'a' * 257} {'b' * 256} c\n" * 5)
    inputs = ngrams.parts_of([str(tmp_path / "text.txt")], is_text=True)
    found = ngrams.count(inputs, "en", None, str(tmp_path), is_text=True)
    assert (list(found.unigrams), list(found.bigrams)) == ([("b" * 256, 5), ("c", 5)], [])
    assert found.unigrams_left_out == {"longer than 256 characters": 1}
    assert found.bigrams_left_out == {"longer than 256 characters": 2}


def test_pairs_that_become_one_bigram_have_a_row_each_the_higher_pmi_first(tmp_path, monkeypatch):
    class Joined(Spaces):
        joint = ""

    monkeypatch.setattr(ngrams.segmenters, "splitter_for", lambda wiki, choice: Joined())
    (tmp_path / "text.txt").write_text("ab c\n" * 6 + "a bc\n" * 5 + "a x\n" * 9)
    inputs = ngrams.parts_of([str(tmp_path / "text.txt")], is_text=True)
    found = ngrams.count(inputs, "th", None, str(tmp_path), is_text=True)
    # log2(6 * 40 / (6 * 6)), log2(5 * 40 / (14 * 5)), log2(9 * 40 / (14 * 9))
    assert list(found.bigrams) == [("abc", "2.736966", 6), ("ax", "1.514573", 9), ("abc", "1.514573", 5)]


@given(strategies.dictionaries(strategies.text(strategies.characters(exclude_categories=["Cs"]), min_size=1),
                               strategies.integers(1, 2 ** 40)), strategies.integers(0, 9), strategies.text())
def test_a_vocabulary_gives_the_counts_that_went_in(tmp_path_factory, counts, fit, other):
    directory = tmp_path_factory.mktemp("vocabulary")
    rows = sorted(counts.items())
    for number, piece in enumerate([rows[:3], rows[3:3], rows[3:]]):
        vocabulary.write(directory / str(number), piece)
    found = vocabulary.Vocabulary([directory / "0", directory / "1", directory / "2"], fit * vocabulary.WORD_BYTES)
    assert len(found.frequent) <= fit
    assert {word: found[word] for word in counts} == counts
    if other not in counts:
        with pytest.raises(KeyError):
            found[other]


# ---------------------------------------------------------------- plain texts

@given(strategies.lists(strategies.text("aé\n\r猫", max_size=9)), strategies.sets(strategies.integers(1, 60)))
def test_any_ranges_of_a_text_give_every_line_once(tmp_path_factory, lines, cuts):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    text = "\n".join(lines)
    path.write_text(text, "utf-8", newline="")
    bounds = [0, *sorted(cut for cut in cuts if cut < path.stat().st_size)]
    tally = Counter()
    blocks = [block for start, stop in zip(bounds, [*bounds[1:], None])
              for block in plaintext.read_texts(path, start, stop, tally)]
    assert "".join(blocks) == text and all(block.endswith("\n") for block in blocks[:-1])
    assert tally["lines"] == text.count("\n") + (text != "" and not text.endswith("\n"))


def test_texts_may_be_compressed_and_begin_with_a_byte_order_mark(sh):
    text = "\ufeffred circle\nred\n".encode()
    (sh / "a.txt").write_bytes(text)
    (sh / "a.txt.gz").write_bytes(gzip.compress(text))
    (sh / "a.txt.bz2").write_bytes(bz2.compress(text))
    done = sh("mc2 build-metadata ngrams --text --wiki en a.txt a.txt.gz a.txt.bz2 -o sources --min-count 1")
    assert "6 lines, 9 words in, 2 unigrams and 1 bigrams out" in done.stderr
    assert (sh / "sources/en.unigram.tsv").read_text() == "red\t6\ncircle\t3\n"
    assert manifests.read(str(sh / "sources/en.bigram.tsv"))["options"]["text"] is True


def test_a_text_that_is_not_utf8_is_an_error_that_names_the_byte(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"abc\nd\xffe\n")
    for start in 0, 2:
        with pytest.raises(BadData, match="a.txt: byte 5 of the text is not UTF-8"):
            list(plaintext.read_texts(tmp_path / "a.txt", start))


# ---------------------------------------------------------------- the command

def wiki(path, n_pages):
    """A multistream dump of pages of 0.5 MB that compress little: 20 kB of words, and a comment."""
    head = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/"><siteinfo></siteinfo>'
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz       \n", np.uint8)
    rng = np.random.default_rng(0)
    with open(path, "wb") as stream:
        stream.write(bz2.compress(head.encode()))
        for number in range(n_pages):
            text = letters[rng.integers(0, len(letters), 500_000)].tobytes().decode()
            page = (f"<page><title>P{number}</title><ns>0</ns><revision><text>{text[:20_000]} &lt;!-- {text[20_000:]} "
                    f"--&gt;</text></revision></page>")
            stream.write(bz2.compress(page.encode()))
        stream.write(bz2.compress(b"</mediawiki>"))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """(path of a dump of 3 ranges, the unigrams and bigrams of one process with plenty of memory)"""
    path = tmp_path_factory.mktemp("large") / "enwiki.xml.bz2"
    wiki(path, 9)
    assert len(dumps.ranges(path)) == 3
    texts = [wikitext.clean(page.text) for page in dumps.read_pages(path)]
    unigrams, bigrams = count_ngrams(texts)
    return path, [unigram_rows(unigrams), bigram_rows(unigrams, bigrams)]


def rows_of(sh, sources="sources"):
    lines = [[line.split("\t") for line in (sh / sources / f"en.{kind}.tsv").read_text("utf-8").splitlines()]
             for kind in ("unigram", "bigram")]
    return [[(word, int(count)) for word, count in lines[0]], [(*row, int(count)) for *row, count in lines[1]]]


@pytest.mark.parametrize("options", ["-j 2 --memory 256M", "-j 1 --memory 96M"])
def test_jobs_and_memory_do_not_change_the_output(sh, large, options):
    path, expected = large
    sh.ok(f"mc2 build-metadata ngrams --wiki en {path} -o sources {options}")
    assert rows_of(sh) == expected
    assert [name for name in os.listdir(sh / "sources") if name.startswith(".")] == []


@pytest.mark.parametrize("victim", ["driver", "workers"])
def test_a_killed_run_goes_on_where_it_stopped(sh, large, victim):
    path, expected = large
    command = [sys.executable, f"{ROOT}/bin/mc2", *f"build-metadata ngrams --wiki en {path} -o sources -j 2".split()]
    counting = sh / "sources/.en.ngrams.work/counting"
    process = subprocess.Popen(command, cwd=sh.directory, stderr=subprocess.PIPE)
    while not any(counting.glob("*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    for pid in [process.pid] if victim == "driver" else workers_of(process.pid):
        os.kill(pid, signal.SIGKILL)
    message = process.communicate()[1].decode()
    assert process.returncode == (-signal.SIGKILL if victim == "driver" else 1)
    assert "a worker process was killed" in message or victim == "driver"
    before = len(list(counting.glob("*.json")))
    done = sh(f"mkdir elsewhere && cd elsewhere && mc2 build-metadata ngrams --wiki en {path} -o ../sources -j 1")
    assert f"({before} of 3 parts were finished before)" in done.stderr and before >= 1
    assert rows_of(sh) == expected


def workers_of(pid):
    """The child processes that take work."""
    with open(f"/proc/{pid}/task/{pid}/children") as stream:
        children = stream.read().split()
    return [int(child) for child in children if b"spawn_main" in open(f"/proc/{child}/cmdline", "rb").read()]


def test_a_cut_off_dump_ends_the_command(sh, large):
    path, _ = large
    (sh / "cut.xml.bz2").write_bytes(path.read_bytes()[:-60])
    done = sh("mc2 build-metadata ngrams --wiki en cut.xml.bz2 -o sources -j 2")
    assert done.status == 3 and "cut.xml.bz2" in done.stderr and "cut" in done.stderr
    assert not os.path.exists(sh / "sources/en.unigram.tsv")


def test_a_full_disk_ends_the_command_and_a_larger_one_takes_up_its_work(sh, large):
    path, expected = large
    command = f"mc2 build-metadata ngrams --wiki en {path} -o sources"
    done = sh(f"ulimit -f 50; {command}")             # KB
    assert done.status == 1 and "sources" in done.stderr
    sh.ok(command)
    assert rows_of(sh) == expected


def test_what_comes_through_a_pipe_is_never_taken_for_what_came_before(sh):
    (sh / "a.txt").write_text("a b\n")
    (sh / "b.txt").write_text("c\n")
    for name, words in ("a", "a\t1\nb\t1\n"), ("b", "c\t1\n"):
        sh.ok(f"cat {name}.txt | mc2 build-metadata ngrams --text --wiki en /dev/stdin -o sources -j 2")
        assert (sh / "sources/en.unigram.tsv").read_text() == words


def test_languages_without_spaces_have_their_words_told_apart(sh):
    (sh / "bo.txt").write_text("བོད་ཡིག བོད་ཡིག\n" * 3, "utf-8")
    sh.ok("mc2 build-metadata ngrams --text --wiki bo bo.txt -o sources --segmenter bo=tsheg --segmenter zh=rjieba")
    assert (sh / "sources/bo.unigram.tsv").read_text("utf-8") == "བོད\t6\nཡིག\t6\n"
    assert (sh / "sources/bo.bigram.tsv").read_text("utf-8") == "བོད་ཡིག\t1.000000\t6\n"     # log2(6 * 12 / (6 * 6))
    for kind in ("unigram", "bigram"):
        assert manifests.read(str(sh / f"sources/bo.{kind}.tsv"))["options"]["segmenter"]["name"] == "tsheg"


def test_the_manifest_counts_what_was_left_out(sh):
    page = "<page><title>{}</title><ns>{}</ns>{}<revision><text>red circle</text></revision></page>"
    (sh / "wiki.xml").write_text("<mediawiki>" + page.format("A", 0, "") * 5 + page.format("B", 0, "<redirect/>")
                                 + page.format("Talk:A", 1, "") * 2 + "</mediawiki>")
    done = sh("mc2 build-metadata ngrams --wiki en wiki.xml -o sources --min-count 6")
    assert "5 pages (1 redirects and 2 in other namespaces left out), 10 words in, 2 unigrams and 0" in done.stderr
    assert manifests.read(str(sh / "sources/en.bigram.tsv"))["counts"] == {
        "pages": 5, "redirects": 1, "in other namespaces": 2, "words": 10, "below --min-count": 1, "out": 0}


def test_pages_that_are_no_wikitext_and_missing_texts_are_counted_where_there_are_some(sh):
    page = "<page><title>A</title><ns>0</ns><revision>{}</revision></page>"
    (sh / "wiki.xml").write_text("<mediawiki>" + page.format("<text>red circle</text>") * 5
                                 + page.format("<model>json</model><text>{}</text>") * 2
                                 + page.format('<text id="1" bytes="9" />') + page.format("<redirect/>")
                                 + "</mediawiki>")
    done = sh("mc2 build-metadata ngrams --wiki en wiki.xml -o sources")
    assert "5 pages (1 redirects, 2 not wikitext and 1 without text left out), 10 words in" in done.stderr
    counts = manifests.read(str(sh / "sources/en.unigram.tsv"))["counts"]
    assert (counts["not wikitext"], counts["without text"]) == (2, 1)


@pytest.mark.parametrize("arguments, message", [
    ("--wiki be-tarask", "Did you mean be_tarask"),
    ("--wiki en --memory 10M", "--memory 10M is too little for 1 processes: each needs at least 96M"),
    ("--wiki en --memory lots", "not a size such as 800M or 8G"),
    ("--wiki zh --segmenter zh=none", "There is no segmenter 'none'"),
])
def test_what_cannot_be_done_is_said_at_once(sh, arguments, message):
    (sh / "a.txt").write_text("a")
    done = sh(f"mc2 build-metadata ngrams --text a.txt -o sources {arguments}")
    assert done.status == 2 and message in done.stderr
