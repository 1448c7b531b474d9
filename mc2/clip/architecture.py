"""The parameters, FLOPs and memory of a CLIP model, computed from its configuration. Plain Python, no torch.

A configuration is a dict in the form of open_clip's model_configs: a vision transformer with a class token and a text
transformer, both of blocks that are norm, attention, norm, MLP. Those of the package are mc2/data/models/*.json.
"""
import json

from mc2 import package_data, parsing, settings
from mc2.errors import BadData
from mc2.settings import Key

PRECISIONS = ("fp32", "amp_bf16", "bf16")       # open_clip's names; amp_bf16: weights in fp32, products in bfloat16

MLP_RATIO = 4.0
HEAD_WIDTH = 64
SIZE = Key(int, (1, None))
OPTIONAL_SIZE, RATIO = Key(int, (1, None), default=None), Key(float, (1e-3, None), default=None)
OPTIONAL_ID, OPTIONAL_TEXT = Key(int, (0, None), default=None), Key(str, default=None)
CANONICAL = {"clean": "canonicalize"}          # text_cfg.tokenizer_kwargs, as open_clip has it
KEYS = {"embed_dim": SIZE, "quick_gelu": Key(bool, default=None), "vision_cfg": Key(dict), "text_cfg": Key(dict)}
VISION_KEYS = {"image_size": SIZE, "patch_size": SIZE, "layers": SIZE, "width": SIZE, "head_width": OPTIONAL_SIZE,
               "mlp_ratio": RATIO}
TEXT_KEYS = {"context_length": SIZE, "vocab_size": SIZE, "layers": SIZE, "width": SIZE, "heads": SIZE, "mlp_ratio": RATIO,
             "hf_tokenizer_name": OPTIONAL_TEXT, "tokenizer_kwargs": Key(dict, default=None),
             "pool_type": OPTIONAL_TEXT, "eos_id": OPTIONAL_ID, "pad_id": OPTIONAL_ID}


def names():
    """[name] of the package's model configurations, sorted."""
    return package_data.names("models", ".json")


def load(name):
    """The package's configuration of that name. Raises KeyError where there is none."""
    if name not in names():
        raise KeyError(name)
    return parse(package_data.text("models", f"{name}.json"), f"{name}.json")


def parse(text, source):
    """A configuration from its JSON; BadData names the source and the key that is wrong."""
    try:
        config = parsing.json_value(text, parse_constant=_not_finite)
    except ValueError as error:
        raise BadData(f"{source}: is not JSON ({error}).") from None
    _check(config, KEYS, source, "")
    _check(config["vision_cfg"], VISION_KEYS, source, "vision_cfg.")
    _check(config["text_cfg"], TEXT_KEYS, source, "text_cfg.")
    vision, text_cfg = config["vision_cfg"], config["text_cfg"]
    if vision["width"] % vision.get("head_width", HEAD_WIDTH):
        raise BadData(f"{source}: vision_cfg.width is {vision['width']}, not a multiple of vision_cfg.head_width "
                      f"({vision.get('head_width', HEAD_WIDTH)}).")
    if vision["image_size"] < vision["patch_size"]:
        raise BadData(f"{source}: vision_cfg.image_size is smaller than vision_cfg.patch_size.")
    if text_cfg["width"] % text_cfg["heads"]:
        raise BadData(f"{source}: text_cfg.width is {text_cfg['width']}, not a multiple of text_cfg.heads "
                      f"({text_cfg['heads']}).")
    if text_cfg.get("tokenizer_kwargs", CANONICAL) != CANONICAL:
        raise BadData(f"{source}: text_cfg.tokenizer_kwargs is {settings.shown(text_cfg['tokenizer_kwargs'])}, not "
                      f"{json.dumps(CANONICAL)}, which has texts without punctuation, in lower case.")
    for key in ("eos_id", "pad_id"):
        if text_cfg.get(key, 0) >= text_cfg["vocab_size"]:
            raise BadData(f"{source}: text_cfg.{key} is {text_cfg[key]}, outside the vocabulary of "
                          f"{text_cfg['vocab_size']}.")
    return config


def are_same(one, other):
    """Whether two configurations are of the same model: the same weights give the same features. One may say what the
    other leaves out as a default. The name of the tokenizer does not matter, nor what fills rows up behind the end of a
    text."""
    return _in_full(one) == _in_full(other)


def _in_full(config):
    """A configuration with its defaults, the sizes of hidden layers for their ratios."""
    vision = {"head_width": HEAD_WIDTH, **config["vision_cfg"], "mlp_ratio": _hidden(config["vision_cfg"])}
    text = {"pool_type": "argmax", "eos_id": 2, **config["text_cfg"], "mlp_ratio": _hidden(config["text_cfg"])}
    if text["pool_type"] == "argmax":               # the highest id ends a text
        text |= {"pool_type": "eos", "eos_id": text["vocab_size"] - 1}
    for key in ("hf_tokenizer_name", "pad_id"):
        text.pop(key, None)
    return {**config, "quick_gelu": bool(config.get("quick_gelu")), "vision_cfg": vision, "text_cfg": text}


def parameters(config):
    """{part: number of trained parameters}, and their `total`. The text part holds no token embedding."""
    vision, text, embed_dim = config["vision_cfg"], config["text_cfg"], config["embed_dim"]
    width, tokens = vision["width"], image_tokens(config)
    count = {
        # patches (a convolution without bias), class token, positions, norms before and after
        "vision": 3 * vision["patch_size"] ** 2 * width + width + tokens * width + 4 * width
        + vision["layers"] * _block_parameters(vision),
        "text": text["context_length"] * text["width"] + 2 * text["width"] + text["layers"] * _block_parameters(text),
        "token_embedding": text["vocab_size"] * text["width"],
        "projections": (width + text["width"]) * embed_dim,
        "logit_scale": 1}
    return {**count, "total": sum(count.values())}


def flops(config, global_batch):
    """{part: FLOPs of one pair}, `forward`, `backward` and `total` (both).

    A matrix product of shapes (n, k) and (k, m) is 2 n k m FLOPs; norms, activations and softmax are left out. A
    block of width d and MLP width h over s tokens is 2 s (4 d^2 + 2 d h) for its weights and 4 s^2 d for its
    attention (masked entries are computed too); backward is twice forward. This is the count of Kaplan et al. 2020
    (arXiv 2001.08361, section 2.1) with the attention of Chowdhery et al. 2022 (arXiv 2204.02311, appendix B), whose
    model FLOPs utilisation (MFU) leaves out what gradient checkpointing computes again. The loss is two products of
    this pair's features with those of the global batch.
    """
    vision, text, embed_dim = config["vision_cfg"], config["text_cfg"], config["embed_dim"]
    patches = image_tokens(config) - 1
    part = {
        "vision": 2 * patches * 3 * vision["patch_size"] ** 2 * vision["width"]
        + vision["layers"] * _block_flops(vision, image_tokens(config)) + 2 * vision["width"] * embed_dim,
        "text": text["layers"] * _block_flops(text, text["context_length"]) + 2 * text["width"] * embed_dim,
        "loss": 2 * 2 * global_batch * embed_dim}
    forward = sum(part.values())
    return {**part, "forward": forward, "backward": 2 * forward, "total": 3 * forward}


def memory(config, *, global_batch, local_batch, micro_batch, precision, grad_checkpointing, optimizer_shards=1):
    """{part: bytes on one GPU}, and their `total`: an estimate, without CUDA's own memory, buffers of the network and
    fragmentation (a few GB).

    local_batch: pairs of this GPU in a step; micro_batch: those that go through the model at a time.
    weights, gradients, optimizer: 4, 4 and 2 x 4 bytes a parameter (AdamW's two moments; in `bf16` half of it all);
        DDP's buckets are taken to be the gradients themselves (gradient_as_bucket_view). optimizer_shards: GPUs that
        the optimizer's state is divided over (ZeRO stage 1), of which this one keeps a part.
    weight_copies: `amp_bf16` keeps a bfloat16 copy of every weight that is multiplied, so of all but token embeddings.
    activations: what the backward pass reads again. In a block of width d and MLP width h, per token: the inputs of
        both norms (2 d, always fp32), and in the precision of the products: both norms' outputs (2 d), q, k and v
        (3 d), the attention's output before and after the heads are joined (2 d), the MLP's hidden layer (3 h with
        QuickGELU, which keeps its sigmoid; 2 h with GELU). No attention matrix: scaled_dot_product_attention keeps
        none. With gradient checkpointing each block keeps its input alone (d), and one block at a time all of this.
        Images: one byte and one value a channel and pixel.
    gathered_features: of both kinds, of all ranks, and their gradients, fp32.
    logits: this GPU's rows against all columns, both ways, fp32: logits, log-softmax and gradient.
    """
    count = parameters(config)
    size = 4 if precision == "fp32" else 2
    weight_size = 2 if precision == "bf16" else 4
    part = {
        "weights": weight_size * count["total"],
        "gradients": weight_size * count["total"],
        "optimizer": -(-2 * weight_size * count["total"] // optimizer_shards),
        "weight_copies": 2 * (count["total"] - count["token_embedding"]) if precision == "amp_bf16" else 0,
        "activations": micro_batch * _activation_bytes(config, size, grad_checkpointing),
        "gathered_features": 2 * 2 * 4 * global_batch * config["embed_dim"],
        "logits": 2 * 3 * 4 * local_batch * global_batch}
    return {**part, "total": sum(part.values())}


def inference_memory(config, *, micro_batch, precision):
    """Bytes on one GPU of a model that only encodes, such as a teacher: its weights (in `amp_bf16` with the copies that
    are multiplied), and of a micro-batch the images, and where most is in memory in a block: its input and a norm's
    output, in fp32, and the MLP's hidden layer. An estimate, as `memory`."""
    count = parameters(config)
    weights = (2 if precision == "bf16" else 4) * count["total"]
    copies = 2 * (count["total"] - count["token_embedding"]) if precision == "amp_bf16" else 0
    size = 4 if precision == "fp32" else 2
    block = max(tokens * (2 * 4 * tower["width"] + size * _hidden_copies(config) * _hidden(tower))
                for tower, tokens in ((config["vision_cfg"], image_tokens(config)),
                                      (config["text_cfg"], config["text_cfg"]["context_length"])))
    return weights + copies + micro_batch * (3 * config["vision_cfg"]["image_size"] ** 2 * (1 + size) + block)


def image_tokens(config):
    """The number of tokens of an image: its patches and the class token."""
    vision = config["vision_cfg"]
    return (vision["image_size"] // vision["patch_size"]) ** 2 + 1


def _not_finite(constant):
    raise ValueError(f"{constant} is no number")


def _check(values, keys, source, prefix):
    """Raise BadData unless `values` holds the keys, each as its rule says."""
    if not isinstance(values, dict):
        raise BadData(f"{source}: is not a JSON object.")
    settings.check(values, keys, source, prefix, "Models are plain vision and text transformers; allowed are "
                   f"{', '.join(prefix + name for name in keys)}.")


def _hidden(tower):
    return int(tower["width"] * tower.get("mlp_ratio", MLP_RATIO))


def _block_parameters(tower):
    """The number of parameters of two norms, q, k, v, attention output and the MLP's two layers, all with bias."""
    width, hidden = tower["width"], _hidden(tower)
    return 4 * width + 4 * (width * width + width) + 2 * width * hidden + hidden + width


def _block_flops(tower, tokens):
    width = tower["width"]
    return 2 * tokens * (4 * width * width + 2 * width * _hidden(tower)) + 4 * tokens * tokens * width


def _activation_bytes(config, size, grad_checkpointing):
    """The bytes that one pair keeps for the backward pass. size: of a value in the products' precision."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    total, largest_block = 3 * vision["image_size"] ** 2 * (1 + size), 0
    for tower, tokens in ((vision, image_tokens(config)), (text, text["context_length"])):
        width = tower["width"]
        block = tokens * (2 * 4 * width + size * (7 * width + _hidden_copies(config) * _hidden(tower)))
        largest_block = max(largest_block, block)
        total += tower["layers"] * (tokens * size * width if grad_checkpointing else block)
        total += tokens * 4 * width                 # the norm outside of the blocks
    return total + (largest_block if grad_checkpointing else 0)


def _hidden_copies(config):
    """How often the MLP's hidden layer is in memory: QuickGELU keeps its sigmoid too."""
    return 3 if config.get("quick_gelu", False) else 2
