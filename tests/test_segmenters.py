import concurrent.futures
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
import unicodedata
from importlib import metadata

import pytest
from conftest import DATA, ROOT
from hypothesis import given, settings, strategies

from mc2.errors import BadUsage
from mc2.metadata import languages, segmenters
from mc2.metadata.segmenters import SEGMENTERS, parse_choices, splitter_for
from mc2.metadata.words import END, Spaces, is_end

ALL = [(wiki, name) for name, kind in SEGMENTERS.items() for wiki in kind.wikis]
UDHR = {"bo": "bod", "ja": "jpn", "km": "khm", "lo": "lao", "my": "mya", "th": "tha", "zh": "cmn_hans",
        "zh_yue": "cmn_hant"}
IN_UDHR = [(wiki, name) for wiki, name in ALL if wiki in UDHR]
EACH = [("bo", "tsheg"), ("zh", "rjieba"), ("ja", "fugashi"), ("lo", "laonlp"), ("th", "pythainlp"), ("km", "icu")]
OF_EACH_LIBRARY = [*EACH, ("th", "thai-segmenter")]


def splitter(wiki, name):
    """The splitter; where its package is missing, the test is skipped, or fails if all must be there."""
    if not SEGMENTERS[name].is_installed() and os.environ.get("MC2_REQUIRE_SEGMENTERS") != "1":
        pytest.skip(f"{name} is not installed")
    return splitter_for(wiki, name)


def udhr(wiki):
    path = DATA / "udhr" / f"{UDHR[wiki]}.txt"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path.read_text(encoding="utf-8")


def runs_of(tokens):
    """Lists of the words between two END tokens."""
    runs = [[]]
    for token in tokens:
        runs[-1].append(token) if token != END else runs.append([])
    return [run for run in runs if run]


# ---------------------------------------------------------------- words

@pytest.mark.parametrize("wiki, name, text, expected", [
    ("zh", "rjieba", "我爱北京天安门，他来了。", "我 爱 北京 天安门 | 他来 了 |"),
    ("zh", "icu", "我爱北京天安门，他来了。", "我 爱 北京 天安门 | 他 来 了 |"),
    ("zh_yue", "rjieba", "佢哋喺香港食飯", "佢 哋 喺 香港 食飯"),
    ("zh_yue", "icu", "佢哋喺香港食飯", "佢 哋 喺 香港 食 飯"),
    ("zh_classical", "rjieba", "學而時習之，不亦說乎", "學而 時習 之 | 不 亦 說乎"),
    ("zh_classical", "icu", "學而時習之，不亦說乎", "學 而 時 習 之 | 不亦 說 乎"),
    ("ja", "fugashi", "東京都に住んでいます。", "東京 都 に 住ん で い ます |"),
    ("ja", "icu", "東京都に住んでいます。", "東京 都 に 住 んで い ます |"),
    ("ryu", "fugashi", "沖縄の海「うみ」", "沖縄 の 海 | うみ |"),
    ("ryu", "icu", "沖縄の海「うみ」", "沖縄 の 海 | う み |"),
    ("th", "pythainlp", "ฉันรักภาษาไทย", "ฉัน รัก ภาษาไทย"),
    ("th", "thai-segmenter", "ฉันรักภาษาไทย", "ฉัน รัก ภาษาไทย"),
    ("th", "icu", "ฉันรักภาษาไทย", "ฉัน รัก ภาษา ไทย"),
    ("lo", "laonlp", "ພາສາລາວໃນປັດຈຸບັນ", "ພາສາລາວ ໃນ ປັດຈຸບັນ"),
    ("lo", "icu", "ພາສາລາວໃນປັດຈຸບັນ", "ພາສາ ລາວ ໃນ ປັດຈຸບັນ"),
    ("km", "icu", "ខ្ញុំស្រឡាញ់ភាសាខ្មែរ។", "ខ្ញុំ ស្រឡាញ់ ភាសាខ្មែរ |"),
    ("my", "icu", "မြန်မာဘာသာစကား၊ ၁၉၄၈ခုနှစ်", "မြန်မာဘာသာ စကား | ၁၉၄၈ ခု နှစ်"),
    ("bo", "tsheg", "བོད་སྐད་ཡིག། ང༌ཚོ", "བོད སྐད ཡིག | ང ཚོ"),
    ("dz", "tsheg", "རྫོང་ཁ་ ཨིན།", "རྫོང ཁ | ཨིན |"),
])
def test_words(wiki, name, text, expected):
    assert splitter(wiki, name).tokens(text) == expected.split()


def test_every_language_without_spaces_has_a_segmenter():
    assert {wiki for wiki, _ in ALL} == languages.WITHOUT_SPACES


@pytest.mark.parametrize("wiki, name", ALL)
@pytest.mark.parametrize("text, expected", [
    ("iPhone15 1990 Привет", "iPhone15 | 1990 | Привет"),
    ("a，b、c😀d\ne\u3000f", "a | b | c | d | e | f"),
    ("e\u0301te\u0301 a\u200db\ufe0f", "e\u0301te\u0301 | a\u200db\ufe0f"),
    ("x" * 3000, "x" * 3000),
    ("", ""),
    ("。 ！", "|"),
])
def test_words_of_other_scripts_stand_as_they_are(wiki, name, text, expected):
    assert splitter(wiki, name).tokens(text) == expected.split()


@pytest.mark.parametrize("wiki, name, text, expected", [
    ("zh", "rjieba", "用iPhone15拍照", "用 iPhone15 拍照"),
    ("zh", "rjieba", "一件T恤", "一件 T恤"),                    # in its dictionary
    ("zh", "icu", "用iPhone15拍照", "用 iPhone15 拍照"),
    ("ja", "fugashi", "iPhone15を買う", "iPhone15 を 買う"),
    ("ja", "icu", "iPhone15を買う", "iPhone15 を 買う"),
    ("th", "pythainlp", "ซื้อiPhone15ราคา๑๒๓บาท", "ซื้อ iPhone15 ราคา ๑๒๓ บาท"),
    ("th", "thai-segmenter", "ซื้อiPhone15ราคา๑๒๓บาท", "ซื้อ iPhone15 ราคา ๑๒๓ บาท"),
    ("th", "icu", "ซื้อiPhone15ราคา๑๒๓บาท", "ซื้อ iPhone15 ราคา ๑๒๓ บาท"),
    ("lo", "laonlp", "ຊື້iPhone15ໃນປີ", "ຊື້ iPhone15 ໃນ ປີ"),
    ("lo", "icu", "ຊື້iPhone15ໃນປີ", "ຊື້ iPhone15 ໃນ ປີ"),
    ("km", "icu", "ភាសាiPhone15ខ្មែរ", "ភាសា iPhone15 ខ្មែរ"),
])
def test_words_of_other_scripts_within_running_text(wiki, name, text, expected):
    assert splitter(wiki, name).tokens(text) == expected.split()


@pytest.mark.parametrize("name", ["thai-segmenter", "icu"])
def test_a_mark_stays_with_a_character_beyond_u_ffff(name):
    assert splitter("th", name).tokens("𐌲𐌿𐍄ာ") == ["𐌲𐌿𐍄ာ"]


@pytest.mark.parametrize("wiki, name", [("ja", "fugashi"), ("ja", "icu"), ("zh", "rjieba"), ("zh", "icu")])
def test_a_variation_selector_stays_with_its_character(wiki, name):
    assert splitter(wiki, name).tokens("葛\U000e0100城市") == ["葛\U000e0100", "城市"]
    assert splitter(wiki, name).tokens("\U000e0100") == ["\U000e0100"]


@pytest.mark.parametrize("wiki, name", [("zh", "rjieba"), ("zh", "icu"), ("ja", "fugashi"), ("ja", "icu")])
def test_characters_beyond_u_ffff_shift_nothing(wiki, name):
    tokens = splitter(wiki, name).tokens("𠮷𠮷北京，𠮷北京😀北京")
    assert "".join(tokens) == "𠮷𠮷北京|𠮷北京|北京" and tokens.count("北京") == 3


@pytest.mark.parametrize("wiki, name", [(wiki, name) for wiki, name in ALL if name != "tsheg"])
def test_a_zero_width_space_parts_words_and_ends_no_bigram(wiki, name):
    assert splitter(wiki, name).tokens("a\u200bb\u200b\u200bc \u200bd") == ["a", "b", "c", "|", "d"]
    assert splitter(wiki, name).joint == ""


def test_khmer_with_and_without_zero_width_spaces():
    khmer = splitter("km", "icu")
    assert khmer.tokens("ខ្ញុំ\u200bស្រឡាញ់\u200bអ្នក") == ["ខ្ញុំ", "ស្រឡាញ់", "អ្នក"]
    assert khmer.tokens("ខ្ញុំស្រឡាញ់អ្នក") == ["ខ្ញុំ", "ស្រឡាញ់", "អ្នក"]


def test_bigrams_of_tibetan_are_written_with_one_tsheg():
    tibetan = splitter_for("bo")
    assert tibetan.joint == "་"
    assert tibetan.tokens("་བོད་སྐད་་ཡིག༌ཆ\u200bང་།") == ["བོད", "སྐད", "|", "ཡིག", "ཆ", "|", "ང", "|"]


# ---------------------------------------------------------------- properties

PARTS = strategies.sampled_from([
    "東京都", "に", "住んで", "カタカナ", "ー", "国家", "我爱北京", "𠮷", "卡拉OK", "ﾊﾝｶｸ", "々", "ภาษา", "ไทย", "๑๒", "ค้า", "่",
    "ພາສາ", "ລາວ", "ດາດາ", "ທອມ", "໑", "ຳ", "ខ្មែរ", "្", "ភាសា", "១២", "မြန်မာ", "၁၉", "ဘာသာ", "ာ", "བོད", "་",
    "༌", "།", "한국어", "iPhone15", "é", "e\u0301", "\u0301", "\u200b", "\u200c", "\u200d", "\ufe0f", "\U000e0100",
    "\ufeff", "\0", "\x01", "\x7f", "\x1f", "\x1c", "\x85", "\u2028", " ", "\u3000", "\t", "\r\n", "\n", "|",
    ",", "。", "·", "_", "€", "😀", "👩🏽‍🚀", "𐌲𐌿𐍄", "\U0001d165", "\uffff", "\U0010ffff", "\ue000", "Ð", "ﷺ",
    "١٢٣", "１２", "Ａ", "ß", "ǅ"])
TEXTS = strategies.lists(PARTS | strategies.characters(exclude_categories=["Cs"]), max_size=25).map("".join)
LIGHT = settings(max_examples=40)


def bare(text):
    """The characters that must come back as words."""
    return "".join(c for c in text if not (is_end(c) or c.isspace() or c == "\u200b"))


@pytest.mark.parametrize("wiki, name", OF_EACH_LIBRARY)
@given(text=TEXTS)
@LIGHT
def test_no_character_is_lost_or_changed(wiki, name, text):
    tokens = splitter(wiki, name).tokens(text)
    words = [token for token in tokens if token != END]
    assert "".join(words) == bare(text)
    assert not any(is_end(c) or c.isspace() or c == "\u200b" for word in words for c in word)


@pytest.mark.parametrize("wiki, name", OF_EACH_LIBRARY)
@given(texts=strategies.lists(TEXTS, max_size=4))
@LIGHT
def test_what_is_around_a_run_changes_nothing(wiki, name, texts):
    tokens = splitter(wiki, name).tokens
    one_by_one = [run for text in texts for run in runs_of(tokens(text))]
    assert runs_of(tokens("\n".join(texts))) == runs_of(tokens(" ".join(texts))) == one_by_one


@pytest.mark.parametrize("wiki, name", OF_EACH_LIBRARY)
@given(text=TEXTS)
@LIGHT
def test_no_word_begins_with_a_mark_unless_its_run_does(wiki, name, text):
    divided = "".join(END if is_end(c) or c.isspace() or c == "\u200b" else c for c in text)
    starts = {run[0] for run in divided.split(END) if run}
    for word in splitter(wiki, name).tokens(text):
        assert not is_mark(word[0]) or word[0] in starts


def is_mark(character):
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf") and not 0xffff < ord(character) < 0xe0000


@pytest.mark.parametrize("wiki, name", IN_UDHR)
def test_declaration_of_human_rights(wiki, name):
    text, tokens = udhr(wiki), splitter(wiki, name).tokens
    words = [token for token in tokens(text) if token != END]
    assert "".join(words) == bare(text)
    assert runs_of(tokens(text)) == [run for line in text.splitlines() for run in runs_of(tokens(line))]
    assert 1.2 < len(bare(text)) / len(words) < 8          # characters per word


# ---------------------------------------------------------------- the libraries give the same words

def plain_runs(wiki):
    """Runs of the Declaration in the script of the language alone, without digits."""
    return [run for run in re.split(r"[\n\t]", segmenters.runs_of(udhr(wiki)))
            if run and not re.search("[\\dA-Za-z\u200c\u200d]", run)]


def mended(words):
    """The words, none of which begins with a combining mark: real texts have spelling mistakes that libraries cut there."""
    whole = words[:1]
    for word in words[1:]:
        if is_mark(word[0]):
            whole[-1] += word
        else:
            whole.append(word)
    return whole


def plainly(name):
    """Plain use of a library: a function of a run that gives its words."""
    if name == "rjieba":
        import rjieba
        return rjieba.cut
    if name == "fugashi":
        import fugashi
        import ipadic
        tagger = fugashi.GenericTagger(ipadic.MECAB_ARGS)
        return lambda run: [word.surface for word in tagger(run)]
    if name == "thai-segmenter":
        return tokenize_without_writing()
    with segmenters.pythainlp_that_writes_nothing():
        if name == "pythainlp":
            from pythainlp import tokenize
            return lambda run: tokenize.word_tokenize(run, engine="newmm")
        from laonlp import tokenize
        return lambda run: tokenize.word_tokenize(run, safe_mode=False)


def tokenize_without_writing():
    """thai_segmenter.tokenize, but without the files that it writes into its own folder, and the corpus for its tags."""
    from thai_segmenter import sentence_segmenter, tasks, word_processing
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_processing.shutil, "copyfile", lambda source, target: target)
        patch.setattr(word_processing.word_processing, "filename_lexitron", "lexitron_original.txt")
        segmenter = sentence_segmenter.sentence_segmenter(corpus=object(), custom_dict=None)
    return lambda run: tasks.tokenize(run, segmenter)


@pytest.mark.parametrize("wiki, name", [(wiki, name) for wiki, name in IN_UDHR if name not in ("icu", "tsheg")])
def test_words_are_those_of_plain_use(wiki, name):
    tokens, runs = splitter(wiki, name).tokens, plain_runs(wiki)
    words = plainly(name)
    assert len(runs) > 200
    assert [tokens(run) for run in runs] == [mended(words(run)) for run in runs]


@pytest.mark.parametrize("wiki", ["ja", "km", "lo", "my", "th", "zh", "zh_yue"])
def test_words_are_those_of_plain_icu(wiki):
    tokens = splitter(wiki, "icu").tokens
    import icu
    breaks = icu.BreakIterator.createWordInstance(icu.Locale(wiki[:2]))
    for run in plain_runs(wiki):
        breaks.setText(run)
        ends = [0, *breaks]
        assert tokens(run) == mended([run[start:end] for start, end in zip(ends, ends[1:])])


@given(strategies.lists(strategies.sampled_from(
    ["ພາສາ", "ລາວ", "ດາດາ", "ທອມ", "ທ", "ອ", "ມ", "ນາ", "ສະ", "ຈຸ", "໑໒", "ab", "7", "ຳ", "ກ", "ບອ", "ส", "é"]),
    min_size=1, max_size=9).map("".join))
@settings(max_examples=200)
def test_the_fewest_words_are_those_of_laonlp(run):
    splitter("lo", "laonlp")
    assert segmenters.open_lao()(run).split() == plainly("laonlp")(run)


def test_a_repeated_lao_word_takes_no_time():
    assert splitter("lo", "laonlp").tokens("ທອມ" * 200) == ["ທອມທອມ"] * 100


@pytest.mark.parametrize("wiki, name", EACH)
@pytest.mark.parametrize("part", ["東", "カ", "a", "1", "\u0301", "𠮷", "ค้า", "ดา", "ກ", "ດາ", "က", "្", "\0", "་", "བ་"])
def test_a_run_of_100_000_characters_and_more(wiki, name, part):
    text = part * 100_000
    words = [token for token in splitter(wiki, name).tokens(text) if token != END]
    assert "".join(words) == bare(text)


# ---------------------------------------------------------------- the choice

def test_the_best_that_is_installed_is_taken(monkeypatch):
    splitter("zh", "rjieba"), splitter("zh", "icu")
    assert splitter_for("zh").description["name"] == "rjieba"
    monkeypatch.setitem(sys.modules, "rjieba", None)            # as if it were missing
    assert splitter_for("zh").description["name"] == "icu"
    assert splitter_for("bo").description["name"] == "tsheg"
    assert isinstance(splitter_for("fr"), Spaces)


def test_what_is_missing_is_named_with_the_extra_that_brings_it(monkeypatch):
    splitter("ja", "fugashi")
    for module in ("icu", "rjieba", "ipadic"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BadUsage, match=r"zh is written without spaces.*\(rjieba and icu\)\. Run pip install "
                                       r"'\.\[segment\]' in the checkout of mc2 \(PyICU needs libicu-dev and a compiler, Debian: apt-get "):
        splitter_for("zh")
    with pytest.raises(BadUsage, match=r"^fugashi, the segmenter for ja, needs ipadic, which is not installed\. "
                                       r"Run pip install '\.\[segment-all\]' in the checkout of mc2\.$"):
        splitter_for("ja", "fugashi")
    with pytest.raises(BadUsage, match=r"^icu, .* needs PyICU, .*'\.\[segment\]'"):
        splitter_for("km", "icu")


def test_choices_of_the_command_line():
    assert parse_choices([]) == {}
    assert parse_choices(["zh=icu", "zh_yue=rjieba", "bo=tsheg", "zh=icu"]) == {
        "zh": "icu", "zh_yue": "rjieba", "bo": "tsheg"}


@pytest.mark.parametrize("option, message", [
    ("zh", "A segmenter is chosen as CODE=NAME, like zh=rjieba, not 'zh'."),
    ("zz=icu", "There is no Wikipedia 'zz' that needs a segmenter. Those that need one: bo dz ja km lo my ryu th zh "
               "zh_classical zh_yue."),
    ("fr=icu", "fr is written with spaces, so it needs no segmenter. Those that need one: bo dz ja km lo my ryu th zh "
               "zh_classical zh_yue."),
    ("zh=jieba", "There is no segmenter 'jieba'. Those for zh: rjieba icu."),
    ("th=rjieba", "rjieba cannot tell the words of th apart. Those that can: pythainlp thai-segmenter icu."),
    ("bo=icu", "icu cannot tell the words of bo apart. Those that can: tsheg."),
])
def test_a_wrong_choice(option, message):
    with pytest.raises(BadUsage) as error:
        parse_choices([option])
    assert str(error.value) == message


def test_two_choices_for_one_wikipedia():
    with pytest.raises(BadUsage, match="^zh cannot have two segmenters, icu and rjieba. Choose one.$"):
        parse_choices(["zh=icu", "zh=rjieba"])


def test_a_choice_for_a_language_with_spaces():
    with pytest.raises(BadUsage, match="^fr is written with spaces"):
        splitter_for("fr", "icu")


# ---------------------------------------------------------------- what the manifest and processes get

@pytest.mark.parametrize("wiki, name, dictionary", [
    ("zh", "rjieba", "of jieba, in the package"),
    ("ja", "fugashi", "IPADIC, in the package ipadic"),
    ("lo", "laonlp", "lao_words, in the package"),
    ("th", "pythainlp", "thai_words, in the package"),
    ("th", "thai-segmenter", "LEXiTRON, in the package"),
])
def test_descriptions_have_the_versions_of_all_packages(wiki, name, dictionary):
    description = splitter(wiki, name).description
    versions = [f"{package} {metadata.version(package)}" for package in SEGMENTERS[name].packages]
    unicode = f"unicode-{unicodedata.unidata_version}"
    assert description == {"name": name, "version": ", ".join([*versions, unicode]), "dictionary": dictionary}


def test_the_description_of_icu_has_the_version_of_its_library():
    khmer = splitter("km", "icu")
    import icu
    assert khmer.description["dictionary"] == f"khmerdict of ICU {icu.ICU_VERSION}"
    assert splitter_for("ryu", "icu").description["dictionary"] == f"cjdict of ICU {icu.ICU_VERSION}"


def words_of(splitter, text):
    return splitter.tokens(text)


@pytest.mark.parametrize("wiki, name", [("zh", "rjieba"), ("ja", "fugashi"), ("th", "icu"), ("bo", "tsheg")])
def test_other_processes_give_the_same_words(wiki, name):
    here = splitter(wiki, name)
    expected = here.tokens("我爱北京、東京都に、ฉันรัก、བོད་སྐད")
    again = pickle.loads(pickle.dumps(here))
    assert again.tokens("我爱北京、東京都に、ฉันรัก、བོད་སྐད") == expected and again.description == here.description
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(words_of, here, "我爱北京、東京都に、ฉันรัก、བོད་སྐད").result() == expected


def run_python(code, tmp_path, **environment):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHAINLP_")}
    return subprocess.run([sys.executable, "-W", "always", "-c", code], cwd=tmp_path, capture_output=True, text=True,
                          env={**clean, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), **environment}, timeout=60)


@pytest.mark.parametrize("wiki, name", OF_EACH_LIBRARY)
def test_no_network_no_word_and_no_file(wiki, name, tmp_path):
    splitter(wiki, name)
    code = f"""
import os, socket
def refuse(*arguments, **options):
    raise SystemExit("the network was asked for")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from mc2.metadata.segmenters import splitter_for
before = dict(os.environ)
splitter = splitter_for({wiki!r}, {name!r})
splitter.tokens("ภาษาไทย ພາສາລາວ 北京 東京都")
splitter.description
assert dict(os.environ) == before
"""
    done = run_python(code, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_libraries_open_at_the_first_text(tmp_path):
    code = """
import sys
from mc2.metadata.segmenters import SEGMENTERS
for kind in SEGMENTERS.values():
    if kind.is_installed():
        kind(kind.wikis[0])
print({"icu", "rjieba", "fugashi", "ipadic", "laonlp", "pythainlp", "thai_segmenter"} & set(sys.modules))
"""
    assert run_python(code, tmp_path).stdout == "set()\n"
