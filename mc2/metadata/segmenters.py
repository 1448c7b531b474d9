"""Tell the words of a text apart, in languages that write none or few spaces between words.

The characters between punctuation, symbols (Unicode categories P and S) and white space are a run, and a
segmenter cuts runs into words:

    tsheg       bo dz                   syllables, at the tsheg (U+0F0B) between them; needs no package
    rjieba      zh zh_classical zh_yue  jieba's dictionary, its hidden Markov model for the rest
    fugashi     ja ryu                  MeCab with IPADIC
    laonlp      lo                      fewest words of LaoNLP's lists
    pythainlp   th                      newmm of PyThaiNLP
    thai-segmenter  th                  longest words of LEXiTRON, as in the paper
    icu         all but bo and dz       dictionaries of ICU

`splitter_for` takes the first of these that does a language and is installed, or the one that is asked for.

The same for all of them:
- The words of a run, put together, are the run: nothing is changed, nothing lost.
- White space ends a bigram, as punctuation does. A bigram is written without a space, so where texts have one
  between two words, the bigram could not match.
- U+200B, an invisible character that some writers put between words, is taken out and separates words. It does not
  end a bigram, since the same words are also written without it; in Tibetan and Dzongkha it does, as no tsheg is there.
- No segmenter cuts between two characters of other scripts: `iPhone15`, `1990`, `Привет` stay one word each, as in
  `Spaces`. A dictionary may join them with their neighbours: `T恤`.
- No word begins with a combining mark or a format character, unless a run does. (Combining marks of scripts beyond
  U+FFFF count as characters of other scripts.)
- A run of more than 1,000 characters is cut after each 1,000 characters for fugashi, laonlp and the two of Thai. MeCab
  crashes when its runs are a hundred times as long, and newmm takes ever longer for each character.
"""
import contextlib
import functools
import importlib
import os
import re
import unicodedata
from importlib import metadata, util

from mc2 import extras
from mc2.errors import BadUsage
from mc2.metadata import languages
from mc2.metadata.words import END_CHARACTERS, UNICODE, ZERO_WIDTH_SPACE, Spaces, characters_that, replace_high_ends

INSTALL_ICU = (f"{extras.how_to_install('segment')} (PyICU needs libicu-dev and a compiler, "
               "Debian: apt-get install g++ libicu-dev pkg-config)")
INSTALL_ALL = extras.how_to_install("segment-all")

DIVIDERS = re.compile(f"[{END_CHARACTERS}\\s]+")

# Scripts without spaces: Thai, Lao, Tibetan, Burmese, Khmer, Chinese, kana, bopomofo, and their extensions
_WITHOUT_SPACES = ("\u0e00-\u109f\u1780-\u17ff\u2e80-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff"
                   "\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f\U000116d0-\U000116ff\U0001aff0-\U0001b16f"
                   "\U00020000-\U0003ffff")
_COMBINING = characters_that(lambda character: unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")) \
    + "\U000e0000-\U000e01ef"
_WRONG_CUT = re.compile(f" (?:(?<=\\S )(?=[{_COMBINING}])|(?<=[^\\s{_WITHOUT_SPACES}] )(?=[^\\s{_WITHOUT_SPACES}]))")

# Other scripts, and digits, which ICU would leave in one word with their neighbours
_DIGITS = "\u0e50-\u0e59\u0ed0-\u0ed9\u1040-\u1049\u1090-\u1099\u17e0-\u17e9\ua9f0-\ua9f9\U000116d0-\U000116e3"
_APART = re.compile(f"[^\\s{_COMBINING}{_WITHOUT_SPACES}][^\\s{_WITHOUT_SPACES}]*|[{_DIGITS}]+")
_SPACES = re.compile("  +")

_PIECE = re.compile("\0+|[^\n\t\0]{1,1000}")        # NUL ends a text of MeCab


# ---------------------------------------------------------------- the segmenters

class Segmenter:
    """The base of all segmenters.

    name:      for the command line and the manifest
    wikis:     the Wikipedias that it can do
    packages:  {distribution: the module that it installs}
    """

    joint = ""
    packages = {}
    install = INSTALL_ALL

    def __init__(self, wiki):
        """Raises BadUsage when a package is missing."""
        self.wiki = wiki
        missing = [package for package, module in self.packages.items() if not util.find_spec(module)]
        if missing:
            raise BadUsage(f"{self.name}, the segmenter for {wiki}, needs {' and '.join(missing)}, which is not "
                           f"installed. Run {self.install}.")

    @classmethod
    def is_installed(cls):
        return all(util.find_spec(module) for module in cls.packages.values())

    @property
    def description(self):
        versions = [f"{package} {metadata.version(package)}" for package in self.packages]
        return {"name": self.name, "version": ", ".join([*versions, UNICODE]), "dictionary": self.dictionary}

    def tokens(self, text):
        """The words of a text (list), with END between two words that are not neighbours."""
        return _WRONG_CUT.sub("", self.cut(runs_of(text))).replace("\n", " | ").split()

    def cut(self, runs):
        """Put a space between the words of runs, which have a line or a TAB between them, and no space in them."""
        raise NotImplementedError


def runs_of(text):
    """The runs of a text (str), with a LF wherever a bigram ends, a TAB for each U+200B, and no other white space."""
    return DIVIDERS.sub("\n", replace_high_ends(text, "\n")).replace(ZERO_WIDTH_SPACE, "\t")


class Tsheg(Segmenter):
    """Syllables of Tibetan and Dzongkha, which have a tsheg between them; two of them in a row end a bigram.

    U+0F0C, a tsheg at which no line breaks, counts as one; a bigram is written with U+0F0B.
    """

    name = "tsheg"
    wikis = ("bo", "dz")
    joint = "\u0f0b"
    dictionary = None

    _JOINTS = re.compile("(?<![\u0f0b\u0f0c])[\u0f0b\u0f0c](?![\u0f0b\u0f0c])")

    def tokens(self, text):
        """The syllables of a text (list), with END between two syllables that have more than a tsheg between them."""
        parts = self._JOINTS.split(text.replace(ZERO_WIDTH_SPACE, " "))
        return " ".join(map(runs_of, parts)).replace("\n", " | ").split()


class Rjieba(Segmenter):
    name = "rjieba"
    wikis = ("zh", "zh_classical", "zh_yue")
    packages = {"rjieba": "rjieba"}
    dictionary = "of jieba, in the package"

    def cut(self, runs):
        return " ".join(open_jieba()(runs))


class Fugashi(Segmenter):
    name = "fugashi"
    wikis = ("ja", "ryu")
    packages = {"fugashi": "fugashi", "ipadic": "ipadic"}
    dictionary = "IPADIC, in the package ipadic"

    def cut(self, runs):
        return cut_pieces(open_mecab(), runs)


class Laonlp(Segmenter):
    """The words of LaoNLP: the fewest that make up a run. LaoNLP itself lists all ways to make it up, which for
    a word of two equal halves, written twenty times over, takes longer than anybody waits."""

    name = "laonlp"
    wikis = ("lo",)
    packages = {"laonlp": "laonlp"}
    dictionary = "lao_words, in the package"

    def cut(self, runs):
        return cut_pieces(open_lao(), runs)


class Pythainlp(Segmenter):
    name = "pythainlp"
    wikis = ("th",)
    packages = {"pythainlp": "pythainlp"}
    dictionary = "thai_words, in the package"

    def cut(self, runs):
        return cut_pieces(open_newmm(), runs)


class ThaiSegmenter(Segmenter):
    """The longest words of LEXiTRON's list, by the package that the paper names. Its own function for this writes the
    list into the installed package each time that it starts, which processes at work together cannot do."""

    name = "thai-segmenter"
    wikis = ("th",)
    packages = {"thai-segmenter": "thai_segmenter"}
    dictionary = "LEXiTRON, in the package"

    def cut(self, runs):
        return _SPACES.sub(" ", cut_pieces(open_longest_words(), _APART.sub(" \\g<0> ", runs)))


class Icu(Segmenter):
    name = "icu"
    wikis = ("ja", "ryu", "km", "lo", "my", "th", "zh", "zh_classical", "zh_yue")
    packages = {"PyICU": "icu"}
    install = INSTALL_ICU
    _DICTIONARIES = {"km": "khmerdict", "lo": "laodict", "my": "burmesedict", "th": "thaidict"}

    @property
    def dictionary(self):
        return f"{self._DICTIONARIES.get(self.wiki, 'cjdict')} of ICU {open_library('icu').ICU_VERSION}"

    def cut(self, runs):
        runs = _APART.sub(" \\g<0> ", runs)
        breaks = open_icu()
        breaks.setText(runs)
        units = runs.encode("utf-16-le", "surrogatepass")      # ICU counts in units of 16 bits
        ends = [2 * end for end in breaks]
        words = b" \0".join(map(units.__getitem__, map(slice, [0, *ends], ends)))
        return _SPACES.sub(" ", words.decode("utf-16-le", "surrogatepass"))


# The better ones come first.
SEGMENTERS = {kind.name: kind for kind in (Tsheg, Rjieba, Fugashi, Laonlp, Pythainlp, ThaiSegmenter, Icu)}


# ---------------------------------------------------------------- the choice

def splitter_for(wiki, choice=None):
    """The splitter of a Wikipedia's texts into words: `Spaces`, or a Segmenter.

    choice: the name of a segmenter; otherwise the best that is installed.
    Raises BadUsage when it is not installed or cannot do the language.
    """
    if choice is not None:
        return segmenter(wiki, choice)(wiki)
    if wiki not in languages.WITHOUT_SPACES:
        return Spaces()
    for kind in segmenters_of(wiki):
        if kind.is_installed():
            return kind(wiki)
    names = " and ".join(kind.name for kind in segmenters_of(wiki))
    raise BadUsage(f"{wiki} is written without spaces, and no segmenter for it is installed "
                   f"({names}). Run {INSTALL_ICU}, or {INSTALL_ALL} for all of them.")


def segmenters_of(wiki):
    """The segmenters that can do a Wikipedia, the best first."""
    return [kind for kind in SEGMENTERS.values() if wiki in kind.wikis]


def segmenter(wiki, name):
    """The segmenter of that name. Raises BadUsage when there is none, or it cannot do this Wikipedia."""
    if wiki not in languages.WITHOUT_SPACES:
        if wiki in languages.wikipedias():
            raise BadUsage(f"{wiki} is written with spaces, so it needs no segmenter. "
                           f"Those that need one: {' '.join(sorted(languages.WITHOUT_SPACES))}.")
        raise BadUsage(f"There is no Wikipedia {wiki!r} that needs a segmenter. "
                       f"Those that need one: {' '.join(sorted(languages.WITHOUT_SPACES))}.")
    names = " ".join(kind.name for kind in segmenters_of(wiki))
    if name not in SEGMENTERS:
        raise BadUsage(f"There is no segmenter {name!r}. Those for {wiki}: {names}.")
    if wiki not in SEGMENTERS[name].wikis:
        raise BadUsage(f"{name} cannot tell the words of {wiki} apart. Those that can: {names}.")
    return SEGMENTERS[name]


def parse_choices(options):
    """{Wikipedia code: name of a segmenter} of a list like ["zh=rjieba", "ja=icu"]. Raises BadUsage."""
    choices = {}
    for option in options:
        wiki, equals, name = option.partition("=")
        if not equals:
            raise BadUsage(f"A segmenter is chosen as CODE=NAME, like zh=rjieba, not {option!r}.")
        segmenter(wiki, name)
        if choices.setdefault(wiki, name) != name:
            raise BadUsage(f"{wiki} cannot have two segmenters, {choices[wiki]} and {name}. Choose one.")
    return choices


# ---------------------------------------------------------------- the libraries, opened once in a process

def open_library(module):
    """Import a module. Raises BadUsage when it is installed but does not work."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BadUsage(f"The module {module} is installed, but does not open: {error}. Install it anew.") from error


@functools.cache
def open_jieba():
    """Function of a str that gives its words. Each line is cut on its own."""
    return open_library("rjieba").Jieba().cut       # its own, to which nobody else adds words


@functools.cache
def open_mecab():
    """Function of a run that gives it with a space after each word."""
    fugashi, ipadic = open_library("fugashi"), open_library("ipadic")
    return fugashi.GenericTagger(f"{ipadic.MECAB_ARGS} -Owakati").parse


@functools.cache
def open_icu():
    """ICU's iterator over the ends of words, in units of 16 bits. One set of rules serves all of these languages."""
    icu = open_library("icu")
    return icu.BreakIterator.createWordInstance(icu.Locale.getRoot())


@functools.cache
def open_newmm():
    with pythainlp_that_writes_nothing():
        segment = open_library("pythainlp.tokenize.newmm").segment
        segment("\u0e01\u0e32")                     # it reads its words at the first call
    return lambda run: " ".join(segment(run))


@functools.cache
def open_longest_words():
    """Function of a run that gives it with a space after each word, the longest that LEXiTRON has."""
    package = open_library("thai_segmenter.longlexto")
    longest = package.LongLexTo(os.path.join(os.path.dirname(package.__file__), "tools/lexitron_original.txt"),
                                raise_errors=True)
    return lambda run: " ".join(longest.get_words(run))


@functools.cache
def open_lao():
    with pythainlp_that_writes_nothing():           # LaoNLP imports it
        words = open_library("laonlp.corpus").lao_words()
    lao = FewestWords(words)
    return lambda run: " ".join(lao.cut(run))


@contextlib.contextmanager
def pythainlp_that_writes_nothing():
    """Importing PyThaiNLP makes a directory in the user's home, unless it is told not to."""
    set_here = not {"PYTHAINLP_READ_ONLY", "PYTHAINLP_READ_MODE"} & os.environ.keys()
    if set_here:
        os.environ["PYTHAINLP_READ_ONLY"] = "1"
    try:
        yield
    finally:
        if set_here:
            del os.environ["PYTHAINLP_READ_ONLY"]


def cut_pieces(cut, runs):
    """Apply a function that puts spaces between the words of one run, of 1,000 characters at most."""
    return _PIECE.sub(lambda piece: f"{cut(piece[0])} " if piece[0][0] != "\0" else f" {piece[0]} ", runs)


# ---------------------------------------------------------------- the fewest words

class FewestWords:
    """Cut runs into the fewest words of a dictionary; of several ways, the one whose first word is shorter.

    Characters that begin no word of the dictionary go together, up to the next that does, or is a digit or a
    Latin letter. The words are those of LaoNLP's `word_tokenize(run, safe_mode=False)`, in linear time.
    """

    _OTHER = re.compile(r"[-a-zA-Z]+|\d+")

    def __init__(self, words):
        import ahocorasick
        self.words = ahocorasick.Automaton(ahocorasick.STORE_LENGTH)
        for word in words:
            if word.strip():
                self.words.add_word(word.strip())
        self.words.make_automaton()

    def cut(self, run):
        """The words of a run, a list."""
        ends = self.ends(run)
        words, start = [], 0
        while start < len(run):
            if start in ends:
                path = fewest_steps(start, ends)
            else:
                path = [self.end_of_unknown(run, start, ends)]
            for end in path:
                words.append(run[start:end])
                start = end
        return words

    def ends(self, run):
        """{position: where the words that begin there end, ascending}."""
        ends = {}
        for last, length in self.words.iter(run):
            ends.setdefault(last + 1 - length, []).append(last + 1)
        return ends

    def end_of_unknown(self, run, start, ends):
        other = self._OTHER.match(run, start)
        if other:
            return other.end()
        return next((position for position in range(start + 1, len(run))
                     if position in ends or self._OTHER.match(run, position)), len(run))


def fewest_steps(start, ends):
    """The ends (list) of the fewest words that lead from a position to the next one that every way passes through."""
    positions, ahead = [start], set(ends[start])
    while len(ahead) > 1:
        position = min(ahead)
        ahead.remove(position)
        positions.append(position)
        ahead.update(ends.get(position, ()))
    goal = ahead.pop()
    steps, following = {goal: 0}, {}            # of a position: words to the goal; the end of the first of them
    for position in reversed(positions):
        reached = [end for end in ends.get(position, ()) if end in steps]
        if reached:
            following[position] = min(reached, key=steps.__getitem__)
            steps[position] = steps[following[position]] + 1
    path = [following[start]]
    while path[-1] != goal:
        path.append(following[path[-1]])
    return path
