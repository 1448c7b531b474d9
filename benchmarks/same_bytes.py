"""Two checkouts of mc2 write the same bytes: after a change that is to change none.

    python benchmarks/same_bytes.py --before ../mc2-before          # 3 minutes of CPU, 2 GB of disk
    python benchmarks/same_bytes.py --before ../mc2-before --pairs 4000         # 1 minute of CPU

The other checkout is that of this file. Both run the same commands on the same inputs, without an installation
(bin/mc2, with the native core of each checkout); then every file is compared byte for byte. Manifests are left out,
since they hold times, versions and command lines; so are logs and hidden directories.

    release     sources of all kinds, merged with published and wide spacing, packed
    pool        made pairs in shards of all formats through the five commands, as streams and shard by shard, and curate
    demo        the curation of examples/demo

It ends with "same bytes: N files", or names the first file that differs, keeps all of them, and exits 1.
"""
import argparse
import filecmp
import hashlib
import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import tempfile

import corpus
import orjson
import timing

from mc2 import files

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LISTS = {"en": ("english", 20_000), "fr": ("european", 5_000), "de": ("european", 5_000),
         "zh": ("chinese-japanese", 3_000), "ja": ("chinese-japanese", 3_000)}       # entries, of corpus.ALL
HAS_PYARROW = importlib.util.find_spec("pyarrow") is not None
# What takes the place of a line, or is made of it: lines that are no pairs, and pairs that only Python reads.
NO_PAIRS = [b'{"id": "1", "text": 5}\n', b'{"id": "1"\n', b'{"id": "\xff", "text": "a"}\n', b"[]\n", b"\n"]
CHANGES = [(b'"text"', b'"te\\u0078t"'), (b'"id"', b'"\\u0069d"'), (b"{", b'{"text": "another", '),
           (b"{", b'{"lang": 1, "lang": "yy", '), (b"{", b'{"deep": ' + b"[" * 100 + b"]" * 100 + b", "),
           (b"{", b'{"deeper": ' + b"[" * 2000 + b"]" * 2000 + b", "), (b"{", b'{ "n": -0.0e-7, "lid": [1] , '),
           (b"{", b'{"s": "\xed\xa0\x80", '), (b"{", b'{"s": "\\ud800", '), (b'"text":"', b'"text":"\\ud83d\\ude00 \\u0000\\n')]

# Each line: the outputs that are compared, then the commands of bash that make them.
RELEASE = """
lists               for l in $INPUTS/*.json; do mc2 build-metadata import $l --lang $(basename $l .json) -o lists; done
metadata            mc2 build-metadata merge lists -o metadata
sources             mc2 build-metadata wordnet $INPUTS/raw/wordnet/* -o sources
sources             for w in en ar ko; do mc2 build-metadata ngrams --wiki $w $INPUTS/raw/dumps/$w*.bz2 -o sources; done
sources             mc2 build-metadata titles $INPUTS/raw/pageviews/* -o sources
published           mc2 build-metadata merge sources -o published
wide                mc2 build-metadata merge sources -o wide --spacing wide --nfc -j 2
published.tar.zst   mc2 build-metadata pack published -o published.tar.zst
wide.tar.zst        mc2 build-metadata pack wide -o wide.tar.zst
"""
# With one job and with two; 0*[!n] are the shards without their manifests.
POOL = """
lidJ.jsonl.zst,badJ.jsonl   mc2 lid $INPUTS/pool/* --rejects badJ.jsonl -o lidJ.jsonl.zst -j J
matchedJ.jsonl              mc2 match lidJ.jsonl.zst -m metadata -o matchedJ.jsonl -j J
lidJ,badOJ.jsonl            mc2 lid $INPUTS/pool/* --rejects badOJ.jsonl -O lidJ -j J
matchedJ                    mc2 match lidJ/0*[!n] -m metadata -O matchedJ -j J
countsJ                     mc2 count matchedJ/0*[!n] -m metadata -o countsJ -j J
tJ.json                     mc2 thresholds countsJ --p 0.06 -o tJ.json
allJ.jsonl.gz               mc2 sample matchedJ/0*[!n] -c countsJ -t tJ.json --seed 3 -o allJ.jsonl.gz -j J
allJ                        mc2 sample matchedJ/0*[!n] -c countsJ -t tJ.json --seed 3 -O allJ -j J
oneJ.jsonl.gz               mc2 sample matchedJ/0*[!n] -c countsJ -t tJ.json --one-per-image -o oneJ.jsonl.gz -j J
oneJ                        mc2 sample matchedJ/0*[!n] -c countsJ -t tJ.json --one-per-image -O oneJ -j J
uidsJ.npy                   mc2 sample matchedJ/0*[!n] -c countsJ -t tJ.json --uids uidsJ.npy -j J
expectedJ                   mc2 sample matchedJ/0*[!n] -c countsJ -t tJ.json --dry-run -j J > expectedJ
outJ,outJ/quarantine,J.npy  mc2 curate $INPUTS/pool/* -m metadata --p 0.06 --on-error skip --uids J.npy -o outJ -j J
"""
ROWS = """
rows.parquet        mc2 match lid1/00000.jsonl lid1/00005.parquet -m metadata -o rows.parquet
"""
DEMO = """
demo                make -sC $ROOT/examples/demo OUT=$PWD/demo $PWD/demo/{curated,counts-after}
report              python $ROOT/examples/demo/report.py demo > report
"""


class Checkout:
    """A checkout, and the directory that its commands work in."""

    def __init__(self, root, directory):
        self.root, self.directory = os.path.abspath(root), directory
        os.mkdir(directory)

    def run(self, commands, inputs):
        path = os.pathsep.join([f"{self.root}/bin", os.path.dirname(sys.executable), os.environ["PATH"]])
        environment = {**os.environ, "PATH": path, "PYTHONPATH": self.root, "PYTHONDONTWRITEBYTECODE": "1",
                       "ROOT": self.root, "INPUTS": inputs}
        ended = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=self.directory, env=environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if ended.returncode:
            sys.exit(f"{self.root}: {commands}: status {ended.returncode}\n{ended.stderr}")

    def files_of(self, outputs):
        """The files of outputs, without manifests and what only one checkout may have. set"""
        found = set()
        for output in outputs:
            if not os.path.isdir(f"{self.directory}/{output}"):
                found.add(output)
            for path, directories, names in os.walk(f"{self.directory}/{output}"):
                directories[:] = [name for name in directories if name[0] != "." and name not in ("logs", "quarantine")]
                found |= {os.path.relpath(os.path.join(path, name), self.directory) for name in names
                          if not name.startswith(".") and not name.endswith("manifest.json")}
        return found


# ---------------------------------------------------------------- the inputs

def write_inputs(directory, n_pairs):
    """Write raw/ (the demo's sources), lists of entries by language, and pool/."""
    subprocess.run([sys.executable, f"{HERE}/examples/demo/write_sources.py", "-o", f"{directory}/raw"], check=True,
                   stdout=subprocess.DEVNULL)
    corpora = {name: made() for name, made in corpus.ALL.items()}
    for lang, (name, count) in LISTS.items():
        files.write_bytes(f"{directory}/{lang}.json", orjson.dumps(corpora[name].entries(count)))
    kinds = [*corpora.values(), corpus.worldwide()]
    write_pool(f"{directory}/pool", zip(*(kind.texts(-(-n_pairs // len(kinds))) for kind in kinds)))


def write_pool(directory, texts):
    """Shards of all formats: images with several texts, texts that come twice, other keys, keys of mc2; in lines of JSON
    one of a hundred is odd."""
    lines = []
    for number, text in enumerate(itertools.chain.from_iterable(texts)):
        image = hashlib.md5(str(number * 3 // 5).encode()).hexdigest()          # as DataComp's uids
        more = {"url": f"https://example.org/{image}"} if number % 7 else {"lang": "xx", "lid": "x", "n": [1e-3, None]}
        if number % 11 == 0:
            text = f"{text} https://example.org/{number}.html IMG_{number}.JPG"
        lines += [orjson.dumps({"id": image, "text": text.upper() if number % 13 == 0 else text, **more}) + b"\n"] \
            * (2 if number % 101 == 0 else 1)
    suffixes = [".jsonl", ".jsonl.zst", ".jsonl.gz", ".jsonl.zst", ".jsonl"] + [".parquet"] * HAS_PYARROW
    step = -(-len(lines) // len(suffixes))
    for number, suffix in enumerate(suffixes):
        path, part = f"{directory}/{number:05}{suffix}", lines[number * step:(number + 1) * step]
        if suffix == ".parquet":
            from pyarrow import Table, parquet
            parquet.write_table(Table.from_pylist(list(map(orjson.loads, part))), path)
        else:
            files.write_bytes(path, b"".join(with_odd(part)))


def with_odd(lines):
    """The lines, each of a hundred odd."""
    ways, lines = itertools.cycle([*NO_PAIRS, *CHANGES]), list(lines)
    for index in range(50, len(lines), 100):
        way = next(ways)
        lines[index] = way if isinstance(way, bytes) else lines[index].replace(*way, 1)
    return lines


# ---------------------------------------------------------------- the comparison

def compare(before, after, inputs, step):
    """Run the commands of a step in both checkouts, and compare. Returns the number of files."""
    outputs, commands = step.split(maxsplit=1)
    before.run(commands, inputs)
    after.run(commands, inputs)
    found = before.files_of(outputs.split(","))
    if others := found ^ after.files_of(outputs.split(",")):
        sys.exit(f"{commands}\nOnly one of {before.directory} and {after.directory} has {min(others)}.")
    for name in sorted(found):
        if not filecmp.cmp(f"{before.directory}/{name}", f"{after.directory}/{name}", shallow=False):
            sys.exit(f"{commands}\n{before.directory}/{name} and {after.directory}/{name} differ.")
    size = sum(os.path.getsize(f"{after.directory}/{name}") for name in found)
    print(f"{len(found):5,} files, {size / 1e6:5,.1f} MB  {commands}", flush=True)
    return len(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, metavar="CHECKOUT", help="the other checkout, with its native core")
    parser.add_argument("--pairs", type=int, default=200_000, metavar="N", help="pairs of the pool [%(default)s]")
    options = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="same-bytes-")
    timing.refuse_little_space(directory, 2)
    inputs = f"{directory}/inputs"
    write_inputs(inputs, options.pairs)
    before, after = Checkout(options.before, f"{directory}/before"), Checkout(HERE, f"{directory}/after")
    steps = RELEASE + POOL.replace("J", "1") + POOL.replace("J", "2") + ROWS * HAS_PYARROW + DEMO
    total = sum(compare(before, after, inputs, step) for step in filter(None, steps.split("\n")))
    shutil.rmtree(directory)
    print(f"same bytes: {total:,} files")


if __name__ == "__main__":
    main()
