"""Describe any artefact of mc2 in a few lines for people."""
import os

from mc2 import manifests
from mc2.balancing import counting
from mc2.curate import job
from mc2.errors import BadData, BadUsage
from mc2.inspection import comparison, counts, pairs, releases, sources
from mc2.invisible import escaped
from mc2.metadata import packing, release
from mc2.metadata.sources import find
from mc2.pairs.shards import AS_THEY_ARE, LONGEST_LINE, is_table


def describe(path, metadata=None, lines=10_000, longest=LONGEST_LINE, reading=AS_THEY_ARE):
    """Yield lines of text about a release, counts, sources, thresholds, a curation or pairs. Invisible characters of
    texts and entries are escaped.

    metadata: directory of a release, to spell out entries; by default the one that the manifest names.
    lines: how many pairs to read; 0 = all. longest: bytes of a line, above which it is no pair. reading: which columns
    of pairs are id and text.
    """
    return map(escaped, _describe(path, metadata, lines, longest, reading))


def _describe(path, metadata, lines, longest, reading):
    if path != "-" and os.path.isdir(path):
        kind = (manifests.read(path) or {}).get("kind")
        if kind == release.KIND:
            return _of_manifest(path, releases.describe(release.Release(path)))
        if kind == counting.KIND:
            return _of_manifest(path, counts.describe(path, metadata))
        if kind == job.KIND:
            return _of_manifest(path, counts.describe_curation(path))
        try:
            return sources.describe(find(path))
        except BadUsage:
            raise BadUsage(f"{path}: neither metadata, counts, sources nor a curation. For shards of pairs, name one "
                           f"of them.") from None
    if path.endswith(packing.SUFFIX):
        return _of_manifest(path, releases.describe_packed(packing.read_manifest(path)))
    if path.endswith((".json", ".tsv")) and is_table(path, reading):
        return pairs.describe(path, metadata, lines, longest, reading)
    if path.endswith(".json"):
        return _of_manifest(path, counts.describe_thresholds(path))
    if path.endswith(".tsv"):
        return sources.describe_one(path)
    return pairs.describe(path, metadata, lines, longest, reading)


def _of_manifest(path, lines):
    """The lines that a description gives. Raises BadData where what it describes lacks something: it is damaged, and of an
    earlier version, which wrote no checksums."""
    try:
        yield from lines
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
