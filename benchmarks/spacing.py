"""What wide spacing finds that the published one does not: words of real texts, looked up in the texts that have them.

    python benchmarks/spacing.py [--all] [--by paragraph|file]

Takes five seconds. For every language of the Universal Declaration of Human Rights that is written with spaces, the entries
are all words that `ngrams` takes from it, and the texts are its paragraphs, or the whole of it as one text. The table has
the texts in which some of their words are found, the entries that are found in some text, and the share that is found
of the words in the texts. A word is missed where what ends it in the text ends words for `ngrams` only: guillemets,
apostrophes, an Ethiopic full stop ...

Expect 91 % for published (Amharic: nothing), and 100 % for wide, save where a text has other white space than spaces
inside (Mongolian in its own script: U+202F). `--all` prints all languages, not only those that gain most.
"""
import argparse
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import timing
from mc2 import engines
from mc2.metadata import compiled, matching, spacing
from mc2.metadata.spacing import PUBLISHED, SPACINGS
from mc2.metadata.words import END, Spaces, words_of

UDHR = Path(__file__).parents[2] / "shared/data/udhr"
# Written without spaces, so that `ngrams` has other words there.
WITHOUT_SPACES = ("bod", "dzo", "jpn", "khm", "lao", "mya", "tha", "cmn", "wuu", "yue", "nan", "gan", "hak", "hsn", "cjy")
SHOWN = 25
NAMES = {"amh": "Amharic", "mlt": "Maltese", "plt": "Malagasy", "san": "Sanskrit", "fra": "French"}


@dataclass
class Row:
    """A language, or several: numbers of texts and entries, and for each spacing of those of which something is found."""

    name: str
    texts: int
    entries: int
    present: int                        # words in texts, each counted once per text
    texts_with_a_match: dict            # {spacing: texts in which some of their words are found}
    alive: dict                         # {spacing: entries that are found in some text}
    found: dict                         # {spacing: of `present`}

    def cells(self):
        return [self.name, f"{self.texts:,}", *(f"{self.texts_with_a_match[kind]:,}" for kind in SPACINGS),
                f"{self.entries:,}", *(f"{self.alive[kind]:,}" for kind in SPACINGS),
                *(f"{self.found[kind] / self.present:.2%}" for kind in SPACINGS)]


def row_of(name, texts, directory):
    words = [set(words_of(text, Spaces())) - {END} for text in texts]
    entries = sorted(set().union(*words))
    id_of = {entry: number for number, entry in enumerate(entries)}
    row = Row(name, len(texts), len(entries), sum(map(len, words)), {}, {}, {})
    for kind in SPACINGS:
        offsets, ids = matcher_of(entries, kind, directory).match(texts)
        found = [{*ids[start:stop].tolist()} & {id_of[word] for word in of_text}
                 for start, stop, of_text in zip(offsets, offsets[1:], words)]
        row.texts_with_a_match[kind] = sum(map(bool, found))
        row.alive[kind] = len(set().union(*found))
        row.found[kind] = sum(map(len, found))
    return row


def matcher_of(entries, kind, directory):
    if not engines.native():
        return matching.Matcher(entries, kind)
    path = os.path.join(directory, "a.matcher")
    compiled.compile_matcher(entries, b"", path, kind)
    return engines.native().Matcher(path, spacing.punctuation_bitmap(kind))


def total(rows):
    numbers = [sum(getattr(row, name) for row in rows) for name in ("texts", "entries", "present")]
    by_spacing = [{kind: sum(getattr(row, name)[kind] for row in rows) for kind in SPACINGS}
                  for name in ("texts_with_a_match", "alive", "found")]
    return Row(f"all {len(rows)}", *numbers, *by_spacing)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="print every language")
    parser.add_argument("--by", choices=["paragraph", "file"], default="paragraph", help="what a text is")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for path in sorted(UDHR.glob("*.txt")):
            content = path.read_text("utf-8")
            texts = [content] if options.by == "file" else [line for line in content.splitlines() if line.strip()]
            if content.strip() and not path.stem.startswith(WITHOUT_SPACES):
                rows.append(row_of(NAMES.get(path.stem, path.stem), texts, directory))
    rows.sort(key=lambda row: row.found[PUBLISHED] / row.present)
    timing.show(f"Words of the UDHR found in its texts ({options.by}s): published spacing, and wide",
                ["language", "texts", "published", "wide", "entries", "published", "wide", "found: published", "wide"],
                [row.cells() for row in [total(rows), *(rows if options.all else rows[:SHOWN])]])


if __name__ == "__main__":
    main()
