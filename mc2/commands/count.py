"""mc2 count"""
import time

import click

from mc2 import options
from mc2.terminal import show_row


@click.command()
@options.reads_pairs(reduces=True)
@options.metadata
@click.option("-o", "--output", required=True, metavar="DIR", help="Directory of counts to write.")
def count(run, metadata, output):
    """Count, per language, how many texts matched each entry.

    INPUTS are matched pairs; directories of counts among them are added.

    \b
    mc2 count matched.jsonl.zst -m metadata -o counts
    mc2 count matched/*.jsonl.zst -m metadata -o counts -j 0
    mc2 count part-*/counts -m metadata -o counts
    """
    from mc2 import manifests
    from mc2.balancing import counting
    from mc2.execution.run import begin
    from mc2.metadata.release import Release
    manifests.refuse_foreign_directory(output, counting.KIND)
    run.refuse_twice([output])
    release = Release(metadata)
    if run.dry_run:
        for path in run.inputs:
            show_row("to do", path, output)
        return
    begin([output])
    started, inputs = time.monotonic(), run.inputs
    counts, tally = counting.count(run, release)
    seconds = time.monotonic() - started
    counts.save(output, inputs=inputs, options={}, counts=tally, seconds=seconds, paths={"metadata": metadata})
    pairs, matched = sum(counts.pairs.values()), sum(counts.matched.values())
    left_out = sum(count for reason, count in tally.items() if reason.startswith(("bad: ", "dropped: ")))
    summary = f"{pairs + left_out:,} pairs in, {matched:,} matched, {pairs - matched:,} without a match"
    if tally["adjacent duplicates"]:
        summary += f", {tally['adjacent duplicates']:,} the same as the line before"
    run.receipt("count", summary, tally, output, seconds)
