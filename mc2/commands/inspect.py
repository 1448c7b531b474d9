"""mc2 inspect"""
import os

import click

from mc2 import options


@click.command()
@click.argument("path", default="-")
@click.option("-m", "--metadata", envvar="MC2_METADATA", metavar="DIR",
              help="Metadata release to spell out entries. Default: the one that the manifest names, or `metadata` "
                   "beside the file.")
@click.option("--lines", type=click.IntRange(0), default=10_000, show_default=True, metavar="N",
              help="Read this many pairs; 0 = all.")
@options.verbose
@click.pass_context
def inspect(ctx, path, metadata, lines):
    """Say what PATH is: metadata, sources, counts, thresholds, or pairs (also from stdin).

    \b
    mc2 inspect metadata
    mc2 inspect thresholds.json
    mc2 inspect matched.jsonl.zst
    """
    from mc2 import inspection
    if path == "-":
        options.pair_inputs(ctx, None, None)
    elif not os.path.exists(path):
        raise click.UsageError(f"{path}: no such file or directory.")
    for line in inspection.describe(path, metadata, lines):
        print(line)
