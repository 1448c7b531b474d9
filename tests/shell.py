"""Running mc2 as its users do: command lines in a directory of its own.

To start a process of mc2 takes twenty times as long as most commands work, so a plain command line runs in the
process of the tests. What such a run must not hide, see `Shell`.
"""
import contextlib
import gc
import glob
import importlib
import multiprocessing.resource_tracker
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import types
import warnings
from pathlib import Path

import orjson

ROOT = Path(__file__).parents[1]
TIMEOUT = 120                                   # seconds

# What a program takes from its environment when it starts, and never again.
READ_AT_THE_START = ("PYTHON", "LD_", "LC_", "LANG", "OMP_", "MC2_SIMD", "MC2_TEST")
PROGRAMS = {"cat", "chmod", "cmp", "cp", "ln", "mkdir", "mv", "rm", "sed", "touch", "truncate"}
WORD = re.compile(r"""(?:'[^']*'|"[^"$`\\]*"|[^\s'"$`\\|&;<>(){}~#]|(?<=\S)[~#])+""")
QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")
STEP = re.compile(r"\s*(&&|;|$)\s*")


class Shell:
    """Runs command lines in a directory of its own, with `mc2` on the PATH.

    A command line of mc2 alone, with quotes, patterns, `&&` and `;`, runs in this process: with descriptors, directory,
    environment and arguments as a process of its own would have them. All others (pipes, redirections, variables,
    background) run in bash. What a run in this process cannot show must ask for a process, by `process`: signals,
    limits, start-up, and bytes that must be the same in every process although Python orders sets differently in each.
    """

    def __init__(self, directory):
        self.directory = directory
        shims = directory / ".bin"
        shims.mkdir()
        (shims / "mc2").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/bin/mc2" "$@"\n')
        (shims / "mc2").chmod(0o755)
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("MC2_")}
        self.environment.update(PATH=f"{shims}:{os.environ['PATH']}", PYTHONDONTWRITEBYTECODE="1")

    def __call__(self, command, stdin=b"", **environment):
        """Run a command line; returns what subprocess.run does, with `status`, and stdout and stderr as text."""
        environment = {**self.environment, **environment}
        steps = steps_of(command)
        if steps is None or at_the_start(environment) != at_the_start(os.environ):
            return self._in_bash(command, stdin, environment)
        return _finished(*run_here(steps, self.directory, stdin, environment))

    def process(self, command, stdin=b"", stdout=subprocess.PIPE, **environment):
        """Run a command line in bash, so that mc2 is a process of its own."""
        return self._in_bash(command, stdin, {**self.environment, **environment}, stdout)

    def ok(self, command, stdin=b"", **environment):
        """Run a command line that must succeed, and return its stdout."""
        done = self(command, stdin, **environment)
        assert done.status == 0, done.stderr
        return done.stdout

    def fails(self, command, status, *messages, stdin=b"", leaves=()):
        """Run a command line that must end with this status and one line on stderr that holds the messages; the files
        must be those of before, and these. Returns what ran."""
        before = self.files()
        done = self(command, stdin)
        assert (done.status, done.stderr.count("\n")) == (status, 1), done.stderr
        assert done.stderr.startswith("mc2"), done.stderr
        for message in messages:
            assert message in done.stderr
        after = self.files()
        assert after == before | {name: after.get(name) for name in leaves}
        return done

    def files(self):
        """{name: what changes when the file is replaced or written to; None for a directory}"""
        found = {}
        for folder, folders, names in os.walk(self.directory):
            for path in (os.path.join(folder, name) for name in folders + names):
                its = os.lstat(path)
                found[os.path.relpath(path, self.directory)] = \
                    None if stat.S_ISDIR(its.st_mode) else (its.st_ino, its.st_mtime_ns)
        return found

    def _in_bash(self, command, stdin, environment, stdout=subprocess.PIPE):
        done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], cwd=self.directory, input=stdin,
                              env=environment, stdout=stdout, stderr=subprocess.PIPE, timeout=TIMEOUT)
        return _finished(done.returncode, done.stdout or b"", done.stderr)

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


def until(condition, meanwhile=lambda: True):
    """Wait for a condition, for a minute at most, as long as `meanwhile` holds."""
    end = time.monotonic() + 60
    while not condition():
        assert meanwhile() and time.monotonic() < end
        time.sleep(0.01)


def line_of(record):
    if isinstance(record, bytes):
        return record
    return record.encode() if isinstance(record, str) else orjson.dumps(record)


def _finished(status, stdout, stderr):
    return types.SimpleNamespace(status=status, returncode=status, stdout=stdout.decode(), stderr=stderr.decode())


def at_the_start(environment):
    return {key: value for key, value in environment.items()
            if key.startswith(READ_AT_THE_START) and key != "PYTHONDONTWRITEBYTECODE"}


def steps_of(command):
    """The command line as [(`&&` or `;` before it, its words as written)], or None where it needs bash."""
    steps, words, before, position = [], [], ";", 0
    while position < len(command):
        position += len(command[position:]) - len(command[position:].lstrip())
        if word := WORD.match(command, position):
            words.append(word[0])
        elif (word := STEP.match(command, position)) and words:
            steps.append((before, words))
            words, before = [], word[1]
        else:
            return None
        position = word.end()
    if words:
        steps.append((before, words))
    known = all(words[0] in PROGRAMS | {"mc2"} and "ray" not in words for _, words in steps)
    return steps if known and any(words[0] == "mc2" for _, words in steps) else None


def expand(words):
    """The words without their quotes, patterns replaced by the names that match them."""
    for word in words:
        plain = QUOTED.sub(lambda quoted: quoted[1] or quoted[2] or "", word)
        pattern = QUOTED.sub(lambda quoted: glob.escape(quoted[1] or quoted[2] or ""), word)
        yield from sorted(glob.glob(pattern)) or [plain] if glob.has_magic(QUOTED.sub("", word)) else [plain]


def run_python(code, *arguments, **environment):
    """What a program of Python prints, in a process of its own that finds mc2 and the modules of the tests. bytes"""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], capture_output=True,
                          env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", **environment}, timeout=300)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


# ---------------------------------------------------------------- in this process

def run_here(steps, directory, stdin, environment):
    """Run these steps in this process; returns (status, stdout, stderr)."""
    with _streams(stdin) as outputs, _as_a_new_process(directory, environment):
        status = 0
        for before, words in steps:
            if before == "&&" and status:
                continue
            words = list(expand(words))
            status = _mc2(words[1:]) if words[0] == "mc2" else subprocess.run(words).returncode
    return status, *outputs


def _mc2(arguments):
    """The exit status of mc2 with these arguments."""
    from mc2 import signals
    from mc2.cli import main
    sys.argv = [f"{ROOT}/bin/mc2", *arguments]
    gc.freeze()
    with open(0, closefd=False) as sys.stdin, open(1, "w", closefd=False) as sys.stdout, \
            open(2, "w", buffering=1, errors="backslashreplace", closefd=False) as sys.stderr:
        try:
            with signals.handled():             # main would leave them so
                main()
        except SystemExit as end:
            status = end.code
        if status:
            gc.collect()                        # what a process leaves to its end: only what this run made
    gc.unfreeze()
    return status


@contextlib.contextmanager
def _as_a_new_process(directory, environment):
    """Within, directory, environment and hooks of Python are those of a new process; afterwards, those of before."""
    saved = {name: getattr(sys, name) for name in (
        "argv", "stdin", "stdout", "stderr", "excepthook", "unraisablehook", "dont_write_bytecode")}
    main, before, temporary, folder = sys.modules["__main__"], dict(os.environ), tempfile.tempdir, os.getcwd()
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    paths, blocked, wakeup = sys.path[:], signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.set_wakeup_fd(-1)
    try:
        os.chdir(directory)
        importlib.invalidate_caches()
        _replace_environment(environment)
        tempfile.tempdir = None
        sys.excepthook, sys.unraisablehook = sys.__excepthook__, sys.__unraisablehook__
        sys.dont_write_bytecode = True
        sys.modules["__main__"] = types.ModuleType("__main__")          # spawned workers import it
        sys.modules["__main__"].__file__ = f"{ROOT}/bin/mc2"
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(TIMEOUT)
        with warnings.catch_warnings():
            warnings.resetwarnings()
            for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
                warnings.simplefilter("ignore", category)
            warnings.showwarning = _show_warning
            yield
    finally:
        signal.alarm(0)
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for name, value in saved.items():
            setattr(sys, name, value)
        sys.modules["__main__"], sys.path[:] = main, paths
        for name in [name for name, module in sys.modules.items()           # another test's are other modules
                     if str(getattr(module, "__file__", "")).startswith(f"{directory}{os.sep}")]:
            del sys.modules[name]
        tempfile.tempdir = temporary
        _replace_environment(before)
        os.chdir(folder)


def _replace_environment(environment):
    for key in os.environ.keys() - environment.keys():
        del os.environ[key]
    for key, value in environment.items():
        if os.environ.get(key) != value:
            os.environ[key] = value


def _show_warning(message, category, filename, lineno, file=None, line=None):
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


class TooLong(BaseException):
    """No Exception, as mc2 would report that."""


def _too_long(number, frame):
    raise TooLong(f"the command ran for {TIMEOUT} seconds")


@contextlib.contextmanager
def _streams(stdin):
    """Within, descriptors 0, 1 and 2 are pipes: from these bytes, and to the two bytearrays that this gives."""
    multiprocessing.resource_tracker.ensure_running()   # it would keep the streams of the run that starts it
    outputs = [bytearray(), bytearray()]
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(number) for number in range(3)]
    pipes = [os.pipe() for _ in range(3)]
    threads = [threading.Thread(target=_write_all, args=(pipes[0][1], stdin), daemon=True)]
    threads += [threading.Thread(target=_read_all, args=(pipe[0], output), daemon=True)
                for pipe, output in zip(pipes[1:], outputs)]
    for number, inner in enumerate((pipes[0][0], pipes[1][1], pipes[2][1])):
        os.dup2(inner, number)
        os.close(inner)
    for thread in threads:
        thread.start()
    try:
        yield outputs
    finally:
        for number, descriptor in enumerate(saved):
            os.dup2(descriptor, number, inheritable=True)
            os.close(descriptor)
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive(), "the command has ended, but a process that it started has not"


def _write_all(descriptor, data):
    with contextlib.suppress(BrokenPipeError), open(descriptor, "wb", buffering=0) as stream:
        data = memoryview(data)
        while data:
            data = data[stream.write(data):]


def _read_all(descriptor, output):
    with open(descriptor, "rb", buffering=0) as stream:
        while data := stream.read(1 << 16):
            output += data
