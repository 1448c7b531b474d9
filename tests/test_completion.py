"""Completion in real shells, on a terminal."""
import os
import pty
import select
import shutil
import signal
import time

import pytest

SETUP = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}


class Terminal:
    """A shell on a terminal of its own, in the directory of a Shell."""

    def __init__(self, sh, name):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(sh.directory)
            os.execvpe(SETUP[name][0], SETUP[name], {**sh.environment, "PS1": "$ ", "TERM": "dumb", "HOME": str(sh.directory)})
        self.seen = b""

    def type(self, text, expected):
        """Type a text, and read until the expected one is shown."""
        self.seen = b""
        os.write(self.descriptor, text.encode())
        until = time.monotonic() + 60
        while expected.encode() not in self.seen:
            assert time.monotonic() < until, self.seen
            if select.select([self.descriptor], [], [], 1)[0]:
                self.seen += os.read(self.descriptor, 4096)

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.descriptor)
        os.waitpid(self.pid, 0)


@pytest.fixture(params=["bash", "zsh"])
def terminal(sh, request):
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    terminal = Terminal(sh, request.param)
    if request.param == "zsh":
        terminal.type("autoload -Uz compinit; compinit -u; echo is''loaded\n", "isloaded")
    terminal.type(f'eval "$(_MC2_COMPLETE={request.param}_source mc2)"; echo is\'\'ready\n', "isready")
    yield terminal
    terminal.close()


def test_commands_options_and_files_are_completed(sh, terminal):
    sh.write("folder.jsonl")
    (sh / "metadata").mkdir()
    terminal.type("mc2 thre\t", "mc2 thresholds")
    terminal.type("\x15mc2 lid fol\t", "mc2 lid folder.jsonl")
    terminal.type("\x15mc2 match -m metad\t", "-m metadata/")
    terminal.type("\x15mc2 lid -o fol\t", "-o folder.jsonl")
    terminal.type("\x15mc2 lid --on-error sk\t", "--on-error skip")
