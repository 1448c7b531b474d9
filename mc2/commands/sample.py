"""mc2 sample"""
import time

import click

from mc2 import options, terminal


@click.command()
@options.reads_pairs
@options.counts
@options.thresholds
@options.seed
@click.option("--one-per-image", is_flag=True,
              help="Of the adjacent lines of one id that matched, draw for one, chosen by the seed.")
@click.option("--uids", metavar="FILE.npy",
              help="Write the ids, which must be DataComp uids, in DataComp's subset form; pairs only with -o too.")
def sample(run, counts, thresholds, seed, one_per_image, uids):
    """Keep a balanced subset of matched pairs.

    \b
    mc2 sample matched.jsonl.zst -c counts -t thresholds.json --seed 0 -o curated.jsonl.zst
    mc2 sample matched/*.jsonl.zst -c counts -t thresholds.json -O curated -j 0
    mc2 sample matched.jsonl -c counts -t thresholds.json --dry-run
    mc2 sample matched/*.parquet -c counts -t thresholds.json --uids subset.npy
    """
    from mc2.balancing import sampling
    check_uids(uids)
    if uids and run.output_dir is not None:
        raise click.UsageError("--uids and -O exclude each other: it is one file for all inputs. Use -o, or no output.")
    if run.dry_run:
        _expect(run, sampling.Sampler(counts, thresholds, seed, one_per_image))
    elif uids:
        with_pairs = click.get_current_context().get_parameter_source("output") != click.core.ParameterSource.DEFAULT
        sampling.write_subset(run, sampling.Sampler(counts, thresholds, seed, one_per_image), uids, with_pairs)
    else:
        run(sampling.Sampler(counts, thresholds, seed, one_per_image))


def check_uids(path):
    if path and not path.endswith(".npy"):
        raise click.BadParameter(f"{path}: is written as NumPy's .npy. Name it so.", param_hint="--uids")


def _expect(run, sampler):
    """Print the exact expectation per language; draw nothing."""
    from mc2 import tables
    from mc2.balancing import sampling, thresholds
    started = time.monotonic()
    found, tally = sampling.expectations(run, sampler)
    rows = [["language", "pairs", "candidates" if sampler.one_per_image else "matched", "expected pairs"]]
    by_size = sorted(found.items(), key=lambda item: -item[1][0])
    rows += [[lang, f"{pairs:,}", f"{matched:,}", f"{expected:,.2f}"]
             for lang, (pairs, matched, expected) in by_size if matched]
    none = {lang: pairs for lang, (pairs, matched, _) in by_size if not matched}
    terminal.show(*tables.align(rows), *thresholds.without_a_match(
        none, "candidate" if sampler.one_per_image else "text matched"))
    total = sum(expected for _, _, expected in found.values())
    run.receipt("sample", f"{tally['in']:,} pairs in, {total:,.2f} expected, nothing drawn", tally, None,
                time.monotonic() - started)
