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


@click.command()
@click.argument("config", required=False, metavar="[CONFIG]")
@click.option("--plan", is_flag=True, help="Print what the run takes, computed, and start nothing.")
@click.option("--list", "list_presets", is_flag=True, help="List the presets, one line each.")
@click.option("--gpus", type=click.IntRange(1), metavar="N", help="Number of GPUs. Default: the preset's.")
@click.option("--growth", type=click.FloatRange(1), metavar="G", callback=_finite,
              help="As if the pool were G times its English part: global batch and seen pairs are G times those of the "
                   "English-only run, so that English seen pairs stay the same.")
@click.option("--mfu", type=click.FloatRange(0, 1, min_open=True), default=0.45, show_default=True, metavar="SHARE",
              callback=_finite,
              help="Model FLOPs utilisation assumed for the GPU hours.")
@click.option("--gpu-tflops", type=click.FloatRange(0, min_open=True), default=989, show_default=True, metavar="T",
              callback=_finite,
              help="Peak of a GPU in TFLOPS; the default is an H100 SXM in dense bfloat16.")
@click.option("--gpu-memory", type=click.FloatRange(0, min_open=True), default=80, show_default=True, metavar="GB",
              callback=_finite,
              help="Memory of a GPU, to compare the estimate with.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.quiet
@options.verbose
def train(config, plan, list_presets, gpus, growth, mfu, gpu_tflops, gpu_memory, as_json, quiet):
    """Plan the training run CONFIG: the name of a preset, or a TOML file of that form.

    A preset holds one run of the paper's Tables 1 to 3. Training itself is not in this version yet.

    \b
    mc2 train --list
    mc2 train --plan h14-worldwide --gpus 384
    mc2 train --plan h14-worldwide-1x --growth 1.8 --gpus 256 --json | jq .schedule
    """
    if list_presets:
        if config or plan:
            raise click.UsageError("--list stands alone.")
        _list(as_json)
        return
    if not plan:
        raise click.UsageError("training itself is not in this version of mc2 yet; --plan computes what a run takes, "
                               "--list names the presets.")
    if config is None:
        raise click.UsageError("--plan needs a preset or a TOML file; --list names the presets.")
    from mc2.training import plan as room
    from mc2.training import presets
    made = room.make(presets.load(config), gpus=gpus, growth=growth, mfu=mfu, gpu_tflops=gpu_tflops,
                     gpu_memory=gpu_memory)
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
