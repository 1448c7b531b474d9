"""Damage what mc2 reads, at many places: is it refused, harmless, or does it silently give another answer?

    python benchmarks/damage.py                             # 200 places of every kind of file: an hour
    python benchmarks/damage.py --places 20 --only curate   # the kinds whose names hold "curate": some seconds

For each kind of file, made here in small, a place is chosen at random (--seed), and there a bit is flipped, the file is
cut, 512 bytes become zeros, or the file is extended at its end. A command that reads the file then runs in a forked
process, in a directory of its own. Where that has no `torch`, the kinds that need it are left out.

    refused     exit 3 and one message that names a file
    right       exit 0 and the answer of the undamaged file: harmless damage, or what was damaged was made again
    silent      exit 0 and another answer
    other       anything else: another status, a traceback, a crash, no end within a minute

The first part of the table has what mc2 writes itself: its last two columns must be 0, else this ends with 1. The
second part has what others wrote. Their plain lines and .npy files have no checksums, so that a flipped bit of a text
is another text; there `said` counts other answers of which something is said on stderr that is not said of the undamaged
file.
"""
import argparse
import contextlib
import fnmatch
import glob
import gzip
import importlib.util
import io
import os
import pkgutil
import random
import re
import shutil
import signal
import sys
import tarfile
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import orjson
import zstandard

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

LONGEST = 60                    # seconds that a command may take
WORDS = "red circle cat blue square dog green star house tree moon heart un chat noir le chien".split()
REFUSED, RIGHT, SAID, SILENT, OTHER = OUTCOMES = ("refused", "right", "said", "silent", "other")
TIMES = re.compile(rb"[\d.,]+ (ms|s|min|us)\b|\d+ s ago|in \d.*|[\d,]+ pairs/s")


@dataclass
class Kind:
    """A kind of file and a command that reads it.

    name: in the table. made: the function that makes the directory. files: a pattern below it; the places are spread
    over all files that fit. command: a line of mc2, or a function. answer: patterns of the files that hold the answer,
    beside stdout. ours: whether mc2 wrote the file. but: a pattern of files that are left out.
    """

    name: str
    made: object
    files: str
    command: object
    answer: tuple = ()
    ours: bool = True
    but: str = ""


# ---------------------------------------------------------------- running

def here(command, folder):
    """(status, stdout, stderr) of a command in a forked process, in this folder. status: None where it does not end in
    time, below 0 where a signal ended it."""
    outputs = [tempfile.TemporaryFile() for _ in range(2)]
    sys.stdout.flush()
    if not (child := os.fork()):
        _as_child(command, folder, outputs)
    status, end = None, time.monotonic() + LONGEST
    while time.monotonic() < end:
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(code)
            break
        time.sleep(0.002)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    texts = []
    for output in outputs:
        output.seek(0)
        texts.append(output.read())
        output.close()
    return status, *texts


def _as_child(command, folder, outputs):
    status = 70
    try:
        os.chdir(folder)
        os.environ["XDG_CACHE_HOME"] = os.path.join(folder, "cache")
        with open(os.devnull, "rb") as nothing:
            for number, stream in enumerate((nothing, *outputs)):
                os.dup2(stream.fileno(), number)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1, errors="backslashreplace")
        status = command() if callable(command) else _mc2(command)
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status or 0)


def _mc2(line):
    from mc2.cli import run
    sys.argv = ["mc2", *line.split()]
    return run(line.split())


def must(command, folder):
    status, _, stderr = here(command, folder)
    assert status == 0, (command, status, stderr.decode())


# ---------------------------------------------------------------- damage

def damaged(data, chance):
    """(what was done, the bytes after it)"""
    how, place = chance.choice(("flip", "cut", "zero", "extend")), chance.randrange(max(1, len(data)))
    if how == "extend" or not data:
        return "extended", data + chance.randbytes(chance.randint(1, 600))
    if how == "cut":
        return f"cut at {place:,}", data[:place]
    if how == "zero":
        return f"512 zeros at {place:,}", data[:place] + bytes(min(512, len(data) - place)) + data[place + 512:]
    bit = chance.randrange(8)
    return f"bit {bit} of {place:,} flipped", data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1:]


def answer_of(kind, folder, stdout):
    """What a command gave: its output, without times, and its files."""
    found = {"stdout": TIMES.sub(b"", stdout)}
    for path in sorted(below(folder, kind.answer)):
        found[path] = (folder / path).read_bytes()
    return found


def below(folder, patterns, but=""):
    for directory, _, names in os.walk(folder):
        for name in names:
            path = os.path.relpath(os.path.join(directory, name), folder)
            fits = any(fnmatch.fnmatch(path, pattern) for pattern in patterns) and not fnmatch.fnmatch(path, but)
            if fits and not os.path.islink(os.path.join(directory, name)):
                yield path


def outcome(kind, result, expected, folder):
    """One of OUTCOMES. result, expected: (status, stdout, stderr), expected with the answer of the undamaged file"""
    (status, stdout, stderr), (answer, quiet) = result, expected
    if status == 3:
        return REFUSED if b"Traceback" not in stderr and stderr.strip() else OTHER
    if status != 0 or b"Traceback" in stderr:
        return OTHER
    if answer_of(kind, folder, stdout) == answer:
        return RIGHT
    return SAID if not kind.ours and TIMES.sub(b"", stderr) != TIMES.sub(b"", quiet) else SILENT


def tried(kind, templates, places, seed=0, say=print):
    """Counter of the outcomes of a kind. say: function of a line about what is not as it should be"""
    chance, tally = random.Random(f"{kind.name} {seed}"), Counter()
    folder = templates.fresh(kind)
    paths = sorted(below(folder, [kind.files], kind.but))
    assert paths, f"{kind.name}: there is no {kind.files}"
    status, stdout, stderr = here(kind.command, folder)
    assert status == 0, (kind.name, status, stderr.decode())
    expected = answer_of(kind, folder, stdout), stderr
    assert len(expected[0]) > 1 or expected[0]["stdout"], f"{kind.name}: no answer"
    for _ in range(places):
        folder = templates.fresh(kind)
        path = chance.choice(paths)
        how = damage(folder / path, chance)
        result = here(kind.command, folder)
        found = outcome(kind, result, expected, folder)
        tally[found] += 1
        if found == OTHER or found == SILENT and kind.ours:
            message = result[2].decode(errors="replace")[-300:].strip()
            say(f"{kind.name}: {path}, {how}: {found}, exit {result[0]} {message}")
    return tally


def damage(path, chance):
    """Damage a file, which keeps its time of change. Returns what was done."""
    times = os.stat(path)
    how, data = damaged(path.read_bytes(), chance)
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return how


# ---------------------------------------------------------------- what is damaged

def texts(number, seed=0):
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=chance.randint(2, 9))) for _ in range(number)]


def write_pairs(path, number, seed=0, **more):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(orjson.dumps({"id": f"{k + 1000 * seed:032x}", "text": text, **more}) + b"\n"
                              for k, text in enumerate(texts(number, seed))))


def release(folder):
    """Sources, made by mc2, of English and French, and a release of three languages."""
    from mc2.metadata import languages
    langs = {label: label if label in ("en", "fr") else "other" for label in languages.of_scheme("lid176").lang_of}
    (folder / "languages.csv").write_text("lid_label,lang,wiki_codes\n" + "".join(
        f"{label},{lang},{lang}\n" for label, lang in langs.items()))
    (folder / "en.json").write_bytes(orjson.dumps(sorted(set(WORDS + texts(60)))))
    (folder / "fr.txt").write_text("\n".join(texts(400, 1)))
    must("build-metadata import en.json --lang en -o sources -q", folder)
    must("build-metadata ngrams --wiki fr --text fr.txt -o sources --min-count 1 -q", folder)
    must("build-metadata merge sources --languages languages.csv --unigram-share 1 -o release -q", folder)
    must("build-metadata pack release -o release.tar.zst -q", folder)


def curation(folder):
    """A release and what the five commands make of a few pairs."""
    release(folder)
    for name in "ab":
        write_pairs(folder / f"pool/{name}.jsonl", 60, "ab".index(name), lang="en" if name == "a" else "fr")
    must("match pool/a.jsonl pool/b.jsonl -m release -o m.jsonl -q", folder)
    for suffix in ("jsonl.zst", "jsonl.gz"):
        must(f"match pool/a.jsonl pool/b.jsonl -m release -o m.{suffix} -q", folder)
    must("match pool/a.jsonl pool/b.jsonl -m release -O out -q", folder)
    must("count m.jsonl -m release -o counts -q", folder)
    must("thresholds counts --p 0.3 -o t.json -q", folder)


def work_of_shards(folder):
    """A directory of -O whose shards are named below their folders."""
    release(folder)
    for seed, name in enumerate(("x", "y")):
        (folder / name).mkdir()
        write_pairs(folder / name / "a.jsonl", 30, seed, lang="en")
    must("match x/a.jsonl y/a.jsonl -m release -O out -q", folder)


def a_job(folder):
    """A finished job of `mc2 curate`."""
    release(folder)
    for seed, name in enumerate("abc"):
        write_pairs(folder / f"pool/{name}.jsonl", 40, seed)
    must(CURATE, folder)


CURATE = "curate pool/a.jsonl pool/b.jsonl pool/c.jsonl -m release --languages languages.csv --p 0.3 -o out -j 1 -q " \
         "--uids uids.npy --dropped dropped.jsonl"
CURATED = ("out/curated/*.jsonl", "out/counts/*.npy", "uids.npy", "dropped.jsonl")


def stopped_words(folder):
    """What is left of `ngrams` where it is killed before it writes its sources."""
    (folder / "fr.txt").write_text("\n".join(texts(400, 1)))
    status, _, _ = here(_killed(WORDS_OF, "mc2.metadata.sources", "write"), folder)
    assert status == 9 and (folder / "sources/.fr.ngrams.work").is_dir()


WORDS_OF = "build-metadata ngrams --wiki fr --text fr.txt -o sources --min-count 1 -q"


def stopped_titles(folder):
    """What is left of `titles` where it is killed before it writes its sources."""
    for hour in range(2):
        titles = [text.replace(" ", "_") for text in texts(90, 2)]
        lines = "".join(f"fr {title} {10 + hour + number} 0\n" for number, title in enumerate(titles))
        (folder / f"pageviews-20260101-{hour:02}0000.gz").write_bytes(gzip.compress(lines.encode()))
    status, _, stderr = here(_killed(TITLES_OF, "mc2.metadata.sources", "write"), folder)
    assert status == 9 and (folder / "sources/.titles.work").is_dir(), stderr


TITLES_OF = "build-metadata titles pageviews-20260101-000000.gz pageviews-20260101-010000.gz -o sources --wiki fr -q"


def _killed(line, module, function):
    """A function that runs a command until it calls this function, and ends there as if it was killed."""
    def command():
        setattr(importlib.import_module(module), function, lambda *_, **__: os._exit(9))
        return _mc2(line)
    return command


def package(folder):
    """A copy of the data of the package."""
    shutil.copytree(ROOT / "mc2/data", folder / "data")


def _with_data(line):
    """A function that runs a command with the data in the current directory."""
    def command():
        from mc2 import package_data
        package_data._folder = lambda: Path("data").resolve()
        package_data._checksums.cache_clear()
        return _mc2(line)
    return command


def slurm(folder):
    """A plan of an array job."""
    release(folder)
    write_pairs(folder / "a.jsonl", 30, 1, lang="en")
    must("match a.jsonl -m release -O out --executor slurm --print", folder)


def _do_plan():
    from mc2.errors import Mc2Error
    from mc2.execution import slurm
    try:
        return slurm.do_group(*glob.glob("out/.work/**/*.plan", recursive=True), 0)
    except Mc2Error as error:
        print(f"mc2: {error}", file=sys.stderr)
        return error.status


def training(folder):
    """A finished run of `mc2 train`, its pictures, and its weights as they are exported."""
    release(folder)
    from miniatures import images, models
    for shard in range(2):
        write_pairs(folder / f"pairs/{shard}.jsonl", 8, shard, lang="en")
        with tarfile.open(folder / f"{shard}.tar", "w") as tar:
            for number in range(8):
                data = images.encoded(8 * shard + number, "PNG", (32, 32))
                member = tarfile.TarInfo(f"{number + 1000 * shard:032x}.png")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    (folder / "tokenizer.json").write_text(models.tokenizer_json())
    (folder / "small.json").write_bytes(orjson.dumps(models.ARCHITECTURE))
    (folder / "run.toml").write_text(RUN)
    must(TRAIN, folder)
    shutil.rmtree(folder / "run/tensorboard", ignore_errors=True)
    must("checkpoint export run -o mine.pt -q", folder)
    must("checkpoint export run -o safe.safetensors -q", folder)
    (folder / "texts.txt").write_text("\n".join(texts(5)))
    for number in range(4):
        images.write(folder / f"pictures/{number}.png", number)
    must(EMBED, folder)
    shutil.rmtree(folder / "features")


TRAIN = "train run.toml --device cpu -q"
EMBED = "eval embed --images pictures --texts texts.txt --model run --device cpu --workers 0 -o features -q"
WEIGHTS = "eval embed --texts texts.txt --model {} --tokenizer tokenizer.json --device cpu --no-cache -o features -q"
FEATURES = ("features/*.npy", "features/*.jsonl")
RUN = """[model]
name = "small.json"
tokenizer = "tokenizer.json"
init_logit_scale = 2.6593
[data]
languages = "worldwide"
curation = "offline"
aug_scale = [0.9, 1.0]
image_interpolation = "bicubic"
image_mean = [0.5, 0.5, 0.5]
image_std = [0.25, 0.25, 0.25]
train_data = "*.tar"
pairs = "pairs/*.jsonl"
[optimizer]
opt = "adamw"
lr = 1e-3
beta1 = 0.9
beta2 = 0.98
eps = 1e-6
wd = 0.2
[schedule]
epochs = 1
train_num_samples = 16
global_batch = 4
growth = 1.0
lr_scheduler = "cosine"
warmup = 2
seed = 0
[compute]
gpus = 1
precision = "fp32"
grad_checkpointing = false
accum_freq = 1
workers = 0
[run]
output = "run"
save_steps = 2
log_steps = 1
log_ids = true
"""


def of_others(folder):
    """The same pairs in the formats that others write, a model of fastText, and tars."""
    write_pairs(folder / "p.jsonl", 300, 3)
    data = (folder / "p.jsonl").read_bytes()
    (folder / "z.jsonl.zst").write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(data))
    (folder / "g.jsonl.gz").write_bytes(gzip.compress(data))
    rows = [orjson.loads(line) for line in data.splitlines()]
    if importlib.util.find_spec("pyarrow"):
        import pyarrow as pa
        import pyarrow.parquet as pq
        pq.write_table(pa.Table.from_pylist(rows), folder / "q.parquet")
        must("lid q.parquet -o own.parquet -q", folder)
    with tarfile.open(folder / "t.tar", "w") as tar:
        for row in rows[:20]:
            member = tarfile.TarInfo(f"{row['id']}.jpg")
            member.size = 700
            tar.addfile(member, io.BytesIO(bytes(700)))
    from mc2.stages import lid_models
    shutil.copy(lid_models.default_model(), folder / "lid.ftz")


def crawl(folder):
    """Pages of a crawl: WARC with a member of gzip for each record, and with digests in place of gzip; WAT."""
    import base64
    import hashlib

    import crawls
    pages, plain = [], []
    for number in range(40):
        url = f"https://{WORDS[number % len(WORDS)]}.org/{number}"
        page = crawls.response(f"<img src=/{number}.jpg alt='{' '.join(WORDS[:number % 15 + 1])}'>", url)
        header, _, content = page.removesuffix(b"\r\n\r\n").partition(b"\r\n\r\n")
        digest = base64.b32encode(hashlib.sha1(content).digest()).decode()
        pages.append(page)
        plain.append(crawls.record("response", content, url, more=f"WARC-Block-Digest: sha1:{digest}\r\n"))
    crawls.write(folder / "p.warc.gz", *pages)
    crawls.write(folder / "p.warc", *plain)
    crawls.write(folder / "p.wat.gz", crawls.warcinfo(), *(crawls.wat({"url": f"/{word}.jpg", "alt": word})
                                                           for word in WORDS))


def pictures_of_others(folder):
    """An evaluation whose lists are .npy files."""
    from miniatures import models, slip
    models.write_run(folder)
    slip.write(folder / "slip26")


def kinds():
    """All Kinds, those that mc2 wrote first."""
    return [*kinds_of_curation(), *kinds_of_jobs(), *(kinds_of_training() if has_torch() else []), *kinds_of_others()]


MATCH = "match pool/a.jsonl pool/b.jsonl -m release -o new.jsonl -q"
MATCH_AGAIN = "match pool/a.jsonl pool/b.jsonl -m release -O out -q"
MERGE = "build-metadata merge sources --languages languages.csv --unigram-share 1 -o new -q"
UNPACK = "build-metadata unpack release.tar.zst -o new -q"
COUNT = "count {} -m release -o new -q"
THRESHOLDS = "thresholds counts --p 0.2 -o new.json -q"
SAMPLE = "sample m.jsonl -c counts -t t.json -o new.jsonl -q"
PAIRS, ENTRIES, COUNTS = ("new.jsonl",), ("new/*.tsv",), ("new/*.npy",)


def kinds_of_curation():
    return [
        Kind("sources", release, "sources/*.tsv", MERGE, ENTRIES),
        Kind("sources, inspected", release, "sources/*.tsv", "inspect sources"),
        Kind("sources, their manifests", release, "sources/*.manifest.json", MERGE, ENTRIES),
        Kind("release, manifest: match", curation, "release/manifest.json", MATCH, PAIRS),
        Kind("release, manifest: inspect", release, "release/manifest.json", "inspect release"),
        Kind("release, entries", release, "release/*.tsv", "inspect release"),
        Kind("release, entries: match", curation, "release/*.tsv", f"{MATCH} --engine pyahocorasick", PAIRS),
        Kind("release, languages.csv", curation, "release/languages.csv", MATCH, PAIRS),
        Kind("release, matchers", curation, "release/*.matcher", MATCH, PAIRS),
        Kind("release, packed", release, "release.tar.zst", UNPACK, (*ENTRIES, "new/*.json")),
        Kind("release, packed: inspect", release, "release.tar.zst", "inspect release.tar.zst"),
        Kind("counts, manifest", curation, "counts/manifest.json", THRESHOLDS, ("new.json",)),
        Kind("counts, manifest: inspect", curation, "counts/manifest.json", "inspect counts"),
        Kind("counts, arrays and sample", curation, "counts/*", THRESHOLDS, ("new.json",), but="*.json"),
        Kind("counts, arrays: sample", curation, "counts/*.npy", SAMPLE, PAIRS),
        Kind("thresholds", curation, "t.json", SAMPLE, PAIRS),
        Kind("thresholds: inspect", curation, "t.json", "inspect t.json"),
        Kind("pairs, plain", curation, "m.jsonl", COUNT.format("m.jsonl"), COUNTS),
        Kind("pairs, plain, bad lines skipped", curation, "m.jsonl", COUNT.format("m.jsonl --on-error skip"), COUNTS),
        Kind("pairs, .zst", curation, "m.jsonl.zst", COUNT.format("m.jsonl.zst"), COUNTS),
        Kind("pairs, .gz", curation, "m.jsonl.gz", COUNT.format("m.jsonl.gz"), COUNTS),
        Kind("pairs, manifest", curation, "m.jsonl.manifest.json", COUNT.format("m.jsonl"), COUNTS),
        Kind("pairs, manifest: inspect", curation, "m.jsonl.manifest.json", "inspect m.jsonl")]


def kinds_of_jobs():
    names, glotlid = "match y/a.jsonl -m release -O out -q", "inspect languages --scheme glotlid -q"
    return [
        Kind("-O, manifests", curation, "out/*.manifest.json", MATCH_AGAIN, ("out/*.jsonl",)),
        Kind("-O, names.json", work_of_shards, "out/.work/names.json", names, ("out/*/*.jsonl",)),
        Kind("-O, progress", curation, "out/.work/progress.json", "status out"),
        Kind("curate, counts of shards", a_job, "out/.work/counts/*.counts", CURATE, CURATED),
        Kind("curate, uids of shards", a_job, "out/.work/uids/*", CURATE, CURATED),
        Kind("curate, dropped pairs", a_job, "out/.work/parts/*", CURATE, CURATED),
        Kind("curate, manifests of shards", a_job, "out/*ed/*.manifest.json", CURATE, CURATED),
        Kind("curate, matched pairs drawn again", a_job, "out/matched/*.jsonl", f"{CURATE} --seed 1", CURATED),
        Kind("curate, counts", a_job, "out/counts/*", CURATE, CURATED),
        Kind("curate, thresholds", a_job, "out/thresholds.json*", CURATE, CURATED),
        Kind("curate, manifest", a_job, "out/manifest.json", CURATE, CURATED),
        Kind("curate, manifest: inspect", a_job, "out/manifest.json", "inspect out"),
        Kind("SLURM, plan", slurm, "out/.work/*.plan", _do_plan, ("out/*.jsonl",)),
        Kind("ngrams, unfinished", stopped_words, "sources/.fr.ngrams.work/*", WORDS_OF, ("sources/*.tsv",)),
        Kind("titles, unfinished", stopped_titles, "sources/.titles.work/*", TITLES_OF, ("sources/*.tsv",)),
        Kind("package, presets", package, "data/presets/tiny.toml", _with_data("plan tiny --json")),
        Kind("package, models", package, "data/models/tiny.json", _with_data("plan tiny --json")),
        Kind("package, mappings", package, "data/iso6393_to_wiki.csv", _with_data(glotlid)),
        Kind("package, checksums", package, "data/checksums", _with_data("plan tiny --json"))]


def kinds_of_training():
    checkpoint = "run/checkpoints/step-00000004.pt"
    return [
        Kind("run, config.json", training, "run/config.json", TRAIN, ("run/log.jsonl",)),
        Kind("run, manifest", training, "run/manifest.json", TRAIN, ("run/log.jsonl",)),
        Kind("run, log.jsonl", training, "run/log.jsonl", TRAIN, ("run/log.jsonl",)),
        Kind("run, tokenizer", training, "run/tokenizer.json", f"{EMBED} --no-cache", FEATURES),
        Kind("run, checkpoint", training, checkpoint, TRAIN, ("run/log.jsonl",)),
        Kind("checkpoint, exported", training, checkpoint, "checkpoint export run -o new.pt -q", ("new.pt",)),
        Kind("checkpoint, shown", training, checkpoint, "checkpoint show run --json"),
        Kind("checkpoint, evaluated", training, checkpoint, EMBED, FEATURES),
        Kind("weights, .pt", training, "mine.pt", WEIGHTS.format("mine.pt"), FEATURES),
        Kind("weights, .safetensors", training, "safe.safetensors", WEIGHTS.format("safe.safetensors"), FEATURES),
        Kind("weights, configuration", training, "mine.json", WEIGHTS.format("mine.pt"), FEATURES),
        Kind("weights, manifest", training, "mine.pt.manifest.json", WEIGHTS.format("mine.pt"), FEATURES),
        Kind("eval, cached features", training, "cache/mc2/features/*", EMBED, FEATURES)]


def kinds_of_others():
    def kind(name, file, command, answer=PAIRS, made=of_others):
        return Kind(name, made, file, command, answer, ours=False)

    by_fasttext = "lid p.jsonl --model lid.ftz --engine fasttext -o new.jsonl"
    join, joined = "join p.jsonl --tars t.tar -O joined", ("joined/*.zst",)
    slip = "eval slip26 --model run --data . --device cpu --workers 0 --no-cache --json"
    found = [*(kind(name, file, f"lid {file} -o new.jsonl") for name, file in (
                 ("lines, plain", "p.jsonl"), ("lines, .zst", "z.jsonl.zst"), ("lines, .gz", "g.jsonl.gz"))),
             kind("tars", "t.tar", join, joined), kind("tars, quietly", "t.tar", f"{join} -q", joined),
             kind("model of fastText", "lid.ftz", "lid p.jsonl --model lid.ftz -o new.jsonl")]
    if importlib.util.find_spec("fasttext"):
        found.append(kind("model of fastText, by fastText", "lid.ftz", by_fasttext))
    if importlib.util.find_spec("pyarrow"):
        found += [kind("Parquet", "q.parquet", "lid q.parquet -o new.jsonl"),
                  kind("Parquet of mc2", "own.parquet", "lid own.parquet -o new.jsonl")]
    if importlib.util.find_spec("selectolax"):
        found += [kind(f"crawl, {suffix}{skips and ', skipping'}", f"p{suffix}", f"extract p{suffix} -o new.jsonl{skips}",
                       made=crawl) for suffix in (".warc.gz", ".wat.gz", ".warc") for skips in ("", " --on-error skip")]
    if has_torch():
        found.append(kind("lists, .npy", "slip26/data/*.npy", slip, (), pictures_of_others))
    return found


def preload():
    """Import all that commands import, so that a forked process need not."""
    names = [module.name for module in pkgutil.walk_packages([str(ROOT / "mc2")], "mc2.")]
    more = ["open_clip", "torch.utils.data", "tokenizers", "safetensors.torch"] if has_torch() else []
    for name in [*names, *more]:
        with contextlib.suppress(ImportError):
            if not name.endswith("__main__"):
                importlib.import_module(name)


def has_torch():
    return all(importlib.util.find_spec(name) for name in ("torch", "open_clip", "tokenizers"))


class Templates:
    """The directories that kinds are made in, each made when it is first asked for. All are made, and copied, at one
    path, as some files hold it."""

    def __init__(self, work):
        self.work = Path(work)

    def fresh(self, kind):
        """The path of a fresh copy of a kind's directory, with its times of change, in place of the last one."""
        template, folder = self.work / kind.made.__name__, self.work / "here"
        if not template.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            kind.made(folder)
            folder.rename(template)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(template, folder, symlinks=True)
        return folder


# ---------------------------------------------------------------- for people

def _row(name, *cells):
    return f"{name:<36}" + "".join(f"{cell:>9}" for cell in cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--places", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds whose names hold this; a regular expression")
    options = parser.parse_args()
    preload()
    faults = 0
    with tempfile.TemporaryDirectory() as work:
        templates = Templates(work)
        for ours, title in ((True, "what mc2 writes"), (False, "what others write")):
            chosen = [kind for kind in kinds() if kind.ours == ours and re.search(options.only, kind.name)]
            if chosen:
                print(_row(title, "tried", *OUTCOMES), flush=True)
            for kind in chosen:
                tally = tried(kind, templates, options.places, options.seed, lambda line: print(line, flush=True))
                print(_row(kind.name, tally.total(), *(tally[each] for each in OUTCOMES)), flush=True)
                faults += ours and tally[SILENT] + tally[OTHER]
    print(f"{faults:,} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
