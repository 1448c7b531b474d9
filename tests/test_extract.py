"""mc2 extract: the pairs of WAT and WARC files, on every way through mc2."""
import gzip
import hashlib

import orjson
import pytest
import zstandard

pytest.importorskip("selectolax")

from conftest import DATA                                               # noqa: E402
from crawls import PAGE, members, record, response, warcinfo, wat, write         # noqa: E402

CATS = '<img src="/a.jpg" alt="a cat"><p>text</p><img src="b.jpg" alt="two  cats" title="Cats">'


def lines(text):
    return [orjson.loads(line) for line in text.splitlines()]


def extract(sh, *records, options="", name="in.warc.gz"):
    """The pairs of such a file."""
    write(sh / name, *records)
    return lines(sh.ok(f"mc2 extract {name} {options} -q"))


def counts(sh, *records, options="", name="in.warc.gz"):
    """{what: number} on the receipt."""
    write(sh / name, *records)
    sh.ok(f"mc2 extract {name} {options} -q --receipt r.json")
    return orjson.loads((sh / "r.json").read_bytes())["counts"]


# ---------------------------------------------------------------- the record

def test_a_pair_has_the_id_of_its_url_the_text_where_it_was_and_the_page(sh):
    assert hashlib.sha224(b"https://a.org/a.jpg").hexdigest()[:24] == "4540f4c96381deeefb9b4a00"
    assert extract(sh, response(CATS)) == [
        {"id": "4540f4c96381deeefb9b4a00", "url": "https://a.org/a.jpg", "text": "a cat",
         "source": "alt", "page": PAGE},
        {"id": "296e70e4d194b1b302ae1157", "url": "https://a.org/dir/b.jpg", "text": "two cats", "source": "alt",
         "page": PAGE},
        {"id": "296e70e4d194b1b302ae1157", "url": "https://a.org/dir/b.jpg", "text": "Cats", "source": "title",
         "page": PAGE}]


def test_a_wat_gives_the_same_pairs_as_the_warc_that_it_was_made_of(sh):
    images = {"url": "/a.jpg", "alt": "a cat"}, {"url": "b.jpg", "alt": "two  cats", "title": "Cats"}
    assert extract(sh, warcinfo(), wat(*images), name="in.warc.wat.gz") == extract(sh, response(CATS))


def test_all_texts_of_an_image_of_a_page_are_adjacent_in_the_order_of_the_page(sh):
    found = extract(sh, response('<img src=a.jpg alt=one><img src=b.jpg alt=two><img src="a.jpg" alt=one title=three>'))
    assert [(pair["url"][-5:], pair["text"]) for pair in found] == [
        ("a.jpg", "one"), ("a.jpg", "three"), ("b.jpg", "two")]


def test_the_order_of_sources_is_that_of_the_option(sh):
    page = response('<img src=a.jpg title=t alt=a data-image-title=d>')
    assert [pair["text"] for pair in extract(sh, page)] == ["a", "t", "d"]
    assert [pair["text"] for pair in extract(sh, page, options="--sources data-image-title,alt")] == ["d", "a"]
    sh.fails("mc2 extract in.warc.gz --sources alt,caption", 2, "'caption' is none of alt, title, data-image-title")


def test_the_language_that_the_page_names_is_a_key(sh):
    assert extract(sh, response('<html lang="pt-BR"><img src=a.jpg alt=gato>'))[0]["page_lang"] == "pt-BR"


def test_the_id_is_that_of_id_auto_before_the_url_is_encoded(sh):
    found, = extract(sh, response('<img src="/mein Bild ü.jpg" alt="ein Bild">'))
    assert found["url"] == "https://a.org/mein%20Bild%20%C3%BC.jpg"
    sh.write("raw.jsonl", {"url": "https://a.org/mein Bild ü.jpg", "text": "ein Bild"})
    assert lines(sh.ok("mc2 lid raw.jsonl --id auto -q"))[0]["id"] == found["id"]


def test_figcaptions_open_graph_and_linked_data_are_taken_where_they_are_wanted(sh):
    page = response('<meta property="og:image" content="/o.jpg"><meta property="og:title" content="A page">'
                    '<script type="application/ld+json">{"@graph":[{"@type":"ImageObject","contentUrl":"/l.jpg",'
                    '"caption":"linked"}]}</script>'
                    '<figure><a><img src=f.jpg alt=""></a><figcaption>In <b>the</b> figure</figcaption></figure>')
    assert extract(sh, page) == []
    found = extract(sh, page, options="--sources alt,figcaption,og:image,json-ld")
    assert [(pair["source"], pair["text"], pair["url"]) for pair in found] == [
        ("og:image", "A page", "https://a.org/o.jpg"), ("figcaption", "In the figure", "https://a.org/dir/f.jpg"),
        ("json-ld", "linked", "https://a.org/l.jpg")]


# ---------------------------------------------------------------- what is left out

@pytest.mark.parametrize("image, reason", [
    ('<img src="/a.jpg" alt=" ">', "images without text"),
    ('<img alt="a cat">', "images without a URL"),
    ('<img src="data:image/gif;base64,R0lGOD" alt="a cat">', "data: URLs"),
    ('<img src="file:///a.jpg" alt="a cat">', "URLs of other schemes"),
    ('<img src="JavaScript:x()" alt="a cat">', "URLs of other schemes"),
    ('<img src="http://localhost/a.jpg" alt="a cat">', "private addresses"),
    ('<img src="http://127.1:8080/a.jpg" alt="a cat">', "private addresses"),
    ('<img src="//10.1.2.3/a.jpg" alt="a cat">', "private addresses"),
    ('<img src="http://[::1]/a.jpg" alt="a cat">', "private addresses"),
    ('<img src="http://user@192.168.0.1/a.jpg" alt="a cat">', "private addresses"),
    ('<img src="http://2130706433/a.jpg" alt="a cat">', "private addresses"),
    ('<img src="http://printer/a.jpg" alt="a cat">', "private addresses"),
    ('<img src="http://１２７.0.0.1/a.jpg" alt="a cat">', "private addresses"),
    ('<img src="http://%31.0.0.1/a.jpg" alt="a cat">', "bad URLs"),
    ('<img src="http://[x/a.jpg" alt="a cat">', "bad URLs"),
    ('<img src="http:///a.jpg" alt="a cat">', "bad URLs"),
    (f'<img src="/{"a" * 2000}.jpg" alt="a cat">', "long URLs"),
    ('<img src="/{{ image.url }}" alt="a cat">', "template placeholders"),
    ('<img src="/%7B%7Burl%7D%7D" alt="a cat">', "template placeholders"),
    ('<img src="/x.png" alt="pixel" width="1" height="1px">', "tracking pixels"),
    ('<img src="/img/blank.gif" alt="a cat">', "placeholders"),
    ('<img src="/a.jpg" alt="&#x200b;&shy;">', "images without text"),
    (f'<img src="/a.jpg" alt="{"x" * 100_001}">', "long texts"),
])
def test_images_that_are_none_of_the_web_are_left_out_and_counted(sh, image, reason):
    found = counts(sh, response(image + '<img src="/b.jpg" alt="b">'))
    assert {what: found[what] for what in found if what.startswith("dropped")} == {f"dropped: {reason}": 1}
    assert found["out"] == 1


def test_names_that_only_begin_as_those_of_placeholders_are_pictures(sh):
    names = ["pixel-art.png", "loading-dock.jpg", "lazy-dog.jpg", "blank-page-guide.png", "transparent-frog.png"]
    found = extract(sh, response("".join(f'<img src="/{name}" alt="{name}">' for name in names)))
    assert [pair["text"] for pair in found] == names


def test_private_addresses_can_be_kept(sh):
    page = response('<img src="http://127.0.0.1:8000/a.jpg" alt="a cat">')
    assert extract(sh, page, options="--private keep")[0]["url"] == "http://127.0.0.1:8000/a.jpg"


def test_what_is_left_out_is_kept_with_the_reason_as_often_as_it_is_counted(sh):
    found = counts(sh, response('<img src="data:,x" alt="d"><img src=a.jpg><img src=b.jpg alt=b><img src=b.jpg alt=b>'),
                   response("x", status="404 Not Found"), options="--dropped d.jsonl -o out.jsonl")
    kept = sh.read("d.jsonl")
    assert [(each["dropped"], each["url"], each["text"]) for each in kept] == [
        ("data: URLs", "data:,x", "d"), ("repeated on a page", "https://a.org/dir/b.jpg", "b"),
        ("images without text", "a.jpg", ""), ("pages with another HTTP status than 200", "", "")]
    assert len(kept) == sum(number for what, number in found.items() if what.startswith("dropped: "))


@pytest.mark.parametrize("page, reason", [
    (response("{}", headers="Content-Type: application/json"), "pages that are no HTML"),
    (response(CATS, status="301 Moved"), "pages with another HTTP status than 200"),
    (response(CATS, url="dns:a.org"), "pages without a URL"),
    (response(b"\x1f\x00\x80", headers="Content-Type: text/html\r\nContent-Encoding: br"),
     "pages in another content encoding"),
    (response("<div>" * 200_000 + CATS), "pages nested too deeply"),
    (response("x" * 5000), "long pages"),
    (wat({"url": "/a.jpg", "alt": "a"}, status="404"), "pages with another HTTP status than 200"),
])
def test_pages_that_are_not_read_are_counted(sh, page, reason):
    longest = "--longest-page 4K" if reason == "long pages" else ""
    found = counts(sh, page, response(CATS), options=longest)
    assert (found["in"], found["out"], found[f"dropped: {reason}"]) == (2, 3, 1)


# ---------------------------------------------------------------- opt-outs

@pytest.mark.parametrize("head, headers, optout", [
    ('<meta name="robots" content="index, NoAI, noimageai">', "", ["noai", "noimageai"]),
    ('<meta name="GPTBot" content="noml">', "", ["noml"]),
    ('<meta name="tdm-reservation" content="1">', "", ["tdm-reservation"]),
    ("", "X-Robots-Tag: noindex\r\nx-robots-tag: ccbot: noimageindex", ["noimageindex"]),
    ("", "TDM-Reservation: 1", ["tdm-reservation"]),
    ('<meta name="robots" content="noindex, max-image-preview:large">', "tdm-reservation: 0", None),
    ('<meta name="description" content="how noai works">', "", None),
])
def test_opt_outs_of_a_page_are_heeded_or_kept_as_a_key(sh, head, headers, optout):
    page = response(head + CATS, headers=f"Content-Type: text/html\r\n{headers}".rstrip())
    assert len(extract(sh, page)) == (0 if optout else 3)
    assert [pair.get("optout") for pair in extract(sh, page, options="--optout keep")] == [optout] * 3
    if optout:
        assert counts(sh, page)[f"dropped: opted out ({', '.join(optout)})"] == 3 - (optout is not None)


def test_opt_outs_of_a_wat_are_those_of_its_metas_and_headers_which_may_be_lists(sh):
    image = {"url": "/a.jpg", "alt": "a cat"}
    pages = (wat(image, headers={"x-robots-tag": ["all", "img2dataset: noai"], "Date": ["x"]}),
             wat(image, head={"Metas": [{"name": "ROBOTS", "content": "noimageai"}]}),
             wat(image, headers={"tdm-reservation": "1"}), wat(image))
    found = extract(sh, *pages, options="--optout keep", name="in.wat.gz")
    assert [pair.get("optout") for pair in found] == [["noai"], ["noimageai"], ["tdm-reservation"], None]
    assert len(extract(sh, *pages, name="in.wat.gz")) == 1


def test_other_directives_may_be_named(sh):
    page = response('<meta name="robots" content="noindex">' + CATS)
    assert extract(sh, page, options="--directives noai,noindex") == []


# ---------------------------------------------------------------- WAT

@pytest.mark.parametrize("before, date, decodes", [
    ("Software-Info: ia-web-commons.1.1.9-SNAPSHOT-20190704093111\r\n", "2019-09-01T00:00:00Z", True),
    ("Software-Info: ia-web-commons.1.1.9-SNAPSHOT-20190819095332\r\n", "2019-09-01T00:00:00Z", False),
    ("", "2019-07-31T00:00:00Z", True), ("", "2024-05-18T01:58:10Z", False)])
def test_entities_are_decoded_only_where_the_producer_did_not(sh, before, date, decodes):
    image = {"url": "/a.jpg?b=1&amp;c=2", "alt": "a &lt; b"}
    found, = extract(sh, warcinfo(before, date), wat(image, date=date), name="in.wat.gz")
    assert (found["text"], found["url"]) == (("a < b", "https://a.org/a.jpg?b=1&c=2") if decodes
                                             else ("a &lt; b", "https://a.org/a.jpg?b=1&amp;c=2"))


def test_the_base_of_a_wat_is_heeded(sh):
    pages = wat({"url": "a.jpg", "alt": "a"}, head={"Base": "//cdn.a.org/x/"}), \
        wat({"url": "a.jpg", "alt": "a"}, head={"Base": "javascript:x"})
    assert [pair["url"] for pair in extract(sh, *pages, name="in.wat.gz")] == [
        "https://cdn.a.org/x/a.jpg", "https://a.org/dir/a.jpg"]


@pytest.mark.parametrize("data", [b'{"Envelope', b'{"HTML-Metadata":{}}', b'{"Envelope":{"HTML-Metadata":[]}}', b"[]",
                                  b'{"Envelope":7,"HTML-Metadata":0}'])
def test_a_record_of_json_that_is_no_wat_is_a_bad_record_that_is_named(sh, data):
    bad = record("metadata", data, content_type="application/json")
    write(sh / "in.wat.gz", wat({"url": "/a.jpg", "alt": "a"}), bad)
    sh.fails("mc2 extract in.wat.gz -o out.jsonl", 3, "mc2 extract: in.wat.gz:2: the record of "
             "https://a.org/dir/page.html is not a WAT record. --on-error skip counts it and reads on.")
    done = sh("mc2 extract in.wat.gz -o out.jsonl --rejects r.jsonl")
    assert done.status == 0 and "1 pairs, 1 bad lines skipped (records that are not a WAT record)" in done.stderr
    assert sh.read("r.jsonl")[0]["record"] == 2


def test_halves_of_characters_in_a_wat_are_taken_out(sh):
    page = wat({"url": "/a.jpg", "alt": "a cat X"}).replace(b"X", b"\\ud83d").replace(b"cat", b"c\\u0000at")
    head, _, content = page.partition(b"\r\n\r\n")
    page = record("metadata", content[:-4], content_type="application/json")
    assert extract(sh, page, name="in.wat.gz")[0]["text"] == "a cat"


# ---------------------------------------------------------------- ways in and out

def test_a_stream_is_known_by_its_bytes_gzip_zstd_or_plain(sh):
    records = warcinfo(), response(CATS), wat({"url": "/a.jpg", "alt": "a"})
    plain = b"".join(records)
    for data in (members(*records), gzip.compress(plain), plain, zstandard.compress(plain)):
        done = sh("mc2 extract", data)
        assert done.status == 0 and len(done.stdout.splitlines()) == 4 and "2 pages in" in done.stderr
    assert "0 pages in, 0 images, 0 pairs" in sh("mc2 extract", b"").stderr


def test_shards_go_to_a_directory_and_are_not_made_again(sh):
    write(sh / "in/0.warc.wat.gz", wat({"url": "/a.jpg", "alt": "a"}))
    write(sh / "in/1.warc.gz", response(CATS))
    assert "2 shards, 2 pages in, 3 images, 4 pairs -> out" in sh("mc2 extract in/*.gz -O out").stderr
    assert len(lines(sh.ok("zstdcat out/0.warc.wat.jsonl.zst out/1.warc.jsonl.zst"))) == 4
    assert "2 shards were finished" in sh("mc2 extract in/*.gz -O out").stderr
    write(sh / "in/1.warc.gz", response(CATS), response(CATS, url="https://b.org/"))
    assert "1 shards, 2 pages in" in sh("mc2 extract in/*.gz -O out").stderr
    assert "2 shards, 3 pages in" in sh("mc2 extract in/*.gz -O out --optout keep").stderr


def test_processes_give_the_same_bytes(sh):
    big = "<p>" + "x" * 300_000
    write(sh / "in.warc.gz", *(response(f"<img src=/{number}.jpg alt=cat>{big}") for number in range(12)),
          record("response", b"nonsense"), response(CATS))
    one = sh("mc2 extract in.warc.gz --on-error skip --dropped d1.jsonl -q")
    two = sh("mc2 extract in.warc.gz --on-error skip --dropped d2.jsonl -q -j 2")
    assert one.stdout == two.stdout and len(one.stdout.splitlines()) == 15


def test_pairs_can_be_written_as_a_table_and_go_on_through_a_pipe(sh):
    write(sh / "in.warc.gz", response(CATS))
    sh.ok("mc2 extract in.warc.gz -o out.csv -q")
    assert (sh / "out.csv").read_text().startswith("id,url,text,source,page\n")
    assert [pair["lang"] for pair in lines(sh.ok("mc2 extract in.warc.gz -q | mc2 lid -q"))] == ["en"] * 3


def test_urls_are_read(sh):
    pytest.importorskip("fsspec")
    write(sh / "in.warc.gz", response(CATS))
    assert len(lines(sh.ok(f"mc2 extract file://{sh / 'in.warc.gz'} -q"))) == 3


def test_files_of_a_crawl_are_no_pairs_and_other_files_are_no_crawl(sh):
    write(sh / "in.warc.gz", response(CATS))
    sh.fails("mc2 lid in.warc.gz", 2, "in.warc.gz: is a file of a crawl. 'mc2 extract' makes pairs of it.")
    (sh / "x.gz").write_bytes(gzip.compress(b"<html>" * 1000))
    (sh / "x.html").write_bytes(b"<html>" * 1000)
    for name in "x.gz", "x.html":
        sh.fails(f"mc2 extract {name} --on-error skip", 3, f"{name}: is no WARC file")
    sh.fails("mc2 extract in.warc.gz none.warc.gz", 2, "none.warc.gz: no such file")


def test_without_lexbor_the_message_names_the_extra(sh, monkeypatch):
    write(sh / "in.warc.gz", response(CATS))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    sh.fails("mc2 extract in.warc.gz", 2, "needs selectolax", "pip install '.[extract]'")


def test_inspect_and_status_show_what_was_made(sh):
    write(sh / "in.warc.gz", response(CATS))
    sh.ok("mc2 extract in.warc.gz -O out -q")
    assert "3" in sh.ok("mc2 inspect out/in.warc.jsonl.zst") and sh("mc2 status out").status == 0


@pytest.mark.skipif(not (DATA / "commoncrawl/whirlwind.warc.gz").exists(), reason="no shared data")
def test_a_page_of_common_crawl(sh):
    path = DATA / "commoncrawl/whirlwind.warc.gz"
    done = sh(f"mc2 extract {path}")
    found = lines(done.stdout)
    assert "1 pages in, 7 images, 7 pairs, 5 images without text, 1 tracking pixels" in done.stderr
    assert {pair["page"] for pair in found} == {"https://an.wikipedia.org/wiki/Escopete"}
    assert found[0]["text"] == "Biquipedia" and found[0]["page_lang"] == "an"
