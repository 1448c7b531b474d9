"""What was found out about the columns of inputs: said once on stderr, and noted in manifests."""
import contextlib

from mc2 import files
from mc2.errors import Mc2Error
from mc2.pairs import shards
from mc2.pairs.columns import said
from mc2.terminal import say


class Found:
    """Called with (path, mc2.pairs.columns.Columns) for every input whose columns are not called as mc2's are."""

    def __init__(self, quiet=False):
        self.quiet, self._descriptions = quiet, []

    def __call__(self, path, columns):
        self.say(path, columns.description())

    def say(self, path, description):
        """Say how an input is read, unless that was said of another one. description: of its Columns, or None"""
        if description is None or description in self._descriptions:
            return
        self._descriptions.append(description)
        if not self.quiet and (text := said(description)):
            say(f"{files.name_of(path)}: {text}")

    def look_at(self, paths, reading):
        """Say how the first of some inputs is read, before work begins. What is wrong with it is said when its turn
        comes."""
        with contextlib.suppress(Mc2Error, OSError):
            if paths and not (not files.is_remote(paths[0]) and files.is_special(paths[0])):
                if columns := shards.columns_of(paths[0], reading):
                    self(paths[0], columns)

    def noted(self):
        """For a manifest: {} where all inputs had mc2's names."""
        if not self._descriptions:
            return {}
        return {"columns": self._descriptions[0] if len(self._descriptions) == 1 else self._descriptions}
