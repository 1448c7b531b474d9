"""The formats of pairs: JSON Lines, compressed or not, beside Parquet.

    python benchmarks/formats.py [--quick]

Costs two to three minutes, 0.5 GB of memory and 0.2 GB of disk; 20 s with --quick. Needs `pip install '.[parquet]'`.

Expect of Parquet three quarters of the space of .jsonl.zst, writing from JSON at a quarter of the speed, and about the same
speed for reading and writing all columns and for reading what count takes (before the native core read lines, Parquet
was three and six times as fast). "count" reads id, text, lang and
matched_entry_ids: id and text say which texts are in its sample, and which are the same as the line before.
"""
import argparse
import os
import random
import statistics
import tempfile

import orjson

import corpus
import timing
from mc2 import hashing
from mc2.balancing import counting
from mc2.pairs import jsonl, parquet
from mc2.pairs.shards import encoder_of, open_write, read_blocks

SUFFIXES = [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"]
COUNTED = ("id", "text", *counting.Counter.requires)


def matched_pairs(n):
    """n matched pairs, some four texts to an image, as lines of JSON."""
    rng, lines = random.Random(0), []
    pieces = corpus.english().pieces
    for number in range(n):
        image = number // 4
        words = rng.choice(pieces).split()
        rng.shuffle(words)                  # the pieces are too few: repeated they would compress too well
        text = " ".join(words)
        ids = sorted(rng.sample(range(500_000), rng.randrange(9)))
        lines.append(orjson.dumps({
            "id": f"{hashing.keyed_hash(str(image)):016x}{image:08x}", "text": text, "source": "alt",
            "url": f"https://img-{image % 97}.example.org/media/{rng.getrandbits(64):x}/{image}.jpg",
            "lid": "en", "lid_prob": round(rng.uniform(0.3, 1), 4), "lang": "en", "matched_entry_ids": ids}))
    return lines


def write(lines, path):
    """From lines of JSON to a file, through batches, as a stage does it."""
    block_lines = 5000
    with open_write(path) as out:
        for start in range(0, len(lines), block_lines):
            block = jsonl.Block("benchmark", start + 1, b"\n".join(lines[start:start + block_lines]))
            out.write(encoder_of(path)(block.batch()))


def copy(path, output):
    """From a file to one of the same format, all columns."""
    with open_write(output) as out:
        for block in read_blocks([path]):
            out.write(encoder_of(output)(block.batch()))


def read(path, columns=None):
    """What count takes from the pairs; columns: those of Parquet that are read."""
    for block in read_blocks([path], columns=columns):
        batch = block.batch(("lang", "matched_entry_ids"))
        yield batch.strings("id"), batch.strings("text"), batch.labels("lang"), batch.matched_ids()


def read_columns(path, columns):
    """Whole columns of Parquet, not as Python objects."""
    for block in parquet.read_blocks(path, columns):
        assert len(block.rows.table)


def digest(path):
    """A number that depends on what count reads, and on nothing else."""
    total = 0
    for ids, texts, langs, (offsets, matched) in read(path):
        bounds = zip(offsets.tolist(), offsets[1:].tolist())
        for pair_id, text, lang, (start, stop) in zip(ids.tolist(), texts.tolist(), langs.tolist(), bounds):
            total ^= hashing.keyed_hash(pair_id, text, lang, str(matched[start:stop].tolist()))
    return total


def drain(iterator):
    for _ in iterator:
        pass


def compare(lines, directory, repeats):
    paths = {suffix: os.path.join(directory, f"pairs{suffix}") for suffix in SUFFIXES}
    for path in paths.values():
        write(lines, path)
    assert len({digest(path) for path in paths.values()}) == 1, "the formats hold different pairs"

    def cells(calls):
        seconds = timing.interleaved(calls, repeats)
        return {name: f"{len(lines) / statistics.median(times) / 1000:,.0f}" for name, times in seconds.items()}

    scratch = {suffix: os.path.join(directory, f"out{suffix}") for suffix in SUFFIXES}
    written = cells({suffix: lambda suffix=suffix: write(lines, scratch[suffix]) for suffix in SUFFIXES})
    copied = cells({suffix: lambda suffix=suffix: copy(paths[suffix], scratch[suffix]) for suffix in SUFFIXES})
    counted = cells({suffix: lambda suffix=suffix: drain(read(paths[suffix], COUNTED)) for suffix in SUFFIXES})
    rows = [[suffix, f"{os.path.getsize(paths[suffix]) / len(lines):.0f}", written[suffix], copied[suffix],
             counted[suffix]] for suffix in SUFFIXES]
    timing.show(f"{len(lines):,} matched pairs, thousands per second",
                ["", "bytes each", "written from lines", "read and written", "read for count"], rows)

    path = paths[".parquet"]
    kinds = {"all columns": None, "the four of count": COUNTED, "lang and matched_entry_ids": COUNTED[2:]}
    speeds = cells({name: lambda columns=columns: read_columns(path, columns) for name, columns in kinds.items()})
    speeds["the four of count, as count takes them"] = counted[".parquet"]
    timing.show("Columns of Parquet, thousands of rows per second", ["", "read"], [list(row) for row in speeds.items()])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    repeats = 3 if quick else 7
    print(timing.machine(repeats))
    with tempfile.TemporaryDirectory() as directory:
        timing.refuse_little_space(directory, 0.5)
        compare(matched_pairs(50_000 if quick else 200_000), directory, repeats)


if __name__ == "__main__":
    main()
