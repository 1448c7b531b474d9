"""What the image of a sample is called, and which id of the pairs means it: one rule for join, train and eval.

The members of a sample have its key in common: their name up to the first dot after the last slash, as webdataset
divides names (`a.seg.png` is the key `a` with the extension `seg.png`). An image has these names, the best first:

    1. the `id` in the sample's json, else the `uid` in it
    2. the key, without `./` before it
    3. the last part of the key, without its folders

An id of the pairs means the image with that name, and where there is none, the image whose name it is without `./`
before and without the suffix of an image (`./cats/1.jpg` -> `cats/1`). A better name goes before; a lesser name (2 or 3
behind another one) that several different images have means none of them.
"""
import re
from typing import NamedTuple

from mc2 import files, tars

SUFFIX_OF_IMAGE = re.compile(rf"\.(?:{'|'.join(tars.IMAGES)})$", re.IGNORECASE)
SUFFIX_OF_SHARD = re.compile(r"\.(?:tgz|tzst|tbz2|txz|(?:tar|parquet|jsonl|csv|tsv)(?:\.(?:gz|zst|bz2|xz))?)$")
FEW = 1 / 20                    # under this share of what could meet, almost nothing does


def names(key, record):
    """(name, ...): what the image of a sample is called, the best first. record: the sample's json, as tars.record
    gives it."""
    plain = without_dot(key)
    return tuple(dict.fromkeys([*_own_id(record), plain, plain.rpartition("/")[2]]))


def _own_id(record):
    for name in ("id", "uid"):
        value = record.get(name)
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            return [str(value)]
    return []


def without_dot(path):
    """A path without `./` before it."""
    while path.startswith("./"):
        path = path[2:].lstrip("/")
    return path


def plain(image_id):
    """An id of the pairs without `./` before and without the suffix of an image."""
    return SUFFIX_OF_IMAGE.sub("", without_dot(image_id)) or image_id


class Owner(NamedTuple):
    """The image that an id means. image: its number; other: the number of another that is called so too, or None."""

    level: int
    image: int
    other: int = None


def owners(images, ids):
    """{id: Owner} of those ids that mean an image. images: [names] of each, as `names` gives them"""
    meant = {}
    for image_id in ids:
        for form, name in enumerate(dict.fromkeys([image_id, plain(image_id)])):
            meant.setdefault(name, []).append((form, image_id))
    found = {}
    for number, its_names in enumerate(images):
        for position, name in enumerate(its_names):
            for form, image_id in meant.get(name, ()):
                level, before = 2 * position + form, found.get(image_id)
                if before is None or level < before.level:
                    found[image_id] = Owner(level, number)
                elif level == before.level and before.other is None and number != before.image:
                    found[image_id] = before._replace(other=number)
    return found


def ids_of_images(images, ids):
    """{number of an image: [its ids, in order]}, without the ids that several different images are called by. Of
    images with one and the same first name the first has the ids."""
    found = {}
    for image_id, owner in owners(images, ids).items():
        if owner.other is None or images[owner.other][0] == images[owner.image][0]:
            found.setdefault(owner.image, []).append(image_id)
    return found


def almost_nothing(met, *sides):
    """Whether almost nothing meets: `met` of the smaller side. sides: how many there are of each"""
    return min(sides) > 0 and met < FEW * min(sides)


def shard(path):
    """What a tar and the file of its pairs have in common: the base name without its suffix."""
    return SUFFIX_OF_SHARD.sub("", files.base_name(path))
