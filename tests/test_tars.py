"""The reader of webdataset tars, beside Python's tarfile."""
import io
import pickle
import random
import re
import tarfile

import pytest

from mc2 import tars


def write(path, members, format=tarfile.GNU_FORMAT):
    """Write a tar of [(name, bytes)] or tarfile.TarInfo."""
    with tarfile.open(path, "w", format=format) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return str(path)


def read(path):
    """([(key, {extension: bytes})], what is wrong with the tar or None)"""
    found = []
    try:
        for key, members in tars.samples(path):
            found.append((key, dict(members)))
    except tars.Damaged as damage:
        return found, damage
    return found, None


def naive(path):
    """The same by tarfile, grouped as webdataset does."""
    found = []
    with tarfile.open(path) as tar:
        for info in tar:
            parts = re.match(r"^((?:.*/|)[^.]+)[.]([^/]*)$", info.name)
            if info.isreg() and parts:
                if not found or found[-1][0] != parts[1]:
                    found.append((parts[1], {}))
                found[-1][1][parts[2].lower()] = tar.extractfile(info).read()
    return found


def test_members_of_one_key_are_one_sample(tmp_path):
    path = write(tmp_path / "a.tar", [("00000.jpg", b"one"), ("00000.json", b"{}"), ("00001.JPG", b"two")])
    assert read(path) == ([("00000", {"jpg": b"one", "json": b"{}"}), ("00001", {"jpg": b"two"})], None)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_any_format_reads_as_tarfile_and_webdataset_read_it(tmp_path, format):
    chance = random.Random(0)
    members, long = [tarfile.TarInfo("./"), tarfile.TarInfo("part.1/x.y")], "d" * 90
    members[0].type, members[1].type = tarfile.DIRTYPE, tarfile.SYMTYPE
    for number in range(60):
        folder = chance.choice(["", "./", "part.1/", f"{long}/{'e' * 60}/"])
        name = chance.choice(["", "日本", "x y"]) + f"{number:04}"
        for extension in chance.sample(["jpg", "json", "txt", "seg.png", "cls"], 3):
            body = chance.randbytes(chance.choice([0, 1, 511, 512, 513, 20_000]))
            members.append((f"{folder}{name}.{extension}", body))
    path = write(tmp_path / "a.tar", [*members, ("README", b"no extension"), ("x/.hidden", b"")], format)
    found, damage = read(path)
    assert damage is None and len(found) == 60
    assert found == [sample for sample in naive(path) if sample[0] != "x/"]


def test_a_name_of_any_length_and_a_global_pax_header_are_read(tmp_path):
    name = "n" * 3000 + ".jpg"
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert read(write(tmp_path / "a.tar", [(name, b"x")], format)) == ([("n" * 3000, {"jpg": b"x"})], None)
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "by hand"}) as tar:
        tar.addfile(tarfile.TarInfo("a.txt"))
    assert read(str(tmp_path / "b.tar")) == ([("a", {"txt": b""})], None)


def test_a_key_that_comes_again_and_an_extension_that_comes_twice_are_samples_of_their_own(tmp_path):
    path = write(tmp_path / "a.tar", [("a.jpg", b"1"), ("b.jpg", b"2"), ("a.jpg", b"3"), ("a.jpg", b"4")])
    assert read(path)[0] == [("a", {"jpg": b"1"}), ("b", {"jpg": b"2"}), ("a", {"jpg": b"3"}), ("a", {"jpg": b"4"})]


def test_an_empty_tar_has_no_samples_and_an_empty_file_is_cut_off(tmp_path):
    assert read(write(tmp_path / "a.tar", [])) == ([], None)
    (tmp_path / "b.tar").touch()
    found, damage = read(str(tmp_path / "b.tar"))
    assert not found and damage.what == "cut off"


def test_wherever_a_tar_is_cut_off_its_whole_samples_come_first(tmp_path):
    path = write(tmp_path / "a.tar", [(f"{n}.{e}", b"x" * 700) for n in range(3) for e in ("jpg", "json")])
    whole, data = read(path)[0], (tmp_path / "a.tar").read_bytes()
    part = tmp_path / "b.tar"
    for size in range(0, 6 * 1536 + 1, 128):
        part.write_bytes(data[:size])
        found, damage = read(str(part))
        assert damage.what == "cut off" and "b.tar: this tar is cut off" in str(damage)
        assert found == whole[:max(0, size - 512) // 3072]      # the next header says that a sample is whole


def test_a_header_with_a_wrong_checksum_is_damage_and_no_cut(tmp_path):
    write(tmp_path / "a.tar", [(f"{n}.jpg", b"x" * 700) for n in range(4)])
    data = bytearray((tmp_path / "a.tar").read_bytes())
    data[2 * 1536 + 3] ^= 1
    (tmp_path / "a.tar").write_bytes(data)
    found, damage = read(str(tmp_path / "a.tar"))
    assert [key for key, _ in found] == ["0"] and damage.what == "damaged"         # of "1" more might have come
    assert "byte 3,072: a header whose checksum is wrong" in str(damage)
    (tmp_path / "a.tar").write_bytes(b"<html>Not found</html>" * 100)
    assert read(str(tmp_path / "a.tar"))[1].what == "damaged"


def test_a_checksum_may_be_of_signed_bytes_as_old_tars_have_it(tmp_path):
    write(tmp_path / "a.tar", [("é.jpg", b"x")])                # two bytes above 127
    data = bytearray((tmp_path / "a.tar").read_bytes())
    unsigned = int(bytes(data[148:154]), 8)
    for checksum, is_read in ((unsigned - 2 * 256, True), (unsigned - 256, False)):
        data[148:154] = f"{checksum:06o}".encode()
        (tmp_path / "a.tar").write_bytes(data)
        found, damage = read(str(tmp_path / "a.tar"))
        assert ([key for key, _ in found], damage is None) == (["é"] if is_read else [], is_read)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_header_overwritten_with_zeros_does_not_end_the_tar(tmp_path, format):
    fsspec = pytest.importorskip("fsspec")
    name = "日本" if format == tarfile.PAX_FORMAT else "n"
    members = [(f"{name}{n}.{e}", b"x" * 700) for n in range(4) for e in ("jpg", "json")]
    path = write(tmp_path / "a.tar", members, format)
    whole, data = read(path)[0], (tmp_path / "a.tar").read_bytes()
    with tarfile.open(path) as tar:
        headers = [member.offset_data - 512 for member in tar]
    for number, offset in enumerate(headers):
        damaged = data[:offset] + bytes(512) + data[offset + 512:]
        (tmp_path / "b.tar").write_bytes(damaged)
        fsspec.filesystem("memory").pipe("/mc2-zeroed.tar", damaged)
        for found, damage in (read(str(tmp_path / "b.tar")), read("memory://mc2-zeroed.tar")):
            assert found == whole[:max(0, number - 1) // 2], number     # the one before is not known to be whole
            assert damage.what == "damaged"
            assert f"(byte {offset:,}: zeros, which end a tar, but more follows them at byte {offset + 512:,}" \
                in str(damage)


def test_only_zeros_may_follow_the_end_mark(tmp_path):
    path = write(tmp_path / "a.tar", [("0.jpg", b"x"), ("1.jpg", b"x")])
    data = (tmp_path / "a.tar").read_bytes()
    for end in (512, 1024, 10_240, 3 << 20):                            # one block will do, and any number
        (tmp_path / "b.tar").write_bytes(data[:2048] + bytes(end))
        assert read(str(tmp_path / "b.tar")) == (read(path)[0], None)
        (tmp_path / "b.tar").write_bytes(data[:2048] + bytes(end) + b"x")
        found, damage = read(str(tmp_path / "b.tar"))
        assert len(found) == 1 and f"more follows them at byte {2048 + end:,}" in str(damage)
    (tmp_path / "b.tar").write_bytes(data + data)                       # put together by `cat`
    assert "several tars were put into one file" in str(read(str(tmp_path / "b.tar"))[1])


def test_a_tar_cut_off_between_two_members_is_cut_off_there(tmp_path):
    write(tmp_path / "a.tar", [(f"{n}.jpg", b"x" * 700) for n in range(4)])
    (tmp_path / "b.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:3 * 1536])
    found, damage = read(str(tmp_path / "b.tar"))
    assert len(found) == 2 and "cut off (at byte 4,608, before its end mark)" in str(damage)


def header(name, size, kind=b"0"):
    """A header of any kind and of a size that need not be true."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(data):
    return data + bytes(-len(data) % 512)


def records(*pairs, kind=b"x"):
    """A pax header of (key, value)."""
    body = b""
    for key, value in pairs:
        rest = f" {key}={value}\n".encode()
        length = next(n for n in range(len(rest), len(rest) + 20) if n == len(rest) + len(str(n)))
        body += str(length).encode() + rest
    return header("pax", len(body), kind) + padded(body)


@pytest.mark.parametrize("members, message", [
    (header("b.jpg", 10**15), "cut off (in the middle of what begins at byte"),
    (header("b.jpg", 8**11 - 1), "cut off (in the middle of what begins at byte"),
    (header("b.jpg", 2**80), "cut off (in the middle of what begins at byte"),
    (records(("size", 10**17)) + header("b.jpg", 0), "cut off (in the middle of what begins at byte"),
    (records(("size", -1)) + header("b.jpg", 0), "a member without a size"),
    (header("L", 2**40, b"L"), "a long name or a pax header of 1,099,511,627,776 bytes"),
    (header("x", 2**21, b"x") + bytes(2**21), "a long name or a pax header of 2,097,152 bytes"),
    (header("x", 512, b"x") + b"9" * 512, "a pax header that cannot be read"),
    (header("b.jpg", 0, b"S"), "it holds a sparse file, which is not read"),
    (records(("GNU.sparse.major", 1)) + header("b.jpg", 0), "it holds a sparse file, which is not read"),
    (header("b.jpg", 0, b"M"), "it holds a file that another volume begins"),
    (records(("path", "b.jpg")), "zeros where the member of the long name or pax header before should come"),
])
def test_headers_that_cannot_be_are_damage_with_their_place(tmp_path, members, message):
    first = header("a.jpg", 1) + padded(b"x")
    (tmp_path / "a.tar").write_bytes(first + members + bytes(1024))
    found, damage = read(str(tmp_path / "a.tar"))
    assert len(found) <= 1 and message in str(damage) and re.search(r"byte \d", str(damage))


def test_the_older_pax_header_of_solaris_and_bytes_after_a_number_are_read(tmp_path):
    older = records(("comment", "x" * 600), ("path", "long.jpg"), kind=b"X")
    number = bytearray(header("b.jpg", 1))
    number[124:136] = b"1\0 garbage  "
    number[148:156] = b"%06o\0 " % (sum(number) - sum(number[148:156]) + 8 * 32)
    (tmp_path / "a.tar").write_bytes(older + header("a.jpg", 1) + padded(b"x") + number + padded(b"y") + bytes(1024))
    assert read(str(tmp_path / "a.tar")) == ([("long", {"jpg": b"x"}), ("b", {"jpg": b"y"})], None)


def test_a_pax_header_of_many_records_is_read_once_from_its_beginning_to_its_end(tmp_path):
    many = records(*[("k", "")] * 150_000, ("path", "b.jpg"))
    (tmp_path / "a.tar").write_bytes((many + header("a.jpg", 1) + padded(b"x")) * 3 + bytes(1024))
    assert read(str(tmp_path / "a.tar")) == ([("b", {"jpg": b"x"})] * 3, None)


def test_damage_anywhere_is_reported_and_ends(tmp_path):
    write(tmp_path / "a.tar", [(f"{n}.jpg", b"x" * 600) for n in range(5)], tarfile.PAX_FORMAT)
    data, chance = (tmp_path / "a.tar").read_bytes(), random.Random(1)
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(chance.randrange(1, 5)):
            damaged[chance.randrange(len(data))] = chance.randrange(256)
        (tmp_path / "b.tar").write_bytes(damaged)
        assert len(read(str(tmp_path / "b.tar"))[0]) <= 5


def test_a_url_gives_what_the_file_gives(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    write(tmp_path / "a.tar", [(f"{n}.{e}", bytes(n * 300)) for n in range(9) for e in ("jpg", "json")])
    data = (tmp_path / "a.tar").read_bytes()
    for name, part in (("whole", data), ("part", data[:9000])):
        fsspec.filesystem("memory").pipe(f"/mc2-{name}.tar", part)
        (tmp_path / "b.tar").write_bytes(part)
        from_url, from_file = read(f"memory://mc2-{name}.tar"), read(str(tmp_path / "b.tar"))
        assert from_url[0] == from_file[0] and len(from_url[0]) == (9 if name == "whole" else 3)
        assert (from_url[1] is None) == (from_file[1] is None) == (name == "whole")


@pytest.mark.parametrize("tool, start", [("gzip", b"\x1f\x8b"), ("zstd", b"\x28\xb5\x2f\xfd"), ("bzip2", b"BZh9"),
                                         ("xz", b"\xfd7zXZ\0")])
def test_a_compressed_tar_says_how_to_decompress_it(tmp_path, tool, start):
    for name, plain in (("a.tar.x", "a.tar"), ("b.tar", "b-plain.tar"), ("c.tgz", "c.tar")):
        path = tmp_path / name
        path.write_bytes(start + bytes(range(256)) * 3)
        with pytest.raises(tars.Compressed) as error:
            list(tars.samples(str(path)))
        assert str(pickle.loads(pickle.dumps(error.value))) == (
            f"{path}: is compressed ({tool}); images are read from within a plain tar. Decompress it: {tool} -dc {path} > "
            f"{tmp_path / plain}")


def test_a_member_that_is_called_like_compressed_data_is_none(tmp_path):
    assert read(write(tmp_path / "a.tar", [("BZh.jpg", b"x")]))[0] == [("BZh", {"jpg": b"x"})]


def test_members_that_are_apart_are_told_from_samples_that_come_twice(tmp_path):
    def apart(*names):
        found = tars.Apart()
        for key, members in tars.samples(write(tmp_path / "a.tar", [(name, b"") for name in names])):
            found.see(key, members)
        return found
    assert apart("a.jpg", "a.txt", "b.jpg", "b.txt").number == apart("a.jpg", "b.jpg", "a.jpg").number == 0
    found = apart("b.txt", "a.jpg", "b.jpg", "a.txt", "c.jpg", "b.json")
    assert (found.number, found.keys, found.key, found.is_usual()) == (3, 3, "b", True)
    assert "the members of 3 of its 3 samples are apart, those of b for one" in str(found) and "tar --sort=name" in str(found)
