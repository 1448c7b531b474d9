"""mc2 curate: lid, match, count, thresholds and sample over a pool of shards, as one job that can be resumed.

    job.py            the job from its first shard to its manifest, in phases
    phases.py         what is done per shard: a pure function from files to files
    shard_counts.py   counts of one shard or several, in one file
    rounds.py         do what is missing until nothing is, and say what failed
    local.py, ray.py, slurm.py     where it is done: the engines
    progress.py       how far it is, for `mc2 status` and the line on the terminal

The truth about what is done lies on disk, never in what an engine returns: an output is done when it is there,
whole, with a manifest that fits its input, the options and the version.
"""
