"""The whole of curation, from a pool of pairs to the balanced subset: mc2 beside the published way, on one core.

    python benchmarks/pipeline.py               # about four minutes, 2 GB of memory; --quick: one
    python benchmarks/pipeline.py --jobs 2      # also two processes against one: a minute more, on idle cores

The published way is plain Python, as the paper's pseudo-code and its released predecessor have it: zstandard, orjson,
`fasttext` one text at a time, the spacing of texts in Python, an automaton of pyahocorasick over (id, word), counts
in arrays, zstandard at level 3; then a second pass that draws. Its texts are not cleaned, so it names other languages
for some of them, and its draws are other ones; where the language is the same, the matched entries are too, which is
checked.

The floor is what remains if nothing were to be done with a pair: decompress, read the JSON once, compress what comes
out, in both passes.

All run in this process, one after another in changing order; CPU time, also of threads; what starting costs (imports,
the model, automata) is left out: the time of a run on 1,000 pairs is subtracted. So "ns a pair" holds what a job does
once and a run on 1,000 pairs has little of, such as the samples of counts (up to 4,096 texts a language). The ways of
mc2 also run on a pool four times as large: "each further pair" is the slope between the two, and "once a job" is what
the smaller pool took beyond that, in ms, without what starting costs. Last come the stages of `mc2 curate` one by one
(of each the least of all rounds, so their sum is below the median of the whole), and its memory.

--jobs compares `mc2 curate -j N` with `-j 1` in processes of their own, start to end, by the clock, on a pool of 32
shards: this says something only where N cores have nothing else to do.
"""
import argparse
import collections
import contextlib
import io
import itertools
import os
import random
import resource
import shutil
import statistics
import tempfile
import time

import ahocorasick
import numpy as np
import orjson
import zstandard

import corpus
import scale
import timing
from mc2 import cli, files
from mc2.balancing import algorithm, sampling, shard_counts
from mc2.execution.stage import Stages
from mc2.metadata import spacing
from mc2.metadata.matching import Metadata
from mc2.metadata.release import Release, mapping_of
from mc2.pairs import jsonl
from mc2.pairs.shards import read_blocks
from mc2.stages import lid_models
from mc2.stages.lid import Identifier
from mc2.stages.match import Annotator

PUBLISHED, CURATE = "the published way", "mc2 curate -j 1"
COMMANDS, FLOOR = "mc2 lid, match, count, thresholds, sample", "floor: decompress, read, compress"
P = 0.06                        # the share of the tail
LARGER = 4                      # the second pool, in times of the first
SHARDS = 32                     # of the pool for --jobs


class Published:
    """What the pseudo-code says, in Python. The automata are made once, beforehand."""

    def __init__(self, metadata):
        self.release = Release(metadata)
        self.lang_of = self.release.languages.lang_of
        self.model = lid_models.FastText(lid_models.default_model()).model
        self.automata = {lang: self._automaton(lang) for lang in self.release.langs}

    def _automaton(self, lang):
        automaton = ahocorasick.Automaton()
        for entry_id, entry in enumerate(self.release.entries(lang)):
            automaton.add_word(spacing.space_entry(entry), (entry_id, entry))
        automaton.make_automaton()
        return automaton

    def __call__(self, pool, out):
        matched, curated = os.path.join(out, "matched.jsonl.zst"), os.path.join(out, "curated.jsonl.zst")
        counts = {lang: np.zeros(n, np.int64) for lang, n in self.release.n_entries.items()}
        with contextlib.ExitStack() as stack:
            write = stack.enter_context(_writer(matched, 3)).write
            for line in _lines(stack, pool):
                record = orjson.loads(line)
                _, label = self.model.predict(record["text"].replace("\n", " ") + "\n", 1, 0.0, "strict")[0]
                lang = self.lang_of[label.removeprefix("__label__")]
                spaced = spacing.space_text(record["text"])
                ids = sorted({entry_id for _, (entry_id, _) in self.automata[lang].iter(spaced)})
                counts[lang][ids] += 1
                record.update(lang=lang, matched_entry_ids=ids)
                write(orjson.dumps(record) + b"\n")
        t, _, _ = algorithm.t_per_language(counts, p=P)
        probs = {lang: algorithm.entry_probs(its, t[lang]) for lang, its in counts.items()}
        with contextlib.ExitStack() as stack:
            write = stack.enter_context(_writer(curated, 3)).write
            for line in _lines(stack, matched):
                record = orjson.loads(line)
                its = probs[record["lang"]]
                if any(random.random() < its[entry_id] for entry_id in record["matched_entry_ids"]):
                    write(orjson.dumps(record) + b"\n")


@contextlib.contextmanager
def _writer(path, level):
    with open(path, "wb") as raw, zstandard.ZstdCompressor(level=level).stream_writer(raw) as stream, \
            io.BufferedWriter(stream, files.BLOCK) as writer:
        yield writer


def _lines(stack, path):
    raw = stack.enter_context(open(path, "rb"))
    return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw), files.BLOCK)


def mc2(*arguments):
    """A command, in this process."""
    assert cli.run([*map(str, arguments), "-q"]) == 0


def commands(pool, metadata, out):
    lid, matched, counts, t, curated = (os.path.join(out, name) for name in
                                        ("lid.jsonl.zst", "matched.jsonl.zst", "counts", "t.json", "curated.jsonl.zst"))
    mc2("lid", pool, "-m", metadata, "-o", lid)
    mc2("match", lid, "-m", metadata, "-o", matched)
    mc2("count", matched, "-m", metadata, "-o", counts)
    mc2("thresholds", counts, "--p", P, "-o", t)
    mc2("sample", matched, "-c", counts, "-t", t, "-o", curated)


def curate(pool, metadata, out):
    mc2("curate", pool, "-m", metadata, "--p", P, "-o", os.path.join(out, "out"), "-j", 1)


class Floor:
    """Reads and writes the bytes of a curation that was done before."""

    def __init__(self, pool, curation):
        self.matched = os.path.join(curation, "matched", os.path.basename(pool))
        self.outputs = []
        for path in self.matched, os.path.join(curation, "curated", os.path.basename(pool)):
            self.outputs.append(_content(path))

    def __call__(self, pool, out):
        for source, output in zip((pool, self.matched), self.outputs):
            with files.open_write(os.path.join(out, "floor.jsonl.zst")) as stream:
                for block in read_blocks([source]):
                    block.batch()
                stream.write(output)


def check(out):
    """Both found the same entries in texts of the same language, and the commands and curate wrote the same bytes."""
    same = total = 0
    with files.open_read(os.path.join(out, PUBLISHED, "matched.jsonl.zst")) as theirs, \
            files.open_read(os.path.join(out, COMMANDS, "matched.jsonl.zst")) as ours:
        for their, our in zip(map(orjson.loads, theirs), map(orjson.loads, ours), strict=True):
            total += 1
            if their["lang"] == our["lang"]:
                same += 1
                assert their["matched_entry_ids"] == our["matched_entry_ids"], our
    curated = [os.path.join(COMMANDS, "curated.jsonl.zst"), os.path.join(CURATE, "out", "curated", "00000.jsonl.zst")]
    assert len({_content(os.path.join(out, path)) for path in curated}) == 1, "the commands and curate differ"
    return same, total


def _content(path):
    with files.open_read(path) as stream:
        return stream.read()


class Stopwatch:
    """CPU time of steps, added up."""

    def __init__(self):
        self.seconds, self.last = collections.Counter(), time.process_time()

    def __call__(self, step):
        now = time.process_time()
        self.seconds[step] += now - self.last
        self.last = now


def stages(pool, metadata, out, n_pairs, rounds):
    """Print the ns a pair of every step of a curation, the least of some rounds."""
    release, metadata = Release(metadata), Metadata(metadata)
    stages = [Identifier(lid_models.default_model(), mapping_of(release.path)), Annotator(metadata)]
    counter = shard_counts.ShardCounter(release, lambda shard: os.path.join(out, "shard.counts"))
    curation = os.path.join(out, CURATE, "out")
    sampler = sampling.Sampler(os.path.join(curation, "counts"), os.path.join(curation, "thresholds.json"))
    matched, rows = os.path.join(out, "matched.jsonl.zst"), []
    for which, source, target, its in ("annotate", pool, matched, [*stages, counter]), \
            ("sample", matched, os.path.join(out, "curated.jsonl.zst"), [sampler]):
        least = {}
        for _ in range(rounds):
            watch, whole = Stopwatch(), Stages(its)
            for stage in its:
                stage.begin(pool)
            with files.open_write(target) as stream:
                for block in read_blocks([source]):
                    watch("read, decompress")
                    batch = block.batch(whole.requires, adds=whole.adds, reads=whole.reads)
                    watch("read the JSON")
                    for stage in its:
                        if not stage.observes:
                            stage(batch)
                            watch(stage.name)
                    encoded = jsonl.encode(batch)
                    watch("write the JSON")
                    for stage in its:
                        if stage.observes:
                            stage(batch)
                            watch(stage.name)
                    stream.write(encoded)
                    watch("compress, write")
            watch("compress, write")
            for step, seconds in watch.seconds.items():
                least[step] = min(seconds, least.get(step, seconds))
        rows += [[f"{which}: {step}", f"{seconds / n_pairs * 1e9:,.0f}"] for step, seconds in least.items()]
        rows.append([which, f"{sum(least.values()) / n_pairs * 1e9:,.0f}"])
    timing.show("mc2 curate, step by step", ["", "ns a pair"], rows)


class Inputs:
    """The release and the pools: of n pairs, of LARGER times as many, and of 1,000."""

    def __init__(self, directory, n_pairs, n_english, n_others):
        self.directory, self.n_pairs = directory, n_pairs
        english, european = corpus.ALL["english"](), corpus.ALL["european"]()
        self.corpora = english, european, corpus.worldwide()
        self.metadata = scale.make_metadata(directory, english, european, n_english, n_others)
        self.pool, = self.shards("pool", n_pairs)
        self.larger, = self.shards("larger", LARGER * n_pairs)
        self.few, = self.shards("few", 1000)

    def shards(self, name, n_pairs, n_shards=1):
        """The paths of a pool of so many pairs, in all languages."""
        texts = (text for its in zip(*(each.texts(n_pairs) for each in self.corpora)) for text in its)
        return scale.make_pool(self.directory, list(itertools.islice(texts, n_pairs)), n_shards, name)


def compare(inputs, repeats):
    """Print the ns a pair of every way, and what of it is once a job."""
    directory, n_pairs = inputs.directory, inputs.n_pairs
    published, done = Published(inputs.metadata), os.path.join(directory, "done")
    os.mkdir(done)
    curate(inputs.pool, inputs.metadata, done)
    ways = {PUBLISHED: published, COMMANDS: lambda pool, out: commands(pool, inputs.metadata, out),
            CURATE: lambda pool, out: curate(pool, inputs.metadata, out),
            FLOOR: Floor(inputs.pool, os.path.join(done, "out"))}
    seconds, larger = ({way: [] for way in ways} for _ in range(2))
    for number in range(repeats):
        for way in [*ways][number % len(ways):] + [*ways][:number % len(ways)]:
            out = os.path.join(directory, way)

            def spent(pool):
                shutil.rmtree(out, ignore_errors=True)
                os.mkdir(out)
                return timing.cpu_seconds(lambda: ways[way](pool, out))

            start = 0 if way == FLOOR else spent(inputs.few)
            if way in (COMMANDS, CURATE):
                larger[way].append(spent(inputs.larger) - start)
            seconds[way].append(spent(inputs.pool) - start)             # the last one: its outputs are looked at
    same, total = check(directory)
    rows = [[way, f"{statistics.median(its) / n_pairs * 1e9:,.0f}", f"{timing.spread(its):.0f} %",
             f"{timing.ratio(its, seconds[PUBLISHED]):.1f}x", *_slope(its, larger[way], n_pairs)]
            for way, its in seconds.items()]
    lines = _content(os.path.join(directory, COMMANDS, "matched.jsonl.zst")).splitlines()
    n_ids = statistics.mean(len(orjson.loads(line)["matched_entry_ids"]) for line in lines)
    n_bytes = statistics.mean(map(len, lines))
    kept = len(_content(os.path.join(directory, COMMANDS, "curated.jsonl.zst")).splitlines()) / n_pairs
    timing.show(f"{n_pairs:,} pairs of {n_bytes:.0f} bytes when matched, {n_ids:.1f} entries each, {kept:.0%} kept",
                ["", "ns a pair", "spread", "ratio", "each further pair", "once a job"], rows)
    print(f"  {same / total:.1%} of the texts got the same language from both; all of these the same entries.")


def _slope(seconds, larger, n_pairs):
    """The cells: ns of each further pair, ms once a job. seconds, larger: of both pools, round by round"""
    if not larger:
        return ["-", "-"]
    slope = statistics.median((more - its) / ((LARGER - 1) * n_pairs) for its, more in zip(seconds, larger))
    return [f"{slope * 1e9:,.0f}", f"{(statistics.median(seconds) - slope * n_pairs) * 1e3:,.0f} ms"]


def compare_jobs(inputs, n_pairs, jobs, repeats):
    """Print how much faster `mc2 curate -j JOBS` is than `-j 1`, in processes of their own."""
    pool = inputs.shards("shards", n_pairs, SHARDS)
    ways, sums = {number: ([], []) for number in (1, jobs)}, set()
    for number in range(repeats):
        for each in sorted(ways, reverse=number % 2 == 1):
            out, before = os.path.join(inputs.directory, "jobs"), _children_cpu()
            spent, _ = scale.curate(pool, inputs.metadata, out, "-j", str(each))
            ways[each][0].append(spent)
            ways[each][1].append(_children_cpu() - before)
            sums.add(scale.bytes_of(out, pool))
    assert len(sums) == 1, "more processes write other bytes"
    alone, alone_cpu = ways[1]
    rows = [[f"mc2 curate -j {number}", f"{statistics.median(clock):.2f} s", f"{timing.spread(clock):.0f} %",
             f"{timing.ratio(clock, alone):.2f}x", f"{statistics.median(cpu):.2f} s",
             f"{1 / timing.ratio(cpu, alone_cpu):.2f}x"] for number, (clock, cpu) in ways.items()]
    timing.show(f"{n_pairs:,} pairs in {SHARDS} shards, start to end",
                ["", "by the clock", "spread", "ratio", "CPU time", "of -j 1"], rows)


def _children_cpu():
    """CPU seconds of all processes that this one started, and theirs, once they have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer pairs, entries and rounds")
    parser.add_argument("--repeats", type=int, metavar="N", help="rounds; default 5, 2 with --quick")
    parser.add_argument("--jobs", type=int, metavar="N", help="also compare so many processes with one, by the clock")
    options = parser.parse_args()
    n_pairs, n_english, n_others, repeats = (40_000, 100_000, 4_000, 2) if options.quick \
        else (200_000, 500_000, 20_000, 5)
    repeats = options.repeats or repeats
    print(timing.machine(repeats))
    with tempfile.TemporaryDirectory() as directory:
        timing.refuse_little_space(directory, 4)
        inputs = Inputs(directory, n_pairs, n_english, n_others)
        compare(inputs, repeats)
        stages(inputs.pool, inputs.metadata, directory, n_pairs, repeats)
        _, memory = scale.curate([inputs.pool], inputs.metadata, os.path.join(directory, "alone"), "-j", "1")
        print(f"\nThe most private memory of mc2 curate -j 1, in a process of its own: {memory.driver / 1024:,.0f} MB.")
        if options.jobs:
            compare_jobs(inputs, 16 * n_pairs, options.jobs, repeats)


if __name__ == "__main__":
    main()
