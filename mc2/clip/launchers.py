"""What the environment says of the processes of a run: the variables of torchrun, PyTorchJob, srun and mpirun.

`mc2 train` starts its processes itself, so that it refuses to be one of several that a launcher started, or to guess what
such variables stand for. `mc2 eval` is started by torchrun, or by anything that sets RANK, WORLD_SIZE, MASTER_ADDR and
MASTER_PORT as torchrun does.
"""
import contextlib
import os

from mc2.errors import BadUsage

PREFIXES = ("PET_", "TORCHELASTIC_", "ROLE_")       # PET_: the defaults of torchrun's options
NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "MASTER_ADDR",
         "MASTER_PORT")
MEETING = ("RANK", "MASTER_ADDR", "MASTER_PORT")    # what a process of several needs


def place():
    """(rank, world, local_rank) of this process. BadUsage where the variables do not fit together."""
    world, local_rank = _number("WORLD_SIZE", 1), _number("LOCAL_RANK", 0)
    if world == 1:
        return 0, 1, local_rank
    missing = [name for name in MEETING if not os.environ.get(name)]
    if missing:
        raise BadUsage(f"WORLD_SIZE is {world}, but without {', '.join(missing)} these processes cannot find each other. "
                       f"Start them with 'torchrun --standalone --nproc-per-node {world} -m mc2 ...', or unset "
                       "WORLD_SIZE.")
    rank = _number("RANK", 0)
    if rank >= world:
        raise BadUsage(f"RANK is {rank} and WORLD_SIZE {world}: ranks are 0 to {world - 1}.")
    return rank, world, local_rank


def waits():
    """What this process of several waits for, in words; None where torchrun started it, which ends it if others fail."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return None
    rank, world, _ = place()
    return f"this is process {rank} of {world} (RANK, WORLD_SIZE); it waits for the others at " \
           f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"


def refuse(nproc=None, nnodes=None):
    """Raise BadUsage where `mc2 train` is one of several processes of a launcher, or where variables of one are set and
    neither of these options says how many processes there are to be."""
    itself = "'mc2 train' starts its processes itself"
    launcher, processes, here, machines = _launcher()
    if launcher == "srun":
        raise BadUsage(f"srun started this as one of {processes} processes, but {itself}: srun "
                       f"--ntasks-per-node=1 ... mc2 train ... --nproc {here}.")
    if launcher:
        on_each = f" --nnodes {machines} --node-rank I --rdzv-endpoint HOST:PORT on each of the machines, once" \
            if machines > 1 else ""
        raise BadUsage(f"{launcher} started this as one of {processes} processes, but {itself}. Leave "
                       f"{launcher.replace('a ', 'the ')} out: mc2 train ... --nproc {here}{on_each}.")
    pet_nodes = _number("PET_NNODES", 1)
    world = max(_number("WORLD_SIZE", 1), pet_nodes)
    if nproc is None and nnodes is None and world > 1:
        shown = " ".join(f"{name}={os.environ[name]}" for name in ("RANK", "WORLD_SIZE", "PET_NNODES", "PET_NODE_RANK")
                         if name in os.environ)
        pet, machines = ("PET_", pet_nodes) if pet_nodes > 1 else ("", world)
        nodes = "PET_NNODES" if pet else "WORLD_SIZE"
        machine = f"--nnodes {f'${nodes}' if os.environ[nodes].isdecimal() else machines} " + " ".join(
            f"--{option} ${name}" for option, name in (("node-rank", "PET_NODE_RANK" if pet else "RANK"),
                                                       ("rdzv-endpoint", f"{pet}MASTER_ADDR:${pet}MASTER_PORT")))
        raise BadUsage(f"{shown} is set, as a launcher or PyTorchJob does, but {itself}. For {world} processes on this "
                       f"machine give --nproc {world}; where each of {machines} machines runs this command, give {machine}; "
                       "for this process alone, --nproc 1. The variables are passed over then.")


@contextlib.contextmanager
def ignored():
    """A block without the variables of a launcher, which torchrun would take for its own."""
    kept = {name: value for name, value in os.environ.items() if name in NAMES or name.startswith(PREFIXES)}
    for name in kept:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(kept)


def _launcher():
    """(the launcher that started this and other processes at once, or None; processes; those on this machine;
    machines)"""
    world = _number("WORLD_SIZE", 1)
    if world > 1 and ("LOCAL_RANK" in os.environ or "TORCHELASTIC_RUN_ID" in os.environ):
        here = min(_number("LOCAL_WORLD_SIZE", 1), world)
        launcher = "torchrun" if "TORCHELASTIC_RUN_ID" in os.environ else "a launcher"
        return launcher, world, here, -(-world // here)
    for launcher, all_of_them, machines in (
            ("srun", _number("SLURM_STEP_NUM_TASKS", 1), _number("SLURM_STEP_NUM_NODES", 1)),
            ("mpirun", _number("OMPI_COMM_WORLD_SIZE", 1), None)):
        machines = machines or -(-all_of_them // _number("OMPI_COMM_WORLD_LOCAL_SIZE", all_of_them, least=1))
        if all_of_them > machines:
            return launcher, all_of_them, -(-all_of_them // machines), machines
    return None, 1, 1, 1


def _number(name, default, least=None):
    """The whole number in an environment variable, which is `default` at least where `least` says no other."""
    least = default if least is None else least
    value = os.environ.get(name)
    if not value:
        return default
    if not value.isdecimal() and name.startswith("PET_"):       # `1:4` of an elastic job
        value = value.rpartition(":")[2]
    if not value.isdecimal() or int(value) < least:
        raise BadUsage(f"the environment variable {name} is {value!r}, not a whole number from {least} on.")
    return int(value)
