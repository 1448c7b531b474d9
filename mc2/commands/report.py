"""mc2 report"""
import click

from mc2 import options


@click.command()
@click.argument("path", metavar="OUT", type=click.Path(exists=True))
@options.output
@click.option("-m", "--metadata", multiple=True, metavar="DIR", type=click.Path(exists=True, file_okay=False),
              help="Metadata release of the curation, to spell out entries, if it is not where the manifest says.")
@click.option("--title", metavar="TEXT", help="Title of the page. Default: OUT.")
@click.option("--fields", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help="What only people can say, as TOML: licence, contact, origin, use, personal, safety, biases, "
                   "citation. Without it the page shows what is to be filled in.")
@click.option("--scores", multiple=True, metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help="Scores to show with a training run, from `mc2 eval ... -o FILE`; may be repeated.")
@click.option("--no-texts", is_flag=True, help="Show no texts of pairs.")
@options.quiet
@options.log_every
@options.verbose
def report(path, output, metadata, title, fields, scores, no_texts, quiet):
    """Write a data card: one page for a browser, which needs no other file and no network.

    OUT is a curation: the output of `mc2 curate`, a directory of `mc2 sample -O`, or a file of curated pairs. Its pairs
    are read once. Shown are pairs by language before and after, thresholds, heads and tails, the entries that lost most,
    examples, why pairs were dropped, how it was made, and what to know before using it. OUT may also be a metadata
    release (its entries by language and source), or the output of `mc2 train` (loss, kept share by language, scores).

    \b
    mc2 report out -o report.html
    mc2 report run --scores scores.jsonl -o run.html
    mc2 report out -o report.html --title "Street signs, 14 languages" --fields card.toml --no-texts
    """
    from mc2 import files
    from mc2.report import page
    from mc2.terminal import say
    if output != "-":
        page.refuse_to_replace(output)
    data = page.html_of(_content(path, metadata, title, fields, scores, not no_texts, quiet))
    files.write_bytes(output, data)
    if not quiet and output != "-":
        say(f"report: {len(data):,} bytes -> {output}")


def _content(path, metadata, title, fields, scores, texts, quiet):
    from mc2 import manifests
    from mc2.inspection.drawn import Drawn
    from mc2.meter import Meter
    from mc2.report import curation
    kind = (manifests.read(path) or {}).get("kind") if path != "-" else None
    if scores and kind != "training run":
        raise click.UsageError("--scores belong to a training run. Leave them out, or name the output of 'mc2 train'.")
    if metadata and kind in ("training run", "metadata"):
        raise click.UsageError(f"-m spells out the entries of a curation, and {path} is none. Leave it out.")
    if kind == "training run":
        from mc2.report import training
        return training.content(path, title, fields, scores)
    if kind == "metadata":
        from mc2.metadata.release import Release
        from mc2.report import release
        return release.content(Release(path), title, fields)
    with Meter("report", "pairs", quiet=quiet, scaled=True) as meter:
        return curation.content(Drawn(path, metadata, "metadata, or the output of 'mc2 train'"), meter, title, fields, texts)
