"""Find the metadata entries that occur in a text.

The spaced form of an entry must be a substring of the spaced form of the text, case-sensitive, overlaps
included. Spacing makes words of space-separated scripts match whole, and lets entries in Chinese, Thai
and their like match inside running text.

    Metadata("metadata")["fr"].match(["un chat noir"])  ->  (offsets [0 2], ids [412 1077])

A release is matched with the spacing, and with or without the normalisation, that it was merged with:

    published   as Meta CLIP published it
    wide        kana may stand inside running text too, and entries are spaced like texts (see space_entry)
"""
import itertools
import re
import string
import unicodedata

import numpy as np

from mc2 import compiled, engines, pipeline
from mc2.metadata.release import SPACINGS, Release

PUBLISHED, WIDE = SPACINGS
MARKS = ",.;:?!`"               # set apart by spaces in texts

# At these characters an entry may begin or end within running text: scripts written without
# spaces (as published; kana are not among them), and punctuation.
_CJK = ("\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002ceb0-\U0002ebef"
        "\uf900-\ufaff\u2e80-\u2fdf\u2ff0-\u2fff")
_THAI, _LAO, _BURMESE, _KHMER, _TIBETAN = \
    "\u0e00-\u0e7f", "\u0e80-\u0eff", "\u1000-\u109f", "\u1780-\u17ff", "\u0f00-\u0fff"
_PUNCTUATION = re.escape(string.punctuation + "，。、；：？！“”‘’（）【】《》〈〉「」『』～—")
_OPEN = _CJK + _THAI + _LAO + _BURMESE + _KHMER + _TIBETAN + _PUNCTUATION
# Hiragana, katakana with its phonetic extensions, half-width katakana, and the kana beyond the basic plane.
_KANA = "\u3040-\u309f\u30a0-\u30ff\u31f0-\u31ff\uff65-\uff9f\U0001b000-\U0001b16f"
_WITHOUT_SPACES = {PUBLISHED: re.compile(f"[{_OPEN}]"), WIDE: re.compile(f"[{_OPEN}{_KANA}]")}

# What keeps the published form of an entry out of every text: an entry's reason is the first that applies.
_NEVER = [(reason, re.compile(pattern)) for reason, pattern in [
    ("line break or tab", "[\t\n\r]"),
    ("marks side by side (?!)", f"[{MARKS}] ?[{MARKS}]"),
    ("mark within a word (U.S.)", f"[^ ][{MARKS}][^ ]"),
    ("mark at the end of a word (St. Louis)", f"[^ ][{MARKS}]"),
    ("mark at the beginning of a word (.com)", f"[{MARKS}][^ ]"),
]]
_NEVER_IN_A_TEXT = re.compile("|".join(pattern.pattern for _, pattern in _NEVER))     # any of these


def normalize(text):
    """A text in Unicode's normal form NFC, as all texts and entries of a release with --nfc are."""
    return unicodedata.normalize("NFC", text)       # which looks first whether there is anything to do


def space_text(text):
    """The form of a text in which entries are looked up."""
    return _set_apart(f" {text.strip()} ")


def space_entry(entry, spacing=PUBLISHED):
    """The form of an entry that must occur in a spaced text.

    A space is put before it and after it, except where it begins or ends with a character that may stand inside
    running text. Under "published" that is all. Under "wide", what is inside is spaced as in texts: each mark gets
    a space on both sides, and tab, LF and CR become a space.

        entry        published       wide                in the text, under wide          not in
        St. Louis    " St. Louis "   " St .  Louis "     "in St. Louis, MO"               "St.Louis", "St . Louis"
        U.S.         " U.S."         " U . S . "         "the U.S., too", "U.S.A."        "U.S", "U. S."
        ...          "..."           " .  .  . "         "wait...", "?...!"               "..", ". . ."
        カメラ       " カメラ "      "カメラ"            "新しいカメラです"

    So under wide an entry is in a text exactly if its characters follow each other there, one for one (spaces
    included; tabs and line breaks being spaces), and each end of it is a mark, another such character, or next to
    a space, a mark or the text's end: between two characters other than spaces, the number of spaces in either
    form is that in the original plus one for each of the two that is a mark. Marks end words as they always did:
    U.S. is in "U.S.A." as cat is in "cat.jpg".
    """
    may_stand_inside = _WITHOUT_SPACES[spacing].match
    before = "" if may_stand_inside(entry[0]) else " "
    after = "" if may_stand_inside(entry[-1]) else " "
    return before + (_set_apart(entry) if spacing == WIDE else entry) + after


def _set_apart(text):
    """A space around each mark, and for each tab and line break."""
    for mark in MARKS:
        if mark in text:
            text = text.replace(mark, f" {mark} ")
    return text.replace("\t", " ").replace("\n", " ").replace("\r", " ")


def can_match(entry, spacing=PUBLISHED):
    """Whether any text at all can hold the entry: `U.S.` as published cannot, since texts have spaces around marks.

    Under "wide" every entry can.
    """
    return spacing == WIDE or not _NEVER_IN_A_TEXT.search(space_entry(entry, spacing))


def why_never(entry, spacing=PUBLISHED):
    """Why no text can hold the entry: one of few reasons, an example in each; None where can_match()."""
    if can_match(entry, spacing):
        return None
    spaced = space_entry(entry, spacing)
    return next(reason for reason, pattern in _NEVER if pattern.search(spaced))


class Matcher:
    """The entries of one language, ready for matching with pyahocorasick.

    Reading and building take a second or so for 100,000 entries.
    """

    def __init__(self, entries, spacing=PUBLISHED):
        import ahocorasick
        self.automaton = ahocorasick.Automaton(ahocorasick.STORE_INTS)
        self.same_form = {}         # id -> the later ids with the same spaced form (possible in lists)
        for entry_id, entry in enumerate(entries):
            spaced = space_entry(entry, spacing)
            first = self.automaton.get(spaced, None)
            if first is None:
                self.automaton.add_word(spaced, entry_id)
            else:
                self.same_form.setdefault(first, []).append(entry_id)
        self.automaton.make_automaton()
        self.is_empty = not len(self.automaton)

    @classmethod
    def load(cls, metadata_dir, lang, engine=None):
        """The matcher of one language of a metadata release. engine: "native" (the default where it is built) or
        "pyahocorasick"; both have `match`. Spacing and normalisation are those of the release."""
        return cls.of(Release(metadata_dir), lang, engines.choose("match", engine))

    @classmethod
    def of(cls, release, lang, engine, verify=False):
        """The matcher of one language of an open release. verify: read a compiled file through before it is used."""
        matcher = compiled.open_matcher(release, lang, verify) if engine == "native" \
            else cls(release.entries(lang), release.spacing)
        return Normalizing(matcher) if release.nfc else matcher

    def match(self, texts):
        """(offsets int64 (n+1,), ids uint32): the entries in each of n texts, ascending and unique per text."""
        lists = [self._match(text) for text in texts]
        offsets = np.zeros(len(lists) + 1, np.int64)
        np.cumsum([len(ids) for ids in lists], out=offsets[1:])
        return offsets, np.fromiter(itertools.chain.from_iterable(lists), np.uint32, offsets[-1])

    def _match(self, text):
        if self.is_empty:               # pyahocorasick refuses to search for nothing
            return []
        found = {entry_id for _, entry_id in self.automaton.iter(space_text(text))}
        if self.same_form:
            for entry_id in found & self.same_form.keys():
                found.update(self.same_form[entry_id])
        return sorted(found)


class Normalizing:
    """A matcher of either engine, whose texts are normalised first: for entries that are in NFC."""

    def __init__(self, matcher):
        self.matcher = matcher

    def match(self, texts):
        return self.matcher.match([text if text.isascii() else normalize(text) for text in texts])


class Metadata:
    """The matchers of a metadata release, each opened when its language first comes."""

    def __init__(self, path, engine=None):
        self.release = Release(path)
        self.engine = engines.choose("match", engine)
        self.matchers = {}

    @property
    def langs(self):
        return self.release.langs

    @property
    def fingerprint(self):
        return self.release.fingerprint

    def __getitem__(self, lang):
        if lang not in self.matchers:
            self.matchers[lang] = Matcher.of(self.release, lang, self.engine, verify=True)
        return self.matchers[lang]

    def __getstate__(self):             # to a worker go the paths; it opens what it needs
        return {**self.__dict__, "matchers": {}}


class Annotator(pipeline.Stage):
    """Add `matched_entry_ids` to every pair."""

    name = "match"
    requires = ("lang",)

    def __init__(self, metadata, ids=None):
        """ids: ids.IdList of the images to which the run is restricted; None = all."""
        self.metadata = metadata
        self.ids = ids
        self.options = {"engine": metadata.engine, **({"ids": ids.options} if ids else {})}
        self.lineage = {"metadata": metadata.fingerprint}
        self.paths = {"metadata": metadata.release.path}

    def __call__(self, batch):
        if self.ids:
            self.ids.select(batch)
        batch.reject(self._foreign(batch))
        matched = [None] * len(batch)
        texts = batch.texts
        for lang, indices in batch.by_lang().items():
            offsets, ids = self.metadata[lang].match([texts[index] for index in indices])
            ids, offsets = ids.tolist(), offsets.tolist()
            for index, start, stop in zip(indices, offsets, offsets[1:]):
                matched[index] = ids[start:stop]
        batch.add("matched_entry_ids", matched)
        batch.tally["matched"] += sum(map(bool, matched))

    def _foreign(self, batch):
        """{index: (reason, hint)} of the pairs whose language or label the release does not have."""
        release, hint = self.metadata.release, " Was 'mc2 lid' run with another mapping?"
        langs, labels = set(release.langs), {"", *release.languages.lang_of}
        bad = {}
        for index, (lang, label) in enumerate(zip(batch.column("lang"), batch.column("lid", ""))):
            if lang not in langs:
                bad[index] = (f'"lang" is {lang!r}, which {release.path} does not have.', hint)
            elif label not in labels:
                bad[index] = (f'"lid" is {label!r}, no label of {release.path} '
                              f'({release.manifest["scheme"]}).', hint)
        return bad

    def summary(self, tally):
        text = f"{tally['matched']:,} matched, {tally['out'] - tally['matched']:,} without a match"
        return text + (f", {tally['not listed']:,} not listed" if self.ids else "")
