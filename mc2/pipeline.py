"""Run a stage over pairs: from a stream to a stream, or from shards to shards, in one process or many.

A stage is an object with what `Stage` has. It gets a batch at a time and changes it: adds keys, drops
pairs, counts what it did in `batch.tally`. Reading, bad lines, --jobs, --shard, finished shards, progress,
manifests and the receipt are the same for all stages, and are here.
"""
import collections
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from concurrent import futures
from dataclasses import dataclass

from mc2 import files, manifests
from mc2.errors import BadData, BadUsage, Mc2Error
from mc2.records import Batch, Block


class Stage:
    """One step that every pair goes through. Stages are pickled to worker processes, so they hold
    paths and options, and open what is large when the first batch comes."""

    name = ""               # of the command
    requires = ()           # keys beside id and text
    whole_images = False    # whether the lines of one image must come in one batch
    options = {}            # what else the output depends on: part of "finished", kept in the manifest
    lineage = {}            # fingerprints that the manifest carries on, e.g. {"metadata": ...}
    paths = {}              # where these artefacts were, for `mc2 inspect`

    def __call__(self, batch):
        raise NotImplementedError

    def product(self, batch):
        """What the stage makes of a batch, sent back from the worker. bytes, unless the stage reduces."""
        self(batch)
        return batch.to_bytes()

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

    def __call__(self, stage):
        """Run the stage from the inputs to the output or output directory, and print the receipt."""
        if self.output_dir is None:
            self._refuse_overwriting_an_input([self.output])
        else:
            self._plan_shards()
        for path in self.inputs:
            stage.check_input(path)
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
        with files.open_write(self.output) as out:
            for product in self.products(stage, tally):
                out.write(product)
            _forget_manifest(self.output)
        seconds = time.monotonic() - started
        if self.output != "-" and os.path.isfile(self.output):
            manifests.write_for_file(self.output, _manifest(stage, self.inputs, tally, seconds))
        self.receipt(stage.name, f"{tally['in']:,} pairs in, {stage.summary(tally)}", tally, self.output, seconds)

    def products(self, stage, tally):
        """Yield stage.product(batch) for the batches of all inputs, in order; add what happened to `tally`."""
        blocks = read_blocks(self.inputs, stage.whole_images)
        with self._rejects() as rejects, self._progress(" pairs") as progress:
            for product, counts, bad in map_in_order(_Work(stage, self.skip_bad), blocks, self.jobs):
                tally.update(counts)
                rejects.write(bad)
                progress.update(counts["in"])
                yield product

    # ------------------------------------------------------------ shard by shard

    def _plan_shards(self):
        names = [os.path.basename(path) for path in self.inputs]
        twice = [name for name, times in collections.Counter(names).items() if times > 1]
        if twice or "-" in self.inputs:
            what = f"two inputs are called {twice[0]}" if twice else "stdin has no name for its shard"
            raise BadUsage(f"--output-dir: {what}.")
        if os.path.isdir(self.output_dir):
            present = [name for name in os.listdir(self.output_dir) if not name.startswith(".")]
            if present and not any(name.endswith(".manifest.json") for name in present):
                raise BadUsage(f"{self.output_dir}: this directory is not empty and holds no shards of mc2. "
                               f"Name another output.")
        self._refuse_overwriting_an_input([os.path.join(self.output_dir, name) for name in names])

    def _shards(self, stage):
        started = time.monotonic()
        os.makedirs(self.output_dir, exist_ok=True)
        todo = [shard for shard in self._shard_pairs() if not self._is_finished(stage, *shard)]
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
        return [(path, os.path.join(self.output_dir, os.path.basename(path))) for path in self.inputs]

    def _is_finished(self, stage, path, output):
        if self.force or not os.path.exists(output):
            return False
        manifest = manifests.read(output)
        if manifest is None or "bytes" not in manifests.describe_file(path):
            return False
        expected = _manifest(stage, [path], {}, 0)
        same = all(manifest.get(key) == expected[key] for key in ("mc2", "kind", "stage", "options", "inputs", "lineage"))
        bad = any(reason.startswith("bad: ") for reason in manifest["counts"]) if same else False
        return same and not (bad and (self.rejects or not self.skip_bad))

    def _print_plan(self, stage):
        if self.output_dir is None:
            for path in self.inputs:
                print(f"to do\t{files.name_of(path)}\t{self.output}")
        else:
            for shard in self._shard_pairs():
                print("finished" if self._is_finished(stage, *shard) else "to do", *shard, sep="\t")

    # ------------------------------------------------------------ shared

    def _refuse_overwriting_an_input(self, outputs):
        inputs = {os.path.realpath(path) for path in self.inputs if os.path.isfile(path)}
        for output in outputs:
            if output != "-" and os.path.realpath(output) in inputs:
                raise BadUsage(f"{output}: is an input too. Name another output.")

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


def _manifest(stage, inputs, tally, seconds):
    return manifests.describe_run("pairs", inputs, stage.options, tally, seconds,
                                  stage=stage.name, lineage=stage.lineage, paths=stage.paths)


def _forget_manifest(output):
    """Just before a new file takes the place of an old one: the old manifest must not speak for it."""
    if output != "-":
        with contextlib.suppress(OSError):
            os.unlink(manifests.beside(output))


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

def read_blocks(paths, whole_images=False):
    """Yield the Blocks of all inputs, in order. whole_images: never split the adjacent lines of one id."""
    for path in paths:
        blocks = (Block(files.name_of(path), number, data) for number, data in files.read_blocks(path))
        yield from _whole_images(blocks) if whole_images else blocks


def _whole_images(blocks):
    """Move the lines of the last image of each block to the next block, so that an image is never split."""
    source, number, rest = None, 1, b""
    for source, _, data in blocks:
        data = rest + data
        cut = _start_of_last_image(data)
        if cut:
            yield Block(source, number, data[:cut])
            number += data.count(b"\n", 0, cut)
        rest = data[cut:]
    if rest:
        yield Block(source, number, rest)


def _start_of_last_image(data):
    """Offset of the first of the trailing lines that share an id. Lines that are no pairs go with the next."""
    start, last_id = len(data), None
    while start:
        line_start = data.rfind(b"\n", 0, start - 1) + 1
        pair_id = _id_of(data[line_start:start])
        if pair_id is not None and last_id is not None and pair_id != last_id:
            return start
        last_id = last_id if pair_id is None else pair_id
        start = line_start
    return 0


def _id_of(line):
    import orjson
    try:
        return orjson.loads(line)["id"]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return None


# ---------------------------------------------------------------- work

class _Work:
    """From a block to (product, tally, rejects)."""

    def __init__(self, stage, skip_bad):
        self.stage, self.skip_bad = stage, skip_bad

    def __call__(self, block):
        batch = Batch(block, self.stage.requires, self.skip_bad)
        product = self.stage.product(batch)
        batch.tally["out"] = len(batch)
        return product, batch.tally, b"".join(batch.rejects)


class _ShardWork(_Work):
    """From (input, output) to (tally, rejects); the shard and its manifest are written on the way."""

    def __call__(self, shard):
        path, output = shard
        started = time.monotonic()
        tally, rejects = collections.Counter(), []
        with files.open_write(output) as out:
            for block in read_blocks([path], self.stage.whole_images):
                product, counts, bad = super().__call__(block)
                out.write(product)
                tally.update(counts)
                rejects.append(bad)
            _forget_manifest(output)
        manifests.write_for_file(output, _manifest(self.stage, [path], tally, time.monotonic() - started))
        return tally, b"".join(rejects)


# ---------------------------------------------------------------- processes

def map_in_order(work, items, jobs):
    """Yield work(item) for every item, in order; in `jobs` processes when that is not 1 (0 = all cores)."""
    jobs = jobs or len(os.sched_getaffinity(0))
    if jobs == 1:
        yield from map(work, items)
        return
    pool = futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _start_worker, (work,))
    pending = collections.deque()
    try:
        for item in items:
            with _interrupts_blocked():             # a worker inherits it: Ctrl-C is for the driver alone
                pending.append(pool.submit(_work_on, item))
            if len(pending) >= 2 * jobs:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
        pool.shutdown()
    except futures.process.BrokenProcessPool:
        raise Mc2Error("a worker process was killed (out of memory?). Run again, with fewer --jobs.") from None
    finally:
        _end_workers(pool)


_work = None            # in a worker process: what it does


def _start_worker(work):
    global _work
    _work = work
    signal.signal(signal.SIGTERM, _end_worker)
    threading.Thread(target=_end_with_the_driver, daemon=True).start()


def _work_on(item):
    return _work(item)


def _end_with_the_driver():
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    _end_worker()


def _end_worker(*_):
    files.discard_unfinished()
    os._exit(1)


def _end_workers(pool):
    """After an error or Ctrl-C: no worker goes on."""
    workers = list((pool._processes or {}).values())
    for worker in workers:
        worker.terminate()
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.join(5)
        if worker.is_alive():
            worker.kill()


@contextlib.contextmanager
def _interrupts_blocked():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
