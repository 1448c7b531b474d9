"""Tiny images, each another one: coloured noise drawn from its number."""
import io

import numpy as np


def picture(number, size=(40, 36)):
    from PIL import Image
    draw = np.random.default_rng(number)
    coarse = draw.integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(number, form="JPEG", size=(40, 36)):
    stream = io.BytesIO()
    picture(number, size).save(stream, form)
    return stream.getvalue()


def write(path, number, size=(40, 36)):
    """Write picture `number` as JPEG or PNG, by the suffix; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(number, "PNG" if path.suffix.lower() == ".png" else "JPEG", size))
    return path
