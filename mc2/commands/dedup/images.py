"""mc2 dedup images"""
import os

import click

from mc2 import options


class Share(click.ParamType):
    """A share from 0 to 1, or a percentage."""

    name = "share"

    def convert(self, value, param, ctx):
        if isinstance(value, float):
            return value
        number, percent, rest = value.partition("%")
        try:
            share = float(number) / (100 if percent else 1)
        except ValueError:
            share = -1
        if rest or not 0 <= share <= 1:
            self.fail(f"{value!r} is not a share such as 1% or 0.01.", param, ctx)
        return share


@click.command()
@click.argument("tars", nargs=-1, required=True)
@click.option("--against", multiple=True, required=True, metavar="IMAGES",
              help="Evaluation images: a folder, tars, or the signatures of an earlier run (OUT/against/*.sig.zst); may be "
                   "given several times.")
@click.option("--model", metavar="MODEL",
              help="What describes an image: a run of mc2 train or open_clip:NAME@WEIGHTS, a .onnx, a TorchScript file, or "
                   "MODULE:FUNCTION from a list of PIL images to an array of features.")
@click.option("--phash", is_flag=True, help="A perceptual hash in place of a model.")
@click.option("-O", "--output-dir", "out", required=True, metavar="OUT",
              help="The list of copies, OUT/removed.jsonl, signatures, and pairs; finished work is kept.")
@click.option("--pairs", multiple=True, metavar="PAIRS",
              help="Shards of pairs of the tars, as join makes them: those of copies are left out of OUT/pairs.")
@click.option("-k", type=click.IntRange(0, 15), default=8, show_default=True, metavar="BITS",
              help="Bits of 64 in which the signatures of copies differ, at most.")
@click.option("--at-most", type=Share(), default="1%", show_default=True, metavar="SHARE",
              help="Remove nothing where more of the training images would go.")
@click.option("--calibrate", is_flag=True,
              help="Print how far images are apart and what each k would cost, and remove nothing.")
@click.option("--image-size", type=click.IntRange(1), metavar="PIXELS",
              help="Of TorchScript, and of ONNX that does not say it. Default: 224.")
@click.option("--specification", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help="The specification.json of another run, so that signatures can be compared with its own.")
@click.option("--sample", type=click.IntRange(1), default=1000, show_default=True, metavar="N",
              help="Training images whose mean is subtracted from the features.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the projection to 64 signs.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Where the model is.")
@options.dropped
@options.jobs
@options.executor_options
@options.quiet
@options.receipt
@options.log_every
@options.verbose
@click.pass_context
def images(ctx, tars, against, model, phash, out, pairs, k, at_most, calibrate, image_size, specification, sample, seed,
           device, dropped, jobs, quiet, **executor):
    """Find the training images that are copies of evaluation images, and leave out their pairs.

    An image is a copy where it has the same bytes, or where its signature differs in at most -k of 64 bits: the signs of
    the features of a model, centred and projected at random. OUT/removed.jsonl has each with the evaluation image and the
    distance. Look at --calibrate first: what a k finds and costs depends on the model.

    \b
    mc2 dedup images 'tars/*.tar' --against imagenet/val --model sscd.torchscript.pt -O clean --calibrate
    mc2 dedup images 'tars/*.tar' --against imagenet/val --model sscd.torchscript.pt -O clean --pairs 'pairs/*.jsonl.zst'
    mc2 dedup images 'tars/*.tar' --against coco --against flickr.tar --phash -k 4 -O clean -j 0
    """
    from mc2 import tar_names
    from mc2.dedup import images as copies
    from mc2.execution.run import Run
    if phash == bool(model):
        raise click.UsageError("name what describes an image: --model MODEL or --phash.")
    if phash and (specification or image_size):
        raise click.UsageError("--specification and --image-size are for --model.")
    if dropped and not pairs:
        raise click.UsageError("--dropped goes with --pairs.")
    make = options.executor_of(jobs, **executor)
    shards = options.expanded(pairs)
    job = copies.Job(tar_names.expand(tars), copies.evaluation_paths(against), out, model=model or "phash", k=k, seed=seed,
                     options={"image_size": image_size, "device": device, "directory": os.getcwd()}, sample=sample,
                     specification=specification, quiet=quiet)
    job.refuse_strangers(shards)
    run = Run(shards, output_dir=f"{out}/pairs", jobs=jobs, executor=make, dropped=dropped, quiet=quiet,
              command="dedup images") if shards and not calibrate else None
    with options.printing_scripts(ctx.params["print_only"]):
        if lines := copies.dedup(job, make, at_most, calibrate):
            click.echo("\n".join(lines))
        if run:
            run(job.stage())
