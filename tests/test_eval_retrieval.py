"""Retrieval on miniatures, against sorting the whole matrix of scores, and clip_benchmark where it is installed."""
import io
import json
import os
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from training_tools import require_train

require_train()

from mc2.errors import BadData                                          # noqa: E402
from mc2.evaluation import readers, retrieval, sources                  # noqa: E402
from miniatures import captioned, images, models                        # noqa: E402
from miniatures.running import Scores, values                           # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return models.write_run(tmp_path_factory.mktemp("model"))


@pytest.fixture
def score(model, capsys):
    return Scores(model, capsys)


def plain_recall(scores, owners, k):
    """(text to image, image to text) over the whole matrix (images, texts), by sorting every row."""
    by_image = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    by_text = np.argsort(-scores.T, axis=1, kind="stable")[:, :k]
    described = sorted(set(owners))
    return (np.mean([owner in row for owner, row in zip(owners, by_text)]),
            np.mean([any(owners[text] == image for text in by_image[image]) for image in described]))


def plain(paths, captions, k=1):
    """The same for captions, a list for each image."""
    texts = [text for its in captions for text in its]
    owners = [image for image, its in enumerate(captions) for _ in its]
    distinct = list(dict.fromkeys(texts))
    features = models.plain_texts(distinct)[[distinct.index(text) for text in texts]]
    return plain_recall((models.plain_images(paths)[:, None] * features[None]).sum(axis=2), owners, k)


# ---------------------------------------------------------------- recall

@pytest.mark.parametrize("held", [1 << 24, 1, 90])
@pytest.mark.parametrize("tied", [False, True])
def test_recall_is_that_of_sorting_every_row(tied, held, monkeypatch):
    monkeypatch.setattr(retrieval, "SCORES", held)
    draw = np.random.default_rng(1)
    owners = draw.permutation(np.append(np.arange(20), draw.integers(0, 20, 25)))       # one text at least
    pictures, texts = ((draw.integers(-1, 2, (number, 3)) if tied else draw.normal(size=(number, 3))).astype(np.float32)
                       for number in (20, 45))
    found = retrieval.recall(pictures, texts, owners, (1, 5, 10))
    for k in (1, 5, 10):
        assert (found[f"t2i_r{k}"], found[f"i2t_r{k}"]) == plain_recall(pictures @ texts.T, owners, k)


def test_ties_go_to_the_first():
    same = np.ones((3, 2), np.float32)
    assert retrieval.recall(same, same, [0, 1, 2]) == {"t2i_r1": 1 / 3, "i2t_r1": 1 / 3}
    assert retrieval.recall(same, same, [2, 2, 0]) == {"t2i_r1": 1 / 3, "i2t_r1": 1 / 2}     # image 1 has no text


def test_a_text_that_comes_twice_ties_with_itself():
    draw = np.random.default_rng(0)
    pictures, texts = draw.normal(size=(4, 8)).astype(np.float32), draw.normal(size=(3, 8)).astype(np.float32)
    rows, owners = np.array([0, 1, 0, 2, 1, 0]), np.array([0, 1, 1, 2, 3, 3])
    apart = retrieval.recall(pictures, texts[rows], owners, (1, 2))
    assert retrieval.recall(pictures, texts, owners, (1, 2), rows) == apart


def test_memory_grows_with_the_part_and_not_with_the_product(monkeypatch):
    monkeypatch.setattr(retrieval, "SCORES", 1 << 17)
    draw = np.random.default_rng(0)
    pictures, texts = (draw.normal(size=(number, 8)).astype(np.float32) for number in (2_000, 6_000))
    tracemalloc.start()
    try:
        retrieval.recall(pictures, texts, np.arange(6_000) % 2_000, (1, 5))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < retrieval.SCORES * 8 + 8_000 * 100 < 2_000 * 6_000 * 4 / 20


def test_clip_benchmark_counts_the_same():
    theirs = pytest.importorskip("clip_benchmark.metrics.zeroshot_retrieval")
    import torch
    draw = np.random.default_rng(2)
    owners = np.repeat(np.arange(12), 2)
    pictures, texts = draw.normal(size=(12, 4)).astype(np.float32), draw.normal(size=(24, 4)).astype(np.float32)
    scores = torch.from_numpy(texts @ pictures.T)
    right = torch.zeros_like(scores, dtype=bool)
    right[torch.arange(24), torch.from_numpy(owners)] = True
    found = retrieval.recall(pictures, texts, owners, (1, 5))
    for k in (1, 5):
        assert found[f"t2i_r{k}"] == pytest.approx((theirs.recall_at_k(scores, right, k) > 0).float().mean().item())
        assert found[f"i2t_r{k}"] == pytest.approx((theirs.recall_at_k(scores.T, right.T, k) > 0).float().mean().item())


def test_two_ranks_find_what_one_process_finds(tmp_path, score, model):
    captioned.write_xm3600(tmp_path)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "mc2",
               "eval", "xm3600", "--model", str(model), "--data", str(tmp_path), "--no-cache", "--workers", "0",
               "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(Path(retrieval.__file__).parents[2])})
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(record["task"], record["lang"], record["metric"]): record["value"] for record in records} \
        == values(score("xm3600", "--data", tmp_path))


# ---------------------------------------------------------------- benchmarks

def test_xm3600_uses_all_captions_of_all_languages(tmp_path, score):
    paths = captioned.write_xm3600(tmp_path)
    found = score("xm3600", "--data", tmp_path)
    for lang, captions in captioned.XM3600.items():
        to_image, to_text = plain(paths, captions)
        assert values(found)["xm3600", lang, "t2i_r1"] == pytest.approx(to_image)
        assert values(found)["xm3600", lang, "i2t_r1"] == pytest.approx(to_text)
    for metric in ("t2i_r1", "i2t_r1"):
        mean = found["xm3600", None, metric]
        single = [found["xm3600", lang, metric]["value"] for lang in captioned.XM3600]
        assert mean["value"] == pytest.approx(np.mean(single))
        assert mean["protocol"]["languages"] == 2
    assert found["xm3600", "en", "t2i_r1"]["n"] == 5 and found["xm3600", "en", "i2t_r1"]["n"] == 3


def test_an_image_that_is_left_out_takes_its_captions_along(tmp_path, score, model, capsys):
    paths = captioned.write_xm3600(tmp_path)
    paths[0].write_bytes(b"broken")
    assert paths[0].name in score("xm3600", "--data", tmp_path, status=3)
    found = score("xm3600", "--data", tmp_path, "--on-error", "skip", "--langs", "en")
    assert values(found)["xm3600", "en", "t2i_r1"] == pytest.approx(plain(paths[1:], captioned.XM3600["en"][1:])[0])
    record = found["xm3600", "en", "t2i_r1"]
    assert record["n"] == 4 and record["protocol"]["images_skipped"] == 1


ONE = {"a": ["a cat", "two dogs", "", "a red car", "the sea"], "b": ["paka", "mbwa wawili", "mti", "gari", "bahari"]}


@pytest.mark.parametrize("task, names, files, folders", [
    ("flickr30k-200", "filenames.txt", {"eng_Latn.txt": "a", "swh_Latn.txt": "b"}, ("images",)),
    ("xtd-200", "test_image_names.txt", {"eng_Latn.txt": "a", "swh_Latn.txt": "b"}, ("images",)),
    ("xtd-10", "XTD10/test_image_names.txt", {"XTD10/test_1kcaptions_es.txt": "a", "STAIR/test_1kcaptions_jp.txt": "b"},
     ("images/train2014", "images/val2014")),
])
def test_one_caption_per_image(task, names, files, folders, tmp_path, score):
    paths = captioned.write_one_caption(tmp_path, names, {name: ONE[which] for name, which in files.items()}, folders)
    langs = {name.rpartition("/")[2].removesuffix(".txt").removeprefix("test_1kcaptions_"): ONE[which]
             for name, which in files.items()}
    found = score(task, "--data", tmp_path, "--langs", ",".join(langs))
    for lang, texts in langs.items():
        assert (values(found)[task, lang, "t2i_r1"], values(found)[task, lang, "i2t_r1"]) \
            == pytest.approx(plain(paths, [[text] for text in texts]))
    assert {lang for _, lang, _ in found} == {*langs, None}


def by_clip_benchmark(data):
    """(text to image, image to text): its evaluation of one of its data sets, images encoded plainly."""
    theirs = pytest.importorskip("clip_benchmark.metrics.zeroshot_retrieval")
    import open_clip
    import torch
    transform = open_clip.image_transform(models.ARCHITECTURE["vision_cfg"]["image_size"], False)
    pictures = torch.stack([transform(image) for image, _ in data])
    batches = [(pictures, [texts for _, texts in data])]
    found = theirs.evaluate(models.network(), batches, models.PlainTokenizer(), "cpu", amp=False, recall_k_list=[1])
    return found["image_retrieval_recall@1"], found["text_retrieval_recall@1"]


def test_clip_benchmark_scores_flickr30k_200_the_same(tmp_path, score, monkeypatch, capsys):
    loader = pytest.importorskip("clip_benchmark.datasets.flickr30k_200")
    folder, captions = tmp_path / "flickr30k-200", ["a cat", "two dogs", "a tree", "a red car", "the sea"]
    captioned.write_one_caption(folder, "filenames.txt", {"eng_Latn.txt": captions})
    monkeypatch.setattr(loader, "_get_lines", lambda url: (folder / url.rpartition("/")[2]).read_text().splitlines())
    loader.create_annotation_file(str(tmp_path), "eng_Latn")
    capsys.readouterr()
    data = loader.Flickr30k_200(str(tmp_path), str(tmp_path / "flickr30k_200-eng_Latn.json"))
    expected = pytest.approx(by_clip_benchmark(data))
    found = values(score("flickr30k-200", "--data", tmp_path))
    assert (found["flickr30k-200", "eng_Latn", "t2i_r1"], found["flickr30k-200", "eng_Latn", "i2t_r1"]) == expected
    found = values(score("retrieval", tmp_path / "flickr30k_200-eng_Latn.json", "--images", folder / "images"))
    assert (found["retrieval", "eng_Latn", "t2i_r1"], found["retrieval", "eng_Latn", "i2t_r1"]) == expected
    for name in ("filenames.txt", "eng_Latn.txt"):              # clip_benchmark keeps neither
        (folder / name).unlink()
    found = values(score("flickr30k-200", "--data", tmp_path))
    assert (found["flickr30k-200", "eng_Latn", "t2i_r1"], found["flickr30k-200", "eng_Latn", "i2t_r1"]) == expected


def test_clip_benchmark_scores_xm3600_the_same_with_one_caption(tmp_path, score):
    loader = pytest.importorskip("clip_benchmark.datasets.crossmodal3600")       # it takes the first caption only
    captioned.write_xm3600(tmp_path / "xm3600", {"sw": [["gari"], ["paka"], ["mbwa"], ["bahari"]]})
    loader.create_annotation_file(str(tmp_path), "sw")
    found = values(score("xm3600", "--data", tmp_path))
    assert (found["xm3600", "sw", "t2i_r1"], found["xm3600", "sw", "i2t_r1"]) == pytest.approx(
        by_clip_benchmark(loader.Crossmodal3600(str(tmp_path), str(tmp_path / "crossmodal3600_captions-sw.json"))))


def test_what_is_missing_is_named(tmp_path, score):
    captioned.write_one_caption(tmp_path, "test_image_names.txt", {"test_1kcaptions_es.txt": ONE["a"]})
    assert "no captions in it. It has es" in score("xtd-10", "--data", tmp_path, status=2)
    (tmp_path / "test_1kcaptions_es.txt").write_text("uno\ndos\n")
    assert "has 2 captions for the 5 images" in score("xtd-10", "--data", tmp_path, "--langs", "es", status=3)
    assert "captions.jsonl: is missing" in score("xm3600", "--data", tmp_path, status=2)
    assert "dataset_coco.json: is missing" in score("retrieval", "--preset", "coco", "--data", tmp_path, status=2)


SEVERAL = [["a man", "a tall man", "one man"], ["two dogs", "dogs"], ["the sea", "water", "a boat"]]


@pytest.mark.parametrize("preset, name, filepath", [("flickr30k", "dataset_flickr30k.json", None),
                                                    ("coco", "dataset_coco.json", "val2014")])
def test_presets_read_karpathys_split(preset, name, filepath, tmp_path, score):
    paths = captioned.write_karpathy(tmp_path / preset / name, SEVERAL, filepath)
    found = values(score("retrieval", "--preset", preset, "--data", tmp_path))
    for k in (1, 5):
        assert (found[f"retrieval/{preset}", "en", f"t2i_r{k}"], found[f"retrieval/{preset}", "en", f"i2t_r{k}"]) \
            == pytest.approx(plain(paths, SEVERAL, k))
    two = score("retrieval", "--preset", preset, "--data", tmp_path, "--captions", 2)
    assert two[f"retrieval/{preset}", "en", "t2i_r1"]["n"] == 6


def test_dci_has_a_file_for_each_image_and_a_list_of_the_split(tmp_path, score):
    captions = {"sa_1": "a cat on a mat", "sa_2": "two dogs", "sa_3": "the sea", "sa_9": "of another split"}
    paths = [images.write(tmp_path / f"dci/photos/{name}.jpg", 4300 + number)
             for number, name in enumerate(captions)][:3]
    for name, caption in captions.items():
        (tmp_path / "dci/complete").mkdir(exist_ok=True)
        (tmp_path / f"dci/complete/{name}.json").write_text(json.dumps(
            {"image": f"{name}.jpg", "short_caption": caption, "extra_caption": "more", "mask_data": {}}))
    splits = {"train": ["sa_9.json"], "test": ["sa_1.json", "sa_2.json", "sa_3.json"]}
    (tmp_path / "dci/splits.json").write_text(json.dumps(splits))
    found = values(score("retrieval", "--preset", "dci", "--data", tmp_path))
    assert (found["retrieval/dci", "en", "t2i_r1"], found["retrieval/dci", "en", "i2t_r1"]) \
        == pytest.approx(plain(paths, [[text] for text in captions.values()][:3]))
    assert "has no list of files for the split valid" in score(
        "retrieval", "--preset", "dci", "--data", tmp_path, "--split", "valid", status=3)


def test_flickr30k_cn_in_lines(tmp_path, score):
    chinese = [["一个男人,站着", "男人"], ["两只狗"]]
    paths = [images.write(tmp_path / f"Images/{image}.jpg", image) for image in (11, 12)]
    lines = [f"{path.name},{text}" for path, texts in zip(paths, chinese) for text in texts]
    (tmp_path / "flickr30k_cn_test.txt").write_text("\n".join(["image,caption", *lines]) + "\n", "utf-8")
    found = values(score("retrieval", "--preset", "flickr30k-cn", "--data", tmp_path))
    assert (found["retrieval/flickr30k-cn", "zh", "t2i_r1"], found["retrieval/flickr30k-cn", "zh", "i2t_r1"]) \
        == pytest.approx(plain(paths, chinese))
    tabbed = tmp_path / "tabbed.txt"
    tabbed.write_text("".join(f"{path.stem}#{number}\t{text}\n" for path, texts in zip(paths, chinese)
                              for number, text in enumerate(texts)), "utf-8")
    assert readers.captions_by_line(str(tabbed)) == [(path.name, texts) for path, texts in zip(paths, chinese)]
    flickr = pytest.importorskip("clip_benchmark.datasets.flickr")
    theirs = flickr.Flickr(str(tmp_path / "Images"), str(tmp_path / "flickr30k_cn_test.txt"))
    assert [captions for _, captions in theirs] == [captions for _, captions in
                                                    readers.captions_by_line(str(tmp_path / "flickr30k_cn_test.txt"))]


def test_flickr30k_cn_without_a_head_keeps_its_first_caption(tmp_path):
    for head in ("", "image,caption\n", "image_name, comment\n"):
        (tmp_path / "a.txt").write_text(head + "1.jpg,eins\n1.jpg,zwei\n", "utf-8")
        assert readers.captions_by_line(str(tmp_path / "a.txt")) == [("1.jpg", ["eins", "zwei"])]


def test_a_language_named_twice_counts_once(tmp_path, score):
    captioned.write_xm3600(tmp_path)
    found = score("xm3600", "--data", tmp_path, "--langs", "en,en")
    assert found["xm3600", None, "t2i_r1"]["protocol"]["languages"] == 1


def test_blank_lines_at_the_end_are_no_names(tmp_path, score):
    captioned.write_one_caption(tmp_path, "filenames.txt", {"eng_Latn.txt": ONE["a"]})
    expected = values(score("flickr30k-200", "--data", tmp_path))
    for name in ("filenames.txt", "eng_Latn.txt"):
        (tmp_path / name).write_text((tmp_path / name).read_text() + "\n\n")
        assert values(score("flickr30k-200", "--data", tmp_path)) == expected


# ---------------------------------------------------------------- images by name

def test_an_image_of_another_folder_is_another_image(tmp_path):
    for name in ("val/1.jpg", "deep/train/2.jpg"):
        images.write(tmp_path / name, 1)
    assert sources.in_folder(str(tmp_path), ["train/2.jpg", "1"]).names == ["deep/train/2.jpg", "val/1.jpg"]
    with pytest.raises(BadData, match="train/1.jpg: no such image"):
        sources.in_folder(str(tmp_path), ["train/1.jpg"])


@pytest.mark.parametrize("names", [["1", "1.jpg"], ["val/1.jpg", "1.jpg"], ["val/1.jpg", "./val/1.jpg"]])
def test_a_file_has_one_name(names, tmp_path):
    images.write(tmp_path / "val/1.jpg", 1)
    with pytest.raises(BadData, match="are one image"):
        sources.in_folder(str(tmp_path), names)


def test_a_name_has_one_file(tmp_path):
    for name in ("val/1.jpg", "train/1.jpg"):
        images.write(tmp_path / name, 1)
    with pytest.raises(BadData, match="several images called 1.jpg"):
        sources.in_folder(str(tmp_path), ["1.jpg"])


# ---------------------------------------------------------------- own pairs

PAIRS = [("a", "a cat", "en"), ("b", "un chien", "fr"), ("c", "a car", "en"), ("a", "chat", "fr"), ("d", "tree", "en")]


@pytest.fixture
def pairs(tmp_path):
    models.write_records(tmp_path / "pairs.jsonl", [dict(zip(("id", "text", "lang"), pair)) for pair in PAIRS])
    for number, key in enumerate("abcde"):
        images.write(tmp_path / f"pictures/{key}.png", 50 + number)
    return tmp_path


def test_own_pairs_by_language(pairs, score):
    picture = {key: pairs / f"pictures/{key}.png" for key in "abcd"}
    found = values(score("retrieval", pairs / "pairs.jsonl", "--images", pairs / "pictures"))
    assert found["retrieval", "en", "t2i_r1"] == pytest.approx(plain([picture[key] for key in "acd"],
                                                                     [["a cat"], ["a car"], ["tree"]])[0])
    every = values(score("retrieval", pairs / "pairs.jsonl", "--images", pairs / "pictures", "--gallery", "all"))
    texts = models.plain_texts(["un chien", "chat"])
    scores = models.plain_images([picture[key] for key in "abcd"]) @ texts.T
    assert (every["retrieval", "fr", "t2i_r1"], every["retrieval", "fr", "i2t_r1"]) == plain_recall(scores, [1, 0], 1)
    assert every["retrieval", None, "t2i_r1"] == pytest.approx((every["retrieval", "en", "t2i_r1"]
                                                                + every["retrieval", "fr", "t2i_r1"]) / 2)


def test_a_plot_takes_the_scores_of_a_control(pairs, score):
    pytest.importorskip("matplotlib")
    given = ["retrieval", pairs / "pairs.jsonl", "--images", pairs / "pictures"]
    score(*given, "-o", pairs / "control.jsonl")
    score(*given, "--plot", pairs / "a.png", "--control", pairs / "control.jsonl")
    assert (pairs / "a.png").read_bytes().startswith(b"\x89PNG") and "no control" not in score.err
    (pairs / "control.jsonl").write_text('{"task": "xm3600", "lang": "de", "metric": "t2i_r1", "value": 0.5}\n')
    score(*given, "--plot", pairs / "a.png", "--control", pairs / "control.jsonl")
    assert "control.jsonl: holds no score of this task, language and metric" in score.err


def test_own_pairs_with_tars_score_the_same(pairs, score):
    for shard, keys in enumerate(("ab", "cde")):
        with tarfile.open(pairs / f"{shard}.tar", "w") as tar:
            for key in keys:
                for name, data in ((f"s{key}.png", (pairs / f"pictures/{key}.png").read_bytes()),
                                   (f"s{key}.json", json.dumps({"id": key}).encode())):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
    expected = values(score("retrieval", pairs / "pairs.jsonl", "--images", pairs / "pictures"))
    given = ("retrieval", pairs / "pairs.jsonl", "--images", pairs / "0.tar")
    assert values(score(*given, "--images", pairs / "1.tar")) == expected
    assert "no such image in the tars" in score(*given, status=3)


def test_a_key_of_several_samples_is_refused(tmp_path):
    for shard in "01":
        with tarfile.open(tmp_path / f"{shard}.tar", "w") as tar:
            for name, data in (("000.png", images.encoded(int(shard), "PNG")),
                               ("000.json", f'{{"id": "x{shard}"}}'.encode())):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    both = [str(tmp_path / f"{shard}.tar") for shard in "01"]
    assert [tar for tar, _, _ in sources.in_tars(both, ["x1", "x0"]).members] == [1, 0]
    with pytest.raises(BadData, match="000: is a key or an id of several samples .*0.tar, .*1.tar"):
        sources.in_tars(both, ["000"])
    with pytest.raises(BadData, match="x0 and 000 are one image"):
        sources.in_tars(both[:1], ["x0", "000"])


def test_texts_without_a_language_are_undetermined(pairs, score):
    models.write_records(pairs / "mixed.jsonl", [{"id": "a", "image": None, "text": "a cat"},
                                                 {"id": "b", "text": "a car", "lang": "und"},
                                                 {"id": "c", "text": "Baum", "lang": "de"}])
    given = ("retrieval", pairs / "mixed.jsonl", "--images", pairs / "pictures")
    found = score(*given)
    assert found["retrieval", "und", "t2i_r1"]["n"] == 2
    assert {lang for _, lang, _ in score(*given, "--langs", "und")} == {"und"}
    assert "no captions in fr. It has und, de" in score(*given, "--langs", "fr", status=2)


def test_pairs_that_are_none_are_named_by_line(pairs, score):
    pictures = ("--images", pairs / "pictures")
    (pairs / "bad.jsonl").write_text('{"id": "a", "text": "x"}\n{"id": "a"}\n')
    assert 'bad.jsonl:2: has no "text"' in score("retrieval", pairs / "bad.jsonl", *pictures, status=3)
    (pairs / "blank.jsonl").write_text("\n\n")
    assert "blank.jsonl: holds no lines" in score("retrieval", pairs / "blank.jsonl", *pictures, status=3)
    (pairs / "far.jsonl").write_text('{"id": "zz", "text": "x"}\n')
    assert "zz: no such image" in score("retrieval", pairs / "far.jsonl", *pictures, status=3)
    assert "missing option '--images'" in score("retrieval", pairs / "pairs.jsonl", status=2)


def test_one_rule_names_images_in_tars_for_eval_as_for_join(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("./b.txt", "./a.png", "x/c.png", "y/c.png", "./b.png", "x.v1/d.png", "d.png"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    found = sources.in_tars([str(tmp_path / "a.tar")], ["a", "b.png", "x/c.png", "d"])
    with tarfile.open(tmp_path / "a.tar") as tar:
        offsets = {member.name: member.offset_data for member in tar}
    assert [offset for _, offset, _ in found.members] == [offsets[name] for name in ("./a.png", "./b.png", "x/c.png", "d.png")]
    with pytest.raises(BadData, match="c: is a key or an id of several samples"):
        sources.in_tars([str(tmp_path / "a.tar")], ["c"])
    with pytest.raises(BadData, match="z: no such image in the tars, nor 1 others of 2. An image in .*a.tar is called b."):
        sources.in_tars([str(tmp_path / "a.tar")], ["z", "zz"])


def test_tars_are_named_by_patterns_and_directories_and_a_folder_of_images_stays_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("tars/0.tar", "tars/1.tar", "tars/0.jsonl", "photos/a.jpg", "photos/b.tar", "plain/x/a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sources.tars_among(["tars"]) == sources.tars_among(["tars/{0..1}.tar"]) == ["tars/0.tar", "tars/1.tar"]
    assert sources.tars_among(["photos"]) is sources.tars_among(["plain"]) is None


def test_the_files_of_clip_benchmark_are_read_wherever_the_images_are_now(tmp_path, score):
    captions = ["a cat", "two dogs", "a tree"]
    paths = [images.write(tmp_path / f"pictures/{folder}/1.jpg", 60 + number) for number, folder in enumerate("abc")]
    for name, root in (("xtd200-deu_Latn.json", "/gone/since/pictures"), ("here-de.json", str(tmp_path / "pictures")),
                       ("relative.json", "root/xtd200/images"), ("coco-val.json", "")):
        (tmp_path / name).write_text(json.dumps({"image_paths": [os.path.join(root, folder, "1.jpg") for folder in "abc"],
                                                 "annotations": captions, "indicies": [0, 1, 2]}))
        found = values(score("retrieval", tmp_path / name, "--images", tmp_path / "pictures"))
        lang = {"xtd200-deu_Latn.json": "deu_Latn", "here-de.json": "de"}.get(name)
        assert (found["retrieval", lang, "t2i_r1"], found["retrieval", lang, "i2t_r1"]) \
            == pytest.approx(plain(paths, [[text] for text in captions])), name


def test_a_path_of_clip_benchmark_that_comes_again_has_several_captions(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"image_paths": ["x/1.jpg", "x/2.jpg", "x/1.jpg"],
                                                 "annotations": ["one", ["two", "zwei"], "uno"]}))
    assert readers.karpathy(str(tmp_path / "a.json")) == [("x/1.jpg", ["one", "uno"]), ("x/2.jpg", ["two", "zwei"])]
    assert readers.language_in("coco-2014.json") is readers.language_in("captions.json") is None


@pytest.mark.parametrize("content, message", [
    ({"image_paths": ["1.jpg"], "annotations": ["one", "two"]}, "2 annotations for 1 image_paths"),
    ({"image_paths": ["1.jpg"], "annotations": [{"caption": "one"}]}, "neither a text nor a list of texts"),
    ({"image_paths": ["1.jpg"]}, "'annotations'"), ({"image_paths": ["1.jpg"], "annotations": [None]}, "TypeError"),
    ({"image_paths": [7], "annotations": ["one"]}, "captions for 7"), ({"image_paths": [], "annotations": []}, "no images"),
    ({"image_paths": ["1.jpg"], "annotations": [[]]}, "captions for 1.jpg"), ({"image_paths": 3, "annotations": 4}, "no lists"),
    ({"image_paths": [["1.jpg"]], "annotations": ["one"]}, "unhashable"),
    ({"image_paths": "ab", "annotations": "cd"}, "no lists")])
def test_a_file_of_clip_benchmark_that_is_damaged_says_where(content, message, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(BadData, match=message):
        readers.karpathy(str(tmp_path / "a.json"))


@pytest.mark.parametrize("task, stem, folder", [
    ("flickr30k-200", "flickr30k_200", "flickr30k-200"), ("xtd-200", "xtd200", "xtd200"), ("xtd-10", "xtd10", "xtd10"),
    ("xtd-10", "multilingual_mscoco_captions", "multilingual_mscoco")])
def test_what_clip_benchmark_downloaded_is_scored_in_every_language(task, stem, folder, tmp_path, score):
    paths = [images.write(tmp_path / f"{folder}/images/{number}.jpg", 70 + number) for number in range(3)]
    captions = {"it": ["un gatto", "due cani", "un albero"], "es": ["un gato", "dos perros", "un árbol"]}
    for lang, its in captions.items():
        (tmp_path / f"{stem}-{lang}.json").write_text(json.dumps(
            {"image_paths": [f"/gone/{folder}/images/{number}.jpg" for number in range(3)], "annotations": its}))
    found = values(score(task, "--data", tmp_path, "--langs", "it,es"))
    for lang, its in captions.items():
        assert (found[task, lang, "t2i_r1"], found[task, lang, "i2t_r1"]) \
            == pytest.approx(plain(paths, [[text] for text in its]))
