"""The contrastive loss beside plain computations of the whole matrix, in one process and on several."""
import warnings

import pytest
from training_tools import require_train

require_train()

import open_clip                                            # noqa: E402
import torch                                                # noqa: E402
import torch.distributed as dist                            # noqa: E402
import torch.nn.functional as F                             # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from mc2.training import loss                               # noqa: E402


def features(n, d, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(n, d, dtype=dtype, generator=generator), dim=1).requires_grad_()


def student(n=7, dtype=torch.float64):
    return features(n, 5, 1, dtype), features(n, 5, 2, dtype), torch.tensor(9.0, dtype=dtype, requires_grad=True)


def teacher(n=7):
    return features(n, 3, 3).detach(), features(n, 3, 4).detach(), torch.tensor(20.0, dtype=torch.float64)


def whole_matrix(image, text, scale, targets=None, weight=1.0):
    logits, own = scale * image @ text.T, torch.arange(len(image))
    total = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    if targets:
        q = targets[2] * targets[0] @ targets[1].T
        total = total + weight / 2 * sum(
            F.kl_div(ours.log_softmax(1), theirs.softmax(1), reduction="batchmean")
            for ours, theirs in ((logits, q), (logits.T, q.T)))
    return total


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
@pytest.mark.parametrize("targets", [None, teacher()], ids=["plain", "distilled"])
def test_value_and_gradients_are_those_of_the_whole_matrix(targets, chunk):
    inputs = student()
    ours, _ = loss.contrastive(*inputs, teacher=targets, distill_weight=0.7, chunk=chunk)
    plain = whole_matrix(*inputs, targets, 0.7)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(torch.autograd.grad(3 * ours, inputs), torch.autograd.grad(3 * plain, inputs))


def test_two_pairs_by_hand():
    """Similarities 1 and 0, scale ln 3: every row's softmax is 3/4 and 1/4."""
    _, parts = loss.contrastive(torch.eye(2), torch.eye(2), torch.tensor(3.0).log())
    assert parts["contrastive"].item() == pytest.approx(-torch.tensor(0.75).log().item())
    assert parts["accuracy"].item() == 1.0


def test_accuracy_is_the_share_of_rows_whose_own_column_is_the_largest():
    image, text = torch.eye(4), torch.eye(4)[[0, 1, 3, 2]]
    assert loss.contrastive(image, text, torch.tensor(1.0))[1]["accuracy"].item() == 0.5


def test_a_collapsed_model_is_not_called_accurate():
    same = torch.ones(8, 1)
    value, parts = loss.contrastive(same, same, torch.tensor(10.0))
    assert parts["accuracy"].item() == 1 / 8
    assert value.item() == pytest.approx(torch.tensor(8.0).log().item())


def test_it_is_open_clips_loss():
    inputs = student(dtype=torch.float32)
    ours, _ = loss.contrastive(*inputs, chunk=2)
    theirs = open_clip.ClipLoss()(*inputs)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, inputs), torch.autograd.grad(theirs, inputs))


def test_its_distillation_is_open_clips_less_the_teachers_entropy():
    """open_clip's is the cross-entropy with the teacher's softmax: another constant, the same gradient."""
    inputs, (image, text, scale) = student(), teacher()
    ours, parts = loss.contrastive(*inputs, teacher=(image, text, scale), chunk=2)
    contrastive, distill = open_clip.loss.DistillClipLoss()(*inputs, image, text, scale)
    q = scale * image @ text.T
    entropy = sum(torch.distributions.Categorical(logits=rows).entropy().mean() for rows in (q, q.T)) / 2
    torch.testing.assert_close((parts["contrastive"], parts["distill"]),
                               (contrastive.detach(), (distill - entropy).detach()))
    torch.testing.assert_close(torch.autograd.grad(ours, inputs), torch.autograd.grad(contrastive + distill, inputs))


def test_a_student_like_its_teacher_has_nothing_to_learn_from_it():
    image, text, scale = (value.detach() for value in student())
    assert abs(loss.contrastive(image, text, scale, teacher=(image, text, scale))[1]["distill"].item()) < 1e-12


def test_the_teacher_gets_no_gradient():
    image, text = features(4, 3, 3), features(4, 3, 4)
    value, _ = loss.contrastive(*student(4), teacher=(image, text, 20.0))
    value.backward()
    assert image.grad is None and text.grad is None


def test_large_scales_neither_overflow_nor_lose_the_own_column():
    image = torch.eye(3).requires_grad_()
    value, _ = loss.contrastive(image, -torch.eye(3), torch.tensor(1e4))
    value.backward()
    assert value.item() == pytest.approx(1e4, rel=1e-3) and torch.isfinite(image.grad).all()


def test_half_precision_and_autocast_do_not_reach_the_products():
    """Features in bfloat16 under autocast: the value is that of fp32 products to the last bit."""
    image, text, scale = student(64, torch.float32)
    image, text = image.detach().bfloat16().requires_grad_(), text.detach().bfloat16()
    expected, _ = loss.contrastive(image.detach().float(), text.float(), scale)
    with torch.autocast("cpu", torch.bfloat16):
        value, _ = loss.contrastive(image, text, scale)
    value.backward()
    assert value.item() == expected.item() and value.dtype == torch.float32
    assert image.grad.dtype == torch.bfloat16 and image.grad.abs().max() > 0


def test_without_gradients_the_value_is_the_same():
    inputs = student()
    with torch.no_grad():
        value, _ = loss.contrastive(*inputs, chunk=2)
    assert not value.requires_grad
    torch.testing.assert_close(value, loss.contrastive(*inputs)[0].detach())


class LargestTensor(TorchDispatchMode):
    """Notes how many values the largest result of an operation has."""
    n_values = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else [result]:
            if torch.is_tensor(value):
                self.n_values = max(self.n_values, value.numel())
        return result


@pytest.mark.parametrize("targets", [None, teacher(400)], ids=["plain", "distilled"])
def test_the_matrix_is_never_built(targets):
    inputs = student(400)
    with LargestTensor() as whole:
        whole_matrix(*inputs, targets).backward()
    with LargestTensor() as ours:
        loss.contrastive(*inputs, teacher=targets, chunk=8)[0].backward()
    assert whole.n_values == 400 * 400
    assert ours.n_values == 400 * 10            # features of both kinds; 8 rows of similarities are 3,200


# ---------------------------------------------------------------- several ranks

WORLDS = (4, 2)
N = 8                                           # pairs of all ranks


def towers():
    """Two linear towers and a scale in place of a model: their weights, and the inputs of N pairs."""
    generator = torch.Generator().manual_seed(0)
    image_in, text_in, image_weight, text_weight = (
        torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in [(N, 6), (N, 4), (6, 5), (4, 5)])
    weights = [image_weight, text_weight, torch.tensor(1.5, dtype=torch.float64)]
    return [weight.requires_grad_() for weight in weights], image_in, text_in


def encode(weights, image_in, text_in, rows):
    image, text, log_scale = weights
    return F.normalize(image_in[rows] @ image, dim=1), F.normalize(text_in[rows] @ text, dim=1), log_scale.exp()


def _rank(rank, directory):
    """Gradients on this rank in a world of four, then of two: ours with and without a teacher, and open_clip's."""
    torch.set_num_threads(1)
    for world in WORLDS:
        if rank >= world:
            break
        dist.init_process_group("gloo", init_method=f"file://{directory}/{world}", rank=rank, world_size=world)
        rows = slice(N // world * rank, N // world * (rank + 1))
        image, text, scale = teacher(N)
        theirs = open_clip.ClipLoss(local_loss=True, gather_with_grad=True, rank=rank, world_size=world)
        found = {}
        for name, function in {
                "plain": lambda *all_three: loss.contrastive(*all_three, chunk=1)[0],
                "distilled": lambda *all_three: loss.contrastive(
                    *all_three, teacher=(image[rows], text[rows], scale))[0],
                "open_clip": theirs}.items():
            weights, image_in, text_in = towers()
            value = function(*encode(weights, image_in, text_in, rows))
            value.backward()
            found[name] = [value.detach(), *(weight.grad for weight in weights)]
            for tensor in found[name]:
                dist.all_reduce(tensor)
                tensor /= world                 # what DDP does to gradients
        if rank == 0:
            torch.save(found, f"{directory}/{world}.pt")
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory):
    """{world: {name: [loss, gradients of the weights], the mean over ranks}}."""
    directory = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(_rank, (str(directory),), nprocs=max(WORLDS))
    return {world: torch.load(directory / f"{world}.pt") for world in WORLDS}


def of_one_process(targets):
    weights, image_in, text_in = towers()
    value = whole_matrix(*encode(weights, image_in, text_in, slice(None)), targets)
    return [value.detach(), *torch.autograd.grad(value, weights)]


@pytest.mark.parametrize("world", WORLDS)
def test_the_mean_over_ranks_is_the_loss_and_gradient_of_the_whole_batch(of_ranks, world):
    torch.testing.assert_close(of_ranks[world]["plain"], of_one_process(None))
    torch.testing.assert_close(of_ranks[world]["distilled"], of_one_process(teacher(N)))


@pytest.mark.parametrize("world", WORLDS)
def test_it_is_open_clips_local_loss_with_gathered_gradients(of_ranks, world):
    torch.testing.assert_close(of_ranks[world]["plain"], of_ranks[world]["open_clip"])


def test_gathering_uses_no_deprecated_name_of_torch():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            features = torch.ones(2, 3, requires_grad=True)
            loss._Gather.apply(features).sum().backward()
        assert features.grad.tolist() == [[1, 1, 1], [1, 1, 1]]
    finally:
        dist.destroy_process_group()
