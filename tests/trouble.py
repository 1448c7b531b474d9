"""A task with trouble, to try executors with. Workers import this module, so it imports little."""
import os
import signal
from pathlib import Path

from shell import until

from mc2 import files, temporaries
from mc2.errors import BadData
from mc2.execution import plans, rounds, slurm

plans.PACKAGES.append("trouble")


class Square:
    """Writes the square of a number to a file. Some numbers are trouble:

    13         kills its worker every time
    17         kills its worker the first two times
    19         is bad data
    23         finds the disk full
    from 1000  waits until go() was called
    """

    name = "square"

    def __init__(self, directory):
        self.directory = str(directory)

    def path(self, item):
        return os.path.join(self.directory, f"{item}.txt")

    def name_of(self, item):
        return f"{item}.jsonl"

    def log_path(self, item):
        return os.path.join(self.directory, "logs", f"{item}.log")

    def is_done(self, item):
        return os.path.exists(self.path(item))

    def discard(self, item):
        temporaries.discard_abandoned(self.path(item))

    def __call__(self, item):
        with open(os.path.join(self.directory, "begun"), "a") as stream:
            stream.write(f"{item}\n")
        if item == 13 or item == 17 and self.begun().count("17") < 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 19:
            raise BadData("19.jsonl:812: not JSON.")
        if item == 23:
            raise OSError(28, "No space left on device", self.path(item))
        if item >= 1000:
            until(Path(self.directory, "go").exists)
        files.write_bytes(self.path(item), str(item ** 2).encode())
        return item

    def go(self):
        Path(self.directory, "go").touch()

    def begun(self):
        """The items that were begun, as often as they were."""
        path = Path(self.directory, "begun")
        return path.read_text().split() if path.exists() else []


class OnSlurm(slurm.Slurm):
    """The executor for SLURM, whose tasks run this module, and so may do Square."""

    module = "trouble"


class NoProgress:
    def begin(self, *_):
        pass

    def update(self, *_, **__):
        pass

    def again(self, *_):
        pass


def complete(task, items, executor):
    rounds.complete(task, items, executor, NoProgress(), len(items))


def squares(directory):
    """{n: what was written for it}"""
    return {int(path.stem): int(path.read_text()) for path in Path(directory).glob("*.txt")}


if __name__ == "__main__":
    slurm.main()
