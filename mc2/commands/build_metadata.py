"""mc2 build-metadata and its subcommands"""
import decimal
import sys
import time

import click

from mc2 import options

SOURCES = click.option("-o", "--output", required=True, metavar="SOURCES", help="Directory of sources to add to.")


@click.group(name="build-metadata", cls=options.Group)
def build_metadata():
    """Build the metadata that texts are matched against.

    \b
    Wordnets, Wikipedia dumps, pageviews and lists become sources; sources become a release:
      mc2 build-metadata wordnet wn-data-*.tab /usr/share/wordnet -o sources
      mc2 build-metadata ngrams --wiki en enwiki-latest-pages-articles.xml.bz2 -o sources
      mc2 build-metadata titles pageviews-*.gz -o sources
      mc2 build-metadata merge sources -o metadata
    """


@build_metadata.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True), metavar="FILES...")
@SOURCES
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
    from mc2.metadata import wordnet as room
    sources.refuse_foreign_directory(output)
    started = time.monotonic()
    lemmas_of, paths_of = {}, {}
    for path in paths:
        code, words = room.read(path, lemmas)
        lemmas_of.setdefault(code, {}).update(dict.fromkeys(words))
        paths_of.setdefault(code, []).append(path)
    _say_replaced(quiet, output, [(code, "wordnet") for code in lemmas_of])
    for code, words in lemmas_of.items():
        sources.write(output, code, "wordnet", ((word, 0) for word in words), paths_of[code], {"lemmas": lemmas})
    _receipt(quiet, "wordnet", f"{len(paths):,} wordnets, {sum(map(len, lemmas_of.values())):,} lemmas "
             f"({' '.join(lemmas_of)})", output, started)


@build_metadata.command()
@click.argument("dumps", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False), metavar="DUMP...")
@click.option("--wiki", required=True, metavar="CODE", help="Wikipedia code, e.g. en or be_tarask.")
@SOURCES
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
    _check_wiki(wiki)
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

    unigrams, bigrams = room.count_ngrams(_progress(texts(), " pages", quiet))
    seconds, tally = time.monotonic() - started, {"pages": pages, "words": sum(unigrams.values())}
    _say_replaced(quiet, output, [(wiki, "unigram"), (wiki, "bigram")])
    n_unigrams = sources.write(output, wiki, "unigram", room.unigram_rows(unigrams), dumps, {}, tally, seconds)
    n_bigrams = sources.write(output, wiki, "bigram", room.bigram_rows(unigrams, bigrams, min_count), dumps,
                              {"min_count": min_count}, tally, seconds)
    _receipt(quiet, "ngrams", f"{wiki}: {pages:,} pages, {tally['words']:,} words in, {n_unigrams:,} unigrams and "
             f"{n_bigrams:,} bigrams out", output, started)


@build_metadata.command()
@click.argument("pageviews", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False),
                metavar="PAGEVIEWS...")
@SOURCES
@click.option("--wiki", multiple=True, metavar="CODE", help="Only this Wikipedia; may be given several times.")
@options.quiet
@options.verbose
def titles(pageviews, output, wiki, quiet):
    """Article titles by pageviews, to SOURCES/{wiki}.title.tsv.

    PAGEVIEWS are Wikimedia's hourly files; desktop and mobile views are added up.

    \b
    mc2 build-metadata titles pageviews-202506*.gz -o sources
    """
    from mc2 import languages
    from mc2.metadata import sources
    from mc2.metadata import titles as room
    for code in wiki:
        _check_wiki(code)
    sources.refuse_foreign_directory(output)
    started = time.monotonic()
    codes = wiki or languages.of_scheme("lid176").wiki_codes
    views, tally = room.count_views(_progress(pageviews, " files", quiet), codes)
    _say_replaced(quiet, output, [(code, "title") for code in views])
    n_titles = sum(sources.write(output, code, "title", room.rows(of_wiki), pageviews, {"wiki": list(wiki)}, tally,
                                 time.monotonic() - started) for code, of_wiki in sorted(views.items()))
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in sorted(tally.items()) if reason != "in")
    _receipt(quiet, "titles", f"{tally['in']:,} lines in ({dropped or 'all kept'}), {n_titles:,} titles of "
             f"{len(views):,} Wikipedias out", output, started)


@build_metadata.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False), metavar="FILE.json")
@click.option("--lang", required=True, metavar="LANG", help="Metadata language of the list, e.g. en.")
@SOURCES
@options.quiet
@options.verbose
def import_list(file, lang, output, quiet):
    """Take a finished list of entries, to SOURCES/{lang}.list.tsv.

    FILE is a JSON array of strings, such as Meta CLIP's released 500,000; `merge` keeps it as it is, so that
    an entry's id is its index in the array.

    \b
    mc2 build-metadata import metadata.json --lang en -o sources
    """
    from mc2 import languages
    from mc2.metadata import sources
    if not any(lang in languages.of_scheme(scheme).langs for scheme in languages.SCHEMES):
        raise click.UsageError(f"--lang {lang}: no metadata language of any scheme. It is the first Wikipedia code "
                               f"of a group, e.g. en or zh_yue.")
    sources.refuse_foreign_directory(output)
    started = time.monotonic()
    entries = sources.read_json_list(file)
    _say_replaced(quiet, output, [(lang, "list")])
    sources.write(output, lang, "list", ((entry, 0) for entry in entries), [file], {"lang": lang})
    _receipt(quiet, "import", f"{len(entries):,} entries of {lang}", output, started)


class Share(click.ParamType):
    """An exact decimal between 0 and 1."""

    name = "share"

    def convert(self, value, param, ctx):
        try:
            share = decimal.Decimal(str(value))
        except decimal.InvalidOperation:
            self.fail(f"{value!r} is not a decimal number.", param, ctx)
        if not (share.is_finite() and 0 <= share <= 1):
            self.fail(f"{value} is not between 0 and 1.", param, ctx)
        return share


@build_metadata.command()
@click.argument("directory", type=click.Path(exists=True), metavar="SOURCES")
@click.option("-o", "--output", required=True, metavar="METADATA", help="Directory of the release to write.")
@click.option("--scheme", type=click.Choice(options.SCHEMES), default="lid176", show_default=True,
              help="Labels of the LID model to be used, which group the Wikipedias into languages.")
@click.option("--unigram-share", type=Share(), default="0.10", show_default=True, metavar="X",
              help="Keep this share of the distinct words ...")
@click.option("--unigram-max", type=click.IntRange(0), default=251_465, show_default=True, metavar="N",
              help="... and at most so many.")
@click.option("--bigram-share", type=Share(), default="0.40", show_default=True, metavar="X",
              help="Keep as many bigrams as this share of the kept unigrams ...")
@click.option("--bigram-max", type=click.IntRange(0), default=100_646, show_default=True, metavar="N",
              help="... and at most so many.")
@click.option("--title-share", type=Share(), default="0.76", show_default=True, metavar="X",
              help="Keep this share of the titles ...")
@click.option("--title-max", type=click.IntRange(0), default=61_235, show_default=True, metavar="N",
              help="... and at most so many.")
@click.option("--min-pmi", type=float, metavar="X", help="Keep bigrams with at least this PMI. Default: any.")
@options.quiet
@options.verbose
def merge(directory, output, scheme, quiet, **caps):
    """Merge SOURCES into a metadata release.

    \b
    mc2 build-metadata merge sources -o metadata
    """
    from mc2 import languages
    from mc2.metadata import merge as room
    from mc2.metadata import sources
    started = time.monotonic()
    manifest = room.merge(directory, output, languages.of_scheme(scheme), scheme, room.Caps(**caps),
                          lambda: time.monotonic() - started)
    if quiet:
        return
    if others := sources.others(directory):
        print(f"not a source, so not used: {' '.join(others)}", file=sys.stderr)
    if manifest["replaced_by_lists"]:
        print(f"taken from a list, so not used: {' '.join(manifest['replaced_by_lists'])}", file=sys.stderr)
    if bare := room.without_sources(manifest):
        print(f"numbers only, for want of sources: {' '.join(bare)}", file=sys.stderr)
    _receipt(quiet, "merge", f"{manifest['counts']['out']:,} entries in {len(manifest['languages']):,} languages, "
             f"{len(bare):,} of them without sources; fingerprint {manifest['fingerprint'][:12]}", output, started)


@build_metadata.command(name="compile")
@click.argument("metadata", type=click.Path(exists=True, file_okay=False), metavar="METADATA")
@options.quiet
@options.verbose
def compile_matchers(metadata, quiet):
    """Compile METADATA for the native engine: one METADATA/{lang}.matcher per language.

    `merge` does it too. Compiled matchers are a cache: those that are whole and sound are left as they are,
    missing, damaged and outdated ones are made anew.

    \b
    mc2 build-metadata compile metadata
    """
    from mc2 import compiled, engines
    from mc2.metadata.release import Release
    engines.choose("match", "native")
    started = time.monotonic()
    release = Release(metadata)
    made = compiled.compile_release(release)
    _receipt(quiet, "compile", f"{made:,} of {len(release.langs):,} languages compiled", metadata, started)


@build_metadata.command()
@click.option("--wiki", required=True, multiple=True, metavar="CODE",
              help="Wikipedia code; may be given several times. `all` is all 330.")
@click.option("--date", metavar="YYYYMMDD", help="Date of the dump, and last day of pageviews. "
              "Default: the latest dump, and pageviews up to the day before yesterday.")
@click.option("--days", type=click.IntRange(0), default=40, show_default=True, metavar="N",
              help="Days of hourly pageviews; 0 for none.")
def urls(wiki, date, days):
    """Print the addresses of dumps and pageviews, for wget or aria2.

    \b
    mc2 build-metadata urls --wiki fr --wiki be_tarask | wget -c -i -
    mc2 build-metadata urls --wiki all --date 20250601 | aria2c -i - -j 2 -c
    """
    import datetime

    from mc2 import languages
    from mc2.metadata import urls as room
    if "all" in wiki:
        wiki = languages.of_scheme("lid176").wiki_codes
    for code in wiki:
        _check_wiki(code)
    try:
        last_day = datetime.datetime.strptime(date, "%Y%m%d").date() if date \
            else datetime.date.today() - datetime.timedelta(2)
    except ValueError:
        raise click.UsageError(f"--date {date}: not of the form YYYYMMDD.") from None
    for code in wiki:
        print(room.dump(code, date or "latest"))
    for url in room.pageviews(last_day, days):
        print(url)


def _check_wiki(code):
    from mc2 import languages
    if code not in languages.of_scheme("lid176").wiki_codes:
        hint = code.replace("-", "_")
        also = f" Did you mean {hint}?" if hint in languages.of_scheme("lid176").wiki_codes else ""
        raise click.UsageError(f"--wiki {code}: no Wikipedia of the 330 has this code.{also}")


def _progress(items, unit, quiet):
    from tqdm import tqdm
    return tqdm(items, unit=unit, unit_scale=True, leave=False, disable=quiet or not sys.stderr.isatty())


def _say_replaced(quiet, output, made):
    """Name the sources of an earlier run that this one replaces. made: list of (code, kind)."""
    import os

    from mc2.metadata import sources
    names = [name for code, kind in made if os.path.exists(os.path.join(output, name := sources.name_of(code, kind)))]
    if names and not quiet:
        print(f"replaced: {' '.join(names)}", file=sys.stderr)


def _receipt(quiet, name, summary, output, started):
    from mc2.pipeline import duration
    if not quiet:
        print(f"{name}: {summary} -> {output} ({duration(time.monotonic() - started)})", file=sys.stderr)
