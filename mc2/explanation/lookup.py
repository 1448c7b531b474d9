"""The pairs that are asked for, in files."""
import contextlib
import re

import numpy as np
import orjson

from mc2 import files
from mc2.errors import BadLine
from mc2.execution.processes import map_in_order
from mc2.explanation.explainer import id_and_text
from mc2.pairs import jsonl
from mc2.pairs.batch import same_as_before
from mc2.pairs.shards import read_blocks

PLAIN = re.compile("[A-Za-z0-9_.:-]*[A-Za-z_.:-][A-Za-z0-9_.:-]*")  # ids that JSON writes as they are, but for \\u00XX
ESCAPE = b"\\u00"


class Lookup:
    """The batches of some pairs, with all lines of each image that are adjacent, as the stages see them.

    wanted: ids (str); None = all pairs. ids: the IdList that the pairs went through, or None: lines between which
    others were left out are adjacent afterwards. meter: mc2.meter.Meter of the pairs that were looked through.
    reading: more arguments of mc2.pairs.shards.read_blocks
    """

    def __init__(self, inputs, wanted, ids, meter, first_only=False, **reading):
        self.inputs, self.ids, self.meter, self.reading = inputs, ids, meter, reading
        self.wanted = None if wanted is None else {pair_id.encode("utf-8", "surrogatepass") for pair_id in wanted}
        self.first_only = first_only
        self.seen = set()               # the ids of those that were found, bytes
        self.plain = self.wanted is not None and all(map(PLAIN.fullmatch, wanted))

    def __iter__(self):
        """Yield the batches. With first_only, nothing is read after all ids were found."""
        yield from self._of_inputs(self.inputs)

    def _of_inputs(self, inputs):
        for block in read_blocks(inputs, self._pairs_in, **self.reading):
            if self.wanted is None:
                batch = _batch_of(block)
                self.meter.update(batch.tally["in"])
                yield batch
                continue
            yield from self._of_block(block)
            if self.first_only and self.seen == self.wanted:
                return

    def in_processes(self, jobs):
        """The same batches; the inputs are looked through by so many processes, and only those that hold one of the ids
        are read again."""
        with contextlib.closing(map_in_order(HoldsAny(self.wanted, self.reading), self.inputs, jobs)) as holds:
            for path, (is_held, pairs) in zip(self.inputs, holds):
                self.meter.update(pairs)
                if is_held:
                    meter, self.meter = self.meter, _Count()          # it was counted
                    yield from self._of_inputs([path])
                    self.meter = meter
                if self.first_only and self.seen == self.wanted:
                    return

    def missing(self):
        """The ids that were not found, sorted."""
        return sorted(pair_id.decode("utf-8", "surrogatepass") for pair_id in (self.wanted or set()) - self.seen)

    def _pairs_in(self, block):
        batch = block.batch(skip_bad=True)
        if self.ids:
            self.ids(batch)
        return batch

    def _of_block(self, block):
        if self._cannot_hold(block):
            self.meter.update(block.data.count(b"\n"))
            return
        batch = _batch_of(block)
        self.meter.update(batch.tally["in"])
        for attribute in "dropped", "rejects":
            setattr(batch, attribute, [line for line in getattr(batch, attribute) if self._is_of(line.line)])
        runs = [(int(batch.numbers[run][0]), run) for run in self._runs(batch)]
        if no_pairs := [*batch.dropped, *batch.rejects]:
            runs.append((min(line.number for line in no_pairs), None))
        for _, run in sorted(runs, key=lambda each: each[0]):
            if run is None:
                batch.select(np.zeros(len(batch), bool))
                yield batch
                continue
            pairs = _batch_of(block)
            pairs.dropped, pairs.rejects = [], []
            pairs.select(run)
            yield pairs

    def _cannot_hold(self, block):
        """Whether it is certain, without parsing it, that a block has none of the ids."""
        return (self.plain and isinstance(block, jsonl.Block) and block.columns is None and ESCAPE not in block.data
                and not any(pair_id in block.data for pair_id in self.wanted))

    def _is_of(self, line):
        """Whether a line that is no pair is of one of the ids."""
        pair_id, _ = id_and_text(line)
        found = {pair_id.encode()} & self.wanted if pair_id is not None else \
            {wanted for wanted in self.wanted if orjson.dumps(wanted.decode("utf-8", "replace")) in line}
        self.seen |= found
        return bool(found)

    def _runs(self, batch):
        """Flags of the adjacent lines of one id, bool (len(batch),), of each of the ids that are wanted. Adjacent are
        lines without others between them that stay in."""
        ids = batch.strings("id")
        is_wanted = np.zeros(len(batch), bool)
        for pair_id in self.wanted:
            rows = _equal(ids, pair_id)
            is_wanted |= rows
            if rows.any():
                self.seen.add(pair_id)
        if not is_wanted.any():
            return []
        stays = self.ids.listed(ids) if self.ids else np.ones(len(batch), bool)
        runs = [is_wanted & ~stays] if (is_wanted & ~stays).any() else []
        rows = np.flatnonzero(stays)
        image = np.cumsum(~same_as_before([ids[stays]]))
        for number in np.unique(image[is_wanted[rows]]).tolist():
            run = np.zeros(len(batch), bool)
            run[rows[image == number]] = True
            runs.append(run)
        return runs


class _Count:
    """A meter that shows nothing."""

    done = 0

    def update(self, n):
        self.done += n


class HoldsAny:
    """From the path of an input to (whether it holds pairs, or lines that are none, of one of some ids; how many pairs
    were looked through)."""

    def __init__(self, wanted, reading):
        """wanted: set of bytes. reading: arguments of read_blocks, without functions"""
        self.wanted = [pair_id.decode("utf-8", "surrogatepass") for pair_id in wanted]
        self.reading = {key: value for key, value in reading.items() if key != "found"}

    def __call__(self, path):
        meter = _Count()
        lookup = Lookup([path], self.wanted, None, meter, **self.reading)
        return any(True for _ in lookup), meter.done


def _batch_of(block):
    return block.batch(skip_bad=True, keep_dropped=True)


def _equal(strings, wanted):
    """bool (len(strings),): which of the strings are this one. wanted: bytes"""
    equal = np.diff(strings.offsets) == len(wanted)
    rows = np.flatnonzero(equal)
    if len(wanted) and len(rows):
        characters = strings.data[strings.offsets[rows][:, None] + np.arange(len(wanted))]
        equal[rows] = (characters == np.frombuffer(wanted, np.uint8)).all(1)
    return equal


def of_texts(texts, pair_id, source="--text", number=1):
    """The batch of texts (list of str) of one image. pair_id: its id; None where they have none: each is then an image
    of its own. source, number: where the first of them is"""
    ids = [pair_id] * len(texts) if pair_id is not None else map(str, range(len(texts)))
    lines = [orjson.dumps({"id": its_id, "text": text}) + b"\n" for its_id, text in zip(ids, texts)]
    return _batch_of(jsonl.Block(source, number, b"".join(lines)))


def lines_of_stdin():
    """Yield (number, line) of stdin, without their ends; empty ones are left out. Raises BadLine for one that is not
    UTF-8."""
    for first, block in files.read_blocks("-"):
        for number, line in enumerate(block.split(b"\n"), first):
            try:
                text = line.decode().rstrip("\r")
            except UnicodeDecodeError:
                raise BadLine(files.STDIN, number, "is not UTF-8.") from None
            if text:
                yield number, text
