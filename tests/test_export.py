"""mc2 export: a curated set becomes a data set with a card. tests/test_export_loaders.py loads what is made here."""
import hashlib
import io
import json
import os
import tarfile

import pytest

pa = pytest.importorskip("pyarrow")

import pyarrow.parquet as pq                                        # noqa: E402

from mc2 import tars                                                # noqa: E402
from mc2.exporting import card, columns, division                   # noqa: E402

PAIRS = [{"id": "a", "url": "http://a.example/a", "text": "a cat", "lang": "en", "n": 1},
         {"id": "a", "url": "http://a.example/a", "text": "un chat", "lang": "fr", "n": 2.5},
         {"id": "b", "url": "http://a.example/b", "text": "貓|x", "lang": "zh_yue", "tags": ["x"]}]
MORE = [{"id": "c", "text": "no image", "lang": "en", "n": None, "of": {"deep": [1]}}]


def write_tar(path, images):
    """images: {name of a member: bytes}"""
    with tarfile.open(path, "w") as tar:
        for name, body in images.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))


@pytest.fixture
def sh(sh):
    sh.write("pairs/0.jsonl", *PAIRS)
    sh.write("pairs/1.jsonl", *MORE)
    write_tar(sh / "0.tar", {"a.jpeg": b"A" * 900, "b.png": b"B" * 900})
    write_tar(sh / "1.tar", {"d.jpg": b"D"})
    return sh


def rows(path):
    return [{key: value for key, value in row.items() if value is not None} for row in pq.read_table(path).to_pylist()]


def front_matter(path):
    return path.read_text("utf-8").split("---\n")[1]


def test_files_become_parquet_with_one_schema_a_card_and_croissant(sh):
    done = sh("mc2 export pairs -o set --file-size 1")
    assert done.stderr.startswith("export: 4 pairs in 3 languages, 4 files of parquet -> set (")
    names = [f"train-{number:05d}-of-00004.parquet" for number in range(4)]
    assert sorted(os.listdir(sh / "set")) == ["README.md", "croissant.json", "data", "manifest.json"]
    assert sorted(os.listdir(sh / "set/data")) == names
    assert len({str(pq.read_schema(sh / "set/data" / name)) for name in names}) == 1
    assert [row for name in names for row in rows(sh / "set/data" / name)] == [
        {**PAIRS[0], "n": 1.0}, *PAIRS[1:], {key: value for key, value in MORE[0].items() if key != "n"}]
    croissant = json.loads((sh / "set/croissant.json").read_bytes())
    described = {each["contentUrl"]: each["sha256"] for each in croissant["distribution"] if "sha256" in each}
    assert described == {f"data/{name}": hashlib.sha256((sh / "set/data" / name).read_bytes()).hexdigest()
                         for name in names}
    record_set, = croissant["recordSet"]
    assert [field["name"] for field in record_set["field"]] == ["id", "url", "text", "lang", "n", "tags"]
    assert "of" in record_set["description"]


def test_the_front_matter_has_languages_size_files_and_a_licence_to_fill_in(sh):
    sh.ok("mc2 export pairs -o set --split validation --title 'Cats: a set' -q")
    assert front_matter(sh / "set/README.md").splitlines() == [
        'pretty_name: "Cats: a set"',
        "license: unknown  # TO FILL IN: e.g. cc-by-4.0; or `other` with license_name and license_link",
        "# license_name:", "# license_link:", "language:", "- en", "- fr", "- yue", "multilinguality:",
        "- multilingual", "size_categories:", "- n<1K", "task_categories:", "- image-to-text",
        "- zero-shot-image-classification", "tags:", "- image-text-pairs", "- mc2", "configs:",
        "- config_name: default", "  data_files:", "  - split: validation",
        '    path: "data/validation-*.parquet"']
    assert (sh / "set/data/validation-00000-of-00001.parquet").exists()


def test_with_images_rows_hold_them_and_pairs_without_one_are_counted(sh):
    done = sh("mc2 export pairs -o set --images '*.tar' --file-size 1")
    assert "3 pairs in 3 languages with 2 images, 2 files of parquet, 1 without an image in the tars" in done.stderr
    found = [row for number in range(2) for row in rows(sh / f"set/data/train-{number:05d}-of-00002.parquet")]
    assert [(row["id"], row["text"], row["image"]) for row in found] == [
        ("a", "a cat", {"bytes": b"A" * 900, "path": "a.jpeg"}),
        ("a", "un chat", {"bytes": b"A" * 900, "path": "a.jpeg"}),
        ("b", "貓|x", {"bytes": b"B" * 900, "path": "b.png"})]
    assert "1 without an image in the tars" in (sh / "set/README.md").read_text("utf-8")


def test_webdataset_has_a_sample_per_image_with_all_of_its_pairs(sh):
    sh.ok("mc2 export pairs -o set --format webdataset --images '*.tar' -q")
    found = {key: dict(members) for key, members in samples_of(sh / "set/data/train-00000-of-00001.tar")}
    assert found == {
        "00000_000000": {"jpg": b"A" * 900, "txt": b"a cat", "json": {**PAIRS[0], "n": 1.0, "more_pairs": [PAIRS[1]]}},
        "00000_000001": {"png": b"B" * 900, "txt": "貓|x".encode(), "json": PAIRS[2]}}
    assert sh.ok("mc2 join pairs/*.jsonl --tars set/data -O again -q") == ""        # mc2 reads what it wrote
    sh.fails("mc2 export pairs -o other --format webdataset", 2, "--images 'tars/*.tar'")


def samples_of(path):
    for key, members in tars.samples(str(path)):
        yield key, {name: json.loads(members[name]) if name == "json" else members[name] for name in members}


def test_hf_is_what_save_to_disk_writes(sh):
    sh.ok("mc2 export pairs/0.jsonl -o set --format hf -q")
    state = json.loads((sh / "set/train/state.json").read_bytes())
    assert state["_data_files"] == [{"filename": "data-00000-of-00001.arrow"}] and state["_split"] == "train"
    assert json.loads((sh / "set/dataset_dict.json").read_bytes()) == {"splits": ["train"]}
    with pa.ipc.open_stream((sh / "set/train/data-00000-of-00001.arrow").read_bytes()) as stream:
        assert stream.read_all().column("text").to_pylist() == ["a cat", "un chat", "貓|x"]


@pytest.fixture
def curated(artefacts):
    artefacts.write("pool.jsonl", *({"id": f"{number}", "text": "a red circle"} for number in range(40)))
    artefacts.ok("mc2 curate pool.jsonl -m toy --t-all 5 --seed 7 --single en -o out -q")
    return artefacts


def test_the_card_says_how_the_pairs_were_made(curated):
    curated.ok("mc2 export out -o set -q")
    text = (curated / "set/README.md").read_text("utf-8")
    manifest = json.loads((curated / "out/manifest.json").read_bytes())
    assert "| seed | 7 |" in text and "(t_all) | 5 |" in text and manifest["lineage"]["metadata"] in text
    kept = manifest["languages"]["en"]["kept"]
    assert f"| en | {kept} | 40 | 40 | 5 |" in text and "it is not known whether" not in text
    curated.ok("mc2 export out/curated/pool.jsonl -o files -q && mc2 export pool.jsonl -o raw -q")
    text = (curated / "files/README.md").read_text("utf-8")
    assert "| seed | 7 |" in text and "(t_all) | 5 |" in text
    assert "**it is not known whether this set is balanced.**" in (curated / "raw/README.md").read_text("utf-8")


def test_a_folder_is_that_of_curate_or_one_of_shards_and_of_nothing_else(curated):
    curated.ok("mc2 sample out/matched/pool.jsonl -c out/counts -t out/thresholds.json --seed 7 -O sampled -q")
    sets = []
    for folder in ("out", "out/curated", "sampled"):
        curated.ok(f"mc2 export {folder} -o set -f -q")
        sets.append(rows(curated / "set/data/train-00000-of-00001.parquet"))
    assert sets[0] == sets[1] == sets[2] and sets[0]
    curated.fails("mc2 export toy -o x", 2, "not curated pairs")
    curated.fails("mc2 export set -o x", 2, "this is a data set directory")
    curated.fails("mc2 export counts -o x", 2, "not curated pairs")
    (curated / "out/manifest.json").unlink()
    curated.fails("mc2 export out -o x", 3, "this curation is not finished")
    curated.fails("mc2 export - -o x", 2, "stdin")
    curated.fails("mc2 export nothing -o x", 2, "no such file")
    curated.fails("mc2 export pool.jsonl pool.jsonl -o x", 2, "named twice")
    curated.fails("mc2 export set/data/*.parquet -o set", 2, "is in the output")
    curated.fails("mc2 export pool.jsonl -o toy", 2, "holds no data set")


def test_a_finished_set_is_left_alone_and_a_changed_card_is_never_replaced(sh):
    sh.ok("mc2 export pairs -o set -q")
    before = (sh / "set/data/train-00000-of-00001.parquet").stat()
    assert ", which were finished" in sh("mc2 export pairs -o set --license cc0-1.0").stderr
    assert (sh / "set/data/train-00000-of-00001.parquet").stat() == before
    assert "license: cc0-1.0" in (sh / "set/README.md").read_text()
    (sh / "set/README.md").write_text("mine")
    assert "note: set/README.md was changed by hand and stays as it is" in sh("mc2 export pairs -o set --license mit").stderr
    assert (sh / "set/README.md").read_text() == "mine" and b'"mit"' in (sh / "set/croissant.json").read_bytes()
    sh.fails("mc2 export pairs -o set --format hf", 2, "README.md: was changed by hand", "-f")
    sh.ok("mc2 export pairs -o set --format hf -f -q")
    assert sorted(os.listdir(sh / "set")) == ["README.md", "croissant.json", "dataset_dict.json", "manifest.json",
                                              "train"]
    (sh / "set/train/data-00000-of-00001.arrow").write_bytes(b"")                      # a copy that was cut off
    sh.ok("mc2 export pairs -o set --format hf -q")
    assert (sh / "set/train/data-00000-of-00001.arrow").stat().st_size


def test_a_run_that_was_stopped_goes_on(sh, monkeypatch):
    from mc2.errors import BadData
    from mc2.exporting.writing import WriteFiles
    write, made = WriteFiles.__call__, []

    def stopping(task, number):
        made.append(number)
        if number == 1 and len(made) < 3:
            raise BadData("stopped")
        return write(task, number)

    monkeypatch.setattr(WriteFiles, "__call__", stopping)
    assert sh("mc2 export pairs/0.jsonl -o set --file-size 1").status == 3
    assert not (sh / "set/README.md").exists() and not (sh / "set/data").exists()
    sh.ok("mc2 export pairs/0.jsonl -o set --file-size 1 -q")
    assert made == [0, 1, 2, 1] and len(os.listdir(sh / "set/data")) == 3 and not (sh / "set/.work").exists()
    monkeypatch.undo()
    sh.ok("mc2 export pairs/0.jsonl -o again --file-size 1 -j 2 -q")
    for name in os.listdir(sh / "set/data"):
        assert (sh / "set/data" / name).read_bytes() == (sh / "again/data" / name).read_bytes()


def test_what_cannot_become_a_data_set_is_refused(sh):
    sh.write("empty.jsonl")
    assert "there are no pairs" in sh("mc2 export empty.jsonl -o x").stderr
    sh.write("2.jsonl", {"id": "x", "text": "y", "n": "text"})
    done = sh("mc2 export pairs/0.jsonl 2.jsonl -o y")
    assert done.status == 3 and 'the key "n" is double in 0.jsonl, but string in 2.jsonl.' in done.stderr
    sh.write("3.jsonl", {"id": "a", "text": "y", "image": "a.jpg"})
    done = sh("mc2 export 3.jsonl -o z --images 0.tar")
    assert done.status == 3 and 'have a key "image" already' in done.stderr
    sh.write("4.jsonl", {"id": "nowhere", "text": "y"})
    done = sh("mc2 export 4.jsonl -o w --images 0.tar")
    assert done.status == 3 and "0 of 1 pairs have an image" in done.stderr
    sh.write("5.jsonl", PAIRS[0], "no json")
    assert "5.jsonl:2: not JSON" in sh("mc2 export 5.jsonl -o v").stderr
    sh.write("6.jsonl", {"id": "a", "text": "y", "more_pairs": [1]})
    done = sh("mc2 export 6.jsonl -o u --format webdataset --images 0.tar")
    assert done.status == 3 and 'have a key "more_pairs" already' in done.stderr
    sh.write("7.jsonl", {"id": "a", "text": "y", "n": {}})
    done = sh("mc2 export 7.jsonl -o t")
    assert done.status == 3 and "Leave these keys out" in done.stderr


def test_pairs_without_an_id_are_counted(sh):
    sh.write("6.jsonl", PAIRS[0], {"id": None, "text": "y"}, {"id": "e", "text": None})
    for images in ("", "--images 0.tar"):
        assert "1 without id, 1 without text" in sh(f"mc2 export 6.jsonl -o set{len(images)} {images}").stderr


def parts(*weights):
    np = pytest.importorskip("numpy")
    return [(np.array(its, float), np.array([weight >= 0 for weight in its])) for its in weights]


def test_files_are_filled_up_to_their_size_and_a_sample_is_never_divided():
    assert division.divide(parts([4, 4, 4], [4, 4]), 8) == [[(0, 0, 2)], [(0, 2, 3), (1, 0, 1)], [(1, 1, 2)]]
    assert division.divide(parts([9, 1], [], [1]), 5) == [[(0, 0, 1)], [(0, 1, 2), (2, 0, 1)]]
    whole, begins = parts([3, 3, 3, 3])[0]
    begins[1] = begins[3] = False                                   # two images of two rows each
    assert division.divide([(whole, begins)], 7) == [[(0, 0, 2)], [(0, 2, 4)]]
    assert division.divide([], 7) == []


@pytest.mark.parametrize("number, category", [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10 ** 7, "10M<n<100M"),
                                              (10 ** 12, "n>1T")])
def test_size_categories_are_those_of_the_hub(number, category):
    assert card.size_category(number) == category


def test_languages_are_codes_of_iso_639_and_types_those_of_datasets():
    assert card.codes(["en", "simple", "zh_yue", "als", "other", "", "be_tarask"]) == ["en", "yue", "gsw", "be"]
    assert columns.feature(pa.list_(pa.struct([("a", pa.list_(pa.uint32()))]))) \
        == {"list": [{"name": "a", "list": "uint32"}]}
    assert columns.feature(columns.in_json(pa.float32())) == {"dtype": "float64"}
    assert columns.in_json(pa.struct([("t", pa.timestamp("us")), ("b", pa.list_(pa.binary()))])) == pa.struct(
        [("t", pa.string()), ("b", pa.list_(pa.string()))])


@pytest.mark.parametrize("format", ["parquet", "hf", "webdataset"])
def test_a_tar_that_becomes_shorter_meanwhile_ends_the_command_with_its_name(sh, monkeypatch, format):
    divide = division.divide

    def cut_off(*given):
        os.truncate(sh / "0.tar", 700)
        return divide(*given)

    monkeypatch.setattr(division, "divide", cut_off)
    done = sh(f"mc2 export pairs -o set --format {format} --images 0.tar -q")
    assert (done.status, done.stderr.count("\n")) == (3, 1) and "0.tar: became shorter while it was read" in done.stderr
    assert not (sh / "set/README.md").exists()


def test_an_integer_that_no_double_equals_is_named(sh):
    sh.write("odd/0.jsonl", {"id": "a", "text": "x", "n": 2 ** 53 + 1})
    sh.write("odd/1.jsonl", {"id": "b", "text": "y", "n": 0.5})
    done = sh("mc2 export odd -o set")
    assert done.status == 3 and 'mc2 export: 0.jsonl: the key "n" does not fit its column (' in done.stderr


def test_a_receipt_is_written_but_not_into_the_set(sh):
    sh.ok("mc2 export pairs -o set --receipt r.json -q")
    assert json.loads((sh / "r.json").read_bytes())["counts"]["out"] == 4
    sh.fails("mc2 export pairs -o new --receipt new/r.json", 2, "lies in the output directory new")
    sh.fails("mc2 export pairs -o new --receipt pairs/0.jsonl", 2, "pairs/0.jsonl")
    assert not (sh / "new").exists()
