"""Run mc2 in a process of its own, and see how much memory that took at most: see test_memory.py.

    python tests/memory.py REPORT ARGUMENTS ...

The file REPORT gets the bytes of this process, and those of the largest of its workers.
"""
import atexit
import os
import resource
import sys


def write_report(path):
    """VmHWM: the most memory that the process had at once, all pages counted that were in it."""
    with open("/proc/self/status") as stream:
        own = next(int(line.split()[1]) for line in stream if line.startswith("VmHWM"))
    with open(path, "w") as stream:
        print(own << 10, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10, file=stream)


if __name__ == "__main__":
    report, *sys.argv[1:] = sys.argv[1:]
    os.fsync = os.fstat                         # as in conftest.py
    from mc2.training import join
    join.BUFFER = 1 << 20                       # so that small pools fill it
    from mc2.dedup import buckets
    buckets.FLUSHED = 1 << 20
    from mc2.__main__ import main
    atexit.register(write_report, report)
    main()
