"""Print the threshold of English.

    python t_of.py out/curation/thresholds.json
"""
import sys

import orjson

if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        print(orjson.loads(file.read())["languages"]["en"]["t"])
