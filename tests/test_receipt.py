"""--receipt FILE and --json: what a command did, for programs."""
import json
import os

import pytest
from conftest import pair

from mc2.errors import BadData
from mc2.execution import receipt as receipts


def receipt(sh, name="receipt.json"):
    content = json.loads((sh / name).read_bytes())
    assert content.pop("kind") == "receipt" and content.pop("seconds") >= 0 and content.pop("mc2")
    return content


def test_a_receipt_counts_what_went_in_and_out_and_why(sh):
    sh.write("pool.jsonl", pair(1, "ein Hund im Schnee"), {"id": "2"}, pair(3, "un chat dans la rue"))
    told = sh("mc2 lid pool.jsonl -o lid.jsonl --on-error skip --receipt receipt.json").stderr
    found = receipt(sh)
    assert found["command"] == "lid" and found["output"] == "lid.jsonl"
    assert found["counts"] == {'bad: no "text" key.': 1, "by script": 0, "doubtful": 0, "in": 3, "other": 0, "out": 2,
                               "without evidence": 0}
    assert told.startswith(f"lid: {found['summary']} -> lid.jsonl")
    sh.ok("mc2 lid pool.jsonl -O out --on-error skip -q --receipt receipt.json")
    assert receipt(sh)["output"] == "out"


def test_every_step_of_curation_writes_one(toy):
    toy.write("pool.jsonl", *(pair(number, "a red circle", "en") for number in range(3)))
    toy.ok("mc2 match pool.jsonl -m toy -o m.jsonl -q --receipt match.json")
    toy.ok("mc2 count m.jsonl -m toy -o counts -q --receipt count.json")
    toy.ok("mc2 thresholds counts --t-all 1 -o t.json -q --receipt thresholds.json")
    toy.ok("mc2 sample m.jsonl -c counts -t t.json -o s.jsonl -q --receipt sample.json")
    toy.ok("mc2 curate pool.jsonl -m toy --t-all 1 -o out -q --receipt curate.json")
    assert [receipt(toy, f"{name}.json")["counts"]["matched"] for name in ("match", "count", "thresholds", "sample", "curate")] == [3] * 5
    assert receipt(toy, "curate.json")["languages"]["en"]["pairs"] == 3
    toy.ok("mc2 build-metadata merge sources -o again -q --receipt merge.json")
    assert receipt(toy, "merge.json")["output"] == "again"


def test_a_receipt_replaces_a_receipt_and_nothing_else(sh):
    sh.write("pool.jsonl", pair(1, "ein Hund im Schnee"))
    sh.fails("mc2 lid pool.jsonl --receipt pool.jsonl", 2, "--receipt pool.jsonl: there is a file of that name")
    sh.ok("mc2 lid pool.jsonl --receipt r.jsonl -q && mc2 lid pool.jsonl --receipt r.jsonl -q")
    assert receipt(sh, "r.jsonl")["counts"]["in"] == 1
    sh.ok("mc2 lid pool.jsonl -q")                      # without the option nothing is written


def test_a_receipt_is_an_output_of_its_own(toy):
    toy.write("pool.jsonl", pair(1, "a red circle", "en"))
    for command in ("lid pool.jsonl -o r.jsonl", "lid pool.jsonl -o a.jsonl --dropped r.jsonl",
                    "lid pool.jsonl -o a.jsonl --rejects r.jsonl", "count pool.jsonl -m toy -o r.jsonl",
                    "curate pool.jsonl -m toy --t-all 1 -o out --dropped r.jsonl"):
        assert "r.jsonl: is another output too" in toy.fails(f"mc2 {command} --receipt r.jsonl", 2).stderr
    toy.fails("mc2 curate pool.jsonl -m toy --t-all 1 -o out --receipt out/matched/r.jsonl", 2, "lies in the output directory")


def test_a_command_that_fails_leaves_no_receipt(sh):
    sh.write("pool.jsonl", pair(1, "ein Hund im Schnee"))
    sh.ok("mc2 lid pool.jsonl --receipt r.jsonl -q")     # of an earlier run, which did not fail
    sh.write("pool.jsonl", {"id": "1"})
    assert 'no "text" key' in sh("mc2 lid pool.jsonl --receipt r.jsonl").stderr
    assert not (sh / "r.jsonl").exists()


def test_status_as_json(sh):
    sh.write("pool.jsonl", pair(1, "ein Hund im Schnee"))
    sh.ok("mc2 lid pool.jsonl -O out -q")
    state = json.loads(sh.ok("mc2 status out --json"))
    assert (state["state"], state["command"], state["done"], state["shards"], state["pairs"]) == ("finished", "lid", 1, 1, 1)
    assert state["part"] is None and state["failed"] == {}
    sh.write("more.jsonl", pair(2, "un chat"))
    sh.ok("mc2 lid pool.jsonl more.jsonl -O out -q && mc2 lid pool.jsonl more.jsonl -O out -q")     # nothing is left to do
    state = json.loads(sh.ok("mc2 status out --json"))
    assert (state["state"], state["done"], state["shards"], state["finished"]) == ("finished", 2, 2, 2)
    sh.fails("mc2 status . --json", 2, "no work of mc2 was begun here")


# ---------------------------------------------------------------- what a receipt must not replace

PAIR = pair(1, "a red circle", "en")


def made(toy):
    """A Shell with what the commands of this section take."""
    toy.write("pool.jsonl", PAIR)
    toy.write("words.txt", "apple", "pear")
    (toy / "dict.tab").write_text("# a\teng\thttp://a\tlicence\n00000001-n\teng:lemma\tapple\n")
    return toy


@pytest.mark.parametrize("command, output", [
    ("build-metadata pack toy -o {}", "release.tar.zst"),
    ("build-metadata import words.txt --lang en --add -o sources", "sources/en.words.list.tsv"),
    ("build-metadata import words.txt --lang en --add -o sources", "sources/r.json"),
    ("build-metadata merge sources -o new", "new/r.json"), ("build-metadata merge sources -o new", "new"),
    ("build-metadata compile toy", "toy/r.json"), ("build-metadata wordnet dict.tab -o new", "new/r.json"),
    ("build-metadata unpack toy.tar.zst -o new", "new/en.tsv"),
    ("build-metadata starter --lang en -o new", "new/r.json"), ("build-metadata starter --lang en -o new --sources s", "s/r"),
    ("count pool.jsonl -m toy -o counts", "counts/r.json"), ("lid pool.jsonl -O out", "out/pool.jsonl"),
    ("lid pool.jsonl -O out", "out/r.json"), ("lid pool.jsonl -o man.jsonl", "man.jsonl.manifest.json"),
    ("lid pool.jsonl -O out", "out/pool.jsonl.manifest.json"), ("thresholds counts --t-all 1 -o {}", "t.json"),
    ("lid pool.jsonl -o {}", "link.jsonl"), ("lid pool.jsonl", "/dev/stdout")])
def test_a_receipt_never_takes_the_place_of_what_the_command_writes(toy, command, output):
    made(toy)
    (toy / "counts").mkdir()
    (toy / "toy.tar.zst").write_bytes(b"")
    os.symlink("new.jsonl", toy / "link.jsonl")
    toy.fails(f"mc2 {command.format(output)} --receipt {output}", 2, output.replace("/dev/stdout", "-"))


@pytest.mark.parametrize("command", [
    "lid pool.jsonl -n", "lid pool.jsonl -O out -n", "match pool.jsonl -m toy -n", "count pool.jsonl -m toy -o c -n",
    "sample pool.jsonl -c counts -t t.json -n", "thresholds counts --t-all 1 -n", "curate pool.jsonl -m toy --t-all 1 -o out -n"])
def test_a_dry_run_leaves_the_receipt_of_an_earlier_run(toy, command):
    toy.write("pool.jsonl", {**PAIR, "matched_entry_ids": [0]})
    toy.ok("mc2 count pool.jsonl -m toy -o counts -q && mc2 thresholds counts --t-all 1 -o t.json -q --receipt r.json")
    before = (toy / "r.json").read_bytes()
    toy.ok(f"mc2 {command} --receipt r.json")
    assert (toy / "r.json").read_bytes() == before


def test_wrong_usage_leaves_the_receipt_of_an_earlier_run(toy):
    toy.write("pool.jsonl", PAIR)
    toy.ok("mc2 lid pool.jsonl --receipt r.json -q")
    before = (toy / "r.json").read_bytes()
    for command in ("lid --receipt r.json nothing.jsonl", "lid --receipt r.json pool.jsonl -o pool.jsonl",
                    "count --receipt r.json pool.jsonl -m toy -o sources", "tokenizer --receipt r.json pool.jsonl -o pool.jsonl",
                    "build-metadata merge --receipt r.json sources -o sources",
                    "build-metadata import --receipt r.json r.json --lang nothing -o s"):
        assert toy(f"mc2 {command}").status == 2
        assert (toy / "r.json").read_bytes() == before, command


def test_a_receipt_goes_to_the_target_of_a_link_and_to_open_descriptors(sh):
    sh.write("pool.jsonl", PAIR)
    os.symlink("real.json", sh / "link.json")
    for _ in range(2):
        sh.ok("mc2 lid pool.jsonl -q --receipt link.json -o out.jsonl")
        assert (sh / "link.json").is_symlink() and receipt(sh, "real.json")["output"] == "out.jsonl"
    for name in "-", "/dev/stdout", "/proc/self/fd/1", "/dev/fd/1":
        assert json.loads(sh.ok(f"mc2 lid pool.jsonl -q -o out.jsonl --receipt {name}"))["kind"] == "receipt"
    assert json.loads(sh.ok("mc2 lid pool.jsonl -q -o out.jsonl --receipt - > r; cat r"))["kind"] == "receipt"
    for name in "/dev/stderr", "/dev/fd/2", "/proc/self/fd/2":          # also into a file, to which others write too
        sh.ok(f"{{ echo before >&2; mc2 lid pool.jsonl -q -o out.jsonl --receipt {name}; echo after >&2; }} 2> log")
        text = (sh / "log").read_text()
        assert text.startswith("before\n{") and text.endswith("}\nafter\n") and (sh / "log").is_file()
    sh.ok("mc2 lid pool.jsonl -q -o out.jsonl --receipt /dev/null")
    sh.ok("mc2 lid pool.jsonl -q -o /dev/stderr 2> log")        # other outputs too
    assert sh.read("log")[0]["lang"] == "en" and not (sh / "log.manifest.json").exists()


def test_a_link_of_another_user_is_left_as_it_is(sh, monkeypatch):
    os.symlink("real.json", sh / "link.json")
    sh.write("real.json", {"kind": "receipt"})
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    monkeypatch.setattr(os, "lstat", lambda path, lstat=os.lstat, **more: _of_another(lstat(path, **more)))
    with pytest.raises(BadData, match="is a link that another user made"):
        receipts.keep_in(str(sh / "link.json"))
    receipts.keep_in(None)
    assert sh.read("real.json") == [{"kind": "receipt"}]


def _of_another(found):
    return os.stat_result((*found[:4], 3_000_000, *found[5:10]))


def test_a_receipt_may_replace_an_empty_file_and_nothing_that_cannot_be_read(sh):
    sh.write("pool.jsonl", PAIR)
    (sh / "empty.json").touch()
    sh.ok("mc2 lid pool.jsonl -q -o out.jsonl --receipt empty.json")
    assert receipt(sh, "empty.json")["output"] == "out.jsonl"
    (sh / "damaged.gz").write_bytes(b"damaged")
    sh.fails("mc2 lid pool.jsonl --receipt damaged.gz", 2, "which is no receipt")


def test_a_file_that_is_made_meanwhile_under_the_name_of_the_receipt_stays(sh):
    receipts.keep_in(str(sh / "r.json"))
    try:
        receipts.begin()
        sh.write("r.json", {"id": "1"})
        with pytest.raises(BadData, match="another file of that name was made while the command ran"):
            receipts.keep("lid", "", None, 0)
    finally:
        receipts.keep_in(None)
    assert sh.read("r.json") == [{"id": "1"}]


def test_names_that_are_not_utf8_are_spelled_out(sh):
    sh.write("pool.jsonl", PAIR)
    sh.ok("mc2 lid pool.jsonl -q -o $'a\\xff.jsonl' --receipt r.json")
    assert receipt(sh, "r.json")["output"] == "a\\udcff.jsonl"
    sh.ok("mc2 lid pool.jsonl -q -O $'a\\xff' --receipt $'r\\xff.json'")


@pytest.mark.parametrize("command", [
    "lid pool.jsonl --receipt ''", "lid pool.jsonl -o ''", "lid pool.jsonl -O ''", "lid pool.jsonl --dropped ''",
    "lid pool.jsonl --rejects ''", "count pool.jsonl -m toy -o ''", "curate pool.jsonl -m toy --t-all 1 -o ''",
    "build-metadata merge sources -o ''", "build-metadata pack toy -o ''", "tokenizer pool.jsonl -o ''",
    "sample pool.jsonl -c c -t t --uids ''", "build-metadata wordnet sources -o ''", "images pack sources -O ''",
    "eval zeroshot --model m -o ''"])
def test_an_empty_name_is_refused_at_once(toy, command):
    toy.write("pool.jsonl", PAIR)
    toy.fails(f"mc2 {command}", 2, "the name is empty")
