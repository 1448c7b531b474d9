"""Describe pairs: their keys and languages, and the matches of some."""
import os
from collections import Counter

from mc2 import manifests, tables
from mc2.errors import Mc2Error
from mc2.execution.receipt import what_was_left_out
from mc2.inspection.releases import LANGUAGES_SHOWN, named_release
from mc2.metadata import release
from mc2.pairs import advice
from mc2.pairs.columns import NoPairs, said
from mc2.pairs.shards import AS_THEY_ARE, read_blocks


def describe(path, metadata, lines, longest, reading=AS_THEY_ARE):
    """Yield lines about pairs. reading: which columns are id and text. A table in which that is not known is described
    as a table."""
    try:
        yield from _describe(path, metadata, lines, longest, reading)
    except NoPairs as error:
        n_columns = "1 column" if len(error.columns) == 1 else f"{len(error.columns):,} columns"
        yield f"a table of {n_columns}, of which it is not known which are id and text"
        yield from tables.align([[advice.shown(name), kind] for name, kind in error.columns.items()], right=())
        if error.hint:
            yield error.hint


def _describe(path, metadata, lines, longest, reading):
    manifest = (manifests.read(path) if path != "-" else None) or {}
    read, keys, langs, matches, shown, columns, left_out = 0, Counter(), Counter(), 0, [], [], Counter()
    for block in read_blocks([path], longest=longest, reading=reading, found=lambda _, its: columns.append(its)):
        batch = block.batch()
        left_out += batch.tally
        for record in batch.records[:lines - read if lines else None]:
            read += 1
            keys.update(record.keys())
            langs[record.get("lang")] += 1
            matches += bool(record.get("matched_entry_ids"))
            if len(shown) < 5 and (record.get("matched_entry_ids") or "matched_entry_ids" not in record):
                shown.append(record)
        if lines and read >= lines:
            break
    total = manifest.get("counts", {}).get("out")
    of = f" of {total:,}" if total is not None and total > read else " (the first)" if lines and read >= lines else ""
    made = f", made by mc2 {manifest['stage']}" if "stage" in manifest else ""
    yield f"{'matched ' if keys['matched_entry_ids'] else ''}pairs{made}: {read:,}{of} read"
    if text := what_was_left_out(left_out).removeprefix(", "):
        yield f"left out: {text}"
    if columns and (text := said(columns[0].description())):
        yield text
    if not read:
        return
    yield f"keys: {', '.join(key if count == read else f'{key} (in {count:,})' for key, count in keys.items())}"
    if keys["lang"]:
        most = ", ".join(f"{lang} {count:,}" for lang, count in langs.most_common(LANGUAGES_SHOWN))
        yield f"languages: {most}{', ...' if len(langs) > LANGUAGES_SHOWN else ''}"
    if keys["matched_entry_ids"]:
        yield f"matched: {matches:,} of {read:,}"
    opened = None
    if keys["matched_entry_ids"]:
        opened = named_release(metadata, manifest, manifest.get("lineage", {}).get("metadata"))
        if not opened and not manifest and (opened := _release_beside(path)):
            yield f"(words of {opened.path}; name another release with -m)"
        if not opened:
            yield "(name the metadata with -m to see the matched words)"
    for record in shown:
        yield ""
        yield from _record(record, opened)


def _record(record, opened):
    yield f"{record['id']}  {record.get('lang', '')}".rstrip()
    yield f"  {' '.join(record['text'].split())[:200]}"
    ids = record.get("matched_entry_ids")
    if not ids:
        return
    if opened and record.get("lang") in opened.n_entries:
        entries = opened.entries(record["lang"])
        yield "  -> " + ", ".join(entries[i] if type(i) is int and i < len(entries) else f"{i}?" for i in ids)
    else:
        yield "  -> " + ", ".join(map(str, ids))


def _release_beside(path):
    """For pairs without a manifest, as from a pipe: the release called `metadata` in the same directory, or None."""
    beside = os.path.join(os.path.dirname(path) if path != "-" else "", "metadata")
    try:
        return release.Release(beside) if os.path.isdir(beside) else None
    except Mc2Error:
        return None
