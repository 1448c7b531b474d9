"""The native engine and the portable ones: the same bytes, and what happens where one is missing or stale."""
import os
import random
import subprocess
import sys

import orjson
import pytest

from conftest import DATA, ROOT, pair
from mc2 import engines, files
from mc2.errors import BadUsage
from mc2.metadata import compiled
from mc2.metadata.matching import Matcher, Metadata
from mc2.metadata.release import Release
from mc2.stages.cleaning import STEPS
from mc2.stages.lid import Identifier
from mc2.stages.lid_models import default_model

needs_native = pytest.mark.skipif(engines.native() is None, reason="the native core is not built")

TEXTS = ["a red circle", "U.S., a cat", "un chat noir", "一只黑猫睡在沙发上", "", "ᏣᎳᎩ", "LE CHAT NOIR", "photo.jpg",
         "カメラ", "\x00 nul", "tab\there", "ภาพแมวดำ", "7 - 42!", "x" * 5000]


@needs_native
def test_engines_write_the_same_bytes(toy):
    toy.write("in.jsonl", *(pair(n, text) for n, text in enumerate(TEXTS)))
    assert toy.ok("mc2 lid in.jsonl --engine native") == toy.ok("mc2 lid in.jsonl --engine fasttext")
    toy.ok("mc2 lid in.jsonl -o lid.jsonl")
    assert toy.ok("mc2 match lid.jsonl -m toy --engine native") == \
        toy.ok("mc2 match lid.jsonl -m toy --engine pyahocorasick")


@needs_native
@pytest.mark.skipif(not DATA.exists(), reason="no shared data")
def test_engines_agree_on_real_texts_in_all_languages(sh):
    lines = [(path.stem, line.strip()) for path in sorted((DATA / "udhr").glob("*.txt"))
             for line in path.read_text("utf-8").split("\n")[:25] if line.strip()]
    sh.write("in.jsonl", *({"id": name, "text": text} for name, text in lines))
    assert len(lines) > 5000
    sh.ok("mc2 lid in.jsonl --engine native -o lid.jsonl -q && mc2 lid in.jsonl --engine fasttext -o again.jsonl -q && "
          "cmp again.jsonl lid.jsonl")
    sh.ok(f"mc2 build-metadata wordnet {DATA}/wordnet/*.tab.gz -o sources -q; mc2 build-metadata merge sources -o metadata -q")
    sh.ok("mc2 match lid.jsonl -m metadata --engine native -o matched.jsonl -q && "
          "mc2 match lid.jsonl -m metadata --engine pyahocorasick -o again.jsonl -q && cmp again.jsonl matched.jsonl")


PIECES = [b"", b'"', b"{", b"}", b"[", b",", b":", b" ", b"\r", b"\\u0069", b"\\ud800", b"\xff", b"\xed\xa0\x80", b"1e400",
          b'"id":"x",', b'"lang":"fr",', b'"matched_entry_ids":[1],', b'"deep":' + b"[" * 100 + b"]" * 100 + b",", b"\xc3\xa9"]


def mutated(chance, line):
    """A line, or what a few changes make of it: often no pair any more."""
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3)) if chance.random() < 0.5 else 0):
        start = chance.choice([*range(len(line) + 1), 1, 1, 1])
        line = line[:start] + chance.choice(PIECES) + line[start + chance.choice((0, 0, 1)):]
    return line


def curated(sh, out):
    """{path: bytes} of what a curation of pool/ writes, without manifests."""
    sh.ok(f"mc2 curate pool/* -m toy --t-all 2 --on-error skip --ids ids.txt -o {out} -j 1 -q")
    root = sh / out
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
            and not path.name.endswith("manifest.json") and path.relative_to(root).parts[0] not in (".work", "logs")}


@needs_native
@pytest.mark.parametrize("seed", range(3))
def test_curations_with_and_without_the_native_core_are_the_same_bytes(seed, monkeypatch, toy):
    chance = random.Random(seed)
    texts = [f"{chance.choice(TEXTS[:-1])} {chance.randrange(9)}" for _ in range(600)]
    lines = [orjson.dumps(pair(number // 2, text, url="u")) for number, text in enumerate(texts)]
    for name, part in (("a.jsonl", lines[:200]), ("b.jsonl.zst", lines[200:400]), ("c.jsonl.gz", lines[400:])):
        files.write_bytes(str(toy / f"pool/{name}"), b"\n".join(mutated(chance, line) for line in part))
    rows = [{**pair(number, chance.choice((None, *TEXTS))), "n": chance.choice((None, 1))} for number in range(100)]
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow_table(rows), toy / "pool/d.parquet", row_group_size=30)
    toy.write("ids.txt", *(f"{number:024x}" for number in range(290)))
    native = curated(toy, "native")
    assert native["curated/a.jsonl"] and native["quarantine/a.jsonl.jsonl"]
    monkeypatch.setattr(engines, "native", lambda: None)
    assert curated(toy, "portable") == native


def pyarrow_table(rows):
    import pyarrow
    return pyarrow.Table.from_pylist(rows)


@needs_native
def test_the_native_engine_is_the_default():
    assert engines.choose("match") == engines.choose("lid") == "native"
    assert "engines: match native, pyahocorasick; lid native, fasttext" in subprocess.run(
        [sys.executable, ROOT / "bin/mc2", "--version"], capture_output=True, text=True).stdout


def test_without_the_native_core_the_portable_engines_serve(monkeypatch, toy):
    monkeypatch.setattr(engines, "native", lambda: None)
    assert (engines.choose("match"), engines.choose("lid")) == ("pyahocorasick", "fasttext")
    assert isinstance(Metadata(toy / "toy")["fr"], Matcher)
    toy.write("in.jsonl", pair(1, "a red circle"))
    told = toy("mc2 lid in.jsonl -o lid.jsonl").stderr
    assert told.startswith("mc2: the native core is not built") and told.count("\n") == 2
    assert toy("mc2 lid in.jsonl -o lid.jsonl -q").stderr == ""
    with pytest.raises(BadUsage, match="the native core is not built here"):
        engines.choose("lid", "native")


def test_the_portable_engines_import_nothing_native(toy):
    """As on a machine without a compiler: the commands run, and --version says what is missing."""
    toy.write("in.jsonl", pair(1, "un chat noir", "fr"))
    code = ("import sys; sys.modules['mc2._native'] = None; from mc2.cli import run; "
            "sys.exit(run(['--version']) or run(['lid', 'in.jsonl']) or run(['match', 'in.jsonl', '-m', 'toy']))")
    done = subprocess.run([sys.executable, "-c", code], cwd=toy.directory, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0 and "(the native core is not built)" in done.stdout
    assert '"matched_entry_ids":[0,1,2]' in done.stdout


# ---------------------------------------------------------------- compiled matchers

def ids(matcher, text):
    return matcher.match([text])[1].tolist()


@needs_native
def test_merge_compiles_every_language(toy):
    assert {path.stem for path in (toy / "toy").glob("*.matcher")} == set(Release(toy / "toy").langs)


@needs_native
def test_compiled_matchers_are_outside_the_fingerprint(toy):
    before = Release(toy / "toy").fingerprint
    toy.ok("rm toy/*.matcher")
    assert Release(toy / "toy").fingerprint == before
    assert "176 of 176 languages compiled" in toy("mc2 build-metadata compile toy").stderr
    assert "0 of 176 languages compiled" in toy("mc2 build-metadata compile toy").stderr


@needs_native
@pytest.mark.parametrize("damage", ["rm toy/fr.matcher", "cp toy/en.matcher toy/fr.matcher", ": > toy/fr.matcher",
                                    "truncate -s -1 toy/fr.matcher", "echo x > toy/fr.matcher"])
def test_a_missing_or_foreign_matcher_is_made_again(toy, damage):
    toy.ok(damage)
    assert ids(Metadata(toy / "toy")["fr"], "un chat noir") == [0, 1, 2]
    assert compiled.compile_release(Release(toy / "toy")) == 0             # it is there again


@needs_native
def test_compile_finds_damage_inside(toy):
    path = toy / "toy/fr.matcher"
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes(data[:half] + bytes(255 - byte for byte in data[half:]))
    assert "1 of 176 languages compiled" in toy("mc2 build-metadata compile toy").stderr


@needs_native
def test_match_mends_a_matcher_that_is_damaged_inside(toy):
    path = toy / "toy/fr.matcher"
    sound = path.read_bytes()
    half = len(sound) // 2
    path.write_bytes(sound[:half] + bytes(255 - byte for byte in sound[half:]))
    toy.write("in.jsonl", pair(1, "un chat noir", "fr"))
    assert '"matched_entry_ids":[0,1,2]' in toy.ok("mc2 match in.jsonl -m toy")
    assert path.read_bytes() == sound


@needs_native
def test_where_the_metadata_cannot_be_written_the_users_cache_serves(toy, monkeypatch):
    toy.ok("rm toy/fr.matcher")
    compile_matcher = compiled.compile_matcher

    def read_only(entries, key, path, spacing):
        if path.startswith(str(toy / "toy")):
            raise PermissionError(13, "Permission denied", path)
        compile_matcher(entries, key, path, spacing)

    monkeypatch.setattr(compiled, "compile_matcher", read_only)
    monkeypatch.setenv("XDG_CACHE_HOME", str(toy / "cache"))
    assert ids(Metadata(toy / "toy")["fr"], "un chat noir") == [0, 1, 2]
    made, = (toy / "cache/mc2/matchers").iterdir()
    before = made.stat().st_mtime_ns
    assert ids(Metadata(toy / "toy")["fr"], "un chat") == [0, 1]
    assert made.stat().st_mtime_ns == before and not (toy / "toy/fr.matcher").exists()


@needs_native
def test_entries_that_were_edited_are_refused_though_they_are_compiled(toy):
    toy.ok("sed -i s/chat/chien/ toy/fr.tsv")
    toy.write("in.jsonl", pair(1, "un chat", "fr"))
    assert toy("mc2 match in.jsonl -m toy").status == 3


@needs_native
def test_no_evidence_is_the_same_for_both_engines(sh):
    sh.write("in.jsonl", *(pair(n, text) for n, text in enumerate(TEXTS)))
    outputs = [sh.ok(f"mc2 lid in.jsonl --engine {engine} --no-evidence other") for engine in ("native", "fasttext")]
    assert outputs[0] == outputs[1] and outputs[0].count('"lang":"other"') >= 3


@needs_native
def test_a_cut_off_model_is_refused(sh):
    data = open(default_model(), "rb").read()
    (sh / "model.ftz").write_bytes(data[:len(data) // 2])
    sh.write("in.jsonl", pair(1, "a"))
    done = sh("mc2 lid in.jsonl --model model.ftz")
    assert done.status == 3 and done.stderr.startswith("mc2 lid: model.ftz: ")
    assert len(done.stderr.splitlines()) == 1


def test_an_identifier_names_its_engine():
    from mc2.metadata import languages
    stage = Identifier(default_model(), languages.of_scheme("lid176"), STEPS, engine="fasttext")
    assert stage.options["engine"] == "fasttext"
