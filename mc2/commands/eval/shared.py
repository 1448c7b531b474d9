"""What the commands of mc2 eval share: their options, and the way from a task to its scores."""
import contextlib
import functools
import importlib
import json
import os
import sys
import time

import click

from mc2 import extras, options
from mc2.errors import BadUsage

KINDS = {int: int, float: float, str: str}
METAVARS = {int: "N", float: "X", str: "TEXT"}


class Evaluation:
    """How a command was given: model, data, and where the scores go."""

    def __init__(self, model, data, device, precision, tokenizer, batch_size, workers, cache, no_cache, on_error,
                 as_json, output, plot, quiet):
        self.model, self.data, self.tokenizer, self.precision = model, data, tokenizer, precision
        self.device, self.batch_size, self.workers, self.on_error = device, batch_size, workers, on_error
        self.cache = None if no_cache else cache or default_cache()
        self.as_json, self.output, self.plot, self.quiet = as_json, output, plot, quiet

    @contextlib.contextmanager
    def encoder(self):
        """The encoder of the model, under torchrun one on every rank."""
        if self.model is None:
            raise BadUsage("names no model. Give --model.")
        extras.need("train", "torch", "open_clip", "tokenizers")
        import torch

        from mc2 import models
        from mc2.evaluation import encoding
        if self.device == "cuda" and not torch.cuda.is_available():
            raise BadUsage("--device cuda: torch finds no GPU here.")
        from mc2.training import ranks
        here = ranks.Ranks(self.device)
        try:
            model = models.load(self.model, here.device, self.precision, self.tokenizer, self.cache)
            if here.is_first:
                for note in model.notes:
                    print(f"eval: {note}", file=sys.stderr)
            yield encoding.Encoder(model, cache=self.cache, batch_size=self.batch_size, workers=self.workers,
                                   on_error=self.on_error, quiet=self.quiet)
        finally:
            here.close()

    def score(self, name, protocol=None, arguments=None):
        """Run a task and show its scores. protocol: {choice: value}; arguments: what its own command takes."""
        from mc2.evaluation import tasks
        task = tasks.TASKS[name]
        if self.data is None and not task.own_command:
            raise BadUsage(f"names no data. Give --data DIR: {task.files}, from {task.source}.")
        data = self.data and (tasks.folder_of(name, self.data) or self.data)
        with self.encoder() as encoder:
            started = time.monotonic()
            bench = tasks.Bench(name, encoder, data, protocol, self.data, arguments)
            records = list(bench.results())
            if encoder.rank == 0:
                self.show(records)
                self.receipt(name, len(records), encoder, started)

    def show(self, records, draw=None):
        """Scores to stdout, as a table or as JSON Lines, and to the file and the plot that were asked for. draw: what
        draws the plot, given its path; by default bars by language."""
        from mc2 import files
        from mc2.evaluation import results, tasks
        written = [results.line(record) for record in records]
        if self.output:
            files.write_bytes(self.output, "".join(line + "\n" for line in written).encode())
        if self.plot:
            (draw or functools.partial(results.plot, records, tasks=tasks.TASKS))(self.plot)
        print(*(written if self.as_json else results.table(records, tasks.TASKS)), sep="\n")

    def receipt(self, name, scores, encoder, started, written=True):
        """written: whether the scores are where they were asked for."""
        if self.quiet:
            return
        tally = ", ".join(f"{number:,} {what}" for what, number in encoder.tally.items())
        where = "".join(f" -> {path}" for path in (self.output, self.plot) if path and written)
        print(f"eval: {name}, {scores:,} scores of {self.model}; {tally}{where} ({time.monotonic() - started:.0f} s)",
              file=sys.stderr)


def default_cache():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "mc2", "features")


def _workers(ctx, param, value):
    return min(4, os.cpu_count() or 1) if value is None else value


OPTIONS = [
    click.option("--model", metavar="MODEL", help="A run or checkpoint of mc2 train, open_clip:NAME@FILE, "
                                                  "open_clip:NAME@TAG or open_clip:NAME."),
    click.option("--data", metavar="DIR", type=click.Path(exists=True, file_okay=False),
                 help="Where the benchmark is: DIR/TASK where there is such a folder, else DIR."),
    click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
                 help="Where the model runs."),
    click.option("--precision", type=click.Choice(["fp32", "amp_bf16", "bf16"]), default="fp32", show_default=True,
                 help="Of the model; scores are computed in fp32."),
    click.option("--tokenizer", metavar="NAME|FILE", help="A tokenizer in place of the model's own."),
    click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, metavar="N",
                 help="Images or texts that go through the model at a time."),
    click.option("--workers", type=click.IntRange(0), metavar="N", callback=_workers,
                 help="Processes that decode images. Default: the cores, at most 4."),
    click.option("--cache", metavar="DIR", envvar="MC2_CACHE",
                 help="Where image features are kept (or $MC2_CACHE). Default: ~/.cache/mc2/features."),
    click.option("--no-cache", is_flag=True, help="Keep no image features, and use none."),
    click.option("--on-error", type=click.Choice(["stop", "skip"]), default="stop", show_default=True,
                 help="At an image that cannot be decoded: stop, or leave it out, which the results record."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON Lines instead of a table."),
    click.option("-o", "--output", metavar="FILE", help="Write the scores to FILE too, as JSON Lines."),
    click.option("--plot", metavar="FILE.png", help="Draw the scores by language as a bar chart."),
    options.quiet,
    options.verbose,
]
NAMES = ["model", "data", "device", "precision", "tokenizer", "batch_size", "workers", "cache", "no_cache", "on_error",
         "as_json", "output", "plot", "quiet"]


def evaluates(required=True):
    """Give a command the options of an evaluation, as one argument `evaluation`. required: whether --model is."""
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **given):
            evaluation = Evaluation(**{name: given.pop(name) for name in NAMES})
            if required and evaluation.model is None:
                raise click.UsageError("Missing option '--model'.")
            return function(*args, evaluation=evaluation, **given)
        for option in reversed(OPTIONS):
            wrapper = option(wrapper)
        return wrapper
    return decorate


def choices(name):
    """Give a command the choices of its task's protocol as options, as one argument `protocol`."""
    from mc2.evaluation.tasks import TASKS
    found = TASKS[name].choices

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **given):
            return function(*args, protocol={key: given.pop(key) for key in found}, **given)
        for key, choice in reversed(found.items()):
            wrapper = _option(key, choice)(wrapper)
        return wrapper
    return decorate


def _option(key, choice):
    flag = "--" + key.replace("_", "-")
    if choice.kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", key, default=choice.default, show_default=True, help=choice.help)
    kind = click.Choice(choice.kind) if isinstance(choice.kind, tuple) else KINDS[choice.kind]
    return click.option(flag, key, type=kind, default=choice.default, show_default=choice.default is not None,
                        metavar=None if isinstance(choice.kind, tuple) else METAVARS[choice.kind], help=choice.help)


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
        print(json.dumps([{"task": name, "title": task.title, "files": task.files, "source": task.source,
                           "protocol": task.protocol,
                           "choices": {key: choice.default for key, choice in task.choices.items()}}
                          for name, task in TASKS.items()], indent=2, ensure_ascii=False))
        return
    for name, task in TASKS.items():
        print(f"{name}\n    {task.title}\n    files:    {task.files}\n    source:   {task.source}\n    "
              f"protocol: {task.protocol}")
        if task.choices:
            print("    options:  " + ", ".join(f"--{key.replace('_', '-')}"
                                               + (f" {choice.default}" if choice.default is not None else "")
                                               for key, choice in task.choices.items()))
