"""What img2dataset is to download: one row for each image, with its URL in ASCII.

    plan/00000.parquet      id, url

The rows are those of mc2.dedup.urls, with the URL in place of a text: one for each id, in the order of a hash of the ids,
so that the images of one host are far apart, and no host is asked for many at a time.
"""
import os
import shlex

import numpy as np
import orjson

from mc2 import files, manifests
from mc2.dedup import urls
from mc2.download.addresses import encoded
from mc2.errors import BadData
from mc2.pairs.batch import Labels

SUFFIX = ".parquet"
BYTES_OF_IMAGE = 25_000         # of an image of 256 pixels: LAION-400M, 413 million images, is 10 TB
SHARE = 0.75                    # of the images that are there still, of a crawl that is a year or two old

MOST_NAMED = 8                  # inputs in the commands that are printed


class Plan(urls.Dedup):
    """Drops the pairs whose images cannot be downloaded, and makes rows of the others."""

    name = "images plan"
    reads = ("url",)
    shard_bytes = 256 << 20     # img2dataset reads a whole file at a time

    def __init__(self, lineage=None):
        super().__init__(urls.IMAGES, lineage)

    def __call__(self, batch):
        found = [encoded(url) for url in batch.column("url")]
        names = ["", *dict.fromkeys(reason for _, reason in found if reason)]
        number_of = {name or None: number for number, name in enumerate(names)}
        batch.add("url", [url or "" for url, _ in found])
        batch.drop(Labels(np.array([number_of[reason] for _, reason in found], np.int64), names))

    def lines_of(self, batch):
        rows = zip(batch.column("id"), batch.column("url"))
        return b"".join([orjson.dumps({"id": each, "text": url}) + b"\n" for each, url in rows])

    def encoder(self, output):
        return _rows

    def summary(self, tally):
        return f"{tally['out']:,} images to download"


def _rows(batch):
    import pyarrow as pa

    from mc2.pairs.arrow import Rows
    return Rows(pa.table({"id": pa.array(batch.column("id"), pa.string()), "url": pa.array(batch.texts, pa.string())}))


def plan(run, output_dir, memory, *, executor, force=False):
    """Write the plan for the pairs of a Run to a directory. Returns the number of images."""
    tally = urls.dedup_shards(run, output_dir, Plan(manifests.common_lineage(run.inputs)), memory, suffix=SUFFIX,
                              executor=executor, force=force)
    if tally["in"] and not tally["out"]:
        raise BadData(f"none of the {tally['in']:,} pairs has a URL that can be downloaded. Where the column has another "
                      "name: --columns url=NAME.")
    return tally["out"]


def commands(images, output_dir, inputs, tars, reading, *, image_size, min_image_size, max_aspect_ratio, user_agent, threads,
             timeout, images_per_tar):
    """The commands that come next, as a script of the shell. str

    reading: mc2.pairs.columns.Reading of the inputs
    """
    size = BYTES_OF_IMAGE * (image_size / 256) ** 2
    folder, tars_of, planned = _word(tars), _word(f"{tars}/*.tar"), _word(output_dir)
    # online curation would sample pairs a second time
    curation = "--curation offline" if manifests.sampled(inputs) else "-c counts -t thresholds.json"
    return f"""\
# {images:,} images. If {SHARE:.0%} of them are there still: about {_bytes(images * SHARE * size)} of tars.
# The names of so many hosts are too much for most resolvers. Run one on each machine (knot-resolver, unbound), and let
# /etc/resolv.conf name it alone: nameserver 127.0.0.1
img2dataset --url_list {planned} --input_format parquet --url_col url --save_additional_columns '["id"]' \\
    --output_format webdataset --output_folder {folder} --number_sample_per_shard {images_per_tar} \\
    --image_size {image_size} --resize_mode keep_ratio --resize_only_if_bigger True \\
    --min_image_size {min_image_size} --max_aspect_ratio {max_aspect_ratio:g} \\
    --processes_count "$(nproc)" --thread_count {threads} --timeout {timeout} --retries 1 \\
    --user_agent_token {_word(user_agent)}
mc2 images check {folder} --plan {planned} --retry retry.parquet
mc2 join {_named(inputs, output_dir)}{_spelled(reading)} --tars {tars_of} -O pairs
mc2 train b32-xlmv --train-data {tars_of} --pairs 'pairs/*.jsonl.zst' {curation} -o run
"""


def _bytes(number):
    """A number of bytes, for people."""
    for unit, each in (("TB", 1e12), ("GB", 1e9)):
        if number >= each:
            return f"{number / each:,.1f} {unit}"
    return f"{number / 1e6:,.1f} MB"


def _spelled(reading):
    """The options that say how the pairs are read, as words of a command."""
    given = ",".join(f"{key}={name}" for key, name in reading.given)
    options = {"columns": given, "header": ",".join(reading.header), "format": reading.format}
    return "".join(f" --{name} {_word(value)}" for name, value in options.items() if value)


def _word(text):
    """Text as a word of a command of bash or zsh. In $'...' where it has bytes that are not UTF-8 (in Python: lone
    surrogates), as the name of a file may, so that the command can be printed."""
    try:
        text.encode()
        return shlex.quote(text)
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogateescape")
        letters = (chr(byte) if 32 <= byte < 127 and byte not in b"\\'" else f"\\{byte:03o}" for byte in data)
        return f"$'{''.join(letters)}'"


def _named(inputs, output_dir):
    """The inputs as words of a command; many as a list, which is written beside the plan."""
    if len(inputs) <= MOST_NAMED:
        return " ".join(map(_word, inputs))
    path = os.path.join(output_dir, "pairs.txt")
    files.write_bytes(path, "".join(f"{each}\n" for each in inputs).encode("utf-8", "surrogateescape"), is_own=True)
    return _word(f"@{path}")
