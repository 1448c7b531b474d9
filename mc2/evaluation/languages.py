"""English names of the languages of benchmarks, which write their codes in several ways: de, DE, deu_Latn."""
import csv
import functools

from mc2 import package_data
from mc2.metadata import language_names, languages


def named(code):
    """What people read for a language: its English name and its code, such as `German  de`; the code alone where no
    name is known."""
    name = name_of(code)
    return f"{name}  {code}" if name else code


def name_of(code):
    """The English name of a language by its code in a benchmark, or None where it is not known."""
    of_wikipedia = code.lower().replace("-", "_")
    lang = of_wikipedia if of_wikipedia in languages.wikipedias() else _wikipedia_of().get(code)
    named_here = _of_benchmarks().get(code) or _of_benchmarks().get(of_wikipedia)
    return named_here or (language_names.name_of(lang) if lang else None)


@functools.cache
def _of_benchmarks():
    """{code: name} of languages without a Wikipedia, and of several that share one"""
    rows = csv.DictReader(package_data.text("benchmark_languages.csv").splitlines())
    return {row["lang"]: row["name"] for row in rows}


@functools.cache
def _wikipedia_of():
    """{code of language and script, e.g. deu_Latn: Wikipedia}"""
    found = {}
    for scheme in "glotlid", "openlid", "nllb":         # the last has the codes of FLORES, so its choice holds
        found.update({label: lang for label, lang in languages.of_scheme(scheme).lang_of.items()
                      if lang != languages.OTHER})
    return found
