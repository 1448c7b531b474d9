"""mc2 build-metadata pack"""
import time

import click

from mc2 import options
from mc2.commands.build_metadata import shared


@click.command()
@click.argument("metadata", type=click.Path(exists=True), metavar="METADATA")
@options.output
@options.quiet
@options.receipt
@options.verbose
def pack(metadata, output, quiet):
    """Pack the release METADATA into one file, to be passed on.

    The same release gives the same bytes wherever and whenever it was merged. Compiled matchers stay out.

    \b
    mc2 build-metadata pack metadata -o release.tar.zst
    mc2 build-metadata pack metadata -o - | ssh cluster mc2 build-metadata unpack - -o metadata
    """
    from mc2 import files, manifests
    from mc2.metadata import packing
    from mc2.metadata.release import Release
    started = time.monotonic()
    release = Release(metadata)
    files.refuse_unwritable(output, parquet=False)
    shared.begin([output], [metadata])
    size = packing.pack(release, output)
    if files.is_kept(output):
        manifests.write_for_file(output, manifests.describe_run(
            "packed metadata", [metadata], {}, {"out": sum(release.n_entries.values())}, time.monotonic() - started,
            lineage={"metadata": release.fingerprint}))
    shared.receipt(quiet, "pack", f"{sum(release.n_entries.values()):,} entries in {len(release.langs):,} languages, "
                   f"{size:,} bytes before compression; fingerprint {release.fingerprint[:12]}",
                   "stdout" if output == "-" else output, started)
