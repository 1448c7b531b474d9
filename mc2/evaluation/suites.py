"""Tables 1 to 4 of Meta CLIP 2 (arXiv 2507.22062): their columns, and all numbers in them (mc2/data/scores).

The paper does not say how some numbers were made, and says it otherwise than they were made for others. So two
protocols are told apart: `published`, which reproduces the numbers, and `text`, what the paper says. What is known of
the difference, from scores by language that others published for XLM-CLIP and mSigLIP:

    Babel-ImageNet      published: the 90 languages with translated prompts, English among them; text: bare names
    XTD-10              published: recall at 5, 11 languages; text: recall at 1, 7 languages
    Flickr30k-200,      published: recall at 5, which is assumed, as of XTD-10; text: recall at 1
    XTD-200
    Dollar Street       published: in top-5 each class that is found counts; text: an image counts once
"""
import csv
from typing import NamedTuple

from mc2 import package_data
from mc2.errors import BadUsage

FIFTH = {"published": 5, "text": 1}             # of which rank recall is compared, by protocol


class Column(NamedTuple):
    """A column of a table.

    benchmark, part: its head, e.g. `CVQA` and `local`. task, metric, lang: of the number in mc2/data/scores; lang is
    None where it is over all languages. k: {protocol: k} of recall at k where the paper's table does not say it.
    """

    benchmark: str
    part: str
    task: str
    metric: str
    lang: str | None = None
    k: dict | None = None

    @property
    def head(self):
        return f"{self.benchmark} {self.part}".rstrip()

    @property
    def key(self):
        return self.task, self.metric, self.lang

    def measured(self, follows):
        """The metric of the record that is compared."""
        return f"{self.metric}_r{self.k[follows]}" if self.k else self.metric

    def title(self, follows):
        """Its head, with what is compared where the protocols differ."""
        return f"{self.head} (R@{self.k[follows]})" if self.k else self.head


def _both_ways(benchmark, task, rank="", k=None):
    return [Column(benchmark, "T->I", task, f"t2i{rank}", k=k), Column(benchmark, "I->T", task, f"i2t{rank}", k=k)]


IMAGENET = Column("ImageNet", "", "imagenet", "top1", "en")
MULTILINGUAL = [Column("Babel-ImageNet", "", "babel-imagenet", "top1"), *_both_ways("XM3600", "xm3600", "_r1"),
                Column("CVQA", "en", "cvqa", "accuracy", "en"), Column("CVQA", "local", "cvqa", "accuracy", "local")]
TABLES = {
    "table1": [IMAGENET, Column("SLIP 26", "", "slip26", "mean", "en"),
               Column("DataComp 37", "", "datacomp", "mean_37", "en"), *MULTILINGUAL,
               *_both_ways("Flickr30k-200", "flickr30k-200", k=FIFTH), *_both_ways("XTD-10", "xtd-10", k=FIFTH),
               *_both_ways("XTD-200", "xtd-200", k=FIFTH)],
    "table2": [IMAGENET, *MULTILINGUAL],
    "table3": [IMAGENET, *MULTILINGUAL],
    "table4": [Column("Dollar Street", "top-1", "dollar-street", "top1", "en"),
               Column("Dollar Street", "top-5", "dollar-street", "top5", "en"),
               Column("GeoDE", "", "geode", "top1", "en"), Column("GLDv2", "", "gldv2", "top1", "en")],
}
BESIDE = {"table1": "h14-worldwide", "table2": "b32-ablation-5", "table3": "b32-xlmv", "table4": "h14-worldwide",
          "all": "h14-worldwide"}               # the published row that is compared, unless another is named

# How many languages and images are all of a benchmark, by protocol. The files of Flickr30k-200 and XTD-200 hold 201
# languages, which the paper calls 200.
LANGUAGES = {"babel-imagenet": {"published": (90,), "text": (297,)}, "xm3600": {"published": (36,), "text": (36,)},
             "xtd-10": {"published": (11,), "text": (7,)},
             **{task: {"published": (201, 200), "text": (201, 200)} for task in ("flickr30k-200", "xtd-200")}}
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
    columns = (column for columns in TABLES.values() for column in columns)
    return list({column.key: column for column in columns}.values())


class Score(NamedTuple):
    """A number of a table. model: the preset of its run, or a name made up for a model of others; row: as the paper
    calls it; lang: None where it is over all languages; value: in percent, or thousands of tokens (`vocabulary`)."""

    table: str
    model: str
    row: str
    task: str
    lang: str | None
    metric: str
    value: float
    source: str


def published():
    """[Score] of all cells of Tables 1 to 4."""
    text = package_data.text("scores", "published.csv")
    return [Score(**{**row, "lang": row["lang"] or None, "value": float(row["value"])})
            for row in csv.DictReader(text.splitlines())]


class Number(NamedTuple):
    """A number of another page than Tables 1 to 4, or of a page that quotes the model.

    page: of the paper, or `elsewhere`; model: as printed, or None; what, unit: as printed; value: a number, or a text that
    is none; task, metric: of a record of `mc2 eval` that it can be compared with, in percent, or None.
    """

    page: str
    model: str | None
    what: str
    unit: str | None
    value: float | str
    task: str | None
    metric: str | None
    source: str


def other_pages():
    """[Number] of all pages but Tables 1 to 4."""
    text = package_data.text("scores", "other_pages.csv")
    return [Number(**{**{key: value or None for key, value in row.items()}, "value": _number(row["value"])})
            for row in csv.DictReader(text.splitlines())]


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text


def quoted(records):
    """[Number] that can be compared with these records."""
    measured = {(record["task"], record["metric"]) for record in records}
    return [number for number in other_pages() if (number.task, number.metric) in measured]


def rows_of(suite):
    """{model: {key of a column: percent}} of the published rows of a table."""
    rows = {}
    for score in published():
        if suite in (score.table, "all"):
            rows.setdefault(score.model, {})[score.task, score.metric, score.lang] = score.value
    return rows


def refuse_unknown(suite, beside):
    """Raise BadUsage where no row of that name is known."""
    known = dict.fromkeys([BESIDE[suite], *rows_of(suite)])
    if beside is not None and beside not in known:
        raise BadUsage(f"--beside {beside}: no such published row. Known for {suite}: {', '.join(known)}.")


def compared(suite, records, beside, follows="published"):
    """[(title of a column, published percent or None, ours or None, `2 of 36 languages` where ours is over a part)].
    beside: the model of the published row; follows: the protocol."""
    theirs = rows_of(suite).get(beside, {})
    return [(column.title(follows), theirs.get(column.key), record and 100 * record["value"],
             partial(record) if record else "")
            for column, record in zip(columns_of(suite), _ours(suite, records, follows))]


def _ours(suite, records, follows):
    """The record of each column, or None."""
    found = {(record["task"], record["metric"], record["lang"]): record for record in records}
    return [found.get((column.task, column.measured(follows), column.lang)) for column in columns_of(suite)]


def partial(record):
    """`2 of 36 languages` where a score is over a part of its benchmark; an empty text where it is over the whole."""
    protocol, found = record["protocol"], []
    languages = LANGUAGES.get(record["task"], {}).get(protocol.get("follows", "text"), ())
    for name, number, wholes in (("images", record["n"], (IMAGES.get(record["task"]),)),
                                 ("languages", protocol.get("languages"), languages),
                                 ("datasets", protocol.get("datasets"), (protocol.get("of_datasets"),))):
        if number is not None and any(wholes) and number not in wholes:
            found.append(f"{number:,} of {wholes[0]:,} {name}")
    if protocol.get("images_skipped"):
        found.append(f"{protocol['images_skipped']:,} images skipped")
    return ", ".join(found)


def difference(known, scored, part):
    """Ours minus theirs in percent; None unless there are both and ours is over the whole benchmark."""
    return None if known is None or scored is None or part else scored - known


def shown(rows, beside):
    """Yield rows of a text table of what `compared` gives; the first one holds the heads."""
    yield "column", beside, "ours", "difference"
    for head, known, scored, part in rows:
        more = difference(known, scored, part)
        yield (head, "-" if known is None else f"{known:.2f}", "-" if scored is None else f"{scored:.2f}",
               part if more is None else f"{more:+.2f}")


def as_printed(suite, records, follows):
    """Yield rows of a text table in the paper's form: two with the heads, the published rows, and ours, in which a
    score over a part of its benchmark has a `*`."""
    columns = columns_of(suite)
    yield "", *("" if number and columns[number - 1].benchmark == column.benchmark else column.benchmark
                for number, column in enumerate(columns))
    yield suite, *(column.part for column in columns)
    for model, values in rows_of(suite).items():
        yield model, *(f"{values[column.key]:.1f}" if column.key in values else "-" for column in columns)
    yield "ours", *("-" if record is None else f"{100 * record['value']:.1f}" + "*" * bool(partial(record))
                    for record in _ours(suite, records, follows))


def lines(suite, records, beside, follows):
    """Yield a dict per column: published, value and difference as fractions, as in records, or None."""
    for column, (_, known, scored, part) in zip(columns_of(suite), compared(suite, records, beside, follows)):
        numbers = {"published": known, "value": scored, "difference": difference(known, scored, part)}
        yield {"suite": suite, "follows": follows, "column": column.head, "task": column.task, "lang": column.lang,
               "metric": column.measured(follows), "beside": beside, "part": part or None,
               **{name: None if number is None else number / 100 for name, number in numbers.items()}}
