"""The executor for SLURM: an array job per task, of groups of shards.

A group, not a shard, is a task of the array: a task costs 0.4 s of the scheduler, and arrays are limited
(MaxArraySize is 1001 by default). Tasks may be requeued at any time: they pass over what is done. After an
array has ended, the shards that are missing are submitted again.
"""
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import unicodedata

import mc2
from mc2 import __version__, documents, files, own, signals
from mc2.errors import BadData, BadUsage, Mc2Error
from mc2.execution import plans, worker
from mc2.execution.processes import WorkerKilled, end_worker
from mc2.terminal import say

OF_AN_EARLIER_RUN = "It names the array job of a run that was killed. See with squeue whether that job is still at work, cancel " \
    "it with scancel, and delete this file."

SCRIPT = """\
#!/usr/bin/env bash
#SBATCH --job-name=mc2-{task}
#SBATCH --array=0-{last}
#SBATCH --requeue
#SBATCH --cpus-per-task=1
#SBATCH --open-mode=append
#SBATCH --output="{log}"
{options}
# mc2 {command}, task "{task}": {items:,} shards in {groups:,} groups.
# Shards that are done are passed over, so this can be submitted again at any time. After it has ended, the same
# `mc2 {command}` command goes on with what is missing, and with the next task where there is one.
set -euo pipefail
cd {here}
export PYTHONPATH={path}${{PYTHONPATH:+:$PYTHONPATH}}
export PYTHONSAFEPATH=1                 # no modules from the current directory
exec {python} -m {module} {plan} "$SLURM_ARRAY_TASK_ID"
"""
JOB_ID = re.compile(r"\d+")


class Slurm:
    """Array jobs of SLURM. options: lines for sbatch, e.g. ["--partition=cpu"]. groups: the most tasks of an array.

    command: the subcommand of mc2 that runs. print_only: print the script of the next task, and submit nothing.
    """

    name = "slurm"
    module = "mc2.execution.slurm"      # what a task of the array runs

    def __init__(self, directory, options=(), groups=800, print_only=False, command="curate"):
        """directory: for scripts and plans; all nodes must see it."""
        if not print_only and not shutil.which("sbatch"):
            raise BadUsage("--executor slurm: there is no sbatch here. Run it where jobs are submitted, or get the "
                           "script with --print.")
        self.directory, self.command, self.options = directory, command, options
        refuse_in_script("--slurm-option", *options)
        refuse_in_script("the output directory", os.path.abspath(directory), also='"\\')
        self.groups, self.print_only = groups, print_only

    def run(self, task, items, report):
        if self.print_only:
            raise Printed(self.write(task, items))
        self._cancel_earlier()
        script = self.write(task, items)
        waiting = self._submit(script, task, items, report)
        for item in waiting:
            report(item, None if task.is_done(item) else _read_error(_error_path(self.directory, task, item)))

    def write(self, task, items):
        """Write plan and script of a task. Returns the path of the script."""
        own.make_directory(self.directory)
        groups = min(self.groups, len(items))
        plan = os.path.abspath(os.path.join(self.directory, f"{task.name}.plan"))
        log = os.path.abspath(os.path.join(self.directory, f"{task.name}-"))
        for item in items:
            if os.path.exists(path := _error_path(self.directory, task, item)):
                os.unlink(path)
        content = {"mc2": __version__, "task": plans.portable(task),
                   "groups": plans.portable([list(items[k::groups]) for k in range(groups)])}
        files.write_bytes(plan, documents.dumped(content), is_own=True)
        script = os.path.join(self.directory, f"{task.name}.sh")
        files.write_bytes(script, SCRIPT.format(
            task=task.name, command=self.command, last=groups - 1, groups=groups, items=len(items),
            plan=shlex.quote(plan), module=self.module, log=log.replace("%", "%%") + "%a.log",
            options="".join(f"#SBATCH {option}\n" for option in self.options), python=shlex.quote(sys.executable),
            path=shlex.quote(os.path.dirname(os.path.dirname(os.path.abspath(mc2.__file__)))),
            here=shlex.quote(os.getcwd())).encode("utf-8", "surrogateescape"), is_own=True)
        return script

    def _submit(self, script, task, items, report):
        """Submit a script, and wait until its array has ended, well or not; report items as they are done. Returns
        those that were not seen done."""
        environment = {key: value for key, value in os.environ.items()      # not those of a job that this runs in
                       if not key.startswith("SLURM_") or key == "SLURM_CONF"}
        job_id, waiting = None, list(items)
        try:
            with signals.noted():               # so that no array is submitted of which the number is not known
                job = subprocess.Popen(["sbatch", "--wait", "--parsable", script], env=environment, text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                job_id = job.stdout.readline().strip().split(";")[0]
                if not job_id:
                    error = job.communicate()[1].strip() or "failed"
                    signals.check()
                    raise Mc2Error(f"sbatch {script}: {error}. Give what it needs with --slurm-option.")
                files.write_bytes(self._job_path, documents.dumped({"job": job_id}), is_own=True)
            while job.poll() is None:
                started = time.monotonic()
                done = [item for item in waiting if task.is_done(item)]
                for item in done:
                    report(item)
                waiting = [item for item in waiting if item not in set(done)] if done else waiting
                time.sleep(max(1, 20 * (time.monotonic() - started)))       # looking takes little of the time
            job.communicate()
        except BaseException:
            if job_id:
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
            with open(own.open_file(self._job_path, os.O_RDONLY), "rb") as stream:
                job_id = documents.parsed(stream.read(), self._job_path, OF_AN_EARLIER_RUN).get("job", "")
            if not JOB_ID.fullmatch(job_id):
                raise BadData(f"{self._job_path}: does not hold the number of a job of SLURM. {OF_AN_EARLIER_RUN}")
            subprocess.run(["scancel", job_id], check=False, capture_output=True)
            while subprocess.run(["squeue", "-h", "-j", job_id], check=False, capture_output=True).stdout.strip():
                time.sleep(1)
            os.unlink(self._job_path)

    def close(self):
        """Nothing stays behind."""


def refuse_in_script(what, *texts, also=""):
    """Raise BadUsage where a text that goes into a line of a script would end the line, or the quotes around it."""
    for text in texts:
        if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") or letter in also for letter in text):
            raise BadUsage(f"{what} {text!r}: holds a line break or another character that the script of SLURM cannot "
                           f"have there. Leave it out.")


class Printed(Exception):
    """Stands for the end of a run that was to print a script: its path."""


def _error_path(directory, task, item):
    return os.path.join(directory, "errors", f"{task.name}.{task.name_of(item)}.json")


def _write_error(path, error):
    files.write_bytes(path, documents.dumped({"status": getattr(error, "status", 1), "errno": getattr(error, "errno", None),
                                              "message": files.printable(str(error))}), is_own=True)


def _read_error(path):
    """The error that a task of the array left, or WorkerKilled where it left none."""
    try:
        found = documents.read(path, "")
    except OSError:
        return WorkerKilled("its task left neither output nor error")
    except BadData:
        return WorkerKilled("its task left no output, and its error cannot be read")
    kind = {BadUsage.status: BadUsage, BadData.status: BadData}.get(found.get("status"), Mc2Error)
    error, number = kind(str(found.get("message"))), found.get("errno")
    error.errno = number if isinstance(number, int) else None
    return error


def _read_plan(plan, index):
    """(task, items of that group)"""
    try:
        with open(own.open_file(plan, os.O_RDONLY), "rb") as stream:
            content = documents.parsed(stream.read(), plan, "Give the command again that made it.")
        if content["mc2"] != __version__:
            raise BadUsage(f"{plan}: of mc2 {content['mc2']}, and this is mc2 {__version__}. Submit the job again.")
        return plans.restored(content["task"]), plans.restored(content["groups"])[index]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise BadData(f"{plan}: is no plan of mc2. Submit the job again.") from None


def do_group(plan, index):
    """In a task of the array: do the shards of one group, as far as they are not done."""
    task, items = _read_plan(plan, index)
    failed = 0
    for item in items:
        if task.is_done(item):
            continue
        _, error = worker.do(task, item)
        if error is not None:
            failed += 1
            _write_error(_error_path(os.path.dirname(plan), task, item), error)
    return failed


def main():
    signal.signal(signal.SIGTERM, end_worker)
    try:
        sys.exit(1 if do_group(sys.argv[1], int(sys.argv[2])) else 0)
    except Mc2Error as failed:
        say(f"mc2: {failed}")
        sys.exit(failed.status)


if __name__ == "__main__":
    main()
