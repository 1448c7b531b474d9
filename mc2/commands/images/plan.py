"""mc2 images plan"""
import click

from mc2 import options


@click.command()
@options.inputs
@options.reads_columns
@click.option("-O", "--output-dir", required=True, metavar="DIR", help="The plan: DIR/00000.parquet ...")
@click.option("--tars", default="tars", show_default=True, metavar="DIR",
              help="Where the images are to go, for the commands that are printed.")
@click.option("--image-size", type=click.IntRange(1), default=256, show_default=True, metavar="PIXELS",
              help="The shorter side of images that are larger.")
@click.option("--min-image-size", type=click.IntRange(0), default=64, show_default=True, metavar="PIXELS",
              help="The shorter side that an image must have.")
@click.option("--max-aspect-ratio", type=click.FloatRange(1), default=10.0, show_default=True, metavar="RATIO",
              help="The longer side over the shorter one, at most.")
@click.option("--user-agent", default="mc2", show_default=True, metavar="NAME",
              help="What servers are told of who asks; X-Robots-Tag may name it.")
@click.option("--threads", type=click.IntRange(1), default=64, show_default=True, metavar="N",
              help="Images that a process downloads at a time.")
@click.option("--timeout", type=click.IntRange(1), default=10, show_default=True, metavar="SECONDS",
              help="How long a server may take; it is asked twice.")
@click.option("--images-per-tar", type=click.IntRange(1), default=10_000, show_default=True, metavar="N",
              help="Images in a tar, at most.")
@click.option("--memory", type=options.Size(), default="256M", show_default=True, metavar="SIZE",
              help="Memory of a process for the rows at hand.")
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
def plan(ctx, inputs, output_dir, tars, image_size, min_image_size, max_aspect_ratio, user_agent, threads, timeout,
         images_per_tar, memory, force, jobs, on_error, rejects, longest_line, dropped, quiet, reading, **executor):
    """Say what img2dataset is to download: one row for each image of the pairs, as Parquet.

    URLs are percent-encoded where they have white space or letters that are not ASCII, which img2dataset does not do.
    The rows are in the order of a hash of their ids, so that no host is asked for many images at a time. The commands that
    come next are printed: the download, its check, join and train. img2dataset is a program of its own: pip install
    img2dataset (Python 3.13 and later: standard-imghdr too), best in an environment of its own.

    \b
    mc2 images plan curated/*.jsonl.zst -O plan > download.sh
    mc2 images plan laion/*.parquet -O plan --image-size 384 --tars /data/tars -j 0
    """
    from mc2.download import plan as planning
    from mc2.execution.run import Run
    inputs = options.pair_inputs(ctx, inputs, None)
    make = options.executor_of(jobs, **executor)
    run = Run(inputs, jobs=jobs, rejects=rejects, dropped=dropped, longest=longest_line, quiet=quiet,
              command="images plan", reading=reading, skip_bad=on_error == "skip" or bool(rejects))
    with options.printing_scripts(ctx.params["print_only"]):
        images = planning.plan(run, output_dir, memory, executor=make, force=force)
        click.echo(planning.commands(images, output_dir, inputs, tars, reading, image_size=image_size,
                                     min_image_size=min_image_size, max_aspect_ratio=max_aspect_ratio,
                                     user_agent=user_agent, threads=threads, timeout=timeout,
                                     images_per_tar=images_per_tar), nl=False)
