"""Say what is odd about the entries of a language, so that a person can judge a release before texts are matched.

    cannot_match      entries that no text at all can hold, by reason
    repeats           entries that a source had, but an earlier source too
    longest           the longest entries
    vowel_points      lemmas with vowel points, which can hardly match (points.py); left out where there are none
    pure_numbers      entries of digits with punctuation or spaces at most, beside the numbers 0 to 99
    scripts           {script: its share of the letters}, the language's own scripts
    foreign_scripts   entries with a letter of another script, by script

A script is a language's own when it carries at least 5 % of the letters of its entries. In `other`, a mixture of
languages, no script is foreign.

Python does not know the Unicode property Script. But the names of letters (categories Lu, Ll, Lt and Lo) begin with
their script, save for a few dozen signs that are letters by category alone.
"""
import functools
import heapq
import re
import unicodedata
from collections import Counter

import numpy as np

from mc2.metadata.languages import OTHER
from mc2.metadata.points import has_points
from mc2.metadata.spacing import WIDE, why_never

EXAMPLES = 3                # of everything that is counted
LONGEST_EXAMPLE = 80        # characters
OWN_SHARE = 0.05            # of the letters

LETTERS = {"Lu", "Ll", "Lt", "Lo"}
_WIDTHS = {"FULLWIDTH", "HALFWIDTH"}
_TWO_WORDS = {"NEW", "OLD", "TAI"}                      # New Tai Lue, Old Italic, Tai Le ...
_SAME = {"CJK": "HAN", "HENTAIGANA": "HIRAGANA"}
_SIGNS = set("""ALEF ANGSTROM BET BLACK-LETTER DALET DOUBLE-STRUCK EULER FEMININE GIMEL IDEOGRAPHIC INFORMATION KELVIN
                MASCULINE MASU MATHEMATICAL MICRO OHM PLANCK ROMAN SCRIPT TURNED VEDIC""".split())


def never(rows, spacing):
    """{reason: rows} of the entries that no text can hold. rows: list of merge.Row, the entry id being the index."""
    found = {}
    for row in rows if spacing != WIDE else ():             # under which each entry can match
        if not row.entry.isalnum() and (reason := why_never(row.entry, spacing)):
            found.setdefault(reason, []).append(row)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def total(never):
    """How many entries can never match."""
    return sum(map(len, never.values()))


def report(lang, rows, never, repeats):
    """The report on a language, as above, as a JSON value.

    repeats: Counter of entries by (name of their source, name of the earlier source that has them).
    """
    entries = [row.entry for row in rows if row.source != "number"]
    characters = _characters("".join(entries))
    own, foreign = _scripts(characters)
    pointed = [row.entry for row in rows if row.source == "wordnet" and has_points(row.entry)]
    return {
        "cannot_match": {
            "entries": total(never), "share": round(total(never) / len(rows), 6),
            "sources": dict(Counter(row.source for group in never.values() for row in group)),
            "reasons": {reason: _counted([row.entry for row in group]) for reason, group in never.items()}},
        "repeats": _nested(repeats),
        "longest": [{"characters": len(entry), "entry": _shortened(entry)}
                    for entry in heapq.nlargest(EXAMPLES, entries, key=len)],
        **({"vowel_points": _counted(pointed)} if pointed else {}),
        "pure_numbers": _counted(_pure_numbers(entries, characters)),
        "scripts": own,
        "foreign_scripts": {} if lang == OTHER else _in_foreign_scripts(entries, foreign)}


def _characters(text):
    """{character: how often it is in the text}"""
    times = np.bincount(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32))
    return {chr(code): int(times[code]) for code in np.flatnonzero(times).tolist()}


def _counted(entries):
    return {"entries": len(entries), "examples": [_shortened(entry) for entry in entries[:EXAMPLES]]}


def _shortened(entry):
    return entry if len(entry) <= LONGEST_EXAMPLE else entry[:LONGEST_EXAMPLE - 1] + "…"


def _nested(repeats):
    """{source: {earlier source: entries}}, most first."""
    nested = {}
    for (source, earlier), count in sorted(repeats.items(), key=lambda item: (-item[1], item[0])):
        nested.setdefault(source, {})[earlier] = count
    return nested


def _pure_numbers(entries, characters):
    digits = [char for char in characters if unicodedata.category(char) == "Nd"]
    others = [char for char in characters if unicodedata.category(char)[0] in "PZ"]
    if not digits:
        return []
    pattern = re.compile(f"{_any_of(others)}*{_any_of(digits)}{_any_of(digits + others)}*")
    return [entry for entry in entries if pattern.fullmatch(entry)]


def _any_of(characters):
    """A regular expression for one of these characters."""
    return f"[{re.escape(''.join(characters))}]" if characters else "(?!)"


# ---------------------------------------------------------------- scripts

@functools.lru_cache(1 << 16)
def script(char):
    """The script of a letter as its Unicode name spells it, e.g. LATIN, HAN; None for characters of no script."""
    if unicodedata.category(char) not in LETTERS:
        return None
    words = unicodedata.name(char, "").split()
    if words and words[0] in _WIDTHS:
        words = words[1:]
    if not words or words[0] in _SIGNS:
        return None
    return " ".join(words[:2]) if words[0] in _TWO_WORDS else _SAME.get(words[0], words[0])


def _scripts(characters):
    """({own script: its share of the letters}, {letter: foreign script}) of a language.

    characters: {character: how often it is in the entries}
    """
    letters = Counter()
    for char, count in characters.items():
        letters[script(char)] += count
    del letters[None]
    n = letters.total()
    own = {name: round(count / n, 4) for name, count in sorted(letters.items(), key=lambda item: (-item[1], item[0]))
           if count >= OWN_SHARE * n}
    return own, {char: script(char) for char in characters if script(char) not in own and script(char)}


def _in_foreign_scripts(entries, foreign):
    """{script: its entries, counted}, most first."""
    found, pattern = {}, re.compile(_any_of(foreign))
    for entry in entries if foreign else ():
        if pattern.search(entry):
            for name in {foreign[char] for char in entry if char in foreign}:
                found.setdefault(name, []).append(entry)
    return {name: _counted(group) for name, group in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))}
