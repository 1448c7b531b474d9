"""One training step's forward and backward pass, whole or a part of the batch at a time."""
import contextlib

import torch
from torch.nn.parallel import DistributedDataParallel

from mc2.training import loss as losses


def forward_backward(model, images, tokens, *, accum_freq=1, autocast=contextlib.nullcontext, teacher=None,
                     distill_weight=1.0):
    """Add the gradient of the contrastive loss to the parameters; returns its parts and `loss`, detached scalars.

    model: an open_clip CLIP whose forward gives a dict, or DistributedDataParallel around it; its loss is then that of
        the batches of all ranks, which call this at the same time (see loss.contrastive). Raises ValueError for
        static_graph=True together with accum_freq > 1.
    images: (n, 3, S, S) normalised; tokens: (n, context).
    autocast: a function that gives the context of the forward passes.
    teacher, distill_weight: as for loss.contrastive, for all n rows.

    accum_freq > 1: the batch goes through the model in so many parts, which takes the memory of one of them and the
    time of a further forward pass. All features come first, without gradients; then the loss of all of them and its
    gradient for each feature; then each part again, which carries its features' gradient to the parameters. The
    gradient is that of accum_freq=1 (gradient caching, Gao et al. 2021, arXiv 2101.06983; open_clip's --accum-freq
    computes the whole loss once a part instead).
    """
    options = {"teacher": teacher, "distill_weight": distill_weight}
    if accum_freq == 1:
        with autocast():
            out = model(images, tokens)
        loss, parts = losses.contrastive(out["image_features"], out["text_features"], out["logit_scale"], **options)
        loss.backward()
        return {"loss": loss.detach(), **parts}
    is_ddp = isinstance(model, DistributedDataParallel)
    if is_ddp and model.static_graph:           # pytorch/pytorch#187732: ranks silently drift apart from step 2 on
        raise ValueError("DistributedDataParallel with static_graph=True does not reduce gradients of several parts. "
                         "Build it with static_graph=False where accum_freq is more than 1.")
    batches = list(zip(images.chunk(accum_freq), tokens.chunk(accum_freq)))
    cached, logit_scale = _features(model.module if is_ddp else model, batches, autocast)
    loss, parts = losses.contrastive(*cached, logit_scale, **options)
    loss.backward()
    gradients = zip(*(features.grad.split([len(part) for part, _ in batches]) for features in cached))
    for number, ((images, tokens), (image_gradient, text_gradient)) in enumerate(zip(batches, gradients), 1):
        is_last = number == len(batches)
        with contextlib.nullcontext() if is_last or not is_ddp else model.no_sync():
            with autocast():
                out = model(images, tokens)
            # that of logit_scale counts once, but every parameter takes part in every pass
            scale_gradient = logit_scale.grad if is_last else torch.zeros_like(logit_scale.grad)
            torch.autograd.backward([out["image_features"], out["text_features"], out["logit_scale"]],
                                    [image_gradient, text_gradient, scale_gradient])
    return {"loss": loss.detach(), **parts}


def _features(module, batches, autocast):
    """((image_features, text_features), logit_scale) of all parts, as leaves that take a gradient."""
    found = []
    with torch.no_grad(), autocast():
        for images, tokens in batches:
            found.append(module(images, tokens))
    cached = [torch.cat([out[name] for out in found]).requires_grad_() for name in ("image_features", "text_features")]
    return cached, found[-1]["logit_scale"].clone().requires_grad_()
