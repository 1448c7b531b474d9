"""One training step: the same gradients whole and in parts, on one process and on two."""
import contextlib

import pytest
from training_tools import require_train

require_train()

import torch                                                # noqa: E402
import torch.distributed as dist                            # noqa: E402
import torch.nn.functional as F                             # noqa: E402
from torch.nn.parallel import DistributedDataParallel       # noqa: E402

from mc2.training import step                               # noqa: E402
from mc2.clip.model import build                        # noqa: E402

TINY = {"embed_dim": 8, "quick_gelu": True,
        "vision_cfg": {"image_size": 8, "patch_size": 4, "layers": 2, "width": 16, "head_width": 8},
        "text_cfg": {"context_length": 5, "vocab_size": 20, "layers": 2, "width": 16, "heads": 2}}
N = 8


def model(**more):
    return build(TINY, seed=0, **more).double()


def batch(rows=slice(None)):
    generator = torch.Generator().manual_seed(1)
    return (torch.randn(N, 3, 8, 8, dtype=torch.float64, generator=generator)[rows],
            torch.randint(20, (N, 5), generator=generator)[rows])


def teacher(rows=slice(None)):
    generator = torch.Generator().manual_seed(2)
    image, text = F.normalize(torch.randn(2, N, 4, dtype=torch.float64, generator=generator), dim=2)
    return image[rows], text[rows], torch.tensor(20.0, dtype=torch.float64)


def gradients(network):
    return {name: weight.grad for name, weight in getattr(network, "module", network).named_parameters()}


def plain_gradients():
    """Those of the whole batch's loss, written down."""
    network = model()
    out = network(*batch())
    logits, own = out["logit_scale"] * out["image_features"] @ out["text_features"].T, torch.arange(N)
    value = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    value.backward()
    return value.detach(), gradients(network)


@pytest.mark.parametrize("accum_freq", [1, 2, 3, 4, 8, 100])
def test_gradients_do_not_depend_on_the_number_of_parts(accum_freq):
    network, (value, expected) = model(), plain_gradients()
    parts = step.forward_backward(network, *batch(), accum_freq=accum_freq)
    torch.testing.assert_close(gradients(network), expected)
    torch.testing.assert_close(parts["loss"], value)
    assert parts.keys() == {"loss", "contrastive", "accuracy"}
    assert not any(part.requires_grad for part in parts.values())


def test_parts_and_gradient_checkpointing_go_together():
    network, (_, expected) = model(grad_checkpointing=True), plain_gradients()
    step.forward_backward(network, *batch(), accum_freq=4)
    torch.testing.assert_close(gradients(network), expected)


def test_a_teacher_is_for_all_parts():
    whole, in_parts = model(), model()
    expected = step.forward_backward(whole, *batch(), teacher=teacher(), distill_weight=0.5)
    parts = step.forward_backward(in_parts, *batch(), teacher=teacher(), distill_weight=0.5, accum_freq=4)
    torch.testing.assert_close(parts, expected)
    torch.testing.assert_close(gradients(in_parts), gradients(whole))
    torch.testing.assert_close(parts["loss"], parts["contrastive"] + 0.5 * parts["distill"])


def test_gradients_add_up_over_calls():
    network, (_, expected) = model(), plain_gradients()
    for _ in range(2):
        step.forward_backward(network, *batch(), accum_freq=2)
    torch.testing.assert_close(gradients(network), {name: 2 * value for name, value in expected.items()})


@pytest.mark.parametrize("accum_freq", [1, 2])
def test_autocast_reaches_every_forward_pass(accum_freq):
    entered = []

    @contextlib.contextmanager
    def autocast():
        with torch.autocast("cpu", torch.bfloat16):
            entered.append(torch.is_grad_enabled())
            yield
    network = build(TINY, seed=0)
    images, tokens = batch()
    step.forward_backward(network, images.float(), tokens, autocast=autocast, accum_freq=accum_freq)
    assert entered == ([True] if accum_freq == 1 else [False, True, True])
    expected = plain_gradients()[1]
    for name, value in gradients(network).items():
        assert F.cosine_similarity(value.flatten().double(), expected[name].flatten(), dim=0) > 0.98, name


def test_a_model_in_bfloat16_takes_parts_too():
    images, tokens = batch()
    whole, in_parts = (build(TINY, seed=0, precision="bf16") for _ in range(2))
    step.forward_backward(whole, images.bfloat16(), tokens)
    step.forward_backward(in_parts, images.bfloat16(), tokens, accum_freq=2)
    for name, value in gradients(whole).items():
        other = gradients(in_parts)[name]
        assert other.dtype == value.dtype
        assert F.cosine_similarity(value.flatten().double(), other.flatten().double(), dim=0) > 0.999, name


# ---------------------------------------------------------------- two ranks

WAYS = [(1, False), (1, True), (2, False), (4, False)]        # accum_freq, static_graph


def _rank(rank, directory):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{directory}/store", rank=rank, world_size=2)
    rows, found = slice(N // 2 * rank, N // 2 * (rank + 1)), {}
    for accum_freq, static_graph in WAYS:
        network = DistributedDataParallel(model(), static_graph=static_graph, gradient_as_bucket_view=True)
        for number in range(3):                 # a static graph is learnt in the first step
            network.zero_grad()
            parts = step.forward_backward(network, *batch(rows), accum_freq=accum_freq)
            dist.all_reduce(parts["loss"])
            found[accum_freq, static_graph, number] = parts["loss"] / 2, \
                {name: value.clone() for name, value in gradients(network).items()}
        network.zero_grad()
        step.forward_backward(network, *batch(rows), accum_freq=accum_freq, teacher=teacher(rows))
        found[accum_freq, static_graph, "distilled"] = gradients(network)
    network = DistributedDataParallel(model(), static_graph=True)
    with pytest.raises(ValueError, match="static_graph=False"):
        step.forward_backward(network, *batch(rows), accum_freq=2)
    torch.save(found, f"{directory}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory):
    directory = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(_rank, (str(directory),), nprocs=2)
    return [torch.load(directory / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("accum_freq, static_graph", WAYS)
def test_two_ranks_have_the_gradient_of_the_whole_batch(of_ranks, accum_freq, static_graph):
    expected = plain_gradients()
    for found in of_ranks:
        for number in range(3):
            torch.testing.assert_close(found[accum_freq, static_graph, number], expected)


@pytest.mark.parametrize("accum_freq, static_graph", WAYS)
def test_two_ranks_distil_as_one(of_ranks, accum_freq, static_graph):
    network = model()
    step.forward_backward(network, *batch(), teacher=teacher())
    for found in of_ranks:
        torch.testing.assert_close(found[accum_freq, static_graph, "distilled"], gradients(network))
