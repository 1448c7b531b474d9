"""mc2 export"""
import re

import click

from mc2 import options

SPLIT = r"\w+(\.\w+)*"


def _split(ctx, param, value):
    if not re.fullmatch(SPLIT, value):
        raise click.BadParameter(f"{value!r} is no name of a split: letters, digits and _.")
    return value


@click.command()
@options.inputs
@click.option("-o", "--output", required=True, metavar="DIR", help="The data set; a finished one is not made again.")
@click.option("--format", type=click.Choice(["parquet", "webdataset", "hf"]), default="parquet", show_default=True,
              help="parquet; webdataset: tars of image, txt and json; hf: Arrow files, as save_to_disk of `datasets` "
                   "writes them.")
@click.option("--images", multiple=True, metavar="TARS",
              help="Tars of the images, which then go into the set: a path, a pattern in quotes ('*.tar', "
                   "'{00000..00010}.tar'), a directory or @list.txt; may be repeated.")
@click.option("--file-size", type=options.Size(), default="500M", show_default=True, metavar="SIZE",
              help="Bytes of a file of the set, about.")
@click.option("--split", default="train", show_default=True, metavar="NAME", callback=_split, help="Name of the split.")
@click.option("--title", metavar="TEXT", help="Name of the set in its card. Default: that of DIR.")
@click.option("--license", "--licence", "licence", metavar="ID",
              help="Licence of the set, e.g. cc-by-4.0. Default: to be filled in.")
@options.jobs
@click.option("-f", "--force", is_flag=True, help="Make all of it again, the card too.")
@options.quiet
@options.receipt
@options.log_every
@options.verbose
def export(inputs, output, format, images, file_size, split, title, licence, jobs, force, quiet):
    """Make a data set of curated pairs, as `datasets` loads it, with a card and croissant.json.

    INPUTS: the output of 'mc2 curate' or of 'mc2 sample', a folder or files. All keys of the pairs become columns.
    Needs the extra [parquet].

    \b
    mc2 export out -o card
    mc2 export out -o set --format webdataset --images 'tars/*.tar'
    mc2 export curated/*.jsonl.zst -o set --format hf --title 'My pairs' --license cc-by-4.0
    """
    if inputs is None:
        raise click.UsageError("name the curated set: the folder of 'mc2 curate', or files of pairs.")
    from mc2 import extras, tar_names
    from mc2.errors import BadUsage
    extras.need("parquet", "pyarrow")
    from mc2.exporting import job, source
    if file_size < 1:
        raise BadUsage("--file-size: must be 1 or more.")
    settings = job.Settings(format, tar_names.expand(images) if images else [], file_size, split, title, licence)
    job.export(source.find(inputs), output, settings, jobs, force, quiet)
