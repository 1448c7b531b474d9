"""What the tests share: running mc2 for real, and a toy release."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"          # real data; tests that use it skip where it is absent


class Shell:
    """Runs commands in a directory of its own, with `mc2` on the PATH."""

    def __init__(self, directory):
        self.directory = directory
        shims = directory / ".bin"
        shims.mkdir()
        (shims / "mc2").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/bin/mc2" "$@"\n')
        (shims / "mc2").chmod(0o755)
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("MC2_")}
        self.environment.update(PATH=f"{shims}:{os.environ['PATH']}", PYTHONDONTWRITEBYTECODE="1")

    def __call__(self, command, stdin=b"", **environment):
        """Run a bash command line; returns the finished process, with stdout and stderr as text."""
        done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], cwd=self.directory, input=stdin,
                              env={**self.environment, **environment}, capture_output=True, timeout=120)
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        done.status = done.returncode
        return done

    def ok(self, command, stdin=b"", **environment):
        """Run a command line that must succeed, and return its stdout."""
        done = self(command, stdin, **environment)
        assert done.status == 0, done.stderr
        return done.stdout

    def write(self, name, *records):
        """Write a file of JSON Lines; a str or bytes stands for a line as it is."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(line_of(record) + b"\n" for record in records))
        return path

    def read(self, name):
        return [orjson.loads(line) for line in (self.directory / name).read_bytes().splitlines()]

    def __truediv__(self, name):
        return self.directory / name


def line_of(record):
    if isinstance(record, bytes):
        return record
    return record.encode() if isinstance(record, str) else orjson.dumps(record)


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
