"""Tables of the paper: which tasks and metrics a row has, and the published numbers that mc2 knows (mc2/data/scores).

Numbers that could not be looked up are not there, and are shown as unknown.
"""
import csv
from typing import NamedTuple

from mc2 import package_data
from mc2.errors import BadUsage


class Column(NamedTuple):
    """A column of a table. lang: of the record that holds it; None: the one over all languages."""

    head: str
    task: str
    metric: str
    lang: str | None = None


def _both_ways(head, task):
    return [Column(f"{head} T->I", task, "t2i_r1"), Column(f"{head} I->T", task, "i2t_r1")]


MULTILINGUAL = [Column("Babel-ImageNet", "babel-imagenet", "top1"), *_both_ways("XM3600", "xm3600"),
                Column("CVQA en", "cvqa", "accuracy", "en"), Column("CVQA local", "cvqa", "accuracy", "local")]
TABLES = {
    "table1": [Column("ImageNet", "imagenet", "top1", "en"), Column("SLIP 26", "slip26", "mean", "en"),
               Column("DataComp", "datacomp", "mean", "en"), *MULTILINGUAL,
               *_both_ways("Flickr30k-200", "flickr30k-200"), *_both_ways("XTD-10", "xtd-10"),
               *_both_ways("XTD-200", "xtd-200")],
    "table3": [Column("ImageNet", "imagenet", "top1", "en"), *MULTILINGUAL],
    "table4": [Column("Dollar Street top-1", "dollar-street", "top1", "en"),
               Column("Dollar Street top-5", "dollar-street", "top5", "en"), Column("GeoDE", "geode", "top1", "en"),
               Column("GLDv2", "gldv2", "top1", "en")],
}

LANGUAGES = {"babel-imagenet": 298, "xm3600": 36, "flickr30k-200": 200, "xtd-10": 7, "xtd-200": 200}
IMAGES = {"imagenet": 50_000}


def tasks_of(suite, known):
    """Names of the tasks of a table; `all`: every task that reads --data."""
    if suite == "all":
        return [name for name, task in known.items() if not task.own_command]
    names = dict.fromkeys(column.task for column in TABLES[suite])
    return [name for name in names if name in known]


def columns_of(suite):
    if suite != "all":
        return TABLES[suite]
    return list(dict.fromkeys(column for columns in TABLES.values() for column in columns))


def published():
    """[(table, model, Column-like key, percent, source)] of the numbers that mc2 knows."""
    text = package_data.text("scores", "published.csv")
    return [(row["table"], row["model"], (row["task"], row["metric"], row["lang"] or None), float(row["value"]),
             row["source"]) for row in csv.DictReader(text.splitlines())]


def rows_of(suite):
    """{model: {key of a column: percent}} of the published rows of a table."""
    rows = {}
    for table, model, key, value, _ in published():
        if suite in (table, "all"):
            rows.setdefault(model, {})[key] = value
    return rows


def refuse_unknown(suite, beside):
    """Raise BadUsage where no row of that name is known."""
    rows = rows_of(suite)
    if beside is not None and beside not in rows:
        raise BadUsage(f"--beside {beside}: no such published row. Known for {suite}: {', '.join(rows) or 'none'}.")


def compared(suite, records, beside):
    """[(head of a column, published percent or None, ours or None, `2 of 36 languages` where ours is over a part)].
    beside: the model of the published row."""
    theirs = rows_of(suite).get(beside, {})
    ours = {(record["task"], record["metric"], record["lang"]): record for record in records}
    rows = []
    for column in columns_of(suite):
        key = column.task, column.metric, column.lang
        record = ours.get(key)
        rows.append((column.head, theirs.get(key), record and 100 * record["value"], partial(record) if record else ""))
    return rows


def partial(record):
    """`2 of 36 languages` where a score is over a part of its benchmark; an empty text where it is over the whole."""
    protocol, found = record["protocol"], []
    for name, number, whole in (("images", record["n"], IMAGES.get(record["task"])),
                                ("languages", protocol.get("languages"), LANGUAGES.get(record["task"])),
                                ("datasets", protocol.get("datasets"), protocol.get("of_datasets"))):
        if number is not None and whole is not None and number != whole:
            found.append(f"{number:,} of {whole:,} {name}")
    if protocol.get("images_skipped"):
        found.append(f"{protocol['images_skipped']:,} images skipped")
    return ", ".join(found)


def difference(known, scored, part):
    """Ours minus theirs in percent; None unless there are both and ours is over the whole benchmark."""
    return None if known is None or scored is None or part else scored - known


def shown(rows, beside):
    """Yield rows of a text table of what `compared` gives; the first one holds the heads."""
    yield "column", beside or "published", "ours", "difference"
    for head, known, scored, part in rows:
        more = difference(known, scored, part)
        yield (head, "unknown" if known is None else f"{known:.2f}", "-" if scored is None else f"{scored:.2f}",
               part if more is None else f"{more:+.2f}")


def lines(suite, records, beside):
    """Yield a dict per column: published, value and difference as fractions, as in records, or None."""
    for column, (head, known, scored, part) in zip(columns_of(suite), compared(suite, records, beside)):
        numbers = {"published": known, "value": scored, "difference": difference(known, scored, part)}
        yield {"suite": suite, "column": head, "task": column.task, "lang": column.lang, "metric": column.metric,
               "beside": beside, "part": part or None,
               **{name: None if number is None else number / 100 for name, number in numbers.items()}}
