"""`mc2 eval`: images encoded once for all languages against once for each, and the memory of retrieval.

    python benchmarks/eval.py [--quick] [--images 100000 --texts 500000]

Costs about twenty minutes on two cores and 2 GB of memory, half of the time for retrieval among 100,000 images and
500,000 texts; four minutes with --quick, which takes a tenth of both and fewer images to encode. Needs
`pip install '.[train]'`; with clip_benchmark installed its own evaluation takes part.

The plain loop does what clip_benchmark does: for each language it encodes the images again, and holds the whole matrix
of scores. Expect mc2 to take the time of the images once and that of the texts ten times; from the cache, that of the
texts alone. With ViT-B/32 a text costs about as much as an image, so that mc2 is about twice as fast; the larger the
image tower, the more. The recalls must be the same. Peak memory is that of a process of its own for each; the model has
most of it.
"""
import argparse
import contextlib
import io
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from PIL import Image

import timing
from mc2.clip.load import load_model
from mc2.evaluation import encoding, readers, retrieval, sources, tasks

MODEL, LANGS, WIDTH = "open_clip:ViT-B-32", 10, 32
PLAIN, OURS, CACHED, THEIRS = "a plain loop", "mc2", "mc2, images from the cache", "clip_benchmark"


# ---------------------------------------------------------------- ten languages

def write_images(folder, number):
    """JPEGs of noise, 256 x 320 pixels."""
    draw, paths = np.random.default_rng(0), []
    for index in range(number):
        coarse = Image.fromarray(draw.integers(0, 256, (16, 20, 3), np.uint8))
        paths.append(os.path.join(folder, f"{index:06}.jpg"))
        coarse.resize((320, 256), Image.Resampling.BICUBIC).save(paths[-1], quality=90)
    return paths


def captions(number):
    """{language: a caption for each image}: numbers in words of its own."""
    return {f"l{lang}": [f"word{lang} {lang * index % 97} of {index}" for index in range(number)]
            for lang in range(LANGS)}


def ours(model, paths, cache=None):
    """{language: (R@1 of text to image, of image to text)}"""
    bench = tasks.Bench("xtd-10", encoding.Encoder(model, cache=cache, quiet=True), ".")
    its = ((lang, readers.Captions(texts, range(len(paths)))) for lang, texts in captions(len(paths)).items())
    found = list(retrieval.by_language(bench, sources.Files("", paths), its))
    values = {(record["lang"], record["metric"]): record["value"] for record in found}
    return {lang: (values[lang, "t2i_r1"], values[lang, "i2t_r1"]) for lang in captions(1)}


class Pairs(torch.utils.data.Dataset):
    """An image and its captions, as clip_benchmark's data sets give them."""

    def __init__(self, paths, texts, transform):
        self.paths, self.texts, self.transform = paths, texts, transform

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with open(self.paths[index], "rb") as stream:
            return torch.from_numpy(self.transform(stream.read())), [self.texts[index]]


def together(batch):
    pixels, texts = zip(*batch)
    return torch.stack(pixels), list(texts)


def again_for_each(model, paths, evaluate):
    """evaluate(batches of (images, captions of each)) for each language."""
    return {lang: evaluate(torch.utils.data.DataLoader(Pairs(paths, texts, model.transform), 64, collate_fn=together))
            for lang, texts in captions(len(paths)).items()}


def plain(model, paths):
    def evaluate(batches):
        encoded = [(model.encode_images(pixels), model.encode_texts([text for its in texts for text in its]))
                   for pixels, texts in batches]
        images, texts = map(torch.cat, zip(*encoded))
        scores, right = texts @ images.T, torch.arange(len(images))
        return tuple(float((matrix.argmax(dim=1) == right).float().mean()) for matrix in (scores, scores.T))
    return again_for_each(model, paths, evaluate)


def theirs(model, paths):
    from clip_benchmark.metrics import zeroshot_retrieval

    class Network:                              # what it calls
        encode_image, encode_text = staticmethod(model.encode_images), staticmethod(model.encode_texts)

    class Texts(list):
        def to(self, device):
            return self

    def evaluate(batches):
        with contextlib.redirect_stderr(io.StringIO()):                 # its progress bars
            found = zeroshot_retrieval.evaluate(Network, batches, Texts, "cpu", amp=False, recall_k_list=[1])
        return found["image_retrieval_recall@1"], found["text_retrieval_recall@1"]
    return again_for_each(model, paths, evaluate)


def has_clip_benchmark():
    try:
        from clip_benchmark.metrics import zeroshot_retrieval           # noqa: F401
    except ImportError:
        return False
    return True


def calls_on(model, paths, cache):
    calls = {PLAIN: lambda: plain(model, paths), OURS: lambda: ours(model, paths),
             CACHED: lambda: ours(model, paths, cache)}
    return {**calls, **({THEIRS: lambda: theirs(model, paths)} if has_clip_benchmark() else {})}


def compare_languages(directory, number, repeats):
    paths, cache = write_images(directory, number), os.path.join(directory, "cache")
    calls = calls_on(load_model(MODEL), paths, cache)
    expected = calls[OURS]()
    for name, call in calls.items():
        for lang, found in call().items():
            assert np.allclose(found, expected[lang]), f"{name} finds other recalls for {lang}"
    seconds = timing.interleaved(calls, repeats)
    rows = []
    for name in calls:
        peak = measured("languages", name, directory, str(number))[0]
        rows.append([name, f"{np.median(seconds[name]):.1f} s", f"{timing.spread(seconds[name]):.0f} %",
                     f"{timing.ratio(seconds[name], seconds[PLAIN]):.1f}x", f"{peak:,.0f} MB"])
    timing.show(f"{number:,} images and a caption of each in {LANGS} languages, {MODEL} with random weights, fp32",
                ["", "CPU time", "spread", "ratio", "peak memory"], rows)


def languages_once(name, directory, number):
    paths = [os.path.join(directory, f"{index:06}.jpg") for index in range(int(number))]
    calls_on(load_model(MODEL), paths, os.path.join(directory, "cache"))[name]()
    print(peak_mb(), 0, 0)


# ---------------------------------------------------------------- memory of retrieval

def compare_sizes(sizes):
    rows = []
    for images, texts in sizes:
        peak, before, seconds = measured("recall", str(images), str(texts))
        held = retrieval.SCORES * (4 + 3) / 2 ** 20                       # fp32, three masks
        linear = (images + texts) * 8 * 8 / 2 ** 20                     # a few numbers for each query and candidate
        assert peak - before < held + linear + 64, f"{peak - before:,.0f} MB is more than the part and the vectors take"
        rows.append([f"{images:,} x {texts:,}", f"{before:,.0f} MB", f"{peak - before:,.0f} MB",
                     f"{held + linear + 64:,.0f} MB", f"{images * texts * 4 / 2 ** 20:,.0f} MB", f"{seconds:,.0f} s"])
    timing.show(f"Retrieval both ways among random features of width {WIDTH}, R@1, R@5 and R@10",
                ["images x texts", "before", "on top", "bound", "the whole matrix", "by the clock"], rows)


def recall_once(images, texts):
    draw, images, texts = np.random.default_rng(0), int(images), int(texts)
    pictures, words = (normalized(draw.standard_normal((number, WIDTH), np.float32)) for number in (images, texts))
    owners = np.arange(texts) % images
    retrieval.recall(pictures[:64], words[:64], np.arange(64))          # the library's buffers
    before, started = peak_mb(), time.perf_counter()
    retrieval.recall(pictures, words, owners, (1, 5, 10))
    print(peak_mb(), before, time.perf_counter() - started)


def normalized(rows):
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


# ---------------------------------------------------------------- processes

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(*arguments):
    """The numbers that a process of its own prints last."""
    command = [sys.executable, __file__, "--once", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [float(number) for number in done.stdout.splitlines()[-1].split()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images, texts and rounds")
    parser.add_argument("--images", type=int, default=100_000, help="images of the largest retrieval")
    parser.add_argument("--texts", type=int, default=500_000, help="texts of the largest retrieval")
    parser.add_argument("--once", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        return {"languages": languages_once, "recall": recall_once}[options.once[0]](*options.once[1:])
    number, repeats = 4 if options.quick else 16, 3
    part = 10 if options.quick else 1
    torch.set_num_threads(1)
    print(timing.machine(repeats))
    with tempfile.TemporaryDirectory() as directory:
        compare_languages(directory, number, repeats)
    images, texts = options.images // part, options.texts // part
    compare_sizes([(images // 10, texts // 10), (images, texts)])
    print("\nThe recalls were the same, and memory grew with the number of images and texts, not with their product.")


if __name__ == "__main__":
    main()
