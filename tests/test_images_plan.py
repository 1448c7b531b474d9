"""mc2 images plan and mc2 images check: before and after the download by img2dataset.

The last test runs img2dataset itself, against a server of this machine, where MC2_IMG2DATASET names its program or the
PATH has it; the others take what it leaves as it does.
"""
import hashlib
import http.server
import io
import json
import os
import shlex
import shutil
import subprocess
import tarfile
import threading
from urllib.parse import unquote

import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from mc2.download.addresses import DAMAGED, LONG, NO_HOST, NONE, OTHER, encoded
from mc2.download.check import TRANSIENT, class_of


# ---------------------------------------------------------------- URLs

@pytest.mark.parametrize("url, expected", [
    ("http://a.example/b.jpg?x=1&y=2", "http://a.example/b.jpg?x=1&y=2"),
    ("http://a.example/my photo.jpg", "http://a.example/my%20photo.jpg"),
    ("http://a.example/my%20photo.jpg", "http://a.example/my%20photo.jpg"),
    ("http://a.example/ü/猫.jpg?q=é ", "http://a.example/%C3%BC/%E7%8C%AB.jpg?q=%C3%A9"),
    ("https://bücher.example/a.jpg", "https://xn--bcher-kva.example/a.jpg"),
    ("HTTP://A.Example:8080/a.jpg#part", "http://a.example:8080/a.jpg"),
    (" http://a.example/a\n.jpg\t", "http://a.example/a.jpg"),
    ("http://a.example\\b\\c.jpg", None),
    ("http://a.example/b\\c.jpg", "http://a.example/b/c.jpg"),
    ("http://a.example/[1]{2}|\"<>^`.jpg", "http://a.example/[1]%7B2%7D%7C%22%3C%3E%5E%60.jpg"),
    ("http://[::1]/a.jpg", "http://[::1]/a.jpg"),
    ("http://me:pass@a.example/a.jpg", "http://me:pass@a.example/a.jpg"),
    ("http://a.example", "http://a.example/"),
])
def test_urls_become_ascii_and_what_is_encoded_stays(url, expected):
    assert encoded(url)[0] == expected


@pytest.mark.parametrize("url, reason", [
    (None, NONE), ("", NONE), (7, NONE), ("data:image/png;base64,AA", OTHER), ("ftp://a.example/a.jpg", OTHER),
    ("/a.jpg", OTHER), ("http:///a.jpg", NO_HOST), ("http://[::1/a.jpg", DAMAGED), ("http://a.example:x/a.jpg", DAMAGED),
    ("http://a b.example/a.jpg", DAMAGED), ("http://" + "ü" * 70 + ".example/a.jpg", DAMAGED),
    ("http://a.example/" + "a" * 2000, LONG)])
def test_what_cannot_be_downloaded_has_a_reason(url, reason):
    assert encoded(url) == (None, reason)


# ---------------------------------------------------------------- the plan

def pairs_at(base, paths):
    return [{"id": hashlib.sha224(path.encode()).hexdigest()[:24], "url": base + path, "text": f"text of {path}"}
            for path in paths]


def test_the_plan_has_a_row_for_each_image_in_an_order_that_mixes_hosts(sh):
    pairs = [pair for host in "abc"
             for pair in pairs_at(f"http://{host}.example", [f"/{host}{number} é.jpg" for number in range(20)])]
    sh.write("p.jsonl", *pairs, {**pairs[0], "text": "another text"}, {"id": "x", "text": "", "url": "data:,"},
             {"id": "y", "text": ""})
    done = sh("mc2 images plan p.jsonl -O plan --dropped dropped.jsonl")
    assert done.stderr.startswith("images plan: 1 shards, 63 pairs in, 60 images to download in 1 shards, 1 same id, "
                                  "1 url that is not http, 1 without url -> plan (")
    rows = pq.read_table(sh / "plan/00000.parquet").to_pylist()
    assert {(row["id"], row["url"]) for row in rows} \
        == {(pair["id"], pair["url"].replace(" é", "%20%C3%A9")) for pair in pairs}
    hosts = [row["url"][7] for row in rows]
    assert sum(a == b for a, b in zip(hosts, hosts[1:])) < 35           # 19.3 of 59 by chance, 57 in the order they came
    assert [pair["dropped"] for pair in sh.read("dropped.jsonl")][:2] == ["url that is not http", "without url"]
    assert sh.ok("mc2 images plan p.jsonl -O plan") == done.stdout      # finished


def test_the_commands_that_come_next_are_printed_as_a_script(sh):
    sh.write("my pairs.jsonl", *pairs_at("http://a.example", ["/1.jpg"]))
    script = sh.ok("mc2 images plan 'my pairs.jsonl' -O plan --image-size 384 --tars 'the tars' --user-agent our-name "
                   "--timeout 5 --images-per-tar 500")
    command = shlex.split(script.partition("\nimg2dataset ")[2].partition("\nmc2 ")[0].replace("\\\n", " "))
    given = dict(zip(command[::2], command[1::2]))
    for option in ("--resize_mode keep_ratio", "--resize_only_if_bigger True", "--retries 1", "--image_size 384",
                   "--number_sample_per_shard 500", "--timeout 5", "--user_agent_token our-name", "--url_list plan"):
        assert given[option.split()[0]] == option.split()[1]
    assert "--save_additional_columns '[\"id\"]'" in script
    assert "mc2 join 'my pairs.jsonl' --tars 'the tars/*.tar' -O pairs" in script
    assert subprocess.run(["bash", "-n"], input=script.encode()).returncode == 0


def test_the_printed_run_takes_pairs_that_were_sampled_as_they_are(artefacts):
    sh = artefacts
    sh.write("m.jsonl", *({**pair, "lang": "en", "matched_entry_ids": [0]}
                          for pair in pairs_at("http://a.example", ["/1.jpg"])))
    assert " -c counts -t thresholds.json -o run\n" in sh.ok("mc2 images plan m.jsonl -O matched")
    sh.ok("mc2 sample m.jsonl -c counts -t t.json -o curated.jsonl -q")
    assert " --curation offline -o run\n" in sh.ok("mc2 images plan curated.jsonl -O curated")


def test_a_pool_of_many_files_is_named_by_a_list(sh):
    for number, pair in enumerate(pairs_at("http://a.example", [f"/{number}.jpg" for number in range(10)])):
        sh.write(f"p{number}.jsonl", pair)
    assert "mc2 join @plan/pairs.txt --tars" in sh.ok("mc2 images plan 'p*.jsonl' -O plan")
    assert (sh / "plan/pairs.txt").read_text().split() == [f"p{number}.jsonl" for number in range(10)]


def test_the_commands_name_files_whose_names_are_not_utf_8_so_that_the_shell_finds_them(sh):
    for number, pair in enumerate(pairs_at("http://a.example", [f"/{number}.jpg" for number in range(9)])):
        (sh / os.fsdecode(b"it's \xff%d.jsonl" % number)).write_bytes(json.dumps(pair).encode())
    one = sh.ok("mc2 images plan *0.jsonl -O plan").partition("mc2 join ")[2].partition(" --tars")[0]
    assert one == r"$'it\047s \3770.jsonl'"
    assert subprocess.run(["bash", "-c", f"cat {one}"], cwd=sh / ".", capture_output=True).stdout.startswith(b'{"id"')
    assert "mc2 join @all/pairs.txt --tars" in sh.ok("mc2 images plan *.jsonl -O all")
    assert "9 pairs in" in sh("mc2 dedup urls @all/pairs.txt -o unique.jsonl").stderr


def test_the_commands_say_the_names_of_columns_that_were_given(sh):
    (sh / "p.csv").write_text("a,http://a.example/1.jpg,a cat\n")
    assert "mc2 join p.csv --header id,url,text --tars" in sh.ok("mc2 images plan p.csv --header id,url,text -O plan")


def test_pairs_without_any_url_are_an_error(sh):
    sh.write("p.jsonl", {"id": "a", "text": "", "link": "http://a.example/1.jpg"})
    done = sh("mc2 images plan p.jsonl -O plan -q")
    assert done.status == 3 and "none of the 1 pairs has a URL" in done.stderr and "--columns url=NAME" in done.stderr
    script = sh.ok("mc2 images plan p.jsonl -O plan --columns url=link")
    assert "# 1 images." in script and "mc2 join p.jsonl --columns url=link --tars" in script


# ---------------------------------------------------------------- after the download

@pytest.mark.parametrize("message, expected", [
    ("HTTP Error 404: Not Found", "other 4xx"), ("HTTP Error 429: Too Many Requests", "too many requests (429)"),
    ("HTTP Error 503: Service Unavailable", "5xx"), ("<urlopen error timed out>", "timeout"), ("timed out", "timeout"),
    ("The read operation timed out", "timeout"), ("<urlopen error [Errno -2] Name or service not known>", "DNS"),
    ("<urlopen error [Errno -3] Temporary failure in name resolution>", "DNS, for now"),
    ("<urlopen error [Errno -5] No address associated with hostname>", "DNS"),
    ("<urlopen error [Errno 111] Connection refused>", "connection"), ("[Errno 104] Connection reset by peer", "connection"),
    ("Remote end closed connection without response", "connection"), ("IncompleteRead(5 bytes read)", "connection"),
    ("<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed>", "TLS"),
    ("Use of image disallowed by X-Robots-Tag directive", "opt-out"), ("Image decoding error", "decode"),
    ("image too small", "too small"), ("aspect ratio too large", "too slim"), ("image area too large", "too large"),
    ("URL can't contain control characters. '/my photo.jpg' (found at least ' ')", "URL"),
    ("'ascii' codec can't encode character '\\xfc' in position 5", "URL"), ("unknown url type: 'data'", "URL"),
    ("HTTP Error 301: The HTTP server returned a redirect error that would lead to an infinite loop.",
     "redirects without end"),
    ("something new", "other"), (None, "other")])
def test_messages_of_img2dataset_have_classes(message, expected):
    assert class_of(message) == expected


def test_what_may_go_better_another_time():
    assert TRANSIENT == {"too many requests (429)", "request timeout (408)", "5xx", "DNS, for now", "timeout", "connection"}


def picture(size=(30, 20), border=False):
    """A JPEG; with a border, of white above and below."""
    Image = pytest.importorskip("PIL.Image")
    image = Image.effect_noise(size, 60).convert("RGB")
    if border:
        whole = Image.new("RGB", (size[0], size[0]), "white")
        whole.paste(image, (0, (size[0] - size[1]) // 2))
        image = whole
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95)
    return stream.getvalue()


def downloaded(sh, number, rows, image=b"", size=(30, 20), stats=True, ids=True):
    """Write a shard as img2dataset does. rows: [(id, error message or None for an image)]"""
    name, table = sh / f"tars/{number:05d}", []
    name.parent.mkdir(exist_ok=True)
    with tarfile.open(f"{name}.tar", "w") as tar:
        for index, (image_id, error) in enumerate(rows):
            key = f"{number:05d}{index:04d}"
            table.append({"id": image_id, "url": f"http://a.example/{image_id}", "key": key, "error_message": error,
                          "status": "failed_to_download" if error else "success",
                          "sha256": None if error else hashlib.sha256(image_id[:1].encode()).hexdigest(),
                          "width": None if error else size[0], "height": None if error else size[1],
                          "original_width": None if error else 300, "original_height": None if error else 200})
            for suffix, body in (("jpg", image), ("json", json.dumps({"id": image_id}).encode())) if not error else ():
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(body)
                tar.addfile(member, io.BytesIO(body))
    its = pa.Table.from_pylist(table)
    pq.write_table(its if ids else its.drop_columns(["id"]), f"{name}.parquet")
    if stats:
        (sh / f"tars/{number:05d}_stats.json").write_text(json.dumps({"count": len(rows)}))


def test_a_download_is_summed_up_by_class_with_what_to_do(sh):
    downloaded(sh, 0, [("a", None), ("b", None), ("b2", None), ("c", "timed out"), ("d", "HTTP Error 404: Not Found")])
    downloaded(sh, 1, [("e", "timed out"), ("a", None)])
    sh.ok("mkdir plan; cp tars/00000.parquet plan/0.parquet; mc2 --version")
    done = sh("mc2 images check tars --plan plan --retry retry.parquet")
    assert (done.status, done.stdout.splitlines()) == (0, [
        "7 URLs in 2 shards, 4 images (57.1%)",
        "  timeout    2  28.6%  timed out",
        "  other 4xx  1  14.3%  HTTP Error 404: Not Found",
        "2 of the 5 planned ids have no image; 0 were not tried yet",
        "1 images of an id that has one already: img2dataset had a row per text; see images plan",
        "2 images with the same bytes (SHA-256) as another",
        "2 may go better another time (timeouts, 5xx, 429, connections): --retry FILE writes them"])
    assert pq.read_table(sh / "retry.parquet").to_pylist() == [
        {"id": "c", "url": "http://a.example/c"}, {"id": "e", "url": "http://a.example/e"}]
    found = json.loads(sh.ok("mc2 images check tars --json -j 2"))
    assert (found["rows"], found["images"], found["failures"]) == (7, 4, {"timeout": 2, "other 4xx": 1})


def test_shards_that_are_not_finished_or_damaged_are_named(sh):
    downloaded(sh, 0, [("a", None)])
    downloaded(sh, 1, [("b", None)], stats=False)
    downloaded(sh, 2, [("c", None)])
    downloaded(sh, 3, [("d", None)])
    (sh / "tars/00002.parquet").write_bytes((sh / "tars/00002.parquet").read_bytes()[:-9])
    (sh / "tars/00003_stats.json").write_text('{"count": 2}')
    done = sh("mc2 images check tars")
    assert done.status == 3 and "not all shards are finished and whole" in done.stderr
    assert "1 shards without stats, so not finished (00001): the same img2dataset command does them again" in done.stdout
    assert "00002.parquet: not Parquet, or damaged" in done.stdout and "counts 2 rows, and the .parquet has 1" in done.stdout


def test_white_borders_are_seen(sh):
    pytest.importorskip("PIL")
    downloaded(sh, 0, [(name, None) for name in "abc"], picture(border=True), (30, 30))
    assert "white borders: 3 of 3 images that were looked at" in sh.ok("mc2 images check tars")
    downloaded(sh, 0, [(name, None) for name in "abc"], picture(), (30, 20))
    assert "white borders" not in sh.ok("mc2 images check tars")


def test_a_download_that_has_not_tried_all_of_its_plan_is_not_done(sh):
    downloaded(sh, 0, [("a", None)])
    downloaded(sh, 1, [("b", None), ("c", None)])
    sh.ok("mkdir plan; mv tars/00001.parquet plan/1.parquet; rm tars/00001*; cp tars/00000.parquet plan/0.parquet; mc2 --version")
    done = sh("mc2 images check tars --plan plan")
    assert "2 of the 3 planned ids have no image; 2 were not tried yet\n" in done.stdout
    assert done.status == 3 and "2 of the 3 planned ids were not tried yet. Give the img2dataset command again" in done.stderr
    assert "Where it does nothing, these are tars of an earlier plan" in done.stderr
    assert sh("mc2 images check tars").status == 0


def test_a_message_of_several_lines_is_shown_by_its_first_one(sh):
    downloaded(sh, 0, [("a", None), ("b", "HTTP Error 302: a loop.\nThe last 30x error message was:\nFound")])
    assert "  redirects without end  1  50.0%  HTTP Error 302: a loop.\n" in sh.ok("mc2 images check tars")


def test_rows_without_ids_are_named(sh):
    downloaded(sh, 0, [("a", None)], ids=False)
    assert "no column id" in sh.ok("mc2 images check tars")


@pytest.mark.parametrize("command, status, message", [
    ("mc2 images check nothing", 2, "holds nothing of img2dataset"),
    ("mc2 images check tars --plan none", 2, "none: no such file"),
    ("mc2 images check tars --retry r.jsonl", 2, "Name it .parquet"),
])
def test_what_cannot_be_checked_is_said(sh, command, status, message):
    downloaded(sh, 0, [("a", None)])
    sh.fails(command, status, message)


def test_the_parquet_of_img2dataset_and_its_keys_are_joined_as_they_are(sh):
    downloaded(sh, 0, [("a", None), ("b", "timed out")])
    table = pq.read_table(sh / "tars/00000.parquet").append_column("caption", pa.array(["one", "two"]))
    pq.write_table(table, sh / "rows.parquet")
    pq.write_table(table.drop_columns(["id"]), sh / "keys.parquet")
    for name, image_id in (("rows", "a"), ("keys", "000000000")):
        sh.ok(f"mc2 join {name}.parquet --tars 'tars/*.tar' -O {name} && mc2 inspect {name}/00000.jsonl.zst")
        assert f'"id":"{image_id}","text":"one"' in sh.ok(f"mc2 dedup urls {name}/00000.jsonl.zst")


# ---------------------------------------------------------------- with img2dataset itself

PROGRAM = os.environ.get("MC2_IMG2DATASET") or shutil.which("img2dataset")


class Web(http.server.BaseHTTPRequestHandler):
    """Answers as the web does. `over`: set when slow answers need not be waited for."""

    over = threading.Event()

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(headers.pop("length", len(body))))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = unquote(self.path)
        kind, image = path.split("/")[1], picture((300, 200))
        if kind == "slow":
            self.over.wait(30)
        elif kind in ("404", "429", "503"):
            self.answer(int(kind))
        elif kind == "html":
            self.answer(200, b"<html>gone</html>", Content_Type="text/html")
        elif kind == "half":
            self.answer(200, image[:len(image) // 2], length=len(image))
        elif kind == "pixel":
            self.answer(200, picture((1, 1)))
        elif kind == "moved":
            self.answer(302, Location="/good/moved.jpg")
        elif kind == "noai":
            self.answer(200, image, X_Robots_Tag="noai")
        else:
            self.answer(200, image)


@pytest.fixture
def web():
    """The URL of the server."""
    Web.over.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        Web.over.set()
        server.shutdown()


@pytest.mark.heavy
@pytest.mark.skipif(PROGRAM is None, reason="img2dataset is not installed; MC2_IMG2DATASET may name its program")
def test_the_printed_commands_download_check_and_join(sh, web):
    good = ["/good/1.jpg", "/good/2.jpg", "/good/my photo.jpg", "/good/ü.jpg", "/moved/3.jpg"]
    bad = [f"/{kind}/a.jpg" for kind in ("404", "429", "503", "slow", "half", "html", "pixel", "noai")]
    pairs = pairs_at(web, good + bad)
    sh.write("p.jsonl", *pairs, {**pairs[0], "text": "another text"})
    script = sh.ok("mc2 images plan p.jsonl -O plan --threads 8 --timeout 2")
    download, join = script.partition("mc2 images check")[0], script.partition("\nmc2 join")[2].partition("\n")[0]
    environment = {key: value for key, value in sh.environment.items() if not key.startswith("PYTHON")}
    environment.update(PATH=f"{os.path.dirname(PROGRAM)}:{environment['PATH']}", NO_ALBUMENTATIONS_UPDATE="1",
                       WANDB_MODE="disabled")
    done = subprocess.run(["bash", "-c", download.replace("--retries 1", "--retries 0")], cwd=sh.directory,
                          env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(sh.ok("mc2 images check tars --plan plan --retry retry.parquet --json"))
    assert found["failures"] == {"other 4xx": 1, "too many requests (429)": 1, "5xx": 1, "timeout": 1, "connection": 1,
                                 "decode": 1, "too small": 1, "opt-out": 1}
    assert (found["images"], found["planned"], found["planned_without_image"], found["transient"]) == (5, 13, 8, 4)
    assert found["with_white_borders"] == 0 and found["shards_without_stats"] == []
    assert {row["url"] for row in pq.read_table(sh / "retry.parquet").to_pylist()} \
        == {f"{web}/{kind}/a.jpg" for kind in ("429", "503", "slow", "half")}
    joined = sh(f"mc2 join{join}")
    assert joined.stderr.startswith("join: 1 tars, 14 pairs in, 6 out for 5 images, 8 pairs without image -> pairs")
