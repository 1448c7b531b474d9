"""Texts of about 60 bytes and entries for the benchmarks, the same in every run.

The data are real where ../shared/data lies beside the checkout: English from a shortened Wikipedia dump, cleaned
by mc2.metadata; European, Chinese and Japanese from wordnets and the Universal Declaration of Human Rights, whose
few words are varied with lemmas. Without them, words are made of syllables and drawn by Zipf's law.

Real words are too few for the larger dictionaries, so more are made of halves of real ones, and more
phrases of two words; the frequent words are drawn more often (the probability of rank r goes as 1 / r).
"""
import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from mc2.metadata import dumps, ngrams, wikitext, wordnet

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
BYTES = 60                      # of a text
SHARE_OF_WORDS = 0.7            # of the entries; the others are phrases of two words

EUROPEAN = "als bul cat dan ell eus fra glg hrv isl ita lit nld nno nob pol por slk slv swe".split()
UDHR_NAME = {"ell": "ell_monotonic", "por": "por_PT"}       # the others as the wordnets


@dataclass
class Corpus:
    """Words and phrases, the frequent ones first, and texts of one kind of language."""

    name: str
    origin: str
    words: list
    phrases: list
    pieces: list                # texts
    between: str                # what stands between words: " " or ""

    def entries(self, count):
        """So many different entries, words and phrases mixed."""
        rng = np.random.default_rng(1)
        n_words = round(SHARE_OF_WORDS * count)
        words = _first_different(itertools.chain(self.words, made_words(self.words, rng)), n_words)
        phrases = itertools.chain(self.phrases, made_phrases(words, rng, self.between))
        entries = _first_different(itertools.chain(words, phrases), count)
        return [entries[index] for index in rng.permutation(count)]

    def texts(self, count):
        return list(itertools.islice(itertools.cycle(self.pieces), count))


def _first_different(candidates, count):
    """The first so many different ones."""
    found = {}
    for candidate in candidates:
        found[candidate] = None
        if len(found) == count:
            break
    return list(found)


def draw(words, rng, batch=65536):
    """Words without end, drawn by Zipf's law."""
    while True:
        for index in (len(words) ** rng.random(batch)).astype(np.int64).tolist():
            yield words[index - 1]


def made_words(words, rng):
    """Words without end: half of a frequent one, half of any."""
    words = [word for word in words if " " not in word]
    seconds = [word[len(word) // 2:] for word in words]
    for first in draw(words, rng, 8192):
        yield first[:(len(first) + 1) // 2] + seconds[int(rng.random() * len(seconds))]


def made_phrases(words, rng, between):
    first, second = draw(words, rng), draw(words, rng)
    return map(between.join, zip(first, second))


# ---------------------------------------------------------------- the corpora

def english():
    name = "English"
    path = next(iter(sorted(DATA.glob("wikipedia/enwiki-latest*.bz2"))), None)
    if path is None:
        return made(name, "bcdfghklmnprstvw", "aeiou", " ")
    texts = [wikitext.clean(page.text, page.hidden_namespaces) for page in dumps.read_pages(path)]
    unigrams, bigrams = ngrams.count_ngrams(texts)
    lines = [line for text in texts for line in text.split("\n")]
    return Corpus(name, "Wikipedia", _ranked(unigrams), _ranked(bigrams), _shuffled(_pieces(lines, " ")), " ")


def european():
    name = "European, 20 languages"
    if not _has("wordnet", "udhr"):
        return made(name, "bdfgklmnprstvzčšžłđþбдклмнпрстθλνρσ", "aeiouéèöüåæаеиοαε", " ")
    lines = _udhr(UDHR_NAME.get(code, code) for code in EUROPEAN)
    unigrams, bigrams = ngrams.count_ngrams(lines)
    lemmas = _shuffled(sorted({lemma for code in EUROPEAN for lemma in _lemmas(code)}))
    pieces = _salted(_pieces(lines, " "), lemmas, " ")
    return Corpus(name, "UDHR, wordnets", _merged(_ranked(unigrams), lemmas), _ranked(bigrams), pieces, " ")


def chinese_japanese():
    name = "Chinese and Japanese"
    if not _has("wordnet", "udhr"):
        return made(name, "".join(map(chr, range(0x4e00, 0x5600))), "のをはがー的一是不了", "")
    lines = _udhr(["cmn_hans", "cmn_hant", "jpn"])
    # Runs of one to four characters, seen three times, stand for the words that a segmenter would give.
    runs = Counter(line[start:start + length] for line in lines for length in (1, 2, 3, 4)
                   for start in range(len(line) - length + 1) if line[start:start + length].isalpha())
    runs = Counter({run: count for run, count in runs.items() if count >= 3})
    lemmas = _shuffled(_lemmas("cmn"))
    pieces = _salted(_pieces(lines, ""), lemmas, "")
    return Corpus(name, "UDHR, wordnet", _merged(_ranked(runs), lemmas), [], pieces, "")


def worldwide():
    """Texts in all languages that there are; words of the European ones."""
    paths = sorted(DATA.glob("udhr/*.txt"))
    if not paths:
        return made("worldwide", "bdfgklmnprstvzčšžбдклмнпрстθλνρσבדהกขค一不了人", "aeiouéöаеиοαεะา", " ")
    pieces = _shuffled(_pieces(_udhr([path.stem for path in paths]), " "))
    return Corpus(f"worldwide, {len(paths)} languages", "UDHR", [], [], pieces, " ")


ALL = {"english": english, "european": european, "chinese-japanese": chinese_japanese}


def made(name, consonants, vowels, between):
    """A corpus without data: words of one to four syllables."""
    rng = np.random.default_rng(2)
    letters = [rng.choice(list(kind), (60_000, 4)) for kind in (consonants, vowels)]
    syllables = np.char.add(*letters).tolist() if between else letters[0].tolist()
    words = list(dict.fromkeys("".join(row[:length]) for row, length in zip(syllables, rng.integers(1, 5, 60_000))))
    words.sort(key=len)                     # frequent words are short
    drawn = draw(words, rng)
    pieces = [_cut(between.join(itertools.islice(drawn, 30)) + ("." if number % 3 else ""), between)
              for number in range(20_000)]
    return Corpus(name, "generated", words, [], pieces, between)


# ---------------------------------------------------------------- from files to texts

def _has(*directories):
    return all(any(DATA.glob(f"{directory}/*")) for directory in directories)


def _lemmas(code):
    path = DATA / "wordnet" / f"wn-data-{code}.tab.gz"
    return wordnet.read(str(path))[1]


def _udhr(names):
    return [line for name in names for line in (DATA / "udhr" / f"{name}.txt").read_text("utf-8").split("\n")
            if len(line) > 20]


def _ranked(counter):
    return [word for word, _ in ngrams.unigram_rows(counter)]


def _merged(frequent, rare):
    return list(dict.fromkeys(itertools.chain(frequent, rare)))


def _shuffled(items):
    rng = np.random.default_rng(3)
    return [items[index] for index in rng.permutation(len(items))]


def _pieces(lines, between):
    """The lines, cut into texts: as many words, or characters where there is nothing between, as fit."""
    pieces = []
    for line in lines:
        while len(line.encode()) >= BYTES // 2:
            piece = _cut(line, between)
            pieces.append(piece.strip())
            line = line[len(piece):].lstrip()
    return pieces


def _cut(line, between):
    """The beginning of a line, of about BYTES bytes: to the next end of a word."""
    start = len(line.encode()[:BYTES].decode("utf-8", "ignore"))
    end = line.find(between, start) if between else start
    return line if end < 0 else line[:end]


def _salted(pieces, words, between, count=20_000):
    """Variations of pieces: some words or characters give way to drawn words."""
    rng = np.random.default_rng(4)
    drawn, texts = draw(words, rng), []
    for index in rng.integers(0, len(pieces), count).tolist():
        parts = pieces[index].split(between) if between else list(pieces[index])
        step = 3 if between else 8
        parts[index % step::step] = itertools.islice(drawn, len(parts[index % step::step]))
        texts.append(_cut(between.join(parts), between))
    return texts


# ---------------------------------------------------------------- from texts to pairs

def pairs(texts, **more):
    """Pairs with these texts, as lines of JSON."""
    return [orjson.dumps({"id": f"{number:024x}", "url": f"https://example.org/images/{number}.jpg", "text": text,
                          **more}) + b"\n" for number, text in enumerate(texts)]
