"""mc2 filter apply: limits, lists, faces in tars; nothing passes unseen."""
import hashlib
import json
import os
import signal

import orjson
import pytest
from conftest import pair, until
from hypothesis import given
from hypothesis import strategies as st

from mc2.safety import rules

SCORED = [
    pair(1, "harmless", nsfw=0.01, faces=0, face_bboxes=[], text_flags=[], url="https://example.org/1.jpg"),
    pair(2, "nude", nsfw=0.9, faces=1, face_bboxes=[[0.1, 0.1, 0.3, 0.4]], text_flags=[],
         url="http://A.example.com:80/x"),
    pair(3, "crowd", nsfw=0.2, faces=12, face_bboxes=[], text_flags=["insults", "slurs"], url="//images.bad.net/x"),
    pair(4, "limit", nsfw=0.8, faces=0, face_bboxes=[], text_flags=["insults"], url="https://goodbad.net/")]


@pytest.fixture
def scored(sh):
    sh.write("s.jsonl", *SCORED)
    return sh


def kept(sh, options):
    """The texts that stay, and {text: reason} of those that go."""
    sh.ok(f"mc2 filter apply s.jsonl {options} --dropped dropped.jsonl -o kept.jsonl -q")
    gone = sh.read("dropped.jsonl")
    assert all({key: value for key, value in line.items() if key != "dropped"} in SCORED for line in gone)
    return [line["text"] for line in sh.read("kept.jsonl")], {line["text"]: line["dropped"] for line in gone}


@pytest.mark.parametrize("options, stay, gone", [
    ("--nsfw 0.8", "harmless crowd limit", {"nude": "nsfw above 0.8"}),             # at the limit a pair stays
    ("--drop-above nsfw=0.79", "harmless crowd", dict.fromkeys(["nude", "limit"], "nsfw above 0.79")),
    ("--drop-below nsfw=0.2", "nude crowd limit", {"harmless": "nsfw below 0.2"}),
    ("--drop-above faces=10", "harmless nude limit", {"crowd": "faces above 10"}),
    ("--faces drop", "harmless limit", dict.fromkeys(["nude", "crowd"], "faces")),
    ("--text-flags drop", "harmless nude", {"crowd": "text flags: insults, slurs", "limit": "text flags: insults"}),
    ("--nsfw 0.8 --faces drop", "harmless limit", {"nude": "nsfw above 0.8", "crowd": "faces"})])
def test_pairs_go_for_the_first_reason_that_applies(scored, options, stay, gone):
    assert kept(scored, options) == (stay.split(), gone)


def test_the_receipt_counts_by_reason(scored):
    assert scored("mc2 filter apply s.jsonl --nsfw 0.8 --faces drop -o kept.jsonl").stderr.startswith(
        "filter apply: 4 pairs in, 2 out, 1 faces, 1 nsfw above 0.8 -> kept.jsonl (")
    manifest = json.loads((scored / "kept.jsonl.manifest.json").read_bytes())
    assert manifest["options"]["rules"] == [["nsfw", "above", 0.8], ["faces", "drop"]]


def test_lines_that_stay_stay_byte_for_byte(scored):
    line = '{"id": "a",  "nsfw":1e-3, "text":"\\u00e9", "faces" : 0}'
    scored.write("s.jsonl", line)
    assert scored.ok("mc2 filter apply s.jsonl --nsfw 0.5 --faces drop -q") == line + "\n"


# ---------------------------------------------------------------- nothing passes unseen

def test_nothing_passes_where_nothing_is_configured(scored):
    for options in "", "--faces keep", "--text-flags keep --unscored drop":
        scored.fails(f"mc2 filter apply s.jsonl {options} -o kept.jsonl", 2, "say what to leave out: --nsfw X")


@pytest.mark.parametrize("options, key", [
    ("--nsfw 0.5", "nsfw"), ("--drop-above x=1", "x"), ("--drop-below x=1", "x"), ("--faces drop", "faces"),
    ("--text-flags drop", "text_flags"), ("--block-hosts h.txt", "url")])
@pytest.mark.parametrize("value", ["missing", None])
def test_a_pair_without_what_is_asked_for_is_refused_or_dropped(sh, options, key, value):
    good = {"nsfw": 0, "x": 1, "faces": 0, "text_flags": [], "url": "http://example.org"}
    reason = f'no "{key}"' + (" with a host" if key == "url" else "")
    sh.write("h.txt", "example.net")
    without = {name: each for name, each in {**good, key: value}.items() if each != "missing"}
    sh.write("s.jsonl", pair(1, "", **good), pair(2, "", **without))
    sh.fails(f"mc2 filter apply s.jsonl {options} -o kept.jsonl", 3, f"s.jsonl:2: {reason}. ", "--unscored drop")
    done = sh(f"mc2 filter apply s.jsonl {options} --unscored drop -o kept.jsonl")
    assert f"2 pairs in, 1 out, 1 {reason}" in done.stderr
    assert sh.read("kept.jsonl") == [pair(1, "", **good)]
    done = sh(f"mc2 filter apply s.jsonl {options} --rejects r.jsonl -o kept.jsonl")
    assert f"1 bad lines skipped ({reason})" in done.stderr and sh.read("kept.jsonl") == [pair(1, "", **good)]


@pytest.mark.parametrize("key, value, options", [
    ("nsfw", "0.1", "--nsfw 0.5"), ("nsfw", True, "--nsfw 0.5"), ("faces", [1], "--faces drop"),
    ("text_flags", "insults", "--text-flags drop"), ("text_flags", [1], "--text-flags drop")])
def test_a_value_that_is_no_score_is_refused_in_any_case(sh, key, value, options):
    sh.write("s.jsonl", pair(1, "", **{key: value}))
    sh.fails(f"mc2 filter apply s.jsonl {options} --unscored drop -o kept.jsonl", 3, f's.jsonl:1: "{key}" is no ')


def test_bad_options_are_told(scored):
    scored.write("hosts.txt", "example.org", "# comment", "http://example.com/")
    scored.write("sha.txt", "abc")
    for options, status, message in [
            ("--drop-above nsfw", 2, "'nsfw' is not KEY=X"), ("--drop-above nsfw=nan", 2, "is not KEY=X"),
            ("--nsfw 1.5", 2, "1.5"), ("--drop-above nsfw=inf", 2, "is not KEY=X"),
            ("--block-hosts hosts.txt", 3, "hosts.txt:3: is no host"),
            ("--block-sha256 sha.txt --tars x", 3, "sha.txt:1: is no SHA-256"),
            ("--faces blur", 2, "--faces blur needs the images"),
            ("--nsfw 0.5 --tars tars", 2, "--tars goes with -O")]:
        scored.fails(f"mc2 filter apply s.jsonl {options} -o kept.jsonl", status, message)


# ---------------------------------------------------------------- lists

def test_blocked_ids_and_hosts_go_with_their_subdomains(scored):
    scored.write("ids.txt", f"{4:024x}", "", f"{9:024x}")
    scored.write("hosts.txt", "# from a list", "*.Example.COM", ".bad.net", "xn--bcher-kva.de")
    assert kept(scored, "--block-ids ids.txt --block-hosts hosts.txt") == (
        ["harmless"], {"nude": "blocked hosts", "crowd": "blocked hosts", "limit": "blocked ids"})


@pytest.mark.parametrize("url, host", [
    ("https://Example.org/a?b@c.net", "example.org"), ("http://u:p@h.org:8080/", "h.org"),
    ("HTTP:\\\\h.org\\@g.org", "h.org"),
    ("https://h.org.", "h.org"), ("http://h.org\u3002/x", "h.org"), ("http://H\uff0eorg\uff0e:80", "h.org"),
    ("http://bücher.de/x", "xn--bcher-kva.de"), ("http://h%2Eorg/x", "h.org"),
    ("http://[2001:DB8:0::1]:80/x", "2001:db8::1"), ("//h.org/x", "h.org"), ("http:h.org/x", "h.org"),
    (" http://h.or\ng", "h.org"),
    ("data:image/png;base64,a", None), ("/x.jpg", None), ("http://", None), ("", None), ("http://a..ü", None)])
def test_the_host_of_a_url_is_that_which_browsers_ask(url, host):
    assert rules.host_of(url) == host


@pytest.mark.parametrize("line, host", [
    ("*.Example.org", "example.org"), ("example.org.", "example.org"), ("bücher.de", "xn--bcher-kva.de"),
    ("example.org\u3002", "example.org"), ("my_host.example.org", "my_host.example.org"), ("127.0.0.1", "127.0.0.1"),
    ("[2001:db8:0::1]", "2001:db8::1"), ("2001:DB8::1", "2001:db8::1"), ("# example.org", None)])
def test_a_line_of_a_list_of_hosts_names_what_urls_have(line, host):
    assert rules.listed_host(line) == host


@pytest.mark.parametrize("line", ["example.org:80", "https://example.org/", "ads.*.org", "*.*.org", "||example.org^",
                                  "0.0.0.0 example.org", "example..org", "example.org,", "[::1]:80", "*", "."])
def test_a_line_that_would_block_no_host_is_refused(scored, line):
    scored.write("hosts.txt", "example.com", line)
    scored.fails("mc2 filter apply s.jsonl --block-hosts hosts.txt -o kept.jsonl", 3, "hosts.txt:2: is no host")


@pytest.mark.parametrize("data", [b"1\r2\r", b"\xff\xfe1\0", b"1\0\n\0"])
def test_a_list_in_a_form_in_which_nothing_is_found_is_refused(scored, data):
    (scored / "ids.txt").write_bytes(data)
    scored.fails("mc2 filter apply s.jsonl --block-ids ids.txt -o kept.jsonl", 3, "ids.txt:1: ", "UTF-8")


@given(st.text(), st.text())
def test_no_url_stops_the_work(url, host):
    for each in url, f"http://{host}/":
        assert rules.host_of(each) is None or isinstance(rules.host_of(each), str)


def test_shards_are_made_again_where_a_list_or_a_limit_changed(scored):
    scored.write("ids.txt", "1")
    command = "mc2 filter apply s.jsonl --block-ids ids.txt --nsfw 0.5 -O safe"
    scored.ok(f"{command} -q")
    assert "1 shards were finished" in scored(command).stderr
    assert "1 shards, 4 pairs in" in scored(command.replace("0.5", "0.6")).stderr
    scored.write("ids.txt", "2")
    assert "1 shards, 4 pairs in" in scored(command).stderr


# ---------------------------------------------------------------- the dry run

def test_a_dry_run_shows_what_each_limit_would_do(scored):
    out = scored.ok("mc2 filter apply s.jsonl -n --nsfw 0.85 --faces drop --text-flags drop")
    lines = [line.split() for line in out.splitlines()]
    assert ["nsfw", "pairs", "that", "go", "share"] in lines
    assert "above 0.1".split() + ["3", "75.00%"] in lines and "above 0.85 (given)".split() + ["1", "25.00%"] in lines
    assert ["above", "0.8", "1", "25.00%"] in lines and ["above", "0.99", "0", "0.00%"] in lines
    assert ["any", "list", "2", "50.00%"] in lines and ["slurs", "1", "25.00%"] in lines
    assert ["text", "flags:", "insults", "1", "25.00%"] in lines and ["together", "3", "75.00%"] in lines
    assert out.endswith("4 pairs were looked at; nothing was written.\n")
    assert sorted(name for name in scored.files() if not name.startswith(".")) == ["s.jsonl"]


def test_a_dry_run_shows_each_given_limit_once_in_both_directions(scored):
    out = scored.ok("mc2 filter apply s.jsonl -n --nsfw 0.8 --drop-above nsfw=0.8 --drop-below nsfw=0.8 --drop-above "
                    "nsfw=0.12345678 --drop-above nsfw=0.12345679")
    assert [line.split() for line in out.splitlines() if "given" in line] == [
        ["above", limit, "(given)", *shown] for limit, *shown in [("0.12345678", "3", "75.00%"),
                                                                  ("0.12345679", "3", "75.00%"),
                                                                  ("0.8", "1", "25.00%")]
    ] + [["below", "0.8", "(given)", "2", "50.00%"]]


def test_a_dry_run_needs_no_limit_and_counts_what_was_not_scored(scored):
    scored.write("s.jsonl", *SCORED, pair(5, "new", nsfw=None))
    out = scored.ok("mc2 filter apply s.jsonl --dry-run")
    assert [line.split()[2:] for line in out.splitlines() if line.startswith("not scored")] == [["1", "20.00%"]] * 3
    assert "by these rules" not in out


def test_a_dry_run_counts_what_the_run_drops(scored):
    options = "--nsfw 0.1 --drop-above faces=10 --block-hosts h.txt --unscored drop"
    scored.write("h.txt", "goodbad.net")
    scored.write("s.jsonl", *SCORED, pair(6, "lost"))
    dry = scored.ok(f"mc2 filter apply s.jsonl {options} -n")
    assert "together" in dry and dry[dry.index("together"):].split()[1] == "4"
    assert "5 pairs in, 1 out, 1 blocked hosts, 1 no \"url\" with a host, 2 nsfw above 0.1" in scored(
        f"mc2 filter apply s.jsonl {options} -o kept.jsonl").stderr


# ---------------------------------------------------------------- tars

Image = pytest.importorskip("PIL.Image")

from safety_tools import encoded, read_tar, samples, write_tar  # noqa: E402

from mc2.safety import blurring  # noqa: E402


def noise(seed, size=(96, 64)):
    import numpy as np
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


FACE = [0.25, 0.25, 0.5, 0.75]


@pytest.fixture
def album(sh):
    """Three images in a tar: with a face, without one, and one that is to go. The first has two pairs."""
    write_tar(sh / "tars/0.tar", samples({each: encoded(noise(number), quality=95) for number, each in
                                          enumerate(["face", "plain", "nude"])}))
    rows = [("face", 0.1, [FACE], "about face"), ("face", 0.1, [FACE], "other"), ("plain", 0.1, [], "about plain"),
            ("nude", 0.9, [], "about nude")]
    sh.write("s/0.jsonl", *({"id": each, "text": text, "nsfw": nsfw, "faces": len(boxes), "face_bboxes": boxes,
                             "text_flags": ["slurs"] if text == "about face" else []} for each, nsfw, boxes,
                             text in rows))
    return sh


def test_faces_are_blurred_and_nothing_else_in_new_tars_with_their_pairs(album):
    import numpy as np
    done = album("mc2 filter apply s/0.jsonl --tars tars --nsfw 0.5 --faces blur -O safe")
    assert done.stderr.startswith("filter apply: 1 shards, 4 pairs in, 3 out, 2 images, 1 images left out, 1 images "
                                  "blurred, 1 faces blurred, 1 nsfw above 0.5 -> safe (")
    before, after = read_tar(album / "tars/0.tar"), read_tar(album / "safe/0.tar")
    assert list(after) == [name for name in before if not name.startswith("00002")]
    assert {name for name in after if after[name] != before[name]} == {"00000.jpg"}
    old, new = (np.asarray(Image.open(io_of(tar["00000.jpg"])).convert("L"), float) for tar in (before, after))
    inside = slice(24, 40), slice(30, 42)
    assert new[inside].std() < 0.2 * old[inside].std()                  # the noise within the face is gone
    outside = slice(0, 64), slice(70, 96)
    assert new[outside].std() > 0.8 * old[outside].std()
    assert [line["id"] for line in album.read("safe/0.jsonl")] == ["face", "face", "plain"]


def test_faces_of_a_pair_that_goes_are_blurred_in_an_image_that_stays(album):
    lines = album.read("s/0.jsonl")
    lines[0]["nsfw"], lines[1]["faces"], lines[1]["face_bboxes"] = 0.9, 0, []
    album.write("s/0.jsonl", *lines)
    assert "2 out, 2 images, 1 images left out, 1 images blurred, 1 faces blurred, 2 nsfw above 0.5" in album(
        "mc2 filter apply s/0.jsonl --tars tars --nsfw 0.5 --faces blur -O safe").stderr


def io_of(data):
    import io
    return io.BytesIO(data)


def test_a_text_that_goes_is_not_left_in_the_tar(album):
    album.ok("mc2 filter apply s/0.jsonl --tars tars --text-flags drop -O safe -q")
    after = read_tar(album / "safe/0.tar")
    assert json.loads(after["00000.json"]) == {"id": "face", "caption": "other"} and after["00000.txt"] == b"other"
    assert json.loads(after["00001.json"])["caption"] == "about plain"


def test_a_text_that_goes_is_in_no_other_key_of_the_json(album):
    members = read_tar(album / "tars/0.tar")
    members["00000.json"] = orjson.dumps({"id": "face", "caption": "old", "alt": "about face", "title": "other",
                                          "width": 96})
    write_tar(album / "tars/0.tar", members)
    album.ok("mc2 filter apply s/0.jsonl --tars tars --text-flags drop -O safe -q")
    assert json.loads(read_tar(album / "safe/0.tar")["00000.json"]) == {
        "id": "face", "caption": "other", "title": "other", "width": 96}


def test_new_tars_of_sampled_pairs_say_so(album):
    album.ok("mc2 lid s/0.jsonl -o s/1.jsonl -q")
    from mc2 import manifests
    manifest = manifests.read(str(album / "s/1.jsonl"))
    manifest.pop("checksum", None)
    manifests.write_for_file(str(album / "s/1.jsonl"), {**manifest, "sampled": {"seed": 3}})
    album.ok("cp tars/0.tar tars/1.tar && mc2 filter apply s/1.jsonl --tars tars/1.tar --nsfw 0.5 -O safe -q")
    for name in "1.tar", "1.jsonl":
        assert manifests.sampled([str(album / "safe" / name)]) == {"seed": 3}


def test_the_stages_can_be_sent_to_the_tasks_of_slurm(album, monkeypatch):
    from mc2.execution import plans
    from mc2.execution.run import Run
    from mc2.execution.shard import ShardTask
    from mc2.safety.apply import Apply
    from mc2.safety.tar_images import Tars
    album.write("ids.txt", "nude")
    monkeypatch.chdir(album.directory)
    run = Run(["s/0.jsonl"], output_dir="safe", quiet=True)
    stage = Apply([rules.BlockedIds("ids.txt"), rules.Threshold("nsfw", 0.5), rules.TextFlags(), rules.Blurred()],
                  "stop",
                  Tars(["tars/0.tar"]), run.paths.output, 95)
    task = plans.restored(plans.portable(ShardTask([stage], run.paths)))
    assert task("s/0.jsonl") == 4 and task.is_done("s/0.jsonl") and ShardTask([stage], run.paths).is_done("s/0.jsonl")
    assert [line["text"] for line in album.read("safe/0.jsonl")] == ["other", "about plain"]
    assert list(read_tar(album / "safe/0.tar"))[0] == "00000.jpg"


def test_the_new_tars_join_with_their_pairs(album):
    album.ok("mc2 filter apply s/0.jsonl --tars tars --nsfw 0.5 --faces blur -O safe -q")
    assert "2 images" in album("mc2 join safe/0.jsonl --tars safe/0.tar -O joined").stderr
    assert len(album.ok("mc2 lid safe/0.jsonl -q").splitlines()) == 3


def test_members_that_nobody_looked_at_are_left_out(album):
    members = {**samples({"face": encoded(noise(1))}), "00000.png": encoded(noise(1), "PNG"), "00000.npy": b"x",
               "00001.txt": b"no image"}
    write_tar(album / "tars/0.tar", dict(sorted(members.items())))
    album.write("s/0.jsonl", {"id": "face", "text": "about face", "face_bboxes": [FACE]})
    assert "1 images, 1 images blurred, 1 faces blurred, 2 other members left out" in album(
        "mc2 filter apply s/0.jsonl --tars tars --faces blur -O safe").stderr
    assert list(read_tar(album / "safe/0.tar")) == ["00000.jpg", "00000.json", "00000.txt"]


def test_images_are_blocked_by_their_bytes_and_by_those_that_were_downloaded(album):
    body = read_tar(album / "tars/0.tar")["00001.jpg"]
    members = read_tar(album / "tars/0.tar")
    members["00002.json"] = orjson.dumps({"id": "nude", "sha256": "B" * 64})
    write_tar(album / "tars/0.tar", members)
    album.write("sha.txt", "# blocked", hashlib.sha256(body).hexdigest().upper(), "b" * 64)
    dry = album.ok("mc2 filter apply s/0.jsonl --tars tars --block-sha256 sha.txt -n")
    assert "blocked images" in dry and dry[dry.index("together"):].split()[1] == "2"
    assert "2 out, 1 images, 2 images left out, 2 blocked images" in album(
        "mc2 filter apply s/0.jsonl --tars tars --block-sha256 sha.txt -O safe").stderr
    assert list(read_tar(album / "safe/0.tar")) == ["00000.jpg", "00000.json", "00000.txt"]


def test_every_list_of_images_is_looked_through(album):
    for name, number in ("first.txt", "00001"), ("second.txt", "00002"):
        album.write(name, hashlib.sha256(read_tar(album / "tars/0.tar")[f"{number}.jpg"]).hexdigest())
    options = "--tars tars --block-sha256 first.txt --block-sha256 second.txt"
    dry = album.ok(f"mc2 filter apply s/0.jsonl {options} -n")
    assert dry[dry.index("together"):].split()[1] == "2"
    assert "2 out, 1 images, 2 images left out, 2 blocked images" in album(
        f"mc2 filter apply s/0.jsonl {options} -O safe").stderr
    assert list(read_tar(album / "safe/0.tar")) == ["00000.jpg", "00000.json", "00000.txt"]


def test_a_pair_without_an_image_goes_and_a_tar_of_strangers_is_refused(album):
    lines = album.read("s/0.jsonl")
    album.write("s/0.jsonl", *lines, {**lines[2], "id": "gone"})
    dry = album.ok("mc2 filter apply s/0.jsonl --tars tars --nsfw 0.5 -n")
    assert "no image in the tar" in dry and dry[dry.index("together"):].split()[1] == "2"
    assert "1 no image in the tar" in album("mc2 filter apply s/0.jsonl --tars tars --nsfw 0.5 -O safe").stderr
    write_tar(album / "tars/0.tar", samples({f"x{number}": encoded(noise(number, (4, 4))) for number in range(3)}))
    album.fails("mc2 filter apply s/0.jsonl --tars tars --nsfw 0.5 -n", 3, "0 of 5 pairs have an image in tars/0.tar")
    before = (album / "safe/0.jsonl").read_bytes(), (album / "safe/0.tar").read_bytes()
    done = album("mc2 filter apply s/0.jsonl --tars tars --nsfw 0.5 -O safe")
    assert done.status == 3 and "0 of 5 pairs have an image in tars/0.tar" in done.stderr
    assert before == ((album / "safe/0.jsonl").read_bytes(), (album / "safe/0.tar").read_bytes())


def test_faces_that_were_not_looked_for_are_never_left_as_they_are(album):
    album.write("s/0.jsonl", {"id": "face", "text": "t", "nsfw": 0.1},
                {"id": "plain", "text": "t", "face_bboxes": [[0, 0, 2, 1]]})
    command = "mc2 filter apply s/0.jsonl --tars tars --faces blur -O safe"
    assert 's/0.jsonl:1: no "face_bboxes".' in album(command).stderr
    done = album(f"{command} --unscored drop")
    assert done.status == 3 and 's/0.jsonl:2: "face_bboxes" is no list of [x1, y1, x2, y2], from 0 to 1.' in done.stderr
    album.write("s/0.jsonl", {"id": "face", "text": "t", "faces": 1, "face_bboxes": []})
    assert 's/0.jsonl:1: "faces" is another number than that of "face_bboxes".' in album(command).stderr
    assert not (album / "safe/0.tar").exists()


def test_tars_that_were_not_scored_are_refused(album):
    (album / "mine.py").write_text("def zero(images):\n    return [0 for image in images]\n")
    album.ok("mc2 filter score s/0.jsonl --tars tars --images-with mine:zero -O scored -q")
    album.ok("mc2 filter apply scored/0.jsonl --tars tars --faces blur -O safe -q")
    write_tar(album / "tars/0.tar", samples({each: encoded(noise(9)) for each in ("face", "plain", "nude", "more")}))
    done = album("mc2 filter apply scored/0.jsonl --tars tars --faces blur -O safe2")
    assert done.status == 3 and done.stderr.startswith("mc2 filter apply: tars/0.tar: has ")
    assert "when scored/0.jsonl was made. Run 'mc2 filter score' again." in done.stderr
    assert not (album / "safe2/0.jsonl").exists() and not (album / "safe2/0.tar").exists()


def test_a_tar_without_pairs_is_named_and_left_out(album):
    write_tar(album / "tars/7.tar", samples({"x": encoded(noise(1))}))
    done = album("mc2 filter apply s/0.jsonl --tars tars --nsfw 0.5 -O safe")
    assert done.status == 0 and done.stderr.startswith(
        "filter apply: 1 tars have no shard of pairs among the inputs and are left out, tars/7.tar for one.\n")
    album.fails("mc2 filter apply s/0.jsonl --tars tars/7.tar --nsfw 0.5 -O safe", 2, "no tar is called 0")
    album.fails("mc2 filter apply s/0.jsonl --tars tars/0.tar --nsfw 0.5 -O tars", 2, "tars")


def test_a_cut_off_tar_gives_the_images_before(album):
    data = (album / "tars/0.tar").read_bytes()
    (album / "tars/0.tar").write_bytes(data[:data.index(b"00002.jpg") + 600])
    done = album("mc2 filter apply s/0.jsonl --tars tars --nsfw 0.95 -O safe")
    assert done.stderr.startswith("warning: tars/0.tar: this tar is cut off")
    assert "3 out, 2 images, 1 damaged tars, 1 no image in the tar" in done.stderr
    assert "2 images" in album("mc2 join safe/0.jsonl --tars safe/0.tar -O joined").stderr


def test_processes_and_one_process_give_the_same_bytes_and_a_lost_tar_is_made_again(album):
    album.ok("cp s/0.jsonl s/1.jsonl && cp tars/0.tar tars/1.tar")
    command = "mc2 filter apply s/0.jsonl s/1.jsonl --tars tars --nsfw 0.5 --faces blur -O"
    album.ok(f"{command} one -q && {command} two -j 2 -q")
    for name in "0.tar", "1.tar", "0.jsonl", "1.jsonl":
        assert (album / "one" / name).read_bytes() == (album / "two" / name).read_bytes()
    (album / "two/0.tar").unlink()
    assert "1 shards, 4 pairs in" in album(f"{command} two").stderr
    assert (album / "one/0.tar").read_bytes() == (album / "two/0.tar").read_bytes()


def test_a_run_without_tars_removes_those_that_it_wrote_before(album):
    album.ok("mc2 filter apply s/0.jsonl --tars tars --nsfw 0.95 -O safe -q")
    done = album("mc2 filter apply s/0.jsonl --nsfw 0.5 -O safe")
    assert "safe/0.tar: is of an earlier run with --tars, and is removed." in done.stderr
    assert not (album / "safe/0.tar").exists() and len(album.read("safe/0.jsonl")) == 3


def test_a_full_disk_leaves_no_half_tar(album):
    album.ok("mc2 filter apply s/0.jsonl --tars tars --nsfw 0.95 -O safe -q")
    before = (album / "safe/0.tar").read_bytes()
    done = album.process("ulimit -f 8; mc2 filter apply s/0.jsonl --tars tars --nsfw 0.5 -O safe")
    assert done.status == 1 and "File too large." in done.stderr
    assert (album / "safe/0.tar").read_bytes() == before
    assert not [name for name in os.listdir(album / "safe") if name.endswith(".tmp")]


SLOW = """\
import os, time

def slow(images):
    open("begun", "w").close()
    while not os.path.exists("go on"):
        time.sleep(0.01)
    return [1 for image in images]
"""


def test_a_run_that_is_killed_goes_on(album):
    import subprocess
    (album / "mine.py").write_text(SLOW)
    album.ok("cp s/0.jsonl s/1.jsonl && cp tars/0.tar tars/1.tar && mkdir -p first && touch 'go on'")
    command = "mc2 filter score s/0.jsonl s/1.jsonl --tars tars --images-with mine:slow -O scored"
    album.ok("mc2 filter score s/0.jsonl --tars tars --images-with mine:slow -O scored -q")
    album.ok("rm 'go on' begun")
    running = subprocess.Popen(["bash", "-c", f"exec {command} -q"], cwd=album.directory, env=album.environment)
    until(lambda: (album / "begun").exists(), lambda: running.poll() is None)
    running.send_signal(signal.SIGKILL)
    running.wait()
    (album / "go on").touch()
    assert "1 shards, 4 pairs in, 4 out, 3 images; 1 shards were finished" in album.process(command).stderr
    assert not [name for name in os.listdir(album / "scored") if name.endswith(".tmp")]


# ---------------------------------------------------------------- blurred images

@pytest.mark.parametrize("image, format, extension, expected", [
    (noise(1), "JPEG", "jpeg", ("JPEG", "jpeg", "RGB")), (noise(1).convert("L"), "JPEG", "jpg", ("JPEG", "jpg", "RGB")),
    (noise(1).convert("CMYK"), "JPEG", "jpg", ("JPEG", "jpg", "RGB")),
    (noise(1), "WEBP", "webp", ("WEBP", "webp", "RGB")),
    (noise(1), "WEBP", "jpg", ("WEBP", "webp", "RGB")), (noise(1), "PNG", "jpg", ("PNG", "png", "RGB")),
    (noise(1).convert("RGBA"), "PNG", "png", ("PNG", "png", "RGB")),
    (noise(1).convert("P"), "GIF", "gif", ("PNG", "png", "RGB")),
    (Image.new("I;16", (40, 40), 40000), "PNG", "png", ("PNG", "png", "RGB")),
    (noise(1), "TIFF", "tif", ("PNG", "png", "RGB")),
    (noise(1, (1, 1)), "PNG", "png", ("PNG", "png", "RGB"))])
def test_a_blurred_image_keeps_its_format_where_it_is_jpeg_or_webp(image, format, extension, expected):
    data, extension = blurring.without_faces(encoded(image, format), [FACE, [0, 0, 1, 1], [1, 1, 1, 1]], extension)
    made = Image.open(io_of(data))
    assert (made.format, extension, made.mode) == expected and made.size == image.size


def test_of_the_exif_only_the_orientation_is_kept_and_pixels_stay_as_they_are_stored():
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "at home, with a small picture of the face"
    data, _ = blurring.without_faces(encoded(noise(1), exif=exif.tobytes(), comment=b"of Ann"), [FACE], "jpg")
    made = Image.open(io_of(data))
    assert dict(made.getexif()) == {0x0112: 6} and made.size == (96, 64) and b"home" not in data and b"Ann" not in data


def test_of_an_animation_the_first_picture_stays():
    data = encoded(Image.new("RGB", (40, 40), (255, 0, 0)), "WEBP", save_all=True,
                   append_images=[Image.new("RGB", (40, 40))])
    made, extension = blurring.without_faces(data, [FACE], "webp")
    assert (Image.open(io_of(made)).n_frames, extension) == (1, "webp")
