"""Say which Wikipedias the labels of a language identification model reach."""
import textwrap

from mc2 import files
from mc2.errors import BadUsage
from mc2.metadata.languages import OTHER
from mc2.stages import lid_models
from mc2.tables import align


def labels_of(mapping, model=None, engine=None):
    """(path, labels) of a model; without one of the default model, where the mapping has all of its labels; else
    (None, None)."""
    if model:
        return model, lid_models.open_model(model, engine).labels
    try:
        default = lid_models.default_model()
    except BadUsage:
        return None, None
    labels = lid_models.open_model(default, engine).labels
    return (default, labels) if mapping.lang_of.keys() >= set(labels) else (None, None)


def describe(name, mapping, model=None, labels=None):
    """Yield lines on the mapping (metadata.languages.Languages) of this name, and on the labels of this model."""
    of = f"labels of {files.name_of(model)}" if model else "labels of the mapping alone, without a --model"
    yield f"mapping {files.name_of(name)}, {of}"
    yield ""
    yield from coverage(mapping, labels)


def facts(name, mapping, model=None, labels=None):
    """What `describe` says, as a dict. languages: {language that a label reaches: wikipedias, labels}"""
    return {"kind": "mapping", "name": files.name_of(name), "model": files.name_of(model) if model else None,
            **_coverage(mapping, labels)}


def _coverage(mapping, labels):
    """Which Wikipedias the labels of a mapping reach, as a dict; labels: those of a model, or None"""
    present = mapping.lang_of.keys() if labels is None else mapping.lang_of.keys() & set(labels)
    labels_of_lang = {lang: [] for lang in mapping.langs}
    for label in sorted(present):
        labels_of_lang[mapping.lang_of[label]].append(label)
    reached = sorted(lang for lang, found in labels_of_lang.items() if found and lang != OTHER)
    silent = sorted(lang for lang, found in labels_of_lang.items() if not found and lang != OTHER)
    return {"languages": {lang: {"wikipedias": list(mapping.groups[lang]), "labels": labels_of_lang[lang]}
                          for lang in reached},
            "labels_that_the_mapping_lacks": sorted(set(labels or ()) - present),
            "labels_that_the_model_lacks": sorted(mapping.lang_of.keys() - present),
            "labels_of_other": labels_of_lang[OTHER],
            "wikipedias_not_reached": [code for lang in silent for code in mapping.groups[lang]],
            "wikipedias_of_other": list(mapping.groups[OTHER]), "unnamed_wikipedias": len(mapping.unnamed),
            "wikipedias": len(mapping.wiki_codes)}


def coverage(mapping, labels=None):
    """Yield lines: which Wikipedias the labels of a mapping reach, and which are in `other`.

    labels: those of a model. Then only they count, and where model and mapping differ is said.
    """
    found = _coverage(mapping, labels)
    rows = found["languages"]
    yield from align([["language", "Wikipedias", "labels"],
                      *([lang, " ".join(row["wikipedias"]), " ".join(row["labels"])] for lang, row in rows.items())],
                     right=())
    yield from _paragraph("labels that the mapping lacks, so that mc2 lid refuses the model",
                          found["labels_that_the_mapping_lacks"])
    yield from _paragraph("labels that the model lacks", found["labels_that_the_model_lacks"])
    yield from _paragraph("labels that go to other", found["labels_of_other"])
    yield from _paragraph("Wikipedias of languages that no label reaches", found["wikipedias_not_reached"])
    yield from _paragraph("Wikipedias in other", found["wikipedias_of_other"])
    if found["unnamed_wikipedias"]:
        yield f"  {found['unnamed_wikipedias']:,} of them are there because no line of the mapping names them"
    yield ""
    total, others, unreached = (found["wikipedias"], len(found["wikipedias_of_other"]),
                                len(found["wikipedias_not_reached"]))
    n_labels = sum(len(row["labels"]) for row in rows.values())
    text = (f"{total:,} Wikipedias: {total - others - unreached:,} reached by {n_labels:,} labels in "
            f"{len(rows):,} languages, {others:,} in other")
    yield text + (f", {unreached:,} in languages that no label reaches" if unreached else "")


def _paragraph(title, words):
    if not words:
        return
    yield ""
    yield f"{title}: {len(words):,}"
    yield from textwrap.wrap(" ".join(words), 100, initial_indent="  ", subsequent_indent="  ",
                             break_long_words=False, break_on_hyphens=False)
