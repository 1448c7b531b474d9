"""How far a command is, without a terminal: lines in a log file."""
import re

import pytest
from conftest import pair

from mc2 import meter, tables


@pytest.fixture(autouse=True)
def as_before():
    yield
    meter.print_every(meter.EVERY)


def test_a_line_says_how_much_how_fast_and_how_long():
    train = meter.Meter("train", "steps", total=5000, done=1000)
    train.update(200, "loss 2.310")
    assert train.line(100) == "train: 1,200 of 5,000 steps, 2 steps/s, about 31 min 40 s to go, loss 2.310"
    lid = meter.Meter("lid", "pairs")
    lid.update(1_234_000)
    assert lid.line(20) == "lid: 1,234,000 pairs, 61,700 pairs/s"


def test_durations_of_all_lengths():
    assert [tables.duration(seconds) for seconds in (0.51, 12, 185, 7800, 273_600)] == \
        ["0.5 s", "12 s", "3 min 5 s", "2 h 10 min", "3 d 4 h"]


def test_lines_come_so_often_as_asked(capsys):
    meter.print_every(1e-9)
    for _ in meter.shown("abc", "merge", "languages", total=3):
        pass
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and lines[1].startswith("merge: 2 of 3 languages, ")
    for seconds in (0, 3600):
        meter.print_every(seconds)
        list(meter.shown("abc", "merge", "languages"))
    meter.print_every(1e-9)
    list(meter.shown("abc", "merge", "languages", quiet=True))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command, line", [
    ("mc2 lid pool.jsonl -o a.jsonl", r"lid: 3 pairs, [\d,.e]+ pairs/s"),
    ("mc2 lid pool.jsonl -O out", r"lid: .*1 of 1 shards, .*"),
    ("mc2 curate pool.jsonl -m toy -o out --t-all 1", r"curate: match: 1 of 1 shards, .* pairs/s"),
])
def test_commands_print_them(toy, command, line):
    toy.write("pool.jsonl", *(pair(number, "a red circle", "en") for number in range(3)))
    err = toy(f"{command} --log-every 0.000001").stderr
    assert re.search(f"^{line}", err, re.MULTILINE), err
    assert not re.search(f"^{line}", toy(f"{command.replace('-o ', '-o other-').replace('-O ', '-O other-')}").stderr, re.MULTILINE)


@pytest.mark.parametrize("command", ["lid", "match", "count", "sample", "filter pairs", "filter score",
                                     "filter apply", "curate", "join", "train", "eval imagenet",
                                     "build-metadata merge", "build-metadata ngrams", "build-metadata titles",
                                     "build-metadata compile", "build-metadata unpack"])
def test_every_long_command_has_the_option(sh, command):
    assert "--log-every SECONDS" in sh.ok(f"mc2 {command} --help")
