"""mc2 count and mc2 sample on a million matched pairs: records per second of one core, reading and writing included.

    python benchmarks/records.py [--pairs 1000000] [--repeats 3]

Costs two minutes and 1 GB of memory; a quarter of that with --pairs 200000. The pairs are those of balance.py: 30
languages, of some 200 bytes and 14 matched entries each, in .jsonl.zst. The commands run in this process; CPU time, from
which that of a run on 1,000 pairs is subtracted. Thresholds are chosen so that about 75 % and 15 % of the pairs are kept.

Expect 1.05 million records a second from count, and from sample 0.59 million with 75 % kept, which are compressed and
written, and 0.93 million with 14 % (an idle 2-core Intel Xeon; three quarters of that while its other core is at work).
"""
import argparse
import os
import statistics
import tempfile

import orjson

import balance
import timing
from mc2 import cli, files
from mc2.balancing import counting, sampling, thresholds
from mc2.pairs.shards import read_blocks

SHARES = (0.75, 0.15)
REACH = 0.6                     # so that small shares can be kept: a rare entry keeps its pair


def mc2(*arguments):
    """A command, in this process."""
    assert cli.run([*map(str, arguments), "-q"]) == 0


class Inputs:
    """A release without entries, since counting looks at their number only, and matched pairs: all and a few."""

    def __init__(self, directory, n):
        self.directory, self.n = directory, n
        lines = [line + b"\n" for line in balance.matched_lines(n, REACH)]
        self.all, self.few = self._write("all.jsonl.zst", lines), self._write("few.jsonl.zst", lines[:1000])
        self.counts = self.path("counts")
        self.count(self.all).save(self.counts, inputs=[], options={})

    def path(self, name):
        return os.path.join(self.directory, name)

    def _write(self, name, lines):
        files.write_bytes(self.path(name), b"".join(lines))
        return self.path(name)

    def count(self, path):
        """The Counts of a file of pairs: what mc2 count does but for writing them."""
        counter, sums = counting.Counter(balance.RELEASE), counting.Accumulator(balance.RELEASE.n_entries)
        counts = counting.Counts(balance.RELEASE.n_entries, balance.RELEASE.fingerprint)
        for block in read_blocks([path], columns=counting.COLUMNS):
            sums.add(counter.product(block.batch(counter.requires)))
        for lang, partial in sums.partials():
            counts.add(lang, partial)
        return counts

    def thresholds_for(self, share):
        """(file of thresholds under which about this share of the pairs is kept, the share)"""
        path, block = self.path(f"t{share}.json"), next(read_blocks([self.all]))
        low, high = 1, 1 << 20
        while True:
            t = (low + high) // 2
            files.write_bytes(path, orjson.dumps(thresholds.derive(*counting.load(self.counts), t_all=t)))
            sampler = sampling.Sampler(self.counts, path)
            kept = float(sampler.keep_probs(block.batch(sampler.requires), 0).mean())
            if abs(kept - share) < 0.02 or high - low < 2:
                return path, kept
            low, high = (t, high) if kept < share else (low, t)

    def sample(self, path, t):
        mc2("sample", path, "-c", self.counts, "-t", t, "-o", self.path("kept.jsonl.zst"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")
    options = parser.parse_args()
    print(timing.machine(options.repeats))
    with tempfile.TemporaryDirectory() as directory:
        timing.refuse_little_space(directory, 2)
        inputs = Inputs(directory, options.pairs)
        calls = {"count": inputs.count}
        for share in SHARES:
            t, kept = inputs.thresholds_for(share)
            calls[f"sample, {kept:.0%} kept"] = lambda path, t=t: inputs.sample(path, t)
        seconds = {name: [] for name in calls}
        for _ in range(options.repeats):
            for name, call in calls.items():
                start = timing.cpu_seconds(lambda: call(inputs.few))
                seconds[name].append(timing.cpu_seconds(lambda: call(inputs.all)) - start)
        rows = [[name, f"{options.pairs / statistics.median(its):,.0f}", f"{timing.spread(its):.0f} %",
                 f"{statistics.median(its) / options.pairs * 1e9:,.0f}"] for name, its in seconds.items()]
        timing.show(f"{options.pairs:,} matched pairs, {os.path.getsize(inputs.all) / options.pairs:.0f} bytes each when "
                    f"compressed", ["", "records/s", "spread", "ns a record"], rows)


if __name__ == "__main__":
    main()
