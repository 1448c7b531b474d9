"""mc2 explain"""
import click
from click.core import ParameterSource

from mc2 import options
from mc2.commands.lid import identification

OF_A_CURATION = {"counts", "thresholds", "seed", "one_per_image", "scheme", "languages", "single", "min_prob",
                 "no_evidence", "by_script", "clean_urls", "clean_capitals", "clean_han", "clean_space", "columns",
                 "input_format", "header"}


@click.command()
@options.inputs
@click.option("--id", "pair_ids", multiple=True, metavar="ID",
              help="Explain the pairs with this id; may be repeated. Without it: all pairs of INPUTS. With --text: the "
                   "id of the text, on which its draw depends.")
@click.option("--text", "texts", multiple=True, metavar="TEXT",
              help="Explain a text instead; -: every line of stdin. Repeated: the texts of one image.")
@options.jobs
@click.option("--first", is_flag=True, help="Stop once every --id was found; else all INPUTS are looked through.")
@click.option("-m", "--metadata", envvar="MC2_METADATA", metavar="DIR",
              help="Metadata release. Of a curation: the one that it was made with, if that was moved.")
@click.option("-c", "--counts", envvar="MC2_COUNTS", metavar="DIR", help="Counts of the pool.")
@click.option("-t", "--thresholds", envvar="MC2_THRESHOLDS", metavar="FILE", help="Thresholds.")
@options.seed
@click.option("--one-per-image", is_flag=True,
              help="Of the adjacent lines of one id that matched, draw for one, chosen by the seed, as in `sample`.")
@identification("--lid-engine")
@click.option("--match-engine", type=click.Choice(["native", "pyahocorasick"]),
              help="What does the matching; the result is the same. Default: native, where it is built.")
@options.ids
@options.columns
@click.option("--format", "input_format", type=click.Choice(["jsonl", "json", "csv", "tsv", "parquet"]),
              help="Format of the inputs, where their names do not tell it (stdin).")
@options.header
@options.longest
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each pair.")
@options.quiet
@options.log_every
@options.verbose
@click.pass_context
def explain(ctx, inputs, pair_ids, texts, jobs, first, metadata, quiet, as_json, **given):
    """Say why pairs are kept or dropped: language, matched entries, probabilities, draw.

    INPUTS are pairs, as for `lid`, `match` and `sample`; or the output directory of `mc2 curate`, with --id: its pool
    is then looked through, with the options that it was made with. Pairs that have `lang` or `matched_entry_ids` are
    taken as they are. Without -c and -t, only languages and entries are told; without -m, only languages.

    Positions are counted in characters, from 0.

    \b
    mc2 explain out --id 4a3f5c...
    mc2 explain --text "A small red circle" -m metadata -c counts -t thresholds.json
    mc2 explain pool/*.jsonl.zst --id 4a3f5c... -m metadata -c counts -t thresholds.json --seed 0
    head -n 20 matched.jsonl | mc2 explain -m metadata -c counts -t thresholds.json --json
    """
    from mc2.explanation import curation
    if texts and inputs:
        raise click.UsageError("--text explains a text, and INPUTS are pairs. Leave one of the two out.")
    if texts and len(pair_ids) > 1:
        raise click.UsageError("the texts of --text are of one image. Name one --id.")
    curations = [path for path in inputs or () if curation.is_curation(path)]
    if curations and (len(inputs) > 1 or not pair_ids):
        raise click.UsageError(f"{curations[0]}: name one curation alone, and an --id to look up in it.")
    if curations:
        _refuse_options_of_a_curation(ctx)
        if ctx.get_parameter_source("metadata") != ParameterSource.COMMANDLINE:     # $MC2_METADATA may be another
            metadata = None
        found = _of_curation(curations[0], pair_ids, metadata, given, jobs, first, quiet)
    elif texts:
        found = _of_texts(ctx, texts, next(iter(pair_ids), None), _explainer(ctx, metadata, given, bool(pair_ids)))
    else:
        found = _of_pairs(ctx, inputs, pair_ids, metadata, given, jobs, first, quiet)
    _print(found, as_json)


def _refuse_options_of_a_curation(ctx):
    for param in ctx.command.params:
        if param.name in OF_A_CURATION and ctx.get_parameter_source(param.name) == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{param.opts[-1]}: a curation has its own. Leave it out, or name pairs, e.g. the "
                                   f"shards of the pool.")


def _of_curation(path, pair_ids, metadata, given, jobs, first, quiet):
    from mc2.explanation import curation
    from mc2.terminal import say
    opened = curation.opened(path, metadata, given["model"], given["ids"])
    for note in opened.notes if not quiet else ():
        say(f"explain: {note}")
    yield from _look_up(opened.explainer, opened.inputs, pair_ids, jobs, first, quiet, longest=given["longest_line"],
                        reading=opened.reading)


def _of_pairs(ctx, inputs, pair_ids, metadata, given, jobs, first, quiet):
    from mc2 import files
    from mc2.execution.found import Found
    from mc2.pairs.columns import reading_of
    from mc2.pairs.shards import refuse_unopenable
    inputs = options.pair_inputs(ctx, inputs, None)
    reading = reading_of(given["columns"], None, None, given["input_format"], given["header"])
    refuse_unopenable(inputs, [], reading)
    explainer = _explainer(ctx, metadata, given)
    files.map_paths(explainer.stages.check_input, inputs)
    yield from _look_up(explainer, inputs, pair_ids, jobs, first, quiet, longest=given["longest_line"], reading=reading,
                        found=Found(quiet))


def _look_up(explainer, inputs, pair_ids, jobs, first, quiet, **reading):
    from mc2 import files
    from mc2.errors import BadData
    from mc2.explanation.lookup import Lookup
    from mc2.meter import Meter
    with Meter("explain", "pairs", quiet=quiet, scaled=True) as meter:
        lookup = Lookup(inputs, pair_ids or None, explainer.ids, meter, first, **reading)
        for batch in lookup.in_processes(jobs) if pair_ids and jobs != 1 and "-" not in inputs else lookup:
            yield from explainer(batch)
    if missing := lookup.missing():
        where = files.name_of(inputs[0]) + (f" and {len(inputs) - 1:,} more inputs" if len(inputs) > 1 else "")
        raise BadData(f"no pair with the id {missing[0]} among the {meter.done:,} pairs of {where}"
                      f"{f', nor with {len(missing) - 1:,} more' if len(missing) > 1 else ''}.")


def _of_texts(ctx, texts, pair_id, explainer):
    from mc2 import files
    from mc2.explanation import lookup
    if "-" in texts:
        if len(texts) > 1:
            raise click.UsageError("--text - stands for all lines of stdin. Give it alone.")
        options.pair_inputs(ctx, None, None)            # help, where that is a terminal
        for number, text in lookup.lines_of_stdin():
            yield from explainer(lookup.of_texts([text], pair_id, files.STDIN, number))
        return
    for name, value in [*(("--text", text) for text in texts), ("--id", pair_id or "")]:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"{name}: is not UTF-8.") from None
    yield from explainer(lookup.of_texts(texts, pair_id))


def _explainer(ctx, metadata, given, has_ids=True):
    from mc2.balancing.sampling import Sampler
    from mc2.commands.lid import identify
    from mc2.explanation.explainer import Explainer
    from mc2.metadata.matching import Metadata
    from mc2.metadata.release import mapping_of
    from mc2.stages.ids import IdList
    counts, thresholds = given["counts"], given["thresholds"]
    if (counts is None) != (thresholds is None):
        raise click.UsageError(f"-c and -t go together. Name the {'counts' if counts is None else 'thresholds'} too.")
    if counts is not None and not metadata:
        raise click.UsageError("name the metadata of these counts with -m.")
    opened = Metadata(metadata, given["match_engine"]) if metadata else None
    how = {name: given[name] for name in ("model", "single", "min_prob", "no_evidence", "by_script", "clean_urls",
                                          "clean_capitals", "clean_han", "clean_space")}
    identifier = identify(mapping_of(metadata, given["scheme"], given["languages"]), given["lid_engine"], **how)
    sampler = Sampler(counts, thresholds, given["seed"], given["one_per_image"] and has_ids) if counts else None
    if sampler:
        _refuse_other_metadata(opened, metadata, counts, sampler)
    return Explainer(identifier, opened, sampler, IdList(given["ids"]) if given["ids"] else None, has_ids=has_ids)


def _refuse_other_metadata(opened, metadata, counts, sampler):
    from mc2.errors import BadData
    theirs = sampler.lineage["metadata"]
    if theirs != opened.fingerprint:
        raise BadData(f"{metadata}: is metadata {opened.fingerprint[:12]}, but {counts} is of metadata {theirs[:12]}. "
                      f"Name the metadata that was counted with.")


def _print(found, as_json):
    from mc2.explanation import lines
    from mc2.terminal import show, show_json
    for number, explanation in enumerate(found):
        if as_json:
            show_json(explanation)
            continue
        if number:
            show("")
        for line in lines.describe(explanation):
            show(line)
