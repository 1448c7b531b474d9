"""mc2: the Meta CLIP 2 recipe as composable command-line tools.

From Python, `import mc2` gives Metadata, Matcher, Identifier, balance, draws, read_pairs, write_pairs and Model; see
mc2/api.py. To read the code, take this order: docs/guides/recipe.md, examples/demo, mc2/pairs/batch.py,
mc2/balancing/algorithm.py.
"""
import importlib

__version__ = "0.1.0"
__all__ = ["Balanced", "Identified", "Identifier", "Matcher", "Metadata", "Model", "balance", "draws", "read_pairs",
           "write_pairs"]


def __getattr__(name):
    """What is in __all__, imported when it is first asked for: commands that do not need it start sooner."""
    if name in __all__:
        return getattr(importlib.import_module("mc2.api"), name)
    raise AttributeError(f"module 'mc2' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
