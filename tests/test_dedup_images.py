"""mc2 dedup images: training images that are copies of evaluation images."""
import io
import json
import re
import tarfile

import numpy as np
import pytest

from mc2.dedup import hamming

Image = pytest.importorskip("PIL.Image")

from mc2.dedup import descriptors, signatures
from mc2.errors import BadData
from mc2.execution import plans

COLOURS = """\
import numpy as np

def coarse(images):
    return np.stack([np.asarray(image.resize((8, 8)), float).ravel() for image in images])

def broken(images):
    return np.full((len(images), 3), np.nan)
"""


def picture(seed, size=96):
    """A picture of soft shapes."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)


def jpeg(image, quality=95):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def write_tar(path, images):
    """A tar with {id: bytes}, the ids in the json, as img2dataset makes it."""
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number, (image_id, data) in enumerate(images.items()):
            for suffix, body in (("jpg", data), ("json", json.dumps({"id": image_id}).encode())):
                member = tarfile.TarInfo(f"{number:09d}.{suffix}")
                member.size = len(body)
                tar.addfile(member, io.BytesIO(body))


@pytest.fixture
def web(sh):
    """60 training images in two tars, of which `same` and `small` are copies of e0 and e1, with their pairs; 6 evaluation
    images in a folder."""
    (sh / "colours.py").write_text(COLOURS)
    (sh / "eval").mkdir()
    for number in range(6):
        (sh / f"eval/e{number}.jpg").write_bytes(jpeg(picture(1000 + number)))
    others = {f"t{number}": jpeg(picture(number)) for number in range(58)}
    ids = list(others)
    first = {**{each: others[each] for each in ids[:29]}, "same": jpeg(picture(1000))}
    second = {**{each: others[each] for each in ids[29:]}, "small": jpeg(picture(1001).resize((48, 48)), 60)}
    for name, images in (("0", first), ("1", second)):
        write_tar(sh / f"tars/{name}.tar", images)
        sh.write(f"pairs/{name}.jsonl", *({"id": each, "text": f"text of {each}"} for each in images))
    return sh


def removed(sh, out="out"):
    return {row["id"]: (row["why"], row["image"]) for row in sh.read(f"{out}/removed.jsonl")}


BOTH = {"same": ("same bytes", "e0.jpg"), "small": ("near", "e1.jpg")}


@pytest.mark.parametrize("model", ["--phash", "--model colours:coarse"])
def test_copies_are_found_listed_and_their_pairs_left_out(web, model):
    done = web(f"mc2 dedup images 'tars/*.tar' --against eval {model} -O out --at-most 5% --pairs 'pairs/*.jsonl' "
               "--dropped dropped.jsonl")
    assert done.status == 0, done.stderr
    assert removed(web) == BOTH
    first, second = web.read("out/removed.jsonl")
    assert first == {"id": "same", "tar": "tars/0.tar", "why": "same bytes", "distance": 0, "against": "eval",
                     "image": "e0.jpg"} and 0 <= second["distance"] <= 8
    assert ("2 tars, 60 images, 2 copies (3.3333%) of 6 evaluation images: 1 of the same bytes, 1 within 8 bits"
            in done.stderr)
    assert "2 shards, 60 pairs in, 58 out, 2 copies of evaluation images -> out/pairs" in done.stderr
    kept = [pair["id"] for name in "01" for pair in web.read(f"out/pairs/{name}.jsonl")]
    assert len(kept) == 58 and not {"same", "small"} & set(kept)
    assert {pair["id"]: pair["dropped"] for pair in web.read("dropped.jsonl")} \
        == dict.fromkeys(["same", "small"], "copies of evaluation images")


def test_more_than_at_most_removes_nothing(web):
    command = "mc2 dedup images 'tars/*.tar' --against eval --phash -O out --pairs 'pairs/*.jsonl' -q"
    done = web(command)
    assert done.status == 3 and "2 of 60 training images (3.33%) would go, more than --at-most 1%: " in done.stderr
    assert not (web / "out/removed.jsonl").exists() and not (web / "out/pairs/0.jsonl").exists()
    assert len(web.read("out/.work/candidates.jsonl")) == 2             # to look at
    web.ok(f"{command} --at-most 3.4%")
    before = (web / "out/removed.jsonl").read_bytes()
    assert web(command).status == 3 and (web / "out/removed.jsonl").read_bytes() == before


def test_signatures_are_made_once_and_anew_where_a_tar_changed(web):
    command = "mc2 dedup images 'tars/*.tar' --against eval --model colours:coarse -O out --at-most 1"
    web.ok(command)
    before = {path: path.stat().st_mtime_ns for path in sorted((web / "out").rglob("*.sig.zst"))}
    assert len(before) == 3
    web.ok(command + " -k 0")
    assert before == {path: path.stat().st_mtime_ns for path in before} and "same" in removed(web)
    write_tar(web / "tars/1.tar", {"other": jpeg(picture(1002))})
    web.ok(command)
    assert [path.name for path, stamp in before.items() if path.stat().st_mtime_ns != stamp] == ["1.sig.zst"]
    assert removed(web) == {"same": BOTH["same"], "other": ("same bytes", "e2.jpg")}


def test_signatures_of_an_earlier_run_serve_and_those_of_another_specification_are_refused(web):
    web.ok("mc2 dedup images tars/0.tar --against eval --model colours:coarse -O one --at-most 1")
    ready, = (web / "one/against").glob("*.sig.zst")
    web.ok(f"mc2 dedup images tars/1.tar --against {ready} --model colours:coarse --specification one/specification.json "
           "-O two --at-most 1")
    assert removed(web, "two") == {"small": ("near", "e1.jpg")}
    for other in ("--phash", "--model colours:coarse", "--model colours:coarse --seed 1"):
        done = web(f"mc2 dedup images tars/1.tar --against {ready} {other} -O three")
        assert done.status == 2 and "of another specification" in done.stderr


def test_calibrate_prints_what_each_k_costs_and_removes_nothing(web):
    lines = web.ok("mc2 dedup images 'tars/*.tar' --against eval --model colours:coarse -O out --calibrate").splitlines()
    bits = float(re.match(r"360 pairs of a training and an evaluation image: ([\d.]+) of 64 bits differ", lines[0])[1])
    assert 29 < bits < 35                                   # 32 where the features are centred
    assert lines[1].split() == "k such pairs would be lost by chance within k here".split()
    assert [line.split()[0] for line in lines[2:]] == list(map(str, range(13)))
    assert lines[10].split()[-2:] == ["2", "(3.3333%)"] and not (web / "out/removed.jsonl").exists()


def test_workers_give_the_same(web):
    for out, jobs in (("one", 1), ("two", 2)):
        web.ok(f"mc2 dedup images 'tars/*.tar' --against eval --model colours:coarse -O {out} --at-most 1 -j {jobs}")
    assert (web / "one/removed.jsonl").read_bytes() == (web / "two/removed.jsonl").read_bytes()
    for path in (web / "one").rglob("*.sig.zst"):
        assert path.read_bytes() == (web / "two" / path.relative_to(web / "one")).read_bytes()


def test_the_tasks_go_to_other_machines_as_plain_values(web):
    done = web("mc2 dedup images 'tars/*.tar' --against eval --phash -O out --executor slurm --print")
    assert done.status == 0 and "#SBATCH" in done.stdout
    specification = signatures.Specification({"descriptor": descriptors.PerceptualHash.description})
    tar = str(web / "tars/0.tar")
    task = signatures.Sign(specification, "phash", {}, {tar: str(web / "0.sig.zst")})
    assert plans.restored(plans.portable(task))(tar) == 30 and len(signatures.read(str(web / "0.sig.zst")).names) == 30


def test_what_is_broken_is_counted(web):
    write_tar(web / "tars/1.tar", {"a": b"no image", "b": jpeg(picture(3))})
    data = (web / "tars/0.tar").read_bytes()
    (web / "tars/0.tar").write_bytes(data[:len(data) // 2])
    done = web("mc2 dedup images 'tars/*.tar' --against eval --phash -O out")
    assert done.status == 0 and "1 images cannot be decoded" in done.stderr
    assert "warning" in done.stderr and "0.tar: this tar is cut off" in done.stderr


def test_evaluation_images_that_cannot_be_decoded_are_said_as_their_copies_are_not_found(web):
    (web / "eval/e2.jpg").write_bytes(b"no image")
    done = web("mc2 dedup images 'tars/*.tar' --against eval --phash -O out --at-most 5% --receipt r.json")
    assert done.status == 0 and "warning: eval: 1 evaluation images cannot be decoded. Copies of them" in done.stderr
    assert json.loads((web / "r.json").read_bytes())["counts"]["broken evaluation images"] == 1


@pytest.mark.parametrize("options, status, message", [
    ("--against eval -O out", 2, "--model MODEL or --phash"),
    ("--against eval --phash --model x -O out", 2, "--model MODEL or --phash"),
    ("--against nothing --phash -O out", 2, "nothing: no such file"),
    ("--against pairs --phash -O out", 2, "pairs: has no images and no tars"),
    ("--against eval --phash -O out --at-most 1.5", 2, "is not a share such as 1%"),
    ("--against eval --phash -O out --pairs other.jsonl", 2, "other.jsonl: no tar is called other"),
    ("--against eval --model colours:none -O out", 2, "has no attribute 'none'"),
    ("--against eval --model colours:broken -O out", 3, "colours:broken: gives features that are no numbers"),
    ("--against eval --phash -O pairs", 2, "pairs: this directory is not empty"),
])
def test_what_cannot_be_is_refused(web, options, status, message):
    web.write("other.jsonl", {"id": "a", "text": ""})
    done = web(f"mc2 dedup images 'tars/*.tar' {options}")
    assert done.status == status and message in done.stderr.replace("\n", " "), done.stderr


# ---------------------------------------------------------------- descriptors

def test_a_torchscript_file_describes_images(web):
    torch = pytest.importorskip("torch")

    class Coarse(torch.nn.Module):
        def forward(self, pixels):
            return torch.nn.functional.adaptive_avg_pool2d(pixels, 6)

    torch.jit.save(torch.jit.script(Coarse()), str(web / "coarse.pt"))
    web.ok("mc2 dedup images 'tars/*.tar' --against eval --model coarse.pt --image-size 48 -O out --at-most 1")
    assert removed(web) == BOTH
    content = json.loads((web / "out/specification.json").read_text())
    assert content["descriptor"]["image_size"] == 48 and len(content["mean"]) == 108 and content["of"] == 60


def test_an_onnx_file_describes_images(web):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    from onnx import helper
    graph = helper.make_graph(
        [helper.make_node("AveragePool", ["pixels"], ["coarse"], kernel_shape=[8, 8], strides=[8, 8])], "coarse",
        [helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["n", 3, 48, 48])],
        [helper.make_tensor_value_info("coarse", onnx.TensorProto.FLOAT, ["n", 3, 6, 6])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(web / "coarse.onnx"))
    web.ok("mc2 dedup images 'tars/*.tar' --against eval --model coarse.onnx -O out --at-most 1")
    assert removed(web) == BOTH


def test_a_run_of_mc2_describes_images(web):
    pytest.importorskip("open_clip")
    from miniatures import models
    models.write_run(web / "trained")
    web.ok("mc2 dedup images 'tars/*.tar' --against eval --model trained/run -O out --at-most 1 -k 2")
    assert removed(web)["same"] == BOTH["same"]


def test_a_perceptual_hash_withstands_size_quality_and_grey():
    hashed = descriptors.PerceptualHash()

    def bits(image):
        return hashed.signatures([hashed.prepare(image)])

    for seed in range(5):
        image = picture(seed)
        edited = [image.resize((48, 48)), Image.open(io.BytesIO(jpeg(image, 40))), image.convert("L").convert("RGB")]
        assert all(hamming.ones(bits(image) ^ bits(each))[0] <= 6 for each in edited)
        assert hamming.ones(bits(image) ^ bits(picture(seed + 100)))[0] > 12


def test_the_projection_of_a_seed_is_the_same_everywhere():
    matrix = signatures.projection(0, 3)
    assert matrix.shape == (3, 64) and matrix[0, :3].round(9).tolist() == [-2.969286381, 1.652548757, 1.173821289]
    assert (signatures.projection(0, 500)[:1] != signatures.projection(1, 500)[:1]).any()
    many = signatures.projection(7, 2000)
    assert abs(many.mean()) < 0.02 and abs(many.std() - 1) < 0.02


def test_a_bit_of_centred_features_differs_with_the_probability_of_their_angle():
    angle, n = 0.5, 400
    a = np.random.default_rng(0).standard_normal((n, 256))
    b = np.random.default_rng(1).standard_normal((n, 256))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b -= (a * b).sum(1, keepdims=True) * a
    b = np.cos(angle) * a + np.sin(angle) * b / np.linalg.norm(b, axis=1, keepdims=True)
    matrix = signatures.projection(3, 256)
    apart = hamming.ones(descriptors.packed(a @ matrix > 0) ^ descriptors.packed(b @ matrix > 0))
    assert abs(apart.mean() / 64 - angle / np.pi) < 0.01


def test_a_damaged_file_of_signatures_is_named(tmp_path):
    path = tmp_path / "a.sig.zst"
    signatures.write(str(path), signatures.Signed({}, [["a"]], np.array([5], np.uint64), np.array([7], np.uint64)))
    assert signatures.read(str(path)).signatures.tolist() == [5]
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(BadData, match="a.sig.zst"):
        signatures.read(str(path))


@pytest.mark.parametrize("more, counted", [("", {"images": 60, "copies": 2}), ("--pairs 'pairs/*.jsonl'", {"in": 60, "out": 58})])
def test_a_receipt_is_written_but_not_into_the_output(web, more, counted):
    command = f"mc2 dedup images 'tars/*.tar' --against eval --phash -O out --at-most 5% {more} -q --receipt"
    web.fails(f"{command} out/r.json", 2, "lies in the output directory out")
    web.ok(f"{command} r.json")
    assert json.loads((web / "r.json").read_bytes())["counts"].items() >= counted.items()
