"""What describes a picture, so that copies can be told from others: the features of a model, or a perceptual hash.

    run, run/checkpoints/latest, open_clip:NAME@WEIGHTS     a model as `mc2 eval` takes it
    model.onnx, model.torchscript                           ONNX (needs onnxruntime) and TorchScript: SSCD, DINO ...
    module:attribute                                        a function from a list of PIL images to float (n, d)

Each has `description` (all that its features depend on), `prepare(image)` of a PIL image in RGB, and `features` of a list
of what that gives: float64 (n, d), L2-normalised. A perceptual hash has `signatures` in its place.
"""
import functools
import hashlib
import importlib
import inspect
import os
import re
import sys
import warnings
import zipfile

import numpy as np

from mc2 import extras, manifests
from mc2.errors import BadData, BadUsage

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PLUG_IN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
PHASH = "phash"


def open_descriptor(model, *, image_size=None, device="cpu", directory="."):
    """The descriptor of that name. model: see above, or PHASH. image_size: of ONNX and TorchScript that do not say it.
    directory: where a module of the user's is looked for first. Raises BadUsage."""
    extras.need("train", "PIL")
    if model == PHASH:
        return PerceptualHash()
    if model.endswith(".onnx"):
        return Onnx(model, image_size)
    if os.path.isfile(model) and _is_torchscript(model):
        return TorchScript(model, image_size, device)
    if not os.path.exists(model) and PLUG_IN.fullmatch(model) and not model.startswith("open_clip:"):
        return PlugIn(model, directory)
    return OfMc2(model, device)


def _is_torchscript(path):
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def normalised(rows, name):
    """float64 (n, d), of length 1. Raises BadData where they are no finite rows."""
    rows = np.asarray(rows, np.float64)
    if rows.ndim != 2:
        raise BadData(f"{name}: gives features of shape {rows.shape}, and must give (images, dimensions).")
    if not np.isfinite(rows).all():
        raise BadData(f"{name}: gives features that are no numbers.")
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)


class PerceptualHash:
    """pHash (Zauner 2010): whether each of the 64 lowest frequencies of a picture in grey, 32 pixels wide, is above their
    median."""

    SIDE, KEPT = 32, 8
    description = {"method": PHASH, "side": SIDE, "bits": 64}

    def prepare(self, image):
        from PIL import Image
        return np.asarray(image.convert("L").resize((self.SIDE, self.SIDE), Image.Resampling.LANCZOS), np.float64)

    def signatures(self, pictures):
        """uint64 (n,)"""
        cosines = _cosines(self.SIDE)[:self.KEPT]
        low = cosines @ np.stack(pictures) @ cosines.T
        low = np.round(low, 6).reshape(len(pictures), -1)           # so that equal pictures have equal bits everywhere
        return packed(low > np.median(low, axis=1, keepdims=True))


@functools.cache
def _cosines(n):
    """The DCT-II of n values as a matrix. float64 (n, n)"""
    return np.cos(np.pi * (np.arange(n) + 0.5) * np.arange(n)[:, None] / n)


def packed(bits):
    """uint64 (n,) of bool (n, 64), the first bit being the lowest."""
    return np.packbits(bits, axis=1, bitorder="little").view("<u8")[:, 0].astype(np.uint64)


class _Network:
    """A model of which the file says little: the whole picture is squashed to a square, and normalised as for ImageNet."""

    def __init__(self, path, size):
        self.path, self.size = path, size
        self.description = {"method": "signs", "model": os.path.basename(path), "sha256": manifests.sha256(path),
                            "image_size": size, "resize": "squash, bicubic", "mean": list(IMAGENET[0]),
                            "std": list(IMAGENET[1])}

    def prepare(self, image):
        from mc2.clip import images
        pixels = images.resized_crop(image, (0, 0, *image.size), self.size)
        mean, std = (np.array(each, np.float32)[:, None, None] for each in IMAGENET)
        return (np.asarray(pixels, np.float32) / 255 - mean) / std

    def features(self, pictures):
        return normalised(self._run(np.stack(pictures)), self.path)


class TorchScript(_Network):
    """A model as TorchScript."""

    def __init__(self, path, size, device):
        extras.need("train", "torch")
        super().__init__(path, size or 224)
        import torch
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)          # torch says that there will be another form
                self.network = torch.jit.load(path, map_location=device).eval()
        except RuntimeError as error:
            raise BadData(f"{path}: cannot be loaded as TorchScript ({_first_line(error)}).") from None
        self.device = device

    def _run(self, pixels):
        import torch
        with torch.inference_mode():
            try:
                found = self.network(torch.from_numpy(pixels).to(self.device))
            except RuntimeError as error:
                raise BadData(f"{self.path}: does not take pictures of 3 x {self.size} x {self.size} "
                              f"({_first_line(error)}). --image-size says another size.") from None
        if not isinstance(found, torch.Tensor):
            raise BadData(f"{self.path}: gives {type(found).__name__}, and must give one array of features.")
        return found.float().flatten(1).cpu().numpy()


class Onnx(_Network):
    """A model as ONNX with one input (n, 3, S, S); its first output is taken."""

    def __init__(self, path, size):
        try:
            import onnxruntime
        except ImportError:
            raise BadUsage(f"{path}: ONNX needs onnxruntime: pip install onnxruntime.") from None
        if not os.path.isfile(path):
            raise BadUsage(f"{path}: no such file.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:                      # it has classes of its own for each fault
            raise BadData(f"{path}: cannot be loaded as ONNX ({_first_line(error)}).") from None
        self.input, *others = self.session.get_inputs()
        shape = self.input.shape
        if others or len(shape) != 4 or shape[1] not in (3, "C") and isinstance(shape[1], int):
            raise BadUsage(f"{path}: its input is {[each.shape for each in self.session.get_inputs()]}, and must be one of "
                           "(n, 3, S, S). Wrap it in a function of yours: --model MODULE:FUNCTION.")
        own = shape[2] if isinstance(shape[2], int) else None
        super().__init__(path, own or size or 224)

    def _run(self, pixels):
        one_by_one = self.input.shape[0] == 1
        parts = np.split(pixels, len(pixels)) if one_by_one else [pixels]
        try:
            found = [self.session.run(None, {self.input.name: part})[0] for part in parts]
        except Exception as error:
            raise BadData(f"{self.path}: does not take pictures of 3 x {self.size} x {self.size} ({_first_line(error)}). "
                          "--image-size says another size.") from None
        return np.concatenate(found).reshape(len(pixels), -1)


class OfMc2:
    """A model of mc2 or open_clip, with its own way to prepare pictures."""

    def __init__(self, name, device):
        extras.need("train", "torch", "open_clip")
        from mc2.clip.load import load_model
        self.model = load_model(name, device)
        self.description = {"method": "signs", "model": self.model.description["name"],
                            **{key: value for key, value in self.model.description.items()
                               if key in ("fingerprint", "precision", "transform", "mean", "std")}}
        self.description["model"] = os.path.basename(os.path.normpath(self.model.name))

    def prepare(self, image):
        return self.model.transform(image)

    def features(self, pictures):
        import torch
        batch = torch.stack([torch.as_tensor(np.asarray(each)) for each in pictures])
        with torch.inference_mode():
            return normalised(self.model.encode_images(batch).float().cpu().numpy(), self.model.name)


class PlugIn:
    """A function of the user's from a list of PIL images (RGB) to features; a class is called once, without arguments."""

    def __init__(self, spec, directory):
        self.spec = spec
        module, _, name = spec.partition(":")
        if directory not in sys.path:
            sys.path.insert(0, directory)
        try:
            found = functools.reduce(getattr, name.split("."), importlib.import_module(module))
        except (ImportError, AttributeError) as error:
            raise BadUsage(f"--model {spec}: {error}. The module is looked for in the current directory and among what is "
                           "installed.") from error
        self.function = found() if inspect.isclass(found) else found
        if not callable(self.function):
            raise BadUsage(f"--model {spec}: is no function from a list of PIL images to an array of features.")
        source = getattr(sys.modules[module], "__file__", None)
        self.description = {"method": "signs", "model": spec, "sha256": _sha256(source)}

    def prepare(self, image):
        return image

    def features(self, pictures):
        rows = normalised(self.function(pictures), self.spec)
        if len(rows) != len(pictures):
            raise BadData(f"{self.spec}: gives {len(rows)} rows for {len(pictures)} images.")
        return rows


def _sha256(path):
    if path is None:
        return None
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def _first_line(error):
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200].rstrip(".")
