"""Describe any artefact of mc2: in a few lines for people, or as facts, a dict that JSON can hold, for programs."""
import os

from mc2 import manifests
from mc2.balancing import counting
from mc2.curate import job
from mc2.errors import BadData, BadUsage
from mc2.inspection import checkpoints, comparison, counts, pairs, releases, sources
from mc2.invisible import escaped
from mc2.metadata import packing, release
from mc2.metadata.sources import find
from mc2.pairs.shards import AS_THEY_ARE, LONGEST_LINE, is_table, refuse_unopenable


def describe(path, metadata=None, lines=10_000, longest=LONGEST_LINE, reading=AS_THEY_ARE):
    """Yield lines of text about a release, counts, sources, thresholds, a curation or pairs. Invisible characters of
    texts and entries are escaped.

    metadata: directory of a release, to spell out entries; by default the one that the manifest names.
    lines: how many pairs to read; 0 = all. longest: bytes of a line, above which it is no pair. reading: which columns
    of pairs are id and text.
    """
    return map(escaped, _artefact(path, metadata, lines, longest, reading,
                                  lambda describing, _, *args: describing(*args)))


def facts(path, metadata=None, lines=10_000, longest=LONGEST_LINE, reading=AS_THEY_ARE):
    """The same as a dict, of which `kind` says what PATH is: metadata, counts, curation, sources, source, thresholds,
    checkpoint, pairs, or table (one in which it is not known which columns are id and text)."""
    found, = _artefact(path, metadata, lines, longest, reading, lambda _, finding, *args: [finding(*args)])
    return found


def _artefact(path, metadata, lines, longest, reading, of):
    """What `of` makes of the module that knows this artefact: called with its function that describes it, the one that
    gives its facts, and their arguments, it gives an iterable."""
    def of_manifest(*args):
        return _checked(path, of, *args)

    if checkpoints.is_one(path):
        return of(checkpoints.describe, checkpoints.facts, path)
    if path != "-" and os.path.isdir(path):
        kind = (manifests.read(path) or {}).get("kind")
        if kind == release.KIND:
            return of_manifest(releases.describe, releases.facts, release.Release(path))
        if kind == counting.KIND:
            return of_manifest(counts.describe, counts.facts, path, metadata)
        if kind == job.KIND:
            return of_manifest(counts.describe_curation, counts.facts_of_curation, path)
        try:
            return of(sources.describe, sources.facts, find(path))
        except BadUsage:
            raise BadUsage(f"{path}: neither metadata, counts, sources nor a curation. For shards of pairs, name one "
                           f"of them.") from None
    if path.endswith(packing.SUFFIX):
        return of_manifest(releases.describe_packed, releases.facts_of_packed, packing.read_manifest(path))
    if os.path.basename(path) == "manifest.json" or path.endswith(".manifest.json"):
        raise BadUsage(f"{path}: says how something was made. Name that instead: mc2 inspect {_described_by(path)}")
    if path.endswith(".json") and not is_table(path, reading):
        return of_manifest(counts.describe_thresholds, counts.facts_of_thresholds, path)
    if path.endswith(".tsv") and not is_table(path, reading):
        return of(sources.describe_one, sources.facts_of_one, path)
    refuse_unopenable([path], [], reading)
    return of(pairs.describe, pairs.facts, path, metadata, lines, longest, reading)


def _described_by(manifest):
    """The path of the directory or file of which this is the path of the manifest."""
    directory, name = os.path.split(manifest)
    return (directory or ".") if name == "manifest.json" else manifest.removesuffix(".manifest.json")


def _checked(path, of, *args):
    """Yield what of(*args) gives. Raises BadData where an artefact with a manifest lacks something: it is damaged, and
    of an earlier version, which wrote no checksums."""
    try:
        yield from of(*args)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadData(f"{path}: is damaged or incomplete ({type(error).__name__}: {error}). Make it again.") from error


def compare(path, against, texts=None, lines=10_000, longest=LONGEST_LINE):
    """Yield lines of text about how the release in the directory `path` (A) differs from that in `against` (B).
    Invisible characters of texts and entries are escaped.

    texts: file of pairs with `lang`, to be matched under both; lines: how many of them to read, 0 = all.
    longest: bytes of a line, above which it is no pair.
    """
    return map(escaped, _compare(path, against, texts, lines, longest))


def _compare(path, against, texts, lines, longest):
    a, b = release.Release(path), release.Release(against)
    yield from comparison.compare(a, b)
    if texts:
        yield ""
        yield from comparison.compare_texts(a, b, texts, lines, longest)


def facts_of_two(path, against, texts=None, lines=10_000, longest=LONGEST_LINE):
    """The same as a dict."""
    a, b = release.Release(path), release.Release(against)
    found = comparison.facts(a, b)
    return {**found, "texts": comparison.facts_of_texts(a, b, texts, lines, longest)} if texts else found
