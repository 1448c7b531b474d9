"""What images are called, and which files a name of tars stands for: one rule each for join, train and eval."""
import pytest

from mc2 import keys, tar_names
from mc2.errors import BadUsage


@pytest.mark.parametrize("key, record, names", [
    ("00000", {}, ("00000",)),
    ("./00000", {}, ("00000",)),
    (".//./00000", {}, ("00000",)),
    ("train.v1/imgs/00000", {}, ("train.v1/imgs/00000", "00000")),
    ("00000", {"id": "a", "uid": "b"}, ("a", "00000")),
    ("./x/00000", {"uid": 7, "id": None}, ("7", "x/00000", "00000")),
    ("00000", {"id": True, "caption": "x"}, ("00000",)),
])
def test_an_image_is_called_by_its_json_then_by_its_key_then_by_the_last_part_of_it(key, record, names):
    assert keys.names(key, record) == names


@pytest.mark.parametrize("image_id, plain", [
    ("00000", "00000"), ("./00000", "00000"), ("cats/1.jpg", "cats/1"), ("./a.JPEG", "a"), ("a.seg.png", "a.seg"),
    ("v1.5", "v1.5"), (".jpg", ".jpg"), ("", "")])
def test_the_plain_form_of_an_id_has_no_dot_before_and_no_suffix_of_an_image(image_id, plain):
    assert keys.plain(image_id) == plain


def test_a_better_name_goes_before_a_lesser_one_and_a_lesser_name_of_several_images_is_none():
    images = [("x/1", "1"), ("1",), ("a/2", "2"), ("b/2", "2"), ("3.jpg",), ("3",), ("4",)]
    assert keys.ids_of_images(images, ["1", "2", "b/2", "3.jpg", "./4", "5"]) == {1: ["1"], 3: ["b/2"], 4: ["3.jpg"], 6: ["./4"]}
    assert keys.owners(images, ["2"])["2"][1:] == (2, 3)
    assert keys.ids_of_images([("a",), ("a",)], ["a"]) == {0: ["a"]}        # an image twice


def test_almost_nothing_meets_where_it_is_under_a_twentieth_of_the_smaller_side():
    assert keys.almost_nothing(0, 1, 1) and keys.almost_nothing(4, 100, 1000)
    assert not keys.almost_nothing(5, 100, 1000) and not keys.almost_nothing(0, 0, 1000)


def test_a_tar_and_its_pairs_have_a_name_in_common():
    suffixes = (".tar", ".tar.gz", ".tgz", ".jsonl", ".jsonl.zst", ".jsonl.xz", ".csv", ".tsv.gz", ".parquet")
    assert {keys.shard(f"x/0.1{suffix}") for suffix in suffixes} == {"0.1"}
    assert keys.shard("s3://b/00000.tar?version=1") == "00000" and keys.shard("a.gz") == "a.gz"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("tars/00000.tar", "tars/00001.tar", "tars/00002.tar", "tars/00000.jsonl", "tars/00001.jsonl.zst",
                 "tars/.x.tar", "odd{1..2}.tar", "empty/x"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "list.txt").write_text("tars/{00001..00000}.tar\n\ntars/00002.tar\n")


@pytest.mark.parametrize("name, found", [
    ("tars/*.tar", "012"), ("tars", "012"), ("tars/", "012"), ("tars/{00000..00002}.tar", "012"),
    ("tars/0000{0..2}.tar", "012"), ("tars/0000{2,0}.tar", "20"), ("{tars,tars}/0000{0,1}.tar", "0101"),
    ("tars/00001.tar::tars/00000.tar", "10"), ("tars/{00000..00001}.tar::tars/*2.tar", "012"), ("@list.txt", "102")])
def test_names_stand_for_tars_as_webdataset_writes_them(here, name, found):
    assert tar_names.expand(name) == [f"tars/0000{number}.tar" for number in found]


def test_a_directory_of_pairs_gives_those_of_one_suffix_and_a_name_that_is_there_is_taken_as_it_is(here):
    assert tar_names.expand("tars", tar_names.PAIRS) == ["tars/00001.jsonl.zst"]
    assert tar_names.expand("odd{1..2}.tar") == ["odd{1..2}.tar"]


def test_urls_are_divided_but_chains_are_not():
    assert tar_names.expand("s3://b/{a..c}.tar::gs://b/{08..10}.tar") == [
        "s3://b/a.tar", "s3://b/b.tar", "s3://b/c.tar", "gs://b/08.tar", "gs://b/09.tar", "gs://b/10.tar"]
    for chain in ("zip://a.tar::s3://b/c.zip", "simplecache::s3://b/a.tar", "simplecache::zip://a.tar::s3://b/c.zip"):
        assert tar_names.expand(chain) == [chain]


@pytest.mark.parametrize("name, message", [
    ("x*.tar", "x*.tar: no such files."),
    ("tars/{00001..00004}.tar", "tars/00003.tar: no such files, nor 1 others of the 4 that tars/{00001..00004}.tar stands for."),
    ("{0..999999999999}.tar", "stands for more than 1,000,000 names"),
    ("{0..9999}{0..9999}.tar", "stands for more than 1,000,000 names"),
    ("pipe:aws s3 cp s3://b/a.tar -", "commands are not run. Name the URL itself"),
    ("empty", "empty: is a directory without a file called *.tar."),
])
def test_what_stands_for_no_tar_says_why(here, name, message):
    with pytest.raises(BadUsage) as error:
        tar_names.expand(name)
    assert message in str(error.value)
