"""Lemmas of wordnets: Open Multilingual Wordnet tab files, and Princeton WordNet's dict directory."""
import os
import re

from mc2 import files
from mc2.errors import BadData

# OMW's codes are ISO 639-3; its `als` is Albanian, whereas the Wikipedia `als` is Alemannic.
WIKI_OF_OMW = dict(pair.split(":") for pair in """
    als:sq arb:ar bul:bg cat:ca cmn:zh dan:da ell:el eng:en eus:eu fas:fa fin:fi fra:fr glg:gl heb:he hrv:hr ind:id
    isl:is ita:it jpn:ja lit:lt nld:nl nno:nn nob:no pol:pl por:pt ron:ro slk:sk slv:sl spa:es swe:sv tha:th zsm:ms
    """.split())

_MARKER = re.compile(r"\((?:a|p|ip)\)$")            # of an adjective's position
_PARTS = ("noun", "verb", "adj", "adv")


def read(path, lemmas="first"):
    """(Wikipedia code, lemmas in file order without repetitions) of a tab file or a dict directory.

    lemmas: of a dict directory take the "first" lemma of each synset, which names it, or "all".
    Raises BadData when the path is neither.
    """
    code, words = _read_dict(path, lemmas) if os.path.isdir(path) else _read_tab(path)
    return code, list(dict.fromkeys(word for word in words if word))


def _read_tab(path):
    """`# name <TAB> code <TAB> url <TAB> licence`, then rows `synset <TAB> label <TAB> lemma`."""
    lines = files.read_lines(path)
    _, header = next(lines, (1, ""))
    fields = header.split("\t")
    if not header.startswith("#") or len(fields) < 2:
        raise BadData(f"{path}:1: not an OMW tab file: the first line must be '# name <TAB> language code <TAB> ...'.")
    omw_code = fields[1].strip()
    if omw_code not in WIKI_OF_OMW:
        raise BadData(f"{path}:1: no Wikipedia is known for the language code {omw_code!r}. "
                      f"Known are {' '.join(WIKI_OF_OMW)}.")
    return WIKI_OF_OMW[omw_code], (_spell(lemma) for lemma in _tab_lemmas(path, lines))


def _tab_lemmas(path, lines):
    for number, line in lines:
        if not line or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) < 3:
            raise BadData(f"{path}:{number}: not a row of synset, label and lemma. Is the file cut off?")
        label = fields[1].split(":")                # `lemma` or `fra:lemma`; not `arb:lemma:root` or `fra:def`
        if label[-1] == "lemma" and len(label) <= 2:
            yield fields[2]


def _read_dict(path, lemmas):
    """WordNet's data.noun, data.verb, data.adj and data.adv."""
    if not os.path.exists(os.path.join(path, "data.noun")):
        raise BadData(f"{path}: no data.noun in it, so it is no WordNet dict directory. Name that, or OMW .tab files.")
    words = []
    for part in _PARTS:
        name = os.path.join(path, f"data.{part}")
        for number, line in files.read_lines(name):
            if line.startswith("  "):               # the licence
                continue
            fields = line.split(" ")
            try:
                count = int(fields[3], 16)
                synset = fields[4:4 + 2 * count:2]
                if not synset or len(synset) != count or "|" not in fields:
                    raise ValueError
            except (IndexError, ValueError):
                raise BadData(f"{name}:{number}: not a synset of WordNet. Is the file cut off?") from None
            words += synset[:1] if lemmas == "first" else synset
    return "en", (_spell(_MARKER.sub("", word)).lower() for word in words)


def _spell(lemma):
    """A lemma as it is written: OMW joins words by `_`, and has `+` at affixes."""
    return " ".join(lemma.replace("_", " ").replace("+", "").split())
