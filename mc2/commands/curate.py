"""mc2 curate"""
import click

from mc2 import options
from mc2.commands.lid import identification
from mc2.commands.sample import check_uids
from mc2.commands.thresholds import ways_to_t
from mc2.terminal import say, show_row


@click.command()
@options.inputs
@options.reads_columns
@options.metadata
@click.option("-o", "--output", required=True, metavar="OUT", help="Directory of the job; see below.")
@click.option("-j", "--jobs", default=0, show_default=True, metavar="N", type=click.IntRange(0),
              help="Worker processes of --executor local; 0 = all cores.")
@options.executor_options
@click.option("--engine", "old_engine", type=click.Choice(["local", "ray", "slurm"]), hidden=True,
              help="The old name of --executor.")
@click.option("--keep-matched/--no-keep-matched", default=True, show_default=True,
              help="Keep OUT/matched, the pairs that are drawn from.")
@identification("--lid-engine")
@click.option("--match-engine", type=click.Choice(["native", "pyahocorasick"]),
              help="What does the matching; the result is the same. Default: native, where it is built.")
@options.ids
@ways_to_t
@options.seed
@click.option("--one-per-image", is_flag=True,
              help="Of the adjacent lines of one id that matched, draw for one, chosen by the seed.")
@click.option("--uids", metavar="FILE.npy",
              help="Write the ids that are kept, which must be DataComp uids, in DataComp's subset form too.")
@options.shard
@options.force
@options.dry_run
@click.option("--on-error", type=click.Choice(["stop", "skip"]), default="stop", show_default=True,
              help="At a line that is not a pair: fail its shard, or put the line into OUT/quarantine with the reason.")
@options.longest
@options.dropped
@options.quiet
@options.receipt
@options.log_every
@options.verbose
@click.pass_context
def curate(ctx, inputs, metadata, output, old_engine, quiet, dry_run, force, shard, jobs, reading, **params):
    """Curate a POOL of shards: lid, match, count, thresholds and sample, as one job that can be resumed.

    INPUTS are the shards of the pool. The same command, run again, goes on where it was stopped, and does anew what
    has changed. OUT holds counts/, thresholds.json, matched/ and curated/ (with a shard for every shard of the
    pool), logs/ and manifest.json. `mc2 status OUT` tells how far it is.

    \b
    mc2 curate pool/*.jsonl.zst -m metadata --t-en 170000 --seed 0 -o out
    mc2 curate pool/*.jsonl.zst -m metadata --pairs 400M -o out
    mc2 curate captions.csv --id auto --text caption -m metadata --t-en 20 -o out
    mc2 curate @pool.txt -m metadata --t-en 170000 -o out --executor ray --address auto
    mc2 curate @pool.txt -m metadata --t-en 170000 -o out --executor slurm --slurm-option --partition=cpu
    """
    import contextlib
    import dataclasses
    import os

    from mc2.curate import job
    from mc2.curate.phases import names_in
    from mc2.execution import receipt
    from mc2.execution.progress import Progress
    from mc2.execution.run import refuse_twice
    pool, whole_pool = _pool(ctx, inputs, shard, reading), _pool(ctx, inputs, None, reading)
    check_uids(params["uids"])
    job.refuse_foreign_directory(output)
    read = [path for path in (*whole_pool, metadata, params["ids"], params["model"], params["languages"]) if path]
    written = [path for path in (params["uids"], params["dropped"]) if path]
    job.refuse_paths_within(output, [*read, *written, *receipt.paths()])
    refuse_twice(written, read)
    executor = {name: params.pop(name) for name in options.EXECUTOR_OPTIONS}
    executor["executor"] = _renamed(old_engine) or executor["executor"]
    make_executor = options.executor_of(jobs, **executor)
    settings = _settings(metadata, **params)
    settings.reading = dataclasses.replace(reading, name=names_in(output, whole_pool).of_input)
    if dry_run:
        for state, name in job.Job(pool, output, settings, None).plan():
            show_row(state, name)
        return
    options.say_how_to_be_faster(quiet)
    if force and executor["print_only"]:
        raise click.UsageError("-f deletes what is done, and --print is to change nothing. Leave one of the two out.")
    if not executor["print_only"]:
        receipt.begin()
    work = os.path.join(output, ".work")
    with contextlib.closing(make_executor(work, "curate")) as chosen:
        its_job = job.Job(pool, output, settings, chosen, Progress("curate", work, quiet), whole_pool)
        if force:
            its_job.forget()
        with options.printing_scripts(executor["print_only"]):
            manifest = its_job.run()
            lines = list(job.summary(manifest, output, its_job))
            if not quiet:
                for line in lines:
                    say(line)
            receipt.keep("curate", lines[-1].removeprefix("curate: "), output, manifest["seconds"], manifest["counts"],
                         languages=manifest["languages"])


def _renamed(old_engine):
    """The executor that --engine names, which is now called --executor; None without it."""
    if old_engine:
        say("curate: --engine is now called --executor, as in all commands. The old name goes in a later version.")
    return old_engine


def _pool(ctx, inputs, shard, reading):
    """The shards, which must be files with names of their own."""
    from mc2.execution import names
    from mc2.pairs import shards
    if inputs is None:
        raise click.UsageError("name the shards of the pool.")
    if "-" in inputs:
        raise click.UsageError("the pool cannot be read from stdin: its shards are what a job is resumed by.")
    inputs = options.pair_inputs(ctx, inputs, shard)
    shards.refuse_unopenable(inputs, map(names.of(inputs), inputs), reading)
    return inputs


def _settings(metadata, t_en, p, t_all, pairs, min_t, seed, one_per_image, on_error, longest_line, keep_matched, ids, uids,
              dropped, match_engine, scheme, languages, lid_engine, **how):
    from mc2.commands.lid import identify
    from mc2.commands.thresholds import check_one_way
    from mc2.curate.job import Settings
    from mc2.metadata.matching import Metadata
    from mc2.metadata.release import mapping_of
    from mc2.stages.ids import IdList
    from mc2.stages.match import Annotator
    check_one_way(t_en, p, t_all, pairs)
    opened = Metadata(metadata, match_engine)
    mapping = mapping_of(metadata, scheme, languages)
    stages = [*([IdList(ids)] if ids else []), identify(mapping, lid_engine, **how),
              Annotator(opened)]
    return Settings(stages=stages, release=opened.release, dropped=dropped,
                    thresholds={"t_en": t_en, "p": p, "t_all": t_all, "min_t": min_t, **({"pairs": pairs} if pairs else {})},
                    seed=seed, one_per_image=one_per_image, uids=uids, skip_bad=on_error == "skip", longest=longest_line,
                    keep_matched=keep_matched)
