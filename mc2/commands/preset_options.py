"""Options of mc2 train, mc2 plan and mc2 conflict: the run they are about, and keys of its preset."""
import functools
import math

import click


def finite(ctx, param, value):
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number.")
    return value


def _option(name, **more):
    return click.option(f"--{name}", default=None, **more)


# section of the preset -> options that stand for a key of it; names follow open_clip's where they mean the same
OPTIONS = {
    "data": [
        _option("train-data", multiple=True, metavar="TAR",
                help="webdataset tars: a path, a quoted pattern ('*.tar', '{00000..00010}.tar'), a directory, a URL or "
                     "@list.txt; may be repeated."),
        _option("pairs", multiple=True, metavar="FILE",
                help="The tars' pairs, a file of the same stem per tar (mc2 join makes them), likewise."),
        click.option("-c", "--counts", metavar="DIR", help="Counts, for online curation."),
        click.option("-t", "--thresholds", metavar="FILE", help="Thresholds, for online curation."),
        _option("curation", type=click.Choice(["online", "offline"]),
                help="Draw texts anew in every pass by Algorithm 1, or take curated pairs as they are.")],
    "optimizer": [
        _option("lr", type=float, help="Learning rate."),
        _option("wd", type=float, help="Weight decay.")],
    "schedule": [
        _option("warmup", type=int, metavar="STEPS", help="Steps of warm-up."),
        _option("seed", type=int, help="Seed of weights, texts, draws and crops.")],
    "compute": [
        _option("precision", type=click.Choice(["fp32", "amp_bf16", "bf16"]), help="Precision."),
        _option("accum-freq", type=int, metavar="N", help="Parts in which a batch goes through the model."),
        click.option("--grad-checkpointing", is_flag=True, default=None, help="Save memory, take time."),
        _option("zero-stage", type=click.IntRange(0, 1), metavar="N",
                help="1: ZeRO, which divides the optimizer's state over the GPUs, for the same weights. 0: whole on each."),
        _option("workers", type=int, metavar="N", help="Processes per GPU that decode images.")],
}
RUN_OPTIONS = {
    "run": [
        click.option("-o", "--output", metavar="DIR", help="Directory of the run."),
        _option("save-steps", type=int, metavar="N", help="Steps between checkpoints."),
        _option("wandb", metavar="PROJECT", help="Log to Weights & Biases too.")],
}
SET = click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE",
                   help="Any key of the preset; may be repeated.")
GROWTH = click.option(
    "--growth", type=click.FloatRange(1), metavar="G", callback=finite,
    help="As if the pool were G times its English part: global batch and seen pairs are G times those of the English-only "
         "run, so that English seen pairs stay the same.")
DEVICE = click.option("--device", type=click.Choice(["auto", "cuda", "cpu"]), default="auto", show_default=True,
                      help="auto: GPUs where there are any.")


def reads_preset(required=True, run_options=False):
    """Give a command the argument CONFIG and the options that change it, as one argument `preset`, and --growth.

    run_options: whether options of the run's directory and log are among them. Without a CONFIG, preset is None. Where
    the command has an option --init, the preset is the one that it names, and `directory` is the argument.
    """
    options = {**OPTIONS, **(RUN_OPTIONS if run_options else {})}

    def decorate(command):
        @functools.wraps(command)
        def wrapper(config, assignments, **given):
            from mc2.training import presets
            values = {key: given.pop(key) for key in sections}
            changes = [(sections[key], key, list(value) if isinstance(value, tuple) else value)
                       for key, value in values.items() if value not in (None, ())]
            changes += map(presets.change, assignments)
            if init := given.pop("init", None):
                return command(preset=presets.load(init, changes), directory=config, **given)
            preset = None if config is None else presets.load(config, changes)
            return command(preset=preset, **given)

        GROWTH(SET(wrapper))
        sections = {}                               # key: section
        for section, option in reversed([(section, option) for section in options for option in options[section]]):
            option(wrapper)
            sections[wrapper.__click_params__[-1].name] = section
        return click.argument("config", required=required, metavar="CONFIG" if required else "[CONFIG]")(wrapper)
    return decorate
