"""MetaClip2, as transformers calls a CLIP: its names of weights and its configuration, and open_clip's, either way.

Its text tower pools at the first end of the text, whatever the id of that is, as open_clip does with pool_type "eos".
So every model of mc2 is exported as MetaClip2, never as transformers' CLIP: that one pools at the highest id wherever
eos_token_id is 2 (the value of old configurations of CLIP, which it still takes for a mistake), and XLM-V's end of a
text is 2. It would load, and give wrong features of texts without any error.

No transformers is needed here. The defaults are those of its MetaClip2Config, which leaves them out of config.json.
"""
import math

import torch

from mc2.clip import architecture
from mc2.errors import BadData

MODEL_TYPE, CLASS = "metaclip_2", "MetaClip2Model"
ACTIVATIONS = {True: "quick_gelu", False: "gelu"}       # by open_clip's quick_gelu
EPS = 1e-5                                              # of all norms in open_clip
DEFAULTS = {
    "vision_config": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
                      "num_channels": 3, "image_size": 224, "patch_size": 32, "hidden_act": "quick_gelu",
                      "layer_norm_eps": EPS},
    "text_config": {"vocab_size": 49408, "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12,
                    "num_attention_heads": 8, "max_position_embeddings": 77, "hidden_act": "quick_gelu",
                    "layer_norm_eps": EPS, "pad_token_id": 1, "eos_token_id": 49407}}
PROJECTION_DIM = 512

# ---------------------------------------------------------------- names of weights: (open_clip's, transformers')

NORMS = (("ln_final", "text_model.final_layer_norm"), ("visual.ln_pre", "vision_model.pre_layrnorm"),    # sic
         ("visual.ln_post", "vision_model.post_layernorm"))
SAME = (("logit_scale", "logit_scale"),
        ("token_embedding.weight", "text_model.embeddings.token_embedding.weight"),
        ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
        ("visual.class_embedding", "vision_model.embeddings.class_embedding"),
        ("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
        ("visual.conv1.weight", "vision_model.embeddings.patch_embedding.weight"))
TRANSPOSED = (("text_projection", "text_projection.weight"), ("visual.proj", "visual_projection.weight"))
TOWERS = (("text_cfg", "transformer.resblocks", "text_model.encoder.layers"),
          ("vision_cfg", "visual.transformer.resblocks", "vision_model.encoder.layers"))
BLOCK = (("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"), ("attn.out_proj", "self_attn.out_proj"),
         ("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2"))
PARTS = ("weight", "bias")


def _same(config):
    """Yield (open_clip's name, transformers' name) of the weights that are the same in both."""
    yield from SAME
    for part in PARTS:
        yield from ((f"{ours}.{part}", f"{theirs}.{part}") for ours, theirs in NORMS)
        for cfg, our_blocks, their_blocks in TOWERS:
            for number in range(config[cfg]["layers"]):
                yield from ((f"{our_blocks}.{number}.{ours}.{part}", f"{their_blocks}.{number}.{theirs}.{part}")
                            for ours, theirs in BLOCK)


def _fused(config):
    """Yield (open_clip's name, transformers' three names): queries, keys and values, which open_clip has in one."""
    for part in PARTS:
        for cfg, ours, theirs in TOWERS:
            for number in range(config[cfg]["layers"]):
                yield (f"{ours}.{number}.attn.in_proj_{part}",
                       [f"{theirs}.{number}.self_attn.{letter}_proj.{part}" for letter in "qkv"])


def weights_to(ours, config):
    """{transformers' name: tensor} of open_clip's state dict, fp32. config: of open_clip's form"""
    ours = {name: weight.float() for name, weight in ours.items()}
    theirs = {their: ours[our].contiguous() for our, their in _same(config)}
    theirs |= {their: ours[our].T.contiguous() for our, their in TRANSPOSED}
    for our, names in _fused(config):
        theirs |= {name: part.clone() for name, part in zip(names, ours[our].chunk(3))}     # no memory is shared
    return theirs


def weights_from(theirs, config, source):
    """{open_clip's name: tensor} of transformers' state dict, fp32. BadData where weights are missing or too many."""
    names = [*_same(config), *TRANSPOSED, *_fused(config)]
    expected = {name for _, their in names for name in ([their] if isinstance(their, str) else their)}
    found = {name for name in theirs if not name.endswith(".position_ids")}     # older versions saved 0, 1, 2, ...
    for what, wrong in (("lacks", expected - found), ("has, against its config.json,", found - expected)):
        if wrong:
            raise BadData(f"{source}: {what} {len(wrong):,} weights, e.g. {sorted(wrong)[0]}. Fetch or export it "
                          "again.")
    theirs = {name: theirs[name].float() for name in expected}
    ours = {our: theirs[their] for our, their in _same(config)}
    ours |= {our: theirs[their].T.contiguous() for our, their in TRANSPOSED}
    ours |= {our: torch.cat([theirs[name] for name in their]) for our, their in _fused(config)}
    return {**ours, "logit_scale": ours["logit_scale"].reshape(())}


# ---------------------------------------------------------------- configurations

def config_to(config, special):
    """The content of config.json. config: of open_clip's form; special: the tokenizer's Special ids"""
    vision, text = config["vision_cfg"], config["text_cfg"]
    activation = ACTIVATIONS[bool(config.get("quick_gelu"))]
    common = {"hidden_act": activation, "projection_dim": config["embed_dim"], "layer_norm_eps": EPS}
    return {
        "architectures": [CLASS], "model_type": MODEL_TYPE, "projection_dim": config["embed_dim"], "dtype": "float32",
        "vision_config": {
            "model_type": f"{MODEL_TYPE}_vision_model", **common, **_sizes_to(vision),
            "num_attention_heads": vision["width"] // vision.get("head_width", architecture.HEAD_WIDTH),
            "image_size": vision["image_size"], "patch_size": vision["patch_size"]},
        "text_config": {
            "model_type": f"{MODEL_TYPE}_text_model", **common, **_sizes_to(text), "num_attention_heads": text["heads"],
            "vocab_size": text["vocab_size"], "max_position_embeddings": text["context_length"],
            "bos_token_id": special.bos[0] if special.bos else None, "eos_token_id": special.eos,
            "pad_token_id": special.eos if special.pad is None else special.pad}}


def _sizes_to(tower):
    return {"hidden_size": tower["width"], "num_hidden_layers": tower["layers"],
            "intermediate_size": int(tower["width"] * tower.get("mlp_ratio", architecture.MLP_RATIO))}


def config_from(content, source):
    """open_clip's configuration of the content of a config.json. BadData where open_clip has no such model."""
    if not all(isinstance(content.get(part) or {}, dict) for part in DEFAULTS):
        raise BadData(f"{source}: its {' or '.join(DEFAULTS)} is no object.")
    vision, text = ({**defaults, **(content.get(part) or {})} for part, defaults in DEFAULTS.items())
    for part, tower in (("vision_config", vision), ("text_config", text)):
        for key, default in DEFAULTS[part].items():
            least = 0 if key.endswith("_token_id") else 1
            if key not in ("pad_token_id", "hidden_act", "layer_norm_eps") and not _is_whole(tower[key], least):
                raise BadData(f"{source}: {part}.{key} is {tower[key]!r}, and not a whole number from {least} on.")
    if not _is_whole(content.get("projection_dim", PROJECTION_DIM), 1):
        raise BadData(f"{source}: projection_dim is {content['projection_dim']!r}, and not a whole number from 1 on.")
    found = sorted({str(text["hidden_act"]), str(vision["hidden_act"])})
    if len(found) > 1 or found[0] not in ACTIVATIONS.values():
        raise BadData(f"{source}: hidden_act is {' and '.join(found)}; mc2 has gelu or quick_gelu, the same one in "
                      "both towers.")
    for part, tower in (("vision_config", vision), ("text_config", text)):
        if not isinstance(tower["layer_norm_eps"], float) or not math.isclose(tower["layer_norm_eps"], EPS):
            raise BadData(f"{source}: {part}.layer_norm_eps is {tower['layer_norm_eps']}; that of mc2's models is "
                          f"{EPS}.")
        if tower["hidden_size"] % tower["num_attention_heads"]:
            raise BadData(f"{source}: {part}.hidden_size is no multiple of its num_attention_heads.")
    if vision["num_channels"] != 3:
        raise BadData(f"{source}: its images have {vision['num_channels']} channels, not 3.")
    width = vision["hidden_size"] // vision["num_attention_heads"]
    head_width = {} if width == architecture.HEAD_WIDTH else {"head_width": width}
    pad = {"pad_id": text["pad_token_id"]} if _is_whole(text["pad_token_id"], 0) else {}
    return {
        "embed_dim": content.get("projection_dim", PROJECTION_DIM), "quick_gelu": "quick_gelu" in found,
        "vision_cfg": {"image_size": vision["image_size"], **_sizes_from(vision), **head_width,
                       "patch_size": vision["patch_size"]},
        "text_cfg": {"vocab_size": text["vocab_size"], "pool_type": "eos", "eos_id": text["eos_token_id"], **pad,
                     "context_length": text["max_position_embeddings"], "heads": text["num_attention_heads"],
                     **_sizes_from(text)}}


def _is_whole(value, least):
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _sizes_from(tower):
    width, hidden = tower["hidden_size"], tower["intermediate_size"]
    ratio = hidden / width
    if int(width * ratio) != hidden:                # rounded down by a bit, open_clip would take one less
        ratio = math.nextafter(ratio, math.inf)
    return {"width": width, "layers": tower["num_hidden_layers"], **({} if ratio == 4 else {"mlp_ratio": ratio})}
