"""Plots of scores: rows, dots, chance and control, names of languages, letters that no font has."""
import json
import warnings

import numpy as np
import pytest

from mc2.errors import BadLine
from mc2.evaluation import fonts, languages, plots, results, tasks

pytest.importorskip("matplotlib")


def record(lang, metric, value, n=2, task="xm3600", **protocol):
    return {"task": task, "lang": lang, "metric": metric, "value": value, "n": n, "protocol": protocol, "model": {},
            "mc2": "0"}


RETRIEVAL = [record("de", "t2i_r1", 0.25, images=10), record("de", "i2t_r1", 0.5, images=10),
             record("de", "t2i_r5", 0.75, images=10), record("sw", "t2i_r1", 0.5, images=10),
             record("sw", "i2t_r1", 0.125, images=10), record(None, "t2i_r1", 0.375, languages=2)]


@pytest.fixture
def axis():
    """A function: the axis of the first column of a plot of records."""
    from matplotlib import pyplot
    yield lambda records, control=(): plots.figure_of(plots.panels(records, tasks.TASKS, control)).axes[0]
    pyplot.close("all")


def rows(axis):
    return [label.get_text() for label in axis.get_yticklabels()]


def dots(axis, gid):
    """[(x, y)] of the dots of a series, from above; also of "control", and of the middles of the lines of "chance"."""
    return [(round(float(line.get_xdata()[0]), 3), round(float(np.mean(line.get_ydata())), 2))
            for line in axis.lines if line.get_gid() == gid]


def test_retrieval_is_one_figure_with_a_row_per_language(axis):
    found = axis(RETRIEVAL)
    assert rows(found) == ["mean of 2 languages", "Swahili  sw", "German  de"]
    assert len(found.figure.figure.axes) == 1
    assert dots(found, "text to image, R@1") == [(37.5, -0.18), (50.0, 0.82), (25.0, 1.82)]
    assert dots(found, "text to image, R@5") == [(75.0, 1.82)]
    assert dots(found, "image to text, R@1") == [(12.5, 1.18), (50.0, 2.18)]


def test_chance_of_retrieval_follows_images_and_texts():
    texts = {("xm3600", "de"): 20}
    assert plots.chance_of(record("de", "t2i_r5", 0.5, images=10), texts) == 0.5
    assert plots.chance_of(record("de", "i2t_r1", 0.5, n=10, images=10), texts) == pytest.approx(0.1)
    assert plots.chance_of(record("de", "i2t_r5", 0.5, n=10, images=10), texts) == pytest.approx(1 - 15 * 14 / 380)
    assert plots.chance_of(record("de", "t2i_r1", 0.5), texts) is None


def test_chance_of_classification_is_k_over_the_classes():
    assert plots.chance_of(record("de", "top5", 0.5, task="babel-imagenet", classes=20), {}) == 0.25
    assert plots.chance_of(record("en", "top1", 0.5, task="cvqa"), {}) == 0.25
    assert plots.chance_of(record("en", "top1", 0.5, task="dollar-street"), {}) is None


def test_chance_and_control_are_drawn(axis):
    drawn = axis(RETRIEVAL, [record("sw", "t2i_r1", 0.0625), record("fr", "t2i_r1", 0.9)])
    assert dots(drawn, "control") == [(6.25, 0.82)]
    assert dots(drawn, "chance") == [(10.0, -0.18), (10.0, 0.82), (50.0, 1.18), (50.0, 1.82), (10.0, 1.82),
                                     (50.0, 2.18)]


def test_parts_of_a_task_are_rows_and_their_languages_dots(axis):
    drawn = axis([record(lang, "accuracy", value, task=task) for task, lang, value in (
        ("cvqa", "en", 0.5), ("cvqa", "local", 0.375), ("cvqa/Chile", "en", 0.75), ("cvqa/Chile", "local", 0.25))])
    assert rows(drawn) == ["all", "Chile"]
    assert dots(drawn, "English") == [(50.0, -0.18), (75.0, 0.82)]
    assert dots(drawn, "local") == [(37.5, 0.18), (25.0, 1.18)]


def test_many_languages_stand_in_several_columns(axis):
    drawn = axis([record(f"x{number}", "t2i_r1", number / 200) for number in range(200)])
    assert [len(column.get_yticks()) for column in drawn.figure.figure.axes] == [50, 50, 50, 50]


@pytest.mark.parametrize("code, name", [
    ("de", "German"), ("DE", "German"), ("deu_Latn", "German"), ("jp", "Japanese"), ("quz", "Cusco Quechua"),
    ("FIL", "Filipino"), ("zho_Hant", "Chinese (traditional)"), ("acm_Arab", "Mesopotamian Arabic"), ("qqq", None)])
def test_languages_have_names_in_every_benchmark(code, name):
    assert languages.name_of(code) == name


def test_each_language_of_flores_has_a_name_of_its_own():
    from mc2.metadata.languages import of_scheme
    codes = [label for label, _ in of_scheme("nllb").rows if "_" in label]
    names = [languages.name_of(code) for code in codes]
    assert None not in names and len(set(names)) == len(names) > 200


def test_no_glyph_is_missing(tmp_path):
    labels = ["Ελληνικά", "中文", "العربية", "हिन्दी", "\U0002a6a5", "$a$ $b$", "two\nlines", "\udc80"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")                              # matplotlib warns of each missing glyph
        missing = plots.draw([record(label, "t2i_r1", 0.5, task="retrieval") for label in labels],
                             str(tmp_path / "a.png"), tasks.TASKS)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert set(missing) <= {"中文", "العربية", "हिन्दी", "\U0002a6a5"}      # which ones depends on the installed fonts


def test_letters_without_a_font_are_spelled_out(monkeypatch):
    monkeypatch.setattr(fonts, "_fonts_for", lambda wanted: ([fonts.OWN], {0x4e2d}))
    words = fonts.Fonts(["ab中", "ab"])
    assert words("ab中") == "ab\\u4e2d" and words("ab") == "ab" and words.missing == ["ab中"]


@pytest.mark.parametrize("label", ["العربية", "हिन्दी", "မြန်မာ"])
def test_an_old_matplotlib_spells_out_scripts_that_it_cannot_shape(label, monkeypatch):
    monkeypatch.setattr(fonts, "_shapes", lambda: False)
    assert fonts.Fonts([label, "de"]).missing == [label]


def test_a_file_that_is_no_score_is_refused_as_control(tmp_path):
    (tmp_path / "control.jsonl").write_text(results.line(RETRIEVAL[0]) + "\n" + json.dumps({"task": "xm3600"}) + "\n")
    with pytest.raises(BadLine, match="control.jsonl:2: no score: it needs task, lang, metric and value"):
        results.read(str(tmp_path / "control.jsonl"))
