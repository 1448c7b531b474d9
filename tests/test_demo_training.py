"""What the demo trains with: its tokenizer, its run's configuration, and its zero-shot scores."""
import pathlib
import sys

from training_tools import require_train
require_train()

import pytest                                       # noqa: E402

DEMO = pathlib.Path(__file__).parents[1] / "examples" / "demo"
sys.path.insert(0, str(DEMO))

import words                                        # noqa: E402
import zeroshot                                     # noqa: E402
from draw import CLASSES                            # noqa: E402
from mc2.clip import tokenizer_training, tokenizers     # noqa: E402
from mc2.training import presets

PICTURES = [dict(shape=shape, colour=colour, size=size, place=place, background=background)
            for shape, colour in CLASSES for size, place, background in
            [("small", "left", "white"), ("large", "right", "grey"), ("large", "middle", "pink")]]
TEXTS = [text for language in words.LANGUAGES.values() for picture in PICTURES for text in language.captions(picture)]


@pytest.fixture(scope="module")
def run():
    return presets.load(str(DEMO / "tiny.toml"))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory, run):
    path = tmp_path_factory.mktemp("demo") / "tokenizer.json"
    tokenizer_training.trained(TEXTS).save(str(path))
    return tokenizers.load(str(path), run.architecture["text_cfg"])


def test_the_tokenizer_fits_the_model_and_stands_like_xlm_vs(tokenizer, run):
    assert tokenizer.special == tokenizers.KNOWN["facebook/xlm-v-base"][1]
    assert tokenizer.vocab_size == run.architecture["text_cfg"]["vocab_size"]


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_class_names_of_every_language_are_whole_and_differ(tokenizer, lang):
    rows = tokenizer([words.LANGUAGES[lang].name(*c) for c in CLASSES])
    assert len({tuple(row) for row in rows.tolist()}) == len(CLASSES)
    assert (rows != tokenizer.special.unk).all()
    assert (rows[:, -1] == tokenizer.pad_id).all()


def test_prompts_name_the_class_they_are_of():
    for language in words.LANGUAGES.values():
        for shape, colour in CLASSES:
            texts = zeroshot.prompts(language, shape, colour)
            assert texts[0] == language.name(shape, colour) and len(texts) > 1
            assert all(language.noun(shape).lower() in text.lower() for text in texts)


def test_the_run_is_the_one_that_the_makefile_gives_its_files(run):
    data, out = run.values["data"], str(DEMO / "out")
    assert data["curation"] == "online" and not data["shuffle_texts"]
    assert [data["train_data"], data["pairs"]] == [f"{out}/images/*.tar", f"{out}/matched/*.jsonl.zst"]
    assert [data["counts"], data["thresholds"]] == [f"{out}/counts", f"{out}/thresholds.json"]
    assert run.values["model"]["tokenizer"] == f"{out}/tokenizer.json" and run.values["run"]["output"] == f"{out}/run"


def scores(**held_out):
    return {lang: {"classes": 50, "pictures": 100, "chance": 0.02, "held_out": value, "seen": 0.5}
            for lang, value in held_out.items()}


def test_a_language_under_five_times_chance_is_named():
    assert list(zeroshot.failing(scores(en=0.4, fr=0.1), at_least=5)) == []
    assert list(zeroshot.failing(scores(en=0.4, fr=0.09), at_least=5)) == \
        ["zeroshot: fr: 4.5 times chance, expected at least 5."]


def test_a_control_may_scatter_but_not_learn():
    assert list(zeroshot.failing(scores(en=0.06, fr=0.01), at_most=2)) == []
    assert list(zeroshot.failing(scores(en=0.06, fr=0.04), at_most=2)) == \
        ["zeroshot: mean: 2.5 times chance, expected at most 2."]


def test_the_table_has_a_row_for_each_language_and_their_mean():
    rows = list(zeroshot.table(scores(en=0.4, fr=0.1)))
    assert rows[1:] == [["en", "50", "100", "2.0%", "40.0%", "20.0", "50.0%"],
                        ["fr", "50", "100", "2.0%", "10.0%", "5.0", "50.0%"],
                        ["mean", "", "", "2.0%", "25.0%", "12.5", "50.0%"]]
