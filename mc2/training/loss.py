"""The contrastive loss over the batches of all ranks, without the matrix of all pairs.

Each image's softmax over the similarities with all texts of the global batch, and each text's over all images; the
loss is the mean cross-entropy of both directions (CLIP, arXiv 2103.00020, Fig. 3). A rank computes the rows of its own
pairs against all columns ("local loss"). With n pairs on this rank and N on all, n x N similarities are computed a few
rows at a time, and their gradient at once, so that no more than `chunk` x N of them are in memory. In Meta CLIP 2
(arXiv 2507.22062) N is 75,264: all of them would be 22.7 GB in fp32.
"""
import torch
import torch.distributed as dist
from torch.autograd.function import once_differentiable

from mc2.clip.distributed import all_gather, collective

CHUNK = 1024                    # rows


def contrastive(image_features, text_features, logit_scale, *, teacher=None, distill_weight=1.0, chunk=CHUNK):
    """(loss, parts): the loss of this rank's rows, a scalar, and its parts, detached scalars.

    image_features, text_features: (n, d), normalised; every rank has as many. logit_scale: the factor itself, not its
        logarithm.
    teacher: the same three of a frozen teacher for the same pairs (d may differ); the loss is then contrastive
        + distill_weight x distill.
    parts: `contrastive`; `distill`, with a teacher: Kullback-Leibler divergence from the teacher's softmax to this one,
        the mean over rows and both directions; `accuracy`: share of the rows whose own column is the largest.

    Every rank calls this at the same time. Gradients of features are those of the sum of all ranks' losses, so that
    the mean over ranks that DistributedDataParallel takes is the gradient of the whole batch's loss. Products are in
    fp32 (in fp64 where features are), autocast or not, at torch's float32_matmul_precision.
    """
    with torch.autocast(image_features.device.type, enabled=False):
        features, logit_scale = _pack(image_features, text_features), _widen(logit_scale)
        n = len(features)
        first = n * dist.get_rank() if _is_distributed() else 0
        targets = None
        if teacher is not None:
            teacher_images, teacher_texts, teacher_scale = teacher
            with torch.no_grad():
                targets = _gather(_pack(teacher_images, teacher_texts)), _widen(teacher_scale)
        needs_gradient = torch.is_grad_enabled() and (features.requires_grad or logit_scale.requires_grad)
        loss, contrast, distill, accuracy = _Rows.apply(
            _gather(features), logit_scale, range(first, first + n), targets, distill_weight, chunk, needs_gradient)
        parts = {"contrastive": contrast, "accuracy": accuracy}
        return loss, parts if teacher is None else {**parts, "distill": distill}


class _Rows(torch.autograd.Function):
    """The loss of some rows of all features against all columns; its gradient is ready when the loss is.

    features: (N, 2 d), images and texts side by side; rows: range of those of this rank.
    """

    @staticmethod
    def forward(ctx, features, logit_scale, rows, targets, distill_weight, chunk, needs_gradient):
        gradient = torch.zeros_like(features) if needs_gradient else None
        scale_gradient = torch.zeros_like(logit_scale)
        sums = features.new_zeros(3)                        # contrastive, distill, right
        for direction in (0, 1):                            # images against texts, texts against images
            queries, keys = _ordered(features, direction)
            into = None if gradient is None else _ordered(gradient, direction)
            target = None if targets is None else (*_ordered(targets[0], direction), targets[1])
            for start in range(rows.start, rows.stop, chunk):
                part = slice(start, min(start + chunk, rows.stop))
                scale_gradient += _part(queries, keys, logit_scale, part, target, distill_weight, into, sums)
        sums /= 2 * len(rows)
        if needs_gradient:
            ctx.save_for_backward(gradient.div_(2 * len(rows)), scale_gradient.div_(2 * len(rows)))
        loss = sums[0] + distill_weight * sums[1]
        parts = tuple(sums.clone())
        ctx.mark_non_differentiable(*parts)
        return loss, *parts

    @staticmethod
    @once_differentiable
    def backward(ctx, outer, *_):
        gradient, scale_gradient = ctx.saved_tensors
        return gradient * outer, scale_gradient * outer, None, None, None, None, None


def _part(queries, keys, scale, part, target, distill_weight, into, sums):
    """Rows `part` of `queries` against all `keys`, both (N, d): adds to `sums`, and to the gradients `into`, which are
    of the same form as queries and keys. Returns the gradient of the scale."""
    row = torch.arange(part.stop - part.start, device=keys.device)
    own = row + part.start
    logits, best = _logits(queries, keys, scale, part)
    sums[2] += (best == own).sum()
    sums[0] -= logits[row, own].sum()
    if target is not None:                                  # KL = sum of q (log q - log p)
        target_logits, _ = _logits(*target, part)
        q, log_total = _softmax(target_logits.clone())
        sums[1] += (target_logits.sub_(logits).mul_(q).sum(dim=1) - log_total).sum()
    p, log_total = _softmax(logits)
    sums[0] += log_total.sum()
    if target is not None:
        sums[1] += log_total.sum()
    if into is None:
        return 0.0
    if target is not None:
        p.mul_(1 + distill_weight).sub_(q, alpha=distill_weight)
    p[row, own] -= 1                                        # now the gradient of the logits
    along = scale * (p @ keys)                              # (rows, d)
    into[0][part] += along
    into[1].addmm_(p.T, scale * queries[part])
    return (along * queries[part]).sum() / scale            # = the sum of that gradient x the similarities


def _logits(queries, keys, scale, part):
    """(rows, N) less the largest of the row, and the column of that."""
    logits = (scale * queries[part]) @ keys.T
    most, best = logits.max(dim=1, keepdim=True)
    return logits.sub_(most), best[:, 0]


def _softmax(logits):
    """(softmax, logarithm of its denominator), in the memory of the logits."""
    e = logits.exp_()
    total = e.sum(dim=1, keepdim=True)
    return e.div_(total), total[:, 0].log()


def _ordered(features, direction):
    """Views of the two halves of (N, 2 d): images and texts, or texts and images."""
    halves = features.chunk(2, dim=1)
    return halves if direction == 0 else halves[::-1]


def _pack(image_features, text_features):
    return torch.cat([_widen(image_features), _widen(text_features)], dim=1)


def _widen(values):
    return values.float() if torch.is_tensor(values) and values.dtype in (torch.float16, torch.bfloat16) else values


def _is_distributed():
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _gather(features):
    """(n, d) of every rank -> (N, d), in the order of the ranks."""
    return _Gather.apply(features) if _is_distributed() else features


class _Gather(torch.autograd.Function):

    @staticmethod
    def forward(ctx, features):
        n, width = features.shape
        gathered = features.new_empty(n * dist.get_world_size(), width)
        all_gather(gathered, features.contiguous())
        return gathered

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        n = len(gradient) // dist.get_world_size()
        gradient = gradient.contiguous()
        if not gradient.is_cuda:                            # gloo lacks reduce_scatter in some versions of torch
            dist.all_reduce(gradient)
            return gradient[n * dist.get_rank():][:n].clone()
        part = gradient.new_empty(n, gradient.shape[1])
        collective("reduce_scatter_single", "reduce_scatter_tensor")(part, gradient)
        return part
