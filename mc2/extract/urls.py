"""The URL of an image: made absolute, checked, percent-encoded; and the id that is made from it.

The id is that of mc2.pairs.columns.id_of_url, of the absolute URL before it is percent-encoded, so that ids are those
of the published code (MetaCLIP's parse_wat). As browsers do, white space at the ends, tabs and line breaks are
taken out of a URL, and a backslash before its query is a slash (WHATWG, URL Standard).
"""
import functools
import ipaddress
import re
import socket
import string
from urllib.parse import quote, urljoin, urlsplit

LONGEST = 2000                  # characters of a URL
SHOWN = 200                     # of a `data:` URL, where dropped images are kept
ENDS = "".join(map(chr, range(33)))
SCHEME = re.compile("([a-zA-Z][a-zA-Z0-9+.-]*):")
HTTP = ("http://", "https://")
KEPT = "!#$%&'()*+,/:;=?@[]~"   # characters beside letters, digits and _.- that stay as they are
PLAIN = (KEPT + string.ascii_letters + string.digits + "_.-").encode()
# {{ url }}, ${url}, <%= url %>, {width}, [[url]], and encoded ones
TEMPLATE = re.compile(r"\{\{|\$\{|<%|\{%|\{[\w.-]+\}|\[\[|%7B%7B|%7B[\w.-]+%7D", re.IGNORECASE)
USUAL_HOST = re.compile(r"(?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]*")
FORBIDDEN = re.compile(r"""[\0- "#%/:<>?@\[\\\]^`{|}\x7f]""")         # in a host (WHATWG)
LOCAL = (".localhost", ".local", ".internal", ".home.arpa")

NO_URL, DATA_URL, OTHER_SCHEME, PRIVATE, LONG, BAD, TEMPLATE_URL = (
    "images without a URL", "data: URLs", "URLs of other schemes", "private addresses", "long URLs", "bad URLs",
    "template placeholders")


class Refused(Exception):
    """A URL that is not that of a picture on the web. args: the reason"""


class Base:
    """What the URLs of a page are relative to."""

    def __init__(self, page, base=None):
        """page: its own URL. base: that of its <base>, which may be relative too; one that is none is passed over"""
        self.url = page
        if base:
            try:
                joined = urljoin(page, _stripped(base))
                self.url = joined if joined.startswith(HTTP) and urlsplit(joined).netloc else page
            except ValueError:
                pass
        host = self.url.find("//") + 2
        path = min(index for index in (self.url.find("?"), self.url.find("#"), len(self.url)) if index >= 0)
        root = self.url.find("/", host, path)
        self._origin = self.url[:path] if root < 0 else self.url[:root]
        self.origin = self._origin + "/"
        self.kind_of_host = _kind_of_host(self._origin[host:])
        self._scheme = self.url[:host - 2]
        self._folder = self._origin + "/" if root < 0 else self.url[:self.url.rfind("/", 0, path) + 1]
        self._is_plain = "/." not in self._folder
        self._above = []                # the folders above, the nearest one first, once they are asked for

    def join(self, url):
        """A relative URL as an absolute one. The frequent forms are joined at once, the others by urljoin."""
        first = url[0]
        if first == "." and self._is_plain:
            n_up, rest = _steps_up(url)
            if rest and "/." not in rest and rest[0] not in "./?#":
                return self._folder_above(n_up) + rest
        elif "/." not in url and first not in ".?#":
            if first != "/":
                if self._is_plain:
                    return self._folder + url
            elif url[1:2] != "/":
                return self._origin + url
            elif url[2:3] not in ("/", ""):
                return self._scheme + url
        try:
            return urljoin(self.url, url)
        except ValueError:
            raise Refused(BAD) from None

    def _folder_above(self, n):
        """The folder n levels above that of the page; the root where there are fewer."""
        while len(self._above) <= n:
            below = self._above[-1] if self._above else self._folder
            is_root = len(below) == len(self._origin) + 1 or not self._above
            self._above.append(below if is_root else below[:below.rfind("/", 0, -1) + 1])
        return self._above[n]


def _steps_up(url):
    """(How many times `../` begins a relative URL, what comes after these and after `./`)."""
    n, at = 0, 0
    while True:
        if url.startswith("../", at):
            n, at = n + 1, at + 3
        elif url.startswith("./", at):
            at += 2
        else:
            return n, url[at:]


def absolute(url, base, keeps_private=False):
    """The absolute URL of an image. base: Base. keeps_private: whether addresses of private networks are taken. Raises
    Refused."""
    if not (url and url.isprintable() and url[0] != " " != url[-1]):        # nearly all are so
        url = _stripped(url)
        if not url:
            raise Refused(NO_URL)
    if "\\" in url:
        url = _with_slashes(url)
    if not url.startswith(HTTP):
        if scheme := SCHEME.match(url):
            name = scheme[1].lower()
            if name not in ("http", "https"):
                raise Refused(DATA_URL if name == "data" else OTHER_SCHEME)
            url = name + url[len(name):]
        if not url.startswith(HTTP):
            url = base.join(url)
            if not url.startswith(HTTP):
                raise Refused(BAD)
    if len(url) > LONGEST:
        raise Refused(LONG)
    kind = base.kind_of_host if url.startswith(base.origin) else _kind_of_host(url.split("/", 3)[2])
    if kind is BAD or kind is PRIVATE and not keeps_private:
        raise Refused(kind)
    return url


def _stripped(url):
    url = url.strip(ENDS)
    if "\n" in url or "\t" in url or "\r" in url:
        url = url.translate({9: None, 10: None, 13: None})
    return url


def _with_slashes(url):
    path, mark, query = url.partition("?")
    return path.replace("\\", "/") + mark + query


def encoded(url):
    """An absolute URL with what may not stand in one percent-encoded, and its host in ASCII. Raises Refused."""
    odd = url.encode("utf-8", "replace").translate(None, PLAIN)
    if not odd and "%7" not in url:
        return url
    if TEMPLATE.search(url):
        raise Refused(TEMPLATE_URL)
    if not odd.strip(b" "):             # hosts have none
        return url.replace(" ", "%20")
    scheme, _, rest = url.partition("://")
    host = re.match(r"[^/?#]*", rest)[0]
    return f"{scheme}://{_ascii_host(host)}{quote(rest[len(host):], safe=KEPT, errors='replace')}"


def is_template(url):
    """Whether a URL has places that a script was to fill in."""
    return ("{" in url or "%7" in url or "<%" in url or "[[" in url) and TEMPLATE.search(url) is not None


def _ascii_host(host):
    if host.isascii():
        return quote(host, safe=KEPT)
    before, at, name = host.rpartition("@")
    name, colon, port = name.partition(":")
    try:
        return quote(before, safe=KEPT) + at + name.encode("idna").decode() + colon + port
    except UnicodeError:
        raise Refused(BAD) from None


@functools.lru_cache(1 << 16)
def _kind_of_host(host):
    """None for the host of a URL that may be reached from everywhere, PRIVATE for an address of this machine or of a
    private network, BAD for what is none."""
    if USUAL_HOST.fullmatch(host) and not host.endswith(LOCAL):
        return None
    host = re.split(r"[?#]", host, maxsplit=1)[0].rpartition("@")[2].lower()
    if host.startswith("["):
        return _kind_of_address(host[1:].partition("]")[0])
    name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit()) and not TEMPLATE.search(port):
        return BAD
    try:
        name = (name if name.isascii() else name.encode("idna").decode()).rstrip(".")
    except UnicodeError:
        return BAD
    if not name or FORBIDDEN.search(name) and not TEMPLATE.search(name):
        return BAD
    if re.fullmatch(r"\d+|0x[\da-f]*", name.rpartition(".")[2]):
        try:
            return _kind_of_address(socket.inet_ntoa(socket.inet_aton(name)))       # 127.1, 0x7f000001 ...
        except OSError:
            return BAD
    return PRIVATE if "." not in name or name.endswith(LOCAL) else None


def _kind_of_address(address):
    try:
        return None if ipaddress.ip_address(address.partition("%")[0]).is_global else PRIVATE
    except ValueError:
        return BAD
