"""Show characters that cannot be seen."""
import re
import unicodedata

# Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt), but for U+200B, which parts words, the joiners,
# and the separators and variation selectors of Mongolian (U+180B to U+180F), which are part of its spelling.
IGNORED = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
                     "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8]")
HIGH_IGNORED = re.compile("[\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]")

# Controls, format characters, lone surrogates, separators of lines and paragraphs, and all spaces but U+0020
_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")


def is_ignored(character):
    """Whether the character is one that Unicode tells programs to show as nothing, a joiner aside."""
    return bool(IGNORED.match(character) or HIGH_IGNORED.match(character))


def escaped(text):
    """The text with each character that is shown as nothing, moves others, or looks like a space spelled out, such as
    \\\\u200e or \\\\U000e0100."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def escaped_lines(text):
    """A text of several lines, such as a traceback, in which the lines stay as they are."""
    return "\n".join(map(escaped, text.split("\n")))


def _escaped(character):
    if character == " " or unicodedata.category(character) not in _CATEGORIES and not is_ignored(character):
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
