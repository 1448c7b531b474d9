"""Signals at chosen lines: the right status, no temporary file, no process left, and the same bytes from the same command.

benchmarks/interrupts.py does this at random moments.
"""
import gc
import hashlib
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, Shell, pair, until

from mc2 import signals

# Runs mc2; sends itself a signal when it comes to a line that holds the given text, for the given time.
INJECT = """\
import os, signal, sys

def trace(frame, event, argument):
    global times
    if frame.f_code.co_filename != path:
        return trace if event == "call" and times else None
    if event == "line" and frame.f_lineno in lines and times:
        times -= 1
        if not times:
            sys.settrace(None)
            os.kill(os.getpid(), int(number))
    return trace

if __name__ == "__main__":
    path, text, times, number, *sys.argv[1:] = sys.argv[1:]
    times = int(times)
    lines = {n for n, line in enumerate(open(path), 1) if text in line}
    assert lines, f"{path} has no line with {text!r}"
    from mc2.__main__ import main
    sys.settrace(trace)
    main()
"""
# Read by Python as it starts: sends SIGINT when a module is imported for the first time.
AT_IMPORT = """\
import os, sys

def send(event, arguments):
    if event == "import" and arguments[0] == "{module}" and not sent:
        sent.append(True)
        os.kill(os.getpid(), 2)

sent = []
sys.addaudithook(send)
"""
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
INT, TERM, HUP = STATUS

CURATE = "curate a.jsonl b.jsonl -m toy --t-all 2 -o out -j 2 -q"
MATCH = "match a.jsonl b.jsonl -m toy -O out -j 2 -q"
STREAM = "lid a.jsonl b.jsonl -o out/all.jsonl -q"
MERGE = "build-metadata merge sources -o out -q"
UNPACK = "build-metadata unpack release.tar.zst -o out -q"

POINTS = [
    # a temporary that is being made
    (STREAM, "own.py", "os.open(path, flags | os.O_EXCL", 1, INT),
    (STREAM, "temporaries.py", "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)", 1, TERM),
    (STREAM, "files.py", "os.truncate(descriptor, 0)", 1, HUP),
    (STREAM, "files.py", "os.replace(temporary, path)", 1, INT),
    (MERGE, "temporaries.py", "own.make_directory(temporary)", 1, INT),
    (MERGE, "temporaries.py", "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)", 1, TERM),
    (MERGE, "files.py", "_replace_directory(temporary, path)", 1, HUP),
    (UNPACK, "files.py", "own.empty(descriptor)", 1, INT),
    (UNPACK, "files.py", "os.fsync(descriptor)", 1, TERM),
    # processes that are started, waited for, ended
    (MATCH, "execution/processes.py", "self.process.start()", 1, INT),
    (MATCH, "execution/processes.py", "theirs.close()", 2, TERM),
    (MATCH, "execution/processes.py", "ready = multiprocessing.connection.wait", 1, HUP),
    (MATCH, "execution/processes.py", "worker.process.terminate()", 1, INT),
    (CURATE, "execution/processes.py", "self.process.start()", 2, INT),
    (CURATE, "execution/processes.py", "self.send_bytes(work)", 1, TERM),
    (CURATE, "execution/processes.py", "worker.process.terminate()", 2, INT),
    # between two phases, at the end
    (CURATE, "execution/progress.py", "os.replace(temporary, self.path)", 2, TERM),
    (CURATE, "curate/job.py", "content = self._thresholds", 1, INT),
    (CURATE, "curate/job.py", "self.progress.end()", 1, HUP),
    (MATCH, "cli.py", "signals.raise_lost()", 1, INT),
]


@pytest.fixture(scope="module")
def template(toy_template, tmp_path_factory):
    """The release `toy`, its sources and its pack, two shards of pairs, and what each command makes of them."""
    sh = Shell(tmp_path_factory.mktemp("signals"))
    sh.ok(f"cp -r {toy_template}/toy {toy_template}/sources .")
    sh.ok("mc2 build-metadata pack toy -o release.tar.zst -q")
    for name, texts in {"a": ["a red circle", "un chat noir"], "b": ["red", "cat", "nothing"]}.items():
        sh.write(f"{name}.jsonl", *(pair(number, text, "en") for number, text in enumerate(texts)))
    expected = {}
    for command in (CURATE, MATCH, STREAM, MERGE, UNPACK):
        sh.ok(f"mc2 {command}")
        expected[command] = outputs(sh)
        sh.ok("rm -r out")
    return sh, expected


def outputs(sh):
    """{name: digest} of what is in out/, without what holds times."""
    return {str(path.relative_to(sh / "out")): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (sh / "out").rglob("*") if path.is_file() and not path.name.endswith("manifest.json")
            and not {".work", "logs"} & set(path.parts)}


def is_alive(group):
    try:
        os.killpg(group, 0)
        return True
    except ProcessLookupError:
        return False


@pytest.mark.parametrize("command, module, text, times, number", POINTS)
def test_a_signal_at_a_chosen_line_leaves_nothing_and_loses_nothing(template, command, module, text, times, number):
    sh, expected = template
    (sh / "inject.py").write_text(INJECT)
    process = subprocess.Popen([sys.executable, "inject.py", str(ROOT / "mc2" / module), text, str(times), str(int(number)),
                                *command.split()], cwd=sh.directory, start_new_session=True,
                               env={**sh.environment, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True)
    try:
        stderr = process.communicate(timeout=60)[1]
        assert process.returncode == STATUS[number], stderr
        assert stderr.splitlines() in ([f"mc2 {' '.join(command.split()[:1 + command.startswith('build')])}: "
                                        f"{'interrupted' if number == INT else 'terminated'}."],), stderr
        until(lambda: not is_alive(process.pid))
        assert not [path for path in sh.directory.rglob(".*.tmp*")]
        sh.ok(f"mc2 {command}")
        assert outputs(sh) == expected[command]
    finally:
        sh.ok("rm -rf out")


def test_an_interrupt_that_python_drops_in_a_finaliser_comes_again():
    class Closing:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):
                pass                            # the handler raises here, and Python drops what it raises

    with signals.handled(), pytest.raises(KeyboardInterrupt):
        Closing()
        gc.collect()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.001)


def test_what_something_swallowed_is_raised_at_the_end():
    with signals.handled():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(1000):
                pass
        except BaseException:                   # as a library may do
            pass
        with pytest.raises(SystemExit) as end:
            signals.raise_lost()
    assert end.value.code == 143


def test_within_noted_a_signal_waits_for_check_and_later_ones_are_ignored():
    with signals.handled(), pytest.raises(SystemExit) as end:
        with signals.noted():
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGINT)
            reached = True
            signals.check()
    assert reached and end.value.code == 129


def test_signals_that_the_caller_ignores_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.handled():
            os.kill(os.getpid(), signal.SIGHUP)
            signals.check()
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("program", ["bin/mc2", "-m mc2"])
@pytest.mark.parametrize("module", ["mc2.signals", "signal", "threading", "orjson", "mc2.cli", "click"])
def test_an_interrupt_while_mc2_starts_ends_it_without_a_traceback(tmp_path, program, module):
    (tmp_path / "sitecustomize.py").write_text(AT_IMPORT.format(module=module))
    program = [str(ROOT / program)] if program == "bin/mc2" else program.split()
    done = subprocess.run([sys.executable, *program, "lid", "--help"], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert done.returncode in (130, -signal.SIGINT) and "Traceback" not in done.stderr, done.stderr
