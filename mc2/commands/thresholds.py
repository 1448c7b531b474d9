"""mc2 thresholds"""
import time
from typing import NamedTuple

import click

from mc2 import options
from mc2.terminal import say, show, show_json


WAYS = [
    click.option("--t-en", type=options.Number(), metavar="T",
                  help="Threshold of English; the other languages get the t with the same tail share."),
    click.option("--p", type=click.FloatRange(0, 1), metavar="P",
                  help="Tail share of every language; t of English follows from it too."),
    click.option("--t-all", type=options.Number(), metavar="T", help="One threshold for every language."),
    click.option("--pairs", type=options.Number(), metavar="N",
                 help="Find the --t-en with which so many pairs are kept, e.g. 400M; texts of one image count one by "
                      "one."),
    click.option("--min-t", type=options.Number(), metavar="N", help="Make every t at least N.")]


def ways_to_t(function):
    """Give a command the options that say how thresholds are derived; see check_one_way."""
    for option in reversed(WAYS):
        function = option(function)
    return function


def check_one_way(t_en, p, t_all, pairs):
    if sum(value is not None for value in (t_en, p, t_all, pairs)) != 1:
        raise click.UsageError("give one of --t-en, --p, --t-all and --pairs.")


class _Sweep(click.ParamType):
    """FROM:TO or FROM:TO:POINTS, as (first, last, number of points or None)."""

    name = "sweep"

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        parts = value.split(":")
        if not 2 <= len(parts) <= 3:
            self.fail(f"{value!r} is not FROM:TO, e.g. 1k:200k, or FROM:TO:POINTS.", param, ctx)
        first, last, *points = [options.Number().convert(part, param, ctx) for part in parts]
        if first > last:
            self.fail(f"{value}: begins with the larger one.", param, ctx)
        if points and not 2 <= points[0] <= 1000:
            self.fail(f"{value}: 2 to 1,000 points.", param, ctx)
        return first, last, points[0] if points else None


@click.command()
@click.argument("counts", type=click.Path(exists=True, file_okay=False), envvar="MC2_COUNTS")
@ways_to_t
@click.option("--sweep", type=_Sweep(), metavar="FROM:TO[:POINTS]",
              help="Show what is kept at each t of English between these, e.g. 1k:200k, and write no thresholds.")
@click.option("--pool", type=options.Number(), metavar="N",
              help="With --pairs and --sweep: COUNTS are of a random part of a pool of so many pairs, e.g. 10B; all "
                   "numbers shown are those of the pool, and no thresholds are written.")
@click.option("--json", "as_json", is_flag=True,
              help="With --pairs and --sweep: print what was found as JSON, and write no thresholds.")
@click.option("--plot", metavar="FILE",
              help="With --pairs and --sweep: draw what is kept at each t. Needs the extra [plot].")
@options.output
@options.dry_run
@options.quiet
@options.receipt
@options.verbose
@click.pass_context
def thresholds(ctx, counts, t_en, p, t_all, min_t, pairs, sweep, pool, as_json, plot, output, dry_run, quiet):
    """Derive each language's threshold from COUNTS, and report how many pairs it will keep.

    Numbers may be written as 20k, 400M and 2.5B.

    \b
    mc2 thresholds counts --t-en 170000 -o thresholds.json
    mc2 thresholds counts --p 0.06 -o thresholds.json
    mc2 thresholds counts --t-en 20 -n                      # only look
    mc2 thresholds counts --pairs 400M -o thresholds.json
    mc2 thresholds counts --sweep 1k:200k --plot sweep.png
    """
    from mc2.balancing import counting
    from mc2.balancing import thresholds as deriving
    from mc2.execution import receipt
    from mc2.execution.run import refuse_twice
    _check_what_is_asked(ctx, (t_en, p, t_all, pairs, sweep), pairs or sweep, pool=pool, json=as_json, plot=plot)
    shows_only = sweep is not None or pool is not None or as_json
    if shows_only and ctx.get_parameter_source("output") is not click.core.ParameterSource.DEFAULT:
        raise click.UsageError("-o: with --sweep, --pool and --json no thresholds are written. Leave it out.")
    refuse_twice([output, *([plot] if plot else [])], [counts])
    if not dry_run:
        receipt.begin()
    started = time.monotonic()
    counted, fingerprint = counting.load(counts)
    if pairs or sweep:
        found = _choose(counted, min_t, pairs, sweep, pool, as_json, plot, quiet)
        if shows_only:
            receipt.write("thresholds", found.summary, {"matched": sum(counted.matched.values())}, plot,
                          time.monotonic() - started, quiet)
            return
        t_en = found.t_en
    content = deriving.derive(counted, fingerprint, t_en, p, t_all, min_t)
    if not quiet:
        say(*deriving.table(content))
        for warning in deriving.warnings(content, counted, min_t):
            say(f"warning: {warning}")
    if not dry_run:
        given = {"t_en": t_en, "p": p, "t_all": t_all, "min_t": min_t, **({"pairs": pairs} if pairs else {})}
        _write(content, counts, output, given, time.monotonic() - started)
    how = f"t = {t_all:,} for all" if t_all else f"p = {content['p']:.4f}, t_en = {content['t_en']}"
    matched = sum(counted.matched.values())
    receipt.write("thresholds", f"{how}; {deriving.total_expected(content)} of {matched:,} matched pairs expected",
                  {"matched": matched}, None if dry_run else output, time.monotonic() - started, quiet)


def _check_what_is_asked(ctx, ways, looks, **of_looking):
    if sum(value is not None for value in ways) != 1:
        raise click.UsageError("give one of --t-en, --p, --t-all, --pairs and --sweep.")
    for name, value in of_looking.items():
        if value and not looks:
            raise click.UsageError(f"--{name} goes with --pairs or --sweep.")
    if of_looking["plot"]:
        from mc2.inspection import sweep
        sweep.refuse_undrawable(of_looking["plot"])


class _Found(NamedTuple):
    t_en: int           # None of a sweep
    summary: str        # for the receipt


def _choose(counted, min_t, pairs, sweep, pool, as_json, plot, quiet):
    """Look at what is kept at t of English, and show it. Returns what was _Found."""
    from mc2.balancing import choosing
    from mc2.meter import shown
    curve = choosing.Curve(counted, min_t, pool)
    chosen = None if sweep else curve.find(pairs)
    if sweep:
        ts = choosing.spread(sweep[0], sweep[1], sweep[2] or choosing.POINTS)
    else:
        ts = choosing.spread(max(chosen.t_en // 10, 1), chosen.t_en * 10, 50 if plot else 2)
    points = [curve.at(t) for t in shown(ts if sweep or plot else [], "thresholds", "t", quiet=quiet)]
    if sweep:
        found = _Found(None, f"{len(points):,} t from {sweep[0]:,} to {sweep[1]:,}, "
                             f"{points[0].matched:,.0f} matched pairs")
    else:
        found = _Found(chosen.t_en, choosing.said(curve, chosen))
    if as_json:
        found_json = [choosing.as_json(curve, point) for point in points] if sweep else \
            {"pairs": pairs, "t_en_range": list(curve.range_of(chosen)), **choosing.as_json(curve, chosen)}
        show_json(found_json, pretty=True)
    elif sweep:
        show(*choosing.table(curve, points))
    elif not quiet:
        say(*choosing.report(curve, chosen, pairs))
    if plot:
        from mc2.inspection import sweep as drawing
        drawing.draw(points, plot, chosen)
    return found


def _write(content, counts, output, options_given, seconds):
    import os

    from mc2 import documents, files, manifests
    files.write_bytes(output, documents.dumped(content))
    if output != "-" and os.path.isfile(output):
        manifests.write_for_file(output, manifests.describe_run(
            "thresholds", [os.path.join(counts, "manifest.json")], options_given, {}, seconds))
