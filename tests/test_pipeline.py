"""Streams, shards and jobs: what comes out does not depend on how the work was cut up, and is not done twice."""
import gzip
import json
import os
import subprocess
import sys
import zlib

import orjson
import pytest
import zstandard
from conftest import ROOT, line_of, pair

from mc2 import manifests
from mc2.pairs.jsonl import Block, whole_images

TEXTS = ["a red circle", "red", "a cat", "un chat noir", "chat", "", "nothing known", "a red cat, a circle"]


def pool(n, start=0):
    return [pair(i, f"{TEXTS[i % len(TEXTS)]} {'' if i % 3 else i}", "fr" if "chat" in TEXTS[i % len(TEXTS)] else "en")
            for i in range(start, start + n)]


def manifest(sh, output):
    return json.loads((sh / f"{output}.manifest.json").read_bytes())


def decompressed(path):
    data = path.read_bytes()
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return gzip.decompress(data) if path.suffix == ".gz" else data


@pytest.fixture
def curated(toy):
    """Counts and thresholds of a pool, `m.jsonl` its matched pairs."""
    toy.write("pool.jsonl", *pool(400))
    toy.ok("mc2 match pool.jsonl -m toy -o m.jsonl -q && mc2 count m.jsonl -m toy -o counts -q && "
           "mc2 thresholds counts --t-all 20 -o t.json -q")
    return toy


# ---------------------------------------------------------------- shards

def test_shards_keep_their_names_and_formats(sh):
    line = line_of(a := pair(1, "a red circle")) + b"\n"
    (sh / "a.jsonl").write_bytes(line)
    (sh / "b.jsonl.gz").write_bytes(gzip.compress(line))
    (sh / "c.jsonl.zst").write_bytes(zstandard.compress(line))
    sh.ok("mc2 lid *.jsonl* -O out -j 2")
    assert sorted(path.name for path in (sh / "out").glob("[!.]*")) == [f"{name}{more}" for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst")
                                              for more in ("", ".manifest.json")]
    results = {decompressed(sh / "out" / name) for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst")}
    assert [json.loads(result) for result in results] == [{**a, "lid": "en", "lid_prob": 0.197, "lang": "en"}]


def test_one_input_twice_and_stdin_have_no_shard(sh):
    sh.write("x/a.jsonl", pair(1, "a"))
    for inputs, message in ("x/a.jsonl ./x/a.jsonl", "two inputs are called a.jsonl"), ("-", "stdin has no name"):
        done = sh(f"mc2 lid {inputs} -O out")
        assert (done.status, message in done.stderr) == (2, True)


def test_finished_shards_are_made_again_only_when_something_changed(toy):
    toy.write("a.jsonl", pair(1, "a red circle", "en"))
    toy.write("b.jsonl", pair(2, "chat noir", "fr"))

    def to_do(more="-m toy"):
        plan = toy.ok(f"mc2 match a.jsonl b.jsonl {more} -O out -n")
        before = {path: path.stat().st_mtime_ns for path in (toy / "out").glob("*.jsonl")}
        toy.ok(f"mc2 match a.jsonl b.jsonl {more} -O out -q")
        made = {path.name for path in (toy / "out").glob("*.jsonl") if before.get(path) != path.stat().st_mtime_ns}
        planned = {os.path.basename(line.split("\t")[2]) for line in plan.splitlines() if line.startswith("to do\t")}
        assert made == planned and plan.count("\n") == 2
        return sorted(made)

    assert to_do() == ["a.jsonl", "b.jsonl"]
    assert to_do() == []
    assert to_do("-m toy -f") == ["a.jsonl", "b.jsonl"]
    os.utime(toy / "a.jsonl", (1, 1))
    assert to_do() == ["a.jsonl"]
    toy.write("b.jsonl", pair(2, "chat", "fr"), pair(3, "chat", "fr"))
    assert to_do() == ["b.jsonl"]
    (toy / "out/a.jsonl").unlink()
    assert to_do() == ["a.jsonl"]
    (toy / "out/a.jsonl.manifest.json").write_bytes(b"{")
    assert to_do() == ["a.jsonl"]
    (toy / "out/a.jsonl").write_bytes(b"")                          # cut off, e.g. by a copy
    assert to_do() == ["a.jsonl"]
    toy.ok("mc2 build-metadata merge sources -o toy --title-max 7 -q")
    assert to_do() == ["a.jsonl", "b.jsonl"]
    assert "0 shards, 0 pairs in" in toy("mc2 match a.jsonl b.jsonl -m toy -O out").stderr


def test_other_options_make_shards_again(sh):
    sh.write("a.jsonl", pair(1, "a red circle"))
    assert sh.ok("mc2 lid a.jsonl -O out -q; mc2 lid a.jsonl -O out -n") == "finished\ta.jsonl\tout/a.jsonl\n"
    for option in "--min-prob 0.5", "--no-clean-urls", "--no-evidence other":
        assert sh.ok(f"mc2 lid a.jsonl -O out -n {option}") == "to do\ta.jsonl\tout/a.jsonl\n"


def test_a_shard_whose_bad_lines_were_skipped_is_finished_only_for_a_run_that_skips_them_again(sh):
    sh.write("a.jsonl", pair(1, "a"), "{")
    sh.ok("mc2 lid a.jsonl -O out --on-error skip -q")
    assert sh.ok("mc2 lid a.jsonl -O out --on-error skip -n").startswith("finished")
    assert sh.ok("mc2 lid a.jsonl -O out -n").startswith("to do")
    assert sh.ok("mc2 lid a.jsonl -O out -n --rejects r").startswith("to do")


def test_shards_before_a_bad_one_stay(sh):
    sh.write("a.jsonl", pair(1, "a"))
    sh.write("b.jsonl", "{")
    for jobs in 1, 2:
        assert sh(f"mc2 lid a.jsonl b.jsonl -O out -f -j {jobs}").status == 3
        assert sorted(path.name for path in (sh / "out").glob("[!.]*")) == ["a.jsonl", "a.jsonl.manifest.json"]


def test_parts_of_a_job_array_make_up_the_whole(sh):
    for name in "abc":
        sh.write(f"{name}.jsonl", pair(ord(name), name))
    parts = [sh.ok(f"mc2 lid [abc].jsonl --shard {i}/2 -q") for i in range(2)]
    assert sorted("".join(parts).splitlines()) == sorted(sh.ok("mc2 lid [abc].jsonl -q").splitlines())
    for i in range(5):
        sh.ok(f"mc2 lid [abc].jsonl --shard {i}/5 -O out -q")
    assert sorted(path.name for path in (sh / "out").glob("[!.]*"))[::2] == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert sh.ok("mc2 lid a.jsonl --shard 1/2 -o none.jsonl -q; cat none.jsonl") == ""


# ---------------------------------------------------------------- streams

def test_inputs_are_one_stream_in_order_named_stdin_or_in_a_list(sh):
    for name in "abc":
        sh.write(f"{name}.jsonl", pair(1, name))

    def texts(command, stdin=b""):
        return [json.loads(line)["text"] for line in sh.ok(f"mc2 lid {command} -q", stdin).splitlines()]

    sh.write("list.txt", "c.jsonl", "", "a.jsonl\r")
    assert texts("c.jsonl - a.jsonl", (sh / "b.jsonl").read_bytes()) == ["c", "b", "a"]
    assert texts("@list.txt b.jsonl") == ["c", "a", "b"]
    sh.write("empty.txt")
    assert texts("@empty.txt", (sh / "b.jsonl").read_bytes()) == []     # a list of nothing is not stdin


def test_the_final_newline_may_be_missing(sh):
    first, second = (line_of(pair(i, "a")) for i in range(2))
    (sh / "a.jsonl").write_bytes(first)
    (sh / "b.jsonl").write_bytes(second)
    assert sh.ok("mc2 lid a.jsonl b.jsonl -q").count("\n") == 2


def test_lines_longer_than_a_block_and_lines_across_blocks(sh):
    lines = [pair(1, "short"), pair(2, "long", note="x" * 3_500_000), *(pair(i, "é" * 211) for i in range(3, 6000))]
    sh.write("a.jsonl", *lines)
    for jobs in 1, 3:
        sh.ok(f"mc2 lid a.jsonl -j {jobs} -o out.jsonl -q")
        found = sh.read("out.jsonl")
        assert [{key: record[key] for key in line} for line, record in zip(lines, found, strict=True)] == lines


def test_jobs_do_not_change_a_byte(curated):
    lines = (curated / "m.jsonl").read_bytes().splitlines()
    more = b',"padding":"' + b"x" * 4000 + b'"}'
    curated.write("big.jsonl", *(line[:-1] + more for line in lines * 3))       # 5 MB: several blocks
    for command in "lid big.jsonl", "match big.jsonl -m toy", "sample big.jsonl -c counts -t t.json":
        assert curated.ok(f"mc2 {command} -q") == curated.ok(f"mc2 {command} -q -j 2")
    for jobs in 1, 3:
        curated.ok(f"mc2 count big.jsonl -m toy -o counts-{jobs} -q -j {jobs}")
    one, three = ({name: (curated / f"counts-{jobs}" / name).read_bytes()
                   for name in ("en.npy", "fr.npy", "sample.jsonl")} for jobs in (1, 3))
    assert one == three


def test_no_byte_of_an_output_depends_on_the_process(toy):
    """Python orders sets of strings differently in processes of different PYTHONHASHSEED."""
    toy.write("pool.jsonl", *pool(300))
    code = """if True:
        import sys
        from mc2.cli import run
        for step in open("steps.txt"):
            assert run(step.split()) == 0, step
    """
    for seed in 1, 2:
        toy.write("steps.txt", *(line.replace("OUT", f"out{seed}") for line in (
            "build-metadata merge sources -o OUT/toy -q",
            "lid pool.jsonl -m OUT/toy -o OUT/lid.jsonl.zst -q", "match OUT/lid.jsonl.zst -m OUT/toy -o OUT/m.jsonl.gz -q",
            "count OUT/m.jsonl.gz -m OUT/toy -o OUT/counts -q",
            "thresholds OUT/counts --t-all 20 -o OUT/t.json -q",
            "sample OUT/m.jsonl.gz -c OUT/counts -t OUT/t.json --one-per-image -o OUT/s.jsonl -q")))
        done = subprocess.run([sys.executable, "-c", code], cwd=toy.directory, capture_output=True,
                              env={**toy.environment, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(seed)})
        assert done.returncode == 0, done.stderr.decode()
    one, other = ({path.relative_to(toy / out): path.read_bytes() for path in (toy / out).rglob("*")
                   if path.is_file() and "manifest" not in path.name and path.name != "t.json"} for out in ("out1", "out2"))
    assert len(one) > 500 and one == other
    thresholds = [json.loads((toy / out / "t.json").read_bytes()) for out in ("out1", "out2")]
    assert thresholds[0]["languages"] == thresholds[1]["languages"]


def test_the_order_and_the_sharding_of_pairs_do_not_change_what_is_curated(curated):
    import random

    def curate(name, parts):
        """Match, count and sample these parts, each part a list of lines; the curated lines, sorted."""
        for i, part in enumerate(parts):
            curated.write(f"{name}/{i}.jsonl", *part)
        curated.ok(f"mc2 match {name}/?.jsonl -m toy -O {name}/matched -q && "
                   f"mc2 count {name}/matched/*.jsonl -m toy -o {name}/counts -q && "
                   f"mc2 thresholds {name}/counts --t-en 15 -o {name}/t.json -q && "
                   f"mc2 sample {name}/matched/*.jsonl -c {name}/counts -t {name}/t.json --seed 3 "
                   f"-o {name}/curated.jsonl -q")
        return sorted((curated / name / "curated.jsonl").read_bytes().splitlines())

    lines = list(map(line_of, pool(400)))
    whole = curate("whole", [lines])
    assert 50 < len(whole) < 350
    for seed in range(3):
        shuffled = random.Random(seed).sample(lines, len(lines))
        cuts = sorted(random.Random(seed).choices(range(len(lines) + 1), k=seed + 1))
        parts = [shuffled[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(lines)])]
        assert curate(f"cut-{seed}", parts) == whole


def test_compressed_output_does_not_depend_on_times_and_jobs(sh):
    sh.write("a.jsonl", *pool(2000))
    for suffix in "zst", "gz":
        sh.ok(f"mc2 lid a.jsonl -o out.jsonl.{suffix} -q && touch -d 2001-01-01 a.jsonl && "
              f"mc2 lid a.jsonl -j 2 -o again.jsonl.{suffix} -q && cmp out.jsonl.{suffix} again.jsonl.{suffix}")


# ---------------------------------------------------------------- bad lines

def test_rejects_keep_the_bytes_of_bad_lines_and_the_rest_passes(sh):
    bad = [b"{", b'{"id":"a"}', b'{"id":"b","text":"\xff\xfe"}', b'\xef\xbb\xbf{"id":"c","text":""}', b'  {"id": 1}']
    sh.write("a.jsonl", bad[0], pair(1, "one"), b"", *bad[1:4], pair(2, "two"), bad[4])
    done = sh("mc2 lid a.jsonl --rejects bad.jsonl -o out.jsonl")
    assert (done.status, [record["text"] for record in sh.read("out.jsonl")]) == (0, ["one", "two"])
    assert (sh / "bad.jsonl").read_bytes() == b"\n".join(bad) + b"\n"
    assert done.stderr.startswith("lid: 7 pairs in, 2 out")
    assert sh("mc2 lid a.jsonl --on-error skip -q").stderr == ""
    sh.ok("cp a.jsonl b.jsonl && mc2 lid a.jsonl b.jsonl -O dir --rejects both.jsonl -j 2 -q")
    assert (sh / "both.jsonl").read_bytes() == 2 * (b"\n".join(bad) + b"\n")


def test_rejects_are_in_the_order_of_the_lines(toy):
    toy.write("a.jsonl", pair(1, "one", "xx"), b"{", pair(2, "two", "yy"), b"[]", pair(3, "a red circle", "en"))
    toy.ok("mc2 match a.jsonl -m toy --rejects bad.jsonl -o out.jsonl -q")
    assert (toy / "bad.jsonl").read_bytes().splitlines() == (toy / "a.jsonl").read_bytes().splitlines()[:4]


@pytest.mark.parametrize("name", ["b.json", "b.csv.xz", "b.parquet.gz", "b.arrow", "b.xlsx", "b.jsonl.xz",
                                  "b.jsonl.bz2"])
def test_pairs_are_not_written_under_the_name_of_a_format_that_they_are_not_in(name, sh):
    sh.write("a.jsonl", pair(1, "one"))
    sh.fails(f"mc2 lid a.jsonl -o {name}", 2, f"{name}: ", "not written", "Name a .jsonl, .csv or .tsv (also .gz, .zst), or a .parquet.")
    assert not (sh / name).exists()


# ---------------------------------------------------------------- manifests, receipts, environment

def test_the_manifest_says_how_an_output_was_made(toy):
    from mc2 import __version__
    toy.write("a.jsonl", pair(1, "a red circle", "en"), "{", pair(2, "nothing", "en"))
    toy.ok("mc2 match a.jsonl -m toy -o 'my output.jsonl' --on-error skip -q")
    found = manifest(toy, "my output.jsonl")
    status = (toy / "a.jsonl").stat()
    assert found["inputs"] == [{"name": "a.jsonl", "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}]
    assert found["counts"] == {"in": 3, "out": 2, "matched": 1, "bad: not JSON.": 1}
    assert found["command"] == "mc2 match a.jsonl -m toy -o 'my output.jsonl' --on-error skip -q"
    assert (found["mc2"], found["kind"], found["stage"]) == (__version__, "pairs", "match")
    assert found["lineage"]["metadata"] == json.loads((toy / "toy/manifest.json").read_bytes())["fingerprint"]
    data = (toy / "my output.jsonl").read_bytes()
    assert found["output"] == {"bytes": len(data), "crc32": zlib.crc32(data)} and found["seconds"] >= 0
    assert found.pop("checksum") == manifests.fingerprint(found)


def test_a_manifest_of_another_program_is_none_of_ours(toy):
    toy.write("a.jsonl", pair(1, "red", "en"))
    toy.write("a.jsonl.manifest.json", '{"lineage": "oral tradition", "output": 7}')
    toy.ok("mc2 match a.jsonl -m toy -O out -q; cp a.jsonl.manifest.json out/; mc2 match a.jsonl -m toy -O out -q")
    assert manifest(toy, "out/a.jsonl")["kind"] == "pairs"


def test_stdout_has_no_manifest_and_a_receipt_without_a_path(sh):
    done = sh("mc2 lid > out.jsonl", line_of(pair(1, "a red circle")))
    assert done.stderr.startswith("lid: 1 pairs in, 1 out, 0 without a known n-gram, 0 by their script, 0 to other (")
    assert not (sh / "out.jsonl.manifest.json").exists()
    assert " other -> out.jsonl (" in sh("mc2 lid -o out.jsonl", line_of(pair(1, "a red circle"))).stderr


def test_options_come_from_the_environment_too(toy):
    line = line_of(pair(1, "a red circle"))
    stdout = toy.ok("mc2 lid -q", line, MC2_LID_MIN_PROB="0.99")
    assert orjson.loads(stdout)["lang"] == "other"
    assert orjson.loads(toy.ok("mc2 lid -q --min-prob 0", line, MC2_LID_MIN_PROB="0.99"))["lang"] == "en"
    stdout = toy.ok("mc2 lid -q | mc2 match -q", line, MC2_METADATA="toy")
    assert orjson.loads(stdout)["matched_entry_ids"] == [0, 1, 2, 4]
    assert "Traceback" in toy("mc2 lid -o en.json/x", line, MC2_LID_VERBOSE="1").stderr


def block_ids(*datas):
    blocks = (Block("x", 1, data) for data in datas)
    return [[orjson.loads(line)["id"] if line.startswith(b"{") else line.decode() for line in block.data.splitlines()]
            for block in whole_images(blocks, lambda block: block.batch(skip_bad=True))]


def lines_of(ids):
    return b"".join(b"bad\n" if i == "!" else b'{"id":"%s","text":""}\n' % i.encode() for i in ids)


@pytest.mark.parametrize("blocks, whole", [
    (["ab", "bc"], ["a", "bb", "c"]),
    (["aa", "aa", "ab", "b"], ["aaaaa", "bb"]),
    (["a", "b", "c"], ["a", "b", "c"]),
    (["!a", "!", "a!", "!b"], ["!a!a!", "!b"]),
    (["!!", "!!"], ["!!!!"]),
    ([], []),
])
def test_lines_of_one_image_stay_in_one_block(blocks, whole):
    assert block_ids(*map(lines_of, blocks)) == [["bad" if i == "!" else i for i in ids] for ids in whole]


def test_manifests_and_directories_are_not_pairs_and_the_message_names_the_pairs(toy):
    toy.write("in.jsonl", *pool(3))
    toy.ok("mc2 match in.jsonl -m toy -O out -q")
    for command in ("mc2 count out -m toy -o c", "mc2 sample out/* -c c -t t"):
        assert toy(command).status in (2, 3)
    assert "Name the files in it, e.g. out/*.jsonl" in toy("mc2 match out -m toy").stderr
    assert "is a manifest, not pairs. Name the pairs alone, e.g. out/*.jsonl" in toy("mc2 match out/* -m toy").stderr
