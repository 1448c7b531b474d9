"""Lines of pairs: read and written by the native core, beside the definition in Python.

    python benchmarks/lines.py [--quick]

Costs a minute and 0.5 GB of memory; 15 s with --quick.

Expect a tenth of the time of the definition, for reading and for adding the keys of all stages. Both give the same bytes.
"""
import argparse
import os
import statistics
import tempfile

import numpy as np
import orjson

import corpus
import timing
from mc2 import files
from mc2.pairs import jsonl, shards
from mc2.pairs.batch import Labels, Lists

ADDED = ("lid", "lid_prob", "lang", "matched_entry_ids")
MATCHED = ("lang", "matched_entry_ids")
ID_COUNT = 14                   # per pair
KINDS = {"definition": jsonl.Batch, "native": jsonl.NativeBatch}


class Pool:
    """Pairs, as a file and as blocks of lines, before and after the stages that add keys."""

    def __init__(self, n, directory):
        rng = np.random.default_rng(1)
        texts = corpus.english().texts(n)
        lines = [orjson.dumps({"id": f"{number:024x}", "url": f"https://img-{number % 97}.example.org/media/{number:032x}.jpg",
                               "text": text, "source": "alt"}) for number, text in enumerate(texts)]
        self.n, self.bytes = n, statistics.mean(map(len, lines))
        self.path = self._write(directory, "pool.jsonl.zst", lines)
        self.blocks = list(shards.read_blocks([self.path]))
        self.probs = [number / 10_000 for number in range(10_001)]
        self.columns = [self._columns(len(jsonl.Batch(block)), rng) for block in self.blocks]
        matched = self._write(directory, "matched.jsonl", [self.encoded("definition")])
        self.matched = list(shards.read_blocks([matched]))

    def _write(self, directory, name, lines):
        path = os.path.join(directory, name)
        with files.open_write(path) as stream:
            stream.write(b"\n".join(lines).removesuffix(b"\n") + b"\n")
        return path

    def _columns(self, n, rng):
        ids = np.sort(rng.integers(0, 500_000, (n, ID_COUNT)), axis=1) + np.arange(ID_COUNT)      # ascending
        return {"lid": Labels(np.zeros(n, np.int64), ["en"]), "lid_prob": Labels(rng.integers(0, 10_001, n), self.probs),
                "lang": Labels(rng.integers(0, 2, n), ["en", "fr"]),
                "matched_entry_ids": Lists(np.arange(n + 1) * ID_COUNT, ids.astype(np.uint32).ravel())}

    # ------------------------------------------------------------ what is measured

    def read(self, kind):
        for block in self.blocks:
            KINDS[kind](block, (), False, False, ADDED).strings("text")

    def encoded(self, kind):
        parts = []
        for block, columns in zip(self.blocks, self.columns):
            batch = KINDS[kind](block, (), False, False, ADDED)
            for key, values in columns.items():
                batch.add(key, values)
            parts.append(jsonl.encode(batch))
        return b"".join(parts)

    def read_matched(self, kind):
        for block in self.matched:
            batch = KINDS[kind](block, MATCHED)
            batch.strings("text"), batch.labels("lang"), batch.matched_ids()

    def kept(self, kind):
        """Three quarters of the pairs."""
        parts = []
        for block in self.matched:
            batch = KINDS[kind](block, MATCHED)
            batch.select(np.arange(len(batch)) % 4 > 0)
            parts.append(jsonl.encode(batch))
        return b"".join(parts)

    def decompress(self):
        for _ in shards.read_blocks([self.path]):
            pass


def compare(pool, repeats):
    for name in ("encoded", "kept"):
        assert getattr(pool, name)("native") == getattr(pool, name)("definition"), f"{name}: other bytes"
    rows = []
    for title, call in {"reading: id, text": pool.read, "the same, then adding four keys": pool.encoded,
                        "reading: id, text, lang, matched_entry_ids": pool.read_matched,
                        "the same, then writing three quarters": pool.kept}.items():
        seconds = timing.interleaved({kind: lambda kind=kind: call(kind) for kind in KINDS}, repeats)
        rows.append([title, *(f"{statistics.median(seconds[kind]) / pool.n * 1e9:,.0f} ns" for kind in KINDS),
                     f"{timing.ratio(seconds['native'], seconds['definition']):.1f}x"])
    seconds = timing.interleaved({"": pool.decompress}, repeats)[""]
    rows.append(["reading and decompressing .jsonl.zst", "", f"{statistics.median(seconds) / pool.n * 1e9:,.0f} ns", ""])
    timing.show(f"{pool.n:,} pairs of {pool.bytes:.0f} bytes, {ID_COUNT} ids each, time per pair", ["", *KINDS, "ratio"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer pairs and rounds")
    quick = parser.parse_args().quick
    repeats = 3 if quick else 7
    print(timing.machine(repeats))
    with tempfile.TemporaryDirectory() as directory:
        timing.refuse_little_space(directory, 0.5)
        compare(Pool(40_000 if quick else 200_000, directory), repeats)


if __name__ == "__main__":
    main()
