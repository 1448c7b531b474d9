"""Options, checks and messages that the subcommands of build-metadata share."""
import contextlib
import os
import time

import click

from mc2.options import Size
from mc2.terminal import say


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


def progress(items, label, unit, quiet, total=None):
    from mc2 import meter
    return meter.shown(items, label, unit, total, quiet)


def say_replaced(quiet, output, made):
    """Name the sources of an earlier run that this one replaces. made: list of (code, kind)."""
    from mc2.metadata import sources
    names = [name for code, kind in made if os.path.exists(os.path.join(output, name := sources.name_of(code, kind)))]
    if names and not quiet:
        say(f"replaced: {' '.join(names)}")


def begin(outputs, inputs=()):
    """The work begins: see mc2.execution.run.begin."""
    from mc2.execution import run
    run.begin(outputs, [path for path in inputs if path])


def receipt(quiet, name, summary, output, started):
    from mc2.execution import receipt
    receipt.write(name, summary, {}, output, time.monotonic() - started, quiet)
