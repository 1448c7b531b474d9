"""mc2 images pack: from folders of images and files of captions to tars and their pairs."""
import gzip
import hashlib
import json
import subprocess
import tarfile

import orjson
import pytest
import zstandard

from mc2 import tars


def put(sh, files):
    """Write {name: bytes, text or JSON value}."""
    for name, content in files.items():
        path = sh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode() if isinstance(content, str)
                         else json.dumps(content).encode())


def pairs_in(path):
    lines = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()).splitlines()
    return [orjson.loads(line) for line in lines]


def numbered(n_images, image, caption):
    """{name: content} of n images and their captions, each a function of the number."""
    return {f"photos/{number}.{suffix}": make(number) for number in range(n_images)
            for suffix, make in (("jpg", image), ("txt", caption))}


def texts_of(folder):
    """{id: [texts]} of all pairs of a directory."""
    found = {}
    for path in sorted(folder.glob("*.jsonl.zst")):
        for pair in pairs_in(path):
            found.setdefault(pair["id"], []).append(pair["text"])
    return found


def samples_of(folder):
    """{id: (bytes of the image, text)} of all tars of a directory, as training reads them."""
    return {tars.record(members)["id"]: (members[tars.image(members)], members["txt"].decode())
            for path in sorted(folder.glob("*.tar")) for _, members in tars.samples(str(path))}


def test_a_folder_becomes_tars_with_pairs_whatever_its_suffixes_and_folders(sh):
    put(sh, {"photos/a.jpg": b"A", "photos/a.txt": "an a\n", "photos/x/b.JPG": b"B", "photos/x/b.TXT": "\ufeffun b",
             "photos/x.y/c.d.Jpeg": b"C", "photos/x.y/c.d.json": {"caption": ["one", "two", "one"], "lang": "en"},
             "photos/e.png": b"E", "photos/e.webp": b"F", "photos/e.txt": "both", "photos/g.tiff": b"G",
             "photos/g.tiff.txt": "by the whole name"})
    done = sh("mc2 images pack photos -O tars")
    assert done.stderr.startswith("images pack: 6 images, 7 pairs out in 1 tars -> tars (") and done.stderr.count("\n") == 1
    assert texts_of(sh / "tars") == {"a": ["an a"], "x/b": ["un b"], "x.y/c.d": ["one", "two"], "e.png": ["both"],
                                     "e.webp": ["both"], "g": ["by the whole name"]}
    assert samples_of(sh / "tars") == {"a": (b"A", "an a"), "x/b": (b"B", "un b"), "x.y/c.d": (b"C", "one"),
                                       "e.png": (b"E", "both"), "e.webp": (b"F", "both"), "g": (b"G", "by the whole name")}
    pair = next(pair for pair in pairs_in(sh / "tars/00000.jsonl.zst") if pair["id"] == "x.y/c.d")
    assert pair == {"id": "x.y/c.d", "text": "one", "file_name": "x.y/c.d.Jpeg", "lang": "en"}


def test_members_are_sorted_without_owner_and_time_and_any_tar_reads_them(sh):
    put(sh, numbered(25, lambda number: b"x" * (number + 1), lambda number: "t"))
    sh.ok("mc2 images pack photos -O tars --images-per-tar 10 -q")
    names = []
    for number, images in enumerate((10, 10, 5)):
        with tarfile.open(sh / f"tars/0000{number}.tar") as tar:
            members = tar.getmembers()
            assert len(members) == 3 * images
            assert {(each.mtime, each.uid, each.gid, each.uname, each.gname, each.mode) for each in members} == {
                (0, 0, 0, "", "", 0o644)}
            names += [each.name for each in members]
        assert subprocess.run(["tar", "tf", sh / f"tars/0000{number}.tar"], capture_output=True).stderr == b""
    assert names == sorted(names) and len(set(names)) == len(names)


def test_the_same_files_give_the_same_bytes_and_a_run_that_was_stopped_goes_on(sh):
    files = numbered(20, lambda number: b"x", lambda number: f"t{number}")
    put(sh, files)
    sh.ok("mc2 images pack photos -O one --images-per-tar 6 -q")
    put(sh, {name: files[name] for name in reversed(files)})
    sh.ok("cp -r photos others && mc2 images pack others -O two --images-per-tar 6 -q")
    assert digests(sh / "one") == digests(sh / "two") and len(digests(sh / "one")) == 8
    for name in ("two/00001.tar.manifest.json", "two/00002.jsonl.zst"):            # as a kill leaves it
        (sh / name).unlink()
    before = (sh / "two/00000.tar").stat()
    assert "; 2 tars were finished" in sh("mc2 images pack others -O two --images-per-tar 6").stderr
    assert digests(sh / "one") == digests(sh / "two") and (sh / "two/00000.tar").stat() == before
    put(sh, {"others/3.txt": "another text"})
    assert "; 3 tars were finished" in sh("mc2 images pack others -O two --images-per-tar 6").stderr
    assert "2 tars of an earlier run were removed" in sh("mc2 images pack others -O two --images-per-tar 10").stderr
    assert sorted(path.name for path in (sh / "two").glob("*.tar")) == ["00000.tar", "00001.tar"]
    assert len(samples_of(sh / "two")) == len(texts_of(sh / "two")) == 20


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()
            if path.name.endswith((".tar", ".zst"))}


def test_tars_end_where_the_next_image_would_be_too_much(sh):
    put(sh, numbered(9, lambda number: b"x" * 400, lambda number: "t"))
    sh.ok("mc2 images pack photos -O tars --bytes-per-tar 1K -q")
    assert [len(pairs_in(path)) for path in sorted((sh / "tars").glob("*.zst"))] == [2, 2, 2, 2, 1]


def test_what_is_left_out_is_counted_and_named(sh):
    put(sh, {"photos/a.jpg": b"A", "photos/a.txt": "a", "photos/b.jpg": b"B", "photos/c.jpg": b"C", "photos/c.txt": " \n",
             "photos/d.txt": "d", "photos/e.jpg": b"", "photos/e.txt": "e", "photos/.DS_Store": b"", "photos/._a.jpg": b"x",
             "photos/notes.md": "x", "photos/f.ppm": b"P6", "photos/f.txt": "f", "photos/g.jpg": b"G", "photos/h.jpg": b"H"})
    done = sh("mc2 images pack photos -O tars")
    assert done.status == 0 and done.stderr.splitlines()[:-1] == [
        "images pack: 4 images without a caption left out: b.jpg, c.jpg, g.jpg ... (all: tars/.work/left-out.jsonl)",
        "images pack: 2 captions without an image left out: d.txt, f.txt",
        "images pack: 1 empty files left out: e.jpg",
        "images pack: 4 other files left out: .DS_Store, ._a.jpg, f.ppm ... (all: tars/.work/left-out.jsonl)"]
    assert ("images pack: 1 images, 1 pairs out in 1 tars, 2 captions without an image, 1 empty files, 4 images without "
            "a caption, 4 other files -> tars (") in done.stderr
    assert len((sh / "tars/.work/left-out.jsonl").read_bytes().splitlines()) == 11


IMAGES = {"in/a.jpg": b"A", "in/x/b.png": b"B"}
EXPECTED = {"a": ["one, with a comma", "two"], "x/b": ['three "quoted"']}
ROWS = [("a.jpg", "one, with a comma"), ("a.jpg", "two"), ("./x/b.png", 'three "quoted"')]
CSV = 'file_name,text,n\na.jpg,"one, with a comma",1\na.jpg,two,2\r\n./x/b.png,"three ""quoted""",3\n'
COCO = {"images": [{"id": 7, "file_name": "a.jpg"}, {"id": 9, "file_name": "x/b.png"},
                   {"id": 10, "file_name": "x/none.png"}],
        "annotations": [{"id": 1, "image_id": 9, "caption": ROWS[2][1]}, {"id": 2, "image_id": 7, "caption": ROWS[0][1]},
                        {"id": 3, "image_id": 7, "caption": ROWS[1][1]}, {"id": 4, "image_id": 10, "caption": "no image"}]}


@pytest.mark.parametrize("name, content", [
    ("in/metadata.csv", CSV), ("in/c.csv", "\ufeff" + CSV), ("in/c.csv.gz", gzip.compress(CSV.encode())),
    ("in/metadata.csv", CSV.replace(",n\n", ",,\n").replace(",1\n", ",,\n").replace(",2\r\n", ",,\n").replace(",3\n", ",,\n")),
    ("in/c.tsv", 'Image_Path\tCaption\na.jpg\tone, with a comma\na.jpg\ttwo\nx/b.png\tthree "quoted"\n'),
    ("in/c.tsv", 'Image_Path\tCaption\na.jpg\tone, with a comma\na.jpg\ttwo\nx/b.png\t"three ""quoted"""\n'),
    ("in/c.jsonl", "".join(json.dumps({"image": image, "caption": text}) + "\n\n" for image, text in ROWS)),
    ("in/metadata.jsonl", "".join(json.dumps({"file_name": image, "text": text}) + "\n" for image, text in ROWS)),
    ("in/c.jsonl", json.dumps({"file_name": "a.jpg", "text": ["one, with a comma", "", None, "two"]}) + "\n"
     + json.dumps({"file_name": "x/b.png", "text": ROWS[2][1]})),
    ("in/c.json", [{"image": "a.jpg", "caption": ["one, with a comma", "two"]}, {"image": "x/b.png", "caption": ROWS[2][1]}]),
    ("in/c.json", {"a.jpg": ["one, with a comma", "two"], "x/b.png": ROWS[2][1]}),
    ("in/c.json", COCO)])
def test_files_of_captions_of_every_form_give_the_same_pairs(sh, name, content):
    put(sh, {**IMAGES, name: content, "other/x": b""})
    sh.ok(f"mc2 images pack {name} -O tars -q")
    assert texts_of(sh / "tars") == EXPECTED
    sh.ok(f"mv {name} other/ && mc2 images pack other/{name[3:]} --images in -O tars2 -q")
    assert digests(sh / "tars2") == digests(sh / "tars")
    if "metadata" in name:
        sh.ok(f"mv other/{name[3:]} in/ && mc2 images pack in -O tars3 -q")
        assert digests(sh / "tars3") == digests(sh / "tars")


def test_metadata_in_a_folder_names_images_from_there_and_joins_captions_beside(sh):
    put(sh, {"in/x/metadata.csv": "file_name,text,lang\nb.png,from the table,fr\ngone.png,no image,\n", "in/x/b.png": b"B",
             "in/x/b.txt": "from beside", "in/a.jpg": b"A", "in/a.txt": "a"})
    done = sh("mc2 images pack in -O tars")
    assert "1 captions without an image left out: x/gone.png" in done.stderr
    assert {each: sorted(texts) for each, texts in texts_of(sh / "tars").items()} == {
        "x/b": ["from beside", "from the table"], "a": ["a"]}


def test_an_id_of_the_record_is_that_of_the_image_and_its_pairs(sh):
    put(sh, {"in/a.jpg": b"A", "in/a.json": {"text": "a", "uid": 7}, "in/b.jpg": b"B", "in/b.txt": "b"})
    sh.ok("mc2 images pack in -O tars -q")
    assert texts_of(sh / "tars") == {"7": ["a"], "b": ["b"]}
    put(sh, {"in/b.json": {"text": "x", "id": "7"}})
    sh.fails("mc2 images pack in -O new", 3, "a.jpg and b.jpg have one id, 7. Give every image an `id` of its own")
    put(sh, {"c.jsonl": '{"image": "in/a.jpg", "text": "a", "id": 1}\n{"image": "in/a.jpg", "text": "b", "id": 2}\n'})
    sh.fails("mc2 images pack c.jsonl -O new", 3, "c.jsonl:2: in/a.jpg has several ids, 1 and 2")


@pytest.mark.parametrize("files, arguments, status, message", [
    ({"in/a.jpg": b"A"}, "in", 3, "in: holds 1 images and no caption for any of them. A caption is in a file beside its "
     "image"),
    ({"in/a.md": b"A"}, "in", 3, "in: holds no images."),
    ({"in/c.csv": "file_name,text\nx/a.jpg,a\n"}, "in/c.csv", 3, "none of its 1 captions has an image: there is no "
     "x/a.jpg there. Name the folder that the paths begin in: --images FOLDER."),
    ({"in/c.csv": "url,caption\nx,a\n"}, "in/c.csv", 3, "in/c.csv: has no column with the paths of images. It has url, caption; "
     "name the one with the paths of images: --image COLUMN."),
    ({"in/c.csv": "file_name,Text\nx,a\n"}, "in/c.csv --text words", 3, "has no column words. It has file_name, Text; "
     "name the one with the captions: --text COLUMN."),
    ({"in/c.csv": "file_name,text\nx,a,b\n"}, "in/c.csv", 3, "in/c.csv:2: 3 cells, but the header has 2."),
    ({"in/c.csv": 'file_name,text\nx,"a\n'}, "in/c.csv", 3, "in/c.csv:2: a quote is not closed."),
    ({"in/c.csv": b"file_name,text\nx,\xff\n"}, "in/c.csv", 3, "in/c.csv:2: not UTF-8. The byte at column 3"),
    ({"in/c.jsonl": '{"image": "a", "text": "b"}\n{'}, "in/c.jsonl", 3, "in/c.jsonl:2: not JSON"),
    ({"in/c.jsonl": '{"image": "a", "text": 7}'}, "in/c.jsonl", 3, "in/c.jsonl:1: 7 is not a caption"),
    ({"in/c.json": "[1]"}, "in/c.json", 3, "item 1 of its list is not an object"),
    ({"in/c.json": {"images": [{"id": 1}], "annotations": []}}, "in/c.json", 3, "is no file of captions in COCO's form "
     "(KeyError: 'file_name')"),
    ({"in/a.jpg": b"A", "in/a.txt": b"\xff"}, "in", 3, "in/a.txt: is not UTF-8"),
    ({"in/c.xlsx": b""}, "in/c.xlsx", 2, "neither a folder of images nor a file of captions"),
    ({"in/a.jpg": b"A"}, "in --images in", 2, "--images goes with a file of captions."),
])
def test_what_cannot_be_packed_says_why_and_leaves_nothing(sh, files, arguments, status, message):
    put(sh, files)
    sh.fails(f"mc2 images pack {arguments} -O tars", status, message)


def test_tars_of_something_else_are_not_replaced(sh):
    put(sh, {"in/a.jpg": b"A", "in/a.txt": "a", "more/b.jpg": b"B", "more/b.txt": "b", "mine/00003.tar": b"x"})
    sh.fails("mc2 images pack in -O mine", 2, "mine: this directory is not empty and holds no shards of mc2.")
    sh.ok("mc2 images pack in -O tars -q")
    sh.fails("mc2 images pack more -O tars", 2, "tars/00000.tar: holds images of",
             "in. Name another output directory, or give -f")
    sh.ok("mc2 images pack more -O tars -q -f")
    assert texts_of(sh / "tars") == {"b": ["b"]}


def test_packed_tars_meet_their_pairs_in_a_join(sh):
    put(sh, {"in/x/a.jpg": b"A", "in/x/a.txt": "a", "in/b.jpg": b"B", "in/b.txt": "b"})
    sh.ok("mc2 images pack in -O tars -q")
    sh.write("own.jsonl", {"id": "x/a.jpg", "text": "by path"}, {"id": "./b", "text": "by name"})
    assert "2 out for 2 images ->" in sh("mc2 join own.jsonl --tars tars -O joined").stderr
    assert "2 out for 2 images ->" in sh("mc2 join tars/*.jsonl.zst --tars tars/*.tar -O again").stderr


def test_the_receipt_for_programs_counts_what_is_left_out(sh):
    put(sh, {"in/a.jpg": b"A", "in/a.txt": "a", "in/b.jpg": b"B", "in/c.caption": "c", "in/d.png": b"D", "in/d.caption": "d"})
    sh.ok("mc2 images pack in -O tars -q --receipt r.json")
    assert json.loads((sh / "r.json").read_bytes())["counts"] == {
        "in": 2, "out": 2, "images": 2, "dropped: images without a caption": 1, "dropped: captions without an image": 1}
