"""Keep the matched pairs that are English, and those that are not.

    python by_language.py out/curation/matched -o out

writes OUT/english/ and OUT/non-english/, each with a file for every file of matched pairs.
"""
import argparse
import glob
import os

import orjson

from mc2 import files


def write(matched, output):
    for path in sorted(glob.glob(os.path.join(matched, "*.jsonl.zst"))):
        lines = [line.encode() + b"\n" for _, line in files.read_lines(path)]
        is_english = [orjson.loads(line)["lang"] == "en" for line in lines]
        for name, wanted in (("english", True), ("non-english", False)):
            kept = [line for line, english in zip(lines, is_english) if english == wanted]
            files.write_bytes(os.path.join(output, name, os.path.basename(path)), b"".join(kept))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("matched")
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    write(options.matched, options.output)
