"""mc2 train"""

import click

from mc2 import options
from mc2.commands import preset_options
from mc2.terminal import say

MOVED = {"--plan": "mc2 plan NAME", "--list": "mc2 plan --list",
         "--gradient-conflict": "mc2 conflict CONFIG CHECKPOINT"}
LAUNCH = ("nnodes", "node_rank", "rdzv_endpoint", "rdzv_backend", "rdzv_id")
SLURM = ("gpus", "slurm_time", "slurm_cpus_per_gpu")


class Train(click.Command):
    def parse_args(self, ctx, args):
        for argument in args:
            name = argument.split("=")[0]
            if name in MOVED:
                raise click.UsageError(f"{name}: '{MOVED[name]}' does that now.", ctx)
        return super().parse_args(ctx, args)


@click.command(cls=Train)
@preset_options.reads_preset(run_options=True)
@click.option("--init", metavar="PRESET",
              help="Start nothing: write a complete run of this preset into the directory CONFIG, to change and train.")
@click.option("--nproc", type=click.IntRange(1), metavar="N",
              help="Processes on this machine, which this command starts itself; without torchrun. Default: one per GPU, or "
                   "one.")
@click.option("--nnodes", type=click.IntRange(1), metavar="N", help="Machines; torchrun's.")
@click.option("--node-rank", type=click.IntRange(0), metavar="I", help="Which of them this is; torchrun's.")
@click.option("--rdzv-endpoint", metavar="HOST:PORT", help="Where they find each other; torchrun's.")
@click.option("--rdzv-backend", metavar="NAME", help="How; torchrun's. Default: c10d.")
@click.option("--rdzv-id", metavar="ID", help="Name of the job; torchrun's.")
@preset_options.DEVICE
@click.option("--resume", default="latest", show_default=True, metavar="CHECKPOINT",
              help="Go on from this checkpoint; latest: the run's newest, if it has one.")
@click.option("-f", "--force", is_flag=True, help="Begin anew: remove the run's checkpoints and log.")
@click.option("--slurm", is_flag=True, help="Print an sbatch script of this run; start nothing.")
@click.option("--gpus", type=click.IntRange(1), metavar="N", help="Number of GPUs in it. Default: the preset's.")
@click.option("--slurm-time", default="24:00:00", show_default=True, metavar="T", help="Time limit in it.")
@click.option("--slurm-cpus-per-gpu", type=click.IntRange(1), default=8, show_default=True, metavar="N",
              help="Cores per GPU in it.")
@options.quiet
@options.log_every
@options.verbose
def train(preset, growth, slurm, quiet, directory=None, **given):
    """Train CLIP on curated or matched pairs: the run CONFIG, a preset's name or a TOML file of that form.

    A preset holds one run of the paper's Tables 1 to 3 ('mc2 plan --list' names them); options change its keys. A run
    that was stopped goes on when the command is given again. Needs the extra [train].

    \b
    mc2 train --init tiny run --train-data 'tars/*.tar' && mc2 train run/run.toml
    mc2 train run.toml --nproc 2
    mc2 train b32-xlmv --train-data 'tars/*.tar' --pairs 'matched/*.jsonl.zst' -c counts -t thresholds.json -o run
    mc2 train h14-worldwide ... --slurm --gpus 384 > train.sbatch && sbatch train.sbatch
    """
    if directory is not None:
        _init(preset, directory, growth, slurm, quiet, given["force"])
        return
    if slurm:
        _refuse(LAUNCH, "is for machines that start 'mc2 train' themselves; in the script of --slurm they find each "
                        "other.")
        print(_script(preset, growth, **given), end="")
        return
    _refuse(SLURM, "goes with --slurm.")
    if given["nnodes"] is None:
        _refuse(LAUNCH, "goes with --nnodes.")
    _train(preset, growth, quiet, **given)


def _init(preset, directory, growth, slurm, quiet, force):
    from mc2.training import init
    _refuse((*LAUNCH, *SLURM, "nproc", "device", "resume"), "does not go with --init, which starts nothing.")
    if growth is not None or slurm:
        raise click.UsageError(f"{'--slurm' if slurm else '--growth'} does not go with --init, which starts nothing.")
    said, tars = init.write(preset, directory, force)
    if not quiet:
        config = f"{directory.rstrip('/')}/run.toml"
        say(*(f"train: {line}" for line in said), f"train: {config} is written. Next: mc2 train {config}"
            + ("" if tars else " --train-data 'tars/*.tar'"))


def _refuse(names, reason):
    """Raise a usage error where one of these options is given."""
    ctx = click.get_current_context()
    for param in ctx.command.params:
        if param.name in names and ctx.get_parameter_source(param.name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{param.opts[0]} {reason}")


def _train(preset, growth, quiet, nproc, nnodes, node_rank, rdzv_endpoint, rdzv_backend, rdzv_id, device, resume, force,
           **_):
    from mc2 import extras
    from mc2.clip import launchers
    from mc2.training import job, launch, metrics
    extras.need("train", "torch", "open_clip", "tokenizers")
    launchers.refuse(nproc, nnodes)
    flags = []
    if rdzv_endpoint:
        flags = ["--rdzv-backend", rdzv_backend or "c10d", "--rdzv-endpoint", rdzv_endpoint,
                 "--rdzv-id", rdzv_id or "mc2"]
    if node_rank is not None:
        flags += ["--node-rank", str(node_rank)]
    layout = launch.Layout(1 if device == "cpu" and nproc is None else nproc, nnodes, flags)
    configured = job.configure(preset, growth, layout.world)
    with launchers.ignored():
        done = launch.start(configured, layout, resume=resume, force=force, device=device, quiet=quiet)
    if done and not quiet:
        say(metrics.receipt(done, configured["values"]["run"]["output"]))


def _script(preset, growth, gpus, slurm_time, slurm_cpus_per_gpu, nproc, device, force, resume, **_):
    """The sbatch script of a run."""
    from mc2.training import job, launch
    if force or resume != "latest":
        raise click.UsageError("the script of --slurm puts itself back into the queue and goes on from the newest "
                               "checkpoint then: leave -f and --resume out, and give them to a first 'mc2 train' where "
                               "they are needed.")
    gpus = gpus or preset.values["compute"]["gpus"]
    per_node = nproc or min(gpus, 8)
    if gpus % per_node:
        raise click.UsageError(f"{gpus} GPUs do not divide evenly into machines of {per_node} (--nproc).")
    job.configure(preset, growth, gpus)
    return launch.slurm_script([*_arguments(without=("slurm", "nproc", *SLURM)), "--nproc", str(per_node)],
                               name=f"mc2-{preset.name}", nodes=gpus // per_node, per_node=per_node,
                               cpus=slurm_cpus_per_gpu, time=slurm_time, gpus=device != "cpu")


def _arguments(without):
    """The arguments and options that this command was given, on its command line or by environment variables."""
    ctx, given = click.get_current_context(), click.core.ParameterSource
    for param in ctx.command.params:
        if param.name in without or ctx.get_parameter_source(param.name) not in (given.COMMANDLINE, given.ENVIRONMENT):
            continue
        value = ctx.params.get(param.name, True)            # -v is not among them
        if isinstance(param, click.Argument):
            yield value
        elif param.is_flag:
            yield from param.opts[:1] if value else ()
        else:
            for item in value if param.multiple else [value]:
                yield from (param.opts[0], str(item))
