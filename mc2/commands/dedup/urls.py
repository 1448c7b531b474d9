"""mc2 dedup urls"""
import click

from mc2 import options

SUFFIXES = [".jsonl.zst", ".jsonl.gz", ".jsonl", ".parquet"]


def _shards(ctx, param, value):
    if value is not None and (value < 1 or value & value - 1 or value > 256):
        raise click.BadParameter(f"{value} is no power of two from 1 to 256.")
    return value


@click.command()
@options.inputs
@options.reads_columns
@options.output
@click.option("-O", "--output-dir", metavar="DIR",
              help="Shards DIR/00000.jsonl.zst ... of all inputs together; work that is finished is kept.")
@click.option("--pairs/--images", "pairs", default=True, show_default=True,
              help="A line goes where another has its id and its text, or where another has its id: one line per image.")
@click.option("--shards", type=int, metavar="N", callback=_shards,
              help="Shards in DIR, a power of two. Default: as many as have 1 GB of lines or less each.")
@click.option("--suffix", type=click.Choice(SUFFIXES), default=SUFFIXES[0], show_default=True,
              help="Format of the shards in DIR.")
@click.option("--memory", type=options.Size(), default="256M", show_default=True, metavar="SIZE",
              help="Memory of a process for the lines at hand.")
@options.force
@options.jobs
@options.on_error
@options.rejects
@options.longest
@options.dropped
@options.executor_options
@options.quiet
@options.receipt
@options.log_every
@options.verbose
@click.pass_context
def urls(ctx, inputs, output, output_dir, pairs, shards, suffix, memory, force, jobs, on_error, rejects, longest_line,
         dropped, quiet, reading, **executor):
    """Keep one of the pairs that have the same id and text, over all shards of a pool, exactly.

    The lines of one id are adjacent in the output, wherever they were: what `sample --one-per-image` and `images plan`
    rely on. Of lines with the same id and text the one with the smallest bytes stays. The lines come in the order of a
    hash of their ids. The output does not depend on the division into shards, on -j or on the executor. Memory is
    bounded: lines are divided on disk first, in DIR/.work, or with -o in $TMPDIR, which takes about as much as the
    pool compressed.

    \b
    mc2 dedup urls pool/*.jsonl.zst -O unique -j 0
    mc2 extract crawl.wat.gz | mc2 dedup urls -o unique.jsonl.zst
    mc2 dedup urls pool/*.parquet -O images --images --suffix .parquet --dropped repeats.jsonl
    """
    from mc2 import manifests
    from mc2.dedup import urls as dedup
    from mc2.execution.run import Run
    inputs = options.pair_inputs(ctx, inputs, None)
    options.check_outputs(ctx, output_dir)
    make = options.executor_of(jobs, **options.given_executor_options(ctx, executor, output_dir))
    for option, value in (("--shards", shards), ("--force", force or None)):
        if value is not None and output_dir is None:
            raise click.UsageError(f"{option} goes with -O.")
    options.say_how_to_be_faster(quiet)
    by = dedup.PAIRS if pairs else dedup.IMAGES
    run = Run(inputs, "-" if output_dir else output, jobs=jobs, rejects=rejects, dropped=dropped, longest=longest_line,
              quiet=quiet, command="dedup urls", reading=reading, skip_bad=on_error == "skip" or bool(rejects))
    if output_dir is None:
        dedup.dedup_stream(run, by, memory)
        return
    with options.printing_scripts(ctx.params["print_only"]):
        stage = dedup.Dedup(by, manifests.common_lineage(inputs))
        dedup.dedup_shards(run, output_dir, stage, memory, shards=shards, suffix=suffix, executor=make, force=force)
