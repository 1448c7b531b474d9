"""What the tests of training and evaluation share."""
import importlib.util
import os

import pytest


def require_train():
    """Skip the calling module where the extra `train` is not installed; with MC2_REQUIRE_TRAIN=1 that is a failure."""
    missing = [name for name in ("torch", "open_clip", "tokenizers") if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("MC2_REQUIRE_TRAIN") == "1":
        raise RuntimeError(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"needs the extra [train] ({', '.join(missing)})", allow_module_level=True)


def require_transformers():
    """The same for the extra `transformers`, with MC2_REQUIRE_TRANSFORMERS=1."""
    if importlib.util.find_spec("transformers") is None:
        if os.environ.get("MC2_REQUIRE_TRANSFORMERS") == "1":
            raise RuntimeError("not installed: transformers")
        pytest.skip("needs the extra [transformers]", allow_module_level=True)
