"""AdamW whose state is divided over the ranks: ZeRO, stage 1 (Rajbhandari et al. 2020, arXiv 1910.02054).

All weights of one type stand in one line, and every rank owns an equal section of it, which may begin and end within a
tensor. A rank keeps AdamW's two moments of its own section alone, updates the weights there, and gets all others from
the ranks that own them. Weights and gradients are whole on every rank. Each number goes through the same operations as
in AdamW on whole tensors, so the weights are the same, to the last bit.

torch's ZeroRedundancyOptimizer gives whole tensors to ranks. The token embeddings of XLM-V are half of all weights of
ViT-H/14, so one rank would keep half of the state, however many ranks there are.
"""
import bisect
import itertools

import torch
import torch.distributed as dist

from mc2.clip.distributed import all_gather

ALIGNED = 64                    # elements: vector instructions treat the same elements together as in a whole tensor
BUFFER = 256 << 20              # bytes that the ranks exchange at a time, of all of them together
MOMENTS = ("exp_avg", "exp_avg_sq")


class Line:
    """Tensors one after another, each from a multiple of ALIGNED elements on, in equal sections, one for each rank."""

    def __init__(self, sizes, world):
        """sizes: {number of a tensor: how many elements it has}"""
        self.numbers, self.sizes, self.world = list(sizes), list(sizes.values()), world
        self.starts = [0, *itertools.accumulate(map(_aligned, self.sizes))]
        self.section = _aligned(-(-self.starts[-1] // world))           # elements of a rank

    def pieces(self, rank, first=0, n=None):
        """Yield (number of a tensor, begin, end, position) for the tensors in a rank's section, or in n elements of it:
        the elements from `begin` to `end` of the tensor are there, at `position` behind the `first` of these n."""
        low = rank * self.section + first
        high = low + (self.section if n is None else n)
        for index in range(max(bisect.bisect_right(self.starts, low) - 1, 0), len(self.sizes)):
            start = self.starts[index]
            if start >= high:
                return
            begin, end = max(low - start, 0), min(high - start, self.sizes[index])
            if begin < end:
                yield self.numbers[index], begin, end, start + begin - low

    def parts(self, most):
        """Yield (first element, number of elements) of parts of every section, of `most` elements at most."""
        step = max(ALIGNED, most // ALIGNED * ALIGNED)
        for first in range(0, self.section, step):
            yield first, min(step, self.section - first)


def _aligned(n):
    return -(-n // ALIGNED) * ALIGNED


class ShardedAdamW:
    """An AdamW of which each rank keeps the state of its own section. All ranks call its methods at the same time.

    `param_groups` are those of the own section.
    """

    def __init__(self, whole, rank, world):
        """whole: torch's AdamW of the weights, without a state yet."""
        self._rank, self._world, self._steps = rank, world, 0
        self._sizes = [len(group["params"]) for group in whole.param_groups]            # weights of each group
        self._weights = [weight for group in whole.param_groups for weight in group["params"]]
        self._flat = [weight.detach().view(-1) for weight in self._weights]
        sizes = {}                                              # {type: {number of a weight: its elements}}
        for number, weight in enumerate(self._weights):
            sizes.setdefault(weight.dtype, {})[number] = weight.numel()
        self._lines = [Line(of_type, world) for of_type in sizes.values()]
        pieces = sorted(piece for line in self._lines for piece in line.pieces(rank))   # one of a weight at most
        self._own = {number: (begin, end, torch.nn.Parameter(self._flat[number][begin:end]))
                     for number, begin, end, _ in pieces}
        self._optimizer = torch.optim.AdamW(
            [{**group, "params": [self._own[number][2] for number in numbers if number in self._own]}
             for group, numbers in zip(whole.param_groups, self._numbers_of_groups())])

    @property
    def param_groups(self):
        return self._optimizer.param_groups

    def step(self):
        """Update all weights by their gradients, which are the same on all ranks."""
        for number, (begin, end, piece) in self._own.items():
            piece.grad = self._weights[number].grad.reshape(-1)[begin:end]
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._steps += 1
        for line in self._lines:
            self._exchange(line)

    def zero_grad(self, set_to_none=True):
        for weight in self._weights:
            if set_to_none:
                weight.grad = None
            elif weight.grad is not None:
                weight.grad.zero_()

    def state_dict(self):
        """The state of an AdamW of whole weights, in the host's memory of the first rank; None on the others. BUFFER
        bytes at most are on their way at a time."""
        moments = {name: self._gathered(name) for name in MOMENTS} if self._steps else {}
        if self._rank:
            return None
        state = {number: {"step": torch.tensor(float(self._steps)), **{name: moments[name][number] for name in MOMENTS}}
                 for number in range(len(self._weights))} if self._steps else {}
        return {"state": state, "param_groups": [
            {**group, "params": list(numbers)} for group, numbers in zip(self.param_groups, self._numbers_of_groups())]}

    def load_state_dict(self, state):
        """Take this rank's section of the state of an AdamW of whole weights."""
        of_weights = state["state"]
        self._steps = int(of_weights[0]["step"]) if of_weights else 0
        own = [{"step": of_weights[number]["step"].clone(),
                **{name: of_weights[number][name].reshape(-1)[begin:end].clone() for name in MOMENTS}}
               for number, (begin, end, _) in self._own.items()] if of_weights else []
        counter = itertools.count()
        groups = [{**group, "params": [next(counter) for _ in own_group["params"]]}
                  for group, own_group in zip(state["param_groups"], self.param_groups)]
        self._optimizer.load_state_dict({"state": dict(enumerate(own)), "param_groups": groups})

    def _numbers_of_groups(self):
        """[numbers of the weights of each group]"""
        ends = list(itertools.accumulate(self._sizes))
        return [range(end - size, end) for size, end in zip(self._sizes, ends)]

    @torch.no_grad()
    def _exchange(self, line):
        """Send the own section of the weights to all ranks, and take theirs."""
        weight = self._weights[line.numbers[0]]
        for first, n in line.parts(BUFFER // (self._world * weight.element_size())):
            own, all_of_them = weight.new_zeros(n), weight.new_empty(self._world, n)
            _copy((own[position:position + end - begin], self._flat[number][begin:end])
                  for number, begin, end, position in line.pieces(self._rank, first, n))
            all_gather(_bytes(all_of_them), _bytes(own))
            _copy((self._flat[number][begin:end], all_of_them[rank, position:position + end - begin])
                  for rank in range(self._world) if rank != self._rank
                  for number, begin, end, position in line.pieces(rank, first, n))

    def _gathered(self, moment):
        """[a moment of each weight, whole] in the host's memory of the first rank; None on the others."""
        is_first = self._rank == 0
        whole = [torch.empty(weight.shape, dtype=weight.dtype) for weight in self._weights] if is_first else None
        for line in self._lines:
            dtype = self._weights[line.numbers[0]].dtype
            for first, n in line.parts(BUFFER // (self._world * dtype.itemsize)):
                own = torch.zeros(n, dtype=dtype)
                for number, begin, end, position in line.pieces(self._rank, first, n):
                    its_begin, _, piece = self._own[number]
                    own[position:position + end - begin] = \
                        self._optimizer.state[piece][moment][begin - its_begin:end - its_begin]
                parts = [torch.empty_like(own) for _ in range(self._world)] if is_first else None
                dist.gather(_bytes(own), [_bytes(part) for part in parts] if is_first else None)
                for rank, part in enumerate(parts or ()):
                    for number, begin, end, position in line.pieces(rank, first, n):
                        whole[number].view(-1)[begin:end] = part[position:position + end - begin]
        return whole


def _bytes(tensor):
    """A view of a tensor's bytes, which every backend takes, whatever its type."""
    return tensor.view(-1).view(torch.uint8)


def _copy(pairs):
    """Copy [(target, source)] all at once."""
    targets, sources = ([pair[side] for pair in pairs] for side in (0, 1)) if (pairs := list(pairs)) else ([], [])
    if targets:
        torch._foreach_copy_(targets, sources)
