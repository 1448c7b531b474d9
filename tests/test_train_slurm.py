"""Training on a real SLURM of two nodes: the printed script, and its way back into the queue."""
import subprocess
import time

from conftest import ROOT
from training_tools import require_train

require_train()

from test_slurm import cluster                                   # noqa: F401
from test_train import log_of, template                                 # noqa: F401


def test_two_nodes_train_together_and_go_on_after_a_warning(template, cluster, monkeypatch):       # noqa: F811
    for name, value in (("PYTHONPATH", str(ROOT)), ("SLURM_CONF", str(cluster / "slurm.conf")), ("OMP_NUM_THREADS", "1")):
        monkeypatch.setitem(template.environment, name, value)
    options = "--device cpu --set schedule.epochs=30 --save-steps 60"
    template.ok(f"mc2 train run.toml -o undisturbed-2 {options} --nproc 2 -q")
    script = template.ok(f"mc2 train run.toml --slurm --gpus 2 --nproc 1 --slurm-cpus-per-gpu 1 -o slurm {options}")
    (template / "train.sbatch").write_text(script)
    job = template.ok("sbatch --parsable --output=job.log train.sbatch").strip()
    run = template / "slurm"
    wait(lambda: len(lines(run)) >= 5, template, job)
    template.ok(f"scancel --signal=USR1 {job}")
    wait(lambda: "SIGUSR1" in (template / "job.log").read_text(), template, job)
    wait(lambda: "PENDING" in template.ok(f"squeue -h -j {job} -o %T"), template, job)
    template(f"scontrol update jobid={job} StartTime=now")              # not in two minutes
    wait(lambda: len(lines(run)) == 120 and not template.ok(f"squeue -h -j {job} || true").strip(), template, job)
    assert log_of(run) == log_of(template / "undisturbed-2")


def lines(run):
    path = run / "log.jsonl"
    return path.read_bytes().splitlines() if path.exists() else []


def wait(condition, sh, job, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, (sh / "job.log").read_text()[-3000:] + subprocess.run(
            ["scontrol", "show", "job", job], capture_output=True, text=True).stdout
        time.sleep(0.5)
