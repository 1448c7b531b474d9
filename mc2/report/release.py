"""The data card of a metadata release: its entries by language and source."""
import itertools

from mc2 import __version__, files
from mc2.metadata import sources
from mc2.report.content import column, entry_cell, fields_section, language_cell, option, shown

SAMPLES = 8                 # entries of a source that are shown
OF_A_RELEASE = ("licence", "contact", "origin", "citation")


def content(opened, title=None, fields=None):
    """The content of the page (mc2.report.content). opened: mc2.metadata.release.Release"""
    languages = opened.manifest["languages"]
    of_kind = {kind: sum(row["sources"].get(kind, 0) for row in languages.values())
               for kind in ["number", *sources.KINDS]}
    total = sum(row["entries"] for row in languages.values())
    sourced = sorted((lang for lang, row in languages.items() if set(row["sources"]) - {"number"}),
                     key=lambda lang: (-languages[lang]["entries"], lang))
    lead = (f"{total:,} entries that texts are matched with, in {len(languages):,} languages, of which "
            f"{len(sourced):,} have more than numbers.")
    sections = [{"kind": "bars", "title": "Entries by source", "total": total,
                 "rows": [[kind, number] for kind, number in of_kind.items() if number]},
                _languages_section(opened, sourced, [kind for kind in sources.KINDS if of_kind[kind]]),
                {"kind": "facts", "title": "How it was made", "rows": _provenance(opened)},
                {"kind": "list", "title": "What to know before using it", "items": list(_limits(opened, sourced))},
                fields_section(fields, OF_A_RELEASE)]
    return {"kind": "Data card of metadata", "title": shown(title or files.printable(opened.path)), "lead": lead,
            "tiles": [[total, "entries"], [len(sourced), "languages with sources"], [len(languages), "languages"]],
            "sections": sections}


def _languages_section(opened, sourced, kinds):
    languages = opened.manifest["languages"]
    columns = [column("name", "language", "language"), column("entries", "entries"),
               *(column(kind, kind, wide=True) for kind in kinds),
               column("dead", "cannot match", "percent", about="share of entries that no text can hold")]
    rows = [{"name": language_cell(lang), "entries": languages[lang]["entries"],
             **{kind: languages[lang]["sources"].get(kind, 0) for kind in kinds},
             "dead": languages[lang]["cannot_match"] / max(languages[lang]["entries"], 1)} for lang in sourced]
    return {"kind": "languages", "title": "Languages", "columns": columns, "rows": rows, "sort": "entries",
            "note": "A click on a language shows some of its entries below; one on a heading sorts.",
            "detail_title": "Entries of a language", "details": {lang: _detail(opened, lang) for lang in sourced}}


def _detail(opened, lang):
    """Some entries of each source, evenly spread over its rows."""
    tables = []
    for kind, group in itertools.groupby(opened.rows(lang), key=lambda row: row[1]):
        group = list(group)
        rows = group if len(group) <= SAMPLES else [group[len(group) * number // SAMPLES] for number in range(SAMPLES)]
        tables.append({"title": f"{kind}, {len(group):,}", "columns": [column("entry", "entry", "entry")],
                       "rows": [{"entry": entry_cell(row[0], lang)} for row in rows]})
    codes = " ".join(opened.manifest["languages"][lang]["wiki_codes"])
    return {"lead": f"From the Wikipedias {codes}." if codes else "", "plots": [], "tables": tables, "examples": []}


def _provenance(opened):
    manifest = opened.manifest
    origins = [f"{its['name']}, licence {its['licence']} ({its['url']})" for its in manifest.get("origins", [])]
    rows = [["command", shown(manifest.get("command") or "not known")],
            ["mc2", f"{manifest.get('mc2', 'not known')}; this page: {__version__}"],
            ["metadata", opened.fingerprint], ["sources of the entries", list(map(shown, origins))],
            ["options", [option(name, value) for name, value in manifest["options"].items()]]]
    return [row for row in rows if row[1]]


def _limits(opened, sourced):
    """Yield sentences on what a user of the release should know."""
    manifest = opened.manifest
    yield ("Entries come from the sources named here, whose authors chose what is worth an article or a word. What is "
           "not there counts for nothing when pairs are balanced.")
    bare = len(manifest["languages"]) - len(sourced)
    if bare:
        yield f"{bare:,} languages have numbers only, as there are no sources of them."
    if any(its.get("starter") for its in manifest.get("origins", [])):
        yield "This is a start made of frequent words, not the metadata of the paper."
