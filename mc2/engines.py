"""Which engines there are: `native`, the C++ core, where it is built, and the portable ones everywhere.

All engines of a command give the same result on every input.
"""
import functools

PORTABLE = {"match": "pyahocorasick", "lid": "fasttext"}


@functools.cache
def native():
    """The module mc2._native, or None where it is not built."""
    try:
        from mc2 import _native
    except ImportError:
        return None
    return _native


def choose(command, engine=None):
    """The engine to use: the one that is named, else the fastest there is. Raises BadUsage where it is not built."""
    if engine is None:
        return "native" if native() else PORTABLE[command]
    if engine not in ("native", PORTABLE[command]):
        raise ValueError(f"no such engine: {engine!r}")
    if engine == "native" and not native():
        from mc2.errors import BadUsage
        raise BadUsage("--engine native: the native core is not built here. Install mc2 again where there is a C++ "
                       f"compiler, or use --engine {PORTABLE[command]}.")
    return engine
