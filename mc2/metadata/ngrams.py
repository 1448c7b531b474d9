"""Count words and pairs of words, of any amount of text in bounded memory.

A bigram is two words with nothing but spaces between them: punctuation, a symbol or a line break ends it. PMI =
log2(n(xy) N / (n(x) n(y))), N being the number of words of the texts.

The work is done in three stages, each in parallel processes, and each in parts that an interrupted run need not
do again:

    counting    ranges of the inputs -> sorted runs of words and of bigrams (mc2.metadata.spill)
    unigrams    runs of words, by ranges of words -> rows (word, count), sorted, and the vocabulary
    bigrams     runs of bigrams, by ranges of bigrams, with the vocabulary -> rows (bigram, PMI, count), sorted

Within a language whose words are joined without a space, two pairs can become one bigram (ab+c, a+bc). Each has its
row; `merge` takes the first row of an entry, which is the one with the higher PMI.
"""
import functools
import math
import os
import uuid
from collections import Counter
from typing import NamedTuple

from mc2 import files, manifests
from mc2.metadata import dumps, parts, plaintext, segmenters, spill, vocabulary, wikitext
from mc2.metadata.words import END, Spaces, words_of

LONGEST_ENTRY = 256                     # characters
TOO_LONG = f"longer than {LONGEST_ENTRY} characters"
BELOW = "below --min-count"
SPACES = Spaces()

# Bytes of memory
OPEN_RUN = 1 << 20
ROW = 400                               # of a bigram, with its sort key
OPEN_FILES = 500                        # at a time; a process may have 1,024

BLOCKS_PER_RANGE = 128                  # of runs: half a million rows, about a second of merging
MOST_RANGES = 256


def count_ngrams(texts, splitter=SPACES):
    """Count the words and bigrams of plain texts: (Counter of words, Counter of "first second")."""
    unigrams, bigrams = Counter(), Counter()
    for text in texts:
        add(words_of(text, splitter), unigrams, bigrams)
    return unigrams, bigrams


def add(tokens, unigrams, bigrams):
    """Add the words and bigrams of a text, split into tokens, to Counters. Returns the number of its words."""
    unigrams.update(tokens)
    pairs = map(" ".join, zip(tokens, tokens[1:]))
    bigrams.update([pair for pair in pairs if END not in pair])
    return len(tokens) - unigrams.pop(END, 0)


def unigram_rows(unigrams):
    """Rows (word, count), the most frequent first, words of equal count in the order of code points."""
    return sorted((row for row in unigrams.items() if len(row[0]) <= LONGEST_ENTRY), key=by_count)


def by_count(row):
    return -row[1], row[0]


def by_pmi(row):
    """The highest PMI comes first as it is written, then the highest count, then the order of code points."""
    return -float(row[1]), -row[2], row[0]


def pmi_of(count, total, first, second):
    """The PMI of a bigram with 6 decimals, as text. first, second: the counts of its words; total: all words."""
    pmi = math.log2(count * total / (first * second))
    return f"{round(pmi, 6) + 0.0:.6f}"     # + 0.0: never -0.000000


# ---------------------------------------------------------------- the whole

class Part(NamedTuple):
    """A range of bytes of an input."""

    path: str
    start: int
    stop: int                           # None: to the end


class Ngrams(NamedTuple):
    """The counts. The rows can be read once."""

    segmenter: dict                     # its description
    unigrams: object                    # iterator of (word, count), in order
    bigrams: object                     # iterator of (bigram, PMI with 6 decimals as text, count), in order
    read: Counter                       # pages and those left out, by reason (or lines), and words
    unigrams_left_out: Counter          # by reason
    bigrams_left_out: Counter
    parts: int
    finished: int                       # parts of them that an earlier run had finished


def parts_of(paths, is_text=False, wiki=None):
    """The parts in which these inputs are counted. Raises BadData where a file is, by its beginning, no dump of this
    Wikipedia (or, is_text: no plain text)."""
    for path in paths:
        plaintext.refuse_wrong(path) if is_text else dumps.refuse_wrong(path, wiki)
    ranges = plaintext.ranges if is_text else dumps.ranges
    return [Part(path, *bounds) for path in paths for bounds in ranges(path)]


def count(inputs, wiki, choice, directory, *, is_text=False, min_count=5, jobs=1, memory=1 << 30,
          progress=lambda results, total, what: results):
    """Count the Parts `inputs`, with intermediate files in `directory`. Returns Ngrams.

    wiki, choice: Wikipedia code, and segmenter (see segmenters.splitter_for).
    A pipe can only be read by this process, so with one, it does all the counting.
    memory: bytes, of all processes together. progress: function of an iterable of results, of
    how many there will be, and of what is done, that gives them and shows how far it is.
    """
    directory = os.path.realpath(directory)         # parts name their files, for a run from anywhere

    def do(work, items, name, jobs=jobs):
        return parts.do_parts(work, items, os.path.join(directory, name), jobs, functools.partial(progress, what=name))

    share = parts.memory_per_worker(memory, jobs)
    readers = min(jobs, len(inputs)) if all(os.path.isfile(part.path) for part in inputs) else 1
    counting = Counting(wiki, choice, is_text, parts.memory_per_worker(memory, readers))
    counting.options = {**counting.options, "directory": directory}     # moved elsewhere, its parts are done anew
    counted, finished = do(counting, inputs, "counting", readers)
    read = _total(counted, "read")

    runs = _few([path for result in counted for path in result["words"]], "reducing-words", do, share)
    unigrams, _ = do(_Unigrams(runs, min_count, share), _key_ranges(runs), "unigrams")
    pieces = [result["vocabulary"] for result in unigrams]

    runs = _few([path for result in counted for path in result["bigrams"]], "reducing-bigrams", do, share)
    bigrams, _ = do(_Bigrams(runs, min_count, share, read["words"], pieces, counting.splitter.joint),
                    _key_ranges(runs), "bigrams")
    fan_in = min(OPEN_FILES, max(8, parts.memory_per_worker(memory, 1) // (spill.SORTED_ROWS * ROW)))
    return Ngrams(counting.splitter.description, _sorted_rows(unigrams, by_count, directory, "unigrams", fan_in),
                  _sorted_rows(bigrams, by_pmi, directory, "bigrams", fan_in),
                  read, _total(unigrams, "left_out"), _total(bigrams, "left_out"), len(inputs), finished)


def _few(runs, name, do, share):
    """As many runs as can be merged at a time, with the same counts in all."""
    fan_in = _fan_in(share)
    while len(runs) > fan_in:
        runs, _ = do(_Reducing(), [runs[first:first + fan_in] for first in range(0, len(runs), fan_in)],
                     name := f"{name}+")
    return runs


def _fan_in(share):
    return min(OPEN_FILES, max(8, share // 4 // OPEN_RUN))


def _key_ranges(paths):
    runs = [spill.Run(path) for path in paths]
    blocks = sum(len(run.first_keys) for run in runs)
    return spill.ranges(runs, min(MOST_RANGES, blocks // BLOCKS_PER_RANGE + 1))


def _sorted_rows(results, key, directory, name, fan_in):
    paths = [path for result in results for path in result["rows"]]
    return spill.merge_sorted(spill.reduce_sorted(paths, key, directory, name, fan_in), key)


def _total(results, key):
    total = Counter()
    for result in results:
        total.update(result[key])
    return total


# ---------------------------------------------------------------- the stages

class Counting(parts.Work):
    """Counts the words and bigrams of a Part."""

    def __init__(self, wiki, choice, is_text, memory):
        self.wiki, self.choice, self.is_text, self.memory = wiki, choice, is_text, memory
        self.options = {"segmenter": self.splitter.description, "text": is_text}
        self.pipe = {"pipe": uuid.uuid4().hex}          # two pipes never have the same content

    @functools.cached_property
    def splitter(self):
        return segmenters.splitter_for(self.wiki, self.choice)

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name != "splitter"}

    def describe(self, part):
        made = manifests.describe_file(part.path)
        made["name"] = files.printable(os.path.realpath(part.path))
        return {**(made if "bytes" in made else self.pipe), "start": part.start, "stop": part.stop}

    def texts(self, part, tally):
        if self.is_text:
            yield from plaintext.read_texts(*part, tally)
        else:
            for page in dumps.read_pages(*part, tally, self.wiki):
                yield wikitext.clean(page.text, page.hidden_namespaces)

    def count(self, part, directory, name):
        words = spill.Tally(directory, f"{name}.words", self.memory // 4)
        bigrams = spill.Tally(directory, f"{name}.bigrams", self.memory - self.memory // 4)
        tally = Counter(dict.fromkeys(["lines"] if self.is_text else dumps.KINDS, 0), words=0)
        for text in self.texts(part, tally):
            tally["words"] += add(words_of(text, self.splitter), words.counts, bigrams.counts)
            words.spill_if_large()
            bigrams.spill_if_large()
        return {"read": tally, "words": words.finish(), "bigrams": bigrams.finish()}


class _Reducing(parts.Work):
    """Merges a list of runs into one."""

    def describe(self, paths):
        return paths

    def count(self, paths, directory, name):
        target = os.path.join(directory, f"{name}.run")
        spill.write_run(target, spill.merge([spill.Run(path) for path in paths]))
        return target


class _Merging(parts.Work):
    """Merges runs within a range of keys, and sorts the rows that it makes of them."""

    key = None

    def __init__(self, paths, min_count, memory):
        self.paths, self.min_count, self.memory = paths, min_count, memory
        self.options = {"runs": paths, "min_count": min_count}

    def describe(self, part):
        return part

    def merged(self, part):
        return spill.merge([spill.Run(path) for path in self.paths], *part)

    def rows(self, part, left_out):
        raise NotImplementedError

    def count(self, part, directory, name):
        left_out = Counter()
        chunk_rows = max(64, self.memory // 4 // ROW)
        paths = spill.sort_in_chunks(self.rows(part, left_out), type(self).key, chunk_rows, directory, name)
        return {"rows": paths, "left_out": left_out}


class _Unigrams(_Merging):
    key = staticmethod(by_count)

    def rows(self, part, left_out):
        for word, count in self.merged(part):
            if len(word) <= LONGEST_ENTRY:
                yield word, count
            else:
                left_out[TOO_LONG] += 1

    def count(self, part, directory, name):
        path = os.path.join(directory, name)
        frequent = ((word, count) for word, count in self.merged(part) if count >= self.min_count)
        vocabulary.write(path, frequent)        # a bigram is never more frequent than its words
        return {**super().count(part, directory, name), "vocabulary": path}


class _Bigrams(_Merging):
    key = staticmethod(by_pmi)

    def __init__(self, paths, min_count, memory, total, pieces, joint):
        super().__init__(paths, min_count, memory)
        self.total, self.pieces, self.joint = total, pieces, joint
        self.options |= {"total": total, "vocabulary": pieces, "joint": joint}

    @functools.cached_property
    def counts(self):
        return vocabulary.Vocabulary(self.pieces, self.memory // 2)

    def rows(self, part, left_out):
        for pair, count in self.merged(part):
            if count < self.min_count:
                left_out[BELOW] += 1
                continue
            first, second = pair.split(" ")
            bigram = first + self.joint + second
            if len(bigram) > LONGEST_ENTRY:
                left_out[TOO_LONG] += 1
            else:
                yield bigram, pmi_of(count, self.total, self.counts[first], self.counts[second]), count
