"""The content of a data card as one HTML page.

The page asks for no other file: it forbids itself all requests, and lets only the script and the style work
that it names by their checksums. The content is JSON in an element that browsers do not run.
"""
import base64
import hashlib
import html
import os

import orjson

from mc2 import files, package_data
from mc2.errors import BadUsage

# In JSON these stand within strings only. `<` could end the element; the others end lines in old scripts.
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}

_BEGINNING = "<!doctype html>"
_PAGE = _BEGINNING + """
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; base-uri 'none'; form-action 'none'; \
style-src '{style_hash}'; script-src '{script_hash}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main><noscript>A script in this page draws it, and asks for no other file. Allow it to run.</noscript></main>
<script id="content" type="application/json">{content}</script>
<script>{script}</script>
</body>
</html>
"""


def refuse_to_replace(path):
    """Raise BadUsage where there is something else than a page under the name of the output, such as pairs."""
    files.refuse_unwritable(path, parquet=False)
    if files.is_remote(path) or not os.path.isfile(path):
        return
    with open(path, "rb") as stream:
        beginning = stream.read(len(_BEGINNING))
    if beginning not in (b"", _BEGINNING.encode()):
        raise BadUsage(f"{path}: there is a file of that name, which is no page. Name another output, such as "
                       f"report.html.")


def html_of(content):
    """The page as bytes. content: see mc2.report.content"""
    style, script = (package_data.text("report", name) for name in ("page.css", "page.js"))
    return _PAGE.format(title=html.escape(content["title"]), style=style, script=script, style_hash=_checksum(style),
                        script_hash=_checksum(script), content=_embedded(content)).encode()


def _embedded(content):
    text = orjson.dumps(content).decode()
    for character, escape in _ESCAPED.items():
        text = text.replace(character, escape)
    return text


def _checksum(text):
    """As a Content Security Policy has it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
