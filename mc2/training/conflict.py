"""Gradient conflict: the cosine between the gradients of the English loss and of the other languages' loss.

Of one checkpoint and one batch: the English loss is the mean cross-entropy of the rows of the English pairs, both ways,
each against all columns of the batch; the other loss is that of the other pairs. The loss that is trained is their mean
weighted by pairs. A cosine below 0 in a group of parameters says that a step for the one is a step against the other
(Yu et al. 2020, arXiv 2001.06782, call that conflicting gradients).
"""
import itertools
import math
import re
import statistics

import torch
from torch.nn import functional

from mc2 import extras, files
from mc2.clip import checkpoints, model, tokenizers
from mc2.clip.distributed import device_of
from mc2.errors import BadData, BadUsage
from mc2.training import samples

ENGLISH = "en"
ALL = "all"
BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.")
GROUPS = [      # of what is in no block, norms with their part: group, beginnings of names
    ("visual embeddings", ("visual.class_embedding", "visual.positional_embedding", "visual.conv1.", "visual.ln_pre.")),
    ("visual projection", ("visual.ln_post.", "visual.proj")),
    ("token embedding", ("token_embedding.",)),
    ("text positions", ("positional_embedding",)),
    ("text projection", ("ln_final.", "text_projection")),
    ("logit scale", ("logit_scale",))]


def measure(net, batches, n_batches, *, english=ENGLISH):
    """The cosine for each group of parameters over so many batches, as a dict of plain data.

    net: an open_clip CLIP whose forward gives a dict; batches: yields (images (n, 3, S, S) normalised, tokens
        (n, context), langs: n texts), the tensors where the model is; english: the language on the one side.
    batches with pairs of one side alone are counted and passed over; BadData where all of them are.
    groups: for each, in the order of the model, its number of parameters, and over the batches `mean` and `std` (sample
        standard deviation; None for one batch) of `cosine` and of `norm_ratio`, the English gradient's norm over the
        other's. A batch in which a group's gradient is zero on either side has no cosine: `undefined` counts them.
    """
    names, parameters = zip(*((name, weight) for name, weight in net.named_parameters() if weight.requires_grad))
    groups = [group_of(name) for name in names]
    passed_over = {"without_english": 0, "without_others": 0}
    read, n_pairs, losses, found = 0, [0, 0], [], []
    for images, tokens, langs in itertools.islice(batches, n_batches):
        read += 1
        is_english = torch.tensor([lang == english for lang in langs], device=images.device)
        n_english = int(is_english.sum())
        if n_english in (0, len(langs)):
            passed_over["without_others" if n_english else "without_english"] += 1
            continue
        values, gradients = _gradients(net, parameters, images, tokens, is_english)
        n_pairs = [n_pairs[0] + n_english, n_pairs[1] + len(langs) - n_english]
        losses.append(values)
        found.append(_products(groups, *gradients))
    if not found:
        raise BadData(f"none of {read:,} batches has pairs of both sides: {passed_over['without_english']:,} are "
                      f"without {english}, {passed_over['without_others']:,} hold nothing else. Measure on pairs of "
                      "several languages, in larger batches.")
    sizes = {}
    for group, weight in zip(groups, parameters):
        sizes[group] = sizes.get(group, 0) + weight.numel()
    sizes[ALL] = sum(sizes.values())
    return {"english": english, "batches": len(found), "passed_over": passed_over,
            "pairs": {"english": n_pairs[0], "others": n_pairs[1]},
            "loss": {side: statistics.fmean(values) for side, values in zip(("english", "others"), zip(*losses))},
            "groups": [{"group": group, "parameters": sizes[group], **_summary([batch[group] for batch in found])}
                       for group in _sorted(sizes)]}


def at_checkpoint(config, checkpoint, *, batches, device="auto"):
    """What `measure` finds of a checkpoint on so many batches of the run `config`, with the checkpoint's `step`."""
    content = checkpoints.load(checkpoint)
    held, values = content["models"][0], config["values"]
    device = device_of(device)
    net = model.build(held["architecture"], device=device)
    net.load_state_dict(held["state"])
    normalize = model.Normalizer(values["data"]["image_mean"], values["data"]["image_std"], device)
    tokenizer = tokenizers.load(values["model"]["tokenizer"], held["architecture"]["text_cfg"])
    loader = samples.Loader(samples.data_of({**config, "architecture": held["architecture"]}), {"student": tokenizer},
                            values["schedule"]["global_batch"] // values["compute"]["accum_freq"],
                            workers=values["compute"]["workers"], prefetch=values["compute"]["prefetch"])
    try:
        return {"checkpoint": checkpoint, "step": content["step"], **measure(
            net, ((normalize(batch.images), batch.tokens["student"].to(device), batch.langs) for batch in loader), batches)}
    finally:
        loader.close()


def group_of(name):
    """The group of a parameter by its name in open_clip. BadUsage for a name that a plain CLIP does not have."""
    if block := BLOCK.match(name):
        return f"{'visual' if block[1] else 'text'} block {block[2]}"
    for group, starts in GROUPS:
        if name.startswith(starts):
            return group
    raise BadUsage(f"{name}: not a parameter of a CLIP of plain vision and text transformers. Other models cannot "
                   "be measured.")


def _sorted(groups):
    """Groups in the order in which images and then texts pass them."""
    def position(group):
        tower, _, number = group.partition(" block ")
        order = ["visual embeddings", "visual", "visual projection", "token embedding", "text positions", "text",
                 "text projection", "logit scale", ALL]
        return order.index(tower if number else group), int(number or 0)
    return sorted(groups, key=position)


def _gradients(net, parameters, images, tokens, is_english):
    """((English loss, other loss), (gradients of the one, of the other)) of one batch."""
    out = net(images, tokens)
    image, text = out["image_features"].float(), out["text_features"].float()
    logits = out["logit_scale"].float() * image @ text.T
    own = torch.arange(len(logits), device=logits.device)
    of_rows = (functional.cross_entropy(logits, own, reduction="none")
               + functional.cross_entropy(logits.T, own, reduction="none")) / 2
    english, others = of_rows[is_english].mean(), of_rows[~is_english].mean()
    return (english.item(), others.item()), (torch.autograd.grad(english, parameters, retain_graph=True),
                                             torch.autograd.grad(others, parameters))


def _products(groups, a, b):
    """{group: (a.b, a.a, b.b)} of two lists of gradients, summed in float64."""
    products = torch.stack([torch.stack([_dot(x, y), _dot(x, x), _dot(y, y)]) for x, y in zip(a, b)]).tolist()
    found = {}
    for group, product in itertools.chain(zip(groups, products), zip(itertools.repeat(ALL), products)):
        found[group] = tuple(map(sum, zip(found.get(group, (0.0, 0.0, 0.0)), product)))
    return found


def _dot(x, y):
    return (x.float() * y.float()).sum(dtype=torch.float64)


def _summary(products):
    """The statistics of one group over the batches."""
    defined = [(ab, aa, bb) for ab, aa, bb in products if aa > 0 and bb > 0]
    return {"cosine": _spread([max(-1.0, min(1.0, ab / math.sqrt(aa * bb))) for ab, aa, bb in defined]),
            "norm_ratio": _spread([math.sqrt(aa / bb) for _, aa, bb in defined]),
            "undefined": len(products) - len(defined)}


def _spread(values):
    return {"mean": statistics.fmean(values) if values else None,
            "std": statistics.stdev(values) if len(values) > 1 else None}


def plot(measured, path):
    """Draw what `measure` found: cosine and norm ratio of each group, mean and standard deviation over batches.

    path: .png, .svg or .pdf. BadUsage for another suffix, and without matplotlib.
    """
    kind = str(path).rsplit(".", 1)[-1]
    if kind not in ("png", "svg", "pdf"):
        raise BadUsage(f"{path}: plots are .png, .svg or .pdf.")
    extras.need("plot", "matplotlib")
    from matplotlib.figure import Figure
    rows = [row for row in measured["groups"] if row["cosine"]["mean"] is not None]
    lines = range(len(rows))
    figure = Figure(figsize=(9, 1.2 + 0.2 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, key, neutral in ((left, "cosine", 0), (right, "norm_ratio", 1)):
        axes.errorbar([row[key]["mean"] for row in rows], lines, fmt="o", markersize=4, capsize=2,
                      xerr=[row[key]["std"] or 0 for row in rows])
        axes.axvline(neutral, color="grey", linewidth=0.8)
    left.set_yticks(lines, [row["group"] for row in rows], fontsize=8)
    left.invert_yaxis()
    left.set_xlabel("cosine of the gradients")
    right.set_xlabel("norm ratio, English / others")
    figure.suptitle(f"English and other losses, {measured['batches']:,} batches", fontsize=10)
    with files.open_write(path) as stream:
        figure.savefig(stream, format=kind, dpi=150)
