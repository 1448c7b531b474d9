"""mc2 eval embed: features as files, whole."""
import io
import json
import os
import tarfile

import numpy as np
import pytest

from training_tools import require_train

require_train()

from mc2.cli import run                                                 # noqa: E402
from miniatures import images, models                                   # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return models.write_run(tmp_path_factory.mktemp("model"))


@pytest.fixture
def embed(model):
    always = ["--model", str(model), "--no-cache", "--workers", "0"]
    return lambda *arguments: run(["eval", "embed", *map(str, arguments), *always])


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_features_stand_beside_their_names(tmp_path, embed):
    names = ("a.png", "b/1.jpg", "c.jpg")
    paths = [images.write(tmp_path / f"pictures/{name}", number) for number, name in enumerate(names)]
    texts = [{"id": "x", "text": "a cat", "lang": "en", "p": 0.1}, {"text": "paka"}]
    models.write_records(tmp_path / "texts.jsonl", texts)
    assert embed("--images", tmp_path / "pictures", "--texts", tmp_path / "texts.jsonl", "-o", tmp_path / "out") == 0
    assert [line["image"] for line in lines(tmp_path / "out/images.jsonl")] == list(names)
    np.testing.assert_allclose(np.load(tmp_path / "out/images.npy"), models.plain_images(paths), atol=1e-5)
    assert lines(tmp_path / "out/texts.jsonl") == [{"id": "x", "lang": "en", "text": "a cat"}, {"text": "paka"}]
    np.testing.assert_allclose(np.load(tmp_path / "out/texts.npy"), models.plain_texts(["a cat", "paka"]), atol=1e-5)
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert (manifest["kind"], manifest["counts"]) == ("features", {"images": 3, "texts": 2})
    assert manifest["model"]["fingerprint"]


def test_tars_and_lines_of_text(tmp_path, embed, capsys):
    members = {"0.jpg": images.encoded(1), "0.txt": b"x", "1.jpg": b"broken", "2.png": images.encoded(2, "PNG")}
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    (tmp_path / "texts.txt").write_text("one\n\nthree\n")
    given = ("--images", tmp_path / "a.tar", "--texts", tmp_path / "texts.txt", "-o", tmp_path / "out")
    assert embed(*given) == 3
    assert not (tmp_path / "out").exists()
    assert embed(*given, "--on-error", "skip") == 0
    assert [line["image"] for line in lines(tmp_path / "out/images.jsonl")] == ["0", "2"]
    assert [line["text"] for line in lines(tmp_path / "out/texts.jsonl")] == ["one", "", "three"]
    assert json.loads((tmp_path / "out/manifest.json").read_text())["counts"]["images skipped"] == 1


def test_names_that_are_not_utf_8_are_spelled_out(tmp_path, embed):
    images.write(tmp_path / "in/a.jpg", 1).rename(tmp_path / "in" / os.fsdecode(b"\xff.jpg"))
    assert embed("--images", tmp_path / "in", "-o", tmp_path / "out") == 0
    assert lines(tmp_path / "out/images.jsonl") == [{"image": "\\udcff.jpg"}]


def test_texts_that_are_no_characters_are_named_by_line(tmp_path, embed, capsys):
    (tmp_path / "half.jsonl").write_text('{"text": "x"}\n{"text": "\\ud800"}\n')
    assert embed("--texts", tmp_path / "half.jsonl", "-o", tmp_path / "out") == 3
    assert "half.jsonl:2: holds half a surrogate pair" in capsys.readouterr().err


def test_what_cannot_be_written_is_refused(tmp_path, embed, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("x")
    (tmp_path / "bad.jsonl").write_text('{"text": "x"}\n{"words": 1}\n')
    assert embed("--texts", tmp_path / "bad.jsonl", "-o", tmp_path / "mine") == 2
    assert embed("--texts", tmp_path / "bad.jsonl", "-o", tmp_path / "out") == 3
    assert 'bad.jsonl:2: has no "text"' in capsys.readouterr().err
    assert embed("-o", tmp_path / "out") == 2
    assert embed("--texts", tmp_path / "bad.jsonl") == 2
    for flag in ("--plot", "--data"):
        assert embed("--texts", tmp_path / "bad.jsonl", "-o", tmp_path / "out", flag, "x") == 2
        assert f"o such option '{flag}'" in capsys.readouterr().err.replace(": " + flag, f" '{flag}'")
    (tmp_path / "empty").mkdir()
    assert embed("--images", tmp_path / "empty", "-o", tmp_path / "out") == 3
