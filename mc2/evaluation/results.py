"""Scores as records, tables and plots. A record: task, lang, metric, value, n, protocol, model, mc2."""
import json
import os

from mc2 import extras, files
from mc2.errors import BadUsage
from mc2.tables import align

KEYS = ("task", "lang", "metric", "value", "n", "protocol", "model", "mc2")


def line(record):
    """A record as a line of JSON, without its newline."""
    return json.dumps({key: record[key] for key in KEYS}, ensure_ascii=False)


def table(records, tasks):
    """The lines of a table: task, language, metric, value, n. Shares are shown as percentages."""
    rows = [(record["task"], record["lang"] or "", record["metric"], shown(record, tasks), f"{record['n']:,}")
            for record in records]
    return align([("task", "lang", "metric", "score", "n"), *rows], right=(3, 4))


def shown(record, tasks):
    """A record's value as people read it."""
    task = tasks.get(record["task"].partition("/")[0])
    return f"{100 * record['value']:.2f}" if task is None or task.percent else f"{record['value']:.4f}"


def plot(records, path, tasks):
    """Draw a bar chart: a panel per task and metric, with a bar per language (or part of a task), best first."""
    pyplot = _pyplot()
    panels = _panels(records)
    widest = max(len(bars) for bars in panels.values())
    figure, axes = pyplot.subplots(len(panels), 1, squeeze=False, layout="constrained",
                                   figsize=(max(6, 1.5 + 0.22 * widest), 3 * len(panels)))
    for axis, ((task, metric, lang), bars) in zip(axes[:, 0], panels.items()):
        percent = task not in tasks or tasks[task].percent
        bars = sorted(bars, key=lambda bar: -bar[1])
        axis.bar(range(len(bars)), [(100 if percent else 1) * value for _, value in bars], color=OURS)
        title = f"{task}: {metric}" + (f", {lang}" if lang else "")
        _label(axis, [name for name, _ in bars], title, "%" if percent else "")
    _save(figure, path)


def plot_beside(rows, path, title, beside):
    """Draw a bar chart of scores beside published ones. rows: (head, published or None, ours or None, the part that
    ours is over, e.g. `2 of 36 languages`), in percent."""
    pyplot = _pyplot()
    figure, axis = pyplot.subplots(layout="constrained", figsize=(max(6, 1.5 + 0.6 * len(rows)), 4))
    for shift, column, name, colour in ((-0.2, 1, beside or "published", THEIRS), (0.2, 2, "ours", OURS)):
        bars = [(number + shift, row[column]) for number, row in enumerate(rows) if row[column] is not None]
        axis.bar([x for x, _ in bars], [value for _, value in bars], 0.4, label=name, color=colour)
    axis.legend(frameon=False)
    _label(axis, [head + (f" ({part})" if part else "") for head, _, _, part in rows], title, "%")
    _save(figure, path)


OURS, THEIRS = "#4477aa", "#bbbbbb"


def refuse_undrawable(path):
    """Raise BadUsage where matplotlib is missing or does not write such a file."""
    extras.need("plot", "matplotlib")
    from matplotlib.backend_bases import FigureCanvasBase
    known = FigureCanvasBase.get_supported_filetypes()
    if _format(path) not in known:
        raise BadUsage(f"{path}: cannot be drawn. Name a file that ends in one of .{', .'.join(sorted(known))}.")
    files.refuse_unwritable(path, parquet=False)


def _format(path):
    return os.path.splitext(path)[1][1:].lower() or "png"


def _pyplot():
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot
    return pyplot


def _label(axis, names, title, unit):
    axis.set_xticks(range(len(names)), names, rotation=90 if len(names) > 8 else 0, fontsize=8)
    axis.set_title(title, loc="left", fontsize=10)
    axis.set_ylabel(unit)
    axis.spines[["top", "right"]].set_visible(False)


def _save(figure, path):
    import matplotlib.pyplot as pyplot
    with files.open_write(path) as stream:
        figure.savefig(stream, format=_format(path), dpi=120)
    pyplot.close(figure)


def _panels(records):
    """{(task, metric, language of its parts): [(name of the bar, value)]}"""
    panels = {}
    for record in records:
        task, _, part = record["task"].partition("/")
        lang = record["lang"] if part else None
        panels.setdefault((task, record["metric"], lang), []).append((part or record["lang"] or "all", record["value"]))
    return panels
