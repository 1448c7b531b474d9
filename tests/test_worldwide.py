"""The worldwide example: the release of a mirror of three Wikipedias, and the way from a small crawl to scores."""
import bz2
import gzip
import os
import shutil
import signal
import subprocess

import orjson
import pytest
import zstandard

from conftest import ROOT, until


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


# ---------------------------------------------------------------- a crawl whose options change

@pytest.fixture
def crawl(sh):
    """A Shell with the example, two files of a crawl, and steps(): the commands that make carries out, by their names."""
    shutil.copytree(ROOT / "examples/worldwide", sh / "worldwide", ignore=shutil.ignore_patterns("out"))
    info = b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 0\r\n\r\n\r\n\r\n"
    for name in "ab":
        (sh / f"{name}.warc.wat.gz").write_bytes(gzip.compress(info))
    sh.ok("echo red > en.txt; mc2 build-metadata import en.txt --lang en -o sources -q")
    sh.ok("mc2 build-metadata merge sources -o metadata -q")
    return sh


def steps(sh, options):
    """[the name of each command that make carries out], and what it says to people."""
    done = sh(f"make -f worldwide/Makefile out/done/matched JOBS=1 METADATA=metadata {options}")
    assert done.status == 0, done.stderr
    return [" ".join(line.split()[1:3]) for line in done.stdout.splitlines() if line.startswith("mc2 ")], done.stderr


def test_a_step_with_other_options_is_done_again_with_all_that_follow(crawl):
    assert steps(crawl, "CRAWL=a.warc.wat.gz")[0] == ["extract a.warc.wat.gz", "dedup urls", "lid out/unique/*.jsonl.zst",
                                                      "match @out/lists/lid.txt"]
    assert steps(crawl, "CRAWL=a.warc.wat.gz")[0] == []
    assert steps(crawl, "CRAWL=a.warc.wat.gz LID='--no-evidence other'")[0] == [
        "lid out/unique/*.jsonl.zst", "match @out/lists/lid.txt"]


def test_make_n_names_what_is_to_be_done_and_changes_nothing(crawl):
    steps(crawl, "CRAWL=a.warc.wat.gz")
    assert steps(crawl, "-n CRAWL=a.warc.wat.gz")[0] == []
    assert steps(crawl, "-n CRAWL=a.warc.wat.gz LID='--no-evidence other'")[0] == [
        "lid out/unique/*.jsonl.zst", "match @out/lists/lid.txt"]
    assert steps(crawl, "-n CRAWL='*.gz'")[0][0] == "extract *.gz"
    assert steps(crawl, "CRAWL=a.warc.wat.gz")[0] == []


def test_options_are_compared_as_they_are_written(crawl):
    crawl.ok("""make -f worldwide/Makefile out/done/plan.options PLAN='--user-agent "our * name"'""")
    assert (crawl / "out/done/plan.options").read_text() == 'out/tars --user-agent "our * name"\n'


def test_a_file_of_a_crawl_that_is_older_than_the_step_is_extracted_too(crawl):
    os.utime(crawl / "b.warc.wat.gz", (0, 0))
    steps(crawl, "CRAWL=a.warc.wat.gz")
    assert steps(crawl, "CRAWL='*.warc.wat.gz'")[0][0] == "extract *.warc.wat.gz"
    assert len(list((crawl / "out/pairs").glob("*.jsonl.zst"))) == 2


def test_files_of_a_crawl_may_go_after_their_step_and_another_crawl_is_said_to_be_added(crawl):
    steps(crawl, "CRAWL='a*.gz'")
    (crawl / "a.warc.wat.gz").unlink()
    assert steps(crawl, "CRAWL='a*.gz'") == ([], "")
    (crawl / "wat.txt").write_text("b.warc.wat.gz\n")
    os.utime(crawl / "wat.txt", (0, 0))
    commands, said = steps(crawl, "CRAWL=@wat.txt")
    assert commands[0] == "extract @wat.txt" and "keeps the pairs of 1 files that CRAWL names no more." in said


def test_a_small_web_of_another_size_is_not_taken_for_this_one(crawl):
    small = "make -f worldwide/Makefile drawn PICTURES="
    crawl.ok(f"{small}400")
    done = crawl(f"{small}401")
    assert done.status == 2 and "out/small: is of PICTURES=400. Name another OUT=, or remove it." in done.stderr


# ---------------------------------------------------------------- from a crawl to scores

SMALL = "make --no-print-directory -C examples/worldwide small PICTURES=400 EPOCHS=1 SMALL_LANGS=en JOBS=1"
OUT = "examples/worldwide/out/small"
COPIES = "COPIES='--phash -k 4 --at-most 5%'"         # 8 copies are more than 1 % of so few pictures
STAND_IN = "IMG2DATASET="
PROGRAM = os.environ.get("MC2_IMG2DATASET") or shutil.which("img2dataset")
LEFT = """\
step           left                            went  why
extract         146  pages                        3  pages with another HTTP status than 200
              1,304  images                     239  images without text
                                                 27  repeated on a page
                                                 19  opted out (tdm-reservation)
                                                 14  private addresses
                                                 10  opted out (noai, noimageai)
                                                 10  tracking pixels
                                                  9  opted out (noimageai)
                                                  8  template placeholders
                                                  6  data: URLs
                                                  1  damaged gzip members
              1,495  pairs
dedup urls    1,154  pairs                      341  same id and text
                411  images
lid, match      992  pairs with an entry        162  without a match
sample          371  pairs, one of each image   604  not the chosen text of their image
                                                 17  not drawn
images plan     371  images to download
download        340  images                      14  other 4xx
                                                  5  5xx
                                                  3  decode
                                                  2  connection
                                                  2  too small
                                                  2  too slim
                                                  1  redirects without end
                                                  1  timeout
                                                  1  opt-out
join            340  pairs with an image
filter          331  pairs                        5  text flags: blocked
                                                  4  blocked hosts
dedup images    324  pairs                        7  copies of evaluation images
"""


@pytest.fixture(scope="module")
def small(examples):
    """The Shell of the examples, in which the small crawl went to its end without img2dataset. printed: what it said"""
    pytest.importorskip("selectolax")
    pytest.importorskip("torch")
    shutil.copytree(examples / "examples/demo/out/metadata", examples / OUT / "metadata")
    examples.printed = make(examples, f"{SMALL} {COPIES} {STAND_IN}")
    return examples


def make(sh, command):
    """What make prints; it takes longer than others may. str"""
    done = subprocess.run(["bash", "-c", command], cwd=sh.directory, env=sh.environment, capture_output=True,
                          timeout=900)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode() + done.stderr.decode()


def lines_of(sh, pattern):
    """The records of all files of the small crawl that match."""
    return [orjson.loads(line) for path in sorted((sh / OUT).glob(pattern))
            for line in (zstandard.open if path.suffix == ".zst" else open)(path, "rb").read().splitlines()]


@pytest.mark.heavy
def test_the_small_crawl_ends_with_what_each_step_left_and_with_scores(small):
    assert LEFT in small.printed
    table = small.printed[small.printed.index("\nScores\n"):].splitlines()
    assert table[3].split() == ["evaluation", "language", "top-1", "guessing", "images"]
    assert table[4].split()[:2] + table[4].split()[3:] == ["zeroshot", "en", "3.1%", "256"]
    assert "this STAND-IN of the example downloads" in small.printed


@pytest.mark.heavy
def test_the_removed_copies_are_those_that_were_put_into_the_crawl(small):
    planted = {each["id"]: each for each in lines_of(small, "web/planted.jsonl")}
    removed = {each["id"]: each["image"] for each in lines_of(small, "clean/removed.jsonl")}
    missed = planted.keys() - removed.keys()
    assert removed == {key: planted[key]["copy_of"] for key in removed}
    assert [planted[key]["how"] for key in missed] == ["crop"]          # no perceptual hash stands it
    left = {each["id"] for each in lines_of(small, "clean/pairs/*.zst")}
    assert len(left) == 324 and not left & removed.keys() and missed <= left


@pytest.mark.heavy
def test_the_filter_leaves_out_blocked_hosts_and_words(small):
    def unsafe(folder):
        return [pair for pair in lines_of(small, f"{folder}/*.zst") if "ads.example" in pair["url"] or "casino" in
                pair["text"].lower() or "казино" in pair["text"].lower() or "赌场" in pair["text"]]
    assert (len(unsafe("joined")), unsafe("safe")) == (9, [])


@pytest.mark.heavy
def test_no_pair_is_of_a_page_that_asked_not_to_be_used(small):
    found = {pair["page"] for pair in lines_of(small, "pairs/*.zst")}
    optouts = (small / OUT / "web/optouts.txt").read_text().split()
    assert len(optouts) == 4 and not found & set(optouts)
    assert found > {"http://formes.example/fr/gallery/1.html"}


@pytest.mark.heavy
def test_a_second_run_does_nothing_but_show_the_table(small):
    again = make(small, f"{SMALL} {COPIES} {STAND_IN}")
    assert "mc2 " not in again and "python" not in again and LEFT in again


DOWNLOADED = ("tars/*.tar", "tars/*.parquet", "joined/*.zst", "safe/*.tar", "safe/*.zst", "clean/pairs/*.zst",
              "clean/removed.jsonl")


def contents(sh):
    out = sh / OUT
    paths = [path for pattern in DOWNLOADED for path in sorted(out.glob(pattern))]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


def remove_download(out):
    """Remove what came of the download, and what was made of it."""
    for step in ("tars", "joined", "scored", "safe", "clean"):
        shutil.rmtree(out / step)
        (out / "done" / step).unlink()


@pytest.mark.heavy
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_download_that_was_stopped_goes_on_and_the_result_is_the_same(small, number):
    out, before = small / OUT, contents(small)
    assert len(before) == 13
    remove_download(out)
    process = subprocess.Popen(["bash", "-c", f"exec {SMALL} {COPIES} {STAND_IN} UP_TO=crawl"], cwd=small.directory,
                               env=small.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
    until(lambda: (out / "tars/00000.tar").exists(), lambda: process.poll() is None)
    os.killpg(process.pid, number)
    assert process.wait() in (2, -number, 130)
    assert not (out / "done/tars").exists()
    make(small, f"{SMALL} {COPIES} {STAND_IN} UP_TO=crawl")
    assert contents(small) == before


@pytest.mark.heavy
@pytest.mark.skipif(PROGRAM is None, reason="img2dataset is not installed; MC2_IMG2DATASET may name its program")
def test_with_img2dataset_the_same_images_come_and_the_same_copies_go(small):
    def ids(pattern):
        return {each["id"] for each in lines_of(small, pattern)}
    joined, removed = ids("joined/*.zst"), ids("clean/removed.jsonl")
    remove_download(small / OUT)
    printed = make(small, f"{SMALL} {COPIES} UP_TO=crawl IMG2DATASET={PROGRAM}")
    assert "STAND-IN" not in printed
    assert (ids("joined/*.zst"), ids("clean/removed.jsonl")) == (joined, removed)
