"""mc2 build-metadata wordnet"""
import os
import time
from collections import Counter

import click

from mc2 import options
from mc2.commands.build_metadata import shared
from mc2.terminal import say


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True), metavar="FILES...")
@shared.sources
@click.option("--lemmas", type=click.Choice(["first", "all"]), default="first", show_default=True,
              help="Of a WordNet dict directory: the first lemma of each synset, which names it, or all.")
@click.option("--points", type=click.Choice(["keep", "remove"]), default="keep", show_default=True,
              help="Of Hebrew, Arabic and Syriac lemmas: keep their vowel points, which running text hardly ever has, "
                   "so that they can hardly match, or remove them.")
@options.quiet
@options.receipt
@options.verbose
def wordnet(paths, output, lemmas, points, quiet):
    """Lemmas of wordnets, to SOURCES/{wiki}.wordnet.tsv.

    FILES are Open Multilingual Wordnet tab files (also .gz), or WordNet dict directories (data.noun ...). Markers that
    the wordnets put into lemmas (!, GAP!, [[..]]) are taken out. A tab file of a language for which no Wikipedia is
    known is passed over and named.

    \b
    mc2 build-metadata wordnet omw-data/wns/*/wn-data-*.tab -o sources --points remove
    mc2 build-metadata wordnet /usr/share/wordnet -o sources
    """
    from mc2.metadata import sources
    from mc2.metadata.points import has_points
    from mc2.metadata.wordnet import UnknownCode, read
    sources.refuse_foreign_directory(output)
    shared.begin([output], paths)
    started = time.monotonic()
    lemmas_of, paths_of, tally_of, unknown = {}, {}, {}, []
    for path in paths:
        tally = Counter({"in": 0, "without a word": 0})
        try:
            code, words = read(path, lemmas, points, tally)
        except UnknownCode as error:
            unknown.append(error)
            continue
        lemmas_of.setdefault(code, {}).update(dict.fromkeys(words))
        paths_of.setdefault(code, []).append(path)
        tally_of.setdefault(code, Counter()).update(tally)
    if not lemmas_of:
        raise unknown[0]
    for code, words in lemmas_of.items():
        tally_of[code]["with vowel points"] = sum(map(has_points, words))
    if not quiet:
        _say_what_is_passed_over(unknown, len(paths))
        _say_what_can_hardly_match(lemmas_of, tally_of)
    shared.say_replaced(quiet, output, [(code, "wordnet") for code in lemmas_of])
    for code, words in lemmas_of.items():
        sources.write(output, code, "wordnet", ((word, 0) for word in words), paths_of[code],
                      {"lemmas": lemmas, "points": points}, tally_of[code], **_origin(paths_of[code]))
    total = sum(tally_of.values(), Counter())
    parts = [f"{total['without a word']:,} without a word left out" if total["without a word"] else "",
             f"{total['with vowel points']:,} with vowel points, which can hardly match" if total["with vowel points"]
             else "", f"{len(unknown):,} wordnets passed over" if unknown else ""]
    shared.receipt(quiet, "wordnet", f"{len(paths) - len(unknown):,} wordnets, {sum(map(len, lemmas_of.values())):,} "
                   f"lemmas ({' '.join(lemmas_of)}){''.join(f'; {part}' for part in parts if part)}", output, started)


def _origin(paths):
    """What the manifest says of where the lemmas come from: of a WordNet dict directory alone."""
    from mc2.metadata.wordnet import origin
    return {"origin": origin(paths[0])} if len(paths) == 1 and os.path.isdir(paths[0]) else {}


def _say_what_is_passed_over(unknown, n_paths):
    if unknown:
        say(f"PASSED OVER, {len(unknown):,} of {n_paths:,} files, as no Wikipedia is known for their language codes: "
            f"{', '.join(f'{error.path} ({error.code})' for error in unknown)}")


def _say_what_can_hardly_match(lemmas_of, tally_of):
    for code, tally in tally_of.items():
        if tally["with vowel points"]:
            say(f"CAN HARDLY MATCH: {tally['with vowel points']:,} of {len(lemmas_of[code]):,} lemmas of {code} have "
                f"vowel points, which running text hardly ever has. Take the points out with --points remove.")
