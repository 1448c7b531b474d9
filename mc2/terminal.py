"""What people see: messages on stderr, and tables on stdout.

File names, ids, texts and entries come from anywhere, and a terminal carries out what some characters say: they move
the cursor, hide what was written, change the order of letters, or set the title. So all that cannot be seen is spelled
out here, line breaks too; a message is one line. Data on stdout are written as they are, elsewhere.
"""
import sys

from mc2.invisible import escaped


def say(*lines):
    """Print lines to stderr."""
    for line in lines:
        print(escaped(line), file=sys.stderr, flush=True)


def say_trace(text):
    """Print a text of several lines, such as a traceback, to stderr."""
    say(*text.rstrip("\n").split("\n"))


def show(*lines):
    """Print lines to stdout."""
    print(*map(escaped, lines), sep="\n", flush=True)


def json_of(value, pretty=False):
    """A JSON value as people see it, in UTF-8 (bytes, with a line break): a line, or laid out over several.

    Half a pair of surrogates, as in a file name that is not UTF-8, is written as an escape; what is no number, as null.
    """
    import orjson
    try:
        return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if pretty else 0))
    except orjson.JSONEncodeError:
        import json
        value = json.loads(json.dumps(value), parse_constant=lambda _: None)
        text = json.dumps(value, ensure_ascii=False, **({"indent": 2} if pretty else {"separators": (",", ":")}))
        return text.encode("utf-8", "backslashreplace") + b"\n"


def show_json(value, pretty=False):
    """Print a JSON value to stdout, whatever the locale; see json_of."""
    sys.stdout.flush()
    sys.stdout.buffer.write(json_of(value, pretty))
    sys.stdout.buffer.flush()


def show_row(*cells):
    """Print a line of cells to stdout, with tabs between them."""
    print(*map(escaped, cells), sep="\t")
