"""mc2 dedup urls: each pair once, over all shards of a pool."""
import itertools
import json

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mc2.dedup import buckets, urls
from mc2.execution import plans
from mc2.execution.run import Run
from mc2.pairs.jsonl import Block


def read(path):
    """The lines of a .jsonl.zst."""
    data = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    return data.splitlines()


def test_a_pair_stays_once_and_the_lines_of_an_id_are_adjacent(sh):
    sh.write("p.jsonl", {"id": "b", "text": "x"}, {"id": "a", "text": "1"}, {"id": "b", "text": "y"})
    sh.write("q.jsonl", {"id": "a", "text": "2"}, {"id": "b", "text": "x"})
    done = sh("mc2 dedup urls p.jsonl q.jsonl")
    assert sorted(done.stdout.splitlines()) == ['{"id":"a","text":"1"}', '{"id":"a","text":"2"}', '{"id":"b","text":"x"}',
                                                '{"id":"b","text":"y"}']
    ids = [json.loads(line)["id"] for line in done.stdout.splitlines()]
    assert len(list(itertools.groupby(ids))) == 2
    assert done.stderr.startswith("dedup urls: 5 pairs in, 4 out for 2 images, 1 same id and text (")


def test_with_images_one_line_of_each_id_stays(sh):
    sh.write("p.jsonl", {"id": "a", "text": "1"}, {"id": "a", "text": "2"}, {"id": "b", "text": "x"})
    done = sh("mc2 dedup urls --images p.jsonl")
    assert sorted(json.loads(line)["id"] for line in done.stdout.splitlines()) == ["a", "b"]
    assert "2 out for 2 images, 1 same id (" in done.stderr


def test_of_pairs_with_other_keys_the_smallest_line_stays(sh):
    sh.write("p.jsonl", {"id": "a", "text": "1", "k": 2}, {"id": "a", "text": "1"}, {"id": "a", "text": "1", "k": 1})
    assert sh.ok("mc2 dedup urls p.jsonl") == '{"id":"a","text":"1","k":1}\n'


def test_an_id_is_compared_by_what_it_is_not_by_how_it_is_written(sh):
    sh.write("p.jsonl", b'{"id":"\\u0061","text":"\xc3\xa9"}', b'{"id":"a","text":"\\u00e9"}', b'{"id":7,"text":""}',
             b'{"text":"","id":"7"}')
    assert " 2 out " in sh("mc2 dedup urls p.jsonl -o out.jsonl").stderr


POOL = [{"id": f"i{number % 300}", "text": f"t{number % 7}", "page": number % 3} for number in range(3000)]


def test_the_result_is_the_same_bytes_whatever_the_shards_the_jobs_and_the_form(sh):
    sh.write("all.jsonl", *POOL)
    for part in range(3):
        sh.write(f"part{part}.jsonl", *POOL[::-1][part::3])
    expected = sh.ok("mc2 dedup urls all.jsonl").encode()
    assert len(expected.splitlines()) == len({(pair["id"], pair["text"]) for pair in POOL})
    assert sh.ok("mc2 dedup urls - --memory 1K", b"".join(orjson.dumps(pair) + b"\n" for pair in POOL)).encode() == expected
    sh.ok("mc2 dedup urls all.jsonl -O one && mc2 dedup urls part1.jsonl part0.jsonl part2.jsonl -O two -j 2")
    assert (sh / "one/00000.jsonl.zst").read_bytes() == (sh / "two/00000.jsonl.zst").read_bytes()
    assert b"".join(line + b"\n" for line in read(sh / "one/00000.jsonl.zst")) == expected
    sh.ok("mc2 dedup urls 'part*.jsonl' -O four --shards 4 --suffix .jsonl")
    assert b"".join((sh / f"four/0000{part}.jsonl").read_bytes() for part in range(4)) == expected


def test_parquet_goes_in_and_out(sh):
    pytest.importorskip("pyarrow")
    sh.write("p.jsonl", *POOL)
    sh.ok("mc2 dedup urls p.jsonl -o p.parquet")
    sh.ok("mc2 dedup urls p.parquet p.jsonl -O out --suffix .parquet && mc2 dedup urls out/00000.parquet -o out.jsonl")
    assert (sh / "out.jsonl").read_text() == sh.ok("mc2 dedup urls p.jsonl")


def test_what_is_finished_is_kept_and_what_changed_is_made_anew(sh):
    sh.write("p.jsonl", *POOL[:10])
    sh.write("q.jsonl", *POOL[5:20])
    sh.ok("mc2 dedup urls p.jsonl q.jsonl -O out --shards 2")
    assert not list((sh / "out/.work/divided").iterdir())
    before = sh.files()
    assert "; 2 shards were finished" in sh("mc2 dedup urls q.jsonl p.jsonl -O out --shards 2").stderr
    assert {name: its for name, its in sh.files().items() if name.endswith(".zst")} \
        == {name: its for name, its in before.items() if name.endswith(".zst")}
    (sh / "out/00001.jsonl.zst").unlink()
    assert "; 1 shards were finished" in sh("mc2 dedup urls p.jsonl q.jsonl -O out --shards 2").stderr
    sh.write("q.jsonl", *POOL[5:30])
    assert " 30 out " in sh("mc2 dedup urls p.jsonl q.jsonl -O out").stderr
    assert not (sh / "out/00001.jsonl.zst").exists()            # of the run before, which had two
    assert "finished" not in sh("mc2 dedup urls p.jsonl q.jsonl -O out -f").stderr


def test_shards_of_other_inputs_are_not_replaced_without_force(sh):
    sh.write("p.jsonl", *POOL[:10])
    sh.write("q.jsonl", *POOL[5:20])
    sh.ok("mc2 dedup urls p.jsonl q.jsonl -O out --shards 2")
    sh.fails("mc2 dedup urls p.jsonl -O out", 2, f"out: holds the pairs of {sh / 'q.jsonl'}, which is not an input now")
    sh.ok("mc2 dedup urls p.jsonl -O out -f")
    assert not (sh / "out/00001.jsonl.zst").exists()


def test_a_run_that_failed_goes_on_with_the_shards_that_it_divided(sh):
    sh.write("p.jsonl", *POOL[:10])
    sh.write("q.jsonl", "bad")
    done = sh("mc2 dedup urls p.jsonl q.jsonl -O out")
    assert done.status == 3 and "q.jsonl:1" in done.stderr
    divided = (sh / "out/.work/divided/p.jsonl.buckets").stat()
    assert sh("mc2 dedup urls p.jsonl q.jsonl -O out").status == 3
    assert (sh / "out/.work/divided/p.jsonl.buckets").stat().st_mtime_ns == divided.st_mtime_ns
    done = sh("mc2 dedup urls p.jsonl q.jsonl -O out --on-error skip")
    assert " 10 out " in done.stderr and "1 bad lines skipped (not JSON)" in done.stderr


@pytest.mark.parametrize("output", ["-o out.jsonl", "-O out"])
def test_what_goes_is_kept_with_the_reason_also_when_all_is_finished(sh, output):
    sh.write("p.jsonl", {"id": "a", "text": "1"}, {"id": None, "text": "x"}, {"id": "a", "text": "1"}, "bad")
    for _ in range(2):
        sh.ok(f"mc2 dedup urls p.jsonl {output} --dropped dropped.jsonl --rejects rejects.jsonl")
        assert sh.read("dropped.jsonl") == [{"id": None, "text": "x", "dropped": "without id"},
                                            {"id": "a", "text": "1", "dropped": "same id and text"}]
        assert (sh / "rejects.jsonl").read_text() == "bad\n"


def test_both_tasks_go_to_other_machines_as_plain_values(sh):
    sh.write("p.jsonl", *POOL[:10])
    done = sh("mc2 dedup urls p.jsonl -O out --executor slurm --print")
    assert done.status == 0 and "#SBATCH" in done.stdout
    work = Run([str(sh / "p.jsonl")])
    job = urls._Job(work, str(sh / "out"), urls.Dedup(urls.PAIRS), 1 << 20, None, ".jsonl")
    gather = job.gather({"parts": 1, "description": {}})
    for task, item in ((job.task, str(sh / "p.jsonl")), (gather, "00000.jsonl")):
        assert plans.restored(plans.portable(task))(item) == 10
    assert len(sh.read("out/00000.jsonl")) == 10


def test_a_damaged_intermediate_file_is_named(sh):
    sh.write("p.jsonl", *POOL[:10])
    sh.ok("mc2 dedup urls p.jsonl -O out --dropped dropped.jsonl")
    path = sh / "out/.work/divided/p.jsonl.buckets"
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 255
    path.write_bytes(data)
    (sh / "out/00000.jsonl.zst").unlink()
    sh.fails("mc2 dedup urls p.jsonl -O out --dropped dropped.jsonl", 3, "p.jsonl.buckets: this intermediate file is",
             leaves=[name for name in sh.files() if name.startswith("out")] + ["out/.work/logs/00000.jsonl.zst.log"])


@pytest.mark.parametrize("command, message", [
    ("mc2 dedup urls p.jsonl -O out --shards 3", "3 is no power of two from 1 to 256"),
    ("mc2 dedup urls p.jsonl --shards 2", "--shards goes with -O"),
    ("mc2 dedup urls p.jsonl --executor ray", "--executor goes with -O"),
    ("mc2 dedup urls p.jsonl -O out -o out.jsonl", "-o and -O exclude each other"),
    ("mc2 dedup urls - -O out", "stdin cannot be read again when the work goes on. Write it to a file first"),
    ("mc2 dedup urls d/p.jsonl -O d", "is in the output directory"),
    ("mc2 dedup urls p.jsonl -o p.jsonl", "is an input too"),
])
def test_what_cannot_be_is_refused(sh, command, message):
    sh.write("p.jsonl", POOL[0])
    sh.write("d/p.jsonl", POOL[0])
    (sh / "d/p.jsonl.manifest.json").write_text("{}")
    sh.fails(command, 2, message)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from("12"))), st.booleans())
def test_a_bucket_keeps_the_right_lines_also_where_all_hashes_are_the_same(pairs, collide):
    data = b"".join(orjson.dumps({"id": each, "text": text, "k": k}) + b"\n" for each, text, k in pairs)
    with pytest.MonkeyPatch.context() as patch:
        if collide:
            patch.setattr(urls, "keyed_hashes", lambda *columns: buckets.hashes_of_ids(columns[1][0]) * 0)
            patch.setattr(urls.buckets, "hashes_of_ids", lambda ids: buckets.keyed_hashes(["dedup"], [ids]) * 0)
        batch = urls.kept(data, urls.PAIRS)
    kept = [json.loads(batch.line(index)) for index in range(len(batch))]
    assert sorted((pair["id"], pair["text"], pair["k"]) for pair in kept) \
        == sorted((*pair, min(k for *its, k in pairs if its == [*pair])) for pair in {each[:2] for each in pairs})
    assert len(list(itertools.groupby(pair["id"] for pair in kept))) == len({pair[0] for pair in pairs})


def test_the_buckets_are_in_the_order_of_the_hashes_however_many_there_are(tmp_path):
    data = b"".join(orjson.dumps({"id": str(number), "text": ""}) + b"\n" for number in range(100))
    orders = []
    for bits in (0, 3, 8):
        with open(tmp_path / f"{bits}", "wb") as stream:
            writer = buckets.Writer(stream, bits)
            writer.write((buckets.hashes_of_ids(Block("", 1, data).batch().strings("id")), data))
            writer.close()
        found = buckets.Buckets(str(tmp_path / f"{bits}"))
        batches = urls.gathered([found], bits, 0, 1 << bits, urls.PAIRS, 1 << 20)
        orders.append([batch.line(index) for batch in batches for index in range(len(batch))])
    assert orders[0] == orders[1] == orders[2] and sorted(orders[0]) == sorted(data.splitlines())


@pytest.mark.parametrize("output", ["-o out.jsonl", "-O out"])
def test_a_receipt_is_written(sh, output):
    sh.write("p.jsonl", {"id": "b", "text": "x"}, {"id": "b", "text": "x"})
    sh.ok(f"mc2 dedup urls p.jsonl {output} --receipt r.json -q")
    assert json.loads((sh / "r.json").read_bytes())["counts"] \
        == {"in": 2, "out": 1, "images": 1, "dropped: same id and text": 1}
