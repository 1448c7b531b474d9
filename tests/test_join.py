"""mc2 join: every tar gets the pairs of its images."""
import collections
import gzip
import io
import random
import tarfile

import orjson
import pytest
import zstandard

from conftest import line_of
from mc2.execution.run import Run
from mc2.training import join


def write_tar(path, members):
    """members: [(name, bytes)], or names of images alone."""
    with tarfile.open(path, "w") as tar:
        for member in members:
            name, data = member if isinstance(member, tuple) else (f"{member}.jpg", b"image")
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def lines(path):
    return zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()).splitlines()


def pair(image_id, text):
    return {"id": image_id, "text": text, "lang": "en", "matched_entry_ids": [1]}


def test_every_tar_gets_the_lines_of_its_images_in_its_order_as_they_came(sh):
    write_tar(sh / "0.tar", ["b", "a"])
    write_tar(sh / "1.tar", [("x.png", b""), ("x.json", b'{"uid": "c"}'), "d"])
    a, c = b'{"id": "a", "text":"one","n":1.50}', b'{ "id":"c","text":"\\u00e9" }'
    a2, b = pair("a", "two"), pair("b", "three")
    sh.write("in.jsonl", a, c, a2, pair("e", "nowhere"), b)
    receipt = sh("mc2 join in.jsonl --tars '*.tar' -O out").stderr
    assert receipt.startswith("join: 2 tars, 5 pairs in, 4 out for 3 images, 1 images without pairs, 1 pairs without "
                              "image -> out (")
    assert lines(sh / "out/0.jsonl.zst") == [line_of(b), a, line_of(a2)]
    assert lines(sh / "out/1.jsonl.zst") == [c]
    manifest = orjson.loads((sh / "out/0.jsonl.zst.manifest.json").read_bytes())
    assert manifest["kind"] == "pairs" and manifest["stage"] == "join"
    assert manifest["counts"] == {"images": 2, "images with pairs": 2, "in": 3, "out": 3}
    assert sorted(path.name for path in (sh / "out").glob("[!.]*") if "manifest" not in path.name) == [
        "0.jsonl.zst", "1.jsonl.zst"]


@pytest.mark.parametrize("jobs, buffer", [(1, 1 << 20), (1, 500), (2, 500)])
def test_any_order_of_pairs_joins_as_a_dict_would(sh, monkeypatch, jobs, buffer):
    monkeypatch.setattr(join, "BUFFER", buffer)
    monkeypatch.setattr(join, "PARTS", 3)
    chance = random.Random(buffer)
    pairs = [pair(f"{chance.randrange(80)}", f"text {number}") for number in range(400)]
    of_tar = [[str(number) for number in range(tar, 70, 7)] for tar in range(7)]
    for number, ids in enumerate(of_tar):
        chance.shuffle(ids)
        write_tar(sh / f"{number}.tar", ids)
    sh.write("a.jsonl", *pairs[:150])
    sh.write("b.jsonl", *pairs[150:])
    run = Run([str(sh / "a.jsonl"), str(sh / "b.jsonl")], jobs=jobs, quiet=True)
    join.join(run, [str(sh / f"{number}.tar") for number in range(7)], str(sh / "out"))
    texts = collections.defaultdict(list)
    for each in pairs:
        texts[each["id"]].append(each)
    for number, ids in enumerate(of_tar):
        expected = [each for key in ids for each in texts[key]]
        assert list(map(orjson.loads, lines(sh / f"out/{number}.jsonl.zst"))) == expected


def test_an_image_in_two_tars_belongs_to_the_first_and_twice_in_one_counts_once(sh):
    write_tar(sh / "0.tar", ["a", "b", "a"])
    write_tar(sh / "1.tar", ["a"])
    sh.write("in.jsonl", pair("a", "one"))
    receipt = sh("mc2 join in.jsonl --tars '*.tar' -O out").stderr
    assert "1 out for 1 images, 2 images without pairs, 1 images twice" in receipt
    assert len(lines(sh / "out/0.jsonl.zst")) == 1 and not lines(sh / "out/1.jsonl.zst")


def test_it_takes_part_in_a_pipe(toy):
    write_tar(toy / "0.tar", ["a", "b"])
    pairs = """echo '{"id": "a", "text": "red circle", "lang": "en"}' | mc2 match -m toy"""
    toy.ok(f"{pairs} | mc2 join --tars 0.tar -O out")
    assert lines(toy / "out/0.jsonl.zst") == toy.ok(pairs).encode().splitlines()


def test_finished_tars_are_skipped_as_long_as_nothing_changed(sh):
    for number in range(3):
        write_tar(sh / f"{number}.tar", [f"{number}"])
    sh.write("in.jsonl", *[pair(f"{number}", "x") for number in range(3)])
    command = "mc2 join in.jsonl --tars '*.tar' -O out"
    sh.ok(command)
    assert "join: 0 tars, 0 pairs in" in sh(command).stderr and "3 tars were finished" in sh(command).stderr
    (sh / "out/1.jsonl.zst").unlink()
    receipt = sh(command).stderr
    assert "join: 1 tars, 3 pairs in, 1 out for 1 images; 2 tars were finished" in receipt
    assert "join: 3 tars" in sh(command + " -f").stderr
    write_tar(sh / "2.tar", ["other"])
    assert "join: 3 tars" in sh(command).stderr
    sh.write("in.jsonl", pair("0", "another text"))
    assert "join: 3 tars" in sh(command).stderr
    for _ in range(2):                          # nobody knows what came through a pipe
        assert "join: 3 tars" in sh("mc2 join --tars '*.tar' -O out", (sh / "in.jsonl").read_bytes()).stderr


def test_a_join_that_was_killed_before_its_first_tar_was_done_goes_on(sh):
    write_tar(sh / "0.tar", ["a"])
    sh.write("in.jsonl", pair("a", "one"))
    sh.ok("mc2 join in.jsonl --tars 0.tar -O out -q")
    (sh / "out/0.jsonl.zst.manifest.json").unlink()             # as a kill between the two leaves it
    sh.ok("mc2 join in.jsonl --tars 0.tar -O out -q")
    assert lines(sh / "out/0.jsonl.zst") == [line_of(pair("a", "one"))]


def test_a_damaged_tar_is_named_and_its_whole_images_have_their_pairs(sh):
    write_tar(sh / "0.tar", ["a", "b", "c"])
    (sh / "0.tar").write_bytes((sh / "0.tar").read_bytes()[:2562])
    sh.write("in.jsonl", *[pair(key, "x") for key in "abc"])
    done = sh("mc2 join in.jsonl --tars 0.tar -O out")
    assert done.status == 0 and "warning: 0.tar: this tar is cut off" in done.stderr
    assert "the 2 images before" in done.stderr and "1 pairs without image" in done.stderr


def test_damage_is_said_with_q_too_and_again_where_all_is_finished_and_is_in_the_manifest(sh):
    write_tar(sh / "0.tar", [(f"{key}.jpg", b"image") for key in "abcd"])
    write_tar(sh / "1.tar", ["e"])
    data = bytearray((sh / "0.tar").read_bytes())
    data[2 * 1024:2 * 1024 + 512] = bytes(512)              # the header of c.jpg
    (sh / "0.tar").write_bytes(data)
    sh.write("in.jsonl", *[pair(key, "x") for key in "abcde"])
    damage = ("0.tar: this tar is damaged (byte 2,048: zeros, which end a tar, but more follows them at byte 2,560: a "
              "header was overwritten, or several tars were put into one file). Make or fetch it again. Its pairs are those "
              "of the 1 images before.")
    for options in ("-q", "-q", "-q -f", "-q -j 2 -f"):
        assert sh(f"mc2 join in.jsonl --tars '*.tar' -O out {options}").stderr == f"warning: {damage}\n"
    assert "3 pairs without image, 1 damaged tars" in sh("mc2 join in.jsonl --tars '*.tar' -O out -f").stderr
    manifests = [orjson.loads((sh / f"out/{number}.jsonl.zst.manifest.json").read_bytes()) for number in (0, 1)]
    assert [each.get("damaged") for each in manifests] == [damage, None]
    assert [each["counts"].get("damaged tars") for each in manifests] == [1, None]


def test_bad_lines_leave_no_output_and_bad_usage_is_said_in_one_line(sh):
    write_tar(sh / "0.tar", ["a"])
    sh.write("in.jsonl", pair("a", "x"), "no pair")
    sh.fails("mc2 join in.jsonl --tars 0.tar -O out", 3, "in.jsonl:2: not JSON.",
             leaves=["out", "out/.work", "out/.work/shards-of-mc2"])
    write_tar(sh.write("x/0.tar"), [])
    for command, message in [("--tars 0.tar --tars x/0.tar -O out", "two tars are called 0"),
                             ("--tars '9*.tar' -O out", "9*.tar: no such files"), ("-O out", "--tars")]:
        sh.fails(f"mc2 join in.jsonl {command}", 2, message)


def test_keys_with_a_dot_or_in_folders_and_ids_with_suffixes_meet(sh):
    write_tar(sh / "0.tar", ["./a", "x/b", "x/c", "y/c", "d", "z/e"])
    write_tar(sh / "1.tar", ["e"])
    sh.write("in.jsonl", *[pair(each, "x") for each in ("a", "b", "y/c", "c", "./d.JPG", "e")])
    receipt = sh("mc2 join in.jsonl --tars '{0..1}.tar' -O out").stderr
    assert "6 pairs in, 5 out for 5 images, 2 images without pairs, 1 pairs without image" in receipt
    assert [orjson.loads(line)["id"] for line in lines(sh / "out/0.jsonl.zst")] == ["a", "b", "y/c", "./d.JPG"]
    assert [orjson.loads(line)["id"] for line in lines(sh / "out/1.jsonl.zst")] == ["e"]      # the better name


def test_a_join_in_which_almost_nothing_meets_stops_with_an_id_of_each_side(sh):
    write_tar(sh / "0.tar", [f"photos/{number}" for number in range(40)])
    sh.write("in.jsonl", *[pair(f"sha-{number}", "x") for number in range(40)], pair("7", "by the last part"))
    sh.fails("mc2 join in.jsonl --tars 0.tar -O out", 3, "1 of 41 pairs have an image in these 1 tars. The id of a pair is "
             "sha-0; an image in 0.tar is called photos/0 or 0.", leaves=["out", "out/.work", "out/.work/shards-of-mc2"])
    sh.write("few.jsonl", pair("1", "x"))                   # all that there are
    assert "1 out for 1 images" in sh("mc2 join few.jsonl --tars 0.tar -O out").stderr


def test_tars_without_images_and_compressed_tars_stop_a_join(sh):
    write_tar(sh / "0.tar", [("a.input.jpg", b"x"), ("a.outputs.txt", b"y")])
    (sh / "1.tar").write_bytes(gzip.compress(b"x" * 1000))
    sh.write("in.jsonl", pair("a", "x"))
    for name, message in (("0", "one in 0.tar has input.jpg, outputs.txt."), ("1", "1.tar: is compressed (gzip)")):
        done = sh(f"mc2 join in.jsonl --tars {name}.tar -O out")
        assert done.status == 3 and message in done.stderr


def test_members_that_are_apart_are_said_with_the_cure(sh):
    write_tar(sh / "0.tar", [("a.json", b'{"uid": "x"}'), ("b.jpg", b""), ("a.jpg", b""), ("b.json", b'{"uid": "y"}')])
    sh.write("in.jsonl", pair("x", "x"), pair("y", "y"))
    done = sh("mc2 join in.jsonl --tars 0.tar -O out")
    assert done.status == 3 and "warning: 0.tar: the members of 2 of its 2 samples are apart" in done.stderr
    assert "The id of a pair is x; an image in 0.tar is called b." in done.stderr and "tar --sort=name" in done.stderr


def test_parquet_joins_too(sh):
    pa = pytest.importorskip("pyarrow")
    write_tar(sh / "0.tar", ["b", "a"])
    import pyarrow.parquet as pq
    pq.write_table(pa.Table.from_pylist([pair("a", "x"), pair("b", "y")]), sh / "in.parquet")
    sh.ok("mc2 join in.parquet --tars 0.tar -O out -q")
    assert list(map(orjson.loads, lines(sh / "out/0.jsonl.zst"))) == [pair("b", "y"), pair("a", "x")]
