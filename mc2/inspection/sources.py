"""Describe a directory of sources, or one source."""
import itertools
import os

from mc2.errors import BadData
from mc2.metadata import sources
from mc2.tables import align


def describe(found):
    """Yield lines about sources. found: {(code, kind): path}"""
    yield f"sources of {len({code for code, _ in found}):,} Wikipedias"
    rows = [["file", "rows", "best"]]
    for (code, kind), path in found.items():
        n, first = _glance(path, kind, 3)
        rows.append([os.path.basename(path), f"{n:,}", ", ".join(row[0] for row in first)])
    yield from align(rows)


def describe_one(path):
    """Yield lines about one source. Raises BadData for another file."""
    kind = path.split(".")[-2] if path.count(".") >= 2 else ""
    if kind not in sources.KINDS:
        raise BadData(f"{path}: not a source; they are called CODE.KIND.tsv, KIND one of {', '.join(sources.KINDS)}.")
    n, first = _glance(path, kind, 20)
    yield f"{kind} source, {n:,} rows; the first:"
    yield from align([list(map(str, row)) for row in first] or [["(none)"]])


def _glance(path, kind, n):
    """(number of rows, the first n of them), repetitions left out as `merge` does; a list keeps its own."""
    source = sources.Source(path, kind)
    if kind == "list":
        return sum(1 for _ in source.rows()), list(itertools.islice(source.rows(), n))
    return source.distinct, list(itertools.islice(source.once(), n))
