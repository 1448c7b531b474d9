"""ZeRO, stage 1: AdamW's state divided over the ranks, and the same weights as with the whole state on each."""
import copy
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_tools import require_train

require_train()

import torch                                                # noqa: E402
import torch.distributed as dist                            # noqa: E402
from torch.nn.parallel import DistributedDataParallel       # noqa: E402

from mc2.clip.model import autocast, build, clamp_logit_scale, optimizer_of     # noqa: E402
from mc2.training import step, zero                         # noqa: E402

TINY = {"embed_dim": 8, "quick_gelu": True,
        "vision_cfg": {"image_size": 8, "patch_size": 4, "layers": 1, "width": 24, "head_width": 8},
        "text_cfg": {"context_length": 5, "vocab_size": 77, "layers": 1, "width": 24, "heads": 3}}
ADAMW = {"lr": 1e-2, "beta1": 0.9, "beta2": 0.95, "eps": 1e-6, "wd": 0.1}
WORLD = 2
# precision, accum_freq, gradient checkpointing, norm to which gradients are clipped
WAYS = [("fp32", 2, False, 0.05), ("amp_bf16", 1, True, None), ("bf16", 2, False, 0.05)]


# ---------------------------------------------------------------- who owns what

def test_sections_are_equal_and_may_end_within_a_tensor():
    line = zero.Line({0: 100, 3: 1, 4: 300}, world=2)       # from the elements 0, 128 and 192 of the line on
    assert line.section == 256
    assert list(line.pieces(0)) == [(0, 0, 100, 0), (3, 0, 1, 128), (4, 0, 64, 192)]
    assert list(line.pieces(1)) == [(4, 64, 300, 0)]
    assert list(line.pieces(1, first=64, n=128)) == [(4, 128, 256, 0)]


def test_no_rank_keeps_more_than_its_share_of_one_large_tensor():
    line = zero.Line({0: 923_269_120, 1: 935_514_625}, world=384)
    assert line.section == 4_840_640                        # of 1,858,783,745 elements, a 384th is 4,840,583


@given(st.lists(st.integers(1, 300), min_size=1, max_size=8), st.integers(1, 9), st.integers(1, 300))
def test_every_element_has_one_owner(sizes, world, most):
    line = zero.Line(dict(enumerate(sizes)), world)
    seen = [[0] * size for size in sizes]
    for rank, (first, n) in itertools.product(range(world), line.parts(most)):
        for number, begin, end, position in line.pieces(rank, first, n):
            assert begin % zero.ALIGNED == 0 and 0 <= position and position + end - begin <= n
            for element in range(begin, end):
                seen[number][element] += 1
    assert all(count == 1 for counts in seen for count in counts)


# ---------------------------------------------------------------- two ranks

def batch(number, rank):
    generator = torch.Generator().manual_seed(10 * number + rank)
    return torch.randn(4, 3, 8, 8, generator=generator), torch.randint(77, (4, 5), generator=generator)


def train(way, rank, steps, sharded, weights=None, state=None, first=0):
    """(weights, optimizer) after some steps."""
    precision, accum_freq, grad_checkpointing, norm = way
    network = build(TINY, seed=0, precision=precision, grad_checkpointing=grad_checkpointing)
    if weights:
        network.load_state_dict(weights)
    trained = DistributedDataParallel(network, static_graph=accum_freq == 1, gradient_as_bucket_view=True)
    optimizer = optimizer_of(network, **ADAMW)
    if sharded:
        optimizer = zero.ShardedAdamW(optimizer, rank, WORLD)
    if state:
        optimizer.load_state_dict(copy.deepcopy(state))         # AdamW goes on in the tensors themselves
    for number in range(first, first + steps):
        images, tokens = batch(number, rank)
        step.forward_backward(trained, images.bfloat16() if precision == "bf16" else images, tokens,
                              accum_freq=accum_freq, autocast=autocast(precision, "cpu"))
        if norm:
            torch.nn.utils.clip_grad_norm_(network.parameters(), norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        clamp_logit_scale(network)
    return {name: weight.clone() for name, weight in network.state_dict().items()}, optimizer


def _rank(rank, directory):
    torch.set_num_threads(1)
    zero.BUFFER = 4096                          # so that a section goes in several parts
    dist.init_process_group("gloo", init_method=f"file://{directory}/store", rank=rank, world_size=WORLD)
    found = {}
    for way in WAYS:
        weights, optimizer = train(way, rank, 3, sharded=False)
        own_weights, own = train(way, rank, 3, sharded=True)
        found[way] = weights, optimizer.state_dict(), own_weights, own.state_dict()
    whole = found[WAYS[0]][1]
    found["goes on whole"] = train(WAYS[0], rank, 2, False, found[WAYS[0]][2], whole, first=3)[0]
    found["goes on in parts"] = train(WAYS[0], rank, 2, True, found[WAYS[0]][0], whole, first=3)[0]
    own = zero.ShardedAdamW(optimizer_of(build(TINY), **ADAMW), rank, WORLD)
    found["before the first step"] = own.state_dict()
    torch.save(found, f"{directory}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory):
    directory = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(_rank, (str(directory),), nprocs=WORLD)
    return [torch.load(directory / f"{rank}.pt") for rank in range(WORLD)]


def assert_same(found, expected):
    """Equal to the last bit, of the same types, with the same keys."""
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("way", WAYS)
def test_weights_are_those_of_the_whole_state_to_the_last_bit(of_ranks, way):
    for weights, _, own_weights, _ in (found[way] for found in of_ranks):
        assert_same(own_weights, weights)
    assert_same(of_ranks[0][way][0], of_ranks[1][way][0])


@pytest.mark.parametrize("way", WAYS)
def test_the_first_rank_has_the_state_as_adamw_has_it_and_the_others_nothing(of_ranks, way):
    _, state, _, own_state = of_ranks[0][way]
    assert own_state["param_groups"] == state["param_groups"]
    assert_same(own_state["state"], state["state"])
    assert of_ranks[1][way][3] is None


def test_a_state_is_gone_on_from_whole_or_in_parts(of_ranks):
    for found in of_ranks:
        assert_same(found["goes on in parts"], found["goes on whole"])


def test_before_the_first_step_there_is_no_state(of_ranks):
    assert of_ranks[0]["before the first step"]["state"] == {}


@pytest.mark.parametrize("world", [3, 500])
def test_a_state_is_divided_over_any_number_of_ranks(of_ranks, world):
    state = of_ranks[0][WAYS[0]][1]
    total = sum(moments["exp_avg"].numel() for moments in state["state"].values())
    kept = []
    for rank in range(min(world, 5)):
        own = zero.ShardedAdamW(optimizer_of(build(TINY), **ADAMW), rank, world)
        own.load_state_dict(state)
        kept.append(sum(moments["exp_avg"].numel() for moments in own._optimizer.state.values()))
    assert max(kept) <= total / world + 64 * 30             # tensors begin at multiples of 64
    assert world > 3 or sum(kept) == total
