"""Completion of a command line by the shell: what click knows, and else the names of files."""
from click.shell_completion import CompletionItem, add_completion_class, get_completion_class, shell_complete


def complete(cli, instruction):
    """Do what the shell asks for, "bash_complete" or "zsh_source" say, and return the exit status."""
    shell = instruction.partition("_")[0]
    if known := get_completion_class(shell):
        add_completion_class(type(known.__name__, (_WithFiles, known), {}), shell)
    return shell_complete(cli, {}, "mc2", "_MC2_COMPLETE", instruction)


class _WithFiles:
    """Offers the names of files where click has nothing to offer: most arguments and options of mc2 are files."""

    def get_completions(self, args, incomplete):
        return super().get_completions(args, incomplete) or [CompletionItem(incomplete, type="file")]
