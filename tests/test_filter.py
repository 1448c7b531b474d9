"""A filter of one's own: a class that drops pairs with a reason."""
import json
import re
import sys
import types

import pytest
from conftest import ROOT, pair

from mc2 import engines
from mc2.cli import cli

SHORT = '''\
from mc2.execution.stage import Stage


class Short(Stage):
    """Drop pairs whose text has fewer than `least` characters."""

    name = "filter"

    def __init__(self, least=5):
        self.least = least
        self.options = {"least": least}

    def __call__(self, batch):
        batch.drop({index: "too short" for index, text in enumerate(batch.texts) if len(text) < self.least})


class Broken(Stage):
    def __call__(self, batch):
        raise ZeroDivisionError("no pairs")


class Leaving(Stage):
    def __call__(self, batch):
        raise SystemExit


class Url(Stage):
    requires = ("url",)


class Changing(Stage):
    name = "filter"
    adds = ("again",)

    def __call__(self, batch):
        batch.column("text")[0] = "changed"
        batch.add("again", list(batch.column("text")))
'''


@pytest.fixture
def filters(sh):
    """A Shell with the module `my_filters` in its directory, and two pairs."""
    (sh / "my_filters.py").write_text(SHORT)
    sh.write("pairs.jsonl", pair(1, "cat"), pair(2, "a red circle"))
    yield sh
    sys.modules.pop("my_filters", None)         # another test has another module of that name
    sys.path[:] = [path for path in sys.path if path != str(sh.directory)]


def test_a_filter_drops_pairs_with_a_reason(filters):
    done = filters("mc2 filter pairs pairs.jsonl --with my_filters:Short --dropped dropped.jsonl -o kept.jsonl")
    assert done.stderr.startswith("filter: 2 pairs in, 1 out, 1 too short -> kept.jsonl (")
    assert filters.read("kept.jsonl") == [pair(2, "a red circle")]
    assert filters.read("dropped.jsonl") == [{**pair(1, "cat"), "dropped": "too short"}]


def test_its_arguments_are_set_by_name(filters):
    assert filters.ok("mc2 filter pairs pairs.jsonl --with my_filters:Short --set least=3 -q").count("\n") == 2
    filters.fails("mc2 filter pairs pairs.jsonl --with my_filters:Short --set lest=3 -o k.jsonl", 2, "unexpected keyword", "--set")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_filter_of_shards_is_resumed_like_any_command(filters, jobs):
    command = f"mc2 filter pairs pairs.jsonl --with my_filters:Short -O kept -j {jobs}"
    filters.ok(f"{command} -q")
    assert filters.read("kept/pairs.jsonl") == [pair(2, "a red circle")]
    assert filters.ok(f"{command} -n").startswith("finished")
    assert filters.ok(f"{command} -n --set least=3").startswith("to do")


def test_a_filter_whose_code_changed_is_applied_again(filters):
    command = "mc2 filter pairs pairs.jsonl --with my_filters:Short -O kept"
    filters.process(f"{command} -q")
    (filters / "my_filters.py").write_text(SHORT.replace("< self.least", "<= self.least"))
    assert filters.process(f"{command} -n").stdout.startswith("to do")


def test_the_command_of_earlier_versions_says_what_it_is_now(filters):
    for options in "pairs.jsonl --with my_filters:Short -o k.jsonl", "--with=my_filters:Short 'pairs.jsonl'":
        done = filters(f"mc2 filter {options}")
        assert done.status == 2 and done.stderr.startswith(
            f"mc2 filter: a class of your own is a command of its own now: mc2 filter pairs {options.replace(chr(39), '')}")
    filters.fails("mc2 filter pairs.jsonl -o k.jsonl", 2, "no such command 'pairs.jsonl'. Did you mean 'pairs'?")


def test_what_is_no_filter_is_said(filters):
    for spec, message in [("my_filters", "MODULE:CLASS"), ("no_such:Short", "No module named 'no_such'"),
                          ("my_filters:Url", "only id, text, lang, matched_entry_ids can be required"),
                          ("my_filters:Tall", "has no attribute 'Tall'"), ("json:JSONDecoder", "is no class of mc2")]:
        filters.fails(f"mc2 filter pairs pairs.jsonl --with {spec} -o k.jsonl", 2, message)


def test_an_error_within_a_filter_names_the_filter_and_the_pairs(filters):
    filters.fails("mc2 filter pairs pairs.jsonl --with my_filters:Broken -o k.jsonl", 1,
                  "my_filters:Broken: ZeroDivisionError: no pairs, in the pairs of pairs.jsonl from line 1")
    filters.fails("mc2 filter pairs pairs.jsonl --with my_filters:Leaving -o k.jsonl", 1,
                  "my_filters:Leaving: SystemExit: , in the pairs of pairs.jsonl from line 1. Mend the class")


def test_a_filter_that_changes_a_list_of_values_changes_no_pair(filters, monkeypatch):
    command = "mc2 filter pairs pairs.jsonl --with my_filters:Changing -q"
    expected = [{**record, "again": record["text"]} for record in (pair(1, "cat"), pair(2, "a red circle"))]
    assert [json.loads(line) for line in filters.ok(command).splitlines()] == expected
    monkeypatch.setattr(engines, "native", lambda: None)
    assert [json.loads(line) for line in filters.ok(command).splitlines()] == expected


# ---------------------------------------------------------------- what CONTRIBUTING.md shows

def shown(name):
    """The code of a file that CONTRIBUTING.md shows."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    return next(code for code in re.findall("```python\n(.*?)```", text, re.DOTALL) if code.startswith(f"# {name}\n"))


def test_the_filter_that_is_shown_works(filters):
    (filters / "my_filters.py").write_text(shown("my_filters.py"))
    command = "mc2 filter pairs pairs.jsonl --with my_filters:Short --set least=8 --dropped dropped.jsonl -o kept.jsonl"
    assert command in (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert "1 too short" in filters(command).stderr
    assert filters.read("dropped.jsonl") == [{**pair(1, "cat"), "dropped": "too short"}]


def test_the_command_that_is_shown_works(filters, monkeypatch):
    for name, code in [("mc2.stages.short", shown("my_filters.py")), ("mc2.commands.short", shown("mc2/commands/short.py"))]:
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(code, module.__dict__)
    monkeypatch.setitem(cli.modules, "short", "short")
    done = filters("mc2 short pairs.jsonl --least 4 -o kept.jsonl")
    assert done.stderr.startswith("filter: 2 pairs in, 1 out, 1 too short -> kept.jsonl (")
    assert shown("mc2/commands/short.py").count("\n") < 30 and shown("my_filters.py").count("\n") < 20
