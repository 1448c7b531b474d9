"""Inputs are read in blocks of whole lines, whatever they are compressed with and wherever their parts end."""
import bz2
import gzip
import lzma
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mc2 import decompression, files
from mc2.decompression import decompressed
from mc2.errors import BadData

COMPRESS = {"": bytes, ".gz": lambda data: gzip.compress(data, 1), ".zst": zstandard.compress, ".bz2": bz2.compress,
            ".xz": lambda data: lzma.compress(data, preset=0)}
LINES = b"".join(b"%d %s\n" % (number, b"x" * (number % 50)) for number in range(3000))


def written(directory, name, data):
    (directory / name).write_bytes(data)
    return str(directory / name)


def deflated(data, **options):
    """gzip as other programs write it."""
    compressor = zlib.compressobj(wbits=31, **options)
    return compressor.compress(data) + compressor.flush()


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@given(st.lists(st.sampled_from([b"", b"a", b"bcd", b"x" * 30, b"y" * 100]), max_size=20), st.booleans(),
       st.integers(1, 64), st.sampled_from(list(COMPRESS)))
def test_blocks_are_whole_lines_and_together_the_file(directory, lines, ends, size, suffix):
    data = b"\n".join(lines) + (b"\n" if ends else b"")
    blocks = list(files.read_blocks(written(directory, f"lines.txt{suffix}", COMPRESS[suffix](data)), size))
    assert b"".join(block for _, block in blocks) == data
    assert all(block.endswith(b"\n") for _, block in blocks[:-1])
    assert [number for number, _ in blocks] == [1 + data[:start].count(b"\n") for start in starts(blocks)]
    longest = max(map(len, lines), default=0)
    assert all(0 < len(block) <= size + longest + 1 for _, block in blocks)


def starts(blocks):
    return [sum(len(block) for _, block in blocks[:index]) for index in range(len(blocks))]


def test_much_that_is_packed_into_little_comes_in_blocks_too(tmp_path):
    data = b"0123456789\n" * 2_000_000
    for suffix in ".gz", ".zst", ".xz":
        sizes = [len(block) for _, block in files.read_blocks(written(tmp_path, f"a{suffix}", COMPRESS[suffix](data)))]
        assert sum(sizes) == len(data) and max(sizes) <= files.BLOCK + 11


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".xz"])
def test_a_file_that_is_cut_off_anywhere_is_an_error(directory, suffix):
    one = COMPRESS[suffix](LINES)
    for data in one, one + one:
        for length in [0, 1, 5, 17, 100, len(one) // 2, len(one) - 9, len(one) - 1, len(one) + 1, len(one) + 20, len(data) - 1]:
            if length < len(data):
                path = written(directory, f"cut{suffix}", data[:length])
                for read in (lambda: list(files.read_blocks(path)), lambda: list(files.read_lines(path)), lambda: whole(path)):
                    with pytest.raises(BadData, match=f"cut{suffix}: the compressed data is cut off"):
                        read()


def whole(path):
    with files.open_read(path) as stream:
        return stream.read()


@pytest.mark.parametrize("name, data", [
    ("a.gz", gzip.compress(LINES) + b"trailing"), ("a.zst", zstandard.compress(LINES) + b"trailing"),
    ("b.gz", gzip.compress(LINES)[:-8] + b"\0" * 8), ("b.zst", zstandard.ZstdCompressor(write_checksum=True).compress(LINES)[:-4] + b"\0" * 4),
    ("c.gz", LINES), ("c.zst", LINES), ("c.bz2", LINES), ("c.xz", LINES),
    ("a.xz", lzma.compress(LINES) + b"trailing" * 3), ("b.xz", lzma.compress(LINES)[:500] + bytes(200)), ("d.gz", gzip.compress(LINES) + b"\0\0x" + bytes(20))])
def test_damage_and_what_follows_the_last_frame_are_errors(tmp_path, name, data):
    path = written(tmp_path, name, data)
    for read in list, lambda blocks: [number for number, _ in blocks]:
        with pytest.raises(BadData, match=f"{name}: the compressed data is damaged"):
            read(files.read_blocks(path))
    with pytest.raises(BadData, match=f"{name}: the compressed data is damaged"):
        whole(path)


@pytest.mark.parametrize("name, data", [
    ("a.gz", gzip.compress(LINES) + bytes(100_000)), ("b.gz", gzip.compress(LINES) + bytes(3) + gzip.compress(LINES)),
    ("c.gz", gzip.compress(b"") * 3 + deflated(LINES, level=0)), ("d.gz", deflated(LINES, level=9)),
    ("a.zst", zstandard.compress(b"") + zstandard.compress(LINES) * 2),
    ("b.zst", b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc" + zstandard.compress(LINES)), ("a.bz2", bz2.compress(LINES) * 2),
    ("a.xz", lzma.compress(LINES) * 2), ("b.xz", lzma.compress(LINES) + bytes(8) + lzma.compress(LINES) + bytes(4))])
def test_frames_follow_one_another(tmp_path, name, data):
    path = written(tmp_path, name, data)
    times = 2 if name in ("b.gz", "a.zst", "a.bz2", "a.xz", "b.xz") else 1
    assert whole(path) == LINES * times == b"".join(block for _, block in files.read_blocks(path))


def test_a_file_of_xz_that_takes_much_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(decompression, "XZ_MEMORY", 1 << 20)
    with pytest.raises(BadData, match="a.xz: to read it takes more than 1 MB of memory. If it is yours, decompress it: xz -d"):
        whole(written(tmp_path, "a.xz", lzma.compress(LINES, preset=9)))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_what_is_decompressed_at_a_time_is_bounded(directory, suffix):
    compressor = zstandard.ZstdCompressor(1).compressobj() if suffix == ".zst" else zlib.compressobj(1, wbits=31)
    repeated = b"one line without end\n" * 50_000
    packed = b"".join(compressor.compress(repeated) for _ in range(150)) + compressor.flush()
    with files.open_as_it_is(written(directory, f"repeated{suffix}", packed)) as raw:
        sizes = [len(chunk) for chunk in decompressed(raw, suffix)]
    assert sum(sizes) == 150 * len(repeated) and max(sizes) < 1_200_000


def test_checksums_of_written_files_are_not_remembered_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_WRITTEN", 2)
    monkeypatch.setattr(files, "_written", {})
    for name in "abc":
        files.write_bytes(tmp_path / name, name.encode())
    assert len(files._written) == 2
    for name in "abc":
        assert files.content_of(str(tmp_path / name))["crc32"] == zlib.crc32(name.encode())
