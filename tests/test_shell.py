"""A command line that runs in the process of the tests shows what one in a process of its own does."""
import os
import signal
import sys
import tempfile
import warnings

import pytest
from shell import expand, steps_of

from mc2 import signals


@pytest.mark.parametrize("command, stdin", [
    ("mc2", b""), ("mc2 --version", b""), ("mc2 match -h", b""), ("mc2 no-such-command", b""), ("mc2 match", b""),
    ("mc2 lid -q", b'{"id":"a","text":"un chat noir"}\n' * 20_000), ("mc2 lid", b"{"), ("mc2 lid none.jsonl", b""),
    ("mc2 lid -o toy -v", b""), ("mc2 lid -o en.json/x -v", b""), ("mc2 inspect toy", b""),
    ("mc2 lid -q - < /dev/null && mc2 inspect 'toy'; mc2 lid none.jsonl && mc2 inspect toy", b""),
])
def test_what_a_run_shows_does_not_depend_on_the_process(toy, command, stdin):
    if "<" not in command:
        assert steps_of(command) is not None
    here, there = toy(command, stdin), toy.process(command, stdin)
    assert (here.status, here.stdout) == (there.status, there.stdout)
    if "Traceback" in there.stderr:
        assert "Traceback" in here.stderr and here.stderr.splitlines()[-1] == there.stderr.splitlines()[-1]
    else:
        assert here.stderr == there.stderr


def state():
    return (os.getcwd(), dict(os.environ), sys.argv, sys.stdin, sys.stdout, sys.stderr, sys.modules["__main__"],
            sys.excepthook, sys.unraisablehook, sys.path[:], signals.fileno(), tempfile.gettempdir(),
            warnings.filters[:], os.listdir("/proc/self/fd"),
            list(map(signal.getsignal, signal.valid_signals())), signal.pthread_sigmask(signal.SIG_BLOCK, ()))


@pytest.mark.parametrize("command, status", [("mc2 lid -q", 0), ("mc2 lid -j 2 -q", 3), ("mc2 lid -o x/y/z -n", 0),
                                             ("mc2 lid none", 2)])
def test_a_run_changes_nothing_in_this_process(sh, command, status):
    sh("mc2 --version")
    before = state()
    assert sh(command, b"{" if status == 3 else b"", MC2_LID_MIN_PROB="0.5", TMPDIR=str(sh.directory)).status == status
    assert state() == before


def test_a_module_of_ones_own_is_read_anew_by_every_run(sh):
    for text in "one", "two":
        sh.write("own.py", f"raise ImportError('version {text}')")
        sh.fails("mc2 filter pairs --with own:All", 2, f"version {text}")
    sh.write("own.py", "from mc2.execution.stage import Stage", "class All(Stage):",
             "    def __call__(self, batch): pass")
    sh.ok("mc2 filter pairs --with own:All")
    assert "own" not in sys.modules and sorted(os.listdir(sh.directory)) == [".bin", "own.py"]


def test_what_python_reads_when_it_starts_needs_a_process(sh):
    sh.write("shims/orjson.py", "raise ImportError('none here')")
    assert "none here" in sh("mc2 lid", b"{}", PYTHONPATH=str(sh / "shims")).stderr


@pytest.mark.parametrize("command", [
    "mc2 lid | mc2 match", "mc2 lid > x", "mc2 lid 2>&-", "mc2 lid <x", "mc2 lid &", "ulimit -f 1; mc2 lid",
    "mc2 lid $X", "X=1 mc2 lid", "cd x; mc2 lid", "mc2 lid `cat x`", "mc2 lid || true", "(mc2 lid)", 'mc2 lid "$X"',
    "mc2 lid a\\ b", "mc2 lid {a,b}", "echo x", "mc2 curate a --engine ray", "mc2 lid # all", "mc2 lid ~/x", "mc2 'a"])
def test_what_only_a_shell_knows_goes_to_the_shell(command):
    assert steps_of(command) is None


def test_words_are_those_of_bash(sh, monkeypatch):
    for name in ("a.jsonl", "b.jsonl", "c d.jsonl", "[x].jsonl", ".hidden.jsonl"):
        sh.write(name)
    monkeypatch.chdir(sh.directory)
    line = """mc2 *.jsonl [ab].jsonl "*.jsonl" '[x]'.json? none* 'c d'.* --x='a b' "" a#b"""
    (_, words), = steps_of(line)
    assert list(expand(words[1:])) == sh.ok(line.replace("mc2", "printf '%s\\n'")).splitlines()
