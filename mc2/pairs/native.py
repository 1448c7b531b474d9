"""Lines of JSON as the native core reads and writes them: columns without a Python object per pair.

The core takes a line only where it means to it just what it means to the definition, the Batch of jsonl.py. It shows
all other lines, the odd ones, to Python, whose answer stands in the columns at its place. So nobody sees a difference.
"""
import numpy as np
import orjson

from mc2 import engines
from mc2.pairs.batch import KEYS, Labels, Lists, Strings, are_entry_ids, offsets_of

KIND = {"id": "strings", "text": "strings", "lang": "labels", "matched_entry_ids": "lists"}     # of those in KEYS
COLUMN = {"strings": Strings, "labels": Labels, "optional labels": Labels, "lists": Lists}
MOST_KEYS = 32                      # that the core looks for
assert KIND.keys() == KEYS.keys()


class Lines:
    """The pairs of a block of lines, and the columns that were asked for.

    n_lines:    lines that are not blank, those that are no pairs too
    numbers:    int64 (n,), line numbers of the pairs
    malformed:  bool (n,), which of them have a list that is none of entry ids; in the column it is empty
    optional:   keys whose column has "" where a pair does not have them
    """

    def __init__(self, data, first, requires, adds, reads, record_of):
        """data: bytes. first: number of the first line. requires: keys that become columns. reads: keys that become
        columns unless one is there that is no string. adds: keys of which is asked whether they are there.
        record_of(number, line): what Python says of an odd line, its record, or None."""
        wanted = {key: KIND[key] for key in requires}
        for key, kind in (*((key, "optional labels") for key in reads), *((key, "present") for key in adds)):
            if len(wanted) < MOST_KEYS:
                wanted.setdefault(key, kind)
        self.data, self._bit = data, {key: bit for bit, key in enumerate(wanted)}
        self.optional = {key for key, kind in wanted.items() if kind == "optional labels"}
        malformed, unread = [], set()

        def of_odd(number, index, line):
            record = record_of(number, line)
            if record is None:
                return None
            unread.update(key for key in self.optional if not isinstance(record.get(key, ""), str))
            values = [_native(kind, record.get(key)) for key, kind in wanted.items()]
            if "lists" in wanted.values() and values[self._bit["matched_entry_ids"]] is None:
                values[self._bit["matched_entry_ids"]] = []
                malformed.append(index)
            return sum(1 << bit for key, bit in self._bit.items() if key in record), values

        self.n_lines, self.numbers, self._begins, self._ends, self._present, columns = \
            engines.native().scan_lines(data, first, list(wanted.items()), of_odd)
        self.malformed = np.zeros(len(self), bool)
        self.malformed[malformed] = True
        self._scanned = {key: COLUMN[kind](*column) for (key, kind), column in zip(wanted.items(), columns)
                         if column is not None and key not in unread}
        self._kept, self._columns = None, dict(self._scanned)       # of all pairs; of those that are left

    def __len__(self):
        return len(self.numbers)

    def line(self, index):
        """The line of a pair, to its closing brace. bytes"""
        return self.data[self._begins[index]:self._ends[index]]

    def column(self, key):
        """Strings, Labels or Lists; None where it was not asked for."""
        if key not in self._columns and key in self._scanned:
            self._columns[key] = self._scanned[key][self._kept]
        return self._columns.get(key)

    def select(self, keep):
        """Keep the pairs whose flag is true. keep: bool (n,)"""
        if self._kept is None:
            self._kept = keep.copy()
        else:
            self._kept[self._kept] = keep
        self.numbers, self._begins, self._ends, self._present, self.malformed = \
            (each[keep] for each in (self.numbers, self._begins, self._ends, self._present, self.malformed))
        self._columns = {}                                          # made when they are asked for

    def knows(self, key):
        """Whether `have` can tell of this key."""
        return key in self._bit

    def have(self, key):
        """bool (n,): which pairs have a key."""
        return (self._present >> self._bit[key] & 1).astype(bool)

    def spliced(self, members, replaced):
        """All lines with members added. members: [what members_of gives]. replaced: {index: line that takes its place}.
        bytes, with a newline after each line"""
        indices = sorted(replaced)
        others = [replaced[index] for index in indices]
        return engines.native().splice_lines(self.data, self._begins, self._ends, members, np.array(indices, np.int64),
                                             b"".join(others), _offsets(others))


def _native(kind, value):
    """A value of an odd line as the core takes it; None for a list that is none of entry ids."""
    if kind in ("strings", "labels"):
        return value.encode()
    if kind == "optional labels":
        return value.encode() if isinstance(value, str) else b""
    return value if kind == "lists" and are_entry_ids(value) else None


def _offsets(parts):
    return offsets_of(list(map(len, parts)))


# ---------------------------------------------------------------- members of added columns

_tables = {}        # {key: (names, their members, offsets)}: names are the same in all batches of a stage


def members_of(key, values, one_by_one):
    """The members of an added column, as splice_lines takes them.

    one_by_one(values): a list of bytes, for a column that the core cannot write itself.
    """
    start = start_of(key)
    if isinstance(values, Labels):
        return ("labels", *_table_of(key, start, values.names), values.numbers)
    if isinstance(values, Lists) and values.values.dtype == np.uint32:
        return "lists", start + b"[", values.offsets, values.values
    parts = one_by_one(values)
    return "members", b"".join(parts), _offsets(parts)


def start_of(key):
    """`,"key":` in JSON. bytes"""
    return b",%b:" % orjson.dumps(key)


def _table_of(key, start, names):
    known = _tables.get(key)
    if known is None or known[0] is not names:
        parts = [start + orjson.dumps(name) for name in names]
        known = _tables[key] = names, b"".join(parts), _offsets(parts)
    return known[1:]
