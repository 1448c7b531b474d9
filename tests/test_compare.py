"""mc2 compare: what two curations share, and what moved; two releases."""
import random
from collections import Counter

import orjson
import pytest
from conftest import Shell, filled, pair

TEXTS = ["a red circle in the house", "the cat sat on a mat", "le chat noir est un chat", "nothing here to find at all",
         "un chat noir dans le jardin", "a cat and a red circle", "the circle of a house"]


@pytest.fixture(scope="module")
def curated_template(toy_template, tmp_path_factory):
    sh = filled(Shell(tmp_path_factory.mktemp("curated")), toy_template)
    chance = random.Random(2)
    for shard in range(2):
        sh.write(f"pool/s{shard}.jsonl", *[pair(shard * 1000 + chance.randrange(400), f"{chance.choice(TEXTS)} {i % 9}")
                                           for i in range(300)])
    sh.ok("cat pool/s0.jsonl pool/s1.jsonl > one.jsonl")
    for out, options in {"a": "--t-all 20", "b": "--t-all 60", "c": "--t-all 20 --seed 1"}.items():
        sh.ok(f"mc2 curate pool/s*.jsonl -m toy {options} -o {out} -j 1 -q")
    sh.ok("mc2 curate one.jsonl -m toy --t-all 60 -o d -j 1 -q")
    sh.write("new-en.json", '["circle", "house", "red", "green"]')
    sh.ok("mc2 build-metadata import new-en.json --lang en --replace -o sources -q")
    sh.ok("mc2 build-metadata merge sources -o new -q && mc2 curate pool/s*.jsonl -m new --t-all 20 -o e -j 1 -q")
    return sh.directory


@pytest.fixture
def curated(sh, curated_template):
    """Curations of one pool: `a`; `b` with a larger t, `c` with another seed; `d`, as b, of the pool in one shard; `e`
    with the release `new`, in which English has another list."""
    return filled(sh, curated_template)


def compared(sh, command):
    return orjson.loads(sh.ok(f"mc2 compare {command} --json -q"))


def kept(sh, out):
    """Counter of (lang, id, text)"""
    return Counter((its["lang"], its["id"], its["text"]) for path in sorted((sh / out / "curated").glob("*.jsonl"))
                   for its in sh.read(path))


@pytest.mark.parametrize("a, b", ["ab", "ac", "bd", "ae", "aa"])
def test_the_numbers_are_those_of_the_pairs(curated, a, b):
    found, in_a, in_b = compared(curated, f"{a} {b}"), kept(curated, a), kept(curated, b)
    both = in_a & in_b
    assert found["pairs"]["a"] == in_a.total() and found["pairs"]["b"] == in_b.total()
    assert found["pairs"]["both"] == both.total() > 0
    for lang, row in found["languages"].items():
        of_a, of_b, shared = (sum(times for (its, _, _), times in pairs.items() if its == lang)
                              for pairs in (in_a, in_b, both))
        assert (row["a"]["kept"], row["b"]["kept"], row["both"]) == (of_a, of_b, shared)
        assert (row["only_a"], row["only_b"]) == (of_a - shared, of_b - shared)


def test_a_smaller_t_keeps_a_part_of_what_a_larger_one_keeps(curated):
    found = compared(curated, "a b")
    assert found["pairs"]["only_a"] == 0 < found["pairs"]["only_b"]
    assert found["options"] == {"thresholds.t_all": [20, 60]}
    for row in found["languages"].values():         # all pairs of the pool are in the sample of its counts
        assert abs(row["a"]["kept"] - row["a"]["expected"]) <= 4 * row["a"]["expected_sd"] + 1e-9
        assert row["expected_both"] == pytest.approx(row["a"]["expected"])


def test_another_seed_shares_what_chance_lets_it(curated):
    found = compared(curated, "a c")["pairs"]
    assert abs(found["both"] - found["expected_both"]) < 4 * found["expected_both_sd"]
    assert found["only_a"] and found["only_b"]
    shown = curated.ok("mc2 compare a c")
    assert "options, A | B: seed 0 | 1" in shown and "; expected in both" in shown


def test_the_division_into_shards_does_not_matter(curated):
    found = compared(curated, "b d")
    assert found["pairs"]["only_a"] == found["pairs"]["only_b"] == 0 and found["entries"] == []
    assert found["pool"] == {"only_a": ["s0.jsonl", "s1.jsonl"], "only_b": ["one.jsonl"], "of_another_size": []}


def test_entries_are_counted_in_both(curated):
    found = compared(curated, "a b --entries 0")
    of = {(row["lang"], row["entry"]): row for row in found["entries"]}
    words = {out: Counter(word for (lang, _, text), times in kept(curated, out).items() if lang == "en"
                          for word in dict.fromkeys(text.split()) for _ in range(times)) for out in "ab"}
    row = of["en", "circle"]
    assert (row["kept_a"], row["kept_b"]) == (words["a"]["circle"], words["b"]["circle"])
    assert row["count_a"] == row["count_b"] >= row["kept_b"] and row["prob_a"] == 20 / row["count_a"]
    differences = [abs(row["kept_b"] - row["kept_a"]) for row in found["entries"]]
    assert differences == sorted(differences, reverse=True) and differences[-1] > 0


def test_entries_of_two_releases_go_by_their_words(curated):
    of = {row["entry"]: row for row in compared(curated, "a e --entries 0")["entries"] if row["lang"] == "en"}
    assert of["house"]["id_a"] is None and of["house"]["kept_a"] == 0 < of["house"]["kept_b"]
    assert of["cat"]["id_b"] is None and of["cat"]["kept_b"] == 0 < of["cat"]["kept_a"]
    assert (of["circle"]["id_a"], of["circle"]["id_b"]) == (2, 0)
    curated.ok("mv new moved")
    assert compared(curated, "a e")["entries"] is None
    assert compared(curated, "a e -m moved")["entries"] is not None
    assert "Name them with -m" in curated.ok("mc2 compare a e")


def test_files_of_mc2_sample_are_compared_too(curated):
    curated.ok("mc2 sample a/matched/*.jsonl -c a/counts -t a/thresholds.json --seed 1 -o s.jsonl -q")
    curated.ok("mc2 sample a/matched/*.jsonl -c a/counts -t a/thresholds.json --seed 1 -O s -q")
    for drawn in "s.jsonl", "s":
        found = compared(curated, f"c {drawn}")
        assert found["pairs"]["only_a"] == found["pairs"]["only_b"] == 0
        assert found["b"]["seed"] == "1" and found["languages"]["en"]["b"]["expected"] is not None


def test_counts_and_thresholds_are_found_from_another_directory(curated):
    curated.ok("mkdir x && mv toy a x && mc2 sample x/a/matched/*.jsonl -c x/a/counts -t x/a/thresholds.json -o x/s.jsonl -q")
    found = orjson.loads(curated.ok("cd x && mc2 compare s.jsonl s.jsonl --json -q"))
    assert found["languages"]["en"]["a"]["expected"] is not None


def test_entries_without_their_release_are_shown_by_number(curated):
    for out in "ab":
        curated.ok(f"mc2 sample {out}/matched/*.jsonl -c {out}/counts -t {out}/thresholds.json -o {out}.jsonl -q")
    curated.ok("mv toy moved")
    assert curated.ok("mc2 compare a.jsonl b.jsonl -q").endswith("\n(name the metadata with -m to see the entries)\n")
    assert "(entry " not in curated.ok("mc2 compare a.jsonl b.jsonl -m moved -q")


def test_pairs_of_another_language_are_told(curated):
    curated.write("x.jsonl", pair(1, "cat", "en", [3]), pair(2, "cat", "en", [3]))
    curated.write("y.jsonl", pair(1, "cat", "fr", [0]), pair(2, "cat", "en", [3]))
    assert compared(curated, "x.jsonl y.jsonl")["other_language"] == [{"a": "en", "b": "fr", "pairs": 1}]
    assert "of another language in B: en to fr 1" in curated.ok("mc2 compare x.jsonl y.jsonl")


def test_what_was_drawn_otherwise_than_expected_is_told(curated):
    curated.ok("mc2 sample a/matched/*.jsonl -c a/counts -t a/thresholds.json -o s.jsonl -q")
    lines = (curated / "s.jsonl").read_bytes().splitlines()[:20]
    (curated / "s.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    manifest = orjson.loads((curated / "s.jsonl.manifest.json").read_bytes())
    del manifest["output"], manifest["checksum"]
    (curated / "s.jsonl.manifest.json").write_bytes(orjson.dumps(manifest))
    assert "drawn in B otherwise than expected: en " in curated.ok("mc2 compare a s.jsonl")


# ---------------------------------------------------------------- releases, and what cannot be compared

def test_two_releases_are_compared_as_inspect_does(curated):
    assert curated.ok("mc2 compare toy new") == curated.ok("mc2 inspect toy --against new")
    found = compared(curated, "toy new")
    assert not found["is_same"] and set(found["languages"]) == {"en"}
    curated.ok("mc2 lid pool/s0.jsonl -o lid.jsonl -q")
    texts = "--texts lid.jsonl"
    assert curated.ok(f"mc2 compare toy new {texts}") == curated.ok(f"mc2 inspect toy --against new {texts}")
    assert compared(curated, f"toy new {texts}") == orjson.loads(
        curated.ok(f"mc2 inspect toy --against new {texts} --json"))


@pytest.mark.parametrize("command, status, message", [
    ("a toy", 2, "toy: is a metadata release, and a is none"),
    ("toy a", 2, "toy: is a metadata release, and a is none"),
    ("a sources", 2, "sources: is neither"),
    ("a b --texts one.jsonl", 2, "--texts is for two releases"),
    ("a one.jsonl", 3, 'no "lang" key'),
    ("a nothing", 2, "does not exist"),
])
def test_what_cannot_be_compared_is_refused(curated, command, status, message):
    curated.fails(f"mc2 compare {command} -q", status, message)


def test_an_unfinished_curation_is_refused(curated):
    curated.ok("rm b/manifest.json")
    curated.fails("mc2 compare a b -q", 3, "b: this curation is not finished")
