"""Faces made unrecognisable in an image, which is encoded anew.

Over each face an ellipse is laid that is GROWN times as wide and high as its box, with a soft edge. What is within is
blurred by a Gaussian whose radius is a part of the face's longer side, and at least a part of the image's, so that
small faces in large images go too.

    JPEG stays JPEG, WebP stays WebP, with the given quality; all others become PNG, of one picture
    the colours are those of training: 8 bits in RGB, transparency dropped
    of the EXIF, which may hold a small picture of the unblurred face, only the orientation is kept
"""
import io

from mc2.clip import images
from mc2.safety.pictures import ORIENTATION, orientation_of

GROWN = 1.4
OF_FACE, OF_IMAGE = 1 / 6, 1 / 40           # the radius, in longer sides
SOFT = 0.15                                 # of the edge, in shorter half axes of the ellipse
QUALITY = 95
VERSION = 1                                 # of the pixels: a change of it makes tars anew
KEPT = {"JPEG": ("jpg", "jpeg"), "MPO": ("jpg", "jpeg"), "WEBP": ("webp",)}     # formats that stay: their extensions


def blurred(image, boxes):
    """A copy of a PIL image in RGB with the faces in these boxes blurred. boxes: [[x1, y1, x2, y2]], from 0 to 1"""
    from PIL import Image, ImageDraw, ImageFilter
    made = image.copy()
    width, height = image.size
    for x1, y1, x2, y2 in boxes:
        x, y, across, down = (x1 + x2) / 2 * width, (y1 + y2) / 2 * height, (x2 - x1) * width, (y2 - y1) * height
        half = max(1, across * GROWN / 2), max(1, down * GROWN / 2)
        soft = SOFT * min(half)
        left, top = (max(0, int(centre - each - 2 * soft)) for centre, each in zip((x, y), half))
        right, bottom = (min(length, int(centre + each + 2 * soft) + 1)
                         for length, centre, each in zip(image.size, (x, y), half))
        mask = Image.new("L", (right - left, bottom - top))
        ellipse = x - half[0] - left, y - half[1] - top, x + half[0] - left, y + half[1] - top
        ImageDraw.Draw(mask).ellipse(ellipse, fill=255)
        radius = max(max(across, down) * OF_FACE, max(image.size) * OF_IMAGE)
        face = made.crop((left, top, right, bottom)).filter(ImageFilter.GaussianBlur(radius))
        made.paste(face, (left, top), mask.filter(ImageFilter.GaussianBlur(soft)))
    return made


def without_faces(data, boxes, extension, quality=QUALITY):
    """(bytes, extension) of an encoded image with the faces in these boxes blurred. extension: of its name. Raises
    mc2.clip.images.Corrupt."""
    from PIL import Image
    image = images.decode(data)
    orientation, found = orientation_of(image), images.format_of(data)
    exif = Image.Exif()
    if orientation != 1:
        exif[ORIENTATION] = orientation
    more = {"exif": exif.tobytes()} if orientation != 1 else {}
    made = blurred(image, boxes)
    made.info.clear()                                   # what the image said of itself
    with io.BytesIO() as stream:
        if found in KEPT:
            its = KEPT[found]
            made.save(stream, "WEBP" if found == "WEBP" else "JPEG", quality=quality, **more)
            return stream.getvalue(), extension if extension in its else its[0]
        made.save(stream, "PNG", **more)
        return stream.getvalue(), "png"
