"""mc2 images pack"""
import click

from mc2 import options
from mc2.commands.build_metadata.shared import Size


@click.command()
@click.argument("source", metavar="FOLDER|CAPTIONS", type=click.Path(exists=True))
@click.option("-O", "--output-dir", required=True, metavar="DIR",
              help="The tars and their pairs, DIR/00000.tar and DIR/00000.jsonl.zst ...; finished ones are skipped.")
@click.option("--images", "folder", metavar="FOLDER", type=click.Path(exists=True, file_okay=False),
              help="Where the paths in CAPTIONS begin. Default: the folder of CAPTIONS.")
@click.option("--image", "image_column", metavar="COLUMN", help="Column of CAPTIONS with the paths. Default: the usual names.")
@click.option("--text", "text_column", metavar="COLUMN", help="Column with the captions. Default: the usual names.")
@click.option("--images-per-tar", type=click.IntRange(1), default=10_000, show_default=True, metavar="N",
              help="Images in a tar, at most.")
@click.option("--bytes-per-tar", type=Size(), metavar="SIZE", help="Bytes of the images in a tar, at most, e.g. 1G.")
@options.force
@options.quiet
@options.verbose
def pack(source, output_dir, folder, image_column, text_column, images_per_tar, bytes_per_tar, force, quiet):
    """Make tars of images and their captions, and the file of pairs of each.

    FOLDER: images, also in folders, with a caption beside each (a.txt or a.json for a.jpg), or with a metadata.jsonl,
    .csv or .tsv that has file_name and text. CAPTIONS: a .jsonl, .csv or .tsv with a path and a caption in each line, or
    a .json as COCO has it. Images without a caption and captions without an image are left out, counted and named.

    \b
    mc2 images pack photos -O tars
    mc2 images pack annotations/captions_val2017.json --images val2017 -O tars --bytes-per-tar 1G
    """
    from mc2.training import pack
    found = pack.find(source, folder, image_column, text_column)
    pack.pack(source, found, output_dir, images_per_tar, bytes_per_tar, force, quiet)
