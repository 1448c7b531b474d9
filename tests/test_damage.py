"""Damaged files: whatever mc2 wrote is refused, or made again, but never gives another answer without a word.

The second half tries benchmarks/damage.py at some places of every kind of file.
"""
import importlib.util
import json
import os
import shutil
import sys

import numpy as np
import orjson
import pytest

from conftest import ROOT, pair
from mc2 import documents, engines, files, manifests, package_data
from mc2.errors import BadData
from mc2.metadata import parts
from mc2.metadata.matching import Matcher

sys.path.append(str(ROOT / "benchmarks"))
import damage                                                           # noqa: E402

PLACES, PLACES_WITH_TORCH = 20, 8
with_torch = pytest.mark.skipif(not damage.has_torch(), reason="needs mc2[train]")


def replace(path, old, new):
    """Replace bytes in a file, which keeps its size and its times where they are as long."""
    data, times = path.read_bytes(), os.stat(path)
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


# ---------------------------------------------------------------- documents

def test_a_document_holds_the_checksum_of_all_else_in_it():
    data = documents.dumped({"b": 1, "a": [2.5, None]})
    assert orjson.loads(data) == {"b": 1, "a": [2.5, None], "checksum": documents.checksum({"a": [2.5, None], "b": 1})}
    assert documents.parsed(data, "x.json", "") == {"b": 1, "a": [2.5, None]}


def test_a_document_may_be_laid_out_anew_or_have_no_checksum():
    content = orjson.loads(documents.dumped({"b": 1, "a": 2}))
    assert documents.parsed(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), "x.json", "") == {"b": 1, "a": 2}
    assert documents.parsed(b'{"b": 1, "a": 2}', "x.json", "") == {"b": 1, "a": 2}


@pytest.mark.parametrize("data, reason", [
    (documents.dumped({"t": 20}).replace(b"20", b"21"), "its content does not fit its checksum"),
    (documents.dumped({"t": 20})[:-4], "damaged"), (b"", "damaged"), (b"[1]", "it holds no JSON object"),
    (b"\xff", "damaged"), (b'{"checksum": 1}', "does not fit"), (b'{"a":' * 5000, "damaged")])
def test_a_damaged_document_is_refused_with_its_name_and_what_to_do(data, reason):
    with pytest.raises(BadData, match=f"^x.json: is damaged.*{reason}.* Make it again." if reason != "damaged"
                       else "^x.json: is damaged.* Make it again."):
        documents.parsed(data, "x.json", "Make it again.")


def test_a_line_of_a_log_has_a_checksum_too():
    line = documents.dumped_line({"step": 12})
    assert documents.parsed_line(line) == documents.parsed_line(b'{"step":12}\n') == {"step": 12}
    with pytest.raises(ValueError, match="does not fit its checksum"):
        documents.parsed_line(line.replace(b"12", b"13"))


# ---------------------------------------------------------------- releases, counts, thresholds

@pytest.mark.parametrize("old, new", [
    (b'"wiki_codes"', b'"wiki_cudes"'), (b'"entries": 6', b'"entries": 7'), (b'"cannot_match"', b'"cannot_watch"'),
    (b'"scheme": "lid176"', b'"scheme": "lid177"')])
def test_a_manifest_of_a_release_with_a_flipped_bit_is_refused(toy, old, new):
    toy.write("in.jsonl", pair(1, "red", "en"))
    replace(toy / "toy/manifest.json", old, new)
    for command in "inspect toy", "match in.jsonl -m toy -o out.jsonl", "build-metadata pack toy -o toy.tar.zst":
        toy.fails(f"mc2 {command}", 3, "toy/manifest.json: is damaged: its content does not fit its checksum",
                  "Make the directory again")


def test_a_release_of_an_earlier_version_is_read_and_what_it_lacks_is_no_unexpected_error(toy):
    toy.write("in.jsonl", pair(1, "red", "en"))
    content = json.loads((toy / "toy/manifest.json").read_text())
    del content["checksum"]
    (toy / "toy/manifest.json").write_text(json.dumps(content))
    assert json.loads(toy.ok("mc2 match in.jsonl -m toy -q"))["matched_entry_ids"] == [0]
    toy.ok("mc2 inspect toy")
    del content["languages"]["en"]["wiki_codes"]
    (toy / "toy/manifest.json").write_text(json.dumps(content))
    toy.fails("mc2 inspect toy", 3, "toy: is damaged or incomplete", "wiki_codes")


def test_thresholds_that_were_changed_are_refused_unless_their_checksum_is_taken_out(artefacts):
    replace(artefacts / "t.json", b'"t": 1', b'"t": 9')
    for command in "sample m.jsonl -c counts -t t.json -o new.jsonl", "inspect t.json":
        artefacts.fails(f"mc2 {command}", 3, "t.json: is damaged: its content does not fit its checksum",
                        "'mc2 thresholds'", 'take out its "checksum"')
    content = json.loads((artefacts / "t.json").read_bytes())
    (artefacts / "t.json").write_text(json.dumps({key: content[key] for key in content if key != "checksum"}))
    artefacts.ok("mc2 sample m.jsonl -c counts -t t.json -o new.jsonl -q")


def test_a_count_with_a_flipped_bit_is_refused(artefacts):
    data = bytearray((artefacts / "counts/en.npy").read_bytes())
    data[-8] ^= 1
    (artefacts / "counts/en.npy").write_bytes(data)
    artefacts.fails("mc2 sample m.jsonl -c counts -t t.json -o new.jsonl", 3, "counts/en.npy: was changed",
                    "'mc2 count'")


@pytest.mark.skipif(engines.native() is None, reason="without the native core there are no compiled matchers")
def test_a_matcher_with_a_flipped_bit_is_compiled_again_whoever_opens_it(toy):
    whole = (toy / "toy/en.matcher").read_bytes()
    for place in range(0, len(whole), 97):
        (toy / "toy/en.matcher").write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1:])
        assert Matcher.load(toy / "toy", "en").match(["a red circle"])[1].tolist() == [0, 1, 2, 4]


# ---------------------------------------------------------------- sources

@pytest.fixture
def words(sh):
    """A Shell with sources/fr.unigram.tsv, made by mc2."""
    sh.write("fr.txt", "un chat noir", "un chien et un chat")
    sh.ok("mc2 build-metadata ngrams --wiki fr --text fr.txt -o sources --min-count 1 -q")
    assert (sh / "sources/fr.unigram.tsv").read_text() == "un\t3\nchat\t2\nchien\t1\net\t1\nnoir\t1\n"
    return sh


@pytest.mark.parametrize("content, how", [
    ("un\t3\nchat\t2\nchien\t1\net\t1\n", "it is 25 bytes, and was 32"),
    ("un\t3\nchat\t2\nchiem\t1\net\t1\nnoir\t1\n", "its checksum is not the one that it had")])
def test_a_source_that_is_not_what_its_manifest_says_is_refused(words, content, how):
    (words / "sources/fr.unigram.tsv").write_text(content)
    for command in "build-metadata merge sources -o new", "inspect sources", "inspect sources/fr.unigram.tsv":
        words.fails(f"mc2 {command}", 3, "sources/fr.unigram.tsv: is damaged, or was changed", how,
                    "delete", "fr.unigram.tsv.manifest.json")
    (words / "sources/fr.unigram.tsv.manifest.json").unlink()
    words.ok("mc2 build-metadata merge sources -o new -q")


def test_a_damaged_manifest_of_a_source_is_refused(words):
    replace(words / "sources/fr.unigram.tsv.manifest.json", b'"spaces"', b'"spaced"')
    words.fails("mc2 build-metadata merge sources -o new", 3, "fr.unigram.tsv.manifest.json: is damaged")


def test_unfinished_work_that_is_damaged_is_done_again(tmp_path):
    work = Words()
    assert parts.do_parts(work, ["a", "b"], tmp_path, 1) == (["a", "b"], 0)
    for damaged in next(tmp_path.glob("*.run")), next(tmp_path.glob("*.json")):
        damaged.write_bytes(damaged.read_bytes().replace(b"0", b"1") + b" ")
        assert parts.do_parts(work, ["a", "b"], tmp_path, 1) == (["a", "b"], 1)
    assert parts.do_parts(work, ["a", "b"], tmp_path, 1) == (["a", "b"], 2)


class Words(parts.Work):
    def describe(self, part):
        return part

    def count(self, part, directory, name):
        files.write_bytes(os.path.join(directory, f"{name}.run"), b"0000")
        return part


# ---------------------------------------------------------------- pairs

def test_lines_of_pairs_that_were_cut_off_at_a_line_or_changed_are_refused(artefacts):
    artefacts.write("in.jsonl", pair(1, "red", "en"), pair(2, "cat", "en"))
    artefacts.ok("mc2 match in.jsonl -m toy -o matched.jsonl -q")
    whole = (artefacts / "matched.jsonl").read_bytes()
    (artefacts / "matched.jsonl").write_bytes(whole[:whole.index(b"\n") + 1])
    artefacts.fails("mc2 count matched.jsonl -m toy -o new", 3, "matched.jsonl: is damaged, or was changed",
                    "bytes, and was", "delete")
    (artefacts / "matched.jsonl").write_bytes(whole.replace(b"cat", b"bat"))
    for more in "", " --on-error skip", " -j 2":
        artefacts.fails(f"mc2 count matched.jsonl -m toy -o new{more}", 3, "matched.jsonl: is damaged, or was changed",
                        "its checksum is not the one that it had")
    (artefacts / "matched.jsonl.manifest.json").unlink()
    artefacts.ok("mc2 count matched.jsonl -m toy -o new -q")


def test_pairs_that_were_replaced_by_mc2_have_a_manifest_that_fits(toy):
    toy.write("in.jsonl", pair(1, "red", "en"))
    for _ in range(2):
        toy.ok("mc2 match in.jsonl -m toy -o m.jsonl -q && mc2 count m.jsonl -m toy -o counts -q")
        toy.write("in.jsonl", pair(1, "red", "en"), pair(2, "cat", "en"))


def test_a_damaged_manifest_of_a_shard_makes_the_shard_again(toy):
    toy.write("a.jsonl", pair(1, "red", "en"))
    toy.ok("mc2 match a.jsonl -m toy -O out -q")
    replace(toy / "out/a.jsonl.manifest.json", b'"matched": 1', b'"matched": 7')
    assert "1 shards, 1 pairs in, 1 matched" in toy("mc2 match a.jsonl -m toy -O out").stderr
    assert "0 shards" in toy("mc2 match a.jsonl -m toy -O out").stderr


@pytest.fixture
def job(toy):
    """A Shell with a finished job of curate, which dropped pairs."""
    toy.write("a.jsonl", *({"id": f"{number:032x}", "text": "a red circle and a cat"} for number in range(30)),
              {"id": "f" * 32, "text": "nothing here"})
    toy.command = "mc2 curate a.jsonl -m toy --p 0.5 -o out -j 1 -q --uids u.npy --dropped d.jsonl"
    toy.ok(toy.command)
    return toy


def test_uids_and_dropped_pairs_of_shards_that_are_damaged_are_refused(job):
    data = bytearray((job / "out/.work/uids/a.jsonl.npy").read_bytes())
    data[-1] ^= 1
    (job / "out/.work/uids/a.jsonl.npy").write_bytes(data)
    job.fails(job.command, 3, "a.jsonl.npy: is damaged. Delete it, and run again.", leaves=job.files())
    (job / "out/.work/uids/a.jsonl.npy").unlink()
    job.ok(job.command)
    dropped = next((job / "out/.work/parts").rglob("*.jsonl"))
    replace(dropped, b"nothing", b"nuthing")
    job.fails(job.command, 3, f"{dropped.name}: is damaged. Delete it, and run again", leaves=job.files())
    dropped.unlink()
    before = (job / "d.jsonl").read_bytes()
    job.ok(job.command)
    assert (job / "d.jsonl").read_bytes() == before


def test_matched_pairs_of_a_job_that_are_damaged_are_refused_and_made_again_once_deleted(job):
    replace(job / "out/matched/a.jsonl", b"circle", b"cirkle")
    done = job(f"{job.command} --seed 1")
    assert done.status == 3
    assert "matched/a.jsonl: is damaged, or was changed. Delete it, and run again." in done.stderr
    (job / "out/matched/a.jsonl").unlink()
    job.ok(f"{job.command} --seed 1")


def test_a_damaged_state_of_a_job_is_said(job):
    replace(job / "out/.work/progress.json", b'"shards"', b'"sharts"')
    job.fails("mc2 status out", 3, "progress.json: is damaged", "The next run writes it anew.")


# ---------------------------------------------------------------- the package

def test_the_data_of_the_package_are_as_they_were_packaged():
    assert (ROOT / "mc2/data/checksums").read_bytes() == package_data.checksums_of(ROOT / "mc2/data"), \
        "run 'python -m mc2.package_data' after a change of mc2/data"


def test_a_preset_of_the_package_with_another_number_is_refused(sh, monkeypatch):
    shutil.copytree(ROOT / "mc2/data", sh / "data")
    monkeypatch.setattr(package_data, "_folder", lambda: sh / "data")
    sh.ok("mc2 plan tiny -q")
    replace(sh / "data/presets/tiny.toml", b"lr = ", b"lr = 1")
    sh.fails("mc2 plan tiny", 3, "presets/tiny.toml: is damaged, or was changed", "Install mc2 again.")


# ---------------------------------------------------------------- checkpoints and features

@pytest.fixture
def run(tmp_path):
    pytest.importorskip("open_clip")
    from miniatures import models
    return models.write_run(tmp_path)


@with_torch
def test_a_weight_with_a_flipped_bit_is_refused(run):
    from mc2.clip import checkpoints
    path = run / "checkpoints/step-00000001.pt"
    weight = checkpoints.load(path)["models"][0]["state"]["positional_embedding"].numpy().tobytes()
    replace(path, weight, weight[:9] + bytes([weight[9] ^ 1]) + weight[10:])
    with pytest.raises(BadData, match=r"step-00000001.pt: is damaged: .*/data/\d+ does not fit its checksum"):
        checkpoints.load(path)


@with_torch
@pytest.mark.parametrize("has_checksums", [True, False])
def test_weights_of_others_are_checked_where_they_have_checksums(tmp_path, has_checksums):
    import torch
    from mc2.clip import torch_files
    path = tmp_path / "w.pt"
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(has_checksums)
    torch.save({"weight": torch.arange(8.0)}, path)
    torch.serialization.set_crc32_options(before)
    assert torch_files.read(path)["weight"].tolist() == list(range(8))
    replace(path, np.float32(7).tobytes(), np.float32(6).tobytes())
    if has_checksums:
        with pytest.raises(BadData, match="data/0 does not fit its checksum"):
            torch_files.read(path)
    else:                                       # nothing tells
        assert torch_files.read(path)["weight"].tolist()[-1] == 6


@with_torch
def test_exported_weights_and_their_configuration_are_checked(run, sh):
    sh.write("t.txt", "red")
    sh.ok(f"mc2 checkpoint export {run} -o mine.safetensors -q")
    eval_ = f"mc2 eval embed --texts t.txt --model mine.safetensors --tokenizer {run}/tokenizer.json --no-cache -o f -q"
    sh.ok(eval_)
    shutil.rmtree(sh / "f")
    replace(sh / "mine.json", b'"heads": 2', b'"heads": 4')
    sh.fails(eval_, 3, "mine.json: is not the configuration that was exported with mine.safetensors")
    replace(sh / "mine.json", b'"heads": 4', b'"heads": 2')
    data = bytearray((sh / "mine.safetensors").read_bytes())
    data[-1] ^= 1
    (sh / "mine.safetensors").write_bytes(data)
    sh.fails(eval_, 3, "mine.safetensors: is damaged: its weights do not fit its checksum")


@with_torch
def test_cached_features_with_a_flipped_bit_are_encoded_again(run, tmp_path):
    from mc2.clip.load import load_model
    from mc2.evaluation import encoding, sources
    from miniatures import images
    for number in range(3):
        images.write(tmp_path / f"pictures/{number}.png", number)
    folder = tmp_path / "pictures"
    model, pictures = load_model(str(run)), sources.Files(str(folder), sources.images_below(folder))

    def encoded():
        encoder = encoding.Encoder(model, cache=str(tmp_path / "cache"), quiet=True)
        return encoder.images(pictures)[0].tolist(), dict(encoder.tally)
    features, _ = encoded()
    assert encoded() == (features, {"images from the cache": 3})
    for suffix in "npy", "json":
        path, = (tmp_path / "cache").glob(f"*.{suffix}")
        data = bytearray(path.read_bytes())
        data[-9] ^= 1
        path.write_bytes(data)
        assert encoded() == (features, {"images encoded": 3})
        assert encoded() == (features, {"images from the cache": 3})


@with_torch
def test_a_log_with_a_damaged_or_a_missing_line_is_said(tmp_path):
    from mc2.training import metrics
    path = tmp_path / "log.jsonl"
    lines = [documents.dumped_line({"step": step, "loss": 2.5}) for step in (1, 2, 3)]
    path.write_bytes(b"".join(lines[:2]).replace(b"2.5", b"7.5", 1))
    with pytest.raises(BadData, match="log.jsonl:1: this line is damaged. Take it out"):
        metrics.cut_off(path, 2)
    path.write_bytes(lines[0])
    with pytest.raises(BadData, match="log.jsonl: is cut off after step 1; the checkpoint says that step 2 is logged"):
        metrics.cut_off(path, 3, logged=2)
    path.write_bytes(b"".join(lines)[:-5])
    metrics.cut_off(path, 3, logged=2)
    assert path.read_bytes() == b"".join(lines[:2])


# ---------------------------------------------------------------- SLURM

def test_a_damaged_plan_is_refused_before_it_is_read(toy):
    from mc2.execution import slurm
    toy.write("a.jsonl", pair(1, "red", "en"))
    toy.ok("mc2 match a.jsonl -m toy -O out --executor slurm --print")
    plan, = (toy / "out/.work").rglob("*.plan")
    replace(plan, b"a.jsonl", b"b.jsonl")
    with pytest.raises(BadData, match="match.plan: is damaged: its content does not fit its checksum"):
        slurm.do_group(plan, 0)


# ---------------------------------------------------------------- every kind of file, at some places

@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    damage.preload()
    return damage.Templates(tmp_path_factory.mktemp("damage"))


@pytest.mark.heavy
@pytest.mark.parametrize("kind", [kind for kind in damage.kinds() if kind.ours], ids=lambda kind: kind.name)
def test_nothing_that_mc2_wrote_is_silently_wrong(kind, templates):
    if kind.name == "Parquet of mc2" and importlib.util.find_spec("pyarrow") is None:
        pytest.skip("needs mc2[parquet]")
    faults = []
    places = PLACES_WITH_TORCH if kind.made is damage.training else PLACES
    tally = damage.tried(kind, templates, places, say=faults.append)
    assert not faults and tally[damage.REFUSED] + tally[damage.RIGHT] == tally.total()


def test_a_manifest_says_nothing_of_a_file_that_is_gone(toy):
    toy.write("a.jsonl", pair(1, "red", "en"))
    toy.ok("mc2 match a.jsonl -m toy -o m.jsonl -q")
    assert manifests.read(str(toy / "m.jsonl"))["kind"] == "pairs"
    (toy / "m.jsonl").unlink()
    assert manifests.read(str(toy / "m.jsonl")) is None


def test_a_document_may_hold_names_that_are_not_utf8():
    content = {"folder": os.fsdecode(b"/data/caf\xe9"), "number": 1}
    data = documents.dumped(content)
    assert documents.parsed(data, "a.json", "") == content
    with pytest.raises(BadData, match="a.json: is damaged: its content does not fit its checksum"):
        documents.parsed(data.replace(b"caf", b"cat"), "a.json", "")
