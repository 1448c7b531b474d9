"""What the subcommands of build-metadata share."""
import os
import sys
import time

import click

sources = click.option("-o", "--output", required=True, metavar="SOURCES", help="Directory of sources to add to.")


def check_wiki(code):
    from mc2 import languages
    if code not in languages.of_scheme("lid176").wiki_codes:
        hint = code.replace("-", "_")
        also = f" Did you mean {hint}?" if hint in languages.of_scheme("lid176").wiki_codes else ""
        raise click.UsageError(f"--wiki {code}: no Wikipedia of the 330 has this code.{also}")


def progress(items, unit, quiet):
    from tqdm import tqdm
    return tqdm(items, unit=unit, unit_scale=True, leave=False, disable=quiet or not sys.stderr.isatty())


def say_replaced(quiet, output, made):
    """Name the sources of an earlier run that this one replaces. made: list of (code, kind)."""
    from mc2.metadata import sources
    names = [name for code, kind in made if os.path.exists(os.path.join(output, name := sources.name_of(code, kind)))]
    if names and not quiet:
        print(f"replaced: {' '.join(names)}", file=sys.stderr)


def receipt(quiet, name, summary, output, started):
    from mc2.pipeline import duration
    if not quiet:
        print(f"{name}: {summary} -> {output} ({duration(time.monotonic() - started)})", file=sys.stderr)
