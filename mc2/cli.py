"""The command `mc2`: finds the subcommand, runs it, and turns what went wrong into one line and an exit status."""
import errno
import os
import sys

import click

from mc2 import __version__, options, signals, temporaries
from mc2.errors import Mc2Error
from mc2.terminal import say, say_trace

# {name: summary}. Each is mc2/commands/NAME.py, or a package there, with a click command of that name (`-` as `_`). A
# summary has at most 58 characters, so that a terminal of 80 columns shows all of it.
COMMANDS = {
    "build-metadata": "wordnets, Wikipedia dumps, your own lists -> entries",
    "extract": "pages of Common Crawl (WAT, WARC) -> pairs",
    "dedup": "each pair once; no images of the evaluation in training",
    "lid": "the language of every alt-text",
    "match": "the entries that occur in it",
    "count": "how many texts match each entry",
    "thresholds": "where the head of each language begins",
    "sample": "keep the tail, thin out the head",
    "filter": "safety: scores, limits, faces; or a class of your own",
    "curate": "lid to sample as one job over a pool of shards",
    "status": "how far the work on shards is",
    "explain": "why a pair was kept or dropped",
    "compare": "how two curations differ, or two releases",
    "report": "a data card: one page to look at, for a browser",
    "inspect": "what is in any of these files",
    "images": "tars of your own images; downloads of others",
    "join": "a shard of pairs for every tar of images",
    "export": "a curated set as a data set for Hugging Face, with a card",
    "tokenizer": "a tokenizer made from your own texts",
    "plan": "what a training run of the paper takes: steps, GPU hours",
    "train": "CLIP on curated or matched pairs, with online curation",
    "conflict": "whether English and the other languages pull apart",
    "checkpoint": "show checkpoints of train; exchange them with other tools",
    "eval": "score a model on the paper's benchmarks, from local data",
}

OF_THE_NAME = (errno.EISDIR, errno.ENAMETOOLONG)        # errors of the system that the command line is to blame for

CONTEXT = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "MC2", "max_content_width": 100}


def _version(ctx, param, value):
    if value and not ctx.resilient_parsing:
        from mc2 import engines
        native = "native, " if engines.native() else ""
        click.echo(f"mc2 {__version__}, engines: match {native}pyahocorasick; lid {native}fasttext"
                   + ("" if native else " (the native core is not built)"))
        ctx.exit()


@click.group(cls=options.LazyGroup, package="mc2.commands",
             modules={name: name.replace("-", "_") for name in COMMANDS}, summaries=COMMANDS, context_settings=CONTEXT,
             no_args_is_help=True)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
              help="Show the version and the engines, and exit.")
def cli():
    """Curate image-text pairs worldwide, after the Meta CLIP 2 recipe.

    \b
    Pairs flow as JSON Lines through files and pipes:
      mc2 build-metadata merge sources -o metadata
      mc2 lid pairs.jsonl.zst | mc2 match -m metadata -o matched.jsonl.zst
      mc2 count matched.jsonl.zst -m metadata -o counts
      mc2 thresholds counts --t-en 170000 -o thresholds.json
      mc2 sample matched.jsonl.zst -c counts -t thresholds.json -o curated.jsonl.zst

    Every option can also be set by an environment variable, e.g. MC2_METADATA.
    """


def main(args=None):
    """Run mc2 and exit: 0 ok, 1 unexpected, 2 usage, 3 bad data, 130 Ctrl-C, 129 SIGHUP, 141 closed pipe,
    143 SIGTERM."""
    _open_missing_streams()
    sys.stdout.reconfigure(errors="backslashreplace")       # for terminals that are not UTF-8
    os.environ["PYTHONSAFEPATH"] = "1"                      # worker processes import nothing from the current directory
    signals.install()                                       # so that temporary files and workers go
    status = run(sys.argv[1:] if args is None else args)
    signals.ignore()
    temporaries.discard_unfinished()                        # where a second signal came while the first was carried out
    try:
        sys.stdout.flush()
    except OSError:                                         # again: run has said it
        _discard_stdout()
    sys.exit(status)


def run(args):
    """Run mc2 with these arguments and return the exit status."""
    if "_MC2_COMPLETE" in os.environ:
        from mc2.completion import complete
        return complete(cli, os.environ["_MC2_COMPLETE"])
    meta = {}
    try:
        with cli.make_context("mc2", list(args)) as ctx:
            meta = ctx.meta
            cli.invoke(ctx)
        sys.stdout.flush()
        signals.raise_lost()
        signals.ignore()
        return 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        if not error.args and not error.message or type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            return error.exit_code
        path = error.ctx.command_path if error.ctx else meta.get("mc2.command", "mc2")
        message = error.format_message()
        if message.split()[0].isalpha():            # "Missing ...", but not the name of a file
            message = message[0].lower() + message[1:]
        say(f"{path}: {message} See '{path} -h'.")
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say(meta, "interrupted.")
        return 130
    except BrokenPipeError:
        return 141
    except SystemExit as end:
        if signals.came():                          # SIGTERM, SIGHUP
            _say(meta, "terminated.")
            return end.code
        code = "" if end.code is None else repr(end.code)
        _say(meta, f"code of yours called sys.exit({code}), so the work was not done. Have it raise an error.")
        return 1
    except Exception as error:
        verbose = meta.get("mc2.verbose", False)
        if verbose:
            import traceback
            say_trace(traceback.format_exc())
            for each in (error, error.__cause__):
                if trace := getattr(each, "trace", ""):         # of a worker
                    say_trace(trace)
        _say(meta, *getattr(error, "lines", [_explain(error, verbose)]))
        return getattr(error, "status", 2 if getattr(error, "errno", None) in OF_THE_NAME else 1)


def _say(meta, message, *more):
    say(f"{meta.get('mc2.command', 'mc2')}: {message}", *more)


def _explain(error, verbose):
    if isinstance(error, Mc2Error):
        return str(error)
    if isinstance(error, OSError) and (error.strerror or error.filename):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}.{_way_out(error)}"
    if isinstance(error, MemoryError):
        return "out of memory."
    hint = "" if verbose else " (-v shows where)"
    return f"unexpected {type(error).__name__}: {error}{hint}"


def _way_out(error):
    """What to do where the system refused a path: the end of a message."""
    from mc2 import files
    if error.errno == errno.EBADF and error.filename in (files.STDIN, files.STDOUT):
        return " The caller closed it: name a file."
    if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or not isinstance(error.filename, str):
        return ""
    folder = error.filename
    while not os.path.exists(folder):
        folder = os.path.dirname(os.path.abspath(folder))
    if os.path.isdir(folder) and not os.access(folder, os.W_OK):
        return f" This user cannot write to {folder}: name another place."
    return "" if os.access(folder, os.R_OK) else " This user cannot read it."


def _open_missing_streams():
    """In place of a stream that the caller closed (`2>&-`), so that no file gets its number. stdin and stdout
    are opened the wrong way round: to use them is an error."""
    for name, flags, mode in [("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w")]:
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, flags)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, open(descriptor, mode))


def _discard_stdout():
    """The reader is gone: what is still buffered must not raise again when Python closes stdout."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
