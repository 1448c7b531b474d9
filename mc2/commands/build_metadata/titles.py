"""mc2 build-metadata titles"""
import os
import time

import click

from mc2 import options
from mc2.commands.build_metadata import shared
from mc2.terminal import say

SHOWN = 8                       # names in a message, before it says how many more there are


@click.command()
@click.argument("pageviews", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False),
                metavar="PAGEVIEWS...")
@shared.sources
@click.option("--wiki", multiple=True, metavar="CODE", help="Only this Wikipedia; may be given several times.")
@click.option("--on-error", type=click.Choice(["stop", "skip"]), default="stop", show_default=True,
              help="At a damaged or cut-off file: stop, or leave it out and name it.")
@options.jobs
@shared.memory
@options.quiet
@options.receipt
@options.log_every
@options.verbose
def titles(pageviews, output, wiki, on_error, jobs, memory, quiet):
    """Article titles by pageviews, to SOURCES/{wiki}.title.tsv.

    PAGEVIEWS are Wikimedia's hourly files; desktop and mobile views are added up. A run that was stopped goes on where
    it was when the same command is given again. A title source of an earlier run is replaced, or deleted where its
    Wikipedia has no views in these files.

    \b
    mc2 build-metadata titles pageviews-202506*.gz -o sources -j 0
    mc2 build-metadata titles pageviews-*.gz -o sources -j 16 --memory 64G --on-error skip
    """
    from mc2.metadata import languages, sources
    from mc2.metadata.titles import build
    for code in wiki:
        shared.check_wiki(code)
    sources.refuse_foreign_directory(output)
    shared.begin([output], pageviews)
    started = time.monotonic()
    result = build(
        pageviews, output, wiki or languages.wikipedias(), {"wiki": list(wiki), "on_error": on_error},
        jobs=jobs or len(os.sched_getaffinity(0)), memory=memory, skip_damaged=on_error == "skip",
        progress=lambda results, total, unit: shared.progress(results, "titles", unit, quiet, total),
        before_writing=lambda codes: shared.say_replaced(quiet, output, [(code, "title") for code in codes]))
    if not quiet:
        _say_what_is_missing(result)
    shared.receipt(quiet, "titles", _summary(result, len(pageviews)), output, started)


def _say_what_is_missing(result):
    from mc2.metadata import sources
    missing = [f"{date}-{hour}" for date, row in result.coverage["dates"].items() for hour in row["missing"]]
    for what, names in [("skipped, damaged", list(result.damaged)), ("without a line", result.empty),
                        ("no file of these hours", missing),
                        ("deleted, of an earlier run and without views in this one",
                         [sources.name_of(code, "title") for code in result.removed])]:
        if names:
            more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
            say(f"{what}: {' '.join(names[:SHOWN])}{more}")


def _summary(result, n_files):
    coverage = result.coverage
    hours = f" ({coverage['hours']:,} hours of {len(coverage['dates']):,} days)" if coverage["hours"] else ""
    before = f", {result.parts_done_before:,} of {result.parts:,} parts done before" if result.parts_done_before else ""
    return (f"{n_files - len(result.damaged):,} files{hours}{before}, {_reasons('lines', result.lines)}, "
            f"{_reasons('views', result.views)}, {sum(result.titles.values()):,} titles of "
            f"{len(result.titles):,} Wikipedias out")


def _reasons(what, counts):
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items())
                        if count and reason not in ("in", "kept"))
    return f"{counts['in']:,} {what} in ({dropped or 'all kept'})"
