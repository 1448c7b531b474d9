"""The job of `mc2 curate`, from the pool to balanced pairs.

    1. match    per shard: lid, match, count          -> matched/, counts of the shard
    2. reduce   counts in groups of 16, in a tree     -> counts/
    3.          thresholds                            -> thresholds.json
    4. sample   per shard                             -> curated/

Run again, it does what is missing, and what changed since: a shard, an option, the version. All of it is
written whole, so a run that is killed anywhere costs the shards that were under way.
"""
import collections
import contextlib
import os
import shutil
import time
from dataclasses import dataclass

import numpy as np

from mc2 import documents, files, manifests, own, parsing, temporaries
from mc2.balancing import choosing, counting, sampling, shard_counts, thresholds
from mc2.curate.phases import GROUP, Layout, Reduce, names_in
from mc2.errors import BadData, BadUsage, Mc2Error
from mc2.execution import names
from mc2.execution.found import Found
from mc2.execution.receipt import add_up, what_was_left_out
from mc2.execution.rounds import complete
from mc2.execution.shard import DROPPED, ShardTask, put_together
from mc2.pairs import shards
from mc2.pairs.columns import NoPairs, Reading
from mc2.pairs.shards import LONGEST_LINE
from mc2.tables import duration

KIND = "curation"
OUTPUTS = ("matched", "curated", "quarantine", "counts")      # directories that are the job's alone
MARK = "job-of-mc2-curate"


@dataclass
class Settings:
    """The options of the five commands: all that the result depends on beside the pool."""

    stages: list                        # lid and match, after a list of ids perhaps; of mc2.execution.stage.Stage
    release: object                     # metadata.release.Release
    thresholds: dict                    # t_en, p, t_all, min_t: arguments of thresholds.derive; or pairs, in place of t_en
    seed: int = 0
    one_per_image: bool = False
    uids: str = None                    # where the uids of what is kept go, in DataComp's subset form
    skip_bad: bool = False
    longest: int = LONGEST_LINE         # bytes of a line, above which it is no pair
    dropped: str = None                 # file for the pairs that are dropped, with the reasons
    keep_matched: bool = True
    reading: Reading = Reading()        # which columns of the pool are id and text

    @property
    def options(self):
        """All of it, for the manifest."""
        return {**{stage.name: stage.options for stage in self.stages}, "thresholds": self.thresholds, "seed": self.seed,
                "one_per_image": self.one_per_image, "skip_bad": self.skip_bad, **self.reading.options}


class Job:
    """A curation of a pool in an output directory.

    pool: paths of shards. whole_pool: those of all parts, where this is one part; their outputs are left alone.
    executor: has run(task, items, report); see mc2.execution.rounds. progress: mc2.execution.progress.Progress
    """

    def __init__(self, pool, out, settings, executor, progress=None, whole_pool=None):
        self.pool, self.whole_pool = pool, whole_pool or pool
        self.settings, self.executor, self.progress = settings, executor, progress
        self.layout = Layout(out, names_in(out, self.whole_pool))
        self.notes, self.changed = [], []       # for the summary: lines; shards that are done again
        self.columns = Found(progress is None or progress.quiet)
        self.counter = shard_counts.ShardCounter(settings.release, self.layout.shard_counts)
        self.keep = [DROPPED] if settings.dropped else []
        self.match = ShardTask([*settings.stages, self.counter], self.layout.matched, name="match",
                               skip_bad=settings.skip_bad, keep=self.keep, longest=settings.longest,
                               reading=settings.reading)

    def run(self):
        """Do what is missing. Returns the manifest of the job."""
        started = time.monotonic()
        with _alone(self.layout.out):
            mark(self.layout.work)
            _refuse_links(self.layout)
            names.record(self.layout.out, self.layout.name)
            self.columns.look_at(self.pool, self.settings.reading)
            with self.progress:
                uncounted = [shard for shard in self.pool if not self._is_counted(shard)
                             or self.keep and not self.match.is_written(shard)]
                self.changed = [shard for shard in uncounted if self.counter.shards_of(shard)]
                if self.changed:                # before the manifest goes: columns that are not there, an option misspelled
                    self._refuse_other_columns(self.changed[0])
                self._complete(self.match, uncounted, of=self.pool)
                counted = self._counts()
                content = self._thresholds(counted["fingerprint"])
                sample = self._sample()
                undrawn = [shard for shard in self.pool if not sample.is_done(shard)]
                self._complete(self.match, [shard for shard in undrawn if not self.match.is_written(shard)])
                self._complete(sample, undrawn, of=self.pool)
                self._write_dropped(sample)
                manifest = self._finish(counted, content, sample, started)
                self._write_uids(manifest)
                self.progress.end()
        return manifest

    def _sample(self):
        sampler = sampling.Sampler(self.layout.counts, self.layout.thresholds, self.settings.seed,
                                   self.settings.one_per_image)
        uids = [sampling.Uids(self.layout.uids)] if self.settings.uids else []
        return ShardTask([sampler, *uids], self.layout.curated, name="sample", upstream=self.match, keep=self.keep)

    def _is_counted(self, shard):
        """Whether the counts of the shard are there, and may stand; the matched pairs need not be."""
        if not self.match.is_kept(shard):
            return False
        return self.match.may_stand(shard_counts.ShardCounts(self.layout.shard_counts(shard)).tally)

    def plan(self):
        """Yield (state, shard): how far each is, as far as that can be told without counting."""
        drawn_may_stand = self._drawn_may_stand()
        for shard in self.pool:
            counted, drawn = self._is_counted(shard), drawn_may_stand and self._is_drawn(shard)
            yield "to do" if not counted else "drawn" if drawn else "counted", files.name_of(shard)

    def _drawn_may_stand(self):
        """Whether counts and thresholds are those of this pool and these options: else all is drawn anew."""
        counts, thresholds_ = (manifests.read_if_whole(path) or {}
                               for path in (self.layout.counts, self.layout.thresholds))
        return (counts.get("options") == {"shards": self._fingerprint()}
                and thresholds_.get("options") == self.settings.thresholds)

    def _is_drawn(self, shard):
        drawn = (manifests.read_if_whole(self.layout.curated.output(shard)) or {}).get("description", {})
        options = drawn.get("options", {}).get("sample", {})
        return (drawn.get("input") == self.match.description(shard) and options.get("seed") == str(self.settings.seed)
                and options.get("one_per_image") == self.settings.one_per_image)

    def forget(self):
        """Remove what earlier runs left, so that all is done anew."""
        with _alone(self.layout.out):
            mark(self.layout.work)
            _refuse_links(self.layout)
            for path in [*(os.path.join(self.layout.out, name) for name in OUTPUTS),
                         *(entry.path for entry in os.scandir(self.layout.work) if entry.is_dir())]:
                shutil.rmtree(path, ignore_errors=True)

    def _refuse_other_columns(self, shard):
        """Raise NoPairs where it is not known which columns of a shard that was curated before are id and text."""
        try:
            shards.columns_of(shard, self.settings.reading)
        except NoPairs:
            raise
        except (Mc2Error, OSError):             # is said when its turn comes
            pass

    def _complete(self, task, items, of=None):
        if items:
            _retract(self.layout.out)
        complete(task, items, self.executor, self.progress, total=len(of if of is not None else items), phase=task.name)

    def _reduce(self):
        """Merge the counts of the shards in a tree, down to at most GROUP files. Returns them, opened."""
        # The name of a merged file tells what is in it, so what an earlier run left can be used.
        content = {self.layout.shard_counts(shard): self.match.description(shard) for shard in sorted(self.pool)}
        while len(content) > GROUP:
            paths = list(content)
            groups = [tuple(paths[first:first + GROUP]) for first in range(0, len(paths), GROUP)]
            names = {group: manifests.fingerprint([content[path] for path in group])[:32] for group in groups}
            reduce = Reduce(self.layout, names)
            self._complete(reduce, groups)
            content = {reduce.output(group): names[group] for group in groups}
        return [shard_counts.ShardCounts(path) for path in content]

    def _counts(self):
        """Write counts/, unless it is that of these shards already. Returns its manifest."""
        release, path = self.settings.release, self.layout.counts
        shards = self._fingerprint()
        present = manifests.read_if_whole(path) if os.path.isdir(path) else None
        if present and present.get("options") == {"shards": shards}:
            with contextlib.suppress(Mc2Error):                 # damaged: write it anew
                counting.load(path, samples=False)
                return present
        started, parts = time.monotonic(), self._reduce()
        tally = sum((part.tally for part in parts), collections.Counter())
        return shard_counts.to_counts(parts, release.n_entries, release.fingerprint, path, inputs=self.pool,
                                      options={"shards": shards}, counts=tally, seconds=time.monotonic() - started,
                                      paths={"metadata": release.path})

    def _fingerprint(self):
        return manifests.fingerprint([self.match.description(shard) for shard in sorted(self.pool)])

    def _thresholds(self, fingerprint):
        """Write thresholds.json, unless it says the same already, by the same options. Returns its content."""
        counts, _ = counting.load(self.layout.counts, check=False)
        given, self.notes = dict(self.settings.thresholds), []
        if pairs := given.pop("pairs", None):
            curve = choosing.Curve(counts, given["min_t"])
            chosen = curve.find(pairs)
            given["t_en"], self.notes = chosen.t_en, choosing.report(curve, chosen, pairs)
            if self.settings.one_per_image:
                self.notes.append("warning: --pairs takes the texts of one image for so many pairs; as --one-per-image "
                                  "draws for one of them, fewer are kept.")
        content = thresholds.derive(counts, fingerprint, **given)
        self.notes += [f"warning: {warning}" for warning in thresholds.warnings(content, counts, given["min_t"])]
        data, present = documents.dumped(content), manifests.read_if_whole(self.layout.thresholds)
        # other options may give the same thresholds: its manifest says the last ones
        if not _holds(self.layout.thresholds, data) or (present or {}).get("options") != self.settings.thresholds:
            files.write_bytes(self.layout.thresholds, data, is_own=True)
            manifests.write_for_file(self.layout.thresholds, manifests.describe_run(
                "thresholds", [os.path.join(self.layout.counts, "manifest.json")], self.settings.thresholds))
        return content

    def _write_uids(self, manifest):
        if self.settings.uids:
            parts = [_uids_in(self.layout.uids(shard)) for shard in self.pool]
            sampling.write_uids(self.settings.uids, np.concatenate([np.empty(0, sampling.UIDS), *parts]))
            manifests.write_for_file(self.settings.uids, {**manifest, "kind": "uids"})

    def _write_dropped(self, sample):
        if self.settings.dropped:
            with files.open_write(self.settings.dropped) as out:
                for shard in self.pool:
                    for task in (self.match, sample):
                        put_together(task, DROPPED, [shard], out)

    def _finish(self, counted, content, sample, started):
        """Remove what is no part of the result, and write the manifest of the job."""
        if self._fingerprint() != counted["options"]["shards"]:
            raise BadData("a shard changed while the job ran, after it was counted. Run again when the pool is complete.")
        removed = _remove_others(self.layout, self.whole_pool, self.settings.keep_matched)
        tally, kept = collections.Counter({"in": 0, "matched": 0}), collections.Counter()
        tally.update(counted["counts"])
        tally["out"] = 0
        for shard in self.pool:
            drawn = manifests.read(sample.output(shard))
            add_up(tally, {what: count for what, count in drawn["counts"].items()
                           if what in ("out", "never counted") or what.startswith("dropped: ")})
            kept.update(drawn["kept"])
        release = self.settings.release
        languages = {lang: {"pairs": row["pairs"], "matched_pairs": row["matched_pairs"],
                            "t": content["languages"][lang]["t"], "kept": kept[lang]}
                     for lang, row in counted["languages"].items() if row["pairs"]}
        manifest = manifests.describe_run(
            KIND, self.pool, self.settings.options, tally, time.monotonic() - started, {"metadata": release.path},
            executor=self.executor.name, languages=languages, removed_shards=removed, **self.columns.noted(),
            lineage={"metadata": release.fingerprint, "counts": counted["fingerprint"],
                     "thresholds": manifests.fingerprint(content)})
        manifests.write(self.layout.out, manifest)
        return manifest


def summary(manifest, out, job):
    """Yield the lines that a person wants to see at the end of a Job: shards that changed, its notes, and the receipt."""
    if changed := job.changed:
        more = f" and {len(changed) - 3:,} more" if len(changed) > 3 else ""
        names = " ".join(map(files.name_of, changed[:3]))
        yield f"changed since an earlier run, or of other options, so done again: {names}{more}"
    yield from job.notes
    tally = collections.Counter(manifest["counts"])
    text = (f"curate: {len(manifest['inputs']):,} shards, {tally['in']:,} pairs in, {tally['matched']:,} matched, "
            f"{tally['out']:,} kept, in {sum(1 for row in manifest['languages'].values() if row['kept']):,} languages")
    text += what_was_left_out(tally, "in quarantine")
    if manifest["removed_shards"]:
        text += f"; outputs of {len(manifest['removed_shards']):,} shards removed that are no longer in the pool"
    yield f"{text} -> {out} ({duration(manifest['seconds'])})"


def refuse_foreign_directory(out):
    """Raise BadUsage when the output directory holds something that is no curation."""
    if os.path.isdir(out) and os.path.exists(os.path.join(out, ".work", MARK)):
        return
    if os.path.isdir(out) and os.listdir(out) == [".work"] and not os.listdir(os.path.join(out, ".work")):
        return                                  # a run that was killed as it began
    manifests.refuse_foreign_directory(out, KIND)


def refuse_paths_within(out, paths):
    """Raise BadUsage when one of these paths is the job's own: in a directory of it, or a file that it writes."""
    real_out = os.path.realpath(out)
    directories = tuple(os.path.join(real_out, name, "") for name in (*OUTPUTS, "logs", ".work"))
    written = {os.path.join(real_out, name) for name in ("thresholds.json", "thresholds.json.manifest.json", "manifest.json")}
    for path in paths:
        if not files.is_remote(path) and ((real := os.path.realpath(path)).startswith(directories) or real in written):
            raise BadUsage(f"{files.name_of(path)}: lies in the output directory {out}, where the job would replace it. "
                           f"Name another output.")


def mark(work):
    """Make the work directory, and say in it whose it is."""
    own.make_directory(work)
    own.write_mark(os.path.join(work, MARK), "Intermediate files of mc2 curate.\n")


def _refuse_links(layout):
    """Raise BadData where one of the directories in which the job removes files is a link to another one."""
    for path in [*(os.path.join(layout.out, name) for name in (*OUTPUTS, "logs")),
                 *(entry.path for entry in os.scandir(layout.work))]:
        own.refuse_link(path)


def _uids_in(path):
    try:
        manifests.verify(path)
        return parsing.array(path)
    except (BadData, ValueError):
        raise BadData(f"{path}: is damaged. Delete it, and run again.") from None


def _retract(out):
    """Take back the manifest of a job that is not finished any more."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(out, "manifest.json"))


def _alone(out):
    return temporaries.locked(out, f"{out}: another 'mc2 curate' is at work on this output. Wait for it to end; 'mc2 status "
                             f"{out}' shows how far it is.")


def _holds(path, data):
    with contextlib.suppress(OSError):
        with open(path, "rb") as stream:
            return stream.read() == data
    return False


def _remove_others(layout, pool, keep_matched):
    """Remove outputs of shards that are no longer in the pool, and matched/ if it is not to be kept.

    Returns the names of these shards.
    """
    present = set(map(layout.name, pool))
    gone = set()
    for directory, keep in (("matched", present if keep_matched else set()), ("curated", present)):
        for name in _listed(os.path.join(layout.out, directory)):
            shard = name.removesuffix(".manifest.json")
            if shard not in keep:
                os.unlink(os.path.join(layout.out, directory, name))
                gone |= {shard} - present
    if not keep_matched and os.path.isdir(os.path.join(layout.out, "matched")):
        shutil.rmtree(os.path.join(layout.out, "matched"))
    beside = [(os.path.join(layout.work, "counts"), ".counts"), (os.path.join(layout.work, "uids"), ".npy"),
              (os.path.join(layout.out, "quarantine"), ".jsonl"),
              *((os.path.join(paths.parts, DROPPED), ".jsonl") for paths in (layout.matched, layout.curated))]
    for directory, suffix in beside:
        for name in _listed(directory):
            if name.removesuffix(".manifest.json").removesuffix(suffix) not in present:
                os.unlink(os.path.join(directory, name))
    for directory in (layout.matched.directory, layout.curated.directory, *(directory for directory, _ in beside)):
        _remove_empty_folders(directory)
    shutil.rmtree(os.path.join(layout.work, "reduced"), ignore_errors=True)
    return sorted(map(files.printable, gone))


def _listed(directory):
    """Paths of the visible files in a directory and its folders: what begins with a dot is being written, or was when a
    run was killed."""
    own.refuse_link(directory)
    return sorted(os.path.relpath(os.path.join(folder, name), directory)
                  for folder, _, found in os.walk(directory) for name in found
                  if not name.startswith(".") and not os.path.islink(os.path.join(folder, name)))


def _remove_empty_folders(directory):
    """Remove the folders in a directory that hold nothing."""
    for folder, _, _ in os.walk(directory, topdown=False):
        if folder != directory:
            with contextlib.suppress(OSError):          # it holds something
                os.rmdir(folder)
