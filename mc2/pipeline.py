"""Run a stage over pairs: from a stream to a stream, or from shards to shards, in one process or many.

A stage is an object with what `Stage` has. It gets a batch at a time and changes it: adds keys, drops
pairs, counts what it did in `batch.tally`. Reading, bad lines, --jobs, --shard, finished shards, progress,
manifests and the receipt are the same for all stages, and are here.
"""
import collections
import contextlib
import itertools
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass

from mc2 import files, manifests
from mc2.errors import BadData, BadUsage, Mc2Error
from mc2.records import Block


class Stage:
    """One step that every pair goes through. Stages are pickled to worker processes, so they hold
    paths and options, and open what is large when the first batch comes."""

    name = ""               # of the command
    requires = ()           # keys beside id and text
    whole_images = False    # whether the lines of one image must come in one batch
    passes_on = True        # whether the products hold the pairs; if not, other columns of Parquet are not read
    options = {}            # what else the output depends on: part of "finished", kept in the manifest
    lineage = {}            # fingerprints that the manifest carries on, e.g. {"metadata": ...}
    paths = {}              # where these artefacts were, for `mc2 inspect`

    def __call__(self, batch):
        raise NotImplementedError

    def product(self, batch):
        """What the stage makes of a batch, sent back from the worker. bytes, unless the stage reduces."""
        self(batch)
        return batch.encoded()

    @property
    def columns(self):
        """The columns of Parquet that are read; None = all."""
        return None if self.passes_on else ("id", "text", *self.requires)

    def summary(self, tally):
        """The middle of the receipt, e.g. "90 matched, 10 without a match"."""
        return f"{tally['out']:,} out"

    def check_input(self, path):
        """Refuse a file whose manifest says that it belongs to other metadata."""
        theirs = (manifests.read(path) or {}).get("lineage", {}) if path != "-" else {}
        for what, fingerprint in self.lineage.items():
            if theirs.get(what, fingerprint) != fingerprint:
                raise BadData(f"{path}: was made with {what} {theirs[what][:12]}, but this is {what} "
                              f"{fingerprint[:12]}. Use the {what} it was made with, or make it again.")


@dataclass
class Run:
    """What the command line says about inputs, outputs and the way to run."""

    inputs: list                # paths; "-" is stdin
    output: str = "-"
    output_dir: str = None
    jobs: int = 1               # worker processes; 0 = all cores
    force: bool = False
    dry_run: bool = False
    skip_bad: bool = False
    rejects: str = None         # file for the bad lines
    quiet: bool = False

    def __post_init__(self):
        outputs = [self.output] if self.output_dir is None else self._plan_shards()
        files.refuse_unopenable(self.inputs, outputs)
        self.refuse_twice(outputs + [self.rejects] if self.rejects else outputs)

    def __call__(self, stage):
        """Run the stage from the inputs to the output or output directory, and print the receipt."""
        self.refuse_twice([self.output] if self.output_dir is None else [], also=stage.paths.values())
        files.map_places(stage.check_input, self.inputs)
        if self.dry_run:
            self._print_plan(stage)
        elif self.output_dir is None:
            self._stream(stage)
        else:
            self._shards(stage)

    # ------------------------------------------------------------ one stream

    def _stream(self, stage):
        started = time.monotonic()
        tally = collections.Counter()
        with open_write(self.output) as out:
            for product in self.products(stage, tally):
                out.write(product)
        seconds = time.monotonic() - started
        if files.is_kept(self.output):
            manifests.write_for_file(self.output, manifest_of(stage, self.inputs, tally, seconds))
        self.receipt(stage.name, f"{tally['in']:,} pairs in, {stage.summary(tally)}", tally, self.output, seconds)

    def products(self, stage, tally):
        """Yield stage.product(batch) for the batches of all inputs, in order; add what happened to `tally`."""
        columns = None if self.rejects else stage.columns           # rejects have all
        blocks = read_blocks(self.inputs, stage.whole_images, columns)
        work = _Work(stage, self.skip_bad, files.is_parquet(self.output))
        with self._rejects() as rejects, self._progress(" pairs") as progress:
            for product, counts, bad in map_in_order(work, blocks, self.jobs):
                tally.update(counts)
                rejects.write(bad)
                progress.update(counts["in"])
                yield product

    # ------------------------------------------------------------ shard by shard

    def _plan_shards(self):
        """The outputs in the output directory. Raises BadUsage when they cannot all be there."""
        names = [files.base_name(path) for path in self.inputs]
        twice = [name for name, times in collections.Counter(names).items() if times > 1]
        if twice or "-" in self.inputs:
            what = f"two inputs are called {twice[0]}" if twice else "stdin has no name for its shard"
            raise BadUsage(f"--output-dir: {what}.")
        if os.path.exists(self.output_dir) and not os.path.isdir(self.output_dir):
            raise BadUsage(f"{self.output_dir}: is a file, and --output-dir is a directory. Name another output.")
        present = [name for name in files.names_in(self.output_dir) if not name.startswith(".")]
        if present and not any(name.endswith(".manifest.json") for name in present):
            raise BadUsage(f"{self.output_dir}: this directory is not empty and holds no shards of mc2. "
                           f"Name another output.")
        return [os.path.join(self.output_dir, name) for name in names]

    def _shards(self, stage):
        started = time.monotonic()
        files.make_directory(self.output_dir)
        todo = [shard for shard, finished in self._shard_states(stage) if not finished]
        tally = collections.Counter()
        with self._rejects() as rejects, self._progress(" shards", total=len(todo)) as progress:
            for counts, bad in map_in_order(_ShardWork(stage, self.skip_bad), todo, self.jobs):
                tally.update(counts)
                rejects.write(bad)
                progress.update()
        finished = len(self.inputs) - len(todo)
        summary = f"{len(todo):,} shards, {tally['in']:,} pairs in, {stage.summary(tally)}"
        if finished:
            summary += f"; {finished:,} shards were finished"
        self.receipt(stage.name, summary, tally, self.output_dir, time.monotonic() - started)

    def _shard_pairs(self):
        return [(path, os.path.join(self.output_dir, files.base_name(path))) for path in self.inputs]

    def _shard_states(self, stage):
        """[((input, output), whether it is finished)]"""
        shards = self._shard_pairs()
        output_of = dict(shards)
        finished = files.map_places(lambda path: self._is_finished(stage, path, output_of[path]), self.inputs)
        return list(zip(shards, finished))

    def _is_finished(self, stage, path, output):
        if self.force or not files.exists(output):
            return False
        manifest = manifests.read(output)
        if manifest is None or "bytes" not in manifests.describe_file(path):
            return False
        expected = manifest_of(stage, [path], {}, 0)
        same = all(manifest.get(key) == expected[key]
                   for key in ("mc2", "kind", "stage", "options", "inputs", "lineage"))
        bad = any(reason.startswith("bad: ") for reason in manifest.get("counts", {}))
        return same and not (bad and (self.rejects or not self.skip_bad))

    def _print_plan(self, stage):
        if self.output_dir is None:
            for path in self.inputs:
                print("to do", files.name_of(path), self.output, sep="\t")
        else:
            for shard, finished in self._shard_states(stage):
                print("finished" if finished else "to do", *shard, sep="\t")

    # ------------------------------------------------------------ shared

    def refuse_twice(self, outputs, also=()):
        """Raise BadUsage for an output that is an input (or one of `also`), or another output, too."""
        inputs = {files.place(path) for path in [*self.inputs, *also]
                  if files.is_remote(path) or os.path.isfile(path) or os.path.isdir(path)}
        seen = set()
        for output in outputs:
            place = files.place(output) if output != "-" else output
            if place in inputs or place in seen and not files.is_special(output):
                raise BadUsage(f"{output}: is {'an input' if place in inputs else 'another output'} too. "
                               f"Name another output.")
            seen.add(place)

    def _rejects(self):
        return files.open_write(self.rejects) if self.rejects else contextlib.nullcontext(open(os.devnull, "wb"))

    def _progress(self, unit, total=None):
        if self.quiet or not sys.stderr.isatty():
            return _NoProgress()
        from tqdm import tqdm
        return tqdm(total=total, unit=unit, unit_scale=True, leave=False)

    def receipt(self, name, summary, tally, output, seconds):
        """The last line on stderr: what went in and out, what was dropped and why, where it is, how long."""
        if self.quiet:
            return
        for reason, count in sorted(tally.items()):
            if reason.startswith("bad: "):
                summary += f", {count:,} bad lines skipped ({reason[5:].rstrip('.')})"
        where = "" if output in (None, "-") else f" -> {output}"
        print(f"{name}: {summary}{where} ({duration(seconds)})", file=sys.stderr)


def manifest_of(stage, inputs, tally, seconds):
    """The manifest of pairs that a stage made."""
    return manifests.describe_run("pairs", inputs, stage.options, tally, seconds,
                                  stage=stage.name, lineage=stage.lineage, paths=stage.paths)


def duration(seconds):
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


class _NoProgress(contextlib.nullcontext):
    def __enter__(self):
        return self

    def update(self, n=1):
        pass


# ---------------------------------------------------------------- blocks

@contextlib.contextmanager
def open_write(path):
    """Open an output for pairs, as files.open_write does; what is written to .parquet are tables."""
    if files.is_parquet(path):
        from mc2 import parquet
        with parquet.open_write(path) as writer:
            yield writer
    else:
        with files.open_write(path) as stream:
            yield stream


def read_blocks(paths, whole_images=False, columns=None):
    """Yield the Blocks of all inputs, in order. whole_images: never split the adjacent lines of one id.
    columns: those of Parquet that are read; None = all."""
    for path in paths:
        if files.is_parquet(path):
            from mc2 import parquet
            yield from parquet.read_blocks(path, columns, whole_images)
            continue
        blocks = (Block(files.name_of(path), number, data) for number, data in files.read_blocks(path))
        yield from _whole_images(blocks) if whole_images else blocks


def _whole_images(blocks):
    """Move the lines of the last image of each block to the next block, so that an image is never split."""
    source, number, held, held_id = None, 1, [], None       # held: what there is of the last image
    for source, _, data in blocks:
        cut, last_id = _last_image(data)
        goes_on = not cut and (held_id is None or last_id in (None, held_id))
        if not goes_on:
            whole = b"".join([*held, data[:cut]])
            yield Block(source, number, whole)
            number += whole.count(b"\n")
            held, data = [], data[cut:]
        held.append(data)
        held_id = last_id or (held_id if goes_on else None)
    if held:
        yield Block(source, number, b"".join(held))


def _last_image(data):
    """(offset of the first of the trailing lines that share an id, this id); lines that are no pairs go with the
    next. (0, None) where no line is a pair."""
    start, last_id = len(data), None
    while start:
        line_start = data.rfind(b"\n", 0, start - 1) + 1
        pair_id = _id_of(data[line_start:start])
        if pair_id is not None and last_id is not None and pair_id != last_id:
            return start, last_id
        last_id = last_id if pair_id is None else pair_id
        start = line_start
    return 0, last_id


def _id_of(line):
    import orjson
    try:
        return orjson.loads(line)["id"]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return None


# ---------------------------------------------------------------- work

class _Work:
    """From a block to (product, tally, rejects)."""

    def __init__(self, stage, skip_bad, as_table=False):
        """as_table: whether the output is Parquet."""
        self.stage, self.skip_bad, self.as_table = stage, skip_bad, as_table

    def __call__(self, block):
        batch = block.batch(self.stage.requires, self.skip_bad, self.as_table)
        product = self.stage.product(batch)
        batch.tally["out"] = len(batch)
        return product, batch.tally, b"".join([reject.line + b"\n" for reject in batch.rejects])


class _ShardWork(_Work):
    """From (input, output) to (tally, rejects); the shard and its manifest are written on the way."""

    def __call__(self, shard):
        path, output = shard
        started = time.monotonic()
        self.as_table = files.is_parquet(output)
        tally, rejects = collections.Counter(), []
        with open_write(output) as out:
            for block in read_blocks([path], self.stage.whole_images):
                product, counts, bad = super().__call__(block)
                out.write(product)
                tally.update(counts)
                rejects.append(bad)
        manifests.write_for_file(output, manifest_of(self.stage, [path], tally, time.monotonic() - started))
        return tally, b"".join(rejects)


# ---------------------------------------------------------------- processes

AHEAD = 8               # results per worker that may wait for an earlier one


def map_in_order(work, items, jobs):
    """Yield work(item) for every item, in order; in `jobs` processes when that is not 1 (0 = all cores)."""
    jobs = jobs or len(os.sched_getaffinity(0))
    if jobs == 1:
        yield from map(work, items)
        return
    workers = []
    try:
        yield from _share_out(work, items, jobs, workers)
    finally:
        for worker in workers:          # also after an error or Ctrl-C: no worker goes on
            worker.process.terminate()
        for worker in workers:
            worker.process.join(5)
            worker.process.kill()


def _share_out(work, items, jobs, workers):
    """Start workers, give every item to one that is free, and yield the results in the order of the items."""
    items = enumerate(items)
    first = list(itertools.islice(items, jobs))
    _start_workers(work, len(first), workers)
    items, results, idle = itertools.chain(first, items), {}, collections.deque(workers)
    given, yielded, more = 0, 0, bool(first)
    while more or yielded < given:
        while more and idle and given - yielded < AHEAD * jobs:
            item = next(items, None)
            if item is None:
                more = False
            else:
                idle.popleft().give(item)
                given += 1
        if yielded in results:
            result, error, trace = results.pop(yielded)
            if error:
                raise error from _InWorker(trace)
            yield result
            yielded += 1
        elif yielded < given:
            for worker in multiprocessing.connection.wait([worker for worker in workers if worker not in idle]):
                number, *results[number] = worker.take()
                idle.append(worker)


class _Worker:
    """A process and the only pipe to it. concurrent.futures has queues that all workers share: when one is
    killed while it sends a result, the driver can wait for the rest of it for ever."""

    def __init__(self):
        self.connection, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=_work_on, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()                  # so that the pipe ends with the process

    def fileno(self):
        return self.connection.fileno()

    def give(self, message):
        with self._alive():
            self.connection.send(message)

    def take(self):
        with self._alive():
            message = self.connection.recv_bytes()
        return pickle.loads(message)

    @contextlib.contextmanager
    def _alive(self):
        try:
            yield
        except (EOFError, OSError):
            raise Mc2Error("a worker process was killed (out of memory?). Run again, with fewer --jobs.") from None


class _InWorker(Exception):
    """The traceback of an error in a worker process, for -v."""

    def __str__(self):
        return f"\n{self.args[0]}"


def _start_workers(work, number, workers):
    multiprocessing.resource_tracker.ensure_running()       # its start would unblock SIGINT
    for _ in range(number):
        with interrupts_blocked():                         # a worker inherits it: Ctrl-C is for the driver alone
            workers.append(_Worker())
    for worker in workers:
        worker.give(work)


def _work_on(connection):
    """In a worker process: take the work, then items, and give (number, result, error, its traceback) for each."""
    signal.signal(signal.SIGTERM, end_worker)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)        # the driver sees to it
    threading.Thread(target=end_with_the_driver, daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):     # the driver is gone
        message = connection.recv_bytes()
        work = None
        while True:
            number, item = connection.recv()
            try:
                work = work or pickle.loads(message)        # opens what is large
                answer = number, work(item), None, None
            except Exception as error:
                answer = number, None, *_portable(error)
            connection.send(answer)


def _portable(error):
    """(the error as it can go to another process, its traceback as text)"""
    trace = "".join(traceback.format_exception(error))
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return error, trace


def end_with_the_driver():
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    end_worker()


def end_worker(*_):
    files.discard_unfinished()
    os._exit(1)


@contextlib.contextmanager
def interrupts_blocked():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
