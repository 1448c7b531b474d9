"""mc2 build-metadata import"""
import time

import click

from mc2 import options
from mc2.commands.build_metadata import shared


@click.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False), metavar="FILE.json")
@click.option("--lang", required=True, metavar="LANG", help="Metadata language of the list, e.g. en.")
@click.option("--languages", metavar="FILE.csv", type=click.Path(exists=True, dir_okay=False),
              help="The mapping that the sources will be merged with, where it is one of your own.")
@shared.sources
@options.quiet
@options.receipt
@options.verbose
def import_list(file, lang, languages, output, quiet):
    """Take a finished list of entries, to SOURCES/{lang}.list.tsv.

    FILE is a JSON array of strings, such as Meta CLIP's released 500,000; `merge` keeps it as it is, so that
    an entry's id is its index in the array.

    \b
    mc2 build-metadata import metadata.json --lang en -o sources
    """
    from mc2.metadata import sources
    from mc2.metadata import languages as mappings
    known = [mappings.of_file(languages)] if languages else map(mappings.of_scheme, mappings.SCHEMES)
    if not any(lang in mapping.langs for mapping in known):
        raise click.UsageError(f"--lang {lang}: no metadata language of {languages or 'any scheme'}. It is the first "
                               f"Wikipedia code of a group, e.g. en or zh_yue.")
    sources.refuse_foreign_directory(output)
    started = time.monotonic()
    entries = sources.read_json_list(file)
    shared.say_replaced(quiet, output, [(lang, "list")])
    sources.write(output, lang, "list", ((entry, 0) for entry in entries), [file], {"lang": lang})
    shared.receipt(quiet, "import", f"{len(entries):,} entries of {lang}", output, started)
