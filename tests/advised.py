"""Doing what a message advises."""
import re
import sys


def follow(sh, stderr):
    """Run the command that a message of mc2 gives after `e.g.`, in bash, as it stands there."""
    command = re.search(r" e\.g\. (.*(?:python -c).*)\n", stderr)[1]
    (sh / ".bin/python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (sh / ".bin/python").chmod(0o755)
    done = sh.process(command)
    assert done.status == 0, done.stderr
