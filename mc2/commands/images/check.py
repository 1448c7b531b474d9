"""mc2 images check"""
import click

from mc2 import options


@click.command()
@click.argument("folder", metavar="TARS")
@click.option("--plan", multiple=True, metavar="PLAN",
              help="The plan that was downloaded, a directory or a .parquet: counts its ids without an image.")
@click.option("--retry", metavar="FILE.parquet",
              help="Write the rows that may go better another time, as a plan for img2dataset.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@options.jobs
@options.verbose
def check(folder, plan, retry, as_json, jobs):
    """Say how a download by img2dataset went: its --output_folder, or a folder on the way.

    Failures by class (DNS, timeouts, 4xx, 5xx, what is no image, opt-outs ...), shards that were not finished, ids of the
    plan without an image, images that are there twice (by SHA-256), and white borders. Exit status 3 where shards were
    not finished or are damaged, or where ids of the plan were not tried yet.

    \b
    mc2 images check tars --plan plan --retry retry.parquet
    img2dataset --url_list retry.parquet --output_folder tars-again ...
    """
    from mc2 import tar_names
    from mc2.download.check import Check
    from mc2.errors import BadData, BadUsage
    from mc2.terminal import show, show_json
    if retry and not retry.lower().endswith(".parquet"):
        raise BadUsage(f"{retry}: is written as Parquet. Name it .parquet.")
    found = Check(folder, tar_names.expand(plan, (".parquet",)) if plan else (), jobs)
    if retry:
        found.write_retry(retry)
    if as_json:
        show_json(found.summary(), pretty=True)
    else:
        show(*found.lines())
    if not found.is_whole:
        raise BadData(f"{folder}: not all shards are finished and whole.")
    if found.not_tried:
        raise BadData(f"{folder}: {found.not_tried:,} of the {found.planned:,} planned ids were not tried yet. Give the "
                      "img2dataset command again: it goes on where it stopped. Where it does nothing, these are tars of an "
                      "earlier plan: name another --output_folder.")
