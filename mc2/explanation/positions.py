"""Where in a text the entries stand that it matches."""
from mc2.metadata.normal_form import normalized_with_origins
from mc2.metadata.spacing import space_entry, space_text_with_origins


class Text:
    """A text in which entries of a release are looked up, as its spacing and normal form have it."""

    def __init__(self, text, spacing, nfc):
        self.spacing = spacing
        form, self._origins = normalized_with_origins(text) if nfc else (text, None)
        self._spaced, self._from = space_text_with_origins(form, spacing)

    def positions(self, entry):
        """[(start, stop)] of all places where the entry is in the text, in characters (code points) of the text;
        places may overlap. [] where it does not match."""
        spaced = space_entry(entry, self.spacing)
        core = spaced.strip(" ") or spaced              # the spaces around it are no part of it
        before, found = spaced.index(core), []
        start = self._spaced.find(spaced)
        while start >= 0:
            first, last = self._from[start + before], self._from[start + before + len(core) - 1]
            found.append((self._part(first)[0], self._part(last)[1]))
            start = self._spaced.find(spaced, start + 1)
        return found

    def _part(self, index):
        return (index, index + 1) if self._origins is None else self._origins[index]


def rows_of_marks(spans):
    """Spans as a list of lists in which none overlaps another, for texts in which they are marked: the longest ones
    first, so that `red circle` comes before `red` and `circle`. spans: iterable of (start, stop)"""
    rows = []
    for start, stop in sorted(set(spans), key=lambda span: (span[0] - span[1], span)):
        row = next((row for row in rows if all(stop <= other[0] or start >= other[1] for other in row)), None)
        if row is None:
            rows.append(row := [])
        row.append((start, stop))
    return [sorted(row) for row in rows]


def marked(text, row, left="[", right="]"):
    """The text with marks around each span of a row of rows_of_marks."""
    pieces, end = [], 0
    for start, stop in row:
        pieces += [text[end:start], left, text[start:stop], right]
        end = stop
    return "".join([*pieces, text[end:]])
