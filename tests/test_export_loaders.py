"""Where `datasets` and mlcroissant are installed, they load what `mc2 export` makes."""
import io
import json
import os
import subprocess
import sys
import tarfile
from datetime import date
from decimal import Decimal

import pytest

mlcroissant = pytest.importorskip("mlcroissant")
epath = pytest.importorskip("etils.epath")
datasets = pytest.importorskip("datasets")
Image = pytest.importorskip("PIL.Image")

TEXTS = [("en", "a red circle"), ("fr", "un chat"), ("zh_yue", "貓: - #")]


@pytest.fixture
def sh(sh, monkeypatch, tmp_path_factory):
    """A Shell with 12 pairs of 8 images, two shards whose columns differ, and two tars; nothing is fetched."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
    # it keeps what it unpacked by the relative name of the tar alone, whichever data set that is of
    monkeypatch.setattr("mlcroissant._src.operation_graph.operations.extract.EXTRACT_PATH", epath.Path(sh / "unpacked"))
    pairs = [{"id": f"{number % 8}", "text": f"{TEXTS[number % 3][1]} {number}", "lang": TEXTS[number % 3][0],
              "matched_entry_ids": [number], "no": number if number else 0.5} for number in range(12)]
    pairs.sort(key=lambda pair: pair["id"])
    sh.write("pairs/0.jsonl", *pairs[:6])
    sh.write("pairs/1.jsonl", *({**pair, "who": {"name": "me"}} for pair in pairs[6:]))
    for number in range(2):
        with tarfile.open(sh / f"{number}.tar", "w") as tar:
            for image in range(4 * number, 4 * number + 4):
                body = io.BytesIO()
                Image.new("RGB", (4, 4), (image, 0, 0)).save(body, "png")
                info = tarfile.TarInfo(f"{image}.{'png' if image == 7 else 'jpg'}")
                info.size = len(body.getvalue())
                tar.addfile(info, io.BytesIO(body.getvalue()))
    sh.pairs = pairs
    return sh


def validated(path):
    """The mlcroissant.Dataset of a croissant.json which its command accepts."""
    done = subprocess.run([os.path.join(os.path.dirname(sys.executable), "mlcroissant"), "validate", "--jsonld", path],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower() and "not standard" not in done.stderr, done.stderr
    return mlcroissant.Dataset(str(path))


@pytest.mark.parametrize("format", ["parquet", "hf"])
@pytest.mark.parametrize("images", ["", "--images '*.tar'"])
def test_tables_load_with_and_without_images(sh, format, images):
    sh.ok(f"mc2 export pairs -o set --format {format} --file-size 1 {images} -q")
    loaded = datasets.load_dataset(str(sh / "set"))
    assert list(loaded) == ["train"]
    sets = [loaded["train"], datasets.load_dataset(str(sh / "set"), split="train", streaming=True)]
    sets += [datasets.load_from_disk(str(sh / "set"))["train"]] if format == "hf" else []
    for rows in map(list, sets):
        assert [(row["id"], row["text"], row["lang"], row["matched_entry_ids"], row["no"]) for row in rows] == [
            tuple(pair[key] for key in ("id", "text", "lang", "matched_entry_ids", "no")) for pair in sh.pairs]
        assert [row["who"] for row in rows] == [None] * 6 + [{"name": "me"}] * 6
        if images:
            assert [row["image"].getpixel((0, 0))[0] for row in rows] == [int(pair["id"]) for pair in sh.pairs]
    croissant = validated(sh / "set/croissant.json")
    if format == "parquet":                                         # mlcroissant reads no Arrow files
        records = list(croissant.records("pairs"))
        assert [record["pairs/text"].decode() for record in records] == [pair["text"] for pair in sh.pairs]
        assert not images or records[0]["pairs/image"].size == (4, 4)


def test_tars_load(sh):
    sh.ok("mc2 export pairs -o set --format webdataset --images '*.tar' --file-size 12K -q")
    assert len(list((sh / "set/data").glob("*.tar"))) > 1
    for streaming in (False, True):
        found = list(datasets.load_dataset(str(sh / "set"), split="train", streaming=streaming))
        assert [row["json"]["id"] for row in found] == [f"{number}" for number in range(8)]
        assert [row["txt"] for row in found] == [row["json"]["text"] for row in found]
        assert [(row["jpg"] or row["png"]).getpixel((0, 0))[0] for row in found] == list(range(8))
        assert [len(row["json"]["more_pairs"] or []) for row in found] == [1] * 4 + [0] * 4
    croissant = validated(sh / "set/croissant.json")
    records = {name: list(croissant.records(name)) for name in ("image", "text", "json")}
    assert sorted(json.loads(record["json/json"])["id"] for record in records["json"]) == [f"{n}" for n in range(8)]
    assert {record["image/key"] for record in records["image"]} == {record["text/key"] for record in records["text"]}


def test_every_front_matter_is_read(sh):
    sh.ok("mc2 export pairs -o set --title 'no' --license 'cc-by-4.0' --split a.b -q")
    from huggingface_hub import DatasetCard
    content = DatasetCard.load(str(sh / "set/README.md")).data.to_dict()
    assert (content["pretty_name"], content["license"], content["language"]) == ("no", "cc-by-4.0", ["en", "fr", "yue"])
    assert content["configs"] == [{"config_name": "default", "data_files": [
        {"split": "a.b", "path": "data/a.b-*.parquet"}]}]
    assert len(datasets.load_dataset(str(sh / "set"), split="a.b")) == 12


@pytest.mark.parametrize("format", ["parquet", "hf"])
def test_columns_of_every_kind_load(sh, format):
    import pyarrow as pa
    import pyarrow.parquet as pq
    columns = {"id": ["a", "b"], "text": ["x", 'y\n"q": #'], "lang": pa.array(["en", None]).dictionary_encode(),
               "my column: x": [1, None], "": [1, 2], "price": pa.array([Decimal("1.50")] * 2, pa.decimal128(5, 2)),
               "bytes": [b"\xff", None], "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
               "lists": [[[1], []], None], "nothing": pa.nulls(2), "struct": [{"a": {"b": [1.5]}}] * 2,
               "day": [date(2020, 1, 2)] * 2}
    pq.write_table(pa.table(columns), sh / "odd.parquet")
    sh.ok(f"mc2 export odd.parquet -o set --format {format} -q")
    first, second = datasets.load_dataset(str(sh / "set"), split="train")
    assert first == {"id": "a", "text": "x", "lang": "en", "my column: x": 1, "": 1, "price": Decimal("1.50"),
                     "bytes": b"\xff", "map": [{"key": "k", "value": 1}], "lists": [[1], []], "nothing": None,
                     "struct": {"a": {"b": [1.5]}}, "day": date(2020, 1, 2)}
    assert second["text"] == 'y\n"q": #' and second["map"] is None
    validated(sh / "set/croissant.json")
