"""mc2 build-metadata urls"""

import click

from mc2 import options
from mc2.commands.build_metadata import shared
from mc2.terminal import say


@click.command()
@click.option("--wiki", required=True, multiple=True, metavar="CODE",
              help="Wikipedia code; may be given several times. `all` is all 330.")
@click.option("--date", metavar="YYYYMMDD", help="Date of the dump, and last day of pageviews. "
              "Default: the latest dump, and pageviews up to the day before yesterday.")
@click.option("--days", type=click.IntRange(0), default=40, show_default=True, metavar="N",
              help="Days of hourly pageviews; 0 for none.")
@click.option("--missing-from", type=click.Path(exists=True, file_okay=False), metavar="DIR",
              help="Only the URLs of files that are not in DIR: to go on, and to see before a build whether all are "
                   "there.")
@options.quiet
@options.verbose
def urls(wiki, date, days, missing_from, quiet):
    """Print the URLs of dumps and pageviews, for wget or aria2.

    \b
    mc2 build-metadata urls --wiki fr --wiki be_tarask | wget -c -i -
    mc2 build-metadata urls --wiki all --date 20250601 | aria2c -i - -j 2 -c -d mirror
    mc2 build-metadata urls --wiki all --date 20250601 --missing-from mirror
    """
    import datetime

    from mc2.metadata import languages
    from mc2.metadata.urls import dump, missing, pageviews
    if "all" in wiki:
        wiki = languages.of_scheme("lid176").wiki_codes
    for code in wiki:
        shared.check_wiki(code)
    try:
        last_day = datetime.datetime.strptime(date, "%Y%m%d").date() if date \
            else datetime.date.today() - datetime.timedelta(2)
        if date not in (None, f"{last_day:%Y%m%d}"):            # strptime takes 202561, too
            raise ValueError
    except ValueError:
        raise click.UsageError(f"--date {date}: not of the form YYYYMMDD.") from None
    wanted = [*(dump(code, date or "latest") for code in dict.fromkeys(wiki)), *pageviews(last_day, days)]
    printed = missing(wanted, missing_from) if missing_from else wanted
    for url in printed:
        print(url)
    if missing_from and not quiet:
        say(f"urls: {len(printed):,} of {len(wanted):,} files are missing from {missing_from}")
