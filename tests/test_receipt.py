"""--receipt FILE and --json: what a command did, for programs."""
import json

from conftest import pair


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
    sh.fails("mc2 status . --json", 2, "no work of mc2 was begun here")
