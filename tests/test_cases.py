"""Small inputs that people met in the world, each with the right value."""
import json

import pytest
from advised import follow


def write_parquet(path, **columns):
    """Write columns (lists, or arrays of Arrow) as a file of Parquet."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table(columns), path)


def test_columns_of_laion_are_named_with_a_way_out(sh):
    write_parquet(sh / "laion.parquet", SAMPLE_ID=[1, 2], URL=["http://a.example/1", "http://a.example/2"],
                  TEXT=["a red cat", "un chat noir"])
    done = sh.fails(
        "mc2 lid laion.parquet", 3, 'laion.parquet:1: no "id" key. Every pair needs an image id. The columns are '
                                    "SAMPLE_ID (int64), URL (string), TEXT (string). Give them these names, e.g. ")
    follow(sh, done.stderr)
    assert [(pair["id"], pair["text"], pair["URL"], pair["lang"]) for pair in map(json.loads, sh.ok(
        "mc2 lid new.parquet -q").splitlines())] == [
            ("1", "a red cat", "http://a.example/1", "en"), ("2", "un chat noir", "http://a.example/2", "fr")]


def test_columns_of_cc2dataset_are_named_with_a_way_out(sh):
    write_parquet(sh / "cc.parquet", uid=[f"{1:032}", f"{2:032}"], url=["http://a.example/1"] * 2,
                  alt=["a red cat", "un chat noir"])
    done = sh.fails(
        "mc2 lid cc.parquet", 3, 'cc.parquet:1: no "id" key. Every pair needs an image id. The columns are uid '
                                 "(string), url (string), alt (string). Give them these names, e.g. ")
    follow(sh, done.stderr)
    assert [(pair["id"], pair["text"]) for pair in map(json.loads, sh.ok("mc2 lid new.parquet -q").splitlines())] == [
        (f"{1:032}", "a red cat"), (f"{2:032}", "un chat noir")]


def test_texts_that_are_bytes_of_utf_8_are_texts(sh):
    write_parquet(sh / "binary.parquet", id=["1", "2"], text=[b"a red cat", b"un chat noir"])
    assert sh.ok("mc2 lid binary.parquet -q") == (
        '{"id":"1","text":"a red cat","lid":"en","lid_prob":0.3847,"lang":"en"}\n'
        '{"id":"2","text":"un chat noir","lid":"fr","lid_prob":0.6255,"lang":"fr"}\n')


def test_nan_is_named_with_a_way_out(sh):
    sh.write("nan.jsonl", '{"id":"a","text":"a red cat","similarity":NaN}')
    done = sh.fails(
        "mc2 lid nan.jsonl", 3, "nan.jsonl:1: not JSON. Column 43: NaN is no number of JSON; Python's json writes it "
                                "unless allow_nan=False is given. Write null in its place, e.g. ")
    follow(sh, done.stderr)
    assert sh.read("new.jsonl") == [{"id": "a", "text": "a red cat", "similarity": None}]
    sh.ok("mc2 lid new.jsonl -q")
