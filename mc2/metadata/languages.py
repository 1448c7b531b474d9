"""The mapping from the labels of a language identification (LID) model to metadata languages.

A label maps to a group of Wikipedia codes; the first code of the group names the metadata language, whose
metadata is made from all of them. Wikipedias that no label reaches make up the group `other`, so each of the
330 is in exactly one group. The mappings of the four schemes are in mc2/data; a metadata release holds the one
in force as languages.csv, and a file of that form can be used instead of them.
"""
import csv
import functools
import io

from mc2 import files, package_data
from mc2.errors import BadData, BadUsage

SCHEMES = ("lid176", "nllb", "openlid", "glotlid")
CUSTOM = "custom"               # the scheme of a mapping that was read from a file
OTHER = "other"

# Wikipedias whose words have no spaces between them
WITHOUT_SPACES = frozenset("bo dz ja ryu km lo my th zh zh_classical zh_yue".split())
COLUMNS = ["lid_label", "lang", "wiki_codes"]


class Languages:
    """A mapping in force.

    scheme:   one of SCHEMES, or CUSTOM
    lang_of:  {LID label: metadata language}
    groups:   {metadata language: its Wikipedia codes, in mapping order}; `other` comes last
    unnamed:  the codes of `other` that are there because no line names them
    """

    def __init__(self, rows, scheme=CUSTOM, unnamed=()):
        """rows: list of (LID label, list of Wikipedia codes)."""
        self.rows = rows
        self.scheme = scheme
        self.unnamed = list(unnamed)
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


def of(scheme=None, path=None):
    """The Languages of the file `path`; without one, those of a scheme (by default the first). Raises BadUsage where
    both are named."""
    if scheme and path:
        raise BadUsage("--scheme and --languages exclude each other.")
    return of_file(path) if path else of_scheme(scheme or SCHEMES[0])


@functools.cache
def of_scheme(scheme):
    """The Languages of a LID scheme, from the package data."""
    if scheme == "lid176":
        name, column = "lid176_to_wiki.csv", "wiki_codes"
    else:
        name, column = "iso6393_to_wiki.csv", f"wiki_codes_{scheme}"
    table = csv.DictReader(package_data.text(name).splitlines())
    return Languages([(row["lid_label"].split(":")[0], row[column].split()) for row in table if row[column]], scheme)


@functools.cache
def wikipedias():
    """The codes of all Wikipedias, sorted."""
    return sorted(of_scheme(SCHEMES[0]).wiki_codes)


def suggestion(code):
    """A sentence for a message, with the Wikipedia code that may be meant by an unknown one; empty if there is none."""
    meant = code.replace("-", "_")
    return f" Did you mean {meant}?" if meant in wikipedias() else ""


# ---------------------------------------------------------------- a mapping of one's own

def of_file(path):
    """The Languages of a file in the form of languages.csv.

    A line is a label, its language, and the Wikipedia codes of this language, the first of which names it. All
    labels of a language name the same codes. A label for which there is no Wikipedia has `other` twice. The label
    `other` lists the Wikipedias without a label; those that no line names join them. Raises BadData, with the line.
    """
    check, rows = _Check(), []
    for number, row in _table(path):
        try:
            rows.append(check(number, *row))
        except ValueError as error:
            raise BadData(f"{files.name_of(path)}:{number}: {error}") from None
    unnamed = [code for code in wikipedias() if code not in check.lang_of_code]
    without_label = [code for label, codes in rows if label == OTHER for code in codes if code != OTHER]
    rows = [row for row in rows if row[0] != OTHER]
    if without_label or unnamed:
        rows.append((OTHER, without_label + unnamed))
    return Languages(rows, unnamed=unnamed)


def _table(path):
    """Yield (line number, [label, language, Wikipedia codes]) of a languages.csv; blank lines are skipped."""
    name = files.name_of(path)
    reader = csv.reader((line for _, line in files.read_lines(path)), strict=True)
    try:
        header = next(reader, [])
        if header != COLUMNS:
            advice = " Remove the byte order mark at its start." if "".join(header).startswith("\ufeff") else ""
            raise BadData(f"{name}:1: the columns must be {','.join(COLUMNS)}.{advice}")
        for row in reader:
            if row and (len(row) != 3 or not all(cell.strip() for cell in row)):
                raise BadData(f"{name}:{reader.line_num}: not a line of LID label, language and Wikipedia codes.")
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise BadData(f"{name}:{reader.line_num}: not CSV ({error}).") from None


class _Check:
    """Checks the lines of a languages.csv, one after another. Called with a line, it returns (label, codes), or raises
    ValueError where the line contradicts an earlier one or itself."""

    def __init__(self):
        self.line_of_label = {}
        self.group_of = {}              # language -> (its codes, line)
        self.lang_of_code = {}          # Wikipedia code -> (its language, line)

    def __call__(self, number, label, lang, codes):
        codes = codes.split()
        if label in self.line_of_label:
            raise ValueError(f"the label {label!r} is in line {self.line_of_label[label]} already. Remove one line.")
        self.line_of_label[label] = number
        if codes == [OTHER] == [lang]:
            return label, codes
        self._refuse_wrong_name(label, lang, codes)
        known, line = self.group_of.setdefault(lang, (codes, number))
        if known != codes:
            raise ValueError(f"{lang!r} has the codes {' '.join(codes)!r}, but {' '.join(known)!r} in line {line}. "
                             f"Give all labels of a language the same codes in the same order.")
        if line == number:
            for code in codes:
                self._claim(code, lang, number)
        return label, codes

    def _refuse_wrong_name(self, label, lang, codes):
        if OTHER in codes or lang == OTHER != label or label == OTHER != lang:
            raise ValueError(f"the label {label!r} has the language {lang!r} and the codes {' '.join(codes)!r}. A "
                             f"label without a Wikipedia has {OTHER!r} as both; only the label {OTHER!r} lists the "
                             f"codes of {OTHER!r}.")
        if label != OTHER and lang != codes[0]:
            raise ValueError(f"the language is {lang!r}, but the first code is {codes[0]!r}, which names it. "
                             f"Make the two the same.")

    def _claim(self, code, lang, number):
        if code not in wikipedias():
            raise ValueError(f"{code!r} is no Wikipedia code of the {len(wikipedias())}.{suggestion(code)}")
        if code in self.lang_of_code:
            owner, line = self.lang_of_code[code]
            where = "twice here" if owner == lang else f"for {owner!r} in line {line} already"
            raise ValueError(f"the Wikipedia {code!r} is named {where}. Each belongs to one language: name it once.")
        self.lang_of_code[code] = lang, number


def with_labels(mapping, labels):
    """The mapping for a model with these labels: those that it lacks go to `other`. Its Wikipedias of `other` are
    left out, as they join it anyway, so that a person can give them to a label."""
    known = [(label, codes) for label, codes in mapping.rows if label != OTHER]
    return Languages([*known, *((label, [OTHER]) for label in sorted(set(labels) - mapping.lang_of.keys()))])


def with_languages(mapping, langs):
    """The mapping with these languages only: the labels of all others go to `other`, and their Wikipedias too."""
    kept = {lang for lang in langs if lang != OTHER}
    rows = [(label, codes if codes[0] in kept else [OTHER]) for label, codes in mapping.rows if label != OTHER]
    without_label = [code for lang, codes in mapping.groups.items() if lang not in kept for code in codes]
    return Languages([*rows, (OTHER, without_label)], mapping.scheme, mapping.unnamed)
