"""Show characters that cannot be seen."""
import unicodedata

from mc2.metadata.words import is_ignored

# Controls, format characters, lone surrogates, separators of lines and paragraphs, and all spaces but U+0020
_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")


def escaped(text):
    """The text with each character that is shown as nothing, moves others, or looks like a space spelled out, such as
    \\\\u200e or \\\\U000e0100."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character):
    if character == " " or unicodedata.category(character) not in _CATEGORIES and not is_ignored(character):
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
