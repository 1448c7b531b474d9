"""Words of languages without spaces: mc2's splitters beside plain use of the library behind each.

    python benchmarks/segment.py [UDHR] [--quick]

UDHR is a directory with the Universal Declaration of Human Rights, {ISO 639-3 code}.txt in each of its languages.
Costs half a minute; a third of that with --quick.

Plain use is a loop over lines in the way each library's documentation shows. Its words are others, since mc2 keeps
the rules of mc2.metadata.segmenters on top; both numbers are shown. In million characters a second on one core expect
ICU at 2.5 to 6, rjieba at 6, MeCab at 2.5, laonlp at 1.3 (plain use: 0.6), and pythainlp, which is pure Python, at 0.8.
"""
import argparse
import os
import re
import sys
from pathlib import Path

import timing
from mc2.metadata import segmenters
from mc2.metadata.words import END

UDHR = Path(__file__).parents[1].parent / "shared" / "data" / "udhr"
TEXTS = {"bo": "bod", "ja": "jpn", "km": "khm", "lo": "lao", "my": "mya", "th": "tha", "zh": "cmn_hans",
         "zh_yue": "cmn_hant"}
PLAIN, MC2 = "plain", "mc2"


# ---------------------------------------------------------------- plain use: functions of a line

def tsheg():
    return re.compile("[\\s\u0f0b-\u0f12]+").split


def rjieba():
    import rjieba
    return rjieba.cut


def fugashi():
    import fugashi
    import ipadic
    tagger = fugashi.GenericTagger(ipadic.MECAB_ARGS)
    return lambda line: [word.surface for word in tagger(line)]


def laonlp():
    from laonlp.tokenize import word_tokenize
    return word_tokenize


def pythainlp():
    from pythainlp.tokenize import word_tokenize
    return word_tokenize


def icu():
    import icu
    breaks = icu.BreakIterator.createWordInstance(icu.Locale.getRoot())

    def words(line):
        breaks.setText(line)
        ends = [0, *breaks]
        return [line[start:end] for start, end in zip(ends, ends[1:])]
    return words


LIBRARIES = {"tsheg": tsheg, "rjieba": rjieba, "fugashi": fugashi, "laonlp": laonlp, "pythainlp": pythainlp,
             "icu": icu}


# ---------------------------------------------------------------- the table

def rows_of(wiki, kind, text, repeats):
    """The rows of a segmenter on a text."""
    lines = text.splitlines()
    splitter, plain = kind(wiki), LIBRARIES[kind.name]()
    calls = {PLAIN: lambda: [plain(line) for line in lines], MC2: lambda: splitter.tokens(text)}
    n_words = {PLAIN: sum(map(len, calls[PLAIN]())), MC2: sum(token != END for token in calls[MC2]())}
    seconds = timing.interleaved(calls, repeats)
    return [[f"{wiki} {kind.name}, {name}", f"{n_words[name]:,}",
             *timing.speed_cells(seconds[name], seconds[PLAIN], len(text))] for name in calls]


def text_of(path, n_characters):
    """The text, over and over, without indentation and empty lines."""
    lines = [" ".join(line.split()) for line in path.read_text(encoding="utf-8").splitlines()]
    text = "\n".join(filter(None, lines)) + "\n"
    return text * (n_characters // len(text) + 1)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("udhr", nargs="?", type=Path, default=UDHR, metavar="UDHR", help=f"default: {UDHR}")
    parser.add_argument("--quick", action="store_true", help="shorter texts and fewer rounds")
    parser.add_argument("--repeats", type=int, metavar="N", help="rounds; default 7, 3 with --quick")
    return parser.parse_args()


def main():
    options = arguments()
    if not options.udhr.is_dir():
        sys.exit(f"{options.udhr}: no such directory. Name one with the texts.")
    os.environ.setdefault("PYTHAINLP_READ_ONLY", "1")           # plain use would make a directory in the home
    repeats = options.repeats or (3 if options.quick else 7)
    rows = []
    for wiki, name in TEXTS.items():
        text = text_of(options.udhr / f"{name}.txt", 50_000 if options.quick else 300_000)
        for kind in segmenters.segmenters_of(wiki):
            if kind.is_installed():
                rows += rows_of(wiki, kind, text, repeats)
            else:
                rows.append([f"{wiki} {kind.name}: not installed", "", "", "", ""])
    print(timing.machine(repeats))
    timing.show("Words of languages without spaces", ["", "words", "characters/s", "spread", "ratio"], rows)


if __name__ == "__main__":
    main()
