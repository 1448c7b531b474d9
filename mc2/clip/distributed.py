"""The processes that a launcher started (ranks), and what they exchange. Without one there is one, and nothing to
exchange.
"""
import datetime

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.nn             # noqa: F401  before a group is made, which it would keep for ever (see `close`)

from mc2.clip import launchers
from mc2.errors import BadUsage, Mc2Error
from mc2.terminal import say

TIMEOUT = datetime.timedelta(minutes=30)


def device_of(name, number=0):
    """The torch device of `auto`, `cuda` or `cpu`."""
    if name == "cuda" and not torch.cuda.is_available():
        raise BadUsage("--device cuda: there is no GPU that torch can use.")
    return torch.device("cuda", number) if name != "cpu" and torch.cuda.is_available() else torch.device("cpu")


class Ranks:
    """This process among those of the run: rank, world, local_rank, device."""

    def __init__(self, device="auto"):
        self.rank, self.world, self.local_rank = launchers.place()
        self.device = device_of(device, self.local_rank)
        cuda = self.device.type == "cuda"
        if cuda and self.local_rank >= torch.cuda.device_count():
            raise BadUsage(f"LOCAL_RANK is {self.local_rank}, but this machine has {torch.cuda.device_count()} GPUs. Start "
                           "no more processes than GPUs, or give --device cpu.")
        if cuda:
            torch.cuda.set_device(self.device)
        if self.world > 1:
            self._meet("cpu:gloo,cuda:nccl" if cuda else "gloo")

    def _meet(self, backend):
        waits = launchers.waits()
        if waits:
            say(f"mc2: {waits}")
        try:
            dist.init_process_group(backend, timeout=TIMEOUT)
        except (ValueError, RuntimeError) as error:
            raise Mc2Error(f"the processes of this run do not find each other ({' '.join(str(error).split())}). Look at "
                           "RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.") from error

    @property
    def is_first(self):
        return self.rank == 0

    def most(self, *numbers):
        """[the largest over all ranks] of whole numbers."""
        if self.world == 1:
            return list(numbers)
        tensor = torch.tensor(numbers, dtype=torch.int64)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tensor.tolist()

    def mean(self, tensor):
        """The mean of a tensor over all ranks."""
        if self.world > 1:
            dist.all_reduce(tensor)
            tensor = tensor / self.world
        return tensor

    def gather(self, value):
        """[value of every rank] on the first rank, None on the others. Any picklable value."""
        if self.world == 1:
            return [value]
        values = [None] * self.world if self.is_first else None
        dist.gather_object(value, values)
        return values

    def close(self):
        """End the group and its threads. They end only when nothing holds the group any more: a thread that still runs
        while Python ends may abort the process. The functions of torch.distributed.nn hold the group that there is when
        that module is imported (as a default argument), so it is imported above, before there is any."""
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()


# ---------------------------------------------------------------- work that the ranks divide, wherever Ranks was made

def rank_and_world():
    """(number of this rank, number of ranks)"""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def own_share(total):
    """(begin, end): the part of `total` items that this rank does."""
    rank, world = rank_and_world()
    return total * rank // world, total * (rank + 1) // world


def rows_of_all(own):
    """float32 (n, d) on every rank: the rows of all ranks in order; None where no rank has any. own: (m, d) or None."""
    _, world = rank_and_world()
    if world == 1:
        return own
    shapes = _of_all(None if own is None else own.shape)
    width = next((shape[1] for shape in shapes if shape), None)
    if width is None:
        return None
    most = max(shape[0] for shape in shapes if shape)
    padded = torch.zeros(most, width)
    if own is not None:
        padded[:len(own)] = torch.from_numpy(own)
    parts = [torch.empty(most, width) for _ in range(world)]
    dist.all_gather(parts, padded)
    return np.concatenate([part[:shape[0]].numpy() for part, shape in zip(parts, shapes) if shape])


def all_gather(gathered, own):
    """Fill a tensor with those of all ranks, one behind another along its first dimension."""
    collective("all_gather_single", "all_gather_into_tensor")(gathered, own)


def collective(name, before):
    """A function of torch.distributed by its name, or by the name before in a version of torch that has the old one
    only. Those that have both warn of the old one."""
    return getattr(dist, name, None) or getattr(dist, before)


def sum_of_all(array):
    """The sum over all ranks of an array, which is overwritten."""
    if dist.is_initialized():
        dist.all_reduce(torch.from_numpy(array))
    return array


def is_so_on_all(condition):
    """Whether a condition holds on every rank."""
    return all(_of_all(bool(condition)))


def merged(own):
    """The dicts of all ranks as one, on every rank."""
    return {key: value for each in _of_all(own) for key, value in each.items()}


def _of_all(value):
    _, world = rank_and_world()
    values = [value] * world
    if world > 1:
        dist.all_gather_object(values, value)
    return values
