"""Write the demo's test pictures in the files of benchmarks of the paper, so that `mc2 eval` scores them as it scores those.

    python shapes.py ../demo/out -o out/small/benchmarks

Takes two seconds and writes 8 MB:

    shapes/         a folder for each of the 64 classes, and their English names: stands for ImageNet
    babel-imagenet/ the same pictures as 64 of ImageNet's 1,000 classes, named in 13 languages
    xm3600/         the pictures with captions in 14 languages
    geode/          the pictures with their English names; their country is the colour of the background
    gldv2/          the pictures as landmarks
    pairs.jsonl     pictures and their English captions, for alignment and uniformity; images/

Of each class, eight pictures; half of the classes occur in no picture of the pool.
"""
import argparse
import csv
import os

import orjson

from mc2 import tars

OF_IMAGENET = 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("demo", metavar="DEMO", help="output of examples/demo")
    parser.add_argument("-o", "--output", required=True, metavar="DIR")
    options = parser.parse_args()
    write(Demo(options.demo), options.output)


class Demo:
    """The test pictures of the demo.

    pictures: {id: PNG}; shown: {id: its line of concepts.jsonl}; classes: (shape, colour), in order; names: {lang: [name
    of each class]}; captions: {lang: {id: text}}.
    """

    def __init__(self, folder):
        test = os.path.join(folder, "test")
        self.pictures = {key: members["png"] for key, members in tars.samples(os.path.join(test, "test-0000.tar"))}
        self.shown = {line["id"]: line for line in _lines(os.path.join(folder, "concepts.jsonl"))
                      if line["id"] in self.pictures}
        self.names, self.classes = {}, {}
        for line in _lines(os.path.join(folder, "classnames.jsonl")):
            self.classes.setdefault((line["shape"], line["colour"]), len(self.classes))
            self.names.setdefault(line["lang"], []).append(line["text"])
        self.captions = {}
        for line in _lines(os.path.join(test, "captions.jsonl")):
            self.captions.setdefault(line["lang"], {})[line["id"]] = line["text"]

    def class_of(self, key):
        return self.classes[self.shown[key]["shape"], self.shown[key]["colour"]]


def write(demo, out):
    keys = sorted(demo.pictures)
    folder = [f"class-{number:02d}" for number in range(len(demo.classes))]

    def picture(*path, key):
        _write(demo.pictures[key], out, *path, f"{key}.png")

    for key in keys:
        picture("shapes/images", folder[demo.class_of(key)], key=key)
        picture("babel-imagenet/val", f"n{demo.class_of(key):08d}", key=key)
        for benchmark in ("geode/geode/images", "images"):
            picture(benchmark, key=key)
        for benchmark in ("gldv2/test", "xm3600/images"):       # whose images are called .jpg; these are PNG
            _write(demo.pictures[key], out, benchmark, f"{key}.jpg")
    _write("".join(f"{name}\t{text}\n" for name, text in zip(folder, demo.names["en"])), out, "shapes/names.tsv")
    for number in range(len(demo.classes), OF_IMAGENET):
        os.makedirs(os.path.join(out, f"babel-imagenet/val/n{number:08d}"), exist_ok=True)
    labels = {lang.upper(): [list(range(len(names))), names] for lang, names in demo.names.items() if lang != "en"}
    _write(orjson.dumps(labels), out, "babel-imagenet/babel_imagenet-298.json")
    _write_lines(({"image/key": key, "image/locale": demo.shown[key]["background"],
                   **{lang: {"caption": [its[key]]} for lang, its in demo.captions.items()}} for key in keys),
                 out, "xm3600/captions.jsonl")
    _write_table([{"object": demo.names["en"][demo.class_of(key)], "region": demo.shown[key]["place"],
                   "ip_country": demo.shown[key]["background"], "file_path": f"{key}.png"} for key in keys],
                 out, "geode/geode/index.csv")
    _write_table([{"id": key, "images": f"index-{demo.class_of(key)}", "Usage": "Public"} for key in keys],
                 out, "gldv2/retrieval_solution_v2.1.csv")
    _write_table([{"id": f"index-{number}", "landmark_id": number} for number in range(len(folder))],
                 out, "gldv2/index_image_to_landmark.csv")
    _write_table([{"landmark_id": number, "category": "http://commons.wikimedia.org/wiki/Category:" + name.replace(" ", "_")}
                  for number, name in enumerate(demo.names["en"])], out, "gldv2/index_label_to_category.csv")
    _write_lines(({"id": key, "text": demo.captions["en"][key]} for key in keys), out, "pairs.jsonl")


def _lines(path):
    with open(path, "rb") as lines:
        return [orjson.loads(line) for line in lines]


def _write(content, *path):
    path = os.path.join(*path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def _write_lines(records, *path):
    _write(b"".join(orjson.dumps(record) + b"\n" for record in records), *path)


def _write_table(rows, *path):
    path = os.path.join(*path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
