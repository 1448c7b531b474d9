"""Read and write files of pairs by their suffix: the only module that knows all formats."""
import contextlib
import zlib

from mc2 import files, manifests
from mc2.errors import BadUsage
from mc2.pairs import jsonl

BLOCK = 2 << 20         # bytes of lines: the unit of work. With 1 MB matching is a tenth slower: fewer pairs per language
LONGEST_LINE = 16 << 20     # bytes of a line, by default: to identify its language takes fifteen times as much memory


def encoder_of(path):
    """The function from a Batch to the bytes that `open_write(path)` takes."""
    if files.is_parquet(path):
        from mc2.pairs import arrow
        return arrow.encode
    return jsonl.encode


@contextlib.contextmanager
def open_write(path, is_own=False):
    """Open an output for pairs, as files.open_write does; it takes what the encoder of this path gives."""
    if files.is_parquet(path):
        from mc2.pairs import parquet
        with parquet.open_write(path, is_own) as writer:
            yield writer
    else:
        with files.open_write(path, is_own=is_own) as stream:
            yield stream


def read_blocks(paths, whole_images=None, columns=None, longest=LONGEST_LINE):
    """Yield the Blocks of all inputs, in order.

    whole_images: function from a Block to the Batch of its pairs, where the adjacent ones of one id are never to be
    split; None = they may be. columns: those of Parquet that are read; None = all. longest: bytes of a line, or of a
    text in Parquet, above which it is no pair; None = no limit.
    """
    for path in paths:
        if files.is_parquet(path):
            from mc2.pairs import parquet
            yield from parquet.read_blocks(path, columns, whole_images, longest)
        else:
            blocks = (jsonl.Block(files.name_of(path), *block) for block in _checked_blocks(path, longest))
            yield from jsonl.whole_images(blocks, whole_images) if whole_images else blocks


def is_plain(path):
    """Whether a file of pairs has no checksums inside, so that only its manifest tells damage from other pairs."""
    return path != "-" and not files.is_remote(path) and not files.has_suffix(path, *files.COMPRESSED, ".parquet")


def _checked_blocks(path, longest):
    """Yield (number of the first line, bytes) for runs of whole lines. Lines without compression have no checksum but
    that in the manifest beside them; where there is one, BadData comes after the last block of a damaged file."""
    expected, crc32 = manifests.crc32_of(path) if is_plain(path) else None, 0
    for number, block in files.read_blocks(path, BLOCK, longest):
        if expected is not None:
            crc32 = zlib.crc32(block, crc32)
        yield number, block
    if expected is not None and crc32 != expected:
        raise manifests.changed(path)


def refuse_unopenable(inputs, outputs):
    """Raise BadUsage at once where a library that these formats and URLs need is missing, a URL is read-only, or
    pairs are not written in the format of an output."""
    if any(map(files.is_parquet, [*inputs, *outputs])):
        from mc2.pairs import parquet                               # noqa: F401
    for path in outputs:
        if files.has_suffix(path, *(table + end for table in (".csv", ".tsv") for end in ("", ".gz", ".zst"))):
            raise BadUsage(f"{path}: pairs are not written in this format. Name a .jsonl, .jsonl.gz, .jsonl.zst or .parquet.")
    for url in filter(files.is_remote, outputs):
        from mc2 import remote
        remote.refuse_unwritable(url)
