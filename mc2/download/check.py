"""How a download by img2dataset went, from what it leaves beside the tars.

    tars/00000.tar            the images
    tars/00000.parquet        a row for each URL: id, url, key, status, error_message, width, original_width, sha256 ...
    tars/00000_stats.json     written last: a shard without it was not finished
"""
import contextlib
import os
import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import orjson

from mc2 import files, tars
from mc2.dedup.buckets import hashes_of_ids
from mc2.errors import BadData, BadUsage
from mc2.execution.processes import map_in_order
from mc2.invisible import escaped
from mc2.pairs.batch import Strings
from mc2.tables import align

SHARD = re.compile(r"(\d+)(\.tar|\.parquet|_stats\.json)")
COLUMNS = ("url", "status", "error_message", "key", "id", "sha256", "width", "height", "original_width", "original_height")
NEEDED = ("url", "status")
SUCCESS = "success"

# what a message of img2dataset is about: the first pattern that is found in it. True: it may go better another time
CLASSES = [
    ("opt-out", r"X-Robots-Tag", False),
    ("too many requests (429)", r"HTTP Error 429", True),
    ("request timeout (408)", r"HTTP Error 408", True),
    ("other 4xx", r"HTTP Error 4\d\d", False),
    ("5xx", r"HTTP Error 5\d\d", True),
    ("redirects without end", r"HTTP Error 3\d\d", False),
    ("DNS, for now", r"Temporary failure in name resolution|Errno -3\]", True),
    ("DNS", r"Name or service not known|No address associated|nodename nor servname|getaddrinfo|Errno -[25]\]", False),
    ("timeout", r"timed out|Timeout", True),
    ("TLS", r"SSL|CERTIFICATE|certificate", False),
    ("connection", r"Connection|closed connection|IncompleteRead|unreachable|No route|Errno 1\d\d\]|BadStatusLine", True),
    ("URL", r"unknown url type|control characters|can't encode|no host given|nonnumeric port|label|Invalid", False),
    ("decode", r"Image decoding error|cannot identify|decod", False),
    ("too small", r"image too small", False),
    ("too slim", r"aspect ratio", False),
    ("too large", r"image area", False),
]
NOT_CLASSED = "other"
TRANSIENT = {name for name, _, again in CLASSES if again}
LOOKED_AT, LOOKED_AT_IN = 16, 64        # images of another shape than the original, in a tar; tars
WHITE = 250                             # of 255: white after JPEG


def class_of(message):
    """The class of an error message of img2dataset."""
    return next((name for name, pattern, _ in CLASSES if re.search(pattern, message or "")), NOT_CLASSED)


@dataclass
class Shard:
    """What the rows of a shard say.

    failures: {class: how often}. messages: {class: one of its messages}. again: (ids, urls) of those that may go better
    another time. images, others: uint64, hashes of the ids of those with an image, and of all. contents: uint64, the first
    8 bytes of the SHA-256s. reshaped: keys of images whose shape is not that of the original.
    """

    rows: int = 0
    failures: Counter = field(default_factory=Counter)
    messages: dict = field(default_factory=dict)
    again: tuple = ((), ())
    images: object = None
    others: object = None
    contents: object = None
    reshaped: list = field(default_factory=list)
    has_ids: bool = True


def read_shard(path):
    """The Shard of a .parquet of img2dataset. Raises BadData where it is another file."""
    from mc2.pairs import parquet
    with parquet.open_read(path) as file:
        names = file.schema_arrow.names
        if missing := [name for name in NEEDED if name not in names]:
            raise BadData(f"{files.name_of(path)}: has no column {missing[0]!r}, so it is not of img2dataset.")
        table = file.read([name for name in COLUMNS if name in names], use_threads=False)
    rows = {name: table.column(name).to_pylist() if name in table.column_names else [None] * len(table)
            for name in COLUMNS}
    found = Shard(len(table), has_ids="id" in names)
    ids = [str(own if own is not None else key) for own, key in zip(rows["id"], rows["key"])]
    is_there = np.array([status == SUCCESS for status in rows["status"]], bool)
    again = [], []
    for row in np.flatnonzero(~is_there).tolist():
        message = rows["error_message"][row] or ""
        kind = class_of(message)
        found.failures[kind] += 1
        found.messages.setdefault(kind, message)
        if kind in TRANSIENT:
            again[0].append(ids[row])
            again[1].append(rows["url"][row])
    found.again = again
    hashes = hashes_of_ids(Strings.of(ids))
    found.images, found.others = hashes[is_there], hashes
    found.contents = np.array([int(each[:16], 16) for each, there in zip(rows["sha256"], is_there) if there and each],
                              np.uint64)
    sizes = zip(rows["key"], rows["width"], rows["height"], rows["original_width"], rows["original_height"])
    found.reshaped = [key for (key, *size), there in zip(sizes, is_there) if there and None not in size
                      and _is_reshaped(*size)][:LOOKED_AT]
    return found


def _is_reshaped(width, height, original_width, original_height):
    """Whether an image has another ratio of its sides than its original, by more than a pixel."""
    return abs(width * original_height - height * original_width) > 1.5 * max(original_width, original_height)


def with_white_borders(path, keys):
    """(how many of these images of a tar have white borders, how many were looked at); (0, 0) without Pillow."""
    try:
        from mc2.clip import images
    except ImportError:
        return 0, 0
    looked_at = white = 0
    with contextlib.suppress(tars.Damaged, tars.Compressed):
        for key, members in tars.samples(path):
            if key in keys and (extension := tars.image(members)):
                try:
                    pixels = np.asarray(images.decode(members[extension]))
                except images.Corrupt:
                    continue
                looked_at += 1
                white += any((edge >= WHITE).all() for edge in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]))
    return white, looked_at


class Check:
    """All shards of a folder. jobs: processes. plan: paths of Parquet with the ids that were to be downloaded"""

    def __init__(self, folder, plan=(), jobs=1):
        self.folder, self.plan = folder, plan
        parts = {}
        for name in files.names_in(folder):
            if match := SHARD.fullmatch(name):
                parts.setdefault(match[1], set()).add(match[2])
        self.unfinished = sorted(number for number, its in parts.items() if "_stats.json" not in its)
        finished = sorted(parts.keys() - set(self.unfinished))
        self.without_rows = [number for number in finished if ".parquet" not in parts[number]]
        with_rows = [number for number in finished if ".parquet" in parts[number]]
        if not parts:
            raise BadUsage(f"{folder}: holds nothing of img2dataset: no 00000.tar, 00000.parquet or 00000_stats.json. Name "
                           "its --output_folder.")
        self.shards, self.failures, self.messages, self.rows, self.damaged = len(parts), Counter(), {}, 0, []
        self.again_ids, self.again_urls = [], []
        images, others, contents = [], [], []
        self.has_ids, self.white, self.looked_at = True, 0, 0
        paths = [os.path.join(folder, f"{number}.parquet") for number in with_rows]
        for number, found in zip(with_rows, map_in_order(_read_or_damaged, paths, jobs)):
            if isinstance(found, str):
                self.damaged.append(found)
                continue
            if wrong := _unlike_stats(os.path.join(folder, f"{number}_stats.json"), found):
                self.damaged.append(wrong)
            self._add(found)
            for each, its in ((images, found.images), (others, found.others), (contents, found.contents)):
                each.append(its)
            if ".tar" in parts[number] and found.reshaped and len(images) <= LOOKED_AT_IN:
                white, looked_at = with_white_borders(os.path.join(folder, f"{number}.tar"), set(found.reshaped))
                self.white, self.looked_at = self.white + white, self.looked_at + looked_at
        self._images, self._others = _sorted(images), _sorted(others)
        self.images, self.images_twice = sum(map(len, images)), sum(map(len, images)) - len(self._images)
        self.contents_twice = sum(map(len, contents)) - len(_sorted(contents))
        self.planned = self.without_image = self.not_tried = None
        if plan:
            self._compare()

    def _add(self, found):
        self.rows += found.rows
        self.failures.update(found.failures)
        self.messages = {**found.messages, **self.messages}
        self.again_ids += found.again[0]
        self.again_urls += found.again[1]
        self.has_ids &= found.has_ids

    def _compare(self):
        from mc2.pairs import parquet
        self.planned = self.without_image = self.not_tried = 0
        for path in self.plan:
            with parquet.open_read(path) as file:
                if "id" not in file.schema_arrow.names:
                    raise BadData(f"{files.name_of(path)}: has no column 'id', so it is no plan.")
                for batch in file.iter_batches(columns=["id"]):
                    hashes = hashes_of_ids(Strings.of([str(each) for each in batch.column(0).to_pylist()]))
                    self.planned += len(hashes)
                    self.without_image += int(np.count_nonzero(~_are_in(hashes, self._images)))
                    self.not_tried += int(np.count_nonzero(~_are_in(hashes, self._others)))

    @property
    def is_whole(self):
        """Whether all that was begun was finished and can be read."""
        return not (self.unfinished or self.without_rows or self.damaged)

    def write_retry(self, path):
        """Write the rows that may go better another time, as a plan."""
        import pyarrow as pa
        from mc2.pairs import parquet
        from mc2.pairs.arrow import Rows
        with parquet.open_write(path) as writer:
            writer.write(Rows(pa.table({"id": pa.array(self.again_ids, pa.string()),
                                        "url": pa.array(self.again_urls, pa.string())})))

    def summary(self):
        """All of it, as values for JSON."""
        return {"shards": self.shards, "shards_without_stats": self.unfinished, "shards_without_rows": self.without_rows,
                "damaged": self.damaged, "rows": self.rows, "images": self.images,
                "failures": dict(self.failures.most_common()), "messages": self.messages,
                "transient": len(self.again_ids), "images_of_an_id_twice": self.images_twice,
                "images_of_a_content_twice": self.contents_twice, "with_white_borders": self.white,
                "looked_at_for_borders": self.looked_at, "planned": self.planned,
                "planned_without_image": self.without_image, "planned_not_tried": self.not_tried}

    def lines(self):
        """The same for people. Yields str"""
        yield f"{self.rows:,} URLs in {self.shards:,} shards, {self.images:,} images ({_share(self.images, self.rows)})"
        rows = [(f"  {kind}", f"{times:,}", _share(times, self.rows), self.messages[kind].partition("\n")[0])
                for kind, times in self.failures.most_common()]
        if rows:
            yield from align(rows, right=(1, 2))
        yield from self._remarks()

    def _remarks(self):
        if self.planned is not None:
            yield (f"{self.without_image:,} of the {self.planned:,} planned ids have no image; {self.not_tried:,} were not "
                   "tried yet")
        for what, numbers, advice in (
                ("without stats, so not finished", self.unfinished, "the same img2dataset command does them again"),
                ("without a .parquet", self.without_rows, "delete their _stats.json, and run img2dataset again")):
            if numbers:
                yield f"{len(numbers):,} shards {what} ({', '.join(numbers[:3])}): {advice}"
        yield from map(escaped, self.damaged)
        if self.images_twice:
            yield (f"{self.images_twice:,} images of an id that has one already: img2dataset had a row per text; see images "
                   "plan")
        if self.contents_twice:
            yield f"{self.contents_twice:,} images with the same bytes (SHA-256) as another"
        if self.white > self.looked_at / 2:
            yield (f"white borders: {self.white:,} of {self.looked_at:,} images that were looked at have some. That is "
                   "--resize_mode border, the default of img2dataset; take keep_ratio, and download again")
        if not self.has_ids:
            yield ("no column id: the pairs must have img2dataset's keys as ids. Next time: "
                   "--save_additional_columns '[\"id\"]'")
        if self.again_ids:
            yield (f"{len(self.again_ids):,} may go better another time (timeouts, 5xx, 429, connections): --retry FILE writes "
                   "them")


def _read_or_damaged(path):
    try:
        return read_shard(path)
    except BadData as error:
        return str(error)


def _unlike_stats(path, found):
    """What is wrong where the stats of a shard are damaged, or are not those of its rows; None where they are."""
    try:
        count = orjson.loads(files.read_bytes(path))["count"]
    except (ValueError, KeyError, TypeError):
        return f"{path}: is damaged. Delete it, and run img2dataset again."
    return None if count == found.rows else \
        f"{path}: counts {count} rows, and the .parquet has {found.rows:,}. Delete it, and run img2dataset again."


def _sorted(parts):
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.uint64)


def _are_in(hashes, known):
    """bool (n,): which hashes are among the known ones, which are sorted."""
    if not len(known):
        return np.zeros(len(hashes), bool)
    return known[np.minimum(np.searchsorted(known, hashes), len(known) - 1)] == hashes


def _share(number, of):
    return f"{number / of:.1%}" if of else "-"
