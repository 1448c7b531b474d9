"""From the labels of a model to languages and their Wikipedias: the four schemes, and mappings of one's own."""
import orjson
import pytest
from hypothesis import given, settings, strategies as st

from conftest import DATA, ROOT, pair
from mc2.commands import inspect
from mc2.errors import BadData
from mc2.inspection import languages as report
from mc2.metadata import languages
from mc2.stages.lid_models import default_model

SHARED = DATA.parent / "lid"
HEADER = "lid_label,lang,wiki_codes\n"


# ---------------------------------------------------------------- the four schemes

@pytest.mark.skipif(not SHARED.exists(), reason="no shared mappings")
@pytest.mark.parametrize("name", ["lid176_to_wiki.csv", "iso6393_to_wiki.csv"])
def test_the_package_holds_the_agreed_mappings(name):
    assert (ROOT / "mc2/data" / name).read_bytes() == (SHARED / name).read_bytes()


@pytest.mark.parametrize("scheme", languages.SCHEMES)
def test_every_wikipedia_is_in_one_group_of_every_scheme(scheme):
    codes = languages.of_scheme(scheme).wiki_codes
    assert len(codes) == 330 and sorted(codes) == languages.wikipedias()


@pytest.mark.parametrize("scheme", languages.SCHEMES)
def test_all_labels_of_a_language_have_its_whole_group_which_it_heads(scheme):
    mapping = languages.of_scheme(scheme)
    for label, codes in mapping.rows:
        if label != "other" and codes != ["other"]:
            assert codes == mapping.groups[mapping.lang_of[label]] and codes[0] == mapping.lang_of[label]


@pytest.mark.parametrize("scheme, labels, langs, to_other, in_other", [
    ("lid176", 176, 176, 1, 139), ("nllb", 205, 172, 20, 149), ("openlid", 201, 172, 19, 149),
    ("glotlid", 2102, 318, 1662, 6)])
def test_how_far_the_schemes_reach(scheme, labels, langs, to_other, in_other):
    mapping = languages.of_scheme(scheme)
    assert (len(mapping.lang_of), len(mapping.langs)) == (labels, langs)         # langs: `other` included
    assert list(mapping.lang_of.values()).count("other") == to_other
    assert len(mapping.groups["other"]) == in_other


def test_a_group_begins_with_its_language_and_other_is_the_last():
    groups = languages.of_scheme("lid176").groups
    assert groups["zh"] == ["zh", "zh_classical", "gan"] and groups["zh_yue"] == ["zh_yue"]
    assert list(groups)[-1] == "other" and {"chr", "dz", "mnw"} < set(groups["other"])


def test_wikipedias_without_spaces_are_wikipedias():
    assert languages.WITHOUT_SPACES - set(languages.wikipedias()) == {"ryu"}       # none of the 330


# ---------------------------------------------------------------- a file in the form of languages.csv

def read(tmp_path, text):
    (tmp_path / "my.csv").write_text(text, "utf-8")
    return languages.of_file(str(tmp_path / "my.csv"))


def test_wikipedias_that_a_file_does_not_name_are_in_other(tmp_path):
    mapping = read(tmp_path, HEADER + "eng,en,en simple\nscots,en,en simple\nyue,zh_yue,zh_yue\nund,other,other\n")
    assert mapping.scheme == "custom"
    assert mapping.lang_of == {"eng": "en", "scots": "en", "yue": "zh_yue", "und": "other"}
    assert list(mapping.groups) == ["en", "zh_yue", "other"] and mapping.groups["en"] == ["en", "simple"]
    assert mapping.groups["other"] == mapping.unnamed
    assert sorted(mapping.unnamed + ["en", "simple", "zh_yue"]) == languages.wikipedias()


def test_the_line_other_sets_the_order_of_its_wikipedias(tmp_path):
    groups = read(tmp_path, HEADER + "eng,en,en\nother,other,zu ab\n").groups
    assert groups["other"][:4] == ["zu", "ab", "ace", "ady"] and len(groups["other"]) == 329


@pytest.mark.parametrize("text", [
    "eng,en,en\r\nfra,fr,fr\r\n", "eng,en,en\n\nfra,fr,fr\n", '"eng",en," en "\nfra,fr,fr',
    "eng,en,en\nfra,fr,fr\nother,other,other\n"])
def test_files_as_spreadsheets_write_them(tmp_path, text):
    assert read(tmp_path, HEADER + text).lang_of == {"eng": "en", "fra": "fr"}


@pytest.mark.parametrize("text, message", [
    ("", "1: the columns must be lid_label,lang,wiki_codes."),
    ("label,lang,codes\n", "1: the columns must be"),
    ("\ufeff" + HEADER, "1: the columns must be lid_label,lang,wiki_codes. Remove the byte order mark at its start."),
    (HEADER + "eng,en\n", "2: not a line of LID label, language and Wikipedia codes."),
    (HEADER + "eng,en,en,en\n", "2: not a line of"),
    (HEADER + "eng,en,\n", "2: not a line of"),
    (HEADER + ",en,en\n", "2: not a line of"),
    (HEADER + 'eng,en,"en\n', "2: not CSV"),
    (HEADER + "a,en,en\nb,fr,fr\na,de,de\n", "4: the label 'a' is in line 2 already."),
    (HEADER + "a,en,en\n\na,en,en\n", "4: the label 'a' is in line 2 already."),
    (HEADER + "yue,yue,zh_yue\n", "2: the language is 'yue', but the first code is 'zh_yue', which names it."),
    (HEADER + "a,en,simple en\n", "2: the language is 'en', but the first code is 'simple'"),
    (HEADER + "yue,zh-yue,zh-yue\n", "2: 'zh-yue' is no Wikipedia code of the 330. Did you mean zh_yue?"),
    (HEADER + "a,en,en xx\n", "2: 'xx' is no Wikipedia code of the 330."),
    (HEADER + "a,zh,zh gan\nb,gan,gan\n", "3: the Wikipedia 'gan' is named for 'zh' in line 2 already."),
    (HEADER + "a,en,en\nb,fr,fr en\n", "3: the Wikipedia 'en' is named for 'en' in line 2 already."),
    (HEADER + "a,en,en\nother,other,ab en\n", "3: the Wikipedia 'en' is named for 'en' in line 2 already."),
    (HEADER + "a,en,en simple en\n", "2: the Wikipedia 'en' is named twice here."),
    (HEADER + "a,zh,zh gan\nb,fr,fr\nc,zh,zh\n", "4: 'zh' has the codes 'zh', but 'zh gan' in line 2."),
    (HEADER + "a,zh,zh gan zh_yue\nb,zh,zh zh_yue gan\n", "3: 'zh' has the codes 'zh zh_yue gan', but 'zh gan zh_yue'"),
    (HEADER + "a,other,ab\n", "2: the label 'a' has the language 'other' and the codes 'ab'."),
    (HEADER + "a,en,other\n", "2: the label 'a' has the language 'en' and the codes 'other'."),
    (HEADER + "a,en,en other\n", "2: the label 'a' has the language 'en' and the codes 'en other'."),
    (HEADER + "other,en,en\n", "2: the label 'other' has the language 'en' and the codes 'en'."),
])
def test_what_is_wrong_with_a_mapping_is_said_with_its_line(tmp_path, text, message):
    with pytest.raises(BadData) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path}/my.csv:{message}")


@pytest.mark.parametrize("scheme", languages.SCHEMES)
def test_a_scheme_survives_its_csv_with_and_without_the_line_other(tmp_path, scheme):
    mapping = languages.of_scheme(scheme)
    for text in (mapping.to_csv(), languages.with_labels(mapping, []).to_csv()):
        again = read(tmp_path, text.decode())
        assert (again.groups, again.lang_of) == (mapping.groups, mapping.lang_of)


@settings(max_examples=30)
@given(st.permutations(range(330)), st.sets(st.integers(1, 329), max_size=20), st.integers(1, 3), st.booleans())
def test_any_accepted_file_has_every_wikipedia_once(tmp_path_factory, order, cuts, labels_each, all_named):
    """Random partitions of the codes; the last part is named for `other`, or not at all."""
    codes = [languages.wikipedias()[index] for index in order]
    parts = [codes[start:stop] for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 330])]
    rows = [(f"{part[0]}-{n}", part) for part in parts[:-1] for n in range(labels_each)]
    rows += [("other", parts[-1])] if all_named else []
    path = tmp_path_factory.mktemp("mapping") / "languages.csv"
    path.write_bytes(languages.Languages(rows).to_csv())
    mapping = languages.of_file(str(path))
    assert sorted(mapping.wiki_codes) == languages.wikipedias()
    assert sorted(mapping.groups["other"]) == sorted(parts[-1])
    assert mapping.lang_of == {label: part[0] for label, part in rows if label != "other"}
    assert len(mapping.unnamed) == (0 if all_named else len(parts[-1]))


def test_all_wikipedias_can_be_one_language(tmp_path):
    codes = ["en", *(code for code in languages.wikipedias() if code != "en")]
    mapping = read(tmp_path, HEADER + f"a,en,{' '.join(codes)}\nb,en,{' '.join(codes)}\n")
    assert mapping.groups == {"en": codes, "other": []} and mapping.unnamed == []
    assert languages.of_file(str(tmp_path / "my.csv")).to_csv().decode().count("\n") == 3


# ---------------------------------------------------------------- mc2 lid --languages

def own_mapping(sh, *edits):
    """my.csv: the mapping of the default model's labels, changed by sed."""
    sh.ok("mc2 inspect languages -o my.csv -q")
    for edit in edits:
        sh.ok(f"sed -i '{edit}' my.csv")


def test_a_mapping_of_ones_own_is_used(sh):
    sh.write("in.jsonl", {"id": "a", "text": "un chat noir dort sur le canapé"})
    own_mapping(sh, "s/^fr,fr,fr$/fr,frp,frp fr/")
    done = sh("mc2 lid in.jsonl --languages my.csv")
    assert '"lid":"fr"' in done.stdout and '"lang":"frp"' in done.stdout
    assert done.stderr.startswith("my.csv: does not name 138 of the 330 Wikipedias; they are in other\n")
    assert '"lang":"frp"' in sh.ok("mc2 lid in.jsonl --languages my.csv --single frp")


def test_a_bad_mapping_is_refused_with_its_line(sh):
    own_mapping(sh, "3s/.*/als,als,als en/")
    done = sh("mc2 lid --languages my.csv")
    assert done.status == 3
    assert done.stderr.startswith("mc2 lid: my.csv:42: the Wikipedia 'en' is named for 'als' in line 3 already.")


def test_a_label_of_the_model_that_the_mapping_lacks_is_refused(sh):
    own_mapping(sh, "/^fr,/d")
    done = sh("mc2 lid --languages my.csv")
    assert done.status == 3 and "1 of its 176 labels are not in the mapping: 'fr'. " in done.stderr


def test_the_mapping_of_the_metadata_is_in_force_and_no_other(toy):
    own_mapping(toy)
    toy.write("in.jsonl", {"id": "a", "text": "t"})
    for mapping in ("my.csv", "toy/languages.csv"):
        assert toy(f"mc2 lid in.jsonl -m toy --languages {mapping}").status == 0
    toy.ok("sed -i 's/^als,als,als$/als,other,other/' my.csv")
    done = toy("mc2 lid in.jsonl --languages my.csv", MC2_METADATA="toy")
    assert done.status == 2 and "toy was merged with another mapping" in done.stderr
    assert toy("mc2 lid in.jsonl --scheme lid176 --languages my.csv").status == 2


# ---------------------------------------------------------------- mc2 inspect languages

@pytest.mark.parametrize("scheme, total", [
    ("lid176", "330 Wikipedias: 191 reached by 175 labels in 175 languages, 139 in other"),
    ("nllb", "330 Wikipedias: 181 reached by 185 labels in 171 languages, 149 in other"),
    ("openlid", "330 Wikipedias: 181 reached by 182 labels in 171 languages, 149 in other"),
    ("glotlid", "330 Wikipedias: 324 reached by 440 labels in 317 languages, 6 in other")])
def test_coverage_names_every_wikipedia_and_label_and_ends_with_the_totals(scheme, total):
    mapping = languages.of_scheme(scheme)
    *lines, last = report.coverage(mapping)
    assert last == total
    assert set(" ".join(lines).split()) > {*mapping.wiki_codes, *mapping.lang_of}


def test_coverage_says_which_labels_it_speaks_of(sh):
    text = sh.ok("mc2 inspect languages --scheme openlid")
    assert text.startswith("mapping openlid, labels of the mapping alone, without a --model\n")
    line, = [line for line in text.splitlines() if line.startswith("zh ")]
    assert line.split() == ["zh", "zh", "zh_classical", "gan", "zho_Hans", "zho_Hant"]
    assert sh.ok("mc2 inspect languages").splitlines()[0] == f"mapping lid176, labels of {default_model()}"


def test_the_report_reads_no_pairs_and_has_a_receipt_where_it_goes_to_a_file(sh):
    done = sh("mkfifo never; exec 3<>never; mc2 inspect languages -o report.txt <&3")
    assert done.stderr == "languages: 176 labels -> report.txt\n"
    assert "330 Wikipedias: 191 reached" in (sh / "report.txt").read_text()


def test_a_path_called_languages_comes_before_the_word(sh):
    sh.write("languages", pair(1, "a red circle"))
    assert sh.ok("mc2 inspect languages").startswith("pairs: 1 read\n")


def test_options_come_from_the_environment_under_the_name_of_the_command(sh):
    text = sh.ok("mc2 inspect languages", MC2_INSPECT_LANGUAGES_SCHEME="glotlid")
    assert text.startswith("mapping glotlid, ")


@pytest.mark.parametrize("arguments, message", [
    ("--lines 3", "mc2 inspect languages: no such option"),
    ("--scheme nllb --languages my.csv", "mc2 inspect languages: --scheme and --languages exclude each other."),
    ("-m nowhere", "mc2 inspect languages: nowhere: no such directory. Make it with"),
])
def test_messages_name_the_whole_command(sh, arguments, message):
    sh.write("my.csv", HEADER.strip(), "eng,en,en")
    done = sh(f"mc2 inspect languages {arguments}")
    assert done.status == 2 and done.stderr.startswith(message)


def test_every_option_of_the_report_has_help():
    assert all(param.help for param in inspect.languages.params) and inspect.languages.help


def test_the_old_spelling_says_where_it_went(sh):
    done = sh("mc2 lid --coverage --scheme glotlid")
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr == ("mc2 lid: --coverage is 'mc2 inspect languages' now, with the same options. "
                           "See 'mc2 lid -h'.\n")


def test_coverage_says_where_model_and_mapping_differ(sh):
    with open(default_model(), "rb") as stream:
        (sh / "other.ftz").write_bytes(stream.read().replace(b"__label__fr\0", b"__label__qq\0"))
    text = sh.ok("mc2 inspect languages --model other.ftz")
    assert "labels that the mapping lacks, so that mc2 lid refuses the model: 1\n  qq\n" in text
    assert "labels that the model lacks: 1\n  fr\n" in text
    assert "Wikipedias of languages that no label reaches: 1\n  fr\n" in text
    assert text.endswith("330 Wikipedias: 190 reached by 174 labels in 174 languages, 139 in other, "
                         "1 in languages that no label reaches\n")


def test_coverage_writes_a_mapping_to_begin_with(sh):
    with open(default_model(), "rb") as stream:
        (sh / "other.ftz").write_bytes(stream.read().replace(b"__label__fr\0", b"__label__qq\0"))
    sh.write("in.jsonl", {"id": "a", "text": "un chat noir dort sur le canapé"})
    assert "labels are not in the mapping: 'qq'. " in sh("mc2 lid in.jsonl --model other.ftz").stderr
    sh.ok("mc2 inspect languages --model other.ftz -o my.csv")
    assert "qq,other,other\n" in (sh / "my.csv").read_text()
    record = orjson.loads(sh.ok("mc2 lid in.jsonl --model other.ftz --languages my.csv"))
    assert (record["lid"], record["lang"]) == ("qq", "other")
    sh.ok("sed -i -e 's/^qq,.*/qq,fr,fr/' -e '/^fr,/d' my.csv")
    assert '"lang":"fr"' in sh.ok("mc2 lid in.jsonl --model other.ftz --languages my.csv")
    assert orjson.loads((sh / "my.csv.manifest.json").read_bytes())["kind"] == "languages"


def test_coverage_of_a_release_and_of_a_file(toy):
    assert toy.ok("mc2 inspect languages -m toy").splitlines()[-1] == toy.ok("mc2 inspect languages").splitlines()[-1]
    toy.write("my.csv", HEADER.strip(), "eng,en,en simple", "und,other,other")
    text = toy.ok("mc2 inspect languages --languages my.csv")
    assert text.startswith("mapping my.csv, labels of the mapping alone, without a --model\n")
    assert "labels that go to other: 1\n  und\n" in text
    assert "  328 of them are there because no line of the mapping names them\n" in text
    assert text.endswith("330 Wikipedias: 2 reached by 1 labels in 1 languages, 328 in other\n")
