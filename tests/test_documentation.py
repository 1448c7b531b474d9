"""What the documentation says is true: its commands run, every command has help, and help is quick."""
import os
import re
import shutil
import subprocess
import sys
import tarfile

import pages
import pytest

from conftest import ROOT
from mc2 import files
from mc2.cli import COMMANDS, cli

README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = [page.read_text("utf-8") for page in PAGES]


@pytest.fixture(scope="module")
def demo(examples):
    """A copy of the checkout's demo, with a fifth of its pictures, after `make demo-curation` in it."""
    examples.demo_output = examples.ok("make -C examples/demo T_EN=3")
    return examples


def test_the_demo_prints_what_it_did(demo):
    assert "What balancing did" in demo.demo_output
    languages = re.findall(r"^(\w+) +[\d,]+ +[\d,]+ +\d+ +[\d,]+ +\d", demo.demo_output, re.MULTILINE)
    assert {"en", "zh", "ja", "th", "ar", "hi", "ru", "other"} <= set(languages) and len(languages) >= 12
    last = demo.demo_output.splitlines()[-2].replace(",", "")         # then make leaves the directory
    texts, matched, kept, expected = map(int, re.findall(r"\d+", last))
    assert texts > matched > 2 * kept > 2000
    assert abs(kept - expected) < 0.05 * expected


def test_the_demo_has_a_data_card(demo):
    page = (demo / "examples/demo/out/report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>") and "<title>Worldwide shapes</title>" in page
    assert '"name":["Arabic","ar"]' in page


def test_the_demo_is_not_made_twice(demo):
    assert demo("make -C examples/demo").stderr == ""


def test_make_installs_one_thing_at_a_time_also_with_many_jobs(tmp_path):
    """With a Python that makes no environment and says what pip is given, when it begins and ends."""
    python = tmp_path / "python"
    python.write_text("""#!/bin/sh
[ "$2" != venv ] || { mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; exit; }
eval "what=\\${$#}"; echo "begins $what"; sleep 0.2; echo "ends $what"
""")
    python.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    targets = [f"{tmp_path}/venv/.{name}" for name in ("train", "docs")]
    printed = subprocess.run(["make", "-s", "-j4", f"PYTHON={python}", f"VENV={tmp_path}/venv", *targets], cwd=ROOT,
                             env=environment, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == ["begins .", "ends .", "begins mc2-clip[train,plot]", "ends mc2-clip[train,plot]",
                                    "begins mc2-clip[docs]", "ends mc2-clip[docs]"]


def test_a_step_of_the_demo_that_was_killed_is_done_again_although_its_folder_is_there(demo):
    matched = demo / "examples/demo/out/matched"
    whole = {path.name: path.read_bytes() for path in matched.glob("*.zst")}
    (demo / "examples/demo/out/done/matched").unlink()
    (matched / "pool-0003.jsonl.zst").unlink()
    printed = demo.ok("make -C examples/demo out/matched")
    assert printed.count("mc2 match ") == 1 and "python draw.py" not in printed
    assert whole == {path.name: path.read_bytes() for path in matched.glob("*.zst")}


def test_five_commands_and_one_job_give_the_same_pairs(demo):
    """What the README and docs/guides/recipe.md promise."""
    demo.ok("""set -e
        cd examples/demo/out
        mc2 lid pool/*.zst | mc2 match -m metadata -o pairs.jsonl.zst
        mc2 count pairs.jsonl.zst -m metadata -o pair-counts
        mc2 thresholds pair-counts --t-en 20 -o pair-thresholds.json
        mc2 sample pairs.jsonl.zst -c pair-counts -t pair-thresholds.json --seed 0 -o pairs-kept.jsonl.zst
        mc2 curate pool/*.zst -m metadata --t-en 20 --seed 0 -o one-job""")
    kept = lines_of(demo / "examples/demo/out/pairs-kept.jsonl.zst")
    shards = (demo / "examples/demo/out/one-job/curated").glob("*.zst")
    assert len(kept) > 1000 and sorted(kept) == sorted(line for shard in shards for line in lines_of(shard))


def test_the_readme_is_a_front_door():
    """It can be read in minutes; all else is in docs/."""
    assert README.count("\n") <= 150
    assert re.search(r"!\[.+\]\(docs/images/report\.png\)", README)
    assert (ROOT / "docs/images/report.png").stat().st_size < 150_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_reads_well_everywhere(page):
    """Links lead to a file that is there, and lists begin after an empty line: forges need none, the site does."""
    prose = pages.FENCE.sub("", page.read_text("utf-8"))
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", prose)
    assert [target for target in targets if not (page.parent / target).exists()] == []
    assert re.findall(r"^(?![ *-]|\d+\. |\|).+\n(?:- .+)", prose, re.MULTILINE) == []


def lines_of(path):
    with files.open_read(path) as stream:
        return stream.readlines()


def test_every_command_and_option_has_help():
    def check(command, path):
        assert command.help, path
        for param in command.params:
            assert param.param_type_name == "argument" or param.help or param.hidden, f"{path} {param.name}"
        for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
            check(command.get_command(None, name), f"{path} {name}")
    for name in COMMANDS:
        check(cli.get_command(None, name), name)


def test_the_list_of_commands_fits_into_80_columns(sh):
    lines = sh.ok("mc2 --help", COLUMNS="80").split("Commands:\n")[1].splitlines()
    assert lines == [f"  {name:<14}  {summary}" for name, summary in COMMANDS.items()]
    assert max(map(len, lines)) <= 80 and not any("..." in line for line in lines)


def test_a_command_that_is_none_names_the_nearest_one(sh):
    assert "no such command 'tresholds'. Did you mean 'thresholds'? See 'mc2 -h'." in sh("mc2 tresholds").stderr
    assert "Did you mean 'merge'?" in sh("mc2 build-metadata marge").stderr
    assert sh("mc2 xyzzy").stderr == "mc2: no such command 'xyzzy'. See 'mc2 -h'.\n"


def test_commands_in_help_are_spelled_right():
    """Every `mc2 X` in an example of help, and in a sentence of the README and of the pages, names a command."""
    helps = [cli.help] + [cli.get_command(None, name).help for name in COMMANDS]
    examples = re.findall(r"(?:^ *|\| |; )mc2 ([a-z][a-z-]*)", "\n".join(helps), re.MULTILINE)
    examples += re.findall(r"`mc2 ([a-z][a-z-]*)", "\n".join(TEXTS))
    assert len(examples) > 20 and set(examples) <= set(COMMANDS)


def test_help_needs_no_heavy_module():
    """numpy, pyahocorasick, zstandard and their like wait until a command runs."""
    code = ("import sys, orjson, mc2.cli; mc2.cli.run(['--help']); "
            "print([m for m in ('numpy', 'ahocorasick', 'fasttext_pybind', 'zstandard', 'tqdm') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_files_that_the_documentation_names_are_there():
    named = set(re.findall(r"\b(?<!/)(?:mc2|benchmarks|examples|tests)/[\w/]+\.(?:py|[ch]pp|csv|md|ipynb)\b",
                           "\n".join(TEXTS)))
    assert len(named) > 8 and not [name for name in named if not (ROOT / name).exists() and "/out/" not in name]


def test_mc2_runs_from_a_checkout_and_as_a_module(sh):
    version = sh.ok(f"{sys.executable} {ROOT}/bin/mc2 --version")
    assert version == sh.ok(f"PYTHONPATH={ROOT} {sys.executable} -m mc2 --version")
    assert version.startswith("mc2 0.")


def test_completion_knows_the_commands(sh):
    done = sh.process("mc2", _MC2_COMPLETE="bash_complete", COMP_WORDS="mc2 th", COMP_CWORD="1")
    assert done.stdout == "plain,thresholds\n"


def test_no_file_of_the_project_is_left_out_of_the_package():
    from setuptools import find_packages
    packages = find_packages(str(ROOT), include=["mc2", "mc2.*"])
    folders = {os.path.relpath(folder, ROOT).replace(os.sep, ".") for folder, _, names in os.walk(ROOT / "mc2")
               if any(name.endswith(".py") for name in names)}
    assert set(packages) == folders


def test_a_source_distribution_holds_all_of_the_project(tmp_path):
    """`make test` and `make demo-curation` run from it."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no checkout of git")
    copied = tmp_path / "mc2"
    for name in listed.stdout.splitlines():
        (copied / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copied / name)
    subprocess.run([sys.executable, "setup.py", "-q", "sdist"], cwd=copied, check=True, capture_output=True)
    archive, = (copied / "dist").glob("mc2*clip-*.tar.gz")
    with tarfile.open(archive) as tar:
        held = {name.partition("/")[2] for name in tar.getnames()}
        about = tar.extractfile(f"{archive.name.removesuffix('.tar.gz')}/PKG-INFO").read().decode()
    assert "# mc2" in about and re.findall(r"\]\((?!https://)", about) == []
    assert set(listed.stdout.splitlines()) - held <= {".gitignore"}
