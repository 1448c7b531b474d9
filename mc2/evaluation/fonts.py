"""Fonts for the words of a plot. matplotlib's own has Latin, Greek and Cyrillic letters, and draws a box for others."""
import unicodedata
import warnings

from mc2.invisible import escaped

OWN = "DejaVu Sans"                 # comes with matplotlib
LONGEST = 48                        # characters of a label
SHAPES_SINCE = (3, 11)              # the version of matplotlib that joins letters and writes from right to left
# Blocks of Indic scripts, of Tibetan and Burmese, and of Khmer, whose letters change place and form
SHAPED = ((0x0900, 0x0DFF), (0x0F00, 0x109F), (0x1780, 0x17FF))


class Fonts:
    """Which installed fonts draw these texts, and how texts are written that none of them can draw.

    families: names of fonts, for matplotlib's `font.family`. missing: texts that are written with escapes instead, such
    as \\u4e2d
    """

    def __init__(self, texts):
        texts = {shortened(text) for text in texts}
        wanted = set(map(ord, "".join(texts)))
        self.families, undrawn = _fonts_for(wanted)
        self._undrawn = undrawn | {code for code in wanted if _is_shaped(chr(code)) and not _shapes()}
        self.missing = sorted(text for text in texts if self._undrawn & set(map(ord, text)))

    def __call__(self, text):
        """The text as it is drawn."""
        return "".join(_spelled_out(character) if ord(character) in self._undrawn else character
                       for character in shortened(text))


def shortened(text):
    """A text on one line, of bounded length, without characters that are not seen."""
    text = escaped(text)
    return text if len(text) <= LONGEST else text[:LONGEST - 3] + "..."


def _fonts_for(wanted):
    """([font family], the characters that none of them has). wanted: set of int"""
    from matplotlib.font_manager import fontManager
    plain = {font.name: font.fname for font in fontManager.ttflist
             if font.style == "normal" and font.weight in (400, "normal", "regular") and font.stretch == "normal"
             and "Last Resort" not in font.name}
    families, undrawn = [OWN], wanted - _characters(plain[OWN])
    for name in sorted(plain, key=lambda name: ("Sans" not in name, name)):
        if not undrawn:
            break
        if found := undrawn & _characters(plain[name]):
            families.append(name)
            undrawn -= found
    return families, undrawn


def _characters(path):
    """The set of int that a font file has; none where it cannot be read."""
    from matplotlib.ft2font import FT2Font
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return set(FT2Font(path).get_charmap())
    except (OSError, RuntimeError, ValueError):
        return set()


def _shapes():
    import matplotlib
    return tuple(matplotlib.__version_info__[:2]) >= SHAPES_SINCE


def _is_shaped(character):
    return unicodedata.bidirectional(character) in ("R", "AL", "AN") \
        or any(first <= ord(character) <= last for first, last in SHAPED)


def _spelled_out(character):
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
