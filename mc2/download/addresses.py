"""URLs as a program that downloads can take them: in ASCII, without white space, without a fragment."""
import re
from urllib.parse import quote, urlsplit, urlunsplit

LONGEST = 2000                              # characters of a URL
BREAKS = re.compile(r"[\t\r\n]")            # which the WHATWG URL standard takes out
RESERVED = "!#$%&'()*+,/:;=?@[]~"           # stays as it is: what is encoded is not encoded again
FORBIDDEN = re.compile(r"[\x00-\x20\"<>\\^`{|}\x7f]")      # in a host

NONE, LONG, OTHER, NO_HOST, DAMAGED = "without url", f"url of more than {LONGEST:,} characters", "url that is not http", \
    "url without a host", "damaged url"


def encoded(url):
    """(the URL in ASCII, None), or (None, the reason) where it cannot be downloaded. url: JSON value"""
    if not isinstance(url, str) or not (url := BREAKS.sub("", url.strip())):
        return None, NONE
    if len(url) > LONGEST:
        return None, LONG
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None, DAMAGED
    if parts.scheme.lower() not in ("http", "https"):
        return None, OTHER
    if not parts.hostname:
        return None, NO_HOST
    host = _ascii_host(parts.hostname)
    if host is None:
        return None, DAMAGED
    user = parts.netloc.rpartition("@")[0]
    place = f"{quote(user, RESERVED)}@" * bool(user) + host + (f":{port}" if port is not None else "")
    path = quote(parts.path.replace("\\", "/"), RESERVED) or "/"
    return urlunsplit((parts.scheme.lower(), place, path, quote(parts.query, RESERVED), "")), None


def _ascii_host(host):
    """A host name in ASCII (IDNA), or None."""
    if ":" in host:                         # IPv6, which urlsplit has looked at
        return f"[{host}]"
    try:
        host = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        return None
    return None if FORBIDDEN.search(host) or "%" in host else host
