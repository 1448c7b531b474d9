"""Reading and counting Wikipedia dumps: speed beside WikiExtractor, and memory at dump size.

    python benchmarks/dumps.py                          # reading and counting: two minutes
    python benchmarks/dumps.py --synthetic 2G           # a dump of 2 GB of XML as well: half an hour more, 4 GB of disk

Needs Linux and the sample dumps in ../shared/data/wikipedia. WikiExtractor 3.1.0 is installed into an environment of
its own (build/wikiextractor-3.1.0) and run as a program; without a way to install it, its lines are left out.

Expect three times the speed of WikiExtractor, and the same outputs whatever the memory.
"""
import argparse
import bz2
import contextlib
import hashlib
import itertools
import multiprocessing
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter

import numpy as np
import timing

from mc2.metadata import dumps, ngrams, wikitext

ROOT = pathlib.Path(__file__).parents[1]
SAMPLES = ROOT.parent / "shared" / "data" / "wikipedia"
ENGLISH = "enwiki-latest-pages-articles1*.bz2"
VERSION = "3.1.0"
ENVIRONMENT = ROOT / "build" / f"wikiextractor-{VERSION}"
PAGE = re.compile(rb" *<page>.*?</page>\n", re.DOTALL)

CORES = 16                              # of the machine that the extrapolation is for
ENGLISH_WIKIPEDIA = 100e9               # bytes of XML; 24 GB as bz2, 4 billion words
ALL_WIKIPEDIAS = 420e9                  # bytes of XML; about 100 GB as bz2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--copies", type=int, default=10, help="how often the sample is repeated (default 10)")
    parser.add_argument("--synthetic", metavar="SIZE", help="bytes of XML of a made dump, e.g. 2G")
    parser.add_argument("--skip-reading", action="store_true", help="only --synthetic")
    options = parser.parse_args()
    sample = next(SAMPLES.glob(ENGLISH), None)
    if sample is None:
        sys.exit(f"{SAMPLES}: the sample dumps are not here.")
    print(timing.machine(options.repeats))
    with tempfile.TemporaryDirectory() as directory:
        if not options.skip_reading:
            compare_reading(bz2.decompress(sample.read_bytes()), directory, options)
            measure_counting(sample, options.repeats)
        if options.synthetic:
            size = int(options.synthetic[:-1]) << {"M": 20, "G": 30}[options.synthetic[-1]]
            timing.refuse_little_space(directory, 2 * size / 1e9)
            measure_synthetic(sample, size, directory)


# ---------------------------------------------------------------- reading

def compare_reading(xml, directory, options):
    """Print pages and MB per second of the programs, which take turns."""
    pages = PAGE.findall(xml)
    path = os.path.join(directory, "dump.xml")
    with open(path, "wb") as stream:
        stream.write(xml[:xml.index(pages[0])])
        for _ in range(options.copies):
            stream.writelines(pages)
        stream.write(b"</mediawiki>\n")
    with open(path, "rb") as plain, bz2.open(f"{path}.bz2", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    program = wikiextractor()
    reader = [sys.executable, "-c", READ]
    commands = {"WikiExtractor": [program, "-q", "--json", "-o", "-", "--no-templates", "--processes", "1", path],
                "mc2": [*reader, path], "mc2, from .bz2": [*reader, f"{path}.bz2"]}
    if program is None:
        del commands["WikiExtractor"]
    seconds = {name: [] for name in commands}
    clock = {name: [] for name in commands}
    for _ in range(options.repeats):
        for name, command in commands.items():
            cpu, wall = cpu_of(command)
            seconds[name].append(cpu)
            clock[name].append(wall)
    n_pages, n_bytes = len(pages) * options.copies, os.path.getsize(path)
    base = next(iter(seconds))
    timing.show(f"Reading {n_pages:,} pages, {n_bytes / 1e6:,.0f} MB of XML, CPU seconds of all processes of a program "
                f"(which are three for WikiExtractor)",
                ["", "pages/s", "MB/s", "spread", "ratio", "by the clock"],
                [[name, f"{n_pages / statistics.median(times):,.0f}", f"{n_bytes / 1e6 / statistics.median(times):.1f}",
                  f"{timing.spread(times):.0f} %", f"{timing.ratio(times, seconds[base]):.1f}x",
                  f"{statistics.median(clock[name]):.1f} s"] for name, times in seconds.items()])


READ = """
import sys
from mc2.metadata import dumps, wikitext
for page in dumps.read_pages(sys.argv[1]):
    print(page.title, wikitext.clean(page.text, page.hidden_namespaces))
"""


def wikiextractor():
    """The path of the program, installed where that is possible."""
    program = ENVIRONMENT / "bin" / "wikiextractor"
    if not program.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
            subprocess.run([ENVIRONMENT / "bin" / "pip", "install", "-q", f"wikiextractor=={VERSION}"], check=True)
        except subprocess.CalledProcessError:
            print(f"WikiExtractor {VERSION} could not be installed, so it is left out.")
            return None
    return program


def cpu_of(command):
    """(CPU seconds, seconds by the clock) of a command and its child processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall, _ = timing.wall_seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


# ---------------------------------------------------------------- counting

def measure_counting(sample, repeats):
    """Print the words per second of what is done to the text of a page."""
    pages = list(dumps.read_pages(sample))
    texts = [wikitext.clean(page.text, page.hidden_namespaces) for page in pages]
    n_words = sum(ngrams.add(ngrams.SPACES.tokens(text), Counter(), Counter()) for text in texts)
    calls = {"clean": lambda: [wikitext.clean(page.text, page.hidden_namespaces) for page in pages],
             "split into words": lambda: [ngrams.SPACES.tokens(text) for text in texts],
             "split and count, with bigrams": lambda: ngrams.count_ngrams(texts)}
    seconds = timing.interleaved(calls, repeats)
    timing.show(f"Counting {n_words:,} words", ["", "words/s", "spread"],
                [[name, f"{n_words / statistics.median(times):,.0f}", f"{timing.spread(times):.0f} %"]
                 for name, times in seconds.items()])


# ---------------------------------------------------------------- a dump of any size

WORD = re.compile(r"(?<= )([^\W\d_]{4,})(?= )")       # of running text, not of markup
SYLLABLES = ["".join(letters) for letters in itertools.product("bdfgklmnprstvz", "aeiou")]


def measure_synthetic(sample, size, directory):
    path = os.path.join(directory, "enwiki-made-pages-articles-multistream.xml.bz2")
    started = time.perf_counter()
    n_bytes = write_synthetic(sample, size, path)
    print(f"\nmade: {n_bytes / 1e9:.2f} GB of XML, {os.path.getsize(path) / 1e9:.2f} GB as bz2, "
          f"in {time.perf_counter() - started:.0f} s")
    runs, rows, sums = [], [], set()
    for memory in ("1G", "256M", "1T"):
        run = Watched([sys.executable, "-m", "mc2", "build-metadata", "ngrams", "--wiki", "en", path, "-j", "2",
                       "--memory", memory, "-o", os.path.join(directory, "sources")])
        print(run.receipt)
        sums.add(sha256(os.path.join(directory, "sources")))
        rows.append([f"-j 2 --memory {memory}", f"{run.seconds:.0f} s", f"{run.cpu:.0f} s", f"{run.driver_cpu:.0f} s",
                     f"{run.peak / 2 ** 30:.2f} GiB", f"{run.disk / 1e9:.2f} GB"])
        runs.append(run)
    assert len(sums) == 1, "the outputs differ"
    timing.show("N-grams of the made dump",
                ["", "clock", "CPU", "of the first process", "peak memory (PSS)", "peak disk"], rows)
    print(f"  the outputs are the same: SHA-256 {sums.pop()}")
    extrapolate(runs[0], n_bytes)


def extrapolate(run, n_bytes):
    """Print how long real dumps would take: the cores share what workers do, and not what the first process does."""
    print(f"\nExtrapolated to {CORES} such cores, everything in proportion to the bytes of XML")
    for name, size in ("the English Wikipedia", ENGLISH_WIKIPEDIA), ("all Wikipedias", ALL_WIKIPEDIAS):
        factor = size / n_bytes
        workers, driver = factor * (run.cpu - run.driver_cpu) / CORES, factor * run.driver_cpu
        print(f"  {name}: {size / 1e9:.0f} GB / {n_bytes / 1e9:.2f} GB = {factor:.0f};  {factor:.0f} x "
              f"{run.cpu - run.driver_cpu:.0f} s of workers / {CORES} = {workers / 3600:.2f} h;  {factor:.0f} x "
              f"{run.driver_cpu:.0f} s of the first process = {driver / 3600:.2f} h;  together "
              f"{(workers + driver) / 3600:.1f} h;  disk {factor * run.disk / 1e9:.0f} GB"
              f"{' (a part of that, as it is one wiki after another)' if size == ALL_WIKIPEDIAS else ''}")


def write_synthetic(sample, size, path):
    """Write a multistream dump from the articles of the sample, many of whose words are drawn anew, so that
    the number of distinct words grows as it does in a wiki. Returns its bytes of XML."""
    xml = bz2.decompress(sample.read_bytes())
    pages = PAGE.findall(xml)
    head = xml[:xml.index(pages[0])]
    copies = range(size // sum(map(len, pages)) + 1)
    n_bytes = len(head)
    with open(path, "wb") as stream, multiprocessing.get_context("fork").Pool(2) as pool:
        stream.write(bz2.compress(head))
        for length, streams in pool.imap(Perturbed([page.decode() for page in pages]), copies):
            stream.writelines(streams)
            n_bytes += length
        stream.write(bz2.compress(b"</mediawiki>\n"))
    return n_bytes


class Perturbed:
    def __init__(self, pages):
        self.pages = pages

    def __call__(self, copy):
        """(bytes, bz2 streams of 20 pages) of one copy of all pages."""
        self.rng = np.random.default_rng(copy)
        pages = [self.perturb(page).encode() for page in self.pages]
        groups = [b"".join(pages[first:first + 20]) for first in range(0, len(pages), 20)]
        return sum(map(len, groups)), list(map(bz2.compress, groups))

    def perturb(self, page):
        pieces = WORD.split(page)               # every second one is a word
        words = np.flatnonzero(self.rng.random(len(pieces) // 2) < 0.4)
        for word, number in zip(words.tolist(), (self.rng.zipf(1.25, len(words)) % 50_000_000).tolist()):
            pieces[2 * word + 1] = made_word(number)
        return "".join(pieces)


def made_word(number):
    letters = ["x"]
    while number:
        number, syllable = divmod(number, len(SYLLABLES))
        letters.append(SYLLABLES[syllable])
    return "".join(letters)


# ---------------------------------------------------------------- watching a command

class Watched:
    """Runs a command, and watches its memory and disk.

    seconds, cpu (of all processes), driver_cpu (of the first), peak (bytes, PSS of all processes together), disk
    (bytes of intermediate files), receipt
    """

    def __init__(self, command):
        self.peak = self.disk = 0
        self.driver_cpu = 0.0
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        watcher = threading.Thread(target=self.watch, args=[os.path.join(command[-1], ".en.ngrams.work")], daemon=True)
        watcher.start()
        self.receipt = self.process.stderr.read().strip()
        if self.process.wait():
            sys.exit(self.receipt)
        watcher.join()
        self.seconds = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def watch(self, directory):
        while self.process.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
                self.driver_cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            self.peak = max(self.peak, sum(map(pss, family(self.process.pid))))
            self.disk = max(self.disk, sum(size_of(path) for path in pathlib.Path(directory).rglob("*")))
            time.sleep(0.25)


def family(pid):
    """This process and all that come from it."""
    found = [pid]
    with contextlib.suppress(OSError):
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += family(int(child))
    return found


def pss(pid):
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0


def size_of(path):
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def sha256(sources):
    digest = hashlib.sha256()
    for kind in ("unigram", "bigram"):
        digest.update(pathlib.Path(sources, f"en.{kind}.tsv").read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
