"""mc2 status"""
import click

from mc2 import options
from mc2.terminal import show


@click.command()
@click.argument("out", type=click.Path(exists=True, file_okay=False))
@options.verbose
def status(out):
    """Say how far the work in OUT is, the output directory of `mc2 curate` or of a command with -O.

    \b
    mc2 status out
    mc2 status matched
    watch -n 5 mc2 status out
    """
    from mc2.execution import progress
    for line in progress.describe(out):
        show(line)
