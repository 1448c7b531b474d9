"""mc2 build-metadata compile"""
import time

import click

from mc2 import options
from mc2.commands.build_metadata import shared


@click.command(name="compile")
@click.argument("metadata", type=click.Path(exists=True, file_okay=False), metavar="METADATA")
@options.jobs
@options.quiet
@options.receipt
@options.log_every
@options.verbose
def compile_matchers(metadata, jobs, quiet):
    """Compile METADATA for the native engine: one METADATA/{lang}.matcher per language.

    `merge` does it too. Compiled matchers are a cache: those that are whole and sound are left as they are,
    missing, damaged and outdated ones are made anew.

    \b
    mc2 build-metadata compile metadata -j 0
    """
    from mc2 import engines
    from mc2.metadata import compiled
    from mc2.metadata.release import Release
    engines.choose("match", "native")
    started = time.monotonic()
    release = Release(metadata)
    shared.begin([metadata])
    made = compiled.compile_release(
        release, jobs, lambda made: shared.progress(made, "compile", "languages", quiet, len(release.langs)))
    shared.receipt(quiet, "compile", f"{made:,} of {len(release.langs):,} languages compiled", metadata, started)
