"""How many texts get their language, under the cleaning and the scripts of `mc2 lid`, and without them.

Called by `python benchmarks/lid.py --accuracy`; half a minute. The texts are runs of words from the Universal Declaration
of Human Rights in all languages of lid.176 that it is there in, and lemmas of wordnets; both lie in ../shared/data. They
are right where the metadata language is. Most of the wrong ones are neighbours (Danish as Norwegian) or languages that
the model hardly knows.
"""
import csv
import gzip
import random
from importlib import resources

import numpy as np

import corpus
import timing
from mc2.metadata import languages, scripts
from mc2.stages import cleaning, lid, lid_models

SNIPPETS = 40                   # of each language
LEMMAS = 2000                   # of each wordnet
# Names of files in UDHR that are no code of the mapping: of macrolanguages and their members.
MEMBERS = {"als": "sq", "arb": "ar", "azj": "az", "cmn": "zh", "ekk": "et", "khk": "mn", "lvs": "lv", "nob": "no",
           "pes": "fa", "plt": "mg", "swh": "sw", "uzn": "uz", "ydd": "yi"}
WORDNETS = {"arb": "ar", "bul": "bg", "cmn": "zh", "dan": "da", "ell": "el", "fas": "fa", "fra": "fr", "heb": "he",
            "ita": "it", "pol": "pl"}
ACRONYMS = "BMW DVD GPS HDMI LED NASA NATO PVC UNESCO USB".split()


def before(text):
    """The cleaning without a rule for single words: only a text that is all capitals is lowered."""
    steps = [step for step in cleaning.STEPS if step != "capitals"]
    return cleaning.clean(text.lower() if text.isupper() else text, steps)


def udhr():
    """{name of a file: (metadata language, words)}"""
    mapping = languages.of_scheme("lid176")
    lang_of_code = {code: lang for lang, codes in mapping.groups.items() for code in codes}
    table = csv.DictReader(resources.files("mc2").joinpath("data", "iso6393_to_wiki.csv").read_text("utf-8").splitlines())
    codes = {row["lid_label"].partition("_")[0]: row["wiki_key"] for row in table} | MEMBERS
    found = {}
    for path in sorted((corpus.DATA / "udhr").glob("*.txt")):
        lang = lang_of_code.get(codes.get(path.stem.partition("_")[0]), languages.OTHER)
        if lang != languages.OTHER:
            found[path.stem] = lang, path.read_text("utf-8").split()
    return found


def snippets(declarations, length):
    """[(metadata language, text)]: runs of words, the same in every run."""
    rng = random.Random(length)
    texts = []
    for lang, words in declarations.values():
        for _ in range(SNIPPETS if len(words) > length else 0):
            start = rng.randrange(len(words) - length)
            texts.append((lang, " ".join(words[start:start + length])))
    return texts


def with_acronym(text):
    words = text.split(" ")
    words.insert(len(text) % (len(words) + 1), ACRONYMS[len(text) % len(ACRONYMS)])
    return " ".join(words)


CHANGES = {
    "as they are": str,
    "in title case": lambda text: " ".join(word[:1].upper() + word[1:] for word in text.split(" ")),
    "one acronym between": with_acronym,
    "in capitals": str.upper,
    "in capitals, then 20x30cm": lambda text: text.upper() + " 20x30cm",
    "in capitals, then - iPhone": lambda text: text.upper() + " - iPhone",
    "in capitals, then | shop": lambda text: text.upper() + " | shop",
}


def lemmas(name):
    """Lemmas of a wordnet, without the marks of its makers."""
    with gzip.open(corpus.DATA / "wordnet" / f"wn-data-{name}.tab.gz", "rt", encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines]
    found = sorted({row[2].strip().replace("+", "").replace("_", " ") for row in rows
                    if len(row) > 2 and row[1].endswith("lemma")} - {""})
    return random.Random(1).sample(found, min(LEMMAS, len(found)))


class Judge:
    """Says which share of texts gets the right language."""

    def __init__(self):
        mapping = languages.of_scheme("lid176")
        self.model = lid_models.FastText(lid_models.default_model())
        self.by_script = lid.ByScript(self.model.labels, mapping.lang_of)
        self.langs = np.array([mapping.lang_of[label] for label in self.model.labels])

    def row(self, name, texts):
        """(name, number, share right before, share right now, share that the script decided). texts: [(lang, text)]"""
        right = np.array([lang for lang, _ in texts])
        numbers, _, _ = self.model.identify_all([before(text) for _, text in texts])
        now = [cleaning.clean(text) for _, text in texts]
        new_numbers, probs, unknown = self.model.identify_all(now)
        decided, foreign = self.by_script(self.model, now, new_numbers, probs, unknown)
        langs = np.where(foreign, languages.OTHER, self.langs[new_numbers])
        return [name, f"{len(texts):,}", f"{(self.langs[numbers] == right).mean():.3f}", f"{(langs == right).mean():.3f}",
                f"{(decided | foreign).mean():.1%}"]


def show():
    """Print the tables."""
    judge, declarations = Judge(), udhr()
    columns = ["texts", "before", "now", "by script"]
    eight = snippets(declarations, 8)
    timing.show(f"Eight words of {len(declarations)} declarations: share of the texts with the right language",
                ["", *columns], [judge.row(name, [(lang, change(text)) for lang, text in eight
                                                  if text.upper() != text.lower()]) for name, change in CHANGES.items()])
    rows = []
    for length in (1, 2, 3, 10):
        texts = snippets(declarations, length)
        latin = [pair for pair in texts if not scripts.of_text(pair[1])]
        rows += [judge.row(f"{length} words, Latin letters or none", latin),
                 judge.row(f"{length} words, other letters", [pair for pair in texts if scripts.of_text(pair[1])])]
    timing.show("Short texts", ["", *columns], rows)
    rows = []
    for name, lang in WORDNETS.items():
        texts = [(lang, lemma) for lemma in lemmas(name)]
        rows.append(judge.row(f"lemmas, {lang}", texts))
        if lang == "zh":
            rows += [judge.row(f"lemmas, zh, of {n} characters", [pair for pair in texts if len(pair[1]) == n]) for n in (1, 2)]
    timing.show("Lemmas of wordnets", ["", *columns], rows)
