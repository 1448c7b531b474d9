"""mc2 eval embed"""
import time

import click

from mc2.commands.eval import shared
from mc2.terminal import say


@click.command()
@click.option("--images", multiple=True, metavar="DIR|TAR", callback=shared.there,
              help="A folder of images, or webdataset tars: a path, a quoted pattern or a directory; may be repeated.")
@click.option("--texts", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help='JSON Lines with "text", or a .txt file with a text per line.')
@click.option("-o", "--output", required=True, metavar="DIR", help="The directory for the features.")
@shared.evaluates(without=("data", "as_json", "output", "plot", "control"))
def embed(images, texts, output, evaluation):
    """Write the features of your own images and texts, L2-normalised, float32.

    The directory given by -o gets images.npy and images.jsonl, texts.npy and texts.jsonl: a line for each row.

    \b
    mc2 eval embed --images pictures --texts captions.jsonl --model run -o features
    """
    from mc2 import manifests
    if not images and not texts:
        raise click.UsageError("Give --images or --texts.")
    manifests.refuse_foreign_directory(output, "features")
    started = time.monotonic()
    with evaluation.encoder() as encoder:
        from mc2.evaluation import embed
        counts = embed.write(encoder, output, list(images), texts, started)
        if encoder.rank == 0 and not evaluation.quiet:
            numbers = ", ".join(f"{number:,} {what}" for what, number in counts.items())
            seconds = time.monotonic() - started
            say(f"eval: embed, {numbers} -> {output} ({seconds:.0f} s)")
