"""Plain text tables for people."""
import unicodedata


def align(rows):
    """Rows of cells as lines: the first column flush left, the others flush right."""
    widths = [max(map(_width, column)) for column in zip(*rows)]
    return ["  ".join([_pad(row[0], widths[0]), *(" " * (width - _width(cell)) + cell
                                                  for cell, width in zip(row[1:], widths[1:]))]).rstrip()
            for row in rows]


def _pad(cell, width):
    return cell + " " * (width - _width(cell))


def _width(cell):
    """Columns on a terminal: Chinese and the like take two, combining marks none."""
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
               for char in cell)
