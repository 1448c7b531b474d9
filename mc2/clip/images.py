"""From the bytes of an image to pixels: uint8 of shape (3, S, S), as open_clip's transforms give them on PIL images.

A random crop depends on a hash of its key and on nothing else. Normalisation is left to the device.

An image becomes RGB before it is resized, as in open_clip's training and CLIP_benchmark on webdatasets, which decode
to RGB first. open_clip's `preprocess(Image.open(file))` resizes first, which gives other pixels where an image has a
palette, transparency or two colours: palettes and two colours are resized to the nearest pixel, and what is transparent
fades to black, where here its hidden colour shows. `rgb="after-resize"` is that order.

    transparency            is dropped; nothing is laid below
    EXIF orientation        is left alone, as open_clip leaves it
    animations              their first picture
    grey of 9 to 16 bits    the 8 highest bits, as Pillow takes of 16-bit colours (Pillow itself makes these white)
    32-bit integers, floating-point numbers     cannot be decoded: nothing says which value is white

Images come from anywhere. They are read in the formats of FORMATS only: among the others that Pillow reads is EPS, for
which it starts Ghostscript. An image that would take much memory is not decoded, however small its file is. Texts and
colour profiles in a PNG are passed over, as Pillow would refuse an image for a long one.
"""
import dataclasses
import functools
import io
import math
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from mc2.hashing import keyed_hash

INTERPOLATION = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
RATIO = (3 / 4, 4 / 3)              # width to height of a crop
TRIES = 10
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")      # as Pillow calls them
MOST_PIXELS = 89_478_485            # from which Pillow warns of a bomb; in RGB they take 360 MB
LONGEST_SIDE = 1 << 20
SLIMMEST = 100                      # from this ratio of its sides on, an image is cropped before it is resized
MARGIN = 2                          # a JPEG decoded at a reduced scale leaves a crop of this many times the target
RGB = BEFORE_RESIZE, AFTER_RESIZE = "before-resize", "after-resize"         # when an image becomes RGB
VERSION = 2                         # of the pixels: a change of it makes kept features anew
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0                  # of a TIFF
PNG = b"\x89PNG\r\n\x1a\n"
PASSED_OVER = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")                          # chunks of a PNG
KINDS = {           # of files that are not read: their first bytes
    "HTML or XML text": (b"<",), "JPEG 2000 (not read)": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "JPEG XL (not read)": (b"\0\0\0\x0cJXL ", b"\xff\x0a"), "PDF (not read)": (b"%PDF",),
    "Photoshop (not read)": (b"8BPS",), "compressed file": (b"\x1f\x8b", b"\x28\xb5\x2f\xfd"),
    "pointer of Git LFS": (b"version https://git-lfs",)}
BEGINNINGS = {      # of files that are read
    "JPEG": (b"\xff\xd8\xff",), "PNG": (PNG,), "GIF": (b"GIF8",), "TIFF": (b"II*\0", b"MM\0*")}
TOO_MANY = "too many pixels"


@dataclasses.dataclass(frozen=True)
class View:
    """How a model sees a picture in training: uint8 (3, size, size). resize_mode: `crop` is a random resized crop; the
    other ones show the whole picture, as `whole` does."""

    size: int
    interpolation: str = "bicubic"
    rgb: str = BEFORE_RESIZE
    resize_mode: str = "crop"


class Corrupt(ValueError):
    """Bytes that cannot be decoded as an image. reason: why, in one of few ways, so that images can be counted by it;
    detail: what the reason does not say of this one."""

    def __init__(self, reason, detail=""):
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self):
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


def training(data, key, size, aug_scale=(0.9, 1.0), interpolation="bicubic", jpeg_scaling=False, rgb=BEFORE_RESIZE):
    """uint8 (3, size, size): a random resized crop of an encoded image. Raises Corrupt.

    key: (seed, id), texts, which decide on the crop. jpeg_scaling: decode a large JPEG at 1/2, 1/4 or 1/8. rgb: one of
    RGB.
    """
    return all_views(data, key, [View(size, interpolation, rgb)], aug_scale, jpeg_scaling)[0]


def all_views(data, key, views, aug_scale=(0.9, 1.0), jpeg_scaling=False):
    """[uint8 (3, size, size)]: an encoded image, decoded once, in each of these Views; their crops are of the same box.
    Raises Corrupt. The other arguments are those of `training`; jpeg_scaling leaves enough for the largest view."""
    with _decoding(data):
        image = _eight_bits(_opened(data))
        box = crop_box(image.width, image.height, aug_scale, key)
        if jpeg_scaling and image.format == "JPEG":
            box = reduce(image, box, max(view.size for view in views))
        return [resized_crop(image, box, view.size, view.interpolation, view.rgb) if view.resize_mode == "crop"
                else whole(_prepared(image, view.rgb), view) for view in views]


def decode(data, rgb=BEFORE_RESIZE):
    """An encoded image as a PIL image, in RGB where it becomes that before it is resized. Its EXIF orientation is left
    alone, transparency is dropped. Raises Corrupt."""
    with _decoding(data):
        return _prepared(_opened(data), rgb)


def format_of(data):
    """The format of an encoded image, one of FORMATS or MPO. Raises Corrupt."""
    with _decoding(data):
        return _opened(data).format


def prepared(image, rgb=BEFORE_RESIZE):
    """A PIL image as `decode` gives it. Raises Corrupt."""
    with _decoding():
        return _prepared(image, rgb)


def _prepared(image, rgb):
    image = _eight_bits(image)
    image.load()
    return _rgb(image) if rgb == BEFORE_RESIZE else image


def _opened(data):
    """An encoded image, of which Pillow has read no more than the size. Raises Corrupt for one that is too large."""
    image = Image.open(io.BytesIO(_without_texts(data)), formats=_formats())
    if image.width * image.height > MOST_PIXELS or max(image.size) > LONGEST_SIDE:
        raise Corrupt(TOO_MANY, f"{image.width:,} x {image.height:,} pixels; {MOST_PIXELS:,} are read at most, and "
                                f"{LONGEST_SIDE:,} along a side")
    return image


def _without_texts(data):
    """A PNG without its texts and colour profile, which change no pixel; other data as it is."""
    if not data.startswith(PNG):
        return data
    parts, begin, start = [], 0, len(PNG)
    while start + 8 <= len(data):
        stop = start + 12 + int.from_bytes(data[start:start + 4], "big")
        if data[start + 4:start + 8] in PASSED_OVER:
            parts.append(data[begin:start])
            begin = stop
        start = stop
    return b"".join([*parts, data[begin:]]) if parts else data


def _eight_bits(image):
    """An image of more than 8 bits of grey as one of 8 bits, others as they are. Raises Corrupt where nothing says
    which value is white."""
    if image.mode == "F":
        raise Corrupt("floating-point numbers of which none is said to be white")
    if image.mode == "I" and image.format not in ("PNG", "PPM"):        # in these it holds 16 bits
        raise Corrupt("integers of which none is said to be white")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    tags = getattr(image, "tag_v2", {})                                 # of a TIFF
    bits = min(tags.get(BITS_PER_SAMPLE, (16,))[0], 16)
    grey = (np.clip(np.asarray(image), 0, (1 << bits) - 1) >> bits - 8).astype(np.uint8)
    return Image.fromarray(255 - grey if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else grey)


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


def resized_crop(image, box, size, interpolation="bicubic", rgb=BEFORE_RESIZE):
    """uint8 (3, size, size): a box (left, top, width, height) of an image, in RGB, resized."""
    left, top, width, height = box
    crop = image.crop((left, top, left + width, top + height))
    if rgb == BEFORE_RESIZE:
        crop = _rgb(crop)
    return pixels(_rgb(crop.resize((size, size), INTERPOLATION[interpolation])))


def whole(image, view):
    """uint8 (3, size, size): a prepared PIL image in a View of all of it: its centre (`shortest`), or with both sides
    resized to the size (`squash`)."""
    if view.resize_mode == "squash":
        return resized_crop(image, (0, 0, *image.size), view.size, view.interpolation, view.rgb)
    return validation(image, view.size, view.interpolation)


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
    """Turns whatever an image makes Pillow raise into Corrupt, and hides its warnings. data: its bytes, if it has
    any."""

    def __init__(self, data=b""):
        super().__init__()
        self.data = data

    def __enter__(self):
        super().__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, kind, error, trace):
        super().__exit__(kind, error, trace)
        if isinstance(error, Exception) and not isinstance(error, (MemoryError, Corrupt)):
            raise _corrupt(error, self.data) from None


def _corrupt(error, data):
    """The Corrupt of an error of Pillow."""
    if isinstance(error, UnidentifiedImageError):
        return Corrupt(*_kind_of(data))
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, Image.DecompressionBombError):
        return Corrupt(TOO_MANY, said)
    if isinstance(error, OSError) and "truncated" in str(error).lower():
        return Corrupt("cut off", said)
    return Corrupt("damaged or of an unknown kind", said)


def _kind_of(data):
    """(reason, detail) of bytes that are no image of FORMATS."""
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not data:
        return "empty (0 bytes)", ""
    found = next((kind for kind, firsts in KINDS.items() if start.startswith(firsts)), "unknown kind of file")
    if format := next((name for name, firsts in BEGINNINGS.items() if data.startswith(firsts)), None):
        return "damaged or of an unknown kind", f"begins as {format}, but its header cannot be read"
    if data[4:8] == b"ftyp":
        found = "HEIF or a film (not read)"
    return found, f"cannot identify it as one of {', '.join(_formats())}"
