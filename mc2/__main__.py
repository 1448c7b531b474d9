"""The command `mc2`, also as `python -m mc2`."""
import sys

from mc2 import signals


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
