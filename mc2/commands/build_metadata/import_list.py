"""mc2 build-metadata import"""
import time

import click

from mc2 import options
from mc2.commands.build_metadata import shared
from mc2.terminal import say

EXAMPLES = 3                # of entries that are said to be doubtful


@click.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False), metavar="LIST")
@click.option("--lang", required=True, metavar="LANG", help="Metadata language of the list, e.g. en.")
@click.option("--add", is_flag=True, help="Put the list beside the other sources of the language, as "
                                          "SOURCES/{lang}.NAME.list.tsv; NAME is that of the file.")
@click.option("--replace", is_flag=True, help="Let the list take the place of the other sources of the language.")
@click.option("--languages", metavar="FILE.csv", type=click.Path(exists=True, dir_okay=False),
              help="The mapping that the sources will be merged with, where it is one of your own.")
@shared.sources
@options.quiet
@options.receipt
@options.verbose
def import_list(file, lang, add, replace, languages, output, quiet):
    """Take a list of entries, your own or a finished one, into the sources of a language.

    LIST is a .txt with one entry a line, a .tsv of entry <TAB> weight, or a .json array or object {entry: weight}, also
    .gz or .zst. White space at the ends is taken off. Entries are ranked by weight, which `merge --list-max` goes by.

    Where the language has sources already, say what is to become of them. With --add they stay, and the entries that
    they lack come after theirs, so that the ids of theirs stay too. With --replace, or where there are none, the list
    is all that the language has, as SOURCES/{lang}.list.tsv. There a JSON array, such as Meta CLIP's released 500,000,
    is kept as it is: an entry's id is its index in the array. From all other lists, empty and repeated entries are left
    out and counted.

    \b
    mc2 build-metadata import products.txt --lang en --add -o sources
    mc2 build-metadata import metadata.json --lang en -o sources
    """
    from mc2.metadata import languages as mappings
    from mc2.metadata import lists, sources
    if add and replace:
        raise click.UsageError("--add and --replace exclude each other.")
    known = [mappings.of_file(languages)] if languages else map(mappings.of_scheme, mappings.SCHEMES)
    if not any(lang in mapping.langs for mapping in known):
        raise click.UsageError(f"--lang {lang}: no metadata language of {languages or 'any scheme'}. It is the first "
                               f"Wikipedia code of a group, e.g. en or zh_yue.")
    sources.refuse_foreign_directory(output)
    name = lists.name_of(file)
    before = {kind: sources.rows_in(path) for kind, path in sources.of_language(output, lang).items()}
    if before and not (add or replace):
        raise click.UsageError(f"{output} has sources of {lang} already: {_counted(lang, before)}. Put the list beside "
                               f"them with --add, or in their place with --replace.")
    shared.begin([output], [file, languages])
    started = time.monotonic()
    rows, is_array = lists.read(file)
    rows, tally = lists.finished(file, rows) if is_array and not add else lists.tidied(rows)
    kind = sources.added_list(name) if add else sources.LIST
    n = sources.write(output, lang, kind, rows, [file], {"lang": lang, "add": add}, tally)
    deleted = _delete_added_lists(output, lang, before) if replace else []
    if not quiet:
        _say_what_was_mended(tally)
        _say_what_is_doubtful(rows)
        _say_what_goes(lang, kind, before, deleted, n)
    shared.receipt(quiet, "import", f"{n:,} entries of {lang}, {'added' if add else 'a finished list'}: "
                   f"{sources.name_of(lang, kind)}", output, started)


def _delete_added_lists(output, lang, before):
    """Delete the lists that were added to a language, all that mc2 wrote. Returns their kinds."""
    from mc2.metadata import sources
    return [kind for kind in before if sources.is_added_list(kind) and sources.remove(output, lang, kind)]


def _counted(lang, rows_of):
    """Sources with their numbers of rows. rows_of: {kind: rows}"""
    from mc2.metadata import sources
    return ", ".join(f"{sources.name_of(lang, kind)} {rows:,}" for kind, rows in rows_of.items())


def _say_what_was_mended(tally):
    from mc2.metadata import lists
    if tally[lists.TRIMMED]:
        say(f"white space taken off {tally[lists.TRIMMED]:,} entries")
    if left_out := [f"{tally[reason]:,} {reason}" for reason in lists.LEFT_OUT if tally[reason]]:
        say(f"left out: {', '.join(left_out)}")


def _say_what_is_doubtful(rows):
    from mc2.invisible import escaped
    from mc2.metadata import lists
    for what, entries in lists.doubtful(rows).items():
        say(f"{what}: {len(entries):,} entries ({', '.join(map(escaped, entries[:EXAMPLES]))})")


def _say_what_goes(lang, kind, before, deleted, n):
    """Say which of the sources that there were before this list takes the place of."""
    from mc2.metadata import sources
    if kind != sources.LIST:
        gone, unused = {kind: before[kind]} if kind in before else {}, {}
    else:
        gone = {each: before[each] for each in before if each == kind or each in deleted}
        unused = {each: before[each] for each in before if not sources.is_list(each)}
    if gone:
        say(f"replaced: {_counted(lang, gone)}; now {sources.name_of(lang, kind)} {n:,}")
    if unused:
        say(f"no longer used by merge: {_counted(lang, unused)}; now {sources.name_of(lang, kind)} {n:,}. The files "
            f"stay: delete {sources.name_of(lang, kind)} to use them again.")
    if others := {each: before[each] for each in before if sources.is_added_list(each) and each not in {*gone, kind}}:
        say(f"stays beside it: {_counted(lang, others)}")
