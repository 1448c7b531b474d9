"""All tasks of mc2 eval: encoding once, broken images, ranks, records, plots, suites, the commands."""
import json
import os
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from training_tools import require_train

require_train()

from conftest import ROOT                                               # noqa: E402
from mc2.cli import run                                                 # noqa: E402
from mc2.clip.load import load_model                                    # noqa: E402
from mc2.errors import BadData, Mc2Error                                # noqa: E402
from mc2.evaluation import encoding, results, sources, suites, tasks    # noqa: E402
from miniatures import images, world                                    # noqa: E402
from miniatures import models as tiny                                   # noqa: E402


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory):
    return tiny.write_run(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(run_directory):
    return load_model(str(run_directory))


@pytest.fixture
def pictures(tmp_path):
    for number in range(5):
        images.write(tmp_path / f"pictures/{number}.jpg", number)
    return tmp_path / "pictures"


def encoder(model, **options):
    return encoding.Encoder(model, quiet=True, **options)


def folder(path):
    return sources.Files(str(path), sources.images_below(path))


# ---------------------------------------------------------------- image features

def test_images_are_encoded_once(model, pictures, tmp_path):
    first, second = encoder(model, cache=str(tmp_path / "cache")), encoder(model, cache=str(tmp_path / "cache"))
    features, kept = first.images(folder(pictures))
    again, _ = second.images(folder(pictures))
    assert (features == again).all() and kept.tolist() == [0, 1, 2, 3, 4]
    assert first.tally == {"images encoded": 5} and second.tally == {"images from the cache": 5}
    np.testing.assert_allclose(features, tiny.plain_images(sorted(pictures.iterdir())), atol=1e-6)


@pytest.mark.parametrize("change", ["weights", "precision", "image", "one more"])
def test_other_features_are_not_taken_from_the_cache(model, pictures, tmp_path, change):
    encoder(model, cache=str(tmp_path / "cache")).images(folder(pictures))
    if change == "weights":
        model = load_model(str(tiny.write_run(tmp_path / "other", seed=1)))
    elif change == "precision":
        model = load_model(model.name, precision="amp_bf16")
    elif change == "image":
        images.write(pictures / "3.jpg", 33)
    else:
        images.write(pictures / "5.jpg", 5)
    again = encoder(model, cache=str(tmp_path / "cache"))
    again.images(folder(pictures))
    assert again.tally["images encoded"] == len(folder(pictures))


def test_an_image_of_the_same_size_and_time_is_another_image(model, pictures, tmp_path):
    path = images.write(pictures / "0.bmp", 0)
    before = folder(pictures).fingerprint()
    times, content = os.stat(path), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    changed = folder(pictures).fingerprint()
    shutil.copytree(pictures, tmp_path / "copy")
    assert len({before, changed, folder(tmp_path / "copy").fingerprint()}) == 3


def test_a_cache_that_cannot_be_written_is_said_once(model, pictures, tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    uncached = encoder(model, cache=str(tmp_path / "file/cache"))
    for _ in range(2):
        features, _ = uncached.images(folder(pictures))
    assert len(features) == 5 and capsys.readouterr().err.count("image features are not kept") == 1


def test_skipped_images_are_counted_by_reason_also_from_the_cache(model, pictures, tmp_path, capsys):
    (pictures / "1.jpg").write_bytes(b"")
    (pictures / "2.jpg").write_bytes(b"<html>")
    with pytest.raises(BadData, match=r"1.jpg, 2.jpg: cannot be decoded as images: 1 empty \(0 bytes\), 1 HTML or XML text"):
        encoder(model).images(folder(pictures))
    for _ in ("encoded", "from the cache"):
        skipping = encoder(model, on_error="skip", cache=str(tmp_path / "cache"))
        skipping.images(folder(pictures))
        assert skipping.skipped_for == skipping.all_skipped_for == {"empty (0 bytes)": 1, "HTML or XML text": 1}
        assert "(1 empty (0 bytes), 1 HTML or XML text): 1.jpg, 2.jpg" in capsys.readouterr().err


def test_the_order_of_rgb_and_resize_is_chosen_and_recorded(run_directory, pictures, tmp_path):
    images.picture(7).convert("P").save(pictures / "7.png")
    made = []
    for number, order in enumerate(["before-resize", "after-resize"]):
        assert run(["eval", "embed", "--images", str(pictures), "--model", str(run_directory), "--image-rgb", order,
                    "--no-cache", "--workers", "0", "-q", "-o", str(tmp_path / order)]) == 0
        made.append(np.load(tmp_path / order / "images.npy"))
        transform = json.loads((tmp_path / order / "manifest.json").read_bytes())["model"]["transform"]
        assert transform == "shortest 32 bicubic" + ", RGB after resize" * number
    assert np.array_equal(made[0][:5], made[1][:5]) and not np.allclose(made[0][5], made[1][5])


def test_images_none_of_which_can_be_decoded_are_no_score(model, tmp_path):
    (tmp_path / "0.jpg").write_bytes(b"no image")
    with pytest.raises(BadData, match="none of the 1 images can be decoded"):
        encoder(model, on_error="skip").images(folder(tmp_path))


def test_a_cut_off_file_of_the_cache_is_made_again(model, pictures, tmp_path):
    expected, _ = encoder(model, cache=str(tmp_path / "cache")).images(folder(pictures))
    expected = np.array(expected)
    path = next((tmp_path / "cache").glob("*.npy"))
    path.write_bytes(path.read_bytes()[:200])
    assert (encoder(model, cache=str(tmp_path / "cache")).images(folder(pictures))[0] == expected).all()


def test_workers_and_batches_change_nothing(model, pictures):
    expected, _ = encoder(model).images(folder(pictures))
    found, _ = encoder(model, workers=2, batch_size=2).images(folder(pictures))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_without_space_in_shared_memory_fewer_processes_decode_unless_their_number_is_given(model, pictures, monkeypatch):
    monkeypatch.setattr(encoding.os, "cpu_count", lambda: 3)
    for free, workers in ((1 << 30, 3), (5 * 3 * 32 ** 2, 2), (100, 0)):
        monkeypatch.setattr(encoding.loading, "_free", lambda: free)
        assert encoder(model, workers=None)._workers_for(3 * 32 ** 2, 9) == workers
    with pytest.raises(Mc2Error, match="or give a smaller --batch-size or --workers 0"):
        encoder(model, workers=3).images(folder(pictures))


def test_broken_images_are_named_and_refused_or_counted(model, pictures, tmp_path, capsys):
    (pictures / "1.jpg").write_bytes(b"no image")
    with pytest.raises(BadData, match=r"1\.jpg: cannot be decoded as an image"):
        encoder(model).images(folder(pictures))
    skipping = encoder(model, on_error="skip", cache=str(tmp_path / "cache"))
    features, kept = skipping.images(folder(pictures))
    assert kept.tolist() == [0, 2, 3, 4] and len(features) == 4 and np.isfinite(features).all()
    assert skipping.tally["images skipped"] == 1 and "1 of 5 images cannot be decoded" in capsys.readouterr().err
    again = encoder(model, on_error="skip", cache=str(tmp_path / "cache"))
    assert again.images(folder(pictures))[1].tolist() == [0, 2, 3, 4]
    with pytest.raises(BadData, match="cannot be decoded"):             # the cache does not hide it
        encoder(model, cache=str(tmp_path / "cache")).images(folder(pictures))


def test_a_missing_image_is_named(pictures):
    with pytest.raises(BadData, match=r"9\.jpg: no such image of 2"):
        sources.Files(str(pictures), ["0.jpg", "9.jpg"])


def test_features_that_are_no_numbers_are_refused(model, pictures, monkeypatch):
    monkeypatch.setattr(model, "encode_images", lambda batch: batch.new_full((len(batch), 16), np.nan, dtype=float))
    with pytest.raises(BadData, match=r"no numbers, e\.g\. for the image 0\.jpg"):
        encoder(model).images(folder(pictures))


def test_no_texts_are_no_rows(model):
    assert encoder(model).texts([]).shape == (0, 16)


# ---------------------------------------------------------------- sources

@pytest.fixture
def tar(pictures):
    path = pictures / "0.tar"
    with tarfile.open(path, "w") as made:
        for number in range(3):
            made.add(pictures / f"{number}.jpg", f"{number}.jpg")
    return path


@pytest.mark.parametrize("cut", [0, 100, 512 + 7])
def test_a_tar_that_ends_early_is_refused(tar, cut):
    """At the border of the third member, within its header, within its body."""
    assert len(sources.tar_samples([str(tar)])) == 3
    with tarfile.open(tar) as whole:
        third = whole.getmembers()[2].offset
    os.truncate(tar, third + cut)
    with pytest.raises(BadData, match="cut off"):
        sources.tar_samples([str(tar)])


def test_a_tar_with_a_damaged_header_is_refused(tar):
    with tarfile.open(tar) as whole:
        third = whole.getmembers()[2].offset
    with open(tar, "r+b") as stream:
        stream.seek(third)
        stream.write(b"garbage")
    with pytest.raises(BadData, match=f"byte {third:,}: a header whose checksum is wrong"):
        sources.tar_samples([str(tar)])


def test_a_compressed_tar_is_refused(tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w:gz"):
        pass
    with pytest.raises(BadData, match=r"0\.tar: is compressed \(gzip\)"):
        sources.tar_samples([str(tmp_path / "0.tar")])


def test_classes_are_the_folders_that_torchvision_finds(tmp_path, capsys):
    import torchvision
    for name in ("b/1.ppm", "a/x/2.jpg", "a/3.pgm", "c/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        images.picture(1).save(path) if path.suffix != ".txt" else path.write_text("no image")
    expected = torchvision.datasets.ImageFolder(tmp_path, allow_empty=True)
    (tmp_path / ".ipynb_checkpoints").mkdir()
    classes, source, labels = sources.folder_per_class(str(tmp_path))
    assert classes == expected.classes and labels == expected.targets
    assert [str(tmp_path / name) for name in source.names] == [path for path, _ in expected.samples]
    err = capsys.readouterr().err
    assert "2 are no images and are left out: .ipynb_checkpoints/, c/notes.txt" in err
    assert "1 of 3 folders hold no images: c" in err


def test_links_that_lead_in_circles_are_followed_once(pictures):
    (pictures / "again").symlink_to(pictures)
    left_out = []
    assert len(sources.images_below(str(pictures), left_out)) == 5 and left_out == ["again/"]


# ---------------------------------------------------------------- several ranks

def test_every_rank_encodes_its_part(model, run_directory, tmp_path):
    """5 images and 3 texts over 2 ranks, as torchrun starts them; only the first one prints."""
    paths, names, _ = world.write_geode(tmp_path / "geode")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "mc2",
               "eval", "geode", "--model", str(run_directory), "--data", str(tmp_path), "--templates", "none",
               "--cache", str(tmp_path / "cache"), "--json", "--workers", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    record, = map(json.loads, done.stdout.splitlines())
    similar = tiny.plain_images(paths) @ tiny.plain_texts(names).T
    assert record["value"] == pytest.approx((similar.argmax(axis=1) == [0, 1, 0, 2, 2, 1, 2]).mean())
    alone = encoder(model, cache=str(tmp_path / "cache"))
    features, _ = alone.images(sources.Files(str(tmp_path / "geode/geode/images"), [path.name for path in paths]))
    np.testing.assert_allclose(features, tiny.plain_images(paths), atol=1e-6)
    assert alone.tally == {"images from the cache": 7}


# ---------------------------------------------------------------- records, tables, plots, suites

RECORDS = [{"task": "babel-imagenet", "lang": lang, "metric": "top1", "value": value, "n": 50, "protocol": {},
            "model": {}, "mc2": "0"} for lang, value in (("DE", 0.5), ("SW", 0.25), (None, 0.375))]


def test_a_table_shows_percent():
    assert list(results.table(RECORDS[:1], tasks.TASKS)) == ["task            lang  metric  score   n",
                                                             "babel-imagenet  DE    top1    50.00  50"]


def test_a_suite_shows_the_papers_row_beside_ours():
    compared = suites.compared("table1", RECORDS, "h14-worldwide")
    rows = {row[0]: row[1:] for row in suites.shown(compared, "h14-worldwide")}
    assert rows["column"] == ("h14-worldwide", "ours", "difference")
    assert rows["Babel-ImageNet"] == ("50.20", "37.50", "-12.70")
    assert rows["ImageNet"] == ("81.30", "-", "") and rows["SLIP 26"] == ("74.50", "-", "")
    compared = suites.compared("table1", RECORDS, "metaclip-h14")
    assert {row[0]: row[1:] for row in suites.shown(compared, "metaclip-h14")}["Babel-ImageNet"] == ("-", "37.50", "")


def test_a_suite_runs_what_is_there(run_directory, tmp_path, capsys):
    world.write_geode(tmp_path / "geode")
    world.write_gldv2(tmp_path / "gldv2")
    (tmp_path / "dollar-street").mkdir()
    options = ["--model", str(run_directory), "--data", str(tmp_path), "--no-cache", "--workers", "0"]
    assert run(["eval", "--suite", "table4", *options, "-o", str(tmp_path / "scores.jsonl"),
                "--plot", str(tmp_path / "bars.png")]) == 2
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")
    out, err = capsys.readouterr()
    assert "GeoDE " in out and "1 of 3 tasks failed: dollar-street." in err and "images_v2_imagenet_test.csv" in err
    written = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [record["task"] for record in written] == ["geode", "gldv2"]
    assert run(["eval", "--suite", "table1", *options]) == 2
    assert "holds none of imagenet, slip26" in capsys.readouterr().err


def test_broken_images_are_in_the_record(run_directory, tmp_path, capsys):
    paths, _, _ = world.write_geode(tmp_path / "geode")
    paths[2].write_bytes(b"no image")
    options = ["eval", "geode", "--model", str(run_directory), "--data", str(tmp_path), "--templates", "none",
               "--no-cache", "--workers", "0", "--json"]
    assert run(options) == 3 and "Africa_hand_soap_2.jpg: cannot be decoded" in capsys.readouterr().err
    assert run([*options, "--on-error", "skip"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["n"] == 6 and record["protocol"]["images_skipped"] == 1


# ---------------------------------------------------------------- commands

def test_the_list_needs_no_torch():
    code = ("import sys; sys.modules.update({name: None for name in ('torch', 'open_clip', 'numpy', 'PIL')}); "
            "import mc2.cli; status = mc2.cli.run(['eval', '--list']); print('status', status)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.endswith("status 0\n"), done.stderr
    for name, task in tasks.TASKS.items():
        assert f"\n{name}\n" in "\n" + done.stdout and task.source in done.stdout


def test_every_task_has_a_function_and_help():
    from mc2.commands.eval import eval as group
    for name, task in tasks.TASKS.items():
        command = group.get_command(None, name)
        assert command.name == name and command.help and all(getattr(option, "help", None) or option.param_type_name ==
                                                             "argument" for option in command.params)
        if not task.own_command:
            assert callable(tasks.function_of(task))


@pytest.mark.parametrize("arguments, message", [
    (["imagenet"], "missing option '--model'"),
    (["imagenet", "--model", "run"], "names no data. Give --data DIR: val/WNID"),
    (["nonsense"], "no such command 'nonsense'"),
    (["--suite", "table1", "--model", "run", "--data", ".", "--beside", "x"], "Known for table1: h14-worldwide, "),
    (["--suite", "table1"], "--suite needs --model and --data")])
def test_what_is_not_given_is_asked_for(capsys, arguments, message):
    assert run(["eval", *arguments]) == 2
    assert message in capsys.readouterr().err
