"""mc2 filter and its subcommands"""
import shlex

import click

from mc2 import options


class Filter(options.LazyGroup):
    """A group that says where its own options of earlier versions went."""

    def parse_args(self, ctx, args):
        before = next((index for index, each in enumerate(args) if each.split("=")[0] in ("--with", "--set")), None)
        if before is not None and not set(args[:before]) & set(self.modules) and not ctx.resilient_parsing:
            raise click.UsageError("a class of your own is a command of its own now: mc2 filter pairs "
                                   f"{shlex.join(args)}", ctx)
        return super().parse_args(ctx, args)


@click.group(cls=Filter, package=__name__, modules={"score": "score", "apply": "apply", "pairs": "pairs"})
def filter():
    """Safety: score images and texts, then leave out what you do not want, and blur faces. Or use a class of your own.

    \b
    mc2 filter score pairs/*.jsonl.zst --tars tars --nsfw --faces --words slurs=slurs.txt -O scored
    mc2 filter apply scored/*.jsonl.zst --nsfw 0.8 --text-flags drop --dry-run
    mc2 filter apply scored/*.jsonl.zst --tars tars --nsfw 0.8 --faces blur --text-flags drop -O safe
    mc2 filter pairs pairs.jsonl --with my_filters:Short -o kept.jsonl
    """
