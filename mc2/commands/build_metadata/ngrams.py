"""mc2 build-metadata ngrams"""
import time

import click

from mc2 import options
from mc2.commands.build_metadata import shared


@click.command()
@click.argument("dumps", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False), metavar="DUMP...")
@click.option("--wiki", required=True, metavar="CODE", help="Wikipedia code, e.g. en or be_tarask.")
@shared.sources
@click.option("--min-count", type=click.IntRange(1), default=5, show_default=True, metavar="N",
              help="Keep bigrams that occur at least N times.")
@options.quiet
@options.verbose
def ngrams(dumps, wiki, output, min_count, quiet):
    """Words and pairs of words of a Wikipedia, to SOURCES/{wiki}.unigram.tsv and .bigram.tsv.

    DUMPs are MediaWiki XML (.bz2, .gz, .zst or plain), read as streams. Languages written with spaces.

    \b
    mc2 build-metadata ngrams --wiki en enwiki-latest-pages-articles*.bz2 -o sources
    """
    from mc2 import languages
    from mc2.metadata import dumps as dump_room
    from mc2.metadata import ngrams as room
    from mc2.metadata import sources, wikitext
    shared.check_wiki(wiki)
    if wiki in languages.WITHOUT_SPACES:
        raise click.UsageError(f"--wiki {wiki}: this language is written without spaces, and its words need a "
                               f"dictionary to be told apart. That is not supported; its wordnet and titles are.")
    sources.refuse_foreign_directory(output)
    started = time.monotonic()
    pages = 0

    def texts():
        nonlocal pages
        for path in dumps:
            for page in dump_room.read_pages(path):
                pages += 1
                yield wikitext.clean(page.text, page.hidden_namespaces)

    unigrams, bigrams = room.count_ngrams(shared.progress(texts(), " pages", quiet))
    seconds, tally = time.monotonic() - started, {"pages": pages, "words": sum(unigrams.values())}
    shared.say_replaced(quiet, output, [(wiki, "unigram"), (wiki, "bigram")])
    n_unigrams = sources.write(output, wiki, "unigram", room.unigram_rows(unigrams), dumps, {}, tally, seconds)
    n_bigrams = sources.write(output, wiki, "bigram", room.bigram_rows(unigrams, bigrams, min_count), dumps,
                              {"min_count": min_count}, tally, seconds)
    shared.receipt(quiet, "ngrams", f"{wiki}: {pages:,} pages, {tally['words']:,} words in, {n_unigrams:,} unigrams and "
             f"{n_bigrams:,} bigrams out", output, started)
