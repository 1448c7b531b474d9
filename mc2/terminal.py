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


def show_json(value, pretty=False):
    """Print a JSON value to stdout: a line, or laid out over several; in UTF-8, whatever the locale.

    Half a pair of surrogates, as in a file name that is not UTF-8, is written as an escape; what is no number, as null.
    """
    import orjson
    try:
        data = orjson.dumps(value, option=orjson.OPT_INDENT_2 if pretty else None)
    except orjson.JSONEncodeError:
        import json
        value = json.loads(json.dumps(value), parse_constant=lambda _: None)
        data = json.dumps(value, ensure_ascii=False, **({"indent": 2} if pretty else {"separators": (",", ":")})) \
            .encode("utf-8", "backslashreplace")
    sys.stdout.flush()
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()


def show_row(*cells):
    """Print a line of cells to stdout, with tabs between them."""
    print(*map(escaped, cells), sep="\t")
