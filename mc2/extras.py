"""Libraries that only some commands need: pip installs them with an extra, e.g. [train].

mc2 is not on PyPI: the name `mc2` there belongs to another package.
"""
import importlib.util

from mc2.errors import BadUsage


def how_to_install(extra):
    """The command that installs what an extra brings."""
    return f"pip install '.[{extra}]' in the checkout of mc2"


def need(extra, *modules):
    """Raise BadUsage where a module of this extra is missing."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise BadUsage(f"needs {', '.join(missing)}, which the extra [{extra}] brings: {how_to_install(extra)}.")
