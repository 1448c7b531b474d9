"""URLs as inputs and outputs: whatever fsspec opens behaves like a file."""
import http.server
import json
import os
import threading

import pytest
import zstandard
from conftest import line_of, pair

try:
    import fsspec
except ImportError:
    if os.environ.get("MC2_REQUIRE_PARQUET") == "1":
        raise
    pytest.skip("fsspec is not installed", allow_module_level=True)

from mc2 import files, manifests, remote
from mc2.errors import BadData, Mc2Error
from mc2.execution.run import Run
from mc2.execution.stage import Stage

MEMORY = fsspec.filesystem("memory")
LINE = line_of(pair(1, "a red circle", "en")) + b"\n"


@pytest.fixture(autouse=True)
def nothing_in_memory():
    MEMORY.store.clear()
    MEMORY.pseudo_dirs[:] = [""]


class Marked(Stage):
    """A stage that adds one key."""

    name = "marked"

    def __call__(self, batch):
        batch.add("mark", [1] * len(batch))


# ---------------------------------------------------------------- real runs

def test_urls_behave_like_files(toy):
    toy.write("in/a.jsonl", pair(1, "a red circle", "en"))
    toy.write("in/b.jsonl", pair(2, "chat noir", "fr"))
    here = f"file://{toy.directory}"
    toy.ok("mc2 match in/*.jsonl -m toy -o local.jsonl -q")
    for suffix in "jsonl", "jsonl.zst", "jsonl.gz":
        toy.ok(f"mc2 match {here}/in/a.jsonl '{here}/in/b*' -m toy -o {here}/new/out.{suffix} -q")
        toy.ok(f"mc2 match {here}/new/out.{suffix} -m toy -o again.jsonl -q && cmp again.jsonl local.jsonl")
        manifest = json.loads((toy / f"new/out.{suffix}.manifest.json").read_bytes())
        assert [entry["name"] for entry in manifest["inputs"]] == [f"{here}/in/a.jsonl", f"{here}/in/b.jsonl"]
        assert manifest["output"]["bytes"] == (toy / f"new/out.{suffix}").stat().st_size
    assert sorted(os.listdir(toy / "new")) == sorted(
        f"out.{suffix}{more}" for suffix in ("jsonl", "jsonl.gz", "jsonl.zst") for more in ("", ".manifest.json"))
    toy.ok(f"mc2 count {here}/local.jsonl -m toy -o counts -q && mc2 thresholds counts --p 0.5 -o t.json -q")
    assert toy.ok(f"mc2 sample {here}/local.jsonl -c counts -t t.json -q") == \
        toy.ok("mc2 sample local.jsonl -c counts -t t.json -q")


def test_shards_of_a_remote_directory_are_finished_when_nothing_changed(toy):
    for name in "ab":
        toy.write(f"in/{name}.jsonl", pair(1, f"a {name}", "en"))
    here = f"file://{toy.directory}"
    command = f"mc2 match '{here}/in/*.jsonl' -m toy -O {here}/out"
    assert toy.ok(f"{command} -n").count("to do\t") == 2
    toy.ok(f"{command} -j 2 -q")
    assert sorted(os.listdir(toy / "out")) == ["a.jsonl", "a.jsonl.manifest.json", "b.jsonl", "b.jsonl.manifest.json"]
    assert toy.ok(f"{command} -n") == "".join(
        f"finished\t{here}/in/{name}.jsonl\t{here}/out/{name}.jsonl\n" for name in "ab")
    os.utime(toy / "in/b.jsonl", (1, 1))
    (toy / "out/a.jsonl").write_bytes(b"")
    assert toy.ok(f"{command} -n").count("to do\t") == 2
    done = toy(f"mc2 match {here}/in/a.jsonl -m toy -O {here}/in")
    assert (done.status, "holds no shards of mc2" in done.stderr) == (2, True)


def test_parquet_is_read_and_written_at_urls(toy):
    pytest.importorskip("pyarrow")
    toy.write("a.jsonl", *(pair(i, f"a red circle {i}", "en") for i in range(300)))
    here = f"file://{toy.directory}"
    toy.ok(f"mc2 match a.jsonl -m toy -o {here}/a.parquet -q && mc2 match {here}/a.parquet -m toy -o b.jsonl -q &&"
           "mc2 match a.jsonl -m toy -o c.jsonl -q && cmp b.jsonl c.jsonl")
    (toy / "a.parquet").write_bytes((toy / "a.parquet").read_bytes()[:-5])
    done = toy(f"mc2 match {here}/a.parquet -m toy")
    assert (done.status, f"{here}/a.parquet: is damaged, or was changed after mc2 wrote it" in done.stderr) == (3, True)
    (toy / "a.parquet.manifest.json").unlink()
    done = toy(f"mc2 match {here}/a.parquet -m toy")
    assert (done.status, f"{here}/a.parquet: not Parquet, or damaged or cut off" in done.stderr) == (3, True)


def test_what_cannot_be_opened_or_written_ends_with_2_before_any_work(toy):
    toy.write("a.jsonl", "{")                                       # work would end with 3
    here = f"file://{toy.directory}"
    for command, message in [
            (f"lid {here}/no.jsonl", "no.jsonl: no such file."),
            (f"lid '{here}/no*.jsonl'", "no*.jsonl: no such files."),
            (f"lid {here}/toy", "toy: is a directory."),
            ("lid nowhere://x/a.jsonl", "nowhere://x/a.jsonl: Protocol not known"),
            ("lid a.jsonl -o nowhere://x/a.jsonl", "nowhere://x/a.jsonl: Protocol not known"),
            ("lid a.jsonl -o http://127.0.0.1:9/a.jsonl", "a.jsonl: cannot be written. Name another output."),
            (f"count a.jsonl -m toy -o {here}/counts", "is made on local disks only"),
            (f"lid {here}/a.jsonl -o {here}/a.jsonl", "is an input too"),
            (f"lid {here}/a.jsonl {here}/a.jsonl -O out", "two inputs are called a.jsonl")]:
        done = toy(f"mc2 {command}")
        assert (done.status, message in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.stderr


def test_missing_packages_are_named(toy):
    toy.write("a.jsonl", pair(1, "a"))
    for scheme, package in ("s3", "s3fs"), ("gs", "gcsfs"), ("hf", "huggingface_hub"):
        try:
            __import__(package)
        except ImportError:
            done = toy(f"mc2 lid {scheme}://bucket/a.jsonl")
            assert (done.status, package in done.stderr, "pip install" in done.stderr) == (2, True, True), done.stderr
    (toy / "shims/fsspec").mkdir(parents=True)
    (toy / "shims/fsspec/__init__.py").write_text("raise ImportError('No module named fsspec')")
    done = toy(f"mc2 lid file://{toy.directory}/a.jsonl", PYTHONPATH=str(toy / "shims"))
    assert (done.status, "pip install '.[remote]'" in done.stderr) == (2, True)


def test_a_run_that_fails_uploads_nothing_and_leaves_nothing(toy):
    here = f"file://{toy.directory}"
    toy.write("a.jsonl", pair(1, "a"))
    toy.write("bad.jsonl", pair(1, "a"), "{")
    (toy / "tmp").mkdir()
    toy.ok(f"mc2 lid a.jsonl -o {here}/out.jsonl -q")
    before = (toy / "out.jsonl").read_bytes(), (toy / "out.jsonl.manifest.json").read_bytes()
    done = toy(f"mc2 lid bad.jsonl -o {here}/out.jsonl", TMPDIR=str(toy / "tmp"))
    assert (done.status, os.listdir(toy / "tmp")) == (3, [])
    assert ((toy / "out.jsonl").read_bytes(), (toy / "out.jsonl.manifest.json").read_bytes()) == before


# ---------------------------------------------------------------- a store of whole objects

def test_a_store_shows_an_object_and_its_manifest_only_when_they_are_whole():
    MEMORY.pipe_file("/in/a.jsonl", LINE)
    run = Run(["memory://in/a.jsonl"], "memory://out/a.jsonl.gz", quiet=True)
    run(Marked())
    assert MEMORY.ls("/out", detail=False) == ["/out/a.jsonl.gz", "/out/a.jsonl.gz.manifest.json"]
    with files.open_read("memory://out/a.jsonl.gz") as stream:
        assert stream.read() == LINE[:-2] + b',"mark":1}\n'
    assert manifests.read("memory://out/a.jsonl.gz")["counts"] == {"in": 1, "out": 1}
    with pytest.raises(BadData), files.open_write("memory://out/a.jsonl.gz") as stream:
        stream.write(b"half")
        raise BadData("stop")
    assert manifests.read("memory://out/a.jsonl.gz") is not None
    MEMORY.pipe_file("/out/a.jsonl.gz", b"replaced by another program")
    assert manifests.read("memory://out/a.jsonl.gz") is None


def test_an_object_that_changed_is_another_version():
    MEMORY.pipe_file("/a.jsonl", LINE)
    first = manifests.describe_file("memory://a.jsonl")
    assert first == manifests.describe_file("memory://a.jsonl") and first["bytes"] == len(LINE)
    MEMORY.pipe_file("/a.jsonl", LINE)
    assert manifests.describe_file("memory://a.jsonl") != first
    assert manifests.describe_file("memory://no.jsonl") == {"name": "memory://no.jsonl"}


def test_a_cut_off_object_is_an_error_not_an_early_end():
    import gzip
    for data in gzip.compress(LINE)[:-3], b"":
        MEMORY.pipe_file("/a.jsonl.gz", data)
        with pytest.raises(BadData, match="^memory://a.jsonl.gz: the compressed data is cut off"):
            list(files.read_blocks("memory://a.jsonl.gz"))


def test_errors_of_a_file_system_name_the_url(monkeypatch):
    class Refusing(Exception):
        pass

    def refuse(*args, **kwargs):
        raise Refusing("403, no\nkey")

    monkeypatch.setattr(type(MEMORY), "info", refuse)
    monkeypatch.setattr(type(MEMORY), "put_file", refuse)
    with pytest.raises(Mc2Error, match="^memory://a.jsonl: Refusing: 403, no key. Try again.$"):
        remote.describe("memory://a.jsonl")
    with pytest.raises(Mc2Error, match="^memory://a.jsonl: Refusing"), files.open_write("memory://a.jsonl") as stream:
        stream.write(LINE)


@pytest.mark.parametrize("path, is_url", [
    ("s3://b/k", True), ("hf://datasets/a/b", True), ("/a/b", False), ("-", False), ("c:/x", False),
    ("./x://y", False), ("a b://c", False)])
def test_a_url_is_known_by_its_scheme(path, is_url):
    assert files.is_remote(path) == is_url


def test_the_query_of_a_url_is_no_part_of_its_name():
    url = "https://h/x/pool.jsonl.zst?download=true&at=1.2"
    assert (files.base_name(url), files.has_suffix(url, ".zst")) == ("pool.jsonl.zst", True)
    assert files.manifest_name(url) == "https://h/x/pool.jsonl.zst.manifest.json?download=true&at=1.2"
    assert files.base_name("dir/what?.jsonl") == "what?.jsonl"


# ---------------------------------------------------------------- HTTP

@pytest.fixture
def server(sh):
    """The URL of a web server of the directory `web`."""
    pytest.importorskip("aiohttp")
    (sh / "web").mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=sh / "web")

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_inputs_come_from_the_web(sh, server):
    sh.write("web/a.jsonl", pair(1, "a red circle"), pair(2, "un chat"))
    (sh / "web/a.jsonl.zst").write_bytes(zstandard.compress((sh / "web/a.jsonl").read_bytes()))
    expected = sh.ok("mc2 lid web/a.jsonl -q")
    for name in "a.jsonl", "a.jsonl.zst", "a.jsonl.zst?download=true":
        assert sh.ok(f"mc2 lid '{server}/{name}' -q") == expected
    assert sh.ok(f"mc2 lid {server}/a.jsonl -O out -q; mc2 lid {server}/a.jsonl -O out -n").startswith("finished")
    done = sh(f"mc2 lid {server}/no.jsonl")
    assert (done.status, "no.jsonl: no such file" in done.stderr) == (2, True)
    done = sh("mc2 lid http://127.0.0.1:1/a.jsonl")
    assert (done.status, done.stderr.count("\n")) == (1, 1) and "http://127.0.0.1:1/a.jsonl: " in done.stderr
