"""Pairs of any format become parts in Parquet, one for each shard: typed columns, and numbers of rows known in advance.

Where images go with the pairs, a part belongs to a tar, and each row has the place of its image in that tar.
"""
import os

import numpy as np

from mc2 import files, keys, tars
from mc2.errors import BadData
from mc2.execution.shard import ShardPaths
from mc2.execution.stage import Stage

SUFFIX = ".parquet"
# Columns of parts that the data set does not have: key of the sample, extension of the image, its place in the tar.
KEY, EXTENSION, OFFSET, SIZE = PRIVATE = ("mc2:key", "mc2:extension", "mc2:offset", "mc2:size")


class Parts(ShardPaths):
    """The paths of parts: each is called like its shard, with another suffix."""

    def __init__(self, directory, name):
        super().__init__(directory, os.path.join(directory, "quarantine"), directory, None, name)

    def output(self, shard):
        return super().output(shard) + SUFFIX


class Export(Stage):
    """Passes pairs on as they are."""

    name = "export"

    def __call__(self, batch):
        pass


class Locate(Stage):
    """Give every pair the place of its image in the tar that its shard belongs to."""

    name = "export"
    adds = PRIVATE

    def __init__(self, tar_of):
        """tar_of: {file of pairs: path of its tar}"""
        self.tar_of, self.tar = tar_of, None

    def begin(self, shard):
        self.tar = self.tar_of[shard]
        self.images, self.places = images_in(self.tar)

    def __call__(self, batch):
        ids = batch.column("id")
        of_image = keys.ids_of_images(self.images, dict.fromkeys(ids))
        image_of = {image_id: number for number, its in of_image.items() for image_id in its}
        lost = next((each for each in ids if each not in image_of), None)
        if lost is not None:
            raise BadData(f"{files.name_of(self.tar)}: has no image called {files.printable(lost)} any more. Run again "
                          "when it is complete.")
        places = [self.places[image_of[each]] for each in ids]
        for column, key in enumerate(PRIVATE):
            values = [place[column] for place in places]
            batch.add(key, values if key in (KEY, EXTENSION) else np.array(values, np.int64))


def images_in(path):
    """([names] of each image, (key, extension, offset, size) of each) in a local tar. Of a damaged tar those before the
    damage, as `mc2 join` takes them."""
    images, places = [], []
    try:
        for key, members in tars.samples(path):
            if extension := tars.image(members):
                images.append(keys.names(key, tars.record(members)))
                places.append((key, extension, *members.position(extension)))
    except tars.Damaged:
        pass                                    # join has said it
    return images, places
