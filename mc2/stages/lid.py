"""Identify the language of every alt-text with a fastText model.

Texts are cleaned first (cleaning.py). Where the model still cannot tell, the script of the text's letters decides.
"""
import math
import os
from typing import NamedTuple

import numpy as np

from mc2 import engines, manifests
from mc2.errors import BadData, BadUsage
from mc2.execution.stage import Stage
from mc2.metadata import languages, scripts
from mc2.pairs.batch import Labels
from mc2.stages.cleaning import STEPS
from mc2.stages.lid_models import open_model

SHOWN = 5                       # labels that a message names
ADDS = ("lid", "lid_prob", "lang")
PROBABILITIES = [number / 10_000 for number in range(10_001)]           # of 4 decimals


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
        of_text, sets = model.scripts_of(texts)
        for number, found in enumerate(sets[1:], 1):
            written, indices = self._written(found), np.flatnonzero(of_text == number)
            fits = (written | self.unknown)[numbers[indices]] & (numbers[indices] >= 0)
            if written.any():
                indices = indices[without_evidence[indices] | ~fits]
                decided[indices] = True
                if indices.size:
                    numbers[indices], probs[indices] = self._best(model.probabilities(texts, indices.tolist()), written)
            elif len(found) == 1:
                foreign[indices] = ~fits
        return decided, foreign

    def _written(self, found):
        if found not in self.written:
            self.written[found] = np.array([found <= its for its in self.scripts])
        return self.written[found]

    def _best(self, probabilities, written):
        """(numbers, shares) of the most probable of some labels for each text, of equal ones the first by name.

        probabilities: float32 (m, labels). written: bool (labels,), which ones.
        """
        labels = np.array(sorted(np.flatnonzero(written).tolist(), key=self.labels.__getitem__))
        theirs = probabilities[:, labels].astype(np.float64)
        theirs[~theirs.any(1)] = 1                  # of a model that gives no answer to such a text
        best = theirs.argmax(1)
        return labels[best], [row[number] / math.fsum(row) for row, number in zip(theirs.tolist(), best.tolist())]


class Answers(NamedTuple):
    """How the languages of n texts were identified, step by step: arrays of (n,), in the order of the steps."""

    texts: object               # as the model saw them: Strings or a list of str
    model_labels: np.ndarray    # int64, numbers in Identifier.labels: the model's own answers
    model_probs: np.ndarray     # float64, their probabilities
    unknown: np.ndarray         # bool: no n-gram of the text is known to the model
    decided: np.ndarray         # bool: the script decided
    foreign: np.ndarray         # bool: by its script, the text is in no language of the model
    labels: np.ndarray          # int64: the labels that the pairs get
    probs: np.ndarray           # int64, in 1/10,000: their probabilities
    doubtful: np.ndarray        # bool: less probable than min_prob
    langs: np.ndarray           # int64, numbers in Identifier.langs: the languages that the pairs get


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
        self.labels = [*self.model.labels, ""]              # the last one, -1: no answer
        self.langs = list(dict.fromkeys([languages.OTHER, *self.lang_of.values()]))
        self.lang_of_label = np.array([self.langs.index(self.lang_of.get(label, languages.OTHER))
                                       for label in self.labels])

    def __getstate__(self):
        return {**self.__dict__, "model": None, "scripts": None}

    def __call__(self, batch):
        answers = self.answers(batch)
        batch.add("lid", Labels(answers.labels % len(self.labels), self.labels))
        batch.add("lid_prob", Labels(answers.probs, PROBABILITIES))
        batch.add("lang", Labels(answers.langs, self.langs))
        batch.tally["without evidence"] += int(np.count_nonzero(answers.unknown))
        batch.tally["by script"] += int(np.count_nonzero(answers.decided | answers.foreign))
        batch.tally["doubtful"] += int(np.count_nonzero(answers.doubtful))
        batch.tally["other"] += int(np.count_nonzero(answers.langs == self.langs.index(languages.OTHER)))

    def answers(self, batch):
        """The Answers for the texts of a batch, which is not changed."""
        if self.model is None:              # in a worker
            self._open()
        texts = self.model.clean_all(batch, self.steps)
        numbers, probs, unknown = self.model.identify_all(texts)
        model_labels, model_probs = numbers.copy(), probs.copy()
        decided, foreign = self.scripts(self.model, texts, numbers, probs, unknown) if self.scripts \
            else np.zeros((2, len(batch)), bool)
        probs = np.minimum(np.rint(probs * 10_000), 10_000).astype(np.int64)        # of a model: as round() does it
        doubtful = probs / 10_000 < self.min_prob
        langs, to_other = self.lang_of_label[numbers], doubtful | foreign
        if self.no_evidence == "other":
            to_other |= unknown & ~decided
        langs[to_other] = self.langs.index(languages.OTHER)
        return Answers(texts, model_labels, model_probs, unknown, decided, foreign, numbers, probs, doubtful, langs)

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
