"""mc2 extract"""
import click

from mc2 import options

SOURCES = ("alt", "title", "data-image-title", "figcaption", "og:image", "json-ld")
BY_DEFAULT = "alt,title,data-image-title"


def _names(known=None):
    """A callback that takes names with commas between them, without repetitions. known: those that there are"""
    def names(ctx, param, value):
        found = tuple(dict.fromkeys(name for name in value.lower().replace(" ", "").split(",") if name))
        for name in found if known else ():
            if name not in known:
                raise click.BadParameter(f"{name!r} is none of {', '.join(known)}.")
        if not found:
            raise click.BadParameter("name one at least.")
        return found
    return names


@click.command()
@options.reads_pairs(takes="pages")
@click.option("--sources", default=BY_DEFAULT, show_default=True, metavar="NAME,...", callback=_names(SOURCES),
              help=f"Which texts are taken, in the order in which those of an image come: {', '.join(SOURCES)}.")
@click.option("--optout", "optouts", type=click.Choice(["drop", "keep"]), default="drop", show_default=True,
              help="Images of pages that ask not to be used: drop and count them, or keep them with the key optout.")
@click.option("--directives", default="noai,noimageai,noimageindex,noml", show_default=True, metavar="NAME,...",
              callback=_names(), help="Directives for robots that are such a request; tdm-reservation: 1 always is.")
@click.option("--private", "private", type=click.Choice(["drop", "keep"]), default="drop", show_default=True,
              help="Images at localhost, in private networks, and at hosts without a domain.")
@click.option("--longest-page", type=options.Size(), default="16M", show_default=True, metavar="SIZE",
              help="A longer record is passed over and counted.")
def extract(run, sources, optouts, directives, private, longest_page):
    """Make pairs of crawled pages: WAT or WARC files, as Common Crawl publishes them.

    A pair has id, url, text, source (the attribute that the text was), page, and where it is so optout and page_lang.
    The candidate texts of an image on a page are on adjacent lines, in the order of the page. What is left out is
    counted by reason; --dropped keeps it.

    WAT files have the alt and title of images that are in the page itself. WARC files are eight times as large and
    have the rest: lazily loaded images, <picture>, data-image-title, figcaption, JSON-LD.

    \b
    mc2 extract crawl/*.warc.wat.gz -O pairs -j 0
    mc2 extract https://data.commoncrawl.org/crawl-data/.../0.warc.wat.gz | mc2 lid | mc2 match -m metadata
    mc2 extract crawl/*.warc.gz --sources alt,figcaption --on-error skip --dropped dropped.jsonl -o pairs.jsonl.zst
    zcat page.warc.gz | mc2 extract | jq -c '[.text, .url]'
    mc2 extract @paths.txt -O s3://bucket/pairs --executor ray --address auto

    A file that is damaged or cut off ends its shard with a message that says where; --on-error skip reads on at the
    next record, and counts it.
    """
    from mc2.extract.stage import Extract
    run(Extract(sources, optouts, directives, private == "keep", longest_page))
