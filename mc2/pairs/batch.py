"""The pair, and a batch of pairs. This is the record of all of mc2.

    key                 type          added by   meaning
    id                  string        the user   id of the image; lines that share one are adjacent
    text                string        the user   the alt-text; may be empty
    lid                 string        lid        the LID model's own label, e.g. "fr" or "fra_Latn"
    lid_prob            number        lid        its probability, at most 1, 4 decimals
    lang                string        lid        the metadata language that the label maps to, or "other"
    matched_entry_ids   list of int   match      ascending, unique; [] when nothing matched

`id` and `text` are mandatory; a pair in which one of them is null is dropped, and counted.
Keys that mc2 does not know (url, source, ...) are passed on.

How pairs are stored is the matter of a codec: jsonl.py (lines) and arrow.py (rows of tables). A codec has a `Block`,
what one worker takes at a time, with `batch(...)`, and `encode(batch)`, which takes the batch of any codec.
"""
from collections import Counter
from collections.abc import Hashable
from itertools import chain, compress
from typing import NamedTuple

import numpy as np

from mc2 import engines
from mc2.errors import BadLine
from mc2.pairs.columns import NOT_TAKEN

# key -> (type, name of the type, what to do when the key is missing)
KEYS = {
    "id": (str, "a string", " Every pair needs an image id."),
    "text": (str, "a string", " Every pair needs its alt-text."),
    "lang": (str, "a string", " Run 'mc2 lid' first."),
    "matched_entry_ids": (list, "a list of integers", " Run 'mc2 match' first."),
}
WITHOUT = {"id": "without id", "text": "without text"}          # why a pair is dropped whose value is null
FIRST_LOOK = 16                 # lines at the end of a block in which the last image is looked for at first
NO_ENTRY_IDS = '"matched_entry_ids" is not an ascending list of entry ids.', ""


class Reject(NamedTuple):
    """A line that is not a pair, or not one that the stage can take."""

    number: int
    reason: str
    line: bytes


def offsets_of(lengths):
    """Where each of n lists begins in the array of all, and where the last one ends. int64 (n+1,). lengths: int (n,)"""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


class Labels:
    """A column of few distinct values. numbers: int (n,), indices into names. names: list of JSON values, mostly str,
    that never changes"""

    def __init__(self, numbers, names):
        self.numbers, self.names = numbers, names

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, keep):
        """The column of some pairs. keep: bool (n,)"""
        return Labels(self.numbers[keep], self.names)

    def one(self, index):
        """One of the strings."""
        return self.names[self.numbers[index]]

    def times(self):
        """How often each string occurs, of those that do. Counter"""
        found = Counter()
        for name, count in zip(self.names, np.bincount(self.numbers, minlength=len(self.names)).tolist()):
            if count:
                found[name] += count
        return found

    def tolist(self):
        return [self.names[number] for number in self.numbers.tolist()]


class Lists:
    """A column of lists of integers. offsets: int64 (n+1,). values: (offsets[n],); list k is offsets[k] to
    offsets[k+1]"""

    def __init__(self, offsets, values):
        self.offsets, self.values = offsets, values

    def __len__(self):
        return len(self.offsets) - 1

    def __getitem__(self, keep):
        """The column of some pairs. keep: bool (n,)"""
        lengths = np.diff(self.offsets)
        return Lists(offsets_of(lengths[keep]), self.values[np.repeat(keep, lengths)])

    def tolist(self):
        values, offsets = self.values.tolist(), self.offsets.tolist()
        return [values[start:stop] for start, stop in zip(offsets, offsets[1:])]


class Strings:
    """A column of strings in UTF-8, as the native core takes them: string k is data[offsets[k]:offsets[k+1]].

    data: uint8 (at least offsets[n],). offsets: int64 (n+1,), of which the first need not be 0.
    """

    def __init__(self, data, offsets):
        self.data, self.offsets = data, offsets

    @classmethod
    def of(cls, strings):
        """strings: list of str"""
        encoded = list(map(str.encode, strings))
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets_of(list(map(len, encoded))))

    def __len__(self):
        return len(self.offsets) - 1

    def __getitem__(self, keep):
        """The column of some pairs. keep: bool (n,)"""
        lengths = np.diff(self.offsets)
        data = self.data[self.offsets[0]:self.offsets[-1]]
        return Strings(data[np.repeat(keep, lengths)], offsets_of(lengths[keep]))

    def one(self, index):
        """One of the strings. bytes"""
        return self.data[self.offsets[index]:self.offsets[index + 1]].tobytes()

    def tolist(self):
        data, offsets = self.data[self.offsets[0]:self.offsets[-1]].tobytes(), (self.offsets - self.offsets[0]).tolist()
        if data.isascii():
            text = data.decode()                # once for all is faster
            return [text[start:stop] for start, stop in zip(offsets, offsets[1:])]
        return [data[start:stop].decode() for start, stop in zip(offsets, offsets[1:])]


def same_as_before(columns):
    """bool (n,): whether each row has the same strings as the row before it; False for the first row.

    columns: of Strings, all of one length.
    """
    if native := engines.native():
        return native.same_as_before([(column.data, column.offsets) for column in columns])
    rows = list(zip(*(column.tolist() for column in columns)))
    return np.array([False, *(row == before for before, row in zip(rows, rows[1:]))][:len(rows)], bool)


def end_before_last_image(n, pairs_in_last):
    """(How many of the n lines or rows of a block come before its last image, the id of that image in bytes).

    The last image begins after the last pair that has another id: a line that is no pair parts no image. (0, id) where
    all pairs have one id, (0, None) where there is none. pairs_in_last: function from k to the Batch of the pairs among
    the last k lines, of which the first has the number 1.
    """
    looked_at, last_id = 0, None
    while looked_at < n:
        looked_at = min(n, 2 * looked_at or FIRST_LOOK)
        batch = pairs_in_last(looked_at)
        ids = batch.strings("id")
        begins = np.flatnonzero(~same_as_before([ids]))             # of the images
        last_id = ids.one(begins[-1]) if len(begins) else None
        if len(begins) > 1:
            return n - looked_at + int(batch.numbers[begins[-1] - 1]), last_id
    return 0, last_id


class Batch:
    """Some pairs of one input: columns, and what happened to the pairs. A codec's Batch is made from a Block.

    source:   the input's name, for messages
    numbers:  int64 (len(self),), line or row numbers of the pairs, from 1
    tally:    Counter of what happened; `in` is the number of lines (non-blank) or rows, "bad: ..." and "dropped: ..."
              count by reason
    added:    {key: values of all pairs}, in the order in which they were added
    rejects:  list of Reject, the bad lines (only with skip_bad)
    dropped:  list of Reject, the dropped pairs (only with keep_dropped)
    names:    keys of the columns of a table in text, also of those that no pair has a value for; [] for other inputs
    """

    def __init__(self, block, requires=(), skip_bad=False, keep_dropped=False, adds=(), reads=()):
        """requires: keys that every pair must have beside id and text. Raises BadLine where one has not, unless
        skip_bad. adds: keys that will be added. reads: other keys, of strings, of which the labels will be asked for.
        To know these two beforehand saves time."""
        self.source = block.source
        self.skip_bad, self.keep_dropped = skip_bad, keep_dropped
        self.tally = Counter()
        self.numbers, self.added, self.rejects, self.dropped = np.empty(0, np.int64), {}, [], []
        self.names = []
        self._lists, self._labels, self._strings = {}, {}, {}       # columns in other forms, once made
        self._as_it_came = None         # the block before its lines were written anew
        if (lines := getattr(block, "as_it_came", None)) is not None:
            self._as_it_came = block._replace(data=lines)
        self._first_lines = None        # its lines, once one of them is asked for
        self._parse(block, tuple(dict.fromkeys(("id", "text", *requires))), adds, reads)

    def __len__(self):
        return len(self.numbers)

    # ------------------------------------------------------------ what a codec's Batch has

    def _parse(self, block, requires, adds, reads):
        """Fill in the pairs of a block; reject those that lack a key of `requires`."""
        raise NotImplementedError

    def _read(self, key, default=None):
        """The values of a key of the input, `default` where a pair does not have it. list"""
        raise NotImplementedError

    def _select(self, keep):
        """Keep the pairs whose flag is true. keep: bool (len(self),)"""
        raise NotImplementedError

    def line(self, index):
        """The JSON of one pair as it came in, to its closing brace. bytes"""
        raise NotImplementedError

    def lines_without(self, keys):
        """The JSON of all pairs without some keys, to the closing brace; pairs that have no such form are rejected
        before. list of bytes"""
        raise NotImplementedError

    # ------------------------------------------------------------ columns

    def column(self, key, default=None):
        """The values of a key, added ones too; `default` where a pair does not have it. list of len(self) values"""
        if key in self.added:
            if key not in self._lists:
                values = self.added[key]
                self._lists[key] = values if isinstance(values, list) else values.tolist()
            return self._lists[key]
        return self._read(key, default)

    @property
    def texts(self):
        return self.column("text")

    def labels(self, key, default=None):
        """A column of strings as Labels; `default` where a pair does not have the key."""
        if isinstance(self.added.get(key), Labels):
            return self.added[key]
        if default is not None:
            return _labels_of(self.column(key, default))
        if key not in self._labels:
            self._labels[key] = _labels_of(self.column(key))
        return self._labels[key]

    def strings(self, key):
        """A column of strings as Strings."""
        if isinstance(self.added.get(key), Strings):
            return self.added[key]
        if key not in self._strings:
            self._strings[key] = Strings.of(self.column(key))
        return self._strings[key]

    def by_lang(self):
        """{lang: indices of its pairs, ascending, int64}, of the languages that occur"""
        langs = self.labels("lang")
        few = np.uint16 if len(langs.names) < 1 << 16 else np.int64             # sorted much faster
        order = np.argsort(langs.numbers.astype(few), kind="stable")
        numbers, starts = np.unique(langs.numbers[order], return_index=True)
        return {langs.names[number]: indices for number, indices in zip(numbers.tolist(), np.split(order, starts[1:]))}

    def matched_ids(self):
        """(offsets int64 (n+1,), ids uint32): matched_entry_ids of all pairs. Malformed ones are rejected."""
        found = self.added.get("matched_entry_ids")
        if isinstance(found, Lists):
            return found.offsets, found.values
        lists = self.column("matched_entry_ids")
        if set(map(type, chain.from_iterable(lists))) <= {int}:
            try:
                offsets, ids = _csr(lists)
            except OverflowError:
                offsets, ids = None, None
            if ids is not None and ascending(offsets, ids) and (not ids.size or ids.max() < 1 << 32):
                return offsets, ids.astype(np.uint32)
        self.reject({index: NO_ENTRY_IDS for index, ids in enumerate(lists) if not are_entry_ids(ids)})
        offsets, ids = _csr(self.column("matched_entry_ids"))
        return offsets, ids.astype(np.uint32)

    # ------------------------------------------------------------ changes

    def add(self, key, values):
        """Give every pair a key. values: len(self) JSON values: a list, an array, Labels, Lists or
        Strings. Raises ValueError where they are more or fewer."""
        if len(values) != len(self):
            raise ValueError(f'"{key}" has {len(values):,} values for {len(self):,} pairs')
        self.added[key] = values
        for forms in (self._lists, self._labels, self._strings):
            forms.pop(key, None)

    def select(self, keep):
        """Keep the pairs whose flag is true. keep: len(self) truth values"""
        keep = np.asarray(keep, bool)
        self._select(keep)
        self.numbers = self.numbers[keep]
        self._lists, self._labels, self._strings = {}, {}, {}
        self.added = {key: list(compress(values, keep.tolist())) if isinstance(values, list) else values[keep]
                      for key, values in self.added.items()}

    def drop(self, reasons):
        """Leave out pairs, which are counted by reason.

        reasons: {index: reason} of these pairs, or Labels of all pairs, whose first name stands for no reason: such a
        pair stays.
        """
        if isinstance(reasons, dict):
            reasons = _of_all_pairs(reasons, len(self))
        stays = reasons.numbers == 0
        if stays.all():
            return
        times = np.bincount(reasons.numbers, minlength=len(reasons.names)).tolist()
        for reason, count in zip(reasons.names[1:], times[1:]):
            if count:
                self.tally[f"dropped: {reason}"] += count
        if self.keep_dropped:
            self.dropped += [Reject(int(self.numbers[index]), reasons.names[reasons.numbers[index]], self.line(index))
                             for index in np.flatnonzero(~stays).tolist()]
        self.select(stays)

    def drop_line(self, number, line, reason):
        """Count a line as a pair that is dropped, while lines are read."""
        self.tally[f"dropped: {reason}"] += 1
        if self.keep_dropped:
            self.dropped.append(Reject(number, reason, line))

    def reject(self, bad):
        """Leave out lines that are no pairs for a stage: {index: (reason, hint)}, or (reason, hint, kind) where the
        reason quotes the line: they are counted by kind, so that there are few of these. Raises BadLine unless
        skip_bad."""
        for index in sorted(bad):
            self._reject(int(self.numbers[index]), self.line(index) if self.skip_bad else b"", *bad[index])
        if bad:
            self.rejects.sort(key=lambda reject: reject.number)
            keep = np.ones(len(self), bool)
            keep[list(bad)] = False
            self.select(keep)

    def _reject(self, number, line, reason, hint="", kind=None):
        if not self.skip_bad:
            raise BadLine(self.source, number, reason, hint)
        self.tally[f"bad: {kind or reason}"] += 1
        if self._as_it_came:
            self._first_lines = self._first_lines or self._as_it_came.data.split(b"\n")
            line = self._first_lines[number - self._as_it_came.number].partition(NOT_TAKEN)[0].rstrip()
        self.rejects.append(Reject(number, reason + hint, line))


def _of_all_pairs(reasons, n):
    """{index: reason} of some of n pairs as Labels of all, with the first name for the others."""
    numbers = {reason: number for number, reason in enumerate(dict.fromkeys(reasons.values()), 1)}
    found = np.zeros(n, np.int64)
    found[list(reasons)] = [numbers[reason] for reason in reasons.values()]
    return Labels(found, [None, *numbers])


def _labels_of(values):
    """A list of values as Labels; lists and objects, which are no labels, as strings that show them."""
    numbers = {}
    try:
        found = [numbers.setdefault(value, len(numbers)) for value in values]
    except TypeError:
        return _labels_of([value if isinstance(value, Hashable) else str(value) for value in values])
    return Labels(np.array(found, np.int64), list(numbers))


def _csr(lists):
    offsets = offsets_of(list(map(len, lists)))
    return offsets, np.fromiter(chain.from_iterable(lists), np.int64, offsets[-1])


def ascending(offsets, ids):
    """Whether ids are non-negative and strictly ascending within each pair."""
    if not ids.size:
        return True
    rising = ids[1:] > ids[:-1]
    starts = offsets[1:-1]
    rising[starts[(starts > 0) & (starts < ids.size)] - 1] = True       # from one pair to the next all goes
    return bool(rising.all() and ids.min() >= 0)


def are_entry_ids(ids):
    """Whether a list is one of ascending entry ids."""
    return (all(type(i) is int and 0 <= i < 1 << 32 for i in ids)
            and all(a < b for a, b in zip(ids, ids[1:])))
