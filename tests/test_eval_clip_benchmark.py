"""Where clip_benchmark is installed, it reads the same miniatures and gives the same numbers."""
import json

import numpy as np
import pytest

from training_tools import require_train

require_train()
pytest.importorskip("webdataset")
builder = pytest.importorskip("clip_benchmark.datasets.builder")

from mc2.cli import run                                     # noqa: E402
from miniatures import models, webdatasets                  # noqa: E402


@pytest.fixture
def scores(tmp_path, capsys):
    """`mc2 eval datacomp` on tmp_path/data: {(task, metric): value}."""
    directory = models.write_run(tmp_path / "model")

    def score():
        assert run(["eval", "datacomp", "--model", str(directory), "--data", str(tmp_path / "data"), "--no-cache",
                    "--workers", "0", "--json"]) == 0
        records = map(json.loads, capsys.readouterr().out.splitlines())
        return {(record["task"], record["metric"]): record["value"] for record in records}
    return score


def loader(name, folder, task, collate=None):
    import open_clip
    from torch.utils.data import DataLoader
    data = builder.build_dataset(dataset_name=f"wds/{name}", root=str(folder), split="test", download=False, task=task,
                                 transform=open_clip.image_transform(32, is_train=False))
    return data, DataLoader(data.batched(8, collation_fn=collate or builder.default_collate), batch_size=None)


def test_classification(scores, tmp_path, monkeypatch):
    from clip_benchmark.metrics import zeroshot_classification as theirs
    monkeypatch.setattr(theirs, "float", lambda array: array.item(), raising=False)     # float(array): not in NumPy 2.4
    labels = np.random.default_rng(4).integers(0, 7, 40)
    webdatasets.write(tmp_path / "data/wds_cifar10_test", labels, [f"thing {number}" for number in range(7)], tars=3)
    data, batches = loader("cifar10", tmp_path / "data/wds_cifar10_test", "zeroshot_classification")
    expected = theirs.evaluate(models.network(), batches, models.PlainTokenizer(), data.classes, data.templates, "cpu",
                               amp=False)
    found = scores()
    for metric in ("acc1", "acc5", "mean_per_class_recall"):
        assert found["datacomp/cifar10", metric] == pytest.approx(expected[metric], abs=1e-6), metric


def test_retrieval(scores, tmp_path):
    from clip_benchmark.metrics import zeroshot_retrieval as theirs
    captions = [[f"{word} {number}" for word in ("a picture of", "number", "seen:")] for number in range(12)]
    webdatasets.write(tmp_path / "data/wds_flickr30k_test", None, None, captions=captions)
    _, batches = loader("flickr30k", tmp_path / "data/wds_flickr30k_test", "zeroshot_retrieval",
                        builder.image_captions_collate_fn)
    expected = theirs.evaluate(models.network(), batches, models.PlainTokenizer(), "cpu", amp=False, recall_k_list=[1])
    found = scores()
    for metric in ("image_retrieval_recall@1", "text_retrieval_recall@1"):
        assert found["datacomp/retrieval/flickr_1k_test_image_text_retrieval", metric] == pytest.approx(
            expected[metric], abs=1e-6), metric
