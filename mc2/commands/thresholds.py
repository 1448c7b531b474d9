"""mc2 thresholds"""
import time

import click

from mc2 import options
from mc2.terminal import say


WAYS = [
    click.option("--t-en", type=click.IntRange(1, 2**63 - 1), metavar="T",
                  help="Threshold of English; the other languages get the t with the same tail share."),
    click.option("--p", type=click.FloatRange(0, 1), metavar="P",
                  help="Tail share of every language; t of English follows from it too."),
    click.option("--t-all", type=click.IntRange(1, 2**63 - 1), metavar="T", help="One threshold for every language."),
    click.option("--min-t", type=click.IntRange(1, 2**63 - 1), metavar="N", help="Make every t at least N.")]


def ways_to_t(function):
    """Give a command the options that say how thresholds are derived; see check_one_way."""
    for option in reversed(WAYS):
        function = option(function)
    return function


def check_one_way(t_en, p, t_all):
    if sum(value is not None for value in (t_en, p, t_all)) != 1:
        raise click.UsageError("give one of --t-en, --p and --t-all.")


@click.command()
@click.argument("counts", type=click.Path(exists=True, file_okay=False), envvar="MC2_COUNTS")
@ways_to_t
@options.output
@options.dry_run
@options.quiet
@options.receipt
@options.verbose
def thresholds(counts, t_en, p, t_all, min_t, output, dry_run, quiet):
    """Derive each language's threshold from COUNTS, and report how many pairs it will keep.

    \b
    mc2 thresholds counts --t-en 170000 -o thresholds.json
    mc2 thresholds counts --p 0.06 -o thresholds.json
    mc2 thresholds counts --t-en 20 -n                      # only look
    """
    from mc2.balancing import counting
    from mc2.balancing import thresholds as deriving
    from mc2.execution import receipt
    from mc2.execution.run import refuse_twice
    check_one_way(t_en, p, t_all)
    refuse_twice([output], [counts])
    if not dry_run:
        receipt.begin()
    started = time.monotonic()
    counted, fingerprint = counting.load(counts)
    content = deriving.derive(counted, fingerprint, t_en, p, t_all, min_t)
    if not quiet:
        say(*deriving.table(content))
        for warning in deriving.warnings(content, counted, min_t):
            say(f"warning: {warning}")
    if not dry_run:
        _write(content, counts, output, {"t_en": t_en, "p": p, "t_all": t_all, "min_t": min_t},
               time.monotonic() - started)
    how = f"t = {t_all:,} for all" if t_all else f"p = {content['p']:.4f}, t_en = {content['t_en']}"
    matched = sum(counted.matched.values())
    receipt.write("thresholds", f"{how}; {deriving.total_expected(content)} of {matched:,} matched pairs expected",
                  {"matched": matched}, None if dry_run else output, time.monotonic() - started, quiet)


def _write(content, counts, output, options_given, seconds):
    import os

    from mc2 import documents, files, manifests
    files.write_bytes(output, documents.dumped(content))
    if output != "-" and os.path.isfile(output):
        manifests.write_for_file(output, manifests.describe_run(
            "thresholds", [os.path.join(counts, "manifest.json")], options_given, {}, seconds))
