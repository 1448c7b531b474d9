"""mc2 plan"""
import click

from mc2 import options
from mc2.commands import preset_options
from mc2.terminal import say, show, show_json


@click.command()
@preset_options.reads_preset(required=False)
@click.option("--list", "list_presets", is_flag=True, help="List the presets, one line each.")
@click.option("--gpus", type=click.IntRange(1), metavar="N", help="Number of GPUs. Default: the preset's.")
@click.option("--mfu", type=click.FloatRange(0, 1, min_open=True), default=0.45, show_default=True, metavar="SHARE",
              callback=preset_options.finite, help="Model FLOPs utilisation assumed for the GPU hours.")
@click.option("--gpu-tflops", type=click.FloatRange(0, min_open=True), default=989, show_default=True, metavar="T",
              callback=preset_options.finite, help="Peak of a GPU in TFLOPS; the default is an H100 SXM in dense bfloat16.")
@click.option("--gpu-memory", type=click.FloatRange(0, min_open=True), default=80, show_default=True, metavar="GB",
              callback=preset_options.finite, help="Memory of a GPU, to compare the estimate with.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.quiet
@options.verbose
def plan(preset, list_presets, as_json, quiet, **given):
    """Print what a training run takes: steps, seen pairs, memory, FLOPs and GPU hours, computed.

    CONFIG is a preset's name or a TOML file of that form, as for mc2 train. Nothing is started, and torch is not
    needed.

    \b
    mc2 plan --list
    mc2 plan h14-worldwide --gpus 384
    mc2 plan h14-worldwide-1x --growth 1.8 --gpus 256 --json
    """
    if list_presets:
        _refuse_beside_list()
        _list(as_json)
        return
    if preset is None:
        raise click.UsageError("name a preset or a TOML file; --list names the presets.")
    from mc2.training import plan as planning
    made = planning.make(preset, **given)
    if as_json:
        show_json(made, pretty=True)
    else:
        show(*planning.lines(made))
    if not quiet:
        say(f"plan: {made['preset']}, {made['schedule']['steps']:,} steps on {made['gpus']:,} GPUs; nothing was started")


def _refuse_beside_list():
    ctx = click.get_current_context()
    for param in ctx.command.params:
        if ctx.get_parameter_source(param.name) is click.core.ParameterSource.COMMANDLINE and param.name not in (
                "list_presets", "as_json", "quiet", "verbose"):
            raise click.UsageError("--list goes with --json alone.")


def _list(as_json):
    from mc2.training import presets
    found = presets.titles()
    if as_json:
        show_json([{"preset": name, "title": title} for name, title in found], pretty=True)
        return
    width = max(len(name) for name, _ in found)
    for name, title in found:
        show(f"{name:<{width}}  {title}")
