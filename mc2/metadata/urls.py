"""The URLs of Wikimedia's dumps and hourly pageview files."""
import datetime
import os
import re

from mc2.errors import BadUsage
from mc2.hashing import keyed_hash
from mc2.metadata import languages
from mc2.metadata import pageviews as files_of_views

SITE = "https://dumps.wikimedia.org"

# Wikipedias whose database has another name than their code.
_DATABASES = {"be_tarask": "be_x_old"}


def dump(code, date="latest"):
    """URL of the article dump of a Wikipedia. date: YYYYMMDD or "latest"."""
    database = database_of(code)
    return f"{SITE}/{database}/{date}/{database}-{date}-pages-articles-multistream.xml.bz2"


def database_of(code):
    """The name of a Wikipedia's database, as dumps have it."""
    return _DATABASES.get(code, code) + "wiki"


def code_of(database):
    """The Wikipedia code of a database; None where it is of another wiki."""
    name = database.replace("-", "_").removesuffix("wiki")
    code = {**files_of_views.ALIASES, **{old: new for new, old in _DATABASES.items()}}.get(name, name)
    return code if database.endswith("wiki") and code in languages.wikipedias() else None


def database_of_site(url):
    """The name of the database of one of Wikimedia's sites, by its URL (https://en.wiktionary.org/...: enwiktionary);
    None for other sites."""
    site = re.match(r"https?://([\w-]+)\.(wiki(?:pedia|books|news|quote|source|versity|voyage|media)|wiktionary)\.org/",
                    url)
    return site and site[1].replace("-", "_") + site[2].replace("pedia", "")


def days_until(last_day, number):
    """[datetime.date] of so many days, the last one last."""
    return [last_day - datetime.timedelta(ago) for ago in reversed(range(number))]


def random_days(first_month, last_month, number, seed):
    """[datetime.date] of so many days drawn from these months, both included, oldest first. A smaller number with the
    same seed draws some of the same days.

    first_month, last_month: the first day of each (datetime.date). BadUsage where they have fewer days.
    """
    after = (last_month + datetime.timedelta(31)).replace(day=1)
    every = [first_month + datetime.timedelta(day) for day in range((after - first_month).days)]
    if len(every) < number:
        raise BadUsage(f"{number:,} dates: there are {len(every):,} days from {first_month:%Y-%m} to "
                       f"{last_month:%Y-%m}.")
    return sorted(sorted(every, key=lambda day: keyed_hash("date", str(seed), f"{day:%Y%m%d}"))[:number])


def pageviews(days):
    """Yield the URLs of the hourly files of these days (datetime.date)."""
    for day in days:
        for hour in files_of_views.HOURS:
            yield f"{SITE}/other/pageviews/{day:%Y}/{day:%Y-%m}/{files_of_views.file_name(day, hour)}"


def missing(urls, directory):
    """The URLs (list) whose file is not in the directory or below it, is empty, or is still being fetched by aria2."""
    there = set()
    for path, _, names in os.walk(directory):
        there |= {name for name in names if f"{name}.aria2" not in names and os.path.getsize(os.path.join(path, name))}
    return [url for url in urls if url.rpartition("/")[2] not in there]
