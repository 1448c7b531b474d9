"""The picture that a classifier sees: upright, in RGB; and where its boxes are in the image as it is stored.

Everything else is as in training (mc2.clip.images): 8 bits of each colour, transparency dropped, the first picture of an
animation, at most 89 million pixels. Training leaves the EXIF orientation of a photo alone, and so do boxes: they are
places in the image as it is stored, from 0 to 1. But a face is found where it is upright, so classifiers see the photo as
a viewer would show it.
"""
from typing import NamedTuple

from mc2.clip import images

ORIENTATION = 0x0112            # the EXIF tag
# Of each EXIF orientation: what turns the stored image into the upright one (a name of PIL.Image.Transpose), and the place
# in the stored image of a point (x, y) of the upright one.
UPRIGHT = {2: ("FLIP_LEFT_RIGHT", lambda x, y: (1 - x, y)), 3: ("ROTATE_180", lambda x, y: (1 - x, 1 - y)),
           4: ("FLIP_TOP_BOTTOM", lambda x, y: (x, 1 - y)), 5: ("TRANSPOSE", lambda x, y: (y, x)),
           6: ("ROTATE_270", lambda x, y: (y, 1 - x)), 7: ("TRANSVERSE", lambda x, y: (1 - y, 1 - x)),
           8: ("ROTATE_90", lambda x, y: (1 - y, x))}


class Picture(NamedTuple):
    """image: PIL image in RGB, upright. orientation: the EXIF orientation of the stored image, 1 to 8"""

    image: object
    orientation: int

    def stored(self, boxes):
        """Boxes of the upright picture as boxes of the stored image. boxes: [[x1, y1, x2, y2]], from 0 to 1"""
        if self.orientation not in UPRIGHT:
            return boxes
        place = UPRIGHT[self.orientation][1]
        corners = [(place(x1, y1), place(x2, y2)) for x1, y1, x2, y2 in boxes]
        return [[round(min(a[0], b[0]), 4), round(min(a[1], b[1]), 4), round(max(a[0], b[0]), 4),
                 round(max(a[1], b[1]), 4)] for a, b in corners]


def opened(data):
    """The Picture of an encoded image. Raises mc2.clip.images.Corrupt."""
    from PIL import Image
    image = images.decode(data)
    orientation = orientation_of(image)
    if orientation in UPRIGHT:
        image = image.transpose(Image.Transpose[UPRIGHT[orientation][0]])
    return Picture(image, orientation)


def orientation_of(image):
    """The EXIF orientation of a PIL image, 1 (upright) to 8; 1 where its EXIF cannot be read."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:           # Pillow raises what it will where EXIF is damaged
        return 1
    return found if found in UPRIGHT else 1
