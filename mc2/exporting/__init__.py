"""`mc2 export`: a curated set as a data set for Hugging Face's `datasets` and for every reader of Croissant.

    source.py       which files of pairs a curated set is, and how it was made
    parts.py        pairs of any format -> Parquet, shard by shard, beside a tar with the places of the images in it
    division.py     which rows go into which file, by size
    columns.py      one schema for all files
    writing.py      a file of the data set: Parquet, a tar, Arrow
    job.py          all of it, resumable
    card.py         README.md        croissant.py    croissant.json
"""
