"""Which metadata language each label of a language identification (LID) model stands for.

A label maps to a group of Wikipedia codes; the first code of the group names the metadata language, whose
metadata is made from all of them. Wikipedias that no label reaches make up the group `other`. The mappings
of the four schemes are in mc2/data; a metadata release holds the one in force as languages.csv.
"""
import csv
import functools
import io
from importlib import resources

from mc2 import files
from mc2.errors import BadData

SCHEMES = ("lid176", "nllb", "openlid", "glotlid")
OTHER = "other"

# Wikipedias whose words are not set apart by spaces
WITHOUT_SPACES = frozenset("bo dz ja ryu km lo my th zh zh_classical zh_yue".split())
COLUMNS = ["lid_label", "lang", "wiki_codes"]


class Languages:
    """A mapping in force.

    lang_of:  {LID label: metadata language}
    groups:   {metadata language: its Wikipedia codes, in mapping order}; `other` comes last
    """

    def __init__(self, rows):
        """rows: list of (LID label, list of Wikipedia codes)."""
        self.rows = rows
        self.lang_of = {label: codes[0] for label, codes in rows if label != OTHER}
        self.groups = {}
        for label, codes in rows:
            group = self.groups.setdefault(OTHER if label == OTHER else codes[0], [])
            group += [code for code in codes if code != OTHER and code not in group]
        self.groups[OTHER] = self.groups.pop(OTHER, [])

    @property
    def langs(self):
        return list(self.groups)

    @property
    def wiki_codes(self):
        return [code for codes in self.groups.values() for code in codes]

    def to_csv(self):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for label, codes in self.rows:
            writer.writerow([label, OTHER if label == OTHER else codes[0], " ".join(codes)])
        return text.getvalue().encode()


@functools.cache
def of_scheme(scheme):
    """The Languages of a LID scheme, from the package data."""
    if scheme == "lid176":
        name, column = "lid176_to_wiki.csv", "wiki_codes"
    else:
        name, column = "iso6393_to_wiki.csv", f"wiki_codes_{scheme}"
    table = csv.DictReader(resources.files("mc2").joinpath("data", name).read_text("utf-8").splitlines())
    return Languages([(row["lid_label"].split(":")[0], row[column].split()) for row in table if row[column]])


def of_file(path):
    """The Languages of a languages.csv. Raises BadData when it is not one."""
    lines = [line for _, line in files.read_lines(path)]
    table = list(csv.reader(lines))
    if not table or table[0] != COLUMNS:
        raise BadData(f"{path}:1: the columns must be {','.join(COLUMNS)}.")
    for number, row in enumerate(table[1:], 2):
        if len(row) != 3 or not row[2].split():
            raise BadData(f"{path}:{number}: not a line of LID label, language and Wikipedia codes.")
    return Languages([(label, codes.split()) for label, _, codes in table[1:]])
