"""mc2 extract beside other ways to pairs: WAT beside cc2dataset, WARC beside lxml; and its memory.

    python benchmarks/extract.py [--pages 1500] [--repeats 5] [--quick]

Costs three minutes, 0.5 GB of memory and 60 MB of disk; 40 s with --quick. Needs `pip install -e '.[extract]' fastwarc
lxml pysimdjson`. The pages are made here: 90 kB of HTML with 150 links, scripts, and 30 images in the forms of the web
(relative URLs, lazy ones, empty alts), in 400 languages where ../shared/data/udhr is there.

All alternatives do the same work in this process: from the file to lines of JSON with id, url, text and page. That of
cc2dataset is its function `extract_documents_from_wat` where the package is installed (it needs pyspark), else the same
steps written anew: alt alone, no check of damage, of addresses and of opt-outs, the file whole in memory. That of lxml
is a plain loop with FastWARC: alt, title and data-image-title, characters by header and meta, no lazy images, no opt-outs.

Expect 1.2 times the speed of cc2dataset and 1.7 times that of lxml, and memory that does not grow with the file.
"""
import argparse
import hashlib
import html
import io
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from urllib.parse import urljoin

import orjson

import corpus
import timing
from mc2.extract.stage import Extract
from mc2.pairs import jsonl

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import crawls                                                           # noqa: E402

ALT, ATTRIBUTES = ("alt",), ("alt", "title", "data-image-title")
CHARSET = re.compile(rb"<meta[^>]{0,200}?charset=[\"']?\s*([\w-]+)", re.IGNORECASE)
ADDRESSES = ["/wp-content/uploads/{}.jpg", "/images/{}.png", "//cdn.{host}/i/{}.jpg?w=300&h=200", "{}.jpg",
             "https://img.{host}/p/{}.webp", "../media/{}.jpg", "img/my photo {}.jpg"]


# ---------------------------------------------------------------- the web, made

class Web:
    """A WARC file of pages, and the WAT that Common Crawl would make of it."""

    def __init__(self, n_pages, directory):
        self.rng, self.texts = random.Random(7), _texts()
        self.n_images = 0
        self.warc, self.wat = os.path.join(directory, "0.warc.gz"), os.path.join(directory, "0.warc.wat.gz")
        with open(self.warc, "wb") as warc, open(self.wat, "wb") as wat:
            wat.write(_member(crawls.warcinfo()))
            for number in range(n_pages):
                url, page, links = self._page(number)
                request = {"Envelope": {"Payload-Metadata": {"HTTP-Request-Metadata": {"Headers": {"Host": url}}}}}
                warc.write(_member(crawls.record("request", b"GET / HTTP/1.1\r\n\r\n", url)))
                warc.write(_member(crawls.response(page, url)))
                wat.write(_member(crawls.record("metadata", orjson.dumps(request), url, content_type="application/json")))
                wat.write(_member(_wat_record(url, links)))

    def _words(self, n):
        text = self.texts[self._language]
        start = self.rng.randrange(max(1, len(text) - n))
        return " ".join(text[start:start + n])

    def _page(self, number):
        """(URL, HTML, links of the WAT record) of a page."""
        rng, host = self.rng, f"www.site{number}.example.org"
        self._language = rng.randrange(len(self.texts))
        parts = [f'<!DOCTYPE html><html lang=en><head><meta charset="utf-8"><title>{self._words(6)}</title>',
                 '<meta name="robots" content="index, follow">' if number % 3 == 0 else "", self._script(), "</head><body>"]
        links = []
        for item in range(150):
            address, text = f"https://{host}/category/{rng.getrandbits(32):x}/", self._words(3)
            parts.append(f'<li class="menu-item menu-item-{item}"><a class="nav-link" href="{address}">{text}</a></li>')
            links.append({"path": "A@/href", "url": address, "target": "_self", "text": text})
        for _ in range(30):
            parts.append(f"<div><h2>{self._words(5)}</h2>{self._image(host, links)}<p>{self._words(40)}</p></div>")
        return f"https://{host}/{number:x}/page.html", "\n".join([*parts, self._script(), "</body></html>"]), links

    def _image(self, host, links):
        self.n_images += 1
        rng, text = self.rng, self._words(self.rng.randrange(2, 12))
        url = rng.choice(ADDRESSES).format(f"{rng.getrandbits(40):x}", host=host)
        kind = rng.random()
        attributes = {"src": url, "alt": text} if kind < 0.55 else {"src": url, "alt": ""} if kind < 0.8 else \
            {"src": url, "alt": text, "title": self._words(4)} if kind < 0.92 else {"src": "data:image/gif;base64,R0lGOD",
                                                                                   "data-src": url, "alt": text}
        links.append({"path": "IMG@/src", "url": attributes["src"],
                      **{name: attributes[name] for name in ("alt", "title") if name in attributes}})
        return "<img " + " ".join(f'{name}="{html.escape(value)}"' for name, value in attributes.items()) + ' width="300">'

    def _script(self):
        names = [f"{self.rng.getrandbits(20):x}" for _ in range(20)]
        lines = [f"function {self.rng.choice(names)}(a,b){{return {self.rng.choice(names)}.push(a)||{{}};}}"
                 for _ in range(self.rng.randrange(100, 500))]
        return "<script>" + "\n".join(lines) + "</script>"


def _texts():
    udhr = sorted((corpus.DATA / "udhr").glob("*.txt")) if corpus.DATA.exists() else []
    texts = [path.read_text("utf-8", "replace").split() for path in udhr]
    return [text for text in texts if len(text) > 300] or [" ".join(corpus.english().texts(2000)).split()]


def _wat_record(url, links):
    found = {"Container": {"Filename": "0.warc.gz", "Compressed": True}, "Envelope": {
        "Payload-Metadata": {"HTTP-Response-Metadata": {
            "Response-Message": {"Status": "200", "Version": "HTTP/1.1"}, "Headers": {"Content-Type": "text/html"},
            "HTML-Metadata": {"Head": {"Title": "x", "Metas": [{"name": "robots", "content": "index"}]}, "Links": links}}},
        "WARC-Header-Metadata": {"WARC-Type": "response", "WARC-Target-URI": url}}}
    return crawls.record("metadata", orjson.dumps(found), url, content_type="application/json")


def _member(record):
    deflate = zlib.compressobj(6, wbits=31)
    return deflate.compress(record) + deflate.flush()


# ---------------------------------------------------------------- the alternatives

def mc2(path, sources):
    stage = Extract(sources)
    return b"".join(jsonl.encode(block.batch()) for block in stage.read_blocks([path]))


def cc2dataset(path):
    with open(path, "rb") as stream:
        found = _their_function()(io.BytesIO(stream.read()), "image")
    return b"".join([orjson.dumps({"id": each["uid"], "url": each["url"], "text": each["alt"], "page": each["page_url"]})
                     + b"\n" for each in found])


def _their_function():
    try:
        from cc2dataset.main import extract_documents_from_wat
        return extract_documents_from_wat
    except ImportError:
        return written_anew


def written_anew(stream, kind):
    """The steps of cc2dataset 1.5.0."""
    import simdjson
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    found = []
    for record in ArchiveIterator(stream, record_types=WarcRecordType.metadata, parse_http=False):
        content = simdjson.load(record.reader)
        response = content["Envelope"]["Payload-Metadata"].get("HTTP-Response-Metadata", {}).get("HTML-Metadata", {})
        page = base = content["Envelope"].get("WARC-Header-Metadata", {}).get("WARC-Target-URI", "")
        if "Base" in response.get("Head", {}):
            base = urljoin(page, response["Head"]["Base"])
        for link in response.get("Links", ()):
            if link.get("path", "") == "IMG@/src" and link.get("alt", ""):
                url, alt = link["url"], link["alt"]
                url = url if url.startswith(("http://", "https://")) else urljoin(base, url)
                if url.startswith(("http://", "https://")):
                    found.append({"uid": hashlib.md5((alt + url).encode()).hexdigest(), "url": url, "alt": alt,
                                  "page_url": page})
    return found


def lxml(path):
    """A plain loop."""
    import lxml.html
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    lines, parser = [], lxml.html.HTMLParser(encoding="utf-8")
    with open(path, "rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
            data, page = record.reader.read(), record.headers["WARC-Target-URI"]
            charset = re.search(r"charset=([\w-]+)", record.http_headers.get("Content-Type", "")) or CHARSET.search(data[:2048])
            charset = charset[1] if charset else "utf-8"
            text = data.decode(charset if isinstance(charset, str) else charset.decode(), "replace")
            tree = lxml.html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
            base = tree.find(".//base[@href]")
            base = page if base is None else urljoin(page, base.get("href"))
            for image in tree.iter("img"):
                url = urljoin(base, (image.get("src") or "").strip())
                for source in ATTRIBUTES:
                    alt = " ".join((image.get(source) or "").split())
                    if alt and url.startswith(("http://", "https://")):
                        its_id = hashlib.sha224(url.replace(" ", "").encode("utf-8", "replace")).hexdigest()[:24]
                        lines.append(orjson.dumps({"id": its_id, "url": url, "text": alt, "source": source, "page": page}))
    return b"\n".join(lines) + b"\n"


# ---------------------------------------------------------------- what is printed

def compare(title, calls, path, repeats):
    """Print the speed of alternatives, the baseline first."""
    megabytes, n_pairs = os.path.getsize(path) / 1e6, {name: call().count(b"\n") for name, call in calls.items()}
    seconds = timing.interleaved(calls, repeats)
    base = next(iter(seconds.values()))
    timing.show(f"{title}, {megabytes:.1f} MB", ["", "MB/s", "spread", "pairs", "pairs/s", "ratio"], [
        [name, f"{megabytes / statistics.median(its):.1f}", f"{timing.spread(its):.0f} %", f"{n_pairs[name]:,}",
         f"{n_pairs[name] / statistics.median(its):,.0f}", f"{timing.ratio(its, base):.2f}x"]
        for name, its in seconds.items()])


def show_memory(web, directory):
    """Print the most memory that the command takes for a file, and for one of four times its length."""
    rows = []
    for path in (web.wat, web.warc):
        data = Path(path).read_bytes()
        row = [os.path.basename(path)]
        for times in (1, 4):
            copy = os.path.join(directory, "copy.gz")
            Path(copy).write_bytes(data * times)
            report = os.path.join(directory, "report")
            subprocess.run([sys.executable, str(Path(__file__).parents[1] / "tests/memory.py"), report, "extract", copy,
                            "-o", os.devnull, "-q"], check=True)
            row.append(f"{int(Path(report).read_text().split()[0]) / 1e6:,.0f} MB")
        rows.append(row)
    timing.show("Most memory of the whole command", ["", "the file", "four times as long"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=1500, metavar="N")
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--quick", action="store_true", help="300 pages, 3 rounds")
    options = parser.parse_args()
    if options.quick:
        options.pages, options.repeats = 300, 3
    print(timing.machine(options.repeats))
    with tempfile.TemporaryDirectory() as directory:
        timing.refuse_little_space(directory, 0.5)
        web = Web(options.pages, directory)
        theirs = "cc2dataset" if _their_function() is not written_anew else "the steps of cc2dataset"
        compare(f"WAT of {options.pages:,} pages, alt alone", {
            theirs: lambda: cc2dataset(web.wat), "mc2 extract": lambda: mc2(web.wat, ALT)}, web.wat, options.repeats)
        compare(f"WARC of {options.pages:,} pages, alt, title, data-image-title", {
            "FastWARC and lxml": lambda: lxml(web.warc), "mc2 extract": lambda: mc2(web.warc, ATTRIBUTES)}, web.warc,
            options.repeats)
        show_memory(web, directory)


if __name__ == "__main__":
    main()
