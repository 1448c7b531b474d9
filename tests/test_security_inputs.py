"""Small inputs that stand for much: images, archives, compressed data, dumps, models. Each is refused, or read in
little memory, by a process that may take no more."""
import ast
import bz2
import io
import json
import random
import struct
import subprocess
import sys
import tarfile
import textwrap
import zipfile
import zlib
from pathlib import Path

import pytest
import zstandard
from shell import ROOT

from mc2 import files
from mc2.errors import BadData

MB = 1 << 20


def within(megabytes, code, *arguments):
    """What some Python prints that may take this much memory beyond that of its imports, which are the lines before a
    blank one."""
    imports, _, rest = textwrap.dedent(code).strip().partition("\n\n")
    limit = (f"import resource\nused = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
             f"resource.setrlimit(resource.RLIMIT_AS, (used + {megabytes * MB}, used + {megabytes * MB}))")
    done = subprocess.run([sys.executable, "-c", "\n".join(["import sys", imports, limit, rest]), *map(str, arguments)],
                          cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


# ---------------------------------------------------------------- images

def png(width, height, rows=b""):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) \
        + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


PIXELS = """
    from PIL import Image
    from mc2.clip import images

    for path in sys.argv[1:]:
        data = open(path, "rb").read()
        for transform in (lambda: images.training(data, ("0", "id"), 224),
                          lambda: images.validation(images.decode(data), 224)):
            try:
                print(transform().shape)
            except images.Corrupt as error:
                print(error)
"""


def test_a_slim_image_is_cropped_before_it_is_resized(tmp_path):
    pytest.importorskip("PIL")
    for name, width, height in (("high.png", 1, 1_000_000), ("wide.png", 1_000_000, 1)):
        (tmp_path / name).write_bytes(png(width, height, (b"\0" + b"\x80" * 3 * width) * height))
        assert (tmp_path / name).stat().st_size < 10_000
    assert within(200, PIXELS, tmp_path / "high.png", tmp_path / "wide.png") == "(3, 224, 224)\n" * 4


@pytest.mark.parametrize("width, height", [
    (100_000, 100_000), (9_500, 9_500), (1 << 20, 90), (90, 1 << 20), (2_000_000, 1)])
def test_an_image_of_too_many_pixels_is_not_decoded(tmp_path, width, height):
    pytest.importorskip("PIL")
    (tmp_path / "a.png").write_bytes(png(width, height, bytes(1000)))
    found = within(50, PIXELS, tmp_path / "a.png").splitlines()
    assert len(found) == 2 and all("pixels" in line for line in found)


@pytest.mark.parametrize("name, data", [
    ("EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(x) print\nshowpage\n%%EOF\n"),
    ("XPM", b'/* XPM */\nstatic char *a[] = {\n"1 1 1 1",\n"a c #000000",\n"a"\n};\n'),
    ("XBM", b"#define a_width 8\n#define a_height 1\nstatic char a_bits[] = {\n0x00};\n"),
    ("SGI", struct.pack(">HBBHHHH", 474, 0, 1, 2, 1, 1, 1) + bytes(500) + b"\0"),
])
def test_only_common_formats_are_read_whatever_pillow_can_read(name, data):
    images, image = pytest.importorskip("mc2.clip.images"), pytest.importorskip("PIL.Image")
    assert image.open(io.BytesIO(data)).format == name
    with pytest.raises(images.Corrupt, match="cannot identify"):
        images.decode(data)


def test_images_are_opened_in_one_place():
    opening = [path for path in (ROOT / "mc2").rglob("*.py")
               if any(isinstance(node, ast.Attribute) and ast.unparse(node) == "Image.open"
                      for node in ast.walk(ast.parse(path.read_text("utf-8"))))]
    assert opening == [ROOT / "mc2/clip/images.py"]


# ---------------------------------------------------------------- compressed data

def repeated(byte, size, window=23):
    """A frame of Zstandard that holds one byte `size` times: 4 bytes for each 128 KiB. window: logarithm of its size"""
    blocks = size >> 17
    frame = bytearray(b"\x28\xb5\x2f\xfd\0" + bytes([window - 10 << 3]))
    for number in range(blocks):
        frame += (1 << 20 | 1 << 1 | (number == blocks - 1)).to_bytes(3, "little") + byte
    return bytes(frame)


READ = """
    import numpy
    from mc2 import files
    from mc2.errors import BadData

    for path in sys.argv[1:]:
        try:
            print(sum(len(block) for _, block in files.read_blocks(path)) >> 20)
        except BadData as error:
            print(error)
"""


def test_what_is_packed_a_thousand_times_is_read_in_little_memory(tmp_path):
    gz, bz = zlib.compressobj(9, wbits=31), bz2.BZ2Compressor()
    lines = b"\n" * MB
    (tmp_path / "a.zst").write_bytes(repeated(b"\n", 256 * MB))
    (tmp_path / "a.gz").write_bytes(b"".join(gz.compress(lines) for _ in range(100)) + gz.flush())
    (tmp_path / "a.bz2").write_bytes(b"".join(bz.compress(lines) for _ in range(100)) + bz.flush())
    assert (tmp_path / "a.zst").stat().st_size < 20_000
    assert within(60, READ, *(tmp_path / name for name in ("a.zst", "a.gz", "a.bz2"))) == "256\n100\n100\n"


def test_a_long_window_is_for_files_that_hold_as_much_as_it_does(tmp_path):
    (tmp_path / "bomb.zst").write_bytes(repeated(b"\n", 2048 * MB, window=31))
    found = within(2300, READ, tmp_path / "bomb.zst")           # a window of 2 GB, of which 128 MB are used
    assert "bomb.zst: " in found and "too much for a file of its size" in found
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=28)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    lines = random.Random(0).randbytes(MB).hex(" ", 8).replace(" ", "\n").encode()
    parts = [compressor.compress(lines) for _ in range(80)]
    (tmp_path / "long.zst").write_bytes(b"".join(parts) + compressor.flush())
    assert within(400, READ, tmp_path / "long.zst") == f"{80 * len(lines) >> 20}\n"


# ---------------------------------------------------------------- packed releases

UNPACK = """
    from mc2.errors import BadData
    from mc2.metadata import packing

    for path in sys.argv[2:]:
        try:
            packing.unpack(path, sys.argv[1])
            print("unpacked")
        except BadData as error:
            print(error)
"""


def head(name, size, kind=b"0"):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def test_a_small_pack_takes_little_memory(toy, tmp_path):
    toy.ok("mc2 build-metadata pack toy -o toy.tar.zst -q")
    packed = (toy / "toy.tar.zst").read_bytes()
    with files.open_read(str(toy / "toy.tar.zst")) as stream:
        tar = stream.read()
    first = 512 + len(tar[512:].split(b"\n}\n")[0]) + 3
    first += -first % 512
    name, second = "mc2-metadata-x/manifest.json", tar[first:first + 100].rstrip(b"\0").decode()
    manifest = (b'{"a": [' + b"[]," * (2 * MB) + b"[]]}").ljust(7 * MB)
    bombs = {
        "zeros after its end": packed + repeated(b"\0", 256 * MB),
        "ones after its end": packed + repeated(b"\1", 256 * MB),
        "a long window": packed + repeated(b"\0", 256 * MB, window=28),
        "a large member": zstandard.compress(tar[:first] + head(second, 256 * MB)) + repeated(b"\0", 256 * MB),
        "a large manifest": zstandard.compress(head(name, 64 * MB)) + repeated(b"[", 64 * MB),
        "a manifest of lists": zstandard.compress(head(name, len(manifest)) + manifest),
        "a pax header": zstandard.compress(tar[:first] + head("x", 256 * MB, b"x")) + repeated(b"\0", 256 * MB)}
    for number, data in enumerate(bombs.values()):
        assert len(data) < 200_000
        (tmp_path / f"{number}.tar.zst").write_bytes(data)
    paths = [tmp_path / f"{number}.tar.zst" for number in range(len(bombs))]
    found = dict(zip(bombs, within(400, UNPACK, tmp_path / "u", *paths).splitlines()))      # 256 MB are a window
    assert found.pop("zeros after its end") == "unpacked"
    expected = {
        "ones after its end": "something comes after the end", "a long window": "too much for a file of its size",
        "a large member": "is not what its checksum says", "a large manifest": "the manifest is too large",
        "a manifest of lists": "its manifest.json is not that of a release", "a pax header": "is not a regular file"}
    assert [name for name in expected if expected[name] not in found[name]] == []


# ---------------------------------------------------------------- tars

TAR = """
    from mc2 import tars

    try:
        print([key for key, _ in tars.samples(sys.argv[1])])
    except tars.Damaged as error:
        print(error)
"""


@pytest.mark.parametrize("name, size, kind, message", [
    ("L", 1 << 35, b"L", "a long name or a pax header of 34,359,738,368 bytes"),
    ("x", 1 << 35, b"x", "a long name or a pax header of 34,359,738,368 bytes"),
    ("a.jpg", 1 << 80, b"0", "cut off"), ("a.jpg", 1 << 36, b"0", "cut off")])
def test_a_tar_with_sizes_beyond_its_end_takes_no_memory(tmp_path, name, size, kind, message):
    (tmp_path / "a.tar").write_bytes(head(name, size, kind) + bytes(2048))
    assert message in within(30, TAR, tmp_path / "a.tar")


# ---------------------------------------------------------------- dumps

BEGIN = b"<mediawiki><siteinfo><dbname>enwiki</dbname></siteinfo><page><title>a</title><ns>0</ns>"
ENTITIES = b'<!ENTITY a0 "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 9))
DUMPS = {
    "entities": (b"<!DOCTYPE m [" + ENTITIES + b"]>" + BEGIN + b"<text>&a8;</text></page></mediawiki>",
                 "has a document type declaration"),
    "a text": (BEGIN + b"<text>" + b"a" * (100 * MB), "a text of more than 67,108,864 characters"),
    "a tag": (BEGIN + b"<" + b"a" * (40 * MB), "a tag of more than 16,777,216 bytes"),
    "a comment": (BEGIN + b"<!--" + b"a" * (40 * MB), "a tag of more than 16,777,216 bytes"),
    "levels": (BEGIN + b"<a>" * MB, "elements nested more than 100 levels deep"),
}
PAGES = """
    import bz2
    from mc2.errors import BadData
    from mc2.metadata import dumps

    try:
        print(len(list(dumps.read_pages(sys.argv[1]))))
    except BadData as error:
        print(error)
"""


@pytest.mark.parametrize("what", DUMPS)
def test_a_dump_that_no_wiki_writes_is_refused_in_little_memory(tmp_path, what):
    data, message = DUMPS[what]
    (tmp_path / "a.xml.bz2").write_bytes(bz2.compress(data))
    found = within(200, PAGES, tmp_path / "a.xml.bz2")
    assert "a.xml.bz2:" in found and message in found


# ---------------------------------------------------------------- weights and tokenizers

def test_weights_with_compressed_members_are_refused(tmp_path):
    torch, torch_files = pytest.importorskip("torch"), pytest.importorskip("mc2.clip.torch_files")
    from mc2.clip import checkpoints
    torch.save({"a": torch.zeros(3)}, tmp_path / "a.pt")
    assert torch_files.read(str(tmp_path / "a.pt"))["a"].tolist() == [0, 0, 0]
    with zipfile.ZipFile(tmp_path / "a.pt") as whole, \
            zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    for read in (torch_files.read, checkpoints.load):
        with pytest.raises(BadData, match="b.pt: its member .* is compressed, which torch.save never does"):
            read(str(tmp_path / "b.pt"))


def test_a_tensor_larger_than_its_file_is_refused(tmp_path):
    torch, torch_files = pytest.importorskip("torch"), pytest.importorskip("mc2.clip.torch_files")
    inner = {"a": torch.zeros(1).expand(1 << 40)}
    torch.save({"state": inner, "same": inner}, tmp_path / "a.pt")
    with pytest.raises(BadData, match="the tensor 'a' of shape .1099511627776,. is larger than the file"):
        torch_files.read(str(tmp_path / "a.pt"))


def test_a_tokenizer_that_multiplies_texts_is_refused(tmp_path):
    tokenizers, ours = pytest.importorskip("tokenizers"), pytest.importorskip("mc2.clip.tokenizers")
    model = tokenizers.models.WordLevel({"a": 0, "<unk>": 1, "</s>": 2}, unk_token="<unk>")
    definition = json.loads(tokenizers.Tokenizer(model).to_str())
    text_cfg = {"context_length": 8, "vocab_size": 3, "pool_type": "eos", "eos_id": 2}

    def load(*replaced):
        definition["normalizer"] = {"type": "Sequence", "normalizers": [
            {"type": "Replace", "pattern": {kind: "a"}, "content": content} for kind, content in replaced]}
        (tmp_path / "tokenizer.json").write_text(json.dumps(definition))
        return ours.load(str(tmp_path / "tokenizer.json"), text_cfg)

    assert load(("String", "aa"), ("Regex", "a"), ("String", ""))(["a"]).tolist()[0][0] == 2
    for replaced in [[("String", "aa")] * 30, [("Regex", "a")] * 30, [("String", "a" * 2000)]]:
        with pytest.raises(BadData, match="more than 1,000 times as long"):
            load(*replaced)


# ---------------------------------------------------------------- headers with impossible numbers

def npy(shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + bytes(64)


@pytest.mark.parametrize("shape", [
    "(1099511627776,)", "(4294967296, 4294967296)", "(-1,)", "(1, 2, 3", "([1],)", "(" * 5000])
def test_an_array_of_an_impossible_shape_takes_no_memory(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(npy(shape))
    found = within(60, """
        import io
        import numpy as np
        from mc2 import parsing

        data = open(sys.argv[1], "rb").read()
        for file, mode in ((sys.argv[1], None), (sys.argv[1], "r"), (io.BytesIO(data), None)):
            try:
                parsing.array(file, mode)
                print("read")
            except ValueError as error:
                print(error)
        """, tmp_path / "a.npy")
    assert "read" not in found.splitlines() and len(found.splitlines()) == 3


def test_no_file_of_safetensors_takes_memory_for_what_it_only_names(tmp_path):
    pytest.importorskip("safetensors")
    torch_files = pytest.importorskip("mc2.clip.torch_files")
    named = b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    for number, data in enumerate([struct.pack("<Q", 1 << 62) + b"{}", struct.pack("<Q", len(named)) + named, b"\0\0",
                                   struct.pack("<Q", 100_000) + b"[" * 100_000]):
        path = Path(tmp_path / f"{number}.safetensors")
        path.write_bytes(data)
        with pytest.raises(BadData, match="is no whole safetensors file"):
            torch_files.read(str(path))
