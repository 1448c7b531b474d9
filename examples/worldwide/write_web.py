"""Write a small web: a crawl of it as Common Crawl publishes them, its pictures, and an evaluation set.

    python write_web.py -o out

Takes about 20 seconds and writes 15 MB, the same every time:

    OUT/crawl/shapes-0.warc.wat.gz, -1.warc.wat.gz     two WAT files: the images of a page as links with alt and title
    OUT/crawl/shapes-2.warc.gz                         a WARC file: whole pages, with images that scripts load
    OUT/web/answers.jsonl, OUT/web/pictures/           what web.py answers: url, status, type, file ...
    OUT/web/planted.jsonl                              copies of evaluation images: id, url, copy_of, how
    OUT/web/optouts.txt                                pages that ask not to be used for training
    OUT/eval/images/CLASS/*.png, classes-*.txt         for `mc2 eval zeroshot`: images, names of classes
    OUT/words.txt, OUT/hosts.txt                       what the filter leaves out

The pictures are those of examples/demo ("worldwide shapes") behind clouds, so that no two are alike to a perceptual
hash. Nothing of it is on the web: all hosts end in .example, which belongs to nobody (RFC 2606).
"""
import argparse
import gzip
import hashlib
import html
import io
import math
import os
import sys
import time
from urllib.parse import urlsplit

import numpy as np
import orjson
from PIL import Image

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../demo"))

import draw
import words

from mc2.download.addresses import encoded
from mc2.pairs.columns import id_of_url

SITES = {"en": "shapes.example", "de": "bilder-markt.example", "fr": "formes.example", "es": "figuras.example",
         "ru": "xn--c1ajzlc0c.example", "zh": "tuxing.example"}
SHARED, ADS = "cdn.example", "ads.example"      # hosts of pictures that pages of several sites show
PICTURES = 1500
ON_A_PAGE = 10
ALSO_ON = 0.35              # of the pages of each other language that show a picture too
AGAIN = 25                  # pages that are in two files of the crawl
DATE = "2025-05-18T01:58:10Z"
# Of 1,000 pictures, those that the web does not give as it should. The others come at once and whole.
FATES = {"404": 40, "503": 7, "html": 7, "half": 7, "pixel": 5, "slim": 4, "noai": 6, "slow": 2, "loop": 2, "moved": 20}
SPAM = 24                   # of 1,000 pictures, those whose texts praise a casino; half of them are at ADS
SPAM_WORDS = {"en": "casino bonus", "de": "Casino Bonus", "fr": "bonus de casino", "es": "bono de casino",
              "ru": "казино бонус", "zh": "赌场 奖金"}
# Copies of evaluation images: a perceptual hash stands all but the last kind.
COPIES = ["same", "same", "same", "smaller", "smaller", "grey", "grey", "crop"]


# ---------------------------------------------------------------- pictures

def with_clouds(pixels, random):
    """A painted picture with soft lights and shadows over it. uint8 (side, side, 3)"""
    side = len(pixels)
    clouds = Image.fromarray(random.normal(0, 40, (7, 7)).astype("float32"))
    clouds = clouds.resize((side, side), Image.Resampling.BICUBIC)
    return np.clip(pixels + np.asarray(clouds)[..., None], 0, 255).astype("uint8")


def image_of(picture, random, side):
    """The picture, `side` pixels wide and high. PIL.Image"""
    image = Image.fromarray(with_clouds(draw.paint(picture, random), random))
    return image.resize((side, side), Image.Resampling.BICUBIC)


def encode(image, kind, quality=90):
    """A file of this kind. bytes"""
    stream = io.BytesIO()
    image.save(stream, kind, **({} if kind == "PNG" else {"quality": quality}))
    return stream.getvalue()


def copy_of(image, how):
    """A copy of an evaluation image, as others have it on their pages. bytes"""
    if how == "smaller":
        return encode(image.resize((72, 72)), "JPEG", 60)
    if how == "grey":
        return encode(image.convert("L"), "JPEG")
    if how == "crop":
        return encode(image.crop((12, 12, image.width - 4, image.height - 4)), "JPEG")
    return encode(image, "PNG")


def slim(image):
    """Twelve times as wide as high."""
    return image.resize((12 * image.height, image.height))


# ---------------------------------------------------------------- URLs

def address(number, host, suffix, random):
    """Where a picture is, as untidy as on the web."""
    kind = random.integers(6)
    if kind == 0:
        return f"http://{host}/album {number % 7}/picture {number}.{suffix}"
    if kind == 1:
        return f"http://{host}/größe/bild-{number}.{suffix}"
    if kind == 2:
        return f"http://{host}/show?picture={number}&as={suffix}"
    return f"http://{host}/img/{number % 10}/{number:05d}.{suffix}"


def relative(url, page):
    """The URL as a page writes it: the shortest that means the same."""
    url_parts, page_parts = urlsplit(url), urlsplit(page)
    if url_parts.netloc == page_parts.netloc:
        return url[len(url_parts.scheme) + 3 + len(url_parts.netloc):]
    return "//" + url.partition("//")[2]


# ---------------------------------------------------------------- the web

class Web:
    """The pictures, with what servers answer, and the pages that show them."""

    def __init__(self, random):
        self.random = random
        self.answers = {}               # by ASCII URL
        self.files = {}                 # name: bytes
        self.pages = []
        self.planted = []

    def serve(self, url, name="", data=b"", content_type="image/jpeg", status=200, **more):
        """A server answers with these bytes."""
        if data:
            self.files[name] = data
        self.answers[encoded(url)[0]] = {"status": status, "type": content_type, "file": name if data else None, **more}

    def put(self, url, number, image, fate):
        """Serve a picture, or what is there in its place."""
        suffix = "png" if "png" in url.rpartition("/")[2] else "jpg"
        kind, content_type = ("PNG", "image/png") if suffix == "png" else ("JPEG", "image/jpeg")
        name, data = f"{number:05d}.{suffix}", encode(image, kind)
        if fate in ("404", "503"):
            self.serve(url, status=int(fate))
        elif fate == "html":
            self.serve(url, f"{number:05d}.html", b"<!doctype html><title>Moved</title><p>Sign in", "text/html")
        elif fate == "half":
            self.serve(url, name, data[:len(data) // 2], content_type, length=len(data))
        elif fate == "pixel":
            self.serve(url, f"{number:05d}.png", encode(Image.new("RGB", (1, 1)), "PNG"), "image/png")
        elif fate == "slim":
            self.serve(url, name, encode(slim(image), kind), content_type)
        elif fate == "noai":
            self.serve(url, name, data, content_type, headers={"X-Robots-Tag": "noai, noimageai"})
        elif fate == "slow":
            self.serve(url, name, data, content_type, delay=60)
        elif fate == "loop":
            self.serve(url, status=302, headers={"Location": encoded(url)[0]})
        elif fate == "moved":
            there = f"http://{SHARED}/moved/{number:05d}.{suffix}"
            self.serve(there, name, data, content_type)
            self.serve(url, status=301, headers={"Location": there})
        else:
            self.serve(url, name, data, content_type)


def fates(count, random):
    """A fate for each of the pictures; None for most."""
    chosen = [fate for fate, times in FATES.items() for _ in range(math.ceil(times * count / 1000))]
    return [(chosen + [None] * (count - len(chosen)))[k] for k in random.permutation(count)]


def text_of(picture, lang, random, is_spam=False):
    """An alt-text of a page in this language."""
    captions = words.LANGUAGES[lang].captions(picture)
    if is_spam:
        return f"{SPAM_WORDS[lang]}: {captions[random.integers(len(captions))]}"
    if random.random() < 0.15:
        return draw.unmatched_text(picture, random)
    return draw.disturbed(captions[random.integers(len(captions))], lang, picture, random)


def shown(picture, lang, random, is_spam=False):
    """How a page shows a picture: url, alt, title."""
    return {"url": picture["url"], "alt": "" if random.random() < 0.08 else text_of(picture, lang, random, is_spam),
            "title": text_of(picture, lang, random) if random.random() < 0.2 else ""}


def draw_web(random, count):
    """(the Web with `count` pictures and their pages, the evaluation images as [(class, number, PIL.Image)])"""
    web = Web(random)
    pool, test = draw.pool_and_test(count, random)
    places = {lang: [] for lang in SITES}           # what the pages of a language show
    langs = list(SITES)
    for number, (picture, fate) in enumerate(zip(pool, fates(count, random))):
        home, is_spam = draw.pick(random, langs), number < SPAM * count // 1000
        host = ADS if is_spam and number % 2 else SHARED if random.random() < 0.3 else SITES[home]
        picture["url"] = address(number, host, "png" if random.random() < 0.2 else "jpg", random)
        web.put(picture["url"], number, image_of(picture, random, int(random.integers(80, 321))), fate)
        add_to_pages(places, picture, home, random, is_spam)
    evaluation = [(f"{picture['shape']}-{picture['colour']}", number, image_of(picture, random, 96))
                  for number, picture in enumerate(test) if not picture["held_out"]]
    plant(web, places, test, evaluation, random)
    web.pages = make_pages(places, random)
    return web, evaluation


def add_to_pages(places, picture, home, random, is_spam=False):
    for lang in SITES:
        if lang == home or random.random() < ALSO_ON:
            places[lang].append(shown(picture, lang, random, is_spam))


def plant(web, places, test, evaluation, random):
    """Show copies of evaluation images on pages of every language."""
    for how, k in zip(COPIES, random.choice(len(evaluation), len(COPIES), replace=False)):
        name, number, image = evaluation[k]
        url = f"http://{SITES['fr']}/archives/{number:05d}.{'png' if how == 'same' else 'jpg'}"
        web.serve(url, f"copy-{number:05d}", copy_of(image, how), "image/png" if how == "same" else "image/jpeg")
        for lang in SITES:
            caption = draw.pick(random, words.LANGUAGES[lang].captions(test[number]))
            places[lang].append({"url": url, "alt": caption, "title": ""})
        web.planted.append({"id": id_of_url(url), "url": url, "copy_of": f"{name}/{number:05d}.png", "how": how})


def make_pages(places, random):
    """Pages of all sites, in random order. A page: url, lang, images, and perhaps status, headers, metas, base"""
    pages = []
    for lang, images in places.items():
        images = [images[k] for k in random.permutation(len(images))]
        for start in range(0, len(images), ON_A_PAGE):
            number = start // ON_A_PAGE
            pages.append({"url": f"http://{SITES[lang]}/{lang}/gallery/{number}.html", "lang": lang,
                          "images": images[start:start + ON_A_PAGE] + furniture(number)})
            if number % 9 == 4:
                pages[-1]["base"] = "/archives/"
    make_odd(pages)
    return [pages[k] for k in random.permutation(len(pages))]


def furniture(number):
    """What pages show beside their pictures."""
    logo = {"url": "/logo.png", "alt": "", "title": ""}
    pixel = {"url": f"//count.example/hit.gif?page={number}", "alt": "counter", "title": "", "width": "1",
             "height": "1"}
    others = [{"url": "data:image/gif;base64,R0lGODlhAQABAAAAACw=", "alt": "small red circle", "title": ""},
              {"url": "http://localhost:8080/draft.jpg", "alt": "a draft of a blue star", "title": ""},
              {"url": "http://192.168.0.7/camera.jpg", "alt": "my camera", "title": ""},
              {"url": "{{ picture.url }}", "alt": "a green heart", "title": ""}]
    return [logo, *([pixel] if number % 4 == 0 else []), *([others[number // 5 % 4]] if number % 5 == 0 else [])]


def make_odd(pages):
    """Pages that ask not to be used for training, and pages that are gone."""
    optouts = [{"metas": [("robots", "noai, noimageai")]}, {"headers": [("X-Robots-Tag", "noimageai")]},
               {"headers": [("tdm-reservation", "1")]}, {"metas": [("tdm-reservation", "1")]}]
    for number, page in enumerate(pages[7::29]):
        page.update(optouts[number % len(optouts)])
        page["is_optout"] = True
    for page in pages[13::97]:
        if "is_optout" not in page:
            page["status"] = "404 Not Found"


# ---------------------------------------------------------------- files of the crawl

def record(kind, url, content, content_type):
    """A record of a WARC file, as a member of gzip. bytes"""
    number = hashlib.sha256(content).hexdigest()
    uuid = "-".join((number[:8], number[8:12], number[12:16], number[16:20], number[20:32]))
    header = (f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Date: {DATE}\r\nWARC-Record-ID: <urn:uuid:{uuid}>\r\n"
              f"WARC-Target-URI: {url}\r\nContent-Type: {content_type}\r\nContent-Length: {len(content)}\r\n\r\n")
    return gzip.compress(header.encode() + content + b"\r\n\r\n", 6, mtime=0)


def warcinfo(name):
    text = f"Software-Info: ia-web-commons.1.1.10-SNAPSHOT-20250513074037\r\nfilename: {name}\r\nformat: WARC\r\n"
    return record("warcinfo", name, text.encode(), "application/warc-fields")


def address_of(page):
    return encoded(page["url"])[0]


def headers_of(page):
    return [("Content-Type", "text/html; charset=utf-8"), ("Server", "nginx"), *page.get("headers", ())]


def wat_records(page):
    """The records that a WAT file has of a page: of the request, and of the response."""
    request = {"Envelope": {"Payload-Metadata": {"HTTP-Request-Metadata": {"Request-Message": {"Method": "GET"}}},
                            "WARC-Header-Metadata": {"WARC-Type": "request", "WARC-Target-URI": address_of(page)}}}
    links = [{"path": "A@/href", "url": "/", "text": words.LANGUAGES[page["lang"]].gallery}]
    for image in page["images"]:
        link = {"path": "IMG@/src", "url": source(image, page)}
        links.append({**link, **{key: image[key] for key in ("alt", "title") if image[key]}})
    head = {"Title": words.LANGUAGES[page["lang"]].gallery,
            "Metas": [{"name": name, "content": content} for name, content in page.get("metas", ())]}
    if "base" in page:
        head["Base"] = page["base"]
    status, _, reason = page.get("status", "200 OK").partition(" ")
    response = {"Container": {"Filename": "shapes.warc.gz", "Compressed": True, "Offset": "0"}, "Envelope": {
        "Format": "WARC", "WARC-Header-Metadata": {"WARC-Type": "response", "WARC-Target-URI": address_of(page)},
        "Payload-Metadata": {"Actual-Content-Type": "application/http; msgtype=response", "HTTP-Response-Metadata": {
            "Response-Message": {"Version": "HTTP/1.1", "Status": status, "Reason": reason},
            "Headers": dict(headers_of(page)), "HTML-Metadata": {"Head": head, "Links": links}}}}}
    return [record("metadata", address_of(page), orjson.dumps(each), "application/json")
            for each in (request, response)]


def source(image, page):
    """The URL of an image as the page has it. One with a <base> writes whole URLs, one without a host stays."""
    if "//" not in image["url"] or image["url"].startswith(("//", "data:")):
        return image["url"]
    return image["url"] if "base" in page else relative(image["url"], page["url"])


def html_of(page):
    """The page itself: every third picture is loaded by a script, every fifth has its size in a srcset."""
    metas = "".join(f'<meta name="{name}" content="{content}">' for name, content in page.get("metas", ()))
    base = f'<base href="{page["base"]}">' if "base" in page else ""
    lines = [f'<!doctype html><html lang="{page["lang"]}"><head><meta charset="utf-8">{metas}{base}<title>'
             f'{words.LANGUAGES[page["lang"]].gallery}</title></head><body>']
    for number, image in enumerate(page["images"]):
        url = html.escape(source(image, page))
        if number % 3 == 1 and "width" not in image:
            where = f'src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" data-src="{url}" loading="lazy"'
        elif number % 5 == 2 and " " not in url:
            where = f'src="/blank.gif" srcset="/small.jpg 80w, {url} 320w"'
        else:
            where = f'src="{url}"'
        more = "".join(f' {key}="{html.escape(image[key])}"' for key in ("alt", "title", "width", "height")
                       if image.get(key))
        lines.append(f"<p><img {where}{more}></p>")
    return "\n".join([*lines, "</body></html>"])


def warc_records(page):
    """The records that a WARC file has of a page."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers_of(page))
    content = f"HTTP/1.1 {page.get('status', '200 OK')}\r\n{head}\r\n{html_of(page)}".encode()
    where = urlsplit(address_of(page))
    request = f"GET {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode()
    return [record("request", address_of(page), request, "application/http; msgtype=request"),
            record("response", address_of(page), content, "application/http; msgtype=response")]


def damaged(member):
    """A record of which the disk lost some bytes."""
    middle = len(member) // 2
    return member[:middle] + bytes(16) + member[middle + 16:]


def crawl(pages):
    """{name: bytes} of the files of the crawl. Some pages were visited twice, and one record is damaged."""
    first, second = len(pages) * 2 // 5, len(pages) * 4 // 5
    parts = [pages[:first], pages[first:second] + pages[:AGAIN], pages[second:] + pages[first:first + AGAIN // 5]]
    files = {}
    for number, part in enumerate(parts):
        name = f"shapes-{number}.warc.wat.gz" if number < 2 else f"shapes-{number}.warc.gz"
        records = [each for page in part for each in (wat_records if number < 2 else warc_records)(page)]
        if number == 1:
            records[41] = damaged(records[41])
        files[name] = warcinfo(name) + b"".join(records)
    return files


# ---------------------------------------------------------------- files

def write(out, count):
    """Write everything under `out`. Returns the Web."""
    random = np.random.default_rng(0)
    web, evaluation = draw_web(random, count)
    for name, data in crawl(web.pages).items():
        draw.write_whole(f"{out}/crawl/{name}", data)
    for name, data in web.files.items():
        draw.write_whole(f"{out}/web/pictures/{name}", data)
    for name, number, image in evaluation:
        draw.write_whole(f"{out}/eval/images/{name}/{number:05d}.png", encode(image, "PNG"))
    classes = sorted({name for name, _, _ in evaluation})
    for lang in SITES:
        names = "".join(f"{name}\t{words.LANGUAGES[lang].name(*name.split('-'))}\n" for name in classes)
        draw.write_whole(f"{out}/eval/classes-{lang}.txt", names.encode())
    draw.write_whole(f"{out}/words.txt", "casino\nказино\n赌场\n".encode())
    draw.write_whole(f"{out}/hosts.txt", f"{ADS}\n".encode())
    optouts = "".join(f"{address_of(page)}\n" for page in web.pages if "is_optout" in page)
    draw.write_whole(f"{out}/web/optouts.txt", optouts.encode())
    draw.write_whole(f"{out}/web/planted.jsonl", draw.jsonl(web.planted))
    draw.write_whole(f"{out}/web/answers.jsonl", draw.jsonl({"url": url, **each} for url, each in web.answers.items()))
    return web


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="directory to write to")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="pictures on the web [%(default)s]")
    options = parser.parse_args()
    start = time.time()
    web = write(options.output, options.pictures)
    optouts = sum("is_optout" in page for page in web.pages)
    print(f"write_web: {len(web.pages)} pages, {optouts} of them with an opt-out, {options.pictures} pictures and "
          f"{len(web.planted)} copies of evaluation images -> {options.output} ({time.time() - start:.1f} s)")


if __name__ == "__main__":
    main()
