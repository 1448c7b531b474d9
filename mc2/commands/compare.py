"""mc2 compare"""
import click

from mc2 import options


@click.command()
@click.argument("a", type=click.Path(exists=True))
@click.argument("b", type=click.Path(exists=True))
@click.option("-m", "--metadata", multiple=True, metavar="DIR", type=click.Path(exists=True, file_okay=False),
              help="Metadata release of one of two curations, to spell out entries; may be repeated. Default: those "
                   "that their manifests name.")
@click.option("--entries", "most_entries", type=click.IntRange(0), default=20, show_default=True, metavar="N",
              help="Of two curations: show so many entries, those that moved most; 0 = all.")
@click.option("--texts", metavar="PAIRS", type=click.Path(exists=True, dir_okay=False, allow_dash=True),
              help="Of two releases: also match the texts of these pairs, which have `lang`, under both.")
@click.option("--lines", type=click.IntRange(0), default=10_000, show_default=True, metavar="N",
              help="Read so many pairs of --texts; 0 = all.")
@options.longest
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
@options.quiet
@options.log_every
@options.verbose
def compare(a, b, metadata, most_entries, texts, lines, longest_line, as_json, quiet):
    """Say how two curations differ, A and B; or two metadata releases.

    Curations are outputs of `mc2 curate`, directories of `mc2 sample -O`, or files of curated pairs: how many pairs
    they share, what moved by language and by entry, and whether as many pairs were drawn as is to be expected.

    \b
    mc2 compare curated-a curated-b
    mc2 compare out-seed0 out-seed1 --json | jq .pairs
    mc2 compare old-metadata metadata --texts lid.jsonl.zst
    """
    from mc2.terminal import show, show_json
    of_releases = _are_releases(a, b)
    if texts and not of_releases:
        raise click.UsageError("--texts is for two releases. Leave it out.")
    found = lines_found = None
    if of_releases:
        found, lines_found = _releases(a, b, texts, lines, longest_line, as_json)
    else:
        from mc2.inspection import curations
        found = _curations(a, b, metadata, most_entries, quiet)
        lines_found = curations.describe(found)
    if as_json:
        show_json(found, pretty=True)
        return
    for line in lines_found:
        show(line)


def _are_releases(a, b):
    from mc2 import files, manifests
    from mc2.metadata import release
    are = [files.is_directory(path) and (manifests.read(path) or {}).get("kind") == release.KIND for path in (a, b)]
    if any(are) and not all(are):
        one, other = (a, b) if are[0] else (b, a)
        raise click.UsageError(f"{one}: is a metadata release, and {other} is none. Name two curations, or two "
                               f"releases.")
    return all(are)


def _releases(a, b, texts, lines, longest, as_json):
    """(facts, lines of text) on two releases, of which one is None."""
    from mc2 import inspection
    if as_json:
        return inspection.facts_of_two(a, b, texts, lines, longest), None
    return None, inspection.compare(a, b, texts, lines, longest)


def _curations(a, b, releases, most_entries, quiet):
    from mc2.inspection import curations
    from mc2.inspection.drawn import Drawn
    from mc2.meter import Meter
    with Meter("compare", "pairs", quiet=quiet, scaled=True) as meter:
        return curations.facts(Drawn(a, releases), Drawn(b, releases), meter, most_entries)
