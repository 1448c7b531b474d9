"""English names of the metadata languages, for people who read tables and figures."""
import csv
import functools
import io
from typing import NamedTuple

from mc2 import package_data


class Language(NamedTuple):
    """What a language is called. tag: its BCP 47 tag, for `lang` of HTML, by which browsers choose fonts"""

    name: str
    tag: str


def language_of(lang):
    """The Language of a code as metadata have it: that of a Wikipedia, or `other`. Any other code is its own name."""
    return _languages().get(lang) or Language(lang, lang.replace("_", "-"))


def name_of(lang):
    """The English name of a language, e.g. "Arabic" of "ar"."""
    return language_of(lang).name


@functools.cache
def _languages():
    rows = csv.DictReader(io.StringIO(package_data.text("language_names.csv")))
    return {row["lang"]: Language(row["name"], row["tag"] or row["lang"]) for row in rows}
