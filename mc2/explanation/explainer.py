"""Pairs through the stages of lid, match and sample, with all that led to what became of them."""
import functools

import numpy as np
import orjson

from mc2 import files
from mc2.balancing import algorithm
from mc2.execution.stage import Stages
from mc2.explanation.positions import Text
from mc2.metadata.release import Release
from mc2.pairs.batch import Strings, same_as_before
from mc2.stages.lid import Single
from mc2.stages.match import Annotator

KEPT, DROPPED = "kept", "dropped"
OF_LID = ("lid", "lid_prob", "lang")
OF_MATCH = "matched_entry_ids"


class Explainer:
    """From a batch to the explanations of its pairs: a list of dicts of JSON values, in the order of the lines.

        source, line, id, text
        verdict     "kept", "dropped", or None where that cannot be known
        stage       of a dropped pair: read, ids or sample; reason: as the receipt of that stage counts it
        language    lang, label, prob; identified: what identification saw and decided; given: the pair came with it
        entries     the matched entries: id, entry, source, at, count, t, prob, tail
        q, draw, seed, image

    A batch holds whole images, where one text per image is drawn for.
    """

    def __init__(self, identifier, metadata=None, sampler=None, ids=None, anew=False, has_ids=True):
        """identifier: a stage of mc2.stages.lid. metadata: mc2.metadata.matching.Metadata; without it, only the
        language is told. sampler: mc2.balancing.sampling.Sampler; without it, there are no probabilities. ids:
        mc2.stages.ids.IdList. anew: identify and match pairs also where they came with `lang` or matched entries, as
        `mc2 curate` does. has_ids: False for texts without an id, on which draws depend."""
        self.identifier, self.metadata, self.sampler, self.ids = identifier, metadata, sampler, ids
        self.annotator = Annotator(metadata) if metadata else None
        self.anew, self.has_ids = anew, has_ids
        stages = [stage for stage in (ids, identifier, self.annotator, sampler) if stage]
        self.stages = Stages(stages)

    def __call__(self, batch):
        """batch: made with skip_bad and keep_dropped, so that what is no pair is explained too."""
        left = [*_left_out(batch.source, "read", batch.dropped), *_left_out(batch.source, "read", batch.rejects)]
        given = {} if self.anew else {key: _by_number(batch, key) for key in (*OF_LID, OF_MATCH)}
        if self.ids:
            left += self._run(self.ids, batch, "ids")
        left += self._run(self.identifier, batch, "lid")
        came_with = _restore(batch, given, OF_LID, str)
        if self.annotator:
            left += self._run(self.annotator, batch, "match")
            _restore(batch, given, (OF_MATCH,), list)
        if self.sampler:
            left += self._run(self.sampler.check, batch, "sample")
        found = self._explained(batch, came_with) if len(batch) else []
        return sorted([*left, *found], key=lambda explanation: explanation["line"])

    def _run(self, stage, batch, name):
        """Run a stage. Returns the explanations of what it left out."""
        dropped, rejects = len(batch.dropped), {reject.number for reject in batch.rejects}
        stage(batch)
        return [*_left_out(batch.source, name, batch.dropped[dropped:]),
                *_left_out(batch.source, name, [each for each in batch.rejects if each.number not in rejects])]

    def _explained(self, batch, came_with):
        columns = [batch.column("id"), batch.texts, batch.numbers.tolist()]
        found = [{"source": files.printable(batch.source), "line": number, "id": pair_id if self.has_ids else None,
                  "text": text, "verdict": None} for pair_id, text, number in zip(*columns)]
        for explanation, language in zip(found, self._languages(batch, came_with)):
            explanation["language"] = language
        if self.annotator:
            offsets, ids = batch.matched_ids()
            for number, explanation in enumerate(found):
                explanation["entries"] = self._entries(explanation, ids[offsets[number]:offsets[number + 1]])
        if self.sampler:
            self._sample(batch, found)
        return found

    # ------------------------------------------------------------ languages

    def _languages(self, batch, came_with):
        """Yield for each pair the language that it has, and how it was identified."""
        identified = [None] * len(batch) if isinstance(self.identifier, Single) else self._identified(batch)
        columns = [batch.numbers.tolist(), *map(batch.column, OF_LID), identified]
        for number, label, prob, lang, its in zip(*columns):
            yield {"lang": lang, "label": label, "prob": prob, "given": number in came_with, "identified": its}

    def _identified(self, batch):
        stage = self.identifier
        answers = stage.answers(batch)
        seen = answers.texts.tolist() if isinstance(answers.texts, Strings) else answers.texts
        numbers, sets = stage.model.scripts_of(answers.texts)
        return [{"seen": seen[row], "model_label": stage.labels[answers.model_labels[row]],
                 "model_prob": float(answers.model_probs[row]), "known": not answers.unknown[row],
                 "scripts": sorted(sets[numbers[row]]),
                 "by_script": "label" if answers.decided[row] else "other" if answers.foreign[row] else None,
                 "label": stage.labels[answers.labels[row]], "prob": int(answers.probs[row]) / 10_000,
                 "below_min_prob": bool(answers.doubtful[row]), "min_prob": stage.min_prob,
                 "lang": stage.langs[answers.langs[row]]} for row in range(len(batch))]

    # ------------------------------------------------------------ entries

    @functools.cached_property
    def _release(self):
        return self.metadata.release

    def _entries(self, explanation, ids):
        lang = explanation["language"]["lang"]
        rows = _rows(self._release, lang) if len(ids) else []
        text = Text(explanation["text"], self._release.spacing, self._release.nfc) if len(ids) else None
        found = []
        for number in ids.tolist():
            entry, source, *_ = rows[number] if number < len(rows) else (None, None)
            found.append({"id": number, "entry": entry, "source": source,
                          "at": text.positions(entry) if entry else []})
        if self.sampler and len(ids):
            t, counts = self.sampler.t[lang], self.sampler.entry_counts[lang][ids]
            for row, count, prob in zip(found, counts.tolist(), algorithm.entry_probs(counts, t).tolist()):
                row.update(count=count, t=t, tail=not t or count < t, prob=prob)
        return found

    # ------------------------------------------------------------ sampling

    def _sample(self, batch, found):
        """Tell of each pair its probability, its draw, and whether it was kept."""
        sampler, one_per_image = self.sampler, self.sampler.one_per_image
        offsets, ids = batch.matched_ids()
        q, never_counted = sampler.pair_probs(batch.labels("lang"), offsets, ids)
        reasons = sampler.decide(batch).tolist()
        draws = sampler.draws(batch, np.arange(len(batch))).tolist()
        for number, explanation in enumerate(found):
            explanation.update(q=float(q[number]), draw=draws[number] if self.has_ids else None, seed=sampler.seed,
                               never_counted=bool(never_counted[number]))
            if self.has_ids or not 0 < q[number] < 1:
                reason = reasons[number]
                explanation.update({"verdict": DROPPED, "stage": "sample", "reason": reason} if reason
                                   else {"verdict": KEPT})
        if one_per_image:
            self._rivals(batch, found)

    def _rivals(self, batch, found):
        """Tell of each pair the texts of its image, its own too, with what chooses among them."""
        choices = self.sampler.choices(batch, np.arange(len(batch))).tolist()
        begins = [*np.flatnonzero(~same_as_before([batch.strings("id")])).tolist(), len(batch)]
        for start, stop in zip(begins, begins[1:]):
            texts = [{"line": its["line"], "text": its["text"], "lang": its["language"]["lang"],
                      "matches": len(its["entries"]), "choice": f"{choice:016x}", "q": its["q"],
                      "verdict": its["verdict"], "reason": its.get("reason")}
                     for its, choice in zip(found[start:stop], choices[start:stop])]
            for its in found[start:stop]:
                its["image"] = texts


@functools.lru_cache(8)             # languages of one release, as a rule; 500,000 rows take 0.2 s
def _rows_of(path, fingerprint, lang):
    return Release(path).rows(lang)


def _rows(release, lang):
    return _rows_of(release.path, release.fingerprint, lang)


def _by_number(batch, key):
    """{line number: value of the key} of the pairs that have it."""
    return {number: value for number, value in zip(batch.numbers.tolist(), batch.column(key)) if value is not None}


def _restore(batch, given, keys, kind):
    """Give pairs back what they came with: those of which the last of these keys was of this type. Returns the numbers
    of their lines, a set. given: {key: {line number: value}}"""
    leading = given.get(keys[-1], {})
    rows = [row for row, number in enumerate(batch.numbers.tolist()) if isinstance(leading.get(number), kind)]
    numbers = batch.numbers[rows].tolist()
    for key in keys if rows else ():
        values = list(batch.column(key))
        for row, number in zip(rows, numbers):
            values[row] = given[key].get(number, "" if key == "lid" else None)
        batch.add(key, values)
    return set(numbers)


def _left_out(source, stage, lines):
    """Explanations of lines that a stage left out. lines: of mc2.pairs.batch.Reject"""
    for number, reason, line in lines:
        pair_id, text = id_and_text(line)
        yield {"source": files.printable(source), "line": number, "id": pair_id, "text": text, "verdict": DROPPED,
               "stage": stage, "reason": reason.rstrip(".")}


def id_and_text(line):
    """(id, text) of a line of JSON, each None where it has none."""
    try:
        record = orjson.loads(line)
        return tuple(value if isinstance(value := record.get(key), str) else None for key in ("id", "text"))
    except (ValueError, AttributeError, RecursionError):
        return None, None
