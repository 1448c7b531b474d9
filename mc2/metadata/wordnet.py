"""Lemmas of wordnets: Open Multilingual Wordnet tab files, and Princeton WordNet's dict directory.

The projects behind OMW's files wrote more into the lemmas than the words. These markers are taken out:

    GAP!  PSEUDOGAP!                  the language has no word for it (Italian, Hebrew): no lemma at all
    !חתול  !?miren  *account          somebody was not sure (Hebrew, Slovene, Greek, Croatian)
    [[een]] [[wind]]  [[a|shown]]     links of a wiki (Dutch); shown|fr:target  what is left of them (French)
    ''word''  {{m}}  <sub>  &amp;     more markup of wikis (French, Portuguese, Slovene)
    bleu+e  gjenstand~sområde         where affixes and compounds join
    gå 'til                           the stress of Danish verbs

Hebrew lemmas are written with vowel points and two thirds of the Arabic ones with some, as in no running text. They are
kept, or taken out where that is asked for (points.py).
"""
import html
import os
import re

from mc2 import files
from mc2.errors import BadData
from mc2.metadata.points import KEEP, without_points
from mc2.metadata.sources import tidy

# The 31 languages of OMW 1.4, as the paper has them, and Persian (fas), which only earlier releases of OMW have.
# OMW's codes are ISO 639-3; its `als` is Albanian, whereas the Wikipedia `als` is Alemannic.
WIKI_OF_OMW = dict(pair.split(":") for pair in """
    als:sq arb:ar bul:bg cat:ca cmn:zh dan:da ell:el eng:en eus:eu fas:fa fin:fi fra:fr glg:gl heb:he hrv:hr ind:id
    isl:is ita:it jpn:ja lit:lt nld:nl nno:nn nob:no pol:pl por:pt ron:ro slk:sk slv:sl spa:es swe:sv tha:th zsm:ms
    """.split())

_MARKER = re.compile(r"\((?:a|p|ip)\)$")            # of an adjective's position
_PARTS = ("noun", "verb", "adj", "adv")


class UnknownCode(BadData):
    """A tab file of a language for which no Wikipedia is known."""

    def __init__(self, path, code):
        super().__init__(f"{path}:1: no Wikipedia is known for the language code {code!r}. "
                         f"Known are {' '.join(WIKI_OF_OMW)}.")
        self.path, self.code = path, code


def read(path, lemmas="first", points=KEEP, tally=None):
    """(Wikipedia code, lemmas in file order without repetitions) of a tab file or a dict directory.

    lemmas: of a dict directory take the "first" lemma of each synset, which names it, or "all".
    points: "remove" takes vowel points out of the lemmas, "keep" leaves them.
    tally: a Counter to add to: lemmas `in`, and of these those `without a word`, such as GAP!.
    Raises UnknownCode for a language without a Wikipedia, and BadData when the path is no wordnet.
    """
    code, words = _read_dict(path, lemmas) if os.path.isdir(path) else _read_tab(path)
    found = {}
    for word in words:
        word = tidy(word if points == KEEP else without_points(word))
        if tally is not None:
            tally["in"] += 1
            tally["without a word"] += word is None
        if word is not None:
            found[word] = None
    return code, list(found)


def _read_tab(path):
    """`# name <TAB> code <TAB> url <TAB> licence`, then rows `synset <TAB> label <TAB> lemma`."""
    lines = files.read_lines(path)
    _, header = next(lines, (1, ""))
    fields = header.split("\t")
    if not header.startswith("#") or len(fields) < 2:
        raise BadData(f"{path}:1: not an OMW tab file: the first line must be '# name <TAB> language code <TAB> ...'.")
    omw_code = fields[1].strip()
    if omw_code not in WIKI_OF_OMW:
        raise UnknownCode(path, omw_code)
    return WIKI_OF_OMW[omw_code], (_without_markers(lemma, omw_code) for lemma in _tab_lemmas(path, lines))


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


def origin(path):
    """Where the lemmas of a dict directory come from, and under which licence, for manifests. Its files begin with the
    licence, which names the version."""
    found = None
    for _, line in files.read_lines(os.path.join(path, "data.noun")):
        if found or not line.startswith("  "):
            break
        found = re.search(r"WordNet [0-9.]*[0-9]", line)
    return {"name": f"{found[0] if found else 'WordNet'} of Princeton University",
            "url": "https://wordnet.princeton.edu", "licence": "WordNet-3.0",
            "licence_url": "https://wordnet.princeton.edu/license-and-commercial-use"}


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
    """A lemma as it is written: wordnets join words by `_`, and have `+` at affixes."""
    return lemma.replace("_", " ").replace("+", "")


# ---------------------------------------------------------------- markers

_GAP = re.compile(r"(?:PSEUDO)?GAP!.*", re.IGNORECASE)
_REFERENCE = re.compile("&(?:#[0-9]+|#x[0-9a-f]+|[a-z][a-z0-9]*);", re.IGNORECASE)
_MARKUP = re.compile(r"<!--.*?(?:-->|$)|</?(?:sub|sup|big|small|b|i|u|nowiki|ref|span)\b[^<>]*>|\{\{[^{}]*\}\}")
_LINK = re.compile(r"\[\[(?:[^][|]*\|)?([^][|]*)\]\]")
_QUOTED = re.compile("('{2,})(.*?)\\1")              # italic and bold
_UNSURE = re.compile(r"^[!?*\s]+|\*+$")
_STRESS = re.compile(r"(?:^|(?<= ))'+(?=\w)")


_ANY = re.compile(r"[][_+~!?*|&<{']")               # what all of these have one of


def _without_markers(lemma, omw_code):
    """A lemma of a tab file as it is written; without anything to write where it is a marker alone."""
    if not _ANY.search(lemma):
        return lemma
    while _REFERENCE.search(lemma) and (decoded := html.unescape(lemma)) != lemma:      # encoded twice, some of them
        lemma = decoded
    lemma = _LINK.sub(r"\1", _MARKUP.sub("", lemma)).replace("[[", "").replace("]]", "").split("|")[0]
    lemma = _spell(_QUOTED.sub(r"\2", lemma)).replace("~", "")
    if omw_code == "dan":
        lemma = _STRESS.sub("", lemma)
    lemma = _UNSURE.sub("", lemma)
    return "" if _GAP.fullmatch(lemma) else lemma
