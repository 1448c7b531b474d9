"""Libraries that only some commands need: pip installs them with an extra, e.g. mc2[train]."""
import importlib.util

from mc2.errors import BadUsage


def need(extra, *modules):
    """Raise BadUsage where a module of this extra is missing."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise BadUsage(f"needs {', '.join(missing)}, which mc2[{extra}] brings: pip install 'mc2[{extra}]'.")
