"""The options of the commands of mc2 eval, and the way from a task to its scores."""
import contextlib
import functools
import importlib
import os
import time

import click

from mc2 import extras, options
from mc2.errors import BadUsage
from mc2.terminal import say, show, show_json

KINDS = {int: int, float: float, str: str}
METAVARS = {int: "N", float: "X", str: "TEXT"}


class Evaluation:
    """The options as they were given: model, data, and where the scores go."""

    def __init__(self, model, device, precision, tokenizer, batch_size, workers, cache, no_cache, on_error, image_rgb,
                 quiet, data=None, as_json=False, output=None, plot=None, control=None):
        self.model, self.data, self.tokenizer, self.precision = model, data, tokenizer, precision
        self.device, self.batch_size, self.workers, self.on_error = device, batch_size, workers, on_error
        self.image_rgb = image_rgb
        self.cache = None if no_cache else cache or default_cache()
        self.as_json, self.output, self.plot, self.quiet = as_json, output, plot, quiet
        self.control = control
        if control and not plot:
            raise click.UsageError("--control is drawn into the plot: give --plot too.")

    @contextlib.contextmanager
    def encoder(self):
        """A context that gives the Encoder of the model; under torchrun there is one on every rank."""
        if self.model is None:
            raise BadUsage("names no model. Give --model.")
        extras.need("train", "torch", "open_clip", "tokenizers")
        from mc2.clip.distributed import Ranks
        from mc2.clip.load import load_model
        from mc2.evaluation.encoding import Encoder
        ranks = Ranks(self.device)
        try:
            model = load_model(self.model, ranks.device, self.precision, self.tokenizer, self.cache)
            model.transform.rgb = self.image_rgb or model.transform.rgb
            if ranks.is_first:
                for note in model.notes:
                    say(f"eval: {note}")
            yield Encoder(model, cache=self.cache, batch_size=self.batch_size, workers=self.workers,
                          on_error=self.on_error, quiet=self.quiet)
        finally:
            ranks.close()

    def score(self, name, protocol=None, arguments=None):
        """Run a task and show its scores. protocol: {choice: value}; arguments: what its own command takes."""
        from mc2.evaluation import tasks
        task = tasks.TASKS[name]
        if self.data is None and not task.own_command:
            raise BadUsage(f"names no data. Give --data DIR: {task.files}, from {task.source}.")
        self.refuse_outputs()
        control = self._control()
        data = self.data and (tasks.folder_of(name, self.data) or self.data)
        with self.encoder() as encoder:
            started = time.monotonic()
            bench = tasks.Bench(name, encoder, data, protocol, self.data, arguments)
            records = list(bench.results())
            if encoder.rank == 0:
                self.show(records, control)
                self.receipt(name, len(records), encoder, started)

    def refuse_outputs(self):
        """Raise BadUsage where the scores or their plot could not be written: before the work, not after it."""
        from mc2 import files
        from mc2.evaluation import plots
        if self.output:
            files.refuse_unwritable(self.output, parquet=False)
        if self.plot:
            plots.refuse_undrawable(self.plot)
        for path in filter(None, (self.output, self.plot)):
            is_special = os.path.exists(path) and files.is_special(path)
            if path != "-" and not files.is_remote(path) and not is_special:
                _refuse_folder_of(path)

    def _control(self):
        """The records of --control; none without it. BadLine where a line is no score."""
        from mc2.evaluation import results
        return results.read(self.control) if self.control else []

    def show(self, records, control=()):
        """Print the scores, as a table or as JSON Lines, and write the file and the plot that were asked for."""
        from mc2.evaluation import plots, tasks
        self.print(records)
        self.say_quoted(records)
        self.write(records)
        if self.plot:
            self.say_missing(plots.draw(records, self.plot, tasks.TASKS, control))
        if control and not {plots.key(record) for record in records} & {plots.key(record) for record in control}:
            say(f"eval: {self.control}: holds no score of this task, language and metric: no control was drawn")

    def say_quoted(self, records):
        """Say what a page that quotes Meta CLIP 2 gives for these scores, where there is one."""
        from mc2.evaluation import suites
        if not (self.quiet or self.as_json):
            for number in suites.quoted(records):
                say(f"eval: {number.task} {number.metric}: {number.value:.2f} is quoted for Meta CLIP 2; which of its models, "
                    "and by which protocol, is not said")

    def say_missing(self, labels):
        """Say which labels of the plot no installed font can draw."""
        if labels and not self.quiet:
            shown = ", ".join(labels[:5]) + (f" and {len(labels) - 5:,} more" if len(labels) > 5 else "")
            say(f"eval: {self.plot}: no installed font can draw {shown}: escapes such as \\u4e2d stand for the letters.",
                "eval: to see them, install a font that has them, such as Noto Sans CJK")

    def print(self, records):
        from mc2.evaluation import results, tasks
        if self.as_json:
            for record in records:
                show_json(results.content(record))
        else:
            show(*results.table(records, tasks.TASKS))

    def write(self, records):
        """Write the file that was asked for, with all scores so far."""
        from mc2 import files, manifests
        from mc2.evaluation import results
        if self.output:
            files.write_bytes(self.output, "".join(results.line(record) + "\n" for record in records).encode())
        if self.output and files.is_kept(self.output):
            manifests.write_for_file(self.output, manifests.describe_run("scores", [], {}, {"out": len(records)}))

    def receipt(self, name, scores, encoder, started, written=True):
        """Say on stderr what was done. written: whether the scores are in the outputs that were asked for."""
        if self.quiet:
            return
        tally = ", ".join(f"{number:,} {what}" for what, number in encoder.tally.items())
        where = "".join(f" -> {path}" for path in (self.output, self.plot) if path and written)
        say(f"eval: {name}, {scores:,} scores of {self.model}; {tally}{where} ({time.monotonic() - started:.0f} s)")


def _refuse_folder_of(path):
    folder = os.path.dirname(os.path.realpath(path))
    while not os.path.exists(folder):                   # it will be made
        folder = os.path.dirname(folder)
    if not (os.path.isdir(folder) and os.access(folder, os.W_OK)):
        raise BadUsage(f"{path}: cannot be written: {folder} is no directory that this user can write in.")


def default_cache():
    """The directory of image features, unless another one is named; None where no home is known. Raises BadData where
    it is another user's."""
    from mc2 import files, own
    path = files.user_cache("features")
    if path:
        own.is_there(path)
    return path


def there(ctx, param, value):
    """The folder or tars of --images, which must be there before the model is loaded."""
    if value:
        from mc2.evaluation import sources
        sources.tars_among(list(value))
    return value


OPTIONS = {
    "model": click.option(
        "--model", metavar="MODEL", help="A run or checkpoint of mc2 train, open_clip:NAME@FILE, "
        "open_clip:NAME@TAG or open_clip:NAME."),
    "data": click.option(
        "--data", metavar="DIR", type=click.Path(exists=True, file_okay=False),
        help="The folder of the benchmark: DIR/TASK where there is such a folder, else DIR."),
    "device": click.option(
        "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
        help="Where the model runs."),
    "precision": click.option(
        "--precision", type=click.Choice(["fp32", "amp_bf16", "bf16"]), default="fp32", show_default=True,
        help="Of the model; scores are computed in fp32."),
    "tokenizer": click.option(
        "--tokenizer", metavar="NAME|FILE", help="A tokenizer in place of the model's own."),
    "batch_size": click.option(
        "--batch-size", type=click.IntRange(1), default=64, show_default=True, metavar="N",
        help="Images or texts that go through the model at a time."),
    "workers": click.option(
        "--workers", type=click.IntRange(0), metavar="N",
        help="Processes that decode images. Default: the cores, at most 4, and no more than /dev/shm has space for, in which "
             "they hand images over. 0: none."),
    "cache": click.option(
        "--cache", metavar="DIR", envvar="MC2_CACHE",
        help="Where image features are kept (or $MC2_CACHE). Default: ~/.cache/mc2/features."),
    "no_cache": click.option(
        "--no-cache", is_flag=True, help="Keep no image features, and use none."),
    "on_error": click.option(
        "--on-error", type=click.Choice(["stop", "skip"]), default="stop", show_default=True,
        help="At an image that cannot be decoded: stop, or leave it out, which the results record."),
    "image_rgb": click.option(
        "--image-rgb", type=click.Choice(["before-resize", "after-resize"]),
        help="When images with a palette or transparency become RGB; after-resize: the order of open_clip's preprocess, "
             "which the results record. Default: as the model was trained, before-resize."),
    "as_json": click.option(
        "--json", "as_json", is_flag=True, help="Print JSON Lines instead of a table."),
    "output": click.option(
        "-o", "--output", metavar="FILE", help="Write the scores to FILE too, as JSON Lines."),
    "plot": click.option(
        "--plot", metavar="FILE.png", help="Draw the scores as dots, a row for each language, and what guessing "
        "scores, where that is known. Needs the extra [plot]."),
    "control": click.option(
        "--control", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
        help="With --plot: scores of another model, as -o writes them, drawn as crosses; e.g. of one that was trained "
             "with data.shuffle_texts."),
    "quiet": options.quiet,
}


def evaluates(required=True, without=()):
    """Give a command the options of an evaluation, as one argument `evaluation`. required: whether --model is; without:
    names of OPTIONS that it does not have."""
    included = {name: option for name, option in OPTIONS.items() if name not in without}

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **given):
            evaluation = Evaluation(**{name: given.pop(name) for name in included})
            if required and evaluation.model is None:
                raise click.UsageError("Missing option '--model'.")
            return function(*args, evaluation=evaluation, **given)
        for option in reversed([*included.values(), options.log_every, options.verbose]):
            wrapper = option(wrapper)
        return wrapper
    return decorate


def choices(name):
    """Give a command the choices of its task's protocol as options, as one argument `protocol`."""
    from mc2.evaluation.tasks import TASKS
    found, is_own = TASKS[name].choices, TASKS[name].own_command
    names = [*found] if is_own else ["follows", *found]

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **given):
            return function(*args, protocol={key: given.pop(key) for key in names}, **given)
        for key, choice in reversed(found.items()):
            wrapper = _option(key, choice)(wrapper)
        return wrapper if is_own else follows("text")(wrapper)
    return decorate


def follows(default):
    """The option --protocol. default: for the help."""
    from mc2.evaluation.tasks import PROTOCOLS
    return click.option(
        "--protocol", "follows", type=click.Choice(PROTOCOLS),
        help=f"What reproduces the paper's numbers (`published`), or what its text says (`text`). Default: {default}.")


def _option(key, choice):
    flag = "--" + key.replace("_", "-")
    if choice.kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", key, default=choice.default, show_default=True, help=choice.help)
    kind = click.Choice(choice.kind) if isinstance(choice.kind, tuple) else KINDS[choice.kind]
    metavar = None if isinstance(choice.kind, tuple) else METAVARS[choice.kind]
    if choice.published is not None:        # which default holds depends on --protocol
        both = f"{choice.help} Default: {choice.default or 'none'}; {choice.published} with --protocol published."
        return click.option(flag, key, type=kind, metavar=metavar, help=both)
    return click.option(flag, key, type=kind, default=choice.default, show_default=choice.default is not None,
                        metavar=metavar, help=choice.help)


def command_of(name):
    """The command of a task, or None where there is none of that name."""
    from mc2.evaluation.tasks import TASKS
    task = TASKS.get(name)
    if task is None:
        return None
    module = name.replace("-", "_")
    if task.own_command:
        return getattr(importlib.import_module(f"mc2.commands.eval.{module}"), module)

    protocol_text = task.protocol[:1].upper() + task.protocol[1:]

    @click.command(name, short_help=task.title,
                   help=f"{task.title}.\n\n{protocol_text}.\n\nReads {task.files}; from {task.source}.")
    @choices(name)
    @evaluates()
    def command(evaluation, protocol):
        evaluation.score(name, protocol)
    return command


def show_tasks(as_json):
    from mc2.evaluation.tasks import TASKS
    if as_json:
        show_json([{"task": name, "title": task.title, "files": task.files, "source": task.source,
                    "protocol": task.protocol,
                    "choices": {key: choice.default for key, choice in task.choices.items()}}
                   for name, task in TASKS.items()], pretty=True)
        return
    for name, task in TASKS.items():
        show(name, f"    {task.title}", f"    files:    {task.files}", f"    source:   {task.source}",
             f"    protocol: {task.protocol}")
        if task.choices:
            show("    options:  " + ", ".join(f"--{key.replace('_', '-')}"
                                              + (f" {choice.default}" if choice.default is not None else "")
                                              for key, choice in task.choices.items()))
