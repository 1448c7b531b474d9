"""Hours and disk of a real crawl, computed from rates that were measured on one core.

    python costs.py                         # the table of README.md: one snapshot of Common Crawl, 16 cores
    python costs.py --cores 64 --images 100M
    python costs.py --measure               # measure the rates again, two minutes on one core, and print them

Nothing of this was run at such a size. The rates are CPU seconds of the commands with -j 1, without their start; that n
cores are n times as fast is assumed, as is a disk that keeps up. What a snapshot holds is assumed too: see SNAPSHOT.
"""
import argparse
import hashlib
import io
import os
import resource
import subprocess
import sys
import tarfile
import tempfile

import numpy as np
import orjson

from mc2.options import Number
from mc2.tables import align

HERE = os.path.dirname(os.path.abspath(__file__))

# What is measured, in CPU microseconds of one core (Intel Xeon, 2 cores, shared with other work)
RATES = {
    "extract": (93_561, "MB of WAT", "--measure"),
    "dedup urls": (5.9, "pair", "benchmarks/dedup.py"),
    "lid, match, count, sample": (6.8, "pair", "benchmarks/pipeline.py, five commands"),
    "images plan": (65, "image", "--measure"),
    "images check": (17, "image", "--measure"),
    "join": (93, "image", "--measure"),
    "filter score": (1e6 / 28, "image", "benchmarks/filter.py: open_nsfw and CenterFace at 256 x 256"),
    "filter apply": (254, "image", "--measure: new tars, nothing blurred"),
    "dedup images": (1459, "image", "--measure: --phash; the search itself is under 1 % (benchmarks/dedup.py)"),
}

# What is assumed of one snapshot
SNAPSHOT = {
    "files": 100_000,           # of WAT. December 2024: 2.64 billion pages in about as many files (commoncrawl.org)
    "MB": 200,                  # of a file, compressed; 180 to 230 in recent years
    "pairs": 100_000,           # of a file. cc2dataset's page speaks of 60,000 that are left after all repeats are gone
    "bytes of a pair": 120,     # compressed as .jsonl.zst: two URLs and a text
    "unique": 0.7,              # of the pairs
    "bytes of an image": 25_000,        # at 256 pixels, as of LAION-400M
    "there": 0.75,              # of the images that are asked for
    "downloads": 1400,          # a second and machine: img2dataset's page says 100 million in 20 hours
    "bytes on the wire": 200_000,       # of an image
}


def rows(cores, images):
    """Yield (step, hours or None, GB that it leaves on disk or None, remark)."""
    its = SNAPSHOT
    megabytes, pairs = its["files"] * its["MB"], its["files"] * its["pairs"]
    unique, got = pairs * its["unique"], images * its["there"]

    def hours(step, count):
        return RATES[step][0] / 1e6 * count / cores / 3600

    def of_pairs(count):
        return count * its["bytes of a pair"] / 1e9

    of_images = got * its["bytes of an image"] / 1e9
    asked = images / its["downloads"] / 3600
    yield "extract", hours("extract", megabytes), of_pairs(pairs), \
        f"{megabytes / 1e6:,.0f} TB of WAT: a line of 1 Gbit/s alone takes {megabytes * 8 / 1e3 / 3600:,.0f} hours"
    yield "dedup urls", hours("dedup urls", pairs), of_pairs(unique), f"and {of_pairs(pairs):,.0f} GB while it runs"
    yield "lid, match, count, sample", hours("lid, match, count, sample", unique), 2.5 * of_pairs(unique), \
        f"lid/ and matched/; what t keeps is set to {images / 1e6:,.0f} million pairs"
    yield "images plan", hours("images plan", images), images * 100 / 1e9, ""
    yield "download", asked, of_images, \
        f"assumed: {its['downloads']:,} images/s, {its['downloads'] * its['bytes on the wire'] * 8 / 1e9:.1f} Gbit/s"
    yield "images check", hours("images check", images), None, ""
    yield "join", hours("join", images), of_pairs(got), ""
    yield "filter score", hours("filter score", got), of_pairs(got), "on CPUs; word lists alone: minutes"
    yield "filter apply", hours("filter apply", got), of_images, "tars/ may go then"
    yield "dedup images", hours("dedup images", got), of_pairs(got), "--phash; a model takes its own time"


def table(cores, images):
    found = list(rows(cores, images))
    yield ["step", f"hours, {cores} cores", "GB left", ""]
    for step, hours, gigabytes, remark in found:
        yield [step, amount(hours), "" if gigabytes is None else f"{gigabytes:,.0f}", remark]
    yield ["all", amount(sum(hours for _, hours, _, _ in found)), f"{sum(each[2] or 0 for each in found):,.0f}", ""]


def amount(hours):
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}" if hours >= 0.1 else f"{hours:.2f}"


def training(preset):
    """A line on what training takes, as `mc2 plan` says it."""
    done = subprocess.run(["mc2", "plan", preset, "--json", "-q"], stdout=subprocess.PIPE, check=True)
    plan = orjson.loads(done.stdout)
    return (f"training, {preset}: {plan['cost']['gpu_hours']:,.0f} hours of an H100 for "
            f"{plan['schedule']['seen_pairs'] / 1e9:.1f} billion seen pairs, computed by `mc2 plan`, not measured")


# ---------------------------------------------------------------- measured

def measured():
    """Yield (step, CPU microseconds of one unit): measured on a few and on many, so that the start is left out."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.path.insert(0, os.path.join(HERE, "../../benchmarks"))
        import extract
        sizes = {}
        for name, pages in (("few", 50), ("many", 1500)):
            os.mkdir(name)
            sizes[name] = os.path.getsize(extract.Web(pages, name).wat) / 1e6
        yield "extract", per_unit("mc2 extract 0.warc.wat.gz -o pairs.jsonl.zst", sizes)
        counts = {"few": 20, "many": 3000}
        for name, count in counts.items():
            write_download(name, count)
        write_evaluation("eval")
        for step, command in (
                ("images plan", "mc2 images plan pairs.jsonl -O plan"),
                ("images check", "mc2 images check tars"),
                ("join", "mc2 join pairs.jsonl --tars tars/00000.tar -O joined"),
                ("filter apply", "mc2 filter apply joined/*.zst --tars tars --block-hosts hosts.txt -O safe"),
                ("dedup images", "mc2 dedup images tars/00000.tar --against ../eval --phash -k 4 -O clean")):
            yield step, per_unit(command, counts)


def per_unit(command, sizes):
    """CPU microseconds of each further unit. sizes: {folder: how many units are in it}"""
    seconds = {}
    for folder in sizes:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(["bash", "-c", command], cwd=folder, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds[folder] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (seconds["many"] - seconds["few"]) / (sizes["many"] - sizes["few"]) * 1e6


def pictures(random, count):
    """JPEGs of 340 x 256 with some detail. list of bytes"""
    from PIL import Image
    found = []
    for _ in range(count):
        soft = Image.fromarray(random.normal(128, 50, (30, 40, 3)).clip(0, 255).astype("uint8")).resize((340, 256))
        pixels = np.asarray(soft).astype(int) + random.integers(-12, 13, (256, 340, 3))
        stream = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(stream, "JPEG", quality=90)
        found.append(stream.getvalue())
    return found


def write_download(folder, count):
    """A shard as img2dataset writes it, and the pairs of its images."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    images, table = pictures(np.random.default_rng(0), 40), []
    os.makedirs(f"{folder}/tars", exist_ok=True)
    with tarfile.open(f"{folder}/tars/00000.tar", "w") as tar:
        for number in range(count):
            image_id = hashlib.sha224(str(number).encode()).hexdigest()[:24]
            row = {"id": image_id, "url": f"http://a.example/{image_id}.jpg", "key": f"{number:09d}",
                   "status": "success", "error_message": None, "width": 340, "height": 256, "original_width": 680, "original_height": 512,
                   "sha256": hashlib.sha256(image_id.encode()).hexdigest()}
            table.append(row)
            for suffix, data in (("jpg", images[number % len(images)]), ("json", orjson.dumps(row))):
                member = tarfile.TarInfo(f"{number:09d}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    pq.write_table(pa.Table.from_pylist(table), f"{folder}/tars/00000.parquet")
    with open(f"{folder}/tars/00000_stats.json", "wb") as file:
        file.write(orjson.dumps({"count": count}))
    with open(f"{folder}/pairs.jsonl", "wb") as file:
        for row in table:
            file.write(orjson.dumps({"id": row["id"], "url": row["url"], "text": f"a picture of {row['id']}"}) + b"\n")
    with open(f"{folder}/hosts.txt", "w") as file:
        file.write("b.example\n")


def write_evaluation(folder):
    """Some evaluation images, which no image is near to."""
    os.makedirs(folder)
    for number, data in enumerate(pictures(np.random.default_rng(1), 250)):
        with open(f"{folder}/{number}.jpg", "wb") as file:
            file.write(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--images", default="400M", help="images that sampling leaves to be downloaded [%(default)s]")
    parser.add_argument("--preset", default="b32-xlmv", help="of mc2 train [%(default)s]")
    parser.add_argument("--measure", action="store_true", help="measure the rates again")
    options = parser.parse_args()
    if options.measure:
        for step, microseconds in measured():
            print(f"{step}: {microseconds:,.0f} us of one core for each {RATES[step][1]}", flush=True)
        return
    images = Number().convert(options.images, None, None)
    print(*align(list(table(options.cores, images)), right=(1, 2)), sep="\n")
    print(f"\n{training(options.preset)}")


if __name__ == "__main__":
    main()
