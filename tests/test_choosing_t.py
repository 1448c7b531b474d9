"""mc2 thresholds --pairs and --sweep: the t of English that keeps as many pairs as are wanted."""
import importlib.util
import random
import re

import numpy as np
import orjson
import pytest
from conftest import Shell, filled, pair
from hypothesis import given
from hypothesis import strategies as st

from mc2.balancing import choosing, counting, thresholds
from mc2.balancing.algorithm import cumulative_shares, p_to_t
from mc2.options import Number

ENTRIES = {"en": 60, "fr": 30}


@pytest.fixture(scope="module")
def counted_template(tmp_path_factory):
    sh = Shell(tmp_path_factory.mktemp("counted"))
    for lang, n in ENTRIES.items():
        sh.write(f"{lang}.json", [f"{lang}{i}" for i in range(n)])
        sh.ok(f"mc2 build-metadata import {lang}.json --lang {lang} -o sources -q")
    sh.ok("mc2 build-metadata merge sources -o words --only-with-sources -q")
    chance = random.Random(4)

    def ids(lang):
        return sorted({int(ENTRIES[lang] ** chance.random()) - 1 for _ in range(chance.randrange(4))})

    pairs = [pair(i, f"text {i}", lang := chance.choice(["en", "en", "fr"]), ids(lang)) for i in range(3000)]
    sh.write("m.jsonl", *pairs)
    sh.write("part.jsonl", *pairs[::10])
    sh.write("french.jsonl", *[each for each in pairs[:100] if each["lang"] == "fr"])
    sh.write("french-and-one.jsonl", pair(1, "x", "en", [1]), *[pair(i, "y", "fr", [2]) for i in range(2, 100)],
             *[pair(i, "y", "fr", [4]) for i in range(100, 130)])
    for name in "m", "part", "french", "french-and-one":
        sh.ok(f"mc2 count {name}.jsonl -m words -o {'counts' if name == 'm' else name} -q")
    return sh.directory


@pytest.fixture
def counted(sh, counted_template):
    """m.jsonl, 3,000 matched pairs in two languages, and its `counts`; those of a tenth of it in `part`."""
    return filled(sh, counted_template)


def expected(counts, t_en):
    content = thresholds.derive(counts, "", t_en=t_en)
    return sum(row["expected_pairs"] for row in content["languages"].values())


# ---------------------------------------------------------------- --pairs

@pytest.mark.parametrize("pairs", [700, 1000, 1500, 2000])
def test_the_t_that_is_found_comes_closest_of_all(counted, pairs):
    counts, _ = counting.load(counted / "counts")
    found = orjson.loads(counted.ok(f"mc2 thresholds counts --pairs {pairs} --json -q"))
    of_all = {t: expected(counts, t) for t in range(1, 600)}
    assert abs(of_all[found["t_en"]] - pairs) == min(abs(number - pairs) for number in of_all.values())
    assert found["expected_pairs"] == pytest.approx(of_all[found["t_en"]])
    assert found["matched_pairs"] == sum(row["matched_pairs"] for row in found["languages"].values())


def test_its_thresholds_are_those_of_that_t(counted):
    done = counted("mc2 thresholds counts --pairs 1k -o a.json")
    t_en, = re.findall(r"^--pairs 1,000: t_en = (\d+) keeps [\d,]+ of [\d,]+ matched pairs$", done.stderr, re.MULTILINE)
    counted.ok(f"mc2 thresholds counts --t-en {t_en} -o b.json -q")
    assert (counted / "a.json").read_bytes() == (counted / "b.json").read_bytes()


def test_what_is_expected_is_what_sample_expects(counted):
    """All matched pairs are in the sample of these counts, so there is no error."""
    counted.ok("mc2 thresholds counts --pairs 1000 -o t.json -q")
    content = orjson.loads((counted / "t.json").read_bytes())
    total = sum(row["expected_pairs"] for row in content["languages"].values())
    assert f"{total:,.2f} expected" in counted("mc2 sample m.jsonl -c counts -t t.json -n").stderr


def test_an_error_gives_a_range_of_t(counted, monkeypatch):
    monkeypatch.setattr(counting, "SAMPLE_SIZE", 100)
    counts, _ = counting.load(counted / "counts")
    for lang, sample in counts.samples.items():
        counts.samples[lang] = counting.sample_of(sample.hashes, sample.offsets, sample.ids)
    curve = choosing.Curve(counts)
    for pairs in 1000, 1600, 1800:
        point = curve.find(pairs)
        first, last = curve.range_of(point)
        inside = [t for t in range(1, 300) if abs(curve.at(t).pairs - point.pairs) <= point.error]
        assert (first, last) == (inside[0], inside[-1]) and point.error > 10
        assert f"({first} to {last} within its error)" in choosing.said(curve, point)
    assert first < point.t_en < last


def test_counts_of_a_part_speak_for_the_pool(counted):
    """A tenth of the pairs has a tenth of the counts: t of the pool is ten times that of the part."""
    whole, part = (orjson.loads(counted.ok(f"mc2 thresholds {counts} --pairs 1200 {more} --json -q"))
                   for counts, more in (("counts", ""), ("part", "--pool 3000")))
    assert 0.6 < part["t_en"] / whole["t_en"] < 1.6
    assert part["matched_pairs"] == pytest.approx(whole["matched_pairs"], rel=0.1)


def test_coarse_counts_are_told(counted):
    """There is no t at which the number that is kept is near this one."""
    assert "no t comes closer" in counted("mc2 thresholds french-and-one --pairs 90 -n").stderr
    done = counted("mc2 thresholds counts --pairs 1 -o t.json")
    assert "even t = 1 of English keeps" in done.stderr and orjson.loads((counted / "t.json").read_bytes())["t_en"] == 1


def test_every_pair_can_be_kept(counted):
    matched = sum(counting.load(counted / "counts")[0].matched.values())
    found = orjson.loads(counted.ok(f"mc2 thresholds counts --pairs {matched} --json -q"))
    assert found["expected_pairs"] == matched and all(row["kept"] == 1 for row in found["languages"].values())


@pytest.mark.parametrize("options, status, message", [
    ("--pairs 1M", 3, "and no t keeps more than all of them"),
    ("--pairs 100 --t-en 3", 2, "give one of --t-en, --p, --t-all, --pairs and --sweep"),
    ("--sweep 5", 2, "is not FROM:TO"),
    ("--sweep 9:5", 2, "begins with the larger one"),
    ("--sweep 1:9 -o t.json", 2, "no thresholds are written"),
    ("--pairs 1000 --pool 1B -o t.json", 2, "no thresholds are written"),
    ("--pairs 1000 --pool 10", 3, "is smaller than the 3,000 pairs"),
    ("--t-en 5 --json", 2, "--json goes with --pairs or --sweep"),
    ("--pairs x", 2, "--pairs"),
])
def test_what_cannot_be_found_is_refused(counted, options, status, message):
    counted.fails(f"mc2 thresholds counts {options} -q", status, message)


def test_without_english_there_is_no_t_of_english(counted):
    counted.fails("mc2 thresholds french --pairs 10 -q", 3, "no English pair matched anything", "--t-all")


# ---------------------------------------------------------------- --sweep

def test_a_sweep_shows_what_each_t_keeps(counted):
    lines = counted.ok("mc2 thresholds counts --sweep 5:100:4 -q").splitlines()
    assert lines[0].split("  ")[0].strip() == "t_en" and len(lines) == 5
    points = orjson.loads(counted.ok("mc2 thresholds counts --sweep 5:100:4 --json -q"))
    assert [point["t_en"] for point in points] == [5, 14, 37, 100]
    counts, _ = counting.load(counted / "counts")
    for point, line in zip(points, lines[1:]):
        assert point["expected_pairs"] == pytest.approx(expected(counts, point["t_en"]))
        content = thresholds.derive(counts, "", t_en=point["t_en"])
        assert content["p"] == point["p"] and f"{point['p']:.4f}" in line
        assert {lang: row["t"] for lang, row in point["languages"].items()} == \
            {lang: content["languages"][lang]["t"] for lang in point["languages"]}
        shares = [(row["tail_share"] * row["matches"], row["matches"]) for row in content["languages"].values()]
        assert point["tail_share"] == pytest.approx(sum(tail for tail, _ in shares) / sum(n for _, n in shares))
        loser, _ = min(point["languages"].items(), key=lambda item: item[1]["kept"])
        assert re.search(rf"  {loser} \d+%, ", line)


def test_more_is_kept_at_every_larger_t(counted):
    points = orjson.loads(counted.ok("mc2 thresholds counts --sweep 1:1k:40 --json -q"))
    kept = [point["expected_pairs"] for point in points]
    assert kept == sorted(kept) and len(kept) > 20


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")
def test_a_figure_is_drawn(counted):
    counted.ok("mc2 thresholds counts --sweep 1:1k --plot sweep.png -q")
    assert (counted / "sweep.png").read_bytes().startswith(b"\x89PNG")
    counted.fails("mc2 thresholds counts --sweep 1:1k --plot sweep.txt -q", 2, "cannot be drawn")


# ---------------------------------------------------------------- parts

@given(st.lists(st.integers(0, 12), max_size=30), st.floats(0, 1))
def test_thinned_shares_give_the_same_t(counts, p):
    counts = np.array(counts, np.uint64)
    assert p_to_t(p, counts) == p_to_t(p, counts, choosing.thinned(*cumulative_shares(counts)))


@pytest.mark.parametrize("text, number", [("400M", 400_000_000), ("2.5B", 2_500_000_000), ("20k", 20_000),
                                          ("170,000", 170_000), ("7", 7), ("1.5k", 1500)])
def test_numbers_may_have_suffixes(text, number):
    assert Number().convert(text, None, None) == number


@pytest.mark.parametrize("text", ["0", "-5", "1.5", "k", "3G", "9999999999B"])
def test_other_numbers_are_refused(text):
    with pytest.raises(Exception, match="not a valid|not in the range"):
        Number().convert(text, None, None)
