"""mc2 inspect"""
import os

import click

from mc2 import options
from mc2.terminal import json_of, say, show, show_json


as_json = click.option("--json", "as_json", is_flag=True,
                       help="Print one JSON object with the same facts, for programs.")


class _PathOrLanguages(click.Command):
    """`inspect PATH`; or the command `inspect languages`, where there is no path of that name."""

    def make_context(self, info_name, args, parent=None, **extra):
        if args[:1] != ["languages"] or os.path.lexists("languages"):
            return super().make_context(info_name, args, parent, **extra)
        if parent:
            parent.meta["mc2.command"] = "mc2 inspect languages"
            options.refuse_unclear(languages, f"{info_name} languages", args[1:], parent)
        return languages.make_context(f"{info_name} languages", args[1:], parent,
                                      auto_envvar_prefix="MC2_INSPECT_LANGUAGES", **extra)


@click.command(cls=_PathOrLanguages)
@click.argument("path", default="-")
@click.option("-m", "--metadata", envvar="MC2_METADATA", metavar="DIR",
              help="Metadata release to spell out entries. Default: the one that the manifest names, or `metadata` "
                   "beside the file.")
@click.option("--lines", type=click.IntRange(0), default=10_000, show_default=True, metavar="N",
              help="Read this many pairs; 0 = all.")
@options.longest
@click.option("--against", metavar="DIR", type=click.Path(exists=True),
              help="Compare the metadata release PATH with this one.")
@click.option("--texts", metavar="PAIRS", type=click.Path(exists=True, dir_okay=False, allow_dash=True),
              help="With --against: also match the texts of these pairs, which have `lang`, under both releases.")
@options.reads_columns
@as_json
@options.verbose
@click.pass_context
def inspect(ctx, path, metadata, lines, longest_line, against, texts, as_json, reading):
    """Say what PATH is: metadata (packed too), sources, counts, thresholds, a curation, a checkpoint, or pairs (also
    from stdin).

    Of a table in which it is not known which columns are id and text, the columns are listed.

    `mc2 inspect languages` says instead which Wikipedias the labels of a language identification model reach; it has
    a help of its own. A file or directory called `languages` comes first.

    \b
    mc2 inspect metadata
    mc2 inspect thresholds.json
    mc2 inspect matched.jsonl.zst
    mc2 inspect captions.csv --id auto --text caption
    mc2 inspect metadata --against older-metadata
    mc2 inspect wide --against published --texts lid.jsonl.zst
    mc2 inspect languages --scheme glotlid
    mc2 inspect counts --json | jq .languages.en.matched
    """
    from mc2 import files, inspection
    if texts and not against:
        raise click.UsageError("--texts goes with --against: name two releases.")
    if path == "-" and against:
        raise click.UsageError("--against compares two releases: name the first one too.")
    if path == "-":
        options.pair_inputs(ctx, None, None)
    elif not files.exists(path):
        raise click.UsageError(f"{path}: no such file or directory.")
    if as_json:
        found = inspection.facts_of_two(path, against, texts, lines, longest_line) if against else \
            inspection.facts(path, metadata, lines, longest_line, reading)
        show_json(found)
        return
    described = inspection.compare(path, against, texts, lines, longest_line) if against else \
        inspection.describe(path, metadata, lines, longest_line, reading)
    for line in described:
        show(line)


@click.command()
@click.option("-m", "--metadata", envvar="MC2_METADATA", metavar="DIR", help="The mapping of this metadata release.")
@click.option("--scheme", type=click.Choice(options.SCHEMES),
              help="The mapping of labels of this scheme. Default: that of the metadata, else lid176.")
@click.option("--languages", "mapping_file", metavar="FILE.csv", type=click.Path(exists=True, dir_okay=False),
              help="A mapping of one's own, in the form of a release's languages.csv.")
@click.option("--model", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help="fastText model, .bin or .ftz, whose labels count. Default: lid.176.ftz where the mapping has its "
                   "labels, else all labels of the mapping.")
@click.option("--engine", type=click.Choice(["native", "fasttext"]),
              help="What reads the model; the result is the same. Default: native, where it is built.")
@options.output
@as_json
@options.quiet
@options.verbose
def languages(metadata, scheme, mapping_file, model, engine, output, as_json, quiet):
    """Say which Wikipedias the labels of a language identification model reach, and which are in `other`.

    With -o FILE.csv, write the mapping of these labels instead, to be changed and given to --languages.

    \b
    mc2 inspect languages --scheme glotlid
    mc2 inspect languages -m metadata
    mc2 inspect languages --model model.bin --scheme glotlid -o my.csv
    """
    from mc2 import files, manifests
    from mc2.inspection import languages as report
    from mc2.invisible import escaped
    from mc2.metadata import languages as mappings
    from mc2.metadata.release import mapping_of
    mapping = mapping_of(metadata, scheme, mapping_file)
    model, labels = report.labels_of(mapping, model, engine)
    if output.endswith(".csv"):
        written = mappings.with_labels(mapping, labels or [])
        files.write_bytes(output, written.to_csv())
        manifests.write_for_file(output, manifests.describe_run(
            "languages", [path for path in (mapping_file, model) if path], {"scheme": scheme, "metadata": metadata},
            {"out": len(written.rows)}))
    else:
        name = metadata or mapping_file or mapping.scheme
        if as_json:
            data = json_of(report.facts(name, mapping, model, labels))
        else:
            data = "".join(f"{escaped(line)}\n" for line in report.describe(name, mapping, model, labels)).encode()
        files.write_bytes(output, data)
    if output != "-" and not quiet:
        say(f"languages: {len(labels or mapping.lang_of):,} labels -> {output}")
