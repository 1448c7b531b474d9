"""mc2 status"""
import click

from mc2 import options


@click.command()
@click.argument("out", type=click.Path(exists=True, file_okay=False))
@options.verbose
def status(out):
    """Say how far the job of `mc2 curate` in OUT is, from any terminal.

    \b
    mc2 status out
    watch -n 5 mc2 status out
    """
    from mc2.execution import progress
    for line in progress.describe(out):
        print(line)
