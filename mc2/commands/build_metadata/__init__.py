"""mc2 build-metadata and its subcommands"""
import click

from mc2 import options

COMMANDS = {"starter": "starter", "wordnet": "wordnet", "ngrams": "ngrams", "titles": "titles",
            "import": "import_list", "merge": "merge", "compile": "compile_matchers",
            "pack": "pack", "unpack": "unpack", "urls": "urls"}


@click.group(name="build-metadata", cls=options.LazyGroup, package=__name__, modules=COMMANDS)
def build_metadata():
    """Build the metadata that texts are matched against.

    \b
    A first release in a minute, of the most frequent words of 45 languages:
      mc2 build-metadata starter -o metadata
    Wordnets, Wikipedia dumps, pageviews and lists become sources; sources become a release:
      mc2 build-metadata wordnet wn-data-*.tab /usr/share/wordnet -o sources
      mc2 build-metadata ngrams --wiki en enwiki-latest-pages-articles-multistream.xml.bz2 -o sources
      mc2 build-metadata titles pageviews-*.gz -o sources
      mc2 build-metadata merge sources -o metadata
      mc2 build-metadata pack metadata -o release.tar.zst
    """
