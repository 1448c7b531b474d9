"""Find the metadata entries that occur in a text.

The spaced form of an entry must be a substring of the spaced form of the text, case-sensitive, overlaps
included. Spacing makes words of space-separated scripts match whole, and lets entries in Chinese, Thai
and their like match inside running text.

    Metadata("metadata")["fr"].match(["un chat noir"])  ->  (offsets [0 2], ids [412 1077])
"""
import itertools
import re
import string

import numpy as np

from mc2 import compiled, engines, pipeline
from mc2.metadata.release import Release

MARKS = ",.;:?!`"               # set apart by spaces in texts

# At these characters an entry may begin or end within running text: scripts written without
# spaces (as published; kana are not among them), and punctuation.
_CJK = ("\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002ceb0-\U0002ebef"
        "\uf900-\ufaff\u2e80-\u2fdf\u2ff0-\u2fff")
_THAI, _LAO, _BURMESE, _KHMER, _TIBETAN = \
    "\u0e00-\u0e7f", "\u0e80-\u0eff", "\u1000-\u109f", "\u1780-\u17ff", "\u0f00-\u0fff"
_PUNCTUATION = re.escape(string.punctuation + "，。、；：？！“”‘’（）【】《》〈〉「」『』～—")
_WITHOUT_SPACES = re.compile(f"[{_CJK}{_THAI}{_LAO}{_BURMESE}{_KHMER}{_TIBETAN}{_PUNCTUATION}]")

_NEVER_IN_A_TEXT = re.compile(f"[\t\n\r]|[^ ][{MARKS}]|[{MARKS}][^ ]|[{MARKS}] [{MARKS}]")


def space_text(text):
    """The form of a text in which entries are looked up."""
    text = f" {text.strip()} "
    for mark in MARKS:
        if mark in text:
            text = text.replace(mark, f" {mark} ")
    return text.replace("\t", " ").replace("\n", " ").replace("\r", " ")


def space_entry(entry):
    """The form of an entry that must occur in a spaced text."""
    before = "" if _WITHOUT_SPACES.match(entry[0]) else " "
    after = "" if _WITHOUT_SPACES.match(entry[-1]) else " "
    return before + entry + after


def can_match(entry):
    """Whether any text at all can hold the entry: `U.S.` cannot, since texts have spaces around marks."""
    return not _NEVER_IN_A_TEXT.search(space_entry(entry))


class Matcher:
    """The entries of one language, ready for matching with pyahocorasick.

    Reading and building take a second or so for 100,000 entries.
    """

    def __init__(self, entries):
        import ahocorasick
        self.automaton = ahocorasick.Automaton(ahocorasick.STORE_INTS)
        self.same_form = {}         # id -> the later ids with the same spaced form (possible in lists)
        for entry_id, entry in enumerate(entries):
            spaced = space_entry(entry)
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
        "pyahocorasick"; both have `match`."""
        return cls.of(Release(metadata_dir), lang, engines.choose("match", engine))

    @classmethod
    def of(cls, release, lang, engine, verify=False):
        """The matcher of one language of an open release. verify: read a compiled file through before it is used."""
        if engine == "native":
            return compiled.open_matcher(release, lang, verify)
        return cls(release.entries(lang))

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

    def __init__(self, metadata):
        self.metadata = metadata
        self.options = {"engine": metadata.engine}
        self.lineage = {"metadata": metadata.fingerprint}
        self.paths = {"metadata": metadata.release.path}

    def __call__(self, batch):
        batch.reject(self._foreign(batch))
        matched = [None] * len(batch)
        for lang, indices in batch.by_lang().items():
            texts = [batch.records[index]["text"] for index in indices]
            offsets, ids = self.metadata[lang].match(texts)
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
        for index, record in enumerate(batch.records):
            if record["lang"] not in langs:
                bad[index] = (f'"lang" is {record["lang"]!r}, which {release.path} does not have.', hint)
            elif record.get("lid", "") not in labels:
                bad[index] = (f'"lid" is {record["lid"]!r}, no label of {release.path} '
                              f'({release.manifest["scheme"]}).', hint)
        return bad

    def summary(self, tally):
        return f"{tally['matched']:,} matched, {tally['out'] - tally['matched']:,} without a match"
