"""Scores as records and tables. A record: task, lang, metric, value, n, protocol, model, mc2."""
import json

from mc2.errors import BadLine
from mc2.evaluation import readers
from mc2.tables import align

KEYS = ("task", "lang", "metric", "value", "n", "protocol", "model", "mc2")


def content(record):
    """Of a record, what people see: its KEYS, in their order."""
    return {key: record[key] for key in KEYS}


def line(record):
    """A record as a line of JSON, without its newline."""
    return json.dumps(content(record), ensure_ascii=False)


def read(path):
    """The records of a file of scores, as `-o` writes them. BadLine where a line is none."""
    records = []
    for number, record in readers.json_lines(path):
        value = record.get("value")
        right = (isinstance(record.get("task"), str), isinstance(record.get("metric"), str), "lang" in record,
                 isinstance(record.get("lang"), (str, type(None))), type(value) in (int, float))
        if not all(right):
            raise BadLine(path, number, "no score: it needs task, lang, metric and value, as mc2 eval TASK -o writes "
                                        "them.")
        records.append(record)
    return records


def table(records, tasks):
    """The lines of a table: task, language, metric, value, n. Shares are shown as percentages."""
    rows = [(record["task"], record["lang"] or "", record["metric"], shown(record, tasks), f"{record['n']:,}")
            for record in records]
    return align([("task", "lang", "metric", "score", "n"), *rows], right=(3, 4))


def shown(record, tasks):
    """A record's value as people read it."""
    task = tasks.get(record["task"].partition("/")[0])
    return f"{100 * record['value']:.2f}" if task is None or task.percent else f"{record['value']:.4f}"
