"""mc2 build-metadata ngrams"""
import os
import time

import click

from mc2 import options
from mc2.commands.build_metadata import shared
from mc2.terminal import say

LARGE = 64 << 20                # bytes, of an input


@click.command()
@click.argument("dumps", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False), metavar="DUMP...")
@click.option("--wiki", required=True, metavar="CODE", help="Wikipedia code, e.g. en or be_tarask.")
@shared.sources
@click.option("--min-count", type=click.IntRange(1), default=5, show_default=True, metavar="N",
              help="Keep bigrams that occur at least N times.")
@click.option("--text", "is_text", is_flag=True,
              help="The inputs are plain text (UTF-8) instead of dumps; a line break ends a bigram.")
@click.option("--segmenter", multiple=True, metavar="CODE=NAME",
              help="The segmenter for a language without spaces, e.g. zh=rjieba; may be repeated. "
                   "Default: the best that is installed.")
@options.jobs
@shared.memory
@options.quiet
@options.receipt
@options.log_every
@options.verbose
def ngrams(dumps, wiki, output, min_count, is_text, segmenter, jobs, memory, quiet):
    """Words and pairs of words of a Wikipedia, to SOURCES/{wiki}.unigram.tsv and .bigram.tsv.

    DUMPs are MediaWiki XML (.bz2, .gz, .zst or plain). Plain ones, and the multistream .bz2 that 'mc2 build-metadata
    urls' names, are read by all processes together; any other is read by one. A run that was stopped goes on
    where it was when the command is given again: finished parts are kept in SOURCES/.{wiki}.ngrams.work until the end.

    A dump of another wiki, by its <dbname>, is refused, and so are dumps without texts (stubs) and files that are no
    dumps. Counted are the pages of namespace 0 that are wikitext and no redirects. No bigram goes across a removed
    template.

    \b
    mc2 build-metadata ngrams --wiki en enwiki-latest-pages-articles-multistream.xml.bz2 -o sources -j 0 --memory 8G
    mc2 build-metadata ngrams --wiki th --text *.txt -o sources --segmenter th=icu
    """
    from mc2.metadata import ngrams as counting
    from mc2.metadata import parts, segmenters, sources
    shared.check_wiki(wiki)
    choice = segmenters.parse_choices(segmenter).get(wiki)
    sources.refuse_foreign_directory(output)
    _refuse_twice(dumps)
    jobs = jobs or len(os.sched_getaffinity(0))
    parts.memory_per_worker(memory, jobs)               # what cannot be done is said before anything is made
    segmenters.splitter_for(wiki, choice)
    shared.begin([output], dumps)
    started = time.monotonic()
    inputs = counting.parts_of(dumps, is_text, wiki)
    if not quiet:
        _say_what_cannot_be_cut(inputs)
    with parts.work_directory(os.path.join(output, f".{wiki}.ngrams.work")) as directory:
        found = counting.count(inputs, wiki, choice, directory, is_text=is_text, min_count=min_count,
                           jobs=jobs, memory=memory,
                           progress=lambda results, total, what: shared.progress(results, f"ngrams: {what}", "parts", quiet, total))
        shared.say_replaced(quiet, output, [(wiki, "unigram"), (wiki, "bigram")])
        made = {"text": is_text, "segmenter": found.segmenter}
        n_unigrams = sources.write(output, wiki, "unigram", found.unigrams, dumps, made,
                                   {**found.read, **found.unigrams_left_out}, time.monotonic() - started)
        n_bigrams = sources.write(output, wiki, "bigram", found.bigrams, dumps, {**made, "min_count": min_count},
                                  {**found.read, **found.bigrams_left_out}, time.monotonic() - started)
    shared.receipt(quiet, "ngrams", f"{wiki}: {_what_was_read(found.read)} in, {n_unigrams:,} unigrams and "
                   f"{n_bigrams:,} bigrams out{_what_was_finished(found)}", output, started)


def _refuse_twice(paths):
    from mc2 import files
    seen = set()
    for path in paths:
        if files.identity(path) in seen and not files.is_special(path):
            raise click.UsageError(f"{path}: is named twice, and would be counted twice. Name it once.")
        seen.add(files.identity(path))


def _say_what_cannot_be_cut(inputs):
    for part in inputs:
        if (part.start, part.stop) == (0, None) and os.path.getsize(part.path) > LARGE:
            say(f"{part.path}: can only be read from its beginning, so one process reads it, and a run that is "
                f"stopped begins it anew. The dumps called ...-multistream.xml.bz2 are read in parts.")


def _what_was_read(read):
    from mc2.metadata import dumps
    left_out = [f"{read[reason]:,} {reason}" for reason in [*dumps.KINDS[1:], *dumps.RARE_KINDS] if read[reason]]
    unit = "pages" if "pages" in read else "lines"
    left_out = ", ".join(left_out[:-2] + [" and ".join(left_out[-2:])])
    left_out = f" ({left_out} left out)" if left_out else ""
    return f"{read[unit]:,} {unit}{left_out}, {read['words']:,} words"


def _what_was_finished(found):
    return f" ({found.finished:,} of {found.parts:,} parts were finished before)" if found.finished else ""
