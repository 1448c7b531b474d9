"""A model with its tokenizer, ready to encode images and texts."""
import os

import numpy as np
import torch
from torch.nn import functional

from mc2.clip import images
from mc2.clip.model import Normalizer, autocast, to_bfloat16
from mc2.errors import BadUsage

PREPROCESS = {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711),
              "interpolation": "bicubic", "resize_mode": "shortest",            # as CLIP does it
              "rgb": images.BEFORE_RESIZE}
RESIZE_MODES = "shortest", "squash"         # how an image becomes a square: its centre, or the whole of it


class Transform:
    """From an encoded image (bytes) or a PIL image to uint8 (3, size, size), as open_clip does it for validation on an
    image in RGB. rgb: when other images become RGB (mc2/clip/images.py); "after-resize" is the order of open_clip's
    `preprocess`."""

    def __init__(self, size, interpolation="bicubic", resize_mode="shortest", rgb=images.BEFORE_RESIZE):
        if resize_mode not in RESIZE_MODES:
            raise BadUsage(f"images resized by their {resize_mode} side are not supported, only `shortest` and "
                           "`squash`.")
        if interpolation not in images.INTERPOLATION:
            raise BadUsage(f"images resized by {interpolation} interpolation are not supported, only "
                           f"{' and '.join(images.INTERPOLATION)}.")
        self.size, self.interpolation, self.resize_mode, self.rgb = size, interpolation, resize_mode, rgb

    def __call__(self, image):
        """uint8 (3, size, size). Raises mc2.clip.images.Corrupt."""
        if isinstance(image, (bytes, bytearray, memoryview)):
            image = images.decode(bytes(image), self.rgb)
        else:
            image = images.prepared(image, self.rgb)
        return images.whole(image, self.view)

    @property
    def view(self):
        """The mc2.clip.images.View that this transform gives."""
        return images.View(self.size, self.interpolation, self.rgb, self.resize_mode)

    def __str__(self):
        after = ", RGB after resize" if self.rgb == images.AFTER_RESIZE else ""
        return f"{self.resize_mode} {self.size} {self.interpolation}{after}"


class Model:
    """A model with its tokenizer, ready to encode.

    name, fingerprint (of the weights and the architecture), image_size, transform, tokenizer, logit_scale
    (exponentiated), device, precision; `notes`: what a person should know, one line each.
    """

    def __init__(self, network, tokenizer, *, name, fingerprint, image_size, preprocess, device, precision, notes=()):
        """preprocess: mean, std, interpolation, resize_mode, rgb, as far as they differ from CLIP's own."""
        preprocess = {**PREPROCESS, **preprocess}
        self.tokenizer, self.name, self.fingerprint = tokenizer, name, fingerprint
        self.device, self.precision, self.notes = torch.device(device), precision, list(notes)
        self.image_size = image_size
        self.transform = Transform(image_size, *(preprocess[key] for key in ("interpolation", "resize_mode", "rgb")))
        self.mean, self.std = list(preprocess["mean"]), list(preprocess["std"])
        if precision == "bf16":
            to_bfloat16(network)
        self.network = network.to(device).eval()
        self._normalize = Normalizer(self.mean, self.std, self.device,
                                     torch.bfloat16 if precision == "bf16" else torch.float32)
        self._autocast = autocast(precision, self.device)

    @property
    def logit_scale(self):
        return float(self.network.logit_scale.detach().float().exp().reshape(()))

    @property
    def description(self):
        """A dict of all properties of the model that change scores, for the records of results."""
        return {"name": self.name, "fingerprint": self.fingerprint[:16], "tokenizer": described(self.tokenizer),
                "precision": self.precision, "transform": str(self.transform), "mean": self.mean, "std": self.std}

    def encode_images(self, batch):
        """float32 (n, d), L2-normalised, on the model's device, of uint8 (n, 3, S, S)."""
        return self._encode(self.network.encode_image, self._normalize(batch))

    def encode_texts(self, texts):
        """float32 (n, d), L2-normalised, on the model's device, of a list of texts."""
        ids = torch.as_tensor(np.asarray(self.tokenizer(list(texts))))
        return self._encode(self.network.encode_text, ids.to(self.device))

    def _encode(self, encode, batch):
        exact = torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False)
        with torch.inference_mode(), exact, self._autocast():
            features = encode(batch)
        return functional.normalize(features.float(), dim=-1)


def described(tokenizer):
    """A tokenizer's name, with the start of its fingerprint."""
    name = os.path.basename(tokenizer.name) if os.path.exists(tokenizer.name) else tokenizer.name
    return f"{name} ({tokenizer.fingerprint[:8]})"
