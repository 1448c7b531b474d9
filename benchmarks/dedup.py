"""De-duplication: mc2 dedup urls beside `sort -u`; the search for near signatures beside all pairs and the theory.

    python benchmarks/dedup.py              # 10 million x 50,000 signatures, 5 million lines: 3 minutes
    python benchmarks/dedup.py --quick      # a tenth of both: half a minute
    python benchmarks/dedup.py --lines 20000000         # 20 million lines: 5 minutes more, 4 GB of disk

Signatures are random, but for 1,000 that are planted 0 to 9 bits away from an evaluation image. The slower ways take a
part of the signatures, which is said. Each measurement is a process of its own, so that its memory is its own.
"""
import argparse
import hashlib
import math
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

import timing

from mc2 import engines, files
from mc2.dedup import hamming

EVALUATION = 50_000
PLANTED = 1_000
WAYS = {"native": 1.0, "NumPy": 0.1, "all pairs, NumPy": 0.002}         # the share of the signatures that each takes


def signatures(n):
    """(training, evaluation, {row of a planted one: bits from its evaluation image})."""
    random = np.random.default_rng(1)
    evaluation, training = (random.integers(0, 2 ** 64, size, np.uint64) for size in (EVALUATION, n))
    rows = random.choice(n, min(PLANTED, n), replace=False)
    planted = {}
    for row in rows.tolist():
        bits = random.choice(64, random.integers(0, 10), replace=False)
        flips = np.bitwise_or.reduce(np.uint64(1) << bits.astype(np.uint64)) if len(bits) else np.uint64(0)
        training[row] = evaluation[random.integers(EVALUATION)] ^ flips
        planted[row] = len(bits)
    return training, evaluation, planted


def all_pairs(training, evaluation, k):
    """bool (n,): which have an evaluation signature within k bits, by looking at every pair."""
    found = np.zeros(len(training), bool)
    for first in range(0, len(training), 1024):
        part = training[first:first + 1024]
        for begin in range(0, len(evaluation), 1024):
            near = (hamming.ones(part[:, None] ^ evaluation[None, begin:begin + 1024]) <= k).any(1)
            found[first:first + 1024] |= near
    return found


def search(way, n, k):
    """Print what one way takes: the cells of a row."""
    training, evaluation, planted = signatures(n)
    if way != "native":
        engines.native = lambda: None
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    found = all_pairs(training, evaluation, k) if way.startswith("all") \
        else hamming.nearest(training, evaluation, k)[0] <= k
    seconds = time.process_time() - started
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    near = [row for row, bits in planted.items() if bits <= k]
    others = np.count_nonzero(found) - np.count_nonzero(found[list(planted)])
    expected = n * hamming.share_lost(hamming.chance(k), EVALUATION)
    assert found[near].all(), "a planted copy was not found"
    # of a Poisson distribution
    assert abs(others - expected) <= 5 * math.sqrt(expected) + 5, "more or fewer by chance than the theory says"
    print(way, f"{n:,}", k, f"{seconds:.1f} s", f"{n / seconds:,.0f}", f"{memory:.0f} MB", f"{len(near):,} of {len(near):,}",
          f"{others:,}", f"{expected:,.1f}", sep="\t")


def write_lines(path, n):
    """A file of n lines, of which about half are repeats."""
    with files.open_write(path) as stream:
        for first in range(0, n, 10_000):
            names = np.random.default_rng(first).integers(0, n * 5 // 8, 10_000)
            lines = []
            for number in names.tolist():
                image = hashlib.blake2b(number.to_bytes(8, "little"), digest_size=12).hexdigest()
                lines.append(f'{{"id":"{image}","url":"https://img{number % 9}.site{number % 100_003}.example/wp-content/'
                             f'uploads/{image[:14]}-1024x768.jpg","text":"a text about {image[14:18]} and {image[18:]}",'
                             '"source":"alt"}\n')
            stream.write("".join(lines).encode())


def compare_lines(n, directory):
    """Print what mc2 dedup urls and sort -u take."""
    path = os.path.join(directory, "pool.jsonl.zst")
    write_lines(path, n)
    mc2 = f'"{sys.executable}" "{os.path.join(os.path.dirname(__file__), "..", "bin", "mc2")}"'
    program = ("import shutil, sys; from mc2 import files\n"
               "with files.open_read(sys.argv[1]) as stream: shutil.copyfileobj(stream, sys.stdout.buffer)")
    decompress = f'"{sys.executable}" -c "{program}"'
    commands = {"mc2 dedup urls": f'{mc2} dedup urls "{path}" -O "{directory}/out" -q',
                "sort -u -S 1G": f'{decompress} "{path}" | LC_ALL=C sort -u -S 1G -T "{directory}" --parallel=1 > '
                                 f'"{directory}/sorted"'}
    rows = []
    for name, command in commands.items():
        with open(os.path.join(directory, "usage"), "w+") as usage:
            program = ("import resource, subprocess, sys; subprocess.run(['bash', '-c', sys.argv[1]], check=True); its = "
                       "resource.getrusage(resource.RUSAGE_CHILDREN); print(its.ru_utime + its.ru_stime, its.ru_maxrss >> 10)")
            environment = {**os.environ, "PYTHONPATH": os.path.join(os.path.dirname(__file__), "..")}
            wall, _ = timing.wall_seconds(lambda: subprocess.run([sys.executable, "-c", program, command], stdout=usage,
                                                                 env=environment, check=True))
            usage.seek(0)
            cpu, memory = usage.read().split()
        rows.append([name, f"{float(cpu):.0f} s", f"{wall:.0f} s", f"{n / float(cpu):,.0f}", f"{memory} MB"])
    kept = {"mc2 dedup urls": sum(len(list(files.read_lines(os.path.join(directory, "out", name))))
                                  for name in os.listdir(os.path.join(directory, "out")) if name.endswith(".zst")),
            "sort -u -S 1G": sum(1 for _ in open(os.path.join(directory, "sorted"), "rb"))}
    assert len(set(kept.values())) == 1, kept
    timing.show(f"{n:,} lines, {kept['mc2 dedup urls']:,} of them distinct",
                ["", "CPU", "clock", "lines/s", "memory"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--lines", type=int, help="Lines of the pool. Default: 5 million.")
    parser.add_argument("--search", nargs=3, metavar=("WAY", "N", "K"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.search:
        search(options.search[0], int(options.search[1]), int(options.search[2]))
        return
    print(timing.machine(1))
    n = 1_000_000 if options.quick else 10_000_000
    rows = []
    for k in (3, 8):
        for way, share in WAYS.items():
            if way != "native" or engines.native():
                done = subprocess.run([sys.executable, __file__, "--search", way, str(int(n * share)), str(k)],
                                      check=True, stdout=subprocess.PIPE, text=True)
                rows.append(done.stdout.strip().split("\t"))
    timing.show(f"signatures within k bits of {EVALUATION:,}", [
        "", "signatures", "k", "CPU", "signatures/s", "memory", "planted found", "others", "expected by chance"], rows)
    with tempfile.TemporaryDirectory() as directory:
        compare_lines(options.lines or (500_000 if options.quick else 5_000_000), directory)


if __name__ == "__main__":
    main()
