"""mc2 curate"""
import click

from mc2 import options
from mc2.commands.lid import identification
from mc2.commands.sample import check_uids
from mc2.commands.thresholds import ways_to_t


@click.command()
@options.inputs
@options.metadata
@click.option("-o", "--output", required=True, metavar="OUT", help="Directory of the job; see below.")
@click.option("--engine", type=click.Choice(["local", "ray", "slurm"]), default="local", show_default=True,
              help="Where the work is done. The result is the same.")
@click.option("-j", "--jobs", default=0, show_default=True, metavar="N", type=click.IntRange(0),
              help="Worker processes of --engine local; 0 = all cores.")
@click.option("--address", metavar="HOST:PORT", help="Head of the cluster of --engine ray, or `auto`. Default: Ray on "
                                                     "this machine alone.")
@click.option("--slurm-option", multiple=True, metavar="--X=Y", help="Line for sbatch, e.g. --partition=cpu; may be "
                                                                     "given several times.")
@click.option("--slurm-groups", default=800, show_default=True, metavar="N", type=click.IntRange(1),
              help="Most tasks of an array job.")
@click.option("--print", "print_only", is_flag=True, help="Of --engine slurm: print the script of the next phase, and "
                                                          "submit nothing.")
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
@options.quiet
@options.verbose
def curate(inputs, metadata, output, engine, quiet, dry_run, force, **params):
    """Curate a POOL of shards: lid, match, count, thresholds and sample, as one job that can be resumed.

    INPUTS are the shards of the pool. The same command, run again, goes on where it was stopped, and does anew what
    has changed. OUT holds counts/, thresholds.json, matched/ and curated/ (with a shard for every shard of the
    pool), logs/ and manifest.json. `mc2 status OUT` tells how far it is.

    \b
    mc2 curate pool/*.jsonl.zst -m metadata --t-en 170000 --seed 0 -o out
    mc2 curate @pool.txt -m metadata --t-en 170000 -o out --engine ray --address auto
    mc2 curate @pool.txt -m metadata --t-en 170000 -o out --engine slurm --slurm-option --partition=cpu
    """
    import sys

    from mc2.curate import job
    from mc2.execution import slurm
    pool = _pool(inputs, params.pop("shard"))
    check_uids(params["uids"])
    job.refuse_foreign_directory(output)
    job.refuse_inputs_within(output, [path for path in (*pool, metadata, params["ids"], params["uids"]) if path])
    settings = _settings(metadata, **{name: params[name] for name in params if name not in ENGINE_OPTIONS})
    if dry_run:
        engine_of = None
    else:
        engine_of = _engine(engine, output, **{name: params[name] for name in ENGINE_OPTIONS})
    work = job.Job(pool, output, settings, engine_of, quiet)
    if dry_run:
        for state, shard in work.plan():
            print(state, shard, sep="\t")
        return
    if force and params["print_only"]:
        raise click.UsageError("-f deletes what is done, and --print is to change nothing. Leave one of the two out.")
    if force:
        work.forget()
    try:
        manifest = work.run()
    except slurm.Printed as printed:
        with open(printed.args[0], encoding="utf-8") as stream:
            sys.stdout.write(stream.read())
        return
    finally:
        if engine_of is not None and hasattr(engine_of, "close"):
            engine_of.close()
    if not quiet:
        for line in job.summary(manifest, output, work.warnings, work.changed):
            print(line, file=sys.stderr)


ENGINE_OPTIONS = ("jobs", "address", "slurm_option", "slurm_groups", "print_only")


def _pool(inputs, shard):
    """The shards, which must be files with names of their own."""
    import collections

    from mc2 import files
    if inputs is None:
        raise click.UsageError("name the shards of the pool.")
    if "-" in inputs:
        raise click.UsageError("the pool cannot be read from stdin: its shards are what a job is resumed by.")
    inputs = options.pair_inputs(click.get_current_context(), inputs, shard)
    for path in inputs:
        files.refuse_unwritable(files.base_name(path), parquet=True)      # outputs are as inputs
    twice = [name for name, times in collections.Counter(map(files.base_name, inputs)).items() if times > 1]
    if twice:
        raise click.UsageError(f"two shards are called {twice[0]}, and each gives its name to its outputs.")
    return inputs


def _engine(name, output, jobs, address, slurm_option, slurm_groups, print_only):
    import os
    _refuse_foreign_options(name, {"ray": {"--address": address},
                                   "slurm": {"--slurm-option": slurm_option, "--print": print_only}})
    if name == "ray":
        from mc2.execution.ray import Ray
        return Ray(address)
    if name == "slurm":
        from mc2.execution.slurm import Slurm
        return Slurm(os.path.join(output, ".work", "slurm"), slurm_option, slurm_groups, print_only)
    from mc2.execution.local import Local
    return Local(jobs)


def _refuse_foreign_options(engine, given):
    for owner, values in given.items():
        for option, value in values.items():
            if value and owner != engine:
                raise click.UsageError(f"{option} is for --engine {owner}.")


def _settings(metadata, t_en, p, t_all, min_t, seed, one_per_image, on_error, keep_matched, ids, uids, match_engine, scheme,
              languages, model, single, min_prob, no_evidence, lid_engine, **cleaning):
    from mc2.commands.lid import identify
    from mc2.metadata.release import mapping_of
    from mc2.commands.thresholds import check_one_way
    from mc2.curate.job import Settings
    from mc2.metadata.matching import Metadata
    from mc2.stages.ids import IdList
    from mc2.stages.match import Annotator
    check_one_way(t_en, p, t_all)
    opened = Metadata(metadata, match_engine)
    mapping = mapping_of(metadata, scheme, languages)
    stages = [identify(mapping, model, single, min_prob, no_evidence, lid_engine, cleaning),
              Annotator(opened)]
    return Settings(stages=stages, release=opened.release, ids=IdList(ids) if ids else None,
                    thresholds={"t_en": t_en, "p": p, "t_all": t_all, "min_t": min_t}, seed=seed,
                    one_per_image=one_per_image, uids=uids, skip_bad=on_error == "skip", keep_matched=keep_matched)
