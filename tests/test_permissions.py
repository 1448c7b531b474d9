"""Without permissions: directories of other users, no home directory, everything read-only.

The tests run as any user. Root may pass over permissions; where they run as root, mc2 runs without that right.
"""
import ctypes
import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, filled, pair

from mc2 import engines, files

PASS_OVER = (1, 2, 3)               # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
DROP = 24                           # PR_CAPBSET_DROP
libc = ctypes.CDLL(None)
needs_native = pytest.mark.skipif(not engines.native(), reason="the native core is not built")


def like_others():
    """In a child of root: give up the rights to pass over permissions."""
    for right in PASS_OVER:
        libc.prctl(DROP, right, 0, 0, 0)


def may_be_restricted():
    if os.geteuid():
        return True
    done = subprocess.run(["test", "-w", "/proc/version"], preexec_fn=like_others)      # nobody may, but root
    return done.returncode != 0


pytestmark = pytest.mark.skipif(not may_be_restricted(), reason="root without the right to give up rights")


def mc2(sh, command, without=(), cwd=None, before="", **environment):
    """Run a command line of mc2 as a user without special rights. without: variables that are not set"""
    environment = {key: value for key, value in {**sh.environment, **environment}.items() if key not in without}
    done = subprocess.run(["bash", "-c", f'{before} exec "{sys.executable}" "{ROOT}/bin/mc2" {command}'],
                          cwd=cwd or sh.directory, env=environment, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          preexec_fn=None if os.geteuid() else like_others)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def locked(sh, toy_template):
    """A Shell with a release that holds no compiled matchers and is read-only, pairs, and read-only folders."""
    filled(sh, toy_template)
    for path in (sh / "toy").glob("*.matcher"):
        path.unlink()
    sh.write("in.jsonl", pair(1, "a red circle", "en"), pair(2, "un chat noir", "fr"))
    (sh / "ro").mkdir()
    shutil.copy(sh / "in.jsonl", sh / "ro/in.jsonl")
    (sh / "home").mkdir()
    for name in "ro", "home", "toy":
        (sh / name).chmod(0o555)
    yield sh
    for name in "ro", "home", "toy":
        (sh / name).chmod(0o755)


@pytest.mark.parametrize("command", [
    "lid in.jsonl -o ro/out.jsonl", "lid in.jsonl -o ro/out.parquet", "lid in.jsonl -o ro/a/b/out.jsonl",
    "lid in.jsonl -O ro/out", "lid in.jsonl -O ro/out -j 2", "lid in.jsonl -o out.jsonl --rejects ro/rejects",
    "curate in.jsonl -m toy --t-all 2 -o ro/out",
    "build-metadata merge sources -o ro/out", "build-metadata import en.json --lang en -o ro/out",
    "lid in.jsonl -o out.jsonl -j 2 --dropped ro/dropped"])
def test_an_output_in_a_folder_that_is_not_ours_names_the_folder(locked, command):
    if "parquet" in command:
        pytest.importorskip("pyarrow")
    before = locked.files()
    done = mc2(locked, command)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert f"Permission denied. This user cannot write to {locked / 'ro'}: name another place." in done.stderr
    assert ".tmp" not in done.stderr and {name for name in locked.files() if name.startswith("ro/")} <= before.keys()


@pytest.mark.parametrize("output", ["-o kept.jsonl", "-o kept.parquet", "-O kept"])
def test_an_output_that_was_made_read_only_stays(locked, output):
    pytest.importorskip("pyarrow")
    name = output.split()[1] + "/in.jsonl" * output.startswith("-O")
    assert mc2(locked, f"lid in.jsonl {output}").returncode == 0
    before = (locked / name).read_bytes()
    (locked / name).chmod(0o444)
    done = mc2(locked, f"lid in.jsonl {output} --min-prob 0.99")
    assert done.returncode == 1
    assert "It is there and may not be written: remove it, or name another output." in done.stderr
    assert (locked / name).read_bytes() == before and (locked / f"{name}.manifest.json").exists()


def test_a_directory_that_was_made_read_only_stays(locked):
    done = mc2(locked, "build-metadata merge sources -o toy -q")
    assert done.returncode == 1 and "toy: Permission denied. It is there and may not be written" in done.stderr
    assert not (locked / ".toy.tmp").exists()


def test_an_input_that_may_not_be_read_is_named_with_the_reason(locked):
    shutil.copy(locked / "in.jsonl", locked / "secret.jsonl")
    (locked / "secret.jsonl").chmod(0)
    done = mc2(locked, "lid secret.jsonl -o out.jsonl")
    assert done.returncode == 1
    assert done.stderr == "mc2 lid: secret.jsonl: Permission denied. This user cannot read it.\n"
    done = mc2(locked, "lid secret.jsonl in.jsonl -O out")
    assert done.returncode == 1 and "  secret.jsonl: secret.jsonl: Permission denied.\n" in done.stderr
    (locked / "folder").mkdir()
    shutil.copy(locked / "in.jsonl", locked / "folder/in.jsonl")
    (locked / "folder").chmod(0)
    done = mc2(locked, "lid folder/in.jsonl -o out.jsonl")
    assert done.returncode == 2
    assert "folder/in.jsonl: Permission denied; this user cannot look into its folder." in done.stderr
    (locked / "folder").chmod(0o755)


# ---------------------------------------------------------------- the home directory

@needs_native
@pytest.mark.parametrize("output", ["-o out.jsonl", "-o out.jsonl -j 2", "-O out -j 2"])
def test_a_release_without_matchers_and_no_place_for_them_is_matched_in_memory(locked, output):
    done = mc2(locked, f"match in.jsonl -m toy {output}", without=["XDG_CACHE_HOME"], HOME=str(locked / "home"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("toy: has no compiled matchers, and nowhere to write them") == 1
    assert "'mc2 build-metadata compile toy'" in done.stderr
    done = mc2(locked, f"match in.jsonl -m toy {output} -f --engine pyahocorasick", HOME=str(locked / "home"))
    assert done.returncode == 0 and "compiled" not in done.stderr, done.stderr
    done = mc2(locked, f"match in.jsonl -m toy {output}", HOME=str(locked / "home"),
               XDG_CACHE_HOME=str(locked / "cache"))
    assert done.returncode == 0 and len(list((locked / "cache/mc2/matchers").iterdir())) == 2


def test_the_cache_of_a_user_is_where_the_environment_says(monkeypatch):
    def cache(**environment):
        for name in "HOME", "XDG_CACHE_HOME":
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return files.user_cache("matchers")

    assert cache(XDG_CACHE_HOME="/x", HOME="/h") == "/x/mc2/matchers"
    for more in {}, {"XDG_CACHE_HOME": ""}, {"XDG_CACHE_HOME": "relative"}:
        assert cache(HOME="/h", **more) == "/h/.cache/mc2/matchers"
    assert cache() == cache(HOME="") != "/.cache/mc2/matchers"             # by the list of users
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)                # who is not in it
    assert cache() is None and cache(HOME="relative") is None and cache(HOME="/h") == "/h/.cache/mc2/matchers"


def test_everything_may_be_read_only_where_nothing_is_written(locked):
    for command in ("lid in.jsonl", "lid in.jsonl -j 2", "match in.jsonl -m ../toy --engine pyahocorasick",
                    "inspect in.jsonl", "inspect ../toy", "lid in.jsonl -n"):
        done = mc2(locked, command, cwd=locked / "ro", HOME=str(locked / "home"), TMPDIR=str(locked / "ro"))
        assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- umask, stdin, TMPDIR

@pytest.mark.parametrize("mask, mode", [("022", 0o644), ("027", 0o640), ("077", 0o600), ("000", 0o666)])
def test_outputs_have_the_permissions_that_umask_says(locked, mask, mode):
    assert mc2(locked, "lid in.jsonl -O out -q", before=f"umask {mask};").returncode == 0
    assert mc2(locked, "lid in.jsonl -o out.jsonl.zst -q", before=f"umask {mask};").returncode == 0
    for name in "out/in.jsonl", "out/in.jsonl.manifest.json", "out.jsonl.zst", "out/.work/progress.json":
        assert (locked / name).stat().st_mode & 0o777 == mode


def test_a_stdin_that_the_caller_closed_is_said(locked):
    done = mc2(locked, "lid -o out.jsonl <&-")
    assert done.returncode == 1
    assert done.stderr == "mc2 lid: <stdin>: Bad file descriptor. The caller closed it: name a file.\n"
    for command in "lid in.jsonl -o out.jsonl", "lid in.jsonl -O out -j 2":
        assert mc2(locked, f"{command} <&-").returncode == 0


def test_a_place_for_temporary_files_that_is_not_there_does_not_matter(locked):
    pytest.importorskip("pyarrow")
    for command in ("lid in.jsonl -o out.parquet", "lid in.jsonl -O out -j 2",
                    "curate in.jsonl -m toy --t-all 2 -o job -j 2 --match-engine pyahocorasick"):
        for place in "nowhere", "ro":
            assert mc2(locked, command, TMPDIR=str(locked / place)).returncode == 0
