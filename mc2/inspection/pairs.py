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

MOST = 10_000                   # keys, and languages, that are told apart
OTHERS = ("others",)            # stands for the rest
KEYS_SHOWN = 50
LONGEST_NAME = 100              # characters of an id, a key or a language that are shown


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
            _count(keys, record)
            _count(langs, [_name(record.get("lang"))])
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
    yield f"keys: {_listed(keys, read)}"
    if keys["lang"]:
        others = langs.pop(OTHERS, 0)
        most = ", ".join(f"{_short(lang)} {count:,}" for lang, count in langs.most_common(LANGUAGES_SHOWN))
        yield f"languages: {most}{', ...' if len(langs) > LANGUAGES_SHOWN or others else ''}"
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


def _count(times, names):
    """Count names, of which at most MOST are told apart."""
    for name in names:
        times[name if name in times or len(times) < MOST else OTHERS] += 1


def _short(name):
    name = str(name)
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}... ({len(name):,} characters)"


def _name(lang):
    return lang if lang is None or isinstance(lang, str) else f"({type(lang).__name__})"


def _listed(keys, read):
    """The keys, those that most pairs have at least, as they occurred, with the number of pairs that have each."""
    others = keys.pop(OTHERS, 0)
    shown = keys if len(keys) <= KEYS_SHOWN else dict(keys.most_common(KEYS_SHOWN))
    text = ", ".join(_short(key) + ("" if count == read else f" (in {count:,})") for key, count in shown.items())
    if others:
        return f"{text} and more than {MOST - len(shown):,} others"
    return text + (f" and {len(keys) - len(shown):,} others" if len(keys) > len(shown) else "")


def _record(record, opened):
    yield f"{_short(record['id'])}  {_short(record.get('lang', ''))}".rstrip()
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
