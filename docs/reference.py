"""Write what the documentation takes from the commands themselves: the options of the pages of commands, the list of the
commands, and the man pages.

    python docs/reference.py            # writes what has changed, and names it
    python docs/reference.py --check    # writes nothing; exit 1 where something is out of date

In docs/commands/NAME.md the lines between `<!-- options -->` and `<!-- end of options -->` are replaced, in
docs/commands/index.md those between `<!-- commands -->` and `<!-- end of commands -->`. The man pages are docs/man/*.1.
"""
import re
import sys
import textwrap
from pathlib import Path

import click

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

from mc2 import __version__             # noqa: E402
from mc2.cli import COMMANDS, cli       # noqa: E402

OPTIONS = "<!-- options -->", "<!-- end of options -->"
LIST = "<!-- commands -->", "<!-- end of commands -->"
STATUSES = [("0", "Done."), ("1", "Unexpected: a full disk, a killed worker, a fault of mc2 (-v shows where)."),
            ("2", "The command line: no such file, options that exclude each other."),
            ("3", "Bad data: the message names the file and the line, and what to do next."),
            ("130, 129, 141, 143", "Ctrl-C, SIGHUP, a reader of a pipe that went away, SIGTERM.")]


# What click holds of a command

class Command:
    """A command as the documentation shows it."""

    def __init__(self, name, command, group=None):
        """name: as it is typed, "mc2 dedup urls". group: the Command of which this is a part."""
        self.name, self.command, self.group = name, command, group
        self.arguments = [param for param in command.params if isinstance(param, click.Argument)]
        self.options = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]
        self.parts = [Command(f"{name} {part}", inner, self) for part, inner in inner_commands(name, command)]

    @property
    def usage(self):
        """How the command is called, without its name: "[OPTIONS] [INPUTS]..."."""
        words = ["[OPTIONS]", *map(of_argument, self.arguments)]
        if isinstance(self.command, click.Group):
            words.append(self.command.subcommand_metavar or "COMMAND ...")
        return " ".join(words)

    @property
    def own_options(self):
        """The options that the group, where there is one, does not have in the same form."""
        of_group = [facts(option) for option in self.group.options] if self.group else []
        return [option for option in self.options if facts(option) not in of_group]

    @property
    def shared_options(self):
        own = self.own_options
        return [option for option in self.options if option not in own]

    def variables(self, option):
        """Names of the environment variables of an option: list of str."""
        named = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
        if not named and option.expose_value:
            named = [f"{self.name}_{option.name}".upper().replace(" ", "_").replace("-", "_")]
        return named


def inner_commands(name, command):
    """The commands of a group, as (name, command). `inspect languages` is one too, although `inspect` is no group."""
    if isinstance(command, click.Group):
        return [(part, command.get_command(None, part)) for part in command.list_commands(None)]
    if name == "mc2 inspect":
        from mc2.commands.inspect import languages
        return [("languages", languages)]
    return []


def commands():
    """All commands, in the order of `mc2 --help`: list of Command."""
    return [Command(f"mc2 {name}", cli.get_command(None, name)) for name in COMMANDS]


def of_argument(argument):
    """How an argument is called in the usage: "[INPUTS]..."."""
    if argument.metavar:
        return argument.metavar
    name = argument.name.upper()
    return (name if argument.required else f"[{name}]") + ("..." if argument.nargs != 1 else "")


def facts(option):
    return option.opts, option.secondary_opts, value_of(option), option.help, default_of(option)


def spellings(option):
    """The forms of an option, the last with the name of its value: ["-o", "--output FILE"]."""
    *others, last = [*option.opts, *option.secondary_opts]
    return [*others, f"{last} {value_of(option)}".rstrip()]


def details_of(option):
    """What is to be said beside the help of an option: list of sentences."""
    details = []
    if numbers := range_of(option):
        details.append(f"{numbers[0].upper()}{numbers[1:]}.")
    if (default := default_of(option)) is not None:
        details.append(f"Default: `{default}`.")
    if option.multiple and not re.search("repeated|several times", option.help or ""):
        details.append("May be repeated.")
    return details


def value_of(option):
    """What an option calls its value: "FILE", "stop|skip"; "" where it takes none."""
    if option.is_flag or option.count:
        return ""
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    return option.type.name.upper()


def default_of(option):
    """The value that holds where the option is not given; None where its help says it or there is none."""
    if not option.show_default or option.is_flag or callable(option.default) or option.default in (None, "", ()):
        return None
    value = option.show_default if isinstance(option.show_default, str) else option.default
    return str(value)


def range_of(option):
    """The numbers that an option takes, "at least 1"; "" where any."""
    kind = option.type
    if not isinstance(kind, (click.IntRange, click.FloatRange)):
        return ""
    low = "" if kind.min is None else f"{'more than' if kind.min_open else 'at least'} {kind.min:g}"
    high = "" if kind.max is None else f"{'less than' if kind.max_open else 'at most'} {kind.max:g}"
    return ", ".join(filter(None, [low, high]))


def paragraphs(text):
    """The help of a command: (whether it is shown as it is written, its text) for each paragraph."""
    for paragraph in re.split(r"\n\s*\n", textwrap.dedent(text or "").strip()):
        lines = paragraph.strip("\n").splitlines()
        if lines[0].strip() == "\b":
            yield True, textwrap.dedent("\n".join(lines[1:]))
        else:
            yield False, " ".join(map(str.strip, lines))


def clean_help(command):
    import inspect
    return inspect.cleandoc(command.help or "")


# Markdown

def markdown_options(command):
    """The list of the options of a page, without its markers."""
    text = [f"`{command.name} {command.usage}`", *markdown_list(command, command.options)]
    if command.parts and not command.options:
        text = [f"`{command.name} {command.usage}`"]
    for part in command.parts:
        first = next(text for is_shown, text in paragraphs(clean_help(part.command)) if not is_shown)
        text += [f"### {part.name}", as_markdown(first), f"`{part.name} {part.usage}`"]
        text += markdown_list(part, part.own_options)
        if shared := part.shared_options:
            named = ", ".join(f"`{max(option.opts, key=len)}`" for option in shared)
            text += [wrapped(f"It also takes these options of `{command.name}`, described above: {named}.")]
    return "\n\n".join(text)


def markdown_list(command, options):
    if not options:
        return []
    return ["\n".join(markdown_option(command, option) for option in options)]


def markdown_option(command, option):
    forms = ", ".join(f"`{form}`" for form in spellings(option))
    details = details_of(option)
    if names := command.variables(option):
        details.append("Variable: " + ", ".join(f"`{name}`" for name in names) + ".")
    return f"- **{forms}**<br>\n" + wrapped(" ".join([as_markdown(option.help or ""), *details]), "  ")


def as_markdown(text):
    """Text of a help as Markdown: options and variables as code, letters that mean something in Markdown escaped."""
    parts = re.split(r"(`[^`]*`)", re.sub(r"\s+", " ", text))
    for index in range(0, len(parts), 2):
        plain = parts[index].replace("*", r"\*").replace("<", "&lt;")
        plain = re.sub(r"(?<![\w`-])(--[a-z][a-z0-9-]*|-[a-zA-Z])(?![\w-])", r"`\1`", plain)
        parts[index] = re.sub(r"(\$[A-Z][A-Z0-9_]+)", r"`\1`", plain)
    return "".join(parts)


def wrapped(text, indent=""):
    return textwrap.fill(text, 120, initial_indent=indent, subsequent_indent=indent, break_long_words=False,
                         break_on_hyphens=False)


def markdown_commands():
    """The table of the commands."""
    rows = [f"| [`mc2 {name}`]({name}.md) | {summary} |" for name, summary in COMMANDS.items()]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


def between(text, markers, filling, path):
    """The text of a page with the lines between two markers replaced."""
    begin, end = markers
    if text.count(begin) != 1 or text.count(end) != 1:
        raise SystemExit(f"{path}: a page of a command has one line '{begin}' and one line '{end}' after it.")
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    return f"{before}{begin}\n\n{filling}\n\n{end}{after}"


# Man pages, in roff with the macros of man(7)

def man_page(command):
    """The man page of a command and of its parts."""
    return "\n".join([
        *title(command.name.replace(" ", "-")),
        ".SH NAME", f"{roff(command.name.replace(' ', '-'))} \\- {roff(COMMANDS[command.name.split()[1]])}",
        ".SH SYNOPSIS", f".B {roff(command.name)}", roff(command.usage),
        ".SH DESCRIPTION", *roff_help(command.command),
        *roff_options(command, ".SH OPTIONS", command.options),
        *([".SH COMMANDS"] if command.parts else []),
        *(line for part in command.parts for line in [
            f".SS {roff(part.name)} {roff(part.usage)}", *roff_help(part.command),
            *roff_options(part, ".PP\nOptions:", part.own_options), *roff_shared(part)]),
        ".SH ENVIRONMENT", *roff_variables(command), *roff_statuses(),
        ".SH SEE ALSO", ".BR mc2 (1)", ""])


def main_page():
    """The man page mc2(1), which names the commands."""
    lines = [*title("mc2"), ".SH NAME", r"mc2 \- balanced image\-text pairs from the whole web, in 300+ languages",
             ".SH SYNOPSIS", ".B mc2", roff("COMMAND [OPTIONS] ..."), ".SH DESCRIPTION", *roff_help(cli),
             ".SH COMMANDS"]
    for name, summary in COMMANDS.items():
        lines += [".TP", f".BR mc2\\-{roff(name)} (1)", f"{roff(summary[0].upper() + summary[1:])}."]
    return "\n".join([*lines, *roff_statuses(), ".SH SEE ALSO",
                      roff("The manual is in the folder docs/ of the source of mc2.") , ""])


def title(name):
    return [r'.\" Made by docs/reference.py from the help of the commands.',
            f'.TH {roff(name.upper())} 1 "" "mc2 {__version__}" "mc2"']


def roff(text):
    """Text in roff: nothing in it is taken for a request or changed into another character."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    for letter, escape in {"'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq"}.items():
        text = text.replace(letter, escape)
    return re.sub(r"^\.", r"\\&.", text, flags=re.MULTILINE)


def roff_help(command):
    lines = []
    for is_shown, text in paragraphs(clean_help(command)):
        if is_shown:
            lines += [".PP", ".nf", ".RS 4", *map(roff, text.splitlines()), ".RE", ".fi"]
        else:
            lines += [".PP", roff(text)]
    return lines[1:] if lines[:1] == [".PP"] and lines[1] != ".nf" else lines       # the first needs no space before it


def roff_options(command, heading, options):
    lines = [heading] if options else []
    for option in options:
        forms = ", ".join(rf"\fB{roff(form.partition(' ')[0])}\fR" + (rf" \fI{roff(value)}\fR" if value else "")
                          for form in spellings(option) for value in [form.partition(" ")[2]])
        said = " ".join([*(option.help or "").split(), *details_of(option)]).replace("`", "")
        lines += [".TP", forms, roff(said)]
    return lines


def roff_shared(part):
    if not part.shared_options:
        return []
    named = ", ".join(max(option.opts, key=len) for option in part.shared_options)
    return [".PP", roff(f"It also takes these options of {part.group.name}: {named}.")]


def roff_variables(command):
    everywhere = [command, *command.parts]
    first = next(((each, option) for each in everywhere for option in each.options), None)
    lines = []
    if first:
        each, option = first
        spelled = max(option.opts, key=len)
        lines = [roff(f"Every option can be given as a variable, {spelled} of '{each.name}' as "
                      f"{each.variables(option)[0]}.")]
    named = {name: f"{max(option.opts, key=len)}" for each in everywhere for option in each.options
             if option.envvar for name in each.variables(option)}
    for name, spelled in named.items():
        lines += [".TP", rf"\fB{roff(name)}\fR", roff(f"In place of {spelled}.")]
    return lines


def roff_statuses():
    return [".SH EXIT STATUS", *(line for status, said in STATUSES for line in [".TP", roff(status), roff(said)])]


# Writing

def contents():
    """What each of the files is to hold: {path: text}."""
    files = {DOCS / "man/mc2.1": main_page()}
    for command in commands():
        name = command.name.split()[1]
        files[DOCS / f"man/mc2-{name}.1"] = man_page(command)
        page = DOCS / f"commands/{name}.md"
        if page.exists():
            files[page] = between(page.read_text("utf-8"), OPTIONS, markdown_options(command), page)
    index = DOCS / "commands/index.md"
    if index.exists():
        files[index] = between(index.read_text("utf-8"), LIST, markdown_commands(), index)
    return files


def main(check=False):
    """Write what has changed, or only name it. Returns the exit status."""
    held = contents()
    stale = {path: None for path in (DOCS / "man").glob("*.1") if path not in held}
    stale |= {path: text for path, text in held.items() if not path.exists() or path.read_text("utf-8") != text}
    for path, text in sorted(stale.items()):
        print(f"{path.relative_to(DOCS.parent)}: " + ("out of date" if check else "written" if text else "removed"))
        if not check and text is None:
            path.unlink()
        elif not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    raise SystemExit(main("--check" in sys.argv[1:]))
