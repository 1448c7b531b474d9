"""Measure alternatives side by side, and print what came out.

Speed is CPU time of this process (user and system), since every alternative runs on one core and other jobs of
a machine do not count towards it. The alternatives take turns, round after round, each as many passes over the
data as last a twentieth of a second, so that a clock that changes meets all of them. A ratio is the median of the
ratios within the rounds; the spread is half the distance between the quartiles, in percent of the median.
"""
import ctypes
import filecmp
import gc
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

from mc2 import files
from mc2.tables import align

LEAST = 0.05                    # seconds that one measurement lasts


def interleaved(calls, repeats):
    """{name: CPU seconds of one pass in every round} of {name: function without arguments}."""
    passes = {name: max(1, round(LEAST / cpu_seconds(call))) for name, call in calls.items()}
    seconds = {name: [] for name in calls}
    names = list(calls)
    for number in range(repeats):
        start = number % len(names)             # nobody always follows the same one
        for name in names[start:] + names[:start]:
            seconds[name].append(cpu_seconds(calls[name], passes[name]))
    return seconds


def cpu_seconds(call, passes=1):
    started = time.process_time()
    for _ in range(passes):
        call()
    return max(time.process_time() - started, 1e-9) / passes


def wall_seconds(call):
    """(seconds by the clock, what the call gives)."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def spread(values):
    """Half the distance between the quartiles, in percent of the median."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return 50 * (high - low) / statistics.median(values)


def ratio(seconds, baseline):
    """How many times faster than the baseline: median over the rounds."""
    return statistics.median(theirs / ours for theirs, ours in zip(baseline, seconds))


def ratio_or_noise(seconds, baseline):
    """The ratio as text; that it is noise, where the middle half of the rounds has ratios on both sides of 1."""
    ratios = [theirs / ours for theirs, ours in zip(baseline, seconds)]
    if seconds is baseline or len(ratios) < 2:
        return f"{statistics.median(ratios):.3f}x"
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    range = f"({low:.3f} to {high:.3f})"
    return f"the same, as far as the noise goes {range}" if low <= 1 <= high else f"{middle:.3f}x {range}"


SPEED = ["texts/s", "spread", "ratio"]


def speed_cells(seconds, baseline, n_texts):
    """The cells under SPEED of one alternative."""
    rate = n_texts / statistics.median(seconds)
    return [f"{rate:,.0f}", f"{spread(seconds):.0f} %", f"{ratio(seconds, baseline):.1f}x"]


def show(title, header, rows):
    """Print an aligned table."""
    print(f"\n{title}")
    for line in align([header, *rows]):
        print(f"  {line}")
    sys.stdout.flush()


def machine(repeats):
    """One line: where and how this was measured."""
    return (f"{cpu()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}; "
            f"medians of {repeats} interleaved rounds on one core")


def cpu():
    with open("/proc/cpuinfo") as stream:
        for line in stream:
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()} ({platform.machine()})"
    return platform.machine()


# ---------------------------------------------------------------- memory

def memory():
    """MB of this process. private: of its own (anonymous); resident: with the pages of mapped files; pss: pages
    that several processes use, divided by their number."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)            # what is freed goes back, so that differences mean something
    with open("/proc/self/smaps_rollup") as stream:
        fields = dict(line.split(":", 1) for line in stream if line.endswith("kB\n"))
    names = {"private": "Anonymous", "resident": "Rss", "pss": "Pss"}
    return {name: int(fields[field].split()[0]) / 1024 for name, field in names.items()}


# ---------------------------------------------------------------- whole commands

def compare_commands(command, engines, pairs, directory, repeats):
    """Print the time of `mc2 COMMAND --engine E` on a file of one pair and on one of all, for two engines.

    engines: the baseline first. Their outputs must be the same bytes.
    """
    one, many = (_write(os.path.join(directory, f"{len(lines)}.jsonl.zst"), lines) for lines in (pairs[:1], pairs))
    seconds = {(engine, path): [] for engine in engines for path in (one, many)}
    outputs = {engine: os.path.join(directory, f"{engine}.jsonl.zst") for engine in engines}
    for _ in range(repeats):
        for engine, path in seconds:
            seconds[engine, path].append(_run([*command, path, "--engine", engine, "-o", outputs[engine]]))
    assert filecmp.cmp(*outputs.values(), shallow=False), f"mc2 {command[0]}: the engines differ"
    start, whole = ({engine: statistics.median(seconds[engine, path]) for engine in engines}
                    for path in (one, many))
    base, n_pairs = engines[0], len(pairs)

    def row(engine):
        beyond = (whole[engine] - start[engine]) / n_pairs
        return [f"mc2 {command[0]} --engine {engine}", f"{start[engine]:.2f} s", f"{whole[engine]:.2f} s",
                f"{whole[base] / whole[engine]:.1f}x", f"{beyond * 1e6:.1f} us",
                f"{(whole[base] - start[base]) / n_pairs / beyond:.1f}x"]

    show("The whole command, .jsonl.zst to .jsonl.zst, by the clock",
         ["", "one pair", f"{n_pairs:,} pairs", "ratio", "each further pair", "ratio"], map(row, engines))


def _write(path, lines):
    with files.open_write(path) as stream:
        stream.write(b"".join(lines))
    return path


def _run(arguments):
    seconds, _ = wall_seconds(lambda: subprocess.run([sys.executable, "-m", "mc2", *arguments, "-q"], check=True))
    return seconds


def refuse_little_space(directory, gigabytes):
    if shutil.disk_usage(directory).free < gigabytes * 1e9:
        sys.exit(f"{directory}: less than {gigabytes} GB free. Set TMPDIR to a directory with more.")
