"""One shard of pairs through stages, from a file to a file: the only such loop.

The truth about what is done lies on disk: a shard is done when its output is there, whole, with a manifest that
describes this input, these options and this version, and when what its stages keep beside it is there as well.
"""
import collections
import contextlib
import os
import time
import zlib

from mc2 import __version__, files, manifests, temporaries
from mc2.errors import BadData
from mc2.execution.receipt import add_up
from mc2.execution.stage import Stage, Stages, first_error_of
from mc2.pairs import jsonl
from mc2.pairs.shards import AS_THEY_ARE, LONGEST_LINE, encoder_of, is_plain, open_write

QUARANTINE, REJECTS, DROPPED = "quarantine", "rejects", "dropped"      # what a shard may leave beside its pairs


class ShardPaths:
    """The paths of the outputs of shards: each is called like its shard.

    directory: of the pairs. quarantine: the directory of bad lines, with the reasons. parts: that of raw bad lines and
    of dropped pairs, which are put together at the end of a run. logs: None = no logs. name: function from a shard to
    what its outputs are called, mc2.execution.names.Names
    """

    def __init__(self, directory, quarantine, parts, logs=None, name=files.base_name):
        self.directory, self.quarantine, self.parts, self.logs, self.name = directory, quarantine, parts, logs, name

    def output(self, shard):
        return os.path.join(self.directory, self.name(shard))

    def beside(self, what, shard):
        """The file of a shard's bad lines or dropped pairs. what: QUARANTINE, REJECTS or DROPPED"""
        directory = self.quarantine if what == QUARANTINE else os.path.join(self.parts, what)
        return os.path.join(directory, self.name(shard) + ".jsonl")

    def log(self, shard):
        return None if self.logs is None else os.path.join(self.logs, self.name(shard) + ".log")


class ShardTask:
    """The work on every shard: read, go through the stages, write. Pickled to the workers of any executor.

    stages: of mc2.execution.stage.Stage. paths: ShardPaths. name: of the task, in messages and logs. upstream: the
    ShardTask whose output is read in place of the shard. skip_bad: put bad lines into quarantine, rather than fail.
    keep: REJECTS and DROPPED, those that are wanted. longest: bytes of a line, or of a text in Parquet, above which it
    is no pair. reading: mc2.pairs.columns.Reading of the shards. What is upstream's is taken at any length, and as it
    is.
    """

    def __init__(self, stages, paths, *, name=None, upstream=None, skip_bad=False, keep=(),
                 longest=LONGEST_LINE, reading=AS_THEY_ARE):
        self.stages, self.paths, self.upstream = Stages(stages), paths, upstream
        self.name = name or self.stages.last.name.replace(" ", "-")         # a part of names of files and jobs
        self.skip_bad, self.keep, self.longest = skip_bad, tuple(keep), None if upstream else longest
        self.reading = AS_THEY_ARE if upstream else reading
        self.run = os.urandom(16).hex()         # tells what this run read from a pipe from what another one did

    def name_of(self, shard):
        """How the shard is called in messages."""
        return files.printable(self.paths.name(shard))

    def output(self, shard):
        return self.paths.output(shard)

    def log_path(self, shard):
        return self.paths.log(shard)

    # ------------------------------------------------------------ is it done

    def description(self, shard):
        """All that the result depends on. Shards go by their names: in which directory they are does not matter
        beyond that."""
        limit = {} if self.longest in (None, LONGEST_LINE) else {"longest_line": self.longest}
        others = [{**manifests.describe_file(path), "name": files.printable(files.base_name(path))}
                  for path in self.stages.also_reads(shard)]
        return {"mc2": __version__, "input": self._input(shard), "options": self.stages.options,
                "lineage": self.stages.lineage, **({"also_reads": others} if others else {}), **limit,
                **self.reading.options}

    def _input(self, shard):
        if self.upstream:
            return self.upstream.description(shard)
        described = {**manifests.describe_file(shard), "name": self.name_of(shard)}
        return described if "bytes" in described else {**described, "run": self.run}

    def is_done(self, shard):
        """Whether the output is there, and all that the stages keep beside it."""
        return self.is_written(shard) and self.is_kept(shard)

    def is_written(self, shard):
        """Whether the output is there, of this description."""
        manifest = manifests.is_of(self.output(shard), self.description(shard))
        return manifest is not None and self.may_stand(manifest["counts"]) and self._has_all(shard, manifest)

    def is_kept(self, shard):
        """Whether what the stages keep beside the output is there, of this description."""
        description = self.description(shard)
        return all(stage.is_done(shard, description) for stage in self.stages)

    def may_stand(self, counts):
        """Whether a result that came about so may stand: without --on-error skip, none with bad lines."""
        return self.skip_bad or not any(reason.startswith("bad: ") for reason in counts)

    def _has_all(self, shard, manifest):
        """Whether the bad lines and dropped pairs that are wanted, if there were any, were kept and are there."""
        return all(what in manifest.get("beside", ()) and files.exists(self.paths.beside(what, shard))
                   for what in self.keep if _any(what, manifest["counts"]))

    def forget(self, shard):
        """Take the manifest of a shard's output back, so that it is done again."""
        files.remove(files.manifest_name(self.output(shard)))

    # ------------------------------------------------------------ do it

    def __call__(self, shard):
        """Do the shard. Returns the number of its pairs, or of those that were made of it. Raises BadData where it changed
        while it was read."""
        started, description = time.monotonic(), self.description(shard)
        source, output, tally = self.upstream.output(shard) if self.upstream else shard, self.output(shard), \
            collections.Counter()
        columns = []
        if self.upstream:
            self._refuse_changed(shard, description)
            _refuse_damaged(source)
        for stage in self.stages:
            stage.begin(shard)
        with contextlib.ExitStack() as stack:
            out, encode = stack.enter_context(self.open_output(output)), self.encoder(output)
            beside = self._open_beside(shard, stack)
            for block in self.stages.blocks([source], whole_images=self.stages.whole_images, longest=self.longest,
                                            reading=self.reading, found=lambda _, its: columns.append(its)):
                made, batch = first_error_of(block, lambda block: self._product(block, encode))
                out.write(made)
                add_up(tally, batch.tally)
                for what, stream in beside.items():
                    stream.write(LINES[what](batch))
            for stream in beside.values():
                stream.end()
            self._refuse_changed(shard, description)
            more = {"columns": columns[0].description()} if columns else {}
            for stage in self.stages:
                more.update(stage.finish(shard, description, tally))
        kept = {what: stream.content() for what, stream in beside.items()}
        manifests.write_for_file(output, self.stages.manifest([source], tally, time.monotonic() - started,
                                                              description=description, beside=kept, **more))
        return tally["in" if self.stages.takes == Stage.takes else "out"]

    def open_output(self, output):
        """A context manager of what takes the products of `encoder`."""
        return open_write(output, is_own=True)

    def encoder(self, output):
        """The function from a Batch to what is written of it."""
        return encoder_of(output)

    def _product(self, block, encode):
        """(what is written of a block, its batch)"""
        batch = block.batch(self.stages.requires, self.skip_bad, DROPPED in self.keep, self.stages.adds,
                            self.stages.reads)
        return self.stages.product(batch, encode), batch

    def _open_beside(self, shard, stack):
        """{what: file} of the lines that are kept beside the pairs. What earlier runs kept goes."""
        wanted = [*([QUARANTINE] if self.skip_bad else []), *self.keep]
        for what in LINES.keys() - {*wanted, *([QUARANTINE] if self.upstream else [])}:     # that is the upstream task's
            path = self.paths.beside(what, shard)
            if not files.is_remote(path):           # a manifest tells what counts: this saves space, and requests cost time
                files.remove(path)
        return {what: _WhenNeeded(self.paths.beside(what, shard), stack) for what in wanted}

    def discard(self, shard):
        """Delete the temporary files of a worker that was killed, unless another one is writing them."""
        beside = (self.paths.beside(what, shard) for what in LINES)
        for path in (self.output(shard), *beside, *self.stages.also_writes(shard)):
            temporaries.discard_abandoned(path)

    def _refuse_changed(self, shard, description):
        if self.upstream and not self.upstream.is_written(shard):
            raise BadData(f"{shard}: changed while the job ran, after it was counted. Run again when it is complete.")
        if self.description(shard) != description:
            raise BadData(f"{shard}: changed while it was read. Run again when it is complete.")


def _refuse_damaged(path):
    """Raise BadData where the output of an earlier task is damaged: its lines would have to be blamed otherwise."""
    try:
        if is_plain(path):
            manifests.verify(path)
    except BadData:
        raise BadData(f"{path}: is damaged, or was changed. Delete it, and run again.") from None


def _quarantined(batch):
    return b"".join(map(jsonl.quarantined_line, batch.rejects))


def rejected(batch):
    """The bad lines of a batch as they came in. bytes"""
    return b"".join([reject.line + b"\n" for reject in batch.rejects])


def dropped(batch):
    """The dropped pairs of a batch, each with the reason. bytes"""
    return b"".join(map(jsonl.kept_line, batch.dropped))


LINES = {QUARANTINE: _quarantined, REJECTS: rejected, DROPPED: dropped}


def _any(what, counts):
    """Whether there were any such lines. what: REJECTS or DROPPED. counts: of a manifest, by reason"""
    return any(reason.startswith("bad: " if what == REJECTS else "dropped: ") for reason in counts)


def put_together(task, what, shards, out):
    """Write the bad lines or dropped pairs of shards that are done, those that have any, to a stream. what: REJECTS or
    DROPPED"""
    for shard in shards:
        manifest = manifests.read(task.output(shard))
        if _any(what, manifest["counts"]):
            _copy(task.paths.beside(what, shard), manifest["beside"], what, out)


def _copy(path, beside, what, out):
    """Copy a file that was kept beside pairs to a stream. Raises BadData where it is damaged. beside: of the
    manifest"""
    expected, crc32 = (beside[what] or {}).get("crc32") if isinstance(beside, dict) else None, 0
    with files.open_read(path) as lines:
        while chunk := lines.read(files.BLOCK):
            crc32 = zlib.crc32(chunk, crc32)
            out.write(chunk)
    if expected is not None and crc32 != expected:
        raise BadData(f"{path}: is damaged. Delete it, and run again: its shard is then done anew.")


class _WhenNeeded:
    """A file that is there when anything was written to it, and is not when nothing was."""

    def __init__(self, path, stack):
        self.path, self.stack, self.stream = path, stack, None

    def write(self, data):
        if data and self.stream is None:
            self.stream = self.stack.enter_context(files.open_write(self.path, is_own=True))
        if data:
            self.stream.write(data)

    def end(self):
        if self.stream is None:
            files.remove(self.path)         # of an earlier run

    def content(self):
        """{"bytes", "crc32"} of the file once it is written, None where there is none: for the manifest."""
        return self.stream and files.content_of(self.path)
