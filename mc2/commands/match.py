"""mc2 match"""
import click

from mc2 import options


@click.command()
@options.reads_pairs
@options.metadata
@click.option("--engine", type=click.Choice(["native", "pyahocorasick"]),
              help="What does the matching; the result is the same. Default: native, where it is built.")
@options.ids
def match(run, metadata, engine, ids):
    """Add matched_entry_ids to every pair.

    \b
    mc2 match pairs.jsonl.zst -m metadata -o matched.jsonl.zst
    mc2 lid pairs.jsonl | mc2 match -m metadata | jq -c .matched_entry_ids
    mc2 match lid/*.jsonl.zst -m metadata -O matched -j 0
    mc2 match lid/*.jsonl.zst -m metadata -O matched --ids downloaded.txt
    """
    from mc2.metadata.matching import Metadata
    from mc2.stages.ids import IdList
    from mc2.stages.match import Annotator
    run(*([IdList(ids)] if ids else []), Annotator(Metadata(metadata, engine)))
