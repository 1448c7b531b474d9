"""Run a stage over pairs: from a stream to a stream, or from shards to shards, in one process or many."""
import collections
import contextlib
import os
import sys
import time
from dataclasses import dataclass

from mc2 import files, manifests
from mc2.errors import BadUsage
from mc2.execution.processes import map_in_order
from mc2.execution.receipt import duration
from mc2.execution.stage import manifest_of
from mc2.pairs.shards import open_write, read_blocks


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


class _NoProgress(contextlib.nullcontext):
    def __enter__(self):
        return self

    def update(self, n=1):
        pass


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
