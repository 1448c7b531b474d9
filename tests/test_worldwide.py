"""The worldwide example: the release of a mirror of three Wikipedias, and the way from a small crawl to scores."""
import bz2
import gzip
import os
import shutil

import pytest

from conftest import ROOT


def dump(*texts):
    head = b'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/"><siteinfo></siteinfo>\n'
    pages = (f"<page><title>T{n}</title><ns>0</ns><revision><text>{text}</text></revision></page>\n".encode()
             for n, text in enumerate(texts))
    return b"".join(map(bz2.compress, [head, *pages, b"</mediawiki>\n"]))


@pytest.fixture
def mirror(sh):
    """A Shell with the example, and a mirror as wget makes it."""
    shutil.copytree(ROOT / "examples/worldwide", sh / "worldwide", ignore=shutil.ignore_patterns("out"))
    for database, text in [("en", "red circle " * 9), ("be_x_old", "чырвоны круг " * 9), ("bo", "དམར་པོ་ " * 9),
                           ("commons", "not a Wikipedia")]:
        directory = sh / f"mirror/{database}wiki/20250601"
        directory.mkdir(parents=True)
        (directory / f"{database}wiki-20250601-pages-articles-multistream.xml.bz2").write_bytes(dump(text, text))
    views = "en Red_circle 7 0\nen A 1 0\nbo ར 3 0\n"
    (sh / "mirror/pageviews-20250601-000000.gz").write_bytes(gzip.compress(views.encode()))
    (sh / "wordnets").mkdir()
    (sh / "wordnets/wn-data-bul.tab").write_text("# name\tbul\turl\tlicence\n1-n\tlemma\tкръг\n", "utf-8")
    return sh


MAKE = "make -f worldwide/Makefile JOBS=1 MEMORY=200M"


def test_a_mirror_becomes_a_release_and_is_not_done_twice(mirror):
    done = mirror.ok(f"{MAKE} metadata 2>&1")
    assert "3 of 330 Wikipedias are in mirror" in done and "missing: ab ace" in done
    assert sorted(name for name in os.listdir(mirror / "out/sources") if name.endswith(".tsv")) == [
        "be_tarask.bigram.tsv", "be_tarask.unigram.tsv", "bg.wordnet.tsv", "bo.bigram.tsv", "bo.title.tsv",
        "bo.unigram.tsv", "en.bigram.tsv", "en.title.tsv", "en.unigram.tsv"]
    assert "Red circle\ttitle\t7" in (mirror / "out/metadata/en.tsv").read_text("utf-8")
    again = mirror.ok(f"{MAKE} metadata 2>&1")
    assert "build-metadata" not in again
    os.utime(mirror / "mirror/bowiki/20250601/bowiki-20250601-pages-articles-multistream.xml.bz2")
    again = mirror.ok(f"{MAKE} metadata 2>&1")
    assert again.count("mc2 build-metadata ngrams --wiki") == 1 and "--wiki bo" in again


def test_the_release_is_packed(mirror):
    mirror.ok(f"{MAKE} release 2>&1")
    assert (mirror / "out/release.tar.zst").stat().st_size > 1000


def test_the_build_stops_at_the_first_failure_and_goes_on_there(mirror):
    english = mirror / "mirror/enwiki/20250601/enwiki-20250601-pages-articles-multistream.xml.bz2"
    whole = english.read_bytes()
    english.write_bytes(whole[:-20])
    done = mirror(f"{MAKE} ngrams")
    assert done.status == 2 and "cut off" in done.stderr
    assert not (mirror / "out/sources/en.bigram.tsv").exists()
    english.write_bytes(whole)
    done = mirror.ok(f"{MAKE} ngrams 2>&1")
    assert "--wiki en" in done and "--wiki be_tarask" not in done
    assert (mirror / "out/sources/en.bigram.tsv").exists()


def test_what_is_missing_or_doubled_is_said_first(mirror):
    assert "no dumps" in mirror(f"{MAKE} release MIRROR=worldwide").stderr
    assert "no wordnets" in mirror(f"{MAKE} release WORDNETS=none/*").stderr
    assert "no pageviews" in mirror(f"{MAKE} PAGEVIEWS=worldwide titles").stderr
    (mirror / "mirror/enwiki-latest-pages-articles-multistream.xml.bz2").write_bytes(dump("a"))
    assert "two dumps of one Wikipedia" in mirror(f"{MAKE} metadata").stderr
