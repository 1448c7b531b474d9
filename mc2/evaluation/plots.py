"""Scores as plots: a row for each language, or part of a task, and dots for its scores."""
import contextlib
import math
import os
import re
from typing import NamedTuple

from mc2 import extras, files
from mc2.errors import BadUsage
from mc2.evaluation import fonts, languages

RECALL = re.compile(r"(t2i|i2t)_r(\d+)")
TOP = re.compile(r"top(\d+)")
DIRECTIONS = {"t2i": "text to image", "i2t": "image to text"}
SHADES = {"t2i": ("#123f6d", "#4d8ac0", "#a9cbe8"), "i2t": ("#8a3a06", "#dd7a2c", "#f5bf92")}     # R@1, R@5, R@10
COLOURS = ("#4477aa", "#dd7a2c", "#228833", "#aa3377", "#66a5c8", "#887711")
OURS, THEIRS, DARK, FAINT = "#4477aa", "#999999", "#444444", "#f3f3f3"
ROWS = 50                           # of a column of a plot; more rows go into further columns
COLUMNS = 8                         # at most; then columns get longer
ONE_OF_FOUR = 0.25                  # chance in CVQA
IMAGENET = 1000                     # its classes


class Series(NamedTuple):
    """Dots of one kind. group: those of one group are joined in a row and stand on one line in it"""

    name: str
    colour: str
    group: str


class Dot(NamedTuple):
    """A score. chance: what guessing scores; control: what another model scores; both None where not known"""

    value: float
    chance: float | None = None
    control: float | None = None


class Panel(NamedTuple):
    """The scores of a task in one unit. rows: {its label: {Series.name: Dot}}, in the order in which they are drawn;
    series: list of Series; overall: the labels that stand for all rows"""

    title: str
    unit: str
    rows: dict
    series: list
    overall: set


# ---------------------------------------------------------------- from records to panels

def panels(records, tasks, control=()):
    """The Panels of records, best rows first. control: records of another model, e.g. of one that was trained with
    shuffled texts."""
    of_control = {key(record): record["value"] for record in control}
    texts = {(record["task"], record["lang"]): record["n"] for record in records if record["metric"] == "t2i_r1"}
    groups = {}
    for record in records:
        groups.setdefault((_head(record), _family(record["metric"])), []).append(record)
    return [_panel(head, family, group, tasks, of_control, texts) for (head, family), group in groups.items()]


def key(record):
    return record["task"], record["lang"], record["metric"]


def _head(record):
    """What has a panel of its own: a task, or a data set of it that is retrieval in several directions."""
    return record["task"] if RECALL.fullmatch(record["metric"]) else record["task"].partition("/")[0]


def _family(metric):
    """Metrics that share a panel have one family."""
    return "recall" if RECALL.fullmatch(metric) else "top" if TOP.fullmatch(metric) else metric


def _panel(head, family, records, tasks, of_control, texts):
    has_parts = family != "recall" and any("/" in record["task"] for record in records)
    langs = list(dict.fromkeys(record["lang"] for record in records)) if has_parts else []
    task = tasks.get(head.partition("/")[0])
    scale = 100 if task is None or task.percent else 1
    rows, series, overall = {}, {}, set()
    for record in records:
        label, is_overall = _row(record, has_parts)
        its = _series(record, langs)
        series.setdefault(its.name, its)
        chance, control = chance_of(record, texts), of_control.get(key(record))
        rows.setdefault(label, {})[its.name] = Dot(*(None if value is None else scale * value
                                                     for value in (record["value"], chance, control)))
        if is_overall:
            overall.add(label)
    for label in overall:
        rows[label] = {name: _with_mean_chance(dot, rows, overall, name) for name, dot in rows[label].items()}
    if family == "top" and not has_parts:
        series = {name: each._replace(group="top") for name, each in series.items()}
    first = next(iter(series))
    ordered = sorted(rows, key=lambda label: (label not in overall, -rows[label].get(first, Dot(-math.inf)).value))
    title = head if family in ("recall", "top", head) else f"{head}: {family}"
    return Panel(title, "%" if scale == 100 else "", {label: rows[label] for label in ordered},
                 _coloured(list(series.values())), overall)


def _row(record, has_parts):
    """(label, whether it stands for all rows)"""
    if has_parts:
        part = record["task"].partition("/")[2]
        return part or "all", not part
    if record["lang"]:
        return languages.named(record["lang"]), False
    number = (record.get("protocol") or {}).get("languages")
    return (f"mean of {number} languages", True) if number else ("all", True)


def _series(record, langs):
    metric, lang = record["metric"], record["lang"]
    if match := RECALL.fullmatch(metric):
        return Series(f"{DIRECTIONS[match[1]]}, R@{match[2]}", "", match[1])
    if match := TOP.fullmatch(metric):
        metric = f"top-{match[1]}"
    if len(langs) > 1:
        lang = languages.name_of(lang) or lang if lang else "all"
        return Series(lang if TOP.fullmatch(record["metric"]) is None else f"{lang}, {metric}", "", lang)
    return Series(metric, "", metric)


def _coloured(series):
    """The series with their colours: recall in shades of its direction, from dark to light by k."""
    of_recall = {way: [each.name for each in series if each.group == way] for way in DIRECTIONS}
    found = []
    for number, each in enumerate(series):
        shades = SHADES.get(each.group, COLOURS)
        place = of_recall[each.group].index(each.name) if each.group in of_recall else number
        found.append(each._replace(colour=shades[place % len(shades)]))
    return sorted(found, key=lambda each: list(DIRECTIONS).index(each.group) if each.group in DIRECTIONS else 0)


def _with_mean_chance(dot, rows, overall, name):
    """The dot of all rows, with the mean of their chances where these are known."""
    chances = [row[name].chance for label, row in rows.items() if label not in overall and name in row]
    known = chances and None not in chances
    return dot._replace(chance=sum(chances) / len(chances)) if dot.chance is None and known else dot


def chance_of(record, texts):
    """What guessing scores, from 0 to 1, or None where it is not known.

    texts: {(task, lang): number of texts}. An image has several texts; in R@k each is taken to have their mean number.
    """
    protocol, metric = record.get("protocol") or {}, record["metric"]
    if (match := RECALL.fullmatch(metric)) and record["lang"] is None and "languages" in protocol:
        return None                                     # the mean of those of the languages
    if match:
        k, images, number = int(match[2]), protocol.get("images"), texts.get((record["task"], record["lang"]))
        if match[1] == "t2i":
            return min(1, k / images) if images else None
        return _any_of(number / record["n"], number, k) if number and record["n"] else None
    if record["task"].partition("/")[0] == "cvqa":
        return ONE_OF_FOUR
    if match := TOP.fullmatch(metric):
        classes = IMAGENET if record["task"] == "imagenet" else protocol.get("classes")
        return min(1, int(match[1]) / classes) if classes else None
    return None


def _any_of(right, number, k):
    """The probability that k of a number of texts, drawn without replacement, hold any of those that are right."""
    missed = 1
    for drawn in range(min(k, number)):
        missed *= max(0, number - right - drawn) / (number - drawn)
    return 1 - missed


# ---------------------------------------------------------------- drawing

def draw(records, path, tasks, control=()):
    """Draw scores, and return the labels that no installed font can draw, which are drawn with escapes. control:
    records of another model, drawn as crosses."""
    found = panels(records, tasks, control)
    words = fonts.Fonts([text for panel in found for text in (panel.title, *panel.rows)])
    with _pyplot(words) as pyplot:
        figure = figure_of(found, words)
        _save(figure, path)
        pyplot.close(figure)
    return words.missing


def figure_of(found, words=str):
    """The figure of Panels, one below the other. words: how a label is written"""
    from matplotlib import pyplot
    columns = [_columns(panel) for panel in found]
    legends = [_legend(panel) for panel in found]
    heights = [0.75 + 0.4 * bool(legend) + _row_height(panel) * max(map(len, its))
               for panel, its, legend in zip(found, columns, legends)]
    figure = pyplot.figure(layout="constrained", figsize=(max(7.5, 5.5 * max(map(len, columns))), sum(heights)))
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.06)
    parts = figure.subfigures(len(found), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, panel, its, legend in zip(parts, found, columns, legends):
        axes = part.subplots(1, len(its), squeeze=False, sharex=True)[0]
        for axis, labels in zip(axes, its):
            _draw_rows(axis, panel, labels, words, max(map(len, its)))
        axes[0].set_xlim(*_limits(panel))
        part.suptitle(words(panel.title) + (f", {panel.unit}" if panel.unit else ""), x=0.01, ha="left", fontsize=11,
                      fontweight="bold", parse_math=False)
        if legend:
            _add_legend(part, legend, len(its))
    return figure


def _columns(panel):
    """The labels of a panel in columns of equal length, but for the last."""
    labels = list(panel.rows)
    longest = max(ROWS, math.ceil(len(labels) / COLUMNS))
    length = math.ceil(len(labels) / math.ceil(len(labels) / longest))
    return [labels[start:start + length] for start in range(0, len(labels), length)]


def _groups(panel):
    return list(dict.fromkeys(series.group for series in panel.series))


def _row_height(panel):
    """In inches."""
    return 0.2 + 0.06 * (len(_groups(panel)) - 1)


def _draw_rows(axis, panel, labels, words, length):
    """Draw some rows of a panel. length: of its longest column"""
    groups = _groups(panel)
    step = 0.72 / len(groups)
    for number, label in enumerate(labels):
        if number % 2 == 0:
            axis.axhspan(number - 0.5, number + 0.5, color=FAINT, linewidth=0, zorder=0)
        for place, group in enumerate(groups):
            _draw_dots(axis, panel, label, group, number + step * (place - (len(groups) - 1) / 2), step)
    axis.set_yticks(range(len(labels)), [words(label) for label in labels], fontsize=8.5, parse_math=False)
    for text, label in zip(axis.get_yticklabels(), labels):
        text.set_fontweight("bold" if label in panel.overall and len(panel.rows) > 1 else "normal")
    axis.set_ylim(length - 0.5, -0.5)                      # the first row is the topmost
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=8, top=length > 25, labeltop=length > 25)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)


def _draw_dots(axis, panel, label, group, y, step):
    """The dots of one group in one row, joined by a line, with their chance and control."""
    row = panel.rows[label]
    its = [(series, row[series.name]) for series in panel.series if series.group == group and series.name in row]
    values = [dot.value for _, dot in its]
    if len(its) > 1:
        axis.plot([min(values), max(values)], [y, y], color=its[0][0].colour, alpha=0.35, linewidth=1.2, zorder=1)
    for place, (series, dot) in reversed(list(enumerate(its))):     # equal scores become rings
        if dot.chance is not None:
            axis.plot([dot.chance] * 2, [y - step / 2, y + step / 2], color=DARK, linewidth=1, zorder=2, gid="chance")
        if dot.control is not None:
            axis.plot([dot.control], [y], "x", color=series.colour, markersize=4.5, markeredgewidth=1.1, zorder=3,
                      gid="control")
        axis.plot([dot.value], [y], "o", color=series.colour, markersize=4.6 + place, markeredgecolor="white",
                  markeredgewidth=0.5, zorder=4, gid=series.name, clip_on=False)


def _limits(panel):
    """(left, right) of the values of a panel: from 0, but for negative ones."""
    values = [value for row in panel.rows.values() for dot in row.values() for value in dot
              if value is not None and math.isfinite(value)]
    low, high = min([0, *values]), max([0, *values])
    margin = 0.03 * (high - low or 1)
    return (low - margin if low < 0 else 0), high + margin


def _legend(panel):
    """What the legend of a panel shows: [(label, marker, colour)]; nothing where the title says all."""
    dots = [dot for row in panel.rows.values() for dot in row.values()]
    shown = [(each.name, "o", each.colour) for each in panel.series]
    if any(dot.chance is not None for dot in dots):
        shown.append(("chance", "|", DARK))
    if any(dot.control is not None for dot in dots):
        shown.append(("control", "x", DARK))
    return shown if len(shown) > 1 or panel.series[0].name not in panel.title else []


def _add_legend(part, legend, columns):
    """columns: of rows. Beside a single one, long legends have three columns: one for each direction of retrieval."""
    from matplotlib.lines import Line2D
    in_lines = columns == 1 and len(legend) > 5
    if in_lines:
        legend = legend + [(" ", "", DARK)] * (-len(legend) % 3)
    handles = [Line2D([], [], color=colour, marker=marker, markersize=8 if marker == "|" else None, linestyle="none",
                      label=label) for label, marker, colour in legend]
    part.legend(handles=handles, loc="outside lower left", frameon=False, fontsize=8.5, handletextpad=0.2,
                columnspacing=1.2, ncols=3 if in_lines else len(legend))


def draw_beside(rows, path, title, beside):
    """Draw scores beside published ones; returns what `draw` does. rows: (head, published or None, ours or None, the
    part that ours is over, e.g. `2 of 36 languages`), in percent."""
    beside = beside or "published"
    found = {}
    for head, published, ours, part in rows:
        values = {beside: published, "ours": ours}
        found[head + (f" ({part})" if part else "")] = {name: Dot(value) for name, value in values.items()
                                                        if value is not None}
    panel = Panel(title, "%", found, [Series(beside, THEIRS, "both"), Series("ours", OURS, "both")], set())
    words = fonts.Fonts([title, *found])
    with _pyplot(words) as pyplot:
        figure = figure_of([panel], words)
        _save(figure, path)
        pyplot.close(figure)
    return words.missing


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


@contextlib.contextmanager
def _pyplot(words):
    """pyplot, without a screen, with the fonts of these words."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    with matplotlib.rc_context({"font.family": words.families}):
        yield pyplot


def _save(figure, path):
    with files.open_write(path) as stream:
        figure.savefig(stream, format=_format(path), dpi=120)
