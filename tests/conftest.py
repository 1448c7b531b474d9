"""What the tests share: a shell, a toy release, one way of drawing random examples."""
import shutil

import pytest
from hypothesis import settings
from shell import ROOT, Shell, line_of  # noqa: F401

DATA = ROOT.parent / "shared" / "data"          # real data; tests that use it skip where it is absent

settings.register_profile("mc2", deadline=None)         # how long an example takes depends on what else the machine does
settings.load_profile("mc2")


@pytest.fixture
def sh(tmp_path):
    return Shell(tmp_path)


@pytest.fixture(scope="session")
def toy_template(tmp_path_factory):
    sh = Shell(tmp_path_factory.mktemp("toy"))
    sh.write("en.json", '["red", "red circle", "circle", "cat", "a", "U.S."]')
    sh.write("fr.json", '["chat", "un", "chat noir"]')
    sh.ok("mc2 build-metadata import en.json --lang en -o sources -q")
    sh.ok("mc2 build-metadata import fr.json --lang fr -o sources -q")
    sh.ok("mc2 build-metadata merge sources -o toy -q")
    return sh.directory


@pytest.fixture
def toy(sh, toy_template):
    """A Shell whose directory holds the release `toy`: lists of English and French, the numbers for all others."""
    shutil.copytree(toy_template, sh.directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".bin"))
    return sh


def pair(number, text, lang=None, ids=None, **more):
    """A pair, as far as it has come."""
    record = {"id": f"{number:024x}", "text": text, **more}
    if lang is not None:
        record["lang"] = lang
    if ids is not None:
        record["matched_entry_ids"] = ids
    return record
