"""mc2 curate: lid, match, count, thresholds and sample over a pool of shards, as one job that can be resumed.

    job.py       the job from its first shard to its manifest, in phases
    phases.py    where everything is in the output directory; the merging of counts

What is done to a shard, and by which executor, is in mc2/execution. The truth about what is done lies on disk: an
output is done when it is there, whole, with a manifest that fits its input, the options and the version.
"""
