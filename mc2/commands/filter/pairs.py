"""mc2 filter pairs"""
import click

from mc2 import options


def _settings(ctx, param, values):
    """{name: value} of NAME=VALUE; a value is JSON where it is that, else text."""
    import orjson
    settings = {}
    for given in values:
        name, equals, value = given.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"{given!r} is not NAME=VALUE, e.g. least=5.")
        try:
            settings[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            settings[name] = value
    return settings


@click.command()
@options.reads_pairs
@click.option("--with", "specs", multiple=True, required=True, metavar="MODULE:CLASS",
              help="A stage of your own, of which the module is in the current directory or installed; may be repeated.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", callback=_settings,
              help="An argument of the class; may be repeated. With one --with only.")
def pairs(run, specs, settings):
    """Leave out the pairs that a class of your own drops, with the reasons.

    The class is a mc2.execution.stage.Stage of ten lines; CONTRIBUTING.md shows one. All else is as in every command:
    processes, clusters, finished shards, bad lines, the reasons on the receipt and in the manifest.

    \b
    mc2 filter pairs pairs.jsonl --with my_filters:Short --set least=5 --dropped dropped.jsonl -o kept.jsonl
    mc2 filter pairs pool/*.jsonl.zst --with my_filters:Short -O kept -j 0
    mc2 lid pairs.jsonl | mc2 filter pairs --with my_filters:OnlyFrench | mc2 match -m metadata
    """
    from mc2.stages.plugin import PlugIn
    if settings and len(specs) > 1:
        raise click.UsageError("--set goes with one --with: it does not say of which class it is an argument.")
    run(*(PlugIn(spec, settings) for spec in specs))
