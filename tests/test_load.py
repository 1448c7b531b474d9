"""Large and odd loads: many languages and shards with few descriptors, and single values of great size."""
import json

import numpy as np
import pytest
from conftest import filled, pair
from hypothesis import given
from hypothesis import strategies as st

from mc2 import files, mapped_files, parsing


@pytest.mark.parametrize("dtype, shape", [
    ("<u8", (5,)), ("<f4", (3, 4)), ("<i2", (2, 3, 4)), ("u1", (0,)), ("<f8", ())])
@pytest.mark.parametrize("order", "CF")
def test_an_array_that_is_mapped_is_the_one_that_was_written(tmp_path, dtype, shape, order):
    array = np.arange(np.prod(shape, dtype=int)).astype(dtype).reshape(shape, order=order)
    np.save(tmp_path / "a.npy", array)
    found = parsing.array(tmp_path / "a.npy", mapped=array.size > 0)
    assert found.dtype == array.dtype and found.shape == shape and (found == array).all()


def test_a_mapped_file_is_read_only_and_lives_as_long_as_what_looks_at_it(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 5000)
    part = mapped_files.bytes_of(tmp_path / "a")[3:9]
    (tmp_path / "a").unlink()
    assert part.tobytes() == b"abcabc"
    with pytest.raises(ValueError):
        part[0] = 0
    (tmp_path / "empty").touch()
    assert mapped_files.bytes_of(tmp_path / "empty").tobytes() == b""
    with pytest.raises(FileNotFoundError) as error:
        mapped_files.bytes_of(tmp_path / "none")
    assert error.value.filename == str(tmp_path / "none")


@pytest.fixture
def few_descriptors(sh, toy_template):
    """A shell with a pool of 60 shards in all languages of the release."""
    filled(sh, toy_template)
    langs = sorted(path.name.removesuffix(".tsv") for path in (sh / "toy").glob("*.tsv"))
    assert len(langs) > 150
    for shard in range(60):
        sh.write(f"m/{shard:02}.jsonl", *(pair(1000 * shard + number, f"7 {shard}", lang, [7])
                                          for number, lang in enumerate(langs) if lang not in ("en", "fr")),
                 pair(1000 * shard + 999, "a", "en", [4]))
    return sh


@pytest.mark.parametrize("jobs", [1, 4])
def test_sampling_and_counting_many_languages_takes_few_descriptors(few_descriptors, jobs):
    def limited(command):
        done = few_descriptors.process(f"ulimit -n 40; mc2 {command} -q -j {jobs}")
        assert (done.status, done.stderr) == (0, "")

    limited("count m/*.jsonl -m toy -o counts")
    few_descriptors.ok("mc2 thresholds counts --t-all 1000 -o t.json -q")
    limited("sample m/*.jsonl -c counts -t t.json -o kept.jsonl")
    limited("sample m/*.jsonl -c counts -t t.json -O kept")
    pairs = sum(len(few_descriptors.read(f"m/{number:02}.jsonl")) for number in range(60))
    assert len(few_descriptors.read("kept.jsonl")) == pairs


def test_a_job_of_many_languages_and_shards_takes_few_descriptors(few_descriptors):
    done = few_descriptors.process("ulimit -n 40; mc2 curate m/*.jsonl -m toy --t-all 1000 -o out -j 2")
    assert done.status == 0 and "curate: 60 shards, " in done.stderr, done.stderr


# ---------------------------------------------------------------- long lines

@given(st.lists(st.sampled_from(["", "a", "bb", "ccc", "dddd", "eeeee", "f" * 9]), max_size=8), st.booleans(),
       st.lists(st.integers(1, 7), max_size=40), st.integers(1, 6))
def test_long_lines_are_cut_wherever_a_stream_is_divided(lines, ends_with_newline, lengths, longest):
    data = "\n".join(lines).encode() + b"\n" * ends_with_newline
    chunks, position = [], 0
    for length in [*lengths, len(data) + 1]:
        chunks.append(data[position:position + length])
        position += length
    expected = b"\n".join(line if len(line) <= longest else line[:longest] + files.TOO_LONG
                          for line in data.split(b"\n"))
    assert b"".join(files._cut_long_lines(iter(filter(None, chunks)), longest)) == expected


@pytest.fixture
def long_line(sh):
    """A file whose second line is a pair of 3 MB, far above the limit that the tests give."""
    sh.write("in.jsonl", pair(1, "a"), pair(2, "b", more="x" * 3_000_000), pair(3, "c"))
    return sh


def test_a_line_that_is_too_long_is_named_with_the_limit_and_the_way_out(long_line):
    for output in "-o out.jsonl", "-O out":
        done = long_line(f"mc2 lid in.jsonl --longest-line 1M {output}")
        assert done.status == 3 and done.stderr == (
            "mc2 lid: in.jsonl:2: longer than 1,048,576 bytes. Give a larger --longest-line, or leave such lines out "
            "with --on-error skip.\n")
    for command in "inspect in.jsonl", "join in.jsonl --tars i.tar -O out":
        (long_line / "i.tar").write_bytes(bytes(1024))
        assert "in.jsonl:2: longer than 1,048,576 bytes." in long_line(f"mc2 {command} --longest-line 1M").stderr
    long_line.ok("mc2 lid in.jsonl -o out.jsonl -q")                # the limit is 16 MB by default
    assert len(long_line.read("out.jsonl")) == 3


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_line_that_is_too_long_can_be_skipped_and_its_beginning_kept(long_line, suffix):
    with files.open_write(str(long_line / f"long.jsonl{suffix}")) as stream:
        stream.write((long_line / "in.jsonl").read_bytes())
    done = long_line(f"mc2 lid long.jsonl{suffix} --longest-line 4K --rejects bad.txt -o out.jsonl")
    assert done.status == 0 and "1 bad lines skipped (longer than 4,096 bytes)" in done.stderr
    assert [record["text"] for record in long_line.read("out.jsonl")] == ["a", "c"]
    assert (long_line / "bad.txt").read_bytes() == (long_line / "in.jsonl").read_bytes().split(b"\n")[1][:1000] + b"\n"


def test_an_array_of_pairs_in_one_line_is_told_how_to_become_lines(sh):
    (sh / "in.jsonl").write_text(json.dumps([pair(n, "a red circle") for n in range(1000)]))
    sh.fails("mc2 lid in.jsonl -o out.jsonl --longest-line 4K", 3, "in.jsonl:1: longer than 4,096 bytes. It is a list; "
             "jq -c '.[]' writes its elements one to a line.")


def test_curate_puts_a_line_that_is_too_long_into_quarantine(toy):
    toy.write("in.jsonl", pair(1, "a"), pair(2, "a", more="x" * 100_000), pair(3, "a"))
    command = "mc2 curate in.jsonl -m toy --t-all 2 -o out -q -j 1"
    assert "in.jsonl:2: longer than 65,536 bytes." in toy(f"{command} --longest-line 64K").stderr
    toy.ok(f"{command} --longest-line 64K --on-error skip")
    assert toy.read("out/quarantine/in.jsonl.jsonl")[0]["reason"].startswith("longer than 65,536 bytes.")
    toy.ok(command)                                                 # another limit: the shard is done again
    assert len(toy.read("out/matched/in.jsonl")) == 3


def test_a_long_text_of_parquet_is_named_or_skipped(sh):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [pair(1, "a", url="u"), pair(2, "b" * 100_000, url="u"), pair(3, "c", url="u" * 100_000),
            pair(4, "d", url=None)]
    pq.write_table(pa.Table.from_pylist(rows), sh / "in.parquet")
    sh.fails("mc2 lid in.parquet --longest-line 64K -o out.jsonl", 3,
             'in.parquet:2: "text" is longer than 65,536 bytes. Give a larger --longest-line, or leave '
             "such rows out with --on-error skip.")
    done = sh("mc2 lid in.parquet --longest-line 64K -o out.jsonl --on-error skip")
    assert done.status == 0 and '("text" is longer than 65,536 bytes)' in done.stderr
    assert [record["text"] for record in sh.read("out.jsonl")] == ["a", "d"]
    sh.ok("mc2 lid in.parquet -o out.jsonl -q")
    assert len(sh.read("out.jsonl")) == 4


def test_long_ids_are_ids(toy):
    """An id of 1 MB takes 1 MB of memory in a list, not 1 MB for each id."""
    ids = ["a", "i" * 1_000_000, "ü" * 40, "c"]
    toy.write("in.jsonl", *({"id": each, "text": "a red circle"} for each in [*ids, "b", "i" * 999_999, "ü" * 41]))
    (toy / "ids.txt").write_text("\n".join([*ids, *(f"{n:024x}" for n in range(20_000))]))
    toy.ok("mc2 curate in.jsonl -m toy --t-all 2 -o out -q -j 1 --ids ids.txt")
    assert [record["id"] for record in toy.read("out/curated/in.jsonl")] == ids


def test_a_line_that_is_no_id_is_named(toy):
    toy.write("in.jsonl", pair(1, "a"))
    (toy / "ids.txt").write_bytes(b"a\n" + b"x" * 17_000_000 + b"\n")
    done = toy("mc2 curate in.jsonl -m toy --t-all 2 -o out -q -j 1 --ids ids.txt")
    assert done.status == 3 and "ids.txt:2: longer than 16,777,216 bytes, so it is no id." in done.stderr


# ---------------------------------------------------------------- many different values

def test_inspect_tells_ten_thousand_keys_and_languages_apart(sh):
    sh.write("in.jsonl", *(pair(n, "a", f"l{n}", **{f"k{n}": 1}) for n in range(12_000)))
    _, keys, langs, *_ = sh.ok("mc2 inspect in.jsonl --lines 0").splitlines()
    assert keys.startswith("keys: id, text, lang, k0 (in 1), k1 (in 1), ")
    assert keys.endswith(" and more than 9,950 others")
    assert langs.startswith("languages: l0 1, l1 1, ") and langs.endswith(", ...") and len(langs) < 300
    assert sh.ok("mc2 inspect in.jsonl --lines 60").splitlines()[1].endswith("k45 (in 1), k46 (in 1) and 13 others")


def test_inspect_shortens_names_and_takes_a_language_that_is_none(sh):
    sh.write("in.jsonl", {"id": "i" * 1_000_000, "text": "a", "k" * 1_000_000: 1, "lang": ["en"]},
             {"id": "b", "text": "a", "lang": "e" * 1_000_000})
    done = sh("mc2 inspect in.jsonl")
    assert done.status == 0 and f"{'k' * 100}... (1,000,000 characters) (in 1)" in done.stdout, done.stderr
    assert f"{'i' * 100}... (1,000,000 characters)  ['en']" in done.stdout and "(list) 1" in done.stdout
    assert len(done.stdout) < 2000


def test_bad_lines_are_counted_by_what_is_wrong_with_them_however_many_values_are(artefacts):
    artefacts.write("in.jsonl", *(pair(n, "a", f"l{n}", [0]) for n in range(3000)),
                    *(pair(n, "a", "en", [n]) for n in range(6, 3000)), pair(1, "a", "en", [4]))
    done = artefacts("mc2 count in.jsonl -m toy -o new --rejects bad.jsonl")
    assert done.status == 0 and ', 3,000 bad lines skipped ("lang" is none of toy), ' in done.stderr
    assert ", 2,994 bad lines skipped (an entry is outside toy)" in done.stderr and len(done.stderr) < 300
    assert len(artefacts.read("bad.jsonl")) == 5994
    done = artefacts("mc2 match in.jsonl -m toy -O out --on-error skip")
    assert done.status == 0 and ', 3,000 bad lines skipped ("lang" is none of toy) -> out' in done.stderr


REASONS = """\
from mc2.execution.stage import Stage

class Each(Stage):
    name = "filter"

    def __call__(self, batch):
        batch.drop({index: f"number {text}" for index, text in enumerate(batch.texts) if text != "0"})
"""


@pytest.mark.parametrize("output", ["-o out.jsonl", "-O out"])
def test_a_class_with_a_reason_for_each_pair_is_counted_all_the_same(sh, output):
    (sh / "each.py").write_text(REASONS)
    sh.write("in.jsonl", *(pair(n, str(n % 5000)) for n in range(10_000)))
    done = sh(f"mc2 filter pairs in.jsonl --with each:Each {output} --dropped dropped.jsonl")
    assert done.status == 0 and " other reasons, and " in done.stderr and len(done.stderr) < 1000
    assert " more reasons: 9,998 in all -> out" in done.stderr
    manifest = "out/in.jsonl.manifest.json" if output == "-O out" else "out.jsonl.manifest.json"
    counts = json.loads((sh / manifest).read_bytes())["counts"]
    assert len(counts) < 1010 and counts["dropped: other reasons"] > 2000
    assert sum(count for what, count in counts.items() if what.startswith("dropped: ")) == 9998
    assert len(sh.read("dropped.jsonl")) == 9998


# ---------------------------------------------------------------- many files

def test_a_pattern_in_quotes_names_more_files_than_a_command_line_can(sh):
    for number in range(20):
        sh.write(f"pool/part={number % 2}/{number:02}.jsonl", pair(number, "a"))
    sh.write("odd[1].jsonl", pair(99, "a"))
    sh.ok("mc2 lid 'pool/*/*.jsonl' -o all.jsonl -q; mc2 lid 'pool/**/0?.jsonl' 'odd[1].jsonl' -O some -q")
    assert [int(record["id"], 16) for record in sh.read("all.jsonl")] == [*range(0, 20, 2), *range(1, 20, 2)]
    names = sorted(path.name for path in (sh / "some").glob("*.jsonl"))
    assert names == [*(f"{number:02}.jsonl" for number in range(10)), "odd[1].jsonl"]
    sh.fails("mc2 lid 'none/*.jsonl' -o x.jsonl", 2, "none/*.jsonl: no such file.")
