"""A stage of the user's own, named as MODULE:CLASS: a class of mc2.execution.stage.Stage that filters pairs, say."""
import contextlib
import functools
import importlib
import inspect
import os
import sys

from mc2 import files, manifests, signals
from mc2.errors import BadUsage, Mc2Error
from mc2.execution.stage import Stage
from mc2.pairs.batch import KEYS


def imported(spec, option, directory, form):
    """What MODULE:NAME names; the module is looked for in a directory first. Raises BadUsage. option: that names it.
    form: how it is to be named, with an example"""
    module, colon, name = spec.partition(":")
    if not colon or not module or not name:
        raise BadUsage(f"{option} {spec}: name a {form}.")
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        return functools.reduce(getattr, name.split("."), importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise BadUsage(f"{option} {spec}: {error}. The module is looked for in the current directory and among what is "
                       f"installed.") from error


@contextlib.contextmanager
def calling(spec, where="", what="it"):
    """Errors of the user's code within the block become Mc2Errors that name it, and sys.exit() too, which would end the
    command as if all were done. where: in which data; what: is to be mended."""
    try:
        yield
    except (Mc2Error, OSError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and signals.came():
            raise
        raise Mc2Error(f"{files.printable(spec)}: {type(error).__name__}: {error}{where}. Mend {what}; -v shows "
                       "where.") from error


def source_of(made):
    """SHA-256 of the file of a function, or of the class of an object; None where it has none."""
    try:
        return manifests.sha256(inspect.getsourcefile(made if inspect.isroutine(made) else type(made)))
    except (TypeError, OSError):
        return None


class PlugIn(Stage):
    """The stage that MODULE:CLASS names, made with the given settings; the module is looked for in the current
    directory first. What is made with it depends on its file's content too. It is imported anew in every worker.

    Raises BadUsage where the module or the class is not there, is no Stage, or does not take these settings.
    """

    name = "filter"

    def __init__(self, spec, settings=None):
        """settings: {name: value}, arguments of the class."""
        self.spec, self.settings, self.directory = spec, settings or {}, os.getcwd()
        self.stage = self._open()
        self.requires, self.adds, self.reads = self.stage.requires, self.stage.adds, self.stage.reads
        self.whole_images = self.stage.whole_images
        self.lineage, self.paths = self.stage.lineage, self.stage.paths
        self.options = {"with": spec, "settings": self.settings, "sha256": source_of(self.stage), **self.stage.options}

    def _open(self):
        found = imported(self.spec, "--with", self.directory, "class as MODULE:CLASS, e.g. my_filters:Short")
        if not inspect.isclass(found) or not issubclass(found, Stage):
            raise BadUsage(f"--with {self.spec}: is no class of mc2.execution.stage.Stage. See CONTRIBUTING.md, \"A filter\".")
        try:
            stage = found(**self.settings)
        except TypeError as error:
            raise BadUsage(f"--with {self.spec}: {error}. Give its arguments with --set NAME=VALUE.") from error
        if unknown := sorted(set(stage.requires) - KEYS.keys()):
            raise BadUsage(f"--with {self.spec}: requires {unknown[0]!r}, but only {', '.join(KEYS)} can be required. Ask "
                           f"for others with batch.column({unknown[0]!r}): None stands for a pair without the key.")
        return stage

    def __getstate__(self):
        return {**self.__dict__, "stage": None}

    def _opened(self):
        if self.stage is None:
            self.stage = self._open()
        return self.stage

    def __call__(self, batch):
        line = batch.numbers[0] if len(batch) else 1
        with calling(self.spec, f", in the pairs of {batch.source} from line {line}", "the class"):
            self._opened()(batch)

    def check(self, batch):
        self._opened().check(batch)

    def begin(self, shard):
        self._opened().begin(shard)

    def finish(self, shard, description, tally):
        return self._opened().finish(shard, description, tally)

    def is_done(self, shard, description):
        return self._opened().is_done(shard, description)

    def summary(self, tally):
        return self._opened().summary(tally)
