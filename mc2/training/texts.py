"""Texts to make a tokenizer from: those of files of pairs, of tars, and lines of plain text."""
from mc2 import files, tars
from mc2.errors import BadUsage
from mc2.pairs.shards import read_blocks

PLAIN = (".txt", ".txt.gz", ".txt.zst")


def of_files(paths, matched=False):
    """Yield the texts of all files, in order, without blank ones. matched: only those of pairs that matched an entry.

    A .txt has a text per line, a .tar the texts of its samples; all others are pairs.
    """
    for path in paths:
        is_pairs = not files.has_suffix(path, *PLAIN, ".tar")
        if matched and not is_pairs:
            raise BadUsage(f"{files.name_of(path)}: --matched is for pairs that 'mc2 match' made.")
        found = _of_pairs(path, matched) if is_pairs else of_tar(path) if files.has_suffix(path, ".tar") else _of_lines(path)
        yield from (text for text in found if text and text.strip())


def of_tar(path):
    """Yield the texts of those samples of a tar that have an image, as training without files of pairs takes them."""
    for _, members in tars.samples(path):
        if tars.image(members):
            yield tars.text(members, tars.record(members))


def _of_lines(path):
    return (line.removeprefix("\ufeff").rstrip("\r") for _, line in files.read_lines(path))


def _of_pairs(path, matched):
    for block in read_blocks([path], columns=("id", "text", *(("matched_entry_ids",) if matched else ()))):
        batch = block.batch(("matched_entry_ids",) if matched else ())
        if matched:
            yield from (text for text, ids in zip(batch.texts, batch.column("matched_entry_ids")) if ids)
        else:
            yield from batch.texts
