"""Options that several commands share, each declared once."""
import contextlib
import functools
import glob
import importlib
import os
import re

import click

from mc2.errors import BadUsage

DEEPEST, MOST = 4, 1000             # folders that are looked into for files of pairs: levels of them, and on each
# What options call the names of files and directories, in their help.
NAMES = ("FILE", "FILE.csv", "FILE.npy", "DIR", "FOLDER", "OUT", "METADATA", "SOURCES", "CHECKPOINT", "TARS", "PAIRS")
SCHEMES = ["lid176", "nllb", "openlid", "glotlid"]


class Group(click.Group):
    """A group that notes which command runs, for the messages."""

    def resolve_command(self, ctx, args):
        if args and self.get_command(ctx, args[0]) is None and (near := self._near(ctx, args[0])):
            raise click.UsageError(f"no such command {args[0]!r}. Did you mean {near!r}?", ctx)
        name, command, rest = super().resolve_command(ctx, args)
        ctx.meta["mc2.command"] = f"{ctx.command_path} {name}"
        if not ctx.resilient_parsing:           # of a line that is being typed
            refuse_unclear(command, name, rest, ctx)
        return name, command, rest

    def _near(self, ctx, name):
        import difflib
        return next(iter(difflib.get_close_matches(name, self.list_commands(ctx), 1)), None)


def refuse_unclear(command, name, args, parent):
    """Raise UsageError where an option that takes one value is given twice, of which click takes the last without a
    word; or where the name of a file or directory is empty, as a variable of the shell that is not set gives it."""
    ctx = command.context_class(command, parent=parent, info_name=name)
    try:
        values, _, order = command.make_parser(ctx).parse_args(list(args))
    except (click.UsageError, click.exceptions.Exit):
        return                                  # it is said when the command itself looks at its arguments
    for param in dict.fromkeys(order):
        if not isinstance(param, click.Option) or param.is_flag or param.count or param.multiple:
            continue
        spelled = max(param.opts, key=len)
        if order.count(param) > 1:
            raise click.UsageError(f"{spelled} is given {order.count(param)} times, and takes one value. Give it once.",
                                   ctx)
        if values.get(param.name) == "" and param.metavar in NAMES:
            raise click.UsageError(f"{spelled} '': the name is empty. Name a file or directory.", ctx)


class LazyGroup(Group):
    """A group whose commands are imported when they are asked for."""

    def __init__(self, *args, package, modules, summaries=None, **kwargs):
        """modules: {name of a command: module of the package, in which the command has the module's name}. summaries:
        {name: what the list of commands says of it}; None = the beginning of its help."""
        super().__init__(*args, **kwargs)
        self.package, self.modules, self.summaries = package, modules, summaries

    def list_commands(self, ctx):
        return list(self.modules)

    def get_command(self, ctx, name):
        if name not in self.modules:
            return None
        module = self.modules[name]
        return getattr(importlib.import_module(f"{self.package}.{module}"), module)

    def format_commands(self, ctx, formatter):
        if self.summaries is None:
            return super().format_commands(ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries.items()))


class Size(click.ParamType):
    """A number of bytes, with a suffix K, M, G or T if need be."""

    name = "size"
    units = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

    def convert(self, value, param, ctx):
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([0-9]+)([KMGT]?)", value.strip().upper())
        if not match:
            self.fail(f"{value!r} is not a size such as 800M or 8G.", param, ctx)
        return int(match[1]) * self.units[match[2]]


class Number(click.IntRange):
    """A whole number of at least 1, with a suffix k, M or B (thousands, millions, billions) if need be: 400M, 2.5B."""

    name = "number"
    units = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}

    def __init__(self):
        super().__init__(1, 2**63 - 1)

    def convert(self, value, param, ctx):
        match = re.fullmatch(r"([0-9][0-9_,]*)(\.[0-9]+)?([KMB]?)", str(value).strip().upper())
        if match:
            decimals = (match[2] or ".")[1:]
            number, rest = divmod(int(re.sub("[_,]", "", match[1]) + decimals) * self.units[match[3]], 10 ** len(decimals))
            value = value if rest else number
        return super().convert(value, param, ctx)

    def __repr__(self):
        return "Number()"


def _verbose(ctx, param, value):
    ctx.meta["mc2.verbose"] = value


def _log_every(ctx, param, value):
    from mc2 import meter
    meter.print_every(value)


def _receipt(ctx, param, value):
    from mc2.execution import receipt
    if not ctx.resilient_parsing:
        receipt.keep_in(_output(ctx, param, value))


def _jobs(ctx, param, value):
    if value < 0:
        raise click.BadParameter("must be 0 (all cores) or more.")
    return value


def _shard(ctx, param, value):
    if value is None:
        return None
    try:
        index, total = map(int, value.split("/"))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not I/N, e.g. 0/8.") from None
    if not 0 <= index < total:
        raise click.BadParameter(f"{value}: I goes from 0 to N-1.")
    return index, total


def _inputs(ctx, param, values):
    """Expand @list.txt, and look that every input is there before any work begins. None where none is named."""
    from mc2 import files
    if not values:
        return None
    paths = []
    for value in values:
        if value.startswith("@"):
            paths += _listed(value[1:])
        else:
            paths.append(value)
    paths = _expanded(paths)
    there = files.map_paths(lambda path: path == "-" or files.exists(path), paths)
    for path, is_there in zip(paths, there):
        if not is_there:
            raise click.BadParameter(f"{files.name_of(path)}: {_why_missing(path)}.")
    if paths.count("-") > 1:
        raise click.BadParameter("stdin (-) is named twice.")
    return paths


def expanded(patterns):
    """The paths that patterns, @list.txt and names stand for, all of which are there. Raises BadParameter."""
    return _inputs(None, None, patterns) or []


def _why_missing(path):
    from mc2 import files
    if not files.is_remote(path):
        try:
            os.stat(path)
        except PermissionError as error:
            return f"{error.strerror}; this user cannot look into its folder"
        except (OSError, ValueError):
            pass
    return "no such file"


def _expanded(paths):
    """Paths with patterns replaced by what they stand for: those of URLs, which no shell knows, and those in quotes,
    for pools of more files than a command line can name."""
    from mc2 import files
    expanded = []
    for path in paths:
        if files.is_remote(path) and "*" in path:
            from mc2 import remote
            found = remote.expand(path)
            if not found:
                raise click.BadParameter(f"{path}: no such files.")
            expanded += found
        elif glob.has_magic(path) and not files.is_remote(path) and not os.path.lexists(path):
            expanded += sorted(glob.glob(path, recursive=True)) or [path]
        else:
            expanded.append(path)
    return expanded


def _listed(path):
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:     # as names of files are
            return [line for line in stream.read().split("\n") if line.strip()]
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{path}: cannot read the list ({error}).") from None


def _output(ctx, param, value):
    from mc2 import files
    return "-" if value and files.descriptor_of(value) == 1 else value


def _shards_in(directory):
    """A pattern for the files of pairs in a directory, or in the folders of a local one (part=0/0.parquet); None where
    there are none."""
    suffixes = [".jsonl.zst", ".jsonl.gz", ".parquet", ".jsonl", ".csv", ".csv.gz", ".csv.zst", ".tsv", ".tsv.gz",
                ".tsv.zst", ".wat.gz", ".warc.gz", ".wat", ".warc"]
    from mc2 import files
    folders, pattern = [directory], directory
    while folders and pattern.count("*") < DEEPEST:
        found = [(folder, name) for folder in folders for name in files.names_in(folder) if not name.startswith(".")]
        suffix = next((suffix for suffix in suffixes if any(name.endswith(suffix) for _, name in found)), None)
        if suffix:
            return os.path.join(pattern, f"*{suffix}")
        pattern = os.path.join(pattern, "*")
        folders = [] if files.is_remote(directory) else [
            path for path in (os.path.join(*names) for names in found[:MOST]) if os.path.isdir(path)]
    return None


def _may_be_counts(directory):
    from mc2 import files
    return not files.is_remote(directory) and (os.path.exists(os.path.join(directory, "manifest.json"))
                                               or _shards_in(directory) is None)


def pair_inputs(ctx, inputs, shard, allow_directories=False):
    """The inputs of a command that reads pairs: stdin by default (None); help when that is a terminal."""
    from mc2 import files
    if inputs is None:
        if click.get_binary_stream("stdin").isatty():
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        inputs = ["-"]
    for path, is_directory in zip(inputs, files.map_paths(files.is_directory, inputs)):
        if is_directory and not (allow_directories and _may_be_counts(path)):
            raise BadUsage(f"{path}: is a directory. Name the files in it, e.g. "
                           f"{_shards_in(path) or os.path.join(path, '*.jsonl')}.")
        if files.has_suffix(path, ".manifest.json"):
            raise BadUsage(f"{path}: is a manifest, not pairs. Name the pairs alone, e.g. "
                           f"{_shards_in(os.path.dirname(path) or '.') or '*.jsonl'}.")
    if shard:
        index, total = shard
        inputs = inputs[index::total]
    return inputs


inputs = click.argument("inputs", nargs=-1, callback=_inputs)
output = click.option("-o", "--output", default="-", metavar="FILE", callback=_output,
                      help="Output file. Default: stdout.")
output_dir = click.option("-O", "--output-dir", metavar="DIR",
                          help="One output shard per input shard, of the same name, in folders where inputs share a "
                               "name; finished ones are skipped.")
jobs = click.option("-j", "--jobs", default=1, show_default=True, metavar="N", callback=_jobs, type=int,
                    help="Worker processes; 0 = all cores. The order of the output does not depend on it.")
shard = click.option("--shard", metavar="I/N", callback=_shard,
                     help="Only every N-th input, from I = 0: for job arrays.")
force = click.option("-f", "--force", is_flag=True, help="Make finished shards again.")
dry_run = click.option("-n", "--dry-run", is_flag=True, help="Say what would be done; write nothing.")
on_error = click.option("--on-error", type=click.Choice(["stop", "skip"]), default="stop", show_default=True,
                        help="At a line that is not a pair: stop, or skip and count it.")
longest = click.option("--longest-line", type=Size(), default="16M", show_default=True, metavar="SIZE",
                       help="A longer line, or text of Parquet, is no pair. Memory: up to 15 times as much.")
rejects = click.option("--rejects", metavar="FILE", help="Keep the skipped lines in FILE (implies --on-error skip).")
dropped = click.option("--dropped", metavar="FILE",
                       help="Keep the pairs that are dropped in FILE, each with the reason.")
quiet = click.option("-q", "--quiet", is_flag=True, help="No progress and no receipt on stderr.")
receipt = click.option("--receipt", metavar="FILE", expose_value=False, callback=_receipt,
                       help="Write the receipt to FILE too, as JSON: counts by reason, output, seconds. A dry run "
                            "writes none.")
log_every = click.option("--log-every", type=click.FloatRange(0), default=60, show_default=True, metavar="SECONDS",
                         expose_value=False, callback=_log_every,
                         help="Without a terminal: a line on how far it is, so often; 0 = none.")
verbose = click.option("-v", "--verbose", is_flag=True, expose_value=False, callback=_verbose,
                       help="Show where an unexpected error arose.")
columns = click.option("--columns", multiple=True, metavar="KEY=COLUMN,...",
                       help="Which columns of the inputs are id, text, url and lang, e.g. id=uid,text=TEXT.")
id_column = click.option("--id", metavar="COLUMN",
                         help="Which column is the id; auto: make ids from the URL, else from file and line.")
text_column = click.option("--text", metavar="COLUMN", help="Which column is the text.")
input_format = click.option("--format", type=click.Choice(["jsonl", "json", "csv", "tsv", "parquet"]),
                            help="Format of the inputs, where their names do not tell it (stdin).")
header = click.option("--header", metavar="NAME,...",
                      help="Names of the columns of CSV or TSV whose first line is a pair already, e.g. text,url.")
seed = click.option("--seed", type=int, default=0, show_default=True,
                    help="The same seed keeps the same pairs in any order, sharding and number of jobs.")

ids = click.option("--ids", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
                   help="Only the pairs whose id is in FILE, one per line: those whose images are there, say.")


class _Metadata(click.ParamType):
    """The directory of a release; where none is named, the message says how to make a first one."""

    name = "directory"

    def get_missing_message(self, param, ctx=None):
        return "Where you have no release yet, 'mc2 build-metadata starter -o metadata' makes a first one in a minute."

    def convert(self, value, param, ctx):
        return value


metadata = click.option("-m", "--metadata", required=True, type=_Metadata(), envvar="MC2_METADATA", metavar="DIR",
                        help="Metadata release (or $MC2_METADATA).")
counts = click.option("-c", "--counts", required=True, envvar="MC2_COUNTS", metavar="DIR",
                      help="Counts of the pool (or $MC2_COUNTS).")
thresholds = click.option("-t", "--thresholds", required=True, envvar="MC2_THRESHOLDS", metavar="FILE",
                          help="Thresholds (or $MC2_THRESHOLDS).")



def check_outputs(ctx, output_dir):
    """Raise UsageError where -o and -O are both given."""
    if output_dir is not None and ctx.get_parameter_source("output") is not click.core.ParameterSource.DEFAULT:
        raise click.UsageError("-o and -O exclude each other.")


# ---------------------------------------------------------------- executors

EXECUTOR_OPTIONS = ("executor", "address", "slurm_option", "slurm_groups", "print_only")


def executor_options(function):
    """Give a command the options of where its shards are done, as `executor_of` wants them."""
    for option in reversed([
            click.option("--executor", type=click.Choice(["local", "ray", "slurm"]), default="local", show_default=True,
                         help="Where shards are done. The result is the same."),
            click.option("--address", metavar="HOST:PORT", help="Head of the cluster of --executor ray, or `auto`. "
                                                                "Default: Ray on this machine alone."),
            click.option("--slurm-option", multiple=True, metavar="--X=Y",
                         help="Line for sbatch, e.g. --partition=cpu; may be given several times."),
            click.option("--slurm-groups", default=800, show_default=True, metavar="N", type=click.IntRange(1),
                         help="Most tasks of an array job."),
            click.option("--print", "print_only", is_flag=True,
                         help="Of --executor slurm: print the script that comes next, and submit nothing.")]):
        function = option(function)
    return function


def executor_of(jobs, executor, address, slurm_option, slurm_groups, print_only):
    """A function (work directory, command, part) -> executor. Raises UsageError for options of another executor."""
    for owner, given in {"ray": {"--address": address},
                         "slurm": {"--slurm-option": slurm_option, "--print": print_only}}.items():
        for option, value in given.items():
            if value and owner != executor:
                raise click.UsageError(f"{option} is for --executor {owner}.")

    def make(work, command, part=None):
        if executor == "ray":
            from mc2.execution.ray import Ray
            return Ray(address)
        if executor == "slurm":
            from mc2.execution.slurm import Slurm
            if work is None:
                raise BadUsage("--executor slurm keeps its scripts in the output directory, which must be on a file "
                               "system that all nodes see. Name a directory, not a URL.")
            name = "slurm" if part is None else f"slurm.{part[0]}-{part[1]}"
            return Slurm(os.path.join(work, name), slurm_option, slurm_groups, print_only, command)
        from mc2.execution.local import Local
        return Local(jobs)

    return make


@contextlib.contextmanager
def printing_scripts(wanted):
    """Print the script of SLURM that ends the block, where one is wanted. Nothing is done then, so the receipt of an
    earlier run stays."""
    if not wanted:
        yield
        return
    from mc2.execution import receipt
    from mc2.execution.slurm import Printed
    receipt.keep_in(None)
    try:
        yield
    except Printed as printed:
        with open(printed.args[0], "rb") as stream:
            click.echo(stream.read(), nl=False)


def reads_columns(function):
    """Give a command the options that say which columns of its inputs are id and text, as one argument `reading`."""
    @functools.wraps(function)
    def wrapper(*args, columns, id, text, format, header, **rest):
        from mc2.pairs.columns import reading_of
        return function(*args, reading=reading_of(columns, id, text, format, header), **rest)

    for option in (header, input_format, columns, text_column, id_column):
        wrapper = option(wrapper)
    return wrapper


def say_how_to_be_faster(quiet):
    """Say in one line that the native core is not built, where that is so."""
    from mc2 import engines
    if not quiet and engines.native() is None:
        click.echo("mc2: the native core is not built, so this takes many times longer, with the same result. Where "
                   "there is a C++ compiler (Debian: apt-get install g++), install mc2 again; -q hides this line.", err=True)


def reads_pairs(command=None, *, reduces=False, takes="pairs"):
    """Give a command the options of reading pairs, as one argument `run` (see mc2.execution.run.Run).

    A command that reduces has its own -o, and takes directories as inputs. takes: what the inputs hold, where they are
    no pairs: such a command has no options about columns and lines.
    """
    of_pairs = takes == "pairs"

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, inputs, shard, jobs, dry_run, on_error, rejects, quiet, **rest):
            from mc2.execution.run import Run
            ctx = click.get_current_context()
            all_inputs = pair_inputs(ctx, inputs, None, allow_directories=reduces)
            inputs = all_inputs[shard[0]::shard[1]] if shard else all_inputs
            outputs = {}
            if not reduces:
                outputs = {key: rest.pop(key) for key in ("output", "output_dir", "force", "dropped")}
                check_outputs(ctx, outputs["output_dir"])
                outputs["executor"] = executor_of(jobs, **given_executor_options(ctx, rest, outputs["output_dir"]))
                outputs.update(part=shard, all_inputs=all_inputs)
            say_how_to_be_faster(quiet)
            how = {"longest": rest.pop("longest_line"), "reading": rest.pop("reading")} if of_pairs else {}
            run = Run(inputs, **outputs, **how, jobs=jobs, dry_run=dry_run, rejects=rejects, quiet=quiet, takes=takes,
                      command=ctx.command_path.partition(" ")[2],
                      skip_bad=on_error == "skip" or bool(rejects))
            with printing_scripts(ctx.params.get("print_only")):
                return function(*args, run=run, **rest)

        own = [] if reduces else [output, output_dir, force]
        after = [] if reduces else [dropped, executor_options]
        all_options = [inputs, *([reads_columns] if of_pairs else []), *own, jobs, shard, dry_run, on_error, rejects,
                       *([longest] if of_pairs else []), *after, quiet, receipt, log_every, verbose]
        for option in reversed(all_options):
            wrapper = option(wrapper)
        return wrapper
    return decorate(command) if command else decorate


def given_executor_options(ctx, given, output_dir):
    """Take the options of the executor out of those given. Raises UsageError for one without -O."""
    taken = {name: given.pop(name) for name in EXECUTOR_OPTIONS}
    for name in EXECUTOR_OPTIONS if output_dir is None else ():
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            spelled = next(param.opts[0] for param in ctx.command.params if param.name == name)
            raise click.UsageError(f"{spelled} goes with -O: executors do whole shards.")
    return taken
