"""What somebody else planted, wrote or named does no harm: no file of the user is touched, and no code runs.

Each attack is refused with a message that says what to do, or comes to nothing.
"""
import os
import stat

import pytest

from mc2 import files, own, temporaries
from mc2.errors import BadData

PAIR = {"id": "1", "text": "a cat"}


@pytest.fixture
def home(sh):
    """A directory beside the outputs, with files that nobody must touch. A function that tells whether they are there."""
    os.makedirs(sh / "home/deep")
    (sh / "home/precious").write_text("precious")
    (sh / "home/deep/precious").write_text("precious")
    before = sh.files()
    names = {"home/precious", "home/deep/precious"}

    def is_untouched():
        now = sh.files()
        return {name: now.get(name) for name in names} == {name: before[name] for name in names} \
            and set(os.listdir(sh / "home")) == {"deep", "precious"} and os.listdir(sh / "home/deep") == ["precious"]
    return is_untouched


# ---------------------------------------------------------------- planted under the name of a temporary

PLANTS = {"is a link": lambda path: os.symlink("home/precious", path),
          "is a named pipe": os.mkfifo,
          "is the same file as another one": lambda path: os.link(path.parent / "home/precious", path),
          "is a directory": os.mkdir}


@pytest.mark.parametrize("what", PLANTS)
def test_a_planted_temporary_file_is_refused(sh, home, what):
    sh.write("a.jsonl", PAIR)
    PLANTS[what](sh / ".b.jsonl.tmp")
    sh.fails("mc2 lid a.jsonl --single en -o b.jsonl", 3, f".b.jsonl.tmp: {what}", "Nothing was touched", "remove it")
    assert home()


def test_a_planted_temporary_directory_is_refused(toy, home):
    sh = toy
    sh.ok("mc2 build-metadata pack toy -o release.tar.zst -q")
    os.symlink("home", sh / ".u.tmp")
    sh.fails("mc2 build-metadata unpack release.tar.zst -o u", 3, ".u.tmp: is a link", "Nothing was touched")
    assert home() and os.path.islink(sh / ".u.tmp")


def test_a_temporary_of_another_user_is_refused(tmp_path, monkeypatch):
    (tmp_path / ".a.tmp").write_text("theirs")
    (tmp_path / ".b.tmp").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(BadData, match="belongs to another user"), files.open_write(tmp_path / "a"):
        pass
    with pytest.raises(BadData, match="belongs to another user"), files.open_directory(tmp_path / "b"):
        pass
    assert (tmp_path / ".a.tmp").read_text() == "theirs" and (tmp_path / ".b.tmp").is_dir()


@pytest.mark.parametrize("what", PLANTS)
def test_what_is_planted_is_not_taken_for_what_a_killed_run_left(sh, home, what):
    PLANTS[what](sh / ".a.tmp")
    temporaries.discard_abandoned(sh / "a")
    assert home() and os.path.lexists(sh / ".a.tmp")
