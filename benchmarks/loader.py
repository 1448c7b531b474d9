"""The data path of `mc2 train`: images per second of one process, and where the time goes.

    python benchmarks/loader.py [--quick]

Costs three to four minutes, 1 GB of memory and 0.2 GB of disk; 40 s with --quick. Needs `pip install '.[train]'`;
`pip install webdataset` adds it to the comparison.

Expect cropping and resizing, bicubic and to the same pixels as torchvision, to take rather more than half of the time
and decoding most of the rest. mc2 is 1.6 times as fast as the plain loop at 256 pixels and 1.1 times at 1024: it leaves
the pixels as bytes for the device, and the work on them is the same. Decoding at a reduced scale (jpeg_scaling) doubles
the speed where images are four times as large as the target and does nothing for smaller ones, such as those that
img2dataset scaled to 256 or 512. Images are made: noise of all scales, as photographs have it, at a quality of 95.
"""
import argparse
import io
import os
import statistics
import tarfile
import tempfile

import numpy as np
import orjson
import torch
from PIL import Image
from torchvision import transforms

import corpus
import timing
from mc2 import keys, tars
from mc2.clip import images, tokenizers
from mc2.training import samples

try:
    import webdataset
except ImportError:
    webdataset = None

SIZE, SCALE = 224, (0.9, 1.0)
SIDES = (256, 512, 1024)                # pixels of the shorter side
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PLAIN, OURS, SCALED, WEBDATASET = "tarfile and torchvision", "mc2", "mc2, jpeg_scaling", "webdataset and torchvision"


def photo(rng, side):
    """A PIL image whose shorter side is `side`: noise of every scale, the coarser the stronger."""
    width, height = side, int(side * rng.uniform(1, 1.6))
    total, step = np.zeros((height, width, 3)), 2
    while step < side // 2:
        small = rng.standard_normal((height // step + 2, width // step + 2)).astype(np.float32)
        grey = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
        total += (grey * step ** 0.9)[..., None] * rng.uniform(0.6, 1, 3)
        step *= 2
    total = 128 + 45 * (total - total.mean()) / total.std()
    image = Image.fromarray(total.clip(0, 255).astype(np.uint8))
    return image if rng.random() < 0.5 else image.transpose(Image.Transpose.ROTATE_90)


def write_pool(directory, side, n, texts):
    """A tar of n JPEGs with their records, as img2dataset writes it."""
    rng, path = np.random.default_rng(side), os.path.join(directory, f"{side}.tar")
    with tarfile.open(path, "w") as tar:
        for number, text in zip(range(n), texts):
            stream = io.BytesIO()
            photo(rng, side).save(stream, "JPEG", quality=95)
            for suffix, data in (("jpg", stream.getvalue()), ("txt", text.encode()),
                                 ("json", orjson.dumps({"uid": f"{number:032x}", "caption": text, "lang": "en"}))):
                info = tarfile.TarInfo(f"{number:09}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def ours(path, tokenizer, n, jpeg_scaling=False):
    """One batch of all images, by mc2."""
    data = samples.Data([path], image_size=SIZE, aug_scale=SCALE, jpeg_scaling=jpeg_scaling)
    return next(samples.Loader(data, {"tokens": tokenizer}, n, workers=0))


def transform():
    """What open_clip does to a training image."""
    return transforms.Compose([
        transforms.RandomResizedCrop(SIZE, SCALE, interpolation=transforms.InterpolationMode.BICUBIC),
        transforms.Lambda(lambda image: image.convert("RGB")), transforms.ToTensor(), transforms.Normalize(MEAN, STD)])


def plain(path, tokenizer):
    """The same by tarfile, grouped by key, and torchvision."""
    crop, found, samples_of = transform(), [], {}
    with tarfile.open(path) as tar:
        for info in tar:
            key, _, suffix = info.name.partition(".")
            samples_of.setdefault(key, {})[suffix] = tar.extractfile(info).read()
    for sample in samples_of.values():
        found.append((crop(Image.open(io.BytesIO(sample["jpg"])).convert("RGB")), sample["txt"].decode()))
    pixels, texts = zip(*found)
    return torch.stack(pixels), torch.from_numpy(tokenizer(list(texts)))


def by_webdataset(path, tokenizer, n):
    data = webdataset.WebDataset(path, shardshuffle=False).decode("pilrgb").rename(image="jpg", text="txt") \
        .map_dict(image=transform()).to_tuple("image", "text").batched(n, partial=False)
    pixels, texts = next(iter(data))
    return pixels, torch.from_numpy(tokenizer(list(texts)))


def compare(path, side, tokenizer, n, repeats):
    calls = {PLAIN: lambda: plain(path, tokenizer), OURS: lambda: ours(path, tokenizer, n),
             SCALED: lambda: ours(path, tokenizer, n, True)}
    if webdataset:
        calls[WEBDATASET] = lambda: by_webdataset(path, tokenizer, n)
    check(path, tokenizer, n)
    seconds = timing.interleaved(calls, repeats)
    timing.show(f"Shorter side {side} pixels, {os.path.getsize(path) / n / 1000:.0f} kB an image, to {SIZE} pixels",
                ["", "images/s", *timing.SPEED[1:]],
                [[name, *timing.speed_cells(seconds[name], seconds[PLAIN], n)] for name in calls])


def check(path, tokenizer, n):
    """Stop unless mc2 has the pixels that torchvision gives for the same boxes, and the tokens of the plain loop."""
    batch = ours(path, tokenizer, n)
    with tarfile.open(path) as tar:
        for number in range(0, n, 7):
            image = Image.open(tar.extractfile(f"{number:09}.jpg"))
            key = ("0:0", batch.ids[number])
            left, top, width, height = images.crop_box(*image.size, SCALE, key)
            crop = transforms.functional.resized_crop(image, top, left, height, width, [SIZE, SIZE],
                                                      transforms.InterpolationMode.BICUBIC)
            assert np.array_equal(np.asarray(crop).transpose(2, 0, 1), batch.images[number]), "pixels differ"
    assert torch.equal(batch.tokens["tokens"], plain(path, tokenizer)[1]), "tokens differ"


def show_parts(path, side, tokenizer, n, repeats):
    """The time of each part, alone."""
    read = [(dict(members), tars.record(members)) for _, members in tars.samples(path)]
    encoded, texts = [members["jpg"] for members, _ in read], [record["caption"] for _, record in read]
    decoded = [images.decode(data) for data in encoded]

    def read_all():
        for key, members in tars.samples(path):
            keys.names(key, tars.record(members))[0], members["jpg"]

    def crop():
        for number, image in enumerate(decoded):
            images.resized_crop(image, images.crop_box(*image.size, SCALE, ("0:0", str(number))), SIZE)

    def decode_scaled():
        for data in encoded:
            image = Image.open(io.BytesIO(data))
            images.reduce(image, images.crop_box(*image.size, SCALE, ("0:0", "a")), SIZE)
            image.convert("RGB")

    seconds = timing.interleaved({
        "reading the tar": read_all, "decoding": lambda: list(map(images.decode, encoded)),
        "cropping and resizing": crop, "tokenising": lambda: tokenizer(texts),
        "decoding with jpeg_scaling": decode_scaled}, repeats)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    total = sum(medians.values()) - medians["decoding with jpeg_scaling"]
    timing.show(f"Parts of mc2, shorter side {side} pixels", ["", "ms an image", "share"],
                [[name, f"{1000 * median / n:.3f}", f"{100 * median / total:.0f} %"]
                 for name, median in medians.items()])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images and rounds")
    quick = parser.parse_args().quick
    repeats, n = (3, 32) if quick else (7, 128)
    torch.set_num_threads(1)
    print(timing.machine(repeats))
    tokenizer = tokenizers.load("openai", {"context_length": 77, "vocab_size": 49_408})
    with tempfile.TemporaryDirectory() as directory:
        timing.refuse_little_space(directory, 0.3)
        for side in SIDES:
            path = write_pool(directory, side, n, corpus.english().texts(n))
            compare(path, side, tokenizer, n, repeats)
            show_parts(path, side, tokenizer, n, repeats)
    print("\nThe pixels were those of torchvision for the same boxes, and the tokens the same.")


if __name__ == "__main__":
    main()
