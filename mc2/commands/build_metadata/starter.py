"""mc2 build-metadata starter"""
import os
import time

import click

from mc2 import options
from mc2.commands.build_metadata import shared
from mc2.terminal import say

MERGED = {"spacing": "wide", "nfc": True}       # for texts of any kind: see spacing.py
AS_OPTIONS = "--spacing wide --nfc"


@click.command()
@click.option("-o", "--output", required=True, metavar="METADATA", help="Directory of the release to write.")
@click.option("--sources", metavar="SOURCES",
              help="Directory of sources to add to. Default: `sources` beside METADATA.")
@click.option("--lang", "langs", multiple=True, metavar="LANG", help="Only this language; may be given several times.")
@click.option("--top", type=click.IntRange(1), default=50_000, show_default=True, metavar="N",
              help="The N most frequent words of each language.")
@click.option("--wordnet", type=click.Path(exists=True, file_okay=False), metavar="DIR",
              help="WordNet's dict directory, for English. Default: /usr/share/wordnet, where it is there.")
@click.option("-j", "--jobs", default=0, show_default=True, metavar="N", type=click.IntRange(0),
              help="Worker processes; 0 = all cores. The output does not depend on it.")
@options.quiet
@options.receipt
@options.log_every
@options.verbose
def starter(output, sources, langs, top, wordnet, jobs, quiet):
    """Make a first release in a minute, of the most frequent words of 45 languages.

    The words come from the lists of the Python package wordfreq (pip install '.[starter]'), each also capitalised, and
    for English from WordNet as well (Debian: wordnet-base). They become sources, which are merged with --spacing wide
    --nfc. A release made of them is CC-BY-SA 4.0, as the lists are; `mc2 inspect` names all licences.

    It is a start and not the metadata of the paper: no pairs of words, no titles, and 45 languages instead of 300. Add
    what it lacks to the same sources (`ngrams`, `titles`, `wordnet`, `import --add`), and merge them again.

    \b
    mc2 build-metadata starter -o metadata
    mc2 build-metadata starter --lang en --lang de --top 200000 -o metadata
    """
    from mc2 import extras, manifests
    from mc2.metadata import languages, merge, release
    from mc2.metadata import sources as sourcing
    from mc2.metadata import starter as words
    extras.need("starter", "wordfreq")
    lists = words.available()
    if unknown := [lang for lang in langs if lang not in lists]:
        raise click.UsageError(f"--lang {unknown[0]}: no list of this language. There are {' '.join(lists)}.")
    directory = sources or os.path.join(os.path.dirname(os.path.normpath(output)), "sources")
    sourcing.refuse_foreign_directory(directory)
    manifests.refuse_foreign_directory(output, release.KIND)
    shared.begin([output, directory], [wordnet])
    started = time.monotonic()
    chosen = {lang: path for lang, path in lists.items() if not langs or lang in langs}
    lemmas = words.write_wordnet(directory, wordnet or words.WORDNET) if "en" in chosen else 0
    _write_lists(chosen, directory, top, jobs, quiet)
    mapping = languages.of_scheme(languages.SCHEMES[0])
    manifest = merge.merge(directory, output, mapping, merge.Caps(), **MERGED, jobs=jobs,
                           progress=lambda made: shared.progress(made, "starter", "languages merged", quiet, len(mapping.langs)),
                           seconds=lambda: time.monotonic() - started)
    if not quiet:
        _say_what_it_is(directory, output, chosen, lemmas)
    shared.receipt(quiet, "starter", f"{manifest['counts']['out']:,} entries, the {top:,} most frequent words of "
                   f"{len(chosen):,} languages{f' and {lemmas:,} lemmas of WordNet' if lemmas else ''}; fingerprint "
                   f"{manifest['fingerprint'][:12]}", output, started)


def _say_what_it_is(directory, output, chosen, lemmas):
    from mc2.metadata import sources as sourcing
    from mc2.metadata import starter as words
    if "en" in chosen and not lemmas and not os.path.exists(os.path.join(directory, sourcing.name_of("en", "wordnet"))):
        say(f"no WordNet in {words.WORDNET}, so English has the frequent words only. Debian has it as wordnet-base.")
    say(f"a start, not the metadata of the paper: no pairs of words, no titles, {len(chosen):,} languages. Add "
          f"to {directory} with 'mc2 build-metadata ngrams|titles|wordnet|import', then run 'mc2 build-metadata merge "
          f"{directory} -o {output} {AS_OPTIONS}'.")


def _write_lists(chosen, directory, top, jobs, quiet):
    import importlib.metadata

    from mc2.execution.processes import map_in_order
    from mc2.metadata.starter import Work
    work = Work(directory, top, importlib.metadata.version("wordfreq"))
    for _ in shared.progress(map_in_order(work, chosen.items(), jobs), "starter", "languages", quiet, len(chosen)):
        pass
