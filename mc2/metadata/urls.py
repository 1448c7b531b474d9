"""Where Wikimedia keeps the dumps and the hourly pageview files."""
import datetime

SITE = "https://dumps.wikimedia.org"

# Wikipedias whose database is not called by their code.
_DATABASES = {"be_tarask": "be_x_old"}


def dump(code, date="latest"):
    """Address of the article dump of a Wikipedia. date: YYYYMMDD or "latest"."""
    database = _DATABASES.get(code, code) + "wiki"
    return f"{SITE}/{database}/{date}/{database}-{date}-pages-articles-multistream.xml.bz2"


def pageviews(last_day, days):
    """Addresses of the hourly files of so many days, ending with last_day (datetime.date), oldest first."""
    for ago in reversed(range(days)):
        day = last_day - datetime.timedelta(ago)
        for hour in range(24):
            yield f"{SITE}/other/pageviews/{day:%Y}/{day:%Y-%m}/pageviews-{day:%Y%m%d}-{hour:02}0000.gz"
