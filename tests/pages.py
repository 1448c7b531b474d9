"""The pages of the documentation, as tests read them: their blocks of code, commands and outputs."""
import re
import shlex
import typing

import click

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
OPERATORS = set("|&;()<>")


class Block(typing.NamedTuple):
    language: str                   # "console", "sh", "python" ...
    line: int                       # number of its first line in the page
    text: str


class Step(typing.NamedTuple):
    """A command of a console, and what it prints."""

    command: str
    output: str                     # "" where the page shows none
    line: int


def blocks(page):
    """The blocks of code of the text of a page, in order: list of Block."""
    found = []
    for fence in FENCE.finditer(page):
        indent = len(fence[1])
        text = "".join(line[indent:] if line.strip() else "\n" for line in fence[3].splitlines(keepends=True))
        found.append(Block(fence[2], page.count("\n", 0, fence.start(3)) + 1, text))
    return found


def steps(block):
    """The commands of a block of `console`: "$ " begins one, "> " in the lines after it goes on with it, and all other
    lines are what it prints."""
    found = []
    for number, line in enumerate(block.text.splitlines(), block.line):
        if line.startswith("$ "):
            found.append(Step(line[2:], "", number))
            continue
        assert found, f"line {number}: a console begins with a command, after '$ '"
        step = found[-1]
        if line.startswith("> ") and not step.output:
            found[-1] = step._replace(command=f"{step.command}\n{line[2:]}")
        else:
            found[-1] = step._replace(output=f"{step.output}{line}\n")
    return found


def is_shown(expected, stdout, stderr):
    """Whether this output is what a page shows: "..." stands for any text, white space at the ends of lines for
    nothing. Where a terminal shows both streams, either may come first."""
    def trimmed(text):
        return "\n".join(map(str.rstrip, text.strip("\n").splitlines()))

    pattern = re.compile(".*".join(map(re.escape, trimmed(expected).split("..."))), re.DOTALL)
    return any(pattern.fullmatch(trimmed(printed)) for printed in (stderr + stdout, stdout + stderr))


def command_lines(script):
    """The command lines of mc2 in a script of a shell, as lists of words without `mc2` itself."""
    lexer = shlex.shlex(script.replace("\\\n", " ").replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    lines, words = [], []
    for word in [*lexer, ";"]:
        if set(word) <= OPERATORS:
            lines.append(words)
            words = []
        else:
            words.append(word)
    return [words[words.index("mc2") + 1:] for words in lines if "mc2" in words]


def without_comments(script):
    """The script without the comments of its lines."""
    return re.sub(r"(^|\s)#.*$", r"\1", script, flags=re.MULTILINE)


def check(command, words, parent=None, name="mc2"):
    """Raise click.UsageError where words are no command and options of this click command, as far as can be seen
    without running it: files need not be there."""
    ctx = command.context_class(command, parent=parent, info_name=name)
    if isinstance(command, click.Group):
        name, inner, rest = command.resolve_command(ctx, list(words))
        return check(inner, rest, ctx, name)
    values, _, _ = command.make_parser(ctx).parse_args(list(words))
    for param in command.params:
        if isinstance(values.get(param.name), str) and not isinstance(param.type, click.Path):
            param.type_cast_value(ctx, values[param.name])
