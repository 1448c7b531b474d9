"""One process of a run, as torchrun starts it: python -m mc2.training.worker RUN.

What ends the run is written to the file that $MC2_TRAIN_STATUS names (status, then the message), for `mc2 train` to say;
the process itself then ends with 0, so that torchrun adds nothing of its own.
"""
import argparse
import contextlib
import os
import signal
import sys
import traceback

from mc2 import files
from mc2.errors import Mc2Error
from mc2.training import launch
from mc2.training.launch import ELSEWHERE


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--resume", default="latest")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    launch.end_with_parent()
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)       # until the loop attends to them
    from mc2.training import loop, metrics
    launch.end_with_parent()
    try:
        with _first_alone(options.run):
            done = loop.run(options.run, resume=options.resume, device=options.device, quiet=options.quiet)
    except loop.ElsewhereError:
        _say(1, "a process on another machine has failed; its messages say why.", ELSEWHERE)
        return
    except Mc2Error as error:
        _say(error.status, str(error))
        return
    except Exception as error:
        if not isinstance(error, OSError):
            traceback.print_exc()
        _say(1, f"{getattr(error, 'filename', None) or type(error).__name__}: {getattr(error, 'strerror', None) or error}.")
        sys.exit(1)                 # torchrun ends the others, which wait for this one
    if done["first"] and not options.quiet:
        print(metrics.receipt(done, options.run), file=sys.stderr)


def _first_alone(run):
    """A lock that keeps the first rank out while that of a killed run is not gone yet."""
    if os.environ["RANK"] != "0":
        return contextlib.nullcontext()
    return files.locked(os.path.join(run, "checkpoints"), launch.BUSY.format(run))


def _say(status, message, where=""):
    """The first process that fails says why."""
    place = os.environ.get(launch.STATUS_FILE)
    if place is None:
        print(f"mc2 train: {message}", file=sys.stderr)
        return
    try:
        descriptor = os.open(place + where, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(f"{status}\n{message}")


if __name__ == "__main__":
    main()
