"""The characters of a page: by its byte order mark, its HTTP header, its <meta>, as UTF-8 where it is that, and by a
detector, in this order (WHATWG, HTML Standard and Encoding Standard)."""
import functools
import re

DETECTED = 1 << 16              # bytes that the detector sees
PRESCANNED = 4096               # bytes in which a <meta> is looked for
IN_HEADER = re.compile(r"charset\s*=\s*[\"']?\s*([\w:.-]+)", re.IGNORECASE)
IN_META = re.compile(rb"<meta\b[^>]{0,300}?charset\s*=\s*[\"']?\s*([\w:.-]+)", re.IGNORECASE)
COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
ESCAPES = (b"\x1b$", b"\x1b(")      # of ISO-2022-JP, which is valid UTF-8

# Labels that mean another encoding on the web than in Python, and those that Python does not know.
LABELS = {
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1", "l1", "ascii", "us-ascii", "iso8859-1", "iso_8859-1", "cp1252",
                     "windows-1252", "x-cp1252"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk", "gb_2312-80", "gb18030", "x-gbk", "chinese"), "gb18030"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "windows-31j", "cp932"), "cp932"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "ks_c_5601-1989", "ksc5601", "korean", "windows-949"), "cp949"),
    **dict.fromkeys(("big5", "big5-hkscs", "cn-big5", "x-x-big5"), "big5hkscs"),
    **dict.fromkeys(("iso-8859-9", "latin5", "windows-1254", "cp1254"), "cp1254"),
    **dict.fromkeys(("tis-620", "iso-8859-11", "windows-874", "dos-874", "cp874"), "cp874"),
    **dict.fromkeys(("utf8", "unicode", "unicode-1-1-utf-8", "utf-8"), "utf-8"),
    **dict.fromkeys(("utf-16", "utf-16le", "ucs-2"), "utf-16-le"), "utf-16be": "utf-16-be",
    **dict.fromkeys(("iso-8859-8-i", "logical", "visual", "hebrew"), "iso-8859-8"),
    "macintosh": "mac_roman", "x-mac-roman": "mac_roman", "x-mac-cyrillic": "mac_cyrillic", "x-euc-jp": "euc_jp",
    "koi8": "koi8_r", "arabic": "iso-8859-6", "greek": "iso-8859-7", "cyrillic": "iso-8859-5"}
# The others by Python's names. Not UTF-7 and not what is no encoding of text.
KNOWN = re.compile(r"(iso[-_]?8859[-_]\d+|windows[-_]?125\d|cp\d{3,4}|koi8[-_][rut]|euc[-_]jp|iso[-_]2022[-_]jp|"
                   r"ibm866|mac[-_]cyrillic)", re.ASCII)


def text_of(data, content_type):
    """The text of a page as what lexbor takes: bytes in UTF-8, or str. content_type: of the HTTP header, or "" """
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return _decoded(data[len(mark):], encoding)
    encoding = _named(content_type) or _in_meta(data)
    if encoding:
        return _decoded(data, encoding)
    if _is_utf8(data) and not any(escape in data for escape in ESCAPES):
        return _decoded(data, "utf-8")
    return _decoded(data, _detected(data[:DETECTED]))


def _decoded(data, encoding):
    """bytes where they are UTF-8 already, for then lexbor need not be given them anew."""
    if encoding == "utf-8":
        try:
            data.decode()
            return data
        except UnicodeDecodeError:
            pass
    return data.decode(encoding, "replace")


def _named(content_type):
    found = IN_HEADER.search(content_type)
    return found and _encoding(found[1])


def _in_meta(data):
    beginning = data[:PRESCANNED]
    if b"<!--" in beginning:
        beginning = COMMENT.sub(b"", beginning)
    found = IN_META.search(beginning)
    encoding = found and _encoding(found[1].decode("ascii", "replace"))
    return "utf-8" if encoding and encoding.startswith("utf-16") else encoding         # it could be read, so it is not


@functools.lru_cache(1 << 10)
def _encoding(label):
    """Python's name of an encoding, by its label on the web; None for one that browsers do not know."""
    label = label.lower()
    if label in LABELS:
        return LABELS[label]
    if not KNOWN.fullmatch(label):
        return None
    try:
        b"".decode(label)
        return label
    except LookupError:
        return None


def _is_utf8(data):
    """Whether data are UTF-8, of which the last character may be cut off."""
    try:
        data.decode()
        return True
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and error.start >= len(data) - 3


def _detected(data):
    import chardet
    name = chardet.detect(data).get("encoding") or "windows-1252"
    return _encoding(name) or "cp1252"
