"""Which tars a process reads, and in which order: the same for a seed and a pass, whatever happened before.

A pass takes all tars in the order of a hash of (seed, pass, name). They are divided among streams, one for each loading
process of all ranks; a stream reads its share through a few slots in turns.
"""
import copy
import hashlib
from collections import Counter

import orjson

from mc2 import hashing, tars
from mc2.errors import BadUsage


def shards(data):
    """([(name, tar, file of its pairs or None)], notes). Raises BadUsage where these do not go together."""
    if not data.tars:
        raise BadUsage("no tars to train on. Name them.")
    names = [tars.stem(path) for path in data.tars]
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if data.pairs is None:
        return [(name if twice is None else path, path, None) for name, path in zip(names, data.tars)], []
    pairs_of = {tars.stem(path): path for path in data.pairs}
    hint = "Run 'mc2 join' to make a file of pairs for every tar."
    if twice is not None:
        raise BadUsage(f"two tars are called {twice}, so their pairs cannot be told apart. Rename one.")
    if len(pairs_of) < len(data.pairs):
        twice = next(name for name, times in Counter(map(tars.stem, data.pairs)).items() if times > 1)
        raise BadUsage(f"two files of pairs are called {twice}, and a tar has one. {hint}")
    without = [name for name in names if name not in pairs_of]
    if without:
        raise BadUsage(f"{without[0]}.tar has no pairs: no file of pairs is called so ({len(without):,} of "
                       f"{len(names):,} tars). {hint}")
    unused = sorted(pairs_of.keys() - set(names))
    return [(name, path, pairs_of[name]) for name, path in zip(names, data.tars)], \
        [f"{len(unused):,} of {len(pairs_of):,} files of pairs have no tar, {unused[0]} for one"] if unused else []


class Division:
    """How the tars of a pass are divided among n streams (processes of all ranks).

    A stream has units [shard, low, high, of]: of a shard the samples whose place among `of` is in low..high-1. As
    many shards as go evenly are dealt out whole; of the rest every stream has the same part.
    """

    def __init__(self, data, names, n):
        self.names, self.n, self.seed, self.open_tars = names, n, data.seed, data.open_tars
        self.fingerprint = hashlib.sha256(orjson.dumps([data.seed, names])).hexdigest()

    def beginning(self, number):
        """The place at the beginning of a pass: plain data.

        units: those of this pass where they are not the usual ones. turn: the slot that comes next. slots: of each, how
        many of its units are finished, and of the one under way the next sample and how many of its pairs are done.
        """
        return {"pass": number, "units": None, "turn": 0, "slots": [[0, 0, 0] for _ in range(self.open_tars)]}

    def units(self, place, stream):
        """The units of a stream in the pass of a place."""
        if place["units"] is not None:
            return place["units"]
        seed = f"{self.seed}:{place['pass']}"
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
    places = [place for state in states for place in state["places"]]
    number = min(place["pass"] for place in places)
    found = []
    for stream, place in enumerate(places):
        if place["pass"] == number:
            units = old.units(place, stream)
            for slot, (finished, _, _) in enumerate(place["slots"]):
                found += units[slot::old.open_tars][finished:]
    return number, found
