"""mc2 dedup and its subcommands"""
import click

from mc2 import options


@click.group(cls=options.LazyGroup, package=__name__, modules={"urls": "urls", "images": "images"})
def dedup():
    """Leave out what is there twice: pairs, and training images that an evaluation has too.

    \b
    mc2 dedup urls pool/*.jsonl.zst -O unique
    mc2 dedup images 'tars/*.tar' --against imagenet/val --phash -O clean
    """
