"""Plain text tables for people."""
import unicodedata

from mc2.invisible import escaped


def align(rows, right=None):
    """Rows of cells (str) as a list of lines, with two spaces between columns.

    right: the numbers of the columns that are flush right; by default all but the first. What cannot be seen is
    escaped.
    """
    rows = [list(map(escaped, row)) for row in rows]
    widths = [max(map(_width, column)) for column in zip(*rows)]
    right = range(1, len(widths)) if right is None else right
    return ["  ".join(_padded(cell, width, number in right)
                      for number, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def _padded(cell, width, is_right):
    spaces = " " * (width - _width(cell))
    return spaces + cell if is_right else cell + spaces


def _width(cell):
    """Columns on a terminal: Chinese and the like take two, combining marks none."""
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
               for char in cell)
