"""mc2 status"""
import click

from mc2 import options
from mc2.terminal import show, show_json


@click.command()
@click.argument("out", type=click.Path(exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines, one for each part of the work.")
@options.verbose
def status(out, as_json):
    """Say how far the work in OUT is, the output directory of `mc2 curate` or of a command with -O.

    \b
    mc2 status out
    mc2 status matched
    watch -n 5 mc2 status out
    mc2 status out --json | jq .done
    """
    from mc2.execution import progress
    if as_json:
        for state in progress.as_json(out):
            show_json(state)
        return
    for line in progress.describe(out):
        show(line)
