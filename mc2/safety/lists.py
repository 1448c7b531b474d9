"""Lists in files that a filter is given: words, ids, hosts, hashes. One entry a line, in UTF-8; blank lines are passed
over.

A list is known by the SHA-256 of its file, which is in the description of what is made with it. Workers read the file
themselves, and refuse one that changed meanwhile.
"""
from mc2 import files, manifests
from mc2.errors import BadData, BadUsage


def as_it_is(line):
    return line


class ListFile:
    """The lines of a file, read when they are first asked for. entry_of: function from a line, without white space at
    its ends, to what it stands for, or None where it stands for nothing; raises ValueError with the reason for a bad
    one."""

    def __init__(self, path, entry_of=as_it_is):
        self.path, self._entry_of = path, entry_of
        try:
            self.sha256 = manifests.sha256(path)
        except OSError as error:
            raise BadUsage(f"{path}: cannot be read ({error.strerror}).") from None
        self.entries()                          # so that a bad line is told before any work

    def entries(self):
        """{entry: line number of the first}. Raises BadData where a line is bad, there is none, or the file changed."""
        if manifests.sha256(self.path) != self.sha256:
            raise BadData(f"{self.path}: changed while the command ran. Run again.")
        found = {}
        for number, line in files.read_lines(self.path):
            line = (line.removeprefix("\ufeff") if number == 1 else line).strip()
            if sign := next((sign for sign in line if sign < " " and sign != "\t"), None):
                raise BadData(f"{files.printable(self.path)}:{number}: holds the control character {sign!r}, so it "
                              "would be found nowhere. End lines with \\n or \\r\\n, and write the file in UTF-8.")
            try:
                entry = self._entry_of(line) if line else None
            except ValueError as error:
                raise BadData(f"{files.printable(self.path)}:{number}: {error}") from None
            if entry is not None:
                found.setdefault(entry, number)
        if not found:
            raise BadData(f"{files.printable(self.path)}: holds no entry. A list has one a line.")
        return found
