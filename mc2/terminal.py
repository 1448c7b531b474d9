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


def show_row(*cells):
    """Print a line of cells to stdout, with tabs between them."""
    print(*map(escaped, cells), sep="\t")
