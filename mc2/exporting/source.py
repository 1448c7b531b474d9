"""Which files of pairs a curated set is, and what their manifests say about how it was made."""
import os
from collections import Counter
from typing import NamedTuple

from mc2 import files, manifests, tar_names
from mc2.errors import BadData, BadUsage
from mc2.execution import receipt
from mc2.pairs import formats, shards

CURATION = "curation"                       # the kind of the manifest of `mc2 curate`
MARK = os.path.join(".work", "job-of-mc2-curate")
NOT_PAIRS = ("quarantine",)                 # folders of bad lines


class Source(NamedTuple):
    """shards: paths of the files of pairs. curation: the manifest of `mc2 curate`, or {} where none is known."""

    shards: list
    curation: dict


def find(paths):
    """The Source that these paths are: the folder of `mc2 curate`, one of shards, or files of pairs."""
    found, curation = [], {}
    for path in paths:
        if path == "-":
            raise BadUsage("a curated set cannot be read from stdin: what is done is known by the names of its files. "
                           "Name them, or their folder.")
        if not files.is_directory(path):
            found.append(path)
            continue
        if files.is_remote(path):
            raise BadUsage(f"{path}: is a folder. Name the files in it, e.g. {path.rstrip('/')}/*.jsonl.zst.")
        _refuse_other_kinds(path)
        curation = curation or _curation(path)
        found += _shards_in(_pairs_of(path))
    twice = next((path for path, times in Counter(map(files.identity, found)).items() if times > 1), None)
    if twice:
        raise BadUsage(f"{twice}: is named twice.")
    return Source(found, curation)


def _refuse_other_kinds(folder):
    kind = (manifests.read(folder) or {}).get("kind", CURATION)
    if kind != CURATION:
        raise BadUsage(f"{folder}: this is a {kind} directory, not curated pairs. Name the output of 'mc2 curate', or "
                       "of 'mc2 sample' with -O.")


def _curation(folder):
    manifest = manifests.read(folder) or {}
    return manifest if manifest.get("kind") == CURATION else {}


def _pairs_of(folder):
    """The folder of the curated pairs in that of a job, or the folder itself. Raises BadData for a job under way."""
    if _curation(folder):
        return os.path.join(folder, "curated")
    if os.path.exists(os.path.join(folder, MARK)):
        raise BadData(f"{folder}: this curation is not finished. Run its 'mc2 curate' again, then export.")
    is_job = all(os.path.isdir(os.path.join(folder, name)) for name in ("curated", "counts"))
    return os.path.join(folder, "curated") if is_job else folder


def _shards_in(folder):
    found = []
    for directory, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in NOT_PAIRS
                            and not os.path.exists(os.path.join(directory, name, "croissant.json")))      # a data set
        found += [os.path.join(directory, name) for name in sorted(names) if not name.startswith(".")
                  and files.has_suffix(name, *tar_names.PAIRS)]
    if not found:
        raise BadUsage(f"{folder}: holds no files of pairs ({', '.join(tar_names.PAIRS[:4])} ...). Name the output of "
                       "'mc2 curate', or of 'mc2 sample' with -O.")
    for path in found:
        formats.refuse_unreadable(path, None)
    return found


def _raise(error):
    raise error


# ---------------------------------------------------------------- how it was made

def provenance(source):
    """How the pairs were made, as far as manifests say: plain data.

    {"mc2": [versions], "stages": [what made the files], "sampled": {"seed", "t_en", "p", ...} or None, "thresholds",
    "lineage": {"metadata": fingerprint, ...}, "options", "counts", "languages": {lang: {"pairs", "matched_pairs", "t",
    "kept"}}, "origins": [sources and licences of the release], "unknown": number of files without a manifest}
    """
    found = [manifests.read_of_input(path) or {} for path in source.shards]
    first = next((manifest for manifest in found if manifest), {})
    curation = source.curation
    paths = {**first.get("paths", {}), **curation.get("paths", {})}
    lineage = {what: fingerprint for what, fingerprint in first.get("lineage", {}).items()
               if all(each.get("lineage", {}).get(what) == fingerprint for each in found)}
    lineage.update(curation.get("lineage", {}))
    return {"mc2": sorted({manifest["mc2"] for manifest in (*found, curation) if "mc2" in manifest}),
            "stages": sorted({manifest["stage"] for manifest in found if "stage" in manifest}),
            "sampled": manifests.sampled(source.shards),
            "not_sampled": sum(not ("sampled" in each or each.get("stage") == "sample") for each in found),
            "thresholds": curation.get("options", {}).get("thresholds", {}), "lineage": lineage,
            "options": {name: its for name, its in curation.get("options", {}).items() if name in ("lid", "match")},
            "counts": curation.get("counts", {}), "languages": curation.get("languages", {}),
            "origins": _origins(paths.get("metadata"), lineage.get("metadata")),
            "unknown": sum(not manifest for manifest in found)}


def _origins(path, fingerprint):
    """[{"name", "licence", ...}] of the release, where it is still there."""
    manifest = (manifests.read_if_whole(path) if path and os.path.isdir(path) else None) or {}
    return manifest.get("origins", []) if fingerprint and manifest.get("fingerprint") == fingerprint else []


def pairs_in(source):
    """Counter of the pairs in the files of a Source ("in"), with those that have no id or text by reason. Files without
    a manifest are read for that."""
    found = Counter()
    for path in source.shards:
        counts = (manifests.read_if_whole(path) or {}).get("counts", {})
        if "out" in counts:
            found["in"] += counts["out"]
            continue
        for block in shards.read_blocks([path], columns=("id", "text"), longest=None):
            receipt.add_up(found, block.batch().tally)
    return found
