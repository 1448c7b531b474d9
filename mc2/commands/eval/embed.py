"""mc2 eval embed"""
import sys
import time

import click

from mc2.commands.eval import shared

NO_USE = {"data": "--data", "as_json": "--json", "plot": "--plot"}        # of features


@click.command()
@click.option("--images", multiple=True, metavar="DIR|TAR", type=click.Path(exists=True),
              help="A folder of images, or webdataset tars (once for each).")
@click.option("--texts", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help='JSON Lines with "text", or a .txt file with a text per line.')
@shared.evaluates()
def embed(images, texts, evaluation):
    """Write the features of your own images and texts, L2-normalised, float32.

    The directory given by -o gets images.npy and images.jsonl, texts.npy and texts.jsonl: a line for each row.

    \b
    mc2 eval embed --images pictures --texts captions.jsonl --model run -o features
    """
    from mc2 import manifests
    given = next((flag for name, flag in NO_USE.items() if getattr(evaluation, name)), None)
    if given:
        raise click.UsageError(f"{given}: embed writes features, not scores.")
    if not evaluation.output or not images and not texts:
        raise click.UsageError("Give --images or --texts, and -o DIR.")
    manifests.refuse_foreign_directory(evaluation.output, "features")
    started = time.monotonic()
    with evaluation.encoder() as encoder:
        from mc2.evaluation import embed
        counts = embed.write(encoder, evaluation.output, list(images), texts, started)
        if encoder.rank == 0 and not evaluation.quiet:
            numbers = ", ".join(f"{number:,} {what}" for what, number in counts.items())
            seconds = time.monotonic() - started
            print(f"eval: embed, {numbers} -> {evaluation.output} ({seconds:.0f} s)", file=sys.stderr)


for _option in embed.params:
    if _option.name == "output":
        _option.metavar, _option.help, _option.required = "DIR", "The directory for the features.", True
    _option.hidden = _option.name in NO_USE
