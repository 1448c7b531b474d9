"""Zero-shot classification of videos: folders of frames, files of videos, the layouts of three benchmarks."""
import json
import shutil

import numpy as np
import pytest

from training_tools import require_train

require_train()

from mc2.evaluation import sources, video                               # noqa: E402
from miniatures import images, models                                   # noqa: E402
from miniatures.running import Scores, values                           # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return models.write_run(tmp_path_factory.mktemp("model"))


@pytest.fixture
def score(model, capsys):
    return Scores(model, capsys)


def write_frames(folder, number, first):
    """A video as a folder of frames; returns their paths."""
    return [images.write(folder / f"frame_{frame:05}.jpg", first + frame) for frame in range(number)]


def write_video(path, numbers):
    """A video whose frames are these pictures, in colours that a codec keeps."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1" if path.suffix in (".mkv", ".avi") else "mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 40, 36, "bgr0" if path.suffix in (".mkv", ".avi") else "yuv420p"
        for number in numbers:
            container.mux(stream.encode(av.VideoFrame.from_image(images.picture(number))))
        container.mux(stream.encode(None))
    return path


def expected(videos, names, labels, frames):
    """top-1 by plain means. videos: paths of the frames of each."""
    chosen = [[its[index] for index in video.evenly(frames, len(its))] for its in videos]
    rows = np.stack([models.plain_images(its).mean(axis=0) for its in chosen])
    weights = models.plain_classes([[name] for name in names], ["{}"])
    return float(np.mean((rows @ weights.T).argmax(axis=1) == labels))


def test_frames_are_taken_from_the_middles_of_equal_parts():
    assert video.evenly(4, 8) == [1, 3, 5, 7] and video.evenly(3, 300) == [50, 150, 250]
    assert video.evenly(4, 2) == [0, 0, 1, 1] and video.evenly(1, 1) == [0]


def test_a_video_has_the_mean_of_its_frames():
    rows, which = video.means(np.eye(3, dtype=np.float32)[[0, 1, 2]], np.array([0, 0, 2]))
    assert which.tolist() == [0, 2] and rows == pytest.approx(np.array([[0.5 ** 0.5, 0.5 ** 0.5, 0], [0, 0, 1]]))


def test_kinetics_in_folders_of_frames(tmp_path, score):
    names = ["ride bike", "shoot basketball"]
    videos = [write_frames(tmp_path / f"val/{names[label].replace(' ', '_')}/video{number}", 3 + number, 100 * number)
              for number, label in enumerate((0, 0, 1))]
    (tmp_path / "val/ride_bike/README.txt").write_text("no video")
    found = score("kinetics-400", "--data", tmp_path, "--frames", "2", "--templates", "none")
    record = found["kinetics-400", "en", "top1"]
    assert (record["n"], record["protocol"]["frames"], record["protocol"]["classes"]) == (3, 2, 2)
    assert record["value"] == pytest.approx(expected(videos, names, [0, 0, 1], 2))
    assert "1 are no videos and are left out: ride_bike/README.txt" in score.err


def test_hmdb51_scores_the_test_videos_of_a_split(tmp_path, score):
    for name, lines in {"run": "a.avi 1\nb.avi 2\nunused.avi 0\n", "sit": "c.avi 2 \n"}.items():
        for video_of in "abc" if name == "run" else "c":
            write_frames(tmp_path / name / video_of, 2, ord(video_of))
        path = tmp_path / video.SPLITS / f"{name}_test_split1.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(lines)
    found = score("hmdb51", "--data", tmp_path)
    assert found["hmdb51", "en", "top1"]["n"] == 2 and found["hmdb51", "en", "top1"]["protocol"]["classes"] == 2
    assert "holds no CLASS_test_split2.txt" in score("hmdb51", "--data", tmp_path, "--split", "2", status=3)
    shutil.rmtree(tmp_path / "sit/c")
    assert "sit/c.avi: no such video" in score("hmdb51", "--data", tmp_path, status=3)


def test_ssv2_takes_labels_from_templates(tmp_path, score):
    labels = {"Holding something": "0", "Moving something and something closer to each other": "1"}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    annotations = [{"id": "7", "template": "Moving [something] and [something] closer to each other"},
                   {"id": "12", "template": "Holding [something]"}]
    (tmp_path / "validation.json").write_text(json.dumps(annotations))
    videos = [write_frames(tmp_path / f"20bn-something-something-v2/{name}", 2, int(name)) for name in ("7", "12")]
    found = values(score("ssv2", "--data", tmp_path, "--templates", "none", "--frames", "2"))
    assert found["ssv2", "en", "top1"] == pytest.approx(expected(videos, list(labels), [1, 0], 2))
    annotations[0]["template"] = "Dropping [something]"
    (tmp_path / "validation.json").write_text(json.dumps(annotations))
    assert "the video 7 has the label 'Dropping something'" in score("ssv2", "--data", tmp_path, status=3)


# ---------------------------------------------------------------- files of videos

def test_frames_of_a_file_are_those_of_the_video(tmp_path):
    write_video(tmp_path / "a/b.mkv", [1, 2, 3, 4, 5])
    source = video.Frames(str(tmp_path), ["a/b.mkv"], 2)
    assert len(source) == 2 and source.names == ["a/b.mkv (frame 1 of 2)", "a/b.mkv (frame 2 of 2)"]
    for index, number in enumerate((2, 4)):                             # the frames 1 and 3 of five
        difference = np.asarray(source.read(index), int) - np.asarray(images.picture(number), int)
        assert np.abs(difference).max() <= 2
    assert video.Frames(str(tmp_path), ["a/b.mkv"], 3).fingerprint() != source.fingerprint()


def test_files_and_folders_of_frames_score_alike(tmp_path, score):
    for number, name in enumerate(("clap", "wave")):
        write_video(tmp_path / f"files/{name}/1.avi", range(10 * number, 10 * number + 4))
        for frame in range(4):
            images.write(tmp_path / f"frames/{name}/1/{frame}.png", 10 * number + frame)
    of_files, of_frames = (values(score("kinetics-400", "--data", tmp_path / which)) for which in ("files", "frames"))
    assert of_files == of_frames


def test_a_broken_video_is_named_or_left_out(tmp_path, score):
    write_video(tmp_path / "clap/1.avi", range(4))
    (tmp_path / "clap/2.avi").write_bytes(b"no video")
    assert "clap/2.avi" in score("kinetics-400", "--data", tmp_path, status=3)
    found = score("kinetics-400", "--data", tmp_path, "--on-error", "skip", "--frames", "2")
    record = found["kinetics-400", "en", "top1"]
    assert record["n"] == 1 and record["protocol"]["images_skipped"] == 2


def test_what_files_of_videos_need_is_named(tmp_path, score, monkeypatch):
    (tmp_path / "clap").mkdir()
    (tmp_path / "clap/1.mp4").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    assert "needs av, which the extra [video] brings" in score("kinetics-400", "--data", tmp_path, status=2)
    assert "holds no folders of videos" in score("kinetics-400", "--data", tmp_path / "clap", status=3)


def test_the_source_of_frames_is_one_of_images(tmp_path):
    write_frames(tmp_path / "run/a", 3, 0)
    source = video.Frames(str(tmp_path), ["run/a"], 2)
    assert all(hasattr(source, name) for name in ("names", "read", "fingerprint")) and len(source) == 2
    assert source.read(0) == (tmp_path / "run/a/frame_00000.jpg").read_bytes()
    assert sources.images_below(str(tmp_path / "run/a"))[2] == "frame_00002.jpg"
