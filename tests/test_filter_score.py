"""mc2 filter score: word lists and one's own functions. (Its classifiers: test_filter_models.py.)"""
import json
import re
import sys
import unicodedata

import pytest
from conftest import line_of, pair
from hypothesis import given
from hypothesis import strategies as st

from mc2 import engines
from mc2.pairs.batch import Strings
from mc2.safety import words
from mc2.safety.lists import ListFile

MINE = '''\
import sys

import numpy as np


def redness(images):
    return [round(float(np.asarray(image)[..., 0].mean()) / 255, 2) for image in images]


class Size:
    keys = "width", "height"

    def __call__(self, images):
        return {"width": np.array([image.width for image in images]), "height": [image.height for image in images]}


def letters(texts):
    return np.array([len(text) for text in texts])


def none(images):
    return [None for image in images]


def short(texts):
    return [1]


def nan(texts):
    return [float("nan")] * len(texts)


def broken(texts):
    raise KeyError("lost")


def leaves(texts):
    sys.exit(0)


def objects(texts):
    return [{text} for text in texts]


def text(texts):
    return texts
'''


@pytest.fixture
def mine(sh):
    """A Shell with the module `mine` in its directory."""
    (sh / "mine.py").write_text(MINE)
    yield sh
    sys.modules.pop("mine", None)
    sys.path[:] = [path for path in sys.path if path != str(sh.directory)]


def flags(sh, texts, options, langs=None):
    sh.write("t.jsonl", *(pair(number, text, langs and langs[number]) for number, text in enumerate(texts)))
    return [json.loads(line)["text_flags"] for line in sh.ok(f"mc2 filter score t.jsonl {options} -q").splitlines()]


# ---------------------------------------------------------------- word lists

@pytest.fixture
def listed(sh):
    (sh / "insults.txt").write_text("\ufefffool\n\n  silly goose \nfool\n", "utf-8")
    (sh / "drugs.txt").write_text("opium\nгашиш\n大麻\nfool\n", "utf-8")
    (sh / "drugs-fr.txt").write_text("cœur de pavot\nfin\n", "utf-8")
    return sh


@pytest.mark.parametrize("engine", ["native", "pyahocorasick"])
def test_the_lists_of_which_a_text_has_a_word_are_named(listed, monkeypatch, engine):
    if engine != "native":
        monkeypatch.setattr(engines, "native", lambda: None)
    texts = ["a fool", "a silly  goose", "a silly goose!", "foolish", "«Opium», 1870", "", "Гашиш", "一些大麻种子", "OPIUM!!"]
    assert flags(listed, texts, "--words insults=insults.txt --words drugs=drugs.txt") == [
        ["drugs", "insults"], ["insults"], ["insults"], [], ["drugs"], [], ["drugs"], ["drugs"], ["drugs"]]


def test_case_and_forms_of_unicode_are_one_unless_told_otherwise(listed):
    texts = ["FOOL", "ｆｏｏｌ", "fool", "Fool"]
    assert flags(listed, texts, "--words insults=insults.txt") == [["insults"]] * 4
    assert flags(listed, texts, "--words insults=insults.txt --exact-case") == [[], [], ["insults"], []]


def test_no_word_is_hidden_by_what_is_not_seen(listed):
    (listed / "w.txt").write_text("fool\nsilly  goose\n大麻\n\u200bгашиш\n", "utf-8")
    texts = ["\ufefffool", "fo\u00adol", "f\u200bool", "fool\ufe0f!", "\u200fFOOL", "silly\r\ngoose",
             "silly \u00a0 goose", "silly \u200b goose", "大\u2060麻", "ГАШИШ", "foo l", "sillygoose"]
    assert flags(listed, texts, "--words w=w.txt") == [["w"]] * 10 + [[]] * 2
    (listed / "w.txt").write_text("fool\n\u200b\n", "utf-8")
    listed.fails("mc2 filter score t.jsonl --words w=w.txt", 3, "w.txt:2: holds no character that can be seen.")


def test_a_list_may_be_for_the_texts_of_one_language(listed):
    options = "--words drugs:fr=drugs-fr.txt --words drugs=drugs.txt --words rude:en=insults.txt"
    texts = ["la fin", "the fin", "CŒUR DE PAVOT", "opium", "fool", "fool"]
    assert flags(listed, texts, options, ["fr", "en", "fr", "de", "en", "fr"]) == [
        ["drugs"], [], ["drugs"], ["drugs"], ["drugs", "rude"], ["drugs"]]


def test_a_list_for_a_language_needs_pairs_with_a_language(listed):
    listed.write("t.jsonl", pair(1, "fin", "fr"), pair(2, "fin"))
    listed.fails("mc2 filter score t.jsonl --words drugs:fr=drugs-fr.txt -o o.jsonl", 3,
                 't.jsonl:2: no "lang" key. Run \'mc2 lid\' first.')


def test_the_published_spacing_is_that_of_a_release(listed):
    options = "--words insults=insults.txt --spacing"
    assert flags(listed, ["(fool)", "fool, you"], f"{options} published") == [[], ["insults"]]
    assert flags(listed, ["(fool)", "fool, you"], f"{options} wide") == [["insults"], ["insults"]]


def test_entries_that_the_published_spacing_never_finds_are_told(listed):
    (listed / "u.txt").write_text("u.s.\nfine\n")
    listed.write("t.jsonl", pair(1, "the U.S."))
    done = listed("mc2 filter score t.jsonl --words u=u.txt --spacing published -o o.jsonl")
    assert "1 entries of the list u are in no text under --spacing published, u.s. for one" in done.stderr
    assert "are in no text" not in listed("mc2 filter score t.jsonl --words u=u.txt -o o.jsonl").stderr
    assert listed.read("o.jsonl")[0]["text_flags"] == ["u"]


@given(st.lists(st.one_of(st.text(max_size=12), st.text("aB \n\t", max_size=8)), max_size=8))
def test_all_texts_are_folded_as_each_alone(texts):
    assert words.all_folded(Strings.of(texts)).tolist() == list(map(words.folded, texts))


@given(st.text(max_size=12))
def test_folding_again_changes_nothing(text):
    once = words.folded(text)
    assert words.folded(once) == once and unicodedata.is_normalized("NFKC", once)


@given(st.lists(st.text("ab .,é", min_size=1, max_size=4).filter(str.strip), min_size=1, max_size=5),
       st.lists(st.text("abA .,éÉ", max_size=12), max_size=6))
def test_what_is_found_is_found_by_both_engines_and_by_plain_python(tmp_path_factory, entries, texts):
    path = tmp_path_factory.mktemp("list") / "w.txt"
    path.write_text("\n".join(entries), "utf-8")
    lists = [words.WordList("w", None, ListFile(str(path)))]
    found = words.WordLists(lists)(Strings.of(texts))
    plain = [" ".join(each.lower().split()) for each in entries]
    expected = [["w"] if any(is_in(entry, " ".join(text.lower().split())) for entry in plain) else [] for text in texts]
    assert found == expected


def is_in(entry, text):
    """As the wide spacing has it: between white space at the ends, punctuation, spaces."""
    before = "" if entry[0] in ".," else r"(?<![^ .,])"
    after = "" if entry[-1] in ".," else r"(?![^ .,])"
    return re.search(before + re.escape(entry) + after, text.strip()) is not None


def test_bad_lists_are_told_before_any_work(listed):
    listed.write("t.jsonl", pair(1, "a"))
    (listed / "empty.txt").write_text("\n \n")
    (listed / "latin.txt").write_bytes(b"a\nb\xe9\n")
    for spec, status, message in [
            ("insults.txt", 2, "--words insults.txt: is not NAME=FILE"), ("=insults.txt", 2, "is not NAME=FILE"),
            ("a:=insults.txt", 2, "is not NAME=FILE"), ("a:fra=insults.txt", 2, "fra is no metadata language"),
            ("a=none.txt", 2, "none.txt: cannot be read"),
            ("a=empty.txt", 3, "empty.txt: holds no entry"), ("a=latin.txt", 3, "latin.txt:2: not UTF-8")]:
        listed.fails(f"mc2 filter score t.jsonl --words {spec} -o o.jsonl", status, message)


def test_shards_are_scored_again_where_a_list_changed(listed):
    listed.write("t.jsonl", pair(1, "a fool and opium"))
    command = "mc2 filter score t.jsonl --words insults=insults.txt -O out"
    listed.ok(f"{command} -q")
    assert listed.ok(f"{command} -n").startswith("finished")
    assert listed.ok(f"{command} -n --exact-case").startswith("to do")
    (listed / "insults.txt").write_text("opium\n")
    assert listed.ok(f"{command} -n").startswith("to do")


# ---------------------------------------------------------------- functions of one's own

def test_a_function_gives_a_key_of_its_name(mine):
    mine.write("t.jsonl", pair(1, "one"), pair(2, ""))
    done = mine("mc2 filter score t.jsonl --texts-with mine:letters -o o.jsonl")
    assert done.stderr.startswith("filter score: 2 pairs in, 2 out -> o.jsonl (")
    assert [line["letters"] for line in mine.read("o.jsonl")] == [3, 0]


def test_what_is_no_function_or_gives_no_scores_is_told(mine):
    mine.write("t.jsonl", pair(1, "one"), pair(2, "two"))
    for spec, status, message in [
            ("mine", 2, "name a function as MODULE:NAME"), ("mine:lost", 2, "has no attribute 'lost'"),
            ("mine:np.pi", 2, "is no function"), ("mine:text", 2, "'text' is a key of the pair itself"),
            ("mine:short", 3, "mine:short: gives 1 values of 'short' for 2 texts"),
            ("mine:nan", 3, "gives a 'nan' that is no finite number"),
            ("mine:objects", 3, "mine:objects: gives a 'objects' that is no value of JSON"),
            ("mine:leaves", 1, "mine:leaves: SystemExit: 0. Mend it"),
            ("mine:leaves -j 2", 1, "mine:leaves: SystemExit: 0. Mend it"),
            ("mine:broken", 1, "mine:broken: KeyError: 'lost'")]:
        mine.fails(f"mc2 filter score t.jsonl --texts-with {spec} -o o.jsonl", status, message)
    mine.fails("mc2 filter score t.jsonl --texts-with mine:letters --texts-with mine:letters -o o.jsonl", 2,
               "two scores are called 'letters'")


def test_code_that_ends_the_process_is_no_success(mine):
    mine.write("t.jsonl", pair(1, "one"))
    (mine / "script.py").write_text("import sys\nsys.exit(0)\n")
    for command in "filter score t.jsonl --texts-with", "filter pairs t.jsonl --with":
        mine.fails(f"mc2 {command} script:Any -o o.jsonl", 1, "code of yours called sys.exit(0)")


def test_nothing_to_score_is_an_error(mine):
    mine.write("t.jsonl", pair(1, "one"))
    mine.fails("mc2 filter score t.jsonl -o o.jsonl", 2, "say what to score: --nsfw, --faces")
    mine.fails("mc2 filter score t.jsonl --texts-with mine:letters --tars t.tar -o o.jsonl", 2,
               "--tars goes with --nsfw, --faces or --images-with")
    mine.fails("mc2 filter score t.jsonl --texts-with mine:letters --spacing wide -o o.jsonl", 2,
               "--spacing goes with --words")


def test_parquet_has_the_same_columns_in_every_shard(listed):
    pq = pytest.importorskip("pyarrow.parquet")
    listed.write("a.jsonl", pair(1, "a fool"))
    listed.write("b.jsonl", pair(2, "a cat"))
    listed.ok("mc2 lid a.jsonl -o a.parquet -q && mc2 lid b.jsonl -o b.parquet -q")
    listed.ok("mc2 filter score a.parquet b.parquet --words insults=insults.txt -O out -q")
    a, b = (pq.read_table(listed / f"out/{name}.parquet") for name in "ab")
    assert a.schema == b.schema
    assert (a["text_flags"].to_pylist(), b["text_flags"].to_pylist()) == ([["insults"]], [[]])
    assert listed("mc2 filter apply out/a.parquet out/b.parquet --text-flags drop -O safe").stderr.startswith(
        "filter apply: 2 shards, 2 pairs in, 1 out, 1 text flags: insults")


def test_a_stream_is_scored_in_processes_in_order(listed):
    lines = b"".join(line_of(pair(number, "a fool" if number % 3 else "a cat")) + b"\n" for number in range(5000))
    one, two = (listed.ok(f"mc2 filter score --words insults=insults.txt -q -j {jobs}", lines) for jobs in (1, 2))
    assert one == two and one.count('"text_flags":["insults"]') == 3333


# ---------------------------------------------------------------- images

Image = pytest.importorskip("PIL.Image")

from safety_tools import encoded, samples, write_tar  # noqa: E402


@pytest.fixture
def photos(mine):
    """Two tars with their pairs: images of one colour, two pairs of the first image of each."""
    for name, colours in (("0", {"red": (255, 0, 0), "blue": (0, 0, 255)}), ("1", {"grey": (51, 51, 51)})):
        write_tar(mine / f"tars/{name}.tar",
                  samples({each: encoded(Image.new("RGB", (8, 4), colour), "PNG") for each, colour in colours.items()},
                          "png"))
        first = next(iter(colours))
        mine.write(f"pairs/{name}.jsonl", *({"id": each, "text": f"about {each}"} for each in [first, *colours]))
    return mine


def scores(sh, key, name="scored/0.jsonl"):
    return [(line["id"], line.get(key, "none")) for line in sh.read(name)]


def test_images_come_from_the_tar_of_the_shard(photos):
    done = photos("mc2 filter score pairs/0.jsonl pairs/1.jsonl --tars tars --images-with mine:redness "
                  "--images-with mine:Size -O scored")
    assert done.stderr.startswith("filter score: 2 shards, 5 pairs in, 5 out, 3 images -> scored (")
    assert scores(photos, "redness") == [("red", 1.0), ("red", 1.0), ("blue", 0.0)]
    assert scores(photos, "redness", "scored/1.jsonl") == [("grey", 0.2), ("grey", 0.2)]
    assert photos.read("scored/0.jsonl")[0] == {"id": "red", "text": "about red", "redness": 1.0, "width": 8,
                                                "height": 4}


def test_a_tar_beside_its_pairs_is_found(photos):
    photos.ok("cp pairs/0.jsonl tars/ && mc2 filter score tars/0.jsonl --images-with mine:redness -O scored -q")
    assert scores(photos, "redness")[0] == ("red", 1.0)


def test_processes_give_the_same_bytes(photos):
    for jobs in 1, 2:
        photos.ok("mc2 filter score pairs/0.jsonl pairs/1.jsonl --tars tars --images-with mine:redness -q "
                  f"-O out{jobs} -j {jobs}")
    for name in "0.jsonl", "1.jsonl":
        assert (photos / f"out1/{name}").read_bytes() == (photos / f"out2/{name}").read_bytes()


def test_a_shard_is_scored_again_where_its_tar_changed(photos):
    command = "mc2 filter score pairs/0.jsonl pairs/1.jsonl --tars tars --images-with mine:redness -O scored"
    photos.ok(f"{command} -q")
    write_tar(photos / "tars/1.tar", samples({"grey": encoded(Image.new("RGB", (8, 8), (255, 255, 255)), "PNG")},
                                             "png"))
    assert [line.split("\t")[0] for line in photos.ok(f"{command} -n").splitlines()] == ["finished", "to do"]
    assert "1 shards, 2 pairs in, 2 out, 1 images; 1 shards were finished" in photos(command).stderr
    assert scores(photos, "redness", "scored/1.jsonl")[0] == ("grey", 1.0)


def test_pairs_whose_image_is_missing_or_damaged_get_null_and_are_counted(photos):
    good = encoded(Image.new("RGB", (8, 4), (255, 0, 0)))
    images = {"good": good, "cut": good[:len(good) // 2], "html": b"<html>", "none": b""}
    write_tar(photos / "tars/2.tar", samples(images))
    photos.write("pairs/2.jsonl", *({"id": each, "text": ""} for each in [*images, "gone", "gone"]))
    done = photos("mc2 filter score pairs/2.jsonl --tars tars --images-with mine:redness -O scored")
    assert done.stderr.startswith(
        "filter score: 1 shards, 6 pairs in, 6 out, 4 images, 1 images that cannot be decoded: HTML or XML text, 1 "
        "images that cannot be decoded: cut off, 1 images that cannot be decoded: empty (0 bytes), 2 pairs without an "
        "image")
    assert [value for _, value in scores(photos, "redness", "scored/2.jsonl")] == [1.0, None, None, None, None, None]


KINDS = {
    "grey": (Image.new("L", (6, 6), 128), "JPEG"), "cmyk": (Image.new("CMYK", (6, 6)), "JPEG"),
    "16 bits": (Image.new("I;16", (6, 6), 40000), "PNG"), "alpha": (Image.new("RGBA", (6, 6), (255, 0, 0, 0)), "PNG"),
    "palette": (Image.new("P", (6, 6)), "GIF"), "tiny": (Image.new("RGB", (1, 1)), "PNG"),
    "two colours": (Image.new("1", (9, 9)), "PNG")}


def test_images_of_every_kind_are_seen_as_in_training(photos):
    images = {name: encoded(image, format) for name, (image, format) in KINDS.items()}
    images["animated"] = encoded(Image.new("RGB", (4, 4), (255, 0, 0)), "GIF", save_all=True,
                                 append_images=[Image.new("RGB", (4, 4), (0, 0, 0))])
    write_tar(photos / "tars/2.tar", samples(images))
    photos.write("pairs/2.jsonl", *({"id": each, "text": ""} for each in images))
    photos.ok("mc2 filter score pairs/2.jsonl --tars tars --images-with mine:redness -O scored -q")
    assert dict(scores(photos, "redness", "scored/2.jsonl")) == {
        "grey": 0.5, "cmyk": 1.0, "16 bits": 0.61, "alpha": 1.0, "palette": 0.0, "tiny": 0.0, "two colours": 0.0,
        "animated": 1.0}


def test_an_image_of_too_many_pixels_is_not_decoded(photos, monkeypatch):
    from mc2.clip import images
    monkeypatch.setattr(images, "MOST_PIXELS", 31)
    done = photos("mc2 filter score pairs/0.jsonl --tars tars --images-with mine:redness -O scored")
    assert "2 images that cannot be decoded: too many pixels" in done.stderr


def test_a_cut_off_tar_gives_the_images_before_with_a_warning(photos):
    data = (photos / "tars/0.tar").read_bytes()
    (photos / "tars/0.tar").write_bytes(data[:3584])
    done = photos("mc2 filter score pairs/0.jsonl --tars tars --images-with mine:redness -O scored")
    assert done.stderr.startswith("warning: tars/0.tar: this tar is cut off")
    assert "The 1 images before are used." in done.stderr
    assert "1 pairs without an image, 1 damaged tars" in done.stderr
    assert scores(photos, "redness") == [("red", 1.0), ("red", 1.0), ("blue", None)]


def test_a_shard_of_which_no_image_is_in_its_tar_is_an_error(photos):
    photos.write("pairs/1.jsonl", *({"id": f"x{number}", "text": ""} for number in range(30)))
    done = photos("mc2 filter score pairs/0.jsonl pairs/1.jsonl --tars tars --images-with mine:redness -O scored")
    assert done.status == 3
    assert "0 of 30 pairs have an image in tars/1.tar. The id of a pair is x0; an image is called grey" in done.stderr
    assert (photos / "scored/0.jsonl").exists() and not (photos / "scored/1.jsonl").exists()


def test_a_tar_whose_members_are_apart_is_said(photos):
    members = samples({f"x{number}": encoded(Image.new("RGB", (4, 4))) for number in range(4)})
    write_tar(photos / "tars/1.tar", dict(sorted(members.items(), key=lambda each: each[0][-3:])))
    done = photos("mc2 filter score pairs/1.jsonl --tars tars --images-with mine:redness -O scored")
    assert done.status == 3 and "the members of 8 of its 4 samples are apart" in done.stderr


def test_a_tar_without_pairs_and_pairs_without_a_tar(photos):
    photos.ok("mc2 filter score pairs/0.jsonl --tars tars --images-with mine:redness -O scored -q")
    photos.ok("cp pairs/0.jsonl pairs/7.jsonl")
    for options, message in [
            ("pairs/7.jsonl --tars tars -O out", "pairs/7.jsonl: no tar is called 7. 'mc2 join' makes"),
            ("pairs/7.jsonl -O out", "pairs/7.jsonl: there is no pairs/7.tar beside it. Name the tars with --tars"),
            ("pairs/0.jsonl --tars tars -o o.jsonl", "images are scored with -O DIR"),
            ("pairs/0.jsonl --tars tars --tars tars/0.tar -O out", "two tars are called 0")]:
        photos.fails(f"mc2 filter score {options} --images-with mine:redness", 2, message)


def test_a_photo_is_seen_upright(photos):
    from mc2.safety import pictures
    upright = Image.new("RGB", (40, 20))
    upright.paste((255, 255, 255), (30, 2, 36, 6))                      # a box right at the top
    box = [30 / 40, 2 / 20, 36 / 40, 6 / 20]
    undone = {1: None, 2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
              7: "TRANSVERSE", 8: "ROTATE_270"}
    for orientation, name in undone.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = upright.transpose(Image.Transpose[name]) if name else upright
        picture = pictures.opened(encoded(stored, "PNG", exif=exif.tobytes()))
        assert picture.image.tobytes() == upright.tobytes()
        (x1, y1, x2, y2), = picture.stored([box])
        place = tuple(round(value * side) for value, side in zip((x1, y1, x2, y2), (*stored.size, *stored.size)))
        assert stored.getbbox() == place


def test_damaged_exif_is_no_orientation():
    from mc2.safety import pictures
    data = encoded(Image.new("RGB", (4, 2)), exif=b"Exif\0\0II*\0nonsense")
    assert pictures.opened(data).orientation == 1 and pictures.opened(data).image.size == (4, 2)
