"""The tars, or files of pairs, that a command line names: paths and URLs, and what stands for several of them.

    tars/*.tar                      a pattern, as in a shell; also in URLs
    tars/{00000..00010}.tar         numbers, with as many digits as they are written with; {a,b} for alternatives
    a.tar::b.tar                    one after the other, as webdataset writes it
    tars                            a directory: the tars in it
    @list.txt                       a list, with any of these on each line
"""
import glob
import itertools
import os
import re

from mc2 import files
from mc2.errors import BadUsage

DEEPEST = 10                                                # lists within lists
MOST = 1_000_000                                            # names that braces may stand for
TARS = (".tar",)
PAIRS = (".jsonl.zst", ".jsonl.gz", ".parquet", ".jsonl", ".csv", ".csv.gz", ".csv.zst", ".tsv", ".tsv.gz",
         ".tsv.zst")                                        # the first of which there are any in a directory
BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})")
LETTERS = re.compile(r"[a-z]\.\.[a-z]|[A-Z]\.\.[A-Z]")
CHAINED = re.compile(r"(?:zip|tar|libarchive|simplecache|filecache|blockcache|cached|dir|reference)(?:://|$)")


def expand(patterns, suffixes=TARS, within=()):
    """[path or URL] of the files that these names stand for, in their order; a name that is there is taken as it is.

    suffixes: of the files that a directory stands for. within: the lists that these patterns are in. Raises BadUsage
    where a name stands for no file.
    """
    found = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if pattern.startswith("@"):
            found += expand(_listed(pattern[1:], within), suffixes, (*within, files.identity(pattern[1:])))
        elif pattern.startswith("pipe:"):
            raise BadUsage(f"{pattern}: commands are not run. Name the URL itself (s3://..., hf://..., https://...).")
        else:
            for name in [pattern] if _is_there(pattern) else _parts(pattern):
                found += _files_of(name, suffixes)
    return found


def _is_there(path):
    return not files.is_remote(path) and os.path.exists(path)


def _parts(pattern):
    """The names on both sides of each `::`, but for those of a chain of URLs (zip://a.tar::s3://b.zip)."""
    parts = []
    for part in pattern.split("::"):
        if parts and (CHAINED.match(parts[-1].rpartition("::")[2]) or not part):
            parts[-1] += f"::{part}"
        else:
            parts.append(part)
    return parts


def _files_of(pattern, suffixes):
    names = [pattern] if _is_there(pattern) else _without_braces(pattern)
    found, missing = [], []
    for name in names:
        its_files = _matching(name, suffixes)
        found += its_files
        missing += [] if its_files else [name]
    if missing:
        raise BadUsage(f"{missing[0]}: no such files"
                       + (f", nor {len(missing) - 1:,} others" if len(missing) > 1 else "")
                       + (f" of the {len(names):,} that {pattern} stands for" if len(names) > 1 else "") + ".")
    return found


def _matching(name, suffixes):
    """The files of one name without braces: itself, those of a pattern, or those in a directory."""
    if files.is_remote(name):
        if "*" in name:
            from mc2 import remote
            return sorted(remote.expand(name))
        return _in_directory(name, suffixes) if name.endswith("/") else [name]
    if os.path.exists(name):
        paths = [name]
    else:
        try:
            paths = sorted(glob.glob(name, recursive=True))
        except ValueError:                              # a NUL in it
            paths = []
    return list(itertools.chain.from_iterable(
        _in_directory(path, suffixes) if os.path.isdir(path) else [path] for path in paths))


def _in_directory(folder, suffixes):
    names = [name for name in files.names_in(folder) if not name.startswith(".")]
    for suffix in suffixes:
        if its := sorted(name for name in names if name.endswith(suffix)):
            return [os.path.join(folder, name) for name in its]
    raise BadUsage(f"{folder}: is a directory without a file called {' or '.join('*' + suffix for suffix in suffixes)}.")


def _without_braces(pattern):
    """The names that a pattern with {0..9} or {a,b} stands for, in order."""
    pieces = BRACES.split(pattern)                      # text, inside of braces, text, ...
    choices = [[piece] if number % 2 == 0 else _choices(piece, pattern) for number, piece in enumerate(pieces)]
    total = 1
    for each in choices:
        total *= len(each)
        if total > MOST:
            raise BadUsage(f"{pattern}: stands for more than {MOST:,} names.")
    return ["".join(parts) for parts in itertools.product(*choices)]


def _choices(inside, pattern):
    if found := RANGE.fullmatch(inside):
        first, last = int(found[1]), int(found[2])
        if abs(last - first) >= MOST:
            raise BadUsage(f"{pattern}: stands for more than {MOST:,} names.")
        is_padded = any(each.startswith("0") and len(each) > 1 for each in found.groups())
        width = max(map(len, found.groups())) if is_padded else 0
        step = 1 if first <= last else -1
        return [f"{number:0{width}d}" for number in range(first, last + step, step)]
    if LETTERS.fullmatch(inside):
        first, last = ord(inside[0]), ord(inside[-1])
        step = 1 if first <= last else -1
        return [chr(number) for number in range(first, last + step, step)]
    return inside.split(",") if "," in inside else ["{" + inside + "}"]


def _listed(path, within):
    try:
        if files.identity(path) in within:
            through = " by way of others" if len(within) > 1 else ""
            raise BadUsage(f"{path}: this list names itself{through}. Take that line out.")
        if len(within) >= DEEPEST:
            raise BadUsage(f"{path}: more than {DEEPEST} lists are nested. Name the tars in one.")
        with open(path, encoding="utf-8") as stream:
            return [line for line in stream.read().split("\n") if line.strip()]
    except (OSError, ValueError) as error:              # ValueError: not UTF-8, or a NUL in the name
        raise BadUsage(f"{files.printable(path)}: cannot read the list ({error}).") from None
