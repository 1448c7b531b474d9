"""Exact de-duplication of pairs over all shards of a pool, in bounded memory.

    divide    a shard -> a file of its lines, divided into buckets by a hash of the ids     (a ShardTask)
    gather    a range of buckets of all shards -> an output shard                           (a ShardTask)

All lines of an id are in one bucket, which is sorted in memory: by the hash of the id, that of id and text, and the line
itself. So the lines of an id are adjacent, and the output, read from its first shard to its last, is the same bytes
whichever shards the lines came in, and whoever did the work. Of lines of one id and text, the one with the smallest
bytes stays.
"""
import collections
import contextlib
import functools
import itertools
import os
import tempfile
import time

import numpy as np

from mc2 import __version__, documents, files, manifests, temporaries
from mc2.dedup import buckets
from mc2.errors import BadData, BadUsage
from mc2.execution import names, receipt, rounds
from mc2.execution.progress import Progress
from mc2.execution.run import mark_shards, refuse_foreign_shards
from mc2.execution.shard import DROPPED, LINES, REJECTS, ShardPaths, ShardTask, put_together
from mc2.execution.stage import Stage, Stages
from mc2.hashing import keyed_hashes
from mc2.pairs import jsonl
from mc2.pairs.batch import same_as_before
from mc2.pairs.shards import encoder_of, open_write, refuse_unopenable

SHARD_BYTES = 1 << 30           # of the lines of an output shard
PER_BYTE = 8                    # memory that a bucket takes while it is sorted, for each byte of its lines
LEAST_BITS, MOST_BITS = 8, 16
COMPRESSED_BY = 6               # how much smaller compressed shards are taken to be, to say how many buckets there are
PAIRS, IMAGES = "pairs", "images"
REASONS = {PAIRS: "same id and text", IMAGES: "same id"}
DIVIDED, PLAN = "divided", "dedup.json"         # in the work directory
SUFFIXES = (".jsonl.zst", ".jsonl.gz", ".jsonl", ".parquet")


class Dedup(Stage):
    """What the result depends on, in which form the lines are divided and written, and the receipt.

    by: PAIRS, a line goes where another has its id and text; IMAGES, where another has its id
    """

    name = "dedup urls"
    shard_bytes = SHARD_BYTES

    def __init__(self, by, lineage=None):
        self.by, self.options, self.lineage = by, {"by": by}, lineage or {}

    def lines_of(self, batch):
        """The lines that are divided, each a pair with its id, for a Batch that was read. bytes"""
        return jsonl.encode(batch)

    def encoder(self, output):
        """The function from a Batch of these lines to what goes to the output."""
        return encoder_of(output)

    def __call__(self, batch):
        """All pairs stay: which ones go is known when those of all shards are there."""

    def summary(self, tally):
        return f"{tally['out']:,} out for {tally['images']:,} images"


# ---------------------------------------------------------------- a bucket

def kept(data, by, keep_dropped=False):
    """The Batch of a bucket's lines without repeats, in order. data: bytes of whole lines"""
    found = jsonl.Block("", 1, data).batch()
    ids, texts = found.strings("id"), found.strings("text")
    of_id, of_pair = buckets.hashes_of_ids(ids), keyed_hashes(["dedup"], [ids, texts])
    lines = jsonl.encode(found).split(b"\n")[:-1]
    order = _order(of_id, of_pair, lines)
    batch = _batch_of(lines, order, keep_dropped)
    same_id, same_pair = (same_as_before(columns) for columns in _columns(batch))
    if _share_a_hash(of_id[order], same_id) or _share_a_hash(of_id[order], same_pair, of_pair[order]):
        order = sorted(range(len(lines)), key=lambda row: (of_id[row], ids.one(row), of_pair[row], texts.one(row),
                                                           lines[row]))
        batch = _batch_of(lines, order, keep_dropped)
        same_id, same_pair = (same_as_before(columns) for columns in _columns(batch))
    repeated = same_pair if by == PAIRS else same_id
    batch.tally["images"] = int(np.count_nonzero(~same_id))
    batch.drop(dict.fromkeys(np.flatnonzero(repeated).tolist(), REASONS[by]))
    return batch


def _columns(batch):
    return [batch.strings("id")], [batch.strings("id"), batch.strings("text")]


def _batch_of(lines, order, keep_dropped):
    data = b"".join([lines[row] + b"\n" for row in order])
    return jsonl.Block("", 1, data).batch(keep_dropped=keep_dropped)


def _order(of_id, of_pair, lines):
    """The rows by these hashes; those of one id and text by their lines. list of int"""
    order = np.lexsort((of_pair, of_id))
    same = np.append(False, (np.diff(of_id[order]) == 0) & (np.diff(of_pair[order]) == 0))[:len(order)]
    order = order.tolist()
    for begin, end in _runs(same):
        order[begin:end] = sorted(order[begin:end], key=lines.__getitem__)
    return order


def _runs(same):
    """Yield (begin, end) of rows that are the same as the one before, with that one. same: bool (n,)"""
    begins = np.flatnonzero(~same)
    ends = np.append(begins[1:], len(same))
    several = ends - begins > 1
    return zip(begins[several].tolist(), ends[several].tolist())


def _share_a_hash(hashes, same, more=None):
    """Whether two rows that follow one another differ, and yet have the same hash (and the same of `more`)."""
    equal = hashes[1:] == hashes[:-1]
    if more is not None:
        equal &= more[1:] == more[:-1]
    return bool(np.any(equal & ~same[1:]))


def gathered(sources, bits, first, last, by, memory, keep_dropped=False):
    """Yield the Batches of the buckets from `first` to before `last`, of all sources together.

    sources: buckets.Buckets. memory: bytes; a bucket that needs more is read several times, for some of its ids each
    """
    for bucket in range(first, last):
        size = sum(source.sizes.get(bucket, 0) for source in sources)
        more = 0
        while size * PER_BYTE >> more > memory and more < MOST_BITS:
            more += 1
        for part in range(1 << more):
            data = b"".join(_lines_of(sources, bucket, bits, more, part))
            if data:
                yield kept(data, by, keep_dropped)


def _lines_of(sources, bucket, bits, more, part):
    """Yield the lines of a bucket, or those whose hashes go on with the `more` bits of `part`."""
    for data in itertools.chain.from_iterable(source.read(bucket) for source in sources):
        if more:
            batch = jsonl.Block("", 1, data).batch()
            its = buckets.bucket_of(buckets.hashes_of_ids(batch.strings("id")), bits + more)
            batch.select(its == (bucket << more) + part)
            data = jsonl.encode(batch)
        yield data


# ---------------------------------------------------------------- tasks

class Divide(ShardTask):
    """Divide the lines of a shard into buckets."""

    def __init__(self, stages, paths, bits, **more):
        super().__init__(stages, paths, name="divide", **more)
        self.bits = bits

    def output(self, shard):
        return f"{super().output(shard)}.buckets"

    def description(self, shard):
        return {**super().description(shard), "bits": self.bits}

    @contextlib.contextmanager
    def open_output(self, output):
        with files.open_write(output, is_own=True) as stream:
            writer = buckets.Writer(stream, self.bits)
            yield writer
            writer.close()

    def encoder(self, output):
        return functools.partial(_encode, self.stages.last)


def _encode(stage, batch):
    """What a buckets.Writer takes of a Batch."""
    lines = stage.lines_of(batch)
    return buckets.hashes_of_ids(batch.strings("id")), lines


class Gather(ShardTask):
    """Make an output shard of a range of buckets. Items are names of output shards, NUMBER.SUFFIX."""

    def __init__(self, stages, paths, *, divided, bits, parts, of, memory, **more):
        """divided: files of buckets. bits: 2^bits buckets are in them. parts: how many output shards there are. of: a
        fingerprint of what they are made from."""
        super().__init__(stages, paths, name="gather", **more)
        self.divided, self.bits, self.parts, self.of, self.memory = divided, bits, parts, of, memory

    def description(self, name):
        return {"mc2": __version__, "input": self.of, "options": self.stages.options, "lineage": self.stages.lineage,
                "part": [number_of(name), self.parts]}

    def __call__(self, name):
        started, tally, output = time.monotonic(), collections.Counter(), self.output(name)
        each, number = (1 << self.bits) // self.parts, number_of(name)
        sources, encode = list(map(buckets.Buckets, self.divided)), self.stages.last.encoder(output)
        beside = self.paths.beside(DROPPED, name)
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(open_write(output, is_own=True))
            dropped = stack.enter_context(files.open_write(beside, is_own=True)) if DROPPED in self.keep else None
            for batch in gathered(sources, self.bits, number * each, (number + 1) * each, self.stages.last.by,
                                  self.memory, dropped is not None):
                out.write(encode(batch))
                batch.tally["out"] = len(batch)
                receipt.add_up(tally, batch.tally)
                if dropped:
                    dropped.write(LINES[DROPPED](batch))
        kept = {DROPPED: files.content_of(beside)} if dropped else {}
        manifests.write_for_file(output, self.stages.manifest([], tally, time.monotonic() - started,
                                                              description=self.description(name), beside=kept))
        return tally["in"]


def number_of(name):
    """The number of an output shard."""
    return int(name.partition(".")[0])


# ---------------------------------------------------------------- the command

def dedup_stream(run, by, memory):
    """De-duplicate the pairs of a Run to its output, a file or stdout, and print the receipt."""
    receipt.begin()
    started, read, tally = time.monotonic(), collections.Counter(), collections.Counter()
    stages, bits = Stages([Dedup(by, manifests.common_lineage(run.inputs))]), bits_for(run.inputs, memory)
    with tempfile.TemporaryDirectory(prefix="mc2-dedup-") as scratch:
        path, output_of_dropped = os.path.join(scratch, "buckets"), run.dropped
        run.dropped = output_of_dropped and os.path.join(scratch, "dropped")       # while the pairs are read
        with files.open_write(path, is_own=True) as stream:
            writer = buckets.Writer(stream, bits)
            for encoded in run.products([], read, functools.partial(_encode, stages.last)):
                writer.write(encoded)
            writer.close()
        with contextlib.ExitStack() as stack:
            out, encode = stack.enter_context(open_write(run.output)), encoder_of(run.output)
            dropped = _begun(stack, output_of_dropped, run.dropped)
            for batch in gathered([buckets.Buckets(path)], bits, 0, 1 << bits, by, memory, dropped is not None):
                out.write(encode(batch))
                batch.tally["out"] = len(batch)
                receipt.add_up(tally, batch.tally)
                if dropped:
                    dropped.write(LINES[DROPPED](batch))
    _add_what_was_read(tally, read)
    seconds = time.monotonic() - started
    if files.is_kept(run.output):
        manifests.write_for_file(run.output, stages.manifest(run.inputs, tally, seconds, **run.columns.noted()))
    run.receipt("dedup urls", f"{tally['in']:,} pairs in, {stages.last.summary(tally)}", tally, run.output, seconds)


def _begun(stack, output, begin):
    """An output that begins as the file `begin`; None where none is wanted."""
    if output is None:
        return None
    stream = stack.enter_context(files.open_write(output))
    with files.open_read(begin) as lines:
        while chunk := lines.read(files.BLOCK):
            stream.write(chunk)
    return stream


def _add_what_was_read(tally, read):
    """Add what happened while the shards were read: their lines are those that came in."""
    tally["in"] = read["in"]
    receipt.add_up(tally, {what: times for what, times in read.items() if what not in ("in", "out")})


def dedup_shards(run, output_dir, stage, memory, *, shards=None, suffix=SUFFIXES[0], executor=None, force=False):
    """De-duplicate the pairs of a Run to shards in a directory, and print the receipt. Returns what happened, a Counter.

    stage: a Dedup. shards: how many; None = as many as its shard_bytes gives. executor: function from a work directory
    and a name to an executor
    """
    started = time.monotonic()
    if "-" in run.inputs:
        raise BadUsage("--output-dir: stdin cannot be read again when the work goes on. Write it to a file first, "
                       "and name that.")
    refuse_foreign_shards(output_dir)
    refuse_unopenable([], [os.path.join(output_dir, part_name(0, suffix))])
    run.refuse_twice([os.path.join(output_dir, part_name(0, suffix)), output_dir])
    _refuse_inputs_within(run, output_dir)
    job = _Job(run, output_dir, stage, memory, shards, suffix)
    if not force:
        job.refuse_replacing()
    receipt.begin()
    job.work = mark_shards(output_dir)
    with job.alone(), contextlib.closing(executor(job.work, "dedup")) as workers, \
            Progress(stage.name, job.work, run.quiet) as progress:
        if force:
            job.forget()
        plan = job.plan() or job.divide(workers, progress)
        gather = job.gather(plan)
        items = [part_name(number, suffix) for number in range(plan["parts"])]
        todo = rounds.complete(gather, items, workers, progress, total=len(items))
        job.remove_others(items)
        job.put_together(gather, items)
        progress.end()
    tally = collections.Counter()
    for name in items:
        receipt.add_up(tally, manifests.read(gather.output(name))["counts"])
    _add_what_was_read(tally, collections.Counter(plan["read"]))
    summary = f"{len(run.inputs):,} shards, {tally['in']:,} pairs in, {stage.summary(tally)} in {len(items):,} shards"
    if len(todo) < len(items):
        summary += f"; {len(items) - len(todo):,} shards were finished"
    run.receipt(stage.name, summary, tally, output_dir, time.monotonic() - started)
    return tally


def _refuse_inputs_within(run, output_dir):
    """Raise BadUsage for an input in the output directory, whose shards have names of their own."""
    directory = files.identity(output_dir)
    for path in run.inputs:
        if os.path.dirname(files.identity(path)) == directory:
            raise BadUsage(f"{path}: is in the output directory. Name another one.")


def part_name(number, suffix):
    return f"{number:05d}{suffix}"


def bits_for(inputs, memory):
    """The bits of the number of buckets, by the size of the inputs; of those that are pipes nothing is known."""
    total = 0
    for path in inputs:
        size = manifests.describe_file(path).get("bytes", 0)
        total += size * (COMPRESSED_BY if files.has_suffix(path, *files.COMPRESSED, ".parquet") else 1)
    bits = LEAST_BITS
    while total * PER_BYTE >> bits > memory // 2 and bits < MOST_BITS:
        bits += 1
    return bits


class _Job:
    """One de-duplication of a pool into a directory of shards."""

    def __init__(self, run, output_dir, stage, memory, shards, suffix):
        self.run, self.out, self.memory, self.shards, self.suffix = run, output_dir, memory, shards, suffix
        self.work = None
        self.folder = os.path.join(output_dir, ".work")
        self.stages = Stages([stage])
        self.bits = bits_for(run.inputs, memory)
        keep = [what for what, path in ((REJECTS, run.rejects), (DROPPED, run.dropped)) if path]
        logs = None if files.is_remote(output_dir) else os.path.join(self.folder, "logs")
        paths = ShardPaths(os.path.join(self.folder, DIVIDED), os.path.join(output_dir, "quarantine"), self.folder, logs,
                           names.of(run.inputs))
        self.task = Divide(list(self.stages), paths, self.bits, skip_bad=run.skip_bad, keep=keep,
                           longest=run.longest, reading=run.reading)

    @contextlib.contextmanager
    def alone(self):
        """Hold the lock of the output directory."""
        if self.work is None:
            yield
            return
        with temporaries.locked(self.work, f"{self.out}: another run is writing this output. Wait for it to end.",
                                is_own=True):
            yield

    def description(self):
        """All that the result depends on, in whatever order the inputs are named."""
        described = ({**self.task.description(shard), "bits": None} for shard in self.run.inputs)
        inputs = sorted(described, key=manifests.fingerprint)       # the number of buckets changes nothing
        return {"inputs": manifests.fingerprint(inputs), "options": self.stages.options, "shards": self.shards,
                "suffix": self.suffix}

    def plan(self):
        """What an earlier run of the same inputs and options noted after it had divided all shards, where what it made
        is there still; else None."""
        found = self._noted()
        if found is None or found.get("description") != self.description() or found["parts"] > 1 << self.bits:
            return None
        divided = not rounds.missing(self.task, self.run.inputs)
        if self.task.keep and not divided:
            return None
        gather = self.gather(found)
        parts = [part_name(number, self.suffix) for number in range(found["parts"])]
        return found if divided or not rounds.missing(gather, parts) else None

    def _noted(self):
        """What an earlier run noted, of whatever inputs and options; None where there is nothing, or it is damaged."""
        try:
            return documents.parsed(files.read_bytes(self._plan_path()), self._plan_path(), "")
        except (OSError, BadData):
            return None

    def refuse_replacing(self):
        """Raise BadUsage where the shards that are there hold pairs of a file that is no input now."""
        inputs = (self._noted() or {}).get("inputs", [])
        if (others := sorted({*inputs} - {*self._inputs()})) and self._parts_there():
            raise BadUsage(f"{self.out}: holds the pairs of {others[0]}, which is not an input now, and its shards would "
                           f"be replaced. Name that too, or another output directory; or give -f to make it anew.")

    def _inputs(self):
        return [files.printable(str(files.identity(path))) for path in self.run.inputs]

    def divide(self, workers, progress):
        """Divide the shards into buckets. Returns the plan for the output shards."""
        run = self.run
        run.columns.look_at(run.inputs, run.reading)
        rounds.complete(self.task, run.inputs, workers, progress, total=len(run.inputs))
        tally, size = collections.Counter(), 0
        for path in run.inputs:
            manifest = manifests.read(self.task.output(path))
            receipt.add_up(tally, manifest["counts"])
            run.columns.say(path, manifest.get("columns"))
            size += sum(buckets.Buckets(self.task.output(path)).sizes.values())
        plan = {"description": self.description(), "inputs": sorted(self._inputs()), "parts": self.shards or self._parts(size), "read": dict(tally)}
        files.write_bytes(self._plan_path(), documents.dumped(plan), is_own=True)
        return plan

    def _parts(self, size):
        """How many output shards there are: a power of two, so that buckets are not divided."""
        parts = 1
        while size > parts * self.stages.last.shard_bytes and parts < 1 << self.bits:
            parts *= 2
        return parts

    def gather(self, plan):
        """The task that makes the output shards."""
        logs = self.task.paths.logs
        paths = ShardPaths(self.out, self.task.paths.quarantine, os.path.join(self.folder, "gathered"), logs,
                           names.Names())
        return Gather(list(self.stages), paths, divided=sorted(map(self.task.output, self.run.inputs)), bits=self.bits,
                      parts=plan["parts"], of=manifests.fingerprint(plan["description"]), memory=self.memory,
                      skip_bad=self.run.skip_bad, keep=[DROPPED] if self.run.dropped else [])

    def forget(self):
        """Have all done anew."""
        files.map_paths(self.task.forget, self.run.inputs)
        files.remove(self._plan_path())
        for name in self._parts_there():
            files.remove(files.manifest_name(os.path.join(self.out, name)))

    def remove_others(self, items):
        """Remove the shards of an earlier run that are not of this one, and what was divided for it."""
        for name in self._parts_there():
            if name not in items:
                _remove(os.path.join(self.out, name))
        if not self.task.keep:                  # what they left out would be asked for again
            for path in self.run.inputs:
                _remove(self.task.output(path))

    def _parts_there(self):
        """The names of output shards that are in the directory."""
        each = ((name, *name.partition(".")) for name in files.names_in(self.out))
        return [name for name, number, dot, rest in each if number.isdigit() and dot + rest in SUFFIXES]

    def put_together(self, gather, items):
        """Write the bad lines and the dropped pairs, also those of shards that were finished before."""
        for what, path in ((REJECTS, self.run.rejects), (DROPPED, self.run.dropped)):
            if path:
                with files.open_write(path) as out:
                    put_together(self.task, what, self.run.inputs, out)
                    if what == DROPPED:
                        put_together(gather, what, items, out)

    def _plan_path(self):
        return os.path.join(self.folder, PLAN)


def _remove(path):
    """Remove a file with its manifest."""
    files.remove(files.manifest_name(path))
    files.remove(path)
