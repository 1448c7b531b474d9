"""mc2 count, thresholds and sample, against plain implementations of what they compute."""
import hashlib
import itertools
import json
import math
import random

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Shell, filled, pair
from mc2 import manifests
from mc2.balancing import counting, sampling
from mc2.metadata.release import Release
from mc2.pairs import jsonl

# ---------------------------------------------------------------- count


def test_an_entry_counts_once_per_text(toy):
    toy.write("in.jsonl", pair(1, "x", "en", [0, 1]), pair(2, "x", "en", [1]), pair(3, "x", "en", []),
              pair(4, "x", "fr", [2]))
    assert toy("mc2 count in.jsonl -m toy -o counts").stderr.startswith(
        "count: 4 pairs in, 3 matched, 1 without a match -> counts")
    assert np.load(toy / "counts/en.npy").tolist() == [1, 2, 0, 0, 0, 0]
    assert np.load(toy / "counts/en.npy").dtype == np.uint64
    languages = orjson.loads((toy / "counts/manifest.json").read_bytes())["languages"]
    assert languages["en"] == {"pairs": 3, "matched_pairs": 2, "entries": 6}
    assert languages["fr"] == {"pairs": 1, "matched_pairs": 1, "entries": 3}


def test_there_is_an_array_for_every_language_of_the_release(toy):
    toy.ok("mc2 count /dev/null -m toy -o counts")
    arrays = {path.stem: len(np.load(path)) for path in (toy / "counts").glob("*.npy")}
    assert arrays == Release(toy / "toy").n_entries
    assert len(arrays) == 176


def many_pairs(n, seed=0):
    """n pairs of two languages with skewed ids, adjacent lines sharing images, some of them twice."""
    chance = random.Random(seed)
    pairs = []
    while len(pairs) < n:
        lang, size = chance.choice([("en", 6), ("fr", 3)])
        ids = sorted({min(int(chance.expovariate(1)), size - 1) for _ in range(chance.randrange(4))})
        new = pair(len(pairs) // 3, f"text {chance.randrange(n)}", lang, ids)
        pairs += [new] * chance.choice([1, 1, 1, 2])
    return pairs[:n]


def test_counts_of_parts_add_up_to_the_counts_of_the_whole(toy):
    pairs = many_pairs(300)
    toy.write("all.jsonl", *pairs)
    toy.write("a.jsonl", *pairs[200:])
    toy.write("b.jsonl", *pairs[:90])
    toy.write("c.jsonl", *pairs[90:200])
    toy.ok("mc2 count all.jsonl -m toy -o whole -q && mc2 count a.jsonl -m toy -o a -q && mc2 count b.jsonl -m toy -o b -q")
    toy.ok("mc2 count a b c.jsonl -m toy -o merged -q && mc2 count all.jsonl -m toy -j 2 -o parallel -q")
    whole, fingerprint = counting.load(str(toy / "whole"))
    for other in ("merged", "parallel"):
        counts, its_fingerprint = counting.load(str(toy / other))
        assert its_fingerprint == fingerprint
        assert (counts.pairs, counts.matched) == (whole.pairs, whole.matched)
        assert (toy / other / "sample.jsonl").read_bytes() == (toy / "whole/sample.jsonl").read_bytes()


def test_the_sample_holds_the_matched_texts_with_the_smallest_hashes(toy, monkeypatch):
    monkeypatch.setattr(counting, "SAMPLE_SIZE", 7)
    pairs = many_pairs(200)
    counts = counting.Counts({"en": 6, "fr": 3}, "release")
    for part in (pairs[:120], pairs[120:]):
        one = counting.Counts({"en": 6, "fr": 3}, "release")
        for record in part:
            ids = np.array(record["matched_entry_ids"], np.uint32)
            sample = sample_of_one(record) if len(ids) else counting.EMPTY
            one.add(record["lang"], counting.Partial(1, len(sample), ids, np.ones(len(ids), np.uint64), sample))
        counts.merge(one, "part")
    expected = sorted((hash_of("sample", record), record["matched_entry_ids"]) for record in pairs
                      if record["lang"] == "en" and record["matched_entry_ids"])[:7]
    assert counts.samples["en"].lists() == expected


def sample_of_one(record):
    ids = np.array(record["matched_entry_ids"], np.uint32)
    return counting.sample_of(np.array([hash_of("sample", record)], np.uint64), np.array([0, len(ids)]), ids)


def hash_of(purpose, record, *seed):
    fields = [field.encode() for field in (purpose, *seed, record["id"], record["text"])]
    message = b"".join(len(field).to_bytes(8, "little") + field for field in fields)
    return int.from_bytes(hashlib.blake2b(message, digest_size=8).digest(), "big")


def test_adjacent_duplicates_are_reported(toy):
    toy.write("in.jsonl", pair(1, "x", "en", [0]), pair(1, "x", "en", [0]), pair(2, "x", "en", [0]), pair(1, "x", "en", [0]))
    assert "1 the same as the line before" in toy("mc2 count in.jsonl -m toy -o counts").stderr


def test_an_id_outside_the_metadata_stops(toy):
    toy.write("in.jsonl", pair(1, "x", "en", [5]), pair(2, "x", "en", [0, 6]))
    done = toy("mc2 count in.jsonl -m toy -o counts")
    assert (done.status, done.stderr) == (3, "mc2 count: in.jsonl:2: entry 6 of 'en' is outside toy (6 entries). "
                                             "Was it matched with another release?\n")
    assert not (toy / "counts").exists()


# ---------------------------------------------------------------- thresholds and sample

@pytest.fixture(scope="module")
def counted_template(toy_template, tmp_path_factory):
    sh = filled(Shell(tmp_path_factory.mktemp("counted")), toy_template)
    sh.write("matched.jsonl", *many_pairs(3000))
    sh.ok("mc2 count matched.jsonl -m toy -o counts -q")
    return sh.directory


@pytest.fixture
def counted(sh, counted_template):
    """toy with 3,000 matched pairs, counted."""
    filled(sh, counted_template).pairs = many_pairs(3000)
    return sh


def plain_thresholds(pairs, t_en):
    """Stage 1 and 2 as the paper's pseudo-code has them, on two languages."""
    entry_counts = {"en": [0] * 6, "fr": [0] * 3}
    for record in pairs:
        for i in record["matched_entry_ids"]:
            entry_counts[record["lang"]][i] += 1
    english = entry_counts["en"]
    p = sum(count for count in english if count < t_en) / sum(english)
    french = sorted(entry_counts["fr"])
    shares = [sum(french[:n + 1]) / sum(french) for n in range(len(french))]
    closest = min(range(len(french)), key=lambda n: (abs(shares[n] - p), n))
    return entry_counts, p, {"en": t_en, "fr": french[closest]}


def plain_q(record, entry_counts, t):
    missed = 1.0
    for i in record["matched_entry_ids"]:
        missed *= 1.0 - t[record["lang"]] / max(entry_counts[record["lang"]][i], t[record["lang"]])
    return 1.0 - missed


@pytest.mark.parametrize("seed", [0, 7, -1, 2**70])
def test_thresholds_and_every_single_draw_agree_with_the_pseudo_code(counted, seed):
    entry_counts, p, t = plain_thresholds(counted.pairs, 40)
    kept = [record for record in counted.pairs
            if (hash_of("draw", record, str(seed)) >> 11) * 2.0**-53 < plain_q(record, entry_counts, t)]
    counted.ok("mc2 thresholds counts --t-en 40 -o thresholds.json -q")
    counted.ok(f"mc2 sample matched.jsonl -c counts -t thresholds.json --seed={seed} -o curated.jsonl -q")
    thresholds = json.loads((counted / "thresholds.json").read_text())
    assert (thresholds["t_en"], thresholds["p"]) == (40, p)
    assert {lang: thresholds["languages"][lang]["t"] for lang in t} == t
    assert 0 < len(kept) < sum(bool(record["matched_entry_ids"]) for record in counted.pairs)
    assert counted.read("curated.jsonl") == kept


def test_expected_pairs_are_the_sum_of_the_probabilities(counted):
    entry_counts, _, t = plain_thresholds(counted.pairs, 40)
    counted.ok("mc2 thresholds counts --t-en 40 -o thresholds.json -q")
    languages = json.loads((counted / "thresholds.json").read_text())["languages"]
    table = counted.ok("mc2 sample matched.jsonl -c counts -t thresholds.json -n")
    for lang in ("en", "fr"):
        expected = math.fsum(plain_q(record, entry_counts, t) for record in counted.pairs if record["lang"] == lang)
        assert languages[lang]["expected_pairs"] == pytest.approx(expected, rel=1e-12)
        assert languages[lang]["expected_pairs_error"] == 0            # the sample holds them all
        assert f"{expected:,.2f}" in table
    assert languages["en"]["pairs"] == sum(record["lang"] == "en" for record in counted.pairs)
    assert languages["en"]["matches"] == sum(entry_counts["en"])


def test_what_is_kept_is_within_five_standard_errors_of_what_was_expected(counted):
    """Over 40 seeds; duplicates are kept or dropped together, so the test takes distinct pairs."""
    entry_counts, _, t = plain_thresholds(counted.pairs, 40)
    distinct = list({(record["id"], record["text"]): record for record in counted.pairs}.values())
    chances = [plain_q(record, entry_counts, t) for record in distinct]
    kept = [sum((hash_of("draw", record, str(seed)) >> 11) * 2.0**-53 < q for record, q in zip(distinct, chances))
            for seed in range(40)]
    error = math.sqrt(sum(q * (1 - q) for q in chances) / 40)
    assert abs(sum(kept) / 40 - sum(chances)) < 5 * error


def test_a_sample_smaller_than_the_pool_estimates_with_an_error(monkeypatch):
    from mc2.balancing import thresholds
    monkeypatch.setattr(counting, "SAMPLE_SIZE", 1000)
    counts = counting.Counts({"en": 2}, "release")
    chance = random.Random(1)
    texts = [chance.choice([(0,), (1,)]) for _ in range(5000)]
    for n, ids in enumerate(texts):
        counts.add("en", counting.Partial(1, 1, np.array(ids), np.ones(1, np.uint64),
                                          sample_of_one(pair(n, "x", ids=ids))))
    counts.entry_counts["en"][:] = [100, 4900]
    expected, error = thresholds.expected_pairs(counts, "en", 100)
    sampled = [ids for _, ids in counts.samples["en"].lists()]
    share = sum(ids == [0] for ids in sampled) / 1000
    q = np.array([1.0 if ids == [0] else 100 / 4900 for ids in sampled])
    assert expected == pytest.approx(5000 * (share + (1 - share) * 100 / 4900))
    assert error == pytest.approx(5000 * q.std(ddof=1) / math.sqrt(1000))


def test_a_smaller_t_keeps_a_subset(counted):
    kept = {}
    for t in (10, 40, 160):
        counted.ok(f"mc2 thresholds counts --t-all {t} -o t.json -q; mc2 sample matched.jsonl -c counts -t t.json -q -o {t}.jsonl")
        kept[t] = {json.dumps(record) for record in counted.read(f"{t}.jsonl")}
    assert kept[10] < kept[40] < kept[160]


def test_p_gives_t_en_and_t_all_gives_neither(counted):
    entry_counts, _, _ = plain_thresholds(counted.pairs, 40)
    by_p = json.loads(counted.ok("mc2 thresholds counts --p 0.2 -q"))
    assert by_p["p"] == 0.2 and by_p["t_en"] == by_p["languages"]["en"]["t"] in entry_counts["en"]
    one_t = json.loads(counted.ok("mc2 thresholds counts --t-all 9 --min-t 12 -q"))
    assert (one_t["p"], one_t["t_en"]) == (None, None)
    assert {row["t"] for row in one_t["languages"].values()} == {12}


def test_a_language_without_matches_has_t_0(counted):
    assert json.loads(counted.ok("mc2 thresholds counts --t-en 40 -q"))["languages"]["de"] == {
        "t": 0, "tail_share": 1.0, "entries": 100, "matched_entries": 0, "matches": 0, "pairs": 0,
        "expected_pairs": 0.0, "expected_pairs_error": 0.0}


def test_tables_name_the_languages_without_a_match_in_one_line(toy):
    toy.write("in.jsonl", pair(1, "x", "en", [0]), *[pair(n, "x", "de", []) for n in range(3)], pair(4, "x", "fr", []))
    toy.ok("mc2 count in.jsonl -m toy -o counts -q && mc2 thresholds counts --t-all 1 -o t.json -q")
    line = "no text matched in 2 other languages, 4 pairs: de 3, fr 1"
    for command in "thresholds counts --t-all 1 -n", "inspect t.json", "sample in.jsonl -c counts -t t.json -n":
        done = toy(f"mc2 {command}")
        assert line in (done.stdout + done.stderr).splitlines()


def test_thresholds_need_english_or_another_way(toy):
    toy.write("in.jsonl", pair(1, "x", "fr", [0]), pair(2, "x", "en", []))
    toy.ok("mc2 count in.jsonl -m toy -o counts -q")
    done = toy("mc2 thresholds counts --t-en 5")
    assert done.status == 3 and "--p" in done.stderr and "--t-all" in done.stderr
    assert json.loads(toy.ok("mc2 thresholds counts --p 0.06 -q"))["languages"]["fr"]["t"] == 1


def test_thresholds_warn_about_coarse_languages_and_extreme_shares(counted):
    assert "counts too coarse for a closer t: fr 0.000 at t = " in counted("mc2 thresholds counts --t-en 200 -n").stderr
    assert "t raised by --min-t: en" in counted("mc2 thresholds counts --t-en 40 --min-t 500 -n").stderr
    assert "p is 0, so every language is all head: English counts go from" in \
        counted("mc2 thresholds counts --t-en 1 -n").stderr
    assert "keeps under 10 % of the matched pairs: en " in counted("mc2 thresholds counts --t-all 1 -n").stderr


def test_exactly_one_way_to_the_thresholds(counted):
    for options in ("", "--t-en 5 --p 0.1", "--t-en 0", "--p 1.5"):
        assert counted(f"mc2 thresholds counts {options}").status == 2


def test_thresholds_of_other_counts_are_refused(counted):
    counted.ok("mc2 thresholds counts --t-en 40 -o t.json -q && head -50 matched.jsonl | mc2 count -m toy -o few -q")
    done = counted("mc2 sample matched.jsonl -c few -t t.json")
    mine, theirs = (manifests.read(str(counted / name))["fingerprint"][:12] for name in ("counts", "few"))
    assert done.status == 3 and mine in done.stderr and theirs in done.stderr


def test_entries_that_were_never_counted_are_kept_and_reported(counted):
    counted.ok("mc2 thresholds counts --t-en 40 -o t.json -q")
    counted.write("in.jsonl", pair(1, "x", "de", [99]))        # no German pair was counted
    done = counted("mc2 sample in.jsonl -c counts -t t.json")
    assert len(done.stdout.splitlines()) == 1 and "1 pairs match entries that were never counted" in done.stderr


def test_one_per_image_draws_for_the_matched_line_with_the_smallest_hash(counted):
    entry_counts, _, t = plain_thresholds(counted.pairs, 40)
    counted.ok("mc2 thresholds counts --t-en 40 -o t.json -q")
    kept, start = [], 0
    while start < len(counted.pairs):
        stop = start
        while stop < len(counted.pairs) and counted.pairs[stop]["id"] == counted.pairs[start]["id"]:
            stop += 1
        matched = [record for record in counted.pairs[start:stop] if record["matched_entry_ids"]]
        if matched:
            chosen = min(matched, key=lambda record: (hash_of("choice", record, "3"), orjson.dumps(record)))
            if (hash_of("draw", chosen, "3") >> 11) * 2.0**-53 < plain_q(chosen, entry_counts, t):
                kept.append(chosen)
        start = stop
    assert kept == [json.loads(line) for line in counted.ok(
        "mc2 sample matched.jsonl -c counts -t t.json --seed 3 --one-per-image -q").splitlines()]


def test_an_image_is_not_split_between_blocks(counted):
    """20,000 lines of one image: several read blocks, one candidate."""
    counted.ok("mc2 thresholds counts --t-all 1000000 -o t.json -q")
    counted.write("in.jsonl", *(pair(1, f"a long text about one image, number {n}", "en", [0]) for n in range(20_000)),
                  pair(2, "x", "en", [0]))
    for jobs in (1, 2):
        lines = counted.ok(f"mc2 sample in.jsonl -c counts -t t.json --one-per-image -q -j {jobs}").splitlines()
        assert [json.loads(line)["id"][-1] for line in lines] == ["1", "2"]
    assert "2 expected" in counted("mc2 sample in.jsonl -c counts -t t.json --one-per-image -n").stderr.replace(".00", "")


def test_equal_candidates_are_told_apart_by_their_bytes(counted):
    counted.ok("mc2 thresholds counts --t-all 1000000 -o t.json -q")
    counted.write("in.jsonl", pair(1, "x", "en", [0], n="b"), pair(1, "x", "en", [0], n="a"), pair(1, "x", "en", [0], n="c"))
    line, = counted.ok("mc2 sample in.jsonl -c counts -t t.json --one-per-image -q").splitlines()
    assert json.loads(line)["n"] == "a"


@given(st.lists(st.tuples(st.sampled_from("aab"), st.sampled_from("xy"), st.booleans(), st.integers(0, 2)), max_size=12))
def test_the_candidates_are_those_of_a_plain_search(lines):
    """Each image's adjacent lines that matched: the smallest hash, and of equal ones the smallest line."""
    lines = [{"id": image, "text": text, "n": n, "matched": matched} for image, text, matched, n in lines]
    batch = jsonl.Batch(jsonl.Block("pairs", 1, b"\n".join(map(orjson.dumps, lines))))
    expected = [False] * len(lines)
    for _, image in itertools.groupby(range(len(lines)), lambda index: lines[index]["id"]):
        matched = [index for index in image if lines[index]["matched"]]
        if matched:
            expected[min(matched, key=lambda index: (hash_of("choice", lines[index], "7"), batch.line(index)))] = True
    matched = np.array([line["matched"] for line in lines], bool)
    assert sampling._candidates(batch, matched, 7).tolist() == expected


def test_counts_are_not_added_to_themselves(counted):
    done = counted("mc2 count counts matched.jsonl -m toy -o counts")
    assert (done.status, done.stderr) == (2, "mc2 count: counts: is an input too. Name another output.\n")


def test_the_sample_does_not_replace_its_own_thresholds(counted):
    counted.ok("mc2 thresholds counts --t-en 40 -o t.json -q")
    assert counted("mc2 sample matched.jsonl -c counts -t t.json -o t.json").status == 2
    assert counted.ok("mc2 inspect t.json").startswith("thresholds")


def test_counts_named_twice_are_refused(counted):
    assert counted("mc2 count counts ./counts -m toy -o more").status == 2


def test_adjacent_duplicates_are_found_between_blocks_too(toy):
    long = pair(1, "x" * 700_000, "en", [])
    toy.write("in.jsonl", long, long, long, pair(2, "x", "en", []), pair(2, "x", "en", []))
    for jobs in (1, 2):
        assert "3 the same as the line before" in toy(f"mc2 count in.jsonl -m toy -o counts -j {jobs}").stderr
