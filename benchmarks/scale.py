"""How mc2 curate scales: pairs per second with more workers, what a shard costs, memory; on paper, the whole web.

    python benchmarks/scale.py              # about five minutes on 2 cores; --quick: one
    python benchmarks/scale.py --ray        # also on a Ray cluster of two nodes on this machine (needs the extra [ray])

The pool is made of texts in the languages of corpus.py. The alternatives take turns, round after round, each beginning
with an empty output, and all must give the same curated bytes. Beside them runs what curate replaces: the five
commands one after another over the same shards, with as many processes.
"""
import argparse
import hashlib
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import corpus
import timing

from mc2 import files
from mc2.metadata import languages, merge, sources

MC2 = [sys.executable, "-m", "mc2"]
HEAD, NODE, PORT = "127.0.0.2", "127.0.0.3", 26479
DOLLARS = 0.04                  # per core and hour, of a general machine that can be interrupted


def make_metadata(directory, english, european, n_english, n_others):
    """A release of one large and 18 smaller languages."""
    mapping = languages.of_scheme("lid176")
    lists = {"en": english.entries(n_english)}
    others = [lang for lang in "de fr es it pt nl pl cs da fi el hr sv sk sl sq ca bg".split() if lang in mapping.groups]
    rest = european.entries(n_others * len(others))
    lists |= {lang: rest[k * n_others:(k + 1) * n_others] for k, lang in enumerate(others)}
    inputs, path = os.path.join(directory, "sources"), os.path.join(directory, "metadata")
    os.mkdir(inputs)
    for lang, entries in lists.items():
        sources.write(inputs, lang, "list", ((entry, 0) for entry in entries), [], {"lang": lang})
    merge.merge(inputs, path, mapping, merge.Caps())
    return path


def make_pool(directory, texts, n_shards, name):
    """So many shards of equal size."""
    lines = corpus.pairs(texts)
    os.mkdir(os.path.join(directory, name))
    paths = []
    for shard in range(n_shards):
        paths.append(os.path.join(directory, name, f"{shard:05}.jsonl.zst"))
        with files.open_write(paths[-1]) as stream:
            stream.write(b"".join(lines[shard::n_shards]))
    return paths


class Memory(threading.Thread):
    """Watches the processes below a process: the most private memory that one of them, and the most that the driver
    had (anonymous pages)."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.worker, self.driver = pid, 0, 0

    def run(self):
        while os.path.exists(f"/proc/{self.pid}"):
            self.driver = max(self.driver, _anonymous(self.pid))
            for child in _children(self.pid):
                self.worker = max(self.worker, _anonymous(child))
            time.sleep(0.05)


def _children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as stream:
            return [int(child) for child in stream.read().split()]
    except OSError:
        return []


def _anonymous(pid):
    try:
        with open(f"/proc/{pid}/status") as stream:
            return next((int(line.split()[1]) for line in stream if line.startswith("RssAnon")), 0)
    except OSError:
        return 0


def curate(pool, metadata, out, *more):
    """(seconds, Memory) of a curation that begins with nothing."""
    shutil.rmtree(out, ignore_errors=True)
    started = time.perf_counter()
    process = subprocess.Popen([*MC2, "curate", *pool, "-m", metadata, "--p", "0.06", "-o", out, "-q", *more])
    memory = Memory(process.pid)
    memory.start()
    assert process.wait() == 0
    return time.perf_counter() - started, memory


def five_commands(pool, metadata, out, jobs):
    """Seconds of lid, match, count, thresholds and sample over shards, one after another."""
    shutil.rmtree(out, ignore_errors=True)
    os.mkdir(out)
    started = time.perf_counter()
    names = [os.path.basename(path) for path in pool]

    def run(*command):
        subprocess.run([*MC2, *command, "-q"], check=True, cwd=out)

    run("lid", *pool, "-m", metadata, "-O", "lid", "-j", str(jobs))
    run("match", *(f"lid/{name}" for name in names), "-m", metadata, "-O", "matched", "-j", str(jobs))
    run("count", *(f"matched/{name}" for name in names), "-m", metadata, "-o", "counts", "-j", str(jobs))
    run("thresholds", "counts", "--p", "0.06", "-o", "thresholds.json")
    run("sample", *(f"matched/{name}" for name in names), "-c", "counts", "-t", "thresholds.json", "-O", "curated",
        "-j", str(jobs))
    return time.perf_counter() - started


def bytes_of(out, pool):
    """SHA-256 of the curated shards."""
    digest = hashlib.sha256()
    for path in pool:
        with open(os.path.join(out, "curated", os.path.basename(path)), "rb") as stream:
            digest.update(stream.read())
    return digest.hexdigest()


def start_ray():
    os.environ["RAY_AUTH_MODE"] = "disabled"            # on loopback
    options = ["--num-cpus=1", "--disable-usage-stats", "--object-store-memory=100000000"]
    ray = os.path.join(os.path.dirname(sys.executable), "ray")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True}
    subprocess.run([ray, "start", "--head", f"--node-ip-address={HEAD}", f"--port={PORT}", "--include-dashboard=false",
                    "--min-worker-port=21000", "--max-worker-port=21999", *options], **quiet)
    subprocess.run([ray, "start", f"--address={HEAD}:{PORT}", f"--node-ip-address={NODE}", "--min-worker-port=22000",
                    "--max-worker-port=22999", *options], **quiet)
    return lambda: subprocess.run(["pkill", "-KILL", "-f", f"ray.*({HEAD}|{NODE}|={PORT})"])


def compare(pool, n_pairs, metadata, directory, repeats, with_ray):
    """Rows for every way to curate a pool. Returns the pairs per second of one and of two workers."""
    ways = {"five commands, -j 1": lambda out: (five_commands(pool, metadata, out, 1), None),
            "five commands, -j 2": lambda out: (five_commands(pool, metadata, out, 2), None),
            "curate -j 1": lambda out: curate(pool, metadata, out, "-j", "1"),
            "curate -j 2": lambda out: curate(pool, metadata, out, "-j", "2")}
    if with_ray:
        ways["curate, Ray, two nodes of one core"] = lambda out: curate(pool, metadata, out, "--executor", "ray",
                                                                        "--address", f"{HEAD}:{PORT}")
    seconds, memories, sums = {way: [] for way in ways}, {}, set()
    for number in range(repeats):
        order = list(ways)[number % len(ways):] + list(ways)[:number % len(ways)]
        for way in order:
            out = os.path.join(directory, "out")
            spent, memories[way] = ways[way](out)
            seconds[way].append(spent)
            sums.add(bytes_of(out, pool))
    assert len(sums) == 1, "the ways to curate differ"
    base = seconds["five commands, -j 1"]
    rows = []
    for way, spent in seconds.items():
        memory = memories[way]
        rows.append([way, f"{n_pairs / statistics.median(spent):,.0f}", f"{timing.spread(spent):.0f} %",
                     f"{timing.ratio(spent, base):.2f}x",
                     f"{memory.worker / 1024:,.0f} MB" if memory and memory.worker else "-",
                     f"{memory.driver / 1024:,.0f} MB" if memory else "-"])
    timing.show(f"{len(pool):,} shards, {n_pairs:,} pairs, start to end by the clock",
                ["", "pairs/s", "spread", "ratio", "largest worker", "driver"], rows)
    return [n_pairs / statistics.median(seconds[f"curate -j {jobs}"]) for jobs in (1, 2)]


def on_paper(per_core, overhead):
    """What a core does, carried over to the web: no measurement."""
    rows = []
    for pairs, cores in itertools.product((10e9, 100e9), (100, 1000)):
        shards = pairs / 1e6                            # of a million pairs
        hours = (pairs / per_core + shards * overhead) / cores / 3600
        rows.append([f"{pairs / 1e9:,.0f} billion pairs, {cores:,} cores", f"{hours:,.1f} h",
                     f"{hours * cores * DOLLARS:,.0f} dollars"])
    timing.show(f"On paper: {per_core:,.0f} pairs/s and core, {overhead * 1000:,.0f} ms a shard (of a million pairs), "
                f"{DOLLARS} dollars per core and hour", ["", "time", "cost"], rows)
    print("  The bottleneck is the text itself on its way through Python: JSON, cleaning for identification, zstd. It "
          "grows\n  with the cores; reading and writing 3 x 90 bytes a pair takes 1,000 cores "
          f"{1000 * per_core * 270 / 1e9:,.1f} GB/s from and to storage.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer: a minute")
    parser.add_argument("--ray", action="store_true", help="also on a Ray cluster of two nodes, started here")
    parser.add_argument("--repeats", type=int, metavar="N", help="rounds; default 3, 1 with --quick")
    options = parser.parse_args()
    n_pairs, repeats = (100_000, 1) if options.quick else (800_000, 3)
    repeats = options.repeats or repeats
    print(timing.machine(repeats).replace(" on one core", ""))
    stop_ray = start_ray() if options.ray else lambda: None
    with tempfile.TemporaryDirectory() as directory:
        try:
            timing.refuse_little_space(directory, 3)
            english, european = corpus.english(), corpus.european()
            metadata = make_metadata(directory, english, european, 20_000 if options.quick else 200_000,
                                     2_000 if options.quick else 10_000)
            texts = [text for pair in zip(english.texts(n_pairs // 2), european.texts(n_pairs // 2)) for text in pair]
            large = make_pool(directory, texts, 8, "large")
            one, _ = compare(large, n_pairs, metadata, directory, repeats, options.ray)
            n_small = 200
            small = make_pool(directory, texts[:n_small * 20], n_small, "small")
            few = make_pool(directory, texts[:n_small * 20], 2, "few")
            spent = {name: [] for name in ("small", "few")}
            for _ in range(repeats):
                for name, pool in (("small", small), ("few", few)):
                    spent[name].append(curate(pool, metadata, os.path.join(directory, "out"), "-j", "1")[0])
            overhead = (statistics.median(spent["small"]) - statistics.median(spent["few"])) / (n_small - 2)
            print(f"\nA shard costs {overhead * 1000:,.0f} ms beside its pairs: {n_small} shards of 20 pairs take "
                  f"{statistics.median(spent['small']):.1f} s, 2 of the same pairs {statistics.median(spent['few']):.1f} s.")
            on_paper(one, overhead)
        finally:
            stop_ray()


if __name__ == "__main__":
    main()
