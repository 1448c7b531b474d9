"""mc2 images and its subcommands"""
import click

from mc2 import options


@click.group(cls=options.LazyGroup, package=__name__, modules={"pack": "pack"})
def images():
    """Make tars of your own images and their captions, as `mc2 train` reads them.

    \b
    mc2 images pack photos -O tars
    """
