"""The documentation has a place for every command and option, and what is made from the commands is up to date."""
import importlib.util
import subprocess
import sys

import pytest

from conftest import ROOT
from mc2.cli import COMMANDS

spec = importlib.util.spec_from_file_location("reference", ROOT / "docs/reference.py")
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)


def all_commands():
    for command in reference.commands():
        yield command
        yield from command.parts


@pytest.mark.parametrize("path", sorted(reference.contents()), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_what_the_script_makes(path):
    assert path.read_text("utf-8") == reference.contents()[path], "run: python docs/reference.py"


def test_no_man_page_is_left_of_a_command_that_is_gone():
    assert {path.name for path in (ROOT / "docs/man").glob("*")} == {"mc2.1", *(f"mc2-{name}.1" for name in COMMANDS)}


def test_every_command_has_its_page():
    pages = {path.stem for path in (ROOT / "docs/commands").glob("*.md")}
    assert pages == {"index", *COMMANDS}
    listed = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert not [name for name in COMMANDS if f"      - {name}: commands/{name}.md\n" not in listed]


def test_the_list_names_every_command_with_its_summary():
    page = (ROOT / "docs/commands/index.md").read_text("utf-8")
    assert all(f"| [`mc2 {name}`]({name}.md) | {summary} |" in page for name, summary in COMMANDS.items())


@pytest.mark.parametrize("command", list(all_commands()), ids=lambda command: command.name)
def test_every_option_has_its_place(command):
    name = command.name.split()[1]
    listed = (ROOT / f"docs/commands/{name}.md").read_text("utf-8").split("<!-- options -->")[1]
    if command.group:
        listed = listed.split(f"\n### {command.name}\n")[1].split("\n### ")[0]
    page = (ROOT / f"docs/man/mc2-{name}.1").read_text("utf-8")
    for option in command.options:
        spelled = max(option.opts, key=len)
        assert f"`{spelled}`" in listed or f"`{spelled} " in listed, spelled
        assert reference.roff(spelled) in page, spelled


def test_the_variables_that_are_named_are_read(sh):
    """click makes their names."""
    named = {name: each.name for each in all_commands() for option in each.options for name in each.variables(option)}
    assert len(named) > 400
    assert sh("mc2 lid", MC2_LID_SCHEME="nonsense").stderr.startswith("mc2 lid: invalid value for '--scheme'")
    assert "'--json'" in sh("mc2 status .", MC2_STATUS_AS_JSON="nonsense").stderr
    assert "'--top'" in sh("mc2 build-metadata starter -o x", MC2_BUILD_METADATA_STARTER_TOP="nonsense").stderr
    assert "'--verbose'" in sh("mc2 status .", MC2_STATUS_VERBOSE="nonsense").stderr
    assert {"MC2_LID_SCHEME", "MC2_STATUS_AS_JSON", "MC2_BUILD_METADATA_STARTER_TOP", "MC2_METADATA"} <= set(named)


def test_an_option_in_markdown_and_in_roff():
    import click

    @click.command()
    @click.argument("inputs", nargs=-1)
    @click.option("-j", "--jobs", type=click.IntRange(0), default=1, show_default=True, metavar="N",
                  help="Worker processes for *.zst, as with --shard.")
    @click.option("--lang", multiple=True, metavar="LANG", envvar="MC2_LANG", help="Only <this> one.")
    def lid(inputs, jobs, lang):
        """Say `it's` so.

        \b
        .mc2 lid -j 2
        """
    command = reference.Command("mc2 lid", lid)
    assert reference.markdown_options(command) == r"""`mc2 lid [OPTIONS] [INPUTS]...`

- **`-j`, `--jobs N`**<br>
  Worker processes for \*.zst, as with `--shard`. At least 0. Default: `1`. Variable: `MC2_LID_JOBS`.
- **`--lang LANG`**<br>
  Only &lt;this> one. May be repeated. Variable: `MC2_LANG`."""
    page = reference.man_page(command)
    assert ".TP\n\\fB\\-j\\fR, \\fB\\-\\-jobs\\fR \\fIN\\fR\n" in page
    assert "\n.SH DESCRIPTION\nSay \\(gait\\(aqs\\(ga so.\n.PP\n.nf\n.RS 4\n\\&.mc2 lid \\-j 2\n.RE\n.fi\n" in page


@pytest.mark.parametrize("line, offered", [
    ("mc2 th", "thresholds"), ("mc2 dedup ", "urls images"), ("mc2 lid --scheme ", "lid176 nllb openlid glotlid"),
    ("mc2 lid --scheme = ", "lid176 nllb openlid glotlid"), ("mc2 lid --on-error = sk", "skip")])
def test_completion_in_bash(sh, line, offered):
    asked = f'''source {ROOT}/docs/completions/mc2
        read -ra COMP_WORDS <<< '{line}'; [[ '{line}' == *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        _mc2 mc2; echo "${{COMPREPLY[*]}}"'''
    assert sh.ok(asked) == f"{offered}\n"


def test_man_pages_and_completions_are_installed(tmp_path):
    subprocess.run([sys.executable, "setup.py", "-q", "install_data", "--install-dir", tmp_path], cwd=ROOT, check=True,
                   capture_output=True)
    installed = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert installed == {
        "share/man/man1/mc2.1", *(f"share/man/man1/mc2-{name}.1" for name in COMMANDS),
        "share/bash-completion/completions/mc2", "share/zsh/site-functions/_mc2",
        "share/fish/vendor_completions.d/mc2.fish"}
