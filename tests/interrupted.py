"""Runs mc2 in forks of a process that has torch loaded, each with signals at a chosen moment: see
test_train_signals.py.

Reads requests as JSON lines: {"arguments", "stderr", "at", "call", "after", "signals", "to_group"}. For each it
prints the process id, then the exit status. Before the call number `call` of `at` (module:function), or after it, the
process sends the signals to itself, or to its group.
"""
import importlib
import json
import os
import sys

import torch._dynamo                        # noqa: F401    all that takes long to import, so that the forks have it
import torch.utils.tensorboard              # noqa: F401

from mc2 import cli
from mc2.training import loop               # noqa: F401


def inject(at, call, after, signals, to_group):
    module, _, name = at.partition(":")
    owner = importlib.import_module(module)
    for part in name.split(".")[:-1]:
        owner = getattr(owner, part)
    name = name.split(".")[-1]
    function, calls = getattr(owner, name), 0

    def send():
        for number in signals:
            os.killpg(0, number) if to_group else os.kill(os.getpid(), number)

    def injected(*args, **kwargs):
        nonlocal calls
        calls += 1
        is_now = calls == call
        if is_now and not after:
            send()
        result = function(*args, **kwargs)
        if is_now and after:
            send()
        return result
    setattr(owner, name, injected)


def begin(arguments, stderr, at=None, **when):
    """In a fork: a session of its own, its messages in a file."""
    os.setsid()
    for descriptor, path in ((0, os.devnull), (1, os.devnull), (2, stderr)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), descriptor)
    os.environ["MC2_TEST_RUN"] = str(os.getpid())
    if at:
        inject(at, **when)
    cli.main(arguments)                     # ends this process, as it ends mc2


for line in sys.stdin:
    pid = os.fork()
    if not pid:
        begin(**json.loads(line))
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
