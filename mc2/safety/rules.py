"""What `mc2 filter apply` leaves out: rules, each of which says of a batch which pairs go, for which reason.

A rule has `key`, which it looks at, and `description` (all that its result depends on). `look(batch)` gives the values
of all pairs, and those that are not there or bad; `reason(value)` says why a pair with this value goes, or gives None
where it stays.
"""
import hashlib
import ipaddress
import math
import re
from urllib.parse import unquote

from mc2.safety.lists import ListFile
from mc2.safety.words import KEY as TEXT_FLAGS

MAKE_ANEW = " 'mc2 filter score' gives it."
SHA256 = re.compile("[0-9a-f]{64}")
WITH_HOST = re.compile("(?:(?:https?|ftp):/*|//+)([^/?#]*)", re.IGNORECASE)
HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


def refused(values, is_good, key, why):
    """({index: no value there}, {index: bad value, as batch.reject takes it}) of the values of a key."""
    lacking = {index: f'no "{key}"' for index, value in enumerate(values) if value is None}
    bad = {index: (f'"{key}" is {why}.', MAKE_ANEW) for index, value in enumerate(values)
           if value is not None and not is_good(value)}
    return lacking, bad


def is_number(value):
    return type(value) is int or type(value) is float and math.isfinite(value)


class Threshold:
    """Pairs whose score is above a limit, or below it, go. reads: the key that it looks at"""

    def __init__(self, key, limit, above=True):
        self.key, self.limit, self.above = key, limit, above
        self.name = f"{key} {'above' if above else 'below'} {limit:.15g}"
        self.description = [key, "above" if above else "below", limit]

    def look(self, batch):
        """(values, lacking, bad) of the pairs; see `refused`."""
        values = batch.column(self.key)
        return values, *refused(values, is_number, self.key, "no number")

    def goes(self, value):
        return value > self.limit if self.above else value < self.limit

    def reason(self, value):
        return self.name if self.goes(value) else None


class Faces(Threshold):
    """Pairs whose image shows a face go."""

    def __init__(self):
        super().__init__("faces", 0)
        self.name, self.description = "faces", ["faces", "drop"]


class Blurred:
    """No pair goes, but each must say where faces are, as they will be blurred."""

    key, name, description = "face_bboxes", "blurred", ["faces", "blur"]

    def look(self, batch):
        values = batch.column(self.key)
        lacking, bad = refused(values, are_boxes, self.key, "no list of [x1, y1, x2, y2], from 0 to 1")
        for index, (number, boxes) in enumerate(zip(batch.column("faces"), values)):
            if number is not None and index not in bad and index not in lacking and number != len(boxes):
                bad[index] = ('"faces" is another number than that of "face_bboxes".', MAKE_ANEW)
        return values, lacking, bad

    def reason(self, value):
        return None


def are_boxes(value):
    return isinstance(value, list) and all(
        isinstance(box, list) and len(box) == 4 and all(is_number(each) and 0 <= each <= 1 for each in box)
        and box[0] <= box[2] and box[1] <= box[3] for box in value)


class TextFlags:
    """Pairs whose text has a word of a list go."""

    key, name, description = TEXT_FLAGS, "text flags", ["text flags", "drop"]

    def look(self, batch):
        values = batch.column(self.key)
        return values, *refused(values, are_names, self.key, "no list of names")

    def reason(self, value):
        return f"text flags: {', '.join(value)}" if value else None


def are_names(value):
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


# ---------------------------------------------------------------- block lists

class BlockedIds:
    """Pairs whose id is in a file go."""

    key, name = "id", "blocked ids"

    def __init__(self, path):
        self.file, self._entries = ListFile(path), None
        self.description = ["ids", self.file.sha256]

    def __getstate__(self):
        return {**self.__dict__, "_entries": None}

    @property
    def entries(self):
        if self._entries is None:
            self._entries = self.file.entries().keys()
        return self._entries

    def look(self, batch):
        return batch.column("id"), {}, {}

    def reason(self, value):
        return self.name if value in self.entries else None


class BlockedHosts(BlockedIds):
    """Pairs whose URL is of a host in a file, or of a subdomain of one, go."""

    key, name = "url", "blocked hosts"

    def __init__(self, path):
        self.file, self._entries = ListFile(path, listed_host), None
        self.description = ["hosts", self.file.sha256]

    def look(self, batch):
        hosts = [host_of(url) if isinstance(url, str) else None for url in batch.column("url")]
        return hosts, {index: 'no "url" with a host' for index, host in enumerate(hosts) if host is None}, {}

    def reason(self, value):
        return self.name if any(part in self.entries for part in domains(value)) else None


def domains(host):
    """A host and all above it: a.b.org, b.org, org."""
    parts = host.split(".")
    return (".".join(parts[start:]) for start in range(len(parts)))


def host_of(url):
    """The host of a URL in the form of `plain_host`, as browsers find it; None where it has none."""
    found = WITH_HOST.match("".join(url.split()).replace("\\", "/"))
    host = unquote(found[1].rpartition("@")[2]) if found else ""
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        return plain_host(host) or None
    except ValueError:
        return None


def plain_host(host):
    """A host in lower case, without a dot at its end, other letters than ASCII as DNS has them; the address of IPv6 in
    its short form, without brackets. Raises ValueError."""
    if ":" in host:
        return ipaddress.IPv6Address(host).compressed
    host = host if host.isascii() else host.encode("idna").decode()         # UnicodeError is a ValueError
    return host.lower().rstrip(".")             # after that, as IDNA has other full stops too


def listed_host(line):
    """The host that a line of a list names: example.org, .example.org or *.example.org; None of a comment."""
    if line.startswith("#"):
        return None
    host = line.removeprefix("*").removeprefix(".")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        host = plain_host(host)
    except ValueError:
        host = ""
    if ":" not in host and not HOST.fullmatch(host):
        raise ValueError("is no host, e.g. example.org. Write it without a port, a path or other signs, one a line.")
    return host


class BlockedContents(BlockedIds):
    """Pairs go whose image has a SHA-256 in a file: that of its bytes in the tar, or of the file as it was downloaded,
    which img2dataset writes as `sha256` into the sample's json."""

    key, name, needs_images = "sha256", "blocked images", True

    def __init__(self, path):
        self.file, self._entries = ListFile(path, listed_sha256), None
        self.description = ["sha256", self.file.sha256]

    def is_blocked(self, body, record):
        downloaded = record.get("sha256")
        return hashlib.sha256(body).hexdigest() in self.entries \
            or isinstance(downloaded, str) and downloaded.lower() in self.entries


def listed_sha256(line):
    if line.startswith("#"):
        return None
    if not SHA256.fullmatch(line.lower()):
        raise ValueError("is no SHA-256 of 64 hexadecimal digits.")
    return line.lower()
