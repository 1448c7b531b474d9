"""Interrupt commands at random moments: the status is right, nothing is left behind, and the same command goes on.

    python benchmarks/interrupts.py                        # 100 interrupts of curate, match -O -j 2, merge, unpack (3 minutes)
    python benchmarks/interrupts.py --times 20 --only curate

Each command runs undisturbed once. Then it is started again and again, and gets SIGINT (to its process group, as a
terminal does, or to the driver alone), SIGTERM or SIGHUP after a random part of its time, start-up included. Afterwards

- its status is 130, 143 or 129, or 0 where it had finished (or what Python gives where it had not begun with mc2);
- no temporary file is left in its directory and no process of its group is alive;
- the same command, run again, ends well, with the bytes of the undisturbed run.

`mc2 train` is interrupted by tests/test_train_signals.py. Prints one line per fault, and a summary; exit 1 where any was
found. --seed chooses other moments.
"""
import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

ROOT = Path(__file__).parents[1]
WORDS = "red circle cat blue square dog green star house tree moon heart un chat noir le chien".split()
KINDS = [("SIGINT to the group", signal.SIGINT, os.killpg, 130), ("SIGINT", signal.SIGINT, os.kill, 130),
         ("SIGTERM", signal.SIGTERM, os.kill, 143), ("SIGHUP", signal.SIGHUP, os.kill, 129)]
COMMANDS = {                    # name: (command line, its output)
    "curate": ("curate pool/a.jsonl pool/b.jsonl pool/c.jsonl pool/d.jsonl -m release --t-en 20 -o out -j 2", "out"),
    "match": ("match lid/a.jsonl lid/b.jsonl lid/c.jsonl lid/d.jsonl -m release -O out -j 2", "out"),
    "merge": ("build-metadata merge sources -o out -j 2", "out"),
    "unpack": ("build-metadata unpack release.tar.zst -o out", "out"),
}


def command_of(line):
    return [sys.executable, str(ROOT / "bin/mc2"), *line.split()]


def prepare(work):
    """Sources, a release, its pack, a pool of four shards and what lid makes of it."""
    chance = random.Random(5)
    (work / "sources").mkdir(parents=True)
    entries = sorted({" ".join(chance.choices(WORDS, k=chance.randint(1, 3))) for _ in range(4000)})
    for lang in "en", "fr", "de":
        (work / f"{lang}.json").write_bytes(orjson.dumps(entries))
        run(work, f"build-metadata import {lang}.json --lang {lang} -o sources -q")
    run(work, "build-metadata merge sources -o release -q")
    run(work, "build-metadata pack release -o release.tar.zst -q")
    (work / "pool").mkdir()
    for name in "abcd":
        with open(work / f"pool/{name}.jsonl", "wb") as stream:
            for _ in range(4000):
                text = " ".join(chance.choices(WORDS, k=8))
                stream.write(orjson.dumps({"id": f"{chance.getrandbits(96):024x}", "text": text}) + b"\n")
    run(work, "lid pool/a.jsonl pool/b.jsonl pool/c.jsonl pool/d.jsonl -O lid -q")


def run(work, line):
    done = subprocess.run(command_of(line), cwd=work, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"mc2 {line}: {done.returncode}: {done.stderr}")


def content(directory):
    """{name: digest} of the outputs: no manifests of files, nothing hidden."""
    found = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory)
        if path.is_file() and not any(part.startswith(".") or part == "logs" for part in name.parts) \
                and not name.name.endswith("manifest.json"):
            found[str(name)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def group_is_alive(group):
    try:
        os.killpg(group, 0)
        return True
    except ProcessLookupError:
        return False


def interrupt(work, line, after, kind):
    """Start a command, send the signal, and return what is wrong: a list of lines."""
    name, number, send, expected = kind
    process = subprocess.Popen(command_of(line), cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               start_new_session=True)
    time.sleep(after)
    try:
        send(process.pid, number)
    except ProcessLookupError:
        pass
    stderr = process.communicate(timeout=120)[1].decode()
    wrong = []
    # before Python runs the first line of mc2, a signal ends it as it ends any program of Python
    early = process.returncode == -number or process.returncode == 1 and "KeyboardInterrupt" in stderr \
        and str(ROOT) not in stderr
    if process.returncode not in (expected, 0) and not early:
        wrong.append(f"status {process.returncode}: {stderr.strip()[-300:]}")
    if process.returncode == 0 and "->" not in stderr or process.returncode == -number and "mc2" in stderr \
            and "Traceback" not in stderr:
        wrong.append(f"status {process.returncode}, but stderr says: {stderr.strip()[-300:]}")
    deadline = time.monotonic() + 10
    while group_is_alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    if group_is_alive(process.pid):
        wrong.append("a process is alive after 10 seconds")
        os.killpg(process.pid, signal.SIGKILL)
    if left := sorted(str(path.relative_to(work)) for path in work.rglob(".*.tmp*")):
        wrong.append(f"left behind: {' '.join(left[:3])}")
    return wrong, process.returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=100, help="interrupts in all")
    parser.add_argument("--only", choices=COMMANDS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    work, chance, faults, ends = Path(tempfile.mkdtemp()), random.Random(given.seed), 0, {}
    try:
        prepare(work)
        names = [given.only] if given.only else list(COMMANDS)
        expected, seconds = {}, {}
        for name in names:
            line, output = COMMANDS[name]
            shutil.rmtree(work / output, ignore_errors=True)
            begun = time.monotonic()
            run(work, line)
            seconds[name], expected[name] = time.monotonic() - begun, content(work / output)
        for number in range(given.times):
            name, kind = names[number % len(names)], KINDS[number // len(names) % len(KINDS)]
            line, output = COMMANDS[name]
            shutil.rmtree(work / output, ignore_errors=True)
            after = chance.uniform(0, 1.05 * seconds[name])
            wrong, status = interrupt(work, line, after, kind)
            ends[status] = ends.get(status, 0) + 1
            run(work, line)
            if content(work / output) != expected[name]:
                wrong.append("other bytes after the same command was run again")
            for each in wrong:
                print(f"{name}, {kind[0]} after {after:.3f} s: {each}")
            faults += bool(wrong)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{given.times} interrupts, statuses {dict(sorted(ends.items()))}: "
          + (f"{faults} with faults" if faults else "no fault"))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
