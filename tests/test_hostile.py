"""Small inputs made to break a parser: each is bad data (3) or bad usage (2), in one line, never unexpected (1)."""
import gzip
import importlib.util
import io
import json
import os
import socket
import struct
import tarfile
import threading
import zipfile

import numpy as np
import pytest
from conftest import filled, line_of, pair

from mc2 import files, parsing, tar_names, tars
from mc2.errors import BadData, BadLine, BadUsage, Mc2Error
from mc2.evaluation import places, readers
from mc2.pairs import jsonl

DEEP = 100_000
DIGITS = "9" * 5000                                 # Python turns at most 4,300 into a number
JSON = {
    "deep list": "[" * DEEP + "]" * DEEP, "deep object": '{"a":' * DEEP + "1" + "}" * DEEP,
    "300 levels": "[" * 300 + "]" * 300,
    "digits": f'{{"a":{DIGITS}}}', "empty": "", "cut": '{"a":[1,', "nul": "\0"}
TOML = {
    "deep list": "a = " + "[" * DEEP, "deep table": "a = " + "{b = " * 5000 + "1" + "}" * 5000,
    "dots": ".".join(["a"] * 2000) + " = 1", "digits": f"a = {DIGITS}", "cut": "a = ["}
LITERAL = {
    "deep list": "[" * 5000 + "]" * 5000, "deep tuple": "(" * 150 + "," + ")" * 150, "minus": "-" * 50_000 + "1",
    "digits": DIGITS, "key": "{[]: 1}", "call": "print()", "nul": "a\0", "empty": "", "cut": "['a'"}


def npy(header, data=b""):
    """A file of np.save with any header."""
    header = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def described(descr="'<u8'", shape="(102,)"):
    return npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}")


NPY = {
    "empty": b"", "cut": b"\x93NUMPY\x01", "version": b"\x93NUMPY\x09\x00" + bytes(40), "pickle": b"\x80\x04N.",
    "no array": b"PK\x03\x04" + bytes(40), "minus": npy("-" * 9000 + "1"), "deep": npy("[" * 9000 + "]" * 9000),
    "long": npy("[" * 40_000), "quote": npy("'''"), "nul": npy("{'descr': '<f4', \0"), "not latin": npy("\xff\xfe"),
    "number": npy("7"), "keys": npy("{}"), "unhashable": npy("{[]: 1}"), "type": described("'x9'"),
    "object": described("'|O'"), "text": described(f"'<U{DIGITS[:30]}'"), "negative": described(shape="(-1,)"),
    "huge": described(shape=f"({10**18},)"), "huge twice": described(shape=f"({2**40}, {2**40})"),
    "digits": described(shape=f"({DIGITS},)"), "not a number": described(shape="('a',)"), "no data": described()}


@pytest.mark.parametrize("parse, texts", [
    (parsing.json_value, JSON), (parsing.toml_table, TOML), (parsing.literal, LITERAL)])
def test_a_parser_says_what_is_wrong_in_one_line(parse, texts):
    for name, text in texts.items():
        with pytest.raises(ValueError) as error:
            parse(text)
        assert str(error.value) and "\n" not in str(error.value), name
    with pytest.raises(ValueError):
        parsing.json_value(b'"\xff"')


def test_an_array_that_is_none_is_a_value_error(tmp_path, recwarn):
    for name, data in NPY.items():
        (tmp_path / "a.npy").write_bytes(data)
        path = str(tmp_path / "a.npy")
        for file, mapped in (path, True), (path, False), (io.BytesIO(data), False):
            with pytest.raises(ValueError) as error:
                parsing.array(file, mapped)
            assert "\n" not in str(error.value), name
    np.savez(tmp_path / "a.npz", x=np.zeros(1))
    with pytest.raises(ValueError, match="an archive of several arrays"):
        parsing.array(str(tmp_path / "a.npz"))
    assert not [each for each in recwarn if issubclass(each.category, RuntimeWarning)]


# ---------------------------------------------------------------- pairs

def nested(levels):
    return f'{{"id":"a","text":"t","x":{"[" * levels}{"]" * levels}}}'


def nested_objects(levels):
    opening = '{"y":'
    return f'{{"id":"a","text":"t","x":{opening * levels}1{"}" * levels}}}'


@pytest.mark.parametrize("line", [nested(50), nested(200), nested(1000), nested_objects(1000)],
                         ids=["50", "200", "1000", "1000 objects"])
def test_a_pair_nested_too_deeply_for_parquet_is_named(sh, line):
    pytest.importorskip("pyarrow")
    sh.write("a.jsonl", pair(1, "t"), line)
    sh.fails("mc2 lid a.jsonl -o out.parquet", 3, 'a.jsonl:2: "x" is nested more than 49 levels deep. Parquet takes no '
                                                  "more: write .jsonl.zst instead, or leave the key out.")
    sh.ok("mc2 lid a.jsonl -o out.jsonl -q")


@pytest.mark.parametrize("line", [nested(49), nested_objects(49)], ids=["lists", "objects"])
def test_what_is_written_to_parquet_is_read_again(sh, line):
    pytest.importorskip("pyarrow")
    sh.write("a.jsonl", line)
    sh.ok("mc2 lid a.jsonl -o out.parquet -q && mc2 lid out.parquet -q -o again.jsonl")
    assert sh.read("again.jsonl")[0]["x"] == json.loads(line)["x"]


def test_a_column_nested_too_deeply_is_named(sh):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    type = pa.int8()
    for _ in range(70):
        type = pa.struct([("y", type)])
    pq.write_table(pa.table({"id": ["a"], "text": ["t"], "x": pa.nulls(1, type)}), sh / "a.parquet")
    sh.fails("mc2 lid a.parquet", 3, "a.parquet: the column 'x' is nested more than 63 levels deep, which is not read. "
                                     "Leave it out.")


def test_a_line_that_is_no_pair_is_a_bad_line():
    for line in [*filter(None, JSON.values()), f'{{"id":{DIGITS},"text":"t"}}']:
        with pytest.raises(BadLine):
            jsonl.Block("a.jsonl", 1, line.encode()).batch()


# ---------------------------------------------------------------- lists of names

@pytest.fixture
def listed(sh, artefacts_template):
    filled(sh, artefacts_template)
    write_tar(sh / "i.tar", ("a.jpg", b"x"), ("a.json", b'{"id":"a"}'))
    sh.write("p.jsonl", {"id": "a", "text": "t"})
    return sh


@pytest.mark.parametrize("lists, message", [
    ({"a": "@a.txt"}, "a.txt: this list names itself. Take that line out."),
    ({"a": "@b.txt", "b": "i.tar\n@a.txt"}, "a.txt: this list names itself by way of others."),
    ({"a": "@./a.txt"}, "./a.txt: this list names itself."),
    ({"a": "@l0.txt", **{f"l{i}": f"@l{i + 1}.txt" for i in range(2000)}}, "more than 10 lists are nested."),
    ({"a": "@none.txt"}, "none.txt: cannot read the list"),
    ({"a": "@a\0b"}, "cannot read the list"),
    ({"a": "toy"}, "toy: is a directory without a file called *.tar."),
    ({"a": "none.tar"}, "none.tar: no such files."),
])
def test_a_list_of_tars_that_cannot_be_expanded_is_refused(listed, lists, message):
    for name, content in lists.items():
        (listed / f"{name}.txt").write_text(content)
    listed.fails("mc2 join p.jsonl --tars @a.txt -O out", 2, message)


def test_a_list_may_be_named_twice_and_hold_lists(listed):
    (listed / "a.txt").write_text("@b.txt\n@b.txt\n")
    (listed / "b.txt").write_text("i.tar\n")
    os.chdir(listed.directory)
    assert tar_names.expand("@a.txt") == ["i.tar", "i.tar"]


@pytest.mark.parametrize("content", ["@a.txt", "a\0b", "x" * 10_000])
def test_a_list_of_inputs_with_a_name_that_cannot_be_is_refused(listed, content):
    (listed / "a.txt").write_text(content)
    listed.fails("mc2 lid @a.txt", 2, "no such file.")


# ---------------------------------------------------------------- tars

def write_tar(path, *members):
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def member(name, data, kind=b"0"):
    """A member of a tar, byte for byte. kind: b"x" for a pax header."""
    header = bytearray(512)
    header[:len(name)] = name
    header[124:136], header[156:157], header[257:265] = b"%011o\0" % len(data), kind, b"ustar\x0000"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data + bytes(-len(data) % 512)


def pax(key, value):
    record = b" %b=%b\n" % (key, value)
    return member(b"pax", b"%d%b" % (len(record) + len(str(len(record) + 4)), record), b"x")


@pytest.mark.parametrize("head, message", [
    (member(b"pax", DIGITS.encode() + b" path=x\n", b"x"), "a pax header that cannot be read"),
    (pax(b"size", DIGITS.encode()), "a member without a size"),
    (pax(b"size", b"9" * 18), "cut off"),
    (pax(b"size", "²".encode()), "a member without a size"),
    (pax(b"size", b"-1"), "a member without a size"),
])
def test_a_tar_with_numbers_that_cannot_be_is_damaged(tmp_path, head, message):
    (tmp_path / "a.tar").write_bytes(head + member(b"a.jpg", b"x") + bytes(1024))
    with pytest.raises(tars.Damaged, match=message):
        list(tars.samples(str(tmp_path / "a.tar")))


@pytest.mark.parametrize("data", [
    member(b"\xff.jpg", b"x") + member(b"\xff.txt", b"t"),
    pax(b"path", b"\xff.jpg") + member(b"a", b"x") + pax(b"path", b"\xff.txt") + member(b"a", b"t")])
def test_a_name_that_is_not_utf_8_is_spelled_out(listed, data):
    (listed / "x.tar").write_bytes(data + bytes(1024))
    assert [key for key, _ in tars.samples(str(listed / "x.tar"))] == [r"\xff"]
    listed.write("x.jsonl", {"id": r"\xff", "text": "t"})
    listed.ok("mc2 join x.jsonl --tars x.tar -O out -q && mc2 lid out/x.jsonl.zst -o x.out -q")
    assert [record["id"] for record in listed.read("x.out")] == [r"\xff"]


# ---------------------------------------------------------------- artefacts of mc2

def test_damaged_counts_are_refused(listed):
    for name, data in NPY.items():
        (listed / "counts/en.npy").write_bytes(data)
        done = listed("mc2 thresholds counts --p 0.5 -o new.json")
        assert (done.status, done.stderr.count("\n")) == (3, 1), (name, done.stderr)
        assert "counts/en.npy: " in done.stderr


@pytest.mark.parametrize("content", ["7", '"a"', "[]", "{}", '{"command":"lid"}', '{"failed":[]}', *JSON.values()])
def test_damaged_progress_is_no_unexpected_error(listed, content):
    listed.ok("mc2 lid p.jsonl -O out -q")
    (listed / "out/.work/progress.json").write_text(content)
    assert listed("mc2 status out").status in (2, 3)


# ---------------------------------------------------------------- configurations

def test_a_preset_that_cannot_be_parsed_is_refused(sh):
    for name, text in TOML.items():
        (sh / "run.toml").write_text(text)
        done = sh("mc2 plan run.toml")
        assert (done.status, done.stderr.count("\n"), "run.toml: is not TOML: " in done.stderr) == (3, 1, True), name


@pytest.mark.parametrize("key, value", [
    ("schedule.seed", "0x" + "f" * 5000), ("schedule.seed", str(1 << 63)), ("schedule.growth", "0x" + "f" * 5000),
    ("optimizer.lr", "0x" + "f" * 500), ("model.name", "0x" + "f" * 5000), ("data.train_data", "0x" + "f" * 5000),
    ("data.aug_scale", "[0, 0x" + "f" * 5000 + "]"), ("schedule.epochs", "[" * 5000)])
def test_a_number_beyond_64_bits_is_no_value(sh, key, value):
    done = sh(f"mc2 plan b32-xlmv --set '{key}={value}'")
    assert done.status == 3 and f"{key} is " in done.stderr and len(done.stderr) < 1000, done.stderr


# ---------------------------------------------------------------- files of benchmarks

@pytest.mark.parametrize("read", [
    lambda path: list(readers.json_lines(path)), lambda path: readers.json_object(path, "key"), readers.karpathy],
    ids=["lines", "object", "karpathy"])
def test_json_of_a_benchmark_that_cannot_be_read_is_bad_data(tmp_path, read):
    for name, text in JSON.items():
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(BadData) as error:
            read(str(tmp_path / "a.json"))
        assert str(error.value).startswith(str(tmp_path / "a.json")) and "\n" not in str(error.value), name


@pytest.fixture
def datacomp(torch):
    """mc2.evaluation.datacomp, which needs torch."""
    from mc2.evaluation import datacomp
    return datacomp


def test_lists_in_a_csv_that_cannot_be_read_are_bad_data(datacomp):
    for text in LITERAL.values():
        with pytest.raises(BadData):
            datacomp._list(text, "folder")
        with pytest.raises(BadData):
            places._classes(text, "a.jpg")


def data_set(folder, label=b"0", metadata=b""):
    (folder / "test").mkdir(parents=True)
    (folder / "test/nshards.txt").write_text("1\n")
    write_tar(folder / "test/0.tar", ("a.jpg", b"x"), ("a.cls", label), *([("a.npy", metadata)] if metadata else []))
    return str(folder)


@pytest.mark.parametrize("label", [DIGITS, "²", "-1", "", "9" * 7, "1.0"])
def test_a_label_that_is_no_class_number_is_bad_data(datacomp, tmp_path, label):
    with pytest.raises(BadData, match="the label of a is"):
        datacomp.labelled_images(data_set(tmp_path / "d", label.encode()))


def test_metadata_of_an_image_that_cannot_be_read_are_bad_data(datacomp, tmp_path):
    for number, data in enumerate(NPY.values()):
        with pytest.raises(BadData, match="metadata of a|has no image, no cls or no npy"):
            datacomp.labelled_images(data_set(tmp_path / str(number), metadata=data), group=0)
    one = io.BytesIO()
    np.save(one, np.zeros(1))
    with pytest.raises(BadData, match="the metadata of a have 1 columns; column 1 is needed"):
        datacomp.labelled_images(data_set(tmp_path / "short", metadata=one.getvalue()), group=1)


@pytest.mark.parametrize("number", [DIGITS, "²", "9" * 7, "-1"])
def test_a_number_of_tars_that_cannot_be_is_bad_data(datacomp, tmp_path, number):
    folder = data_set(tmp_path / "d")
    (tmp_path / "d/test/nshards.txt").write_text(number)
    with pytest.raises(BadData, match="not a number of tars"):
        datacomp.tars_of(folder)


def test_pairs_of_a_benchmark_with_keys_of_other_types_are_bad_data(tmp_path):
    for key, value in ("lang", [[1]]), ("lang", 7), ("text", None), ("text", {}), ("image", 7), ("id", []):
        line = {"id": "a", "text": "t", key: value}
        (tmp_path / "a.jsonl").write_text(json.dumps(line))
        with pytest.raises(BadLine, match="^.*a.jsonl:1: "):
            readers.pairs(str(tmp_path / "a.jsonl"), [str(tmp_path)])


@pytest.fixture
def torch():
    pytest.importorskip("open_clip")
    return pytest.importorskip("torch")


def test_a_configuration_beside_weights_that_cannot_be_read_is_bad_data(torch, tmp_path):
    from mc2.clip import architecture, from_open_clip
    for name, text in JSON.items():
        (tmp_path / "open_clip_config.json").write_text(text)
        with pytest.raises(BadData, match="open_clip_config.json: is (not JSON|no configuration of open_clip)"):
            from_open_clip.configuration_beside(str(tmp_path / "weights.pt"))
        with pytest.raises(BadData, match="small.json: "):
            architecture.parse(text, "small.json")


def test_features_in_a_damaged_cache_are_encoded_again(torch, tmp_path):
    from mc2.evaluation.encoding import _opened
    for name, data in NPY.items():
        (tmp_path / "a.npy").write_bytes(data)
        assert _opened(str(tmp_path / "a.npy"), 102) is None, name
    (tmp_path / "dir.npy").mkdir()
    assert _opened(str(tmp_path / "dir.npy"), 102) is None


@pytest.mark.parametrize("encoding", ["foo", "gbk", "utf-7", "rot13", "base64"])
def test_a_dump_in_another_encoding_is_bad_data(sh, encoding):
    (sh / "a.xml").write_text(f'<?xml version="1.0" encoding="{encoding}"?><mediawiki><page/></mediawiki>')
    done = sh("mc2 build-metadata ngrams --wiki en a.xml -o sources")
    assert done.status == 3 and "a.xml: names another encoding than UTF-8, in which all dumps are (" in done.stderr


# ---------------------------------------------------------------- names and URLs

needs_fsspec = pytest.mark.skipif(importlib.util.find_spec("fsspec") is None, reason="fsspec is not installed")


@needs_fsspec
@pytest.mark.parametrize("url", [
    "reference://", "reference://x", "simplecache::file://{}/out.jsonl", "simplecache::{}/out.jsonl", "filecache::x",
    "cached::x", "simplecache://x", "simplecache::s3://bucket/x", "zip://x::file://{}/out.zip", "dir://x",
    "asyncwrapper://x", "async_wrapper://x", "generic://x", "zip::file://{}/x", "nowhere::file://{}/x", "http://h/x",
    "ftp://", "ftp:///x", "data://x", "tar://x", "nowhere://x", "arrow_nothing://x"])
def test_a_url_that_is_not_written_is_refused_and_makes_nothing(sh, url):
    sh.write("a.jsonl", pair(1, "t"))
    url = url.format(sh.directory)
    for option in f"-o '{url}'", f"-O '{url}'", f"-o out.jsonl --rejects '{url}'":
        sh.fails(f"mc2 lid a.jsonl {option}", 2, url)


@needs_fsspec
@pytest.mark.parametrize("url, message", [
    ("reference://", "reference://: "), ("dir://x", "dir://x: "), ("data://x", "data://x: "),
    ("ftp://", "ftp://: names no host."), ("asyncwrapper://x", "asyncwrapper://x: "),
    ("zip://x::file://{}/none.zip", "none.zip: no such file."),
    ("simplecache::file://{}/none", "none: no such file."), ("nowhere::file://{}/a.jsonl", "a.jsonl: ")])
def test_a_url_that_cannot_be_read_is_refused(sh, url, message):
    sh.write("a.jsonl", pair(1, "t"))
    sh.fails(f"mc2 lid '{url.format(sh.directory)}'", 2, message)


@needs_fsspec
def test_chains_of_urls_are_read(sh):
    sh.write("a.jsonl", pair(1, "a red cat"))
    with zipfile.ZipFile(sh / "a.zip", "w") as archive:
        archive.write(sh / "a.jsonl", "in/a.jsonl.gz")
        archive.writestr("in/b.jsonl.gz", gzip.compress(line_of(pair(1, "a red cat")) + b"\n"))
    expected = sh.ok("mc2 lid a.jsonl -q")
    for url in f"simplecache::file://{sh.directory}/a.jsonl", f"simplecache::{sh.directory}/a.jsonl", \
            f"zip://in/b.jsonl.gz::file://{sh.directory}/a.zip":
        assert sh.ok(f"mc2 lid '{url}' -q") == expected
        assert files.base_name(url) in ("a.jsonl", "b.jsonl.gz")
    (sh / "a.zip").write_bytes(b"no zip")
    sh.fails(f"mc2 lid 'zip://x::file://{sh.directory}/a.zip'", 3, "a.zip: damaged or cut off (File is not a zip")


@needs_fsspec
@pytest.mark.parametrize("scheme", ["file", "local"])
def test_a_local_file_is_the_same_file_under_its_url(sh, scheme):
    sh.write("a.jsonl", pair(1, "a red cat"))
    url = f"{scheme}://{sh.directory}/a.jsonl"
    for arguments in f"a.jsonl -o {url}", f"{url} -o a.jsonl", f"a.jsonl -o x.jsonl --rejects {url}":
        sh.fails(f"mc2 lid {arguments}", 2, "is an input too.")


@needs_fsspec
@pytest.mark.parametrize("option", ["-o file://", "-o file:///tmp/", "-o memory://x/", "--rejects memory:///"])
def test_an_output_needs_a_name(sh, option):
    sh.write("a.jsonl", pair(1, "t"))
    sh.fails(f"mc2 lid a.jsonl {option}", 2, "names no file.")


@pytest.mark.parametrize("command, name", [("lid p.jsonl -o X", "X"), ("sample m.jsonl -c counts -t toy", "toy"),
                                           ("build-metadata unpack toy -o new", "toy")])
def test_a_name_that_can_be_no_file_is_bad_usage(listed, command, name):
    name = name.replace("X", "x" * 300)
    listed.fails(f"mc2 {command.replace('X', name)}", 2, f"{name}: ")


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="no /proc")
def test_an_error_of_reading_names_the_file(sh):
    for suffix in "", ".gz", ".zst", ".bz2", ".xz", ".csv", ".json", ".parquet":
        if suffix == ".parquet":
            pytest.importorskip("pyarrow")
        os.symlink("/proc/self/mem", sh / f"x{suffix}")
        done = sh(f"mc2 lid x{suffix}")
        assert done.status in (1, 2, 3) and f"x{suffix}: " in done.stderr and done.stderr.count("\n") == 1, done.stderr


@needs_fsspec
def test_an_error_of_a_remote_file_names_the_url(monkeypatch):
    import fsspec
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/a.jsonl", line_of(pair(1, "t")) + b"\n")

    class Gone(type(memory.open("/a.jsonl"))):
        def read(self, *_):
            raise error

    for error, status, message in [
            (BrokenPipeError(32, "Broken pipe"), 1, "BrokenPipeError"), (EOFError(), 1, "EOFError"),
            (OSError("reset"), 1, "OSError: reset"), (ValueError("no\nkey"), 2, "no key"),
            (FileNotFoundError("gone"), None, "No such file")]:
        monkeypatch.setattr(type(memory), "_open", lambda *_, **__: Gone())
        with pytest.raises((Mc2Error, FileNotFoundError)) as raised:
            list(files.read_blocks("memory://a.jsonl"))
        assert "memory://a.jsonl" in str(raised.value) and message in str(raised.value)
        assert getattr(raised.value, "status", None) == status


@needs_fsspec
@pytest.mark.parametrize("greeting", [b"", b"220 hello\r\n", b"220 hello\r\n500 no\r\n", b"nonsense\r\n"])
def test_an_ftp_server_that_fails_is_named(sh, greeting):
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            for _ in range(3):
                try:
                    connection, _ = server.accept()
                except OSError:
                    return                              # closed
                with connection:
                    connection.sendall(greeting)

        threading.Thread(target=serve, daemon=True).start()
        url = f"ftp://127.0.0.1:{server.getsockname()[1]}/a.jsonl"
        done = sh(f"mc2 lid {url}")
        assert done.status == 1 and done.stderr.strip().split("\n")[-1].startswith(f"mc2 lid: {url}: "), done.stderr


def test_usage_and_data_are_told_apart():
    assert (BadUsage.status, BadData.status, Mc2Error.status) == (2, 3, 1)
