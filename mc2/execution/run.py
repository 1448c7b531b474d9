"""A run of stages: its inputs, outputs and options as the command line gives them.

    a stream      -o: a block at a time through the stages, in one process or many    (stream.py)
    shards        -O: a ShardTask on an executor, resumed where it was stopped         (shard.py, rounds.py)
"""
import collections
import contextlib
import dataclasses
import os
import time
from dataclasses import dataclass

from mc2 import files, manifests, own, terminal
from mc2.errors import BadUsage
from mc2.execution import names, receipt, rounds, stream
from mc2.execution.found import Found
from mc2.execution.local import Local
from mc2.execution.progress import Progress
from mc2.execution.shard import DROPPED, REJECTS, ShardPaths, ShardTask, put_together
from mc2.execution.stage import Stage, Stages
from mc2.meter import Meter
from mc2.pairs.columns import Reading
from mc2.pairs.shards import LONGEST_LINE, encoder_of, open_write, refuse_unopenable

WORK = ".work"                      # in a directory of shards: progress, logs, scripts of SLURM
MARK = "shards-of-mc2"              # in it: says whose directory this is, before the first shard is done


@dataclass
class Run:
    """See above."""

    inputs: list                # paths; "-" is stdin
    output: str = "-"
    output_dir: str = None
    jobs: int = 1               # worker processes; 0 = all cores
    executor: object = None     # function from a work directory to an executor, for -O; None: Local(jobs)
    part: tuple = None          # (I, N) where the inputs are those of one part of N
    all_inputs: list = None     # those of all parts, where the inputs are those of one
    force: bool = False
    dry_run: bool = False
    skip_bad: bool = False
    rejects: str = None         # file for the bad lines
    dropped: str = None         # file for the dropped pairs
    longest: int = LONGEST_LINE # bytes of a line, or of a text in Parquet, above which it is no pair; None = no limit
    quiet: bool = False
    reading: Reading = Reading()                # which columns of the inputs are id and text
    command: str = "mc2"      # its name, shown with how far it is
    takes: str = Stage.takes    # what the inputs hold, where they are no pairs

    def __post_init__(self):
        self.columns = Found(self.quiet)
        outputs = [self.output] if self.output_dir is None else self._plan_shards()
        refuse_unopenable(self.inputs if self._are_pairs else [], outputs, self.reading)
        if self.reading.makes_ids:
            its_names = self.names if self.output_dir is not None else \
                names.of([path for path in self.all_inputs or self.inputs if path != "-"])
            self.reading = dataclasses.replace(self.reading, name=its_names.of_input)
        directories = [] if self.output_dir is None else [self.output_dir]
        self.refuse_twice([*outputs, *directories, *(path for path in (self.rejects, self.dropped) if path)])

    @property
    def _are_pairs(self):
        return self.takes == Stage.takes

    def __call__(self, *stages):
        """Run stages from the inputs to the output or output directory, and print the receipt."""
        stages = Stages(stages)
        self.refuse_twice([self.output] if self.output_dir is None else [], also=stages.paths.values())
        files.map_paths(stages.check_input, self.inputs)
        if self.dry_run:
            self._print_plan(stages)
        elif self.output_dir is None:
            self._stream(stages)
        else:
            self._shards(stages)

    # ------------------------------------------------------------ one stream

    def _stream(self, stages):
        receipt.begin()
        started = time.monotonic()
        tally = collections.Counter()
        with open_write(self.output) as out:
            for product in self.products(stages, tally, encoder_of(self.output)):
                out.write(product)
        seconds = time.monotonic() - started
        if files.is_kept(self.output):
            manifests.write_for_file(self.output, stages.manifest(self.inputs, tally, seconds, **self.columns.noted()))
        self.receipt(stages.last.name, f"{tally['in']:,} {self.takes} in, {stages.last.summary(tally)}", tally, self.output,
                     seconds)

    def products(self, stages, tally, make, needs=None, columns=None):
        """Yield make(batch) for the batches of all inputs that went through the stages, in order; add what happened to
        `tally`. needs: the stage whose `requires` and `whole_images` count, if not those of the stages. columns: those
        of Parquet that are needed; None = all."""
        stages = stages if isinstance(stages, Stages) else Stages(stages)
        needs = Stages([needs]) if needs else stages
        work = stream.BlockWork(stages, make, needs.requires, self.skip_bad, keep_dropped=self.dropped is not None)
        columns = None if self.rejects or self.dropped else columns        # these have all
        with _written(self.rejects) as rejects, _written(self.dropped) as dropped, self._meter() as meter:
            made = stream.products(work, self.inputs, self.jobs, columns=columns, whole_images=needs.whole_images,
                                   longest=self.longest, reading=self.reading, found=self.columns)
            for product, counts, bad, left_out in made:
                receipt.add_up(tally, counts)
                rejects.write(bad)
                dropped.write(left_out)
                meter.update(counts["in"])
                yield product

    # ------------------------------------------------------------ shard by shard

    def _plan_shards(self):
        """The outputs in the output directory. Raises BadUsage when they cannot all be there."""
        if "-" in self.inputs:
            raise BadUsage("--output-dir: stdin has no name for its shard. Give -o in place of -O, or name a file.")
        if files.is_remote(self.output_dir):
            refuse_unopenable([], [self.output_dir])
        refuse_foreign_shards(self.output_dir)
        self.names = names.in_directory(self.output_dir, self.inputs if self.all_inputs is None else self.all_inputs)
        return [os.path.join(self.output_dir, self.names(path)) for path in self.inputs]

    @property
    def paths(self):
        """The ShardPaths of the outputs in the output directory."""
        work = os.path.join(self.output_dir, WORK)
        return ShardPaths(self.output_dir, os.path.join(self.output_dir, "quarantine"), work,
                          None if files.is_remote(self.output_dir) else os.path.join(work, "logs"), self.names)

    def _task(self, stages):
        keep = [what for what, path in ((REJECTS, self.rejects), (DROPPED, self.dropped)) if path]
        return ShardTask(stages, self.paths, skip_bad=self.skip_bad, keep=keep, longest=self.longest, reading=self.reading)

    def _shards(self, stages):
        started, task = time.monotonic(), self._task(stages)
        if not self.force:
            self._refuse_replacing(task)
        receipt.begin()
        if self._are_pairs:
            self.columns.look_at(self.inputs, self.reading)
        work = mark_shards(self.output_dir)
        names.record(self.output_dir, self.names)
        executor = self.executor(work, stages.last.name, self.part) if self.executor else Local(self.jobs)
        with contextlib.closing(executor), Progress(stages.last.name, work, self.quiet, self.part) as progress:
            if self.force:
                files.map_paths(task.forget, self.inputs)
            todo = rounds.complete(task, self.inputs, executor, progress, total=len(self.inputs))
            progress.end()
        self._put_together(task)
        tally = collections.Counter()
        for path, manifest in zip(todo, files.map_paths(lambda path: manifests.read(task.output(path)), todo)):
            receipt.add_up(tally, manifest["counts"])
            self.columns.say(path, manifest.get("columns"))
        summary = f"{len(todo):,} shards, {tally['in']:,} {self.takes} in, {stages.last.summary(tally)}"
        if len(todo) < len(self.inputs):
            summary += f"; {len(self.inputs) - len(todo):,} shards were finished"
        self.receipt(stages.last.name, summary, tally, self.output_dir, time.monotonic() - started)

    def _refuse_replacing(self, task):
        """Raise BadUsage where an output that is to be made anew holds the pairs of another input, which is still
        there: two runs had an input of that name, each from another folder."""
        todo = rounds.missing(task, self.inputs)
        for path, manifest in zip(todo, files.map_paths(lambda path: manifests.read_if_whole(task.output(path)), todo)):
            if manifest and (other := _other_input(manifest, path)):
                raise BadUsage(f"{task.output(path)}: holds the pairs of {other}, and those of {files.name_of(path)} "
                               f"would replace them. Name another output, or give -f to make it anew.")

    def _put_together(self, task):
        """Write the bad lines and the dropped pairs of all shards, also of those that were finished before."""
        for what, path in ((REJECTS, self.rejects), (DROPPED, self.dropped)):
            if path:
                with files.open_write(path) as out:
                    put_together(task, what, self.inputs, out)

    def _print_plan(self, stages):
        if self.output_dir is None:
            for path in self.inputs:
                terminal.show_row("to do", files.name_of(path), self.output)
            return
        task = self._task(stages)
        if not self.force:
            self._refuse_replacing(task)
        todo = set(self.inputs if self.force else rounds.missing(task, self.inputs))
        for path in self.inputs:
            terminal.show_row("to do" if path in todo else "finished", path, task.output(path))

    # ------------------------------------------------------------ shared

    def refuse_twice(self, outputs, also=()):
        """Raise BadUsage for an output that is an input (or one of `also`), or another output, too."""
        refuse_twice(outputs, [*self.inputs, *also])

    def _meter(self):
        return Meter(self.command, self.takes, quiet=self.quiet, scaled=True)

    def receipt(self, name, summary, tally, output, seconds):
        """See receipt.write."""
        receipt.write(name, summary, tally, output, seconds, self.quiet)


def begin(outputs, inputs=()):
    """The work of a command begins: refuse_twice, and a receipt of an earlier run goes."""
    refuse_twice(outputs, inputs)
    receipt.begin()


def refuse_twice(outputs, inputs):
    """Raise BadUsage for an output that is an input, or another output, too; and for a receipt within an output, which
    is a directory then. Directories of shards are given as outputs too, beside their shards."""
    for path in receipt.paths():
        if output := next((each for each in outputs if _is_below(path, each)), None):
            raise BadUsage(f"--receipt {path}: lies in the output directory {output}. Name another file.")
    inputs = {files.identity(path) for path in inputs
              if files.is_remote(path) or os.path.isfile(path) or os.path.isdir(path)}
    seen = set()
    for output in [*outputs, *receipt.paths()]:
        identity = files.identity(output) if output != "-" else output
        if identity in inputs or identity in seen and not files.is_special(output):
            raise BadUsage(f"{output}: is {'an input' if identity in inputs else 'another output'} too. "
                           f"Name another output.")
        seen.add(identity)


def _is_below(path, directory):
    """Whether a file is, or will be, in a directory or in a folder of it."""
    if "-" in (path, directory) or files.is_special(path):
        return False
    return files.name_below(files.identity(path), files.identity(directory)) is not None


def _other_input(manifest, path):
    """The name of the input that an output was made from, where it is another file than `path`, still there and of
    other content; else None."""
    inputs = manifest.get("inputs") or [{}]
    name, described = inputs[0].get("name"), inputs[0]
    if len(inputs) > 1 or not name or len(described) < 2 or files.identity(name) == files.identity(path):
        return None
    mine = {**manifests.describe_file(path), "name": name}
    return name if described != mine and manifests.describe_file(name) == described else None


def refuse_foreign_shards(directory):
    """Raise BadUsage for an output directory that is a file, or holds something that is no work of mc2."""
    if files.exists(directory) and not files.is_directory(directory):
        raise BadUsage(f"{directory}: is a file, and --output-dir is a directory. Name another output.")
    present = files.names_in(directory)
    if not any(name.endswith(".manifest.json") for name in present) \
            and not os.path.exists(os.path.join(directory, WORK, MARK)) and names.recorded(directory) is None \
            and any(not name.startswith(".") for name in present):
        raise BadUsage(f"{directory}: this directory is not empty and holds no shards of mc2. Name another output.")


def mark_shards(directory):
    """Make a directory of shards, and say in it that it is one. Returns its work directory; None for a remote one."""
    if files.is_remote(directory):
        return None
    work = os.path.join(directory, WORK)
    own.make_directory(work)
    for path in (os.path.join(directory, "quarantine"), *(entry.path for entry in os.scandir(work))):
        own.refuse_link(path)
    own.write_mark(os.path.join(work, MARK), "Progress and logs of a command of mc2 with -O.\n")
    return work


def _written(path):
    return files.open_write(path) if path else contextlib.nullcontext(_Nowhere())


class _Nowhere:
    def write(self, data):
        pass
