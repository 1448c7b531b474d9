"""mc2 images and its subcommands"""
import click

from mc2 import options


@click.group(cls=options.LazyGroup, package=__name__, modules={"pack": "pack", "plan": "plan", "check": "check"})
def images():
    """Make tars of your own images and their captions, as `mc2 train` reads them; plan and check a download of others.

    \b
    mc2 images pack photos -O tars
    mc2 images plan curated/*.jsonl.zst -O plan > download.sh
    mc2 images check tars --plan plan
    """
