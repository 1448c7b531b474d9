"""Draw "worldwide shapes": a small pool of pictures with captions in fourteen languages.

    python examples/demo/draw.py -o examples/demo/out

Takes five seconds and writes 8 MB, the same bytes every time:

    OUT/pool/pool-0000.jsonl.zst ...   the raw pool: id, url, text, source; the lines of one picture are adjacent
    OUT/images/pool-0000.tar ...       its pictures, as webdataset tars: {id}.png and {id}.json
    OUT/test/test-0000.tar             pictures that are not in the pool, the same number for every class
    OUT/test/captions.jsonl            their captions: id, lang, text
    OUT/classnames.jsonl               the name of every class in every language: lang, shape, colour, text
    OUT/concepts.jsonl                 what every picture shows, and whether it is in the pool ("split")

A class is a shape and a colour. In the pool classes follow Zipf's law, as words on the web do: balancing has
a head to cut and a tail to keep. Half of the classes are held out: they occur in the test pictures only, while
their shapes and their colours also occur apart in the pool, each with four partners.
"""
import argparse
import functools
import hashlib
import io
import os
import struct
import tarfile
import time
import zlib

import numpy as np
import orjson
import zstandard

import words

PICTURES = 2000             # in the pool
TEST_PER_CLASS = 8
PARTNERS = (0, 1, 2, 4)     # of shape k in the pool: the colours k + 0, k + 1, ... in a random order of both
SHARDS = 4
SIDE = 64                   # pixels
FINE = 3                    # a pixel is the mean of FINE x FINE points: smooth edges
CLASSES = [(shape, colour) for shape in words.SHAPES for colour in words.COLOURS]

RGB = {
    "red": (214, 39, 40), "orange": (247, 140, 20), "yellow": (245, 214, 30), "green": (44, 150, 60),
    "blue": (35, 90, 200), "purple": (125, 60, 165), "black": (25, 25, 28), "brown": (125, 75, 40),
    "white": (252, 252, 250), "grey": (176, 178, 182), "pink": (250, 190, 205),
}
RADIUS = {"small": 0.27, "large": 0.5}      # the picture spans -1..1
CENTRE = {"left": (-0.4, 0), "right": (0.4, 0), "middle": (0, 0), "top": (0, 0.4), "bottom": (0, -0.4)}


# ---------------------------------------------------------------- what the pictures show

def held_out_classes(random):
    """Half of the classes: every shape keeps four colours and every colour four shapes, no two shapes the same four."""
    shapes, colours = random.permutation(words.SHAPES).tolist(), random.permutation(words.COLOURS).tolist()
    seen = {(shape, colours[(k + step) % len(colours)]) for k, shape in enumerate(shapes) for step in PARTNERS}
    return set(CLASSES) - seen


def zipf_choices(classes, count, random):
    """`count` classes in random order, the k-th most common one 1/k as common as the first; none is left out
    where `count` allows."""
    shares = 1 / np.arange(1, len(classes) + 1)
    ranked = [classes[k] for k in random.permutation(len(classes))]
    rest = random.choice(len(classes), max(count - len(classes), 0), p=shares / shares.sum())
    chosen = ranked[:count] + [ranked[k] for k in rest]
    return [chosen[k] for k in random.permutation(count)]


def pick(random, items):
    return items[random.integers(len(items))]


def picture_of(number, shape, colour, split, held_out, random):
    """The description of one picture: everything that its captions may tell."""
    url = f"https://worldwide-shapes.example/{split}/{number:05d}.png"
    return {
        "id": hashlib.sha224(url.encode()).hexdigest()[:24],
        "url": url,
        "split": split,
        "shape": shape,
        "colour": colour,
        "size": pick(random, words.SIZES),
        "place": pick(random, words.PLACES),
        "background": pick(random, words.BACKGROUNDS),
        "held_out": held_out,
    }


def pool_and_test(count, random):
    """The pictures of the pool, and the test pictures."""
    held_out = held_out_classes(random)
    seen = [c for c in CLASSES if c not in held_out]
    pool = [picture_of(n, *c, "pool", False, random) for n, c in enumerate(zipf_choices(seen, count, random))]
    test = [picture_of(n, *c, "test", c in held_out, random) for n, c in enumerate(CLASSES * TEST_PER_CLASS)]
    return pool, test


# ---------------------------------------------------------------- drawing

def circle(x, y):
    return x**2 + y**2 < 1


def square(x, y):
    return np.maximum(abs(x), abs(y)) < 0.85


def triangle(x, y):
    return (y > -0.75) & (1.8 * abs(x) + y < 1)


def star(x, y):
    turn = 2 * np.pi / 5
    angle = abs((np.arctan2(x, y) + turn / 2) % turn - turn / 2)        # 0 at the nearest tip
    radius = np.hypot(x, y)
    return radius * (np.cos(angle) + 2 * np.sin(angle)) < 1             # an edge from tip to notch


def heart(x, y):
    x, y = 1.2 * x, 1.2 * y + 0.1
    return (x**2 + y**2 - 1)**3 < x**2 * y**3


def moon(x, y):
    return circle(x, y) & ~circle((x - 0.5) / 0.85, (y - 0.15) / 0.85)


def tree(x, y):
    crown = circle(x / 0.75, (y - 0.3) / 0.7)
    trunk = (abs(x) < 0.2) & (y > -1) & (y < 0)
    return crown | trunk


def house(x, y):
    walls = (abs(x) < 0.7) & (y > -0.85) & (y < 0.2)
    roof = (y >= 0.2) & (abs(x) + y < 1.1)
    door = (abs(x - 0.2) < 0.17) & (y < -0.2)
    return (walls | roof) & ~door


DRAW = {f.__name__: f for f in (circle, square, triangle, star, heart, moon, tree, house)}


@functools.cache
def grid(side):
    """float32 (side * FINE,): the coordinates of the points of a row."""
    return ((np.arange(side * FINE) + 0.5) * (2 / (side * FINE)) - 1).astype("float32")


def paint(picture, random, side=SIDE):
    """uint8 [side, side, 3]; a little tilted, a little off its place and its colour, as things are."""
    centre_x, centre_y = np.array(CENTRE[picture["place"]]) + random.uniform(-0.05, 0.05, 2)
    radius = RADIUS[picture["size"]] * random.uniform(0.85, 1.1)
    tilt = random.uniform(-0.2, 0.2)                                    # radians
    x = (grid(side)[None, :] - centre_x) / radius
    y = (-grid(side)[:, None] - centre_y) / radius                            # rows run downwards
    cos, sin = np.cos(tilt), np.sin(tilt)
    inside = DRAW[picture["shape"]](cos * x + sin * y, cos * y - sin * x)
    cover = inside.reshape(side, FINE, side, FINE).mean(axis=(1, 3))[..., None]
    shape_rgb = np.array(RGB[picture["colour"]]) + random.integers(-12, 13, 3)
    background_rgb = np.array(RGB[picture["background"]]) + random.integers(-6, 7, 3)
    return np.clip(cover * shape_rgb + (1 - cover) * background_rgb, 0, 255).round().astype("uint8")


def png(pixels):
    """A PNG file: signature, header, zlib-compressed rows (each after a filter byte, 0 = none), end."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), "uint8")
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)      # 8 bits, RGB
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + chunk(b"IEND", b""))


# ---------------------------------------------------------------- texts, as tidy and untidy as on the web

def texts_of(picture, random):
    """All candidate texts of one picture: a caption in every language, two in English, and some noise."""
    texts = []
    for code, language in words.LANGUAGES.items():
        captions = language.captions(picture)
        for k in random.permutation(len(captions))[:2 if code == "en" else 1]:
            texts.append(disturbed(captions[k], code, picture, random))
    for odd_text, share in ((unmatched_text, 0.5), (very_short_text, 0.1), (empty_text, 0.03)):
        if random.random() < share:
            texts.append(odd_text(picture, random))
    return [texts[k] for k in random.permutation(len(texts))]


def disturbed(caption, code, picture, random):
    """Most captions stay as they are."""
    roll = random.random()
    if roll < 0.04:
        return shouted(caption, code)
    if roll < 0.06:
        return with_url(caption, picture)
    if roll < 0.08:
        return with_file_name(caption, random)
    if roll < 0.10:
        return noisy(caption, random)
    return caption


def shouted(caption, code):
    """ALL CAPITALS, where the script has any. Turkish has its own capital of i."""
    return (caption.replace("i", "İ") if code == "tr" else caption).upper()


def with_url(caption, picture):
    return f"{caption} {picture['url']}"


def with_file_name(caption, random):
    return f"{pick(random, ['scan', 'img', 'shape_final', 'P'])}{random.integers(1000, 9999)}.jpg - {caption}"


def noisy(caption, random):
    """Decoration, stray white space, line breaks."""
    return pick(random, ["★★★ {} ★★★", ">> {} <<<", "  {}\t ", "{}!!!!!", "{}\n\n", "• {} | | |"]).format(caption)


def unmatched_text(picture, random):
    """Alt-texts that say nothing about the picture, the greater part of the web."""
    number = random.integers(1000, 9999)
    return pick(random, [f"IMG_{number}", f"DSC0{number}.JPG", f"Screenshot_{number}", "untitled", "click here",
                         "image", "thumbnail", "logo", "sin título", "ohne Titel", "無題", "无标题", "без названия"])


def very_short_text(picture, random):
    """One word of a caption, or one letter."""
    language = pick(random, list(words.LANGUAGES.values()))
    return pick(random, [language.forms(picture["colour"])[0], language.noun(picture["shape"]) or "?", "x", "A"])


def empty_text(picture, random):
    return ""


# ---------------------------------------------------------------- files

def write_whole(path, data):
    """A file appears complete or not at all."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.tmp")
    with open(temporary, "wb") as file:
        file.write(data)
    os.replace(temporary, path)


def jsonl(records):
    return b"".join(orjson.dumps(record) + b"\n" for record in records)


def zst(data):
    return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(data)


def tar(members):
    """A tar of (name, bytes): no times, no owners, so the same members give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)        # mtime, uid and gid are 0
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def image_tar(pictures, random):
    members = []
    for picture in pictures:
        members.append((picture["id"] + ".png", png(paint(picture, random))))
        members.append((picture["id"] + ".json", orjson.dumps(picture)))
    return tar(members)


def pool_lines(pictures, random):
    return [{"id": picture["id"], "url": picture["url"], "text": text, "source": "alt"}
            for picture in pictures for text in texts_of(picture, random)]


def test_captions(pictures, random):
    """One clean caption per picture and language that names the shape."""
    return [{"id": picture["id"], "lang": code, "text": pick(random, language.captions(picture))}
            for picture in pictures for code, language in words.LANGUAGES.items()
            if language.noun(picture["shape"])]


def class_names():
    return [{"lang": code, "shape": shape, "colour": colour, "text": name}
            for code, language in words.LANGUAGES.items() for shape, colour in CLASSES
            if (name := language.name(shape, colour))]


def draw(out, count=PICTURES):
    """Write everything under `out`; returns the numbers of pool pictures, test pictures and pool lines."""
    random = np.random.default_rng(0)
    pool, test = pool_and_test(count, random)
    line_count = 0
    for shard in range(SHARDS):
        pictures = pool[len(pool) * shard // SHARDS:len(pool) * (shard + 1) // SHARDS]
        lines = pool_lines(pictures, random)
        line_count += len(lines)
        write_whole(f"{out}/pool/pool-{shard:04d}.jsonl.zst", zst(jsonl(lines)))
        write_whole(f"{out}/images/pool-{shard:04d}.tar", image_tar(pictures, random))
    write_whole(f"{out}/test/test-0000.tar", image_tar(test, random))
    write_whole(f"{out}/test/captions.jsonl", jsonl(test_captions(test, random)))
    write_whole(f"{out}/classnames.jsonl", jsonl(class_names()))
    write_whole(f"{out}/concepts.jsonl", jsonl(pool + test))
    return len(pool), len(test), line_count


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="directory to write to")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="pictures in the pool [%(default)s]")
    options = parser.parse_args()
    start = time.time()
    pool, test, lines = draw(options.output, options.pictures)
    print(f"draw: {lines:,} texts of {pool:,} pictures, {test} test pictures -> {options.output} "
          f"({time.time() - start:.1f} s)")


if __name__ == "__main__":
    main()
