"""A stand-in for img2dataset, so that the example runs where that is not installed. No program for a real crawl.

    python download.py --url_list out/plan --output_folder out/tars ...

It takes the options that `mc2 images plan` prints and writes what img2dataset writes: 00000.tar with {key}.jpg and
{key}.json, 00000.parquet with a row for each URL, 00000_stats.json at the end of a shard. Shards that have their stats
are passed over. The same plan and web give the same bytes.
"""
import argparse
import concurrent.futures
import glob
import hashlib
import http.client
import io
import json
import math
import os
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

OPTOUTS = {"noai", "noimageai", "noindex", "noimageindex"}
SCHEMA = pa.schema([("id", pa.string()), ("url", pa.string()), ("key", pa.string()), ("status", pa.string()),
                    ("error_message", pa.string()), ("width", pa.int32()), ("height", pa.int32()),
                    ("original_width", pa.int32()), ("original_height", pa.int32()), ("sha256", pa.string())])


class Refused(Exception):
    """An image that is not wanted, or none at all. args: the message, in the words of img2dataset"""


def main():
    options = parsed()
    print("download.py: img2dataset is not installed, so this STAND-IN of the example downloads: enough for a few "
          "thousand images of this machine, no more. For a crawl: pip install img2dataset, in an environment of its own",
          file=sys.stderr)
    start, images, rows = time.time(), 0, 0
    os.makedirs(options.output_folder, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(options.thread_count) as threads:
        for number, shard in enumerate(shards(options.url_list, options.number_sample_per_shard)):
            if os.path.exists(path_of(options, number, "_stats.json")):
                print(f"download.py: {number:05d}: is finished")
                continue
            stats = download_shard(number, shard, threads, options)
            images, rows = images + stats["successes"], rows + stats["count"]
            print(f"download.py: {number:05d}: {stats['successes']:,} images of {stats['count']:,} URLs", flush=True)
    print(f"download.py: {images:,} images of {rows:,} URLs ({time.time() - start:.1f} s)")


def parsed():
    """The options that `mc2 images plan` prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("url_list", "output_folder"):
        parser.add_argument(f"--{name}", required=True)
    for name, default in (("number_sample_per_shard", 10000), ("image_size", 256), ("min_image_size", 0),
                          ("thread_count", 64), ("retries", 0), ("timeout", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--max_aspect_ratio", type=float, default=math.inf)
    parser.add_argument("--user_agent_token", default="mc2")
    for name, only in (("input_format", "parquet"), ("url_col", "url"), ("save_additional_columns", '["id"]'),
                       ("output_format", "webdataset"), ("resize_mode", "keep_ratio"),
                       ("resize_only_if_bigger", "True"), ("processes_count", None)):
        parser.add_argument(f"--{name}", choices=[only] if only else None)
    return parser.parse_args()


def shards(plan, size):
    """Yield the rows of each shard, dicts of id and url; no shard has rows of two files, as with img2dataset."""
    for path in sorted(glob.glob(f"{glob.escape(plan)}/*.parquet")):
        rows = pq.read_table(path, columns=["id", "url"]).to_pylist()
        for start in range(0, len(rows), size):
            yield rows[start:start + size]


def path_of(options, number, suffix):
    return os.path.join(options.output_folder, f"{number:05d}{suffix}")


def download_shard(number, shard, threads, options):
    """Write a shard; its stats come last. Returns the stats."""
    start, digits = time.time(), math.ceil(math.log10(options.number_sample_per_shard))
    rows = []
    with tarfile.open(path_of(options, number, ".tar"), "w", format=tarfile.USTAR_FORMAT) as tar:
        fetched = threads.map(lambda row: fetch(row["url"], options), shard)
        for index, (row, (image, found)) in enumerate(zip(shard, fetched)):
            row = {**dict.fromkeys(SCHEMA.names), **row, "key": f"{number:05d}{index:0{digits}d}", **found}
            rows.append(row)
            if image:
                add(tar, f"{row['key']}.jpg", image)
                add(tar, f"{row['key']}.json", json.dumps(row, indent=4).encode())
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path_of(options, number, ".parquet"))
    counts = Counter(row["status"] for row in rows)
    stats = {"count": len(rows), "successes": counts["success"], "failed_to_download": counts["failed_to_download"],
             "failed_to_resize": counts["failed_to_resize"], "duration": time.time() - start,
             "status_dict": Counter(row["error_message"] or "success" for row in rows)}
    with open(path_of(options, number, ".tmp"), "w") as file:
        json.dump(stats, file, indent=4)
    os.replace(path_of(options, number, ".tmp"), path_of(options, number, "_stats.json"))
    return stats


def add(tar, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def fetch(url, options):
    """(the image as JPEG or None, what its row says of it)"""
    try:
        data = download(url, options)
    except (OSError, http.client.HTTPException, ValueError, Refused) as error:
        return None, {"status": "failed_to_download", "error_message": str(error)}
    try:
        image, found = resized(data, options)
    except Refused as error:
        return None, {"status": "failed_to_resize", "error_message": str(error)}
    return image, {"status": "success", "sha256": hashlib.sha256(data).hexdigest(), **found}


def download(url, options):
    """What is at a URL. bytes. Raises Refused where the server asks that it is not used."""
    agent = f"download.py (compatible; {options.user_agent_token})"
    request = urllib.request.Request(url, headers={"User-Agent": agent})
    for attempt in range(options.retries + 1):
        try:
            with urllib.request.urlopen(request, timeout=options.timeout) as answer:
                directives = ",".join(answer.headers.get_all("X-Robots-Tag", [])).lower().split(",")
                if OPTOUTS & {each.strip() for each in directives}:
                    raise Refused("Use of image disallowed by X-Robots-Tag directive")
                return answer.read()
        except (OSError, http.client.HTTPException):
            if attempt == options.retries:
                raise


def resized(data, options):
    """(JPEG, its sizes): the shorter side is --image_size where it is longer. Raises Refused."""
    try:
        image = Image.open(io.BytesIO(data))
        image = image.convert("RGB")
    except (OSError, SyntaxError, ValueError):
        raise Refused("Image decoding error") from None
    width, height = image.size
    if min(width, height) < options.min_image_size:
        raise Refused("image too small")
    if max(width, height) > options.max_aspect_ratio * min(width, height):
        raise Refused("aspect ratio too large")
    scale = min(1, options.image_size / min(width, height))
    image = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BOX)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95)
    return stream.getvalue(), {"width": image.width, "height": image.height, "original_width": width,
                               "original_height": height}


if __name__ == "__main__":
    main()
