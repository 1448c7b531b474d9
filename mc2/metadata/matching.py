"""Find the metadata entries that occur in texts.

An entry occurs in a text when its spaced form (mc2/metadata/spacing.py) is a substring of the text's spaced form.
Upper and lower case differ, and entries may overlap. The id of an entry is its line number in {lang}.tsv, from 0.

    offsets, ids = Metadata("metadata")["fr"].match(["un chat noir", "rien"])
    ids[offsets[0]:offsets[1]]      # the ids that occur in the first text, e.g. [412 1077]
    ids[offsets[1]:offsets[2]]      # in the second one: []

There are two engines with the same results: the native one maps a compiled matcher into memory (compiled.py), and
pyahocorasick, in Matcher, builds its automaton anew.
"""
import itertools

import numpy as np

from mc2 import engines, terminal
from mc2.metadata import compiled, normal_form
from mc2.metadata.release import Release
from mc2.metadata.spacing import PUBLISHED, normalize, space_entry, space_text
from mc2.pairs.batch import offsets_of


class Matcher:
    """The entries of one language, ready for matching with pyahocorasick. Building it takes about a second for 100,000
    entries."""

    def __init__(self, entries, spacing=PUBLISHED):
        import ahocorasick
        self.spacing = spacing
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

    @staticmethod
    def load(metadata_dir, lang, engine=None):
        """The matcher of one language of a metadata release, whichever the engine; see matcher_of."""
        return matcher_of(Release(metadata_dir), lang, engine)

    def match(self, texts):
        """(offsets int64 (n+1,), ids uint32): the entries in each of n texts, ascending and unique per text."""
        lists = [self._match(text) for text in texts]
        offsets = offsets_of(list(map(len, lists)))
        return offsets, np.fromiter(itertools.chain.from_iterable(lists), np.uint32, offsets[-1])

    def _match(self, text):
        if self.is_empty:               # pyahocorasick refuses to search for nothing
            return []
        found = {entry_id for _, entry_id in self.automaton.iter(space_text(text, self.spacing))}
        if self.same_form:
            for entry_id in found & self.same_form.keys():
                found.update(self.same_form[entry_id])
        return sorted(found)


class Normalizing:
    """A matcher of any engine that brings texts to NFC first: for releases whose entries are in NFC."""

    def __init__(self, matcher):
        self.matcher = matcher

    def match(self, texts):
        return self.matcher.match([text if text.isascii() else normalize(text) for text in texts])


def matcher_of(release, lang, engine=None):
    """The matcher of one language of an open Release: an object with `match`, which spaces and normalises texts as the
    release says.

    engine: "native" (the default where it is built) or "pyahocorasick".
    """
    if engines.choose("match", engine) == "native":
        matcher = compiled.open_matcher(release, lang)
    else:
        matcher = Matcher(release.entries(lang), release.spacing)
    return Normalizing(matcher) if release.nfc else matcher


class Metadata:
    """The matchers of a metadata release: metadata[lang]. Each is opened when it is first asked for."""

    def __init__(self, path, engine=None):
        self.release = Release(path)
        self.engine = engines.choose("match", engine)
        self.matchers = {}
        if self.engine == "native" and compiled.is_kept_nowhere(self.release):
            path = self.release.path
            terminal.say(f"{path}: has no compiled matchers, and nowhere to write them, so that every run is slower to "
                         f"start. Have the owner run 'mc2 build-metadata compile {path}', or set XDG_CACHE_HOME to a "
                         f"directory that can be written.")

    @property
    def langs(self):
        return self.release.langs

    @property
    def fingerprint(self):
        return self.release.fingerprint

    def __getitem__(self, lang):
        if lang not in self.matchers:
            self.matchers[lang] = matcher_of(self.release, lang, self.engine)
        return self.matchers[lang]

    def match(self, langs, texts):
        """(offsets int64 (n+1,), ids uint32): the entries in each of n texts, each of its language.

        langs: Labels. texts: Strings
        """
        occurring = langs.times()
        if self.engine == "native":
            matchers = [self._native(lang) if lang in occurring else None for lang in langs.names]
            texts = normal_form.normalized(texts) if self.release.nfc else texts
            return engines.native().match_languages(matchers, langs.numbers, texts.data, texts.offsets)
        lists, decoded = [None] * len(texts), texts.tolist()
        for number, lang in enumerate(langs.names):
            rows = np.flatnonzero(langs.numbers == number).tolist()
            if rows:
                offsets, ids = self[lang].match([decoded[row] for row in rows])
                for row, found in zip(rows, np.split(ids, offsets[1:-1])):
                    lists[row] = found
        return offsets_of(list(map(len, lists))), np.concatenate([np.empty(0, np.uint32), *lists])

    def _native(self, lang):
        """The native Matcher itself: texts are in the normal form already."""
        matcher = self[lang]
        return matcher.matcher if isinstance(matcher, Normalizing) else matcher

    def __getstate__(self):             # a worker process gets no matchers, and opens those that it needs
        return {**self.__dict__, "matchers": {}}
