"""mc2 eval retrieval"""
import click

from mc2.commands.eval import shared


@click.command()
@click.argument("pairs", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--images", multiple=True, metavar="DIR|TAR", callback=shared.there,
              help="The folder of the images, or webdataset tars: a path, a quoted pattern or a directory; may be repeated.")
@click.option("--preset", type=click.Choice(["flickr30k", "coco", "flickr30k-cn", "dci"]),
              help="A benchmark whose captions and images --data holds.")
@shared.choices("retrieval")
@shared.evaluates()
def retrieval(pairs, images, preset, evaluation, protocol):
    """Find images by texts and texts by images, in your own pairs, by language.

    PAIRS: JSON Lines with "image" (a path below --images) or "id" (a file's name without its suffix, or the key or id
    of a sample), "text", and perhaps "lang"; or captions in Karpathy's JSON, or in the JSON that clip_benchmark writes
    ("image_paths" and "annotations").

    \b
    mc2 eval retrieval pairs.jsonl --images pictures --model run
    mc2 eval retrieval --preset coco --data benchmarks --model run
    """
    if bool(pairs) == bool(preset):
        raise click.UsageError("Name either PAIRS or a --preset.")
    if pairs and not images:
        raise click.UsageError("Missing option '--images': where the images of the pairs are.")
    if preset and not evaluation.data:
        raise click.UsageError("--preset needs --data.")
    evaluation.score("retrieval", protocol, {"pairs": pairs, "images": list(images), "preset": preset})
