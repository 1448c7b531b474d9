"""mc2 build-metadata merge"""
import decimal
import math
import time

import click

from mc2 import options
from mc2.commands.build_metadata import shared
from mc2.terminal import say


MANY, SHOWN = 100, 8        # languages without sources: of so many, so few are shown


class Share(click.ParamType):
    """An exact decimal between 0 and 1."""

    name = "share"

    def convert(self, value, param, ctx):
        try:
            share = decimal.Decimal(str(value))
        except decimal.InvalidOperation:
            self.fail(f"{value!r} is not a decimal number.", param, ctx)
        if not (share.is_finite() and 0 <= share <= 1):
            self.fail(f"{value} is not between 0 and 1.", param, ctx)
        return share


@click.command()
@click.argument("directory", type=click.Path(exists=True), metavar="SOURCES")
@click.option("-o", "--output", required=True, metavar="METADATA", help="Directory of the release to write.")
@click.option("--scheme", type=click.Choice(options.SCHEMES),
              help="Labels of the LID model to be used, which group the Wikipedias into languages. Default: lid176.")
@click.option("--languages", metavar="FILE.csv", type=click.Path(exists=True, dir_okay=False),
              help="Group them as in this file instead, which has the form of a release's languages.csv.")
@click.option("--spacing", type=click.Choice(["published", "wide"]), default="published", show_default=True,
              help="How entries are found in texts: as published, where words end at seven ASCII characters; or at all "
                   "punctuation and symbols of Unicode, entries with punctuation, such as U.S., too, and kana also "
                   "inside running text.")
@click.option("--nfc", is_flag=True, help="Bring entries, and later texts, to Unicode's normal form NFC.")
@click.option("--unigram-share", type=Share(), default="0.10", show_default=True, metavar="X",
              help="Keep this share of the distinct words ...")
@click.option("--unigram-max", type=click.IntRange(0), default=251_465, show_default=True, metavar="N",
              help="... and at most so many.")
@click.option("--bigram-share", type=Share(), default="0.40", show_default=True, metavar="X",
              help="Keep as many bigrams as this share of the kept unigrams ...")
@click.option("--bigram-max", type=click.IntRange(0), default=100_646, show_default=True, metavar="N",
              help="... and at most so many.")
@click.option("--title-share", type=Share(), default="0.76", show_default=True, metavar="X",
              help="Keep this share of the titles ...")
@click.option("--title-max", type=click.IntRange(0), default=61_235, show_default=True, metavar="N",
              help="... and at most so many.")
@click.option("--list-max", type=click.IntRange(0), metavar="N",
              help="Keep at most so many entries of each list of `import --add`, the heaviest first. Default: all.")
@click.option("--only-with-sources", is_flag=True,
              help="Leave out the languages without sources, which would have the numbers 0 to 99 only: their labels "
                   "go to `other`. For releases of one language, say.")
@click.option("--min-pmi", type=float, metavar="X", help="Keep bigrams with at least this PMI. Default: any.")
@options.jobs
@options.quiet
@options.receipt
@options.log_every
@options.verbose
def merge(directory, output, scheme, languages, spacing, nfc, only_with_sources, jobs, quiet, **caps):
    """Merge SOURCES into a metadata release.

    \b
    mc2 build-metadata merge sources -o metadata
    mc2 build-metadata merge sources -o metadata --scheme openlid --spacing wide --nfc -j 0
    """
    from mc2.metadata import languages as mappings
    from mc2.metadata import merge as merging
    if caps["min_pmi"] is not None and not math.isfinite(caps["min_pmi"]):
        raise click.UsageError(f"--min-pmi {caps['min_pmi']}: not a number that a PMI can reach.")
    mapping = mappings.of(scheme, languages)
    shared.begin([output], [directory, languages])
    started = time.monotonic()
    manifest = merging.merge(directory, output, mapping, merging.Caps(**caps), spacing, nfc, jobs,
                             mapping_file=languages, only_with_sources=only_with_sources,
                             progress=lambda made: shared.progress(made, "merge", "languages", quiet, len(mapping.langs)),
                             seconds=lambda: time.monotonic() - started)
    bare = merging.without_sources(manifest)
    if not quiet:
        _say_what_is_odd(directory, mapping, languages, manifest, bare)
    shared.receipt(quiet, "merge", f"{manifest['counts']['out']:,} entries in {len(manifest['languages']):,} "
                   f"languages, {len(bare):,} of them without sources; fingerprint {manifest['fingerprint'][:12]}",
                   output, started)


def _say_what_is_odd(directory, mapping, mapping_file, manifest, bare):
    """Print what a person may want to mend in the sources or in the mapping. bare: the languages without sources."""
    from mc2.metadata import merge as merging
    from mc2.metadata import sources
    if mapping.unnamed:
        say(f"Wikipedias that {mapping_file} does not name, now in `other`: {' '.join(mapping.unnamed)}")
    if others := sources.others(directory):
        say(f"not a source, so not used: {' '.join(others)}")
    if manifest["replaced_by_lists"]:
        say(f"taken from a list, so not used: {' '.join(manifest['replaced_by_lists'])}")
    if unfinished := sources.unfinished(directory):
        say(f"of runs that were stopped, so their sources are missing or old: {' '.join(unfinished)}. Run them "
            f"again, or delete these.")
    pointed = [f"{lang} {row['vowel_points']['entries']:,}" for lang, row in manifest["quality"].items()
               if "vowel_points" in row]
    if pointed:
        say(f"CAN HARDLY MATCH: lemmas with vowel points, which running text hardly ever has: {', '.join(pointed)}. "
            f"Take the points out with 'mc2 build-metadata wordnet --points remove'.")
    small = [lang for lang in bare if merging.has_sources(lang, manifest, sources.find(directory))]
    if small:
        say(f"numbers only, their sources being too small for the shares: {' '.join(small)}")
    if missing := [lang for lang in bare if lang not in small]:
        shown = " ".join(missing) if len(missing) < MANY else \
            f"{' '.join(missing[:SHOWN])} and {len(missing) - SHOWN} more (--only-with-sources leaves them out)"
        say(f"numbers only, as there are no sources: {shown}")
