"""The 16 models that Meta CLIP 2 released, by the names of their files of weights.

The names are those of https://dl.fbaipublicfiles.com/MMPT/metaclip/. All are trained with GELU, but for the one that
says quickgelu. Images are resized by the shorter side, those of 378 pixels squashed, as open_clip's entries of these
weights have it; the folders on the Hub squash all but the QuickGELU one. Each is facebook/`hub` there, in transformers'
form.
"""
from typing import NamedTuple


class Released(NamedTuple):
    """A released model: its configuration in mc2/data/models, its name on the Hub, how images are resized."""

    model: str
    hub: str
    resize_mode: str = "shortest"


RELEASED = {f"metaclip2_{name}_worldwide.pt": Released(*values) for name, *values in (
    ("s16_224px", "ViT-S-16-xlmv", "metaclip-2-worldwide-s16"),
    ("s16_384px", "ViT-S-16-xlmv-384", "metaclip-2-worldwide-s16-384"),
    ("s16_224px_mt5", "ViT-S-16-mt5", "metaclip-2-mt5-worldwide-s16"),
    ("m16_224px", "ViT-M-16-xlmv", "metaclip-2-worldwide-m16"),
    ("m16_384px", "ViT-M-16-xlmv-384", "metaclip-2-worldwide-m16-384"),
    ("m16_224px_mt5", "ViT-M-16-mt5", "metaclip-2-mt5-worldwide-m16"),
    ("b32_224px", "ViT-B-32-xlmv", "metaclip-2-worldwide-b32"),
    ("b32_384px", "ViT-B-32-xlmv-384", "metaclip-2-worldwide-b32-384"),
    ("b32_224px_mt5", "ViT-B-32-mt5", "metaclip-2-mt5-worldwide-b32"),
    ("b16_224px", "ViT-B-16-xlmv", "metaclip-2-worldwide-b16"),
    ("b16_384px", "ViT-B-16-xlmv-384", "metaclip-2-worldwide-b16-384"),
    ("l14_224px", "ViT-L-14-xlmv", "metaclip-2-worldwide-l14"),
    ("h14_quickgelu_224px", "ViT-H-14-xlmv-quickgelu", "metaclip-2-worldwide-huge-quickgelu"),
    ("h14_378px", "ViT-H-14-xlmv-378", "metaclip-2-worldwide-huge-378", "squash"),
    ("bigG14_224px", "ViT-bigG-14-xlmv", "metaclip-2-worldwide-giant"),
    ("bigG14_378px", "ViT-bigG-14-xlmv-378", "metaclip-2-worldwide-giant-378", "squash"))}
