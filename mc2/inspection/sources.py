"""Describe a directory of sources, or one source."""
import itertools
import os

from mc2.errors import BadData
from mc2.invisible import escaped
from mc2.metadata import sources
from mc2.metadata.points import has_points
from mc2.tables import align


def describe(found):
    """Yield lines about sources. found: {(code, kind): path}. Raises BadData as sources.verify does."""
    sources.verify(found)
    yield f"sources of {len({code for code, _ in found}):,} Wikipedias"
    rows = [["file", "rows", "best"]]
    for (code, kind), path in found.items():
        n, first = _glance(path, kind, 3)
        rows.append([os.path.basename(path), f"{n:,}", ", ".join(escaped(row[0]) for row in first)])
    yield from align(rows)
    for (_, kind), path in found.items():
        yield from _vowel_points(path, kind)


def describe_one(path):
    """Yield lines about one source. Raises BadData for another file."""
    kind = sources.kind_of(path)
    if kind is None:
        raise BadData(f"{path}: not a source; they are called CODE.KIND.tsv, KIND one of {', '.join(sources.KINDS)}, "
                      f"or CODE.NAME.list.tsv.")
    sources.verify({("", kind): path})
    n, first = _glance(path, kind, 20)
    yield f"{kind} source, {n:,} rows; the first:"
    yield from align([[str(cell) for cell in row] for row in first] or [["(none)"]])
    yield from _vowel_points(path, kind)


def _vowel_points(path, kind):
    """Yield a line where lemmas can hardly match."""
    if kind == "wordnet" and (n := sum(has_points(row[0]) for row in sources.Source(path, kind).once())):
        yield (f"CAN HARDLY MATCH: {n:,} lemmas of {os.path.basename(path)} have vowel points, which running text "
               f"hardly ever has. Take the points out with 'mc2 build-metadata wordnet --points remove'.")


def _glance(path, kind, n):
    """(number of rows, the first n of them), repetitions left out as `merge` does; a list keeps its own."""
    source = sources.Source(path, kind)
    if kind == "list":
        return sum(1 for _ in source.rows()), list(itertools.islice(source.rows(), n))
    return source.distinct, list(itertools.islice(source.once(), n))
