"""mc2 build-metadata wordnet"""
import time

import click

from mc2 import options
from mc2.commands.build_metadata import shared


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True), metavar="FILES...")
@shared.sources
@click.option("--lemmas", type=click.Choice(["first", "all"]), default="first", show_default=True,
              help="Of a WordNet dict directory: the first lemma of each synset, which names it, or all.")
@options.quiet
@options.verbose
def wordnet(paths, output, lemmas, quiet):
    """Lemmas of wordnets, to SOURCES/{wiki}.wordnet.tsv.

    FILES are Open Multilingual Wordnet tab files (also .gz), or WordNet dict directories (data.noun ...).

    \b
    mc2 build-metadata wordnet wn-data-*.tab.gz -o sources
    mc2 build-metadata wordnet /usr/share/wordnet -o sources
    """
    from mc2.metadata import sources
    from mc2.metadata.wordnet import read
    sources.refuse_foreign_directory(output)
    started = time.monotonic()
    lemmas_of, paths_of = {}, {}
    for path in paths:
        code, words = read(path, lemmas)
        lemmas_of.setdefault(code, {}).update(dict.fromkeys(words))
        paths_of.setdefault(code, []).append(path)
    shared.say_replaced(quiet, output, [(code, "wordnet") for code in lemmas_of])
    for code, words in lemmas_of.items():
        sources.write(output, code, "wordnet", ((word, 0) for word in words), paths_of[code], {"lemmas": lemmas})
    shared.receipt(quiet, "wordnet", f"{len(paths):,} wordnets, {sum(map(len, lemmas_of.values())):,} lemmas "
             f"({' '.join(lemmas_of)})", output, started)
