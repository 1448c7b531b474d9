"""From the bytes of an image to pixels: uint8 of shape (3, S, S), as open_clip's transforms give them on PIL images.

A random crop depends on a hash of its key and on nothing else. Normalisation is left to the device.

Images come from anywhere. They are read in the formats of FORMATS only: among the others that Pillow reads is EPS, for which
it starts Ghostscript. An image that would take much memory is not decoded, however small its file is.
"""
import functools
import io
import math
import warnings

import numpy as np
from PIL import Image

from mc2.hashing import keyed_hash

INTERPOLATION = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
RATIO = (3 / 4, 4 / 3)              # width to height of a crop
TRIES = 10
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")      # as Pillow calls them
MOST_PIXELS = 89_478_485            # from which Pillow warns of a bomb; in RGB they take 360 MB
LONGEST_SIDE = 1 << 20
SLIMMEST = 100                      # from this ratio of its sides on, an image is cropped before it is resized
MARGIN = 2                          # a JPEG decoded at a reduced scale leaves a crop of this many times the target


class Corrupt(ValueError):
    """Bytes that cannot be decoded as an image."""


def training(data, key, size, aug_scale=(0.9, 1.0), interpolation="bicubic", jpeg_scaling=False):
    """uint8 (3, size, size): a random resized crop of an encoded image. Raises Corrupt.

    key: (seed, id), texts, which decide on the crop. jpeg_scaling: decode a large JPEG at 1/2, 1/4 or 1/8.
    """
    with _decoding():
        image = _opened(data)
        box = crop_box(image.width, image.height, aug_scale, key)
        if jpeg_scaling and image.format == "JPEG":
            box = reduce(image, box, size)
        return resized_crop(image, box, size, interpolation)


def decode(data):
    """An encoded image as a PIL image in RGB. Its EXIF orientation is left alone, transparency is dropped. Raises
    Corrupt."""
    with _decoding():
        return _rgb(_opened(data))


def _opened(data):
    """An encoded image, of which Pillow has read no more than the size. Raises ValueError for one that is too large."""
    image = Image.open(io.BytesIO(data), formats=_formats())
    if image.width * image.height > MOST_PIXELS or max(image.size) > LONGEST_SIDE:
        raise ValueError(f"{image.width:,} x {image.height:,} pixels are too many")
    return image


def _rgb(image):
    """The image in RGB: itself, where it is, as a copy may take hundreds of megabytes."""
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


@functools.cache
def _formats():
    """Those of FORMATS that this Pillow can read."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def crop_box(width, height, scale, key):
    """(left, top, width, height) of the crop that a key stands for.

    The distribution is that of torchvision's RandomResizedCrop: an area of scale[0] to scale[1] of the image's, a
    logarithmically uniform aspect ratio; after ten boxes that do not fit, the largest in the centre that has an
    aspect ratio in range.
    """
    chances = (_chance(*key, number) for number in range(2 * TRIES + 2))
    low, high = map(math.log, RATIO)
    for _ in range(TRIES):
        area = width * height * (scale[0] + (scale[1] - scale[0]) * next(chances))
        ratio = math.exp(low + (high - low) * next(chances))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(next(chances) * (width - w + 1)), int(next(chances) * (height - h + 1)), w, h
    w = min(width, max(1, round(height * RATIO[1])))
    h = min(height, max(1, round(width / RATIO[0])))
    return (width - w) // 2, (height - h) // 2, w, h


def _chance(seed, image_id, number):
    """A number that is uniform in [0, 1)."""
    return (keyed_hash("crop", seed, image_id, str(number)) >> 11) * 2.0**-53


def resized_crop(image, box, size, interpolation="bicubic"):
    """uint8 (3, size, size): a box (left, top, width, height) of an image, in RGB, resized."""
    left, top, width, height = box
    crop = _rgb(image.crop((left, top, left + width, top + height)))
    return pixels(crop.resize((size, size), INTERPOLATION[interpolation]))


def validation(image, size, interpolation="bicubic"):
    """uint8 (3, size, size): a PIL image with its shorter side resized to `size`, the centre of it, in RGB."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    other = int(size * long / short)
    if long > SLIMMEST * short:
        return pixels(_centre(image, size, other, INTERPOLATION[interpolation]).convert("RGB"))
    if short != size:
        image = image.resize((size, other) if width <= height else (other, size), INTERPOLATION[interpolation])
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return pixels(image.crop((left, top, left + size, top + size)).convert("RGB"))


def _centre(image, size, other, resample):
    """The centre of size x size of an image whose longer side is resized to `other` and its shorter one to `size`. The
    rest, which is cut off again, is never made: of 1 x 1,000,000 pixels it would take gigabytes."""
    start, pixel = round((other - size) / 2), max(image.size) / other
    low, high = start * pixel, (start + size) * pixel
    box = (0, low, image.width, high) if image.width <= image.height else (low, 0, high, image.height)
    return image.resize((size, size), resample, box)


def pixels(image):
    """uint8 (3, height, width) of an RGB image."""
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def reduce(image, box, size):
    """The box in the smallest scale that leaves MARGIN times the target, at which the JPEG, not decoded yet, will be
    decoded."""
    width, height = image.size
    factor = next((factor for factor in (8, 4, 2) if min(box[2:]) >= factor * MARGIN * size), 1)
    if factor == 1 or image.draft(None, (width // factor, height // factor)) is None:
        return box
    across, down = image.width / width, image.height / height
    left, top = round(box[0] * across), round(box[1] * down)
    return (left, top, min(round(box[2] * across), image.width - left), min(round(box[3] * down), image.height - top))


class _decoding(warnings.catch_warnings):
    """Turns whatever an image makes Pillow raise into Corrupt, and hides its warnings."""

    def __enter__(self):
        super().__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, kind, error, trace):
        super().__exit__(kind, error, trace)
        if error is not None and isinstance(error, Exception) and not isinstance(error, MemoryError):
            raise Corrupt(f"{kind.__name__}: {error}") from None
