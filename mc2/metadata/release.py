"""A metadata release: the directory that `mc2 build-metadata merge` writes and every later command reads.

    manifest.json   languages, entries per language and source, SHA-256 per file, options, fingerprint
    languages.csv   the mapping from LID labels to languages
    en.tsv ...      entry <TAB> source <TAB> score; the entry id is the line number from 0
"""
import hashlib
import os

from mc2 import manifests
from mc2.errors import BadData, BadUsage
from mc2.metadata import languages
from mc2.metadata.spacing import SPACINGS, WIDE, WORDS_END_AT

KIND = "metadata"
MADE_BY = "build-metadata merge"
STARTER = "build-metadata starter"


class Release:
    """A release opened for reading. Languages are read when asked for.

    spacing, nfc: how its entries and the texts are spaced, and whether they are normalised, to be matched.

    Raises BadUsage when there is no such directory, BadData when it is no release or was changed.
    """

    def __init__(self, path):
        self.path = os.fspath(path)
        self.manifest = manifests.read_kind(self.path, KIND, MADE_BY, f", or a first one with 'mc2 {STARTER}'")
        try:
            self.fingerprint = self.manifest["fingerprint"]
            self.n_entries = {lang: row["entries"] for lang, row in self.manifest["languages"].items()}
            if fingerprint(self.manifest) != self.fingerprint:
                raise BadData(f"{self.path}/manifest.json: does not fit its own fingerprint. "
                              f"Run 'mc2 {MADE_BY}' again.")
            self.read("languages.csv")
            options = self.manifest["options"]
            self.spacing = options.get("spacing", SPACINGS[0])
            self.nfc = options.get("nfc", False)
            words_end_at = options.get("words_end_at")
        except (KeyError, TypeError, AttributeError):
            raise BadData(f"{self.path}/manifest.json: incomplete. Run 'mc2 {MADE_BY}' again.") from None
        if self.spacing == WIDE and words_end_at is None:
            raise BadData(f"{self.path}: was merged with --spacing wide by an earlier version of mc2, which set texts "
                          f"apart at seven punctuation characters only; this version does at all, so other entries "
                          f"would match. Run 'mc2 {MADE_BY}' again, and match and count with the new release.")
        if self.spacing not in SPACINGS or self.nfc not in (False, True) or \
                words_end_at != (WORDS_END_AT if self.spacing == WIDE else None):
            raise BadData(f"{self.path}/manifest.json: spacing {self.spacing!r}{_ending(words_end_at)} and nfc "
                          f"{self.nfc!r}, which this version of mc2 does not know. Use the version that made it.")
        self.languages = languages.of_file(os.path.join(self.path, "languages.csv"))

    @property
    def langs(self):
        return list(self.n_entries)

    def rows(self, lang):
        """All entries of a language: list of [entry, source, score], the entry id being the index."""
        return [line.split("\t") for line in self._lines(lang)]

    def _lines(self, lang):
        if lang not in self.n_entries:
            raise BadUsage(f"{self.path}: has no language {lang!r}.")
        return self.read(f"{lang}.tsv").decode("utf-8").split("\n")[:-1]

    def entries(self, lang):
        """The entries of a language: list of str, the entry id being the index."""
        return [line.partition("\t")[0] for line in self._lines(lang)]

    def read(self, name):
        """The bytes of a file of the release. Raises BadData unless they are those that the manifest names."""
        try:
            with open(os.path.join(self.path, name), "rb") as stream:
                data = stream.read()
        except FileNotFoundError:
            raise BadData(f"{self.path}/{name}: missing. Run 'mc2 {MADE_BY}' again.") from None
        if hashlib.sha256(data).hexdigest() != self.manifest["sha256"][name]:
            raise BadData(f"{self.path}/{name}: was changed since the release was made. "
                          f"Run 'mc2 {MADE_BY}' again.")
        return data


def _ending(words_end_at):
    return "" if words_end_at is None else f", words end at {words_end_at!r},"


def fingerprint(manifest):
    """SHA-256 (hex) that identifies a release: of its files and options, and of nothing about how it was made."""
    return manifests.fingerprint({"sha256": manifest["sha256"], "options": manifest["options"]})


def mapping_of(metadata=None, scheme=None, path=None):
    """The languages.Languages in force: of the metadata release, if one is named, else of the scheme or of the file
    `path`. With a release, scheme and path can only confirm its mapping; raises BadUsage where they do not."""
    given = languages.of(scheme, path)
    if not metadata:
        return given
    release = Release(metadata)
    if scheme not in (None, release.manifest["scheme"]):
        raise BadUsage(f"--scheme {scheme}: {metadata} was merged for {release.manifest['scheme']}. Leave one of "
                       f"the two out, or merge the sources again with --scheme {scheme}.")
    if path and (given.lang_of, given.groups) != (release.languages.lang_of, release.languages.groups):
        raise BadUsage(f"--languages {path}: {metadata} was merged with another mapping. Leave one of the two out, "
                       f"or merge the sources again with --languages {path}.")
    return release.languages
