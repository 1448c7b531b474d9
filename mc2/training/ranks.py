"""The processes of a run, and what they have to agree on. Without torchrun there is one process, and all of this is free."""
import datetime
import os

import torch
import torch.distributed as dist

from mc2.errors import BadUsage

TIMEOUT = datetime.timedelta(minutes=30)


def device_of(name, number=0):
    """The torch device of `auto`, `cuda` or `cpu`."""
    if name == "cuda" and not torch.cuda.is_available():
        raise BadUsage("--device cuda: there is no GPU that torch can use.")
    return torch.device("cuda", number) if name != "cpu" and torch.cuda.is_available() else torch.device("cpu")


class Ranks:
    """This process among those of the run: rank, world, local_rank, device."""

    def __init__(self, device="auto"):
        self.rank = int(os.environ.get("RANK", 0))
        self.world = int(os.environ.get("WORLD_SIZE", 1))
        self.local_rank = int(os.environ.get("LOCAL_RANK", 0))
        self.device = device_of(device, self.local_rank)
        cuda = self.device.type == "cuda"
        if cuda:
            torch.cuda.set_device(self.device)
        if self.world > 1:
            dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=TIMEOUT)

    @property
    def is_first(self):
        return self.rank == 0

    def most(self, *numbers):
        """The largest of each over all ranks. Whole numbers."""
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
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()
