"""The engine for SLURM: an array job per phase, of groups of shards.

A group, not a shard, is a task of the array: a task costs 0.4 s of the scheduler, and arrays are limited
(MaxArraySize is 1001 by default). Tasks may be requeued at any time: they pass over what is done. After an
array has ended, the shards that are missing are submitted again.
"""
import os
import pickle
import shlex
import shutil
import signal
import subprocess
import sys
import time

import mc2
from mc2 import __version__, files
from mc2.errors import BadUsage, Mc2Error
from mc2.execution import worker
from mc2.execution.processes import end_worker
from mc2.execution.rounds import WorkerKilled

SCRIPT = """\
#!/usr/bin/env bash
#SBATCH --job-name=mc2-{phase}
#SBATCH --array=0-{last}
#SBATCH --requeue
#SBATCH --cpus-per-task=1
#SBATCH --open-mode=append
#SBATCH --output="{log}"
{options}
# mc2 curate, phase "{phase}": {items:,} shards in {groups:,} groups.
# Tasks pass over shards that are done, so this can be submitted again at any time. After it has ended, the same
# `mc2 curate` command goes on with what is missing and with the next phase.
set -euo pipefail
cd {here}
export PYTHONPATH={path}${{PYTHONPATH:+:$PYTHONPATH}}
exec {python} -m mc2.execution.slurm {plan} "$SLURM_ARRAY_TASK_ID"
"""


class Slurm:
    """Array jobs of SLURM. options: lines for sbatch, e.g. ["--partition=cpu"]. groups: the most tasks of an array.

    print_only: print the script of the next phase, and submit nothing.
    """

    name = "slurm"

    def __init__(self, directory, options=(), groups=800, print_only=False):
        """directory: for scripts and plans; all nodes must see it."""
        if not print_only and not shutil.which("sbatch"):
            raise BadUsage("--engine slurm: there is no sbatch here. Run it where jobs are submitted, or get the "
                           "script with --print.")
        self.directory, self.options, self.groups, self.print_only = directory, options, groups, print_only

    def run(self, phase, items, report):
        if self.print_only:
            raise Printed(self.write(phase, items))
        self._cancel_earlier()
        script = self.write(phase, items)
        waiting = self._submit(script, phase, items, report)
        for item in waiting:
            report(item, None if phase.is_done(item) else _read_error(self._error_path(phase, item)))

    def write(self, phase, items):
        """Write plan and script of a phase. Returns the path of the script."""
        os.makedirs(self.directory, exist_ok=True)
        groups = min(self.groups, len(items))
        plan = os.path.abspath(os.path.join(self.directory, f"{phase.name}.plan"))
        log = os.path.abspath(os.path.join(self.directory, f"{phase.name}-"))
        for item in items:
            if os.path.exists(path := self._error_path(phase, item)):
                os.unlink(path)
        files.write_bytes(plan, pickle.dumps((__version__, phase, [items[k::groups] for k in range(groups)])))
        script = os.path.join(self.directory, f"{phase.name}.sh")
        files.write_bytes(script, SCRIPT.format(
            phase=phase.name, last=groups - 1, groups=groups, items=len(items), plan=shlex.quote(plan),
            log=log.replace("%", "%%") + "%a.log",
            options="".join(f"#SBATCH {option}\n" for option in self.options), python=shlex.quote(sys.executable),
            path=shlex.quote(os.path.dirname(os.path.dirname(os.path.abspath(mc2.__file__)))),
            here=shlex.quote(os.getcwd())).encode("utf-8", "surrogateescape"))
        return script

    def _submit(self, script, phase, items, report):
        """Submit a script, and wait until its array has ended, well or not; report items as they are done. Returns
        those that were not seen done."""
        environment = {key: value for key, value in os.environ.items()      # not those of a job that this runs in
                       if not key.startswith("SLURM_") or key == "SLURM_CONF"}
        job = subprocess.Popen(["sbatch", "--wait", "--parsable", script], env=environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        job_id = job.stdout.readline().strip().split(";")[0]
        if not job_id:
            error = job.communicate()[1].strip() or "failed"
            raise Mc2Error(f"sbatch {script}: {error}. Give what it needs with --slurm-option.")
        files.write_bytes(self._job_path, job_id.encode())
        waiting = list(items)
        try:
            while job.poll() is None:
                started = time.monotonic()
                done = [item for item in waiting if phase.is_done(item)]
                for item in done:
                    report(item)
                waiting = [item for item in waiting if item not in set(done)] if done else waiting
                time.sleep(max(1, 20 * (time.monotonic() - started)))       # looking takes little of the time
            job.communicate()
        except BaseException:
            subprocess.run(["scancel", job_id], check=False)
            job.kill()
            raise
        os.unlink(self._job_path)
        return waiting

    @property
    def _job_path(self):
        return os.path.join(self.directory, "job")

    def _cancel_earlier(self):
        """Cancel the array of a driver that was killed: its tasks would read the plan that comes now."""
        if os.path.exists(self._job_path):
            with open(self._job_path, encoding="utf-8") as stream:
                job_id = stream.read()
            subprocess.run(["scancel", job_id], check=False, capture_output=True)
            while subprocess.run(["squeue", "-h", "-j", job_id], check=False, capture_output=True).stdout.strip():
                time.sleep(1)
            os.unlink(self._job_path)

    def _error_path(self, phase, item):
        return os.path.join(self.directory, "errors", f"{phase.name}.{phase.name_of(item)}.pickle")


class Printed(Exception):
    """Stands for the end of a run that was to print a script: its path."""


def _read_error(path):
    try:
        with open(path, "rb") as stream:
            return pickle.load(stream)
    except (OSError, EOFError, pickle.UnpicklingError):
        return WorkerKilled("its task left neither output nor error")


def do_group(plan, index):
    """In a task of the array: do the shards of one group, as far as they are not done."""
    with open(plan, "rb") as stream:
        version, phase, groups = pickle.load(stream)
    if version != __version__:
        raise BadUsage(f"{plan}: of mc2 {version}, and this is mc2 {__version__}. Submit the job again.")
    failed = 0
    for item in groups[index]:
        if phase.is_done(item):
            continue
        _, error = worker.do(phase, item)
        if error is not None:
            failed += 1
            directory = os.path.join(os.path.dirname(plan), "errors")
            os.makedirs(directory, exist_ok=True)
            files.write_bytes(os.path.join(directory, f"{phase.name}.{phase.name_of(item)}.pickle"), pickle.dumps(error))
    return failed


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end_worker)
    sys.exit(1 if do_group(sys.argv[1], int(sys.argv[2])) else 0)
