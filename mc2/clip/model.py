"""The model, its optimizer and its learning rate: open_clip's CLIP, trained as Meta CLIP 2 says (Appendix, Table 6)."""
import contextlib
import copy
import math

import torch

MOST_LOGIT_SCALE = math.log(100)        # CLIP (arXiv 2103.00020), section 2.5: logits are scaled by 100 at most


def build(architecture, *, init_logit_scale=None, precision="fp32", grad_checkpointing=False, device="cpu", seed=None):
    """An open_clip CLIP of this configuration with random weights: the same ones for the same seed.

    Its forward gives a dict: image_features, text_features (n, embed_dim), L2-normalised; logit_scale, exponentiated.
    precision: `bf16` has all weights but logit_scale in bfloat16.
    """
    import open_clip
    if seed is not None:
        torch.manual_seed(seed)
    more = {} if init_logit_scale is None else {"init_logit_scale": init_logit_scale}
    model = open_clip.model.CLIP(**copy.deepcopy(architecture), output_dict=True, **more)
    if precision == "bf16":
        to_bfloat16(model)
    if grad_checkpointing:
        model.set_grad_checkpointing()
    return model.to(device)


def to_bfloat16(model):
    """Turn all weights into bfloat16, but leave logit_scale as it is: its steps are too small for 8 bits."""
    logit_scale = model.logit_scale.data.clone()
    model.to(torch.bfloat16)
    model.logit_scale.data = logit_scale


def autocast(precision, device):
    """A function that gives the context of the forward pass."""
    if precision != "amp_bf16":
        return contextlib.nullcontext
    return lambda: torch.autocast(torch.device(device).type, torch.bfloat16)


def optimizer_of(model, *, lr, beta1, beta2, eps, wd):
    """AdamW, without weight decay for vectors: norms, biases, the class embedding and logit_scale."""
    decayed = [weight for weight in model.parameters() if weight.ndim >= 2]
    others = [weight for weight in model.parameters() if weight.ndim < 2]
    return torch.optim.AdamW([{"params": decayed, "weight_decay": wd}, {"params": others, "weight_decay": 0.0}],
                             lr=lr, betas=(beta1, beta2), eps=eps, fused=next(model.parameters()).is_cuda or None)


def lr_at(step, *, lr, warmup, steps):
    """The learning rate of step 0, 1, ...: linear over `warmup` steps, then a cosine to 0 at `steps`."""
    if step < warmup:
        return lr * (step + 1) / warmup
    return lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def clamp_logit_scale(model):
    """Clamp logit_scale to [0, ln 100]."""
    with torch.no_grad():
        model.logit_scale.clamp_(0, MOST_LOGIT_SCALE)


def is_finite(model):
    """Whether every weight is finite."""
    norms = torch._foreach_norm([weight.detach() for weight in model.parameters()])
    return bool(torch.isfinite(torch.stack([norm.float() for norm in norms])).all())


class Normalizer:
    """From uint8 images (n, 3, S, S) to floats: over 255, minus the mean, over the deviation of each channel."""

    def __init__(self, mean, std, device, dtype=torch.float32):
        self.mean, self.std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (mean, std))
        self.device, self.dtype = device, dtype

    def __call__(self, images):
        images = images.to(self.device, non_blocking=True).float()
        return images.div_(255).sub_(self.mean).div_(self.std).to(self.dtype)
