"""Errors that a person can act on. Each carries the exit status of the run that it ends."""


class Mc2Error(Exception):
    """Something went wrong; the message says where, what, and what to do next."""

    status = 1


class BadUsage(Mc2Error):
    """The command cannot be carried out as it was given."""

    status = 2


class BadData(Mc2Error):
    """An input is not what it should be: damaged, of the wrong form, or of another release."""

    status = 3


class BadLine(BadData):
    """One line of an input is not a pair; `--on-error skip` passes over it."""

    def __init__(self, source, number, reason, hint=""):
        super().__init__(f"{source}:{number}: {reason}{hint}")
        self.args = (source, number, reason, hint)      # so that it survives pickling between processes

    @property
    def number(self):
        """Of the line, from 1."""
        return self.args[1]

    def __str__(self):
        source, number, reason, hint = self.args
        return f"{source}:{number}: {reason}{hint}"
