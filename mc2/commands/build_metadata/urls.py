"""mc2 build-metadata urls"""
import datetime
import re

import click

from mc2 import options
from mc2.commands.build_metadata import shared
from mc2.terminal import say

DAYS = 40


def _month(ctx, param, value):
    """The first day of a month (datetime.date)."""
    if re.fullmatch("[0-9]{4}-[0-9]{2}", value):
        try:
            return datetime.datetime.strptime(value, "%Y-%m").date()
        except ValueError:                                          # month 13
            pass
    raise click.BadParameter(f"{value}: not of the form YYYY-MM.", ctx, param)


def _refuse_both(ctx, days, dates, first_month, last_month):
    """Raise UsageError for options that do not go together."""
    if days is not None and dates is not None:
        raise click.UsageError("--days are consecutive, --dates are drawn at random: give one of them.")
    of_dates = [name for name in ("seed", "first_month", "last_month")
                if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]
    if of_dates and dates is None:
        option = next(option for option in ctx.command.params if option.name == of_dates[0])
        raise click.UsageError(f"{option.opts[0]} is of --dates, which is not given.")
    if first_month > last_month:
        raise click.UsageError(f"--from {first_month:%Y-%m} is after --to {last_month:%Y-%m}.")


@click.command()
@click.option("--wiki", required=True, multiple=True, metavar="CODE",
              help="Wikipedia code; may be given several times. `all` is all 330.")
@click.option("--date", metavar="YYYYMMDD", help="Date of the dump, and last day of pageviews. "
              "Default: the latest dump, and pageviews up to the day before yesterday.")
@click.option("--days", type=click.IntRange(0), metavar="N",
              help="Consecutive days of hourly pageviews; 0 for none.  [default: 40]")
@click.option("--dates", type=click.IntRange(1), metavar="N",
              help="In place of --days: days of pageviews drawn at random, as in the paper, which takes 40.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of --dates: the same seed draws the same dates.")
@click.option("--from", "first_month", callback=_month, default="2018-01", show_default=True, metavar="YYYY-MM",
              help="Of --dates: the first month that days are drawn from.")
@click.option("--to", "last_month", callback=_month, default="2024-05", show_default=True, metavar="YYYY-MM",
              help="Of --dates: the last month that days are drawn from.")
@click.option("--missing-from", type=click.Path(exists=True, file_okay=False), metavar="DIR",
              help="Only the URLs of files that are not in DIR: to go on, and to see before a build whether all are "
                   "there.")
@options.quiet
@options.verbose
@click.pass_context
def urls(ctx, wiki, date, days, dates, seed, first_month, last_month, missing_from, quiet):
    """Print the URLs of dumps and pageviews, for wget or aria2.

    \b
    mc2 build-metadata urls --wiki fr --wiki be_tarask | wget -c -i -
    mc2 build-metadata urls --wiki all --date 20250601 | aria2c -i - -j 2 -c -d mirror
    mc2 build-metadata urls --wiki all --date 20250601 --missing-from mirror
    mc2 build-metadata urls --wiki en --dates 40 --seed 0 --from 2018-01 --to 2024-05
    """
    from mc2.metadata import languages
    from mc2.metadata.urls import days_until, dump, missing, pageviews, random_days
    _refuse_both(ctx, days, dates, first_month, last_month)
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
    viewed = random_days(first_month, last_month, dates, seed) if dates else \
        days_until(last_day, DAYS if days is None else days)
    wanted = [*(dump(code, date or "latest") for code in dict.fromkeys(wiki)), *pageviews(viewed)]
    printed = missing(wanted, missing_from) if missing_from else wanted
    for url in printed:
        print(url)
    if missing_from and not quiet:
        say(f"urls: {len(printed):,} of {len(wanted):,} files are missing from {missing_from}")
