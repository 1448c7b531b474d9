"""The training step beside open_clip's, and the loss beside the full matrix.

    python benchmarks/train.py                                      # on one GPU with 80 GB
    python benchmarks/train.py --device cpu --models tiny --steps 3 --rounds 2      # a minute: only that it runs

Both steps train the same model with random weights and a vocabulary of XLM-V's size (901,629), in bfloat16 autocast,
with the same gradient checkpointing, on batches that wait in pinned memory of the host. They take turns, round after
round; a ratio is given only where the middle half of the rounds lies on one side of 1. mc2's: uint8 images,
normalised on the device; fp32 loss a few rows at a time; fused AdamW. open_clip's, as its training script has it:
normalised float32 images, ClipLoss inside of autocast, AdamW as torch chooses. First their gradients are compared.
The share of the peak is model FLOPs (mc2.clip.architecture.flops; what checkpointing computes again does not count)
over the rate of a large bfloat16 matrix product, measured here.

Expect, computed and not measured: nearly the same speed, since the towers take almost all of it. The loss alone: at
32,768 pairs one fp32 matrix is 4.3 GB, of which a full loss holds several; 1,024 rows of it are 0.13 GB.
"""
import argparse
import contextlib
import ctypes
import gc
import math
import statistics
import sys
import time

import open_clip
import timing
import torch
from torch.nn import functional

from mc2.clip import architecture, model
from mc2.training import loss, step

# model, images of a step that fit 80 GB beside two optimizers' states, gradient checkpointing
MODELS = {"ViT-B-32": ("ViT-B-32-xlmv-quickgelu", 1024, False), "ViT-H-14": ("ViT-H-14-xlmv-quickgelu", 128, True),
          "tiny": ("tiny", 16, False)}
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
WAITING = 4                     # batches that wait on the host
LOSS_BATCHES = {"cuda": (4096, 16384, 32768, 75264), "cpu": (1024, 4096)}
WIDTH = 1024                    # of the features of ViT-H/14


# ---------------------------------------------------------------- steps

class Step:
    """One way to train the model: an optimizer of its own, batches in the form it takes, and what it measured."""

    def __init__(self, name, network, optimizer, batches, once):
        self.name, self.network, self.optimizer, self.batches, self.once = name, network, optimizer, batches, once
        self.seconds, self.peak = [], 0

    def run(self, n_steps, device):
        """Seconds of a step: by the clock on a GPU, of CPU time on a CPU."""
        clock = time.perf_counter if device.type == "cuda" else time.process_time
        started = clock()
        for number in range(n_steps):
            self.optimizer.zero_grad(set_to_none=True)
            self.once(*self.batches[number % len(self.batches)])
            self.optimizer.step()
            model.clamp_logit_scale(self.network)
        synchronize(device)
        return (clock() - started) / n_steps

    def state_bytes(self):
        """Of the optimizer's moments, which are in memory while the other one runs."""
        return sum(value.nbytes for state in self.optimizer.state.values() for value in state.values()
                   if torch.is_tensor(value))


def ours(network, batches, device):
    normalize = model.Normalizer(MEAN, STD, device)
    autocast = model.autocast("amp_bf16", device)
    optimizer = model.optimizer_of(network, lr=1e-6, beta1=0.9, beta2=0.98, eps=1e-6, wd=0.2)

    def once(images, tokens):
        return step.forward_backward(network, normalize(images), tokens.to(device, non_blocking=True),
                                     autocast=autocast)["loss"]
    return Step("mc2", network, optimizer, batches, once)


def theirs(network, batches, device):
    """open_clip's training step, written down from what its script does for --precision amp_bf16."""
    contrastive = open_clip.ClipLoss(local_loss=True, gather_with_grad=True, cache_labels=True)
    groups = [{"params": [weight for weight in network.parameters() if (weight.ndim >= 2) == decayed],
               "weight_decay": 0.2 * decayed} for decayed in (True, False)]
    optimizer = torch.optim.AdamW(groups, lr=1e-6, betas=(0.9, 0.98), eps=1e-6)

    def once(images, tokens):
        images, tokens = images.to(device, non_blocking=True), tokens.to(device, non_blocking=True)
        with torch.autocast(device.type, torch.bfloat16):
            out = network(images, tokens)
            value = contrastive(out["image_features"], out["text_features"], out["logit_scale"])
        value.backward()
        return value.detach()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return Step("open_clip", network, optimizer,
                [(on_host((images.float() / 255 - mean) / std, device), tokens) for images, tokens in batches], once)


def made_up_batches(config, n, device):
    """Batches of uint8 images and ids that end in </s>, on the host."""
    size, text = config["vision_cfg"]["image_size"], config["text_cfg"]
    generator = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(WAITING):
        images = torch.randint(256, (n, 3, size, size), dtype=torch.uint8, generator=generator)
        tokens = torch.randint(4, text["vocab_size"], (n, text["context_length"]), generator=generator)
        tokens[:, -1] = text.get("eos_id", text["vocab_size"] - 1)
        batches.append((on_host(images, device), on_host(tokens, device)))
    return batches


def on_host(tensor, device):
    return tensor.pin_memory() if device.type == "cuda" else tensor


def compare_steps(name, device, peak, options):
    """Print images/s, memory and share of the peak of both steps."""
    preset, batch, grad_checkpointing = MODELS[name]
    config, batch = architecture.load(preset), options.batch or batch
    network = model.build(config, grad_checkpointing=grad_checkpointing, device=device, seed=0)
    batches = made_up_batches(config, batch, device)
    steps = [ours(network, batches, device), theirs(network, batches, device)]
    check_same(network, *steps)
    for one in steps:
        one.run(min(options.steps, 5), device)          # memory settles, kernels are chosen
    for number in range(options.rounds):
        for one in steps[number % 2:] + steps[:number % 2]:
            idle = sum(other.state_bytes() for other in steps if other is not one)
            with peak_memory(device) as memory:
                one.seconds.append(one.run(options.steps, device))
            one.peak = max(one.peak, memory.bytes - idle)
    per_image = architecture.flops(config, batch)["total"]
    rows = []
    for one in steps:
        rate = batch / statistics.median(one.seconds)
        rows.append([one.name, f"{rate:,.1f}", f"{timing.spread(one.seconds):.1f} %",
                     timing.ratio_or_noise(one.seconds, steps[0].seconds), f"{one.peak / 1e9:.2f} GB",
                     f"{rate * per_image / peak:.1%}"])
    timing.show(f"{preset}, {architecture.parameters(config)['total']:,} parameters, {batch:,} images a step, "
                f"gradient checkpointing {'on' if grad_checkpointing else 'off'}: {options.rounds} rounds of "
                f"{options.steps} steps",
                ["step", "images/s", "spread", "ratio", "memory", "of the peak"], rows)


def check_same(network, one, other):
    """Stop where the two steps do not have the same loss and gradient, as far as bfloat16 goes."""
    found = []
    for way in (one, other):
        value = way.once(*way.batches[0]).item()
        found.append((value, [weight.grad for weight in network.parameters()]))
        network.zero_grad(set_to_none=True)
    (a, ours_), (b, theirs_) = found
    dot = sum((x * y).sum(dtype=torch.float64) for x, y in zip(ours_, theirs_))
    norms = [math.sqrt(sum(x.square().sum(dtype=torch.float64) for x in side)) for side in (ours_, theirs_)]
    cosine = float(dot) / (norms[0] * norms[1])
    print(f"\nthe same batch: loss {a:.5f} and {b:.5f}, cosine of the gradients {cosine:.5f}, norms "
          f"{norms[0]:.4g} and {norms[1]:.4g}")
    if abs(a - b) > 0.01 * b or cosine < 0.99:
        sys.exit("the two steps differ")


# ---------------------------------------------------------------- the loss alone

def compare_losses(device, repeats):
    """Print time and memory of forward and backward of the loss at growing batches."""
    rows = []
    for n in LOSS_BATCHES[device.type]:
        generator = torch.Generator().manual_seed(0)
        features = [functional.normalize(torch.randn(n, WIDTH, generator=generator), dim=1).to(device).requires_grad_()
                    for _ in range(2)]
        scale = torch.tensor(20.0, device=device, requires_grad=True)
        calls = {"full matrix": lambda: open_clip.ClipLoss()(*features, scale),
                 "full matrix, autocast": lambda: in_autocast(device, open_clip.ClipLoss(), *features, scale),
                 "mc2": lambda: loss.contrastive(*features, scale)[0]}
        measured = {name: measure(call, [*features, scale], device, repeats) for name, call in calls.items()}
        values = [value for _, _, value in measured.values() if value is not None]
        assert max(values) - min(values) < 0.01 * max(values), f"the losses differ: {values}"
        for name, (seconds, peak, value) in measured.items():
            rows.append([f"{n:,}", name, *(["out of memory"] * 2 if value is None else
                                           [f"{1000 * seconds:,.1f} ms", f"{peak / 1e9:.3f} GB"])])
    timing.show(f"The loss alone, forward and backward, {WIDTH:,} wide, {loss.CHUNK:,} rows at a time",
                ["pairs", "loss", "time", "memory"], rows)


def in_autocast(device, function, *arguments):
    with torch.autocast(device.type, torch.bfloat16):
        return function(*arguments)


def measure(call, inputs, device, repeats):
    """(median seconds, bytes at the peak, value) of a forward and backward pass; value None: out of memory."""
    seconds, value = [], None
    try:
        with peak_memory(device) as memory:
            for _ in range(repeats + 1):
                started = time.perf_counter()
                result = call()
                torch.autograd.grad(result, inputs)
                synchronize(device)
                seconds.append(time.perf_counter() - started)
                value = result.item()
    except torch.cuda.OutOfMemoryError:
        return 0.0, 0, None
    return statistics.median(seconds[1:]), memory.bytes - memory.before, value


# ---------------------------------------------------------------- the machine

class Peak:
    """Bytes in use before, and at most."""

    def __init__(self):
        self.before, self.bytes = 0, 0


@contextlib.contextmanager
def peak_memory(device):
    """The largest memory in use within the block: of the device; on the CPU, resident memory of the process."""
    memory = Peak()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        memory.before = torch.cuda.memory_allocated(device)
        yield memory
        memory.bytes = torch.cuda.max_memory_allocated(device)
        return
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)            # what is freed goes back, so that differences mean something
    with open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")                       # forgets the peak so far
    memory.before = resident("VmRSS")
    yield memory
    memory.bytes = resident("VmHWM")


def resident(field):
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) * 1024 for line in stream if line.startswith(field + ":"))


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matmul_peak(device):
    """FLOPs per second of a large bfloat16 matrix product: the best of twenty."""
    n = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(22):
        synchronize(device)
        started = time.perf_counter()
        a @ b
        synchronize(device)
        seconds.append(time.perf_counter() - started)
    return 2 * n ** 3 / min(seconds[2:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--models", nargs="+", default=["ViT-B-32", "ViT-H-14"], choices=list(MODELS))
    parser.add_argument("--steps", type=int, default=40, help="steps of a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--batch", type=int, help="images of a step, for all models")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch sees no GPU; --device cpu --models tiny --steps 3 only shows that this runs")
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else timing.cpu()
    peak = matmul_peak(device)
    print(f"{name}, torch {torch.__version__}, open_clip {open_clip.__version__}; bfloat16 matrix product "
          f"{peak / 1e12:,.2f} TFLOPS")
    for model_name in options.models:
        compare_steps(model_name, device, peak, options)
        if device.type == "cuda":
            torch.cuda.empty_cache()
    compare_losses(device, options.rounds)


if __name__ == "__main__":
    main()
