"""Start a run: in this process where it is the only one, else through torchrun, on one machine or many."""
import contextlib
import ctypes
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import mc2
from mc2 import manifests, meter, temporaries
from mc2.errors import BadUsage, Mc2Error
from mc2.signals import STOPPING
from mc2.training import job
from mc2.training.signals import Noted, Stopped

REPORTS = "MC2_TRAIN_REPORTS"           # an environment variable: the directory of the workers' reports
LISTENS, ENDED, FAILED_ELSEWHERE = "listens-", "ended", "failed-elsewhere"      # their names
DRIVER = "MC2_TRAIN_DRIVER"             # an environment variable: process id of `mc2 train`
SLURM_TIME = re.compile(r"[0-9]+([:-][0-9]+)*|UNLIMITED|INFINITE", re.ASCII)
MADE_AT_THE_START = re.compile(r"config\.json|manifest\.json|log\.jsonl|tensorboard|wandb|checkpoints|tokenizer.*\.json")
BUSY = "{}: another run is training in this directory. Wait for it to end, or name another output."


class Layout:
    """How many processes there are, and on which machines.

    nproc: processes on this machine; None: one per GPU, or one. nnodes: machines. rendezvous: torchrun's flags for more
    than one machine. In a SLURM step of several tasks, one per node, all of this comes from SLURM's variables.
    """

    def __init__(self, nproc=None, nnodes=None, rendezvous=()):
        self.nproc = nproc or gpus() or 1
        self.flags = list(rendezvous)
        nodes = int(os.environ.get("SLURM_STEP_NUM_NODES") or os.environ.get("SLURM_NNODES") or 1)
        if nnodes is None and not self.flags and nodes > 1 and "SLURM_STEP_NODELIST" in os.environ:
            nnodes, self.flags = nodes, _slurm_rendezvous()
        self.nnodes = nnodes or 1
        if self.nnodes > 1 and not self.flags:
            raise BadUsage(f"{self.nnodes} machines have to find each other: give --rdzv-endpoint HOST:PORT (of one of them) "
                           "on each, or start this with srun.")

    @property
    def world(self):
        return self.nproc * self.nnodes

    @property
    def alone(self):
        return self.world == 1


def gpus():
    """The number of GPUs of this machine, by CUDA_VISIBLE_DEVICES or nvidia-smi, without torch."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return len([name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name.strip() and name != "-1"])
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0


def start(config, layout, *, resume="latest", force=False, device="auto", quiet=False):
    """Train; returns what happened (of a run in this process) or None. The lock keeps a second run out."""
    output = config["values"]["run"]["output"]
    if layout.alone and config["values"]["compute"]["zero_stage"]:
        raise BadUsage("compute.zero_stage = 1 divides the optimizer's state over the processes of a run, and this run "
                       "has one. Start more (--nproc N), or give --zero-stage 0; a run goes on with or without it.")
    manifests.refuse_foreign_directory(output, job.KIND)
    if force and resume != "latest" and os.path.realpath(resume).startswith(os.path.realpath(output) + os.sep):
        raise BadUsage(f"-f removes the checkpoints of {output}, {resume} among them. Leave -f out, or name another "
                       "output.")
    if layout.nnodes > 1:
        if _leads(layout):
            with temporaries.locked(output, BUSY.format(output)):         # not where a run of one machine is at work
                _begin(config, force, output)
        else:
            _wait_for(output, config)
        _torchrun(output, layout, resume, device, quiet)
        return None
    before = set(os.listdir(output)) if os.path.isdir(output) else None
    with temporaries.locked(output, BUSY.format(output)), _removed_before_its_first_step(output, before):
        _begin(config, force, output)
        if not layout.alone:
            _torchrun(output, layout, resume, device, quiet)
            return None
        with Noted(announce=True, ends_at_second=True) as signals:
            from mc2.training import loop           # takes seconds
            signals.stop_before_training()
            return loop.run(output, signals, resume=resume, device=device, quiet=quiet)


def _begin(config, force, output):
    checkpoints = os.path.join(output, "checkpoints")
    with temporaries.locked(checkpoints, BUSY.format(output)) if force and os.path.isdir(checkpoints) \
            else contextlib.nullcontext():                  # a worker on any machine holds it: see mc2.training.worker
        job.begin(config, force)


@contextlib.contextmanager
def _removed_before_its_first_step(output, before):
    """Where the block fails before a step of the run is on disk, remove what it made in the run's directory, so that
    the corrected command finds what this one found. before: the names in the directory; None: there was none. A run
    that a signal stopped stays: the same command goes on."""
    try:
        yield
    except Stopped:
        raise
    except (Mc2Error, OSError):
        if not job.has_begun(output):
            for name in filter(MADE_AT_THE_START.fullmatch, set(os.listdir(output)) - (before or set())):
                path = os.path.join(output, name)
                is_directory = os.path.isdir(path) and not os.path.islink(path)
                shutil.rmtree(path, ignore_errors=True) if is_directory else os.unlink(path)
            if before is None:
                with contextlib.suppress(OSError):          # somebody put something there
                    os.rmdir(output)
        raise


def _leads(layout):
    """Whether this machine writes the run's configuration."""
    rank = next((layout.flags[k + 1] for k, flag in enumerate(layout.flags) if flag == "--node-rank"), None)
    return rank in (None, "0")


def _wait_for(output, config, patience=600):
    for _ in range(patience):
        with contextlib.suppress(Mc2Error):
            if not job.differences(job.read(output), config):
                return
        time.sleep(1)
    raise Mc2Error(f"{output}: the first machine has not written config.json within {patience} s. Do all of them see this "
                   "directory?")


def _torchrun(output, layout, resume, device, quiet):
    with Noted(announce=_leads(layout)) as signals, tempfile.TemporaryDirectory(prefix="mc2-train-") as reports:
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(layout.nproc),
                   *(layout.flags if layout.nnodes > 1 else ["--standalone"]),
                   *(["--nnodes", str(layout.nnodes)] if layout.nnodes > 1 else []),
                   "--log-dir", reports,                    # which torchrun would leave behind elsewhere
                   "-m", "mc2.training.worker", output, "--resume", resume, "--device", device,
                   "--log-every", str(meter.interval()), *(["--quiet"] if quiet else [])]
        threads = max(1, len(os.sched_getaffinity(0)) // layout.nproc)
        environment = {"OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONPATH": _python_path(),
                       "PYTHONSAFEPATH": "1",               # no modules from the current directory
                       REPORTS: reports, DRIVER: str(os.getpid())}
        status = _attend(command, environment, signals, layout, reports)
        _raise_what_they_said(reports, status, signals)


def _attend(command, environment, signals, layout, reports):
    """The status of torchrun. Signals go to its workers once all of them listen; torchrun would end them. Before that
    there is nothing to save, and torchrun is killed, unless workers of other machines are waiting for these."""
    before, forwarded = _children(os.getpid()), 0
    with _adopting():
        # a session of its own: Ctrl-C in a terminal reaches the workers through this process alone
        child = subprocess.Popen(command, env=environment, start_new_session=True, preexec_fn=_begin_child)
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return child.wait(timeout=0.1)
                if signals.is_urgent:
                    if _listening(reports) == layout.nproc:             # so that workers remove their temporary files
                        for number in signals.received[forwarded:]:
                            _send(number, _children(child.pid))
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            child.wait(timeout=2)
                    raise KeyboardInterrupt
                if len(signals.received) > forwarded:
                    workers = _children(child.pid)
                    if _listening(reports) == layout.nproc:
                        _send(signals.received[forwarded], workers)
                        forwarded += 1
                    elif layout.nnodes == 1 or not workers:
                        return -signal.SIGKILL
        finally:
            _end_all(child, before)


def _begin_child():
    """In torchrun's process: hear nothing that is meant for the workers, and end with this one."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()


@contextlib.contextmanager
def _adopting():
    """A block in which processes whose parent has ended become this one's children (Linux)."""
    _prctl(36, 1)                                           # PR_SET_CHILD_SUBREAPER
    try:
        yield
    finally:
        _prctl(36, 0)


def _end_all(child, before, patience=1.0):
    """Kill torchrun where it still runs, and whatever it leaves: processes that are children of this one and not of
    `before`. After an end of its own they get some seconds."""
    ended = child.poll() is not None
    if not ended:
        child.kill()
        child.wait()
    deadline = time.monotonic() + patience * ended
    while left := [process for process in _children(os.getpid()) if process not in before]:
        if time.monotonic() >= deadline:
            _send(signal.SIGKILL, left)
        for process in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process, os.WNOHANG)
        time.sleep(0.01)


def end_with_parent():
    """Have this process killed when the one that started it ends, however that ends (Linux)."""
    _prctl(1, signal.SIGKILL)                               # PR_SET_PDEATHSIG


def _prctl(option, value):
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value)


def _listening(reports):
    """How many workers attend to signals."""
    return sum(name.startswith(LISTENS) for name in os.listdir(reports))


def _send(number, processes):
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def _python_path():
    """A PYTHONPATH by which the workers find this mc2, installed or not."""
    return os.pathsep.join([os.path.dirname(os.path.dirname(mc2.__file__)),
                            *filter(None, [os.environ.get("PYTHONPATH")])])


def _children(parent):
    """Process ids of the children of all threads of a process (Linux)."""
    found = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{parent}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{parent}/task/{thread}/children") as stream:
                found += map(int, stream.read().split())
    return found


class WorkerError(Mc2Error):
    """The error that a worker process ended with."""

    def __init__(self, message, status):
        super().__init__(message)
        self.status = status


def _raise_what_they_said(reports, status, signals):
    for name in (ENDED, FAILED_ELSEWHERE):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(reports, name), encoding="utf-8") as stream:
            number, _, message = stream.read().partition("\n")
            raise WorkerError(message, int(number))
    if signals.first:
        raise Stopped(signals.first, "before training began" if status else "after its last step; the run is complete")
    if status:
        raise WorkerError(f"torchrun ended with status {status}; its messages are above. The same command goes on from "
                          "the newest checkpoint.", 1)


def _slurm_rendezvous():
    """torchrun's flags from SLURM's variables: this node's number, and the address of the step's first node."""
    first = _scontrol("show", "hostnames", os.environ["SLURM_STEP_NODELIST"]).split()[0]
    address = re.search(r"NodeAddr=(\S+)", _scontrol("-o", "show", "node", first))
    port = 20000 + int(os.environ.get("SLURM_JOB_ID", 0)) % 20000
    return ["--node-rank", os.environ["SLURM_NODEID"], "--master-addr", address[1] if address else first,
            "--master-port", str(port)]


def _scontrol(*arguments):
    try:
        return subprocess.run(["scontrol", *arguments], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise Mc2Error(f"SLURM does not say which nodes these are (scontrol: {error}). Give --nnodes, --node-rank and "
                       "--rdzv-endpoint.") from None


def slurm_script(arguments, *, name, nodes, per_node, cpus, time, gpus=True, warning=300):
    """An sbatch script that trains with these arguments of `mc2 train` on so many nodes, each with `per_node` processes
    of `cpus` cores, each with a GPU unless `gpus` is false.

    Before its time is up, or when it is preempted, the run gets SIGUSR1 (`warning` seconds ahead) or SIGTERM, writes a
    checkpoint and ends with 138 or 143; the job then goes back into the queue and on from there.
    """
    if not SLURM_TIME.fullmatch(time):
        raise BadUsage(f"--slurm-time {time!r}: is no time of sbatch, e.g. 24:00:00 or 2-12:00:00 (days-hours).")
    name = re.sub(r"[^\w.+-]", "_", name, flags=re.ASCII)
    gpu_line = f"#SBATCH --gpus-per-node={per_node}\n" if gpus else ""
    command = [sys.executable, "-m", "mc2", "train", *arguments]
    return f"""#!/usr/bin/env bash
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
{gpu_line}#SBATCH --cpus-per-task={per_node * cpus}
#SBATCH --time={time}
#SBATCH --signal=USR1@{warning}
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail

# One task per node; each starts its processes. The nodes find each other through SLURM's variables.
export PYTHONPATH={shlex.quote(_python_path())}
export PYTHONSAFEPATH=1                 # no modules from the current directory
srun --kill-on-bad-exit=1 --cpus-per-task={per_node * cpus} {shlex.join(command)}
status=$?

if [ $status -eq 138 ] || [ $status -eq 143 ]; then       # a checkpoint is written: on with it later
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $status
"""
