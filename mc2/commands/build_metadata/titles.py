"""mc2 build-metadata titles"""
import time

import click

from mc2 import options
from mc2.commands.build_metadata import shared


@click.command()
@click.argument("pageviews", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False),
                metavar="PAGEVIEWS...")
@shared.sources
@click.option("--wiki", multiple=True, metavar="CODE", help="Only this Wikipedia; may be given several times.")
@options.quiet
@options.verbose
def titles(pageviews, output, wiki, quiet):
    """Article titles by pageviews, to SOURCES/{wiki}.title.tsv.

    PAGEVIEWS are Wikimedia's hourly files; desktop and mobile views are added up.

    \b
    mc2 build-metadata titles pageviews-202506*.gz -o sources
    """
    from mc2 import languages
    from mc2.metadata import sources
    from mc2.metadata import titles as room
    for code in wiki:
        shared.check_wiki(code)
    sources.refuse_foreign_directory(output)
    started = time.monotonic()
    codes = wiki or languages.of_scheme("lid176").wiki_codes
    views, tally = room.count_views(shared.progress(pageviews, " files", quiet), codes)
    shared.say_replaced(quiet, output, [(code, "title") for code in views])
    n_titles = sum(sources.write(output, code, "title", room.rows(of_wiki), pageviews, {"wiki": list(wiki)}, tally,
                                 time.monotonic() - started) for code, of_wiki in sorted(views.items()))
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in sorted(tally.items()) if reason != "in")
    shared.receipt(quiet, "titles", f"{tally['in']:,} lines in ({dropped or 'all kept'}), {n_titles:,} titles of "
             f"{len(views):,} Wikipedias out", output, started)
