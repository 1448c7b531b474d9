"""The demo's generated files are what the rest of the toolkit expects: examples/demo."""
import bz2
import gzip
import hashlib
import io
import json
import pathlib
import struct
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
import zlib
from collections import Counter

import pytest
import zstandard

DEMO = pathlib.Path(__file__).parents[1] / "examples" / "demo"
sys.path.insert(0, str(DEMO))

import draw  # noqa: E402
import words  # noqa: E402
import write_sources  # noqa: E402

XML = "{http://www.mediawiki.org/xml/export-0.10/}"


@pytest.fixture(scope="module")
def demo(examples_template):
    """What the demo's scripts write, with 300 pictures."""
    return examples_template / "examples/demo/out"


@pytest.fixture(scope="module")
def raw(demo):
    return demo / "raw"


def records(path):
    data = path.read_bytes()
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    return [json.loads(line) for line in data.decode().splitlines()]


def pool_of(out):
    return [record for path in sorted((out / "pool").iterdir()) for record in records(path)]


def members(*paths):
    for path in paths:
        with tarfile.open(path) as archive:
            for member in archive:
                yield member, archive.extractfile(member).read()


def test_the_same_bytes_in_every_process(demo, tmp_path):
    draw.draw(str(tmp_path), 300)
    write_sources.write_sources(str(tmp_path / "raw"))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 30
    assert all(path.read_bytes() == (demo / path.relative_to(tmp_path)).read_bytes() for path in files)


# ---------------------------------------------------------------- the pool

def test_the_lines_of_the_pool_have_the_keys_of_a_raw_pair(demo):
    for record in pool_of(demo):
        assert list(record) == ["id", "url", "text", "source"]
        assert record["id"] == hashlib.sha224(record["url"].encode()).hexdigest()[:24]


def test_the_lines_of_one_picture_are_adjacent(demo):
    ids = [record["id"] for record in pool_of(demo)]
    changes = 1 + sum(a != b for a, b in zip(ids, ids[1:]))
    assert changes == len(set(ids)) == 300


def test_tars_are_named_like_the_pool_so_that_training_finds_the_texts_of_a_tar(demo):
    assert [path.name[:-len(".jsonl.zst")] for path in sorted((demo / "pool").iterdir())] \
        == [path.name[:-len(".tar")] for path in sorted((demo / "images").iterdir())]


def test_pool_and_tars_hold_the_same_pictures(demo):
    names = [member.name for member, _ in members(*sorted((demo / "images").iterdir()))]
    ids = list(dict.fromkeys(record["id"] for record in pool_of(demo)))
    assert names == [id + suffix for id in ids for suffix in (".png", ".json")]


def test_every_picture_has_a_caption_in_each_of_the_fourteen_languages(demo):
    texts = {}
    for record in pool_of(demo):
        texts.setdefault(record["id"], []).append(record["text"].upper())
    for picture in records(demo / "concepts.jsonl")[:300]:
        found = [code for code, language in words.LANGUAGES.items()
                 if any(draw.shouted(caption, "tr") in text or caption.upper() in text
                        for caption in language.captions(picture) for text in texts[picture["id"]])]
        assert found == list(words.LANGUAGES)


def test_the_pool_is_as_untidy_as_the_web(demo):
    texts = [record["text"] for record in pool_of(demo)]
    assert "" in texts and "untitled" in texts and "click here" in texts
    assert any(len(text) == 1 for text in texts)
    assert any(text.startswith("IMG_") for text in texts)
    assert any("https://" in text for text in texts)
    assert any(text.isascii() and text.isupper() and " " in text for text in texts)
    assert any("\n" in text for text in texts)


# ---------------------------------------------------------------- the classes

def test_classes_in_the_pool_have_a_head_and_a_tail(demo):
    counts = Counter((p["shape"], p["colour"]) for p in records(demo / "concepts.jsonl") if p["split"] == "pool")
    head, *_, tail = [count for _, count in counts.most_common()]
    assert head > 15 * tail


def test_held_out_classes_are_in_the_test_pictures_only(demo):
    pictures = records(demo / "concepts.jsonl")
    held_out = {(p["shape"], p["colour"]) for p in pictures if p["held_out"]}
    in_pool = {(p["shape"], p["colour"]) for p in pictures if p["split"] == "pool"}
    assert len(draw.CLASSES) == 64 and len(held_out) == 32
    assert in_pool == set(draw.CLASSES) - held_out


def test_every_shape_is_in_the_pool_in_four_colours_and_every_colour_in_four_shapes(demo):
    pool = {(p["shape"], p["colour"]) for p in records(demo / "concepts.jsonl") if p["split"] == "pool"}
    assert set(Counter(shape for shape, _ in pool).values()) == set(Counter(c for _, c in pool).values()) == {4}
    colours_of = {shape: frozenset(c for s, c in pool if s == shape) for shape in words.SHAPES}
    assert len(set(colours_of.values())) == len(words.SHAPES) == 8


def test_all_shapes_and_colours_of_the_pool_are_connected(demo):
    """From any shape to any other by colours that both have: none could be learned apart from the rest."""
    pool = {(p["shape"], p["colour"]) for p in records(demo / "concepts.jsonl") if p["split"] == "pool"}
    reached = {words.SHAPES[0]}
    for _ in words.SHAPES:
        colours = {colour for shape, colour in pool if shape in reached}
        reached = {shape for shape, colour in pool if colour in colours}
    assert reached == set(words.SHAPES)


def test_every_language_names_every_class(demo):
    names = Counter(record["lang"] for record in records(demo / "classnames.jsonl"))
    assert names == {lang: 64 for lang in words.LANGUAGES}


def test_test_pictures_are_the_same_number_for_every_class(demo):
    counts = Counter((p["shape"], p["colour"]) for p in records(demo / "concepts.jsonl") if p["split"] == "test")
    assert set(counts) == set(draw.CLASSES) and set(counts.values()) == {draw.TEST_PER_CLASS}


# ---------------------------------------------------------------- the pictures

def test_pictures_are_whole_png_files(demo):
    for member, data in members(demo / "test" / "test-0000.tar"):
        if not member.name.endswith(".png"):
            continue
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        chunks, rest = {}, data[8:]
        while rest:
            length, = struct.unpack(">I", rest[:4])
            kind, body, crc = rest[4:8], rest[8:8 + length], rest[8 + length:12 + length]
            assert zlib.crc32(kind + body) == int.from_bytes(crc, "big")
            chunks[kind], rest = body, rest[12 + length:]
        assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
        width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
        assert (width, height) == (64, 64)
        assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + 3 * width)


def test_tars_carry_no_times_and_no_owners(demo):
    for member, _ in members(demo / "images" / "pool-0000.tar"):
        assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")


# ---------------------------------------------------------------- the words

@pytest.mark.parametrize("code, caption", [
    ("en", "a small red star on a white background"),
    ("fr", "une petite étoile rouge sur fond blanc"),
    ("es", "una estrella roja y pequeña sobre un fondo blanco"),
    ("pt", "uma estrela vermelha e pequena sobre um fundo branco"),
    ("de", "ein kleiner roter Stern auf weißem Hintergrund"),
    ("ru", "маленькая красная звезда на белом фоне"),
    ("ar", "نجمة حمراء صغيرة على خلفية بيضاء"),
    ("zh", "白色背景上有一颗红色的小星星"),
])
def test_words_agree_with_their_noun(code, caption):
    picture = dict(shape="star", colour="red", size="small", place="left", background="white")
    assert words.LANGUAGES[code].captions(picture)[0] == caption


def test_a_pattern_is_left_out_where_a_language_has_no_word():
    picture = dict(shape="star", colour="red", size="small", place="left", background="white")
    cherokee = words.LANGUAGES["chr"]
    assert cherokee.fill("{colour} {shape} {place}", picture) is None
    assert cherokee.captions(picture) == ["ᎯᎠ ᎩᎦᎨᎢ", "ᎩᎦᎨᎢ ᎠᎴ ᎤᏍᏗ", "ᎩᎦᎨᎢ ᏃᏈᏏ", "ᎯᎠ ᎤᏍᏗ ᎩᎦᎨᎢ ᏃᏈᏏ"]


def test_cherokee_has_neither_latin_letters_nor_digits():
    for shape, colour in draw.CLASSES:
        for caption in words.LANGUAGES["chr"].captions(dict(shape=shape, colour=colour, size="large")):
            assert all("Ꭰ" <= letter <= "Ᏼ" for letter in caption.replace(" ", ""))


# ---------------------------------------------------------------- the sources

def test_wordnets_are_omw_tab_files(raw):
    paths = sorted((raw / "wordnet").iterdir())
    assert [path.name[8:11] for path in paths] == ["arb", "cmn", "eng", "fra", "jpn", "por", "spa", "tha"]
    for path in paths:
        code = path.name[8:11]
        header, *rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
        assert header[0].startswith("# ") and header[1] == code and len(header) == 4
        label = "lemma" if code == "por" else f"{code}:lemma"
        lemmas = [row[2] for row in rows if row[1] == label]
        assert all(len(row) == (4 if row[1].endswith(":def") else 3) for row in rows)
        assert words.LANGUAGES[write_sources.WORDNETS[code]].noun("star") in lemmas
    assert "fra:lemma\tpleine_lune\n" in (raw / "wordnet/wn-data-fra.tab").read_text("utf-8")
    assert "cmn:lemma\t红色+的\n" in (raw / "wordnet/wn-data-cmn.tab").read_text("utf-8")


@pytest.mark.parametrize("code", write_sources.TALK)
def test_dumps_are_mediawiki_exports(raw, code):
    tree = ElementTree.parse(bz2.open(raw / f"dumps/{code}wiki-demo.xml.bz2")).getroot()
    assert tree.tag == XML + "mediawiki"
    assert tree.get("{http://www.w3.org/XML/1998/namespace}lang") == code
    pages = tree.findall(XML + "page")
    assert [page.find(XML + "ns").text for page in pages] == ["0"] * (len(pages) - 1) + ["1"]
    assert sum(page.find(XML + "redirect") is not None for page in pages) == 1
    texts = [page.find(f"{XML}revision/{XML}text").text for page in pages[:-2]]
    for text in texts:
        assert all(mark in text for mark in ("{{", "[[", "<ref", "<!--", "'''", "== ", "{|", "|}"))
    language = words.LANGUAGES[code]
    for colour in words.COLOURS:
        assert sum(text.count(language.forms(colour)[0]) for text in texts) >= 5


def test_pageviews_are_hourly_files_with_a_few_odd_lines(raw):
    paths = sorted((raw / "pageviews").iterdir())
    assert [path.name for path in paths] == ["pageviews-20260101-000000.gz", "pageviews-20260101-010000.gz"]
    for path in paths:
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        assert lines == sorted(lines)
        fields = [line.split(" ") for line in lines if line.count(" ") == 3]
        assert len(lines) - len(fields) == 1                        # the malformed line
        assert all(views.isdigit() and size == "0" for _, _, views, size in fields)
        domains = {domain for domain, *_ in fields}
        assert set(words.LANGUAGES) <= domains and {"en.m", "en.b", "commons.m"} <= domains
        titles = {(domain, title) for domain, title, *_ in fields}
        assert {("en", "Red_circle"), ("zh", "红色圆形"), ("ja", "赤い星"), ("th", "ดาวสีแดง"), ("chr", "ᎩᎦᎨᎢ_ᏃᏈᏏ"),
                ("en", "Special:Search"), ("fr", "%C3%89toile")} <= titles
