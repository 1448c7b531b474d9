"""Counting and sampling: the native core beside Python, part by part.

    python benchmarks/balance.py [--quick]

Costs half a minute, 10 s with --quick, and 500 MB of memory. Pairs of 30 languages, of some 200 bytes and 14
matched entries each, are read before the clock starts: files and JSON are not in these numbers (formats.py has them).

Expect the hash of a pair in a sixth of a microsecond and its probability in a tenth, both a twelfth of what Python
needs. Counting takes five times less, most of it to fill the samples, which are full after some thousand texts of a
language. Both give the same numbers to the last bit.
"""
import argparse
import contextlib
import os
import random
import statistics
import tempfile
import types

import numpy as np
import orjson

import corpus
import timing
from mc2 import engines
from mc2.balancing import algorithm, counting, sampling, thresholds
from mc2.hashing import keyed_hashes
from mc2.pairs import jsonl

N_LANGUAGES = 30
BLOCK_PAIRS = 5000              # some 2 MB of lines
RELEASE = types.SimpleNamespace(n_entries={"en": 500_000, **{f"l{n}": 300_000 // n for n in range(1, N_LANGUAGES)}},
                                fingerprint="benchmark", path="benchmark")


def matched_lines(n, reach=1.0):
    """n matched pairs as lines. Languages and entries are drawn by Zipf's law; up to four texts share an image. reach: with
    less than 1, rare entries do not occur."""
    chance, numbers, pieces = random.Random(0), np.random.default_rng(0), corpus.english().pieces
    langs = list(RELEASE.n_entries)
    for number in range(n):
        lang = langs[min(int(chance.paretovariate(0.6)) - 1, N_LANGUAGES - 1)]
        size = RELEASE.n_entries[lang]
        ids = np.unique((size ** (reach * numbers.random(chance.randrange(32)))).astype(np.int64) % size).tolist()
        words = " ".join(chance.choices(pieces, k=3)).split()
        chance.shuffle(words)
        yield orjson.dumps({"id": f"{number // 4:024x}", "text": " ".join(words), "lang": lang, "matched_entry_ids": ids})


def pairs(n):
    """Batches of n matched pairs."""
    lines = list(matched_lines(n))
    blocks = [b"\n".join(lines[start:start + BLOCK_PAIRS]) for start in range(0, n, BLOCK_PAIRS)]
    return [jsonl.Block("benchmark", 1, block).batch(("lang", "matched_entry_ids")) for block in blocks]


def counted(batches):
    """[(lang, Partial)]"""
    counter, sums = counting.Counter(RELEASE), counting.Accumulator(RELEASE.n_entries)
    for batch in batches:
        sums.add(counter.product(batch))
    return list(sums.partials())


def sampler_of(partials, directory, one_per_image):
    """A Sampler with these counts, for which a draw decides about most pairs."""
    counts = counting.Counts(RELEASE.n_entries, RELEASE.fingerprint)
    for lang, partial in partials:
        counts.add(lang, partial)
    path, file = os.path.join(directory, "counts"), os.path.join(directory, "thresholds.json")
    if not os.path.exists(path):
        counts.save(path, inputs=[], options={})
        content = thresholds.derive(*counting.load(path), t_all=1)
        with open(file, "wb") as stream:
            stream.write(orjson.dumps(content))
    return sampling.Sampler(path, file, 0, one_per_image)


def columns_of(batch):
    return [batch.strings("id"), batch.strings("text")]


def parts(batches, directory):
    """{name of a part: function without arguments}"""
    partials = counted(batches)
    sampler, one_per_image = (sampler_of(partials, directory, one) for one in (False, True))
    open_rows = [np.flatnonzero((q > 0) & (q < 1)) for q in (sampler.keep_probs(batch, 0) for batch in batches)]
    return {
        "hash": lambda: [keyed_hashes(["sample"], columns_of(batch)) for batch in batches],
        "count, with the hash and the sums": lambda: counted(batches),
        "probabilities": lambda: [sampler.keep_probs(batch, 0) for batch in batches],
        "probabilities, one per image": lambda: [one_per_image.keep_probs(batch, 0) for batch in batches],
        f"draws, for {sum(map(len, open_rows)) / sum(map(len, batches)):.0%} of the pairs":
            lambda: [algorithm.draws(0, *columns_of(batch), rows) for batch, rows in zip(batches, open_rows)]}


@contextlib.contextmanager
def in_python():
    """What mc2 does where the native core is not built."""
    before, engines.native = engines.native, lambda: None
    try:
        yield
    finally:
        engines.native = before


def by_python(function):
    def call():
        with in_python():
            return function()
    return call


def bytes_of(result):
    """What a part gives, as something that can be compared."""
    if isinstance(result, np.ndarray):
        return result.dtype.str, result.tobytes()
    return list(map(bytes_of, result)) if isinstance(result, (list, tuple)) else result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    repeats, n = (3, 20_000) if quick else (7, 100_000)
    print(timing.machine(repeats))
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        batches = pairs(n)
        for name, call in parts(batches, directory).items():
            assert bytes_of(call()) == bytes_of(by_python(call)()), f"{name}: the two differ"
            seconds = timing.interleaved({"Python": by_python(call), "native": call}, repeats)
            rows.append([name, *(f"{statistics.median(times) / n * 1e9:,.0f} ns" for times in seconds.values()),
                         f"{timing.ratio(seconds['native'], seconds['Python']):.1f}x"])
    ids = sum(len(batch.matched_ids()[1]) for batch in batches) / n
    timing.show(f"{n:,} pairs of {N_LANGUAGES} languages, {ids:.1f} matched entries each, for each pair",
                ["", "Python", "native", "ratio"], rows)


if __name__ == "__main__":
    main()
