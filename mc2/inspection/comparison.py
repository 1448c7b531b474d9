"""Compare two metadata releases: what they hold, and what they find in texts."""
from collections import Counter
from typing import NamedTuple

from mc2 import files
from mc2.inspection.releases import LANGUAGES_SHOWN
from mc2.metadata import matching, spacing
from mc2.pairs.shards import read_blocks
from mc2.tables import align

EXAMPLES = 5
GROUPS = 6                      # of entries that differ, the first fields of a _Difference
LONGEST_TEXT = 120              # characters of a text that are shown


def compare(a, b):
    """Yield lines about how release A differs from release B. a, b: release.Release"""
    yield f"A: metadata {a.fingerprint[:12]}, {a.path}"
    yield f"B: metadata {b.fingerprint[:12]}, {b.path}"
    if a.fingerprint == b.fingerprint:
        yield "They are the same release."
        return
    yield from _options(a.manifest["options"], b.manifest["options"])
    yield from _mappings(a.languages, b.languages)
    for name, langs in ("A", _missing(a.langs, b.langs)), ("B", _missing(b.langs, a.langs)):
        if langs:
            yield f"languages only in {name}: {' '.join(langs)}"
    differences = {lang: _difference(a, b, lang) for lang in a.langs if lang in b.n_entries}
    yield from _totals(differences)
    changed = _changed(differences)
    yield from _table(a, b, {lang: differences[lang] for lang in changed})
    if moved := [lang for lang, row in differences.items() if row.other_order]:
        yield f"the same entries in another order or with other scores: {' '.join(moved)}"
    for lang in changed[:LANGUAGES_SHOWN]:
        yield ""
        yield lang
        yield from _examples(differences[lang])


def facts(a, b):
    """What `compare` says, as a dict: of a and b, their path and fingerprint; is_same; options {name: [of A, of B]};
    languages_only_in_a and _b; labels_only_in_a and _b; labels_of_another_language {label: [language in A, in B]};
    other_wikipedias {language: [those in A, in B]}; languages {one that differs: see _facts_of}; entries (the same of
    all languages); in_another_order (languages)."""
    found = {"kind": "comparison", "a": {"path": a.path, "fingerprint": a.fingerprint},
             "b": {"path": b.path, "fingerprint": b.fingerprint}, "is_same": a.fingerprint == b.fingerprint}
    if found["is_same"]:
        return found
    one, other = a.manifest["options"], b.manifest["options"]
    differences = {lang: _difference(a, b, lang) for lang in a.langs if lang in b.n_entries}
    of_a, of_b = a.languages, b.languages
    return {**found, "options": {name: [one.get(name), other.get(name)] for name in _other_options(one, other)},
            "languages_only_in_a": _missing(a.langs, b.langs), "languages_only_in_b": _missing(b.langs, a.langs),
            "labels_only_in_a": _missing(of_a.lang_of, of_b.lang_of),
            "labels_only_in_b": _missing(of_b.lang_of, of_a.lang_of),
            "labels_of_another_language": {label: [lang, of_b.lang_of[label]] for label, lang in of_a.lang_of.items()
                                           if of_b.lang_of.get(label, lang) != lang},
            "other_wikipedias": {lang: [list(group), list(of_b.groups[lang])] for lang, group in of_a.groups.items()
                                 if of_b.groups.get(lang, group) != group},
            "entries": {**{name: sum(_number(getattr(row, name)) for row in differences.values())
                           for name in _Difference._fields[:GROUPS]},
                        "same": sum(row.same for row in differences.values())},
            "languages": {lang: {"in_a": a.n_entries[lang], "in_b": b.n_entries[lang], **_facts_of(differences[lang])}
                          for lang in _changed(differences)},
            "in_another_order": [lang for lang, row in differences.items() if row.other_order]}


def _facts_of(difference):
    """{group: {source: {"entries": how many, "examples": some}}} of a language, and `same` (entries)."""
    groups = {name: {source: {"entries": number, "examples": examples} for source, (number, examples) in group.items()}
              for name, group in zip(_Difference._fields, difference[:GROUPS])}
    return {**groups, "same": difference.same}


def _changed(differences):
    """The languages of which entries differ, those with most first."""
    return sorted((lang for lang, row in differences.items() if row.size),
                  key=lambda lang: (-differences[lang].size, lang))


def _missing(langs, others):
    return [lang for lang in langs if lang not in others]


def _options(a, b):
    if names := _other_options(a, b):
        yield "options, A | B: " + ", ".join(f"{name} {a.get(name)} | {b.get(name)}" for name in names)


def _other_options(a, b):
    """The names of options that differ; `words_end_at` follows from `spacing`."""
    return [name for name in {**a, **b} if a.get(name) != b.get(name) and name != "words_end_at"]


def _mappings(a, b):
    """Yield lines about the differences of the mappings from LID labels to languages."""
    for name, labels in ("A", _missing(a.lang_of, b.lang_of)), ("B", _missing(b.lang_of, a.lang_of)):
        if labels:
            yield f"LID labels only in {name}, {len(labels):,}: {_some(labels)}"
    other = [f"{label} {lang} | {b.lang_of[label]}" for label, lang in a.lang_of.items()
             if b.lang_of.get(label, lang) != lang]
    if other:
        yield f"LID labels of another language, A | B, {len(other):,}: {_some(other)}"
    codes = [f"{lang} ({' '.join(group)}) | ({' '.join(b.groups[lang])})" for lang, group in a.groups.items()
             if b.groups.get(lang, group) != group]
    if codes:
        yield f"languages of other Wikipedias, A | B, {len(codes):,}: {_some(codes)}"


def _some(texts, shown=EXAMPLES):
    return ", ".join(texts[:shown]) + (", ..." if len(texts) > shown else "")


# ---------------------------------------------------------------- entries

class _Difference(NamedTuple):
    """How the entries of a language differ. A group is {source: (number of entries, the first few of them)}."""

    only_a: dict
    only_b: dict
    moved: dict             # entries in both, of another source
    alive_a: dict           # entries in both that texts can hold only as A spaces them
    alive_b: dict
    other_form: dict        # entries of A that B has in another Unicode normal form
    same: int               # entries in both, of the same source
    other_order: bool       # no difference but of order or score

    @property
    def size(self):
        """How many entries there are to show."""
        return sum(map(_number, self[:GROUPS]))


def _number(group):
    return sum(number for number, _ in group.values())


def _group(found):
    """found: iterable of (source, entry)"""
    group = {}
    for source, entry in found:
        number, examples = group.get(source, (0, []))
        if number < EXAMPLES:
            examples.append(entry)
        group[source] = number + 1, examples
    return group


def _difference(a, b, lang):
    same_bytes = a.manifest["sha256"][f"{lang}.tsv"] == b.manifest["sha256"][f"{lang}.tsv"]
    if same_bytes and a.spacing == b.spacing:
        return _Difference({}, {}, {}, {}, {}, {}, a.n_entries[lang], False)
    in_a, in_b = _source_of(a, lang), _source_of(b, lang)
    both = [entry for entry in in_a if entry in in_b]
    form_in_b = _other_forms(in_a, in_b) if a.nfc != b.nfc else {}
    forms = {*form_in_b, *form_in_b.values()}
    other_form = _group((in_a[entry], f"{entry} ({_code_points(entry)} | {_code_points(form)})")
                        for entry, form in form_in_b.items())
    only_a = _group((source, entry) for entry, source in in_a.items() if entry not in in_b and entry not in forms)
    only_b = _group((source, entry) for entry, source in in_b.items() if entry not in in_a and entry not in forms)
    moved = _group((f"{in_a[entry]} in A, {in_b[entry]} in B", entry) for entry in both if in_a[entry] != in_b[entry])
    alive_a, alive_b = (_group((in_a[entry], entry) for entry in both if a.spacing != b.spacing
                               and spacing.can_match(entry, one) and not spacing.can_match(entry, other))
                        for one, other in ((a.spacing, b.spacing), (b.spacing, a.spacing)))
    return _Difference(only_a, only_b, moved, alive_a, alive_b, other_form, len(both) - _number(moved),
                       not (same_bytes or only_a or only_b or moved or other_form))


def _other_forms(in_a, in_b):
    """{entry only in A: the entry only in B that is the same in NFC}"""
    of_normal = {spacing.normalize(entry): entry for entry in in_b if entry not in in_a}
    normal = {entry: spacing.normalize(entry) for entry in in_a if entry not in in_b}
    return {entry: of_normal[form] for entry, form in normal.items() if form in of_normal}


def _code_points(entry):
    return " ".join(f"{ord(character):04X}" for character in entry)


def _source_of(opened, lang):
    """{entry: its source}; of an entry that a list names twice the first."""
    source_of = {}
    for entry, source, _ in opened.rows(lang):
        source_of.setdefault(entry, source)
    return source_of


def _totals(differences):
    only_a, only_b, moved, alive_a, alive_b, other_form = (
        sum(_number(row[column]) for row in differences.values()) for column in range(GROUPS))
    same = sum(row.same for row in differences.values())
    yield (f"entries of {len(differences):,} languages in both: {only_a:,} only in A, {only_b:,} only in B, "
           f"{moved:,} from another source, {same:,} the same")
    if other_form:
        yield f"in another Unicode normal form: {other_form:,} of A, which B has too"
    if alive_a or alive_b:
        yield f"of those in both, texts can hold {alive_a:,} only as A spaces them, {alive_b:,} only as B does"


def _table(a, b, differences):
    if not differences:
        return
    rows = [["language", "in A", "in B", "only in A", "only in B", "other source", "can match only in A",
             "can match only in B", "other form"]]
    for lang, row in list(differences.items())[:LANGUAGES_SHOWN]:
        counts = [a.n_entries[lang], b.n_entries[lang], *map(_number, row[:GROUPS])]
        rows.append([lang, *(f"{count:,}" for count in counts)])
    yield from align(rows)
    if more := list(differences)[LANGUAGES_SHOWN:]:
        yield f"and {len(more):,} more: {' '.join(more)}"


def _examples(difference):
    titles = ("only in A", "only in B", "another source", "can match only in A", "can match only in B",
              "another normal form (A | B)")
    for title, group in zip(titles, difference):
        for source, (number, examples) in group.items():
            yield f"  {title}, {source} {number:,}: {', '.join(examples)}{', ...' if number > len(examples) else ''}"


# ---------------------------------------------------------------- texts

def compare_texts(a, b, path, lines, longest):
    """Yield lines about what the releases A and B find in the texts of pairs that have `lang`.

    lines: how many pairs to read; 0 = all. Their texts are kept in memory.
    """
    texts, read = _texts(path, lines, longest)
    yield f"texts of {files.name_of(path)}: {read:,}{' (the first)' if lines and read >= lines else ''} read"
    shared = sorted((lang for lang in texts if lang in a.n_entries and lang in b.n_entries),
                    key=lambda lang: (-len(texts[lang]), lang))
    found = {lang: _found(a, b, lang, texts[lang]) for lang in shared}
    rows = [["language", "texts", "match under both", "only A", "only B", "neither", "matches only under A",
             "only under B"]]
    counts = {lang: _counts(of_lang) for lang, of_lang in found.items()}
    rows += [[lang, *counts[lang]] for lang in shared[:LANGUAGES_SHOWN]]
    rows.append([f"all {len(shared):,}", *(sum(column) for column in zip(*counts.values()))])
    yield from align([[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows if len(row) > 1])
    if foreign := [f"{lang} {len(texts[lang]):,}" for lang in sorted(texts) if lang not in found]:
        yield f"texts left out, in languages that not both releases have: {', '.join(foreign)}"
    for lang in shared[:LANGUAGES_SHOWN]:
        yield from _gains(lang, found[lang])


COUNTS = ("texts", "match_under_both", "only_a", "only_b", "neither", "matches_only_under_a", "matches_only_under_b")


def facts_of_texts(a, b, path, lines, longest):
    """What `compare_texts` says, as a dict. languages: {language in both: COUNTS, and gained_a and gained_b, some texts
    with the entries that they match under that release only}"""
    texts, read = _texts(path, lines, longest)
    shared = sorted((lang for lang in texts if lang in a.n_entries and lang in b.n_entries),
                    key=lambda lang: (-len(texts[lang]), lang))
    rows = {}
    for lang in shared:
        found = _found(a, b, lang, texts[lang])
        gained = {name: [{"text": text.text, "entries": getattr(text, only_here)} for text in its]
                  for name, only_here, its in _gained(found)}
        rows[lang] = {**dict(zip(COUNTS, _counts(found))), "gained_a": gained["A"], "gained_b": gained["B"]}
    return {"path": files.name_of(path), "read": read, "is_first": bool(lines and read >= lines), "languages": rows,
            "left_out": {lang: len(texts[lang]) for lang in sorted(texts) if lang not in rows}}


class _Text(NamedTuple):
    """A text with the entries that it matches: under A but not under B, the other way round, and under both."""

    text: str
    only_a: list
    only_b: list
    both: int


def _texts(path, lines, longest):
    """({lang: texts}, number of pairs read)"""
    texts, read = {}, 0
    for block in read_blocks([path], columns=("id", "text", "lang"), longest=longest):
        for record in block.batch(("lang",)).records[:lines - read if lines else None]:
            read += 1
            texts.setdefault(record["lang"], []).append(record["text"])
        if lines and read >= lines:
            break
    return texts, read


def _found(a, b, lang, texts):
    """list of _Text"""
    found = []
    for text, in_a, in_b in zip(texts, _matches(a, lang, texts), _matches(b, lang, texts)):
        also_a, also_b = set(in_a), set(in_b)
        found.append(_Text(text, [entry for entry in in_a if entry not in also_b],
                           [entry for entry in in_b if entry not in also_a], len(also_a & also_b)))
    return found


def _matches(opened, lang, texts):
    """For each text the list of entries that it matches, each once."""
    matcher = matching.matcher_of(opened, lang)
    offsets, ids = matcher.match(texts)
    entries = opened.entries(lang)
    ids, offsets = ids.tolist(), offsets.tolist()
    return [list(dict.fromkeys(entries[i] for i in ids[start:stop])) for start, stop in zip(offsets, offsets[1:])]


def _counts(texts):
    """The numbers of a language in the table."""
    kinds = Counter((bool(text.only_a or text.both), bool(text.only_b or text.both)) for text in texts)
    return [len(texts), kinds[True, True], kinds[True, False], kinds[False, True], kinds[False, False],
            sum(len(text.only_a) for text in texts), sum(len(text.only_b) for text in texts)]


def _gains(lang, texts):
    """Yield lines: what _gained gives."""
    for name, only_here, gained in _gained(texts):
        for text in gained:
            shown = " ".join(text.text.split())
            shown = shown if len(shown) <= LONGEST_TEXT else shown[:LONGEST_TEXT - 1] + "…"
            yield f"  {lang}, only under {name}: {shown} -> {_some(getattr(text, only_here))}"


def _gained(texts):
    """Yield (release, name of the field with its entries, some texts that match entries under this release only), first
    those in which the other release finds nothing."""
    for name, only_here, only_there in ("A", "only_a", "only_b"), ("B", "only_b", "only_a"):
        gained = [text for text in texts if getattr(text, only_here)]
        gained.sort(key=lambda text: bool(text.both or getattr(text, only_there)))
        yield name, only_here, gained[:EXAMPLES]
