"""CVQA on a miniature, against a loop over its rows."""
import io

import numpy as np
import pytest

from training_tools import require_train

require_train()
pytest.importorskip("pyarrow", reason="needs the extra [parquet]")

from miniatures import models, questions                                # noqa: E402
from miniatures.running import Scores, values                           # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return models.write_run(tmp_path_factory.mktemp("model"))


@pytest.fixture
def score(model, capsys):
    return Scores(model, capsys)


def plain_answers(encoded, rows, question, options):
    from PIL import Image
    pictures = models.plain_images([Image.open(io.BytesIO(data)).convert("RGB") for data in encoded])
    chosen = []
    for picture, row in zip(pictures, rows):
        texts = list(dict.fromkeys(f"{row[question]} {option}" for option in row[options]))     # equal ones: the first
        chosen.append(int(np.argmax(models.plain_texts(texts) @ picture)))
    return np.array(chosen)


def test_english_takes_the_translated_columns_and_local_the_others(tmp_path, score):
    encoded = questions.write(tmp_path)
    found = score("cvqa", "--data", tmp_path)
    for lang, question, options in (("en", 2, 4), ("local", 1, 3)):
        correct = plain_answers(encoded, questions.ROWS, question, options) == [row[5] for row in questions.ROWS]
        assert values(found)["cvqa", lang, "accuracy"] == pytest.approx(correct.mean())
        assert values(found)["cvqa/Japanese, Japan", lang, "accuracy"] == pytest.approx(correct[:2].mean())
        assert values(found)["cvqa/Swahili, Kenya", lang, "accuracy"] == pytest.approx(correct[2:].mean())
        assert found["cvqa", lang, "accuracy"]["n"] == 5


def test_equal_options_are_answered_by_the_first(tmp_path, score):
    questions.write(tmp_path, questions.ROWS[3:] * 2)                   # options all alike, labels 0 and 1 in turn
    assert values(score("cvqa", "--data", tmp_path))["cvqa", "local", "accuracy"] == 0.5


@pytest.mark.parametrize("label", [-1, 4, None])
def test_a_label_that_is_none_is_refused_with_its_row(label, tmp_path, score):
    rows = [*questions.ROWS[:4], (*questions.ROWS[4][:5], label)]
    questions.write(tmp_path, rows)
    said = score("cvqa", "--data", tmp_path, status=3)
    assert f"test-00001-of-00002.parquet: row 2: the label is {label}, not one of 0 to 3" in said


def test_a_file_that_is_missing_is_named(tmp_path, score):
    questions.write(tmp_path)
    (tmp_path / "data/test-00001-of-00002.parquet").unlink()
    assert "test-00001-of-00002.parquet: is missing" in score("cvqa", "--data", tmp_path, status=2)


def test_what_is_no_cvqa_is_named(tmp_path, score):
    import pyarrow as pa
    import pyarrow.parquet as pq
    assert "holds no Parquet files" in score("cvqa", "--data", tmp_path, status=2)
    pq.write_table(pa.table({"image": [b"x"]}), tmp_path / "a.parquet")
    assert "has no column 'ID'" in score("cvqa", "--data", tmp_path, status=3)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 cut off")
    assert "not Parquet, or damaged" in score("cvqa", "--data", tmp_path, status=3)
    first = questions.ROWS[0]
    questions.write(tmp_path / "two", [(*first[:3], ["a", "b"], *first[4:]), *questions.ROWS[1:4]])
    assert "row 1: Question and Options are not a text and four" in score("cvqa", "--data", tmp_path / "two", status=3)
