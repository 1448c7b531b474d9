"""`import mc2`: the same answers as the commands, as arrays."""
import ast
import contextlib
import doctest
import io
import json

import numpy as np
import pytest
from conftest import ROOT, pair

import mc2
import mc2.api
from mc2.errors import BadData, BadLine

TEXTS = ["a red circle", "red", "a cat", "un chat noir", "chat", "", "nothing known", "a red cat, a circle"]
LANGS = ["fr" if "chat" in text else "en" for text in TEXTS]


@pytest.fixture
def pool(toy):
    """Counts and thresholds of a pool in `toy`, `matched.jsonl` its matched pairs, `kept.jsonl` those that are kept."""
    toy.write("pool.jsonl", *(pair(number, TEXTS[number % 8], LANGS[number % 8]) for number in range(400)))
    toy.ok("mc2 match pool.jsonl -m toy -o matched.jsonl -q && mc2 count matched.jsonl -m toy -o counts -q && "
           "mc2 thresholds counts --t-en 120 -o t.json -q && "
           "mc2 sample matched.jsonl --counts counts --thresholds t.json --seed 3 -o kept.jsonl -q")
    return toy


def test_the_examples_in_the_documentation_are_right():
    failed, tried = doctest.testmod(mc2.api)
    assert failed == 0 and tried > 20


def run_cell(source, names):
    """(what a cell of a notebook prints, the value of its last expression)"""
    tree, printed = ast.parse(source), io.StringIO()
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else ast.parse("None").body[0]
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    return printed.getvalue(), value


def test_the_notebook_gives_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, cells = {}, json.loads((ROOT / "examples/python/balance.ipynb").read_bytes())["cells"]
    cells = [cell for cell in cells if cell["cell_type"] == "code"]
    for cell in cells:
        printed, value = run_cell("".join(cell["source"]), names)
        shown = {output["output_type"]: output for output in cell["outputs"]}
        assert printed == "".join(shown.get("stream", {"text": []})["text"])
        result = shown.get("execute_result")
        assert (None if value is None else repr(value)) == (result and "".join(result["data"]["text/plain"]))
    assert len(cells) == 9


def test_the_names_are_those_that_the_package_lists():
    assert mc2.__all__ == mc2.api.__all__ and set(mc2.__all__) <= set(dir(mc2))
    assert all(getattr(mc2, name).__doc__ for name in mc2.__all__)
    with pytest.raises(AttributeError, match="no attribute 'matcher'"):
        mc2.matcher


@pytest.mark.parametrize("engine", ["native", "pyahocorasick"])
def test_a_release_matches_as_mc2_match_does(pool, engine):
    if engine == "native" and not mc2.api.engines.native():
        pytest.skip("the native core is not built")
    metadata = mc2.Metadata(pool / "toy", engine)
    pairs = list(mc2.read_pairs(pool / "matched.jsonl"))
    offsets, ids = metadata.match([pair["text"] for pair in pairs], [pair["lang"] for pair in pairs])
    assert offsets.dtype == np.int64 and ids.dtype == np.uint32
    assert [its.tolist() for its in np.split(ids, offsets[1:-1])] == [pair["matched_entry_ids"] for pair in pairs]
    assert metadata["en"].found("a red cat") == ["red", "cat", "a"] and metadata["en"].entries[1] == "red circle"
    assert metadata.n_entries["fr"] == 3 and {"en", "fr", "other"} <= set(metadata.langs)


@pytest.mark.parametrize("engine", ["native", "pyahocorasick"])
def test_entries_of_ones_own_match_in_memory(engine):
    if engine == "native" and not mc2.api.engines.native():
        pytest.skip("the native core is not built")
    matcher = mc2.Matcher(["C++", "猫", "cat"], engine=engine)
    offsets, ids = matcher.match(["a cat", "黒い猫です", "concatenation", ""])
    assert (offsets.tolist(), ids.tolist()) == ([0, 1, 2, 2, 2], [2, 1])
    assert mc2.Matcher([], engine=engine).match(["a cat"])[0].tolist() == [0, 0]
    assert mc2.Matcher(["New York"], "wide", engine).found("(New York)") == ["New York"]


def test_languages_are_those_of_mc2_lid(sh):
    texts = ["Ein Hund liegt im Schnee", "SALE 50 % | UN CHAT NOIR DANS LA RUE", "ギリシャの島", "https://a.org/x.jpg"]
    sh.write("pool.jsonl", *({"id": str(number), "text": text} for number, text in enumerate(texts)))
    records = [json.loads(line) for line in sh.ok("mc2 lid pool.jsonl --min-prob 0.3 -q").splitlines()]
    labels, probs, langs = mc2.Identifier(min_prob=0.3)(texts)
    assert labels.tolist() == [record["lid"] for record in records]
    assert probs.tolist() == [record["lid_prob"] for record in records]
    assert langs.tolist() == [record["lang"] for record in records] and langs[0] == "de" and langs[3] == "other"
    assert [len(column) for column in mc2.Identifier()([])] == [0, 0, 0]


def test_balancing_keeps_what_mc2_sample_keeps(pool):
    pairs = list(mc2.read_pairs(pool / "matched.jsonl"))
    ids, texts, langs = ([pair[key] for pair in pairs] for key in ("id", "text", "lang"))
    metadata = mc2.Metadata(pool / "toy")
    balanced = mc2.balance(langs, *metadata.match(texts, langs), metadata.n_entries, t_en=120,
                           draws=mc2.draws(ids, texts, seed=3))
    kept = [pair["id"] for pair in mc2.read_pairs(pool / "kept.jsonl")]
    assert [pair_id for pair_id, is_kept in zip(ids, balanced.kept) if is_kept] == kept and 100 < len(kept) < 300
    content = json.loads((pool / "t.json").read_bytes())["languages"]
    assert balanced.thresholds == {lang: row["t"] for lang, row in content.items()}
    assert balanced.entry_counts["en"].tolist() == np.load(pool / "counts/en.npy").tolist()


def test_the_seed_of_balancing_decides_who_is_kept():
    metadata = mc2.Metadata.of({"en": ["cat"]})
    texts, langs = ["a cat"] * 1000, ["en"] * 1000
    matched = metadata.match(texts, langs)

    def kept(**how):
        return mc2.balance(langs, *matched, metadata.n_entries, t_all=100, **how).kept

    assert 50 < kept().sum() < 150 and kept(seed=1).tolist() == kept(seed=1).tolist() != kept(seed=2).tolist()
    assert kept(draws=np.full(1000, 0.0999)).all() and not kept(draws=np.full(1000, 0.1)).any()


@pytest.mark.parametrize("langs, how, message", [
    (["en"], {"t_en": 1, "p": 0.1}, "give one of t_en, p and t_all"),
    (["en", "en"], {"t_all": 1}, "2 languages for 1 texts"),
    (["de"], {"t_all": 1}, "no language 'de'"),
    (["fr"], {"t_en": 1}, "no English pair matched anything"),
])
def test_what_cannot_be_balanced_is_said(langs, how, message):
    with pytest.raises(ValueError, match=message):
        mc2.balance(langs, np.array([0, 1]), np.array([0]), {"en": 1, "fr": 1}, **how)


def test_a_language_without_metadata_is_said():
    with pytest.raises(ValueError, match="the metadata has no language 'de'"):
        mc2.Metadata.of({"en": ["cat"]}).match(["a cat", "eine Katze"], ["en", "de"])


@pytest.mark.parametrize("entries, error, message", [
    (["cat", ""], ValueError, "entry 1 is empty"), ([" cat"], ValueError, "never found: ' cat'"),
    ([None], TypeError, "entry 0 is no text: None"), ("cat", TypeError, r"not one text: \['cat'\]")])
def test_entries_that_no_text_can_hold_are_said(entries, error, message):
    with pytest.raises(error, match=message):
        mc2.Metadata.of({"en": entries})


def test_an_entry_id_that_is_none_is_said():
    with pytest.raises(ValueError, match="an entry id of 'en' is not below its 1 entries"):
        mc2.balance(["en"], np.array([0, 1]), np.array([1]), {"en": 1}, t_all=1)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_pairs_go_into_a_file_and_come_out_of_it(tmp_path, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    pairs = [{"id": str(number), "text": f"Katze Nr. {number}", "width": number} for number in range(10_000)]
    assert mc2.write_pairs(tmp_path / name, iter(pairs)) == 10_000
    assert list(mc2.read_pairs(tmp_path / name)) == pairs


def test_what_is_no_pair_is_not_written_and_not_read(tmp_path):
    with pytest.raises(BadLine, match='pairs:4098: no "text" key'):
        mc2.write_pairs(tmp_path / "a.jsonl", [{"id": "0", "text": ""}] * 4097 + [{"id": "1"}])
    assert not list(tmp_path.iterdir())
    (tmp_path / "b.jsonl").write_text('{"id":"1","text":"a"}\nnot JSON\n')
    with pytest.raises(BadData, match="b.jsonl:2: not JSON"):
        list(mc2.read_pairs(tmp_path / "b.jsonl"))
    assert list(mc2.read_pairs(tmp_path / "b.jsonl", on_error="skip")) == [{"id": "1", "text": "a"}]


def test_arrays_are_written_as_lists(tmp_path):
    mc2.write_pairs(tmp_path / "a.jsonl", [{"id": "1", "text": "a", "probs": np.float32([0.5, 1]), "n": np.int64(3),
                                            "words": np.array(["un", "chat"])}])
    assert (tmp_path / "a.jsonl").read_text() == '{"id":"1","text":"a","probs":[0.5,1.0],"n":3,"words":["un","chat"]}\n'


@pytest.mark.parametrize("value", [
    float("nan"), {1, 2}, b"bytes", np.float32("nan"), [np.float16("inf")], np.array([1, np.nan]), {"a": np.float64("nan")},
    np.array([[float("nan")]], object), 1j])
def test_a_value_that_json_does_not_have_is_said(tmp_path, value):
    with pytest.raises(BadLine, match="pairs:2: cannot be written as JSON"):
        mc2.write_pairs(tmp_path / "a.jsonl", [{"id": "1", "text": "a"}, {"id": "2", "text": "a", "more": value}])
    with pytest.raises(BadLine, match="pairs:1: its id or its text is no value"):
        mc2.write_pairs(tmp_path / "a.jsonl", [{"id": None, "text": "a"}])


def test_a_model_makes_the_features_that_eval_uses(tmp_path):
    from training_tools import require_train
    require_train()
    from miniatures import images, models
    run = models.write_run(tmp_path / "model")
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        images.write(path, number)
    model = mc2.Model(run, batch_size=2)
    np.testing.assert_allclose(model.images(paths), models.plain_images(paths), atol=1e-6)
    np.testing.assert_allclose(model.texts(["dog", "cat", "dog"]), models.plain_texts(["dog", "cat", "dog"]), atol=1e-6)
    assert model.images([]).shape == (0, model.texts(["a"]).shape[1])
    (tmp_path / "broken.png").write_bytes(b"none")
    with pytest.raises(BadData, match="broken.png: cannot be decoded"):
        model.images([tmp_path / "broken.png"])
