"""Variables of torchrun, PyTorchJob, srun and mpirun: what mc2 train says to them, and what mc2 eval takes of them."""
import os

import pytest
from training_tools import require_train

require_train()

from mc2.clip import launchers                                      # noqa: E402
from mc2.errors import BadUsage                                     # noqa: E402

POD = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "master-0", "MASTER_PORT": "23456"}
TORCHRUN = {**POD, "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "none"}


@pytest.fixture
def surroundings(monkeypatch):
    """surroundings({name: value}): these variables of a launcher and no others."""
    def set_all(variables):
        for name in [*os.environ]:
            if name in launchers.NAMES or name.startswith((*launchers.PREFIXES, "SLURM_", "OMPI_")):
                monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
    return set_all


@pytest.mark.parametrize("variables, message", [
    (TORCHRUN, "torchrun started this as one of 2 processes, but 'mc2 train' starts its processes itself. Leave torchrun "
               "out: mc2 train ... --nproc 2."),
    ({**TORCHRUN, "LOCAL_WORLD_SIZE": "1"}, "--nproc 1 --nnodes 2 --node-rank I --rdzv-endpoint HOST:PORT on each"),
    ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NUM_NODES": "2"}, "srun --ntasks-per-node=1 ... mc2 train ... --nproc 4"),
    ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, "mpirun started this as one of 4 processes"),
    ({"OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, "mpirun started this as one of 8 processes, but 'mc2 "
     "train' starts its processes itself. Leave mpirun out: mc2 train ... --nproc 4 --nnodes 2 --node-rank I"),
    ({"WORLD_SIZE": "4", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "3"}, "a launcher started this as one of 4 processes")])
def test_training_refuses_to_be_one_of_several_processes(surroundings, variables, message):
    surroundings(variables)
    for given in ({}, {"nproc": 2}, {"nnodes": 2}):
        with pytest.raises(BadUsage) as found:
            launchers.refuse(**given)
        assert message in str(found.value)


@pytest.mark.parametrize("variables, ways", [
    ({"WORLD_SIZE": "2"}, ["WORLD_SIZE=2 is set", "on this machine give --nproc 2;"]),
    (POD, ["RANK=1 WORLD_SIZE=2 is set", "--nnodes $WORLD_SIZE --node-rank $RANK --rdzv-endpoint $MASTER_ADDR:$MASTER_PORT"]),
    ({"PET_NNODES": "1:3", "PET_NODE_RANK": "0"},
     ["PET_NNODES=1:3 PET_NODE_RANK=0 is set", "--nnodes 3 --node-rank $PET_NODE_RANK"]),
    ({**POD, "WORLD_SIZE": "8", "PET_NNODES": "2"},
     ["--nproc 8; where each of 2 machines runs this command, give --nnodes $PET_NNODES"])])
def test_variables_of_a_launcher_are_asked_about_unless_the_command_says_what_there_is(surroundings, variables, ways):
    surroundings(variables)
    with pytest.raises(BadUsage) as found:
        launchers.refuse()
    assert all(way in str(found.value) for way in ways)
    launchers.refuse(nproc=1)
    launchers.refuse(nnodes=2)
    with launchers.ignored():
        assert launchers.place() == (0, 1, 0) and not os.environ.keys() & variables.keys()
    assert os.environ.items() >= variables.items()


@pytest.mark.parametrize("variables", [
    {}, {"WORLD_SIZE": "1", "RANK": "0"}, {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "2"},
    {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, {"SLURM_NTASKS": "8"}, {"PET_NNODES": "1"}, {"RANK": "3"}])
def test_one_process_needs_no_launcher(surroundings, variables):
    surroundings(variables)
    launchers.refuse()
    assert launchers.place() == (0, 1, 0)


def test_a_process_of_several_knows_its_place_or_says_what_is_missing(surroundings):
    surroundings(TORCHRUN)
    assert launchers.place() == (1, 2, 1) and launchers.waits() is None
    surroundings(POD)
    assert launchers.place() == (1, 2, 0)
    assert launchers.waits() == "this is process 1 of 2 (RANK, WORLD_SIZE); it waits for the others at master-0:23456"
    for changed, message in (({"WORLD_SIZE": "2"}, "WORLD_SIZE is 2, but without RANK, MASTER_ADDR, MASTER_PORT these"),
                             ({**POD, "RANK": "2"}, "RANK is 2 and WORLD_SIZE 2: ranks are 0 to 1."),
                             ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two', not a whole number from 1 on")):
        surroundings(changed)
        with pytest.raises(BadUsage, match=message):
            launchers.place()


def test_the_commands_ask(sh, surroundings):
    surroundings({})
    sh.write("run.toml", "")
    assert "without torchrun" in sh.ok("mc2 train --help")
    done = sh("mc2 eval embed --images . --model open_clip:ViT-B-32 -o f --device cpu", WORLD_SIZE="2")
    assert done.status == 2 and "torchrun --standalone --nproc-per-node 2 -m mc2" in done.stderr
    done = sh("mc2 train tiny --train-data a.tar -o run --device cpu", WORLD_SIZE="2")
    assert done.status == 2 and "--nproc 2" in done.stderr and not (sh / "run").exists()
