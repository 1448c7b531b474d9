"""One process of a run, as torchrun starts it: python -m mc2.training.worker RUN.

It reports to `mc2 train` by files in the directory $MC2_TRAIN_REPORTS: that it attends to signals, and what ended the
run (status, then the message). It then ends with 0, so that torchrun adds no message of its own.
"""
import argparse
import contextlib
import os
import sys
import traceback

from mc2 import meter, temporaries
from mc2.errors import Mc2Error
from mc2.terminal import say, say_trace
from mc2.training import launch
from mc2.training.signals import Noted


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--resume", default="latest")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--log-every", type=float, default=meter.EVERY)
    options = parser.parse_args()
    meter.print_every(options.log_every)
    launch.end_with_parent()
    with Noted() as signals:
        _report(launch.LISTENS + os.environ.get("RANK", "0"))
        if not _has_driver():
            sys.exit(1)
        _train(options, signals)


def _train(options, signals):
    from mc2.training import loop, metrics
    try:
        with _first_alone(options.run):
            done = loop.run(options.run, signals, resume=options.resume, device=options.device, quiet=options.quiet)
    except loop.ElsewhereError:
        _say(1, "a process on another machine has failed; its messages say why.", launch.FAILED_ELSEWHERE)
        return
    except Mc2Error as error:
        _say(error.status, str(error))
        return
    except Exception as error:
        if not isinstance(error, OSError):
            say_trace(traceback.format_exc())
        _say(1, f"{getattr(error, 'filename', None) or type(error).__name__}: {getattr(error, 'strerror', None) or error}.")
        sys.exit(1)                 # torchrun ends the others, which wait for this one
    if done["first"] and not options.quiet:
        say(metrics.receipt(done, options.run))


def _has_driver():
    """Whether `mc2 train` is still there, or never was."""
    try:
        os.kill(int(os.environ.get(launch.DRIVER, os.getpid())), 0)
    except ProcessLookupError:
        return False
    return True


def _first_alone(run):
    """A lock that keeps the first rank out while that of a killed run is not gone yet."""
    if os.environ["RANK"] != "0":
        return contextlib.nullcontext()
    return temporaries.locked(os.path.join(run, "checkpoints"), launch.BUSY.format(run))


def _say(status, message, name=launch.ENDED):
    """The first process that fails says why."""
    if not _report(name, f"{status}\n{message}"):
        say(f"mc2 train: {message}")


def _report(name, content=""):
    """Leave a file for `mc2 train`, unless another process has. Returns whether there is somebody to report to."""
    directory = os.environ.get(launch.REPORTS)
    if directory is None:
        return False
    with contextlib.suppress(FileExistsError), open(os.path.join(directory, name), "x", encoding="utf-8") as stream:
        stream.write(content)
    return True


if __name__ == "__main__":
    main()
