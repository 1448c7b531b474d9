"""JSON documents that mc2 writes for itself to read: manifests, thresholds, configurations, notes.

A document is an object with one key more, `checksum`: the SHA-256 of all else in it, in canonical form (sorted keys,
no white space). So a document may be laid out anew, by jq say, but a change of its content is noticed. Documents of
earlier versions of mc2 have no checksum, and are read as they are; so is one that a person changed on purpose, once the
person takes the checksum out.

A line of a log is a small document, with a shorter checksum.
"""
import hashlib
import json

import orjson

from mc2 import parsing
from mc2.errors import BadData

CHECKSUM = "checksum"
OF_A_LINE = 16                  # hexadecimal digits of the checksum of a line
ON_PURPOSE = f'Where it was changed on purpose, take out its "{CHECKSUM}", and it is read as it is.'


def checksum(content):
    """SHA-256, in hexadecimal, of a JSON value in canonical form."""
    try:
        data = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:              # a file name that is not UTF-8, which orjson does not write
        data = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(data).hexdigest()


def dumped(content):
    """The bytes of a document, from a dict."""
    document = {**content, CHECKSUM: checksum(content)}
    try:
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        return json.dumps(document, indent=2).encode() + b"\n"


def dumped_line(content):
    """The bytes of a document of one line, with its line break, from a dict."""
    return orjson.dumps({**content, CHECKSUM: checksum(content)[:OF_A_LINE]}, option=orjson.OPT_APPEND_NEWLINE)


def parsed(data, source, remedy):
    """The content of a document (dict), without its checksum. Raises BadData where it is damaged.

    data: bytes. source: how it is called in messages. remedy: sentences that say what to do.
    """
    try:
        content = parsing.plain_json(data)
    except ValueError as error:
        raise BadData(f"{source}: is damaged ({error}). {remedy}") from None
    if not isinstance(content, dict):
        raise BadData(f"{source}: is damaged (it holds no JSON object). {remedy}")
    if not _fits(content):
        raise BadData(f"{source}: is damaged: its content does not fit its checksum. {remedy} {ON_PURPOSE}")
    content.pop(CHECKSUM, None)
    return content


def parsed_line(data):
    """The content of a document of one line. Raises ValueError where it is damaged."""
    content = parsing.plain_json(data)
    if not isinstance(content, dict) or not _fits(content, OF_A_LINE):
        raise ValueError("its content does not fit its checksum")
    content.pop(CHECKSUM, None)
    return content


def read(path, remedy):
    """The content of the document in a local file. Raises BadData, and OSError where it cannot be read."""
    with open(path, "rb") as stream:
        return parsed(stream.read(), path, remedy)


def _fits(content, digits=None):
    """Whether a document that has a checksum has the one of its content."""
    if CHECKSUM not in content:
        return True
    rest = {key: value for key, value in content.items() if key != CHECKSUM}
    return content[CHECKSUM] == checksum(rest)[:digits]
