"""Pairs as tables in text: CSV as RFC 4180 has it, and the same with tabs (TSV). The first line names the columns.

    a cell                                             the value of the key
    empty                                              none: a key that is not there (without id or text the pair goes)
    of matched_entry_ids, lid_prob                     a list, a number, as JSON writes them
    any other                                          text

So text that is empty, and the difference between the number 1 and the text 1, are lost from JSON Lines to a table and
back. Values that are no text are written as JSON writes them, lists and objects too.

Cells with separators, quotes or line breaks are in quotes, in which a quote is doubled. A line of another number of
cells than the header, a quote that is not closed, and the like are bad lines, named by the line in which they begin;
reading goes on with the next line. Lines end with \\n or \\r\\n; \\n is written.

Most TSV of other people has no quotes around cells, and a `"` in it is a letter like any other. So in TSV a cell is in
quotes only where its closing quote is the last letter of the cell. Where that is not so in its line, it may be a cell
of several lines; it is taken for one only where the lines make up a row of the right number of cells, and are not rows
by themselves (see _Rows._tsv_row).
"""
import csv
import io
import json
import re
from collections import Counter, deque
from itertools import chain
from typing import NamedTuple

import orjson

from mc2 import files
from mc2.errors import BadData, BadLine
from mc2.pairs import advice, jsonl
from mc2.pairs.batch import end_before_last_image
from mc2.pairs.columns import NoPairs

DELIMITERS = {"csv": ",", "tsv": "\t"}
OTHER_DELIMITERS = {";": "semicolons", "|": "bars"}         # of tables that are not read
AS_JSON = ("matched_entry_ids", "lid_prob")     # keys of which the cells are JSON
NO_LIMIT = (1 << 31) - 1         # characters of a cell, the most that csv can be told on every system
ROW = 50                        # bytes that a row takes beside its cells, about
CUT_OFF = files.TOO_LONG + b"\n"
QUOTED = re.compile(r'"([^"]*(?:""[^"]*)*)"(?=\t|$)')        # a cell in quotes
NAME = re.compile(r"[\w.-]+")
URL = re.compile("(https?|s3|gs)://", re.IGNORECASE)
BOM = b"\xef\xbb\xbf"
HELD = 32 << 20                 # bytes of rows that an output holds back, to know all columns before it names them
REASONS = {"unexpected end of data": "a quote is not closed.",
           "expected after": "a quoted cell goes on after its closing quote.",
           "new-line character": "a carriage return stands alone."}


# ---------------------------------------------------------------- reading

class Block(NamedTuple):
    """Rows of one input: what one worker takes at a time.

    rows: [(number of its first line, cells)]. bad: [(number, line, reason, hint)], the lines that are no rows
    """

    source: str
    number: int
    names: list                 # of the columns; None for one without a name, of which all cells are empty
    columns: object             # mc2.pairs.columns.Columns, or None
    rows: list
    bad: list

    def before(self, number):
        """The rows before the line of this number, as a Block."""
        return self._replace(rows=[row for row in self.rows if row[0] < number],
                             bad=[line for line in self.bad if line[0] < number])

    def batch(self, requires=(), skip_bad=False, *more, **options):
        """The batch of the rows, as JSON Lines with the numbers of the lines of the table."""
        rows = self.rows
        if self.bad and not skip_bad:
            rows = [row for row in rows if row[0] < self.bad[0][0]]
        block = jsonl.Block(self.source, self.number, self._lines(rows))
        batch = block.batch(requires, skip_bad, *more, **options)
        batch.names = self._keys()
        for number, line, reason, hint in self.bad:
            batch.tally["in"] += 1
            batch._reject(number, line, reason, hint)
        batch.rejects.sort(key=lambda reject: reject.number)
        return batch

    def _layout(self):
        """[(key, column)] in the order of what is written, as Columns.layout gives it."""
        names = [name for name in self.names if name is not None]
        if self.columns:
            return self.columns.layout(names)
        return [(key, key) for key in ("id", "text", *(name for name in names if name not in ("id", "text")))]

    def _keys(self):
        """The keys of the columns, also of those in which all cells are empty, in the order of what is written."""
        return [key for key, _ in self._layout()]

    def _lines(self, rows):
        """The rows as JSON Lines, each in the line of the number where the row begins. bytes"""
        places = {name: place for place, name in enumerate(self.names) if name is not None}
        order = [(key, places[name]) for key, name in self._layout() if name in places]
        as_json = [key for key, _ in order if key in AS_JSON]
        url = places.get(self.columns.urls) if self.columns else None
        lines, at = [], self.number
        for number, cells in rows:
            record = {key: cells[index] for key, index in order if cells[index]}
            if self.columns and self.columns.urls is not None:
                made = self.columns.made_id(number, None if url is None else cells[url] or None)
                record = {"id": made, **record}
            elif "id" not in record:
                record["id"] = None
            if "text" not in record:
                record["text"] = None
            for key in as_json:
                if key in record:
                    record[key] = _value(record[key])
            lines += (b"\n" * (number - at), orjson.dumps(record))
            at = number
        return b"".join(lines)


def _value(cell):
    """The list or number that a cell holds as JSON; its text where it holds none."""
    try:
        return orjson.Fragment(cell.strip()) if type(orjson.loads(cell)) in (list, int, float) else cell
    except orjson.JSONDecodeError:
        return cell


def header_of(data, format):
    """The cells of the first line of a table; [] where there is none. data: the first bytes of it"""
    return _first_rows(data, format, 1)[0]


def looks_like_table(data, format):
    """Whether the first lines of an input have the same number of cells, two at least, and the first may be names; of
    one line alone, whether it has nothing but names. data: the first bytes of it"""
    header, row = _first_rows(data, format, 2)
    if len(header) < 2 or not all(header) or len(set(header)) < len(header):
        return False
    return len(row) == len(header) if row else all(map(NAME.fullmatch, header))


def looks_otherwise_delimited(data):
    """Whether the first lines of an input are a table whose cells are separated by something that is not read, which
    the message about its header says. data: the first bytes of it"""
    lines = data.decode("utf-8-sig", "replace").split("\n", 2)[:2]
    return any(separator in lines[0] and all(NAME.fullmatch(name.strip()) for name in lines[0].split(separator))
               and lines[-1].count(separator) == lines[0].count(separator) for separator in OTHER_DELIMITERS)


def _first_rows(data, format, n):
    """The cells of the first n lines that are not blank; [] for one that is no row, or is not there."""
    reader = _Rows("", enumerate(data.split(b"\n", n + 1)[:n], 1), format)
    return [row[1] if row and row[1] else [] for row in (reader.next_row() for _ in range(n))]


def read_blocks(path, blocks, format, reading, size, whole_images=None, found=None, longest=None):
    """Yield the Blocks of a table.

    blocks: iterable of (number of the first line, whole lines), as files.read_blocks gives them. whole_images: as in
    mc2.pairs.shards.read_blocks. found: called with the Columns. longest: characters of a cell, above which its row is
    a bad line: most often a quote is not closed; None = no limit
    """
    source = files.name_of(path)
    reader = _Rows(source, blocks, format, longest)
    header = (0, list(reading.header), None) if reading.header else reader.next_row()
    if header is None:
        return
    names = _names(source, header, format)
    columns = _columns_of(path, names, reading, header[0])
    if found and columns:
        found(columns)
    rows, bad, held, first = [], [], 0, None
    reader.width = len(names)
    for number, cells, reason in reader:
        if first is None and reading.header and cells == list(reading.header):
            raise BadData(f"{source}:{number}: this line has the names of the columns, and is no pair. Leave --header out.")
        first = first or number
        reason = reason or _wrong_cells(cells, names, format)
        if held >= size:
            block = Block(source, first, names, columns, rows, bad)
            end = _end_before_last_image(block, whole_images) if whole_images and rows else number
            held = 0                            # also where all is one image: it is looked at again after as many bytes
            if end > first:
                yield block.before(end)
                first = end
                rows, bad = ([each for each in part if each[0] >= end] for part in (rows, bad))
        if reason:
            bad.append((number, reader.line(), *reason))
        else:
            rows.append((number, cells))
        held += sum(map(len, cells or ())) + ROW
    if rows or bad or first is None:            # a table without rows is a Block too: its columns are carried along
        yield Block(source, first or header[0] + 1, names, columns, rows, bad)


def _columns_of(path, names, reading, header):
    """The Columns of a table, or None. Raises NoPairs; where the first line looks like a row, with what to do then."""
    try:
        return reading.columns_of(path, dict.fromkeys([name for name in names if name is not None], ""))
    except NoPairs as error:
        if header and any(name and URL.match(name) for name in names):
            error.hint = advice.for_no_header(names)
        raise


def rows_of(path, format):
    """Yield (number of the first line, {column: cell}) of the rows of any table. Raises BadData where there is none,
    and BadLine at a line that is no row."""
    source = files.name_of(path)
    reader = _Rows(source, files.read_blocks(path), format)
    header = reader.next_row()
    if header is None:
        raise BadData(f"{source}: is empty.")
    names = _names(source, header, format)
    reader.width = len(names)
    for number, cells, reason in reader:
        if reason := reason or _wrong_cells(cells, names, format):
            raise BadLine(source, number, *reason)
        yield number, {name: cell for name, cell in zip(names, cells) if name or cell and name is not None}


def _wrong_cells(cells, names, format):
    """(reason, hint) for a row of more or fewer cells than the header, or with one in a column that is left out; None
    for any other."""
    if len(cells) != len(names):
        return f"{len(cells):,} cells, but the header has {len(names):,}.", \
            f" A cell with a {'tab' if format == 'tsv' else 'comma'} or a quote in it must be in quotes."
    if None in names:
        place = next((place for place, name in enumerate(names, 1) if name is None and cells[place - 1].strip()), None)
        if place:
            return f"a cell in column {place:,}, which has no name.", " Name the column in the first line."
    return None


def _end_before_last_image(block, pairs_in):
    """The number of the line in which the last image of a block begins; that of its first line where it has one image
    only. pairs_in: function from a Block to the Batch of its rows that are pairs"""
    def last(n_rows):
        return pairs_in(block._replace(number=1, rows=list(enumerate(cells[len(cells) - n_rows:], 1)), bad=[]))

    cells = [each for _, each in block.rows]
    end, _ = end_before_last_image(len(cells), last)
    return block.rows[end][0] if end else block.number


def _names(source, header, format):
    """The names of the columns, None for those without one, where there are several: such columns come from commas at
    the ends of lines. Raises BadData for a first line that names none."""
    number, cells, reason = header
    if reason:
        raise BadData(f"{source}:{number}: {reason[0]}{reason[1]}")
    if sum(not name.strip() for name in cells) > 1:
        cells = [name if name.strip() else None for name in cells]
    twice = next((name for name, times in Counter(cells).items() if times > 1 and name is not None), None)
    if twice is not None:
        raise BadData(f"{source}:{number}: two columns are called {twice!r}. Rename one; the first line must name all "
                      f"columns.")
    if len(cells) == 1 and cells[0]:
        for delimiter, name, advised in ((",", "commas", "--format csv"), ("\t", "tabs", "--format tsv"),
                                         *((each, name, None) for each, name in OTHER_DELIMITERS.items())):
            if delimiter in cells[0] and delimiter != DELIMITERS[format]:
                raise BadData(f"{source}:{number}: the columns are separated by {name}. "
                              + (f"Say {advised}." if advised else advice.for_delimiter(source, delimiter)))
    return cells


class _Rows:
    """Iterates over (number of the first line, cells, None) of the rows of a table, or (number, None, (reason, hint))
    for lines that are no row. Blank lines are passed over.

    width: cells of a row, once it is known
    """

    def __init__(self, source, blocks, format, longest=None):
        self._longest = NO_LIMIT if longest is None else min(longest, NO_LIMIT)
        self._lines = _Lines(_numbered_lines(source, blocks))
        self._reader = csv.reader(self._lines, delimiter=DELIMITERS[format], strict=True)
        self._is_tsv, self.width = format == "tsv", None

    def __iter__(self):
        return iter(self.next_row, None)

    def next_row(self):
        """The next one, or None at the end."""
        lines, cells = self._lines, []
        while not cells:
            lines.begin()
            if self._is_tsv and (row := self._tsv_row()):
                return row
            csv.field_size_limit(self._longest)     # it is one for all readers of the process
            try:
                cells = next(self._reader)
            except StopIteration:
                return None
            except _CutOff:
                return lines.row[0][0], None, lines.wrong
            except csv.Error as error:
                lines.take_back()
                return lines.row[0][0], None, self._reason(str(error))
        if lines.wrong:
            return lines.row[0][0], None, lines.wrong
        return lines.row[0][0], cells, None

    def _tsv_row(self):
        """The next row of TSV, where its first line is not to be left to csv: a cell begins with a quote that is not
        closed at the end of the cell. None for any other line, which is not taken."""
        lines = self._lines
        text = lines.peek()
        if text is None or '"' not in text:
            return None
        alone = _cells_of_line(text)
        if len(alone.cells) != self.width and self.width == text.count("\t") + 1:
            parts = text.rstrip("\r\n").split("\t")               # also at a tab between two quotes
            alone = _LineOfCells([cell for part in parts for cell in _cells_of_line(part).cells], False)
        if alone.are_quoted:
            return None
        csv.field_size_limit(self._longest)
        try:
            cells = next(self._reader)
            if not lines.wrong and self._is_one_row(cells, [line.decode() for _, line in lines.row]):
                return lines.row[0][0], cells, None
        except (csv.Error, _CutOff):
            pass
        lines.take_back()
        if max(map(len, alone.cells)) > self._longest:
            return lines.row[0][0], None, self._reason("field larger")
        if any("\r" in cell for cell in alone.cells):
            return lines.row[0][0], None, self._reason("new-line character")
        return lines.row[0][0], alone.cells, None

    def _is_one_row(self, cells, lines):
        """Whether lines that are one row where quotes count as such are not rows by themselves, to which quotes are
        letters. A cell of several lines may have as many tabs as a row has; it is taken for one where all cells of the
        row are in quotes, as they are written here."""
        if self.width is None:                              # the header
            return True
        if len(cells) != self.width:
            return False
        if "\t".join('"' + cell.replace('"', '""') + '"' for cell in cells) == "".join(lines).rstrip("\r\n"):
            return True
        are_rows = [len(_cells_of_line(line).cells) == self.width for line in lines]
        has_tab = any("\n" in cell and "\t" in cell for cell in cells)
        return not any(are_rows[1:-1]) and not (are_rows[0] and has_tab)

    def _reason(self, error):
        """(reason, hint) for an error of csv."""
        if "field larger" in error:
            return f"a cell of more than {self._longest:,} characters: is a quote not closed?", \
                " If it is as long as that, give a larger --longest-line."
        return next((ours for theirs, ours in REASONS.items() if theirs in error), f"{error}."), ""

    def line(self):
        """The lines of the row, or of what is none, as they are. bytes"""
        return b"".join([line for _, line in self._lines.row]).rstrip(b"\r\n")


class _LineOfCells(NamedTuple):
    """The cells of one line of TSV. are_quoted: whether each that begins with a quote is in quotes, as csv reads it."""

    cells: list
    are_quoted: bool


def _cells_of_line(line):
    """The _LineOfCells of a line of TSV: what is in quotes without them, all else as it is."""
    cells, at, line = [], 0, line.removesuffix("\n").removesuffix("\r")
    are_quoted = True
    while at <= len(line):
        if quoted := QUOTED.match(line, at):
            cell, end = quoted[1].replace('""', '"'), quoted.end()
        else:
            are_quoted = are_quoted and line[at:at + 1] != '"'
            end = line.find("\t", at)
            end = len(line) if end < 0 else end
            cell = line[at:end]
        cells.append(cell)
        at = end + 1
    return _LineOfCells(cells, are_quoted)


class _CutOff(Exception):
    """The first line of a row is too long. Its rest is not there, so that no quote in it can be closed."""


class _Lines:
    """The lines that csv.reader asks for, which knows those of the row under way.

    row:         [(number, bytes)] of the row under way
    wrong:       (reason, hint) where it is not UTF-8, or a line of it is too long; else None
    """

    def __init__(self, lines):
        """lines: iterator of (number, bytes)"""
        self._lines, self._waiting = lines, deque()
        self.row, self.wrong = [], None

    def __iter__(self):
        return self

    def __next__(self):
        line = self._waiting.popleft() if self._waiting else next(self._lines)
        self.row.append(line)
        if line[1].endswith(CUT_OFF):
            self.wrong = advice.for_too_long("line", len(line[1]) - len(CUT_OFF))
            if len(self.row) == 1:
                raise _CutOff
        try:
            return line[1].decode()
        except UnicodeDecodeError as error:
            self.wrong = "not UTF-8.", f" The byte at column {error.start + 1} of line {line[0]} is wrong."
            return line[1].decode("utf-8", "surrogateescape")

    def peek(self):
        """The next line, which is still to be read; None where there is none, or where it is wrong."""
        if not self._waiting:
            try:
                self._waiting.append(next(self._lines))
            except StopIteration:
                return None
        line = self._waiting[0][1]
        if line.endswith(CUT_OFF):
            return None
        try:
            return line.decode()
        except UnicodeDecodeError:
            return None

    def begin(self):
        """A row begins."""
        self.row, self.wrong = [], None

    def take_back(self):
        """What is under way is no row: all lines but the first are read again."""
        self._waiting.extendleft(reversed(self.row[1:]))
        self.row = self.row[:1]


def _numbered_lines(source, blocks):
    """Yield (number, line with its end), without the byte order mark of the first. Raises BadData for text in
    UTF-16."""
    for number, block in blocks:
        if number == 1:
            if block.startswith((b"\xff\xfe", b"\xfe\xff")):
                mend = advice.through(source, "iconv -f UTF-16 -t UTF-8")
                raise BadData(f"{source}: is in UTF-16. Write it in UTF-8, {mend}")
            block = block.removeprefix(BOM)
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        for number, line in enumerate(lines, number):
            yield number, line + b"\n"


# ---------------------------------------------------------------- writing

def encode_csv(batch):
    """The pairs of a batch with the added keys, for the Writer: a line of JSON with the columns, then rows. bytes"""
    return _encode(batch, "csv")


def encode_tsv(batch):
    return _encode(batch, "tsv")


ENCODERS = {"csv": encode_csv, "tsv": encode_tsv}


def _encode(batch, format):
    records = _records_of(batch)                            # before the values: it may reject pairs
    if not len(batch) and not batch.names:
        return b""
    added = {key: batch.column(key) for key in batch.added}
    carried = [name for name in batch.names if name not in added]
    names = list(dict.fromkeys(chain(carried, chain.from_iterable(records), added)))
    rows = [[record.get(name, "") for name in names] for record in records]
    for key, values in added.items():
        place = names.index(key)
        for row, value in zip(rows, values):
            row[place] = _cell(value)
    return orjson.dumps(names, option=orjson.OPT_APPEND_NEWLINE) + _text_of(rows, format)


def _records_of(batch):
    """The pairs of a batch without the added keys: list of {key: cell}. Those that cannot be written are rejected."""
    records, bad = [], {}
    for index, line in enumerate(batch.lines_without(tuple(batch.added))):
        try:
            record = json.loads(line, parse_int=_Number, parse_float=_Number)
            records.append({key: _cell(value) for key, value in record.items()})
        except (TypeError, RecursionError):             # orjson writes 254 levels, and reads 1,024
            bad[index] = "nested too deeply to be written to a table.", " Write .jsonl.zst, or remove that key first."
    batch.reject(bad)
    return records


class _Number(str):
    """A number in its written form."""


def _plain_json(value):
    return orjson.Fragment(str(value))


def _cell(value):
    """A value as the text of a cell."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return orjson.dumps(value, default=_plain_json, option=orjson.OPT_PASSTHROUGH_SUBCLASS).decode()


def _text_of(rows, format):
    """Rows of cells as lines of a table. bytes"""
    lines = []

    class Sink:
        write = staticmethod(lines.append)

    # with \r\n as the end of a line both characters are put in quotes within cells
    csv.writer(Sink, delimiter=DELIMITERS[format], lineterminator="\r\n").writerows(rows)
    lines = [line[:-2] + "\n" for line in lines]
    if format == "tsv":
        for number, row in enumerate(rows):
            if lines[number].count("\n") > 1 and not _is_read_as_it_is(row, lines[number]):
                lines[number] = '"' + '"\t"'.join([cell.replace('"', '""') for cell in row]) + '"\n'
    return "".join(lines).encode()


def _is_read_as_it_is(cells, lines):
    """Whether the lines of a row of TSV, which are several, are taken for that one row; see _Rows._is_one_row."""
    reader = _Rows("", [(1, lines.encode())], "tsv")
    reader.width = len(cells)
    return [row for _, row, _ in reader] == [cells]


class Writer:
    """Writes what the encoders give as one table.

    The columns are those of the first HELD bytes of rows, which wait for that. A new column after them is refused.
    """

    def __init__(self, path, format, stream):
        self.path, self.format, self.stream = path, format, stream
        self.names, self.waiting, self.n_waiting, self.is_open = {}, [], 0, False

    def write(self, data):
        if not data:
            return
        names, _, rows = data.partition(b"\n")
        names = orjson.loads(names)
        if self.is_open:
            if new := next((name for name in names if name not in self.names), None):
                raise BadData(f"{self.path}: {advice.shown(new)} is a key that the pairs before do not have, and a "
                              f"table has the same columns from its first line. Write .jsonl.zst or .parquet.")
            self.stream.write(self._arranged(names, rows))
            return
        self.names.update(dict.fromkeys(names))
        self.waiting.append((names, rows))
        self.n_waiting += len(rows)
        if self.n_waiting > HELD:
            self._open()

    def close(self):
        if not self.is_open:
            self._open()

    def _open(self):
        self.is_open = True
        self.names = self.names or dict.fromkeys(("id", "text"))
        self.stream.write(_text_of([list(self.names)], self.format))
        for names, rows in self.waiting:
            self.stream.write(self._arranged(names, rows))
        self.waiting = []

    def _arranged(self, names, rows):
        """Rows with the columns `names` as rows with those of the table. bytes"""
        if names == list(self.names):
            return rows
        places = [names.index(name) if name in names else None for name in self.names]
        csv.field_size_limit(NO_LIMIT)          # these are cells that were written here
        read = csv.reader(io.StringIO(rows.decode(), newline=""), delimiter=DELIMITERS[self.format], strict=True)
        return _text_of([["" if place is None else row[place] for place in places] for row in read], self.format)
