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
    found = facts(path, metadata, lines, longest, reading)
    yield from _table(found) if found["kind"] == "table" else _describe(found)


def facts(path, metadata, lines, longest, reading=AS_THEY_ARE):
    """What is known of pairs, or of a table in which it is not known which columns are id and text; dict."""
    try:
        return _facts(path, metadata, lines, longest, reading)
    except NoPairs as error:
        return {"kind": "table", "columns": dict(error.columns), "hint": error.hint}


def _facts(path, metadata, lines, longest, reading):
    """kind, stage (the command that made them), read (pairs), total (None: not known), is_first (whether there may be
    more), left_out {reason: lines}, columns (as in manifests), keys {key: pairs}, other_keys (of keys that are not told
    apart), languages {lang: pairs}, other_languages, matched (None: not matched), metadata (whose words are named),
    is_beside (whether it was found beside the file), pairs (some of them)."""
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
    del left_out["in"]
    are_matched, opened, is_beside = bool(keys["matched_entry_ids"]), None, False
    if are_matched:
        opened = named_release(metadata, path, manifest, manifest.get("lineage", {}).get("metadata"))
        if not opened and not manifest and (opened := _release_beside(path)):
            is_beside = True
    other_keys, other_langs, has_lang = keys.pop(OTHERS, 0), langs.pop(OTHERS, 0), bool(keys["lang"])
    return {"kind": "pairs", "stage": manifest.get("stage"), "read": read,
            "total": manifest.get("counts", {}).get("out"), "is_first": bool(lines and read >= lines), "left_out": dict(left_out),
            "columns": columns[0].description() if columns else {}, "keys": {key: n for key, n in keys.items() if n},
            "other_keys": other_keys,
            "languages": {lang or "": n for lang, n in langs.most_common()} if has_lang else {},
            "other_languages": other_langs if has_lang else 0, "matched": matches if are_matched else None,
            "metadata": opened.path if opened else None, "is_beside": is_beside,
            "pairs": [_shown(record, opened) for record in shown]}


def _shown(record, opened):
    """A pair as it is shown: its entries too, where they are known."""
    ids = record.get("matched_entry_ids")
    found = {key: record[key] for key in ("id", "text", "lang", "matched_entry_ids") if key in record}
    if ids and opened and record.get("lang") in opened.n_entries:
        entries = opened.entries(record["lang"])
        found["entries"] = [entries[i] if type(i) is int and i < len(entries) else f"{i}?" for i in ids]
    return found


def _table(found):
    columns = found["columns"]
    n_columns = "1 column" if len(columns) == 1 else f"{len(columns):,} columns"
    yield f"a table of {n_columns}, of which it is not known which are id and text"
    yield from tables.align([[advice.shown(name), kind] for name, kind in columns.items()], right=())
    if found["hint"]:
        yield found["hint"]


def _describe(found):
    read, total, keys, langs = found["read"], found["total"], found["keys"], found["languages"]
    of = f" of {total:,}" if total is not None and total > read else " (the first)" if found["is_first"] else ""
    made = f", made by mc2 {found['stage']}" if found["stage"] is not None else ""
    yield f"{'matched ' if found['matched'] is not None else ''}pairs{made}: {read:,}{of} read"
    if text := what_was_left_out(found["left_out"]).removeprefix(", "):
        yield f"left out: {text}"
    if text := said(found["columns"]):
        yield text
    if not read:
        return
    yield f"keys: {_listed(Counter(keys), found['other_keys'], read)}"
    if langs:
        most = ", ".join(f"{_short(lang or None)} {count:,}" for lang, count in list(langs.items())[:LANGUAGES_SHOWN])
        yield f"languages: {most}{', ...' if len(langs) > LANGUAGES_SHOWN or found['other_languages'] else ''}"
    if found["matched"] is not None:
        yield f"matched: {found['matched']:,} of {read:,}"
        if found["is_beside"]:
            yield f"(words of {found['metadata']}; name another release with -m)"
        if not found["metadata"]:
            yield "(name the metadata with -m to see the matched words)"
    for record in found["pairs"]:
        yield ""
        yield from _record(record)


def _count(times, names):
    """Count names, of which at most MOST are told apart."""
    for name in names:
        times[name if name in times or len(times) < MOST else OTHERS] += 1


def _short(name):
    name = str(name)
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}... ({len(name):,} characters)"


def _name(lang):
    return lang if lang is None or isinstance(lang, str) else f"({type(lang).__name__})"


def _listed(keys, others, read):
    """The keys, those that most pairs have at least, as they occurred, with the number of pairs that have each. others:
    of keys that were not told apart"""
    shown = keys if len(keys) <= KEYS_SHOWN else dict(keys.most_common(KEYS_SHOWN))
    text = ", ".join(_short(key) + ("" if count == read else f" (in {count:,})") for key, count in shown.items())
    if others:
        return f"{text} and more than {MOST - len(shown):,} others"
    return text + (f" and {len(keys) - len(shown):,} others" if len(keys) > len(shown) else "")


def _record(record):
    yield f"{_short(record['id'])}  {_short(record.get('lang', ''))}".rstrip()
    yield f"  {' '.join(record['text'].split())[:200]}"
    if ids := record.get("matched_entry_ids"):
        yield "  -> " + ", ".join(record.get("entries") or map(str, ids))


def _release_beside(path):
    """For pairs without a manifest, as from a pipe: the release called `metadata` in the same directory, or None."""
    beside = os.path.join(os.path.dirname(path) if path != "-" else "", "metadata")
    try:
        return release.Release(beside) if os.path.isdir(beside) else None
    except Mc2Error:
        return None
