"""mc2 filter apply"""
import math

import click

from mc2 import options


def _limits(ctx, param, values):
    """[(key, limit)] of KEY=X."""
    limits = []
    for given in values:
        key, equals, number = given.rpartition("=")
        try:
            limit = float(number)
        except ValueError:
            limit = None
        if not equals or not key or limit is None or not math.isfinite(limit):
            raise click.BadParameter(f"{given!r} is not KEY=X, e.g. violence=0.7.")
        limits.append((key, limit))
    return limits


@click.command()
@options.reads_pairs
@click.option("--nsfw", type=click.FloatRange(0, 1), metavar="X", help="Leave out pairs whose `nsfw` is above X.")
@click.option("--drop-above", multiple=True, metavar="KEY=X", callback=_limits,
              help="Leave out pairs whose KEY is above X; may be given several times.")
@click.option("--drop-below", multiple=True, metavar="KEY=X", callback=_limits,
              help="Leave out pairs whose KEY is below X; may be given several times.")
@click.option("--faces", type=click.Choice(["blur", "drop", "keep"]), default="keep", show_default=True,
              help="Faces: blur them in new tars (needs --tars), leave out their pairs, or do nothing.")
@click.option("--text-flags", type=click.Choice(["drop", "keep"]), default="keep", show_default=True,
              help="Leave out pairs whose text has a word of a list.")
@click.option("--block-ids", multiple=True, metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help="Leave out the ids in FILE, one a line; may be given several times.")
@click.option("--block-hosts", multiple=True, metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help="Leave out pairs whose `url` is of a host in FILE, or of a subdomain of one.")
@click.option("--block-sha256", multiple=True, metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help="Leave out images whose bytes, or those that were downloaded, have a SHA-256 in FILE (needs "
                   "--tars).")
@click.option("--unscored", type=click.Choice(["stop", "drop"]), default="stop", show_default=True,
              help="A pair without a score, or URL, that is asked for: stop, or leave it out.")
@click.option("--tars", multiple=True, metavar="TARS",
              help="Tars of the images, called like the shards: DIR gets new ones, with the images of the pairs that "
                   "stay. A path, a pattern in quotes, a directory or @list.txt; may be given several times.")
@click.option("--quality", type=click.IntRange(1, 100), default=95, show_default=True, metavar="Q",
              help="Of JPEG and WebP images that are encoded anew, because faces in them are blurred.")
def apply(run, nsfw, drop_above, drop_below, faces, text_flags, block_ids, block_hosts, block_sha256, unscored, tars,
          quality):
    """Leave out the pairs whose scores, URLs or images you do not want; blur the faces in their images.

    A pair goes for the first reason that applies: lists, limits, faces, text flags; the receipt counts by reason. Look
    at
    --dry-run first: it shows how many pairs would go at which limit, and needs no limit itself. With --tars, DIR holds
    a tar beside each shard of pairs.

    \b
    mc2 filter apply scored/*.jsonl.zst --dry-run
    mc2 filter apply scored/*.jsonl.zst --nsfw 0.8 --text-flags drop --dropped dropped.jsonl -O safe
    mc2 filter apply scored/*.jsonl.zst --tars tars --nsfw 0.8 --faces blur -O safe -j 0
    mc2 filter apply pairs.jsonl --block-ids removed.txt --block-hosts hosts.txt -o kept.jsonl
    """
    from mc2.safety import rules as kinds
    from mc2.safety.apply import DROP, Apply
    rules = [*map(kinds.BlockedIds, block_ids), *map(kinds.BlockedHosts, block_hosts),
             *map(kinds.BlockedContents, block_sha256)]
    above = [*([("nsfw", nsfw)] if nsfw is not None else []), *drop_above]
    rules += [kinds.Threshold(*each) for each in above] + [kinds.Threshold(*each, above=False) for each in drop_below]
    rules += {"blur": [kinds.Blurred()], "drop": [kinds.Faces()], "keep": []}[faces]
    rules += [kinds.TextFlags()] if text_flags == "drop" else []
    if not rules and not run.dry_run:
        raise click.UsageError("say what to leave out: --nsfw X, --drop-above KEY=X, --drop-below KEY=X, --faces blur "
                               "or drop, --text-flags drop, or a list (--block-ids, --block-hosts, --block-sha256). "
                               "--dry-run shows what limits would do.")
    if faces == "blur":
        from mc2 import extras
        extras.need("safety", "PIL")
    needs_tars = {"--faces blur": faces == "blur" and not run.dry_run, "--block-sha256": bool(block_sha256)}
    for option, needed in needs_tars.items():
        if needed and not tars:
            raise click.UsageError(f"{option} needs the images: --tars TARS.")
    tars_of = _tars_of(run, tars) if tars else None
    if run.dry_run:
        from mc2.safety import dry_run
        from mc2.terminal import show
        show(*dry_run.lines(run, Apply(rules, DROP, tars_of)))
        return
    stage = Apply(rules, unscored, tars_of, None if run.output_dir is None else run.paths.output, quality)
    if tars_of:
        run.refuse_twice(map(stage.tar_of, run.inputs), also=map(tars_of, run.inputs))
    run(stage)


def _tars_of(run, given):
    from mc2 import tar_names
    from mc2.safety.tar_images import Tars
    from mc2.terminal import say
    if run.output_dir is None and not run.dry_run:
        raise click.UsageError("--tars goes with -O DIR: each shard of pairs has its tar.")
    tars = Tars(tar_names.expand(given))
    tars.refuse_missing(run.inputs)
    if strangers := tars.strangers(run.all_inputs or run.inputs):
        say(f"filter apply: {len(strangers):,} tars have no shard of pairs among the inputs and are left out, "
            f"{strangers[0]} for one.")
    return tars
