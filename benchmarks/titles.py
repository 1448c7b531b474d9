"""Titles from hourly pageview files: speed per core, memory with and without a bound, and what 40 days would take.

    python benchmarks/titles.py             # about four minutes, 1 GB of disk (in $TMPDIR)
    python benchmarks/titles.py --quick     # half a minute

The files are made here, like real ones in what matters for speed: the share of each site, many titles asked for once
and few often, from hour to hour mostly other rare ones, a sixth with a colon, a few with percent-encoding, sorted by
site and title; by default one, as large as a real hour. What to expect on one core of a 2-core Xeon: nearly the lines
per second of the plain loop, which keeps all in memory and writes nothing; half a million of them; the same bytes in
300 MB as in any memory; and 10 to 25 minutes of 16 cores for 40 days.
"""
import argparse
import filecmp
import gzip
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from urllib.parse import unquote_to_bytes

import numpy as np
import timing

from mc2 import files, manifests
from mc2.metadata import languages, pageviews, spill, titles

# Share of the lines of a file. `en.d` and the like are other projects.
SITES = {"en": 0.20, "en.m": 0.21, "es.m": 0.05, "ja.m": 0.045, "de": 0.04, "de.m": 0.045, "fr": 0.035, "fr.m": 0.045,
         "ru": 0.03, "ru.m": 0.04, "it.m": 0.03, "zh": 0.03, "pt.m": 0.02, "pl.m": 0.02, "ar.m": 0.02, "fa.m": 0.02,
         "nl": 0.01, "sv": 0.01, "uk": 0.01, "zh-min-nan": 0.005, "commons.m": 0.02, "en.d": 0.035, "fr.d": 0.02,
         "www.wd": 0.01}
SYLLABLES = {"latin": "an er in ar el on or al en is ti ra la ri st na de ma le li ro to".split(),
             "cyrillic": "на ко ра то ни ро ва ка ли но ла ро ма те".split(),
             "arabic": "ال من ار ان را دا مد لا با سا".split(),
             "han": list("中国人大学日本市会山川東京北南新田小高文")}
SCRIPT = {"ru": "cyrillic", "uk": "cyrillic", "ar": "arabic", "fa": "arabic", "ja": "han", "zh": "han"}
PAGES = 6_000_000               # of the largest site; others have as many as their share of the lines
ZIPF = 1.06                     # exponent of the ranks of the pages that are asked for

FILES, LINES = 960, 5_500_000   # of 40 days
CORES = 16


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--lines", type=int, default=5_500_000, help="of a file")
    options = parser.parse_args()
    if options.quick:
        options.files, options.lines = 2, 300_000
    repeats = 1 if options.quick else 3
    with tempfile.TemporaryDirectory() as directory:
        timing.refuse_little_space(directory, 2)
        paths = [write_hour(directory, hour, options.lines) for hour in range(options.files)]
        print(timing.machine(repeats))
        sizes = [os.path.getsize(path) for path in paths]
        n_lines = sum(block.count(b"\n") for path in paths for _, block in files.read_blocks(path))
        print(f"{len(paths)} files, {n_lines:,} lines, {sum(sizes) / 1e6:.0f} MB compressed, "
              f"{sum(sizes) / n_lines:.1f} bytes a line")
        seconds = compare_loops(paths, directory, n_lines, repeats)
        unbounded = compare_memory(paths, directory, n_lines)
        extrapolate(seconds / n_lines, unbounded, n_lines)


# ---------------------------------------------------------------- files

def write_hour(directory, hour, n_lines):
    random = np.random.default_rng(hour)
    path = os.path.join(directory, f"pageviews-202501{1 + hour // 24:02}-{hour % 24:02}0000.gz")
    with gzip.open(path, "wb", compresslevel=6) as stream:
        for site in sorted(SITES):
            stream.write(b"".join(site_lines(site, round(SITES[site] * n_lines), random)))
    return path


def site_lines(site, n_lines, random):
    """About n_lines lines of a site: requests are drawn until there are so many different titles."""
    n_pages = round(PAGES * SITES[site] / max(SITES.values())) + 1000
    ranks = np.arange(1, n_pages + 1, dtype=np.float64)
    cumulative = np.cumsum(ranks ** -ZIPF)
    requests = np.searchsorted(cumulative, random.random(n_lines * 6) * cumulative[-1])
    pages, views = np.unique(requests, return_counts=True)
    keep = np.sort(random.permutation(len(pages))[:n_lines])
    wiki = site.split(".")[0]
    lines = [f"{site} {title_of(wiki, page)} {n} 0\n" for page, n in zip(pages[keep].tolist(), views[keep].tolist())]
    return [line.encode() for line in sorted(lines)]


def title_of(wiki, page):
    """The title of a page, the same every time."""
    syllables, rest, words = SYLLABLES[SCRIPT.get(wiki, "latin")], page * 2654435761 % 2 ** 32, []
    while rest:
        word = ""
        for _ in range(2 + rest % 3):
            rest, syllable = divmod(rest, len(syllables))
            word += syllables[syllable]
        words.append(word.capitalize())
    title = "_".join([*words, str(page)] if page % 5 == 0 else words) + f"_{page:x}"
    if page % 6 == 0:
        return ("Special:", "File:", "User:", "Talk:")[page % 4] + title
    return title.replace("_", "%20" if page % 100 == 1 else "_")


# ---------------------------------------------------------------- comparisons

def plain(paths, codes):
    """The straightforward loop, in memory: every line is split, every title decoded. {code: sorted (title, views)}"""
    wiki_of = {domain.encode(): code for domain, code in pageviews.wiki_of_domain(codes).items()}
    views = defaultdict(Counter)
    for path in paths:
        with files.open_read(path) as stream:
            for line in stream:
                fields = line.split()
                if len(fields) != 4 or not fields[2].isdigit():
                    continue
                code = wiki_of.get(fields[0])
                if code is None:
                    continue
                title = " ".join(unquote_to_bytes(fields[1]).decode("utf-8").replace("_", " ").split())
                if ":" not in title:
                    views[code][title] += int(fields[2])
    return {code: sorted(of_wiki.items()) for code, of_wiki in views.items()}


def compare_loops(paths, directory, n_lines, repeats):
    """Print lines per second of counting files up to sorted titles, ours on disk; returns our CPU seconds for all."""
    codes = languages.of_scheme("lid176").wiki_codes
    work = titles.Count(codes, 16 << 30)
    run = spill.Run(os.path.join(directory, work.count(paths, directory, "check")["run"]))
    assert [(*key.split("\t"), n) for key, n in spill.merge([run])] == \
        [(code, *row) for code, rows in sorted(plain(paths, codes).items()) for row in rows], "the counts differ"
    seconds = timing.interleaved({"plain loop, in memory": lambda: plain(paths, codes),
                                  "mc2, on disk": lambda: work.count(paths, directory, "speed")}, repeats)
    base = seconds["plain loop, in memory"]
    timing.show("Counting up to sorted titles, one core, reading .gz included", ["", "lines/s", "spread", "ratio"],
                [[name, *timing.speed_cells(times, base, n_lines)] for name, times in seconds.items()])
    return float(np.median(seconds["mc2, on disk"]))


# A process of its own: what a child used counts from before it began its own program, as a copy of its parent.
MEASURE = """import os, subprocess, sys
_, status, usage = os.wait4(subprocess.Popen(sys.argv[1:]).pid, 0)
print(status, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime)"""


def compare_memory(paths, directory, n_lines):
    """Print the peak memory of the whole command, which must write the same bytes; returns (CPU seconds, titles) of
    the run with much memory."""
    rows, measured = [], []
    for memory in ("16G", "300M", "128M"):
        output = os.path.join(directory, memory)
        command = [sys.executable, "-m", "mc2", "build-metadata", "titles", *paths, "-o", output, "--memory", memory,
                   "-q"]
        done = subprocess.run([sys.executable, "-c", MEASURE, *command], check=True, capture_output=True, text=True)
        status, megabytes, cpu = map(float, done.stdout.split())
        assert status == 0, done.stderr
        n_titles = sum(manifests.read(path)["counts"]["out"] for path in tables(output))
        measured.append((cpu, n_titles))
        rows.append([f"--memory {memory}", f"{megabytes:,.0f} MB", f"{cpu:.1f} s", f"{n_lines / cpu:,.0f}",
                     f"{n_titles:,}"])
        names = [os.path.basename(path) for path in tables(output)]
        same, *_ = filecmp.cmpfiles(os.path.join(directory, "16G"), output, names, shallow=False)
        assert same == names, "the outputs differ"
    timing.show("The whole command, one process; the same bytes", ["", "peak memory", "CPU", "lines/s", "titles"], rows)
    return measured[0]


def tables(output):
    return sorted(os.path.join(output, name) for name in os.listdir(output) if name.endswith(".tsv"))


def extrapolate(seconds_per_line, whole, n_lines):
    cpu, n_titles = whole
    after = max(0.0, cpu - seconds_per_line * n_lines) / n_lines
    counting, rest = (FILES * LINES * each / CORES / 60 for each in (seconds_per_line, after))
    print(f"\n40 days: {FILES} files x {LINES:,} lines = {FILES * LINES / 1e9:.2f} G lines\n"
          f"  counting  {seconds_per_line * 1e6:.2f} us a line / {CORES} cores = {counting:.0f} min\n"
          f"  merging, sorting and writing  {after * 1e6:.2f} us a line (here, with {n_titles / n_lines:.2f} titles a "
          f"line, more than over 40 days) / {CORES} cores = {rest:.0f} min at most")


if __name__ == "__main__":
    main()
