"""Scores of the user's own: a function, named as MODULE:NAME, from images or texts to values for each.

    def violence(images):                   gives the key `violence`
        return [0.1 for image in images]

    class Sizes:                            called once, without arguments
        keys = "width", "height"            gives these keys
        def __call__(self, images):
            return {"width": [image.width for image in images], "height": [image.height for image in images]}

Images are PIL images in RGB, upright; texts are strings. It is imported anew in every worker, and known by the SHA-256
of its file.
"""
import math

import numpy as np
import orjson

from mc2.errors import BadData, BadUsage
from mc2.stages import plugin

RESERVED = ("id", "text", "url", "lang", "lid", "matched_entry_ids")


class PlugIn:
    """The scores of one function. what: "images" or "texts". directory: where its module is looked for first"""

    def __init__(self, spec, what, directory):
        self.spec, self.what, self.directory = spec, what, directory
        self._function = self._open()
        self.keys = self._keys()
        self.description = {"with": spec, "keys": list(self.keys), "sha256": plugin.source_of(self._function)}

    def __getstate__(self):
        return {**self.__dict__, "_function": None}

    def _open(self):
        option = f"--{self.what}-with"
        found = plugin.imported(self.spec, option, self.directory, "function as MODULE:NAME, e.g. my_scores:violence")
        made = found() if isinstance(found, type) else found
        if not callable(made):
            raise BadUsage(f"{option} {self.spec}: is no function from a list of {self.what} to a list of values.")
        return made

    def _keys(self):
        keys = getattr(self._function, "keys", None) or getattr(self._function, "__name__", None)
        keys = (keys,) if isinstance(keys, str) else tuple(keys or ())
        if not keys or not all(isinstance(key, str) and key for key in keys):
            raise BadUsage(f"--{self.what}-with {self.spec}: names no keys. Give it an attribute, e.g. "
                           "keys = \"violence\", \"weapons\".")
        if taken := next((key for key in keys if key in RESERVED), None):
            raise BadUsage(f"--{self.what}-with {self.spec}: {taken!r} is a key of the pair itself. Call it otherwise.")
        return keys

    def __call__(self, items):
        """{key: list of JSON values}. items: Pictures, or texts"""
        if self._function is None:
            self._function = self._open()
        items = [picture.image for picture in items] if self.what == "images" else items
        with plugin.calling(self.spec):
            made = self._function(items)
        made = made if isinstance(made, dict) else {self.keys[0]: made}
        if set(made) != set(self.keys):
            raise BadData(f"{self.spec}: gives the keys {', '.join(map(str, made))}, and says that they are "
                          f"{', '.join(self.keys)}.")
        return {key: self._checked(key, made[key], len(items)) for key in self.keys}

    def _checked(self, key, values, n):
        values = values.tolist() if isinstance(values, np.ndarray) else list(values)
        if len(values) != n:
            raise BadData(f"{self.spec}: gives {len(values):,} values of {key!r} for {n:,} {self.what}.")
        values = [value.item() if isinstance(value, np.generic) else value for value in values]
        if any(isinstance(value, float) and not math.isfinite(value) for value in values):
            raise BadData(f"{self.spec}: gives a {key!r} that is no finite number. None stands for no score.")
        try:
            orjson.dumps(values)
        except TypeError as error:
            raise BadData(f"{self.spec}: gives a {key!r} that is no value of JSON: {error}.") from None
        return values
