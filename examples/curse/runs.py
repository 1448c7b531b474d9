"""Train and score all runs of one size and seed, with `mc2 train` and `mc2 eval zeroshot`.

    python runs.py out --size small --seed 0 --data english,worldwide --pairs 12800 --batch 32

writes out/runs/SIZE/DATA/SEED.jsonl, the scores of a run, and beside it SEED/, the run without its checkpoints. A run
whose scores are there is not done again, so the same command goes on where it was stopped. All commands run in this
process: to start torch for each would take longer than a small run does.

`growth` is the share of English pairs upside down, in the seen pairs of the same seed's run `worldwide`: that run
comes before those that need it.
"""
import argparse
import contextlib
import glob
import io
import os
import shlex
import shutil
import sys
from typing import NamedTuple

import orjson

from mc2 import cli


class Kind(NamedTuple):
    """What a run sees. pairs: folder of matched pairs. curation: folder of counts/. thresholds: file. pairs_times: by
    what the batch and the seen pairs of 1.0x are multiplied: 1, "growth" or "growth - 1"."""

    pairs: str
    curation: str = "curation"
    thresholds: str = "curation/thresholds.json"
    times: str = "1"


DATA = {
    # Figure 1
    "english": Kind("english"),
    "worldwide": Kind("curation/matched"),
    "scaled": Kind("curation/matched", times="growth"),
    "non-english": Kind("non-english", times="growth - 1"),
    "english-scaled": Kind("english", times="growth"),
    # Table 2: its rows a and e are "english" and "worldwide"; examples/ablations makes the curations of b and c
    "one-t": Kind("curation/matched", thresholds="one-t.json"),
    "b": Kind("ablations/b/matched", "ablations/b", "ablations/b/thresholds.json"),
    "c": Kind("ablations/c/matched", "ablations/c", "ablations/c/thresholds.json"),
}


def mc2(*arguments):
    """Run a command of mc2; exit where it fails."""
    print("mc2", shlex.join(arguments), flush=True)
    with contextlib.redirect_stdout(io.StringIO()):         # the table of scores, which are in a file too
        status = cli.run(arguments)
    if status:
        sys.exit(status)


def growth_of(run):
    """The growth that a run measured: in the last line of its log."""
    with open(os.path.join(run, "log.jsonl"), "rb") as file:
        return orjson.loads(file.read().splitlines()[-1])["growth"]


def times(kind, worldwide):
    """By what the pairs of 1.0x are multiplied, a float. worldwide: the run that growth is taken from."""
    return 1.0 if kind.times == "1" else growth_of(worldwide) - kind.times.endswith("- 1")


def do(out, data, options):
    """Train and score one run, unless that is done."""
    kind, of_size = DATA[data], f"{out}/runs/{options.size}"
    run = f"{of_size}/{data}/{options.seed}"
    if os.path.exists(f"{run}.jsonl"):
        return
    mc2("train", "run.toml", "-q", "-o", run, "--device", options.device, "--seed", str(options.seed),
        "--train-data", f"{out}/images/*.tar", "--pairs", f"{out}/{kind.pairs}/*.jsonl.zst",
        "-c", f"{out}/{kind.curation}/counts", "-t", f"{out}/{kind.thresholds}",
        "--growth", f"{times(kind, f'{of_size}/worldwide/{options.seed}'):.4f}",
        "--set", f"model.name={out}/{options.size}.json", "--set", f"model.tokenizer={out}/tokenizer.json",
        "--set", f"schedule.train_num_samples={options.pairs}", "--set", f"schedule.global_batch={options.batch}")
    names = [argument for path in sorted(glob.glob(f"{out}/names/*.txt")) for argument in ("--classes", path)]
    mc2("eval", "zeroshot", "--images", f"{out}/test", *names, "--templates", "none", "--model", run, "--device",
        options.device, "--workers", str(options.workers), "--no-cache", "-q", "-o", f"{run}.jsonl")
    shutil.rmtree(f"{run}/checkpoints")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    parser.add_argument("--size", required=True, help="out/SIZE.json is the model")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--data", required=True, metavar="DATA,...", help=f"of {', '.join(DATA)}")
    parser.add_argument("--pairs", type=int, required=True, help="seen pairs of 1.0x")
    parser.add_argument("--batch", type=int, required=True, help="pairs of a batch of 1.0x")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    wanted = options.data.split(",")
    ordered = [*(["worldwide"] if any("growth" in DATA[data].times for data in wanted) else []), *wanted]
    for data in dict.fromkeys(ordered):
        do(options.out, data, options)


if __name__ == "__main__":
    main()
