"""Pairs that were sampled are never sampled again by online curation: their manifests say so."""
import io
import tarfile

import pytest

from mc2 import manifests
from mc2.errors import BadData
from mc2.training import job, presets

SAMPLE = "mc2 sample m.jsonl -c counts -t t.json --seed 3"
NAME = f"{1:024x}"


@pytest.fixture
def sh(artefacts):
    with tarfile.open(artefacts / "0.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(f"{NAME}.jpg"), io.BytesIO())
    (artefacts / "keep.py").write_text("from mc2.execution.stage import Stage\n\n\nclass All(Stage):\n"
                                       "    def __call__(self, batch):\n        pass\n")
    return artefacts


def configure(sh, pairs, curation="online", tars="0.tar"):
    changes = [("data", "train_data", [str(sh / tars)]), ("data", "pairs", pairs and [str(sh / pairs)]),
               ("data", "counts", str(sh / "counts")), ("data", "thresholds", str(sh / "t.json")),
               ("data", "curation", curation), ("run", "output", str(sh / "run")), ("schedule", "global_batch", 1)]
    return job.configure(presets.load("b32-xlmv", [change for change in changes if change[2] is not None]))


@pytest.mark.parametrize("way", [
    f"{SAMPLE} -o s.jsonl && mc2 join s.jsonl --tars 0.tar -O pairs",
    f"{SAMPLE} -O s && mc2 join s/m.jsonl --tars 0.tar -O pairs",
    f"{SAMPLE} -o s.jsonl && mc2 join m.jsonl s.jsonl --tars 0.tar -O pairs",
    f"{SAMPLE} -o s.parquet && mc2 filter pairs s.parquet --with keep:All -o f.jsonl && mc2 match f.jsonl -m toy -O g "
    "&& mc2 join g/f.jsonl --tars 0.tar -O pairs",
    "mc2 curate m.jsonl -m toy --t-all 5 --seed 3 -o out && mc2 join out/curated/m.jsonl --tars 0.tar -O pairs"])
def test_join_carries_on_that_pairs_were_sampled_and_online_curation_refuses_them(sh, way):
    if "parquet" in way:
        pytest.importorskip("pyarrow")
    for command in way.split(" && "):
        sh.ok(f"{command} -q")
    assert manifests.sampled([str(sh / "pairs/0.jsonl.zst")])["seed"] == "3"
    with pytest.raises(BadData, match=r"0.jsonl.zst: its pairs were sampled already \(seed 3.*--curation offline"):
        configure(sh, "pairs/0.jsonl.zst")
    assert configure(sh, "pairs/0.jsonl.zst", "offline")["inputs"]["pairs"] == [str(sh / "pairs/0.jsonl.zst")]


def test_a_damaged_manifest_does_not_pass_for_that_of_pairs_that_were_not_sampled(sh):
    sh.ok(f"{SAMPLE} -o s.jsonl -q && mc2 join s.jsonl --tars 0.tar -O pairs -q")
    manifest = sh / "pairs/0.jsonl.zst.manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"sampled"', b'"samples"'))
    with pytest.raises(BadData, match="0.jsonl.zst.manifest.json"):
        configure(sh, "pairs/0.jsonl.zst")


def test_online_curation_refuses_the_tars_of_an_exported_data_set(sh):
    pytest.importorskip("pyarrow")
    with tarfile.open(sh / "0.tar", "w") as tar:
        info = tarfile.TarInfo(f"{NAME}.jpg")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"J"))
    sh.ok("mc2 thresholds counts --t-all 500 -o all.json -q && mc2 sample m.jsonl -c counts -t all.json --seed 3 -o s.jsonl -q")
    sh.ok("mc2 export s.jsonl -o set --format webdataset --images 0.tar -q")
    with pytest.raises(BadData, match=r"of-00001.tar: its pairs were sampled already \(seed 3"):
        configure(sh, None, tars="set/data/train-00000-of-00001.tar")
    sh.ok("mc2 export m.jsonl -o all --format webdataset --images 0.tar -q")
    configure(sh, None, tars="all/data/train-00000-of-00001.tar")


def test_matched_pairs_and_pairs_without_a_manifest_are_sampled_online(sh):
    sh.ok("mc2 join m.jsonl --tars 0.tar -O pairs -q && mc2 match m.jsonl -m toy -o matched.jsonl -q")
    for pairs in ("pairs/0.jsonl.zst", "matched.jsonl", "m.jsonl"):
        assert manifests.sampled([str(sh / pairs)]) is None
        configure(sh, pairs)


@pytest.mark.parametrize("source", ["photos", "s.jsonl --images photos"])
def test_images_pack_carries_it_on_to_tars_and_pairs(sh, source):
    sh.write("m.jsonl", {"id": "a", "file_name": "a.jpg", "text": "a red circle", "lang": "en",
                         "matched_entry_ids": [0, 1, 2, 4]})
    (sh / "photos").mkdir()
    (sh / "photos/a.jpg").write_bytes(b"A")
    output = "photos/metadata.jsonl" if source == "photos" else "s.jsonl"
    sh.ok("mc2 thresholds counts --t-all 5 -o all.json -q")
    sh.ok(f"mc2 sample m.jsonl -c counts -t all.json -o {output} -q && mc2 images pack {source} -O tars -q")
    for pairs in (None, "tars/00000.jsonl.zst"):
        with pytest.raises(BadData, match=r"00000\.(tar|jsonl\.zst): its pairs were sampled already"):
            configure(sh, pairs, tars="tars/00000.tar")


def test_a_run_is_not_written_for_pairs_that_it_would_refuse(sh):
    sh.ok(f"{SAMPLE} -o s.jsonl -q && mc2 join s.jsonl --tars 0.tar -O pairs -q")
    given = "--train-data 0.tar --pairs pairs/0.jsonl.zst -c counts -t t.json"
    sh.fails(f"mc2 train --init b32-xlmv run {given}", 3, "sampled already", "--curation offline")
    sh.ok(f"mc2 train --init b32-xlmv run {given} --curation offline -q")
