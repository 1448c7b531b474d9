"""A figure of what is kept at each t of English."""
import os

from mc2 import extras, files
from mc2.errors import BadUsage

LANGUAGES = 8                   # those with most matched pairs, of which each gets a line
GREY, BLUE = "#888888", "#4477aa"


def refuse_undrawable(path):
    """Raise BadUsage where matplotlib is missing or does not write such a file."""
    extras.need("plot", "matplotlib")
    from matplotlib.backend_bases import FigureCanvasBase
    known = FigureCanvasBase.get_supported_filetypes()
    if _format(path) not in known:
        raise BadUsage(f"{path}: cannot be drawn. Name a file that ends in one of .{', .'.join(sorted(known))}.")
    files.refuse_unwritable(path, parquet=False)


def draw(points, path, chosen=None):
    """Draw the expected number of pairs, and the share that languages keep, against t of English.

    points: list of mc2.balancing.choosing.Point, t ascending. chosen: the Point that was looked for, which is marked
    """
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, (left, right) = pyplot.subplots(1, 2, layout="constrained", figsize=(11, 4.5))
    t = [point.t_en for point in points]
    left.fill_between(t, [point.pairs - point.error for point in points],
                      [point.pairs + point.error for point in points], color=BLUE, alpha=0.3, linewidth=0)
    left.plot(t, [point.pairs for point in points], color=BLUE, label="kept")
    left.axhline(points[0].matched, color=GREY, linestyle="dashed", label="matched")
    if chosen is not None:
        left.plot([chosen.t_en], [chosen.pairs], "o", color=BLUE)
        left.annotate(f"t = {chosen.t_en:,}: {chosen.pairs:,.0f} pairs", (chosen.t_en, chosen.pairs), (8, -12),
                      textcoords="offset points")
    left.set_ylim(bottom=0)
    left.yaxis.set_major_formatter("{x:,.0f}")
    left.set_title("expected pairs", loc="left", fontsize=10)
    largest = sorted(points[0].languages, key=lambda lang: (-points[0].languages[lang].matched, lang))[:LANGUAGES]
    for lang in largest:
        right.plot(t, [100 * point.languages[lang].kept for point in points], label=lang)
    right.plot(t, [100 * point.p for point in points], color=GREY, linestyle="dashed", label="p, tail of English")
    right.set_title("% of the matched pairs that is kept, languages with most pairs", loc="left", fontsize=10)
    for axis in left, right:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.set_xlabel("t of English")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    with files.open_write(path) as stream:
        figure.savefig(stream, format=_format(path), dpi=120)
    pyplot.close(figure)


def _format(path):
    return os.path.splitext(path)[1][1:].lower() or "png"
