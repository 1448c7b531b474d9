"""mc2 build-metadata unpack"""
import time

import click

from mc2 import options
from mc2.commands.build_metadata import shared


@click.command()
@click.argument("archive", metavar="FILE.tar.zst")
@click.option("-o", "--output", required=True, metavar="METADATA", help="Directory of the release to write.")
@options.jobs
@options.quiet
@options.receipt
@options.log_every
@options.verbose
def unpack(archive, output, jobs, quiet):
    """Unpack a release that `pack` made; - is stdin. Every file is verified before METADATA appears.

    \b
    mc2 build-metadata unpack release.tar.zst -o metadata
    curl -s https://example.org/release.tar.zst | mc2 build-metadata unpack - -o metadata
    """
    from mc2 import engines, files
    from mc2.metadata import compiled, packing
    if archive != "-" and not files.exists(archive):
        raise click.UsageError(f"{archive}: no such file.")
    shared.begin([output], [archive])
    started = time.monotonic()

    def finish(release):
        if engines.native():
            compiled.compile_release(
                release, jobs, lambda made: shared.progress(made, "unpack", "languages compiled", quiet, len(release.langs)))

    manifest = packing.unpack(archive, output, finish)
    entries = sum(row["entries"] for row in manifest["languages"].values())
    shared.receipt(quiet, "unpack", f"{entries:,} entries in {len(manifest['languages']):,} languages, "
             f"all checksums right; fingerprint {manifest['fingerprint'][:12]}", output, started)
