"""Article titles with their pageviews, from Wikimedia's hourly pageview files, in bounded memory.

Files are counted in parts, each leaving one sorted run on disk (spill.py, parts.py); the runs are merged by ranges
of titles, sorted by views, and written.

The files name the pages that were asked for, whether they exist or not. These rules make titles of them, each right for
every Wikipedia:

- Views of the desktop, mobile and zero-rated sites, and of all hours, add up.
- Percent-encoding is undone, as often as it was done: no title may hold `%` and two hexadecimal digits.
- `_` is a space; white space is stripped, and runs of it are one space. Characters that set the writing direction
  (U+200E, U+200F, U+202A to U+202E) are removed. The title takes the normal form NFC. MediaWiki does the same to
  every title that it is asked for.
- Left out, and counted by their views: titles that are not UTF-8; titles with a colon, mostly of other namespaces;
  requests without a title (`-`, or nothing); and titles that MediaWiki allows no page to have: with the characters
  `# < > [ ] { | }`, controls or U+FFFD, character references (`&amp;`), `~~~`, relative paths (`.`, `../x`), and
  more than 255 bytes.

All others stay, as they may be titles of pages: main pages, names of files such as index.php, redirects, `?`. The first
letter is not made a capital, although MediaWiki does it in all Wikipedias but that of Lojban: matching is
case-sensitive, and people ask for `iPhone`, as they write it, where the page is `IPhone`.
"""
import itertools
import os
import re
import time
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from mc2 import files, manifests
from mc2.errors import BadData, BadUsage
from mc2.execution.processes import map_in_order
from mc2.metadata import pageviews, parts, sources, spill

MAX_BYTES = 255                 # of a title, in UTF-8
LOOK = 1000                     # titles after which memory is looked at
RANGES = 64                     # of titles, sorted by one process each
ROW_BYTES = 320                 # of memory for a row (-views, title) that is being sorted,
RUN_BYTES = 500_000             # for a run that is being merged,
INDEX_BYTES = 150               # and for a block in its index

NOT_UTF8 = "not UTF-8"
WITH_COLON = "with a colon"
UNTITLED = "without a title"
NO_TITLE = "no title a page can have"

_ENCODED = re.compile(rb"%[0-9A-Fa-f]{2}")
_DIRECTION = dict.fromkeys([0x200e, 0x200f, *range(0x202a, 0x202f)])
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f#<>\[\]{|}\ufffd]|&(?:[^\W_]+|#[0-9]+|#[xX][0-9a-fA-F]+);|~~~"
                        r"|(?:^|/)\.\.?(?:/|$)")


def clean(raw):
    """(title, None) of a title as it is in a file (bytes), or (None, why it is left out)."""
    if b":" in raw:
        return None, WITH_COLON
    raw = pageviews.unquote(raw)
    while _ENCODED.search(raw):
        raw = unquote_to_bytes(raw)
    try:
        title = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None, NOT_UTF8
    if ":" in title:
        return None, WITH_COLON
    if _FORBIDDEN.search(title):
        return None, NO_TITLE
    if not title.isascii():
        title = unicodedata.normalize("NFC", title.translate(_DIRECTION))
    title = " ".join(title.replace("_", " ").split())
    if title in ("", "-"):
        return None, UNTITLED
    if len(title.encode()) > MAX_BYTES:
        return None, NO_TITLE
    return title, None


def _is_clean(title):
    """Whether `clean` leaves a title of pageviews.Lines that is not odd as it is."""
    if "  " in title or title != title.strip(" "):
        return False
    if title.isascii():
        return len(title) <= MAX_BYTES and title not in ("", "-", ".", "..")
    return title.isprintable() and "\ufffd" not in title and unicodedata.is_normalized("NFC", title) \
        and (len(title) <= MAX_BYTES // 4 or len(title.encode()) <= MAX_BYTES)


# ---------------------------------------------------------------- counting

class Count(parts.Work):
    """From pageview files to one run of "code<TAB>title" and views. A part is a list of paths."""

    def __init__(self, codes, memory, skip_damaged=False):
        self.codes, self.memory, self.skip_damaged = codes, memory, skip_damaged
        self.options = {"codes": sorted(codes)}

    def describe(self, part):
        return [manifests.describe_file(path) for path in part]

    def count(self, part, directory, name):
        """{"run": file name or None, "lines" and "views": {"in" or why left out: number}, "damaged": {name: why},
        "empty": [name]}"""
        damaged = {}
        while True:
            views = _Views(directory, name, self.codes, self.memory)
            try:
                for path in part:
                    if files.name_of(path) not in damaged:
                        views.add_file(path)
                run = views.finish()
                break
            except _Damaged as error:           # some of its views are counted: begin again without it
                name_of_file, why = error.args
                if not self.skip_damaged:
                    raise _refused(why) from None
                damaged[name_of_file] = why
        return {"run": run, "lines": views.lines, "views": views.views, "damaged": damaged, "empty": views.empty}


class _Damaged(Exception):
    """args: name of the file, and a sentence that says what is wrong with it."""


def _refused(why):
    return BadData(f"{why} Or leave such files out with --on-error skip.")


class _Views:
    """Views per Wikipedia and title, in about `memory` bytes; more than that is spilled.

    Odd titles are counted apart as they are in the files, and made clean once, when they are spilled.
    """

    def __init__(self, directory, name, codes, memory):
        self.directory, self.name, self.memory = directory, name, memory
        # {plain title: views}, {odd title: views}
        self.tables = {code: (defaultdict(int), defaultdict(int)) for code in codes}
        self.tables_of = {domain: self.tables[code] for domain, code in pageviews.wiki_of_domain(codes).items()}
        self.lines, self.views, self.empty = Counter(), Counter(), []
        self.pieces = []                # paths of runs
        self.next_look = 0              # number of titles

    def add_file(self, path):
        lines = self.lines["in"]
        try:
            for some in pageviews.read(path):
                self.add_lines(some)
                self.lines["in"] += len(some.domains) + some.malformed
                self.lines["malformed"] += some.malformed
                self.spill_if_large()
        except BadData as error:
            raise _Damaged(files.name_of(path), str(error)) from None
        if self.lines["in"] == lines:
            self.empty.append(files.name_of(path))

    def add_lines(self, lines):
        """Add the views of all lines. Work that can wait is done when titles are spilled. Files are sorted, so the
        lines of a site mostly follow each other; those of other projects are skipped at once."""
        start, others, with_colon = 0, 0, 0
        for domain, same in itertools.groupby(lines.domains):
            stop = start + len(list(same))
            if domain in self.tables_of:
                plain, odd = self.tables_of[domain]
                some = slice(start, stop)
                for title, number, care in zip(lines.titles[some], lines.views[some], lines.odd[some]):
                    if not care:
                        plain[title] += number
                    elif ":" in title:
                        with_colon += number
                    else:
                        odd[title] += number
            else:
                others += stop - start
            start = stop
        self.lines["other projects"] += others
        self.views[WITH_COLON] += with_colon

    def spill_if_large(self):
        """Spill, if the tables have become too large. Cheap when they have not grown by much since the last look."""
        tables = list(itertools.chain.from_iterable(self.tables.values()))
        n = sum(map(len, tables))
        if n >= self.next_look:
            if sum(map(spill.bytes_of, tables)) > self.memory:
                self._spill()
                n = 0
            self.next_look = n * 1.1 + LOOK

    def finish(self):
        """The file name of one run with everything; None where there is nothing."""
        self._spill()
        self.views["in"] = sum(self.views.values())
        if not self.pieces:
            return None
        path = os.path.join(self.directory, f"{self.name}.run")
        if len(self.pieces) == 1:
            os.rename(self.pieces[0], path)
        else:
            pieces = spill.reduce_runs(self.pieces, self.directory, f"{self.name}.merged")
            spill.write_run(path, spill.merge([spill.Run(piece) for piece in pieces]))
            for piece in {*self.pieces, *pieces}:
                os.unlink(piece)
        return os.path.basename(path)

    def _spill(self):
        if any(map(any, self.tables.values())):
            path = os.path.join(self.directory, f"{self.name}.{len(self.pieces):04}.run")
            spill.write_run(path, self._rows())
            self.pieces.append(path)

    def _rows(self):
        """Take the rows ("code<TAB>title", views) out of the tables, sorted: a TAB comes before all letters."""
        for code in sorted(self.tables):
            plain, odd = self.tables[code]
            for title in [title for title in plain if not _is_clean(title)]:
                odd[title] += plain.pop(title)
            for title, views in odd.items():
                title, why = clean(pageviews.raw_title(title))
                if title is None:
                    self.views[why] += views
                else:
                    plain[title] += views
            self.views["kept"] += sum(plain.values())
            for title in sorted(plain):
                yield f"{code}\t{title}", plain[title]
            plain.clear()
            odd.clear()


# ---------------------------------------------------------------- sorting

class Sort(parts.Work):
    """From a range of the runs' titles to sorted files per Wikipedia, most viewed first. A part is (start, stop)."""

    def __init__(self, runs, memory):
        self.runs, self.memory = runs, memory
        self.options = {"runs": [os.path.basename(path) for path in runs]}

    def describe(self, part):
        return list(part)

    def count(self, part, directory, name):
        """{code: {"rows": number, "files": names of files of sort_in_chunks}}"""
        runs = [spill.Run(path) for path in self.runs]
        taken = sum(RUN_BYTES + INDEX_BYTES * len(run.first_keys) for run in runs)
        chunk_rows = max(10_000, (self.memory - taken) // ROW_BYTES)
        rows = spill.merge(runs, *part)
        split = ((*key.split("\t", 1), views) for key, views in rows)
        found = {}
        for code, of_wiki in itertools.groupby(split, key=lambda row: row[0]):
            rows_of_wiki = _Counted((-views, title) for _, title, views in of_wiki)
            paths = spill.sort_in_chunks(rows_of_wiki, _itself, chunk_rows, directory, f"{name}.{code}")
            found[code] = {"rows": rows_of_wiki.n, "files": [os.path.basename(path) for path in paths]}
        return found


def _itself(row):
    return row


class _Counted:
    """Passes rows on, and counts them in n."""

    def __init__(self, rows):
        self.rows, self.n = rows, 0

    def __iter__(self):
        for self.n, row in enumerate(self.rows, 1):
            yield row


# ---------------------------------------------------------------- the whole

@dataclass
class Result:
    """The outcome of `build`. lines, views: Counters of "in" and what was left out; titles: {code: rows written};
    removed: codes without views whose source of an earlier run was deleted."""

    lines: Counter
    views: Counter
    coverage: dict
    damaged: dict
    empty: list
    titles: dict
    parts: int
    parts_done_before: int
    removed: list


def build(paths, output, codes, options, *, jobs=1, memory=1 << 30, skip_damaged=False,
          progress=lambda results, total, unit: results, before_writing=lambda codes: None):
    """Write {code}.title.tsv to a sources directory for every Wikipedia of `codes` that was viewed, and delete what an
    earlier run wrote for the others. Returns a Result.

    paths: pageview files; options: for the manifests. The output does not depend on jobs, memory, the order of
    the paths, or how often the work was interrupted; it is kept in OUTPUT/.titles.work until all is done.
    Raises BadUsage for files of the same hour, BadData for a damaged one (unless it is skipped).
    """
    started = time.monotonic()
    _refuse_pipes(paths)
    pageviews.refuse_repeated(paths)
    paths = sorted(paths, key=lambda path: (os.path.basename(path), path))
    memory = parts.memory_per_worker(memory, jobs)
    with parts.work_directory(os.path.join(output, ".titles.work")) as work:
        result, runs = _count(paths, Count(codes, memory, skip_damaged), os.path.join(work, "count"), jobs, progress)
        sizes, chunks = _sort(Sort(runs, memory), os.path.join(work, "sort"), jobs, progress)
        before_writing(sorted(sizes))
        write = _Write(output, chunks, _undamaged(paths, result), options, result, time.monotonic() - started)
        largest_first = [code for code, _ in sizes.most_common()]
        written = map_in_order(write, largest_first, min(jobs, max(1, len(sizes))))
        result.titles = dict(zip(largest_first, progress(written, len(sizes), "Wikipedias")))
        result.removed = [code for code in sorted(set(codes) - sizes.keys()) if sources.remove(output, code, "title")]
    return result


def _count(paths, work, directory, jobs, progress):
    """(Result so far, paths of runs)"""
    groups = _groups(paths)
    counted, before = parts.do_parts(work, groups, directory, jobs,
                                     lambda results, total: progress(results, total, "parts"))
    result = _sum_up(paths, counted)
    if result.damaged and not work.skip_damaged:        # parts of an earlier run that skipped them
        raise _refused(next(iter(result.damaged.values())))
    result.parts, result.parts_done_before = len(groups), before
    return result, [os.path.join(directory, part["run"]) for part in counted if part["run"]]


def _sort(work, directory, jobs, progress):
    """({code: number of titles}, {code: paths of sorted files})"""
    ranges = spill.ranges([spill.Run(path) for path in work.runs], RANGES)
    found, _ = parts.do_parts(work, ranges, directory, jobs, lambda results, total: progress(results, total, "ranges"))
    sizes, chunks = Counter(), defaultdict(list)
    for code, of_range in itertools.chain.from_iterable(map(dict.items, found)):
        sizes[code] += of_range["rows"]
        chunks[code] += [os.path.join(directory, name) for name in of_range["files"]]
    return sizes, chunks


def _refuse_pipes(paths):
    for path in paths:
        if not os.path.isfile(path):
            raise BadUsage(f"{files.name_of(path)}: is no file. Pageviews are read by several processes, and again "
                           f"after an interruption: name files.")


def _groups(paths):
    """The parts: at most FAN_IN, so that their runs merge at once, of as few files as may be, so that little is lost
    when the work is interrupted. They do not depend on the number of processes, which may change on a rerun."""
    size = max(1, -(-len(paths) // spill.FAN_IN))
    return [paths[start:start + size] for start in range(0, len(paths), size)]


def _sum_up(paths, counted):
    result = Result(Counter(), Counter(), {}, {}, [], {}, 0, 0, [])
    for part in counted:
        result.lines.update(part["lines"])
        result.views.update(part["views"])
        result.damaged.update(part["damaged"])
        result.empty += part["empty"]
    if len(result.damaged) == len(paths):
        raise BadData(f"every file is damaged, such as {next(iter(result.damaged.values()))}")
    result.coverage = pageviews.coverage(_undamaged(paths, result))
    return result


def _undamaged(paths, result):
    return [path for path in paths if files.name_of(path) not in result.damaged]


class _Write:
    """From a code to its source. Returns the number of its titles."""

    def __init__(self, output, chunks, inputs, options, result, seconds):
        self.output, self.chunks, self.inputs, self.options, self.seconds = output, chunks, inputs, options, seconds
        self.lines = dict(result.lines)
        self.more = {"views": dict(result.views), **result.coverage, "damaged": result.damaged, "empty": result.empty}

    def __call__(self, code):
        paths = spill.reduce_sorted(self.chunks[code], _itself, os.path.dirname(self.chunks[code][0]), f"{code}.merged")
        rows = ((title, -views) for views, title in spill.merge_sorted(paths, _itself))
        return sources.write(self.output, code, "title", rows, self.inputs, self.options, self.lines, self.seconds,
                             **self.more)
