"""mc2 train"""
import json
import math
import sys

import click

from mc2 import options


def _finite(ctx, param, value):
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number to compute with.")
    return value


# Options that stand for a key of the preset; names follow open_clip's where they mean the same.
KEYS = {"train_data": "data", "pairs": "data", "counts": "data", "thresholds": "data", "curation": "data",
        "lr": "optimizer", "wd": "optimizer", "warmup": "schedule", "seed": "schedule", "precision": "compute",
        "accum_freq": "compute", "grad_checkpointing": "compute", "workers": "compute", "output": "run",
        "save_steps": "run", "wandb": "run"}


def _option(name, **more):
    return click.option(f"--{name}", default=None, **more)


def _preset_options(command):
    for option in reversed([
            _option("train-data", multiple=True, metavar="TAR",
                    help="webdataset tars: a path, a quoted pattern, a URL or @list.txt; may be repeated."),
            _option("pairs", multiple=True, metavar="FILE",
                    help="The tars' pairs, a file of the same stem per tar (mc2 join makes them), likewise."),
            click.option("-c", "--counts", metavar="DIR", help="Counts, for online curation."),
            click.option("-t", "--thresholds", metavar="FILE", help="Thresholds, for online curation."),
            _option("curation", type=click.Choice(["online", "offline"]),
                    help="Draw texts anew in every pass by Algorithm 1, or take curated pairs as they are."),
            click.option("-o", "--output", metavar="DIR", help="Directory of the run."),
            _option("lr", type=float, help="Learning rate."),
            _option("wd", type=float, help="Weight decay."),
            _option("warmup", type=int, metavar="STEPS", help="Steps of warm-up."),
            _option("seed", type=int, help="Seed of weights, texts, draws and crops."),
            _option("precision", type=click.Choice(["fp32", "amp_bf16", "bf16"]), help="Precision."),
            _option("accum-freq", type=int, metavar="N", help="Parts in which a batch goes through the model."),
            click.option("--grad-checkpointing", is_flag=True, default=None, help="Save memory, take time."),
            _option("workers", type=int, metavar="N", help="Processes per GPU that decode images."),
            _option("save-steps", type=int, metavar="N", help="Steps between checkpoints."),
            _option("wandb", metavar="PROJECT", help="Log to Weights & Biases too."),
            click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE",
                         help="Any key of the preset; may be repeated.")]):
        command = option(command)
    return command


def _launch_options(command):
    for option in reversed([
            click.option("--nproc", type=click.IntRange(1), metavar="N",
                         help="Processes on this machine. Default: one per GPU, or one."),
            click.option("--nnodes", type=click.IntRange(1), metavar="N", help="Machines; torchrun's."),
            click.option("--node-rank", type=click.IntRange(0), metavar="I", help="Which of them this is; torchrun's."),
            click.option("--rdzv-endpoint", metavar="HOST:PORT", help="Where they find each other; torchrun's."),
            click.option("--rdzv-backend", metavar="NAME", help="How; torchrun's. Default: c10d."),
            click.option("--rdzv-id", metavar="ID", help="Name of the job; torchrun's."),
            click.option("--device", type=click.Choice(["auto", "cuda", "cpu"]), default="auto", show_default=True,
                         help="auto: GPUs where there are any."),
            click.option("--resume", default="latest", show_default=True, metavar="CHECKPOINT",
                         help="Go on from this checkpoint; latest: the run's newest, if it has one."),
            click.option("-f", "--force", is_flag=True, help="Begin anew: remove the run's checkpoints and log."),
            click.option("--slurm", is_flag=True, help="Print an sbatch script of this run; start nothing."),
            click.option("--slurm-time", default="24:00:00", show_default=True, metavar="T", help="Time limit in it."),
            click.option("--slurm-cpus-per-gpu", type=click.IntRange(1), default=8, show_default=True, metavar="N",
                         help="Cores per GPU in it.")]):
        command = option(command)
    return command


def _plan_options(command):
    for option in reversed([
            click.option("--plan", is_flag=True, help="Print what the run takes, computed, and start nothing."),
            click.option("--list", "list_presets", is_flag=True, help="List the presets, one line each."),
            click.option("--gpus", type=click.IntRange(1), metavar="N",
                         help="Number of GPUs to plan or write a SLURM script for. Default: the preset's."),
            click.option("--growth", type=click.FloatRange(1), metavar="G", callback=_finite,
                         help="As if the pool were G times its English part: global batch and seen pairs are G times those "
                              "of the English-only run, so that English seen pairs stay the same."),
            click.option("--mfu", type=click.FloatRange(0, 1, min_open=True), default=0.45, show_default=True,
                         metavar="SHARE", callback=_finite, help="Model FLOPs utilisation assumed for the GPU hours."),
            click.option("--gpu-tflops", type=click.FloatRange(0, min_open=True), default=989, show_default=True,
                         metavar="T", callback=_finite,
                         help="Peak of a GPU in TFLOPS; the default is an H100 SXM in dense bfloat16."),
            click.option("--gpu-memory", type=click.FloatRange(0, min_open=True), default=80, show_default=True,
                         metavar="GB", callback=_finite, help="Memory of a GPU, to compare the estimate with."),
            click.option("--json", "as_json", is_flag=True, help="Print JSON.")]):
        command = option(command)
    return command


def _conflict_options(command):
    for option in reversed([
            click.option("--gradient-conflict", metavar="CHECKPOINT",
                         help="Do not train: compare the gradients of the English and the other pairs' loss at this "
                              "checkpoint, by parameter group. Prints JSON, or writes it to -o FILE."),
            click.option("--batches", type=click.IntRange(1), default=16, show_default=True, metavar="N",
                         help="Batches that --gradient-conflict averages over."),
            click.option("--plot", metavar="FILE", help="A plot of it (needs mc2[plot]).")]):
        command = option(command)
    return command


@click.command()
@click.argument("config", required=False, metavar="[CONFIG]")
@_preset_options
@_launch_options
@_plan_options
@_conflict_options
@options.quiet
@options.verbose
def train(config, plan, list_presets, as_json, gradient_conflict, slurm, quiet, **given):
    """Train CLIP on curated or matched pairs: the run CONFIG, a preset's name or a TOML file of that form.

    A preset holds one run of the paper's Tables 1 to 3; options change its keys. A run that was stopped goes on when the
    command is given again. Needs mc2[train]; --plan and --list do not.

    \b
    mc2 train --list
    mc2 train --plan h14-worldwide --gpus 384
    mc2 train run.toml --nproc 2
    mc2 train b32-xlmv --train-data 'tars/*.tar' --pairs 'matched/*.jsonl.zst' -c counts -t thresholds.json -o run
    mc2 train h14-worldwide ... --slurm --gpus 384 > train.sbatch && sbatch train.sbatch
    mc2 train run.toml --gradient-conflict run/checkpoints/latest -o conflict.json --plot conflict.png
    """
    _refuse_ignored(plan=plan, list_presets=list_presets, gradient_conflict=gradient_conflict, slurm=slurm)
    if list_presets:
        if config or plan:
            raise click.UsageError("--list stands alone.")
        _list(as_json)
    elif config is None:
        raise click.UsageError("name a preset or a TOML file; --list names the presets.")
    elif plan:
        _plan(config, as_json, quiet, **given)
    elif gradient_conflict:
        _gradient_conflict(config, gradient_conflict, quiet, **given)
    elif slurm:
        _slurm(config, **given)
    else:
        _train(config, quiet, **given)


ONLY = {        # options that only one way of calling this takes
    "plan": {"gpus", "mfu", "gpu_tflops", "gpu_memory", "as_json"}, "list_presets": {"as_json"},
    "gradient_conflict": {"batches", "plot"}, "slurm": {"gpus", "slurm_time", "slurm_cpus_per_gpu"}}


def _refuse_ignored(**ways):
    """Raise a usage error for two ways at once, and for options of a way that was not asked for."""
    ctx = click.get_current_context()
    asked = [way for way, given in ways.items() if given]
    named = {param.name: param.opts[0] for param in ctx.command.params}
    if len(asked) > 1 and "list_presets" not in asked:
        raise click.UsageError(f"{named[asked[0]]} and {named[asked[1]]} exclude each other.")
    allowed = set().union(*(ONLY[way] for way in asked))
    for name in sorted(set().union(*ONLY.values()) - allowed):
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            belongs = " or ".join(named[way] for way in ONLY if name in ONLY[way])
            raise click.UsageError(f"{named[name]} goes with {belongs}.")
    if ctx.params["nnodes"] is None:
        for name in ("node_rank", "rdzv_endpoint", "rdzv_backend", "rdzv_id"):
            if ctx.params[name] is not None:
                raise click.UsageError(f"{named[name]} goes with --nnodes.")


def _preset(config, given):
    """The preset with what the options change of it."""
    from mc2.training import presets
    changes = [(section, key, list(given[key]) if isinstance(given[key], tuple) else given[key])
               for key, section in KEYS.items() if given[key] not in (None, ())]
    return presets.load(config, [*changes, *map(presets.change, given["assignments"])])


def _plan(config, as_json, quiet, gpus, growth, mfu, gpu_tflops, gpu_memory, **given):
    from mc2.training import plan as room
    made = room.make(_preset(config, given), gpus=gpus, growth=growth, mfu=mfu, gpu_tflops=gpu_tflops, gpu_memory=gpu_memory)
    print(*([json.dumps(made, indent=2, ensure_ascii=False)] if as_json else room.lines(made)), sep="\n")
    if not quiet:
        print(f"train: plan of {made['preset']}, {made['schedule']['steps']:,} steps on {made['gpus']:,} GPUs; nothing "
              "was started", file=sys.stderr)


def _list(as_json):
    from mc2.training import presets
    found = presets.titles()
    if as_json:
        print(json.dumps([{"preset": name, "title": title} for name, title in found], indent=2, ensure_ascii=False))
        return
    width = max(len(name) for name, _ in found)
    for name, title in found:
        print(f"{name:<{width}}  {title}")


def _train(config, quiet, nproc, nnodes, node_rank, rdzv_endpoint, rdzv_backend, rdzv_id, device, resume, force, growth,
           **given):
    from mc2 import extras
    from mc2.training import job, launch
    extras.need("train", "torch", "open_clip", "tokenizers")
    flags = []
    if rdzv_endpoint:
        flags = ["--rdzv-backend", rdzv_backend or "c10d", "--rdzv-endpoint", rdzv_endpoint,
                 "--rdzv-id", rdzv_id or "mc2"]
    if node_rank is not None:
        flags += ["--node-rank", str(node_rank)]
    layout = launch.Layout(1 if device == "cpu" and nproc is None else nproc, nnodes, flags)
    configured = job.configure(_preset(config, given), growth, layout.world)
    done = launch.start(configured, layout, resume=resume, force=force, device=device, quiet=quiet)
    if done and not quiet:
        receipt(done, configured["values"]["run"]["output"])


def receipt(done, output):
    """The last line of a run, on stderr."""
    from mc2.execution.receipt import duration
    usual = ("images", "not drawn")
    skipped = ", ".join(f"{number:,} {reason}" for reason, number in done["images"].items() if number and reason not in usual)
    loss = "" if done["loss"] is None else f", loss {done['loss'][0]:.4f}"
    print(f"train: {done['step']:,} of {done['steps']:,} steps, {done['seen_pairs']:,} pairs seen{loss}"
          + (f"; not trained on: {skipped}" if skipped else "")
          + f" -> {output} ({duration(done['seconds'])})", file=sys.stderr)


def _slurm(config, gpus, slurm_time, slurm_cpus_per_gpu, nproc, device, **given):
    from mc2.training import job, launch
    if given["force"] or given["resume"] != "latest":
        raise click.UsageError("the script of --slurm puts itself back into the queue and goes on from the newest checkpoint "
                               "then: leave -f and --resume out, and give them to a first 'mc2 train' where they are needed.")
    preset = _preset(config, given)
    gpus = gpus or preset.values["compute"]["gpus"]
    per_node = nproc or min(gpus, 8)
    if gpus % per_node:
        raise click.UsageError(f"{gpus} GPUs are no whole number of machines of {per_node} (--nproc).")
    job.configure(preset, given["growth"], gpus)
    arguments = [argument for argument in sys.argv[2:] if argument != "--slurm"]
    print(launch.slurm_script(_without(arguments, ("--gpus", "--nproc", "--slurm-time", "--slurm-cpus-per-gpu")),
                              name=f"mc2-{preset.name}", nodes=gpus // per_node, per_node=per_node,
                              cpus=slurm_cpus_per_gpu, time=slurm_time, gpus=device != "cpu"), end="")


def _without(arguments, names):
    """The arguments without these options and their values."""
    kept, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in names:
            skip = True
        elif not argument.startswith(tuple(f"{name}=" for name in names)):
            kept.append(argument)
    return kept


def _gradient_conflict(config, checkpoint, quiet, batches, plot, output, device, growth, **given):
    from mc2 import extras, files
    from mc2.training import job
    extras.need("train", "torch", "open_clip", "tokenizers")
    if plot:
        extras.need("plot", "matplotlib")
    from mc2.training import conflict, loop
    configured = job.configure(_preset(config, {**given, "output": "-"}), growth)
    found = loop.gradient_conflict(configured, checkpoint, batches=batches, device=device)
    text = json.dumps(found, indent=2) + "\n"
    files.write_bytes(output or "-", text.encode())
    if plot:
        conflict.plot(found, plot)
    if not quiet:
        cosine = next(row["cosine"]["mean"] for row in found["groups"] if row["group"] == conflict.ALL)
        print(f"train: gradients of {found['batches']} batches at step {found['step']:,}, cosine of all weights "
              f"{cosine:.4f} -> {output or 'stdout'}", file=sys.stderr)
