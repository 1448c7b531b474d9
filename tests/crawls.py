"""Files of a crawl for tests: WARC files of pages, and the WAT files that Common Crawl makes of them."""
import gzip

import orjson

PAGE = "https://a.org/dir/page.html"
DATE = "2024-05-18T01:58:10Z"


def record(kind, content, url=PAGE, date=DATE, content_type="application/http; msgtype=response", length=None, more=""):
    """A record of a WARC file. bytes. content: bytes. more: lines of its header"""
    length = len(content) if length is None else length
    return (f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Date: {date}\r\nWARC-Target-URI: {url}\r\nContent-Type: {content_type}"
            f"\r\n{more}Content-Length: {length}\r\n\r\n").encode() + content + b"\r\n\r\n"


def response(html, url=PAGE, headers="Content-Type: text/html; charset=utf-8", status="200 OK", **more):
    """The record of a page. html: str, in UTF-8, or bytes"""
    html = html if isinstance(html, bytes) else html.encode()
    return record("response", f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n".encode() + html, url, **more)


def warcinfo(text="Software-Info: ia-web-commons.1.1.10-SNAPSHOT-20240513074037\r\n", date=DATE):
    return record("warcinfo", text.encode(), "0.warc.gz", date, "application/warc-fields")


def links(*images):
    """The links of a WAT record. images: dicts with url, alt, title"""
    return [{"path": "A@/href", "url": "/other", "text": "a link"}, *({"path": "IMG@/src", **each} for each in images)]


def wat(*images, url=PAGE, head=None, headers=None, status="200", date=DATE):
    """The WAT record of a page. images: dicts with url, alt, title"""
    html = {"Head": head or {}, "Links": links(*images)}
    found = {"Container": {"Filename": "0.warc.gz"}, "Envelope": {
        "Payload-Metadata": {"HTTP-Response-Metadata": {"Response-Message": {"Status": status}, "Headers": headers or {},
                                                        "HTML-Metadata": html}},
        "WARC-Header-Metadata": {"WARC-Type": "response", "WARC-Target-URI": url}}}
    return record("metadata", orjson.dumps(found), url, date, "application/json")


def members(*records):
    """A file with a gzip member for each record. bytes"""
    return b"".join(gzip.compress(each, 6, mtime=0) for each in records)


def write(path, *records):
    """Write such a file; without gzip where the name does not end in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(members(*records) if path.name.endswith(".gz") else b"".join(records))
    return path
