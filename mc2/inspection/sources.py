"""Describe a directory of sources, or one source."""
import itertools
import os

from mc2.errors import BadData
from mc2.invisible import escaped
from mc2.metadata import sources
from mc2.metadata.points import has_points
from mc2.tables import align

BEST, FIRST = 3, 20             # rows that are shown: of each source, and of one alone


def describe(found):
    """Yield lines about sources. found: {(code, kind): path}. Raises BadData as sources.verify does."""
    known = facts(found)
    yield f"sources of {known['wikipedias']:,} Wikipedias"
    yield from align([["file", "rows", "best"], *(
        [name, f"{row['rows']:,}", ", ".join(map(escaped, row["best"]))] for name, row in known["files"].items())])
    for name, row in known["files"].items():
        yield from _vowel_points(name, row)


def facts(found):
    """What is known of sources; dict. files: {name: wikipedia, source, rows, best (entries), with_vowel_points}. Raises
    BadData as sources.verify does."""
    sources.verify(found)
    files = {}
    for (code, kind), path in found.items():
        n, first = _glance(path, kind, BEST)
        files[os.path.basename(path)] = {
            "wikipedia": code, "source": kind, "rows": n, "best": [row[0] for row in first],
            "with_vowel_points": _n_with_points(path, kind)}
    return {"kind": "sources", "wikipedias": len({code for code, _ in found}), "files": files}


def describe_one(path):
    """Yield lines about one source. Raises BadData for another file."""
    found = facts_of_one(path)
    yield f"{found['source']} source, {found['rows']:,} rows; the first:"
    yield from align([[str(cell) for cell in row] for row in found["first"]] or [["(none)"]])
    yield from _vowel_points(os.path.basename(path), found)


def facts_of_one(path):
    """What is known of one source; dict. first: rows. Raises BadData for another file."""
    kind = sources.kind_of(path)
    if kind is None:
        raise BadData(f"{path}: not a source; they are called CODE.KIND.tsv, KIND one of {', '.join(sources.KINDS)}, "
                      f"or CODE.NAME.list.tsv. For a table of pairs, say which columns are id and text: --id COLUMN "
                      f"(or --id auto) --text COLUMN.")
    sources.verify({("", kind): path})
    n, first = _glance(path, kind, FIRST)
    return {"kind": "source", "source": kind, "rows": n, "first": [list(row) for row in first],
            "with_vowel_points": _n_with_points(path, kind)}


def _n_with_points(path, kind):
    """How many lemmas have vowel points; 0 for sources of other kinds."""
    return sum(has_points(row[0]) for row in sources.Source(path, kind).once()) if kind == "wordnet" else 0


def _vowel_points(name, row):
    """Yield a line where lemmas can hardly match."""
    if row["with_vowel_points"]:
        yield (f"CAN HARDLY MATCH: {row['with_vowel_points']:,} lemmas of {name} have vowel points, which running text "
               f"hardly ever has. Take the points out with 'mc2 build-metadata wordnet --points remove'.")


def _glance(path, kind, n):
    """(number of rows, the first n of them), repetitions left out as `merge` does; a list keeps its own."""
    source = sources.Source(path, kind)
    if kind == "list":
        return sum(1 for _ in source.rows()), list(itertools.islice(source.rows(), n))
    return source.distinct, list(itertools.islice(source.once(), n))
