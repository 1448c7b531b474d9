"""A release as one file, and what is odd about its entries."""
import io
import shutil
import tarfile
from collections import Counter

import orjson
import pytest
import zstandard

from conftest import DATA
from mc2 import documents, engines
from mc2.errors import BadData, BadUsage
from mc2.metadata import packing, quality, release
from mc2.metadata.merge import NUMBERS, Row
from mc2.metadata.release import Release


def tree(directory, but=()):
    """{name: bytes} of the files in a directory."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.suffix not in but}


# ---------------------------------------------------------------- packing

def test_a_release_that_was_packed_and_unpacked_is_the_same(toy):
    toy.ok("mc2 build-metadata pack toy -o out/toy.tar.zst && mc2 build-metadata unpack out/toy.tar.zst -o there")
    here, there = Release(toy / "toy"), Release(toy / "there")
    assert there.fingerprint == here.fingerprint
    assert there.entries("en") == ["red", "red circle", "circle", "cat", "a", "U.S."]
    assert tree(toy / "there", but=[".json"]) == tree(toy / "toy", but=[".json"])     # compiled matchers too
    toy.write("pairs.jsonl", '{"id":"1","text":"a red circle","lang":"en"}')
    assert toy.ok("mc2 match pairs.jsonl -m there -q") == toy.ok("mc2 match pairs.jsonl -m toy -q")
    assert sorted(path.name for path in (toy / "out").iterdir()) == ["toy.tar.zst", "toy.tar.zst.manifest.json"]


def test_the_same_release_packs_to_the_same_bytes(toy):
    toy.ok("mv sources elsewhere; touch elsewhere/*; mc2 build-metadata merge elsewhere -o again -j 2 -q")
    toy.ok("mc2 build-metadata pack toy -o one.tar.zst -q; mc2 build-metadata pack again > two.tar.zst")
    toy.ok("mc2 build-metadata unpack - -o there < one.tar.zst && mc2 build-metadata pack there -o three.tar.zst")
    one, two, three = ((toy / f"{name}.tar.zst").read_bytes() for name in ("one", "two", "three"))
    assert one == two == three


def test_what_is_in_the_archive(toy, packed):
    with tarfile.open(fileobj=io.BytesIO(zstandard.ZstdDecompressor().decompressobj().decompress(packed))) as archive:
        members = archive.getmembers()
    manifest = Release(toy / "toy").manifest
    directory = f"mc2-metadata-{manifest['fingerprint'][:12]}"
    assert [member.name for member in members] == \
        [f"{directory}/{name}" for name in ["manifest.json", *sorted(manifest["sha256"])]]
    assert {(member.mode, member.mtime, member.uid, member.gid, member.uname, member.gname) for member in members} == \
        {(0o644, 0, 0, 0, "", "")}
    kept = packing.packed_manifest(manifest)
    assert manifest.keys() - kept.keys() == {"command", "seconds", "paths"}
    assert kept["inputs"] == [{"name": "en.list.tsv", "bytes": 45}, {"name": "fr.list.tsv", "bytes": 24}]


def test_other_tools_take_it_apart_too(toy, packed):
    with tarfile.open(fileobj=io.BytesIO(zstandard.ZstdDecompressor().decompressobj().decompress(packed))) as archive:
        archive.extractall(toy / "by-hand")
    directory, = (toy / "by-hand").iterdir()
    assert Release(directory).fingerprint == Release(toy / "toy").fingerprint


@pytest.fixture(scope="session")
def packed_once(toy_template, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "toy.tar.zst"
    packing.pack(Release(toy_template / "toy"), str(path))
    return path.read_bytes()


@pytest.fixture
def packed(toy, packed_once):
    """The bytes of the packed release `toy`, also as toy.tar.zst."""
    (toy / "toy.tar.zst").write_bytes(packed_once)
    return packed_once


def refused(toy, data):
    """The message with which an archive is refused. Nothing of it may be there afterwards."""
    (toy / "bad.tar.zst").write_bytes(data)
    before = sorted(path.name for path in toy.directory.iterdir())
    with pytest.raises(BadData) as error:
        packing.unpack(str(toy / "bad.tar.zst"), str(toy / "out"))
    assert sorted(path.name for path in toy.directory.iterdir()) == before
    return str(error.value)


def test_a_cut_off_archive_is_refused_wherever_it_was_cut(toy, packed):
    for length in [0, 1, 3, 4, 5, 17, *range(100, len(packed), len(packed) // 40), len(packed) - 5, len(packed) - 1]:
        assert "the compressed data is cut off within" in refused(toy, packed[:length])
    content = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    for length in 0, 511, 512, 20_000, len(content) - 1024:         # cut off before it was compressed
        assert "bad.tar.zst: cut off within" in refused(toy, zstandard.compress(content[:length]))


def test_a_damaged_archive_is_refused_wherever_the_damage_is(toy, packed):
    for position in range(0, len(packed), len(packed) // 60):
        damaged = bytearray(packed)
        damaged[position] ^= 0x55
        assert refused(toy, bytes(damaged))


def test_the_command_says_where_and_ends_with_3(toy, packed):
    done = toy("head -c 5000 toy.tar.zst | mc2 build-metadata unpack - -o out")
    assert done.status == 3 and done.stdout == ""
    assert done.stderr.startswith("mc2 build-metadata unpack: <stdin>: the compressed data is cut off within mc2-meta")
    assert not (toy / "out").exists()
    done = toy("mc2 build-metadata unpack toy.tar.zst -o sources")
    assert done.status == 2 and "this directory is not empty and holds no metadata" in done.stderr
    assert toy("mc2 build-metadata pack sources -o x.tar.zst").status == 3
    assert toy("mc2 build-metadata pack toy -o x.tgz").status == 2


def test_a_full_disk_leaves_nothing(toy, packed):
    done = toy("ulimit -f 8; mc2 build-metadata unpack toy.tar.zst -o out; echo $? > status")
    assert (toy / "status").read_text() != "0\n" and not (toy / "out").exists() and not (toy / ".out.tmp").exists()
    assert "out" in done.stderr


def members_of(packed):
    """[[name, type, bytes]] of an archive."""
    content = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return [[member.name, tarfile.REGTYPE, archive.extractfile(member).read()] for member in archive]


def archive_of(members, tail=bytes(1024), **more):
    """An archive of [name, type, bytes]."""
    out = io.BytesIO()
    for name, kind, data in members:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.mode = kind, len(data), 0o644
        info.linkname = more.get("linkname", "")
        out.write(info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512))
    return zstandard.compress(out.getvalue() + tail)


def with_manifest(members, **changes):
    """The members with a manifest that was changed, its fingerprint and the directory fitting."""
    manifest = orjson.loads(members[0][2])
    old = packing._directory(manifest)
    manifest.update(changes)
    manifest["fingerprint"] = release.fingerprint(manifest)
    del manifest[documents.CHECKSUM]
    members[0][2] = documents.dumped(manifest)
    return [[name.replace(old, packing._directory(manifest)), kind, data] for name, kind, data in members]


def test_only_what_the_manifest_names_is_taken(toy, packed):
    def members():
        return members_of(packed)

    directory = members()[0][0].split("/")[0]
    assert packing.unpack(str(toy / "toy.tar.zst"), str(toy / "fine"))      # and as the tests put it together:
    (toy / "same.tar.zst").write_bytes(archive_of(members()))
    assert packing.unpack(str(toy / "same.tar.zst"), str(toy / "fine"))

    for name in "/etc/passwd", f"{directory}/../../x", "../x", f"{directory}/extra.tsv", "en.tsv", f"{directory}/":
        assert "comes after the last file" in refused(toy, archive_of([*members(), [name, tarfile.REGTYPE, b"x"]]))
        hostile = members()
        hostile[5][0] = name
        assert "should come next, but" in refused(toy, archive_of(hostile))
    for kind in tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.XHDTYPE, \
            tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_SPARSE:
        hostile = members()
        hostile[5][1:] = kind, b""
        assert "is not a regular file" in refused(toy, archive_of(hostile, linkname="/etc/passwd"))

    twice = members()
    twice.insert(5, twice[5])
    assert "should come next, but" in refused(toy, archive_of(twice))
    assert "should come next, but the end does" in refused(toy, archive_of(members()[:-1]))
    assert "should come next" in refused(toy, archive_of([members()[0], *members()[:0:-1]]))
    assert "not with manifest.json" in refused(toy, archive_of(members()[1:]))
    assert "there is nothing in it" in refused(toy, archive_of([]))
    assert "something comes after the end" in refused(toy, archive_of(members(), tail=bytes(1024) + b"more"))
    changed = members()
    changed[7][2] = changed[7][2][:-1] + b"x"
    assert f"{changed[7][0]} is not what its checksum says" in refused(toy, archive_of(changed))


def test_a_manifest_cannot_name_files_elsewhere(toy, packed):
    members = members_of(packed)
    manifest = orjson.loads(members[0][2])
    for lang in "../../x", "/tmp/x", "a/b", ".hidden", "":
        languages = {**manifest["languages"], lang: manifest["languages"]["en"]}
        sha256 = {**manifest["sha256"], f"{lang}.tsv": manifest["sha256"]["en.tsv"]}
        hostile = with_manifest(members_of(packed), languages=languages, sha256=sha256)
        assert f"{lang}.tsv' is no name for a file of a release" in refused(toy, archive_of(hostile))
    for changes in {"kind": "counts"}, {"sha256": {}}, {"languages": {}}, {"languages": 7}:
        assert "is not that of a release" in refused(toy, archive_of(with_manifest(members_of(packed), **changes)))
    members[0][2] = b'["no manifest"]'
    assert "is not that of a release" in refused(toy, archive_of(members))


def test_unpacking_replaces_a_release_but_nothing_else(toy, packed):
    shutil.copytree(toy / "toy", toy / "older")
    (toy / "older/en.tsv").write_text("damaged")
    packing.unpack(str(toy / "toy.tar.zst"), str(toy / "older"))
    assert Release(toy / "older").entries("en")[0] == "red"
    (toy / "foreign").mkdir()
    (toy / "foreign/thesis.txt").write_text("years of work")
    with pytest.raises(BadUsage):
        packing.unpack(str(toy / "toy.tar.zst"), str(toy / "foreign"))
    assert (toy / "foreign/thesis.txt").exists()


def test_a_changed_release_is_not_packed(toy):
    (toy / "toy/fr.tsv").write_text("chat\tlist\t1\n")
    done = toy("mc2 build-metadata pack toy -o toy.tar.zst")
    assert done.status == 3 and "toy/fr.tsv: was changed since the release was made" in done.stderr
    assert not (toy / "toy.tar.zst").exists()


def test_unpacked_matchers_are_compiled_where_the_core_is_built(toy, packed):
    toy.ok("mc2 build-metadata unpack toy.tar.zst -o there -j 2 -q")
    assert len(list((toy / "there").glob("*.matcher"))) == (176 if engines.native() else 0)


def test_a_packed_release_can_be_inspected(toy, packed):
    shown, there = toy.ok("mc2 inspect toy.tar.zst").splitlines(), toy.ok("mc2 inspect toy").splitlines()
    assert shown[:4] == there[:4] and "unpack" in shown[-1]


# ---------------------------------------------------------------- quality

@pytest.mark.parametrize("text, scripts", [
    ("aÉßǅ", {"LATIN"}), ("Ａ", {"LATIN"}), ("яЖ", {"CYRILLIC"}), ("猫豈", {"HAN"}), ("ねゐ", {"HIRAGANA"}),
    ("ネｶ", {"KATAKANA"}), ("한ᄀ", {"HANGUL"}), ("กຂ", {"THAI", "LAO"}), ("ⴰ", {"TIFINAGH"}), ("ᦀ", {"NEW TAI"}),
    ("ᥐ", {"TAI LE"}), ("𐌀", {"OLD ITALIC"}), ("ꓐ", {"LISU"}), ("ᏗᏓ", {"CHEROKEE"}), ("ᐁ", {"CANADIAN"}),
    ("7 -!ー々ªµ𝐀ℵ〆\u212a\u0301", {None}),
])
def test_the_script_of_a_letter(text, scripts):
    assert {quality.script(char) for char in text} == scripts


def report(lang, *entries, repeats=(), spacing="published"):
    rows = [*NUMBERS, *(Row(entry, "title", "1") for entry in entries)]
    return quality.report(lang, rows, quality.never(rows, spacing), Counter(dict(repeats)))


def test_entries_that_no_text_can_hold_by_reason():
    cannot = report("en", "U.S.", "St. Louis", "i.e.", "cat")["cannot_match"]
    assert (cannot["entries"], cannot["share"], cannot["sources"]) == (3, 0.028846, {"title": 3})
    assert cannot["reasons"] == {"mark within a word (U.S.)": {"entries": 2, "examples": ["U.S.", "i.e."]},
                                 "mark at the end of a word (St. Louis)": {"entries": 1, "examples": ["St. Louis"]}}
    assert report("en", "U.S.", "St. Louis", spacing="wide")["cannot_match"] == {
        "entries": 0, "share": 0.0, "sources": {}, "reasons": {}}


def test_numbers_lengths_and_scripts():
    row = report("en", "1984", "1,000–2,000", "٣٤", "7 up", "½", "x" * 200, "cat", "кот", "The Ω", "κ", "Ωκα")
    assert row["pure_numbers"] == {"entries": 3, "examples": ["1984", "1,000–2,000", "٣٤"]}
    assert row["longest"][0] == {"characters": 200, "entry": "x" * 79 + "…"}
    assert row["scripts"] == {"LATIN": 0.963}
    assert row["foreign_scripts"] == {"GREEK": {"entries": 3, "examples": ["The Ω", "κ", "Ωκα"]},
                                      "CYRILLIC": {"entries": 1, "examples": ["кот"]}}


def test_a_script_with_a_twentieth_of_the_letters_is_a_languages_own():
    assert report("sr", "мачка" * 3, "macka")["foreign_scripts"] == {}
    assert report("sr", "мачка" * 4 + "a")["scripts"] == {"CYRILLIC": 0.9524}
    assert report("other", "мачка" * 40 + "a")["foreign_scripts"] == {}         # a mixture of languages
    assert report("en")["scripts"] == {} and report("en", "$5", "7")["foreign_scripts"] == {}


def test_repeats_between_sources_and_wikipedias(sh):
    (sh / "sources").mkdir()
    for name, rows in {"zh.wordnet": "猫\t0\n狗\t0\n7\t0\n", "zh.unigram": "猫\t9\n鳥\t8\n",
                       "zh.title": "鳥\t5\n狗\t4\n魚\t3\n", "gan.title": "魚\t7\n牛\t6\n猫\t5\n"}.items():
        (sh / f"sources/{name}.tsv").write_text(rows, "utf-8")
    sh.ok("mc2 build-metadata merge sources -o metadata --unigram-share 1 --title-share 1 -q")
    manifest = Release(sh / "metadata").manifest
    assert list(manifest["quality"]) == ["zh"]              # the others hold the numbers only
    assert manifest["quality"]["zh"]["repeats"] == {
        "gan.title": {"zh.title": 1, "zh.wordnet": 1}, "zh.title": {"zh.unigram": 1, "zh.wordnet": 1},
        "zh.unigram": {"zh.wordnet": 1}, "zh.wordnet": {"number": 1}}
    del manifest["quality"]
    assert release.fingerprint(manifest) == manifest["fingerprint"]
    text = sh.ok("mc2 inspect metadata")
    assert "  gan.title had entries that were there already: 1 in zh.title, 1 in zh.wordnet" in text
    assert "zh           105             0  0.00 %                 6             0                0      han" in text


@pytest.mark.skipif(not DATA.exists(), reason="no shared data")
def test_the_quality_of_real_wordnets(sh):
    sh.ok(f"mc2 build-metadata wordnet {DATA}/wordnet/wn-data-{{cmn,heb,ell}}.tab.gz -o sources -q")
    sh.ok("mc2 build-metadata merge sources -o metadata -q")
    chinese, hebrew, greek = (Release(sh / "metadata").manifest["quality"][lang] for lang in ("zh", "he", "el"))
    assert hebrew["cannot_match"]["entries"] == 0 and chinese["cannot_match"]["share"] < 0.001
    assert hebrew["vowel_points"]["entries"] > 4800 and "vowel_points" not in chinese
    assert chinese["scripts"] == {"HAN": 0.9993} and {"LATIN", "GREEK"} <= chinese["foreign_scripts"].keys()
    assert "GREEK" in greek["scripts"]
    assert len((sh / "metadata/manifest.json").read_bytes()) < 70_000
