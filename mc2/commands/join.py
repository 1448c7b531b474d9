"""mc2 join"""
import click

from mc2 import options


@click.command()
@options.inputs
@options.reads_columns
@click.option("--tars", multiple=True, required=True, metavar="TARS",
              help="Tars of images: a path, a pattern in quotes ('*.tar', '{00000..00010}.tar'), a directory or "
                   "@list.txt; may be given several times.")
@click.option("-O", "--output-dir", required=True, metavar="DIR",
              help="One file of pairs per tar, of the tar's name; finished ones are skipped.")
@options.force
@options.jobs
@options.on_error
@options.rejects
@options.longest
@options.quiet
@options.receipt
@options.log_every
@options.verbose
@click.pass_context
def join(ctx, inputs, tars, output_dir, force, jobs, on_error, rejects, longest_line, quiet, reading):
    """Give every tar a file with the pairs of its images, in its order, as `mc2 train` reads them.

    For pools whose files of pairs are not those of the tars. A pair goes to the tar that has an image of its id:
    `id` in the image's json, else `uid`, else its name in the tar without the suffix, else without the folders too.
    Where almost no pair has an image, nothing is written (exit 3).

    \b
    mc2 join matched/*.jsonl.zst --tars 'images/*.tar' -O joined
    mc2 join out/curated/*.jsonl.zst --tars @tars.txt -O curated
    """
    from mc2 import tar_names
    from mc2.execution.run import Run
    from mc2.training.join import join as join_pairs
    inputs = options.pair_inputs(ctx, inputs, None)
    run = Run(inputs, jobs=jobs, rejects=rejects, longest=longest_line, quiet=quiet, command="join", reading=reading,
              skip_bad=on_error == "skip" or bool(rejects))
    join_pairs(run, tar_names.expand(tars), output_dir, force)
