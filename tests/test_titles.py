"""mc2 build-metadata titles and urls: from hourly pageview files to titles, and where these files are."""
import gzip
import os
import re
import resource
import signal
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies

from conftest import ROOT
from mc2 import manifests
from mc2.errors import BadData
from mc2.metadata import languages, pageviews, spill, titles, urls

CODES = languages.of_scheme("lid176").wiki_codes
HOUR = "pageviews-20260101-{:02}0000.gz"


def tsv(sh, name):
    return [line.split("\t") for line in (sh / name).read_text("utf-8").split("\n")[:-1]]


def tables(directory):
    return {path.name: path.read_bytes() for path in directory.glob("*.tsv")}


def hour_file(directory, hour, lines):
    path = directory / HOUR.format(hour)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    return str(path)


# ---------------------------------------------------------------- titles

@pytest.mark.parametrize("raw, title", [
    ("Red_circle", "Red circle"), ("dog", "dog"), ("Мінск", "Мінск"), ("iPhone", "iPhone"), ("C++", "C++"),
    ("Caf%C3%A9", "Café"), ("Caf%25C3%25A9", "Café"), ("100%25_Arabica", "100% Arabica"), ("100%", "100%"),
    ("_Red__circle_", "Red circle"), ("Red%20circle%C2%A0", "Red circle"), ("Tokyo\u3000Tower", "Tokyo Tower"),
    ("Cafe\u0301", "Café"), *((f"Abba{mark}", "Abba") for mark in "\u200e\u200f\u202a\u202b\u202c\u202d\u202e"), ("کتاب\u200cخانه", "کتاب\u200cخانه"),
    ("AC/DC", "AC/DC"), ("R.E.M.", "R.E.M."), ("Who?", "Who?"), ("R&B", "R&B"), ("Q&A_;", "Q&A ;"),
    ("index.php", "index.php"),
    (r'"\"Hello,_World!\"_(a)"', '"Hello, World!" (a)'), ('"Heroes"', '"Heroes"'), (r'"\"Heroes\""', '"Heroes"'),
    ('"Weird_Al"_Yankovic', '"Weird Al" Yankovic'), (r'"a\\\"b"', r'a\"b'), ("x" * 255, "x" * 255),
])
def test_titles_are_as_mediawiki_has_them(raw, title):
    assert titles.clean(raw.encode()) == (title, None)


@pytest.mark.parametrize("raw, why", [
    *((raw, titles.WITH_COLON) for raw in (b"Special:Search", b"Special%3ASearch", b"2001%253A_X")),
    (b"Caf%FF", titles.NOT_UTF8), (b"Caf\xe9", titles.NOT_UTF8),
    (b"-", titles.UNTITLED), (b"", titles.UNTITLED), (b'""', titles.UNTITLED), (b"_", titles.UNTITLED),
    (b"%E2%80%8E", titles.UNTITLED),
    *((raw, titles.NO_TITLE) for raw in (
        b"Dog#History", b"Dog%23History", b"<b>", b"[[Dog]]", b"{{Dog}}", b"a|b", b"a%0Ab", b"a%00", b"a\x7f", b"a\tb",
        b"a\xef\xbf\xbdb", b"AT&amp;T", b"&#32;", b"&#x20;", b"~~~~", b".", b"..", b"./x", b"x/../y", b"x/.",
        b"x" * 256, "é".encode() * 128)),
])
def test_what_is_no_title_is_left_out_for_a_reason(raw, why):
    assert titles.clean(raw) == (None, why)


NASTY = strategies.sampled_from("ab_:%25C3A9\"\\-./~&;#é\u0301\u200e\u3000\ufffd猫\0\t")


@given(strategies.lists(strategies.text(NASTY, max_size=8).map(str.encode) | strategies.binary(max_size=6), max_size=6))
@example([b"a" * 256, "é".encode() * 127 + b"a", "é".encode() * 128, b"-", b"", b".", b"..", b"___", b"_a", b"a_"])
def test_titles_of_blocks_are_those_of_single_lines(raws):
    raws = [raw for raw in raws if not set(raw) & {ord(" "), ord("\n")}]
    block = b"".join(b"en %b %d 0\n" % (raw, number) for number, raw in enumerate(raws))
    views = titles._Views(None, None, ["en"], 1 << 30)
    views.add_lines(pageviews._split(block) or pageviews._split_one_by_one(block))
    rows = Counter({key.removeprefix("en\t"): n for key, n in views._rows()})
    expected, left_out = Counter(), Counter()
    for number, raw in enumerate(raws):
        title, why = titles.clean(raw)
        expected[title] += number if title else 0
        left_out[why or "kept"] += number
    assert (+rows, +views.views) == (+expected, +left_out)


@given(strategies.text(max_size=12))
def test_a_clean_title_stays_as_it_is(text):
    title, _ = titles.clean(text.encode("utf-8", "replace"))
    if title is not None and not title.startswith('"'):
        assert titles.clean(title.replace(" ", "_").encode()) == (title, None)


# ---------------------------------------------------------------- lines and sites

@pytest.mark.parametrize("domain, code", [
    ("en", "en"), ("en.m", "en"), ("en.zero", "en"), ("simple.m", "simple"), ("be-tarask", "be_tarask"),
    ("be-x-old.m", "be_tarask"), ("als", "als"), ("gsw", "als"), ("zh-classical", "zh_classical"),
    ("lzh.m", "zh_classical"),
    ("zh-min-nan", "zh_min_nan"), ("nan", "zh_min_nan"), ("no.m", "no"), ("nb", "no"), ("rup", "roa_rup"),
    ("roa-rup", "roa_rup"), ("sgs", "bat_smg"), ("bat-smg", "bat_smg"), ("vro", "fiu_vro"), ("fiu-vro", "fiu_vro"),
    ("yue", "zh_yue"), ("zh-yue.m", "zh_yue"), ("cbk-zam", "cbk_zam"), ("map-bms", "map_bms"), ("roa-tara", "roa_tara"),
    ("nds-nl.m", "nds_nl"), ("egl", "eml"), ("en.b", None), ("en.m.d", None), ("commons.m", None),
    ("commons.m.m", None), ('""', None), ("www.wd", None), ("be_tarask", None),
])
def test_the_wikipedia_of_a_domain_code(domain, code):
    assert pageviews.wiki_of_domain(CODES).get(domain) == code


def test_every_wikipedia_has_its_own_three_sites():
    wiki_of = pageviews.wiki_of_domain(CODES)
    assert set(wiki_of.values()) == set(CODES)
    assert len(wiki_of) == 3 * (330 + len(pageviews.ALIASES)) and not set(pageviews.ALIASES) & set(CODES)
    # sites of wikimedia.org have `.m` in their domain codes, too
    assert not set("commons incubator meta outreach quality species strategy usability".split()) & set(CODES)


PAGEVIEWS = """en Red_circle 3 0
en.m Red_circle 40 0
en.zero Red_circle 1 0
en.b Red_circle 99 0
en Special:Search 500 0
en Caf%C3%A9 2 0
en Caf%FF 2 0
be-tarask Мінск 5 0
zh-min-nan.m Tâi-oân 4 0
commons.m Main_Page 7 0
malformed line
en "two words" 1 0
en two words 1 0
en Red_circle many 0
en Blue_circle 44 0
"""


def test_titles_go_to_a_file_per_wikipedia(sh):
    (sh / "pageviews.gz").write_bytes(gzip.compress(PAGEVIEWS.encode()))
    done = sh("mc2 build-metadata titles pageviews.gz -o sources --memory 200M")
    assert done.status == 0
    assert re.sub(r"\([\d.]+ s\)", "(T)", done.stderr) == (
        "titles: 1 files, 15 lines in (3 malformed, 2 other projects), 602 views in (2 not UTF-8, 500 with a colon), "
        "6 titles of 3 Wikipedias out -> sources (T)\n")
    assert tsv(sh, "sources/en.title.tsv") == [["Blue circle", "44"], ["Red circle", "44"], ["Café", "2"],
                                                   ["two words", "1"]]
    assert tsv(sh, "sources/be_tarask.title.tsv") == [["Мінск", "5"]]
    manifest = manifests.read(str(sh / "sources/en.title.tsv"))
    assert manifest["inputs"][0]["name"] == "pageviews.gz" and manifest["undated"] == ["pageviews.gz"]
    assert manifest["counts"] == {"in": 15, "malformed": 3, "other projects": 2, "out": 4}
    assert manifest["views"] == {"in": 602, "kept": 100, "not UTF-8": 2, "with a colon": 500}
    sh.ok("mc2 build-metadata titles pageviews.gz --wiki zh_min_nan -o only -q --memory 200M")
    assert sorted(os.listdir(sh / "only")) == ["zh_min_nan.title.tsv", "zh_min_nan.title.tsv.manifest.json"]


def test_a_source_of_an_earlier_run_does_not_stay_where_there_are_no_views_now(sh):
    hour_file(sh.directory, 0, ["en A 1 0", "fr B 2 0", "de C 3 0"])
    hour_file(sh.directory, 1, ["en D 4 0"])
    sh.ok(f"mc2 build-metadata titles {HOUR.format(0)} -o sources -q")
    sh.write("sources/it.title.tsv", "by hand\t5")
    sh.ok("rm sources/de.title.tsv.manifest.json")
    done = sh(f"mc2 build-metadata titles {HOUR.format(1)} -o sources --wiki en --wiki fr --wiki it --wiki de")
    assert "deleted, of an earlier run and without views in this one: fr.title.tsv\n" in done.stderr
    assert sorted(os.listdir(sh / "sources")) == ["de.title.tsv", "en.title.tsv", "en.title.tsv.manifest.json",
                                                  "it.title.tsv"]
    assert tsv(sh, "sources/en.title.tsv") == [["D", "4"]]


LINES = strategies.tuples(
    strategies.sampled_from(["en", "en.m", "fr", "zh-min-nan", "nan.m", "en.d", ""]),
    strategies.sampled_from(["A", "B_c", "B%20c", "Ca%CC%81", "C%C3%A1", "X:Y", "%FF", "-", "", '"\\"q\\""', '"a b"',
                             "a b", "猫"]),
    strategies.sampled_from(["1", "2", "70", "x", ""])
).map(" ".join).map("{} 0".format) | strategies.sampled_from(["", "junk"])


def oracle(lines):
    """The plain loop over all lines."""
    wiki_of = {"en": "en", "en.m": "en", "fr": "fr", "zh-min-nan": "zh_min_nan", "nan.m": "zh_min_nan"}
    views = {}
    for line in lines:
        if not (match := re.fullmatch(r'(\S*) (\S*|".* .*") ([0-9]+) 0', line)) or match[1] not in wiki_of:
            continue
        title, _ = titles.clean((match[2].strip('"') if " " in match[2] else match[2]).encode())
        if title is not None:
            of_wiki = views.setdefault(wiki_of[match[1]], Counter())
            of_wiki[title] += int(match[3])
    best_first = {code: sorted(of_wiki.items(), key=lambda row: (-row[1], row[0])) for code, of_wiki in views.items()}
    return {f"{code}.title.tsv": "".join(f"{title}\t{n}\n" for title, n in rows).encode()
            for code, rows in best_first.items()}


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.lists(strategies.lists(LINES, max_size=30), min_size=1, max_size=5), strategies.booleans())
def test_any_lines_in_any_files_are_summed_as_by_the_plain_loop(tmp_path_factory, hours, little_memory):
    directory = tmp_path_factory.mktemp("hours")
    paths = [hour_file(directory, n, [*lines, "aa.d X 1 0"]) for n, lines in enumerate(hours)]
    with pytest.MonkeyPatch.context() as patch:
        if little_memory:                       # spill after every few titles, several levels of merging
            patch.setattr(titles.parts, "memory_per_worker", lambda memory, jobs: 3000)
            patch.setattr(spill, "FAN_IN", 2)
            patch.setattr(spill, "BLOCK_ROWS", 2)
            patch.setattr(titles, "LOOK", 1)
            read_blocks = pageviews.files.read_blocks
            patch.setattr(pageviews.files, "read_blocks", lambda path: read_blocks(path, 40))
        result = titles.build(paths, str(directory / "sources"), CODES, {})
    assert tables(directory / "sources") == oracle([line for lines in hours for line in lines])
    assert result.lines["in"] == sum(map(len, hours)) + len(hours)
    assert result.views["in"] == sum(number for why, number in result.views.items() if why != "in")


# ---------------------------------------------------------------- processes, memory, interruptions

@pytest.fixture(scope="module")
def hours(tmp_path_factory):
    """Six files of 16,000 lines."""
    directory = tmp_path_factory.mktemp("hours")
    for hour in range(6):
        hour_file(directory, hour, [f"{site} {site[:2]}_title_number_{n * (hour + 3) % 20021} {n % 9 + 1} 0"
                                    for site in ("de", "en", "en.m", "fr") for n in range(4_000)])
    return directory


@pytest.fixture(scope="module")
def expected(hours, tmp_path_factory):
    output = tmp_path_factory.mktemp("expected")
    titles.build(sorted(map(str, hours.glob("*.gz"))), str(output), CODES, {})
    return tables(output)


def test_the_same_bytes_in_any_number_of_processes(sh, hours, expected):
    sh.ok(f"mc2 build-metadata titles {hours}/*.gz -o sources -j 3 --memory 300M -q")
    assert tables(sh / "sources") == expected and len(expected) == 3
    assert not (sh / "sources/.titles.work").exists()


def test_the_same_bytes_when_little_fits_into_memory(tmp_path, hours, expected, monkeypatch):
    monkeypatch.setattr(titles.parts, "memory_per_worker", lambda memory, jobs: 500_000)
    read_blocks = pageviews.files.read_blocks
    monkeypatch.setattr(pageviews.files, "read_blocks", lambda path: read_blocks(path, 10_000))
    spilled = []
    spill_titles = titles._Views._spill
    monkeypatch.setattr(titles._Views, "_spill", lambda self: (spilled.append(self), spill_titles(self)))
    titles.build(sorted(map(str, hours.glob("*.gz")), reverse=True), str(tmp_path), CODES, {})
    assert tables(tmp_path) == expected and len(spilled) > 20


KILLED = """
import os, signal, sys
from mc2 import cli, files

def end_at_the_third_part(path, data, is_own=False, write=files.write_bytes):
    if os.path.basename(os.path.dirname(path)) == {stage!r}:
        left.pop()
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, data, is_own)

left = [1, 2, 3]
files.write_bytes = end_at_the_third_part
cli.run(sys.argv[1:])
"""


@pytest.mark.parametrize("stage, finished", [("count", 2), ("sort", 6)])
def test_a_killed_run_goes_on_where_it_stopped(sh, hours, expected, stage, finished):
    command = [sys.executable, "-c", KILLED.format(stage=stage), "build-metadata", "titles",
               *sorted(map(str, hours.glob("*.gz"))), "-o", str(sh / "sources"), "-q"]
    assert subprocess.run(command, env=sh.environment, cwd=ROOT).returncode == -signal.SIGKILL
    done = sh(f"mc2 build-metadata titles {hours}/*.gz -o sources -j 2 --memory 400M")
    assert done.status == 0 and f"{finished} of 6 parts done before" in done.stderr
    assert tables(sh / "sources") == expected


def test_a_full_disk_ends_the_run_with_its_name_and_nothing_half_made(sh, hours, expected):
    command = ["mc2", "build-metadata", "titles", *map(str, hours.glob("*.gz")), "-o", "sources", "-q"]
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
    done = subprocess.run(command, env=sh.environment, cwd=sh.directory, preexec_fn=limit, capture_output=True)
    assert done.returncode == 1 and b"File too large" in done.stderr and b".titles.work" in done.stderr
    assert not tables(sh / "sources")
    sh.ok(f"mc2 build-metadata titles {hours}/*.gz -o sources -q")
    assert tables(sh / "sources") == expected


def test_too_little_memory_is_refused(sh, hours):
    done = sh(f"mc2 build-metadata titles {hours}/*.gz -o sources -j 4 --memory 200M")
    assert done.status == 2 and "--memory 200M is too little for 4 processes" in done.stderr
    assert sh(f"mc2 build-metadata titles {hours}/*.gz -o sources --memory lots").status == 2


# ---------------------------------------------------------------- damage

@pytest.fixture
def damaged(sh):
    """Three hours; the second is cut off, though what there is of it can be read."""
    for hour in range(3):
        hour_file(sh.directory, hour, [f"en Title_{n} {hour + 1} 0" for n in range(30_000)])
    path = sh / HOUR.format(1)
    path.write_bytes(path.read_bytes()[:-500])
    return sh


def test_a_cut_off_file_ends_the_run_and_finished_parts_are_kept(damaged):
    done = damaged("mc2 build-metadata titles pageviews-*.gz -o sources")
    assert done.status == 3
    assert done.stderr == ("mc2 build-metadata titles: pageviews-20260101-010000.gz: the compressed data is cut off. "
                           "Make or fetch the file again. Or leave such files out with --on-error skip.\n")
    hour_file(damaged.directory, 1, ["en Title_0 1 0"])
    done = damaged("mc2 build-metadata titles pageviews-*.gz -o sources")
    assert done.status == 0 and "1 of 3 parts done before" in done.stderr
    assert tsv(damaged, "sources/en.title.tsv")[:2] == [["Title 0", "5"], ["Title 1", "4"]]


def test_damaged_files_can_be_left_out_and_are_named(damaged):
    done = damaged("mc2 build-metadata titles pageviews-*.gz -o sources --on-error skip")
    assert done.status == 0
    assert done.stderr.startswith("skipped, damaged: pageviews-20260101-010000.gz\n"
                                  "no file of these hours: 20260101-01 20260101-03 ")
    assert "titles: 2 files (2 hours of 1 days), 60,000 lines in" in done.stderr
    assert {views for _, views in tsv(damaged, "sources/en.title.tsv")} == {"4"}        # nothing of what was cut off
    manifest = manifests.read(str(damaged / "sources/en.title.tsv"))
    assert [path["name"] for path in manifest["inputs"]] == [HOUR.format(0), HOUR.format(2)]
    assert list(manifest["damaged"]) == [HOUR.format(1)] and manifest["dates"]["20260101"]["hours"] == 2


def test_what_was_skipped_once_is_not_skipped_unasked(damaged, monkeypatch):
    paths = sorted(map(str, damaged.directory.glob("*.gz")))

    def stop(codes):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        titles.build(paths, str(damaged / "sources"), CODES, {}, skip_damaged=True, before_writing=stop)
    with pytest.raises(BadData, match="010000.gz: the compressed data is cut off"):
        titles.build(paths, str(damaged / "sources"), CODES, {})


def test_files_that_hold_no_pageviews_are_damaged_and_empty_ones_are_named(sh):
    (sh / HOUR.format(1)).write_bytes(gzip.compress(b"<html>404</html>\n"))
    hour_file(sh.directory, 2, [])
    done = sh("mc2 build-metadata titles pageviews-*.gz -o sources")
    assert done.status == 3 and "010000.gz: no pageviews: no line is of the form" in done.stderr
    hour_file(sh.directory, 1, ["en A 1 0"])
    done = sh("mc2 build-metadata titles pageviews-*.gz -o sources")
    assert done.status == 0 and "without a line: pageviews-20260101-020000.gz\n" in done.stderr
    (sh / HOUR.format(3)).write_bytes(b"no gzip")
    done = sh(f"mc2 build-metadata titles {HOUR.format(3)} -o none --on-error skip")
    assert done.status == 3 and "every file is damaged" in done.stderr


# ---------------------------------------------------------------- dates

def test_the_hours_that_files_cover_are_known_by_their_names():
    names = ["a/pageviews-20251231-230000.gz", "b/pageviews-20260102-050000.gz", "pageviews-20260102-040000",
             "views.gz", "pageviews-20261301-000000.gz"]
    assert list(map(pageviews.hour_of, names)) == [("20251231", "23"), ("20260102", "05"), ("20260102", "04"), None,
                                                   None]
    covered = pageviews.coverage(names)
    assert covered["hours"] == 3 and covered["undated"] == ["views.gz", "pageviews-20261301-000000.gz"]
    hours = {date: row["hours"] for date, row in covered["dates"].items()}
    assert hours == {"20251231": 1, "20260101": 0, "20260102": 2}
    assert covered["dates"]["20260102"]["missing"] == [f"{hour:02}" for hour in range(24) if hour not in (4, 5)]
    assert pageviews.coverage(["views.gz"])["dates"] == {}


def test_an_hour_is_never_counted_twice(sh):
    hour_file(sh.directory, 0, ["en A 1 0"])
    sh.ok("mkdir copy; gunzip -c pageviews-20260101-000000.gz > copy/pageviews-20260101-000000")
    done = sh("mc2 build-metadata titles pageviews-20260101-000000.gz copy/* -o sources")
    assert done.status == 2
    assert "pageviews-20260101-000000.gz and copy/pageviews-20260101-000000 are of the same hour" in done.stderr
    sh.ok("cp pageviews-*.gz one.gz; ln -s one.gz two.gz; cp one.gz three.gz")
    assert sh("mc2 build-metadata titles one.gz two.gz -o sources").status == 2
    sh.ok("mc2 build-metadata titles one.gz three.gz -o sources -q")
    assert tsv(sh, "sources/en.title.tsv") == [["A", "2"]]


def test_pipes_are_refused(sh):
    hour_file(sh.directory, 0, ["en A 1 0"])
    done = sh("mc2 build-metadata titles <(zcat pageviews-*.gz) -o sources")
    assert done.status == 2 and "is no file" in done.stderr


# ---------------------------------------------------------------- addresses

def test_addresses_of_dumps_and_pageviews(sh):
    assert urls.dump("be_tarask") == \
        "https://dumps.wikimedia.org/be_x_oldwiki/latest/be_x_oldwiki-latest-pages-articles-multistream.xml.bz2"
    lines = sh.ok("mc2 build-metadata urls --wiki fr --date 20250302 --days 2").splitlines()
    assert lines[0] == "https://dumps.wikimedia.org/frwiki/20250302/frwiki-20250302-pages-articles-multistream.xml.bz2"
    assert lines[1] == "https://dumps.wikimedia.org/other/pageviews/2025/2025-03/pageviews-20250301-000000.gz"
    assert lines[-1] == "https://dumps.wikimedia.org/other/pageviews/2025/2025-03/pageviews-20250302-230000.gz"
    assert len(lines) == 1 + 48
    dumps = sh.ok("mc2 build-metadata urls --wiki all --days 0").splitlines()
    pattern = r"https://dumps.wikimedia.org/(\w+)/latest/\1-latest-pages-articles-multistream.xml.bz2"
    databases = [re.fullmatch(pattern, line)[1] for line in dumps]
    assert len(set(databases)) == 330
    assert {"zh_min_nanwiki", "be_x_oldwiki", "roa_rupwiki", "nowiki", "alswiki", "cbk_zamwiki"} < set(databases)
    assert "be_taraskwiki" not in databases


def days_in(sh, command):
    """The days whose hourly files a command prints, each once."""
    return list(dict.fromkeys(re.findall(r"pageviews-([0-9]{8})-", sh.ok(command))))


def test_dates_are_drawn_at_random_as_in_the_paper(sh):
    lines = sh.ok("mc2 build-metadata urls --wiki en --dates 40 --seed 0").splitlines()
    assert len(lines) == 1 + 40 * 24 and "enwiki" in lines[0]
    days = days_in(sh, "mc2 build-metadata urls --wiki en --dates 40 --seed 0 --from 2018-01 --to 2024-05")
    assert days == sorted(days) and len(days) == 40
    assert days == days_in(sh, "mc2 build-metadata urls --wiki en --dates 40")
    assert days[:3] == ["20180107", "20180123", "20180209"] and "20180101" <= days[0] and days[-1] <= "20240531"
    assert set(days_in(sh, "mc2 build-metadata urls --wiki fr --dates 10")) < set(days)
    assert days_in(sh, "mc2 build-metadata urls --wiki en --dates 40 --seed 1") != days
    all_of_february = days_in(sh, "mc2 build-metadata urls --wiki en --dates 29 --from 2024-02 --to 2024-02")
    assert all_of_february == [f"202402{day:02}" for day in range(1, 30)]


@pytest.mark.parametrize("options, message", [
    ("--dates 30 --from 2024-02 --to 2024-02", "30 dates: there are 29 days from 2024-02 to 2024-02."),
    ("--dates 3 --from 2024-03 --to 2024-02", "--from 2024-03 is after --to 2024-02."),
    ("--dates 3 --from 2024-13", "2024-13: not of the form YYYY-MM."),
    ("--dates 3 --to 2024-2", "2024-2: not of the form YYYY-MM."), ("--dates 3 --days 3", "give one of them"),
    ("--seed 1", "--seed is of --dates"), ("--from 2020-01", "--from is of --dates")])
def test_dates_that_cannot_be_drawn_are_refused(sh, options, message):
    done = sh(f"mc2 build-metadata urls --wiki fr {options}")
    assert done.status == 2 and message in done.stderr and not done.stdout


def test_days_between_random_dates_are_not_missing():
    hours = [f"pageviews-{day}-{hour:02}0000.gz" for day in ("20180103", "20211130", "20240501") for hour in range(24)]
    covered = pageviews.coverage(hours[1:])
    assert {day: row["missing"] for day, row in covered["dates"].items()} == {
        "20180103": ["00"], "20211130": [], "20240501": []}


@pytest.mark.parametrize("date", ["yesterday", "202561", "20250230"])
def test_a_date_has_eight_digits(sh, date):
    assert sh(f"mc2 build-metadata urls --wiki fr --date {date}").status == 2


def test_what_is_missing_from_a_mirror_is_printed(sh):
    command = "mc2 build-metadata urls --wiki fr --date 20250302 --days 1"
    sh.ok(f"mkdir -p mirror/sub; {command} | xargs -n 1 basename | sed 's,^,mirror/,' | tee names | xargs touch")
    assert "25 of 25 files are missing from mirror" in sh(f"{command} --missing-from mirror").stderr    # all are empty
    sh.ok("for name in $(cat names); do echo x > $name; done; mv mirror/*-070000.gz mirror/sub; rm mirror/*-230000.gz; "
          "touch mirror/frwiki-20250302-pages-articles-multistream.xml.bz2.aria2")
    done = sh(f"{command} --missing-from mirror")
    assert [line.rpartition("/")[2] for line in done.stdout.splitlines()] == \
        ["frwiki-20250302-pages-articles-multistream.xml.bz2", "pageviews-20250302-230000.gz"]
    assert done.status == 0 and done.stderr == "urls: 2 of 25 files are missing from mirror\n"


def test_titles_knows_the_hours_of_the_files_that_urls_names(sh):
    addresses = sh.ok("mc2 build-metadata urls --wiki fr --date 20250101").splitlines()[1:]
    covered = pageviews.coverage([address.rpartition("/")[2] for address in addresses])
    assert covered["hours"] == 960 and not covered["undated"]
    assert not any(row["missing"] for row in covered["dates"].values())
    assert list(covered["dates"])[::39] == ["20241123", "20250101"]
