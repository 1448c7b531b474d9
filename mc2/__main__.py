"""The command `mc2`, also as `python -m mc2`."""
import _signal                          # built into Python: `import signal` reads files, which takes time
import sys


def _end_at_interrupts():
    """Let Ctrl-C end this process without a traceback, until signals.install(). Python's own handler raises
    KeyboardInterrupt, which would be shown wherever an import is."""
    try:
        if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    except ValueError:                  # not in the main thread, which has the handlers
        pass


_end_at_interrupts()

from mc2 import signals                 # noqa: E402


def main():
    """Run mc2 and exit. Signals are handled before anything else is imported."""
    signals.install()
    try:
        with signals.noted():           # orjson crashes where an exception comes while it is imported
            import orjson               # noqa: F401

            from mc2 import cli
        cli.main()
    except KeyboardInterrupt:           # before the command began
        sys.exit(130)


if __name__ == "__main__":
    main()
