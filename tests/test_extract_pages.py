"""What a page says about its images: URLs, lazy sources, srcset, characters, nesting."""
import gzip
import time
import zlib

import pytest
import zstandard

pytest.importorskip("selectolax")

from crawls import PAGE                                             # noqa: E402
from hypothesis import given, strategies as st                      # noqa: E402

from mc2.extract import charsets, images, nesting, pages, pairs, urls     # noqa: E402


def pairs_of(html, headers="Content-Type: text/html; charset=utf-8", sources=pages.BY_DEFAULT, url=PAGE):
    """[(url, text)] of a page."""
    import orjson
    made = pairs.Made()
    data = f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode() + (html if isinstance(html, bytes) else html.encode())
    assert pages.add_images(made, 1, data, url, sources)
    return [(found["url"], found["text"]) for found in map(orjson.loads, made.lines)]


def url_of(img, **how):
    (url, _), = pairs_of(img, **how)
    return url


# ---------------------------------------------------------------- URLs

BASE = "https://user@a.org:8080/b/c/d;p?q=/x/y#/z/"


@pytest.mark.parametrize("url, absolute", [
    ("g.jpg", "https://user@a.org:8080/b/c/g.jpg"), ("/g", "https://user@a.org:8080/g"), ("//g.org/h", "https://g.org/h"),
    ("?y", "https://user@a.org:8080/b/c/d;p?y"), ("./g", "https://user@a.org:8080/b/c/g"),
    ("../g", "https://user@a.org:8080/b/g"), ("../../g", "https://user@a.org:8080/g"),
    ("../../../g", "https://user@a.org:8080/g"), ("././.././g?a=../b", "https://user@a.org:8080/b/g?a=../b"),
    ("g/../h", "https://user@a.org:8080/b/c/h"), ("/a/./b/../c", "https://user@a.org:8080/a/c"),
    ("HTTPS://B.org/x", "https://B.org/x"), ("  /g\n\t/h ", "https://user@a.org:8080/g/h"),
    ("https:\\\\b.org\\x", "https://b.org/x"), ("https://b.org\\@c.org/x", "https://b.org/@c.org/x"),
    ("\\g\\h?\\", "https://user@a.org:8080/g/h?\\"), ("\0/g", "https://user@a.org:8080/g"),
])
def test_relative_urls_are_made_absolute(url, absolute):
    assert urls.absolute(url, urls.Base(BASE)) == absolute


@given(st.lists(st.sampled_from(["..", ".", "a", "b.c", "d..", "", "?", "q=1", "#"]), min_size=1, max_size=6),
       st.sampled_from([PAGE, "https://a.org", "https://a.org?x=/1/", "https://a.org/a/b/../c/", "https://a.org/1/2/3?q"]))
def test_the_short_ways_to_join_urls_give_what_urljoin_gives(parts, page):
    from urllib.parse import urljoin
    url = "/".join(parts)
    if url and url[-1] not in "?#" and "?#" not in url and "//" not in url and "/?" not in url:     # urljoin drops these
        assert urls.Base(page).join(url) == urljoin(page, url)


@pytest.mark.parametrize("url, encoded", [
    ("https://a.org/a b.jpg", "https://a.org/a%20b.jpg"),
    ("https://a.org/%20é.jpg?ü=\"", "https://a.org/%20%C3%A9.jpg?%C3%BC=%22"),
    ("https://bücher.example/x", "https://xn--bcher-kva.example/x"), ("https://a.org/{x", "https://a.org/%7Bx"),
    ("https://a.org/[1]~(2)'!$&+,;=:@%zz", "https://a.org/[1]~(2)'!$&+,;=:@%zz"),
    ("https://a.org/\u200b\u202ex", "https://a.org/%E2%80%8B%E2%80%AEx"),
    ("https://a.org/😀", "https://a.org/%F0%9F%98%80")])
def test_urls_are_percent_encoded_and_hosts_are_in_ascii(url, encoded):
    assert urls.encoded(url) == encoded == urls.encoded(encoded)


@given(st.text(max_size=40))
def test_whatever_a_url_holds_it_becomes_one_in_ascii_or_is_refused(text):
    for url in text, f"https://a.org/{text}", f"https://{text}/a.jpg", f"//a.org{text}":
        try:
            encoded = urls.encoded(urls.absolute(url, urls.Base(PAGE)))
        except urls.Refused:
            continue
        assert encoded.isascii() and encoded.isprintable() and " " not in encoded
        assert encoded.startswith(("http://", "https://"))


@pytest.mark.parametrize("head, url", [
    ('<base href="https://cdn.org/x/">', "https://cdn.org/x/a.jpg"), ('<base href="/y/z">', "https://a.org/y/a.jpg"),
    ('<base target=_top><base href="/1/"><base href="/2/">', "https://a.org/1/a.jpg"),
    ('<base href="data:,">', "https://a.org/dir/a.jpg"), ('<base href="http://[">', "https://a.org/dir/a.jpg"),
    ('<base href="  //b.org/ü/ ">', "https://b.org/%C3%BC/a.jpg")])
def test_the_first_base_with_an_address_counts(head, url):
    assert url_of(f"{head}<img src=a.jpg alt=a>") == url


# ---------------------------------------------------------------- which picture

@pytest.mark.parametrize("img, name", [
    ('<img src="a.jpg" data-src="b.jpg" alt=x>', "a.jpg"),
    ('<img src="data:image/gif;base64,R0lG" data-src="b.jpg" alt=x>', "b.jpg"),
    ('<img src="/spacer.gif" data-original="b.jpg" alt=x>', "b.jpg"),
    ('<img data-lazy-src="b.jpg" alt=x>', "b.jpg"),
    ('<img src="" srcset="b.jpg 300w, c.jpg 600w, d.jpg 400w" alt=x>', "c.jpg"),
    ('<img src="/1x1.png?v=2" data-src="/{width}.jpg" data-srcset="b.jpg 1x, c.jpg 1.5x" alt=x>', "c.jpg"),
    ('<picture><source srcset="b.webp 1x, c.webp 2x"><img src="data:," alt=x></picture>', "c.webp"),
    ('<picture><source srcset="b.webp"><img src="a.jpg" alt=x></picture>', "a.jpg"),
    ('<noscript><img src="n.jpg" alt=x></noscript>', "n.jpg"),
    ('<amp-img src="m.jpg" alt=x width=300 height=200></amp-img>', "m.jpg"),
    ("<IMG SRC=a.jpg ALT='x'", None), ('<!-- <img src="a.jpg" alt=x> -->', None),
    ("<script>'<img src=a.jpg alt=x>'</script>", None), ("<textarea><img src=a.jpg alt=x></textarea>", None),
    ("<img src=a.jpg alt=x alt=y src=b.jpg>", "a.jpg")])
def test_a_picture_is_that_which_is_shown_once_the_page_is_loaded(img, name):
    assert pairs_of(img) == ([(f"https://a.org/dir/{name}", "x")] if name else [])


@pytest.mark.parametrize("srcset, largest", [
    ("a.jpg", ["a.jpg"]), ("a.jpg, b.jpg 2x", ["b.jpg", "a.jpg"]), ("a.jpg 100w,b.jpg 200w", ["b.jpg", "a.jpg"]),
    (" , a.jpg,  ,b.jpg 2x,", ["b.jpg", "a.jpg"]),
    ("data:image/png;base64,AA,BB= 1x, b.jpg 2x", ["b.jpg", "data:image/png;base64,AA,BB="]),
    ("a.jpg 1q, b.jpg 1x", ["b.jpg"]), ("a.jpg 1x 100h", ["a.jpg"]), ("a,b.jpg 3x", ["a,b.jpg"]),
    ("a.jpg (1x, 2x), b.jpg 1x", ["b.jpg"]), ("", []), (",", []), ("a.jpg .5x, b.jpg 1e-1x", ["a.jpg", "b.jpg"])])
def test_srcset_is_read_as_browsers_do(srcset, largest):
    assert images.largest_first(srcset) == largest


@given(st.text(alphabet="ab, \t()12xw.:-e", max_size=30))
def test_no_srcset_is_too_odd(srcset):
    assert all(url and not url.startswith(",") for url in images.largest_first(srcset) if url)


def test_attributes_may_hold_line_breaks_nulls_and_marks_that_nobody_sees():
    assert pairs_of('<img src=" /a\n.jpg\t" alt="one\n\ttwo\u00a0three\u200f">') == [
        ("https://a.org/a.jpg", "one two three\u200f")]
    assert pairs_of(b'<img src="/a\0.jpg" alt="c\0at">') == [("https://a.org/a%EF%BF%BD.jpg", "c\ufffdat")]
    assert pairs_of('<img src=a.jpg alt="Tom &amp; Jerry &lt;3 &#x1F408;&nbsp;&quot;">')[0][1] == 'Tom & Jerry <3 🐈 "'


# ---------------------------------------------------------------- characters

JAPANESE, RUSSIAN = "白い猫が窓辺で眠っています。", "Белая кошка спит на окне, а рядом сидит собака и смотрит на улицу."


@pytest.mark.parametrize("text, encoding, headers, head", [
    ("größe €", "cp1252", "Content-Type: text/html; charset=ISO-8859-1", ""),
    ("größe", "utf-8", "Content-Type: text/html", '<meta charset="utf-8">'),
    ("größe", "utf-8", "Content-Type: text/html", ""),
    ("größe", "utf-8-sig", "Content-Type: text/html; charset=iso-8859-1", ""),
    ("größe", "utf-16", "Content-Type: text/html", ""),
    (RUSSIAN, "cp1251", "Content-Type: text/html;charset='windows-1251'", ""),
    (RUSSIAN, "koi8_r", "Content-Type: text/html", '<meta http-equiv=content-type content="text/html; charset=koi8-r">'),
    (RUSSIAN, "cp1251", "Content-Type: text/html", ""),
    (JAPANESE, "cp932", "Content-Type: text/html; charset=x-sjis", ""),
    (JAPANESE, "euc_jp", "Content-Type: text/html", ""),
    (JAPANESE, "iso2022_jp", "Content-Type: text/html", ""),
    ("简体中文的猫", "gb18030", "Content-Type: text/html; charset=gb2312", ""),
    ("größe", "utf-8", "Content-Type: text/html; charset=unicode_escape", ""),
    ("größe", "utf-8", "Content-Type: text/html; charset=utf-7", "<!-- <meta charset=koi8-r> -->"),
    ("größe", "utf-8", "Content-Type: text/html", '<meta charset="utf-16">'),
    ("größe", "utf-8", "Content-Type: text/html; charset=none", "")])
def test_characters_are_read_in_the_encoding_of_the_page(text, encoding, headers, head):
    html = f"<html><head>{head}</head><p>{text * 6}<img src=a.jpg alt='{text}'>"
    assert pairs_of(html.encode(encoding), headers=headers)[0][1] == text


def test_utf8_that_is_cut_off_within_a_character_is_still_that():
    assert pairs_of("<img src=a.jpg alt='größe'>ü".encode()[:-1], headers="Content-Type: text/html")[0][1] == "größe"


@given(st.binary(max_size=60), st.sampled_from([
    "", "text/html; charset=utf-16", "charset=hex", "charset=\ud800", "charset=idna"]))
def test_no_bytes_are_too_odd(data, content_type):
    assert isinstance(charsets.text_of(data, content_type), (bytes, str))


@pytest.mark.parametrize("body, headers", [
    (b"5\r\n<img \r\n1D;x=y\r\nsrc=a.jpg alt=x>xxxxxxxxxxxxx\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
    (b"<img src=a.jpg alt=x>", "Transfer-Encoding: chunked"), (b"<img src=a.jpg alt=x>", "Content-Encoding: br"),
    (gzip.compress(b"<img src=a.jpg alt=x>"), "Content-Encoding: gzip"),
    (zlib.compress(b"<img src=a.jpg alt=x>"), "Content-Encoding: deflate"),
    (zstandard.compress(b"<img src=a.jpg alt=x>"), "Content-Encoding: zstd")])
def test_transfer_and_content_encodings_are_undone_where_the_crawler_did_not(body, headers):
    assert pairs_of(body, headers=f"Content-Type: text/html\r\n{headers}") == [("https://a.org/dir/a.jpg", "x")]


@pytest.mark.parametrize("encoding, compress", [("gzip", gzip.compress), ("deflate", zlib.compress),
                                                ("zstd", zstandard.compress)])
def test_a_page_that_stands_for_much_is_cut_off(encoding, compress):
    body = compress(b"<img src=a.jpg alt=x>" + bytes(100_000_000))
    response = pages.Response(f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\n\r\n".encode() + body)
    assert len(response.content()) <= pages.MOST_INFLATED


# ---------------------------------------------------------------- how long it takes

IMAGE = "<img src=a.jpg alt=x>"


@pytest.mark.parametrize("html", [
    "<div>" * 200_000, "<div/>" * 200_000, "<div></x>" * 200_000, "<ul><li>" * 100_000, "<DIV CLASS='>'>" * 200_000,
    "".join(f"<p><font id={number}>" for number in range(10_000)),
    "<a " + " ".join(f"a{n}=1" for n in range(50_000)) + ">",
    "<div>" * 20_000 + "<p>x</p>" * 500_000], ids=lambda html: html[:12])
def test_pages_that_take_a_time_that_grows_with_the_square_are_refused_at_once(html):
    started = time.process_time()
    assert nesting.is_too_deep(html + IMAGE) and nesting.is_too_deep(html.encode())
    assert time.process_time() - started < 10


@pytest.mark.parametrize("html", [
    "<p>text" * 100_000, "<li>" * 100_000, "<br>" * 100_000, "<table><tr><td>x</table>" * 20_000,
    "<font color=red>" * 10_000 + "<p>" * 1000, "<svg>" + "<path d='M0'/>" * 50_000 + "</svg>", "<div>" * 1000,
    "<div><b>x</b></div>" * 50_000, "<script>" + "<div>" * 100_000 + "</script>", "<!--" + "<div>" * 100_000 + "-->",
    f'<img alt="{"x " * 100_000}">'], ids=lambda html: html[:12])
def test_long_pages_of_any_usual_form_are_read(html):
    assert not nesting.is_too_deep(html)
    assert (pairs_of(html + IMAGE) or [("", "x")])[-1][1] == "x"


@pytest.mark.parametrize("html", [
    "<picture>" + "<source srcset=a>" * 20_000 + "<img src='data:,' alt=x>" * 20_000,
    "<figure>" + "<img src=a.jpg alt=x>" * 20_000, "<base>" * 20_000, "<meta name=robots content=noai>" * 20_000,
    "<img src=a.jpg alt=x srcset='" + "a 1x," * 100_000 + "'>", "<img src=a.jpg alt='" + "&amp;" * 100_000 + "'>"],
    ids=lambda html: html[:12])
def test_many_elements_of_one_kind_take_a_time_that_grows_with_their_number(html):
    started = time.process_time()
    pairs_of(html + IMAGE, sources=pages.SOURCES)
    assert time.process_time() - started < 5


@given(st.lists(st.sampled_from(["<div>", "</div>", "<", ">", "<img ",
                                  "alt='x", "'", '"', "<!--", "-->", "<script>", "</script",
                                 "<svg>", "<table>", "<template>", "\0", "&#xD800;", "src=//a.org/b", " ", "é"]), max_size=40))
def test_no_html_is_too_odd(parts):
    html = "".join(parts)
    pairs_of(html, sources=pages.SOURCES)
    assert nesting._takes_long(html.encode()) is False
