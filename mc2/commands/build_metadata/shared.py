"""Options, checks and messages that the subcommands of build-metadata share."""
import contextlib
import os
import sys
import time

import click

from mc2.options import Size


def _half_of_the_machine():
    """Bytes: half of the memory that this process may use, by the machine or by its control group."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError), open(path) as stream:
            limits.append(int(stream.read()))
    return min(limits) // 2


sources = click.option("-o", "--output", required=True, metavar="SOURCES", help="Directory of sources to add to.")
memory = click.option("--memory", type=Size(), default=_half_of_the_machine, metavar="SIZE",
                      help="Memory for counting, of all processes together, e.g. 800M or 8G; what does not fit goes to "
                           "disk. Default: half of the machine's. The output does not depend on it.")


def check_wiki(code):
    from mc2.metadata import languages
    if code not in languages.wikipedias():
        raise click.UsageError(f"--wiki {code}: no Wikipedia of the 330 has this code.{languages.suggestion(code)}")


def progress(items, unit, quiet, total=None):
    from tqdm import tqdm
    return tqdm(items, total=total, unit=unit, unit_scale=True, leave=False, disable=quiet or not sys.stderr.isatty())


def say_replaced(quiet, output, made):
    """Name the sources of an earlier run that this one replaces. made: list of (code, kind)."""
    from mc2.metadata import sources
    names = [name for code, kind in made if os.path.exists(os.path.join(output, name := sources.name_of(code, kind)))]
    if names and not quiet:
        print(f"replaced: {' '.join(names)}", file=sys.stderr)


def receipt(quiet, name, summary, output, started):
    from mc2.execution.receipt import duration
    if not quiet:
        print(f"{name}: {summary} -> {output} ({duration(time.monotonic() - started)})", file=sys.stderr)
