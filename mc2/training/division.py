"""Which tars a process reads, and in which order: the same for a seed and a pass, whatever happened before.

A pass takes all tars in the order of a hash of (seed, pass, name). They are divided among streams, one for each
loading process of all ranks. A stream has a few readers, as many as it holds tars open; each reads its part of the
stream's tars one after another, and the stream takes a pair from each reader in rotation.
"""
import copy
import hashlib
from collections import Counter
from dataclasses import dataclass

import orjson

from mc2 import hashing, keys
from mc2.errors import BadUsage


def shards(data):
    """([(name, tar, file of its pairs or None)], notes). Raises BadUsage where a tar has no pairs, or not its own."""
    if not data.tars:
        raise BadUsage("no tars to train on. Name them.")
    names = [keys.shard(path) for path in data.tars]
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if data.pairs is None:
        return [(name if twice is None else path, path, None) for name, path in zip(names, data.tars)], []
    pairs_of = {keys.shard(path): path for path in data.pairs}
    hint = "Run 'mc2 join' to make a file of pairs for every tar."
    if twice is not None:
        raise BadUsage(f"two tars are called {twice}, so their pairs cannot be told apart. Rename one.")
    if len(pairs_of) < len(data.pairs):
        twice = next(name for name, times in Counter(map(keys.shard, data.pairs)).items() if times > 1)
        raise BadUsage(f"two files of pairs are called {twice}, and a tar has one. {hint}")
    without = [name for name in names if name not in pairs_of]
    if without:
        raise BadUsage(f"{without[0]}.tar has no pairs: no file of pairs is called so ({len(without):,} of "
                       f"{len(names):,} tars). {hint}")
    unused = sorted(pairs_of.keys() - set(names))
    return [(name, path, pairs_of[name]) for name, path in zip(names, data.tars)], \
        [f"{len(unused):,} of {len(pairs_of):,} files of pairs have no tar, {unused[0]} for one"] if unused else []


@dataclass
class ReaderCursor:
    """Where a reader is: units it has finished; of the unit under way, the sample of the last pair and how many pairs
    of this sample were given out."""

    finished: int = 0
    sample: int = 0
    pairs: int = 0

    def pair_given(self, sample, pairs):
        self.sample, self.pairs = sample, pairs

    def unit_finished(self):
        self.finished, self.sample, self.pairs = self.finished + 1, 0, 0


@dataclass
class Cursor:
    """Where a stream is within its data.

    units: those of this pass where they are not the usual ones of the stream. next_reader: the reader that gives the
    next pair.
    """

    pass_number: int
    readers: list
    next_reader: int = 0
    units: list = None

    @classmethod
    def at_pass(cls, number, n_readers, units=None):
        """The cursor at the beginning of a pass."""
        return cls(number, [ReaderCursor() for _ in range(n_readers)], units=units)

    @classmethod
    def of_state(cls, state):
        """The cursor that gave this state."""
        return cls(state["pass"], [ReaderCursor(*reader) for reader in state["slots"]], state["turn"], state["units"])

    def state(self):
        """The cursor as a checkpoint holds it: plain data."""
        return {"pass": self.pass_number, "units": self.units, "turn": self.next_reader,
                "slots": [[reader.finished, reader.sample, reader.pairs] for reader in self.readers]}

    def take_reader(self):
        """The reader that gives the next pair; then the one after it does."""
        reader, self.next_reader = self.next_reader, (self.next_reader + 1) % len(self.readers)
        return reader

    def begin_next_pass(self):
        beginning = Cursor.at_pass(self.pass_number + 1, len(self.readers))
        self.pass_number, self.readers, self.next_reader, self.units = beginning.pass_number, beginning.readers, 0, None

    def is_at_beginning(self):
        """Whether this is the beginning of a pass over all tars of the stream."""
        return self == Cursor.at_pass(self.pass_number, len(self.readers))


class Division:
    """How the tars of a pass are divided among n streams (processes of all ranks).

    A stream has units [shard, low, high, of]: the samples of a shard that fall into parts low..high-1 of `of` (see
    is_in). As many shards as go evenly are dealt out whole; of the rest every stream has the same part.
    """

    def __init__(self, data, names, n):
        self.names, self.n, self.seed, self.open_tars = names, n, data.seed, data.open_tars
        self.fingerprint = hashlib.sha256(orjson.dumps([data.seed, names])).hexdigest()

    def units(self, cursor, stream):
        """The units of a stream in the pass of its cursor."""
        if cursor.units is not None:
            return cursor.units
        seed = f"{self.seed}:{cursor.pass_number}"
        order = sorted(range(len(self.names)), key=lambda shard: hashing.keyed_hash("shard", seed, self.names[shard]))
        even = len(order) // self.n * self.n
        return [[shard, 0, 1, 1] for shard in order[stream:even:self.n]] + list(self._parts(order[even:], stream))

    def _parts(self, rest, stream):
        """The stream's part of the shards that do not go evenly: laid end to end, they are cut into n parts."""
        for number, shard in enumerate(rest):
            low = max(0, stream * len(rest) - number * self.n)
            high = min(self.n, (stream + 1) * len(rest) - number * self.n)
            if low < high:
                yield [shard, low, high, self.n]


def is_in(unit, index):
    """Whether sample `index` of a shard is in a unit. Any run of samples is spread evenly (golden ratio)."""
    _, low, high, of = unit
    return of == 1 or low <= ((index * 0x9E3779B97F4A7C15) % (1 << 64)) * of >> 64 < high


def rest(states, division):
    """(pass, units that are not finished) of the states of all ranks, which may have been divided otherwise."""
    old = copy.copy(division)
    old.n, old.open_tars = states[0]["world"] * states[0]["workers"], states[0]["open_tars"]
    cursors = cursors_of(states)
    number = min(cursor.pass_number for cursor in cursors)
    found = []
    for stream, cursor in enumerate(cursors):
        if cursor.pass_number == number:
            units = old.units(cursor, stream)
            for number_of_reader, reader in enumerate(cursor.readers):
                found += units[number_of_reader::old.open_tars][reader.finished:]
    return number, found


def cursors_of(states):
    """The cursors of all streams, from the states of all ranks."""
    return [Cursor.of_state(state) for rank in states for state in rank["places"]]
