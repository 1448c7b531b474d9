"""mc2 inspect"""
import click

from mc2 import options


@click.command()
@click.argument("path", default="-")
@click.option("-m", "--metadata", envvar="MC2_METADATA", metavar="DIR",
              help="Metadata release to spell out entries. Default: the one that the manifest names, or `metadata` "
                   "beside the file.")
@click.option("--lines", type=click.IntRange(0), default=10_000, show_default=True, metavar="N",
              help="Read this many pairs; 0 = all.")
@click.option("--against", metavar="DIR", type=click.Path(exists=True),
              help="Compare the metadata release PATH with this one.")
@click.option("--texts", metavar="PAIRS", type=click.Path(exists=True, dir_okay=False, allow_dash=True),
              help="With --against: also match the texts of these pairs, which have `lang`, under both releases.")
@options.verbose
@click.pass_context
def inspect(ctx, path, metadata, lines, against, texts):
    """Say what PATH is: metadata (packed too), sources, counts, thresholds, or pairs (also from stdin).

    \b
    mc2 inspect metadata
    mc2 inspect thresholds.json
    mc2 inspect matched.jsonl.zst
    mc2 inspect metadata --against older-metadata
    mc2 inspect wide --against published --texts lid.jsonl.zst
    """
    from mc2 import files, inspection
    if texts and not against:
        raise click.UsageError("--texts goes with --against: name two releases.")
    if path == "-" and against:
        raise click.UsageError("--against compares two releases: name the first one too.")
    if path == "-":
        options.pair_inputs(ctx, None, None)
    elif not files.exists(path):
        raise click.UsageError(f"{path}: no such file or directory.")
    described = inspection.compare(path, against, texts, lines) if against else \
        inspection.describe(path, metadata, lines)
    for line in described:
        print(line)
