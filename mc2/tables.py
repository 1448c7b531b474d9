"""Plain text for people: tables and durations."""
import unicodedata

from mc2.invisible import escaped


def duration(seconds):
    """0.5 s, 12 s, 3 min 5 s, 2 h 10 min or 3 d 4 h"""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


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
