"""Every command and every line of Python in docs/ runs, and prints what its page shows."""
import os
import shutil
import sys

import pages
import pytest
from shell import Shell

from conftest import ROOT
from mc2.cli import cli

PAGES = sorted((ROOT / "docs").rglob("*.md"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A Shell in a checkout after `make demo-curation`."""
    sh = Shell(tmp_path_factory.mktemp("demo"))
    shutil.copytree(ROOT / "examples", sh / "examples", ignore=shutil.ignore_patterns("out"))
    (sh / ".bin/python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (sh / ".bin/python").chmod(0o755)
    sh.environment["PYTHONPATH"] = str(ROOT)
    sh.ok("make -C examples/demo curation")
    return sh


@pytest.fixture
def checkout(demo, tmp_path):
    """A copy of it, for the commands of one page."""
    sh = Shell(tmp_path)
    shutil.copytree(demo.directory, tmp_path, dirs_exist_ok=True)
    sh.environment["PYTHONPATH"] = str(ROOT)
    return sh


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT / "docs")))
def test_a_page_is_true(page, checkout, monkeypatch):
    monkeypatch.chdir(checkout.directory)
    names = {}
    for block in pages.blocks(page.read_text("utf-8")):
        if block.language == "console":
            for step in pages.steps(block):
                run(step, checkout)
        elif block.language == "python":
            os.chdir(checkout.directory)
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
        elif block.language in ("sh", "bash"):
            for words in pages.command_lines(pages.without_comments(block.text)):
                pages.check(cli, words)


def run(step, sh):
    if step.command.startswith("cd "):
        sh.directory = (sh.directory / step.command[3:]).resolve(strict=True)
        return
    done = sh(step.command)
    assert done.status == 0 or step.output, f"line {step.line}: {step.command}: {done.stderr}"
    assert not step.output or pages.is_shown(step.output, done.stdout, done.stderr), \
        f"line {step.line}: {step.command} prints\n{done.stderr}{done.stdout}\nand not\n{step.output}"


PAGE = """\
# A page

```console
$ echo one two &&
> echo three
one ... two
three
$ true
```

  ```sh
  mc2 lid a.jsonl | srun mc2 match -m metadata \\
      -o b.jsonl      # mc2 nonsense
  ```
"""


def test_the_blocks_of_a_page():
    console, script = pages.blocks(PAGE)
    assert (console.language, console.line, script.language, script.line) == ("console", 4, "sh", 12)
    assert pages.steps(console) == [("echo one two &&\necho three", "one ... two\nthree\n", 4), ("true", "", 8)]
    assert pages.command_lines(pages.without_comments(script.text)) == [
        ["lid", "a.jsonl"], ["match", "-m", "metadata", "-o", "b.jsonl"]]


def test_what_is_shown():
    assert pages.is_shown("a ... c\n", "a b c  \n", "") and pages.is_shown("x\ny\n", "y\n", "x\n")
    assert not pages.is_shown("a ... c\n", "a b d\n", "") and not pages.is_shown("x\n", "x\ny\n", "")


@pytest.mark.parametrize("words, message", [
    (["lid", "--nonsense"], "No such option"), (["match", "-j", "x"], "'x' is not"), (["nonsense"], "No such command")])
def test_an_option_that_is_none_is_found(words, message):
    import click
    with pytest.raises(click.UsageError, match=message):
        pages.check(cli, words)
