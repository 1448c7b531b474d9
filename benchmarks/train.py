"""The training step beside open_clip's, its share of the GPU's peak, its memory beside the plan's, and the loss alone.

    python benchmarks/train.py                      # one GPU, under 8 minutes; without one: a minute on a CPU
    python benchmarks/train.py --json train.json    # and keep the figures
    python benchmarks/train.py --dry-run            # all that a GPU would do, tiny and on the CPU; figures mean nothing

It needs torch, open_clip and this project, no network and no data: weights and batches are random.

Both steps train the same model with a vocabulary of XLM-V's size (901,629), in bfloat16 autocast, with the same
gradient checkpointing, on batches that wait in pinned memory of the host. They take turns, round after round; a ratio
is given only where so many rounds lie on one side of 1 that chance would do that in 1 case of 100 (sign test). mc2's:
uint8 images, normalised on the device; fp32 loss a few rows at a time; fused AdamW; TF32 for products in fp32.
open_clip's is train_one_epoch of its own package open_clip_train: normalised float32 images, ClipLoss inside of
autocast, AdamW as torch chooses. First their losses and gradients are compared.

    speed       images per second, median over the rounds; of the loss alone: time of forward and backward
    times mc2   how many times as fast as mc2's step
    spread      half the distance between the quartiles, in percent of the median
    memory      the most that was allocated during the step, less the state of the other optimizer
    planned     what `mc2 plan` estimates for this batch on one GPU
    of the peak model FLOPs (mc2.clip.architecture.flops; what checkpointing computes again does not count) over the
                rate of the best bfloat16 matrix product measured before and after

Where a model does not fit the memory that is free, its batch is halved; where 8 images do not fit, it is left out, and
the output says so. The last line is JSON with all figures.

Expect, computed and not measured: nearly the same speed, since the towers take almost all of it. The loss alone: at
32,768 pairs one fp32 matrix is 4.3 GB, of which a full loss holds several; 1,024 rows of it are 0.13 GB.
"""
import argparse
import contextlib
import ctypes
import gc
import json
import logging
import math
import statistics
import sys
import time
import types

import open_clip
import timing
import torch
from torch.nn import functional

import mc2
from mc2.clip import architecture, model
from mc2.training import loss, step

# name: configuration, images of a step (they fit 80 GB beside two optimizers), gradient checkpointing, share of time
MODELS = {"ViT-B-32": ("ViT-B-32-xlmv-quickgelu", 1024, False, 0.3),
          "ViT-H-14": ("ViT-H-14-xlmv-quickgelu", 128, True, 0.6)}
ON_CPU = {"tiny": ("tiny", 16, False, 0.8)}
DRY = {name: ("tiny", 8, grad_checkpointing, share) for name, (_, _, grad_checkpointing, share) in MODELS.items()}
SECONDS = {"cuda": 330, "cpu": 40}      # of measuring, beside building and comparing
SMALLEST = 8                    # images of a step
RESERVE = 4e9                   # bytes of the GPU that are left alone: CUDA's own, fragmentation
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
WAITING = 4                     # batches that wait on the host
ROUND = 1.0                     # seconds of one step's turn, about
LEAST_ROUNDS, MOST_ROUNDS = 8, 60       # of 8, all have to be on one side
CHANCE = 0.01                   # of a ratio that is none
LOSS_BATCHES = {"cuda": (4096, 16384, 32768, 75264), "cpu": (512, 2048)}
WRITTEN_DOWN = []               # why open_clip's own loop was not taken, where it was not
WIDTH = 1024                    # of the features of ViT-H/14
PRODUCTS = {"cuda": (4096, 8192, 16384), "cpu": (512,)}     # sides of the matrices of the peak
HEADER = ["", "batch", "step", "speed", "spread", "times mc2", "memory", "planned", "of the peak"]


# ---------------------------------------------------------------- steps

class Step:
    """One way to train the model: an optimizer of its own, batches in the form it takes, and what it measured."""

    def __init__(self, name, optimizer, train):
        """train: function of the number of steps"""
        self.name, self.optimizer, self.train = name, optimizer, train
        self.seconds, self.peak = [], 0

    def run(self, n_steps, device):
        """Seconds of a step: by the clock on a GPU, of CPU time on a CPU."""
        synchronize(device)
        started = clock(device)
        self.train(n_steps)
        synchronize(device)
        return max(clock(device) - started, 1e-9) / n_steps

    def state_bytes(self):
        """Of the optimizer's moments, which are in memory while the other one runs."""
        return sum(value.nbytes for state in self.optimizer.state.values() for value in state.values()
                   if torch.is_tensor(value))


class Gradients:
    """In place of an optimizer: keeps the gradients, and changes no weight."""

    def __init__(self, network):
        self.network, self.found, self.param_groups = network, None, [{"lr": 0.0}]

    def step(self):
        self.found = [weight.grad for weight in self.network.parameters()]

    def zero_grad(self, set_to_none=True):
        self.network.zero_grad(set_to_none=True)


def ours(network, batches, device, optimizer=None):
    normalize = model.Normalizer(MEAN, STD, device)
    autocast = model.autocast("amp_bf16", device)
    optimizer = optimizer or model.optimizer_of(network, lr=1e-6, beta1=0.9, beta2=0.98, eps=1e-6, wd=0.2)

    def train(n_steps):
        for number in range(n_steps):
            images, tokens = batches[number % len(batches)]
            parts = step.forward_backward(network, normalize(images), tokens.to(device, non_blocking=True),
                                          autocast=autocast)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            model.clamp_logit_scale(network)
        return parts["loss"].item()
    return Step("mc2", optimizer, train)


def theirs(network, batches, device, optimizer=None):
    """open_clip's training step, by its own loop; by the same step written down where that loop is another one."""
    groups = [{"params": [weight for weight in network.parameters() if (weight.ndim >= 2) == decayed],
               "weight_decay": 0.2 * decayed} for decayed in (True, False)]
    optimizer = optimizer or torch.optim.AdamW(groups, lr=1e-6, betas=(0.9, 0.98), eps=1e-6)
    contrastive, seen = open_clip.ClipLoss(local_loss=True, gather_with_grad=True, cache_labels=True), []
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    batches = [(on_host((images.float() / 255 - mean) / std, device), tokens) for images, tokens in batches]

    def with_loss(*args, **kwargs):
        losses = contrastive(*args, **kwargs)
        seen[:] = [value.detach() for value in losses.values()]
        return losses

    def train(n_steps):
        if not WRITTEN_DOWN:
            try:
                return by_its_loop(n_steps)
            except (ImportError, AttributeError, TypeError, LookupError) as error:
                WRITTEN_DOWN.append(f"{type(error).__name__}: {error}")
                print(f"open_clip_train.train.train_one_epoch does not run here ({WRITTEN_DOWN[0]}): its step is "
                      "written down instead", flush=True)
        for number in range(n_steps):
            images, tokens = batches[number % len(batches)]
            images, tokens = images.to(device, non_blocking=True), tokens.to(device, non_blocking=True)
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16):
                value = contrastive(**network(images, tokens))
            value.backward()
            optimizer.step()
            model.clamp_logit_scale(network)
        return value.item()

    def by_its_loop(n_steps):
        from open_clip_train.train import train_one_epoch
        options = types.SimpleNamespace(
            device=str(device), precision="amp_bf16", distill=False, accum_freq=1, skip_scheduler=True, horovod=False,
            grad_clip_norm=None, log_every_n_steps=n_steps + 1, batch_size=len(batches[0][0]), world_size=1, rank=0,
            local_rank=0, log_local=False, wandb=False, save_logs=False)
        data = Epoch([batches[number % len(batches)] for number in range(n_steps)])
        train_one_epoch(network, {"train": types.SimpleNamespace(dataloader=data, set_epoch=lambda epoch: None)},
                        with_loss, 0, optimizer, None, None, None, options)
        return seen[0].item()
    return Step("open_clip", optimizer, train)


class Epoch(list):
    """Batches as open_clip's loop takes them."""

    @property
    def num_batches(self):
        return len(self)

    @property
    def num_samples(self):
        return sum(len(tokens) for _, tokens in self)


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


# ---------------------------------------------------------------- one model

def measure_model(name, models, device, seconds, memory):
    """What was measured of both steps, as plain data. Halves the batch until it fits the memory."""
    preset, batch, grad_checkpointing, _ = models[name]
    config = architecture.load(preset)
    while True:
        batch = largest_batch(config, batch, grad_checkpointing, memory)
        if batch is None:
            size = f", {memory / 1e9:.3g} GB" if memory else ""
            return {"model": name, "skipped": f"{SMALLEST} images of a step and the states of two optimizers do not "
                                              f"fit the memory that is free{size}"}
        try:
            return {"model": name, "configuration": preset, "parameters": architecture.parameters(config)["total"],
                    "batch": batch, "grad_checkpointing": grad_checkpointing,
                    **compare_steps(config, batch, grad_checkpointing, device, seconds)}
        except torch.cuda.OutOfMemoryError:
            print(f"{name}: {batch:,} images of a step did not fit", flush=True)
            batch //= 2
        finally:
            free(device)


def largest_batch(config, batch, grad_checkpointing, memory):
    """The largest of batch, batch / 2, ... that fits beside the state of a second optimizer, or None."""
    while batch >= SMALLEST:
        needs = planned(config, batch, grad_checkpointing) + 8 * architecture.parameters(config)["total"] + RESERVE
        if memory is None or needs <= memory:
            return batch
        batch //= 2
    return None


def planned(config, batch, grad_checkpointing):
    """Bytes that `mc2 plan` estimates for a run on one GPU."""
    return architecture.memory(config, global_batch=batch, local_batch=batch, micro_batch=batch, precision="amp_bf16",
                               grad_checkpointing=grad_checkpointing)["total"]


def compare_steps(config, batch, grad_checkpointing, device, seconds):
    with torch.device(device):                          # on a GPU the weights are made there, in a second
        network = model.build(config, grad_checkpointing=grad_checkpointing, device=device, seed=0)
    batches = made_up_batches(config, batch, device)
    same = check_same(network, batches, device)
    steps = [ours(network, batches, device), theirs(network, batches, device)]
    for one in steps:
        one.run(2, device)                              # memory settles, kernels are chosen
    turn = min(ROUND, seconds / (2 * LEAST_ROUNDS))
    n_steps = {one.name: max(1, round(turn / one.run(2, device))) for one in steps}
    end, rounds = time.monotonic() + seconds, 0
    while rounds < LEAST_ROUNDS or (time.monotonic() < end and rounds < MOST_ROUNDS):
        for one in steps[rounds % 2:] + steps[:rounds % 2]:
            idle = sum(other.state_bytes() for other in steps if other is not one)
            with peak_memory(device) as memory:
                one.seconds.append(one.run(n_steps[one.name], device))
            one.peak = max(one.peak, memory.bytes - idle)
        rounds += 1
    plan = planned(config, batch, grad_checkpointing)
    return {"rounds": rounds, "compared": same, "planned_bytes": plan,
            "flops_of_an_image": architecture.flops(config, batch)["total"],
            "steps": {one.name: {"images_per_second": batch / statistics.median(one.seconds),
                                 "spread_percent": timing.spread(one.seconds),
                                 **({} if one is steps[0] else ratio(one.seconds, steps[0].seconds)),
                                 "memory_bytes": one.peak, "steps_of_a_round": n_steps[one.name],
                                 "seconds_of_a_step": one.seconds} for one in steps}}


def ratio(seconds, baseline):
    """{"ratio": how many times as fast as the baseline, median over the rounds, "quartiles", "p" of a sign test}"""
    ratios = [theirs / ours for theirs, ours in zip(baseline, seconds)]
    n, more = len(ratios), sum(each > 1 for each in ratios)
    p = min(1.0, 2 * sum(math.comb(n, k) for k in range(max(more, n - more), n + 1)) / 2 ** n)
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return {"ratio": middle, "quartiles": [low, high], "p": p}


def check_same(network, batches, device):
    """Compare loss and gradient of both steps on a batch; stop where they differ by more than bfloat16 does."""
    found = []
    for way in (ours, theirs):
        gradients = Gradients(network)
        value = way(network, batches[:1], device, gradients).train(1)
        found.append((value, gradients.found))
        network.zero_grad(set_to_none=True)
    (a, ours_), (b, theirs_) = found
    dot = sum((x * y).sum(dtype=torch.float64) for x, y in zip(ours_, theirs_))
    norms = [math.sqrt(sum(x.square().sum(dtype=torch.float64) for x in side)) for side in (ours_, theirs_)]
    cosine = float(dot) / (norms[0] * norms[1])
    print(f"the same batch: loss {a:.5f} and {b:.5f}, cosine of the gradients {cosine:.5f}, norms {norms[0]:.4g} and "
          f"{norms[1]:.4g}", flush=True)
    if abs(a - b) > 0.01 * b or cosine < 0.99:
        sys.exit("the two steps differ")
    return {"losses": [a, b], "cosine": cosine, "norms": norms}


# ---------------------------------------------------------------- the loss alone

def measure_losses(device, batches, seconds):
    """[{pairs, loss, seconds, bytes}] of forward and backward of the loss at growing batches; None: out of memory."""
    found = []
    for n in batches:
        generator = torch.Generator().manual_seed(0)
        features = [functional.normalize(torch.randn(n, WIDTH, generator=generator), dim=1).to(device).requires_grad_()
                    for _ in range(2)]
        scale = torch.tensor(20.0, device=device, requires_grad=True)
        calls = {"full matrix": lambda: open_clip.ClipLoss()(*features, scale),
                 "full matrix, autocast": lambda: in_autocast(device, open_clip.ClipLoss(), *features, scale),
                 "mc2": lambda: loss.contrastive(*features, scale)[0]}
        measured = {name: measure(call, [*features, scale], device, seconds / len(batches) / len(calls))
                    for name, call in calls.items()}
        values = [value for _, _, _, value in measured.values() if value is not None]
        if max(values) - min(values) > 0.01 * max(values):
            sys.exit(f"the losses differ: {values}")
        found += [{"pairs": n, "loss": name, "seconds": median, "spread_percent": spread, "memory_bytes": peak}
                  for name, (median, spread, peak, _) in measured.items()]
        del features, scale, calls
        free(device)
    return found


def in_autocast(device, function, *arguments):
    with torch.autocast(device.type, torch.bfloat16):
        return function(*arguments)


def measure(call, inputs, device, seconds):
    """(median seconds, spread, bytes at the peak, value) of a forward and backward pass; None: out of memory."""
    times, end = [], time.monotonic() + seconds
    try:
        with peak_memory(device) as memory:
            while len(times) < 4 or (time.monotonic() < end and len(times) < 50):
                started = clock(device)
                result = call()
                torch.autograd.grad(result, inputs)
                synchronize(device)
                times.append(clock(device) - started)
                value = result.item()
                del result
    except torch.cuda.OutOfMemoryError:
        return None, None, None, None
    return statistics.median(times[1:]), timing.spread(times[1:]), memory.bytes - memory.before, value


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
        torch.cuda.reset_peak_memory_stats(device)
        memory.before = torch.cuda.memory_allocated(device)
        yield memory
        memory.bytes = torch.cuda.max_memory_allocated(device)
        return
    ctypes.CDLL(None).malloc_trim(0)            # what is freed goes back, so that differences mean something
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")                       # forgets the peak so far
    memory.before = resident("VmRSS")
    yield memory
    memory.bytes = resident("VmHWM")


def free(device):
    """Give back what is not used any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    else:
        ctypes.CDLL(None).malloc_trim(0)


def resident(field):
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) * 1024 for line in stream if line.startswith(field + ":"))


def clock(device):
    """Seconds: by the clock on a GPU, of CPU time on a CPU, where other programs run too."""
    return time.perf_counter() if device.type == "cuda" else time.process_time()


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def free_memory(device):
    """Bytes that are free on the GPU; None on the CPU."""
    free(device)
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def matmul_peak(device, sides):
    """FLOPs per second of a large bfloat16 matrix product: the best of ten times five of each size."""
    best = 0
    for n in sides:
        a, b = (torch.randn(n, n, device=device).to(torch.bfloat16) for _ in range(2))
        for _ in range(11):
            synchronize(device)
            started = time.perf_counter()
            for _ in range(5):
                a @ b
            synchronize(device)
            best = max(best, 5 * 2 * n ** 3 / (time.perf_counter() - started))
        del a, b
    return best


# ---------------------------------------------------------------- what is printed

def rows_of_model(found, peak, is_gpu):
    if "skipped" in found:
        return [[found["model"], "", "skipped"]]
    rows = []
    for name, one in found["steps"].items():
        share = one["images_per_second"] * found["flops_of_an_image"] / peak
        on_gpu = [gigabytes(one["memory_bytes"]), gigabytes(found["planned_bytes"]) if name == "mc2" else "",
                  f"{share:.1%}"]
        rows.append([found["model"], f"{found['batch']:,}", name, f"{one['images_per_second']:,.1f} images/s",
                     f"{one['spread_percent']:.1f} %", said(one), *(on_gpu if is_gpu else ["", "", ""])])
    return rows


def said(one):
    """The ratio in words: none where it may be chance."""
    if "ratio" not in one:
        return "1"
    span = f"({one['quartiles'][0]:.3f} to {one['quartiles'][1]:.3f})"
    return f"{one['ratio']:.3f} {span}" if one["p"] < CHANCE else f"noise {span}"


def rows_of_losses(losses):
    for found in losses:
        yield ["loss alone", f"{found['pairs']:,}", found["loss"],
               *(["out of memory", "", "", "", "", ""] if found["seconds"] is None else
                 [f"{1000 * found['seconds']:,.1f} ms", f"{found['spread_percent']:.1f} %", "",
                  gigabytes(found["memory_bytes"]), "", ""])]


def gigabytes(number):
    return f"{number / 1e9:.2f} GB"


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", choices=["auto", "cuda", "cpu"])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS), help="on a GPU")
    parser.add_argument("--seconds", type=float,
                        help=f"of measuring (default: {SECONDS['cuda']}, {SECONDS['cpu']} on a CPU)")
    parser.add_argument("--batch", type=int, help="images of a step, for all models")
    parser.add_argument("--json", metavar="FILE", help="write the last line there, too")
    parser.add_argument("--dry-run", action="store_true",
                        help="for tests: all that a GPU would do, on the CPU, with a tiny model in place of each")
    parser.add_argument("--memory", type=float, metavar="GB", help="for tests: as if so much were free")
    options = parser.parse_args()
    if options.batch is not None and options.batch < SMALLEST:
        parser.error(f"--batch is {options.batch}, less than {SMALLEST}")
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch sees no GPU; without --device the CPU part runs")
    return options


def main():
    options = parsed()
    logging.disable(logging.INFO)                       # what open_clip's loop would print
    is_gpu = torch.cuda.is_available() and options.device != "cpu" and not options.dry_run
    device = torch.device("cuda" if is_gpu else "cpu")
    models = MODELS if is_gpu else DRY if options.dry_run else ON_CPU
    names = options.models if is_gpu or options.dry_run else list(ON_CPU)
    if options.batch:
        models = {name: (preset, options.batch, *more) for name, (preset, _, *more) in models.items()}
    if is_gpu:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True      # as mc2 train has it
    elif options.dry_run:
        print("A dry run: the figures mean nothing.")
    else:
        print(f"{'This is the CPU' if options.device == 'cpu' else 'torch sees no GPU'}: the GPU part is skipped "
              f"({', '.join(MODELS)}, memory beside the plan, share of the peak). Below is the CPU part.")
    seconds = options.seconds or (1 if options.dry_run else SECONDS[device.type])
    started = time.monotonic()
    found = {"benchmark": "train", "device": torch.cuda.get_device_name(device) if is_gpu else timing.cpu(),
             "is_gpu": is_gpu, "dry_run": options.dry_run, "mc2": mc2.__version__, "torch": torch.__version__,
             "open_clip": open_clip.__version__, "models": [], "written_down": WRITTEN_DOWN}
    peaks = [matmul_peak(device, PRODUCTS[device.type])]
    for name in names:
        print(f"{name} ...", flush=True)
        memory = options.memory * 1e9 if options.memory else free_memory(device)
        found["models"].append(measure_model(name, models, device, models[name][3] * seconds, memory))
        peaks.append(matmul_peak(device, PRODUCTS[device.type]))
    print("the loss alone ...", flush=True)
    batches = (64, 256) if options.dry_run else LOSS_BATCHES[device.type]
    found |= {"losses": measure_losses(device, batches, 0.1 * seconds),
              "matmul_tflops": [peak / 1e12 for peak in peaks], "seconds": time.monotonic() - started}
    peak = max(peaks)
    timing.show(f"{found['device']}, torch {torch.__version__}, open_clip {open_clip.__version__}; bfloat16 matrix "
                f"product {peak / 1e12:,.2f} TFLOPS; {found['seconds']:.0f} s",
                HEADER, [[*row, *[""] * (len(HEADER) - len(row))] for part in
                         (*(rows_of_model(one, peak, is_gpu or options.dry_run) for one in found["models"]),
                          rows_of_losses(found["losses"])) for row in part])
    for one in found["models"]:
        if "skipped" in one:
            print(f"  {one['model']} was skipped: {one['skipped']}.")
    line = json.dumps(found)
    print(f"\n{line}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as stream:
            stream.write(line + "\n")


if __name__ == "__main__":
    main()
