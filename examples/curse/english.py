"""Keep the English pairs of matched shards.

    python english.py ../demo/out/matched -O out/english
"""
import glob
import os
import sys

import orjson

from mc2 import files


def main(matched, flag, output):
    for path in sorted(glob.glob(os.path.join(matched, "*.jsonl.zst"))):
        lines = (line for _, line in files.read_lines(path))
        kept = [line.encode() + b"\n" for line in lines if orjson.loads(line)["lang"] == "en"]
        files.write_bytes(os.path.join(output, os.path.basename(path)), b"".join(kept))


if __name__ == "__main__":
    main(*sys.argv[1:])
